// Bolt, HTTP/1.1, Thrift and Tars by unmodified clients and servers over two proxies in a row, plain and with mutual TLS; a host that drains, hangs, is killed: no call fails.
import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { after, describe, test, type TestContext } from 'node:test';
import { freePorts, start, until, type Sluice } from '../support/sluice.js';
import { kinds, serve, type Caller } from './hops-peers.js';

const MIB = 1024 * 1024;
const certs = resolve('test/support/certs');
const MUTUAL_LISTENER = `, tls: {certificates: [{cert: ${certs}/localhost.pem, key: ${certs}/localhost.key}], client_auth: required, ca: ${certs}/ca.pem}`;
const MUTUAL_CLUSTER = `, tls: {server_name: localhost, ca: ${certs}/ca.pem, cert: ${certs}/client.pem, key: ${certs}/client.key}`;

/** What is in force while hosts fail: calls may be repeated, all that one host had at once too; and what is checked is found soon. */
const SAFE = 'idempotent: true, retry: {on: [connect-failure, reset, 5xx, try-timeout], attempts: 8, per_try_timeout: 2s}';
const CHECKED = 'interval: 500ms, retry_interval: 200ms, timeout: 5s, unhealthy_threshold: 1}, breaker: {retry_budget: {percent: 100, min: 100}}';

interface Hop {
  /** Of each kind where it listens, and its hosts. */
  readonly ports: readonly number[];
  readonly hosts: readonly (readonly number[])[];
  /** Options of routes. */
  readonly route?: string;
  /** How long calls of `slow` may take. */
  readonly slow?: string;
  readonly checked?: boolean;
  readonly drains?: boolean;
  /** Further attributes of listeners and of clusters, after a comma. */
  readonly listener?: string;
  readonly cluster?: string;
}

/** A listener, a table of routes and a cluster of each kind. */
function hop({ ports, hosts, route = 'timeout: 60s', slow = '', checked = false, drains = false, listener = '', cluster = '' }: Hop): string {
  let listeners = '';
  let routes = '';
  let clusters = '';
  for (const [i, kind] of kinds.entries()) {
    const name = kind.protocol;
    listeners += `  - {name: ${name}, address: "127.0.0.1:${ports[i]}", protocol: ${name}, routes: ${name}, options: ${drains ? kind.drain : '{}'}${listener}}\n`;
    routes += `  - name: ${name}\n    routes:\n`;
    if (slow !== '') routes += `      - {match: ${kind.slow}, cluster: ${name}, retry: {attempts: 1, per_try_timeout: ${slow}}}\n`;
    routes += `      - {cluster: ${name}, ${route}}\n`;
    clusters += `  - {name: ${name}, protocol: ${name}, hosts: "${hosts[i]!.map((port) => `127.0.0.1:${port}`).join(',')}"${checked ? `, health_check: ${kind.healthCheck}, ${CHECKED}` : ''}${cluster}}\n`;
  }
  return `${drains ? 'drain_timeout: 4s\n' : ''}access_log: {format: "%listener_name% %response_code% %reason%"}\nlisteners:\n${listeners}routes:\n${routes}clusters:\n${clusters}`;
}

/** The ports of several parties, by kind. */
const byKind = (parties: readonly (readonly number[])[]): number[][] => kinds.map((_, i) => parties.map((ports) => ports[i]!));

async function idle(sluice: Sluice): Promise<void> {
  await until('no call is left', async () => (await sluice.metric('sluice_cluster_active_requests')) === 0, 30_000);
}

describe('two proxies in a row', () => {
  for (const [between, listener, cluster] of [['plain', '', ''], ['mutual TLS', MUTUAL_LISTENER, MUTUAL_CLUSTER]] as const) {
    test(between, { timeout: 120_000 }, async (t) => {
      const server = await serve(t);
      const [front, middle] = [await freePorts(kinds.length), await freePorts(kinds.length)];
      const [near, far] = await Promise.all([
        start(t, { config: hop({ ports: front, hosts: byKind([middle]), slow: '400ms', cluster }) }),
        start(t, { config: hop({ ports: middle, hosts: byKind([server.ports]), slow: '2s', listener }) }),
      ]);
      for (const [i, kind] of kinds.entries()) {
        await t.test(kind.protocol, async (t) => {
          const [one, two] = [await kind.connect(t, front[i]!), await kind.connect(t, front[i]!)];
          const label = `listener="${kind.protocol}"`;
          assert.equal(await one.say('héllo'), `héllo from ${server.name}`);
          // The two number their calls alike, and each gets its own answers.
          const said = await Promise.all(Array.from({ length: 200 }, (_, n) => (n % 2 === 0 ? one : two).say(`call ${n}`)));
          assert.deepEqual(said, Array.from({ length: 200 }, (_, n) => `call ${n} from ${server.name}`));
          // A megabyte each way, short calls beside it.
          const long = Array.from({ length: 3 }, (_, n) => String(n).repeat(MIB));
          const short = Array.from({ length: 20 }, (_, n) => two.say(`beside ${n}`));
          for (const [n, answer] of (await Promise.all(long.map((text) => one.say(text)))).entries()) assert.ok(answer === `${long[n]} from ${server.name}`, `megabyte ${n}`);
          for (const [n, answer] of (await Promise.all(short)).entries()) assert.equal(answer, `beside ${n} from ${server.name}`);
          if (one.note !== undefined) await one.note(`${kind.protocol} ${between}`);
          assert.equal(await near.metric('sluice_listener_reasons_total', label), 0);
          // What the server refuses is the server's answer still; what took too long ends in front, and later behind.
          await assert.rejects(one.fail(), kind.protocol === 'tars' ? /-99/ : /as asked/);
          const waiting = one.slow();
          assert.equal(await one.say('while it waits'), `while it waits from ${server.name}`);
          await assert.rejects(waiting, /40\d ?ms/);
          await until('its reason is logged', () => near.lines.some((line) => line.startsWith(kind.protocol) && / 50[04] (try-timeout|request-timeout|-)$/.test(line)), 30_000);
          assert.equal(await one.say('after it'), `after it from ${server.name}`);
          assert.equal(await far.metric('sluice_listener_requests_total', label), await near.metric('sluice_listener_requests_total', label));
        });
      }
      await until('the one-way call of Tars arrived', () => server.lines.includes(`note tars ${between}`));
      for (const sluice of [near, far]) {
        await idle(sluice);
        sluice.kill('SIGTERM');
        assert.equal(await sluice.exited, 0, sluice.stderr);
      }
    });
  }

  test('without a certificate the second lets none in: each kind is told why', { timeout: 60_000 }, async (t) => {
    const server = await serve(t);
    const [front, middle] = [await freePorts(kinds.length), await freePorts(kinds.length)];
    const [near, far] = await Promise.all([
      start(t, { config: hop({ ports: front, hosts: byKind([middle]), cluster: `, tls: {server_name: localhost, ca: ${certs}/ca.pem}` }) }),
      start(t, { config: hop({ ports: middle, hosts: byKind([server.ports]), listener: MUTUAL_LISTENER }) }),
    ]);
    for (const [i, kind] of kinds.entries()) {
      const caller = await kind.connect(t, front[i]!);
      await assert.rejects(caller.say('x'), new RegExp(`127\\.0\\.0\\.1:${middle[i]}|-8|-10`), kind.protocol);
    }
    assert.equal(await far.metric('sluice_listener_requests_total'), 0);
    assert.ok((await far.metric('sluice_listener_handshake_errors_total')) >= kinds.length);
    await idle(near);
  });
});

/** Calls of every kind at a gentle pace, until told to stop. */
class Load {
  /** What went wrong, by kind. */
  readonly failed: Record<string, string[]> = {};
  /** Answers of each server, by kind. */
  readonly counts = new Map<string, Map<string, number>>();
  private stopped = false;
  private lanes: Promise<void>[] = [];

  async start(t: TestContext, front: readonly number[]): Promise<void> {
    for (const [i, kind] of kinds.entries()) {
      this.counts.set(kind.protocol, new Map());
      const callers = [await kind.connect(t, front[i]!), await kind.connect(t, front[i]!)];
      for (let lane = 0; lane < 4; lane++) this.lanes.push(this.run(kind.protocol, callers[lane % 2]!, lane));
    }
    t.after(() => (this.stopped = true));
  }

  private async run(kind: string, caller: Caller, lane: number): Promise<void> {
    const counts = this.counts.get(kind)!;
    for (let n = 0; n < 20_000 && !this.stopped; n++) {
      const text = `${kind} ${lane} ${n}`;
      try {
        const [said, who] = (await caller.say(text)).split(' from ') as [string, string];
        assert.equal(said, text, 'the reply belongs to this call');
        counts.set(who, (counts.get(who) ?? 0) + 1);
      } catch (error) {
        (this.failed[kind] ??= []).push(String(error));
        if (this.failed[kind]!.length > 5) return;
      }
      await new Promise((r) => setTimeout(r, 4));
    }
  }

  /** Waits for `more` further answers of each of these servers in every kind. */
  async goesOn(more: number, names: readonly string[]): Promise<void> {
    const seen = (kind: string, name: string): number => this.counts.get(kind)!.get(name) ?? 0;
    const goals = kinds.flatMap(({ protocol }) => names.map((name) => ({ protocol, name, goal: seen(protocol, name) + more })));
    await until(`${more} further answers of each`, () => Object.keys(this.failed).length > 0 || goals.every(({ protocol, name, goal }) => seen(protocol, name) >= goal), 60_000);
    assert.deepEqual(this.failed, {});
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await Promise.all(this.lanes);
    assert.deepEqual(this.failed, {});
  }
}

describe('no idempotent call fails', () => {
  test('when one of two sidecars of the server drains, and comes back', { timeout: 120_000 }, async (t) => {
    const servers = [await serve(t), await serve(t)];
    const front = await freePorts(kinds.length);
    const middle = [await freePorts(kinds.length), await freePorts(kinds.length)];
    const behind = (i: number): Promise<Sluice> => start(t, { config: hop({ ports: middle[i]!, hosts: byKind([servers[i]!.ports]), drains: true }) });
    const [first, second] = await Promise.all([behind(0), behind(1)]);
    const near = await start(t, { config: hop({ ports: front, hosts: byKind(middle), route: SAFE, checked: true }) });
    const names = servers.map(({ name }) => name);
    const load = new Load();
    await load.start(t, front);
    await load.goesOn(40, names);
    first.kill('SIGTERM');
    assert.equal(await first.exited, 0, first.stderr);
    // Thrift has no word for it: its connections are cut at the end of the drain, unless they are quiet for a second before.
    await load.goesOn(40, names.slice(1));
    const back = await behind(0);
    await load.goesOn(40, names);
    await load.stop();
    assert.equal(await near.metric('sluice_listener_reasons_total'), 0, 'no exchange ended badly');
    for (const sluice of [near, second, back]) await idle(sluice);
  });

  test('when one of two servers stands still, and when it is killed', { timeout: 120_000 }, async (t) => {
    const servers = [await serve(t), await serve(t)];
    const front = await freePorts(kinds.length);
    const near = await start(t, { config: hop({ ports: front, hosts: byKind(servers.map(({ ports }) => ports)), route: SAFE, checked: true }) });
    const names = servers.map(({ name }) => name);
    const load = new Load();
    await load.start(t, front);
    await load.goesOn(40, names);
    servers[0]!.child.kill('SIGSTOP');
    await load.goesOn(100, names.slice(1));
    assert.ok((await near.metric('sluice_cluster_retries_total')) > 0, 'what it had was asked elsewhere');
    servers[0]!.child.kill('SIGCONT');
    await load.goesOn(40, names);
    servers[0]!.child.kill('SIGKILL');
    await load.goesOn(100, names.slice(1));
    await load.stop();
    assert.equal(await near.metric('sluice_listener_reasons_total'), 0, 'no exchange ended badly');
    await idle(near);
  });
});

// Two of the client libraries leave timers behind that would keep this process.
after(() => setTimeout(() => process.exit(), 1000).unref());

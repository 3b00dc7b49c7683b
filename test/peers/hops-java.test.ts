// Unmodified SOFARPC, 5.13 and 5.5, and Dubbo, 3.3 and 2.7, over two proxies in a row: every kind of call, plain and with mutual TLS; a sidecar that drains, a server that hangs.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import { JavaProgram, prepareJava, type JavaClasses, type NoJava } from '../support/java.js';
import { freePort, freePorts, start, until, type Sluice } from '../support/sluice.js';

const MIB = 1024 * 1024;
const certs = resolve('test/support/certs');
const MUTUAL_LISTENER = `, tls: {certificates: [{cert: ${certs}/localhost.pem, key: ${certs}/localhost.key}], client_auth: required, ca: ${certs}/ca.pem}`;
const MUTUAL_CLUSTER = `, tls: {server_name: localhost, ca: ${certs}/ca.pem, cert: ${certs}/client.pem, key: ${certs}/client.key}`;
/** The libraries of both kinds look into the classes of the JDK. */
const OPEN = ['lang', 'math', 'util'].flatMap((name) => ['--add-opens', `java.base/java.${name}=ALL-UNNAMED`]);
/** While more than this waits to be written, a client of SOFABolt refuses further calls by itself. */
const WATERMARKS = ['-Dbolt.netty.buffer.high.watermark=67108864', '-Dbolt.netty.buffer.low.watermark=33554432'];
/** What is in force while hosts fail. */
const SAFE = 'idempotent: true, retry: {on: [connect-failure, reset, try-timeout], attempts: 5, per_try_timeout: 1500ms}';

const dubboSources = 'test/peers/java/dubbo';
const peers = {
  sofa: prepareJava('test/peers/java/sofa'),
  sofa55: prepareJava('test/peers/java/sofa55', ...['BaggageApp', 'Hello', 'Person', 'SofaClient', 'SofaServer'].map((name) => `test/peers/java/sofa/${name}.java`)),
  dubbo: prepareJava(dubboSources),
  dubbo27: prepareJava('test/peers/java/dubbo27', dubboSources),
};
const skipOf = (...all: readonly (JavaClasses | NoJava)[]): string | false => {
  const missing = all.find((one) => 'skip' in one);
  return missing !== undefined && 'skip' in missing ? missing.skip : false;
};

/** Programs that end with the tests. */
class Programs {
  private readonly running: JavaProgram[] = [];

  start(classes: JavaClasses | NoJava, main: string, args: ReadonlyArray<string | number> = [], options: readonly string[] = []): JavaProgram {
    assert.ok(!('skip' in classes));
    const program = new JavaProgram(classes, `com.example.${main}`, args, [...OPEN, ...options]);
    this.running.push(program);
    return program;
  }

  ready(): Promise<unknown> {
    return Promise.all(this.running.map((program) => program.ready));
  }

  stop(): Promise<unknown> {
    return Promise.all(this.running.map((program) => program.stop()));
  }
}

interface Ways {
  readonly plain: number;
  readonly mutual: number;
  readonly sluices: readonly Sluice[];
}

/** Two proxies before a server: one port that is plain between them, one with certificates on both sides. */
async function twoHops(t: TestContext, protocol: string, server: number): Promise<Ways> {
  const [plain, mutual, inner, secure] = (await freePorts(4)) as [number, number, number, number];
  const log = 'access_log: {format: "%operation% %response_code% %reason%"}';
  const sluices = await Promise.all([
    start(t, {
      config: `${log}
listeners:
  - {name: plain, address: "127.0.0.1:${plain}", protocol: ${protocol}, cluster: plain}
  - {name: mutual, address: "127.0.0.1:${mutual}", protocol: ${protocol}, cluster: secure}
clusters:
  - {name: plain, protocol: ${protocol}, hosts: "127.0.0.1:${inner}"}
  - {name: secure, protocol: ${protocol}, hosts: "127.0.0.1:${secure}"${MUTUAL_CLUSTER}}
`,
    }),
    start(t, {
      config: `${log}
listeners:
  - {name: inner, address: "127.0.0.1:${inner}", protocol: ${protocol}, cluster: server}
  - {name: secure, address: "127.0.0.1:${secure}", protocol: ${protocol}, cluster: server${MUTUAL_LISTENER}}
clusters: [{name: server, protocol: ${protocol}, hosts: "127.0.0.1:${server}"}]
`,
    }),
  ]);
  return { plain, mutual, sluices };
}

/** A proxy before several hosts; the calls of its clients may be repeated. */
async function inFrontOf(t: TestContext, protocol: string, hosts: readonly number[], more = ''): Promise<{ sluice: Sluice; port: number }> {
  const port = await freePort();
  const sluice = await start(t, {
    config: `
listeners: [{name: in, address: "127.0.0.1:${port}", protocol: ${protocol}, routes: main, options: {goaway: true}}]
routes: [{name: main, routes: [{cluster: hosts, ${SAFE}}]}]
clusters: [{name: hosts, protocol: ${protocol}, hosts: "${hosts.map((host) => `127.0.0.1:${host}`).join(',')}", breaker: {retry_budget: {percent: 100, min: 100}}${more}}]
`,
  });
  return { sluice, port };
}

async function unhurt(sluices: readonly Sluice[]): Promise<void> {
  for (const sluice of sluices) {
    assert.equal(await sluice.metric('sluice_listener_reasons_total'), 0, 'no exchange ended badly');
    assert.equal(await sluice.metric('sluice_cluster_active_requests'), 0);
  }
}

interface Load {
  readonly good: Readonly<Record<string, number>>;
  readonly bad: Readonly<Record<string, number>>;
}

describe('SOFARPC', { skip: skipOf(peers.sofa, peers.sofa55), timeout: 240_000 }, () => {
  const programs = new Programs();
  const clients = {} as Record<'5.13' | '5.5', JavaProgram>;
  const servers = {} as Record<'5.13' | '5.5', number>;

  before(async () => {
    [servers['5.13'], servers['5.5']] = (await freePorts(2)) as [number, number];
    programs.start(peers.sofa, 'SofaServer', [servers['5.13'], 'A', 'blue']);
    programs.start(peers.sofa55, 'SofaServer', [servers['5.5'], 'B', 'blue']);
    clients['5.13'] = programs.start(peers.sofa, 'SofaClient', [], WATERMARKS);
    clients['5.5'] = programs.start(peers.sofa55, 'SofaClient', [], WATERMARKS);
    await programs.ready();
  });

  after(() => programs.stop());

  for (const [from, to, name] of [['5.13', '5.13', 'A'], ['5.13', '5.5', 'B'], ['5.5', '5.13', 'A']] as const) {
    test(`${from} calls ${to} over two proxies, plain and with certificates`, async (t) => {
      const client = clients[from];
      const { plain, mutual, sluices } = await twoHops(t, 'bolt', servers[to]);
      for (const port of [plain, mutual]) {
        for (const kind of ['sync', 'future', 'callback']) assert.equal(await client.run(kind, port, kind), `hello ${kind} from ${name}`);
        assert.equal(await client.run('oneway', port, `noted by ${port}`), 'sent');
        await until('the one-way call arrived', async () => (await client.run('noted', port)) === `noted by ${port}`, 30_000);
        assert.equal(await client.run('older', port, 'Ann'), `Ann of ${name} is 42`);
        assert.equal(await client.run('unique', port, 'blue', 'x'), `hello x from ${name}-blue`, 'another version of the service');
        const long = [300_000, MIB, 2 * MIB].map((size) => client.run('echo', port, size));
        assert.deepEqual(JSON.parse(await client.run('load', port, 8, 200, 0)), { good: { [name]: 200 }, bad: {} });
        assert.deepEqual(await Promise.all(long), ['same', 'same', 'same']);
        for (const sluice of sluices) assert.ok(sluice.lines.every((line) => /(200|504) /.test(line)), sluice.lines.find((line) => !/(200|504) /.test(line)));
        await assert.rejects(client.run('fail', port, 'as asked'), /^Error: IllegalStateException: as asked/);
        await assert.rejects(client.run('slow', port, 6000, 1500), /SofaTimeOutException/);
        for (const sluice of sluices) {
          await until('the timeout in the frame is obeyed', () => sluice.lines.filter((line) => line.includes(' 504 ')).length === (port === plain ? 1 : 2), 30_000);
          await until('no call is left', async () => (await sluice.metric('sluice_cluster_active_requests')) === 0, 30_000);
        }
      }
    });
  }

  test('baggage passes two proxies in both directions, and chooses the cluster in the first', async (t) => {
    const [newer, older, port] = (await freePorts(3)) as [number, number, number];
    const apps = [programs.start(peers.sofa, 'BaggageApp', [newer, 'newer']), programs.start(peers.sofa55, 'BaggageApp', [older, 'older'])];
    await Promise.all(apps.map((app) => app.ready));
    const behind = await Promise.all([inFrontOf(t, 'bolt', [newer]), inFrontOf(t, 'bolt', [older])]);
    await start(t, {
      config: `
listeners: [{name: in, address: "127.0.0.1:${port}", protocol: bolt, routes: main}]
routes: [{name: main, routes: [{match: {header.rpc_req_baggage.env: gray}, cluster: older}, {cluster: newer}]}]
clusters:
  - {name: newer, protocol: bolt, hosts: "127.0.0.1:${behind[0]!.port}"}
  - {name: older, protocol: bolt, hosts: "127.0.0.1:${behind[1]!.port}"}
`,
    });
    // 5.5 has baggage, as the method, in the content alone, where no route sees it.
    for (const [app, gray] of [[apps[0]!, 'older'], [apps[1]!, 'newer']] as const) {
      assert.equal(await app.run('borne', port, 'env', 'blue'), 'blue at newer, answered with newer');
      assert.equal(await app.run('borne', port, 'env', 'gray'), `gray at ${gray}, answered with ${gray}`);
      assert.equal(await app.run('borne', port, 'user', 'Änn'), 'Änn at newer, answered with newer');
    }
  });

  test('one of two sidecars drains: no call fails', async (t) => {
    const behind = await Promise.all([inFrontOf(t, 'bolt', [servers['5.13']]), inFrontOf(t, 'bolt', [servers['5.5']])]);
    const front = await inFrontOf(t, 'bolt', behind.map(({ port }) => port));
    const loads = Object.values(clients).map((client) => client.run('load', front.port, 4, 250, 20));
    await until('both are in use', async () => (await Promise.all(behind.map(({ sluice }) => sluice.metric('sluice_listener_requests_total')))).every((n) => n > 40), 30_000);
    behind[0]!.sluice.kill('SIGTERM');
    assert.equal(await behind[0]!.sluice.exited, 0);
    for (const load of await Promise.all(loads)) {
      const { good, bad } = JSON.parse(load) as Load;
      assert.deepEqual(bad, {});
      assert.ok(good['B']! > good['A']!, load);
    }
    await unhurt([front.sluice, behind[1]!.sluice]);
  });

  test('one of two servers stands still: what it does not answer is asked elsewhere', async (t) => {
    const port = await freePort();
    const hanging = programs.start(peers.sofa, 'SofaServer', [port, 'C']);
    await hanging.ready;
    const { sluice, port: front } = await inFrontOf(t, 'bolt', [servers['5.13'], port], ', health_check: {type: bolt, interval: 500ms, timeout: 2s, retry_interval: 200ms, unhealthy_threshold: 1}');
    const loads = Object.values(clients).map((client) => client.run('load', front, 4, 250, 10));
    await until('calls run', async () => (await sluice.metric('sluice_listener_requests_total')) > 80, 30_000);
    hanging.kill('SIGSTOP');
    for (const load of await Promise.all(loads)) {
      const { good, bad } = JSON.parse(load) as Load;
      assert.deepEqual(bad, {});
      assert.ok(good['A']! > good['C']!, load);
    }
    assert.ok((await sluice.metric('sluice_cluster_retries_total')) > 0);
    await unhurt([sluice]);
    hanging.kill('SIGKILL');
  });
});

describe('Dubbo', { skip: skipOf(peers.dubbo, peers.dubbo27), timeout: 240_000 }, () => {
  /** Dubbo replaces 127.0.0.1 in a provider's address by the address of the machine; a name that only the JVM knows stays what it is. */
  const NAME = 'sluice.test';
  const programs = new Programs();
  const clients = {} as Record<'3.3' | '2.7', JavaProgram>;
  const servers = {} as Record<'3.3' | '2.7', number>;
  let folder = '';

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'sluice-hops-'));
    writeFileSync(join(folder, 'hosts'), `127.0.0.1 ${NAME} ${hostname()} localhost\n`);
    for (const [version, classes] of [['3.3', peers.dubbo], ['2.7', peers.dubbo27]] as const) {
      const hosts = [`-Djdk.net.hosts.file=${join(folder, 'hosts')}`];
      servers[version] = await freePort();
      programs.start(classes, 'DubboServer', [servers[version], `server${version}`, 'Greeter/blue/1.0.0'], hosts);
      clients[version] = programs.start(classes, 'DubboClient', [], hosts);
    }
    await programs.ready();
  });

  after(async () => {
    await programs.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const call = (client: JavaProgram, port: number, method: string, argument: string | number, attachments = '', timeout = 20_000): Promise<string> =>
    client.run('call', `dubbo://${NAME}:${port}?retries=0&timeout=${timeout}`, 'Greeter', 'blue', '1.0.0', attachments, method, argument);

  // Calls of every kind between all versions over one proxy, and simple ones over two, are in dubbo.test.ts.
  test('group, version, attachments, one-way calls and timeouts pass two proxies, plain and with certificates', async (t) => {
    for (const to of ['3.3', '2.7'] as const) {
      const { plain, mutual, sluices } = await twoHops(t, 'dubbo', servers[to]);
      for (const port of [plain, mutual]) {
        for (const client of Object.values(clients)) {
          assert.equal(await call(client, port, 'hello', 'Ann'), `hello Ann from server${to} blue/1.0.0`);
          assert.match(await call(client, port, 'attachments', '', 'x-env=test'), /(^|,)x-env=test(,|$)/);
          assert.equal(await call(client, port, 'tell', 'x'), '');
          assert.deepEqual(await Promise.all([2 * MIB, MIB, 10].map((n) => call(client, port, 'repeat', n))), [2 * MIB, MIB, 10].map(String));
          await assert.rejects(call(client, port, 'refuse', 'no, thanks'), /^Error: Refusal: no, thanks$/);
        }
        await assert.rejects(call(clients['3.3'], port, 'slow', 6000, '', 1500), /timeout/i);
      }
      for (const sluice of sluices) {
        await until('the timeout that 3.3 sends is obeyed', () => sluice.lines.filter((line) => /slow 504 /.test(line)).length === 2, 30_000);
        assert.equal(sluice.lines.filter((line) => line.includes('Greeter.tell 200 -')).length, 4);
      }
    }
  });

  test('one of two sidecars drains: no call fails', async (t) => {
    const behind = await Promise.all([inFrontOf(t, 'dubbo', [servers['3.3']]), inFrontOf(t, 'dubbo', [servers['2.7']])]);
    const front = await inFrontOf(t, 'dubbo', behind.map(({ port }) => port));
    const counts = new Map<string, number>();
    let next = 0;
    const lanes = Array.from({ length: 8 }, async (_, lane) => {
      while (next < 500) {
        const i = next++;
        if (i === 200) behind[0]!.sluice.kill('SIGTERM');
        const found = /^hello n(\d+) from (\S+)/.exec(await call(clients[lane % 2 === 0 ? '3.3' : '2.7'], front.port, 'hello', `n${i}`));
        assert.equal(found?.[1], String(i), 'the reply belongs to this call');
        counts.set(found![2]!, (counts.get(found![2]!) ?? 0) + 1);
      }
    });
    await Promise.all(lanes);
    assert.equal(await behind[0]!.sluice.exited, 0);
    assert.ok(counts.get('server2.7')! > counts.get('server3.3')! && counts.get('server3.3')! > 50, JSON.stringify([...counts]));
    await unhurt([front.sluice, behind[1]!.sluice]);
  });
});

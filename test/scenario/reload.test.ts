// A changed configuration takes effect while everything runs: what changed changes, what did not stays, what is wrong is refused alone.
import assert from 'node:assert/strict';
import { renameSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { accepts, get, open, serveHttp, serveRaw } from '../support/http.js';
import { freePorts, start, until, type Sluice } from '../support/sluice.js';
import { openBolt, serveBolt } from './bolt-peer.js';
import { Load } from './load.js';

interface ConfigState {
  readonly wanted: number;
  readonly running: number;
  readonly effective: { readonly listeners: readonly { readonly name: string }[]; readonly routes: readonly unknown[] };
  readonly rejected: { readonly at: string; readonly problems: readonly string[] } | null;
}

/** Puts a new configuration in the place of the old one, as an editor or a deployment does. */
function replace(sluice: Sluice, config: string): void {
  writeFileSync(`${sluice.file}.new`, `admin: {address: ${sluice.admin}}\n${config}`);
  renameSync(`${sluice.file}.new`, sluice.file);
}

/** The same and SIGHUP; waits until every worker runs it. */
async function change(sluice: Sluice, config: string): Promise<ConfigState> {
  const before = (await sluice.json<ConfigState>('/config')).wanted;
  replace(sluice, config);
  sluice.kill('SIGHUP');
  return until('the new configuration runs', async () => {
    const state = await sluice.json<ConfigState>('/config');
    return state.wanted > before && state.running === state.wanted ? state : null;
  });
}

const listener = (port: number, more = ''): string => `
  - name: http
    address: 127.0.0.1:${port}
    protocol: http1
    routes: main${more}`;

test('routes and timeouts change on connections in use; a tunnel and a slow request live through it', { timeout: 60_000 }, async (t) => {
  const held: ServerResponse[] = [];
  const upstream = await serveHttp(t, (request, response) => (request.url === '/slow' ? held.push(response) : response.end('from the host')));
  upstream.server.on('upgrade', (_request, socket: Socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: chat\r\nconnection: upgrade\r\n\r\n');
    socket.on('data', (chunk: Buffer) => socket.write(`host heard ${chunk.toString()}`));
    socket.on('end', () => socket.end());
  });
  const [port] = await freePorts(1);
  const config = (version: string, timeout: string): string => `
listeners:${listener(port!)}
routes:
  - name: main
    routes:
      - {name: version, match: {path: /version}, direct_response: {body: "${version}"}}
      - {name: hang, match: {path: /slow}, cluster: app, timeout: ${timeout}}
      - {name: rest, cluster: app}
clusters:
  - {name: app, hosts: "127.0.0.1:${upstream.port}"}
`;
  const sluice = await start(t, { config: config('one', '30s') });
  const client = await open(t, port!);
  const ask = async (): Promise<string> => {
    client.send('GET /version HTTP/1.1\r\nhost: x\r\n\r\n');
    return (await client.reply()).body.toString();
  };
  assert.equal(await ask(), 'one');
  const tunnel = await open(t, port!);
  tunnel.send('GET /chat HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: chat\r\n\r\n');
  assert.equal((await tunnel.reply()).status, 101);
  const say = async (word: string): Promise<void> => {
    tunnel.send(word);
    await tunnel.when(word, () => tunnel.text === `host heard ${word}`);
    await tunnel.take(tunnel.received.length);
  };
  await say('hello');
  const slow = get(port!, '/slow');
  await until('the slow request is at its host', () => held.length === 1);

  for (const version of ['two', 'three', 'four']) {
    const state = await change(sluice, config(version, '150ms'));
    assert.equal(state.rejected, null);
    assert.equal(await ask(), version, 'on the connection that was there before');
    await say(version);
  }
  const late = await get(port!, '/slow');
  assert.equal(late.status, 504, 'the new timeout holds for requests that come now');
  assert.match(late.text, /150 ms/);
  held[0]!.end('slow at last');
  assert.equal((await slow).text, 'slow at last', 'the one that ran keeps its own');
  assert.equal((await get(port!, '/other')).text, 'from the host');
  await say('bye');
  tunnel.end();
  await tunnel.whenClosed();
  assert.equal(client.closed, false);
  assert.match(sluice.stderr, /the configuration was read again/);
});

test('the file is watched: a change without a signal is found, and so is the next one', { timeout: 60_000 }, async (t) => {
  const [port] = await freePorts(1);
  const config = (version: string): string => `
listeners:${listener(port!)}
routes: [{name: main, routes: [{direct_response: {body: "${version}"}}]}]
`;
  const sluice = await start(t, { config: config('one') });
  assert.equal((await get(port!)).text, 'one');
  // Signals and changes that pile up must not stop the watch.
  for (let i = 0; i < 20; i++) {
    replace(sluice, config(`many${i}`));
    sluice.kill('SIGHUP');
  }
  await until('the last of many', async () => (await get(port!)).text === 'many19');
  // Answered when what was asked for before is done, so that nothing but the watch can find the next.
  assert.equal((await fetch(`http://${sluice.admin}/reload`, { method: 'POST' })).status, 200);
  for (const version of ['two', 'three']) {
    replace(sluice, config(version));
    await until(`${version} is seen`, async () => (await get(port!)).text === version);
  }
  const { wanted, running } = await sluice.json<ConfigState>('/config');
  assert.equal(running, wanted);
});

test('hosts come and go under load, also with a drain of what they hold, and no request fails', { timeout: 60_000 }, async (t) => {
  const hits = new Map<number, number>();
  const serve = async (i: number) => serveHttp(t, (_request, response) => {
    hits.set(i, (hits.get(i) ?? 0) + 1);
    // Long enough that every change meets requests in flight.
    setTimeout(() => response.end(String(i)), 5);
  });
  const hosts = await Promise.all([0, 1, 2, 3].map(serve));
  const [port] = await freePorts(1);
  const config = (present: readonly number[]): string => `
listeners:${listener(port!)}
routes: [{name: main, routes: [{cluster: app}]}]
access_log: false
clusters:
  - name: app
    hosts: [${present.map((i) => `"127.0.0.1:${hosts[i]!.port}"`).join(', ')}]
`;
  const sluice = await start(t, { config: config([0]) });
  const load = new Load(t, { port: port!, lanes: 12 });
  const sets = [[0, 1], [1], [1, 2, 3], [3], [0, 1, 2, 3], [2], [0, 2], [0]];
  for (const present of sets) {
    await change(sluice, config(present));
    const before = new Map(hits);
    await load.more(100);
    for (const i of [0, 1, 2, 3]) {
      const grew = (hits.get(i) ?? 0) - (before.get(i) ?? 0);
      if (present.includes(i)) assert.ok(grew > 0, `host ${i} is used`);
      // Those in flight when the change came.
      else assert.ok(grew <= 12, `host ${i} got ${grew} more`);
    }
  }
  await load.stop();
  assert.deepEqual(load.failures, []);
  assert.equal(load.closes, 0, 'no client had to connect anew');
  await until('the removed hosts are let go of', () => hosts[1]!.sockets.size + hosts[2]!.sockets.size + hosts[3]!.sockets.size === 0);
  assert.equal(await sluice.metric('sluice_cluster_active_requests'), 0);
  const [cluster] = await sluice.json<{ hosts: { address: string }[]; levels: { connections: number } }[]>('/clusters');
  assert.deepEqual(cluster!.hosts.map((h) => h.address), [`127.0.0.1:${hosts[0]!.port}`]);
  assert.equal(cluster!.levels.connections, hosts[0]!.sockets.size);
});

test('clusters, routes and listeners that go together with what used them fail no request of the others', { timeout: 60_000 }, async (t) => {
  const upstream = await serveHttp(t, (_request, response) => response.end('ok'));
  const [port, second] = await freePorts(2);
  const config = (i: number): string => `
listeners:${listener(port!)}${i % 2 === 0 ? `
  - {name: second, address: "127.0.0.1:${second}", protocol: http1, cluster: app${i}}` : ''}
routes: [{name: main, routes: [{cluster: app${i}}]}]
access_log: false
clusters:
  - {name: app${i}, hosts: "127.0.0.1:${upstream.port}"}
`;
  const sluice = await start(t, { config: config(0) });
  const load = new Load(t, { port: port!, lanes: 8 });
  for (let i = 1; i <= 10; i++) {
    await change(sluice, config(i));
    assert.equal(await accepts(second!), i % 2 === 0, 'the second listener comes and goes');
    if (i % 2 === 0) assert.equal((await get(second!)).text, 'ok');
    await load.more(30);
  }
  await load.stop();
  assert.deepEqual(load.failures, []);
  const clusters = await sluice.json<{ name: string }[]>('/clusters');
  assert.deepEqual(clusters.map((c) => c.name), ['app10']);
});

test('a removed listener gives its address up at once, tells its clients, and cuts what outlives drain_timeout; addresses can be swapped', { timeout: 60_000 }, async (t) => {
  const upstream = await serveHttp(t, (request, response) => {
    if (request.url !== '/never') response.end('ok');
  });
  const [a, b] = await freePorts(2);
  const config = (listeners: readonly (readonly [string, number])[]): string => `
drain_timeout: 1200ms
access_log: {format: "%listener_name% %operation% %response_code% %reason%"}
listeners:
${listeners.map(([name, port]) => `  - {name: ${name}, address: "127.0.0.1:${port}", protocol: http1, routes: ${name}}`).join('\n')}
routes:
  - {name: one, routes: [{match: {path: /who}, direct_response: {body: one}}, {cluster: app}]}
  - {name: two, routes: [{match: {path: /who}, direct_response: {body: two}}, {cluster: app}]}
clusters: [{name: app, hosts: "127.0.0.1:${upstream.port}"}]
`;
  const sluice = await start(t, { config: config([['one', a!], ['two', b!]]) });
  assert.equal((await get(a!, '/who')).text, 'one');
  await change(sluice, config([['one', b!], ['two', a!]]));
  assert.equal((await get(a!, '/who')).text, 'two');
  assert.equal((await get(b!, '/who')).text, 'one');

  const kept = await open(t, b!);
  kept.send('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  assert.equal((await kept.reply()).headers['connection'], undefined);
  const busy = await open(t, b!);
  busy.send('GET /never HTTP/1.1\r\nhost: x\r\n\r\n');
  await until('it is in flight', async () => (await sluice.metric('sluice_listener_active_requests')) === 1);
  await change(sluice, config([['two', a!]]));
  assert.equal(await accepts(b!), false);
  kept.send('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  assert.equal((await kept.reply()).headers['connection'], 'close');
  const cut = await busy.reply();
  assert.equal(cut.status, 503);
  assert.match(cut.body.toString(), /listener one was removed/);
  await busy.whenClosed();
  await until('its line', () => sluice.lines.includes('one GET /never 503 listener-removed'));
  const left = await sluice.json<{ name: string }[]>('/listeners');
  assert.deepEqual(left.map((l) => l.name), ['two']);
  assert.equal(await sluice.metric('sluice_listener_active_requests'), 0);
  assert.equal(await sluice.metric('sluice_listener_active_connections', '"one"'), 0);
});

test('a refused object keeps its last version and the rest is taken; /config tells what is wanted, running and rejected', { timeout: 60_000 }, async (t) => {
  const [port, extra] = await freePorts(2);
  const config = (body: string, more: string): string => `
listeners:${listener(port!)}
  - {name: extra, address: "127.0.0.1:${extra}", protocol: http1, routes: extra}
routes:
  - {name: main, routes: [{direct_response: {body: "${body}"}}]}
${more}`;
  const good = '  - {name: extra, routes: [{direct_response: {body: good}}]}\n';
  const sluice = await start(t, { config: config('one', good) });
  const first = await sluice.json<ConfigState>('/config');
  assert.deepEqual([first.wanted, first.running, first.rejected], [1, 1, null]);

  const state = await change(sluice, config('two', '  - {name: extra, routes: [{direct_respons: {body: better}}]}\n'));
  assert.deepEqual([state.wanted, state.running], [2, 2]);
  assert.equal(state.rejected!.at, 'routes[1] extra');
  for (const problem of state.rejected!.problems) assert.match(problem, /sluice\.yaml:11:\d+: routes\[1\]\.routes\[0\]/);
  assert.match(state.rejected!.problems.join(), /did you mean direct_response/);
  assert.equal((await get(port!)).text, 'two', 'the rest is taken');
  assert.equal((await get(extra!)).text, 'good', 'what was refused stays as it was');
  assert.equal(await sluice.metric('sluice_config_rejected_total'), 1);
  assert.equal((await sluice.get('/ready')).status, 200);
  assert.match(sluice.stderr, /routes\[1\]\.routes\[0\]/);

  // A file that is no YAML changes nothing at all.
  replace(sluice, 'listeners: [');
  sluice.kill('SIGHUP');
  const broken = await until('it is refused', async () => {
    const found = await sluice.json<ConfigState>('/config');
    return found.rejected !== null && !found.rejected.at.startsWith('routes') ? found : null;
  });
  assert.deepEqual([broken.wanted, broken.running], [2, 2]);
  assert.match(broken.rejected!.problems[0]!, /sluice\.yaml:2:\d+/);
  assert.equal((await get(port!)).text, 'two');
  assert.equal((await get(extra!)).text, 'good');
  const answer = await fetch(`http://${sluice.admin}/reload`, { method: 'POST' });
  assert.equal(answer.status, 422);
  assert.match(await answer.text(), /sluice\.yaml:2/);

  const mended = await change(sluice, config('three', good.replace('good', 'best')));
  assert.equal(mended.rejected, null);
  assert.equal((await get(extra!)).text, 'best');
});

test('a listener whose address is taken is told, does not hold up the rest, and opens when the address is free', { timeout: 60_000 }, async (t) => {
  const holder = await serveRaw(t, () => {});
  const [port] = await freePorts(1);
  const config = (body: string, more = ''): string => `
listeners:${listener(port!)}${more}
routes: [{name: main, routes: [{direct_response: {body: "${body}"}}]}]
`;
  const sluice = await start(t, { config: config('one') });
  const state = await change(sluice, config('two', `\n  - {name: late, address: "127.0.0.1:${holder.port}", protocol: http1, routes: main}`));
  assert.equal((await get(port!)).text, 'two');
  assert.match(state.rejected!.problems.join(), new RegExp(`listener late cannot listen on 127.0.0.1:${holder.port}: EADDRINUSE`));
  const ready = await sluice.get('/ready');
  assert.equal(ready.status, 503);
  assert.match(ready.text, /listener late/);
  const listeners = await sluice.json<{ name: string; state: string }[]>('/listeners');
  assert.deepEqual(listeners.map((l) => [l.name, l.state]), [['http', 'listening'], ['late', 'failed']]);
  await holder.close();
  await sluice.ready();
  assert.equal((await get(holder.port)).text, 'two');
  assert.equal((await sluice.json<ConfigState>('/config')).rejected, null);
});

test('filters of a listener change for clients that come now, not for those that are in', { timeout: 60_000 }, async (t) => {
  const [port] = await freePorts(1);
  const config = (action: string): string => `
listeners:${listener(port!, `\n    network_filters: [{type: ip_access, rules: [{action: ${action}, addresses: [127.0.0.0/8]}]}]`)}
routes: [{name: main, routes: [{direct_response: {body: "in"}}]}]
`;
  const sluice = await start(t, { config: config('allow') });
  const client = await open(t, port!);
  const ask = async (): Promise<string> => {
    client.send('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    return (await client.reply()).body.toString();
  };
  assert.equal(await ask(), 'in');
  await change(sluice, config('deny'));
  assert.equal(await ask(), 'in');
  const other = await open(t, port!);
  await other.whenEnded();
  assert.equal(other.total, 0);
  await until('the refusal is counted', async () => (await sluice.metric('sluice_listener_refused_total', 'ip-denied')) === 1);
  await change(sluice, config('allow'));
  assert.equal((await get(port!)).text, 'in');
});

test('how connections are used changes with the cluster: calls that run finish on the old ones, new ones go by the new rule', { timeout: 60_000 }, async (t) => {
  const held: (() => void)[] = [];
  const host = await serveBolt(t, ({ content }, answer) => void held.push(() => answer(content)));
  const [port] = await freePorts(1);
  const config = (more: string): string => `
listeners: [{name: in, address: "127.0.0.1:${port}", protocol: bolt, cluster: app}]
clusters: [{name: app, hosts: "127.0.0.1:${host.port}", protocol: bolt${more}}]
`;
  const sluice = await start(t, { config: config('') });
  const client = await openBolt(t, port!);
  const round = async (calls: number, connections: number): Promise<void> => {
    const before = held.length;
    const ids = Array.from({ length: calls }, (_, i) => client.request(`call ${i}`));
    await until('all are at the host', () => held.length === before + calls);
    assert.equal(host.sockets.size, connections);
    for (const answer of held.splice(before)) answer();
    for (const [i, id] of ids.entries()) assert.equal((await client.reply(id)).content.toString(), `call ${i}`);
  };
  await round(6, 1);
  const old = client.request('old');
  await until('it is at the host', () => held.length === 1);
  await change(sluice, config(', connections_per_host: 3'));
  await round(6, 4);
  held.shift()!();
  assert.equal((await client.reply(old)).content.toString(), 'old');
  await until('the old connection ends with its last call', () => host.sockets.size === 3);
  await change(sluice, config(', pool: exclusive'));
  await round(5, 5);
  await change(sluice, config(''));
  await until('the idle ones end', () => host.sockets.size === 0);
  await round(6, 1);
  assert.equal((await sluice.json<{ levels: { connections: number } }[]>('/clusters'))[0]!.levels.connections, 1);
  assert.equal(await sluice.metric('sluice_cluster_active_connections'), 1);
});

test('a listener changes its protocol at the same address; clients of the old one finish', { timeout: 60_000 }, async (t) => {
  const host = await serveRaw(t, (socket) => socket.pipe(socket));
  const [port] = await freePorts(1);
  const config = (protocol: string, where: string): string => `
listeners: [{name: in, address: "127.0.0.1:${port}", protocol: ${protocol}, ${where}}]
routes: [{name: main, routes: [{terminal: echo}]}]
clusters: [{name: app, hosts: "127.0.0.1:${host.port}"}]
`;
  const sluice = await start(t, { config: config('http1', 'routes: main') });
  const client = await open(t, port!);
  const ask = async (): Promise<string | undefined> => {
    client.send('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi');
    const reply = await client.reply();
    assert.equal(reply.body.toString(), 'hi');
    return reply.headers['connection'];
  };
  assert.equal(await ask(), undefined);
  assert.equal((await change(sluice, config('bolt', 'routes: main'))).rejected, null);
  assert.equal(await ask(), 'close');
  const bolt = await openBolt(t, port!);
  assert.equal((await bolt.call('frame')).content.toString(), 'frame');
  assert.equal((await change(sluice, config('tcp', 'cluster: app'))).rejected, null);
  const raw = await open(t, port!);
  raw.send('anything');
  await raw.when('its echo', () => raw.text === 'anything');
});

// Two workers that share their listeners: both serve, what is limited is limited for both together, and one goes on when the other dies.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { transport } from '../../src/network/transport/current.js';
import { get, open, serveHttp, type RawClient } from '../support/http.js';
import { freePorts, start, until, type Sluice } from '../support/sluice.js';
import { Load } from './load.js';

const skip = transport().sharesListeners ? false : `Node ${process.version} on ${process.platform} cannot share a listener between threads (Linux and 22.12, or 23.1 and later)`;

const trap = `
export const manifest = (api) => ({
  kind: 'stream-filter', name: 'trap', doc: 'Loops on one path.',
  create: () => {
    const path = api.headerName(':path');
    return { name: 'trap', onRequest(exchange, head) { if (head.get(path) === '/loop') for (;;); return api.CONTINUE; } };
  },
});
`;

async function startTwo(t: TestContext, config: string): Promise<Sluice> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-workers-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'sluice.yaml');
  writeFileSync(join(folder, 'trap.mjs'), trap);
  writeFileSync(file, `admin: "\${ADMIN}"\nworkers: 2\n${config}`);
  const sluice = await start(t, { file });
  assert.deepEqual((await sluice.json<{ id: number; state: string }[]>('/workers')).map(({ id, state }) => [id, state]), [[1, 'running'], [2, 'running']]);
  return sluice;
}

/** The worker of each client, by the ports that the admin shows. */
async function workersOf(sluice: Sluice, clients: readonly RawClient[]): Promise<number[]> {
  const all = await sluice.json<{ side: string; remote: string; worker: number }[]>('/connections');
  return clients.map(({ socket }) => all.find(({ side, remote }) => side === 'downstream' && remote === `127.0.0.1:${socket.localPort}`)!.worker);
}

async function ask(client: RawClient, path: string): Promise<string> {
  client.send(`GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`);
  return (await client.reply()).body.toString();
}

test('both serve, over shared counters, with ids and log lines that do not mix', { timeout: 60_000, skip }, async (t) => {
  const ids = new Set<string>();
  const host = await serveHttp(t, (request, response) => {
    ids.add(String(request.headers['x-request-id']));
    response.end('ok');
  });
  const [port] = await freePorts(1);
  const sluice = await startTwo(t, `
access_log: {format: "%request_id% %path% %response_code% ${'.'.repeat(200)}"}
listeners: [{name: in, address: "127.0.0.1:${port}", protocol: http1, cluster: app}]
clusters: [{name: app, hosts: "127.0.0.1:${host.port}"}]
`);
  const clients = await Promise.all(Array.from({ length: 40 }, () => open(t, port!)));
  const rounds = 25;
  for (let i = 0; i < rounds; i++) for (const answer of await Promise.all(clients.map((client) => ask(client, `/${i}`)))) assert.equal(answer, 'ok');
  const workers = await workersOf(sluice, clients);
  for (const id of [1, 2]) assert.ok(workers.filter((worker) => worker === id).length >= 5, `worker ${id} has ${workers.filter((worker) => worker === id).length} of 40`);
  const total = clients.length * rounds;
  assert.equal(ids.size, total, 'no id twice');
  assert.equal(await sluice.metric('sluice_listener_requests_total'), total);
  assert.equal(await sluice.metric('sluice_listener_open_connections'), 40);
  const state = await sluice.json<{ connections: number }[]>('/listeners');
  assert.equal(state[0]!.connections, 40);
  await until('every line', () => sluice.lines.length === total);
  for (const line of sluice.lines) assert.match(line, /^\S+ \/\d+ 200 \.{200}$/);
  assert.equal(new Set(sluice.lines.map((line) => line.split(' ')[0])).size, total);
  for (const client of clients) client.end();
  sluice.kill('SIGTERM');
  assert.equal(await sluice.exited, 0);
});

test('the limits of a cluster and of a listener hold for both workers together', { timeout: 60_000, skip }, async (t) => {
  const held: ServerResponse[] = [];
  const host = await serveHttp(t, (_request, response) => void held.push(response));
  const [port, limited] = await freePorts(2);
  const sluice = await startTwo(t, `
access_log: false
listeners:
  - {name: in, address: "127.0.0.1:${port}", protocol: http1, cluster: app}
  - {name: limited, address: "127.0.0.1:${limited}", protocol: http1, routes: main, network_filters: [{type: connection_limit, max_connections: 6}]}
routes: [{name: main, routes: [{direct_response: {body: "in"}}]}]
clusters: [{name: app, hosts: "127.0.0.1:${host.port}", breaker: {max_requests: 5}}]
`);
  // One after the other, so that no two workers decide in the same instant.
  const clients: RawClient[] = [];
  const statuses: Promise<number>[] = [];
  for (let i = 0; i < 30; i++) {
    const client = await open(t, port!);
    clients.push(client);
    const before = await sluice.metric('sluice_listener_requests_total');
    client.send('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    statuses.push(client.reply().then(({ status }) => status));
    await until('it was taken', async () => (await sluice.metric('sluice_listener_requests_total')) === before + 1);
  }
  assert.equal(new Set(await workersOf(sluice, clients)).size, 2);
  await until('five are at the host', () => held.length === 5);
  assert.equal((await sluice.json<{ levels: { requests: number } }[]>('/clusters'))[0]!.levels.requests, 5);
  for (const response of held.splice(0)) response.end();
  const all = await Promise.all(statuses);
  assert.equal(all.filter((status) => status === 200).length, 5);
  assert.equal(all.filter((status) => status === 503).length, 25);
  assert.equal((await sluice.json<{ levels: { requests: number } }[]>('/clusters'))[0]!.levels.requests, 0);

  let served = 0;
  for (let i = 0; i < 20; i++) {
    const client = await open(t, limited!);
    client.send('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    await client.when('a reply or the end', () => client.total > 0 || client.ended).catch(() => {});
    if (client.total > 0) served++;
  }
  assert.equal(served, 6);
  await until('the others are counted', async () => (await sluice.metric('sluice_listener_refused_total', 'connection-limit')) === 14);
});

test('one worker loops: the clients of the other notice nothing, and a new one takes its place; nothing counted is lost or left', { timeout: 60_000, skip }, async (t) => {
  const host = await serveHttp(t, (_request, response) => response.end('ok'));
  const [port] = await freePorts(1);
  const sluice = await startTwo(t, `
access_log: false
plugins: [./trap.mjs]
listeners: [{name: in, address: "127.0.0.1:${port}", protocol: http1, cluster: app, stream_filters: [trap]}]
clusters: [{name: app, hosts: "127.0.0.1:${host.port}"}]
`);
  const clients = await Promise.all(Array.from({ length: 30 }, () => open(t, port!)));
  for (const client of clients) assert.equal(await ask(client, '/'), 'ok');
  const workers = await workersOf(sluice, clients);
  const doomed = workers[0]!;
  const safe = clients.filter((_, i) => workers[i] !== doomed);
  const lost = clients.filter((_, i) => workers[i] === doomed);
  assert.ok(safe.length > 0);
  const before = await sluice.metric('sluice_listener_requests_total');
  lost[0]!.send('GET /loop HTTP/1.1\r\nhost: x\r\n\r\n');
  let asked = 0;
  while (!lost.every(({ closed }) => closed)) {
    for (const client of safe) {
      const began = Date.now();
      assert.equal(await ask(client, '/'), 'ok');
      assert.ok(Date.now() - began < 1000, 'as fast as ever');
      asked++;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.match(sluice.stderr, new RegExp(`a worker stands still.*worker=${doomed}`));
  await sluice.ready();
  for (const client of safe) assert.equal(await ask(client, '/'), 'ok');
  // Ready is who has one worker that serves: the new one may take a moment more.
  const fresh: RawClient[] = [];
  await until('the new worker serves as well', async () => {
    const more = await Promise.all(Array.from({ length: 10 }, () => open(t, port!)));
    for (const client of more) assert.equal(await ask(client, '/'), 'ok');
    fresh.push(...more);
    return (await workersOf(sluice, more)).includes(doomed);
  }, 30_000);
  assert.equal(await sluice.metric('sluice_listener_requests_total'), before + 1 + asked + safe.length + fresh.length);
  assert.equal(await sluice.metric('sluice_listener_open_connections'), safe.length + fresh.length);
  assert.equal(await sluice.metric('sluice_listener_active_requests'), 0);
  assert.equal((await sluice.json<{ levels: { requests: number; connections: number } }[]>('/clusters'))[0]!.levels.connections, host.sockets.size);
});

test('reloads, health and unix sockets reach both workers', { timeout: 60_000, skip }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-unix-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const [port, a, b] = await freePorts(3);
  const first = await serveHttp(t, (_request, response) => response.end('a'), a!);
  await serveHttp(t, (_request, response) => response.end('b'), b!);
  const config = (body: string): string => `
access_log: false
listeners:
  - {name: in, address: "127.0.0.1:${port}", protocol: http1, routes: main}
  - {name: file, address: "unix:${folder}/in.sock", protocol: http1, routes: main}
routes: [{name: main, routes: [{match: {path: /version}, direct_response: {body: ${body}}}, {cluster: app}]}]
clusters: [{name: app, hosts: "127.0.0.1:${a},127.0.0.1:${b}", health_check: {type: tcp, interval: 200ms, retry_interval: 50ms, unhealthy_threshold: 2}}]
`;
  const sluice = await startTwo(t, config('one'));
  const clients = await Promise.all(Array.from({ length: 20 }, () => open(t, port!)));
  const asks = (path: string): Promise<string[]> => Promise.all(clients.map((client) => ask(client, path)));
  assert.deepEqual(new Set(await asks('/version')), new Set(['one']));
  assert.equal(new Set(await workersOf(sluice, clients)).size, 2);
  assert.deepEqual(new Set(await asks('/')), new Set(['a', 'b']));
  assert.equal((await get(0, '/version', { socketPath: `${folder}/in.sock` })).text, 'one');

  writeFileSync(sluice.file, `admin: "\${ADMIN}"\nworkers: 2\n${config('two')}`);
  assert.equal((await fetch(`http://${sluice.admin}/reload`, { method: 'POST' })).status, 200);
  assert.deepEqual(new Set(await asks('/version')), new Set(['two']));
  assert.equal((await get(0, '/version', { socketPath: `${folder}/in.sock` })).text, 'two');

  await first.close();
  await until('both workers know', async () => (await asks('/')).every((name) => name === 'b'));
  const load = new Load(t, { port: port!, lanes: 8 });
  await load.more(100);
  await load.stop();
  assert.deepEqual(load.failures, []);
});

test('a drain goes on while either worker has something to do, and whoever comes until then is served', { timeout: 60_000, skip }, async (t) => {
  const held: ServerResponse[] = [];
  const host = await serveHttp(t, (_request, response) => void held.push(response));
  const [port] = await freePorts(1);
  const sluice = await startTwo(t, `
access_log: false
listeners: [{name: in, address: "127.0.0.1:${port}", protocol: http1, cluster: app}]
clusters: [{name: app, hosts: "127.0.0.1:${host.port}"}]
`);
  const slow = async (): Promise<RawClient> => {
    const client = await open(t, port!);
    const n = held.length;
    client.send('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    await until('it is at the host', () => held.length === n + 1);
    return client;
  };
  const first = await slow();
  sluice.kill('SIGTERM');
  await until('it drains', async () => (await sluice.get('/ready')).status === 503);
  const [busy] = await workersOf(sluice, [first]);
  // The worker that has nothing to do gives its share of the address up; the other gets everybody.
  await until('the other worker is done', async () => {
    const client = await slow();
    return (await workersOf(sluice, [client]))[0] === busy && held.length > 12;
  });
  const others = held.length - 1;
  held[0]!.end('first');
  assert.equal((await first.reply()).body.toString(), 'first');
  await first.whenClosed();
  assert.ok(sluice.running);
  for (const response of held.slice(1)) response.end('other');
  assert.equal(await sluice.exited, 0);
  assert.ok(others >= 12);
  assert.equal(held.filter((response) => response.writableFinished).length, others + 1, 'none was cut');
});

// A worker that loops, dies or runs out of memory is replaced: only its connections are lost, nothing counted is lost, nothing held is kept.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { get, open, serveHttp } from '../support/http.js';
import { freePorts, start, until, type Sluice } from '../support/sluice.js';

/** A filter with every fault that JavaScript can have, each on a path of its own. */
const trap = `
export const manifest = {
  kind: 'stream-filter', name: 'trap', doc: 'Faults, by path.',
  create: () => ({
    name: 'trap',
    onRequest(exchange, head) {
      const path = new TextDecoder().decode(head.find(PATH) ? head.vbuf.subarray(head.vstart, head.vend) : new Uint8Array(0));
      if (path === '/loop') for (;;);
      if (path === '/throw') throw new Error('thrown by the trap');
      if (path === '/throw-later') setTimeout(() => { throw new Error('thrown later by the trap'); }, 10);
      if (path === '/reject') void Promise.reject(new Error('rejected by the trap'));
      // Small things only: for one that is too large by itself V8 ends the process, whichever thread wanted it.
      if (path === '/memory') { let list = null; for (let i = 0; ; i++) list = { list, i, more: { i } }; }
      return 0;
    },
  }),
};
const PATH = { name: ':path', lower: ':path', bytes: new Uint8Array(0), hash: 0, part: 2 };
`;

interface Setting {
  readonly sluice: Sluice;
  readonly port: number;
  readonly host: Awaited<ReturnType<typeof serveHttp>>;
}

async function setting(t: TestContext, env: Record<string, string> = {}): Promise<Setting> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-worker-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const host = await serveHttp(t, (request, response) => {
    if (request.url !== '/never') response.end('ok');
  });
  const [port] = await freePorts(1);
  const file = join(folder, 'sluice.yaml');
  writeFileSync(join(folder, 'trap.mjs'), trap);
  writeFileSync(file, `
admin: "\${ADMIN}"
workers: 1
plugins: [./trap.mjs]
access_log: {format: "%operation% %response_code% %reason%"}
listeners: [{name: in, address: "127.0.0.1:${port}", protocol: http1, routes: main, stream_filters: [trap]}]
routes: [{name: main, routes: [{match: {path: /own}, direct_response: {body: "own"}}, {cluster: app}]}]
clusters: [{name: app, hosts: "127.0.0.1:${host.port}"}]
`);
  return { sluice: await start(t, { file, env }), port: port!, host };
}

/** Looks at every counter again and again: none may fall, not even while a worker is dead. */
class CounterWatch {
  looks = 0;
  readonly falls: string[] = [];
  private last: Record<string, number> = {};
  private over = false;
  private readonly done: Promise<void>;

  constructor(sluice: Sluice) {
    this.done = this.run(sluice);
  }

  private async run(sluice: Sluice): Promise<void> {
    while (!this.over) {
      const now = await sluice.json<Record<string, number>>('/counters');
      for (const [name, value] of Object.entries(this.last)) {
        if (/_total(\{|$)/.test(name) && (now[name] ?? 0) < value) this.falls.push(`${name}: ${value} to ${now[name] ?? 'nothing'}`);
      }
      this.last = now;
      this.looks++;
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
  }

  async stop(): Promise<void> {
    this.over = true;
    await this.done;
  }
}

/** Has the worker killed by a request for `path` while it holds all kinds of things, and sees what is left. */
async function survive({ sluice, port, host }: Setting, t: TestContext, path: string, log: RegExp, limit: number): Promise<void> {
  for (let i = 0; i < 10; i++) assert.equal((await get(port)).status, 200);
  const idle = await open(t, port);
  idle.send('GET /own HTTP/1.1\r\nhost: x\r\n\r\n');
  await idle.reply();
  const waiting = await open(t, port);
  waiting.send('GET /never HTTP/1.1\r\nhost: x\r\n\r\n');
  const level = async (): Promise<number> => (await sluice.json<{ levels: { requests: number } }[]>('/clusters'))[0]!.levels.requests;
  await until('it counts in the breaker', async () => (await level()) === 1);
  const requests = await sluice.metric('sluice_listener_requests_total');
  const seconds = await sluice.metric('sluice_listener_request_seconds_count');

  const watch = new CounterWatch(sluice);
  const began = Date.now();
  const killer = await open(t, port);
  killer.send(`GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`);
  await Promise.all([idle, waiting, killer].map((client) => client.whenClosed(limit)));
  await until('the next worker serves', async () => (await get(port, '/own').catch(() => null))?.text === 'own', limit);
  const took = Date.now() - began;
  assert.ok(took < limit, `${took} ms`);
  for (let i = 0; i < 10; i++) assert.equal((await get(port)).status, 200, 'the cluster is used as before');
  await watch.stop();
  assert.ok(watch.looks > 3);
  assert.deepEqual(watch.falls, []);

  assert.match(sluice.stderr, log);
  assert.match(sluice.stderr, /another takes its place/);
  await sluice.ready();
  // idle, waiting, killer; one by one until it served; 10.
  assert.ok((await sluice.metric('sluice_listener_requests_total')) >= requests + 12);
  assert.ok((await sluice.metric('sluice_listener_request_seconds_count')) >= seconds + 11);
  assert.equal(await level(), 0);
  await until('nothing is held any more', async () => {
    const held = ['sluice_listener_active_requests', 'sluice_listener_active_connections', 'sluice_listener_open_connections', 'sluice_cluster_active_requests', 'sluice_cluster_pending_requests'];
    for (const name of held) if ((await sluice.metric(name)) !== 0) return false;
    return true;
  });
  const [cluster] = await sluice.json<{ levels: { connections: number } }[]>('/clusters');
  assert.equal(cluster!.levels.connections, host.sockets.size, 'the connections of the dead worker are closed and not counted');
  assert.equal(await sluice.metric('sluice_cluster_active_connections'), host.sockets.size);
  const [worker] = await sluice.json<{ id: number; state: string; version: number }[]>('/workers');
  assert.deepEqual([worker!.id, worker!.state, worker!.version], [1, 'running', 1]);
}

test('a filter that throws ends its exchange and nothing else; a rejected promise ends nothing', { timeout: 60_000 }, async (t) => {
  const { sluice, port } = await setting(t);
  const client = await open(t, port);
  const ask = async (path: string): Promise<number> => {
    client.send(`GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`);
    return (await client.reply()).status;
  };
  assert.equal(await ask('/own'), 200);
  assert.equal(await ask('/throw'), 500);
  assert.equal(await ask('/reject'), 200);
  await until('it is told', () => /rejected by the trap/.test(sluice.stderr));
  assert.equal(await ask('/own'), 200);
  assert.match(sluice.stderr, /a filter threw.*thrown by the trap/);
  await until('their lines', () => sluice.lines.length === 4);
  assert.deepEqual(sluice.lines, ['GET /own 200 -', 'GET /throw 500 filter-threw', 'GET /reject 200 -', 'GET /own 200 -']);
  assert.equal(await sluice.metric('sluice_listener_filter_errors_total'), 1);
});

test('a worker in an endless loop is replaced, twice', { timeout: 90_000 }, async (t) => {
  const it = await setting(t);
  await survive(it, t, '/loop', /a worker stands still/, 12_000);
  await survive(it, t, '/loop', /a worker stands still/, 12_000);
  it.sluice.kill('SIGTERM');
  assert.equal(await it.sluice.exited, 0);
});

test('a worker that dies of an exception nobody caught is replaced', { timeout: 60_000 }, async (t) => {
  const it = await setting(t);
  await survive(it, t, '/throw-later', /a worker failed.*thrown later by the trap/, 12_000);
});

test('a worker that runs out of memory is replaced', { timeout: 90_000 }, async (t) => {
  const it = await setting(t, { NODE_OPTIONS: '--max-old-space-size=96' });
  // On a busy machine it may spend so long in search of memory that it counts as standing still.
  await survive(it, t, '/memory', /a worker failed.*memory|a worker stands still/i, 25_000);
});

test('a worker that loops while it drains does not hold up the end', { timeout: 60_000 }, async (t) => {
  const { sluice, port } = await setting(t);
  const waiting = await open(t, port);
  waiting.send('GET /never HTTP/1.1\r\nhost: x\r\n\r\n');
  const killer = await open(t, port);
  killer.send('GET /own HTTP/1.1\r\nhost: x\r\n\r\n');
  await killer.reply();
  await until('it is in flight', async () => (await sluice.metric('sluice_listener_active_requests')) === 1);
  sluice.kill('SIGTERM');
  await until('it drains', async () => (await sluice.get('/ready')).status === 503);
  killer.send('GET /loop HTTP/1.1\r\nhost: x\r\n\r\n');
  const began = Date.now();
  assert.equal(await sluice.exited, 0);
  assert.ok(Date.now() - began < 12_000, 'long before drain_timeout');
  assert.match(sluice.stderr, /a worker ended while it drained/);
});

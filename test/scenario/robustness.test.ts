// What a hostile or broken world does to a proxy: floods of garbage, clients and hosts that vanish at every moment. Nothing may stay behind.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { get, open, serveHttp, serveRaw } from '../support/http.js';
import { freePorts, start, until, type Sluice } from '../support/sluice.js';
import { frame, openBolt, serveBolt } from './bolt-peer.js';

/** A generator of the same numbers each time for a seed (mulberry32), so that a failure can be had again. */
function randomOf(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const seed = Number(process.env['SEED'] ?? 20_260_101);
const CONNECTIONS = 500;

interface ClusterState {
  readonly name: string;
  readonly hosts: readonly { readonly active: number; readonly connections: number }[];
  readonly levels: Readonly<Record<'connections' | 'pending' | 'requests' | 'retries', number>>;
}

/** Everything that is counted up and down must be back at zero, save idle connections to hosts, which must be counted alike everywhere. */
async function nothingIsHeld(sluice: Sluice): Promise<void> {
  const zero = [
    'sluice_listener_active_requests', 'sluice_listener_active_connections', 'sluice_listener_open_connections', 'sluice_tcp_active_connections',
    'sluice_cluster_active_requests', 'sluice_cluster_pending_requests',
  ];
  let state = '';
  await until('nothing is held any more', async () => {
    const held: string[] = [];
    for (const name of zero) if ((await sluice.metric(name)) !== 0) held.push(`${name} ${await sluice.metric(name)}`);
    for (const { name, hosts, levels } of await sluice.json<ClusterState[]>('/clusters')) {
      const idle = hosts.reduce((sum, host) => sum + host.connections, 0);
      const active = hosts.reduce((sum, host) => sum + host.active, 0);
      const counted = await sluice.metric('sluice_cluster_active_connections', `cluster="${name}"`);
      if (active + levels.pending + levels.requests + levels.retries !== 0 || levels.connections !== idle || counted !== idle) held.push(`${name} ${JSON.stringify({ hosts, levels, counted })}`);
    }
    const downstream = (await sluice.json<{ side: string }[]>('/connections')).filter(({ side }) => side === 'downstream').length;
    if (downstream !== 0) held.push(`${downstream} connections of clients`);
    state = held.join('; ');
    return state === '';
  }, 15_000).catch((error: Error) => assert.fail(`${error.message}: ${state}`));
}

/** Runs `one` for each of `n` connections, 50 at a time; each ends with its socket closed. */
async function flood(port: number, n: number, one: (socket: Socket, i: number) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < n) {
      const i = next++;
      const socket = connect({ port, host: '127.0.0.1' });
      socket.on('error', () => {});
      const closed = new Promise((resolve) => void socket.once('close', resolve));
      try {
        await once(socket, 'connect');
        await one(socket, i);
      } catch {
        // A reset while it connected: as good as any other.
      }
      socket.destroy();
      await closed;
    }
  };
  await Promise.all(Array.from({ length: 50 }, lane));
}

const write = (socket: Socket, bytes: Uint8Array | string): Promise<void> => new Promise((resolve) => socket.write(bytes, () => resolve()));
const moment = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1));

/** Waits until the peer has said or ended anything, or a while. */
function answered(socket: Socket, ms = 300): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      resolve();
    };
    const timer = setTimeout(done, ms);
    socket.once('data', done);
    socket.once('close', done);
  });
}

interface Setting {
  readonly sluice: Sluice;
  readonly http: number;
  readonly bolt: number;
  readonly tcp: number;
}

async function setting(t: TestContext, hosts: { readonly http: string; readonly bolt: string; readonly tcp: string }, more = ''): Promise<Setting> {
  const [http, bolt, tcp] = (await freePorts(3)) as [number, number, number];
  const sluice = await start(t, {
    config: `
access_log: {path: stdout, format: "%protocol% %operation% %response_code% %reason%"}
listeners:
  - {name: http, address: "127.0.0.1:${http}", protocol: http1, routes: main, timeouts: {head: 400ms}}
  - {name: bolt, address: "127.0.0.1:${bolt}", protocol: bolt, routes: rpc, timeouts: {head: 400ms}}
  - {name: tcp, address: "127.0.0.1:${tcp}", protocol: tcp, cluster: tcp}
routes:
  - {name: main, routes: [{match: {path: /own}, direct_response: {body: own}}, {cluster: http, timeout: 1s}]}
  - {name: rpc, routes: [{cluster: bolt}]}
clusters:
  - {name: http, hosts: "${hosts.http}", connect_timeout: 500ms${more}}
  - {name: bolt, hosts: "${hosts.bolt}", protocol: bolt, connect_timeout: 500ms${more}}
  - {name: tcp, hosts: "${hosts.tcp}", connect_timeout: 500ms${more}}
`,
  });
  return { sluice, http, bolt, tcp };
}

async function goodHosts(t: TestContext): Promise<{ http: string; bolt: string; tcp: string }> {
  const http = await serveHttp(t, (request, response) => {
    request.on('error', () => {});
    request.resume();
    if (request.url === '/slow') setTimeout(() => response.end('slow'), 30);
    else if (request.url === '/long') {
      response.writeHead(200);
      for (let i = 0; i < 20; i++) response.write(Buffer.alloc(16 * 1024, i));
      setTimeout(() => response.end(), 20);
    } else response.end('ok');
  });
  const bolt = await serveBolt(t, ({ content }, answer) => {
    if (content.toString().startsWith('slow')) setTimeout(() => answer('slow'), 30);
    else answer(content.toString() === 'long' ? Buffer.alloc(500_000) : 'ok');
  });
  const tcp = await serveRaw(t, (socket) => socket.pipe(socket));
  return { http: `127.0.0.1:${http.port}`, bolt: `127.0.0.1:${bolt.port}`, tcp: `127.0.0.1:${tcp.port}` };
}

async function stillServes({ http, bolt, tcp }: Setting, t: TestContext): Promise<void> {
  assert.equal((await get(http, '/x')).text, 'ok');
  const client = await openBolt(t, bolt);
  assert.equal((await client.call('x')).content.toString(), 'ok');
  const raw = await open(t, tcp);
  raw.send('echo');
  assert.equal((await raw.take(4)).toString(), 'echo');
  client.raw.end();
  raw.end();
}

test(`garbage on every port: ${CONNECTIONS} connections each (seed ${seed})`, { timeout: 120_000 }, async (t) => {
  const it = await setting(t, await goodHosts(t));
  const random = randomOf(seed);
  const bytes = (n: number): Buffer => Buffer.from(Array.from({ length: n }, () => Math.floor(random() * 256)));
  const request = Buffer.from('POST /x HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\nx-more: abc\r\n\r\nhello');
  const call = frame({ id: 7, headers: { service: 'a.b.C' }, content: Buffer.from('hello') });
  const damaged = (whole: Buffer): Buffer => {
    const copy = Buffer.from(whole);
    for (let k = 0; k < 3; k++) copy[Math.floor(random() * copy.length)] = Math.floor(random() * 256);
    return copy;
  };
  const garbage = (whole: Buffer, i: number): Buffer => {
    switch (i % 5) {
      case 0: return bytes(1 + Math.floor(random() * 2000));
      case 1: return whole.subarray(0, Math.floor(random() * whole.length));
      case 2: return damaged(whole);
      case 3: return Buffer.concat([whole, damaged(whole), whole]);
      default: return Buffer.concat([whole, bytes(50)]);
    }
  };
  const plans: { port: number; whole: Buffer }[] = [{ port: it.http, whole: request }, { port: it.bolt, whole: call }, { port: it.tcp, whole: bytes(3000) }];
  for (const { port, whole } of plans) {
    await flood(port, CONNECTIONS, async (socket, i) => {
      await write(socket, garbage(whole, i));
      if (i % 3 === 0) await moment();
      else if (i % 3 === 1) await answered(socket, 30);
      if (i % 2 === 0) socket.resetAndDestroy();
      else socket.end();
    });
  }
  await nothingIsHeld(it.sluice);
  await stillServes(it, t);
  await nothingIsHeld(it.sluice);
  assert.ok(it.sluice.running);
  assert.doesNotMatch(it.sluice.stderr, /a worker ended|internal/);
  assert.equal(await it.sluice.metric('sluice_listener_accepted_total', '"http"'), CONNECTIONS + 1);
  const reasons = (await it.sluice.get('/counters?prefix=sluice_listener_reasons_total')).text;
  assert.match(reasons, /bad-request/);
  assert.match(reasons, /bad-frame/);
});

test(`clients that reset in every phase: ${CONNECTIONS} connections of each kind`, { timeout: 120_000 }, async (t) => {
  const it = await setting(t, await goodHosts(t), ', breaker: {max_connections: 40}');
  const httpPhases: ((socket: Socket) => Promise<unknown>)[] = [
    async () => {},
    (s) => write(s, 'GET /ok HT'),
    (s) => write(s, 'GET /ok HTTP/1.1\r\nhost: x\r\n'),
    (s) => write(s, 'POST /ok HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf'),
    (s) => write(s, 'POST /ok HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nff\r\nhalf'),
    (s) => write(s, 'GET /slow HTTP/1.1\r\nhost: x\r\n\r\n'),
    async (s) => { await write(s, 'GET /slow HTTP/1.1\r\nhost: x\r\n\r\n'); await moment(); },
    async (s) => { await write(s, 'GET /long HTTP/1.1\r\nhost: x\r\n\r\n'); await answered(s); },
    async (s) => { await write(s, 'GET /ok HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(3)); await answered(s); },
    async (s) => { await write(s, 'GET /ok HTTP/1.1\r\nhost: x\r\n\r\n'); await answered(s); },
  ];
  await flood(it.http, CONNECTIONS, async (socket, i) => {
    await httpPhases[i % httpPhases.length]!(socket);
    if (i % 4 === 3) socket.end();
    else socket.resetAndDestroy();
  });
  await nothingIsHeld(it.sluice);

  const slow = frame({ id: 1, headers: { service: 'a' }, content: Buffer.from('slow') });
  const boltPhases: ((socket: Socket) => Promise<unknown>)[] = [
    async () => {},
    (s) => write(s, slow.subarray(0, 15)),
    (s) => write(s, slow.subarray(0, slow.length - 2)),
    (s) => write(s, slow),
    async (s) => { await write(s, Buffer.concat([slow, slow, slow])); await moment(); },
    async (s) => { await write(s, frame({ id: 2, headers: { service: 'a' }, content: Buffer.from('long') })); await answered(s); },
    async (s) => { await write(s, frame({ id: 3, headers: { service: 'a' }, content: Buffer.alloc(400_000) }).subarray(0, 300_000)); await moment(); },
  ];
  await flood(it.bolt, CONNECTIONS, async (socket, i) => {
    await boltPhases[i % boltPhases.length]!(socket);
    if (i % 4 === 3) socket.end();
    else socket.resetAndDestroy();
  });
  await nothingIsHeld(it.sluice);

  await flood(it.tcp, CONNECTIONS, async (socket, i) => {
    if (i % 3 > 0) await write(socket, Buffer.alloc(i % 2 === 0 ? 10 : 100_000));
    if (i % 3 > 1) await answered(socket);
    if (i % 4 === 3) socket.end();
    else socket.resetAndDestroy();
  });
  await nothingIsHeld(it.sluice);
  await stillServes(it, t);
  assert.doesNotMatch(it.sluice.stderr, /a worker ended|internal/);
});

/** What a host may do to a connection; the number picks one. */
const misdeeds: readonly ((socket: Socket) => void)[] = [
  (s) => s.resetAndDestroy(),
  (s) => void s.once('data', () => s.resetAndDestroy()),
  (s) => void s.once('data', () => s.end()),
  (s) => void s.once('data', () => s.end('HTTP/1.1 200 OK\r\ncontent-le')),
  (s) => void s.once('data', () => s.write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf', () => s.resetAndDestroy())),
  (s) => void s.once('data', () => s.end('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nff\r\nhalf')),
  (s) => void s.once('data', () => s.write('nonsense\r\n\r\n\x01\x02')),
  (s) => void s.once('data', () => s.write(Buffer.from([1, 0, 0, 2, 1, 0, 0, 0, 9]), () => s.resetAndDestroy())),
  (s) => void s.resume(),
];

test('hosts that reset, close, cut, babble, stay silent or refuse: each request has an end with its true reason', { timeout: 120_000 }, async (t) => {
  let n = 0;
  const bad = await serveRaw(t, (socket) => {
    misdeeds[n++ % misdeeds.length]!(socket);
    // Whatever it does, it does not stay for ever when its peer has ended: bytes carried over TCP have no other time limit.
    socket.on('end', () => socket.end());
  });
  const [refusing] = await freePorts(1);
  const it = await setting(t, { http: `127.0.0.1:${bad.port}`, bolt: `127.0.0.1:${bad.port}`, tcp: `127.0.0.1:${bad.port},127.0.0.1:${refusing}` }, ', breaker: {max_connections: 30}');
  const statuses = new Map<string, number>();
  await flood(it.http, 150, async (socket) => {
    await write(socket, 'GET /x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
    await new Promise((resolve) => void (socket.destroyed ? resolve(null) : socket.once('close', resolve)));
    const status = /^HTTP\/1\.1 (\d+)/.exec(text)?.[1] ?? 'none';
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
  });
  assert.equal([...statuses.values()].reduce((a, b) => a + b), 150);
  assert.equal(statuses.get('none'), undefined, 'every client got an answer');
  for (const status of ['200', '502', '504']) assert.ok((statuses.get(status) ?? 0) > 0, `${status}: ${JSON.stringify([...statuses])}`);
  await nothingIsHeld(it.sluice);
  await until('all their lines', () => it.sluice.lines.length === 150);
  const reasons = new Set(it.sluice.lines.map((line) => line.split(' ').at(-1)));
  for (const reason of ['upstream-reset', 'upstream-closed', 'reply-cut', 'bad-reply', 'request-timeout']) assert.ok(reasons.has(reason), `${reason}: ${[...reasons].join()}`);
  assert.equal(it.sluice.lines.filter((line) => line.endsWith(' -')).length, 0, 'none of them ended well');

  const client = await openBolt(t, it.bolt);
  const frames = [];
  for (let i = 0; i < 60; i++) {
    const id = client.request('x', { timeout: 700 });
    if (i % 5 === 4) frames.push(await client.reply(id));
  }
  for (let id = 1; id <= 60; id++) assert.notEqual((await client.reply(id)).status, 0);
  client.raw.end();
  await nothingIsHeld(it.sluice);

  await flood(it.tcp, 100, async (socket) => {
    await write(socket, 'x');
    await answered(socket, 100);
    socket.end();
  });
  await nothingIsHeld(it.sluice);
  assert.ok(it.sluice.running);
  assert.equal((await get(it.http, '/own')).text, 'own');
  assert.doesNotMatch(it.sluice.stderr, /a worker ended|internal/);
});

test('slow writers are cut by the time limit for heads, with the reason', { timeout: 60_000 }, async (t) => {
  const it = await setting(t, await goodHosts(t));
  const trickle = async (port: number, bytes: Buffer): Promise<string> => {
    const client = await open(t, port);
    for (const byte of bytes) {
      if (client.ended) break;
      client.send(Buffer.from([byte]));
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await client.whenClosed();
    return client.text;
  };
  const [http, bolt] = await Promise.all([trickle(it.http, Buffer.from('GET / HTTP/1.1\r\nhost: example.com\r\n')), trickle(it.bolt, frame({ id: 1, content: Buffer.alloc(100) }))]);
  assert.match(http, /^HTTP\/1\.1 408 /);
  assert.match(http, /did not arrive within 400 ms/);
  assert.equal(bolt, '', 'no frame can answer one whose id is not known to be whole');
  await until('their lines', () => it.sluice.lines.filter((line) => line.endsWith('head-timeout')).length === 2);
  await nothingIsHeld(it.sluice);
});

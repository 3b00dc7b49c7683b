// Peers that do not read: memory stays bounded, the other side is held back and loses nothing, everybody else goes on.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { once } from 'node:events';
import { test, type TestContext } from 'node:test';
import { get, open, serveHttp, serveRaw } from '../support/http.js';
import { freePorts, start, until, type Sluice } from '../support/sluice.js';
import { frame, openBolt, parse, serveBolt } from './bolt-peer.js';

const MB = 1024 * 1024;
/** By how much memory may grow; a later Node's young generation alone grows by more than 32 MB under load. */
const ROOM = (Number(process.versions.node.split('.')[0]) < 22 ? 70 : 100) * MB;

/** A socket that is connected and never read, until `drain`. */
async function deaf(t: TestContext, port: number, bytes: string | Buffer): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1' });
  t.after(() => void socket.destroy());
  socket.on('error', () => {});
  await once(socket, 'connect');
  socket.pause();
  socket.write(bytes);
  return socket;
}

/** Waits until a number stands still for a while; what it is then. */
async function settled(what: string, value: () => number, ms = 400): Promise<number> {
  let last = -1;
  let since = Date.now();
  await until(`${what} stands still`, () => {
    const now = value();
    if (now !== last) {
      last = now;
      since = Date.now();
    }
    return Date.now() - since >= ms;
  }, 20_000);
  return last;
}

const memory = (sluice: Sluice): Promise<number> => sluice.metric('sluice_process_resident_memory_bytes');

test('HTTP and TCP: 20 clients that do not read hold their hosts back; others are served; reading on brings every byte', { timeout: 120_000 }, async (t) => {
  const piece = randomBytes(64 * 1024);
  const size = 40 * MB;
  let written = 0;
  const pump = (socket: NodeJS.WritableStream & { destroyed?: boolean }, done: () => void): void => {
    let left = size;
    const go = (): void => {
      while (left > 0 && socket.destroyed !== true) {
        left -= piece.length;
        written += piece.length;
        if (!socket.write(piece)) return void socket.once('drain', go);
      }
      done();
    };
    go();
  };
  const http = await serveHttp(t, (request, response) => {
    if (request.url !== '/big') return void response.end('small');
    response.on('error', () => {});
    response.writeHead(200, { 'content-length': size });
    pump(response, () => response.end());
  });
  const tcp = await serveRaw(t, (socket) => pump(socket, () => socket.end()));
  const [port, tcpPort] = await freePorts(2);
  const sluice = await start(t, {
    config: `
workers: 1
access_log: {format: "%operation% %response_code% %reason% %bytes_sent%"}
listeners:
  - {name: http, address: "127.0.0.1:${port}", protocol: http1, cluster: http}
  - {name: tcp, address: "127.0.0.1:${tcpPort}", protocol: tcp, cluster: tcp}
clusters:
  - {name: http, hosts: "127.0.0.1:${http.port}"}
  - {name: tcp, hosts: "127.0.0.1:${tcp.port}"}
`,
  });
  for (let i = 0; i < 20; i++) await get(port!);
  const before = await memory(sluice);
  const readers = await Promise.all(Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? deaf(t, port!, 'GET /big HTTP/1.1\r\nhost: x\r\n\r\n') : deaf(t, tcpPort!, ''))));
  const stood = await settled('what hosts have written', () => written);
  assert.ok(stood < 20 * size * 0.7, `hosts have written ${Math.round(stood / MB)} of ${(20 * size) / MB} MB`);
  const grew = (await memory(sluice)) - before;
  assert.ok(grew < ROOM, `memory grew by ${Math.round(grew / MB)} MB`);
  for (let i = 0; i < 50; i++) assert.equal((await get(port!)).text, 'small');
  const connections = await sluice.json<{ side: string; unsent: number }[]>('/connections');
  for (const { unsent } of connections) assert.ok(unsent < 2 * MB, `${unsent} bytes wait in one connection`);

  // Each kind reads on: nothing is lost or changed.
  const sum = createHash('sha256');
  for (let n = 0; n < size; n += piece.length) sum.update(piece);
  const wanted = sum.digest('hex');
  const finish = async (socket: Socket, tcpKind: boolean): Promise<void> => {
    const got = createHash('sha256');
    let n = 0;
    let head = tcpKind;
    socket.on('data', (chunk: Buffer) => {
      let body = chunk;
      if (!head) {
        const at = chunk.indexOf('\r\n\r\n');
        assert.ok(at > 0, 'the head comes in one packet');
        head = true;
        body = chunk.subarray(at + 4);
      }
      n += body.length;
      got.update(body);
    });
    socket.resume();
    await until('all of it came', () => n >= size, 30_000);
    assert.equal(n, size);
    assert.equal(got.digest('hex'), wanted);
  };
  await finish(readers[0]!, false);
  await finish(readers[1]!, true);
  for (const socket of readers) socket.destroy();
  await until('nothing is left', async () => (await sluice.metric('sluice_listener_open_connections')) === 0);
  assert.equal(await sluice.metric('sluice_cluster_active_requests'), 0);
});

test('a host that does not read its requests holds the client back, whose bytes wait in no memory of ours', { timeout: 60_000 }, async (t) => {
  let taken = 0;
  const sockets: Socket[] = [];
  const host = await serveRaw(t, (socket) => {
    socket.pause();
    sockets.push(socket);
  });
  const [port] = await freePorts(1);
  const sluice = await start(t, {
    config: `
workers: 1
access_log: false
listeners: [{name: in, address: "127.0.0.1:${port}", protocol: http1, routes: main}]
routes: [{name: main, routes: [{cluster: app, timeout: 30s}]}]
clusters: [{name: app, hosts: "127.0.0.1:${host.port}"}]
`,
  });
  const before = await memory(sluice);
  const size = 60 * MB;
  const client = await open(t, port!);
  client.send(`POST / HTTP/1.1\r\nhost: x\r\ncontent-length: ${size}\r\n\r\n`);
  const piece = randomBytes(64 * 1024);
  let sent = 0;
  const go = (): void => {
    while (sent < size) {
      sent += piece.length;
      if (!client.socket.write(piece)) return void client.socket.once('drain', go);
    }
  };
  go();
  const stood = await settled('what the client could send', () => sent);
  assert.ok(stood < 30 * MB, `${Math.round(stood / MB)} MB were taken`);
  const grew = (await memory(sluice)) - before;
  assert.ok(grew < 25 * MB, `memory grew by ${Math.round(grew / MB)} MB`);
  let head = '';
  sockets[0]!.on('data', (chunk: Buffer) => {
    taken += chunk.length;
    if (!head.includes('\r\n\r\n')) head += chunk.toString('latin1', 0, 4096);
  });
  sockets[0]!.resume();
  await until('the host has it all', () => taken >= size, 20_000);
  assert.equal(taken, size + head.indexOf('\r\n\r\n') + 4);
  sockets[0]!.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
  assert.equal((await client.reply()).body.toString(), 'ok');
});

test('Bolt: clients that do not read their long replies harm nobody on the connection they share', { timeout: 60_000 }, async (t) => {
  const long = randomBytes(6 * MB);
  const host = await serveBolt(t, ({ content }, answer) => answer(content.toString() === 'long' ? long : content));
  const [port] = await freePorts(1);
  const sluice = await start(t, {
    config: `
workers: 1
access_log: {format: "%response_code% %reason%"}
listeners: [{name: in, address: "127.0.0.1:${port}", protocol: bolt, cluster: app}]
clusters: [{name: app, hosts: "127.0.0.1:${host.port}", protocol: bolt}]
`,
  });
  const others = await Promise.all(Array.from({ length: 4 }, () => openBolt(t, port!)));
  const before = await memory(sluice);
  let calls = 0;
  let slowest = 0;
  let over = false;
  const work = Promise.all(others.map(async (client) => {
    while (!over) {
      const began = Date.now();
      const reply = await client.call(`call ${calls++}`);
      slowest = Math.max(slowest, Date.now() - began);
      assert.equal(reply.status, 0, reply.content.toString('latin1'));
      assert.match(reply.content.toString(), /^call /);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }));
  // They fail the test at once, not only when they are awaited.
  work.catch(() => (over = true));
  await until('the others are at work', () => calls > 40);
  const readers: Socket[] = [];
  for (let i = 0; i < 6; i++) {
    readers.push(await deaf(t, port!, frame({ id: 99, headers: { service: 'a' }, timeout: 60_000, content: Buffer.from('long') })));
    const from = calls;
    await until('the others go on', () => over || calls > from + 40);
  }
  // Past the second that a connection has before it may stand still.
  const from = calls;
  const until_ = Date.now() + 1500;
  await until('they went on through it', () => over || (Date.now() > until_ && calls > from + 100));
  over = true;
  await work;
  assert.ok(slowest < 1000, `the slowest call took ${slowest} ms`);
  const grew = (await memory(sluice)) - before;
  assert.ok(grew < ROOM, `memory grew by ${Math.round(grew / MB)} MB`);
  assert.deepEqual(sluice.lines.filter((line) => line !== '200 -'), []);

  // The slow ones get every byte when they read.
  for (const socket of readers) {
    let bytes: Buffer = Buffer.alloc(0);
    const pieces: Buffer[] = [];
    let n = 0;
    socket.on('data', (chunk: Buffer) => {
      pieces.push(chunk);
      n += chunk.length;
    });
    socket.resume();
    await until('the long reply came', () => n > long.length);
    bytes = Buffer.concat(pieces);
    const reply = parse(bytes)!;
    assert.equal(reply.frame.id, 99);
    assert.ok(reply.frame.content.equals(long));
    socket.end();
  }
  for (const client of others) client.raw.end();
  await until('nothing is left', async () => (await sluice.metric('sluice_listener_open_connections')) === 0);
  assert.equal(await sluice.metric('sluice_cluster_active_requests'), 0);
  await until('former connections are closed', () => host.sockets.size <= 1);
});

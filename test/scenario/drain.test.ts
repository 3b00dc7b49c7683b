// SIGTERM in the middle of everything: not ready at once, peers told, addresses still open, what runs finished or cut in time, exit 0.
import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import { accepts, get, open, serveHttp, serveRaw } from '../support/http.js';
import { freePorts, start, until } from '../support/sluice.js';
import { openBolt, serveBolt } from './bolt-peer.js';

const config = (ports: readonly number[], upstreams: { http: number; bolt: number; tcp: number }, drain: string, goaway = false): string => `
drain_timeout: ${drain}
access_log: {format: "%protocol% %operation% %response_code% %reason%"}
listeners:
  - {name: http, address: "127.0.0.1:${ports[0]}", protocol: http1, cluster: http}
  - {name: bolt, address: "127.0.0.1:${ports[1]}", protocol: bolt, cluster: bolt, options: {goaway: ${goaway}}}
  - {name: tcp, address: "127.0.0.1:${ports[2]}", protocol: tcp, cluster: tcp}
clusters:
  - {name: http, hosts: "127.0.0.1:${upstreams.http}"}
  - {name: bolt, hosts: "127.0.0.1:${upstreams.bolt}", protocol: bolt}
  - {name: tcp, hosts: "127.0.0.1:${upstreams.tcp}"}
`;

test('a drain tells every peer, serves who still comes, finishes what runs and exits with 0', { timeout: 60_000 }, async (t) => {
  const held: ServerResponse[] = [];
  const calls: (() => void)[] = [];
  const http = await serveHttp(t, (request, response) => (request.url === '/slow' ? held.push(response) : response.end(`you asked ${request.url}`)));
  const bolt = await serveBolt(t, ({ content }, answer) => (content.toString() === 'slow' ? calls.push(() => answer('slow done')) : answer(`echo ${content.toString()}`)));
  const tcp = await serveRaw(t, (socket) => socket.pipe(socket));
  const ports = await freePorts(3);
  const [httpPort, boltPort, tcpPort] = ports as [number, number, number];
  const sluice = await start(t, { config: config(ports, { http: http.port, bolt: bolt.port, tcp: tcp.port }, '30s', true) });

  const idle = await open(t, httpPort);
  idle.send('GET /idle HTTP/1.1\r\nhost: x\r\n\r\n');
  assert.equal((await idle.reply()).headers['connection'], undefined, 'before the drain connections are kept');
  const lazy = await open(t, httpPort);
  lazy.send('GET /lazy HTTP/1.1\r\nhost: x\r\n\r\n');
  await lazy.reply();
  const busy = await open(t, httpPort);
  busy.send('GET /slow HTTP/1.1\r\nhost: x\r\n\r\n');
  const caller = await openBolt(t, boltPort);
  const call = caller.request('slow');
  const quiet = await openBolt(t, boltPort);
  assert.equal((await quiet.call('hello')).content.toString(), 'echo hello');
  const tunnel = await open(t, tcpPort);
  tunnel.send('first ');
  await until('everything is under way', () => held.length === 1 && calls.length === 1 && tunnel.received.length === 6);

  const began = Date.now();
  sluice.kill('SIGTERM');
  const state = await until('not ready', async () => {
    const { status, text } = await sluice.get('/ready');
    return status === 503 ? text : null;
  });
  assert.deepEqual(JSON.parse(state), { ready: false, waiting: ['draining'] });
  assert.ok(Date.now() - began < 1000, 'at once');

  // Clients that do not know yet still connect, and are told with their reply.
  const late = await open(t, httpPort);
  late.send('GET /late HTTP/1.1\r\nhost: x\r\n\r\n');
  const answer = await late.reply();
  assert.equal(answer.body.toString(), 'you asked /late');
  assert.equal(answer.headers['connection'], 'close');
  await late.whenEnded();
  assert.ok(await accepts(tcpPort), 'the tcp listener accepts');

  // A connection that was idle when the drain began has a moment for a request that is on its way.
  lazy.send('GET /on-its-way HTTP/1.1\r\nhost: x\r\n\r\n');
  const onItsWay = await lazy.reply();
  assert.equal(onItsWay.status, 200);
  assert.equal(onItsWay.headers['connection'], 'close');
  await lazy.whenEnded();

  // Both Bolt connections get a go-away at once; the idle one is still served for that moment, then both idle ones end.
  await caller.goAway(2000);
  await quiet.goAway(2000);
  assert.equal((await quiet.call('again')).content.toString(), 'echo again');
  const late2 = await openBolt(t, boltPort);
  await late2.goAway(2000);
  assert.equal((await late2.call('late')).content.toString(), 'echo late');
  for (const client of [idle, quiet.raw, late2.raw]) {
    await client.whenEnded(5000);
    client.end();
    assert.equal(client.error, '', 'ended in order');
  }
  assert.ok(sluice.running, 'it waits for what runs');

  tunnel.send('second');
  await tunnel.when('the echo', () => tunnel.text === 'first second');
  held[0]!.end('slow done');
  const reply = await busy.reply();
  assert.equal(reply.body.toString(), 'slow done');
  assert.equal(reply.headers['connection'], 'close');
  await busy.whenEnded();
  calls[0]!();
  assert.equal((await caller.reply(call)).content.toString(), 'slow done');
  await caller.raw.whenEnded(5000);
  caller.raw.end();
  assert.ok(sluice.running, 'the tunnel is still there');
  tunnel.end();
  await tunnel.whenClosed(5000);
  assert.equal(tunnel.error, '');

  assert.equal(await sluice.exited, 0);
  assert.ok(Date.now() - began < 20_000, 'no deadline was waited for');
  assert.equal(await accepts(httpPort), false);
  const bad = sluice.lines.filter((line) => !line.startsWith('tcp ') && !line.endsWith(' 200 -'));
  assert.deepEqual(bad, [], 'every exchange ended well');
  // idle, lazy, late, lazy again, busy; hello, again, late, slow; the tunnel and the two probes of `accepts`.
  assert.equal(sluice.lines.filter((line) => line.startsWith('http1 ')).length, 5);
  assert.equal(sluice.lines.filter((line) => line.startsWith('bolt ')).length, 4);
  assert.match(sluice.stderr, /draining/);
});

test('what outlives drain_timeout is cut: HTTP and Bolt clients get the reason where no reply began, and the exit code is still 0', { timeout: 60_000 }, async (t) => {
  const http = await serveHttp(t, (request, response) => {
    if (request.url === '/half') response.writeHead(200, { 'content-length': 100 }).write('half of it');
  });
  const bolt = await serveBolt(t, () => {});
  const tcp = await serveRaw(t, (socket) => socket.pipe(socket));
  const ports = await freePorts(3);
  const sluice = await start(t, { config: config(ports, { http: http.port, bolt: bolt.port, tcp: tcp.port }, '700ms') });
  const silent = await open(t, ports[0]!);
  silent.send('GET /never HTTP/1.1\r\nhost: x\r\n\r\n');
  const half = await open(t, ports[0]!);
  half.send('GET /half HTTP/1.1\r\nhost: x\r\n\r\n');
  await half.when('the first half', () => half.text.endsWith('half of it'));
  const caller = await openBolt(t, ports[1]!);
  const call = caller.request('never');
  const tunnel = await open(t, ports[2]!);
  tunnel.send('x');
  await tunnel.take(1);
  await until('all are in flight', async () => (await sluice.metric('sluice_listener_active_requests')) === 3);

  const began = Date.now();
  sluice.kill('SIGTERM');
  const reply = await silent.reply();
  assert.equal(reply.status, 503);
  assert.match(reply.body.toString(), /drain deadline/);
  const frame = await caller.reply(call);
  assert.notEqual(frame.status, 0);
  assert.match(frame.content.toString('latin1'), /drain deadline/);
  for (const client of [half, silent, caller.raw, tunnel]) await client.whenClosed(5000);
  assert.ok(half.text.endsWith('half of it'), 'a reply that had begun cannot become another one');
  assert.equal(await sluice.exited, 0);
  const took = Date.now() - began;
  assert.ok(took >= 650 && took < 6000, `${took} ms`);
  assert.deepEqual(
    sluice.lines.filter((line) => !line.startsWith('tcp')).sort(),
    ['bolt com.example.Test:1.0 503 drain-deadline', 'http1 GET /half 200 drain-deadline', 'http1 GET /never 503 drain-deadline'],
  );
  assert.match(sluice.lines.find((line) => line.startsWith('tcp'))!, /drain-deadline$/);
  assert.match(sluice.stderr, /the drain deadline passed/);
});

test('Bolt clients that know no go-away are served until they have been quiet for a second, then their connections end in order', { timeout: 60_000 }, async (t) => {
  const calls: (() => void)[] = [];
  const bolt = await serveBolt(t, ({ content }, answer) => (content.toString() === 'slow' ? calls.push(() => answer('slow done')) : answer(`echo ${content.toString()}`)));
  const ports = await freePorts(3);
  const sluice = await start(t, { config: config(ports, { http: bolt.port, bolt: bolt.port, tcp: bolt.port }, '30s') });
  const busy = await openBolt(t, ports[1]!);
  const call = busy.request('slow');
  const quiet = await openBolt(t, ports[1]!);
  const regular = await openBolt(t, ports[1]!);
  assert.equal((await quiet.call('hello')).content.toString(), 'echo hello');
  await until('the slow call runs', () => calls.length === 1);
  sluice.kill('SIGTERM');
  await until('it drains', async () => (await sluice.get('/ready')).status === 503);
  const late = await openBolt(t, ports[1]!);
  let n = 0;
  while (!quiet.raw.ended || !late.raw.ended) {
    assert.ok(++n < 50, 'the quiet connections end');
    assert.equal((await regular.call(`call ${n}`)).content.toString(), `echo call ${n}`);
    await new Promise((r) => setTimeout(r, 100));
  }
  assert.ok(n > 5, `after ${n} calls: not at once`);
  assert.ok(!regular.raw.ended && !busy.raw.ended, 'the others are served on');
  calls[0]!();
  assert.equal((await busy.reply(call)).content.toString(), 'slow done');
  for (const client of [quiet, late, regular, busy]) {
    await client.raw.whenEnded(5000);
    client.read();
    assert.deepEqual(client.others, [], 'no frame that a client could misunderstand');
    client.raw.end();
  }
  assert.equal(await sluice.exited, 0);
  assert.deepEqual(sluice.lines.filter((line) => !line.endsWith(' 200 -')), []);
});

test('a proxy in front takes a go-away well: one of two proxies behind it drains under load and no call is lost', { timeout: 60_000 }, async (t) => {
  const bolt = await serveBolt(t, ({ content }, answer) => void setTimeout(() => answer(`echo ${content.toString()}`), 10));
  const [front, ...behind] = await freePorts(3);
  const inner = await Promise.all(behind.map((port) => start(t, {
    config: `
listeners:
  - {name: bolt, address: "127.0.0.1:${port}", protocol: bolt, cluster: app, options: {goaway: true}}
clusters:
  - {name: app, hosts: "127.0.0.1:${bolt.port}", protocol: bolt}
`,
  })));
  const outer = await start(t, {
    config: `
access_log: {format: "%response_code% %reason% %attempts%"}
listeners:
  - {name: bolt, address: "127.0.0.1:${front}", protocol: bolt, cluster: app}
clusters:
  - {name: app, hosts: "127.0.0.1:${behind[0]},127.0.0.1:${behind[1]}", protocol: bolt}
`,
  });
  const client = await openBolt(t, front!);
  let next = 0;
  let over = false;
  const lanes = Array.from({ length: 8 }, async () => {
    while (!over) {
      const content = `call ${next++}`;
      const reply = await client.call(content);
      assert.equal(reply.content.toString(), `echo ${content}`);
    }
  });
  const done = Promise.all(lanes);
  await until('both are in use', async () => (await Promise.all(inner.map((s) => s.metric('sluice_listener_requests_total')))).every((n) => n > 20));
  const began = Date.now();
  inner[0]!.kill('SIGTERM');
  assert.equal(await inner[0]!.exited, 0);
  assert.ok(Date.now() - began < 10_000, 'long before its deadline, though its client never paused');
  const so = next;
  await until('calls go on', () => next > so + 100);
  over = true;
  await done;
  assert.deepEqual(outer.lines.filter((line) => !line.startsWith('200 - ')), []);
});

test('a second SIGTERM ends at once', { timeout: 30_000 }, async (t) => {
  const http = await serveHttp(t, () => {});
  const ports = await freePorts(3);
  const sluice = await start(t, { config: config(ports, { http: http.port, bolt: http.port, tcp: http.port }, '60s') });
  const client = await open(t, ports[0]!);
  client.send('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  await until('it is in flight', async () => (await sluice.metric('sluice_listener_active_requests')) === 1);
  sluice.kill('SIGTERM');
  await until('it drains', async () => (await sluice.get('/ready')).status === 503);
  assert.ok(sluice.running);
  const began = Date.now();
  sluice.kill('SIGTERM');
  assert.equal(await sluice.exited, 0);
  assert.ok(Date.now() - began < 3000, `${Date.now() - began} ms`);
  await client.whenClosed();
});

test('the admin drains and stops as well: a stop without a deadline takes drain_timeout, with one it takes that', { timeout: 30_000 }, async (t) => {
  const held: ServerResponse[] = [];
  const http = await serveHttp(t, (_request, response) => void held.push(response));
  const ports = await freePorts(3);
  const run = async (path: string): Promise<number | null> => {
    const sluice = await start(t, { config: config(ports, { http: http.port, bolt: http.port, tcp: http.port }, '60s') });
    const reply = get(ports[0]!, '/held');
    const number = held.length + 1;
    await until('it is in flight', () => held.length === number);
    const admin = await fetch(`http://${sluice.admin}${path}`, { method: 'POST' });
    assert.equal(admin.status, 202);
    await admin.text();
    if (path.includes('deadline')) {
      assert.equal((await reply).status, 503);
    } else {
      await until('it drains', async () => (await sluice.get('/ready')).status === 503);
      held.at(-1)!.end('done');
      assert.equal((await reply).text, 'done', path);
    }
    return sluice.exited;
  };
  assert.equal(await run('/drain'), 0);
  assert.equal(await run('/stop'), 0);
  assert.equal(await run('/stop?deadline=50ms'), 0);
});

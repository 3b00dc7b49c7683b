// Node's own HTTP client and server with the proxy between them: methods, bodies both ways, framing, upgrades, pipelines, old clients.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { Agent, request as httpRequest, type ClientRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { mkdtempSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { test } from 'node:test';
import { bodyOf, get, open, send, serveHttp, serveRaw } from '../support/http.js';
import { freePorts, start, until } from '../support/sluice.js';

const config = (port: number, upstream: number | string, more = ''): string => `
listeners: [{name: in, address: "127.0.0.1:${port}", protocol: http1, routes: main}]
routes: [{name: main, routes: [{cluster: app${more}}]}]
access_log: {format: "%operation% %response_code% %reason% %bytes_received% %bytes_sent%"}
clusters: [{name: app, hosts: "${typeof upstream === 'number' ? `127.0.0.1:${upstream}` : upstream}"}]
`;

test('every method with its body, its headers in their case and order, over connections that are used again on both sides', { timeout: 60_000 }, async (t) => {
  const seen: { method: string; raw: string[]; body: string }[] = [];
  const upstream = await serveHttp(t, (request, response) => {
    void bodyOf(request).then((body) => {
      seen.push({ method: request.method!, raw: request.rawHeaders, body: body.toString() });
      response.writeHead(200, 'Fine', ['X-Case-Kept', 'Yes', 'set-cookie', 'a=1', 'set-cookie', 'b=2', 'content-type', 'text/plain']);
      response.end(`${request.method} ${request.url} ${body.length}`);
    });
  });
  const [port] = await freePorts(1);
  const sluice = await start(t, { config: `workers: 1\n${config(port!, upstream.port)}` });
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND', 'M-SEARCH']) {
    const body = ['POST', 'PUT', 'PATCH', 'DELETE', 'PROPFIND'].includes(method) ? `body of ${method}` : '';
    const reply = await send(port!, { method, path: `/a%20b/c?x=1&y=%2F`, agent, headers: { 'X-MiXed': 'As Is', host: 'example.com', ...(body === '' ? {} : { 'content-length': String(body.length) }) } }, body === '' ? undefined : body);
    assert.equal(reply.status, 200);
    assert.equal(reply.text, `${method} /a%20b/c?x=1&y=%2F ${body.length}`);
    const at = reply.rawHeaders.indexOf('X-Case-Kept');
    assert.ok(at >= 0, reply.rawHeaders.join());
    assert.deepEqual(reply.headers['set-cookie'], ['a=1', 'b=2']);
    const last = seen.at(-1)!;
    assert.equal(last.method, method);
    assert.equal(last.body, body);
    assert.equal(last.raw[last.raw.indexOf('X-MiXed') + 1], 'As Is');
    assert.equal(last.raw.filter((name) => name.toLowerCase() === 'host').length, 1);
    assert.ok(last.raw.map((n) => n.toLowerCase()).includes('x-request-id'));
  }
  // Hop-by-hop headers are the connection's own.
  const hop = await open(t, port!);
  hop.send('GET /hop HTTP/1.1\r\nhost: x\r\nconnection: x-own, keep-alive\r\nx-own: 1\r\nkeep-alive: timeout=1\r\nte: gzip\r\nx-end: 2\r\n\r\n');
  await hop.reply();
  const names = seen.at(-1)!.raw.filter((_, i) => i % 2 === 0).map((n) => n.toLowerCase());
  for (const name of ['x-own', 'keep-alive', 'te']) assert.ok(!names.includes(name), `${name} is not passed on`);
  assert.ok(names.includes('x-end'));
  assert.equal(upstream.accepted(), 1, 'one connection to the host serves one after the other');
  assert.equal(await sluice.metric('sluice_listener_accepted_total'), 2);
});

test('160 MB go up and down at the same time, unchanged, while the proxy stays small', { timeout: 120_000 }, async (t) => {
  const MB = 1024 * 1024;
  const piece = randomBytes(MB);
  const size = 160 * MB;
  const wanted = createHash('sha256');
  for (let i = 0; i < size / MB; i++) wanted.update(piece);
  const digest = wanted.digest('hex');
  const source = (): Readable => Readable.from((function* () { for (let i = 0; i < size / MB; i++) yield piece; })());
  const sums: string[] = [];
  const upstream = await serveHttp(t, (request, response) => {
    const sum = createHash('sha256');
    request.on('data', (chunk: Buffer) => sum.update(chunk));
    request.on('end', () => sums.push(sum.digest('hex')));
    if (request.url === '/sized') response.setHeader('content-length', size);
    // The reply starts while the request still arrives.
    void pipeline(source(), response).catch(() => {});
  });
  const [port] = await freePorts(1);
  const sluice = await start(t, { config: `workers: 1\n${config(port!, upstream.port)}` });
  for (let i = 0; i < 20; i++) await send(port!, { method: 'HEAD', path: '/sized' });
  sums.length = 0;
  const before = await sluice.metric('sluice_process_resident_memory_bytes');
  let peak = before;
  const exchange = async (path: string, headers: Record<string, string>): Promise<void> => {
    const request = httpRequest({ host: '127.0.0.1', port, method: 'POST', path, headers, agent: false });
    const sent = pipeline(source(), request);
    const [reply] = (await once(request, 'response')) as [IncomingMessage];
    const sum = createHash('sha256');
    let received = 0;
    let looked = Date.now();
    for await (const chunk of reply) {
      received += (chunk as Buffer).length;
      sum.update(chunk as Buffer);
      if (Date.now() - looked > 50) {
        peak = Math.max(peak, await sluice.metric('sluice_process_resident_memory_bytes'));
        looked = Date.now();
      }
    }
    await sent;
    assert.equal(received, size);
    assert.equal(sum.digest('hex'), digest, 'the reply is unchanged');
    await until('the whole request arrived', () => sums.length > 0);
    assert.equal(sums.pop(), digest, 'the request is unchanged');
  };
  await exchange('/sized', { 'content-length': String(size) });
  await exchange('/chunked', { 'transfer-encoding': 'chunked' });
  // A later Node's young generation alone grows by more than 32 MB under such a load.
  assert.ok(peak - before < 110 * MB, `resident memory grew by ${Math.round((peak - before) / MB)} MB`);
});

test('chunks and trailers pass in both directions; Expect: 100-continue waits for the host', { timeout: 60_000 }, async (t) => {
  let trailers: NodeJS.Dict<string> = {};
  let continued = 0;
  const upstream = await serveHttp(t, (request, response) => {
    void bodyOf(request).then((body) => {
      trailers = request.trailers;
      response.writeHead(200, { trailer: 'x-sum', 'transfer-encoding': 'chunked' });
      response.write(body);
      response.addTrailers({ 'x-sum': String(body.length) });
      response.end();
    });
  });
  upstream.server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    continued++;
    if (request.url === '/no') response.writeHead(417).end('no');
    else {
      response.writeContinue();
      upstream.server.emit('request', request, response);
    }
  });
  const [port] = await freePorts(1);
  await start(t, { config: `workers: 1\n${config(port!, upstream.port)}` });
  const client = await open(t, port!);
  client.send('POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ntrailer: x-more\r\n\r\n5;ext=1\r\nhello\r\n');
  client.send('6\r\n world\r\n0\r\nx-more: yes\r\n\r\n');
  const reply = await client.reply();
  assert.equal(reply.body.toString(), 'hello world');
  assert.equal(reply.trailers['x-sum'], '11');
  assert.equal(trailers['x-more'], 'yes');

  client.send('POST /yes HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n');
  const go = await client.reply();
  assert.equal(go.status, 100);
  assert.equal(continued, 1, 'the host was asked, not the proxy');
  client.send('body');
  assert.equal((await client.reply()).body.toString(), 'body');

  client.send('POST /no HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n');
  const refused = await client.reply();
  assert.equal(refused.status, 417);
  assert.equal(refused.body.toString(), 'no');
});

test('HEAD, 204 and 304 have no body whatever their headers say, and the connection goes on', { timeout: 60_000 }, async (t) => {
  const upstream = await serveHttp(t, (request, response) => {
    if (request.url === '/204') response.writeHead(204).end();
    else if (request.url === '/304') response.writeHead(304, { etag: '"x"', 'content-length': '1000' }).end();
    else response.writeHead(200, { 'content-length': '5' }).end(request.method === 'HEAD' ? undefined : 'hello');
  });
  const [port] = await freePorts(1);
  await start(t, { config: `workers: 1\n${config(port!, upstream.port)}` });
  const client = await open(t, port!);
  for (const [method, path, status] of [['HEAD', '/', 200], ['GET', '/204', 204], ['GET', '/304', 304], ['HEAD', '/', 200], ['GET', '/', 200]] as const) {
    client.send(`${method} ${path} HTTP/1.1\r\nhost: x\r\n\r\n`);
    const reply = await client.reply(method);
    assert.equal(reply.status, status);
    if (method === 'HEAD') assert.equal(reply.headers['content-length'], '5');
    if (path === '/304') assert.equal(reply.headers['etag'], '"x"');
    assert.equal(reply.body.toString(), status === 200 && method === 'GET' ? 'hello' : '');
  }
  assert.equal(client.received.length, 0);
  assert.equal(upstream.accepted(), 1);
});

test('an upgrade becomes a tunnel, bytes that follow at once included, half-closed by either side; a refused one is a plain reply', { timeout: 60_000 }, async (t) => {
  const upstream = await serveHttp(t, (_request, response) => response.end('plain'));
  upstream.server.on('upgrade', (request: IncomingMessage, socket: Socket, early: Buffer) => {
    socket.allowHalfOpen = true;
    if (request.url === '/no') {
      socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno');
      return;
    }
    socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: raw\r\nconnection: upgrade\r\n\r\nwelcome ');
    let heard = early.toString();
    socket.on('data', (chunk: Buffer) => (heard += chunk.toString()));
    socket.on('end', () => socket.end(`heard ${heard}`));
  });
  const [port] = await freePorts(1);
  const sluice = await start(t, { config: config(port!, upstream.port, ', timeout: 200ms') });
  const client = await open(t, { port: port!, host: '127.0.0.1', allowHalfOpen: true });
  client.send('GET /chat HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: raw\r\n\r\nearly ');
  const reply = await client.reply();
  assert.equal(reply.status, 101);
  assert.equal(reply.headers['upgrade'], 'raw');
  await client.when('the welcome', () => client.text === 'welcome ');
  // The timeout of the route does not hold for tunnels: the exchange lives on after it.
  await until('the timeout has passed', async () => (await sluice.metric('sluice_process_start_time_seconds')) > 0 && (await new Promise((r) => setTimeout(() => r(true), 300))));
  client.send('binary \0\r\n\r\n then end');
  client.end();
  await client.when('what was heard', () => client.text === 'welcome heard early binary \0\r\n\r\n then end');
  await client.whenEnded();
  await until('its line', () => sluice.lines.some((line) => line.startsWith('GET /chat 101 -')));

  const refused = await open(t, port!);
  refused.send('GET /no HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: raw\r\n\r\n');
  const no = await refused.reply();
  assert.equal(no.status, 403);
  assert.equal(no.body.toString(), 'no');
  assert.equal(await sluice.metric('sluice_listener_active_requests'), 0);
});

test('CONNECT becomes a tunnel once the host agrees', { timeout: 60_000 }, async (t) => {
  const upstream = await serveHttp(t, (_request, response) => response.end());
  upstream.server.on('connect', (request: IncomingMessage, socket: Socket) => {
    if (request.url === 'bad.test:443') socket.end('HTTP/1.1 502 Bad Gateway\r\ncontent-length: 3\r\n\r\nbad');
    else {
      socket.write('HTTP/1.1 200 Connected\r\n\r\n');
      socket.pipe(socket);
    }
  });
  const [port] = await freePorts(1);
  await start(t, { config: `workers: 1\n${config(port!, upstream.port)}` });
  const client = await open(t, port!);
  client.send('CONNECT far.test:443 HTTP/1.1\r\nhost: far.test:443\r\n\r\n');
  const reply = await client.reply('CONNECT');
  assert.equal(reply.status, 200);
  assert.equal(reply.headers['transfer-encoding'], undefined);
  assert.equal(reply.headers['content-length'], undefined);
  client.send('over and out');
  await client.when('the echo', () => client.text === 'over and out');
  client.end();
  await client.whenClosed();
  const bad = await open(t, port!);
  bad.send('CONNECT bad.test:443 HTTP/1.1\r\nhost: bad.test:443\r\n\r\n');
  const no = await bad.reply();
  assert.equal(no.status, 502);
  assert.equal(no.body.toString(), 'bad');
});

test('pipelined requests are answered one after the other, in order, each sent to the host when its turn comes', { timeout: 60_000 }, async (t) => {
  let running = 0;
  let most = 0;
  const upstream = await serveHttp(t, (request, response) => {
    most = Math.max(most, ++running);
    void bodyOf(request).then((body) => setTimeout(() => {
      running--;
      response.end(`${request.url} ${body.toString()}`);
    }, request.url === '/0' ? 50 : 1));
  });
  const [port] = await freePorts(1);
  await start(t, { config: `workers: 1\n${config(port!, upstream.port)}` });
  const client = await open(t, port!);
  let bytes = '';
  for (let i = 0; i < 50; i++) bytes += i % 3 === 0 ? `GET /${i} HTTP/1.1\r\nhost: x\r\n\r\n` : i % 3 === 1 ? `POST /${i} HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nb${String(i).padStart(3, '0')}` : `POST /${i} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n2\r\nch\r\n2\r\nnk\r\n0\r\n\r\n`;
  client.send(bytes);
  for (let i = 0; i < 50; i++) {
    const reply = await client.reply();
    assert.equal(reply.body.toString(), `/${i} ${i % 3 === 0 ? '' : i % 3 === 1 ? `b${String(i).padStart(3, '0')}` : 'chnk'}`);
  }
  assert.equal(most, 1);
});

test('HTTP/1.0: closed after the reply unless keep-alive was asked for, a chunked reply without its chunks, and a reply that ends with its connection', { timeout: 60_000 }, async (t) => {
  const upstream = await serveRaw(t, (socket) => {
    socket.on('end', () => socket.end());
    socket.on('data', (chunk: Buffer) => {
      const path = chunk.toString().split(' ')[1];
      if (path === '/chunked') socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n');
      else if (path === '/until-close') socket.end('HTTP/1.1 200 OK\r\n\r\nall of it');
      else socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
    });
  });
  const [port] = await freePorts(1);
  await start(t, { config: `workers: 1\n${config(port!, upstream.port)}` });
  const old = await open(t, port!);
  old.send('GET / HTTP/1.0\r\nhost: x\r\n\r\n');
  assert.equal((await old.reply()).body.toString(), 'ok');
  await old.whenEnded();
  const kept = await open(t, port!);
  for (let i = 0; i < 2; i++) {
    kept.send('GET / HTTP/1.0\r\nhost: x\r\nconnection: keep-alive\r\n\r\n');
    const reply = await kept.reply();
    assert.equal(reply.body.toString(), 'ok');
    assert.equal(reply.headers['connection']?.toLowerCase(), 'keep-alive');
  }
  kept.send('GET /chunked HTTP/1.0\r\nhost: x\r\nconnection: keep-alive\r\n\r\n');
  const chunked = await kept.reply();
  assert.equal(chunked.headers['transfer-encoding'], undefined, 'a 1.0 client knows no chunks');
  assert.equal(chunked.body.toString(), 'hello world');
  const modern = await open(t, port!);
  for (let i = 0; i < 2; i++) {
    modern.send('GET /until-close HTTP/1.1\r\nhost: x\r\n\r\n');
    const whole = await modern.reply();
    assert.equal(whole.body.toString(), 'all of it');
    assert.equal(whole.headers['transfer-encoding'], 'chunked', 'the client learns where it ends, and keeps its connection');
  }
});

test('unix sockets on both sides', { timeout: 60_000 }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-sock-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const host = join(folder, 'host.sock');
  const mine = join(folder, 'in.sock');
  await serveHttp(t, (request, response) => response.end(`over a file: ${String(request.headers['x-from'])}`), host);
  const sluice = await start(t, {
    config: `
listeners: [{name: in, address: "unix:${mine}", protocol: http1, routes: main}]
routes: [{name: main, routes: [{cluster: app, request_headers: {set: {x-from: "%downstream_remote_address%"}}}]}]
access_log: {format: "%downstream_remote_address% %response_code% %upstream_host%"}
clusters: [{name: app, hosts: "unix:${host}"}]
`,
  });
  const reply = await get(0, '/', { socketPath: mine });
  assert.equal(reply.text, 'over a file: unix:');
  await until('its line', () => sluice.lines.includes(`unix: 200 unix:${host}`));
  const [cluster] = await sluice.json<{ hosts: { address: string }[] }[]>('/clusters');
  assert.equal(cluster!.hosts[0]!.address, `unix:${host}`);
});

/** The fixed part of a version 2 header, for TCP over IPv4. */
function proxyV2(source: string, port: number): Buffer {
  const header = Buffer.alloc(28);
  Buffer.from([0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a, 0x21, 0x11, 0x00, 0x0c]).copy(header);
  Buffer.from(source.split('.').map(Number)).copy(header, 16);
  Buffer.from([127, 0, 0, 1]).copy(header, 20);
  header.writeUInt16BE(port, 24);
  header.writeUInt16BE(80, 26);
  return header;
}

test('the PROXY protocol, versions 1 and 2, tells who the client is; without it nobody is let in', { timeout: 60_000 }, async (t) => {
  const [port] = await freePorts(1);
  const sluice = await start(t, {
    config: `
listeners: [{name: in, address: "127.0.0.1:${port}", protocol: http1, routes: main, listener_filters: [{type: proxy_protocol}]}]
routes: [{name: main, routes: [{direct_response: {body: "%downstream_remote_address%"}}]}]
`,
  });
  const request = 'GET / HTTP/1.1\r\nhost: x\r\n\r\n';
  const v1 = await open(t, port!);
  // In pieces, as a slow load balancer might.
  for (const piece of ['PROXY TCP4 203.0.113.', '7 127.0.0.1 4567 80\r', `\n${request}`]) {
    v1.send(piece);
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal((await v1.reply()).body.toString(), '203.0.113.7:4567');
  v1.send(request);
  assert.equal((await v1.reply()).body.toString(), '203.0.113.7:4567', 'for the whole connection');
  const v2 = await open(t, port!);
  v2.send(Buffer.concat([proxyV2('198.51.100.9', 999), Buffer.from(request)]));
  assert.equal((await v2.reply()).body.toString(), '198.51.100.9:999');
  const none = await open(t, port!);
  none.send(request);
  await none.whenClosed();
  assert.equal(none.total, 0);
  assert.equal(await sluice.metric('sluice_listener_first_bytes_errors_total'), 1);
});

test('a client that goes away takes its request at the host with it, at every moment', { timeout: 60_000 }, async (t) => {
  const gone: string[] = [];
  const held: ServerResponse[] = [];
  const upstream = await serveHttp(t, (request, response) => {
    request.on('error', () => {});
    response.on('close', () => {
      if (!response.writableFinished) gone.push(request.url!);
    });
    held.push(response);
    if (request.url === '/reply') response.writeHead(200, { 'content-length': 100 }).write('part');
  });
  const [port] = await freePorts(1);
  const sluice = await start(t, { config: `workers: 1\n${config(port!, upstream.port)}` });
  const leave = async (path: string, body: boolean, wait: (request: ClientRequest) => Promise<unknown>): Promise<void> => {
    const request = httpRequest({ host: '127.0.0.1', port, path, method: body ? 'POST' : 'GET', agent: false, headers: body ? { 'content-length': '100' } : {} });
    request.on('error', () => {});
    if (body) request.write('half');
    else request.end();
    await wait(request);
    request.destroy();
    await until(`the host learns that ${path} is off`, () => gone.includes(path));
  };
  await leave('/wait', false, () => until('it arrived', () => held.length === 1));
  await leave('/upload', true, () => until('it arrived', () => held.length === 2));
  await leave('/reply', false, (request) => once(request, 'response'));
  await until('their lines', () => sluice.lines.length === 3);
  for (const line of sluice.lines) assert.match(line, /downstream-(closed|reset)/);
  assert.equal(await sluice.metric('sluice_cluster_active_connections'), 0, 'unfinished connections are not used again');
});

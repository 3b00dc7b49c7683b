// A listener of several protocols in the real process: by first bytes, by ALPN, by upgrade to h2c, else carried as bytes or closed.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectHttp2, type ClientHttp2Session } from 'node:http2';
import { connect, createServer } from 'node:net';
import { resolve } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { get, open, serveHttp } from '../support/http.js';
import { freePort, start, until } from '../support/sluice.js';

const certs = resolve('test/support/certs');

async function echoServer(t: TestContext, hello = ''): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    if (hello !== '') socket.write(hello);
    socket.pipe(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return (server.address() as { port: number }).port;
}

async function ask(session: ClientHttp2Session, path: string): Promise<{ status: number; body: string }> {
  const stream = session.request({ ':path': path });
  const [headers] = (await once(stream, 'response')) as [Record<string, unknown>];
  let body = '';
  for await (const piece of stream) body += String(piece);
  return { status: Number(headers[':status']), body };
}

describe('a listener of several protocols', () => {
  test('serves HTTP/1.1 and HTTP/2 on one port, whatever the packets look like, and counts them', async (t) => {
    const host = await serveHttp(t, (request, response) => response.end(`${request.httpVersion} ${request.url}`));
    const port = await freePort();
    const sluice = await start(t, { config: `
listeners: [{name: web, address: 127.0.0.1:${port}, protocol: [http2, http1], cluster: c}]
clusters: [{name: c, protocol: http1, hosts: "127.0.0.1:${host.port}"}]
` });
    assert.equal((await get(port, '/one')).body.toString(), '1.1 /one');
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    t.after(() => session.destroy());
    assert.deepEqual(await ask(session, '/two'), { status: 200, body: '1.1 /two' });
    assert.deepEqual(await ask(session, '/three'), { status: 200, body: '1.1 /three' });

    // Byte by byte: the answer depends on the bytes, not on the packets.
    const slow = await open(t, port);
    for (const c of 'GET /slow HTTP/1.1\r\nhost: a\r\n\r\n') {
      slow.socket.write(c);
      await new Promise((r) => setImmediate(r));
    }
    assert.match((await slow.reply()).body.toString(), /\/slow$/);
    assert.equal(await sluice.metric('sluice_listener_detected_total', 'protocol="http1"'), 2);
    assert.equal(await sluice.metric('sluice_listener_detected_total', 'protocol="http2"'), 1);
  });

  test('takes the protocol that TLS agreed on, and offers both without being told to', async (t) => {
    const host = await serveHttp(t, (request, response) => response.end(request.url));
    const port = await freePort();
    const sluice = await start(t, { config: `
listeners:
  - {name: web, address: 127.0.0.1:${port}, protocol: [http1, http2], cluster: c, tls: {certificates: [{cert: ${certs}/localhost.pem, key: ${certs}/localhost.key}]}}
clusters: [{name: c, protocol: http1, hosts: "127.0.0.1:${host.port}"}]
` });
    const session = connectHttp2(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
    t.after(() => session.destroy());
    assert.deepEqual(await ask(session, '/tls'), { status: 200, body: '/tls' });
    assert.equal(session.alpnProtocol, 'h2');
    assert.equal(await sluice.metric('sluice_listener_detected_total', 'protocol="http2"'), 1);
  });

  test('lets an HTTP/1.1 client go on in h2c, and one with content in HTTP/1.1', async (t) => {
    const host = await serveHttp(t, (request, response) => {
      request.resume();
      request.on('end', () => response.end(`${request.method} ${request.url}`));
    });
    const port = await freePort();
    await start(t, { config: `
listeners: [{name: web, address: 127.0.0.1:${port}, protocol: [http2, http1], cluster: c}]
clusters: [{name: c, protocol: http1, hosts: "127.0.0.1:${host.port}"}]
` });
    const socket = connect(port, '127.0.0.1');
    t.after(() => socket.destroy());
    socket.write('GET /up HTTP/1.1\r\nhost: a\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQCAAAA\r\n\r\n');
    let bytes = Buffer.alloc(0);
    socket.on('data', (d: Buffer) => (bytes = Buffer.concat([bytes, d])));
    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
    await until('the reply on stream 1', () => bytes.includes('GET /up'));
    const greeting = 'HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: h2c\r\n\r\n';
    assert.equal(bytes.subarray(0, greeting.length).toString('latin1'), greeting);
    assert.equal(bytes[greeting.length + 3], 4, 'the first frame is SETTINGS');

    const client = await open(t, port);
    client.socket.write('POST /stay HTTP/1.1\r\nhost: a\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\ncontent-length: 2\r\n\r\nhi');
    const reply = await client.reply();
    assert.equal(reply.status, 200);
    assert.equal(reply.body.toString(), 'POST /stay');
  });

  test('carries what it does not know to the fallback, also for clients that wait for the server to speak', async (t) => {
    const raw = await echoServer(t, 'hello\n');
    const port = await freePort();
    const sluice = await start(t, { config: `
listeners: [{name: any, address: 127.0.0.1:${port}, protocol: auto, detect_timeout: 200ms, cluster: c, fallback: raw}]
clusters:
  - {name: c, hosts: "127.0.0.1:1"}
  - {name: raw, hosts: "127.0.0.1:${raw}"}
` });
    const speaks = connect(port, '127.0.0.1');
    const waits = connect(port, '127.0.0.1');
    t.after(() => [speaks, waits].forEach((socket) => socket.destroy()));
    const texts = new Map([[speaks, ''], [waits, '']]);
    for (const socket of [speaks, waits]) socket.on('data', (d: Buffer) => texts.set(socket, texts.get(socket)! + d.toString()));
    speaks.write('SSH-2.0-test\r\n');
    await until('its own bytes back', () => texts.get(speaks) === 'hello\nSSH-2.0-test\r\n');
    await until('the greeting', () => texts.get(waits) === 'hello\n');
    waits.write('EHLO a\r\n');
    await until('its line back', () => texts.get(waits) === 'hello\nEHLO a\r\n');
    assert.equal(await sluice.metric('sluice_listener_detected_total', 'protocol="tcp"'), 2);
  });

  test('closes what it does not know without a fallback, and what says nothing in time', async (t) => {
    const port = await freePort();
    const sluice = await start(t, { config: `
listeners: [{name: any, address: 127.0.0.1:${port}, protocol: [http1, bolt], detect_timeout: 200ms, cluster: c}]
clusters: [{name: c, hosts: "127.0.0.1:1"}]
` });
    const odd = connect(port, '127.0.0.1');
    odd.on('error', () => {});
    const silent = connect(port, '127.0.0.1');
    silent.on('error', () => {});
    odd.write('SSH-2.0-test\r\n');
    await until('both are closed', () => odd.closed && silent.closed);
    assert.equal(await sluice.metric('sluice_listener_detected_total', 'protocol="none"'), 2);
    assert.equal(await sluice.metric('sluice_listener_active_connections'), 0);
  });
});

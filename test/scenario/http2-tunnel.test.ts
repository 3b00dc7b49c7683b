// WebSocket over HTTP/2 (extended CONNECT, RFC 8441) to hosts of HTTP/1.1 and HTTP/2: bytes both ways, both ends, refusals.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect, createServer as createServer2, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import { freePort, start, until } from '../support/sluice.js';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** Takes upgrades, greets, and sends back what comes; "bye" ends its side. */
async function webSocketHost(t: TestContext): Promise<{ port: number; sockets: Socket[] }> {
  const sockets: Socket[] = [];
  const server = createServer((_request, response) => response.writeHead(404).end('no'));
  server.on('upgrade', (request, socket: Socket, head) => {
    if (request.url === '/refused') {
      socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno');
      return;
    }
    sockets.push(socket);
    socket.on('error', () => {});
    // Upgraded sockets may stay open on one side: this host does not want to.
    socket.on('end', () => socket.end());
    const accept = createHash('sha1').update(`${String(request.headers['sec-websocket-key'])}${GUID}`).digest('base64');
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\nhello ${String(request.url)} ${String(request.headers.host)}|`);
    if (head.length > 0) socket.write(head);
    socket.on('data', (d: Buffer) => (d.toString() === 'bye' ? socket.end('BYE') : socket.write(d)));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    sockets.forEach((socket) => socket.destroy());
    server.close();
  });
  return { port: (server.address() as { port: number }).port, sockets };
}

async function session(t: TestContext, port: number): Promise<ClientHttp2Session> {
  const opened = connect(`http://127.0.0.1:${port}`);
  opened.on('error', () => {});
  t.after(() => opened.destroy());
  await once(opened, 'remoteSettings');
  return opened;
}

function chat(client: ClientHttp2Session, path: string): { stream: ClientHttp2Stream; text: () => string } {
  const stream = client.request({ ':method': 'CONNECT', ':protocol': 'websocket', ':scheme': 'http', ':path': path, ':authority': 'chat.example', 'sec-websocket-version': '13' }, { endStream: false });
  let text = '';
  stream.on('error', () => {});
  stream.on('data', (d: Buffer) => (text += d.toString()));
  return { stream, text: () => text };
}

const config = (port: number, host: number, protocol: string): string => `
listeners: [{name: ws, address: 127.0.0.1:${port}, protocol: [http2, http1], cluster: c}]
clusters: [{name: c, protocol: ${protocol}, hosts: "127.0.0.1:${host}"}]
`;

describe('tunnels over HTTP/2', () => {
  test('a WebSocket reaches a host of HTTP/1.1, which ends it', async (t) => {
    const host = await webSocketHost(t);
    const port = await freePort();
    const sluice = await start(t, { config: config(port, host.port, 'http1') });
    const client = await session(t, port);
    assert.equal(client.remoteSettings.enableConnectProtocol, true);
    const { stream, text } = chat(client, '/room?a=1');
    // Before the host has agreed: kept, not lost.
    stream.write('early|');
    const [headers] = (await once(stream, 'response')) as [Record<string, unknown>];
    assert.equal(headers[':status'], 200);
    assert.equal(headers['sec-websocket-accept'], undefined);
    await until('greeting and echo', () => text() === 'hello /room?a=1 chat.example|early|');
    const before = text().length;
    stream.write('x'.repeat(100_000));
    await until('a large message back', () => text().length === before + 100_000);
    // The session goes on with other exchanges meanwhile.
    const other = client.request({ ':path': '/plain' });
    assert.equal(((await once(other, 'response')) as [Record<string, unknown>])[0][':status'], 404);
    stream.write('bye');
    await until('the end', () => text().endsWith('BYE') && stream.closed);
    await until('nothing is left', async () => (await sluice.metric('sluice_listener_active_requests')) === 0 && host.sockets.every((socket) => socket.destroyed));
  });

  test('the client ends it, or leaves', async (t) => {
    const host = await webSocketHost(t);
    const port = await freePort();
    const sluice = await start(t, { config: config(port, host.port, 'http1') });
    const client = await session(t, port);
    const one = chat(client, '/one');
    const two = chat(client, '/two');
    await until('both greetings', () => one.text() !== '' && two.text() !== '');
    one.stream.end();
    two.stream.close(8);
    await until('both hosts saw it', () => host.sockets.length === 2 && host.sockets.every((socket) => socket.destroyed || socket.readableEnded));
    await until('nothing is left', async () => (await sluice.metric('sluice_listener_active_requests')) === 0);
  });

  test('a refusal is a reply like others', async (t) => {
    const host = await webSocketHost(t);
    const port = await freePort();
    await start(t, { config: config(port, host.port, 'http1') });
    const client = await session(t, port);
    const { stream, text } = chat(client, '/refused');
    const [headers] = (await once(stream, 'response')) as [Record<string, unknown>];
    assert.equal(headers[':status'], 403);
    await until('its content', () => text() === 'no');
  });

  test('a host of HTTP/2 gets the CONNECT as it is', async (t) => {
    const server = createServer2({ settings: { enableConnectProtocol: true } });
    server.on('stream', (stream, headers) => {
      stream.on('error', () => {});
      stream.respond({ ':status': 200 });
      stream.write(`${String(headers[':method'])} ${String(headers[':protocol'])} ${String(headers[':path'])}|`);
      stream.pipe(stream);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    const port = await freePort();
    await start(t, { config: config(port, (server.address() as { port: number }).port, 'http2') });
    const { stream, text } = chat(await session(t, port), '/h2');
    stream.write('ping');
    await until('echo', () => text() === 'CONNECT websocket /h2|ping');
    stream.end();
    await until('the end', () => stream.closed);
  });
});

// A raw HTTP/1 client that shows every byte, a plain one over node:http, and small servers, for tests that look from outside.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttp, request as httpRequest, type IncomingHttpHeaders, type IncomingMessage, type RequestListener, type RequestOptions, type Server as HttpServer } from 'node:http';
import { connect, createServer as createNet, type AddressInfo, type NetConnectOpts, type Server as NetServer, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { connect as tlsConnect, type ConnectionOptions } from 'node:tls';

/** How long anything here waits before it fails the test, ms. */
const PATIENCE = 15_000;

export interface RawReply {
  readonly status: number;
  /** Start line and headers as they came, without the empty line. */
  readonly head: string;
  /** By name in lower case; repeated ones joined by ", ". */
  readonly headers: Readonly<Record<string, string>>;
  readonly trailers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** A socket and all that came out of it. */
export class RawClient {
  readonly socket: Socket;
  /** What was received and not taken by `reply` or `take`. */
  received: Buffer = Buffer.alloc(0);
  /** All bytes ever received. */
  total = 0;
  /** The peer ended its side, or everything is over. */
  ended = false;
  closed = false;
  /** Code of the error that ended the connection; '' for none. */
  error = '';
  private wake: (() => void)[] = [];

  constructor(socket: Socket) {
    this.socket = socket;
    const wakeAll = (): void => this.wake.splice(0).forEach((w) => w());
    socket.on('data', (chunk: Buffer) => {
      this.total += chunk.length;
      this.received = this.received.length === 0 ? chunk : Buffer.concat([this.received, chunk]);
      wakeAll();
    });
    socket.on('end', () => {
      this.ended = true;
      wakeAll();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => (this.error = error.code ?? error.message));
    socket.on('close', () => {
      this.ended = true;
      this.closed = true;
      wakeAll();
    });
  }

  get text(): string {
    return this.received.toString('latin1');
  }

  send(bytes: string | Uint8Array): void {
    this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
  }

  /** Waits until `check` holds, asked after each packet and at the end; fails with what was received. */
  async when(what: string, check: () => boolean, limit = PATIENCE): Promise<void> {
    const end = Date.now() + limit;
    while (!check()) {
      if (this.closed) assert.fail(`the connection closed (${this.error || 'in order'}) before: ${what}; received ${JSON.stringify(this.text.slice(0, 500))}`);
      const left = end - Date.now();
      if (left <= 0) assert.fail(`waited ${limit} ms in vain: ${what}; received ${JSON.stringify(this.text.slice(0, 500))}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.wake.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  async whenEnded(limit = PATIENCE): Promise<void> {
    await this.when('the end of the connection', () => this.ended, limit);
  }

  async whenClosed(limit = PATIENCE): Promise<void> {
    await this.when('the close of the connection', () => this.closed, limit);
  }

  /** Waits for `n` bytes and takes them. */
  async take(n: number): Promise<Buffer> {
    await this.when(`${n} bytes`, () => this.received.length >= n);
    const bytes = this.received.subarray(0, n);
    this.received = this.received.subarray(n);
    return bytes;
  }

  /** Waits for the next whole reply and takes it. A 1xx is a reply of its own. `method` tells which replies have no body. */
  async reply(method = 'GET'): Promise<RawReply> {
    await this.when('the head of a reply', () => this.received.includes('\r\n\r\n'));
    const end = this.received.indexOf('\r\n\r\n');
    const head = this.received.toString('latin1', 0, end);
    await this.take(end + 4);
    const [first = '', ...lines] = head.split('\r\n');
    const found = /^HTTP\/1\.[01] (\d{3})/.exec(first);
    assert.ok(found, `not a status line: ${JSON.stringify(first)}`);
    const status = Number(found[1]);
    const headers = fieldsOf(lines);
    let body: Buffer = Buffer.alloc(0);
    let trailers: Record<string, string> = {};
    if (status < 200 || status === 204 || status === 304 || method === 'HEAD' || (method === 'CONNECT' && status < 300)) {
      // No content, whatever the headers say.
    } else if (/chunked/i.test(headers['transfer-encoding'] ?? '')) {
      ({ body, trailers } = await this.chunked());
    } else if (headers['content-length'] !== undefined) {
      body = await this.take(Number(headers['content-length']));
    } else {
      await this.whenEnded();
      body = await this.take(this.received.length);
    }
    return { status, head, headers, trailers, body };
  }

  private async line(): Promise<string> {
    await this.when('a line', () => this.received.includes('\r\n'));
    const line = this.received.toString('latin1', 0, this.received.indexOf('\r\n'));
    await this.take(line.length + 2);
    return line;
  }

  private async chunked(): Promise<{ body: Buffer; trailers: Record<string, string> }> {
    const pieces: Buffer[] = [];
    for (;;) {
      const size = parseInt(await this.line(), 16);
      assert.ok(size >= 0, 'a chunk size');
      if (size === 0) break;
      pieces.push(await this.take(size));
      assert.equal(await this.line(), '', 'the end of a chunk');
    }
    const lines: string[] = [];
    for (let line = await this.line(); line !== ''; line = await this.line()) lines.push(line);
    return { body: Buffer.concat(pieces), trailers: fieldsOf(lines) };
  }

  /** Sends FIN. */
  end(): void {
    this.socket.end();
  }

  /** Sends RST. */
  reset(): void {
    this.socket.resetAndDestroy();
  }
}

function fieldsOf(lines: readonly string[]): Record<string, string> {
  const fields: Record<string, string> = {};
  for (const line of lines) {
    const at = line.indexOf(':');
    const name = line.slice(0, at).toLowerCase();
    const value = line.slice(at + 1).trim();
    fields[name] = fields[name] === undefined ? value : `${fields[name]}, ${value}`;
  }
  return fields;
}

/** Connects; the socket is destroyed when the test ends. Rejects when it is refused. `target`: a port of 127.0.0.1, or net's options. */
export async function open(t: TestContext, target: number | NetConnectOpts): Promise<RawClient> {
  const socket = connect(typeof target === 'number' ? { port: target, host: '127.0.0.1' } : target);
  t.after(() => void socket.destroy());
  socket.setNoDelay(true);
  const client = new RawClient(socket);
  await once(socket, 'connect');
  return client;
}

/** The same with TLS, after the handshake. */
export async function openTls(t: TestContext, options: ConnectionOptions): Promise<RawClient> {
  const socket = tlsConnect({ host: '127.0.0.1', ...options });
  t.after(() => void socket.destroy());
  const client = new RawClient(socket);
  await once(socket, 'secureConnect');
  return client;
}

/** Whether connections to the port of 127.0.0.1 are accepted by the system now. */
export async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly trailers: NodeJS.Dict<string>;
  readonly body: Buffer;
  readonly text: string;
}

/** A request over node:http, with a body that is sent at once. Rejects when the connection fails. */
export function send(port: number, options: RequestOptions = {}, body?: string | Uint8Array): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: '127.0.0.1', port, agent: false, timeout: PATIENCE, ...options }, (message) => {
      const pieces: Buffer[] = [];
      message.on('data', (piece: Buffer) => pieces.push(piece));
      message.on('error', reject);
      message.on('end', () => {
        const whole = Buffer.concat(pieces);
        resolve({ status: message.statusCode!, headers: message.headers, rawHeaders: message.rawHeaders, trailers: message.trailers, body: whole, text: whole.toString() });
      });
    });
    request.on('timeout', () => request.destroy(new Error('no reply in time')));
    request.on('error', reject);
    request.end(body);
  });
}

/** A GET; the path alone is mostly enough. */
export function get(port: number, path = '/', options: RequestOptions = {}): Promise<Reply> {
  return send(port, { path, ...options });
}

/** All of a message's body. */
export async function bodyOf(message: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of message) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

export interface Served<S> {
  readonly server: S;
  readonly port: number;
  /** Connections accepted so far. */
  readonly accepted: () => number;
  /** Connections that are open. */
  readonly sockets: ReadonlySet<Socket>;
  /** Stops listening and destroys every connection. */
  close(): Promise<void>;
}

async function listening<S extends NetServer>(t: TestContext, server: S, at: number | string): Promise<Served<S>> {
  const sockets = new Set<Socket>();
  let accepted = 0;
  server.on('connection', (socket: Socket) => {
    accepted++;
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  });
  if (typeof at === 'string') server.listen(at);
  else server.listen(at, '127.0.0.1');
  await once(server, 'listening');
  let closing: Promise<unknown> | null = null;
  const close = async (): Promise<void> => {
    closing ??= new Promise((resolve) => server.close(resolve));
    for (const socket of sockets) socket.destroy();
    await closing;
  };
  t.after(close);
  const address = server.address() as AddressInfo | string;
  return { server, port: typeof address === 'string' ? 0 : address.port, accepted: () => accepted, sockets, close };
}

/** A node:http server on a free port (or `at`: a port or the path of a socket) that keeps idle connections, closed when the test ends. */
export function serveHttp(t: TestContext, handler: RequestListener, at: number | string = 0): Promise<Served<HttpServer>> {
  const server = createHttp({ keepAlive: true, keepAliveTimeout: 120_000, requestTimeout: 0, headersTimeout: 0 }, handler);
  return listening(t, server, at);
}

/** A net server, likewise. */
export function serveRaw(t: TestContext, connected: (socket: Socket) => void, at: number | string = 0): Promise<Served<NetServer>> {
  return listening(t, createNet({ allowHalfOpen: true, noDelay: true }, connected), at);
}

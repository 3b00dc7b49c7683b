// Plain sockets on loopback for tests of what stands between them: peers whose every byte and end can be awaited.
import { once } from 'node:events';
import * as net from 'node:net';

/** Most time anything may take to come about in a test. */
const LIMIT_MS = 10_000;

/** Waits, turn by turn of the event loop, until `condition` holds; fails after ten seconds with what was waited for. */
export async function until(condition: () => boolean, what: string | (() => string) = 'a condition'): Promise<void> {
  const limit = performance.now() + LIMIT_MS;
  while (!condition()) {
    if (performance.now() > limit) throw new Error(`${typeof what === 'string' ? what : what()} did not come about within ${LIMIT_MS} ms`);
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

/** One end of a connection, client or server. */
export class Peer {
  readonly socket: net.Socket;
  private readonly parts: Buffer[] = [];
  bytes = 0;
  ended = false;
  closed = false;
  /** errno of the socket's error; '' without one. */
  error = '';

  constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on('data', (part: Buffer) => {
      this.parts.push(part);
      this.bytes += part.length;
    });
    socket.on('end', () => (this.ended = true));
    socket.on('error', (error: NodeJS.ErrnoException) => (this.error = error.code ?? error.message));
    socket.on('close', () => (this.closed = true));
  }

  get received(): Buffer {
    return Buffer.concat(this.parts);
  }

  get text(): string {
    return this.received.toString('latin1');
  }

  send(bytes: Buffer | string): void {
    this.socket.write(bytes as string);
  }

  /** Ends this side; the other may go on. */
  end(): void {
    this.socket.end();
  }

  reset(): void {
    this.socket.resetAndDestroy();
  }

  async has(text: string): Promise<void> {
    await until(() => this.text.includes(text), () => `${JSON.stringify(text)} (there is ${JSON.stringify(this.text.slice(0, 200))})`);
  }

  async hasBytes(n: number): Promise<void> {
    await until(() => this.bytes >= n, () => `${n} bytes (there are ${this.bytes})`);
  }

  async isClosed(): Promise<void> {
    await until(() => this.closed, 'the close of a socket');
  }

  async hasEnded(): Promise<void> {
    await until(() => this.ended || this.closed, 'the end of a socket');
  }
}

/** A client of whatever listens at a port (or path) of loopback, connected (and perhaps reset at once). Rejects when nobody listens. */
export async function client(where: number | string, options: { paused?: boolean } = {}): Promise<Peer> {
  const socket = typeof where === 'string' ? net.connect({ path: where, allowHalfOpen: true }) : net.connect({ port: where, host: '127.0.0.1', allowHalfOpen: true });
  const peer = new Peer(socket);
  if (options.paused === true) socket.pause();
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', (error: NodeJS.ErrnoException) => (error.code === 'ECONNRESET' ? resolve() : reject(error)));
  });
  return peer;
}

/** A server that keeps every connection as a peer. */
export class Host {
  readonly peers: Peer[] = [];
  readonly server: net.Server;
  /** Called with each connection; echoes nothing by default. */
  serve: (peer: Peer) => void;

  constructor(serve: (peer: Peer) => void = () => {}) {
    this.serve = serve;
    this.server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      const peer = new Peer(socket);
      this.peers.push(peer);
      this.serve(peer);
    });
  }

  async start(port = 0): Promise<this> {
    this.server.listen(port, '127.0.0.1');
    await once(this.server, 'listening');
    return this;
  }

  get port(): number {
    return (this.server.address() as net.AddressInfo).port;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  async peer(index = 0): Promise<Peer> {
    await until(() => this.peers.length > index, `connection ${index} at the host`);
    return this.peers[index]!;
  }

  async stop(): Promise<void> {
    const closed = this.server.listening ? once(this.server, 'close') : null;
    this.server.close();
    for (const peer of this.peers) peer.socket.destroy();
    await closed;
  }
}

/** Sends everything back, and ends when the other side does. */
export function echo(peer: Peer): void {
  peer.socket.on('data', (part: Buffer) => peer.socket.write(part));
  peer.socket.on('end', () => peer.socket.end());
}

/** A port of loopback on which nobody listens. */
export async function freePort(): Promise<number> {
  const host = await new Host().start();
  const { port } = host;
  await host.stop();
  return port;
}

/** Bytes that tell where they are: each differs from those a block away. */
export function pattern(size: number): Buffer {
  const bytes = Buffer.allocUnsafe(size);
  for (let i = 0; i < size; i++) bytes[i] = (i * 31 + (i >>> 8) * 7 + (i >>> 16)) & 255;
  return bytes;
}

// A socket-like Duplex to a host of a cluster, so that a client library's connection is balanced, broken and counted like any other.
import { Duplex } from 'node:stream';
import { Deadline } from '../../core/deadline.js';
import { SluiceError } from '../../core/reason.js';
import { CLOSED, CONNECTING, OPEN, PAUSE_USER, type Connection, type Reader } from '../connection.js';
import type { Cluster } from './cluster.js';
import type { Host, HostPool } from './host.js';

export interface DialOptions {
  /** As of net.Socket: false (the default) ends our side too when the peer ends its own. */
  readonly allowHalfOpen?: boolean;
  /** For hashing balancers. */
  readonly hash?: number;
}

type Callback = (error?: Error | null) => void;

/**
 * What client libraries use of a net.Socket: the stream itself, the events `connect`, `ready`, `timeout`, `end`, `close`, `error`, and
 * the members below; one more event, `draining`, says that the host is about to go. `ref` and `unref` do nothing: connections never
 * decide how long the process lives. An error is a SluiceError whose `code` says what happened; `cause` holds the system's error
 * where there is one.
 */
export class DialSocket extends Duplex {
  /** As last given to `setTimeout`, ms. */
  timeout = 0;
  /** The host that was picked; null when none could be. */
  readonly host: Host | null;
  readonly encrypted: boolean;
  private readonly line: Line | null;
  private readonly idle: Deadline;

  /** Use `ClusterManager.dial`. `name` is for the error when there is no such cluster. */
  constructor(name: string, cluster: Cluster | undefined, options: DialOptions) {
    super({ allowHalfOpen: options.allowHalfOpen ?? false });
    this.idle = new Deadline({ onDeadline: () => void this.emit('timeout') }, 0);
    const found = cluster === undefined ? new SluiceError('no-cluster', { cluster: name }) : place(cluster, options.hash ?? 0);
    if (found instanceof SluiceError) {
      this.host = null;
      this.line = null;
      this.encrypted = false;
      this.destroy(found);
      return;
    }
    this.host = found;
    this.encrypted = found.cluster.config.tls !== null;
    this.line = new Line(this, found);
  }

  get connecting(): boolean {
    return this.line !== null && this.line.connection.state === CONNECTING;
  }

  get pending(): boolean {
    return this.line === null || this.line.connection.state === CONNECTING;
  }

  get readyState(): 'opening' | 'open' | 'readOnly' | 'writeOnly' | 'closed' {
    if (this.connecting) return 'opening';
    if (this.line === null || this.line.connection.state >= CLOSED) return 'closed';
    if (this.readable) return this.writable ? 'open' : 'readOnly';
    return this.writable ? 'writeOnly' : 'closed';
  }

  get remoteAddress(): string | undefined {
    return this.host?.target.host;
  }

  get remotePort(): number | undefined {
    return this.host?.target.port;
  }

  get localAddress(): string | undefined {
    return this.line?.connection.info.localAddress;
  }

  get localPort(): number | undefined {
    return this.line?.connection.info.localPort;
  }

  get bytesRead(): number {
    return this.line?.connection.received ?? 0;
  }

  get bytesWritten(): number {
    return this.line?.connection.sent ?? 0;
  }

  setNoDelay(on = true): this {
    this.line?.setNoDelay(on);
    return this;
  }

  setKeepAlive(on = false, delay = 0): this {
    this.line?.setKeepAlive(on, delay);
    return this;
  }

  /** `timeout` is emitted once after `ms` without a byte in either direction, and again only after a byte moved; 0 is never. */
  setTimeout(ms: number, callback?: () => void): this {
    this.timeout = ms;
    if (ms > 0) {
      if (callback !== undefined) this.once('timeout', callback);
    } else {
      this.idle.cancel();
      if (callback !== undefined) this.off('timeout', callback);
    }
    this.touch();
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  /** Ends our side and closes once everything written was handed on. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once('finish', () => this.destroy());
  }

  /** Closes by a reset where the transport can. */
  resetAndDestroy(): this {
    this.line?.reset();
    return this.destroy();
  }

  /** Something moved: the inactivity timeout begins anew. */
  touch(): void {
    if (this.timeout > 0 && !this.destroyed) this.idle.set(this.timeout);
  }

  override _read(): void {
    this.line?.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: Callback): void {
    if (this.line === null) callback(new SluiceError('no-host'));
    else this.line.write(chunk, callback);
  }

  override _final(callback: Callback): void {
    this.line?.connection.end();
    callback();
  }

  override _destroy(error: Error | null, callback: Callback): void {
    this.idle.cancel();
    if (this.line === null) callback(error);
    else this.line.destroy(error, callback);
  }
}

/** A host with a connection counted on it, or why there is none. */
function place(cluster: Cluster, hash: number): Host | SluiceError {
  const host = cluster.pick(hash, null);
  if (host === null) return new SluiceError(cluster.noneReason(), { cluster: cluster.name });
  if (!cluster.breaker.tryConnection()) {
    return new SluiceError('breaker-connections', { cluster: cluster.name, limit: cluster.breaker.limits.max_connections });
  }
  // Counted as an exchange too, or least_request would see no load in it.
  host.active++;
  host.connections++;
  cluster.stats.active_connections.inc();
  return host;
}

/** The connection behind a DialSocket. */
class Line implements Reader, HostPool {
  readonly connection: Connection;
  private readonly socket: DialSocket;
  private readonly host: Host;
  private blocked: Callback | null = null;
  private closing: { error: Error | null; callback: Callback } | null = null;
  private noDelay: boolean | null = null;
  private keepAlive: { on: boolean; delay: number } | null = null;

  constructor(socket: DialSocket, host: Host) {
    this.socket = socket;
    this.host = host;
    this.connection = host.cluster.connect(host, this);
    host.hold(this);
  }

  write(chunk: Buffer, callback: Callback): void {
    const c = this.connection;
    if (!c.writable) {
      callback(new SluiceError('upstream-closed', { host: this.host.address }));
      return;
    }
    this.socket.touch();
    c.write(chunk, 0, chunk.length);
    if (c.overHigh) this.blocked = callback;
    else callback();
  }

  resume(): void {
    this.connection.resume(PAUSE_USER);
  }

  setNoDelay(on: boolean): void {
    this.noDelay = on;
    if (this.connection.state === OPEN) this.connection.wire?.setNoDelay(on);
  }

  setKeepAlive(on: boolean, delay: number): void {
    this.keepAlive = { on, delay };
    if (this.connection.state === OPEN) this.connection.wire?.setKeepAlive(on, delay);
  }

  reset(): void {
    this.connection.close(true);
  }

  destroy(error: Error | null, callback: Callback): void {
    if (this.connection.state >= CLOSED) {
      callback(error);
      return;
    }
    this.closing = { error, callback };
    this.connection.close();
  }

  // === of the connection

  onOpen(c: Connection): void {
    if (this.noDelay !== null) c.wire?.setNoDelay(this.noDelay);
    if (this.keepAlive !== null) c.wire?.setKeepAlive(this.keepAlive.on, this.keepAlive.delay);
    this.socket.touch();
    this.socket.emit('connect');
    this.socket.emit('ready');
  }

  onBytes(c: Connection, buf: Uint8Array, start: number, end: number, owned: boolean): number {
    this.socket.touch();
    const bytes = owned ? Buffer.from(buf.buffer, buf.byteOffset + start, end - start) : Buffer.from(buf.subarray(start, end));
    if (!this.socket.push(bytes)) c.pause(PAUSE_USER);
    return end - start;
  }

  onEnd(): void {
    this.socket.push(null);
  }

  onDrain(): void {
    this.socket.touch();
    this.unblock(null);
  }

  onClose(c: Connection, error: SluiceError | null): void {
    const { host, socket, closing } = this;
    host.active--;
    host.connections--;
    host.cluster.stats.active_connections.dec();
    host.cluster.breaker.releaseConnection();
    host.unhold(this);
    this.closing = null;
    if (closing !== null) {
      closing.callback(closing.error);
    } else if (error !== null) {
      socket.destroy(error);
    } else if (!c.peerEnded) {
      // Closed by our side's transport without an error: nothing more will come.
      socket.push(null);
    }
    this.unblock(error ?? new SluiceError('upstream-closed', { host: host.address }));
  }

  private unblock(error: Error | null): void {
    const callback = this.blocked;
    this.blocked = null;
    if (callback !== null) callback(error);
  }

  // === of the host

  drain(): void {
    this.socket.emit('draining');
  }

  close(): void {
    this.socket.destroy(new SluiceError('host-removed', { host: this.host.address }));
  }
}

// One client's connection and the one to its host: connects (and tries again elsewhere), forwards, halts, ends and closes both together.
import { clock, now } from '../../../core/clock.js';
import { Deadline, type DeadlineOwner } from '../../../core/deadline.js';
import { type ReasonCode, type ReasonContext, SluiceError } from '../../../core/reason.js';
import { addressHash } from '../../../network/cluster-route.js';
import { CLOSED, type Connection, OPEN, PAUSE_HOLD, PAUSE_PEER, type Reader } from '../../../network/connection.js';
import { ConnectionRecord } from '../../../network/record.js';
import type { Cluster } from '../../../network/upstream/cluster.js';
import type { Host, HostPool } from '../../../network/upstream/host.js';
import type { TcpProxy } from './proxy.js';

/**
 * Bytes of this size and more that are ours are handed on as they are. Smaller ones are copied into the block of the turn: that is
 * dearer than a pointer, but the writes of a turn then follow its reads, which the kernel serves better (bench/micro/connection.ts).
 */
const GIVE_FROM = 16 * 1024;
/** What a client may send before its host is connected; beyond this it is not read. */
const EARLY_BYTES = 64 * 1024;
/** The idle timeout is looked at this often in its course, so it is exact to a quarter. */
const IDLE_LOOKS = 4;

/** The host's side as a reader; the client's is the session itself. */
class HostSide implements Reader {
  private readonly session: TcpSession;

  constructor(session: TcpSession) {
    this.session = session;
  }

  onOpen(connection: Connection): void {
    this.session.connected(connection);
  }

  onBytes(connection: Connection, buf: Uint8Array, start: number, end: number, owned: boolean): number {
    const { session } = this;
    const { client } = session;
    session.proxy.sent.add(end - start);
    if (owned && end - start >= GIVE_FROM) client.give(buf, start, end);
    else client.write(buf, start, end);
    if (client.overHigh) connection.pause(PAUSE_PEER);
    return end - start;
  }

  onEnd(): void {
    this.session.client.end();
  }

  onDrain(): void {
    this.session.client.resume(PAUSE_PEER);
  }

  onClose(connection: Connection, error: SluiceError | null): void {
    this.session.hostClosed(connection, error);
  }
}

export class TcpSession implements Reader, HostPool, DeadlineOwner {
  readonly proxy: TcpProxy;
  readonly client: Connection;
  private readonly side: HostSide;
  private readonly record: ConnectionRecord;
  private readonly startedAt = now();
  private attemptAt = 0;
  private cluster: Cluster | null = null;
  private host: Host | null = null;
  private upstream: Connection | null = null;
  private readonly tried: Host[] = [];
  private connecting = true;
  private clientEnded = false;
  private clientClosed = false;
  private over = false;
  private idle: Deadline | null = null;
  private idleReads = 0;
  private quietLooks = 0;

  constructor(proxy: TcpProxy, client: Connection) {
    this.proxy = proxy;
    this.client = client;
    this.side = new HostSide(this);
    this.record = new ConnectionRecord(proxy.context.listener, 'tcp', client.info, clock.wall());
  }

  begin(): void {
    const { proxy, client } = this;
    client.reader = this;
    proxy.sessions.add(this);
    proxy.total.inc();
    proxy.running.inc();
    if (proxy.config.keep_alive > 0) client.wire?.setKeepAlive(true, proxy.config.keep_alive);
    const name = proxy.routes.choose(client.info);
    if (name === null) {
      this.fail('no-route', { detail: `${client.info.remoteAddress} to ${client.info.localAddress}:${client.info.localPort}` });
      return;
    }
    this.record.cluster = name;
    const cluster = proxy.context.clusters.get(name);
    if (cluster === undefined) {
      this.fail('no-cluster', { cluster: name });
      return;
    }
    this.cluster = cluster;
    this.attempt(cluster, null);
  }

  // === connecting

  /** Connects to the next host. `last` is how the one before failed; it is the reason where there is no other. */
  private attempt(cluster: Cluster, last: SluiceError | null): void {
    const host = cluster.pick(addressHash(this.client.info), this.tried);
    if (host === null) {
      this.failWith(last ?? new SluiceError(cluster.noneReason(), { cluster: cluster.name }));
      return;
    }
    if (last !== null && this.tried.includes(host)) {
      this.failWith(last);
      return;
    }
    if (!cluster.breaker.tryConnection()) {
      this.fail('breaker-connections', { cluster: cluster.name, limit: cluster.breaker.limits.max_connections });
      return;
    }
    host.connections++;
    cluster.stats.active_connections.inc();
    this.host = host;
    this.tried.push(host);
    this.attemptAt = now();
    this.upstream = cluster.connect(host, this.side);
    host.hold(this);
  }

  connected(connection: Connection): void {
    this.connecting = false;
    const host = this.host!;
    this.record.host = host.address;
    this.record.attempts.push({ host: host.address, code: '', errno: '', ms: now() - this.attemptAt });
    const { client } = this;
    if (this.over || this.clientClosed) {
      connection.close(true);
      return;
    }
    const idle = this.proxy.config.idle_timeout;
    if (idle > 0) {
      this.idle = new Deadline(this, 0);
      this.idle.set(idle / IDLE_LOOKS);
    }
    // What the client has said in the meantime is still with its connection.
    client.resume(PAUSE_HOLD);
    client.redeliver();
    if (this.clientEnded) connection.end();
  }

  private releaseHost(): void {
    const { host, cluster } = this;
    if (host === null || cluster === null) return;
    this.host = null;
    host.connections--;
    host.unhold(this);
    cluster.stats.active_connections.dec();
    cluster.breaker.releaseConnection();
  }

  hostClosed(connection: Connection, error: SluiceError | null): void {
    if (this.connecting) {
      this.attemptFailed(error ?? new SluiceError('connect-failed', { host: this.host?.address, detail: 'closed' }));
      return;
    }
    this.record.bytesIn = connection.sent;
    this.releaseHost();
    const { client } = this;
    if (error !== null && !this.over) this.note(error);
    this.over = true;
    if (this.clientClosed) this.finish();
    // A reset is passed on as one: an end would make a cut message look whole.
    else client.close(error !== null);
  }

  private attemptFailed(error: SluiceError): void {
    const host = this.host!;
    const cluster = this.cluster!;
    this.releaseHost();
    this.upstream = null;
    this.record.attempts.push({ host: host.address, code: error.code, errno: String(error.context['errno'] ?? ''), ms: now() - this.attemptAt });
    if (this.over || this.clientClosed) {
      this.connecting = false;
      this.over = true;
      if (this.clientClosed) this.finish();
      else this.client.close(true);
    } else if (this.tried.length < this.proxy.config.max_connect_attempts) {
      this.attempt(cluster, error);
    } else {
      this.failWith(error);
    }
  }

  // === the client's side

  onOpen(): void {}

  onBytes(connection: Connection, buf: Uint8Array, start: number, end: number, owned: boolean): number {
    if (this.connecting) {
      // Left in the connection's carry, so that it can go to whichever host is reached.
      if (end - start >= EARLY_BYTES) connection.pause(PAUSE_HOLD);
      return 0;
    }
    const upstream = this.upstream!;
    this.proxy.received.add(end - start);
    if (owned && end - start >= GIVE_FROM) upstream.give(buf, start, end);
    else upstream.write(buf, start, end);
    if (upstream.overHigh) connection.pause(PAUSE_PEER);
    return end - start;
  }

  onEnd(): void {
    this.clientEnded = true;
    if (!this.connecting) this.upstream?.end();
  }

  onDrain(): void {
    this.upstream?.resume(PAUSE_PEER);
  }

  onClose(connection: Connection, error: SluiceError | null): void {
    this.clientClosed = true;
    this.record.bytesOut = connection.sent;
    if (!this.over) {
      this.over = true;
      if (error !== null) this.note(error);
      else if (this.connecting) this.note(new SluiceError('downstream-closed'));
    }
    const { upstream } = this;
    if (upstream === null || upstream.state >= CLOSED) this.finish();
    else if (this.connecting) upstream.close(true);
    else upstream.close(error !== null);
  }

  // === ends

  private fail(code: ReasonCode, context: ReasonContext): void {
    this.failWith(new SluiceError(code, context));
  }

  private failWith(error: SluiceError): void {
    this.note(error);
    this.connecting = false;
    this.over = true;
    if (this.clientClosed) this.finish();
    // Not an orderly end: a client must not take silence for an empty answer.
    else this.client.close(true);
  }

  private note(error: SluiceError): void {
    if (this.record.code !== '') return;
    this.record.code = error.code;
    this.record.detail = error.message;
  }

  /** Ends both sides at once. */
  abort(code: ReasonCode): void {
    if (this.record.code === '') this.note(new SluiceError(code, { host: this.record.host, listener: this.proxy.context.listener }));
    this.over = true;
    if (this.upstream !== null && this.upstream.state < CLOSED) this.upstream.close(true);
    if (!this.clientClosed) this.client.close(true);
  }

  private finish(): void {
    const { proxy, record } = this;
    if (!proxy.sessions.delete(this)) return;
    this.idle?.cancel();
    proxy.running.dec();
    record.duration = now() - this.startedAt;
    if (record.code !== '') proxy.ended(record.code);
    proxy.context.record(record);
  }

  onDeadline(): void {
    const reads = this.client.reads + (this.upstream?.reads ?? 0);
    this.quietLooks = reads === this.idleReads ? this.quietLooks + 1 : 0;
    this.idleReads = reads;
    const { idle_timeout } = this.proxy.config;
    if (this.quietLooks < IDLE_LOOKS) {
      this.idle!.set(idle_timeout / IDLE_LOOKS);
      return;
    }
    this.note(new SluiceError('idle-timeout', { ms: idle_timeout }));
    this.over = true;
    if (this.upstream?.state === OPEN) this.upstream.close();
    this.client.close();
  }

  // === the host is going

  /** Bytes cannot be asked to go elsewhere: the connection lives until the cluster's drain_timeout. */
  drain(): void {}

  close(): void {
    this.abort('host-removed');
  }
}

// What every pool of one host's connections shares: dialling, counting in the breaker, age, and handing connections back.
import { now } from '../../core/clock.js';
import { random } from '../../core/random.js';
import type { ReasonCode, SluiceError } from '../../core/reason.js';
import type { Connection, Reader } from '../../network/connection.js';
import type { Cluster } from '../../network/upstream/cluster.js';
import type { Host, HostPool } from '../../network/upstream/host.js';
import type { Exchange } from '../exchange.js';
import type { HeartbeatRule } from '../heartbeat.js';
import type { Protocol } from '../protocol.js';
import { Session } from '../session.js';
import type { ClusterPools } from './cluster-pools.js';

/** How long a host that asked twice to go away is left alone, ms; the second word within this time after the first is what tells it. */
const AWAY_MS = 5000;
/**
 * How long one is left alone that said that it leaves, ms. Dubbo's Java servers then wait up to 10 s (`dubbo.service.shutdown.wait`) for their
 * other clients, and serve new connections without a word until they stop.
 */
const LEAVING_MS = 15_000;

/** Reads a connection until it is open and the session takes over; nothing is delivered inside `connect`. */
class Opening implements Reader {
  session: Session | null = null;

  onOpen(connection: Connection): void {
    connection.reader = this.session!;
    this.session!.onOpen();
  }

  onClose(connection: Connection, error: SluiceError | null): void {
    this.session!.onClose(connection, error);
  }

  onBytes(): number {
    return 0;
  }

  onEnd(): void {}
  onDrain(): void {}
}

export abstract class MessagePool implements HostPool {
  readonly host: Host;
  readonly cluster: Cluster;
  readonly protocol: Protocol;
  readonly heartbeat: HeartbeatRule;
  /** Why the last `acquire` gave neither a session nor a place in the queue. */
  refusal: ReasonCode = 'breaker-connections';
  readonly owner: ClusterPools;
  /** Exchanges that the host last let run on one connection; -1 while it told nothing. */
  capacity = -1;
  protected draining = false;
  private lastGoAway = -Infinity;
  /** Every open session, in use or not, for draining and the admin. */
  readonly sessions = new Set<Session>();

  constructor(owner: ClusterPools, host: Host) {
    this.owner = owner;
    this.host = host;
    this.cluster = owner.cluster;
    this.protocol = owner.protocol;
    this.heartbeat = owner.heartbeat;
  }

  /**
   * A session to send the exchange on, which may still be connecting (what is written waits in it); null when the exchange was queued
   * (`owner.wait`) or refused (`refusal`). `alone`: nothing else may be sent on it meanwhile (a request too long to interleave).
   */
  abstract acquire(exchange: Exchange, alone: boolean): Session | null;
  /** The exchange that was sent on the session is over, well or not; the session may be closed already. */
  abstract release(session: Session): void;
  /** The session must not be used for new exchanges. */
  abstract sessionClosing(session: Session): void;
  protected abstract forget(session: Session): void;
  /** A session that one more exchange could be sent on at once, alone where it must not be shared; taken out of what is idle. Null: none. */
  abstract spare(alone: boolean): Session | null;

  /**
   * The host asked for nothing more on the session. Where it says so (`leaving`), or asks twice within a moment, it is the host itself that
   * goes (a new connection to one that drains is told at once): others are taken instead while there are any, for long enough that it is
   * gone or back. A failed health check ends that earlier: the host is gone, and back once it passes.
   */
  goAway(session: Session, leaving = false): void {
    const time = now();
    const wait = leaving ? LEAVING_MS : time - this.lastGoAway < AWAY_MS ? AWAY_MS : 0;
    if (wait > 0) this.host.awayUntil = Math.max(this.host.awayUntil, time + wait);
    this.lastGoAway = time;
    session.leavePool();
  }

  /** The client that the session belonged to needs it no more: it serves others once nothing runs on it. */
  unbind(session: Session): void {
    session.peer?.unbind(session);
    if (session.outgoingCount === 0) this.release(session);
  }

  /** Opens one more connection; null when the breaker refuses. */
  protected dial(): Session | null {
    const { cluster, host } = this;
    if (!cluster.breaker.tryConnection()) return null;
    const opening = new Opening();
    const connection = cluster.connect(host, opening);
    const session = new Session(connection, this.protocol, 'client', null, this, cluster.config.idle_timeout);
    const age = cluster.config.max_connection_age;
    session.expires = age > 0 ? now() + age * (0.9 + 0.2 * random()) : 0;
    // Or a host of few streams would refuse what is sent before its settings are there, on each new connection again.
    const { codec } = session;
    if (this.capacity >= 0 && codec.capacity !== undefined && codec.capacity > this.capacity) codec.capacity = this.capacity;
    opening.session = session;
    host.connections++;
    cluster.stats.active_connections.inc();
    if (this.sessions.size === 0 && host.pool !== this) host.hold(this);
    this.sessions.add(session);
    return session;
  }

  /** Whether a session that just became free may serve again. */
  protected reusable(session: Session): boolean {
    const { connection } = session;
    // What was closed by us hears of it in a later turn.
    if (session.closed || session.closing || this.draining || session.codec.mustClose || connection.peerEnded || !connection.writable) return false;
    const most = this.cluster.config.max_requests_per_connection;
    if (most > 0 && session.uses >= most) return false;
    return session.expires === 0 || session.lastActive < session.expires;
  }

  sessionOpened(_session: Session): void {}

  sessionClosed(session: Session): void {
    if (!this.sessions.delete(session)) return;
    this.forget(session);
    const { cluster, host } = this;
    host.connections--;
    cluster.stats.active_connections.dec();
    cluster.breaker.releaseConnection();
    if (this.sessions.size === 0) {
      if (host.pool !== this) host.unhold(this);
      if (this.draining) this.owner.poolGone(this);
    }
    this.owner.connectionFreed();
  }

  strayReply(): void {
    this.owner.strayReplies++;
  }

  /** Another pool is the host's first now; this one is told of the host's end as long as it has connections there. */
  displaced(): void {
    if (this.sessions.size > 0) this.host.hold(this);
  }

  drain(): void {
    this.draining = true;
    if (this.sessions.size === 0) this.owner.poolGone(this);
    for (const session of this.sessions) {
      session.closing = true;
      this.sessionClosing(session);
    }
  }

  close(): void {
    this.draining = true;
    for (const session of [...this.sessions]) session.failAll('host-removed');
  }
}

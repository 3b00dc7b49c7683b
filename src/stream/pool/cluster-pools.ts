// The pools of one cluster in one worker: a pool for each host, and the queue of exchanges that wait for a connection.
import { now, turnNow } from '../../core/clock.js';
import { Deadline, type DeadlineOwner } from '../../core/deadline.js';
import type { Cluster } from '../../network/upstream/cluster.js';
import type { Host } from '../../network/upstream/host.js';
import type { Exchange } from '../exchange.js';
import { SHARED } from '../head.js';
import type { HeartbeatRule } from '../heartbeat.js';
import type { PoolKind, Protocol } from '../protocol.js';
import type { Session } from '../session.js';
import { ExclusivePool } from './exclusive.js';
import { MultiplexPool } from './multiplex.js';
import { PinnedPool } from './pinned.js';
import type { MessagePool } from './pool.js';

/** Connections are shared by all workers through the breaker, so one that another worker gave back is looked for at this pace, ms. */
const RETRY_MS = 40;

export class ClusterPools implements DeadlineOwner {
  readonly cluster: Cluster;
  readonly protocol: Protocol;
  readonly kind: PoolKind;
  readonly heartbeat: HeartbeatRule;
  readonly connectionsPerHost: number;
  /** Protocols of listeners that were found to fit; kept by whoever looks. */
  readonly spoken = new Set<Protocol>();
  /** Replies whose exchange was over when they came. */
  strayReplies = 0;
  private waiting: Exchange[] = [];
  private readonly pools = new Set<MessagePool>();
  /** What of the cluster's configuration the connections are made with. */
  private readonly madeWith: string;
  private readonly poll: Deadline;

  constructor(cluster: Cluster, protocol: Protocol) {
    this.cluster = cluster;
    this.protocol = protocol;
    const wanted = cluster.config.pool;
    this.kind = wanted === null || (wanted === 'multiplex' && protocol.pool !== 'multiplex') ? (protocol.defaultPool ?? protocol.pool) : wanted;
    this.heartbeat = cluster.config.heartbeat ?? protocol.heartbeat;
    this.connectionsPerHost = cluster.config.connections_per_host;
    this.madeWith = cluster.connectionKey;
    this.poll = new Deadline(this, 0);
  }

  /** The cluster's connections are made with other settings by now. */
  get stale(): boolean {
    return this.madeWith !== this.cluster.connectionKey;
  }

  /** Whether exchanges of this very protocol are known to fit. */
  serves(protocol: Protocol): boolean {
    return this.spoken.has(protocol) && this.madeWith === this.cluster.connectionKey;
  }

  get unused(): boolean {
    if (this.waiting.length > 0) return false;
    for (const pool of this.pools) if (pool.sessions.size > 0) return false;
    return true;
  }

  /** Every connection of this cluster, in use or not. */
  *sessions(): Iterable<Session> {
    for (const pool of this.pools) yield* pool.sessions;
  }

  poolOf(host: Host): MessagePool {
    const known = host.pool as MessagePool | null;
    return known !== null && known.owner === this ? known : this.takeHost(host);
  }

  /** The host has no pool, or one of former settings, which from now on is one of several that hold the host. */
  private takeHost(host: Host): MessagePool {
    for (const mine of this.pools) if (mine.host === host) return mine;
    const pool = this.kind === 'exclusive' ? new ExclusivePool(this, host) : this.kind === 'multiplex' ? new MultiplexPool(this, host) : new PinnedPool(this, host);
    const former = host.pool as MessagePool | null;
    host.pool = pool;
    former?.displaced();
    this.pools.add(pool);
    return pool;
  }

  /** The pool of a removed host has closed its last connection. */
  poolGone(pool: MessagePool): void {
    this.pools.delete(pool);
  }

  /** The limit of connections is reached, perhaps by idle ones of other hosts: one of these rather than waiting. */
  spare(exchange: Exchange): Session | null {
    for (const pool of this.pools) {
      if (!pool.host.healthy || pool.host.removed) continue;
      const session = pool.spare(exchange.sharing !== SHARED);
      if (session !== null) return session;
    }
    return null;
  }

  /** Queues the exchange until a connection of any host is free; false when the breaker's pending limit is reached. */
  wait(exchange: Exchange): boolean {
    if (!this.cluster.breaker.tryPending()) return false;
    this.cluster.stats.pending.inc();
    this.waiting.push(exchange);
    exchange.waitingIn = this;
    exchange.waitingSince = turnNow();
    if (!this.poll.armed) this.poll.set(RETRY_MS);
    return true;
  }

  private leave(exchange: Exchange): void {
    exchange.waitingIn = null;
    this.cluster.breaker.releasePending();
    this.cluster.stats.pending.dec();
    if (this.waiting.length === 0) this.poll.cancel();
  }

  /** The exchange was cancelled while it waited. */
  cancel(exchange: Exchange): void {
    const i = this.waiting.indexOf(exchange);
    if (i < 0) return;
    this.waiting.splice(i, 1);
    this.leave(exchange);
  }

  /** Gives a session that became free, or can be shared by one more, to who waits longest and may use it; false when nobody does. */
  serve(session: Session): boolean {
    if (this.waiting.length === 0) return false;
    const shared = this.kind === 'multiplex' && !session.alone;
    const i = shared ? this.waiting.findIndex((e) => e.sharing === SHARED) : 0;
    if (i < 0 || !session.hasRoom) return false;
    const [exchange] = this.waiting.splice(i, 1) as [Exchange];
    this.leave(exchange);
    exchange.connectionFree(session);
    return true;
  }

  /** A connection was closed: who waits longest may dial. */
  connectionFreed(): void {
    if (this.waiting.length > 0 && this.connectionsFree) this.wakeOne();
  }

  private wakeOne(): void {
    const exchange = this.waiting.shift();
    if (exchange === undefined) return;
    this.leave(exchange);
    exchange.connectionFree(null);
  }

  onDeadline(): void {
    const limit = this.cluster.config.pool_timeout;
    const before = now() - limit;
    for (let first = this.waiting[0]; first !== undefined && first.waitingSince <= before; first = this.waiting[0]) {
      first.fail('pool-timeout', { cluster: this.cluster.name, ms: limit });
    }
    for (let n = this.waiting.length; n > 0 && this.connectionsFree; n--) this.wakeOne();
    if (this.waiting.length > 0) this.poll.set(RETRY_MS);
  }

  private get connectionsFree(): boolean {
    const { limits } = this.cluster.breaker;
    return limits.max_connections === 0 || this.cluster.breaker.levels().connections < limits.max_connections;
  }

  get waitingCount(): number {
    return this.waiting.length;
  }
}

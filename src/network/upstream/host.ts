// One address of a cluster as a worker sees it: its health, what runs on it and the pool that the stream layer keeps there.
import { turnNow } from '../../core/clock.js';
import type { SharedLevels } from '../../core/levels.js';
import type { Cluster } from './cluster.js';
import type { HostStats } from './cluster-stats.js';
import type { HostSnapshot, Target } from './snapshot.js';

/** Bits of a host's health row; 0 is healthy. The outlier bit is kept free for passive detection. */
export const FAILED_CHECK = 1;
export const FAILED_OUTLIER = 2;

/** Whoever keeps connections to a host and must let go of it: the stream layer's pool, a dialled socket, a TCP session. */
export interface HostPool {
  /** The host is going: close what is idle, finish the rest, start nothing. */
  drain(): void;
  /** The time to finish has passed: close everything. */
  close(): void;
}

export class Host {
  readonly cluster: Cluster;
  /** "ip:port", "[ip6]:port" or "unix:/path", as shown everywhere. */
  readonly address: string;
  readonly target: Target;
  /** The name it was found by, or its address without the port. */
  hostname: string;
  metadata: Readonly<Record<string, string>>;
  /** As configured. */
  weight: number;
  /** What balancers use: the weight, lowered during slow start. */
  share: number;
  /** Monotonic ms since when it can be picked; slow start counts from there. */
  usableSince = -1;
  /** True once the host is out of its cluster: it is never picked again, what runs may finish. */
  removed = false;
  /** Monotonic ms until which it asked, in its protocol, to be left alone; 0: never. Others are picked while there are any. */
  awayUntil = 0;
  /** Exchanges in flight and connections, of this worker; counted by whoever holds them. */
  active = 0;
  connections = 0;
  /** Set by the stream layer at the first use. */
  pool: HostPool | null = null;
  readonly stats: HostStats;
  private readonly levels: SharedLevels;
  private row: number;
  private holders: Set<HostPool> | null = null;

  constructor(cluster: Cluster, facts: HostSnapshot, levels: SharedLevels, stats: HostStats) {
    this.cluster = cluster;
    this.address = facts.address;
    this.target = facts.target;
    this.hostname = facts.hostname;
    this.metadata = facts.metadata;
    this.weight = facts.weight;
    this.share = facts.weight;
    this.levels = levels;
    this.row = facts.healthRow;
    this.stats = stats;
  }

  /** Nothing speaks against it. What was picked was healthy at that moment, so callers need not ask. */
  get healthy(): boolean {
    return this.levels.read(this.row) === 0;
  }

  get away(): boolean {
    return this.awayUntil > 0 && turnNow() < this.awayUntil;
  }

  /** Registers someone other than `pool` who must let go when the host is removed; undone by `unhold`. */
  hold(holder: HostPool): void {
    (this.holders ??= new Set()).add(holder);
    if (this.removed) holder.drain();
  }

  unhold(holder: HostPool): void {
    this.holders?.delete(holder);
  }

  /** True when nothing of this worker uses it any more. */
  get unused(): boolean {
    return this.active === 0 && this.connections === 0 && (this.holders === null || this.holders.size === 0);
  }

  // === for its cluster

  /** Takes over what may change while the host stays the same. */
  update(facts: HostSnapshot): void {
    this.hostname = facts.hostname;
    this.metadata = facts.metadata;
    this.weight = facts.weight;
    this.row = facts.healthRow;
  }

  drain(): void {
    if (this.removed) return;
    this.removed = true;
    this.pool?.drain();
    if (this.holders !== null) for (const holder of [...this.holders]) holder.drain();
  }

  close(): void {
    this.pool?.close();
    if (this.holders !== null) for (const holder of [...this.holders]) holder.close();
  }
}

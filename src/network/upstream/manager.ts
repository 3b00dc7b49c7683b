// The clusters of a worker: builds, changes and removes them live from the main thread's snapshots, and dials them for components.
import type { Catalog } from '../../core/manifest.js';
import { clock } from '../../core/clock.js';
import type { SharedLevels } from '../../core/levels.js';
import type { Stats } from '../../core/stats.js';
import type { BalancerManifest } from './balancer.js';
import { Cluster, type ClusterDeps } from './cluster.js';
import { DialSocket, type DialOptions } from './dial.js';
import type { ClusterSnapshot } from './snapshot.js';

/** How often removed hosts are looked at; a closed one is let go of at most this much later. */
const SWEEP_MS = 500;

export interface ClusterManagerDeps {
  readonly stats: Stats;
  readonly levels: SharedLevels;
  /** Where balancers are found by name. */
  readonly catalog: Catalog;
}

/** What this worker holds on a host, for the admin; plain data. */
export interface HostLoad {
  readonly address: string;
  readonly active: number;
  readonly connections: number;
  readonly draining: boolean;
}

export interface ClusterLoad {
  readonly name: string;
  readonly panic: boolean;
  readonly hosts: readonly HostLoad[];
}

export class ClusterManager {
  private readonly clusters = new Map<string, Cluster>();
  /** Removed clusters on which something still runs. */
  private readonly leaving = new Set<Cluster>();
  private readonly deps: ClusterDeps;
  private sweepTimer: unknown = null;
  private catalog: Catalog;

  constructor(deps: ClusterManagerDeps) {
    this.catalog = deps.catalog;
    this.deps = {
      stats: deps.stats,
      levels: deps.levels,
      balancer: (type) => this.catalog.find<BalancerManifest>('balancer', type),
    };
  }

  /** The plug-ins from now on; a balancer whose plug-in was replaced is made anew at once. One that is missing is served by its last version. */
  useCatalog(catalog: Catalog): void {
    this.catalog = catalog;
    for (const cluster of this.clusters.values()) cluster.renew();
  }

  /** Makes these the clusters: builds new ones, changes those that differ, removes those that are missing. */
  apply(snapshots: readonly ClusterSnapshot[]): void {
    const wanted = new Set(snapshots.map((s) => s.config.name));
    for (const name of [...this.clusters.keys()]) if (!wanted.has(name)) this.remove(name);
    for (const snapshot of snapshots) this.update(snapshot);
  }

  /** Adds or changes one cluster; a snapshot that is not newer than what is in force does nothing. */
  update(snapshot: ClusterSnapshot): void {
    const name = snapshot.config.name;
    const known = this.clusters.get(name);
    if (known === undefined) this.clusters.set(name, new Cluster(snapshot, this.deps));
    else if (snapshot.version > known.version) {
      known.update(snapshot);
      this.sweepLater();
    }
  }

  remove(name: string): void {
    const cluster = this.clusters.get(name);
    if (cluster === undefined) return;
    this.clusters.delete(name);
    cluster.remove();
    this.leaving.add(cluster);
    this.sweepLater();
  }

  get(name: string): Cluster | undefined {
    return this.clusters.get(name);
  }

  all(): Iterable<Cluster> {
    return this.clusters.values();
  }

  /**
   * A socket to a host of the cluster, for components and clients that speak their own protocol. It never throws: that there is no
   * cluster, host or place left in the breaker is an `error` event, as is everything that happens to the connection.
   */
  dial(name: string, options: DialOptions = {}): DialSocket {
    return new DialSocket(name, this.clusters.get(name), options);
  }

  /** What this worker holds, cluster by cluster. */
  load(): ClusterLoad[] {
    return [...this.clusters.values()].map((cluster) => ({
      name: cluster.name,
      panic: cluster.panic,
      hosts: [
        ...cluster.hosts.map((h) => ({ address: h.address, active: h.active, connections: h.connections, draining: false })),
        ...[...cluster.draining].map((h) => ({ address: h.address, active: h.active, connections: h.connections, draining: true })),
      ],
    }));
  }

  /** Removes every cluster and closes at once what still runs. */
  close(): void {
    this.apply([]);
    if (this.sweepTimer !== null) clock.clearTimeout(this.sweepTimer);
    this.sweepTimer = null;
    this.sweep(true);
  }

  private sweepLater(): void {
    if (this.sweepTimer !== null) return;
    const due = this.leaving.size > 0 || [...this.clusters.values()].some((c) => !c.draining[Symbol.iterator]().next().done);
    if (!due) return;
    this.sweepTimer = clock.setTimeout(() => {
      this.sweepTimer = null;
      this.sweep(false);
      this.sweepLater();
    }, SWEEP_MS);
  }

  private sweep(force: boolean): void {
    for (const cluster of this.clusters.values()) cluster.sweep(force);
    for (const cluster of this.leaving) {
      if (cluster.sweep(force) > 0) continue;
      this.leaving.delete(cluster);
      cluster.release();
    }
  }
}

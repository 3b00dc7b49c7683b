// The main thread's half of the clusters: discovery, health checks and rows of shared memory, told to the workers as snapshots.
import type { Catalog } from '../../core/manifest.js';
import type { LevelRows, SharedLevels } from '../../core/levels.js';
import type { Stats } from '../../core/stats.js';
import type { ClusterConfig } from './config.js';
import type { ProbeFactory } from './probe.js';
import type { ClusterSnapshot } from './snapshot.js';

export interface MainUpstreamDeps {
  readonly stats: Stats;
  readonly levels: SharedLevels;
  readonly rows: LevelRows;
  /** Where discoveries are found by name. */
  readonly catalog: Catalog;
  /** Health checks of protocols by the protocol's name. */
  readonly probes: ReadonlyMap<string, ProbeFactory>;
  /** A cluster was added or changed: for every worker's `ClusterManager.update`. */
  readonly onChange: (snapshot: ClusterSnapshot) => void;
  /** A cluster is gone: for every worker's `ClusterManager.remove`. */
  readonly onRemove: (name: string) => void;
}

export class MainUpstream {
  constructor(_deps: MainUpstreamDeps) {}
  /** Makes these the clusters. */
  apply(_configs: readonly ClusterConfig[]): void {}
  /** The state of every cluster, for a worker that starts. */
  snapshots(): ClusterSnapshot[] {
    return [];
  }
  close(): void {}
}

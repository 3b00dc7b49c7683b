// What the main thread and the workers tell each other: plain data, posted only when something changes or is asked.
import type { LevelSegment, SharedLevelsState } from '../core/levels.js';
import type { StatsUpdate } from '../core/stats.js';
import type { ClusterSnapshot } from '../network/upstream/snapshot.js';
import type { ClusterLoad } from '../network/upstream/manager.js';
import type { Config } from './model.js';
import type { ConnectionState, ListenerState } from './operations.js';

/** One configuration as a worker builds it. */
export interface Version {
  readonly version: number;
  readonly config: Config;
  readonly clusters: readonly ClusterSnapshot[];
}

/** Given to a worker thread when it starts. */
export interface WorkerStart {
  /** Number of the worker, from 1; it is also its writer in the shared levels (0 is the main thread). */
  readonly self: number;
  readonly workers: number;
  readonly levels: SharedLevelsState;
  /** One Int32 per worker, raised by each about twice a second: a worker that stands still is found by it. */
  readonly ticks: SharedArrayBuffer;
  readonly start: Version;
  readonly logLevel: string;
  /** Directory of the configuration file, which plug-in paths are relative to. */
  readonly directory: string;
}

export type ToWorker =
  | { readonly type: 'config'; readonly version: Version; readonly plugins: number }
  | { readonly type: 'cluster'; readonly snapshot: ClusterSnapshot }
  | { readonly type: 'remove-cluster'; readonly name: string }
  | { readonly type: 'segment'; readonly segment: LevelSegment }
  | { readonly type: 'log-level'; readonly level: string }
  | { readonly type: 'reopen-logs' }
  /** Tell peers, keep accepting, finish; answered by `drained` when nothing runs. */
  | { readonly type: 'drain' }
  /** End what still runs, close everything; the worker ends. */
  | { readonly type: 'stop' }
  | { readonly type: 'ask'; readonly id: number; readonly what: 'connections' | 'state'; readonly limit: number };

export interface WorkerAnswer {
  readonly connections: readonly ConnectionState[];
  readonly listeners: readonly ListenerState[];
  readonly clusters: readonly ClusterLoad[];
  readonly heapUsed: number;
}

export type FromWorker =
  | { readonly type: 'stats'; readonly update: StatsUpdate }
  /** The version is in force in this worker; `problems` names objects that could not be built and stayed as they were. */
  | { readonly type: 'built'; readonly version: number; readonly problems: readonly string[]; readonly listeners: readonly ListenerState[] }
  | { readonly type: 'drained' }
  | { readonly type: 'answer'; readonly id: number; readonly answer: WorkerAnswer };

// What the main thread and the workers tell each other: plain data, posted only when something changes or is asked.
import type { LevelSegment, SharedLevelsState } from '../core/levels.js';
import type { LogLevel } from '../core/log.js';
import type { StatsUpdate } from '../core/stats.js';
import type { ClusterSnapshot } from '../network/upstream/snapshot.js';
import type { ClusterLoad } from '../network/upstream/manager.js';
import type { Packed } from '../stream/trace/traced-exchange.js';
import type { Config } from './model.js';
import type { ConnectionState, ListenerState } from './operations.js';

/** One configuration as a worker builds it. */
export interface Version {
  readonly version: number;
  readonly config: Config;
  readonly clusters: readonly ClusterSnapshot[];
  /** Row of SharedLevels in which all workers count what the network filters of a listener limit, by listener. */
  readonly levelRows: Readonly<Record<string, number>>;
}

/** Given to a worker thread once there is a configuration; until then it only loads its code. */
export interface WorkerStart {
  /** Number of the worker, from 1; it is also its writer in the shared levels (0 is the main thread). */
  readonly self: number;
  readonly workers: number;
  readonly levels: SharedLevelsState;
  /** One Int32 per worker, raised by each about twice a second: a worker that stands still is found by it. */
  readonly ticks: SharedArrayBuffer;
  /** One Int32: the gate to standard output, see WriteGate. */
  readonly gate: SharedArrayBuffer;
  /** Secret of TLS session tickets, the same in all workers. */
  readonly ticketSecret: Uint8Array;
  /** What ids of requests made by this worker begin with. */
  readonly idPrefix: string;
}

export type ToWorker =
  | { readonly type: 'start'; readonly start: WorkerStart }
  | { readonly type: 'config'; readonly version: Version }
  | { readonly type: 'cluster'; readonly snapshot: ClusterSnapshot }
  | { readonly type: 'segment'; readonly segment: LevelSegment }
  | { readonly type: 'log-level'; readonly level: LogLevel }
  | { readonly type: 'reopen-logs' }
  /** A batch of `spans` was taken. */
  | { readonly type: 'spans-taken' }
  /** Tell peers, keep accepting, finish; answered by `drained` when nothing runs. */
  | { readonly type: 'drain' }
  /** End what still runs, close everything; the worker ends. */
  | { readonly type: 'stop' }
  /** `limit`: most connections in the answer. */
  | { readonly type: 'ask'; readonly id: number; readonly limit: number };

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
  /** A listener got the address that it could not have before. */
  | { readonly type: 'listeners'; readonly listeners: readonly ListenerState[] }
  /** Recorded exchanges; answered by `spans-taken`. */
  | { readonly type: 'spans'; readonly batch: Packed }
  | { readonly type: 'drained' }
  /** Everything is closed and written; the thread ends. */
  | { readonly type: 'stopped' }
  | { readonly type: 'answer'; readonly id: number; readonly answer: WorkerAnswer };

// What a file of bench/path says: which backends, subjects and loads make the bench of one protocol, and which bars it has.
import type { Mode, SubjectKind } from '../subject.js';

export interface Workload {
  readonly name: string;
  /** Arguments of the load generator without port, times and watched processes. */
  readonly load: readonly string[];
  /** What CPU time is divided by. */
  readonly unit: 'request' | 'MB';
}

/** A backend, and what is measured in front of it. */
export interface Lane {
  readonly backend: readonly string[];
  readonly mode: Mode;
  /** Sluice's example config; absent: only the peers are measured, as a yardstick for another lane. */
  readonly config?: string;
  readonly peers: readonly SubjectKind[];
  readonly workloads: readonly Workload[];
}

/** Sluice's figure against `times` the figure of a peer, in the same run. */
export interface Bar {
  readonly workload: string;
  /** `cpu`: CPU time per unit, at most; `rate`: units a second, at least. */
  readonly measure: 'cpu' | 'rate';
  readonly times: number;
  readonly peer: string;
  /** Workload of the peer's figure if it is another one. */
  readonly peerWorkload?: string;
}

export interface Path {
  readonly name: string;
  /** One line for the list of benches. */
  readonly summary: string;
  readonly lanes: readonly Lane[];
  readonly bars: readonly Bar[];
}

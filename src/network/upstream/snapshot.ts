// What the main thread tells every worker about a cluster: plain data that can be posted between threads.
import type { Target } from '../transport/transport.js';
import type { ClusterConfig } from './config.js';

export type { Target };

export interface HostSnapshot {
  /** "ip:port", "[ip6]:port" or "unix:/path": the identity of a host within its cluster. */
  readonly address: string;
  readonly target: Target;
  /** The name it was found by, or the address; default of SNI and of a health check's host header. */
  readonly hostname: string;
  /** Share of traffic, relative to the others; 0 takes none. */
  readonly weight: number;
  /** Row of SharedLevels with its health bits, written by the main thread. */
  readonly healthRow: number;
  readonly metadata: Readonly<Record<string, string>>;
}

export interface ClusterSnapshot {
  readonly config: ClusterConfig;
  readonly hosts: readonly HostSnapshot[];
  /** First of the rows in which all workers count what the breaker limits, see breaker.ts. */
  readonly breakerRows: readonly number[];
  /** Row whose value changes whenever a health bit of a host of this cluster changes. */
  readonly epochRow: number;
  /** Grows with every snapshot of this cluster; an older one than what is in force is ignored. */
  readonly version: number;
}

// What listener filters and network filters are: the first look at the bytes of a connection, and the word on whether and where it goes.
import type { Log } from '../core/log.js';
import type { Manifest } from '../core/manifest.js';
import type { ReasonCode, SluiceError } from '../core/reason.js';
import type { Stats } from '../core/stats.js';
import type { Connection } from './connection.js';
import type { ConnectionRecord } from './record.js';
import type { Cluster } from './upstream/cluster.js';
import type { ConnectionInfo } from './wire.js';

/** Answer of a listener filter that has not seen enough. */
export const MORE = -1;

/**
 * Sees the first bytes of an accepted connection, before TLS. One instance serves all connections of a listener; it keeps nothing
 * about them except in their `info`.
 */
export interface ListenerFilter {
  readonly name: string;
  /** Time for the filter to see enough, ms. */
  readonly timeout: number;
  /**
   * Looks at buf[start, end), everything that arrived and was not consumed. Answers how many bytes it consumed (0 for one that only
   * looks) and is done with the connection; MORE to be asked again when more has come (`info` is untouched then); or an error,
   * which closes the connection.
   */
  inspect(info: ConnectionInfo, buf: Uint8Array, start: number, end: number): number | SluiceError;
  /** The time is over or the client has ended its side; null: go on as if the filter had consumed nothing. */
  late(info: ConnectionInfo): SluiceError | null;
}

export interface ListenerFilterManifest extends Manifest {
  readonly kind: 'listener-filter';
  create(options: unknown): ListenerFilter;
}

/** The clusters of the worker. */
export interface Clusters {
  get(name: string): Cluster | undefined;
}

/** A number that the threads serving a listener raise and lower together. */
export interface Level {
  add(n: number): void;
  /** The sum over all threads. */
  read(): number;
}

/** What a network filter is made with. */
export interface FilterContext {
  /** Name of the listener. */
  readonly listener: string;
  readonly clusters: Clusters;
  readonly stats: Stats;
  readonly log: Log;
  /** The level of this name; it survives changes of the configuration as long as the listener does. */
  level(name: string): Level;
  /** Takes a finished connection to the access log. */
  record(record: ConnectionRecord): void;
}

/** The listener as a filter that carries datagrams sees it. */
export interface DatagramListener {
  /** Asks the filters before whether a new session is let in; each null is followed by one `leave`. */
  admit(info: ConnectionInfo): SluiceError | null;
  leave(info: ConnectionInfo): void;
  send(bytes: Uint8Array, port: number, host: string): void;
  address(): { readonly host: string; readonly port: number };
}

/**
 * One configured network filter; one instance serves all connections of a listener in a thread. Filters with `admit` are asked in
 * order; the one with `take` or `receive` is the last and carries the bytes.
 */
export interface NetworkFilter {
  readonly name: string;
  /** Whether a client is let in; asked before the TLS handshake. Each null is followed by one `leave`. */
  admit?(info: ConnectionInfo): SluiceError | null;
  leave?(info: ConnectionInfo): void;
  /** Takes an open connection: sets its reader. */
  take?(connection: Connection): void;
  /** Takes a datagram; the bytes are the filter's. */
  receive?(bytes: Buffer, host: string, port: number, listener: DatagramListener): void;
  /** How many connections or sessions it carries. */
  readonly active?: number;
  /** The listener is gone, or the filter's time is over: ends what it still carries, for this reason. */
  close?(code: ReasonCode): void;
}

export interface NetworkFilterManifest extends Manifest {
  readonly kind: 'network-filter';
  /** Whether it decides on clients or carries their bytes, and over which protocol. */
  readonly role: 'gate' | 'tcp' | 'udp';
  create(options: unknown, context: FilterContext): NetworkFilter;
  /** Names of clusters in its options, each with its path there. */
  clusters?(options: unknown): Iterable<{ readonly name: string; readonly path: readonly (string | number)[] }>;
}

// What operators can ask of a running process: implemented by server.ts, offered by the admin HTTP server and the command line.

export interface ReadyState {
  readonly ready: boolean;
  /** What is still awaited ("listener http", "cluster app: first DNS answer"), or why the process is not ready any more ("draining"). */
  readonly waiting: readonly string[];
}

export interface ConfigState {
  /** The version asked for last, and the lowest version that every worker runs. */
  readonly wanted: number;
  readonly running: number;
  readonly file: string;
  /** The configuration in force, secrets replaced by "***". */
  readonly effective: unknown;
  /** Objects kept at an older version because the newer one was refused. */
  readonly rejected: { readonly at: string; readonly problems: readonly string[] } | null;
}

export interface ListenerState {
  readonly name: string;
  readonly address: string;
  readonly protocol: string;
  readonly state: 'starting' | 'listening' | 'draining' | 'closed' | 'failed';
  readonly connections: number;
  readonly error: string;
}

export interface HostState {
  readonly address: string;
  readonly hostname: string;
  readonly weight: number;
  readonly healthy: boolean;
  readonly cause: string;
  readonly active: number;
  readonly connections: number;
}

export interface ClusterState {
  readonly name: string;
  readonly protocol: string;
  readonly discovery: string;
  readonly lastError: string;
  readonly hosts: readonly HostState[];
  readonly levels: { readonly connections: number; readonly pending: number; readonly requests: number; readonly retries: number };
  readonly limits: { readonly connections: number; readonly pending: number; readonly requests: number; readonly retries: number };
}

export interface ConnectionState {
  readonly id: number;
  readonly worker: number;
  readonly side: 'downstream' | 'upstream';
  /** Name of the listener or cluster. */
  readonly owner: string;
  readonly remote: string;
  readonly local: string;
  readonly protocol: string;
  readonly ageMs: number;
  readonly active: number;
  readonly received: number;
  readonly sent: number;
  readonly unsent: number;
}

export interface WorkerState {
  readonly id: number;
  readonly state: 'starting' | 'running' | 'draining' | 'gone';
  readonly version: number;
  readonly heapUsed: number;
  readonly connections: number;
}

export interface Operations {
  readonly version: string;
  readonly startedAt: number;
  ready(): ReadyState;
  config(): ConfigState;
  listeners(): Promise<readonly ListenerState[]>;
  clusters(): Promise<readonly ClusterState[]>;
  /** Live connections, newest last; `limit` bounds the answer. */
  connections(limit: number): Promise<readonly ConnectionState[]>;
  workers(): Promise<readonly WorkerState[]>;
  /** Counters and gauges by name with labels, summed over workers. */
  counters(): Record<string, number>;
  /** Prometheus text. */
  metrics(): Promise<string>;
  logLevel(): string;
  setLogLevel(level: string): boolean;
  /** Reads the configuration file again; resolves with the problems, none when it was taken. */
  reload(): Promise<readonly string[]>;
  /** Not ready, tell peers, keep accepting, finish; the process ends when done or at the deadline. Resolves when it began. */
  drain(): Promise<void>;
  /** Drains, with the deadline given in ms (0: now; left out: `drain_timeout` of the configuration), and ends the process. */
  stop(deadlineMs?: number): Promise<void>;
}

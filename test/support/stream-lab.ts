// A listener, routes, a cluster and its pools without sockets or threads: every byte and every failure is moved by the test.
import { LevelRows, SharedLevels } from '../../src/core/levels.js';
import { log } from '../../src/core/log.js';
import { SluiceError, type ReasonCode } from '../../src/core/reason.js';
import { Stats } from '../../src/core/stats.js';
import { CONNECTING, Connection, type Reader } from '../../src/network/connection.js';
import { Breaker } from '../../src/network/upstream/breaker.js';
import { ClusterStats, HostStats } from '../../src/network/upstream/cluster-stats.js';
import type { Cluster } from '../../src/network/upstream/cluster.js';
import type { Host, HostPool } from '../../src/network/upstream/host.js';
import { FilterChain } from '../../src/stream/chain.js';
import type { StreamFilter } from '../../src/stream/filter.js';
import { MessageListener } from '../../src/stream/listener.js';
import { Upstreams } from '../../src/stream/pool/upstreams.js';
import type { Protocol } from '../../src/stream/protocol.js';
import { Captures, type ExchangeRecord } from '../../src/stream/record.js';
import { routeTableSchema } from '../../src/stream/route-config.js';
import { RouteTable } from '../../src/stream/router.js';
import type { Terminal } from '../../src/stream/terminal.js';
import { FakeWire } from './fake-wire.js';

const nobody: Reader = { onBytes: () => 0, onOpen() {}, onEnd() {}, onDrain() {}, onClose() {} };

/** Facts of a finished exchange, copied because records are used again. */
export interface Finished {
  readonly code: string;
  readonly status: number;
  readonly rawStatus: number;
  readonly attempts: readonly { host: string; code: string }[];
  readonly flags: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly context: Readonly<Record<string, unknown>>;
}

export interface LabOptions {
  readonly protocol: Protocol;
  /** What the hosts speak, where that is another one of the same family. */
  readonly upstream?: Protocol;
  readonly hosts?: number;
  readonly filters?: readonly StreamFilter[];
  /** The route's options beside its cluster. */
  readonly route?: Record<string, unknown>;
  readonly table?: Record<string, unknown>;
  readonly pool?: 'multiplex' | 'exclusive' | 'pinned' | null;
  readonly cluster?: Record<string, unknown>;
  readonly breaker?: Partial<Breaker['limits']>;
  readonly terminals?: readonly Terminal[];
  readonly timeouts?: { head: number; idle: number };
  readonly requestIds?: boolean;
}

export class Lab {
  readonly listener: MessageListener;
  readonly stats = new Stats();
  readonly finished: Finished[] = [];
  /** Connections that the pools dialled, oldest first. */
  readonly dialled: { host: string; wire: FakeWire }[] = [];
  readonly hosts: Host[] = [];
  readonly cluster: Cluster;
  readonly breaker: Breaker;
  readonly upstreams: Upstreams;
  healthy = true;
  private turn = 0;

  constructor(options: LabOptions) {
    const levels = SharedLevels.create(64, 1);
    const rows = new LevelRows(levels, () => {});
    const stats = new ClusterStats(this.stats, 'app');
    const limits = { max_connections: 1024, max_pending: 1024, max_requests: 0, max_retries: 0, retry_budget: { percent: 20, min: 3 }, ...options.breaker };
    this.breaker = new Breaker(levels, ['c', 'p', 'q', 'r'].map((n) => rows.take(n)), limits, stats.breaker_open);
    const cluster = {
      name: 'app',
      stats,
      breaker: this.breaker,
      removed: false,
      config: {
        name: 'app', protocol: options.upstream?.name ?? '', pool: options.pool ?? null, connections_per_host: 1, connect_timeout: 3000, idle_timeout: 60_000,
        pool_timeout: 5000, max_requests_per_connection: 0, max_connection_age: 0, heartbeat: null, ...options.cluster,
      },
      pick: (_hash: number, tried: readonly Host[] | null): Host | null => {
        if (!this.healthy || this.hosts.length === 0) return null;
        for (let i = 0; i < this.hosts.length; i++) {
          const host = this.hosts[this.turn++ % this.hosts.length]!;
          if (tried === null || !tried.includes(host)) return host;
        }
        return this.hosts[0]!;
      },
      noneReason: () => (this.hosts.length === 0 ? 'no-host' : 'no-healthy-host'),
      connect: (host: Host, reader: Reader): Connection => {
        const connection = new Connection(reader);
        this.dialled.push({ host: host.address, wire: new FakeWire(connection) });
        return connection;
      },
    };
    this.cluster = cluster as unknown as Cluster;
    for (let i = 1; i <= (options.hosts ?? 1); i++) {
      const host = { address: `10.0.0.${i}:80`, cluster: this.cluster, active: 0, connections: 0, healthy: true, removed: false, awayUntil: 0, pool: null as HostPool | null, stats: new HostStats(this.stats, 'app', `10.0.0.${i}:80`) };
      this.hosts.push(host as unknown as Host);
    }
    const terminals = new Map((options.terminals ?? []).map((t) => [t.name, t]));
    const table = routeTableSchema.parse(options.table ?? { name: 'main', routes: [{ name: 'all', cluster: 'app', ...options.route }] });
    this.upstreams = new Upstreams(() => options.upstream ?? null);
    const finished = this.finished;
    this.listener = new MessageListener(
      {
        name: 'in',
        protocol: options.protocol,
        table: new RouteTable(table, { clusters: { get: (name) => (name === 'app' ? this.cluster : undefined) }, terminals }),
        chain: new FilterChain(options.filters ?? []),
        captures: new Captures(),
        logs: [{ write: (record: ExchangeRecord) => void finished.push(facts(record)) } as never],
        timeouts: options.timeouts ?? { head: 10_000, idle: 90_000 },
        requestIds: options.requestIds ?? false,
      },
      { stats: this.stats, upstreams: this.upstreams, log },
    );
  }

  /** A client that just connected. */
  client(): FakeWire {
    const connection = new Connection(nobody);
    const wire = new FakeWire(connection);
    this.listener.accept(connection);
    connection.state = connection.state === CONNECTING ? 1 : connection.state;
    return wire;
  }

  /** The n-th dialled connection (from 0; negative from the end), opened if it was still connecting. */
  upstream(n = -1): FakeWire {
    const wire = this.dialled.at(n)!.wire;
    if (wire.connection.state === CONNECTING) wire.open();
    return wire;
  }

  /** The n-th dialled connection fails to open. */
  refuse(n = -1, code: ReasonCode = 'connect-refused'): void {
    const { host, wire } = this.dialled.at(n)!;
    wire.close(new SluiceError(code, { host, detail: 'ECONNREFUSED' }));
  }

  get last(): Finished {
    return this.finished.at(-1)!;
  }

  /** What must be back at zero when nothing runs. */
  levels(): Record<string, number> {
    return {
      ...this.breaker.levels(),
      activeRequests: this.cluster.stats.active_requests.value,
      pendingRequests: this.cluster.stats.pending.value,
      listenerActive: this.listener.stats.active.value,
      hostsActive: this.hosts.reduce((sum, h) => sum + h.active, 0),
    };
  }
}

function facts(record: ExchangeRecord): Finished {
  const attempts = [];
  for (let i = 0; i < record.attempts; i++) {
    const { host, code } = record.attempt(i);
    attempts.push({ host, code });
  }
  return {
    code: record.code, status: record.status, rawStatus: record.rawStatus, attempts, flags: record.flags,
    bytesIn: record.bytesIn, bytesOut: record.bytesOut, context: { ...record.context },
  };
}

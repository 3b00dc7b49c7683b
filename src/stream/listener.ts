// What the stream layer keeps of one listener: its protocol, routes, filters, logs and counters, and the sessions it accepted.
import type { Log } from '../core/log.js';
import { reasons, type ReasonCode } from '../core/reason.js';
import type { Counter, Gauge, Histogram, Stats } from '../core/stats.js';
import type { Connection } from '../network/connection.js';
import type { Cluster } from '../network/upstream/cluster.js';
import type { AccessLog } from './access-log.js';
import type { FilterChain } from './chain.js';
import { headerName, type Head } from './head.js';
import type { ClusterPools } from './pool/cluster-pools.js';
import type { Upstreams } from './pool/upstreams.js';
import { Detector } from './detect.js';
import type { Protocol } from './protocol.js';
import { type Captures, type ExchangeRecord, nextSequence } from './record.js';
import type { RouteTable } from './router.js';
import { RpcStats } from './rpc-stats.js';
import { Session } from './session.js';
import type { Tracer } from './trace/tracer.js';

/** How long an idle connection of a draining listener stays open for a request that is on its way, ms. */
const DRAIN_IDLE_MS = 1000;

/** Time for a connection to show which protocol it speaks, ms. */
const DETECT_MS = 3000;

const REQUEST_ID = headerName('x-request-id');

export class ListenerStats {
  readonly requests: Counter;
  readonly active: Gauge;
  readonly connections: Gauge;
  readonly bytesIn: Counter;
  readonly bytesOut: Counter;
  readonly duration: Histogram;
  readonly filterErrors: Counter;
  private readonly replies: readonly Counter[];
  private readonly reasons = new Map<string, Counter>();
  private readonly stats: Stats;
  private readonly name: string;

  constructor(stats: Stats, name: string) {
    const labels = { listener: name };
    this.stats = stats;
    this.name = name;
    this.requests = stats.counter('sluice_listener_requests_total', 'Requests received.', labels);
    this.active = stats.gauge('sluice_listener_active_requests', 'Requests in flight.', labels);
    this.connections = stats.gauge('sluice_listener_active_connections', 'Connections that speak the protocol of the listener.', labels);
    this.bytesIn = stats.counter('sluice_listener_received_bytes_total', 'Bytes of requests.', labels);
    this.bytesOut = stats.counter('sluice_listener_sent_bytes_total', 'Bytes of replies.', labels);
    this.duration = stats.histogram('sluice_listener_request_seconds', 'Time from the first byte of a request to the end of its reply.', labels);
    this.filterErrors = stats.counter('sluice_listener_filter_errors_total', 'Exchanges that ended because a filter threw.', labels);
    this.replies = ['none', '1xx', '2xx', '3xx', '4xx', '5xx'].map((status) =>
      stats.counter('sluice_listener_replies_total', 'Exchanges by the first digit of the HTTP-like status they ended with; none: no reply was possible.', { ...labels, status }));
  }

  /** A connection of a listener of several protocols turned out to be one of them, `tcp` (carried as bytes) or `none`. */
  detected(protocol: string): void {
    this.stats.counter('sluice_listener_detected_total', 'Connections by the protocol that they were found to speak; none: closed.', { listener: this.name, protocol }).inc();
  }

  finished(record: ExchangeRecord): void {
    const group = (record.status / 100) | 0;
    this.replies[group > 5 ? 5 : group]!.inc();
    this.bytesIn.add(record.bytesIn);
    this.bytesOut.add(record.bytesOut);
    this.duration.record(record.end - record.start);
    this.active.dec();
    if (record.code !== '') this.reason(record.code);
  }

  private reason(code: ReasonCode): void {
    let counter = this.reasons.get(code);
    if (counter === undefined) {
      counter = this.stats.counter('sluice_listener_reasons_total', 'Exchanges that ended other than well, by reason.', { listener: this.name, reason: code, where: reasons[code].where });
      this.reasons.set(code, counter);
    }
    counter.inc();
  }
}

export interface MessageListenerConfig {
  readonly name: string;
  readonly protocol: Protocol;
  readonly table: RouteTable;
  readonly chain: FilterChain;
  readonly captures: Captures;
  readonly logs: readonly AccessLog[];
  /** ms; `idle` null: as the protocol has it. `detect`: for connections of several protocols to show which they are. */
  readonly timeouts: { readonly head: number; readonly idle: number | null; readonly detect?: number };
  /** Where several protocols are served, all of them in order; `protocol` is then the first. */
  readonly protocols?: readonly Protocol[];
  /** Adds x-request-id to requests that bring none, where the protocol has such headers. */
  readonly requestIds: boolean;
  /** Whose calls are counted by service and method: of gRPC, of every protocol that has them, of none. */
  readonly rpcMetrics?: 'grpc' | 'all' | 'none';
  /** Null where no traces are configured. */
  readonly tracer?: Tracer | null;
}

export class MessageListener {
  readonly name: string;
  readonly stats: ListenerStats;
  protocol!: Protocol;
  table!: RouteTable;
  chain!: FilterChain;
  captures!: Captures;
  logs!: readonly AccessLog[];
  timeouts!: { readonly head: number; readonly idle: number | null; readonly detect?: number };
  protocols: readonly Protocol[] = [];
  requestIds = false;
  /** Counters by service and method; null where nothing is counted so. */
  rpc: RpcStats | null = null;
  /** Only calls of gRPC are. */
  rpcGrpcOnly = true;
  tracer: Tracer | null = null;
  draining = false;
  readonly drainIdle = DRAIN_IDLE_MS;
  readonly sessions = new Set<Session>();
  private readonly upstreams: Upstreams;
  private readonly log: Log;
  private readonly allStats: Stats;
  private rpcRows: RpcStats | null = null;
  private readonly carrier: ((connection: Connection) => boolean) | undefined;

  /** `carry` takes a connection that is to be carried as bytes; false where the listener does not do that. */
  constructor(config: MessageListenerConfig, deps: { stats: Stats; upstreams: Upstreams; log: Log; carry?: (connection: Connection) => boolean }) {
    this.name = config.name;
    this.stats = new ListenerStats(deps.stats, config.name);
    this.allStats = deps.stats;
    this.upstreams = deps.upstreams;
    this.log = deps.log;
    this.carrier = deps.carry;
    this.update(config);
  }

  /** Takes over a newer configuration: exchanges that run finish with what they began with, connections stay. */
  update(config: MessageListenerConfig): void {
    const former = this.chain as FilterChain | undefined;
    this.protocol = config.protocol;
    this.table = config.table;
    this.chain = config.chain;
    this.captures = config.captures;
    this.logs = config.logs;
    this.timeouts = config.timeouts;
    this.protocols = config.protocols ?? [];
    const counted = config.rpcMetrics ?? 'none';
    this.rpcGrpcOnly = counted !== 'all';
    if (counted === 'none') this.rpc = null;
    else this.rpc ??= this.rpcStats();
    this.requestIds = config.requestIds;
    this.tracer = config.tracer ?? null;
    if (former !== undefined && former !== config.chain) former.retire();
  }

  accept(connection: Connection): void {
    if (this.protocols.length < 2) {
      this.open(connection, this.protocol);
      return;
    }
    const agreed = Detector.byAlpn(connection, this.protocols);
    if (agreed !== null) this.open(connection, agreed);
    else connection.reader = new Detector(connection, this, this.protocols, this.timeouts.detect ?? DETECT_MS);
  }

  /** From now on the connection speaks this protocol. */
  open(connection: Connection, protocol: Protocol): Session {
    const session = new Session(connection, protocol, 'server', this, null, this.timeouts.idle ?? protocol.downstreamIdle);
    connection.reader = session;
    session.opened = true;
    this.sessions.add(session);
    this.stats.connections.inc();
    if (this.protocols.length > 1) this.stats.detected(protocol.name);
    if (this.draining) session.acceptedLate();
    return session;
  }

  /** Hands a connection of none of the protocols to the cluster for such ones; false where there is none. */
  carry(connection: Connection): boolean {
    if (this.carrier === undefined || !this.carrier(connection)) return false;
    this.stats.detected('tcp');
    return true;
  }

  undetected(connection: Connection): void {
    this.stats.detected('none');
    if (this.log.enabled('debug')) this.log.debug({ listener: this.name, client: connection.info.remoteAddress, bytes: connection.received }, 'a connection of none of the protocols was closed');
  }

  sessionClosed(session: Session): void {
    if (this.sessions.delete(session)) this.stats.connections.dec();
  }

  /** The connection reached its age: its client is asked to connect anew. */
  retire(connection: Connection): void {
    for (const session of this.sessions) if (session.connection === connection) session.retire();
  }

  poolsOf(cluster: Cluster, protocol: Protocol): ClusterPools | null {
    return this.upstreams.of(cluster, protocol);
  }

  /** The pools of a cluster for exchanges that a bridge carries to the protocol of this name; null when the cluster speaks another one. */
  poolsNamed(cluster: Cluster, protocol: string): ClusterPools | null {
    return this.upstreams.named(cluster, protocol);
  }

  /** Keeps the request's x-request-id, or makes one. */
  identify(head: Head, record: ExchangeRecord): void {
    record.sequence = nextSequence();
    if (!head.find(REQUEST_ID)) head.add(REQUEST_ID, record.madeId);
  }

  /** Kept over changes of the configuration: series that exist go on. */
  private rpcStats(): RpcStats {
    return (this.rpcRows ??= new RpcStats(this.allStats, this.name));
  }

  finished(record: ExchangeRecord): void {
    this.stats.finished(record);
    if (record.rpc !== null) record.rpc.finished(record);
    if (record.trace !== null) this.tracer?.finished(record);
    const logs = this.logs;
    for (let i = 0; i < logs.length; i++) logs[i]!.write(record);
  }

  filterThrew(filter: string, error: unknown): void {
    this.stats.filterErrors.inc();
    this.log.error({ listener: this.name, filter, err: error }, 'a filter threw; its exchange was ended');
  }

  /** Tells every client to start nothing new; new connections are still served and told at once. */
  drain(): void {
    this.draining = true;
    for (const session of [...this.sessions]) session.drain();
  }

  /** Ends what still runs, with an error reply where none has begun. */
  abort(code: ReasonCode): void {
    for (const session of [...this.sessions]) session.dismiss(code);
  }
}

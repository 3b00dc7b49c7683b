// The filter itself: counters, routes, and the sessions that are under way.
import type { ReasonCode } from '../../../core/reason.js';
import type { Counter, Gauge } from '../../../core/stats.js';
import { type ClusterRouteConfig, ClusterRoutes } from '../../../network/cluster-route.js';
import type { Connection } from '../../../network/connection.js';
import type { FilterContext, NetworkFilter } from '../../../network/filter.js';
import { TcpSession } from './session.js';

export interface TcpProxyConfig extends ClusterRouteConfig {
  readonly idle_timeout: number;
  readonly keep_alive: number;
  readonly max_connect_attempts: number;
}

export class TcpProxy implements NetworkFilter {
  readonly name = 'tcp_proxy';
  readonly config: TcpProxyConfig;
  readonly context: FilterContext;
  readonly routes: ClusterRoutes;
  readonly sessions = new Set<TcpSession>();
  readonly received: Counter;
  readonly sent: Counter;
  readonly total: Counter;
  readonly running: Gauge;
  private readonly reasons = new Map<ReasonCode, Counter>();

  constructor(config: TcpProxyConfig, context: FilterContext) {
    this.config = config;
    this.context = context;
    this.routes = new ClusterRoutes(config);
    const labels = { listener: context.listener };
    this.total = context.stats.counter('sluice_tcp_connections_total', 'Connections carried as plain bytes.', labels);
    this.running = context.stats.gauge('sluice_tcp_active_connections', 'Connections that are being carried as plain bytes.', labels);
    this.received = context.stats.counter('sluice_tcp_received_bytes_total', 'Bytes that clients sent.', labels);
    this.sent = context.stats.counter('sluice_tcp_sent_bytes_total', 'Bytes that hosts sent.', labels);
  }

  get active(): number {
    return this.sessions.size;
  }

  take(connection: Connection): void {
    new TcpSession(this, connection).begin();
  }

  close(code: ReasonCode): void {
    for (const session of [...this.sessions]) session.abort(code);
  }

  /** Counts an end other than an orderly one. */
  ended(code: ReasonCode): void {
    let counter = this.reasons.get(code);
    if (counter === undefined) {
      const { stats, listener } = this.context;
      counter = stats.counter('sluice_tcp_reasons_total', 'Connections carried as plain bytes that ended other than well, by reason.', { listener, reason: code });
      this.reasons.set(code, counter);
    }
    counter.inc();
  }
}

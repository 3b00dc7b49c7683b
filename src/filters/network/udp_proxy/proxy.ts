// The filter itself: finds the session of a datagram's sender, or a host and a port of our own for a new one.
import { type ReasonCode, type ReasonContext, SluiceError } from '../../../core/reason.js';
import type { Counter, Gauge } from '../../../core/stats.js';
import { addressHash, type ClusterRouteConfig, ClusterRoutes } from '../../../network/cluster-route.js';
import type { DatagramListener, FilterContext, NetworkFilter } from '../../../network/filter.js';
import { ConnectionInfo } from '../../../network/wire.js';
import { UdpSession } from './session.js';

export interface UdpProxyConfig extends ClusterRouteConfig {
  readonly idle_timeout: number;
  readonly max_sessions: number;
}

export class UdpProxy implements NetworkFilter {
  readonly name = 'udp_proxy';
  readonly config: UdpProxyConfig;
  readonly context: FilterContext;
  readonly received: Counter;
  readonly sent: Counter;
  private readonly dropped: Counter;
  private readonly total: Counter;
  private readonly running: Gauge;
  private readonly routes: ClusterRoutes;
  private readonly reasons = new Map<ReasonCode, Counter>();
  /** By "port address" of the client. */
  private readonly sessions = new Map<string, UdpSession>();

  constructor(config: UdpProxyConfig, context: FilterContext) {
    this.config = config;
    this.context = context;
    this.routes = new ClusterRoutes(config);
    const labels = { listener: context.listener };
    const { stats } = context;
    this.total = stats.counter('sluice_udp_sessions_total', 'Sessions of datagrams.', labels);
    this.running = stats.gauge('sluice_udp_active_sessions', 'Sessions of datagrams that are under way.', labels);
    this.received = stats.counter('sluice_udp_received_datagrams_total', 'Datagrams of clients that went to a host.', labels);
    this.sent = stats.counter('sluice_udp_sent_datagrams_total', 'Datagrams of hosts that went to a client.', labels);
    this.dropped = stats.counter('sluice_udp_dropped_datagrams_total', 'Datagrams of clients for which there was no session to be had.', labels);
  }

  get active(): number {
    return this.sessions.size;
  }

  receive(bytes: Buffer, host: string, port: number, listener: DatagramListener): void {
    const key = `${port} ${host}`;
    let session = this.sessions.get(key);
    if (session === undefined) {
      const opened = this.open(key, host, port, listener);
      if (opened instanceof SluiceError) {
        this.dropped.inc();
        this.count(opened.code);
        return;
      }
      session = opened;
    }
    session.forward(bytes);
  }

  private open(key: string, host: string, port: number, listener: DatagramListener): UdpSession | SluiceError {
    const { context } = this;
    if (this.sessions.size >= this.config.max_sessions) return new SluiceError('connection-limit', { listener: context.listener, limit: this.config.max_sessions });
    const info = new ConnectionInfo();
    info.remoteAddress = host;
    info.remotePort = port;
    const local = listener.address();
    info.localAddress = local.host;
    info.localPort = local.port;
    const name = this.routes.choose(info);
    if (name === null) return new SluiceError('no-route', { detail: `${host} to ${local.host}:${local.port}` });
    const cluster = context.clusters.get(name);
    if (cluster === undefined) return new SluiceError('no-cluster', { cluster: name });
    const refused = listener.admit(info);
    if (refused !== null) return refused;
    const full: ReasonContext = { cluster: name, limit: cluster.breaker.limits.max_connections };
    const target = cluster.pick(addressHash(info), null);
    if (target === null || !cluster.breaker.tryConnection()) {
      listener.leave(info);
      return target === null ? new SluiceError(cluster.noneReason(), { cluster: name }) : new SluiceError('breaker-connections', full);
    }
    const session = new UdpSession(this, key, info, target, listener);
    this.sessions.set(key, session);
    this.total.inc();
    this.running.inc();
    return session;
  }

  /** A session is over: its next datagram begins another. */
  ended(key: string, code: ReasonCode | ''): void {
    this.sessions.delete(key);
    this.running.dec();
    if (code !== '') this.count(code);
  }

  private count(code: ReasonCode): void {
    let counter = this.reasons.get(code);
    if (counter === undefined) {
      const { stats, listener } = this.context;
      counter = stats.counter('sluice_udp_reasons_total', 'Datagrams without a session, and sessions that ended other than by their idle timeout, by reason.', { listener, reason: code });
      this.reasons.set(code, counter);
    }
    counter.inc();
  }

  close(code: ReasonCode): void {
    for (const session of [...this.sessions.values()]) session.end(new SluiceError(code, { listener: this.context.listener }));
  }
}

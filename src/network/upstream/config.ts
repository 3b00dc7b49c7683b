// How a cluster is configured: every option with its default, unit and effect.

export interface HostConfig {
  readonly address: string;
  readonly weight: number;
  readonly hostname: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/** What a plug-in's options look like once decoded: its name as `type`, and the rest as its own schema says. */
export interface Typed {
  readonly type: string;
  readonly [option: string]: unknown;
}

export interface BreakerConfig {
  readonly max_connections: number;
  readonly max_pending: number;
  readonly max_requests: number;
  readonly max_retries: number;
  readonly retry_budget: { readonly percent: number; readonly min: number };
}

export interface HeartbeatConfig {
  readonly interval: number;
  readonly timeout: number;
  readonly misses: number;
}

export interface ClusterConfig {
  readonly name: string;
  readonly hosts: readonly HostConfig[];
  readonly discovery: Typed;
  /** '' : the listener's. */
  readonly protocol: string;
  /** null: the protocol's own kind. */
  readonly pool: 'multiplex' | 'exclusive' | 'pinned' | null;
  readonly connections_per_host: number;
  readonly balancer: Typed;
  readonly panic_threshold: number;
  readonly slow_start: number;
  readonly health_check: HealthCheckConfig | null;
  readonly breaker: BreakerConfig;
  readonly connect_timeout: number;
  readonly idle_timeout: number;
  readonly pool_timeout: number;
  readonly max_requests_per_connection: number;
  readonly max_connection_age: number;
  /** null: the protocol's own. */
  readonly heartbeat: HeartbeatConfig | null;
  readonly keep_alive: number;
  readonly drain_timeout: number;
  readonly tls: unknown;
  readonly options: unknown;
}

export interface HealthCheckConfig {
  readonly type: string;
  readonly interval: number;
  readonly retry_interval: number;
  readonly jitter: number;
  readonly timeout: number;
  readonly healthy_threshold: number;
  readonly unhealthy_threshold: number;
  readonly initial: 'healthy' | 'unhealthy';
  readonly keep_connection: boolean;
  readonly port: number;
  readonly options: unknown;
}

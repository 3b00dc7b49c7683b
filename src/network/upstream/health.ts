// The active health checks of a cluster, on the main thread: one check per host, its own for each cluster, verdicts written to shared memory.
import { log } from '../../core/log.js';
import { random } from '../../core/random.js';
import type { Counter, Gauge, Stats } from '../../core/stats.js';
import type { Connection, Reader } from '../connection.js';
import type { FoundHost } from './discovery.js';
import type { HealthCheckConfig } from './health-config.js';
import { HostHealth, type HostHealthState } from './host-health.js';
import { httpProbes } from './http-probe.js';
import type { Probe, ProbeFactory } from './probe.js';
import type { Target } from './snapshot.js';

/** So many hosts are checked at once when a cluster appears; the first checks of the others are spread over an interval. */
const FIRST_AT_ONCE = 64;

export interface ClusterHealthDeps {
  readonly stats: Stats;
  readonly cluster: string;
  /** Opens a connection as the cluster would, limited to `timeout` ms. */
  readonly connect: (target: Target, hostname: string, timeout: number, reader: Reader) => Connection;
  /** The probe of the protocol asked for; null for the types tcp and http. */
  readonly probe: ProbeFactory | null;
  /** A host's state changed. */
  readonly changed: (address: string, healthy: boolean) => void;
}

export class ClusterHealth {
  private readonly config: HealthCheckConfig;
  private readonly deps: ClusterHealthDeps;
  private readonly checks = new Map<string, { check: HostHealth; hostname: string }>();
  private readonly series: (Counter | Gauge)[] = [];
  private readonly attempts: Counter;
  private readonly successes: Counter;
  private readonly failures: Counter;
  private readonly log;

  constructor(config: HealthCheckConfig, deps: ClusterHealthDeps) {
    this.config = config;
    this.deps = deps;
    this.log = log.child('health').child(deps.cluster);
    const counter = (name: string, help: string): Counter => {
      const made = deps.stats.counter(`sluice_health_check_${name}_total`, help, { cluster: deps.cluster });
      this.series.push(made);
      return made;
    };
    this.attempts = counter('attempts', 'Health checks that ended.');
    this.successes = counter('successes', 'Health checks that the host passed.');
    this.failures = counter('failures', 'Health checks that the host failed.');
  }

  /**
   * Makes these the hosts that are checked; checks of hosts that stay go on as they are. `before` is what is known of a host's
   * health, undefined for one that is new: then it counts as `initial`.
   */
  update(hosts: readonly FoundHost[], before: (address: string) => boolean | undefined): void {
    const wanted = new Map(hosts.map((host) => [host.address, host]));
    for (const [address, { check, hostname }] of this.checks) {
      if (wanted.get(address)?.hostname === hostname) continue;
      check.close();
      this.checks.delete(address);
    }
    let fresh = 0;
    for (const host of hosts) {
      if (this.checks.has(host.address)) continue;
      const healthy = before(host.address) ?? this.config.initial === 'healthy';
      const delay = fresh++ < FIRST_AT_ONCE ? 0 : random() * this.config.interval;
      this.checks.set(host.address, { check: this.begin(host, healthy, delay), hostname: host.hostname });
    }
  }

  /** Undefined for a host that is not checked. */
  state(address: string): HostHealthState | undefined {
    return this.checks.get(address)?.check.state;
  }

  healthy(address: string): boolean {
    return this.checks.get(address)?.check.healthy ?? true;
  }

  /** Addresses whose first check has not ended. */
  get awaited(): string[] {
    return [...this.checks].filter(([, { check }]) => !check.state.checked).map(([address]) => address);
  }

  close(): void {
    for (const { check } of this.checks.values()) check.close();
    this.checks.clear();
    for (const series of this.series) this.deps.stats.release(series);
    this.series.length = 0;
  }

  private begin(host: FoundHost, healthy: boolean, delay: number): HostHealth {
    const { config, deps } = this;
    const target = config.port === 0 || host.target.path !== undefined ? host.target : { host: host.target.host, port: config.port };
    const probe = this.probeOf(host, target);
    return new HostHealth(
      {
        config,
        connect: (reader) => deps.connect(target, host.hostname, config.timeout, reader),
        probe,
        counted: (up) => {
          this.attempts.inc();
          (up ? this.successes : this.failures).inc();
        },
        changed: (up, cause, first) => {
          if (up) this.log.info({ host: host.address, first }, 'host is healthy');
          else this.log.warn({ host: host.address, cause, first }, 'host is unhealthy');
          deps.changed(host.address, up);
        },
      },
      healthy,
      delay,
    );
  }

  private probeOf(host: FoundHost, target: Target): () => Probe | null {
    const { config, deps } = this;
    if (config.type === 'tcp') return () => null;
    if (config.type === 'http') {
      const name = host.hostname.includes(':') ? `[${host.hostname}]` : host.hostname;
      return httpProbes(config, target.path !== undefined || target.port === 80 ? name : `${name}:${target.port}`);
    }
    const { probe } = deps;
    if (probe === null) throw new Error(`cluster ${deps.cluster}: no probe for a health check of type ${config.type}`);
    return () => probe(config.options);
  }
}

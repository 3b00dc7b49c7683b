// The main thread's half of the clusters: discovery, health checks and rows of shared memory, told to the workers as snapshots.
import type { LevelRows, SharedLevels } from '../../core/levels.js';
import { log } from '../../core/log.js';
import type { Catalog } from '../../core/manifest.js';
import type { Gauge, Stats } from '../../core/stats.js';
import { BREAKER_ROWS, CONNECTIONS, PENDING, REQUESTS, RETRIES, type BreakerLevels } from './breaker.js';
import type { BreakerConfig, ClusterConfig } from './config.js';
import { hostConnect } from './host-connect.js';
import type { Discovery, DiscoveryManifest, DiscoveryState, FoundHost } from './discovery.js';
import { ClusterHealth } from './health.js';
import { FAILED_CHECK } from './host.js';
import type { HostHealthState } from './host-health.js';
import type { ProbeFactory } from './probe.js';
import { Registries, ServiceDiscovery, serviceOf } from './registry.js';
import type { ClusterSnapshot, HostSnapshot } from './snapshot.js';

export interface MainUpstreamDeps {
  readonly stats: Stats;
  readonly levels: SharedLevels;
  readonly rows: LevelRows;
  /** Where discoveries are found by name. */
  readonly catalog: Catalog;
  /** Health checks of protocols by the protocol's name. */
  readonly probes: ReadonlyMap<string, ProbeFactory>;
  /** A cluster was added or changed: for every worker's `ClusterManager.update`. */
  readonly onChange: (snapshot: ClusterSnapshot) => void;
  /** A cluster is gone: for every worker's `ClusterManager.remove`. */
  readonly onRemove: (name: string) => void;
  /** True until `beginChecks`: health checks wait, so that a cluster of our own listeners is not asked before these accept. */
  readonly checksHeld?: boolean;
}

/** A host for the admin; plain data. */
export interface HostState {
  readonly address: string;
  readonly hostname: string;
  readonly weight: number;
  readonly healthy: boolean;
  /** null without a health check. */
  readonly check: HostHealthState | null;
}

/** A cluster for the admin; plain data. What runs on its hosts is known to the workers, see `ClusterManager.load`. */
export interface ClusterState {
  readonly name: string;
  readonly version: number;
  readonly discovery: DiscoveryState & { readonly type: string };
  readonly hosts: readonly HostState[];
  readonly breaker: { readonly levels: BreakerLevels; readonly limits: BreakerConfig };
}

interface ClusterDeps extends MainUpstreamDeps {
  readonly registries: Registries;
}

/** All of it lives in one thread; a program of one thread gives `onChange` and `onRemove` straight to its ClusterManager. */
export class MainUpstream {
  /** The registries that clusters find their hosts in, for whoever publishes to one of them. */
  readonly registries: Registries;
  /** One object that all clusters share: `useCatalog` changes it under them. */
  private readonly deps: { -readonly [K in keyof ClusterDeps]: ClusterDeps[K] };
  private readonly clusters = new Map<string, MainCluster>();
  /** Breaker rows of removed clusters, given back once nothing is counted in them any more. */
  private retired: BreakerRow[] = [];

  constructor(deps: MainUpstreamDeps) {
    this.registries = new Registries(deps.catalog);
    this.deps = { ...deps, registries: this.registries };
  }

  /**
   * The plug-ins from now on: a discovery whose plug-in was replaced begins anew at once, its hosts of before stay meanwhile. Health
   * checks that run keep the probe they began with until their configuration changes. What is missing is served by its last version.
   */
  useCatalog(catalog: Catalog, probes: ReadonlyMap<string, ProbeFactory>): void {
    this.deps.catalog = catalog;
    this.registries.useCatalog(catalog);
    this.deps.probes = probes;
    for (const cluster of this.clusters.values()) cluster.renew();
  }

  /** Ends `checksHeld`. */
  beginChecks(): void {
    this.deps.checksHeld = false;
    for (const cluster of this.clusters.values()) cluster.beginChecks();
  }

  /** Makes these the clusters: begins new ones, changes those that differ, ends those that are missing. */
  apply(configs: readonly ClusterConfig[]): void {
    const wanted = new Set(configs.map((config) => config.name));
    for (const [name, cluster] of this.clusters) {
      if (wanted.has(name)) continue;
      this.clusters.delete(name);
      this.deps.onRemove(name);
      this.retired.push(...cluster.close());
    }
    for (const config of configs) {
      const known = this.clusters.get(config.name);
      if (known !== undefined) {
        known.update(config);
        continue;
      }
      const cluster = new MainCluster(config, this.deps);
      this.clusters.set(config.name, cluster);
      cluster.start();
    }
    this.retired = this.retired.filter(({ cluster, name, row }) => {
      if (this.deps.levels.read(row) !== 0 && !this.clusters.has(cluster)) return true;
      this.deps.rows.release(name);
      return false;
    });
  }

  /** Whether a cluster has had a first answer to where its hosts are; true for one that is not there. */
  settled(cluster: string): boolean {
    return this.clusters.get(cluster)?.settled ?? true;
  }

  /** Whether checks find a host of a cluster to be healthy; true without checks, and for a cluster that is not there. */
  healthy(cluster: string): boolean {
    return this.clusters.get(cluster)?.healthy ?? true;
  }

  /** Every cluster as it is, for a worker that starts. */
  snapshots(): ClusterSnapshot[] {
    return [...this.clusters.values()].map((cluster) => cluster.snapshot());
  }

  /** For the admin. */
  state(): ClusterState[] {
    return [...this.clusters.values()].map((cluster) => cluster.state());
  }

  /** What is still to come before every cluster knows its hosts and, where they begin as unhealthy, their health; one line each. */
  awaited(): string[] {
    return [...this.clusters.values()].flatMap((cluster) => cluster.awaited());
  }

  close(): void {
    this.apply([]);
  }
}

/** Grows over all clusters, so that a cluster which comes back under its old name is newer than it was. */
let lastVersion = 0;

interface BreakerRow {
  readonly cluster: string;
  readonly name: string;
  readonly row: number;
}

class MainCluster {
  private config: ClusterConfig;
  private configKey: string;
  private discovery: Discovery;
  private discoveryFrom: DiscoveryManifest;
  private discoveryKey: string;
  private health: ClusterHealth | null = null;
  private healthKey = 'null';
  private found: readonly FoundHost[] = [];
  private foundKey = '';
  private version = 0;
  /** True while several changes are made that are told as one. */
  private quiet = false;
  private readonly healthRows = new Map<string, number>();
  private readonly breakerRows: readonly number[];
  private readonly epochRow: number;
  private readonly healthyHosts: Gauge;
  private readonly unhealthyHosts: Gauge;
  private readonly deps: ClusterDeps;
  private readonly log;

  constructor(config: ClusterConfig, deps: ClusterDeps) {
    this.deps = deps;
    this.config = config;
    this.configKey = JSON.stringify(config);
    this.log = log.child('cluster').child(config.name);
    this.breakerRows = Array.from({ length: BREAKER_ROWS }, (_, kind) => deps.rows.take(breakerRow(config.name, kind)));
    this.epochRow = deps.rows.take(epochRow(config.name));
    const gauge = (state: string): Gauge => deps.stats.gauge('sluice_cluster_hosts', 'Hosts by health.', { cluster: config.name, state });
    this.healthyHosts = gauge('healthy');
    this.unhealthyHosts = gauge('unhealthy');
    this.discoveryFrom = this.discoveryManifest();
    this.discovery = this.makeDiscovery(this.discoveryFrom);
    this.discoveryKey = JSON.stringify(config.discovery);
  }

  start(): void {
    this.quiet = true;
    this.makeHealth();
    this.discovery.start({ onHosts: (hosts) => this.onHosts(hosts) });
    this.quiet = false;
    this.tell();
  }

  update(config: ClusterConfig): void {
    if (config === this.config) return;
    const key = JSON.stringify(config);
    if (key === this.configKey) return;
    this.configKey = key;
    this.config = config;
    this.quiet = true;
    this.makeHealth();
    if (!this.renewDiscovery()) this.discovery.update(config.hosts);
    this.quiet = false;
    this.tell();
  }

  /** Returns the breaker's rows: what still runs counts in them, so they are for the caller to give back. */
  close(): BreakerRow[] {
    this.discovery.close();
    this.health?.close();
    for (const address of this.healthRows.keys()) this.deps.rows.release(healthRow(this.config.name, address));
    this.deps.rows.release(epochRow(this.config.name));
    this.deps.stats.release(this.healthyHosts);
    this.deps.stats.release(this.unhealthyHosts);
    const cluster = this.config.name;
    return this.breakerRows.map((row, kind) => ({ cluster, name: breakerRow(cluster, kind), row }));
  }

  snapshot(): ClusterSnapshot {
    const hosts = this.found.map((host): HostSnapshot => ({ ...host, healthRow: this.healthRows.get(host.address)! }));
    return { config: this.config, hosts, breakerRows: this.breakerRows, epochRow: this.epochRow, version: this.version };
  }

  state(): ClusterState {
    const { levels } = this.deps;
    const level = (kind: number): number => levels.read(this.breakerRows[kind]!);
    return {
      name: this.config.name,
      version: this.version,
      discovery: { type: this.config.discovery.type, ...this.discovery.state() },
      hosts: this.found.map((host) => ({
        address: host.address,
        hostname: host.hostname,
        weight: host.weight,
        healthy: levels.read(this.healthRows.get(host.address)!) === 0,
        check: this.health?.state(host.address) ?? null,
      })),
      breaker: {
        levels: { connections: level(CONNECTIONS), pending: level(PENDING), requests: level(REQUESTS), retries: level(RETRIES) },
        limits: this.config.breaker,
      },
    };
  }

  get healthy(): boolean {
    if (this.health === null) return true;
    for (const row of this.healthRows.values()) if ((this.deps.levels.read(row) & FAILED_CHECK) === 0) return true;
    return false;
  }

  get settled(): boolean {
    return this.discovery.state().settled;
  }

  awaited(): string[] {
    const { name, health_check } = this.config;
    const lines = this.discovery.state().settled ? [] : [`cluster ${name}: hosts`];
    if (health_check !== null && health_check.initial === 'unhealthy') {
      for (const address of this.health?.awaited ?? []) lines.push(`cluster ${name}: first health check of ${address}`);
    }
    return lines;
  }

  /** The plug-ins may have changed. */
  renew(): void {
    if (this.deps.catalog.find('discovery', this.config.discovery.type) !== undefined) this.renewDiscovery();
  }

  private discoveryManifest(): DiscoveryManifest {
    const { type } = this.config.discovery;
    const manifest = this.deps.catalog.find<DiscoveryManifest>('discovery', type);
    if (manifest === undefined) throw new Error(`no discovery is called ${type}`);
    return manifest;
  }

  private makeDiscovery(manifest: DiscoveryManifest): Discovery {
    const { discovery, hosts, name } = this.config;
    try {
      if (manifest.create !== undefined) return manifest.create(discovery, hosts, name);
      return new ServiceDiscovery(this.deps.registries.open(discovery), serviceOf(discovery, name));
    } catch (error) {
      this.log.error({ err: error }, 'the discovery cannot be made: the cluster keeps the hosts that it has');
      return brokenDiscovery(error instanceof Error ? error.message : String(error));
    }
  }

  /**
   * Begins the discovery anew if its options or the plug-in behind its name have changed; true when it did. The hosts of before
   * stay until the new one knows better.
   */
  private renewDiscovery(): boolean {
    const manifest = this.discoveryManifest();
    const key = JSON.stringify(this.config.discovery);
    if (key === this.discoveryKey && manifest === this.discoveryFrom) return false;
    // The new one first: a registry that both use is not to end in between.
    const former = this.discovery;
    this.discovery = this.makeDiscovery(manifest);
    former.close();
    this.discoveryFrom = manifest;
    this.discoveryKey = key;
    this.discovery.start({ onHosts: (found) => this.onHosts(found) });
    return true;
  }

  /** Checks go on as they are unless something they depend on has changed; then the last verdicts stand until the new ones. */
  private makeHealth(): void {
    const { config, deps } = this;
    const check = config.health_check;
    const key = check === null ? 'null' : JSON.stringify([check, config.tls, check.type === 'protocol' ? config.protocol : '']);
    if (key === this.healthKey || deps.checksHeld === true) return;
    this.healthKey = key;
    this.health?.close();
    this.health = null;
    if (check !== null) {
      const probe = check.type === 'protocol' ? deps.probes.get(config.protocol) : deps.probes.get(check.type);
      const connect = hostConnect(config.tls, config.name);
      this.health = new ClusterHealth(check, {
        stats: deps.stats,
        cluster: config.name,
        connect: (target, hostname, timeout, reader) => connect(target, hostname, timeout, 0, reader),
        probe: probe ?? null,
        changed: (address, healthy) => this.onHealth(address, healthy),
      });
    }
    this.checkHosts(new Set(this.healthRows.keys()));
  }

  private onHosts(hosts: readonly FoundHost[]): void {
    const seen = new Set<string>();
    const unique = hosts.filter((host) => !seen.has(host.address) && seen.add(host.address));
    const key = JSON.stringify(unique);
    if (key === this.foundKey) return;
    this.foundKey = key;
    const removed = [...this.healthRows.keys()].filter((address) => !seen.has(address));
    const known = new Set(this.healthRows.keys());
    const added = unique.filter((host) => !known.has(host.address)).map((host) => host.address);
    this.found = unique;
    for (const address of removed) {
      this.healthRows.delete(address);
      this.deps.rows.release(healthRow(this.config.name, address));
    }
    for (const address of added) {
      const row = this.deps.rows.take(healthRow(this.config.name, address));
      this.deps.levels.set(row, 0);
      this.healthRows.set(address, row);
    }
    if (this.version > 0 && (added.length > 0 || removed.length > 0)) this.log.info({ added, removed, hosts: unique.length }, 'hosts changed');
    this.checkHosts(known);
    this.tell();
  }

  /** `known`: addresses whose verdict of before counts until their next check. */
  private checkHosts(known: ReadonlySet<string>): void {
    const { levels } = this.deps;
    if (this.health !== null) {
      const before = (address: string): boolean | undefined =>
        known.has(address) ? (levels.read(this.healthRows.get(address)!) & FAILED_CHECK) === 0 : undefined;
      this.health.update(this.found, before);
    }
    for (const [address, row] of this.healthRows) this.write(row, this.health?.healthy(address) ?? this.untilChecked);
    this.announce();
  }

  /** What a host counts as while nothing checks it. */
  private get untilChecked(): boolean {
    return this.deps.checksHeld !== true || this.config.health_check?.initial !== 'unhealthy';
  }

  /** The checks that were held back begin. */
  beginChecks(): void {
    this.makeHealth();
  }

  private onHealth(address: string, healthy: boolean): void {
    const row = this.healthRows.get(address);
    if (row === undefined) return;
    this.write(row, healthy);
    this.announce();
  }

  private write(row: number, healthy: boolean): void {
    const { levels } = this.deps;
    const bits = levels.own(row);
    levels.set(row, healthy ? bits & ~FAILED_CHECK : bits | FAILED_CHECK);
  }

  /** After the bits are written: workers that see the new epoch find the new bits. */
  private announce(): void {
    const { levels } = this.deps;
    levels.set(this.epochRow, (levels.own(this.epochRow) + 1) | 0);
    let healthy = 0;
    for (const row of this.healthRows.values()) if (levels.read(row) === 0) healthy++;
    this.healthyHosts.set(healthy);
    this.unhealthyHosts.set(this.healthRows.size - healthy);
  }

  private tell(): void {
    if (this.quiet) return;
    this.version = ++lastVersion;
    this.deps.onChange(this.snapshot());
  }
}

/** In the place of one that could not be made, which a plug-in's may: it costs its cluster and nothing else. */
function brokenDiscovery(error: string): Discovery {
  return { start: () => {}, update: () => {}, close: () => {}, state: () => ({ settled: true, error, nextRefresh: -1, sources: [] }) };
}

const breakerRow = (cluster: string, kind: number): string => `breaker ${cluster} ${kind}`;
const epochRow = (cluster: string): string => `epoch ${cluster}`;
const healthRow = (cluster: string, address: string): string => `health ${cluster} ${address}`;

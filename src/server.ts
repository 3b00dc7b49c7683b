// The main thread: wires configuration, clusters, workers and operations together, and carries no traffic itself.
import { availableParallelism } from 'node:os';
import type { Worker } from 'node:worker_threads';
import { catalog as builtins } from './catalog.js';
import { Fleet } from './control/fleet.js';
import type { Mesh } from './control/mesh/mesh.js';
import type { Version } from './control/messages.js';
import type { Config } from './control/model.js';
import type { ClusterState, ConfigState, ConnectionState, ListenerState, Operations, ReadyState, WorkerState } from './control/operations.js';
import { redact } from './control/redact.js';
import { type Reading, SourceFile } from './control/source-file.js';
import { Tracing } from './control/tracing/tracing.js';
import { formatProblem, type Problem } from './core/config/problem.js';
import { clock } from './core/clock.js';
import { showAddress } from './core/config/address.js';
import { LevelRows, SharedLevels } from './core/levels.js';
import { configureLog, getLevel, log, type LogLevel, logLevels, setLevel } from './core/log.js';
import { Stats, StatsView } from './core/stats.js';
import { addressTaken } from './network/address-probe.js';
import { transport } from './network/transport/current.js';
import { MainUpstream } from './network/upstream/main-upstream.js';
import type { ProbeFactory } from './network/upstream/probe.js';
import type { ProtocolManifest } from './stream/protocol.js';
import type { Catalog } from './core/manifest.js';

/** Rows of shared levels to begin with; more are added live. */
const LEVEL_ROWS = 1024;
const MAX_WORKERS = 256;

export interface ServerOptions {
  readonly file: string;
  readonly version: string;
  /** The compiled worker.ts. */
  readonly worker: URL;
  /** A thread of `worker` that was started before this module was loaded. */
  readonly ahead?: Worker;
  /** Overrides the configuration's. */
  readonly workers?: number;
  readonly watch?: boolean;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Called when the process should end: after a drain or a stop. */
  readonly onEnd: (exitCode: number) => void;
}

/** The configuration was refused: nothing was started. */
export class ConfigRefused extends Error {
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super('the configuration was refused');
    this.problems = problems;
  }
}

export class Server implements Operations {
  readonly version: string;
  readonly startedAt: number;
  private readonly options: ServerOptions;
  private readonly source: SourceFile;
  private readonly stats = new Stats();
  private readonly view = new StatsView();
  private readonly fleet: Fleet;
  private readonly tracing: Tracing;
  private levels!: SharedLevels;
  private rows!: LevelRows;
  private readonly listenerRows = new Map<string, number>();
  private upstream!: MainUpstream;
  private reading!: Reading;
  /** The configuration as the file has it. */
  private base!: Config;
  /** The configuration in force: the file's, with what applications have told the mesh. */
  private config_!: Config;
  private mesh: Mesh | null = null;
  /** Counts the configurations that were put in force. */
  private wanted = 0;
  private started = false;
  /** Clusters are being changed by a configuration, which takes them to the workers as a whole. */
  private applying = false;
  /** Readings of the configuration are taken one after the other, each by all workers. */
  private reloading: Promise<unknown> = Promise.resolve();
  private draining = false;
  private ended = false;

  private constructor(options: ServerOptions) {
    this.options = options;
    this.version = options.version;
    this.startedAt = clock.wall();
    this.source = new SourceFile({ file: options.file, builtins, env: options.env });
    this.fleet = new Fleet({ script: options.worker, view: this.view, log: log.child('workers'), current: () => this.current(), onSpans: (batch) => this.tracing.take(batch) });
    this.tracing = new Tracing({
      stats: this.stats,
      log: log.child('tracing'),
      load: async (config) => (await import('./control/tracing/exporter.js')).otlpExporter(config, options.version),
    });
  }

  /** Reads the configuration, starts workers and listeners; resolves when the listeners accept. Rejects with ConfigRefused. */
  static async start(options: ServerOptions): Promise<Server> {
    const server = new Server(options);
    server.fleet.prepare(options.ahead);
    try {
      await server.begin();
    } catch (error) {
      server.source.close();
      await server.mesh?.close();
      await server.fleet.stop(500);
      throw error;
    }
    return server;
  }

  private async begin(): Promise<void> {
    this.reading = await this.source.read();
    if (this.reading.config === null || this.reading.problems.length > 0) throw new ConfigRefused(this.reading.problems);
    this.base = this.reading.config;
    this.config_ = this.base;
    await configureLog(this.config_.log);
    for (const warning of this.reading.warnings) log.warn(formatProblem(warning));
    const workers = this.workerCount();
    if (workers > 1) await this.probeAddresses();
    this.levels = SharedLevels.create(LEVEL_ROWS, workers + 1);
    this.rows = new LevelRows(this.levels, (segment) => this.fleet.post({ type: 'segment', segment }));
    this.view.attachLocal('main', this.stats);
    this.upstream = new MainUpstream({
      stats: this.stats,
      levels: this.levels,
      rows: this.rows,
      catalog: this.reading.catalog,
      probes: probesOf(this.reading.catalog),
      checksHeld: true,
      onChange: (snapshot) => {
        if (this.started && !this.applying) this.fleet.post({ type: 'cluster', snapshot });
      },
      // Workers learn it with the routes that no longer lead there.
      onRemove: () => {},
    });
    this.config_ = await this.meshed(this.base);
    this.upstream.apply(this.config_.clusters);
    this.tracing.apply(this.config_.tracing);
    this.fleet.start(workers, this.levels);
    this.started = true;
    this.wanted = 1;
    await this.fleet.configure(this.current());
    await this.mesh?.update(this.config_);
    const failures = this.failures();
    this.upstream.beginChecks();
    if (failures.length > 0) throw new Error(failures.join('; '));
    if (this.options.watch !== false) this.source.watch(() => this.reload());
  }

  /** Workers share their addresses (SO_REUSEPORT), and so would two processes without noticing: each address must be free before. */
  private async probeAddresses(): Promise<void> {
    for (const { name, address, protocol } of this.config_.listeners) {
      const errno = protocol === 'udp' ? '' : await addressTaken(address);
      if (errno !== '') throw new Error(`listener ${name} cannot listen on ${showAddress(address)}: ${errno}`);
    }
  }

  /** A configuration of the file with what applications have told the mesh; the mesh is loaded when there is one to serve. */
  private async meshed(config: Config): Promise<Config> {
    if (this.mesh === null && Object.values(config.mesh).some((kind) => kind !== null)) {
      const { Mesh: Made } = await import('./control/mesh/mesh.js');
      const { registries } = this.upstream;
      this.mesh = new Made({ registries, stats: this.stats, apply: () => this.applyMesh(), settled: (cluster) => this.upstream.settled(cluster), healthy: (cluster) => this.upstream.healthy(cluster) });
    }
    return this.mesh?.effective(config) ?? config;
  }

  /** Applications have told the mesh something: it comes into force in its turn among the readings of the file. */
  private applyMesh(): Promise<void> {
    const done = this.reloading.then(async () => {
      if (!this.draining && this.mesh !== null) await this.force(this.mesh.effective(this.base));
    });
    this.reloading = done.catch((error: unknown) => log.error({ err: error }, 'what applications told the mesh could not be put in force'));
    return done;
  }

  /** Makes this the configuration of every worker. */
  private async force(config: Config): Promise<void> {
    this.config_ = config;
    this.wanted++;
    this.applying = true;
    try {
      this.upstream.apply(config.clusters);
    } finally {
      this.applying = false;
    }
    await this.fleet.configure(this.current());
  }

  private workerCount(): number {
    const wanted = this.options.workers ?? this.config_.workers;
    const count = Math.min(wanted === 0 ? availableParallelism() : wanted, MAX_WORKERS);
    if (count === 1 || transport().sharesListeners) return count;
    const why = `this Node (${process.version}) cannot share a listener between workers: that needs 22.12, or 23.1 and later`;
    if (wanted === 0) log.info({ workers: 1 }, `one worker: ${why}`);
    else log.warn({ wanted, workers: 1 }, `one worker instead of ${wanted}: ${why}`);
    return 1;
  }

  private current(): Version {
    const levelRows: Record<string, number> = {};
    for (const { name } of this.config_.listeners) levelRows[name] = this.levelRow(name);
    return { version: this.wanted, config: this.config_, clusters: this.upstream.snapshots(), levelRows };
  }

  private levelRow(listener: string): number {
    let row = this.listenerRows.get(listener);
    if (row === undefined) this.listenerRows.set(listener, (row = this.rows.take(`listener ${listener}`)));
    return row;
  }

  // === Operations

  ready(): ReadyState {
    if (this.draining) return { ready: false, waiting: ['draining'] };
    const waiting = this.started ? this.upstream.awaited() : ['the configuration'];
    waiting.push(...(this.mesh?.problems() ?? []));
    if (this.fleet.running < this.wanted) waiting.push(`version ${this.wanted} of the configuration in every worker`);
    for (const listener of this.fleet.listeners) if (listener.state !== 'listening') waiting.push(`listener ${listener.name}${listener.error === '' ? '' : `: ${listener.error}`}`);
    return { ready: waiting.length === 0, waiting };
  }

  config(): ConfigState {
    const { rejected } = this.source;
    const failures = this.failures();
    const problems = [...rejected.flatMap((r) => r.problems.map(formatProblem)), ...failures];
    const at = [...rejected.map((r) => r.at), ...(failures.length === 0 ? [] : ['workers'])].join(', ');
    return {
      wanted: this.wanted,
      running: this.fleet.running,
      file: this.source.file,
      effective: redact(this.config_),
      rejected: problems.length === 0 ? null : { at, problems },
    };
  }

  async listeners(): Promise<readonly ListenerState[]> {
    const merged = new Map<string, ListenerState>();
    for (const { listeners } of await this.fleet.ask(0)) {
      for (const one of listeners) {
        const known = merged.get(one.name);
        merged.set(one.name, known === undefined ? one : { ...known, connections: known.connections + one.connections });
      }
    }
    return [...merged.values()];
  }

  async clusters(): Promise<readonly ClusterState[]> {
    const loads = (await this.fleet.ask(0)).flatMap((a) => a.clusters);
    return this.upstream.state().map((cluster) => {
      const config = this.config_.clusters.find((c) => c.name === cluster.name);
      const hosts = loads.filter((l) => l.name === cluster.name).flatMap((l) => l.hosts);
      const { limits, levels } = cluster.breaker;
      return {
        name: cluster.name,
        protocol: config?.protocol ?? '',
        discovery: cluster.discovery.type,
        lastError: cluster.discovery.error,
        hosts: cluster.hosts.map((host) => {
          const load = hosts.filter((h) => h.address === host.address);
          return {
            address: host.address,
            hostname: host.hostname,
            weight: host.weight,
            healthy: host.healthy,
            cause: host.check?.cause ?? '',
            active: load.reduce((sum, l) => sum + l.active, 0),
            connections: load.reduce((sum, l) => sum + l.connections, 0),
          };
        }),
        levels,
        limits: { connections: limits.max_connections, pending: limits.max_pending, requests: limits.max_requests, retries: limits.max_retries },
      };
    });
  }

  async connections(limit: number): Promise<readonly ConnectionState[]> {
    return (await this.fleet.ask(limit)).flatMap((a) => a.connections).slice(0, limit);
  }

  async workers(): Promise<readonly WorkerState[]> {
    const answers = await this.fleet.ask(100_000);
    return this.fleet.states().map((state, i) => ({ ...state, heapUsed: answers[i]?.heapUsed ?? 0, connections: answers[i]?.listeners.reduce((sum, l) => sum + l.connections, 0) ?? 0 }));
  }

  counters(): Record<string, number> {
    const found: Record<string, number> = {};
    for (const series of this.view.collect()) {
      const labels = Object.entries(series.labels).map(([k, v]) => `${k}="${v}"`).join(',');
      found[labels === '' ? series.name : `${series.name}{${labels}}`] = series.value;
    }
    return found;
  }

  async metrics(): Promise<string> {
    this.processStats();
    const { toPrometheus } = await import('./core/stats-prometheus.js');
    return toPrometheus(this.view);
  }

  private processStats(): void {
    const { rss, heapUsed } = process.memoryUsage();
    const cpu = process.cpuUsage();
    this.stats.gauge('sluice_process_resident_memory_bytes', 'Resident memory of the process.').set(rss);
    this.stats.gauge('sluice_process_heap_bytes', "JavaScript heap in use by the main thread.").set(heapUsed);
    this.stats.gauge('sluice_process_cpu_seconds', 'CPU time used by the process, user and system.').set((cpu.user + cpu.system) / 1e6);
    this.stats.gauge('sluice_process_start_time_seconds', 'When the process started, in seconds since 1970.').set(this.startedAt / 1000);
    this.stats.gauge('sluice_config_version', 'Version of the configuration that every worker runs.').set(this.fleet.running);
  }

  logLevel(): string {
    return getLevel();
  }

  setLogLevel(level: string): boolean {
    if (!(logLevels as readonly string[]).includes(level)) return false;
    setLevel(level as LogLevel);
    this.fleet.post({ type: 'log-level', level: level as LogLevel });
    return true;
  }

  reload(): Promise<readonly string[]> {
    this.fleet.post({ type: 'reopen-logs' });
    const done = this.reloading.then(() => this.reloadNow());
    this.reloading = done.catch((error: unknown) => log.error({ err: error }, 'the configuration could not be read again'));
    return done;
  }

  private async reloadNow(): Promise<readonly string[]> {
    const reading = await this.source.read();
    const problems = reading.problems.map(formatProblem);
    for (const problem of problems) log.error(problem);
    this.stats.counter('sluice_config_rejected_total', 'Readings of the configuration in which something was refused.').add(problems.length > 0 ? 1 : 0);
    if (reading.config === null || !reading.changed || this.draining) return problems;
    for (const warning of [...reading.warnings.map((w) => `${w.file}:${w.line}:${w.col}: ${w.expected}`), ...this.unchangeable(reading.config)]) log.warn(warning);
    this.base = reading.config;
    this.reading = reading;
    this.tracing.apply(reading.config.tracing);
    this.applying = true;
    try {
      this.upstream.useCatalog(reading.catalog, probesOf(reading.catalog));
    } finally {
      this.applying = false;
    }
    await this.force(await this.meshed(reading.config));
    await this.mesh?.update(this.config_);
    const failures = this.failures();
    for (const failure of failures) log.error(failure);
    log.info({ version: this.wanted, refused: problems.length + failures.length }, 'the configuration was read again');
    return [...problems, ...failures];
  }

  /** What of the configuration in force is not as it says. */
  private failures(): string[] {
    return [...this.fleet.problems, ...this.fleet.listeners.flatMap(({ state, error }) => (state === 'failed' ? [error] : [])), ...(this.mesh?.problems() ?? [])];
  }

  /** What of a newer configuration takes effect with the next start only. */
  private unchangeable(newer: Config): string[] {
    const { workers, admin } = this.config_;
    const found: string[] = [];
    if (newer.workers !== workers && this.options.workers === undefined) found.push('`workers` changes with the next start');
    if (JSON.stringify(newer.admin) !== JSON.stringify(admin)) found.push('`admin` changes with the next start');
    return found;
  }

  drain(): Promise<void> {
    this.end(this.config_.drain_timeout);
    return Promise.resolve();
  }

  stop(deadlineMs = this.config_.drain_timeout): Promise<void> {
    this.end(deadlineMs);
    return Promise.resolve();
  }

  /** Not ready, tell peers, keep accepting, finish what runs; at the deadline the rest is cut. A second call with 0 cuts at once. */
  private end(deadlineMs: number): void {
    if (this.ended) return;
    const finish = (): void => {
      if (this.ended) return;
      this.ended = true;
      clock.clearTimeout(deadline);
      this.source.close();
      void this.mesh?.close();
      this.upstream.close();
      void this.fleet.stop().then(() => this.tracing.close()).then(() => this.options.onEnd(0));
    };
    const deadline = clock.setTimeout(() => {
      log.warn({ ms: deadlineMs }, 'the drain deadline passed: what still runs is cut');
      finish();
    }, deadlineMs);
    if (this.draining) return;
    this.draining = true;
    log.info({ deadlineMs }, 'draining');
    void this.mesh?.drain();
    void this.fleet.drain().then(finish);
  }

  /** What the configuration says is printed after the start. */
  get banner(): readonly string[] {
    return this.config_.banner;
  }

  get admin(): Config['admin'] {
    return this.config_.admin;
  }
}

function probesOf(catalog: Catalog): Map<string, ProbeFactory> {
  const probes = new Map<string, ProbeFactory>();
  for (const manifest of catalog.all<ProtocolManifest>('protocol')) {
    const decoded = manifest.schema.safeParse({});
    if (!decoded.success) continue;
    try {
      const { probe } = manifest.create(decoded.data);
      if (probe !== undefined) probes.set(manifest.name, probe);
    } catch (error) {
      log.error({ protocol: manifest.name, err: error }, 'a protocol cannot be made; it has no health check');
    }
  }
  return probes;
}

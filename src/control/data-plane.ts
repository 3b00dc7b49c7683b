// Everything that carries traffic in one worker: built from a configuration, changed live by a newer one, drained and closed.
import { clock, now } from '../core/clock.js';
import { showAddress } from '../core/config/address.js';
import type { SharedLevels } from '../core/levels.js';
import type { Log } from '../core/log.js';
import type { Catalog } from '../core/manifest.js';
import type { Stats } from '../core/stats.js';
import type { Connection } from '../network/connection.js';
import type { Level } from '../network/filter.js';
import { Listener } from '../network/listener.js';
import type { ConnectionRecord } from '../network/record.js';
import { ClusterManager } from '../network/upstream/manager.js';
import type { ClusterSnapshot } from '../network/upstream/snapshot.js';
import { AccessLog, LineSinks, type WriteGate } from '../stream/access-log.js';
import { FilterChain } from '../stream/chain.js';
import type { StreamFilter, StreamFilterManifest } from '../stream/filter.js';
import { MessageListener } from '../stream/listener.js';
import { Upstreams } from '../stream/pool/upstreams.js';
import type { Protocol, ProtocolManifest } from '../stream/protocol.js';
import { Captures, ExchangeRecord } from '../stream/record.js';
import { RouteTable } from '../stream/router.js';
import type { Session } from '../stream/session.js';
import type { TerminalManifest } from '../stream/terminal.js';
import { WorkerTracing } from '../stream/trace/worker-tracing.js';
import type { Packed } from '../stream/trace/traced-exchange.js';
import { RAW_PROTOCOLS } from './listener-config.js';
import type { Version, WorkerAnswer } from './messages.js';
import type { Config, ListenerConfig } from './model.js';
import type { ConnectionState, ListenerState } from './operations.js';

export interface DataPlaneDeps {
  readonly stats: Stats;
  readonly levels: SharedLevels;
  readonly catalog: Catalog;
  readonly log: Log;
  /** Number of the worker, from 1. */
  readonly self: number;
  /** Whether other workers listen on the same addresses. */
  readonly share: boolean;
  readonly gate: WriteGate | null;
  readonly ticketSecret: Uint8Array;
  /** Hands recorded exchanges to the main thread, which answers with `spansTaken`. */
  readonly onSpans: (batch: Packed) => void;
  /** A listener that could not have its address has it now. */
  readonly onListening: () => void;
}

/** Pause before an address that could not be had is asked for again, ms. */
const REBIND_MS = 1000;
/** Time that clients have to take the replies by which their exchanges were ended, ms. */
const LAST_WORDS_MS = 250;

/** One listener as it is served: the sockets, and, for protocols with messages, what becomes of them. */
interface Served {
  config: ListenerConfig;
  readonly network: Listener;
  message: MessageListener | null;
  /** What the chain was built from; the same text keeps the chain, and with it what filters count. */
  chainKey: string;
  chain: FilterChain;
  logKey: string;
  logs: readonly AccessLog[];
  captures: Captures;
  protocolKey: string;
  /** The version of the protocol in force. */
  protocolFrom: readonly ProtocolManifest[];
  /** Those of the filters, in their order. */
  chainFrom: readonly StreamFilterManifest[];
  state: ListenerState['state'];
  error: string;
  /** Set while an address that could not be had is waited for. */
  retry: unknown;
}

export class DataPlane {
  readonly clusters: ClusterManager;
  readonly upstreams: Upstreams;
  private readonly deps: DataPlaneDeps;
  private readonly sinks: LineSinks;
  private readonly tracing: WorkerTracing;
  private readonly served = new Map<string, Served>();
  private readonly leaving = new Set<Served>();
  private catalog: Catalog;
  /** Which version of a plug-in a protocol comes from. */
  private readonly madeBy = new WeakMap<Protocol, ProtocolManifest>();
  private draining = false;
  private full = false;
  /** Time that connections of a listener which is gone from the configuration may run on, ms. */
  private leaveMs = 30_000;
  private drained: (() => void) | null = null;
  private drainPoll: unknown = null;
  private shut = false;

  constructor(deps: DataPlaneDeps) {
    this.deps = deps;
    this.catalog = deps.catalog;
    this.clusters = new ClusterManager({ stats: deps.stats, levels: deps.levels, catalog: deps.catalog });
    this.upstreams = new Upstreams(
      (cluster, spoken) => {
        const { protocol, options } = cluster.config;
        if (protocol === '') return null;
        return this.make(protocol === spoken?.name ? this.madeBy.get(spoken)! : this.protocolManifest(protocol), options);
      },
      (one, other) => this.madeBy.get(one) === this.madeBy.get(other),
    );
    this.sinks = new LineSinks({ stats: deps.stats, log: deps.log.child('access-log'), gate: deps.gate });
    this.tracing = new WorkerTracing({ stats: deps.stats, post: deps.onSpans });
  }

  private protocolManifest(name: string): ProtocolManifest {
    const manifest = this.catalog.find<ProtocolManifest>('protocol', name);
    if (manifest === undefined) throw new Error(`no protocol is called ${name}`);
    return manifest;
  }

  private make(manifest: ProtocolManifest, options: unknown): Protocol {
    const protocol = manifest.create(options);
    this.madeBy.set(protocol, manifest);
    return protocol;
  }

  /** The plug-ins from now on: what is built later is built of these, and with the next configuration whatever was built of replaced ones. */
  useCatalog(catalog: Catalog): void {
    this.catalog = catalog;
    this.clusters.useCatalog(catalog);
  }

  /**
   * Makes this the configuration; resolves with what could not be built, which stays as it was. A listener that cannot have its
   * address is none of these: it says so in its state, and goes on trying.
   */
  async apply(version: Version): Promise<string[]> {
    const { config } = version;
    const problems: string[] = [];
    this.leaveMs = config.drain_timeout;
    this.tracing.apply(config.tracing);
    this.clusters.apply(version.clusters);
    this.upstreams.prune();
    const tables = this.tables(config, problems);
    const listeners = config.listeners.filter((listener) => this.serves(listener));
    const wanted = new Map(listeners.map((l) => [l.name, l]));
    // Addresses are given up before others are asked for: a listener may take one that another had.
    for (const [name, served] of this.served) {
      const newer = wanted.get(name);
      if (newer === undefined || !sameSocket(served.config, newer)) this.remove(name, served);
    }
    const starts: Promise<void>[] = [];
    for (const listener of listeners) {
      try {
        const known = this.served.get(listener.name);
        if (known !== undefined) this.update(known, listener, tables.get(listener.routes));
        else starts.push(this.add(listener, tables.get(listener.routes), version));
      } catch (error) {
        problems.push(`listener ${listener.name}: ${messageOf(error)}`);
      }
    }
    await Promise.all(starts);
    return problems;
  }

  /** The file of a unix socket has one owner, and a port that the system chooses would be another one for each worker: the first serves these. */
  private serves({ address }: ListenerConfig): boolean {
    return !this.deps.share || this.deps.self === 1 || (address.path === undefined && address.port !== 0);
  }

  private tables(config: Config, problems: string[]): Map<string, RouteTable> {
    const terminals = { get: (name: string) => this.catalog.find<TerminalManifest>('terminal', name)?.create({}) };
    const tables = new Map<string, RouteTable>();
    for (const table of config.routes) {
      try {
        tables.set(table.name, new RouteTable(table, { clusters: this.clusters, terminals }));
      } catch (error) {
        problems.push(`routes ${table.name}: ${messageOf(error)}`);
      }
    }
    return tables;
  }

  private add(config: ListenerConfig, table: RouteTable | undefined, version: Version): Promise<void> {
    const served: Served = {
      config,
      network: new Listener(config, {
        stats: this.deps.stats,
        log: this.deps.log,
        catalog: this.catalog,
        clusters: this.clusters,
        share: this.deps.share,
        ticketSecret: this.deps.ticketSecret,
        level: this.sharedLevel(version.levelRows[config.name]),
        accept: (connection: Connection) => served.message!.accept(connection),
        retire: (connection: Connection) => served.message?.retire(connection),
        record: (record: ConnectionRecord) => served.logs.forEach((log) => log.write(asExchange(record))),
      }),
      message: null,
      chainKey: '',
      chain: new FilterChain([]),
      logKey: '',
      logs: [],
      captures: new Captures(),
      protocolKey: '',
      protocolFrom: [],
      chainFrom: [],
      state: 'starting',
      error: '',
      retry: null,
    };
    this.build(served, config, table)();
    this.served.set(config.name, served);
    return this.listen(served);
  }

  /** Asks for the address, again and again where it cannot be had. */
  private async listen(served: Served): Promise<void> {
    const again = served.state === 'failed';
    try {
      await served.network.start();
    } catch (error) {
      if (!this.isServed(served)) return;
      served.state = 'failed';
      served.error = messageOf(error);
      served.retry = clock.setTimeout(() => void this.listen(served), REBIND_MS);
      return;
    }
    if (!this.isServed(served)) return;
    served.state = 'listening';
    served.error = '';
    if (this.draining) this.drainOne(served);
    if (this.full) void served.network.pauseAccept();
    if (!again) return;
    this.deps.log.info({ listener: served.config.name }, 'the address could be had at last: the listener accepts');
    this.deps.onListening();
  }

  private isServed(served: Served): boolean {
    return this.served.get(served.config.name) === served;
  }

  /** Throws, and changes nothing, when a part of it cannot be made. */
  private update(served: Served, config: ListenerConfig, table: RouteTable | undefined): void {
    const commit = this.build(served, config, table);
    served.network.update(config, this.catalog);
    commit();
    served.config = config;
  }

  /**
   * Makes what a listener's messages need and returns what puts it in force; parts whose configuration did not change are kept.
   * Throws when something cannot be made.
   */
  private build(served: Served, config: ListenerConfig, table: RouteTable | undefined): () => void {
    if (isRaw(config)) return () => this.putLogs(served, config);
    if (table === undefined) throw new Error(`its route table ${config.routes} could not be built`);
    const protocolKey = JSON.stringify([config.protocol, config.options]);
    const several = config.detect.length > 0;
    const protocolFrom = (several ? config.detect : [config.protocol]).map((name) => this.protocolManifest(name));
    const sameProtocol = served.message !== null && served.protocolKey === protocolKey && protocolFrom.every((manifest, i) => manifest === served.protocolFrom[i]);
    const options = (name: string): unknown => (several ? (config.options as Record<string, unknown>)[name] : config.options);
    const protocols = sameProtocol ? served.message!.protocols : protocolFrom.map((manifest) => this.make(manifest, options(manifest.name)));
    const protocol = protocols[0]!;
    const chainKey = JSON.stringify(config.stream_filters);
    const chainFrom = config.stream_filters.map(({ type }) => this.filterManifest(type));
    const sameChain = chainKey === served.chainKey && chainFrom.every((manifest, i) => manifest === served.chainFrom[i]);
    const chain = sameChain ? served.chain : makeChain(config, chainFrom);
    chain.prepare(table.routes);
    return () => {
      this.putLogs(served, config);
      served.protocolKey = protocolKey;
      served.protocolFrom = protocolFrom;
      served.chainKey = chainKey;
      served.chainFrom = chainFrom;
      served.chain = chain;
      const message = {
        name: config.name,
        protocol,
        table,
        chain,
        captures: served.captures,
        logs: served.logs,
        protocols,
        timeouts: { head: config.timeouts.head, idle: config.timeouts.idle ?? null, detect: config.detect_timeout },
        requestIds: config.request_ids,
        rpcMetrics: config.rpc_metrics,
        tracer: this.tracing.tracer,
      };
      if (served.message === null) served.message = new MessageListener(message, {
          stats: this.deps.stats,
          upstreams: this.upstreams,
          log: this.deps.log,
          carry: (connection) => served.network.carry(connection),
        });
      else served.message.update(message);
    };
  }

  private filterManifest(type: string): StreamFilterManifest {
    const manifest = this.catalog.find<StreamFilterManifest>('stream-filter', type);
    if (manifest === undefined) throw new Error(`there is no stream filter ${type}`);
    return manifest;
  }

  private putLogs(served: Served, config: ListenerConfig): void {
    const logKey = JSON.stringify(config.access_log);
    if (logKey === served.logKey) return;
    const former = served.logs;
    served.captures = new Captures();
    served.logs = config.access_log.map((log) => new AccessLog(log, { sinks: this.sinks, captures: served.captures }));
    served.logKey = logKey;
    // Exchanges that run still write to the former logs' files: they are let go of a moment later.
    if (former.length > 0) clock.setTimeout(() => former.forEach((log) => void log.close()), 1000);
  }

  /** A level that all workers serving a listener count in; one for a listener, whatever its filters call it. */
  private sharedLevel(row: number | undefined): ((name: string) => Level) | undefined {
    const { levels } = this.deps;
    return row === undefined ? undefined : () => ({ add: (n) => levels.add(row, n), read: () => levels.read(row) });
  }

  /** A listener is gone from the configuration: its address is free at once, its connections are drained. */
  private remove(name: string, served: Served): void {
    this.served.delete(name);
    this.leaving.add(served);
    if (served.retry !== null) clock.clearTimeout(served.retry);
    served.state = 'draining';
    served.message?.drain();
    const cut = clock.setTimeout(() => served.message?.abort('listener-removed'), this.leaveMs);
    void served.network.close(this.leaveMs + (served.message === null ? 0 : LAST_WORDS_MS), 'listener-removed').then(() => {
      clock.clearTimeout(cut);
      served.message?.chain.retire();
      served.logs.forEach((log) => void log.close());
      this.leaving.delete(served);
    });
  }

  updateCluster(snapshot: ClusterSnapshot): void {
    this.clusters.update(snapshot);
  }

  spansTaken(): void {
    this.tracing.taken();
  }

  reopenLogs(): void {
    void this.sinks.reopen();
  }

  /** At 90 % of `limit` (bytes, resident memory of the process; 0 for none) nothing more is accepted, at 95 % the largest holders are closed. */
  checkMemory(limit: number): void {
    const used = process.memoryUsage.rss();
    const full = limit > 0 && used > limit * 0.9;
    if (full !== this.full) {
      this.full = full;
      for (const served of this.served.values()) void (full ? served.network.pauseAccept() : served.network.resumeAccept());
      if (full) this.deps.log.warn({ used, limit }, 'close to memory_limit: nothing more is accepted');
      else this.deps.log.info({ used, limit }, 'memory is below its limit again: accepting goes on');
    }
    if (limit === 0 || used <= limit * 0.95) return;
    const holders: { readonly connection: Connection; readonly bytes: number }[] = [];
    for (const served of this.served.values()) {
      const held = new Map<Connection, number>();
      // What waits for a window of the client is not in its connection yet.
      for (const session of served.message?.sessions ?? []) if (session.codec.held > 0) held.set(session.connection, session.codec.held);
      for (const connection of served.network.connections) {
        const bytes = connection.unsent + connection.carried + (held.get(connection) ?? 0);
        if (bytes > 64 * 1024) holders.push({ connection, bytes });
      }
    }
    holders.sort((a, b) => b.bytes - a.bytes);
    for (const { connection, bytes } of holders.slice(0, 16)) {
      this.deps.log.warn({ remote: connection.info.remoteAddress, bytes }, 'closed: it holds most of the memory');
      connection.close(true);
    }
  }

  // === the end

  /** Tells every client to start nothing new, keeps accepting until no connection is left, and calls back when none came after all. */
  drain(done: () => void): void {
    this.draining = true;
    this.drained = done;
    for (const served of this.served.values()) this.drainOne(served);
    this.pollDrain();
  }

  private drainOne(served: Served): void {
    served.state = 'draining';
    served.message?.drain();
  }

  private pollDrain(): void {
    let left = 0;
    for (const served of [...this.served.values(), ...this.leaving]) left += served.network.active;
    if (left === 0 && !this.shut) {
      // Refused from now on, which clients can try elsewhere; a connection that came at the last moment is served.
      this.shut = true;
      for (const served of this.served.values()) void served.network.stopAccept();
    } else if (left === 0) {
      this.drained?.();
      this.drained = null;
      return;
    }
    this.drainPoll = clock.setTimeout(() => this.pollDrain(), 50);
  }

  /** Ends what still runs, closes everything, writes what logs hold. */
  async stop(): Promise<void> {
    if (this.drainPoll !== null) clock.clearTimeout(this.drainPoll);
    for (const { retry } of this.served.values()) if (retry !== null) clock.clearTimeout(retry);
    const closing = [...this.served.values(), ...this.leaving].map((served) => {
      served.message?.abort('drain-deadline');
      served.state = 'closed';
      return served.network.close(LAST_WORDS_MS, 'drain-deadline');
    });
    // What is cut has its line in the logs, so these are closed last.
    await Promise.all(closing);
    this.clusters.close();
    this.tracing.flush();
    await this.sinks.close();
  }

  // === what the admin shows

  listeners(): ListenerState[] {
    return [...this.served.values(), ...this.leaving].map((served) => ({
      name: served.config.name,
      address: showAddress(served.network.address),
      protocol: served.config.protocol,
      state: served.state,
      connections: served.network.connections.size,
      error: served.error,
    }));
  }

  answer(limit: number): WorkerAnswer {
    const connections: ConnectionState[] = [];
    const worker = this.deps.self;
    const time = now();
    const show = (c: Connection, side: ConnectionState['side'], owner: string, protocol: string, active: number, unsent: number): void => {
      if (connections.length >= limit) return;
      connections.push({
        id: c.id, worker, side, owner, protocol, active,
        remote: `${c.info.remoteAddress}:${c.info.remotePort}`, local: `${c.info.localAddress}:${c.info.localPort}`,
        ageMs: Math.round(time - c.since), received: c.received, sent: c.sent, unsent,
      });
    };
    for (const served of [...this.served.values(), ...this.leaving]) {
      const active = new Map<Connection, Session>();
      for (const session of served.message?.sessions ?? []) active.set(session.connection, session);
      for (const c of served.network.connections) {
        const session = active.get(c);
        show(c, 'downstream', served.config.name, served.config.protocol, session?.incomingCount ?? 0, session?.unsent ?? c.unsent);
      }
    }
    for (const pools of this.upstreams.all()) {
      for (const session of pools.sessions()) show(session.connection, 'upstream', pools.cluster.name, pools.protocol.name, session.outgoingCount, session.unsent);
    }
    return { connections, listeners: this.listeners(), clusters: this.clusters.load(), heapUsed: process.memoryUsage().heapUsed };
  }
}

/** Filters that were made are closed again when one of them cannot be made. */
function makeChain(config: ListenerConfig, manifests: readonly StreamFilterManifest[]): FilterChain {
  const made: StreamFilter[] = [];
  try {
    for (const [i, { options }] of config.stream_filters.entries()) made.push(manifests[i]!.create(options));
  } catch (error) {
    new FilterChain(made).retire();
    throw error;
  }
  return new FilterChain(made);
}

function isRaw(config: ListenerConfig): boolean {
  return (RAW_PROTOCOLS as readonly string[]).includes(config.protocol);
}

/** Whether a listener can go on with its sockets under the newer configuration. */
function sameSocket(a: ListenerConfig, b: ListenerConfig): boolean {
  return a.protocol === b.protocol && JSON.stringify(a.address) === JSON.stringify(b.address);
}

const carried = new ExchangeRecord();

/** A connection that was carried as bytes, in the shape that access logs read. */
function asExchange(record: ConnectionRecord): ExchangeRecord {
  carried.reset();
  const end = now();
  carried.start = end - record.duration;
  carried.end = end;
  carried.protocol = record.protocol;
  carried.listener = record.listener;
  carried.downstream = record.info;
  carried.clusterName = record.cluster;
  carried.code = record.code;
  carried.bytesIn = record.bytesIn;
  carried.bytesOut = record.bytesOut;
  for (const { host, code, errno, ms } of record.attempts) {
    carried.beginAttempt(host, carried.start, false);
    carried.endAttempt(code, errno, carried.start + ms);
  }
  return carried;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

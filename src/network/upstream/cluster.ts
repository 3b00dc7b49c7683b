// A cluster as a worker sees it: which hosts may be picked now, what is in use, and how a connection to a host is opened.
import { now } from '../../core/clock.js';
import { Deadline, type DeadlineOwner } from '../../core/deadline.js';
import type { SharedLevels } from '../../core/levels.js';
import { log } from '../../core/log.js';
import { randomInt } from '../../core/random.js';
import type { SluiceError } from '../../core/reason.js';
import type { Stats } from '../../core/stats.js';
import type { Connection, Reader } from '../connection.js';
import type { Balancer, BalancerManifest } from './balancer.js';
import { Breaker } from './breaker.js';
import { ClusterStats, HostStats } from './cluster-stats.js';
import type { ClusterConfig } from './config.js';
import { Host } from './host.js';
import { hostConnect, type HostConnect } from './host-connect.js';
import type { ClusterSnapshot, HostSnapshot } from './snapshot.js';

const NONE: readonly Host[] = [];
/** Times a balancer is asked again for a host that was not tried yet, before the list is walked. */
const ASK_AGAIN = 4;
/** A host in slow start takes this many tenths at first, and one more after each tenth of the time. */
const SLOW_START_STEPS = 10;

export interface ClusterDeps {
  readonly stats: Stats;
  readonly levels: SharedLevels;
  readonly balancer: (type: string) => BalancerManifest | undefined;
}

export class Cluster implements DeadlineOwner {
  readonly name: string;
  readonly stats: ClusterStats;
  readonly breaker: Breaker;
  /** True once the cluster is gone from the configuration; nothing can be picked any more. */
  removed = false;
  /** True while so few hosts are healthy that health is ignored (`panic_threshold`). */
  panic = false;
  version = 0;
  private current: ClusterConfig;
  private list: readonly Host[] = [];
  private usable: readonly Host[] = [];
  private balancer: Balancer;
  private balancerFrom: BalancerManifest;
  private balancerKey: string;
  private balancerFailed = false;
  /** What of the configuration connections are made with, as a text; another text means other connections. */
  connectionKey: string;
  private open: HostConnect;
  private epoch = -1;
  private epochRow = -1;
  private readonly deps: ClusterDeps;
  private readonly levels: SharedLevels;
  private slowStart: Deadline | null = null;
  private readonly leaving = new Map<Host, number>();
  private drainedCallbacks: (() => void)[] = [];

  constructor(snapshot: ClusterSnapshot, deps: ClusterDeps) {
    const config = snapshot.config;
    this.name = config.name;
    this.deps = deps;
    this.levels = deps.levels;
    this.stats = new ClusterStats(deps.stats, config.name);
    this.breaker = new Breaker(deps.levels, snapshot.breakerRows, config.breaker, this.stats.breaker_open);
    this.current = config;
    const balancer = deps.balancer(config.balancer.type);
    if (balancer === undefined) throw new Error(`no balancer is called ${config.balancer.type}`);
    this.balancerFrom = balancer;
    this.balancer = this.balancerFrom.create(config.balancer);
    this.balancerKey = JSON.stringify(config.balancer);
    this.open = hostConnect(config.tls, config.name);
    this.connectionKey = connectionKeyOf(config);
    this.update(snapshot);
  }

  get config(): ClusterConfig {
    return this.current;
  }

  get hosts(): readonly Host[] {
    return this.list;
  }

  /** Hosts that were removed and on which something still runs. */
  get draining(): Iterable<Host> {
    return this.leaving.keys();
  }

  /**
   * The next host, or null (ask `noneReason`). Hosts in `tried` are avoided while another one can be picked. What is returned was
   * healthy unless the cluster is in panic.
   */
  pick(hash: number, tried: readonly Host[] | null): Host | null {
    if (this.levels.read(this.epochRow) !== this.epoch) this.refresh();
    const first = this.ask(hash);
    if (first === null) {
      this.stats.no_host.inc();
      return null;
    }
    if ((tried === null || tried.length === 0 || !tried.includes(first)) && !first.away) return first;
    return this.pickOther(hash, tried ?? NONE, first);
  }

  /** One that was not tried and is not away; else one that was not tried; else the balancer's choice. */
  private pickOther(hash: number, tried: readonly Host[], first: Host): Host {
    for (let i = 0; i < ASK_AGAIN; i++) {
      const other = this.ask(hash);
      if (other !== null && !tried.includes(other) && !other.away) return other;
    }
    const usable = this.usable;
    const n = usable.length;
    let untried = tried.includes(first) ? null : first;
    let at = randomInt(n);
    for (let i = 0; i < n; i++) {
      const other = usable[at]!;
      if (!tried.includes(other)) {
        if (!other.away) return other;
        untried ??= other;
      }
      at = at + 1 === n ? 0 : at + 1;
    }
    return untried ?? first;
  }

  /** A balancer may come from outside: what it throws costs its order, not the exchange. */
  private ask(hash: number): Host | null {
    try {
      return this.balancer.pick(hash);
    } catch (error) {
      this.balancerThrew(error);
      const { usable } = this;
      return usable.length === 0 ? null : usable[randomInt(usable.length)]!;
    }
  }

  private balancerThrew(error: unknown): void {
    if (this.balancerFailed) return;
    this.balancerFailed = true;
    log.error({ cluster: this.name, balancer: this.balancerFrom.name, error }, 'a balancer failed; its hosts are taken at random where it does');
  }

  /** Why `pick` gave null: there is no host that takes traffic, or none of them is healthy. */
  noneReason(): 'no-host' | 'no-healthy-host' {
    for (const host of this.list) if (host.weight > 0) return 'no-healthy-host';
    return 'no-host';
  }

  /**
   * Opens a connection within `connect_timeout`, with TLS where configured. The caller has asked `breaker.tryConnection` and keeps
   * `host.connections` and the gauge; attempts and failures are counted here.
   */
  connect(host: Host, reader: Reader): Connection {
    this.stats.connects.inc();
    const config = this.current;
    return this.open(host.target, host.hostname, config.connect_timeout, config.keep_alive, new ConnectWatch(this, host, reader));
  }

  /** Calls back once nothing runs any more on any removed host; at once when that is so now. */
  onDrained(callback: () => void): void {
    if (this.leaving.size === 0) callback();
    else this.drainedCallbacks.push(callback);
  }

  // === for the manager

  /** Takes over a newer snapshot: hosts whose address stays keep their pool, counters and place. */
  update(snapshot: ClusterSnapshot): void {
    const config = snapshot.config;
    this.version = snapshot.version;
    this.current = config;
    this.breaker.limits = config.breaker;
    this.epochRow = snapshot.epochRow;
    this.renewBalancer();
    const connectionKey = connectionKeyOf(config);
    const reconnect = connectionKey !== this.connectionKey;
    if (reconnect) {
      this.connectionKey = connectionKey;
      this.open = hostConnect(config.tls, this.name);
    }
    const before = new Map(this.list.map((host) => [host.address, host]));
    const next: Host[] = [];
    for (const facts of snapshot.hosts) {
      const known = before.get(facts.address);
      if (known !== undefined && !reconnect && sameTarget(known, facts, config.tls !== null)) {
        known.update(facts);
        before.delete(facts.address);
        next.push(known);
      } else {
        next.push(new Host(this, facts, this.levels, new HostStats(this.deps.stats, this.name, facts.address)));
      }
    }
    this.list = next;
    this.refresh();
    for (const host of before.values()) this.leave(host);
  }

  /** Makes the balancer anew if its options or the plug-in behind its name have changed; true when it did. */
  private renewBalancer(): boolean {
    const options = this.current.balancer;
    // A plug-in that is gone serves until the configuration that names another comes, which it does right after.
    const manifest = this.deps.balancer(options.type) ?? this.balancerFrom;
    const key = JSON.stringify(options);
    if (key === this.balancerKey && manifest === this.balancerFrom) return false;
    if (manifest.name !== options.type) throw new Error(`no balancer is called ${options.type}`);
    this.balancer = manifest.create(options);
    this.balancerFrom = manifest;
    this.balancerKey = key;
    this.balancerFailed = false;
    return true;
  }

  /** The plug-ins may have changed. */
  renew(): void {
    if (this.renewBalancer()) this.refresh();
  }

  /** Takes the cluster out of use; what runs may finish. */
  remove(): void {
    this.removed = true;
    const hosts = this.list;
    this.list = [];
    this.refresh();
    for (const host of hosts) this.leave(host);
  }

  private leave(host: Host): void {
    this.leaving.set(host, now() + this.current.drain_timeout);
    host.drain();
  }

  /** Lets go of removed hosts on which nothing runs or whose time has passed (all of them with `force`); returns how many remain. */
  sweep(force = false): number {
    if (this.leaving.size === 0) return 0;
    const time = now();
    for (const [host, deadline] of this.leaving) {
      if (!host.unused && time < deadline && !force) continue;
      this.leaving.delete(host);
      host.close();
      host.stats.release();
    }
    if (this.leaving.size === 0) {
      const callbacks = this.drainedCallbacks;
      this.drainedCallbacks = [];
      for (const callback of callbacks) callback();
    }
    return this.leaving.size;
  }

  /** Gives the series back; after this only what still runs may use the cluster. */
  release(): void {
    this.slowStart?.cancel();
    this.stats.release();
  }

  onDeadline(): void {
    this.refresh();
  }

  /** Finds the hosts that may be picked. The epoch is read before the bits that it announces. */
  private refresh(): void {
    this.epoch = this.levels.read(this.epochRow);
    const willing = this.list.filter((host) => host.weight > 0);
    const healthy = willing.filter((host) => host.healthy);
    // One that failed a check is gone, whatever it had asked for, and may be taken as soon as it is back.
    for (const host of willing) if (!host.healthy) host.awayUntil = 0;
    this.panic = healthy.length * 100 < this.current.panic_threshold * willing.length;
    this.usable = this.panic ? willing : healthy;
    this.share();
    try {
      this.balancer.update(this.usable);
    } catch (error) {
      this.balancerThrew(error);
    }
  }

  /** Sets what balancers go by: the weights, lowered for those that have not been usable for long. */
  private share(): void {
    const total = this.current.slow_start;
    if (total === 0) {
      for (const host of this.usable) host.share = host.weight;
      return;
    }
    const time = now();
    const usable = new Set(this.usable);
    let warming = false;
    for (const host of this.list) if (!usable.has(host)) host.usableSince = -1;
    for (const host of usable) {
      if (host.usableSince < 0) host.usableSince = time;
      const age = time - host.usableSince;
      if (age < total) warming = true;
      const step = age >= total ? SLOW_START_STEPS : 1 + Math.floor((age / total) * (SLOW_START_STEPS - 1));
      host.share = host.weight * step;
    }
    if (!warming) return;
    this.slowStart ??= new Deadline(this, 0);
    this.slowStart.set(total / SLOW_START_STEPS);
  }
}

/** What existing connections were made with: when it changes, hosts are replaced and the old ones finish what they have. */
function connectionKeyOf(c: ClusterConfig): string {
  return JSON.stringify([c.protocol, c.pool, c.connections_per_host, c.max_requests_per_connection, c.max_connection_age, c.idle_timeout, c.heartbeat, c.keep_alive, c.tls, c.options]);
}

function sameTarget(host: Host, facts: HostSnapshot, tls: boolean): boolean {
  const a = host.target;
  const b = facts.target;
  return a.host === b.host && a.port === b.port && a.path === b.path && (!tls || host.hostname === facts.hostname);
}

/** Reads a connection until it is open, to count how connecting ended. */
class ConnectWatch implements Reader {
  private readonly cluster: Cluster;
  private readonly host: Host;
  private readonly reader: Reader;

  constructor(cluster: Cluster, host: Host, reader: Reader) {
    this.cluster = cluster;
    this.host = host;
    this.reader = reader;
  }

  onOpen(connection: Connection): void {
    if (connection.reader === this) connection.reader = this.reader;
    connection.reader.onOpen(connection);
  }

  onClose(connection: Connection, error: SluiceError | null): void {
    if (error !== null) {
      this.cluster.stats.connect_failures.inc();
      if (error.code === 'connect-timeout') this.cluster.stats.connect_timeouts.inc();
      this.host.stats.connect_failures.inc();
    }
    this.reader.onClose(connection, error);
  }

  onBytes(connection: Connection, buf: Uint8Array, start: number, end: number, owned: boolean): number {
    return this.reader.onBytes(connection, buf, start, end, owned);
  }

  onEnd(connection: Connection): void {
    this.reader.onEnd(connection);
  }

  onDrain(connection: Connection): void {
    this.reader.onDrain(connection);
  }
}

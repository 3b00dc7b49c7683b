// Accepts connections (or datagrams) at one address and sees them through filters and TLS to whoever carries them; changed live, closed in order.
import { showAddress, type Address } from '../core/config/address.js';
import { now } from '../core/clock.js';
import { Deadline, type DeadlineOwner } from '../core/deadline.js';
import type { Log } from '../core/log.js';
import type { Catalog } from '../core/manifest.js';
import { random } from '../core/random.js';
import type { ReasonCode, SluiceError } from '../core/reason.js';
import type { Stats } from '../core/stats.js';
import { Arrival, type Gatekeeper } from './arrival.js';
import type { ListenerConfig } from './config.js';
import type { Connection, ConnectionOwner, Reader } from './connection.js';
import type { Clusters, DatagramListener, Level, NetworkFilter } from './filter.js';
import { buildSetup, type Setup } from './listener-setup.js';
import { ListenerCounters } from './listener-stats.js';
import type { ConnectionRecord } from './record.js';
import { transport } from './transport/current.js';
import type { DatagramEvents, DatagramPort, ServerHandle } from './transport/transport.js';
import { removeStaleSocket } from './unix-socket.js';
import type { ConnectionInfo } from './wire.js';

export interface ListenerDeps {
  readonly stats: Stats;
  readonly log: Log;
  readonly catalog: Catalog;
  readonly clusters: Clusters;
  /** Takes an open connection of a protocol that the stream layer speaks: sets its reader. */
  readonly accept?: (connection: Connection) => void;
  /** Asks the client of a connection that reached `max_connection_age` to connect anew. */
  readonly retire?: (connection: Connection) => void;
  /** A level of this name shared by all threads; left out, levels are this thread's own. */
  readonly level?: (name: string) => Level;
  /** Takes the record of a finished TCP connection or UDP session to the access log. */
  readonly record?: (record: ConnectionRecord) => void;
  /** Whether other threads listen on the address too. */
  readonly share?: boolean;
  /** The same secret bytes in all threads, so that TLS sessions are resumed in any of them. */
  readonly ticketSecret?: Uint8Array;
}

/** Pause before an address that was given up for a while is asked for again. */
const REBIND_MS = 1000;
/** Errors of accepting are logged once in this time. */
const LOG_EVERY_MS = 1000;

/** What reads a connection between its opening and the moment its carrier sets a reader of its own. */
const nobody: Reader = { onBytes: () => 0, onOpen() {}, onEnd() {}, onDrain() {}, onClose() {} };

export class Listener implements ConnectionOwner, Gatekeeper, DatagramEvents, DeadlineOwner {
  readonly name: string;
  private readonly deps: ListenerDeps;
  private readonly log: Log;
  private readonly counters: ListenerCounters;
  private readonly open = new Set<Connection>();
  /** Filters that let a connection in, where there are any: they are told when it has gone, also after a change. */
  private readonly admitted = new Map<ConnectionInfo, readonly NetworkFilter[]>();
  private readonly ages = new Map<Connection, Deadline>();
  private readonly levels = new Map<string, Level>();
  /** Former carriers that still have connections. */
  private readonly retired = new Set<NetworkFilter>();
  private setup: Setup;
  private catalog: Catalog;
  private current: ListenerConfig;
  private server: ServerHandle | null = null;
  private port: DatagramPort | null = null;
  private bound: Address;
  private started = false;
  private pausing = false;
  private stopped = false;
  private loggedAt = -Infinity;
  private readonly rebind = new Deadline(this, 0);
  private whenEmpty: (() => void) | null = null;
  private readonly datagrams: DatagramListener;

  /** Throws an Error in words of the configuration when TLS files cannot be used. Nothing is opened before `start`. */
  constructor(config: ListenerConfig, deps: ListenerDeps) {
    this.name = config.name;
    this.deps = deps;
    this.log = deps.log;
    this.counters = new ListenerCounters(deps.stats, config.name);
    this.current = config;
    this.bound = config.address;
    this.catalog = deps.catalog;
    this.setup = this.build(config, null, deps.catalog);
    this.datagrams = {
      admit: (info) => this.ask(info),
      leave: (info) => this.leave(info),
      send: (bytes, port, host) => this.port?.send(bytes, port, host),
      address: () => this.bound,
    };
  }

  get config(): ListenerConfig {
    return this.current;
  }

  /** As bound: with the real port where 0 was configured. */
  get address(): Address {
    return this.bound;
  }

  get connections(): ReadonlySet<Connection> {
    return this.open;
  }

  /** Connections, and sessions of datagrams, that are being carried. */
  get active(): number {
    let sessions = this.setup.udp?.active ?? 0;
    let carried = (this.setup.tcp?.active ?? 0) + (this.setup.fallback?.active ?? 0);
    for (const filter of this.retired) {
      if (filter.receive !== undefined) sessions += filter.active ?? 0;
      else carried += filter.active ?? 0;
    }
    // A carried connection is over when its host's is closed too, and its record written.
    return Math.max(this.open.size, carried) + sessions;
  }

  // === life

  /** Binds the address; rejects with an Error that names it. */
  async start(): Promise<void> {
    try {
      await this.bind();
    } catch (e) {
      const errno = (e as NodeJS.ErrnoException).code ?? String(e);
      throw new Error(`listener ${this.name} cannot listen on ${showAddress(this.current.address)}: ${errno}`, { cause: e });
    }
    this.started = true;
  }

  private async bind(): Promise<void> {
    const { current } = this;
    const address: Address = this.bound;
    if (current.protocol === 'udp') {
      const port = await transport().bindDatagrams(address, this.deps.share === true, this);
      if (this.closedMeanwhile()) return port.close();
      this.port = port;
      this.bound = port.address;
      return;
    }
    const server = await this.bindStream(address);
    if (this.closedMeanwhile()) return server.close();
    this.server = server;
    this.bound = server.address;
  }

  private closedMeanwhile(): boolean {
    return this.stopped || this.pausing;
  }

  private async bindStream(address: Address): Promise<ServerHandle> {
    const options = {
      backlog: this.current.backlog ?? 4096,
      share: this.deps.share === true,
      mayBeSecured: () => this.setup.tls !== null,
      onError: (error: NodeJS.ErrnoException) => this.acceptFailed(error),
    };
    const accept = (connection: Connection): void => this.accepted(connection);
    try {
      return await transport().listen(address, options, accept);
    } catch (e) {
      // The file of a socket outlives a process that was killed.
      if ((e as NodeJS.ErrnoException).code !== 'EADDRINUSE' || address.path === undefined || !(await removeStaleSocket(address.path))) throw e;
    }
    return transport().listen(address, options, accept);
  }

  /** Gives the address up for a while: clients are refused by the system. Connections go on. */
  async pauseAccept(): Promise<void> {
    this.pausing = true;
    this.rebind.cancel();
    await this.unbind();
  }

  /** Undoes pauseAccept; tries again every second while the address cannot be had. */
  async resumeAccept(): Promise<void> {
    if (!this.pausing || this.stopped) return;
    this.pausing = false;
    if (!this.started || this.server !== null || this.port !== null) return;
    try {
      await this.bind();
    } catch (e) {
      this.log.warn({ listener: this.name, address: showAddress(this.bound), error: (e as NodeJS.ErrnoException).code }, 'cannot listen again yet');
      if (!this.closedMeanwhile()) this.rebind.set(REBIND_MS);
    }
  }

  onDeadline(): void {
    this.pausing = true;
    void this.resumeAccept();
  }

  /** Gives the address up for good. Connections go on; datagrams stop, for there is no port to answer from. */
  async stopAccept(): Promise<void> {
    this.stopped = true;
    this.rebind.cancel();
    await this.unbind();
  }

  private async unbind(): Promise<void> {
    const { server, port } = this;
    this.server = null;
    this.port = null;
    port?.close();
    await server?.close();
  }

  /**
   * Stops accepting, lets connections go on for `ms` and then ends them with `code`. Resolves when the last one is closed. The
   * owner tells peers beforehand, while the address still accepts.
   */
  async close(ms: number, code: ReasonCode = 'drain-deadline'): Promise<void> {
    const deadline = now() + ms;
    if (ms > 0 && this.active > 0) {
      // Sessions of datagrams need the port to be answered from, so the address is kept until they end where there is one.
      if (this.port === null) await this.stopAccept();
      else this.stopped = true;
      await this.emptied(Math.max(deadline - now(), 1));
    }
    for (const filter of this.carriers()) filter.close?.(code);
    await this.stopAccept();
    for (const connection of [...this.open]) connection.close(true);
    if (this.active > 0) await this.emptied(0);
    this.setup.tls?.close();
    this.retired.clear();
  }

  /** Resolves when nothing is carried any more, or after `ms` (0: however long it takes). */
  private emptied(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const deadline = new Deadline({ onDeadline: () => done() }, 0);
      const done = (): void => {
        deadline.cancel();
        this.whenEmpty = null;
        resolve();
      };
      this.whenEmpty = done;
      if (ms > 0) deadline.set(ms);
      if (this.active === 0) done();
    });
  }

  private carriers(): NetworkFilter[] {
    return [this.setup.tcp, this.setup.udp, this.setup.fallback, ...this.retired].filter((filter) => filter !== null);
  }

  /**
   * Takes over a newer configuration for connections that come from now on. Throws, and changes nothing, when TLS files cannot be
   * used; address and protocol cannot change (that is another listener). `catalog`: the plug-ins from now on.
   */
  update(config: ListenerConfig, catalog = this.catalog): void {
    const before = this.current;
    if (config.protocol !== before.protocol || showAddress(config.address) !== showAddress(before.address)) {
      throw new Error(`listener ${this.name}: another address or protocol needs another listener`);
    }
    const former = this.setup;
    this.setup = this.build(config, former, catalog);
    this.current = config;
    this.catalog = catalog;
    if (former.tls !== this.setup.tls) former.tls?.close();
    if (former.udp !== null && former.udp !== this.setup.udp) former.udp.close?.('listener-removed');
    if (former.tcp !== null && former.tcp !== this.setup.tcp) this.retired.add(former.tcp);
    if (former.fallback !== null && former.fallback !== this.setup.fallback) this.retired.add(former.fallback);
    for (const filter of this.retired) if ((filter.active ?? 0) === 0) this.retired.delete(filter);
  }

  /** Reads the files of TLS again; null, or what is wrong with them (what was in force stays). */
  reload(): string | null {
    return this.setup.tls?.reload() ?? null;
  }

  private build(config: ListenerConfig, former: Setup | null, catalog: Catalog): Setup {
    const { deps } = this;
    const context = {
      listener: this.name,
      clusters: deps.clusters,
      stats: deps.stats,
      log: deps.log,
      level: (name: string) => this.level(name),
      record: (record: ConnectionRecord) => {
        deps.record?.(record);
        this.checkEmpty();
      },
    };
    return buildSetup(config, former, catalog, context, deps.ticketSecret);
  }

  private level(name: string): Level {
    let level = this.levels.get(name);
    if (level === undefined) this.levels.set(name, (level = this.deps.level?.(name) ?? new OwnLevel()));
    return level;
  }

  // === connections

  private accepted(connection: Connection): void {
    const { setup } = this;
    this.counters.accepted.inc();
    this.counters.open.inc();
    connection.owner = this;
    connection.reader = nobody;
    this.open.add(connection);
    if (setup.listenerFilters.length > 0 || setup.tls !== null) new Arrival(this, connection, setup.listenerFilters, setup.tls).begin();
    else if (this.admit(connection)) this.ready(connection);
  }

  private acceptFailed(error: NodeJS.ErrnoException): void {
    // With no descriptor left libuv closes what waits, by one that it keeps for that: nothing spins, and nothing has to be paused.
    this.counters.acceptErrors.inc();
    const time = now();
    if (time - this.loggedAt < LOG_EVERY_MS) return;
    this.loggedAt = time;
    this.log.error({ listener: this.name, error: error.code ?? error.message, open: this.open.size }, 'cannot accept connections; is the limit of open files too low?');
  }

  admit(connection: Connection): boolean {
    if (this.ask(connection.info) === null) return true;
    connection.reader = nobody;
    connection.close();
    return false;
  }

  /** Asks the network filters that let clients in; null: all of them did, and `leave` is due. */
  private ask(info: ConnectionInfo): SluiceError | null {
    const { gates } = this.setup;
    for (let i = 0; i < gates.length; i++) {
      const error = gates[i]!.admit!(info);
      if (error === null) continue;
      for (let k = 0; k < i; k++) gates[k]!.leave?.(info);
      this.counters.refusal(error.code);
      if (this.log.enabled('debug')) this.log.debug({ listener: this.name, client: info.remoteAddress, reason: error.code }, error.message);
      return error;
    }
    if (gates.length > 0) this.admitted.set(info, gates);
    return null;
  }

  private leave(info: ConnectionInfo): void {
    const gates = this.admitted.get(info);
    if (gates === undefined) return;
    this.admitted.delete(info);
    for (const gate of gates) gate.leave?.(info);
  }

  ready(connection: Connection): void {
    const { setup, deps } = this;
    connection.reader = nobody;
    connection.wireOpen();
    if (setup.maxAge > 0 && deps.retire !== undefined) {
      const age = new Deadline({ onDeadline: () => deps.retire!(connection) }, 0);
      age.set(setup.maxAge * (0.9 + 0.2 * random()));
      this.ages.set(connection, age);
    }
    try {
      if (setup.tcp !== null) setup.tcp.take!(connection);
      else deps.accept!(connection);
    } catch (e) {
      this.log.error({ listener: this.name, err: e }, 'a connection could not be taken over; it was closed');
      connection.close(true);
    }
  }

  /** Carries a connection of no known protocol as bytes, to the cluster that is configured for such ones; false where there is none. */
  carry(connection: Connection): boolean {
    const { fallback } = this.setup;
    if (fallback === null) return false;
    fallback.take!(connection);
    return true;
  }

  lost(connection: Connection, stage: 'filters' | 'handshake', error: SluiceError | null): void {
    (stage === 'handshake' ? this.counters.handshakeErrors : this.counters.filterErrors).inc();
    if (this.log.enabled('debug')) {
      this.log.debug({ listener: this.name, client: connection.info.remoteAddress, stage, reason: error?.code }, error?.message ?? 'the client left before its connection was ready');
    }
  }

  connectionClosed(connection: Connection): void {
    this.open.delete(connection);
    this.counters.open.dec();
    this.leave(connection.info);
    const age = this.ages.get(connection);
    if (age !== undefined) {
      age.cancel();
      this.ages.delete(connection);
    }
    this.checkEmpty();
  }

  /** Something that was carried is over. */
  private checkEmpty(): void {
    if (this.whenEmpty !== null && this.active === 0) this.whenEmpty();
  }

  // === datagrams

  onDatagram(bytes: Buffer, host: string, port: number): void {
    try {
      this.setup.udp?.receive!(bytes, host, port, this.datagrams);
    } catch (e) {
      this.log.error({ listener: this.name, err: e }, 'a datagram was lost by a fault');
    }
  }

  onDatagramError(error: NodeJS.ErrnoException): void {
    this.acceptFailed(error);
  }
}

class OwnLevel implements Level {
  private value = 0;

  add(n: number): void {
    this.value += n;
  }

  read(): number {
    return this.value;
  }
}

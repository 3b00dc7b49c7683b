// The exchanges of one connection: those that came in on it, those sent out on it by their ids, and the connections that belong to one client.
import type { ReasonCode, SluiceError } from '../core/reason.js';
import type { Connection } from '../network/connection.js';
import type { Cluster } from '../network/upstream/cluster.js';
import type { Exchange } from './exchange.js';
import { IdTable, MAX_IN_FLIGHT } from './id-table.js';
import type { MessageListener } from './listener.js';
import type { MessagePool } from './pool/pool.js';
import type { Codec, Protocol, Role } from './protocol.js';
import type { Session } from './session.js';

export abstract class SessionExchanges {
  readonly connection: Connection;
  readonly protocol: Protocol;
  readonly codec: Codec;
  /** The listener that accepted the connection; null on an upstream connection. */
  readonly listener: MessageListener | null;
  /** The pool that opened the connection; null on a downstream connection. */
  readonly pool: MessagePool | null;
  /** Each exchange has flow control of its own: see Protocol.flow. */
  readonly flow: boolean;
  /** Upstream: the client that the connection belongs to (pinned pools, bound exchanges); what the host originates goes there. */
  peer: Session | null = null;
  /** Downstream: the upstream connections that belong to it, one for each cluster. */
  protected own: Session[] | null = null;

  /** Exchanges whose request came in here, a doubly linked list. */
  incoming: Exchange | null = null;
  incomingCount = 0;
  /** Exchanges sent out here and not finished. */
  outgoingCount = 0;
  /** Exchanges ever sent out here: a second one makes the connection a reused one. */
  uses = 0;
  closed = false;

  protected readonly ids: boolean;
  /** Downstream, where messages come in pieces of any mix: exchanges whose request is not complete, by their ids. */
  protected readonly mixed: Map<number, Exchange> | null;
  protected single: Exchange | null = null;
  protected table: IdTable | null = null;
  /** The exchange whose content is arriving. */
  protected current: Exchange | null = null;
  protected currentIsReply = false;

  constructor(connection: Connection, protocol: Protocol, role: Role, listener: MessageListener | null, pool: MessagePool | null) {
    this.connection = connection;
    this.protocol = protocol;
    this.codec = protocol.codec(role);
    this.flow = protocol.flow === true;
    this.ids = protocol.pool === 'multiplex';
    this.mixed = protocol.interleaves === true ? new Map() : null;
    this.listener = listener;
    this.pool = pool;
  }

  private get self(): Session {
    return this as unknown as Session;
  }

  /** Whether one more exchange may be sent out here now. */
  get hasRoom(): boolean {
    const { capacity } = this.codec;
    return this.outgoingCount < MAX_IN_FLIGHT && (capacity === undefined || this.outgoingCount < capacity);
  }

  // === connections that belong to one client

  /** The upstream connection that this client has to hosts of `cluster`, or null. */
  boundTo(cluster: Cluster): Session | null {
    const own = this.own;
    if (own !== null) for (const session of own) if (session.pool!.cluster === cluster && !session.closed && session.connection.writable) return session;
    return null;
  }

  bind(up: Session): void {
    up.peer = this.self;
    if (this.own === null) this.own = [up];
    else this.own.push(up);
  }

  unbind(up: Session): void {
    up.peer = null;
    const own = this.own;
    if (own === null) return;
    const i = own.indexOf(up);
    if (i >= 0) own.splice(i, 1);
    if (own.length === 0) this.own = null;
  }

  protected failOutgoing(code: ReasonCode, error: SluiceError | null): void {
    const single = this.single;
    if (single !== null) {
      this.single = null;
      this.outgoingCount--;
      single.upstreamFailed(this.self, code, error);
    }
    const table = this.table;
    if (table === null || table.size === 0) return;
    table.each((exchange, id) => {
      table.remove(id);
      this.outgoingCount--;
      exchange.upstreamFailed(this.self, code, error);
    });
  }

  // === exchanges

  /** Registers an exchange to be sent out here; returns the id it has on this connection (0: the protocol has none), -1 when full. */
  addOutgoing(exchange: Exchange): number {
    this.uses++;
    this.outgoingCount++;
    if (!this.ids) {
      this.single = exchange;
      return 0;
    }
    if (this.table === null) this.table = new IdTable();
    const id = this.table.add(exchange);
    if (id !== 0) return id;
    this.outgoingCount--;
    return -1;
  }

  removeOutgoing(exchange: Exchange, id: number): void {
    if (this.current === exchange && this.currentIsReply) this.current = null;
    if (this.ids) {
      if (this.table !== null && this.table.get(id) === exchange) {
        this.table.remove(id);
        this.outgoingCount--;
      }
    } else if (this.single === exchange) {
      this.single = null;
      this.outgoingCount--;
    }
  }

  /** Fails every exchange sent out here except `keep`; the connection stays. */
  failOthers(keep: Exchange | null, code: ReasonCode): void {
    this.table?.each((exchange, id) => {
      if (exchange === keep) return;
      this.removeOutgoing(exchange, id);
      exchange.upstreamFailed(this.self, code, null);
    });
  }

  eachOutgoing(visit: (exchange: Exchange) => void): void {
    if (this.single !== null) visit(this.single);
    this.table?.each(visit);
  }

  protected link(exchange: Exchange): void {
    exchange.next = this.incoming;
    if (this.incoming !== null) this.incoming.prev = exchange;
    this.incoming = exchange;
    this.incomingCount++;
  }

  removeIncoming(exchange: Exchange): void {
    if (this.current === exchange && !this.currentIsReply) this.current = null;
    if (this.mixed !== null) this.mixed.delete(exchange.downId);
    if (exchange.prev !== null) exchange.prev.next = exchange.next;
    else this.incoming = exchange.next;
    if (exchange.next !== null) exchange.next.prev = exchange.prev;
    exchange.next = null;
    exchange.prev = null;
    this.incomingCount--;
  }

  /** The exchange whose request came with this id, or null. */
  protected incomingOf(id: number): Exchange | null {
    for (let e = this.incoming; e !== null; e = e.next) if (e.downId === id) return e;
    return null;
  }
}

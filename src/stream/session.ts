// One connection that speaks a message protocol: what it decodes becomes exchanges (incoming) or answers to them (outgoing), in either role.
import { now } from '../core/clock.js';
import { Deadline, type DeadlineOwner } from '../core/deadline.js';
import { reasons, SluiceError, type ReasonCode, type ReasonContext } from '../core/reason.js';
import {
  HIGH_WATER, PAUSE_BLOCKED, PAUSE_MEMORY, PAUSE_PEER, type Connection, type Reader,
} from '../network/connection.js';
import { takeExchange, type Exchange } from './exchange.js';
import { ONEWAY, REPLY, type Head } from './head.js';
import { Heartbeat } from './heartbeat.js';
import type { MessageListener } from './listener.js';
import type { Quarantine } from './pool/multiplex.js';
import type { MessagePool } from './pool/pool.js';
import type { CodecSink, Protocol, Role } from './protocol.js';
import { VhostMemo } from './router.js';
import { SessionExchanges } from './session-exchanges.js';
import { MAX_UNSENT, SLOW_READER_MS, SlowReader } from './slow-reader.js';

/** How long a client has to answer our FIN while draining, ms. */
const LINGER_MS = 500;

const HEAD = 1;
const IDLE = 2;

/** Depth of server-side decodes on the stack; a session is not decoded again inside another's (heads are shared per thread). */
let decoding = 0;
const deferred: Session[] = [];

function runDeferred(): void {
  while (decoding === 0 && deferred.length > 0) deferred.pop()!.goOn();
}

export class Session extends SessionExchanges implements Reader, CodecSink, DeadlineOwner {
  readonly memo: VhostMemo | null;
  /** No new exchange is sent here: the peer said so, it is too old, or a huge reply fills it. */
  closing = false;
  /** Kept by the pool of an upstream session: given to exchanges that must not share it. */
  alone = false;
  quarantine: Quarantine | null = null;
  /** Monotonic ms after which the connection takes nothing new; 0 for none. */
  expires = 0;
  /** Monotonic ms when the last exchange on it ended, or when it was made. */
  lastActive: number;
  /** Index in its pool's list; kept by the pool. */
  poolIndex = -1;
  opened = false;

  /** Sessions that stopped reading until this one's unsent bytes are taken. */
  private waiters: Session[] | null = null;
  /** Exchanges whose other side has flow control: it gets no credit until this one's unsent bytes are taken. */
  private owing: Set<Exchange> | null = null;
  private readonly idle: Deadline;
  private readonly idleLimit: number;
  private headDeadline: Deadline | null = null;
  private slow: SlowReader | null = null;
  private beat: Heartbeat | null = null;
  private failed = false;
  private endAfterReply = false;
  /** Reading stopped because of what this connection has not sent. */
  private stopped = false;
  /** The connection is being closed by us: what else it brings is dropped. */
  private over = false;
  /** The connection is too old: it ends at the next quiet moment. */
  private leaving = false;
  /** The client was told that the connection ends soon. */
  private announced = false;
  /** What it brought is malformed: it closes when the requests before that are answered. */
  private refused = false;

  constructor(connection: Connection, protocol: Protocol, role: Role, listener: MessageListener | null, pool: MessagePool | null, idleLimit: number) {
    super(connection, protocol, role, listener, pool);
    this.memo = listener === null ? null : new VhostMemo();
    this.idle = new Deadline(this, IDLE);
    this.idleLimit = idleLimit;
    this.lastActive = now();
    if (idleLimit > 0) this.idle.setAt(this.lastActive + idleLimit);
  }

  // === Reader

  onOpen(): void {
    this.opened = true;
    this.pool?.sessionOpened(this);
    if (this.pool !== null && this.pool.heartbeat.interval > 0 && this.beat === null) this.beat = new Heartbeat(this, this.pool.heartbeat);
  }

  onBytes(connection: Connection, buf: Uint8Array, start: number, end: number, _owned = false): number {
    const server = this.listener !== null;
    if (server) {
      if (decoding > 0) {
        deferred.push(this);
        return 0;
      }
      decoding++;
    }
    let n: number;
    try {
      n = this.codec.decode(buf, start, end, this);
    } finally {
      if (server) decoding--;
    }
    if (this.codec.due === true) this.settle();
    connection.want = this.codec.want;
    if (this.failed) n = end - start;
    else if (n < end - start) this.keepsTail(connection);
    else if (this.headDeadline !== null) this.headDeadline.cancel();
    if (server) {
      if (this.behind) this.tooFarBehind();
      if (deferred.length > 0) runDeferred();
    }
    return n;
  }

  /** Bytes of an unfinished head or frame stay: a limit on how long, or, where a reply is due first, no more reading. */
  private keepsTail(connection: Connection): void {
    if (this.codec.blocked) {
      connection.pause(PAUSE_BLOCKED);
    } else if (this.listener !== null && this.listener.timeouts.head > 0) {
      if (this.headDeadline === null) this.headDeadline = new Deadline(this, HEAD);
      if (!this.headDeadline.armed) this.headDeadline.set(this.listener.timeouts.head);
    }
  }

  /** Decoding may go on: a reply was completed, or an outer decode returned. */
  goOn(): void {
    if (this.closed || this.codec.blocked) return;
    if (decoding > 0) {
      if (this.connection.carried > 0) deferred.push(this);
      return;
    }
    this.connection.resume(PAUSE_BLOCKED);
    this.connection.redeliver();
    if (this.endAfterReply && this.incomingCount === 0 && !this.closed && this.connection.carried === 0) this.connection.end();
  }

  onEnd(connection: Connection): void {
    if (this.codec.tunnel) {
      const exchange = this.current ?? this.single ?? this.incoming;
      if (exchange !== null) exchange.tunnelEnded(this);
      else connection.close();
      return;
    }
    this.codec.eof(this);
    if (this.closed) return;
    if (this.listener !== null && this.refused && this.incomingCount > 0) {
      this.endAfterReply = true;
      return;
    }
    // A client that gave up closes its socket, and all that is seen of it is this end. One that half-closes and still waits looks the
    // same and is rare: hosts are not kept at work for it, as little as by other proxies.
    connection.close();
  }

  /** Bytes for the peer that were not sent, in the connection or in the codec. */
  get unsent(): number {
    return this.connection.unsent + this.codec.held;
  }

  /** Bytes that the peer has taken. */
  get taken(): number {
    return this.connection.appended - this.connection.unsent;
  }

  /** Bytes ever encoded here, for differences. */
  get produced(): number {
    return this.connection.appended + this.codec.held;
  }

  /** The peer is to take bytes before more are made for it. */
  get behind(): boolean {
    return this.connection.overHigh || (!this.flow && this.codec.held > HIGH_WATER);
  }

  /** The same for content of one exchange: bytes that wait in the codec for the end of this content cannot be what it waits for. */
  behindFor(id: number): boolean {
    return this.connection.overHigh || (!this.flow && this.codec.held > HIGH_WATER && this.codec.turn !== id);
  }

  /** What the codec held back went to the connection, of which `onDrain` tells nothing. */
  relieve(): void {
    if (this.waiters !== null || this.stopped) this.onDrain(this.connection);
  }

  onDrain(connection: Connection): void {
    if (this.behind) {
      this.relieveTurn();
      return;
    }
    this.stopped = false;
    this.slow?.cancel();
    connection.resume(PAUSE_MEMORY);
    const list = this.waiters;
    this.waiters = null;
    if (list !== null) for (const session of list) if (!session.closed) session.connection.resume(PAUSE_PEER);
    const owing = this.owing;
    this.owing = null;
    if (owing !== null) for (const exchange of owing) exchange.roomAt(this);
  }

  /** Too much waits in the codec still, and goes on only when the exchange whose turn it is does. */
  private relieveTurn(): void {
    const { turn } = this.codec;
    if (turn === undefined || turn < 0 || this.listener === null || this.connection.overHigh) return;
    const exchange = this.incomingOf(turn);
    if (exchange === null) return;
    const { up } = exchange;
    const at = this.waiters === null || up === null ? -1 : this.waiters.indexOf(up);
    if (at >= 0) {
      this.waiters!.splice(at, 1);
      if (!up!.closed) up!.connection.resume(PAUSE_PEER);
    }
    if (this.owing?.delete(exchange) === true) exchange.roomAt(this);
  }

  /** Tells the exchange when this connection is no longer behind. */
  tell(exchange: Exchange): void {
    (this.owing ??= new Set()).add(exchange);
  }

  onRoom(id: number): void {
    const exchange = this.listener !== null ? this.incomingOf(id) : (this.table?.get(id) ?? null);
    exchange?.roomAt(this);
  }

  onCapacity(): void {
    const pool = this.pool;
    if (pool === null) return;
    pool.capacity = this.codec.capacity!;
    if (this.closing) return;
    while (this.hasRoom && pool.owner.serve(this)) {
      // One after the other, as long as somebody waits.
    }
  }

  /** Writes what the codec owes the peer. */
  private settle(): void {
    const codec = this.codec;
    if (codec.due === true && !this.closed) codec.settle!(this.connection, this);
  }

  onClose(_connection: Connection, error: SluiceError | null): void {
    if (this.closed) return;
    this.closed = true;
    this.idle.cancel();
    this.headDeadline?.cancel();
    this.slow?.cancel();
    this.beat?.cancel();
    this.quarantine?.cancel();
    const list = this.waiters;
    this.waiters = null;
    this.pool?.sessionClosed(this);
    const own = this.own;
    this.own = null;
    for (let e = this.incoming; e !== null; e = this.incoming) e.downstreamGone(error === null ? 'downstream-closed' : error.code === 'internal' ? 'internal' : 'downstream-reset', error?.context);
    const code: ReasonCode = !this.opened ? (error?.code ?? 'connect-failed') : error === null ? 'upstream-closed' : error.code === 'bad-reply' || error.code === 'heartbeat-missed' || error.code === 'internal' ? error.code : 'upstream-reset';
    this.failOutgoing(code, error);
    if (list !== null) for (const session of list) if (!session.closed) session.connection.resume(PAUSE_PEER);
    const peer = this.peer;
    if (peer !== null) {
      peer.unbind(this);
      // What the host kept for this client is lost with the connection, and only a new connection tells the client so.
      if (this.opened && !peer.closed) peer.dismiss(code);
    }
    if (own !== null) {
      for (const session of own) {
        session.peer = null;
        session.connection.close();
      }
    }
    this.listener?.sessionClosed(this);
  }

  // === exchanges

  /** Fails everything sent out here and closes. */
  failAll(code: ReasonCode, reset = false): void {
    this.leavePool();
    this.failOutgoing(code, null);
    this.connection.close(reset);
  }

  /** Before its exchanges are failed, so that none is tried again here. */
  leavePool(): void {
    this.closing = true;
    this.pool?.sessionClosing(this);
  }

  /** An incoming exchange was answered completely. */
  replied(close: boolean, time: number): void {
    if (this.closed || this.over) return;
    this.lastActive = time;
    if (close || this.codec.mustClose) {
      this.abort('connection-given-up');
      return;
    }
    if (this.refused && this.incomingCount === 0) {
      this.connection.close();
      return;
    }
    this.relieve();
    if (this.listener !== null && (this.leaving || this.listener.draining)) {
      this.announce();
      if (this.incomingCount === 0) this.idle.set(this.listener.drainIdle);
    }
    if (this.connection.carried > 0 || this.endAfterReply) this.goOn();
  }

  /** From now on raw bytes that arrive here belong to the exchange. */
  tunnelFor(exchange: Exchange, reply: boolean): void {
    this.current = exchange;
    this.currentIsReply = reply;
  }

  /** Stops this session's reading until `behind` has sent what it holds. */
  waitFor(behind: Session): void {
    this.connection.pause(PAUSE_PEER);
    if (behind.waiters === null) behind.waiters = [this];
    else if (!behind.waiters.includes(this)) behind.waiters.push(this);
  }

  /** Too many unsent bytes on this connection: its own requests are not read on, and it is watched for standing still. */
  tooFarBehind(): void {
    const connection = this.connection;
    connection.pause(PAUSE_MEMORY);
    this.stopped = true;
    if (this.unsent > MAX_UNSENT) {
      this.closeSlow();
      return;
    }
    if (this.slow === null) this.slow = new SlowReader(this);
    this.slow.watch();
  }

  closeSlow(): void {
    this.over = true;
    const error = new SluiceError('slow-reader', { ms: SLOW_READER_MS, bytes: this.unsent });
    for (let e = this.incoming; e !== null; e = this.incoming) e.downstreamGone('slow-reader', error.context);
    this.connection.close(true);
  }

  // === CodecSink

  onRequest(head: Head, last: boolean): void {
    if (this.over || this.closed) return;
    if (this.headDeadline !== null) this.headDeadline.cancel();
    const exchange = takeExchange();
    this.link(exchange);
    if (!last) {
      this.current = exchange;
      this.currentIsReply = false;
      if (this.mixed !== null) this.mixed.set(head.id, exchange);
    }
    if (this.listener === null) exchange.beginReverse(this, this.peer, head, last);
    else exchange.begin(this, this.listener, head, last);
  }

  onReply(head: Head, last: boolean): void {
    const exchange = this.ids ? (this.table === null ? null : this.table.get(head.id)) : this.single;
    if (exchange === null) {
      // Late or unknown: its content is dropped, the connection is sound.
      this.current = null;
      this.pool?.strayReply();
      return;
    }
    if (!last) {
      this.current = exchange;
      this.currentIsReply = true;
    }
    exchange.onReply(this, head, last);
  }

  /** Makes the exchange that a piece belongs to the current one; false where there is none. */
  private turnTo(id: number): boolean {
    const exchange = this.listener !== null ? this.mixed!.get(id) : this.table?.get(id);
    if (exchange === undefined || exchange === null) return false;
    this.current = exchange;
    this.currentIsReply = this.listener === null;
    return true;
  }

  onData(id: number, buf: Uint8Array, start: number, end: number, last: boolean): void {
    if (this.mixed !== null && !this.turnTo(id)) return;
    const exchange = this.current;
    if (exchange === null) return;
    if (last && !this.codec.tunnel) this.current = null;
    if (this.currentIsReply) exchange.onReplyData(this, buf, start, end, last);
    else exchange.onRequestData(buf, start, end, last);
  }

  onTrailers(id: number, head: Head): void {
    if (this.mixed !== null && !this.turnTo(id)) return;
    const exchange = this.current;
    if (exchange === null) return;
    this.current = null;
    if (this.currentIsReply) exchange.onReplyTrailers(this, head);
    else exchange.onRequestTrailers(head);
  }

  onReset(id: number, code: ReasonCode): void {
    const exchange = this.ids ? (this.table === null ? null : this.table.get(id)) : this.single;
    if (exchange !== null) {
      this.removeOutgoing(exchange, id);
      exchange.upstreamFailed(this, code, null);
      return;
    }
    this.incomingOf(id)?.downstreamGone(code);
  }

  onPing(head: Head): void {
    this.codec.encodePong(this.connection, head);
  }

  onPong(_id: number): void {
    this.beat?.answered();
  }

  onGoAway(leaving = false): void {
    this.pool?.goAway(this, leaving);
  }

  onError(id: number, code: ReasonCode, context: ReasonContext): void {
    this.failed = true;
    this.settle();
    if (this.listener === null) {
      const detail = context['detail'] ?? code;
      const limit = context['limit'];
      const own = reasons[code].where === 'upstream';
      const reply: ReasonCode = own ? code : code === 'frame-too-large' || code === 'head-too-large' || code === 'line-too-long' ? 'reply-too-large' : 'bad-reply';
      const error = new SluiceError(reply, { detail, limit, host: this.pool?.host.address });
      this.leavePool();
      this.failOutgoing(reply, error);
      this.connection.close(true);
      return;
    }
    const current = this.current;
    // Nothing more comes of the requests that are not complete.
    if (this.mixed !== null && this.mixed.size > 0) for (const exchange of [...this.mixed.values()]) exchange.refuse(code, context);
    else if (current !== null && !this.currentIsReply) current.refuse(code, context);
    else this.refuse(id, code, context);
    if (this.closed) return;
    // What came before the fault is still answered.
    if (this.incomingCount === 0) this.connection.close();
    else this.refused = true;
  }

  onRefused(kind: Head['kind'], id: number, code: ReasonCode, context: ReasonContext): void {
    if (this.over || this.closed) return;
    if (kind !== REPLY) {
      this.refuse(kind === ONEWAY ? -1 : id, code, context);
      return;
    }
    const exchange = this.table?.get(id) ?? null;
    if (exchange === null) {
      this.pool?.strayReply();
      return;
    }
    this.removeOutgoing(exchange, id);
    exchange.upstreamFailed(this, 'reply-too-large', new SluiceError('reply-too-large', { ...context, host: this.pool?.host.address ?? 'downstream' }));
  }

  private refuse(id: number, code: ReasonCode, context: ReasonContext): void {
    const exchange = takeExchange();
    this.link(exchange);
    exchange.beginRefused(this, (this.listener ?? this.peer?.listener ?? null) as MessageListener, id, code, context);
  }

  // === time

  onDeadline(kind: number): void {
    if (this.closed) return;
    if (kind === IDLE) this.onIdle();
    else this.onError(-1, 'head-timeout', { ms: this.listener!.timeouts.head });
  }

  /** One timer for the life of the connection: it looks at when something last ended instead of being moved each time. */
  private onIdle(): void {
    const draining = this.listener !== null && (this.leaving || this.listener.draining);
    const busy = this.incomingCount > 0 || this.outgoingCount > 0 || this.peer !== null || this.codec.held > 0;
    if (draining && !busy) {
      this.sayLast();
      this.connection.end();
      this.idle.set(LINGER_MS);
      this.lastActive = 0;
      return;
    }
    const limit = draining ? this.listener!.drainIdle : this.idleLimit;
    if (limit === 0) return;
    const left = busy ? limit : this.lastActive + limit - now();
    if (left > 0) {
      this.idle.set(left);
      return;
    }
    this.sayLast();
    this.connection.close();
  }

  /** Before the connection ends, a client whose requests may still be on their way learns which of them are not served. */
  private sayLast(): void {
    if (this.listener === null || !this.flow) return;
    // The first one may only announce the end; what names the last stream follows it then.
    for (let n = 0; n < 2 && this.codec.encodeGoAway(this.connection); n++);
  }

  // === drain

  /** Tells the client to start nothing new; idle connections end a little later, so that a request on its way is still served. */
  drain(): void {
    if (this.closed) return;
    this.announce();
    if (this.incomingCount === 0) this.idle.set(this.listener!.drainIdle);
  }

  /**
   * Accepted while the listener drains, because the client knows no better place: clients of HTTP/2 whose first requests are on their way
   * when a go-away comes fail them without sending them (Node, grpc-js), so these are told with the first reply.
   */
  acceptedLate(): void {
    if (this.flow) this.idle.set(this.listener!.drainIdle);
    else this.drain();
  }

  private announce(): void {
    if (this.announced) return;
    this.announced = true;
    this.codec.encodeGoAway(this.connection);
  }

  /** Asks the client to connect anew where the protocol can; ends the connection once nothing has run on it for a moment. */
  retire(): void {
    this.leaving = true;
    this.drain();
  }

  /** Ends everything now for a reason of the proxy's own, which clients get to read where their replies have not begun. */
  dismiss(code: ReasonCode): void {
    this.over = true;
    const list: Exchange[] = [];
    for (let e = this.incoming; e !== null; e = e.next) list.push(e);
    for (const e of list) if (e.down === this) e.fail(code, { listener: this.listener?.name });
    this.abort(code);
  }

  /** Ends everything now, with the reason in each exchange's record. */
  abort(code: ReasonCode): void {
    this.over = true;
    for (let e = this.incoming; e !== null; e = this.incoming) e.downstreamGone(code);
    this.connection.close();
  }
}

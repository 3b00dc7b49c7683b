// What an exchange holds, and how it ends: answers of the proxy itself, holds, and the finished record.
import { now } from '../core/clock.js';
import { Deadline, type DeadlineOwner } from '../core/deadline.js';
import { reasons, type ReasonCode, type ReasonContext } from '../core/reason.js';
import { PAUSE_HOLD } from '../network/connection.js';
import type { Cluster } from '../network/upstream/cluster.js';
import type { Host } from '../network/upstream/host.js';
import type { Gather } from './body.js';
import type { FilterChain } from './chain.js';
import type { Exchange } from './exchange.js';
import type { HoldToken, StreamFilter } from './filter.js';
import { SHARED, type Head, type Sharing } from './head.js';
import type { MessageListener } from './listener.js';
import { localReply, type Headers } from './local-reply.js';
import { DONE, PHASES, REPLY, TIMEOUT, type Phase } from './phases.js';
import type { ClusterPools } from './pool/cluster-pools.js';
import type { LocalReply } from './protocol.js';
import { ExchangeRecord, NOTE_HELD, NOTE_LOCAL_REPLY } from './record.js';
import { Replay } from './replay.js';
import type { Route } from './route.js';
import type { Session } from './session.js';

const NO_HEADERS: Headers = [];

export abstract class ExchangeState implements DeadlineOwner {
  /** Links of the downstream session's list. */
  next: Exchange | null = null;
  prev: Exchange | null = null;
  /** Moves when the object is taken for another exchange; whoever keeps a reference compares it. */
  generation = 0;
  phase = DONE;

  down!: Session;
  downId = 0;
  listener!: MessageListener;
  chain: FilterChain | null = null;
  /** The request head: borrowed until `keepRequest`, gone (and null) once it was sent. */
  requestHead: Head | null = null;
  /** The reply head while reply filters see it. */
  replyHead: Head | null = null;
  record: ExchangeRecord = new ExchangeRecord();
  route: Route | null = null;
  cluster: Cluster | null = null;
  host: Host | null = null;
  up: Session | null = null;
  upId = 0;
  /** Set while the exchange waits for a connection. */
  waitingIn: ClusterPools | null = null;
  /** Monotonic ms since when. */
  waitingSince = 0;
  /** Facts that a local reply mirrors (see Protocol.mirror), read while the head was at hand. */
  mirror = -1;
  oneway = false;
  tunnel = false;
  /** How it may share its connection to a host; read by pools. */
  sharing: Sharing = SHARED;

  protected pools: ClusterPools | null = null;
  /** The request head, kept for edits of the reply that read it. */
  protected requestForReply: Head | null = null;
  protected requestKept = false;
  protected requestDone = false;
  protected idempotent = false;
  protected replyStarted = false;
  protected replyDone = false;
  protected filter = 0;
  protected holdTurn = 0;
  protected held = false;
  protected inFilter = false;
  protected heldReply = false;
  protected body: Gather | null = null;
  /** Trailers that came before they could be sent: of the request, later of the reply. */
  protected trailers: Head | null = null;
  protected replyBody: Gather | null = null;
  protected states: Map<StreamFilter, unknown> | null = null;
  protected tried: Host[] = [];
  protected attempts = 0;
  protected freeRetried = false;
  protected retryCounted = false;
  protected activeCounted = false;
  protected sentFrom = 0;
  protected timeoutMs = 0;
  protected moved = 0;
  protected movedAt = 0;
  protected readonly replay = new Replay();
  /** For another try where requests are encoded anew (Protocol.stateful): the head as it was sent, and its trailers. */
  protected replayHead: Head | null = null;
  protected replayTrailers: Head | null = null;
  /** The deadline is for the whole exchange, see Head.wholeTimeout. */
  protected wholeTimeout = false;
  protected readonly timeout = new Deadline(this, TIMEOUT);
  protected tryTimeout: Deadline | null = null;
  protected backoff: Deadline | null = null;
  protected streamIdle: Deadline | null = null;

  get phaseName(): Phase {
    return PHASES[this.phase]!;
  }

  abstract onDeadline(kind: number): void;
  protected abstract abandonUpstream(code: ReasonCode): void;
  /** A hold was resumed. */
  protected abstract goOn(): void;
  /** The object may serve another exchange. */
  protected abstract recycle(): void;

  // === answers of the proxy itself

  /** The request is malformed or over a limit; its connection closes after the reply. */
  refuse(code: ReasonCode, context: ReasonContext): void {
    this.requestDone = false;
    this.fail(code, context);
  }

  /** Ends the exchange with the protocol's error reply, or, when a reply has begun, by cutting it. */
  fail(code: ReasonCode, context: ReasonContext = {}): void {
    if (this.phase === DONE) return;
    if (this.replyStarted && this.phase >= REPLY) {
      this.cut(code, context);
      return;
    }
    this.finishLocally(code, context, reasons[code].http, '', NO_HEADERS);
  }

  protected cut(code: ReasonCode, context: ReasonContext): void {
    this.record.code = code;
    this.record.context = context;
    const down = this.down;
    // A protocol that can end one reply alone says so (HTTP/2); the others lose the connection.
    const alone = down.codec.encodeReset(down.connection, this.downId, code);
    this.finish(!alone);
  }

  threw(filter: { readonly name: string }, error: unknown): void {
    if (this.phase === DONE) return;
    this.replyStarted = this.phase >= REPLY;
    this.fail('filter-threw', { filter: filter.name, detail: error instanceof Error ? error.message : String(error) });
    this.listener?.filterThrew(filter.name, error);
  }

  /** For filters: answers the request. `status` is HTTP-like. */
  answer(filter: StreamFilter, status: number, body = '', headers = NO_HEADERS): void {
    this.finishLocally(status === 403 ? 'denied' : status === 429 ? 'rate-limited' : 'filter-replied', { filter: filter.name, detail: filter.name }, status, body, headers);
  }

  /** For terminals: the whole reply. */
  answerWith(status: number, body: string | Uint8Array, headers = NO_HEADERS): void {
    if (this.phase === DONE) return;
    this.record.endAttempt('', '', now());
    this.finishLocally('', undefined, status, body, headers);
  }

  /** For terminals: a reply that is encoded already, with the id of this request. */
  answerEncoded(status: number, bytes: Uint8Array): void {
    if (this.phase === DONE) return;
    const record = this.record;
    record.endAttempt('', '', now());
    record.status = status;
    if (!this.oneway && !this.down.closed) {
      this.down.codec.encodeWhole!(this.down.connection, bytes);
      record.bytesOut += bytes.length;
    }
    this.replyStarted = true;
    this.finish();
  }

  protected finishLocally(code: ReasonCode | '', context: ReasonContext | undefined, status: number, body: string | Uint8Array, headers: ReadonlyArray<readonly [string, string]>): void {
    if (this.phase === DONE) return;
    const record = this.record;
    const down = this.down;
    record.code = code === 'direct-response' || code === 'filter-replied' ? '' : code;
    record.context = context ?? null;
    record.status = status;
    record.flags |= NOTE_LOCAL_REPLY;
    const close = !this.requestDone && down.protocol.pool !== 'multiplex';
    if (!this.oneway && !down.closed && status > 0) {
      const connection = down.connection;
      const from = down.produced;
      const reply = this.forClient(localReply(code === '' ? 'filter-replied' : code, context, status, body, headers, this.mirror, close));
      down.codec.encodeLocalReply(connection, this.downId, reply);
      record.bytesOut += down.produced - from;
      record.rawStatus = code === '' ? status : down.protocol.statusOf(code);
    }
    this.replyStarted = true;
    this.finish(close);
  }

  /** A reply of the proxy itself in the form that the client reads. */
  protected forClient(reply: LocalReply): LocalReply {
    return reply;
  }

  // === hold

  /** Stops this exchange after the current filter until the token is used. */
  hold(): HoldToken {
    const generation = this.generation;
    const turn = ++this.holdTurn;
    this.held = true;
    this.record.flags |= NOTE_HELD;
    const mine = (): boolean => this.generation === generation && this.holdTurn === turn && this.held && this.phase !== DONE;
    return {
      resume: () => {
        if (mine()) this.goOn();
      },
      cancel: (code, context) => {
        if (!mine()) return;
        this.held = false;
        this.replyStarted = false;
        this.fail(code, context);
      },
    };
  }

  protected keepRequest(): void {
    if (this.requestKept || this.requestHead === null) return;
    this.requestHead = this.requestHead.keep();
    this.requestKept = true;
  }

  protected suspend(): void {
    this.keepRequest();
    this.requestKept = true;
    // Where exchanges have flow control, the client is held back by getting no credit.
    if (!this.requestDone && !this.down.flow) this.down.connection.pause(PAUSE_HOLD);
  }

  protected unsuspend(): void {
    if (this.phase !== DONE && (this.held || this.waitingIn !== null)) return;
    if (!this.down.closed) this.down.connection.resume(PAUSE_HOLD);
  }

  /** State that a filter keeps for this exchange. */
  stateOf(filter: StreamFilter): unknown {
    return this.states?.get(filter);
  }

  setState(filter: StreamFilter, state: unknown): void {
    (this.states ??= new Map()).set(filter, state);
  }

  // === the end

  protected finish(close = false): void {
    if (this.phase === DONE) return;
    const time = now();
    const record = this.record;
    const down = this.down;
    record.end = time;
    this.timeout.cancel();
    this.tryTimeout?.cancel();
    this.backoff?.cancel();
    this.streamIdle?.cancel();
    this.replay.free();
    this.phase = DONE;
    const cluster = this.cluster;
    if (cluster !== null) {
      if (this.activeCounted) {
        cluster.breaker.releaseRequest();
        cluster.stats.active_requests.dec();
      }
      if (this.retryCounted) cluster.breaker.releaseRetry();
      cluster.stats.request_seconds.record(time - record.start);
    }
    this.streamEnds();
    const early = !this.requestDone && !this.oneway;
    const listener = this.listener;
    const chain = this.chain;
    if (chain !== null) for (let i = 0; i < chain.done.length; i++) this.runDone(chain.done[i]!);
    if (listener !== null) listener.finished(record);
    chain?.leave();
    down.removeIncoming(this as unknown as Exchange);
    // After the reply was written and the list left: the connection of a pinned client closes with its host's.
    this.abandonUpstream(record.code === '' ? 'filter-replied' : record.code);
    if (this.requestKept || early) this.unsuspend();
    this.recycle();
    down.replied(close || (early && down.protocol.pool !== 'multiplex'), time);
  }

  /** A terminal that took the exchange as a stream hears of its end. */
  protected streamEnds(): void {}

  protected runDone(filter: StreamFilter): void {
    try {
      filter.onDone!(this.record, this as unknown as Exchange);
    } catch (error) {
      this.listener.filterThrew(filter.name, error);
    }
  }

  /** Everything back to the state of a new object, except what is kept to be used again. */
  clear(): void {
    this.generation++;
    this.chain = null;
    this.requestHead = null;
    this.replyHead = null;
    this.requestForReply = null;
    this.replayHead = null;
    this.replayTrailers = null;
    this.wholeTimeout = false;
    this.route = null;
    this.cluster = null;
    this.host = null;
    this.up = null;
    this.upId = 0;
    this.mirror = -1;
    this.oneway = false;
    this.tunnel = false;
    this.pools = null;
    this.sharing = SHARED;
    this.requestKept = false;
    this.requestDone = false;
    this.idempotent = false;
    this.replyStarted = false;
    this.replyDone = false;
    this.filter = 0;
    this.held = false;
    this.heldReply = false;
    this.inFilter = false;
    this.body = null;
    this.trailers = null;
    this.replyBody = null;
    this.states = null;
    if (this.tried.length > 0) this.tried.length = 0;
    this.attempts = 0;
    this.freeRetried = false;
    this.retryCounted = false;
    this.activeCounted = false;
    this.timeoutMs = 0;
    this.record.reset();
  }
}

// The way of an exchange to a host and back: sending, trying again, deadlines, and what goes wrong.
import { now, turnNow } from '../core/clock.js';
import { Deadline } from '../core/deadline.js';
import { reasons, type ReasonCode, type ReasonContext, type SluiceError } from '../core/reason.js';
import { CONNECTING } from '../network/connection.js';
import { ExchangeFlow } from './exchange-flow.js';
import type { Exchange } from './exchange.js';
import { BOUND, SHARED, type Head } from './head.js';
import { BACKOFF, DONE, HOST, POOL, RETRY, SEND, STREAM_IDLE, TIMEOUT, TRY_TIMEOUT, WAIT } from './phases.js';
import { NOTE_FREE_RETRY, NOTE_NOT_REPLAYABLE, NOTE_RETRY_LIMIT } from './record.js';
import type { Session } from './session.js';

const EMPTY = Buffer.alloc(0);

export abstract class ExchangeUpstream extends ExchangeFlow {
  /** Runs the phases from the present one on. */
  protected abstract run(): void;

  /** A connection came free (or, with null, may be dialled) for this exchange, which waited. */
  connectionFree(session: Session | null): void {
    if (session === null) {
      this.phase = HOST;
      this.run();
    } else {
      this.host = session.pool!.host;
      this.phase = SEND;
      this.send(session);
    }
    this.unsuspend();
  }

  protected findHost(): void {
    const bound = this.down.boundTo(this.cluster!);
    if (bound !== null) {
      if (this.pools!.kind === 'pinned' || this.sharing === BOUND) {
        this.host = bound.pool!.host;
        this.phase = SEND;
        this.send(bound);
        return;
      }
      bound.pool!.unbind(bound);
    }
    const host = this.cluster!.pick(0, this.tried.length === 0 ? null : this.tried);
    if (host === null) {
      this.fail(this.cluster!.noneReason(), { cluster: this.cluster!.name });
      return;
    }
    this.host = host;
    this.phase = POOL;
  }

  protected findConnection(): void {
    const pool = this.pools!.poolOf(this.host!);
    const session = pool.acquire(this as unknown as Exchange, this.sharing !== SHARED && pool.protocol.flow !== true);
    if (session !== null) {
      this.host = session.pool!.host;
      this.phase = SEND;
      this.send(session);
    } else if (this.waitingIn !== null) {
      this.suspend();
    } else {
      this.fail(pool.refusal, { cluster: this.cluster!.name, limit: this.limitOf(pool.refusal) });
    }
  }

  protected limitOf(code: ReasonCode): number {
    const limits = this.cluster!.breaker.limits;
    return code === 'breaker-pending' ? limits.max_pending : limits.max_connections;
  }

  protected send(session: Session): void {
    if (this.sharing === BOUND && session.peer === null) this.down.bind(session);
    const id = session.addOutgoing(this as unknown as Exchange);
    if (id < 0) {
      this.fail('breaker-requests', { cluster: this.cluster?.name ?? '', limit: 65535 });
      return;
    }
    this.up = session;
    this.upId = id;
    this.attempts++;
    const connection = session.connection;
    const record = this.record;
    const reused = session.uses > 1;
    const host = this.host;
    const time = this.attempts === 1 && record.requestDone === record.start ? record.start : now();
    record.beginAttempt(host === null ? 'downstream' : host.address, time, reused);
    record.upstream = connection.info;
    record.upstreamConnectionId = connection.id;
    if (host !== null) {
      host.active++;
      host.stats.requests.inc();
      this.cluster!.stats.requests.inc();
    }
    const from = connection.appended;
    this.sentFrom = from;
    this.phase = WAIT;
    const replay = this.replay;
    if (this.attempts > 1 && this.requestHead === null && this.replayHead !== null) {
      this.sendAnew(session, this.replayHead);
    } else if (this.attempts > 1 && this.requestHead === null) {
      const last = this.requestDone && this.body === null && this.trailers === null;
      session.codec.reid(replay.buf!, 0, replay.length, id, last);
      connection.write(replay.buf!, 0, replay.length);
      if (!last) this.sendRest();
    } else {
      const keep = !this.oneway && (reused || !session.opened || (this.route !== null && this.route.retry !== null && this.route.retry.conditions > 1));
      if (keep) replay.start();
      const head = this.requestHead!;
      const last = this.requestDone && this.body === null && this.trailers === null;
      if (session.protocol.stateful === true) {
        // What is written depends on the tables of this connection: the head itself is kept.
        if (keep) this.replayHead = this.requestKept ? head : head.keep();
        session.codec.encodeRequest(connection, head, id, last);
      } else {
        session.codec.encodeRequest(connection, head, id, last);
        if (keep) this.keepReplay(session, from);
      }
      this.requestHead = null;
      if (!last || this.body !== null) this.sendRest();
    }
    if (this.phase !== WAIT || this.up !== session) return;
    if (this.oneway && this.requestDone) {
      this.finishOneway();
      return;
    }
    const route = this.route;
    if (route !== null && route.perTryTimeout > 0) {
      if (this.tryTimeout === null) this.tryTimeout = new Deadline(this, TRY_TIMEOUT);
      this.tryTimeout.set(route.perTryTimeout);
    }
    if (session.behind && !this.down.flow) this.down.waitFor(session);
    if (!this.requestDone) this.watchIdle();
  }

  /** Another try where the request is encoded anew: its head, what was kept of its content, its trailers. */
  private sendAnew(session: Session, head: Head): void {
    const { replay, replayTrailers: trailers } = this;
    const { codec, connection } = session;
    const last = this.requestDone && this.body === null && this.trailers === null && trailers === null;
    codec.encodeRequest(connection, head, this.upId, last && replay.length === 0);
    if (replay.length > 0) {
      codec.encodeData(connection, this.upId, replay.buf!, 0, replay.length, last);
      this.requestMoved(0);
    }
    if (trailers !== null) codec.encodeTrailers(connection, this.upId, trailers);
    else if (!last) this.sendRest();
  }

  /** What the encoder appended since `from` joins the replay copy, if it all lies in one block. */
  protected keepReplay(session: Session, from: number): void {
    const replay = this.replay;
    if (!replay.usable) return;
    const connection = session.connection;
    const writer = connection.lastWrite();
    const n = connection.appended - from;
    // What the codec holds back went somewhere else.
    if (session.codec.held > 0) replay.free();
    else if (writer.pos - writer.mark === n) replay.append(writer.buf, writer.mark, writer.pos);
    else if (n > 0) replay.free();
    if (!replay.usable) this.record.flags |= NOTE_NOT_REPLAYABLE;
  }

  protected encodeData(buf: Uint8Array, start: number, end: number, last: boolean): void {
    const up = this.up!;
    const from = up.connection.appended;
    up.codec.encodeData(up.connection, this.upId, buf, start, end, last);
    if (this.replay.usable) {
      if (up.protocol.stateful === true) this.keepContent(buf, start, end);
      else this.keepReplay(up, from);
    }
    this.requestMoved(end - start);
  }

  private keepContent(buf: Uint8Array, start: number, end: number): void {
    this.replay.append(buf, start, end);
    if (!this.replay.usable) this.record.flags |= NOTE_NOT_REPLAYABLE;
  }

  /** Sends what was gathered of the request while there was nowhere to send it. */
  protected sendRest(): void {
    const body = this.body;
    this.body = null;
    const last = this.requestDone && this.trailers === null;
    if (body !== null) {
      const whole = body.take();
      this.encodeData(whole, 0, whole.length, last);
    }
    if (this.trailers !== null) this.encodeTrailers(this.trailers);
  }

  protected encodeTrailers(head: Head): void {
    const up = this.up!;
    const from = up.connection.appended;
    up.codec.encodeTrailers(up.connection, this.upId, head);
    if (this.replay.usable) {
      if (up.protocol.stateful === true) this.replayTrailers = head.keep();
      else this.keepReplay(up, from);
    }
    this.trailers = null;
  }

  protected countReply(status: number): void {
    const cluster = this.cluster;
    if (cluster === null) return;
    cluster.stats.reply(status);
    if (status >= 500) this.host!.stats.errors.inc();
  }

  /** One side of a tunnel ended its sending: the other side learns it. */
  tunnelEnded(from: Session): void {
    const other = from === this.down ? this.up : this.down;
    if (other === null || other.closed) {
      this.finish();
      return;
    }
    if (from.flow || other.flow) {
      if (from === this.up) this.replyDone = true;
      else this.requestDone = true;
    }
    if (other.flow) {
      // A stream whose tunnel lost one end is of no use to either side.
      other.codec.encodeData(other.connection, other === this.down ? this.downId : this.upId, EMPTY, 0, 0, true);
    } else {
      other.connection.end();
    }
    const both = other.flow ? from === this.up || this.replyDone : other.connection.peerEnded;
    if (!both) return;
    this.finish();
    if (!from.flow) from.connection.close();
    if (!other.flow) other.connection.close();
  }

  // === deadlines

  protected armTimeout(ms: number): void {
    this.timeoutMs = ms;
    const from = this.wholeTimeout ? this.record.start : this.record.requestDone;
    if (ms > 0 && !this.oneway) this.timeout.setAt((from > 0 ? from : now()) + ms);
  }

  onDeadline(kind: number): void {
    if (this.phase === DONE) return;
    const host = this.host?.address ?? '';
    if (kind === BACKOFF) {
      this.phase = HOST;
      this.run();
      this.unsuspend();
    } else if (kind === STREAM_IDLE) {
      this.onStreamIdle();
    } else if (kind === TIMEOUT) {
      this.cluster?.stats.timeouts.inc();
      const code: ReasonCode = this.waitingIn !== null ? 'pool-timeout' : 'request-timeout';
      if (this.up !== null && !this.replyStarted) this.record.endAttempt(code, '', now());
      this.fail(code, { host, ms: this.timeoutMs, cluster: this.cluster?.name });
    } else {
      const ms = this.route!.perTryTimeout;
      const policy = this.route!.retry;
      this.record.endAttempt('try-timeout', '', now());
      const again = this.replay.usable && policy !== null && policy.onFailure('try-timeout', this.attempts, this.idempotent || this.route!.idempotent) && this.mayRetry();
      if (!again) {
        this.fail('try-timeout', { host, ms });
        return;
      }
      this.abandonUpstream('try-timeout');
      this.retry(0);
    }
  }

  /** Streams have no total limit but may not stand still. */
  protected watchIdle(): void {
    const ms = this.idleLimit();
    if (ms === 0) return;
    if (this.streamIdle === null) this.streamIdle = new Deadline(this, STREAM_IDLE);
    this.movedAt = this.moved;
    if (!this.streamIdle.armed) this.streamIdle.set(ms);
  }

  protected idleLimit(): number {
    return this.route?.streamIdle ?? 300_000;
  }

  protected onStreamIdle(): void {
    const ms = this.idleLimit();
    if (this.moved !== this.movedAt) {
      this.movedAt = this.moved;
      this.streamIdle!.set(ms);
    } else if (!this.requestDone && !this.replyStarted) this.fail('body-timeout', { ms });
    else this.fail('stream-idle', { ms });
  }

  // === what goes wrong

  /** The connection (or just the stream) to the host is gone; the session has forgotten the exchange. */
  upstreamFailed(session: Session, code: ReasonCode, error: SluiceError | null): void {
    if (this.up !== session || this.phase === DONE) return;
    if (this.replyDone) {
      // All of the reply is here, held by a filter: nothing is missing.
      this.leaveUpstream(session);
      return;
    }
    const host = session.pool?.host.address ?? 'downstream';
    const errno = error === null ? '' : String(error.context['detail'] ?? '');
    const context = { host, ms: this.cluster?.config.connect_timeout, ...error?.context };
    this.leaveUpstream(session);
    this.cluster?.stats.resets.inc();
    this.host?.stats.errors.inc();
    if (this.tunnel) {
      this.record.code = this.record.code || (code === 'upstream-closed' ? '' : code);
      const down = this.down;
      if (down.flow) down.codec.encodeReset(down.connection, this.downId, code);
      this.finish();
      if (!down.flow) down.connection.close();
      return;
    }
    this.record.endAttempt(code, errno, now());
    if (this.replyStarted) {
      this.fail(code === 'upstream-closed' || code === 'upstream-reset' ? 'reply-cut' : code, context);
      return;
    }
    const nothingSent = !session.opened || session.connection.state === CONNECTING || session.connection.sent <= this.sentFrom;
    const reusable = this.requestHead !== null || this.replay.usable;
    const idempotent = this.idempotent || (this.route?.idempotent ?? false);
    // A connection that belongs to the client takes the client's with it: another one would lack what the host kept for it.
    const bound = session.peer !== null && session.opened;
    if (reusable && this.route !== null && !this.down.closed && !bound) {
      const reason = reasons[code].retry;
      const free = !this.freeRetried && session.opened && (reason === 'safe' || (session.uses > 1 && reason === 'reused-only' && (nothingSent || idempotent)));
      if (free) {
        this.freeRetried = true;
        this.record.flags |= NOTE_FREE_RETRY;
        this.tryAgain(0);
        return;
      }
      const policy = this.route.retry;
      if (policy !== null && policy.onFailure(nothingSent && session.opened ? 'connect-failed' : code, this.attempts, idempotent) && (nothingSent || this.mayRetry())) {
        // What never reached a host multiplies no load: it needs no share of the retry budget, or a host that dies would fail the calls
        // that were waiting for its connection together.
        this.retry(session.opened ? policy.delay(this.attempts) : 0);
        return;
      }
    }
    this.fail(code, context);
  }

  /** Asks breaker and budget for one more try; the permission is given back when the exchange ends. */
  protected mayRetry(): boolean {
    if (this.retryCounted) return true;
    const cluster = this.cluster!;
    if (!cluster.breaker.tryRetry()) {
      cluster.stats.retry_overflow.inc();
      this.record.flags |= NOTE_RETRY_LIMIT;
      return false;
    }
    this.retryCounted = true;
    return true;
  }

  protected retry(delay: number): void {
    this.cluster!.stats.retries.inc();
    this.tryAgain(delay);
  }

  protected tryAgain(delay: number): void {
    this.phase = RETRY;
    if (this.host !== null) this.tried.push(this.host);
    this.tryTimeout?.cancel();
    if (delay >= 1) {
      if (this.backoff === null) this.backoff = new Deadline(this, BACKOFF);
      this.backoff.set(delay);
      this.suspend();
      return;
    }
    this.phase = HOST;
    this.run();
  }

  /** The client is gone (or is being let go): nothing can be answered. */
  downstreamGone(code: ReasonCode, context: ReasonContext = {}): void {
    if (this.phase === DONE) {
      this.down.removeIncoming(this as unknown as Exchange);
      return;
    }
    this.record.code = code;
    this.record.context = context;
    this.record.status = reasons[code].http;
    if (this.tunnel && code === 'downstream-closed') {
      this.record.code = '';
      this.record.status = 101;
    }
    if (this.up !== null && !this.replyStarted) this.record.endAttempt(code, '', now());
    this.finish();
  }

  // === leaving the connection

  /** Gives the session back after a complete exchange, or closes what cannot be used further. */
  protected leaveUpstream(session: Session): void {
    this.up = null;
    this.flowEnds(session);
    const host = this.host;
    if (host !== null) host.active--;
    session.removeOutgoing(this as unknown as Exchange, this.upId);
    session.lastActive = turnNow();
    session.pool?.release(session);
  }

  protected dropUpstream(session: Session, clean: boolean): void {
    if (!clean || !this.requestDone) this.giveUp(session, 'filter-replied');
    this.leaveUpstream(session);
  }

  /** Gives up what runs or waits upstream. */
  protected abandonUpstream(code: ReasonCode): void {
    if (this.waitingIn !== null) this.waitingIn.cancel(this as unknown as Exchange);
    const up = this.up;
    if (up === null) return;
    if (!(this.replyDone && this.requestDone)) this.giveUp(up, code);
    this.leaveUpstream(up);
  }

  /** Ends the exchange on its connection before its time. Where the protocol cannot say so, what it had for itself is lost with it. */
  protected giveUp(up: Session, code: ReasonCode): void {
    if (up.closed) return;
    const told = up.codec.encodeReset(up.connection, this.upId, code);
    up.codec.release(this.upId);
    if (told) return;
    if (!this.requestDone || this.pools?.kind === 'exclusive' || (up.alone && up.peer === null)) up.closing = true;
  }

  protected finishOneway(): void {
    this.record.endAttempt('', '', now());
    this.record.status = 200;
    this.replyDone = true;
    this.finish();
  }
}

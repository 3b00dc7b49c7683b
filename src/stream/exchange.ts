// The life of one exchange, phase by phase: from the decoded request head to the reply's last byte. Read this file first.
import { now, turnNow } from '../core/clock.js';
import type { ReasonCode, ReasonContext } from '../core/reason.js';
import { PAUSE_HOLD } from '../network/connection.js';
import { Gather } from './body.js';
import { ExchangeBridge } from './exchange-bridge.js';
import { MAX_TERMINAL_BODY } from './exchange-terminal.js';
import { CONTINUE, HOLD, type StreamFilter } from './filter.js';
import { ALONE, ONEWAY, SHARED, type Head } from './head.js';
import { ListHead } from './list-head.js';
import type { MessageListener } from './listener.js';
import type { Headers } from './local-reply.js';
import { CLUSTER, DONE, HOST, POOL, REPLY, REPLY_FILTERS, REQUEST_BODY, REQUEST_FILTERS, ROUTE, ROUTE_FILTERS, SEND, WAIT } from './phases.js';
import { NOTE_TUNNEL } from './record.js';
import { REDIRECT, TERMINAL, TO_CLUSTER, TO_WEIGHTED, type Route } from './route.js';
import type { Session } from './session.js';

export { PHASES, type Phase } from './phases.js';

/** Most bytes of a request that are kept while an exchange is held or waits: what was on its way when its connection was paused. */
const MAX_HELD = 1024 * 1024;
/** Timeout of a request that a host originates, ms; there is no route to say another. */
const REVERSE_TIMEOUT = 15_000;
/** What the largest header block of a protocol can hold (Bolt), for the message only. */
const MAX_EDITED = 65_535;

const EMPTY = Buffer.alloc(0);

const free: Exchange[] = [];
const MAX_FREE = 4096;

export function takeExchange(): Exchange {
  return free.pop() ?? new Exchange();
}

export class Exchange extends ExchangeBridge {
  // === the request comes in

  begin(down: Session, listener: MessageListener, head: Head, last: boolean): void {
    this.start(down, listener, head.id);
    const protocol = down.protocol;
    this.mirror = protocol.mirror(head);
    this.idempotent = protocol.idempotent(head);
    this.oneway = head.kind === ONEWAY;
    this.requestHead = head;
    this.requestDone = last;
    // Without pieces in any mix, a long request would hold up the others of its connection.
    this.sharing = last || protocol.interleaves === true || head.sharing !== SHARED ? head.sharing : ALONE;
    const record = this.record;
    record.oneway = this.oneway;
    record.captureRequest(head, listener.captures);
    record.bytesIn = head.end - head.start;
    if (last) record.requestDone = record.start;
    if (listener.rpc !== null && (!listener.rpcGrpcOnly || head.wholeTimeout)) record.rpc = listener.rpc.rowOf(head);
    if (listener.requestIds && protocol.requestIds) listener.identify(head, record);
    if (listener.tracer !== null) listener.tracer.begin(head, record);
    const chain = listener.chain;
    chain.users++;
    this.chain = chain;
    this.run();
  }

  /** A request that a host originated on a pinned connection goes to the client it belongs to: no route, no filters. */
  beginReverse(down: Session, peer: Session | null, head: Head, last: boolean): void {
    this.start(down, (peer?.listener ?? null) as MessageListener, head.id);
    this.mirror = down.protocol.mirror(head);
    this.oneway = head.kind === ONEWAY;
    this.requestHead = head;
    this.requestDone = last;
    if (peer === null || peer.closed) {
      this.fail('no-reverse-peer');
      return;
    }
    this.phase = SEND;
    if (last) this.armTimeout(head.timeout > 0 ? head.timeout : REVERSE_TIMEOUT);
    this.send(peer);
  }

  /** A request that could not be decoded: only its record and, where possible, the protocol's error reply. */
  beginRefused(down: Session, listener: MessageListener, id: number, code: ReasonCode, context: ReasonContext): void {
    this.start(down, listener, Math.max(id, 0));
    // Where ids tell exchanges apart, a reply without one would go to a request that it does not answer.
    this.oneway = id < 0 && down.protocol.pool === 'multiplex';
    this.refuse(code, context);
  }

  protected start(down: Session, listener: MessageListener, id: number): void {
    const time = now();
    this.phase = REQUEST_FILTERS;
    this.down = down;
    this.downId = id;
    this.listener = listener;
    const record = this.record;
    record.start = time;
    record.protocol = down.protocol.name;
    record.connectionId = down.connection.id;
    record.downstream = down.connection.info;
    if (listener !== null) {
      record.listener = listener.name;
      listener.stats.requests.inc();
      listener.stats.active.inc();
    }
  }

  protected run(): void {
    if (this.phase === REQUEST_FILTERS) {
      if (this.chain!.request.length > 0 && !this.runRequestFilters(this.chain!.request, false)) return;
      this.phase = REQUEST_BODY;
    }
    if (this.phase === REQUEST_BODY) {
      if (this.chain!.requestBody !== null && !this.runRequestBody()) return;
      this.phase = ROUTE;
    }
    if (this.phase === ROUTE) {
      if (!this.findRoute()) return;
      this.phase = ROUTE_FILTERS;
    }
    if (this.phase === ROUTE_FILTERS) {
      if (this.chain!.route.length > 0 && !this.runRequestFilters(this.chain!.route, true)) return;
      this.phase = CLUSTER;
    }
    if (this.phase === CLUSTER) {
      if ((this.bridge !== null && !this.bridgeRequest(this.bridge)) || !this.takeAction() || !this.findCluster()) return;
      this.phase = HOST;
    }
    if (this.phase === HOST) this.findHost();
    if (this.phase === POOL) this.findConnection();
  }

  /** A filter or route asked for an edit that the protocol cannot carry. */
  private refusedEdit(head: Head): void {
    this.fail(head.refused!, { limit: MAX_EDITED, detail: 'its headers cannot be edited' });
  }

  protected runRequestFilters(list: readonly StreamFilter[], routed: boolean): boolean {
    const generation = this.generation;
    while (this.filter < list.length) {
      const f = list[this.filter++]!;
      let verdict: number;
      this.inFilter = true;
      try {
        verdict = routed ? f.onRoute!(this, this.requestHead!) : f.onRequest!(this, this.requestHead!);
      } catch (error) {
        this.inFilter = false;
        this.threw(f, error);
        return false;
      }
      if (this.generation !== generation || this.phase === DONE) return false;
      this.inFilter = false;
      if (verdict === HOLD && this.held) {
        this.suspend();
        return false;
      }
      if (verdict !== CONTINUE && verdict !== HOLD) return false;
    }
    this.filter = 0;
    return true;
  }

  /** Filters on the request body: a whole frame at once, a stream gathered or (with `replace` only) piece by piece as it is sent. */
  protected runRequestBody(): boolean {
    const bodies = this.chain!.requestBody!;
    const head = this.requestHead!;
    if (this.requestDone && !head.whole && this.body === null) return true;
    if (!this.requestDone) {
      if (bodies.whole || this.needsLength) {
        this.keepRequest();
        return false;
      }
      head.length = -1;
      head.edited = true;
      return true;
    }
    const body = head.whole && this.body === null ? head.bodyBuf.subarray(head.bodyStart, head.bodyEnd) : this.body!.take();
    this.body = null;
    if (bodies.whole && body.length > bodies.limit) {
      this.fail('body-too-large', { limit: bodies.limit });
      return false;
    }
    const bytes = bodies.run(this, body, true);
    if (bytes === null) return false;
    head.setBody(bytes);
    return true;
  }

  /** Frames tell the length of their content before it, so what replaces it has to be there whole. */
  private get needsLength(): boolean {
    const { pool, interleaves } = this.down.protocol;
    return pool === 'multiplex' && interleaves !== true;
  }

  protected findRoute(): boolean {
    const head = this.requestHead!;
    const table = this.listener.table;
    const route = table.match(head, this.down.memo!);
    if (route === null) {
      this.fail('no-route', { detail: table.explainMiss(head) });
      return false;
    }
    this.route = route;
    this.record.routeName = route.name;
    return true;
  }

  /** Routes that end here: redirects, direct responses, terminals. False when the action took the exchange. */
  private takeAction(): boolean {
    const head = this.requestHead!;
    const action = this.route!.action;
    if (action.kind === TO_CLUSTER || action.kind === TO_WEIGHTED) return true;
    if (action.kind === TERMINAL) {
      if (this.openTerminal()) return false;
      if (!this.requestDone) {
        this.keepRequest();
        return false;
      }
      this.runTerminal();
      return false;
    }
    if (action.kind === REDIRECT) {
      this.answerByRoute(action.redirect.code, '', [['location', action.redirect.location(head, this)]]);
    } else {
      this.answerByRoute(action.status, action.body.render(this), [['content-type', action.contentType]]);
    }
    return false;
  }

  protected findCluster(): boolean {
    const head = this.requestHead!;
    const route = this.route!;
    const cluster = route.pickCluster();
    if (cluster === null) {
      this.fail('no-cluster', { cluster: route.pickedName });
      return false;
    }
    this.cluster = cluster;
    this.record.clusterName = cluster.name;
    const spoken = this.bridge === null ? '' : this.bridge.protocol;
    const pools = spoken === '' ? this.listener.poolsOf(cluster, this.down.protocol) : this.listener.poolsNamed(cluster, spoken);
    if (pools === null) {
      this.fail('no-bridge', { from: spoken === '' ? this.down.protocol.name : spoken, cluster: cluster.name, to: cluster.config.protocol || this.down.protocol.name });
      return false;
    }
    this.pools = pools;
    if (!cluster.breaker.tryRequest()) {
      this.fail('breaker-requests', { cluster: cluster.name, limit: cluster.breaker.limits.max_requests });
      return false;
    }
    this.activeCounted = true;
    cluster.stats.active_requests.inc();
    if (route.editsRequest) route.editRequest(head, this);
    if (head.refused !== null) {
      this.refusedEdit(head);
      return false;
    }
    if (route.replyReadsRequest) this.requestForReply = this.requestKept ? head : head.keep();
    if (head.timeout > 0) {
      this.timeoutMs = head.timeout;
      this.wholeTimeout = head.wholeTimeout;
    } else {
      // Calls that may stream for as long as they like have the timeout that their route was given, if it was given one.
      this.timeoutMs = head.timeout < 0 || (head.wholeTimeout && !route.timeoutGiven) ? 0 : route.timeout;
    }
    if (this.requestDone || this.wholeTimeout) this.armTimeout(this.timeoutMs);
    return true;
  }

  onRequestData(buf: Uint8Array, start: number, end: number, last: boolean): void {
    if (this.phase === DONE) return;
    const n = end - start;
    this.record.bytesIn += n;
    this.moved++;
    if (last) this.requestEnded();
    if (this.replyDone) return;
    if (this.terminalData(buf, start, end, last)) return;
    const gathering = this.phase === REQUEST_BODY || (this.phase === CLUSTER && this.route?.action.kind === TERMINAL) || this.gathersForBridge;
    if (gathering) {
      this.gather(buf, start, end, this.phase === CLUSTER && this.bridge !== null ? this.bridge.limit : this.chain!.requestBody?.whole ? this.chain!.requestBody.limit : MAX_TERMINAL_BODY);
      this.requestGathered(n);
      if (last && this.phase !== DONE) {
        this.run();
      }
      return;
    }
    const bodies = this.chain?.requestBody ?? null;
    let bytes = buf;
    if (bodies !== null && !bodies.whole && this.up?.codec.tunnel !== true) {
      const replaced = bodies.run(this, buf.subarray(start, end), last);
      if (replaced === null) return;
      bytes = replaced;
      start = 0;
      end = bytes.length;
    }
    if (this.up === null || this.phase !== WAIT && this.phase < REPLY_FILTERS) {
      // Held, waiting for a connection, or between two tries: the downstream is paused, so this is at most what was on its way.
      this.gather(bytes, start, end, MAX_HELD);
      return;
    }
    this.encodeData(bytes, start, end, last);
    if (last && this.tunnel && this.down.flow) this.tunnelEnded(this.down);
    else if (last && this.oneway) this.finishOneway();
  }

  onRequestTrailers(head: Head): void {
    if (this.phase === DONE || this.replyDone) return;
    this.moved++;
    this.requestEnded();
    if (this.terminalEnd()) return;
    if (this.phase === REQUEST_BODY || (this.phase === CLUSTER && this.route?.action.kind === TERMINAL) || this.gathersForBridge) {
      this.run();
      return;
    }
    if (this.up === null) this.trailers = head.keep();
    else this.encodeTrailers(head);
  }

  protected requestEnded(): void {
    this.requestDone = true;
    this.record.requestDone = now();
    if (this.timeoutMs > 0 && !this.replyStarted && !this.wholeTimeout) this.armTimeout(this.timeoutMs);
  }

  // === the reply comes back

  onReply(session: Session | null, head: Head, last: boolean): void {
    if (head.interim) {
      if (!this.replyStarted && this.bridge === null) this.down.codec.encodeReply(this.down.connection, head, this.downId, false);
      return;
    }
    this.moved++;
    const record = this.record;
    const route = this.route;
    const policy = route === null ? null : route.retry;
    const time = turnNow();
    record.firstReplyByte = time;
    if (policy !== null && policy.byStatus && this.replay.usable && policy.onStatus(head.status, this.attempts, this.idempotent || route!.idempotent, head.rpcStatus) && this.mayRetry()) {
      this.countReply(head.status);
      record.endAttempt('', '', time, head.status);
      this.dropUpstream(session!, last);
      this.retry(policy.delay(this.attempts));
      return;
    }
    // The deadline of a gRPC call is for all of it.
    if (!this.wholeTimeout) this.timeout.cancel();
    this.tryTimeout?.cancel();
    this.replay.free();
    record.endAttempt('', '', time, head.status);
    record.status = head.status;
    record.rawStatus = head.rawStatus;
    this.countReply(head.status);
    if (this.bridge !== null) this.bridgeReply(this.bridge, head, last);
    else this.takeReply(head, last);
  }

  protected takeReply(head: Head, last: boolean): void {
    const { record, route } = this;
    this.replyStarted = true;
    this.replyHead = head;
    if (last) this.replyDone = true;
    const chain = this.chain;
    if (chain !== null) {
      this.phase = REPLY_FILTERS;
      if (chain.reply.length > 0) {
        this.filter = 0;
        if (!this.runReplyFilters()) return;
      }
      if (route !== null && route.replyEdits !== null) this.editReply(route, head);
      record.captureReply(head);
      if (chain.replyBody !== null && !this.runReplyBody()) return;
    }
    this.sendReplyHead();
  }

  protected runReplyFilters(): boolean {
    const list = this.chain!.reply;
    const generation = this.generation;
    while (this.filter < list.length) {
      const f = list[this.filter++]!;
      let verdict: number;
      this.inFilter = true;
      try {
        verdict = f.onReply!(this, this.replyHead!);
      } catch (error) {
        this.inFilter = false;
        this.threw(f, error);
        return false;
      }
      if (this.generation !== generation || this.phase === DONE) return false;
      this.inFilter = false;
      if (verdict === HOLD && this.held) {
        this.replyHead = this.replyHead!.keep();
        this.heldReply = true;
        if (!this.replyDone && this.pools?.kind !== 'multiplex') this.up!.connection.pause(PAUSE_HOLD);
        return false;
      }
      if (verdict !== CONTINUE && verdict !== HOLD) return false;
    }
    return true;
  }

  private answerByRoute(status: number, body: string, headers: Headers): void {
    const route = this.route!;
    if (route.replyEdits !== null) {
      const head = new ListHead(headers, status);
      this.replyHead = head;
      route.editReply(head, this);
      this.replyHead = null;
      headers = head.list;
    }
    this.finishLocally('direct-response', undefined, status, body, headers);
  }

  private editReply(route: Route, head: Head): void {
    this.requestHead = this.requestForReply;
    route.editReply(head, this);
    this.requestHead = null;
  }

  protected runReplyBody(): boolean {
    const bodies = this.chain!.replyBody!;
    const head = this.replyHead!;
    if (this.replyDone) {
      if (!head.whole && this.replyBody === null) return true;
      const body = this.replyBody !== null ? this.replyBody.take() : head.bodyBuf.subarray(head.bodyStart, head.bodyEnd);
      this.replyBody = null;
      if (bodies.whole && body.length > bodies.limit) {
        this.replyStarted = false;
        this.fail('reply-too-large', { host: this.host?.address, limit: bodies.limit });
        return false;
      }
      const bytes = bodies.run(this, body, true);
      if (bytes === null) return false;
      head.setBody(bytes);
      return true;
    }
    if (bodies.whole || this.needsLength) {
      this.replyHead = head.keep();
      this.replyBody = new Gather();
      return false;
    }
    head.length = -1;
    head.edited = true;
    return true;
  }

  protected sendReplyHead(): void {
    const down = this.down;
    const head = this.replyHead!;
    if (head.refused !== null) {
      this.refusedEdit(head);
      return;
    }
    const generation = this.generation;
    const trailers = this.trailers;
    const last = this.replyDone && this.replyBody === null && trailers === null;
    const from = down.produced;
    this.phase = REPLY;
    down.codec.encodeReply(down.connection, head, this.downId, last);
    this.record.bytesOut += down.produced - from;
    this.replyHead = null;
    if (last) {
      this.finish();
      if (!down.closed && down.behind) down.tooFarBehind();
      return;
    }
    this.longReply(head.length);
    const up = this.up;
    if (up !== null && (down.codec.tunnel || up.codec.tunnel)) {
      this.tunnel = true;
      if (down.codec.tunnel) down.tunnelFor(this, false);
      if (up.codec.tunnel) {
        up.tunnelFor(this, true);
        // What came for the tunnel before it was there.
        up.codec.encodeData(up.connection, this.upId, EMPTY, 0, 0, false);
      }
      this.record.flags |= NOTE_TUNNEL;
      if (down.connection.carried > 0) down.goOn();
      if (this.generation !== generation) return;
    }
    this.watchIdle();
    if (this.replyBody !== null) {
      const body = this.replyBody.take();
      this.replyBody = null;
      this.writeReply(body, 0, body.length, this.replyDone && trailers === null);
      if (this.generation !== generation) return;
    }
    if (trailers !== null) this.sendTrailers(trailers);
  }

  private sendTrailers(head: Head): void {
    const down = this.down;
    const from = down.produced;
    down.codec.encodeTrailers(down.connection, this.downId, head);
    this.record.bytesOut += down.produced - from;
    if (head.status > 0) {
      // The status of the call came behind its content (gRPC).
      this.record.status = head.status;
      this.record.rawStatus = head.rawStatus;
    }
    this.finish();
    if (!down.closed && down.behind) down.tooFarBehind();
  }

  onReplyData(session: Session | null, buf: Uint8Array, start: number, end: number, last: boolean): void {
    if (this.phase === DONE) return;
    this.moved++;
    if (this.bridge !== null) this.bridgeData(this.bridge, session, buf, start, end, last);
    else this.replyGoesOn(session, buf, start, end, last);
  }

  protected replyGoesOn(session: Session | null, buf: Uint8Array, start: number, end: number, last: boolean): void {
    if (last) this.replyDone = true;
    if (this.phase < REPLY) {
      const gathering = this.chain!.replyBody !== null && !this.heldReply;
      if (this.replyBody === null) this.replyBody = new Gather();
      if (!this.replyBody.add(buf, start, end, gathering ? this.chain!.replyBody!.limit : MAX_HELD)) {
        this.replyStarted = false;
        this.fail('reply-too-large', { host: session?.pool?.host.address, limit: this.replyBody.size });
        return;
      }
      if (gathering && session !== null) this.replyGathered(session, end - start);
      if (last && gathering && this.runReplyBody()) this.sendReplyHead();
      return;
    }
    const bodies = this.chain?.replyBody ?? null;
    if (bodies !== null && !this.tunnel) {
      const bytes = bodies.run(this, buf.subarray(start, end), last);
      if (bytes !== null) this.writeReply(bytes, 0, bytes.length, last);
      return;
    }
    this.writeReply(buf, start, end, last);
  }

  protected writeReply(buf: Uint8Array, start: number, end: number, last: boolean): void {
    const down = this.down;
    const from = down.produced;
    down.codec.encodeData(down.connection, this.downId, buf, start, end, last);
    this.record.bytesOut += down.produced - from;
    if (last && !this.tunnel) {
      this.finish();
      if (!down.closed && down.behind) down.tooFarBehind();
      return;
    }
    if (last && this.up !== null && this.up.flow) {
      this.tunnelEnded(this.up);
      return;
    }
    this.replyMoved(end - start);
  }

  onReplyTrailers(session: Session | null, head: Head): void {
    if (this.phase === DONE) return;
    this.moved++;
    if (this.bridge !== null) {
      this.bridgeEnd(this.bridge, session, head);
      return;
    }
    this.replyDone = true;
    if (this.phase >= REPLY) {
      this.sendTrailers(head);
      return;
    }
    this.trailers = head.keep();
    if (!this.heldReply && this.runReplyBody()) this.sendReplyHead();
  }

  protected goOn(): void {
    this.held = false;
    // Resumed before the filter returned: its loop goes on by itself.
    if (this.inFilter) return;
    if (this.heldReply) {
      this.heldReply = false;
      if (!this.runReplyFilters()) return;
      const up = this.up;
      if (this.route !== null && this.route.replyEdits !== null) this.editReply(this.route, this.replyHead!);
      this.record.captureReply(this.replyHead!);
      if (this.chain!.replyBody === null || this.runReplyBody()) this.sendReplyHead();
      if (up !== null && !up.closed) up.connection.resume(PAUSE_HOLD);
      return;
    }
    this.run();
    this.unsuspend();
  }

  protected recycle(): void {
    this.clear();
    if (this.bridge !== null) this.clearBridge();
    if (free.length < MAX_FREE) free.push(this);
  }
}

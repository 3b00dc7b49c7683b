// The codec of one connection of framed Thrift, with or without Dubbo's header: every frame is told apart by itself, ids and names go back as they came.
import type { Output } from '../../core/bytes.js';
import { reasons, type ReasonCode, type ReasonContext } from '../../core/reason.js';
import { FrameQueue } from '../frame-queue.js';
import { ONEWAY, REPLY, REQUEST, type Head } from '../head.js';
import { OrderedReplies } from '../ordered-replies.js';
import type { Codec, CodecSink, LocalReply, Role } from '../protocol.js';
import { Asked } from './asked.js';
import { encodePrefix, encodeWhole, outgoing } from './encode.js';
import { CALL, EMPTY, EXCEPTION, ONEWAY_CALL, PADDED, REPLY_MESSAGE, i32, renumber } from './frame.js';
import { ThriftHead } from './head.js';
import { buildLocalReply } from './local-reply.js';
import { MALFORMED, PARSED, TLS_HANDSHAKE, malformation, notALength, parse } from './parse.js';
import { readFailure } from './status.js';

/** Frames up to this size are gathered and delivered whole; longer ones pass in pieces. */
export const MAX_WHOLE = 256 * 1024;
export const DEFAULT_MAX_FRAME = 16 * 1024 * 1024;
/** A longer frame costs its connection: too much to pass over, and more likely bytes that are no frame at all. */
export const MAX_SKIPPED = 256 * 1024 * 1024 - 1;
/** Replies in order: requests that may be unanswered, and bytes of replies that may wait for their turn. */
export const MAX_PIPELINE = 128;
const MAX_EARLY = 256 * 1024;

/** When a client gets its replies in the order of its requests. */
export const BY_IDS = 0;
export const IN_ORDER = 1;
/** In order from the first request on that does not tell its reply apart from others: sequence number 0, or one that is in use. */
export const AS_ASKED = 2;
export type Order = typeof BY_IDS | typeof IN_ORDER | typeof AS_ASKED;

/** Heads to use again: taken while a decode runs, so that no connection keeps one. */
const plainHeads: ThriftHead[] = [];
const dubboHeads: ThriftHead[] = [];

export class ThriftCodec implements Codec {
  readonly role: Role;
  want = 0;
  readonly tunnel = false;

  private readonly dubbo: boolean;
  private readonly maxFrame: number;
  /** AS_ASKED until a request decides; BY_IDS and IN_ORDER stay. */
  private order: Order;
  private failed = false;

  /** The long frame whose content is arriving: its id, and the content bytes to come. */
  private longId = -1;
  private longLeft = 0;
  /** Bytes to come of a frame that was refused. */
  private skip = 0;

  /** Of a server codec: the requests that are not answered, and the order of the answers where there is one. */
  private asked: Asked | null = null;
  private ordered: OrderedReplies | null = null;
  private lastSeqid = 0;
  /** A request waits that wants order, until those before it are answered. */
  private turning = false;

  private frames: FrameQueue | null = null;

  constructor(role: Role, dubbo: boolean, maxFrame = DEFAULT_MAX_FRAME, order: Order = BY_IDS) {
    this.role = role;
    this.dubbo = dubbo;
    this.maxFrame = maxFrame;
    this.order = order;
    if (role === 'server' && order === IN_ORDER) this.ordered = new OrderedReplies();
  }

  get blocked(): boolean {
    if (this.turning) return this.asked!.count > 0;
    const ordered = this.ordered;
    return ordered !== null && (ordered.outstanding >= MAX_PIPELINE || ordered.held > MAX_EARLY);
  }

  /** True when a frame was begun and given up, so that the peer waits for content that never comes, or when too much waits behind one. */
  get mustClose(): boolean {
    return this.frames !== null && this.frames.broken;
  }

  /** Bytes of replies that wait for their turn, or until a long frame is written completely. */
  get held(): number {
    return this.ordered !== null ? this.ordered.held : this.frames !== null ? this.frames.held : 0;
  }

  get turn(): number {
    return this.ordered !== null ? this.ordered.turn : this.frames !== null ? this.frames.turn : -1;
  }

  // === decoding

  decode(buf: Uint8Array, start: number, end: number, sink: CodecSink): number {
    if (this.failed) return end - start;
    this.want = 0;
    let p = start;
    if (this.longId >= 0) p = this.content(buf, p, end, sink);
    if (this.skip > 0) {
      const n = Math.min(this.skip, end - p);
      this.skip -= n;
      p += n;
    }
    if (p === end) return end - start;
    const heads = this.dubbo ? dubboHeads : plainHeads;
    const head = heads.pop() ?? new ThriftHead(this.dubbo);
    p = this.frame(head, buf, p, end, sink);
    // A head left pointing at the bytes would keep a whole carry buffer alive.
    head.buf = EMPTY;
    head.bodyBuf = EMPTY;
    head.vbuf = EMPTY;
    heads.push(head);
    return this.failed ? end - start : p - start;
  }

  /** Decodes frames from p on, and returns where it stopped. */
  private frame(head: ThriftHead, buf: Uint8Array, p: number, end: number, sink: CodecSink): number {
    const server = this.role === 'server';
    while (p < end && this.longId < 0) {
      if (server && this.waits()) break;
      const left = end - p;
      if (left < 4) {
        this.want = 4;
        break;
      }
      const length = i32(buf, p);
      if (length === 0) {
        // A flush of nothing, which transports write and skip.
        p += 4;
        continue;
      }
      if (length < 0 || length > MAX_SKIPPED) {
        if (buf[p]! > 0x20 || buf[p] === TLS_HANDSHAKE) this.fail(sink, -1, 'bad-frame', { detail: notALength(buf[p]!) });
        else this.fail(sink, -1, 'frame-too-large', { limit: this.maxFrame });
        break;
      }
      const size = length + 4;
      const long = size > MAX_WHOLE;
      head.buf = buf;
      head.start = p;
      const need = parse(head, buf, p, end, size);
      if (need !== PARSED) {
        if (need === MALFORMED) this.fail(sink, -1, 'bad-frame', { detail: malformation() });
        else this.want = need;
        break;
      }
      const { type } = head;
      if (server ? type !== CALL && type !== ONEWAY_CALL : type !== REPLY_MESSAGE && type !== EXCEPTION) {
        this.fail(sink, -1, 'bad-frame', { detail: `message type ${type} from a ${server ? 'client' : 'host'}` });
        break;
      }
      const over = size > this.maxFrame;
      if (!over && !long && left < size) {
        this.want = size;
        break;
      }
      if (server && type === CALL && this.order === AS_ASKED && this.turns(head.seqid)) break;
      const id = server ? (type === CALL ? this.expect(head) : 0) : this.dubbo ? (head.idHigh === 0 ? head.idLow >>> 0 : 0) : head.seqid >>> 0;
      const kind = server ? (type === CALL ? REQUEST : ONEWAY) : REPLY;
      if (over) {
        if (sink.onRefused === undefined) {
          this.fail(sink, id, 'frame-too-large', { limit: this.maxFrame });
          break;
        }
        const n = Math.min(size, left);
        this.skip = size - n;
        p += n;
        sink.onRefused(kind, id, 'frame-too-large', { limit: this.maxFrame });
        continue;
      }
      const content = head.content;
      head.end = long ? content : p + size;
      head.id = id;
      head.kind = kind;
      head.whole = !long;
      head.bodyBuf = buf;
      head.bodyStart = content;
      head.bodyEnd = head.end;
      head.length = p + size - content;
      if (server) {
        head.status = 0;
        head.rawStatus = 0;
      } else if (type === REPLY_MESSAGE) {
        head.status = 200;
        head.rawStatus = 0;
      } else if (long) {
        head.status = 500;
        head.rawStatus = 0;
      } else {
        const failure = readFailure(head.form, buf, content, head.end);
        head.status = failure.status;
        head.rawStatus = failure.type;
      }
      p = head.end;
      if (long) {
        this.longId = id;
        this.longLeft = head.length;
      }
      if (server) sink.onRequest(head, !long);
      else sink.onReply(head, !long);
      if (head.edited || head.refused !== null) head.reset();
      if (long && p < end) p = this.content(buf, p, end, sink);
    }
    return p;
  }

  /** Content of a long frame. */
  private content(buf: Uint8Array, start: number, end: number, sink: CodecSink): number {
    const id = this.longId;
    const n = Math.min(this.longLeft, end - start);
    this.longLeft -= n;
    const last = this.longLeft === 0;
    if (last) this.longId = -1;
    if (n > 0 || last) sink.onData(id, buf, start, start + n, last);
    return start + n;
  }

  /** Whether requests have to wait for answers before them. */
  private waits(): boolean {
    if (!this.turning) return this.ordered !== null && this.blocked;
    if (this.asked!.count > 0) return true;
    this.turning = false;
    this.order = IN_ORDER;
    this.ordered = new OrderedReplies();
    return false;
  }

  /**
   * Decides about the order of a client that did not show yet what it relies on. "A client should set the sequence number to zero if it
   * does not rely on them" (SequenceNumbers). True when the request has to wait until those before it are answered.
   */
  private turns(seqid: number): boolean {
    const count = this.asked === null ? 0 : this.asked.count;
    if (count === 0 && seqid !== 0) {
      this.lastSeqid = seqid;
      return false;
    }
    if (seqid !== 0 && seqid !== this.lastSeqid) {
      this.lastSeqid = seqid;
      return false;
    }
    this.asked ??= new Asked();
    this.turning = true;
    return this.waits();
  }

  /** Keeps what an answer needs of the request, and returns the id under which it is known here. */
  private expect(head: ThriftHead): number {
    const asked = (this.asked ??= new Asked());
    const ordered = this.ordered;
    let id: number;
    let row: number;
    if (ordered !== null) {
      id = ordered.expect();
      row = asked.ring(id, ordered.outstanding);
    } else {
      id = row = asked.take();
    }
    asked.set(row, head.seqid, head.idHigh, head.idLow, head.form);
    asked.setName(row, head.buf, head.nameStart, head.nameEnd);
    if (this.dubbo) asked.setService(row, head.buf, head.serviceStart, head.serviceEnd);
    return id;
  }

  private fail(sink: CodecSink, id: number, code: ReasonCode, context: ReasonContext): void {
    this.failed = true;
    sink.onError(id, code, context);
  }

  /**
   * A frame that a client cut off is an error of its own. One that a host cut off is not: the calls that wait on the connection fail with
   * its end, and a reply of which nothing was passed on may be asked for again.
   */
  eof(sink: CodecSink): boolean {
    if (this.failed) return false;
    if (this.longId < 0 && this.want === 0 && this.skip === 0) return true;
    if (this.role === 'server') this.fail(sink, -1, 'bad-frame', { detail: 'the connection ended inside a frame' });
    return false;
  }

  // === encoding

  encodeRequest(out: Output, head: Head, id: number, last: boolean): void {
    const request = this.mine(head);
    outgoing.seqid = id;
    outgoing.high = 0;
    outgoing.low = id;
    outgoing.width = PADDED;
    outgoing.nameBuf = request.nameBuf;
    outgoing.nameFrom = request.nameFrom;
    outgoing.nameTo = request.nameTo;
    if (request.whole) encodeWhole(this.frames === null ? out : this.frames.behind(out), request);
    else this.encodeLong(out, request, id, last);
  }

  encodeReply(out: Output, head: Head, id: number, last: boolean): void {
    const reply = this.mine(head);
    const asked = this.asked!;
    const ordered = this.ordered;
    const row = ordered === null ? id : asked.place(id);
    outgoing.seqid = asked.seqid(row);
    outgoing.high = asked.high(row);
    outgoing.low = asked.low(row);
    outgoing.width = 0;
    this.nameAsAsked(reply, row);
    if (ordered !== null) {
      const to = ordered.at(out, id);
      if (reply.whole) encodeWhole(to, reply);
      else encodePrefix(to, reply, this.lengthOf(reply, last));
      if (last) ordered.done(out, id);
    } else if (reply.whole) {
      encodeWhole(this.frames === null ? out : this.frames.behind(out), reply);
      if (last) asked.release(row);
    } else {
      this.encodeLong(out, reply, id, last);
    }
  }

  /**
   * A reply names the method as the client asked for it, also where a route renamed it for the host. Hosts answer with the name that
   * they read or, behind a multiplexing processor, with the method alone: both are passed on as they came.
   */
  private nameAsAsked(reply: ThriftHead, row: number): void {
    const buf = reply.nameBuf;
    const from = reply.nameFrom;
    const to = reply.nameTo;
    const name = this.asked!.name(row);
    const method = this.dubbo ? 0 : this.asked!.methodStart(row);
    if (same(buf, from, to, name, method) || (method > 0 && same(buf, from, to, name, 0))) {
      outgoing.nameBuf = buf;
      outgoing.nameFrom = from;
      outgoing.nameTo = to;
    } else {
      outgoing.nameBuf = name;
      outgoing.nameFrom = method;
      outgoing.nameTo = name.length;
    }
  }

  private mine(head: Head): ThriftHead {
    if (head instanceof ThriftHead && head.dubbo === this.dubbo) return head;
    throw new TypeError(`a head of protocol ${head.protocol} cannot be sent as ${this.dubbo ? 'dubbo-thrift' : 'thrift'}`);
  }

  /** Where a head is not whole, its `length` is the content length written, and exactly so many bytes must follow. */
  private lengthOf(head: ThriftHead, last: boolean): number {
    const { length } = head;
    if (length < 0 || (last && length > 0)) throw new TypeError(`a Thrift frame needs its content length, not ${length}`);
    return length;
  }

  private encodeLong(out: Output, head: ThriftHead, id: number, last: boolean): void {
    const length = this.lengthOf(head, last);
    const frame = (this.frames ??= new FrameQueue()).begin(id, length);
    encodePrefix(frame.block ?? out, head, length);
    if (last) this.encodeData(out, id, EMPTY, 0, 0, true);
  }

  encodeData(out: Output, id: number, buf: Uint8Array, start: number, end: number, last: boolean): void {
    if (this.role === 'client') {
      this.frames?.data(out, id, buf, start, end, last);
    } else if (this.ordered !== null) {
      if (end > start) this.ordered.at(out, id).write(buf, start, end);
      if (last) this.ordered.done(out, id);
    } else {
      this.frames?.data(out, id, buf, start, end, last);
      if (last) this.asked!.release(id);
    }
  }

  /** Thrift has no trailers; the end of a message that had them in another protocol. */
  encodeTrailers(out: Output, id: number): void {
    this.encodeData(out, id, EMPTY, 0, 0, true);
  }

  /** A frame of which only a part is in buf[start, end) goes on with `encodeData` under the new id. */
  reid(buf: Uint8Array, start: number, end: number, id: number, last = true): void {
    renumber(buf, start, id, this.dubbo);
    // What is here was written by the connection itself: no place to write to is needed.
    if (!last) (this.frames ??= new FrameQueue()).begin(id, i32(buf, start) + 4 - (end - start));
  }

  /**
   * Thrift cannot call a request back: a late reply has a number nobody waits for. A frame that is cut half way costs the connection. A
   * long reply of which nothing was written yet becomes an error reply: only then the peer is told, and the answer is true.
   */
  encodeReset(out: Output, id: number, code: ReasonCode): boolean {
    if (this.ordered !== null || this.frames === null || this.frames.drop(id) === null || this.role === 'client') return false;
    this.encodeLocalReply(out, id, { code, status: reasons[code].http, body: '', headers: [], mirror: -1, close: false });
    return true;
  }

  encodeLocalReply(out: Output, id: number, reply: LocalReply): void {
    const { asked } = this;
    if (asked === null) return;
    const row = this.ordered === null ? id : asked.place(id);
    const frame = buildLocalReply({
      form: asked.form(row),
      seqid: asked.seqid(row),
      name: asked.name(row).subarray(this.dubbo ? 0 : asked.methodStart(row)),
      dubbo: this.dubbo ? { service: asked.service(row), high: asked.high(row), low: asked.low(row) } : null,
    }, reply);
    this.put(out, id, frame);
  }

  /** A reply by `echoReply`, whose sequence number is the id of its request here. */
  encodeWhole(out: Output, bytes: Uint8Array): void {
    const head = new ThriftHead(this.dubbo);
    const end = bytes.length;
    parse(head, bytes, 0, end, end);
    head.buf = bytes;
    head.bodyBuf = bytes;
    head.end = end;
    head.bodyStart = head.content;
    head.bodyEnd = end;
    head.whole = true;
    this.encodeReply(out, head, head.seqid, true);
  }

  /** Writes a complete reply in its turn. */
  private put(out: Output, id: number, frame: Uint8Array): void {
    const { ordered } = this;
    if (ordered !== null) {
      ordered.at(out, id).write(frame, 0, frame.length);
      ordered.done(out, id);
      return;
    }
    (this.frames === null ? out : this.frames.behind(out)).write(frame, 0, frame.length);
    this.asked!.release(id);
  }

  release(id: number): void {
    if (this.role === 'client') this.frames?.drop(id);
  }

  // === what the format does not have

  encodePing(): boolean {
    return false;
  }
  encodePong(): void {}
  encodeGoAway(): boolean {
    return false;
  }
}

/** Whether buf[from, to) is name[at, ...). */
function same(buf: Uint8Array, from: number, to: number, name: Uint8Array, at: number): boolean {
  const n = to - from;
  if (n !== name.length - at) return false;
  for (let i = 0; i < n; i++) if (buf[from + i] !== name[at + i]) return false;
  return true;
}

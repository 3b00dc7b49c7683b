// The Dubbo codec of one connection, the same for both roles: either side may originate requests and events.
import { MAX_RESERVE, type Output, type Writer } from '../../../core/bytes.js';
import { COUNTED_FROM, MAX_GATHERED, gathered } from '../../../core/gathered.js';
import { reasons, type ReasonCode, type ReasonContext } from '../../../core/reason.js';
import { FrameQueue } from '../../frame-queue.js';
import { ALONE, ONEWAY, REPLY, REQUEST, SHARED, type Head } from '../../head.js';
import type { Codec, CodecSink, LocalReply, Role } from '../../protocol.js';
import {
  EMPTY, FASTJSON2, FLAG_EVENT, FLAG_REQUEST, FLAG_TWO_WAY, HEADER, HESSIAN2, MAGIC_HIGH, MAGIC_LOW, READ_ONLY, SERIALIZATION_MASK, buildFrame, i32, idOf,
  putId, putU32,
} from './frame.js';
import { DubboHead } from './head.js';
import { PeerIds } from './ids.js';
import { buildLocalReply } from './local-reply.js';
import { OK, httpOfError } from './status.js';

/** Replies up to this size are gathered and delivered whole; longer ones pass in pieces. Longer requests get a connection of their own. */
export const MAX_WHOLE = 256 * 1024;
/** The same for requests, unless the options say otherwise. */
export const DEFAULT_MAX_WHOLE = 2 * 1024 * 1024;
/** Twice what Dubbo itself accepts by default (`payload`). */
export const DEFAULT_MAX_FRAME = 16 * 1024 * 1024;
export const DEFAULT_EXCEPTION_STATUS = 422;
/** A longer frame costs its connection: too much to pass over, and more likely bytes that are no frame at all. */
const MAX_SKIPPED = 256 * 1024 * 1024;
/** Events carry next to nothing. */
const CONTROL_LIMIT = 64 * 1024;
/** Body bytes of a request in pieces that are at hand with its head: the names of the call are among the first. */
const PEEK = 4096;
/** The same of a reply: what it carries. */
const PEEK_REPLY = 8;

/** Data of events in Hessian 2 and in fastjson2: a null, and "R". */
const NULL = Buffer.from([0x4e]);
const NULL_JSONB = Buffer.from([0, 0, 0, 1, 0xaf]);
const READ_ONLY_HESSIAN = Buffer.from([1, READ_ONLY]);
const READ_ONLY_JSONB = Buffer.from([0, 0, 0, 2, 0x4a, READ_ONLY]);

export interface CodecOptions {
  readonly maxFrame: number;
  readonly maxWhole: number;
  readonly obeyTimeout: boolean;
  readonly exceptionStatus: number;
  readonly goAway: boolean;
}

export const defaults: CodecOptions = {
  maxFrame: DEFAULT_MAX_FRAME, maxWhole: DEFAULT_MAX_WHOLE, obeyTimeout: true, exceptionStatus: DEFAULT_EXCEPTION_STATUS, goAway: false,
};

export class DubboCodec implements Codec {
  readonly role: Role;
  want = 0;
  readonly blocked = false;
  readonly tunnel = false;

  private readonly options: CodecOptions;
  private readonly head = new DubboHead();
  /** Ids of the peer's requests that are not answered. */
  private ids: PeerIds | null = null;
  /** Of the last frame received: what the proxy originates is written in it where it can be. */
  private serialization = HESSIAN2;
  private failed = false;
  /** The frame at hand may be gathered. */
  private admitted = false;

  /** The long frame whose content is arriving: its id, and the content bytes to come. */
  private longId = -1;
  private longLeft = 0;

  /** Bytes to come of a frame that was refused. */
  private skip = 0;

  private queue: FrameQueue | null = null;

  constructor(role: Role, options: CodecOptions = defaults) {
    this.role = role;
    this.options = options;
  }

  /** True when a frame was begun and given up, so that the peer waits for content that never comes, or when too much waits behind one. */
  get mustClose(): boolean {
    return this.queue !== null && this.queue.broken;
  }

  /** Bytes of finished frames that wait until a long frame is written completely. */
  get held(): number {
    return this.queue === null ? 0 : this.queue.held;
  }

  get turn(): number {
    return this.queue === null ? -1 : this.queue.turn;
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
    const head = this.head;
    while (p < end && this.longId < 0) {
      const left = end - p;
      // Bytes that are no Dubbo at all are told apart as soon as they are there.
      if (buf[p] !== MAGIC_HIGH || (left > 1 && buf[p + 1] !== MAGIC_LOW)) {
        return this.refuse(sink, -1, start, end, 'bad-frame', { detail: buf[p] === MAGIC_HIGH ? `magic da${hex(buf[p + 1]!)}` : `magic ${hex(buf[p]!)}` });
      }
      if (left < HEADER) {
        this.want = left > 1 ? HEADER : 2;
        break;
      }
      const flags = buf[p + 2]!;
      const length = i32(buf, p + 12);
      const isRequest = (flags & FLAG_REQUEST) !== 0;
      const event = (flags & FLAG_EVENT) !== 0;
      const twoWay = (flags & FLAG_TWO_WAY) !== 0;
      if (length < 0) return this.refuse(sink, this.idFor(buf, p, isRequest && twoWay, event), start, end, 'bad-frame', { detail: `body length ${length}` });
      const size = HEADER + length;
      const limit = event ? CONTROL_LIMIT : this.options.maxFrame;
      if (size > limit) {
        if (event || size > MAX_SKIPPED || sink.onRefused === undefined) {
          return this.refuse(sink, this.idFor(buf, p, isRequest && twoWay, event), start, end, 'frame-too-large', { limit });
        }
        p += this.passOver(sink, buf, p, size, left, 'frame-too-large', limit);
        continue;
      }
      const long = !event && size > (isRequest ? this.options.maxWhole : MAX_WHOLE);
      const need = long ? HEADER + Math.min(length, isRequest ? PEEK : PEEK_REPLY) : size;
      if (left < need) {
        if (need <= COUNTED_FROM || this.admitted || gathered.bytes + need <= MAX_GATHERED || sink.onRefused === undefined) {
          this.admitted = true;
          this.want = need;
          break;
        }
        // Passed on in pieces it could be routed otherwise than its like.
        p += this.passOver(sink, buf, p, size, left, 'memory-limit', MAX_GATHERED);
        continue;
      }
      this.admitted = false;
      this.serialization = flags & SERIALIZATION_MASK;
      const at = p;
      p += long ? HEADER : size;
      head.flags = flags;
      head.buf = buf;
      head.bodyBuf = buf;
      head.start = at;
      head.end = p;
      head.whole = !long;
      head.bodyStart = at + HEADER;
      head.bodyEnd = p;
      head.peekEnd = at + need;
      head.length = length;
      if (event) {
        this.event(sink, head, isRequest, twoWay);
        continue;
      }
      if (isRequest) {
        head.kind = twoWay ? REQUEST : ONEWAY;
        head.status = 0;
        head.rawStatus = 0;
        head.sharing = size > MAX_WHOLE ? ALONE : SHARED;
        head.id = twoWay ? (this.ids ??= new PeerIds()).take(buf, at) : 0;
        head.timeout = this.options.obeyTimeout && !long ? head.timeoutAsked() : 0;
      } else {
        head.kind = REPLY;
        head.sharing = SHARED;
        head.timeout = 0;
        head.id = idOf(buf, at);
        const status = buf[at + 3]!;
        head.rawStatus = status;
        head.status = status === OK ? (head.isException ? this.options.exceptionStatus : 200) : httpOfError(status, buf, at + HEADER, p);
      }
      if (long) {
        this.longId = head.id;
        this.longLeft = length;
      }
      if (isRequest) sink.onRequest(head, !long);
      else sink.onReply(head, !long);
      if (head.edited || head.refused !== null) head.reset();
      head.forget();
      if (long && p < end) p = this.content(buf, p, end, sink);
    }
    head.letGo();
    return this.failed ? end - start : p - start;
  }

  /** Leaves out the frame at buf[p] and tells why; returns how many of its bytes are there. */
  private passOver(sink: CodecSink, buf: Uint8Array, p: number, size: number, left: number, code: ReasonCode, limit: number): number {
    const n = Math.min(size, left);
    this.skip = size - n;
    this.admitted = false;
    const flags = buf[p + 2]!;
    const isRequest = (flags & FLAG_REQUEST) !== 0;
    const awaited = isRequest && (flags & FLAG_TWO_WAY) !== 0;
    sink.onRefused!(!isRequest ? REPLY : awaited ? REQUEST : ONEWAY, Math.max(this.idFor(buf, p, awaited, false), 0), code, { limit });
    return n;
  }

  /** Takes a number for the peer's id where it awaits an answer. */
  private idFor(buf: Uint8Array, at: number, awaited: boolean, event: boolean): number {
    if (awaited && !event) return (this.ids ??= new PeerIds()).take(buf, at);
    return (buf[at + 2]! & FLAG_REQUEST) !== 0 ? -1 : idOf(buf, at);
  }

  /** A null is a heartbeat and "R" a go-away; whatever else is asked is answered like a heartbeat, and what is told is ignored ("W": writable again). */
  private event(sink: CodecSink, head: DubboHead, isRequest: boolean, twoWay: boolean): void {
    head.kind = isRequest ? REQUEST : REPLY;
    head.id = isRequest ? 0 : idOf(head.buf, head.start);
    if (!isRequest) {
      sink.onPong(head.id);
    } else if (isReadOnly(head.buf, head.bodyStart, head.bodyEnd)) {
      // It speaks of the host, not of the connection: new ones are accepted, told nothing, and lost when the last old one is closed.
      sink.onGoAway(true);
    } else if (twoWay) {
      sink.onPing(head);
    }
  }

  private content(buf: Uint8Array, start: number, end: number, sink: CodecSink): number {
    const id = this.longId;
    const n = Math.min(this.longLeft, end - start);
    const stop = start + n;
    this.longLeft -= n;
    const last = this.longLeft === 0;
    if (last) this.longId = -1;
    if (n > 0) sink.onData(id, buf, start, stop, last);
    return stop;
  }

  private refuse(sink: CodecSink, id: number, start: number, end: number, code: ReasonCode, context: ReasonContext): number {
    this.failed = true;
    this.head.letGo();
    sink.onError(id, code, context);
    return end - start;
  }

  /**
   * A frame that a client cut off is an error of its own. One that a host cut off is not: the calls that wait on the connection fail with
   * its end, and a reply of which nothing was passed on may be asked for again.
   */
  eof(sink: CodecSink): boolean {
    if (this.failed) return false;
    if (this.longId < 0 && this.want === 0 && this.skip === 0) return true;
    if (this.role === 'server') {
      this.failed = true;
      sink.onError(this.longId, 'bad-frame', { detail: 'the connection ended inside a frame' });
    }
    return false;
  }

  // === encoding

  encodeRequest(out: Output, head: Head, id: number, last: boolean): void {
    this.encodeMessage(out, head, id, last, null);
  }

  encodeReply(out: Output, head: Head, id: number, last: boolean): void {
    this.encodeMessage(out, head, id, last, this.ids);
    if (last) this.ids!.release(id);
  }

  /** Where the head is not whole, its `length` is the body length written, and exactly so many bytes must follow. `ids` give a reply the peer's id. */
  private encodeMessage(out: Output, head: Head, id: number, last: boolean, ids: PeerIds | null): void {
    if (!(head instanceof DubboHead)) throw new TypeError(`a head of protocol ${head.protocol} cannot be sent as Dubbo`);
    const queue = this.queue;
    if (head.whole) {
      encodeWhole(queue === null ? out : queue.behind(out), head, id, ids);
      return;
    }
    const length = head.length;
    if (length < 0 || (last && length > 0)) throw new TypeError(`a Dubbo frame needs its body length, not ${length}`);
    const frame = (this.queue ??= new FrameQueue()).begin(id, length);
    putHeader(frame.block ?? out, head, id, ids, length, HEADER);
    if (last) this.queue.data(out, id, EMPTY, 0, 0, true);
  }

  encodeData(out: Output, id: number, buf: Uint8Array, start: number, end: number, last: boolean): void {
    if (this.queue?.data(out, id, buf, start, end, last) === true) this.ids?.release(id);
  }

  /** Dubbo has no trailers; the end of a message that had them in another protocol. */
  encodeTrailers(out: Output, id: number): void {
    this.encodeData(out, id, EMPTY, 0, 0, true);
  }

  /** A frame of which only a part is in buf[start, end) goes on with `encodeData` under the new id. */
  reid(buf: Uint8Array, start: number, end: number, id: number, last = true): void {
    putId(buf, start, id);
    if (!last) (this.queue ??= new FrameQueue()).begin(id, HEADER + i32(buf, start + 12) - (end - start));
  }

  /**
   * Dubbo cannot call a request back: a late reply has an id nobody waits for. A frame that is cut half way costs the connection
   * (`mustClose`). A long reply of which nothing was written yet becomes an error reply: only then the peer is told, and the answer is true.
   */
  encodeReset(out: Output, id: number, code: ReasonCode): boolean {
    const frame = this.queue === null ? null : this.queue.drop(id);
    if (frame === null) return false;
    const { buf } = frame.block!.writer;
    if ((buf[2]! & FLAG_REQUEST) !== 0) return false;
    this.encodeLocalReply(out, id, { code, status: reasons[code].http, body: '', headers: [], mirror: buf[2]! & SERIALIZATION_MASK, close: false });
    return true;
  }

  encodeLocalReply(out: Output, id: number, reply: LocalReply): void {
    this.answer(out, id, buildLocalReply(reply));
  }

  /** Writes a reply that is encoded already, with the number of the request (`head.id`) as its id. */
  encodeWhole(out: Output, frame: Uint8Array): void {
    this.answer(out, i32(frame, 8), frame);
  }

  private answer(out: Output, id: number, frame: Uint8Array): void {
    const ids = this.ids;
    if (ids === null) return;
    ids.put(frame, 0, id);
    ids.release(id);
    this.put(out, frame);
  }

  release(id: number): void {
    this.queue?.drop(id);
  }

  encodePing(out: Output, id: number): boolean {
    const jsonb = this.serialization === FASTJSON2;
    this.put(out, buildFrame(FLAG_REQUEST | FLAG_TWO_WAY | FLAG_EVENT | (jsonb ? FASTJSON2 : HESSIAN2), 0, id, jsonb ? NULL_JSONB : NULL));
    return true;
  }

  /** A heartbeat's data is a null in the serialization of the peer: it is sent back as it came. */
  encodePong(out: Output, ping: Head): void {
    const head = ping as DubboHead;
    const pong = buildFrame(FLAG_EVENT | head.serialization, OK, 0, head.bodyBuf.subarray(head.bodyStart, head.bodyEnd));
    for (let i = 4; i < 12; i++) pong[i] = head.buf[head.start + i]!;
    this.put(out, pong);
  }

  /** The event READONLY, nobody's answer awaited. Off by default: see the option. */
  encodeGoAway(out: Output): boolean {
    if (!this.options.goAway || this.role !== 'server') return false;
    const jsonb = this.serialization === FASTJSON2;
    this.put(out, buildFrame(FLAG_REQUEST | FLAG_EVENT | (jsonb ? FASTJSON2 : HESSIAN2), 0, 0, jsonb ? READ_ONLY_JSONB : READ_ONLY_HESSIAN));
    return true;
  }

  /** Writes a frame behind the long one that is being written, if there is one. */
  private put(out: Output, frame: Uint8Array): void {
    const queue = this.queue;
    (queue === null ? out : queue.behind(out)).write(frame, 0, frame.length);
  }
}

const hex = (byte: number): string => byte.toString(16).padStart(2, '0');

/** Whether an event's data is "R", in Hessian two bytes, in other serializations the same letter in few others. */
function isReadOnly(buf: Uint8Array, start: number, end: number): boolean {
  if (end - start > 32) return false;
  for (let p = start; p < end; p++) if (buf[p] === READ_ONLY) return true;
  return false;
}

/** Writes the first 16 bytes, in a reservation of `room`, of which the rest is the caller's. */
function putHeader(out: Output, head: DubboHead, id: number, ids: PeerIds | null, length: number, room: number): Writer {
  const w = out.out(room);
  const at = w.pos;
  w.bytes(head.buf, head.start, head.start + HEADER);
  const { buf } = w;
  if (ids === null) putId(buf, at, id);
  else ids.put(buf, at, id);
  putU32(buf, at + 12, length);
  return w;
}

/** Writes a frame whose content is at hand: unchanged in one copy with the id patched, else with its length made anew. */
function encodeWhole(out: Output, head: DubboHead, id: number, ids: PeerIds | null): void {
  const content = head.bodyEnd - head.bodyStart;
  const size = HEADER + content;
  if (head.bodyBuf !== head.buf || size > MAX_RESERVE) {
    const fits = size <= MAX_RESERVE;
    const w = putHeader(out, head, id, ids, content, fits ? size : HEADER);
    if (fits) w.bytes(head.bodyBuf, head.bodyStart, head.bodyEnd);
    else out.write(head.bodyBuf, head.bodyStart, head.bodyEnd);
    return;
  }
  const w = out.out(size);
  const at = w.pos;
  w.bytes(head.buf, head.start, head.end);
  if (ids === null) putId(w.buf, at, id);
  else ids.put(w.buf, at, id);
}

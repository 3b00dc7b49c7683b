// The Bolt codec of one connection, the same for both roles: v1 and v2 frames in any mix, either side may originate requests.
import type { Output } from '../../../core/bytes.js';
import { reasons, type ReasonCode, type ReasonContext } from '../../../core/reason.js';
import { FrameQueue, type FrameTail } from '../../frame-queue.js';
import { ONEWAY, REPLY, REQUEST, type Head } from '../../head.js';
import type { Codec, CodecSink, LocalReply, Role } from '../../protocol.js';
import { encodeHead, encodeWhole } from './encode.js';
import {
  CODEC_HESSIAN2, COMMAND_GOAWAY, COMMAND_HEARTBEAT, COMMAND_REQUEST, COMMAND_RESPONSE, EMPTY, MIN_FIXED, TYPE_ONEWAY, TYPE_REQUEST, TYPE_RESPONSE, V1,
  V2, buildFrame, checksum, crcLength, frameLength, i32, idOffset, putU32, u16,
} from './frame.js';
import { BoltHead } from './head.js';
import { DRAFT } from './hessian.js';
import { buildLocalReply, mirrorOfFrame } from './local-reply.js';
import { httpOfReply } from './status.js';

/** Frames up to this size are gathered and delivered whole; longer ones pass in pieces. */
export const MAX_WHOLE = 256 * 1024;
export const DEFAULT_MAX_FRAME = 16 * 1024 * 1024;
/** A longer frame costs its connection: too much to pass over, and more likely bytes that are no frame at all. */
const MAX_SKIPPED = 256 * 1024 * 1024;
/** Heartbeats and go-aways carry next to nothing. */
const CONTROL_LIMIT = 64 * 1024;

/** A Hessian null: readers that do not know the command and take a go-away for a request find a value, and ignore it. */
const NULL = Buffer.from([0x4e]);

/** The checksum of a long frame of v2. */
class Checksum implements FrameTail {
  private sum: number;

  constructor(sum: number) {
    this.sum = sum;
  }

  add(buf: Uint8Array, start: number, end: number): void {
    this.sum = checksum(buf, start, end, this.sum);
  }

  writeTo(out: Output): void {
    const w = out.out(4);
    putU32(w.buf, w.pos, this.sum);
    w.pos += 4;
  }
}

export class BoltCodec implements Codec {
  readonly role: Role;
  want = 0;
  readonly blocked = false;
  readonly tunnel = false;

  private readonly maxFrame: number;
  private readonly goAway: boolean;
  private readonly head = new BoltHead();
  /** Layout of the last frame received: what the proxy originates is written in it, for that the peer can read. */
  private proto = V1;
  private failed = false;

  /** The long frame whose content is arriving: its id, the content bytes to come, and its checksum so far. */
  private longId = -1;
  private longLeft = 0;
  private longCrc = 0;
  private longSum = 0;

  /** Bytes to come of a frame that was refused. */
  private skip = 0;

  private queue: FrameQueue | null = null;

  constructor(role: Role, maxFrame = DEFAULT_MAX_FRAME, goAway = false) {
    this.role = role;
    this.maxFrame = maxFrame;
    this.goAway = goAway;
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
    if (this.longId >= 0) {
      p = this.content(buf, p, end, sink);
      if (this.failed) return end - start;
    }
    if (this.skip > 0) {
      const n = Math.min(this.skip, end - p);
      this.skip -= n;
      p += n;
    }
    const head = this.head;
    while (p < end && this.longId < 0) {
      const proto = buf[p]!;
      const left = end - p;
      const typeAt = proto === V2 ? p + 2 : p + 1;
      if ((proto !== V1 && proto !== V2) || (typeAt < end && buf[typeAt]! > TYPE_ONEWAY)) {
        return this.fail(sink, -1, start, end, proto !== V1 && proto !== V2 ? `protocol byte ${proto}` : `type ${buf[typeAt]!}`);
      }
      if (left < MIN_FIXED) {
        // No more than it takes to find out that the bytes are not Bolt at all.
        this.want = typeAt < end ? MIN_FIXED : typeAt - p + 1;
        break;
      }
      const type = buf[typeAt]!;
      const fixed = (type === TYPE_RESPONSE ? 20 : 22) + (proto === V2 ? 2 : 0);
      if (left < fixed) {
        this.want = fixed;
        break;
      }
      let crc = 0;
      if (proto === V2) {
        const ver1 = buf[p + 1]!;
        if (ver1 !== 1 && ver1 !== 2) return this.fail(sink, -1, start, end, `version ${ver1} of protocol 2`);
        crc = crcLength(buf, p);
      }
      const blockStart = p + fixed + u16(buf, p + fixed - 8);
      const blockEnd = blockStart + u16(buf, p + fixed - 6);
      const length = i32(buf, p + fixed - 4);
      const id = i32(buf, typeAt + 4) >>> 0;
      const command = u16(buf, typeAt + 1);
      if (length < 0) return this.fail(sink, id, start, end, `content length ${length}`);
      if (type === TYPE_RESPONSE ? command !== COMMAND_RESPONSE && command !== COMMAND_HEARTBEAT : command !== COMMAND_REQUEST && command !== COMMAND_HEARTBEAT && command !== COMMAND_GOAWAY) {
        return this.fail(sink, id, start, end, `command ${command} in a frame of type ${type}`);
      }
      const size = blockEnd - p + length + crc;
      const limit = command === COMMAND_REQUEST || command === COMMAND_RESPONSE ? this.maxFrame : CONTROL_LIMIT;
      if (size > limit) {
        if (limit !== this.maxFrame || size > MAX_SKIPPED || sink.onRefused === undefined) return this.refuse(sink, id, start, end, 'frame-too-large', { limit });
        const n = Math.min(size, left);
        this.skip = size - n;
        p += n;
        sink.onRefused(type === TYPE_RESPONSE ? REPLY : type === TYPE_ONEWAY ? ONEWAY : REQUEST, id, 'frame-too-large', { limit });
        continue;
      }
      const long = size > MAX_WHOLE;
      const need = long ? blockEnd - p : size;
      if (left < need) {
        this.want = need;
        break;
      }
      if (crc !== 0 && !long && checksum(buf, p, p + size - 4) !== i32(buf, p + size - 4) >>> 0) {
        return this.refuse(sink, id, start, end, 'bad-checksum', {});
      }
      this.proto = proto;
      head.buf = buf;
      head.bodyBuf = buf;
      head.start = p;
      head.end = p + need;
      head.proto = proto;
      head.fixed = fixed;
      head.blockStart = blockStart;
      head.blockEnd = blockEnd;
      head.id = id;
      head.whole = !long;
      head.bodyStart = blockEnd;
      head.bodyEnd = long ? blockEnd : blockEnd + length;
      head.length = length;
      if (type === TYPE_RESPONSE) {
        const status = u16(buf, p + fixed - 10);
        head.kind = REPLY;
        head.timeout = 0;
        head.rawStatus = status;
        head.status = status === 0 ? 200 : httpOfReply(head, status);
      } else {
        const timeout = i32(buf, p + fixed - 12);
        head.kind = type === TYPE_ONEWAY ? ONEWAY : REQUEST;
        head.timeout = timeout < 0 ? -1 : timeout;
        head.rawStatus = 0;
        head.status = 0;
      }
      p += need;
      if (long) {
        this.longId = id;
        this.longLeft = length;
        this.longCrc = crc;
        this.longSum = crc === 0 ? 0 : checksum(buf, head.start, p);
      }
      if (type === TYPE_RESPONSE) {
        if (command === COMMAND_RESPONSE) sink.onReply(head, !long);
        else sink.onPong(id);
      } else if (command === COMMAND_REQUEST) {
        sink.onRequest(head, !long);
      } else if (command === COMMAND_HEARTBEAT) {
        sink.onPing(head);
      } else {
        sink.onGoAway();
      }
      if (head.edited || head.refused !== null) head.reset();
      if (long && p < end) {
        p = this.content(buf, p, end, sink);
        if (this.failed) break;
      }
    }
    // A head left pointing at the bytes would keep a whole carry buffer alive on an idle connection.
    head.buf = EMPTY;
    head.bodyBuf = EMPTY;
    head.vbuf = EMPTY;
    return this.failed ? end - start : p - start;
  }

  /** Content of a long frame. Its last piece is not called the last before the checksum behind it was seen and was right. */
  private content(buf: Uint8Array, start: number, end: number, sink: CodecSink): number {
    const id = this.longId;
    const n = Math.min(this.longLeft, end - start);
    const stop = start + n;
    this.longLeft -= n;
    if (this.longCrc !== 0 && n > 0) this.longSum = checksum(buf, start, stop, this.longSum);
    if (this.longLeft > 0) {
      if (n > 0) sink.onData(id, buf, start, stop, false);
      return stop;
    }
    const next = stop + this.longCrc;
    if (next > end) {
      this.want = this.longCrc;
      if (n > 0) sink.onData(id, buf, start, stop, false);
      return stop;
    }
    if (this.longCrc !== 0 && i32(buf, stop) >>> 0 !== this.longSum) {
      this.failed = true;
      sink.onError(id, 'bad-checksum', {});
      return end;
    }
    this.longId = -1;
    sink.onData(id, buf, start, stop, true);
    return next;
  }

  private fail(sink: CodecSink, id: number, start: number, end: number, detail: string): number {
    return this.refuse(sink, id, start, end, 'bad-frame', { detail });
  }

  private refuse(sink: CodecSink, id: number, start: number, end: number, code: ReasonCode, context: ReasonContext): number {
    this.failed = true;
    this.head.buf = EMPTY;
    this.head.bodyBuf = EMPTY;
    this.head.vbuf = EMPTY;
    sink.onError(id, code, context);
    return end - start;
  }

  /**
   * A frame that a client cut off is an error of its own. One that a host cut off is not: the calls that wait on the connection fail with
   * its end, and a reply of which nothing was passed on may be asked for again.
   */
  eof(sink: CodecSink): boolean {
    if (this.failed) return false;
    if (this.longId < 0 && this.want === 0) return true;
    if (this.role === 'server') {
      this.failed = true;
      sink.onError(this.longId, 'bad-frame', { detail: 'the connection ended inside a frame' });
    }
    return false;
  }

  // === encoding

  encodeRequest(out: Output, head: Head, id: number, last: boolean): void {
    this.encodeMessage(out, head, id, last);
  }

  encodeReply(out: Output, head: Head, id: number, last: boolean): void {
    this.encodeMessage(out, head, id, last);
  }

  /** Where the head is not whole, its `length` is the content length written, and exactly so many bytes must follow. */
  private encodeMessage(out: Output, head: Head, id: number, last: boolean): void {
    if (!(head instanceof BoltHead)) throw new TypeError(`a head of protocol ${head.protocol} cannot be sent as Bolt`);
    const queue = this.queue;
    if (head.whole) {
      encodeWhole(queue === null ? out : queue.behind(out), head, id);
      return;
    }
    const length = head.length;
    if (length < 0 || (last && length > 0)) throw new TypeError(`a Bolt frame needs its content length, not ${length}`);
    const crc = crcLength(head.buf, head.start) !== 0;
    const frame = (this.queue ??= new FrameQueue()).begin(id, length);
    const sum = encodeHead(frame.block ?? out, head, id, length, crc);
    if (crc) frame.tail = new Checksum(sum);
    if (last) this.queue.data(out, id, EMPTY, 0, 0, true);
  }

  encodeData(out: Output, id: number, buf: Uint8Array, start: number, end: number, last: boolean): void {
    this.queue?.data(out, id, buf, start, end, last);
  }

  /** Bolt has no trailers; the end of a message that had them in another protocol. */
  encodeTrailers(out: Output, id: number): void {
    this.queue?.data(out, id, EMPTY, 0, 0, true);
  }

  /** A frame of which only a part is in buf[start, end) goes on with `encodeData` under the new id. */
  reid(buf: Uint8Array, start: number, end: number, id: number, last = true): void {
    putU32(buf, start + idOffset(buf[start]!), id);
    const crc = crcLength(buf, start);
    if (last) {
      if (crc !== 0) putU32(buf, end - 4, checksum(buf, start, end - 4));
      return;
    }
    const left = frameLength(buf, start) - crc - (end - start);
    const frame = (this.queue ??= new FrameQueue()).begin(id, left);
    if (crc !== 0) frame.tail = new Checksum(checksum(buf, start, end));
  }

  /**
   * Bolt cannot call a request back: a late reply has an id nobody waits for. A frame that is cut half way costs the connection
   * (`mustClose`). A long reply of which nothing was written yet becomes an error reply: only then the peer is told, and the answer is true.
   */
  encodeReset(out: Output, id: number, code: ReasonCode): boolean {
    const frame = this.queue === null ? null : this.queue.drop(id);
    if (frame === null) return false;
    const { buf } = frame.block!.writer;
    if (buf[buf[0] === V2 ? 2 : 1] !== TYPE_RESPONSE) return false;
    this.encodeLocalReply(out, id, { code, status: reasons[code].http, body: '', headers: [], mirror: mirrorOfFrame(buf, 0, DRAFT), close: false });
    return true;
  }

  encodeLocalReply(out: Output, id: number, reply: LocalReply): void {
    this.put(out, buildLocalReply(id, reply));
  }

  release(id: number): void {
    this.queue?.drop(id);
  }

  encodePing(out: Output, id: number): boolean {
    this.put(out, this.control(TYPE_REQUEST, COMMAND_HEARTBEAT, id, 1, 0, CODEC_HESSIAN2, -1, this.proto, EMPTY));
    return true;
  }

  encodePong(out: Output, ping: Head): void {
    const head = ping as BoltHead;
    const switches = head.proto === V2 ? head.buf[head.start + 11]! : 0;
    this.put(out, this.control(TYPE_RESPONSE, COMMAND_HEARTBEAT, head.id, head.ver1, switches, head.codec, 0, head.proto, EMPTY));
  }

  /** Written as v1 always: no reader of v2 knows the command. Its id means nothing. Off by default: SOFABolt's Java client closes at once. */
  encodeGoAway(out: Output): boolean {
    if (!this.goAway) return false;
    this.put(out, this.control(TYPE_REQUEST, COMMAND_GOAWAY, 0, 1, 0, CODEC_HESSIAN2, 0, V1, NULL));
    return true;
  }

  private control(type: number, command: number, id: number, ver1: number, switches: number, codec: number, timeoutOrStatus: number, proto: number, content: Buffer): Buffer {
    return buildFrame({ proto, ver1, switches, type, command, id, codec, timeoutOrStatus, className: EMPTY, headers: EMPTY, content });
  }

  /** Writes a frame behind the long one that is being written, if there is one. */
  encodeWhole(out: Output, frame: Uint8Array): void {
    this.put(out, frame);
  }

  private put(out: Output, frame: Uint8Array): void {
    const queue = this.queue;
    (queue === null ? out : queue.behind(out)).write(frame, 0, frame.length);
  }
}

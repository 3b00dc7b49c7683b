// The Tars codec of one connection: whole frames in and out, of any size up to the limit, in any mix of TARS, TUP and JSON.
import { equalAt, type Output } from '../../../core/bytes.js';
import { MAX_GATHERED, gathered } from '../../../core/gathered.js';
import type { ReasonCode, ReasonContext } from '../../../core/reason.js';
import { ALONE, ONEWAY, REPLY, REQUEST, SHARED, headerName, type Head } from '../../head.js';
import type { Codec, CodecSink, LocalReply, Role } from '../../protocol.js';
import { encodePacket } from './encode.js';
import { EMPTY, RESULT_DESC, TarsHead } from './head.js';
import { INT, found, putU32, readInt, readString, u32 } from './jce.js';
import { buildLocalReply, buildPing, buildPong, buildReconnect } from './local-reply.js';
import { MIN_FRAME, PACKET_ONEWAY, PING, PREFIX, RECONNECT, readPacket, readPrefix } from './packet.js';

export const DEFAULT_MAX_FRAME = 16 * 1024 * 1024;
/** Longer requests have a connection to their host for themselves, and what is gathered of longer frames counts (see `gathered`). */
export const MAX_SMALL = 256 * 1024;
/** A longer frame costs its connection: too much to pass over, and more likely bytes that are no frame at all. */
export const MAX_SKIPPED = 256 * 1024 * 1024;
/** Time that a host is given for a heartbeat, ms; for the host only, the session has a time of its own. */
const PING_TIMEOUT = 3000;
/** Ids of exchanges are above (see IdTable): a heartbeat's cannot be one of theirs. */
const PING_IDS = 0xffff;

const description = headerName(RESULT_DESC);

/**
 * The head of all codecs in the role of a server: sessions of listeners are not decoded within each other, and there are many of them. The few
 * connections to hosts may be, and have a head each.
 */
const shared = new TarsHead();

export interface CodecOptions {
  /** Largest frame accepted, bytes. */
  readonly max_frame: number;
  /** Who answers tars_ping of a client: the proxy, or the host it is routed to. */
  readonly ping: 'answer' | 'forward';
  /** Whether clients are told to reconnect when they shall go. */
  readonly goaway: boolean;
}

/**
 * Frames are delivered whole always: context and status stand behind the content, and so does the timeout. A frame over MAX_SMALL is
 * gathered by its connection only while all that connections of the worker gather stays below MAX_GATHERED; otherwise it is passed over
 * and refused, as one over the limit is.
 */
export class TarsCodec implements Codec {
  readonly role: Role;
  want = 0;
  readonly blocked = false;
  readonly held = 0;
  readonly tunnel = false;
  readonly mustClose = false;

  private readonly client: boolean;
  private readonly options: CodecOptions;
  private readonly head: TarsHead;
  private failed = false;
  /** Bytes to come of a frame that was refused. */
  private skip = 0;
  /** The frame at hand may be gathered. */
  private admitted = false;
  /** Servant of the first request sent here: heartbeats ask for it. */
  private servant: Buffer | null = null;
  /** Id of the heartbeat asked last; -1 when it was answered. */
  private pingId = -1;

  constructor(role: Role, options: CodecOptions = { max_frame: DEFAULT_MAX_FRAME, ping: 'answer', goaway: false }) {
    this.role = role;
    this.client = role === 'client';
    this.head = this.client ? new TarsHead() : shared;
    this.options = options;
  }

  // === decoding

  decode(buf: Uint8Array, start: number, end: number, sink: CodecSink): number {
    if (this.failed) return end - start;
    this.want = 0;
    let p = start;
    if (this.skip > 0) {
      const n = Math.min(this.skip, end - p);
      this.skip -= n;
      p += n;
    }
    const { head, client } = this;
    // A sink that threw left its edits.
    if (head.edited || head.refused !== null) head.reset();
    while (p < end) {
      const left = end - p;
      if (left < 4) {
        this.want = 4;
        break;
      }
      const size = u32(buf, p);
      if (size < MIN_FRAME || size > MAX_SKIPPED) return this.fail(sink, -1, start, end, `length ${size}`);
      if (left < size) {
        // Bytes that are no Tars at all are found out before they are waited for.
        if (left < PREFIX && left < size) {
          this.want = Math.min(size, PREFIX);
          break;
        }
        const wrong = readPrefix(head, buf, p, client);
        if (wrong !== '') return this.fail(sink, -1, start, end, wrong);
        if (size <= this.options.max_frame && this.admit(size)) {
          this.want = size;
          break;
        }
      } else {
        const wrong = readPrefix(head, buf, p, client);
        if (wrong !== '') return this.fail(sink, -1, start, end, wrong);
      }
      this.admitted = false;
      if (left < size || size > this.options.max_frame) {
        const over = size > this.options.max_frame;
        const code: ReasonCode = over || client ? 'frame-too-large' : 'memory-limit';
        const context = { limit: over ? this.options.max_frame : MAX_GATHERED };
        if (sink.onRefused === undefined) return this.refuse(sink, head.id, start, end, code, context);
        const n = Math.min(size, left);
        this.skip = size - n;
        p += n;
        sink.onRefused(client ? REPLY : head.packetType === PACKET_ONEWAY ? ONEWAY : REQUEST, head.id, code, context);
        continue;
      }
      const next = p + size;
      const wrong = readPacket(head, buf, p, next, client);
      if (wrong !== '') return this.fail(sink, head.idEnd <= next ? head.id : -1, start, end, wrong);
      p = next;
      if (client) this.deliverReply(sink);
      else this.deliverRequest(sink, size);
      if (head.edited || head.refused !== null) head.reset();
    }
    head.letGo();
    return this.failed ? end - start : p - start;
  }

  private deliverRequest(sink: CodecSink, size: number): void {
    const head = this.head;
    head.sharing = size > MAX_SMALL ? ALONE : SHARED;
    if (head.functionEnd - head.functionFrom === PING.length && this.options.ping === 'answer' && equalAt(head.buf, head.functionFrom, PING)) sink.onPing(head);
    else sink.onRequest(head, true);
  }

  private deliverReply(sink: CodecSink): void {
    const head = this.head;
    const { id } = head;
    if (id === 0) {
      // Sent unasked. What is no call to reconnect is for the client that the connection belongs to.
      if (head.find(description) && head.vend - head.vstart === RECONNECT.length && equalAt(head.vbuf, head.vstart, RECONNECT)) {
        // Servers say it when they stop, and do not serve what connects from then on.
        sink.onGoAway(true);
        return;
      }
      head.push = true;
      head.kind = ONEWAY;
      head.sharing = SHARED;
      sink.onRequest(head, true);
    } else if (id === this.pingId) {
      this.pingId = -1;
      sink.onPong(id);
    } else {
      sink.onReply(head, true);
    }
  }

  /** Whether the rest of a frame of this size may be gathered. */
  private admit(size: number): boolean {
    if (!this.admitted) this.admitted = size <= MAX_SMALL || gathered.bytes + size <= MAX_GATHERED;
    return this.admitted;
  }

  private fail(sink: CodecSink, id: number, start: number, end: number, detail: string): number {
    return this.refuse(sink, id, start, end, 'bad-frame', { detail });
  }

  private refuse(sink: CodecSink, id: number, start: number, end: number, code: ReasonCode, context: ReasonContext): number {
    this.failed = true;
    this.head.letGo();
    sink.onError(id, code, context);
    return end - start;
  }

  /** As in Bolt: a frame that a client cut off is an error, one that a host cut off fails what waits there by the end of the connection. */
  eof(sink: CodecSink): boolean {
    if (this.failed) return false;
    if (this.want === 0 && this.skip === 0) return true;
    if (!this.client && this.skip === 0) {
      this.failed = true;
      sink.onError(-1, 'bad-frame', { detail: 'the connection ended inside a frame' });
    }
    return false;
  }

  // === encoding

  /** In the role of a server only what a host pushed, as it came. */
  encodeRequest(out: Output, head: Head, id: number, _last: boolean): void {
    const tars = own(head);
    if (tars.push) {
      encodePacket(out, tars, 0, false);
      return;
    }
    if (this.servant === null) {
      const from = tars.newServant ?? tars.buf;
      this.servant = tars.newServant !== null ? Buffer.from(from) : Buffer.from(from.subarray(tars.servantFrom, tars.servantEnd));
    }
    encodePacket(out, tars, id, true);
  }

  encodeReply(out: Output, head: Head, id: number, _last: boolean): void {
    encodePacket(out, own(head), id, false);
  }

  encodeData(): void {
    throw new TypeError('a Tars packet is written whole');
  }

  encodeTrailers(): void {
    throw new TypeError('Tars has no trailers');
  }

  /** The id has its full width, see `encodePacket`: another takes its place. */
  reid(buf: Uint8Array, start: number, end: number, id: number): void {
    const at = readInt(buf, readInt(buf, readInt(buf, start + 4, 1), 2), 3);
    if (at < 0 || buf[at] !== (0x40 | INT)) throw new TypeError('no request that was encoded for a host');
    putU32(buf, at + 1, id);
    if (this.servant === null && readString(buf, at + 5, end, 5) > 0) this.servant = Buffer.from(buf.subarray(found.start, found.end));
  }

  /** Tars cannot call a request back: a late reply has an id nobody waits for. */
  encodeReset(): boolean {
    return false;
  }

  encodeLocalReply(out: Output, id: number, reply: LocalReply): void {
    put(out, buildLocalReply(id, reply));
  }

  release(): void {}

  /** Every server of Tars answers tars_ping, if only with "no such servant". */
  encodePing(out: Output, id: number): boolean {
    this.pingId = (id % PING_IDS) + 1;
    put(out, buildPing(this.servant ?? EMPTY, this.pingId, PING_TIMEOUT));
    return true;
  }

  encodePong(out: Output, ping: Head): void {
    if (ping.kind === REQUEST) put(out, buildPong(own(ping)));
  }

  /** Off by default: TarsGo's clients understand it, TarsCpp's close the connection at a packet that they did not ask for. */
  encodeGoAway(out: Output): boolean {
    if (!this.options.goaway) return false;
    put(out, buildReconnect());
    return true;
  }
}

function own(head: Head): TarsHead {
  if (!(head instanceof TarsHead)) throw new TypeError(`a head of protocol ${head.protocol} cannot be sent as Tars`);
  return head;
}

function put(out: Output, bytes: Buffer): void {
  out.write(bytes, 0, bytes.length);
}

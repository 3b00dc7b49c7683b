// The HTTP/1.1 codec of one connection, what both roles share: bodies in and out, chunked coding, tunnels, refusals.
import { MAX_RESERVE, type Output } from '../../../core/bytes.js';
import { SluiceError, type ReasonCode, type ReasonContext } from '../../../core/reason.js';
import type { Head } from '../../head.js';
import type { Codec, CodecSink, LocalReply, ResetCode, Role } from '../../protocol.js';
import { HEX } from './chars.js';
import { FAILED, MORE, byteName, scanHead, type Limits } from './scan.js';
import { SCAN_TRAILERS, giveHead, takeHead, type Http1Head } from './head.js';
import { writeTrailers } from './message.js';
import { CRLF, LAST_CHUNK, writeChunkSize } from './write.js';

// Decoding states. Those of a body lie between HEAD and WAIT.
/** Client: no request was sent that a reply could answer. */
export const IDLE = 0;
export const HEAD = 1;
/** Body of known length: `left` bytes to come. */
export const LENGTH = 2;
/** Body until the peer ends its side. */
export const UNTIL_END = 3;
const CHUNK_SIZE = 4;
const CHUNK_EXTENSION = 5;
const CHUNK_LF = 6;
const CHUNK_DATA = 7;
const CHUNK_DATA_CR = 8;
const CHUNK_DATA_LF = 9;
export const TRAILERS = 10;
/** Server: the request is complete, its reply is not; what follows stays where it is. */
export const WAIT = 11;
export const TUNNEL = 12;
/** Nothing is decoded any more; bytes are swallowed, so that a peer that still sends can be read until it ends. */
export const DISCARD = 13;

// Encoding states.
/** No message is being written. */
export const OUT_NONE = 0;
/** Server: a request came, no final reply head was written yet. */
export const OUT_HEAD = 1;
export const OUT_LENGTH = 2;
export const OUT_CHUNKED = 3;
/** Server: reply to an HTTP/1.0 client, ended by closing. */
export const OUT_UNTIL_END = 4;
/** The message has no body on the wire (HEAD, 204, 304): data handed in is left out. */
export const OUT_EMPTY = 5;
export const OUT_TUNNEL = 6;

/** A body of known length that has arrived with its head is handed over with it, up to this size. */
const WHOLE_MAX = 32 * 1024;
/** Most bytes of chunk extensions in a whole message: nobody uses them, so many of them are an attack. */
const MAX_EXTENSIONS = 4096;
const EMPTY = Buffer.alloc(0);

/**
 * Bytes are looked at once, in place: a head becomes offsets (Http1Head), bodies are handed on as they come, nothing is kept between
 * messages, and for one that no filter edits no string or object is made but the short-lived views of `Writer.bytes`. bench/micro/http1.ts, Node 20, decode and encode of a request and of
 * its 244-byte reply: 1.0 us for a request of 75 bytes, 1.35 us for 213 bytes, 0.2 us more for an added header (a loop that only adds
 * up those 457 bytes takes 0.39 us on the same core).
 */
export abstract class Http1Codec implements Codec {
  readonly role: Role;
  readonly limits: Limits;
  readonly held = 0;
  want = 0;

  protected state: number;
  protected out = OUT_NONE;
  /** Bytes that the body (or chunk) being decoded still lacks. */
  private left = 0;
  private digits = 0;
  private extensions = 0;
  /** Bytes that the body being written still lacks. */
  protected owed = 0;
  /** A head or trailer section that is being scanned. */
  protected partial: Http1Head | null = null;
  /** The connection ends after what is running, because something is unfinished, malformed or given up. */
  protected broken = false;

  constructor(role: Role, limits: Limits, state: number) {
    this.role = role;
    this.limits = limits;
    this.state = state;
  }

  get blocked(): boolean {
    return this.state === WAIT;
  }

  get tunnel(): boolean {
    return this.state === TUNNEL;
  }

  abstract get mustClose(): boolean;

  // === decoding

  /** Decodes a head that begins at `i`. Returns where to go on, or MORE. */
  protected abstract decodeHead(buf: Uint8Array, i: number, end: number, sink: CodecSink): number;
  /** The message being decoded is complete at `i`; called before the sink is told. */
  protected abstract messageDecoded(more: boolean): void;
  /** The message being written is complete. */
  protected abstract messageEncoded(): void;
  /** The exchange that a fault within a body ends, or -1. */
  protected abstract get running(): number;

  decode(buf: Uint8Array, start: number, end: number, sink: CodecSink): number {
    let i = start;
    while (i < end) {
      const state = this.state;
      if (state === HEAD) {
        const next = this.decodeHead(buf, i, end, sink);
        if (next < 0) break;
        i = next;
      } else if (state === LENGTH) {
        i = this.decodeLength(buf, i, end, sink);
      } else if (state >= CHUNK_SIZE && state <= TRAILERS) {
        const next = this.decodeChunked(buf, i, end, sink);
        if (next === i && this.state === TRAILERS) break;
        i = next;
      } else if (state === TUNNEL || state === UNTIL_END) {
        sink.onData(0, buf, i, end, false);
        i = end;
      } else if (state === WAIT) {
        break;
      } else if (state === IDLE) {
        this.fail(sink, -1, 'bad-reply', { detail: 'bytes came that answer no request' });
        i = end;
      } else {
        i = end;
      }
    }
    return i - start;
  }

  /** Enters a body as the complete head frames it; returns whether the message is complete (or lies whole in the head). */
  protected beginBody(head: Http1Head, buf: Uint8Array, bodyStart: number, end: number): boolean {
    const length = head.length;
    if (head.chunked) {
      this.state = CHUNK_SIZE;
      this.left = 0;
      this.digits = 0;
      this.extensions = 0;
      return false;
    }
    if (length <= 0) return true;
    if (length <= WHOLE_MAX && end - bodyStart >= length) {
      head.whole = true;
      head.bodyBuf = buf;
      head.bodyStart = bodyStart;
      head.bodyEnd = bodyStart + length;
      head.end = head.bodyEnd;
      return true;
    }
    this.state = LENGTH;
    this.left = length;
    return false;
  }

  private decodeLength(buf: Uint8Array, i: number, end: number, sink: CodecSink): number {
    const left = this.left;
    if (end - i < left) {
      this.left = left - (end - i);
      sink.onData(0, buf, i, end, false);
      return end;
    }
    const to = i + left;
    this.left = 0;
    this.messageDecoded(to < end);
    sink.onData(0, buf, i, to, true);
    return to;
  }

  /**
   * chunk = 1*HEXDIG [ ";" extensions ] CRLF data CRLF; the last one has size 0 and no data, then come trailers and a blank line
   * (RFC 9112 section 7.1). Nothing but a digit, ";" or CR may follow the digits: readers disagree on what blanks there mean.
   */
  private decodeChunked(buf: Uint8Array, i: number, end: number, sink: CodecSink): number {
    while (i < end) {
      switch (this.state) {
        case CHUNK_SIZE: {
          let v = 255;
          while (i < end && (v = HEX[buf[i]]) !== 255) {
            if (++this.digits > 16 || this.left > 0x1ffffffffffff) return this.failBody(sink, end, 'a chunk size that is too large');
            this.left = this.left * 16 + v;
            i++;
          }
          if (i === end) return end;
          const c = buf[i];
          if (this.digits === 0) return this.failBody(sink, end, `${byteName(c)} where a chunk size should begin`);
          if (c === 13) this.state = CHUNK_LF;
          else if (c === 59) this.state = CHUNK_EXTENSION;
          else return this.failBody(sink, end, `${byteName(c)} after a chunk size`);
          i++;
          break;
        }
        case CHUNK_EXTENSION: {
          let c = 0;
          const from = i;
          while (i < end && (((c = buf[i]) >= 32 && c !== 127) || c === 9)) i++;
          this.extensions += i - from;
          if (this.extensions > MAX_EXTENSIONS) return this.failBody(sink, end, `more than ${MAX_EXTENSIONS} bytes of chunk extensions`);
          if (i === end) return end;
          if (c !== 13) return this.failBody(sink, end, `${byteName(c)} in a chunk extension`);
          this.state = CHUNK_LF;
          i++;
          break;
        }
        case CHUNK_LF:
          if (buf[i] !== 10) return this.failBody(sink, end, 'a CR without LF after a chunk size');
          this.state = this.left === 0 ? TRAILERS : CHUNK_DATA;
          i++;
          break;
        case CHUNK_DATA: {
          const left = this.left;
          if (end - i < left) {
            this.left = left - (end - i);
            sink.onData(0, buf, i, end, false);
            return end;
          }
          const from = i;
          i += left;
          this.left = 0;
          this.digits = 0;
          // The usual end follows at once: the data goes out as the last of its message, in one piece with its end.
          if (end - i >= 7 && buf[i + 2] === 48 && buf[i] === 13 && buf[i + 1] === 10 && buf[i + 3] === 13 && buf[i + 4] === 10 && buf[i + 5] === 13 && buf[i + 6] === 10) {
            const to = i;
            i += 7;
            this.messageDecoded(i < end);
            sink.onData(0, buf, from, to, true);
            return i;
          }
          this.state = CHUNK_DATA_CR;
          sink.onData(0, buf, from, i, false);
          break;
        }
        case CHUNK_DATA_CR:
          if (buf[i] !== 13) return this.failBody(sink, end, `${byteName(buf[i])} where a chunk should end`);
          this.state = CHUNK_DATA_LF;
          i++;
          break;
        case CHUNK_DATA_LF:
          if (buf[i] !== 10) return this.failBody(sink, end, 'a CR without LF after a chunk');
          this.state = CHUNK_SIZE;
          i++;
          break;
        case TRAILERS:
          return this.decodeTrailers(buf, i, end, sink);
        default:
          // The sink gave the exchange up.
          return i;
      }
    }
    return i;
  }

  private decodeTrailers(buf: Uint8Array, i: number, end: number, sink: CodecSink): number {
    const head = this.partial ?? takeHead(SCAN_TRAILERS);
    this.partial = null;
    const n = scanHead(head, buf, i, end, this.limits);
    if (n === MORE) {
      this.partial = head;
      return i;
    }
    if (n === FAILED) {
      const { failCode, failContext } = head;
      giveHead(head);
      this.fail(sink, this.running, failCode, failContext);
      return end;
    }
    this.messageDecoded(i + n < end);
    if (head.count === 0) sink.onData(0, EMPTY, 0, 0, true);
    else sink.onTrailers(0, head);
    giveHead(head);
    return i + n;
  }

  private failBody(sink: CodecSink, end: number, detail: string): number {
    this.fail(sink, this.running, 'bad-request', { detail });
    return end;
  }

  /** Stops decoding for good and says why. A client codec tells what its host did wrong in the words for replies. */
  protected fail(sink: CodecSink, id: number, code: ReasonCode, context: ReasonContext): void {
    this.broken = true;
    this.state = DISCARD;
    if (this.role === 'client') code = code === 'line-too-long' || code === 'head-too-large' ? 'reply-too-large' : 'bad-reply';
    sink.onError(id, code, context);
  }

  /** Ends a message that was cut by the peer's end. */
  protected cut(sink: CodecSink, code: ReasonCode): false {
    if (this.partial !== null) {
      giveHead(this.partial);
      this.partial = null;
    }
    const id = this.running;
    this.broken = true;
    this.state = DISCARD;
    sink.onError(id, code, {});
    return false;
  }

  /** Ends a body or tunnel that runs until the peer ends. */
  protected endAtEnd(sink: CodecSink): void {
    sink.onData(0, EMPTY, 0, 0, true);
  }

  abstract eof(sink: CodecSink): boolean;

  // === encoding

  abstract encodeRequest(out: Output, head: Head, id: number, last: boolean): void;
  abstract encodeReply(out: Output, head: Head, id: number, last: boolean): void;
  abstract encodeLocalReply(out: Output, id: number, reply: LocalReply): void;
  abstract release(id: number): void;
  abstract encodeGoAway(out: Output): boolean;

  encodeData(out: Output, _id: number, buf: Uint8Array, start: number, end: number, last: boolean): void {
    switch (this.out) {
      case OUT_LENGTH:
        if (end - start > this.owed) {
          // More than was announced would be read as the next message.
          end = start + this.owed;
          this.broken = true;
        }
        this.owed -= end - start;
        if (end > start) out.write(buf, start, end);
        if (last && this.owed > 0) this.broken = true;
        break;
      case OUT_CHUNKED:
        this.encodeChunk(out, buf, start, end, last);
        break;
      case OUT_TUNNEL:
      case OUT_UNTIL_END:
        if (end > start) out.write(buf, start, end);
        break;
      default:
        break;
    }
    if (last) this.endOut();
  }

  private encodeChunk(out: Output, buf: Uint8Array, start: number, end: number, last: boolean): void {
    const n = end - start;
    if (n === 0) {
      if (last) {
        const w = out.out(LAST_CHUNK.length);
        w.bytes(LAST_CHUNK, 0, LAST_CHUNK.length);
      }
      return;
    }
    if (n + 32 <= MAX_RESERVE) {
      const w = out.out(n + 32);
      writeChunkSize(w, n);
      w.bytes(buf, start, end);
      w.bytes(CRLF, 0, 2);
      if (last) w.bytes(LAST_CHUNK, 0, LAST_CHUNK.length);
      return;
    }
    writeChunkSize(out.out(32), n);
    out.write(buf, start, end);
    const w = out.out(32);
    w.bytes(CRLF, 0, 2);
    if (last) w.bytes(LAST_CHUNK, 0, LAST_CHUNK.length);
  }

  encodeTrailers(out: Output, _id: number, trailers: Head | null): void {
    if (this.out === OUT_CHUNKED) {
      writeTrailers(out, trailers);
    } else if (this.out === OUT_LENGTH && this.owed > 0) {
      this.broken = true;
    }
    this.endOut();
  }

  /** The last part of a message was handed in. A tunnel has no messages; what was never begun cannot end. */
  private endOut(): void {
    if (this.out > OUT_HEAD && this.out !== OUT_TUNNEL) this.messageEncoded();
  }

  abstract reid(buf: Uint8Array, start: number, end: number, id: number, last: boolean): void;

  encodeReset(_out: Output, _id: number, _code: ResetCode): boolean {
    this.broken = true;
    return false;
  }

  encodePing(_out: Output, _id: number): boolean {
    return false;
  }

  encodePong(_out: Output, _ping: Head): void {
    // HTTP/1 has no heartbeats.
  }
}

/** Raised when an encoder is called that the role does not have. */
export function wrongRole(role: Role, what: string): SluiceError {
  return new SluiceError('internal', { detail: `an http1 ${role} codec cannot encode ${what}` });
}

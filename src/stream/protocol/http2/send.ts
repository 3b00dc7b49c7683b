// The sending side of an HTTP/2 connection: heads, content as far as windows allow, what waits for them, and the codec's own frames.
import { BlockOutput, type Output } from '../../../core/bytes.js';
import type { Head } from '../../head.js';
import type { CodecSink, Role } from '../../protocol.js';
import { Fields, writeHeaders } from './fields.js';
import {
  DATA, DATA_PIECE, DEFAULT_WINDOW, FLAG_END_STREAM, FRAME_HEAD, GOAWAY, MAX_FRAME, MAX_WINDOW, NO_ERROR, RST_STREAM, SETTINGS, SETTINGS_ENABLE_CONNECT_PROTOCOL,
  SETTINGS_ENABLE_PUSH, SETTINGS_INITIAL_WINDOW_SIZE, SETTINGS_MAX_CONCURRENT_STREAMS, SETTINGS_MAX_HEADER_LIST_SIZE, WINDOW_UPDATE, frameHead,
} from './frame.js';
import { NAME } from './head.js';
import { HpackEncoder } from './hpack/encoder.js';
import { BLOCKED, LOCAL_DONE, REMOTE_DONE, StreamTable, giveStream, type Http2Stream } from './stream.js';

const EMPTY = Buffer.alloc(0);

export interface Http2Limits {
  /** Most bytes of a decoded head. */
  readonly maxHead: number;
  /** Most streams that a client may have open on a connection. */
  readonly maxStreams: number;
  /** Bytes of content that the peer may send on a stream before they have gone on. */
  readonly streamWindow: number;
}

/** Window of the connection as a whole: large, since it is granted anew on receipt; streams are what holds a peer back. */
export const CONNECTION_WINDOW = 16 * 1024 * 1024;
/** Ids of streams that we reset, remembered because the peer may have sent more on them before it knew. */
const REMEMBERED = 256;

export abstract class Http2Sender {
  readonly role: Role;
  protected readonly limits: Http2Limits;
  protected readonly encoder: HpackEncoder;
  protected readonly streams = new StreamTable();
  /** Bytes of content that the peer's window for the connection leaves us. */
  protected window = DEFAULT_WINDOW;
  /** What the peer grants to a new stream. */
  protected peerWindow = DEFAULT_WINDOW;
  protected peerFrame = MAX_FRAME;
  /** What a new stream lets the peer send: at least what the peer assumes, until it has acknowledged our SETTINGS (section 6.9.3). */
  protected ownWindow: number;
  /** Content that waits in streams. */
  held = 0;
  /** A window grew, so that what waits may go. */
  protected grown = false;
  protected waiting: Http2Stream[] = [];
  /** Frames of the codec's own that were made while nothing could be written: acknowledgements, resets, windows, go-away. */
  protected readonly control = new BlockOutput(0);
  private resetIds: Int32Array | null = null;
  private resets = 0;

  constructor(role: Role, limits: Http2Limits) {
    this.role = role;
    this.limits = limits;
    this.ownWindow = Math.max(limits.streamWindow, DEFAULT_WINDOW);
    this.encoder = new HpackEncoder(role === 'client');
  }

  /** There is something to write that no exchange asked for. */
  get due(): boolean {
    return this.control.writer.pos > 0 || this.grown;
  }

  /** Writes it; what the peer has made room for goes with it. */
  settle(out: Output, sink: CodecSink): void {
    this.flushControl(out);
    if (this.grown) {
      this.grown = false;
      if (this.waiting.length > 0) this.sendBlocked(out, sink);
    }
  }

  protected flushControl(out: Output): void {
    const w = this.control.writer;
    const n = w.pos;
    if (n === 0) return;
    w.pos = 0;
    out.write(w.buf, 0, n);
    if (w.buf.length > 4096) w.buf = Buffer.allocUnsafe(0);
  }

  // === frames of our own

  /** Our SETTINGS, and the window of the connection. */
  protected writeSettings(): void {
    const { role, limits } = this;
    const settings: [number, number][] = [[SETTINGS_INITIAL_WINDOW_SIZE, limits.streamWindow], [SETTINGS_MAX_HEADER_LIST_SIZE, limits.maxHead]];
    if (role === 'client') settings.push([SETTINGS_ENABLE_PUSH, 0]);
    else settings.push([SETTINGS_MAX_CONCURRENT_STREAMS, limits.maxStreams], [SETTINGS_ENABLE_CONNECT_PROTOCOL, 1]);
    const w = this.control.out(2 * FRAME_HEAD + 6 * settings.length + 4);
    frameHead(w, 6 * settings.length, SETTINGS, 0, 0);
    for (const [id, value] of settings) {
      w.u16(id);
      w.u32(value);
    }
    frameHead(w, 4, WINDOW_UPDATE, 0, 0);
    w.u32(CONNECTION_WINDOW - DEFAULT_WINDOW);
  }

  protected controlWindow(id: number, bytes: number): void {
    const w = this.control.out(FRAME_HEAD + 4);
    frameHead(w, 4, WINDOW_UPDATE, 0, id);
    w.u32(bytes);
  }

  protected controlReset(id: number, error: number): void {
    const w = this.control.out(FRAME_HEAD + 4);
    frameHead(w, 4, RST_STREAM, 0, id);
    w.u32(error);
    this.remember(id);
  }

  protected controlGoAway(last: number, error: number, detail: string): void {
    const text = Buffer.from(detail.slice(0, 200));
    const w = this.control.out(FRAME_HEAD + 8 + text.length);
    frameHead(w, 8 + text.length, GOAWAY, 0, 0);
    w.u32(last);
    w.u32(error);
    w.bytes(text, 0, text.length);
  }

  protected writeReset(out: Output, id: number, error: number): void {
    this.flushControl(out);
    const w = out.out(FRAME_HEAD + 4);
    frameHead(w, 4, RST_STREAM, 0, id);
    w.u32(error);
    this.remember(id);
  }

  private remember(id: number): void {
    this.resetIds ??= new Int32Array(REMEMBERED);
    this.resetIds[this.resets++ & (REMEMBERED - 1)] = id;
  }

  /** Whether a closed stream may be one that we reset, so that frames on it are no fault of the peer. */
  protected mayBeReset(id: number): boolean {
    return this.resetIds !== null && (this.resets > REMEMBERED || this.resetIds.includes(id));
  }

  // === messages

  protected sendHead(out: Output, s: Http2Stream, head: Head, last: boolean): void {
    if (this.control.writer.pos > 0) this.flushControl(out);
    const done = last && !head.whole;
    writeHeaders(out, this.encoder, head, s.id, done ? FLAG_END_STREAM : 0, this.peerFrame);
    if (head.whole) this.sendData(out, s, head.bodyBuf, head.bodyStart, head.bodyEnd, true);
    else if (done) this.localDone(out, s);
  }

  protected sendData(out: Output, s: Http2Stream, buf: Uint8Array, start: number, end: number, last: boolean): void {
    if (this.control.writer.pos > 0) this.flushControl(out);
    if (s.queued > 0) {
      this.hold(s, buf, start, end, last);
      return;
    }
    let p = start;
    do {
      const left = end - p;
      const room = s.sendWindow < this.window ? s.sendWindow : this.window;
      if (room <= 0 && left > 0) {
        this.hold(s, buf, p, end, last);
        return;
      }
      const n = Math.min(left, room < DATA_PIECE ? room : DATA_PIECE, this.peerFrame);
      const fin = last && n === left;
      if (n === 0 && !fin) return;
      const w = out.out(FRAME_HEAD + n);
      frameHead(w, n, DATA, fin ? FLAG_END_STREAM : 0, s.id);
      w.bytes(buf, p, p + n);
      s.sendWindow -= n;
      this.window -= n;
      p += n;
    } while (p < end);
    if (last) this.localDone(out, s);
  }

  private hold(s: Http2Stream, buf: Uint8Array, start: number, end: number, last: boolean): void {
    if (end > start) {
      s.queue.push(Buffer.from(buf.subarray(start, end)));
      s.queued += end - start;
      this.held += end - start;
    }
    if (last) s.endQueued = true;
    if ((s.flags & BLOCKED) === 0) {
      s.flags |= BLOCKED;
      this.waiting.push(s);
    }
  }

  protected sendTrailers(out: Output, s: Http2Stream, trailers: Head | null): void {
    if (s.queued > 0) {
      s.trailers = trailers === null ? null : trailers.keep();
      s.endQueued = true;
      return;
    }
    if (trailers === null) {
      this.sendData(out, s, EMPTY, 0, 0, true);
      return;
    }
    if (this.control.writer.pos > 0) this.flushControl(out);
    if (trailers.protocol === NAME) {
      writeHeaders(out, this.encoder, trailers, s.id, FLAG_END_STREAM, this.peerFrame);
    } else {
      const fields = new Fields(this.encoder);
      fields.foreign(trailers, true);
      fields.write(out, s.id, FLAG_END_STREAM, this.peerFrame);
    }
    this.localDone(out, s);
  }

  /** A piece of each stream in turn, until windows or content end. */
  private sendBlocked(out: Output, sink: CodecSink): void {
    let moved = true;
    while (moved && this.window > 0) {
      moved = false;
      for (let i = 0; i < this.waiting.length && this.window > 0; i++) {
        const s = this.waiting[i]!;
        if (s.sendWindow <= 0 || s.queued === 0) continue;
        moved = true;
        this.sendQueued(out, s);
      }
    }
    const list = this.waiting;
    let left = 0;
    const open: number[] = [];
    for (const s of list) {
      if (s.queued > 0) {
        list[left++] = s;
        continue;
      }
      s.flags &= ~BLOCKED;
      if (!s.endQueued) open.push(s.exchange);
      else if (s.trailers !== null) {
        const { trailers } = s;
        s.trailers = null;
        this.sendTrailers(out, s, trailers);
      } else {
        // Trailers that were none: their end is still due.
        if ((s.flags & LOCAL_DONE) === 0) this.sendData(out, s, EMPTY, 0, 0, true);
        else this.localDone(out, s);
      }
    }
    list.length = left;
    for (const exchange of open) sink.onRoom?.(exchange);
  }

  private sendQueued(out: Output, s: Http2Stream): void {
    const first = s.queue[0]!;
    const n = Math.min(first.length - s.queueAt, s.sendWindow, this.window, DATA_PIECE);
    const fin = s.endQueued && s.trailers === null && n === s.queued;
    const w = out.out(FRAME_HEAD + n);
    frameHead(w, n, DATA, fin ? FLAG_END_STREAM : 0, s.id);
    w.bytes(first, s.queueAt, s.queueAt + n);
    s.sendWindow -= n;
    this.window -= n;
    s.queueAt += n;
    s.queued -= n;
    this.held -= n;
    if (s.queueAt === first.length) {
      s.queue.shift();
      s.queueAt = 0;
    }
    if (fin) s.flags |= LOCAL_DONE;
  }

  /** Our side of the stream has ended. */
  protected localDone(out: Output, s: Http2Stream): void {
    s.flags |= LOCAL_DONE;
    // A reply that is complete makes the rest of its request pointless (RFC 9113 section 8.1).
    if (this.role === 'server' && (s.flags & REMOTE_DONE) === 0) {
      this.writeReset(out, s.id, NO_ERROR);
      s.flags |= REMOTE_DONE;
    }
    this.closed(s);
  }

  /** Forgets a stream both of whose sides have ended. */
  protected closed(s: Http2Stream): void {
    if ((s.flags & (LOCAL_DONE | REMOTE_DONE)) === (LOCAL_DONE | REMOTE_DONE)) this.forget(s);
  }

  protected forget(s: Http2Stream): void {
    if (s.id === 0) return;
    this.held -= s.queued;
    if ((s.flags & BLOCKED) !== 0) {
      const i = this.waiting.indexOf(s);
      if (i >= 0) this.waiting.splice(i, 1);
    }
    this.streams.remove(s);
    this.left(s);
    giveStream(s);
  }

  /** A stream is about to be forgotten. */
  protected abstract left(s: Http2Stream): void;

  // === windows

  /** The peer lets a stream, or with null the connection, send more. False: more than there can be. */
  protected grow(s: Http2Stream | null, bytes: number): boolean {
    if (s === null) {
      this.window += bytes;
      if (this.window > MAX_WINDOW) return false;
    } else {
      s.sendWindow += bytes;
      if (s.sendWindow > MAX_WINDOW) return false;
    }
    if (this.waiting.length > 0) this.grown = true;
    return true;
  }

  /** Whether content of the stream waits for a window. */
  protected waits(s: Http2Stream | null): boolean {
    return s !== null && s.queued > 0;
  }

  /** Grants the peer `bytes` more on a stream, saved up to half a window. */
  protected grant(out: Output | null, s: Http2Stream, bytes: number): void {
    s.credit += bytes;
    if (s.credit < this.limits.streamWindow >>> 1 || (s.flags & REMOTE_DONE) !== 0) return;
    const { credit } = s;
    s.credit = 0;
    s.receiveWindow += credit;
    if (out === null) {
      this.controlWindow(s.id, credit);
      return;
    }
    this.flushControl(out);
    const w = out.out(FRAME_HEAD + 4);
    frameHead(w, 4, WINDOW_UPDATE, 0, s.id);
    w.u32(credit);
  }
}

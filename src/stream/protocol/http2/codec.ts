// The HTTP/2 codec of one connection, what both roles share: frames in, their order and limits, settings, windows, and who is given up.
import type { Output } from '../../../core/bytes.js';
import type { ReasonCode, ReasonContext } from '../../../core/reason.js';
import type { Head } from '../../head.js';
import type { Codec, CodecSink, LocalReply, ResetCode, Role } from '../../protocol.js';
import {
  CANCEL, COMPRESSION_ERROR, CONTINUATION, DATA, ENHANCE_YOUR_CALM, FLAG_ACK, FLAG_END_HEADERS, FLAG_END_STREAM, FLAG_PADDED, FLAG_PRIORITY, FLOW_CONTROL_ERROR,
  FRAME_HEAD, FRAME_SIZE_ERROR, GOAWAY, HEADERS, MAX_FRAME, MAX_WINDOW, PING, PRIORITY, PROTOCOL_ERROR, PUSH_PROMISE, RST_STREAM, SETTINGS,
  SETTINGS_ENABLE_CONNECT_PROTOCOL, SETTINGS_ENABLE_PUSH, SETTINGS_HEADER_TABLE_SIZE, SETTINGS_INITIAL_WINDOW_SIZE, SETTINGS_MAX_CONCURRENT_STREAMS,
  SETTINGS_MAX_FRAME_SIZE, STREAM_CLOSED, WINDOW_UPDATE, errorName, frameHead, u31, u32,
} from './frame.js';
import { HpackDecoder } from './hpack/decoder.js';
import type { FieldBlock } from './hpack/field-block.js';
import { CONNECTION_WINDOW, Http2Sender, type Http2Limits } from './send.js';
import { LOCAL_DONE, REMOTE_DONE, type Http2Stream } from './stream.js';

const EMPTY = Buffer.alloc(0);

/** Frames of one read that ask for an answer, or bring nothing, before the peer is told to calm down: 64 KiB hold 3,855 PINGs. */
const MAX_IDLE_FRAMES = 1000;
/** CONTINUATION frames of one head: as many as a head at its limit takes when each is a packet. */
const MAX_CONTINUATIONS = 64;
/** Streams that a client may reset before their reply is complete, however few it opened. */
const MAX_RESETS = 500;


export abstract class Http2Codec extends Http2Sender implements Codec {
  readonly blocked = false;
  readonly tunnel = false;
  want = 0;

  private readonly decoder: HpackDecoder;
  /** Bytes of the client's preface still due (server). */
  protected prefaceLeft = 0;
  protected settingsSeen = false;
  protected failed = false;
  /** Highest stream that the peer opened, or that we did. */
  protected lastStream = 0;

  // The DATA frame whose content is arriving.
  private dataLeft = 0;
  private dataPadding = 0;
  private dataEnds = false;
  private dataStream = 0;
  /** False: nobody wants the content, it is only counted. */
  private dataWanted = false;

  // The head that is arriving in several frames.
  private blockStream = 0;
  private blockFlags = 0;
  private blockParts: Buffer[] = [];
  private blockSize = 0;
  private blockFrames = 0;

  /** Content that the peer may still send, and what it may be granted again. */
  private receiveWindow = CONNECTION_WINDOW;
  private received = 0;
  private idleFrames = 0;
  /** Bytes before the frame being handled: what `head.end` tells of the size of a message. */
  protected frameSize = 0;

  // Counts of the client's premature resets.
  protected opened = 0;
  protected peerResets = 0;

  constructor(role: Role, limits: Http2Limits) {
    super(role, limits);
    this.decoder = new HpackDecoder(4096, limits.maxHead);
  }

  // === what the roles do

  /** Decodes the preface; returns the bytes consumed, fewer where more are needed. */
  protected abstract preface(buf: Uint8Array, start: number, end: number, sink: CodecSink): number;
  /** A complete header block came on a stream. */
  protected abstract onBlock(id: number, block: FieldBlock, last: boolean, sink: CodecSink): void;
  protected abstract onGoAway(last: number, error: number, sink: CodecSink): void;
  protected abstract onPeerLimit(streams: number, sink: CodecSink): void;
  protected abstract onPeerReset(s: Http2Stream, error: number, sink: CodecSink): void;
  /** Content, or its end, is malformed: tells the sink that the exchange is over. The stream has been reset. */
  protected abstract onStreamFault(exchange: number, code: ReasonCode | '', detail: string, sink: CodecSink): void;
  protected abstract byExchange(id: number): Http2Stream | null;
  abstract readonly mustClose: boolean;

  // === decoding

  decode(buf: Uint8Array, start: number, end: number, sink: CodecSink): number {
    if (this.failed) return end - start;
    this.want = 0;
    this.idleFrames = 0;
    let p = start;
    if (this.prefaceLeft > 0) {
      p += this.preface(buf, p, end, sink);
      if (this.failed) return end - start;
      if (this.prefaceLeft > 0) return p - start;
    }
    while (p < end) {
      if (this.dataLeft > 0 || this.dataPadding > 0) {
        p = this.content(buf, p, end, sink);
        if (this.failed) return end - start;
        continue;
      }
      if (end - p < FRAME_HEAD) {
        this.want = FRAME_HEAD;
        break;
      }
      const length = (buf[p]! << 16) | (buf[p + 1]! << 8) | buf[p + 2]!;
      const type = buf[p + 3]!;
      const flags = buf[p + 4]!;
      const id = u31(buf, p + 5);
      if (!this.settingsSeen && (type !== SETTINGS || (flags & FLAG_ACK) !== 0)) return this.fault(sink, PROTOCOL_ERROR, 'the first frame is not SETTINGS', start, end);
      if (length > MAX_FRAME) return this.fault(sink, FRAME_SIZE_ERROR, `a frame of ${length} bytes`, start, end);
      if (this.blockStream !== 0 && (type !== CONTINUATION || id !== this.blockStream)) {
        return this.fault(sink, PROTOCOL_ERROR, 'another frame within a head', start, end);
      }
      if (type === DATA) {
        const padded = (flags & FLAG_PADDED) !== 0;
        if (padded && length === 0) return this.fault(sink, FRAME_SIZE_ERROR, 'a padded frame without a padding length', start, end);
        if (padded && end - p < FRAME_HEAD + 1) {
          this.want = FRAME_HEAD + 1;
          break;
        }
        const padding = padded ? buf[p + FRAME_HEAD]! : 0;
        if (padded && padding >= length) return this.fault(sink, PROTOCOL_ERROR, 'more padding than frame', start, end);
        p += FRAME_HEAD + (padded ? 1 : 0);
        this.beginData(id, length, padded ? padding + 1 : 0, (flags & FLAG_END_STREAM) !== 0, sink);
        if (this.failed) return end - start;
        this.dataPadding = padding;
        continue;
      }
      if (end - p < FRAME_HEAD + length) {
        this.want = FRAME_HEAD + length;
        break;
      }
      const from = p + FRAME_HEAD;
      p = from + length;
      this.frameSize = FRAME_HEAD + length;
      this.frame(type, flags, id, buf, from, p, sink);
      if (this.failed) return end - start;
    }
    return p - start;
  }

  private frame(type: number, flags: number, id: number, buf: Uint8Array, start: number, end: number, sink: CodecSink): void {
    switch (type) {
      case HEADERS:
        this.onHeaders(flags, id, buf, start, end, sink);
        break;
      case CONTINUATION:
        if (this.blockStream === 0) this.connectionError(sink, PROTOCOL_ERROR, 'a CONTINUATION that continues nothing');
        else this.blockPiece(flags, buf, start, end, sink);
        break;
      case PRIORITY:
        if (id === 0) this.connectionError(sink, PROTOCOL_ERROR, 'PRIORITY on stream 0');
        else if (end - start !== 5) this.streamError(id, FRAME_SIZE_ERROR, 'a PRIORITY frame of a wrong size', sink);
        else if (u31(buf, start) === id) this.streamError(id, PROTOCOL_ERROR, 'a stream that depends on itself', sink);
        else this.idleFrame(sink);
        break;
      case RST_STREAM:
        this.onReset(id, buf, start, end, sink);
        break;
      case SETTINGS:
        this.onSettings(flags, id, buf, start, end, sink);
        break;
      case PUSH_PROMISE:
        this.connectionError(sink, PROTOCOL_ERROR, 'PUSH_PROMISE, which was not allowed');
        break;
      case PING:
        if (id !== 0) this.connectionError(sink, PROTOCOL_ERROR, 'PING on a stream');
        else if (end - start !== 8) this.connectionError(sink, FRAME_SIZE_ERROR, 'a PING of a wrong size');
        else if ((flags & FLAG_ACK) !== 0) sink.onPong(u31(buf, start + 4));
        else if (this.idleFrame(sink)) {
          const w = this.control.out(FRAME_HEAD + 8);
          frameHead(w, 8, PING, FLAG_ACK, 0);
          w.bytes(buf, start, end);
        }
        break;
      case GOAWAY:
        if (id !== 0) this.connectionError(sink, PROTOCOL_ERROR, 'GOAWAY on a stream');
        else if (end - start < 8) this.connectionError(sink, FRAME_SIZE_ERROR, 'a GOAWAY of a wrong size');
        else this.onGoAway(u31(buf, start), u32(buf, start + 4), sink);
        break;
      case WINDOW_UPDATE:
        this.onWindow(id, buf, start, end, sink);
        break;
      default:
        // Unknown types are ignored (section 4.1).
        this.idleFrame(sink);
    }
  }

  /** A frame that is cheap for the peer and brings nothing; false when there were too many of them in one read. */
  private idleFrame(sink: CodecSink): boolean {
    if (++this.idleFrames <= MAX_IDLE_FRAMES) return true;
    this.fail(sink, ENHANCE_YOUR_CALM, 'frame-flood', { limit: MAX_IDLE_FRAMES }, 0, 0);
    return false;
  }

  // === content

  private beginData(id: number, length: number, padding: number, ends: boolean, sink: CodecSink): void {
    if (id === 0) {
      this.connectionError(sink, PROTOCOL_ERROR, 'DATA on stream 0');
      return;
    }
    this.receiveWindow -= length;
    this.received += length;
    if (this.receiveWindow < 0) {
      this.connectionError(sink, FLOW_CONTROL_ERROR, 'more content than the window of the connection allows');
      return;
    }
    if (this.received >= CONNECTION_WINDOW / 2) {
      this.controlWindow(0, this.received);
      this.receiveWindow += this.received;
      this.received = 0;
    }
    this.dataLeft = length - padding;
    this.dataStream = id;
    this.dataEnds = ends;
    this.dataWanted = false;
    if (length - padding === 0 && !ends && !this.idleFrame(sink)) return;
    const s = this.streams.get(id);
    if (s === null) {
      this.onClosedStream(id, 'DATA', sink);
      return;
    }
    if ((s.flags & REMOTE_DONE) !== 0) {
      this.streamError(id, STREAM_CLOSED, 'DATA behind the end of a stream', sink);
      return;
    }
    if (!this.mayCarryData(s)) {
      this.streamError(id, PROTOCOL_ERROR, 'DATA before a head', sink);
      return;
    }
    s.receiveWindow -= length;
    if (s.receiveWindow < 0) {
      this.streamError(id, FLOW_CONTROL_ERROR, 'more content than the window of the stream allows', sink);
      return;
    }
    if (padding > 0) this.grant(null, s, padding);
    if (s.expected >= 0) {
      s.expected -= length - padding;
      if (s.expected < 0 || (ends && s.expected > 0)) {
        this.streamError(id, PROTOCOL_ERROR, 'content that is not as long as content-length says', sink);
        return;
      }
    }
    this.dataWanted = true;
    if (this.dataLeft === 0 && ends) {
      const { exchange } = s;
      this.remoteDone(s);
      sink.onData(exchange, EMPTY, 0, 0, true);
    }
  }

  /** Content before a reply's head is malformed. */
  protected abstract mayCarryData(s: Http2Stream): boolean;

  private content(buf: Uint8Array, start: number, end: number, sink: CodecSink): number {
    const n = Math.min(this.dataLeft, end - start);
    let p = start;
    if (n > 0) {
      p += n;
      this.dataLeft -= n;
      if (this.dataWanted) {
        const s = this.streams.get(this.dataStream);
        if (s !== null) {
          const last = this.dataLeft === 0 && this.dataEnds;
          const { exchange } = s;
          if (last) this.remoteDone(s);
          sink.onData(exchange, buf, start, p, last);
        }
      }
    }
    const skip = Math.min(this.dataPadding, end - p);
    this.dataPadding -= skip;
    return p + skip;
  }

  /** The peer's side of the stream has ended; called before the sink hears of it. */
  protected remoteDone(s: Http2Stream): void {
    s.flags |= REMOTE_DONE;
    if ((s.flags & LOCAL_DONE) !== 0 && s.queued === 0) this.closed(s);
  }

  // === heads

  private onHeaders(flags: number, id: number, buf: Uint8Array, start: number, end: number, sink: CodecSink): void {
    let from = start;
    let to = end;
    if ((flags & FLAG_PADDED) !== 0) {
      if (from === to) return this.connectionError(sink, FRAME_SIZE_ERROR, 'a padded frame without a padding length');
      to -= buf[from++]!;
    }
    if ((flags & FLAG_PRIORITY) !== 0) {
      if (to - from < 5) return this.connectionError(sink, to < from ? PROTOCOL_ERROR : FRAME_SIZE_ERROR, 'a HEADERS frame that is too short');
      if (u31(buf, from) === id) return this.connectionError(sink, PROTOCOL_ERROR, 'a stream that depends on itself');
      from += 5;
    }
    if (to < from) return this.connectionError(sink, PROTOCOL_ERROR, 'more padding than frame');
    if (id === 0) return this.connectionError(sink, PROTOCOL_ERROR, 'HEADERS on stream 0');
    if ((flags & FLAG_END_HEADERS) !== 0) {
      this.wholeBlock(id, buf, from, to, (flags & FLAG_END_STREAM) !== 0, sink);
      return;
    }
    this.blockStream = id;
    this.blockFlags = flags;
    this.blockSize = 0;
    this.blockFrames = 0;
    this.blockParts = [];
    this.blockPiece(0, buf, from, to, sink);
  }

  private blockPiece(flags: number, buf: Uint8Array, start: number, end: number, sink: CodecSink): void {
    this.blockSize += end - start;
    if (++this.blockFrames > MAX_CONTINUATIONS || this.blockSize > this.limits.maxHead + MAX_FRAME) {
      this.fail(sink, ENHANCE_YOUR_CALM, 'frame-flood', { limit: MAX_CONTINUATIONS }, 0, 0);
      return;
    }
    this.blockParts.push(Buffer.from(buf.subarray(start, end)));
    if ((flags & FLAG_END_HEADERS) === 0) return;
    const id = this.blockStream;
    const block = Buffer.concat(this.blockParts);
    this.blockStream = 0;
    this.blockParts = [];
    this.frameSize = this.blockSize + FRAME_HEAD;
    this.wholeBlock(id, block, 0, block.length, (this.blockFlags & FLAG_END_STREAM) !== 0, sink);
  }

  private wholeBlock(id: number, buf: Uint8Array, start: number, end: number, last: boolean, sink: CodecSink): void {
    const block = this.decoder.decode(buf, start, end);
    if (block === null) this.connectionError(sink, COMPRESSION_ERROR, `a header block: ${this.decoder.error}`);
    else this.onBlock(id, block, last, sink);
  }

  // === the other frames

  private onReset(id: number, buf: Uint8Array, start: number, end: number, sink: CodecSink): void {
    if (id === 0) return this.connectionError(sink, PROTOCOL_ERROR, 'RST_STREAM on stream 0');
    if (end - start !== 4) return this.connectionError(sink, FRAME_SIZE_ERROR, 'a RST_STREAM of a wrong size');
    if (this.isIdle(id)) return this.connectionError(sink, PROTOCOL_ERROR, 'RST_STREAM on a stream that was never opened');
    const s = this.streams.get(id);
    if (s === null) {
      this.idleFrame(sink);
      return;
    }
    this.onPeerReset(s, u32(buf, start), sink);
  }

  private onSettings(flags: number, id: number, buf: Uint8Array, start: number, end: number, sink: CodecSink): void {
    const n = end - start;
    if (id !== 0) return this.connectionError(sink, PROTOCOL_ERROR, 'SETTINGS on a stream');
    if ((flags & FLAG_ACK) !== 0) {
      if (n !== 0) return this.connectionError(sink, FRAME_SIZE_ERROR, 'an acknowledgement of SETTINGS that is not empty');
      const by = this.limits.streamWindow - this.ownWindow;
      if (by === 0) return;
      this.ownWindow = this.limits.streamWindow;
      this.streams.each((s) => {
        s.receiveWindow += by;
      });
      return;
    }
    if (n % 6 !== 0) return this.connectionError(sink, FRAME_SIZE_ERROR, 'a SETTINGS frame of a wrong size');
    if (!this.idleFrame(sink)) return;
    const first = !this.settingsSeen;
    this.settingsSeen = true;
    for (let p = start; p < end; p += 6) {
      this.applySetting((buf[p]! << 8) | buf[p + 1]!, u32(buf, p + 2), sink);
      if (this.failed) return;
    }
    frameHead(this.control.out(FRAME_HEAD), 0, SETTINGS, FLAG_ACK, 0);
    if (first) this.afterFirstSettings(sink);
  }

  protected afterFirstSettings(_sink: CodecSink): void {}

  protected applySetting(id: number, value: number, sink: CodecSink): void {
    switch (id) {
      case SETTINGS_HEADER_TABLE_SIZE:
        this.encoder.setPeerTable(value);
        break;
      case SETTINGS_ENABLE_PUSH:
        if (value > 1 || (value === 1 && this.role === 'client')) this.connectionError(sink, PROTOCOL_ERROR, `ENABLE_PUSH ${value}`);
        break;
      case SETTINGS_MAX_CONCURRENT_STREAMS:
        this.onPeerLimit(value, sink);
        break;
      case SETTINGS_INITIAL_WINDOW_SIZE: {
        if (value > MAX_WINDOW) return this.connectionError(sink, FLOW_CONTROL_ERROR, `INITIAL_WINDOW_SIZE ${value}`);
        const by = value - this.peerWindow;
        this.peerWindow = value;
        let over = false;
        this.streams.each((s) => {
          if (!this.grow(s, by)) over = true;
        });
        if (over) this.connectionError(sink, FLOW_CONTROL_ERROR, 'a window over its limit');
        break;
      }
      case SETTINGS_MAX_FRAME_SIZE:
        if (value < MAX_FRAME || value > 0xffffff) return this.connectionError(sink, PROTOCOL_ERROR, `MAX_FRAME_SIZE ${value}`);
        this.peerFrame = value;
        break;
      case SETTINGS_ENABLE_CONNECT_PROTOCOL:
        if (value > 1) this.connectionError(sink, PROTOCOL_ERROR, `ENABLE_CONNECT_PROTOCOL ${value}`);
        break;
      default:
    }
  }

  private onWindow(id: number, buf: Uint8Array, start: number, end: number, sink: CodecSink): void {
    if (end - start !== 4) return this.connectionError(sink, FRAME_SIZE_ERROR, 'a WINDOW_UPDATE of a wrong size');
    const bytes = u31(buf, start);
    if (id === 0) {
      if (bytes === 0) this.connectionError(sink, PROTOCOL_ERROR, 'a WINDOW_UPDATE of nothing');
      else if (!this.grow(null, bytes)) this.connectionError(sink, FLOW_CONTROL_ERROR, 'a window over its limit');
      return;
    }
    if (this.isIdle(id)) return this.connectionError(sink, PROTOCOL_ERROR, 'WINDOW_UPDATE on a stream that was never opened');
    const s = this.streams.get(id);
    if (s === null) return;
    if (bytes === 0) this.streamError(id, PROTOCOL_ERROR, 'a WINDOW_UPDATE of nothing', sink);
    else if (!this.grow(s, bytes)) this.streamError(id, FLOW_CONTROL_ERROR, 'a window over its limit', sink);
  }

  /** Whether nobody opened the stream yet. */
  protected abstract isIdle(id: number): boolean;

  /** A frame came on a stream that is not there (section 5.1). */
  protected onClosedStream(id: number, what: string, sink: CodecSink): void {
    if (this.isIdle(id)) this.connectionError(sink, PROTOCOL_ERROR, `${what} on a stream that was never opened`);
    else if (!this.mayBeReset(id)) this.connectionError(sink, STREAM_CLOSED, `${what} on a stream that has ended`);
  }

  // === faults

  /** One stream is malformed: it is reset, the connection goes on. */
  protected streamError(id: number, error: number, detail: string, sink: CodecSink, code: ReasonCode | '' = ''): void {
    this.dataWanted = false;
    const s = this.streams.get(id);
    this.controlReset(id, error);
    if (s === null) {
      this.idleFrame(sink);
      return;
    }
    const { exchange } = s;
    this.forget(s);
    this.onStreamFault(exchange, code, detail, sink);
  }

  protected connectionError(sink: CodecSink, error: number, detail: string): void {
    this.fail(sink, error, 'bad-frame', { detail: `${detail} (${errorName(error)})` }, 0, 0);
  }

  private fault(sink: CodecSink, error: number, detail: string, start: number, end: number): number {
    return this.fail(sink, error, 'bad-frame', { detail: `${detail} (${errorName(error)})` }, start, end);
  }

  protected fail(sink: CodecSink, error: number, code: ReasonCode, context: ReasonContext, start: number, end: number): number {
    if (!this.failed) {
      this.failed = true;
      this.controlGoAway(this.role === 'server' ? this.lastStream : 0, error, String(context['detail'] ?? code));
      sink.onError(-1, code, context);
    }
    return end - start;
  }

  /** Whether a client resets so many of its requests that it can only mean to make work ("rapid reset"). */
  protected resetsTooMany(): boolean {
    return ++this.peerResets >= MAX_RESETS && this.peerResets * 2 > this.opened;
  }

  protected tooManyResets(sink: CodecSink): void {
    this.fail(sink, ENHANCE_YOUR_CALM, 'reset-flood', { limit: MAX_RESETS }, 0, 0);
  }

  eof(_sink: CodecSink): boolean {
    return this.streams.size === 0;
  }

  // === encoding

  abstract encodeRequest(out: Output, head: Head, id: number, last: boolean): void;
  abstract encodeReply(out: Output, head: Head, id: number, last: boolean): void;
  abstract encodeLocalReply(out: Output, id: number, reply: LocalReply): void;
  abstract encodeReset(out: Output, id: number, code: ResetCode): boolean;
  abstract encodeGoAway(out: Output): boolean;

  encodeData(out: Output, id: number, buf: Uint8Array, start: number, end: number, last: boolean): void {
    const s = this.byExchange(id);
    if (s !== null && (s.flags & LOCAL_DONE) === 0) this.sendData(out, s, buf, start, end, last);
  }

  encodeTrailers(out: Output, id: number, trailers: Head | null): void {
    const s = this.byExchange(id);
    if (s !== null && (s.flags & LOCAL_DONE) === 0) this.sendTrailers(out, s, trailers);
  }

  /** Requests are encoded anew for another try: their heads depend on the tables of a connection (Protocol.stateful). */
  reid(): void {
    throw new TypeError('an HTTP/2 request is encoded anew, not patched');
  }

  release(id: number): void {
    const s = this.byExchange(id);
    if (s !== null) this.forget(s);
  }

  credit(out: Output, id: number, bytes: number): void {
    const s = this.byExchange(id);
    if (s !== null && bytes > 0) this.grant(out, s, bytes);
  }

  stalled(id: number): boolean {
    return this.waits(this.byExchange(id));
  }

  encodePing(out: Output, id: number): boolean {
    this.flushControl(out);
    const w = out.out(FRAME_HEAD + 8);
    frameHead(w, 8, PING, 0, 0);
    w.u32(0);
    w.u32(id);
    return true;
  }

  /** Answers to PING are made while decoding: nobody else is asked. */
  encodePong(): void {}
}

/** What a stream is reset with for a reason of the proxy's. */
export function errorOf(code: ResetCode): number {
  switch (code) {
    case 'frame-flood':
    case 'reset-flood':
      return ENHANCE_YOUR_CALM;
    case 'reply-cut':
    case 'upstream-closed':
    case 'upstream-reset':
    case 'stream-reset':
    case 'bad-reply':
    case 'reply-too-large':
    case 'internal':
    case 'filter-threw':
    case 'heartbeat-missed':
      return 2;
    default:
      return CANCEL;
  }
}

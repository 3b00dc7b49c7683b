// The server role of HTTP/2: requests in on the client's streams, replies out, each on the stream of its request.
import type { Output } from '../../../core/bytes.js';
import { reasons, type ReasonCode } from '../../../core/reason.js';
import { REQUEST, type Head } from '../../head.js';
import type { CodecSink, LocalReply, ResetCode } from '../../protocol.js';
import { Http2Codec, errorOf } from './codec.js';
import { Fields, STATUS_FIELD } from './fields.js';
import {
  FLAG_END_STREAM, FRAME_HEAD, GOAWAY, NO_ERROR, PREFACE, PROTOCOL_ERROR, REFUSED_STREAM, STREAM_CLOSED, frameHead,
} from './frame.js';
import { grpcMessage, grpcOfHttp, grpcOfReason } from './grpc.js';
import { Http2Head } from './head.js';
import type { FieldBlock } from './hpack/field-block.js';
import { AS_REQUEST, AS_TRAILERS, meaningOf } from './meaning.js';
import type { Http2Limits } from './send.js';
import { GRPC, LOCAL_DONE, MALFORMED, NO_CONTENT, REMOTE_DONE, REPLIED, takeStream, type Http2Stream } from './stream.js';

const MAX_ID = 0x7fffffff;
/** Most characters of a grpc-message. */
const MAX_TEXT = 4096;

/** Heads are delivered during a call only, so that all codecs of a thread share them. */
const requestHead = new Http2Head();
const trailersHead = new Http2Head();

export class Http2ServerCodec extends Http2Codec {
  /** The last go-away named the last stream that is served: later ones are not. */
  private final = false;
  /** Highest stream that the client opened, served or not. */
  private highest = 0;
  private goingAway = false;
  private settingsSent = false;

  constructor(limits: Http2Limits) {
    super('server', limits);
    this.prefaceLeft = PREFACE.length;
  }

  /** A server's connection ends by go-aways, never behind a single reply. */
  get mustClose(): boolean {
    return false;
  }

  protected preface(buf: Uint8Array, start: number, end: number, sink: CodecSink): number {
    const n = Math.min(this.prefaceLeft, end - start);
    const from = PREFACE.length - this.prefaceLeft;
    for (let i = 0; i < n; i++) {
      if (buf[start + i] === PREFACE[from + i]) continue;
      this.connectionError(sink, PROTOCOL_ERROR, 'not the preface of HTTP/2');
      return n;
    }
    this.prefaceLeft -= n;
    if (this.prefaceLeft === 0) this.writeSettings();
    return n;
  }

  /**
   * The connection was HTTP/1.1 until its first request asked for h2c (RFC 7540 section 3.2): `settings` is what HTTP2-Settings held.
   * The request is stream 1; the client's preface follows.
   */
  upgrade(settings: Uint8Array, sink: CodecSink): void {
    for (let p = 0; p + 6 <= settings.length; p += 6) {
      this.applySetting((settings[p]! << 8) | settings[p + 1]!, (settings[p + 2]! * 0x1000000) + ((settings[p + 3]! << 16) | (settings[p + 4]! << 8) | settings[p + 5]!), sink);
    }
    this.writeSettings();
    this.settingsSent = true;
  }

  protected override writeSettings(): void {
    if (!this.settingsSent) super.writeSettings();
  }

  /** Begins stream 1 with a request that came as HTTP/1.1, whole. */
  beginUpgraded(block: FieldBlock, sink: CodecSink): void {
    this.onBlock(1, block, true, sink);
  }

  protected onBlock(id: number, block: FieldBlock, last: boolean, sink: CodecSink): void {
    const known = this.streams.get(id);
    if (known !== null) {
      this.onTrailers(known, block, last, sink);
      return;
    }
    if ((id & 1) === 0) return this.connectionError(sink, PROTOCOL_ERROR, 'a client that opens a stream with an even id');
    if (id <= this.highest) return this.onClosedStream(id, 'HEADERS', sink);
    this.highest = id;
    // What comes behind the final go-away will be asked elsewhere.
    if (this.final) return;
    this.lastStream = id;
    if (this.streams.size >= this.limits.maxStreams) {
      this.controlReset(id, REFUSED_STREAM);
      if (this.resetsTooMany()) this.tooManyResets(sink);
      return;
    }
    this.opened++;
    const s = takeStream(id, id, this.peerWindow, this.ownWindow);
    this.streams.add(s);
    if (last) s.flags |= REMOTE_DONE;
    const meaning = meaningOf(block, AS_REQUEST);
    if (meaning.grpc) s.flags |= GRPC;
    if (meaning.headMethod) s.flags |= NO_CONTENT;
    if (block.tooLarge) {
      sink.onRefused!(REQUEST, id, 'head-too-large', { limit: this.limits.maxHead });
      return;
    }
    if (meaning.problem !== '' || (last && meaning.length > 0)) {
      s.flags |= MALFORMED;
      sink.onRefused!(REQUEST, id, 'bad-request', { detail: meaning.problem === '' ? 'a content-length without content' : meaning.problem });
      return;
    }
    s.expected = meaning.length;
    const head = requestHead;
    head.show(meaning, id, this.frameSize);
    sink.onRequest(head, last);
  }

  private onTrailers(s: Http2Stream, block: FieldBlock, last: boolean, sink: CodecSink): void {
    if ((s.flags & REMOTE_DONE) !== 0) return this.streamError(s.id, STREAM_CLOSED, 'HEADERS behind the end of a stream', sink);
    const meaning = meaningOf(block, AS_TRAILERS);
    if (!last || meaning.problem !== '' || block.tooLarge || s.expected > 0) {
      const detail = !last ? 'a second head' : meaning.problem !== '' ? meaning.problem : block.tooLarge ? 'trailers that are too large' : 'content that is not as long as content-length says';
      return this.streamError(s.id, PROTOCOL_ERROR, detail, sink);
    }
    const { id } = s;
    this.remoteDone(s);
    trailersHead.show(meaning, id, this.frameSize);
    sink.onTrailers(id, trailersHead);
  }

  protected mayCarryData(): boolean {
    return true;
  }

  protected isIdle(id: number): boolean {
    return id > this.highest || (id & 1) === 0;
  }

  protected override onClosedStream(id: number, what: string, sink: CodecSink): void {
    // The rest of requests that came behind the final go-away.
    if (this.final && id > this.lastStream && !this.isIdle(id)) return;
    super.onClosedStream(id, what, sink);
  }

  protected onPeerReset(s: Http2Stream, _error: number, sink: CodecSink): void {
    const { id } = s;
    this.forget(s);
    sink.onReset(id, 'downstream-reset');
    if (this.resetsTooMany()) this.tooManyResets(sink);
  }

  protected onStreamFault(exchange: number, code: ReasonCode | '', _detail: string, sink: CodecSink): void {
    sink.onReset(exchange, code === '' ? 'bad-request' : code);
    if (this.resetsTooMany()) this.tooManyResets(sink);
  }

  /** A client that leaves: it opens no further streams by itself. */
  protected onGoAway(): void {}

  /** How many streams we may open: none are, so the limit does not matter. */
  protected onPeerLimit(): void {}

  protected byExchange(id: number): Http2Stream | null {
    return this.streams.get(id);
  }

  protected left(): void {}

  // === encoding

  encodeReply(out: Output, head: Head, id: number, last: boolean): void {
    const s = this.streams.get(id);
    if (s === null || (s.flags & LOCAL_DONE) !== 0) return;
    if (head.interim) {
      this.sendHead(out, s, head, false);
      return;
    }
    s.flags |= REPLIED;
    this.sendHead(out, s, head, last);
  }

  encodeLocalReply(out: Output, id: number, reply: LocalReply): void {
    const s = this.streams.get(id);
    if (s === null || (s.flags & (LOCAL_DONE | REPLIED)) !== 0) return;
    this.flushControl(out);
    s.flags |= REPLIED;
    if ((s.flags & GRPC) !== 0) {
      this.localTrailers(out, s, reply);
      return;
    }
    const status = reply.status >= 200 && reply.status <= 999 ? reply.status : 500;
    const empty = status === 204 || status === 304;
    const body = empty ? Buffer.alloc(0) : Buffer.from(reply.body as string);
    const fields = new Fields(this.encoder);
    fields.pseudo(STATUS_FIELD, String(status));
    if (reasons[reply.code].kind !== 'ok') fields.text('x-sluice-reason', reply.code);
    let typed = body.length === 0;
    for (const [name, value] of reply.headers) {
      const lower = name.toLowerCase();
      if (framing.has(lower)) continue;
      if (lower === 'content-type') typed = true;
      fields.text(lower, value);
    }
    if (!typed) fields.text('content-type', 'text/plain; charset=utf-8');
    if (!empty) fields.text('content-length', String(body.length));
    const none = body.length === 0 || (s.flags & NO_CONTENT) !== 0;
    fields.write(out, id, none ? FLAG_END_STREAM : 0, this.peerFrame);
    const malformed = (s.flags & MALFORMED) !== 0;
    if (malformed) s.flags |= REMOTE_DONE;
    if (none) this.localDone(out, s);
    else this.sendData(out, s, body, 0, body.length, true);
    if (!malformed) return;
    this.writeReset(out, id, PROTOCOL_ERROR);
    // No window had room for all of the body: nothing may follow the reset.
    if (s.id === id) this.forget(s);
  }

  /** A reply without content whose head is its trailers ("Trailers-Only" of gRPC over HTTP/2). */
  private localTrailers(out: Output, s: Http2Stream, reply: LocalReply): void {
    const fields = new Fields(this.encoder);
    fields.pseudo(STATUS_FIELD, '200');
    fields.text('content-type', 'application/grpc');
    this.grpcFields(fields, reply.code, reasons[reply.code].kind === 'ok' ? grpcOfHttp(reply.status) : grpcOfReason(reply.code), typeof reply.body === 'string' ? reply.body : Buffer.from(reply.body).toString());
    for (const [name, value] of reply.headers) if (!framing.has(name.toLowerCase()) && name.toLowerCase() !== 'content-type') fields.text(name, value);
    fields.write(out, s.id, FLAG_END_STREAM, this.peerFrame);
    this.localDone(out, s);
  }

  private grpcFields(fields: Fields, code: ReasonCode, status: number, text: string): void {
    fields.text('grpc-status', String(status));
    if (text !== '') fields.text('grpc-message', grpcMessage(text.slice(0, MAX_TEXT)));
    if (reasons[code].kind !== 'ok') fields.text('x-sluice-reason', code);
  }

  /** A gRPC call that had its head gets the reason as its status; others, and what waits for a window, are reset. */
  encodeReset(out: Output, id: number, code: ResetCode): boolean {
    const s = this.streams.get(id);
    if (s === null) return true;
    this.flushControl(out);
    if ((s.flags & (GRPC | REPLIED | LOCAL_DONE)) === (GRPC | REPLIED) && s.queued === 0 && reasons[code].where !== 'downstream') {
      const fields = new Fields(this.encoder);
      this.grpcFields(fields, code, grpcOfReason(code), reasons[code].text.replace(/%[a-z_]+%/g, '?'));
      fields.write(out, id, FLAG_END_STREAM, this.peerFrame);
      this.localDone(out, s);
      return true;
    }
    this.writeReset(out, id, errorOf(code));
    this.forget(s);
    return true;
  }

  /** The first one only announces the end, since requests may be on their way; the next one names the last stream that is served (section 6.8). */
  encodeGoAway(out: Output): boolean {
    if (this.final || this.failed) return false;
    this.final = this.goingAway;
    this.goingAway = true;
    if (this.prefaceLeft > 0) {
      // SETTINGS are the first frame of a server, also of one that goes away before its client has said anything.
      this.writeSettings();
      this.settingsSent = true;
    }
    this.flushControl(out);
    const w = out.out(FRAME_HEAD + 8);
    frameHead(w, 8, GOAWAY, 0, 0);
    w.u32(this.final ? this.lastStream : MAX_ID);
    w.u32(NO_ERROR);
    return true;
  }

  encodeRequest(): void {
    throw new TypeError('an HTTP/2 server sends no requests');
  }
}

const framing = new Set(['content-length', 'transfer-encoding', 'connection', 'keep-alive', 'proxy-connection', 'upgrade']);

// The client role of HTTP/2: requests out on streams of our own, as many as the host allows, and their replies in.
import type { Output } from '../../../core/bytes.js';
import type { ReasonCode } from '../../../core/reason.js';
import { headerName, type Head } from '../../head.js';
import { MAX_IN_FLIGHT } from '../../id-table.js';
import type { CodecSink, ResetCode } from '../../protocol.js';
import { Http2Codec, errorOf } from './codec.js';
import { CANCEL, NO_ERROR, PREFACE, PROTOCOL_ERROR, REFUSED_STREAM, STREAM_CLOSED } from './frame.js';
import { Http2Head, NAME } from './head.js';
import type { FieldBlock } from './hpack/field-block.js';
import { AS_REPLY, AS_TRAILERS, meaningOf } from './meaning.js';
import type { Http2Limits } from './send.js';
import { GRPC, NO_CONTENT, REMOTE_DONE, REPLIED, takeStream, type Http2Stream } from './stream.js';

const METHOD_NAME = headerName(':method');
const MAX_ID = 0x7fffffff;
const EMPTY = Buffer.alloc(0);
/** Streams used before the host has said how many it allows; hosts are asked to allow as many (RFC 9113 section 6.5.2). */
const FIRST_LIMIT = 100;

const replyHead = new Http2Head();
const trailersHead = new Http2Head();

export class Http2ClientCodec extends Http2Codec {
  /** Exchanges that the host lets us have open. */
  capacity = FIRST_LIMIT;
  /** Id of the next stream; ids are used up once and the connection then is, too. */
  nextStream = 1;
  private started = false;
  private limited = false;
  private goAway = false;
  /** Streams by the low 16 bits of their exchange's id, which is a slot of the session's table. */
  private readonly bySlot: (Http2Stream | null)[] = [];

  constructor(limits: Http2Limits) {
    super('client', limits);
  }

  get mustClose(): boolean {
    return this.failed || this.goAway || this.nextStream >= MAX_ID;
  }

  protected preface(): number {
    return 0;
  }

  /** Preface and SETTINGS come first, also before the answers to a host that spoke earlier. */
  private begin(out: Output): void {
    this.started = true;
    out.write(PREFACE, 0, PREFACE.length);
    const early = this.control.take();
    this.writeSettings();
    this.control.write(early, 0, early.length);
  }

  override settle(out: Output, sink: CodecSink): void {
    if (!this.started) this.begin(out);
    super.settle(out, sink);
  }

  encodeRequest(out: Output, head: Head, id: number, last: boolean): void {
    if (!this.started) this.begin(out);
    const s = takeStream(this.nextStream, id, this.peerWindow, this.ownWindow);
    this.nextStream += 2;
    this.lastStream = s.id;
    this.streams.add(s);
    const slot = id & 0xffff;
    while (this.bySlot.length <= slot) this.bySlot.push(null);
    this.bySlot[slot] = s;
    if (head.protocol === NAME) {
      const { meaning, newMethod } = head as Http2Head;
      if (newMethod === null ? meaning.headMethod : newMethod === 'HEAD') s.flags |= NO_CONTENT;
      if (meaning.grpc) s.flags |= GRPC;
    } else if (head.get(METHOD_NAME) === 'HEAD') {
      s.flags |= NO_CONTENT;
    }
    this.sendHead(out, s, head, last);
  }

  protected onBlock(id: number, block: FieldBlock, last: boolean, sink: CodecSink): void {
    const s = this.streams.get(id);
    if (s === null) return this.onClosedStream(id, 'HEADERS', sink);
    if ((s.flags & REMOTE_DONE) !== 0) return this.streamError(id, STREAM_CLOSED, 'HEADERS behind the end of a stream', sink);
    const { exchange } = s;
    if ((s.flags & REPLIED) !== 0) {
      const meaning = meaningOf(block, AS_TRAILERS);
      if (!last || meaning.problem !== '' || block.tooLarge || s.expected > 0) {
        return this.streamError(id, PROTOCOL_ERROR, !last ? 'a second head' : meaning.problem, sink, block.tooLarge ? 'reply-too-large' : 'bad-reply');
      }
      this.remoteDone(s);
      trailersHead.show(meaning, exchange, this.frameSize);
      sink.onTrailers(exchange, trailersHead);
      return;
    }
    if (block.tooLarge) return this.streamError(id, CANCEL, 'a head that is too large', sink, 'reply-too-large');
    const meaning = meaningOf(block, AS_REPLY);
    const interim = meaning.problem === '' && meaning.statusCode < 200;
    if (meaning.problem !== '' || (interim && last)) return this.streamError(id, PROTOCOL_ERROR, meaning.problem, sink, 'bad-reply');
    const head = replyHead;
    head.show(meaning, exchange, this.frameSize);
    if (interim) {
      sink.onReply(head, false);
      return;
    }
    const empty = (s.flags & NO_CONTENT) !== 0 || meaning.statusCode === 204 || meaning.statusCode === 304;
    if (empty) s.flags |= NO_CONTENT;
    else if (last && meaning.length > 0) return this.streamError(id, PROTOCOL_ERROR, 'a content-length without content', sink, 'bad-reply');
    // Content of a reply that cannot have any would be taken for the next reply behind HTTP/1.
    s.expected = empty ? 0 : meaning.length;
    s.flags |= REPLIED;
    if (last) this.remoteDone(s);
    sink.onReply(head, last);
  }

  protected mayCarryData(s: Http2Stream): boolean {
    return (s.flags & REPLIED) !== 0;
  }

  protected isIdle(id: number): boolean {
    return (id & 1) === 0 || id >= this.nextStream;
  }

  protected onPeerReset(s: Http2Stream, error: number, sink: CodecSink): void {
    const { exchange, flags, expected } = s;
    this.forget(s);
    if (error === NO_ERROR) {
      // A host that has replied completely and wants no more of the request says so.
      if ((flags & REMOTE_DONE) !== 0) return;
      // Node's servers end so, without END_STREAM, when their window is used up exactly at the end of the content.
      if ((flags & REPLIED) !== 0 && expected === 0) return sink.onData(exchange, EMPTY, 0, 0, true);
    }
    sink.onReset(exchange, error === REFUSED_STREAM ? 'stream-refused' : 'stream-reset');
  }

  protected onStreamFault(exchange: number, code: ReasonCode | '', _detail: string, sink: CodecSink): void {
    sink.onReset(exchange, code === '' ? 'bad-reply' : code);
  }

  /** Streams above the last one named were not looked at and may be asked for again elsewhere (section 6.8). */
  protected onGoAway(last: number, _error: number, sink: CodecSink): void {
    this.goAway = true;
    const refused: number[] = [];
    this.streams.each((s) => {
      if (s.id <= last) return;
      refused.push(s.exchange);
      this.forget(s);
    });
    sink.onGoAway();
    for (const exchange of refused) sink.onReset(exchange, 'host-goaway');
  }

  protected override afterFirstSettings(sink: CodecSink): void {
    if (!this.limited) this.onPeerLimit(MAX_IN_FLIGHT, sink);
  }

  protected onPeerLimit(streams: number, sink: CodecSink): void {
    this.limited = true;
    this.capacity = streams;
    sink.onCapacity?.();
  }

  protected byExchange(id: number): Http2Stream | null {
    const s = this.bySlot[id & 0xffff];
    return s !== undefined && s !== null && s.exchange === id ? s : null;
  }

  protected left(s: Http2Stream): void {
    const slot = s.exchange & 0xffff;
    if (this.bySlot[slot] === s) this.bySlot[slot] = null;
  }

  encodeReset(out: Output, id: number, code: ResetCode): boolean {
    const s = this.byExchange(id);
    if (s === null) return true;
    const complete = (s.flags & REMOTE_DONE) !== 0;
    this.writeReset(out, s.id, complete ? NO_ERROR : errorOf(code));
    this.forget(s);
    return true;
  }

  /** A client just opens no more streams. */
  encodeGoAway(): boolean {
    return false;
  }

  encodeReply(): void {
    throw new TypeError('an HTTP/2 client sends no replies');
  }

  encodeLocalReply(): void {
    throw new TypeError('an HTTP/2 client sends no replies');
  }
}

// The client role of HTTP/1.1: requests out, each answered before the next, replies in.
import type { Output } from '../../../core/bytes.js';
import { headerName, type Head } from '../../head.js';
import type { CodecSink, LocalReply } from '../../protocol.js';
import {
  DISCARD, HEAD, Http1Codec, IDLE, OUT_CHUNKED, OUT_LENGTH, OUT_NONE, OUT_TUNNEL, TUNNEL, UNTIL_END, wrongRole,
} from './codec.js';
import { CONNECT_METHOD, HEAD_METHOD, NAME, SCAN_REPLY, SCAN_REQUEST, giveHead, takeHead, type Http1Head } from './head.js';
import { writeMessage } from './message.js';
import { FAILED, MORE, scanHead, type Limits } from './scan.js';
import { SAY_TE, SAY_UPGRADE } from './write.js';

const METHOD_NAME = headerName(':method');
const PROTOCOL_NAME = headerName(':protocol');
/** Bytes for a tunnel that are kept until the host has agreed to it. */
const MAX_EARLY = 256 * 1024;

const hasContent = new Set(['POST', 'PUT', 'PATCH']);

/** What this side wrote itself is within no limit. */
const ANY: Limits = { maxLine: 0x3fffffff, maxHead: 0x3fffffff, maxHeaders: 0x3fffffff };

export class Http1ClientCodec extends Http1Codec {
  // Facts of the request that decide what its reply looks like.
  private headMethod = false;
  private connect = false;
  private upgrade = false;
  private early: Buffer[] = [];
  private earlySize = 0;
  /** The host ends the connection after its reply. */
  private replyClose = false;

  constructor(limits: Limits) {
    super('client', limits, IDLE);
  }

  get mustClose(): boolean {
    return this.broken || this.replyClose || this.state !== IDLE || this.out !== OUT_NONE;
  }

  protected get running(): number {
    return this.state === IDLE || this.state === DISCARD ? -1 : 0;
  }

  protected decodeHead(buf: Uint8Array, i: number, end: number, sink: CodecSink): number {
    const head = this.partial ?? takeHead(SCAN_REPLY);
    this.partial = null;
    const n = scanHead(head, buf, i, end, this.limits);
    if (n === MORE) {
      this.partial = head;
      return MORE;
    }
    if (n === FAILED) {
      const { failCode, failContext } = head;
      giveHead(head);
      this.fail(sink, 0, failCode, failContext);
      return end;
    }
    const status = head.status;
    let last = false;
    if (status < 200 && status !== 101) {
      head.interim = true;
      this.noLength(head);
    } else if (status === 101 || (this.connect && status < 300)) {
      if (status === 101 && (!this.upgrade || !head.upgrade || this.out !== OUT_NONE)) {
        giveHead(head);
        this.fail(sink, 0, 'bad-reply', { detail: 'a switch to a protocol that the request did not ask for' });
        return end;
      }
      this.noLength(head);
      this.state = TUNNEL;
      this.out = OUT_TUNNEL;
    } else {
      last = this.beginReply(head, buf, i + n, end);
    }
    const next = head.end;
    if (last) this.messageDecoded(next < end);
    sink.onReply(head, last);
    giveHead(head);
    return next;
  }

  /** Enters the body of a final reply as RFC 9112 section 6.3 frames it; returns whether nothing follows. */
  private beginReply(head: Http1Head, buf: Uint8Array, bodyStart: number, end: number): boolean {
    this.replyClose = head.close || (head.minor === 0 && !head.keepAlive);
    if (this.headMethod || head.status === 304) return true;
    if (head.status === 204) {
      this.noLength(head);
      return true;
    }
    if (head.chunked || head.lengthIndex >= 0) return this.beginBody(head, buf, bodyStart, end);
    this.replyClose = true;
    this.state = UNTIL_END;
    return false;
  }

  /** Takes out a content-length that must not be there and means nothing (RFC 9110 section 8.6). */
  private noLength(head: Http1Head): void {
    head.dropLength();
    head.length = -1;
  }

  protected messageDecoded(more: boolean): void {
    this.state = IDLE;
    // Known before the sink hears of the end, so that nobody reuses the connection: bytes behind a reply would answer the next
    // request, and an unfinished request would swallow it.
    if (more || this.out !== OUT_NONE) this.broken = true;
  }

  protected messageEncoded(): void {
    this.out = OUT_NONE;
  }

  /**
   * A host that ends before any byte of its reply is no cut message: nothing is reported, false is returned, and whoever owns the
   * connection decides what becomes of the request.
   */
  eof(sink: CodecSink): boolean {
    switch (this.state) {
      case TUNNEL:
        this.endAtEnd(sink);
        return true;
      case UNTIL_END:
        this.broken = true;
        this.messageDecoded(false);
        this.endAtEnd(sink);
        return true;
      case IDLE:
        this.broken = true;
        return true;
      case HEAD:
        if (this.partial !== null) return this.cut(sink, 'reply-cut');
        this.broken = true;
        return false;
      case DISCARD:
        return false;
      default:
        return this.cut(sink, 'reply-cut');
    }
  }

  encodeRequest(out: Output, head: Head, _id: number, last: boolean): void {
    if (this.state !== IDLE || this.out !== OUT_NONE) throw wrongRole('client', 'a request while another one runs');
    const own = head.protocol === NAME ? (head as Http1Head) : null;
    let length: number;
    let said = 0;
    if (own !== null) {
      this.mirror(own);
      if (own.upgrade) said |= SAY_UPGRADE;
      if (own.teIndex >= 0) said |= SAY_TE;
    } else {
      const method = head.get(METHOD_NAME);
      this.headMethod = method === 'HEAD';
      this.upgrade = method === 'CONNECT' && head.find(PROTOCOL_NAME);
      this.connect = method === 'CONNECT' && !this.upgrade;
      if (this.upgrade) said |= SAY_UPGRADE;
    }
    if (head.whole) length = head.bodyEnd - head.bodyStart;
    else if (!last) length = head.length;
    // A request that never had a body needs no length; one that lost it has to say so.
    else if (own !== null) length = own.chunked || own.sentLength > 0 ? 0 : own.sentLength;
    // Other protocols' heads do not tell whether there could have been a body; methods that mostly have one say that it is empty.
    else length = hasContent.has(head.get(METHOD_NAME) ?? '') ? 0 : -1;
    // What a client sends for a tunnel waits until there is one.
    const tunnel = own === null && (this.connect || this.upgrade);
    if (tunnel) length = -1;
    const done = last || head.whole || tunnel;
    const chunked = !done && length < 0;
    writeMessage(out, head, length, chunked, said, head.whole && !tunnel);
    this.out = done ? OUT_NONE : chunked ? OUT_CHUNKED : OUT_LENGTH;
    this.owed = done ? 0 : length;
    this.state = HEAD;
  }

  /** For a tunnel that is not there yet, content waits; a call with none of it, once the tunnel is there, lets it go. */
  override encodeData(out: Output, id: number, buf: Uint8Array, start: number, end: number, last: boolean): void {
    if ((this.connect || this.upgrade) && this.out === OUT_NONE && this.state === HEAD) {
      if (end === start) return;
      this.earlySize += end - start;
      if (this.earlySize > MAX_EARLY) this.broken = true;
      else this.early.push(Buffer.from(buf.subarray(start, end)));
      return;
    }
    if (this.early.length > 0 && this.out === OUT_TUNNEL) {
      const early = this.early;
      this.early = [];
      for (const piece of early) super.encodeData(out, id, piece, 0, piece.length, false);
    }
    super.encodeData(out, id, buf, start, end, last);
  }

  /** Reads from a request that another codec wrote what its reply and the rest of its body need. */
  reid(buf: Uint8Array, start: number, end: number, _id: number, last: boolean): void {
    if (this.state !== IDLE || this.out !== OUT_NONE) throw wrongRole('client', 'a request while another one runs');
    const head = takeHead(SCAN_REQUEST);
    const n = scanHead(head, buf, start, end, ANY);
    if (n < 0) {
      giveHead(head);
      throw wrongRole('client', 'a second try of bytes that are no request');
    }
    this.mirror(head);
    const body = end - start - n;
    this.out = last ? OUT_NONE : head.chunked ? OUT_CHUNKED : OUT_LENGTH;
    this.owed = last || head.chunked ? 0 : Math.max(0, head.length - body);
    this.state = HEAD;
    giveHead(head);
  }

  private mirror(own: Http1Head): void {
    this.headMethod = own.method === HEAD_METHOD;
    this.connect = own.method === CONNECT_METHOD;
    this.upgrade = own.upgrade;
  }

  release(_id: number): void {
    if (this.state === IDLE && this.out === OUT_NONE) return;
    this.broken = true;
    this.state = DISCARD;
    this.out = OUT_NONE;
    if (this.partial !== null) {
      giveHead(this.partial);
      this.partial = null;
    }
  }

  encodeGoAway(_out: Output): boolean {
    return false;
  }

  encodeReply(_out: Output, _head: Head, _id: number, _last: boolean): void {
    throw wrongRole('client', 'replies');
  }

  encodeLocalReply(_out: Output, _id: number, _reply: LocalReply): void {
    throw wrongRole('client', 'replies');
  }
}

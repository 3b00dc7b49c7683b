// The server role of HTTP/1.1: requests in, one at a time, replies out, framed as the client understands them.
import type { Output } from '../../../core/bytes.js';
import type { Head } from '../../head.js';
import type { CodecSink, LocalReply } from '../../protocol.js';
import {
  DISCARD, HEAD, Http1Codec, LENGTH, OUT_CHUNKED, OUT_EMPTY, OUT_HEAD, OUT_LENGTH, OUT_NONE, OUT_TUNNEL, OUT_UNTIL_END, TRAILERS, TUNNEL, WAIT,
  wrongRole,
} from './codec.js';
import { CONNECT_METHOD, HEAD_METHOD, NAME, SCAN_REQUEST, giveHead, takeHead, type Http1Head } from './head.js';
import { writeLocalReply } from './local-reply.js';
import { writeMessage } from './message.js';
import { FAILED, MORE, scanHead, type Limits } from './scan.js';
import { SAY_CLOSE, SAY_KEEP_ALIVE, SAY_UPGRADE } from './write.js';

export class Http1ServerCodec extends Http1Codec {
  // Facts of the request that its reply must mirror.
  private minor = 1;
  private keepAlive = true;
  private headMethod = false;
  private connect = false;
  private upgrade = false;
  /** The proxy drains: the next reply says close. */
  private closing = false;
  /** A reply said close, so no further request may be answered. */
  private closeSent = false;
  /** The one empty line that may come before a request (RFC 9112 section 2.2) was skipped. */
  private blankSkipped = false;

  constructor(limits: Limits) {
    super('server', limits, HEAD);
  }

  get mustClose(): boolean {
    return this.broken || this.closeSent || this.state === TUNNEL;
  }

  protected get running(): number {
    return this.out === OUT_NONE ? -1 : 0;
  }

  protected decodeHead(buf: Uint8Array, i: number, end: number, sink: CodecSink): number {
    if (this.partial === null && buf[i] === 13 && !this.blankSkipped) {
      if (i + 1 === end) return MORE;
      if (buf[i + 1] === 10) {
        this.blankSkipped = true;
        return i + 2;
      }
    }
    const head = this.partial ?? takeHead(SCAN_REQUEST);
    this.partial = null;
    const n = scanHead(head, buf, i, end, this.limits);
    if (n === MORE) {
      this.partial = head;
      return MORE;
    }
    if (n === FAILED) {
      const { failCode, failContext } = head;
      giveHead(head);
      this.mirror(null);
      this.out = OUT_HEAD;
      this.fail(sink, -1, failCode, failContext);
      return end;
    }
    this.blankSkipped = false;
    this.mirror(head);
    this.out = OUT_HEAD;
    const done = this.beginBody(head, buf, i + n, end);
    const next = head.end;
    if (done) this.state = WAIT;
    sink.onRequest(head, done);
    giveHead(head);
    return next;
  }

  private mirror(head: Http1Head | null): void {
    this.minor = head === null ? 1 : head.minor;
    this.keepAlive = head !== null && !head.close && (head.minor === 1 || head.keepAlive);
    this.headMethod = head !== null && head.method === HEAD_METHOD;
    this.connect = head !== null && head.method === CONNECT_METHOD;
    this.upgrade = head !== null && head.upgrade;
  }

  protected messageDecoded(_more: boolean): void {
    this.state = WAIT;
  }

  protected messageEncoded(): void {
    this.out = OUT_NONE;
    if (this.state === WAIT && !this.closeSent && !this.broken) {
      this.state = HEAD;
      return;
    }
    // The rest of an unfinished request cannot be told from the next one cheaply enough to be worth a connection.
    if (this.state !== WAIT) this.broken = true;
    this.state = DISCARD;
  }

  eof(sink: CodecSink): boolean {
    if (this.state === TUNNEL) {
      this.endAtEnd(sink);
      return true;
    }
    if (this.partial !== null || (this.state >= LENGTH && this.state <= TRAILERS)) return this.cut(sink, 'downstream-closed');
    // A client may end its side and still read: a reply that is due is made, then the connection ends.
    this.broken = true;
    return this.state !== DISCARD || this.out === OUT_NONE;
  }

  encodeReply(out: Output, head: Head, _id: number, last: boolean): void {
    if (this.out !== OUT_HEAD) return;
    const status = head.status;
    if (head.interim) {
      // HTTP/1.0 has no interim replies.
      if (this.minor === 1) writeMessage(out, head, -1, false, 0, false);
      return;
    }
    let length = -1;
    let mode = OUT_EMPTY;
    if (this.connect ? status >= 200 && status < 300 : this.upgrade && status === 101) {
      mode = OUT_TUNNEL;
    } else if (this.headMethod || status === 304) {
      length = head.length;
    } else if (status === 204 || status < 200) {
      // No content-length here (RFC 9110 section 8.6).
    } else if (head.whole) {
      length = head.bodyEnd - head.bodyStart;
      mode = OUT_LENGTH;
    } else if (last) {
      length = 0;
      mode = OUT_LENGTH;
    } else {
      length = head.length;
      mode = length >= 0 ? OUT_LENGTH : this.minor === 1 ? OUT_CHUNKED : OUT_UNTIL_END;
    }
    const done = last || head.whole;
    let said = 0;
    if (mode === OUT_TUNNEL) {
      if (status === 101) said = SAY_UPGRADE;
      if (this.state !== WAIT) this.broken = true;
      this.state = TUNNEL;
    } else {
      if (this.closing || this.broken || !this.keepAlive || mode === OUT_UNTIL_END || (done && this.state !== WAIT)) {
        this.closeSent = true;
        said = SAY_CLOSE;
      } else if (this.minor === 0) {
        said = SAY_KEEP_ALIVE;
      }
      // Of the other replies only 426 keeps its upgrade header, and that one has to be named.
      if (status === 426 && head.protocol === NAME && (head as Http1Head).upgrade) said |= SAY_UPGRADE;
    }
    const content = mode === OUT_LENGTH && head.whole;
    writeMessage(out, head, length, mode === OUT_CHUNKED, said, content);
    this.out = mode;
    this.owed = mode === OUT_LENGTH && !content ? length : 0;
    if (done && mode !== OUT_TUNNEL) this.messageEncoded();
  }

  /** Also answers a request whose head never became complete (a timeout): then the connection ends with the reply. */
  encodeLocalReply(out: Output, _id: number, reply: LocalReply): void {
    if (this.out === OUT_NONE && this.state === HEAD) {
      this.mirror(null);
      this.out = OUT_HEAD;
    }
    if (this.out !== OUT_HEAD) {
      // The client has seen another reply's beginning; only the end of the connection can tell it that this went wrong.
      this.broken = true;
      return;
    }
    // What follows a 2xx to CONNECT is taken for the tunnel's bytes, so it had better end.
    const close = reply.close || this.closing || this.broken || !this.keepAlive || this.connect || this.state !== WAIT;
    if (close) this.closeSent = true;
    writeLocalReply(out, reply, close ? SAY_CLOSE : this.minor === 0 ? SAY_KEEP_ALIVE : 0, this.headMethod);
    this.messageEncoded();
  }

  release(_id: number): void {
    if (this.out === OUT_NONE && (this.state === HEAD || this.state === DISCARD)) return;
    this.broken = true;
    this.state = DISCARD;
    this.out = OUT_NONE;
    if (this.partial !== null) {
      giveHead(this.partial);
      this.partial = null;
    }
  }

  /** Nothing is written: the next reply carries `connection: close`. */
  encodeGoAway(_out: Output): boolean {
    this.closing = true;
    return false;
  }

  encodeRequest(_out: Output, _head: Head, _id: number, _last: boolean): void {
    throw wrongRole('server', 'requests');
  }

  reid(): void {
    throw wrongRole('server', 'requests');
  }
}

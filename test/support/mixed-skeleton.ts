// A skeleton of a protocol whose messages come in pieces of any mix, as those of HTTP/2 do: streams with resets and go-aways, no flow control.
import type { Output } from '../../src/core/bytes.js';
import { REPLY, REQUEST, headerName, type Head } from '../../src/stream/head.js';
import { MATCH_YES, type Codec, type CodecSink, type LocalReply, type Protocol, type Role } from '../../src/stream/protocol.js';
import { FakeHead } from './fake-head.js';

/* A piece: u8 kind, u8 1 = the last of its message, u32 stream, u32 length, content. A head is its headers as JSON, a go-away a list of streams. */
export const HEAD = 1;
export const DATA = 2;
export const RESET = 3;
export const GOAWAY = 4;
const STATUS = headerName(':status');
const EMPTY = Buffer.alloc(0);

export function piece(kind: number, id: number, content: Uint8Array | string = '', last = false): Buffer {
  const bytes = Buffer.concat([Buffer.alloc(10), Buffer.from(content)]);
  bytes[0] = kind;
  bytes[1] = last ? 1 : 0;
  bytes.writeUInt32BE(id, 2);
  bytes.writeUInt32BE(bytes.length - 10, 6);
  return bytes;
}

class MixedCodec implements Codec {
  readonly role: Role;
  want = 0;
  readonly blocked = false;
  readonly held = 0;
  readonly tunnel = false;
  readonly mustClose = false;

  constructor(role: Role) {
    this.role = role;
  }

  decode(buf: Uint8Array, start: number, end: number, sink: CodecSink): number {
    const b = buf as Buffer;
    let p = start;
    for (this.want = 10; end - p >= 10; this.want = 10) {
      const to = p + 10 + b.readUInt32BE(p + 6);
      this.want = to - p;
      if (to > end) break;
      const id = b.readUInt32BE(p + 2);
      const last = b[p + 1] === 1;
      if (b[p] === DATA) sink.onData(id, buf, p + 10, to, last);
      else if (b[p] === RESET) sink.onReset(id, this.role === 'server' ? 'downstream-reset' : 'upstream-reset');
      else if (b[p] === HEAD) this.head(JSON.parse(b.toString('utf8', p + 10, to)) as Record<string, string>, id, last, sink);
      else {
        sink.onGoAway();
        for (let at = p + 10; at < to; at += 4) sink.onReset(b.readUInt32BE(at), 'host-goaway');
      }
      p = to;
    }
    return p - start;
  }

  private head(headers: Record<string, string>, id: number, last: boolean, sink: CodecSink): void {
    const head = new FakeHead(headers, 'mixed');
    head.id = id;
    head.kind = this.role === 'server' ? REQUEST : REPLY;
    head.status = Number(headers[':status'] ?? 0);
    if (this.role === 'server') sink.onRequest(head, last);
    else sink.onReply(head, last);
  }

  eof(): boolean {
    return true;
  }
  private put(out: Output, bytes: Buffer): void {
    out.write(bytes, 0, bytes.length);
  }
  encodeRequest(out: Output, head: Head, id: number, last: boolean): void {
    const headers = JSON.stringify(Object.fromEntries((head as FakeHead).headers));
    const whole = head.whole ? piece(DATA, id, head.bodyBuf.subarray(head.bodyStart, head.bodyEnd), last) : EMPTY;
    this.put(out, Buffer.concat([piece(HEAD, id, headers, last && !head.whole), whole]));
  }
  encodeReply(out: Output, head: Head, id: number, last: boolean): void {
    this.encodeRequest(out, head, id, last);
  }
  encodeData(out: Output, id: number, buf: Uint8Array, start: number, end: number, last: boolean): void {
    this.put(out, piece(DATA, id, buf.subarray(start, end), last));
  }
  encodeTrailers(out: Output, id: number): void {
    this.put(out, piece(DATA, id, EMPTY, true));
  }
  reid(buf: Uint8Array, start: number, end: number, id: number): void {
    for (let p = start; p < end; p += 10 + (buf as Buffer).readUInt32BE(p + 6)) (buf as Buffer).writeUInt32BE(id, p + 2);
  }
  encodeReset(out: Output, id: number): boolean {
    this.put(out, piece(RESET, id));
    return true;
  }
  encodeLocalReply(out: Output, id: number, reply: LocalReply): void {
    this.put(out, Buffer.concat([piece(HEAD, id, JSON.stringify({ [STATUS.name]: String(reply.status), reason: reply.code })), piece(DATA, id, reply.body, true)]));
  }
  release(): void {}
  encodePing(): boolean {
    return false;
  }
  encodePong(): void {}
  encodeGoAway(): boolean {
    return false;
  }
}

export class MixedSkeleton implements Protocol {
  readonly name = 'mixed';
  readonly pool = 'multiplex';
  readonly interleaves = true;
  readonly matchBytes = 1;
  readonly bidirectional = false;
  readonly requestIds = false;
  readonly heartbeat = { interval: 0, timeout: 0, misses: 0 };
  readonly downstreamIdle = 0;

  match(): typeof MATCH_YES {
    return MATCH_YES;
  }
  codec(role: Role): Codec {
    return new MixedCodec(role);
  }
  statusOf(): number {
    return 500;
  }
  idempotent(): boolean {
    return false;
  }
  mirror(): number {
    return -1;
  }
}

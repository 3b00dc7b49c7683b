// A skeleton of the Kafka wire protocol that tries the codec contract: correlation ids that are rewritten, replies in order all the same, large frames in pieces.
import type { Output } from '../../src/core/bytes.js';
import { ALONE, Head, ONEWAY, REPLY, REQUEST, RPC_METHOD, SHARED, headerName, type HeaderName } from '../../src/stream/head.js';
import { OrderedReplies } from '../../src/stream/ordered-replies.js';
import { MATCH_MORE, MATCH_NO, MATCH_YES, type Codec, type CodecSink, type LocalReply, type Match, type Protocol, type Role } from '../../src/stream/protocol.js';

/*
 * Request:  i32 length of what follows, i16 api key, i16 api version, i32 correlation id, i16 length of client id (-1: none), client id, body
 * Response: i32 length of what follows, i32 correlation id, body
 * A client takes replies in the order of its requests (Java's NetworkClient ends the connection otherwise). Produce with acks = 0 has none.
 */
export const CLIENT_ID = headerName('kafka-client-id');
const API = headerName(':rpc-method');
const MAX_WHOLE = 256 * 1024;
const MAX_FRAME = 100 * 1024 * 1024;
const MAX_PIPELINE = 128;
const MAX_HELD = 256 * 1024;
const EMPTY = Buffer.alloc(0);
const names: Readonly<Record<number, string>> = { 0: 'produce', 1: 'fetch', 3: 'metadata', 11: 'join-group', 12: 'heartbeat', 14: 'sync-group', 18: 'api-versions' };
/** A broker answers one connection in order, so what it lets wait stops whatever is behind. */
const waits: ReadonlySet<number> = new Set([1, 11, 14]);
const REQUEST_TIMED_OUT = 7;
const NOT_COORDINATOR = 16;

class KafkaHead extends Head {
  apiKey = 0;
  apiVersion = 0;
  private clientId: Buffer | null = null;

  constructor() {
    super('kafka', EMPTY);
  }

  /** Bytes before the body. */
  get fixed(): number {
    return this.kind === REPLY ? 8 : 14 + Math.max(0, (this.buf as Buffer).readInt16BE(this.start + 12));
  }

  find(name: HeaderName): boolean {
    if (this.kind === REPLY || (name !== CLIENT_ID && name.part !== RPC_METHOD)) return false;
    if (name === CLIENT_ID && this.clientId === null) {
      [this.vbuf, this.vstart, this.vend] = [this.buf, this.start + 14, this.start + this.fixed];
      return true;
    }
    const text = name === CLIENT_ID ? this.clientId! : Buffer.from(names[this.apiKey] ?? String(this.apiKey));
    [this.vbuf, this.vstart, this.vend] = [text, 0, text.length];
    return true;
  }
  set(name: HeaderName, value: string): void {
    if (name !== CLIENT_ID || this.kind === REPLY) return;
    this.clientId = Buffer.from(value);
    this.edited = true;
  }
  add(name: HeaderName, value: string): void {
    this.set(name, value);
  }
  remove(name: HeaderName): void {
    this.set(name, '');
  }
  each(visit: (name: string, value: string) => void): void {
    if (this.find(CLIENT_ID)) visit(CLIENT_ID.name, this.get(CLIENT_ID)!);
  }

  reset(): void {
    this.clientId = null;
    this.edited = false;
  }

  keep(): KafkaHead {
    const { kind, id, apiKey, apiVersion, whole, length, status, sharing, edited, start, end } = this;
    const copy = Object.assign(new KafkaHead(), { kind, id, apiKey, apiVersion, whole, length, status, sharing, end: end - start });
    copy.clientId = this.clientId;
    copy.buf = copy.bodyBuf = Buffer.from(this.buf.subarray(start, end));
    copy.bodyStart = this.bodyStart - start;
    copy.bodyEnd = this.bodyEnd - start;
    if (this.bodyBuf !== this.buf) copy.setBody(Buffer.from(this.bodyBuf.subarray(this.bodyStart, this.bodyEnd)));
    copy.edited = edited;
    return copy;
  }

  /** What lies before the body, with its edits, for `content` bytes of body. */
  prefix(content: number, id: number): Buffer {
    let bytes = Buffer.from(this.buf.subarray(this.start, this.start + this.fixed));
    if (this.clientId !== null) {
      bytes = Buffer.concat([bytes.subarray(0, 14), this.clientId]);
      bytes.writeInt16BE(this.clientId.length, 12);
    }
    bytes.writeInt32BE(bytes.length - 4 + content, 0);
    bytes.writeInt32BE(id | 0, this.kind === REPLY ? 4 : 8);
    return bytes;
  }
}

class KafkaCodec implements Codec {
  readonly role: Role;
  want = 0;
  readonly tunnel = false;
  private readonly head = new KafkaHead();
  private readonly order = new OrderedReplies();
  /** Correlation ids (and apis) of the client's requests, by their numbers. */
  private readonly asked = new Map<number, { id: number; apiKey: number; apiVersion: number }>();
  /** The frame that passes in pieces. */
  private openId = -1;
  private openLeft = 0;
  private failed = false;

  constructor(role: Role) {
    this.role = role;
  }

  get blocked(): boolean {
    return this.order.outstanding >= MAX_PIPELINE || this.order.held > MAX_HELD;
  }
  get held(): number {
    return this.order.held;
  }
  get mustClose(): boolean {
    return this.order.broken || this.failed;
  }

  decode(buf: Uint8Array, start: number, end: number, sink: CodecSink): number {
    const b = buf as Buffer;
    const least = this.role === 'server' ? 14 : 8;
    let p = start;
    this.want = 0;
    while (p < end && !this.failed) {
      if (this.openLeft > 0) {
        const n = Math.min(this.openLeft, end - p);
        this.openLeft -= n;
        p += n;
        sink.onData(this.openId, buf, p - n, p, this.openLeft === 0);
        continue;
      }
      if (this.blocked) break;
      this.want = least;
      if (end - p < least) break;
      const size = b.readInt32BE(p) + 4;
      if (size < least || size > MAX_FRAME) {
        this.failed = true;
        sink.onError(this.role === 'server' ? this.order.expect() : -1, size > MAX_FRAME ? 'frame-too-large' : 'bad-frame', { detail: `length ${size - 4}`, limit: MAX_FRAME });
        break;
      }
      const fixed = this.role === 'client' ? 8 : 14 + Math.max(0, b.readInt16BE(p + 12));
      const whole = size <= MAX_WHOLE;
      this.want = whole ? size : Math.min(fixed, size);
      if (end - p < this.want) break;
      const head = this.head;
      head.reset();
      Object.assign(head, { buf, bodyBuf: buf, start: p, end: whole ? p + size : p + fixed, whole, bodyStart: p + fixed, bodyEnd: p + size, length: size - fixed });
      p = head.end;
      this.openLeft = whole ? 0 : size - fixed;
      if (this.role === 'server') this.request(b, sink);
      else this.reply(b, sink);
      this.want = 0;
    }
    return this.failed ? end - start : p - start;
  }

  private request(buf: Buffer, sink: CodecSink): void {
    const head = this.head;
    head.apiKey = buf.readInt16BE(head.start + 4);
    head.apiVersion = buf.readInt16BE(head.start + 6);
    // Versions 3 to 8 begin with a transactional id; later ones are written in another way.
    const acksAt = head.bodyStart + (head.apiVersion >= 3 && head.whole ? 2 + Math.max(0, buf.readInt16BE(head.bodyStart)) : 0);
    const silent = head.apiKey === 0 && head.apiVersion < 9 && head.whole && buf.readInt16BE(acksAt) === 0;
    head.kind = silent ? ONEWAY : REQUEST;
    head.sharing = waits.has(head.apiKey) ? ALONE : SHARED;
    head.id = silent ? 0 : this.order.expect();
    if (!silent) this.asked.set(head.id, { id: buf.readInt32BE(head.start + 8), apiKey: head.apiKey, apiVersion: head.apiVersion });
    this.openId = head.id;
    sink.onRequest(head, head.whole);
  }

  private reply(buf: Buffer, sink: CodecSink): void {
    const head = this.head;
    head.kind = REPLY;
    head.id = buf.readInt32BE(head.start + 4) >>> 0;
    head.status = 200;
    this.openId = head.id;
    sink.onReply(head, head.whole);
  }

  eof(): boolean {
    return this.openLeft === 0 && this.want === 0;
  }

  encodeRequest(out: Output, head: Head, id: number, last: boolean): void {
    this.put(out, head as KafkaHead, id, last);
  }

  private put(out: Output, head: KafkaHead, id: number, last: boolean): void {
    const content = head.whole ? head.bodyEnd - head.bodyStart : last ? 0 : head.length;
    const prefix = head.prefix(content, id);
    const body = head.whole ? head.bodyBuf.subarray(head.bodyStart, head.bodyEnd) : EMPTY;
    const bytes = Buffer.concat([prefix, body]);
    out.write(bytes, 0, bytes.length);
  }

  encodeReply(out: Output, head: Head, id: number, last: boolean): void {
    this.put(this.order.at(out, id), head as KafkaHead, this.answered(id).id, last);
    if (last) this.order.done(out, id);
  }

  private answered(id: number): { id: number; apiKey: number; apiVersion: number } {
    const asked = this.asked.get(id)!;
    this.asked.delete(id);
    return asked;
  }

  encodeData(out: Output, id: number, buf: Uint8Array, start: number, end: number, last: boolean): void {
    const to = this.role === 'server' ? this.order.at(out, id) : out;
    to.write(buf, start, end);
    if (last && this.role === 'server') this.order.done(out, id);
  }
  encodeTrailers(out: Output, id: number): void {
    this.encodeData(out, id, EMPTY, 0, 0, true);
  }
  encodeReset(): boolean {
    return false;
  }

  reid(buf: Uint8Array, start: number, _end: number, id: number): void {
    (buf as Buffer).writeInt32BE(id, start + 8);
  }

  /** Every api has a reply of its own; the skeleton knows those that hold nothing but a throttle time and an error. */
  encodeLocalReply(out: Output, id: number, reply: LocalReply): void {
    const asked = this.asked.get(id);
    this.asked.delete(id);
    if (asked?.apiKey !== 12) {
      this.order.impossible(out, id);
      return;
    }
    const bytes = Buffer.alloc(asked.apiVersion >= 1 ? 14 : 10);
    bytes.writeInt32BE(bytes.length - 4, 0);
    bytes.writeInt32BE(asked.id, 4);
    bytes.writeInt16BE(reply.status === 504 ? REQUEST_TIMED_OUT : NOT_COORDINATOR, bytes.length - 2);
    this.order.at(out, id).write(bytes, 0, bytes.length);
    this.order.done(out, id);
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

export class KafkaSkeleton implements Protocol {
  readonly name = 'kafka';
  readonly pool = 'multiplex';
  readonly matchBytes = 8;
  readonly bidirectional = false;
  readonly heartbeat = { interval: 0, timeout: 0, misses: 0 };
  readonly downstreamIdle = 0;
  readonly requestIds = false;

  match(buf: Uint8Array, start: number, end: number): Match {
    if (end - start < 8) return start < end && buf[start] !== 0 ? MATCH_NO : MATCH_MORE;
    const b = buf as Buffer;
    return buf[start] === 0 && b.readInt16BE(start + 4) <= 92 && b.readInt16BE(start + 6) <= 20 ? MATCH_YES : MATCH_NO;
  }
  codec(role: Role): Codec {
    return new KafkaCodec(role);
  }
  statusOf(): number {
    return NOT_COORDINATOR;
  }
  idempotent(head: Head): boolean {
    return head.get(API) === 'metadata' || head.get(API) === 'api-versions';
  }
  mirror(): number {
    return -1;
  }
}

// A skeleton of RESP2 (Redis) that tries the codec contract: no ids on the wire, replies in order, commands that need a connection of their own.
import { equalAt, type Output } from '../../src/core/bytes.js';
import { reasons } from '../../src/core/reason.js';
import { ALONE, BOUND, Head, ONEWAY, REPLY, REQUEST, RPC_METHOD, SHARED, headerName, type HeaderName, type Sharing } from '../../src/stream/head.js';
import { OrderedReplies } from '../../src/stream/ordered-replies.js';
import { MATCH_MORE, MATCH_NO, MATCH_YES, type Codec, type CodecSink, type LocalReply, type Match, type Protocol, type Role } from '../../src/stream/protocol.js';

/** Longer messages pass in pieces. */
const MAX_WHOLE = 256 * 1024;
/** What goes with the head of a longer message that is complete already. */
const BEGINNING = 1024;
const MAX_LINE = 64 * 1024;
/** Requests of one client that may wait for their replies, and bytes of replies that may wait for their turn. */
const MAX_PIPELINE = 128;
const MAX_HELD = 256 * 1024;
/** Late replies still expected on a connection before it is given up. */
const MAX_LATE = 64;
const PONG = -1;
const EMPTY = Buffer.alloc(0);
const CRLF = Buffer.from('\r\n');
const PING = Buffer.from('*1\r\n$4\r\nPING\r\n');
/** What a subscriber gets without asking. */
const MESSAGE = Buffer.from('*3\r\n$7\r\nmessage\r\n');
/** The command and the first key of a request; a reply has neither. */
export const KEY = headerName('redis-key');
const COMMAND = headerName(':rpc-method');
const alone = new Set(['BLPOP', 'BRPOP', 'BLMOVE', 'BZPOPMIN', 'BZPOPMAX', 'WAIT']);
const binds = new Set(['MULTI', 'WATCH', 'SUBSCRIBE', 'PSUBSCRIBE']);
const frees = new Set(['EXEC', 'DISCARD', 'UNSUBSCRIBE', 'PUNSUBSCRIBE', 'RESET']);

class Malformed extends Error {}

/** Finds the end of one value, also over several reads: everything before `at` was looked at. */
class Scan {
  at = 0;
  /** Values that still have to end, and bytes that the current bulk string still lacks. */
  todo = 1;
  skip = 0;
  /** Elements of the outermost array. */
  count = 0;
  /** The last bulk string, from the beginning of the message. */
  bulk = -1;
  bulkLength = 0;

  /** True when the value that begins at `base` is complete; throws on malformed bytes. */
  run(buf: Uint8Array, base: number, end: number): boolean {
    while (this.todo > 0 || this.skip > 0) {
      const n = Math.min(this.skip, end - base - this.at);
      this.at += n;
      this.skip -= n;
      if (this.skip > 0) return false;
      if (this.todo === 0) break;
      const from = base + this.at;
      const line = buf.subarray(from, end).indexOf(10);
      if (line > MAX_LINE || (line < 0 && end - from > MAX_LINE)) throw new Malformed('a line that is too long');
      if (from < end && !'+-:$*'.includes(String.fromCharCode(buf[from]!))) throw new Malformed(`a value that begins with byte ${buf[from]!}`);
      if (line < 0) return false;
      const count = Number(Buffer.from(buf.subarray(from + 1, from + line - 1)).toString());
      const aggregate = buf[from] === 42;
      if (this.at === 0) this.count = aggregate ? count : 0;
      if ((aggregate || buf[from] === 36) && !(Number.isInteger(count) && count >= -1 && count <= 0x20000000)) throw new Malformed('a malformed length');
      this.at += line + 1;
      this.todo += aggregate ? Math.max(count, 0) - 1 : -1;
      if (buf[from] !== 36) continue;
      this.bulk = count < 0 ? -1 : this.at;
      this.bulkLength = count;
      this.skip = count < 0 ? 0 : count + 2;
    }
    return true;
  }

  reset(): void {
    this.at = this.skip = 0;
    this.todo = 1;
    this.bulk = -1;
  }
}

/** The content of a message is its last bulk string: the value of a request that has more than a key, a reply that is one. */
class RedisHead extends Head {
  /** Where the content lies from `start`; -1 where the message has none, or passes in pieces. */
  bulk = -1;
  readonly args = new Map<HeaderName, string>();

  constructor() {
    super('redis', EMPTY);
  }

  /** Where argument `i` lies, if it came with the head. */
  arg(i: number): [start: number, end: number] | null {
    const buf = this.buf as Buffer;
    for (let p = buf.indexOf(10, this.start) + 1; p < this.end; i--) {
      const from = buf.indexOf(10, p) + 1;
      const to = from + Number(buf.latin1Slice(p + 1, from - 2));
      if (i === 0) return to <= this.end ? [from, to] : null;
      p = to + 2;
    }
    return null;
  }

  find(name: HeaderName): boolean {
    const i = this.kind === REPLY ? -1 : name.part === RPC_METHOD ? 0 : name === KEY ? 1 : -1;
    const range = i < 0 ? null : this.arg(i);
    if (range === null) return false;
    const edited = this.args.get(name);
    [this.vbuf, this.vstart, this.vend] = edited === undefined ? [this.buf, ...range] : [Buffer.from(edited), 0, Buffer.byteLength(edited)];
    return true;
  }

  set(name: HeaderName, value: string): void {
    if (!this.find(name)) return;
    this.args.set(name, value);
    this.edited = true;
  }
  add(name: HeaderName, value: string): void {
    this.set(name, value);
  }
  remove(): void {}
  each(visit: (name: string, value: string) => void): void {
    if (this.find(KEY)) visit(KEY.name, this.get(KEY)!);
  }

  keep(): RedisHead {
    const { kind, id, bulk, whole, length, status, rawStatus, sharing, edited, start, end, bodyStart, bodyEnd } = this;
    const copy = Object.assign(new RedisHead(), { kind, id, bulk, whole, length, status, rawStatus, sharing, end: end - start, bodyStart: bodyStart - start, bodyEnd: bodyEnd - start });
    copy.buf = copy.bodyBuf = Buffer.from(this.buf.subarray(start, end));
    for (const [name, value] of this.args) copy.args.set(name, value);
    if (this.bodyBuf !== this.buf) copy.setBody(Buffer.from(this.bodyBuf.subarray(bodyStart, bodyEnd)));
    copy.edited = edited;
    return copy;
  }

  /** The message (or what came with its head) with its edits. */
  bytes(): Uint8Array {
    const buf = this.buf as Buffer;
    if (!this.edited) return buf.subarray(this.start, this.end);
    const pieces: Uint8Array[] = [];
    const bulk = (value: Uint8Array): void => void pieces.push(Buffer.from(`$${value.length}\r\n`), value, CRLF);
    let from = this.start;
    for (const [i, name] of [COMMAND, KEY].entries()) {
      if (!this.args.has(name)) continue;
      const [start, end] = this.arg(i)!;
      pieces.push(buf.subarray(from, buf.lastIndexOf(36, start - 1)));
      bulk(Buffer.from(this.args.get(name)!));
      from = end + 2;
    }
    const replaced = this.bodyBuf !== buf;
    pieces.push(buf.subarray(from, replaced && this.bulk >= 0 ? buf.lastIndexOf(36, this.start + this.bulk - 1) : this.end));
    const body = this.bodyBuf.subarray(this.bodyStart, this.bodyEnd);
    if (replaced && this.bulk >= 0) bulk(body);
    else if (replaced) pieces.push(body);
    return Buffer.concat(pieces);
  }
}

abstract class RedisCodec implements Codec {
  abstract readonly role: Role;
  want = 0;
  readonly tunnel = false;
  protected readonly head = new RedisHead();
  protected readonly scan = new Scan();
  /** Id of the message that passes in pieces; -1 between messages. */
  private open = -1;
  private failed = false;

  get blocked(): boolean {
    return false;
  }
  get held(): number {
    return 0;
  }
  get mustClose(): boolean {
    return false;
  }

  /** The message (or its beginning) lies in `head`: gives it an id and a kind and hands it to the sink. False: not now. */
  protected abstract begin(sink: CodecSink, last: boolean): boolean;
  /** The id of what cannot be decoded. */
  protected abstract refused(): number;

  decode(buf: Uint8Array, start: number, end: number, sink: CodecSink): number {
    if (this.failed) return end - start;
    let p = start;
    this.want = 0;
    const { scan, head } = this;
    while (p < end && !this.blocked) {
      let last: boolean;
      try {
        if (this.role === 'server' && this.open < 0 && buf[p] !== 42) throw new Malformed('a request that is no array');
        last = scan.run(buf, p, end);
      } catch (error) {
        return this.fail(sink, error, end - start);
      }
      const next = p + scan.at;
      if (this.open >= 0) {
        if (next === p) break;
        const id = this.open;
        if (last) this.open = -1;
        scan.at = 0;
        sink.onData(id, buf, p, next, last);
      } else {
        const long = scan.at + scan.skip > MAX_WHOLE;
        if (!last && !long) {
          this.want = scan.skip > 0 ? scan.at + scan.skip : 0;
          break;
        }
        const content = !long && scan.bulk >= 0 && (this.role === 'client' ? buf[p] === 36 : scan.count > 2);
        const stop = long && last ? p + BEGINNING : next;
        const length = !long ? scan.bulkLength : scan.todo === 0 ? next - stop + scan.skip : -1;
        Object.assign(head, { buf, bodyBuf: buf, start: p, end: stop, edited: false, whole: content, bulk: content ? scan.bulk : -1, length, sharing: SHARED });
        head.bodyStart = p + scan.bulk;
        head.bodyEnd = head.bodyStart + scan.bulkLength;
        head.args.clear();
        if (!this.begin(sink, !long)) break;
        if (this.failed) return end - start;
        if (!last) this.open = head.id;
        else if (long) sink.onData(head.id, buf, stop, next, true);
        scan.at = 0;
      }
      p = next;
      if (last) scan.reset();
    }
    return p - start;
  }

  protected fail(sink: CodecSink, error: unknown, all: number): number {
    if (!(error instanceof Malformed)) throw error;
    this.failed = true;
    sink.onError(this.open >= 0 ? this.open : this.refused(), 'bad-frame', { detail: error.message });
    return all;
  }

  eof(): boolean {
    return this.open < 0 && this.scan.at === 0;
  }

  encodeRequest(out: Output, head: Head, _id: number, _last: boolean): void {
    const bytes = (head as RedisHead).bytes();
    out.write(bytes, 0, bytes.length);
  }
  encodeReply(_out: Output, _head: Head, _id: number, _last: boolean): void {
    throw new TypeError('a Redis host gets no replies');
  }
  encodeData(out: Output, _id: number, buf: Uint8Array, start: number, end: number, _last: boolean): void {
    out.write(buf, start, end);
  }
  encodeTrailers(out: Output, id: number): void {
    this.encodeData(out, id, EMPTY, 0, 0, true);
  }
  encodeReset(): boolean {
    return false;
  }
  reid(_buf: Uint8Array, _start: number, _end: number, _id: number, _last: boolean): void {}
  encodeLocalReply(_out: Output, _id: number, _reply: LocalReply): void {}
  release(_id: number): void {}
  encodePing(_out: Output, _id: number): boolean {
    return false;
  }
  encodePong(): void {}
  encodeGoAway(): boolean {
    return false;
  }
}

class RedisServer extends RedisCodec {
  readonly role = 'server';
  private readonly order = new OrderedReplies();
  private bound = false;
  /** How the requests before share connections: what must go elsewhere may not overtake them. */
  private before: Sharing = SHARED;
  private turning = false;

  override get blocked(): boolean {
    const { outstanding, held } = this.order;
    return outstanding >= MAX_PIPELINE || held > MAX_HELD || (this.turning && outstanding > 0);
  }
  override get held(): number {
    return this.order.held;
  }
  override get mustClose(): boolean {
    return this.order.broken;
  }

  protected begin(sink: CodecSink, last: boolean): boolean {
    const head = this.head;
    const command = head.get(COMMAND)?.toUpperCase() ?? '';
    const sharing = alone.has(command) ? ALONE : this.bound || binds.has(command) ? BOUND : SHARED;
    this.turning = (sharing !== this.before || sharing === ALONE) && this.order.outstanding > 0;
    if (this.turning) return false;
    this.before = head.sharing = sharing;
    this.bound = sharing === BOUND && !frees.has(command);
    head.kind = REQUEST;
    head.id = this.order.expect();
    sink.onRequest(head, last);
    return true;
  }
  protected refused(): number {
    return this.order.expect();
  }

  override encodeReply(out: Output, head: Head, id: number, last: boolean): void {
    this.encodeRequest(this.order.at(out, id), head, id, last);
    if (last) this.order.done(out, id);
  }
  override encodeData(out: Output, id: number, buf: Uint8Array, start: number, end: number, last: boolean): void {
    this.order.at(out, id).write(buf, start, end);
    if (last) this.order.done(out, id);
  }
  override encodeLocalReply(out: Output, id: number, reply: LocalReply): void {
    const text = Buffer.from(reply.body).toString();
    const bytes = Buffer.from(reasons[reply.code].kind === 'ok' ? `$${Buffer.byteLength(text)}\r\n${text}\r\n` : `-SLUICE ${reply.code}: ${text}\r\n`);
    this.order.at(out, id).write(bytes, 0, bytes.length);
    this.order.done(out, id);
  }
}

class RedisClient extends RedisCodec {
  readonly role = 'client';
  /** Ids of requests in the order they were sent; places of those that were given up stay. */
  private readonly expected: number[] = [];
  private readonly late = new Set<number>();

  override get mustClose(): boolean {
    return this.late.size > MAX_LATE;
  }

  protected begin(sink: CodecSink, last: boolean): boolean {
    const head = this.head;
    const push = equalAt(head.buf, head.start, MESSAGE);
    const id = push ? 0 : this.expected.shift();
    if (id === undefined) {
      this.fail(sink, new Malformed('a reply to no request'), 0);
      return true;
    }
    head.id = id;
    head.kind = push ? ONEWAY : REPLY;
    head.status = head.buf[head.start] === 45 ? 500 : 200;
    this.late.delete(id);
    if (push) sink.onRequest(head, last);
    else if (id === PONG) sink.onPong(0);
    else sink.onReply(head, last);
    return true;
  }
  protected refused(): number {
    return this.expected[0] ?? -1;
  }

  override encodeRequest(out: Output, head: Head, id: number, last: boolean): void {
    this.expected.push(id);
    super.encodeRequest(out, head, id, last);
  }
  override reid(_buf: Uint8Array, _start: number, _end: number, id: number): void {
    this.expected.push(id);
  }
  override release(id: number): void {
    if (this.expected.includes(id)) this.late.add(id);
  }
  override encodePing(out: Output): boolean {
    this.expected.push(PONG);
    out.write(PING, 0, PING.length);
    return true;
  }
}

export class RedisSkeleton implements Protocol {
  readonly name = 'redis';
  readonly pool = 'multiplex';
  readonly matchBytes = 2;
  readonly bidirectional = true;
  readonly heartbeat = { interval: 15_000, timeout: 3000, misses: 2 };
  readonly downstreamIdle = 0;
  readonly requestIds = false;

  match(buf: Uint8Array, start: number, end: number): Match {
    if (end - start < 2) return start < end && buf[start] !== 42 ? MATCH_NO : MATCH_MORE;
    return buf[start] === 42 && buf[start + 1]! >= 49 && buf[start + 1]! <= 57 ? MATCH_YES : MATCH_NO;
  }
  codec(role: Role): Codec {
    return role === 'server' ? new RedisServer() : new RedisClient();
  }
  statusOf(): number {
    return 1;
  }
  idempotent(head: Head): boolean {
    return head.get(COMMAND)?.toUpperCase() === 'GET';
  }
  mirror(): number {
    return -1;
  }
}

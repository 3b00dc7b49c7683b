// What a codec told its sink, as lines that do not depend on how the bytes were split; and ways to feed a codec.
import assert from 'node:assert/strict';
import { BlockOutput } from '../../../../src/core/bytes.js';
import type { ReasonCode, ReasonContext } from '../../../../src/core/reason.js';
import { headerName, type Head } from '../../../../src/stream/head.js';
import { Http1 } from '../../../../src/stream/protocol/http1/protocol.js';
import type { Codec, CodecSink, LocalReply, Role } from '../../../../src/stream/protocol.js';

export const limits = { maxLine: 8192, maxHead: 65536, maxHeaders: 128 };
export const protocol = new Http1(limits);

export const h = headerName;
const METHOD = h(':method');
const PATH = h(':path');
const AUTHORITY = h(':authority');

/** The head's headers as "name: value" lines. */
export function headers(head: Head): string[] {
  const list: string[] = [];
  head.each((name, value) => list.push(`${name}: ${value}`));
  return list;
}

export class Transcript implements CodecSink {
  readonly lines: string[] = [];
  readonly errors: ReasonCode[] = [];
  /** Complete messages. */
  ends = 0;
  private body = '';
  private open = false;

  onRequest(head: Head, last: boolean): void {
    this.begin(`request ${head.get(METHOD)} ${head.get(PATH)} ${head.get(AUTHORITY) || '-'}`, head, last);
  }

  onReply(head: Head, last: boolean): void {
    this.begin(`${head.interim ? 'interim' : 'reply'} ${head.status}`, head, last);
  }

  private begin(what: string, head: Head, last: boolean): void {
    assert.equal(this.open, false, 'a message began within another');
    this.lines.push(`${what} (${head.length}) ${headers(head).join(' | ')}`);
    this.body = '';
    this.open = !head.interim;
    if (head.whole) {
      assert.equal(last, true, 'a whole message has nothing behind it');
      this.body += Buffer.from(head.bodyBuf.subarray(head.bodyStart, head.bodyEnd)).toString('latin1');
    }
    if (last) this.end('');
  }

  private end(trailers: string): void {
    assert.equal(this.open, true, 'a message ended that had not begun');
    this.open = false;
    this.lines.push(`body "${this.body}"${trailers}`);
    this.ends++;
  }

  onData(_id: number, buf: Uint8Array, start: number, end: number, last: boolean): void {
    assert.ok(this.open, 'data without a message');
    assert.ok(start <= end && end <= buf.length);
    this.body += Buffer.from(buf.subarray(start, end)).toString('latin1');
    if (last) this.end('');
  }

  onTrailers(_id: number, head: Head): void {
    this.end(` trailers ${headers(head).join(' | ')}`);
  }

  onError(id: number, code: ReasonCode, context: ReasonContext): void {
    assert.equal(this.errors.length, 0, 'decoding stops at the first error');
    this.errors.push(code);
    // A cut body tells what came of it.
    if (this.open) this.lines.push(`partly "${this.body}"`);
    this.open = false;
    this.lines.push(`error ${id} ${code} ${context['detail'] ?? context['limit'] ?? ''}`);
  }

  onReset(): void {
    assert.fail('HTTP/1 has no resets');
  }

  onPing(): void {
    assert.fail('HTTP/1 has no heartbeats');
  }

  onPong(): void {
    assert.fail('HTTP/1 has no heartbeats');
  }

  onGoAway(): void {
    assert.fail('HTTP/1 has no goaway');
  }

  /** The unfinished body, where a message is open. */
  get unfinished(): string | null {
    return this.open ? this.body : null;
  }
}

export const ok: LocalReply = { code: 'direct-response', status: 200, body: 'ok', headers: [], mirror: -1, close: false };

/** Feeds a codec as a connection would: unconsumed bytes are handed in again with more behind them, in another buffer. */
export class Feeder {
  readonly codec: Codec;
  readonly sink: CodecSink;
  /** Called while the codec is blocked, to complete a reply. */
  onBlocked: (() => void) | null = null;
  private carry = Buffer.alloc(0);
  private moved = 0;

  constructor(codec: Codec, sink: CodecSink) {
    this.codec = codec;
    this.sink = sink;
  }

  give(piece: Uint8Array): void {
    this.carry = Buffer.concat([this.carry, piece]);
    this.deliver();
  }

  deliver(): void {
    for (;;) {
      // Another place in another buffer each time, with other bytes around: nothing may be remembered by absolute position.
      const at = this.moved++ % 7;
      const buf = Buffer.alloc(at + this.carry.length + 3, 0x41);
      this.carry.copy(buf, at);
      const n = this.codec.decode(buf, at, at + this.carry.length, this.sink);
      assert.ok(n >= 0 && n <= this.carry.length, `consumed ${n} of ${this.carry.length}`);
      this.carry = this.carry.subarray(n);
      buf.fill(0x5a);
      if (!this.codec.blocked || this.onBlocked === null) return;
      this.onBlocked();
      if (this.codec.blocked || this.carry.length === 0) return;
    }
  }

  get left(): string {
    return this.carry.toString('latin1');
  }
}

/** Bytes of a text, one per character. */
export const raw = (text: string): Buffer => Buffer.from(text, 'latin1');

/** Decodes requests, answering each at once; returns the transcript. */
export function requests(text: string, cuts: readonly number[] = [], codec: Codec = protocol.codec('server')): Transcript {
  const sink = new Transcript();
  const feeder = new Feeder(codec, sink);
  const out = new BlockOutput();
  feeder.onBlocked = () => codec.encodeLocalReply(out, 0, ok);
  feedCut(feeder, raw(text), cuts);
  return sink;
}

export function feedCut(feeder: Feeder, bytes: Buffer, cuts: readonly number[]): void {
  let from = 0;
  for (const cut of [...cuts, bytes.length]) {
    feeder.give(bytes.subarray(from, cut));
    from = cut;
  }
}

/** Every single cut, and a cut at every byte. */
export function* everyCut(length: number): Generator<number[]> {
  for (let i = 1; i < length; i++) yield [i];
  yield Array.from({ length: Math.max(0, length - 1) }, (_, i) => i + 1);
}

/** What a codec of this role encodes. */
export function encoded(role: Role, encode: (codec: Codec, out: BlockOutput) => void): string {
  const out = new BlockOutput();
  encode(protocol.codec(role), out);
  return out.take().toString('latin1');
}

/** A codec's peer pair: what the server codec decodes is encoded by the client codec, and the other way round. */
export class Relay {
  readonly server: Codec;
  readonly client: Codec;
  readonly toHost = new BlockOutput();
  readonly toClient = new BlockOutput();
  readonly fromClient: Feeder;
  readonly fromHost: Feeder;
  readonly errors: string[] = [];
  onRequestHead: (head: Head) => void = () => {};
  onReplyHead: (head: Head) => void = () => {};
  requestDone = false;
  replyDone = false;

  constructor(server: Codec = protocol.codec('server'), client: Codec = protocol.codec('client')) {
    this.server = server;
    this.client = client;
    const refuse = (): never => assert.fail('not an event of HTTP/1');
    const quiet = { onReset: refuse, onPing: refuse, onPong: refuse, onGoAway: refuse };
    this.fromClient = new Feeder(server, {
      ...quiet,
      onRequest: (head, last) => {
        this.onRequestHead(head);
        this.requestDone = last;
        this.client.encodeRequest(this.toHost, head, 0, last);
      },
      onReply: refuse,
      onData: (_id, buf, start, end, last) => {
        this.requestDone = last;
        this.client.encodeData(this.toHost, 0, buf, start, end, last);
      },
      onTrailers: (_id, head) => {
        this.requestDone = true;
        this.client.encodeTrailers(this.toHost, 0, head);
      },
      onError: (id, code, context) => {
        this.errors.push(`client ${id} ${code} ${context['detail'] ?? context['limit'] ?? ''}`);
      },
    });
    this.fromHost = new Feeder(client, {
      ...quiet,
      onRequest: refuse,
      onReply: (head, last) => {
        this.onReplyHead(head);
        this.replyDone = last;
        this.server.encodeReply(this.toClient, head, 0, last);
      },
      onData: (_id, buf, start, end, last) => {
        this.replyDone = last;
        this.server.encodeData(this.toClient, 0, buf, start, end, last);
      },
      onTrailers: (_id, head) => {
        this.replyDone = true;
        this.server.encodeTrailers(this.toClient, 0, head);
      },
      onError: (id, code, context) => {
        this.errors.push(`host ${id} ${code} ${context['detail'] ?? context['limit'] ?? ''}`);
      },
    });
  }

  /** What arrives at the host for these bytes of the client. */
  request(text: string): string {
    this.fromClient.give(raw(text));
    return this.toHost.take().toString('latin1');
  }

  /** What arrives at the client for these bytes of the host. */
  reply(text: string): string {
    this.fromHost.give(raw(text));
    return this.toClient.take().toString('latin1');
  }

  /** The host ends its side; what arrives at the client then. */
  hostEnds(): string {
    this.client.eof(this.fromHost.sink);
    return this.toClient.take().toString('latin1');
  }
}

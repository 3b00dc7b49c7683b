// Writes down what an HTTP/2 codec tells its sink, as text, with the pieces of content joined, so that two runs can be compared.
import { BlockOutput } from '../../../../src/core/bytes.js';
import type { ReasonCode, ReasonContext } from '../../../../src/core/reason.js';
import { headerName, type Head } from '../../../../src/stream/head.js';
import { Http2ClientCodec } from '../../../../src/stream/protocol/http2/client.js';
import type { Http2Codec } from '../../../../src/stream/protocol/http2/codec.js';
import { defaultLimits } from '../../../../src/stream/protocol/http2/protocol.js';
import type { Http2Limits } from '../../../../src/stream/protocol/http2/send.js';
import { Http2ServerCodec } from '../../../../src/stream/protocol/http2/server.js';
import type { CodecSink, LocalReply, Role } from '../../../../src/stream/protocol.js';
import { FrameReader, settings } from '../../../support/http2.js';

const PARTS = [':method', ':scheme', ':authority', ':path', ':status'].map((name) => headerName(name));

/** Longer content is told by its length. */
const SHOWN = 40;

export class Recorder implements CodecSink {
  readonly lines: string[] = [];
  readonly heads: Head[] = [];
  errors = 0;
  /** Called for each refusal, as a session answers it at once. */
  onRefusal: (id: number, code: ReasonCode) => void = () => {};
  /** Content of each id that goes on at the end of `lines`. */
  private open: { id: number; at: number; length: number; text: string } | null = null;

  private say(line: string): void {
    this.open = null;
    this.lines.push(line);
  }

  private show(head: Head): string {
    let text = '';
    for (const part of PARTS) if (head.find(part)) text += ` ${part.name}=${head.get(part)!}`;
    head.each((name, value) => (text += ` ${name}=${value}`));
    return text;
  }

  onRequest(head: Head, last: boolean): void {
    this.heads.push(head.keep());
    this.say(`request ${head.id}${last ? ' last' : ''}${this.show(head)}`);
  }
  onReply(head: Head, last: boolean): void {
    this.heads.push(head.keep());
    this.say(`${head.interim ? 'interim' : 'reply'} ${head.id}${last ? ' last' : ''}${this.show(head)}`);
  }
  onData(id: number, buf: Uint8Array, start: number, end: number, last: boolean): void {
    let { open } = this;
    if (open === null || open.id !== id) {
      this.lines.push('');
      open = this.open = { id, at: this.lines.length - 1, length: 0, text: '' };
    }
    open.length += end - start;
    if (open.length <= SHOWN) open.text += Buffer.from(buf.subarray(start, end)).toString('latin1');
    const shown = open.length <= SHOWN ? JSON.stringify(open.text) : `${open.length} bytes`;
    this.lines[open.at] = `data ${id} ${shown}${last ? ' last' : ''}`;
    if (last) this.open = null;
  }
  onTrailers(id: number, head: Head): void {
    this.say(`trailers ${id}${this.show(head)}`);
  }
  onReset(id: number, code: ReasonCode): void {
    this.say(`reset ${id} ${code}`);
  }
  onPing(): void {
    throw new Error('answered by the codec itself');
  }
  onPong(id: number): void {
    this.say(`pong ${id}`);
  }
  onGoAway(): void {
    this.say('goaway');
  }
  onError(id: number, code: ReasonCode, context: ReasonContext): void {
    this.errors++;
    this.say(`error ${id} ${code} ${String(context['detail'] ?? context['limit'] ?? '')}`);
  }
  onRefused(_kind: Head['kind'], id: number, code: ReasonCode, context: ReasonContext): void {
    this.say(`refused ${id} ${code} ${String(context['detail'] ?? context['limit'] ?? '')}`);
    this.onRefusal(id, code);
  }
  onRoom(id: number): void {
    this.say(`room ${id}`);
  }
  onCapacity(): void {
    this.say('capacity');
  }
}

export const refusal = (code: ReasonCode, status = 400, body = 'no'): LocalReply => ({ code, status, body, headers: [], mirror: -1, close: false });

/** A codec, its sink, and a peer that reads what it writes. */
export class Lane<C extends Http2Codec> {
  readonly codec: C;
  readonly sink = new Recorder();
  readonly out = new BlockOutput();
  readonly peer = new FrameReader();
  private rest: Buffer = Buffer.alloc(0);
  private told = 0;

  constructor(codec: C) {
    this.codec = codec;
    if (codec.role === 'server') this.sink.onRefusal = (id, code) => codec.encodeLocalReply(this.out, id, refusal(code, code === 'head-too-large' ? 431 : 400));
  }

  /** The peer sends bytes, in one read: a copy that is overwritten afterwards, in front of it what was not consumed. */
  feed(...bytes: readonly Uint8Array[]): this {
    const read = Buffer.concat([this.rest, ...bytes]);
    if (this.codec.want > read.length) {
      this.rest = read;
      return this;
    }
    const n = this.codec.decode(read, 0, read.length, this.sink);
    if (n < 0 || n > read.length) throw new Error(`consumed ${n} of ${read.length}`);
    if (this.codec.want !== 0 && this.codec.want <= read.length - n) throw new Error(`wants ${this.codec.want}, had ${read.length - n}`);
    this.rest = Buffer.from(read.subarray(n));
    read.fill(0xee);
    if (this.codec.due) this.codec.settle(this.out, this.sink);
    return this;
  }

  /** What the peer got since the last call. */
  sent(): string[] {
    return this.peer.push(this.out.take()).news();
  }

  /** What the sink was told since the last call. */
  heard(): string[] {
    const lines = this.sink.lines.slice(this.told);
    this.told = this.sink.lines.length;
    return lines;
  }
}

export function limits(some: Partial<Http2Limits> = {}): Http2Limits {
  return { ...defaultLimits, ...some };
}

/** A server whose client has sent `begin`. */
export function server(begin: Uint8Array, some: Partial<Http2Limits> = {}): Lane<Http2ServerCodec> {
  return new Lane(new Http2ServerCodec(limits(some))).feed(begin);
}

/** A client whose host has sent SETTINGS. */
export function client(pairs: readonly (readonly [number, number])[] = [], some: Partial<Http2Limits> = {}): Lane<Http2ClientCodec> {
  return new Lane(new Http2ClientCodec(limits(some))).feed(settings(...pairs));
}

/** Decodes as if each of `cuts` ended a read. */
export function decodeCut(bytes: Buffer, cuts: readonly number[], role: Role = 'server', prepare: (lane: Lane<Http2Codec>) => void = () => {}): Lane<Http2Codec> {
  const lane: Lane<Http2Codec> = role === 'server' ? new Lane(new Http2ServerCodec(limits())) : new Lane(new Http2ClientCodec(limits()));
  prepare(lane);
  let at = 0;
  for (const cut of [...cuts, bytes.length]) {
    if (cut <= at) continue;
    lane.feed(bytes.subarray(at, cut));
    at = cut;
  }
  return lane;
}

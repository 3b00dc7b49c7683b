// Writes down what a codec of frames tells its sink, as text, with content joined, so that two runs can be compared; and feeds codecs in cuts.
import { createHash } from 'node:crypto';
import { BlockOutput } from '../../src/core/bytes.js';
import type { ReasonCode, ReasonContext } from '../../src/core/reason.js';
import type { Head } from '../../src/stream/head.js';
import type { Codec, CodecSink } from '../../src/stream/protocol.js';

export const kinds = ['request', 'oneway', 'reply'];

/** Length and digest: for content that is too much to read in a failed comparison. */
export const digest = (bytes: Uint8Array): string => `${bytes.length} ${createHash('sha1').update(bytes).digest('hex').slice(0, 12)}`;

/** For one protocol: how its messages read as text, and under which ids they are encoded again. */
export abstract class FrameRecorder<H extends Head> implements CodecSink {
  /** One line per message or event. */
  readonly lines: string[] = [];
  /** Kept copies of every message, long ones without their content. */
  readonly heads: H[] = [];
  /** What was decoded, encoded again by another codec: requests, and replies as requests too. */
  readonly again = new BlockOutput();
  errors = 0;
  /** Pieces of long frames. */
  pieces = 0;
  protected readonly encoder: Codec;
  private long: { readonly line: string; readonly head: H; readonly pieces: Buffer[] } | null = null;

  constructor(encoder: Codec) {
    this.encoder = encoder;
  }

  /** All that a head tells, without its content. */
  protected abstract describe(head: H): string;

  protected idAgain(head: H): number {
    return head.id;
  }

  protected encodeAgain(head: H, last: boolean): void {
    this.encoder.encodeRequest(this.again, head, this.idAgain(head), last);
  }

  protected showContent(bytes: Uint8Array): string {
    return `${bytes.length} ${Buffer.from(bytes).toString('base64')}`;
  }

  private message(line: string, content: Uint8Array): void {
    this.lines.push(`${line} content ${this.showContent(content)}`);
  }

  private begin(head: H, last: boolean): void {
    if (head.whole !== last) throw new Error('whole and last disagree');
    const kept = head.keep() as H;
    const line = this.describe(head);
    if (this.describe(kept) !== line) throw new Error(`kept: ${this.describe(kept)}, was: ${line}`);
    this.heads.push(kept);
    this.encodeAgain(head, last);
    if (last) this.message(line, head.bodyBuf.subarray(head.bodyStart, head.bodyEnd));
    else this.long = { line, head: kept, pieces: [] };
  }

  onRequest(head: Head, last: boolean): void {
    if (head.kind === 2) throw new Error('a reply came as a request');
    this.begin(head as H, last);
  }

  onReply(head: Head, last: boolean): void {
    if (head.kind !== 2) throw new Error('a request came as a reply');
    this.begin(head as H, last);
  }

  onData(id: number, buf: Uint8Array, start: number, end: number, last: boolean): void {
    const { long } = this;
    if (long === null || long.head.id !== id) throw new Error(`data of ${id} belongs to no message`);
    this.pieces++;
    this.encoder.encodeData(this.again, this.idAgain(long.head), buf, start, end, last);
    long.pieces.push(Buffer.from(buf.subarray(start, end)));
    if (!last) return;
    this.long = null;
    this.message(long.line, Buffer.concat(long.pieces));
  }

  onTrailers(): void {
    throw new Error('protocols of frames have no trailers');
  }
  onReset(): void {
    throw new Error('protocols of frames have no resets');
  }
  onPing(head: Head): void {
    this.lines.push(`ping ${head.id}`);
  }
  onPong(id: number): void {
    this.lines.push(`pong ${id}`);
  }
  onGoAway(leaving?: boolean): void {
    this.lines.push(leaving === true ? 'goaway of the host' : 'goaway');
  }
  onError(id: number, code: ReasonCode, context: ReasonContext): void {
    this.errors++;
    this.lines.push(`error ${id} ${code} ${JSON.stringify(context)}`);
  }
  onRefused(kind: Head['kind'], id: number, code: ReasonCode, context: ReasonContext): void {
    this.lines.push(`refused ${kinds[kind]} ${id} ${code} ${JSON.stringify(context)}`);
  }
}

/** Decodes `bytes` as if each of `cuts` ended a read, carrying what was not consumed; `want` is obeyed as a connection obeys it. */
export function decodeInCuts<R extends CodecSink>(codec: Codec, bytes: Buffer, cuts: readonly number[], recorder: R): R {
  let consumed = 0;
  for (const cut of [...cuts, bytes.length]) {
    if (cut < consumed || cut - consumed < codec.want) continue;
    // A copy that is overwritten afterwards: what the codec keeps beyond the call would show.
    const read = Buffer.from(bytes.subarray(consumed, cut));
    const n = codec.decode(read, 0, read.length, recorder);
    if (n < 0 || n > read.length) throw new Error(`consumed ${n} of ${read.length}`);
    if (codec.want !== 0 && codec.want <= read.length - n) throw new Error(`wants ${codec.want}, had ${read.length - n}`);
    read.fill(0xee);
    consumed += n;
  }
  return recorder;
}

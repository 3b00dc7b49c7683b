// Writes down what a Dubbo codec tells its sink, as text, with content joined, so that two runs can be compared.
import { createHash } from 'node:crypto';
import { BlockOutput } from '../../../../src/core/bytes.js';
import type { ReasonCode, ReasonContext } from '../../../../src/core/reason.js';
import { headerName, type Head } from '../../../../src/stream/head.js';
import { DubboCodec, defaults, type CodecOptions } from '../../../../src/stream/protocol/dubbo/codec.js';
import type { DubboHead } from '../../../../src/stream/protocol/dubbo/head.js';
import type { CodecSink, Role } from '../../../../src/stream/protocol.js';

const kinds = ['request', 'oneway', 'reply'];
const parts = [':service', ':rpc-method', ':version', ':group', ':status', 'dubbo', 'dubbo-result'].map(headerName);

const digest = (bytes: Uint8Array): string => `${bytes.length} ${createHash('sha1').update(bytes).digest('hex').slice(0, 12)}`;

export class Recorder implements CodecSink {
  /** One line per message or event. */
  readonly lines: string[] = [];
  /** Kept copies of every request and reply, long ones without their content. */
  readonly heads: DubboHead[] = [];
  /** What was decoded, encoded again: requests under the ids 1, 2, ..., replies as requests too. */
  readonly again = new BlockOutput();
  errors = 0;
  pieces = 0;
  private readonly encoder = new DubboCodec('client');
  private long: { line: string; id: number; pieces: Buffer[] } | null = null;

  /** Kind, id, names and attachments. */
  static describe(head: DubboHead): string {
    const headers: string[] = [];
    head.each((name, value) => headers.push(`${name}=${value.length > 100 ? `${value.length} of ${value[0]!}` : value}`));
    const facts = head.kind === 2 ? `status ${head.rawStatus}/${head.status}` : `timeout ${head.timeout}`;
    return `${kinds[head.kind]} ${head.id} serialization ${head.serialization} ${facts} ${parts.map((name) => head.get(name) ?? '-').join(' ')} {${headers.join(' ')}}`;
  }

  private begin(head: Head, last: boolean): void {
    const dubbo = head as DubboHead;
    if (dubbo.whole !== last) throw new Error('whole and last disagree');
    const kept = dubbo.keep();
    const line = Recorder.describe(dubbo);
    if (Recorder.describe(kept) !== line) throw new Error(`kept: ${Recorder.describe(kept)}, was: ${line}`);
    this.heads.push(kept);
    this.encoder.encodeRequest(this.again, dubbo, this.heads.length, last);
    if (last) this.lines.push(`${line} content ${digest(dubbo.bodyBuf.subarray(dubbo.bodyStart, dubbo.bodyEnd))}`);
    else this.long = { line, id: dubbo.id, pieces: [] };
  }

  onRequest(head: Head, last: boolean): void {
    if (head.kind === 2) throw new Error('a reply came as a request');
    this.begin(head, last);
  }

  onReply(head: Head, last: boolean): void {
    if (head.kind !== 2) throw new Error('a request came as a reply');
    this.begin(head, last);
  }

  onData(id: number, buf: Uint8Array, start: number, end: number, last: boolean): void {
    const long = this.long;
    if (long === null || long.id !== id) throw new Error(`data of ${id} belongs to no message`);
    this.pieces++;
    this.encoder.encodeData(this.again, this.heads.length, buf, start, end, last);
    long.pieces.push(Buffer.from(buf.subarray(start, end)));
    if (!last) return;
    this.long = null;
    this.lines.push(`${long.line} content ${digest(Buffer.concat(long.pieces))}`);
  }

  onTrailers(): void {
    throw new Error('Dubbo has no trailers');
  }
  onReset(): void {
    throw new Error('Dubbo has no resets');
  }
  onPing(head: Head): void {
    const { buf, start, end } = head;
    this.lines.push(`ping ${Buffer.from(buf.subarray(start, end)).toString('hex')}`);
  }
  onPong(id: number): void {
    this.lines.push(`pong ${id}`);
  }
  onGoAway(): void {
    this.lines.push('goaway');
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
export function decodeCut(bytes: Buffer, cuts: readonly number[], role: Role = 'server', options: Partial<CodecOptions> = {}): Recorder {
  const codec = new DubboCodec(role, { ...defaults, ...options });
  const recorder = new Recorder();
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

export function decodeAll(bytes: Buffer, role: Role = 'server', options: Partial<CodecOptions> = {}): Recorder {
  return decodeCut(bytes, [], role, options);
}

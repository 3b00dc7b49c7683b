// Writes down what a Bolt codec tells its sink, as text, with content joined, so that two runs can be compared.
import { BlockOutput } from '../../../../src/core/bytes.js';
import type { ReasonCode, ReasonContext } from '../../../../src/core/reason.js';
import type { Head } from '../../../../src/stream/head.js';
import { BoltCodec, DEFAULT_MAX_FRAME } from '../../../../src/stream/protocol/bolt/codec.js';
import type { BoltHead } from '../../../../src/stream/protocol/bolt/head.js';
import type { CodecSink, Role } from '../../../../src/stream/protocol.js';

const kinds = ['request', 'oneway', 'reply'];

export class Recorder implements CodecSink {
  /** One line per message or event. */
  readonly lines: string[] = [];
  /** Kept copies of every request and reply, long ones without their content. */
  readonly heads: BoltHead[] = [];
  /** What was decoded, encoded again under the same ids by another codec. */
  readonly again = new BlockOutput();
  errors = 0;
  /** Pieces of long frames. */
  pieces = 0;
  private readonly encoder = new BoltCodec('client');
  private long: { head: BoltHead; pieces: Buffer[] } | null = null;

  private message(head: BoltHead, content: Uint8Array): void {
    const headers: string[] = [];
    head.each((name, value) => headers.push(`${name}=${value}`));
    const facts = head.kind === 2 ? `status ${head.rawStatus}/${head.status}` : `timeout ${head.timeout}`;
    this.lines.push(`${kinds[head.kind]} v${head.proto}.${head.ver1} id ${head.id} codec ${head.codec} ${facts} class '${head.className}' {${headers.join(' ')}} content ${content.length} ${Buffer.from(content).toString('base64')}`);
  }

  private begin(head: Head, last: boolean): void {
    const bolt = head as BoltHead;
    if (bolt.whole !== last) throw new Error('whole and last disagree');
    this.heads.push(bolt.keep());
    this.encoder.encodeRequest(this.again, bolt, bolt.id, last);
    if (last) this.message(bolt, bolt.bodyBuf.subarray(bolt.bodyStart, bolt.bodyEnd));
    else this.long = { head: bolt.keep(), pieces: [] };
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
    if (long === null || long.head.id !== id) throw new Error(`data of ${id} belongs to no message`);
    this.pieces++;
    this.encoder.encodeData(this.again, id, buf, start, end, last);
    long.pieces.push(Buffer.from(buf.subarray(start, end)));
    if (!last) return;
    this.long = null;
    this.message(long.head, Buffer.concat(long.pieces));
  }

  onTrailers(): void {
    throw new Error('Bolt has no trailers');
  }
  onReset(): void {
    throw new Error('Bolt has no resets');
  }
  onPing(head: Head): void {
    this.lines.push(`ping ${head.id}`);
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
export function decodeCut(bytes: Buffer, cuts: readonly number[], role: Role = 'server', maxFrame = DEFAULT_MAX_FRAME): Recorder {
  const codec = new BoltCodec(role, maxFrame);
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

export function decodeAll(bytes: Buffer, role: Role = 'server', maxFrame = DEFAULT_MAX_FRAME): Recorder {
  return decodeCut(bytes, [], role, maxFrame);
}

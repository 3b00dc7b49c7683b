// Writes down what a Tars codec tells its sink, as text, so that two runs can be compared.
import { BlockOutput } from '../../../../src/core/bytes.js';
import type { ReasonCode, ReasonContext } from '../../../../src/core/reason.js';
import type { Head } from '../../../../src/stream/head.js';
import { TarsCodec, type CodecOptions } from '../../../../src/stream/protocol/tars/codec.js';
import type { TarsHead } from '../../../../src/stream/protocol/tars/head.js';
import { defaultOptions } from '../../../../src/stream/protocol/tars/protocol.js';
import type { CodecSink, Role } from '../../../../src/stream/protocol.js';

const kinds = ['request', 'oneway', 'reply'];

export class Recorder implements CodecSink {
  /** One line per message or event. */
  readonly lines: string[] = [];
  /** Kept copies of every message. */
  readonly heads: TarsHead[] = [];
  /** What was decoded, encoded again under the same ids by another codec. */
  readonly again = new BlockOutput();
  errors = 0;
  private readonly encoder = new TarsCodec('client');

  private message(head: TarsHead, last: boolean): void {
    if (!head.whole || !last) throw new Error('a packet that is not whole');
    if (head.length !== head.bodyEnd - head.bodyStart) throw new Error('the length is not that of the content');
    this.heads.push(head.keep());
    if (head.kind === 2) this.encoder.encodeReply(this.again, head, head.id, true);
    else this.encoder.encodeRequest(this.again, head, head.id, true);
    const headers: string[] = [];
    head.each((name, value) => headers.push(`${name}=${value}`));
    const content = Buffer.from(head.bodyBuf.subarray(head.bodyStart, head.bodyEnd)).toString('latin1');
    const facts = head.kind === 2 ? `code ${head.rawStatus}/${head.status}` : `timeout ${head.timeout} sharing ${head.sharing}`;
    this.lines.push(`${kinds[head.kind]} v${head.version}${head.push ? ' push' : ''} id ${head.id} message ${head.messageType} ${names(head)} ${facts} {${headers.join(' ')}} content ${content.length} ${content.length > 100 ? `${content.slice(0, 50)}...${content.slice(-50)}` : content}`);
  }

  onRequest(head: Head, last: boolean): void {
    if (head.kind === 2) throw new Error('a reply came as a request');
    this.message(head as TarsHead, last);
  }

  onReply(head: Head, last: boolean): void {
    if (head.kind !== 2) throw new Error('a request came as a reply');
    this.message(head as TarsHead, last);
  }

  onData(): void {
    throw new Error('Tars comes whole');
  }
  onTrailers(): void {
    throw new Error('Tars has no trailers');
  }
  onReset(): void {
    throw new Error('Tars has no resets');
  }
  onPing(head: Head): void {
    this.lines.push(`ping ${kinds[head.kind]} ${head.id}`);
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

function names(head: TarsHead): string {
  const buf = head.buf as Buffer;
  return `${buf.utf8Slice(head.servantFrom, head.servantEnd)}.${buf.utf8Slice(head.functionFrom, head.functionEnd)}`;
}

export interface DecodeOptions extends Partial<CodecOptions> {
  readonly role?: Role;
}

/** Decodes `bytes` as if each of `cuts` ended a read, carrying what was not consumed; `want` is obeyed as a connection obeys it. */
export function decodeCut(bytes: Buffer, cuts: readonly number[], options: DecodeOptions = {}, recorder = new Recorder()): Recorder {
  const codec = new TarsCodec(options.role ?? 'server', { ...defaultOptions, ...options });
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

export function decodeAll(bytes: Buffer, options: DecodeOptions = {}): Recorder {
  return decodeCut(bytes, [], options);
}

/** The one message in `bytes`, as a kept head. */
export function headOf(bytes: Buffer, role: Role = 'server'): TarsHead {
  const { heads, lines } = decodeAll(bytes, { role, ping: 'forward' });
  if (heads.length !== 1) throw new Error(`one message was due: ${lines.join('; ')}`);
  return heads[0]!;
}

// Writes down what a Thrift codec tells its sink, as text, with content joined, so that two runs can be compared.
import { BlockOutput } from '../../../src/core/bytes.js';
import type { ReasonCode, ReasonContext } from '../../../src/core/reason.js';
import { headerName, type Head } from '../../../src/stream/head.js';
import type { CodecSink, Role } from '../../../src/stream/protocol.js';
import { AS_ASKED, BY_IDS, DEFAULT_MAX_FRAME, ThriftCodec, type Order } from '../../../src/stream/thrift/codec.js';
import type { ThriftHead } from '../../../src/stream/thrift/head.js';

const kinds = ['request', 'oneway', 'reply'];
const forms = ['strict', 'old', 'compact'];
const service = headerName(':service');
const method = headerName(':rpc-method');

export class Recorder implements CodecSink {
  /** One line per message or event. */
  readonly lines: string[] = [];
  /** Kept copies of every message, long ones without their content. */
  readonly heads: ThriftHead[] = [];
  /** What was decoded, sent on to a host under its sequence number. */
  readonly again = new BlockOutput();
  errors = 0;
  /** Pieces of long frames. */
  pieces = 0;
  private readonly encoder: ThriftCodec;
  private long: { head: ThriftHead; pieces: Buffer[] } | null = null;

  constructor(dubbo: boolean) {
    this.encoder = new ThriftCodec('client', dubbo);
  }

  private message(head: ThriftHead, content: Uint8Array): void {
    const facts = head.kind === 2 ? `status ${head.status}/${head.rawStatus}` : '';
    const dubbo = head.dubbo ? ` dubbo ${(BigInt(head.idHigh) << 32n) | BigInt(head.idLow >>> 0)}` : '';
    this.lines.push(`${kinds[head.kind]} ${forms[head.form]} type ${head.type} seqid ${head.seqid}${dubbo} ${head.get(service) ?? '-'} . ${head.get(method) ?? '-'} ${facts} content ${content.length} ${Buffer.from(content).toString('base64')}`);
  }

  private begin(head: Head, last: boolean): void {
    const thrift = head as ThriftHead;
    if (thrift.whole !== last) throw new Error('whole and last disagree');
    this.heads.push(thrift.keep());
    this.encoder.encodeRequest(this.again, thrift, thrift.seqid, last);
    if (last) this.message(thrift, thrift.bodyBuf.subarray(thrift.bodyStart, thrift.bodyEnd));
    else this.long = { head: thrift.keep(), pieces: [] };
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
    this.encoder.encodeData(this.again, long.head.seqid, buf, start, end, last);
    long.pieces.push(Buffer.from(buf.subarray(start, end)));
    if (!last) return;
    this.long = null;
    this.message(long.head, Buffer.concat(long.pieces));
  }

  onTrailers(): void {
    throw new Error('Thrift has no trailers');
  }
  onReset(): void {
    throw new Error('Thrift has no resets');
  }
  onPing(): void {
    throw new Error('Thrift has no heartbeats');
  }
  onPong(): void {
    throw new Error('Thrift has no heartbeats');
  }
  onGoAway(): void {
    throw new Error('Thrift has no go-away');
  }
  onError(_id: number, code: ReasonCode, context: ReasonContext): void {
    this.errors++;
    this.lines.push(`error ${code} ${JSON.stringify(context)}`);
  }
  onRefused(kind: Head['kind'], _id: number, code: ReasonCode, context: ReasonContext): void {
    this.lines.push(`refused ${kinds[kind]} ${code} ${JSON.stringify(context)}`);
  }
}

export interface Reading {
  readonly role?: Role;
  readonly dubbo?: boolean;
  readonly max?: number;
  readonly order?: Order;
}

/** Decodes `bytes` as if each of `cuts` ended a read, carrying what was not consumed; `want` is obeyed as a connection obeys it. */
export function decodeCut(bytes: Buffer, cuts: readonly number[], reading: Reading = {}): Recorder {
  const { role = 'server', dubbo = false, max = DEFAULT_MAX_FRAME, order = BY_IDS } = reading;
  const codec = new ThriftCodec(role, dubbo, max, order);
  const recorder = new Recorder(dubbo);
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

export function decodeAll(bytes: Buffer, reading: Reading = {}): Recorder {
  return decodeCut(bytes, [], reading);
}

export { AS_ASKED };

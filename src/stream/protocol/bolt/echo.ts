// A Bolt server that answers every request with what it was sent; the upstream of the quick start, and of tests.
import type { Output } from '../../../core/bytes.js';
import { sentence, type ReasonCode, type ReasonContext } from '../../../core/reason.js';
import { REQUEST, headerName, type Head } from '../../head.js';
import type { CodecSink } from '../../protocol.js';
import { BoltCodec } from './codec.js';
import { CLASS_RESPONSE, CODEC_HESSIAN2, CODEC_PROTOBUF, COMMAND_RESPONSE, TYPE_RESPONSE, V2, buildFrame, buildHeaders } from './frame.js';
import type { BoltHead } from './head.js';
import { DRAFT, FINAL, HessianObject, HessianReader, HessianWriter, type Dialect } from './hessian.js';
import { SUCCESS } from './status.js';

const service = headerName(':service');
const method = headerName(':rpc-method');
const classResponse = Buffer.from(CLASS_RESPONSE);

/**
 * The reply to a whole request, as a SOFARPC server would frame it. A Hessian call gets its first argument back where that is a plain
 * value, else a sentence about the call; other content comes back as it is. Headers come back with `echo-by` added.
 */
export function echoReply(head: BoltHead, content: Uint8Array, name: string): Buffer {
  const pairs: [string, string][] = [];
  head.each((key, value) => {
    if (key !== 'echo-by') pairs.push([key, value]);
  });
  pairs.push(['echo-by', name]);
  if (head.codec === CODEC_PROTOBUF) pairs.push(['sofa_head_response_error', 'false']);
  return buildFrame({
    proto: head.proto,
    ver1: head.ver1,
    switches: head.proto === V2 ? head.buf[head.start + 11]! : 0,
    type: TYPE_RESPONSE,
    command: COMMAND_RESPONSE,
    id: head.id,
    codec: head.codec,
    timeoutOrStatus: SUCCESS,
    className: classResponse,
    headers: buildHeaders(pairs),
    content: head.codec === CODEC_HESSIAN2 ? (hessianReply(head, content, name) ?? content) : content,
  });
}

/** null where the content is no SofaRequest. */
function hessianReply(head: BoltHead, content: Uint8Array, name: string): Buffer | null {
  const reader = new HessianReader(content, 0, content.length);
  const request = reader.read();
  if (!(request instanceof HessianObject) || !request.className.endsWith('SofaRequest')) return null;
  const dialect: Dialect = content[0] === 0x43 ? FINAL : DRAFT;
  const w = new HessianWriter(dialect).object(CLASS_RESPONSE, ['isError', 'errorMsg', 'appResponse', 'responseProps']).boolean(false).null();
  const from = reader.pos;
  const value = reader.read();
  // A list or an object may refer to types that the request defined before it, so only plain values are copied.
  if (value !== undefined && (value === null || typeof value !== 'object')) w.raw(content.subarray(from, reader.pos));
  else w.string(`${name} got ${callName(head, request)}, ${content.length} bytes`);
  return w.null().take();
}

function callName(head: BoltHead, request: HessianObject): string {
  const target = head.get(service) ?? String(request.fields.get('targetServiceUniqueName') ?? '?');
  return `${target}.${head.get(method) ?? String(request.fields.get('methodName') ?? '?')}`;
}

/** One connection to the echo: hand received bytes to `receive`, and what it writes to the socket. */
export class BoltEcho implements CodecSink {
  /** Set when the bytes were not Bolt; the connection is to be closed. */
  failure = '';
  private readonly codec = new BoltCodec('server');
  private readonly name: string;
  private readonly out: Output;
  private long: BoltHead | null = null;
  private pieces: Buffer[] = [];

  constructor(name: string, out: Output) {
    this.name = name;
    this.out = out;
  }

  /** Answers what is complete in buf[start, end) and returns how many bytes were consumed; the rest is to be handed in again with what follows. */
  receive(buf: Uint8Array, start: number, end: number): number {
    return this.codec.decode(buf, start, end, this);
  }

  onRequest(head: Head, last: boolean): void {
    this.long = null;
    this.pieces = [];
    if (!last) this.long = (head as BoltHead).keep();
    else if (head.kind === REQUEST) this.answer(head as BoltHead, head.bodyBuf.subarray(head.bodyStart, head.bodyEnd));
  }

  onData(_id: number, buf: Uint8Array, start: number, end: number, last: boolean): void {
    const head = this.long;
    if (head === null) return;
    this.pieces.push(Buffer.from(buf.subarray(start, end)));
    if (!last) return;
    const content = Buffer.concat(this.pieces);
    this.long = null;
    this.pieces = [];
    if (head.kind === REQUEST) this.answer(head, content);
  }

  private answer(head: BoltHead, content: Uint8Array): void {
    const frame = echoReply(head, content, this.name);
    this.out.give(frame, 0, frame.length);
  }

  onPing(head: Head): void {
    this.codec.encodePong(this.out, head);
  }

  onError(_id: number, code: ReasonCode, context: ReasonContext): void {
    this.failure = sentence(code, context);
  }

  onReply(): void {
    this.long = null;
  }
  onTrailers(): void {}
  onReset(): void {}
  onPong(): void {}
  onGoAway(): void {}
}

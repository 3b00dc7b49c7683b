// One Bolt call from the command line: the frame of the request, and the reply in words.
import { BlockOutput } from '../../../core/bytes.js';
import { type ReasonCode, type ReasonContext, sentence } from '../../../core/reason.js';
import { headerName, type Head } from '../../head.js';
import type { CodecSink } from '../../protocol.js';
import { BoltCodec } from './codec.js';
import {
  CLASS_REQUEST, CODEC_HESSIAN2, CODEC_PROTOBUF, COMMAND_REQUEST, TYPE_REQUEST, V1, V2, buildFrame, buildHeaders,
} from './frame.js';
import type { BoltHead } from './head.js';
import { DRAFT, HessianObject, HessianReader, HessianWriter, type HessianValue } from './hessian.js';
import { SUCCESS, statusName } from './status.js';

export interface BoltCall {
  /** As registered, e.g. `com.example.Hello:1.0`. */
  readonly service: string;
  readonly method: string;
  /** Each is passed as a java.lang.String. */
  readonly args: readonly string[];
  readonly headers: ReadonlyArray<readonly [string, string]>;
  /** ms. */
  readonly timeout: number;
  readonly id: number;
  /** 1 or 2; a v2 frame has a checksum. */
  readonly version: number;
}

/** A request as a SOFARPC client sends it, with the method also in the headers, where a proxy can route by it. */
export function callFrame(call: BoltCall): Buffer {
  const content = new HessianWriter(DRAFT)
    .object(CLASS_REQUEST, ['targetAppName', 'methodName', 'targetServiceUniqueName', 'requestProps', 'methodArgSigs'])
    .null()
    .string(call.method)
    .string(call.service)
    .null()
    .list('[java.lang.String', call.args.map(() => 'java.lang.String'));
  for (const arg of call.args) content.string(arg);
  return buildFrame({
    proto: call.version === 2 ? V2 : V1,
    ver1: call.version === 2 ? 2 : 1,
    switches: call.version === 2 ? 1 : 0,
    type: TYPE_REQUEST,
    command: COMMAND_REQUEST,
    id: call.id,
    codec: CODEC_HESSIAN2,
    timeoutOrStatus: call.timeout,
    className: Buffer.from(CLASS_REQUEST),
    headers: buildHeaders([['service', call.service], ['sofa_head_target_service', call.service], ['sofa_head_method_name', call.method], ...call.headers]),
    content: content.take(),
  });
}

/** Gathers the reply to one call. */
export class CallReply implements CodecSink {
  /** True once the reply, or the reason why there is none, is known. */
  done = false;
  /** True for status success without an error inside. */
  ok = false;
  /** The reply in lines of text. */
  text = '';
  /** Answers to the host's heartbeats, to be sent to it; empty mostly. */
  readonly answers = new BlockOutput();
  private readonly id: number;
  private readonly codec = new BoltCodec('client');
  private head: BoltHead | null = null;
  private pieces: Buffer[] = [];

  constructor(id: number) {
    this.id = id;
  }

  /** Takes buf[start, end) and returns how many bytes were consumed; the rest is to be handed in again with what follows. */
  receive(buf: Uint8Array, start: number, end: number): number {
    return this.codec.decode(buf, start, end, this);
  }

  onReply(head: Head, last: boolean): void {
    this.head = null;
    if (head.id !== this.id || this.done) return;
    const reply = (head as BoltHead).keep();
    if (last) this.finish(reply, reply.bodyBuf.subarray(reply.bodyStart, reply.bodyEnd));
    else this.head = reply;
  }

  onData(_id: number, buf: Uint8Array, start: number, end: number, last: boolean): void {
    if (this.head === null) return;
    this.pieces.push(Buffer.from(buf.subarray(start, end)));
    if (last) this.finish(this.head, Buffer.concat(this.pieces));
  }

  private finish(head: BoltHead, content: Uint8Array): void {
    const value = head.codec === CODEC_HESSIAN2 && content.length > 0 ? new HessianReader(content, 0, content.length).read() : undefined;
    const failed = value instanceof HessianObject && value.fields.get('isError') === true;
    const lines = [`status: ${head.rawStatus} ${statusName(head.rawStatus)}`];
    if (head.className !== '') lines.push(`class: ${head.className}`);
    head.each((name, text) => lines.push(`header ${name}: ${text}`));
    lines.push(`content: ${describe(head, content, value)}`);
    this.text = lines.join('\n');
    this.ok = head.rawStatus === SUCCESS && !failed && head.get(headerName('sofa_head_response_error')) !== 'true';
    this.done = true;
  }

  onError(_id: number, code: ReasonCode, context: ReasonContext): void {
    this.done = true;
    this.text = sentence(code, context);
  }

  onPing(head: Head): void {
    this.codec.encodePong(this.answers, head);
  }

  onGoAway(): void {}
  onRequest(): void {
    this.head = null;
  }
  onTrailers(): void {}
  onReset(): void {}
  onPong(): void {}
}

/** Results and error texts in plain words; what cannot be read, by its size. */
function describe(head: BoltHead, content: Uint8Array, value: HessianValue | undefined): string {
  if (content.length === 0) return 'none';
  if (head.codec === CODEC_PROTOBUF && head.rawStatus !== SUCCESS) return Buffer.from(content).toString();
  if (value === undefined) return `${content.length} bytes of codec ${head.codec}`;
  if (!(value instanceof HessianObject)) return show(value);
  const { fields } = value;
  if (fields.get('isError') === true) return `error: ${show(fields.get('errorMsg') ?? null)}`;
  if (fields.has('appResponse')) return show(fields.get('appResponse')!);
  if (fields.has('detailMessage')) return String(fields.get('detailMessage'));
  return show(value);
}

/** Values that contain themselves end in dots. */
function show(value: HessianValue, depth = 0): string {
  if (depth > 8) return '...';
  if (value instanceof HessianObject) return `${value.className} {${[...value.fields].map(([name, field]) => `${name}: ${show(field, depth + 1)}`).join(', ')}}`;
  if (Array.isArray(value)) return `[${value.map((item: HessianValue) => show(item, depth + 1)).join(', ')}]`;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'no date' : value.toISOString();
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  return typeof value === 'string' ? JSON.stringify(value) : String(value);
}

// Dubbo frames for tests: captured from real peers, and made by hand with their values written by hessian.js, which knows nothing of our code.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { inflateRawSync } from 'node:zlib';

const require = createRequire(resolve('package.json'));

/** A value of hessian.js: plain values, or {$class, $} for objects of a class. */
export type Value = unknown;

const { encode, decode, DecoderV2 } = require('hessian.js') as {
  encode(value: Value, version: string): Buffer;
  decode(bytes: Buffer, version: string): Value;
  DecoderV2: new (bytes: Buffer) => { read(): Value; byteBuffer: { position(): number } };
};

const { frames } = JSON.parse(readFileSync('test/stream/protocol/dubbo/captured.json', 'utf8')) as { frames: Record<string, string> };

/** Names of all captured frames: version, method, and "request" or "reply". */
export const capturedNames = Object.keys(frames);

export function captured(name: string): Buffer {
  return inflateRawSync(Buffer.from(frames[name]!, 'base64'));
}

export const value = (one: Value): Buffer => encode(one, '2.0');

/** The values that follow each other in `bytes`, as hessian.js reads them. */
export function values(bytes: Buffer): Value[] {
  const decoder = new DecoderV2(bytes);
  const list: Value[] = [];
  while (decoder.byteBuffer.position() < bytes.length) list.push(decoder.read());
  return list;
}

export { decode };

export interface FrameOptions {
  readonly id?: bigint;
  readonly flags?: number;
  readonly status?: number;
  readonly body?: Buffer;
}

/** Any frame; the rest are made of it. */
export function frame({ id = 1n, flags = 0xc2, status = 0, body = Buffer.alloc(0) }: FrameOptions): Buffer {
  const head = Buffer.alloc(16);
  head.writeUInt16BE(0xdabb, 0);
  head[2] = flags;
  head[3] = status;
  head.writeBigUInt64BE(BigInt.asUintN(64, id), 4);
  head.writeInt32BE(body.length, 12);
  return Buffer.concat([head, body]);
}

export interface RequestOptions extends FrameOptions {
  readonly service?: string | null;
  readonly version?: string | null;
  readonly method?: string;
  readonly descriptor?: string;
  /** Each encoded already. */
  readonly args?: readonly Buffer[];
  readonly attachments?: Record<string, Value> | null;
}

export function requestBody({ service = 'com.example.A', version = '1.0', method = 'go', descriptor, args = [], attachments = {} }: RequestOptions): Buffer {
  return Buffer.concat([value('2.0.2'), value(service), value(version), value(method), value(descriptor ?? 'Ljava/lang/Object;'.repeat(args.length)), ...args, value(attachments)]);
}

export const request = (options: RequestOptions = {}): Buffer => frame({ ...options, body: options.body ?? requestBody(options) });
export const oneway = (options: RequestOptions = {}): Buffer => request({ flags: 0x82, ...options });

/** A reply with a value and attachments. */
export const reply = (id: bigint | number, result: Value = 'done', attachments: Record<string, Value> | null = {}): Buffer =>
  frame({ id: BigInt(id), flags: 2, status: 20, body: Buffer.concat([Buffer.from([attachments === null ? 0x91 : 0x94]), value(result), ...(attachments === null ? [] : [value(attachments)])]) });
export const failure = (id: bigint | number, status: number, text: string): Buffer => frame({ id: BigInt(id), flags: 2, status, body: value(text) });
export const heartbeat = (id: bigint): Buffer => frame({ id, flags: 0xe2, body: Buffer.from('N') });
export const readOnly = Buffer.from('dabba2006d1bdd950c1fd916000000020152', 'hex');

export const idAt = (bytes: Buffer, at = 0): bigint => bytes.readBigUInt64BE(at + 4);
export const bodyOf = (bytes: Buffer): Buffer => bytes.subarray(16, 16 + bytes.readInt32BE(12));

/** Whole frames of `bytes`, which must be nothing else. */
export function split(bytes: Buffer): Buffer[] {
  const list: Buffer[] = [];
  for (let p = 0; p < bytes.length; ) {
    const end = p + 16 + bytes.readInt32BE(p + 12);
    if (end > bytes.length) throw new RangeError(`a frame ends ${end - bytes.length} bytes behind the end`);
    list.push(bytes.subarray(p, end));
    p = end;
  }
  return list;
}

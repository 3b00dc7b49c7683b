// Thrift frames written byte by byte from the specifications, so that nothing of the codec's own builder is taken for granted.

export type FormName = 'strict' | 'old' | 'compact';
export const forms: readonly FormName[] = ['strict', 'old', 'compact'];

export const CALL = 1;
export const REPLY = 2;
export const EXCEPTION = 3;
export const ONEWAY = 4;

export interface Parts {
  readonly form?: FormName;
  readonly type?: number;
  readonly seqid?: number;
  readonly name?: string;
  readonly content?: Uint8Array;
  /** Dubbo's header: its service, its i64 id, and what versions since 2.7 write between the two. */
  readonly dubbo?: { readonly service?: string; readonly id?: bigint; readonly path?: string };
  /** Bytes of the sequence number in compact messages; as few as it takes by default. */
  readonly width?: number;
}

function i32(v: number): Buffer {
  const b = Buffer.alloc(4);
  b.writeInt32BE(v | 0);
  return b;
}

export function varint(v: number, width = 0): Buffer {
  const bytes: number[] = [];
  let u = v >>> 0;
  do {
    bytes.push((u & 0x7f) | 0x80);
    u >>>= 7;
  } while (u !== 0 || bytes.length < width);
  bytes[bytes.length - 1]! &= 0x7f;
  return Buffer.from(bytes);
}

export function string(text: string | Uint8Array): Buffer {
  const bytes = Buffer.from(text as string);
  return Buffer.concat([i32(bytes.length), bytes]);
}

export function message(parts: Parts): Buffer {
  const { form = 'strict', type = CALL, seqid = 1, name = 'ping', content = Buffer.from([0]), width = 0 } = parts;
  if (form === 'strict') return Buffer.concat([Buffer.from([0x80, 1, 0, type]), string(name), i32(seqid), content]);
  if (form === 'old') return Buffer.concat([string(name), Buffer.from([type]), i32(seqid), content]);
  const bytes = Buffer.from(name);
  return Buffer.concat([Buffer.from([0x82, (type << 5) | 1]), varint(seqid, width), varint(bytes.length), bytes, content]);
}

export function frame(parts: Parts = {}): Buffer {
  const body = message(parts);
  if (parts.dubbo === undefined) return Buffer.concat([i32(body.length), body]);
  const { service = 'com.x.S', id = 1n, path } = parts.dubbo;
  const id64 = Buffer.alloc(8);
  id64.writeBigInt64BE(id);
  const fields = Buffer.concat([Buffer.from([1]), string(service), path === undefined ? Buffer.alloc(0) : string(path), id64]);
  const size = 8 + fields.length + body.length;
  const head = Buffer.alloc(8);
  head.writeUInt16BE(0xdabc);
  head.writeInt32BE(size, 2);
  head.writeUInt16BE(8 + fields.length, 6);
  return Buffer.concat([i32(size), head, fields, body]);
}

/** A struct with one string field. */
export function text(form: FormName, value: string | Uint8Array, id = 1): Buffer {
  const bytes = Buffer.from(value as string);
  if (form !== 'compact') return Buffer.concat([Buffer.from([11, 0, id]), string(bytes), Buffer.from([0])]);
  const field = id === 0 ? Buffer.from([8, 0]) : Buffer.from([(id << 4) | 8]);
  return Buffer.concat([field, varint(bytes.length), bytes, Buffer.from([0])]);
}

/** The struct of an exception message. */
export function failure(form: FormName, said: string, type: number): Buffer {
  if (form !== 'compact') return Buffer.concat([Buffer.from([11, 0, 1]), string(said), Buffer.from([8, 0, 2]), i32(type), Buffer.from([0])]);
  return Buffer.concat([Buffer.from([0x18]), varint(Buffer.byteLength(said)), Buffer.from(said), Buffer.from([0x15]), varint((type << 1) ^ (type >> 31)), Buffer.from([0])]);
}

export function pattern(size: number): Buffer {
  const bytes = Buffer.allocUnsafe(size);
  for (let i = 0; i < size; i++) bytes[i] = (i * 31 + (i >>> 8)) & 255;
  return bytes;
}

// The wire layout of Bolt v1 and v2 frames (big endian), and the builder of frames that the proxy makes itself.
import { crc32 } from 'node:zlib';

/**
 * Byte 0 of a frame. v2 inserts `ver1` after byte 0 and `switch` after the codec; everything else keeps its order:
 *
 *   v1: 0 proto, 1 type, 2 u16 command, 4 ver2, 5 u32 id, 9 codec,            10 (i32 timeout | u16 status), ...
 *   v2: 0 proto, 1 ver1, 2 type, 3 u16 command, 5 ver2, 6 u32 id, 10 codec, 11 switch, 12 (i32 timeout | u16 status), ...
 *   both go on with u16 class length, u16 header length, u32 content length, class, header block, content
 *   v2 with ver1 = 2 and bit 0 of switch ends with the CRC-32 of every byte before it (SOFABolt RpcCommandEncoderV2)
 */
export const V1 = 1;
export const V2 = 2;

export const TYPE_RESPONSE = 0;
export const TYPE_REQUEST = 1;
export const TYPE_ONEWAY = 2;

export const COMMAND_HEARTBEAT = 0;
export const COMMAND_REQUEST = 1;
export const COMMAND_RESPONSE = 2;
export const COMMAND_GOAWAY = 100;

/** Bytes before the class of a v1 response, the shortest frame there is; requests have 2 more, v2 frames again 2 more. */
export const MIN_FIXED = 20;

/** Values of the codec byte that SOFARPC uses. */
export const CODEC_HESSIAN2 = 1;
export const CODEC_PROTOBUF = 11;

export const CLASS_REQUEST = 'com.alipay.sofa.rpc.core.request.SofaRequest';
export const CLASS_RESPONSE = 'com.alipay.sofa.rpc.core.response.SofaResponse';
export const CLASS_EXCEPTION = 'com.alipay.remoting.rpc.exception.RpcServerException';

/** Longest class and header block: their lengths are u16. */
export const MAX_BLOCK = 0xffff;

export const EMPTY = Buffer.alloc(0);

/** Bytes before the class. */
export function fixedLength(proto: number, type: number): number {
  return (type === TYPE_RESPONSE ? 20 : 22) + (proto === V2 ? 2 : 0);
}

/** Where the id lies from the beginning of a frame. */
export function idOffset(proto: number): number {
  return proto === V2 ? 6 : 5;
}

/** Length of the trailing checksum of the frame that begins at buf[at]: 4 or 0. Needs its first 12 bytes. */
export function crcLength(buf: Uint8Array, at: number): number {
  return buf[at] === V2 && buf[at + 1] === 2 && (buf[at + 11]! & 1) === 1 ? 4 : 0;
}

/** Bytes of the whole frame whose fixed part begins at buf[at]. */
export function frameLength(buf: Uint8Array, at: number): number {
  const v2 = buf[at] === V2;
  const fixed = fixedLength(v2 ? V2 : V1, buf[v2 ? at + 2 : at + 1]!);
  return fixed + u16(buf, at + fixed - 8) + u16(buf, at + fixed - 6) + i32(buf, at + fixed - 4) + crcLength(buf, at);
}

export function u16(buf: Uint8Array, at: number): number {
  return (buf[at]! << 8) | buf[at + 1]!;
}

/** A signed 32-bit number, as Bolt's own readers see every length and id. */
export function i32(buf: Uint8Array, at: number): number {
  return (buf[at]! << 24) | (buf[at + 1]! << 16) | (buf[at + 2]! << 8) | buf[at + 3]!;
}

export function putU16(buf: Uint8Array, at: number, value: number): void {
  buf[at] = value >>> 8;
  buf[at + 1] = value;
}

export function putU32(buf: Uint8Array, at: number, value: number): void {
  buf[at] = value >>> 24;
  buf[at + 1] = value >>> 16;
  buf[at + 2] = value >>> 8;
  buf[at + 3] = value;
}

/** The checksum of buf[start, end), going on from `before`. */
export function checksum(buf: Uint8Array, start: number, end: number, before = 0): number {
  return crc32(buf.subarray(start, end), before);
}

/** What a frame made from scratch consists of. */
export interface FrameParts {
  readonly proto: number;
  /** v2 only: 1, or 2 where a checksum may follow. */
  readonly ver1: number;
  /** v2 only: the switch byte; with ver1 = 2 its bit 0 asks for the checksum. */
  readonly switches: number;
  readonly type: number;
  readonly command: number;
  readonly id: number;
  readonly codec: number;
  /** Requests: timeout in ms. Responses: status. */
  readonly timeoutOrStatus: number;
  readonly className: Uint8Array;
  readonly headers: Uint8Array;
  readonly content: Uint8Array;
}

/** A whole frame in a buffer of its own. A class or header block over 64 KiB is a programmer mistake: RangeError. */
export function buildFrame(parts: FrameParts): Buffer {
  const { proto, type, className, headers, content } = parts;
  if (className.length > MAX_BLOCK || headers.length > MAX_BLOCK) throw new RangeError('class and header block of a Bolt frame hold at most 65535 bytes');
  const fixed = fixedLength(proto, type);
  const crc = proto === V2 && parts.ver1 === 2 && (parts.switches & 1) === 1;
  const body = fixed + className.length + headers.length;
  const end = body + content.length;
  const b = Buffer.allocUnsafe(end + (crc ? 4 : 0));
  let p = 0;
  b[p++] = proto;
  if (proto === V2) b[p++] = parts.ver1;
  b[p++] = type;
  putU16(b, p, parts.command);
  b[p + 2] = 1;
  putU32(b, p + 3, parts.id);
  b[p + 7] = parts.codec;
  p += 8;
  if (proto === V2) b[p++] = parts.switches;
  if (type === TYPE_RESPONSE) putU16(b, p, parts.timeoutOrStatus);
  else putU32(b, p, parts.timeoutOrStatus);
  putU16(b, fixed - 8, className.length);
  putU16(b, fixed - 6, headers.length);
  putU32(b, fixed - 4, content.length);
  b.set(className, fixed);
  b.set(headers, fixed + className.length);
  b.set(content, body);
  if (crc) putU32(b, end, checksum(b, 0, end));
  return b;
}

/**
 * A header block: repeated { i32 key length, key, i32 value length, value }; null values have the length -1. Pairs that would take it
 * over 64 KiB are left out: this is for headers the proxy adds to its own frames, none of which a reader depends on.
 */
export function buildHeaders(pairs: ReadonlyArray<readonly [string, string]>): Buffer {
  const pieces: Buffer[] = [];
  let size = 0;
  for (const [name, value] of pairs) {
    const key = Buffer.from(name);
    const val = Buffer.from(value);
    const pair = Buffer.allocUnsafe(8 + key.length + val.length);
    if (size + pair.length > MAX_BLOCK) continue;
    putU32(pair, 0, key.length);
    pair.set(key, 4);
    putU32(pair, 4 + key.length, val.length);
    pair.set(val, 8 + key.length);
    pieces.push(pair);
    size += pair.length;
  }
  return Buffer.concat(pieces, size);
}

// The wire layout of framed Thrift messages, plain and with Dubbo's header, and the builder of frames that the proxy makes itself.

/**
 * A frame is a u32 length (of what follows it) and one message. All numbers are big endian, strings have an i32 length in front.
 *
 *   strict binary   0 u16 0x8001, 2 unused, 3 type, 4 string name, i32 seqid, struct
 *   old binary      0 string name, u8 type, i32 seqid, struct                        (a name under 16 MiB begins with a zero byte)
 *   compact         0 u8 0x82, 1 type << 5 | version 1, 2 varint seqid, varint length and name, struct
 *
 * The struct holds the arguments, the result (field 0), a declared exception (field 1 and up), or a TApplicationException.
 * Sources: doc/specs of Apache Thrift (thrift-rpc, thrift-binary-protocol, thrift-compact-protocol, SequenceNumbers).
 *
 * dubbo-thrift puts a header between length and message (ThriftCodec of Dubbo 2.x), of H bytes from its magic on:
 *
 *   0 u16 0xDABC, 2 u32 length again, 6 u16 H, 8 u8 version 1, 9 string service, (since 2.7 in requests: string path), H-8 i64 id
 */
export const STRICT = 0;
export const OLD = 1;
export const COMPACT = 2;
export type Form = typeof STRICT | typeof OLD | typeof COMPACT;

export const CALL = 1;
export const REPLY_MESSAGE = 2;
export const EXCEPTION = 3;
export const ONEWAY_CALL = 4;

export const STRICT_BYTE = 0x80;
export const COMPACT_BYTE = 0x82;
/** First byte of THeader messages, which follow the frame length as well. */
export const HEADER_TRANSPORT = 0x0f;

/** Longest name of a service or method: real ones have some dozen bytes. */
export const MAX_NAME = 4096;
/** Bytes of a message in which its form, type and the length of its name are found. */
export const MESSAGE_START = 16;
/** Bytes from the beginning of a frame to the service of Dubbo's header. */
export const DUBBO_START = 17;
/** Shortest Dubbo header: that of an empty service. */
export const MIN_HEADER = 21;
/** Most bytes of a prefix besides its names and what Dubbo's header has between service and id. */
export const PREFIX_BOUND = 48;
/** Width of the sequence numbers that are written to hosts in compact messages, so that a second try can put another in its place. */
export const PADDED = 5;

export const EMPTY = Buffer.alloc(0);

export function u16(buf: Uint8Array, at: number): number {
  return (buf[at]! << 8) | buf[at + 1]!;
}

export function i32(buf: Uint8Array, at: number): number {
  return (buf[at]! << 24) | (buf[at + 1]! << 16) | (buf[at + 2]! << 8) | buf[at + 3]!;
}

export function putU32(buf: Uint8Array, at: number, v: number): void {
  buf[at] = v >>> 24;
  buf[at + 1] = v >>> 16;
  buf[at + 2] = v >>> 8;
  buf[at + 3] = v;
}

/** Bytes of `v` as an unsigned varint (ULEB128), 1 to 5. */
export function varintLength(v: number): number {
  const u = v >>> 0;
  return u < 0x80 ? 1 : u < 0x4000 ? 2 : u < 0x200000 ? 3 : u < 0x10000000 ? 4 : 5;
}

/** Stores `v` as a varint of exactly `width` bytes, which readers accept although fewer would do; returns what follows it. */
export function putVarint(buf: Uint8Array, at: number, v: number, width: number): number {
  let u = v >>> 0;
  for (let i = 1; i < width; i++) {
    buf[at++] = (u & 0x7f) | 0x80;
    u >>>= 7;
  }
  buf[at++] = u;
  return at;
}

/** Where the message of the frame at buf[start] begins. */
export function messageAt(buf: Uint8Array, start: number, dubbo: boolean): number {
  return dubbo ? start + 4 + u16(buf, start + 10) : start + 4;
}

/** Puts another number (of type u32) into an encoded request: the sequence number, and the id of Dubbo's header. */
export function renumber(buf: Uint8Array, start: number, id: number, dubbo: boolean): void {
  const m = messageAt(buf, start, dubbo);
  if (dubbo) {
    putU32(buf, m - 8, 0);
    putU32(buf, m - 4, id);
  }
  if (buf[m] === COMPACT_BYTE) putVarint(buf, m + 2, id, PADDED);
  else if (buf[m] === STRICT_BYTE) putU32(buf, m + 8 + i32(buf, m + 4), id);
  else putU32(buf, m + 5 + i32(buf, m), id);
}

export interface FrameParts {
  readonly form: Form;
  readonly type: number;
  /** i32 */
  readonly seqid: number;
  readonly name: Uint8Array;
  /** The struct with its stop byte. */
  readonly content: Uint8Array;
  /** Dubbo's header; null for plain frames. */
  readonly dubbo: { readonly service: Uint8Array; readonly high: number; readonly low: number } | null;
}

/** A frame of its parts; for messages of the proxy's own, and tests. */
export function buildFrame(parts: FrameParts): Buffer {
  const { form, type, seqid, name, content, dubbo } = parts;
  const header = dubbo === null ? 0 : MIN_HEADER + dubbo.service.length;
  const start = form === COMPACT ? 2 + varintLength(seqid) + varintLength(name.length) : form === STRICT ? 12 : 9;
  const b = Buffer.allocUnsafe(4 + header + start + name.length + content.length);
  putU32(b, 0, b.length - 4);
  let p = 4;
  if (dubbo !== null) {
    b[p] = 0xda;
    b[p + 1] = 0xbc;
    putU32(b, p + 2, b.length - 4);
    b[p + 6] = header >>> 8;
    b[p + 7] = header;
    b[p + 8] = 1;
    putU32(b, p + 9, dubbo.service.length);
    b.set(dubbo.service, p + 13);
    p += header;
    putU32(b, p - 8, dubbo.high);
    putU32(b, p - 4, dubbo.low);
  }
  if (form === COMPACT) {
    b[p] = COMPACT_BYTE;
    b[p + 1] = (type << 5) | 1;
    p = putVarint(b, p + 2, seqid, varintLength(seqid));
    p = putVarint(b, p, name.length, varintLength(name.length));
    b.set(name, p);
    p += name.length;
  } else if (form === STRICT) {
    putU32(b, p, 0x80010000 | type);
    putU32(b, p + 4, name.length);
    b.set(name, p + 8);
    p += 12 + name.length;
    putU32(b, p - 4, seqid);
  } else {
    putU32(b, p, name.length);
    b.set(name, p + 4);
    p += 9 + name.length;
    b[p - 5] = type;
    putU32(b, p - 4, seqid);
  }
  b.set(content, p);
  return b;
}

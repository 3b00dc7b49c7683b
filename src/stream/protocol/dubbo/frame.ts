// The wire layout of Dubbo frames (big endian), and the builder of frames that the proxy makes itself.

/**
 * 0 DA BB, 2 flags, 3 status (responses), 4 id (8 bytes), 12 i32 body length, 16 body. Lowest five bits of the flags: the serialization
 * of the body. Source: ExchangeCodec of Apache Dubbo 2.7.23 and 3.3.6.
 */
export const HEADER = 16;
export const MAGIC_HIGH = 0xda;
export const MAGIC_LOW = 0xbb;

export const FLAG_REQUEST = 0x80;
export const FLAG_TWO_WAY = 0x40;
export const FLAG_EVENT = 0x20;
export const SERIALIZATION_MASK = 0x1f;

export const HESSIAN2 = 2;
export const FASTJSON2 = 23;

/** The data of the event by which a server asks for no new requests; a heartbeat's data is null. */
export const READ_ONLY = 0x52;

/** First value in the body of a response with status 20; from 3 on attachments follow. */
export const RESULT_EXCEPTION = 0;
export const RESULT_VALUE = 1;
export const RESULT_NULL = 2;
export const RESULT_EXCEPTION_ATTACHMENTS = 3;
export const RESULT_VALUE_ATTACHMENTS = 4;
export const RESULT_NULL_ATTACHMENTS = 5;

export const EMPTY = Buffer.alloc(0);

/** A signed 32-bit number, as Dubbo reads the body length. */
export function i32(buf: Uint8Array, at: number): number {
  return (buf[at]! << 24) | (buf[at + 1]! << 16) | (buf[at + 2]! << 8) | buf[at + 3]!;
}

export function putU32(buf: Uint8Array, at: number, value: number): void {
  buf[at] = value >>> 24;
  buf[at + 1] = value >>> 16;
  buf[at + 2] = value >>> 8;
  buf[at + 3] = value;
}

/** Puts an id of ours (up to 2^31) into the frame that begins at buf[at]. */
export function putId(buf: Uint8Array, at: number, id: number): void {
  putU32(buf, at + 4, 0);
  putU32(buf, at + 8, id);
}

/** The id of the frame that begins at buf[at], where it is below 2^53; above that only some number over 2^53. */
export function idOf(buf: Uint8Array, at: number): number {
  return (i32(buf, at + 4) >>> 0) * 0x1_0000_0000 + (i32(buf, at + 8) >>> 0);
}

/** A whole frame in a buffer of its own. */
export function buildFrame(flags: number, status: number, id: number, body: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(HEADER + body.length);
  frame[0] = MAGIC_HIGH;
  frame[1] = MAGIC_LOW;
  frame[2] = flags;
  frame[3] = status;
  putId(frame, 0, id);
  putU32(frame, 12, body.length);
  frame.set(body, HEADER);
  return frame;
}

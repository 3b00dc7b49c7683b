// The encoding of Tars (JCE): tagged fields in ascending order, read in place and written without an object for each.

/**
 * A field begins with a byte tag << 4 | type; tag 15 says that the tag is the byte behind it. Numbers are big endian and as narrow as
 * they can be: zero has no byte at all. Sizes of maps, lists and byte lists are integers of tag 0, keys of a map have tag 0, values tag 1.
 */
export const BYTE = 0;
export const SHORT = 1;
export const INT = 2;
const LONG = 3;
const FLOAT = 4;
const DOUBLE = 5;
export const STRING1 = 6;
export const STRING4 = 7;
export const MAP = 8;
const LIST = 9;
const STRUCT_BEGIN = 10;
const STRUCT_END = 11;
export const ZERO = 12;
export const SIMPLE_LIST = 13;

/** Structures, lists and maps within each other that are passed over at most. */
const MAX_DEPTH = 32;

/** Where a range lies, or what a number is: results of the last reader that succeeded. */
export interface Found {
  value: number;
  start: number;
  end: number;
}
export const found: Found = { value: 0, start: 0, end: 0 };

/**
 * The integer field of this tag (below 15) at buf[p]; its value is `found.value`. Returns where the field ends, which may lie behind `end`
 * when the bytes break off, or -1 when this is no such field. Bytes from `end` on may be looked at, and mean nothing.
 */
export function readInt(buf: Uint8Array, p: number, tag: number): number {
  switch (buf[p]! ^ (tag << 4)) {
    case ZERO:
      found.value = 0;
      return p + 1;
    case BYTE:
      found.value = (buf[p + 1]! << 24) >> 24;
      return p + 2;
    case SHORT:
      found.value = (((buf[p + 1]! << 8) | buf[p + 2]!) << 16) >> 16;
      return p + 3;
    case INT:
      found.value = (buf[p + 1]! << 24) | (buf[p + 2]! << 16) | (buf[p + 3]! << 8) | buf[p + 4]!;
      return p + 5;
    default:
      return -1;
  }
}

/** The string field of this tag (below 15) at buf[p], its bytes buf[found.start, found.end). Returns where it ends, -1 when this is no such field within `end`. */
export function readString(buf: Uint8Array, p: number, end: number, tag: number): number {
  let from: number;
  let n: number;
  const head = buf[p]! ^ (tag << 4);
  if (head === STRING1) {
    from = p + 2;
    n = buf[p + 1]!;
  } else if (head === STRING4) {
    from = p + 5;
    n = u32(buf, p + 1);
  } else {
    return -1;
  }
  // Negated, so that what lies behind the buffer (NaN) fails too.
  if (!(from + n <= end)) return -1;
  found.start = from;
  found.end = from + n;
  return from + n;
}

/** The byte list of this tag at buf[p], as `readString`. */
export function readBytes(buf: Uint8Array, p: number, end: number, tag: number): number {
  if (buf[p] !== ((tag << 4) | SIMPLE_LIST) || buf[p + 1] !== BYTE) return -1;
  const from = readInt(buf, p + 2, 0);
  const n = found.value;
  if (from < 0 || n < 0 || !(from + n <= end)) return -1;
  found.start = from;
  found.end = from + n;
  return from + n;
}

/** Passes over the value of a field whose head said `type`; returns where it ends, -1 when it is malformed or does not end within `end`. */
export function skipValue(buf: Uint8Array, p: number, end: number, type: number, depth = 0): number {
  switch (type) {
    case ZERO:
      return p;
    case BYTE:
      return within(p + 1, end);
    case SHORT:
      return within(p + 2, end);
    case INT:
    case FLOAT:
      return within(p + 4, end);
    case LONG:
    case DOUBLE:
      return within(p + 8, end);
    case STRING1:
      return p < end ? within(p + 1 + buf[p]!, end) : -1;
    case STRING4:
      return end - p >= 4 ? within(p + 4 + u32(buf, p), end) : -1;
    case SIMPLE_LIST: {
      if (buf[p] !== BYTE) return -1;
      const from = readInt(buf, p + 1, 0);
      return from < 0 || found.value < 0 ? -1 : within(from + found.value, end);
    }
    case MAP:
    case LIST: {
      p = readInt(buf, p, 0);
      const fields = type === MAP ? found.value * 2 : found.value;
      // Each takes a byte at least: a count that cannot be true costs nothing.
      if (p < 0 || fields < 0 || fields > end - p || depth === MAX_DEPTH) return -1;
      for (let i = 0; i < fields && p >= 0; i++) p = skipField(buf, p, end, depth + 1);
      return p;
    }
    case STRUCT_BEGIN:
      if (depth === MAX_DEPTH) return -1;
      while (p >= 0 && p < end) {
        if ((buf[p]! & 15) === STRUCT_END) return within(p + (buf[p]! >= 0xf0 ? 2 : 1), end);
        p = skipField(buf, p, end, depth + 1);
      }
      return -1;
    default:
      return -1;
  }
}

/** Passes over a field with its head. */
export function skipField(buf: Uint8Array, p: number, end: number, depth = 0): number {
  if (p >= end) return -1;
  const head = buf[p]!;
  return skipValue(buf, p + (head >= 0xf0 ? 2 : 1), end, head & 15, depth);
}

function within(p: number, end: number): number {
  return p <= end ? p : -1;
}

/** An unsigned 32-bit number. */
export function u32(buf: Uint8Array, at: number): number {
  return ((buf[at]! << 24) | (buf[at + 1]! << 16) | (buf[at + 2]! << 8) | buf[at + 3]!) >>> 0;
}

export function putU32(buf: Uint8Array, at: number, value: number): void {
  buf[at] = value >>> 24;
  buf[at + 1] = value >>> 16;
  buf[at + 2] = value >>> 8;
  buf[at + 3] = value;
}

/** Bytes of an integer field with its head (a tag below 15). */
export function intSize(value: number): number {
  if (value === 0) return 1;
  if (value >= -128 && value <= 127) return 2;
  return value >= -32768 && value <= 32767 ? 3 : 5;
}

/** Stores a signed 32-bit integer field as narrow as it can be; returns where it ends. */
export function putInt(buf: Uint8Array, at: number, tag: number, value: number): number {
  const head = tag << 4;
  if (value === 0) {
    buf[at] = head | ZERO;
    return at + 1;
  }
  if (value >= -128 && value <= 127) {
    buf[at] = head | BYTE;
    buf[at + 1] = value;
    return at + 2;
  }
  if (value >= -32768 && value <= 32767) {
    buf[at] = head | SHORT;
    buf[at + 1] = value >> 8;
    buf[at + 2] = value;
    return at + 3;
  }
  return putWideInt(buf, at, tag, value);
}

/** Stores an integer field of full width whatever its value, so that another can take its place: readers take any width. */
export function putWideInt(buf: Uint8Array, at: number, tag: number, value: number): number {
  buf[at] = (tag << 4) | INT;
  putU32(buf, at + 1, value);
  return at + 5;
}

/** Bytes before the characters of a string field of `n` bytes. */
export function stringHead(n: number): number {
  return n > 255 ? 5 : 2;
}

/** Stores what stands before the `n` bytes of a string field; returns where they go. */
export function putStringHead(buf: Uint8Array, at: number, tag: number, n: number): number {
  if (n > 255) {
    buf[at] = (tag << 4) | STRING4;
    putU32(buf, at + 1, n);
    return at + 5;
  }
  buf[at] = (tag << 4) | STRING1;
  buf[at + 1] = n;
  return at + 2;
}

/** Stores what stands before the `n` bytes of a byte list; returns where they go. */
export function putBytesHead(buf: Uint8Array, at: number, tag: number, n: number): number {
  buf[at] = (tag << 4) | SIMPLE_LIST;
  buf[at + 1] = BYTE;
  return putInt(buf, at + 2, 0, n);
}

/** Fields put together for packets that the proxy makes itself; not for the hot path. */
export class JceBuilder {
  private readonly parts: Uint8Array[] = [];
  private size = 0;

  raw(bytes: Uint8Array): this {
    this.parts.push(bytes);
    this.size += bytes.length;
    return this;
  }

  int(tag: number, value: number): this {
    const bytes = new Uint8Array(5);
    return this.raw(bytes.subarray(0, putInt(bytes, 0, tag, value)));
  }

  string(tag: number, text: string | Uint8Array): this {
    const content = typeof text === 'string' ? Buffer.from(text) : text;
    const head = new Uint8Array(stringHead(content.length));
    putStringHead(head, 0, tag, content.length);
    return this.raw(head).raw(content);
  }

  bytes(tag: number, content: Uint8Array): this {
    const head = new Uint8Array(7);
    return this.raw(head.subarray(0, putBytesHead(head, 0, tag, content.length))).raw(content);
  }

  /** A map of strings. */
  map(tag: number, pairs: ReadonlyArray<readonly [string, string]>): this {
    this.raw(Buffer.of((tag << 4) | MAP)).int(0, pairs.length);
    for (const [key, value] of pairs) this.string(0, key).string(1, value);
    return this;
  }

  take(): Buffer {
    return Buffer.concat(this.parts, this.size);
  }

  /** What was put together, with its length in front: a whole frame. */
  frame(): Buffer {
    const length = Buffer.allocUnsafe(4);
    putU32(length, 0, this.size + 4);
    return Buffer.concat([length, ...this.parts], this.size + 4);
  }
}

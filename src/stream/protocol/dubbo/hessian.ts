// Hessian 2.0 as far as a proxy needs it: values are passed over without being built, strings are found, scalars are told as text.

const STRING = -2;
const BINARY = -3;
const LIST_TYPED = -4;
const LIST_TYPED_FIXED = -5;
const LIST_FIXED = -6;
const LIST_TYPED_SHORT = -7;
const LIST_SHORT = -8;
const UNTIL_END = -9;
const MAP_TYPED = -10;
const DEFINITION = -11;
const OBJECT = -12;
const OBJECT_SHORT = -13;
const REFERENCE = -14;
const INVALID = -1;

/** For each first byte: how many more bytes a scalar has, else what it is (negative). */
const forms = new Int8Array(256).fill(INVALID);
{
  const set = (from: number, to: number, form: number): void => void forms.fill(form, from, to + 1);
  set(0x00, 0x1f, STRING);
  set(0x20, 0x2f, BINARY);
  set(0x30, 0x33, STRING);
  set(0x34, 0x37, BINARY);
  set(0x38, 0x3f, 2);
  set(0x41, 0x42, BINARY);
  set(0x43, 0x43, DEFINITION);
  set(0x44, 0x44, 8);
  set(0x46, 0x46, 0);
  set(0x48, 0x48, UNTIL_END);
  set(0x49, 0x49, 4);
  set(0x4a, 0x4a, 8);
  set(0x4b, 0x4b, 4);
  set(0x4c, 0x4c, 8);
  set(0x4d, 0x4d, MAP_TYPED);
  set(0x4e, 0x4e, 0);
  set(0x4f, 0x4f, OBJECT);
  set(0x51, 0x51, REFERENCE);
  set(0x52, 0x53, STRING);
  set(0x54, 0x54, 0);
  set(0x55, 0x55, LIST_TYPED);
  set(0x56, 0x56, LIST_TYPED_FIXED);
  set(0x57, 0x57, UNTIL_END);
  set(0x58, 0x58, LIST_FIXED);
  set(0x59, 0x59, 4);
  set(0x5b, 0x5c, 0);
  set(0x5d, 0x5d, 1);
  set(0x5e, 0x5e, 2);
  set(0x5f, 0x5f, 4);
  set(0x60, 0x6f, OBJECT_SHORT);
  set(0x70, 0x77, LIST_TYPED_SHORT);
  set(0x78, 0x7f, LIST_SHORT);
  set(0x80, 0xbf, 0);
  set(0xc0, 0xcf, 1);
  set(0xd0, 0xd7, 2);
  set(0xd8, 0xef, 0);
  set(0xf0, 0xff, 1);
}

export const NULL = 0x4e;
export const END = 0x5a;
export const MAP = 0x48;
export const MAP_OF_TYPE = 0x4d;

/** Values inside values; deeper ones are not read, which costs their frame nothing but its headers. */
const MAX_DEPTH = 512;
const MAX_CLASSES = 4096;

/** What is still to come at each depth: a count, or -1 for all up to an end mark. */
const stack = new Int32Array(MAX_DEPTH);
/** Fields of the classes that the body has defined so far. */
let fields = new Int32Array(64);
let classes = 0;

/** The string that `readString` found: its bytes are buf[from, to), the next value begins at `next`. */
export const found = { from: 0, to: 0, next: 0, chunked: false };

/** A new body begins: it knows no classes. */
export function begin(): void {
  classes = 0;
}

/** Where `units` UTF-16 units of text that begin at buf[p] end; beyond the end of the bytes where they break off. */
function skipText(buf: Uint8Array, p: number, units: number): number {
  for (; units > 0; units--) {
    const b = buf[p]!;
    if (b < 0x80) p++;
    else if (b < 0xe0) p += 2;
    else if (b < 0xf0) p += 3;
    else {
      // Four bytes are two units; Java writes each by itself, in three.
      p += 4;
      units--;
    }
  }
  return p;
}

/** Where the string at buf[p] ends if it is of the kind that nearly all are, ASCII of less than 1024 characters; else -1. */
export function shortText(buf: Uint8Array, p: number, end: number): number {
  const tag = buf[p]!;
  let i = p + 1;
  let to = i + tag;
  if (tag >= 0x20) {
    if (tag < 0x30 || tag > 0x33) return -1;
    to = ++i + (((tag - 0x30) << 8) | buf[p + 1]!);
  }
  // Also where there is no byte at p at all.
  if (!(to <= end)) return -1;
  let bits = 0;
  for (; i < to; i++) bits |= buf[i]!;
  return bits < 0x80 ? to : -1;
}

/** Where the text of a string begins that `shortText` found at buf[p]. */
export function shortTextFrom(buf: Uint8Array, p: number): number {
  return buf[p]! < 0x20 ? p + 1 : p + 2;
}

/** Whether a value that begins with this byte has others inside, or refers to one. */
export function isCompound(tag: number): boolean {
  const form = forms[tag]!;
  return form < 0 && form !== STRING && form !== BINARY;
}

/** Reads the string at buf[p] into `found`; false where there is none or it breaks off. Of several chunks only their whole range is told. */
export function readString(buf: Uint8Array, p: number, end: number): boolean {
  if (p >= end) return false;
  const tag = buf[p]!;
  let from: number;
  let units: number;
  if (tag < 0x20) {
    from = p + 1;
    units = tag;
  } else if (tag >= 0x30 && tag < 0x34) {
    from = p + 2;
    units = ((tag - 0x30) << 8) | buf[p + 1]!;
  } else if (tag === 0x53) {
    from = p + 3;
    units = (buf[p + 1]! << 8) | buf[p + 2]!;
  } else if (tag === 0x52) {
    const next = skipString(buf, p, end);
    if (next < 0) return false;
    found.from = p;
    found.to = next;
    found.next = next;
    found.chunked = true;
    return true;
  } else {
    return false;
  }
  if (from > end) return false;
  const to = skipText(buf, from, units);
  if (to > end) return false;
  found.from = from;
  found.to = to;
  found.next = to;
  found.chunked = false;
  return true;
}

/** Where the string at buf[p] ends, all chunks of it; -1 where there is none. */
function skipString(buf: Uint8Array, p: number, end: number): number {
  while (p < end && buf[p] === 0x52) {
    if (p + 3 > end) return -1;
    p = skipText(buf, p + 3, (buf[p + 1]! << 8) | buf[p + 2]!);
  }
  if (p >= end) return -1;
  const tag = buf[p]!;
  if (tag < 0x20) p = skipText(buf, p + 1, tag);
  else if (tag >= 0x30 && tag < 0x34 && p + 1 < end) p = skipText(buf, p + 2, ((tag - 0x30) << 8) | buf[p + 1]!);
  else if (tag === 0x53 && p + 2 < end) p = skipText(buf, p + 3, (buf[p + 1]! << 8) | buf[p + 2]!);
  else return -1;
  return p > end ? -1 : p;
}

function skipBinary(buf: Uint8Array, p: number, end: number): number {
  for (;;) {
    const tag = buf[p]!;
    if (p >= end) return -1;
    if (tag >= 0x20 && tag < 0x30) p += 1 + tag - 0x20;
    else if (p + 1 < end && tag >= 0x34 && tag < 0x38) p += 2 + (((tag - 0x34) << 8) | buf[p + 1]!);
    else if (p + 2 < end && (tag === 0x41 || tag === 0x42)) p += 3 + ((buf[p + 1]! << 8) | buf[p + 2]!);
    else return -1;
    if (tag !== 0x41) return p > end ? -1 : p;
  }
}

/** Value of the int that `skipInt` passed over. */
let int = 0;

/** Where the int at buf[p] ends; -1 where there is none. */
function skipInt(buf: Uint8Array, p: number, end: number): number {
  if (p >= end) return -1;
  const tag = buf[p]!;
  if (tag >= 0x80 && tag < 0xc0) {
    int = tag - 0x90;
    return p + 1;
  }
  if (tag >= 0xc0 && tag < 0xd0 && p + 1 < end) {
    int = ((tag - 0xc8) << 8) + buf[p + 1]!;
    return p + 2;
  }
  if (tag >= 0xd0 && tag < 0xd8 && p + 2 < end) {
    int = ((tag - 0xd4) << 16) + (buf[p + 1]! << 8) + buf[p + 2]!;
    return p + 3;
  }
  if (tag !== 0x49 || p + 4 >= end) return -1;
  int = (buf[p + 1]! << 24) | (buf[p + 2]! << 16) | (buf[p + 3]! << 8) | buf[p + 4]!;
  return p + 5;
}

/** A type is its name, or the number of one that came before. */
export function skipType(buf: Uint8Array, p: number, end: number): number {
  return p < end && (buf[p]! < 0x80 && forms[buf[p]!] === STRING) ? skipString(buf, p, end) : skipInt(buf, p, end);
}

/** Notes a class and passes over its definition, of which buf[p] is the first byte behind the mark. */
function skipDefinition(buf: Uint8Array, p: number, end: number): number {
  p = skipString(buf, p, end);
  if (p < 0) return -1;
  p = skipInt(buf, p, end);
  const count = int;
  if (p < 0 || count < 0 || classes >= MAX_CLASSES) return -1;
  for (let i = 0; i < count; i++) {
    p = skipString(buf, p, end);
    if (p < 0) return -1;
  }
  if (classes === fields.length) {
    const grown = new Int32Array(classes * 2);
    grown.set(fields);
    fields = grown;
  }
  fields[classes++] = count;
  return p;
}

/** Where `count` values that begin at buf[p] end; -1 where they break off or are no Hessian. No recursion: what peers nest costs no stack. */
export function skip(buf: Uint8Array, p: number, end: number, count: number): number {
  let depth = 0;
  let left = count;
  for (;;) {
    if (left === 0) {
      if (depth === 0) return p;
      left = stack[--depth]!;
      continue;
    }
    if (p >= end) return -1;
    const tag = buf[p]!;
    if (left < 0 && tag === END) {
      p++;
      left = stack[--depth]!;
      continue;
    }
    const form = forms[tag]!;
    if (form >= 0) {
      p += 1 + form;
      if (p > end) return -1;
      if (left > 0) left--;
      continue;
    }
    let inner = 0;
    switch (form) {
      case STRING: {
        const to = shortText(buf, p, end);
        p = to >= 0 ? to : skipString(buf, p, end);
        break;
      }
      case BINARY:
        p = skipBinary(buf, p, end);
        break;
      case REFERENCE:
        p = skipInt(buf, p + 1, end);
        break;
      case UNTIL_END:
        p++;
        inner = -1;
        break;
      case LIST_TYPED:
      case MAP_TYPED:
        p = skipType(buf, p + 1, end);
        inner = -1;
        break;
      case LIST_TYPED_FIXED:
        p = skipType(buf, p + 1, end);
        if (p >= 0) p = skipInt(buf, p, end);
        inner = int;
        break;
      case LIST_FIXED:
        p = skipInt(buf, p + 1, end);
        inner = int;
        break;
      case LIST_TYPED_SHORT:
        p = skipType(buf, p + 1, end);
        inner = tag & 7;
        break;
      case LIST_SHORT:
        p++;
        inner = tag & 7;
        break;
      case OBJECT_SHORT:
        p++;
        if (tag - 0x60 >= classes) return -1;
        inner = fields[tag - 0x60]!;
        break;
      case OBJECT:
        p = skipInt(buf, p + 1, end);
        if (p < 0 || int < 0 || int >= classes) return -1;
        inner = fields[int]!;
        break;
      case DEFINITION:
        // Not a value: the object follows.
        p = skipDefinition(buf, p + 1, end);
        if (p < 0) return -1;
        continue;
      default:
        return -1;
    }
    if (p < 0 || (inner < 0 && form !== UNTIL_END && form !== LIST_TYPED && form !== MAP_TYPED)) return -1;
    if (left > 0) left--;
    if (inner === 0) continue;
    if (depth === MAX_DEPTH) return -1;
    stack[depth++] = left;
    left = inner;
  }
}

/** The scalar at buf[p] as text: numbers, booleans, dates in ms. undefined for null and for what is no scalar. */
export function scalarText(buf: Uint8Array, p: number): string | undefined {
  if (forms[buf[p]!]! < 0) return undefined;
  const b = Buffer.from(buf.buffer, buf.byteOffset, buf.length);
  const tag = b[p]!;
  if (tag === 0x54) return 'true';
  if (tag === 0x46) return 'false';
  if (skipInt(b, p, b.length) > 0) return String(int);
  if (tag >= 0xd8 && tag <= 0xef) return String(tag - 0xe0);
  if (tag >= 0xf0) return String(((tag - 0xf8) << 8) + b[p + 1]!);
  if (tag >= 0x38 && tag <= 0x3f) return String(((tag - 0x3c) << 16) + (b[p + 1]! << 8) + b[p + 2]!);
  switch (tag) {
    case 0x59: return String(b.readInt32BE(p + 1));
    case 0x4c:
    case 0x4a: return String(b.readBigInt64BE(p + 1));
    case 0x4b: return String(b.readInt32BE(p + 1) * 60_000);
    case 0x44: return String(b.readDoubleBE(p + 1));
    case 0x5b: return '0';
    case 0x5c: return '1';
    case 0x5d: return String(b.readInt8(p + 1));
    case 0x5e: return String(b.readInt16BE(p + 1));
    case 0x5f: return String(b.readInt32BE(p + 1) / 1000);
    default: return undefined;
  }
}

/** Text of buf[from, to), in which each UTF-16 unit may be written by itself. */
export function unitsText(buf: Uint8Array, from: number, to: number): string {
  for (let i = from; i < to; i++) if (buf[i] === 0xed && buf[i + 1]! >= 0xa0) return surrogates(buf, from, to);
  return (buf as Buffer).utf8Slice(from, to);
}

function surrogates(buf: Uint8Array, from: number, to: number): string {
  let text = '';
  for (let p = from; p < to; ) {
    const b = buf[p]!;
    const n = b < 0x80 ? 1 : b < 0xe0 ? 2 : b < 0xf0 ? 3 : 4;
    if (n === 3) text += String.fromCharCode(((b & 0x0f) << 12) | ((buf[p + 1]! & 0x3f) << 6) | (buf[p + 2]! & 0x3f));
    else text += (buf as Buffer).utf8Slice(p, p + n);
    p += n;
  }
  return text;
}

/** All chunks of the string at buf[p, end) as UTF-8. */
export function joinChunks(buf: Uint8Array, p: number, end: number): Buffer {
  const pieces: Uint8Array[] = [];
  while (p < end && buf[p] === 0x52) {
    const next = skipText(buf, p + 3, (buf[p + 1]! << 8) | buf[p + 2]!);
    pieces.push(buf.subarray(p + 3, next));
    p = next;
  }
  if (readString(buf, p, end)) pieces.push(buf.subarray(found.from, found.to));
  return Buffer.concat(pieces);
}

/** Longest string in one chunk, in UTF-16 units. */
export const MAX_CHUNK = 0x8000;

/** A string as Hessian writes it: each UTF-16 unit by itself, since readers count units and refuse the four bytes of a pair. */
export function stringValue(text: string): Buffer {
  const bytes = Buffer.allocUnsafe(3 * text.length + 3 * Math.ceil((text.length + 1) / (MAX_CHUNK - 1)) + 3);
  let p = 0;
  let at = 0;
  while (text.length - at > MAX_CHUNK) {
    let to = at + MAX_CHUNK;
    if ((text.charCodeAt(to - 1) & 0xfc00) === 0xd800) to--;
    bytes[p++] = 0x52;
    p = putUnits(bytes, bytes.writeUInt16BE(to - at, p), text, at, to);
    at = to;
  }
  const n = text.length - at;
  if (n < 32) {
    bytes[p++] = n;
  } else {
    bytes[p++] = 0x53;
    p = bytes.writeUInt16BE(n, p);
  }
  return bytes.subarray(0, putUnits(bytes, p, text, at, text.length));
}

function putUnits(bytes: Buffer, p: number, text: string, from: number, to: number): number {
  for (let i = from; i < to; i++) {
    const c = text.charCodeAt(i);
    if (c < 0x80) {
      bytes[p++] = c;
    } else if (c < 0x800) {
      bytes[p++] = 0xc0 | (c >> 6);
      bytes[p++] = 0x80 | (c & 0x3f);
    } else {
      bytes[p++] = 0xe0 | (c >> 12);
      bytes[p++] = 0x80 | ((c >> 6) & 0x3f);
      bytes[p++] = 0x80 | (c & 0x3f);
    }
  }
  return p;
}

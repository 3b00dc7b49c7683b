// Values of variables as bytes: escapes against forged log lines, numbers, times and addresses; everything stores into a block without a string.
import { Writer } from '../core/bytes.js';
import { clock, now, onClockChange } from '../core/clock.js';
import type { ConnectionInfo } from '../network/wire.js';

const HEX_ESCAPE = 1;
const BACKSLASH = 2;
const UNICODE_ESCAPE = 3;
const CHECK_UTF8 = 4;

/** A way to escape. */
export class Escapes {
  /** What to do with a byte, per byte value: 0 copies it, the others see `escapeByte`. */
  readonly table: Uint8Array;
  /** Lowest byte that is stored as it is, in each byte of a word. */
  readonly least: number;
  /** Escaped bytes of strings that come again and again: names, hosts, addresses. */
  readonly known = new Map<string, Uint8Array>();

  constructor(how: (byte: number) => number) {
    this.table = Uint8Array.from({ length: 256 }, (_, byte) => how(byte));
    this.least = how(0x20) === 0 ? 0x20202020 : 0x21212121;
  }
}

const isQuote = (byte: number): boolean => byte === 0x22 || byte === 0x5c;

/** Bytes as they are: header values, redirects, bodies. */
export const RAW = new Escapes(() => 0);
/** Text log, between quotes: control bytes, 0x7f and everything beyond ASCII as \xHH, quote and backslash behind a backslash. */
export const QUOTED = new Escapes((b) => (isQuote(b) ? BACKSLASH : b < 0x20 || b > 0x7e ? HEX_ESCAPE : 0));
/** Text log, outside quotes: a space as \x20 too, so that a value cannot pose as two fields. */
export const BARE = new Escapes((b) => (isQuote(b) ? BACKSLASH : b <= 0x20 || b > 0x7e ? HEX_ESCAPE : 0));
/** Inside a JSON string; bytes that are not UTF-8 become U+FFFD. */
export const JSON_STRING = new Escapes((b) => (isQuote(b) ? BACKSLASH : b < 0x20 || b === 0x7f ? UNICODE_ESCAPE : b > 0x7f ? CHECK_UTF8 : 0));
const JSON_CHECKED = new Escapes((b) => (isQuote(b) ? BACKSLASH : b < 0x20 || b === 0x7f ? UNICODE_ESCAPE : 0));

/** Most bytes that one byte, or one character of a string, turns into. */
export const WORST_ESCAPE = 6;
export const WORST_CHARACTER = 12;

/** Bytes above which one native copy costs less than a loop: 17 ns against 1.4 ns a byte. */
export const NATIVE_FROM = 11;

const littleEndian = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

/**
 * Whether bytes [start, end) of the block that `words` shows need no escape by QUOTED, BARE or JSON_STRING. Four bytes at a time:
 * a byte is marked in its highest bit when it is below 0x20 (BARE: 0x21), a quote, a backslash, or above 0x7e; borrows and carries
 * between bytes come only from a byte that is marked already.
 */
export function isClean(words: Int32Array, start: number, end: number, escapes: Escapes): boolean {
  if (!littleEndian) return false;
  const least = escapes.least;
  const last = (end - 1) >> 2;
  let i = start >> 2;
  // Bytes of the first and last word that are not meant count as letters.
  let mask = -1 << ((start & 3) << 3);
  let marks = 0;
  for (; i < last; i++) {
    const w = (words[i]! & mask) | (0x61616161 & ~mask);
    const quote = w ^ 0x22222222;
    const backslash = w ^ 0x5c5c5c5c;
    marks |= w | (w - least) | (w + 0x01010101) | ((quote - 0x01010101) & ~quote) | ((backslash - 0x01010101) & ~backslash);
    mask = -1;
  }
  mask &= -1 >>> ((3 - ((end - 1) & 3)) << 3);
  const w = (words[i]! & mask) | (0x61616161 & ~mask);
  const quote = w ^ 0x22222222;
  const backslash = w ^ 0x5c5c5c5c;
  marks |= w | (w - least) | (w + 0x01010101) | ((quote - 0x01010101) & ~quote) | ((backslash - 0x01010101) & ~backslash);
  return (marks & 0x80808080) === 0;
}

/** Copies all of `src`. */
export function putAll(w: Writer, src: Uint8Array): void {
  const n = src.length;
  const p = w.pos;
  if (n > NATIVE_FROM) {
    w.buf.set(src, p);
  } else {
    const dst = w.buf;
    for (let i = 0; i < n; i++) dst[p + i] = src[i]!;
  }
  w.pos = p + n;
}

const hex = Buffer.from('0123456789abcdef');

/** Stores src[start, end), escaped. The block must have room for WORST_ESCAPE times as many bytes. */
export function putBytes(w: Writer, src: Uint8Array, start: number, end: number, escapes: Escapes): void {
  const dst = w.buf;
  const table = escapes.table;
  let p = w.pos;
  for (let i = start; i < end; i++) {
    const b = src[i]!;
    const how = table[b]!;
    if (how === 0) {
      dst[p++] = b;
    } else if (how === CHECK_UTF8) {
      w.pos = p;
      const valid = Buffer.from((src as Buffer).utf8Slice(i, end));
      putBytes(w, valid, 0, valid.length, JSON_CHECKED);
      return;
    } else {
      p = escapeByte(dst, p, b, how);
    }
  }
  w.pos = p;
}

function escapeByte(dst: Uint8Array, p: number, b: number, how: number): number {
  dst[p++] = 0x5c;
  if (how === BACKSLASH) {
    dst[p++] = b;
    return p;
  }
  if (how === HEX_ESCAPE) {
    dst[p++] = 0x78;
  } else {
    dst[p++] = 0x75;
    dst[p++] = 0x30;
    dst[p++] = 0x30;
  }
  dst[p++] = hex[b >>> 4]!;
  dst[p++] = hex[b & 15]!;
  return p;
}

const MAX_KNOWN = 4096;
const LONGEST_KNOWN = 128;

/** Stores a string as UTF-8, escaped; at most `max` characters of it, of which the last three are "..." when it was longer. */
export function putText(w: Writer, text: string, escapes: Escapes, max = 256): void {
  const n = text.length;
  if (n > NATIVE_FROM && n <= LONGEST_KNOWN && n <= max) putAll(w, escapes.known.get(text) ?? learn(text, escapes));
  else storeText(w, text, escapes, max);
}

function learn(text: string, escapes: Escapes): Uint8Array {
  const w = new Writer(Buffer.allocUnsafe(text.length * WORST_CHARACTER));
  storeText(w, text, escapes, LONGEST_KNOWN);
  const made = Buffer.from(w.buf.subarray(0, w.pos));
  if (escapes.known.size >= MAX_KNOWN) escapes.known.clear();
  escapes.known.set(text, made);
  return made;
}

function storeText(w: Writer, text: string, escapes: Escapes, max: number): void {
  const table = escapes.table;
  const cut = text.length > max;
  const n = cut ? max - 3 : text.length;
  const dst = w.buf;
  let p = w.pos;
  for (let i = 0; i < n; i++) {
    const c = text.charCodeAt(i);
    if (c > 0x7f) {
      w.pos = p;
      const rest = Buffer.from(text.slice(i, n));
      putBytes(w, rest, 0, rest.length, escapes);
      p = w.pos;
      break;
    }
    const how = table[c]!;
    if (how === 0) dst[p++] = c;
    else p = escapeByte(dst, p, c, how);
  }
  if (cut) {
    dst[p++] = 0x2e;
    dst[p++] = 0x2e;
    dst[p++] = 0x2e;
  }
  w.pos = p;
}

/** Stores a whole number from 0 to 2^53 in decimal. */
export function putInt(w: Writer, v: number): void {
  if (v > 0x7fffffff) {
    w.decimal(Math.floor(v));
    return;
  }
  v |= 0;
  const dst = w.buf;
  let p = w.pos;
  if (v < 10) {
    dst[p] = 48 + v;
    w.pos = p + 1;
    return;
  }
  p += v < 100 ? 2 : v < 1000 ? 3 : v < 10000 ? 4 : v < 100000 ? 5 : v < 1000000 ? 6 : v < 10000000 ? 7 : v < 100000000 ? 8 : v < 1000000000 ? 9 : 10;
  w.pos = p;
  do {
    const q = (v / 10) | 0;
    dst[--p] = 48 + v - q * 10;
    v = q;
  } while (v > 0);
}

/** Stores milliseconds with three decimals; below 0 counts as 0. */
export function putMs(w: Writer, ms: number): void {
  const us = ms > 0 ? Math.round(ms * 1000) : 0;
  const whole = us > 0x7fffffff ? Math.floor(us / 1000) : ((us | 0) / 1000) | 0;
  putInt(w, whole);
  put3(w, us - whole * 1000, 0x2e);
}

function put3(w: Writer, v: number, before: number): void {
  const dst = w.buf;
  const p = w.pos;
  const tens = (v / 10) | 0;
  const hundreds = (tens / 10) | 0;
  dst[p] = before;
  dst[p + 1] = 48 + hundreds;
  dst[p + 2] = 48 + tens - hundreds * 10;
  dst[p + 3] = 48 + v - tens * 10;
  w.pos = p + 4;
}

/** Difference of wall clock and monotonic clock, read again at most once a second: two calls per line would cost a fifth of it. */
let wallOffset = 0;
let offsetReadAt = Number.NEGATIVE_INFINITY;
onClockChange(() => {
  offsetReadAt = Number.NEGATIVE_INFINITY;
});

/** Epoch ms of a monotonic time of the last minutes. */
export function wallOf(at: number): number {
  const age = at - offsetReadAt;
  if (age > 1000 || age < -600_000) {
    offsetReadAt = now();
    wallOffset = clock.wall() - offsetReadAt;
  }
  return at + wallOffset;
}

let second = -1;
/** "2024-01-01T00:00:00" of `second`. */
let secondText: Uint8Array = Buffer.alloc(19);

/** Stores a monotonic time as 2024-01-01T00:00:00.000Z. The part up to the second is made once per second. */
export function putTime(w: Writer, at: number): void {
  const wall = Math.floor(wallOf(at));
  const s = Math.floor(wall / 1000);
  if (s !== second) {
    secondText = Buffer.from(new Date(s * 1000).toISOString().slice(0, 19), 'latin1');
    second = s;
  }
  putAll(w, secondText);
  put3(w, wall - s * 1000, 0x2e);
  w.buf[w.pos++] = 0x5a;
}

/** Stores address:port, an IPv6 address in brackets, a unix path (port 0) alone; false when there is no address. */
export function putAddress(w: Writer, address: string, port: number, escapes: Escapes): boolean {
  if (address === '') return false;
  if (port === 0) {
    putText(w, address, escapes);
    return true;
  }
  const v6 = isV6(address);
  if (v6) w.buf[w.pos++] = 0x5b;
  putText(w, address, escapes);
  if (v6) w.buf[w.pos++] = 0x5d;
  w.buf[w.pos++] = 0x3a;
  putInt(w, port);
  return true;
}

/** An IPv4 address has its first dot behind one, two or three digits. */
function isV6(address: string): boolean {
  return address.charCodeAt(1) !== 0x2e && address.charCodeAt(2) !== 0x2e && address.charCodeAt(3) !== 0x2e;
}

export function putRemote(w: Writer, info: ConnectionInfo | null, escapes: Escapes): boolean {
  return info !== null && putAddress(w, info.remoteAddress, info.remotePort, escapes);
}

export function putLocal(w: Writer, info: ConnectionInfo | null, escapes: Escapes): boolean {
  return info !== null && putAddress(w, info.localAddress, info.localPort, escapes);
}

// Values of variables as bytes: escapes against forged log lines, numbers, times and addresses; everything stores into a block without a string.
import type { Writer } from '../core/bytes.js';
import { clock, now, onClockChange } from '../core/clock.js';
import type { ConnectionInfo } from '../network/wire.js';

/** What to do with a byte, per byte value: 0 copies it, the others see `escapeByte`. */
export type Escapes = Uint8Array;

const HEX_ESCAPE = 1;
const BACKSLASH = 2;
const UNICODE_ESCAPE = 3;
const CHECK_UTF8 = 4;

function escapes(fill: (byte: number) => number): Escapes {
  return Uint8Array.from({ length: 256 }, (_, byte) => fill(byte));
}

const isQuote = (byte: number): boolean => byte === 0x22 || byte === 0x5c;

/** Bytes as they are: header values, redirects, bodies. */
export const RAW: Escapes = escapes(() => 0);
/** Text log, between quotes: control bytes, 0x7f and everything beyond ASCII as \xHH, quote and backslash behind a backslash. */
export const QUOTED: Escapes = escapes((b) => (isQuote(b) ? BACKSLASH : b < 0x20 || b > 0x7e ? HEX_ESCAPE : 0));
/** Text log, outside quotes: a space as \x20 too, so that a value cannot pose as two fields. */
export const BARE: Escapes = escapes((b) => (isQuote(b) ? BACKSLASH : b <= 0x20 || b > 0x7e ? HEX_ESCAPE : 0));
/** Inside a JSON string; bytes that are not UTF-8 become U+FFFD. */
export const JSON_STRING: Escapes = escapes((b) => (isQuote(b) ? BACKSLASH : b < 0x20 || b === 0x7f ? UNICODE_ESCAPE : b > 0x7f ? CHECK_UTF8 : 0));
const JSON_CHECKED: Escapes = escapes((b) => (isQuote(b) ? BACKSLASH : b < 0x20 || b === 0x7f ? UNICODE_ESCAPE : 0));

/** Most bytes that one byte, or one character of a string, turns into. */
export const WORST_ESCAPE = 6;
export const WORST_CHARACTER = 12;

const hex = Buffer.from('0123456789abcdef');

/** Stores src[start, end), escaped. The block must have room for WORST_ESCAPE times as many bytes. */
export function putBytes(w: Writer, src: Uint8Array, start: number, end: number, table: Escapes): void {
  const dst = w.buf;
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

/** Stores a string as UTF-8, escaped; at most `max` characters of it, of which the last three are "..." when it was longer. */
export function putText(w: Writer, text: string, table: Escapes, max = 256): void {
  const cut = text.length > max;
  const n = cut ? max - 3 : text.length;
  const dst = w.buf;
  let p = w.pos;
  for (let i = 0; i < n; i++) {
    const c = text.charCodeAt(i);
    if (c > 0x7f) {
      w.pos = p;
      const rest = Buffer.from(text.slice(i, n));
      putBytes(w, rest, 0, rest.length, table);
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
  w.bytes(secondText, 0, 19);
  put3(w, wall - s * 1000, 0x2e);
  w.buf[w.pos++] = 0x5a;
}

/** Stores address:port, an IPv6 address in brackets, a unix path (port 0) alone; false when there is no address. */
export function putAddress(w: Writer, address: string, port: number, table: Escapes): boolean {
  if (address === '') return false;
  if (port === 0) {
    putText(w, address, table);
    return true;
  }
  const v6 = isV6(address);
  if (v6) w.buf[w.pos++] = 0x5b;
  putText(w, address, table);
  if (v6) w.buf[w.pos++] = 0x5d;
  w.buf[w.pos++] = 0x3a;
  putInt(w, port);
  return true;
}

function isV6(address: string): boolean {
  for (let i = 0; i < address.length && i < 5; i++) if (address.charCodeAt(i) === 0x3a) return true;
  return false;
}

export function putRemote(w: Writer, info: ConnectionInfo | null, table: Escapes): boolean {
  return info !== null && putAddress(w, info.remoteAddress, info.remotePort, table);
}

export function putLocal(w: Writer, info: ConnectionInfo | null, table: Escapes): boolean {
  return info !== null && putAddress(w, info.localAddress, info.localPort, table);
}

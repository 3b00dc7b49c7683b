// Ids of traces and spans: checked in place, made at random, or derived where both ends of a hop must come to the same one.
import { randomBytes } from 'node:crypto';
import { hashBytes } from '../../core/bytes.js';
import { random } from '../../core/random.js';

const DIGITS = '0123456789abcdef';

/** Value of a lower-case hex digit, -1 of any other byte. */
const VALUE = new Int8Array(256).fill(-1);
for (let i = 0; i < 16; i++) VALUE[DIGITS.charCodeAt(i)] = i;

const PAIR = Array.from({ length: 256 }, (_, i) => DIGITS[i >> 4]! + DIGITS[i & 15]!);

export function hexValue(byte: number): number {
  return VALUE[byte]!;
}

/** Whether buf[start, end) is lower-case hex, not all of it zeros. */
export function isId(buf: Uint8Array, start: number, end: number): boolean {
  let all = 0;
  for (let p = start; p < end; p++) {
    const v = VALUE[buf[p]!]!;
    if (v < 0) return false;
    all |= v;
  }
  return all !== 0;
}

/** A 32-bit number as eight hex digits. */
function hex8(n: number): string {
  return PAIR[n >>> 24]! + PAIR[(n >>> 16) & 255]! + PAIR[(n >>> 8) & 255]! + PAIR[n & 255]!;
}

/**
 * The generator of core/random starts from 32 bits, and two of very many processes may start from the same: then all their ids would
 * be the same too. So what it gives is mixed with 128 bits of this thread's own.
 */
const own = new Int32Array(4);
let seeded = false;

function word(i: number): number {
  if (!seeded) {
    const bytes = randomBytes(16);
    for (let k = 0; k < 4; k++) own[k] = bytes.readInt32LE(k * 4);
    seeded = true;
  }
  return (random() * 0x100000000) ^ own[i]!;
}

/** 32 hex digits, never all zero. */
export function newTraceId(): string {
  return hex8(word(0)) + hex8(word(1)) + hex8(word(2)) + hex8(word(3) || 1);
}

/** 16 hex digits, never all zero. */
export function newSpanId(): string {
  return hex8(word(0)) + hex8(word(1) || 1);
}

/** A number of at most `digits` decimal digits that is this thread's own. */
export function ownNumber(digits: number): number {
  return (word(3) >>> 0) % 10 ** digits;
}

/** Murmur3 over the char codes of two texts (Appleby, MurmurHash3, public domain): not for secrets. */
function hash(a: string, b: string, seed: number): number {
  let h = seed;
  const n = a.length + b.length;
  for (let i = 0; i < n; i++) {
    let k = Math.imul(i < a.length ? a.charCodeAt(i) : b.charCodeAt(i - a.length), 0xcc9e2d51);
    k = Math.imul((k << 15) | (k >>> 17), 0x1b873593);
    h ^= k;
    h = (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
  }
  h ^= n;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** The span id that stands for a call which has only a path of numbers (SOFA's rpcId): the same wherever it is derived. */
export function derivedSpanId(trace: string, path: string): string {
  return hex8(hash(trace, path, 0x51ce)) + hex8(hash(trace, path, 0x2f00) || 1);
}

/** A trace id of 32 hex digits for a text that is none; short hex texts are filled up with zeros, so that they stay readable. */
export function traceIdOf(text: string): string {
  const n = text.length;
  let plain = n > 0 && n <= 32;
  let all = 0;
  for (let i = 0; i < n && plain; i++) {
    const c = text.charCodeAt(i);
    const v = c > 255 ? -1 : VALUE[c]!;
    plain = v >= 0;
    all |= v;
  }
  if (plain && all !== 0) return text.padStart(32, '0');
  return hex8(hash(text, '', 1)) + hex8(hash(text, '', 2)) + hex8(hash(text, '', 3)) + hex8(hash(text, '', 4) || 1);
}

/** Where the trace id in buf[start, end) stands from 0 up to 1: every proxy that sees it comes to the same number. */
export function fractionOf(buf: Uint8Array, start: number, end: number): number {
  let h = hashBytes(buf, start, end);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return ((h ^ (h >>> 16)) >>> 0) / 0x100000000;
}

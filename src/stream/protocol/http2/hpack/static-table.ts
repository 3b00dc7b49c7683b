// The static table (RFC 7541 appendix A) as bytes, and the look-up of a name in it.
import { hashFolded } from '../../../../core/bytes.js';
import { viewOf } from './field-block.js';
import { fieldHash } from './wide-hash.js';

/** Entries 1 to 61; the dynamic table begins at 62. */
export const STATIC_COUNT = 61;

const entries: readonly (readonly [name: string, value: string])[] = [
  [':authority', ''], [':method', 'GET'], [':method', 'POST'], [':path', '/'], [':path', '/index.html'], [':scheme', 'http'], [':scheme', 'https'],
  [':status', '200'], [':status', '204'], [':status', '206'], [':status', '304'], [':status', '400'], [':status', '404'], [':status', '500'],
  ['accept-charset', ''], ['accept-encoding', 'gzip, deflate'], ['accept-language', ''], ['accept-ranges', ''], ['accept', ''],
  ['access-control-allow-origin', ''], ['age', ''], ['allow', ''], ['authorization', ''], ['cache-control', ''], ['content-disposition', ''],
  ['content-encoding', ''], ['content-language', ''], ['content-length', ''], ['content-location', ''], ['content-range', ''], ['content-type', ''],
  ['cookie', ''], ['date', ''], ['etag', ''], ['expect', ''], ['expires', ''], ['from', ''], ['host', ''], ['if-match', ''], ['if-modified-since', ''],
  ['if-none-match', ''], ['if-range', ''], ['if-unmodified-since', ''], ['last-modified', ''], ['link', ''], ['location', ''], ['max-forwards', ''],
  ['proxy-authenticate', ''], ['proxy-authorization', ''], ['range', ''], ['referer', ''], ['refresh', ''], ['retry-after', ''], ['server', ''],
  ['set-cookie', ''], ['strict-transport-security', ''], ['transfer-encoding', ''], ['user-agent', ''], ['vary', ''], ['via', ''],
  ['www-authenticate', ''],
];
if (entries.length !== STATIC_COUNT) throw new Error(`the static table has ${entries.length} entries`);

/** Name and value of entry i: STATIC_BYTES[STATIC_AT[2i], STATIC_AT[2i+1]) and up to STATIC_AT[2i+2]. Entry 0 is empty. */
export const STATIC_BYTES: Uint8Array = Buffer.from(entries.map((entry) => entry.join('')).join(''));
export const STATIC_VIEW = viewOf(STATIC_BYTES);
export const STATIC_AT = new Int32Array(2 * STATIC_COUNT + 3);
/** `hashFolded` of each entry's name. */
export const STATIC_HASH = new Int32Array(STATIC_COUNT + 1);
/** How many entries have the name of entry i, where i is the first of them; else 0. They follow one another. */
export const STATIC_RUN = new Uint8Array(STATIC_COUNT + 1);

/** A first index by its hash, with the next free slot where that one is taken: 52 names in 256 slots. */
const slots = new Uint8Array(256);

/** Every entry by the `fieldHash` of it, in the same way. */
const fieldSlots = new Uint8Array(256);
const fieldHashes = new Int32Array(STATIC_COUNT + 1);

function placeField(index: number, value: Uint8Array): void {
  const hash = fieldHash(STATIC_HASH[index]!, value, 0, value.length);
  fieldHashes[index] = hash;
  let slot = (hash ^ (hash >>> 16)) & 255;
  while (fieldSlots[slot] !== 0) slot = (slot + 1) & 255;
  fieldSlots[slot] = index;
}

function place(name: string, index: number): void {
  const hash = STATIC_HASH[index]!;
  let slot = (hash ^ (hash >>> 16)) & 255;
  for (let other = slots[slot]!; other !== 0; other = slots[slot]!) {
    if (entries[other - 1]![0] === name) {
      STATIC_RUN[other]!++;
      return;
    }
    slot = (slot + 1) & 255;
  }
  slots[slot] = index;
  STATIC_RUN[index] = 1;
}

for (let i = 1, at = 0; i <= STATIC_COUNT; i++) {
  const [name, value] = entries[i - 1]!;
  STATIC_AT[2 * i] = at;
  at += name.length;
  STATIC_AT[2 * i + 1] = at;
  at += value.length;
  STATIC_AT[2 * i + 2] = at;
  const bytes = Buffer.from(name);
  STATIC_HASH[i] = hashFolded(bytes, 0, bytes.length);
  place(name, i);
  placeField(i, Buffer.from(value));
}

/** The index of a name of the static table, by its exact lower-case spelling; for tables made at start. */
export function staticIndex(name: string): number {
  return entries.findIndex((entry) => entry[0] === name) + 1;
}

/** The first entry named exactly buf[start, end), whose `hashFolded` is `hash`; 0 where there is none. */
export function findStaticName(hash: number, buf: Uint8Array, start: number, end: number): number {
  let slot = (hash ^ (hash >>> 16)) & 255;
  for (let index = slots[slot]!; index !== 0; index = slots[slot]!) {
    if (STATIC_HASH[index] === hash && sameAt(STATIC_AT[2 * index]!, STATIC_AT[2 * index + 1]!, buf, start, end)) return index;
    slot = (slot + 1) & 255;
  }
  return 0;
}

/** The entry that is this field, whose `fieldHash` is `hash`; 0 where there is none. */
export function findStaticField(hash: number, nameBuf: Uint8Array, ns: number, ne: number, valueBuf: Uint8Array, vs: number, ve: number): number {
  let slot = (hash ^ (hash >>> 16)) & 255;
  for (let index = fieldSlots[slot]!; index !== 0; index = fieldSlots[slot]!) {
    if (fieldHashes[index] === hash && sameAt(STATIC_AT[2 * index]!, STATIC_AT[2 * index + 1]!, nameBuf, ns, ne)) {
      if (sameAt(STATIC_AT[2 * index + 1]!, STATIC_AT[2 * index + 2]!, valueBuf, vs, ve)) return index;
    }
    slot = (slot + 1) & 255;
  }
  return 0;
}

function sameAt(from: number, to: number, buf: Uint8Array, start: number, end: number): boolean {
  if (to - from !== end - start) return false;
  const shift = from - start;
  for (let i = start; i < end; i++) if (buf[i] !== STATIC_BYTES[i + shift]) return false;
  return true;
}

/** The entry of `name`'s run (as findStaticName gave it) whose value is buf[start, end); 0 where there is none. */
export function findStaticValue(name: number, buf: Uint8Array, start: number, end: number): number {
  for (let index = name, last = name + STATIC_RUN[name]!; index < last; index++) {
    if (sameAt(STATIC_AT[2 * index + 1]!, STATIC_AT[2 * index + 2]!, buf, start, end)) return index;
  }
  return 0;
}

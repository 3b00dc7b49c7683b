// The header names that the codec itself must understand, and how names are compared: a key from four facts first, then the bytes.
export const UNKNOWN = 0;
export const HOST = 1;
export const CONTENT_LENGTH = 2;
export const TRANSFER_ENCODING = 3;
export const CONNECTION = 4;
export const KEEP_ALIVE = 5;
export const PROXY_CONNECTION = 6;
export const TE = 7;
export const UPGRADE = 8;
export const EXPECT = 9;

/**
 * A name's key: its length and its first, middle and last byte, folded to lower case. Names with different keys are different; equal
 * keys decide nothing. A hash over all bytes cost twice the time of the scan that has to look at every byte anyway, because each
 * step of it waits for the one before. Never 0 for a token.
 */
export function nameKey(buf: Uint8Array, start: number, end: number): number {
  const n = end - start;
  return (n & 255) | ((buf[start] | 32) << 8) | ((buf[start + (n >> 1)] | 32) << 16) | ((buf[end - 1] | 32) << 24);
}

const lower = ['', 'host', 'content-length', 'transfer-encoding', 'connection', 'keep-alive', 'proxy-connection', 'te', 'upgrade', 'expect'];
const bytes = lower.map((name) => Buffer.from(name));
const keys = Int32Array.from(bytes, (name) => (name.length === 0 ? 0 : nameKey(name, 0, name.length)));

const SPREAD = 0x9e3779b1;
/** A name's id by its key. All fit without a clash, which is checked, so that a look-up is one load. */
const slots = new Uint8Array(256);
for (let id = 1; id < lower.length; id++) {
  const slot = Math.imul(keys[id], SPREAD) >>> 24;
  if (slots[slot] !== 0) throw new Error(`header names ${lower[id]} and ${lower[slots[slot]]} share a slot: choose another spread`);
  slots[slot] = id;
}

/**
 * Whether buf[start, end), a scanned name or value, equals a lower-case text of letters, digits and "-". Folding with 32 is exact
 * there: only control characters fold to digits and "-", and none of them gets through the scan.
 */
export function sameLower(buf: Uint8Array, start: number, end: number, text: Uint8Array): boolean {
  const n = text.length;
  if (end - start !== n) return false;
  for (let i = 0; i < n; i++) if ((buf[start + i] | 32) !== text[i]) return false;
  return true;
}

/** Whether two names are equal without regard to the case of ASCII letters. */
export function sameName(buf: Uint8Array, start: number, end: number, name: Uint8Array): boolean {
  const n = name.length;
  if (end - start !== n) return false;
  for (let i = 0; i < n; i++) {
    const a = buf[start + i];
    const b = name[i];
    if (a !== b) {
      const fold = a | 32;
      if (fold !== (b | 32) || fold < 97 || fold > 122) return false;
    }
  }
  return true;
}

/** The id of the one known name that has this key, UNKNOWN if there is none. The bytes still have to be compared: `isKnown`. */
export function candidate(key: number): number {
  const id = slots[Math.imul(key, SPREAD) >>> 24];
  return keys[id] === key ? id : UNKNOWN;
}

/** Whether the header named buf[start, end) is the one with this id. */
export function isKnown(buf: Uint8Array, start: number, end: number, id: number): boolean {
  return sameLower(buf, start, end, bytes[id]);
}

/** The id of the header named buf[start, end) with this key, UNKNOWN for all that the codec need not understand. */
export function knownName(buf: Uint8Array, start: number, end: number, key: number): number {
  const id = candidate(key);
  return id !== UNKNOWN && isKnown(buf, start, end, id) ? id : UNKNOWN;
}

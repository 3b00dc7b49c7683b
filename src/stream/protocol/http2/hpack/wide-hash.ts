// A hash of a run of bytes that takes four of them a step, for keys that are compared afterwards: header blocks, values.

/**
 * 32 bits over buf[start, end). Hashes of equal runs are equal, nothing more: whoever finds a key by it compares the bytes. Peers can
 * make runs that collide; tables keyed by it are bounded so that this costs them time only where they cause it.
 */
export function wideHash(buf: Uint8Array, start: number, end: number): number {
  let h = (end - start) ^ 0x2c1b3c6d;
  let i = start;
  for (const whole = end - 3; i < whole; i += 4) {
    h = Math.imul(h ^ (buf[i]! | (buf[i + 1]! << 8) | (buf[i + 2]! << 16) | (buf[i + 3]! << 24)), 0x9e3779b1);
    h ^= h >>> 15;
  }
  let rest = 0;
  for (; i < end; i++) rest = (rest << 8) | buf[i]!;
  h = Math.imul(h ^ rest, 0x85ebca6b);
  return h ^ (h >>> 13);
}

/** The key of a field in the look-ups of an encoder: `nameHash` is the `hashFolded` of its name. */
export function fieldHash(nameHash: number, valueBuf: Uint8Array, vs: number, ve: number): number {
  return Math.imul(wideHash(valueBuf, vs, ve) ^ nameHash, 0x85ebca6b);
}

// The text form of gRPC-Web: its bytes in base64, in one piece or in several that are padded each for itself.
const values = new Int8Array(256).fill(-1);
for (const [i, c] of Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/').entries()) values[c] = i;
values[45] = 62;
values[95] = 63;

const PAD = 61;

/** Decodes base64 whose pieces may be padded each for itself, as gRPC-Web allows; null for anything else. */
export function decodeText(text: Uint8Array): Buffer | null {
  const bytes = Buffer.allocUnsafe(Math.ceil((text.length * 3) / 4));
  let n = 0;
  let bits = 0;
  let digits = 0;
  let p = 0;
  while (p < text.length) {
    const c = text[p]!;
    const value = values[c]!;
    if (value >= 0) {
      bits = ((bits << 6) | value) & 0xffffff;
      p++;
      if (++digits < 4) continue;
      bytes[n++] = bits >> 16;
      bytes[n++] = (bits >> 8) & 255;
      bytes[n++] = bits & 255;
      digits = 0;
    } else if (c === PAD && digits >= 2) {
      n = flush(bytes, n, bits, digits);
      for (; digits < 4 && text[p] === PAD; digits++) p++;
      if (digits < 4) return null;
      digits = 0;
    } else if (c === 10 || c === 13) {
      p++;
    } else {
      return null;
    }
  }
  if (digits === 1) return null;
  // A last piece without its padding.
  if (digits > 0) n = flush(bytes, n, bits, digits);
  return bytes.subarray(0, n);
}

/** The one or two bytes of a group that is not full. */
function flush(bytes: Buffer, n: number, bits: number, digits: number): number {
  if (digits === 2) {
    bytes[n++] = bits >> 4;
  } else {
    bytes[n++] = bits >> 10;
    bytes[n++] = (bits >> 2) & 255;
  }
  return n;
}

/** A piece of its own, padded: clients decode group by group, and nothing of it waits for what comes later. */
export function encodeText(bytes: Uint8Array, start: number, end: number): Buffer {
  return Buffer.from(Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('base64'), 'latin1');
}

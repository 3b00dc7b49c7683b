// Texts as Hessian has them: so many UTF-16 units, each of them in UTF-8 by itself.

/** Where the last text that was read ended. */
export const units = { end: 0 };

let scratch = Buffer.allocUnsafeSlow(4096);

/**
 * `count` units from buf[start] on, none of them from `end` on; `units.end` is where they end. Java writes each half of a surrogate pair as
 * three bytes, others the pair as four. undefined: these are no such bytes.
 */
export function readUnits(buf: Buffer, start: number, end: number, count: number): string | undefined {
  let p = start;
  const stop = Math.min(end, start + count);
  while (p < stop && buf[p]! < 0x80) p++;
  if (p - start === count) {
    units.end = p;
    return buf.latin1Slice(start, p);
  }
  // Each unit takes a byte at least.
  if (count > end - start) return undefined;
  if (scratch.length < 2 * count) scratch = Buffer.allocUnsafeSlow(2 * count);
  const text = scratch;
  p = start;
  let at = 0;
  while (at < 2 * count) {
    const first = p < end ? buf[p]! : -1;
    const length = first < 0x80 ? 1 : first < 0xc0 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (first < 0 || length === 0 || length > end - p) return undefined;
    let unit = first;
    if (length === 2) unit = ((first & 0x1f) << 6) | (buf[p + 1]! & 0x3f);
    else if (length === 3) unit = ((first & 0x0f) << 12) | ((buf[p + 1]! & 0x3f) << 6) | (buf[p + 2]! & 0x3f);
    else if (length === 4) {
      const point = (((first & 7) << 18) | ((buf[p + 1]! & 0x3f) << 12) | ((buf[p + 2]! & 0x3f) << 6) | (buf[p + 3]! & 0x3f)) - 0x10000;
      if (point < 0 || point > 0xfffff || at + 4 > 2 * count) return undefined;
      at = text.writeUInt16LE(0xd800 | (point >> 10), at);
      unit = 0xdc00 | (point & 0x3ff);
    }
    at = text.writeUInt16LE(unit, at);
    p += length;
  }
  units.end = p;
  return text.toString('utf16le', 0, at);
}

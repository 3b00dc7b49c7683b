// The little of fastjson2's JSONB that routing needs: strings and ints at a position, and a string of the proxy's own.
const ASCII = 0x79;
const UTF8 = 0x7a;

/** What `jsonbString` or `jsonbInt` found: text is buf[from, to), the next value begins at `to`. */
export const jsonb = { from: 0, to: 0, int: 0 };

/** Reads the string at buf[p]; false where there is none, or one in a form that is not UTF-8. */
export function jsonbString(buf: Uint8Array, p: number, end: number): boolean {
  if (p >= end) return false;
  const tag = buf[p]!;
  let from = p + 1;
  let n = tag - 0x49;
  if (tag === ASCII || tag === UTF8) {
    if (!jsonbInt(buf, from, end)) return false;
    from = jsonb.to;
    n = jsonb.int;
  } else if (tag < 0x49 || tag >= ASCII) {
    return false;
  }
  if (n < 0 || n > end - from) return false;
  jsonb.from = from;
  jsonb.to = from + n;
  return true;
}

/** Reads the int (of up to 32 bits) at buf[p]. */
export function jsonbInt(buf: Uint8Array, p: number, end: number): boolean {
  if (p >= end) return false;
  const tag = buf[p]!;
  if (tag >= 0xf0 || tag < 0x30) {
    jsonb.int = tag >= 0xf0 ? tag - 0x100 : tag;
    jsonb.to = p + 1;
  } else if (tag < 0x40) {
    jsonb.int = ((tag - 0x38) << 8) + buf[p + 1]!;
    jsonb.to = p + 2;
  } else if (tag < 0x48) {
    jsonb.int = ((tag - 0x44) << 16) + (buf[p + 1]! << 8) + buf[p + 2]!;
    jsonb.to = p + 3;
  } else if (tag === 0x48) {
    jsonb.int = (buf[p + 1]! << 24) | (buf[p + 2]! << 16) | (buf[p + 3]! << 8) | buf[p + 4]!;
    jsonb.to = p + 5;
  } else {
    return false;
  }
  return jsonb.to <= end;
}

/** A string as an item of a fastjson2 body: an i32 length, then the value. */
export function jsonbItem(text: string): Buffer {
  const bytes = Buffer.from(text);
  const item = Buffer.allocUnsafe(10 + bytes.length);
  item.writeInt32BE(6 + bytes.length, 0);
  item[4] = UTF8;
  item[5] = 0x48;
  item.writeInt32BE(bytes.length, 6);
  item.set(bytes, 10);
  return item;
}

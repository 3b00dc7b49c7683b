// Hessian 2 as Bolt has it: the little that replies made by the proxy, the quick start's echo and its client write, and a reader of all values.
import { readUnits, units } from '../../java/units.js';

/**
 * SOFA speaks two dialects under one codec number: the Hessian 3.x library writes the draft (class definition 'O', instance 'o'), the
 * 4.x library the final Hessian 2.0 (definition 'C', instance 0x60 + ref). A reader of one fails on the other.
 */
export const DRAFT = 0;
export const FINAL = 1;
export type Dialect = typeof DRAFT | typeof FINAL;

const CHUNK = 0x8000;

export class HessianWriter {
  private readonly dialect: Dialect;
  private readonly pieces: Buffer[] = [];
  private classes = 0;

  constructor(dialect: Dialect) {
    this.dialect = dialect;
  }

  take(): Buffer {
    return Buffer.concat(this.pieces);
  }

  private bytes(...values: number[]): this {
    this.pieces.push(Buffer.from(values));
    return this;
  }

  null(): this {
    return this.bytes(0x4e);
  }

  boolean(value: boolean): this {
    return this.bytes(value ? 0x54 : 0x46);
  }

  /** An int from -16 to 2047; all that lengths and field counts here need. */
  private int(value: number): this {
    return value < 48 ? this.bytes(0x90 + value) : this.bytes(0xc8 + (value >> 8), value & 0xff);
  }

  /** Lengths count UTF-16 units; a chunk does not end between two surrogates. */
  string(text: string): this {
    let at = 0;
    while (text.length - at > CHUNK) {
      let end = at + CHUNK;
      if ((text.charCodeAt(end - 1) & 0xfc00) === 0xd800) end--;
      this.bytes(this.dialect === DRAFT ? 0x73 : 0x52, (end - at) >> 8, (end - at) & 0xff);
      this.pieces.push(unitsOf(text.slice(at, end)));
      at = end;
    }
    const n = text.length - at;
    if (n < 32) this.bytes(n);
    else this.bytes(0x53, n >> 8, n & 0xff);
    this.pieces.push(unitsOf(text.slice(at)));
    return this;
  }

  /** A class definition and the begin of its instance; the values of `fields` follow in order. */
  object(className: string, fields: readonly string[]): this {
    if (this.dialect === DRAFT) {
      this.bytes(0x4f).int(Buffer.byteLength(className));
      this.pieces.push(Buffer.from(className));
    } else {
      this.bytes(0x43).string(className);
    }
    this.int(fields.length);
    for (const field of fields) this.string(field);
    const ref = this.classes++;
    return this.dialect === DRAFT ? this.bytes(0x6f, 0x90 + ref) : this.bytes(0x60 + ref);
  }

  /** An array of strings with its Java type, e.g. `[java.lang.String`. */
  list(type: string, items: readonly string[]): this {
    const name = Buffer.from(type);
    if (this.dialect === DRAFT) {
      this.bytes(0x56, 0x74, name.length >> 8, name.length & 0xff);
      this.pieces.push(name);
      this.bytes(0x6c, 0, 0, items.length >> 8, items.length & 0xff);
    } else {
      this.bytes(0x56).string(type).int(items.length);
    }
    for (const item of items) this.string(item);
    return this.dialect === DRAFT ? this.bytes(0x7a) : this;
  }

  /** Bytes that are a value already. */
  raw(value: Uint8Array): this {
    this.pieces.push(Buffer.from(value));
    return this;
  }
}

/** UTF-8 of each UTF-16 unit by itself, as Java writes it: readers count units and refuse the four bytes of a surrogate pair. */
export function unitsOf(text: string): Buffer {
  if (!/[\ud800-\udfff]/.test(text)) return Buffer.from(text);
  const bytes = Buffer.allocUnsafe(text.length * 3);
  let p = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c < 0x80) bytes[p++] = c;
    else if (c < 0x800) p = bytes.writeUInt16BE(0xc080 | ((c >> 6) << 8) | (c & 0x3f), p);
    else p = bytes.writeUIntBE(0xe08080 | ((c >> 12) << 16) | (((c >> 6) & 0x3f) << 8) | (c & 0x3f), p, 3);
  }
  return bytes.subarray(0, p);
}

/** An instance as read: its class and its fields by name. */
export class HessianObject {
  readonly className: string;
  readonly fields = new Map<string, HessianValue>();

  constructor(className: string) {
    this.className = className;
  }
}

export type HessianValue = null | boolean | number | bigint | string | Date | Uint8Array | readonly HessianValue[] | HessianObject;

/** Deeper values are not read. */
const MAX_DEPTH = 128;

class Unreadable extends Error {}

/** Reads values of either dialect; what is referred to is the same object again, so that a value may contain itself. Other bytes make `read` answer undefined. */
export class HessianReader {
  pos: number;
  private readonly buf: Buffer;
  private readonly end: number;
  private dialect: Dialect;
  private readonly classes: { name: string; fields: string[] }[] = [];
  private readonly types: string[] = [];
  /** Lists, maps and objects in the order in which they begin. */
  private readonly known: HessianValue[] = [];

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.buf = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.pos = start;
    this.end = end;
    this.dialect = end > start && bytes[start] === 0x43 ? FINAL : DRAFT;
  }

  /** The next value, or undefined where the bytes are none; the reader is of no use after that. */
  read(): HessianValue | undefined {
    try {
      return this.value(0);
    } catch (error) {
      if (error instanceof Unreadable) return undefined;
      throw error;
    }
  }

  private take(n: number): number {
    const at = this.pos;
    if (n > this.end - at) throw new Unreadable();
    this.pos = at + n;
    return at;
  }

  private byte(): number {
    return this.buf[this.take(1)]!;
  }

  private peek(): number {
    if (this.pos >= this.end) throw new Unreadable();
    return this.buf[this.pos]!;
  }

  private value(depth: number): HessianValue {
    if (depth > MAX_DEPTH) throw new Unreadable();
    const code = this.peek();
    if (code <= 0x1f || code === 0x53 || code === (this.dialect === DRAFT ? 0x73 : 0x52)) return this.string();
    if (code >= 0x80 && code <= 0xd7) return this.int();
    if (code >= 0xd8 || (code >= 0x38 && code <= 0x3f)) return this.long();
    if (code >= 0x20 && code <= 0x2f) return this.binary();
    if (this.dialect === FINAL) {
      if (code >= 0x30 && code <= 0x33) return this.string();
      if (code === 0x41 || (code >= 0x34 && code <= 0x37)) return this.binary();
      if (code === 0x4a) return new Date(Number(this.buf.readBigInt64BE(this.take(9) + 1)));
      if (code === 0x4b) return new Date(this.buf.readInt32BE(this.take(5) + 1) * 60_000);
      if (code === 0x51) {
        this.byte();
        return this.referred(this.int());
      }
      if (code === 0x55 || code === 0x57) {
        this.byte();
        if (code === 0x55) this.type();
        return this.itemsToEnd(depth);
      }
      if (code >= 0x60 && code <= 0x6f) return this.instance(this.byte() - 0x60, depth);
      if (code >= 0x70 && code <= 0x7f) {
        this.byte();
        if (code <= 0x77) this.type();
        return this.items(code & 7, depth);
      }
    } else {
      if (code === 0x62) return this.binary();
      if (code === 0x64) return new Date(Number(this.buf.readBigInt64BE(this.take(9) + 1)));
      if (code === 0x4a) return this.referred(this.buf[this.take(2) + 1]!);
      if (code === 0x4b) return this.referred(this.buf.readUInt16BE(this.take(3) + 1));
      if (code === 0x52) return this.referred(this.buf.readInt32BE(this.take(5) + 1));
      if (code === 0x76) {
        // A list of the type and the length that one before it had said.
        this.byte();
        this.int();
        return this.items(this.int(), depth);
      }
    }
    switch (code) {
      case 0x4e: this.byte(); return null;
      case 0x42: return this.binary();
      case 0x54: this.byte(); return true;
      case 0x46: this.byte(); return false;
      case 0x49: return this.int();
      case 0x4c:
      case 0x59:
      case 0x77: return this.long();
      case 0x44: return this.buf.readDoubleBE(this.take(9) + 1);
      case 0x5b:
      case 0x67: this.byte(); return 0;
      case 0x5c:
      case 0x68: this.byte(); return 1;
      case 0x5d:
      case 0x69: return this.buf.readInt8(this.take(2) + 1);
      case 0x5e:
      case 0x6a: return this.buf.readInt16BE(this.take(3) + 1);
      case 0x5f: return this.buf.readInt32BE(this.take(5) + 1) / 1000;
      case 0x6b: return this.buf.readFloatBE(this.take(5) + 1);
      case 0x56: return this.list(depth);
      case 0x58: this.byte(); return this.items(this.int(), depth);
      case 0x4d:
      case 0x48: return this.map(depth);
      case 0x43: this.byte(); this.define(); return this.value(depth + 1);
      case 0x4f:
        this.byte();
        if (this.dialect === FINAL) return this.instance(this.int(), depth);
        this.define();
        return this.value(depth + 1);
      case 0x6f: this.byte(); return this.instance(this.int(), depth);
      default: throw new Unreadable();
    }
  }

  private referred(at: number): HessianValue {
    const value = this.known[at];
    if (value === undefined) throw new Unreadable();
    return value;
  }

  private binary(): Buffer {
    const pieces: Buffer[] = [];
    for (;;) {
      const code = this.byte();
      const short = code >= 0x20 && code <= 0x2f;
      const middle = this.dialect === FINAL && code >= 0x34 && code <= 0x37;
      const more = code === (this.dialect === DRAFT ? 0x62 : 0x41);
      if (!short && !middle && !more && code !== 0x42) throw new Unreadable();
      const n = short ? code - 0x20 : middle ? ((code - 0x34) << 8) + this.byte() : this.buf.readUInt16BE(this.take(2));
      const at = this.take(n);
      pieces.push(this.buf.subarray(at, at + n));
      if (!more) return Buffer.concat(pieces);
    }
  }

  private int(): number {
    const code = this.byte();
    if (code >= 0x80 && code <= 0xbf) return code - 0x90;
    if (code >= 0xc0 && code <= 0xcf) return ((code - 0xc8) << 8) + this.byte();
    if (code >= 0xd0 && code <= 0xd7) return ((code - 0xd4) << 16) + this.buf.readUInt16BE(this.take(2));
    if (code === 0x49) return this.buf.readInt32BE(this.take(4));
    throw new Unreadable();
  }

  private long(): number | bigint {
    const code = this.byte();
    if (code >= 0xd8 && code <= 0xef) return code - 0xe0;
    if (code >= 0xf0) return ((code - 0xf8) << 8) + this.byte();
    if (code >= 0x38 && code <= 0x3f) return ((code - 0x3c) << 16) + this.buf.readUInt16BE(this.take(2));
    if (code === 0x59 || code === 0x77) return this.buf.readInt32BE(this.take(4));
    return this.buf.readBigInt64BE(this.take(8));
  }

  private string(): string {
    let text = '';
    for (;;) {
      const code = this.byte();
      if (code <= 0x1f) return text + this.units(code);
      if (code >= 0x30 && code <= 0x33) return text + this.units(((code - 0x30) << 8) + this.byte());
      const more = code === 0x73 || code === 0x52;
      if (!more && code !== 0x53) throw new Unreadable();
      text += this.units(this.buf.readUInt16BE(this.take(2)));
      if (!more) return text;
    }
  }

  private units(n: number): string {
    const text = readUnits(this.buf, this.pos, this.end, n);
    if (text === undefined) throw new Unreadable();
    this.pos = units.end;
    return text;
  }

  private type(): string {
    if (this.dialect === DRAFT) {
      const code = this.peek();
      if (code === 0x74) {
        this.byte();
        const n = this.buf.readUInt16BE(this.take(2));
        const at = this.take(n);
        const type = this.buf.toString('utf8', at, at + n);
        this.types.push(type);
        return type;
      }
      if (code !== 0x54 && code !== 0x75) return '';
      this.byte();
      return this.types[this.int()] ?? '';
    }
    const code = this.peek();
    if (code >= 0x80) return this.types[this.int()] ?? '';
    const type = this.string();
    this.types.push(type);
    return type;
  }

  private list(depth: number): HessianValue {
    this.byte();
    this.type();
    if (this.dialect === FINAL) return this.items(this.int(), depth);
    const code = this.peek();
    if (code !== 0x6e && code !== 0x6c) return this.itemsToEnd(depth, 0x7a);
    this.byte();
    const items = this.items(code === 0x6e ? this.byte() : this.buf.readInt32BE(this.take(4)), depth);
    if (this.byte() !== 0x7a) throw new Unreadable();
    return items;
  }

  private items(n: number, depth: number): HessianValue[] {
    if (n < 0 || n > this.end - this.pos) throw new Unreadable();
    const items: HessianValue[] = [];
    this.known.push(items);
    for (let i = 0; i < n; i++) items.push(this.value(depth + 1));
    return items;
  }

  private itemsToEnd(depth: number, end = 0x5a): HessianValue[] {
    const items: HessianValue[] = [];
    this.known.push(items);
    while (this.peek() !== end) items.push(this.value(depth + 1));
    this.byte();
    return items;
  }

  private map(depth: number): HessianValue {
    const code = this.byte();
    const map = new HessianObject(code === 0x4d ? this.type() : '');
    this.known.push(map);
    const stop = this.dialect === DRAFT ? 0x7a : 0x5a;
    while (this.peek() !== stop) {
      const key = this.value(depth + 1);
      map.fields.set(String(key), this.value(depth + 1));
    }
    this.byte();
    return map;
  }

  private define(): void {
    let name: string;
    if (this.dialect === DRAFT) {
      const n = this.int();
      if (n < 0) throw new Unreadable();
      const at = this.take(n);
      name = this.buf.toString('utf8', at, at + n);
    } else {
      name = this.string();
    }
    const count = this.int();
    if (count < 0 || count > this.end - this.pos) throw new Unreadable();
    const fields: string[] = [];
    for (let i = 0; i < count; i++) fields.push(this.string());
    this.classes.push({ name, fields });
  }

  private instance(ref: number, depth: number): HessianValue {
    const definition = this.classes[ref];
    if (definition === undefined) throw new Unreadable();
    const object = new HessianObject(definition.name);
    this.known.push(object);
    for (const field of definition.fields) object.fields.set(field, this.value(depth + 1));
    return object;
  }
}

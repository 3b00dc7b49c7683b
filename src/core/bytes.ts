// Byte blocks and the output contract that encoders write to; the hot path's only way to produce bytes.

/** Most bytes one `out` reservation may ask for; longer content goes through `write` or `give`. */
export const MAX_RESERVE = 64 * 1024;

/**
 * A growing position in a block. Encoders reserve an upper bound once (`Output.out`), then store bytes at `buf[pos++]`.
 * `mark` is where the last reservation began, so that the caller can see exactly what an encoder produced: `buf[mark, pos)`.
 */
export class Writer {
  buf: Uint8Array;
  pos: number;
  mark: number;

  constructor(buf: Uint8Array) {
    this.buf = buf;
    this.pos = 0;
    this.mark = 0;
  }

  /** Copies src[start, end); short runs by hand because a typed-array call costs more than 48 byte stores. */
  bytes(src: Uint8Array, start: number, end: number): void {
    const n = end - start;
    const dst = this.buf;
    let p = this.pos;
    if (n <= 48) {
      for (let i = start; i < end; i++) dst[p++] = src[i]!;
    } else {
      dst.set(start === 0 && end === src.length ? src : src.subarray(start, end), p);
      p += n;
    }
    this.pos = p;
  }

  /** Stores a string of code points below 256, one byte each. */
  latin1(text: string): void {
    const dst = this.buf;
    let p = this.pos;
    for (let i = 0; i < text.length; i++) dst[p++] = text.charCodeAt(i);
    this.pos = p;
  }

  u8(v: number): void {
    this.buf[this.pos++] = v;
  }

  u16(v: number): void {
    const b = this.buf;
    b[this.pos++] = v >>> 8;
    b[this.pos++] = v;
  }

  u32(v: number): void {
    const b = this.buf;
    b[this.pos++] = v >>> 24;
    b[this.pos++] = v >>> 16;
    b[this.pos++] = v >>> 8;
    b[this.pos++] = v;
  }

  /** Decimal digits of a non-negative integer up to 2^53. */
  decimal(v: number): void {
    if (v < 10) {
      this.buf[this.pos++] = 48 + v;
      return;
    }
    let n = 1;
    for (let x = v; x >= 10; x = Math.floor(x / 10)) n++;
    let p = this.pos + n;
    this.pos = p;
    for (let i = 0; i < n; i++) {
      const q = Math.floor(v / 10);
      this.buf[--p] = 48 + (v - q * 10);
      v = q;
    }
  }
}

/** Where encoders write: a connection, or a plain block in tests. */
export interface Output {
  /**
   * A writer with at least `n` (<= MAX_RESERVE) free contiguous bytes at `pos`, and `mark` set to `pos`.
   * Valid until the next call on this output.
   */
  out(n: number): Writer;
  /** Appends a copy of buf[start, end). */
  write(buf: Uint8Array, start: number, end: number): void;
  /** Appends buf[start, end) without a copy; the bytes belong to the output from now on and must not change. */
  give(buf: Uint8Array, start: number, end: number): void;
}

/** An output that collects everything in one growing block: tests, health probes, captured frames. */
export class BlockOutput implements Output {
  readonly writer: Writer;

  constructor(size = 256) {
    this.writer = new Writer(Buffer.allocUnsafe(size));
  }

  out(n: number): Writer {
    const w = this.writer;
    if (w.pos + n > w.buf.length) {
      const grown = Buffer.allocUnsafe(Math.max(w.buf.length * 2, w.pos + n));
      grown.set(w.buf.subarray(0, w.pos));
      w.buf = grown;
    }
    w.mark = w.pos;
    return w;
  }

  write(buf: Uint8Array, start: number, end: number): void {
    this.out(end - start).bytes(buf, start, end);
  }

  give(buf: Uint8Array, start: number, end: number): void {
    this.write(buf, start, end);
  }

  /** A copy of what was written so far, and starts again. */
  take(): Buffer {
    const w = this.writer;
    const copy = Buffer.from(w.buf.subarray(0, w.pos));
    w.pos = 0;
    w.mark = 0;
    return copy;
  }
}

declare global {
  /** Methods of every Buffer that its type leaves out; `toString` with an encoding ends in them after choosing. */
  interface Buffer {
    latin1Slice(start: number, end: number): string;
    utf8Slice(start: number, end: number): string;
  }
}

/** buf[start, end) as a string, one character per byte. */
export function latin1(buf: Uint8Array, start: number, end: number): string {
  return (buf as Buffer).latin1Slice(start, end);
}

/** buf[start, end) as UTF-8. */
export function utf8(buf: Uint8Array, start: number, end: number): string {
  return (buf as Buffer).utf8Slice(start, end);
}

/** Whether a[aStart, aStart + b.length) equals b; the caller has checked that the range exists. */
export function equalAt(a: Uint8Array, aStart: number, b: Uint8Array): boolean {
  for (let i = 0; i < b.length; i++) if (a[aStart + i] !== b[i]) return false;
  return true;
}

/** FNV-1a over buf[start, end). */
export function hashBytes(buf: Uint8Array, start: number, end: number): number {
  let h = 0x811c9dc5 | 0;
  for (let i = start; i < end; i++) h = Math.imul(h ^ buf[i]!, 16777619);
  return h;
}

/** FNV-1a with ASCII letters folded to lower case, as header names are compared. */
export function hashFolded(buf: Uint8Array, start: number, end: number): number {
  let h = 0x811c9dc5 | 0;
  for (let i = start; i < end; i++) h = Math.imul(h ^ (buf[i]! | 32), 16777619);
  return h;
}

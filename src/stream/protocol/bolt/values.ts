// Writes any value of Java in the draft of Hessian 2 that SOFA's own Hessian 3.x library speaks, which servers of either dialect read.
import type { JavaWriter } from '../../java/arguments.js';
import { unitsOf } from './hessian.js';

const CHUNK = 0x8000;

/**
 * The longer forms only: `I` and `L` for whole numbers, `D`, `d` for dates, `B` for bytes; lists as `V` [type] `l` length items `z`, maps
 * and objects (by the names of their fields) as `M` [type] pairs `z`. A type is `t` u16 length text. Source: Hessian2Input of SOFA Hessian 3.3.
 */
export class DraftWriter implements JavaWriter {
  private buf = Buffer.allocUnsafe(1024);
  private at = 0;

  /** The bytes written so far. */
  take(): Buffer {
    return this.buf.subarray(0, this.at);
  }

  private room(n: number): number {
    const at = this.at;
    if (at + n > this.buf.length) {
      const grown = Buffer.allocUnsafe((at + n) * 2);
      this.buf.copy(grown, 0, 0, at);
      this.buf = grown;
    }
    this.at = at + n;
    return at;
  }

  private byte(code: number): void {
    const at = this.room(1);
    this.buf[at] = code;
  }

  null(): void {
    this.byte(0x4e);
  }

  boolean(value: boolean): void {
    this.byte(value ? 0x54 : 0x46);
  }

  int(value: number): void {
    const at = this.room(5);
    this.buf[at] = 0x49;
    this.buf.writeInt32BE(value, at + 1);
  }

  long(value: number | bigint): void {
    this.eight(0x4c, value);
  }

  private eight(code: number, value: number | bigint): void {
    const at = this.room(9);
    this.buf[at] = code;
    this.buf.writeBigInt64BE(BigInt(value), at + 1);
  }

  double(value: number): void {
    const at = this.room(9);
    this.buf[at] = 0x44;
    this.buf.writeDoubleBE(value, at + 1);
  }

  date(value: number): void {
    this.eight(0x64, value);
  }

  string(text: string): void {
    let from = 0;
    while (text.length - from > CHUNK) {
      let to = from + CHUNK;
      // A chunk does not end between two surrogates.
      if ((text.charCodeAt(to - 1) & 0xfc00) === 0xd800) to--;
      this.chunk(0x73, unitsOf(text.slice(from, to)), to - from);
      from = to;
    }
    this.chunk(0x53, unitsOf(text.slice(from)), text.length - from);
  }

  bytes(value: Uint8Array): void {
    let from = 0;
    for (; value.length - from > CHUNK; from += CHUNK) this.chunk(0x62, value.subarray(from, from + CHUNK), CHUNK);
    this.chunk(0x42, value.subarray(from), value.length - from);
  }

  private chunk(code: number, bytes: Uint8Array, length: number): void {
    const at = this.room(3 + bytes.length);
    this.buf[at] = code;
    this.buf.writeUInt16BE(length, at + 1);
    this.buf.set(bytes, at + 3);
  }

  private type(type: string): void {
    if (type !== '') this.chunk(0x74, Buffer.from(type), Buffer.byteLength(type));
  }

  list(type: string, items: number): void {
    this.byte(0x56);
    this.type(type);
    const at = this.room(5);
    this.buf[at] = 0x6c;
    this.buf.writeInt32BE(items, at + 1);
  }

  map(type: string): void {
    this.byte(0x4d);
    this.type(type);
  }

  endList(): void {
    this.byte(0x7a);
  }

  endMap(): void {
    this.byte(0x7a);
  }
}

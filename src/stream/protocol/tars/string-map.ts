// One map of strings in a Tars packet (context or status): looked up in place, edited in a copy of its entries.
import { equalAt, type Writer } from '../../../core/bytes.js';
import { MAP, found, intSize, putInt, putStringHead, readInt, readString, stringHead } from './jce.js';

/** Entries of edited maps, given back when the message is done, so that an idle connection holds none. */
const spares: Buffer[] = [];
const SPARE_SIZE = 4096;
const MAX_SPARES = 16;

/**
 * Where a look-up reads: the entries as received, or the edited ones. Of several equal keys the first counts. Where an entry is no
 * pair of strings, what comes before it is found, and the map cannot be edited.
 */
export class StringMap {
  /** The whole field is buf[at, end); both are the place where it would be when the packet has none. */
  at = 0;
  end = 0;
  /** Entries as received: `count` of them from here to `end`. */
  from = 0;
  count = 0;
  /** True where the packet breaks off or is out of order before this map: there is no place to put one. */
  lost = false;
  private block: Buffer | null = null;
  private size = 0;
  private entries = 0;

  // Where the last look-up found its value, in `bytes`.
  vstart = 0;
  vend = 0;

  /** The packet has no such map: it would stand at `p`. */
  place(p: number, lost: boolean): void {
    this.at = p;
    this.end = p;
    this.from = p;
    this.count = 0;
    this.lost = lost;
  }

  /** The field buf[at, end) is a map, well formed. */
  take(buf: Uint8Array, at: number, end: number): void {
    this.at = at;
    this.end = end;
    this.from = readInt(buf, at + 1, 0);
    this.count = found.value;
    this.lost = false;
  }

  /** Where the entries lie: in the packet `buf`, or in the edited copy. */
  bytes(buf: Uint8Array): Uint8Array {
    return this.block ?? buf;
  }

  /** Gives the edits back. */
  reset(): void {
    const block = this.block;
    if (block === null) return;
    this.block = null;
    if (block.length === SPARE_SIZE && spares.length < MAX_SPARES) spares.push(block);
  }

  /** Moves what is kept of a message whose bytes were copied, `by` bytes to the front. */
  copyFrom(other: StringMap, by: number): void {
    this.at = other.at - by;
    this.end = other.end - by;
    this.from = other.from - by;
    this.count = other.count;
    this.lost = other.lost;
    if (other.block === null) return;
    this.block = Buffer.allocUnsafeSlow(Math.max(other.size, 64));
    this.block.set(other.block.subarray(0, other.size));
    this.size = other.size;
    this.entries = other.entries;
  }

  /** Looks a key up; on true its value is bytes(buf)[vstart, vend). */
  find(buf: Uint8Array, key: Uint8Array): boolean {
    let p = this.from;
    let end = this.end;
    let left = this.count;
    if (this.block !== null) {
      buf = this.block;
      p = 0;
      end = this.size;
      left = this.entries;
    }
    const n = key.length;
    for (; left > 0; left--) {
      p = readString(buf, p, end, 0);
      if (p < 0) return false;
      const same = found.end - found.start === n && equalAt(buf, found.start, key);
      p = readString(buf, p, end, 1);
      if (p < 0) return false;
      if (same) {
        this.vstart = found.start;
        this.vend = found.end;
        return true;
      }
    }
    return false;
  }

  each(buf: Uint8Array, visit: (name: string, value: string) => void): void {
    let p = this.from;
    let end = this.end;
    let left = this.count;
    if (this.block !== null) {
      buf = this.block;
      p = 0;
      end = this.size;
      left = this.entries;
    }
    for (; left > 0; left--) {
      p = readString(buf, p, end, 0);
      if (p < 0) return;
      const { start, end: stop } = found;
      p = readString(buf, p, end, 1);
      if (p < 0) return;
      visit((buf as Buffer).utf8Slice(start, stop), (buf as Buffer).utf8Slice(found.start, found.end));
    }
  }

  // === editing

  /** Makes the entries editable; false where they are no pairs of strings, or have no place. */
  open(buf: Uint8Array): boolean {
    if (this.block !== null) return true;
    if (this.lost) return false;
    let p = this.from;
    for (let left = this.count; left > 0 && p >= 0; left--) {
      p = readString(buf, p, this.end, 0);
      if (p >= 0) p = readString(buf, p, this.end, 1);
    }
    if (p < 0) return false;
    const n = p - this.from;
    const block = n > SPARE_SIZE ? Buffer.allocUnsafeSlow(n) : (spares.pop() ?? Buffer.allocUnsafeSlow(SPARE_SIZE));
    block.set(buf.subarray(this.from, p));
    this.block = block;
    this.size = n;
    this.entries = this.count;
    return true;
  }

  /** Replaces all entries of this key by one at the end. The map is open. */
  set(key: Uint8Array, value: string): void {
    this.remove(key);
    const n = Buffer.byteLength(value);
    const size = this.size + stringHead(key.length) + key.length + stringHead(n) + n;
    let block = this.block!;
    if (size > block.length) {
      const grown = Buffer.allocUnsafeSlow(size * 2);
      grown.set(block.subarray(0, this.size));
      if (block.length === SPARE_SIZE && spares.length < MAX_SPARES) spares.push(block);
      this.block = block = grown;
    }
    let p = putStringHead(block, this.size, 0, key.length);
    for (let i = 0; i < key.length; i++) block[p++] = key[i]!;
    p = putStringHead(block, p, 1, n);
    if (n === value.length && n < 64) for (let i = 0; i < n; i++) block[p++] = value.charCodeAt(i);
    else block.write(value, p);
    this.size = size;
    this.entries++;
  }

  /** The map is open. */
  remove(key: Uint8Array): void {
    const block = this.block!;
    let kept = 0;
    let entries = 0;
    let p = 0;
    for (let left = this.entries; left > 0; left--) {
      const from = p;
      p = readString(block, p, this.size, 0);
      const same = found.end - found.start === key.length && equalAt(block, found.start, key);
      p = readString(block, p, this.size, 1);
      if (same) continue;
      if (kept !== from) block.copyWithin(kept, from, p);
      kept += p - from;
      entries++;
    }
    this.size = kept;
    this.entries = entries;
  }

  // === writing

  /** Bytes that the field takes when written. */
  get written(): number {
    return this.block === null ? this.end - this.at : 1 + intSize(this.entries) + this.size;
  }

  /** Writes the field to a reservation that has room for `written` bytes. */
  write(w: Writer, buf: Uint8Array, tag: number): void {
    if (this.block === null) {
      w.bytes(buf, this.at, this.end);
      return;
    }
    w.u8((tag << 4) | MAP);
    w.pos = putInt(w.buf, w.pos, 0, this.entries);
    w.bytes(this.block, 0, this.size);
  }
}

// The dynamic table of an encoder that never evicts: fields are found by hash, positions count from the first insertion.
import { copyRun, FIELD_OVERHEAD } from './field-block.js';

/** The largest table used, whatever the peer allows. */
export const ENCODER_TABLE = 4096;
const ENTRIES = ENCODER_TABLE / FIELD_OVERHEAD;
/** Slots of each look-up: a power of two over twice the entries, so that a probe is short. */
const SLOTS = 256;
/** An entry's four numbers: where its name begins, where the value does, where it ends, the hash of both together. */
const WORDS = 4;

/** About 3 KiB and the bytes inserted; made at the first insertion. */
export class EncoderTable {
  count = 0;
  /** Size by the RFC. */
  size = 0;
  private bytes: Uint8Array = new Uint8Array(1024);
  private end = 0;
  private readonly entries = new Int32Array(ENTRIES * WORDS);
  private readonly nameHashes = new Int32Array(ENTRIES);
  /** Position + 1 of the fields and of the first field of each name; 0 is free. */
  private readonly fields = new Uint8Array(SLOTS);
  private readonly names = new Uint8Array(SLOTS);

  clear(): void {
    this.count = 0;
    this.size = 0;
    this.end = 0;
    this.fields.fill(0);
    this.names.fill(0);
  }

  /** The position of a field, or -1. `hash` is whatever `insert` was given for it. */
  findField(hash: number, nameBuf: Uint8Array, ns: number, ne: number, valueBuf: Uint8Array, vs: number, ve: number): number {
    const { fields, entries } = this;
    for (let slot = (hash ^ (hash >>> 16)) & (SLOTS - 1); ; slot = (slot + 1) & (SLOTS - 1)) {
      const position = fields[slot]! - 1;
      if (position < 0) return -1;
      const at = position * WORDS;
      if (entries[at + 3] !== hash) continue;
      const name = entries[at]!;
      const value = entries[at + 1]!;
      if (value - name !== ne - ns || entries[at + 2]! - value !== ve - vs) continue;
      if (this.same(name, nameBuf, ns, ne) && this.same(value, valueBuf, vs, ve)) return position;
    }
  }

  /** The position of the first field with this name, or -1. */
  findName(hash: number, buf: Uint8Array, start: number, end: number): number {
    const { names, entries } = this;
    for (let slot = (hash ^ (hash >>> 16)) & (SLOTS - 1); ; slot = (slot + 1) & (SLOTS - 1)) {
      const position = names[slot]! - 1;
      if (position < 0) return -1;
      if (this.nameHashes[position] !== hash) continue;
      const name = entries[position * WORDS]!;
      if (entries[position * WORDS + 1]! - name === end - start && this.same(name, buf, start, end)) return position;
    }
  }

  private same(at: number, buf: Uint8Array, start: number, end: number): boolean {
    const bytes = this.bytes;
    const shift = at - start;
    for (let i = start; i < end; i++) if (bytes[i + shift] !== buf[i]) return false;
    return true;
  }

  /** Inserts a field that is not there yet; the caller has seen to it that it fits. */
  insert(nameHash: number, hash: number, nameBuf: Uint8Array, ns: number, ne: number, valueBuf: Uint8Array, vs: number, ve: number): void {
    const n = ne - ns + ve - vs;
    if (this.end + n > this.bytes.length) {
      const grown = new Uint8Array(Math.max(2 * this.bytes.length, this.end + n));
      grown.set(this.bytes.subarray(0, this.end));
      this.bytes = grown;
    }
    const position = this.count++;
    const value = copyRun(nameBuf, ns, ne, this.bytes, this.end);
    const end = copyRun(valueBuf, vs, ve, this.bytes, value);
    const { entries, fields, names } = this;
    entries[position * WORDS] = this.end;
    entries[position * WORDS + 1] = value;
    entries[position * WORDS + 2] = end;
    entries[position * WORDS + 3] = hash;
    this.nameHashes[position] = nameHash;
    this.end = end;
    this.size += n + FIELD_OVERHEAD;
    let slot = (hash ^ (hash >>> 16)) & (SLOTS - 1);
    while (fields[slot] !== 0) slot = (slot + 1) & (SLOTS - 1);
    fields[slot] = position + 1;
    if (this.findName(nameHash, nameBuf, ns, ne) >= 0) return;
    slot = (nameHash ^ (nameHash >>> 16)) & (SLOTS - 1);
    while (names[slot] !== 0) slot = (slot + 1) & (SLOTS - 1);
    names[slot] = position + 1;
  }
}

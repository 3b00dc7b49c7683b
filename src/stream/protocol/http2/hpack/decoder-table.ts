// The dynamic table of a decoder (RFC 7541 sections 2.3.2 and 4): a ring of entries over bytes that are appended and now and then compacted.
import { copyWide, FIELD_OVERHEAD, viewOf } from './field-block.js';

/** An entry is four numbers: where its bytes begin, length of name, length of value, `hashFolded` of the name. */
const WORDS = 4;

/** Starts with nothing and grows with what is inserted, to twice the limit in bytes and one entry per 32 bytes of it. */
export class DecoderTable {
  /** Names and values, each entry in one piece. */
  view: DataView;
  private bytes: Uint8Array;
  count = 0;
  /** Size by the RFC, and the most it may be. */
  size = 0;
  limit: number;
  private entries: Int32Array;
  /** Oldest entry; the ring's length is a power of two. */
  private first = 0;
  private mask = -1;
  private head = 0;

  constructor(limit: number) {
    this.limit = limit;
    this.bytes = none;
    this.view = noView;
    this.entries = noEntries;
  }

  /** Where the words of the entry are that was inserted `age` insertions before the newest (0: the newest); age < count. */
  private slot(age: number): number {
    return ((this.first + this.count - 1 - age) & this.mask) * WORDS;
  }

  /** Where the entry's name begins in `view`; its value follows the name. */
  start(age: number): number {
    return this.entries[this.slot(age)]!;
  }
  nameLength(age: number): number {
    return this.entries[this.slot(age) + 1]!;
  }
  valueLength(age: number): number {
    return this.entries[this.slot(age) + 2]!;
  }
  hash(age: number): number {
    return this.entries[this.slot(age) + 3]!;
  }

  /** A new limit; the oldest entries go as far as they do not fit it. */
  resize(limit: number): void {
    this.limit = limit;
    this.evict(limit);
  }

  private evict(room: number): void {
    while (this.size > room) {
      const at = this.first * WORDS;
      this.size -= this.entries[at + 1]! + this.entries[at + 2]! + FIELD_OVERHEAD;
      this.first = (this.first + 1) & this.mask;
      this.count--;
    }
    if (this.count === 0) this.head = 0;
  }

  /**
   * Inserts src[start, nameEnd) with the value src[nameEnd, valueEnd), which must not lie in the table itself. An entry that is larger
   * than the limit empties the table, which is no error.
   */
  insert(src: DataView, start: number, nameEnd: number, valueEnd: number, hash: number): void {
    const n = valueEnd - start;
    const size = n + FIELD_OVERHEAD;
    if (size > this.limit) {
      this.evict(0);
      return;
    }
    this.evict(this.limit - size);
    if (this.count > this.mask) this.growRing();
    if (this.head + n > this.bytes.length) this.makeRoom(n);
    const at = ((this.first + this.count) & this.mask) * WORDS;
    const entries = this.entries;
    entries[at] = this.head;
    entries[at + 1] = nameEnd - start;
    entries[at + 2] = valueEnd - nameEnd;
    entries[at + 3] = hash;
    this.head = copyWide(src, start, valueEnd, this.view, this.head);
    this.count++;
    this.size += size;
  }

  private growRing(): void {
    const length = Math.max(8, 2 * (this.mask + 1));
    const grown = new Int32Array(length * WORDS);
    for (let i = 0; i < this.count; i++) {
      const at = ((this.first + i) & this.mask) * WORDS;
      for (let k = 0; k < WORDS; k++) grown[i * WORDS + k] = this.entries[at + k]!;
    }
    this.entries = grown;
    this.first = 0;
    this.mask = length - 1;
  }

  /** Moves what lives to the front, into more memory where it would fill over half of it: so each byte is moved about once. */
  private makeRoom(n: number): void {
    const tail = this.count === 0 ? this.head : this.entries[this.first * WORDS]!;
    const live = this.head - tail;
    let length = Math.max(512, this.bytes.length);
    while (2 * (live + n) > length) length *= 2;
    if (length > this.bytes.length) {
      const grown = new Uint8Array(length);
      grown.set(this.bytes.subarray(tail, this.head));
      this.bytes = grown;
      this.view = viewOf(grown);
    } else {
      this.bytes.copyWithin(0, tail, this.head);
    }
    for (let i = 0; i < this.count; i++) this.entries[((this.first + i) & this.mask) * WORDS]! -= tail;
    this.head = live;
  }
}

const none = new Uint8Array(0);
const noView = viewOf(none);
const noEntries = new Int32Array(0);

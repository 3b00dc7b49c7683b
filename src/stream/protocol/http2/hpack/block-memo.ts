// The header blocks that a decoder has seen before, by their bytes: most connections send a few blocks again and again.
import type { FieldBlock } from './field-block.js';

const BLOCKS = 16;
/** Longest block kept, as it came and decoded. */
export const MEMO_RAW = 1024;
export const MEMO_DECODED = 4096;
/** Blocks not kept of which it is remembered that they came. */
const NOTED = 32;

/**
 * At most 16 blocks of one connection. While there is room every block is kept; when full, only one that came twice lately, in place of
 * the oldest, so that a connection whose blocks all differ does not turn its memo over for nothing.
 */
export class BlockMemo {
  private readonly hashes = new Int32Array(BLOCKS);
  private readonly raws: Uint8Array[] = [];
  private readonly blocks: FieldBlock[] = [];
  /** Whether a block refers to the dynamic table: it means what it meant only until the table changes. */
  private readonly bound: boolean[] = [];
  private bounds = 0;
  private count = 0;
  private next = 0;
  private noted: Int32Array | null = null;

  /** The block that came as buf[start, start + n) with this hash before, or null. */
  find(hash: number, buf: Uint8Array, start: number, n: number): FieldBlock | null {
    const hashes = this.hashes;
    for (let k = 0, count = this.count; k < count; k++) {
      if (hashes[k] !== hash) continue;
      const raw = this.raws[k]!;
      if (raw.length !== n) continue;
      let i = 0;
      while (i < n && raw[i] === buf[start + i]) i++;
      if (i === n) return this.blocks[k]!;
    }
    return null;
  }

  /** Whether a block with this hash, which `find` did not find, is to be added; notes that it came. */
  wants(hash: number): boolean {
    if (this.count < BLOCKS) return true;
    const noted = (this.noted ??= new Int32Array(NOTED));
    const slot = hash & (NOTED - 1);
    if (noted[slot] === hash) return true;
    noted[slot] = hash;
    return false;
  }

  add(hash: number, buf: Uint8Array, start: number, end: number, block: FieldBlock, bound: boolean): void {
    let k = this.count;
    if (k < BLOCKS) {
      this.count = k + 1;
    } else {
      k = this.next;
      this.next = (k + 1) % BLOCKS;
      if (this.bound[k]) this.bounds--;
    }
    this.hashes[k] = hash;
    this.raws[k] = Uint8Array.prototype.slice.call(buf, start, end);
    this.blocks[k] = block;
    this.bound[k] = bound;
    if (bound) this.bounds++;
  }

  /** Drops the blocks that refer to the dynamic table. */
  tableChanged(): void {
    if (this.bounds === 0) return;
    let kept = 0;
    for (let k = 0; k < this.count; k++) {
      if (this.bound[k]) continue;
      this.hashes[kept] = this.hashes[k]!;
      this.raws[kept] = this.raws[k]!;
      this.blocks[kept] = this.blocks[k]!;
      this.bound[kept] = false;
      kept++;
    }
    this.raws.length = kept;
    this.blocks.length = kept;
    this.bound.length = kept;
    this.bounds = 0;
    this.count = kept;
    this.next = 0;
  }
}

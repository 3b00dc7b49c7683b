// Decodes header blocks (RFC 7541 section 3) of one direction of one connection, with a memo of blocks that came before.
import { hashFolded } from '../../../../core/bytes.js';
import { BlockMemo, MEMO_DECODED, MEMO_RAW } from './block-memo.js';
import { DecoderTable } from './decoder-table.js';
import { copyRun, copyWide, FIELD_OVERHEAD, FieldBlockBuilder, type FieldBlock } from './field-block.js';
import { huffmanDecode, huffmanRoom } from './huffman.js';
import { STATIC_AT, STATIC_COUNT, STATIC_HASH, STATIC_VIEW } from './static-table.js';
import { wideHash } from './wide-hash.js';

/** What a table holds until SETTINGS say otherwise (RFC 9113 section 6.5.2). */
export const DEFAULT_TABLE = 4096;
/** A block that decodes to this many times the list limit is an attack rather than a long list. */
const BOMB = 16;

/** Memory in which blocks that are not kept lie one after another. */
const PIECE = 16 * 1024;

/** Where the decoder of the moment collects fields: blocks come whole, so one serves all connections. */
let builder: FieldBlockBuilder | null = null;

/**
 * Decodes the blocks of one connection in the order in which they came. Holds no memory before the first block; then at most twice
 * the table limit, and 16 memorised blocks.
 */
export class HpackDecoder {
  /** Why the last `decode` failed. */
  error = '';
  private readonly announced: number;
  private readonly maxList: number;
  /** The most a size update may ask for. */
  private allowed: number;
  private table: DecoderTable | null = null;
  private memo: BlockMemo | null = null;
  /** The next block has to begin with a size update, because the peer confirmed a lower limit than its table has. */
  private mustShrink = false;
  /** Whether the block being decoded read the table, or changed it. */
  private read = false;
  private changed = false;
  /** Whether fields of it were left out. */
  private over = false;
  /** Where the next byte is. */
  private p = 0;

  /**
   * `maxTable`: what our SETTINGS_HEADER_TABLE_SIZE announces; up to 4096 bytes are allowed until `acknowledged`, because the peer starts with
   * as much before it has read SETTINGS. `maxList`: most bytes of fields (name, value and 32 each) that a FieldBlock gets.
   */
  constructor(maxTable = DEFAULT_TABLE, maxList = 64 * 1024) {
    this.announced = maxTable;
    this.maxList = maxList;
    this.allowed = Math.max(maxTable, DEFAULT_TABLE);
  }

  /** Size of the dynamic table by the RFC, in bytes. */
  get tableSize(): number {
    return this.table === null ? 0 : this.table.size;
  }

  /** The peer acknowledged our SETTINGS. Matters only for a `maxTable` below 4096: a larger table is an error from here on. */
  acknowledged(): void {
    this.allowed = this.announced;
    if ((this.table === null ? DEFAULT_TABLE : this.table.limit) <= this.allowed) return;
    this.mustShrink = true;
    this.memo = null;
  }

  /**
   * The block buf[start, end), which is only read during the call; the same object as before where the same bytes mean the same again.
   * null for a compression error (`error` says which): the connection cannot go on, RFC 9113 section 4.3.
   */
  decode(buf: Uint8Array, start: number, end: number): FieldBlock | null {
    const n = end - start;
    let hash = 0;
    if (n <= MEMO_RAW) {
      hash = wideHash(buf, start, end);
      if (this.memo !== null) {
        const found = this.memo.find(hash, buf, start, n);
        if (found !== null) return found;
      }
    }
    const fields = (builder ??= new FieldBlockBuilder(PIECE));
    fields.clear();
    this.read = false;
    this.changed = false;
    this.over = false;
    if (!this.parse(buf, start, end, fields)) return null;
    if (n > MEMO_RAW || this.changed || fields.size > MEMO_DECODED) return fields.cut(this.over);
    const memo = (this.memo ??= new BlockMemo());
    if (!memo.wants(hash)) return fields.cut(this.over);
    const block = fields.build(this.over, true);
    memo.add(hash, buf, start, end, block, this.read);
    return block;
  }

  private parse(buf: Uint8Array, start: number, end: number, fields: FieldBlockBuilder): boolean {
    let any = false;
    let total = 0;
    const most = BOMB * this.maxList;
    this.p = start;
    while (this.p < end) {
      const first = buf[this.p++]!;
      let size: number;
      if (first >= 0x80) {
        const index = first === 0xff ? this.integer(buf, end, 0x7f) : first & 0x7f;
        size = index < 0 ? -1 : this.indexed(index, fields);
      } else if (first >= 0x40) {
        size = this.literal(buf, end, first & 0x3f, 0x3f, fields, true, false);
      } else if (first >= 0x20) {
        if (any) return this.fail('table size update behind a field');
        if (!this.resize(buf, end, first & 0x1f)) return false;
        continue;
      } else {
        size = this.literal(buf, end, first & 0x0f, 0x0f, fields, false, first >= 0x10);
      }
      if (size < 0) return false;
      if (!any) {
        if (this.mustShrink) return this.fail(`no table size update to the ${this.allowed} bytes that were acknowledged`);
        any = true;
      }
      total += size;
      if (total > most) return this.fail(`more than ${most} bytes of fields in one block`);
    }
    return true;
  }

  private fail(why: string): false {
    this.error = why;
    return false;
  }

  /** An integer whose prefix was all ones (RFC 7541 section 5.1): the prefix's largest value and the bytes at `p`; -1 for an error. */
  private integer(buf: Uint8Array, end: number, prefix: number): number {
    let value = prefix;
    let unit = 1;
    // Five bytes reach 2^35, more than any index or length; longer ones, even of zeros, are refused.
    for (let n = 0; n < 5; n++) {
      if (this.p >= end) {
        this.error = 'integer beyond the end of the block';
        return -1;
      }
      const byte = buf[this.p++]!;
      value += (byte & 0x7f) * unit;
      if (byte < 0x80) {
        if (value <= 0x7fffffff) return value;
        break;
      }
      unit *= 128;
    }
    this.error = 'integer over 31 bits';
    return -1;
  }

  private resize(buf: Uint8Array, end: number, prefix: number): boolean {
    const limit = prefix === 0x1f ? this.integer(buf, end, 0x1f) : prefix;
    if (limit < 0) return false;
    if (limit > this.allowed) return this.fail(`table size update to ${limit}, over ${this.allowed}`);
    (this.table ??= new DecoderTable(DEFAULT_TABLE)).resize(limit);
    this.mustShrink = false;
    this.tableChanged();
    return true;
  }

  private tableChanged(): void {
    this.changed = true;
    if (this.memo !== null) this.memo.tableChanged();
  }

  /** Whether the finished fields and one of `bytes` bytes stay within the list limit; once they do not, no further field is kept. */
  private fits(fields: FieldBlockBuilder, bytes: number): boolean {
    if (this.over) return false;
    if (fields.size + bytes + FIELD_OVERHEAD <= this.maxList) return true;
    this.over = true;
    return false;
  }

  /** The age of the dynamic entry with this index, or -1. */
  private age(index: number): number {
    const age = index - STATIC_COUNT - 1;
    if (this.table !== null && age < this.table.count) {
      this.read = true;
      return age;
    }
    this.error = `index ${index} of a table of ${STATIC_COUNT + (this.table === null ? 0 : this.table.count)} entries`;
    return -1;
  }

  /** A field that is an entry of a table; its size or -1. */
  private indexed(index: number, fields: FieldBlockBuilder): number {
    if (index === 0) {
      this.error = 'index 0';
      return -1;
    }
    let from: DataView;
    let start: number;
    let name: number;
    let n: number;
    let hash: number;
    if (index <= STATIC_COUNT) {
      from = STATIC_VIEW;
      start = STATIC_AT[2 * index]!;
      name = STATIC_AT[2 * index + 1]! - start;
      n = STATIC_AT[2 * index + 2]! - start;
      hash = STATIC_HASH[index]!;
    } else {
      const age = this.age(index);
      if (age < 0) return -1;
      const table = this.table!;
      from = table.view;
      start = table.start(age);
      name = table.nameLength(age);
      n = name + table.valueLength(age);
      hash = table.hash(age);
    }
    if (this.fits(fields, n)) {
      fields.reserve(n);
      const to = fields.pos;
      fields.field(to + name, copyWide(from, start, start + n, fields.view, to), hash, false);
    }
    return n + FIELD_OVERHEAD;
  }

  /** A field that carries its value and perhaps its name; its size or -1. `low`: the bits of the first byte that belong to the index. */
  private literal(buf: Uint8Array, end: number, low: number, prefix: number, fields: FieldBlockBuilder, insert: boolean, never: boolean): number {
    const index = low === prefix ? this.integer(buf, end, prefix) : low;
    if (index < 0) return -1;
    let name: number;
    let hash: number;
    if (index === 0) {
      name = this.string(buf, end, fields, 0);
      if (name < 0) return -1;
      hash = hashFolded(fields.buf, fields.pos, fields.pos + name);
    } else if (index <= STATIC_COUNT) {
      const at = STATIC_AT[2 * index]!;
      name = STATIC_AT[2 * index + 1]! - at;
      fields.reserve(name);
      copyWide(STATIC_VIEW, at, at + name, fields.view, fields.pos);
      hash = STATIC_HASH[index]!;
    } else {
      const age = this.age(index);
      if (age < 0) return -1;
      const table = this.table!;
      const at = table.start(age);
      name = table.nameLength(age);
      fields.reserve(name);
      copyWide(table.view, at, at + name, fields.view, fields.pos);
      hash = table.hash(age);
    }
    const value = this.string(buf, end, fields, name);
    if (value < 0) return -1;
    const start = fields.pos;
    const nameEnd = start + name;
    const valueEnd = nameEnd + value;
    if (insert) {
      (this.table ??= new DecoderTable(DEFAULT_TABLE)).insert(fields.view, start, nameEnd, valueEnd, hash);
      this.tableChanged();
    }
    if (this.fits(fields, name + value)) fields.field(nameEnd, valueEnd, hash, never);
    return name + value + FIELD_OVERHEAD;
  }

  /** The string at `p`, written `behind` bytes behind the finished fields; its length there, or -1. */
  private string(buf: Uint8Array, end: number, fields: FieldBlockBuilder, behind: number): number {
    if (this.p >= end) {
      this.error = 'string beyond the end of the block';
      return -1;
    }
    const first = buf[this.p++]!;
    const length = (first & 0x7f) === 0x7f ? this.integer(buf, end, 0x7f) : first & 0x7f;
    if (length < 0) return -1;
    const from = this.p;
    if (length > end - from) {
      this.error = `string of ${length} bytes where ${end - from} are left`;
      return -1;
    }
    this.p = from + length;
    if (first < 0x80) {
      fields.reserve(behind + length);
      copyRun(buf, from, from + length, fields.buf, fields.pos + behind);
      return length;
    }
    fields.reserve(behind + huffmanRoom(length));
    const to = fields.pos + behind;
    const stop = huffmanDecode(buf, from, from + length, fields.buf, to);
    if (stop < 0) {
      this.error = 'string that is not in the Huffman code';
      return -1;
    }
    return stop - to;
  }
}

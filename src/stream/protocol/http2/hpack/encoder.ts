// Encodes header blocks (RFC 7541 section 6) of one direction of one connection, with a memo of the blocks that it wrote before.
import { hashFolded, type Writer } from '../../../../core/bytes.js';
import { ENCODER_TABLE, EncoderTable } from './encoder-table.js';
import { FIELD_OVERHEAD, type FieldBlock } from './field-block.js';
import { findStaticField, findStaticName, findStaticValue, STATIC_COUNT, staticIndex } from './static-table.js';
import { fieldHash } from './wide-hash.js';

/** The largest field inserted: one that takes a quarter of the table may not be worth the others. */
const LARGEST = ENCODER_TABLE / 4;
/** Fields remembered, by hash, as seen once. */
const SEEN = 256;
/** Fields that came again and found the table full, before it begins anew. */
const MISSES = 1024;
const MEMO_BLOCKS = 64;
const MEMO_BYTES = 32 * 1024;
/** Bytes of the two size updates that can stand in front of a block. */
const UPDATES = 8;
/** Most bytes of a field beside name and value: the first byte, and two lengths of at most 5 bytes. */
const FIELD_FRAME = 11;

/** Its values pass too quickly to be worth an entry. */
const PASSING = 1;
/** A secret: in a table that many clients' requests share, one of them could find it out by trying (RFC 7541 section 7.1). */
const SECRET = 2;
/** What to do with a name of the static table, by its index; 0 for most. */
const kinds = new Uint8Array(STATIC_COUNT + 1);
for (const name of [
  'age', 'content-length', 'content-range', 'date', 'etag', 'expires', 'if-match', 'if-modified-since', 'if-none-match', 'if-range', 'if-unmodified-since',
  'last-modified', 'location', 'range', 'retry-after',
]) kinds[staticIndex(name)] = PASSING;
for (const name of ['authorization', 'cookie', 'proxy-authorization', 'set-cookie']) kinds[staticIndex(name)] = SECRET;

/**
 * Encodes the blocks of one connection in the order in which they are sent. A field is inserted into the table when it comes for the
 * second time, so that values that never come again (ids, traces) do not turn the table over. The table never evicts: when it has been
 * full for long it begins anew. Strings are written as they are: the Huffman code of a value took 3 to 4 times as long as its copy, some
 * 13 ns per byte saved, and costs the peer about as much again.
 */
export class HpackEncoder {
  private readonly shared: boolean;
  /** What the peer's table holds now, as far as it has been told, and what it is to hold. */
  private limit = ENCODER_TABLE;
  private wanted = ENCODER_TABLE;
  /** The lowest size the peer asked for since the last block; `anew`: the table is to be emptied before the next one. */
  private lowest = ENCODER_TABLE;
  private anew = false;
  private pending = false;
  private table: EncoderTable | null = null;
  private seen: Int32Array | null = null;
  private misses = 0;
  private memo: Map<FieldBlock, Uint8Array> | null = null;
  private memoBytes = 0;
  /** Whether the block being written has fields that may become entries the next time, or inserted some. */
  private unsettled = false;

  /** `shared`: the connection carries requests of many clients, whose secrets then stay out of the table. */
  constructor(shared: boolean) {
    this.shared = shared;
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE; it holds from the next block on, which begins with what the peer must know of it. */
  setPeerTable(size: number): void {
    const wanted = Math.min(size, ENCODER_TABLE);
    this.wanted = wanted;
    if (wanted < this.lowest) this.lowest = wanted;
    this.pending = this.anew || this.lowest !== this.limit || wanted !== this.limit;
  }

  /** Most bytes that `encode` writes for the block. */
  bound(block: FieldBlock): number {
    return UPDATES + block.at[2 * block.count]! - block.at[0]! + FIELD_FRAME * block.count;
  }

  /** Most bytes that `field` writes, and `begin` in front of it. */
  fieldBound(nameLength: number, valueLength: number): number {
    return UPDATES + FIELD_FRAME + nameLength + valueLength;
  }

  /** Writes the table size updates that are due; for blocks made of `field` alone, `encode` does it itself. */
  begin(w: Writer): void {
    if (!this.pending) return;
    this.pending = false;
    // A larger table may take what memorised bytes tell as literals, an empty one has none of what they refer to.
    this.forget();
    const table = this.table;
    if (table !== null && (this.anew || table.size > this.lowest)) {
      this.anew = false;
      this.lowest = 0;
      this.misses = 0;
      table.clear();
    }
    if (this.lowest < this.limit && this.lowest !== this.wanted) integer(w, 0x20, 0x1f, this.lowest);
    integer(w, 0x20, 0x1f, this.wanted);
    this.limit = this.wanted;
    this.lowest = this.wanted;
  }

  /** Writes a block, or the beginning of one that `field` continues. The writer has `bound(block)` bytes free. */
  encode(w: Writer, block: FieldBlock): void {
    if (this.pending) this.begin(w);
    if (this.memo !== null) {
      const known = this.memo.get(block);
      if (known !== undefined) {
        w.bytes(known, 0, known.length);
        return;
      }
    }
    const start = w.pos;
    const { bytes, at, hashes, never } = block;
    this.unsettled = false;
    for (let i = 0, p = 0; i < hashes.length; i++, p += 2) {
      this.write(w, hashes[i]!, bytes, at[p]!, at[p + 1]!, bytes, at[p + 1]!, at[p + 2]!, never !== null && never[i]!);
    }
    if (!block.encoded) block.encoded = true;
    else if (!this.unsettled) this.remember(block, w.buf, start, w.pos);
  }

  /** Writes one more field of a block that `encode` or `begin` began. The writer has `fieldBound` bytes free. */
  field(w: Writer, nameBuf: Uint8Array, ns: number, ne: number, valueBuf: Uint8Array, vs: number, ve: number, never: boolean): void {
    this.write(w, hashFolded(nameBuf, ns, ne), nameBuf, ns, ne, valueBuf, vs, ve, never);
  }

  private write(
    w: Writer, nameHash: number, nameBuf: Uint8Array, ns: number, ne: number, valueBuf: Uint8Array, vs: number, ve: number, never: boolean,
  ): void {
    const size = ne - ns + ve - vs + FIELD_OVERHEAD;
    if (never || size > LARGEST || size > this.limit) {
      this.outside(w, nameHash, nameBuf, ns, ne, valueBuf, vs, ve, never);
      return;
    }
    const hash = fieldHash(nameHash, valueBuf, vs, ve);
    const table = this.table;
    if (table !== null) {
      const position = table.findField(hash, nameBuf, ns, ne, valueBuf, vs, ve);
      if (position >= 0) {
        integer(w, 0x80, 0x7f, STATIC_COUNT + table.count - position);
        return;
      }
    }
    const index = findStaticField(hash, nameBuf, ns, ne, valueBuf, vs, ve);
    if (index !== 0) {
      w.buf[w.pos++] = 0x80 | index;
      return;
    }
    let name = findStaticName(nameHash, nameBuf, ns, ne);
    const kind = kinds[name]!;
    if (kind === PASSING || (kind === SECRET && this.shared)) {
      this.literal(w, 0, 0x0f, name, nameBuf, ns, ne, valueBuf, vs, ve);
      return;
    }
    if (name === 0) name = this.dynamicName(nameHash, nameBuf, ns, ne);
    // A name that neither table has is worth an entry when it comes again, even where the value does not.
    let insert = this.again(hash);
    if (!insert && name === 0) insert = this.again(nameHash);
    if (insert && (table === null ? 0 : table.size) + size > this.limit) {
      insert = false;
      this.missed();
    }
    this.literal(w, insert ? 0x40 : 0, insert ? 0x3f : 0x0f, name, nameBuf, ns, ne, valueBuf, vs, ve);
    if (!insert) return;
    (this.table ??= new EncoderTable()).insert(nameHash, hash, nameBuf, ns, ne, valueBuf, vs, ve);
    this.unsettled = true;
    this.forget();
  }

  /** A field that the table may not have, or not with its value. */
  private outside(
    w: Writer, nameHash: number, nameBuf: Uint8Array, ns: number, ne: number, valueBuf: Uint8Array, vs: number, ve: number, never: boolean,
  ): void {
    let name = findStaticName(nameHash, nameBuf, ns, ne);
    if (name === 0) {
      name = this.dynamicName(nameHash, nameBuf, ns, ne);
    } else if (!never) {
      const index = findStaticValue(name, valueBuf, vs, ve);
      if (index !== 0) {
        w.buf[w.pos++] = 0x80 | index;
        return;
      }
    }
    this.literal(w, never ? 0x10 : 0, 0x0f, name, nameBuf, ns, ne, valueBuf, vs, ve);
  }

  /** The index of an entry of the dynamic table with this name, or 0. */
  private dynamicName(hash: number, buf: Uint8Array, start: number, end: number): number {
    const table = this.table;
    if (table === null) return 0;
    const position = table.findName(hash, buf, start, end);
    return position < 0 ? 0 : STATIC_COUNT + table.count - position;
  }

  /** Whether this hash was one of the last four of its set; it is now. With sets of one, two fields of a block could displace each other for ever. */
  private again(hash: number): boolean {
    const seen = (this.seen ??= new Int32Array(SEEN));
    const at = (hash ^ (hash >>> 16)) & (SEEN - 4);
    if (seen[at] === hash || seen[at + 1] === hash || seen[at + 2] === hash || seen[at + 3] === hash) return true;
    seen[at + 3] = seen[at + 2]!;
    seen[at + 2] = seen[at + 1]!;
    seen[at + 1] = seen[at]!;
    seen[at] = hash;
    this.unsettled = true;
    return false;
  }

  private missed(): void {
    if (++this.misses < MISSES) return;
    // Size updates stand only in front of a block: the next one.
    this.anew = true;
    this.pending = true;
  }

  private literal(
    w: Writer, type: number, prefix: number, index: number, nameBuf: Uint8Array, ns: number, ne: number, valueBuf: Uint8Array, vs: number, ve: number,
  ): void {
    if (index < prefix) w.buf[w.pos++] = type | index;
    else integer(w, type, prefix, index);
    if (index === 0) {
      integer(w, 0, 0x7f, ne - ns);
      w.bytes(nameBuf, ns, ne);
    }
    integer(w, 0, 0x7f, ve - vs);
    w.bytes(valueBuf, vs, ve);
  }

  private remember(block: FieldBlock, buf: Uint8Array, start: number, end: number): void {
    const n = end - start;
    if (n > MEMO_BYTES) return;
    const memo = (this.memo ??= new Map());
    if (memo.size >= MEMO_BLOCKS || this.memoBytes + n > MEMO_BYTES) this.forget();
    memo.set(block, new Uint8Array(buf.subarray(start, end)));
    this.memoBytes += n;
  }

  private forget(): void {
    if (this.memo === null || this.memo.size === 0) return;
    this.memo.clear();
    this.memoBytes = 0;
  }
}

/** An integer behind the bits of `type` (RFC 7541 section 5.1); `prefix` is the largest value of its first byte. */
function integer(w: Writer, type: number, prefix: number, value: number): void {
  const buf = w.buf;
  if (value < prefix) {
    buf[w.pos++] = type | value;
    return;
  }
  buf[w.pos++] = type | prefix;
  let rest = value - prefix;
  while (rest >= 128) {
    buf[w.pos++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  buf[w.pos++] = rest;
}

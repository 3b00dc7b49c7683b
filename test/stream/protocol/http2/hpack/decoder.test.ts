// The HPACK decoder: what it refuses, what its table does at its edges, how much it keeps of too long lists.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { hashFolded } from '../../../../../src/core/bytes.js';
import { HpackDecoder } from '../../../../../src/stream/protocol/http2/hpack/decoder.js';
import { HpackEncoder } from '../../../../../src/stream/protocol/http2/hpack/encoder.js';
import type { FieldBlock } from '../../../../../src/stream/protocol/http2/hpack/field-block.js';
import { blockOf, decode, fieldsOf, hex, indexed, integer, literal, refusal, sizeUpdate, string, type Field } from './blocks.js';

/** A field of exactly this size by the RFC, to be inserted. */
function entry(name: string, size: number): Buffer {
  return literal('insert', name, 'v'.repeat(size - name.length - 32));
}

function names(decoder: HpackDecoder, count: number): string[] {
  return fieldsOf(decode(decoder, Buffer.concat(Array.from({ length: count }, (_, i) => indexed(62 + i))))).map(([name]) => name);
}

describe('HPACK decoder: blocks', () => {
  test('what a block offers: ranges, hashes, names, flags', () => {
    const block = decode(new HpackDecoder(), Buffer.concat([indexed(2), literal('never', 'x-pin', '0000'), literal('plain', 58, 'agent ü', true), literal('plain', 'x-empty', '')]));
    assert.deepEqual(fieldsOf(block), [[':method', 'GET'], ['x-pin', '0000', true], ['user-agent', 'agent ü'], ['x-empty', '']]);
    assert.equal(block.count, 4);
    assert.deepEqual(block.at.map((at) => at - block.at[0]!), [0, 7, 10, 15, 19, 29, 37, 44, 44]);
    assert.equal(block.bytes.toString('utf8', block.at[0], block.at.at(-1)), ':methodGETx-pin0000user-agentagent üx-empty');
    assert.deepEqual(block.hashes, [':method', 'x-pin', 'user-agent', 'x-empty'].map((name) => hashFolded(Buffer.from(name), 0, name.length)));
    assert.deepEqual(block.never, [false, true, false, false]);
    assert.equal(block.size, 44 + 4 * 32);
    assert.equal(block.tooLarge, false);
    assert.equal(block.meaning, null);
    assert.ok(block.nameIs(1, Buffer.from('x-pin')) && !block.nameIs(1, Buffer.from('x-pi')) && !block.nameIs(1, Buffer.from('x-pim')));
    assert.deepEqual([block.name(3), block.value(3), block.value(2)], ['x-empty', '', 'agent ü']);
    assert.equal(decode(new HpackDecoder(), indexed(2)).never, null);
    assert.equal(decode(new HpackDecoder(), Buffer.alloc(0)).count, 0);
  });

  test('the whole static table, by index and as names of literals', () => {
    const decoder = new HpackDecoder();
    for (let i = 1; i <= 61; i++) {
      const [field] = fieldsOf(decode(decoder, indexed(i)));
      for (const form of ['insert', 'plain', 'never'] as const) {
        const [named] = fieldsOf(decode(decoder, literal(form, i, `value ${i}`, i % 2 === 0)));
        assert.deepEqual([named![0], named![1]], [field![0], `value ${i}`]);
      }
    }
    assert.deepEqual(fieldsOf(decode(decoder, Buffer.concat([indexed(1), indexed(16), indexed(61)]))), [[':authority', ''], ['accept-encoding', 'gzip, deflate'], ['www-authenticate', '']]);
  });

  test('builder: bytes and text make the same block as decoding does', () => {
    const fields = [['x-a', 'ä'.repeat(300)], ['x-b', '', true], ['x-c', 'c'.repeat(60_000)], ['', '']] as const;
    const decoded = decode(new HpackDecoder(), Buffer.concat(fields.map(([name, value, never]) => literal(never ? 'never' : 'plain', name, value))));
    assert.deepEqual(plain(blockOf(fields)), plain(decoded));
  });

  test('strings of up to many bytes, plain and coded', () => {
    const decoder = new HpackDecoder(4096, 1 << 20);
    for (const n of [0, 1, 47, 48, 49, 126, 127, 128, 254, 255, 5000, 100_000]) {
      for (const coded of [false, true]) {
        assert.deepEqual(fieldsOf(decode(decoder, literal('plain', 'n'.repeat(n + 1), 'v'.repeat(n), coded))), [['n'.repeat(n + 1), 'v'.repeat(n)]]);
      }
    }
  });
});

function plain({ bytes, at, hashes, never, size, count, tooLarge }: FieldBlock): object {
  return { bytes: bytes.subarray(at[0], at.at(-1)), at: at.map((one) => one - at[0]!), hashes, never, size, count, tooLarge };
}

describe('HPACK decoder: memory', () => {
  test('a connection without a block has no memory outside of two small objects', () => {
    const before = process.memoryUsage().arrayBuffers;
    const idle = Array.from({ length: 2000 }, () => [new HpackDecoder(), new HpackEncoder(true)]);
    assert.ok(process.memoryUsage().arrayBuffers - before < 64 * 1024);
    assert.equal(idle.length, 2000);
  });

  test('blocks outlive those that follow, and what they were decoded from', () => {
    const decoders = [new HpackDecoder(), new HpackDecoder()];
    const kept: { block: FieldBlock; fields: readonly Field[] }[] = [];
    for (let i = 0; i < 2000; i++) {
      const fields: Field[] = Array.from({ length: i % 7 }, (_, k) => [`name-${i}`, `${k}${'v'.repeat((i * 31) % (i % 40 === 0 ? 9_000 : 200))}`]);
      kept.push({ block: decode(decoders[i % 2]!, Buffer.concat(fields.map(([name, value]) => literal('plain', name, value, i % 3 === 0)))), fields });
      // An error in between takes nothing with it.
      if (i % 50 === 0) refusal(new HpackDecoder(), Buffer.concat([literal('plain', 'x', 'y'.repeat(i)), indexed(70)]));
    }
    for (const { block, fields } of kept) {
      assert.deepEqual(fieldsOf(block), fields);
      assert.deepEqual(block.hashes, fields.map(([name]) => hashFolded(Buffer.from(name), 0, name.length)));
    }
  });
});

describe('HPACK decoder: errors', () => {
  const refused: readonly (readonly [why: string, block: Buffer, error: RegExp])[] = [
    ['index 0', hex('80'), /index 0/],
    ['an index beyond an empty dynamic table', indexed(62), /index 62 of a table of 61/],
    ['a name beyond an empty dynamic table', literal('plain', 62, 'x'), /index 62 of a table of 61/],
    ['a large index', indexed(1_000_000), /index 1000000/],
    ['an integer that ends with the block', hex('ff'), /beyond the end/],
    ['an integer that goes on after the end', hex('ff8080'), /beyond the end/],
    ['an integer over 31 bits', hex('ffffffffff7f'), /over 31 bits/],
    ['an integer with too many zeros', hex('ff808080808000'), /over 31 bits/],
    ['an endless integer', Buffer.alloc(100, 0xff), /over 31 bits/],
    ['a literal without a name', hex('40'), /string beyond/],
    ['a literal without a value', hex('400161'), /string beyond/],
    ['a literal with a static name and no value', hex('44'), /string beyond/],
    ['a name longer than the rest', hex('40056162'), /string of 5 bytes where 2 are left/],
    ['a value longer than the rest', hex('4001610362'), /string of 3 bytes where 1 are left/],
    ['a coded value longer than the rest', hex('400161831f'), /string of 3 bytes where 1 are left/],
    ['a string of 2 GiB', Buffer.concat([hex('40'), Buffer.from(integer(0, 7, 0x7fffffff))]), /are left/],
    ['a string over 31 bits', Buffer.concat([hex('40'), Buffer.from(integer(0, 7, 2 ** 32))]), /over 31 bits/],
    ['coded padding over seven bits', Buffer.concat([hex('40'), hex('821fff'), string('v')]), /Huffman/],
    ['coded padding with a zero', Buffer.concat([hex('40'), hex('811e'), string('v')]), /Huffman/],
    ['the end-of-string symbol', hex('40016184ffffffff'), /Huffman/],
    ['a size update over what was announced', sizeUpdate(4097), /4097, over 4096/],
    ['a size update behind a field', Buffer.concat([indexed(2), sizeUpdate(0)]), /behind a field/],
    ['a size update that ends with the block', hex('3f'), /beyond the end/],
  ];
  for (const [why, block, error] of refused) {
    test(why, () => {
      assert.match(refusal(new HpackDecoder(), block), error);
      // The same behind a sound field.
      if (block[0]! >> 5 !== 1) assert.match(refusal(new HpackDecoder(), Buffer.concat([indexed(2), block])), error);
    });
  }

  test('nothing behind the end of the block is read', () => {
    const bytes = Buffer.concat([literal('plain', 'name', 'value'), hex('ffffffff')]);
    for (let end = 1; end < 12; end++) assert.equal(new HpackDecoder().decode(bytes, 0, end), null, `cut at ${end}`);
    assert.deepEqual(fieldsOf(new HpackDecoder().decode(bytes, 0, 12)!), [['name', 'value']]);
  });
});

describe('HPACK decoder: dynamic table', () => {
  test('exactly full evicts nothing, one byte more the oldest', () => {
    const decoder = new HpackDecoder();
    for (const name of ['a', 'b', 'c', 'd']) decode(decoder, entry(name, 1024));
    assert.equal(decoder.tableSize, 4096);
    assert.deepEqual(names(decoder, 4), ['d', 'c', 'b', 'a']);
    decode(decoder, entry('e', 33));
    assert.deepEqual(names(decoder, 4), ['e', 'd', 'c', 'b']);
    assert.equal(decoder.tableSize, 3 * 1024 + 33);
    assert.match(refusal(decoder, indexed(66)), /index 66 of a table of 65/);
  });

  test('an entry of the whole table replaces all, a larger one leaves it empty and is a field all the same', () => {
    const decoder = new HpackDecoder();
    decode(decoder, Buffer.concat([entry('a', 100), entry('b', 100)]));
    decode(decoder, entry('all', 4096));
    assert.deepEqual(names(decoder, 1), ['all']);
    assert.equal(decoder.tableSize, 4096);
    assert.equal(decode(decoder, entry('over', 4097)).size, 4097);
    assert.equal(decoder.tableSize, 0);
    assert.match(refusal(decoder, indexed(62)), /table of 61/);
  });

  test('a literal may take its name from the entry that its insertion evicts', () => {
    const decoder = new HpackDecoder();
    decode(decoder, entry('the-old-name', 4096));
    const block = decode(decoder, literal('insert', 62, 'new'));
    assert.deepEqual(fieldsOf(block), [['the-old-name', 'new']]);
    assert.deepEqual(fieldsOf(decode(decoder, indexed(62))), [['the-old-name', 'new']]);
    assert.equal(decoder.tableSize, 12 + 3 + 32);
  });

  test('size updates: several, to 0 and back, to what the entries need, one below', () => {
    const decoder = new HpackDecoder();
    decode(decoder, Buffer.concat([entry('a', 100), entry('b', 100), entry('c', 100)]));
    decode(decoder, sizeUpdate(300));
    assert.deepEqual(names(decoder, 3), ['c', 'b', 'a']);
    decode(decoder, sizeUpdate(299));
    assert.deepEqual(names(decoder, 2), ['c', 'b']);
    assert.equal(decoder.tableSize, 200);
    decode(decoder, entry('d', 100));
    assert.deepEqual(names(decoder, 2), ['d', 'c'], 'the lower limit holds');
    assert.deepEqual(fieldsOf(decode(decoder, Buffer.concat([sizeUpdate(0), sizeUpdate(4096), indexed(2), entry('e', 100)]))).map(([name]) => name), [':method', 'e']);
    assert.deepEqual(names(decoder, 1), ['e']);
    assert.equal(decoder.tableSize, 100);
    decode(decoder, sizeUpdate(0));
    assert.equal(decode(decoder, entry('f', 33)).count, 1);
    assert.equal(decoder.tableSize, 0);
  });

  test('a larger table only after its size update', () => {
    const decoder = new HpackDecoder(16384);
    for (let i = 0; i < 6; i++) decode(decoder, entry(`n${i}`, 1024));
    assert.equal(decoder.tableSize, 4096);
    decode(decoder, sizeUpdate(16384));
    for (let i = 6; i < 30; i++) decode(decoder, entry(`n${i}`, 1024));
    assert.equal(decoder.tableSize, 16384);
    assert.deepEqual(names(decoder, 16), Array.from({ length: 16 }, (_, i) => `n${29 - i}`));
    assert.match(refusal(decoder, sizeUpdate(16385)), /over 16384/);
  });

  test('a smaller table from the acknowledgement on: the next block has to say so', () => {
    const decoder = new HpackDecoder(100);
    decode(decoder, Buffer.concat([entry('a', 1000), entry('b', 1000)]));
    assert.equal(decoder.tableSize, 2000, 'the peer has not read our SETTINGS yet');
    decoder.acknowledged();
    decode(decoder, Buffer.concat([sizeUpdate(100), entry('c', 100)]));
    assert.equal(decoder.tableSize, 100);
    assert.match(refusal(decoder, sizeUpdate(101)), /over 100/);
    for (const block of [indexed(2), literal('plain', 'x', 'y'), entry('a', 50)]) {
      const other = new HpackDecoder(100);
      decode(other, indexed(2));
      other.acknowledged();
      assert.match(refusal(other, block), /no table size update to the 100 bytes/);
    }
  });

  test('many insertions of all lengths: always the newest that fit', () => {
    const decoder = new HpackDecoder();
    const inserted: { name: string; value: string }[] = [];
    for (let i = 0; i < 3000; i++) {
      const one = { name: `name-${i}`, value: String.fromCharCode(97 + (i % 26)).repeat((i * 37) % (i % 50 === 0 ? 3000 : 90)) };
      inserted.unshift(one);
      decode(decoder, literal('insert', one.name, one.value, i % 3 === 0));
      let size = 0;
      let fit = 0;
      for (const { name, value } of inserted) {
        if (size + name.length + value.length + 32 > 4096) break;
        size += name.length + value.length + 32;
        fit++;
      }
      assert.equal(decoder.tableSize, size);
      inserted.length = fit;
      if (i % 7 === 0) {
        const table = fieldsOf(decode(decoder, Buffer.concat(inserted.map((_, k) => indexed(62 + k)))));
        assert.deepEqual(table, inserted.map(({ name, value }) => [name, value]));
      }
    }
  });
});

describe('HPACK decoder: too long lists', () => {
  test('fields up to the limit are there; what comes behind changes the table but not the block', () => {
    const decoder = new HpackDecoder(4096, 200);
    const block = decode(decoder, Buffer.concat([entry('a', 100), entry('b', 100), entry('c', 40), indexed(2)]));
    assert.equal(block.tooLarge, true);
    assert.deepEqual(fieldsOf(block).map(([name]) => name), ['a', 'b']);
    assert.equal(block.size, 200);
    assert.equal(decoder.tableSize, 240);
    assert.deepEqual(fieldsOf(decode(decoder, indexed(62))).map(([name]) => name), ['c']);
    assert.equal(decode(decoder, Buffer.concat([indexed(63), indexed(64)])).tooLarge, false, 'exactly the limit');
  });

  test('a small field behind one that was too large is not kept either', () => {
    const decoder = new HpackDecoder(4096, 200);
    const block = decode(decoder, Buffer.concat([indexed(2), literal('plain', 'large', 'x'.repeat(300)), indexed(4)]));
    assert.deepEqual([block.count, block.tooLarge], [1, true]);
  });

  test('16 times the limit is an error, however few bytes the block has', () => {
    const decoder = new HpackDecoder(4096, 65536);
    decode(decoder, entry('x', 4096));
    const most = 16 * 16;
    const block = decode(decoder, Buffer.alloc(most, indexed(62)));
    assert.deepEqual([block.tooLarge, block.count, block.size], [true, 16, 65536]);
    assert.match(refusal(decoder, Buffer.alloc(most + 1, indexed(62))), /more than 1048576 bytes/);
  });

  test('what the block holds is bounded by the limit', () => {
    const decoder = new HpackDecoder(4096, 65536);
    decode(decoder, entry('x', 4096));
    const block = decode(decoder, Buffer.alloc(200, indexed(62)));
    assert.ok(block.at.at(-1)! - block.at[0]! <= 65536);
  });
});

// The decoder's memo: the same bytes are the same block only while they mean the same, and only on the same connection.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { HpackDecoder } from '../../../../../src/stream/protocol/http2/hpack/decoder.js';
import { decode, fieldsOf, indexed, literal, refusal, sizeUpdate } from './blocks.js';

const request = Buffer.concat([indexed(2), indexed(6), literal('plain', 4, '/path'), literal('plain', 'x-id', '1')]);

describe('HPACK decoder memo', () => {
  test('a block that comes again is the same object, with what its owner found out', () => {
    const decoder = new HpackDecoder();
    const first = decode(decoder, request);
    first.meaning = { route: 1 };
    assert.equal(decode(decoder, request), first);
    assert.deepEqual(decode(decoder, request).meaning, { route: 1 });
    assert.notEqual(decode(decoder, request.subarray(0, 2)), first);
  });

  test('a block with literals alone stays valid when the table changes; one that names entries does not', () => {
    const decoder = new HpackDecoder();
    decode(decoder, literal('insert', 'x-a', '1'));
    const free = decode(decoder, request);
    const bound = decode(decoder, indexed(62));
    const named = decode(decoder, literal('plain', 62, 'other'));
    assert.deepEqual([decode(decoder, indexed(62)), decode(decoder, literal('plain', 62, 'other'))], [bound, named]);
    decode(decoder, literal('insert', 'x-b', '2'));
    assert.equal(decode(decoder, request), free);
    assert.deepEqual(fieldsOf(decode(decoder, indexed(62))), [['x-b', '2']]);
    assert.deepEqual(fieldsOf(decode(decoder, indexed(63))), [['x-a', '1']]);
    assert.deepEqual(fieldsOf(decode(decoder, literal('plain', 62, 'other'))), [['x-b', 'other']]);
  });

  test('a block that inserts is decoded each time', () => {
    const decoder = new HpackDecoder();
    const insert = Buffer.concat([indexed(2), literal('insert', 'x-a', '1')]);
    for (let i = 1; i <= 5; i++) {
      decode(decoder, insert);
      assert.equal(decoder.tableSize, i * 36);
    }
  });

  test('a size update ends what names entries, even where it evicts nothing, and is never skipped', () => {
    const decoder = new HpackDecoder();
    decode(decoder, literal('insert', 'x-a', '1'));
    decode(decoder, indexed(62));
    const shrink = Buffer.concat([sizeUpdate(35), indexed(2)]);
    decode(decoder, shrink);
    assert.equal(decoder.tableSize, 0);
    assert.match(refusal(decoder, indexed(62)), /table of 61/);
    const other = new HpackDecoder();
    const grow = Buffer.concat([sizeUpdate(4096), indexed(2)]);
    decode(other, shrink);
    decode(other, grow);
    decode(other, literal('insert', 'x-a', '1'));
    decode(other, shrink);
    assert.equal(other.tableSize, 0);
    decode(other, grow);
    decode(other, literal('insert', 'x-a', '1'));
    assert.equal(other.tableSize, 36);
  });

  test('an eviction by an entry larger than the table ends what names entries', () => {
    const decoder = new HpackDecoder();
    decode(decoder, literal('insert', 'x-a', '1'));
    decode(decoder, indexed(62));
    decode(decoder, literal('insert', 'x-large', 'v'.repeat(5000)));
    assert.match(refusal(decoder, indexed(62)), /table of 61/);
  });

  test('after the acknowledgement of a smaller table no remembered block passes without its size update', () => {
    const decoder = new HpackDecoder(100);
    decode(decoder, request);
    decode(decoder, request);
    decoder.acknowledged();
    assert.match(refusal(decoder, request), /no table size update/);
  });

  test('two connections never see each other: the same bytes, other tables', () => {
    const a = new HpackDecoder();
    const b = new HpackDecoder();
    for (let round = 0; round < 40; round++) {
      decode(a, literal('insert', 'x-user', `a${round}`));
      decode(b, literal('insert', 'x-user', `b${round}`));
      for (let again = 0; again < 3; again++) {
        for (let k = 0; k <= Math.min(round, 20); k++) {
          const bytes = Buffer.concat([indexed(2), indexed(62 + k)]);
          const fromA = decode(a, bytes);
          const fromB = decode(b, bytes);
          assert.notEqual(fromA, fromB);
          assert.deepEqual([fieldsOf(fromA)[1], fieldsOf(fromB)[1]], [['x-user', `a${round - k}`], ['x-user', `b${round - k}`]]);
        }
      }
    }
    assert.notEqual(decode(a, request), decode(b, request));
  });

  test('blocks that differ in one byte anywhere are different blocks', () => {
    const decoder = new HpackDecoder();
    const seen = new Set<unknown>();
    for (let i = 0; i < 60; i++) {
      const value = Buffer.alloc(60, 'a');
      value[i] = 98;
      const block = decode(decoder, literal('plain', 'x', value));
      assert.equal(block.value(0), value.toString());
      seen.add(block);
    }
    assert.equal(seen.size, 60);
  });

  test('bounded: 16 blocks; one more only when it comes twice, in place of the oldest', () => {
    const decoder = new HpackDecoder();
    const block = (i: number): Buffer => literal('plain', 'x-id', `value ${i}`);
    const kept = Array.from({ length: 16 }, (_, i) => decode(decoder, block(i)));
    for (let i = 100; i < 1100; i++) decode(decoder, block(i));
    for (let i = 0; i < 16; i++) assert.equal(decode(decoder, block(i)), kept[i], `block ${i} outlives a thousand that came once`);
    decode(decoder, block(50));
    const late = decode(decoder, block(50));
    assert.equal(decode(decoder, block(50)), late);
    assert.notEqual(decode(decoder, block(0)), kept[0]);
    assert.equal(decode(decoder, block(1)), kept[1]);
  });

  test('long blocks, raw or decoded, are not kept', () => {
    const decoder = new HpackDecoder();
    const raw = literal('plain', 'x', 'v'.repeat(1100));
    assert.notEqual(decode(decoder, raw), decode(decoder, raw));
    decode(decoder, literal('insert', 'x', 'v'.repeat(2100)));
    const wide = Buffer.concat([indexed(62), indexed(62)]);
    assert.notEqual(decode(decoder, wide), decode(decoder, wide));
    assert.equal(decode(decoder, indexed(62)), decode(decoder, indexed(62)));
  });

  test('a block too long for the list limit says so each time', () => {
    const decoder = new HpackDecoder(4096, 100);
    for (let i = 0; i < 3; i++) assert.equal(decode(decoder, Buffer.concat([indexed(2), indexed(4), indexed(6)])).tooLarge, true);
  });
});

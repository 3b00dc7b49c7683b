// The HPACK encoder: what it inserts and when, what it never inserts, its size updates, its memo.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Writer } from '../../../../../src/core/bytes.js';
import { HpackDecoder } from '../../../../../src/stream/protocol/http2/hpack/decoder.js';
import { HpackEncoder } from '../../../../../src/stream/protocol/http2/hpack/encoder.js';
import type { FieldBlock } from '../../../../../src/stream/protocol/http2/hpack/field-block.js';
import { blockOf, decode, encode, fieldsOf, hex, indexed, literal, sizeUpdate, type Field } from './blocks.js';

/** An encoder and the decoder at the other end; every block is compared. */
class Pair {
  readonly encoder: HpackEncoder;
  readonly decoder = new HpackDecoder();

  constructor(shared = true) {
    this.encoder = new HpackEncoder(shared);
  }

  send(block: FieldBlock): Buffer {
    const bytes = encode(this.encoder, block);
    const got = decode(this.decoder, bytes);
    assert.deepEqual(fieldsOf(got), fieldsOf(block));
    return Buffer.from(bytes);
  }

  fields(...fields: Field[]): Buffer {
    return this.send(blockOf(fields));
  }
}

function concat(...parts: Buffer[]): Buffer {
  return Buffer.concat(parts);
}

describe('HPACK encoder: fields', () => {
  test('static fields are one byte, whatever the table', () => {
    const fields: Field[] = [
      [':method', 'GET'], [':method', 'POST'], [':path', '/'], [':path', '/index.html'], [':scheme', 'http'], [':scheme', 'https'], [':status', '200'],
      [':status', '500'], ['accept-encoding', 'gzip, deflate'], ['accept', ''], ['www-authenticate', ''], ['cookie', ''],
    ];
    const expected = hex('82 83 84 85 86 87 88 8e 90 93 bd a0');
    assert.deepEqual(new Pair().fields(...fields), expected);
    const stateless = new Pair();
    stateless.encoder.setPeerTable(0);
    assert.deepEqual(stateless.fields(...fields), concat(sizeUpdate(0), expected));
  });

  test('a field is a literal first, inserted when it comes again, then an index', () => {
    const pair = new Pair();
    assert.deepEqual(pair.fields(['user-agent', 'me']), literal('plain', 58, 'me'));
    assert.equal(pair.decoder.tableSize, 0);
    assert.deepEqual(pair.fields(['user-agent', 'me']), literal('insert', 58, 'me'));
    assert.deepEqual(pair.fields(['user-agent', 'me']), indexed(62));
    assert.deepEqual(pair.fields(['user-agent', 'you']), literal('plain', 58, 'you'));
    assert.deepEqual(pair.fields([':path', '/a'], [':path', '/a'], [':path', '/a'], ['user-agent', 'me']), concat(literal('plain', 4, '/a'), literal('insert', 4, '/a'), indexed(62), indexed(63)));
  });

  test('a name that no table has is inserted with the value it has when it comes again', () => {
    const pair = new Pair();
    assert.deepEqual(pair.fields(['x-id', '1']), literal('plain', 'x-id', '1'));
    assert.deepEqual(pair.fields(['x-id', '2']), literal('insert', 'x-id', '2'));
    for (let i = 3; i < 300; i++) assert.deepEqual(pair.fields(['x-id', String(i)]), literal('plain', 62, String(i)));
    assert.equal(pair.decoder.tableSize, 4 + 1 + 32, 'values that never come again do not fill the table');
  });

  test('names are compared byte by byte', () => {
    const pair = new Pair();
    for (let i = 0; i < 3; i++) pair.fields([':Method', 'GET'], [':method', 'GET'], ['User-Agent', 'me'], ['user-agent', 'me'], ['x-a', '1'], ['X-A', '1']);
    assert.deepEqual(pair.fields(['', ''], ['', 'x']), concat(literal('plain', '', ''), literal('insert', '', 'x')));
    pair.fields(['', ''], ['', 'x']);
  });

  test('never-indexed fields are written as such and never inserted', () => {
    for (const shared of [true, false]) {
      const pair = new Pair(shared);
      for (let i = 0; i < 5; i++) {
        const wire = pair.fields(['x-pin', '0000', true], ['authorization', 'secret', true], [':method', 'GET', true]);
        assert.deepEqual(wire, concat(literal('never', 'x-pin', '0000'), literal('never', 23, 'secret'), literal('never', 2, 'GET')));
      }
      assert.equal(pair.decoder.tableSize, 0);
      // A never-indexed field may still take its name from an entry that others made.
      for (let i = 0; i < 2; i++) pair.fields(['x-pin', 'public']);
      assert.deepEqual(pair.fields(['x-pin', '0000', true]), literal('never', 62, '0000'));
    }
  });

  test('secrets stay out of a shared table and may enter the table of one client', () => {
    const secrets: Field[] = [['authorization', 'Bearer abc'], ['cookie', 'a=b'], ['set-cookie', 'c=d'], ['proxy-authorization', 'Basic xyz']];
    const shared = new Pair(true);
    const plain = concat(literal('plain', 23, 'Bearer abc'), literal('plain', 32, 'a=b'), literal('plain', 55, 'c=d'), literal('plain', 49, 'Basic xyz'));
    for (let i = 0; i < 5; i++) assert.deepEqual(shared.fields(...secrets), plain);
    assert.equal(shared.decoder.tableSize, 0);
    const own = new Pair(false);
    for (let i = 0; i < 2; i++) own.fields(...secrets);
    assert.deepEqual(own.fields(...secrets), concat(indexed(65), indexed(64), indexed(63), indexed(62)));
  });

  test('values that pass are not inserted', () => {
    const pair = new Pair();
    for (let i = 0; i < 5; i++) pair.fields(['date', 'Mon, 21 Oct 2013 20:13:21 GMT'], ['content-length', '1234'], ['etag', '"a"'], ['location', '/x']);
    assert.equal(pair.decoder.tableSize, 0);
  });

  test('a field over a quarter of the table is not inserted', () => {
    const pair = new Pair();
    for (let i = 0; i < 5; i++) pair.fields(['x-large', 'v'.repeat(1024 - 32 - 6)]);
    assert.equal(pair.decoder.tableSize, 0);
    for (let i = 0; i < 5; i++) pair.fields(['x-large', 'v'.repeat(1024 - 32 - 7)]);
    assert.equal(pair.decoder.tableSize, 1024);
  });

  test('`field` goes on where `encode` or `begin` ended', () => {
    const pair = new Pair();
    const block = blockOf([[':method', 'GET'], ['x-a', '1']]);
    const names = Buffer.from('..x-trace..x-pin');
    for (let i = 0; i < 6; i++) {
      const value = Buffer.from(`-${i >> 1}-`);
      const w = new Writer(Buffer.alloc(pair.encoder.bound(block) + pair.encoder.fieldBound(7, 1) + pair.encoder.fieldBound(5, 1)));
      pair.encoder.encode(w, block);
      pair.encoder.field(w, names, 2, 9, value, 1, 2, false);
      pair.encoder.field(w, names, 11, 16, value, 1, 2, true);
      assert.deepEqual(fieldsOf(decode(pair.decoder, w.buf.subarray(0, w.pos))), [...fieldsOf(block), ['x-trace', String(i >> 1)], ['x-pin', String(i >> 1), true]]);
    }
    pair.encoder.setPeerTable(100);
    const w = new Writer(Buffer.alloc(pair.encoder.fieldBound(7, 1)));
    pair.encoder.begin(w);
    pair.encoder.field(w, names, 2, 9, Buffer.from('0'), 0, 1, false);
    assert.deepEqual(fieldsOf(decode(pair.decoder, w.buf.subarray(0, w.pos))), [['x-trace', '0']]);
  });
});

describe('HPACK encoder: table size', () => {
  test('nothing is said of the default, nor of more than we use', () => {
    const pair = new Pair();
    pair.encoder.setPeerTable(4096);
    assert.deepEqual(pair.fields([':method', 'GET']), indexed(2));
    pair.encoder.setPeerTable(65536);
    assert.deepEqual(pair.fields([':method', 'GET']), indexed(2));
    pair.encoder.setPeerTable(0xffffffff);
    assert.deepEqual(pair.fields([':method', 'GET']), indexed(2));
  });

  test('a lower size is said once, before the next block; the lowest first where it rose again', () => {
    const pair = new Pair();
    pair.encoder.setPeerTable(1000);
    assert.deepEqual(pair.fields([':method', 'GET']), concat(sizeUpdate(1000), indexed(2)));
    assert.deepEqual(pair.fields([':method', 'GET']), indexed(2));
    for (const size of [900, 100, 200, 150]) pair.encoder.setPeerTable(size);
    assert.deepEqual(pair.fields([':method', 'GET']), concat(sizeUpdate(100), sizeUpdate(150), indexed(2)));
    pair.encoder.setPeerTable(5000);
    assert.deepEqual(pair.fields([':method', 'GET']), concat(sizeUpdate(4096), indexed(2)));
    pair.encoder.setPeerTable(0);
    pair.encoder.setPeerTable(4096);
    assert.deepEqual(pair.fields([':method', 'GET']), concat(sizeUpdate(0), sizeUpdate(4096), indexed(2)));
  });

  test('entries that fit the lower size stay; where they do not fit the table begins anew', () => {
    const pair = new Pair();
    for (let i = 0; i < 2; i++) pair.fields(['x-a', '1'], ['x-b', '2']);
    pair.encoder.setPeerTable(72);
    assert.deepEqual(pair.fields(['x-a', '1'], ['x-b', '2']), concat(sizeUpdate(72), indexed(63), indexed(62)));
    pair.encoder.setPeerTable(71);
    assert.deepEqual(pair.fields(['x-a', '1'], ['x-b', '2']), concat(sizeUpdate(0), sizeUpdate(71), literal('insert', 'x-a', '1'), literal('plain', 'x-b', '2')));
    assert.equal(pair.decoder.tableSize, 36);
  });

  test('without a table the encoder has no state', () => {
    const pair = new Pair();
    for (let i = 0; i < 2; i++) pair.fields(['x-a', '1']);
    pair.encoder.setPeerTable(0);
    assert.deepEqual(pair.fields(['x-a', '1']), concat(sizeUpdate(0), literal('plain', 'x-a', '1')));
    for (let i = 0; i < 5; i++) assert.deepEqual(pair.fields(['x-a', '1']), literal('plain', 'x-a', '1'));
  });

  test('a full table evicts nothing and begins anew after 1,024 fields that found no room', () => {
    const pair = new Pair();
    const entry = (i: number): Field => [`x-${i}`, 'v'.repeat(200)];
    for (let i = 0; i < 20; i++) for (let k = 0; k < 2; k++) pair.fields(entry(i));
    const full = pair.decoder.tableSize;
    assert.ok(full > 4096 - 240 && full <= 4096, `${full}`);
    for (let i = 0; i < 16; i++) assert.equal(pair.fields(entry(i)).length, 1, `entry ${i}`);
    let blocks = 0;
    while (pair.decoder.tableSize === full && blocks < 3000) {
      pair.fields(entry(100 + (blocks % 10)));
      blocks++;
    }
    // Ten different fields are seen a first time each; the first block after the last miss carries the updates.
    assert.ok(blocks > 1024 - 40 && blocks < 1024 + 40, `${blocks} blocks`);
    const again = pair.fields(entry(100));
    assert.ok(again.length < 240);
    pair.fields(entry(100));
    assert.equal(pair.fields(entry(100)).length, 1);
  });

  test('the block after the last miss begins with size 0 and the size', () => {
    const pair = new Pair();
    for (let i = 0; i < 20; i++) for (let k = 0; k < 2; k++) pair.fields([`x-${i}`, 'v'.repeat(200)]);
    const head = concat(sizeUpdate(0), sizeUpdate(4096));
    let found = 0;
    for (let i = 0; i < 1100; i++) if (pair.fields(['x-99', 'w'.repeat(200)]).subarray(0, head.length).equals(head)) found++;
    assert.equal(found, 1);
  });
});

describe('HPACK encoder: memo', () => {
  test('a block that comes again is the same bytes while the table is the same', () => {
    const pair = new Pair();
    const block = blockOf([[':method', 'GET'], ['x-a', '1'], ['cookie', 'a=b'], ['x-pin', '1', true]]);
    const wires = Array.from({ length: 8 }, () => pair.send(block).toString('hex'));
    assert.equal(new Set(wires.slice(2)).size, 1);
    for (let i = 0; i < 2; i++) pair.fields(['x-b', '2']);
    const after = pair.send(block).toString('hex');
    assert.notEqual(after, wires[7], 'its entry has another index now');
    for (let i = 0; i < 5; i++) assert.equal(pair.send(block).toString('hex'), after);
  });

  test('a block is written for each connection by that connection\'s table', () => {
    const a = new Pair();
    const b = new Pair();
    for (let i = 0; i < 2; i++) b.fields(['x-other', '1']);
    const block = blockOf([['x-a', '1'], ['x-b', '2']]);
    for (let i = 0; i < 6; i++) {
      a.send(block);
      if (i % 2 === 0) b.send(block);
    }
    for (let i = 0; i < 2; i++) b.fields(['x-more', '1']);
    for (let i = 0; i < 6; i++) {
      a.send(block);
      b.send(block);
    }
  });

  test('size updates stand before memorised bytes, and end them where the table begins anew', () => {
    const pair = new Pair();
    const block = blockOf([['x-a', '1']]);
    for (let i = 0; i < 6; i++) pair.send(block);
    pair.encoder.setPeerTable(2000);
    assert.deepEqual(pair.send(block), concat(sizeUpdate(2000), indexed(62)));
    assert.deepEqual(pair.send(block), indexed(62));
    pair.encoder.setPeerTable(10);
    assert.deepEqual(pair.send(block), concat(sizeUpdate(0), sizeUpdate(10), literal('plain', 'x-a', '1')));
    for (let i = 0; i < 5; i++) assert.deepEqual(pair.send(block), literal('plain', 'x-a', '1'));
    pair.encoder.setPeerTable(4096);
    for (let i = 0; i < 5; i++) pair.send(block);
    assert.deepEqual(pair.send(block), indexed(62));
  });

  test('more blocks than the memo holds, empty and long ones among them', () => {
    const pair = new Pair();
    const blocks = Array.from({ length: 200 }, (_, i) => blockOf(i % 7 === 0 ? [] : [[':path', `/${i}`], ['x-pad', 'p'.repeat(i % 5 === 0 ? 40_000 : i), true]]));
    for (let round = 0; round < 4; round++) for (const block of blocks) pair.send(block);
  });
});

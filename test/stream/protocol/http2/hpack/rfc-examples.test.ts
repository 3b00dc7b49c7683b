// Every example of RFC 7541 appendix C, with the table sizes it gives.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { HpackDecoder } from '../../../../../src/stream/protocol/http2/hpack/decoder.js';
import { HpackEncoder } from '../../../../../src/stream/protocol/http2/hpack/encoder.js';
import { blockOf, decode, encode, fieldsOf, hex, indexed, integer, sizeUpdate, type Field } from './blocks.js';

interface Example {
  readonly block: string;
  readonly fields: readonly Field[];
  /** The dynamic table afterwards, newest first, and its size. */
  readonly table: readonly Field[];
  readonly size: number;
}

const authority: Field = [':authority', 'www.example.com'];
const noCache: Field = ['cache-control', 'no-cache'];
const custom: Field = ['custom-key', 'custom-value'];
const requestLists: readonly Omit<Example, 'block'>[] = [
  { fields: [[':method', 'GET'], [':scheme', 'http'], [':path', '/'], authority], table: [authority], size: 57 },
  { fields: [[':method', 'GET'], [':scheme', 'http'], [':path', '/'], authority, noCache], table: [noCache, authority], size: 110 },
  { fields: [[':method', 'GET'], [':scheme', 'https'], [':path', '/index.html'], authority, custom], table: [custom, noCache, authority], size: 164 },
];

const redirect: Field = [':status', '302'];
const temporary: Field = [':status', '307'];
const cache: Field = ['cache-control', 'private'];
const date: Field = ['date', 'Mon, 21 Oct 2013 20:13:21 GMT'];
const later: Field = ['date', 'Mon, 21 Oct 2013 20:13:22 GMT'];
const location: Field = ['location', 'https://www.example.com'];
const encoding: Field = ['content-encoding', 'gzip'];
const cookie: Field = ['set-cookie', 'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1'];
const responseLists: readonly Omit<Example, 'block'>[] = [
  { fields: [redirect, cache, date, location], table: [location, date, cache, redirect], size: 222 },
  { fields: [temporary, cache, date, location], table: [temporary, location, date, cache], size: 222 },
  { fields: [[':status', '200'], cache, later, location, encoding, cookie], table: [cookie, encoding, later], size: 215 },
];

function examples(lists: readonly Omit<Example, 'block'>[], blocks: readonly string[]): Example[] {
  return lists.map((list, i) => ({ ...list, block: blocks[i]! }));
}

function check(decoder: HpackDecoder, example: Example): void {
  const block = decode(decoder, hex(example.block));
  assert.deepEqual(fieldsOf(block), example.fields);
  assert.equal(block.size, example.fields.reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0));
  assert.equal(decoder.tableSize, example.size);
  const entries = Buffer.concat(example.table.map((_, i) => indexed(62 + i)));
  assert.deepEqual(fieldsOf(decode(decoder, entries)), example.table);
  const beyond = indexed(62 + example.table.length);
  assert.equal(decoder.decode(beyond, 0, beyond.length), null);
}

describe('RFC 7541 appendix C', () => {
  test('C.1 integers', () => {
    assert.deepEqual([integer(0, 5, 10), integer(0, 5, 1337), integer(0, 8, 42)], [[0x0a], [0x1f, 0x9a, 0x0a], [0x2a]], 'what the tests write');
    const encoder = new HpackEncoder(true);
    encoder.setPeerTable(10);
    assert.equal(encode(encoder, blockOf([])).toString('hex'), '2a');
    encoder.setPeerTable(1337);
    assert.equal(encode(encoder, blockOf([])).toString('hex'), '3f9a0a');
    const decoder = new HpackDecoder(1337);
    decoder.acknowledged();
    assert.equal(decoder.decode(hex('3f9b0a'), 0, 3), null);
    assert.match(decoder.error, /1338, over 1337/);
    decode(decoder, hex('3f9a0a'));
  });

  test('C.2 one field in each form', () => {
    check(new HpackDecoder(), {
      block: '400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572', fields: [['custom-key', 'custom-header']],
      table: [['custom-key', 'custom-header']], size: 55,
    });
    check(new HpackDecoder(), { block: '040c 2f73 616d 706c 652f 7061 7468', fields: [[':path', '/sample/path']], table: [], size: 0 });
    check(new HpackDecoder(), { block: '1008 7061 7373 776f 7264 0673 6563 7265 74', fields: [['password', 'secret', true]], table: [], size: 0 });
    check(new HpackDecoder(), { block: '82', fields: [[':method', 'GET']], table: [], size: 0 });
  });

  test('C.3 requests without Huffman code', () => {
    const decoder = new HpackDecoder();
    for (const example of examples(requestLists, [
      '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
      '8286 84be 5808 6e6f 2d63 6163 6865',
      '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
    ])) check(decoder, example);
  });

  test('C.4 requests with Huffman code', () => {
    const decoder = new HpackDecoder();
    for (const example of examples(requestLists, [
      '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
      '8286 84be 5886 a8eb 1064 9cbf',
      '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
    ])) check(decoder, example);
  });

  test('C.5 responses without Huffman code, in a table of 256 bytes', () => {
    const decoder = new HpackDecoder(256);
    decoder.acknowledged();
    assert.equal(decode(decoder, sizeUpdate(256)).count, 0);
    for (const example of examples(responseLists, [
      `4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77
       7777 2e65 7861 6d70 6c65 2e63 6f6d`,
      '4803 3330 37c1 c0bf',
      `88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a
       584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31`,
    ])) check(decoder, example);
  });

  test('C.6 responses with Huffman code, in a table of 256 bytes', () => {
    const decoder = new HpackDecoder(256);
    decoder.acknowledged();
    assert.equal(decode(decoder, sizeUpdate(256)).count, 0);
    for (const example of examples(responseLists, [
      '4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3',
      '4883 640e ffc1 c0bf',
      `88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36
       72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07`,
    ])) check(decoder, example);
  });
});

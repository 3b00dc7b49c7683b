// The Huffman code: complete, every byte there and back, and what the RFC calls an error.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { HUFFMAN_BITS, HUFFMAN_CODE, huffmanDecode, huffmanRoom } from '../../../../../src/stream/protocol/http2/hpack/huffman.js';
import { generator } from '../../../../support/fuzz.js';
import { hex, huffman } from './blocks.js';

/** The decoded bytes, or null; nothing is written outside of the room asked for. */
function decode(bytes: Uint8Array): Buffer | null {
  const room = huffmanRoom(bytes.length);
  const out = Buffer.alloc(room + 8, 0xa5);
  const around = Buffer.concat([Buffer.from([0x55]), bytes, Buffer.from([0x55])]);
  const end = huffmanDecode(around, 1, 1 + bytes.length, out, 4);
  assert.ok(end <= 4 + room);
  assert.ok(out.subarray(0, 4).every((byte) => byte === 0xa5) && out.subarray(4 + room).every((byte) => byte === 0xa5));
  return end < 0 ? null : out.subarray(4, end);
}

describe('Huffman code', () => {
  test('is complete: the Kraft sum is 1, no code begins another', () => {
    assert.equal(HUFFMAN_BITS.length, 257);
    assert.equal(HUFFMAN_BITS.reduce((sum, bits) => sum + 2 ** (30 - bits), 0), 2 ** 30);
    const codes = Array.from(HUFFMAN_BITS, (bits, symbol) => HUFFMAN_CODE[symbol]!.toString(2).padStart(bits, '0')).sort();
    for (let i = 1; i < codes.length; i++) assert.ok(!codes[i]!.startsWith(codes[i - 1]!), `${codes[i - 1]} begins ${codes[i]}`);
  });

  test('codes that appendix B gives, of each length', () => {
    const given: readonly (readonly [symbol: number, bits: number, code: number])[] = [
      [0, 13, 0x1ff8], [1, 23, 0x7fffd8], [2, 28, 0xfffffe2], [9, 24, 0xffffea], [10, 30, 0x3ffffffc], [32, 6, 0x14], [33, 10, 0x3f8], [35, 12, 0xffa],
      [38, 8, 0xf8], [39, 11, 0x7fa], [48, 5, 0], [58, 7, 0x5c], [60, 15, 0x7ffc], [92, 19, 0x7fff0], [94, 14, 0x3ffc], [97, 5, 3], [122, 7, 0x7b],
      [128, 20, 0xfffe6], [129, 22, 0x3fffd2], [153, 21, 0x1fffdc], [192, 26, 0x3ffffe0], [199, 25, 0x1ffffec], [203, 27, 0x7ffffde], [249, 28, 0xffffffe],
      [255, 26, 0x3ffffee], [256, 30, 0x3fffffff],
    ];
    for (const [symbol, bits, code] of given) assert.deepEqual([symbol, HUFFMAN_BITS[symbol], HUFFMAN_CODE[symbol]], [symbol, bits, code]);
  });

  test('every byte alone, every pair, and long runs come back', () => {
    const all = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    for (let a = 0; a < 256; a++) {
      assert.deepEqual(decode(huffman(Buffer.from([a]))), Buffer.from([a]));
      assert.deepEqual(decode(huffman(Buffer.concat([Buffer.from([a]), all, Buffer.from([a, a, a])]))), Buffer.concat([Buffer.from([a]), all, Buffer.from([a, a, a])]));
      for (let b = 0; b < 256; b++) assert.deepEqual(decode(huffman(Buffer.from([a, b]))), Buffer.from([a, b]));
    }
    const random = generator(7541);
    for (let round = 0; round < 500; round++) {
      const text = Buffer.from(Array.from({ length: random(200) }, () => (random(4) === 0 ? random(256) : 32 + random(95))));
      assert.deepEqual(decode(huffman(text)), text);
    }
    assert.deepEqual(decode(Buffer.alloc(0)), Buffer.alloc(0));
    assert.deepEqual(decode(huffman(Buffer.alloc(1000, '0'))), Buffer.alloc(1000, '0'), 'the shortest codes fill the room');
  });

  test('padding over seven bits is an error', () => {
    for (const text of ['', 'a', '/', 'www.example.com', '\x00']) {
      assert.equal(decode(Buffer.concat([huffman(Buffer.from(text)), Buffer.from([0xff])])), null, JSON.stringify(text));
      assert.equal(decode(Buffer.concat([huffman(Buffer.from(text)), Buffer.from([0xff, 0xff])])), null, JSON.stringify(text));
    }
  });

  test('padding that is not all ones is an error', () => {
    // "a" is 00011, three bits of padding.
    assert.deepEqual(decode(hex('1f')), Buffer.from('a'));
    for (const byte of ['18', '19', '1a', '1b', '1c', '1d', '1e']) assert.equal(decode(hex(byte)), null, byte);
  });

  test('the end-of-string symbol is an error wherever it stands', () => {
    assert.equal(decode(hex('ffffffff')), null);
    assert.equal(decode(hex('fffffffc')), null);
    assert.equal(decode(hex('1fffffffff')), null);
    assert.equal(decode(hex('fffffffc' + '1f')), null);
  });

  test('a code that the end cuts is an error', () => {
    const whole = huffman(Buffer.from([1]));
    assert.equal(whole.length, 3);
    assert.equal(decode(whole.subarray(0, 2)), null);
    assert.equal(decode(huffman(Buffer.from([10])).subarray(0, 3)), null);
  });
});

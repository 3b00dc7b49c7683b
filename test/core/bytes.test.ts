// Byte blocks: numbers and texts as they lie in memory, growth, and comparisons and hashes over ranges.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BlockOutput, equalAt, hashBytes, hashFolded, latin1, utf8, Writer } from '../../src/core/bytes.js';
import { randomInt, setRandom } from '../../src/core/random.js';

const b = (text: string): Buffer => Buffer.from(text, 'latin1');

test('numbers are written big-endian, at pos, which moves on', () => {
  const w = new Writer(Buffer.alloc(16, 0xee));
  w.u8(0x101);
  w.u16(0x1234);
  w.u32(0x89abcdef);
  assert.equal(Buffer.from(w.buf.subarray(0, w.pos)).toString('hex'), '01123489abcdef');
  assert.equal(w.pos, 7);
  assert.equal(w.buf[7], 0xee);
});

test('decimal writes what String does, up to 2^53', () => {
  const w = new Writer(Buffer.alloc(64));
  const values = [0, 1, 9, 10, 11, 99, 100, 101, 999, 1000, 4_294_967_295, 4_294_967_296, 99_999_999_999, Number.MAX_SAFE_INTEGER];
  for (let p = 1; p <= 15; p++) values.push(10 ** p - 1, 10 ** p, 10 ** p + 1);
  for (const value of values) {
    w.pos = 3;
    w.decimal(value);
    assert.equal(latin1(w.buf, 3, w.pos), String(value));
  }
});

test('bytes and texts of every length are copied exactly', () => {
  const source = Buffer.from(Array.from({ length: 300 }, (_, i) => i & 255));
  for (const n of [0, 1, 47, 48, 49, 200, 300]) {
    const w = new Writer(Buffer.alloc(400, 0xee));
    w.pos = 5;
    w.bytes(source, 300 - n, 300);
    assert.equal(w.pos, 5 + n);
    assert.deepEqual(Buffer.from(w.buf.subarray(5, 5 + n)), source.subarray(300 - n));
    assert.equal(w.buf[4], 0xee);
    assert.equal(w.buf[5 + n], 0xee);
  }
  const w = new Writer(Buffer.alloc(8));
  w.latin1('aé\u00ff');
  assert.equal(Buffer.from(w.buf.subarray(0, w.pos)).toString('hex'), '61e9ff');
});

test('a block output grows, keeps what was written, and marks where a reservation began', () => {
  const undo = setRandom(9);
  const out = new BlockOutput(4);
  let wanted = '';
  for (let i = 0; i < 500; i++) {
    const text = 'x'.repeat(randomInt(200)) + i;
    const how = randomInt(3);
    if (how === 0) {
      const w = out.out(text.length);
      assert.equal(w.mark, wanted.length);
      assert.equal(w.pos, wanted.length);
      w.latin1(text);
    } else if (how === 1) out.write(b(`--${text}--`), 2, 2 + text.length);
    else out.give(b(text), 0, text.length);
    wanted += text;
  }
  undo();
  const taken = out.take();
  assert.equal(taken.toString('latin1'), wanted);
  out.write(b('again'), 0, 5);
  assert.equal(taken.toString('latin1'), wanted, 'what was taken is a copy');
  assert.equal(out.take().toString(), 'again');
  assert.equal(out.take().length, 0);
});

test('ranges become texts', () => {
  const bytes = Buffer.from('aéß€b', 'utf8');
  assert.equal(utf8(bytes, 1, bytes.length - 1), 'éß€');
  assert.equal(latin1(bytes, 1, 3), '\u00c3\u00a9');
});

test('equalAt compares at an offset, hashFolded ignores the case of letters, hashBytes does not', () => {
  assert.equal(equalAt(b('xxHost'), 2, b('Host')), true);
  assert.equal(equalAt(b('xxHost'), 2, b('host')), false);
  assert.equal(equalAt(b('xxHost'), 1, b('Host')), false);
  const host = b('--Content-Type--');
  assert.equal(hashFolded(host, 2, 14), hashFolded(b('content-TYPE'), 0, 12));
  assert.notEqual(hashFolded(host, 2, 14), hashFolded(b('content-typf'), 0, 12));
  assert.notEqual(hashBytes(host, 2, 14), hashBytes(b('content-type'), 0, 12));
  // FNV-1a of "a" by the published constants.
  assert.equal(hashBytes(b('a'), 0, 1) >>> 0, 0xe40c292c);
});

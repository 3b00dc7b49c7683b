// Texts in units: what Java and others write, cut off anywhere, and bytes that are none.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readUnits, units } from '../../../src/stream/java/units.js';

/** Each unit by itself, as Java writes it. */
const javas = (text: string): Buffer => Buffer.concat(Array.from({ length: text.length }, (_, i) => {
  const c = text.charCodeAt(i);
  return c < 0x80 ? Buffer.from([c]) : c < 0x800 ? Buffer.from([0xc0 | (c >> 6), 0x80 | (c & 63)]) : Buffer.from([0xe0 | (c >> 12), 0x80 | ((c >> 6) & 63), 0x80 | (c & 63)]);
}));

test('texts of Java and of others', () => {
  for (const text of ['', 'abc', 'é', 'aé\u{1f600}b', '\u{1f600}'.repeat(3000), '\0\u07ff\u0800\uffff', `${'x'.repeat(60_000)}é`]) {
    for (const bytes of [javas(text), Buffer.from(text)]) {
      const buf = Buffer.concat([Buffer.from('##'), bytes, Buffer.from('##')]);
      assert.equal(readUnits(buf, 2, buf.length, text.length), text);
      assert.equal(units.end, 2 + bytes.length);
      for (const cut of bytes.length < 100 ? bytes.keys() : [0, bytes.length - 1]) assert.equal(readUnits(buf, 2, 2 + cut, text.length), undefined, `${text.slice(0, 10)} cut at ${cut}`);
    }
  }
  assert.equal(readUnits(javas('\ud800'), 0, 3, 1), '\ud800', 'half a pair');
});

test('bytes that are none', () => {
  for (const bytes of [[0x80], [0xbf, 0x80], [0xff, 0xff, 0xff, 0xff], [0xf0, 0x80, 0x80, 0x80]]) assert.equal(readUnits(Buffer.from(bytes), 0, bytes.length, 2), undefined);
  assert.equal(readUnits(Buffer.from('\u{1f600}'), 0, 4, 1), undefined, 'two units where one was said');
  assert.equal(readUnits(Buffer.alloc(10), 0, 10, 65_535), undefined);
});

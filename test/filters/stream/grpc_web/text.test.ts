// The base64 of gRPC-Web's text form: pieces padded each for itself, at every length, and what is none.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { decodeText, encodeText } from '../../../../src/filters/stream/grpc_web/text.js';

const bytes = (n: number): Buffer => Buffer.from(Array.from({ length: n }, (_, i) => (i * 73 + 251) & 255));

describe('base64 in pieces', () => {
  test('every length comes back, whole and cut at every byte into two padded pieces', () => {
    for (let n = 0; n < 20; n++) {
      const all = bytes(n);
      assert.equal(encodeText(all, 0, n).toString(), all.toString('base64'));
      for (let cut = 0; cut <= n; cut++) {
        const text = Buffer.concat([encodeText(all, 0, cut), encodeText(all, cut, n)]);
        assert.deepEqual(decodeText(text), all, `${n} bytes cut at ${cut}`);
      }
      assert.deepEqual(decodeText(Buffer.from(all.toString('base64url'))), all, 'the other alphabet, not padded');
    }
  });

  test('a part of a larger buffer is encoded, not the rest of it', () => {
    const all = bytes(64);
    assert.equal(encodeText(all.subarray(10), 3, 9).toString(), all.subarray(13, 19).toString('base64'));
  });

  test('line ends are passed over', () => {
    assert.equal(decodeText(Buffer.from('aGVs\r\nbG8=\r\n'))!.toString(), 'hello');
  });

  for (const text of ['a', 'abcde', 'ab=', 'ab=c', '====', '=', 'a=', 'abc!', 'ab c', 'ab==\0', 'é', 'abc=d']) {
    test(`${JSON.stringify(text)} is refused`, () => {
      assert.equal(decodeText(Buffer.from(text)), null);
    });
  }

  test('noise is decoded or refused, never more than it can hold', () => {
    let seed = 20_261_122;
    const next = (): number => (seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff) >>> 8;
    const alphabet = 'ABab09+/-_==\n!';
    for (let round = 0; round < 20_000; round++) {
      const text = Buffer.from(Array.from({ length: next() % 24 }, () => alphabet.charCodeAt(next() % alphabet.length)));
      const decoded = decodeText(text);
      if (decoded !== null) assert.ok(decoded.length <= Math.ceil((text.length * 3) / 4), `seed 20261122, ${JSON.stringify(text.toString())}`);
    }
  });
});

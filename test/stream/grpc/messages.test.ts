// Messages out of content in pieces: at every split, many at once, byte by byte, over the limit, compressed.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { framed, MessageReader } from '../../../src/stream/grpc/messages.js';

const texts = ['', 'a', 'hello', 'x'.repeat(300), '', 'end'];
const content = Buffer.concat(texts.map((text) => framed(Buffer.from(text))));

function read(reader: MessageReader, pieces: readonly Buffer[]): string[] {
  const got: string[] = [];
  for (const piece of pieces) {
    // Not at 0, and with something behind: a reader that ignores its bounds must fail.
    const around = Buffer.concat([Buffer.from('??'), piece, Buffer.from('??')]);
    reader.feed(around, 2, 2 + piece.length, (message) => got.push(Buffer.from(message).toString()));
  }
  return got;
}

describe('a reader of messages', () => {
  test('finds them at every split', () => {
    for (let cut = 0; cut <= content.length; cut++) {
      const reader = new MessageReader(1000);
      assert.deepEqual(read(reader, [content.subarray(0, cut), content.subarray(cut)]), texts, `cut at ${cut}`);
      assert.equal(reader.complete, true);
    }
  });

  test('finds them byte by byte, and says where it is', () => {
    const reader = new MessageReader(1000);
    assert.deepEqual(read(reader, [...content].map((byte) => Buffer.from([byte]))), texts);
    read(reader, [Buffer.from([0])]);
    assert.equal(reader.complete, false);
  });

  test('a message over the limit, or a compressed one, ends it, whole or in pieces', () => {
    for (const [bad, problem] of [[framed(Buffer.alloc(11)), 'too-large'], [Buffer.from([1, 0, 0, 0, 0]), 'compressed'], [Buffer.from([0, 255, 255, 255, 255]), 'too-large']] as const) {
      const all = Buffer.concat([framed(Buffer.from('ok')), bad, framed(Buffer.from('not seen'))]);
      for (let cut = 0; cut <= all.length; cut++) {
        const reader = new MessageReader(10);
        assert.deepEqual(read(reader, [all.subarray(0, cut), all.subarray(cut)]), ['ok']);
        assert.equal(reader.problem, problem);
      }
    }
  });
});

// Replies leave in the order of their requests whatever order they are made in: against a model, with a fixed budget and a printed seed.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BlockOutput } from '../../src/core/bytes.js';
import { OrderedReplies } from '../../src/stream/ordered-replies.js';
import { fuzzSeed, generator } from '../support/fuzz.js';

const seed = fuzzSeed(20240613);

const put = (order: OrderedReplies, out: BlockOutput, id: number, text: string): void => {
  const bytes = Buffer.from(text);
  order.at(out, id).write(bytes, 0, bytes.length);
};

test('what is due is written at once, what is early waits and counts', () => {
  const order = new OrderedReplies();
  const out = new BlockOutput();
  const [one, two, three] = [order.expect(), order.expect(), order.expect()];
  put(order, out, three, 'three');
  order.done(out, three);
  put(order, out, two, 'tw');
  assert.deepEqual([out.take().toString(), order.held, order.outstanding], ['', 7, 3]);
  put(order, out, one, 'on');
  assert.equal(out.take().toString(), 'on');
  put(order, out, one, 'e');
  order.done(out, one);
  assert.deepEqual([out.take().toString(), order.held, order.outstanding], ['etw', 5, 2]);
  put(order, out, two, 'o');
  order.done(out, two);
  assert.deepEqual([out.take().toString(), order.held, order.outstanding], ['othree', 0, 0]);
});

test('a reply that cannot be made breaks the connection in its turn, and nothing follows it', () => {
  const order = new OrderedReplies();
  const out = new BlockOutput();
  const [one, two, three] = [order.expect(), order.expect(), order.expect()];
  order.impossible(out, two);
  put(order, out, three, 'three');
  order.done(out, three);
  assert.equal(order.broken, false);
  put(order, out, one, 'one');
  order.done(out, one);
  assert.equal(order.broken, true);
  assert.equal(out.take().toString(), 'one');
});

test('any order of pieces gives the replies in order, and nothing is held in the end', () => {
  const random = generator(seed);
  for (let round = 0; round < 400; round++) {
    const order = new OrderedReplies();
    const out = new BlockOutput();
    const open: { id: number; text: string; left: number }[] = [];
    const texts: string[] = [];
    let written = '';
    for (let asked = 0, n = 1 + random(20); asked < n || open.length > 0; ) {
      if (asked < n && (open.length === 0 || random(3) === 0)) {
        asked++;
        open.push({ id: order.expect(), text: '', left: random(5) });
        continue;
      }
      const i = random(open.length);
      const reply = open[i]!;
      const piece = 'x'.repeat(random(round % 10 === 0 ? 6000 : 6)) + String(reply.id);
      put(order, out, reply.id, piece);
      reply.text += piece;
      if (reply.left-- === 0) {
        order.done(out, reply.id);
        texts[reply.id - 1] = reply.text;
        open.splice(i, 1);
      }
      written += out.take().toString();
      const all = texts.reduce((sum, text) => sum + (text?.length ?? 0), 0) + open.reduce((sum, one) => sum + one.text.length, 0);
      assert.equal(order.held, all - written.length, 'what was not written is held');
    }
    assert.equal(written, texts.join(''));
    assert.deepEqual([order.held, order.outstanding, order.broken], [0, 0, false]);
  }
});

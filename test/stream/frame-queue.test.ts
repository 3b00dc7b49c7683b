// Long frames and what waits behind them: their order on the wire, tails, frames that are given up, and how much may wait.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BlockOutput, type Output } from '../../src/core/bytes.js';
import { FrameQueue, MAX_HELD, type FrameTail, type QueuedFrame } from '../../src/stream/frame-queue.js';

const put = (out: Output, text: string): void => out.write(Buffer.from(text), 0, text.length);

/** A queue with the wire behind it; frames are texts. */
class Lane {
  readonly queue = new FrameQueue();
  private readonly out = new BlockOutput();

  whole(text: string): void {
    put(this.queue.behind(this.out), text);
  }
  begin(id: number, head: string, length: number): QueuedFrame {
    const frame = this.queue.begin(id, length);
    put(frame.block ?? this.out, head);
    return frame;
  }
  data(id: number, text: string, last = false): boolean {
    return this.queue.data(this.out, id, Buffer.from(text), 0, text.length, last);
  }
  get wire(): string {
    return (this.out.writer.buf as Buffer).latin1Slice(0, this.out.writer.pos);
  }
}

/** Counts the bytes of its frame. */
class Counting implements FrameTail {
  private bytes = 0;
  add(_buf: Uint8Array, start: number, end: number): void {
    this.bytes += end - start;
  }
  writeTo(out: Output): void {
    put(out, `#${this.bytes}`);
  }
}

describe('a queue of frames', () => {
  test('nothing gets between the pieces of a long frame, and what waited keeps its order', () => {
    const l = new Lane();
    l.whole('a ');
    l.begin(1, '<', 4);
    assert.equal(l.data(1, 'on'), false);
    l.whole('b ');
    l.whole('c ');
    l.begin(2, '[', 4);
    l.whole('d ');
    l.data(2, 'tw');
    assert.equal(l.queue.held, 'b c '.length + '[tw'.length + 'd '.length);
    assert.equal(l.wire, 'a <on');
    assert.equal(l.data(1, 'e>', true), true);
    assert.equal(l.wire, 'a <one>b c [tw', 'the second one is open now, with what is there of it');
    l.whole('e ');
    assert.equal(l.data(2, 'o]', true), true);
    assert.equal(l.wire, 'a <one>b c [two]d e ');
    assert.equal(l.queue.held, 0);
    l.whole('f');
    assert.equal(l.wire, 'a <one>b c [two]d e f');
  });

  test('one that waits may be complete before it is written', () => {
    const l = new Lane();
    l.begin(1, '<', 1);
    l.begin(2, '[', 1);
    assert.equal(l.data(2, ']', true), true);
    l.begin(3, '(', 1);
    l.data(1, '>', true);
    assert.equal(l.wire, '<>[](');
    l.data(3, ')', true);
    assert.equal(l.wire, '<>[]()');
  });

  test('a tail sees the content and is written behind it, on the wire and in what waits', () => {
    const l = new Lane();
    l.begin(1, '<', 3).tail = new Counting();
    l.begin(2, '[', 2).tail = new Counting();
    l.begin(3, '(', 0).tail = new Counting();
    l.data(2, 'x');
    l.data(2, ']', true);
    l.data(3, '', true);
    l.data(1, 'ab');
    l.data(1, '>', true);
    assert.equal(l.wire, '<ab>#3[x]#2(#0');
  });

  test('content that is not of the length the head told is a mistake of the caller', () => {
    const l = new Lane();
    l.begin(1, '<', 3);
    assert.throws(() => l.data(1, 'abcd'), RangeError);
    assert.throws(() => l.data(1, 'ab', true), RangeError);
    assert.equal(l.data(7, 'of no frame', true), false);
    assert.equal(l.wire, '<');
  });

  test('a frame that waits can be given up, one that began to be written breaks the connection', () => {
    const l = new Lane();
    l.begin(1, '<', 1);
    const second = l.begin(2, '[', 1);
    l.whole('b');
    assert.equal(l.queue.drop(2), second);
    assert.equal(second.block!.writer.pos, 1, 'its head can be read still');
    assert.equal(l.queue.drop(2), null);
    assert.equal(l.queue.broken, false);
    l.data(2, ']', true);
    l.data(1, '>', true);
    assert.equal(l.wire, '<>b');
    l.begin(3, '(', 1);
    assert.equal(l.queue.drop(3), null);
    assert.equal(l.queue.broken, true);
  });

  test('what waits behind a frame that does not end is bounded', () => {
    const l = new Lane();
    const mib = 'x'.repeat(1024 * 1024);
    l.begin(1, '<', 1);
    l.begin(2, '[', 2 * MAX_HELD);
    for (let held = 0; held < MAX_HELD; held += mib.length) {
      assert.equal(l.queue.broken, false);
      l.data(2, mib);
    }
    assert.equal(l.queue.broken, true);
  });
});

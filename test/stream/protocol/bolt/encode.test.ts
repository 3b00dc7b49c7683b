// Encoding: one reservation and one copy per frame, long frames in pieces with nothing between them, second tries.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BlockOutput, MAX_RESERVE, type Writer } from '../../../../src/core/bytes.js';
import { headerName } from '../../../../src/stream/head.js';
import { BoltCodec } from '../../../../src/stream/protocol/bolt/codec.js';
import type { BoltHead } from '../../../../src/stream/protocol/bolt/head.js';
import { FakeHead } from '../../../support/fake-head.js';
import { checked, pattern, replyFrame, requestFrame } from './frames.js';
import { decodeAll } from './recorder.js';

/** Counts reservations and refuses those no output has to serve. */
class Counting extends BlockOutput {
  reservations = 0;

  override out(n: number): Writer {
    this.reservations++;
    return super.out(n);
  }
}

const headOf = (frame: Buffer): BoltHead => decodeAll(frame).heads[0]!;

describe('whole frames', () => {
  for (const [name, parts] of [['v1', {}], ['v2', { proto: 2 }], ['v2 with checksum', checked]] as const) {
    test(`are one reservation, seen by the caller between mark and pos: ${name}`, () => {
      for (const edit of [false, true]) {
        const head = headOf(requestFrame({ ...parts, content: pattern(20_000) }));
        const given = Buffer.from(head.buf);
        if (edit) head.set(headerName('x'), 'y');
        const out = new Counting();
        out.out(3).u8(1);
        out.reservations = 0;
        new BoltCodec('client').encodeRequest(out, head, 0xfedcba98, true);
        assert.equal(out.reservations, 1);
        const { buf, mark, pos } = out.writer;
        assert.equal(mark, 1);
        const again = headOf(Buffer.from(buf.subarray(mark, pos)));
        assert.equal(again.id, 0xfedcba98);
        assert.equal(again.get(headerName('x')), edit ? 'y' : undefined);
        assert.deepEqual(head.buf, given, 'borrowed bytes stay as they were');
      }
    });

    test(`over 64 KiB, or with a head that long, come out right: ${name}`, () => {
      const content = pattern(150_000);
      const className = Buffer.from('c'.repeat(60_000));
      for (const frame of [requestFrame({ ...parts, content }), requestFrame({ ...parts, className, content: pattern(9000) })]) {
        const head = headOf(frame);
        const out = new Counting();
        new BoltCodec('client').encodeRequest(out, head, 1, true);
        assert.deepEqual(out.take(), frame);
        head.set(headerName('x'), 'y'.repeat(60_000));
        assert.equal(head.refused, null);
        new BoltCodec('client').encodeRequest(out, head, 1, true);
        const again = decodeAll(out.take());
        assert.equal(again.errors, 0);
        assert.equal(again.heads[0]!.get(headerName('x'))!.length, 60_000);
        assert.equal(again.heads[0]!.length, head.length);
      }
    });
  }

  test('exactly at the largest reservation', () => {
    const overhead = requestFrame({ content: Buffer.alloc(0) }).length;
    for (const size of [MAX_RESERVE - 1, MAX_RESERVE, MAX_RESERVE + 1]) {
      const frame = requestFrame({ content: pattern(size - overhead) });
      const out = new BlockOutput();
      new BoltCodec('client').encodeRequest(out, headOf(frame), 1, true);
      assert.deepEqual(out.take(), frame);
    }
  });

  test('heads of other protocols are mistakes of the program', () => {
    assert.throws(() => new BoltCodec('client').encodeRequest(new BlockOutput(), new FakeHead({}, 'http1'), 1, true), TypeError);
  });
});

describe('long frames', () => {
  const small = requestFrame({ id: 1 });
  const smallHead = headOf(small);

  for (const [name, parts] of [['v1', {}], ['v2', { proto: 2 }], ['v2 with checksum', checked]] as const) {
    test(`nothing is written between their pieces: ${name}`, () => {
      const content = pattern(300_000);
      const longHead = headOf(replyFrame({ ...parts, content }));
      const otherHead = headOf(replyFrame({ ...parts, content: pattern(280_000) }));
      const codec = new BoltCodec('server');
      const out = new BlockOutput();
      codec.encodeReply(out, longHead, 10, false);
      codec.encodeData(out, 10, content, 0, 100_000, false);
      const written = out.writer.pos;
      codec.encodeReply(out, smallHead, 11, true);
      assert.equal(codec.encodePing(out, 12), true);
      codec.encodeReply(out, otherHead, 13, false);
      codec.encodeData(out, 13, otherHead.buf, 0, 0, false);
      codec.encodeReply(out, smallHead, 14, true);
      const second = pattern(280_000);
      codec.encodeData(out, 13, second, 0, 80_000, false);
      assert.equal(out.writer.pos, written, 'all of it waits');
      assert.ok(codec.held > 80_000);
      codec.encodeData(out, 10, content, 100_000, 300_000, false);
      codec.encodeData(out, 10, content, 0, 0, true);
      codec.encodeReply(out, smallHead, 15, true);
      codec.encodeData(out, 13, second, 80_000, 280_000, true);
      assert.equal(codec.held, 0);
      codec.encodeReply(out, smallHead, 16, true);
      assert.equal(codec.mustClose, false);
      const { lines } = decodeAll(out.take(), 'client');
      assert.deepEqual(lines.map((line) => line.replace(/^(\S+)( v\S+ id)? (\d+).* content (\d+) .*/, '$1 $3 $4')), [
        'reply 10 300000', 'request 11 7', 'ping 12', 'reply 13 280000', 'request 14 7', 'request 15 7', 'request 16 7',
      ]);
    });
  }

  test('whose head is edited keep their content and checksum', () => {
    const content = pattern(300_000);
    const head = headOf(requestFrame({ ...checked, content }));
    head.set(headerName('x'), 'y'.repeat(20_000));
    const codec = new BoltCodec('client');
    const out = new Counting();
    codec.encodeRequest(out, head, 5, false);
    assert.equal(out.reservations, 1, 'the head of a long frame is one reservation');
    codec.encodeData(out, 5, content, 0, 300_000, true);
    const again = decodeAll(out.take());
    assert.equal(again.errors, 0);
    assert.equal(again.heads[0]!.get(headerName('x'))!.length, 20_000);
  });

  test('may get another length when a filter gathered them', () => {
    const head = headOf(requestFrame({ ...checked, content: pattern(300_000) }));
    head.length = 10;
    const codec = new BoltCodec('client');
    const out = new BlockOutput();
    codec.encodeRequest(out, head, 1, false);
    codec.encodeData(out, 1, Buffer.from('0123456789'), 0, 10, true);
    assert.deepEqual(out.take(), requestFrame({ ...checked, content: Buffer.from('0123456789') }));
    head.length = 0;
    codec.encodeRequest(out, head, 1, true);
    assert.deepEqual(out.take(), requestFrame({ ...checked, content: Buffer.alloc(0) }));
  });

  test('with more or less content than they say are mistakes of the program', () => {
    const head = headOf(requestFrame({ content: pattern(300_000) }));
    const begin = (): BoltCodec => {
      const codec = new BoltCodec('client');
      codec.encodeRequest(new BlockOutput(), head, 1, false);
      return codec;
    };
    const out = new BlockOutput();
    assert.throws(() => begin().encodeData(out, 1, pattern(300_001), 0, 300_001, false), RangeError);
    assert.throws(() => begin().encodeData(out, 1, pattern(9), 0, 9, true), RangeError);
    assert.throws(() => begin().encodeTrailers(out, 1), RangeError);
    assert.throws(() => new BoltCodec('client').encodeRequest(out, head, 1, true), TypeError);
    head.length = -1;
    assert.throws(() => new BoltCodec('client').encodeRequest(out, head, 1, false), TypeError);
  });

  test('of requests given up half way close the connection; given up while they wait they vanish', () => {
    const head = headOf(requestFrame({ content: pattern(300_000) }));
    const codec = new BoltCodec('client');
    const out = new BlockOutput();
    codec.encodeRequest(out, head, 1, false);
    codec.encodeRequest(out, head, 2, false);
    codec.encodeData(out, 2, pattern(100), 0, 100, false);
    assert.ok(codec.held > 100);
    assert.equal(codec.encodeReset(out, 2, 'request-timeout'), false);
    assert.equal(codec.held, 0);
    assert.equal(codec.mustClose, false);
    codec.encodeData(out, 2, pattern(100), 0, 100, true);
    codec.release(99);
    assert.equal(codec.mustClose, false);
    codec.release(1);
    assert.equal(codec.mustClose, true);
  });

  test('replies given up while they wait become error replies', () => {
    for (const parts of [{}, checked]) {
      const codec = new BoltCodec('server');
      const out = new BlockOutput();
      const head = headOf(replyFrame({ ...parts, content: pattern(300_000) }));
      codec.encodeReply(out, head, 1, false);
      codec.encodeReply(out, head, 2, false);
      codec.encodeData(out, 2, pattern(100), 0, 100, false);
      assert.equal(codec.encodeReset(out, 2, 'reply-cut'), true);
      codec.encodeData(out, 1, pattern(300_000), 0, 300_000, true);
      const { heads, errors } = decodeAll(out.take(), 'client');
      assert.equal(errors, 0);
      assert.deepEqual(heads.map((h) => [h.id, h.rawStatus, h.proto]), [[1, 0, head.proto], [2, 2, head.proto]]);
      assert.equal(codec.mustClose, false);
      codec.encodeReply(out, head, 3, false);
      assert.equal(codec.encodeReset(out, 3, 'reply-cut'), false);
      assert.equal(codec.mustClose, true);
    }
  });

  test('that keep too much waiting close the connection', () => {
    const head = headOf(replyFrame({ content: pattern(300_000) }));
    const codec = new BoltCodec('server');
    const out = new BlockOutput();
    codec.encodeReply(out, head, 1, false);
    const reply = headOf(replyFrame({ content: pattern(250_000) }));
    let sent = 0;
    while (!codec.mustClose && sent < 200) {
      codec.encodeReply(out, reply, 2, true);
      sent++;
    }
    assert.ok(sent > 130 && sent < 140, `${sent} replies of 250 KB`);
    const longCodec = new BoltCodec('server');
    longCodec.encodeReply(out, head, 1, false);
    const huge = headOf(replyFrame({ content: pattern(300_000) }));
    huge.length = 64 << 20;
    longCodec.encodeReply(out, huge, 2, false);
    const piece = Buffer.alloc(1 << 20);
    for (let n = 0; n < 32; n++) longCodec.encodeData(out, 2, piece, 0, piece.length, false);
    assert.equal(longCodec.mustClose, true);
  });

  test('a second try goes on where the bytes of the first end', () => {
    const content = pattern(300_000);
    const frame = requestFrame({ ...checked, id: 7, content });
    const first = new BoltCodec('client');
    const copy = new BlockOutput();
    first.encodeRequest(copy, headOf(frame), 7, false);
    first.encodeData(copy, 7, content, 0, 1000, false);
    const bytes = copy.take();
    const second = new BoltCodec('client');
    second.reid(bytes, 0, bytes.length, 8, false);
    const out = new BlockOutput();
    out.write(bytes, 0, bytes.length);
    second.encodeData(out, 8, content, 1000, 300_000, true);
    assert.deepEqual(out.take(), requestFrame({ ...checked, id: 8, content }));
    const whole = Buffer.from(requestFrame({ ...checked, id: 7 }));
    second.reid(whole, 0, whole.length, 9, true);
    assert.deepEqual(whole, requestFrame({ ...checked, id: 9 }));
  });
});

// Encoding of Dubbo frames: ids given back byte for byte, edits with right lengths, long frames in pieces and what waits behind them, heartbeats, go-aways.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BlockOutput, MAX_RESERVE } from '../../../../src/core/bytes.js';
import { headerName, type Head } from '../../../../src/stream/head.js';
import { DubboCodec, defaults } from '../../../../src/stream/protocol/dubbo/codec.js';
import type { DubboHead } from '../../../../src/stream/protocol/dubbo/head.js';
import { bodyOf, captured, frame, heartbeat, idAt, oneway, reply, request, split, value, values, readOnly } from './frames.js';
import { Recorder, decodeAll } from './recorder.js';

/** Feeds `bytes` to a codec and hands every head over while it is valid. */
class Hand extends Recorder {
  private readonly take: (head: DubboHead, last: boolean) => void;
  constructor(take: (head: DubboHead, last: boolean) => void) {
    super();
    this.take = take;
  }
  override onRequest(head: Head, last: boolean): void {
    this.take(head as DubboHead, last);
  }
  override onReply(head: Head, last: boolean): void {
    this.take(head as DubboHead, last);
  }
  override onData(_id: number, _buf: Uint8Array, _start: number, _end: number, _last: boolean): void {}
}

const localReply = { code: 'no-route' as const, status: 404, body: '', headers: [], mirror: 2, close: false };

describe('ids', () => {
  const ids = [0n, 1n, 0xffff_ffffn, 0x1_0000_0000n, 2n ** 53n - 1n, 2n ** 53n + 1n, 2n ** 63n, 0xd452_bd3a_9c5a_091en, 2n ** 64n - 1n];

  test('of all 64 bits come back as they were, in any order; ours have a high half of zero', () => {
    const server = new DubboCodec('server');
    const client = new DubboCodec('client');
    const numbers: number[] = [];
    const sent = new BlockOutput();
    const bytes = Buffer.concat(ids.map((id) => request({ id })));
    server.decode(bytes, 0, bytes.length, new Hand((head) => {
      numbers.push(head.id);
      client.encodeRequest(sent, head, 70_000 + numbers.length, true);
    }));
    assert.equal(new Set(numbers).size, ids.length);
    const upstream = split(sent.take());
    assert.deepEqual(upstream.map((one) => idAt(one)), ids.map((_, i) => BigInt(70_001 + i)));
    const out = new BlockOutput();
    const order = ids.map((_, i) => i).sort((a, b) => ((a * 7) % 9) - ((b * 7) % 9));
    const answers = Buffer.concat(order.map((i) => reply(70_001 + i, `to ${i}`)));
    client.decode(answers, 0, answers.length, new Hand((head) => server.encodeReply(out, head, numbers[head.id - 70_001]!, true)));
    const got = split(out.take());
    assert.deepEqual(got.map((one) => idAt(one)), order.map((i) => ids[i]!));
    assert.deepEqual(got.map((one) => values(bodyOf(one).subarray(1))[0]), order.map((i) => `to ${i}`));
  });

  test('numbers are used again once their request was answered, and one that was cannot be answered again', () => {
    const server = new DubboCodec('server');
    const out = new BlockOutput();
    const seen = new Set<number>();
    for (let i = 0; i < 500; i++) {
      const bytes = request({ id: BigInt(i) << 40n });
      let number = -1;
      server.decode(bytes, 0, bytes.length, new Hand((head) => (number = head.id)));
      seen.add(number);
      server.encodeLocalReply(out, number, localReply);
      assert.equal(idAt(out.take()), BigInt(i) << 40n);
      assert.throws(() => server.encodeLocalReply(out, number, localReply), /answered already/);
    }
    assert.equal(seen.size, 1);
  });

  test('a burst gives its memory back', () => {
    const server = new DubboCodec('server');
    const out = new BlockOutput();
    const numbers: number[] = [];
    for (let i = 0; i < 1000; i++) {
      const bytes = request({ id: BigInt(i) });
      server.decode(bytes, 0, bytes.length, new Hand((head) => numbers.push(head.id)));
    }
    assert.equal(new Set(numbers).size, 1000);
    for (const number of numbers.reverse()) server.encodeLocalReply(out, number, localReply);
    assert.deepEqual(split(out.take()).map((one) => Number(idAt(one))), Array.from({ length: 1000 }, (_, i) => 999 - i));
    assert.equal((server as unknown as { ids: { live: boolean[] } }).ids.live.length, 0);
  });

  test('a reply with an id over 32 bits is nobody\'s', () => {
    const [head] = decodeAll(frame({ id: (5n << 32n) | 70_001n, flags: 2, status: 20, body: Buffer.from([0x92]) }), 'client').heads;
    assert.equal(head!.id, Number((5n << 32n) | 70_001n));
  });
});

describe('whole frames', () => {
  test('unchanged ones are the same but for the id, whatever their size', () => {
    for (const n of [0, 100, MAX_RESERVE - 200, MAX_RESERVE, 200_000]) {
      const bytes = request({ id: 5n, args: [value('x'.repeat(n))], attachments: { a: 'b' } });
      const again = decodeAll(bytes).again.take();
      assert.equal(idAt(again), 1n);
      bytes.writeBigUInt64BE(1n, 4);
      assert.ok(again.equals(bytes), `${n}`);
    }
  });

  test('edited ones have their length made anew, whatever their size', () => {
    for (const n of [0, 100, 4000, MAX_RESERVE - 100, 200_000]) {
      const text = 'x'.repeat(n);
      const bytes = request({ args: [value(text)], attachments: { a: 'b', c: 'd' } });
      const out = new BlockOutput();
      new DubboCodec('server').decode(bytes, 0, bytes.length, new Hand((head) => {
        head.set(headerName('a'), 'longer than before');
        head.set(headerName('new'), 'n');
        head.remove(headerName('c'));
        new DubboCodec('client').encodeRequest(out, head, 9, true);
      }));
      const [one] = split(out.take());
      assert.deepEqual(values(bodyOf(one!)), ['2.0.2', 'com.example.A', '1.0', 'go', 'Ljava/lang/Object;', text, { a: 'longer than before', new: 'n' }]);
    }
  });

  test('another body is written with its length', () => {
    const bytes = request({ id: 3n });
    const out = new BlockOutput();
    new DubboCodec('server').decode(bytes, 0, bytes.length, new Hand((head) => {
      head.setBody(Buffer.from('any body at all'));
      new DubboCodec('client').encodeRequest(out, head, 9, true);
    }));
    assert.equal(bodyOf(split(out.take())[0]!).toString(), 'any body at all');
  });

  test('the second try of a request has its own id', () => {
    const bytes = request({ id: 2n ** 60n });
    new DubboCodec('client').reid(bytes, 0, bytes.length, 77, true);
    assert.equal(idAt(bytes), 77n);
  });
});

describe('frames in pieces', () => {
  const long = (id: bigint, n = 300_000): Buffer => request({ id, args: [value('l'.repeat(n))] });
  const options = { ...defaults, maxWhole: 4096 };
  /** Decodes `bytes` and sends them on through `to`, pieces of `size` at a time. */
  function pass(bytes: Buffer, to: DubboCodec, out: BlockOutput, id: number, size: number, stop = Infinity): void {
    const codec = new DubboCodec('server', options);
    const sink = new Hand((head, last) => to.encodeRequest(out, head, id, last));
    sink.onData = (_id, buf, start, end, last) => to.encodeData(out, id, buf, start, end, last);
    let consumed = 0;
    for (let at = Math.max(size, 8192); consumed < bytes.length && at < stop; at += size) {
      const end = Math.min(at, bytes.length);
      consumed += codec.decode(bytes, consumed, end, sink);
    }
  }

  test('pass as they are', () => {
    for (const size of [1, 1000, 70_000]) {
      const out = new BlockOutput();
      const bytes = long(1n, size === 1 ? 9000 : 300_000);
      pass(bytes, new DubboCodec('client'), out, 1, size);
      assert.ok(out.take().equals(bytes));
    }
  });

  test('what is written meanwhile waits for the end of the frame, and counts as held', () => {
    const out = new BlockOutput();
    const codec = new DubboCodec('client');
    const bytes = long(1n);
    const source = new DubboCodec('server', options);
    const sink = new Hand((head, last) => codec.encodeRequest(out, head, 1, last));
    sink.onData = (_id, buf, start, end, last) => codec.encodeData(out, 1, buf, start, end, last);
    let consumed = source.decode(bytes, 0, 100_000, sink);
    codec.encodePing(out, 2);
    const whole = request({ id: 5n });
    new DubboCodec('server').decode(whole, 0, whole.length, new Hand((head, last) => codec.encodeRequest(out, head, 3, last)));
    assert.equal(codec.held, 17 + whole.length);
    consumed += source.decode(bytes, consumed, bytes.length, sink);
    assert.equal(consumed, bytes.length);
    assert.deepEqual([codec.held, codec.mustClose], [0, false]);
    assert.deepEqual(split(out.take()).map((one) => [Number(idAt(one)), one.length]), [[1, bytes.length], [2, 17], [3, whole.length]]);
  });

  test('one that is given up half way costs the connection; a reply that waits becomes an error reply', () => {
    const out = new BlockOutput();
    const server = new DubboCodec('server');
    const numbers: number[] = [];
    const asked = Buffer.concat([request({ id: 11n }), request({ id: 22n })]);
    server.decode(asked, 0, asked.length, new Hand((head) => numbers.push(head.id)));
    const source = new DubboCodec('client');
    const bytes = reply(1, 'r'.repeat(300_000));
    const begin = (number: number): void => {
      source.decode(bytes, 0, bytes.length, new Hand((head, last) => server.encodeReply(out, head, number, last)));
    };
    begin(numbers[0]!);
    const other = new DubboCodec('client');
    other.decode(bytes, 0, 1000, new Hand((head, last) => server.encodeReply(out, head, numbers[1]!, last)));
    assert.equal(server.encodeReset(out, numbers[1]!, 'reply-cut'), true, 'nothing of it was written');
    assert.equal(server.mustClose, false);
    assert.equal(server.encodeReset(out, numbers[0]!, 'reply-cut'), false);
    assert.equal(server.mustClose, true);
  });

  test('more or less content than announced is a mistake of the program', () => {
    const out = new BlockOutput();
    const codec = new DubboCodec('client');
    const bytes = long(1n);
    new DubboCodec('server', options).decode(bytes, 0, 5000, new Hand((head, last) => codec.encodeRequest(out, head, 1, last)));
    assert.throws(() => codec.encodeData(out, 1, Buffer.alloc(400_000), 0, 400_000, true), RangeError);
    assert.throws(() => codec.encodeData(out, 1, Buffer.alloc(10), 0, 10, true), RangeError);
  });
});

describe('events', () => {
  test('a heartbeat is answered in its own serialization, with its own id', () => {
    const out = new BlockOutput();
    const codec = new DubboCodec('server');
    const beats = Buffer.concat([heartbeat(2n ** 64n - 1n), frame({ id: 5n, flags: 0xe0 | 23, body: Buffer.from([0, 0, 0, 1, 0xaf]) })]);
    const sink = new Recorder();
    sink.onPing = (head) => codec.encodePong(out, head);
    codec.decode(beats, 0, beats.length, sink);
    assert.deepEqual(split(out.take()), [frame({ id: 2n ** 64n - 1n, flags: 0x22, status: 20, body: Buffer.from('N') }), frame({ id: 5n, flags: 0x20 | 23, status: 20, body: Buffer.from([0, 0, 0, 1, 0xaf]) })]);
  });

  test('ours are in the serialization that the peer spoke last', () => {
    const out = new BlockOutput();
    const codec = new DubboCodec('client');
    codec.encodePing(out, 9);
    const fast = captured('fastjson2 hello reply');
    codec.decode(fast, 0, fast.length, new Recorder());
    codec.encodePing(out, 10);
    assert.deepEqual(split(out.take()), [heartbeat(9n), frame({ id: 10n, flags: 0xe0 | 23, body: Buffer.from([0, 0, 0, 1, 0xaf]) })]);
  });

  test('a go-away is what a Dubbo server sends when it stops, and nothing unless it is asked for', () => {
    const out = new BlockOutput();
    assert.equal(new DubboCodec('server').encodeGoAway(out), false);
    const codec = new DubboCodec('server', { ...defaults, goAway: true });
    assert.equal(codec.encodeGoAway(out), true);
    const sent = out.take();
    readOnly.copy(sent, 4, 4, 12);
    assert.ok(sent.equals(readOnly));
    const fast = captured('fastjson2 hello request');
    codec.decode(fast, 0, fast.length, new Recorder());
    codec.encodeGoAway(out);
    assert.deepEqual(out.take(), frame({ id: 0n, flags: 0xa0 | 23, body: Buffer.from('000000024a52', 'hex') }));
  });
});

test('a oneway request stays one', () => {
  const out = new BlockOutput();
  const bytes = oneway({ id: 4n });
  new DubboCodec('server').decode(bytes, 0, bytes.length, new Hand((head, last) => new DubboCodec('client').encodeRequest(out, head, 6, last)));
  assert.equal(out.take()[2], 0x82);
});

// Decoding: every split, every mix of layouts, limits, malformed frames, long frames in pieces, and the end of input.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BoltCodec, MAX_WHOLE } from '../../../../src/stream/protocol/bolt/codec.js';
import { block, checked, pattern, replyFrame, requestFrame } from './frames.js';
import { heartbeat, layouts, request, response, v1 } from './peer.js';
import { Recorder, decodeAll, decodeCut } from './recorder.js';

/** Captured from sofa-bolt-node 2.0.1: request 5 `com.x.S:1.0`.plus(1, 'a') and its heartbeat, in v1. */
const capturedRequest =
  '0101000101000000050100000bb8002c001a000000c0636f6d2e616c697061792e736f66612e7270632e636f72652e726571756573742e536f666152657175657374' +
  '00000007736572766963650000000b636f6d2e782e533a312e304fbc636f6d2e616c697061792e736f66612e7270632e636f72652e726571756573742e536f666152' +
  '657175657374950a6d6574686f644e616d650d6d6574686f64417267536967731774617267657453657276696365556e697175654e616d650d746172676574417070' +
  '4e616d650c7265717565737450726f70736f9004706c7573567400115b6a6176612e6c616e672e537472696e676e0203696e74106a6176612e6c616e672e53747269' +
  '6e677a0b636f6d2e782e533a312e304e4e910161';

describe('decode', () => {
  test('reads a captured request', () => {
    const bytes = Buffer.from(capturedRequest, 'hex');
    const { heads, lines } = decodeAll(bytes);
    assert.equal(lines.length, 1);
    const head = heads[0]!;
    assert.deepEqual(
      [head.id, head.proto, head.ver1, head.codec, head.timeout, head.className, head.length, head.whole, head.end - head.start],
      [5, 1, 1, 1, 3000, 'com.alipay.sofa.rpc.core.request.SofaRequest', 192, true, 284],
    );
  });

  test('gives the same for every split into two, three and single bytes', () => {
    const mixed = layouts.flatMap(([, options], i) => [request(i + 1, options), response(i + 4, options, 'hello'), heartbeat(i + 7, options)]);
    const bytes = Buffer.concat([...mixed, requestFrame({ command: 100, content: Buffer.alloc(0) }), requestFrame({ id: 0xffffffff, type: 2, proto: 2 })]);
    const whole = decodeAll(bytes);
    assert.equal(whole.lines.length, 11);
    assert.equal(whole.errors, 0);
    for (let cut = 0; cut <= bytes.length; cut++) assert.deepEqual(decodeCut(bytes, [cut]).lines, whole.lines, `cut at ${cut}`);
    for (let cut = 0; cut <= bytes.length; cut += 7) {
      assert.deepEqual(decodeCut(bytes, [cut, Math.min(cut + 3, bytes.length)]).lines, whole.lines, `cut at ${cut} and ${cut + 3}`);
    }
    assert.deepEqual(decodeCut(bytes, Array.from({ length: bytes.length }, (_, i) => i + 1)).lines, whole.lines, 'byte by byte');
  });

  test('reads hundreds of frames from one packet', () => {
    const frames: Buffer[] = [];
    for (let id = 0; id < 900; id++) frames.push(id % 3 === 0 ? replyFrame({ id, ...checked }) : requestFrame({ id, proto: (id % 2) + 1 }));
    const { heads, lines } = decodeAll(Buffer.concat(frames));
    assert.deepEqual(heads.map((head) => head.id), frames.map((_, id) => id));
    assert.equal(lines.length, 900);
  });

  test('takes timeouts from the frame: -1 is never, other negatives too, 0 is none', () => {
    const bytes = Buffer.concat([-1, -5, 0, 250, 0x7fffffff].map((timeoutOrStatus) => requestFrame({ timeoutOrStatus })));
    assert.deepEqual(decodeAll(bytes).heads.map((head) => head.timeout), [-1, -1, 0, 250, 0x7fffffff]);
  });

  test('shows each status of a reply as an HTTP-like one', () => {
    const statuses = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17, 18, 999];
    const { heads } = decodeAll(Buffer.concat(statuses.map((timeoutOrStatus) => replyFrame({ timeoutOrStatus }))), 'client');
    assert.deepEqual(heads.map((head) => head.rawStatus), statuses);
    assert.deepEqual(heads.map((head) => head.status), [200, 500, 500, 500, 503, 502, 404, 504, 502, 500, 502, 500, 500, 500]);
  });

  test('reads frames without class, headers and content', () => {
    const empty = { className: Buffer.alloc(0), headers: Buffer.alloc(0), content: Buffer.alloc(0) };
    const bytes = Buffer.concat([requestFrame(empty), replyFrame({ ...empty, ...checked })]);
    const { lines } = decodeAll(bytes);
    assert.deepEqual(lines, [
      "request v1.1 id 1 codec 1 timeout 3000 class '' {} content 0 ",
      "reply v2.2 id 1 codec 1 status 0/200 class '' {} content 0 ",
    ]);
  });

  test('a checksum exists only in version 2 of protocol 2 with the switch on', () => {
    const bytes = Buffer.concat([requestFrame({ proto: 2, ver1: 1, switches: 1, id: 1 }), requestFrame({ proto: 2, ver1: 2, switches: 2, id: 2 }), requestFrame({ ...checked, switches: 3, id: 3 })]);
    const { heads, errors } = decodeAll(bytes);
    assert.equal(errors, 0);
    assert.deepEqual(heads.map((head) => head.end - head.bodyEnd), [0, 0, 4]);
  });

  test('the head of one message does not leak into the next', () => {
    const codec = new BoltCodec('server');
    const recorder = new Recorder();
    recorder.onRequest = (head) => {
      assert.equal(head.edited, false);
      assert.equal(head.refused, null);
      recorder.lines.push(`${head.id} ${head.get({ name: 'added', lower: 'added', bytes: Buffer.from('added'), hash: 0, part: 0 })}`);
      head.set({ name: 'added', lower: 'added', bytes: Buffer.from('added'), hash: 0, part: 0 }, 'x'.repeat(5000 * head.id));
      assert.equal(head.edited, true);
    };
    const bytes = Buffer.concat([requestFrame({ id: 1 }), requestFrame({ id: 20 }), requestFrame({ id: 3 })]);
    assert.equal(codec.decode(bytes, 0, bytes.length, recorder), bytes.length);
    assert.deepEqual(recorder.lines, ['1 undefined', '20 undefined', '3 undefined']);
  });
});

describe('malformed frames', () => {
  const bad = (change: (bytes: Buffer) => void, proto = 1): Buffer => {
    const bytes = requestFrame({ proto, id: 9 });
    change(bytes);
    return bytes;
  };
  const cases: ReadonlyArray<readonly [string, Buffer, string]> = [
    ['a protocol byte', bad((b) => (b[0] = 3)), 'error -1 bad-frame {"detail":"protocol byte 3"}'],
    ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\n\r\n'), 'error -1 bad-frame {"detail":"protocol byte 71"}'],
    ['a type', bad((b) => (b[1] = 3)), 'error -1 bad-frame {"detail":"type 3"}'],
    ['a type of v2', bad((b) => (b[2] = 0xff), 2), 'error -1 bad-frame {"detail":"type 255"}'],
    ['a version in v2', bad((b) => (b[1] = 3), 2), 'error -1 bad-frame {"detail":"version 3 of protocol 2"}'],
    ['a command', bad((b) => (b[3] = 7)), 'error 9 bad-frame {"detail":"command 7 in a frame of type 1"}'],
    ['a response command in a request', bad((b) => (b[3] = 2)), 'error 9 bad-frame {"detail":"command 2 in a frame of type 1"}'],
    ['a request command in a response', replyFrame({ id: 9, command: 1 }), 'error 9 bad-frame {"detail":"command 1 in a frame of type 0"}'],
    ['a negative content length', bad((b) => b.writeInt32BE(-2, 18)), 'error 9 bad-frame {"detail":"content length -2"}'],
    ['a length over the limit', bad((b) => b.writeInt32BE(0x7fffffff, 18)), 'error 9 frame-too-large {"limit":16777216}'],
    ['a huge heartbeat', requestFrame({ id: 9, command: 0, content: Buffer.alloc(70_000) }), 'error 9 frame-too-large {"limit":65536}'],
  ];
  for (const [name, bytes, line] of cases) {
    test(`stop decoding at ${name}, however it arrives`, () => {
      const before = requestFrame({ id: 8 });
      const all = Buffer.concat([before, bytes, before]);
      const first = decodeAll(before).lines[0]!;
      assert.deepEqual(decodeAll(all).lines, [first, line]);
      for (let cut = before.length; cut <= before.length + Math.min(bytes.length, 64); cut++) {
        assert.deepEqual(decodeCut(all, [cut]).lines, [first, line], `cut at ${cut}`);
      }
    });
  }

  test('nothing is decoded after a failure', () => {
    const codec = new BoltCodec('server');
    const recorder = new Recorder();
    assert.equal(codec.decode(Buffer.from('nonsense'), 0, 8, recorder), 8);
    const good = requestFrame();
    assert.equal(codec.decode(good, 0, good.length, recorder), good.length);
    assert.equal(recorder.lines.length, 1);
    assert.equal(codec.eof(recorder), false);
    assert.equal(recorder.lines.length, 1);
  });

  test('a damaged checksum is found wherever the damage is', () => {
    const good = requestFrame({ ...checked, id: 9 });
    for (let i = 12; i < good.length; i++) {
      if (i >= 16 && i < 24) continue;
      const bytes = Buffer.from(good);
      bytes[i]! ^= 0x10;
      assert.deepEqual(decodeAll(bytes).lines, ['error 9 bad-checksum {}'], `damage at ${i}`);
    }
  });

  test('a malformed header block is carried, not judged', () => {
    const headers = Buffer.from('000000047374617200000005', 'hex');
    const { lines, again } = decodeAll(requestFrame({ headers }));
    assert.equal(lines.length, 1);
    assert.deepEqual(again.take(), requestFrame({ headers }));
  });
});

describe('sizes', () => {
  test('max_frame is the largest frame accepted', () => {
    const frame = requestFrame({ id: 9, content: pattern(1000) });
    assert.equal(decodeAll(frame, 'server', frame.length).errors, 0);
    assert.deepEqual(decodeAll(frame, 'server', frame.length - 1).lines, [`refused request 9 frame-too-large {"limit":${frame.length - 1}}`]);
    const long = requestFrame({ id: 9, content: pattern(MAX_WHOLE * 2) });
    assert.deepEqual(decodeAll(long, 'server', MAX_WHOLE + 10).lines, [`refused request 9 frame-too-large {"limit":${MAX_WHOLE + 10}}`]);
  });

  test('a frame over the limit is passed over, and what follows it is read, however it arrives', () => {
    for (const parts of [{}, checked]) {
      const small = requestFrame({ id: 1, ...parts });
      const limit = small.length;
      const content = pattern(300);
      const all = Buffer.concat([
        small, requestFrame({ id: 2, content, ...parts }), small, requestFrame({ id: 3, type: 2, content, ...parts }), replyFrame({ id: 4, content, ...parts }), small,
      ]);
      const read = decodeAll(small).lines[0]!;
      const over = (what: string): string => `refused ${what} frame-too-large {"limit":${limit}}`;
      const expected = [read, over('request 2'), read, over('oneway 3'), over('reply 4'), read];
      assert.deepEqual(decodeAll(all, 'server', limit).lines, expected);
      for (let cut = 1; cut < all.length; cut++) assert.deepEqual(decodeCut(all, [cut], 'server', limit).lines, expected, `cut at ${cut}`);
      assert.deepEqual(decodeCut(all, Array.from({ length: all.length }, (_, i) => i), 'server', limit).lines, expected);
    }
  });

  test('a sink that cannot go on behind a refused frame is told that decoding stops', () => {
    const { lines } = ((): Recorder => {
      const recorder = new Recorder();
      Object.defineProperty(recorder, 'onRefused', { value: undefined });
      const bytes = Buffer.concat([requestFrame({ id: 9, content: pattern(1000) }), requestFrame()]);
      assert.equal(new BoltCodec('server', 500).decode(bytes, 0, bytes.length, recorder), bytes.length);
      return recorder;
    })();
    assert.deepEqual(lines, ['error 9 frame-too-large {"limit":500}']);
  });

  test('a frame of 256 KiB is whole, one of a byte more comes in pieces', () => {
    const overhead = requestFrame({ content: Buffer.alloc(0) }).length;
    const exact = decodeAll(requestFrame({ content: pattern(MAX_WHOLE - overhead) }));
    assert.equal(exact.heads[0]!.whole, true);
    assert.equal(exact.pieces, 0);
    const more = decodeAll(requestFrame({ content: pattern(MAX_WHOLE - overhead + 1) }));
    assert.equal(more.heads[0]!.whole, false);
    assert.equal(more.heads[0]!.length, MAX_WHOLE - overhead + 1);
    assert.equal(more.pieces, 1);
  });

  test('what is wanted is the whole frame, or the head of a long one', () => {
    const codec = new BoltCodec('server');
    const recorder = new Recorder();
    const frame = requestFrame({ content: pattern(50_000) });
    assert.equal(codec.decode(frame, 0, 3, recorder), 0);
    assert.equal(codec.want, 20);
    assert.equal(codec.decode(frame, 0, 20, recorder), 0);
    assert.equal(codec.want, 22);
    assert.equal(codec.decode(frame, 0, 22, recorder), 0);
    assert.equal(codec.want, frame.length);
    assert.equal(codec.decode(frame, 0, frame.length, recorder), frame.length);
    assert.equal(codec.want, 0);
    const long = requestFrame({ content: pattern(MAX_WHOLE) });
    const head = long.length - MAX_WHOLE;
    assert.equal(codec.decode(long, 0, 30, recorder), 0);
    assert.equal(codec.want, head);
    assert.equal(codec.decode(long, 0, head, recorder), head);
    assert.equal(codec.want, 0);
  });

  for (const [name, parts] of [['v1', {}], ['v2', { proto: 2 }], ['v2 with checksum', checked]] as const) {
    test(`a long frame passes in pieces and comes out as it was: ${name}`, () => {
      const before = requestFrame({ id: 1, ...parts });
      const long = requestFrame({ id: 2, content: pattern(400_000), ...parts });
      const reply = replyFrame({ id: 3, content: pattern(300_000), ...parts });
      const bytes = Buffer.concat([before, long, before, reply, before]);
      const whole = decodeAll(bytes);
      assert.equal(whole.lines.length, 5);
      assert.equal(whole.errors, 0);
      assert.deepEqual(whole.again.take(), bytes);
      const edges = [before.length, before.length + 25, before.length + long.length, bytes.length - before.length];
      const cuts = new Set<number>();
      for (const edge of edges) for (let d = -9; d <= 9; d++) cuts.add(edge + d);
      for (const cut of cuts) {
        const { lines, again } = decodeCut(bytes, [cut]);
        assert.deepEqual(lines, whole.lines, `cut at ${cut}`);
        assert.ok(again.take().equals(bytes), `cut at ${cut}`);
      }
      const { lines, again, pieces } = decodeCut(bytes, Array.from({ length: 700 }, (_, i) => i * 1009));
      assert.deepEqual(lines, whole.lines);
      assert.ok(again.take().equals(bytes));
      assert.ok(pieces > 600, `${pieces} pieces`);
    });
  }

  test('damage in a long frame is found at its end, before its last byte counts as the last', () => {
    const good = requestFrame({ ...checked, id: 2, content: pattern(300_000) });
    const follow = requestFrame({ id: 3 });
    for (const at of [100, 150_000, good.length - 5, good.length - 1]) {
      const bytes = Buffer.concat([good, follow]);
      bytes[at]! ^= 1;
      for (const cuts of [[], [good.length - 4], [good.length - 2], [good.length], [1000, 200_000]]) {
        const recorder = decodeCut(bytes, cuts);
        assert.deepEqual(recorder.lines, ['error 2 bad-checksum {}'], `damage at ${at}, cuts ${cuts.join()}`);
      }
    }
  });

  test('the last piece of a checked long frame is the last only when the checksum was seen', () => {
    const frame = requestFrame({ ...checked, content: pattern(300_000) });
    const seen: string[] = [];
    const recorder = new Recorder();
    recorder.onRequest = () => {};
    recorder.onData = (_id, _buf, start, end, last) => void seen.push(`${end - start} ${last}`);
    const codec = new BoltCodec('server');
    assert.equal(codec.decode(frame, 0, frame.length - 1, recorder), frame.length - 4);
    assert.equal(codec.want, 4);
    assert.deepEqual(seen, ['300000 false']);
    assert.equal(codec.decode(frame, frame.length - 4, frame.length, recorder), 4);
    assert.deepEqual(seen, ['300000 false', '0 true']);
  });
});

describe('the end of input', () => {
  const end = (role: 'server' | 'client', bytes: Buffer): [boolean, string[]] => {
    const codec = new BoltCodec(role);
    const recorder = new Recorder();
    codec.decode(bytes, 0, bytes.length, recorder);
    const lines = recorder.lines.length;
    return [codec.eof(recorder), recorder.lines.slice(lines)];
  };
  const frame = requestFrame();
  const long = requestFrame({ id: 5, content: pattern(300_000) });
  const cut = '{"detail":"the connection ended inside a frame"}';

  test('between frames is orderly', () => {
    assert.deepEqual(end('server', frame), [true, []]);
    assert.deepEqual(end('client', Buffer.alloc(0)), [true, []]);
    assert.deepEqual(end('server', long), [true, []]);
  });

  test('inside a frame is an error of a client', () => {
    assert.deepEqual(end('server', frame.subarray(0, 1)), [false, [`error -1 bad-frame ${cut}`]]);
    assert.deepEqual(end('server', frame.subarray(0, -1)), [false, [`error -1 bad-frame ${cut}`]]);
    assert.deepEqual(end('server', long.subarray(0, -1)), [false, [`error 5 bad-frame ${cut}`]]);
  });

  test('inside a reply leaves the verdict to the end of the connection', () => {
    const reply = replyFrame();
    assert.deepEqual(end('client', reply.subarray(0, -1)), [false, []]);
    assert.deepEqual(end('client', long.subarray(0, -1)), [false, []]);
  });
});

test('block() builds what the layout says', () => {
  assert.equal(block([['a', 'b'], [null, 'c'], ['d', null]]).toString('hex'), '00000001610000000162' + 'ffffffff0000000163' + '0000000164ffffffff');
  assert.equal(request(1, v1).length > 0, true);
});

// Decoding: every split, every mix of versions and layouts, pushes and pings, limits, malformed packets, and the end of input.
import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { MAX_GATHERED, gathered } from '../../../../src/core/gathered.js';
import { headerName } from '../../../../src/stream/head.js';
import { MAX_SMALL, TarsCodec } from '../../../../src/stream/protocol/tars/codec.js';
import { JceBuilder } from '../../../../src/stream/protocol/tars/jce.js';
import { PREFIX } from '../../../../src/stream/protocol/tars/packet.js';
import { pattern, replyFrame, requestFrame } from './frames.js';
import { Recorder, decodeAll, decodeCut, headOf } from './recorder.js';

const requests = [
  requestFrame(), requestFrame({ id: 7, version: 3 }), requestFrame({ id: 300, type: 1 }), requestFrame({ id: 0, content: Buffer.alloc(0), context: [], status: [['STATUS_DYED_KEY', 'x']] }),
  requestFrame({ id: 0xffffffff, version: 2, messageType: 4, timeout: 0 }), requestFrame({ id: 70_000, servant: 's'.repeat(300), name: 'f'.repeat(256), timeout: -1 }),
  requestFrame({ tail: Buffer.alloc(0) }), requestFrame({ version: 5, timeout: 70_000, content: Buffer.from('{}') }),
];
const replies = [
  replyFrame(), replyFrame({ id: 7, code: -7, description: 'late' }), replyFrame({ id: 0x10002, messageType: 4, context: [['a', 'b']], status: [['c', 'd']] }),
  requestFrame({ version: 3, id: 0x10003, status: [['STATUS_RESULT_CODE', '-3'], ['STATUS_RESULT_DESC', 'none']] }), requestFrame({ version: 2, id: 9, timeout: 0, context: [] }),
  replyFrame({ tail: Buffer.alloc(0), content: Buffer.alloc(0) }), replyFrame({ version: 5, code: 1 }),
];

describe('decode', () => {
  test('reads what a request says', () => {
    const head = headOf(requestFrame({ id: 300, version: 3, messageType: 4, timeout: 1500, content: Buffer.from('abc') }));
    assert.deepEqual([head.kind, head.id, head.version, head.messageType, head.timeout, head.length, head.whole, head.status], [0, 300, 3, 4, 1500, 3, true, 0]);
    assert.equal(head.get(headerName(':service')), 'App.Server.Obj');
    assert.equal(head.get(headerName(':rpc-method')), 'greet');
    assert.equal(headOf(requestFrame({ type: 1 })).kind, 1, 'packet type 1 is one-way');
    assert.equal(headOf(requestFrame({ id: -2 })).id, 0xfffffffe, 'ids are unsigned');
  });

  test('takes timeouts from the packet; none, zero and negative ones are no limit of the client\'s', () => {
    assert.deepEqual([-1, 0, 1, 250, 0x7fffffff].map((timeout) => headOf(requestFrame({ timeout })).timeout), [0, 0, 1, 250, 0x7fffffff]);
    assert.equal(headOf(requestFrame({ tail: Buffer.alloc(0) })).timeout, 0);
    assert.equal(headOf(requestFrame({ tail: Buffer.from([0x82, 0, 0]) })).timeout, 0, 'a timeout that breaks off');
  });

  test('shows each result code as an HTTP-like status, in either layout', () => {
    const codes = [0, -1, -2, -3, -4, -5, -6, -7, -8, -9, -10, -11, -12, -13, -99, 1, 20_000];
    const statuses = [200, 400, 500, 404, 404, 500, 504, 504, 502, 503, 503, 403, 502, 502, 500, 500, 500];
    for (const make of [
      (code: number) => replyFrame({ code }),
      (code: number) => requestFrame({ version: 3, status: [['x', 'y'], ['STATUS_RESULT_CODE', String(code)]] }),
    ]) {
      const heads = codes.map((code) => headOf(make(code), 'client'));
      assert.deepEqual(heads.map((head) => head.rawStatus), codes);
      assert.deepEqual(heads.map((head) => head.status), statuses);
    }
    for (const text of ['', '-', 'x', '12a', '1234567890']) assert.equal(headOf(requestFrame({ version: 3, status: [['STATUS_RESULT_CODE', text]] }), 'client').rawStatus, -99, text);
    assert.equal(headOf(requestFrame({ version: 3, status: [] }), 'client').status, 200);
  });

  for (const [name, role, frames] of [['requests', 'server', requests], ['replies', 'client', replies]] as const) {
    test(`gives the same for every split into two, three and single bytes: ${name}`, () => {
      const bytes = Buffer.concat(frames);
      const whole = decodeAll(bytes, { role });
      assert.equal(whole.lines.length, frames.length);
      assert.equal(whole.errors, 0);
      for (let cut = 0; cut <= bytes.length; cut++) assert.deepEqual(decodeCut(bytes, [cut], { role }).lines, whole.lines, `cut at ${cut}`);
      for (let cut = 0; cut <= bytes.length; cut += 7) {
        assert.deepEqual(decodeCut(bytes, [cut, Math.min(cut + 3, bytes.length)], { role }).lines, whole.lines, `cut at ${cut} and ${cut + 3}`);
      }
      assert.deepEqual(decodeCut(bytes, Array.from({ length: bytes.length }, (_, i) => i + 1), { role }).lines, whole.lines, 'byte by byte');
    });
  }

  test('reads any size, among them those that confuse others', () => {
    const overhead = requestFrame({ content: Buffer.alloc(0) }).length;
    const sizes = [overhead, 38, 229, 255, 256, 257, 329, 511, 512, 629, 3029, 4096, 4229, 65_535, 65_536, 70_031, 1_000_000].filter((size) => size >= overhead);
    const frames = sizes.map((size) => {
      for (let less = 0; less < 8; less++) {
        const frame = requestFrame({ content: pattern(Math.max(0, size - overhead - less)) });
        if (frame.length <= size) return frame;
      }
      throw new Error(`no frame of ${size}`);
    });
    const { heads, errors, again } = decodeAll(Buffer.concat(frames));
    assert.equal(errors, 0);
    assert.deepEqual(heads.map((head) => head.end), frames.map((frame) => frame.length));
    assert.ok(again.take().equals(Buffer.concat(frames)));
  });

  test('reads hundreds of packets from one read', () => {
    const frames: Buffer[] = [];
    for (let id = 0; id < 900; id++) frames.push(id % 3 === 0 ? requestFrame({ id, version: 3 }) : replyFrame({ id: id + 1 }));
    const { heads, lines } = decodeAll(Buffer.concat(frames.filter((_, i) => i !== 0)), { role: 'client' });
    assert.equal(lines.length, 899);
    assert.equal(heads.at(-1)!.id, 900);
  });

  test('the head of one message does not leak into the next', () => {
    const codec = new TarsCodec('server');
    const recorder = new Recorder();
    const added = headerName('added');
    recorder.onRequest = (head) => {
      assert.equal(head.edited, false);
      assert.equal(head.refused, null);
      recorder.lines.push(`${head.id} ${head.get(added)} ${head.get(headerName(':service'))}`);
      head.set(added, 'x'.repeat(5000 * head.id));
      head.set(headerName(':service'), 'Other');
      assert.equal(head.edited, true);
    };
    const bytes = Buffer.concat([requestFrame({ id: 1 }), requestFrame({ id: 20 }), requestFrame({ id: 3 })]);
    assert.equal(codec.decode(bytes, 0, bytes.length, recorder), bytes.length);
    assert.deepEqual(recorder.lines, ['1 undefined App.Server.Obj', '20 undefined App.Server.Obj', '3 undefined App.Server.Obj']);
  });

  test('nothing of a read is kept alive by an idle codec', () => {
    const codec = new TarsCodec('server');
    const frame = requestFrame();
    codec.decode(frame, 0, frame.length, new Recorder());
    assert.equal((codec as unknown as { head: { buf: Buffer } }).head.buf.length, 0);
  });
});

describe('pings and pushes', () => {
  test('tars_ping of a client is a heartbeat, or a request where it is to be forwarded', () => {
    const bytes = Buffer.concat([requestFrame({ id: 5, name: 'tars_ping' }), requestFrame({ id: 6, type: 1, name: 'tars_ping', version: 3 }), requestFrame({ id: 7, name: 'tars_pong' })]);
    const kinds = (ping: 'answer' | 'forward'): string[] => decodeAll(bytes, { ping }).lines.map((line) => line.split(' ').slice(0, 3).join(' '));
    assert.deepEqual(kinds('answer'), ['ping request 5', 'ping oneway 6', 'request v1 id']);
    assert.deepEqual(kinds('forward'), ['request v1 id', 'oneway v1 id', 'request v1 id'].map((line, i) => (i === 1 ? 'oneway v3 id' : line)));
  });

  test('a packet with the id 0 is a push: to the client, or a call to reconnect', () => {
    const { lines } = decodeAll(Buffer.concat([
      replyFrame({ id: 0, description: '_reconnect_' }), replyFrame({ id: 0, version: 0, content: Buffer.from('news') }), replyFrame({ id: 0, description: '_reconnect' }),
      replyFrame({ id: 0, status: [['TARS_FUNC', 'onNews']], tail: undefined as never }), replyFrame({ id: 5, description: '_reconnect_' }),
    ]), { role: 'client' });
    assert.deepEqual(lines.map((line) => line.split(' message')[0]), ['goaway of the host', 'oneway v0 push id 0', 'oneway v1 push id 0', 'oneway v1 push id 0', 'reply v1 id 5']);
    assert.match(lines[1]!, /content 4 news$/);
  });

  test('a pushed packet is passed on as it came', () => {
    const push = replyFrame({ id: 0, content: Buffer.from('news'), status: [['TARS_FUNC', 'onNews']] });
    assert.deepEqual(decodeAll(push, { role: 'client' }).again.take(), push);
  });
});

describe('malformed packets', () => {
  const raw = (...bytes: number[]): Buffer => new JceBuilder().raw(Buffer.from(bytes)).raw(Buffer.alloc(40)).frame();
  const cut = (frame: Buffer, by: number): Buffer => {
    const short = Buffer.from(frame.subarray(0, frame.length - by));
    short.writeUInt32BE(short.length, 0);
    return short;
  };
  const empty = requestFrame({ id: 9, tail: Buffer.alloc(0), content: Buffer.alloc(0), name: '', servant: '' });
  const cases: ReadonlyArray<readonly [string, Buffer, string]> = [
    ['a length of nothing', Buffer.from('0000000310012c3c4c', 'hex'), 'error -1 bad-frame {"detail":"length 3"}'],
    ['a length of 2 GiB', Buffer.from('8000000010012c3c4c', 'hex'), 'error -1 bad-frame {"detail":"length 2147483648"}'],
    ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\n\r\n'), 'error -1 bad-frame {"detail":"length 1195725856"}'],
    ['other fields', raw(0x56, 1, 65), 'error -1 bad-frame {"detail":"field 1 is no version"}'],
    ['a version', raw(0x10, 9, 0x2c), 'error -1 bad-frame {"detail":"version 9"}'],
    ['a version of nothing', raw(0x1c, 0x2c), 'error -1 bad-frame {"detail":"version 0"}'],
    ['a packet type', raw(0x10, 1, 0x26, 1, 65), 'error -1 bad-frame {"detail":"field 2 is no packet type"}'],
    ['a message type', raw(0x10, 1, 0x2c, 0x46), 'error -1 bad-frame {"detail":"field 3 is no number"}'],
    ['an id of 64 bits', raw(0x10, 1, 0x2c, 0x3c, 0x43), 'error -1 bad-frame {"detail":"field 4 is no number"}'],
    ['neither names nor code', raw(0x10, 1, 0x2c, 0x3c, 0x40, 9, 0x68), 'error -1 bad-frame {"detail":"field 5 is neither a servant nor a result code"}'],
    ['a response', replyFrame({ id: 9 }), 'error -1 bad-frame {"detail":"a response, where a request was due"}'],
    ['a servant that breaks off', raw(0x10, 1, 0x2c, 0x3c, 0x40, 9, 0x56, 200), 'error 9 bad-frame {"detail":"field 5, the servant, breaks off"}'],
    ['a servant of 4 GiB', raw(0x10, 1, 0x2c, 0x3c, 0x40, 9, 0x57, 255, 255, 255, 255), 'error 9 bad-frame {"detail":"field 5, the servant, breaks off"}'],
    ['a function that is a number', raw(0x10, 1, 0x2c, 0x3c, 0x40, 9, 0x56, 0, 0x60, 1), 'error 9 bad-frame {"detail":"field 6 is no function"}'],
    ['a buffer that is a list', raw(0x10, 1, 0x2c, 0x3c, 0x40, 9, 0x56, 0, 0x66, 0, 0x79, 0x0c), 'error 9 bad-frame {"detail":"field 7 is no buffer"}'],
    ['a buffer of numbers', raw(0x10, 1, 0x2c, 0x3c, 0x40, 9, 0x56, 0, 0x66, 0, 0x7d, 1, 0x0c), 'error 9 bad-frame {"detail":"field 7 is no buffer"}'],
    ['a buffer of less than nothing', raw(0x10, 1, 0x2c, 0x3c, 0x40, 9, 0x56, 0, 0x66, 0, 0x7d, 0, 0, 0xff), 'error 9 bad-frame {"detail":"field 7 is no buffer"}'],
    ['a buffer that breaks off', cut(requestFrame({ id: 9, tail: Buffer.alloc(0) }), 3), 'error 9 bad-frame {"detail":"field 7 is no buffer"}'],
    ['nothing behind the names', cut(empty, 3), 'error 9 bad-frame {"detail":"field 7 is no buffer"}'],
  ];
  for (const [name, bytes, line] of cases) {
    test(`stop decoding at ${name}, however it arrives`, () => {
      const before = requestFrame({ id: 8 });
      const all = Buffer.concat([before, bytes, before]);
      const first = decodeAll(before).lines[0]!;
      assert.deepEqual(decodeAll(all).lines, [first, line]);
      for (let at = before.length; at <= before.length + Math.min(bytes.length, 64); at++) {
        assert.deepEqual(decodeCut(all, [at]).lines, [first, line], `cut at ${at}`);
      }
    });
  }

  test('of a host are told too', () => {
    for (const [bytes, detail] of [
      [cut(replyFrame({ id: 9, tail: Buffer.alloc(0) }), 3), 'field 6 is no buffer'], [cut(replyFrame({ code: 70_000, id: 9, content: Buffer.alloc(0), tail: Buffer.alloc(0) }), 6), 'field 5, the result code, breaks off'],
      [requestFrame({ id: 9, version: 6 }), 'version 6'], [Buffer.from('HTTP/1.1 400 Bad Request\r\n'), 'length 1213486160'],
    ] as const) {
      assert.deepEqual(decodeAll(bytes, { role: 'client' }).lines.map((line) => line.replace(/error -?\d+/, 'error')), [`error bad-frame ${JSON.stringify({ detail })}`]);
    }
  });

  test('nothing is decoded after a failure', () => {
    const codec = new TarsCodec('server');
    const recorder = new Recorder();
    assert.equal(codec.decode(Buffer.from('nonsense'), 0, 8, recorder), 8);
    const good = requestFrame();
    assert.equal(codec.decode(good, 0, good.length, recorder), good.length);
    assert.equal(recorder.lines.length, 1);
    assert.equal(codec.eof(recorder), false);
    assert.equal(recorder.lines.length, 1);
  });

  test('malformed maps are carried, not judged', () => {
    for (const hex of ['8c98', '8c9800', '8c980001', '8c98000106', '8c980001ff', '8c9800ff', '8c98000106016116', 'a80c980c', '8c9c', 'ff', 'bb', '8c980001060161', '98000106016102']) {
      const frame = requestFrame({ tail: Buffer.from(hex, 'hex') });
      const { lines, again } = decodeAll(frame);
      assert.equal(lines.length, 1, hex);
      assert.match(lines[0]!, /^request v1 id 65537 /);
      assert.deepEqual(again.take(), frame);
    }
  });
});

describe('sizes', () => {
  afterEach(() => {
    gathered.bytes = 0;
  });

  test('max_frame is the largest frame accepted; a longer one is passed over, and what follows is read, however it arrives', () => {
    const small = requestFrame({ id: 1 });
    const limit = small.length;
    const content = pattern(300);
    const all = Buffer.concat([small, requestFrame({ id: 2, content }), small, requestFrame({ id: 300, type: 1, content }), small]);
    const read = decodeAll(small).lines[0]!;
    const over = (what: string): string => `refused ${what} frame-too-large {"limit":${limit}}`;
    const expected = [read, over('request 2'), read, over('oneway 300'), read];
    assert.deepEqual(decodeAll(all, { max_frame: limit }).lines, expected);
    for (let at = 1; at < all.length; at++) assert.deepEqual(decodeCut(all, [at], { max_frame: limit }).lines, expected, `cut at ${at}`);
    assert.deepEqual(decodeCut(all, Array.from({ length: all.length }, (_, i) => i), { max_frame: limit }).lines, expected);
    assert.equal(decodeAll(all, { max_frame: requestFrame({ id: 300, content }).length }).lines.length, 5);
    assert.deepEqual(decodeAll(replyFrame({ id: 70_000, content }), { role: 'client', max_frame: 100 }).lines, ['refused reply 70000 frame-too-large {"limit":100}']);
  });

  test('a sink that cannot go on behind a refused frame is told that decoding stops', () => {
    const recorder = new Recorder();
    Object.defineProperty(recorder, 'onRefused', { value: undefined });
    const bytes = Buffer.concat([requestFrame({ id: 9, content: pattern(1000) }), requestFrame()]);
    decodeCut(bytes, [], { max_frame: 500 }, recorder);
    assert.deepEqual(recorder.lines, ['error 9 frame-too-large {"limit":500}']);
  });

  test('what is wanted is the length, then as much as tells what it is, then the whole', () => {
    const codec = new TarsCodec('server');
    const recorder = new Recorder();
    const frame = requestFrame({ content: pattern(50_000) });
    const wants: number[] = [];
    for (const n of [1, 3, 4, 20, PREFIX, 40_000]) {
      assert.equal(codec.decode(frame, 0, n, recorder), 0);
      wants.push(codec.want);
    }
    assert.deepEqual(wants, [4, 4, PREFIX, PREFIX, frame.length, frame.length]);
    assert.equal(codec.decode(frame, 0, frame.length, recorder), frame.length);
    assert.equal(codec.want, 0);
    assert.equal(recorder.heads.length, 1);
  });

  test('requests over 256 KiB come whole, and want a connection for themselves', () => {
    const overhead = requestFrame({ content: pattern(300_000) }).length - 300_000;
    for (const [size, sharing] of [[MAX_SMALL, 0], [MAX_SMALL + 1, 1], [2_000_000, 1]] as const) {
      const frame = requestFrame({ content: pattern(size - overhead) });
      assert.equal(frame.length, size);
      const { heads, again } = decodeCut(frame, [10, 100, 70_000]);
      assert.deepEqual([heads[0]!.sharing, heads[0]!.whole, heads[0]!.timeout, heads[0]!.get(headerName('user'))], [sharing, true, 3000, 'ann']);
      assert.ok(again.take().equals(frame));
    }
  });

  test('a worker that gathers enough takes no further long frame, but short ones, and those that are here', () => {
    const long = requestFrame({ id: 2, content: pattern(300_000) });
    const reply = replyFrame({ id: 70_000, content: pattern(300_000) });
    const small = requestFrame({ id: 1 });
    const lines = (bytes: Buffer, cuts: number[], role: 'server' | 'client' = 'server'): string[] => decodeCut(bytes, cuts, { role }).lines.map((line) => line.split(' message')[0]!);
    const all = Buffer.concat([small, long, small]);
    gathered.bytes = MAX_GATHERED - long.length;
    assert.deepEqual(lines(all, [small.length + 100]), ['request v1 id 1', 'request v1 id 2', 'request v1 id 1']);
    gathered.bytes++;
    assert.deepEqual(lines(all, [small.length + 100]), ['request v1 id 1', `refused request 2 memory-limit {"limit":${MAX_GATHERED}}`, 'request v1 id 1']);
    assert.deepEqual(lines(all, [small.length + 10, small.length + 100_000]), ['request v1 id 1', `refused request 2 memory-limit {"limit":${MAX_GATHERED}}`, 'request v1 id 1']);
    gathered.bytes = MAX_GATHERED;
    assert.deepEqual(lines(reply, [100], 'client'), [`refused reply 70000 frame-too-large {"limit":${MAX_GATHERED}}`]);
    assert.deepEqual(lines(all, []), ['request v1 id 1', 'request v1 id 2', 'request v1 id 1']);
    const codec = new TarsCodec('server');
    const recorder = new Recorder();
    gathered.bytes = 0;
    assert.equal(codec.decode(long, 0, 100, recorder), 0);
    assert.equal(codec.want, long.length);
    gathered.bytes = MAX_GATHERED;
    assert.equal(codec.decode(long, 0, 200, recorder), 0, 'what was admitted is not refused later');
    assert.equal(codec.decode(long, 0, long.length, recorder), long.length);
    assert.equal(recorder.heads.length, 1);
  });
});

describe('the end of input', () => {
  const ended = (bytes: Buffer, role: 'server' | 'client' = 'server', max_frame = 1 << 24): string[] => {
    const codec = new TarsCodec(role, { max_frame, ping: 'answer', goaway: false });
    const recorder = new Recorder();
    codec.decode(bytes, 0, bytes.length, recorder);
    const before = recorder.lines.length;
    return [String(codec.eof(recorder)), ...recorder.lines.slice(before)];
  };

  test('between packets is fine, inside one of a client an error', () => {
    const frame = requestFrame();
    assert.deepEqual(ended(frame), ['true']);
    assert.deepEqual(ended(Buffer.alloc(0)), ['true']);
    for (const n of [1, 10, frame.length - 1]) assert.deepEqual(ended(frame.subarray(0, n)), ['false', 'error -1 bad-frame {"detail":"the connection ended inside a frame"}']);
    assert.deepEqual(ended(replyFrame().subarray(0, 10), 'client'), ['false']);
    assert.deepEqual(ended(frame.subarray(0, frame.length - 1), 'server', 50), ['false'], 'of one that was refused already');
  });
});

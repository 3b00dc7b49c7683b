// Decoding Thrift: every split, every mix of forms, limits, malformed frames, long frames in pieces, and the end of input.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MAX_WHOLE, ThriftCodec } from '../../../src/stream/thrift/codec.js';
import { CALL, EXCEPTION, ONEWAY, REPLY, failure, forms, frame, pattern, text, type Parts } from './frames.js';
import { Recorder, decodeAll, decodeCut, type Reading } from './recorder.js';

const LONG = MAX_WHOLE + 60_000;

/** Captured from the Thrift library for Node 0.24.0: say('hello') with sequence number 3, binary and compact. */
const captured = {
  binary: '0000001c' + '80010001' + '00000003736179' + '00000003' + '0b0001' + '0000000568656c6c6f' + '00',
  compact: '0000000f' + '8221' + '03' + '03736179' + '18' + '0568656c6c6f' + '00',
};

describe('decode', () => {
  test('reads captured requests', () => {
    const { lines } = decodeAll(Buffer.from(captured.binary + captured.compact, 'hex'));
    assert.deepEqual(lines.map((line) => line.slice(0, line.indexOf(' content'))), [
      'request strict type 1 seqid 3 - . say ',
      'request compact type 1 seqid 3 - . say ',
    ]);
    assert.deepEqual(frame({ form: 'strict', seqid: 3, name: 'say', content: text('strict', 'hello') }).toString('hex'), captured.binary);
    assert.deepEqual(frame({ form: 'compact', seqid: 3, name: 'say', content: text('compact', 'hello') }).toString('hex'), captured.compact);
  });

  const mixes: readonly [string, Reading, readonly Parts[]][] = [
    ['requests', {}, forms.flatMap((form) => [
      { form, content: text(form, 'a') }, { form, seqid: -1, name: 'Service:say' }, { form, type: ONEWAY, seqid: 0x7fffffff, name: '' }, { form, name: 'x'.repeat(300), seqid: 70_000 },
    ])],
    ['replies', { role: 'client' }, forms.flatMap((form) => [
      { form, type: REPLY, content: text(form, 'a', 0) }, { form, type: EXCEPTION, content: failure(form, 'no', 1) }, { form, type: EXCEPTION, content: Buffer.alloc(0) },
    ])],
    ['requests with the header of Dubbo', { dubbo: true }, [
      { dubbo: {} }, { dubbo: { service: 'com.example.Hello', id: 0x7fff_ffff_ffff_ffffn }, form: 'old', content: text('old', 'b') }, { dubbo: { id: -2n, path: 'com.example.Path', service: '' } },
      { dubbo: {}, type: ONEWAY },
    ]],
    ['replies with the header of Dubbo', { dubbo: true, role: 'client' }, [{ dubbo: {}, type: REPLY, content: text('strict', 'r', 0) }, { dubbo: { id: 1n << 40n }, type: EXCEPTION, content: failure('strict', 'no', 6) }]],
  ];
  for (const [name, reading, parts] of mixes) {
    test(`gives the same for every split: ${name}`, () => {
      const bytes = Buffer.concat(parts.map(frame));
      const whole = decodeAll(bytes, reading);
      assert.equal(whole.lines.length, parts.length);
      assert.equal(whole.errors, 0, whole.lines.at(-1));
      for (let cut = 0; cut <= bytes.length; cut++) assert.deepEqual(decodeCut(bytes, [cut], reading).lines, whole.lines, `cut at ${cut}`);
      for (let cut = 0; cut <= bytes.length; cut += 5) {
        assert.deepEqual(decodeCut(bytes, [cut, Math.min(cut + 3, bytes.length)], reading).lines, whole.lines, `cut at ${cut} and ${cut + 3}`);
      }
      assert.deepEqual(decodeCut(bytes, Array.from({ length: bytes.length }, (_, i) => i + 1), reading).lines, whole.lines, 'byte by byte');
    });
  }

  test('reads hundreds of frames from one packet', () => {
    const parts = Array.from({ length: 900 }, (_, seqid): Parts => ({ seqid, form: forms[seqid % 3]!, type: seqid % 7 === 0 ? ONEWAY : CALL }));
    const { heads } = decodeAll(Buffer.concat(parts.map(frame)));
    assert.deepEqual(heads.map((head) => head.seqid), parts.map((one) => one.seqid));
  });

  test('a frame of nothing, which a flush leaves behind, is passed over', () => {
    const none = Buffer.alloc(4);
    const { lines, errors } = decodeAll(Buffer.concat([none, frame(), none, none, frame({ seqid: 2 }), none]));
    assert.equal(errors, 0);
    assert.equal(lines.length, 2);
  });

  test('names the service of a multiplexed call, and that of the header', () => {
    const names = ['Service:say', 'say', 'A:b:c', ':say', 'A:'];
    assert.deepEqual(decodeAll(Buffer.concat(names.map((name) => frame({ name })))).lines.map((line) => / seqid 1 (.*)  content/.exec(line)![1]), [
      'Service . say', '- . say', 'A . b:c', ' . say', 'A . -',
    ]);
    const [line] = decodeAll(frame({ name: 'A:say', dubbo: { service: 'com.x.Y', path: 'p' } }), { dubbo: true }).lines;
    assert.match(line!, /dubbo 1 com\.x\.Y \. A:say/);
  });

  test('a longer sequence number than needed is read in compact messages', () => {
    for (let width = 1; width <= 5; width++) assert.equal(decodeAll(frame({ form: 'compact', seqid: 7, width })).heads[0]!.seqid, 7);
  });

  test('gives an exception message the HTTP-like status of its type, and a reply 200 whatever is in it', () => {
    for (const form of forms) {
      const types = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 77, -1];
      const bytes = Buffer.concat([
        ...types.map((type) => frame({ form, type: EXCEPTION, content: failure(form, 'said', type) })),
        frame({ form, type: REPLY, content: text(form, 'declared', 1) }),
      ]);
      const { heads } = decodeAll(bytes, { role: 'client' });
      assert.deepEqual(heads.map((head) => head.status), [500, 404, 400, 500, 500, 500, 500, 400, 400, 400, 400, 503, 504, 500, 500, 200]);
      assert.deepEqual(heads.map((head) => head.rawStatus), [...types, 0]);
    }
  });

  test('an exception that another proxy made has the status of its reason', () => {
    const said = ['no route (no-route)', 'host x did not reply (request-timeout)', 'shutting down (draining)', 'ends with (something)', '(no-healthy-host)', 'open(no-healthy-host', ')'];
    for (const form of forms) {
      const { heads } = decodeAll(Buffer.concat(said.map((s) => frame({ form, type: EXCEPTION, content: failure(form, s, 6) }))), { role: 'client' });
      assert.deepEqual(heads.map((head) => head.status), [404, 504, 503, 500, 503, 500, 500]);
    }
  });

  test('an exception that cannot be read is an unknown one', () => {
    for (const form of forms) {
      const good = failure(form, 'said', 1);
      for (let cut = 0; cut < good.length; cut++) {
        const [head] = decodeAll(frame({ form, type: EXCEPTION, content: good.subarray(0, cut) }), { role: 'client' }).heads;
        assert.ok(head!.status === 500 || cut >= good.length - 4, `${form} cut at ${cut}: ${head!.status}`);
      }
    }
  });
});

describe('malformed frames', () => {
  const bad = (parts: Parts, change: (bytes: Buffer) => void): Buffer => {
    const bytes = frame({ content: Buffer.alloc(20), ...parts });
    change(bytes);
    return bytes;
  };
  const dubbo = { dubbo: {} };
  const cases: ReadonlyArray<readonly [string, Buffer, RegExp, Reading?]> = [
    ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\n\r\n'), /a frame length that begins with byte 71: not framed Thrift/],
    ['TLS', Buffer.from('1603010200010001fc0303', 'hex'), /bad-frame.*a TLS handshake where framed Thrift is spoken/],
    ['the unframed transport', frame().subarray(4), /no frame length in front of the message: the unframed transport is not supported/],
    ['the unframed transport, compact', frame({ form: 'compact' }).subarray(4), /the unframed transport is not supported/],
    ['the unframed transport, old form', frame({ form: 'old', name: 'sayHello', content: pattern(40) }).subarray(4), /byte 115 begins no message.*the unframed transport is not supported/],
    ['the header transport', bad({}, (b) => { b[4] = 0x0f; b[5] = 0xff; }), /the header transport \(THeader\), which is not supported/],
    ['a length over all limits', bad({}, (b) => { b.writeInt32BE(0x10000000); }), /frame-too-large \{"limit":16777216\}/],
    ['a version of the binary protocol', bad({}, (b) => { b[5] = 2; }), /version 2 of the binary protocol/],
    ['a version of the compact protocol', bad({ form: 'compact' }, (b) => { b[5] = 0x22; }), /version 2 of the compact protocol/],
    ['a message type', bad({}, (b) => { b[7] = 5; }), /message type 5 from a client/],
    ['a reply from a client', frame({ type: REPLY }), /message type 2 from a client/],
    ['a call from a host', frame(), /message type 1 from a host/, { role: 'client' }],
    ['a name longer than the message', bad({}, (b) => { b.writeInt32BE(60, 8); }), /a name of 60 bytes in a message of 36/],
    ['a negative name', bad({ form: 'old' }, (b) => { b.writeInt32BE(0x00ffffff, 4); }), /a name of 16777215 bytes/],
    ['a name over the limit', frame({ name: 'x'.repeat(4097) }), /a name of 4097 bytes/],
    ['a name over the limit, compact', frame({ form: 'compact', name: 'x'.repeat(4097) }), /a name of 4097 bytes/],
    ['a sequence number without end', bad({ form: 'compact' }, (b) => b.fill(0xff, 6, 12)), /the sequence number has no end/],
    ['a name without end', bad({ form: 'compact' }, (b) => b.fill(0xff, 7, 13)), /the length of the name has no end/],
    ['a message of one byte', Buffer.from('0000000180' + '00'.repeat(20), 'hex'), /1 bytes are too few for a message/],
    ['a message that ends in its name', Buffer.from('0000000582210103' + '61'.repeat(20), 'hex'), /a name of 3 bytes in a message of 5/],
    ['another magic', bad(dubbo, (b) => { b[4] = 0x80; }), /Dubbo's magic does not follow the length/, { dubbo: true }],
    ['plain Thrift', bad({}, () => {}), /Dubbo's magic does not follow the length/, { dubbo: true }],
    ['too short for the header', frame({ content: Buffer.alloc(0) }), /too few for a message with Dubbo's header/, { dubbo: true }],
    ['the two lengths differ', bad(dubbo, (b) => { b[9]!++; }), /the two lengths differ: 64 and 65/, { dubbo: true }],
    ['a version of the header', bad(dubbo, (b) => { b[12] = 2; }), /version 2 of Dubbo's header/, { dubbo: true }],
    ['a header longer than the message', bad(dubbo, (b) => b.writeUInt16BE(60, 10)), /a header of 60 bytes in a message of 64/, { dubbo: true }],
    ['a header too short', bad(dubbo, (b) => b.writeUInt16BE(20, 10)), /a header of 20 bytes/, { dubbo: true }],
    ['a service longer than the header', bad(dubbo, (b) => b.writeInt32BE(8, 13)), /a service of 8 bytes in a header of 28/, { dubbo: true }],
    ['compact behind the header', frame({ form: 'compact', dubbo: {}, content: Buffer.alloc(20) }), /byte 130 begins no message/, { dubbo: true }],
  ];
  for (const [name, bytes, line, reading = {}] of cases) {
    test(`stop decoding at ${name}, however it arrives`, () => {
      const type = reading.role === 'client' ? REPLY : CALL;
      const before = frame({ type, ...(reading.dubbo === true ? dubbo : {}) });
      const all = Buffer.concat([before, bytes, Buffer.alloc(300_000)]);
      const expected = decodeAll(all, reading).lines;
      assert.equal(expected.length, 2, expected.join('\n'));
      assert.match(expected[1]!, /^error /);
      assert.match(expected[1]!, line);
      for (let cut = before.length; cut <= before.length + Math.min(bytes.length, 64); cut++) {
        assert.deepEqual(decodeCut(all, [cut], reading).lines, expected, `cut at ${cut}`);
      }
    });
  }

  test('nothing is decoded after a failure', () => {
    const codec = new ThriftCodec('server', false);
    const recorder = new Recorder(false);
    assert.equal(codec.decode(Buffer.from('nonsense'), 0, 8, recorder), 8);
    const good = frame();
    assert.equal(codec.decode(good, 0, good.length, recorder), good.length);
    assert.equal(recorder.lines.length, 1);
    assert.equal(codec.eof(recorder), false);
    assert.equal(recorder.lines.length, 1);
  });
});

describe('sizes', () => {
  test('a frame over the limit is passed over, and what follows it is read, however it arrives', () => {
    for (const header of [undefined, {}]) {
      const reading = { dubbo: header !== undefined };
      const small = frame({ dubbo: header });
      const max = small.length;
      const content = pattern(300);
      const all = Buffer.concat([
        small, frame({ content, dubbo: header }), small, frame({ content, type: ONEWAY, dubbo: header, form: 'old' }), small,
      ]);
      const [read] = decodeAll(small, reading).lines;
      const over = (what: string): string => `refused ${what} frame-too-large {"limit":${max}}`;
      const expected = [read, over('request 1'), read, over('oneway 0'), read];
      assert.deepEqual(decodeAll(all, { ...reading, max }).lines, expected);
      for (let cut = 1; cut < all.length; cut++) assert.deepEqual(decodeCut(all, [cut], { ...reading, max }).lines, expected, `cut at ${cut}`);
      assert.deepEqual(decodeCut(all, Array.from({ length: all.length }, (_, i) => i), { ...reading, max }).lines, expected);
    }
    const replies = Buffer.concat([frame({ type: REPLY, content: pattern(300) }), frame({ type: REPLY })]);
    assert.equal(decodeAll(replies, { role: 'client', max: 100 }).lines[0], 'refused reply 1 frame-too-large {"limit":100}');
  });

  test('a long frame over the limit is passed over as well', () => {
    for (const form of forms) {
      const all = Buffer.concat([frame({ form, content: pattern(LONG) }), frame({ form, seqid: 2 })]);
      const { lines } = decodeCut(all, Array.from({ length: 60 }, (_, i) => i * 7001), { max: 1000 });
      assert.equal(lines.length, 2);
      assert.equal(lines[0], 'refused request 0 frame-too-large {"limit":1000}');
      assert.match(lines[1]!, /seqid 2/);
    }
  });

  test('a sink that cannot go on behind a refused frame is told that decoding stops', () => {
    const recorder = new Recorder(false);
    Object.defineProperty(recorder, 'onRefused', { value: undefined });
    const bytes = Buffer.concat([frame({ content: pattern(1000) }), frame()]);
    assert.equal(new ThriftCodec('server', false, 500).decode(bytes, 0, bytes.length, recorder), bytes.length);
    assert.deepEqual(recorder.lines, ['error 0 frame-too-large {"limit":500}']);
  });

  test('a frame of 256 KiB is whole, one of a byte more comes in pieces', () => {
    const overhead = frame({ content: Buffer.alloc(0) }).length;
    const exact = decodeAll(frame({ content: pattern(MAX_WHOLE - overhead) }));
    assert.equal(exact.heads[0]!.whole, true);
    assert.equal(exact.pieces, 0);
    const more = decodeAll(frame({ content: pattern(MAX_WHOLE - overhead + 1) }));
    assert.equal(more.heads[0]!.whole, false);
    assert.equal(more.heads[0]!.length, MAX_WHOLE - overhead + 1);
    assert.equal(more.pieces, 1);
  });

  test('what is wanted is the whole frame, or the prefix of a long one', () => {
    const codec = new ThriftCodec('server', false);
    const recorder = new Recorder(false);
    const whole = frame({ content: pattern(50_000) });
    for (const [n, want] of [[3, 4], [4, 20], [20, whole.length], [30, whole.length]] as const) {
      assert.equal(codec.decode(whole, 0, n, recorder), 0);
      assert.equal(codec.want, want, `after ${n}`);
    }
    assert.equal(codec.decode(whole, 0, whole.length, recorder), whole.length);
    assert.equal(codec.want, 0);
    const long = frame({ name: 'n'.repeat(100), content: pattern(LONG) });
    for (const [n, want] of [[10, 20], [20, 4 + 12 + 100]] as const) {
      assert.equal(codec.decode(long, 0, n, recorder), 0);
      assert.equal(codec.want, want, `after ${n}`);
    }
    assert.equal(codec.decode(long, 0, 116, recorder), 116);
    assert.equal(codec.want, 0);
  });

  for (const [name, parts, reading] of [
    ['strict', { form: 'strict' }, {}], ['old', { form: 'old' }, {}], ['compact', { form: 'compact' }, {}], ['dubbo', { dubbo: { id: 77n, path: 'p' } }, { dubbo: true }],
  ] as const) {
    test(`a long frame passes in pieces, whatever the pieces: ${name}`, () => {
      const small = frame({ ...parts, seqid: 5 });
      const bytes = Buffer.concat([small, frame({ ...parts, seqid: 6, content: pattern(LONG) }), small]);
      const whole = decodeAll(bytes, reading);
      assert.equal(whole.lines.length, 3);
      assert.equal(whole.errors, 0);
      const edges = [small.length, small.length + 30, bytes.length - small.length];
      const cuts = new Set<number>();
      for (const edge of edges) for (let d = -40; d <= 12; d++) cuts.add(edge + d);
      for (const cut of cuts) assert.deepEqual(decodeCut(bytes, [cut], reading).lines, whole.lines, `cut at ${cut}`);
      const many = decodeCut(bytes, Array.from({ length: 700 }, (_, i) => i * 1009), reading);
      assert.deepEqual(many.lines, whole.lines);
      assert.ok(many.pieces > 200, `${many.pieces} pieces`);
    });
  }
});

describe('the end of input', () => {
  const end = (role: 'server' | 'client', bytes: Buffer): [boolean, string[]] => {
    const codec = new ThriftCodec(role, false);
    const recorder = new Recorder(false);
    codec.decode(bytes, 0, bytes.length, recorder);
    const before = recorder.lines.length;
    return [codec.eof(recorder), recorder.lines.slice(before)];
  };
  const whole = frame();
  const long = frame({ content: pattern(LONG) });
  const cut = 'error -1 bad-frame {"detail":"the connection ended inside a frame"}';

  test('between frames is orderly', () => {
    assert.deepEqual(end('server', whole), [true, []]);
    assert.deepEqual(end('client', Buffer.alloc(0)), [true, []]);
    assert.deepEqual(end('server', long), [true, []]);
  });

  test('inside a frame is an error of a client', () => {
    for (const bytes of [whole.subarray(0, 2), whole.subarray(0, -1), long.subarray(0, -1)]) assert.deepEqual(end('server', bytes), [false, [cut]]);
  });

  test('inside a reply leaves the verdict to the end of the connection', () => {
    const reply = frame({ type: REPLY, content: pattern(LONG) });
    assert.deepEqual(end('client', reply.subarray(0, 20)), [false, []]);
    assert.deepEqual(end('client', reply.subarray(0, -1)), [false, []]);
  });
});

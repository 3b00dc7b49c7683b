// Decoding of Dubbo frames: captured ones, every split, long ones, limits, malformed ones, events.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MAX_GATHERED, gathered } from '../../../../src/core/gathered.js';
import { DubboCodec, defaults } from '../../../../src/stream/protocol/dubbo/codec.js';
import { captured, capturedNames, failure, frame, heartbeat, oneway, readOnly, reply, request, value } from './frames.js';
import { Recorder, decodeAll, decodeCut } from './recorder.js';

const line = (name: string, role: 'server' | 'client' = 'server'): string => decodeAll(captured(name), role).lines.join('\n');

describe('frames of real peers', () => {
  test('requests of 3.3, 2.7 and with fastjson2 tell the same', () => {
    const common = 'com.example.Greeter hello 1.0.0 g1 - 2.0.2 - {path=com.example.Greeter remote.application=client x-env=gray interface=com.example.Greeter version=1.0.0';
    assert.ok(line('3.3 hello request').startsWith(`request 0 serialization 2 timeout 7000 ${common} timeout=7000 group=g1} content 191 `));
    assert.ok(line('fastjson2 hello request').startsWith(`request 0 serialization 23 timeout 7000 ${common} timeout=7000 group=g1} content 219 `));
    assert.ok(line('2.7 hello request').startsWith(`request 0 serialization 2 timeout 0 ${common} group=g1} content 178 `));
    for (const peer of ['3.3', '2.7', 'fastjson2']) {
      assert.match(line(`${peer} now request`), / com\.example\.Clock now 0\.0\.0 - - 2\.0\.2 /);
      assert.match(line(`${peer} tell request`), /^oneway 0 .* com\.example\.Greeter tell 1\.0\.0 g1 /);
      assert.match(line(`${peer} generic request`), / com\.example\.Greeter hello 1\.0\.0 g1 .*generic=true/, 'the method that a generic call is for');
      // Classes, enums, dates, big numbers, references in circles, an array of doubles, a string in chunks, and a pair of surrogates come before these.
      assert.match(line(`${peer} attachments request`), / com\.example\.Greeter attachments 1\.0\.0 g1 .*k=v.*interface=com\.example\.Greeter/);
    }
  });

  test('replies: values, exceptions of the service, statuses', () => {
    for (const peer of ['3.3', '2.7', 'fastjson2']) {
      assert.match(line(`${peer} hello reply`, 'client'), /^reply \d+ serialization \d+ status 20\/200 - - - - 200 2\.0\.2 value \{dubbo=2\.0\.2\}/);
      assert.match(line(`${peer} fail reply`, 'client'), / status 20\/422 .* exception \{dubbo=2\.0\.2\}/);
      assert.match(line(`${peer} refuse reply`, 'client'), / status 20\/422 .* exception /);
    }
    assert.match(line('3.3 missing reply', 'client'), / status 40\/400 - - - - 400 - - \{\}/);
    assert.match(line('2.7 missing reply', 'client'), / status 70\/500 /);
  });

  test('all of them, in one packet and cut at every byte', () => {
    const requests = capturedNames.filter((name) => name.endsWith('request') && !name.includes('attachments')).map(captured);
    const bytes = Buffer.concat([...requests.slice(0, 7), heartbeat(5n), ...requests.slice(7, 14)]);
    const whole = decodeAll(bytes);
    assert.equal(whole.lines.length, 15);
    assert.equal(whole.errors, 0);
    for (let cut = 1; cut < bytes.length; cut++) assert.deepEqual(decodeCut(bytes, [cut]).lines, whole.lines, `cut at ${cut}`);
    const each = Array.from({ length: bytes.length }, (_, i) => i + 1);
    assert.deepEqual(decodeCut(bytes, each).lines, whole.lines, 'byte by byte');
  });
});

describe('heads', () => {
  test('a version that is null is absent; attachments of every plain kind are text, others are not seen', () => {
    const attachments = { s: 'text', empty: '', yes: true, no: false, n: 7, neg: -300, big: 70_000, huge: 2 ** 40, half: 0.5, when: new Date(1_600_000_000_000), nothing: null, list: [1, 2], map: { a: 'b' }, emoji: 'é😀', long: 'x'.repeat(40_000), last: 'one' };
    const found = decodeAll(request({ version: null, attachments })).lines[0]!;
    assert.match(found, /^request 0 serialization 2 timeout 0 com\.example\.A go - - - 2\.0\.2 - \{big=70000 emoji=é😀 empty= half=0\.5 huge=1099511627776 last=one long=40000 of x n=7 neg=-300 no=false s=text when=1600000000000 yes=true\} /);
  });

  test('the timeout that is asked for: digits only, of text or a number, and none where it is not to be obeyed', () => {
    const of = (timeout: unknown, options = {}): number => decodeAll(request({ attachments: { timeout } }), 'server', options).heads[0]!.timeout;
    assert.deepEqual([of('1500'), of(800), of('0'), of('-5'), of('1s'), of(''), of('99999999999'), of([1])], [1500, 800, 0, 0, 0, 0, 0, 0]);
    assert.equal(of('1500', { obeyTimeout: false }), 0);
  });

  test('of other serializations, and where the body is not what it should be, nothing is found and the frame passes', () => {
    const bytes = request({ args: [value({ a: 1 })], attachments: { a: 'b' } });
    const other = Buffer.from(bytes);
    other[2] = 0xc0 | 22;
    assert.match(decodeAll(other).lines[0]!, /^request 0 serialization 22 timeout 0 - - - - - - - \{\}/);
    assert.match(decodeAll(request({ descriptor: 'II', args: [value(1)], attachments: { a: 'b' } })).lines[0]!, / com\.example\.A go 1\.0 - - 2\.0\.2 - \{\}/, 'an argument is missing');
    assert.match(decodeAll(request({ descriptor: 'Ljava/lang/String', args: [value('x')] })).lines[0]!, / com\.example\.A go 1\.0 - - 2\.0\.2 - \{\}/, 'no descriptor');
    assert.match(decodeAll(frame({ body: Buffer.from([0xff, 0xff, 0xff]) })).lines[0]!, / - - - - - - - \{\}/);
    assert.match(decodeAll(frame({})).lines[0]!, /content 0 /);
  });

  test('the exception of a service may count as any status', () => {
    assert.equal(decodeAll(captured('3.3 fail reply'), 'client', { exceptionStatus: 500 }).heads[0]!.status, 500);
  });
});

describe('long frames', () => {
  const body = (n: number): Buffer => value('y'.repeat(n));
  const attachments = { group: 'gray', k: 'v' };

  test('requests up to the limit are whole and have a connection of their own, longer ones pass in pieces with their names known', () => {
    const small = decodeAll(request({ args: [body(1000)], attachments }));
    assert.equal(small.heads[0]!.sharing, 0);
    const large = decodeAll(request({ args: [body(300_000)], attachments }));
    assert.match(large.lines[0]!, / com\.example\.A go 1\.0 gray .*\{group=gray k=v\}/);
    assert.equal(large.heads[0]!.sharing, 1);
    const bytes = Buffer.concat([request({ args: [body(300_000)], attachments }), oneway({ args: [body(10)] })]);
    const pieces = decodeAll(bytes, 'server', { maxWhole: 256 * 1024 });
    assert.equal(pieces.heads[0]!.whole, false);
    assert.match(pieces.lines[0]!, /^request 0 serialization 2 timeout 0 com\.example\.A go 1\.0 - - 2\.0\.2 - \{\} content 300/);
    assert.match(pieces.lines[1]!, /^oneway/);
    for (const step of [1, 7, 1000, 65_536, 262_143]) {
      const cuts = Array.from({ length: Math.min(5000, Math.floor(bytes.length / step)) }, (_, i) => (i + 1) * step);
      assert.deepEqual(decodeCut(bytes, cuts, 'server', { maxWhole: 256 * 1024 }).lines, pieces.lines, `steps of ${step}`);
    }
  });

  test('long replies pass in pieces; what they carry is known', () => {
    const bytes = Buffer.concat([reply(7, 'z'.repeat(600_000)), failure(8, 60, 'no')]);
    const recorder = decodeAll(bytes, 'client');
    assert.match(recorder.lines[0]!, /^reply 7 serialization 2 status 20\/200 - - - - 200 - value \{\} content 600/);
    assert.match(recorder.lines[1]!, /^reply 8 .* status 60\/404/);
    assert.ok(recorder.again.take().length === bytes.length);
  });

  test('a long request is gathered only while the worker holds less than it may; otherwise it is passed over and refused', () => {
    const bytes = Buffer.concat([request({ args: [body(300_000)], attachments }), request({ id: 2n })]);
    gathered.bytes += MAX_GATHERED - 200_000;
    try {
      for (const cuts of [[100], [100, 5000, 200_000], [bytes.length - 100]]) {
        const { lines } = decodeCut(bytes, cuts);
        assert.equal(lines[0], `refused request 0 memory-limit {"limit":${MAX_GATHERED}}`);
        assert.match(lines[1]!, /^request 1 /);
      }
      assert.match(decodeAll(bytes).lines[0]!, /^request 0 .*group=gray/, 'one that is here already needs no room');
    } finally {
      gathered.bytes -= MAX_GATHERED - 200_000;
    }
  });

  test('of a frame in pieces nothing is edited', () => {
    const { heads } = decodeAll(request({ args: [body(300_000)], attachments }), 'server', { maxWhole: 1024 });
    const head = heads[0]!;
    head.set({ name: 'a', lower: 'a', bytes: Buffer.from('a'), hash: 0, part: 0 }, 'b');
    assert.deepEqual([head.edited, head.refused], [false, null]);
  });
});

describe('limits and faults', () => {
  test('a frame over the limit is passed over and refused, and what follows is read', () => {
    const bytes = Buffer.concat([request({ args: [value('a'.repeat(5000))] }), oneway({ args: [value('b'.repeat(6000))] }), reply(9, 'c'.repeat(7000)), request({ id: 3n })]);
    const whole = decodeAll(bytes, 'server', { maxFrame: 4096 });
    assert.deepEqual(whole.lines.slice(0, 3), ['refused request 0 frame-too-large {"limit":4096}', 'refused oneway 0 frame-too-large {"limit":4096}', 'refused reply 9 frame-too-large {"limit":4096}']);
    assert.match(whole.lines[3]!, /^request 1 /);
    for (let cut = 1; cut < bytes.length; cut += 13) assert.deepEqual(decodeCut(bytes, [cut, cut + 1], 'server', { maxFrame: 4096 }).lines, whole.lines);
  });

  for (const [what, bytes, expected] of [
    ['other bytes', Buffer.from('GET / HTTP/1.1\r\n\r\n'), 'error -1 bad-frame {"detail":"magic 47"}'],
    ['one byte that cannot be', Buffer.from([0xdb]), 'error -1 bad-frame {"detail":"magic db"}'],
    ['half a magic', Buffer.from([0xda, 0xbc, 0]), 'error -1 bad-frame {"detail":"magic dabc"}'],
    ['a negative length', Buffer.concat([frame({}).subarray(0, 12), Buffer.from([0xff, 0, 0, 0])]), 'error 0 bad-frame {"detail":"body length -16777216"}'],
    ['a length nobody means', Buffer.concat([frame({}).subarray(0, 12), Buffer.from([0x7f, 0xff, 0xff, 0xff])]), 'error 0 frame-too-large {"limit":16777216}'],
    ['an event of 100 KiB', frame({ flags: 0xe2, body: Buffer.alloc(102_400) }), 'error -1 frame-too-large {"limit":65536}'],
  ] as const) {
    test(`${what}: one error, and nothing after it`, () => {
      const after = Buffer.concat([bytes, request()]);
      const whole = decodeAll(after);
      assert.deepEqual(whole.lines, [expected]);
      const codec = new DubboCodec('server', defaults);
      const recorder = new Recorder();
      assert.equal(codec.decode(after, 0, after.length, recorder), after.length);
      assert.equal(codec.decode(request(), 0, 20, recorder), 20, 'swallowed');
      assert.equal(codec.eof(recorder), false);
      assert.deepEqual(recorder.lines, [expected]);
    });
  }

  test('the end inside a frame is a fault of clients only', () => {
    const bytes = request();
    for (let cut = 1; cut < bytes.length; cut++) {
      for (const role of ['server', 'client'] as const) {
        const codec = new DubboCodec(role);
        const recorder = new Recorder();
        codec.decode(bytes, 0, cut, recorder);
        assert.equal(codec.eof(recorder), false);
        assert.equal(recorder.errors, role === 'server' ? 1 : 0);
      }
    }
    const codec = new DubboCodec('server');
    const recorder = new Recorder();
    codec.decode(bytes, 0, bytes.length, recorder);
    assert.equal(codec.eof(recorder), true);
  });
});

describe('events', () => {
  test('heartbeats ask, answers tell, READONLY in any serialization is a go-away, others are ignored', () => {
    const event = (flags: number, hex: string): Buffer => frame({ flags, body: Buffer.from(hex, 'hex') });
    const bytes = Buffer.concat([
      heartbeat(77n), event(0xa2, '4e'), frame({ id: 9n, flags: 0x22, status: 20, body: Buffer.from('N') }), readOnly, event(0xb7, '000000024a52'), event(0xa6, Buffer.from('"R"\n').toString('hex')),
      event(0xa2, '0157'), event(0xe2, '0158'),
    ]);
    assert.deepEqual(decodeAll(bytes).lines, [`ping ${heartbeat(77n).toString('hex')}`, 'pong 9', 'goaway of the host', 'goaway of the host', 'goaway of the host', `ping ${event(0xe2, '0158').toString('hex')}`]);
  });
});

test('an idle codec holds on to nothing that it read', () => {
  const codec = new DubboCodec('server');
  const bytes = request({ attachments: { a: 'b' } });
  codec.decode(bytes, 0, bytes.length, new Recorder());
  const { head } = codec as unknown as { head: { buf: Uint8Array; bodyBuf: Uint8Array; vbuf: Uint8Array } };
  assert.deepEqual([head.buf.length, head.bodyBuf.length, head.vbuf.length], [0, 0, 0]);
});

// Floods: what a client can make the proxy do or hold for little is bounded, counted and answered with ENHANCE_YOUR_CALM.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { data, frame, get, GET, headers, hello, ping, POST, post, priority, reset, settings, settingsAck, windowUpdate } from '../../../support/http2.js';
import { server } from './recorder.js';

const times = (n: number, one: (i: number) => Buffer): Buffer => Buffer.concat(Array.from({ length: n }, (_, i) => one(i)));

describe('floods', () => {
  const floods: readonly (readonly [what: string, begin: Buffer, one: (i: number) => Buffer])[] = [
    ['PING', post(1), () => ping()],
    ['SETTINGS', post(1), () => settings()],
    ['empty DATA', post(1), () => data(1, '')],
    ['padding only', post(1), () => data(1, '', { pad: 0 })],
    ['PRIORITY', post(1), () => priority(1, 3)],
    ['unknown frames', post(1), () => frame(200, 0, 0)],
    ['RST_STREAM of nothing', Buffer.concat([post(1), reset(1, 8)]), () => reset(1, 8)],
  ];
  for (const [what, begin, one] of floods) {
    test(`${what} in one read ends the connection; as many over time do not`, () => {
      const lane = server(Buffer.concat([hello(), begin]));
      for (let i = 0; i < 40; i++) lane.feed(times(100, one));
      assert.equal(lane.sink.errors, 0);
      lane.sent();
      lane.feed(times(1001, one));
      assert.equal(lane.sent().at(-1), 'GOAWAY 1 ENHANCE_YOUR_CALM');
      assert.equal(lane.sink.lines.at(-1), 'error -1 frame-flood 1000');
    });
  }

  test('acknowledgements of SETTINGS and windows cost nothing', () => {
    const lane = server(Buffer.concat([hello(), post(1)])).feed(times(2000, () => settingsAck), times(2000, () => windowUpdate(1, 1)));
    assert.equal(lane.sink.errors, 0);
  });

  test('rapid reset: 500 requests given up, most of all there were', () => {
    const lane = server(hello());
    for (let i = 0; i < 499; i++) lane.feed(get(2 * i + 1), reset(2 * i + 1, 8));
    assert.equal(lane.sink.errors, 0);
    lane.feed(get(999), reset(999, 8));
    assert.equal(lane.sink.lines.at(-1), 'error -1 reset-flood 500');
    assert.equal(lane.sent().at(-1), 'GOAWAY 999 ENHANCE_YOUR_CALM');
    assert.equal(lane.codec.eof(lane.sink), true, 'nothing is kept of them');
  });

  test('rapid reset by faults of ours to find: malformed streams, windows overrun, streams over the limit', () => {
    const kinds: readonly ((id: number) => Buffer)[] = [
      (id) => Buffer.concat([post(id), windowUpdate(id, 0)]),
      (id) => Buffer.concat([post(id), windowUpdate(id, 0x7fffffff)]),
      (id) => Buffer.concat([post(id), headers(id, [['x', 'y']])]),
      (id) => Buffer.concat([headers(id, [...POST, ['content-length', '1']]), data(id, 'xy')]),
      (id) => Buffer.concat([post(id), priority(id, id)]),
    ];
    for (const one of kinds) {
      const lane = server(hello());
      for (let i = 0; i < 600 && lane.sink.errors === 0; i++) lane.feed(one(2 * i + 1));
      assert.equal(lane.sink.lines.at(-1), 'error -1 reset-flood 500');
    }
    const full = server(Buffer.concat([hello(), post(1)]), { maxStreams: 1 });
    for (let i = 1; i < 600 && full.sink.errors === 0; i++) full.feed(post(2 * i + 1));
    assert.equal(full.sink.lines.at(-1), 'error -1 reset-flood 500');
  });

  test('a client that finishes most of what it asks may reset the rest for ever', () => {
    const lane = server(hello());
    for (let i = 0; i < 2000; i++) {
      const id = 6 * i + 1;
      lane.feed(get(id), get(id + 2), get(id + 4));
      for (const done of [id + 2, id + 4]) lane.codec.encodeLocalReply(lane.out, done, { code: 'filter-replied', status: 204, body: '', headers: [], mirror: -1, close: false });
      lane.feed(reset(id, 8));
      lane.out.take();
    }
    assert.equal(lane.sink.errors, 0);
  });
});

describe('heads', () => {
  test('CONTINUATION without end: by number, also of empty ones, and by size', () => {
    const block = headers(1, GET).subarray(9);
    for (const piece of [Buffer.alloc(0), Buffer.from([0x82]), Buffer.alloc(16_384, 0x82)]) {
      const lane = server(Buffer.concat([hello(), frame(1, 0, 1, block)]));
      lane.sent();
      let n = 0;
      for (; n < 100 && lane.sink.errors === 0; n++) lane.feed(frame(9, 0, 1, piece));
      assert.ok(n <= 64 && (piece.length < 100 || n <= 6), `${n} frames of ${piece.length} bytes`);
      assert.equal(lane.sent().at(-1), 'GOAWAY 0 ENHANCE_YOUR_CALM');
    }
  });

  test('a bomb: a long field in the table, named again and again, is an error and not 64 MiB of memory', () => {
    const lane = server(hello());
    // Literal with incremental indexing: name "x", value of 4000 bytes; then index 62, 16,000 times.
    const field = Buffer.concat([Buffer.from([0x40, 1, 0x78, 0x7f, 0xa1, 0x1e]), Buffer.alloc(4000, 0x61)]);
    const before = process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers;
    lane.feed(headers(1, Buffer.concat([headers(1, GET).subarray(9), field, Buffer.alloc(12_000, 0xbe)]), { end: true, cut: [16_000] }));
    const after = process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers;
    assert.match(lane.sink.lines.at(-1)!, /^(error -1 bad-frame|refused 1 head-too-large)/);
    assert.ok(after - before < 8 << 20, `${after - before} bytes more`);
  });

  test('a head just over the limit is refused with 431 and costs the connection nothing', () => {
    const lane = server(hello());
    for (let i = 0; i < 20; i++) lane.feed(headers(2 * i + 1, [...GET, ...Array.from({ length: 5 }, (_, k) => [`x${k}`, 'v'.repeat(13_200)] as const)], { end: true, cut: [16_000, 16_000, 16_000, 16_000] }));
    assert.equal(lane.sink.errors, 0);
    assert.equal(lane.sent().filter((line) => line.includes(':status=431')).length, 20);
    assert.match(lane.feed(get(99)).heard().at(-1)!, /^request 99/);
  });
});

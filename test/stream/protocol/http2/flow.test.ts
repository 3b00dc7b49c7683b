// Flow control (RFC 9113 section 5.2, 6.9): what may be sent, what waits, negative windows, and what the peer is granted.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CONNECTION_WINDOW } from '../../../../src/stream/protocol/http2/send.js';
import { data, get, headers, hello, OK, post, reset, settings, settingsAck, windowUpdate } from '../../../support/http2.js';
import { client, server, type Lane, type Recorder } from './recorder.js';
import type { Http2Codec } from '../../../../src/stream/protocol/http2/codec.js';

const big = Buffer.alloc(200_000, 120);

/** A reply head of a host, as the client role hears it. */
function replyHead(): Recorder['heads'][number] {
  const host = client();
  host.codec.encodeRequest(host.out, requestHead(), 1, true);
  host.feed(headers(1, OK));
  return host.sink.heads[0]!;
}

function requestHead(): Recorder['heads'][number] {
  return server(Buffer.concat([hello(), post(1)])).sink.heads[0]!;
}

/** A server that has begun replies to `n` requests of a client with these settings. */
function replying(n: number, ...pairs: readonly (readonly [number, number])[]): Lane<Http2Codec> {
  const lane = server(Buffer.concat([hello(...pairs), ...Array.from({ length: n }, (_, i) => get(2 * i + 1))]));
  for (let i = 0; i < n; i++) lane.codec.encodeReply(lane.out, replyHead(), 2 * i + 1, false);
  lane.sent();
  lane.heard();
  return lane;
}

const total = (lines: readonly string[], stream: number): number =>
  lines.filter((line) => line.startsWith(`DATA ${stream} `)).reduce((sum, line) => sum + Number(line.split(' ')[2]), 0);

describe('sending', () => {
  test('content is cut into frames, and ends where the window of the stream does', () => {
    const lane = replying(1, [4, 40_000]);
    lane.codec.encodeData(lane.out, 1, big, 0, 50_000, true);
    assert.deepEqual(lane.sent(), ['DATA 1 16375', 'DATA 1 16375', 'DATA 1 7250']);
    assert.deepEqual([lane.codec.held, lane.codec.stalled(1), lane.codec.due], [10_000, true, false]);
    lane.feed(windowUpdate(1, 4000));
    assert.deepEqual(lane.sent(), ['DATA 1 4000']);
    lane.feed(windowUpdate(1, 100_000));
    assert.deepEqual(lane.sent(), ['DATA 1 6000 end']);
    assert.deepEqual([lane.codec.held, lane.codec.stalled(1)], [0, false]);
    assert.deepEqual(lane.heard(), [], 'nothing is asked of a message that is complete');
    assert.equal(lane.codec.eof(lane.sink), true);
  });

  test('the window of the connection holds all streams, which then go in turn', () => {
    const lane = replying(3, [4, 1_000_000]);
    for (const id of [1, 3, 5]) lane.codec.encodeData(lane.out, id, big, 0, 60_000, false);
    assert.equal(lane.sent().reduce((sum, line) => sum + Number(line.split(' ')[2]), 0), 65_535);
    assert.equal(lane.codec.held, 180_000 - 65_535);
    lane.feed(windowUpdate(0, 40_000));
    const lines = lane.sent();
    assert.deepEqual(lines.slice(0, 2), ['DATA 3 16375', 'DATA 5 16375'], 'the first has gone, the others take turns');
    assert.equal(total(lines, 3) + total(lines, 5), 40_000);
    lane.feed(windowUpdate(0, 1_000_000));
    lane.sent();
    assert.deepEqual(lane.heard(), ['room 3', 'room 5'], 'told when all of it has gone');
    assert.equal(lane.codec.held, 0);
  });

  test('a window that SETTINGS make negative has to be paid back first', () => {
    const lane = replying(1, [4, 10_000]);
    lane.codec.encodeData(lane.out, 1, big, 0, 10_000, false);
    assert.equal(total(lane.sent(), 1), 10_000);
    lane.feed(settings([4, 2000]));
    lane.codec.encodeData(lane.out, 1, Buffer.from('rest'), 0, 4, true);
    assert.deepEqual(lane.sent(), []);
    lane.feed(windowUpdate(1, 8000));
    assert.deepEqual(lane.sent(), [], 'the window is 0 now');
    lane.feed(windowUpdate(1, 2));
    assert.deepEqual(lane.sent(), ['DATA 1 2']);
    lane.feed(settings([4, 2002]));
    assert.deepEqual(lane.sent(), ['DATA 1 2 end']);
  });

  test('a window of 0 holds content back but neither heads nor empty ends nor trailers', () => {
    const lane = replying(2, [4, 0]);
    lane.codec.encodeData(lane.out, 1, big, 0, 0, true);
    assert.deepEqual(lane.sent(), ['DATA 1 0 end']);
    lane.codec.encodeTrailers(lane.out, 3, null);
    assert.deepEqual(lane.sent(), ['DATA 3 0 end']);
  });

  test('trailers wait behind content', () => {
    const lane = replying(1, [4, 5]);
    const trailers = server(Buffer.concat([hello(), headers(1, [[':method', 'GET'], [':scheme', 'http'], [':path', '/'], ['x-sum', '7']], { end: true })])).sink.heads[0]!;
    const host = client();
    host.codec.encodeRequest(host.out, requestHead(), 1, true);
    host.feed(headers(1, OK), headers(1, [['x-sum', '7']], { end: true }));
    assert.ok(trailers.protocol === 'http2');
    let kept: Recorder['heads'][number] | null = null;
    const other = client();
    other.codec.encodeRequest(other.out, requestHead(), 1, true);
    other.sink.onTrailers = (_id, head) => void (kept = head.keep());
    other.feed(headers(1, OK), headers(1, [['x-sum', '7']], { end: true }));
    lane.codec.encodeData(lane.out, 1, Buffer.from('0123456789'), 0, 10, false);
    lane.codec.encodeTrailers(lane.out, 1, kept);
    assert.deepEqual(lane.sent(), ['DATA 1 5']);
    lane.feed(windowUpdate(1, 5));
    assert.deepEqual(lane.sent(), ['DATA 1 5', 'HEADERS 1 end x-sum=7']);
    assert.equal(lane.codec.eof(lane.sink), true);
  });

  test('content that waits goes with its stream when this is reset, by whomever', () => {
    for (const by of ['peer', 'us'] as const) {
      const lane = replying(2, [4, 5]);
      for (const id of [1, 3]) lane.codec.encodeData(lane.out, id, Buffer.from('0123456789'), 0, 10, true);
      assert.equal(lane.codec.held, 10);
      if (by === 'peer') lane.feed(reset(1, 8));
      else lane.codec.encodeReset(lane.out, 1, 'stream-idle');
      assert.equal(lane.codec.held, 5);
      lane.feed(windowUpdate(0, 100), windowUpdate(1, 100), windowUpdate(3, 100));
      assert.deepEqual(lane.sent().slice(2), [...(by === 'us' ? ['RST_STREAM 1 CANCEL'] : []), 'DATA 3 5 end']);
      assert.equal(lane.codec.held, 0);
    }
  });

  test('windows grow to 2^31-1 and no further', () => {
    const stream = replying(2);
    stream.feed(windowUpdate(1, 0x7fffffff));
    assert.deepEqual([stream.sent(), stream.heard()], [['RST_STREAM 1 FLOW_CONTROL_ERROR'], ['reset 1 bad-request']]);
    const connection = replying(1).feed(windowUpdate(0, 0x7fffffff));
    assert.deepEqual(connection.sent(), ['GOAWAY 1 FLOW_CONTROL_ERROR']);
    const initial = replying(1).feed(windowUpdate(1, 0x7fffffff - 65_535), settings([4, 65_536]));
    assert.deepEqual(initial.sent(), ['GOAWAY 1 FLOW_CONTROL_ERROR']);
  });

  test('frames are never larger than the peer allows', () => {
    const lane = replying(1, [5, 20_000], [4, 1_000_000]);
    lane.feed(windowUpdate(0, 1_000_000));
    lane.codec.encodeData(lane.out, 1, big, 0, big.length, true);
    const sizes = lane.sent().map((line) => Number(line.split(' ')[2]));
    assert.ok(Math.max(...sizes) <= 16_384);
    assert.equal(sizes.reduce((a, b) => a + b, 0), big.length);
  });
});

describe('receiving', () => {
  test('the connection is granted anew on receipt, streams when their content has gone on', () => {
    const lane = server(Buffer.concat([hello(), post(1)]));
    lane.sent();
    let sent = 0;
    let granted = 0;
    let stream = 0;
    for (; sent < CONNECTION_WINDOW * 2; sent += 16_384) {
      lane.feed(data(1, big.subarray(0, 16_384)));
      lane.codec.credit(lane.out, 1, 16_384);
      lane.peer.push(lane.out.take());
      for (const { line } of lane.peer.frames.splice(0)) {
        const [what, id, bytes] = line.split(' ');
        if (what !== 'WINDOW_UPDATE') continue;
        if (id === '0') granted += Number(bytes);
        else stream += Number(bytes);
      }
    }
    assert.equal(lane.sink.errors, 0);
    assert.ok(sent - granted < CONNECTION_WINDOW / 2, `${sent - granted} not granted again`);
    assert.ok(sent - stream <= 131_072, `${sent - stream} of the stream not granted again`);
  });

  test('a window smaller than the default holds once the client has acknowledged it', () => {
    const lane = server(Buffer.concat([hello(), post(1), post(3)]), { streamWindow: 20_000 });
    lane.feed(...Array.from({ length: 6 }, () => data(1, big.subarray(0, 10_000))), settingsAck);
    assert.equal(lane.heard().at(-1), 'data 1 60000 bytes', 'what was sent before is no fault');
    lane.sent();
    lane.codec.credit(lane.out, 1, 60_000);
    assert.deepEqual(lane.sent(), ['WINDOW_UPDATE 1 60000']);
    lane.feed(data(1, big.subarray(0, 10_000)), data(1, big.subarray(0, 10_000)), data(3, big.subarray(0, 10_000)), data(3, big.subarray(0, 10_001)));
    assert.deepEqual(lane.sent(), ['RST_STREAM 3 FLOW_CONTROL_ERROR']);
  });

  test('without credit a stream ends at its window: one byte more is an error of the stream', () => {
    const lane = server(Buffer.concat([hello(), settingsAck, post(1), post(3)]), { streamWindow: 20_000 });
    lane.feed(data(1, big.subarray(0, 16_000)), data(1, big.subarray(0, 4000)));
    lane.sent();
    lane.heard();
    lane.feed(data(1, 'x'), data(3, 'y', { end: true }));
    assert.deepEqual(lane.sent(), ['RST_STREAM 1 FLOW_CONTROL_ERROR']);
    assert.deepEqual(lane.heard(), ['reset 1 bad-request', 'data 3 "y" last']);
  });

  test('content of streams that are gone counts for the connection, which is granted it again', () => {
    const lane = server(Buffer.concat([hello(), post(1)]));
    lane.codec.encodeReset(lane.out, 1, 'request-timeout');
    for (let i = 0; i < 3000; i++) lane.feed(data(1, big.subarray(0, 16_384)));
    assert.equal(lane.sink.errors, 0);
    assert.equal(lane.sink.lines.length, 1);
  });

  test('more than the window of the connection is an error of the connection', () => {
    // As many streams as it takes; none gets credit, but the connection is granted on receipt: only one large window could pass it.
    const lane = server(Buffer.concat([hello(), post(1)]), { streamWindow: 0x7fffffff });
    Object.assign(lane.codec, { receiveWindow: 10 });
    lane.feed(data(1, '0123456789x'));
    assert.deepEqual(lane.sent().slice(-1), ['GOAWAY 1 FLOW_CONTROL_ERROR']);
  });
});

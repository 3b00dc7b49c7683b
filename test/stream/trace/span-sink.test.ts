// What a worker hands to the main thread: whole exchanges in batches, in time, and never more than are taken.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FakeClock } from '../../../src/core/clock-fake.js';
import { setClock } from '../../../src/core/clock.js';
import { Stats } from '../../../src/core/stats.js';
import { ConnectionInfo } from '../../../src/network/wire.js';
import { ExchangeRecord, NOTE_LOCAL_REPLY } from '../../../src/stream/record.js';
import { TraceContext } from '../../../src/stream/trace/context.js';
import { SpanSink } from '../../../src/stream/trace/span-sink.js';
import { type Packed, unpack } from '../../../src/stream/trace/traced-exchange.js';

function record(): ExchangeRecord {
  const made = new ExchangeRecord();
  made.trace = Object.assign(new TraceContext(), { sampled: true, traceId: 'a'.repeat(32), serverId: 'b'.repeat(16), clientId: 'c'.repeat(16), method: 'GET', path: '/x' });
  return made;
}

/** A sink on a clock of its own. */
function lab(work: (sink: SpanSink, posted: Packed[], clock: FakeClock) => void): void {
  const clock = new FakeClock();
  const restore = setClock(clock);
  try {
    const posted: Packed[] = [];
    work(new SpanSink({ stats: new Stats(), post: (batch) => void posted.push(batch) }), posted, clock);
  } finally {
    restore();
  }
}

describe('the sink of spans', () => {
  test('hands over every fact of an exchange and its attempts', () => lab((sink, posted, clock) => {
    const r = record();
    Object.assign(r, {
      start: clock.now() - 30, end: clock.now() - 10, protocol: 'http1', listener: 'web', routeName: 'r', clusterName: 'app', status: 503, rawStatus: 503, code: 'connect-refused',
      bytesIn: 10, bytesOut: 20, flags: NOTE_LOCAL_REPLY, oneway: true,
      downstream: Object.assign(new ConnectionInfo(), { remoteAddress: '::1', remotePort: 1, localAddress: '::2', localPort: 2, secure: true }),
    });
    r.beginAttempt('a:1', r.start + 1, true);
    r.endAttempt('upstream-reset', 'ECONNRESET', r.start + 3);
    r.beginAttempt('b:2', r.start + 4, false);
    r.endAttempt('', '', r.start + 9, 503);
    sink.add(r);
    sink.add(record());
    sink.flush();
    const wall = clock.wall();
    const [told, plain] = unpack(posted[0]!);
    assert.deepEqual({ ...told!, start: 0, end: 0, attempts: [] }, {
      traceId: 'a'.repeat(32), parentId: '', serverId: 'b'.repeat(16), clientId: 'c'.repeat(16), state: '', sofaTrace: '', sofaCall: '', sofaNext: '',
      method: 'GET', path: '/x', authority: '', scheme: '', service: '', rpcMethod: '', agent: '', contentType: '',
      protocol: 'http1', listener: 'web', route: 'r', cluster: 'app', code: 'connect-refused', status: 503, rawStatus: 503, bytesIn: 10, bytesOut: 20, flags: NOTE_LOCAL_REPLY,
      oneway: true, secure: true, remoteAddress: '::1', remotePort: 1, localAddress: '::2', localPort: 2, start: 0, end: 0, attempts: [],
    });
    assert.deepEqual([told!.start, told!.end], [wall - 30, wall - 10]);
    assert.deepEqual(told!.attempts, [
      { host: 'a:1', code: 'upstream-reset', errno: 'ECONNRESET', started: wall - 29, duration: 2, reused: true, status: 0 },
      { host: 'b:2', code: '', errno: '', started: wall - 26, duration: 5, reused: false, status: 503 },
    ]);
    assert.deepEqual([plain!.remoteAddress, plain!.secure, plain!.attempts], ['', false, []]);
  }));

  test('waits a moment for more, and not when a batch is full', () => lab((sink, posted, clock) => {
    sink.add(record());
    assert.equal(posted.length, 0);
    clock.advance(600);
    assert.equal(posted.length, 1);
    for (let i = 0; i < 256; i++) sink.add(record());
    assert.equal(posted.length, 2);
    assert.equal(unpack(posted[1]!).length, 256);
    clock.advance(600);
    assert.equal(posted.length, 2);
  }));

  test('counts what it drops while nobody takes its batches, and goes on when somebody does', () => lab((sink, posted, clock) => {
    for (let i = 0; i < 16 * 256 + 256 + 10; i++) sink.add(record());
    assert.deepEqual([posted.length, sink.dropped.value, sink.recorded.value], [16, 10, 17 * 256 + 10]);
    clock.advance(600);
    assert.equal(posted.length, 16);
    sink.taken();
    assert.equal(posted.length, 17);
    sink.add(record());
    clock.advance(600);
    assert.equal(posted.length, 17, 'still as many untaken as may be');
    sink.taken();
    assert.equal(posted.length, 18, 'what waited too long goes at once');
    sink.add(record());
    sink.flush();
    assert.equal(posted.length, 19);
  }));
});

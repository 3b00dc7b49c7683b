// The head-of-line rule end to end: a receiver that is far behind on a shared connection costs the others at most a second, and memory a known amount.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '../../src/core/clock-fake.js';
import { setClock } from '../../src/core/clock.js';
import { wheel } from '../../src/core/deadline.js';
import { HIGH_WATER } from '../../src/network/connection.js';
import { QUARANTINE_MS } from '../../src/stream/pool/multiplex.js';
import { buildFrame, buildHeaders } from '../../src/stream/protocol/bolt/frame.js';
import { BoltProtocol } from '../../src/stream/protocol/bolt/protocol.js';
import { MAX_UNSENT, SLOW_READER_MS } from '../../src/stream/slow-reader.js';
import type { FakeWire } from '../support/fake-wire.js';
import { Lab, type LabOptions } from '../support/stream-lab.js';

const NONE = { connections: 0, pending: 0, requests: 0, retries: 0, activeRequests: 0, pendingRequests: 0, listenerActive: 0, hostsActive: 0 };
const FAR_BEHIND = 1024 * 1024;
const PIECE = 64 * 1024;

/** A lab on a clock that stands still; at the end nothing may be left over. */
function frozen(options: Partial<LabOptions>, run: (l: Lab, clock: FakeClock) => void): void {
  const clock = new FakeClock();
  const restore = setClock(clock);
  const before = wheel.armed;
  try {
    const l = new Lab({ protocol: new BoltProtocol(), ...options, cluster: { heartbeat: { interval: 0, timeout: 0, misses: 0 }, ...options.cluster } });
    run(l, clock);
    for (const session of [...l.listener.sessions]) session.connection.close();
    for (const { wire } of l.dialled) wire.close();
    assert.deepEqual(l.levels(), NONE);
    assert.equal(wheel.armed, before, 'deadlines left');
  } finally {
    restore();
  }
}

const frame = (id: number, type: number, content: Uint8Array | string): Buffer => buildFrame({
  proto: 1, ver1: 1, switches: 0, type, command: type === 0 ? 2 : 1, id, codec: 1, timeoutOrStatus: type === 0 ? 0 : -1,
  className: Buffer.from('C'), headers: buildHeaders([]), content: Buffer.from(content),
});
const ask = (id: number, content = 'x'): Buffer => frame(id, 1, content);
const answer = (id: number, content: Uint8Array | string = 'y'): Buffer => frame(id, 0, content);
const big = (size: number): Buffer => Buffer.alloc(size, 122);
/** Ids of the short requests sent since the last call. */
const idsOf = (up: FakeWire): number[] => {
  const ids = [];
  for (let bytes = up.take(); bytes.length > 0; bytes = bytes.subarray(22 + 1 + bytes.readUInt32BE(18))) ids.push(bytes.readUInt32BE(5));
  return ids;
};

/** The client takes all there is, and the turn of the event loop ends, in which a last block goes out. */
function drain(wire: FakeWire): void {
  wire.drain();
  wire.connection.flush();
}

/** Feeds a frame piece by piece, as long as the connection is read and `go` says so; returns how much was fed. */
function stream(up: FakeWire, bytes: Buffer, from = 0, go: () => boolean = () => true): number {
  let at = from;
  while (at < bytes.length && !up.paused && go()) {
    up.feed(bytes.subarray(at, at + PIECE));
    at += PIECE;
  }
  return Math.min(at, bytes.length);
}

test('others of the connection get what is there, new calls go elsewhere, and after a second the rest fails with head-of-line', () => {
  frozen({}, (l, clock) => {
    const [slow, quick, third] = [l.client(), l.client(), l.client()];
    slow.feed(ask(1));
    quick.feed(ask(2));
    quick.feed(ask(3));
    const up = l.upstream(0);
    const [long, first, late] = idsOf(up);
    slow.stuck = true;
    const reply = answer(long!, big(8 * FAR_BEHIND));
    let at = stream(up, reply, 0, () => l.dialled.length === 1 && slow.connection.unsent < FAR_BEHIND);
    third.feed(ask(4));
    assert.equal(l.dialled.length, 2, 'nothing new on the connection that is filled');
    assert.equal(up.paused, false, 'the others wait behind the long reply, so it is read on');
    clock.advance(QUARANTINE_MS / 2);
    assert.equal(l.finished.length, 0);
    at = stream(up, reply, at, () => slow.connection.unsent < 2 * FAR_BEHIND);
    clock.advance(QUARANTINE_MS / 2 + 50);
    assert.deepEqual(l.finished.map((f) => f.code), ['head-of-line', 'head-of-line']);
    assert.equal(quick.take().readUInt32BE(5), 2);
    assert.equal(up.paused, true);
    const held = slow.connection.unsent;
    assert.equal(stream(up, reply, at), at, 'no more is read');
    assert.ok(held < 2 * FAR_BEHIND + PIECE, `${held} bytes wait for the slow client`);
    const [fourth] = idsOf(l.upstream(1));
    l.upstream(1).feed(answer(fourth!));
    assert.equal(third.take().readUInt32BE(5), 4);
    drain(slow);
    assert.equal(up.paused, false);
    assert.equal(stream(up, reply, at), reply.length);
    up.feed(Buffer.concat([answer(first!), answer(late!)]));
    assert.equal(quick.take().length, 0, 'too late: these were answered');
    assert.equal(slow.take().length, reply.length);
    assert.equal(l.last.code, '');
    assert.equal(up.destroyed, true, 'it is not used again');
  });
});

test('calls that may be repeated are sent again elsewhere within the second', () => {
  frozen({ route: { idempotent: true, retry: { on: ['reset'], attempts: 2 } } }, (l, clock) => {
    const [slow, quick] = [l.client(), l.client()];
    slow.feed(ask(1));
    quick.feed(ask(2));
    const up = l.upstream(0);
    const [long] = idsOf(up);
    slow.stuck = true;
    const reply = answer(long!, big(8 * FAR_BEHIND));
    stream(up, reply, 0, () => slow.connection.unsent < 2 * FAR_BEHIND);
    clock.advance(QUARANTINE_MS + 300);
    assert.equal(quick.take().length, 0);
    const [again] = idsOf(l.upstream(1));
    l.upstream(1).feed(answer(again!));
    assert.equal(quick.take().readUInt32BE(5), 2);
    assert.deepEqual(l.last.attempts.map((a) => a.code), ['head-of-line', '']);
    assert.equal(up.paused, true);
  });
});

test('whose reply was through within the second harms nobody', () => {
  frozen({}, (l, clock) => {
    const [slow, quick] = [l.client(), l.client()];
    slow.feed(ask(1));
    quick.feed(ask(2));
    const up = l.upstream(0);
    const [long, other] = idsOf(up);
    slow.stuck = true;
    const reply = answer(long!, big(3 * FAR_BEHIND));
    assert.equal(stream(up, reply), reply.length);
    clock.advance(3 * QUARANTINE_MS);
    assert.equal(up.destroyed, false);
    assert.equal(up.paused, false);
    up.feed(answer(other!));
    assert.equal(quick.take().readUInt32BE(5), 2);
    assert.deepEqual(l.finished.map((f) => f.code), ['', '']);
    assert.equal(up.destroyed, true);
    assert.equal(slow.paused, true, 'the slow one is not read before it has taken its reply');
    drain(slow);
    assert.equal(slow.paused, false);
  });
});

test('a connection that only the slow one uses pauses at once, and nobody is put behind it', () => {
  frozen({}, (l) => {
    const [slow, quick] = [l.client(), l.client()];
    slow.feed(ask(1));
    const up = l.upstream(0);
    const [long] = idsOf(up);
    slow.stuck = true;
    const reply = answer(long!, big(8 * FAR_BEHIND));
    const at = stream(up, reply);
    assert.equal(up.paused, true);
    assert.ok(at <= FAR_BEHIND + 2 * PIECE, `${at} bytes were read`);
    quick.feed(ask(2));
    assert.equal(l.dialled.length, 2);
    const [other] = idsOf(l.upstream(1));
    l.upstream(1).feed(answer(other!));
    assert.equal(quick.take().readUInt32BE(5), 2);
    slow.close();
    assert.equal(l.last.code, 'downstream-closed');
    assert.equal(up.destroyed, true, 'nobody wants the rest of the reply');
  });
});

test('a very long reply takes its connection out of use even when its receiver keeps up, and fails nobody that is answered in time', () => {
  frozen({}, (l, clock) => {
    const [a, b] = [l.client(), l.client()];
    a.feed(ask(1));
    b.feed(ask(2));
    const up = l.upstream(0);
    const [long, other] = idsOf(up);
    const reply = answer(long!, big(2 * FAR_BEHIND));
    const at = stream(up, reply, 0, () => a.sentBytes.length < 300_000);
    b.feed(ask(3));
    assert.equal(l.dialled.length, 2);
    assert.equal(stream(up, reply, at), reply.length);
    up.feed(answer(other!));
    assert.equal(b.take().readUInt32BE(5), 2);
    assert.equal(up.destroyed, true);
    clock.advance(2 * QUARANTINE_MS);
    assert.deepEqual(l.finished.map((f) => f.code), ['', '']);
    const short = l.client();
    short.feed(ask(4));
    const ids = idsOf(l.upstream(1));
    l.upstream(1).feed(Buffer.concat([answer(ids[0]!, big(FAR_BEHIND - 100)), answer(ids[1]!)]));
    short.feed(ask(5));
    assert.equal(l.dialled.length, 2, 'up to a mebibyte it may go on');
    l.upstream(1).feed(answer(idsOf(l.upstream(1))[0]!));
  });
});

test('two slow ones in turn: the second has its own second', () => {
  frozen({}, (l, clock) => {
    const [one, two, quick] = [l.client(), l.client(), l.client()];
    for (const c of [one, two, quick]) c.feed(ask(1));
    const up = l.upstream(0);
    const ids = idsOf(up);
    one.stuck = true;
    two.stuck = true;
    const first = answer(ids[0]!, big(2 * FAR_BEHIND));
    assert.equal(stream(up, first), first.length);
    clock.advance(QUARANTINE_MS - 100);
    const second = answer(ids[1]!, big(8 * FAR_BEHIND));
    const at = stream(up, second, 0, () => two.connection.unsent < 2 * FAR_BEHIND);
    clock.advance(QUARANTINE_MS - 100);
    assert.deepEqual(l.finished.map((f) => f.code), ['']);
    assert.equal(up.paused, false);
    clock.advance(200);
    assert.deepEqual(l.finished.map((f) => f.code), ['', 'head-of-line']);
    assert.equal(up.paused, true);
    drain(two);
    assert.equal(stream(up, second, at), second.length);
    assert.equal(l.last.code, '');
  });
});

test('a client that takes nothing for half a minute is closed with the reason; one that takes a little is not', () => {
  frozen({}, (l, clock) => {
    const slow = l.client();
    slow.feed(ask(1));
    const up = l.upstream(0);
    const [long] = idsOf(up);
    slow.stuck = true;
    stream(up, answer(long!, big(8 * FAR_BEHIND)));
    clock.advance(SLOW_READER_MS - 100);
    slow.unsent -= 1000;
    clock.advance(SLOW_READER_MS - 100);
    assert.equal(slow.destroyed, false);
    clock.advance(SLOW_READER_MS + 100);
    assert.equal(slow.destroyed, true);
    assert.equal(slow.reset, true);
    assert.equal(l.last.code, 'slow-reader');
    assert.equal(up.destroyed, true);
  });
});

test('during the second a client is closed when it passes the most that may wait for anyone', () => {
  frozen({}, (l) => {
    const [slow, quick] = [l.client(), l.client()];
    slow.feed(Buffer.concat([ask(1), ask(2), ask(3)]));
    quick.feed(ask(1));
    const up = l.upstream(0);
    const ids = idsOf(up);
    let unsent = 0;
    // Counts only: copies of so many bytes would take longer than the test is worth.
    slow.send = (_buf, start, end) => {
      unsent += end - start;
      slow.unsent = unsent;
      return false;
    };
    for (const id of ids.slice(0, 3)) stream(up, answer(id, big(15 * FAR_BEHIND)), 0, () => !slow.destroyed);
    assert.equal(slow.destroyed, true);
    assert.ok(Math.abs(unsent - MAX_UNSENT) < 2 * PIECE, `${unsent} bytes`);
    assert.equal(l.last.code, 'slow-reader');
    assert.equal(quick.destroyed, false);
  });
});

test('replies that wait behind an unfinished one for the same client count as unsent', () => {
  frozen({ hosts: 2 }, (l) => {
    const c = l.client();
    for (let id = 1; id <= 8; id++) c.feed(ask(id));
    const [one, two] = [l.upstream(0), l.upstream(1)];
    const long = idsOf(one);
    const short = idsOf(two);
    const reply = answer(long[0]!, big(400_000));
    one.feed(reply.subarray(0, 200_000));
    assert.equal(c.paused, false);
    for (const id of short) two.feed(answer(id, big(100_000)));
    assert.equal(c.take().length, 200_000, 'frames may not be mixed');
    assert.equal(c.paused, true);
    one.feed(reply.subarray(200_000));
    assert.equal(c.take().length, reply.length - 200_000 + 4 * answer(1, big(100_000)).length);
    assert.equal(c.paused, false);
    assert.ok(4 * 100_000 > HIGH_WATER);
    for (const id of long.slice(1)) one.feed(answer(id));
    assert.equal(l.finished.length, 8);
    assert.ok(l.finished.every((f) => f.bytesOut > 20), 'each counts its own bytes');
  });
});

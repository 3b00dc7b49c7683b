// The life of Bolt exchanges over shared connections: ids, oneway, retries, timeouts, failures in each phase, and counters back at zero.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '../../src/core/clock-fake.js';
import { setClock } from '../../src/core/clock.js';
import { BoltProtocol } from '../../src/stream/protocol/bolt/protocol.js';
import { buildFrame, buildHeaders } from '../../src/stream/protocol/bolt/frame.js';
import type { FakeWire } from '../support/fake-wire.js';
import { Lab } from '../support/stream-lab.js';

const NONE = { connections: 0, pending: 0, requests: 0, retries: 0, activeRequests: 0, pendingRequests: 0, listenerActive: 0, hostsActive: 0 };
const zero = (lab: Lab, connections: number): void => assert.deepEqual(lab.levels(), { ...NONE, connections });

interface Frame {
  readonly id: number;
  readonly type?: number;
  readonly status?: number;
  readonly content?: string;
  readonly timeout?: number;
  readonly service?: string;
}

const request = (f: Frame): Buffer => buildFrame({
  proto: 1, ver1: 1, switches: 0, type: f.type ?? 1, command: 1, id: f.id, codec: 1, timeoutOrStatus: f.timeout ?? 3000,
  className: Buffer.from('com.alipay.sofa.rpc.core.request.SofaRequest'), headers: buildHeaders([['service', f.service ?? 'a.b.C:1.0']]), content: Buffer.from(f.content ?? 'ping'),
});
const reply = (f: Frame): Buffer => buildFrame({
  proto: 1, ver1: 1, switches: 0, type: 0, command: 2, id: f.id, codec: 1, timeoutOrStatus: f.status ?? 0,
  className: Buffer.from('com.alipay.sofa.rpc.core.response.SofaResponse'), headers: buildHeaders([]), content: Buffer.from(f.content ?? 'pong'),
});
const idOf = (frame: Buffer, at = 0): number => frame.readUInt32BE(at + 5);
const statusOf = (frame: Buffer): number => frame.readUInt16BE(10);

function lab(options: Partial<ConstructorParameters<typeof Lab>[0]> = {}): Lab {
  return new Lab({ protocol: new BoltProtocol(), ...options });
}

test('a request is forwarded under an id of the shared connection and its reply returns under the client\'s', () => {
  const l = lab();
  const a = l.client();
  const b = l.client();
  a.feed(request({ id: 7, content: 'from a' }));
  b.feed(request({ id: 7, content: 'from b' }));
  assert.equal(l.dialled.length, 1, 'both clients share one connection');
  const up = l.upstream();
  const sent = up.take();
  const first = request({ id: 7, content: 'from a' });
  assert.equal(sent.length, first.length * 2);
  const [ida, idb] = [idOf(sent), idOf(sent, first.length)];
  assert.notEqual(ida, idb);
  up.feed(Buffer.concat([reply({ id: idb, content: 'to b' }), reply({ id: ida, content: 'to a' })]));
  assert.deepEqual(a.take(), reply({ id: 7, content: 'to a' }));
  assert.deepEqual(b.take(), reply({ id: 7, content: 'to b' }));
  assert.deepEqual(l.finished.map((f) => [f.status, f.code]), [[200, ''], [200, '']]);
  zero(l, 1);
});

test('a oneway request is sent, counted and not waited for', () => {
  const l = lab();
  const c = l.client();
  c.feed(request({ id: 9, type: 2 }));
  assert.equal(l.upstream().take().length, request({ id: 9 }).length);
  assert.equal(l.finished.length, 1);
  assert.equal(l.last.code, '');
  zero(l, 1);
});

test('a refused connection is tried again on another host, and the client sees nothing of it', () => {
  const l = lab({ hosts: 2 });
  const c = l.client();
  c.feed(request({ id: 1 }));
  l.refuse(0);
  const up = l.upstream(1);
  const sent = up.take();
  assert.equal(sent.length, request({ id: 1 }).length);
  up.feed(reply({ id: idOf(sent) }));
  assert.equal(statusOf(c.take()), 0);
  assert.deepEqual(l.last.attempts.map((a) => a.code), ['connect-refused', '']);
  zero(l, 1);
});

test('with every host refusing, the client gets an error reply that names the reason', () => {
  const l = lab({ hosts: 2 });
  const c = l.client();
  c.feed(request({ id: 3 }));
  l.refuse(0);
  l.refuse(1);
  const got = c.take();
  assert.equal(idOf(got), 3);
  assert.notEqual(statusOf(got), 0);
  assert.match(got.toString('latin1'), /10\.0\.0\.\d:80 refused the connection/);
  assert.equal(l.last.code, 'connect-refused');
  zero(l, 0);
});

test('a shared connection that dies fails its requests, or sends them again where the route says that they are idempotent', () => {
  for (const idempotent of [false, true]) {
    const l = lab({ hosts: 2, route: { idempotent } });
    const c = l.client();
    c.feed(request({ id: 1 }));
    const first = l.upstream();
    first.feed(reply({ id: idOf(first.take()) }));
    c.take();
    c.feed(Buffer.concat([request({ id: 2 }), request({ id: 3 })]));
    // Round robin: one of the two went to the second host; give both their connection and kill the first.
    first.take();
    l.upstream(1).take();
    first.close();
    if (!idempotent) {
      assert.equal(l.last.code, 'upstream-closed');
      assert.notEqual(statusOf(c.take()), 0);
    } else {
      const again = l.upstream(-1).take();
      assert.ok(again.length > 0, 'the request was sent again');
      assert.equal(c.take().length, 0, 'the client saw nothing of it');
    }
  }
});

test('the timeout of the frame ends the exchange with the protocol\'s own status, and a late reply reaches nobody', () => {
  const clock = new FakeClock();
  const restore = setClock(clock);
  try {
    const l = lab();
    const c = l.client();
    c.feed(request({ id: 5, timeout: 100 }));
    const up = l.upstream();
    const id = idOf(up.take());
    clock.advance(90);
    assert.equal(c.take().length, 0);
    clock.advance(100);
    const got = c.take();
    assert.equal(idOf(got), 5);
    assert.equal(statusOf(got), 7);
    assert.equal(l.last.code, 'request-timeout');
    c.feed(request({ id: 6 }));
    const next = idOf(up.take());
    up.feed(Buffer.concat([reply({ id, content: 'late' }), reply({ id: next, content: 'in time' })]));
    assert.deepEqual(c.take(), reply({ id: 6, content: 'in time' }));
    zero(l, 1);
  } finally {
    restore();
  }
});

test('a client that leaves takes its exchanges with it; the others of the shared connection are not touched', () => {
  const l = lab();
  const a = l.client();
  const b = l.client();
  a.feed(request({ id: 1 }));
  b.feed(request({ id: 1 }));
  const up = l.upstream();
  const sent = up.take();
  const n = sent.length / 2;
  a.close();
  assert.equal(l.last.code, 'downstream-closed');
  up.feed(Buffer.concat([reply({ id: idOf(sent) }), reply({ id: idOf(sent, n), content: 'yours' })]));
  assert.deepEqual(b.take(), reply({ id: 1, content: 'yours' }));
  zero(l, 1);
});

test('heartbeats of clients are answered, and hosts that leave ours unanswered are given up after a second look', () => {
  const clock = new FakeClock();
  const restore = setClock(clock);
  try {
    const l = lab();
    const c = l.client();
    const beat = Buffer.from([1, 1, 0, 0, 1, 0, 0, 0, 42, 1, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0]);
    c.feed(beat);
    const pong = c.take();
    assert.equal(pong[1], 0);
    assert.equal(idOf(pong), 42);
    c.feed(request({ id: 1, timeout: -1 }));
    const up = l.upstream();
    up.take();
    clock.advance(15_100);
    const ping = up.take();
    assert.deepEqual([ping.length, ping[1], ping.readUInt16BE(2)], [22, 1, 0]);
    clock.advance(3100);
    assert.equal(up.take().length, 22, 'asked again at once');
    clock.advance(3100);
    assert.equal(up.destroyed, true);
    assert.equal(l.last.code, 'heartbeat-missed');
    assert.notEqual(statusOf(c.take()), 0);
    zero(l, 0);
  } finally {
    restore();
  }
});

test('a host that says it goes away gets nothing new, and its running calls finish', () => {
  const l = lab();
  const c = l.client();
  c.feed(request({ id: 1 }));
  const up = l.upstream();
  const id = idOf(up.take());
  const goaway = Buffer.from([1, 1, 0, 100, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  up.feed(goaway);
  c.feed(request({ id: 2 }));
  assert.equal(l.dialled.length, 2, 'the next call opens another connection');
  up.feed(reply({ id }));
  assert.equal(statusOf(c.take()), 0);
  assert.equal(up.destroyed, true, 'closed once its last call was answered');
  const second = l.upstream(1);
  second.feed(reply({ id: idOf(second.take()) }));
  assert.equal(idOf(c.take()), 2);
  zero(l, 1);
});

test('a malformed reply fails what was in flight with the reason, and the connection is dropped', () => {
  const l = lab();
  const c = l.client();
  c.feed(request({ id: 1 }));
  l.upstream().take();
  l.upstream().feed('HTTP/1.1 400 Bad Request\r\n\r\n');
  assert.equal(l.last.code, 'bad-reply');
  assert.notEqual(statusOf(c.take()), 0);
  zero(l, 0);
});

test('garbage from a client closes its connection and is recorded; the process and other clients go on', () => {
  const l = lab();
  const c = l.client();
  c.feed('GET / HTTP/1.1\r\n\r\n');
  assert.equal(c.destroyed, true);
  assert.equal(l.last.code, 'bad-frame');
  zero(l, 0);
});

test('every split of two frames gives the same two calls', () => {
  const two = Buffer.concat([request({ id: 1, content: 'one' }), request({ id: 2, content: 'two' })]);
  for (let i = 1; i < two.length; i++) {
    const l = lab();
    const c = l.client();
    c.feed(two.subarray(0, i));
    c.feed(two.subarray(i));
    const sent = l.upstream().take();
    assert.equal(sent.length, two.length, `split at ${i}`);
    c.close();
    zero(l, 1);
  }
});

test('on pinned connections a host can call its client', () => {
  const l = lab({ pool: 'pinned' });
  const a = l.client();
  const b = l.client();
  a.feed(request({ id: 1 }));
  b.feed(request({ id: 1 }));
  assert.equal(l.dialled.length, 2, 'a connection for each client');
  const upA = l.upstream(0);
  upA.take();
  upA.feed(request({ id: 77, content: 'push' }));
  const pushed = a.take();
  assert.equal(pushed.length, request({ id: 77, content: 'push' }).length);
  assert.equal(b.take().length, 0);
  a.feed(reply({ id: idOf(pushed), content: 'got it' }));
  assert.deepEqual(upA.take(), reply({ id: 77, content: 'got it' }));
});

test('on shared connections a host that calls gets an error instead of silence', () => {
  const l = lab();
  l.client().feed(request({ id: 1 }));
  const up = l.upstream();
  up.take();
  up.feed(request({ id: 5 }));
  const got = up.take();
  assert.equal(idOf(got), 5);
  assert.notEqual(statusOf(got), 0);
});

test('a frame over the limit costs neither its connection nor the other calls on it, on both sides', () => {
  const l = lab({ protocol: new BoltProtocol({ max_frame: 1000, goaway: false }) });
  const c = l.client();
  c.feed(Buffer.concat([request({ id: 1 }), request({ id: 2, content: 'x'.repeat(5000) }), request({ id: 3, type: 2, content: 'y'.repeat(5000) }), request({ id: 4 })]));
  const refused = c.take();
  assert.equal(idOf(refused), 2);
  assert.match(refused.toString('latin1'), /larger than 1000 bytes/);
  assert.deepEqual(l.finished.map((f) => f.code), ['frame-too-large', 'frame-too-large']);
  const up = l.upstream();
  const sent = up.take();
  const size = request({ id: 1 }).length;
  assert.equal(sent.length, 2 * size, 'the two that are short enough were sent');
  up.feed(reply({ id: idOf(sent), content: 'z'.repeat(5000) }).subarray(0, 3000));
  const got = c.take();
  assert.equal(idOf(got), 1);
  assert.notEqual(statusOf(got), 0);
  assert.match(got.toString('latin1'), /the reply of host 10\.0\.0\.1:80 is over its limit of 1000/);
  assert.equal(l.last.code, 'reply-too-large');
  up.feed(Buffer.concat([reply({ id: idOf(sent), content: 'z'.repeat(5000) }).subarray(3000), reply({ id: idOf(sent, size), content: 'fine' })]));
  assert.deepEqual(c.take(), reply({ id: 4, content: 'fine' }));
  assert.ok(!c.destroyed && !up.destroyed);
  zero(l, 1);
});

/** Whether the proxy has ended this connection, once what it wrote is flushed. */
function over(wire: FakeWire): boolean {
  wire.connection.flush();
  return wire.ended;
}

for (const how of ['age', 'drain'] as const) {
  test(`without go-away frames a connection ends, by ${how}, only after a quiet second, whatever runs on it`, () => {
    const clock = new FakeClock();
    const restore = setClock(clock);
    try {
      const l = lab({ timeouts: { head: 10_000, idle: 0 } });
      const busy = l.client();
      busy.feed(request({ id: 1, timeout: 60_000 }));
      const idle = l.client();
      if (how === 'age') for (const c of [busy, idle]) l.listener.retire(c.connection);
      else l.listener.drain();
      assert.equal(busy.take().length + idle.take().length, 0, 'nothing is said');
      clock.advance(900);
      // A request in time: the second begins anew behind its reply.
      idle.feed(request({ id: 2 }));
      const up = l.upstream();
      const sent = up.take();
      const [first, second] = [idOf(sent), idOf(sent, request({ id: 1 }).length)];
      clock.advance(900);
      up.feed(reply({ id: second, content: 'of two' }));
      assert.deepEqual(idle.take(), reply({ id: 2, content: 'of two' }));
      clock.advance(900);
      assert.ok(!over(idle));
      clock.advance(200);
      assert.ok(over(idle), 'quiet for a second');
      clock.advance(20_000);
      assert.ok(!over(busy) && !busy.destroyed, 'its call still runs');
      up.feed(reply({ id: first, content: 'of one' }));
      assert.deepEqual(busy.take(), reply({ id: 1, content: 'of one' }));
      clock.advance(1100);
      assert.ok(over(busy));
      assert.deepEqual(l.finished.map((f) => f.code), ['', '']);
      zero(l, 1);
    } finally {
      restore();
    }
  });
}

test('a client that does not read stops being read, its memory is bounded, and others are served', () => {
  const l = lab();
  const slow = l.client();
  const other = l.client();
  slow.stuck = true;
  const big = 'x'.repeat(200_000);
  for (let i = 1; i <= 4; i++) slow.feed(request({ id: i }));
  const up = l.upstream();
  const n = request({ id: 1 }).length;
  const sent = up.take();
  for (let i = 0; i < 4; i++) {
    up.feed(reply({ id: idOf(sent, i * n), content: big }));
    slow.connection.flush();
  }
  assert.equal(slow.paused, true, 'nothing more is read from it');
  other.feed(request({ id: 1 }));
  const now = up.take();
  up.feed(reply({ id: idOf(now), content: 'fast' }));
  assert.deepEqual(other.take(), reply({ id: 1, content: 'fast' }));
  slow.drain();
  assert.equal(slow.paused, false);
});

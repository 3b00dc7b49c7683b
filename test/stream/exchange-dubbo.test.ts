// The life of Dubbo exchanges over shared connections: ids, oneway, retries, timeouts, failures in each phase, and counters back at zero.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '../../src/core/clock-fake.js';
import { now, setClock } from '../../src/core/clock.js';
import { DubboProtocol, defaultOptions } from '../../src/stream/protocol/dubbo/protocol.js';
import { EditFilter, HoldFilter, ReverseFilter, UpperFilter } from '../support/filters.js';
import { Lab } from '../support/stream-lab.js';
import { bodyOf, captured, failure, frame, heartbeat, idAt, oneway, readOnly, reply, request, split, value, values } from './protocol/dubbo/frames.js';

const NONE = { connections: 0, pending: 0, requests: 0, retries: 0, activeRequests: 0, pendingRequests: 0, listenerActive: 0, hostsActive: 0 };
const zero = (lab: Lab, connections: number): void => assert.deepEqual(lab.levels(), { ...NONE, connections });

const textOf = (one: Buffer): string => values(bodyOf(one))[0] as string;
const resultOf = (one: Buffer): unknown => values(bodyOf(one).subarray(1))[0];

function lab(options: Partial<ConstructorParameters<typeof Lab>[0]> = {}): Lab {
  return new Lab({ protocol: new DubboProtocol(), ...options });
}

/** Runs with a clock that stands still. */
function withClock(run: (clock: FakeClock) => void): void {
  const clock = new FakeClock();
  const restore = setClock(clock);
  try {
    run(clock);
  } finally {
    restore();
  }
}

test('clients whose ids are the same, and over 53 bits, share a connection, and each gets its own replies', () => {
  const l = lab();
  const id = 0xd452_bd3a_9c5a_091en;
  const [a, b] = [l.client(), l.client()];
  a.feed(request({ id, args: [value('from a')] }));
  b.feed(request({ id, args: [value('from b')] }));
  assert.equal(l.dialled.length, 1);
  const up = l.upstream();
  const [first, second] = split(up.take()).map((one) => idAt(one)) as [bigint, bigint];
  assert.ok(first < 2n ** 31n && second < 2n ** 31n && first !== second);
  up.feed(Buffer.concat([reply(second, 'to b'), reply(first, 'to a')]));
  assert.deepEqual(a.take(), reply(id, 'to a'));
  assert.deepEqual(b.take(), reply(id, 'to b'));
  assert.deepEqual(l.finished.map((f) => [f.status, f.rawStatus, f.code]), [[200, 20, ''], [200, 20, '']]);
  zero(l, 1);
});

test('a oneway request is sent, counted and not waited for; an answer to it reaches nobody', () => {
  const l = lab();
  const c = l.client();
  c.feed(oneway({ id: 5n }));
  const up = l.upstream();
  const [sent] = split(up.take());
  assert.equal(sent![2], 0x82);
  assert.deepEqual([l.finished.length, l.last.code, l.last.status], [1, '', 200]);
  up.feed(reply(idAt(sent!)));
  assert.equal(c.take().length, 0);
  zero(l, 1);
});

test('routes look at service, method, version, group and attachments', () => {
  const table = {
    name: 'main',
    routes: [
      { match: { service: 'a.B', method: 'go', version: '1', group: 'g', 'header.k': 'v' }, cluster: 'app', request_headers: { set: { k: 'w', added: '%service%' } } },
    ],
  };
  const l = lab({ table });
  const c = l.client();
  const good = { id: 1n, service: 'a.B', method: 'go', version: '1', attachments: { group: 'g', k: 'v' } };
  c.feed(request(good));
  const up = l.upstream();
  const [sent] = split(up.take());
  assert.equal((values(bodyOf(sent!)).at(-1) as Record<string, string>)['k'], 'w');
  up.feed(reply(idAt(sent!)));
  c.take();
  for (const [other, missing] of [[{ service: 'a.C' }, 'service = a.B'], [{ method: 'no' }, 'method = go'], [{ version: '2' }, 'version = 1'], [{ attachments: { k: 'v' } }, 'group = g'], [{ attachments: { group: 'g', k: 'x' } }, 'header k = v']] as const) {
    c.feed(request({ ...good, ...other }));
    const [got] = split(c.take());
    assert.equal(got![3], 60);
    assert.ok(textOf(got!).includes(missing), textOf(got!));
  }
  zero(l, 1);
});

test('a refused connection is tried again on another host, and the client sees nothing of it', () => {
  const l = lab({ hosts: 2 });
  const c = l.client();
  c.feed(request({ id: 1n }));
  l.refuse(0);
  const up = l.upstream(1);
  up.feed(reply(idAt(up.take())));
  assert.equal(c.take()[3], 20);
  assert.deepEqual(l.last.attempts.map((a) => a.code), ['connect-refused', '']);
  zero(l, 1);
});

test('with every host refusing, the client gets an error reply that names the reason, in its own serialization', () => {
  for (const bytes of [request({ id: 3n }), captured('fastjson2 hello request')]) {
    const l = lab({ hosts: 2 });
    const c = l.client();
    c.feed(bytes);
    l.refuse(0);
    l.refuse(1);
    const [got] = split(c.take());
    assert.deepEqual([idAt(got!), got![2], got![3]], [idAt(bytes), bytes[2]! & 0x1f, 80]);
    assert.match(got!.toString('latin1'), /10\.0\.0\.\d:80 refused the connection \(connect-refused\)/);
    zero(l, 0);
  }
});

test('a shared connection that dies fails its requests, or sends them again under new ids where the route says that they are idempotent', () => {
  for (const idempotent of [false, true]) {
    const l = lab({ hosts: 2, route: { idempotent } });
    const c = l.client();
    c.feed(request({ id: 1n }));
    const first = l.upstream();
    first.feed(reply(idAt(first.take())));
    c.take();
    c.feed(Buffer.concat([request({ id: 2n }), request({ id: 3n })]));
    first.take();
    l.upstream(1).take();
    first.close();
    if (!idempotent) {
      assert.equal(l.last.code, 'upstream-closed');
      assert.equal(c.take()[3], 80);
    } else {
      const again = l.upstream(-1);
      const sent = split(again.take());
      assert.equal(sent.length, 1);
      again.feed(reply(idAt(sent[0]!), 'second'));
      assert.ok([2n, 3n].includes(idAt(c.take())));
    }
  }
});

test('replies are tried again by their status: a full thread pool, not an exception of the service', () => {
  const l = lab({ hosts: 2, route: { idempotent: true, retry: { on: ['5xx'], attempts: 2, backoff: { base: '0ms', max: '0ms' } } } });
  const c = l.client();
  c.feed(request({ id: 8n }));
  const one = l.upstream();
  one.feed(failure(idAt(one.take()), 100, 'Thread pool is EXHAUSTED!'));
  const two = l.upstream(1);
  const thrown = captured('3.3 fail reply');
  thrown.writeBigUInt64BE(idAt(two.take()), 4);
  two.feed(thrown);
  thrown.writeBigUInt64BE(8n, 4);
  assert.deepEqual(c.take(), thrown);
  assert.deepEqual([l.last.status, l.last.rawStatus, l.last.attempts.length], [422, 20, 2]);
  zero(l, 2);
});

test('the timeout in the attachments ends the exchange with the protocol\'s own status, and a late reply reaches nobody', () => {
  withClock((clock) => {
    const l = lab();
    const c = l.client();
    c.feed(request({ id: 5n, attachments: { timeout: '100' } }));
    const up = l.upstream();
    const late = idAt(up.take());
    clock.advance(90);
    assert.equal(c.take().length, 0);
    clock.advance(100);
    const [got] = split(c.take());
    assert.deepEqual([idAt(got!), got![3], l.last.code, l.last.status], [5n, 31, 'request-timeout', 504]);
    c.feed(request({ id: 6n }));
    const next = idAt(up.take());
    up.feed(Buffer.concat([reply(late, 'late'), reply(next, 'in time')]));
    assert.deepEqual(c.take(), reply(6, 'in time'));
    zero(l, 1);
  });
});

test('a client that leaves takes its exchanges with it; the others of the shared connection are not touched', () => {
  const l = lab();
  const [a, b] = [l.client(), l.client()];
  a.feed(request({ id: 1n }));
  b.feed(request({ id: 1n }));
  const up = l.upstream();
  const sent = split(up.take()).map((one) => idAt(one));
  a.close();
  assert.equal(l.last.code, 'downstream-closed');
  up.feed(Buffer.concat([reply(sent[0]!), reply(sent[1]!, 'yours')]));
  assert.equal(resultOf(b.take()), 'yours');
  zero(l, 1);
});

test('heartbeats of clients are answered, and hosts that leave ours unanswered are given up after a second look', () => {
  withClock((clock) => {
    const l = lab();
    const c = l.client();
    c.feed(heartbeat(2n ** 63n));
    assert.deepEqual(c.take(), frame({ id: 2n ** 63n, flags: 0x22, status: 20, body: Buffer.from('N') }));
    c.feed(request({ id: 1n, attachments: { timeout: '600000' } }));
    const up = l.upstream();
    up.take();
    clock.advance(15_100);
    const ping = up.take();
    assert.deepEqual([ping[2], ping.length], [0xe2, 17]);
    up.feed(frame({ id: idAt(ping), flags: 0x22, status: 20, body: Buffer.from('N') }));
    clock.advance(18_200);
    assert.equal(up.take().length, 17, 'asked again after the next silence');
    clock.advance(3100);
    assert.equal(up.take().length, 17, 'asked again at once');
    clock.advance(3100);
    assert.equal(up.destroyed, true);
    assert.equal(l.last.code, 'heartbeat-missed');
    assert.equal(c.take()[3], 80);
    zero(l, 0);
  });
});

test('a host that says READONLY gets nothing new, also on another connection, and its running calls finish', () => {
  const l = lab({ hosts: 2 });
  const c = l.client();
  c.feed(request({ id: 1n }));
  const up = l.upstream();
  const id = idAt(up.take());
  up.feed(readOnly);
  assert.ok(l.hosts[0]!.awayUntil > now() + 10_000, 'the host is left alone for longer than it may need to end');
  c.feed(request({ id: 2n }));
  assert.equal(l.dialled.length, 2);
  up.feed(reply(id));
  assert.equal(c.take()[3], 20);
  assert.equal(up.destroyed, true, 'closed once its last call was answered');
  const second = l.upstream(1);
  second.feed(reply(idAt(second.take())));
  assert.equal(idAt(c.take()), 2n);
  zero(l, 1);
});

test('clients are told READONLY when the listener drains, where that is wanted', () => {
  for (const goaway of [true, false]) {
    const l = lab({ protocol: new DubboProtocol({ ...defaultOptions, goaway }) });
    const c = l.client();
    c.feed(request({ id: 1n }));
    const up = l.upstream();
    const id = idAt(up.take());
    l.listener.drain();
    const told = c.take();
    if (goaway) assert.deepEqual([told[2], bodyOf(told)], [0xa2, Buffer.from([1, 0x52])]);
    else assert.equal(told.length, 0);
    up.feed(reply(id, 'still'));
    assert.equal(resultOf(c.take()), 'still');
  }
});

test('a malformed reply fails what was in flight with the reason, and the connection is dropped', () => {
  const l = lab();
  const c = l.client();
  c.feed(request({ id: 1n }));
  l.upstream().take();
  l.upstream().feed('HTTP/1.1 400 Bad Request\r\n\r\n');
  assert.equal(l.last.code, 'bad-reply');
  assert.equal(c.take()[3], 50);
  zero(l, 0);
});

test('garbage from a client closes its connection and is recorded; requests before it are answered', () => {
  const l = lab();
  const c = l.client();
  c.feed(Buffer.concat([request({ id: 1n }), Buffer.from('ls\r\n')]));
  assert.equal(l.last.code, 'bad-frame');
  const up = l.upstream();
  up.feed(reply(idAt(up.take())));
  assert.equal(idAt(c.take()), 1n);
  assert.equal(c.destroyed, true);
  zero(l, 1);
});

test('frames over the limit are refused alone, in both directions', () => {
  const l = lab({ protocol: new DubboProtocol({ ...defaultOptions, max_frame: 5000 }) });
  const c = l.client();
  const large = [value('x'.repeat(6000))];
  c.feed(Buffer.concat([request({ id: 1n, args: large }), oneway({ args: large }), request({ id: 2n })]));
  const [refused] = split(c.take());
  assert.deepEqual([idAt(refused!), refused![3]], [1n, 40]);
  const up = l.upstream();
  up.feed(reply(idAt(up.take()), 'y'.repeat(6000)));
  const [lost] = split(c.take());
  assert.deepEqual([idAt(lost!), lost![3], l.last.code], [2n, 50, 'reply-too-large']);
  c.feed(request({ id: 3n }));
  up.feed(reply(idAt(up.take()), 'fine'));
  assert.equal(resultOf(c.take()), 'fine');
  zero(l, 1);
});

test('requests and replies in pieces pass beside small ones, each on a connection where it holds nobody up', () => {
  const l = lab({ protocol: new DubboProtocol({ ...defaultOptions, max_whole: 8192 }) });
  const c = l.client();
  c.feed(request({ id: 1n }));
  const shared = l.upstream();
  const long = request({ id: 2n, args: [value('l'.repeat(400_000))] });
  for (let at = 0; at < long.length; at += 50_000) c.feed(long.subarray(at, at + 50_000));
  assert.equal(l.dialled.length, 2, 'the long one has its own');
  const alone = l.upstream(1);
  const sent = alone.take();
  assert.deepEqual(bodyOf(sent), bodyOf(long));
  const answer = reply(idAt(sent), 'r'.repeat(400_000));
  for (let at = 0; at < answer.length; at += 70_000) alone.feed(answer.subarray(at, at + 70_000));
  shared.feed(reply(idAt(shared.take()), 'short'));
  const got = split(c.take());
  assert.deepEqual(got.map((one) => idAt(one)), [2n, 1n]);
  assert.equal(resultOf(got[0]!), 'r'.repeat(400_000));
  zero(l, 2);
});

test('a reply that breaks off half way closes the client\'s connection, since nothing else can follow on it', () => {
  const l = lab();
  const c = l.client();
  c.feed(request({ id: 1n }));
  const up = l.upstream();
  up.feed(reply(idAt(up.take()), 'r'.repeat(400_000)).subarray(0, 100_000));
  up.close();
  assert.equal(l.last.code, 'reply-cut');
  assert.equal(c.destroyed, true);
  zero(l, 0);
});

test('every split of two frames gives the same two calls', () => {
  const two = Buffer.concat([request({ id: 1n, attachments: { a: 'b' } }), request({ id: 2n, args: [value('two')] })]);
  for (let i = 1; i < two.length; i++) {
    const l = lab();
    const c = l.client();
    c.feed(two.subarray(0, i));
    c.feed(two.subarray(i));
    assert.equal(l.upstream().take().length, two.length, `split at ${i}`);
    c.close();
    zero(l, 1);
  }
});

test('on pinned connections a host can call its client; on shared ones it is told that it cannot', () => {
  for (const pool of ['pinned', null] as const) {
    const l = lab({ pool });
    const c = l.client();
    c.feed(request({ id: 1n }));
    const up = l.upstream();
    const id = idAt(up.take());
    const callback = 2n ** 62n + 5n;
    up.feed(Buffer.concat([request({ id: callback, method: 'callback' }), reply(id)]));
    const atClient = split(c.take());
    if (pool === 'pinned') {
      const asked = atClient.find((one) => (one[2]! & 0x80) !== 0)!;
      assert.equal(values(bodyOf(asked))[3], 'callback');
      c.feed(reply(idAt(asked), 'called back'));
      const [answer] = split(up.take());
      assert.deepEqual([idAt(answer!), resultOf(answer!)], [callback, 'called back']);
    } else {
      assert.equal(atClient.length, 1);
      const [answer] = split(up.take());
      assert.deepEqual([idAt(answer!), answer![3]], [callback, 80]);
      assert.match(textOf(answer!), /\(no-reverse-peer\)$/);
    }
    c.close();
  }
});

test('an edit by a filter is in the body that filters after it see, and reaches the wire in both directions', () => {
  const l = lab({ filters: [new EditFilter(), new ReverseFilter()] });
  const c = l.client();
  c.feed(request({ id: 1n, attachments: { a: 'b' } }));
  const up = l.upstream();
  const [sent] = split(up.take());
  assert.deepEqual(values(Buffer.from(bodyOf(sent!)).reverse()).at(-1), { a: 'b', 'x-edited': 'request' });
  up.feed(reply(idAt(sent!), 'done', { c: 'd' }));
  const [got] = split(c.take());
  assert.deepEqual(values(Buffer.from(bodyOf(got!)).reverse().subarray(1)), ['done', { c: 'd', 'x-edited': 'reply' }]);
  zero(l, 1);
});

test('held requests and replies pass each other, with what follows of them', () => {
  const hold = new HoldFilter('both');
  const l = lab({ filters: [hold], protocol: new DubboProtocol({ ...defaultOptions, max_whole: 8192 }) });
  const c = l.client();
  const long = request({ id: 9n, args: [value('l'.repeat(20_000))] });
  c.feed(Buffer.concat([request({ id: 2n ** 62n, args: [value('one')] }), request({ id: 2n, args: [value('two')] }), long.subarray(0, 10_000)]));
  assert.equal(hold.requests.length, 3);
  hold.requests[1]!.resume();
  const up = l.upstream();
  const two = idAt(up.take());
  hold.requests[0]!.resume();
  const one = idAt(up.take());
  up.feed(Buffer.concat([reply(one, 'to one'), reply(two, 'to two')]));
  assert.equal(c.take().length, 0);
  hold.replies[1]!.resume();
  assert.deepEqual(c.take(), reply(2, 'to two'));
  hold.replies[0]!.resume();
  assert.deepEqual(c.take(), reply(2n ** 62n, 'to one'));
  hold.requests[2]!.resume();
  c.feed(long.subarray(10_000));
  const alone = l.upstream(1);
  const sent = alone.take();
  assert.deepEqual(bodyOf(sent), bodyOf(long));
  alone.feed(reply(idAt(sent), 'to nine'));
  hold.replies[2]!.resume();
  assert.deepEqual(c.take(), reply(9, 'to nine'));
  zero(l, 2);
});

test('a body filter sees a long request whole and what replaces it has the right length; one that holds and is cancelled is answered', () => {
  const l = lab({ filters: [new UpperFilter()], protocol: new DubboProtocol({ ...defaultOptions, max_whole: 4096 }) });
  const c = l.client();
  const long = request({ id: 9n, args: [value('l'.repeat(20_000))] });
  c.feed(long.subarray(0, 9000));
  c.feed(long.subarray(9000));
  const [sent] = split(l.upstream().take());
  assert.equal(sent!.length, long.length);
  assert.ok(sent!.includes('L'.repeat(20_000)));
  const hold = new HoldFilter();
  const h = lab({ filters: [hold] });
  const d = h.client();
  d.feed(request({ id: 4n }));
  hold.requests[0]!.cancel('denied', { detail: 'not today' });
  const [got] = split(d.take());
  assert.deepEqual([idAt(got!), got![3], textOf(got!)], [4n, 70, 'access is denied: not today (denied)']);
  zero(h, 0);
});

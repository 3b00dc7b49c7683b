// The contracts of codec, pool and filter tried on Redis: no ids on the wire, replies in order, commands that need a connection of their own.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FakeClock } from '../../src/core/clock-fake.js';
import { setClock } from '../../src/core/clock.js';
import { SluiceError } from '../../src/core/reason.js';
import { CONTINUE, type StreamFilter } from '../../src/stream/filter.js';
import { EditFilter, HoldFilter, ReverseFilter, UpperFilter } from '../support/filters.js';
import { KEY, RedisSkeleton } from '../support/redis-skeleton.js';
import { Lab, type LabOptions } from '../support/stream-lab.js';

const NONE = { connections: 0, pending: 0, requests: 0, retries: 0, activeRequests: 0, pendingRequests: 0, listenerActive: 0, hostsActive: 0 };
const zero = (l: Lab, connections: number): void => assert.deepEqual(l.levels(), { ...NONE, connections });

function frozen(run: (clock: FakeClock) => void): void {
  const clock = new FakeClock();
  const restore = setClock(clock);
  try {
    run(clock);
  } finally {
    restore();
  }
}

describe('redis: no ids, replies in order', () => {
  const redis = (options: Partial<LabOptions> = {}): Lab => new Lab({ protocol: new RedisSkeleton(), ...options });
  const bulk = (text: string): string => `$${Buffer.byteLength(text)}\r\n${text}\r\n`;
  const ask = (...args: string[]): string => `*${args.length}\r\n${args.map(bulk).join('')}`;
  const NESTED = `*3\r\n:1\r\n*2\r\n${bulk('inner')}*0\r\n$-1\r\n`;

  test('clients share one connection, and each gets its replies in the order it asked', () => {
    const l = redis();
    const [a, b] = [l.client(), l.client()];
    a.feed(ask('GET', 'a1') + ask('LRANGE', 'a2', '0', '-1'));
    b.feed(ask('GET', 'b1'));
    a.feed(ask('INCR', 'a3'));
    assert.equal(l.dialled.length, 1);
    const up = l.upstream();
    assert.equal(up.text(), ask('GET', 'a1') + ask('LRANGE', 'a2', '0', '-1') + ask('GET', 'b1') + ask('INCR', 'a3'));
    up.feed(bulk('one') + NESTED);
    assert.equal(a.text(), bulk('one') + NESTED);
    up.feed('$-1\r\n:7\r\n');
    assert.equal(b.text(), '$-1\r\n');
    assert.equal(a.text(), ':7\r\n');
    zero(l, 1);
  });

  test('every split of requests and replies gives the same', () => {
    const requests = ask('SET', 'k', 'v\r\nw') + ask('GET', 'k');
    const replies = `+OK\r\n${NESTED}`;
    for (let i = 1; i < Math.max(requests.length, replies.length); i++) {
      const l = redis();
      const c = l.client();
      for (const piece of [requests.slice(0, i), requests.slice(i)]) if (piece !== '') c.feed(piece);
      const up = l.upstream();
      assert.equal(up.text(), requests, `requests split at ${i}`);
      for (const piece of [replies.slice(0, i), replies.slice(i)]) if (piece !== '') up.feed(piece);
      assert.equal(c.text(), replies, `replies split at ${i}`);
      zero(l, 1);
    }
  });

  test('replies that come from two hosts in another order wait for their turn', () => {
    const l = redis({ hosts: 2 });
    const c = l.client();
    c.feed(ask('GET', '1') + ask('GET', '2') + ask('GET', '3') + ask('GET', '4'));
    const [first, second] = [l.upstream(0), l.upstream(1)];
    assert.equal(second.text(), ask('GET', '2') + ask('GET', '4'));
    second.feed(bulk('two') + bulk('four'));
    assert.equal(c.text(), '');
    first.feed(bulk('one'));
    assert.equal(c.text(), bulk('one') + bulk('two'));
    first.feed(bulk('three'));
    assert.equal(c.text(), bulk('three') + bulk('four'));
    assert.deepEqual(l.finished.map((f) => f.bytesOut), ['two', 'four', 'one', 'three'].map((word) => bulk(word).length), 'each counts its own');
    zero(l, 2);
  });

  test('a call that times out in a pipeline is answered in its turn, and its late reply shifts nobody', () => frozen((clock) => {
    const l = redis({ hosts: 2, route: { timeout: '200ms' } });
    const [a, b] = [l.client(), l.client()];
    a.feed(ask('GET', 'slow'));
    const first = l.upstream(0);
    a.feed(ask('GET', 'fast'));
    l.upstream(1).feed(bulk('fast'));
    clock.advance(150);
    b.feed(ask('GET', 'b'));
    clock.advance(100);
    assert.match(a.text(), /^-SLUICE request-timeout: [^\r]+\r\n\$4\r\nfast\r\n$/);
    assert.equal(b.text(), '');
    first.feed(bulk('late') + bulk('for b'));
    assert.equal(a.text(), '');
    assert.equal(b.text(), bulk('for b'));
    assert.equal(l.upstreams.all()[Symbol.iterator]().next().value!.strayReplies, 1);
    zero(l, 2);
  }));

  test('a client that leaves in the middle of a pipeline shifts nobody', () => {
    const l = redis();
    const [a, b] = [l.client(), l.client()];
    a.feed(ask('GET', 'a1'));
    b.feed(ask('GET', 'b1'));
    a.feed(ask('GET', 'a2'));
    b.feed(ask('GET', 'b2'));
    const up = l.upstream();
    up.feed(bulk('a1').slice(0, 3));
    a.close(new SluiceError('downstream-reset'));
    up.feed(bulk('a1').slice(3) + bulk('b1') + bulk('a2') + bulk('b2'));
    assert.equal(b.text(), bulk('b1') + bulk('b2'));
    assert.deepEqual(l.finished.map((f) => f.code), ['downstream-reset', 'downstream-reset', '', '']);
    assert.equal(up.destroyed, false);
    zero(l, 1);
  });

  test('a host that leaves more and more calls unanswered loses its connection', () => frozen((clock) => {
    const l = redis({ route: { timeout: '100ms' } });
    const c = l.client();
    c.feed(ask('GET', 'first'));
    const up = l.upstream();
    for (let i = 0; i < 70 && l.dialled.length === 1; i++) {
      c.feed(ask('GET', `${i}`));
      clock.advance(150);
    }
    assert.equal(l.dialled.length, 2);
    assert.equal(up.destroyed, true);
  }));

  test('garbage in a pipeline is answered in its turn, after what came before it, and the connection ends', () => {
    const l = redis();
    const c = l.client();
    c.feed(`${ask('GET', 'a')}GET b\r\n${ask('GET', 'c')}`);
    assert.equal(c.destroyed, false);
    const up = l.upstream();
    assert.equal(up.text(), ask('GET', 'a'));
    up.feed(bulk('a'));
    assert.match(c.text(), /^\$1\r\na\r\n-SLUICE bad-frame: .*\r\n$/);
    assert.equal(c.destroyed, true);
    assert.deepEqual(l.finished.map((f) => f.code), ['bad-frame', '']);
    zero(l, 1);
  });

  test('garbage from a host fails what waits there, each with the reason', () => {
    const l = redis();
    const c = l.client();
    c.feed(ask('GET', 'a') + ask('GET', 'b'));
    l.upstream().feed(`${bulk('a')}HTTP/1.1 400 Bad Request\r\n`);
    assert.match(c.text(), /^\$1\r\na\r\n-SLUICE bad-reply: .*\r\n$/);
    assert.equal(c.destroyed, false);
    assert.deepEqual(l.finished.map((f) => f.code), ['', 'bad-reply']);
    zero(l, 0);
  });

  test('a reply nobody asked for ends the host\'s connection', () => {
    const l = redis();
    l.client().feed(ask('GET', 'a'));
    l.upstream().feed(`${bulk('a')}+OK\r\n`);
    assert.equal(l.upstream(0).destroyed, true);
    zero(l, 0);
  });

  test('a call is tried again on another host in its place', () => frozen((clock) => {
    const l = redis({ hosts: 2, route: { retry: { on: ['try-timeout'], attempts: 2, per_try_timeout: '100ms' } } });
    const c = l.client();
    c.feed(ask('GET', 'k'));
    const first = l.upstream(0);
    assert.equal(first.text(), ask('GET', 'k'));
    clock.advance(150);
    const second = l.upstream(1);
    assert.equal(second.text(), ask('GET', 'k'));
    first.feed(bulk('late'));
    second.feed(bulk('in time'));
    assert.equal(c.text(), bulk('in time'));
    zero(l, 2);
  }));

  test('a connection that dies fails or repeats each call by what is safe', () => {
    const l = redis({ hosts: 1 });
    const c = l.client();
    c.feed(ask('GET', 'warm'));
    l.upstream().feed(bulk('warm'));
    c.take();
    c.feed(ask('GET', 'k') + ask('INCR', 'n'));
    l.upstream(0).take();
    l.upstream(0).close(new SluiceError('upstream-reset', { detail: 'ECONNRESET' }));
    const again = l.upstream(1);
    assert.equal(again.text(), ask('GET', 'k'));
    assert.equal(c.text(), '', 'the error of INCR waits for its turn');
    again.feed(bulk('v'));
    assert.match(c.text(), /^\$1\r\nv\r\n-SLUICE upstream-reset/);
    zero(l, 1);
  });

  test('what blocks has a connection of its own, and what follows waits for it', () => {
    const l = redis();
    const [a, b, other] = [l.client(), l.client(), l.client()];
    a.feed(ask('GET', 'before') + ask('BLPOP', 'q', '0') + ask('GET', 'after'));
    b.feed(ask('BLPOP', 'q', '0'));
    other.feed(ask('GET', 'free'));
    assert.equal(l.dialled.length, 2);
    assert.equal(l.upstream(0).text(), ask('GET', 'before') + ask('GET', 'free'));
    assert.equal(l.upstream(1).text(), ask('BLPOP', 'q', '0'));
    l.upstream(0).feed(bulk('before') + bulk('free'));
    assert.equal(other.text(), bulk('free'));
    assert.equal(l.dialled.length, 3, 'now the first client may block');
    l.upstream(2).feed(NESTED);
    assert.equal(a.text(), bulk('before') + NESTED);
    assert.equal(l.upstream(0).text(), ask('GET', 'after'));
    l.upstream(0).feed(bulk('after'));
    assert.equal(a.text(), bulk('after'));
    a.feed(ask('BLPOP', 'q', '0'));
    assert.equal(l.dialled.length, 3, 'the connection is used again');
    a.close();
    assert.equal(l.upstream(2).destroyed, true, 'nothing may wait behind what the client gave up');
    assert.equal(l.upstream(1).destroyed, false);
    l.upstream(1).feed(NESTED);
    assert.equal(b.text(), NESTED);
    zero(l, 2);
  });

  test('a transaction keeps one connection, unshared, and gives it back', () => {
    const l = redis();
    const [a, b] = [l.client(), l.client()];
    a.feed(ask('MULTI') + ask('INCR', 'n'));
    assert.equal(l.upstream(0).text(), ask('MULTI') + ask('INCR', 'n'));
    b.feed(ask('GET', 'n'));
    assert.equal(l.dialled.length, 2);
    l.upstream(0).feed('+OK\r\n+QUEUED\r\n');
    assert.equal(a.text(), '+OK\r\n+QUEUED\r\n');
    a.feed(ask('EXEC') + ask('GET', 'n'));
    assert.equal(l.upstream(0).text(), ask('EXEC'), 'the read may not overtake the transaction');
    l.upstream(0).feed('*1\r\n:1\r\n');
    assert.equal(a.text(), '*1\r\n:1\r\n');
    assert.equal(l.upstream(1).text(), ask('GET', 'n') + ask('GET', 'n'));
    l.upstream(1).feed(':0\r\n:1\r\n');
    assert.equal(a.text() + b.text(), ':1\r\n:0\r\n');
    b.feed(ask('WATCH', 'n'));
    assert.equal(l.dialled.length, 2);
    assert.equal(l.upstream(0).text(), ask('WATCH', 'n'));
    b.close();
    assert.equal(l.upstream(0).destroyed, true, 'what was watched must not outlive its client');
    assert.equal(l.upstream(1).destroyed, false);
    zero(l, 1);
  });

  test('a transaction that loses its connection is not repeated elsewhere: the client learns of it', () => {
    const l = redis({ hosts: 2, route: { idempotent: true, retry: { on: ['reset', 'connect-failure'], attempts: 3 } } });
    const c = l.client();
    c.feed(ask('MULTI'));
    l.upstream(0).feed('+OK\r\n');
    c.take();
    c.feed(ask('INCR', 'n'));
    l.upstream(0).close(new SluiceError('upstream-reset'));
    assert.match(c.text(), /^-SLUICE upstream-reset/);
    assert.equal(c.destroyed, true);
    assert.equal(l.dialled.length, 1);
    zero(l, 0);
    const again = l.client();
    again.feed(ask('MULTI'));
    l.refuse();
    assert.equal(l.upstream(-1).text(), ask('MULTI'), 'nothing was begun: another host will do');
    assert.equal(again.destroyed, false);
  });

  test('a subscriber gets what the host publishes, also between replies', () => {
    const l = redis();
    const [sub, other] = [l.client(), l.client()];
    const message = (text: string): string => `*3\r\n${bulk('message')}${bulk('news')}${bulk(text)}`;
    const subscribed = `*3\r\n${bulk('subscribe')}${bulk('news')}:1\r\n`;
    sub.feed(ask('SUBSCRIBE', 'news'));
    const up = l.upstream();
    up.feed(subscribed + message('one'));
    other.feed(ask('GET', 'k'));
    assert.equal(l.dialled.length, 2);
    up.feed(message('two'));
    assert.equal(sub.text(), subscribed + message('one') + message('two'));
    assert.equal(other.text(), '');
    sub.close();
    assert.equal(up.destroyed, true);
    l.upstream(1).feed(bulk('v'));
    assert.equal(other.text(), bulk('v'));
    zero(l, 1);
  });

  test('a pinned pool gives each client its own connection, whatever it asks', () => {
    const l = redis({ pool: 'pinned' });
    const [a, b] = [l.client(), l.client()];
    a.feed(ask('SELECT', '3'));
    b.feed(ask('GET', 'k'));
    a.feed(ask('BLPOP', 'q', '0'));
    assert.equal(l.dialled.length, 2);
    l.upstream(0).feed('+OK\r\n');
    assert.equal(a.text(), '+OK\r\n');
    assert.equal(l.upstream(0).text(), ask('SELECT', '3') + ask('BLPOP', 'q', '0'));
    a.close();
    assert.deepEqual([l.upstream(0).destroyed, l.upstream(1).destroyed], [true, false]);
    l.upstream(1).close();
    assert.equal(b.destroyed, true, 'the two close together');
    zero(l, 0);
  });

  test('an exclusive pool works too, and closes what a client gave up', () => frozen((clock) => {
    const l = redis({ pool: 'exclusive', route: { timeout: '100ms' } });
    const c = l.client();
    c.feed(ask('GET', 'a') + ask('GET', 'b'));
    assert.equal(l.dialled.length, 2);
    l.upstream(1).feed(bulk('b'));
    assert.equal(c.text(), '');
    clock.advance(150);
    assert.match(c.text(), /^-SLUICE request-timeout.*\r\n\$1\r\nb\r\n$/);
    assert.equal(l.upstream(0).destroyed, true);
    zero(l, 1);
  }));

  test('long requests and replies pass in pieces; requests have a connection to themselves, replies do not need one', () => {
    const l = redis();
    const [a, b] = [l.client(), l.client()];
    const long = 'x'.repeat(400_000);
    const set = ask('SET', 'k', long);
    a.feed(set.slice(0, 300_000));
    b.feed(ask('GET', 'k'));
    assert.equal(l.dialled.length, 2);
    assert.equal(l.upstream(0).text().length, 300_000);
    a.feed(set.slice(300_000));
    assert.ok(l.upstream(0).text().endsWith('x\r\n'));
    l.upstream(0).feed('+OK\r\n');
    assert.equal(a.text(), '+OK\r\n');
    const reply = bulk(long);
    l.upstream(1).feed(reply.slice(0, 1000));
    assert.equal(b.text().length, 1000, 'passed on as it comes');
    l.upstream(1).feed(reply.slice(1000, 300_000));
    assert.equal(b.text().length, 299_000);
    b.feed(ask('GET', 'next'));
    l.upstream(1).feed(reply.slice(300_000) + bulk('next'));
    assert.equal(b.text(), reply.slice(300_000) + bulk('next'));
    zero(l, 2);
  });

  test('a long request that its client leaves in the middle costs its connection, not the shared one', () => {
    const l = redis();
    const [a, b] = [l.client(), l.client()];
    a.feed(ask('SET', 'k', 'x'.repeat(400_000)).slice(0, 300_000));
    b.feed(ask('GET', 'k'));
    l.upstream(0).take();
    l.upstream(1).take();
    a.close();
    assert.deepEqual([l.upstream(0).destroyed, l.upstream(1).destroyed], [true, false]);
    l.upstream(1).feed(bulk('v'));
    assert.equal(b.text(), bulk('v'));
    zero(l, 1);
  });

  test('a client that asks for more than it takes is not read on, what waits for its turn counts', () => {
    const l = redis({ hosts: 2 });
    const c = l.client();
    const big = bulk('y'.repeat(100_000));
    for (let i = 0; i < 10; i++) c.feed(ask('GET', `${i}`));
    const [first, second] = [l.upstream(0), l.upstream(1)];
    second.feed(big.repeat(2));
    assert.equal(c.paused, false);
    second.feed(big.repeat(3));
    assert.equal(c.text(), '');
    assert.equal(c.paused, true, 'half a megabyte waits for the first reply');
    assert.equal(second.paused, false, 'nobody is kept waiting: their replies were complete');
    for (let i = 0; i < 5; i++) first.feed(bulk('z'));
    assert.equal(c.text().length, 5 * (big.length + 7));
    assert.equal(c.paused, false, 'read on');
    c.feed(ask('GET', 'more'));
    assert.equal(first.text().endsWith(ask('GET', 'more')), true);
  });

  test('a client may not pipeline without end', () => {
    const l = redis();
    const c = l.client();
    const n = 300;
    c.feed(ask('GET', 'k').repeat(n));
    const up = l.upstream();
    let sent = up.text().length / ask('GET', 'k').length;
    assert.equal(sent, 128);
    assert.equal(c.paused, true);
    let got = 0;
    for (; got < n; got++) {
      up.feed('+OK\r\n');
      sent += up.text().length / ask('GET', 'k').length;
      assert.ok(sent - got <= 128 + 1);
    }
    assert.equal(sent, n);
    assert.equal(c.text(), '+OK\r\n'.repeat(n));
    assert.equal(c.paused, false);
    zero(l, 1);
  });

  test('heartbeats take their place in the order', () => frozen((clock) => {
    const l = redis({ route: { timeout: '60s' } });
    const c = l.client();
    c.feed(ask('GET', 'a'));
    const up = l.upstream();
    up.take();
    clock.advance(15_100);
    assert.equal(up.text(), ask('PING'));
    c.feed(ask('GET', 'b'));
    up.feed(`${bulk('a')}+PONG\r\n${bulk('b')}`);
    assert.equal(c.text(), bulk('a') + bulk('b'));
    c.feed(ask('GET', 'c'));
    up.take();
    clock.advance(40_000);
    assert.equal(up.destroyed, true);
    assert.equal(l.last.code, 'heartbeat-missed');
    assert.match(c.text(), /^-SLUICE heartbeat-missed/);
    zero(l, 0);
  }));

  test('the four filters: edits of what there is, holds that keep the order, bodies replaced and gathered', () => {
    const l = redis({ filters: [new EditFilter()] });
    const c = l.client();
    c.feed(ask('GET', 'k'));
    assert.equal(l.upstream().text(), ask('GET', 'k'), 'Redis has no place for a header');
    l.upstream().feed(bulk('v'));
    assert.equal(c.text(), bulk('v'));

    const prefix: StreamFilter = { name: 'prefix', onRequest: (_, head) => (head.set(KEY, `app:${head.get(KEY)}`), CONTINUE) };
    const p = redis({ filters: [prefix] });
    p.client().feed(ask('SET', 'k', 'v') + ask('PING'));
    assert.equal(p.upstream().text(), ask('SET', 'app:k', 'v') + ask('PING'));

    const hold = new HoldFilter();
    const h = redis({ filters: [hold] });
    const d = h.client();
    d.feed(ask('GET', '1') + ask('GET', '2') + ask('GET', '3'));
    hold.requests[1]!.resume();
    hold.requests[2]!.cancel('denied', { detail: 'no' });
    assert.equal(h.upstream().text(), ask('GET', '2'));
    h.upstream().feed(bulk('two'));
    assert.equal(d.text(), '');
    hold.requests[0]!.resume();
    h.upstream().feed(bulk('one'));
    assert.match(d.text(), /^\$3\r\none\r\n\$3\r\ntwo\r\n-SLUICE denied/);

    const replies = new HoldFilter('reply');
    const r = redis({ filters: [replies] });
    const e = r.client();
    e.feed(ask('GET', '1') + ask('GET', '2'));
    r.upstream().feed(bulk('one') + bulk('two'));
    replies.replies[1]!.resume();
    assert.equal(e.text(), '');
    replies.replies[0]!.resume();
    assert.equal(e.text(), bulk('one') + bulk('two'));

    const upper = redis({ filters: [new UpperFilter()] });
    const f = upper.client();
    f.feed(ask('SET', 'k', 'value') + ask('GET', 'k'));
    assert.equal(upper.upstream().text(), ask('SET', 'k', 'VALUE') + ask('GET', 'k'));
    upper.upstream().feed(`+ok\r\n${bulk('value')}`);
    assert.equal(f.text(), `+ok\r\n${bulk('VALUE')}`);

    const whole = new ReverseFilter();
    const w = redis({ filters: [whole] });
    const g = w.client();
    g.feed(ask('SET', 'k', 'abcdef'));
    assert.equal(w.upstream().text(), ask('SET', 'k', 'fedcba'));
    assert.deepEqual(whole.seen, ['abcdef']);
    w.upstream().feed(bulk('xyz'));
    assert.equal(g.text(), bulk('zyx'));
    g.feed(ask('SET', 'k', 'x'.repeat(300_000)));
    assert.match(g.text(), /^-SLUICE body-too-large/);
    g.feed(ask('SET', 'k', 'x'.repeat(2000)));
    assert.match(g.text(), /^-SLUICE body-too-large/);
  });
});

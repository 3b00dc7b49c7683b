// The life of HTTP/1 exchanges: reuse, retries, timeouts, tunnels, bodies both ways, failures in each phase, and counters back at zero.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '../../src/core/clock-fake.js';
import { setClock } from '../../src/core/clock.js';
import { SluiceError } from '../../src/core/reason.js';
import { manifest } from '../../src/stream/protocol/http1/manifest.js';
import type { Protocol } from '../../src/stream/protocol.js';
import { Lab } from '../support/stream-lab.js';

const http1 = (): Protocol => manifest.create(manifest.schema.parse({}));
const lab = (options: Partial<ConstructorParameters<typeof Lab>[0]> = {}): Lab => new Lab({ protocol: http1(), ...options });
const NONE = { connections: 0, pending: 0, requests: 0, retries: 0, activeRequests: 0, pendingRequests: 0, listenerActive: 0, hostsActive: 0 };
const zero = (l: Lab, connections: number): void => assert.deepEqual(l.levels(), { ...NONE, connections });
const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';
const GET = 'GET /a HTTP/1.1\r\nhost: h\r\n\r\n';
const POST = 'POST /a HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\n\r\nbody';

/** Runs with a clock that stands still; the test moves it. */
function frozen(run: (clock: FakeClock) => void): void {
  const clock = new FakeClock();
  const restore = setClock(clock);
  try {
    run(clock);
  } finally {
    restore();
  }
}

test('a request goes to the host as it came, its reply comes back as it came, and the connection is used again', () => {
  const l = lab();
  const c = l.client();
  c.feed(GET);
  const up = l.upstream();
  assert.equal(up.text(), GET);
  up.feed(OK);
  assert.equal(c.text(), OK);
  c.feed(POST);
  assert.equal(l.dialled.length, 1);
  assert.equal(up.text(), POST);
  up.feed(OK);
  assert.equal(c.text(), OK);
  assert.deepEqual(l.finished.map((f) => f.status), [200, 200]);
  zero(l, 1);
});

test('pipelined requests are answered in order, one at a time towards the host', () => {
  const l = lab();
  const c = l.client();
  c.feed(GET + GET.replace('/a', '/b') + GET.replace('/a', '/c'));
  const up = l.upstream();
  for (const path of ['/a', '/b', '/c']) {
    assert.match(up.text(), new RegExp(`^GET ${path} `));
    up.feed(OK.replace('ok', path));
    assert.ok(c.text().endsWith(path));
  }
  assert.equal(l.dialled.length, 1);
  zero(l, 1);
});

test('bodies stream in both directions piece by piece, chunked and by length', () => {
  const l = lab();
  const c = l.client();
  c.feed('POST /a HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n');
  const up = l.upstream();
  assert.ok(up.text().endsWith('3\r\nabc\r\n'));
  c.feed('2\r\nde\r\n0\r\n\r\n');
  assert.equal(up.text(), '2\r\nde\r\n0\r\n\r\n');
  up.feed('HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nfir');
  assert.ok(c.text().endsWith('\r\n\r\nfir'));
  up.feed('st!');
  assert.equal(c.text(), 'st!');
  assert.equal(l.last.status, 200);
  zero(l, 1);
});

test('trailers pass in both directions', () => {
  const l = lab();
  const c = l.client();
  c.feed('POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx-sum: 1\r\n\r\n');
  const up = l.upstream();
  assert.match(up.text(), /0\r\nx-sum: 1\r\n\r\n$/);
  up.feed('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nb\r\n0\r\nx-out: 2\r\n\r\n');
  assert.match(c.text(), /0\r\nx-out: 2\r\n\r\n$/);
  zero(l, 1);
});

test('100-continue comes through before the final reply', () => {
  const l = lab();
  const c = l.client();
  c.feed('POST / HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n');
  const up = l.upstream();
  assert.match(up.text(), /expect: 100-continue/);
  up.feed('HTTP/1.1 100 Continue\r\n\r\n');
  assert.equal(c.text(), 'HTTP/1.1 100 Continue\r\n\r\n');
  c.feed('hi');
  assert.equal(up.text(), 'hi');
  up.feed(OK);
  assert.equal(c.text(), OK);
  zero(l, 1);
});

test('a reused connection that died is replaced once without the client noticing, for requests that may be repeated', () => {
  for (const [request, again] of [[GET, true], [POST, false]] as const) {
    const l = lab();
    const c = l.client();
    c.feed(GET);
    l.upstream().take();
    l.upstream().feed(OK);
    c.take();
    c.feed(request);
    l.upstream(0).take();
    l.upstream(0).close(new SluiceError('upstream-reset', { detail: 'ECONNRESET' }));
    if (again) {
      assert.equal(l.upstream(1).text(), request);
      l.upstream(1).feed(OK);
      assert.equal(c.text(), OK);
      assert.deepEqual(l.last.attempts.map((a) => a.code), ['upstream-reset', '']);
      zero(l, 1);
    } else {
      assert.match(c.text(), /^HTTP\/1\.1 502 /);
      assert.equal(l.last.code, 'upstream-reset');
      zero(l, 0);
    }
  }
});

test('what never reached the kernel may be repeated whatever the method', () => {
  const l = lab();
  const c = l.client();
  c.feed(GET);
  l.upstream().take();
  l.upstream().feed(OK);
  c.take();
  c.feed(POST);
  // Not flushed yet: the connection dies in the same turn.
  l.upstream(0).close();
  assert.equal(l.upstream(1).text(), POST);
  l.upstream(1).feed(OK);
  assert.equal(c.text(), OK);
  zero(l, 1);
});

test('a refused connection is tried on another host by default; when all refuse the reply says so', () => {
  const l = lab({ hosts: 2 });
  const c = l.client();
  c.feed(POST);
  l.refuse(0);
  l.refuse(1);
  const text = c.text();
  assert.match(text, /^HTTP\/1\.1 503 /);
  assert.match(text, /x-sluice-reason: connect-refused/);
  assert.match(text, /refused the connection/);
  assert.equal(l.last.attempts.length, 2);
  c.feed(GET);
  assert.equal(l.dialled.length, 3, 'the client keeps its connection');
  l.client();
  c.close();
  l.upstream().close();
  zero(l, 0);
});

test('statuses named by the route are retried for idempotent requests, with a body that was small enough to keep', () => frozen((clock) => {
  const l = lab({ hosts: 2, route: { retry: { statuses: [503], attempts: 3 }, idempotent: true } });
  const c = l.client();
  c.feed(POST);
  const first = l.upstream();
  assert.equal(first.text(), POST);
  first.feed('HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\nno');
  clock.advance(300);
  const second = l.upstream(1);
  assert.equal(second.text(), POST);
  second.feed(OK);
  assert.equal(c.text(), OK);
  assert.equal(l.last.attempts.length, 2);
  zero(l, 2);
}));

test('without idempotence a status is passed on', () => {
  const l = lab({ hosts: 2, route: { retry: { statuses: [503], attempts: 3 } } });
  const c = l.client();
  c.feed(POST);
  l.upstream().take();
  l.upstream().feed('HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\nno');
  assert.match(c.text(), /^HTTP\/1\.1 503 /);
  assert.equal(l.last.attempts.length, 1);
  zero(l, 1);
});

test('a host that accepts and stays silent costs the request its timeout and the host its connection', () => frozen((clock) => {
  const l = lab({ route: { timeout: '200ms' } });
  const c = l.client();
  c.feed(GET);
  l.upstream().take();
  clock.advance(250);
  assert.match(c.text(), /^HTTP\/1\.1 504 [\s\S]*request-timeout/);
  assert.equal(l.upstream(0).destroyed, true);
  zero(l, 0);
}));

test('per_try_timeout tries another host', () => frozen((clock) => {
  const l = lab({ hosts: 2, route: { retry: { on: ['try-timeout'], attempts: 2, per_try_timeout: '100ms' } } });
  const c = l.client();
  c.feed(GET);
  l.upstream().take();
  clock.advance(150);
  const second = l.upstream(1);
  assert.equal(second.text(), GET);
  second.feed(OK);
  assert.equal(c.text(), OK);
  assert.deepEqual(l.last.attempts.map((a) => a.code), ['try-timeout', '']);
  zero(l, 1);
}));

test('a reply that is cut closes the client\'s connection and is recorded as cut', () => {
  const l = lab();
  const c = l.client();
  c.feed(GET);
  l.upstream().take();
  l.upstream().feed('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart');
  assert.ok(c.text().endsWith('part'));
  l.upstream().close();
  assert.equal(c.destroyed, true);
  assert.equal(l.last.code, 'reply-cut');
  zero(l, 0);
});

test('a reply without a length ends with its connection', () => {
  const l = lab();
  const c = l.client();
  c.feed(GET);
  l.upstream().take();
  l.upstream().feed('HTTP/1.1 200 OK\r\n\r\nall there is');
  l.upstream().fin();
  const text = c.text();
  assert.match(text, /all there is/);
  assert.equal(l.last.code, '');
  assert.match(text, /\r\n0\r\n\r\n$/, 'the client learns where it ends');
  zero(l, 0);
});

test('a malformed reply is a 502 with its reason', () => {
  const l = lab();
  const c = l.client();
  c.feed(GET);
  l.upstream().take();
  l.upstream().feed('HTTP/1.1 abc\r\n\r\n');
  assert.match(c.text(), /^HTTP\/1\.1 502 [\s\S]*bad-reply/);
  assert.equal(l.last.code, 'bad-reply');
  zero(l, 0);
});

test('a client that leaves in any phase leaves nothing behind', () => {
  for (const phase of ['connecting', 'sent', 'body', 'reply', 'head']) {
    const l = lab();
    const c = l.client();
    if (phase === 'head') c.feed('GET / HT');
    else if (phase === 'body') c.feed('POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\nab');
    else c.feed(GET);
    if (phase !== 'connecting' && phase !== 'head') l.upstream().take();
    if (phase === 'reply') l.upstream().feed('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart');
    c.close();
    if (phase !== 'head') {
      assert.equal(l.last.code, 'downstream-closed', phase);
      assert.equal(l.dialled[0]!.wire.destroyed, true, phase);
    }
    zero(l, 0);
  }
});

test('a head that drips in longer than allowed gets 408; an idle connection is closed without a word', () => frozen((clock) => {
  const l = lab({ timeouts: { head: 1000, idle: 5000 } });
  const slow = l.client();
  slow.feed('GET / HTTP/1.1\r\n');
  clock.advance(900);
  slow.feed('host: h\r\n');
  clock.advance(200);
  assert.match(slow.text(), /^HTTP\/1\.1 408 /);
  assert.equal(l.last.code, 'head-timeout');
  assert.equal(slow.destroyed, true);
  const idle = l.client();
  clock.advance(4900);
  assert.equal(idle.destroyed, false);
  clock.advance(200);
  assert.equal(idle.destroyed, true);
  assert.equal(idle.text(), '');
  zero(l, 0);
}));

test('a request without a route is a 404 that says which condition failed', () => {
  const l = lab({ table: { name: 'main', routes: [{ match: { prefix: '/only' }, cluster: 'app' }] } });
  const c = l.client();
  c.feed(GET);
  assert.match(c.text(), /^HTTP\/1\.1 404 [\s\S]*no-route[\s\S]*\/only/);
  c.feed(GET);
  assert.match(c.text(), /^HTTP\/1\.1 404 /, 'the connection serves on');
  zero(l, 0);
});

test('smuggling is refused with 400, the reason, and a closed connection', () => {
  const l = lab();
  const c = l.client();
  c.feed('POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /hidden HTTP/1.1\r\nhost: h\r\n\r\n');
  const text = c.text();
  assert.match(text, /^HTTP\/1\.1 400 [\s\S]*ambiguous-length/);
  assert.equal(text.match(/HTTP\/1\.1/g)!.length, 1);
  assert.equal(c.destroyed, true);
  assert.equal(l.dialled.length, 0);
  zero(l, 0);
});

test('an upgrade becomes a tunnel with half-closed ends', () => {
  const l = lab();
  const c = l.client();
  c.feed('GET /ws HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n');
  const up = l.upstream();
  assert.match(up.text(), /upgrade: websocket/i);
  up.feed('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nhello');
  assert.match(c.text(), /^HTTP\/1\.1 101 [\s\S]*hello$/);
  c.feed('from client');
  assert.equal(up.text(), 'from client');
  up.feed('from host');
  assert.equal(c.text(), 'from host');
  c.fin();
  up.connection.flush();
  assert.equal(up.ended, true);
  up.feed('last words');
  assert.equal(c.text(), 'last words');
  up.fin();
  assert.equal(c.destroyed, true);
  assert.equal(l.last.code, '');
  zero(l, 0);
});

test('CONNECT opens a tunnel; a refused upgrade is an ordinary reply', () => {
  const l = lab();
  const c = l.client();
  c.feed('CONNECT h:443 HTTP/1.1\r\nhost: h:443\r\n\r\n');
  l.upstream().take();
  l.upstream().feed('HTTP/1.1 200 OK\r\n\r\n');
  assert.match(c.text(), /^HTTP\/1\.1 200 /);
  c.feed('\x16\x03\x01raw');
  assert.equal(l.upstream().text(), '\x16\x03\x01raw');
  c.close();
  const d = l.client();
  d.feed('GET /ws HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n');
  l.upstream().take();
  l.upstream().feed(OK);
  assert.equal(d.text(), OK);
  zero(l, 1);
});

test('a slow client stops the host\'s sending, and lets it go on', () => {
  const l = lab();
  const c = l.client();
  c.stuck = true;
  c.feed(GET);
  const up = l.upstream();
  up.take();
  up.feed('HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n');
  const piece = Buffer.alloc(50_000, 97);
  let fed = 0;
  while (!up.paused && fed < 1_000_000) {
    up.feed(piece);
    c.connection.flush();
    fed += piece.length;
  }
  assert.ok(fed < 400_000, `paused after ${fed} bytes`);
  c.drain();
  assert.equal(up.paused, false);
  while (fed < 1_000_000) {
    up.feed(piece);
    fed += piece.length;
  }
  assert.equal(l.last.bytesOut > 1_000_000, true);
  zero(l, 1);
});

test('a slow host stops the client\'s sending', () => {
  const l = lab();
  const c = l.client();
  c.feed('POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 1000000\r\n\r\n');
  const up = l.upstream();
  up.stuck = true;
  const piece = Buffer.alloc(50_000, 97);
  let fed = 0;
  while (!c.paused && fed < 1_000_000) {
    c.feed(piece);
    up.connection.flush();
    fed += piece.length;
  }
  assert.ok(fed < 400_000, `paused after ${fed} bytes`);
  up.drain();
  assert.equal(c.paused, false);
});

test('over the connection limit requests wait their turn; over the pending limit they are refused', () => {
  const l = lab({ breaker: { max_connections: 1, max_pending: 1 } });
  const [a, b, c] = [l.client(), l.client(), l.client()];
  a.feed(GET);
  b.feed(GET.replace('/a', '/b'));
  c.feed(GET);
  assert.match(c.text(), /^HTTP\/1\.1 503 [\s\S]*breaker-pending/);
  const up = l.upstream();
  up.take();
  up.feed(OK);
  assert.equal(a.text(), OK);
  assert.match(up.text(), /^GET \/b /);
  up.feed(OK);
  assert.equal(b.text(), OK);
  assert.equal(l.dialled.length, 1);
  zero(l, 1);
});

test('a request that waits for a connection gives up after pool_timeout, with the reason', () => frozen((clock) => {
  const l = lab({ breaker: { max_connections: 1 }, cluster: { pool_timeout: 300 }, route: { timeout: '0s' } });
  const [a, b] = [l.client(), l.client()];
  a.feed(GET);
  b.feed(GET);
  clock.advance(400);
  assert.match(b.text(), /^HTTP\/1\.1 504 [\s\S]*pool-timeout/);
  l.upstream().take();
  l.upstream().feed(OK);
  assert.equal(a.text(), OK);
  zero(l, 1);
}));

test('a host that replies before the request is complete is believed, and neither connection is used again', () => {
  const l = lab();
  const c = l.client();
  c.feed('POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 1000\r\n\r\nab');
  l.upstream().take();
  l.upstream().feed('HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n');
  assert.match(c.text(), /^HTTP\/1\.1 413 /);
  assert.equal(c.destroyed, true);
  assert.equal(l.upstream(0).destroyed, true);
  zero(l, 0);
});

test('while draining, replies carry connection: close, and idle connections end', () => frozen((clock) => {
  const l = lab();
  const busy = l.client();
  const idle = l.client();
  busy.feed(GET);
  l.upstream().take();
  l.listener.drain();
  l.upstream().feed(OK);
  assert.match(busy.text(), /connection: close/);
  assert.equal(busy.destroyed, true);
  clock.advance(1200);
  idle.connection.flush();
  assert.equal(idle.ended, true);
  const late = l.client();
  late.feed(GET);
  l.upstream().take();
  l.upstream().feed(OK);
  assert.match(late.text(), /^HTTP\/1\.1 200 [\s\S]*connection: close/, 'new connections are still served');
}));

test('stray bytes on an idle host connection close it', () => {
  const l = lab();
  const c = l.client();
  c.feed(GET);
  l.upstream().take();
  l.upstream().feed(OK);
  c.take();
  l.upstream().feed('HTTP/1.1 408 Request Timeout\r\n\r\n');
  assert.equal(l.upstream(0).destroyed, true);
  c.feed(GET);
  assert.equal(l.dialled.length, 2);
});

test('an x-request-id is kept or made', () => {
  const l = lab({ requestIds: true });
  const c = l.client();
  c.feed(GET);
  const made = /x-request-id: (\S+)/.exec(l.upstream().text());
  assert.ok(made);
  l.upstream().feed(OK);
  c.take();
  c.feed(GET.replace('\r\n\r\n', '\r\nX-Request-Id: mine\r\n\r\n'));
  assert.equal(l.upstream().text(), GET.replace('\r\n\r\n', '\r\nX-Request-Id: mine\r\n\r\n'));
});

test('edits of replies apply to what a route answers by itself', () => {
  const reply = { set: { 'x-by': '%route_name%' }, add: { 'x-more': '1' } };
  const l = lab({ table: { name: 'main', routes: [
    { name: 'moved', match: { path: '/old' }, redirect: { path: '/new', code: 308 }, reply_headers: reply },
    { name: 'said', direct_response: { status: 200, body: 'hi' }, reply_headers: { ...reply, remove: ['content-type'] } },
  ] } });
  const c = l.client();
  c.feed(GET.replace('/a', '/old'));
  assert.match(c.text(), /^HTTP\/1\.1 308 [\s\S]*location: http:\/\/h\/new\r\nx-by: moved\r\nx-more: 1\r\n/);
  c.feed(GET);
  assert.match(c.text(), /^HTTP\/1\.1 200 OK\r\nx-by: said\r\nx-more: 1\r\n[\s\S]*hi$/);
});

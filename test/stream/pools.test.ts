// What pools do with connections: which one is used, how many there are, when they are closed, and who waits for one.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FakeClock } from '../../src/core/clock-fake.js';
import { setClock } from '../../src/core/clock.js';
import { wheel } from '../../src/core/deadline.js';
import { setRandom } from '../../src/core/random.js';
import { MAX_IN_FLIGHT } from '../../src/stream/id-table.js';
import type { MessagePool } from '../../src/stream/pool/pool.js';
import { buildFrame, buildHeaders } from '../../src/stream/protocol/bolt/frame.js';
import { BoltProtocol } from '../../src/stream/protocol/bolt/protocol.js';
import { manifest } from '../../src/stream/protocol/http1/manifest.js';
import { FakeWire } from '../support/fake-wire.js';
import { Lab, type LabOptions } from '../support/stream-lab.js';

const NONE = { connections: 0, pending: 0, requests: 0, retries: 0, activeRequests: 0, pendingRequests: 0, listenerActive: 0, hostsActive: 0 };
const zero = (l: Lab, connections: number): void => assert.deepEqual(l.levels(), { ...NONE, connections });

/** Runs on a clock that stands still, and sees to it that nothing stays armed once all connections are closed. */
function frozen(run: (clock: FakeClock) => Lab): void {
  const clock = new FakeClock();
  const restore = setClock(clock);
  const before = wheel.armed;
  try {
    const l = run(clock);
    for (const session of [...l.listener.sessions]) session.connection.close();
    for (const { wire } of l.dialled) wire.close();
    FakeWire.settle();
    zero(l, 0);
    assert.equal(wheel.armed, before, 'deadlines left');
    assert.equal(l.hosts.every((h) => h.connections === 0), true);
  } finally {
    restore();
  }
}

const alive = (l: Lab): number[] => l.dialled.flatMap(({ wire }, i) => (wire.destroyed ? [] : [i]));

describe('exclusive', () => {
  const lab = (options: Partial<LabOptions> = {}): Lab => new Lab({ protocol: manifest.create(manifest.schema.parse({})), ...options });
  const GET = 'GET / HTTP/1.1\r\nhost: h\r\n\r\n';
  const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';
  /** Sends a request and answers it on whatever connection it took; which one it was. */
  const call = (l: Lab, client: FakeWire): number => {
    client.feed(GET);
    for (let i = 0; i < l.dialled.length; i++) {
      if (!l.dialled[i]!.wire.destroyed && l.upstream(i).text() !== '') {
        l.upstream(i).feed(OK);
        assert.match(client.text(), /^HTTP\/1\.1 200 /);
        return i;
      }
    }
    throw new Error('the request went nowhere');
  };

  test('the connection used last is used first', () => frozen(() => {
    const l = lab();
    const clients = [l.client(), l.client(), l.client()];
    for (const c of clients) c.feed(GET);
    assert.equal(l.dialled.length, 3);
    for (const i of [0, 2, 1]) {
      l.upstream(i).take();
      l.upstream(i).feed(OK);
      clients[i]!.take();
    }
    assert.equal(call(l, clients[0]!), 1);
    assert.equal(call(l, clients[2]!), 1);
    clients[0]!.feed(GET);
    clients[1]!.feed(GET);
    assert.notEqual(l.upstream(1).text(), '');
    assert.notEqual(l.upstream(2).text(), '');
    l.upstream(2).feed(OK);
    l.upstream(1).feed(OK);
    zero(l, 3);
    return l;
  }));

  test('idle connections end after idle_timeout, used ones do not', () => frozen((clock) => {
    const l = lab({ cluster: { idle_timeout: 1000 }, timeouts: { head: 1000, idle: 0 } });
    const [a, b] = [l.client(), l.client()];
    a.feed(GET);
    b.feed(GET);
    for (const i of [0, 1]) {
      l.upstream(i).take();
      l.upstream(i).feed(OK);
    }
    a.take();
    for (let t = 0; t < 5; t++) {
      clock.advance(400);
      call(l, a);
    }
    assert.deepEqual(alive(l), [1]);
    a.feed(GET);
    clock.advance(1500);
    assert.equal(l.upstream(1).destroyed, false, 'a host may take its time');
    l.upstream(1).feed(OK);
    clock.advance(1200);
    assert.deepEqual(alive(l), []);
    return l;
  }));

  test('a connection that was closed and does not know it yet is not used again', () => {
    FakeWire.late = true;
    try {
      for (const pool of ['exclusive', 'multiplex', 'pinned'] as const) {
        frozen((clock) => {
          const l = bolt({ pool, cluster: { idle_timeout: 1000 } });
          const [a, b] = [l.client(), l.client()];
          a.feed(frame(1));
          l.upstream(0).feed(frame(idsOf(l.upstream(0))[0]!, 0));
          if (pool === 'pinned') l.upstream(0).connection.close();
          else clock.advance(1500);
          assert.deepEqual([l.upstream(0).destroyed, l.levels()['connections']], [true, 1]);
          (pool === 'pinned' ? a : b).feed(frame(2));
          assert.equal(l.dialled.length, 2, pool);
          FakeWire.settle();
          if (pool !== 'pinned') {
            l.upstream(1).feed(frame(idsOf(l.upstream(1))[0]!, 0));
            assert.equal(l.last.code, '');
          }
          return l;
        });
      }
    } finally {
      FakeWire.late = false;
    }
  });

  test('a connection is replaced after max_requests_per_connection', () => frozen(() => {
    const l = lab({ cluster: { max_requests_per_connection: 2 } });
    const c = l.client();
    assert.deepEqual([call(l, c), call(l, c), call(l, c), call(l, c), call(l, c)], [0, 0, 1, 1, 2]);
    assert.deepEqual(alive(l), [2]);
    return l;
  }));

  test('a connection is replaced when it is max_connection_age old, varied by a tenth', () => {
    const restore = setRandom(() => 0.5);
    try {
      frozen((clock) => {
        const l = lab({ cluster: { max_connection_age: 10_000 }, timeouts: { head: 1000, idle: 0 } });
        const c = l.client();
        assert.equal(call(l, c), 0);
        clock.advance(9000);
        assert.equal(call(l, c), 0);
        clock.advance(2000);
        assert.equal(call(l, c), 0, 'what is too old is found out when it comes back');
        assert.deepEqual(alive(l), []);
        assert.equal(call(l, c), 1);
        return l;
      });
    } finally {
      restore();
    }
  });

  test('a host that is removed closes its idle connections and finishes the rest; after the drain time these are cut', () => frozen(() => {
    const l = lab();
    const [a, b, c] = [l.client(), l.client(), l.client()];
    for (const client of [a, b, c]) client.feed(GET);
    for (const i of [0, 1, 2]) l.upstream(i).take();
    l.upstream(0).feed(OK);
    l.hosts[0]!.pool!.drain();
    assert.deepEqual(alive(l), [1, 2]);
    l.upstream(1).feed(OK);
    assert.match(b.text(), /^HTTP\/1\.1 200 /);
    assert.deepEqual(alive(l), [2]);
    l.hosts[0]!.pool!.close();
    assert.match(c.text(), /^HTTP\/1\.1 503 [\s\S]*host-removed/);
    assert.equal(l.last.code, 'host-removed');
    assert.deepEqual(alive(l), []);
    return l;
  }));

  test('who waits gets what comes free in turn; when a connection is lost it may be replaced', () => frozen(() => {
    const l = lab({ breaker: { max_connections: 1 } });
    const clients = [l.client(), l.client(), l.client()];
    for (const c of clients) c.feed(GET);
    assert.deepEqual([l.dialled.length, l.levels()['pendingRequests']], [1, 2]);
    l.upstream(0).take();
    l.upstream(0).feed(OK);
    assert.match(clients[0]!.text(), /200 OK/);
    assert.equal(l.upstream(0).text(), GET);
    l.upstream(0).close();
    assert.match(clients[1]!.text(), /^HTTP\/1\.1 200 |^$/);
    assert.equal(l.dialled.length, 2);
    for (let n = 0; n < 3 && l.dialled.length > 0; n++) {
      const up = l.upstream(-1);
      if (up.text() !== '') up.feed(OK);
    }
    assert.match(clients[2]!.text(), /200 OK/);
    return l;
  }));

  test('a client that leaves while it waits leaves the queue', () => frozen(() => {
    const l = lab({ breaker: { max_connections: 1 } });
    const clients = [l.client(), l.client(), l.client()];
    for (const c of clients) c.feed(GET);
    clients[1]!.close();
    assert.equal(l.levels()['pendingRequests'], 1);
    l.upstream(0).take();
    l.upstream(0).feed(OK);
    l.upstream(0).take();
    l.upstream(0).feed(OK);
    assert.match(clients[2]!.text(), /200 OK/);
    zero(l, 1);
    return l;
  }));

  test('at the limit an idle connection of another host is better than waiting', () => frozen(() => {
    const l = lab({ hosts: 2, breaker: { max_connections: 1 } });
    const c = l.client();
    assert.equal(call(l, c), 0);
    assert.equal(call(l, c), 0, 'the second host is next, but the connection is to the first');
    assert.deepEqual(l.finished.map((f) => f.attempts[0]!.host), ['10.0.0.1:80', '10.0.0.1:80']);
    assert.equal(l.hosts[1]!.active, 0);
    zero(l, 1);
    return l;
  }));
});

const frame = (id: number, type = 1, content = 'x', command = type === 0 ? 2 : 1): Buffer => buildFrame({
  proto: 1, ver1: 1, switches: 0, type, command, id, codec: 1, timeoutOrStatus: type === 0 ? 0 : -1,
  className: Buffer.from('C'), headers: buildHeaders([['service', 's']]), content: Buffer.from(content),
});
/** Ids of the requests that came since the last call. */
const idsOf = (up: FakeWire): number[] => {
  const ids = [];
  for (let bytes = up.take(); bytes.length > 0; ) {
    ids.push(bytes.readUInt32BE(5));
    bytes = bytes.subarray(22 + bytes.readUInt16BE(14) + bytes.readUInt16BE(16) + bytes.readUInt32BE(18));
  }
  return ids;
};
const bolt = (options: Partial<LabOptions> = {}): Lab => new Lab({ protocol: new BoltProtocol(), ...options, cluster: { heartbeat: { interval: 0, timeout: 0, misses: 0 }, ...options.cluster } });

describe('multiplex', () => {
  test('connections_per_host is how many there are under load, taken in turn; fewer while they are idle', () => frozen(() => {
    const l = bolt({ cluster: { connections_per_host: 3 } });
    const c = l.client();
    c.feed(frame(1));
    const [first] = idsOf(l.upstream(0));
    l.upstream(0).feed(frame(first!, 0));
    c.feed(frame(2));
    assert.equal(l.dialled.length, 1, 'an idle connection is used before another is opened');
    for (let id = 3; id <= 7; id++) c.feed(frame(id));
    assert.equal(l.dialled.length, 3);
    const counts = [0, 1, 2].map((i) => idsOf(l.upstream(i)).length);
    assert.deepEqual(counts, [2, 2, 2]);
    return l;
  }));

  test('a connection that is not open yet takes no more than max_pending', () => frozen(() => {
    const l = bolt({ breaker: { max_pending: 2 } });
    const c = l.client();
    for (let id = 1; id <= 3; id++) c.feed(frame(id));
    assert.equal(l.last.code, 'breaker-pending');
    assert.equal(l.finished.length, 1);
    assert.equal(idsOf(l.upstream(0)).length, 2);
    return l;
  }));

  test('age and number of requests are looked at when a connection is taken, and what runs on it finishes', () => frozen((clock) => {
    for (const cluster of [{ max_requests_per_connection: 2 }, { max_connection_age: 1000 }]) {
      const l = bolt({ cluster });
      const c = l.client();
      c.feed(Buffer.concat([frame(1), frame(2)]));
      const ids = idsOf(l.upstream(0));
      clock.advance(1200);
      l.upstream(0).feed(frame(ids[0]!, 0));
      c.feed(frame(3));
      assert.equal(l.dialled.length, 2);
      assert.equal(l.upstream(0).destroyed, false);
      l.upstream(0).feed(frame(ids[1]!, 0));
      assert.equal(l.upstream(0).destroyed, true);
      c.close();
      for (const { wire } of l.dialled) wire.close();
      zero(l, 0);
    }
    return bolt();
  }));

  test('a host that goes away is not sent more; with nothing running its connection closes at once', () => frozen(() => {
    const l = bolt();
    const c = l.client();
    const goaway = frame(9, 1, '', 100);
    c.feed(frame(1));
    const [id] = idsOf(l.upstream(0));
    l.upstream(0).feed(goaway);
    assert.deepEqual(alive(l), [0]);
    l.upstream(0).feed(frame(id!, 0));
    assert.deepEqual(alive(l), []);
    c.feed(frame(2));
    const [again] = idsOf(l.upstream(1));
    l.upstream(1).feed(frame(again!, 0));
    l.upstream(1).feed(goaway);
    assert.deepEqual(alive(l), []);
    return l;
  }));

  test('a host that says so twice within a moment is left alone itself', () => frozen((clock) => {
    const l = bolt();
    const c = l.client();
    const goaway = frame(9, 1, '', 100);
    const leave = (n: number): void => {
      c.feed(frame(n + 1));
      const up = l.upstream(n);
      const [id] = idsOf(up);
      up.feed(Buffer.concat([frame(id!, 0), goaway]));
    };
    clock.advance(100);
    leave(0);
    assert.equal(l.hosts[0]!.awayUntil, 0, 'one connection has reached its age');
    clock.advance(6000);
    leave(1);
    assert.equal(l.hosts[0]!.awayUntil, 0, 'another one');
    clock.advance(50);
    leave(2);
    assert.equal(l.hosts[0]!.awayUntil - clock.now(), 5000, 'a new connection is told at once: the host drains');
    assert.equal(l.finished.filter((f) => f.code === '').length, 3);
    return l;
  }));

  test('a host that says that it leaves is left alone for longer, whatever is heard of it in the meantime', () => frozen((clock) => {
    const l = bolt();
    const c = l.client();
    const leave = (n: number, leaving: boolean): void => {
      c.feed(frame(n + 1));
      const up = l.upstream(n);
      const pool = l.hosts[0]!.pool as MessagePool;
      for (const session of [...pool.sessions]) session.onGoAway(leaving);
      up.feed(frame(idsOf(up)[0]!, 0));
      assert.equal(up.destroyed, true, 'closed once its last call was answered');
    };
    const start = clock.now();
    leave(0, true);
    assert.equal(l.hosts[0]!.awayUntil, start + 15_000);
    clock.advance(1000);
    leave(1, false);
    assert.equal(l.hosts[0]!.awayUntil, start + 15_000, 'a connection by necessity, asked to be left as well');
    clock.advance(1000);
    leave(2, true);
    assert.equal(l.hosts[0]!.awayUntil, start + 17_000, 'it goes on to leave');
    clock.advance(20_000);
    leave(3, false);
    clock.advance(1000);
    leave(4, false);
    assert.equal(l.hosts[0]!.awayUntil, start + 23_000 + 5000);
    return l;
  }));

  test('a request longer than 256 KiB goes on a connection of its own, which serves the next long one', () => frozen(() => {
    const l = bolt();
    const [a, b] = [l.client(), l.client()];
    const long = frame(1, 1, 'y'.repeat(300_000));
    a.feed(long.subarray(0, 100_000));
    assert.equal(l.dialled.length, 1, 'its head was enough to know');
    b.feed(frame(2));
    assert.equal(l.dialled.length, 2);
    a.feed(long.subarray(100_000));
    const id = l.upstream(0).take().readUInt32BE(5);
    l.upstream(0).feed(frame(id, 0));
    assert.equal(a.take().readUInt32BE(5), 1);
    a.feed(long);
    assert.equal(l.dialled.length, 2);
    const [small] = idsOf(l.upstream(1));
    l.upstream(1).feed(frame(small!, 0));
    const again = l.upstream(0).take().readUInt32BE(5);
    a.close();
    l.upstream(0).connection.flush();
    assert.deepEqual(alive(l), [1], 'nobody waits behind a call that was given up');
    assert.notEqual(again, id);
    return l;
  }));

  test('a long request that was gathered for a filter keeps off the shared connection as well', () => frozen(() => {
    const l = bolt({ filters: [{ name: 'all', requestBody: 'buffer', onRequestBody: (_, body) => Buffer.from(body) }] });
    const [a, b] = [l.client(), l.client()];
    a.feed(frame(1, 1, 'y'.repeat(300_000)));
    b.feed(frame(2));
    assert.equal(l.dialled.length, 2);
    return l;
  }));

  test('at the limit of connections what waits is sent on the shared connection that has room', () => frozen(() => {
    const l = bolt({ hosts: 2, breaker: { max_connections: 1 } });
    const c = l.client();
    c.feed(Buffer.concat([frame(1), frame(2), frame(3)]));
    assert.equal(l.dialled.length, 1);
    const ids = idsOf(l.upstream(0));
    assert.equal(ids.length, 3, 'all on the one connection there may be');
    const long = frame(4, 1, 'y'.repeat(300_000));
    c.feed(long);
    assert.equal(l.levels()['pendingRequests'], 1, 'a long one may not');
    for (const id of ids) l.upstream(0).feed(frame(id, 0));
    assert.equal(l.levels()['pendingRequests'], 1);
    c.close();
    zero(l, 1);
    return l;
  }));

  test('a host that is removed finishes what runs and takes nothing new', () => frozen(() => {
    const l = bolt();
    const c = l.client();
    c.feed(Buffer.concat([frame(1), frame(2)]));
    const ids = idsOf(l.upstream(0));
    l.hosts[0]!.pool!.drain();
    l.upstream(0).feed(frame(ids[0]!, 0));
    assert.deepEqual(alive(l), [0]);
    l.hosts[0]!.pool!.close();
    assert.equal(l.last.code, 'host-removed');
    assert.deepEqual(alive(l), []);
    zero(l, 0);
    return l;
  }));

  test('a failing connection is not where its calls are tried again', () => frozen((clock) => {
    const l = bolt({ route: { idempotent: true, retry: { on: ['reset'], attempts: 2 } } });
    const c = l.client();
    c.feed(frame(1));
    idsOf(l.upstream(0));
    l.hosts[0]!.pool!.close();
    assert.equal(l.upstream(0).destroyed, true);
    clock.advance(1000);
    const [id] = idsOf(l.upstream(1));
    l.upstream(1).feed(frame(id!, 0));
    assert.deepEqual(l.last.attempts.map((a) => a.code), ['host-removed', '']);
    return l;
  }));

  test('ids are unique among what is in flight, and the limit of them is a limit of exchanges', () => frozen(() => {
    const l = bolt({ breaker: { max_pending: 0 } });
    const c = l.client();
    c.feed(frame(1));
    l.upstream(0).take();
    const n = 1000;
    const many = Array.from({ length: n }, (_, i) => frame(i + 2));
    c.feed(Buffer.concat(many));
    assert.equal(new Set(idsOf(l.upstream(0))).size, n);
    assert.equal(n < MAX_IN_FLIGHT, true);
    return l;
  }));
});

describe('pinned', () => {
  test('each client has a connection of its own, and the pair closes together', () => frozen((clock) => {
    const l = bolt({ pool: 'pinned', cluster: { idle_timeout: 1000 } });
    const [a, b] = [l.client(), l.client()];
    a.feed(Buffer.concat([frame(1), frame(2)]));
    b.feed(frame(1));
    assert.equal(l.dialled.length, 2);
    const ids = idsOf(l.upstream(0));
    l.upstream(0).feed(Buffer.concat([frame(ids[1]!, 0), frame(ids[0]!, 0)]));
    assert.equal(a.take().readUInt32BE(5), 2);
    clock.advance(5000);
    assert.deepEqual(alive(l), [0, 1], 'a host may want to say something any time');
    a.close();
    assert.deepEqual(alive(l), [1]);
    idsOf(l.upstream(1));
    l.upstream(1).close();
    assert.equal(b.destroyed, true);
    assert.equal(l.last.code, 'upstream-closed');
    assert.notEqual(b.take().length, 0, 'the call that ran is answered first');
    zero(l, 0);
    return l;
  }));

  test('a host that refuses costs the client nothing where another one accepts', () => frozen(() => {
    const l = bolt({ hosts: 2, pool: 'pinned' });
    const c = l.client();
    c.feed(frame(1));
    l.refuse(0);
    assert.equal(c.destroyed, false);
    const [id] = idsOf(l.upstream(1));
    l.upstream(1).feed(frame(id!, 0));
    assert.equal(c.take().readUInt32BE(5), 1);
    c.feed(frame(2));
    assert.equal(l.dialled.length, 2, 'it stays with that one');
    return l;
  }));

  test('calls of a client that wait for its connection are all sent on it', () => frozen(() => {
    const l = bolt({ pool: 'pinned' });
    const c = l.client();
    c.feed(Buffer.concat([frame(1), frame(2), frame(3)]));
    assert.equal(l.dialled.length, 1);
    assert.equal(idsOf(l.upstream(0)).length, 3);
    return l;
  }));

  test('over the limit of connections a new client is refused, not queued', () => frozen(() => {
    const l = bolt({ pool: 'pinned', breaker: { max_connections: 1 } });
    const [a, b] = [l.client(), l.client()];
    a.feed(frame(1));
    b.feed(frame(1));
    assert.equal(l.last.code, 'breaker-connections');
    assert.notEqual(b.take().length, 0);
    return l;
  }));

  test('a call that its client\'s host leaves unanswered costs the call, not the connection', () => frozen((clock) => {
    const l = bolt({ pool: 'pinned', route: { timeout: '200ms' } });
    const c = l.client();
    const timed = frame(1);
    timed.writeInt32BE(100, 10);
    c.feed(timed);
    const [id] = idsOf(l.upstream(0));
    clock.advance(150);
    assert.equal(l.last.code, 'request-timeout');
    assert.equal(c.take().readUInt32BE(5), 1);
    l.upstream(0).feed(frame(id!, 0));
    c.feed(frame(2));
    const [second] = idsOf(l.upstream(0));
    l.upstream(0).feed(frame(second!, 0));
    assert.equal(c.take().readUInt32BE(5), 2);
    assert.equal(c.destroyed, false);
    return l;
  }));

  test('a host that is removed closes its clients when nothing runs', () => frozen(() => {
    const l = bolt({ pool: 'pinned' });
    const [a, b] = [l.client(), l.client()];
    a.feed(frame(1));
    b.feed(frame(1));
    const [id] = idsOf(l.upstream(0));
    l.upstream(0).feed(frame(id!, 0));
    l.hosts[0]!.pool!.drain();
    assert.deepEqual([a.destroyed, b.destroyed], [true, false]);
    const [other] = idsOf(l.upstream(1));
    l.upstream(1).feed(frame(other!, 0));
    assert.equal(b.take().readUInt32BE(5), 1);
    assert.equal(b.destroyed, true);
    return l;
  }));
});

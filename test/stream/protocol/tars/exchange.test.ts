// The life of Tars exchanges without sockets: ids, one-way calls, retries, timeouts, pushes, go-away, long packets, filters, and counters back at zero.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FakeClock } from '../../../../src/core/clock-fake.js';
import { now, setClock } from '../../../../src/core/clock.js';
import { MAX_GATHERED, gathered } from '../../../../src/core/gathered.js';
import type { Exchange } from '../../../../src/stream/exchange.js';
import { CONTINUE, type Verdict } from '../../../../src/stream/filter.js';
import { headerName, type Head } from '../../../../src/stream/head.js';
import { TarsProtocol, defaultOptions } from '../../../../src/stream/protocol/tars/protocol.js';
import { EditFilter, HoldFilter, ReverseFilter, UpperFilter } from '../../../support/filters.js';
import type { FakeWire } from '../../../support/fake-wire.js';
import { Lab, type LabOptions } from '../../../support/stream-lab.js';
import { pattern, replyFrame, requestFrame, type RequestParts } from './frames.js';
import { headOf } from './recorder.js';

const NONE = { connections: 0, pending: 0, requests: 0, retries: 0, activeRequests: 0, pendingRequests: 0, listenerActive: 0, hostsActive: 0 };
const zero = (lab: Lab, connections: number): void => {
  assert.deepEqual(lab.levels(), { ...NONE, connections });
  assert.equal(gathered.bytes, 0, 'nothing is gathered any more');
};

const lab = (options: Partial<LabOptions> = {}): Lab => new Lab({ protocol: new TarsProtocol(), ...options });

/** The packets in these bytes, cut by their lengths. */
function cut(bytes: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let p = 0; p < bytes.length; p += bytes.readUInt32BE(p)) frames.push(bytes.subarray(p, p + bytes.readUInt32BE(p)));
  return frames;
}
const idsOf = (bytes: Buffer): number[] => cut(bytes).map((frame) => headOf(frame).id);
const text = (content: string): { content: Buffer } => ({ content: Buffer.from(content) });
/** What a client got: id, result code, content. */
const got = (bytes: Buffer): [number, number, string][] => cut(bytes).map((frame) => {
  const head = headOf(frame, 'client');
  return [head.id, head.rawStatus, Buffer.from(head.bodyBuf.subarray(head.bodyStart, head.bodyEnd)).toString('latin1')];
});
const answer = (c: FakeWire): [number, number, string] => got(c.take())[0]!;

function withClock(run: (clock: FakeClock) => void): void {
  const clock = new FakeClock();
  const restore = setClock(clock);
  try {
    run(clock);
  } finally {
    restore();
  }
}

describe('ids', () => {
  test('a request is forwarded under an id of the shared connection, its reply returns under the client\'s, in its width', () => {
    for (const [idA, idB] of [[7, 7], [300, 70_000], [0, 0xffffffff]] as const) {
      const l = lab();
      const a = l.client();
      const b = l.client();
      a.feed(requestFrame({ id: idA, ...text('from a') }));
      b.feed(requestFrame({ id: idB, version: 3, ...text('from b') }));
      assert.equal(l.dialled.length, 1, 'both clients share one connection');
      const up = l.upstream();
      const sent = up.take();
      const [first, second] = idsOf(sent) as [number, number];
      assert.notEqual(first, second);
      assert.deepEqual(sent, Buffer.concat([requestFrame({ id: first, ...text('from a') }), requestFrame({ id: second, version: 3, ...text('from b') })]));
      up.feed(Buffer.concat([requestFrame({ id: second, version: 3, ...text('to b') }), replyFrame({ id: first, ...text('to a') })]));
      assert.deepEqual(a.take(), replyFrame({ id: idA, ...text('to a') }));
      assert.deepEqual(b.take(), requestFrame({ id: idB, version: 3, ...text('to b') }));
      assert.deepEqual(l.finished.map((f) => [f.status, f.code]), [[200, ''], [200, '']]);
      zero(l, 1);
    }
  });

  test('replies in the wrong order find their callers; one that nobody waits for is dropped', () => {
    const l = lab();
    const c = l.client();
    c.feed(Buffer.concat([1, 2, 3].map((id) => requestFrame({ id }))));
    const up = l.upstream();
    const ids = idsOf(up.take());
    up.feed(Buffer.concat([replyFrame({ id: ids[2]!, ...text('3') }), replyFrame({ id: 0x7eadbeef }), replyFrame({ id: ids[0]!, ...text('1') }), replyFrame({ id: ids[0]!, ...text('again') }), replyFrame({ id: ids[1]!, ...text('2') })]));
    assert.deepEqual(got(c.take()), [[3, 0, '3'], [1, 0, '1'], [2, 0, '2']]);
    zero(l, 1);
  });
});

describe('calls', () => {
  test('a one-way call is sent, counted and not waited for; what its host answers anyway is dropped', () => {
    const l = lab();
    const c = l.client();
    c.feed(requestFrame({ id: 9, type: 1 }));
    const up = l.upstream();
    const [id] = idsOf(up.take());
    assert.deepEqual(l.finished.map((f) => f.code), ['']);
    up.feed(replyFrame({ id: id!, type: 1 }));
    assert.equal(c.take().length, 0);
    zero(l, 1);
  });

  test('a refused connection is tried again on another host, and the client sees nothing of it', () => {
    const l = lab({ hosts: 2 });
    const c = l.client();
    c.feed(requestFrame({ id: 1 }));
    l.refuse(0);
    const up = l.upstream(1);
    up.feed(replyFrame({ id: idsOf(up.take())[0]! }));
    assert.deepEqual(answer(c), [1, 0, 'result']);
    assert.deepEqual(l.last.attempts.map((a) => a.code), ['connect-refused', '']);
    zero(l, 1);
  });

  test('an idempotent call is sent again under another id when its connection dies, an overloaded host is left where the route says so', () => {
    for (const how of ['reset', 'status'] as const) {
      const l = lab({ hosts: 2, route: { idempotent: true, retry: { on: how === 'reset' ? ['reset'] : ['gateway-error'], attempts: 2, backoff: { base: '1ms', max: '1ms' } } } });
      withClock((clock) => {
        const c = l.client();
        c.feed(requestFrame({ id: 5, ...text('ask') }));
        const first = l.upstream(0);
        const sent = first.take();
        if (how === 'reset') first.close();
        else first.feed(replyFrame({ id: idsOf(sent)[0]!, code: -9 }));
        clock.advance(10);
        const second = l.upstream(1);
        const again = second.take();
        assert.deepEqual(again, requestFrame({ id: idsOf(again)[0]!, ...text('ask') }));
        second.feed(replyFrame({ id: idsOf(again)[0]! }));
        assert.deepEqual(answer(c), [5, 0, 'result']);
        assert.equal(l.last.attempts.length, 2);
      });
    }
  });

  test('every host refusing, no route: an error in the version of the request', () => {
    for (const version of [1, 2, 3, 5]) {
      const l = lab({ hosts: 2 });
      const c = l.client();
      c.feed(requestFrame({ id: 300, version, messageType: 4 }));
      l.refuse(0);
      l.refuse(1);
      const head = headOf(c.take(), 'client');
      assert.deepEqual([head.id, head.version, head.messageType, head.response, head.rawStatus, head.status], [300, version, 4, version === 1 || version === 5, -8, 503]);
      assert.equal(l.last.code, 'connect-refused');
      assert.equal(l.last.rawStatus, -8);
      zero(l, 0);
    }
    const l = lab({ table: { name: 'main', routes: [{ match: { service: 'Other' }, cluster: 'app' }] } });
    const c = l.client();
    c.feed(requestFrame({ id: 3, type: 1 }));
    assert.equal(c.take().length, 0, 'a one-way call is refused in silence');
    c.feed(requestFrame({ id: 3 }));
    assert.deepEqual(answer(c).slice(0, 2), [3, -4]);
    assert.deepEqual(l.finished.map((f) => f.code), ['no-route', 'no-route']);
  });

  test('the timeout of the packet ends the exchange, and a late reply reaches nobody', () => withClock((clock) => {
    const l = lab({ route: { timeout: '1s' } });
    const c = l.client();
    c.feed(Buffer.concat([requestFrame({ id: 5, timeout: 100 }), requestFrame({ id: 6, timeout: 0 })]));
    const up = l.upstream();
    const [id, other] = idsOf(up.take()) as [number, number];
    clock.advance(90);
    assert.equal(c.take().length, 0);
    clock.advance(50);
    assert.deepEqual(answer(c).slice(0, 2), [5, -7]);
    assert.equal(l.last.code, 'request-timeout');
    clock.advance(1000);
    assert.deepEqual(answer(c).slice(0, 2), [6, -7], 'without one the route\'s counts');
    c.feed(requestFrame({ id: 7 }));
    const [next] = idsOf(up.take());
    up.feed(Buffer.concat([replyFrame({ id, ...text('late') }), replyFrame({ id: other, ...text('later') }), replyFrame({ id: next!, ...text('in time') })]));
    assert.deepEqual(got(c.take()), [[7, 0, 'in time']]);
    zero(l, 1);
  }));

  test('a client that leaves takes its exchanges with it; the others of the shared connection are not touched', () => {
    const l = lab();
    const a = l.client();
    const b = l.client();
    a.feed(requestFrame({ id: 1 }));
    b.feed(requestFrame({ id: 1 }));
    const up = l.upstream();
    const [ida, idb] = idsOf(up.take()) as [number, number];
    a.close();
    assert.equal(l.last.code, 'downstream-closed');
    up.feed(Buffer.concat([replyFrame({ id: ida }), replyFrame({ id: idb, ...text('yours') })]));
    assert.deepEqual(answer(b), [1, 0, 'yours']);
    zero(l, 1);
  });

  test('a malformed reply fails what was in flight with the reason; garbage from a client closes its connection only', () => {
    const l = lab();
    const c = l.client();
    c.feed(requestFrame({ id: 1 }));
    l.upstream().take();
    l.upstream().feed('HTTP/1.1 400 Bad Request\r\n\r\n');
    assert.equal(l.last.code, 'bad-reply');
    assert.deepEqual(answer(c).slice(0, 2), [1, -12]);
    const bad = l.client();
    bad.feed('GET / HTTP/1.1\r\n\r\n');
    assert.equal(bad.destroyed, true);
    assert.equal(l.last.code, 'bad-frame');
    c.feed(requestFrame({ id: 2 }));
    const up = l.upstream();
    up.feed(replyFrame({ id: idsOf(up.take())[0]! }));
    assert.deepEqual(answer(c), [2, 0, 'result']);
    zero(l, 1);
  });

  test('every split of two packets gives the same two calls', () => {
    const two = Buffer.concat([requestFrame({ id: 70_001, ...text('one') }), requestFrame({ id: 70_002, ...text('two') })]);
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
});

describe('what is sent unasked', () => {
  test('pings of clients are answered, and hosts that leave ours unanswered are given up after a second look', () => withClock((clock) => {
    const l = lab();
    const c = l.client();
    c.feed(requestFrame({ id: 42, name: 'tars_ping', version: 3 }));
    assert.deepEqual(answer(c).slice(0, 2), [42, 0]);
    assert.equal(l.finished.length, 0, 'it is no exchange');
    c.feed(requestFrame({ id: 1, timeout: 100_000 }));
    const up = l.upstream();
    const [id] = idsOf(up.take());
    clock.advance(15_100);
    const ping = headOf(up.take());
    up.feed(replyFrame({ id: ping.id, code: -3 }));
    clock.advance(18_100);
    assert.equal(cut(up.take()).length, 1, 'an answer was a sign of life, whatever it says; it is asked again later');
    clock.advance(3100);
    assert.equal(cut(up.take()).length, 1, 'asked again at once');
    assert.ok(id! > 0);
    clock.advance(3100);
    assert.equal(up.destroyed, true);
    assert.equal(l.last.code, 'heartbeat-missed');
    assert.deepEqual(answer(c).slice(0, 2), [1, -8]);
    zero(l, 0);
  }));

  test('a host that calls to reconnect gets nothing new, and its running calls finish', () => {
    const l = lab();
    const c = l.client();
    c.feed(requestFrame({ id: 1 }));
    const up = l.upstream();
    const [id] = idsOf(up.take());
    up.feed(replyFrame({ id: 0, description: '_reconnect_' }));
    assert.ok(l.hosts[0]!.awayUntil > now() + 10_000, 'others are taken while there are any: a server that stops does not serve what connects now');
    c.feed(requestFrame({ id: 2 }));
    assert.equal(l.dialled.length, 2, 'the next call opens another connection');
    up.feed(replyFrame({ id: id! }));
    assert.deepEqual(answer(c), [1, 0, 'result']);
    assert.equal(up.destroyed, true, 'closed once its last call was answered');
    const second = l.upstream(1);
    second.feed(replyFrame({ id: idsOf(second.take())[0]! }));
    assert.deepEqual(answer(c), [2, 0, 'result']);
    zero(l, 1);
  });

  test('what a host pushes reaches the client that the connection belongs to, as it came', () => {
    const l = lab({ pool: 'pinned' });
    const a = l.client();
    const b = l.client();
    a.feed(requestFrame({ id: 1 }));
    b.feed(requestFrame({ id: 1 }));
    assert.equal(l.dialled.length, 2);
    const up = l.upstream(0);
    const [id] = idsOf(up.take());
    const push = replyFrame({ id: 0, version: 0, ...text('news'), status: [['TARS_FUNC', 'onNews']] });
    up.feed(Buffer.concat([push, replyFrame({ id: id!, ...text('answer') }), push]));
    assert.deepEqual(a.take(), Buffer.concat([push, replyFrame({ id: 1, ...text('answer') }), push]));
    assert.equal(b.take().length, 0);
    b.close();
    zero(l, 1);
  });

  test('on a shared connection a push is for nobody, and disturbs nobody', () => {
    const l = lab();
    const c = l.client();
    c.feed(requestFrame({ id: 1 }));
    const up = l.upstream();
    const [id] = idsOf(up.take());
    up.feed(Buffer.concat([replyFrame({ id: 0, ...text('news') }), replyFrame({ id: id! })]));
    assert.deepEqual(got(c.take()), [[1, 0, 'result']]);
    assert.equal(up.take().length, 0);
    zero(l, 1);
  });

  test('clients are called to reconnect when the listener drains, if the listener says so', () => {
    for (const goaway of [true, false]) {
      const l = lab({ protocol: new TarsProtocol({ ...defaultOptions, goaway }) });
      const c = l.client();
      c.feed(requestFrame({ id: 1 }));
      const up = l.upstream();
      const [id] = idsOf(up.take());
      l.listener.drain();
      const said = c.take();
      if (goaway) assert.deepEqual(said, replyFrame({ id: 0, content: Buffer.alloc(0), description: '_reconnect_' }));
      else assert.equal(said.length, 0);
      up.feed(replyFrame({ id: id! }));
      assert.deepEqual(answer(c), [1, 0, 'result']);
      zero(l, 1);
    }
  });
});

describe('sizes', () => {
  test('a packet over the limit costs neither its connection nor the other calls on it, on both sides', () => {
    const l = lab({ protocol: new TarsProtocol({ ...defaultOptions, max_frame: 1000 }) });
    const c = l.client();
    c.feed(Buffer.concat([requestFrame({ id: 1 }), requestFrame({ id: 2, version: 3, content: pattern(5000) }), requestFrame({ id: 3, type: 1, content: pattern(5000) }), requestFrame({ id: 4 })]));
    const refused = headOf(c.take(), 'client');
    assert.deepEqual([refused.id, refused.rawStatus], [2, -1]);
    assert.deepEqual(l.finished.map((f) => f.code), ['frame-too-large', 'frame-too-large']);
    const up = l.upstream();
    const [one, four, ...others] = idsOf(up.take());
    assert.equal(others.length, 0);
    up.feed(replyFrame({ id: one!, content: pattern(5000) }).subarray(0, 3000));
    assert.deepEqual(answer(c).slice(0, 2), [1, -12]);
    assert.equal(l.last.code, 'reply-too-large');
    up.feed(Buffer.concat([replyFrame({ id: one!, content: pattern(5000) }).subarray(3000), replyFrame({ id: four!, ...text('fine') })]));
    assert.deepEqual(got(c.take()), [[4, 0, 'fine']]);
    assert.ok(!c.destroyed && !up.destroyed);
    zero(l, 1);
  });

  test('long packets pass in both directions, beside others; a long request has a connection of its own', () => {
    const l = lab();
    const a = l.client();
    const b = l.client();
    const long = requestFrame({ id: 1, content: pattern(2_000_000) });
    const reply = (id: number): Buffer => replyFrame({ id, content: pattern(3_000_000), context: [['after', 'all']] });
    for (let p = 0; p < long.length; p += 65_536) {
      a.feed(long.subarray(p, p + 65_536));
      if (p === 0) {
        assert.equal(gathered.bytes, long.length);
        b.feed(requestFrame({ id: 1, ...text('short') }));
      }
    }
    assert.equal(gathered.bytes, 0);
    assert.equal(l.dialled.length, 2);
    const [shared, alone] = [l.upstream(0), l.upstream(1)];
    const sent = alone.take();
    assert.ok(sent.equals(requestFrame({ id: idsOf(sent)[0]!, content: pattern(2_000_000) })));
    shared.feed(replyFrame({ id: idsOf(shared.take())[0]! }));
    assert.deepEqual(answer(b), [1, 0, 'result']);
    const bytes = reply(idsOf(sent)[0]!);
    alone.feed(bytes.subarray(0, 100_000));
    assert.equal(gathered.bytes, bytes.length);
    alone.feed(bytes.subarray(100_000));
    assert.ok(a.take().equals(reply(1)));
    a.close();
    b.close();
    zero(l, 2);
  });

  test('what the worker gathers is bounded: one more long packet is refused, with an error, and what follows is read', () => {
    const l = lab();
    const clients: FakeWire[] = [];
    const size = 16 * 1024 * 1024 - 1000;
    const long = requestFrame({ id: 8, content: Buffer.alloc(size) });
    while (gathered.bytes + long.length <= MAX_GATHERED) {
      const c = l.client();
      c.feed(long.subarray(0, 1000));
      clients.push(c);
    }
    assert.equal(clients.length, 4);
    const c = l.client();
    c.feed(long.subarray(0, 1000));
    assert.deepEqual(answer(c).slice(0, 2), [8, -9]);
    assert.equal(l.last.code, 'memory-limit');
    c.feed(Buffer.concat([long.subarray(1000), requestFrame({ id: 9 })]));
    const up = l.upstream();
    up.feed(replyFrame({ id: idsOf(up.take())[0]! }));
    assert.deepEqual(answer(c), [9, 0, 'result']);
    for (const one of clients) one.close();
    assert.equal(gathered.bytes, 0, 'what is gathered is given back with the connection');
    zero(l, 1);
  });

  test('a client that does not read stops being read, its memory is bounded, and others are served', () => {
    const l = lab();
    const slow = l.client();
    const other = l.client();
    slow.stuck = true;
    for (let id = 1; id <= 4; id++) slow.feed(requestFrame({ id }));
    const up = l.upstream();
    for (const id of idsOf(up.take())) {
      up.feed(replyFrame({ id, content: pattern(200_000) }));
      slow.connection.flush();
    }
    assert.equal(slow.paused, true, 'nothing more is read from it');
    other.feed(requestFrame({ id: 1 }));
    up.feed(replyFrame({ id: idsOf(up.take())[0]!, ...text('fast') }));
    assert.deepEqual(answer(other), [1, 0, 'fast']);
    slow.drain();
    assert.equal(slow.paused, false);
  });
});

describe('filters', () => {
  const through = (options: Partial<LabOptions>, parts: RequestParts, between: (l: Lab) => void = () => {}): [Buffer, Buffer] => {
    const l = lab(options);
    const c = l.client();
    c.feed(requestFrame({ id: 3, context: [], ...parts }));
    between(l);
    const up = l.upstream();
    const sent = up.take();
    up.feed(replyFrame({ id: idsOf(sent)[0]!, ...text('result'), context: [] }));
    between(l);
    const reply = c.take();
    zero(l, 1);
    return [sent, reply];
  };

  test('headers are edited in requests and replies', () => {
    const [sent, reply] = through({ filters: [new EditFilter()] }, {});
    assert.deepEqual(sent, requestFrame({ id: idsOf(sent)[0]!, context: [['x-edited', 'request']] }));
    assert.deepEqual(reply, replyFrame({ id: 3, context: [['x-edited', 'reply']] }));
  });

  test('servant, function and context are matched by routes; a filter may rename the first two', () => {
    const rename = {
      name: 'rename',
      onRoute: (_exchange: Exchange, head: Head): Verdict => {
        head.set(headerName(':service'), `New.${head.get(headerName('user'))}`);
        head.set(headerName(':rpc-method'), 'hello');
        return CONTINUE;
      },
    };
    const [sent] = through({
      filters: [rename],
      table: { name: 'main', routes: [{ match: { service: { prefix: 'App.' }, method: 'greet', headers: [{ name: 'user', exact: 'ann' }] }, cluster: 'app' }] },
    }, { context: [['user', 'ann']] });
    assert.deepEqual(sent, requestFrame({ id: idsOf(sent)[0]!, servant: 'New.ann', name: 'hello', context: [['user', 'ann']] }));
  });

  test('a held exchange goes on with what was kept', () => {
    const hold = new HoldFilter('both');
    const [sent, reply] = through({ filters: [hold] }, { ...text('kept') }, () => {
      (hold.replies.at(-1) ?? hold.requests.at(-1))!.resume();
    });
    assert.deepEqual(sent, requestFrame({ id: idsOf(sent)[0]!, context: [], ...text('kept') }));
    assert.deepEqual(reply, replyFrame({ id: 3, context: [] }));
  });

  test('bodies are replaced, longer and shorter, and written with their lengths', () => {
    const [sent, reply] = through({ filters: [new UpperFilter(), new ReverseFilter()] }, { ...text('content') });
    assert.deepEqual(sent, requestFrame({ id: idsOf(sent)[0]!, context: [], ...text('TNETNOC') }));
    assert.deepEqual(reply, replyFrame({ id: 3, context: [], ...text('TLUSER') }));
    const grow = { name: 'grow', requestBody: 'replace' as const, onRequestBody: () => pattern(70_000) };
    const [longer] = through({ filters: [grow] }, {});
    assert.ok(longer.equals(requestFrame({ id: idsOf(longer)[0]!, context: [], content: pattern(70_000) })));
  });

  test('an edit of broken maps is refused with the protocol\'s error', () => {
    const l = lab({ filters: [new EditFilter()] });
    const c = l.client();
    c.feed(requestFrame({ id: 3, tail: Buffer.from('98000110020010', 'hex') }));
    assert.deepEqual(answer(c).slice(0, 2), [3, -1]);
    assert.equal(l.last.code, 'bad-frame');
    zero(l, 0);
  });
});

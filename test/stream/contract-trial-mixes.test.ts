// The contracts of codec, pool and filter tried on protocols that mix otherwise: Kafka (ids on the wire, replies in order) and one with pieces in any mix.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FakeClock } from '../../src/core/clock-fake.js';
import { setClock } from '../../src/core/clock.js';
import { CONTINUE } from '../../src/stream/filter.js';
import type { FakeWire } from '../support/fake-wire.js';
import { EditFilter, HoldFilter, ReverseFilter, UpperFilter } from '../support/filters.js';
import { CLIENT_ID, KafkaSkeleton } from '../support/kafka-skeleton.js';
import { DATA, GOAWAY, HEAD, MixedSkeleton, RESET, piece } from '../support/mixed-skeleton.js';
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

describe('kafka: ids on the wire, replies in order all the same', () => {
  const kafka = (options: Partial<LabOptions> = {}): Lab => new Lab({ protocol: new KafkaSkeleton(), ...options });
  const METADATA = 3;
  const HEARTBEAT = 12;
  const request = (id: number, body: string | Buffer = 'body', api = METADATA, version = 1, client = 'app'): Buffer => {
    const head = Buffer.alloc(14);
    head.writeInt32BE(10 + client.length + body.length, 0);
    head.writeInt16BE(api, 4);
    head.writeInt16BE(version, 6);
    head.writeInt32BE(id, 8);
    head.writeInt16BE(client.length, 12);
    return Buffer.concat([head, Buffer.from(client), Buffer.from(body)]);
  };
  const reply = (id: number, body: string | Buffer = 'answer'): Buffer => {
    const head = Buffer.alloc(8);
    head.writeInt32BE(4 + body.length, 0);
    head.writeInt32BE(id, 4);
    return Buffer.concat([head, Buffer.from(body)]);
  };
  /** The correlation ids and bodies of the requests that a host got. */
  const asked = (up: FakeWire): { id: number; client: string; body: string }[] => {
    const list = [];
    for (let bytes = up.take(); bytes.length > 0; ) {
      const size = 4 + bytes.readInt32BE(0);
      const fixed = 14 + bytes.readInt16BE(12);
      list.push({ id: bytes.readInt32BE(8), client: bytes.toString('latin1', 14, fixed), body: bytes.toString('latin1', fixed, size) });
      bytes = bytes.subarray(size);
    }
    return list;
  };

  test('clients share a connection under ids of its own; replies return under theirs, in the order asked', () => {
    const l = kafka();
    const [a, b] = [l.client(), l.client()];
    a.feed(Buffer.concat([request(7, 'a1'), request(7, 'a2')]));
    b.feed(request(-3, 'b1'));
    const up = l.upstream();
    const got = asked(up);
    assert.deepEqual(got.map((r) => r.body), ['a1', 'a2', 'b1']);
    assert.equal(new Set(got.map((r) => r.id)).size, 3);
    // A broker answers in order; where several brokers are behind one client, the order is the proxy's to keep.
    up.feed(Buffer.concat([reply(got[2]!.id, 'to b1'), reply(got[1]!.id, 'to a2')]));
    assert.deepEqual(b.take(), reply(-3, 'to b1'));
    assert.equal(a.take().length, 0);
    up.feed(reply(got[0]!.id, 'to a1'));
    assert.deepEqual(a.take(), Buffer.concat([reply(7, 'to a1'), reply(7, 'to a2')]));
    zero(l, 1);
  });

  test('every split gives the same', () => {
    const two = Buffer.concat([request(1, 'one'), request(2, 'two')]);
    for (let i = 1; i < two.length; i++) {
      const l = kafka();
      const c = l.client();
      c.feed(two.subarray(0, i));
      c.feed(two.subarray(i));
      const up = l.upstream();
      const got = asked(up);
      assert.deepEqual(got.map((r) => r.body), ['one', 'two'], `split at ${i}`);
      const replies = Buffer.concat(got.map((r) => reply(r.id, `to ${r.body}`)));
      const at = i % replies.length;
      if (at > 0) up.feed(replies.subarray(0, at));
      up.feed(replies.subarray(at));
      assert.deepEqual(c.take(), Buffer.concat([reply(1, 'to one'), reply(2, 'to two')]), `split at ${i}`);
      zero(l, 1);
    }
  });

  test('a produce that wants no acknowledgement takes no place in the order', () => {
    const l = kafka();
    const c = l.client();
    c.feed(Buffer.concat([request(1, '\0\0records', 0), request(2, 'meta')]));
    const got = asked(l.upstream());
    assert.deepEqual(got.map((r) => r.body), ['\0\0records', 'meta']);
    assert.equal(l.finished.length, 1);
    l.upstream().feed(reply(got[1]!.id));
    assert.deepEqual(c.take(), reply(2));
    zero(l, 1);
  });

  test('what waits at the broker does not stop the others', () => {
    const l = kafka();
    const [a, b] = [l.client(), l.client()];
    a.feed(request(1, 'poll', 1));
    b.feed(request(1, 'meta'));
    assert.equal(l.dialled.length, 2);
    assert.deepEqual(asked(l.upstream(1)).map((r) => r.body), ['meta']);
  });

  test('frames longer than 256 KiB pass in pieces, both ways', () => {
    const l = kafka();
    const [a, b] = [l.client(), l.client()];
    const long = Buffer.alloc(700_000, 120);
    const frame = request(5, long);
    a.feed(frame.subarray(0, 100));
    a.feed(frame.subarray(100, 400_000));
    b.feed(request(6, 'short'));
    assert.equal(l.dialled.length, 2, 'the long one has a connection to itself');
    const up = l.upstream(0);
    const first = up.take();
    assert.equal(first.length, 400_000);
    a.feed(frame.subarray(400_000));
    assert.equal(up.take().length, frame.length - 400_000);
    const answer = reply(first.readInt32BE(8), long);
    up.feed(answer.subarray(0, 300_000));
    assert.equal(a.take().length, 300_000, 'passed on as it comes');
    up.feed(answer.subarray(300_000));
    assert.equal(a.take().length, answer.length - 300_000);
    assert.equal(l.last.code, '');
    a.feed(frame);
    assert.equal(l.dialled.length, 2, 'the connection for long ones is used again');
    a.close();
    l.upstream(1).take();
    l.upstream(1).close();
    assert.equal(l.last.code, 'upstream-closed');
    assert.equal(b.destroyed, true, 'the api has no error reply');
    zero(l, 0);
  });

  test('a failure in the middle of a pipeline: a reply in its turn where the api has one', () => frozen((clock) => {
    const l = kafka({ hosts: 2, route: { timeout: '100ms' } });
    const c = l.client();
    c.feed(Buffer.concat([request(1, 'first', METADATA), request(2, 'beat', HEARTBEAT, 1), request(3, 'third')]));
    const up = l.upstream(0);
    const got = asked(up);
    clock.advance(50);
    up.feed(reply(got[1]!.id, 'third'));
    l.upstream(1);
    assert.equal(c.take().length, 0);
    clock.advance(100);
    assert.equal(c.take().length, 0, 'the first has no error reply of its own');
    assert.equal(c.destroyed, true);
    assert.deepEqual(l.finished.map((f) => f.code), ['', 'request-timeout', 'connection-given-up']);

    const d = l.client();
    d.feed(Buffer.concat([request(1, 'beat', HEARTBEAT, 1), request(2, 'meta')]));
    const on = l.dialled.map((_, i) => l.upstream(i)).filter((w) => !w.destroyed);
    const metas = on.flatMap((w) => asked(w).filter((r) => r.body === 'meta').map((r) => [w, r.id] as const));
    metas[0]![0].feed(reply(metas[0]![1], 'meta'));
    clock.advance(150);
    assert.deepEqual(d.take(), Buffer.concat([reply(1, Buffer.from([0, 0, 0, 0, 0, 7])), reply(2, 'meta')]));
    assert.equal(d.destroyed, false);
  }));

  test('a failure without a reply ends the connection in its turn: what came before is answered, what came after is told why', () => {
    const hold = new HoldFilter();
    const l = kafka({ filters: [hold] });
    const c = l.client();
    c.feed(Buffer.concat([request(1, 'one'), request(2, 'two'), request(3, 'three')]));
    hold.requests[1]!.cancel('denied', { detail: 'no' });
    assert.equal(c.destroyed, false);
    hold.requests[0]!.resume();
    const [one] = asked(l.upstream());
    l.upstream().feed(reply(one!.id, 'fine'));
    assert.deepEqual(c.take(), reply(1, 'fine'));
    assert.equal(c.destroyed, true);
    assert.deepEqual(l.finished.map((f) => f.code), ['denied', '', 'connection-given-up']);
    zero(l, 1);
  });

  test('a frame that is too long, and garbage, end the connection with the reason', () => {
    for (const [bytes, code] of [[Buffer.from('7fffffff000300010000000100000000', 'hex'), 'frame-too-large'], [Buffer.from('GET / HTTP/1.1\r\n\r\n'), 'frame-too-large'], [Buffer.from('0000000100030001000000010000', 'hex'), 'bad-frame']] as const) {
      const l = kafka();
      const c = l.client();
      c.feed(bytes);
      assert.equal(c.destroyed, true);
      assert.equal(l.last.code, code);
      zero(l, 0);
    }
  });

  test('the four filters', () => {
    const l = kafka({ filters: [new EditFilter(), { name: 'client', onRequest: (_, head) => (head.set(CLIENT_ID, 'proxy-1'), CONTINUE) }] });
    const c = l.client();
    c.feed(Buffer.concat([request(1, 'one'), request(2, 'two')]));
    const got = asked(l.upstream());
    assert.deepEqual(got.map((r) => [r.client, r.body]), [['proxy-1', 'one'], ['proxy-1', 'two']]);
    l.upstream().feed(reply(got[0]!.id));
    assert.deepEqual(c.take(), reply(1));

    const upper = kafka({ filters: [new UpperFilter()] });
    const d = upper.client();
    d.feed(request(1, Buffer.alloc(300_000, 97)));
    const [big] = asked(upper.upstream());
    assert.equal(big!.body, 'A'.repeat(300_000));
    upper.upstream().feed(reply(big!.id, 'answer'));
    assert.deepEqual(d.take(), reply(1, 'ANSWER'));

    const hold = new HoldFilter('both');
    const h = kafka({ filters: [hold] });
    const e = h.client();
    const long = request(1, Buffer.alloc(400_000, 98));
    e.feed(long.subarray(0, 300_000));
    assert.equal(e.paused, true);
    assert.equal(h.dialled.length, 0);
    hold.requests[0]!.resume();
    assert.equal(h.upstream().take().length, 300_000);
    assert.equal(e.paused, false);
    e.feed(long.subarray(300_000));
    assert.equal(h.upstream().take().length, 100_000 + 17);

    const whole = new ReverseFilter();
    const w = kafka({ filters: [whole] });
    w.client().feed(request(1, 'abc'));
    assert.equal(asked(w.upstream())[0]!.body, 'cba');
  });
});

describe('pieces of several messages in any mix', () => {
  const mixed = (options: Partial<LabOptions> = {}): Lab => new Lab({ protocol: new MixedSkeleton(), ...options });
  const head = (id: number, headers: object, last = false): Buffer => piece(HEAD, id, JSON.stringify(headers), last);
  /** What was sent, as [kind, stream, content, last]. */
  const pieces = (wire: FakeWire): [number, number, string, boolean][] => {
    const list: [number, number, string, boolean][] = [];
    for (let bytes = wire.take(); bytes.length > 0; bytes = bytes.subarray(10 + bytes.readUInt32BE(6))) {
      list.push([bytes[0]!, bytes.readUInt32BE(2), bytes.toString('utf8', 10, 10 + bytes.readUInt32BE(6)), bytes[1] === 1]);
    }
    return list;
  };

  test('content finds its exchange by its id, in both directions, and long requests share the connection', () => {
    const l = mixed();
    const [a, b] = [l.client(), l.client()];
    a.feed(Buffer.concat([head(1, { n: 'a1' }), head(3, { n: 'a3' }), piece(DATA, 1, 'one '), piece(DATA, 3, 'three '), piece(DATA, 1, 'more', true)]));
    b.feed(head(1, { n: 'b1' }, true));
    assert.equal(l.dialled.length, 1);
    const up = l.upstream();
    const sent = pieces(up);
    const ids = ['a1', 'a3', 'b1'].map((n) => sent.find(([kind, , content]) => kind === HEAD && content.includes(n))![1]);
    assert.equal(new Set(ids).size, 3);
    assert.deepEqual(sent.filter(([kind, id]) => kind === DATA && id === ids[0]).map(([, , content, last]) => [content, last]), [['one ', false], ['more', true]]);
    assert.deepEqual(sent.filter(([kind, id]) => kind === DATA && id === ids[1]).map(([, , content]) => content), ['three ']);
    up.feed(Buffer.concat([head(ids[2]!, { ':status': '200' }), head(ids[0]!, { ':status': '201' }), piece(DATA, ids[2]!, 'to b'), piece(DATA, ids[0]!, 'to a', true), piece(DATA, ids[2]!, '!', true)]));
    assert.deepEqual(pieces(a).map(([, id, content]) => [id, content]), [[1, '{":status":"201"}'], [1, 'to a']]);
    assert.deepEqual(pieces(b).map(([, id, content]) => [id, content]), [[1, '{":status":"200"}'], [1, 'to b'], [1, '!']]);
    a.feed(piece(DATA, 3, 'end', true));
    up.feed(head(ids[1]!, { ':status': '200' }, true));
    assert.deepEqual(pieces(a).map(([, id]) => id), [3]);
    zero(l, 1);
  });

  test('a reset ends one exchange on both sides; what still comes for it is dropped', () => {
    const l = mixed();
    const c = l.client();
    c.feed(Buffer.concat([head(1, {}), head(3, {}), piece(DATA, 1, 'x')]));
    const up = l.upstream();
    const [one, three] = pieces(up).filter(([kind]) => kind === HEAD).map(([, id]) => id);
    c.feed(Buffer.concat([piece(RESET, 1), piece(DATA, 1, 'late', true), piece(DATA, 3, 'y', true)]));
    assert.deepEqual(pieces(up).map(([kind, id, content]) => [kind, id, content]), [[RESET, one, ''], [DATA, three, 'y']]);
    assert.equal(l.last.code, 'downstream-reset');
    up.feed(Buffer.concat([head(one!, { ':status': '200' }), piece(DATA, one!, 'nobody', true), head(three!, { ':status': '200' }), piece(DATA, three!, 'part')]));
    up.feed(piece(RESET, three!));
    assert.deepEqual(pieces(c).map(([kind, id, content]) => [kind, id, content]), [[HEAD, 3, '{":status":"200"}'], [DATA, 3, 'part'], [RESET, 3, '']]);
    assert.equal(l.last.code, 'reply-cut');
    assert.deepEqual([c.destroyed, up.destroyed], [false, false], 'both connections are sound');
    zero(l, 1);
  });

  test('what a host that goes away will not answer is sent again elsewhere, the rest finishes', () => {
    const l = mixed();
    const c = l.client();
    c.feed(Buffer.concat([head(1, {}, true), head(3, {}, true)]));
    const up = l.upstream();
    const [one, three] = pieces(up).map(([, id]) => id);
    const refused = Buffer.alloc(4);
    refused.writeUInt32BE(three!);
    up.feed(piece(GOAWAY, 0, refused));
    assert.equal(l.dialled.length, 2);
    const again = pieces(l.upstream(1))[0]![1];
    l.upstream(1).feed(head(again, { ':status': '200' }, true));
    assert.deepEqual(pieces(c).map(([, id]) => id), [3]);
    assert.equal(up.destroyed, false);
    up.feed(head(one!, { ':status': '200' }, true));
    assert.deepEqual(pieces(c).map(([, id]) => id), [1]);
    assert.equal(up.destroyed, true);
    zero(l, 1);
  });

  test('bodies are replaced piece by piece, since no length goes before them', () => {
    const l = mixed({ filters: [new UpperFilter()] });
    const c = l.client();
    c.feed(Buffer.concat([head(1, {}), piece(DATA, 1, 'abc')]));
    assert.deepEqual(pieces(l.upstream()).map(([, , content]) => content), ['{}', 'ABC']);
    c.close();
  });
});

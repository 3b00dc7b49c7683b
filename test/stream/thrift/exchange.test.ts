// The life of Thrift exchanges over both kinds of pool: numbers, order, one-way calls, retries, timeouts, long frames, filters, and counters back at zero.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FakeClock } from '../../../src/core/clock-fake.js';
import { setClock } from '../../../src/core/clock.js';
import { SluiceError } from '../../../src/core/reason.js';
import { headerName } from '../../../src/stream/head.js';
import { CONTINUE, type StreamFilter } from '../../../src/stream/filter.js';
import { DubboThriftProtocol } from '../../../src/stream/protocol/dubbo-thrift/protocol.js';
import { ThriftProtocol } from '../../../src/stream/protocol/thrift/protocol.js';
import type { ThriftHead } from '../../../src/stream/thrift/head.js';
import { Echo } from '../../../src/filters/terminal/echo/echo.js';
import type { FakeWire } from '../../support/fake-wire.js';
import { EditFilter, HoldFilter, ReverseFilter, UpperFilter } from '../../support/filters.js';
import { Lab, type LabOptions } from '../../support/stream-lab.js';
import { EXCEPTION, ONEWAY, REPLY, failure, forms, frame, pattern, text, type Parts } from './frames.js';
import { decodeAll } from './recorder.js';

const NONE = { connections: 0, pending: 0, requests: 0, retries: 0, activeRequests: 0, pendingRequests: 0, listenerActive: 0, hostsActive: 0 };
const zero = (lab: Lab, connections: number): void => assert.deepEqual(lab.levels(), { ...NONE, connections });

const lab = (options: Partial<LabOptions> = {}): Lab => new Lab({ protocol: new ThriftProtocol(), ...options });
const shared = (options: Partial<LabOptions> = {}): Lab => lab({ pool: 'multiplex', ...options });

const calls = (bytes: Buffer, dubbo = false): ThriftHead[] => decodeAll(bytes, { dubbo }).heads;
const replies = (wire: FakeWire, dubbo = false): ThriftHead[] => decodeAll(wire.take(), { role: 'client', dubbo }).heads;
const content = (head: ThriftHead): Buffer => Buffer.from(head.bodyBuf.subarray(head.bodyStart, head.bodyEnd));
/** The answer of a host to what it was sent. */
const answer = (head: ThriftHead, parts: Parts = {}): Buffer =>
  frame({ form: forms[head.form]!, type: REPLY, seqid: head.seqid, name: head.get(headerName(':rpc-method')) ?? '', ...(head.dubbo ? { dubbo: { id: BigInt(head.idLow) } } : {}), ...parts });

describe('shared connections', () => {
  test('carry calls of all clients under numbers of their own; replies in any order find their callers', () => {
    for (const form of forms) {
      const l = shared();
      const [a, b] = [l.client(), l.client()];
      a.feed(Buffer.concat([frame({ form, seqid: 7, name: 'first' }), frame({ form, seqid: 8, name: 'second' })]));
      b.feed(frame({ form, seqid: 7, name: 'S:third' }));
      assert.equal(l.dialled.length, 1);
      const got = calls(l.upstream().take());
      assert.equal(new Set(got.map((head) => head.seqid)).size, 3);
      for (const i of [2, 1, 0]) l.upstream().feed(answer(got[i]!, { content: text(form, `r${i}`, 0) }));
      assert.deepEqual(a.take(), Buffer.concat([frame({ form, type: REPLY, seqid: 8, name: 'second', content: text(form, 'r1', 0) }), frame({ form, type: REPLY, seqid: 7, name: 'first', content: text(form, 'r0', 0) })]));
      assert.deepEqual(b.take(), frame({ form, type: REPLY, seqid: 7, name: 'third', content: text(form, 'r2', 0) }));
      assert.deepEqual(l.finished.map((f) => [f.status, f.code]), [[200, ''], [200, ''], [200, '']]);
      zero(l, 1);
    }
  });

  test('with the header of Dubbo pair by its id, whatever number the host puts into the message', () => {
    const l = lab({ protocol: new DubboThriftProtocol() });
    const [a, b] = [l.client(), l.client()];
    a.feed(frame({ seqid: 5, dubbo: { id: 1n << 50n, path: 'p' } }));
    b.feed(frame({ seqid: 5, dubbo: { id: 1n << 50n } }));
    assert.equal(l.dialled.length, 1);
    const got = calls(l.upstream().take(), true);
    l.upstream().feed(Buffer.concat([answer(got[1]!, { seqid: 999 }), answer(got[0]!, { seqid: 999, name: 'other' }), answer(got[0]!, { dubbo: { id: 1n << 50n } })]));
    for (const wire of [a, b]) assert.deepEqual(wire.take(), frame({ type: REPLY, seqid: 5, dubbo: { id: 1n << 50n } }));
    zero(l, 1);
  });

  test('survive a call that timed out; its late reply reaches nobody', () => {
    const clock = new FakeClock();
    const restore = setClock(clock);
    try {
      const l = shared({ route: { timeout: '1s' } });
      const c = l.client();
      c.feed(frame({ seqid: 1, name: 'slow' }));
      const [slow] = calls(l.upstream().take());
      clock.advance(1100);
      const [told] = replies(c);
      assert.deepEqual([told!.seqid, told!.status, told!.get(headerName(':rpc-method'))], [1, 504, 'slow']);
      c.feed(frame({ seqid: 1, name: 'next' }));
      const [next] = calls(l.upstream().take());
      assert.equal(l.dialled.length, 1);
      l.upstream().feed(Buffer.concat([answer(slow!), answer(next!)]));
      assert.deepEqual(c.take(), frame({ type: REPLY, seqid: 1, name: 'next' }));
      zero(l, 1);
    } finally {
      restore();
    }
  });
});

describe('connections of their own', () => {
  test('are what a cluster has that asks for no pool: calls of one client run at the same time', () => {
    const l = lab();
    const c = l.client();
    c.feed(Buffer.concat([frame({ seqid: 1 }), frame({ seqid: 2 })]));
    assert.equal(l.dialled.length, 2);
    const second = calls(l.upstream(1).take())[0]!;
    l.upstream(1).feed(answer(second));
    assert.deepEqual(replies(c).map((head) => head.seqid), [2]);
    l.upstream(0).feed(answer(calls(l.upstream(0).take())[0]!));
    assert.deepEqual(replies(c).map((head) => head.seqid), [1]);
    zero(l, 2);
    c.feed(frame({ seqid: 3 }));
    assert.equal(l.dialled.length, 2, 'a free one is used again');
  });

  test('bring replies in order to a client that does not number its calls, while they run at the same time', () => {
    const l = lab();
    const c = l.client();
    c.feed(Buffer.concat([frame({ seqid: 0, name: 'a' }), frame({ seqid: 0, name: 'b' }), frame({ seqid: 0, name: 'c' })]));
    assert.equal(l.dialled.length, 3);
    for (const i of [2, 1]) l.upstream(i).feed(answer(calls(l.upstream(i).take())[0]!));
    assert.equal(c.take().length, 0);
    l.upstream(0).take();
    l.upstream(0).close(new SluiceError('upstream-reset', { detail: 'ECONNRESET' }));
    assert.deepEqual(replies(c).map((head) => [head.get(headerName(':rpc-method')), head.status]), [['a', 502], ['b', 200], ['c', 200]]);
    zero(l, 2);
  });

  test('close with the call that is given up on them', () => {
    const clock = new FakeClock();
    const restore = setClock(clock);
    try {
      const l = lab({ route: { timeout: '1s' } });
      const c = l.client();
      c.feed(frame());
      l.upstream().take();
      clock.advance(1100);
      assert.deepEqual(replies(c).map((head) => head.status), [504]);
      assert.equal(l.upstream(0).destroyed, true);
      zero(l, 0);
    } finally {
      restore();
    }
  });
});

describe('connections of one client', () => {
  test('keep its calls apart from those of others, in any order', () => {
    for (const protocol of [new ThriftProtocol(), new DubboThriftProtocol()]) {
      const dubbo = protocol.name === 'dubbo-thrift';
      const header = dubbo ? { id: 9n } : undefined;
      const l = lab({ protocol, pool: 'pinned' });
      const clients = [l.client(), l.client()];
      for (const c of clients) c.feed(Buffer.concat([frame({ seqid: 1, dubbo: header }), frame({ seqid: 2, dubbo: header, content: pattern(300_000) }), frame({ seqid: 3, dubbo: header })]));
      assert.equal(l.dialled.length, 2);
      for (const i of [1, 0]) {
        const got = calls(l.upstream(i).take(), dubbo);
        assert.equal(got.length, 3);
        for (const n of [2, 0, 1]) l.upstream(i).feed(answer(got[n]!));
        assert.deepEqual(replies(clients[i]!, dubbo).map((head) => head.seqid), [3, 1, 2]);
      }
      for (const c of clients) c.close();
      zero(l, 0);
    }
  });
});

describe('one-way calls', () => {
  test('are sent and not waited for, nor answered when they fail', () => {
    for (const pool of ['multiplex', 'exclusive'] as const) {
      for (const form of forms) {
        const l = lab({ pool, hosts: 1 });
        const c = l.client();
        c.feed(Buffer.concat([frame({ form, type: ONEWAY, seqid: 0, name: 'note' }), frame({ form, seqid: 4, name: 'ask' })]));
        const got = l.dialled.flatMap((_, i) => calls(l.upstream(i).take()));
        assert.equal(got.length, 2);
        assert.ok(got.some((head) => head.type === ONEWAY) && got.some((head) => head.type === 1));
        const i = l.dialled.length - 1;
        l.upstream(i).feed(answer(got.find((head) => head.type === 1)!));
        assert.deepEqual(replies(c).map((head) => head.seqid), [4]);
        l.healthy = false;
        c.feed(frame({ form, type: ONEWAY, name: 'note' }));
        assert.equal(c.take().length, 0);
        assert.equal(l.last.code, 'no-healthy-host');
        assert.equal(c.destroyed, false);
      }
    }
  });
});

describe('what a host answers', () => {
  test('is counted by the type of its message', () => {
    const l = shared();
    const c = l.client();
    for (const [parts, status, raw] of [
      [{ content: text('strict', 'declared', 1) }, 200, 0], [{ type: EXCEPTION, content: failure('strict', 'boom', 6) }, 500, 6], [{ type: EXCEPTION, content: failure('strict', 'no such', 1) }, 404, 1],
    ] as const) {
      c.feed(frame({ seqid: 9 }));
      const [head] = calls(l.upstream().take());
      l.upstream().feed(answer(head!, parts));
      assert.deepEqual(c.take(), frame({ type: REPLY, seqid: 9, ...parts }));
      assert.deepEqual([l.last.status, l.last.rawStatus, l.last.code], [status, raw, '']);
    }
  });

  test('is asked for again by status, at another host, in every form', () => {
    for (const form of forms) {
      const l = shared({ hosts: 2, route: { idempotent: true, retry: { on: ['5xx'], attempts: 2, backoff: { base: '0ms', max: '0ms' } } } });
      const c = l.client();
      // Numbers of different length on both connections.
      l.client().feed(frame({ form, seqid: 1, name: 'other' }));
      c.feed(frame({ form, seqid: 3, name: 'S:say', content: text(form, 'x'.repeat(100)) }));
      const [first] = calls(l.upstream(1).take());
      l.upstream(1).feed(answer(first!, { type: EXCEPTION, content: failure(form, 'busy', 6) }));
      const got = calls(l.upstream(0).take());
      assert.equal(got.length, 2);
      assert.deepEqual(content(got[1]!), text(form, 'x'.repeat(100)));
      l.upstream(0).feed(answer(got[1]!));
      assert.deepEqual(c.take(), frame({ form, type: REPLY, seqid: 3, name: 'say' }));
      assert.deepEqual(l.last.attempts.map((one) => one.host), ['10.0.0.2:80', '10.0.0.1:80']);
    }
  });

  test('with a number that nobody waits for is dropped, with a call of its own ends the connection', () => {
    const l = shared();
    const c = l.client();
    c.feed(frame({ seqid: 2 }));
    l.upstream().take();
    l.upstream().feed(frame({ type: REPLY, seqid: 77 }));
    assert.equal(c.take().length, 0);
    assert.equal(l.upstream(0).destroyed, false);
    l.upstream().feed(frame({ seqid: 1 }));
    assert.deepEqual(replies(c).map((head) => head.status), [502]);
    assert.equal(l.last.code, 'bad-reply');
    assert.equal(l.upstream(0).destroyed, true);
  });
});

describe('connections that are lost', () => {
  test('a call on a used connection is sent again by itself where the route allows', () => {
    const l = shared({ route: { idempotent: true } });
    const c = l.client();
    c.feed(frame({ form: 'compact', seqid: 1 }));
    l.upstream().feed(answer(calls(l.upstream().take())[0]!));
    c.take();
    c.feed(frame({ form: 'compact', seqid: 2 }));
    l.upstream(0).take();
    l.upstream(0).close();
    const [again] = calls(l.upstream(1).take());
    l.upstream(1).feed(answer(again!));
    assert.deepEqual(c.take(), frame({ form: 'compact', type: REPLY, seqid: 2 }));
    zero(l, 1);
  });

  test('all calls on one are told, each under its own number', () => {
    const l = shared();
    const c = l.client();
    c.feed(Buffer.concat([1, 2, 3].map((seqid) => frame({ seqid }))));
    l.upstream().take();
    l.upstream().close(new SluiceError('upstream-reset', { detail: 'ECONNRESET' }));
    assert.deepEqual(replies(c).map((head) => [head.seqid, head.status]), [[1, 502], [2, 502], [3, 502]]);
    zero(l, 0);
  });

  test('a client that leaves is forgotten, and what its calls had is given back', () => {
    const l = shared();
    const [a, b] = [l.client(), l.client()];
    a.feed(frame({ seqid: 1 }));
    b.feed(frame({ seqid: 1 }));
    const got = calls(l.upstream().take());
    a.close();
    l.upstream().feed(Buffer.concat(got.map((head) => answer(head))));
    assert.deepEqual(replies(b).map((head) => head.seqid), [1]);
    zero(l, 1);
  });
});

describe('long frames', () => {
  for (const [name, protocol, parts] of [
    ['strict', new ThriftProtocol(), {}], ['old', new ThriftProtocol(), { form: 'old' }], ['compact', new ThriftProtocol(), { form: 'compact' }], ['dubbo', new DubboThriftProtocol(), { dubbo: { id: 4n } }],
  ] as const) {
    test(`pass both ways in pieces, beside others: ${name}`, () => {
      const dubbo = 'dubbo' in parts;
      const l = lab({ protocol, pool: 'multiplex' });
      const c = l.client();
      const request = frame({ ...parts, seqid: 3, name: 'put', content: pattern(700_000) });
      for (let at = 0; at < request.length; at += 50_000) c.feed(request.subarray(at, at + 50_000));
      c.feed(frame({ ...parts, seqid: 4 }));
      assert.equal(l.dialled.length, 2, 'the long one is alone');
      const [put] = calls(l.upstream(0).take(), dubbo);
      assert.equal(put!.length, 700_000);
      const [ping] = calls(l.upstream(1).take(), dubbo);
      const reply = answer(put!, { name: 'put', content: pattern(600_000) });
      l.upstream(0).feed(reply.subarray(0, 300_000));
      l.upstream(1).feed(answer(ping!));
      l.upstream(0).feed(reply.subarray(300_000));
      const given = decodeAll(c.take(), { role: 'client', dubbo });
      assert.deepEqual(given.heads.map((head) => [head.seqid, head.length]), [[3, 600_000], [4, 1]]);
      assert.ok(given.lines[0]!.endsWith(pattern(600_000).toString('base64')));
      zero(l, 2);
    });
  }

  test('over the limit are refused with an exception, and their connection goes on', () => {
    for (const protocol of [new ThriftProtocol({ max_frame: 1000, replies: 'auto' }), new DubboThriftProtocol({ max_frame: 1000 })]) {
      const dubbo = protocol.name === 'dubbo-thrift';
      const header = dubbo ? { id: 9n } : undefined;
      const l = lab({ protocol, pool: 'multiplex' });
      const c = l.client();
      c.feed(frame({ seqid: 1, name: 'put', content: pattern(5000), dubbo: header }));
      const [told] = replies(c, dubbo);
      assert.deepEqual([told!.seqid, told!.status, told!.rawStatus, told!.get(headerName(':rpc-method'))], [1, 413, 7, 'put']);
      assert.equal(l.last.code, 'frame-too-large');
      c.feed(frame({ seqid: 2, dubbo: header }));
      const [head] = calls(l.upstream().take(), dubbo);
      l.upstream().feed(answer(head!, { content: pattern(5000) }));
      assert.deepEqual(replies(c, dubbo).map((one) => [one.seqid, one.status]), [[2, 502]]);
      assert.equal(l.last.code, 'reply-too-large');
      zero(l, 1);
    }
  });

  test('to a client that reads slowly stop their host', () => {
    const l = lab();
    const c = l.client();
    c.feed(frame({ name: 'get' }));
    const [get] = calls(l.upstream().take());
    c.stuck = true;
    const reply = answer(get!, { content: pattern(4_000_000) });
    let fed = 0;
    while (fed < reply.length && !l.upstream(0).paused) {
      l.upstream(0).feed(reply.subarray(fed, fed + 64_000));
      c.connection.flush();
      fed = Math.min(reply.length, fed + 64_000);
    }
    assert.ok(fed < 1_000_000, `${fed} bytes were taken`);
    c.drain();
    assert.equal(l.upstream(0).paused, false);
    l.upstream(0).feed(reply.subarray(fed));
    assert.deepEqual(replies(c).map((head) => head.length), [4_000_000]);
    zero(l, 1);
  });
});

describe('routes and filters', () => {
  const table = {
    name: 'main',
    routes: [
      { name: 'blocked', match: { service: 'Admin' }, direct_response: { status: 403, body: 'not for you' } },
      { name: 'known', match: { service: 'Hello', method: { prefix: 'say' } }, cluster: 'app' },
    ],
  };

  test('choose by service and method', () => {
    const l = shared({ table });
    const c = l.client();
    c.feed(frame({ name: 'Hello:sayHello', seqid: 1 }));
    assert.equal(calls(l.upstream().take()).length, 1);
    c.feed(Buffer.concat([frame({ name: 'Admin:drop', seqid: 2 }), frame({ name: 'Hello:other', seqid: 3 }), frame({ name: 'sayHello', seqid: 4 })]));
    const { lines } = decodeAll(c.take(), { role: 'client' });
    assert.match(lines[0]!, /seqid 2 - \. drop status 500\/6 .*/);
    assert.match(lines[1]!, /seqid 3 - \. other status 404\/1 /);
    assert.match(lines[2]!, /seqid 4 - \. sayHello status 404\/1 /);
    assert.match(Buffer.from(/ (\S+)$/.exec(lines[0]!)![1]!, 'base64').toString(), /not for you/);
  });

  test('choose by the service of the header of Dubbo', () => {
    const l = lab({ protocol: new DubboThriftProtocol(), table });
    const c = l.client();
    c.feed(frame({ name: 'sayHello', dubbo: { service: 'Hello' } }));
    assert.equal(calls(l.upstream().take(), true).length, 1);
    c.feed(frame({ name: 'sayHello', dubbo: { service: 'Other' } }));
    assert.deepEqual(replies(c, true).map((head) => head.status), [404]);
  });

  test('may give the host another name; the client gets back the one it asked for, also after a second try', () => {
    const rename: StreamFilter = {
      name: 'rename',
      onRequest: (_exchange, head) => {
        head.set(headerName(':service'), 'New');
        head.set(headerName(':rpc-method'), 'tell');
        return CONTINUE;
      },
    };
    for (const form of forms) {
      const l = shared({ hosts: 2, filters: [rename], route: { idempotent: true, retry: { on: ['5xx'], attempts: 2, backoff: { base: '0ms', max: '0ms' } } } });
      const c = l.client();
      c.feed(frame({ form, name: 'S:say', seqid: 6 }));
      for (const i of [0, 1]) {
        const [head] = calls(l.upstream(i).take());
        assert.equal(head!.get(headerName(':service')), 'New');
        assert.equal(head!.get(headerName(':rpc-method')), 'tell');
        l.upstream(i).feed(answer(head!, i === 0 ? { type: EXCEPTION, content: failure(form, 'no', 6) } : {}));
      }
      assert.deepEqual(c.take(), frame({ form, type: REPLY, name: 'say', seqid: 6 }));
    }
  });

  test('of every kind work on both protocols', () => {
    for (const protocol of [new ThriftProtocol(), new DubboThriftProtocol()]) {
      const dubbo = protocol.name === 'dubbo-thrift';
      const header = dubbo ? { id: 9n } : undefined;
      const run = (filter: StreamFilter, then: () => void = () => {}): { host: Buffer; client: Buffer } => {
        const l = lab({ protocol, filters: [filter] });
        const c = l.client();
        c.feed(frame({ seqid: 5, content: Buffer.from('ask'), dubbo: header }));
        then();
        const [head] = calls(l.upstream().take(), dubbo);
        l.upstream().feed(answer(head!, { content: Buffer.from('told') }));
        const [reply] = replies(c, dubbo);
        assert.equal(reply!.seqid, 5);
        zero(l, 1);
        return { host: content(head!), client: content(reply!) };
      };
      assert.deepEqual(run(new EditFilter()), { host: Buffer.from('ask'), client: Buffer.from('told') });
      const hold = new HoldFilter();
      assert.deepEqual(run(hold, () => hold.requests[0]!.resume()), { host: Buffer.from('ask'), client: Buffer.from('told') });
      assert.deepEqual(run(new UpperFilter()), { host: Buffer.from('ASK'), client: Buffer.from('TOLD') });
      assert.deepEqual(run(new ReverseFilter()), { host: Buffer.from('ksa'), client: Buffer.from('dlot') });
    }
  });

  test('of bodies see a long frame whole', () => {
    const l = lab({ filters: [Object.assign(new ReverseFilter(), { bodyLimit: 1_000_000 })] });
    const c = l.client();
    const request = frame({ content: pattern(400_000) });
    for (let at = 0; at < request.length; at += 30_000) c.feed(request.subarray(at, at + 30_000));
    const { lines } = decodeAll(l.upstream().take());
    assert.ok(lines[0]!.endsWith(`content 400000 ${pattern(400_000).reverse().toString('base64')}`));
  });
});

describe('the client', () => {
  test('that does not speak framed Thrift is let go, with the reason in the record', () => {
    for (const [bytes, detail] of [
      [frame().subarray(4), /unframed transport is not supported/], [Buffer.from('GET / HTTP/1.1\r\n\r\n'), /not framed Thrift/],
    ] as const) {
      const l = lab();
      const c = l.client();
      c.feed(bytes);
      assert.equal(c.destroyed, true);
      assert.equal(c.take().length, 0);
      assert.equal(l.last.code, 'bad-frame');
      assert.match(String(l.last.context['detail']), detail);
      zero(l, 0);
    }
  });

  test('that sends garbage behind good calls gets these answered', () => {
    for (const seqid of [0, 5]) {
      const l = shared();
      const c = l.client();
      c.feed(Buffer.concat([frame({ seqid }), Buffer.from('garbage and more')]));
      assert.equal(c.destroyed, false);
      l.upstream().feed(answer(calls(l.upstream().take())[0]!));
      assert.deepEqual(replies(c).map((head) => head.seqid), [seqid]);
      assert.equal(c.destroyed, true);
    }
  });

  test('whose number is in use waits, and then gets its replies in order', () => {
    const l = shared();
    const c = l.client();
    c.feed(Buffer.concat([frame({ seqid: 5, name: 'a' }), frame({ seqid: 5, name: 'b' }), frame({ seqid: 5, name: 'c' })]));
    const first = calls(l.upstream().take());
    assert.equal(first.length, 1);
    assert.equal(c.paused, true);
    l.upstream().feed(answer(first[0]!));
    assert.equal(c.paused, false);
    const rest = calls(l.upstream().take());
    assert.equal(rest.length, 2);
    l.upstream().feed(Buffer.concat([answer(rest[1]!), answer(rest[0]!)]));
    assert.deepEqual(replies(c).map((head) => head.get(headerName(':rpc-method'))), ['a', 'b', 'c']);
    zero(l, 1);
  });

  test('on a draining listener keeps its connection until it is quiet: there is no go-away to send', () => {
    const l = shared();
    const c = l.client();
    c.feed(frame());
    const [head] = calls(l.upstream().take());
    l.listener.drain();
    assert.equal(c.take().length, 0);
    assert.equal(c.destroyed, false);
    l.upstream().feed(answer(head!));
    assert.deepEqual(replies(c).map((one) => one.status), [200]);
  });
});

describe('the terminal echo', () => {
  for (const [name, protocol] of [['thrift', new ThriftProtocol()], ['dubbo-thrift', new DubboThriftProtocol()], ['thrift, in order', new ThriftProtocol({ max_frame: 1_000_000, replies: 'in-order' })]] as const) {
    test(`returns the first argument as the result: ${name}`, () => {
      const dubbo = protocol.name === 'dubbo-thrift';
      const l = lab({ protocol, table: { name: 'main', routes: [{ name: 'echo', terminal: 'echo' }] }, terminals: [new Echo()] });
      const c = l.client();
      for (const form of dubbo ? (['strict', 'old'] as const) : forms) {
        for (const seqid of [7, -1, 0]) {
          const header = dubbo ? { id: -3n, service: 'com.x.S' } : undefined;
          c.feed(frame({ form, seqid, name: dubbo ? 'say' : 'S:say', content: text(form, 'hello'), dubbo: header }));
          assert.deepEqual(c.take(), frame({ form, type: REPLY, seqid, name: 'say', content: text(form, 'hello', 0), dubbo: header }), form);
          c.feed(frame({ form, seqid, name: 'ping', dubbo: header }));
          assert.deepEqual(c.take(), frame({ form, type: REPLY, seqid, name: 'ping', dubbo: header }));
        }
      }
      assert.equal(l.last.status, 200);
      zero(l, 0);
    });
  }
});

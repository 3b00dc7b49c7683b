// Encoding Thrift: numbers rewritten and given back, names restored, edits, second tries, long frames that wait for each other.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BlockOutput, MAX_RESERVE } from '../../../src/core/bytes.js';
import { headerName, type Head } from '../../../src/stream/head.js';
import type { CodecSink, LocalReply } from '../../../src/stream/protocol.js';
import { BY_IDS, IN_ORDER, MAX_WHOLE, ThriftCodec, type Order } from '../../../src/stream/thrift/codec.js';
import type { ThriftHead } from '../../../src/stream/thrift/head.js';
import { CALL, ONEWAY, REPLY, forms, frame, pattern, text, type Parts } from './frames.js';
import { Recorder, decodeAll } from './recorder.js';

const service = headerName(':service');
const method = headerName(':rpc-method');
const ID = 0x00050003;

/** The head of one frame, kept. */
function headOf(bytes: Buffer, role: 'server' | 'client' = 'server', dubbo = false): ThriftHead {
  const { heads, lines } = decodeAll(bytes, { role, dubbo });
  assert.equal(heads.length, 1, lines.join());
  return heads[0]!;
}

function sent(head: Head, dubbo = false, id = ID): Buffer {
  const out = new BlockOutput();
  new ThriftCodec('client', dubbo).encodeRequest(out, head, id, true);
  return out.take();
}

/** A server codec that has read these requests; their ids in order. */
function server(requests: readonly Buffer[], dubbo = false, order: Order = BY_IDS): { codec: ThriftCodec; ids: number[]; out: BlockOutput } {
  const codec = new ThriftCodec('server', dubbo, undefined, order);
  const ids: number[] = [];
  const sink = Object.assign(Object.create(Recorder.prototype) as CodecSink, { onRequest: (head: Head) => void ids.push(head.id), onData() {} });
  const bytes = Buffer.concat(requests);
  assert.equal(codec.decode(bytes, 0, bytes.length, sink), bytes.length);
  return { codec, ids, out: new BlockOutput() };
}

describe('requests', () => {
  test('go out as they came, but for their numbers', () => {
    for (const form of forms) {
      for (const parts of [{}, { name: 'Service:say', type: ONEWAY }, { content: text(form, 'x'.repeat(5000)) }] as Parts[]) {
        assert.deepEqual(sent(headOf(frame({ form, seqid: 7, ...parts }))), frame({ form, seqid: ID, width: 5, ...parts }), form);
      }
    }
    const path = { service: 'com.x.S', path: 'com.x.P' };
    for (const form of ['strict', 'old'] as const) {
      assert.deepEqual(sent(headOf(frame({ form, seqid: 7, dubbo: { ...path, id: -5n } }), 'server', true), true), frame({ form, seqid: ID, dubbo: { ...path, id: BigInt(ID) } }));
    }
  });

  test('keep the unused byte of a strict message', () => {
    const bytes = frame({ seqid: 7 });
    bytes[6] = 0x55;
    const out = sent(headOf(bytes));
    assert.equal(out[6], 0x55);
    assert.equal(decodeAll(out).heads[0]!.seqid, ID);
  });

  test('take other names for service and method, in every form', () => {
    for (const form of forms) {
      const edit = (name: string, change: (head: ThriftHead) => void): Buffer => {
        const head = headOf(frame({ form, name, content: text(form, 'a') }));
        change(head);
        assert.equal(head.edited, true);
        return sent(head);
      };
      const named = (name: string): Buffer => frame({ form, name, seqid: ID, width: 5, content: text(form, 'a') });
      assert.deepEqual(edit('say', (head) => head.set(method, 'tell')), named('tell'));
      assert.deepEqual(edit('S:say', (head) => head.set(method, 'tell')), named('S:tell'));
      assert.deepEqual(edit('S:say', (head) => head.set(service, 'Other')), named('Other:say'));
      assert.deepEqual(edit('say', (head) => head.set(service, 'Other')), named('Other:say'));
      assert.deepEqual(edit('S:say', (head) => head.remove(service)), named('say'));
      assert.deepEqual(edit('S:say', (head) => { head.set(service, 'ü'); head.set(method, 'ö'.repeat(200)); }), named(`ü:${'ö'.repeat(200)}`));
    }
  });

  test('take another service in the header of Dubbo, and keep what stands behind it', () => {
    for (const path of [undefined, 'com.x.P']) {
      const head = headOf(frame({ name: 'say', dubbo: { path } }), 'server', true);
      head.set(service, 'com.example.Longer');
      head.set(method, 'a:b');
      assert.equal(head.get(service), 'com.example.Longer');
      assert.equal(head.get(method), 'a:b');
      assert.deepEqual(sent(head, true), frame({ name: 'a:b', seqid: ID, dubbo: { service: 'com.example.Longer', id: BigInt(ID), path } }));
    }
  });

  test('take other content', () => {
    for (const form of forms) {
      for (const size of [0, 10, 70_000]) {
        const head = headOf(frame({ form, name: 'S:say', content: text(form, 'a') }));
        head.setBody(pattern(size));
        assert.deepEqual(sent(head), frame({ form, name: 'S:say', seqid: ID, width: 5, content: pattern(size) }));
      }
    }
  });

  test('over the largest reservation are written whole', () => {
    for (const form of forms) {
      for (const size of [MAX_RESERVE - 60, MAX_RESERVE, 200_000]) {
        const content = pattern(size);
        assert.deepEqual(sent(headOf(frame({ form, content }))), frame({ form, seqid: ID, width: 5, content }));
      }
    }
  });

  test('of another protocol are a mistake', () => {
    assert.throws(() => sent(headOf(frame({ dubbo: {} }), 'server', true), false), /a head of protocol dubbo-thrift cannot be sent as thrift/);
    assert.throws(() => sent(headOf(frame()), true), /a head of protocol thrift cannot be sent as dubbo-thrift/);
  });

  test('get another number for a second try, whole or begun', () => {
    for (const form of [...forms, 'dubbo'] as const) {
      const dubbo = form === 'dubbo';
      const parts = (seqid: number): Parts => ({
        ...(dubbo ? { dubbo: { id: BigInt(seqid), path: 'p' } } : { form }), seqid, width: 5, name: 'n'.repeat(200), content: pattern(MAX_WHOLE + 1000),
      });
      for (const next of [1, 0x7fffffff, 0x10000]) {
        const small = { ...parts(ID), content: pattern(100) };
        const bytes = frame(small);
        new ThriftCodec('client', dubbo).reid(bytes, 0, bytes.length, next, true);
        assert.deepEqual(bytes, frame({ ...parts(next), content: pattern(100) }), `${form} ${next}`);

        const long = frame(parts(ID));
        const first = Buffer.from(long.subarray(0, 5000));
        const codec = new ThriftCodec('client', dubbo);
        codec.reid(first, 0, first.length, next, false);
        const out = new BlockOutput();
        out.write(first, 0, first.length);
        codec.encodeData(out, next, long, 5000, 100_000, false);
        codec.encodeData(out, next, long, 100_000, long.length, true);
        assert.ok(out.take().equals(frame(parts(next))), form);
        assert.equal(codec.mustClose, false);
      }
    }
  });
});

describe('replies', () => {
  test('carry the numbers of their requests, in whatever order they come', () => {
    for (const form of forms) {
      const seqids = [7, -1, 0x7fffffff, 300, 70_000];
      const { codec, ids, out } = server(seqids.map((seqid) => frame({ form, seqid, name: 'S:say' })));
      assert.equal(new Set(ids).size, ids.length);
      const wanted: Buffer[] = [];
      for (const i of [3, 0, 4, 1, 2]) {
        const reply = headOf(frame({ form, type: REPLY, seqid: 1234, name: 'say', content: text(form, `r${i}`, 0) }), 'client');
        codec.encodeReply(out, reply, ids[i]!, true);
        wanted.push(frame({ form, type: REPLY, seqid: seqids[i], name: 'say', content: text(form, `r${i}`, 0) }));
      }
      assert.deepEqual(out.take(), Buffer.concat(wanted));
      assert.equal(codec.held, 0);
    }
  });

  test('with the header of Dubbo get back both numbers, the id with all of its 64 bits', () => {
    const wanted = [{ seqid: 7, id: -2n }, { seqid: -3, id: 0x7123_4567_89ab_cdefn }, { seqid: 0, id: 0n }];
    const { codec, ids, out } = server(wanted.map(({ seqid, id }) => frame({ seqid, name: 'say', dubbo: { id, path: 'p' } })), true);
    for (const i of [2, 0, 1]) {
      codec.encodeReply(out, headOf(frame({ type: REPLY, seqid: 99, name: 'say', dubbo: { id: 55n } }), 'client', true), ids[i]!, true);
      assert.deepEqual(out.take(), frame({ type: REPLY, seqid: wanted[i]!.seqid, name: 'say', dubbo: { id: wanted[i]!.id } }));
    }
  });

  test('name the method as it was asked for, also where the host answered another one', () => {
    for (const [asked, answered, given] of [
      ['say', 'say', 'say'], ['say', 'renamed', 'say'], ['S:say', 'say', 'say'], ['S:say', 'S:say', 'S:say'], ['S:say', 'Other:renamed', 'say'], ['', 'x', ''],
      ['n'.repeat(300), 'short', 'n'.repeat(300)], [`S:${'n'.repeat(300)}`, 'short', 'n'.repeat(300)],
    ]) {
      for (const form of forms) {
        const { codec, ids, out } = server([frame({ form, seqid: 7, name: asked })]);
        codec.encodeReply(out, headOf(frame({ form, type: REPLY, name: answered }), 'client'), ids[0]!, true);
        assert.deepEqual(out.take(), frame({ form, type: REPLY, seqid: 7, name: given }), `${asked} ${answered}`);
      }
    }
    const { codec, ids, out } = server([frame({ name: 'a:b', dubbo: {} })], true);
    codec.encodeReply(out, headOf(frame({ type: REPLY, name: 'c', dubbo: {} }), 'client', true), ids[0]!, true);
    assert.deepEqual(out.take(), frame({ type: REPLY, name: 'a:b', dubbo: {} }));
  });

  test('names that are many or long are remembered all the same', () => {
    const names = Array.from({ length: 5000 }, (_, i) => `method${i}`);
    const { codec, ids, out } = server(names.map((name, i) => frame({ name, seqid: i + 1 })));
    for (const i of [4999, 0, 4500, 17]) {
      codec.encodeReply(out, headOf(frame({ type: REPLY, name: 'x' }), 'client'), ids[i]!, true);
      assert.deepEqual(out.take(), frame({ type: REPLY, name: names[i], seqid: i + 1 }));
    }
  });
});

describe('long frames', () => {
  const long = (i: number, form: Parts['form'] = 'strict'): Buffer => frame({ form, type: REPLY, seqid: 1, name: 'say', content: pattern(MAX_WHOLE + 1000 * i) });
  const given = (i: number, form: Parts['form'] = 'strict'): Buffer => frame({ form, type: REPLY, seqid: i + 1, name: 'say', content: pattern(MAX_WHOLE + 1000 * i) });
  /** The head of a long frame and its content. */
  const parts = (bytes: Buffer): [ThriftHead, Buffer] => {
    const head = headOf(bytes, 'client');
    return [head, bytes.subarray(bytes.length - head.length)];
  };
  const requests = (n: number): Buffer[] => Array.from({ length: n }, (_, i) => frame({ seqid: i + 1, name: 'say' }));

  for (const order of [BY_IDS, IN_ORDER] as const) {
    test(`whose pieces come in any mix go out one after the other (${order === IN_ORDER ? 'in order' : 'by ids'})`, () => {
      for (const form of forms) {
        const { codec, ids, out } = server(requests(4), false, order);
        const [first, firstContent] = parts(long(0, form));
        const [second, secondContent] = parts(long(1, form));
        const small = headOf(frame({ form, type: REPLY, name: 'say' }), 'client');
        codec.encodeReply(out, first, ids[0]!, false);
        codec.encodeData(out, ids[0]!, firstContent, 0, 1000, false);
        codec.encodeReply(out, second, ids[1]!, false);
        codec.encodeData(out, ids[1]!, secondContent, 0, 5000, false);
        codec.encodeReply(out, small, ids[2]!, true);
        assert.ok(codec.held > 5000);
        codec.encodeData(out, ids[0]!, firstContent, 1000, firstContent.length, true);
        codec.encodeReply(out, small, ids[3]!, true);
        codec.encodeData(out, ids[1]!, secondContent, 5000, secondContent.length, true);
        const wanted = [given(0, form), given(1, form), frame({ form, type: REPLY, name: 'say', seqid: 3 }), frame({ form, type: REPLY, name: 'say', seqid: 4 })];
        assert.ok(out.take().equals(Buffer.concat(wanted)), form);
        assert.equal(codec.held, 0);
        assert.equal(codec.mustClose, false);
      }
    });
  }

  test('given up before they began become an error reply, half way they cost the connection', () => {
    const { codec, ids, out } = server(requests(2));
    const [first, content] = parts(long(0));
    const [second] = parts(long(1));
    codec.encodeReply(out, first, ids[0]!, false);
    codec.encodeReply(out, second, ids[1]!, false);
    assert.equal(codec.encodeReset(out, ids[1]!, 'upstream-reset'), true);
    codec.encodeData(out, ids[0]!, content, 0, content.length, true);
    const { heads } = decodeAll(out.take(), { role: 'client' });
    assert.deepEqual(heads.map((head) => [head.seqid, head.type, head.status]), [[1, REPLY, 200], [2, 3, 502]]);
    assert.equal(codec.mustClose, false);

    const other = server(requests(1));
    other.codec.encodeReply(other.out, first, other.ids[0]!, false);
    assert.equal(other.codec.encodeReset(other.out, other.ids[0]!, 'upstream-reset'), false);
    assert.equal(other.codec.mustClose, true);
  });

  test('of a request are given up with their connection', () => {
    const codec = new ThriftCodec('client', false);
    const out = new BlockOutput();
    const [head] = parts(long(0));
    codec.encodeRequest(out, head, ID, false);
    assert.equal(codec.encodeReset(out, ID, 'request-timeout'), false);
    codec.release(ID);
    assert.equal(codec.mustClose, true);
  });

  test('with more or less content than announced are a mistake', () => {
    const codec = new ThriftCodec('client', false);
    const out = new BlockOutput();
    const [head, content] = parts(long(0));
    codec.encodeRequest(out, head, ID, false);
    assert.throws(() => codec.encodeData(out, ID, content, 0, 10, true), RangeError);
    assert.throws(() => codec.encodeData(out, ID, Buffer.alloc(content.length + 1), 0, content.length + 1, true), RangeError);
    head.length = -1;
    assert.throws(() => new ThriftCodec('client', false).encodeRequest(out, head, ID, false), TypeError);
  });

  test('too much behind one breaks the connection', () => {
    const { codec, ids, out } = server(requests(200));
    const [first] = parts(long(0));
    codec.encodeReply(out, first, ids[0]!, false);
    const big = headOf(frame({ type: REPLY, name: 'say', content: pattern(250_000) }), 'client');
    for (let i = 1; i < 140; i++) codec.encodeReply(out, big, ids[i]!, true);
    assert.equal(codec.mustClose, true);
  });
});

describe('the order of replies', () => {
  const reply = (): ThriftHead => headOf(frame({ type: REPLY, name: 'ping' }), 'client');
  const seqidsOf = (bytes: Buffer): number[] => decodeAll(bytes, { role: 'client' }).heads.map((head) => head.seqid);

  /** Feeds a codec and answers; what it does not take is offered again. */
  class Conversation {
    readonly codec: ThriftCodec;
    readonly ids: number[] = [];
    readonly out = new BlockOutput();
    private rest: Buffer = Buffer.alloc(0);
    private readonly sink = Object.assign(Object.create(Recorder.prototype) as CodecSink, { onRequest: (head: Head) => void (head.kind === 0 && this.ids.push(head.id)), onData() {} });

    constructor(order: Order) {
      this.codec = new ThriftCodec('server', false, undefined, order);
    }
    ask(...seqids: number[]): void {
      this.rest = Buffer.concat([this.rest, ...seqids.map((seqid) => frame({ seqid }))]);
      this.rest = this.rest.subarray(this.codec.decode(this.rest, 0, this.rest.length, this.sink));
    }
    answer(n: number): number[] {
      this.codec.encodeReply(this.out, reply(), this.ids[n]!, true);
      return seqidsOf(this.out.take());
    }
    get left(): number {
      return this.rest.length;
    }
  }

  test('auto: clients that number their calls get each reply at once', () => {
    const c = new Conversation(2);
    c.ask(1, 2, 3);
    assert.deepEqual([c.answer(2), c.answer(0), c.answer(1)], [[3], [1], [2]]);
    c.ask(4, 5, 0x7fffffff, -5);
    assert.deepEqual([c.answer(6), c.answer(4)], [[-5], [5]]);
    assert.equal(c.codec.blocked, false);
  });

  test('auto: clients that leave the number 0 get them in order', () => {
    const c = new Conversation(2);
    c.ask(0, 0, 0);
    assert.equal(c.ids.length, 3);
    assert.deepEqual([c.answer(2), c.answer(1)], [[], []]);
    assert.ok(c.codec.held > 0);
    assert.deepEqual(c.answer(0), [0, 0, 0]);
    assert.equal(c.codec.held, 0);
  });

  test('auto: a number that is in use waits until all before it is answered, and order is kept from then on', () => {
    const c = new Conversation(2);
    c.ask(1, 2, 2, 2, 3);
    assert.equal(c.ids.length, 2);
    assert.equal(c.codec.blocked, true);
    assert.ok(c.left > 0);
    assert.deepEqual(c.answer(1), [2]);
    assert.equal(c.codec.blocked, true);
    assert.deepEqual(c.answer(0), [1]);
    assert.equal(c.codec.blocked, false);
    c.ask();
    assert.equal(c.ids.length, 5);
    assert.equal(c.left, 0);
    assert.deepEqual([c.answer(4), c.answer(3), c.answer(2)], [[], [], [2, 2, 3]]);
  });

  test('auto: one number again and again, one call at a time, needs no order and no waiting', () => {
    const c = new Conversation(2);
    for (let i = 0; i < 20; i++) {
      c.ask(7);
      assert.deepEqual(c.answer(i), [7]);
    }
  });

  test('in-order: as they were asked, whatever their numbers', () => {
    const c = new Conversation(IN_ORDER);
    c.ask(9, 8, 7, 6);
    assert.deepEqual([c.answer(3), c.answer(1), c.answer(0), c.answer(2)], [[], [], [9, 8], [7, 6]]);
  });

  test('in order: one-way calls take no place, and a pipeline is bounded', () => {
    const c = new Conversation(IN_ORDER);
    const many = Buffer.concat(Array.from({ length: 400 }, (_, i) => frame({ seqid: i, type: i % 2 === 0 ? ONEWAY : CALL })));
    const kinds: number[] = [];
    const ids: number[] = [];
    const sink = Object.assign(Object.create(Recorder.prototype) as CodecSink, {
      onRequest: (head: Head) => {
        kinds.push(head.kind);
        if (head.kind === 0) ids.push(head.id);
      },
    });
    const taken = c.codec.decode(many, 0, many.length, sink);
    assert.equal(c.codec.blocked, true);
    assert.equal(ids.length, 128);
    assert.ok(taken < many.length);
    for (const id of ids) c.codec.encodeReply(c.out, reply(), id, true);
    assert.equal(c.codec.blocked, false);
    assert.deepEqual(seqidsOf(c.out.take()), ids.map((_, i) => i * 2 + 1));
    assert.equal(c.codec.decode(many, taken, many.length, sink), many.length - taken);
    assert.equal(kinds.length, 400);
  });

  test('in order: error replies take their turn too', () => {
    const c = new Conversation(2);
    const error: LocalReply = { code: 'no-route', status: 404, body: 'said', headers: [], mirror: -1, close: false };
    c.ask(0, 0);
    c.codec.encodeLocalReply(c.out, c.ids[1]!, error);
    assert.equal(c.out.take().length, 0);
    c.codec.encodeReply(c.out, reply(), c.ids[0]!, true);
    assert.deepEqual(decodeAll(c.out.take(), { role: 'client' }).heads.map((head) => head.status), [200, 404]);
  });
});

// The head: look-ups in place, parts, broken maps, edits in both layouts, copies that outlive the call.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BlockOutput } from '../../../../src/core/bytes.js';
import { headerName } from '../../../../src/stream/head.js';
import { TarsCodec } from '../../../../src/stream/protocol/tars/codec.js';
import type { TarsHead } from '../../../../src/stream/protocol/tars/head.js';
import { JceBuilder } from '../../../../src/stream/protocol/tars/jce.js';
import { pattern, replyFrame, requestFrame } from './frames.js';
import { decodeAll, headOf } from './recorder.js';

const get = (head: TarsHead, name: string): string | undefined => head.get(headerName(name));

function encode(head: TarsHead, id = 0x10001): Buffer {
  const out = new BlockOutput();
  if (head.kind === 2) new TarsCodec('server').encodeReply(out, head, id, true);
  else new TarsCodec('client').encodeRequest(out, head, id, true);
  return out.take();
}

function all(head: TarsHead): Record<string, string> {
  const found: Record<string, string> = {};
  head.each((name, value) => (found[name] = value));
  return found;
}

describe('look-ups', () => {
  test('find headers in the context first, then in the status, by exact name', () => {
    const head = headOf(requestFrame({ context: [['a', '1'], ['Ab', ''], ['a', 'second']], status: [['a', 'status'], ['b', 'x'.repeat(300)], ['', 'nameless']] }));
    assert.deepEqual(['a', 'Ab', 'ab', 'b', '', 'c'].map((name) => get(head, name)), ['1', '', undefined, 'x'.repeat(300), 'nameless', undefined]);
    const reply = headOf(replyFrame({ status: [['s', '1']], context: [['c', '2'], ['s', '3']], description: 'why' }), 'client');
    assert.deepEqual(['s', 'c', 'tars-result-desc'].map((name) => get(reply, name)), ['3', '2', 'why']);
    const long = headOf(requestFrame({ context: [['k'.repeat(300), 'v']] }));
    assert.equal(get(long, 'k'.repeat(300)), 'v');
  });

  test('know the parts that Tars has', () => {
    const head = headOf(requestFrame());
    assert.deepEqual([':service', ':rpc-method'].map((name) => get(head, name)), ['App.Server.Obj', 'greet']);
    for (const name of [':path', ':method', ':authority', ':scheme', ':group', ':version', ':status', 'tars-result-desc']) assert.equal(get(head, name), undefined, name);
    const reply = headOf(replyFrame({ code: -9 }), 'client');
    assert.deepEqual([get(reply, ':status'), get(reply, ':service'), get(reply, ':rpc-method')], ['503', undefined, undefined]);
    const tup = headOf(requestFrame({ version: 3, servant: '', status: [['STATUS_RESULT_CODE', '-7'], ['STATUS_RESULT_DESC', 'late']] }), 'client');
    assert.deepEqual([get(tup, ':status'), get(tup, ':service'), get(tup, ':rpc-method'), get(tup, 'tars-result-desc')], ['504', undefined, 'greet', 'late']);
  });

  test('stop where a map breaks off', () => {
    const entry = new JceBuilder().string(0, 'a').string(1, '1').take();
    const number = Buffer.concat([Buffer.from([0x98, 0, 2]), entry, Buffer.from([0x06, 1, 98, 0x10, 5])]);
    assert.equal(get(headOf(requestFrame({ tail: number })), 'a'), '1', 'before a value that is no string');
    assert.deepEqual(all(headOf(requestFrame({ tail: number }))), { a: '1' });
    const whole = Buffer.concat([Buffer.from([0x8c, 0x98, 0, 1]), entry, Buffer.from([0xa8, 0, 1]), entry]);
    for (let cut = 0; cut < whole.length; cut++) {
      const head = headOf(requestFrame({ tail: whole.subarray(0, cut) }));
      assert.equal(get(head, 'a'), cut >= 4 + entry.length ? '1' : undefined, `cut at ${cut}`);
    }
    const swapped = Buffer.concat([Buffer.from([0xa8, 0, 1]), entry, Buffer.from([0x98, 0, 1]), entry]);
    assert.deepEqual(all(headOf(requestFrame({ tail: swapped }))), { a: '1' }, 'what is out of order is not there for readers of Tars either');
  });

  test('pass over fields that nobody knows', () => {
    const w = new JceBuilder().int(8, 5).map(9, [['a', '1']]).map(10, [['b', '2']]).raw(Buffer.from([0xb0, 1, 0xca, 0x10, 1, 0x0b, 0xf6, 20, 1, 65, 0xf3, 21, 1, 2, 3, 4, 5, 6, 7, 8]));
    const head = headOf(requestFrame({ tail: w.take() }));
    assert.deepEqual(all(head), { a: '1', b: '2' });
    head.set(headerName('c'), '3');
    const again = encode(head);
    assert.deepEqual(all(headOf(again)), { a: '1', c: '3', b: '2' });
    assert.ok(again.includes(Buffer.from([0xb0, 1, 0xca, 0x10, 1, 0x0b, 0xf6, 20, 1, 65, 0xf3, 21])));
  });
});

describe('edits', () => {
  test('of a request are encoded with all lengths right', () => {
    for (const version of [1, 2, 3, 5]) {
      const head = headOf(requestFrame({ version, context: [['a', '1'], ['n', ''], ['a', 'again'], ['z', 'ö']], status: [['STATUS_GRID_KEY', 'g']] }));
      head.set(headerName('a'), 'one');
      head.add(headerName('new'), '');
      head.remove(headerName('z'));
      head.set(headerName('STATUS_DYED_KEY'), 'blue');
      head.set(headerName(':service'), 'Other.Server.Obj');
      head.set(headerName(':rpc-method'), 'ö'.repeat(200));
      assert.equal(head.edited, true);
      assert.equal(head.refused, null);
      assert.deepEqual([get(head, 'a'), get(head, 'z'), get(head, ':service')], ['one', undefined, 'Other.Server.Obj']);
      assert.deepEqual(encode(head, 0x7fff0001), requestFrame({
        version, id: 0x7fff0001, servant: 'Other.Server.Obj', name: 'ö'.repeat(200), context: [['n', ''], ['a', 'one'], ['new', '']], status: [['STATUS_GRID_KEY', 'g'], ['STATUS_DYED_KEY', 'blue']],
      }));
    }
  });

  test('of a reply, in either layout', () => {
    const reply = headOf(replyFrame({ code: -4, status: [['s', '1']], description: 'none', context: [['c', '2']] }), 'client');
    reply.set(headerName('s'), 'one');
    reply.set(headerName('c'), 'two');
    reply.set(headerName('x'), 'three');
    reply.set(headerName(':service'), 'ignored');
    assert.deepEqual(encode(reply, 5), replyFrame({ id: 5, code: -4, status: [['s', 'one']], description: 'none', context: [['c', 'two'], ['x', 'three']] }));
    const tup = headOf(requestFrame({ version: 3, context: [], status: [['STATUS_RESULT_CODE', '-4']] }), 'client');
    tup.set(headerName('x'), 'y');
    assert.deepEqual(encode(tup, 300), requestFrame({ version: 3, id: 300, context: [['x', 'y']], status: [['STATUS_RESULT_CODE', '-4']] }));
  });

  test('put maps where a packet has none', () => {
    const bare = headOf(replyFrame({ tail: Buffer.alloc(0) }), 'client');
    bare.set(headerName('c'), '1');
    bare.set(headerName('STATUS_X'), '2');
    assert.deepEqual(encode(bare), replyFrame({ status: [['STATUS_X', '2']], context: [['c', '1']] }));
    const described = headOf(replyFrame({ tail: new JceBuilder().string(8, 'why').take() }), 'client');
    described.set(headerName('c'), '1');
    described.set(headerName('STATUS_X'), '2');
    assert.deepEqual(encode(described), replyFrame({ status: [['STATUS_X', '2']], description: 'why', context: [['c', '1']] }));
    const request = headOf(requestFrame({ tail: new JceBuilder().int(8, 9).map(10, [['s', 't']]).take() }));
    request.set(headerName('c'), '1');
    assert.deepEqual(encode(request), requestFrame({ timeout: 9, context: [['c', '1']], status: [['s', 't']] }));
    const empty = headOf(replyFrame({ id: 3, content: Buffer.alloc(0), tail: Buffer.alloc(0) }).subarray(0), 'client');
    empty.set(headerName(':status'), '503');
    assert.equal(headOf(encode(empty, 3), 'client').rawStatus, -9);
  });

  test('of a name in both maps leave one value', () => {
    const head = headOf(requestFrame({ context: [['a', '1']], status: [['a', '2'], ['b', '3']] }));
    head.set(headerName('a'), 'new');
    head.set(headerName('b'), 'new');
    assert.deepEqual(encode(head), requestFrame({ context: [['a', 'new']], status: [['b', 'new']] }));
    const both = headOf(requestFrame({ context: [['a', '1'], ['k', 'v']], status: [['a', '2']] }));
    both.remove(headerName('a'));
    assert.deepEqual(encode(both), requestFrame({ context: [['k', 'v']], status: [] }));
  });

  test('of the status set the result code', () => {
    for (const [http, code] of [[200, 0], [400, -1], [403, -99], [404, -4], [429, -9], [502, -8], [503, -9], [504, -7], [500, -99]] as const) {
      for (const frame of [replyFrame({ code: 77 }), replyFrame({ code: 0 }), requestFrame({ version: 3, status: [] })]) {
        const reply = headOf(frame, 'client');
        reply.set(headerName(':status'), String(http));
        const again = headOf(encode(reply), 'client');
        assert.deepEqual([reply.rawStatus, again.rawStatus, again.status], [code, code, reply.status]);
      }
    }
    const request = headOf(requestFrame());
    request.set(headerName(':status'), '500');
    assert.equal(request.edited, false);
  });

  test('that change nothing leave the packet as it was', () => {
    const head = headOf(requestFrame());
    head.remove(headerName('absent'));
    head.remove(headerName(':group'));
    head.set(headerName(':path'), '/x');
    assert.equal(head.edited, false);
    assert.deepEqual(encode(head), requestFrame());
  });

  test('with CR, LF or NUL in the value are mistakes of the program', () => {
    const head = headOf(requestFrame());
    for (const value of ['a\r', '\n', 'a\0b']) assert.throws(() => head.set(headerName('x'), value), TypeError);
    assert.equal(head.edited, false);
  });

  test('may be long, and many', () => {
    const head = headOf(requestFrame({ context: [['big', 'x'.repeat(60_000)]] }));
    for (let i = 0; i < 200; i++) head.set(headerName(`h${i}`), 'y'.repeat(i * 10));
    head.set(headerName('big'), 'z'.repeat(100_000));
    assert.equal(head.refused, null);
    const again = headOf(encode(head));
    assert.equal(get(again, 'big'), 'z'.repeat(100_000));
    for (let i = 0; i < 200; i++) assert.equal(get(again, `h${i}`), 'y'.repeat(i * 10));
    assert.equal(again.timeout, 3000);
  });

  test('of a malformed map are refused by a value, the other map and the names are not', () => {
    const entry = new JceBuilder().string(0, 'a').string(1, '1').take();
    const tail = Buffer.concat([Buffer.from([0x98, 0, 1]), entry, Buffer.from([0xa8, 0, 7])]);
    const head = headOf(requestFrame({ tail }));
    head.set(headerName(':service'), 'S');
    head.set(headerName('a'), '2');
    assert.equal(head.refused, null);
    assert.deepEqual(encode(head), requestFrame({ servant: 'S', tail: Buffer.concat([Buffer.from([0x98, 0, 1]), new JceBuilder().string(0, 'a').string(1, '2').take(), Buffer.from([0xa8, 0, 7])]) }));
    head.set(headerName('STATUS_X'), '3');
    assert.equal(head.refused, 'bad-frame');
    for (const broken of ['98000110020010', '980001', '9802', '8c98', '96016198']) {
      const other = headOf(requestFrame({ tail: Buffer.from(broken, 'hex') }));
      other.set(headerName('a'), '2');
      assert.equal(other.refused, 'bad-frame', broken);
      assert.equal(other.edited, false);
      assert.deepEqual(encode(other), requestFrame({ tail: Buffer.from(broken, 'hex') }));
    }
  });

  test('a replaced body is written in place of the one received', () => {
    for (const frame of [requestFrame(), requestFrame({ version: 3 }), replyFrame({ description: 'd', context: [['a', 'b']] })]) {
      const role = frame.includes('greet') ? 'server' : 'client';
      for (const size of [0, 5, 200, 70_000]) {
        const head = headOf(frame, role);
        head.setBody(pattern(size));
        const bytes = encode(head);
        const again = headOf(bytes, role);
        assert.deepEqual(Buffer.from(again.bodyBuf.subarray(again.bodyStart, again.bodyEnd)), pattern(size));
        assert.deepEqual(all(again), all(headOf(frame, role)));
        assert.deepEqual(encode(head.keep()), bytes);
      }
    }
  });
});

describe('keep', () => {
  test('copies the packet, the edits and the body', () => {
    const bytes = requestFrame({ id: 6, status: [['s', 't']] });
    const codec = new TarsCodec('server');
    const recorder = decodeAll(Buffer.alloc(0));
    const kept: TarsHead[] = [];
    recorder.onRequest = (head) => {
      head.set(headerName('x'), 'y');
      head.set(headerName(':service'), 'Renamed');
      kept.push(head.keep() as TarsHead);
    };
    const apart = Buffer.concat([Buffer.from('0000'), bytes]);
    codec.decode(apart, 4, apart.length, recorder);
    apart.fill(0);
    assert.equal(kept[0]!.buf.length, bytes.length);
    assert.deepEqual([get(kept[0]!, 'x'), get(kept[0]!, ':service'), get(kept[0]!, ':rpc-method')], ['y', 'Renamed', 'greet']);
    kept[0]!.set(headerName('x'), 'longer than before');
    assert.deepEqual(encode(kept[0]!, 70_000), requestFrame({ id: 70_000, servant: 'Renamed', context: [['user', 'ann'], ['zone', 'a'], ['x', 'longer than before']], status: [['s', 't']] }));
  });

  test('of a reply whose result was set', () => {
    const head = headOf(replyFrame({ code: -4, description: 'x' }), 'client');
    head.set(headerName(':status'), '200');
    assert.deepEqual(encode(head.keep(), 2), replyFrame({ id: 2, code: 0, description: 'x' }));
    assert.equal(get(head.keep(), 'tars-result-desc'), 'x');
  });
});

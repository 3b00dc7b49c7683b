// The head: look-ups in place, parts, null values, broken blocks, edits and their limits, copies that outlive the call.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BlockOutput } from '../../../../src/core/bytes.js';
import { headerName } from '../../../../src/stream/head.js';
import { BoltCodec } from '../../../../src/stream/protocol/bolt/codec.js';
import { isHeaderBlock, type BoltHead } from '../../../../src/stream/protocol/bolt/head.js';
import type { FrameParts } from '../../../../src/stream/protocol/bolt/frame.js';
import { block, checked, pattern, replyFrame, requestFrame } from './frames.js';
import { decodeAll } from './recorder.js';

function headOf(parts: Partial<FrameParts> = {}): BoltHead {
  return decodeAll(requestFrame(parts)).heads[0]!;
}

function encode(head: BoltHead, id = 1): Buffer {
  const out = new BlockOutput();
  new BoltCodec('client').encodeRequest(out, head, id, true);
  return out.take();
}

function all(head: BoltHead): Record<string, string> {
  const found: Record<string, string> = {};
  head.each((name, value) => (found[name] = value));
  return found;
}

const get = (head: BoltHead, name: string): string | undefined => head.get(headerName(name));

describe('look-ups', () => {
  test('find headers by exact name, empty values too', () => {
    const head = headOf({ headers: block([['a', '1'], ['Ab', '2'], ['ab', ''], ['', 'nameless'], ['a', 'second']]) });
    assert.deepEqual(['a', 'Ab', 'ab', 'AB', 'b', ''].map((name) => get(head, name)), ['1', '2', '', undefined, undefined, 'nameless']);
  });

  test('know the parts that Bolt has', () => {
    const head = headOf({ headers: block([['sofa_head_target_service', 'com.example.A:2.1:uid'], ['sofa_head_method_name', 'greet']]) });
    assert.equal(get(head, ':service'), 'com.example.A:2.1:uid');
    assert.equal(get(head, ':version'), '2.1');
    assert.equal(get(head, ':rpc-method'), 'greet');
    assert.equal(get(head, 'bolt-class'), 'com.example.Request');
    for (const name of [':path', ':method', ':authority', ':scheme', ':group', ':status']) assert.equal(get(head, name), undefined, name);
    const both = headOf({ headers: block([['sofa_head_target_service', 'old'], ['service', 'new:']]) });
    assert.equal(get(both, ':service'), 'new:');
    assert.equal(get(both, ':version'), undefined);
    const reply = decodeAll(replyFrame({ timeoutOrStatus: 7 }), 'client').heads[0]!;
    assert.equal(get(reply, ':status'), '504');
  });

  test('treat null as absent and go on behind it', () => {
    const head = headOf({ headers: block([['a', null], [null, 'x'], [null, null], ['a', 'later'], ['b', '2']]) });
    assert.equal(get(head, 'a'), 'later');
    assert.equal(get(head, 'b'), '2');
    assert.deepEqual(all(head), { a: 'later', b: '2' });
  });

  test('stop where a block breaks off', () => {
    const whole = block([['a', '1'], ['service', 'name'], ['b', '2']]);
    const from = block([['a', '1'], ['service', 'name']]).length;
    for (let cut = from; cut < whole.length; cut++) {
      const head = headOf({ headers: whole.subarray(0, cut) });
      assert.equal(get(head, 'service'), 'name');
      assert.equal(get(head, 'b'), undefined);
      assert.deepEqual(all(head), { a: '1', service: 'name' });
    }
    const lying = Buffer.from(whole);
    lying.writeInt32BE(0x7fffffff, 0);
    assert.equal(get(headOf({ headers: lying }), 'service'), undefined);
  });

  test('a block is whole pairs or malformed', () => {
    const good = block([['a', '1'], [null, null], ['', '']]);
    assert.equal(isHeaderBlock(good, 0, good.length), true);
    assert.equal(isHeaderBlock(good, 0, 0), true);
    for (let cut = 1; cut < good.length; cut++) assert.equal(isHeaderBlock(good, 0, cut), cut === 10 || cut === 18, `cut at ${cut}`);
  });
});

describe('edits', () => {
  for (const [name, parts] of [['v1', {}], ['v2', { proto: 2 }], ['v2 with checksum', checked]] as const) {
    test(`are encoded with all lengths right: ${name}`, () => {
      const headers = block([['a', '1'], ['n', null], ['service', 'S'], ['a', 'again'], ['z', 'ö']]);
      const head = headOf({ ...parts, headers });
      head.set(headerName('a'), 'one');
      head.add(headerName('new'), '');
      head.remove(headerName('z'));
      head.set(headerName(':rpc-method'), 'greet');
      assert.equal(head.edited, true);
      assert.equal(head.refused, null);
      assert.equal(get(head, 'a'), 'one');
      assert.equal(get(head, 'z'), undefined);
      const bytes = encode(head, 77);
      assert.deepEqual(bytes, requestFrame({ ...parts, id: 77, headers: block([['n', null], ['service', 'S'], ['a', 'one'], ['new', ''], ['sofa_head_method_name', 'greet']]) }));
    });
  }

  test('of the service go to whichever of its names is there', () => {
    const set = (names: string[]): Record<string, string> => {
      const head = headOf({ headers: block(names.map((name) => [name, 'old'])) });
      head.set(headerName(':service'), 'new');
      return all(decodeAll(encode(head)).heads[0]!);
    };
    assert.deepEqual(set([]), { service: 'new' });
    assert.deepEqual(set(['service']), { service: 'new' });
    assert.deepEqual(set(['sofa_head_target_service']), { sofa_head_target_service: 'new' });
    assert.deepEqual(set(['service', 'sofa_head_target_service']), { service: 'new', sofa_head_target_service: 'new' });
    const head = headOf({ headers: block([['service', 'a'], ['sofa_head_target_service', 'b'], ['c', 'd']]) });
    head.remove(headerName(':service'));
    assert.deepEqual(all(head), { c: 'd' });
  });

  test('of the class and of the status', () => {
    const head = headOf({ proto: 2 });
    head.set(headerName('bolt-class'), 'com.example.Renamed');
    assert.equal(get(head, 'bolt-class'), 'com.example.Renamed');
    assert.deepEqual(encode(head, 3), requestFrame({ proto: 2, id: 3, className: Buffer.from('com.example.Renamed') }));
    const reply = decodeAll(replyFrame({ timeoutOrStatus: 2 }), 'client').heads[0]!;
    reply.set(headerName(':status'), '503');
    assert.deepEqual([reply.status, reply.rawStatus], [503, 4]);
    const out = new BlockOutput();
    new BoltCodec('server').encodeReply(out, reply, 1, true);
    assert.deepEqual(out.take(), replyFrame({ timeoutOrStatus: 4 }));
  });

  test('that change nothing leave the frame as it was', () => {
    const head = headOf();
    head.remove(headerName('absent'));
    head.remove(headerName(':group'));
    head.set(headerName(':path'), '/x');
    assert.equal(head.edited, false);
    assert.deepEqual(encode(head), requestFrame());
  });

  test('with CR, LF or NUL in the value are mistakes of the program', () => {
    const head = headOf();
    for (const value of ['a\r', '\n', 'a\0b']) assert.throws(() => head.set(headerName('x'), value), TypeError);
    assert.equal(head.edited, false);
  });

  test('that would take the block over 64 KiB are refused by a value, and the frame stays sound', () => {
    const headers = block([['big', 'x'.repeat(60_000)], ['service', 'S']]);
    const head = headOf({ headers });
    head.set(headerName('more'), 'y'.repeat(5000));
    assert.equal(head.refused, null);
    head.set(headerName('last'), 'z'.repeat(600));
    assert.equal(head.refused, 'head-too-large');
    assert.equal(get(head, 'last'), undefined);
    head.set(headerName('big'), 'small again');
    assert.equal(head.refused, 'head-too-large', 'the first refusal stays');
    const again = decodeAll(encode(head)).heads[0]!;
    assert.deepEqual(all(again), { service: 'S', more: 'y'.repeat(5000), big: 'small again' });
    const exact = headOf({ headers: Buffer.alloc(0) });
    exact.set(headerName('k'), 'v'.repeat(65535 - 9));
    assert.equal(exact.refused, null);
    assert.equal(get(decodeAll(encode(exact)).heads[0]!, 'k')!.length, 65526);
    exact.set(headerName('k'), 'v'.repeat(65535 - 8));
    assert.equal(exact.refused, 'head-too-large');
    const named = headOf();
    named.set(headerName('bolt-class'), 'c'.repeat(70_000));
    assert.equal(named.refused, 'head-too-large');
  });

  test('of a malformed block are refused by a value', () => {
    const headers = block([['a', '1'], ['b', '2']]).subarray(0, -1);
    const head = headOf({ headers });
    head.set(headerName('c'), '3');
    assert.equal(head.refused, 'bad-frame');
    assert.equal(head.edited, false);
    assert.deepEqual(encode(head), requestFrame({ headers }));
  });

  test('a replaced body is written in place of the one received', () => {
    for (const parts of [{}, { ...checked }]) {
      const head = headOf(parts);
      head.bodyBuf = Buffer.from('..something else..');
      head.bodyStart = 2;
      head.bodyEnd = 16;
      assert.deepEqual(encode(head, 4), requestFrame({ ...parts, id: 4, content: Buffer.from('something else') }));
      assert.deepEqual(encode(head.keep(), 4), encode(head, 4));
    }
  });
});

describe('keep', () => {
  test('copies the frame, the edits and the body', () => {
    const bytes = requestFrame({ ...checked, id: 6 });
    const codec = new BoltCodec('server');
    const recorder = decodeAll(Buffer.alloc(0));
    const kept: BoltHead[] = [];
    recorder.onRequest = (head) => {
      head.set(headerName('x'), 'y');
      kept.push((head as BoltHead).keep());
    };
    codec.decode(bytes, 0, bytes.length, recorder);
    bytes.fill(0);
    assert.equal(kept[0]!.buf.length, bytes.length);
    assert.equal(kept[0]!.edited, true);
    assert.equal(get(kept[0]!, 'x'), 'y');
    kept[0]!.set(headerName('x'), 'longer than before');
    assert.deepEqual(all(decodeAll(encode(kept[0]!)).heads[0]!), { 'service': 'com.example.Hello:1.0', 'sofa_head_method_name': 'greet', 'x': 'longer than before' });
  });

  test('copies only the head of a long frame', () => {
    const head = headOf({ content: pattern(300_000) });
    assert.equal(head.whole, false);
    assert.ok(head.buf.length < 200);
    assert.equal(head.length, 300_000);
  });
});

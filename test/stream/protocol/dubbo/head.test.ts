// The head of a Dubbo message: what is found, what edits do to the body as an independent reader sees it, what cannot be edited.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { headerName } from '../../../../src/stream/head.js';
import type { DubboHead } from '../../../../src/stream/protocol/dubbo/head.js';
import { captured, failure, frame, reply, request, value, values, type RequestOptions } from './frames.js';
import { Recorder, decodeAll } from './recorder.js';

const headOf = (options: RequestOptions): DubboHead => decodeAll(request(options)).heads[0]!;
const bodyOf = (head: DubboHead): Buffer => Buffer.from(head.bodyBuf.subarray(head.bodyStart, head.bodyEnd));
const read = (head: DubboHead): unknown[] => values(bodyOf(head));
const get = (head: DubboHead, name: string): string | undefined => head.get(headerName(name));

const generic = { method: '$invoke', descriptor: 'Ljava/lang/String;[Ljava/lang/String;[Ljava/lang/Object;', args: [value('realMethod'), value(['java.lang.String']), value(['x'])] };

describe('edits of requests', () => {
  test('attachments: replaced, added, removed, in a map that is empty, null or typed', () => {
    for (const attachments of [{}, null, { a: '1', group: 'g', b: '2' }]) {
      const head = headOf({ args: [value(5)], attachments });
      head.set(headerName('a'), 'other');
      head.add(headerName('new'), 'é😀');
      head.remove(headerName('b'));
      head.remove(headerName('not there'));
      const map = read(head).at(-1) as Record<string, string>;
      assert.deepEqual(map, { ...(attachments !== null && 'group' in attachments ? { group: 'g' } : {}), a: 'other', new: 'é😀' });
      assert.deepEqual([get(head, 'a'), get(head, 'new'), get(head, 'b')], ['other', 'é😀', undefined]);
      assert.deepEqual([head.edited, head.refused, head.length], [true, null, bodyOf(head).length]);
    }
    const typed = Buffer.concat([Buffer.from([0x4d]), value('java.util.TreeMap'), value('k'), value('v'), Buffer.from([0x5a])]);
    const body = Buffer.concat([value('2.0.2'), value('s'), value(null), value('m'), value(''), typed]);
    const head = headOf({ body });
    assert.equal(get(head, 'k'), 'v');
    head.set(headerName('k'), 'w');
    assert.equal(get(head, 'k'), 'w');
    assert.ok(bodyOf(head).includes('java.util.TreeMap'));
  });

  test('service, version and method, also where the attachments say them a second time', () => {
    const attachments = { path: 'com.example.A', interface: 'com.example.A', version: '1.0', group: 'g' };
    const head = headOf({ args: [value('arg')], attachments });
    head.set(headerName(':service'), 'com.example.another.LongerName');
    head.set(headerName(':version'), '2');
    head.set(headerName(':rpc-method'), 'stop');
    head.set(headerName(':group'), 'gray');
    assert.deepEqual(read(head), [
      '2.0.2', 'com.example.another.LongerName', '2', 'stop', 'Ljava/lang/Object;', 'arg',
      { path: 'com.example.another.LongerName', interface: 'com.example.another.LongerName', version: '2', group: 'gray' },
    ]);
    assert.deepEqual([':service', ':version', ':rpc-method', ':group'].map((name) => get(head, name)), ['com.example.another.LongerName', '2', 'stop', 'gray']);
    const bare = headOf({ version: null });
    bare.set(headerName(':version'), '3');
    bare.set(headerName(':group'), 'new');
    assert.deepEqual(read(bare), ['2.0.2', 'com.example.A', '3', 'go', '', { group: 'new' }]);
    const named = headOf({ attachments });
    named.set(headerName('version'), '4');
    named.set(headerName('path'), 'b.C');
    assert.deepEqual(read(named), ['2.0.2', 'b.C', '4', 'go', '', { ...attachments, path: 'b.C', version: '4' }]);
  });

  test('of a generic call the method is the one it is for', () => {
    const head = headOf(generic);
    assert.equal(get(head, ':rpc-method'), 'realMethod');
    head.set(headerName(':rpc-method'), 'anotherOne');
    assert.equal(get(head, ':rpc-method'), 'anotherOne');
    assert.deepEqual(read(head).slice(3, 6), ['$invoke', generic.descriptor, 'anotherOne']);
    assert.equal(get(headOf({ method: '$echo', args: [value('x')] }), ':rpc-method'), '$echo');
  });

  test('what they leave out: other parts, other serializations, heads of messages in pieces', () => {
    const head = headOf({ attachments: { a: 'b' } });
    for (const name of [':path', ':authority', ':status', ':scheme', ':method']) {
      head.set(headerName(name), '404');
      head.remove(headerName(name));
      assert.equal(get(head, name), undefined);
    }
    head.remove(headerName(':service'));
    assert.deepEqual([head.edited, head.refused], [false, null]);
    const fast = decodeAll(captured('fastjson2 hello request')).heads[0]!;
    fast.set(headerName('a'), 'b');
    fast.set(headerName(':service'), 'b');
    fast.remove(headerName('x-env'));
    assert.deepEqual([fast.edited, fast.refused, get(fast, 'x-env')], [false, null, 'gray']);
  });

  test('what they refuse: malformed bodies, values too long, attachments that others may refer to', () => {
    const broken = headOf({ descriptor: 'I', args: [], attachments: null });
    broken.set(headerName('a'), 'b');
    assert.deepEqual([broken.edited, broken.refused], [false, 'bad-frame']);
    const long = headOf({});
    long.set(headerName('a'), 'x'.repeat(32_768));
    assert.deepEqual([long.edited, long.refused], [false, 'head-too-large']);
    const compound = headOf({ attachments: { list: ['a'], plain: '1' } });
    compound.set(headerName('plain'), '2');
    assert.equal(compound.refused, null);
    compound.remove(headerName('list'));
    assert.equal(compound.refused, 'bad-frame');
    assert.throws(() => headOf({}).set(headerName('a'), 'b\r\nc'), TypeError);
  });

  test('the body as filters see it has the edits, and another body is read anew', () => {
    const head = headOf({ attachments: { a: '1' } });
    head.set(headerName('a'), '2');
    assert.ok(bodyOf(head).includes(Buffer.concat([value('a'), value('2')])));
    const other = request({ service: 'x.Y', attachments: { z: 'new' } }).subarray(16);
    head.setBody(other);
    assert.deepEqual([get(head, ':service'), get(head, 'a'), get(head, 'z'), head.length], ['x.Y', undefined, 'new', other.length]);
  });

  test('many edits of a large body, and of many heads in turn', () => {
    const heads = Array.from({ length: 5 }, (_, i) => headOf({ args: [value('y'.repeat(i * 3000))], attachments: { n: String(i) } }));
    for (let round = 0; round < 40; round++) for (const head of heads) head.set(headerName(`h${round}`), `${get(head, 'n')}:${round}`);
    heads.forEach((head, i) => {
      const map = read(head).at(-1) as Record<string, string>;
      assert.equal(Object.keys(map).length, 41);
      assert.equal(map['h39'], `${i}:39`);
      assert.equal(read(head)[5], 'y'.repeat(i * 3000));
    });
  });

  test('a kept head is one of its own', () => {
    const head = headOf({ attachments: { a: '1' } });
    head.set(headerName('a'), '2');
    const kept = head.keep();
    head.set(headerName('a'), '3');
    head.reset();
    assert.deepEqual([get(kept, 'a'), kept.edited], ['2', true]);
    kept.set(headerName('a'), '4');
    assert.equal(get(kept, 'a'), '4');
  });
});

describe('edits of replies', () => {
  test('attachments of a reply that has them, also behind an exception', () => {
    const head = decodeAll(reply(1, { deep: [1, { b: 'c' }] }, { dubbo: '2.0.2' }), 'client').heads[0]!;
    head.set(headerName('x-by'), 'me');
    head.remove(headerName('dubbo'));
    assert.deepEqual(values(bodyOf(head).subarray(1)), [{ deep: [1, { b: 'c' }] }, { 'x-by': 'me' }]);
    assert.equal(get(head, 'dubbo-result'), 'value');
    for (const name of ['3.3 fail reply', '2.7 refuse reply']) {
      const thrown = decodeAll(captured(name), 'client').heads[0]!;
      const before = bodyOf(thrown);
      thrown.set(headerName('x-by'), 'me');
      assert.equal(get(thrown, 'x-by'), 'me');
      const added = Buffer.concat([value('x-by'), value('me'), Buffer.from([0x5a])]);
      assert.ok(bodyOf(thrown).equals(Buffer.concat([before.subarray(0, -1), added])), name);
    }
  });

  test('replies without attachments have no place for any', () => {
    for (const bytes of [reply(1, 'x', null), failure(1, 70, 'why'), frame({ flags: 2, status: 20, body: Buffer.from([0x99]) })]) {
      const head = decodeAll(bytes, 'client').heads[0]!;
      head.set(headerName('a'), 'b');
      head.remove(headerName('a'));
      head.set(headerName(':service'), 'b');
      assert.deepEqual([head.edited, head.refused, get(head, 'a')], [false, null, undefined]);
    }
  });

  test('null results with attachments', () => {
    const head = decodeAll(frame({ flags: 2, status: 20, body: Buffer.concat([Buffer.from([0x95]), value({ a: 'b' })]) }), 'client').heads[0]!;
    assert.deepEqual([get(head, 'a'), get(head, 'dubbo-result'), head.status], ['b', 'null', 200]);
  });
});

test('two heads that are asked in turn do not see each other\'s attachments', () => {
  const recorder = new Recorder();
  const heads = [headOf({ attachments: { a: '1' } }), headOf({ attachments: { a: '2' } })];
  for (let i = 0; i < 6; i++) assert.equal(get(heads[i % 2]!, 'a'), String((i % 2) + 1));
  assert.equal(recorder.lines.length, 0);
});

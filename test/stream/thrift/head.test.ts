// The head of a Thrift message: what is found where, what may be edited, and what outlives the call.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { headerName } from '../../../src/stream/head.js';
import type { ThriftHead } from '../../../src/stream/thrift/head.js';
import { EXCEPTION, REPLY, failure, forms, frame } from './frames.js';
import { decodeAll } from './recorder.js';

const service = headerName(':service');
const method = headerName(':rpc-method');

describe('head', () => {
  test('finds what the message has, and nothing else', () => {
    for (const form of forms) {
      const [head] = decodeAll(frame({ form, name: 'S:say' })).heads as [ThriftHead];
      assert.equal(head.protocol, 'thrift');
      assert.equal(head.get(service), 'S');
      assert.equal(head.get(method), 'say');
      for (const other of [':version', ':group', ':path', ':method', ':status', 'service', 'x']) assert.equal(head.get(headerName(other)), undefined, other);
      head.each(() => assert.fail('there are no headers'));
    }
    const [plain] = decodeAll(frame({ name: 'say' })).heads as [ThriftHead];
    assert.equal(plain.get(service), undefined);
    const [dubbo] = decodeAll(frame({ name: 'say', dubbo: { service: 'com.x.Y' } }), { dubbo: true }).heads as [ThriftHead];
    assert.equal(dubbo.protocol, 'dubbo-thrift');
    assert.equal(dubbo.get(service), 'com.x.Y');
  });

  test('of a reply has its status, and keeps its name', () => {
    const [head] = decodeAll(frame({ type: EXCEPTION, name: 'say', content: failure('strict', 'no', 1) }), { role: 'client' }).heads as [ThriftHead];
    assert.equal(head.get(headerName(':status')), '404');
    head.set(method, 'other');
    head.set(service, 'other');
    head.remove(service);
    assert.equal(head.get(method), 'say');
    assert.equal(head.edited, false);
    const [reply] = decodeAll(frame({ type: REPLY }), { role: 'client' }).heads as [ThriftHead];
    assert.equal(reply.get(headerName(':status')), '200');
  });

  test('ignores what Thrift has no place for, refuses what is too long, throws at line ends', () => {
    const [head] = decodeAll(frame({ name: 'say' })).heads as [ThriftHead];
    head.set(headerName('x-any'), '1');
    head.add(headerName('x-any'), '1');
    head.remove(headerName('x-any'));
    head.remove(method);
    head.set(method, '');
    head.remove(service);
    assert.equal(head.edited, false);
    assert.throws(() => head.set(method, 'a\nb'), TypeError);
    head.set(method, 'm'.repeat(4097));
    assert.equal(head.refused, 'head-too-large');
    assert.equal(head.edited, false);
    assert.equal(head.get(method), 'say');
  });

  test('kept outlives the bytes, with its edits', () => {
    for (const dubbo of [undefined, { service: 'com.x.S', path: 'p' }]) {
      const [head] = decodeAll(frame({ name: 'S:say', dubbo, content: Buffer.from([1, 2, 3, 0]) }), { dubbo: dubbo !== undefined }).heads as [ThriftHead];
      head.set(method, 'tell');
      head.set(service, 'T');
      const kept = head.keep();
      head.reset();
      assert.equal(kept.get(service), 'T');
      assert.equal(kept.get(method), 'tell');
      assert.equal(kept.edited, true);
      assert.deepEqual([...kept.bodyBuf.subarray(kept.bodyStart, kept.bodyEnd)], [1, 2, 3, 0]);
      head.setBody(Buffer.from('body'));
      const again = head.keep();
      assert.equal(Buffer.from(again.bodyBuf.subarray(again.bodyStart, again.bodyEnd)).toString(), 'body');
      assert.notEqual(again.bodyBuf, head.bodyBuf);
    }
  });
});

// The record of an exchange: attempts, fields captured from heads, and a reset that leaves nothing behind.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { headerName } from '../../src/stream/head.js';
import { Captures, ExchangeRecord, MAX_CAPTURE, MAX_CAPTURES, nextSequence, requestIdPrefix, setRequestIdPrefix } from '../../src/stream/record.js';
import { FakeHead, httpHead } from '../support/fake-head.js';

describe('attempts of a record', () => {
  test('keep host, reason, errno and times of each', () => {
    const record = new ExchangeRecord();
    assert.equal(record.host, '');
    record.beginAttempt('a:1', 10, true);
    record.endAttempt('upstream-reset', 'ECONNRESET', 12);
    assert.deepEqual(record.attempt(0), { host: 'a:1', code: 'upstream-reset', errno: 'ECONNRESET', started: 10, duration: 2, reused: true, status: 0 });
    record.beginAttempt('b:2', 13, false);
    record.reused = true;
    record.endAttempt('', '', 17);
    assert.deepEqual(record.attempt(1), { host: 'b:2', code: '', errno: '', started: 13, duration: 4, reused: true, status: 0 });
    assert.equal(record.attempts, 2);
    assert.equal(record.host, 'b:2');
  });
});

describe('fields captured from heads', () => {
  const captures = new Captures();
  const path = captures.requestSlot(headerName(':path'));
  const agent = captures.requestSlot(headerName('user-agent'));
  const server = captures.replySlot(headerName('server'));

  test('are copies', () => {
    const record = new ExchangeRecord();
    const head = httpHead('GET', '/first', { 'user-agent': 'curl' });
    record.captureRequest(head, captures);
    head.set(headerName(':path'), '/second');
    record.captureReply(new FakeHead({ server: 'nginx' }));
    assert.equal(record.requestField(path), '/first');
    assert.equal(record.requestField(agent), 'curl');
    assert.equal(record.replyField(server), 'nginx');
  });

  test('are absent where the head has none, and before the head came', () => {
    const record = new ExchangeRecord();
    assert.equal(record.requestField(path), undefined);
    record.captureRequest(httpHead('GET', '/'), captures);
    assert.equal(record.requestField(agent), undefined);
    assert.equal(record.replyField(server), undefined);
  });

  test('are gone after a reset', () => {
    const record = new ExchangeRecord();
    record.captureRequest(httpHead('GET', '/x', { 'user-agent': 'curl' }), captures);
    record.captureReply(new FakeHead({ server: 'nginx' }));
    record.reset();
    assert.equal(record.requestField(path), undefined);
    assert.equal(record.replyField(server), undefined);
  });

  test('keep their slots when the set grows, and what came later is absent', () => {
    const growing = new Captures();
    const first = growing.requestSlot(headerName('a'));
    const record = new ExchangeRecord();
    record.captureRequest(new FakeHead({ a: '1', b: '2' }), growing);
    const second = growing.requestSlot(headerName('b'));
    assert.equal(growing.requestSlot(headerName('a')), first);
    assert.equal(record.requestField(first), '1');
    assert.equal(record.requestField(second), undefined);
  });

  test('are cut at a limit of their own and of all together, which shows', () => {
    const many = new Captures();
    const names = Array.from({ length: 12 }, (_, i) => `h${i}`);
    const slots = names.map((name) => many.requestSlot(headerName(name)));
    const record = new ExchangeRecord();
    record.captureRequest(new FakeHead(Object.fromEntries(names.map((name) => [name, name + 'x'.repeat(2000)]))), many);
    assert.equal(record.requestField(slots[0]!)!.length, MAX_CAPTURE);
    assert.match(record.requestField(slots[0]!)!, /^h0x+\.\.\.$/);
    assert.ok(record.capturedLength <= MAX_CAPTURES, String(record.capturedLength));
    assert.equal(record.requestField(slots[11]!), '');
    // A value that fits its own limit but not what is left.
    const rest = new Captures();
    const big = Array.from({ length: 7 }, (_, i) => rest.requestSlot(headerName(`h${i}`)));
    const last = rest.requestSlot(headerName('last'));
    record.captureRequest(new FakeHead({ ...Object.fromEntries(names.slice(0, 7).map((n) => [n, 'x'.repeat(1024)])), last: 'y'.repeat(1024) }), rest);
    assert.equal(record.requestField(big[6]!)!.length, 1024);
    assert.equal(record.requestField(last), 'y'.repeat(1024));
  });
});

describe('a record that is reset', () => {
  test('equals a new one', () => {
    const record = new ExchangeRecord();
    for (const key of Object.keys(record) as (keyof ExchangeRecord)[]) {
      const value = record[key];
      if (typeof value === 'number') (record as unknown as Record<string, unknown>)[key] = 7;
      else if (typeof value === 'boolean') (record as unknown as Record<string, unknown>)[key] = true;
      else if (typeof value === 'string') (record as unknown as Record<string, unknown>)[key] = 'x';
    }
    record.attempts = 0;
    record.beginAttempt('a', 1, false);
    record.beginAttempt('b', 1, false);
    record.captureRequest(httpHead('GET', `/${'x'.repeat(3000)}`), Object.assign(new Captures(), { request: [headerName(':path')] }));
    record.reset();
    const facts = (r: ExchangeRecord): Record<string, unknown> => Object.fromEntries(Object.entries(r).filter(([, v]) => !(ArrayBuffer.isView(v))));
    assert.deepEqual(facts(record), facts(new ExchangeRecord()));
  });
});

describe('ids made for requests', () => {
  test('are a prefix of the worker and the number of the exchange', () => {
    assert.match(requestIdPrefix(), /^[a-z0-9]{10}-$|^w/);
    setRequestIdPrefix('w3-');
    const record = new ExchangeRecord();
    record.sequence = 42;
    assert.equal(record.madeId, 'w3-42');
    assert.equal(nextSequence() + 1, nextSequence());
  });
});

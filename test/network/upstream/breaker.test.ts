// The breaker: limits shared by workers, budgets of retries, and levels that come back to zero.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SharedLevels } from '../../../src/core/levels.js';
import { Stats } from '../../../src/core/stats.js';
import { Breaker } from '../../../src/network/upstream/breaker.js';
import { config } from './fixture.js';

const limits = (breaker: object) => config({ name: 'c', breaker }).breaker;
const ROWS = [3, 7, 4, 9];

function pair(breaker: object) {
  const main = SharedLevels.create(16, 3);
  const opened = new Stats().counter('opened', 'test');
  const worker = (self: number) => new Breaker(SharedLevels.open(main.share(), self), ROWS, limits(breaker), opened);
  return { main, opened, one: worker(1), two: worker(2) };
}

const zero = { connections: 0, pending: 0, requests: 0, retries: 0 };

describe('the breaker', () => {
  test('counts what all workers hold together', () => {
    const { one, two, opened } = pair({ max_connections: 3, max_pending: 1, max_requests: 2 });
    assert.deepEqual([one.tryConnection(), two.tryConnection(), one.tryConnection()], [true, true, true]);
    assert.deepEqual([one.tryConnection(), two.tryConnection()], [false, false]);
    assert.deepEqual([two.tryPending(), one.tryPending()], [true, false]);
    assert.deepEqual([two.tryRequest(), two.tryRequest(), one.tryRequest()], [true, true, false]);
    assert.deepEqual(one.levels(), { connections: 3, pending: 1, requests: 2, retries: 0 });
    assert.equal(opened.value, 4);
    two.releaseConnection();
    assert.equal(one.tryConnection(), true);
    for (let i = 0; i < 3; i++) one.releaseConnection();
    two.releasePending();
    two.releaseRequest();
    two.releaseRequest();
    assert.deepEqual(two.levels(), zero);
  });

  test('has no limit where it is 0, and counts all the same', () => {
    const { one } = pair({ max_connections: 0 });
    for (let i = 0; i < 5000; i++) assert.ok(one.tryConnection());
    assert.equal(one.levels().connections, 5000);
    for (let i = 0; i < 5000; i++) one.releaseConnection();
    assert.deepEqual(one.levels(), zero);
  });

  test('refuses a release that nobody took, so that a level never hides load', () => {
    const { one, two } = pair({});
    assert.ok(two.tryRequest());
    assert.throws(() => one.releaseRequest(), /nobody had taken/);
    assert.throws(() => one.releaseRetry(), /nobody had taken/);
    two.releaseRequest();
    assert.throws(() => two.releaseRequest(), /nobody had taken/);
    assert.deepEqual(one.levels(), zero);
  });

  test('allows retries as a share of the requests in flight, but always a few', () => {
    const { one, two, opened } = pair({ retry_budget: { percent: '20%', min: 3 } });
    assert.deepEqual([one.tryRetry(), one.tryRetry(), two.tryRetry(), two.tryRetry()], [true, true, true, false]);
    assert.equal(opened.value, 1);
    for (let i = 0; i < 50; i++) two.tryRequest();
    for (let i = 3; i < 10; i++) assert.equal(one.tryRetry(), true, `retry ${i}`);
    assert.equal(two.tryRetry(), false);
    two.releaseRetry();
    assert.equal(one.tryRetry(), true);
  });

  test('holds retries to a fixed limit too, and takes a changed limit at once', () => {
    const { one } = pair({ max_retries: 2, retry_budget: { percent: 100, min: 10 } });
    assert.deepEqual([one.tryRetry(), one.tryRetry(), one.tryRetry()], [true, true, false]);
    one.limits = limits({ max_retries: 3, retry_budget: { percent: 100, min: 10 } });
    assert.deepEqual([one.tryRetry(), one.tryRetry()], [true, false]);
    one.limits = limits({ retry_budget: { percent: 0, min: 0 } });
    for (let i = 0; i < 3; i++) one.releaseRetry();
    assert.equal(one.tryRetry(), false, 'a budget of nothing allows nothing');
  });

  test('forgets what a dead worker held', () => {
    const { main, one, two } = pair({ max_requests: 1 });
    assert.ok(one.tryRequest());
    assert.ok(!two.tryRequest());
    main.zeroWriter(1);
    assert.ok(two.tryRequest());
  });
});

// Retry policies: which failures and statuses are retried, when idempotence is needed, how long is waited.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setRandom } from '../../src/core/random.js';
import { type ReasonCode, reasons } from '../../src/core/reason.js';
import { type RetryCondition, RetryPolicy, retryConditions } from '../../src/stream/retry-policy.js';

const policy = (on: readonly RetryCondition[], statuses: readonly number[] = [], attempts = 3): RetryPolicy =>
  new RetryPolicy({ on, statuses, attempts, backoff: { base: 25, max: 250 } });
const codes = Object.keys(reasons) as ReasonCode[];
const retried = (p: RetryPolicy, idempotent: boolean): ReasonCode[] => codes.filter((code) => p.onFailure(code, 1, idempotent));
const always: ReasonCode[] = codes.filter((code) => reasons[code].retry === 'safe');

describe('a retry policy', () => {
  test('retries what was refused without work done, whatever it names', () => {
    assert.ok(always.includes('host-goaway'));
    assert.deepEqual(retried(policy([]), false), always);
  });

  test('retries a failure to connect without asking for idempotence', () => {
    const nothingSent = codes.filter((code) => reasons[code].retry === 'nothing-sent');
    assert.ok(nothingSent.includes('connect-refused') && nothingSent.includes('pool-timeout'));
    assert.deepEqual(retried(policy(['connect-failure']), false).sort(), [...always, ...nothingSent].sort());
  });

  test('retries a reset only of what may be repeated', () => {
    const p = policy(['reset']);
    assert.deepEqual(retried(p, false), always);
    for (const code of ['upstream-closed', 'upstream-reset', 'heartbeat-missed'] as const) assert.equal(p.onFailure(code, 1, true), true, code);
    assert.equal(p.onFailure('reply-cut', 1, true), false, 'the client has part of the reply');
    assert.equal(p.onFailure('try-timeout', 1, true), false);
    assert.equal(p.onFailure('connect-refused', 1, true), false);
  });

  test('retries by grpc-status where it names one, and by no other', () => {
    const p = policy(['grpc-unavailable', 'grpc-resource-exhausted']);
    assert.equal(p.byStatus, true);
    assert.equal(p.onStatus(503, 1, true, 14), true);
    assert.equal(p.onStatus(429, 1, true, 8), true);
    assert.equal(p.onStatus(500, 1, true, 13), false);
    assert.equal(p.onStatus(503, 1, true), false, 'a status of HTTP is another condition');
    assert.equal(p.onStatus(503, 1, false, 14), false, 'only what may be repeated');
    assert.equal(p.onStatus(503, 3, true, 14), false, 'only so often');
    assert.equal(policy(['gateway-error']).onStatus(503, 1, true, 14), true, 'its HTTP-like status counts as well');
  });

  test('retries the timeout of one try, never that of the whole request', () => {
    const p = policy(['try-timeout']);
    assert.equal(p.onFailure('try-timeout', 1, true), true);
    assert.equal(p.onFailure('try-timeout', 1, false), false);
    assert.equal(policy(retryConditions).onFailure('request-timeout', 1, true), false);
  });

  test('never retries what the client did', () => {
    const p = policy(retryConditions);
    for (const code of codes) {
      if (reasons[code].where === 'downstream') assert.equal(p.onFailure(code, 1, true), false, code);
    }
  });

  test('knows gateway errors, 5xx and a list of statuses', () => {
    const statuses = (p: RetryPolicy): number[] => [200, 404, 429, 499, 500, 501, 502, 503, 504, 505, 599].filter((s) => p.onStatus(s, 1, true));
    assert.deepEqual(statuses(policy(['gateway-error'])), [502, 503, 504]);
    assert.deepEqual(statuses(policy(['5xx'])), [500, 501, 502, 503, 504, 505, 599]);
    assert.deepEqual(statuses(policy([], [404, 429])), [404, 429]);
    assert.deepEqual(statuses(policy(['connect-failure'])), []);
    assert.equal(policy(['gateway-error']).onStatus(503, 1, false), false, 'a reply may follow work');
    assert.equal(policy(['gateway-error']).byStatus, true);
    assert.equal(policy(['reset']).byStatus, false);
  });

  test('stops after its attempts, the first one included', () => {
    const p = policy(['connect-failure', '5xx'], [], 3);
    assert.deepEqual([1, 2, 3, 4].map((tried) => p.onFailure('connect-refused', tried, true)), [true, true, false, false]);
    assert.deepEqual([1, 2, 3].map((tried) => p.onStatus(500, tried, true)), [true, true, false]);
  });

  test('waits a random share of a time that doubles up to a limit', () => {
    const p = policy([]);
    const undo = setRandom(() => 0.999999);
    try {
      assert.deepEqual([1, 2, 3, 4, 5, 9].map((tried) => Math.round(p.delay(tried))), [25, 50, 100, 200, 250, 250]);
    } finally {
      undo();
    }
    const again = setRandom(() => 0);
    try {
      assert.equal(p.delay(4), 0);
    } finally {
      again();
    }
  });
});

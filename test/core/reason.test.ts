// The table of reasons keeps its own rules: codes, statuses by kind, retry classes by side, sentences and advice.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isReasonCode, type Reason, type ReasonCode, reasons, sentence, SluiceError } from '../../src/core/reason.js';

const all = Object.entries(reasons) as [ReasonCode, Reason][];

test('codes are kebab-case, sentences and advice are whole', () => {
  for (const [code, reason] of all) {
    assert.match(code, /^[a-z]+(-[a-z]+)*$/);
    assert.ok(reason.text.length > 10 && !reason.text.endsWith('.') && /^[a-z%]/.test(reason.text), `${code}: ${reason.text}`);
    assert.match(reason.advice, /[.?]$/, code);
    assert.match(reason.flag, /^(-|[A-Z]{2,4})$/, code);
  }
});

test('a reply of HTTP fits the kind of the reason', () => {
  const allowed: Record<string, number[]> = {
    'ok': [200],
    'bad-request': [0, 400, 417, 501, 505],
    'forbidden': [0, 403],
    'not-found': [404],
    'too-large': [413, 414, 431],
    'limited': [0, 429],
    'overload': [503],
    'unavailable': [502, 503],
    'timeout': [408, 504],
    'bad-reply': [502],
    'internal': [500, 502],
    'cancelled': [0, 499, 503],
  };
  for (const [code, reason] of all) assert.ok(allowed[reason.kind]!.includes(reason.http), `${code}: ${reason.kind} ${reason.http}`);
});

test('only the upstream side, or a refusal before anything was sent, may be tried again', () => {
  for (const [code, { where, retry }] of all) {
    if (where === 'downstream') assert.equal(retry, 'never', code);
    if (retry === 'reused-only') assert.equal(where, 'upstream', code);
  }
});

test('a sentence is filled in from its context, and what is missing is seen', () => {
  assert.equal(sentence('connect-timeout', { host: '10.0.0.1:80', ms: 3000 }), 'host 10.0.0.1:80 did not accept a connection within 3000 ms');
  assert.equal(sentence('connect-refused'), 'host ? refused the connection');
});

test('an error carries its code, context, cause and class', () => {
  const cause = new Error('ECONNREFUSED');
  const error = new SluiceError('connect-refused', { host: 'a:1' }, cause);
  assert.equal(error.message, 'host a:1 refused the connection');
  assert.deepEqual([error.code, error.where, error.retry, error.cause, error.context['host']], ['connect-refused', 'upstream', 'nothing-sent', cause, 'a:1']);
  assert.equal('cause' in new SluiceError('internal'), false);
  assert.equal(isReasonCode('connect-refused'), true);
  assert.equal(isReasonCode('toString'), false);
});

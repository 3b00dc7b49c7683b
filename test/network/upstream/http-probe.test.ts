// The HTTP health probe: its question, and its verdict on every way an answer can arrive.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BlockOutput } from '../../../src/core/bytes.js';
import { httpProbes } from '../../../src/network/upstream/http-probe.js';
import { PROBE_DOWN, PROBE_MORE, PROBE_UP } from '../../../src/network/upstream/probe.js';
import { config } from './fixture.js';

const check = (options: object = {}) => config({ name: 'a', health_check: { type: 'http', ...options } }).health_check!;
const probe = (options: object = {}) => httpProbes(check(options), 'svc:8080')();

function question(options: object = {}): string {
  const out = new BlockOutput();
  probe(options).ask(out);
  return out.take().toString('latin1');
}

/** Verdicts as the bytes come in one by one, each with all before it. */
function judge(options: object, answer: string): { verdict: number; after: number; cause: string } {
  const bytes = Buffer.from(`##${answer}`, 'latin1');
  const one = probe(options);
  for (let end = 3; end <= bytes.length; end++) {
    const verdict = one.judge(bytes, 2, end);
    if (verdict !== PROBE_MORE) return { verdict, after: end - 2, cause: one.cause };
  }
  return { verdict: PROBE_MORE, after: answer.length, cause: one.cause };
}

describe('the HTTP probe', () => {
  test('asks as configured', () => {
    assert.equal(question(), 'GET / HTTP/1.1\r\nhost: svc:8080\r\nuser-agent: sluice-health-check\r\naccept: */*\r\nconnection: close\r\n\r\n');
    const own = question({ method: 'HEAD', path: '/up?a=1', host: 'x.test', headers: { 'X-Key': 'k', Accept: 'text/plain' }, keep_connection: true });
    assert.equal(own, 'HEAD /up?a=1 HTTP/1.1\r\nhost: x.test\r\nuser-agent: sluice-health-check\r\nX-Key: k\r\nAccept: text/plain\r\n\r\n');
  });

  test('is content with the status line', () => {
    const up = judge({}, 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello');
    assert.deepEqual([up.verdict, up.after], [PROBE_UP, 17]);
    assert.equal(judge({}, 'HTTP/1.0 204\r\n').verdict, PROBE_UP);
    assert.equal(judge({ expect: ['200-299', 404] }, 'HTTP/1.1 404 Not Found\r\n').verdict, PROBE_UP);
  });

  test('names the status that was not expected', () => {
    const down = judge({}, 'HTTP/1.1 503 Service Unavailable\r\n\r\n');
    assert.deepEqual([down.verdict, down.cause], [PROBE_DOWN, 'status 503']);
    assert.equal(judge({ expect: [204] }, 'HTTP/1.1 200 OK\r\n').verdict, PROBE_DOWN);
  });

  test('waits past interim replies', () => {
    assert.equal(judge({}, 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\n').verdict, PROBE_UP);
    assert.equal(judge({}, 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 Oops\r\n').cause, 'status 500');
  });

  test('sees soon what is not HTTP', () => {
    for (const answer of ['SSH-2.0-x\r\n', '\x00\x01', 'HTTP/2 200\r\n', 'HTTP/1.1 2000\r\n', 'HTTP/1.1 OK\r\n']) {
      const { verdict, cause } = judge({}, answer);
      assert.deepEqual([verdict, cause], [PROBE_DOWN, 'the answer is not HTTP'], answer);
    }
    assert.equal(judge({}, 'SSH-2.0-x\r\n').after, 1);
    assert.equal(judge({}, `HTTP/1.1 200 ${'x'.repeat(70_000)}`).verdict, PROBE_DOWN);
  });

  test('reads the whole answer where the connection is kept', () => {
    const kept = { keep_connection: true };
    const whole = (answer: string): void => {
      const { verdict, after } = judge(kept, answer);
      assert.deepEqual([verdict, after], [PROBE_UP, answer.length], answer);
    };
    whole('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello');
    whole('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\na\r\n0123456789\r\n0\r\nt: v\r\n\r\n');
    whole('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n');
    whole('HTTP/1.1 204 No Content\r\n\r\n');
    assert.equal(judge({ ...kept, method: 'HEAD' }, 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n').verdict, PROBE_UP);
    assert.equal(judge(kept, 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell').verdict, PROBE_MORE);
    assert.equal(judge(kept, `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(70_000)}`).verdict, PROBE_DOWN);
  });
});

// The health check of HTTP/2 hosts: what it asks, and what each answer says about the host.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BlockOutput } from '../../../../src/core/bytes.js';
import { PROBE_DOWN, PROBE_MORE, PROBE_UP, type ProbeVerdict } from '../../../../src/network/upstream/probe.js';
import { GrpcProbe } from '../../../../src/stream/protocol/http2/probe.js';
import { data, goAway, headers, reset, settings, type Field } from '../../../support/http2.js';
import { server } from './recorder.js';

const GRPC_REPLY: readonly Field[] = [[':status', '200'], ['content-type', 'application/grpc']];

/** A probe that has asked, and the bytes it sent. */
function asked(options?: unknown): { probe: GrpcProbe; sent: Buffer } {
  const probe = new GrpcProbe(options);
  const out = new BlockOutput();
  probe.ask(out);
  return { probe, sent: Buffer.from(out.take()) };
}

/** What the probe thinks of these bytes, given a byte more at a time as a connection reads; and why. */
function judged(options: unknown, ...frames: readonly Buffer[]): [ProbeVerdict, string] {
  const { probe } = asked(options);
  const answer = Buffer.concat([settings(), ...frames]);
  let verdict: ProbeVerdict = PROBE_MORE;
  for (let end = 1; end <= answer.length && verdict === PROBE_MORE; end++) verdict = probe.judge(answer, 0, end);
  return [verdict, probe.cause];
}

const message = (...bytes: readonly number[]): Buffer => Buffer.from([0, 0, 0, 0, bytes.length, ...bytes]);
const trailers = (status: number): Buffer => headers(1, [['grpc-status', String(status)]], { end: true });
const says = (state: number): Buffer[] => [headers(1, GRPC_REPLY), data(1, message(8, state)), trailers(0)];
const only = (status: string, grpc: string): Buffer => headers(1, [[':status', status], ['content-type', 'application/grpc'], ['grpc-status', grpc]], { end: true });

describe('the health check of HTTP/2', () => {
  test('asks grpc.health.v1 for the host, or for a service of any length', () => {
    for (const [service, shown] of [['', JSON.stringify(message().toString('latin1'))], ['a.B', JSON.stringify(message(10, 3, 97, 46, 66).toString('latin1'))], ['x'.repeat(300), '308 bytes']] as const) {
      const [head, content] = server(asked({ service }).sent).heard();
      assert.match(head!, /^request 1 :method=POST .*:path=\/grpc\.health\.v1\.Health\/Check .*content-type=application\/grpc/);
      assert.equal(content, `data 1 ${shown} last`);
    }
  });

  test('SERVING is up; other states, statuses, resets and go-aways are down, and say so', () => {
    assert.deepEqual(judged({}, ...says(1)), [PROBE_UP, '']);
    assert.deepEqual(judged(undefined, ...says(1)), [PROBE_UP, '']);
    assert.deepEqual(judged({}, ...says(2)), [PROBE_DOWN, 'it says NOT_SERVING']);
    assert.deepEqual(judged({}, headers(1, GRPC_REPLY), data(1, message()), trailers(0)), [PROBE_DOWN, 'it says it is in state 0']);
    assert.deepEqual(judged({ service: 'a.B' }, only('200', '5')), [PROBE_DOWN, 'it does not know the service a.B']);
    assert.deepEqual(judged({}, only('200', '12')), [PROBE_DOWN, 'it has no service grpc.health.v1.Health']);
    assert.deepEqual(judged({}, only('404', '12')), [PROBE_DOWN, 'it answered with status 404']);
    assert.deepEqual(judged({}, headers(1, GRPC_REPLY), trailers(14)), [PROBE_DOWN, 'it answered with unavailable']);
    assert.deepEqual(judged({}, reset(1, 2)), [PROBE_DOWN, 'it reset the question']);
    assert.deepEqual(judged({}, goAway(0, 0)), [PROBE_DOWN, 'it is going away']);
    assert.equal(judged({}, Buffer.from('garbage that is no frame at all'))[0], PROBE_DOWN);
    assert.equal(judged({}, headers(1, GRPC_REPLY))[0], PROBE_MORE);
  });

  test('hosts without gRPC are judged by their status', () => {
    assert.deepEqual(judged({}, headers(1, [[':status', '204']], { end: true })), [PROBE_UP, '']);
    assert.deepEqual(judged({}, headers(1, [[':status', '404']], { end: true })), [PROBE_DOWN, 'it answered with status 404']);
  });

  test('with `answer: any` every reply is a sign of life: Dubbo and SOFARPC have no health protocol', () => {
    for (const reply of [only('404', '12'), only('200', '12'), headers(1, [[':status', '400'], ['sofa_head_response_error', 'true']])]) assert.deepEqual(judged({ answer: 'any' }, reply), [PROBE_UP, '']);
    assert.deepEqual(judged({ answer: 'any' }, headers(1, [[':status', '103']])), [PROBE_MORE, '']);
    assert.deepEqual(judged({ answer: 'any' }, reset(1, 2)), [PROBE_DOWN, 'it reset the question']);
  });

  test('options that do not exist make every host ill, which says why', () => {
    assert.deepEqual(judged({ answer: 'some' }, ...says(1)), [PROBE_DOWN, 'option answer is some, not one of serving, any']);
    assert.deepEqual(judged({ method: 'x' }, ...says(1)), [PROBE_DOWN, 'method is no option of this probe']);
    assert.deepEqual(judged({ service: 1 }, ...says(1)), [PROBE_DOWN, 'option service is not a text']);
  });
});

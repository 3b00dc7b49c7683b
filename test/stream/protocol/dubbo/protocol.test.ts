// Dubbo as a protocol: recognition beside all others, options, the health check, the echo.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BlockOutput } from '../../../../src/core/bytes.js';
import { PROBE_DOWN, PROBE_MORE, PROBE_UP } from '../../../../src/network/upstream/probe.js';
import { MATCH_MORE, MATCH_NO, MATCH_YES } from '../../../../src/stream/protocol.js';
import { catalog } from '../../../../src/catalog.js';
import type { ProtocolManifest } from '../../../../src/stream/protocol.js';
import { DubboCodec } from '../../../../src/stream/protocol/dubbo/codec.js';
import { manifest } from '../../../../src/stream/protocol/dubbo/manifest.js';
import { DubboProtocol } from '../../../../src/stream/protocol/dubbo/protocol.js';
import { bodyOf, captured, capturedNames, frame, heartbeat, idAt, oneway, readOnly, reply, request, split, value, values } from './frames.js';
import { Recorder, decodeAll } from './recorder.js';

const protocol = new DubboProtocol();
const match = (bytes: Buffer): number => protocol.match(bytes, 0, bytes.length);

describe('recognition', () => {
  test('yes to requests of real clients, more to their beginnings, within what it announces', () => {
    const first = [...capturedNames.filter((name) => name.endsWith('request')).map(captured), oneway(), heartbeat(1n)];
    for (const bytes of first) {
      assert.deepEqual([0, 1, 2, 3].map((n) => match(bytes.subarray(0, n))), [MATCH_MORE, MATCH_MORE, MATCH_MORE, MATCH_YES]);
      assert.ok(protocol.matchBytes >= 3);
    }
  });

  test('no to everything else, and no other protocol of the catalog says yes to it', () => {
    const others = ['GET / HTTP/1.1', 'PRI * HTTP/2.0', '\x16\x03\x01', '\x01\x01\x00\x01', '\x02\x01\x01', '*1\r\n', '\x00\x00\x00\x2a', '\xda\xbc', '\xda\xbb\x02\x14'];
    for (const text of others) assert.equal(match(Buffer.from(text, 'latin1')), MATCH_NO, text);
    const hello = captured('3.3 hello request');
    for (const other of catalog) {
      if (other.kind !== 'protocol' || other.name === 'dubbo') continue;
      const made = (other as ProtocolManifest).create((other as ProtocolManifest).schema.parse({}));
      assert.notEqual(made.match(hello, 0, hello.length), MATCH_YES, other.name);
    }
  });
});

test('options: defaults, and each reaches its codec', () => {
  const parsed = manifest.schema.parse({});
  assert.deepEqual(parsed, { max_frame: 16 * 1024 * 1024, max_whole: 2 * 1024 * 1024, obey_timeout: true, exception_status: 422, goaway: false });
  assert.throws(() => manifest.schema.parse({ go_away: true }));
  assert.throws(() => manifest.schema.parse({ exception_status: 100 }));
  const made = manifest.create({ ...(parsed as object), max_frame: 1000, goaway: true, exception_status: 500, obey_timeout: false });
  const recorder = new Recorder();
  const codec = made.codec('server');
  const bytes = Buffer.concat([request({ args: [value('x'.repeat(2000))] }), request({ attachments: { timeout: '50' } })]);
  codec.decode(bytes, 0, bytes.length, recorder);
  assert.match(recorder.lines[0]!, /^refused request/);
  assert.equal(recorder.heads[0]!.timeout, 0);
  assert.equal(codec.encodeGoAway(new BlockOutput()), true);
});

describe('the health check', () => {
  const judge = (bytes: Buffer): [number, string] => {
    const probe = protocol.probe({});
    return [probe.judge(bytes, 0, bytes.length), probe.cause];
  };
  const answer = frame({ id: 1n, flags: 0x22, status: 20, body: Buffer.from('N') });

  test('asks a heartbeat', () => {
    const out = new BlockOutput();
    protocol.probe({}).ask(out);
    assert.deepEqual(out.take(), heartbeat(1n));
  });

  test('up with the answer, also behind other frames; more until it is there', () => {
    for (let n = 0; n < answer.length; n++) assert.equal(judge(answer.subarray(0, n))[0], PROBE_MORE);
    assert.equal(judge(answer)[0], PROBE_UP);
    assert.equal(judge(Buffer.concat([heartbeat(77n), answer]))[0], PROBE_UP);
  });

  test('down, and why', () => {
    assert.deepEqual(judge(Buffer.from('HTTP/1.1 400')), [PROBE_DOWN, 'the answer is not Dubbo']);
    assert.deepEqual(judge(readOnly), [PROBE_DOWN, 'the host is going away']);
    assert.deepEqual(judge(reply(1)), [PROBE_DOWN, 'the heartbeat was answered as a request']);
    assert.deepEqual(judge(frame({ id: 1n, flags: 0x22, status: 100 })), [PROBE_DOWN, 'the heartbeat was answered with thread pool exhausted']);
    assert.deepEqual(judge(Buffer.concat([frame({}).subarray(0, 12), Buffer.from([0xff, 0, 0, 0])])), [PROBE_DOWN, 'the answer is not Dubbo']);
  });
});

test('the echo gives a plain argument and the attachments back, under the id of the caller', () => {
  const codec = new DubboCodec('server');
  const out = new BlockOutput();
  const sink = new Recorder();
  sink.onRequest = (head) => codec.encodeWhole(out, protocol.echo(head, head.bodyBuf.subarray(head.bodyStart, head.bodyEnd)));
  const asked = [request({ id: 2n ** 63n, args: [value('Ann')], attachments: { a: 'b' } }), request({ id: 6n, args: [value([1])] }), request({ id: 7n }), captured('fastjson2 hello request')];
  const bytes = Buffer.concat(asked);
  codec.decode(bytes, 0, bytes.length, sink);
  const answers = split(out.take());
  assert.deepEqual(answers.map((one) => idAt(one)), asked.map((one) => idAt(one)));
  assert.deepEqual(values(bodyOf(answers[0]!)), [4, 'Ann', { a: 'b', 'echo-by': 'sluice' }]);
  assert.match(values(bodyOf(answers[1]!))[1] as string, /^sluice got com\.example\.A\.go, \d+ bytes$/);
  assert.equal(values(bodyOf(answers[2]!)).length, 3);
  assert.match(decodeAll(answers[3]!, 'client').lines[0]!, /serialization 23 .* value /);
});

test('nothing is repeated by definition', () => {
  assert.equal(protocol.idempotent(decodeAll(request()).heads[0]!), false);
});

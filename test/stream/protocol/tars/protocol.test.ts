// Tars as a protocol: recognition, options, the table of result codes, mirroring, heartbeats and the health check.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { catalog } from '../../../../src/catalog.js';
import { BlockOutput } from '../../../../src/core/bytes.js';
import { isReasonCode, reasons } from '../../../../src/core/reason.js';
import { PROBE_DOWN, PROBE_MORE, PROBE_UP } from '../../../../src/network/upstream/probe.js';
import { TarsCodec } from '../../../../src/stream/protocol/tars/codec.js';
import { manifest } from '../../../../src/stream/protocol/tars/manifest.js';
import { TarsProtocol } from '../../../../src/stream/protocol/tars/protocol.js';
import { codeName, codeOfHttp, httpOfCode } from '../../../../src/stream/protocol/tars/status.js';
import { MATCH_MORE, MATCH_NO, MATCH_YES, type ProtocolManifest } from '../../../../src/stream/protocol.js';
import { pattern, replyFrame, requestFrame } from './frames.js';
import { readRequests, request } from './peer.js';
import { Recorder, headOf } from './recorder.js';

const protocol = new TarsProtocol();
const match = (bytes: Buffer): number => protocol.match(bytes, 0, bytes.length);

describe('match', () => {
  test('says yes within its bytes to what a client begins with', () => {
    const first = [1, 2, 3].flatMap((version) => [request(1, version), request(70_000, version, { oneway: true, key: 'k' })]);
    const made = [requestFrame({ version: 5 }), requestFrame({ messageType: 300 }), requestFrame({ messageType: 70_000, content: pattern(2_000_000) }), requestFrame({ type: 2 })];
    for (const bytes of [...first, ...made]) {
      assert.equal(match(bytes), MATCH_YES);
      assert.equal(protocol.match(Buffer.concat([Buffer.from('xx'), bytes]), 2, 2 + protocol.matchBytes), MATCH_YES);
      let verdict: number = MATCH_MORE;
      for (let n = 0; n <= protocol.matchBytes; n++) {
        verdict = protocol.match(bytes, 0, n);
        assert.notEqual(verdict, MATCH_NO);
      }
      assert.equal(verdict, MATCH_YES);
    }
  });

  test('says no to others as soon as it can', () => {
    const others: Record<string, string> = {
      'http': Buffer.from('GET / HTTP/1.1').toString('hex'),
      'http2': Buffer.from('PRI * HTTP/2.0').toString('hex'),
      'tls': '16030100a5010000a1',
      'tls whose length ends as a version would begin': '160301001001000010',
      'bolt v1': '01010001010000000101',
      'bolt v2': '0201010001010000000101',
      'dubbo': 'dabbc2000000000000000001',
      'dubbo-thrift': '0000004cdabc0000004c',
      'thrift framed, strict binary': '0000002080010001000000',
      'thrift framed, old binary': '000000200000000570696e',
      'thrift framed, compact': '000000208221010470696e67',
      'kafka': '000000230012000400000001',
      'rocketmq, json': '000000d9000000d57b22636f',
      'rocketmq, binary': '0000006601000040000a',
      'redis': '2a310d0a24340d0a',
      'mqtt': '102a00044d51545404',
      'mqtt of a longer length': '10c30100044d515454',
      'a length of nothing': '0000000010012c3c40',
      'a length of 257 MiB': '1010000010012c3c40',
      'a version of nothing': '0000002a1c2c3c4001',
      'a version that nobody speaks': '0000002a10062c3c4001',
      'another second field': '0000002a10013c4001',
      'another third field': '0000002a10012c4c4001',
      'a text as its third field': '0000002a10012c3601',
    };
    for (const [name, hex] of Object.entries(others)) {
      const bytes = Buffer.from(hex, 'hex');
      assert.equal(match(bytes), MATCH_NO, name);
      assert.equal(protocol.match(bytes, 0, protocol.matchBytes), MATCH_NO, name);
    }
    assert.equal(match(Buffer.from('G')), MATCH_NO);
    assert.equal(match(Buffer.from([0x16])), MATCH_NO);
    assert.equal(match(Buffer.alloc(0)), MATCH_MORE);
  });

  test('no other protocol of the catalog says yes to what a Tars client begins with', () => {
    const others = catalog.filter((one): one is ProtocolManifest => one.kind === 'protocol' && one.name !== 'tars').map((one) => one.create(one.schema.parse({})));
    assert.ok(others.length >= 2);
    for (const bytes of [request(1, 1), request(70_000, 3), request(300, 2, { oneway: true, key: 'k' }), requestFrame({ content: pattern(70_000) }), requestFrame({ content: pattern(2_000_000) })]) {
      for (const other of others) assert.equal(other.match(bytes, 0, Math.min(bytes.length, other.matchBytes)), MATCH_NO, other.name);
    }
  });
});

describe('the manifest', () => {
  test('has defaults, takes sizes in words, refuses unknown keys', () => {
    assert.deepEqual([manifest.kind, manifest.name], ['protocol', 'tars']);
    assert.deepEqual(manifest.schema.parse(undefined), { max_frame: 16 * 1024 * 1024, ping: 'answer', goaway: false });
    assert.deepEqual(manifest.schema.parse({ max_frame: '1KiB', ping: 'forward', goaway: true }), { max_frame: 1024, ping: 'forward', goaway: true });
    assert.equal(manifest.schema.safeParse({ maxframe: 1 }).success, false);
    assert.equal(manifest.schema.safeParse({ ping: 'drop' }).success, false);
  });

  test('makes codecs with its options', () => {
    const codec = manifest.create(manifest.schema.parse({ max_frame: '1KiB', ping: 'forward', goaway: true })).codec('server');
    const recorder = new Recorder();
    const bytes = Buffer.concat([requestFrame({ id: 3, content: Buffer.alloc(2000) }), requestFrame({ id: 4, name: 'tars_ping' })]);
    codec.decode(bytes, 0, bytes.length, recorder);
    assert.deepEqual(recorder.lines.map((line) => line.split(' message')[0]), ['refused request 3 frame-too-large {"limit":1024}', 'request v1 id 4']);
    assert.equal(codec.encodeGoAway(new BlockOutput()), true);
  });
});

describe('result codes', () => {
  test('of every reason are as documented', () => {
    const found: Record<string, number> = {};
    for (const code of Object.keys(reasons)) {
      assert.ok(isReasonCode(code));
      found[code] = protocol.statusOf(code);
    }
    const expected: Record<string, number> = {
      'no-route': -4, 'no-cluster': -10, 'no-host': -10, 'no-healthy-host': -10, 'denied': -99, 'rate-limited': -9, 'breaker-requests': -9, 'breaker-pending': -9,
      'memory-limit': -9, 'head-of-line': -9, 'filter-threw': -99, 'internal': -99, 'no-bridge': -99, 'draining': -9, 'host-goaway': -9, 'drain-deadline': -99,
      'connect-refused': -8, 'connect-timeout': -8, 'upstream-closed': -8, 'upstream-reset': -8, 'heartbeat-missed': -8, 'request-timeout': -7, 'try-timeout': -7,
      'pool-timeout': -7, 'bad-reply': -12, 'reply-too-large': -12, 'bad-frame': -1, 'frame-too-large': -1, 'body-too-large': -1, 'direct-response': 0, 'filter-replied': 0,
    };
    for (const [code, status] of Object.entries(expected)) assert.equal(found[code], status, code);
    for (const [code, status] of Object.entries(found)) assert.ok(status === 0 ? reasons[code as 'internal'].kind === ('ok' as string) : status < 0, code);
  });

  test('mean the same in HTTP, there and back', () => {
    for (const http of [200, 400, 404, 502, 503, 504]) assert.equal(httpOfCode(codeOfHttp(http)), http);
    assert.deepEqual([201, 301, 401, 403, 408, 413, 429, 500, 501].map(codeOfHttp), [0, -99, -99, -99, -7, -99, -9, -99, -99]);
    assert.equal(codeName(-9), 'server overload');
    assert.equal(codeName(77), 'result 77');
  });
});

describe('the protocol', () => {
  test('is shared, and never idempotent by itself', () => {
    assert.deepEqual([protocol.pool, protocol.bidirectional, protocol.downstreamIdle], ['multiplex', false, 0]);
    assert.deepEqual(protocol.heartbeat, { interval: 15_000, timeout: 3000, misses: 2 });
    assert.equal(protocol.idempotent(headOf(requestFrame())), false);
  });
});

describe('the probe', () => {
  const probe = (options: unknown, ...answers: Buffer[]): [number, string] => {
    const made = protocol.probe(options);
    const bytes = Buffer.concat(answers);
    const verdict = made.judge(bytes, 0, bytes.length);
    if (verdict === PROBE_UP) for (let n = 0; n < bytes.length; n++) assert.equal(made.judge(bytes, 0, n), PROBE_MORE, `after ${n} bytes`);
    return [verdict, made.cause];
  };
  const asked = (options: unknown): Buffer => {
    const question = new BlockOutput();
    protocol.probe(options).ask(question);
    return question.take();
  };

  test('asks tars_ping, to which a codec answers up', () => {
    for (const options of [{}, null, { servant: 'App.Server.Obj' }]) {
      const bytes = asked(options);
      const { origin } = readRequests(bytes)[0]!;
      assert.deepEqual([origin.sFuncName, origin.sServantName], ['tars_ping', options?.servant ?? '']);
      const server = new TarsCodec('server');
      const out = new BlockOutput();
      const recorder = new Recorder();
      recorder.onPing = (head) => server.encodePong(out, head);
      server.decode(bytes, 0, bytes.length, recorder);
      assert.deepEqual(probe(options, out.take()), [PROBE_UP, '']);
    }
  });

  test('takes any servant\'s answer where none is named, and only a good one where one is', () => {
    const named = { servant: 'App.Server.Obj' };
    for (const code of [0, -3, -4]) assert.deepEqual(probe({}, replyFrame({ id: 1, code })), [PROBE_UP, '']);
    for (const code of [0, -3]) assert.deepEqual(probe(named, replyFrame({ id: 1, code })), [PROBE_UP, '']);
    assert.deepEqual(probe(named, replyFrame({ id: 1, code: -4 })), [PROBE_DOWN, 'tars_ping was answered with no such servant']);
    assert.deepEqual(probe({}, replyFrame({ id: 1, code: -9 })), [PROBE_DOWN, 'tars_ping was answered with server overload']);
    assert.deepEqual(probe({}, replyFrame({ id: 0 }), replyFrame({ id: 70_000, content: pattern(300) }), requestFrame({ id: 1, version: 3 })), [PROBE_UP, '']);
  });

  test('says why a host is down', () => {
    assert.deepEqual(probe({}, Buffer.from('HTTP/1.1 400')), [PROBE_DOWN, 'the answer is not Tars']);
    assert.deepEqual(probe({}, Buffer.from('0000000b1001000000000000', 'hex')), [PROBE_DOWN, 'the answer is not Tars']);
    assert.deepEqual(probe({}, replyFrame({ id: 0, description: '_reconnect_' })), [PROBE_DOWN, 'the host is going away']);
    assert.deepEqual(probe({}, replyFrame({ id: 2 })), [PROBE_MORE, '']);
    assert.deepEqual(probe({}), [PROBE_MORE, '']);
  });
});

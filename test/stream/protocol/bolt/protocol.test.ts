// Bolt as a protocol: recognition, options, the status table, mirroring, heartbeats and the health check.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BlockOutput } from '../../../../src/core/bytes.js';
import { isReasonCode, reasons } from '../../../../src/core/reason.js';
import { PROBE_DOWN, PROBE_MORE, PROBE_UP } from '../../../../src/network/upstream/probe.js';
import { BoltCodec } from '../../../../src/stream/protocol/bolt/codec.js';
import { manifest } from '../../../../src/stream/protocol/bolt/manifest.js';
import { BoltProtocol } from '../../../../src/stream/protocol/bolt/protocol.js';
import { httpOfStatus, statusName, statusOfHttp } from '../../../../src/stream/protocol/bolt/status.js';
import { MATCH_MORE, MATCH_NO, MATCH_YES } from '../../../../src/stream/protocol.js';
import { checked, replyFrame, requestFrame } from './frames.js';
import { heartbeat, layouts, request } from './peer.js';
import { Recorder, decodeAll } from './recorder.js';

const protocol = new BoltProtocol();
const match = (bytes: Buffer): number => protocol.match(bytes, 0, bytes.length);

describe('match', () => {
  for (const [name, options] of layouts) {
    test(`says yes within its bytes to what a client begins with: ${name}`, () => {
      for (const bytes of [request(1, options), request(1, options, { oneway: true }), heartbeat(1, options)]) {
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
  }

  test('says no to others as soon as it can', () => {
    const others: Record<string, string> = {
      'http': Buffer.from('GET / HTTP/1.1').toString('hex'),
      'http2': Buffer.from('PRI * HTTP/2.0').toString('hex'),
      'tls': '16030100a5010000a1',
      'dubbo': 'dabbc2000000000000000001',
      'tars': '0000002a10012c3c40015603',
      'a tars frame of 16 MiB': '0101000110012c3c4001',
      'redis': '2a310d0a',
      'kafka': '000000230012000400000001',
      'a response': '0100000201',
      'v2 of another version': '0203010001',
      'another version': '010100010200',
      'another command': '01010007',
    };
    for (const [name, hex] of Object.entries(others)) assert.equal(match(Buffer.from(hex, 'hex')), MATCH_NO, name);
    assert.equal(match(Buffer.from('G')), MATCH_NO);
    assert.equal(match(Buffer.from([0x16])), MATCH_NO);
    assert.equal(match(Buffer.alloc(0)), MATCH_MORE);
  });
});

describe('the manifest', () => {
  test('has defaults, takes sizes in words, refuses unknown keys', () => {
    assert.deepEqual([manifest.kind, manifest.name], ['protocol', 'bolt']);
    assert.deepEqual(manifest.schema.parse(undefined), { max_frame: 16 * 1024 * 1024, goaway: false });
    assert.deepEqual(manifest.schema.parse({ max_frame: '1KiB', goaway: true }), { max_frame: 1024, goaway: true });
    assert.equal(manifest.schema.safeParse({ maxframe: 1 }).success, false);
  });

  test('makes codecs with its options', () => {
    const made = manifest.create(manifest.schema.parse({ max_frame: '1KiB' }));
    const codec = made.codec('server');
    const recorder = new Recorder();
    const frame = requestFrame({ id: 3, content: Buffer.alloc(2000) });
    codec.decode(frame, 0, frame.length, recorder);
    assert.deepEqual(recorder.lines, ['refused request 3 frame-too-large {"limit":1024}']);
    assert.equal(codec.encodeGoAway(new BlockOutput()), false, 'Java clients would close with calls running');
    assert.equal(manifest.create(manifest.schema.parse({ goaway: true })).codec('server').encodeGoAway(new BlockOutput()), true);
  });
});

describe('statuses', () => {
  test('of every reason are as documented', () => {
    const found: Record<string, number> = {};
    for (const code of Object.keys(reasons)) {
      assert.ok(isReasonCode(code));
      found[code] = protocol.statusOf(code);
    }
    const expected: Record<string, number> = {
      'no-route': 2, 'no-cluster': 2, 'denied': 2, 'rate-limited': 4, 'breaker-requests': 4, 'breaker-pending': 4, 'memory-limit': 4, 'head-of-line': 4,
      'filter-threw': 2, 'internal': 2, 'no-bridge': 2, 'draining': 4, 'host-goaway': 4, 'drain-deadline': 2, 'no-host': 2, 'no-healthy-host': 2,
      'connect-refused': 2, 'connect-timeout': 2, 'upstream-closed': 2, 'upstream-reset': 2, 'request-timeout': 7, 'try-timeout': 7, 'pool-timeout': 7,
      'bad-reply': 2, 'reply-too-large': 2, 'bad-frame': 2, 'bad-checksum': 2, 'frame-too-large': 2, 'head-too-large': 2, 'body-too-large': 2,
      'direct-response': 0, 'filter-replied': 0,
    };
    for (const [code, status] of Object.entries(expected)) assert.equal(found[code], status, code);
    for (const [code, status] of Object.entries(found)) assert.ok(status === 0 ? reasons[code as 'internal'].kind === ('ok' as string) : [2, 4, 7].includes(status), code);
  });

  test('mean the same in HTTP, there and back', () => {
    for (const http of [200, 503, 504, 404, 502]) assert.equal(httpOfStatus(statusOfHttp(http)), http);
    assert.deepEqual([201, 301, 400, 401, 403, 408, 413, 429, 500, 501].map(statusOfHttp), [0, 2, 9, 2, 2, 7, 2, 4, 2, 2]);
    assert.equal(statusName(4), 'server busy');
    assert.equal(statusName(77), 'status 77');
  });
});

describe('the protocol', () => {
  test('is shared, spoken both ways and never idempotent by itself', () => {
    assert.deepEqual([protocol.pool, protocol.bidirectional, protocol.downstreamIdle], ['multiplex', true, 0]);
    assert.deepEqual(protocol.heartbeat, { interval: 15_000, timeout: 3000, misses: 2 });
    assert.equal(protocol.idempotent(decodeAll(requestFrame()).heads[0]!), false);
  });
});

describe('the probe', () => {
  const probe = (...answers: Buffer[]): [number, string] => {
    const made = protocol.probe({});
    const bytes = Buffer.concat(answers);
    const verdict = made.judge(bytes, 0, bytes.length);
    if (verdict === PROBE_UP) for (let n = 0; n < bytes.length; n++) assert.equal(made.judge(bytes, 0, n), PROBE_MORE, `after ${n} bytes`);
    return [verdict, made.cause];
  };

  test('asks a heartbeat, to which a codec answers up', () => {
    const made = protocol.probe({});
    const question = new BlockOutput();
    made.ask(question);
    const bytes = question.take();
    const server = new BoltCodec('server');
    const out = new BlockOutput();
    const recorder = new Recorder();
    recorder.onPing = (head) => server.encodePong(out, head);
    server.decode(bytes, 0, bytes.length, recorder);
    assert.deepEqual(probe(out.take()), [PROBE_UP, '']);
  });

  const ack = { command: 0, id: 1, className: Buffer.alloc(0), headers: Buffer.alloc(0), content: Buffer.alloc(0) };
  test('accepts an answer in either layout, also behind frames of the host', () => {
    assert.deepEqual(probe(replyFrame(ack)), [PROBE_UP, '']);
    assert.deepEqual(probe(replyFrame({ ...ack, ...checked })), [PROBE_UP, '']);
    assert.deepEqual(probe(requestFrame({ id: 1 }), requestFrame({ ...checked, command: 0, id: 9 }), replyFrame({ ...ack, proto: 2 })), [PROBE_UP, '']);
  });

  test('says why a host is down', () => {
    assert.deepEqual(probe(Buffer.from('HTTP/1.1 400')), [PROBE_DOWN, 'the answer is not Bolt']);
    assert.deepEqual(probe(Buffer.from('0105000000000000000000000000000000000000', 'hex')), [PROBE_DOWN, 'the answer is not Bolt']);
    assert.deepEqual(probe(replyFrame({ ...ack, timeoutOrStatus: 4 })), [PROBE_DOWN, 'the heartbeat was answered with server busy']);
    assert.deepEqual(probe(replyFrame({ id: 1 })), [PROBE_DOWN, 'the heartbeat was answered as a request']);
    assert.deepEqual(probe(requestFrame({ command: 100 })), [PROBE_DOWN, 'the host is going away']);
    assert.deepEqual(probe(replyFrame({ ...ack, id: 2 })), [PROBE_MORE, '']);
    assert.deepEqual(probe(), [PROBE_MORE, '']);
  });
});

// Framed Thrift as a protocol: what it recognises and what not, error replies read by the Thrift library, and health checks.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { describe, test } from 'node:test';
import { catalog } from '../../../src/catalog.js';
import { BlockOutput } from '../../../src/core/bytes.js';
import { reasons, type ReasonCode } from '../../../src/core/reason.js';
import { PROBE_DOWN, PROBE_MORE, PROBE_UP } from '../../../src/network/upstream/probe.js';
import type { Head } from '../../../src/stream/head.js';
import { localReply } from '../../../src/stream/local-reply.js';
import { MATCH_MORE, MATCH_NO, MATCH_YES, type CodecSink, type Match, type Protocol, type ProtocolManifest } from '../../../src/stream/protocol.js';
import { manifest as dubboManifest } from '../../../src/stream/protocol/dubbo-thrift/manifest.js';
import { manifest } from '../../../src/stream/protocol/thrift/manifest.js';
import { CALL, EXCEPTION, ONEWAY, REPLY, failure, forms, frame, pattern, text, type FormName } from './frames.js';
import { Recorder, decodeAll } from './recorder.js';

const thrift = manifest.create(manifest.schema.parse({}));
const dubbo = dubboManifest.create(dubboManifest.schema.parse({}));

const matchOf = (protocol: Protocol, bytes: Buffer): Match => protocol.match(bytes, 0, Math.min(bytes.length, protocol.matchBytes));

describe('match', () => {
  const requests = forms.flatMap((form) => [CALL, ONEWAY].flatMap((type) => ['a', 'say', 'Service:say_it', 'n'.repeat(200)].map((name) => frame({ form, type, name }))));
  const withHeader = (['strict', 'old'] as const).flatMap((form) => [frame({ form, dubbo: {} }), frame({ form, dubbo: { service: '', path: 'p' } }), frame({ form, dubbo: {}, content: pattern(1_000_000) })]);

  test('knows the first request of a client, byte by byte, and asks for no more than it announced', () => {
    for (const [protocol, list] of [[thrift, requests], [dubbo, withHeader]] as const) {
      for (const bytes of list) {
        assert.equal(matchOf(protocol, bytes), MATCH_YES, bytes.subarray(0, 20).toString('hex'));
        let before: Match = MATCH_MORE;
        for (let n = 0; n <= Math.min(bytes.length, protocol.matchBytes); n++) {
          const now = protocol.match(bytes, 0, n);
          assert.ok(now !== MATCH_NO && !(before === MATCH_YES && now !== MATCH_YES), `${n} of ${bytes.subarray(0, 20).toString('hex')}`);
          before = now;
        }
      }
    }
  });

  test('knows it wherever in a buffer it lies', () => {
    const bytes = Buffer.concat([Buffer.alloc(7, 0xff), frame({ form: 'old' })]);
    assert.equal(thrift.match(bytes, 7, 7 + thrift.matchBytes), MATCH_YES);
  });

  /** First bytes of clients of other protocols. */
  const others: ReadonlyArray<readonly [string, Buffer]> = [
    ['HTTP/1', Buffer.from('GET / HTTP/1.1\r\nhost: h\r\n\r\n')],
    ['HTTP/2', Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')],
    ['TLS', Buffer.from('160301020001' + '0001fc0303' + '00'.repeat(30), 'hex')],
    ['Bolt v1', Buffer.from('0101000101000000050100000bb8002c001a000000c0636f6d', 'hex')],
    ['Bolt v1 heartbeat', Buffer.from('01010000010000000501ffffffff0000000000000000', 'hex')],
    ['Bolt v2', Buffer.from('0201010001010000000501000000bb8002c001a000000c0', 'hex')],
    ['Bolt v2 heartbeat', Buffer.from('02010100000100000005010000000bb80000000000000000', 'hex')],
    ['Dubbo', Buffer.from('dabbc2000000000000000001000000ff05322e302e32', 'hex')],
    ['Tars', Buffer.from('0000003a10012c3c400156065365727661', 'hex')],
    ['Tars with zero fields', Buffer.from('0000003a1c2c3c4c560653657276616e', 'hex')],
    ['Redis', Buffer.from('*1\r\n$4\r\nPING\r\n')],
    ['Kafka, versions', Buffer.from('0000002300120003000000010009' + '636f6e736f6c652d31', 'hex')],
    ['Kafka, produce', Buffer.from('00000023000000030000000000ff' + 'ff636f6e736f6c652d31', 'hex')],
    ['Kafka, fetch', Buffer.from('000000230001000b000000010009636f6e', 'hex')],
    ['RocketMQ', Buffer.concat([Buffer.from('000000ff000000fb', 'hex'), Buffer.from('{"code":105,"flag":0}')])],
    ['MQTT', Buffer.from('101000044d5154540402003c0004746573740000', 'hex')],
    ['unframed Thrift', frame().subarray(4)],
    ['unframed compact Thrift', frame({ form: 'compact' }).subarray(4)],
    ['unframed old Thrift', frame({ form: 'old', name: 'sayHello', content: pattern(30) }).subarray(4)],
    ['THeader', Buffer.from('0000001e0fff000000000001000102020000', 'hex')],
    ['a Thrift reply', frame({ type: REPLY })],
    ['a compact Thrift reply', frame({ form: 'compact', type: EXCEPTION })],
    ['an old Thrift reply', frame({ form: 'old', type: REPLY })],
    ['zeros', Buffer.alloc(40)],
  ];

  for (const [name, bytes] of others) {
    test(`does not take ${name} for Thrift`, () => {
      assert.equal(matchOf(thrift, bytes), MATCH_NO);
      assert.equal(matchOf(dubbo, bytes), MATCH_NO);
    });
  }

  test('tells the two apart', () => {
    for (const bytes of requests) assert.equal(matchOf(dubbo, bytes), MATCH_NO);
    for (const bytes of withHeader) assert.equal(matchOf(thrift, bytes), MATCH_NO);
  });

  test('is not taken for another protocol of the catalog', () => {
    const others = catalog.filter((one): one is ProtocolManifest => one.kind === 'protocol' && one.name !== 'thrift' && one.name !== 'dubbo-thrift');
    assert.ok(others.length >= 3);
    for (const other of others) {
      const protocol = other.create(other.schema.parse({}));
      for (const bytes of [...requests, ...withHeader]) assert.notEqual(matchOf(protocol, bytes), MATCH_YES, `${other.name}: ${bytes.subarray(0, 20).toString('hex')}`);
    }
  });
});

describe('the manifests', () => {
  test('decode their options, and refuse what they do not know', () => {
    assert.deepEqual(manifest.schema.parse({}), { max_frame: 16 * 1024 * 1024, replies: 'auto' });
    assert.deepEqual(manifest.schema.parse({ max_frame: '1MiB', replies: 'in-order' }), { max_frame: 1024 * 1024, replies: 'in-order' });
    assert.equal(manifest.schema.safeParse({ replies: 'never' }).success, false);
    assert.deepEqual(dubboManifest.schema.parse({}), { max_frame: 16 * 1024 * 1024 });
    assert.equal(dubboManifest.schema.safeParse({ replies: 'auto' }).success, false);
  });

  test('say which pool a cluster has that asks for none', () => {
    assert.equal(thrift.defaultPool, 'exclusive');
    assert.equal(thrift.pool, 'multiplex');
    assert.equal(dubbo.defaultPool, undefined);
    assert.equal(dubbo.pool, 'multiplex');
  });
});

/** What the Thrift library for Node reads out of a frame. */
interface Reader {
  readMessageBegin(): { fname: string; mtype: number; rseqid: number };
  readMessageEnd(): void;
}
interface ThriftLibrary {
  TFramedTransport: { new (buffer: Buffer): unknown };
  TBinaryProtocol: new (transport: unknown) => Reader;
  TCompactProtocol: new (transport: unknown) => Reader;
  Thrift: { TApplicationException: new () => { type: number; message: string; read(input: Reader): void } };
}
const library = createRequire(resolve('package.json'))('thrift') as ThriftLibrary;

function read(form: FormName, bytes: Buffer): { fname: string; mtype: number; rseqid: number; type: number; message: string } {
  assert.equal(bytes.readInt32BE(0), bytes.length - 4);
  const transport = new library.TFramedTransport(bytes.subarray(4));
  const protocol = form === 'compact' ? new library.TCompactProtocol(transport) : new library.TBinaryProtocol(transport);
  const begin = protocol.readMessageBegin();
  const exception = new library.Thrift.TApplicationException();
  exception.read(protocol);
  protocol.readMessageEnd();
  // Of an old message the library gives the bytes of the name.
  return { ...begin, fname: String(begin.fname), type: exception.type, message: exception.message };
}

/** The reply that a codec writes for a reason to the request `asked`. */
function answer(asked: Buffer, code: ReasonCode, body: string | Uint8Array = '', status = reasons[code].http, protocol = thrift): Buffer {
  const codec = protocol.codec('server');
  let id = -1;
  const sink = Object.assign(Object.create(Recorder.prototype) as CodecSink, { onRequest: (head: Head) => void (id = head.id) });
  codec.decode(asked, 0, asked.length, sink);
  const out = new BlockOutput();
  codec.encodeLocalReply(out, id, localReply(code, { detail: 'what was wrong', host: 'h:1', ms: 5 }, status, body, [], -1, false));
  return out.take();
}

describe('error replies', () => {
  const types: Partial<Record<ReasonCode, number>> = {
    'no-route': 1, 'bad-request': 7, 'frame-too-large': 7, 'bad-frame': 7, denied: 6, 'rate-limited': 6, 'breaker-requests': 6, 'no-healthy-host': 6, 'connect-refused': 6,
    'request-timeout': 6, 'bad-reply': 6, internal: 6, draining: 6, 'upstream-reset': 6,
  };

  test('are exceptions that the Thrift library reads, with the type, name and number that belong to the call', () => {
    for (const form of forms) {
      for (const [code, type] of Object.entries(types) as [ReasonCode, number][]) {
        for (const name of ['say', 'Service:say', 'n'.repeat(1000)]) {
          const got = read(form, answer(frame({ form, name, seqid: 1234 }), code));
          assert.deepEqual([got.fname, got.mtype, got.rseqid, got.type], [name.replace('Service:', ''), EXCEPTION, 1234, type], `${form} ${code}`);
          assert.match(got.message, new RegExp(`\\(${code}\\)$`));
        }
        assert.equal(thrift.statusOf(code), type);
        assert.equal(dubbo.statusOf(code), type);
      }
    }
    assert.match(read('strict', answer(frame(), 'no-route')).message, /^no route matches: what was wrong \(no-route\)$/);
  });

  test('have the status of their reason for a proxy in front', () => {
    for (const form of forms) {
      for (const code of Object.keys(reasons) as ReasonCode[]) {
        if (reasons[code].kind === 'ok' || reasons[code].http < 400) continue;
        const [head] = decodeAll(answer(frame({ form }), code), { role: 'client' }).heads;
        assert.equal(head!.status, reasons[code].http, code);
      }
    }
  });

  test('carry the id of the header of Dubbo and its service', () => {
    const bytes = answer(frame({ name: 'say', seqid: 9, dubbo: { service: 'com.x.S', id: -7n, path: 'com.x.P' } }), 'no-healthy-host', '', undefined, dubbo);
    const { heads, lines } = decodeAll(bytes, { role: 'client', dubbo: true });
    assert.match(lines[0]!, /^reply strict type 3 seqid 9 dubbo -7 com\.x\.S \. say status 503\/6 /);
    assert.equal(bytes.readUInt16BE(10), 8 + 1 + 4 + 7 + 8, 'no path in a reply');
    const { message } = read('strict', Buffer.concat([int(bytes.length - heads[0]!.message), bytes.subarray(heads[0]!.message)]));
    assert.match(message, /^the cluster \? has no healthy host \(no-healthy-host\)$/);
  });

  test('of a filter say what it said', () => {
    const got = read('strict', answer(frame(), 'filter-replied', 'go away', 403));
    assert.deepEqual([got.mtype, got.type, got.message], [EXCEPTION, 6, 'go away']);
    assert.deepEqual(read('compact', answer(frame({ form: 'compact' }), 'filter-replied', '', 404)), { fname: 'ping', mtype: EXCEPTION, rseqid: 1, type: 1, message: 'status 404' });
    assert.equal(read('old', answer(frame({ form: 'old' }), 'direct-response', Buffer.from('bytes'), 400)).type, 7);
  });

  test('are long only to a limit', () => {
    assert.ok(read('strict', answer(frame(), 'internal', 'x'.repeat(100_000))).message.length < 9000);
  });

  test('that are none are a result: a string, or nothing', () => {
    for (const form of forms) {
      assert.deepEqual(answer(frame({ form, seqid: 5, name: 'S:say' }), 'direct-response', 'hello', 200), frame({ form, type: REPLY, seqid: 5, name: 'say', content: text(form, 'hello', 0) }));
      assert.deepEqual(answer(frame({ form, seqid: 5 }), 'filter-replied', '', 200), frame({ form, type: REPLY, seqid: 5 }));
    }
  });
});

function int(v: number): Buffer {
  const b = Buffer.alloc(4);
  b.writeInt32BE(v);
  return b;
}

describe('the health check', () => {
  const ask = (protocol: Protocol, options: unknown): Buffer => {
    const out = new BlockOutput();
    protocol.probe!(options).ask(out);
    return out.take();
  };

  test('calls a method without arguments', () => {
    assert.deepEqual(ask(thrift, {}), frame({ name: 'sluice_health_check' }));
    assert.deepEqual(ask(thrift, { method: 'S:ping', protocol: 'compact' }), frame({ form: 'compact', name: 'S:ping' }));
    assert.deepEqual(ask(thrift, { protocol: 'old-binary' }), frame({ form: 'old', name: 'sluice_health_check' }));
    assert.deepEqual(ask(dubbo, { service: 'com.x.S', method: 'ping' }), frame({ name: 'ping', dubbo: { service: 'com.x.S' } }));
  });

  test('takes any answer for a sign of life, however it arrives', () => {
    const answers: [Protocol, Buffer][] = forms.flatMap((form) => [
      [thrift, frame({ form, type: EXCEPTION, content: failure(form, 'Unknown function', 1) })],
      [thrift, frame({ form, type: REPLY, name: '' })],
    ]);
    answers.push([dubbo, frame({ type: EXCEPTION, dubbo: {} })], [dubbo, frame({ type: REPLY, form: 'old', dubbo: { service: 'x'.repeat(100) } })]);
    for (const [protocol, bytes] of answers) {
      let up = false;
      for (let n = 0; n <= bytes.length; n++) {
        const verdict = protocol.probe!({}).judge(bytes, 0, n);
        assert.notEqual(verdict, PROBE_DOWN, `${n} of ${bytes.toString('hex')}`);
        assert.ok(!(up && verdict !== PROBE_UP));
        up = verdict === PROBE_UP;
      }
      assert.equal(up, true);
    }
  });

  test('takes anything else for a fault, and says why', () => {
    for (const [protocol, bytes] of [
      [thrift, Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')], [thrift, frame()], [thrift, frame({ form: 'compact', type: ONEWAY })], [thrift, frame({ type: REPLY }).subarray(4)],
      [thrift, Buffer.alloc(30)], [dubbo, frame({ type: REPLY, content: pattern(30) })], [thrift, Buffer.from(`0000001e0fff0000000000010001${'00'.repeat(20)}`, 'hex')],
    ] as const) {
      const probe = protocol.probe!({});
      assert.equal(probe.judge(bytes, 0, bytes.length), PROBE_DOWN, bytes.toString('hex'));
      assert.match(probe.cause, /no framed Thrift/);
    }
    assert.equal(thrift.probe!({}).judge(Buffer.alloc(0), 0, 0), PROBE_MORE);
  });

  test('with options that mean nothing fails and names them', () => {
    for (const [protocol, options, cause] of [
      [thrift, { method: 5 }, /option method is not a text/], [thrift, { protocol: 'json' }, /option protocol is json, not one of binary/], [thrift, { service: 'x' }, /service is no option/],
      [dubbo, { protocol: 'binary' }, /protocol is no option/],
    ] as const) {
      const probe = protocol.probe!(options);
      const out = new BlockOutput();
      probe.ask(out);
      const reply = frame({ type: REPLY });
      assert.equal(probe.judge(reply, 0, reply.length), PROBE_DOWN);
      assert.match(probe.cause, cause);
    }
  });
});

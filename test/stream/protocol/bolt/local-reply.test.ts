// Replies of the proxy itself: read by sofa-bolt-node in every layout, codec and dialect, with the reason in the error.
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { BlockOutput } from '../../../../src/core/bytes.js';
import { isReasonCode, reasons, type ReasonCode } from '../../../../src/core/reason.js';
import { headerName } from '../../../../src/stream/head.js';
import { BoltCodec } from '../../../../src/stream/protocol/bolt/codec.js';
import { buildHeaders } from '../../../../src/stream/protocol/bolt/frame.js';
import type { BoltHead } from '../../../../src/stream/protocol/bolt/head.js';
import { HessianObject, HessianReader } from '../../../../src/stream/protocol/bolt/hessian.js';
import { BoltProtocol } from '../../../../src/stream/protocol/bolt/protocol.js';
import type { LocalReply } from '../../../../src/stream/protocol.js';
import { checked, pattern, replyFrame, requestFrame } from './frames.js';
import { type PeerPacket, layouts, read, request, setHessianVersion, v1 } from './peer.js';
import { decodeAll } from './recorder.js';

const protocol = new BoltProtocol();
const local = (reply: Partial<LocalReply>): LocalReply => ({ code: 'no-route', status: 404, body: '', headers: [], mirror: -1, close: false, ...reply });

function replyTo(requestBytes: Buffer, reply: Partial<LocalReply>): Buffer {
  const head = decodeAll(requestBytes).heads[0]!;
  const out = new BlockOutput();
  new BoltCodec('server').encodeLocalReply(out, head.id, local({ mirror: protocol.mirror(head), ...reply }));
  return out.take();
}

function decoded(bytes: Buffer): BoltHead {
  const { heads, errors } = decodeAll(bytes, 'client');
  assert.equal(errors, 0);
  assert.equal(heads.length, 1);
  return heads[0]!;
}

async function packet(bytes: Buffer): Promise<PeerPacket> {
  const packets = await read(bytes);
  assert.equal(packets.length, 1);
  return packets[0]!;
}

describe('to a client of sofa-bolt-node', () => {
  after(() => setHessianVersion('3.0'));

  for (const version of ['3.0', '4.0']) {
    for (const [name, options] of layouts) {
      test(`an error has the sentence: ${name}, hessian ${version}`, async () => {
        setHessianVersion(version);
        for (const code of ['no-route', 'breaker-requests', 'request-timeout', 'connect-refused', 'bad-request', 'internal', 'denied'] as ReasonCode[]) {
          const bytes = replyTo(request(31, options), { code });
          const { packetId, packetType, data, options: seen } = await packet(bytes);
          assert.deepEqual([packetId, packetType, seen.protocolType, seen.crcEnable ?? false], [31, 'response', options.protocolType, options.crcEnable]);
          assert.ok(data!.error instanceof Error);
          assert.match(data!.error.message, new RegExp(`\\(${code}\\)`));
          assert.equal(decoded(bytes).rawStatus, protocol.statusOf(code));
        }
        const { data } = await packet(replyTo(request(31, options), { code: 'denied', body: 'not for you: «ü€» 😀' }));
        assert.ok(data!.error!.message.includes('not for you: «ü€» 😀'), data!.error!.message);
      });

      test(`a direct response is a result: ${name}, hessian ${version}`, async () => {
        setHessianVersion(version);
        const reply = { code: 'direct-response', status: 200 } as const;
        const { data, packetId } = await packet(replyTo(request(32, options), { ...reply, body: 'maintenance until 5' }));
        assert.equal(packetId, 32);
        assert.equal(data!.error, null);
        assert.equal(data!.appResponse, 'maintenance until 5');
        assert.equal((await packet(replyTo(request(32, options), reply))).data!.appResponse, null);
        const long = 'x😀'.repeat(40_000);
        assert.equal((await packet(replyTo(request(32, options), { ...reply, body: long }))).data!.appResponse, long);
        assert.equal((await packet(replyTo(request(32, options), { ...reply, body: Buffer.from('bytes') }))).data!.appResponse, 'bytes');
        const refused = await packet(replyTo(request(32, options), { ...reply, status: 403, body: 'closed' }));
        assert.match(refused.data!.error!.message, /closed/);
      });
    }
  }

  test('protobuf errors are plain text, and say that they are errors', async () => {
    for (const parts of [{}, { proto: 2 }, checked]) {
      const bytes = replyTo(requestFrame({ ...parts, id: 5, codec: 11 }), { code: 'no-route', headers: [['x', 'y']] });
      const { data, options } = await packet(bytes);
      assert.equal(options.codecType, 'protobuf');
      assert.match(data!.error!.message, /no route matches.*\(no-route\)/);
      assert.equal(decoded(bytes).get(headerName('sofa_head_response_error')), 'true');
      assert.equal(decoded(bytes).get(headerName('x')), 'y');
    }
    const success = decoded(replyTo(requestFrame({ codec: 11 }), { code: 'direct-response', status: 200, body: Buffer.from([8, 1]) }));
    assert.equal(success.get(headerName('sofa_head_response_error')), 'false');
    assert.deepEqual(Buffer.from(success.bodyBuf.subarray(success.bodyStart, success.bodyEnd)), Buffer.from([8, 1]));
    assert.equal(success.codec, 11);
  });

  test('every reason makes a reply it can read', async () => {
    for (const code of Object.keys(reasons)) {
      assert.ok(isReasonCode(code));
      const { data, packetType } = await packet(replyTo(request(1, v1), { code, status: reasons[code].http }));
      assert.equal(packetType, 'response');
      if (reasons[code].kind !== 'ok') assert.ok(data!.error instanceof Error, code);
    }
  });
});

describe('to a proxy in front', () => {
  test('every reason keeps its code and its HTTP-like status, whatever Bolt status it travels under', () => {
    for (const code of Object.keys(reasons)) {
      assert.ok(isReasonCode(code));
      const { http, kind } = reasons[code];
      for (const parts of [{}, checked, { codec: 11 }]) {
        const head = decoded(replyTo(requestFrame(parts), { code, status: http }));
        assert.equal(head.get(headerName('x-sluice-reason')), kind === 'ok' ? undefined : code);
        if (http >= 400) assert.equal(head.status, http, code);
        else if (kind !== 'ok') assert.ok(head.status >= 500, code);
      }
    }
  });

  test('only a known reason of a failure counts: a host may send the header too', () => {
    const said = (status: number, reason: string): number => {
      return decoded(replyFrame({ timeoutOrStatus: status, headers: buildHeaders([['x-sluice-reason', reason]]) })).status;
    };
    assert.deepEqual([said(2, 'no-route'), said(2, 'never heard of'), said(2, 'filter-replied'), said(2, 'toString'), said(0, 'no-route'), said(16, 'no-route')], [404, 500, 500, 500, 200, 502]);
  });
});

describe('to others', () => {
  test('an error under an unknown codec is Hessian, a result is the bytes', () => {
    const error = decoded(replyTo(requestFrame({ codec: 12 }), {}));
    assert.equal(error.codec, 1);
    assert.equal(error.className, 'com.alipay.remoting.rpc.exception.RpcServerException');
    const value = new HessianReader(error.bodyBuf, error.bodyStart, error.bodyEnd).read();
    assert.ok(value instanceof HessianObject);
    assert.match(String(value.fields.get('detailMessage')), /no-route/);
    const result = decoded(replyTo(requestFrame({ codec: 12 }), { code: 'direct-response', status: 200, body: '{}' }));
    assert.equal(result.codec, 12);
    assert.equal(result.className, 'com.alipay.sofa.rpc.core.response.SofaResponse');
  });

  test('without a request to mirror it is v1, Hessian', () => {
    const out = new BlockOutput();
    new BoltCodec('server').encodeLocalReply(out, 0xfffffff0, local({}));
    const head = decoded(out.take());
    assert.deepEqual([head.proto, head.codec, head.rawStatus, head.id], [1, 1, 2, 0xfffffff0]);
  });

  test('headers that do not fit are left out, long texts are cut', () => {
    const head = decoded(replyTo(requestFrame(), { headers: [['a', '1'], ['big', 'x'.repeat(70_000)], ['b', '2']], body: 'y'.repeat(100_000) }));
    assert.equal(head.get(headerName('a')), '1');
    assert.equal(head.get(headerName('big')), undefined);
    assert.equal(head.get(headerName('b')), '2');
    assert.ok(head.length < 9000);
  });

  test('it waits behind a long frame that is being written', () => {
    const codec = new BoltCodec('server');
    const out = new BlockOutput();
    const head = decodeAll(requestFrame({ content: pattern(300_000) })).heads[0]!;
    codec.encodeReply(out, head, 1, false);
    codec.encodeLocalReply(out, 2, local({}));
    codec.encodeData(out, 1, pattern(300_000), 0, 300_000, true);
    assert.deepEqual(decodeAll(out.take()).heads.map((h) => h.id), [1, 2]);
  });
});

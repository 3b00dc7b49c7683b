// Replies of the proxy itself: read by @tars/rpc in TARS and TUP, with the reason in the error; and by a proxy in front.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BlockOutput } from '../../../../src/core/bytes.js';
import { isReasonCode, reasons, type ReasonCode } from '../../../../src/core/reason.js';
import { headerName } from '../../../../src/stream/head.js';
import { TarsCodec } from '../../../../src/stream/protocol/tars/codec.js';
import type { TarsHead } from '../../../../src/stream/protocol/tars/head.js';
import { TarsProtocol } from '../../../../src/stream/protocol/tars/protocol.js';
import type { LocalReply } from '../../../../src/stream/protocol.js';
import { replyFrame, requestFrame } from './frames.js';
import { type PeerPacket, numberOf, readReplies, request, textOf } from './peer.js';
import { headOf } from './recorder.js';

const protocol = new TarsProtocol();
const local = (reply: Partial<LocalReply>): LocalReply => ({ code: 'no-route', status: 404, body: '', headers: [], mirror: -1, close: false, ...reply });

function replyTo(requestBytes: Buffer, reply: Partial<LocalReply>): Buffer {
  const head = headOf(requestBytes);
  const out = new BlockOutput();
  new TarsCodec('server').encodeLocalReply(out, head.id, local({ mirror: protocol.mirror(head), ...reply }));
  return out.take();
}

function packet(bytes: Buffer, version: number): PeerPacket {
  const packets = readReplies(bytes, version);
  assert.equal(packets.length, 1);
  return packets[0]!;
}

const decoded = (bytes: Buffer): TarsHead => headOf(bytes, 'client');

describe('to a client of @tars/rpc', () => {
  for (const version of [1, 2, 3]) {
    test(`an error has the code and the sentence: version ${version}`, () => {
      for (const code of ['no-route', 'breaker-requests', 'request-timeout', 'connect-refused', 'no-host', 'bad-request', 'internal', 'denied'] as ReasonCode[]) {
        const bytes = replyTo(request(31, version, { key: 'k' }), { code });
        const { iRequestId, iResultCode, sResultDesc, origin } = packet(bytes, version);
        assert.deepEqual([iRequestId, iResultCode, origin.iVersion, origin.iMessageType], [31, protocol.statusOf(code), version, 4]);
        const said = version === 1 ? sResultDesc : origin.status.toObject()['STATUS_RESULT_DESC']!;
        assert.match(said, new RegExp(`\\(${code}\\)`));
        assert.equal(origin.status.toObject()['x-sluice-reason'], code);
      }
      const { sResultDesc, origin } = packet(replyTo(request(31, version), { code: 'denied', body: 'not for you: «ü€» 😀' }), version);
      assert.equal(version === 1 ? sResultDesc : origin.status.toObject()['STATUS_RESULT_DESC'], 'not for you: «ü€» 😀');
    });

    test(`a direct response is what the function returns: version ${version}`, () => {
      const reply = { code: 'direct-response', status: 200, headers: [['content-type', 'text/plain']] } as const;
      for (const body of ['maintenance until 5', 'x😀'.repeat(40_000)]) {
        const answer = packet(replyTo(request(32, version), { ...reply, body }), version);
        assert.equal(answer.iResultCode, 0);
        assert.equal(version === 1 ? textOf(answer, 0) : answer.origin.tup.readString(''), body);
        assert.deepEqual(answer.origin.context.toObject(), { 'content-type': 'text/plain' });
      }
      const empty = packet(replyTo(request(32, version), reply), version);
      assert.equal(empty.iResultCode, 0);
      if (version === 1) assert.equal(empty.origin.sBuffer.length, 0);
      const refused = packet(replyTo(request(32, version), { ...reply, status: 403, body: 'closed' }), version);
      assert.equal(refused.iResultCode, -99);
    });

    test(`every reason makes a reply it can read: version ${version}`, () => {
      for (const code of Object.keys(reasons)) {
        assert.ok(isReasonCode(code));
        const { iResultCode } = packet(replyTo(request(1, version), { code, status: reasons[code].http }), version);
        assert.equal(iResultCode === 0, reasons[code].kind === 'ok', code);
      }
    });
  }

  test('bytes of a terminal are the buffer itself', () => {
    const bytes = Buffer.from([0x0c]);
    assert.equal(numberOf(packet(replyTo(request(1, 1), { code: 'filter-replied', status: 200, body: bytes }), 1), 0), 0);
    const json = decoded(replyTo(requestFrame({ version: 5 }), { code: 'filter-replied', status: 200, body: Buffer.from('{}') }));
    assert.deepEqual([json.version, json.response, json.length], [5, true, 2]);
  });
});

describe('to a proxy in front', () => {
  test('every reason keeps its code and its HTTP-like status, whatever result code it travels under', () => {
    for (const code of Object.keys(reasons)) {
      assert.ok(isReasonCode(code));
      const { http, kind } = reasons[code];
      for (const version of [1, 2, 3, 5]) {
        const head = decoded(replyTo(requestFrame({ version }), { code, status: http }));
        assert.equal(head.get(headerName('x-sluice-reason')), kind === 'ok' ? undefined : code);
        assert.equal(head.rawStatus, protocol.statusOf(code));
        if (http >= 400) assert.equal(head.status, http, code);
      }
    }
  });

  test('only a known reason of a failure counts, with its own code: a host may send the header too', () => {
    const said = (code: number, reason: string): number => decoded(replyFrame({ code, status: [['x-sluice-reason', reason]] })).status;
    assert.deepEqual(
      [said(-4, 'no-route'), said(-99, 'denied'), said(-99, 'no-route'), said(-99, 'never heard of'), said(0, 'denied'), said(-99, 'toString'), said(7, 'denied')],
      [404, 403, 500, 500, 200, 500, 500],
    );
  });
});

test('without a request to mirror it is TARS; long texts are cut', () => {
  const out = new BlockOutput();
  new TarsCodec('server').encodeLocalReply(out, 0xfffffff0, local({ body: 'y'.repeat(100_000) }));
  const head = decoded(out.take());
  assert.deepEqual([head.version, head.rawStatus, head.id], [1, -4, 0xfffffff0]);
  assert.equal(head.get(headerName('tars-result-desc'))!.length, 8192);
});

// Packets of @tars/rpc decode to what they mean, and what the codec writes is read by it.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BlockOutput } from '../../../../src/core/bytes.js';
import { headerName } from '../../../../src/stream/head.js';
import { TarsCodec } from '../../../../src/stream/protocol/tars/codec.js';
import type { TarsHead } from '../../../../src/stream/protocol/tars/head.js';
import { headOf, decodeAll } from './recorder.js';
import { readReplies, readRequests, request, response, textOf } from './peer.js';

/** Captured from @tars/rpc 2.0.15: a call with a context and a dyeing key, its reply, and an error to TUP. */
const captured = {
  request: '0000005510012c30044005560e4170702e5365727665722e4f626a660567726565747d0000071605776f726c64810bb89800010604757365721603616e6ea80001060f5354415455535f445945445f4b455916016b',
  reply: '0000002710012c320001117040045c6d0000071605776f726c64780c8600980001060178160179',
  error: '0000005210032c300442000111705601616601627d000002080c8c980ca8000206125354415455535f524553554c545f434f444516022d3306125354415455535f524553554c545f4445534316046e6f6e65',
};

const headers = (head: TarsHead): Record<string, string> => {
  const found: Record<string, string> = {};
  head.each((name, value) => (found[name] = value));
  return found;
};

describe('captured packets', () => {
  test('decode to what they mean', () => {
    const call = headOf(Buffer.from(captured.request, 'hex'));
    assert.deepEqual([call.kind, call.id, call.version, call.messageType, call.timeout, call.get(headerName(':service')), call.get(headerName(':rpc-method')), call.length], [0, 5, 1, 4, 3000, 'App.Server.Obj', 'greet', 7]);
    assert.deepEqual(headers(call), { user: 'ann', STATUS_DYED_KEY: 'k' });
    const reply = headOf(Buffer.from(captured.reply, 'hex'), 'client');
    assert.deepEqual([reply.kind, reply.id, reply.response, reply.rawStatus, reply.status, reply.length], [2, 70_000, true, 0, 200, 7]);
    assert.deepEqual(headers(reply), { x: 'y' });
    const error = headOf(Buffer.from(captured.error, 'hex'), 'client');
    assert.deepEqual([error.kind, error.id, error.response, error.rawStatus, error.status, error.get(headerName('tars-result-desc'))], [2, 70_000, false, -3, 404, 'none']);
  });

  test('encode to the same bytes, but for the width of a request\'s id', () => {
    for (const hex of [captured.reply, captured.error]) assert.equal(decodeAll(Buffer.from(hex, 'hex'), { role: 'client' }).again.take().toString('hex'), hex);
    assert.equal(decodeAll(Buffer.from(captured.request, 'hex')).again.take().toString('hex'), captured.request.replace('00000055', '00000058').replace('4005560e', '4200000005560e'));
  });
});

describe('through the codec', () => {
  for (const version of [1, 2, 3]) {
    test(`requests and replies of version ${version} are read by the library under their new ids`, () => {
      const ids = [0, 1, 127, 128, 255, 300, 32_767, 32_768, 70_000, 0x7fffffff, 0xffffffff];
      for (const id of ids) {
        const head = headOf(request(id | 0, version, { context: { user: 'ann', empty: 'x' }, key: 'blue' }));
        assert.equal(head.id, id);
        head.set(headerName('added'), 'ü');
        const out = new BlockOutput();
        new TarsCodec('client').encodeRequest(out, head, 0x10001, true);
        const [packet, ...others] = readRequests(out.take());
        assert.equal(others.length, 0);
        assert.deepEqual([packet!.origin.iVersion, (packet!.origin as unknown as { iRequestId: number }).iRequestId, packet!.origin.sServantName, packet!.origin.sFuncName, packet!.origin.iTimeout], [version, 0x10001, 'App.Server.Obj', 'greet', 3000]);
        assert.deepEqual(packet!.origin.context.toObject(), { user: 'ann', empty: 'x', added: 'ü' });
        assert.deepEqual(packet!.origin.status.toObject(), { STATUS_DYED_KEY: 'blue' });
        assert.equal(textOf(packet!, 1), 'world');

        const reply = headOf(response(0x10001, version), 'client');
        reply.set(headerName('added'), 'ö');
        new TarsCodec('server').encodeReply(out, reply, id, true);
        const [answer] = readReplies(out.take(), version);
        assert.deepEqual([answer!.iRequestId, answer!.iResultCode, answer!.origin.iMessageType], [id | 0, 0, 4]);
        assert.deepEqual(answer!.origin.context.toObject(), version === 1 ? { served: 'here', added: 'ö' } : { added: 'ö' });
        if (version === 1) assert.equal(textOf(answer!, 0), 'hello');
      }
    });
  }

  test('one-way requests are told as such', () => {
    assert.equal(headOf(request(1, 1, { oneway: true })).kind, 1);
  });
});

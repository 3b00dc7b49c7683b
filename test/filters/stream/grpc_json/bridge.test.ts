// One bridged call, host by hand: a streamed reply at every split, what is wrong in the middle of it, and replies that are not what was called for.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { JsonBridge } from '../../../../src/filters/stream/grpc_json/bridge.js';
import { Transcoder } from '../../../../src/filters/stream/grpc_json/transcoder.js';
import type { Exchange } from '../../../../src/stream/exchange.js';
import { framed } from '../../../../src/stream/grpc/messages.js';
import { headerName, type Head } from '../../../../src/stream/head.js';
import { madeReply, madeRequest, madeTrailers } from '../../../../src/stream/protocol/http2/made.js';

const transcoder = new Transcoder(readFileSync('test/support/shop/shop.binpb'), { services: [], allMethods: true, defaults: false, protoNames: false, enumNumbers: false, ignoreUnknown: false });
/** Item {name}. */
const item = (name: string): Buffer => framed(Buffer.from([0x0a, name.length, ...Buffer.from(name)]));
const GRPC = madeReply(200, [['content-type', 'application/grpc'], ['x-m', 'yes']]);
const OK = madeTrailers([['grpc-status', '0']]);

interface Call {
  readonly bridge: JsonBridge;
  readonly exchange: Exchange;
  /** Reasons that the exchange was failed for. */
  readonly failed: string[];
  readonly record: { status: number; rawStatus: number };
}

function call(method: string, path: string, { lines = false, limit = 1000 } = {}): Call {
  const record = { status: 0, rawStatus: 0 };
  const failed: string[] = [];
  const exchange = { down: { protocol: { name: 'http2' } }, host: { address: 'h:1' }, record, fail: (code: string, context: { detail?: string }) => void failed.push(`${code} ${context.detail ?? ''}`.trim()) } as unknown as Exchange;
  const found = transcoder.find(method, path)!;
  return { bridge: new JsonBridge(exchange, { ...found, transcoder, query: '', limit, lines }), exchange, failed, record };
}

function stream({ bridge, exchange }: Call, pieces: readonly Buffer[]): string {
  return pieces.map((piece) => Buffer.from(bridge.piece(exchange, Buffer.concat([Buffer.from('??'), piece, Buffer.from('?')]), 2, 2 + piece.length)).toString()).join('');
}

const bodyOf = (head: Head): unknown => JSON.parse(Buffer.from(head.bodyBuf.subarray(head.bodyStart, head.bodyEnd)).toString());

describe('a streamed reply', () => {
  const content = Buffer.concat([item('a'), item(''), item('three')]);

  for (const lines of [false, true]) {
    test(`is the same at every split, as ${lines ? 'lines' : 'a list'}`, () => {
      for (let cut = 0; cut <= content.length; cut++) {
        const one = call('GET', '/v1/items', { lines });
        const head = one.bridge.replyHead(one.exchange, GRPC)!;
        assert.deepEqual([head.get(headerName('content-type')), head.get(headerName('x-m'))], [lines ? 'application/x-ndjson' : 'application/json', 'yes']);
        const text = stream(one, [content.subarray(0, cut), content.subarray(cut)]) + Buffer.from(one.bridge.end(one.exchange, OK)).toString();
        assert.equal(text, lines ? '{"name":"a"}\n{"name":""}\n{"name":"three"}\n'.replace('{"name":""}', '{}') : '[{"name":"a"},{},{"name":"three"}]');
        assert.deepEqual([one.failed, one.record.status, one.record.rawStatus], [[], 200, 0]);
      }
    });
  }

  for (const [what, bad, code] of [
    ['a message over the limit', framed(Buffer.alloc(1001)), 'reply-too-large'],
    ['a compressed message', Buffer.from([1, 0, 0, 0, 0]), 'bad-reply'],
    ['a message that is none', framed(Buffer.from([0x0a, 0x7f, 1])), 'bad-reply'],
  ] as const) {
    test(`with ${what} behind good ones keeps these and stays JSON`, () => {
      for (const pieces of [[Buffer.concat([item('a'), item('b'), bad])], [item('a'), Buffer.concat([item('b'), bad])]]) {
        const one = call('GET', '/v1/items');
        one.bridge.replyHead(one.exchange, GRPC);
        const text = stream(one, pieces);
        assert.ok(one.failed[0]!.startsWith(code), one.failed[0]);
        const all = JSON.parse(text + Buffer.from(one.bridge.cut(one.exchange, code, { host: 'h:1', limit: 1000, detail: 'x' })).toString()) as unknown[];
        assert.deepEqual(all.slice(0, 2), [{ name: 'a' }, { name: 'b' }]);
        assert.deepEqual((all[2] as { error: { code: number } }).error.code, 13);
      }
    });
  }

  test('that ends inside a message, or without a status, ends with an error', () => {
    for (const [pieces, trailers, message] of [[[content.subarray(0, content.length - 1)], OK, 'the host ended the call inside a message'], [[item('a'), item('')], null, 'the host ended the call without a status']] as const) {
      const one = call('GET', '/v1/items');
      one.bridge.replyHead(one.exchange, GRPC);
      const all = JSON.parse(stream(one, pieces) + Buffer.from(one.bridge.end(one.exchange, trailers)).toString()) as unknown[];
      assert.deepEqual(all, [{ name: 'a' }, {}, { error: { code: 13, message, details: [] } }]);
      assert.equal(one.record.status, 500);
    }
  });
});

describe('a unary reply', () => {
  for (const [what, head, body, trailers, status, code] of [
    ['no message', GRPC, Buffer.alloc(0), OK, 500, 13],
    ['two messages', GRPC, Buffer.concat([item('a'), item('b')]), OK, 500, 13],
    ['half a message', GRPC, item('abc').subarray(0, 7), OK, 500, 13],
    ['a compressed message', GRPC, Buffer.from([1, 0, 0, 0, 0]), OK, 500, 13],
    ['a message that is none', GRPC, framed(Buffer.from([0x0a, 0x7f, 1])), OK, 500, 13],
    ['no status', GRPC, item('a'), null, 500, 13],
    ['a status that is none', GRPC, item('a'), madeTrailers([['grpc-status', 'x']]), 500, 2],
    ['a status beyond all names', GRPC, item('a'), madeTrailers([['grpc-status', '99']]), 500, 99],
    ['an error in trailers alone', madeReply(200, [['content-type', 'application/grpc'], ['grpc-status', '7'], ['grpc-message', 'no%20way']]), Buffer.alloc(0), null, 403, 7],
    ['a page', madeReply(503, [['content-type', 'text/html']]), Buffer.from('<p>'), null, 503, 14],
    ['a page that looks well', madeReply(200, [['content-type', 'text/html']]), Buffer.from('<p>'), null, 500, 2],
  ] as const) {
    test(`with ${what} is the error ${code}`, () => {
      const one = call('GET', '/v1/item/x');
      assert.equal(one.bridge.replyHead(one.exchange, head), null);
      const made = one.bridge.reply(one.exchange, head, body, trailers);
      assert.deepEqual([made.status, (bodyOf(made) as { code: number }).code, one.record.status], [status, code, status]);
    });
  }

  test('with all that belongs to it is its message', () => {
    const one = call('GET', '/v1/item/x');
    const made = one.bridge.reply(one.exchange, GRPC, item('a'), OK);
    assert.deepEqual([made.status, bodyOf(made), made.get(headerName('content-length'))], [200, { name: 'a' }, '12']);
  });

  test('details that are none are left out', () => {
    const one = call('GET', '/v1/item/x');
    for (const bin of ['!!!', Buffer.from([0x1a, 0x7f]).toString('base64')]) {
      const made = one.bridge.reply(one.exchange, GRPC, Buffer.alloc(0), madeTrailers([['grpc-status', '3'], ['grpc-message', 'm'], ['grpc-status-details-bin', bin]]));
      assert.deepEqual(bodyOf(made), { code: 3, message: 'm', details: [] });
    }
    const unknown = Buffer.from([0x1a, 8, 0x0a, 3, 0x78, 0x2f, 0x59, 0x12, 1, 9]);
    const made = one.bridge.reply(one.exchange, GRPC, Buffer.alloc(0), madeTrailers([['grpc-status', '3'], ['grpc-status-details-bin', unknown.toString('base64')]]));
    assert.deepEqual(bodyOf(made), { code: 3, message: '', details: [{ '@type': 'x/Y', value: 'CQ==' }] });
  });
});

describe('a request', () => {
  const asked = madeRequest({ method: 'POST', path: '/v1/items', authority: 'a:1' }, [['content-type', 'application/json'], ['accept', '*/*'], ['x-m', 'yes'], ['grpc-timeout', '5S'], ['te', 'trailers']]);

  test('becomes a call with its metadata and its deadline', () => {
    const one = call('POST', '/v1/items');
    const head = one.bridge.request(one.exchange, asked, Buffer.from('{"name":"a"}'))!;
    const fields: Record<string, string> = {};
    head.each((name, value) => (fields[name] = value));
    assert.deepEqual(fields, { 'content-type': 'application/grpc', te: 'trailers', 'grpc-accept-encoding': 'identity', 'x-m': 'yes', 'grpc-timeout': '5S' });
    assert.deepEqual([head.get(headerName(':path')), head.get(headerName(':authority')), head.timeout, head.wholeTimeout], ['/shop.v1.Shop/Create', 'a:1', 5000, true]);
    assert.deepEqual(head.bodyBuf.subarray(head.bodyStart, head.bodyEnd), item('a'));
  });

  test('with compressed content is refused', () => {
    const one = call('POST', '/v1/items');
    const head = madeRequest({ method: 'POST', path: '/v1/items', authority: 'a' }, [['content-encoding', 'gzip']]);
    assert.equal(one.bridge.request(one.exchange, head, Buffer.from('x')), null);
    assert.deepEqual(one.failed, ['bad-request the content is in the coding gzip, which is not taken']);
  });
});

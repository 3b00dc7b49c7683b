// The server role answers: replies of hosts, of other protocols and of the proxy itself, as HTTP and as gRPC, resets and go-away.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { reasons, type ReasonCode } from '../../../../src/core/reason.js';
import { ListHead } from '../../../../src/stream/list-head.js';
import { headerName } from '../../../../src/stream/head.js';
import { grpcMessage, grpcOfHttp, grpcOfReason, grpcTimeout, httpOfGrpc } from '../../../../src/stream/protocol/http2/grpc.js';
import { data, get, GET, goAway, headers, hello, POST, post, reset, windowUpdate, type Field } from '../../../support/http2.js';
import { client, Lane, limits, refusal, server } from './recorder.js';
import { Http2ServerCodec } from '../../../../src/stream/protocol/http2/server.js';

const GRPC: readonly Field[] = [[':method', 'POST'], [':scheme', 'http'], [':path', '/pkg.Service/Method'], [':authority', 'h'], ['content-type', 'application/grpc+proto'], ['te', 'trailers']];

function asked(...frames: readonly Buffer[]): Lane<Http2ServerCodec> {
  const lane = server(Buffer.concat([hello(), ...frames]));
  lane.sent();
  lane.heard();
  return lane;
}

describe('replies of the proxy itself', () => {
  test('have a status, a reason, a length, and no header that is about a connection', () => {
    const lane = asked(get(1));
    lane.codec.encodeLocalReply(lane.out, 1, { ...refusal('no-route', 404, 'nothing here\n'), headers: [['X-Some', 'thing'], ['Connection', 'close'], ['Transfer-Encoding', 'chunked']] });
    assert.deepEqual(lane.sent(), ['HEADERS 1 :status=404 x-sluice-reason=no-route x-some=thing content-type=text/plain; charset=utf-8 content-length=13', 'DATA 1 13 end']);
    assert.equal(lane.peer.content(1).toString(), 'nothing here\n');
    assert.equal(lane.codec.eof(lane.sink), true);
  });

  test('to HEAD are the head only; 204 has no length', () => {
    const lane = asked(headers(1, [[':method', 'HEAD'], ...GET.slice(1)], { end: true }), get(3));
    lane.codec.encodeLocalReply(lane.out, 1, refusal('no-route', 404, 'nothing'));
    lane.codec.encodeLocalReply(lane.out, 3, refusal('filter-replied', 204, ''));
    const [first, second] = lane.sent();
    assert.match(first!, /^HEADERS 1 end :status=404 .*content-length=7$/);
    assert.equal(second, 'HEADERS 3 end :status=204');
  });

  test('to a request of which more is to come end its stream with NO_ERROR; the rest is passed over', () => {
    const lane = asked(post(1));
    lane.codec.encodeLocalReply(lane.out, 1, refusal('no-route', 404));
    assert.deepEqual(lane.sent().slice(1), ['DATA 1 2 end', 'RST_STREAM 1 NO_ERROR']);
    lane.feed(data(1, 'more', { end: true }), get(3));
    assert.deepEqual(lane.heard(), ['request 3 last :method=GET :scheme=http :authority=h :path=/']);
  });

  test('are only made once, and not behind a reply that has begun', () => {
    const lane = asked(get(1), get(3));
    lane.codec.encodeLocalReply(lane.out, 1, refusal('no-route', 404));
    lane.codec.encodeLocalReply(lane.out, 1, refusal('no-route', 404));
    lane.codec.encodeReply(lane.out, new ListHead([['a', 'b']], 200), 3, false);
    lane.codec.encodeLocalReply(lane.out, 3, refusal('internal', 500));
    assert.equal(lane.sent().filter((line) => line.startsWith('HEADERS')).length, 2);
  });

  test('a malformed request whose answer no window has room for gets the head of it and a reset, and nothing behind that', () => {
    const lane = server(Buffer.concat([hello([4, 0]), headers(1, GET.slice(1), { end: true })]));
    assert.deepEqual(lane.sent().map((line) => line.split(' ').slice(0, 2).join(' ')), ['HEADERS 1', 'RST_STREAM 1']);
    lane.feed(windowUpdate(1, 1000), windowUpdate(0, 1000));
    assert.deepEqual([lane.sent(), lane.codec.held], [[], 0]);
  });

  test('a head that is too large is answered with 431, whatever comes behind it', () => {
    const lane = server(Buffer.concat([hello(), headers(1, [...POST, ...Array.from({ length: 9 }, (_, i) => [`x${i}`, 'v'.repeat(900)] as const)]), data(1, 'content', { end: true }), get(3)]), { maxHead: 8000 });
    const sent = lane.sent();
    assert.match(sent[0]!, /^HEADERS 1 :status=431 x-sluice-reason=head-too-large/);
    assert.deepEqual(sent.slice(1), ['DATA 1 2 end', 'RST_STREAM 1 NO_ERROR']);
    assert.deepEqual(lane.heard(), ['refused 1 head-too-large 8000', 'request 3 last :method=GET :scheme=http :authority=h :path=/']);
  });

  test('trailers that are too large end their stream', () => {
    const lane = asked(post(1)).feed(headers(1, Array.from({ length: 80 }, (_, i) => [`x${i}`, 'v'.repeat(900)] as const), { end: true, cut: [16_000, 16_000, 16_000, 16_000] }));
    assert.deepEqual([lane.heard(), lane.sent()], [['reset 1 bad-request'], ['RST_STREAM 1 PROTOCOL_ERROR']]);
  });
});

describe('gRPC', () => {
  test('local replies are trailers only', () => {
    const lane = asked(headers(1, GRPC));
    lane.codec.encodeLocalReply(lane.out, 1, { ...refusal('no-healthy-host', 503, 'no h\u00f6st\n100%'), headers: [['retry-after', '1'], ['content-type', 'text/plain']] });
    assert.deepEqual(lane.sent(), [
      'HEADERS 1 end :status=200 content-type=application/grpc grpc-status=14 grpc-message=no h%C3%B6st%0A100%25 x-sluice-reason=no-healthy-host retry-after=1', 'RST_STREAM 1 NO_ERROR',
    ]);
  });

  test('a reply that is cut ends with the reason as its status', () => {
    const lane = asked(headers(1, GRPC, { end: true }));
    lane.codec.encodeReply(lane.out, new ListHead([['content-type', 'application/grpc']], 200), 1, false);
    lane.codec.encodeReset(lane.out, 1, 'reply-cut');
    const [, trailers] = lane.sent();
    assert.match(trailers!, /^HEADERS 1 end grpc-status=14 grpc-message=.* x-sluice-reason=reply-cut$|^HEADERS 1 end grpc-status=13 .*reply-cut$/);
    assert.equal(lane.codec.eof(lane.sink), true);
  });

  test('one that waits for a window is reset, since its end could not come in order', () => {
    const lane = server(Buffer.concat([hello([4, 3]), headers(1, GRPC, { end: true })]));
    lane.codec.encodeReply(lane.out, new ListHead([], 200), 1, false);
    lane.codec.encodeData(lane.out, 1, Buffer.from('hello'), 0, 5, false);
    lane.codec.encodeReset(lane.out, 1, 'stream-idle');
    assert.deepEqual(lane.sent().slice(1), ['DATA 1 3', 'RST_STREAM 1 CANCEL']);
    assert.equal(lane.codec.held, 0);
  });

  test('application/grpc-web is no gRPC; grpc+json and parameters are', () => {
    for (const [type, grpc] of [['application/grpc', true], ['application/grpc+json', true], ['application/grpc;x=y', true], ['application/grpc-web', false], ['application/grp', false]] as const) {
      const lane = asked(headers(1, [...POST, ['content-type', type]], { end: true }));
      lane.codec.encodeLocalReply(lane.out, 1, refusal('no-route', 404, 'x'));
      assert.equal(lane.sent()[0]!.includes('grpc-status=12'), grpc, type);
    }
  });

  test('service and method of a call, and its timeout, are parts of its head', () => {
    const lane = server(Buffer.concat([hello(), headers(1, [...GRPC, ['grpc-timeout', '250m'], ['tri-service-version', '2.0']], { end: true })]));
    const head = lane.sink.heads[0]!;
    assert.deepEqual([':service', ':rpc-method', ':version'].map((name) => head.get(headerName(name))), ['pkg.Service', 'Method', '2.0']);
    assert.deepEqual([head.timeout, head.wholeTimeout], [250, true]);
    head.set(headerName(':service'), 'other.Service');
    assert.equal(head.get(headerName(':path')), '/other.Service/Method');
  });

  test('timeouts: at most eight digits and a unit', () => {
    const ms = (text: string): number => grpcTimeout(Buffer.from(text), 0, text.length);
    assert.deepEqual(['1H', '2M', '3S', '4m', '5u', '6n', '1500u', '99999999H'].map(ms), [3_600_000, 120_000, 3000, 4, 1, 1, 2, 0x7fffffff]);
    assert.deepEqual(['', 'S', '5', '123456789S', '1x', '-1S', '1.5S'].map(ms), [0, 0, 0, 0, 0, 0, 0]);
  });

  test('statuses map both ways', () => {
    assert.deepEqual([200, 400, 401, 403, 404, 429, 502, 503, 504, 500, 418].map(grpcOfHttp), [0, 13, 16, 7, 12, 14, 14, 14, 14, 2, 2]);
    assert.deepEqual([0, 1, 4, 5, 7, 8, 12, 14, 16, 99].map(httpOfGrpc), [200, 499, 504, 404, 403, 429, 501, 503, 401, 500]);
    for (const code of Object.keys(reasons) as ReasonCode[]) assert.ok(grpcOfReason(code) >= 0 && grpcOfReason(code) <= 16, code);
    assert.equal(grpcMessage('a b%c\u20ac'), 'a b%25c%E2%82%AC');
  });
});

describe('edits', () => {
  test('parts and fields that were changed are written, the others as they came', () => {
    const lane = server(Buffer.concat([hello(), headers(1, [...GET, ['a', '1'], ['b', '2'], ['content-length', '0']], { end: true })]));
    const head = lane.sink.heads[0]!;
    head.set(headerName(':path'), '/new');
    head.set(headerName(':authority'), 'other:1');
    head.set(headerName('X-C'), '3');
    head.remove(headerName('a'));
    head.setBody(Buffer.from('hello'));
    const seen: string[] = [];
    head.each((name, value) => seen.push(`${name}=${value}`));
    assert.deepEqual(seen, ['b=2', 'content-length=5', 'x-c=3']);
    const host = client();
    host.codec.encodeRequest(host.out, head, 1, true);
    assert.deepEqual(host.sent(), ['HEADERS 1 :method=GET :scheme=http :path=/new :authority=other:1 b=2 content-length=5 x-c=3', 'DATA 1 5 end']);
    const back = asked(get(1));
    const reply = new ListHead([['x', 'y'], ['Connection', 'close'], ['bad name', 'z'], ['line', 'a\r\nb']], 200);
    reply.setBody(Buffer.alloc(0));
    back.codec.encodeReply(back.out, reply, 1, true);
    assert.deepEqual(back.sent(), ['HEADERS 1 :status=200 x=y line=a  b content-length=0', 'DATA 1 0 end']);
  });
});

describe('streams', () => {
  test('more than allowed are refused and may be asked again', () => {
    const lane = server(Buffer.concat([hello(), post(1), post(3), post(5)]), { maxStreams: 2 });
    assert.deepEqual(lane.sent(), ['RST_STREAM 5 REFUSED_STREAM']);
    assert.deepEqual(lane.heard().length, 2);
    lane.feed(reset(1, 8), get(7));
    assert.equal(lane.heard().at(-1), 'request 7 last :method=GET :scheme=http :authority=h :path=/');
  });

  test('go-away: announced first, then final; what comes behind it is not looked at, and no fault', () => {
    const lane = asked(post(1));
    assert.equal(lane.codec.encodeGoAway(lane.out), true);
    assert.deepEqual(lane.sent(), ['GOAWAY 2147483647 NO_ERROR']);
    lane.feed(get(3));
    assert.equal(lane.heard().length, 1, 'a request on its way is served');
    assert.equal(lane.codec.encodeGoAway(lane.out), true);
    assert.deepEqual(lane.sent(), ['GOAWAY 3 NO_ERROR']);
    assert.equal(lane.codec.encodeGoAway(lane.out), false);
    lane.feed(post(5), data(5, 'content'), windowUpdate(5, 10), data(5, '', { end: true }), reset(5, 8), post(7), headers(7, [['x', 'y']], { end: true }), data(1, 'rest', { end: true }));
    assert.deepEqual([lane.heard(), lane.sent()], [['data 1 "rest" last'], []]);
  });

  test('go-away on a connection whose client has said nothing yet comes behind SETTINGS, which are sent once', () => {
    const lane = new Lane(new Http2ServerCodec(limits()));
    assert.equal(lane.codec.encodeGoAway(lane.out), true);
    lane.feed(hello(), get(1));
    assert.deepEqual(lane.peer.push(lane.out.take()).lines.map((line) => line.replace(/ 4=.*/, '')), ['SETTINGS', 'WINDOW_UPDATE 0 16711681', 'GOAWAY 2147483647 NO_ERROR', 'SETTINGS ack']);
    assert.equal(lane.heard().length, 1, 'its request is served');
  });

  test('a client that goes away is served to the end', () => {
    const lane = asked(post(1)).feed(goAway(0), data(1, 'x', { end: true }));
    assert.deepEqual([lane.heard(), lane.sent()], [['data 1 "x" last'], []]);
  });

  test('a client that resets is told to the exchange, with any code', () => {
    for (const code of [0, 2, 7, 8, 99]) {
      const lane = asked(post(1)).feed(reset(1, code));
      assert.deepEqual([lane.heard(), lane.sent()], [['reset 1 downstream-reset'], []]);
    }
  });
});

// The client role: requests out, replies and their faults in, limits of the host, go-away, ids that are used up.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Head } from '../../../../src/stream/head.js';
import { Http2ClientCodec } from '../../../../src/stream/protocol/http2/client.js';
import { errorName } from '../../../../src/stream/protocol/http2/frame.js';
import { data, frame, GET, goAway, headers, hello, OK, ping, POST, reset, settings, type Field } from '../../../support/http2.js';
import { client, Lane, limits, server } from './recorder.js';

const head = (fields: readonly Field[]): Head => server(Buffer.concat([hello(), headers(1, fields, { cut: [60, 16_000, 16_000] })])).sink.heads[0]!;

/** A client with requests under the ids 1001, 1002 ... on streams 1, 3 ... */
function asking(n: number, fields: readonly Field[] = GET, last = true): Lane<Http2ClientCodec> {
  const lane = client();
  for (let i = 0; i < n; i++) lane.codec.encodeRequest(lane.out, head(fields), 1001 + i, last);
  lane.sent();
  lane.heard();
  return lane;
}

describe('requests', () => {
  test('begin with preface and SETTINGS, and take odd streams in turn', () => {
    const lane = client();
    lane.codec.encodeRequest(lane.out, head(GET), 7, true);
    lane.codec.encodeRequest(lane.out, head(POST), 9, false);
    lane.codec.encodeData(lane.out, 9, Buffer.from('hello'), 0, 5, false);
    lane.codec.encodeTrailers(lane.out, 9, null);
    const bytes = lane.out.take();
    assert.equal(bytes.subarray(0, 24).toString(), 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    assert.deepEqual(lane.peer.push(bytes).lines, [
      'SETTINGS 4=262143 6=65536 2=0', 'WINDOW_UPDATE 0 16711681', 'SETTINGS ack',
      'HEADERS 1 end :method=GET :scheme=http :path=/ :authority=h',
      'HEADERS 3 :method=POST :scheme=http :path=/ :authority=h', 'DATA 3 5', 'DATA 3 0 end',
    ]);
  });

  test('a head too large for one frame goes on in CONTINUATION, and is read so', () => {
    const fields: Field[] = [...GET, ['x', 'v'.repeat(20_000)], ['y', 'w'.repeat(20_000)]];
    const lane = client();
    lane.codec.encodeRequest(lane.out, head(fields), 1, true);
    const back = server(lane.out.take());
    assert.match(back.heard()[0]!, /^request 1 last .* x=v{20000} y=w{20000}$/);
  });

  test('are not made anew from bytes, and a client sends no replies', () => {
    const { codec, out } = client();
    out.take();
    assert.throws(() => codec.reid(), TypeError);
    assert.throws(() => codec.encodeReply(), TypeError);
    assert.throws(() => codec.encodeLocalReply(), TypeError);
    assert.equal(codec.encodeGoAway(), false);
    assert.equal(out.writer.pos > 0, false);
  });
});

describe('replies', () => {
  test('interim ones, the final one, content, trailers', () => {
    const lane = asking(1);
    lane.feed(headers(1, [[':status', '103'], ['link', 'a']]), headers(1, [[':status', '100']]), headers(1, [...OK, ['x', 'y']]), data(1, 'hello'), headers(1, [['grpc-status', '0']], { end: true }));
    assert.deepEqual(lane.heard(), ['interim 1001 :status=103 link=a', 'interim 1001 :status=100', 'reply 1001 :status=200 x=y', 'data 1001 "hello"', 'trailers 1001 grpc-status=0']);
    assert.equal(lane.codec.eof(lane.sink), true);
  });

  test('that come before their request is complete leave its stream open for it', () => {
    const lane = asking(1, POST, false);
    lane.feed(headers(1, OK), data(1, 'early', { end: true }));
    assert.deepEqual(lane.heard(), ['reply 1001 :status=200', 'data 1001 "early" last']);
    lane.codec.encodeData(lane.out, 1001, Buffer.from('rest'), 0, 4, true);
    assert.deepEqual(lane.sent(), ['DATA 1 4 end']);
  });

  test('to HEAD, 204 and 304 have no content, whatever their length says', () => {
    for (const [fields, status] of [[[[':method', 'HEAD'], ...GET.slice(1)], '200'], [GET, '304']] as const) {
      const lane = asking(3, fields as readonly Field[]);
      const reply = [[':status', status], ['content-length', '10']] as const;
      lane.feed(headers(1, reply, { end: true }), headers(3, reply), data(3, '', { end: true }), headers(5, reply), data(5, 'HTTP/1.1 200'));
      assert.deepEqual(lane.heard(), [
        `reply 1001 last :status=${status} content-length=10`, `reply 1002 :status=${status} content-length=10`, 'data 1002 "" last',
        `reply 1003 :status=${status} content-length=10`, 'reset 1003 bad-reply',
      ]);
      assert.deepEqual(lane.sent(), ['RST_STREAM 5 PROTOCOL_ERROR']);
    }
  });

  test('a HEAD reply may have trailers', () => {
    const lane = asking(1, [[':method', 'HEAD'], ...GET.slice(1)]);
    lane.feed(headers(1, [...OK, ['content-length', '10']]), headers(1, [['x', 'y']], { end: true }));
    assert.deepEqual(lane.heard().slice(1), ['trailers 1001 x=y']);
  });

  const malformed: readonly (readonly [what: string, ...frames: Buffer[]])[] = [
    ['without :status', headers(1, [['x', 'y']], { end: true })],
    ['with a :status that is none', headers(1, [[':status', '20x']], { end: true })],
    ['that switches protocols', headers(1, [[':status', '101']])],
    ['with :path', headers(1, [...OK, [':path', '/']], { end: true })],
    ['with connection', headers(1, [...OK, ['connection', 'close']], { end: true })],
    ['interim and the end', headers(1, [[':status', '100']], { end: true })],
    ['content before a head', data(1, 'x')],
    ['content behind an interim reply', headers(1, [[':status', '100']]), data(1, 'x')],
    ['a second final head', headers(1, OK), headers(1, OK)],
    ['trailers with :status', headers(1, OK), headers(1, OK, { end: true })],
    ['too much content', headers(1, [...OK, ['content-length', '1']]), data(1, 'xy')],
    ['too little content', headers(1, [...OK, ['content-length', '3']]), data(1, 'xy', { end: true })],
    ['too little content, and trailers', headers(1, [...OK, ['content-length', '3']]), data(1, 'xy'), headers(1, [['x', 'y']], { end: true })],
    ['a length and no content', headers(1, [...OK, ['content-length', '3']], { end: true })],
  ];
  for (const [what, ...frames] of malformed) {
    test(`malformed: ${what}`, () => {
      const lane = asking(2).feed(...frames, headers(3, OK, { end: true }));
      const heard = lane.heard().filter((line) => !/^interim|^data|^reply 1001/.test(line));
      assert.deepEqual(heard, ['reset 1001 bad-reply', 'reply 1002 last :status=200']);
      assert.deepEqual(lane.sent(), ['RST_STREAM 1 PROTOCOL_ERROR']);
    });
  }

  test('a head over the limit is given up', () => {
    const lane = asking(1).feed(headers(1, [...OK, ...Array.from({ length: 10 }, (_, i) => [`x${i}`, 'v'.repeat(7000)] as const)], { cut: [16_000, 16_000, 16_000, 16_000] }));
    assert.deepEqual(lane.heard(), ['reset 1001 reply-too-large']);
    assert.deepEqual(lane.sent(), ['RST_STREAM 1 CANCEL']);
  });

  test('late ones, of streams that were given up, are passed over', () => {
    const lane = asking(2);
    lane.codec.encodeReset(lane.out, 1001, 'request-timeout');
    assert.deepEqual(lane.sent(), ['RST_STREAM 1 CANCEL']);
    lane.feed(headers(1, OK), data(1, 'late', { end: true }), headers(3, OK, { end: true }));
    assert.deepEqual(lane.heard(), ['reply 1002 last :status=200']);
    assert.equal(lane.codec.mustClose, false);
  });
});

describe('resets by the host', () => {
  test('each code ends the one exchange; only a refused one is told apart', () => {
    for (let code = 0; code <= 14; code++) {
      const lane = asking(2).feed(reset(1, code), headers(3, OK, { end: true }));
      assert.deepEqual(lane.heard(), [`reset 1001 ${code === 7 ? 'stream-refused' : 'stream-reset'}`, 'reply 1002 last :status=200'], errorName(code));
    }
  });

  test('NO_ERROR behind a complete reply is none', () => {
    const lane = asking(1, POST, false).feed(headers(1, OK, { end: true }), reset(1, 0));
    assert.deepEqual(lane.heard(), ['reply 1001 last :status=200']);
    lane.codec.encodeData(lane.out, 1001, Buffer.from('x'), 0, 1, true);
    assert.deepEqual(lane.sent(), [], 'the rest of the request is dropped');
  });

  test('NO_ERROR in place of END_STREAM ends content that is all there', () => {
    const lane = asking(1).feed(headers(1, [...OK, ['content-length', '2']]), data(1, 'ok'), reset(1, 0));
    assert.deepEqual(lane.heard(), ['reply 1001 :status=200 content-length=2', 'data 1001 "ok" last']);
    const cut = asking(1).feed(headers(1, [...OK, ['content-length', '3']]), data(1, 'ok'), reset(1, 0));
    assert.deepEqual(cut.heard().slice(2), ['reset 1001 stream-reset']);
  });
});

describe('the connection', () => {
  test('go-away: what is above the last stream is asked elsewhere, the rest goes on', () => {
    const lane = asking(3).feed(goAway(3));
    assert.deepEqual(lane.heard(), ['goaway', 'reset 1003 host-goaway']);
    assert.equal(lane.codec.mustClose, true);
    lane.feed(headers(1, OK, { end: true }), goAway(1), headers(3, OK, { end: true }));
    assert.deepEqual(lane.heard().slice(0, 3), ['reply 1001 last :status=200', 'goaway', 'reset 1002 host-goaway']);
  });

  test('the first announcement of a go-away names no stream that would have to be repeated', () => {
    const lane = asking(2).feed(goAway(0x7fffffff));
    assert.deepEqual(lane.heard(), ['goaway']);
  });

  test('the limit of streams follows SETTINGS; without one there is none', () => {
    const lane = client();
    assert.ok(lane.codec.capacity > 1000);
    const small = client([[3, 10]]);
    assert.equal(small.codec.capacity, 10);
    small.heard();
    small.feed(settings([3, 5]));
    assert.deepEqual([small.codec.capacity, small.heard()], [5, ['capacity']]);
    small.feed(settings([3, 0]));
    assert.equal(small.codec.capacity, 0);
    small.heard();
    small.feed(settings([3, 7]));
    assert.deepEqual([small.codec.capacity, small.heard()], [7, ['capacity']]);
  });

  test('ids are used up once, and then the connection is', () => {
    const { codec, out, ...lane } = client();
    codec.nextStream = 0x7ffffffd;
    codec.encodeRequest(out, head(GET), 1, true);
    assert.equal(codec.mustClose, true);
    assert.deepEqual(lane.peer.push(out.take()).lines.at(-1), 'HEADERS 2147483645 end :method=GET :scheme=http :path=/ :authority=h');
  });

  test('a ping is answered with what it held; ours come back with their number', () => {
    const lane = asking(0).feed(ping('abcdefgh'));
    assert.deepEqual(lane.sent(), ['PING ack abcdefgh']);
    lane.codec.encodePing(lane.out, 77);
    const sent = lane.out.take();
    lane.feed(frame(6, 1, 0, sent.subarray(9)));
    assert.deepEqual(lane.heard(), ['pong 77']);
  });

  const fatal: readonly (readonly [what: string, error: string, ...frames: Buffer[]])[] = [
    ['a pushed stream', 'PROTOCOL_ERROR', frame(5, 4, 1, Buffer.from([0, 0, 0, 2]))],
    ['a reply on a stream of nobody', 'PROTOCOL_ERROR', headers(9, OK)],
    ['a reply on an even stream', 'PROTOCOL_ERROR', headers(2, OK)],
    ['ENABLE_PUSH from a server', 'PROTOCOL_ERROR', settings([2, 1])],
    ['a bad header block', 'COMPRESSION_ERROR', headers(1, Buffer.from([0x80]))],
    ['a frame that is too long', 'FRAME_SIZE_ERROR', frame(0, 0, 1, Buffer.alloc(16_385))],
  ];
  for (const [what, error, ...frames] of fatal) {
    test(`ends by ${what}`, () => {
      const lane = asking(1).feed(...frames);
      assert.deepEqual(lane.sent(), [`GOAWAY 0 ${error}`]);
      assert.match(lane.heard()[0]!, /^error -1 /);
      lane.feed(headers(1, OK, { end: true }));
      assert.deepEqual(lane.heard(), [], 'nothing is read any more');
      assert.equal(lane.codec.mustClose, true);
    });
  }

  test('a host that begins with anything but SETTINGS does not speak HTTP/2', () => {
    for (const bytes of [Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'), ping(), frame(4, 1, 0), goAway(0)]) {
      const lane = new Lane(new Http2ClientCodec(limits()));
      lane.codec.encodeRequest(lane.out, head(GET), 1, true);
      lane.feed(bytes);
      assert.match(lane.heard().at(-1)!, /^error -1 bad-frame the first frame is not SETTINGS/);
    }
  });
});

// What the server role reads: frames split anywhere and many at once, padding, priority, heads in pieces, trailers, cookies, lengths.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { frame, get, GET, headers, hello, data, ping, POST, post, priority, reset, settingsAck, windowUpdate } from '../../../support/http2.js';
import { client, decodeCut, server } from './recorder.js';

const stream = Buffer.concat([
  hello([3, 100], [4, 70_000]),
  settingsAck,
  get(1, ['a', 'b']),
  headers(3, [...POST, ['content-length', '11'], ['x', 'y'.repeat(300)]], { pad: 7, on: 1, cut: [5, 0, 90] }),
  priority(9, 3),
  data(3, 'hello ', { pad: 20 }),
  ping(),
  frame(0xfa, 0xff, 77, 'unknown'),
  get(5),
  data(3, '', {}),
  data(3, 'world', { pad: 0 }),
  windowUpdate(0, 1000),
  windowUpdate(3, 1000),
  headers(3, [['x-sum', '42']], { end: true }),
  post(7),
  data(7, 'only part'),
  reset(7, 8),
  post(9),
  data(9, '', { end: true }),
]);

const expected = [
  'request 1 last :method=GET :scheme=http :authority=h :path=/ a=b',
  `request 3 :method=POST :scheme=http :authority=h :path=/ content-length=11 x=${'y'.repeat(300)}`,
  'data 3 "hello "',
  'request 5 last :method=GET :scheme=http :authority=h :path=/',
  'data 3 "world"',
  'trailers 3 x-sum=42',
  'request 7 :method=POST :scheme=http :authority=h :path=/',
  'data 7 "only part"',
  'reset 7 downstream-reset',
  'request 9 :method=POST :scheme=http :authority=h :path=/',
  'data 9 "" last',
];

describe('splits', () => {
  test('all in one read', () => {
    const lane = decodeCut(stream, []);
    assert.deepEqual(lane.sink.lines, expected);
    assert.deepEqual(lane.peer.push(lane.out.take()).lines, ['SETTINGS 4=262143 6=65536 3=128 8=1', 'WINDOW_UPDATE 0 16711681', 'SETTINGS ack', 'PING ack 12345678']);
    assert.equal(lane.codec.want, 0);
    assert.equal(lane.codec.eof(lane.sink), false, 'requests wait for replies');
  });

  test('cut at every byte, and byte by byte', () => {
    for (let cut = 1; cut < stream.length; cut++) assert.deepEqual(decodeCut(stream, [cut]).sink.lines, expected, `cut at ${cut}`);
    assert.deepEqual(decodeCut(stream, Array.from({ length: stream.length }, (_, i) => i)).sink.lines, expected);
  });

  test('a hundred requests in one packet, each with its own head', () => {
    const many = Buffer.concat([hello(), ...Array.from({ length: 100 }, (_, i) => get(2 * i + 1, ['n', String(i)]))]);
    const { sink } = decodeCut(many, []);
    assert.equal(sink.lines.length, 100);
    sink.lines.forEach((line, i) => assert.match(line, new RegExp(`^request ${2 * i + 1} last .* n=${i}$`)));
    sink.heads.forEach((head, i) => assert.equal(head.end, get(2 * i + 1, ['n', String(i)]).length, 'the size of its frame'));
  });

  test('content of two streams in any mix stays apart', () => {
    const lane = server(Buffer.concat([hello(), post(1), post(3)]));
    lane.heard();
    lane.feed(data(1, 'a'), data(3, 'b'), data(1, 'c', { end: true }), data(3, 'd', { end: true }));
    assert.deepEqual(lane.heard(), ['data 1 "a"', 'data 3 "b"', 'data 1 "c" last', 'data 3 "d" last']);
  });
});

describe('heads', () => {
  const one = (...fields: readonly (readonly [string, string])[]): string[] => server(Buffer.concat([hello(), headers(1, fields, { end: true })])).heard();

  test('cookie fields are joined where the first was', () => {
    assert.deepEqual(one(...GET, ['cookie', 'a=1'], ['x', '1'], ['cookie', 'b=2'], ['cookie', 'c=3']), ['request 1 last :method=GET :scheme=http :authority=h :path=/ cookie=a=1; b=2; c=3 x=1']);
  });

  test('bytes above 127 stay what they are', () => {
    const { heads } = server(Buffer.concat([hello(), headers(1, [...GET, ['x', '\u00e4\u00ff\u00c3']], { end: true })])).sink;
    const host = client();
    host.codec.encodeRequest(host.out, heads[0]!, 1, true);
    const sent = host.out.take();
    assert.ok(sent.includes(Buffer.from([0xe4, 0xff, 0xc3])), 'neither decoded nor encoded as UTF-8');
  });

  test('host stands in for a missing :authority, and may repeat it', () => {
    assert.deepEqual(one([':method', 'GET'], [':scheme', 'http'], [':path', '/'], ['host', 'a.b:80']), ['request 1 last :method=GET :scheme=http :authority=a.b:80 :path=/']);
    assert.match(one(...GET, ['host', 'H'])[0]!, /^request/);
  });

  test('CONNECT has an authority only; OPTIONS may ask for *', () => {
    assert.match(one([':method', 'CONNECT'], [':authority', 'a:1'])[0]!, /^request 1 last :method=CONNECT :authority=a:1/);
    assert.match(one([':method', 'OPTIONS'], [':scheme', 'http'], [':path', '*'], [':authority', 'h'])[0]!, /:path=\*$/);
  });

  const malformed: readonly (readonly [what: string, detail: RegExp, ...fields: (readonly [string, string])[]])[] = [
    ['no :method', /no :method/, ...GET.slice(1)],
    ['no :path', /no :path/, GET[0]!, GET[1]!, GET[3]!],
    ['no :scheme', /no :path or :scheme/, GET[0]!, GET[2]!],
    ['an empty :path', /empty :path/, GET[0]!, GET[1]!, [':path', '']],
    ['a :path that is none', /does not begin/, GET[0]!, GET[1]!, [':path', 'a/b']],
    ['a :path with more than *', /does not begin/, GET[0]!, GET[1]!, [':path', '*x']],
    ['a blank in :path', /byte 32 in :path/, GET[0]!, GET[1]!, [':path', '/a HTTP/1.1']],
    ['a blank in :method', /byte 32 in :method/, [':method', 'GET /admin HTTP/1.1'], ...GET.slice(1)],
    ['an empty :method', /empty :method/, [':method', ''], ...GET.slice(1)],
    ['a blank in :authority', /byte 32 in the authority/, ...GET.slice(0, 3), [':authority', 'a b']],
    ['userinfo in :authority', /byte 64 in the authority/, ...GET.slice(0, 3), [':authority', 'u@h']],
    ['two :paths', /:path twice/, ...GET, [':path', '/']],
    ['an unknown pseudo-header', /:x twice, or not known/, ...GET, [':x', '1']],
    [':status in a request', /:status/, ...GET, [':status', '200']],
    ['a pseudo-header behind a field', /behind other fields/, ...GET.slice(0, 3), ['a', 'b'], GET[3]!],
    ['a capital in a name', /byte 65/, ...GET, ['A', 'b']],
    ['a blank in a name', /byte 32/, ...GET, ['a b', 'c']],
    ['an empty name', /without a name/, ...GET, ['', 'c']],
    ['a line end in a value', /byte 10/, ...GET, ['a', 'b\nc: d']],
    ['a NUL in a value', /byte 0/, ...GET, ['a', 'b\0c']],
    ['a return in a value', /byte 13/, ...GET, ['a', 'b\r']],
    ['a blank in front of a value', /blanks/, ...GET, ['a', ' b']],
    ['a tab behind a value', /blanks/, ...GET, ['a', 'b\t']],
    ['connection', /connection/, ...GET, ['connection', 'close']],
    ['keep-alive', /keep-alive/, ...GET, ['keep-alive', '5']],
    ['transfer-encoding', /transfer-encoding/, ...GET, ['transfer-encoding', 'chunked']],
    ['upgrade', /upgrade/, ...GET, ['upgrade', 'h2c']],
    ['te', /te field/, ...GET, ['te', 'gzip']],
    ['another host', /differs/, ...GET, ['host', 'i']],
    ['two hosts', /second host/, ...GET.slice(0, 3), ['host', 'h'], ['host', 'h']],
    ['a length that is none', /content-length/, ...GET, ['content-length', '1x']],
    ['two lengths', /content-length/, ...GET, ['content-length', '0'], ['content-length', '1']],
    ['a length without content', /without content/, ...GET, ['content-length', '1']],
    [':path in a CONNECT', /in a CONNECT/, [':method', 'CONNECT'], ...GET.slice(1)],
    [':protocol without CONNECT', /without CONNECT/, ...GET, [':protocol', 'websocket']],
  ];
  for (const [what, detail, ...fields] of malformed) {
    test(`malformed: ${what}`, () => {
      const lane = server(Buffer.concat([hello(), headers(1, fields, { end: true }), get(3)]));
      const [refused, next] = lane.heard();
      assert.match(refused!, /^refused 1 bad-request /);
      assert.match(refused!, detail);
      assert.match(next!, /^request 3/, 'the connection goes on');
      const sent = lane.sent();
      assert.match(sent[0]!, /^HEADERS 1 :status=400 x-sluice-reason=bad-request /);
      assert.deepEqual(sent.slice(1), ['DATA 1 2 end', 'RST_STREAM 1 PROTOCOL_ERROR']);
    });
  }
});

describe('content', () => {
  const bad = (...frames: readonly Buffer[]): { heard: string[]; sent: string[] } => {
    const lane = server(Buffer.concat([hello(), ...frames, get(9)]));
    return { heard: lane.heard(), sent: lane.sent() };
  };

  test('more or less of it than content-length says is malformed, also of HEAD', () => {
    for (const method of ['POST', 'HEAD']) {
      const head = headers(1, [[':method', method], ...POST.slice(1), ['content-length', '5']]);
      for (const rest of [[data(1, '123456')], [data(1, '1234', { end: true })], [data(1, '123', { pad: 2 }), data(1, '', { end: true })], [data(1, '1234'), headers(1, [['x', 'y']], { end: true })]]) {
        const { heard, sent } = bad(head, ...rest);
        assert.deepEqual(heard.filter((line) => !line.startsWith('data')).slice(1), ['reset 1 bad-request', 'request 9 last :method=GET :scheme=http :authority=h :path=/']);
        assert.deepEqual(sent, ['RST_STREAM 1 PROTOCOL_ERROR']);
      }
    }
  });

  test('trailers end the request; pseudo-headers and a second head are malformed', () => {
    for (const trailers of [headers(1, [[':path', '/']], { end: true }), headers(1, [['x', 'y']]), headers(1, [['Z', 'y']], { end: true })]) {
      const { heard, sent } = bad(post(1), trailers);
      assert.deepEqual(heard.slice(1, 2), ['reset 1 bad-request']);
      assert.deepEqual(sent, ['RST_STREAM 1 PROTOCOL_ERROR']);
    }
  });

  test('padding counts for windows and is granted back', () => {
    const lane = server(Buffer.concat([hello(), post(1)]), { streamWindow: 20_000 });
    for (let i = 0; i < 500; i++) lane.feed(data(1, '', { pad: 255 }));
    assert.deepEqual(lane.heard().slice(1), []);
    const granted = lane.sent().filter((line) => line.startsWith('WINDOW_UPDATE 1 ')).reduce((sum, line) => sum + Number(line.split(' ')[2]), 0);
    assert.ok(granted > 500 * 256 - 20_000 && granted <= 500 * 256, `${granted} granted`);
  });
});

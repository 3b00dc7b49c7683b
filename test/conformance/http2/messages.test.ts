// RFC 9113 sections 7 and 8 against the real program: unknown error codes, and requests that are malformed.
import assert from 'node:assert/strict';
import { before, describe, test, type TestContext } from 'node:test';
import { data, get, GET, goAway, headers, post, POST, reset, type Field } from '../../support/http2.js';
import { open, startEcho } from './peer.js';

let port = 0;
before(async (t) => {
  port = await startEcho(t as TestContext);
});

/** Malformed requests are answered with 400 where they can be, and their stream ends with PROTOCOL_ERROR (section 8.1.1). */
function malformed(name: string, ...requests: readonly (readonly Buffer[])[]): void {
  test(`${name} is malformed`, async (t) => {
    for (const frames of requests) {
      const peer = await open(t, port);
      peer.send(...frames);
      await peer.streamError(1, 'PROTOCOL_ERROR');
      assert.ok(!peer.reader.lines.some((line) => line.startsWith('HEADERS 1 :status=200')));
    }
  });
}

const request = (...fields: readonly Field[]): Buffer[] => [headers(1, fields, { end: true })];

describe('7 error codes', () => {
  test('7/1: unknown codes do nothing special', async (t) => {
    const peer = await open(t, port);
    peer.send(post(1), reset(1, 0xff), goAway(0, 0xfe));
    await peer.alive();
  });
});

describe('8.1 HTTP messages', () => {
  malformed('8.1/1: a second head without END_STREAM', [post(1), headers(1, [['x', 'y']])]);
  malformed('8.1/2: pseudo-headers in trailers', [post(1), headers(1, [[':method', 'GET']], { end: true })]);

  test('8.1/3: content and trailers make a whole message', async (t) => {
    const peer = await open(t, port);
    peer.send(post(1), data(1, 'hello'), headers(1, [['x-sum', '1']], { end: true }));
    await peer.status(1, 200);
    await peer.line(/^DATA 1 5 end$/);
  });

  test('8.1/4: a malformed request says why in its reply', async (t) => {
    const peer = await open(t, port);
    peer.send(...request(...GET.slice(1)));
    await peer.line(/^HEADERS 1 :status=400 x-sluice-reason=bad-request/);
  });
});

describe('8.1.1 malformed messages', () => {
  malformed('8.1.1/1: a content-length that differs from the content of one DATA frame', [headers(1, [...POST, ['content-length', '1']]), data(1, 'test', { end: true })]);
  malformed('8.1.1/2: a content-length that differs from the content of several', [headers(1, [...POST, ['content-length', '7']]), data(1, 'test'), data(1, 'te', { end: true })]);
  malformed('8.1.1/3: a content-length and no content', request(...GET, ['content-length', '1']));
});

describe('8.2 fields', () => {
  malformed('8.2.1/1: capitals in a name', request(...GET, ['X-Test', 'ok']));
  malformed('8.2.1/2: controls, blanks or bytes above 126 in a name', ...['a\0', 'a b', 'a\x7f', 'a\x80', 'a:b', ''].map((name) => request(...GET, [name, 'x'])));
  malformed('8.2.1/3: NUL, CR or LF in a value', ...['a\0b', 'a\rb', 'a\nb'].map((value) => request(...GET, ['x', value])));
  malformed('8.2.1/4: blanks around a value', ...[' a', 'a ', '\ta', 'a\t'].map((value) => request(...GET, ['x', value])));
  malformed('8.2.2/1: fields about a connection', ...['connection', 'proxy-connection', 'keep-alive', 'transfer-encoding', 'upgrade'].map((name) => request(...GET, [name, 'x'])));
  malformed('8.2.2/2: te other than trailers', request(...GET, ['te', 'trailers, deflate']));

  test('8.2.2/3: te: trailers is none', async (t) => {
    const peer = await open(t, port);
    peer.send(...request(...GET, ['te', 'trailers']));
    await peer.status(1, 200);
  });

  test('8.2.3/1: cookies in several fields are one', async (t) => {
    const peer = await open(t, port);
    peer.send(...request(...GET, ['cookie', 'a=1'], ['cookie', 'b=2']));
    await peer.line(/^DATA 1 \d+ end/);
    assert.match(peer.reader.content(1).toString(), /^cookie: a=1; b=2$/m);
  });
});

describe('8.3 control data', () => {
  malformed('8.3/1: an unknown pseudo-header', request(...GET, [':test', 'ok']));
  malformed('8.3/2: :status in a request', request(...GET, [':status', '200']));
  malformed('8.3/3: a pseudo-header behind a field', request(...GET.slice(0, 3), ['x', 'y'], GET[3]!));
  malformed('8.3/4: the same pseudo-header twice', ...GET.map((field) => request(...GET, field)));
  malformed('8.3.1/1: no :method, :scheme or :path', ...[0, 1, 2].map((i) => request(...GET.filter((_, k) => k !== i))));
  malformed('8.3.1/2: an empty :path', request(GET[0]!, GET[1]!, [':path', ''], GET[3]!));
  malformed('8.3.1/3: a :path that does not begin with /', request(GET[0]!, GET[1]!, [':path', 'x'], GET[3]!));
  malformed('8.3.1/4: userinfo in :authority', request(...GET.slice(0, 3), [':authority', 'user@h']));
  malformed('8.3.1/5: a host that is not :authority', request(...GET, ['host', 'other']));

  test('8.3.1/6: OPTIONS *, and a host in place of :authority', async (t) => {
    const peer = await open(t, port);
    peer.send(...request([':method', 'OPTIONS'], [':scheme', 'http'], [':path', '*'], ['host', 'h']));
    await peer.status(1, 200);
  });
});

describe('8.5 CONNECT', () => {
  malformed('8.5/1: :scheme or :path in a CONNECT', request([':method', 'CONNECT'], [':authority', 'h:1'], [':path', '/']), request([':method', 'CONNECT'], [':authority', 'h:1'], [':scheme', 'http']));
  malformed('8.5/2: a CONNECT without :authority', request([':method', 'CONNECT']));
});

describe('8.7 reliability', () => {
  test('8.7/1: many requests one after the other on one connection', async (t) => {
    const peer = await open(t, port);
    for (let i = 0; i < 50; i++) {
      peer.send(get(2 * i + 1));
      await peer.status(2 * i + 1, 200);
    }
  });
});

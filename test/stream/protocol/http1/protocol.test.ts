// HTTP/1.1 as a protocol: recognition, options, local replies, statuses, and which methods may be repeated.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BlockOutput } from '../../../../src/core/bytes.js';
import type { Head } from '../../../../src/stream/head.js';
import { manifest } from '../../../../src/stream/protocol/http1/manifest.js';
import { MATCH_MORE, MATCH_NO, MATCH_YES, type LocalReply, type Protocol } from '../../../../src/stream/protocol.js';
import { Feeder, Relay, Transcript, ok, protocol, raw } from './transcript.js';

describe('recognition by the first bytes', () => {
  const answer = (text: string): number => protocol.match(raw(`xx${text}`), 2, 2 + text.length);
  const cases: [text: string, answer: number][] = [
    ['', MATCH_MORE], ['G', MATCH_MORE], ['GET', MATCH_MORE], ['GET ', MATCH_MORE], ['GET /', MATCH_YES], ['get /x', MATCH_YES],
    ['OPTIONS *', MATCH_YES], ['GET http', MATCH_YES], ['CONNECT a', MATCH_YES], ['CONNECT  ', MATCH_NO], ['BASELINE-CONTROL /', MATCH_YES],
    ['UPDATEREDIRECTREF /', MATCH_YES], ['A'.repeat(19), MATCH_MORE], ['A'.repeat(20), MATCH_MORE], ['A'.repeat(21), MATCH_NO],
    ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', MATCH_NO], ['PRI ', MATCH_NO], ['GET key\r\n', MATCH_NO], ['*1\r\n$4\r\nPING', MATCH_NO],
    ['\x16\x03\x01', MATCH_NO], ['\x01\x01\x00', MATCH_NO], ['\xda\xbb', MATCH_NO], [' GET /', MATCH_NO], ['SSH-2.0', MATCH_MORE], ['SSH-2.0-OpenSSH_9.6p1 Debian', MATCH_NO],
  ];
  test('yes, no, or more', () => {
    for (const [text, expected] of cases) assert.equal(answer(text), expected, JSON.stringify(text));
  });

  test('needs no more than it says', () => {
    for (const [text] of cases) {
      const long = text.padEnd(protocol.matchBytes, ' ');
      assert.notEqual(answer(long), MATCH_MORE, JSON.stringify(text));
    }
  });
});

describe('the manifest', () => {
  test('has defaults for every option', () => {
    assert.equal(manifest.kind, 'protocol');
    assert.equal(manifest.name, 'http1');
    assert.deepEqual(manifest.schema.parse({}), { max_line: 8192, max_head: 65536, max_headers: 128 });
    assert.equal((manifest.create(manifest.schema.parse({})) as Protocol).pool, 'exclusive');
  });

  test('refuses what cannot work', () => {
    for (const options of [{ max_line: 10 }, { max_line: '16KiB', max_head: '8KiB' }, { max_head: '32MiB' }, { max_headers: 0 }, { max_lines: 1 }]) {
      assert.equal(manifest.schema.safeParse(options).success, false, JSON.stringify(options));
    }
  });

  test('passes its options to the codecs', () => {
    const made = manifest.create(manifest.schema.parse({ max_line: 64, max_head: '1KiB', max_headers: 2 })) as Protocol;
    const sink = new Transcript();
    new Feeder(made.codec('server'), sink).give(raw('GET / HTTP/1.1\r\nHost: a\r\nB: 1\r\nC: 1\r\n\r\n'));
    assert.deepEqual(sink.lines, ['error -1 head-too-large 2 headers']);
  });
});

describe('a method', () => {
  test('may be repeated when it is idempotent by definition', () => {
    const idempotent = (method: string): boolean => {
      let answer = false;
      const sink = new Transcript();
      sink.onRequest = (head: Head) => {
        answer = protocol.idempotent(head);
        assert.equal(protocol.mirror(head), -1);
      };
      new Feeder(protocol.codec('server'), sink).give(raw(`${method} / HTTP/1.1\r\nHost: a\r\n\r\n`));
      return answer;
    };
    for (const method of ['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']) assert.equal(idempotent(method), true, method);
    for (const method of ['POST', 'PATCH', 'get', 'GETX', 'PROPFIND']) assert.equal(idempotent(method), false, method);
  });

  test('of a refused request gets the status of the reason table', () => {
    assert.equal(protocol.statusOf('bad-request'), 400);
    assert.equal(protocol.statusOf('head-too-large'), 431);
    assert.equal(protocol.statusOf('unsupported-transfer-coding'), 501);
  });
});

describe('a local reply', () => {
  const answer = (request: string, reply: Partial<LocalReply>): { readonly bytes: string; readonly close: boolean } => {
    const relay = new Relay();
    relay.request(request);
    relay.server.encodeLocalReply(relay.toClient, 0, { ...ok, ...reply });
    return { bytes: relay.toClient.take().toString('latin1'), close: relay.server.mustClose };
  };
  const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
  const lines = (...list: string[]): string => `${list.join('\r\n')}\r\n\r\n`;

  test('is plain text with its reason', () => {
    assert.deepEqual(answer(GET, { code: 'no-route', status: 404, body: 'no route matches: x \u20ac' }), {
      bytes: `${lines('HTTP/1.1 404 Not Found', 'x-sluice-reason: no-route', 'content-type: text/plain; charset=utf-8', 'content-length: 23')}no route matches: x \xe2\x82\xac`, close: false,
    });
  });

  test('may have bytes, headers and a type of its own', () => {
    assert.deepEqual(answer(GET, { body: Buffer.from([0, 255]), headers: [['Content-Type', 'application/x'], ['X-A', '1\r\nX-B: 2'], ['bad name', 'x'], ['content-length', '99'], ['connection', 'x']] }), {
      bytes: `${lines('HTTP/1.1 200 OK', 'content-type: application/x', 'x-a: 1  X-B: 2', 'content-length: 2')}\x00\xff`, close: false,
    });
  });

  test('may be empty', () => {
    assert.equal(answer(GET, { status: 301, body: '', headers: [['location', '/there']] }).bytes, lines('HTTP/1.1 301 Moved Permanently', 'location: /there', 'content-length: 0'));
    assert.equal(answer(GET, { status: 204, body: 'left out' }).bytes, lines('HTTP/1.1 204 No Content'));
    assert.match(answer(GET, { status: 0, body: 'x' }).bytes, /^HTTP\/1\.1 500 Internal Server Error\r\n/);
  });

  test('has no body to HEAD, only its length', () => {
    assert.equal(answer('HEAD / HTTP/1.1\r\nHost: a\r\n\r\n', { body: 'four' }).bytes, lines('HTTP/1.1 200 OK', 'content-type: text/plain; charset=utf-8', 'content-length: 4'));
  });

  test('larger than one reservation is complete', () => {
    const body = 'x'.repeat(200_000);
    assert.ok(answer(GET, { body }).bytes.endsWith(`content-length: 200000\r\n\r\n${body}`));
    assert.ok(answer(GET, { body: raw(body) }).bytes.endsWith(`content-length: 200000\r\n\r\n${body}`));
  });

  test('closes when told to, when the client wants it, and when the request is unfinished', () => {
    for (const [request, reply] of [
      [GET, { close: true }],
      ['GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', {}],
      ['GET / HTTP/1.0\r\n\r\n', {}],
      ['POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab', {}],
      ['CONNECT b:1 HTTP/1.1\r\nHost: b:1\r\n\r\n', {}],
    ] as const) {
      const { bytes, close } = answer(request, reply);
      assert.match(bytes, /\r\nconnection: close\r\n\r\nok$/, request);
      assert.equal(close, true, request);
    }
    const kept = answer('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n', {});
    assert.match(kept.bytes, /\r\nconnection: keep-alive\r\n\r\nok$/);
    assert.equal(kept.close, false);
  });

  test('answers a head that never became complete', () => {
    const codec = protocol.codec('server');
    const sink = new Transcript();
    const feeder = new Feeder(codec, sink);
    feeder.give(raw('GET / HTTP/1.1\r\nHos'));
    const out = new BlockOutput();
    codec.encodeLocalReply(out, 0, { ...ok, code: 'head-timeout', status: 408, body: 'slow', close: true });
    assert.match(out.take().toString(), /^HTTP\/1\.1 408 Request Timeout\r\nx-sluice-reason: head-timeout\r\n.*connection: close\r\n\r\nslow$/s);
    assert.equal(codec.mustClose, true);
    feeder.give(raw('t: a\r\n\r\n'));
    assert.deepEqual(sink.lines, []);
  });
});

// Requests as the server role decodes them: forms, bodies, pipelining, versions, and independence of how the bytes were split.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BlockOutput } from '../../../../src/core/bytes.js';
import { Feeder, Transcript, everyCut, ok, protocol, raw, requests } from './transcript.js';

const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';

/** Messages as real clients send them, each with what a sink is told. */
const captured: Record<string, { readonly bytes: string; readonly told: string[] }> = {
  'curl': {
    bytes: 'GET /get?x=1 HTTP/1.1\r\nHost: 127.0.0.1:2045\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n',
    told: ['request GET /get?x=1 127.0.0.1:2045 (-1) User-Agent: curl/8.5.0 | Accept: */*', 'body ""'],
  },
  'a form with a length': {
    bytes: 'POST /form HTTP/1.1\r\nhost: a.example\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 11\r\n\r\nname=sluice',
    told: ['request POST /form a.example (11) content-type: application/x-www-form-urlencoded | content-length: 11', 'body "name=sluice"'],
  },
  'chunks with extensions and trailers': {
    bytes: 'PUT /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n4;a=b;c="d e"\r\nWiki\r\n00A\r\npedia in c\r\n0;last\r\nX-Sum: 1\r\nX-Two: 2\r\n\r\n',
    told: ['request PUT /c a (-1) Trailer: X-Sum', 'body "Wikipedia in c" trailers X-Sum: 1 | X-Two: 2'],
  },
  'chunks of upper-case size, no trailers': {
    bytes: `POST /c HTTP/1.1\r\nHost: a\r\ntransfer-encoding: CHUNKED\r\n\r\n1F\r\n${'z'.repeat(31)}\r\n0\r\n\r\n`,
    told: ['request POST /c a (-1) ', `body "${'z'.repeat(31)}"`],
  },
  'an empty chunked body': {
    bytes: 'POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    told: ['request POST /c a (-1) ', 'body ""'],
  },
  'a length of zero': {
    bytes: 'POST /z HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n',
    told: ['request POST /z a (0) Content-Length: 0', 'body ""'],
  },
  'HTTP/1.0 without host': {
    bytes: 'GET /old HTTP/1.0\r\n\r\n',
    told: ['request GET /old - (-1) ', 'body ""'],
  },
  'absolute-form wins over host': {
    bytes: 'GET http://real.example:81/p?q=1 HTTP/1.1\r\nHost: other.example\r\n\r\n',
    told: ['request GET /p?q=1 real.example:81 (-1) ', 'body ""'],
  },
  'absolute-form without a path': {
    bytes: 'GET HTTPS://real.example HTTP/1.1\r\nHost: real.example\r\n\r\n',
    told: ['request GET / real.example (-1) ', 'body ""'],
  },
  'absolute-form with only a query': {
    bytes: 'GET http://real.example?a=b HTTP/1.1\r\nHost: real.example\r\n\r\n',
    told: ['request GET /?a=b real.example (-1) ', 'body ""'],
  },
  'options of the server': {
    bytes: 'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n',
    told: ['request OPTIONS * a (-1) ', 'body ""'],
  },
  'a blank line before the request, odd but allowed bytes': {
    bytes: '\r\nbrew-it_now /caf\xe9|{x} HTTP/1.1\r\nHost:a\r\nX-Empty:\r\nX-Blank: \t \r\nX-Obs: caf\xe9\r\nX-Tab: a\tb  \r\n\r\n',
    told: ['request brew-it_now /caf\ufffd|{x} a (-1) X-Empty:  | X-Blank:  | X-Obs: caf\ufffd | X-Tab: a\tb', 'body ""'],
  },
  'hop-by-hop headers and those that connection names': {
    bytes:
      'GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Hop ,close\r\nX-Hop: 1\r\nx-hop: 2\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: gzip\r\nUpgrade: websocket\r\nX-Stay: 3\r\n\r\n',
    told: ['request GET / a (-1) X-Stay: 3', 'body ""'],
  },
  'a later minor version': {
    bytes: 'GET / HTTP/1.7\r\nHost: a\r\n\r\n',
    told: ['request GET / a (-1) ', 'body ""'],
  },
};

describe('a request', () => {
  for (const [name, { bytes, told }] of Object.entries(captured)) {
    test(`${name}: decoded, whole or split anywhere`, () => {
      assert.deepEqual(requests(bytes).lines, told);
      for (const cuts of everyCut(bytes.length)) assert.deepEqual(requests(bytes, cuts).lines, told, `cut at ${cuts.join()}`);
    });
  }

  test('many in one packet come one at a time, each after the reply to the one before', () => {
    const all = captured['curl']!.bytes + captured['chunks with extensions and trailers']!.bytes + captured['a form with a length']!.bytes + get;
    const told = [
      ...captured['curl']!.told, ...captured['chunks with extensions and trailers']!.told, ...captured['a form with a length']!.told,
      'request GET / a (-1) ', 'body ""',
    ];
    assert.deepEqual(requests(all).lines, told);
    for (const cuts of everyCut(all.length)) assert.deepEqual(requests(all, cuts).lines, told, `cut at ${cuts.join()}`);
  });

  test('is not decoded before the reply to the one before is complete', () => {
    const codec = protocol.codec('server');
    const sink = new Transcript();
    const feeder = new Feeder(codec, sink);
    feeder.give(raw(get + get));
    assert.equal(sink.ends, 1);
    assert.equal(codec.blocked, true);
    assert.equal(feeder.left, get);
    feeder.give(raw(get));
    assert.equal(sink.ends, 1);
    assert.equal(feeder.left, get + get);
    const out = new BlockOutput();
    codec.encodeLocalReply(out, 0, ok);
    assert.equal(codec.blocked, false);
    assert.equal(codec.mustClose, false);
    feeder.deliver();
    assert.equal(sink.ends, 2);
    assert.equal(feeder.left, get);
  });

  test('answered from within the sink lets the next one be decoded in the same call', () => {
    const codec = protocol.codec('server');
    const out = new BlockOutput();
    const sink = new Transcript();
    const begin = sink.onRequest.bind(sink);
    sink.onRequest = (head, last) => {
      begin(head, last);
      codec.encodeLocalReply(out, 0, ok);
    };
    const bytes = raw(get + get + get);
    assert.equal(codec.decode(bytes, 0, bytes.length, sink), bytes.length);
    assert.equal(sink.ends, 3);
    assert.equal(out.take().toString().split('HTTP/1.1 200 OK').length - 1, 3);
  });

  test('body pieces go on as they come', () => {
    const codec = protocol.codec('server');
    const sink = new Transcript();
    const feeder = new Feeder(codec, sink);
    feeder.give(raw('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n'));
    assert.equal(sink.unfinished, '');
    feeder.give(raw('abc'));
    assert.equal(sink.unfinished, 'abc');
    feeder.give(raw('defg'));
    assert.equal(sink.unfinished, 'abcdefg');
    feeder.give(raw('hij'));
    assert.deepEqual(sink.lines.at(-1), 'body "abcdefghij"');
    assert.equal(codec.want, 0);
  });

  test('content that came with its head is handed over with it, up to a size', () => {
    for (const [size, whole] of [[1, true], [32 * 1024, true], [32 * 1024 + 1, false]] as const) {
      let seen: boolean | null = null;
      const codec = protocol.codec('server');
      const sink = new Transcript();
      const begin = sink.onRequest.bind(sink);
      sink.onRequest = (head, last) => {
        seen = head.whole;
        begin(head, last);
      };
      const bytes = raw(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n${'b'.repeat(size)}`);
      assert.equal(codec.decode(bytes, 0, bytes.length, sink), bytes.length);
      assert.equal(seen, whole);
      assert.equal(sink.lines.at(-1), `body "${'b'.repeat(size)}"`);
    }
  });

  test('a slow-dripped head of 60 KiB costs about as much as its bytes, not their square', () => {
    const head = raw(`GET / HTTP/1.1\r\nHost: a\r\nX: ${'v'.repeat(60_000)}\r\n\r\n`);
    const codec = protocol.codec('server');
    const sink = new Transcript();
    // Counts the bytes that the scanner looks at.
    let reads = 0;
    const counting = new Proxy(head, {
      get(target, key) {
        if (typeof key === 'string' && /^\d+$/.test(key)) reads++;
        const value = Reflect.get(target, key, target) as unknown;
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    for (let i = 1; i < head.length; i++) assert.equal(codec.decode(counting, 0, i, sink), 0);
    assert.equal(codec.decode(counting, 0, head.length, sink), head.length);
    assert.equal(sink.ends, 1);
    assert.ok(reads < 2 * head.length, `${reads} reads of ${head.length} bytes`);
  });
});

describe('the end of the client\'s side', () => {
  const eof = (bytes: string): { readonly clean: boolean; readonly lines: string[]; readonly mustClose: boolean } => {
    const codec = protocol.codec('server');
    const sink = new Transcript();
    const feeder = new Feeder(codec, sink);
    feeder.give(raw(bytes));
    const clean = codec.eof(sink);
    return { clean, lines: sink.lines, mustClose: codec.mustClose };
  };

  test('between messages is no error', () => {
    assert.deepEqual(eof(''), { clean: true, lines: [], mustClose: true });
  });

  test('after a whole request still lets it be answered', () => {
    const codec = protocol.codec('server');
    const sink = new Transcript();
    new Feeder(codec, sink).give(raw(get));
    assert.equal(codec.eof(sink), true);
    const out = new BlockOutput();
    codec.encodeLocalReply(out, 0, ok);
    assert.match(out.take().toString(), /connection: close/);
    assert.equal(codec.mustClose, true);
  });

  test('within a head or a body is reported', () => {
    assert.deepEqual(eof('GET / HT'), { clean: false, lines: ['error -1 downstream-closed '], mustClose: true });
    for (const body of ['Content-Length: 5\r\n\r\nab', 'Transfer-Encoding: chunked\r\n\r\n5\r\nab']) {
      const { clean, lines } = eof(`POST / HTTP/1.1\r\nHost: a\r\n${body}`);
      assert.equal(clean, false);
      assert.deepEqual(lines.slice(1), ['partly "ab"', 'error 0 downstream-closed ']);
    }
    assert.equal(eof('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: 1\r').clean, false);
  });
});

// Replies as the client role decodes them: framing by the request, interim replies, ends, and hosts that say too much.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BlockOutput } from '../../../../src/core/bytes.js';
import { Http1 } from '../../../../src/stream/protocol/http1/protocol.js';
import type { Codec } from '../../../../src/stream/protocol.js';
import { Feeder, Relay, Transcript, everyCut, feedCut, limits, protocol, raw } from './transcript.js';

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';

/** A client codec that has sent this request. */
function sent(request: string, codec: Codec = protocol.codec('client')): Codec {
  const relay = new Relay(protocol.codec('server'), codec);
  relay.request(request);
  assert.deepEqual(relay.errors, []);
  return codec;
}

interface Outcome {
  readonly lines: string[];
  readonly mustClose: boolean;
  readonly tunnel: boolean;
}

function reply(request: string, bytes: string, cuts: readonly number[] = [], end = false, made: Http1 = protocol): Outcome {
  const codec = sent(request, made.codec('client'));
  const sink = new Transcript();
  const feeder = new Feeder(codec, sink);
  feedCut(feeder, raw(bytes), cuts);
  if (end) codec.eof(sink);
  if (sink.unfinished !== null) sink.lines.push(`unfinished "${sink.unfinished}"`);
  return { lines: sink.lines, mustClose: codec.mustClose, tunnel: codec.tunnel };
}

const captured: Record<string, { readonly request?: string; readonly bytes: string; readonly end?: boolean; readonly told: string[]; readonly mustClose?: boolean }> = {
  'a length': {
    bytes: 'HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello',
    told: ['reply 200 (5) Server: nginx | Content-Length: 5', 'body "hello"'],
  },
  'chunks and trailers': {
    bytes: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;x\r\n!\r\n0\r\nGrpc-Status: 0\r\nContent-Length: 9\r\n\r\n',
    told: ['reply 200 (-1) ', 'body "hello!" trailers Grpc-Status: 0'],
  },
  'chunks': {
    bytes: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
    told: ['reply 200 (-1) ', 'body "hello"'],
  },
  'until the end': {
    bytes: 'HTTP/1.1 200 OK\r\nX: 1\r\n\r\nall there is', end: true,
    told: ['reply 200 (-1) X: 1', 'body "all there is"'], mustClose: true,
  },
  'nothing until the end': {
    bytes: 'HTTP/1.1 200 OK\r\n\r\n', end: true,
    told: ['reply 200 (-1) ', 'body ""'], mustClose: true,
  },
  'close': {
    bytes: 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n',
    told: ['reply 200 (0) Content-Length: 0', 'body ""'], mustClose: true,
  },
  'HTTP/1.0': {
    bytes: 'HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok',
    told: ['reply 200 (2) Content-Length: 2', 'body "ok"'], mustClose: true,
  },
  'HTTP/1.0 that keeps the connection': {
    bytes: 'HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: Keep-Alive\r\n\r\nok',
    told: ['reply 200 (2) Content-Length: 2', 'body "ok"'],
  },
  'no content': { bytes: 'HTTP/1.1 204 No Content\r\n\r\n', told: ['reply 204 (-1) ', 'body ""'] },
  'not modified, with the length it would have': {
    bytes: 'HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n',
    told: ['reply 304 (500) Content-Length: 500', 'body ""'],
  },
  'to HEAD': {
    request: 'HEAD / HTTP/1.1\r\nHost: a\r\n\r\n', bytes: 'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n',
    told: ['reply 200 (500) Content-Length: 500', 'body ""'],
  },
  'to HEAD, chunked': {
    request: 'HEAD / HTTP/1.1\r\nHost: a\r\n\r\n', bytes: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
    told: ['reply 200 (-1) ', 'body ""'],
  },
  'interim replies': {
    bytes: 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n.',
    told: ['interim 100 (-1) ', 'interim 103 (-1) Link: </a>', 'reply 200 (1) Content-Length: 1', 'body "."'],
  },
  'no reason phrase, nor its space': {
    bytes: 'HTTP/1.1 500\r\nContent-Length: 0\r\n\r\n', told: ['reply 500 (0) Content-Length: 0', 'body ""'],
  },
  'an odd status and reason': {
    bytes: 'HTTP/1.1 799 caf\xe9\tau lait \r\nContent-Length: 0\r\n\r\n', told: ['reply 799 (0) Content-Length: 0', 'body ""'],
  },
  'hop-by-hop headers': {
    bytes: 'HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n',
    told: ['reply 200 (0) Content-Length: 0', 'body ""'],
  },
};

describe('a reply', () => {
  for (const [name, { request = GET, bytes, end = false, told, mustClose = false }] of Object.entries(captured)) {
    test(`${name}: decoded, whole or split anywhere`, () => {
      const outcome = reply(request, bytes, [], end);
      assert.deepEqual(outcome, { lines: told, mustClose, tunnel: false });
      for (const cuts of everyCut(bytes.length)) assert.deepEqual(reply(request, bytes, cuts, end), outcome, `cut at ${cuts.join()}`);
    });
  }

  test('to an upgrade switches to raw bytes', () => {
    const request = 'GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
    const bytes = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x02hi';
    const told = { lines: ['reply 101 (-1) Upgrade: websocket', 'unfinished "\x81\x02hi"'], mustClose: true, tunnel: true };
    assert.deepEqual(reply(request, bytes), told);
    for (const cuts of everyCut(bytes.length)) assert.deepEqual(reply(request, bytes, cuts), told, `cut at ${cuts.join()}`);
    assert.deepEqual(reply(request, bytes, [], true).lines.at(-1), 'body "\x81\x02hi"');
  });

  test('to an upgrade that the host refuses is an ordinary one', () => {
    const request = 'GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
    assert.deepEqual(reply(request, 'HTTP/1.1 426 Upgrade Required\r\nConnection: upgrade\r\nUpgrade: foo\r\nContent-Length: 2\r\n\r\nno'), {
      lines: ['reply 426 (2) Upgrade: foo | Content-Length: 2', 'body "no"'], mustClose: false, tunnel: false,
    });
  });

  test('to CONNECT is a tunnel when well, and its lengths mean nothing', () => {
    const request = 'CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n';
    assert.deepEqual(reply(request, 'HTTP/1.1 200 Established\r\nContent-Length: 3\r\n\r\nabcdef'), {
      lines: ['reply 200 (-1) ', 'unfinished "abcdef"'], mustClose: true, tunnel: true,
    });
    assert.deepEqual(reply(request, 'HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno'), {
      lines: ['reply 403 (2) Content-Length: 2', 'body "no"'], mustClose: false, tunnel: false,
    });
  });
});

describe('a host that breaks the rules is refused', () => {
  const bad: [name: string, bytes: string, detail: string][] = [
    ['length and chunked', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 'both content-length and transfer-encoding'],
    ['differing lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd', 'content-length is repeated'],
    ['a length that is none', 'HTTP/1.1 200 OK\r\nContent-Length: 3x\r\n\r\nabc', 'content-length is not a number'],
    ['another coding', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n', 'transfer-encoding: gzip, chunked'],
    ['chunked in HTTP/1.0', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 'transfer-encoding in an HTTP/1.0 message'],
    ['a bare LF', 'HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n', 'a bare LF in the reason of the status line'],
    ['a folded header', 'HTTP/1.1 200 OK\r\nX: 1\r\n 2\r\n\r\n', 'a folded header line (obs-fold)'],
    ['a space before the colon', 'HTTP/1.1 200 OK\r\nX : 1\r\n\r\n', 'blanks before the colon of header X'],
    ['another protocol', 'SSH-2.0-OpenSSH_9\r\n', '"S" where "HTTP/1.1" should begin the status line'],
    ['an HTTP/2 host', 'HTTP/2.0 200 OK\r\n\r\n', '"2" where "HTTP/1.1" should begin the status line'],
    ['a blank line first', '\r\nHTTP/1.1 200 OK\r\n\r\n', 'a CR where "HTTP/1.1" should begin the status line'],
    ['no version digit', 'HTTP/1.x 200 OK\r\n\r\n', '"x" in the version of the status line'],
    ['a short status', 'HTTP/1.1 20 OK\r\n\r\n', 'a space in the status code'],
    ['a long status', 'HTTP/1.1 2000 OK\r\n\r\n', '"0" after the status code'],
    ['a status below 100', 'HTTP/1.1 099 OK\r\n\r\n', '"0" in the status code'],
    ['two spaces', 'HTTP/1.1  200 OK\r\n\r\n', 'a space in the status code'],
    ['a control character in the reason', 'HTTP/1.1 200 O\x07K\r\n\r\n', 'byte 0x07 in the reason of the status line'],
    ['a switch that was not asked for', 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n', 'a switch to a protocol that the request did not ask for'],
  ];
  for (const [name, bytes, detail] of bad) {
    test(name, () => {
      const outcome = reply(GET, bytes);
      assert.deepEqual(outcome, { lines: [`error 0 bad-reply ${detail}`], mustClose: true, tunnel: false });
      for (const cuts of everyCut(bytes.length)) assert.deepEqual(reply(GET, bytes, cuts), outcome, `cut at ${cuts.join()}`);
    });
  }

  test('a bad chunk within the body', () => {
    const { lines } = reply(GET, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\nzz');
    assert.deepEqual(lines.slice(1), ['partly "ab"', 'error 0 bad-reply "z" where a chunk size should begin']);
  });

  test('heads over a limit have a code of their own', () => {
    const small = new Http1({ ...limits, maxLine: 64, maxHead: 128 });
    assert.deepEqual(reply(GET, `HTTP/1.1 200 ${'r'.repeat(100)}\r\n\r\n`, [], false, small).lines, ['error 0 reply-too-large 64']);
    assert.deepEqual(reply(GET, `HTTP/1.1 200 OK\r\nX: ${'r'.repeat(200)}\r\n\r\n`, [], false, small).lines, ['error 0 reply-too-large 128 bytes']);
  });

  test('a switch before the request has ended', () => {
    const request = 'POST /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\nab';
    const { lines } = reply(request, 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n');
    assert.deepEqual(lines, ['error 0 bad-reply a switch to a protocol that the request did not ask for']);
  });
});

describe('bytes that answer no request', () => {
  test('on a fresh connection', () => {
    const codec = protocol.codec('client');
    const sink = new Transcript();
    new Feeder(codec, sink).give(raw('HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n'));
    assert.deepEqual(sink.lines, ['error -1 bad-reply bytes came that answer no request']);
    assert.equal(codec.mustClose, true);
  });

  test('behind a reply make the connection unfit before the reply\'s end is told', () => {
    const replies = [
      'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok', 'HTTP/1.1 204 No Content\r\n\r\n', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: 1\r\n\r\n',
    ];
    for (const [first, apart] of replies.flatMap((text) => [[text, false], [text, true]] as const)) {
      const codec = sent(GET);
      const sink = new Transcript();
      const fit: boolean[] = [];
      for (const event of ['onReply', 'onData', 'onTrailers'] as const) {
        const told = sink[event].bind(sink) as (...args: unknown[]) => void;
        (sink as unknown as Record<string, unknown>)[event] = (...args: unknown[]) => {
          told(...args);
          if (sink.ends > 0) fit.push(!codec.mustClose);
        };
      }
      const feeder = new Feeder(codec, sink);
      const cut = first.indexOf('\r\n\r\n') + 4;
      if (apart && cut < first.length) {
        feeder.give(raw(first.slice(0, cut)));
        feeder.give(raw(`${first.slice(cut)}HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nevil!`));
      } else {
        feeder.give(raw(`${first}HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nevil!`));
      }
      assert.deepEqual(fit, [false], first);
      assert.equal(sink.ends, 1);
      assert.equal(sink.lines.at(-1), 'error -1 bad-reply bytes came that answer no request');
    }
  });

  test('after a reply, in a later read', () => {
    const codec = sent(GET);
    const sink = new Transcript();
    const feeder = new Feeder(codec, sink);
    feeder.give(raw('HTTP/1.1 204 No Content\r\n\r\n'));
    assert.equal(codec.mustClose, false);
    feeder.give(raw('x'));
    assert.equal(codec.mustClose, true);
    assert.equal(sink.lines.at(-1), 'error -1 bad-reply bytes came that answer no request');
  });
});

describe('the end of the host\'s side', () => {
  const end = (request: string | null, bytes: string): { clean: boolean; lines: string[]; mustClose: boolean } => {
    const codec = request === null ? protocol.codec('client') : sent(request);
    const sink = new Transcript();
    new Feeder(codec, sink).give(raw(bytes));
    const clean = codec.eof(sink);
    return { clean, lines: sink.lines, mustClose: codec.mustClose };
  };

  test('while idle', () => {
    assert.deepEqual(end(null, ''), { clean: true, lines: [], mustClose: true });
  });

  test('before any byte of a reply reports nothing: whoever owns the connection knows more', () => {
    assert.deepEqual(end(GET, ''), { clean: false, lines: [], mustClose: true });
  });

  test('within a head, a length or chunks cuts the reply', () => {
    assert.deepEqual(end(GET, 'HTTP/1.1 200'), { clean: false, lines: ['error 0 reply-cut '], mustClose: true });
    for (const rest of ['Content-Length: 5\r\n\r\nab', 'Transfer-Encoding: chunked\r\n\r\n5\r\nab', 'Transfer-Encoding: chunked\r\n\r\n2\r\nab', 'Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n']) {
      const { clean, lines } = end(GET, `HTTP/1.1 200 OK\r\n${rest}`);
      assert.equal(clean, false);
      assert.deepEqual(lines.slice(1), ['partly "ab"', 'error 0 reply-cut ']);
    }
  });
});

describe('an upstream connection', () => {
  test('serves one exchange after another', () => {
    const relay = new Relay();
    for (let i = 0; i < 3; i++) {
      relay.request(GET);
      assert.match(relay.reply('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'), /ok$/);
      assert.equal(relay.client.mustClose, false);
      assert.equal(relay.server.mustClose, false);
    }
  });

  test('is lost when its reply ends before the request did', () => {
    const relay = new Relay();
    relay.request('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc');
    relay.reply('HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n');
    assert.equal(relay.client.mustClose, true);
    assert.equal(relay.server.mustClose, true);
  });

  test('is lost when its exchange is given up', () => {
    const codec = sent(GET);
    assert.equal(codec.encodeReset(new BlockOutput(), 0, 'downstream-closed'), false);
    codec.release(0);
    assert.equal(codec.mustClose, true);
    const sink = new Transcript();
    new Feeder(codec, sink).give(raw('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'));
    assert.deepEqual(sink.lines, []);
  });

  test('learns from a copied request what its reply will be', () => {
    const again = (request: string, last: boolean): { codec: Codec; copy: string } => {
      const relay = new Relay();
      const copy = relay.request(request);
      const codec = protocol.codec('client');
      codec.reid(raw(copy), 0, copy.length, 0, last);
      return { codec, copy };
    };
    const told = (codec: Codec, bytes: string): string[] => {
      const sink = new Transcript();
      new Feeder(codec, sink).give(raw(bytes));
      return sink.lines;
    };
    const head = again('HEAD / HTTP/1.1\r\nHost: a\r\n\r\n', true).codec;
    assert.deepEqual(told(head, 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n'), ['reply 200 (9) Content-Length: 9', 'body ""']);
    assert.equal(head.mustClose, false);
    const upgrade = again('GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n', true).codec;
    told(upgrade, 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n');
    assert.equal(upgrade.tunnel, true);
    const connect = again('CONNECT b:1 HTTP/1.1\r\nHost: b:1\r\n\r\n', true).codec;
    told(connect, 'HTTP/1.1 200 OK\r\n\r\n');
    assert.equal(connect.tunnel, true);
    const out = new BlockOutput();
    const length = again('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab', false).codec;
    length.encodeData(out, 0, raw('cdeXX'), 0, 3, true);
    assert.equal(out.take().toString(), 'cde');
    told(length, 'HTTP/1.1 204 No Content\r\n\r\n');
    assert.equal(length.mustClose, false);
    const chunks = again('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n', false).codec;
    chunks.encodeData(out, 0, raw('cde'), 0, 3, true);
    assert.equal(out.take().toString(), '3\r\ncde\r\n0\r\n\r\n');
    assert.throws(() => protocol.codec('client').reid(raw('nonsense'), 0, 8, 0, true));
  });

  test('cannot take a second request, nor make replies', () => {
    const relay = new Relay();
    relay.request(GET);
    assert.throws(() => relay.client.reid(raw(GET), 0, GET.length, 0, true), /while another one runs/);
    assert.throws(() => relay.client.encodeLocalReply(new BlockOutput(), 0, { code: 'internal', status: 500, body: '', headers: [], mirror: -1, close: false }));
    assert.throws(() => relay.client.encodeReply(new BlockOutput(), null as never, 0, true));
    assert.throws(() => relay.server.encodeRequest(new BlockOutput(), null as never, 0, true));
    assert.equal(relay.client.encodeGoAway(new BlockOutput()), false);
    assert.equal(relay.client.encodePing(new BlockOutput(), 1), false);
  });
});

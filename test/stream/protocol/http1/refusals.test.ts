// What two readers could understand differently is refused, with its code and a detail, wherever the bytes were split.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BlockOutput } from '../../../../src/core/bytes.js';
import { Http1 } from '../../../../src/stream/protocol/http1/protocol.js';
import { Feeder, Transcript, everyCut, protocol, raw, requests } from './transcript.js';

const post = 'POST / HTTP/1.1\r\nHost: a\r\n';

/** Request bytes, the code, and the detail. The error is expected of a request that was not delivered, unless `body` is set. */
const refused: [name: string, bytes: string, code: string, detail: string][] = [
  // Lengths.
  ['length and chunked', `${post}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 'ambiguous-length', 'both content-length and transfer-encoding'],
  ['chunked and length', `${post}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n`, 'ambiguous-length', 'both content-length and transfer-encoding'],
  ['differing lengths', `${post}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!`, 'ambiguous-length', 'content-length is repeated'],
  ['equal lengths', `${post}Content-Length: 5\r\ncontent-length: 5\r\n\r\nhello`, 'ambiguous-length', 'content-length is repeated'],
  ['a list of lengths', `${post}Content-Length: 5, 5\r\n\r\nhello`, 'ambiguous-length', 'content-length is not a number'],
  ['a plus sign', `${post}Content-Length: +5\r\n\r\nhello`, 'ambiguous-length', 'content-length is not a number'],
  ['a minus sign', `${post}Content-Length: -5\r\n\r\nhello`, 'ambiguous-length', 'content-length is not a number'],
  ['a hexadecimal length', `${post}Content-Length: 0x5\r\n\r\nhello`, 'ambiguous-length', 'content-length is not a number'],
  ['a fraction', `${post}Content-Length: 5.0\r\n\r\nhello`, 'ambiguous-length', 'content-length is not a number'],
  ['a length with a blank inside', `${post}Content-Length: 1 1\r\n\r\nhello`, 'ambiguous-length', 'content-length is not a number'],
  ['an empty length', `${post}Content-Length: \r\n\r\nhello`, 'ambiguous-length', 'content-length is empty'],
  ['a length over 2^53', `${post}Content-Length: 9007199254740993\r\n\r\n`, 'ambiguous-length', 'content-length is too large'],
  ['a length of many digits', `${post}Content-Length: ${'9'.repeat(400)}\r\n\r\n`, 'ambiguous-length', 'content-length is too large'],
  // Transfer codings.
  ['chunked twice', `${post}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 'ambiguous-length', 'transfer-encoding is repeated'],
  ['chunked twice in one line', `${post}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n`, 'ambiguous-length', 'transfer-encoding: chunked, chunked'],
  ['chunked not last', `${post}Transfer-Encoding: chunked, gzip\r\n\r\n`, 'ambiguous-length', 'transfer-encoding: chunked, gzip'],
  ['another coding first', `${post}Transfer-Encoding: gzip, chunked\r\n\r\n`, 'unsupported-transfer-coding', 'transfer-encoding: gzip, chunked'],
  ['identity', `${post}Transfer-Encoding: identity\r\n\r\n`, 'ambiguous-length', 'transfer-encoding: identity'],
  ['xchunked', `${post}Transfer-Encoding: xchunked\r\n\r\n`, 'ambiguous-length', 'transfer-encoding: xchunked'],
  ['chunked with a parameter', `${post}Transfer-Encoding: chunked;q=1\r\n\r\n`, 'ambiguous-length', 'transfer-encoding: chunked;q=1'],
  ['chunked in quotes', `${post}Transfer-Encoding: "chunked"\r\n\r\n`, 'ambiguous-length', 'transfer-encoding: "chunked"'],
  ['an empty coding', `${post}Transfer-Encoding:\r\n\r\n`, 'ambiguous-length', 'transfer-encoding: '],
  ['a vertical tab before chunked', `${post}Transfer-Encoding: \x0bchunked\r\n\r\n`, 'bad-request', 'byte 0x0b in the value of header Transfer-Encoding'],
  ['chunked in HTTP/1.0', 'POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 'ambiguous-length', 'transfer-encoding in an HTTP/1.0 message'],
  // Lines.
  ['a bare LF after the request line', 'GET / HTTP/1.1\nHost: a\r\n\r\n', 'bad-request', 'a bare LF after the version of the request line'],
  ['a bare CR in the request line', 'GET / HTTP/1.1\rHost: a\r\n\r\n', 'bad-request', 'a CR without LF in the request line'],
  ['a bare LF after a header', `${post}X: 1\nY: 2\r\n\r\n`, 'bad-request', 'a bare LF in the value of header X'],
  ['a bare CR in a value', `${post}X: 1\rY: 2\r\n\r\n`, 'bad-request', 'a CR without LF in the value of header X'],
  ['a NUL in a value', `${post}X: a\0b\r\n\r\n`, 'bad-request', 'a NUL in the value of header X'],
  ['a control character in a value', `${post}X: a\x01b\r\n\r\n`, 'bad-request', 'byte 0x01 in the value of header X'],
  ['a DEL in a value', `${post}X: a\x7fb\r\n\r\n`, 'bad-request', 'byte 0x7f in the value of header X'],
  ['a LF instead of the last CRLF', `${post}\n`, 'bad-request', 'a bare LF at the beginning of a header line'],
  ['a CR instead of the last CRLF', `${post}\rX`, 'bad-request', 'a CR without LF at the end of the head'],
  ['a folded line', `${post}X: 1\r\n 2\r\n\r\n`, 'bad-request', 'a folded header line (obs-fold)'],
  ['a folded line by tab', `${post}X: 1\r\n\t2\r\n\r\n`, 'bad-request', 'a folded header line (obs-fold)'],
  ['blanks before the first header', 'GET / HTTP/1.1\r\n Host: a\r\n\r\n', 'bad-request', 'blanks before the first header'],
  ['a space before the colon', `${post}Content-Length : 5\r\n\r\nhello`, 'bad-request', 'blanks before the colon of header Content-Length'],
  ['a tab before the colon', `${post}X\t: 5\r\n\r\n`, 'bad-request', 'blanks before the colon of header X'],
  ['a line without a colon', `${post}nonsense\r\n\r\n`, 'bad-request', 'header line without a colon: nonsense'],
  ['an empty name', `${post}: 1\r\n\r\n`, 'bad-request', 'a header without a name'],
  ['a bad byte in a name', `${post}X(y): 1\r\n\r\n`, 'bad-request', '"(" in a header name that begins with X'],
  ['a byte over 127 in a name', `${post}X\xe9: 1\r\n\r\n`, 'bad-request', 'byte 0xe9 in a header name that begins with X'],
  ['a NUL in a name', `${post}X\0: 1\r\n\r\n`, 'bad-request', 'a NUL in a header name that begins with X'],
  // Host.
  ['no host', 'GET / HTTP/1.1\r\nX: 1\r\n\r\n', 'bad-request', 'an HTTP/1.1 request without host'],
  ['no host in absolute-form', 'GET http://a/ HTTP/1.1\r\n\r\n', 'bad-request', 'an HTTP/1.1 request without host'],
  ['two hosts', 'GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n', 'bad-request', 'host is repeated'],
  ['two hosts in HTTP/1.0', 'GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n', 'bad-request', 'host is repeated'],
  ['a list of hosts', 'GET / HTTP/1.1\r\nHost: a,b\r\n\r\n', 'bad-request', 'the value of host is not a host and port'],
  ['a host with a blank', 'GET / HTTP/1.1\r\nHost: a b\r\n\r\n', 'bad-request', 'the value of host is not a host and port'],
  ['a host with a path', 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n', 'bad-request', 'the value of host is not a host and port'],
  ['a host with user info', 'GET / HTTP/1.1\r\nHost: me@a\r\n\r\n', 'bad-request', 'the value of host is not a host and port'],
  // Request line.
  ['two spaces before the target', 'GET  / HTTP/1.1\r\nHost: a\r\n\r\n', 'bad-request', 'a space where the request target should begin'],
  ['two spaces before the version', 'GET /  HTTP/1.1\r\nHost: a\r\n\r\n', 'bad-request', 'a space where "HTTP/1.1" should stand in the request line'],
  ['a space in the target', 'GET /a b HTTP/1.1\r\nHost: a\r\n\r\n', 'bad-request', '"b" where "HTTP/1.1" should stand in the request line'],
  ['a space after the version', 'GET / HTTP/1.1 \r\nHost: a\r\n\r\n', 'bad-request', 'a space after the version of the request line'],
  ['a tab for a space', 'GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n', 'bad-request', 'a tab in the method'],
  ['a leading space', ' GET / HTTP/1.1\r\nHost: a\r\n\r\n', 'bad-request', 'the request begins with a space'],
  ['two blank lines', '\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n', 'bad-request', 'the request begins with a CR'],
  ['a blank line of LF', '\nGET / HTTP/1.1\r\nHost: a\r\n\r\n', 'bad-request', 'the request begins with a bare LF'],
  ['a blank line of CR', '\rGET / HTTP/1.1\r\nHost: a\r\n\r\n', 'bad-request', 'the request begins with a CR'],
  ['HTTP/0.9', 'GET /\r\n\r\n', 'bad-request', 'the request line has no version'],
  ['a NUL in the target', 'GET /a\0b HTTP/1.1\r\nHost: a\r\n\r\n', 'bad-request', 'a NUL in the request target'],
  ['a fragment', 'GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n', 'bad-request', '"#" in the request target'],
  ['a target of no form', 'GET example HTTP/1.1\r\nHost: a\r\n\r\n', 'bad-request', 'the request target has no known form'],
  ['another scheme', 'GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n', 'bad-request', 'the request target has no known form'],
  ['no authority', 'GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n', 'bad-request', 'the authority of the request target is not a host and port'],
  ['one slash', 'GET http:/x HTTP/1.1\r\nHost: a\r\n\r\n', 'bad-request', 'the request target has no authority'],
  ['user info in the target', 'GET http://u:p@a/ HTTP/1.1\r\nHost: a\r\n\r\n', 'bad-request', 'the authority of the request target is not a host and port'],
  ['an asterisk for GET', 'GET * HTTP/1.1\r\nHost: a\r\n\r\n', 'bad-request', 'only OPTIONS may ask for "*"'],
  ['CONNECT to a path', 'CONNECT /x HTTP/1.1\r\nHost: a\r\n\r\n', 'bad-request', 'the target of CONNECT is not a host and port'],
  ['CONNECT without a port', 'CONNECT a.example HTTP/1.1\r\nHost: a\r\n\r\n', 'bad-request', 'the target of CONNECT is not a host and port'],
  ['CONNECT with an empty port', 'CONNECT a.example: HTTP/1.1\r\nHost: a\r\n\r\n', 'bad-request', 'the target of CONNECT is not a host and port'],
  ['CONNECT with a body', 'CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 1\r\n\r\nx', 'bad-request', 'a CONNECT request with a body'],
  // Versions and foreign protocols.
  ['HTTP/2.0', 'GET / HTTP/2.0\r\nHost: a\r\n\r\n', 'unsupported-version', 'HTTP/1.0 and HTTP/1.1 are, "2" is not'],
  ['HTTP/1.10', 'GET / HTTP/1.10\r\nHost: a\r\n\r\n', 'bad-request', '"0" after the version of the request line'],
  ['a lower-case version', 'GET / http/1.1\r\nHost: a\r\n\r\n', 'bad-request', '"h" where "HTTP/1.1" should stand in the request line'],
  ['an HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'unsupported-version', 'an HTTP/2 preface arrived where HTTP/1 is expected'],
  ['a TLS handshake', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc', 'bad-request', 'a TLS handshake arrived where plain HTTP is expected'],
  ['a Bolt frame', '\x01\x01\x00\x01\x01\x00\x00\x00\x01', 'bad-request', 'the request begins with byte 0x01'],
  // Expectations.
  ['an unknown expectation', `${post}Expect: 200-ok\r\n\r\n`, 'expectation-failed', 'only one 100-continue can be met'],
  ['two expectations', `${post}Expect: 100-continue\r\nExpect: 100-continue\r\n\r\n`, 'expectation-failed', 'only one 100-continue can be met'],
];

/** Bytes behind a chunked request's head, and the detail of the refusal within the body. */
const badChunks: [name: string, body: string, detail: string, told?: string][] = [
  ['no size', '\r\nhello\r\n0\r\n\r\n', 'a CR where a chunk size should begin'],
  ['a space before the size', ' 5\r\nhello\r\n0\r\n\r\n', 'a space where a chunk size should begin'],
  ['a space after the size', '5 \r\nhello\r\n0\r\n\r\n', 'a space after a chunk size'],
  ['a tab after the size', '5\t\r\nhello\r\n0\r\n\r\n', 'a tab after a chunk size'],
  ['a plus sign', '+5\r\nhello\r\n0\r\n\r\n', '"+" where a chunk size should begin'],
  ['a minus sign', '-5\r\nhello\r\n0\r\n\r\n', '"-" where a chunk size should begin'],
  ['a 0x', '0x5\r\nhello\r\n0\r\n\r\n', '"x" after a chunk size'],
  ['an underscore', '1_0\r\nhello\r\n0\r\n\r\n', '"_" after a chunk size'],
  ['no number', 'g\r\nhello\r\n0\r\n\r\n', '"g" where a chunk size should begin'],
  ['a bare LF after the size', '5\nhello\r\n0\r\n\r\n', 'a bare LF after a chunk size'],
  ['a bare CR after the size', '5\rhello\r\n0\r\n\r\n', 'a CR without LF after a chunk size'],
  ['an overflow', '10000000000000005\r\nhello\r\n0\r\n\r\n', 'a chunk size that is too large'],
  ['over 2^53', 'fffffffffffffff\r\nhello\r\n0\r\n\r\n', 'a chunk size that is too large'],
  ['many zeros', `${'0'.repeat(17)}5\r\nhello\r\n0\r\n\r\n`, 'a chunk size that is too large'],
  ['a bare LF in an extension', '5;a\nhello\r\n0\r\n\r\n', 'a bare LF in a chunk extension'],
  ['a NUL in an extension', '5;a\0\r\nhello\r\n0\r\n\r\n', 'a NUL in a chunk extension'],
  ['endless extensions', `5;${'a'.repeat(5000)}\r\nhello\r\n0\r\n\r\n`, 'more than 4096 bytes of chunk extensions'],
  ['data longer than its size', '5\r\nhello!\r\n0\r\n\r\n', '"!" where a chunk should end', 'hello'],
  ['data ended by LF', '5\r\nhello\n0\r\n\r\n', 'a bare LF where a chunk should end', 'hello'],
  ['data ended by CR', '5\r\nhello\r0\r\n\r\n', 'a CR without LF after a chunk', 'hello'],
  ['a bare LF after the last chunk', '5\r\nhello\r\n0\r\n\n', 'a bare LF at the beginning of a header line', 'hello'],
  ['a bad trailer', '5\r\nhello\r\n0\r\nX : 1\r\n\r\n', 'blanks before the colon of header X', 'hello'],
  ['a folded trailer', '5\r\nhello\r\n0\r\nX: 1\r\n 2\r\n\r\n', 'a folded header line (obs-fold)', 'hello'],
];

describe('a request is refused', () => {
  for (const [name, bytes, code, detail] of refused) {
    test(name, () => {
      const told = [`error -1 ${code} ${detail}`];
      assert.deepEqual(requests(bytes).lines, told);
      if (bytes.length < 200) for (const cuts of everyCut(bytes.length)) assert.deepEqual(requests(bytes, cuts).lines, told, `cut at ${cuts.join()}`);
    });
  }

  for (const [name, body, detail, partly = ''] of badChunks) {
    test(`chunks: ${name}`, () => {
      const bytes = `${post}Transfer-Encoding: chunked\r\n\r\n${body}`;
      const told = ['request POST / a (-1) ', `partly "${partly}"`, `error 0 bad-request ${detail}`];
      assert.deepEqual(requests(bytes).lines, told);
      if (bytes.length < 200) for (const cuts of everyCut(bytes.length)) assert.deepEqual(requests(bytes, cuts).lines, told, `cut at ${cuts.join()}`);
    });
  }

  test('chunks: any other byte in the end of the last chunk', () => {
    const bytes = `${post}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`;
    for (let at = bytes.length - 7; at < bytes.length; at++) {
      for (const other of ['\r', '\n', ' ', 'x', '\0', '1']) {
        if (bytes[at] === other) continue;
        // Behind the one byte that may differ (a size of 1) the data lacks its end.
        const text = `${bytes.slice(0, at)}${other}${bytes.slice(at + 1)}GET`;
        const { lines, ends } = requests(text);
        assert.equal(ends, 0, JSON.stringify(text));
        assert.match(lines.at(-1)!, /^error 0 bad-request/, JSON.stringify(text));
        for (const cuts of everyCut(text.length)) assert.deepEqual(requests(text, cuts).lines, lines, `${JSON.stringify(text)} cut at ${cuts.join()}`);
      }
    }
  });

  test('and nothing behind it is decoded', () => {
    const codec = protocol.codec('server');
    const sink = new Transcript();
    const feeder = new Feeder(codec, sink);
    feeder.give(raw('GET /a b HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n'));
    feeder.give(raw('GET / HTTP/1.1\r\nHost: a\r\n\r\n'));
    assert.equal(feeder.left, '');
    assert.equal(sink.ends, 0);
    assert.equal(sink.errors.length, 1);
    assert.equal(codec.mustClose, true);
    assert.equal(codec.blocked, false);
  });

  test('with a reply that closes', () => {
    for (const bytes of ['GET /a b HTTP/1.1\r\n', `${post}Transfer-Encoding: chunked\r\n\r\nx`]) {
      const codec = protocol.codec('server');
      new Feeder(codec, new Transcript()).give(raw(bytes));
      const out = new BlockOutput();
      codec.encodeLocalReply(out, 0, { code: 'bad-request', status: 400, body: 'no', headers: [], mirror: -1, close: false });
      assert.equal(
        out.take().toString(),
        'HTTP/1.1 400 Bad Request\r\nx-sluice-reason: bad-request\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno',
      );
      assert.equal(codec.mustClose, true);
    }
  });
});

describe('limits', () => {
  const small = new Http1({ maxLine: 40, maxHead: 200, maxHeaders: 5 });
  const told = (bytes: string, cuts: readonly number[] = []): string[] => requests(bytes, cuts, small.codec('server')).lines;
  const agree = (bytes: string): string[] => {
    const lines = told(bytes);
    for (const cuts of everyCut(bytes.length)) assert.deepEqual(told(bytes, cuts), lines, `cut at ${cuts.join()}`);
    return lines;
  };

  test('the request line may be as long as the limit, not longer', () => {
    const line = (n: number): string => `GET /${'p'.repeat(n - 'GET / HTTP/1.1'.length)} HTTP/1.1`;
    assert.equal(agree(`${line(40)}\r\nHost: a\r\n\r\n`).length, 2);
    assert.deepEqual(agree(`${line(41)}\r\nHost: a\r\n\r\n`), ['error -1 line-too-long 40']);
    assert.deepEqual(agree('X'.repeat(300)), ['error -1 line-too-long 40']);
  });

  test('the head may be as large as the limit, not larger', () => {
    const head = (n: number): string => {
      const fixed = 'GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n';
      return fixed.replace('X: ', `X: ${'v'.repeat(n - fixed.length)}`);
    };
    assert.equal(agree(head(200)).length, 2);
    assert.deepEqual(agree(head(201)), ['error -1 head-too-large 200 bytes']);
    assert.deepEqual(agree(head(300)), ['error -1 head-too-large 200 bytes']);
  });

  test('there may be as many headers as the limit, not more', () => {
    const head = (n: number): string => `GET / HTTP/1.1\r\nHost: a\r\n${Array.from({ length: n - 1 }, (_, i) => `X${i}: 1\r\n`).join('')}\r\n`;
    assert.equal(agree(head(5)).length, 2);
    assert.deepEqual(agree(head(6)), ['error -1 head-too-large 5 headers']);
  });

  test('trailers have the limits of a head', () => {
    const body = (trailers: string): string => `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n${trailers}\r\n`;
    assert.equal(agree(body('A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\n')).length, 2);
    assert.deepEqual(agree(body('A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\nF: 6\r\n')).at(-1), 'error 0 head-too-large 5 headers');
    assert.deepEqual(agree(body(`A: ${'v'.repeat(300)}\r\n`)).at(-1), 'error 0 head-too-large 200 bytes');
  });

  test('more headers than a head has room for at first are indexed', () => {
    const many = Array.from({ length: 127 }, (_, i) => `X-${i}: ${i}`);
    const lines = requests(`GET / HTTP/1.1\r\nHost: a\r\n${many.join('\r\n')}\r\n\r\n`).lines;
    assert.deepEqual(lines, [`request GET / a (-1) ${many.join(' | ')}`, 'body ""']);
  });
});

// What leaves on the other side: byte for byte what came, except what belongs to one connection only.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BlockOutput, MAX_RESERVE, type Output, type Writer } from '../../../../src/core/bytes.js';
import { Relay, Transcript, Feeder, h, ok, protocol, raw } from './transcript.js';

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const head = (...lines: string[]): string => `${lines.join('\r\n')}\r\n\r\n`;

/** What the host gets for a request. */
function forwarded(request: string): string {
  const relay = new Relay();
  const bytes = relay.request(request);
  assert.deepEqual(relay.errors, []);
  return bytes;
}

/** What the client gets for a reply, and whether its connection ends. */
function replied(request: string, reply: string, end = false): { readonly bytes: string; readonly close: boolean } {
  const relay = new Relay();
  relay.request(request);
  let bytes = relay.reply(reply);
  if (end) bytes += relay.hostEnds();
  assert.deepEqual(relay.errors, []);
  return { bytes, close: relay.server.mustClose };
}

describe('a request is forwarded', () => {
  test('as it came, case and blanks included', () => {
    const bytes = 'pOsT /a%20b?c={d} HTTP/1.1\r\nHOST:  a.example:81 \r\nX-MiXed:\tv \r\nContent-LENGTH: 3\r\n\r\nabc';
    assert.equal(forwarded(bytes), bytes);
  });

  test('without hop-by-hop headers and those that connection names', () => {
    assert.equal(
      forwarded(head('GET / HTTP/1.1', 'Keep-Alive: 5', 'Host: a', 'Connection: x-one, close,X-Two', 'x-ONE: 1', 'Accept: */*', 'X-Two: 2', 'Proxy-Connection: k', 'X: 3', 'TE: gzip', 'Upgrade: websocket')),
      head('GET / HTTP/1.1', 'Host: a', 'Accept: */*', 'X: 3'),
    );
  });

  test('with host and content-length whatever connection names', () => {
    const bytes = forwarded('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: host, content-length, transfer-encoding\r\n\r\nab');
    assert.equal(bytes, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab');
  });

  test('with te only where it says trailers', () => {
    assert.equal(forwarded(head('GET / HTTP/1.1', 'Host: a', 'Connection: TE', 'TE: trailers')), head('GET / HTTP/1.1', 'Host: a', 'TE: trailers', 'connection: TE'));
    assert.equal(forwarded(head('GET / HTTP/1.1', 'Host: a', 'TE: trailers, deflate')), head('GET / HTTP/1.1', 'Host: a'));
  });

  test('as an upgrade only when it is one', () => {
    const asked = head('GET /ws HTTP/1.1', 'Host: a', 'Upgrade: websocket', 'Connection: keep-alive, Upgrade', 'Sec-WebSocket-Key: k');
    assert.equal(forwarded(asked), head('GET /ws HTTP/1.1', 'Host: a', 'Upgrade: websocket', 'Sec-WebSocket-Key: k', 'connection: Upgrade'));
    for (const [name, lines] of Object.entries({
      'not named by connection': ['Upgrade: websocket'],
      'twice': ['Connection: upgrade', 'Upgrade: websocket', 'Upgrade: foo'],
      'to HTTP/2, which would carry requests past routes': ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMA'],
      'to a list with HTTP/2': ['Connection: Upgrade', 'Upgrade: websocket, h2c'],
      'to TLS': ['Connection: Upgrade', 'Upgrade: TLS/1.2'],
      'to nothing': ['Connection: Upgrade', 'Upgrade: '],
    })) {
      assert.equal(forwarded(head('GET / HTTP/1.1', 'Host: a', ...lines)), GET, name);
    }
    assert.equal(forwarded(head('GET / HTTP/1.0', 'Host: a', 'Connection: upgrade', 'Upgrade: websocket')), GET);
  });

  test('as HTTP/1.1 whatever version came', () => {
    assert.equal(forwarded(head('GET / HTTP/1.0', 'Host: a', 'Connection: keep-alive', 'Expect: 100-continue')), GET);
    assert.equal(forwarded(head('GET / HTTP/1.3', 'Host: a')), GET);
    assert.equal(forwarded(head('GET /x HTTP/1.0', 'A: 1')), head('GET /x HTTP/1.1', 'A: 1', 'host: '));
  });

  test('in origin-form, with the authority of an absolute-form target as its host', () => {
    assert.equal(forwarded(head('GET http://b.example:8/p?q HTTP/1.1', 'Host: a', 'X: 1')), head('GET /p?q HTTP/1.1', 'X: 1', 'host: b.example:8'));
    assert.equal(forwarded(head('GET http://b HTTP/1.0')), head('GET / HTTP/1.1', 'host: b'));
    assert.equal(forwarded(head('OPTIONS http://b HTTP/1.1', 'Host: b')), head('OPTIONS * HTTP/1.1', 'host: b'));
    assert.equal(forwarded(head('GET http://b?x=%20 HTTP/1.1', 'Host: b')), head('GET /?x=%20 HTTP/1.1', 'host: b'));
  });

  test('to a host named by CONNECT', () => {
    assert.equal(forwarded(head('CONNECT b:443 HTTP/1.1', 'Host: b:443')), head('CONNECT b:443 HTTP/1.1', 'Host: b:443'));
    assert.equal(forwarded(head('CONNECT b:443 HTTP/1.0')), head('CONNECT b:443 HTTP/1.1', 'host: b:443'));
  });

  test('with its expectation', () => {
    const bytes = 'POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n';
    assert.equal(forwarded(bytes), bytes);
  });

  test('in chunks of its own, without extensions, with its trailers', () => {
    const relay = new Relay();
    assert.equal(relay.request('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n'), 'POST / HTTP/1.1\r\nHost: a\r\nTrailer: T\r\ntransfer-encoding: chunked\r\n\r\n');
    assert.equal(relay.request('0b;ext="1"\r\nhello'), '5\r\nhello\r\n');
    assert.equal(relay.request(' world\r\n'), '6\r\n world\r\n');
    assert.equal(relay.request('0;x\r\nT: 1\r\nConnection: close\r\nHost: evil\r\nTransfer-Encoding: chunked\r\nU: 2\r\n\r\n'), '0\r\nT: 1\r\nU: 2\r\n\r\n');
    assert.equal(relay.requestDone, true);
  });

  test('with the last chunk in one piece with its end', () => {
    const bytes = 'POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n';
    assert.equal(forwarded(bytes), bytes);
  });

  test('in one reservation each, head, whole content and chunk', () => {
    const counted = new Counting();
    const client = protocol.codec('client');
    const sink = new Transcript();
    const server = protocol.codec('server');
    sink.onRequest = (request, last) => client.encodeRequest(counted, request, 0, last);
    sink.onData = (_id, buf, start, end, last) => client.encodeData(counted, 0, buf, start, end, last);
    const feeder = new Feeder(server, sink);
    feeder.give(raw('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: x\r\n\r\nhello'));
    assert.equal(counted.reservations, 1);
    assert.equal(counted.marked, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello');
    server.encodeLocalReply(new BlockOutput(), 0, ok);
    const second = new Counting();
    const next = protocol.codec('client');
    sink.onRequest = (request, last) => next.encodeRequest(second, request, 0, last);
    sink.onData = (_id, buf, start, end, last) => next.encodeData(second, 0, buf, start, end, last);
    feeder.give(raw('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n'));
    assert.equal(second.reservations, 1);
    feeder.give(raw('5\r\nhello\r\n0\r\n\r\n'));
    assert.equal(second.reservations, 2);
    assert.equal(second.marked, '5\r\nhello\r\n0\r\n\r\n');
  });
});

describe('a reply is forwarded', () => {
  test('as it came, without the host\'s connection headers', () => {
    assert.deepEqual(replied(GET, 'HTTP/1.1 200 Fine, thanks\r\nServer: x\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\nok'), {
      bytes: 'HTTP/1.1 200 Fine, thanks\r\nServer: x\r\nContent-Length: 2\r\n\r\nok', close: false,
    });
    assert.deepEqual(replied(GET, 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok'), {
      bytes: 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok', close: false,
    });
  });

  test('as HTTP/1.1 with a complete status line', () => {
    assert.equal(replied(GET, 'HTTP/1.0 404 Gone fishing\r\nContent-Length: 0\r\n\r\n').bytes, 'HTTP/1.1 404 Gone fishing\r\nContent-Length: 0\r\n\r\n');
    assert.equal(replied(GET, 'HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n').bytes, 'HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n');
  });

  test('chunked, when it ran until the host ended', () => {
    assert.deepEqual(replied(GET, 'HTTP/1.0 200 OK\r\n\r\nall of it', true), {
      bytes: 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nall of it\r\n0\r\n\r\n', close: false,
    });
  });

  test('with chunks and trailers', () => {
    assert.deepEqual(replied(GET, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\nT: 1\r\n\r\n'), {
      bytes: 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\nT: 1\r\n\r\n', close: false,
    });
  });

  test('without a body to HEAD, and with 204 and 304', () => {
    const request = head('HEAD / HTTP/1.1', 'Host: a');
    assert.deepEqual(replied(request, head('HTTP/1.1 200 OK', 'Content-Length: 9')), { bytes: head('HTTP/1.1 200 OK', 'Content-Length: 9'), close: false });
    assert.deepEqual(replied(request, head('HTTP/1.1 200 OK', 'Transfer-Encoding: chunked', 'X: 1')), { bytes: head('HTTP/1.1 200 OK', 'X: 1'), close: false });
    assert.deepEqual(replied(GET, head('HTTP/1.1 304 Not Modified', 'Content-Length: 9')), { bytes: head('HTTP/1.1 304 Not Modified', 'Content-Length: 9'), close: false });
    assert.deepEqual(replied(GET, head('HTTP/1.1 204 No Content', 'Content-Length: 0')), { bytes: head('HTTP/1.1 204 No Content'), close: false });
  });

  test('after its interim replies', () => {
    const relay = new Relay();
    relay.request('POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n');
    assert.equal(relay.reply(head('HTTP/1.1 100 Continue', 'Connection: keep-alive', 'X: 1')), head('HTTP/1.1 100 Continue', 'X: 1'));
    assert.equal(relay.request('ok'), 'ok');
    assert.equal(relay.reply('HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n.'), 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n.');
    assert.equal(relay.server.mustClose, false);
  });

  test('a complete one to each of several pipelined requests', () => {
    const relay = new Relay();
    assert.equal(relay.request(GET + GET), GET);
    assert.equal(relay.server.blocked, true);
    assert.match(relay.reply('HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1'), /1$/);
    relay.fromClient.deliver();
    assert.equal(relay.toHost.take().toString(), GET);
    assert.match(relay.reply('HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2'), /2$/);
  });
});

describe('the client\'s connection', () => {
  test('closes when the client asked for it', () => {
    assert.deepEqual(replied(head('GET / HTTP/1.1', 'Host: a', 'Connection: close'), 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n.'), {
      bytes: 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nconnection: close\r\n\r\n.', close: true,
    });
  });

  test('closes after HTTP/1.0, unless it asked to keep it', () => {
    assert.deepEqual(replied(head('GET / HTTP/1.0'), 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n.'), {
      bytes: 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nconnection: close\r\n\r\n.', close: true,
    });
    assert.deepEqual(replied(head('GET / HTTP/1.0', 'Connection: Keep-Alive'), 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n.'), {
      bytes: 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nconnection: keep-alive\r\n\r\n.', close: false,
    });
  });

  test('delimits by its end what HTTP/1.0 cannot otherwise be told', () => {
    assert.deepEqual(replied(head('GET / HTTP/1.0', 'Connection: Keep-Alive'), 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\nT: 1\r\n\r\n'), {
      bytes: 'HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nabc', close: true,
    });
  });

  test('shows HTTP/1.0 no interim replies', () => {
    const relay = new Relay();
    relay.request('POST / HTTP/1.0\r\nContent-Length: 1\r\n\r\nx');
    assert.equal(relay.reply(head('HTTP/1.1 103 Early Hints')), '');
    assert.match(relay.reply('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'), /^HTTP\/1\.1 200/);
  });

  test('is told to close while draining, with the next reply head', () => {
    const relay = new Relay();
    relay.request(GET);
    assert.equal(relay.reply('HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n'), 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n');
    assert.equal(relay.server.encodeGoAway(relay.toClient), false);
    assert.equal(relay.reply('.'), '.');
    assert.equal(relay.server.mustClose, false, 'the client was not told yet');
    relay.request(GET);
    assert.equal(relay.reply('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'), 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nconnection: close\r\n\r\n');
    assert.equal(relay.server.mustClose, true);
    assert.equal(relay.request(GET), '', 'nothing more is decoded');
  });

  test('closes when a reply is complete before its request, and says so where it still can', () => {
    const relay = new Relay();
    relay.request('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc');
    assert.equal(relay.reply(head('HTTP/1.1 413 Too Large', 'Content-Length: 0')), head('HTTP/1.1 413 Too Large', 'Content-Length: 0', 'connection: close'));
    assert.equal(relay.server.mustClose, true);
    assert.equal(relay.request('defghijGET / HTTP/1.1\r\n'), '', 'the rest is swallowed');
  });

  test('is cut when a reply that was begun cannot be completed', () => {
    const relay = new Relay();
    relay.request(GET);
    relay.reply('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab');
    relay.server.encodeLocalReply(relay.toClient, 0, { ...ok, code: 'reply-cut', status: 502 });
    assert.equal(relay.toClient.take().toString(), '');
    assert.equal(relay.server.mustClose, true);
  });

  test('is given up by release', () => {
    const relay = new Relay();
    relay.request('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc');
    relay.server.release(0);
    assert.equal(relay.server.mustClose, true);
    assert.equal(relay.request('defghij'), '');
    const idle = protocol.codec('server');
    idle.release(0);
    assert.equal(idle.mustClose, false);
  });
});

describe('a tunnel', () => {
  test('carries raw bytes both ways after an upgrade, also those that came early', () => {
    const relay = new Relay();
    relay.request(`${head('GET /ws HTTP/1.1', 'Host: a', 'Connection: Upgrade', 'Upgrade: websocket')}early`);
    assert.equal(relay.server.blocked, true);
    assert.equal(
      relay.reply(`${head('HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Accept: s')}\x81\x00`),
      `${head('HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Sec-WebSocket-Accept: s', 'connection: Upgrade')}\x81\x00`,
    );
    assert.equal(relay.server.tunnel, true);
    assert.equal(relay.client.tunnel, true);
    assert.equal(relay.server.blocked, false);
    assert.equal(relay.server.mustClose, true);
    relay.fromClient.deliver();
    assert.equal(relay.toHost.take().toString('latin1'), 'early');
    assert.equal(relay.request('GET / HTTP/1.1\r\n\0'), 'GET / HTTP/1.1\r\n\0');
    assert.equal(relay.reply('\xff\r\n\r\n'), '\xff\r\n\r\n');
    assert.equal(relay.client.eof(relay.fromHost.sink), true);
    assert.equal(relay.replyDone, true);
    assert.equal(relay.request('still open'), 'still open');
    assert.equal(relay.server.eof(relay.fromClient.sink), true);
    assert.equal(relay.requestDone, true);
  });

  test('is opened by CONNECT, without the lengths that mean nothing', () => {
    const relay = new Relay();
    relay.request(head('CONNECT b:443 HTTP/1.1', 'Host: b:443', 'Connection: close'));
    assert.equal(relay.reply(`${head('HTTP/1.1 200 Connection established', 'Content-Length: 5', 'Transfer-Encoding: chunked', 'Via: x').replace('Transfer-Encoding: chunked\r\n', '')}hi`), `${head('HTTP/1.1 200 Connection established', 'Via: x')}hi`);
    assert.equal(relay.server.tunnel, true);
    assert.equal(relay.request('\x16\x03\x01'), '\x16\x03\x01');
  });

  test('that is refused is an ordinary reply', () => {
    const relay = new Relay();
    relay.request(head('GET /ws HTTP/1.1', 'Host: a', 'Connection: Upgrade', 'Upgrade: websocket'));
    assert.equal(relay.reply('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno'), 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno');
    assert.equal(relay.server.tunnel, false);
    assert.equal(relay.request(GET), GET);
    assert.equal(relay.reply(head('HTTP/1.1 426 Upgrade Required', 'Upgrade: foo', 'Connection: upgrade', 'Content-Length: 0')), head('HTTP/1.1 426 Upgrade Required', 'Upgrade: foo', 'Content-Length: 0', 'connection: Upgrade'));
  });

  test('is not entered when a filter took the upgrade out', () => {
    const relay = new Relay();
    relay.onRequestHead = (request) => request.remove(h('upgrade'));
    assert.equal(relay.request(head('GET /ws HTTP/1.1', 'Host: a', 'Connection: Upgrade', 'Upgrade: websocket')), head('GET /ws HTTP/1.1', 'Host: a'));
    relay.reply(head('HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade'));
    assert.match(relay.errors[0]!, /^host 0 bad-reply/);
  });
});

describe('large messages', () => {
  test('chunks larger than one reservation', () => {
    const relay = new Relay();
    relay.request('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
    const data = 'd'.repeat(3 * MAX_RESERVE);
    assert.equal(relay.request(`${data.length.toString(16)}\r\n${data}\r\n0\r\n\r\n`), `${data.length.toString(16)}\r\n${data}\r\n0\r\n\r\n`);
  });

  test('a head larger than one reservation', () => {
    const wide = { maxLine: 8192, maxHead: 1 << 20, maxHeaders: 128 };
    const server = new (protocol.constructor as new (l: typeof wide) => typeof protocol)(wide).codec('server');
    const relay = new Relay(server);
    const bytes = `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(100_000)}\r\n\r\n`;
    assert.equal(relay.request(bytes), bytes);
  });

  test('a body over gigabytes is only counted', () => {
    const relay = new Relay();
    const bytes = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9007199254740991\r\n\r\n';
    assert.equal(relay.request(bytes), bytes);
    assert.equal(relay.request('some of it'), 'some of it');
    assert.equal(relay.requestDone, false);
  });
});

/** Counts reservations, as the replay copy relies on there being one for each call. */
class Counting implements Output {
  private readonly block = new BlockOutput();
  reservations = 0;

  out(n: number): Writer {
    this.reservations++;
    return this.block.out(n);
  }

  write(buf: Uint8Array, start: number, end: number): void {
    this.out(end - start).bytes(buf, start, end);
  }

  give(buf: Uint8Array, start: number, end: number): void {
    this.write(buf, start, end);
  }

  /** What the last call produced. */
  get marked(): string {
    const w = this.block.writer;
    return Buffer.from(w.buf.subarray(w.mark, w.pos)).toString('latin1');
  }
}

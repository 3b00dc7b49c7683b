// The head as routes and filters see it: look-ups, edits, what is written after edits, and copies that outlive the call.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BlockOutput } from '../../../../src/core/bytes.js';
import { Head, REPLY, REQUEST, type HeaderName } from '../../../../src/stream/head.js';
import { Feeder, Relay, Transcript, h, headers, protocol, raw } from './transcript.js';

const request = 'GET /a/b?c=1 HTTP/1.1\r\nHost: a.example:81\r\nX-One: 1\r\nx-two: \xc3\xa9 \r\nX-ONE: uno\r\nConnection: x-hop\r\nX-Hop: h\r\n\r\n';
const reply = 'HTTP/1.1 200 OK\r\nServer: x\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 2\r\n\r\nok';

/** Runs `look` on a decoded request head and returns what the host then gets. */
function edited(look: (head: Head) => void, bytes = request): string {
  const relay = new Relay();
  relay.onRequestHead = look;
  const got = relay.request(bytes);
  assert.deepEqual(relay.errors, []);
  return got;
}

/** The same for a reply, and what the client then gets. */
function editedReply(look: (head: Head) => void, bytes = reply, asked = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'): string {
  const relay = new Relay();
  relay.onReplyHead = look;
  relay.request(asked);
  const got = relay.reply(bytes);
  assert.deepEqual(relay.errors, []);
  return got;
}

const GET = (...lines: string[]): string => ['GET /a/b?c=1 HTTP/1.1', ...lines, '', ''].join('\r\n');

describe('look-ups', () => {
  test('find parts and headers without regard to case, the first of several', () => {
    edited((head) => {
      assert.equal(head.protocol, 'http1');
      assert.equal(head.kind, REQUEST);
      assert.equal(head.get(h(':method')), 'GET');
      assert.equal(head.get(h(':path')), '/a/b?c=1');
      assert.equal(head.get(h(':authority')), 'a.example:81');
      assert.equal(head.get(h('HOST')), 'a.example:81');
      assert.equal(head.get(h('x-one')), '1');
      assert.equal(head.get(h('X-Two')), '\u00e9');
      assert.equal(head.get(h('connection')), 'x-hop');
      assert.equal(head.get(h('X-Hop')), 'h');
      for (const absent of ['x-three', 'x-on', 'x-onf', 'x_one', ':status', ':service', 'content-length']) assert.equal(head.get(h(absent)), undefined, absent);
      // Only the connection knows whether it is secure.
      assert.equal(head.find(h(':scheme')), false);
      assert.equal(head.edited, false);
    });
    edited((head) => assert.equal(head.get(h(':scheme')), 'https'), 'GET https://b/ HTTP/1.1\r\nHost: b\r\n\r\n');
  });

  test('do not take "^" for "~", which fold alike', () => {
    edited((head) => {
      assert.equal(head.get(h('x~')), undefined);
      assert.equal(head.get(h('X^')), '1');
    }, 'GET / HTTP/1.1\r\nHost: a\r\nx^: 1\r\n\r\n');
  });

  test('find the range without a string', () => {
    edited((head) => {
      assert.equal(head.find(h('x-one')), true);
      assert.equal(head.vbuf, head.buf);
      assert.equal(Buffer.from(head.vbuf.subarray(head.vstart, head.vend)).toString(), '1');
    });
  });

  test('see a reply\'s status', () => {
    editedReply((head) => {
      assert.equal(head.kind, REPLY);
      assert.equal(head.status, 200);
      assert.equal(head.rawStatus, 200);
      assert.equal(head.length, 2);
      assert.equal(head.get(h(':status')), '200');
      for (const absent of [':method', ':path', ':authority', 'host']) assert.equal(head.get(h(absent)), undefined, absent);
    });
  });

  test('each leaves out host, hop-by-hop headers and those named by connection', () => {
    edited((head) => assert.deepEqual(headers(head), ['X-One: 1', 'x-two: \u00e9', 'X-ONE: uno']));
  });

  test('the path of CONNECT is "/", its authority the target', () => {
    edited((head) => {
      assert.equal(head.get(h(':path')), '/');
      assert.equal(head.get(h(':authority')), 'b:1');
    }, 'CONNECT b:1 HTTP/1.1\r\nHost: other\r\n\r\n');
  });
});

describe('edits', () => {
  test('set replaces all values, add adds one, remove takes all, and find sees each at once', () => {
    const got = edited((head) => {
      head.set(h('X-One'), 'eins');
      assert.equal(head.get(h('x-ONE')), 'eins');
      assert.equal(head.edited, true);
      head.add(h('x-three'), '3');
      head.add(h('x-three'), '\u00df');
      assert.equal(head.get(h('X-Three')), '3');
      head.remove(h('x-two'));
      assert.equal(head.get(h('x-two')), undefined);
      head.set(h('x-four'), '4');
      head.remove(h('x-four'));
      assert.equal(head.get(h('x-four')), undefined);
      assert.deepEqual(headers(head), ['X-One: eins', 'x-three: 3', 'x-three: \u00df']);
    });
    assert.equal(got, GET('Host: a.example:81', 'x-one: eins', 'x-three: 3', 'x-three: \xc3\x9f'));
  });

  test('set again replaces what was set', () => {
    const got = edited((head) => {
      head.set(h('X'), '1');
      head.set(h('x'), '2');
      assert.equal(head.get(h('X')), '2');
    }, 'GET /a/b?c=1 HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.equal(got, GET('Host: a', 'x: 2'));
  });

  test('rewrite method, path and authority', () => {
    assert.equal(edited((head) => head.set(h(':path'), '/new?x')), 'GET /new?x HTTP/1.1\r\nHost: a.example:81\r\nX-One: 1\r\nx-two: \xc3\xa9 \r\nX-ONE: uno\r\n\r\n');
    assert.equal(edited((head) => {
      head.set(h(':method'), 'POST');
      head.set(h(':authority'), 'b');
      head.set(h(':scheme'), 'https');
      assert.deepEqual([':method', ':path', ':authority', ':scheme', 'host'].map((name) => head.get(h(name))), ['POST', '/', 'b', 'https', 'b']);
    }, 'GET / HTTP/1.0\r\nHost: a\r\nX: 1\r\n\r\n'), 'POST / HTTP/1.1\r\nX: 1\r\nhost: b\r\n\r\n');
    assert.equal(edited((head) => head.set(h('Host'), 'b'), 'GET http://c/x HTTP/1.1\r\nHost: a\r\n\r\n'), 'GET /x HTTP/1.1\r\nhost: b\r\n\r\n');
    assert.equal(edited((head) => head.set(h(':authority'), 'b'), 'GET / HTTP/1.0\r\n\r\n'), 'GET / HTTP/1.1\r\nhost: b\r\n\r\n');
    assert.equal(edited((head) => {
      head.set(h(':path'), '/ignored');
      head.set(h(':authority'), 'c:2');
    }, 'CONNECT b:1 HTTP/1.1\r\nHost: b:1\r\n\r\n'), 'CONNECT c:2 HTTP/1.1\r\nhost: c:2\r\n\r\n');
  });

  test('of the status take its reason and its framing', () => {
    assert.equal(editedReply((head) => {
      head.set(h(':status'), '503');
      assert.equal(head.get(h(':status')), '503');
      assert.equal(head.status, 503);
    }), 'HTTP/1.1 503 Service Unavailable\r\nServer: x\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 2\r\n\r\nok');
    assert.equal(editedReply((head) => head.set(h(':status'), '204'), 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'), 'HTTP/1.1 204 No Content\r\n\r\n');
    assert.equal(editedReply((head) => head.set(h(':status'), '200'), 'HTTP/1.1 204 No Content\r\n\r\n'), 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
  });

  test('of connection headers are left to the codec', () => {
    const got = edited((head) => {
      for (const name of ['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade']) head.set(h(name), 'close');
      head.remove(h('transfer-encoding'));
      head.remove(h('host'));
    }, 'GET /a/b?c=1 HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.equal(got, GET('Host: a'));
  });

  test('keep trailers\' meaning of te and expect', () => {
    assert.equal(edited((head) => head.remove(h('te')), 'GET /a/b?c=1 HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n'), GET('Host: a'));
    assert.equal(edited((head) => head.remove(h('expect')), 'GET /a/b?c=1 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n'), GET('Host: a'));
  });

  test('that could end a line are mistakes; values that cannot be sent refuse the exchange', () => {
    edited((head) => {
      for (const value of ['a\r\nb: c', 'a\nb', 'a\0b']) {
        for (const name of ['x', ':path', ':authority', ':method', 'host']) assert.throws(() => head.set(h(name), value), TypeError, `${name}: ${JSON.stringify(value)}`);
        assert.throws(() => head.add(h('x'), value), TypeError);
      }
      assert.throws(() => head.set(h('bad name'), '1'), TypeError);
      assert.throws(() => head.add(h(''), '1'), TypeError);
      assert.throws(() => head.set(h(':status'), '200'), TypeError);
      assert.throws(() => head.set(h(':service'), 's'), TypeError);
      assert.throws(() => head.remove(h(':path')), TypeError);
      assert.equal(head.edited, false);
      for (const [name, value] of [[':path', 'no-slash'], [':path', '/a b'], [':path', ''], [':authority', 'a b'], [':method', 'A B'], [':method', 'CONNECT'], ['x', 'a\x01b'], ['content-length', '5x']] as const) {
        head.refused = null;
        head.set(h(name), value);
        assert.equal(head.refused, 'bad-request', `${name}: ${JSON.stringify(value)}`);
      }
      assert.equal(head.edited, false);
    }, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    editedReply((head) => {
      head.set(h(':status'), '99');
      assert.equal(head.refused, 'internal');
      assert.throws(() => head.set(h(':path'), '/'), TypeError);
    });
  });

  test('never make a head larger than its reservation', () => {
    const value = '\u20ac'.repeat(1000);
    const got = edited((head) => {
      for (let i = 0; i < 20; i++) head.add(h(`x-${i}`), value);
      head.set(h(':path'), `/${'p'.repeat(5000)}`);
      head.set(h(':authority'), 'h'.repeat(5000));
    }, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.equal(got.length, Buffer.byteLength(`GET /${'p'.repeat(5000)} HTTP/1.1\r\nhost: ${'h'.repeat(5000)}\r\n\r\n`) + 20 * (3000 + 2 + 2) + 10 * 3 + 10 * 4);
  });
});

describe('a changed body', () => {
  const post = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n';

  test('of unknown length is chunked', () => {
    const relay = new Relay();
    relay.onRequestHead = (head) => {
      head.length = -1;
      head.edited = true;
    };
    assert.equal(relay.request(post), 'POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: chunked\r\n\r\n');
    assert.equal(relay.request('hello'), '5\r\nhello\r\n0\r\n\r\n');
  });

  test('of unknown length ends an HTTP/1.0 client\'s connection', () => {
    const relay = new Relay();
    relay.onReplyHead = (head) => {
      head.length = -1;
      head.edited = true;
    };
    relay.request('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
    assert.equal(relay.reply('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n'), 'HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n');
    assert.equal(relay.reply('hello'), 'hello');
    assert.equal(relay.server.mustClose, true);
  });

  test('set whole is written with its length', () => {
    for (const body of ['', 'longer than before']) {
      assert.equal(edited((head) => head.setBody(raw(body)), `${post}hello`), `POST / HTTP/1.1\r\nHost: a\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
      assert.equal(editedReply((head) => head.setBody(raw(body)), 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'), `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
    }
    assert.equal(editedReply((head) => head.setBody(raw('same')), 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody'), 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsame');
  });

  test('set whole and large follows its head', () => {
    const body = 'b'.repeat(100_000);
    assert.equal(edited((head) => head.setBody(raw(body)), `${post}hello`), `POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 100000\r\n\r\n${body}`);
  });

  test('removed says so', () => {
    const codec = protocol.codec('client');
    const sink = new Transcript();
    const out = new BlockOutput();
    sink.onRequest = (head) => codec.encodeRequest(out, head, 0, true);
    sink.onData = () => {};
    new Feeder(protocol.codec('server'), sink).give(raw('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\nhello'));
    assert.equal(out.take().toString(), 'POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 0\r\n\r\n');
  });

  test('by its content-length header changes what is announced', () => {
    const relay = new Relay();
    relay.onRequestHead = (head) => head.remove(h('content-length'));
    assert.equal(relay.request(post), 'POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: chunked\r\n\r\n');
    const other = new Relay();
    other.onRequestHead = (head) => head.set(h('content-length'), '7');
    assert.equal(other.request(post), 'POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 7\r\n\r\n');
    // Less than announced: nothing may follow on this connection.
    other.request('hello');
    other.reply('HTTP/1.1 204 No Content\r\n\r\n');
    assert.equal(other.client.mustClose, true);
  });

  test('longer than announced is cut, and ends the connection', () => {
    const relay = new Relay();
    relay.request(post);
    const more = raw('hello, GET / HTTP/1.1');
    relay.client.encodeData(relay.toHost, 0, more, 0, more.length, true);
    assert.equal(relay.toHost.take().toString(), 'hello');
    assert.equal(relay.client.mustClose, true);
  });
});

describe('a kept head', () => {
  const keptOf = (bytes: string, look: (head: Head) => void = () => {}): Head => {
    const sink = new Transcript();
    let kept: Head | null = null;
    sink.onRequest = (head) => {
      look(head);
      kept = head.keep();
      // The codec goes on to another message with the same object.
      head.set(h('x-one'), 'changed');
    };
    const codec = protocol.codec('server');
    const buf = raw(bytes);
    codec.decode(buf, 0, buf.length, sink);
    buf.fill(0);
    return kept!;
  };
  const write = (head: Head): string => {
    const out = new BlockOutput();
    protocol.codec('client').encodeRequest(out, head, 0, true);
    return out.take().toString('latin1');
  };

  test('outlives its bytes and its codec\'s head', () => {
    const kept = keptOf(request);
    assert.equal(kept.get(h('x-one')), '1');
    assert.equal(kept.get(h(':path')), '/a/b?c=1');
    const before = write(kept);
    assert.equal(before, GET('Host: a.example:81', 'X-One: 1', 'x-two: \xc3\xa9 ', 'X-ONE: uno'));
    kept.set(h('x-two'), '2');
    assert.equal(write(kept), GET('Host: a.example:81', 'X-One: 1', 'X-ONE: uno', 'x-two: 2'));
    assert.equal(write(kept.keep()), write(kept));
  });

  test('has the edits made before, and its content', () => {
    const kept = keptOf('POST /p HTTP/1.1\r\nHost: a\r\nX-One: 1\r\nContent-Length: 5\r\n\r\nhello', (head) => {
      head.add(h('x-new'), 'n');
      head.set(h(':path'), '/q');
      head.set(h(':authority'), 'b');
    });
    assert.equal(kept.whole, true);
    assert.equal(write(kept), 'POST /q HTTP/1.1\r\nX-One: 1\r\nContent-Length: 5\r\nhost: b\r\nx-new: n\r\n\r\nhello');
    const body = raw('borrowed');
    const withBody = keptOf('POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello', (head) => head.setBody(body));
    body.fill(0);
    assert.equal(write(withBody), 'POST /p HTTP/1.1\r\nHost: a\r\ncontent-length: 8\r\n\r\nborrowed');
  });

  test('of a reply and of trailers', () => {
    const relay = new Relay();
    const kept: Head[] = [];
    relay.onReplyHead = (head) => kept.push(head.keep());
    const told = relay.fromHost.sink;
    const trailers = told.onTrailers.bind(told);
    told.onTrailers = (id, head) => {
      kept.push(head.keep());
      trailers(id, head);
    };
    relay.request('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    relay.reply('HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\nA: 1\r\n\r\n0\r\nB: 2\r\n\r\n');
    assert.equal(kept[0]!.get(h(':status')), '404');
    assert.deepEqual(headers(kept[0]!), ['A: 1']);
    assert.deepEqual(headers(kept[1]!), ['B: 2']);
    assert.equal(kept[1]!.find(h(':status')), false);
    relay.request('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    const out = new BlockOutput();
    relay.server.encodeReply(out, kept[0]!, 0, false);
    relay.server.encodeTrailers(out, 0, kept[1]!);
    assert.equal(out.take().toString(), 'HTTP/1.1 404 Not Found\r\nA: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\nB: 2\r\n\r\n');
  });
});

/** A head of some other protocol, made of a map. */
class ForeignHead extends Head {
  private readonly parts: Record<string, string>;
  private readonly list: [string, string][];

  constructor(kind: typeof REQUEST | typeof REPLY, parts: Record<string, string>, list: [string, string][]) {
    super('foreign', Buffer.alloc(0));
    this.kind = kind;
    this.parts = parts;
    this.list = list;
  }

  find(name: HeaderName): boolean {
    const value = this.parts[name.name];
    if (value === undefined) return false;
    this.vbuf = Buffer.from(value);
    this.vstart = 0;
    this.vend = this.vbuf.length;
    return true;
  }

  set(): void {}
  add(): void {}
  remove(): void {}

  each(visit: (name: string, value: string) => void): void {
    for (const [name, value] of this.list) visit(name, value);
  }

  keep(): Head {
    return this;
  }
}

describe('another protocol\'s head', () => {
  test('is written from its parts and headers, harmless whatever they hold', () => {
    const out = new BlockOutput();
    const head = new ForeignHead(REQUEST, { ':method': 'PUT', ':path': '/a b\u00e9#', ':authority': 'svc' }, [['Svc-Id', 'a\r\nevil: 1'], ['bad name', 'x'], ['connection', 'close'], ['host', 'evil'], ['Content-Length', '9'], ['x', '\u00fc']]);
    head.length = 3;
    protocol.codec('client').encodeRequest(out, head, 0, false);
    assert.equal(out.take().toString(), 'PUT /a%20b%C3%A9%23 HTTP/1.1\r\nhost: svc\r\nsvc-id: a  evil: 1\r\nx: \u00fc\r\ncontent-length: 3\r\n\r\n');
    const bare = new ForeignHead(REQUEST, { ':method': 'A B', ':path': 'x', ':authority': 'a b' }, []);
    bare.setBody(raw('body'));
    protocol.codec('client').encodeRequest(out, bare, 0, true);
    assert.equal(out.take().toString(), 'POST / HTTP/1.1\r\nhost: \r\ncontent-length: 4\r\n\r\nbody');
    const large = new ForeignHead(REQUEST, {}, []);
    large.setBody(Buffer.alloc(70_000, 'x'));
    protocol.codec('client').encodeRequest(out, large, 0, true);
    assert.equal(out.take().toString(), `POST / HTTP/1.1\r\nhost: \r\ncontent-length: 70000\r\n\r\n${'x'.repeat(70_000)}`);
  });

  test('answers a request', () => {
    const relay = new Relay();
    relay.request('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    const head = new ForeignHead(REPLY, {}, [['x-status', '7']]);
    head.status = 502;
    relay.server.encodeReply(relay.toClient, head, 0, false);
    relay.server.encodeData(relay.toClient, 0, raw('ab'), 0, 2, false);
    relay.server.encodeTrailers(relay.toClient, 0, new ForeignHead(REPLY, {}, [['t', '1']]));
    assert.equal(relay.toClient.take().toString(), 'HTTP/1.1 502 Bad Gateway\r\nx-status: 7\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nt: 1\r\n\r\n');
    assert.equal(relay.server.mustClose, false);
  });
});

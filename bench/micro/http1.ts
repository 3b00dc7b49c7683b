// Nanoseconds that the HTTP/1.1 codec takes of one proxied exchange: decode and encode of a request, decode and encode of its reply.
import { MAX_RESERVE, Writer, type Output } from '../../src/core/bytes.js';
import { headerName, type Head } from '../../src/stream/head.js';
import { Http1 } from '../../src/stream/protocol/http1/protocol.js';
import type { Codec, CodecSink } from '../../src/stream/protocol.js';
import { bench } from './measure.js';

/** A block that is written over and over, as a connection's is between two flushes. */
class Loop implements Output {
  readonly writer = new Writer(Buffer.allocUnsafeSlow(2 * MAX_RESERVE));
  bytes = 0;

  out(n: number): Writer {
    const w = this.writer;
    this.bytes += w.pos - w.mark;
    if (w.pos + n > w.buf.length) w.pos = 0;
    w.mark = w.pos;
    return w;
  }

  write(buf: Uint8Array, start: number, end: number): void {
    this.out(end - start).bytes(buf, start, end);
  }

  give(buf: Uint8Array, start: number, end: number): void {
    this.write(buf, start, end);
  }
}

/** What one decodes, the other encodes at once. */
class Pipe implements CodecSink {
  other: Codec | null = null;
  readonly out = new Loop();
  edits: ((head: Head) => void) | null = null;
  messages = 0;

  onRequest(head: Head, last: boolean): void {
    if (this.edits !== null) this.edits(head);
    this.other!.encodeRequest(this.out, head, 0, last);
    this.messages++;
  }

  onReply(head: Head, last: boolean): void {
    this.other!.encodeReply(this.out, head, 0, last);
    this.messages++;
  }

  onData(_id: number, buf: Uint8Array, start: number, end: number, last: boolean): void {
    this.other!.encodeData(this.out, 0, buf, start, end, last);
  }

  onTrailers(_id: number, head: Head): void {
    this.other!.encodeTrailers(this.out, 0, head);
  }

  onError(_id: number, code: string, context: object): void {
    throw new Error(`${code} ${JSON.stringify(context)}`);
  }

  onReset(): void {}
  onPing(): void {}
  onPong(): void {}
  onGoAway(): void {}
}

const bytes = (text: string): Buffer => {
  const made = Buffer.allocUnsafeSlow(text.length);
  made.write(text, 'latin1');
  return made;
};

const browser = bytes(
  'GET /api/v1/users/1234/orders?limit=20 HTTP/1.1\r\nHost: shop.example.com\r\nUser-Agent: curl/8.5.0\r\nAccept: application/json\r\n' +
    'Accept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\nX-Request-Id: 4f7a1c9e2b6d4d1c\r\n\r\n',
);
const load = bytes('GET /echo HTTP/1.1\r\nHost: 127.0.0.1:2045\r\nUser-Agent: load\r\nAccept: */*\r\n\r\n');
const post = bytes(
  'POST /api/v1/orders HTTP/1.1\r\nHost: shop.example.com\r\nContent-Type: application/json\r\nContent-Length: 100\r\nAccept: */*\r\n\r\n' + 'x'.repeat(100),
);
const small = bytes(
  'HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Type: application/json\r\nContent-Length: 100\r\nConnection: keep-alive\r\nServer: x\r\n\r\n' +
    'y'.repeat(100),
);
const chunked = bytes(
  'HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n' +
    `64\r\n${'y'.repeat(100)}\r\n0\r\n\r\n`,
);

const protocol = new Http1({ maxLine: 8192, maxHead: 65536, maxHeaders: 128 });
const ADDED = headerName('x-forwarded-for');
const PATH = headerName(':path');
const AUTH = headerName('authorization');

interface Case {
  readonly name: string;
  readonly request: Buffer;
  readonly reply: Buffer;
  readonly edits: ((head: Head) => void) | null;
}

const cases: Case[] = [
  { name: `${load.length} B request, ${small.length} B reply`, request: load, reply: small, edits: null },
  { name: `${browser.length} B request, ${small.length} B reply`, request: browser, reply: small, edits: null },
  { name: `${post.length} B request with body, ${small.length} B reply`, request: post, reply: small, edits: null },
  { name: `${browser.length} B request, chunked reply`, request: browser, reply: chunked, edits: null },
  {
    name: `${browser.length} B request, 2 look-ups`, request: browser, reply: small,
    edits: (head) => {
      if (head.find(AUTH) || !head.find(PATH)) throw new Error('unexpected header');
    },
  },
  { name: `${browser.length} B request, 1 header added`, request: browser, reply: small, edits: (head) => head.add(ADDED, '127.0.0.1') },
];

for (const { name, request, reply, edits } of cases) {
  const server = protocol.codec('server');
  const client = protocol.codec('client');
  const down = new Pipe();
  const up = new Pipe();
  down.other = client;
  up.other = server;
  down.edits = edits;
  bench(name, (n) => {
    for (let i = 0; i < n; i++) {
      if (server.decode(request, 0, request.length, down) !== request.length) throw new Error('request not consumed');
      if (client.decode(reply, 0, reply.length, up) !== reply.length || server.blocked) throw new Error('reply not consumed');
    }
    return up.messages;
  });
}

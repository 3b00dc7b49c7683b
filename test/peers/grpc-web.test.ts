// gRPC-Web through the real binary to an unmodified @grpc/grpc-js server: both forms, both versions of HTTP, streams as they come, every kind of end.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request, type IncomingMessage } from 'node:http';
import { connect as connectH2 } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import protobuf from 'protobufjs';
import { freePort, freePorts, start, until } from '../support/sluice.js';
import { serveShop, WAITING } from '../support/shop/server.js';

const schema = protobuf.parse('syntax = "proto3"; message Part { string name = 1; int32 count = 2; } message Item { string name = 1; bytes picture = 7; } message List { int32 count = 1; int32 fail_after = 2; int32 padding = 3; }').root;
const [Part, Item, List] = ['Part', 'Item', 'List'].map((name) => schema.lookupType(name)) as [protobuf.Type, protobuf.Type, protobuf.Type];

/** A message as gRPC frames it. */
function framed(type: protobuf.Type, message: Record<string, unknown>): Buffer {
  const bytes = Buffer.from(type.encode(type.create(message)).finish());
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([prefix, bytes]);
}

interface Frames {
  readonly messages: Buffer[];
  readonly trailers: Record<string, string> | null;
}

/** What a client of gRPC-Web reads out of the content of a reply. */
function framesOf(body: Buffer): Frames {
  const messages: Buffer[] = [];
  let trailers: Record<string, string> | null = null;
  for (let at = 0; at < body.length; ) {
    assert.equal(trailers, null, 'nothing behind the trailers');
    assert.ok(body.length >= at + 5, 'a whole prefix');
    const n = body.readUInt32BE(at + 1);
    const content = body.subarray(at + 5, at + 5 + n);
    assert.equal(content.length, n, 'a whole frame');
    if (body[at] === 0x80) trailers = Object.fromEntries(content.toString().split('\r\n').filter((line) => line !== '').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]));
    else messages.push(content);
    at += 5 + n;
  }
  return { messages, trailers };
}

/** Base64 whose pieces are padded each for itself, group by group as the clients in browsers do. */
const fromText = (body: Buffer): Buffer => Buffer.concat((body.toString('latin1').match(/.{4}/gs) ?? []).map((group) => Buffer.from(group, 'base64')));

interface Answer {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly body: Buffer;
}

async function read(reply: IncomingMessage): Promise<Answer> {
  const pieces: Buffer[] = [];
  for await (const piece of reply) pieces.push(piece as Buffer);
  return { status: reply.statusCode!, headers: reply.headers, body: Buffer.concat(pieces) };
}

const WEB = 'application/grpc-web+proto';
const TEXT = 'application/grpc-web-text';

test('gRPC-Web', { timeout: 120_000 }, async (t) => {
  const shop = await serveShop(t);
  const [near, near2, dead] = (await freePorts(3)) as [number, number, number];
  const plain = createServer((_, reply) => void reply.writeHead(503, { 'content-type': 'text/html' }).end('<p>busy</p>'));
  plain.listen(0, '127.0.0.1');
  await once(plain, 'listening');
  t.after(() => plain.close());
  const html = (plain.address() as AddressInfo).port;
  const sluice = await start(t, {
    config: `
listeners:
  - {name: h1, address: "127.0.0.1:${near}", protocol: http1, routes: main, stream_filters: [grpc_web], access_log: {format: text}}
  - {name: h2, address: "127.0.0.1:${near2}", protocol: http2, routes: main, stream_filters: [grpc_web]}
routes:
  - name: main
    routes:
      - {match: {prefix: /dead}, prefix_rewrite: /, cluster: dead}
      - {match: {prefix: /html}, cluster: html}
      - {match: {prefix: /as-it-is}, cluster: html, filters: {grpc_web: {enabled: false}}}
      - {match: {prefix: /direct}, direct_response: {status: 403, body: "not for you"}}
      - {match: {prefix: /small}, prefix_rewrite: /, cluster: shop, filters: {grpc_web: {max_request: 32B}}}
      - {match: {prefix: /shop.v1.}, cluster: shop}
clusters:
  - {name: shop, protocol: http2, hosts: "127.0.0.1:${shop.port}"}
  - {name: dead, protocol: http2, hosts: "127.0.0.1:${dead}"}
  - {name: html, hosts: "127.0.0.1:${html}"}
`,
  });

  const call = async (method: string, body: Buffer, headers: Record<string, string> = {}, type = WEB): Promise<Answer> => {
    const sent = request({ port: near, host: '127.0.0.1', method: 'POST', path: method.startsWith('/') ? method : `/shop.v1.Shop/${method}`, headers: { 'content-type': type, ...headers } });
    sent.end(body);
    const [reply] = (await once(sent, 'response')) as [IncomingMessage];
    return read(reply);
  };
  const logged = (line: RegExp): Promise<unknown> => until(`the log has ${line}`, () => sluice.lines.some((one) => line.test(one)));

  await t.test('a unary call: message as it is, metadata both ways, trailers as the last frame', async () => {
    const { status, headers, body } = await call('Plain', framed(Part, { name: 'grün', count: 7 }), { 'x-mine': 'yes', 'x-grpc-web': '1' });
    assert.deepEqual([status, headers['content-type']], [200, WEB]);
    const { messages, trailers } = framesOf(body);
    assert.deepEqual(messages.map((m) => Part.decode(m).toJSON()), [{ name: 'grün', count: 7 }]);
    assert.deepEqual([trailers!['grpc-status'], trailers!['x-trailer']], ['0', 'behind']);
    assert.equal(shop.last.metadata['x-mine'], 'yes');
    assert.equal(shop.last.metadata['content-type'], undefined);
    const item = await call('Get', framed(Part, { name: 'a' }));
    assert.equal(item.headers['x-from'], 'shop');
    await logged(/POST \/shop\.v1\.Shop\/Plain" 200 /);
  });

  await t.test('the text form, as browsers send it, with pieces that are padded each for itself', async () => {
    const whole = framed(Part, { name: 'text', count: 1 });
    for (const text of [whole.toString('base64'), whole.subarray(0, 7).toString('base64') + whole.subarray(7).toString('base64')]) {
      const { headers, body } = await call('Plain', Buffer.from(text), { accept: TEXT }, TEXT);
      assert.equal(headers['content-type'], 'application/grpc-web-text+proto');
      const { messages, trailers } = framesOf(fromText(body));
      assert.deepEqual([Part.decode(messages[0]!).toJSON(), trailers!['grpc-status']], [{ name: 'text', count: 1 }, '0']);
    }
    // What is accepted decides of the reply.
    const mixed = await call('Plain', whole, { accept: TEXT });
    assert.equal(framesOf(fromText(mixed.body)).messages.length, 1);
    const other = await call('Plain', Buffer.from(whole.toString('base64')), { accept: 'application/grpc-web' }, TEXT);
    assert.equal(framesOf(other.body).messages.length, 1);
  });

  await t.test('text that is no base64 is refused by the form that the client reads', async () => {
    const { status, headers, body } = await call('Plain', Buffer.from('!!!'), {}, TEXT);
    assert.deepEqual([status, headers['x-sluice-reason']], [200, 'bad-request']);
    const { trailers } = framesOf(fromText(body));
    assert.equal(trailers!['grpc-status'], '3');
    assert.match(trailers!['grpc-message']!, /base64/);
  });

  await t.test('an error of the service: its status, its text and its details', async () => {
    const Ask = protobuf.parse('syntax = "proto3"; message Ask { bool fail = 8; }').root.lookupType('Ask');
    for (const type of [WEB, TEXT]) {
      const sent = framed(Ask, { fail: true });
      const { status, headers, body } = await call('Get', type === TEXT ? Buffer.from(sent.toString('base64')) : sent, {}, type);
      const { messages, trailers } = framesOf(type === TEXT ? fromText(body) : body);
      assert.deepEqual([status, messages.length, trailers!['grpc-status']], [200, 0, '5']);
      assert.equal(decodeURIComponent(trailers!['grpc-message']!), 'no such item: grün');
      assert.match(Buffer.from(trailers!['grpc-status-details-bin']!, 'base64').toString('latin1'), /shop\.v1\.Part/);
      assert.equal(headers['grpc-status'], undefined, 'in one place only');
    }
    await logged(/\/shop\.v1\.Shop\/Get" 404 /);
  });

  for (const type of [WEB, TEXT]) {
    await t.test(`server streaming as ${type} arrives as it comes, not at its end`, async () => {
      const sent = framed(List, { count: WAITING });
      const asked = request({ port: near, host: '127.0.0.1', method: 'POST', path: '/shop.v1.Shop/List', headers: { 'content-type': type } });
      asked.end(type === TEXT ? sent.toString('base64') : sent);
      const [reply] = (await once(asked, 'response')) as [IncomingMessage];
      let got = Buffer.alloc(0);
      reply.on('data', (piece: Buffer) => (got = Buffer.concat([got, piece])));
      const bytes = (): Buffer => (type === TEXT ? fromText(got) : got);
      await until('the first message', () => bytes().length >= 5 && bytes().length >= 5 + bytes().readUInt32BE(1));
      assert.equal(Item.decode(framesOf(bytes()).messages[0]!).toJSON()['name'], 'first');
      assert.equal(reply.complete, false);
      shop.go();
      await once(reply, 'end');
      const { messages, trailers } = framesOf(bytes());
      assert.deepEqual([messages.length, trailers!['grpc-status']], [WAITING, '0']);
    });

    await t.test(`megabytes as ${type}, more than any window`, async () => {
      const count = type === TEXT ? 24 : 160;
      const sent = framed(List, { count, padding: 65_536 });
      const { body } = await call('List', type === TEXT ? Buffer.from(sent.toString('base64')) : sent, {}, type);
      const { messages, trailers } = framesOf(type === TEXT ? fromText(body) : body);
      assert.equal(trailers!['grpc-status'], '0');
      assert.deepEqual(messages.map((m) => (Item.decode(m) as unknown as { picture: Uint8Array }).picture.length), Array(count).fill(65_536));
    });
  }

  await t.test('a status behind messages', async () => {
    const { body } = await call('List', framed(List, { count: 5, failAfter: 2 }));
    const { messages, trailers } = framesOf(body);
    assert.deepEqual([messages.length, trailers!['grpc-status'], decodeURIComponent(trailers!['grpc-message']!)], [2, '15', 'the shelf broke']);
    await logged(/\/shop\.v1\.Shop\/List" 500 /);
  });

  await t.test('grpc-timeout is the deadline here and there', async () => {
    await call('Plain', framed(Part, { name: 'soon' }), { 'grpc-timeout': '30S' });
    assert.ok(shop.last.deadline > 20_000 && shop.last.deadline <= 30_000, String(shop.last.deadline));
    const { trailers } = framesOf((await call('Plain', framed(Part, { name: 'never' }), { 'grpc-timeout': '200m' })).body);
    assert.equal(trailers!['grpc-status'], '4');
    await until('the host hears of it', () => shop.cancelled > 0);
  });

  await t.test('failures of the proxy: no route, no host, a body over the limit, an answer of the route', async () => {
    const code = async (path: string, body = framed(Part, { name: 'x' })): Promise<[number, string, string]> => {
      const { status, body: content } = await call(path, body);
      assert.equal(status, 200);
      const { trailers } = framesOf(content);
      return [status, trailers!['grpc-status']!, trailers!['grpc-message'] ?? ''];
    };
    assert.equal((await code('/nowhere'))[1], '12');
    assert.equal((await code('/dead/a.B/c'))[1], '14');
    assert.deepEqual((await code('/small/a.B/c', framed(Part, { name: 'x'.repeat(100) }))).slice(1), ['8', 'the body is larger than 32 bytes']);
    assert.deepEqual((await code('/direct')).slice(1), ['7', 'not for you']);
    // A cluster of HTTP/1 has no gRPC.
    assert.equal((await code('/html/a.B/c'))[1], '13');
  });

  await t.test('where it is switched off, and for other requests, nothing is done', async () => {
    const off = await call('/as-it-is', framed(Part, {}));
    assert.deepEqual([off.status, off.body.toString()], [503, '<p>busy</p>']);
    const other = await call('/as-it-is', Buffer.from('{}'), {}, 'application/json');
    assert.equal(other.status, 503);
    assert.equal((await call('/nowhere', Buffer.from('{}'), {}, 'application/grpc-webby')).status, 404);
  });

  await t.test('a client that leaves takes its call with it', async () => {
    const before = shop.cancelled;
    const asked = request({ port: near, host: '127.0.0.1', method: 'POST', path: '/shop.v1.Shop/List', headers: { 'content-type': WEB } });
    asked.end(framed(List, { count: WAITING }));
    const [reply] = (await once(asked, 'response')) as [IncomingMessage];
    await once(reply, 'data');
    reply.on('error', () => {});
    asked.destroy();
    await until('the call is cancelled', () => shop.cancelled > before);
  });

  await t.test('over HTTP/2', async () => {
    const client = connectH2(`http://127.0.0.1:${near2}`);
    try {
      const asked = client.request({ ':method': 'POST', ':path': '/shop.v1.Shop/List', 'content-type': TEXT });
      asked.end(framed(List, { count: 3 }).toString('base64'));
      const pieces: Buffer[] = [];
      const [headers] = (await once(asked, 'response')) as [Record<string, string>];
      for await (const piece of asked) pieces.push(piece as Buffer);
      assert.deepEqual([Number(headers[':status']), headers['content-type']], [200, 'application/grpc-web-text+proto']);
      const { messages, trailers } = framesOf(fromText(Buffer.concat(pieces)));
      assert.deepEqual([messages.length, trailers!['grpc-status']], [3, '0']);
    } finally {
      client.close();
    }
  });

  await t.test('fetch, and its parts in pieces of any length', async () => {
    const reply = await fetch(`http://127.0.0.1:${near}/shop.v1.Shop/List`, { method: 'POST', headers: { 'content-type': 'application/grpc-web' }, body: framed(List, { count: 100, padding: 3000 }) });
    assert.equal(reply.status, 200);
    const { messages, trailers } = framesOf(Buffer.from(await reply.arrayBuffer()));
    assert.deepEqual([messages.length, trailers!['grpc-status']], [100, '0']);
  });

  await t.test('a host that dies in the middle of a stream: the status comes in place of the rest', async (t) => {
    const port = await freePort();
    const other = await serveShop(t, port);
    const mine = await freePort();
    await start(t, {
      config: `
listeners: [{name: h1, address: "127.0.0.1:${mine}", protocol: http1, routes: main, stream_filters: [{type: grpc_web}]}]
routes: [{name: main, routes: [{cluster: shop}]}]
clusters: [{name: shop, protocol: http2, hosts: "127.0.0.1:${port}"}]
`,
    });
    const asked = request({ port: mine, host: '127.0.0.1', method: 'POST', path: '/shop.v1.Shop/List', headers: { 'content-type': WEB } });
    asked.end(framed(List, { count: WAITING }));
    const [reply] = (await once(asked, 'response')) as [IncomingMessage];
    let got = Buffer.alloc(0);
    reply.on('data', (piece: Buffer) => (got = Buffer.concat([got, piece])));
    await until('the first message', () => got.length > 5);
    other.server.forceShutdown();
    await once(reply, 'end');
    const { messages, trailers } = framesOf(got);
    assert.equal(messages.length, 1);
    assert.ok(['13', '14'].includes(trailers!['grpc-status']!), JSON.stringify(trailers));
  });
});

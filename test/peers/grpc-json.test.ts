// HTTP with JSON through the real binary to an unmodified @grpc/grpc-js server: rules, paths, queries, contents, streams, errors, and reloads of the descriptor set.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { freePort, freePorts, start, until } from '../support/sluice.js';
import { DESCRIPTOR, serveShop, WAITING } from '../support/shop/server.js';

type Json = Record<string, unknown>;

test('HTTP with JSON to gRPC', { timeout: 120_000 }, async (t) => {
  const shop = await serveShop(t);
  const [near, near2, near3, dead] = (await freePorts(4)) as [number, number, number, number];
  const plain = createServer((asked, reply) => void reply.writeHead(asked.url === '/v1/items/html' ? 503 : 200, { 'content-type': 'text/html' }).end(`plain ${asked.method} ${asked.url}`));
  plain.listen(0, '127.0.0.1');
  await once(plain, 'listening');
  t.after(() => plain.close());
  const html = (plain.address() as AddressInfo).port;
  const set = resolve(DESCRIPTOR);
  const sluice = await start(t, {
    config: `
listeners:
  - {name: h1, address: "127.0.0.1:${near}", protocol: http1, routes: main, stream_filters: [grpc_json], access_log: {format: text}}
  - {name: h2, address: "127.0.0.1:${near2}", protocol: http2, routes: main, stream_filters: [grpc_json]}
  - {name: all, address: "127.0.0.1:${near3}", protocol: http1, routes: all, stream_filters: [{type: grpc_json, descriptor: ${set}, services: [shop.v1.Shop]}]}
routes:
  - name: all
    routes:
      - {match: {prefix: /off}, prefix_rewrite: /v1, cluster: html, filters: {grpc_json: {enabled: false}}}
      - {match: {header.x-to: plain}, cluster: shop1}
      - {match: {prefix: /v1}, cluster: shop}
  - name: main
    routes:
      - {match: {prefix: /v1/, header.x-to: dead}, cluster: dead, filters: {grpc_json: {descriptor: ${set}}}}
      - {match: {prefix: /v1/, header.x-to: html}, cluster: html2, filters: {grpc_json: {descriptor: ${set}}}}
      - {match: {prefix: /v1/, header.x-to: small}, cluster: shop, filters: {grpc_json: {descriptor: ${set}, max_body: 200B}}}
      - {match: {prefix: /v1/, header.x-to: strict}, cluster: shop, filters: {grpc_json: {descriptor: ${set}, unknown_path: not_found}}}
      - {match: {prefix: /v1/, header.x-to: pass}, cluster: html, filters: {grpc_json: {descriptor: ${set}, unknown_path: pass}}}
      - {match: {prefix: /v1/, header.x-to: lax}, cluster: shop, filters: {grpc_json: {descriptor: ${set}, ignore_unknown: true, defaults: true, proto_names: true, enum_numbers: true}}}
      - {match: {prefix: /}, cluster: shop, filters: {grpc_json: {descriptor: ${set}, all_methods: true}}}
      - {name: rest, match: {prefix: /}, cluster: html}
clusters:
  - {name: shop, protocol: http2, hosts: "127.0.0.1:${shop.port}"}
  - {name: shop1, hosts: "127.0.0.1:${shop.port}"}
  - {name: dead, protocol: http2, hosts: "127.0.0.1:${dead}"}
  - {name: html, protocol: http1, hosts: "127.0.0.1:${html}"}
  - {name: html2, protocol: http2, hosts: "127.0.0.1:${html}"}
`,
  });
  const call = async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<{ status: number; headers: Headers; text: string; json: () => Json }> => {
    const reply = await fetch(`http://127.0.0.1:${near}${path}`, { method, ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }), headers });
    const text = await reply.text();
    return { status: reply.status, headers: reply.headers, text, json: () => JSON.parse(text) as Json };
  };
  /** What the host was asked, as it printed it. */
  const asked = (json: Json): unknown => JSON.parse((json['tags'] as string[])[0]!) as unknown;

  await t.test('a path with a variable of several segments, and all kinds of query parameters', async () => {
    const reply = await call('GET', '/v1/shelves/s%201/items/i%2F2?revision=3&color=RED&tags=a&tags=b&part.name=p&part.inner.count=-1&since=2026-01-02T03:04:05.5Z&mask=name,made_at&colors=1&colors=BLUE&key=_-8&fail=false', undefined, { 'x-mine': 'yes' });
    assert.deepEqual([reply.status, reply.headers.get('content-type'), reply.headers.get('x-from')], [200, 'application/json', 'shop']);
    const item = reply.json();
    assert.deepEqual([item['name'], item['stock'], item['color']], ['shelves/s 1/items/i%2F2', '9007199254740993', 'BLUE']);
    const request = asked(item) as Json;
    assert.deepEqual({ ...request, key: Buffer.from((request['key'] as { data: number[] }).data).toString('hex') }, {
      name: 'shelves/s 1/items/i%2F2', revision: 3, color: 'RED', tags: ['a', 'b'], part: { name: 'p', inner: { count: -1 } },
      since: { seconds: '1767323045', nanos: 500_000_000 }, mask: { paths: ['name', 'made_at'] }, colors: ['RED', 'BLUE'], key: 'ffef',
    });
    assert.equal(shop.last.metadata['x-mine'], 'yes');
    await until('the log', () => sluice.lines.some((line) => /GET \/v1\/shelves\/\S+ 200 |\/shop\.v1\.Shop\/Get\S* 200 /.test(line)));
  });

  await t.test('additional bindings: another path, the rest of a path, a method of its own, a verb', async () => {
    assert.equal((await call('GET', '/v1/item/x')).json()['name'], 'x');
    assert.equal((await call('GET', '/v1/files/a/b/c')).json()['name'], 'a/b/c');
    assert.deepEqual(asked((await call('LOOK', '/v1/look/it')).json()), { part: { name: 'it' } });
    assert.equal((await call('POST', '/v1/items/it:archive', {})).json()['name'], 'it');
  });

  await t.test('a content that is the message, and every kind of field there and back', async () => {
    const item = {
      name: 'grün', stock: '-9223372036854775808', serial: '18446744073709551615', price: 1.5, weight: 0.1, sold: true, picture: 'AAH/', color: 'RED', tags: ['x'],
      parts: [{ name: 'p', count: 2, inner: { name: 'q' } }], sizes: { small: 1, __proto__x: 2 }, byNumber: { '-5': { name: 'five' } }, madeAt: '2026-11-22T10:00:00.123456789Z', lasts: '-1.500s',
      extra: { a: [1, 'b', null, { c: true }] }, anything: null, list: [1, [2]], detail: { '@type': 'type.googleapis.com/shop.v1.Part', name: 'in any' }, mask: 'name,madeAt',
      maybeCount: '0', maybeName: '', maybeSold: false, maybeBytes: 'AA==', maybePrice: 'NaN', shop: { name: 'owner' }, rank: 0, oddly: 'odd', colors: ['RED', 7], turn: -1, mark: '1', history: ['1', '2'],
      when: { true: '1970-01-01T00:00:01Z' },
    };
    const reply = await call('POST', '/v1/items', item);
    assert.equal(reply.status, 200, reply.text);
    assert.deepEqual(reply.json(), item);
    assert.deepEqual((await call('POST', '/v1/items', '')).json(), {});
  });

  await t.test('a content that is one field, a field in the path beside it, and one field as the reply', async () => {
    const reply = await call('PUT', '/v1/shelves/s/items/named?dry=true', { name: 'other', stock: 5 });
    assert.deepEqual(reply.json(), { name: 'named', stock: '5' });
    assert.deepEqual(shop.last.request, { shelf: 's', item: { name: 'named', stock: '5' }, dry: true });
    // The other binding has no response_body of its own.
    assert.deepEqual((await call('PATCH', '/v1/shelves/s/items/named', {})).json(), { shelf: 's', item: { name: 'named' } });
    const empty = await call('DELETE', '/v1/items/gone');
    assert.deepEqual([empty.status, empty.text], [200, '{}']);
  });

  await t.test('methods without a rule, where they are asked for', async () => {
    assert.deepEqual((await call('POST', '/shop.v1.Shop/Plain', { name: 'auto' })).json(), { name: 'auto' });
  });

  await t.test('server streaming as a list that arrives element by element, and as lines', async () => {
    for (const accept of ['application/json', 'application/x-ndjson']) {
      const sent = request({ port: near, host: '127.0.0.1', path: `/v1/items?count=${WAITING}`, headers: { accept } });
      sent.end();
      const [reply] = (await once(sent, 'response')) as [IncomingMessage];
      assert.equal(reply.headers['content-type'], accept);
      let text = '';
      reply.setEncoding('utf8').on('data', (piece: string) => (text += piece));
      await until('the first element', () => text.includes('first'));
      assert.equal(reply.complete, false);
      shop.go();
      await once(reply, 'end');
      const items = (accept === 'application/json' ? JSON.parse(text) : text.trimEnd().split('\n').map((line) => JSON.parse(line) as unknown)) as Json[];
      assert.deepEqual([items.length, items[0]!['name'], items[76]!['name']], [WAITING, 'first', 'item 76']);
    }
    assert.equal((await call('GET', '/v1/items')).text, '[]');
    assert.equal((await call('GET', '/v1/items', undefined, { accept: 'application/x-ndjson' })).text, '');
    const long = (JSON.parse((await call('GET', '/v1/items?count=150&padding=65536')).text) as Json[]).map((one) => (one['picture'] as string).length);
    assert.deepEqual(long, Array(150).fill(Math.ceil(65_536 / 3) * 4));
  });

  await t.test('a stream that fails in the middle ends with its error', async () => {
    const reply = await call('GET', '/v1/items?count=5&fail_after=2');
    assert.equal(reply.status, 200);
    assert.deepEqual(JSON.parse(reply.text), [{ name: 'item 0' }, { name: 'item 1' }, { error: { code: 15, message: 'the shelf broke', details: [] } }]);
    const lines = (await call('GET', '/v1/items?count=5&failAfter=1', undefined, { accept: 'application/x-ndjson' })).text.trimEnd().split('\n');
    assert.deepEqual(JSON.parse(lines[1]!), { error: { code: 15, message: 'the shelf broke', details: [] } });
  });

  await t.test('client streaming from a list, from lines, from nothing', async () => {
    assert.deepEqual((await call('POST', '/v1/sums', [{ total: 1 }, { total: '2' }, {}])).json(), { count: 3, total: '3' });
    assert.deepEqual((await call('POST', '/v1/sums', '{"total":5}\n{"total":6}\n', { 'content-type': 'application/x-ndjson' })).json(), { count: 2, total: '11' });
    assert.deepEqual((await call('POST', '/v1/sums', [])).json(), {});
    assert.deepEqual(JSON.parse((await call('POST', '/v1/chat', [{ name: 'a' }, { name: 'b' }])).text), [{ name: 'a' }, { name: 'b' }]);
    const bad = await call('POST', '/v1/sums', [{}, { total: 'x' }]);
    assert.deepEqual([bad.status, bad.json()['code']], [400, 3]);
    assert.match(String(bad.json()['message']), /\[1\]\.total: a whole number was expected, not "x"/);
  });

  await t.test('errors of the service: status, message, and details whose types are known', async () => {
    const reply = await call('GET', '/v1/item/x?fail=true');
    assert.deepEqual([reply.status, reply.json()], [404, { code: 5, message: 'no such item: grün', details: [{ '@type': 'type.googleapis.com/shop.v1.Part', name: 'hint' }] }]);
    await until('the log', () => sluice.lines.some((line) => / 404 /.test(line)));
  });

  for (const [what, method, path, body, message] of [
    ['no JSON', 'POST', '/v1/items', '{"name": ', /the content is no JSON: /],
    ['a list in place of an object', 'POST', '/v1/items', '[]', /an object was expected, not a list/],
    ['a field that does not fit', 'POST', '/v1/items', '{"parts": [{}, {"inner": {"count": 1.5}}]}', /parts\[1\]\.inner\.count: a whole number was expected, not 1\.5/],
    ['a field that is not there', 'POST', '/v1/items', '{"parts": [{"nme": 1}]}', /parts\[0\]\.nme: Part has no such field/],
    ['two fields of a oneof', 'POST', '/v1/items', '{"person": "a", "shop": {}}', /shop: another field of the same oneof is given/],
    ['an unknown parameter', 'GET', '/v1/item/x?colour=RED', undefined, /query parameter colour: GetItem has no such field/],
    ['a parameter that the path gives', 'GET', '/v1/item/x?name=y', undefined, /query parameter name: /],
    ['a parameter that does not fit', 'GET', '/v1/item/x?revision=no', undefined, /query parameter revision: a whole number was expected, not "no"/],
    ['a path that is not encoded right', 'GET', '/v1/item/%zz', undefined, /name in the path: it is not percent-encoded right/],
    ['no UTF-8', 'POST', '/v1/items', Buffer.from('{"name":"\xff"}', 'latin1'), /no UTF-8/],
  ] as const) {
    await t.test(`400 with where: ${what}`, async () => {
      const reply = await fetch(`http://127.0.0.1:${near}${path}`, { method, ...(body === undefined ? {} : { body }) });
      const text = await reply.text();
      assert.equal(reply.status, 400, text);
      const json = JSON.parse(text) as Json;
      assert.deepEqual([reply.headers.get('content-type'), reply.headers.get('x-sluice-reason'), json['code']], ['application/json', 'bad-request', 3]);
      assert.match(String(json['message']), message);
    });
  }

  await t.test('a client that waits for a word before it sends its content gets it', async () => {
    const sent = request({ port: near, host: '127.0.0.1', method: 'POST', path: '/v1/items', headers: { expect: '100-continue', 'content-type': 'application/json' } });
    sent.flushHeaders();
    await once(sent, 'continue');
    sent.end('{"name": "asked"}');
    const [reply] = (await once(sent, 'response')) as [IncomingMessage];
    let text = '';
    for await (const piece of reply) text += String(piece);
    assert.deepEqual([reply.statusCode, JSON.parse(text)], [200, { name: 'asked' }]);
  });

  await t.test('failures on the way: no host, no gRPC, too much', async () => {
    const gone = await call('GET', '/v1/item/x', undefined, { 'x-to': 'dead' });
    assert.deepEqual([gone.status, gone.json()['code']], [503, 14]);
    const large = await call('POST', '/v1/items', { name: 'x'.repeat(300) }, { 'x-to': 'small' });
    assert.deepEqual([large.status, large.json()['code']], [413, 8]);
    const reply = await call('GET', '/v1/items?count=2&padding=1000', undefined, { 'x-to': 'small' });
    assert.deepEqual(JSON.parse(reply.text), [{ error: { code: 13, message: `the reply of host 127.0.0.1:${shop.port} is over its limit of 200`, details: [] } }]);
    const late = await call('POST', '/shop.v1.Shop/Plain', { name: 'never' }, { 'grpc-timeout': '150m' });
    assert.deepEqual([late.status, late.json()['code']], [504, 4]);
  });

  await t.test('a path without a rule: the next route, the same host as it is, or 404', async () => {
    assert.equal((await call('GET', '/v1/elsewhere')).text, 'plain GET /v1/elsewhere');
    assert.equal((await call('GET', '/any?x=1')).text, 'plain GET /any?x=1');
    assert.equal((await call('GET', '/v1/elsewhere', undefined, { 'x-to': 'pass' })).text, 'plain GET /v1/elsewhere');
    const none = await call('GET', '/v1/elsewhere', undefined, { 'x-to': 'strict' });
    assert.deepEqual([none.status, none.headers.get('x-sluice-reason')], [404, 'no-route']);
    assert.equal((await call('GET', '/v1/items/x', undefined, { 'x-to': 'strict' })).status, 404, 'a rule for DELETE only');
  });

  await t.test('options of the listener hold where a route has none', async () => {
    const get = async (path: string, to = ''): Promise<string> => (await fetch(`http://127.0.0.1:${near3}${path}`, { headers: { 'x-to': to } })).text();
    assert.equal((JSON.parse(await get('/v1/item/x')) as Json)['name'], 'x');
    assert.equal(await get('/off/item/x'), 'plain GET /v1/item/x');
    // A cluster that does not say that it speaks HTTP/2.
    assert.match(String((JSON.parse(await get('/v1/item/x', 'plain')) as Json)['message']), /protocol http2 of the listener cannot be carried to cluster shop1, which speaks http1/);
    assert.match(await get('/elsewhere'), /no route matches/);
  });

  await t.test('options of replies', async () => {
    const item = (await call('POST', '/v1/items', { color: 'BLUE', madeAt: '2026-01-01T00:00:00Z', unknown: 1 }, { 'x-to': 'lax' })).json();
    assert.deepEqual([item['color'], item['made_at'], item['stock'], item['tags'], item['sizes'], item['sold'], item['odd_name'], item['rank'], item['shop']], [2, '2026-01-01T00:00:00Z', '0', [], {}, false, '', undefined, undefined]);
  });

  await t.test('over HTTP/2', async () => {
    const { connect } = await import('node:http2');
    const client = connect(`http://127.0.0.1:${near2}`);
    try {
      for (const path of ['/v1/item/two', '/v1/items?count=2']) {
        const sent = client.request({ ':path': path });
        const [headers] = (await once(sent, 'response')) as [Record<string, string>];
        let text = '';
        for await (const piece of sent) text += String(piece);
        assert.equal(Number(headers[':status']), 200, text);
        const json = JSON.parse(text) as Json | Json[];
        assert.equal(Array.isArray(json) ? json[1]!['name'] : json['name'], Array.isArray(json) ? 'item 1' : 'two');
      }
    } finally {
      client.close();
    }
  });
});

test('the descriptor set is read again with the configuration; a broken one is refused at its line, and the former stays in force', { timeout: 60_000 }, async (t) => {
  const shop = await serveShop(t);
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'sluice-json-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'sluice.yaml');
  const text = (comment: string): string => `# ${comment}
admin: \${ADMIN}
listeners: [{name: h1, address: "127.0.0.1:${port}", protocol: http1, routes: main, stream_filters: [grpc_json]}]
routes:
  - name: main
    routes:
      - cluster: shop
        filters:
          grpc_json:
            descriptor: shop.binpb
clusters: [{name: shop, protocol: http2, hosts: "127.0.0.1:${shop.port}"}]
`;
  copyFileSync(DESCRIPTOR, join(folder, 'shop.binpb'));
  writeFileSync(file, text('one'));
  const sluice = await start(t, { file, args: ['--workers', '1'] });
  const get = async (): Promise<number> => (await fetch(`http://127.0.0.1:${port}/v1/item/x`)).status;
  assert.equal(await get(), 200);
  // Garbage, seen from the configuration's own folder.
  writeFileSync(join(folder, 'shop.binpb'), 'no descriptor set');
  writeFileSync(file, text('two'));
  await until('the refusal', () => /routes\[0\]\.routes\[0\]\.filters\.grpc_json\.descriptor.*it is no descriptor set/.test(sluice.stderr + sluice.stdout), 20_000);
  assert.match(sluice.stderr + sluice.stdout, /sluice\.yaml:10:/);
  assert.equal(await get(), 200);
  // Another set: the path moves.
  writeFileSync(join(folder, 'shop.binpb'), Buffer.from(readFileSync(DESCRIPTOR).toString('latin1').replaceAll('/v1/item/{name}', '/v2/item/{name}'), 'latin1'));
  writeFileSync(file, text('three'));
  await until('the new path', async () => (await fetch(`http://127.0.0.1:${port}/v2/item/x`)).status === 200, 20_000);
  assert.equal(await get(), 404);
});

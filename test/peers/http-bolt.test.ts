// The filter http_bolt in the real program: calls in JSON to unmodified SOFARPC servers of Node, frames as they are to HTTP and back.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { connect as connectHttp2, createServer as createHttp2, type ServerHttp2Session } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { resolve } from 'node:path';
import { after, test, type TestContext } from 'node:test';
import { bodyOf, send, serveHttp, type Reply } from '../support/http.js';
import { JavaProgram, prepareJava } from '../support/java.js';
import { freePort, start, until, type Sluice } from '../support/sluice.js';

const SERVICE = 'com.example.Shop';

/** A sofa-rpc-node server in a process of its own. */
async function serve(t: TestContext, port: number): Promise<void> {
  const script = `
    const { RpcServer } = require('sofa-rpc-node').server;
    const logger = { info() {}, warn() {}, error() {}, debug() {} };
    const server = new RpcServer({ logger, port: ${port}, autoServe: false });
    server.addService({ interfaceName: '${SERVICE}' }, {
      async greet(name) { return 'hello ' + name; },
      async show(...args) { return JSON.stringify(args); },
      async back(value) { return value; },
      async sum(a, b) { return a + b; },
      async order() { return { $class: 'com.example.Order', $: { id: { $class: 'long', $: '9007199254740993' }, when: new Date(1700000000000), lines: [{ $class: 'com.example.Line', $: { sku: 'a', count: 2 } }], note: null } }; },
      async loop() { const one = { $class: 'com.example.Node', $: { name: 'x', next: null } }; one.$.next = one; return one; },
      async twice() { const line = { $class: 'com.example.Line', $: { sku: 'b' } }; return [line, line]; },
      async slow(ms) { await new Promise((r) => setTimeout(r, ms)); return 'late'; },
      async fail(text) { throw new Error(text); },
      async nothing() { return null; },
      async big(n) { return 'x'.repeat(n); },
    });
    server.start().then(() => console.log('up'));
  `;
  const child = spawn(process.execPath, ['-e', script], { cwd: resolve('.'), stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  await Promise.race([once(child.stdout!, 'data'), once(child, 'exit').then(() => assert.fail('the Node server ended'))]);
}

interface Through {
  readonly sluice: Sluice;
  readonly port: number;
  call(path: string, body?: unknown, headers?: Record<string, string>): Promise<Reply>;
}

async function through(t: TestContext, host: number, { filter = '', route = '', protocol = 'http1' } = {}): Promise<Through> {
  const port = await freePort();
  const sluice = await start(t, {
    config: `
access_log: {format: "%operation% %response_code% %reason%"}
listeners: [{name: in, address: "127.0.0.1:${port}", protocol: ${protocol}, routes: main, stream_filters: [{type: http_bolt${filter}}]}]
routes: [{name: main, routes: [{cluster: servers, timeout: 20s${route}}]}]
clusters: [{name: servers, protocol: bolt, hosts: "127.0.0.1:${host}"}]
`,
  });
  return { sluice, port, call: (path, body, headers = {}) => send(port, { method: 'POST', path, headers }, body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body)) };
}

const json = (reply: Reply): unknown => {
  assert.equal(reply.headers['content-type'], 'application/json', reply.text);
  assert.equal(Number(reply.headers['content-length']), reply.body.length);
  return JSON.parse(reply.text) as unknown;
};
/** The error of a reply with this status. */
const failure = (reply: Reply, status: number): Record<string, string> => {
  assert.equal(reply.status, status, reply.text);
  return (json(reply) as { error: Record<string, string> }).error;
};

test('calls in JSON reach a SOFARPC server, and its results come back as JSON', { timeout: 120_000 }, async (t) => {
  const server = await freePort();
  await serve(t, server);
  for (const filter of ['', ', frame: v2']) {
    const { sluice, call } = await through(t, server, { filter });
    const ok = async (method: string, body?: unknown): Promise<unknown> => {
      const reply = await call(`/${SERVICE}/${method}`, body);
      assert.equal(reply.status, 200, reply.text);
      return json(reply);
    };
    assert.equal(await ok('greet', ['Ann \u{1f600} é']), 'hello Ann \u{1f600} é');
    assert.equal(await ok('greet', { args: ['Bob'], types: ['java.lang.String'] }), 'hello Bob');
    const all = ['text', 1, -3_000_000_000, 1.5, true, false, null, [1, [2, 'x'], []], { a: { b: [1] }, c: 'd' }];
    assert.deepEqual(JSON.parse((await ok('show', all)) as string), all);
    assert.deepEqual(await ok('back', [{ list: [1, 2.5, 'three', null, { deep: true }], text: 'y'.repeat(70_000) }]), { list: [1, 2.5, 'three', null, { deep: true }], text: 'y'.repeat(70_000) });
    assert.equal(await ok('back', '[9007199254740993]'), '9007199254740993', 'a long that JSON readers do not hold exactly');
    assert.equal(await ok('back', { args: ['2024-01-31T12:00:00Z'], types: ['java.util.Date'] }), '2024-01-31T12:00:00.000Z');
    assert.equal(await ok('back', { args: ['aGVsbG8='], types: ['byte[]'] }), 'aGVsbG8=');
    assert.equal(await ok('sum', [20, 22]), 42);
    assert.equal(await ok('nothing'), null);
    assert.deepEqual(await ok('order'), { id: '9007199254740993', when: '2023-11-14T22:13:20.000Z', lines: [{ sku: 'a', count: 2 }], note: null });
    assert.deepEqual(await ok('twice'), [{ sku: 'b' }, { sku: 'b' }]);
    await until('a line for each call', () => sluice.lines.length === 11, 30_000);
    assert.equal(await sluice.metric('sluice_cluster_connects_total'), 1, 'one connection to the host');
    assert.equal(await sluice.metric('sluice_cluster_active_requests'), 0);
  }
});

test('classes on request; service and method fixed by the route; types by the configuration', { timeout: 60_000 }, async (t) => {
  const server = await freePort();
  await serve(t, server);
  const { call } = await through(t, server, { filter: ', classes: true', route: `, filters: {http_bolt: {service: ${SERVICE}, prefix: /shop/, classes: true, types: {sum: [long, double]}}}` });
  assert.deepEqual(json(await call('/shop/order?x=1')), { $class: 'com.example.Order', id: '9007199254740993', when: '2023-11-14T22:13:20.000Z', lines: [{ $class: 'com.example.Line', sku: 'a', count: 2 }], note: null });
  assert.equal(json(await call('/shop/sum', [1, 2])), 3);
  assert.match(failure(await call('/shop/sum', [1, 'x']), 400)['message']!, /args\[1\] is no double/);
  assert.match(failure(await call('/shop/sum', [1]), 400)['message']!, /has 1 arguments for 2 parameters \(long, double\)/);
  assert.match(failure(await call(`/${SERVICE}/sum`, [1]), 400)['message']!, /the path is not \/shop\/METHOD/);
});

test('what goes wrong is said in JSON with a status of HTTP', { timeout: 120_000 }, async (t) => {
  const [server, dead] = [await freePort(), await freePort()];
  await serve(t, server);
  const { call, sluice, port } = await through(t, server, { filter: ', max_body: 100KiB' });
  assert.match(failure(await call(`/${SERVICE}/fail`, ['as asked']), 500)['message']!, /as asked/);
  assert.match(failure(await call(`/${SERVICE}/missing`), 500)['message']!, /missing/);
  assert.ok(failure(await call('/com.example.Nobody/go'), 500)['message']!.length > 0);
  const broken = failure(await call(`/${SERVICE}/greet`, '["a",\n  }'), 400);
  assert.equal(broken['code'], 'bad-request');
  assert.match(broken['message']!, /no value begins so at line 2, column 3/);
  assert.match(failure(await call(`/${SERVICE}/greet`, '"Ann"'), 400)['message']!, /neither a list of arguments/);
  assert.match(failure(await call('/nothing', '[]'), 400)['message']!, /the path is not \/SERVICE\/METHOD/);
  const got = await send(port, { path: `/${SERVICE}/greet` });
  assert.equal(failure(got, 405)['code'], 'method-not-allowed');
  assert.equal(got.headers['allow'], 'POST');
  assert.equal(failure(await call(`/${SERVICE}/greet`, [`${'x'.repeat(150_000)}`]), 413)['code'], 'body-too-large');
  assert.match(failure(await call(`/${SERVICE}/big`, [200_000]), 502)['message']!, /longer than 102400 characters/);
  assert.equal(failure(await call(`/${SERVICE}/big`, [500_000]), 502)['code'], 'reply-too-large', 'a reply in pieces');
  assert.match(failure(await call(`/${SERVICE}/loop`), 502)['message']!, /contains itself/);
  assert.equal(failure(await call(`/${SERVICE}/slow`, [15_000], { 'bolt-timeout': '300' }), 504)['code'], 'request-timeout');
  assert.equal(json(await call(`/${SERVICE}/greet`, ['again'])), 'hello again');
  await until('no exchange is left', async () => (await sluice.metric('sluice_cluster_active_requests')) === 0);

  const lost = await through(t, dead);
  assert.equal(failure(await lost.call(`/${SERVICE}/greet`, ['x']), 503)['code'], 'connect-refused');
});

test('clients of HTTP/2 as well, many at once', { timeout: 60_000 }, async (t) => {
  const server = await freePort();
  await serve(t, server);
  const { port } = await through(t, server, { protocol: 'http2' });
  const client = connectHttp2(`http://127.0.0.1:${port}`);
  t.after(() => client.destroy());
  const call = (method: string, body: string): Promise<{ status: number; text: string }> =>
    new Promise((done, failed) => {
      const stream = client.request({ ':method': 'POST', ':path': `/${SERVICE}/${method}` });
      let status = 0;
      let text = '';
      stream.on('response', (headers) => (status = headers[':status']!));
      stream.setEncoding('utf8').on('data', (piece: string) => (text += piece)).on('error', failed).on('end', () => done({ status, text }));
      stream.end(body);
    });
  const many = await Promise.all(Array.from({ length: 50 }, (_, i) => call('greet', `["${i}"]`)));
  assert.deepEqual(many, Array.from({ length: 50 }, (_, i) => ({ status: 200, text: `"hello ${i}"` })));
  assert.equal((await call('greet', '{')).status, 400);
});

test('HTTP over Bolt and back to HTTP: requests and replies arrive as they were', { timeout: 60_000 }, async (t) => {
  const { port: host } = await serveHttp(t, async (asked, reply) => {
    const body = await bodyOf(asked);
    if (asked.url === '/missing') reply.writeHead(404, { 'content-type': 'text/plain', 'x-why': 'gone' }).end('no such thing');
    else reply.writeHead(201, { 'x-seen': [asked.method, asked.url, asked.headers['host'], asked.headers['x-own'], asked.headers['bolt-class']].join(' ') }).end(body);
  });
  const second = createHttp2((asked, reply) => {
    const pieces: Buffer[] = [];
    asked.on('data', (piece: Buffer) => pieces.push(piece));
    asked.on('end', () => {
      if (asked.url === '/missing') reply.writeHead(404, { 'content-type': 'text/plain', 'x-why': 'gone' }).end('no such thing');
      else reply.writeHead(201, { 'x-seen': [asked.method, asked.url, asked.authority, asked.headers['x-own'], asked.headers['bolt-class']].join(' ') }).end(Buffer.concat(pieces));
    });
  });
  const sessions = new Set<ServerHttp2Session>();
  second.on('session', (session) => sessions.add(session));
  second.listen(0, '127.0.0.1');
  await once(second, 'listening');
  t.after(() => {
    for (const session of sessions) session.destroy();
    second.close();
  });
  const hosts = { http1: host, http2: (second.address() as AddressInfo).port };
  for (const [upstream, frame] of [['http1', 'v1'], ['http2', 'v2']] as const) {
    const [bolt, http] = [await freePort(), await freePort()];
    await start(t, {
      config: `
listeners:
  - {name: bolt, address: "127.0.0.1:${bolt}", protocol: bolt, cluster: app, stream_filters: [{type: http_bolt, upstream: ${upstream}}]}
  - {name: http, address: "127.0.0.1:${http}", protocol: http1, cluster: bolt, stream_filters: [{type: http_bolt, mode: raw, class: com.example.Raw, codec: 12, frame: ${frame}}]}
clusters:
  - {name: app, protocol: ${upstream}, hosts: "127.0.0.1:${hosts[upstream]}"}
  - {name: bolt, protocol: bolt, hosts: "127.0.0.1:${bolt}"}
`,
    });
    const body = Buffer.from(Array.from({ length: 100_000 }, (_, i) => (i * 7) & 255));
    const reply = await send(http, { method: 'PUT', path: '/a/b?c=d', headers: { 'x-own': 'mine', host: 'shop.example.com' } }, body);
    assert.equal(reply.status, 201);
    assert.equal(reply.headers['x-seen'], 'PUT /a/b?c=d shop.example.com mine com.example.Raw');
    assert.deepEqual(reply.body, body);
    const missing = await send(http, { path: '/missing' });
    assert.deepEqual([missing.status, missing.text, missing.headers['x-why'], missing.headers['content-type']], [404, 'no such thing', 'gone', 'text/plain']);
  }
});

test('unmodified clients of Bolt call a host that speaks HTTP', { timeout: 60_000 }, async (t) => {
  const seen: string[] = [];
  const { port: host } = await serveHttp(t, async (asked, reply) => {
    const body = await bodyOf(asked);
    seen.push(`${asked.method} ${asked.url} ${asked.headers['content-type']} ${body.length > 0}`);
    // What a SOFARPC server would have sent, in the dialect of the client.
    const text = Buffer.from('from HTTP');
    const object = Buffer.from('com.alipay.sofa.rpc.core.response.SofaResponse');
    const content = Buffer.concat([
      Buffer.from([0x4f, 0xc8, object.length]), object, Buffer.from([0x94]),
      ...['isError', 'errorMsg', 'appResponse', 'responseProps'].flatMap((name) => [Buffer.from([name.length]), Buffer.from(name)]),
      Buffer.from([0x6f, 0x90, 0x46, 0x4e, text.length]), text, Buffer.from([0x4e]),
    ]);
    reply.writeHead(200, { 'bolt-class': 'com.alipay.sofa.rpc.core.response.SofaResponse' }).end(content);
  });
  const port = await freePort();
  await start(t, {
    config: `
listeners: [{name: bolt, address: "127.0.0.1:${port}", protocol: bolt, cluster: app, stream_filters: [http_bolt]}]
clusters: [{name: app, protocol: http1, hosts: "127.0.0.1:${host}"}]
`,
  });
  interface Consumer {
    ready(): Promise<void>;
    invoke(method: string, args: unknown[], options?: object): Promise<unknown>;
    close(): void;
  }
  const require = createRequire(resolve('package.json'));
  const { RpcClient } = (require('sofa-rpc-node') as { client: { RpcClient: new (options: object) => { createConsumer(options: object): Consumer; close(): Promise<void> } } }).client;
  const client = new RpcClient({ logger: { info() {}, warn() {}, error() {}, debug() {} } });
  const consumer = client.createConsumer({ interfaceName: SERVICE, serverHost: `127.0.0.1:${port}` });
  await consumer.ready();
  t.after(async () => {
    consumer.close();
    await client.close();
  });
  assert.equal(await consumer.invoke('greet', ['x'], { responseTimeout: 10_000 }), 'from HTTP');
  assert.match(seen[0]!, new RegExp(`^POST /${SERVICE}\\S* application/octet-stream true$`));
});

const javas = { '5.13': prepareJava('test/peers/java/sofa'), '5.5': prepareJava('test/peers/java/sofa55', ...['Hello', 'Person', 'SofaClient', 'SofaServer'].map((name) => `test/peers/java/sofa/${name}.java`)) };

for (const [version, java] of Object.entries(javas)) {
  test(`calls in JSON reach a Java server of SOFARPC ${version}: types choose the method, objects have classes`, { skip: 'skip' in java ? java.skip : false, timeout: 180_000 }, async (t) => {
    assert.ok(!('skip' in java));
    const server = await freePort();
    const opened = ['lang', 'math', 'util'].flatMap((one) => ['--add-opens', `java.base/java.${one}=ALL-UNNAMED`]);
    const program = new JavaProgram(java, 'com.example.SofaServer', [server, 'J', 'blue'], opened);
    t.after(() => program.stop());
    await program.ready;
    const { call } = await through(t, server, { filter: ', allowed_classes: [com.example.Person], types: {sayHello: [java.lang.String], slow: [int], older: [com.example.Person, int]}' });
    const hello = 'com.example.Hello';
    const ok = async (path: string, body?: unknown): Promise<unknown> => {
      const reply = await call(path, body);
      assert.equal(reply.status, 200, reply.text);
      return json(reply);
    };
    assert.equal(await ok(`/${hello}/sayHello`, ['Ann \u{1f600} é']), 'hello Ann \u{1f600} é from J');
    assert.equal(await ok(`/${hello}:1.0:blue/sayHello`, ['Ann']), 'hello Ann from J-blue');
    assert.equal(await ok(`/${hello}/slow`, [1]), 'slept 1 at J');
    assert.deepEqual(await ok(`/${hello}/older`, [{ name: 'Bob', age: 40 }, 2]), { name: 'Bob of J', age: 42 });
    const bytes = Buffer.from(Array.from({ length: 70_000 }, (_, i) => i & 255)).toString('base64');
    assert.equal(await ok(`/${hello}/echo`, { types: ['byte[]'], args: [bytes] }), bytes);
    assert.equal(await ok(`/${hello}/note`, ['x'.repeat(40_000)]), null);
    assert.equal((await ok(`/${hello}/noted`) as string).length, 40_000);
    assert.deepEqual(failure(await call(`/${hello}/fail`, ['as asked']), 500), { class: 'java.lang.IllegalStateException', message: 'as asked' });
    assert.match(failure(await call(`/${hello}/missing`, [1]), 500)['message']!, /missing|method/i);
    assert.match(failure(await call('/com.example.Nobody/go'), 500)['message']!, /com\.example\.Nobody/);
    assert.equal(failure(await call(`/${hello}/slow`, [20_000], { 'bolt-timeout': '500' }), 504)['code'], 'request-timeout');
  });
}

// The client library leaves timers behind that would keep this process for half a minute.
after(() => setTimeout(() => process.exit(), 1000).unref());

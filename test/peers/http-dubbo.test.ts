// The filter http_dubbo in the real program: requests in JSON call unmodified Java servers of Dubbo 3.3 and 2.7.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import { send, type Reply } from '../support/http.js';
import { JavaProgram, prepareJava } from '../support/java.js';
import { freePort, start, until, type Sluice } from '../support/sluice.js';

const sources = 'test/peers/java/dubbo';
const versions = ['3.3', '2.7'] as const;
type Version = (typeof versions)[number];
const peers = { '3.3': prepareJava(sources), '2.7': prepareJava('test/peers/java/dubbo27', sources) };
const missing = versions.map((version) => peers[version]).find((one) => 'skip' in one);
const skip = missing !== undefined && 'skip' in missing ? missing.skip : false;

const SHOP = 'com.example.Shop';
const GREETER = 'com.example.Greeter';
let folder = '';
const servers = {} as Record<Version, { readonly port: number; readonly program: JavaProgram }>;

async function serve(version: Version, name: string): Promise<{ port: number; program: JavaProgram }> {
  const classes = peers[version];
  assert.ok(!('skip' in classes));
  const port = await freePort();
  const opened = ['lang', 'math', 'util'].flatMap((one) => ['--add-opens', `java.base/java.${one}=ALL-UNNAMED`]);
  const program = new JavaProgram(classes, 'com.example.DubboServer', [port, name, 'Shop//,Greeter/blue/1.0.0,Greeter//2.0.0'], [`-Djdk.net.hosts.file=${join(folder, 'hosts')}`, ...opened]);
  await program.ready;
  return { port, program };
}

before(async () => {
  if (skip !== false) return;
  folder = mkdtempSync(join(tmpdir(), 'sluice-http-dubbo-'));
  writeFileSync(join(folder, 'hosts'), `127.0.0.1 ${hostname()} localhost\n`);
  for (const version of versions) servers[version] = await serve(version, `server${version}`);
});

after(async () => {
  await Promise.all(Object.values(servers).map(({ program }) => program.stop()));
  if (folder !== '') rmSync(folder, { recursive: true, force: true });
});

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
listeners: [{name: in, address: "127.0.0.1:${port}", protocol: ${protocol}, routes: main, stream_filters: [{type: http_dubbo${filter}}]}]
routes: [{name: main, routes: [{cluster: servers, timeout: 30s${route}}]}]
clusters: [{name: servers, protocol: dubbo, hosts: "127.0.0.1:${host}"}]
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

describe('HTTP to Dubbo', { skip, timeout: 300_000 }, () => {
  for (const version of versions) {
    test(`calls of a server of ${version}: objects in and out without their classes`, async (t) => {
      const { sluice, call } = await through(t, servers[version].port);
      const ok = async (path: string, body?: unknown, headers?: Record<string, string>): Promise<unknown> => {
        const reply = await call(path, body, headers);
        assert.equal(reply.status, 200, reply.text);
        return json(reply);
      };
      const ann = (await ok(`/${SHOP}/guest`, ['Ann \u{1f600} é', 33])) as Record<string, unknown>;
      assert.deepEqual(ann, { name: 'Ann \u{1f600} é', age: 33, mood: 'GOOD', balance: '12.50', since: '2020-09-13T12:26:40.000Z', picture: 'AQID', friends: [] });
      const older = (await ok(`/${SHOP}/older`, [{ name: 'Bob', age: 40, mood: 'BAD', balance: '7.25', friends: [{ name: 'Cid', age: 9 }] }, 2])) as Record<string, unknown>;
      assert.deepEqual([older['name'], older['age'], older['mood'], older['balance'], (older['friends'] as { name: string }[])[0]!.name], ['Bob', 42, 'BAD', '7.25', 'Cid']);
      assert.equal(await ok(`/${SHOP}/count`, { types: ['int'], args: [7] }), 'int 7');
      assert.equal(await ok(`/${SHOP}/count`, { types: ['java.lang.String'], args: ['7'] }), 'text 7');
      assert.equal(await ok(`/${SHOP}/sum`, { types: ['java.util.List<java.lang.Long>'], args: [[1, '9007199254740993']] }), '9007199254740994', 'a long that JSON readers do not hold exactly');
      assert.deepEqual(await ok(`/${SHOP}/names`, [{ x: { name: 'B', age: 2, mood: 'BAD' }, y: { name: 'A', age: 1 } }]), ['A 1 GOOD', 'B 2 BAD']);
      assert.equal(await ok(`/${SHOP}/power`, [71]), '-2361183241434822606848');
      assert.equal(await ok(`/${SHOP}/negated`, { types: ['java.math.BigInteger'], args: ['2361183241434822606848'] }), '-2361183241434822606848');
      assert.equal(await ok(`/${SHOP}/nothing`), null);
      const any = ['text', 1, -3_000_000_000, 1.5, 0.1, 1e300, true, null, [[], 'x'], { a: { b: [1] }, __proto: 1 }, 'é\u{1f600}'.repeat(40_000)];
      assert.deepEqual(await ok(`/${SHOP}/same`, [any]), any);
      const asked = { 'dubbo-group': 'blue', 'dubbo-version': '1.0.0' };
      assert.equal(await ok(`/${GREETER}/hello`, ['Ann'], asked), `hello Ann from server${version} blue/1.0.0`);
      assert.equal(await ok(`/${GREETER}/hello`, ['Ann'], { 'dubbo-version': '2.0.0' }), `hello Ann from server${version} /2.0.0`);
      assert.equal(await ok(`/${GREETER}/length`, ['y'.repeat(1_000_000)], asked), 1_000_000);
      assert.equal((await ok(`/${GREETER}/repeat`, [1_000_000], asked) as string).length, 1_000_000);
      const facts = { a: 'b' };
      const guests = [{ name: 'A', age: 1 }, { name: 'B', age: 2 }];
      const told = (await ok(`/${GREETER}/attachments`, [guests, facts, 2 ** 40, [0.5, 0.25], guests[0]], { ...asked, 'dubbo-attachment-x-env': 'test', 'dubbo-attachment-generic': 'raw.return' })) as string;
      assert.match(told, /(^|,)x-env=test(,|$)/);
      await until('no call is left', async () => (await sluice.metric('sluice_cluster_active_requests')) === 0, 30_000);
      assert.ok((await sluice.metric('sluice_cluster_connects_total')) <= 2, 'connections are shared; a long request has one of its own');
    });

    test(`what a server of ${version} throws, and what is wrong with a call, is said in JSON`, async (t) => {
      const { call, port, sluice } = await through(t, servers[version].port, { filter: ', max_body: 200KiB, group: blue, version: 1.0.0' });
      const thrown = failure(await call(`/${GREETER}/fail`, ['as asked']), 500);
      assert.equal(thrown['class'], 'java.lang.IllegalStateException');
      assert.equal(thrown['message'], 'as asked');
      assert.deepEqual(failure(await call(`/${GREETER}/refuse`, ['no, thanks']), 500), { class: 'com.example.Refusal', message: 'no, thanks' });
      const any = { 'dubbo-group': '', 'dubbo-version': '' };
      assert.match(failure(await call(`/${SHOP}/missing`, [], any), 500)['message']!, /missing/);
      assert.match(failure(await call(`/${SHOP}/count`, [1], any), 500)['message']!, /unique|overload|count/i, 'which of two is to be said');
      const nobody = await call('/com.example.Nobody/go', [], any);
      // 3.3 cannot read a call of what it does not have.
      if (version === '3.3') assert.equal(failure(nobody, 400)['status'], 'bad request');
      else assert.match(failure(nobody, 500)['message']!, /com\.example\.Nobody/);
      assert.equal(failure(await call(`/${SHOP}/loop`, ['x'], any), 502)['code'], 'bad-reply');
      assert.match(failure(await call(`/${SHOP}/sum`, '[[1, 2'), 400)['message']!, /"," or "\]" was expected at line 1, column 7/);
      assert.match(failure(await call(`/${SHOP}/count`, { types: ['int'], args: ['x'] }, any), 400)['message']!, /args\[0\] is no int/);
      assert.match(failure(await call(`/${SHOP}/older`, [{ $class: 'com.example.Guest', name: 'x' }, 1], any), 400)['message']!, /may not name/);
      assert.match(failure(await call(`/${SHOP}/same`, [{ class: 'com.example.Guest', name: 'x' }], any), 400)['message']!, /may not name/);
      assert.equal(failure(await send(port, { path: `/${SHOP}/nothing` }), 405)['code'], 'method-not-allowed');
      assert.equal(failure(await call(`/${GREETER}/length`, ['y'.repeat(300_000)]), 413)['code'], 'body-too-large');
      assert.equal(failure(await call(`/${GREETER}/repeat`, [300_000]), 502)['code'], 'reply-too-large');
      assert.equal(failure(await call(`/${GREETER}/slow`, [20_000], { 'dubbo-timeout': '500' }), 504)['code'], 'request-timeout');
      assert.equal(json(await call(`/${GREETER}/hello`, ['again'])), `hello again from server${version} blue/1.0.0`);
      await until('no call is left', async () => (await sluice.metric('sluice_cluster_active_requests')) === 0, 30_000);
    });
  }

  test('classes that requests may name, and classes in results; the service and types by the route', async (t) => {
    const { call } = await through(t, servers['3.3'].port, { route: `, filters: {http_dubbo: {service: ${SHOP}, prefix: /shop/, classes: true, allowed_classes: [com.example.*], types: {count: [int], ${SHOP}.older: [com.example.Guest, int]}}}` });
    const guest = json(await call('/shop/same', [{ $class: 'com.example.Guest', name: 'x', age: 5 }])) as Record<string, unknown>;
    assert.deepEqual([guest['$class'], guest['age'], guest['mood']], ['com.example.Guest', 5, 'GOOD']);
    assert.equal(json(await call('/shop/count', [7])), 'int 7');
    assert.equal((json(await call('/shop/older', [{ name: 'x', age: 5 }, 1])) as { age: number }).age, 6);
    assert.match(failure(await call('/shop/same', [{ $class: 'java.lang.Runtime' }]), 400)['message']!, /java\.lang\.Runtime/);
  });

  test('clients of HTTP/2, many at once; a host that is not there', async (t) => {
    const { port } = await through(t, servers['3.3'].port, { protocol: 'http2' });
    const client = connectHttp2(`http://127.0.0.1:${port}`);
    t.after(() => client.destroy());
    const one = (i: number): Promise<string> =>
      new Promise((done, failed) => {
        const stream = client.request({ ':method': 'POST', ':path': `/${GREETER}/hello`, 'dubbo-version': '2.0.0' });
        let text = '';
        stream.setEncoding('utf8').on('data', (piece: string) => (text += piece)).on('error', failed).on('end', () => done(text));
        stream.end(`["${i}"]`);
      });
    const many = await Promise.all(Array.from({ length: 50 }, (_, i) => one(i)));
    assert.deepEqual(many, Array.from({ length: 50 }, (_, i) => `"hello ${i} from server3.3 /2.0.0"`));
    const lost = await through(t, await freePort());
    assert.equal(failure(await lost.call(`/${SHOP}/nothing`), 503)['code'], 'connect-refused');
  });
});

// The endpoints as the SDKs call them, with what SOFARPC 5.13.2 really sends; and the discovery behind them.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { catalog as builtins } from '../../../src/catalog.js';
import { Mesh } from '../../../src/control/mesh/mesh.js';
import { type Config, decode } from '../../../src/control/model.js';
import { setClock, systemClock } from '../../../src/core/clock.js';
import { configureLog } from '../../../src/core/log.js';
import { Catalog, type Manifest } from '../../../src/core/manifest.js';
import { Stats } from '../../../src/core/stats.js';
import { type FoundHost } from '../../../src/network/upstream/discovery.js';
import { Registries } from '../../../src/network/upstream/registry.js';
import { freePorts, until } from '../../support/sluice.js';

const catalog = new Catalog(builtins as readonly Manifest[]);

/** Recorded from SOFARPC 5.13.2 on Java 17; headers beside these are those of every HttpURLConnection. */
const HEADERS = { 'content-type': 'text/plain', 'user-agent': 'Java/17.0.15', accept: 'text/html, image/gif, image/jpeg, */*; q=0.2' };
const APPLICATION = '{"appName":"hello-app"}';
const SUBSCRIBE = '{"serviceName":"com.example.Hello:1.0:blue","protocolType":"bolt","targetAppAddress":null,"vipEnforce":false,"vipOnly":false,"localCloudFirst":false,"group":null,"properties":null}';
const PUBLISH = '{"serviceName":"com.example.Hello:1.0:blue","protocolType":"bolt","providerMetaInfo":{"protocol":"bolt","version":"4.0","serializeType":"hessian2","appName":"hello-app","properties":{"port":"18201"}},"onlyPublishInCloud":false,"group":null}';
const UNPUBLISH = '{"serviceName":"com.example.Hello:1.0:blue","protocolType":"bolt","group":null}';
const UNSUBSCRIBE = '{"serviceName":"com.example.Hello:1.0:blue","targetAppAddress":null,"protocolType":"bolt","group":null}';

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

describe('the endpoints of a mesh', { timeout: 60_000 }, () => {
  let folder: string;
  let mesh: Mesh;
  let registries: Registries;
  let stats: Stats;
  let base: Config;
  let inForce: Config;
  let applied: number;
  let unknown: Set<string>;
  let ill: Set<string>;
  let lines: string[];
  let port: number;
  let held: Promise<void>;
  const undo: (() => void)[] = [];

  const read = (text: string): Config => {
    const decoded = decode(text, join(folder, 'a.yaml'), catalog, undefined, { env: {} });
    assert.deepEqual(decoded.problems, []);
    return decoded.config!;
  };
  const make = (): void => {
    mesh = new Mesh({
      registries,
      stats,
      apply: async () => {
        await held;
        applied++;
        inForce = mesh.effective(base);
      },
      settled: (cluster) => !unknown.has(cluster),
      healthy: (cluster) => !ill.has(cluster),
    });
  };
  const begin = async (text: string): Promise<void> => {
    base = read(text);
    inForce = mesh.effective(base);
    await mesh.update(inForce);
  };

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'sluice-mesh-'));
    lines = [];
    void configureLog({ to: { write: (line) => void lines.push(line) } });
    registries = new Registries(catalog);
    stats = new Stats();
    applied = 0;
    unknown = new Set();
    ill = new Set();
    held = Promise.resolve();
    [port] = (await freePorts(1)) as [number];
    make();
  });
  afterEach(async () => {
    await mesh.close();
    for (const one of undo.splice(0)) one();
    rmSync(folder, { recursive: true, force: true });
  });

  const call = (path: string, body: string | null, headers: Record<string, string> = HEADERS, method = 'POST', to = port): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const asked = request({ host: '127.0.0.1', port: to, path, method, headers: { connection: 'close', ...headers } }, (reply) => {
        let text = '';
        reply.setEncoding('utf8').on('data', (piece: string) => (text += piece)).on('end', () => resolve({ status: reply.statusCode!, body: JSON.parse(text) as Record<string, unknown> }));
      });
      asked.on('error', reject).end(body ?? undefined);
    });
  const clusters = (): string[] => inForce.clusters.map((cluster) => cluster.name);
  const routes = (table: string): string[] => inForce.routes.find((one) => one.name === table)!.routes!.map((route) => `${route.match?.service?.exact} -> ${route.cluster}`);
  /** The instances that others find. */
  const found = (name: string, options: { type: string } = { type: 'memory' }): FoundHost[] => {
    const lease = registries.open(options);
    let told: readonly FoundHost[] = [];
    lease.registry.subscribe({ name, group: '', version: '' }, { onHosts: (hosts) => (told = hosts) }).close();
    lease.release();
    return [...told];
  };

  describe('for SOFARPC', () => {
    const config = (more = ''): string => `mesh: {sofa: {address: "127.0.0.1:${port}"${more}}}`;

    test('make a service routable that is subscribed, and answer with the listener to call', async () => {
      await begin(config());
      assert.deepEqual(await call('/configs/application', APPLICATION), { status: 200, body: { success: true, errorMessage: '' } });
      assert.deepEqual(await call('/services/subscribe', SUBSCRIBE), {
        status: 200,
        body: { success: true, errorMessage: '', serviceName: 'com.example.Hello:1.0:blue', datas: ['127.0.0.1:12220?p=1&v=4.0'] },
      });
      assert.deepEqual([clusters(), routes('sofa:outbound')], [['sofa:com.example.Hello:1.0:blue'], ['com.example.Hello:1.0:blue -> sofa:com.example.Hello:1.0:blue']]);
      assert.deepEqual(await call('/services/unsubscribe', UNSUBSCRIBE), { status: 200, body: { success: true, errorMessage: '' } });
      assert.deepEqual([clusters(), routes('sofa:outbound')], [[], []]);
    });

    test('take what SOFARPC 5.5 sends, which is the name of the service and little else', async () => {
      await begin(config());
      assert.equal((await call('/services/publish', '{"serviceName":"com.example.Hello:1.0:blue","providerMetaInfo":{"protocol":"bolt","version":"4.0","serializeType":"hessian2","appName":"hello-app"}}')).body['success'], true);
      assert.equal((await call('/services/subscribe', '{"serviceName":"com.example.Hello:1.0:blue"}')).body['success'], true);
      assert.deepEqual([routes('sofa:inbound'), routes('sofa:outbound')], [['com.example.Hello:1.0:blue -> sofa:app@127.0.0.1:12200'], ['com.example.Hello:1.0:blue -> sofa:com.example.Hello:1.0:blue']]);
      assert.equal((await call('/services/unsubscribe', '{"serviceName":"com.example.Hello:1.0:blue"}')).body['success'], true);
      assert.equal((await call('/services/unpublish', '{"serviceName":"com.example.Hello:1.0:blue"}')).body['success'], true);
      assert.deepEqual([routes('sofa:outbound'), found('com.example.Hello:1.0:blue')], [[], []]);
    });

    test('lead a service that is published to its application, before others find it', async () => {
      await begin(config());
      let atApply: FoundHost[] = [];
      const publish = call('/services/publish', PUBLISH);
      held = new Promise((resolve) => setTimeout(resolve, 50)).then(() => void (atApply = found('com.example.Hello:1.0:blue')));
      assert.deepEqual(await publish, { status: 200, body: { success: true, errorMessage: '' } });
      assert.deepEqual(atApply, [], 'not before the route is there');
      assert.deepEqual(routes('sofa:inbound'), ['com.example.Hello:1.0:blue -> sofa:app@127.0.0.1:18201']);
      const [host] = found('com.example.Hello:1.0:blue');
      assert.deepEqual(host, { address: '127.0.0.1:12201', target: { host: '127.0.0.1', port: 12201 }, hostname: '127.0.0.1', weight: 1, metadata: { port: '18201', app_name: 'hello-app', serialization: 'hessian2' } });
      await call('/services/publish', PUBLISH.replace('"properties":{"port":"18201"}', '"properties":null'));
      assert.deepEqual(routes('sofa:inbound'), ['com.example.Hello:1.0:blue -> sofa:app@127.0.0.1:12200'], 'published again it is where it is now');
      assert.equal(found('com.example.Hello:1.0:blue').length, 1);
    });

    test('take an unpublished service from others at once, and keep the way for those who do not know it yet', async () => {
      const timers: { fn: () => void; ms: number }[] = [];
      undo.push(setClock({ ...systemClock, setTimeout: (fn, ms) => (ms > 10_000 ? (timers.push({ fn, ms }), 0) : systemClock.setTimeout(fn, ms)) }));
      await begin(config());
      await call('/services/publish', PUBLISH);
      assert.deepEqual((await call('/services/unpublish', UNPUBLISH)).body, { success: true, errorMessage: '' });
      assert.deepEqual([found('com.example.Hello:1.0:blue'), routes('sofa:inbound').length], [[], 1]);
      assert.equal(timers.length, 1);
      timers[0]!.fn();
      await until('the way is gone', () => routes('sofa:inbound').length === 0);
      assert.deepEqual(clusters(), []);
      assert.deepEqual((await call('/services/unpublish', UNPUBLISH)).body['success'], true, 'what is not there can be taken away');
    });

    test('make one change of hundreds of subscriptions', async () => {
      await begin(config());
      let open!: () => void;
      held = new Promise((resolve) => (open = resolve));
      const all = Array.from({ length: 300 }, (_, i) => call('/services/subscribe', SUBSCRIBE.replace(':blue', `:s${i}`)));
      await until('the requests are there', () => (inForce = mesh.effective(base)).clusters.length === 300);
      open();
      for (const { body } of await Promise.all(all)) assert.equal(body['success'], true);
      assert.ok(applied <= 3, `${applied} changes`);
      assert.equal(clusters().length, 300);
    });

    test('count subscriptions: the service stays routable until the last of them is gone', async () => {
      await begin(config());
      await Promise.all([call('/services/subscribe', SUBSCRIBE), call('/services/subscribe', SUBSCRIBE)]);
      await call('/services/unsubscribe', UNSUBSCRIBE);
      assert.equal(clusters().length, 1);
      await call('/services/unsubscribe', UNSUBSCRIBE);
      assert.equal(clusters().length, 0);
      assert.equal((await call('/services/unsubscribe', UNSUBSCRIBE)).body['success'], true);
    });

    test('wait a little for a discovery that does not know the service yet', async () => {
      await begin(config(', wait: 10s'));
      unknown.add('sofa:com.example.Hello:1.0:blue');
      let answered = false;
      const asked = call('/services/subscribe', SUBSCRIBE).then((answer) => {
        answered = true;
        return answer;
      });
      await until('it is routed', () => applied === 1);
      await new Promise((resolve) => setTimeout(resolve, 100));
      assert.equal(answered, false);
      unknown.clear();
      assert.equal((await asked).body['success'], true);
      await mesh.update((base = read(config(', wait: 60ms'))));
      unknown.add('sofa:com.example.Hello:1.0:other');
      assert.equal((await call('/services/subscribe', SUBSCRIBE.replace('blue', 'other'))).body['success'], true, 'and answer all the same');
    });

    test('say in the SDK\'s own words what they cannot do, with status 200', async () => {
      await begin(config());
      for (const [path, body, why] of [
        ['/services/subscribe', 'hello', /^the body is not JSON$/],
        ['/services/subscribe', '[]', /^the body is not a JSON object$/],
        ['/services/subscribe', '{"serviceName":null}', /^serviceName is missing$/],
        ['/services/publish', '{"serviceName":{}}', /^serviceName is not a text$/],
        ['/services/publish', PUBLISH.replaceAll('"bolt"', '"tri"'), /^protocol tri is not carried/],
        ['/services/publish', PUBLISH.replace('18201', '181818'), /are no address: :181818$/],
        ['/services/subscribe', SUBSCRIBE.replace('Hello', `H${'x'.repeat(600)}`), /too long/],
        ['/services/subscribe', SUBSCRIBE.replace('Hello', 'H\\u0000'), /control characters/],
      ] as [string, string, RegExp][]) {
        const { status, body: answer } = await call(path, body);
        assert.deepEqual([status, answer['success']], [200, false], body);
        assert.match(answer['errorMessage'] as string, why);
      }
      assert.equal(applied, 0);
      assert.equal(stats.counter('sluice_mesh_requests_total', '', { kind: 'sofa', path: '/services/subscribe', outcome: 'failed' }).value, 5);
      assert.deepEqual((await call('/services', null, HEADERS, 'GET')).body, { subscribed: [], published: [] });
      assert.equal((await call('/service/subscribe', SUBSCRIBE)).status, 404);
    });

    test('refuse two groups of a service, which calls do not tell apart', async () => {
      await begin(config());
      await call('/services/subscribe', SUBSCRIBE.replace('"group":null', '"group":"a"'));
      assert.deepEqual(inForce.clusters[0]!.discovery['group'], 'a');
      assert.match((await call('/services/subscribe', SUBSCRIBE)).body['errorMessage'] as string, /is subscribed as com\.example\.Hello:1\.0:blue \(group a\) already/);
    });

    test('are not for web pages', async () => {
      await begin(config(', hosts: [mesh.local]'));
      assert.equal((await call('/services/subscribe', SUBSCRIBE, { ...HEADERS, host: 'evil.example' })).status, 421);
      assert.equal((await call('/services/subscribe', SUBSCRIBE, { ...HEADERS, origin: 'http://evil.example' })).status, 403);
      assert.equal((await call('/services/subscribe', SUBSCRIBE, { ...HEADERS, 'sec-fetch-site': 'cross-site' })).status, 403);
      assert.equal(applied, 0);
      assert.equal((await call('/services/subscribe', SUBSCRIBE, { ...HEADERS, host: 'mesh.local:1' })).status, 200);
    });

    test('show what is known', async () => {
      await begin(config());
      await call('/configs/application', APPLICATION);
      await call('/services/subscribe', SUBSCRIBE);
      await call('/services/publish', PUBLISH);
      assert.deepEqual((await call('/services', null, HEADERS, 'GET')).body, {
        subscribed: [{ name: 'com.example.Hello:1.0:blue', group: '', version: '', count: 1, cluster: 'sofa:com.example.Hello:1.0:blue' }],
        published: [{ name: 'com.example.Hello:1.0:blue', group: '', version: '', app: '127.0.0.1:18201', instance: '127.0.0.1:12201', published: true, error: '' }],
      });
      assert.deepEqual((await call('/configs/application', null, HEADERS, 'GET')).body, ['hello-app']);
      assert.equal(stats.gauge('sluice_mesh_services', '', { kind: 'sofa', role: 'subscribed' }).value, 1);
    });

    test('withdraw what is published when the process drains, and take nothing more', async () => {
      await begin(config());
      await call('/services/publish', PUBLISH);
      const lease = registries.open({ type: 'memory' });
      await mesh.drain();
      assert.deepEqual(found('com.example.Hello:1.0:blue'), []);
      assert.deepEqual(routes('sofa:inbound').length, 1, 'what comes is served');
      assert.equal((await call('/services/subscribe', SUBSCRIBE)).body['errorMessage'], 'this process is draining');
      lease.release();
    });

    test('withdraw an application that accepts no connections, until it does', async () => {
      await begin(config());
      await call('/services/publish', PUBLISH);
      const here = (): number => found('com.example.Hello:1.0:blue').length;
      const lease = registries.open({ type: 'memory' });
      ill.add('sofa:app@127.0.0.1:18201');
      await until('it is withdrawn', () => here() === 0);
      assert.equal(routes('sofa:inbound').length, 1, 'the way to it stays');
      const { published } = (await call('/services', null, HEADERS, 'GET')).body as { published: { error: string }[] };
      assert.equal(published[0]!.error, 'the application accepts no connections');
      await mesh.update((inForce = mesh.effective((base = read(config(', advertise: "10.0.0.9:7"'))))));
      assert.equal(here(), 0, 'nor is it published elsewhere');
      ill.clear();
      await until('it is back', () => here() === 1);
      ill.add('sofa:app@127.0.0.1:18201');
      await until('it is withdrawn again', () => here() === 0);
      await call('/services/unpublish', UNPUBLISH);
      ill.clear();
      await new Promise((resolve) => setTimeout(resolve, 1200));
      assert.equal(here(), 0, 'what is unpublished stays away');
      lease.release();
    });

    test('say so when the discovery is a plug-in that cannot be opened', async () => {
      const broken = { ...builtins.find((one) => one.name === 'memory')!, registry: () => { throw new Error('no such server'); } };
      base = read(config());
      registries.useCatalog(new Catalog([...catalog.all('discovery').filter((one) => one.name !== 'memory'), broken as Manifest]));
      await mesh.update((inForce = mesh.effective(base)));
      assert.equal((await call('/services/subscribe', SUBSCRIBE)).body['errorMessage'], 'the discovery memory cannot be opened: no such server');
      assert.deepEqual(clusters(), []);
    });

    test('route what a discovery cannot publish, and say so', async () => {
      writeFileSync(join(folder, 's.yaml'), 'services: {}');
      await begin(config(', discovery: {type: file, path: s.yaml}'));
      assert.equal((await call('/services/publish', PUBLISH)).body['success'], true);
      assert.equal(routes('sofa:inbound').length, 1);
      assert.ok(lines.some((line) => line.includes('not published') && line.includes('never written')), lines.join(''));
      const { published } = (await call('/services', null, HEADERS, 'GET')).body as { published: { published: boolean; error: string }[] };
      assert.deepEqual([published[0]!.published, /never written/.test(published[0]!.error)], [false, true]);
    });

    test('publish anew where the configuration leads elsewhere, and end where it ends', async () => {
      await begin(config());
      await call('/services/publish', PUBLISH);
      const lease = registries.open({ type: 'memory' });
      const address = (): string[] => found('com.example.Hello:1.0:blue').map((host) => host.address);
      base = read(config(', advertise: "10.0.0.9:7"'));
      inForce = mesh.effective(base);
      await mesh.update(inForce);
      assert.deepEqual(address(), ['10.0.0.9:7']);
      base = read('');
      inForce = mesh.effective(base);
      await mesh.update(inForce);
      assert.deepEqual([address(), inForce.routes], [[], []]);
      await assert.rejects(call('/services', null, HEADERS, 'GET'), /ECONNREFUSED/);
      lease.release();
    });

    test('move with their address, and wait for one that is taken', async () => {
      await begin(config());
      const blocker = createServer().listen(0, '127.0.0.1');
      await once(blocker, 'listening');
      const taken = (blocker.address() as { port: number }).port;
      const former = port;
      base = read(config().replace(String(port), String(taken)));
      await mesh.update((inForce = mesh.effective(base)));
      assert.deepEqual(mesh.problems(), [`mesh.sofa cannot listen on 127.0.0.1:${taken}: EADDRINUSE`]);
      await assert.rejects(call('/services', null, HEADERS, 'GET', former), /ECONNREFUSED/);
      blocker.close();
      await until('the address is had', () => mesh.problems().length === 0);
      assert.equal((await call('/services', null, HEADERS, 'GET', taken)).status, 200);
    });
  });

  describe('for Dubbo', () => {
    const config = (): string => `mesh: {dubbo: {address: "127.0.0.1:${port}"}}`;
    const JSON_HEADERS = { 'content-type': 'application/json' };
    const registry = '"registry":{"type":"zookeeper","addr":"127.0.0.1:2181","username":"u","password":"hush"}';
    const service = (more = '', name = 'com.ikurento.user'): string => `{${registry},"service":{"interface":"${name}","methods":["GetUser","kkk"],"name":"UserProvider"${more}}}`;

    test('subscribe and publish as those of MOSN do', async () => {
      await begin(config());
      assert.deepEqual(await call('/pub', service(',"port":"20000","group":"","version":""'), JSON_HEADERS), { status: 200, body: { err_no: 0, err_msg: 'publish success' } });
      assert.deepEqual(await call('/sub', service(',"group":""'), JSON_HEADERS), { status: 200, body: { err_no: 0, err_msg: 'subscribe success' } });
      assert.deepEqual(routes('dubbo:inbound'), ['com.ikurento.user -> dubbo:app@127.0.0.1:20000']);
      assert.deepEqual(routes('dubbo:outbound'), ['com.ikurento.user -> dubbo:com.ikurento.user']);
      assert.deepEqual(found('com.ikurento.user').map(({ address, metadata }) => [address, metadata]), [['127.0.0.1:33333', { methods: 'GetUser,kkk' }]]);
      assert.deepEqual((await call('/unpub', service(), JSON_HEADERS)).body, { err_no: 0, err_msg: 'unpub success' });
      assert.deepEqual((await call('/unsub', service(), JSON_HEADERS)).body, { err_no: 0, err_msg: 'unsubscribe success' });
      assert.deepEqual([found('com.ikurento.user'), routes('dubbo:outbound')], [[], []]);
      assert.ok(!lines.join('').includes('hush'));
    });

    test('know groups and versions, beside the service or among its parameters', async () => {
      await begin(config());
      await call('/pub', service(',"group":"a","version":"1.0.0"'), JSON_HEADERS);
      await call('/pub', service(',"params":{"group":"b","version":"1.0.0","port":20001,"dubbo":"2.7"}'), JSON_HEADERS);
      await call('/sub', service(',"group":"a"'), JSON_HEADERS);
      const cluster = inForce.clusters.find(({ name }) => name === 'dubbo:com.ikurento.user@a')!;
      assert.deepEqual([cluster.discovery['service'], cluster.discovery['group'], cluster.discovery['version']], ['com.ikurento.user', 'a', '']);
      assert.deepEqual(found('com.ikurento.user').map(({ metadata }) => [metadata['group'], metadata['version'], metadata['dubbo']]), [['a', '1.0.0', undefined], ['b', '1.0.0', '2.7']]);
      const inbound = inForce.routes.find((one) => one.name === 'dubbo:inbound')!.routes!.map(({ match, cluster: to }) => [match!.group!.exact, match!.version!.exact, to]);
      assert.deepEqual(inbound, [['a', '1.0.0', 'dubbo:app@127.0.0.1:20880'], ['b', '1.0.0', 'dubbo:app@127.0.0.1:20001']]);
    });

    test('say what is wrong, with status 200', async () => {
      await begin(config());
      for (const [path, body, why] of [
        ['/sub', '{}', /^service\.interface is missing$/],
        ['/pub', service(',"port":"many"'), /^service\.port is no port: many$/],
        ['/pub', '{"service":1}', /^service is not an object$/],
        ['/unpub', '', /^the body is not JSON$/],
      ] as [string, string, RegExp][]) {
        const { status, body: answer } = await call(path, body, JSON_HEADERS);
        assert.deepEqual([status, answer['err_no']], [200, 1], path);
        assert.match(answer['err_msg'] as string, why);
      }
    });
  });

  describe('that keep what they were told', () => {
    const config = (): string => `mesh: {sofa: {address: "127.0.0.1:${port}", state: kept.json}}`;
    const file = (): string => join(folder, 'kept.json');

    test('know it again in the next process, with all that was published', async () => {
      await begin(config());
      await Promise.all([call('/services/subscribe', SUBSCRIBE), call('/services/subscribe', SUBSCRIBE), call('/services/publish', PUBLISH)]);
      await call('/services/publish', PUBLISH.replace('blue', 'gone'));
      await call('/services/unpublish', UNPUBLISH.replace('blue', 'gone'));
      await mesh.close();
      assert.equal(JSON.parse(readFileSync(file(), 'utf8')).subscriptions[0].count, 2);
      make();
      await begin(config());
      assert.equal(stats.gauge('sluice_mesh_services', '', { kind: 'sofa', role: 'subscribed' }).value, 1);
      assert.deepEqual([routes('sofa:outbound').length, routes('sofa:inbound')], [1, ['com.example.Hello:1.0:blue -> sofa:app@127.0.0.1:18201']]);
      assert.deepEqual(found('com.example.Hello:1.0:blue').map((host) => host.address), ['127.0.0.1:12201']);
      await call('/services/unsubscribe', UNSUBSCRIBE);
      assert.equal(routes('sofa:outbound').length, 1);
      await call('/services/unsubscribe', UNSUBSCRIBE);
      assert.equal(routes('sofa:outbound').length, 0);
    });

    test('go on without it when the file is none of theirs, and say so', async () => {
      writeFileSync(file(), '{"subscriptions": 1}');
      await begin(config());
      assert.ok(lines.some((line) => line.includes('is lost') && line.includes('subscriptions')), lines.join(''));
      assert.equal((await call('/services/subscribe', SUBSCRIBE)).body['success'], true);
      await mesh.close();
      assert.equal(JSON.parse(readFileSync(file(), 'utf8')).subscriptions.length, 1);
      assert.ok(!existsSync(`${file()}.${process.pid}.tmp`));
    });
  });
});

// The router: virtual hosts by rank, first match in order with and without an index, paths, conditions, and why nothing matched.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setRandom, randomInt } from '../../src/core/random.js';
import type { Cluster } from '../../src/network/upstream/cluster.js';
import type { Head } from '../../src/stream/head.js';
import { AUTHORITY, PathView } from '../../src/stream/match.js';
import { routeTableSchema } from '../../src/stream/route-config.js';
import { RouteIndex } from '../../src/stream/route-index.js';
import { DIRECT_RESPONSE, REDIRECT, TERMINAL, TO_CLUSTER, TO_WEIGHTED } from '../../src/stream/route.js';
import { RouteTable, VhostMemo } from '../../src/stream/router.js';
import { FakeHead, httpHead, rpcHead } from '../support/fake-head.js';

const cluster = (name: string): Cluster => ({ name }) as unknown as Cluster;
const clusters = new Map(['one', 'two'].map((name) => [name, cluster(name)]));
const terminal = { serve(): void {} };
const deps = { clusters, terminals: new Map([['echo', terminal]]) };

const tableOf = (config: Record<string, unknown>): RouteTable => new RouteTable(routeTableSchema.parse({ name: 't', ...config }), deps);
/** A table of one virtual host; each route is named by its place: r1, r2, ... */
const routes = (...matches: Record<string, unknown>[]): RouteTable => tableOf({ routes: matches.map((match, i) => ({ name: `r${i + 1}`, cluster: 'one', match })) });
const nameOf = (table: RouteTable, head: Head, memo = new VhostMemo()): string => table.match(head, memo)?.name ?? 'none';

describe('virtual hosts', () => {
  const domains = ['a.com', 'a.com:8080', '*.a.com', '*.b.a.com', '*.a.com:8080', '*-x.a.com', 'a.*', 'a.b.*', '*:9090', '[::1]:80', '[::2]', '*'];
  const table = tableOf({ virtual_hosts: domains.map((domain, i) => ({ name: `v${i}`, domains: [domain], routes: [{ name: `r${i}`, cluster: 'one' }] })) });
  const hostOf = (authority: string): string => domains[Number(nameOf(table, httpHead('GET', '/', {}, authority)).slice(1))]!;

  const cases: [authority: string, domain: string][] = [
    ['a.com', 'a.com'],
    ['A.Com', 'a.com'],
    ['a.com.', 'a.com'],
    ['a.com:80', 'a.com'],
    ['a.com:8080', 'a.com:8080'],
    ['x.a.com', '*.a.com'],
    ['x.a.com:8080', '*.a.com:8080'],
    ['y.x.a.com', '*.a.com'],
    ['y.b.a.com', '*.b.a.com'],
    ['b.a.com', '*.a.com'],
    ['1-x.a.com', '*-x.a.com'],
    ['a.org', 'a.*'],
    ['a.b.org', 'a.b.*'],
    ['a.', '*'],
    ['.a.com', '*'],
    ['other', '*'],
    ['other:9090', '*:9090'],
    ['[::1]:80', '[::1]:80'],
    ['[::1]:81', '*'],
    ['[::2]', '[::2]'],
    ['[::2]:1', '[::2]'],
    ['', '*'],
    ['a.com:', 'a.com'],
  ];
  for (const [authority, domain] of cases) test(`${authority || 'an empty host'} belongs to ${domain}`, () => assert.equal(hostOf(authority), domain));

  test('the host is looked up once per connection, and again when it or the table changes', () => {
    const memo = new VhostMemo();
    const other = tableOf({ virtual_hosts: [{ name: 'v', domains: ['a.com'], routes: [{ name: 'other', cluster: 'one' }] }] });
    assert.equal(nameOf(table, httpHead('GET', '/', {}, 'a.com'), memo), 'r0');
    const remembered = memo.host;
    // Whoever spoils what is remembered sees that it is used.
    memo.host = table.hosts[3]!;
    assert.equal(nameOf(table, httpHead('GET', '/', {}, 'a.com'), memo), 'r3');
    memo.host = remembered;
    assert.equal(nameOf(table, httpHead('GET', '/', {}, 'b.com'), memo), 'r11');
    assert.equal(nameOf(other, httpHead('GET', '/', {}, 'a.com'), memo), 'other');
    assert.equal(nameOf(table, httpHead('GET', '/', {}, 'a.com'), memo), 'r0');
    assert.equal(nameOf(other, httpHead('GET', '/', {}, 'c.com'), memo), 'none');
    assert.equal(nameOf(other, httpHead('GET', '/', {}, 'c.com'), memo), 'none');
  });

  test('no endless host is remembered', () => {
    const memo = new VhostMemo();
    assert.equal(nameOf(table, httpHead('GET', '/', {}, `${'x'.repeat(5000)}.a.com`), memo), 'r2');
    assert.equal(memo.authority.length, 0);
  });

  test('what is remembered is a copy', () => {
    const memo = new VhostMemo();
    const shared = Buffer.from('a.com');
    class Borrowed extends FakeHead {
      override find(name: Parameters<FakeHead['find']>[0]): boolean {
        if (name !== AUTHORITY) return super.find(name);
        this.vbuf = shared;
        this.vstart = 0;
        this.vend = 5;
        return true;
      }
    }
    assert.equal(nameOf(table, new Borrowed(), memo), 'r0');
    shared.write('b.org');
    assert.equal(nameOf(table, new Borrowed(), memo), 'r11');
  });

  test('a table with * alone does not look at the host', () => {
    const head = httpHead('GET', '/');
    head.find = (name) => assert.notEqual(name, AUTHORITY) === undefined && FakeHead.prototype.find.call(head, name);
    assert.equal(nameOf(routes({}), head), 'r1');
  });
});

describe('a match', () => {
  const cases: [Record<string, unknown>, Head, boolean][] = [
    [{}, httpHead('GET', '/a'), true],
    [{}, rpcHead('s', 'm'), true],
    [{ prefix: '/a' }, httpHead('GET', '/a/b?c'), true],
    [{ prefix: '/a' }, httpHead('GET', '/ab'), true],
    [{ prefix: '/a' }, httpHead('GET', '/b/a'), false],
    [{ prefix: '/a/b' }, httpHead('GET', '/a?x=/a/b'), false],
    [{ prefix: '/' }, rpcHead('s', 'm'), false],
    [{ prefix: '/A' }, httpHead('GET', '/a'), false],
    [{ prefix: '/A', ignore_case: true }, httpHead('GET', '/aB'), true],
    [{ path: '/a' }, httpHead('GET', '/a?b=c'), true],
    [{ path: '/a' }, httpHead('GET', '/a/'), false],
    [{ path: '/a[' , ignore_case: true }, httpHead('GET', '/a{'), false],
    [{ path: '*' }, httpHead('OPTIONS', '*'), true],
    [{ path: '/%41' }, httpHead('GET', '/A'), false],
    [{ regex: '/v[0-9]+/.*' }, httpHead('GET', '/v12/x?y'), true],
    [{ regex: '/v[0-9]+' }, httpHead('GET', '/v12/x'), false],
    [{ regex: '/X', ignore_case: true }, httpHead('GET', '/x'), true],
    [{ method: 'GET' }, httpHead('GET', '/'), true],
    [{ method: ['PUT', 'GET'] }, httpHead('GET', '/'), true],
    [{ method: ['PUT', 'POST'] }, httpHead('GET', '/'), false],
    [{ method: 'find' }, rpcHead('s', 'find'), true],
    [{ service: 's', method: 'find' }, rpcHead('s', 'find'), true],
    [{ service: 's', method: 'find' }, rpcHead('s', 'other'), false],
    [{ service: 's', method: 'POST' }, new FakeHead({ ':method': 'POST', ':service': 's', ':rpc-method': 'find' }), false],
    [{ service: { prefix: 'com.' } }, rpcHead('com.x', 'm'), true],
    [{ version: '1.0', group: 'g' }, new FakeHead({ ':version': '1.0', ':group': 'g' }), true],
    [{ version: '1.0', group: 'g' }, new FakeHead({ ':version': '1.0' }), false],
    [{ 'header.x': 'a' }, httpHead('GET', '/', { X: 'a' }), true],
    [{ 'header.x': 'a' }, httpHead('GET', '/', { x: 'ab' }), false],
    [{ 'header.x': 'a' }, httpHead('GET', '/'), false],
    [{ 'header.x': { prefix: 'a' } }, httpHead('GET', '/', { x: 'ab' }), true],
    [{ 'header.x': { suffix: 'b' } }, httpHead('GET', '/', { x: 'ab' }), true],
    [{ 'header.x': { suffix: 'aab' } }, httpHead('GET', '/', { x: 'ab' }), false],
    [{ 'header.x': { contains: 'b' } }, httpHead('GET', '/', { x: 'abc' }), true],
    [{ 'header.x': { contains: 'd' } }, httpHead('GET', '/', { x: 'abc' }), false],
    [{ 'header.x': { regex: '[0-9]+' } }, httpHead('GET', '/', { x: '12' }), true],
    [{ 'header.x': { regex: '[0-9]+' } }, httpHead('GET', '/', { x: '12a' }), false],
    [{ 'header.x': { present: true } }, httpHead('GET', '/', { x: '' }), true],
    [{ 'header.x': { absent: true } }, httpHead('GET', '/'), true],
    [{ 'header.x': { absent: true } }, httpHead('GET', '/', { x: '' }), false],
    [{ 'header.x': { exact: 'a', invert: true } }, httpHead('GET', '/', { x: 'b' }), true],
    [{ 'header.x': { exact: 'a', invert: true } }, httpHead('GET', '/', { x: 'a' }), false],
    [{ 'header.x': { exact: 'a', invert: true } }, httpHead('GET', '/'), true],
    [{ 'header.x': 'ü' }, httpHead('GET', '/', { x: 'ü' }), true],
    [{ 'header.x': 'a', 'header.y': 'b' }, httpHead('GET', '/', { x: 'a' }), false],
    [{ query: [{ name: 'q', exact: 'a b' }] }, httpHead('GET', '/?p=1&q=a%20b'), true],
    [{ query: [{ name: 'q', exact: 'a' }] }, httpHead('GET', '/q=a'), false],
    [{ query: [{ name: 'q', present: true }] }, httpHead('GET', '/?q'), true],
    [{ query: [{ name: 'q', absent: true }] }, httpHead('GET', '/?p'), true],
    [{ query: [{ name: 'q', absent: true }] }, rpcHead('s', 'm'), true],
  ];
  for (const [match, head, wanted] of cases) {
    const shown = (head as FakeHead).headers.map(([n, v]) => `${n}=${v}`).join(' ');
    test(`${JSON.stringify(match)} ${wanted ? 'holds' : 'fails'} for ${shown}`, () => assert.equal(nameOf(routes(match), head), wanted ? 'r1' : 'none'));
  }

  test('is the first in order', () => {
    const table = routes({ path: '/a' }, { prefix: '/a', 'header.x': '1' }, { prefix: '/a' }, {});
    assert.equal(nameOf(table, httpHead('GET', '/a')), 'r1');
    assert.equal(nameOf(table, httpHead('GET', '/ab', { x: '1' })), 'r2');
    assert.equal(nameOf(table, httpHead('GET', '/ab')), 'r3');
    assert.equal(nameOf(table, httpHead('GET', '/')), 'r4');
  });
});

describe('an index', () => {
  const rpcRoutes = (n: number): Record<string, unknown>[] => Array.from({ length: n }, (_, i) => ({ service: `com.example.Service${i}` }));

  test('is made of the header that most routes name, and spares looking at the others', () => {
    const table = routes(...rpcRoutes(1000), { 'header.x': 'y' }, {});
    const head = rpcHead('com.example.Service777', 'm');
    assert.equal(nameOf(table, head), 'r778');
    // One find for the path, one for the key and one for the condition.
    assert.ok(head.finds < 10, `${head.finds} finds`);
    assert.equal(nameOf(table, rpcHead('unknown', 'm', { x: 'y' })), 'r1001');
    assert.equal(nameOf(table, rpcHead('unknown', 'm')), 'r1002');
  });

  test('is made of first segments of paths', () => {
    const table = routes(...Array.from({ length: 500 }, (_, i) => ({ prefix: `/svc${i}/` })), { path: '/svc7' }, { prefix: '/svc7' }, { prefix: '/' });
    assert.equal(nameOf(table, httpHead('GET', '/svc499/x')), 'r500');
    assert.equal(nameOf(table, httpHead('GET', '/svc7')), 'r501');
    assert.equal(nameOf(table, httpHead('GET', '/svc7?x')), 'r501');
    assert.equal(nameOf(table, httpHead('GET', '/svc77x')), 'r502');
    assert.equal(nameOf(table, httpHead('GET', '/svc7/')), 'r8');
    assert.equal(nameOf(table, httpHead('GET', '/')), 'r503');
    assert.equal(nameOf(table, httpHead('OPTIONS', '*')), 'none');
    assert.equal(nameOf(table, rpcHead('s', 'm')), 'none');
  });

  test('is not made of few routes or of unlike ones', () => {
    const matches = (table: RouteTable): RouteTable['routes'][number]['match'][] => table.routes.map((r) => r.match);
    assert.equal(RouteIndex.of(matches(routes(...rpcRoutes(7)))), null);
    assert.notEqual(RouteIndex.of(matches(routes(...rpcRoutes(8)))), null);
    assert.equal(RouteIndex.of(matches(routes(...Array.from({ length: 20 }, (_, i) => ({ 'header.x': { prefix: `a${i}` } }))))), null);
  });

  test('gives what asking each route in order gives', () => {
    const undo = setRandom(20_240_229);
    try {
      const pick = <T>(list: readonly T[]): T => list[randomInt(list.length)]!;
      const services = ['a', 'b', 'c', 'd', 'e'];
      const paths = ['/a', '/b', '/a/x', '/b/x/y', '/', '/c/'];
      for (let round = 0; round < 200; round++) {
        const matches = Array.from({ length: 8 + randomInt(12) }, () => {
          const match: Record<string, unknown> = {};
          if (randomInt(10) < 7) match['service'] = pick([pick(services), [pick(services), pick(services)], { prefix: 'a' }, { exact: 'b', invert: true }]);
          if (randomInt(10) < 4) match[pick(['prefix', 'path'])] = pick(paths);
          if (randomInt(10) < 3) match['header.x'] = pick(['1', '2']);
          return match;
        });
        const table = routes(...matches);
        for (let i = 0; i < 20; i++) {
          const head = new FakeHead({ ':service': pick(services), ':path': pick(paths) + pick(['', '?q', 'z']), x: pick(['1', '2', '3']) });
          const path = new PathView();
          path.read(head);
          const linear = table.routes.find((r) => r.match.test(head, path));
          assert.equal(nameOf(table, head), linear?.name ?? 'none', JSON.stringify({ matches, head: head.headers }));
        }
      }
    } finally {
      undo();
    }
  });
});

describe('a normalized path', () => {
  const table = tableOf({ normalize_path: true, routes: [{ name: 'admin', match: { prefix: '/admin' }, cluster: 'one' }, { name: 'rest', match: { prefix: '/' }, cluster: 'one' }] });
  for (const path of ['/x/../admin?q=/../', '//admin?q=/../', '/./admin?q=/../', '/%61dmin?q=/../', '\\admin?q=/../', '/x/%2e%2E/admin?q=/../', '/../../admin?q=/../']) {
    test(`${path} is matched and sent as what it means`, () => {
      const head = httpHead('GET', path);
      assert.equal(nameOf(table, head), 'admin');
      assert.equal(head.value(':path'), '/admin?q=/../');
    });
  }

  test('an ordinary path is not touched', () => {
    const head = httpHead('GET', '/a.b/c..d/.e?x=%61');
    assert.equal(nameOf(table, head), 'rest');
    assert.equal(head.value(':path'), '/a.b/c..d/.e?x=%61');
    assert.equal(head.edited, false, 'the bytes go on as they came');
  });

  test('without the option paths are compared as they are', () => {
    const plain = tableOf({ routes: [{ name: 'admin', match: { prefix: '/admin' }, cluster: 'one' }] });
    assert.equal(nameOf(plain, httpHead('GET', '/x/../admin')), 'none');
  });
});

describe('why nothing matched', () => {
  test('names the route that came nearest and its first condition that failed', () => {
    const table = tableOf({
      virtual_hosts: [{
        name: 'app',
        domains: ['a.com'],
        routes: [{ match: { prefix: '/b', 'header.y': '1' }, cluster: 'one' }, { name: 'gray', match: { prefix: '/a', method: 'GET', 'header.x': '1' }, cluster: 'one' }, { match: { method: 'GET', prefix: '/c' }, cluster: 'one' }],
      }],
    });
    const why = (head: Head): string => table.explainMiss(head);
    assert.equal(why(httpHead('GET', '/a', {}, 'a.com')), 'virtual host app, route 2 (gray) needs header x = 1');
    assert.equal(why(httpHead('POST', '/a', {}, 'a.com')), 'virtual host app, route 2 (gray) needs method = GET');
    assert.equal(why(httpHead('POST', '/b', {}, 'a.com')), 'virtual host app, route 1 (app/1) needs header y = 1');
    assert.equal(why(httpHead('GET', '/zzz', {}, 'a.com')), 'virtual host app, route 1 (app/1) needs path beginning with /b');
    assert.equal(why(httpHead('GET', '/', {}, 'b.com')), 'no virtual host of t has a domain for b.com');
    assert.equal(why(rpcHead('s', 'm')), 'the request names no host, and no virtual host of t has the domain *');
    assert.equal(why(httpHead('GET', '/', {}, `x\n"${'y'.repeat(200)}`)), `no virtual host of t has a domain for x?"${'y'.repeat(74)}...`);
  });

  test('speaks of services as the configuration does', () => {
    assert.equal(routes({ service: 'a', method: 'x' }).explainMiss(rpcHead('a', 'y')), 'virtual host t, route 1 (r1) needs method = x');
    assert.equal(routes({ service: 'a' }).explainMiss(rpcHead('b', 'y')), 'virtual host t, route 1 (r1) needs service = a');
    assert.equal(tableOf({ routes: [] }).explainMiss(rpcHead('b', 'y')), 'virtual host t has no routes');
  });
});

describe('an action', () => {
  test('is of the kind that the configuration names', () => {
    const kinds = ([{ cluster: 'one' }, { weighted: [{ cluster: 'one', weight: 1 }] }, { redirect: { path: '/' } }, { direct_response: {} }, { terminal: 'echo' }] as const).map((action) => tableOf({ routes: [action] }).routes[0]!.action);
    assert.deepEqual(kinds.map((a) => a.kind), [TO_CLUSTER, TO_WEIGHTED, REDIRECT, DIRECT_RESPONSE, TERMINAL]);
    const last = kinds[4]!;
    assert.ok(last.kind === TERMINAL && last.terminal === terminal);
  });

  test('finds its cluster anew for each exchange', () => {
    const live = new Map<string, Cluster>();
    const table = new RouteTable(routeTableSchema.parse({ name: 't', routes: [{ cluster: 'late' }] }), { ...deps, clusters: live });
    const [route] = table.routes;
    assert.equal(route!.pickCluster(), null);
    assert.equal(route!.pickedName, 'late');
    live.set('late', cluster('late'));
    assert.equal(route!.pickCluster()!.name, 'late');
  });

  test('draws weighted clusters exactly', () => {
    const [route] = tableOf({ routes: [{ weighted: [{ cluster: 'one', weight: 3 }, { cluster: 'two', weight: 1 }, { cluster: 'none', weight: 0 }] }] }).routes;
    const drawn = Array.from({ length: 400 }, () => route!.pickCluster()!.name);
    assert.equal(drawn.filter((n) => n === 'one').length, 300);
    assert.equal(drawn.filter((n) => n === 'two').length, 100);
  });
});

describe('a table of one cluster', () => {
  test('sends everything there with the defaults of a route', () => {
    const table = RouteTable.single('one', deps);
    for (const head of [httpHead('GET', '/x', {}, 'any'), rpcHead('s', 'm'), new FakeHead()]) {
      const route = table.match(head, new VhostMemo())!;
      assert.equal(route.pickCluster()!.name, 'one');
      assert.equal(route.timeout, 15_000);
      assert.equal(route.streamIdle, 300_000);
      assert.equal(route.retry!.attempts, 2);
      assert.equal(route.retry!.onFailure('connect-refused', 1, false), true);
      assert.equal(route.retry!.onFailure('upstream-reset', 1, true), false);
      assert.equal(route.editsRequest, false);
    }
  });
});

describe('a route', () => {
  test('retries as configured, or never', () => {
    const policies = [{}, { retry: false }, { retry: { attempts: 1 } }, { retry: { on: ['5xx'], attempts: 4, per_try_timeout: '1s' } }].map((more) => tableOf({ routes: [{ cluster: 'one', ...more }] }).routes[0]!);
    assert.deepEqual(policies.map((r) => r.retry?.attempts ?? 0), [2, 0, 0, 4]);
    assert.deepEqual(policies.map((r) => r.perTryTimeout), [0, 0, 0, 1000]);
  });

  test('has a name of its own or that of its place', () => {
    const table = tableOf({ virtual_hosts: [{ name: 'app', routes: [{ cluster: 'one' }, { name: 'x', cluster: 'one' }, { cluster: 'one' }] }] });
    assert.deepEqual(table.routes.map((r) => r.name), ['app/1', 'x', 'app/3']);
  });

  test('carries the options of filters', () => {
    assert.deepEqual(tableOf({ routes: [{ cluster: 'one', filters: { limit: { max: 1 } } }] }).routes[0]!.filters.get('limit'), { max: 1 });
  });
});

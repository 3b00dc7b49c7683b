// Rewrites of path and host, locations of redirects, direct responses and the normal form of paths.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ConnectionInfo } from '../../src/network/wire.js';
import { ExchangeRecord } from '../../src/stream/record.js';
import { needsNormal, normalPath, replacePrefix } from '../../src/stream/rewrite.js';
import { routeTableSchema } from '../../src/stream/route-config.js';
import { DIRECT_RESPONSE, REDIRECT } from '../../src/stream/route.js';
import { type Route, RouteTable, VhostMemo } from '../../src/stream/router.js';
import { type FakeHead, httpHead } from '../support/fake-head.js';

const deps = { clusters: new Map(), terminals: new Map() };
const routeOf = (config: Record<string, unknown>): { table: RouteTable; route: Route } => {
  const table = new RouteTable(routeTableSchema.parse({ name: 't', routes: [config] }), deps);
  return { table, route: table.routes[0]! };
};

function rewritten(config: Record<string, unknown>, head: FakeHead): { path: string; host: string; edited: boolean } {
  const { table, route } = routeOf({ cluster: 'c', ...config });
  assert.equal(table.match(head, new VhostMemo()), route, 'the request must match');
  route.editRequest(head, { record: new ExchangeRecord(), requestHead: head, replyHead: null });
  return { path: head.value(':path')!, host: head.value(':authority')!, edited: head.edited };
}

describe('a rewrite', () => {
  const cases: [Record<string, unknown>, string, string][] = [
    [{ match: { prefix: '/api' }, prefix_rewrite: '/v1' }, '/api/x?q=1', '/v1/x?q=1'],
    [{ match: { prefix: '/api' }, prefix_rewrite: '/v1' }, '/api', '/v1'],
    [{ match: { prefix: '/api' }, prefix_rewrite: '/' }, '/api/x', '/x'],
    [{ match: { prefix: '/api' }, prefix_rewrite: '/' }, '/api', '/'],
    [{ match: { prefix: '/api' }, prefix_rewrite: '/' }, '/api?q', '/?q'],
    [{ match: { prefix: '/api/' }, prefix_rewrite: '/' }, '/api/x', '/x'],
    [{ match: { prefix: '/api/' }, prefix_rewrite: '/v1' }, '/api/x', '/v1/x'],
    [{ match: { prefix: '/api/' }, prefix_rewrite: '/v1/' }, '/api/', '/v1/'],
    [{ match: { prefix: '/' }, prefix_rewrite: '/v1' }, '/x', '/v1/x'],
    [{ match: { path: '/old' }, prefix_rewrite: '/new' }, '/old?q', '/new?q'],
    [{ match: { prefix: '/API', ignore_case: true }, prefix_rewrite: '/v1' }, '/api/X', '/v1/X'],
    [{ regex_rewrite: { regex: '^/users/([0-9]+)', substitution: '/u/$1/profile' } }, '/users/42/x?q', '/u/42/profile/x?q'],
    [{ regex_rewrite: { regex: '/+', substitution: '/' } }, '//a//b', '/a//b'],
    [{ regex_rewrite: { regex: '.*', substitution: '' } }, '/a?q', '/?q'],
    [{ regex_rewrite: { regex: '/nothing', substitution: '/x' } }, '/a?q', '/a?q'],
  ];
  for (const [config, path, wanted] of cases) {
    test(`${JSON.stringify(config)} makes ${wanted} of ${path}`, () => assert.equal(rewritten(config, httpHead('GET', path)).path, wanted));
  }

  test('that changes nothing leaves the bytes alone', () => {
    assert.equal(rewritten({ regex_rewrite: { regex: '/nothing', substitution: '/x' } }, httpHead('GET', '/a')).edited, false);
  });

  test('of the host takes variables', () => {
    assert.equal(rewritten({ host_rewrite: '%request_header_x-tenant%.internal' }, httpHead('GET', '/', { 'x-tenant': 'a' })).host, 'a.internal');
    assert.equal(rewritten({ host_rewrite: '%request_header_x-host%' }, httpHead('GET', '/')).host, 'example.com');
  });

  test('comes after header edits, which still see the old path and host', () => {
    const head = httpHead('GET', '/api/x');
    rewritten({ match: { prefix: '/api' }, prefix_rewrite: '/', host_rewrite: 'b', request_headers: { set: { 'x-path': '%authority%%path%' } } }, head);
    assert.equal(head.value('x-path'), 'example.com/api/x');
  });

  test('of a prefix joins without a double slash', () => {
    assert.equal(replacePrefix('/a/b', 2, '/x/'), '/x/b');
    assert.equal(replacePrefix('/a//b', 3, '/x'), '/x//b');
  });
});

describe('a redirect', () => {
  const info = (secure: boolean): ConnectionInfo => Object.assign(new ConnectionInfo(), { secure });
  function location(config: Record<string, unknown>, path: string, authority: string, secure = false): string {
    const { route } = routeOf(config);
    const head = httpHead('GET', path, { 'x-to': '/t o\r\n' }, authority);
    const record = new ExchangeRecord();
    record.downstream = info(secure);
    const { action } = route;
    assert.ok(action.kind === REDIRECT);
    return action.redirect.location(head, { record, requestHead: head, replyHead: null });
  }

  const cases: [Record<string, unknown>, string, string, boolean, string][] = [
    [{ redirect: { scheme: 'https' } }, '/a?b', 'x.com', false, 'https://x.com/a?b'],
    [{ redirect: { scheme: 'https' } }, '/', 'x.com:80', false, 'https://x.com/'],
    [{ redirect: { scheme: 'https' } }, '/', 'x.com:8080', false, 'https://x.com:8080/'],
    [{ redirect: { scheme: 'http' } }, '/', 'x.com:443', true, 'http://x.com/'],
    [{ redirect: { scheme: 'https' } }, '/', '[::1]:80', false, 'https://[::1]/'],
    [{ redirect: { scheme: 'https' } }, '/', 'x.com:443', true, 'https://x.com:443/'],
    [{ redirect: { host: 'y.com' } }, '/a?b', 'x.com', true, 'https://y.com/a?b'],
    [{ redirect: { host: 'y.com:80', scheme: 'https' } }, '/', 'x.com', false, 'https://y.com:80/'],
    [{ redirect: { path: '/new' } }, '/a?b', 'x.com', false, 'http://x.com/new?b'],
    [{ redirect: { path: '/new?c' } }, '/a?b', 'x.com', false, 'http://x.com/new?c'],
    [{ redirect: { path: '/new', strip_query: true } }, '/a?b', 'x.com', false, 'http://x.com/new'],
    [{ redirect: { path: '/was%request_path%' } }, '/a?b', 'x.com', false, 'http://x.com/was/a?b'],
    [{ match: { prefix: '/a' }, redirect: { prefix: '/b' } }, '/a/x?q', 'x.com', false, 'http://x.com/b/x?q'],
    [{ redirect: { path: '//evil.com' } }, '/', 'x.com', false, 'http://x.com/evil.com'],
    [{ redirect: { path: '//evil.com' } }, '/', '', false, '/evil.com'],
    [{ redirect: { path: '%request_header_x-to%' } }, '/', 'x.com', false, 'http://x.com/t%20o%20%20'],
  ];
  for (const [config, path, authority, secure, wanted] of cases) {
    test(`${JSON.stringify(config)} sends ${secure ? 'https' : 'http'}://${authority}${path} to ${wanted}`, () => assert.equal(location(config, path, authority, secure), wanted));
  }

  test('has the code that is configured', () => {
    const codes = [{}, { code: 302 }, { code: 303 }, { code: 307 }, { code: 308 }].map((c) => routeOf({ redirect: { path: '/', ...c } }).route.action);
    assert.deepEqual(codes.map((a) => a.kind === REDIRECT && a.redirect.code), [301, 302, 303, 307, 308]);
  });
});

describe('a direct response', () => {
  test('renders its body', () => {
    const { action } = routeOf({ direct_response: { status: 404, body: 'no %path% here, 100%%', content_type: 'text/html' } }).route;
    assert.ok(action.kind === DIRECT_RESPONSE);
    const head = httpHead('GET', '/x');
    assert.equal(action.body.render({ record: new ExchangeRecord(), requestHead: head, replyHead: null }), 'no /x here, 100%');
    assert.equal(action.status, 404);
    assert.equal(action.contentType, 'text/html');
  });
});

describe('the normal form of a path', () => {
  const cases: [string, string][] = [
    ['/', '/'], ['/a', '/a'], ['/a/', '/a/'], ['/a/./b', '/a/b'], ['/a/../b', '/b'], ['/../../a', '/a'], ['/a/b/..', '/a/'], ['/a/.', '/a/'], ['/..', '/'],
    ['//a///b', '/a/b'], ['/a%2fb', '/a%2Fb'], ['/%7euser', '/~user'], ['/%41%2e%2e', '/A..'], ['/%2e%2e/a', '/a'], ['/a\\..\\b', '/b'], ['/%zz', '/%zz'], ['*', '*'], ['/.a/..b', '/.a/..b'], ['/a/%2e/b', '/a/b'],
  ];
  for (const [path, wanted] of cases) {
    test(`of ${path} is ${wanted}`, () => {
      assert.equal(normalPath(path), wanted);
      const bytes = Buffer.from(path);
      if (path !== wanted) assert.equal(needsNormal(bytes, 0, bytes.length), true);
    });
  }

  test('is its own normal form', () => {
    for (const [path] of cases) assert.equal(normalPath(normalPath(path)), normalPath(path));
  });
});

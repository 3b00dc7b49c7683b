// Edits of headers by routes: their order, what add, set and remove do, and values with variables.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ExchangeRecord } from '../../src/stream/record.js';
import { routeTableSchema } from '../../src/stream/route-config.js';
import { type Route, RouteTable } from '../../src/stream/router.js';
import type { VariableSource } from '../../src/stream/variables.js';
import { FakeHead, httpHead } from '../support/fake-head.js';

const deps = { clusters: new Map(), terminals: new Map() };

function routeOf(config: Record<string, unknown>, host: Record<string, unknown> = {}, table: Record<string, unknown> = {}): Route {
  const parsed = routeTableSchema.parse({ name: 't', virtual_hosts: [{ name: 'v', routes: [{ cluster: 'c', ...config }], ...host }], ...table });
  return new RouteTable(parsed, deps).routes[0]!;
}

const from = (requestHead: FakeHead | null, replyHead: FakeHead | null = null, record = new ExchangeRecord()): VariableSource => ({ record, requestHead, replyHead });

function edited(request: Record<string, unknown>, head: FakeHead): FakeHead {
  routeOf({ request_headers: request }).editRequest(head, from(head));
  return head;
}

describe('header edits', () => {
  test('remove, then set, then add', () => {
    const head = edited({ add: { 'x-a': 'added' }, set: { 'x-a': 'set' }, remove: ['x-a', 'x-b'] }, httpHead('GET', '/', { 'x-a': 'old', 'x-b': 'old', 'x-c': 'kept' }));
    assert.deepEqual(head.all('x-a'), ['set', 'added']);
    assert.deepEqual(head.all('x-b'), []);
    assert.deepEqual(head.all('x-c'), ['kept']);
    assert.equal(head.edited, true);
  });

  test('of the route come first, then those of the virtual host, then those of the table', () => {
    const level = (name: string): Record<string, unknown> => ({ request_headers: { add: { 'x-order': name }, set: { 'x-last': name } } });
    const head = httpHead('GET', '/');
    routeOf(level('route'), level('host'), level('table')).editRequest(head, from(head));
    assert.deepEqual(head.all('x-order'), ['route', 'host', 'table']);
    assert.deepEqual(head.all('x-last'), ['table']);
  });

  test('take variables of the request', () => {
    const head = edited({ set: { 'x-was': '%method% %path%', 'x-share': '100%%', 'x-user': '%request_header_user%' } }, httpHead('GET', '/a?b', { user: 'me' }));
    assert.deepEqual(['x-was', 'x-share', 'x-user'].map((n) => head.value(n)), ['GET /a?b', '100%', 'me']);
  });

  test('of a value that is absent leave the header alone', () => {
    const head = edited({ set: { 'x-user': '%request_header_user%' }, add: { 'x-more': '%request_header_user%' } }, httpHead('GET', '/', { 'x-user': 'old' }));
    assert.deepEqual(head.all('x-user'), ['old']);
    assert.deepEqual(head.all('x-more'), []);
  });

  test('set an empty text where one is configured', () => {
    assert.deepEqual(edited({ set: { 'x-user': '' } }, httpHead('GET', '/', { 'x-user': 'old' })).all('x-user'), ['']);
  });

  test('cannot be used to smuggle a header in', () => {
    assert.equal(edited({ set: { 'x-user': '<%request_header_user%>' } }, new FakeHead({ ':path': '/' })).value('x-user'), '<>');
    const evil = new FakeHead({});
    evil.headers.push(['user', 'a\r\nx-admin: 1']);
    assert.equal(edited({ set: { 'x-user': '%request_header_user%' } }, evil).value('x-user'), 'a  x-admin: 1');
  });

  test('of the reply see both heads and what has happened', () => {
    const route = routeOf({ reply_headers: { set: { 'x-host': '%upstream_host%', 'x-path': '%path%', 'x-server': '%response_header_server%' }, remove: ['server'] } });
    assert.equal(route.replyReadsRequest, true);
    const record = new ExchangeRecord();
    record.beginAttempt('10.0.0.1:80', 0, false);
    const reply = new FakeHead({ ':status': '200', server: 'nginx' });
    route.editReply(reply, from(httpHead('GET', '/p'), reply, record));
    // Removed before it was read: the order holds for variables too.
    assert.deepEqual(['x-host', 'x-path', 'x-server', 'server'].map((n) => reply.value(n)), ['10.0.0.1:80', '/p', undefined, undefined]);
  });

  test('say what they need', () => {
    const plain = routeOf({});
    assert.equal(plain.requestEdits, null);
    assert.equal(plain.replyEdits, null);
    assert.equal(plain.editsRequest, false);
    assert.equal(routeOf({ reply_headers: { set: { a: '%upstream_host%' } } }).replyReadsRequest, false);
    assert.equal(routeOf({ request_headers: { remove: ['a'] } }).editsRequest, true);
  });
});

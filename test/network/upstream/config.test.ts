// The schema of a cluster: defaults, forms, and what is refused where.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { z } from 'zod';
import { check, formatProblems } from '../../../src/core/config/check.js';
import { toJsonSchema } from '../../../src/core/config/json-schema.js';
import { loadText } from '../../../src/core/config/load.js';
import { listOptions } from '../../../src/core/config/options.js';
import { Catalog, type Manifest } from '../../../src/core/manifest.js';
import { clusterSchema } from '../../../src/network/upstream/config.js';
import { config, manifests, refusals } from './fixture.js';

const protocol: Manifest = {
  kind: 'protocol',
  name: 'p',
  doc: 'test',
  schema: z.strictObject({ size: z.int().default(3), word: z.string().optional() }),
};

describe('the schema of a cluster', () => {
  test('fills in defaults', () => {
    const c = config({ name: 'a' });
    assert.deepEqual(c.hosts, []);
    assert.deepEqual([c.discovery.type, c.balancer.type, c.protocol, c.pool, c.health_check, c.heartbeat, c.tls, c.options], ['static', 'weighted', '', null, null, null, null, null]);
    assert.deepEqual([c.connect_timeout, c.idle_timeout, c.connections_per_host, c.panic_threshold], [3000, 60_000, 1, 0]);
    assert.deepEqual(c.breaker, { max_connections: 1024, max_pending: 1024, max_requests: 0, max_retries: 0, retry_budget: { percent: 20, min: 3 } });
    assert.deepEqual(structuredClone(c), c);
  });

  test('takes dns for names and static for addresses, and plug-ins by name or as a map', () => {
    assert.equal(config({ name: 'a', hosts: '10.0.0.1:80,[::1]:81' }).discovery.type, 'static');
    const auto = config({ name: 'a', hosts: '10.0.0.1:80,svc:81' }).discovery;
    assert.deepEqual(auto, { type: 'dns', family: 'auto', refresh_min: 1000, refresh_max: 300_000, retry_min: 1000, retry_max: 30_000 });
    assert.deepEqual(config({ name: 'a', discovery: { type: 'dns', family: 'v6' } }).discovery.family, 'v6');
    assert.deepEqual(config({ name: 'a', balancer: { type: 'least_request', choices: 3 } }).balancer, { type: 'least_request', choices: 3 });
    assert.deepEqual(config({ name: 'a', balancer: 'least_request' }).balancer, { type: 'least_request', choices: 2 });
  });

  test('decodes the options of the protocol by its own schema', () => {
    assert.deepEqual(config({ name: 'a', protocol: 'p' }, [], [protocol]).options, { size: 3 });
    assert.deepEqual(config({ name: 'a', protocol: 'p', options: { word: 'x' } }, [], [protocol]).options, { size: 3, word: 'x' });
    assert.throws(() => config({ name: 'a', protocol: 'p', options: { size: 'x' } }, [], [protocol]), (e: z.ZodError) => e.issues[0]!.path.join('.') === 'options.size');
    assert.deepEqual(refusals({ name: 'a', options: {} }), ['options']);
    assert.deepEqual(refusals({ name: 'a', protocol: 'q' }), ['protocol']);
  });

  test('decodes health checks', () => {
    const check = config({ name: 'a', health_check: { type: 'http', path: '/h?x', expect: [204, '300-399'], headers: { 'x-a': 'b' } } }).health_check!;
    assert.deepEqual(check.expect, [{ from: 204, to: 204 }, { from: 300, to: 399 }]);
    assert.deepEqual([check.method, check.path, check.interval, check.timeout, check.healthy_threshold, check.unhealthy_threshold], ['GET', '/h?x', 5000, 1000, 2, 3]);
    assert.equal(config({ name: 'a', health_check: 'tcp' }).health_check!.type, 'tcp');
    assert.equal(config({ name: 'a', health_check: { type: 'p', options: { x: 1 } } }, ['p']).health_check!.type, 'p');
  });

  const refused: [string, Record<string, unknown>, string[]][] = [
    ['an unknown key', { name: 'a', hostz: 'x' }, ['hostz']],
    ['an address twice', { name: 'a', hosts: '10.0.0.1:80,10.0.0.2:80,10.0.0.1:80' }, ['hosts.2']],
    ['a name with discovery static', { name: 'a', hosts: '10.0.0.1:80,svc:80', discovery: 'static' }, ['hosts.1']],
    ['weights with round_robin', { name: 'a', hosts: [{ address: '10.0.0.1:80', weight: 2 }], balancer: 'round_robin' }, ['balancer']],
    ['an unknown balancer', { name: 'a', balancer: 'fastest' }, ['balancer.type']],
    ['an option of another balancer', { name: 'a', balancer: { type: 'random', choices: 2 } }, ['balancerchoices']],
    ['an http option in a tcp check', { name: 'a', health_check: { type: 'tcp', path: '/' } }, ['health_check.path']],
    ['a kept connection that is the check itself', { name: 'a', health_check: { keep_connection: true } }, ['health_check.keep_connection']],
    ['a protocol without a probe', { name: 'a', health_check: 'p' }, ['health_check.type']],
    ['type protocol without one', { name: 'a', health_check: 'protocol' }, ['health_check.type']],
    ['a header that breaks its line', { name: 'a', health_check: { type: 'http', headers: { a: 'b\r\nc: d' } } }, ['health_check.headers.a']],
    ['a path that breaks its line', { name: 'a', health_check: { type: 'http', path: '/ HTTP/1.1\r\nx: y' } }, ['health_check.path']],
    ['a range of no statuses', { name: 'a', health_check: { type: 'http', expect: ['299-200'] } }, ['health_check.expect.0']],
    ['a time of nothing to connect', { name: 'a', connect_timeout: 0 }, ['connect_timeout']],
  ];
  for (const [what, input, paths] of refused) {
    test(`refuses ${what}`, () => assert.deepEqual(refusals(input), paths));
  }

  test('points at the place in the file, with what may have been meant', () => {
    const text = 'name: a\nprotocol: p\noptions: {sizes: 4}\nbalancer: leest_request\nhosts:\n  - 10.0.0.1:80\n  - 10.0.0.1:80\n';
    const schema = clusterSchema(new Catalog([...manifests, protocol]), z.unknown(), []);
    const result = check(schema, loadText(text, 'c.yaml', {}));
    assert.ok(!result.ok);
    const told = formatProblems(result.problems);
    assert.match(told, /c\.yaml:4:\d+: balancer.*least_request/);
    const good = check(schema, loadText(text.replace('leest', 'least'), 'c.yaml', {}));
    const rest = good.ok ? '' : formatProblems(good.problems);
    assert.match(rest, /c\.yaml:3:\d+: options\.sizes: unknown key \(did you mean size\?\)/);
    assert.match(rest, /c\.yaml:7:\d+: hosts\[1\]: .*has the address 10\.0\.0\.1:80 already/);
  });

  test('states for every option what it does, and makes a JSON Schema', () => {
    const schema = clusterSchema(new Catalog(manifests), z.unknown(), []);
    const rows = listOptions(schema);
    assert.ok(rows.length > 50, String(rows.length));
    assert.deepEqual(rows.filter((row) => row.doc === '').map((row) => row.path), []);
    const json = JSON.stringify(toJsonSchema(schema, 'cluster'));
    for (const word of ['least_request', 'refresh_max', 'panic_threshold', '"default":"3s"']) assert.ok(json.includes(word), word);
  });
});

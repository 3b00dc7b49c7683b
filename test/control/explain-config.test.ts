// Every value in effect with its origin: a line of the file, a variable, or a default.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadText } from '../../src/core/config/load.js';
import { type ExplainedValue, explainConfig, explanationText } from '../../src/control/explain-config.js';
import { catalog } from './catalog.js';

const text = `admin: \${ADMIN:-127.0.0.1:2050}
listeners:
  - name: http
    address: \${LISTEN:-127.0.0.1:2045}
    protocol: http1
    options: {max_line: 100}
    routes: main
    stream_filters:
      - delay
      - type: tag
        value: x
routes:
  - name: main
    routes:
      - match: {prefix: /a, header.x-user: admin}
        cluster: app
        request_headers: {set: {authorization: Bearer abc}}
        retry: {attempts: 3}
        filters: {delay: {time: 2s}}
clusters:
  - name: app
    hosts: "10.0.0.1:1,10.0.0.2:1"
    balancer: weighted
access_log: {format: json}
`;

function explained(env: Record<string, string> = {}): Map<string, ExplainedValue> {
  const rows = explainConfig({ loaded: loadText(text, 'a.yaml', env), catalog });
  const byPath = new Map(rows.map((row) => [row.path, row]));
  assert.equal(byPath.size, rows.length, 'each value once');
  return byPath;
}

test('values of the file have their line, and the variables they were made with', () => {
  const rows = explained({ LISTEN: '127.0.0.1:9' });
  const of = (path: string): [unknown, number | string, string] => {
    const row = rows.get(path);
    assert.ok(row, `${path} is among ${[...rows.keys()].join(', ')}`);
    return [row.value, row.from === 'default' ? 'default' : row.line, row.variables.join()];
  };
  assert.deepEqual(of('admin.address'), ['127.0.0.1:2050', 1, 'ADMIN']);
  assert.deepEqual(of('listeners[0].name'), ['http', 3, '']);
  assert.deepEqual(of('listeners[0].address'), ['127.0.0.1:9', 4, 'LISTEN']);
  assert.deepEqual(of('listeners[0].options.max_line'), [100, 6, '']);
  assert.deepEqual(of('listeners[0].stream_filters[0]'), ['delay', 9, '']);
  assert.deepEqual(of('listeners[0].stream_filters[1].value'), ['x', 11, '']);
  assert.deepEqual(of('routes[0].routes[0].match.prefix'), ['/a', 15, '']);
  assert.deepEqual(of('routes[0].routes[0].match["header.x-user"]'), ['admin', 15, '']);
  assert.deepEqual(of('routes[0].routes[0].retry.attempts'), [3, 18, '']);
  assert.deepEqual(of('routes[0].routes[0].filters.delay.time'), ['2s', 19, '']);
  assert.deepEqual(of('clusters[0].hosts'), ['10.0.0.1:1,10.0.0.2:1', 22, '']);
  assert.deepEqual(of('access_log.format'), ['json', 24, '']);
});

test('defaults are written as they would be in a file', () => {
  const rows = explained();
  const of = (path: string): unknown => {
    assert.equal(rows.get(path)?.from, 'default', path);
    return rows.get(path)!.value;
  };
  assert.equal(of('workers'), 'auto');
  assert.equal(of('drain_timeout'), '30s');
  assert.equal(of('log.level'), 'info');
  assert.equal(of('listeners[0].timeouts.head'), '10s');
  assert.equal(of('listeners[0].timeouts.idle'), undefined);
  assert.equal(of('routes[0].routes[0].timeout'), undefined);
  assert.equal(of('routes[0].routes[0].stream_idle_timeout'), '5m');
  assert.equal(of('routes[0].routes[0].retry.backoff.base'), '25ms');
  assert.equal(of('clusters[0].breaker.retry_budget.percent'), '20%');
  assert.equal(of('clusters[0].connect_timeout'), '3s');
});

test('the text has a line for each value, and no secrets', () => {
  const all = explanationText([...explained({ LISTEN: ':1' }).values()]);
  assert.match(all, /^listeners\[0\]\.address +:1 +line 4, \$LISTEN$/m);
  assert.match(all, /^drain_timeout +30s +default$/m);
  assert.match(all, /^listeners\[0\]\.timeouts\.idle +\(not set\) +default$/m);
  assert.match(all, /^routes\[0\]\.routes\[0\]\.request_headers\.set\.authorization +\*\*\* +line 17$/m);
  assert.ok(!all.includes('abc'));
});

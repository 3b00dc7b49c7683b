// Checking: all problems at once, in the order of the file, each with place, path, expectation, what was found and a hint.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as z from 'zod';
import { check, deepFreeze, formatProblem, formatProblems, pathText, problemAt, problemsJson } from '../../../src/core/config/check.js';
import { loadText } from '../../../src/core/config/load.js';
import { address, duration, flag, hosts, integer, name, oneOf, option, section, text } from '../../../src/core/config/schema.js';

const schema = z.strictObject({
  listeners: option(
    z.array(
      z.strictObject({
        name: option(name(), { doc: 'Name.' }),
        address: option(address(), { doc: 'Where to listen.' }),
        protocol: option(oneOf(['http1', 'bolt', 'tcp']), { default: 'http1', doc: 'Protocol.' }),
        timeouts: section({ idle: option(duration(90_000), { doc: 'Idle.' }) }, 'Timeouts.'),
      }),
    ),
    { default: [], doc: 'Listeners.' },
  ),
  clusters: option(z.record(name(), z.strictObject({ hosts: option(hosts(), { doc: 'Hosts.' }) })), { default: {}, doc: 'Clusters.' }),
  routes: option(
    z.array(z.union([z.strictObject({ cluster: text() }), z.strictObject({ redirect: text(), code: integer(300, 399) }), z.literal('none')])),
    { default: [], doc: 'Routes.' },
  ),
  filters: option(
    z.array(
      z.discriminatedUnion('type', [
        z.strictObject({ type: z.literal('fault'), delay: option(duration(), { doc: 'Delay.' }) }),
        z.strictObject({ type: z.literal('limit'), rate: option(integer(1, 100), { doc: 'Rate.' }) }),
      ]),
    ),
    { default: [], doc: 'Filters.' },
  ),
  password: option(integer(0, 9), { optional: true, doc: 'Secret.' }),
});

const problems = (text: string, env = {}): string[] => {
  const result = check(schema, loadText(text, 'c.yaml', env));
  assert.equal(result.ok, false, text);
  return result.ok ? [] : result.problems.map(formatProblem);
};

test('what is right becomes typed, frozen data with its defaults', () => {
  const result = check(schema, loadText('listeners:\n- {name: a, address: ":80"}\nclusters: {c: {hosts: "h:1"}}\n', 'c.yaml'));
  assert.ok(result.ok);
  assert.deepEqual(result.value, {
    listeners: [{ name: 'a', address: { host: '', port: 80 }, protocol: 'http1', timeouts: { idle: 90_000 } }],
    clusters: { c: { hosts: [{ address: { host: 'h', port: 1 }, weight: 1, metadata: {} }] } },
    routes: [],
    filters: [],
  });
  assert.ok(Object.isFrozen(result.value.listeners[0]!.address));
  assert.ok(Object.isFrozen(result.value.clusters['c']!.hosts));
  assert.throws(() => Object.assign(result.value.listeners[0]!, { name: 'b' }), TypeError);
});

test('every problem of a file is told at once, in the order of the file', () => {
  assert.deepEqual(
    problems(`lisetners: []
listeners:
  - name: Bad
    adress: ":80"
    protocol: htp1
    timeouts: {idle: 5}
clusters:
  c: {}
  Big: {hosts: "a:1"}
`),
    [
      'c.yaml:1:1: lisetners: unknown key (did you mean listeners?)',
      'c.yaml:3:5: listeners[0].address: is missing, expected an address such as 127.0.0.1:80, [::1]:80, :80 or unix:/path',
      'c.yaml:3:11: listeners[0].name: expected a name of lower-case letters, digits, ".", "_" and "-", got "Bad" (bad would be one)',
      'c.yaml:4:5: listeners[0].adress: unknown key (did you mean address?)',
      'c.yaml:5:15: listeners[0].protocol: expected one of http1, bolt, tcp, got "htp1" (did you mean http1?)',
      'c.yaml:6:22: listeners[0].timeouts.idle: expected a duration such as 250ms, 1.5s, 2m or 1h, got 5 (a unit is missing: 5ms or 5s?)',
      'c.yaml:8:6: clusters.c.hosts: is missing, expected hosts as "a:1,b:2" or a list',
      'c.yaml:9:8: clusters.Big: expected a name of lower-case letters, digits, ".", "_" and "-" as key, got "Big" (big would be one)',
    ],
  );
});

test('of several alternatives the one that was most likely meant is explained', () => {
  assert.deepEqual(problems('routes: [{cluster: {}}, {redirect: x, cod: 301}, {redirect: x, code: 200}, 7, nun, {}]'), [
    'c.yaml:1:20: routes[0].cluster: expected a text, got a map',
    'c.yaml:1:25: routes[1].code: is missing, expected a whole number from 300 to 399',
    'c.yaml:1:39: routes[1].cod: unknown key (did you mean code?)',
    'c.yaml:1:70: routes[2].code: expected a whole number from 300 to 399, got 200',
    'c.yaml:1:76: routes[3]: expected a map, or none, got 7',
    'c.yaml:1:79: routes[4]: expected a map, or none, got "nun"',
    'c.yaml:1:84: routes[5].cluster: is missing, expected a text',
  ]);
  assert.deepEqual(problems('filters: [{type: falt}, {type: fault}, {delay: 1s}, {type: limit, rate: 1000}, 5]'), [
    'c.yaml:1:18: filters[0].type: expected one of fault, limit, got "falt" (did you mean fault?)',
    'c.yaml:1:25: filters[1].delay: is missing, expected a duration such as 250ms, 1.5s, 2m or 1h',
    'c.yaml:1:40: filters[2].type: is missing, expected one of fault, limit',
    'c.yaml:1:73: filters[3].rate: expected a whole number from 1 to 100, got 1000',
    'c.yaml:1:80: filters[4]: expected a map, got 5',
  ]);
});

test('unset variables and wrong values are told together, and an unset one only once', () => {
  assert.deepEqual(problems('listeners: [{name: a, address: "${NOPE}"}]\nfilters: 3\n'), [
    'c.yaml:1:32: listeners[0].address: the environment variable NOPE is not set (${NOPE:-default} gives it a default)',
    'c.yaml:2:10: filters: expected a list, got 3',
  ]);
  assert.equal(problems('clusters: {c: {hosts: "${NOPE}"}}').length, 1);
  assert.equal(problems('clusters: {c: {hosts: "a${NOPE},b"}}').length, 1, 'nothing of its parts');
  assert.equal(problems('routes: [{redirect: x, code: "3${NOPE}"}]').length, 1, 'nothing within alternatives');
});

test('a variable counts as what it stands for', () => {
  const result = check(schema, loadText('listeners: [{name: a, address: "${PORT}", timeouts: {idle: "${IDLE:-1s}"}}]', 'c', { PORT: '81' }));
  assert.ok(result.ok);
  assert.equal(result.value.listeners[0]!.address.port, 81);
  assert.deepEqual(problems('listeners: [{name: a, address: "${PORT}"}]', { PORT: 'x' }), [
    'c.yaml:1:32: listeners[0].address: expected an address such as 127.0.0.1:80, [::1]:80, :80 or unix:/path, got "x" (the port is missing: x:80)',
  ]);
});

test('syntax errors alone are told when the text cannot be read, and a file of the wrong kind is one problem', () => {
  assert.equal(problems('listeners: [\n').every((line) => /^c\.yaml:\d+:\d+: /.test(line)), true);
  assert.deepEqual(problems('[1, 2]'), ['c.yaml:1:1: expected a map, got a list']);
});

test('secrets are not shown, and long values are cut', () => {
  assert.deepEqual(problems('password: hunter2'), ['c.yaml:1:11: password: expected a whole number from 0 to 9, got a hidden value']);
  const [line] = problems(`filters: ${'x'.repeat(200)}`);
  assert.ok(line!.length < 130, line);
});

test('a sentence of the schema itself is kept', () => {
  const strict = z.strictObject({ low: z.number(), high: z.number() }).refine((v) => v.low <= v.high, { message: 'low is above high', path: ['low'] });
  const result = check(strict, loadText('low: 3\nhigh: 2\n', 'c'));
  assert.ok(!result.ok);
  assert.equal(formatProblem(result.problems[0]!), 'c:1:6: low: low is above high');
});

test('plain zod schemas have readable words too', () => {
  const plain = z.strictObject({ n: z.number().min(1).max(2), i: z.int(), s: z.string().min(3), a: z.array(z.boolean()).max(1), b: z.array(z.boolean()), r: z.string().regex(/^x+$/), m: z.number().multipleOf(5) });
  const result = check(plain, loadText('{n: 0, i: 1.5, s: ab, a: [true, false], b: [true, 5], r: y, m: 7}', 'c'));
  assert.ok(!result.ok);
  assert.deepEqual(result.problems.map((p) => formatProblem(p).replace(/^c:\d+:\d+: /, '')), [
    'n: expected a number of at least 1, got 0',
    'i: expected a whole number, got 1.5',
    's: expected a text of at least 3 characters, got "ab"',
    'a: expected a list of at most 1 entries, got a list',
    'b[1]: expected true or false, got 5',
    'r: expected a text that matches /^x+$/, got "y"',
    'm: expected a multiple of 5, got 7',
  ]);
});

test('problems found later have the same shape', () => {
  const loaded = loadText('routes:\n  - cluster: chekout\n', 'c.yaml');
  const problem = problemAt(loaded, ['routes', 0, 'cluster'], 'expected the name of a cluster', 'chekout', ['checkout', 'cart']);
  assert.equal(formatProblem(problem), 'c.yaml:2:14: routes[0].cluster: expected the name of a cluster, got "chekout" (did you mean checkout?)');
  assert.equal(formatProblems([problem, problem]).split('\n').length, 3);
  assert.deepEqual(JSON.parse(problemsJson([problem])), {
    problems: [{ file: 'c.yaml', line: 2, col: 14, path: 'routes[0].cluster', expected: 'expected the name of a cluster', got: '"chekout"', hint: 'did you mean checkout?' }],
  });
});

test('paths are written as one would type them', () => {
  assert.equal(pathText(['a', 0, 'b-c', 'd.e', 'f g']), 'a[0].b-c["d.e"]["f g"]');
  assert.equal(pathText([]), '');
});

test('deepFreeze leaves buffers and expressions alone', () => {
  const value = deepFreeze({ b: Buffer.from('x'), r: /x/g, deep: [{ a: 1 }] });
  value.r.lastIndex = 3;
  value.b[0] = 5;
  assert.ok(Object.isFrozen(value.deep[0]));
  assert.equal(value.b[0], 5);
  assert.equal(flag().parse(true), true);
});

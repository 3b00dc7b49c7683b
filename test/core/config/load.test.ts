// Loading: YAML and JSON give the same data, every value has its place, and what is wrong with the text is told with line and column.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadFile, loadText } from '../../../src/core/config/load.js';
import { formatProblem } from '../../../src/core/config/problem.js';

const lines = (text: string, env = {}) => loadText(text, 'f.yaml', env).problems.map(formatProblem);

test('YAML and JSON give the same data', () => {
  const yaml = loadText('a: 1\nb:\n  - x: true\n    y: "2"\n  - null\nc: {}\n', 'f');
  const json = loadText('{"a": 1,\n\t"b": [{"x": true, "y": "2"}, null],\n\t"c": {}}', 'f');
  assert.deepEqual(yaml.data, { a: 1, b: [{ x: true, y: '2' }, null], c: {} });
  assert.deepEqual(json.data, yaml.data);
  assert.deepEqual([yaml.problems, json.problems], [[], []]);
});

test('the words of YAML 1.1 are texts, and numbers that would be printed otherwise stay as they are written', () => {
  const { data } = loadText('[yes, no, on, off, 1.0, 1.10, 007, 0x1F, 1e3, 12345678901234567890, 2024-01-01, .inf, 5, -1.5, true, ~, "1.0"]', 'f');
  assert.deepEqual(data, ['yes', 'no', 'on', 'off', '1.0', '1.10', '007', '0x1F', '1e3', '12345678901234567890', '2024-01-01', '.inf', 5, -1.5, true, null, '1.0']);
});

test('an empty file is an empty map', () => {
  for (const text of ['', '\n', '# only a comment\n', '---\n']) assert.deepEqual(loadText(text, 'f').data, {});
});

test('every value and key has its place', () => {
  const loaded = loadText('a:\n  b: [1, {c: two}]\n"d e":   x\n', 'f');
  const at = (...path: (string | number)[]) => Object.values(loaded.at(path)).join(':');
  assert.equal(at('a', 'b'), '2:6');
  assert.equal(at('a', 'b', 0), '2:7');
  assert.equal(at('a', 'b', 1, 'c'), '2:14');
  assert.equal(at('d e'), '3:10');
  assert.equal(at(), '1:1');
  assert.equal(at('a', 'missing', 'more'), '2:3', 'the nearest thing around it');
  assert.equal(at('a', 'b', 9), '2:6');
  assert.deepEqual(loaded.keyAt(['a', 'b', 1, 'c']), { line: 2, col: 11 });
  assert.deepEqual(loaded.keyAt(['d e']), { line: 3, col: 1 });
});

test('places are right in JSON and in files with CRLF and long characters', () => {
  const loaded = loadText('{\r\n  "ä😀": 1,\r\n  "b": 2\r\n}\r\n', 'f');
  assert.deepEqual(loaded.data, { 'ä😀': 1, b: 2 });
  assert.deepEqual(loaded.at(['b']), { line: 3, col: 8 });
});

test('syntax errors have line and column, all at once', () => {
  assert.deepEqual(lines('a: 1\na: 2\nb: {c: 1, c: 2}\n'), ['f.yaml:2:1: the key occurs twice', 'f.yaml:3:11: the key occurs twice']);
  const [first] = lines('a: 1\nb: [1, 2\nc: 3\n');
  assert.match(first!, /^f\.yaml:[23]:\d+: /);
  assert.match(lines('{"a": 1')[0]!, /^f\.yaml:1:\d+: /);
  assert.match(lines('a: !custom x')[0]!, /^f\.yaml:1:4: .*!custom/);
  assert.match(lines('a: 1\n---\nb: 2\n')[0]!, /^f\.yaml:2:1: .*multiple documents/i);
  assert.match(lines('a: !!binary aGk=')[0]!, /^f\.yaml:1:4: unresolved tag/);
  assert.match(lines('a: {b: ${X:-1}}')[0]!, /a variable must be quoted/);
  assert.equal(loadText('a: [', 'f').data, undefined);
});

test('a key must be a text', () => {
  assert.match(lines('? [a]\n: 1\n')[0]!, /f\.yaml:1:\d+: /);
  assert.match(lines('__proto__: {x: 1}\n')[0]!, /f\.yaml:1:1: expected a text as key/);
  assert.deepEqual(loadText('1: a\ntrue: b\n', 'f').data, { 1: 'a', true: 'b' });
});

test('aliases are followed, and limited', () => {
  const loaded = loadText('base: &b {x: 1}\nuse: *b\nlist: [*b, *b]\n', 'f');
  assert.deepEqual(loaded.data, { base: { x: 1 }, use: { x: 1 }, list: [{ x: 1 }, { x: 1 }] });
  assert.deepEqual(loaded.at(['use', 'x']), { line: 1, col: 14 });
  assert.deepEqual(loaded.at(['use']), { line: 2, col: 6 });
  assert.match(lines('a: *none\n')[0]!, /^f\.yaml:1:4: .*none/);
  assert.match(lines('a: &a [*a]\n')[0]!, /^f\.yaml:1:8: .*\*a lies within/);
  const bomb = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]'];
  for (let i = 1; i < 10; i++) bomb.push(`a${i}: &a${i} [${Array(10).fill(`*a${i - 1}`).join(', ')}]`);
  const start = performance.now();
  assert.match(lines(bomb.join('\n'))[0]!, /aliases of the file add more than 100000/);
  assert.ok(performance.now() - start < 5000);
});

test('nesting is limited', () => {
  assert.match(lines(`${'['.repeat(150)}${']'.repeat(150)}`)[0]!, /nested deeper than 100/);
});

test('variables are replaced after parsing, so that no value can change the structure', () => {
  const env = { LISTEN: '0.0.0.0:80', BAD: 'x\ninjected: true', PORT: '81' };
  const { data, problems } = loadText('address: ${LISTEN:-127.0.0.1:2045}\nport: "${PORT}"\ntext: ${BAD}\nkeep: $${PORT}\n${PORT}: key\nmulti: |\n  a ${PORT}\n', 'f', env);
  assert.deepEqual(problems, []);
  assert.deepEqual(data, { address: '0.0.0.0:80', port: 81, text: 'x\ninjected: true', keep: '${PORT}', '${PORT}': 'key', multi: 'a 81\n' });
});

test('variables that are not set are told all at once, with place and path', () => {
  const loaded = loadText('a: ${ONE}\nb:\n  - c: x${TWO}y\nd: ${THREE:-3}\n', 'f.yaml', {});
  assert.deepEqual(loaded.problems.map(formatProblem), [
    'f.yaml:1:4: a: the environment variable ONE is not set (${ONE:-default} gives it a default)',
    'f.yaml:3:8: b[0].c: the environment variable TWO is not set (${TWO:-default} gives it a default)',
  ]);
  assert.deepEqual(loaded.variables(['d']), ['THREE']);
  assert.deepEqual(loaded.variables(['b']), []);
});

test('a file that is not there is a problem, not an exception', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-load-'));
  try {
    const file = join(folder, 'c.yaml');
    assert.match(loadFile(file).problems[0]!.expected, /cannot be read: .*ENOENT/);
    writeFileSync(file, 'a: ${X:-1}\n');
    assert.deepEqual(loadFile(file, {}).data, { a: 1 });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

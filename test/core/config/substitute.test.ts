// Variables in values: set, unset, defaults, escapes, types, and every way of writing them wrong.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { substitute } from '../../../src/core/config/substitute.js';

const env = { PORT: '2045', HOST: 'h', EMPTY: '', FLAG: 'true', VERSION: '1.10', ZERO: '0', TEXT: 'a: [b', MONEY: '$HOST ${HOST}' };
const value = (text: string) => {
  const result = substitute(text, env);
  assert.deepEqual(result?.faults ?? [], [], text);
  return result === null ? text : result.value;
};

test('values are replaced inside a text', () => {
  assert.equal(value('http://${HOST}:${PORT}/'), 'http://h:2045/');
  assert.equal(value('${HOST}${HOST}'), 'hh');
  assert.equal(value('no variable, $1 and $ and 5$'), 'no variable, $1 and $ and 5$');
  assert.deepEqual(substitute('${HOST}-${PORT}-${NOT_SET:-x}', env)!.names, ['HOST', 'PORT', 'NOT_SET']);
  assert.equal(substitute('^/a(\\d+)$', env), null, 'nothing to replace');
});

test('a default serves where the variable is not set or empty, and may hold variables', () => {
  assert.equal(value('${NO:-fallback}'), 'fallback');
  assert.equal(value('${EMPTY:-fallback}'), 'fallback');
  assert.equal(value('${HOST:-fallback}'), 'h');
  assert.equal(value('${NO:-}'), '');
  assert.equal(value('${EMPTY}'), '');
  assert.equal(value('${NO:-127.0.0.1:2045}'), '127.0.0.1:2045');
  assert.equal(value('${NO:-${HOST}:${PORT}}'), 'h:2045');
  assert.equal(value('${NO:-${NOR:-${PORT}}}'), 2045);
  assert.equal(value('a${NO:-}b'), 'ab');
});

test('a text that is one variable only becomes a number or boolean, if it would be printed the same way', () => {
  assert.equal(value('${PORT}'), 2045);
  assert.equal(value('${ZERO}'), 0);
  assert.equal(value('${FLAG}'), true);
  assert.equal(value('${NO:-false}'), false);
  assert.equal(value('${NO:--1.5}'), -1.5);
  assert.equal(value('${VERSION}'), '1.10');
  assert.equal(value('${NO:-007}'), '007');
  assert.equal(value('${NO:-1e3}'), '1e3');
  assert.equal(value('${NO:-0x10}'), '0x10');
  assert.equal(value('${NO:-Infinity}'), 'Infinity');
  assert.equal(value('${NO:-null}'), 'null');
  assert.equal(value(' ${PORT}'), ' 2045');
  assert.equal(value('${PORT}${PORT}'), '20452045');
});

test('$$ is a dollar sign, and values are taken as they are', () => {
  assert.equal(value('$${HOST}'), '${HOST}');
  assert.equal(value('$$$$'), '$$');
  assert.equal(value('$$${HOST}'), '$h');
  assert.equal(value('${MONEY}'), '$HOST ${HOST}');
  assert.equal(value('${TEXT}'), 'a: [b');
});

test('mistakes are told with a hint', () => {
  const faults = (text: string) => substitute(text, env)!.faults.map((f) => f.expected);
  assert.deepEqual(faults('${NO}'), ['the environment variable NO is not set']);
  assert.match(substitute('${NO}', env)!.faults[0]!.hint, /\$\{NO:-default\}/);
  assert.deepEqual(faults('${NO} ${NOR}').length, 2);
  assert.match(faults('a ${HOST')[0]!, /expected \}/);
  assert.match(faults('${}')[0]!, /expected \$\{NAME\}/);
  assert.match(faults('${HOST-x}')[0]!, /got \$\{HOST-x\}/);
  assert.match(faults('${1A}')[0]!, /expected \$\{NAME\}/);
  assert.match(faults(`${'${A:-'.repeat(20)}x${'}'.repeat(20)}`)[0]!, /nested deeper/);
  assert.deepEqual(faults('${constructor}'), ['the environment variable constructor is not set']);
});

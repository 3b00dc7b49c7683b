// The nearest name: what people mistype is found, what has nothing to do with it is not.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nearest } from '../../src/core/nearest.js';

const names = ['listeners', 'clusters', 'routes', 'connect_timeout', 'max_connections', 'hosts', 'host', 'name'];

test('finds what was meant', () => {
  for (const [typed, meant] of [
    ['listener', 'listeners'],
    ['lisetners', 'listeners'],
    ['connectTimeout', 'connect_timeout'],
    ['connect-timeout', 'connect_timeout'],
    ['maxconnection', 'max_connections'],
    ['cluster', 'clusters'],
    ['hots', 'host'],
    ['Name', 'name'],
    ['timeout', 'connect_timeout'],
  ] as const) {
    assert.equal(nearest(typed, names)[0], meant, typed);
  }
});

test('finds nothing where nothing is near', () => {
  for (const typed of ['kafka', 'x', '', 'zzzzzzzz']) assert.deepEqual(nearest(typed, names), [], typed);
});

test('an exact name is nearest to itself, and the count is kept', () => {
  assert.equal(nearest('host', names)[0], 'host');
  assert.deepEqual(nearest('host', names, 2), ['host', 'hosts']);
});

// Random numbers: repeatable by seed, even, in range, replaceable.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { random, randomInt, setRandom } from '../../src/core/random.js';

test('the same seed gives the same sequence, another seed another', () => {
  const take = (seed: number): number[] => {
    const undo = setRandom(seed);
    const values = Array.from({ length: 20 }, random);
    undo();
    return values;
  };
  assert.deepEqual(take(1), take(1));
  assert.notDeepEqual(take(1), take(2));
  assert.equal(new Set(take(0)).size, 20, 'seed 0 is no trap');
});

test('numbers are spread evenly over the range', () => {
  const undo = setRandom(7);
  const counts = Array.from({ length: 10 }, () => 0);
  let sum = 0;
  for (let i = 0; i < 100_000; i++) {
    const n = randomInt(10);
    assert.ok(Number.isInteger(n) && n >= 0 && n < 10);
    counts[n]!++;
    const f = random();
    assert.ok(f >= 0 && f < 1);
    sum += f;
  }
  undo();
  for (const count of counts) assert.ok(Math.abs(count - 10_000) < 500, counts.join(' '));
  assert.ok(Math.abs(sum / 100_000 - 0.5) < 0.01);
});

test('undoing a seed goes on with the former sequence', () => {
  const outer = setRandom(21);
  const wanted = [random(), random(), random()];
  outer();
  const again = setRandom(21);
  assert.equal(random(), wanted[0]);
  setRandom(5)();
  const inner = setRandom(6);
  random();
  inner();
  assert.deepEqual([random(), random()], wanted.slice(1));
  again();
});

test('a function can stand in, and undoing restores the sequence where it was', () => {
  const outer = setRandom(3);
  random();
  const undo = setRandom(() => 0.999);
  assert.equal(random(), 0.999);
  assert.equal(randomInt(10), 9);
  undo();
  const next = random();
  outer();
  const again = setRandom(3);
  random();
  assert.equal(random(), next);
  again();
});

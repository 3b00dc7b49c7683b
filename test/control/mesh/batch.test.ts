// Many changes at once become few: those that come together, and those that come while one is being made.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { Batch } from '../../../src/control/mesh/batch.js';
import { setClock } from '../../../src/core/clock.js';
import { FakeClock } from '../../../src/core/clock-fake.js';

const settle = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

describe('a batch', () => {
  let time: FakeClock;
  let undo: () => void;
  let runs: { resolve: () => void; reject: (error: Error) => void }[];
  let batch: Batch;
  beforeEach(() => {
    time = new FakeClock();
    undo = setClock(time);
    runs = [];
    batch = new Batch(() => new Promise((resolve, reject) => runs.push({ resolve, reject })));
  });
  afterEach(() => undo());
  const pass = async (ms: number): Promise<void> => {
    time.advance(ms);
    await settle();
  };

  test('runs once for all that ask within a moment', async () => {
    const all = Promise.all(Array.from({ length: 100 }, () => batch.request()));
    await settle();
    assert.equal(runs.length, 0);
    await pass(10);
    assert.equal(runs.length, 1);
    runs[0]!.resolve();
    await all;
    assert.equal(runs.length, 1);
  });

  test('runs once more for all that ask during a run, and not before it ends', async () => {
    const first = batch.request();
    await pass(10);
    let late = 0;
    const others = Array.from({ length: 50 }, () => batch.request().then(() => late++));
    await pass(1000);
    assert.equal(runs.length, 1);
    runs[0]!.resolve();
    await first;
    await settle();
    assert.deepEqual([runs.length, late], [2, 0]);
    runs[1]!.resolve();
    await Promise.all(others);
    assert.equal(late, 50);
  });

  test('tells a failure to those who asked for it, and goes on', async () => {
    const one = assert.rejects(batch.request(), /not this time/);
    await pass(10);
    runs[0]!.reject(new Error('not this time'));
    await one;
    const two = batch.request();
    await pass(10);
    assert.equal(runs.length, 2);
    runs[1]!.resolve();
    await two;
  });
});

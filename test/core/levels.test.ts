// Shared levels: each writer its own slots, all read the sum, rows grow live, a dead writer's share goes.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { FakeClock } from '../../src/core/clock-fake.js';
import { setClock } from '../../src/core/clock.js';
import { Worker } from 'node:worker_threads';
import { LevelRows, type LevelSegment, SharedLevels } from '../../src/core/levels.js';

test('with one writer a row is a plain number', () => {
  const levels = SharedLevels.create(10, 1);
  assert.equal(levels.rows, 16);
  levels.add(3, 5);
  levels.add(3, -2);
  levels.set(4, 9);
  assert.deepEqual([levels.read(3), levels.own(3), levels.read(4), levels.read(5)], [3, 3, 9, 0]);
});

test('each writer changes its own share, all read the sum', () => {
  const main = SharedLevels.create(16, 3);
  const one = SharedLevels.open(main.share(), 1);
  const two = SharedLevels.open(main.share(), 2);
  main.add(7, 1);
  one.add(7, 10);
  two.add(7, 100);
  two.add(8, -4);
  for (const levels of [main, one, two]) {
    assert.equal(levels.read(7), 111);
    assert.equal(levels.read(8), -4);
  }
  assert.deepEqual([main.own(7), one.own(7), two.own(7)], [1, 10, 100]);
  main.zeroWriter(1);
  assert.equal(two.read(7), 101);
  assert.equal(one.own(7), 0);
});

test('no two rows or writers share a slot, over several segments', () => {
  const main = SharedLevels.create(16, 3);
  main.grow();
  main.grow();
  const all = [main, SharedLevels.open(main.share(), 1), SharedLevels.open(main.share(), 2)];
  assert.equal(main.capacity, 48);
  for (const [w, levels] of all.entries()) for (let row = 0; row < 48; row++) levels.set(row, 1000 * (w + 1) + row);
  for (let row = 0; row < 48; row++) {
    for (const [w, levels] of all.entries()) assert.equal(levels.own(row), 1000 * (w + 1) + row);
    assert.equal(all[1]!.read(row), 6000 + 3 * row);
  }
  main.zeroWriter(2);
  for (let row = 0; row < 48; row++) assert.equal(main.read(row), 3000 + 2 * row);
});

test('a segment is attached once and in order', () => {
  const main = SharedLevels.create(16, 2);
  const other = SharedLevels.open(main.share(), 1);
  const first = main.grow();
  const second = main.grow();
  assert.throws(() => other.attach(second), /segment 2 came before segment 1/);
  other.attach(first);
  other.attach(first);
  other.attach(second);
  other.add(40, 3);
  assert.equal(main.read(40), 3);
});

test('wrong sizes and writers are mistakes', () => {
  assert.throws(() => new SharedLevels(new SharedArrayBuffer(100), 16, 1, 0), /does not hold/);
  assert.throws(() => new SharedLevels(new SharedArrayBuffer(24 * 4), 24, 1, 0), /power of two/);
  assert.throws(() => SharedLevels.open(SharedLevels.create(16, 2).share(), 2), /writer 2 of 2/);
});

test('worker threads and the main thread see one another without messages', async () => {
  const main = SharedLevels.create(16, 3);
  const workers = [1, 2].map((self) => new Worker(new URL('./levels-worker.js', import.meta.url), { workerData: { state: main.share(), self } }));
  const ask = async (worker: Worker, message: object): Promise<number> => {
    const answer = once(worker, 'message', { signal: AbortSignal.timeout(10_000) });
    worker.postMessage(message);
    return ((await answer) as [number])[0];
  };
  try {
    const segment = main.grow();
    for (const worker of workers) worker.postMessage({ segment });
    main.add(20, 1);
    assert.equal(await ask(workers[0]!, { row: 20, n: 10 }), 11);
    assert.equal(await ask(workers[1]!, { row: 20, n: 100 }), 111);
    assert.equal(main.read(20), 111);
  } finally {
    for (const worker of workers) await worker.terminate();
  }
  main.zeroWriter(1);
  assert.equal(main.read(20), 101);
});

test('names keep their rows, grow the levels when they run out, and free rows serve again after a while, once all is back to 0', (t) => {
  const time = new FakeClock();
  t.after(setClock(time));
  const levels = SharedLevels.create(16, 2);
  const other = SharedLevels.open(levels.share(), 1);
  const posted: LevelSegment[] = [];
  const rows = new LevelRows(levels, (segment) => posted.push(segment));
  const taken = Array.from({ length: 20 }, (_, i) => rows.take(`cluster-${i}`));
  assert.equal(new Set(taken).size, 20);
  assert.equal(posted.length, 1);
  other.attach(posted[0]!);
  assert.equal(rows.take('cluster-3'), taken[3]);
  rows.release('cluster-3');
  assert.notEqual(rows.take('another'), taken[3], 'still used once');
  assert.equal(rows.take('cluster-3'), taken[3]);
  levels.set(taken[5]!, 1);
  other.add(taken[5]!, 2);
  rows.release('cluster-5');
  rows.release('cluster-5');
  const before = rows.take('new');
  assert.notEqual(before, taken[5], 'the other writer still holds 2');
  other.add(taken[5]!, -2);
  assert.notEqual(rows.take('too soon'), taken[5], 'a thread may not have heard of the release yet');
  time.advance(5000);
  assert.equal(rows.take('newer'), taken[5]);
  assert.equal(levels.read(taken[5]!), 0);
});

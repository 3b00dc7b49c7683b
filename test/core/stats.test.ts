// Statistics: what is written is what is read, summed over threads, with counters that never fall and slots that are used again.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { afterEach, beforeEach, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { setClock } from '../../src/core/clock.js';
import { FakeClock } from '../../src/core/clock-fake.js';
import { random, setRandom } from '../../src/core/random.js';
import { bucketBounds, Counter, quantile, Stats, type StatsUpdate, StatsView } from '../../src/core/stats.js';

let fake: FakeClock;
let restore: () => void;
beforeEach(() => {
  fake = new FakeClock();
  restore = setClock(fake);
});
afterEach(() => restore());

/** A view fed as a worker would: with copies of what is posted. */
function remote(view: StatsView, thread: number, stats: Stats): void {
  stats.onSegment = (update) => view.attach(thread, { ...structuredClone({ added: update.added, released: update.released }), segments: update.segments });
  stats.flush();
}

test('counters, gauges and histograms are read by the view as they were written', () => {
  const stats = new Stats();
  const view = new StatsView();
  view.attachLocal('main', stats);
  const requests = stats.counter('requests_total', 'Requests.', { cluster: 'a', host: 'h' });
  requests.inc();
  requests.add(41);
  const active = stats.gauge('active', 'Active.');
  active.inc();
  active.inc();
  active.dec();
  const time = stats.histogram('time_seconds', 'Times.');
  time.record(1.5);
  time.record(2.5);
  assert.equal(requests.value, 42);
  assert.equal(active.value, 1);
  assert.equal(view.value('requests_total', { host: 'h', cluster: 'a' }), 42, 'whatever the order of the labels');
  assert.equal(view.value('active'), 1);
  assert.equal(view.find('time_seconds')!.value, 2);
  assert.equal(view.find('time_seconds')!.sum, 4);
  active.set(7);
  assert.equal(view.value('active'), 7);
  assert.equal(view.find('requests_total', { cluster: 'b' }), undefined);
  assert.equal(view.value('requests_total', { cluster: 'b' }), 0);
});

test('the same name and labels are the same series; another kind under a name is a mistake', () => {
  const stats = new Stats();
  const a = stats.counter('c', 'C.', { x: '1', y: '2' });
  assert.equal(stats.counter('c', 'C.', { y: '2', x: '1' }), a);
  assert.notEqual(stats.counter('c', 'C.', { x: '1', y: '3' }), a);
  assert.notEqual(stats.counter('c', 'C.', { x: '1y', '': '2' }), a);
  assert.throws(() => stats.gauge('c', 'C.'), /c is a counter, not a gauge/);
  assert.equal(stats.descriptors.length, 3);
});

test('bucket bounds grow by at most a quarter, and every value lands in the bucket that holds it', () => {
  assert.equal(bucketBounds[0], 0.01);
  assert.equal(bucketBounds.at(-1), Infinity);
  assert.ok(bucketBounds.at(-2)! >= 60_000);
  for (let i = 4; i < bucketBounds.length - 1; i++) assert.ok(bucketBounds[i]! / bucketBounds[i - 1]! <= 1.2500001, `bound ${i}`);
  const stats = new Stats();
  const view = new StatsView();
  view.attachLocal(0, stats);
  const undo = setRandom(11);
  const values = [0, 0.001, 0.00999, 0.01, 0.0399, 0.04, 0.05, 62_914.5, 62_914.56, 1e9, ...Array.from({ length: 3000 }, () => Math.exp(random() * 17 - 5))];
  undo();
  for (const [i, ms] of values.entries()) {
    const name = `h${i % 50}_${i}`;
    const h = stats.histogram(name, 'H.');
    h.record(ms);
    const { buckets } = view.find(name)!;
    const bucket = buckets!.indexOf(1);
    const low = bucket === 0 ? 0 : bucketBounds[bucket - 1]!;
    // Times 100 and back: a value within a rounding error of a bound may lie on either side.
    assert.ok(ms >= low * (1 - 1e-12) && ms < bucketBounds[bucket]! * (1 + 1e-12), `${ms} ms in [${low}, ${bucketBounds[bucket]})`);
    assert.equal(buckets!.reduce((a, b) => a + b), 1);
    stats.release(h);
    fake.advance(2001);
  }
});

test('what is no time counts as 0', () => {
  const stats = new Stats();
  const view = new StatsView();
  view.attachLocal(0, stats);
  const h = stats.histogram('h_seconds', 'H.');
  h.record(-5);
  h.record(NaN);
  assert.equal(view.find('h_seconds')!.buckets![0], 2);
  assert.equal(view.find('h_seconds')!.sum, 0);
});

test('quantiles are within a quarter of the truth', () => {
  const stats = new Stats();
  const view = new StatsView();
  view.attachLocal(0, stats);
  const h = stats.histogram('h_seconds', 'H.');
  assert.ok(Number.isNaN(quantile(new Float64Array(87), 0.5)));
  const undo = setRandom(5);
  const values = Array.from({ length: 20_000 }, () => Math.exp(random() * 8 - 1));
  undo();
  for (const ms of values) h.record(ms);
  values.sort((a, b) => a - b);
  const { buckets } = view.find('h_seconds')!;
  for (const q of [0.01, 0.1, 0.5, 0.9, 0.99, 0.999]) {
    const truth = values[Math.floor(q * values.length)]!;
    const estimate = quantile(buckets!, q);
    assert.ok(estimate / truth < 1.25 && estimate / truth > 0.8, `q ${q}: ${estimate} for ${truth}`);
  }
  const over = stats.histogram('over_seconds', 'O.');
  over.record(1e6);
  assert.ok(quantile(view.find('over_seconds')!.buckets!, 0.5) >= 60_000);
});

test('thousands of series spread over segments without touching each other', () => {
  const stats = new Stats({ maxSeries: 5000 });
  const view = new StatsView();
  const updates: StatsUpdate[] = [];
  stats.onSegment = (update) => {
    updates.push(update);
    view.attach(1, update);
  };
  for (let i = 0; i < 3000; i++) stats.counter('c', 'C.', { i: String(i) }).add(i);
  for (let i = 0; i < 30; i++) stats.histogram(`h${i}_seconds`, 'H.').record(i);
  for (let i = 0; i < 200; i++) stats.gauge('g', 'G.', { i: String(i) }).set(-i);
  stats.flush();
  assert.equal(updates.length, 1, 'one message for all of them');
  assert.ok(updates[0]!.segments.length <= 6, `${updates[0]!.segments.length} segments`);
  for (const value of view.collect()) {
    if (value.kind === 'counter') assert.equal(value.value, Number(value.labels['i']));
    else if (value.kind === 'gauge') assert.equal(value.value, 0 - Number(value.labels['i']));
    else assert.equal(value.sum, Number(/\d+/.exec(value.name)![0]));
  }
  assert.equal(view.collect().length, 3230);
});

test('updates come on their own, once per turn', async () => {
  const stats = new Stats();
  let calls = 0;
  stats.counter('early', 'E.').inc();
  stats.onSegment = () => void calls++;
  await Promise.resolve();
  assert.equal(calls, 1, 'what was there before is told');
  stats.counter('a', 'A.');
  stats.counter('b', 'B.');
  await Promise.resolve();
  assert.equal(calls, 2);
  stats.counter('a', 'A.');
  await Promise.resolve();
  assert.equal(calls, 2, 'nothing new, nothing told');
});

test('label sets over the cap share one series marked overflow', () => {
  const stats = new Stats({ maxSeries: 10 });
  const view = new StatsView();
  view.attachLocal(0, stats);
  const all = Array.from({ length: 25 }, (_, i) => stats.counter('c', 'C.', { host: String(i) }));
  for (const counter of all) counter.inc();
  assert.equal(view.value('c', { overflow: 'true' }), 15);
  assert.equal(view.value('c', { host: '9' }), 1);
  assert.equal(view.find('c', { host: '10' }), undefined);
  assert.equal(view.collect().length, 11);
  stats.counter('other', 'O.', { host: '1' }).inc();
  assert.equal(view.value('other', { host: '1' }), 1, 'the cap is per name');
  // A released label set makes room.
  stats.release(all[0]!);
  stats.counter('c', 'C.', { host: 'new' }).inc();
  assert.equal(view.value('c', { host: 'new' }), 1);
});

test('a released series is gone, its slot serves another after a while, and late writes reach nobody', () => {
  const stats = new Stats();
  const view = new StatsView();
  view.attachLocal(0, stats);
  const old = stats.counter('c', 'C.', { host: 'old' });
  old.add(5);
  const where = stats.descriptors[0]!;
  stats.release(old);
  assert.equal(view.find('c', { host: 'old' }), undefined);
  const soon = stats.counter('c', 'C.', { host: 'soon' });
  assert.notEqual(stats.descriptors.at(-1)!.slot, where.slot, 'a reader that is late must not see a stranger');
  fake.advance(2001);
  const next = stats.gauge('g', 'G.', { host: 'next' });
  assert.deepEqual([stats.descriptors.at(-1)!.segment, stats.descriptors.at(-1)!.slot], [where.segment, where.slot]);
  assert.equal(next.value, 0, 'zeroed');
  old.inc();
  old.add(100);
  assert.equal(next.value, 0);
  assert.equal(soon.value, 0);
  assert.equal(view.value('g', { host: 'next' }), 0);
});

test('a histogram slot is used again with all its buckets zeroed', () => {
  const stats = new Stats();
  const view = new StatsView();
  view.attachLocal(0, stats);
  const old = stats.histogram('h_seconds', 'H.', { host: 'old' });
  for (const ms of [0, 1, 100, 1e6]) old.record(ms);
  stats.release(old);
  fake.advance(3000);
  const next = stats.histogram('h_seconds', 'H.', { host: 'new' });
  assert.equal(view.find('h_seconds', { host: 'new' })!.value, 0);
  assert.equal(view.find('h_seconds', { host: 'new' })!.sum, 0);
  old.record(5);
  next.record(7);
  assert.equal(view.find('h_seconds', { host: 'new' })!.sum, 7);
});

test('a series lives until every user has released it', () => {
  const stats = new Stats();
  const view = new StatsView();
  view.attachLocal(0, stats);
  const first = stats.counter('c', 'C.');
  const second = stats.counter('c', 'C.');
  first.inc();
  stats.release(first);
  second.inc();
  assert.equal(view.value('c'), 2);
  stats.release(second);
  stats.release(second);
  assert.equal(view.find('c'), undefined);
});

test('the view sums over threads; a dead thread leaves its counts and takes its gauges', () => {
  const view = new StatsView();
  const threads = [new Stats(), new Stats(), new Stats()];
  for (const [i, stats] of threads.entries()) {
    remote(view, i, stats);
    stats.counter('c', 'C.').add(10 ** i);
    stats.gauge('g', 'G.').set(10 ** i);
    const h = stats.histogram('h_seconds', 'H.');
    for (let n = 0; n <= i; n++) h.record(10 ** i);
    stats.flush();
  }
  const read = () => [view.value('c'), view.value('g'), view.find('h_seconds')!.value, view.find('h_seconds')!.sum];
  assert.deepEqual(read(), [111, 111, 6, 321]);
  view.detach(2);
  assert.deepEqual(read(), [111, 11, 6, 321]);
  view.detach(2);
  assert.deepEqual(read(), [111, 11, 6, 321], 'a second death of the same thread changes nothing');
  const replacement = new Stats();
  remote(view, 3, replacement);
  replacement.counter('c', 'C.').inc();
  replacement.flush();
  assert.deepEqual(read(), [112, 11, 6, 321]);
  view.detach(0);
  view.detach(1);
  view.detach(3);
  assert.equal(view.value('c'), 112);
  assert.equal(view.find('h_seconds')!.buckets!.reduce((a, b) => a + b), 6);
  assert.equal(view.find('g'), undefined);
});

test('a sum does not fall while any thread still has the series, and the series ends with the last', () => {
  const view = new StatsView();
  const [a, b] = [new Stats(), new Stats()];
  remote(view, 0, a);
  remote(view, 1, b);
  const ca = a.counter('c', 'C.', { host: 'h' });
  const cb = b.counter('c', 'C.', { host: 'h' });
  ca.add(5);
  cb.add(7);
  a.flush();
  b.flush();
  a.release(ca);
  a.flush();
  assert.equal(view.value('c', { host: 'h' }), 12);
  b.release(cb);
  b.flush();
  assert.equal(view.find('c', { host: 'h' }), undefined);
  const again = a.counter('c', 'C.', { host: 'h' });
  again.inc();
  a.flush();
  assert.equal(view.value('c', { host: 'h' }), 1, 'a host that comes back starts anew');
});

test('a worker thread writes, the main thread reads without a message, and its death is folded', async () => {
  const view = new StatsView();
  const worker = new Worker(new URL('./stats-worker.js', import.meta.url));
  try {
    let done = 0;
    worker.on('message', (m: StatsUpdate | 'done') => {
      if (m === 'done') done++;
      else view.attach(1, m);
    });
    const wait = async (n: number): Promise<void> => {
      while (done < n) await once(worker, 'message', { signal: AbortSignal.timeout(10_000) });
    };
    worker.postMessage(5);
    await wait(1);
    assert.equal(view.value('requests_total', { cluster: 'a' }), 5);
    assert.equal(view.value('active'), 5);
    assert.equal(view.find('time_seconds')!.value, 5);
    worker.postMessage(6);
    await wait(2);
    assert.equal(view.value('requests_total', { cluster: 'a' }), 11);
    assert.equal(view.find('time_seconds')!.sum, 33);
  } finally {
    await worker.terminate();
  }
  view.detach(1);
  assert.equal(view.value('requests_total', { cluster: 'a' }), 11);
  assert.equal(view.find('active'), undefined);
});

test('a counter is one store: its class holds nothing but the slots and the index', () => {
  const slots = new Float64Array(new SharedArrayBuffer(64));
  const counter = new Counter(slots, 3);
  counter.inc();
  assert.deepEqual([...slots], [0, 0, 0, 1, 0, 0, 0, 0]);
  assert.deepEqual(Object.keys(counter), ['slots', 'index']);
});

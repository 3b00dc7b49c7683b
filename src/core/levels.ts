// Numbers that every thread raises and lowers and all read: breaker levels, host health and load, in shared memory.
import { now } from './clock.js';

/** How long a released row stays unused: a worker that has not heard of the release yet reads 0 in it, not what another name means. */
const QUARANTINE_MS = 5000;

/** What another thread needs to take part; plain data with shared buffers. */
export interface SharedLevelsState {
  readonly buffers: SharedArrayBuffer[];
  readonly rows: number;
  readonly writers: number;
}

/** A segment that was added; to be posted to the other threads, which `attach` it. */
export interface LevelSegment {
  readonly index: number;
  readonly buffer: SharedArrayBuffer;
}

/**
 * Rows of one Int32 per writer, each slot written by its own thread only, so nothing needs to be atomic: a read may miss what
 * another thread did a moment ago, and a limit checked against it may be passed by writers - 1. A segment holds `rows` rows,
 * writer after writer, so that two threads never write to the same cache line; all segments are of one size.
 */
export class SharedLevels {
  readonly rows: number;
  readonly writers: number;
  readonly self: number;
  readonly #segments: Int32Array[];
  readonly #shift: number;
  readonly #mask: number;
  readonly #base: number;

  /** Levels of `rows` rows (rounded up to a power of two) for writer 0 of `writers`. */
  static create(rows: number, writers: number): SharedLevels {
    const size = 2 ** Math.ceil(Math.log2(Math.max(rows, 16)));
    return new SharedLevels(new SharedArrayBuffer(size * writers * 4), size, writers, 0);
  }

  /** The levels that another thread shares, for writer `self`. */
  static open(state: SharedLevelsState, self: number): SharedLevels {
    const levels = new SharedLevels(state.buffers[0]!, state.rows, state.writers, self);
    state.buffers.forEach((buffer, index) => levels.attach({ index, buffer }));
    return levels;
  }

  /** `rows` is a power of two; `sab` holds rows * writers Int32. */
  constructor(sab: SharedArrayBuffer, rows: number, writers: number, self: number) {
    if (rows < 16 || (rows & (rows - 1)) !== 0) throw new Error(`${rows} rows: a power of two from 16 is needed`);
    if (sab.byteLength !== rows * writers * 4) throw new Error(`a buffer of ${sab.byteLength} bytes does not hold ${rows} rows of ${writers} writers`);
    if (!(self >= 0 && self < writers)) throw new Error(`writer ${self} of ${writers} does not exist`);
    this.rows = rows;
    this.writers = writers;
    this.self = self;
    this.#segments = [new Int32Array(sab)];
    this.#shift = 31 - Math.clz32(rows);
    this.#mask = rows - 1;
    this.#base = self * rows;
  }

  /** Rows of all segments. */
  get capacity(): number {
    return this.#segments.length << this.#shift;
  }

  /** Adds `n`, which may be negative, to this thread's slot. */
  add(row: number, n: number): void {
    this.#segments[row >>> this.#shift]![this.#base + (row & this.#mask)]! += n;
  }

  /** Puts `value` in this thread's slot. */
  set(row: number, value: number): void {
    this.#segments[row >>> this.#shift]![this.#base + (row & this.#mask)] = value;
  }

  /** The sum over the writers. */
  read(row: number): number {
    const segment = this.#segments[row >>> this.#shift]!;
    let at = row & this.#mask;
    if (this.writers === 1) return segment[at]!;
    let sum = 0;
    for (let w = 0; w < this.writers; w++) {
      sum += segment[at]!;
      at += this.rows;
    }
    return sum | 0;
  }

  /** What this thread has added. */
  own(row: number): number {
    return this.#segments[row >>> this.#shift]![this.#base + (row & this.#mask)]!;
  }

  /** Sets every slot of a writer to 0; for the main thread, once that writer is dead. */
  zeroWriter(writer: number): void {
    for (const segment of this.#segments) segment.fill(0, writer * this.rows, (writer + 1) * this.rows);
  }

  /** Adds a segment; the other threads must `attach` it before they are told of a row in it. */
  grow(): LevelSegment {
    const segment = { index: this.#segments.length, buffer: new SharedArrayBuffer(this.rows * this.writers * 4) };
    this.attach(segment);
    return segment;
  }

  /** Takes in a segment that another thread added; one that is known already is left alone. */
  attach(segment: LevelSegment): void {
    if (segment.index > this.#segments.length) throw new Error(`segment ${segment.index} came before segment ${this.#segments.length}`);
    if (segment.index === this.#segments.length) this.#segments.push(new Int32Array(segment.buffer));
  }

  /** For `open` in another thread. */
  share(): SharedLevelsState {
    return { buffers: this.#segments.map((s) => s.buffer as SharedArrayBuffer), rows: this.rows, writers: this.writers };
  }
}

/** Names for rows, kept by the main thread: the same name is the same row in every thread and every version of the configuration. */
export class LevelRows {
  readonly #levels: SharedLevels;
  readonly #onSegment: (segment: LevelSegment) => void;
  readonly #byName = new Map<string, { row: number; users: number }>();
  readonly #released: { readonly row: number; readonly at: number }[] = [];
  #next = 0;

  /** `onSegment` posts a new segment to the other threads. */
  constructor(levels: SharedLevels, onSegment: (segment: LevelSegment) => void) {
    this.#levels = levels;
    this.#onSegment = onSegment;
  }

  /** The row of `name`, made at its first use; each call is undone by one `release`. */
  take(name: string): number {
    const known = this.#byName.get(name);
    if (known !== undefined) {
      known.users++;
      return known.row;
    }
    const row = this.#free();
    this.#byName.set(name, { row, users: 1 });
    return row;
  }

  /**
   * The last release frees the row; it serves another name after QUARANTINE_MS, once every other writer has come back to 0. Until then
   * it keeps this thread's value, for the others may go by it a moment longer.
   */
  release(name: string): void {
    const known = this.#byName.get(name);
    if (known === undefined || --known.users > 0) return;
    this.#byName.delete(name);
    this.#released.push({ row: known.row, at: now() });
  }

  #free(): number {
    const before = now() - QUARANTINE_MS;
    const at = this.#released.findIndex(({ row, at: released }) => released <= before && this.#levels.read(row) === this.#levels.own(row));
    if (at !== -1) {
      const { row } = this.#released.splice(at, 1)[0]!;
      this.#levels.set(row, 0);
      return row;
    }
    if (this.#next === this.#levels.capacity) this.#onSegment(this.#levels.grow());
    return this.#next++;
  }
}

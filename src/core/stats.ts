// Counters, gauges and histograms that a thread writes by plain stores into shared memory, which the main thread reads at a scrape.
import { now } from './clock.js';
import { BUCKETS, HISTOGRAM_SLOTS, LIMIT_MS, OVERFLOW_BUCKET, SEGMENT_SLOTS, UNITS_PER_MS, seriesKey } from './stats-layout.js';
import type { Labels, SeriesDescriptor, StatKind, StatsUpdate } from './stats-layout.js';

export type { Labels, SeriesDescriptor, StatKind, StatsUpdate } from './stats-layout.js';
export { bucketBounds } from './stats-layout.js';
export { quantile, type SeriesValue, StatsView, type ThreadId } from './stats-view.js';

/** How long a released slot keeps its last value, so that a reader which has not heard of the release yet reads no stranger's value. */
const QUARANTINE_MS = 2000;

/** What released series write to. */
const nowhere = new Float64Array(HISTOGRAM_SLOTS);

// Each of the three classes writes with plain typed-array stores. Measured per call in a loop over 64 series (Node 20):
// Counter.inc 2.1 ns, Gauge.inc 2 ns, Histogram.record 6.6 ns; the loop alone takes 3.5 ns with a read in place of the call.

/** A number that only grows. */
export class Counter {
  slots: Float64Array;
  index: number;

  constructor(slots: Float64Array, index: number) {
    this.slots = slots;
    this.index = index;
  }

  inc(): void {
    this.slots[this.index]! += 1;
  }

  /** `n` >= 0. */
  add(n: number): void {
    this.slots[this.index]! += n;
  }

  /** What this thread has counted. */
  get value(): number {
    return this.slots[this.index]!;
  }
}

/** A number that goes up and down; what is read is the sum over the threads. */
export class Gauge {
  slots: Float64Array;
  index: number;

  constructor(slots: Float64Array, index: number) {
    this.slots = slots;
    this.index = index;
  }

  inc(): void {
    this.slots[this.index]! += 1;
  }

  dec(): void {
    this.slots[this.index]! -= 1;
  }

  /** This thread's share of the sum. */
  set(value: number): void {
    this.slots[this.index] = value;
  }

  get value(): number {
    return this.slots[this.index]!;
  }
}

/** A distribution of times. */
export class Histogram {
  slots: Float64Array;
  index: number;

  constructor(slots: Float64Array, index: number) {
    this.slots = slots;
    this.index = index;
  }

  /** Adds a time in milliseconds; what is below 0 or no number counts as 0. */
  record(ms: number): void {
    let bucket = OVERFLOW_BUCKET;
    if (!(ms >= 0)) ms = 0;
    if (ms < LIMIT_MS) {
      const units = (ms * UNITS_PER_MS) | 0;
      if (units < 4) {
        bucket = units;
      } else {
        const e = 31 - Math.clz32(units);
        bucket = ((e - 1) << 2) + ((units >>> (e - 2)) & 3);
      }
    }
    const slots = this.slots;
    const index = this.index;
    slots[index + bucket]! += 1;
    slots[index + BUCKETS]! += ms;
  }
}

type Series = Counter | Gauge | Histogram;

interface Entry {
  readonly descriptor: SeriesDescriptor;
  readonly series: Series;
  users: number;
}

interface FreeRun {
  readonly segment: number;
  readonly slot: number;
  readonly since: number;
}

const NO_LABELS: Labels = Object.freeze({});
const OVERFLOW_LABELS: Labels = Object.freeze({ overflow: 'true' });
const overflowKey = (name: string): string => seriesKey(name, OVERFLOW_LABELS);

/** The series of one thread. Making, finding and releasing series is for configuration time, not for the path of a message. */
export class Stats {
  readonly #maxSeries: number;
  readonly #segments: Float64Array[] = [];
  readonly #byKey = new Map<string, Entry>();
  readonly #bySeries = new Map<Series, Entry>();
  readonly #kinds = new Map<string, { kind: StatKind; help: string; series: number }>();
  readonly #freeSingles: FreeRun[] = [];
  readonly #freeHistograms: FreeRun[] = [];
  #used = SEGMENT_SLOTS;
  #nextId = 0;
  #pending: StatsUpdate = { segments: [], added: [], released: [] };
  #scheduled = false;
  #onSegment: ((update: StatsUpdate) => void) | null = null;

  /** `maxSeries`: label sets per name; what comes after them shares one series with the label overflow="true". */
  constructor(options: { maxSeries?: number } = {}) {
    this.#maxSeries = options.maxSeries ?? 1000;
  }

  /**
   * Told of new segments and of series made and released, at most once per turn of the event loop; the first call tells of all
   * there is. A worker posts the update to the main thread, which hands it to `StatsView.attach`.
   */
  set onSegment(listener: ((update: StatsUpdate) => void) | null) {
    this.#onSegment = listener;
    if (listener === null) return;
    const segments = this.#segments.map((s, index) => ({ index, buffer: s.buffer as SharedArrayBuffer }));
    this.#pending = { segments, added: this.descriptors, released: [] };
    this.#schedule();
  }

  counter(name: string, help: string, labels: Labels = NO_LABELS): Counter {
    return this.#series('counter', name, help, labels) as Counter;
  }

  gauge(name: string, help: string, labels: Labels = NO_LABELS): Gauge {
    return this.#series('gauge', name, help, labels) as Gauge;
  }

  /** `name` ends in _seconds: that is the unit in which it is exposed, though milliseconds are recorded. */
  histogram(name: string, help: string, labels: Labels = NO_LABELS): Histogram {
    return this.#series('histogram', name, help, labels) as Histogram;
  }

  /** The series that exist. */
  get descriptors(): SeriesDescriptor[] {
    return [...this.#byKey.values()].map((entry) => entry.descriptor);
  }

  /**
   * Gives a series back; each call of `counter`, `gauge` or `histogram` that returned it is undone by one release. The last one
   * ends it: the object may still be written to, without effect.
   */
  release(series: Series): void {
    const entry = this.#bySeries.get(series);
    if (entry === undefined || --entry.users > 0) return;
    const { id, key, kind, name, segment, slot } = entry.descriptor;
    this.#byKey.delete(key);
    this.#bySeries.delete(series);
    if (key !== overflowKey(name)) this.#kinds.get(name)!.series--;
    series.slots = nowhere;
    series.index = 0;
    this.#freeOf(kind).push({ segment, slot, since: now() });
    this.#tell('released', id);
  }

  /** Calls `onSegment` now if it has anything to tell. */
  flush(): void {
    this.#scheduled = false;
    const update = this.#pending;
    if (update.segments.length + update.added.length + update.released.length === 0 || this.#onSegment === null) return;
    this.#pending = { segments: [], added: [], released: [] };
    this.#onSegment(update);
  }

  #tell<K extends keyof StatsUpdate>(what: K, item: StatsUpdate[K][number]): void {
    if (this.#onSegment === null) return;
    (this.#pending[what] as (typeof item)[]).push(item);
    this.#schedule();
  }

  #freeOf(kind: StatKind): FreeRun[] {
    return kind === 'histogram' ? this.#freeHistograms : this.#freeSingles;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => this.flush());
  }

  #series(kind: StatKind, name: string, help: string, labels: Labels): Series {
    const key = seriesKey(name, labels);
    const found = this.#byKey.get(key);
    let named = this.#kinds.get(name);
    if (named === undefined) this.#kinds.set(name, (named = { kind, help, series: 0 }));
    if (named.kind !== kind) throw new Error(`${name} is a ${named.kind}, not a ${kind}`);
    if (found !== undefined) {
      found.users++;
      return found.series;
    }
    const overflow = key === overflowKey(name);
    if (!overflow && named.series >= this.#maxSeries) return this.#series(kind, name, help, OVERFLOW_LABELS);
    const { segment, slot } = this.#allocate(kind);
    const slots = this.#segments[segment]!;
    const series = kind === 'counter' ? new Counter(slots, slot) : kind === 'gauge' ? new Gauge(slots, slot) : new Histogram(slots, slot);
    const descriptor: SeriesDescriptor = { id: this.#nextId++, key, kind, name, help: named.help, labels: { ...labels }, segment, slot };
    const entry: Entry = { descriptor, series, users: 1 };
    if (!overflow) named.series++;
    this.#byKey.set(key, entry);
    this.#bySeries.set(series, entry);
    this.#tell('added', descriptor);
    return series;
  }

  #allocate(kind: StatKind): { segment: number; slot: number } {
    const size = kind === 'histogram' ? HISTOGRAM_SLOTS : 1;
    const free = this.#freeOf(kind);
    const oldest = free[0];
    if (oldest !== undefined && now() - oldest.since >= QUARANTINE_MS) {
      free.shift();
      this.#segments[oldest.segment]!.fill(0, oldest.slot, oldest.slot + size);
      return oldest;
    }
    if (this.#used + size > SEGMENT_SLOTS) this.#addSegment();
    const slot = this.#used;
    this.#used += size;
    return { segment: this.#segments.length - 1, slot };
  }

  #addSegment(): void {
    // The tail that a histogram did not fit into serves the next counters; it was never written, so it needs no quarantine.
    const last = this.#segments.length - 1;
    for (let slot = this.#used; slot < SEGMENT_SLOTS; slot++) this.#freeSingles.unshift({ segment: last, slot, since: -Infinity });
    const buffer = new SharedArrayBuffer(SEGMENT_SLOTS * Float64Array.BYTES_PER_ELEMENT);
    this.#tell('segments', { index: this.#segments.length, buffer });
    this.#segments.push(new Float64Array(buffer));
    this.#used = 0;
  }
}

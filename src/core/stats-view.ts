// The main thread's view of every thread's statistics: sums by series, and what a dead worker had counted.
import type { Stats } from './stats.js';
import { BUCKETS, bucketBounds, type Labels, type SeriesDescriptor, seriesKey, type StatKind, type StatsUpdate } from './stats-layout.js';

/** Name of a thread: any value that is unique while it lives. */
export type ThreadId = number | string;

/** One series summed over the threads. */
export interface SeriesValue {
  readonly key: string;
  readonly kind: StatKind;
  readonly name: string;
  readonly help: string;
  readonly labels: Labels;
  /** Counter and gauge: the value. Histogram: the count. */
  value: number;
  /** Histogram only: the count of each bucket (not cumulative) and the sum in milliseconds. */
  readonly buckets: Float64Array | null;
  sum: number;
}

interface ThreadState {
  readonly segments: Float64Array[];
  readonly series: Map<number, SeriesDescriptor>;
  /** Statistics of this very thread, asked for what is new before each reading. */
  readonly local: Stats | null;
}

export class StatsView {
  readonly #threads = new Map<ThreadId, ThreadState>();
  /** What dead threads and released series had counted, by key. */
  readonly #base = new Map<string, SeriesValue>();
  /** How many threads have a series, by key. */
  readonly #holders = new Map<string, number>();

  /** Takes in what a thread posted. */
  attach(thread: ThreadId, update: StatsUpdate): void {
    this.#apply(this.#thread(thread, null), update);
  }

  /** Reads statistics of this thread. */
  attachLocal(thread: ThreadId, stats: Stats): void {
    const state = this.#thread(thread, stats);
    stats.onSegment = (update) => this.#apply(state, update);
    stats.flush();
  }

  /** The thread is dead: its counts stay, its gauges go. */
  detach(thread: ThreadId): void {
    const state = this.#threads.get(thread);
    if (state === undefined) return;
    state.local?.flush();
    if (state.local !== null) state.local.onSegment = null;
    for (const series of state.series.values()) {
      this.#hold(series.key, -1);
      this.#fold(state, series);
    }
    this.#threads.delete(thread);
  }

  /** Every series, in the order of name and labels. */
  collect(): SeriesValue[] {
    for (const state of this.#threads.values()) state.local?.flush();
    const byKey = new Map<string, SeriesValue>();
    for (const folded of this.#base.values()) addTo(byKey, folded);
    for (const state of this.#threads.values()) {
      for (const series of state.series.values()) read(series, state.segments, entry(byKey, series));
    }
    return [...byKey.values()].sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  }

  /** One series, or undefined when no thread has it. */
  find(name: string, labels: Labels = {}): SeriesValue | undefined {
    const key = seriesKey(name, labels);
    return this.collect().find((value) => value.key === key);
  }

  /** The value of one counter or gauge, 0 when no thread has it. */
  value(name: string, labels: Labels = {}): number {
    return this.find(name, labels)?.value ?? 0;
  }

  #thread(thread: ThreadId, local: Stats | null): ThreadState {
    let state = this.#threads.get(thread);
    if (state === undefined) this.#threads.set(thread, (state = { segments: [], series: new Map(), local }));
    return state;
  }

  #apply(state: ThreadState, update: StatsUpdate): void {
    for (const { index, buffer } of update.segments) state.segments[index] = new Float64Array(buffer);
    for (const series of update.added) {
      state.series.set(series.id, series);
      this.#hold(series.key, 1);
    }
    for (const id of update.released) {
      const series = state.series.get(id);
      if (series === undefined) continue;
      state.series.delete(id);
      // While another thread has the series its sum must not fall; when none has, the thing it told of is gone.
      if (this.#hold(series.key, -1) > 0) this.#fold(state, series);
      else this.#base.delete(series.key);
    }
  }

  #hold(key: string, by: number): number {
    const holders = (this.#holders.get(key) ?? 0) + by;
    if (holders === 0) this.#holders.delete(key);
    else this.#holders.set(key, holders);
    return holders;
  }

  #fold(state: ThreadState, series: SeriesDescriptor): void {
    if (series.kind === 'gauge') return;
    read(series, state.segments, entry(this.#base, series));
  }
}

function entry(byKey: Map<string, SeriesValue>, from: Pick<SeriesValue, 'key' | 'kind' | 'name' | 'help' | 'labels'>): SeriesValue {
  let value = byKey.get(from.key);
  if (value === undefined) {
    const { key, kind, name, help, labels } = from;
    value = { key, kind, name, help, labels, value: 0, buckets: kind === 'histogram' ? new Float64Array(BUCKETS) : null, sum: 0 };
    byKey.set(key, value);
  }
  return value;
}

function addTo(byKey: Map<string, SeriesValue>, from: SeriesValue): void {
  const value = entry(byKey, from);
  value.value += from.value;
  value.sum += from.sum;
  if (from.buckets !== null) for (let i = 0; i < BUCKETS; i++) value.buckets![i]! += from.buckets[i]!;
}

/** Adds what lies in a thread's slots. The writer goes on meanwhile: a histogram's count is made from the very buckets that were read. */
function read(series: SeriesDescriptor, segments: Float64Array[], into: SeriesValue): void {
  const slots = segments[series.segment];
  if (slots === undefined) throw new Error(`series ${series.name} lies in a segment that was not attached`);
  if (into.buckets === null) {
    into.value += slots[series.slot]!;
    return;
  }
  for (let i = 0; i < BUCKETS; i++) {
    const count = slots[series.slot + i]!;
    into.buckets[i]! += count;
    into.value += count;
  }
  into.sum += slots[series.slot + BUCKETS]!;
}

/**
 * The value in milliseconds below which share `q` (0 to 1) of what a histogram holds lies, linear within a bucket: off by at
 * most a quarter. NaN for an empty histogram; the bound of the last bucket for what lies above it.
 */
export function quantile(buckets: Float64Array, q: number): number {
  let total = 0;
  for (let i = 0; i < BUCKETS; i++) total += buckets[i]!;
  if (total === 0) return NaN;
  const rank = q * total;
  let below = 0;
  for (let i = 0; i < BUCKETS - 1; i++) {
    const count = buckets[i]!;
    if (count > 0 && below + count >= rank) {
      const low = i === 0 ? 0 : bucketBounds[i - 1]!;
      return low + ((bucketBounds[i]! - low) * Math.max(rank - below, 0)) / count;
    }
    below += count;
  }
  return bucketBounds[BUCKETS - 2]!;
}

// How statistics lie in shared memory: segments of Float64 slots, histogram buckets, and the descriptors that travel between threads.

/** Slots of a segment; a slot is one Float64, so a counter is exact up to 2^53. */
export const SEGMENT_SLOTS = 1024;

/**
 * Histogram buckets: log-linear, four per power of two, in units of 10 us. Bucket 0..3 hold [0, 10 us) to [30, 40 us); bucket
 * 4 (e - 1) + s holds [2^e + s 2^(e-2), 2^e + (s+1) 2^(e-2)) units for e from 2 and s from 0 to 3. The last bounded one ends at
 * 62.9 s and one more takes the rest. Slots of a histogram: its buckets, then the sum in milliseconds; the count is their total.
 */
export const UNITS_PER_MS = 100;
const LIMIT_UNITS = 6 << 20;
export const BUCKETS = 87;
export const OVERFLOW_BUCKET = BUCKETS - 1;
export const HISTOGRAM_SLOTS = BUCKETS + 1;
export const LIMIT_MS = LIMIT_UNITS / UNITS_PER_MS;

/** Upper bound of every bucket in milliseconds, exclusive; the last is Infinity. */
export const bucketBounds: readonly number[] = Array.from({ length: BUCKETS }, (_, i) => {
  if (i === OVERFLOW_BUCKET) return Infinity;
  const next = i + 1;
  const units = next < 4 ? next : (4 + (next & 3)) * 2 ** ((next >> 2) - 1);
  return units / UNITS_PER_MS;
});

export type StatKind = 'counter' | 'gauge' | 'histogram';
export type Labels = Readonly<Record<string, string>>;

/** Where a series of one thread lies. Plain data: it travels between threads. */
export interface SeriesDescriptor {
  /** Unique within the thread and never used again. */
  readonly id: number;
  /** Name and labels in one string, equal in every thread. */
  readonly key: string;
  readonly kind: StatKind;
  readonly name: string;
  readonly help: string;
  readonly labels: Labels;
  readonly segment: number;
  readonly slot: number;
}

/** What a thread tells the reader: plain data with shared buffers, to be posted as it is. */
export interface StatsUpdate {
  readonly segments: { readonly index: number; readonly buffer: SharedArrayBuffer }[];
  readonly added: SeriesDescriptor[];
  /** Ids of series that exist no longer. */
  readonly released: number[];
}

/** Name and labels in one string; the order of the labels does not matter. */
export function seriesKey(name: string, labels: Labels): string {
  const names = Object.keys(labels);
  if (names.length === 0) return name;
  names.sort();
  let key = name;
  for (const label of names) key += `\u0000${label}\u0001${labels[label]}`;
  return key;
}

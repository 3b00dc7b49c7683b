// Statistics as Prometheus text, written by prom-client, which is loaded at the first scrape.
import type { Metric } from 'prom-client';
import { bucketBounds } from './stats-layout.js';
import type { SeriesValue, StatsView } from './stats-view.js';

/** Content type of what `toPrometheus` returns. */
export const PROMETHEUS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

interface PrometheusValue {
  labels: Record<string, string | number>;
  value: number;
  metricName?: string;
}

/**
 * The bounds that are exposed: the powers of two of 10 us, 24 of the 87 buckets. The finer ones would make most of a scrape
 * and lie within these, so the cumulative counts are exact. A value on a bound is counted above it.
 */
const exposed: readonly { bucket: number; le: number | string }[] = bucketBounds
  .map((ms, bucket) => ({ bucket, le: ms === Infinity ? '+Inf' : Number((ms / 1000).toPrecision(12)) }))
  .filter(({ bucket }) => bucket === bucketBounds.length - 1 || bucket < 2 || (bucket & 3) === 3);

function histogramValues(series: SeriesValue, into: PrometheusValue[]): void {
  const { name, labels, buckets } = series;
  let total = 0;
  let from = 0;
  for (const { bucket, le } of exposed) {
    for (; from <= bucket; from++) total += buckets![from]!;
    into.push({ metricName: `${name}_bucket`, labels: { ...labels, le }, value: total });
  }
  into.push({ metricName: `${name}_sum`, labels, value: series.sum / 1000 });
  into.push({ metricName: `${name}_count`, labels, value: total });
}

/** The text of a scrape: every series of the view, histograms in seconds. */
export async function toPrometheus(view: StatsView): Promise<string> {
  // The default export: a bundle has no other of a CommonJS module.
  const { default: prometheus } = await import('prom-client');
  const registry = new prometheus.Registry();
  const byName = new Map<string, SeriesValue[]>();
  for (const series of view.collect()) {
    const list = byName.get(series.name);
    if (list === undefined) byName.set(series.name, [series]);
    else list.push(series);
  }
  for (const [name, list] of byName) {
    const { help, kind } = list[0]!;
    const values: PrometheusValue[] = [];
    for (const series of list) {
      if (kind === 'histogram') histogramValues(series, values);
      else values.push({ labels: series.labels, value: series.value });
    }
    // What a registry needs of a metric: its name and `get`. The classes of prom-client would copy each value once more.
    registry.registerMetric({ name, get: () => Promise.resolve({ name, help, type: kind, values, aggregator: 'sum' }) } as unknown as Metric);
  }
  return registry.metrics();
}

// The text of a scrape: HELP and TYPE once per name, cumulative buckets in seconds, escaped labels.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Stats, StatsView } from '../../src/core/stats.js';
import { toPrometheus } from '../../src/core/stats-prometheus.js';

function setUp(): { stats: Stats; view: StatsView } {
  const stats = new Stats();
  const view = new StatsView();
  view.attachLocal('main', stats);
  return { stats, view };
}

test('counters and gauges are written with HELP and TYPE once per name', async () => {
  const { stats, view } = setUp();
  stats.counter('sluice_requests_total', 'Requests that ended.', { cluster: 'a' }).add(3);
  stats.counter('sluice_requests_total', 'Requests that ended.', { cluster: 'b' }).add(4);
  stats.gauge('sluice_active', 'Requests that run.').set(2);
  const lines = (await toPrometheus(view)).split('\n').filter((line) => line !== '');
  assert.deepEqual(lines, [
    '# HELP sluice_active Requests that run.',
    '# TYPE sluice_active gauge',
    'sluice_active 2',
    '# HELP sluice_requests_total Requests that ended.',
    '# TYPE sluice_requests_total counter',
    'sluice_requests_total{cluster="a"} 3',
    'sluice_requests_total{cluster="b"} 4',
  ]);
});

test('histograms have cumulative buckets in seconds that end in +Inf, and agree with sum and count', async () => {
  const { stats, view } = setUp();
  const h = stats.histogram('sluice_time_seconds', 'Times.', { cluster: 'a' });
  for (const ms of [0.005, 0.015, 1, 1, 30, 100_000]) h.record(ms);
  const text = await toPrometheus(view);
  assert.match(text, /^# TYPE sluice_time_seconds histogram$/m);
  const buckets = [...text.matchAll(/^sluice_time_seconds_bucket\{cluster="a",le="([^"]+)"\} (\d+)$/gm)].map((m) => ({ le: Number(m[1] === '+Inf' ? Infinity : m[1]), count: Number(m[2]) }));
  assert.ok(buckets.length >= 20 && buckets.length <= 30, `${buckets.length} buckets`);
  for (let i = 1; i < buckets.length; i++) {
    assert.ok(buckets[i]!.le > buckets[i - 1]!.le);
    assert.ok(buckets[i]!.count >= buckets[i - 1]!.count);
  }
  const at = (le: number): number => buckets.find((b) => b.le === le)!.count;
  assert.equal(at(0.00001), 1);
  assert.equal(at(0.00002), 2);
  assert.equal(at(0.00064), 2);
  assert.equal(at(0.00128), 4);
  assert.equal(at(0.04096), 5);
  assert.equal(at(Infinity), 6);
  assert.match(text, /^sluice_time_seconds_count\{cluster="a"\} 6$/m);
  const sum = Number(/^sluice_time_seconds_sum\{cluster="a"\} (.*)$/m.exec(text)![1]);
  assert.ok(Math.abs(sum - 100.03202) < 1e-9, String(sum));
});

test('labels and help are escaped, and an empty view is an empty text', async () => {
  const { stats, view } = setUp();
  assert.equal((await toPrometheus(view)).trim(), '');
  stats.counter('c_total', 'Line one\nline two.', { path: 'a"b\\c\nd' }).inc();
  const text = await toPrometheus(view);
  assert.ok(text.includes('# HELP c_total Line one\\nline two.\n'), text);
  assert.ok(text.includes('c_total{path="a\\"b\\\\c\\nd"} 1'), text);
});

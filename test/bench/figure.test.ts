// Medians, ratios and verdicts of the bench.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Figure, figureOf, judge, median, type Sample, sampleOf } from '../../bench/figure.js';
import type { Bar, Workload } from '../../bench/path/contract.js';

const workload: Workload = { name: 'w', load: [], unit: 'request' };

const sample = (cpuUs: number, errors = 0): Sample => ({
  rate: 1000 / cpuUs,
  cpuUs,
  p50Us: 1,
  p99Us: 2,
  rssKb: 3,
  errors,
  errorKinds: errors > 0 ? { closed: errors } : {},
  disturbed: 0,
  loadBusy: 0,
});

const figure = (subject: string, cpuUs: number, errors = 0): Figure => figureOf(workload, subject, [sample(cpuUs, errors)]);

const cpu: Bar = { workload: 'w', measure: 'cpu', times: 1.5, peer: 'nginx' };

test('median of odd, even and no values', () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 3, 2]), 2.5);
  assert.equal(median([]), 0);
});

test('a figure takes the median, keeps the range and adds up the errors', () => {
  const result = figureOf(workload, 'sluice', [sample(10), sample(30, 2), sample(11, 1)]);
  assert.equal(result.cpuUs, 11);
  assert.deepEqual(result.cpuRange, [10, 30]);
  assert.equal(result.errors, 3);
  assert.deepEqual(result.errorKinds, { closed: 3 });
});

test('CPU per unit: requests or megabytes, of the watched processes only', () => {
  const report = { mode: 'x', seconds: 2, requests: 1000, rate: 500, bytes: 4e6, errors: 0, error_kinds: {}, cpu_us: 20_000, rss_kb: 1, gone: 0, core_us: [40_000, 1_000_000] };
  assert.equal(sampleOf(report, 'request', true, { proxy: 0, load: 1 }).cpuUs, 20);
  assert.equal(sampleOf(report, 'MB', true, { proxy: 0, load: 1 }).cpuUs, 5000);
  assert.equal(sampleOf(report, 'request', false, {}).cpuUs, 0);
  const { disturbed, loadBusy } = sampleOf(report, 'request', true, { proxy: 0, load: 1 });
  assert.equal(disturbed, 0.01);
  assert.equal(loadBusy, 0.5);
  assert.equal(sampleOf({ ...report, gone: 1 }, 'request', true, {}).errors, 1, 'a proxy that died is an error');
});

test('a bar on CPU is an upper limit, one on rate a lower limit', () => {
  const figures = [figure('sluice', 14), figure('nginx', 10)];
  assert.equal(judge(cpu, figures, 'sluice').result, 'PASS');
  assert.equal(judge({ ...cpu, times: 1.3 }, figures, 'sluice').result, 'MISS');
  assert.equal(judge({ ...cpu, measure: 'rate', times: 0.7 }, figures, 'sluice').result, 'PASS');
  assert.equal(judge({ ...cpu, measure: 'rate', times: 0.8 }, figures, 'sluice').result, 'MISS');
});

test('a bar is not judged without the peer, or when either of the two had errors', () => {
  assert.equal(judge(cpu, [figure('sluice', 14)], 'sluice').result, 'not judged');
  assert.equal(judge(cpu, [figure('sluice', 14, 1), figure('nginx', 10)], 'sluice').result, 'not judged');
  assert.equal(judge(cpu, [figure('sluice', 14), figure('nginx', 10, 1)], 'sluice').result, 'not judged');
});

test('a bar may be against another workload of the peer', () => {
  const other = figureOf({ ...workload, name: 'http' }, 'nginx', [sample(100)]);
  const verdict = judge({ ...cpu, times: 0.25, peerWorkload: 'http' }, [figure('sluice', 14), other], 'sluice');
  assert.equal(verdict.ratio, 0.14);
  assert.equal(verdict.result, 'PASS');
});

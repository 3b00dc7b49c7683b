// From the samples of several rounds to one figure per workload and subject, and from figures to the verdict on the bars.
import type { LoadReport } from './load/tools.js';
import type { Bar, Workload } from './path/contract.js';

/** One measured run of one subject. */
export interface Sample {
  readonly rate: number;
  /** CPU time per unit in us; 0 for direct. */
  readonly cpuUs: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly rssKb: number;
  readonly errors: number;
  readonly errorKinds: Readonly<Record<string, number>>;
  /** Share of the proxy's core that something else used, 0 to 1. */
  readonly disturbed: number;
  /** Share of the load's core that was busy. */
  readonly loadBusy: number;
}

/** The medians over all rounds. */
export interface Figure {
  readonly workload: string;
  readonly subject: string;
  readonly unit: Workload['unit'];
  /** Requests or MB a second. */
  readonly rate: number;
  readonly cpuUs: number;
  /** Lowest and highest CPU time of a round. */
  readonly cpuRange: readonly [number, number];
  readonly p50Us: number;
  readonly p99Us: number;
  readonly rssKb: number;
  /** Sum over all rounds. */
  readonly errors: number;
  readonly errorKinds: Readonly<Record<string, number>>;
  readonly disturbed: number;
  readonly loadBusy: number;
  readonly rounds: number;
}

export interface Verdict {
  readonly text: string;
  readonly ratio: number | undefined;
  readonly limit: number;
  readonly result: 'PASS' | 'MISS' | 'not judged';
}

export function median(values: readonly number[]): number {
  if (values.length === 0) return 0;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function sampleOf(report: LoadReport, unit: Workload['unit'], proxied: boolean, cores: { proxy?: number | undefined; load?: number | undefined }): Sample {
  const units = unit === 'MB' ? (report.bytes ?? 0) / 1e6 : (report.requests ?? 0);
  const window = report.seconds * 1e6;
  const share = (core: number | undefined): number => (core === undefined ? 0 : (report.core_us[core] ?? 0) / window);
  return {
    rate: units / report.seconds,
    cpuUs: proxied && units > 0 ? report.cpu_us / units : 0,
    p50Us: report.latency_us?.p50 ?? 0,
    p99Us: report.latency_us?.p99 ?? 0,
    rssKb: report.rss_kb,
    // A proxy that died is an error even if the load did not notice.
    errors: report.errors + report.gone,
    errorKinds: report.error_kinds,
    disturbed: Math.max(0, share(cores.proxy) - report.cpu_us / window),
    loadBusy: share(cores.load),
  };
}

export function figureOf(workload: Workload, subject: string, samples: readonly Sample[]): Figure {
  const middle = (of: (sample: Sample) => number): number => median(samples.map(of));
  const cpu = samples.map((sample) => sample.cpuUs);
  const errorKinds: Record<string, number> = {};
  for (const sample of samples) {
    for (const [kind, count] of Object.entries(sample.errorKinds)) if (count > 0) errorKinds[kind] = (errorKinds[kind] ?? 0) + count;
  }
  return {
    workload: workload.name,
    subject,
    unit: workload.unit,
    rate: middle((s) => s.rate),
    cpuUs: middle((s) => s.cpuUs),
    cpuRange: [Math.min(...cpu), Math.max(...cpu)],
    p50Us: middle((s) => s.p50Us),
    p99Us: middle((s) => s.p99Us),
    rssKb: middle((s) => s.rssKb),
    errors: samples.reduce((sum, sample) => sum + sample.errors, 0),
    errorKinds,
    disturbed: middle((s) => s.disturbed),
    loadBusy: middle((s) => s.loadBusy),
    rounds: samples.length,
  };
}

/** Judges one bar on the figures of one run; `own` is the subject whose bars these are. */
export function judge(bar: Bar, figures: readonly Figure[], own: string): Verdict {
  const peerWorkload = bar.peerWorkload ?? bar.workload;
  const mine = figures.find((figure) => figure.workload === bar.workload && figure.subject === own);
  const theirs = figures.find((figure) => figure.workload === peerWorkload && figure.subject === bar.peer);
  const what = bar.measure === 'cpu' ? `CPU per ${mine?.unit ?? 'unit'}` : 'throughput';
  const sign = bar.measure === 'cpu' ? '<=' : '>=';
  const text = `${bar.workload}: ${what} ${sign} ${bar.times} x ${bar.peer}${peerWorkload === bar.workload ? '' : ` (${peerWorkload})`}`;
  const a = bar.measure === 'cpu' ? mine?.cpuUs : mine?.rate;
  const b = bar.measure === 'cpu' ? theirs?.cpuUs : theirs?.rate;
  // Without work done, or with work that failed, a ratio means nothing.
  if (!a || !b || mine!.errors > 0 || theirs!.errors > 0) return { text, ratio: undefined, limit: bar.times, result: 'not judged' };
  const ratio = a / b;
  const met = bar.measure === 'cpu' ? ratio <= bar.times : ratio >= bar.times;
  return { text, ratio, limit: bar.times, result: met ? 'PASS' : 'MISS' };
}

// Minutes of load: does resident memory stay flat? Sampled every second, judged after the first quarter.
import { median } from '../figure.js';
import { runLoad } from '../load/tools.js';
import { residentKb, sleep } from '../site.js';
import { bar, type Soak, startPair } from './contract.js';

const LOADS: Readonly<Record<string, { backend: readonly string[]; load: readonly string[] }>> = {
  http: { backend: ['http'], load: ['http', '--connections', '64'] },
  bolt: { backend: ['bolt'], load: ['bolt', '--connections', '16', '--outstanding', '16'] },
  tcp: { backend: ['echo'], load: ['echo', '--connections', '64', '--size', '100'] },
};
/** Growth of the last quarter over the second one that counts as flat, in percent. */
const DRIFT_LIMIT = 5;

/** Least squares: KiB per minute. */
function slope(samples: readonly { minute: number; kb: number }[]): number {
  const n = samples.length;
  const x = samples.reduce((sum, sample) => sum + sample.minute, 0) / n;
  const y = samples.reduce((sum, sample) => sum + sample.kb, 0) / n;
  let above = 0;
  let below = 0;
  for (const { minute, kb } of samples) {
    above += (minute - x) * (kb - y);
    below += (minute - x) ** 2;
  }
  return below === 0 ? 0 : above / below;
}

export const soak: Soak = {
  summary: '10 minutes of load with flat memory (--minutes, --config http|bolt|tcp)',
  async run(options) {
    const { site, say } = options;
    const minutes = options.minutes ?? 10;
    const kind = LOADS[options.config ?? 'http'];
    if (kind === undefined) throw new Error(`soak:flat knows the configs ${Object.keys(LOADS).join(', ')}`);
    const { subject, stop } = await startPair(options, kind.backend, minutes * 60 + 120);
    try {
      const target = ['--port', String(subject.port)];
      const seconds = minutes * 60;
      let running = true;
      const watch = ['--watch', subject.pids().join(',')];
      const load = runLoad([...kind.load, ...target, ...watch, '--warmup', '0', '--seconds', String(seconds)], site.loadCore).finally(() => (running = false));
      const samples: { minute: number; kb: number }[] = [];
      const start = Date.now();
      let churned = 0;
      let churnErrors = 0;
      while (running) {
        await sleep(Math.min(1000, seconds * 5));
        samples.push({ minute: (Date.now() - start) / 60_000, kb: residentKb(subject.pids()) });
        if (samples.length % 60 === 0) say(`${samples.at(-1)!.minute.toFixed(0)} min: ${(samples.at(-1)!.kb / 1024).toFixed(1)} MB`);
        // Connections come and go as well, or a leak per connection would stay unseen.
        if (samples.length % 5 === 0 && running) {
          const churn = await runLoad(['hold', ...target, '--connections', '100', '--seconds', '0', ...(kind.load[0] === 'http' ? [] : ['--silent'])], site.loadCore);
          churned += 100;
          churnErrors += churn.errors;
        }
      }
      const report = await load;
      const quarter = samples.length >> 2;
      const settled = samples.slice(quarter);
      const early = median(samples.slice(quarter, 2 * quarter).map((sample) => sample.kb));
      const late = median(samples.slice(3 * quarter).map((sample) => sample.kb));
      const drift = early === 0 ? 0 : ((late - early) / early) * 100;
      const perMinute = slope(settled);
      return {
        lines: [
          `flat: ${minutes} min of ${kind.load.join(' ')}, ${Math.round(report.rate ?? 0)}/s, and ${churned} short connections; errors ${report.errors + churnErrors}`,
          `  RSS second quarter ${(early / 1024).toFixed(1)} MB, last quarter ${(late / 1024).toFixed(1)} MB, highest ${(Math.max(...samples.map((sample) => sample.kb)) / 1024).toFixed(1)} MB`,
          `  slope after the first quarter ${perMinute.toFixed(1)} KiB/min`,
          bar('growth from the second to the last quarter', drift, DRIFT_LIMIT, '%'),
        ],
        figures: { minutes, report, churned, churn_errors: churnErrors, early_kb: early, late_kb: late, drift_percent: drift, slope_kb_per_minute: perMinute, samples },
        ok: report.errors + churnErrors + report.gone === 0,
      };
    } finally {
      await stop();
    }
  },
};

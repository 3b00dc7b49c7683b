// Constant rate, latency counted from when a request was due: p99, p99.9 and pauses at 70 % of the own maximum, beside Envoy at the same rate.
import { median } from '../figure.js';
import { type LoadReport, runLoad, startBackend } from '../load/tools.js';
import { envoy } from '../peers/envoy.js';
import { table } from '../report.js';
import { direct, own, type Subject, type SubjectKind } from '../subject.js';
import type { Soak, SoakOptions } from './contract.js';

const SHARE = 0.7;
const CONNECTIONS = '64';
/** Below this share of the wanted rate the subject did not keep up, and its latencies only tell how long the queue became. */
const KEPT_UP = 0.99;

interface Row {
  readonly subject: string;
  readonly report: LoadReport;
}

const load = (subject: Subject, seconds: number, more: readonly string[], { site }: SoakOptions): Promise<LoadReport> => {
  const args = ['http', '--port', String(subject.port), '--connections', CONNECTIONS, '--seconds', String(seconds), ...more];
  const pids = subject.pids();
  if (pids.length > 0) args.push('--watch', pids.join(','));
  return runLoad(args, site.loadCore);
};

async function maximum(subject: Subject, options: SoakOptions): Promise<number> {
  await load(subject, 3, [], options);
  const rates: number[] = [];
  for (let i = 0; i < 3; i++) rates.push((await load(subject, 3, [], options)).rate ?? 0);
  return median(rates);
}

const keptUp = (report: LoadReport): boolean => (report.rate ?? 0) >= KEPT_UP * (report.wanted_rate ?? 0);

/** Share of the proxy's core that something else used, in percent: pauses of a disturbed run are not the proxy's alone. */
function foreign(report: LoadReport, core: number | undefined): string {
  if (core === undefined || report.cpu_us === 0) return '-';
  return Math.max(0, ((report.core_us[core] ?? 0) - report.cpu_us) / report.seconds / 1e4).toFixed(0);
}

function describe(rows: readonly Row[], core: number | undefined): string {
  const cells = rows.map(({ subject, report }) => {
    const { p50 = 0, p99 = 0, p999 = 0, max = 0 } = report.latency_us ?? {};
    const numbers = [p50, p99, p999, max].map((us) => (us / 1000).toFixed(2));
    const cpu = report.requests ? (report.cpu_us / report.requests).toFixed(2) : '-';
    return [subject, keptUp(report) ? '' : 'behind', Math.round(report.wanted_rate ?? 0), Math.round(report.rate ?? 0), ...numbers, report.pauses ?? 0, report.longest_pause_ms ?? 0, report.own_stalls ?? 0, cpu, foreign(report, core), report.errors].map(String);
  });
  return table([['subject', '', 'wanted/s', 'done/s', 'p50 ms', 'p99 ms', 'p99.9 ms', 'max ms', 'pauses >30', 'longest ms', 'own stalls', 'CPU us', 'foreign %', 'errors'], ...cells]);
}

export const soak: Soak = {
  summary: 'open loop at 70 % of the own maximum for 120 s (--seconds, --rate), beside Envoy at the same rate',
  async run(options) {
    const { site, say } = options;
    const seconds = options.seconds ?? 120;
    const backend = await startBackend(['http'], site.loadCore, seconds * 6 + 300);
    const subjects: Subject[] = [];
    const notes: string[] = [];
    const start = async (kind: SubjectKind): Promise<Subject | undefined> => {
      const found = await kind.find(options.install);
      if ('absent' in found) {
        notes.push(`absent: ${kind.name}: ${found.absent}`);
        return undefined;
      }
      const subject = await kind.start({ site, mode: 'http', upstreams: [backend.port], log: true, discardLog: true });
      subjects.push(subject);
      return subject;
    };
    try {
      const { workers, node } = options;
      const mine = await start(own(options.command, { config: `configs/${options.config ?? 'http'}.yaml`, workers, node }));
      if (mine === undefined) return { lines: notes, figures: {}, ok: false };
      const peer = await start(envoy);
      const bare = (await start(direct))!;
      const most = await maximum(mine, options);
      const rate = options.rate ?? Math.round(SHARE * most);
      const rows: Row[] = [];
      const at = async (subject: Subject, wanted: number, time: number): Promise<LoadReport> => {
        say(`${subject.name} at ${wanted}/s for ${time} s`);
        const report = await load(subject, time, ['--rate', String(wanted), '--warmup', '2'], options);
        rows.push({ subject: subject.name, report });
        return report;
      };
      // Direct, shortly: what generator and backend add by themselves.
      await at(bare, rate, Math.min(seconds, 20));
      await at(mine, rate, seconds);
      let peerMost = 0;
      if (peer !== undefined && !keptUp(await at(peer, rate, seconds))) {
        peerMost = await maximum(peer, options);
        const lower = Math.round(SHARE * peerMost);
        notes.push(`envoy's maximum is ${Math.round(peerMost)}/s, so both were also run at 70 % of that`);
        await at(mine, lower, seconds);
        await at(peer, lower, seconds);
      }
      const errors = rows.reduce((sum, row) => sum + row.report.errors + row.report.gone, 0);
      return {
        lines: [`open loop, ${CONNECTIONS} connections, ${mine.name}'s maximum ${Math.round(most)}/s`, describe(rows, site.proxyCore), ...notes],
        figures: { own_maximum: most, envoy_maximum: peerMost, rate, rows, notes },
        ok: errors === 0,
      };
    } finally {
      await Promise.all(subjects.map((subject) => subject.stop()));
      backend.stop();
    }
  },
};

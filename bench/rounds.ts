// Runs one protocol's bench: starts every subject, measures them in turn for some rounds, and takes medians.
import { type Figure, figureOf, judge, type Sample, sampleOf, type Verdict } from './figure.js';
import { type Backend, runLoad, startBackend } from './load/tools.js';
import type { Lane, Path, Workload } from './path/contract.js';
import type { Site } from './site.js';
import { direct, sluice, type Subject, type SubjectKind } from './subject.js';

export interface RunOptions {
  readonly site: Site;
  readonly rounds: number;
  readonly seconds: number;
  readonly warmup: number;
  /** Peers without access log. */
  readonly bare: boolean;
  /** Names of the subjects to measure; empty: all. */
  readonly only: readonly string[];
  readonly install: boolean;
  readonly workers: number;
  readonly node: string;
  /** Stands in for Sluice. */
  readonly stand?: SubjectKind | undefined;
  /** Progress, one line at a time. */
  readonly say: (line: string) => void;
}

export interface RunResult {
  readonly name: string;
  readonly figures: readonly Figure[];
  readonly bars: readonly Verdict[];
  /** Subjects that could not be measured, and why. */
  readonly absent: Readonly<Record<string, string>>;
  readonly versions: Readonly<Record<string, string>>;
  /** The subject the bars are about. */
  readonly own: string;
  readonly errors: number;
}

interface Cell {
  readonly workload: Workload;
  readonly subject: Subject;
  readonly samples: Sample[];
}

function kindsOf(lane: Lane, options: RunOptions): SubjectKind[] {
  const kinds = [...lane.peers];
  if (lane.config !== undefined) {
    kinds.unshift(direct, options.stand ?? sluice({ config: lane.config, workers: options.workers, node: options.node }));
  }
  return kinds.filter((kind) => options.only.length === 0 || options.only.includes(kind.name));
}

export async function measurePath(path: Path, options: RunOptions): Promise<RunResult> {
  const { site, say } = options;
  const absent: Record<string, string> = {};
  const versions: Record<string, string> = {};
  const cells: Cell[] = [];
  const backends: Backend[] = [];
  const subjects: Subject[] = [];
  try {
    for (const lane of path.lanes) {
      const kinds = kindsOf(lane, options);
      // Twice what the run should take, so that nothing lives on should this process be killed.
      const lifetime = 120 + 2 * options.rounds * (options.seconds + options.warmup + 1) * 10;
      const backend = await startBackend(lane.backend, site.loadCore, lifetime);
      backends.push(backend);
      for (const kind of kinds) {
        const found = await kind.find(options.install);
        if ('absent' in found) {
          absent[kind.name] = found.absent;
          continue;
        }
        versions[kind.name] = found.version;
        try {
          const subject = await kind.start({ site, mode: lane.mode, upstreams: [backend.port], log: !options.bare });
          subjects.push(subject);
          for (const workload of lane.workloads) cells.push({ workload, subject, samples: [] });
        } catch (error) {
          absent[kind.name] = (error as Error).message;
        }
      }
    }
    for (let round = 0; round < options.rounds; round++) {
      // Each round starts with another subject: what comes first must not always be the same.
      for (let i = 0; i < cells.length; i++) {
        const cell = cells[(i + round) % cells.length]!;
        const sample = await measureCell(cell, options);
        cell.samples.push(sample);
        say(`${path.name} round ${round + 1}/${options.rounds} ${cell.workload.name} ${cell.subject.name}: ${Math.round(sample.rate)}/s ${sample.cpuUs.toFixed(2)} us${sample.errors > 0 ? ` ${sample.errors} ERRORS` : ''}`);
      }
    }
  } finally {
    await Promise.all(subjects.map((subject) => subject.stop()));
    for (const backend of backends) backend.stop();
  }
  const figures = cells.map((cell) => figureOf(cell.workload, cell.subject.name, cell.samples));
  const own = options.stand?.name ?? 'sluice';
  return {
    name: path.name,
    figures,
    bars: path.bars.map((bar) => judge(bar, figures, own)),
    absent,
    versions,
    own,
    errors: figures.reduce((sum, figure) => sum + figure.errors, 0),
  };
}

async function measureCell({ workload, subject }: Cell, options: RunOptions): Promise<Sample> {
  const { site } = options;
  const pids = subject.pids();
  const args = [...workload.load, '--port', String(subject.port), '--seconds', String(options.seconds), '--warmup', String(options.warmup)];
  if (pids.length > 0) args.push('--watch', pids.join(','));
  const report = await runLoad(args, site.loadCore);
  subject.truncateLog();
  return sampleOf(report, workload.unit, pids.length > 0, { proxy: site.proxyCore, load: site.loadCore });
}

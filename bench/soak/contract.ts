// What a file of bench/soak offers (one long measurement, its lines for people, its figures for machines), and how it starts its subject.
import { type Backend, startBackend } from '../load/tools.js';
import type { Site } from '../site.js';
import { own, type SluiceOptions, type Subject } from '../subject.js';

export interface SoakOptions {
  readonly site: Site;
  /** Undefined: the soak's own default. */
  readonly seconds: number | undefined;
  readonly minutes: number | undefined;
  readonly connections: number | undefined;
  readonly rate: number | undefined;
  /** Protocol whose example config is used. */
  readonly config: string | undefined;
  readonly install: boolean;
  readonly workers: number;
  readonly node: string;
  /** A program in place of Sluice, with LP and UP for its ports. */
  readonly command: string | undefined;
  readonly say: (line: string) => void;
}

export interface SoakResult {
  readonly lines: readonly string[];
  readonly figures: Readonly<Record<string, unknown>>;
  /** False when something failed; a missed bar is said in the lines and is no failure. */
  readonly ok: boolean;
}

export interface Soak {
  readonly summary: string;
  run(options: SoakOptions): Promise<SoakResult>;
}

export interface Pair {
  readonly subject: Subject;
  readonly backend: Backend;
  readonly stop: () => Promise<void>;
}

/** Starts a backend and the proxy before it; throws with the reason when the proxy cannot run here. The proxy's log is discarded. */
export async function startPair(options: SoakOptions, backendArgs: readonly string[], lifetimeSeconds: number, more: Partial<SluiceOptions> = {}): Promise<Pair> {
  const { site, workers, node } = options;
  const kind = own(options.command, { config: `configs/${options.config ?? 'http'}.yaml`, workers, node, ...more });
  const found = await kind.find(options.install);
  if ('absent' in found) throw new Error(`${kind.name}: ${found.absent}`);
  const backend = await startBackend(backendArgs, site.loadCore, lifetimeSeconds);
  try {
    const subject = await kind.start({ site, mode: 'http', upstreams: [backend.port], log: true, discardLog: true });
    return {
      subject,
      backend,
      stop: async () => {
        await subject.stop();
        backend.stop();
      },
    };
  } catch (error) {
    backend.stop();
    throw error;
  }
}

/** One line of verdict; the figure must not be above the limit. */
export const bar = (what: string, figure: number, limit: number, unit: string): string =>
  `${figure <= limit ? 'PASS' : 'MISS'} ${what} <= ${limit} ${unit}: ${figure.toFixed(figure < 10 ? 2 : 0)}`;

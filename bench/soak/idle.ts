// Bytes of memory for each idle client connection: plain after one request, plain and silent, and TLS.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseDocument } from 'yaml';
import { median } from '../figure.js';
import { type RunningLoad, startLoad } from '../load/tools.js';
import { restingKb } from '../site.js';
import type { SluiceOptions } from '../subject.js';
import { bar, type Soak, type SoakOptions, startPair } from './contract.js';
import { holdTls } from '../load/hold-tls.js';

const LIMIT_KB = 8;
/** V8 gives memory back some seconds after the last allocation; a head that never comes may be waited for only 10 s. */
const SETTLE_SECONDS = 12;
const SILENT_SECONDS = 6;
const CYCLES = 3;

interface Held {
  readonly name: string;
  /** Over the memory after as many connections had been opened and closed: median of the cycles, and each of them. */
  readonly kbEach: number;
  readonly cycles: readonly number[];
  /** Over the memory before the first of them. */
  readonly kbEachFromRest: number;
  readonly restKb: number;
  readonly held: number;
  readonly errors: number;
  /** Connections the proxy closed while they were to be held. */
  readonly closed: number;
}

type Hold = (port: number, seconds: number) => RunningLoad;

async function measure(name: string, hold: Hold, count: number, holdSeconds: number, options: SoakOptions, more: Partial<SluiceOptions>): Promise<Held> {
  const { subject, stop } = await startPair(options, ['http'], 600, more);
  const rest = (seconds: number): Promise<number> => restingKb(() => subject.pids(), seconds);
  const mb = (kb: number): string => (kb / 1024).toFixed(1);
  try {
    const restKb = await rest(3);
    const first = hold(subject.port, 0);
    let errors = Number((await first.next())['errors']);
    await first.end();
    const cycles: number[] = [];
    let held = 0;
    let closed = 0;
    let during = 0;
    for (let i = 0; i < CYCLES; i++) {
      const before = await rest(SETTLE_SECONDS);
      const holding = hold(subject.port, 60);
      const report = await holding.next();
      during = await rest(holdSeconds);
      const released = holding.next();
      await holding.end();
      closed += Number((await released)['closed']);
      held = Number(report['held']);
      errors += Number(report['errors']) + (held === count ? 0 : 1);
      cycles.push((during - before) / Math.max(1, held));
      options.say(`${name}: ${held} held, RSS ${mb(restKb)} at rest, ${mb(before)} before, ${mb(during)} MB holding`);
    }
    return { name, kbEach: median(cycles), cycles, kbEachFromRest: (during - restKb) / Math.max(1, held), restKb, held, errors, closed };
  } finally {
    await stop();
  }
}

/** The example config with a certificate of its own on its listener; why not, when it cannot be made. */
function tlsConfig(options: SoakOptions): { config: string } | { why: string } {
  if (options.command !== undefined) return { why: 'only Sluice is' };
  const example = 'configs/http.yaml';
  if (!existsSync(example)) return { why: `${example} is missing` };
  const [cert, key, config] = ['cert.pem', 'key.pem', 'tls.yaml'].map((file) => join(options.site.dir, file)) as [string, string, string];
  const ask = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=bench.local', '-keyout', key, '-out', cert];
  const made = spawnSync('openssl', ask, { encoding: 'utf8' });
  if (made.status !== 0) return { why: `openssl made no certificate: ${made.error?.message ?? made.stderr.trim()}` };
  const document = parseDocument(readFileSync(example, 'utf8'));
  document.setIn(['listeners', 0, 'tls'], { certificates: [{ cert, key }] });
  writeFileSync(config, document.toString());
  return { config };
}

export const soak: Soak = {
  summary: 'memory of each of 10,000 idle connections (--connections), plain and TLS',
  async run(options) {
    const count = options.connections ?? 10_000;
    const load = (...more: string[]): Hold => (port, seconds) =>
      startLoad(['hold', '--port', String(port), '--connections', String(count), '--seconds', String(seconds), ...more], options.site.loadCore);
    const all = [await measure('idle after a request', load(), count, SETTLE_SECONDS, options, {}), await measure('silent since accepted', load('--silent'), count, SILENT_SECONDS, options, {})];
    const notes: string[] = [];
    const tls = tlsConfig(options);
    if ('why' in tls) notes.push(`TLS not measured: ${tls.why}`);
    else all.push(await measure('TLS, idle after a request', (port, seconds) => holdTls(port, count, seconds), count, SETTLE_SECONDS, options, { config: tls.config }));
    return {
      lines: [
        `idle connections, ${count} held after ${count} opened and closed:`,
        ...all.map((one) => `  ${one.name}: ${one.kbEach.toFixed(2)} KiB each (${one.cycles.map((cycle) => cycle.toFixed(2)).join(', ')}), ${one.kbEachFromRest.toFixed(2)} KiB over a process that never had one; errors ${one.errors}, closed meanwhile ${one.closed}`),
        ...notes,
        bar('an idle plain connection', all[0]!.kbEach, LIMIT_KB, 'KiB'),
      ],
      figures: { connections: count, held: all, notes },
      ok: all.every((one) => one.errors + one.closed === 0),
    };
  },
};

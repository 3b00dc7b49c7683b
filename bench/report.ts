// Prints a run as a table for people, or as one JSON document for machines.
import { cpus } from 'node:os';
import type { Figure } from './figure.js';
import type { RunOptions, RunResult } from './rounds.js';

/** A core that something else used this much makes its figures doubtful. */
const DISTURBED = 0.05;
/** Above this the load generator, not the proxy, may have set the rate. */
const LOAD_FULL = 0.97;

type Row = readonly string[];

export function table(rows: readonly Row[]): string {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  const left = 2; // The first columns are names.
  return rows.map((row) => row.map((cell, i) => (i < left ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ').trimEnd()).join('\n');
}

const ms = (us: number): string => (us === 0 ? '-' : (us / 1000).toFixed(2));
const fixed = (value: number, digits: number): string => (value === 0 ? '-' : value.toFixed(digits));

/** Own CPU time against this subject's, then own rate against its rate; for the same workload. */
function ratios(figure: Figure, own: Figure | undefined): [string, string] {
  if (own === undefined || own === figure) return ['', ''];
  return [figure.cpuUs > 0 ? (own.cpuUs / figure.cpuUs).toFixed(2) : '-', figure.rate > 0 ? (own.rate / figure.rate).toFixed(2) : '-'];
}

export function printRun(result: RunResult, options: RunOptions, notes: readonly string[]): string {
  const { figures, own } = result;
  const rows: Row[] = [['workload', 'subject', 'per s', 'CPU us', 'range', 'p50 ms', 'p99 ms', 'RSS MB', 'errors', `${own}/it CPU`, 'rate']];
  for (const figure of figures) {
    const mine = figures.find((other) => other.workload === figure.workload && other.subject === own);
    rows.push([
      figure.workload,
      figure.subject,
      `${Math.round(figure.rate)} ${figure.unit === 'MB' ? 'MB' : 'rq'}`,
      fixed(figure.cpuUs, 2),
      figure.cpuUs === 0 ? '-' : `${figure.cpuRange[0].toFixed(1)}-${figure.cpuRange[1].toFixed(1)}`,
      ms(figure.p50Us),
      ms(figure.p99Us),
      figure.rssKb === 0 ? '-' : (figure.rssKb / 1024).toFixed(0),
      String(figure.errors),
      ...ratios(figure, mine),
    ]);
  }
  const lines = [
    `${result.name}: medians of ${options.rounds} interleaved runs of ${options.seconds} s, peers ${options.bare ? 'forwarding only' : 'with access log'}`,
    table(rows),
  ];
  for (const figure of figures) {
    const where = `${figure.workload} ${figure.subject}`;
    if (figure.errors > 0) lines.push(`ERRORS ${where}: ${figure.errors} ${JSON.stringify(figure.errorKinds)}`);
    if (figure.disturbed > DISTURBED) lines.push(`disturbed: ${where}: something else used ${(figure.disturbed * 100).toFixed(0)} % of the proxy's core`);
    if (figure.subject !== 'direct' && figure.loadBusy > LOAD_FULL && figure.rate > 0)
      lines.push(`load core full: ${where}: the rate may be the load's, the CPU figure stands`);
  }
  for (const [name, why] of Object.entries(result.absent)) lines.push(`absent: ${name}: ${why}`);
  for (const note of notes) lines.push(`note: ${note}`);
  for (const bar of result.bars) lines.push(`${bar.result} ${bar.text}${bar.ratio === undefined ? '' : `: ${bar.ratio.toFixed(2)}`}`);
  return lines.join('\n');
}

export function jsonRun(results: readonly RunResult[], options: RunOptions, notes: readonly string[]): string {
  return JSON.stringify({
    date: new Date().toISOString(),
    node: process.version,
    cpu: cpus()[0]?.model ?? 'unknown',
    proxyCore: options.site.proxyCore ?? null,
    loadCore: options.site.loadCore ?? null,
    rounds: options.rounds,
    seconds: options.seconds,
    peersBare: options.bare,
    notes,
    runs: results,
  });
}

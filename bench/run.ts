// Command line of the bench: `npm run bench -- [protocol ...] [options]`, `soak:NAME`, `micro`; see bench/README.md.
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Path } from './path/contract.js';
import { jsonRun, printRun } from './report.js';
import { measurePath, type RunOptions, type RunResult } from './rounds.js';
import { Site } from './site.js';
import type { Soak, SoakOptions } from './soak/contract.js';
import { command } from './subject.js';

const HERE = fileURLToPath(new URL('.', import.meta.url));

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string' },
    warmup: { type: 'string', default: '1' },
    minutes: { type: 'string' },
    connections: { type: 'string' },
    rate: { type: 'string' },
    config: { type: 'string' },
    only: { type: 'string', default: '' },
    'peers-bare': { type: 'boolean', default: false },
    'no-install': { type: 'boolean', default: false },
    subject: { type: 'string' },
    command: { type: 'string' },
    workers: { type: 'string', default: '1' },
    node: { type: 'string', default: process.execPath },
    'proxy-core': { type: 'string', default: '0' },
    'load-core': { type: 'string', default: '1' },
    list: { type: 'boolean', default: false },
    strict: { type: 'boolean', default: false },
  },
});

function number(name: string, text: string | undefined, low: number, high: number): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!Number.isFinite(value) || value < low || value > high) throw new Error(`--${name} must be a number from ${low} to ${high}, not ${text}`);
  return value;
}

/** Names of the compiled files in a folder of the bench, without those that only hold contracts or tools. */
const filesIn = (folder: string, not: readonly string[]): string[] =>
  existsSync(HERE + folder)
    ? readdirSync(HERE + folder)
        .filter((file) => file.endsWith('.js'))
        .map((file) => file.slice(0, -3))
        .filter((name) => !not.includes(name))
        .sort()
    : [];

const pathNames = (): string[] => filesIn('path', ['contract']);
const soakNames = (): string[] => filesIn('soak', ['contract']);
const microNames = (): string[] => filesIn('micro', ['measure']);

function known(kind: string, name: string, names: readonly string[]): void {
  if (!names.includes(name)) throw new Error(`no ${kind} called ${name}; there are: ${names.join(', ') || 'none'}`);
}

const loadPath = async (name: string): Promise<Path> => {
  known('bench', name, pathNames());
  return ((await import(`./path/${name}.js`)) as { path: Path }).path;
};

const loadSoak = async (name: string): Promise<Soak> => {
  known('soak', name, soakNames());
  return ((await import(`./soak/${name}.js`)) as { soak: Soak }).soak;
};

async function list(): Promise<void> {
  for (const name of pathNames()) console.log(`${name.padEnd(18)} ${(await loadPath(name)).summary}`);
  for (const name of soakNames()) console.log(`soak:${name.padEnd(13)} ${(await loadSoak(name)).summary}`);
  for (const name of microNames()) console.log(`micro:${name}`);
}

/** True if nothing failed. */
async function runPaths(names: readonly string[], site: Site): Promise<boolean> {
  if ((values.subject === undefined) !== (values.command === undefined)) throw new Error('--subject and --command go together');
  const options: RunOptions = {
    site,
    rounds: number('rounds', values.rounds, 1, 100)!,
    seconds: number('seconds', values.seconds, 0.1, 600) ?? 3,
    warmup: number('warmup', values.warmup, 0, 60)!,
    bare: values['peers-bare'],
    only: values.only === '' ? [] : values.only.split(','),
    install: !values['no-install'],
    workers: number('workers', values.workers, 1, 64)!,
    node: values.node,
    stand: values.subject === undefined ? undefined : command(values.subject, values.command!),
    say: (line) => console.error(line),
  };
  const paths = await Promise.all(names.map(loadPath));
  const results: RunResult[] = [];
  for (const path of paths) {
    const result = await measurePath(path, options);
    results.push(result);
    if (!values.json) console.log(`${printRun(result, options, site.notes)}\n`);
  }
  if (values.json) console.log(jsonRun(results, options, site.notes));
  const wanted = (result: RunResult): boolean => options.only.length === 0 || options.only.includes(result.own);
  return results.every(
    (result) =>
      result.errors === 0 &&
      !(wanted(result) && result.own in result.absent) &&
      !(values.strict && result.bars.some((bar) => bar.result === 'MISS')),
  );
}

async function runSoak(name: string, site: Site): Promise<boolean> {
  const soak = await loadSoak(name);
  const options: SoakOptions = {
    site,
    seconds: number('seconds', values.seconds, 0.1, 7200),
    minutes: number('minutes', values.minutes, 0.01, 600),
    connections: number('connections', values.connections, 1, 50_000),
    rate: number('rate', values.rate, 1, 1e7),
    config: values.config,
    install: !values['no-install'],
    workers: number('workers', values.workers, 1, 64)!,
    node: values.node,
    command: values.command,
    say: (line) => console.error(line),
  };
  const { lines, figures, ok } = await soak.run(options);
  if (values.json) console.log(JSON.stringify({ soak: name, date: new Date().toISOString(), node: process.version, notes: site.notes, ok, figures }));
  else console.log([...lines, ...site.notes.map((note) => `note: ${note}`)].join('\n'));
  return ok;
}

async function main(): Promise<boolean> {
  if (!existsSync('bench/load/load.c')) throw new Error('run the bench from the root of the repository');
  if (values.list) {
    await list();
    return true;
  }
  const micro = positionals.filter((word) => word === 'micro' || word.startsWith('micro:'));
  const soaks = positionals.filter((word) => word.startsWith('soak:')).map((word) => word.slice(5));
  const chosen = positionals.filter((word) => !micro.includes(word) && !word.startsWith('soak:'));
  for (const word of micro) {
    const one = word.slice('micro:'.length);
    if (one !== '') known('micro bench', one, microNames());
    for (const name of one === '' ? microNames() : [one]) await import(`./micro/${name}.js`);
  }
  const paths = positionals.length === 0 ? pathNames() : chosen;
  if (paths.length + soaks.length === 0) return true;
  const site = new Site({ proxy: number('proxy-core', values['proxy-core'], 0, 63)!, load: number('load-core', values['load-core'], 0, 63)! });
  try {
    let ok = paths.length === 0 || (await runPaths(paths, site));
    for (const name of soaks) ok = (await runSoak(name, site)) && ok;
    return ok;
  } finally {
    await site.close();
  }
}

try {
  process.exitCode = (await main()) ? 0 : 1;
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}

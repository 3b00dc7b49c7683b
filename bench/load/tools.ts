// Compiles the load generator and the backends when their sources are newer, runs them, reads what they report.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export const CACHE = 'node_modules/.cache/bench';
const SOURCES = 'bench/load';
const FLAGS = ['-O2', '-std=gnu11', '-D_GNU_SOURCE', '-Wall', '-Wextra'];

/** One measured run of the load generator; times in us, rates per second. Fields of other modes are absent. */
export interface LoadReport {
  readonly mode: string;
  readonly seconds: number;
  readonly requests?: number;
  readonly rate?: number;
  readonly bytes?: number;
  readonly mb_per_second?: number;
  readonly errors: number;
  readonly error_kinds: Readonly<Record<string, number>>;
  readonly latency_us?: { mean: number; p50: number; p90: number; p99: number; p999: number; max: number };
  readonly wanted_rate?: number;
  readonly unfinished?: number;
  readonly pauses?: number;
  readonly longest_pause_ms?: number;
  readonly own_stalls?: number;
  /** CPU time the watched processes used in the measured window, and their memory at its end. */
  readonly cpu_us: number;
  readonly rss_kb: number;
  /** Watched processes that had ended. */
  readonly gone: number;
  /** Time each core was busy with anything in the measured window. */
  readonly core_us: readonly number[];
}

function compile(name: string, files: readonly string[]): string {
  const binary = join(CACHE, name);
  const sources = files.map((file) => join(SOURCES, file));
  const headers = readdirSync(SOURCES).filter((file) => file.endsWith('.h')).map((file) => join(SOURCES, file));
  const newest = Math.max(...[...sources, ...headers].map((file) => statSync(file).mtimeMs));
  if (existsSync(binary) && statSync(binary).mtimeMs > newest) return binary;
  mkdirSync(CACHE, { recursive: true });
  const compiler = process.env['CC'] ?? 'gcc';
  // Renamed when it is whole: tests and a bench may compile at the same time.
  const fresh = `${binary}.${process.pid}`;
  const { status, stderr, error } = spawnSync(compiler, [...FLAGS, '-o', fresh, ...sources], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${compiler} could not compile ${name}: ${error?.message ?? stderr}`);
  renameSync(fresh, binary);
  return binary;
}

export function loadBinary(): string {
  const parts = readdirSync(SOURCES).filter((file) => file.endsWith('.c') && file !== 'backend.c');
  return compile('load', parts);
}

export const backendBinary = (): string => compile('backend', ['backend.c']);

export interface Backend {
  readonly port: number;
  readonly pid: number;
  stop(): void;
}

/** Starts a backend on a port of its own; it ends with this process, or after `lifetimeSeconds`. */
export function startBackend(args: readonly string[], core: number | undefined, lifetimeSeconds: number): Promise<Backend> {
  const line = [backendBinary(), ...args, '--seconds', String(Math.ceil(lifetimeSeconds))];
  if (core !== undefined) line.unshift('taskset', '-c', String(core));
  const child = spawn(line[0]!, line.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] });
  return new Promise((done, fail) => {
    child.once('error', fail);
    child.once('exit', (code) => fail(new Error(`backend ${args.join(' ')} ended with ${code}`)));
    child.stdout.once('data', (chunk: Buffer) => {
      const { port } = JSON.parse(chunk.toString()) as { port: number };
      done({ port, pid: child.pid!, stop: () => void child.kill('SIGKILL') });
    });
  });
}

/** Runs the load generator to its end. */
export async function runLoad(args: readonly string[], core: number | undefined): Promise<LoadReport> {
  const lines = startLoad(args, core);
  const report = await lines.next();
  await lines.end();
  return report as unknown as LoadReport;
}

export interface RunningLoad {
  /** The next line of its report. */
  next(): Promise<Record<string, unknown>>;
  /** Closes its standard input (a held load lets go) and waits for its end. */
  end(): Promise<void>;
}

/** Starts the load generator and hands out its lines as they come. */
export function startLoad(args: readonly string[], core: number | undefined): RunningLoad {
  const line = [loadBinary(), ...args];
  if (core !== undefined) line.unshift('taskset', '-c', String(core));
  const child = spawn(line[0]!, line.slice(1), { stdio: ['pipe', 'pipe', 'pipe'] });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const ended = new Promise<void>((done) => child.once('close', () => done()));
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  return {
    async next() {
      const { value, done } = await lines.next();
      if (done) throw new Error(`load ${args.join(' ')} gave no report: ${stderr.trim()}`);
      return JSON.parse(value) as Record<string, unknown>;
    },
    async end() {
      child.stdin.end();
      await ended;
    },
  };
}

// Where a bench runs: the two cores, a directory in memory, the processes it started, and their end whatever happens.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';

export interface StartOptions {
  /** Core to run on. Default: the load's, which children inherit. */
  readonly core?: number | 'any' | undefined;
  readonly env?: Readonly<Record<string, string>>;
  /** File that takes standard output, appended to. Default: /dev/null. */
  readonly stdout?: string;
}

const hasCommand = (name: string): boolean => spawnSync('sh', ['-c', `command -v ${name}`]).status === 0;

export const sleep = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

/** A process under the bench's care, in a process group of its own. */
export class Started {
  readonly name: string;
  readonly child: ChildProcess;
  /** The last 4 KiB of standard error, for the message when it does not start. */
  stderr = '';
  exit: string | undefined;
  /** When it was started, by performance.now(). */
  readonly began: number;
  readonly #ended: Promise<void>;

  constructor(name: string, child: ChildProcess, began: number) {
    this.name = name;
    this.began = began;
    this.child = child;
    child.stderr?.on('data', (chunk: Buffer) => {
      this.stderr = (this.stderr + chunk.toString()).slice(-4096);
    });
    this.#ended = new Promise((done) => {
      child.once('error', (error) => {
        this.exit = error.message;
        done();
      });
      child.once('exit', (code, signal) => {
        this.exit = signal ?? `exit code ${code}`;
        done();
      });
    });
  }

  get pid(): number {
    return this.child.pid ?? -1;
  }

  /** The process and all its descendants. */
  pids(): number[] {
    return processTree(this.pid);
  }

  signal(signal: NodeJS.Signals): void {
    if (this.exit !== undefined || this.pid <= 0) return;
    try {
      process.kill(-this.pid, signal);
    } catch {
      // Gone between the check and the call.
    }
  }

  /** TERM, and KILL for the whole group after two seconds. */
  async stop(): Promise<void> {
    this.signal('SIGTERM');
    const timer = setTimeout(() => this.signal('SIGKILL'), 2000);
    await this.#ended;
    clearTimeout(timer);
  }
}

export class Site {
  readonly proxyCore: number | undefined;
  readonly loadCore: number | undefined;
  /** A new directory, in memory where the system has one: logs written there cost no disk. */
  readonly dir: string;
  /** Remarks for the report. */
  readonly notes: string[] = [];
  readonly #running = new Set<Started>();
  readonly #setpriv = hasCommand('setpriv');

  constructor(cores: { proxy: number; load: number }) {
    this.dir = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'sluice-bench-'));
    if (availableParallelism() < 2 || !hasCommand('taskset')) {
      this.notes.push('not pinned: needs two cores and taskset; CPU figures include the fight for the core');
    } else {
      this.proxyCore = cores.proxy;
      this.loadCore = cores.load;
      spawnSync('taskset', ['-acp', String(cores.load), String(process.pid)]);
    }
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.once(signal, () => {
        this.#killAll();
        process.exit(130);
      });
    }
    process.once('exit', () => this.#killAll());
  }

  start(name: string, command: readonly string[], options: StartOptions = {}): Started {
    const line = [...command];
    const core = options.core === 'any' && this.proxyCore !== undefined ? `0-${cpus().length - 1}` : options.core;
    if (core !== undefined && core !== 'any') line.unshift('taskset', '-c', String(core));
    // Ends with the bench even if that is killed.
    if (this.#setpriv) line.unshift('setpriv', '--pdeathsig', 'TERM');
    const out = options.stdout === undefined ? undefined : openSync(options.stdout, 'a');
    const began = performance.now();
    const child = spawn(line[0]!, line.slice(1), {
      detached: true,
      env: { ...process.env, ...options.env },
      stdio: ['ignore', out ?? 'ignore', 'pipe'],
    });
    if (out !== undefined) closeSync(out);
    const started = new Started(name, child, began);
    this.#running.add(started);
    child.once('exit', () => this.#running.delete(started));
    return started;
  }

  /** Stops everything and removes the directory. */
  async close(): Promise<void> {
    await Promise.all([...this.#running].map((started) => started.stop()));
    rmSync(this.dir, { recursive: true, force: true });
  }

  #killAll(): void {
    for (const started of this.#running) started.signal('SIGKILL');
    rmSync(this.dir, { recursive: true, force: true });
  }
}

function processTree(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid)) continue;
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 4).split(' ', 1)[0]);
      const siblings = children.get(parent);
      if (siblings === undefined) children.set(parent, [pid]);
      else siblings.push(pid);
    } catch {
      // Ended while the list was read.
    }
  }
  const tree = [root];
  for (let i = 0; i < tree.length; i++) tree.push(...(children.get(tree[i]!) ?? []));
  return tree;
}

/** Resident memory in KiB, 0 for processes that are gone. */
export function residentKb(pids: readonly number[]): number {
  let sum = 0;
  for (const pid of pids) {
    try {
      sum += Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0);
    } catch {
      // Gone.
    }
  }
  return sum;
}

/** Resident memory once it has come to rest: the median of the second half of some seconds, in KiB. */
export async function restingKb(pids: () => readonly number[], seconds: number): Promise<number> {
  const samples: number[] = [];
  for (const end = Date.now() + seconds * 1000; Date.now() < end; ) {
    samples.push(residentKb(pids()));
    await sleep(100);
  }
  const half = samples.slice(samples.length >> 1).sort((a, b) => a - b);
  return half[half.length >> 1] ?? residentKb(pids());
}

/** A port of 127.0.0.1 that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const server = createServer();
    server.once('error', fail);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => done(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

export function tryConnect(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      done(true);
    });
    socket.once('error', () => done(false));
  });
}

/** Waits until the port accepts; throws with what the process said if it ends or takes too long. */
export async function waitForPort(started: Started, port: number, limitMs: number): Promise<void> {
  const end = Date.now() + limitMs;
  while (!(await tryConnect(port))) {
    if (started.exit !== undefined) throw new Error(`${started.name} ended (${started.exit}): ${started.stderr.trim()}`);
    if (Date.now() > end) throw new Error(`${started.name} did not accept on ${port} within ${limitMs} ms: ${started.stderr.trim()}`);
    await sleep(2);
  }
}

// Starts the real binary with a configuration of the test's, and reads what it prints; every process ends with the test.
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { TestContext } from 'node:test';

/** The bundle that `npm start` runs; SLUICE_BINARY names another one. */
const binary = resolve(process.env['SLUICE_BINARY'] ?? 'dist/sluice.js');

/**
 * Ports below the range from which the system takes those of outgoing connections and of `listen(0)`, in blocks of which each process of
 * tests holds its own by listening on the first: nobody takes a port between its choice and its use, and one that is to refuse
 * connections goes on refusing.
 */
const LOWEST_PORT = 12_000;
const BLOCKS = 200;
const BLOCK = 100;
let port = 0;
let blockEnd = 0;
let claiming: Promise<void> | null = null;

/** Resolves with a server that listens on the port, or with null. */
function listenOn(port: number): Promise<Server | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.on('error', () => resolve(null));
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}

async function claimBlock(): Promise<void> {
  for (let tries = 0; tries < 10 * BLOCKS; tries++) {
    const first = LOWEST_PORT + randomInt(BLOCKS) * BLOCK;
    const holder = await listenOn(first);
    if (holder === null) continue;
    holder.unref();
    port = first + 1;
    blockEnd = first + BLOCK;
    return;
  }
  assert.fail('all blocks of ports are taken');
}

/** A port of 127.0.0.1 that nobody listens on, never the same one twice. */
export async function freePort(): Promise<number> {
  for (;;) {
    if (port >= blockEnd) {
      await (claiming ??= claimBlock().finally(() => (claiming = null)));
      continue;
    }
    const found = port++;
    const server = await listenOn(found);
    if (server === null) continue;
    await new Promise((resolve) => server.close(resolve));
    return found;
  }
}

export async function freePorts(n: number): Promise<number[]> {
  const ports: number[] = [];
  for (let i = 0; i < n; i++) ports.push(await freePort());
  return ports;
}

/** Waits until `check` gives something other than undefined, false or null; fails after `limit` ms with `what`. */
export async function until<T>(what: string, check: () => T | Promise<T>, limit = 10_000): Promise<NonNullable<T>> {
  const end = Date.now() + limit;
  for (;;) {
    const found = await check();
    if (found !== undefined && found !== false && found !== null) return found as NonNullable<T>;
    if (Date.now() > end) assert.fail(`waited ${limit} ms in vain: ${what}`);
    await new Promise((r) => setTimeout(r, 20));
  }
}

export class Sluice {
  readonly child: ChildProcess;
  readonly admin: string;
  readonly file: string;
  stdout = '';
  stderr = '';
  readonly exited: Promise<number | null>;
  private over = false;

  constructor(child: ChildProcess, admin: string, file: string) {
    this.child = child;
    this.admin = admin;
    this.file = file;
    child.stdout!.on('data', (d: Buffer) => (this.stdout += d.toString('latin1')));
    child.stderr!.on('data', (d: Buffer) => (this.stderr += d.toString()));
    this.exited = once(child, 'close').then(([code]) => {
      this.over = true;
      return code as number | null;
    });
  }

  get running(): boolean {
    return !this.over;
  }

  /** Lines of the access log so far. */
  get lines(): string[] {
    return this.stdout.split('\n').filter((line) => line !== '');
  }

  async get(path: string): Promise<{ status: number; text: string }> {
    const reply = await fetch(`http://${this.admin}${path}`);
    return { status: reply.status, text: await reply.text() };
  }

  async json<T = unknown>(path: string): Promise<T> {
    return JSON.parse((await this.get(path)).text) as T;
  }

  /** The sum of a metric's series whose labels include `labels`. */
  async metric(name: string, labels = ''): Promise<number> {
    let sum = 0;
    for (const line of (await this.get('/metrics')).text.split('\n')) {
      if ((line.startsWith(`${name}{`) || line.startsWith(`${name} `)) && line.includes(labels)) sum += Number(line.slice(line.lastIndexOf(' ') + 1));
    }
    return sum;
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  async ready(limit = 15_000): Promise<void> {
    await until('the process is ready', async () => {
      if (this.over) assert.fail(`sluice ended:\n${this.stderr}`);
      try {
        return (await this.get('/ready')).status === 200;
      } catch {
        return false;
      }
    }, limit);
  }
}

export interface StartOptions {
  /** Text of the configuration; without `admin`, which is added. */
  readonly config?: string;
  /** A file instead. */
  readonly file?: string;
  readonly env?: Record<string, string>;
  readonly args?: readonly string[];
  /** Do not wait for ready. */
  readonly eager?: boolean;
}

/** Starts sluice; it is killed when the test ends, should it still run then. */
export async function start(t: TestContext, options: StartOptions): Promise<Sluice> {
  const port = await freePort();
  const admin = `127.0.0.1:${port}`;
  let file = options.file ?? '';
  if (options.config !== undefined) {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-test-'));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    file = join(folder, 'sluice.yaml');
    writeFileSync(file, `admin: {address: ${admin}}\n${options.config}`);
  }
  // One worker unless the test says otherwise: figures of memory and counts of connections are for one.
  const workers = options.config !== undefined && !/^workers:/m.test(options.config) && options.args?.includes('--workers') !== true ? ['--workers', '1'] : [];
  const args = ['--enable-source-maps', binary, 'start', '-c', file, ...workers, ...(options.args ?? [])];
  const child = spawn(process.execPath, args, { env: { ...process.env, ADMIN: admin, ...options.env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const sluice = new Sluice(child, admin, file);
  t.after(async () => {
    if (sluice.running) child.kill('SIGKILL');
    await sluice.exited;
  });
  if (options.eager !== true) await sluice.ready();
  return sluice;
}

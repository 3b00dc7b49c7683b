// Starts the Python programs of the Thrift tests, with thriftpy2 from PyPI kept under node_modules/.cache; says why where it cannot be had.
import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import type { TestContext } from 'node:test';

const VERSION = '0.7.1';
const LIMIT_MS = 30_000;

/** One running program. */
class PythonProgram {
  private readonly child: ChildProcess;
  private out = '';
  private errors = '';
  private waiting: (() => void) | null = null;

  constructor(child: ChildProcess) {
    this.child = child;
    child.stdout!.on('data', (piece: Buffer) => {
      this.out += piece.toString();
      this.waiting?.();
    });
    child.stderr!.on('data', (piece: Buffer) => (this.errors += piece.toString()));
    child.on('close', () => this.waiting?.());
  }

  /** Waits for a line. */
  async says(line: string, limit = LIMIT_MS): Promise<void> {
    const end = Date.now() + limit;
    while (!this.out.split('\n').includes(line)) {
      if (this.child.exitCode !== null || this.child.signalCode !== null || Date.now() > end) assert.fail(`it did not say ${JSON.stringify(line)}:\n${this.out}${this.errors}`);
      await new Promise<void>((done) => {
        const timer = setTimeout(done, 200);
        this.waiting = () => {
          clearTimeout(timer);
          done();
        };
      });
    }
  }

  kill(): void {
    this.child.kill('SIGKILL');
  }
}

export interface Python {
  run(t: TestContext, args: readonly string[]): PythonProgram;
}

export function python(): Python | { readonly skip: string } {
  if (spawnSync('python3', ['--version']).status !== 0) return { skip: 'python3 not found' };
  const folder = resolve(`node_modules/.cache/peers/python/thriftpy2-${VERSION}`);
  const env = { ...process.env, PYTHONPATH: folder, PYTHONUNBUFFERED: '1' };
  const works = (): boolean => existsSync(folder) && spawnSync('python3', ['-c', 'import thriftpy2.contrib'], { env }).status === 0;
  if (!works()) {
    mkdirSync(folder, { recursive: true });
    const { status, stderr } = spawnSync('python3', ['-m', 'pip', 'install', '-q', '--disable-pip-version-check', '--target', folder, `thriftpy2==${VERSION}`], { timeout: 120_000, encoding: 'utf8' });
    if (status !== 0 || !works()) return { skip: `thriftpy2 cannot be installed: ${String(stderr).trim().split('\n').at(-1)}` };
  }
  return {
    run: (t, args) => {
      const child = spawn('python3', [resolve('test/peers/thrift-peer.py'), ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
      t.after(() => child.kill('SIGKILL'));
      return new PythonProgram(child);
    },
  };
}

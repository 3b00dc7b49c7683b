// Starts the command as a process of its own, waits for what it says, and makes sure that it ends.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../../src/main.js', import.meta.url));
const LIMIT = 30_000;

export class Process {
  readonly child: ChildProcess;
  output = '';
  errors = '';
  /** Resolves with the exit code when the process is gone and all that it wrote was read; null after a signal. */
  readonly ended: Promise<number | null>;
  private over = false;
  private wake: () => void = () => {};

  constructor(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    const inherited: NodeJS.ProcessEnv = { ...process.env };
    // What the test runner and the surroundings of the tests set is not the command's business.
    for (const name of ['NODE_TEST_CONTEXT', 'NODE_OPTIONS', 'ADMIN', 'LISTEN', 'UPSTREAM', 'HTTP', 'BOLT', 'ECHO_HTTP', 'ECHO_BOLT']) delete inherited[name];
    this.child = spawn(process.execPath, [main, ...args], { env: { ...inherited, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    this.child.stdout!.setEncoding('utf8').on('data', (text: string) => this.add('output', text));
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => this.add('errors', text));
    this.ended = once(this.child, 'close').then(([code]) => {
      this.over = true;
      this.wake();
      return code as number | null;
    });
  }

  private add(to: 'output' | 'errors', text: string): void {
    this[to] += text;
    this.wake();
  }

  /** Waits until what was written matches; fails with all of it when the process ends first or takes too long. */
  async until(from: 'output' | 'errors', pattern: RegExp, limit = LIMIT): Promise<RegExpExecArray> {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.wake();
    }, limit);
    try {
      for (;;) {
        const found = pattern.exec(this[from]);
        if (found !== null) return found;
        if (this.over || late) assert.fail(`${late ? 'too late' : 'ended'} before ${pattern} came:\n${this.output}\n${this.errors}`);
        await new Promise<void>((resolve) => (this.wake = resolve));
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** The exit code, or a failure when the process does not end. */
  async exit(limit = LIMIT): Promise<number | null> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>((resolve) => (timer = setTimeout(() => resolve('late'), limit)));
    const code = await Promise.race([this.ended, late]);
    clearTimeout(timer);
    if (code !== 'late') return code;
    await this.kill();
    return assert.fail(`did not end:\n${this.output}\n${this.errors}`);
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }

  async kill(): Promise<void> {
    if (!this.over) this.child.kill('SIGKILL');
    await this.ended;
  }
}

/** Runs a command that ends by itself. */
export async function run(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<{ code: number | null; output: string; errors: string }> {
  const started = new Process(args, env);
  const code = await started.exit();
  return { code, output: started.output, errors: started.errors };
}

/** Ports that were free a moment ago. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  const ports: number[] = [];
  for (const server of servers) {
    if (!server.listening) await once(server, 'listening');
    ports.push((server.address() as AddressInfo).port);
  }
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

// A stranger's first minutes: a clone of this repository, then `npm start` and `npm test`, with nothing installed.
import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

const minute = 60_000;
/** Time for npm to fetch and unpack everything over a slow line, plus the build. */
const installLimit = 4 * minute;

// The clone runs tests too; without a mark it would clone itself, and so on.
const reason = process.env.SLUICE_IN_CLONE !== undefined ? 'this is the clone' : existsSync('.git') ? undefined : 'not a git checkout';

/** The environment of somebody's shell: what npm and the test runner add for their children is taken out again. */
function shellEnvironment(extra: Record<string, string>): NodeJS.ProcessEnv {
  const env = { ...process.env };
  for (const name of Object.keys(env)) {
    if (/^(npm_(lifecycle|package|command|execpath|node_execpath)|NODE_TEST_CONTEXT$|NODE_V8_COVERAGE$|INIT_CWD$)/.test(name)) delete env[name];
  }
  return { ...env, ...extra };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

interface Running {
  readonly child: ChildProcess;
  readonly exited: Promise<number | null>;
  output(): string;
  /** Waits until the output so far matches. Fails, with the output, when the process ends first or the time is over. */
  until(pattern: RegExp, limit: number): Promise<void>;
  stop(signal: NodeJS.Signals): void;
}

function npm(folder: string, args: readonly string[], extra: Record<string, string>): Running {
  // In a group of its own, so that stopping it reaches what npm has started.
  const child = spawn('npm', args, { cwd: folder, env: shellEnvironment(extra), detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  let wake = (): void => {};
  const add = (chunk: Buffer): void => {
    text += chunk.toString();
    wake();
  };
  child.stdout.on('data', add);
  child.stderr.on('data', add);
  let over = false;
  const exited = once(child, 'close').then(([code]) => {
    over = true;
    wake();
    return code as number | null;
  });
  return {
    child,
    exited,
    output: () => text,
    async until(pattern, limit) {
      let late = false;
      const timer = setTimeout(() => {
        late = true;
        wake();
      }, limit);
      try {
        while (!pattern.test(text)) {
          if (over || late) assert.fail(`${late ? 'too late' : 'ended'} before ${pattern} was printed:\n${text}`);
          await new Promise<void>((resolve) => (wake = resolve));
        }
      } finally {
        clearTimeout(timer);
      }
    },
    stop(signal) {
      if (over || child.pid === undefined) return;
      try {
        process.kill(-child.pid, signal);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    },
  };
}

/** The exit code, or a failure with all that was printed when the limit passes first. */
async function exitOf(running: Running, limit: number): Promise<number | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(() => resolve('late'), limit);
  });
  const code = await Promise.race([running.exited, late]);
  clearTimeout(timer);
  if (code === 'late') {
    running.stop('SIGKILL');
    assert.fail(`still running after ${limit} ms:\n${running.output()}`);
  }
  return code;
}

describe('a fresh clone', { skip: reason, timeout: 2 * installLimit + 4 * minute }, () => {
  let folder = '';
  const started: Running[] = [];
  const npmIn = (args: readonly string[], extra: Record<string, string> = {}): Running => {
    const running = npm(folder, args, extra);
    started.push(running);
    return running;
  };

  before(() => {
    const parent = mkdtempSync(join(tmpdir(), 'sluice-clone-'));
    folder = join(parent, 'sluice');
    // Without hard links: the clone must not depend on, or change, the objects of this checkout.
    const clone = spawnSync('git', ['clone', '--quiet', '--no-hardlinks', process.cwd(), folder], { encoding: 'utf8' });
    assert.equal(clone.status, 0, clone.stderr);
  });

  after(async () => {
    for (const running of started) running.stop('SIGKILL');
    await Promise.all(started.map((running) => running.exited));
    if (folder !== '') rmSync(join(folder, '..'), { recursive: true, force: true, maxRetries: 5 });
  });

  test('holds nothing that is made, and nothing that compiles at install', () => {
    const names = readdirSync(folder);
    for (const made of ['node_modules', 'dist', 'build', 'binding.gyp']) assert.ok(!names.includes(made), made);
    const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { allowScripts: Record<string, boolean> };
    const lock = JSON.parse(readFileSync(join(folder, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, { hasInstallScript?: boolean; resolved?: string }>;
    };
    for (const [path, entry] of Object.entries(lock.packages)) {
      const name = path.replace(/^.*node_modules\//, '');
      if (entry.hasInstallScript === true) assert.ok(name in manifest.allowScripts, `allowScripts must say whether ${name} may run its script`);
      assert.equal(entry.resolved, undefined, `${name}: the lock file names a registry`);
    }
  });

  test('is started by npm start, says what listens where, and answers there', { timeout: installLimit + minute }, async () => {
    const [http, bolt, admin] = await Promise.all([freePort(), freePort(), freePort()]);
    const at = (port: number): string => `127.0.0.1:${port}`;
    const running = npmIn(['start'], { HTTP: at(http), BOLT: at(bolt), ADMIN: at(admin) });
    for (const port of [http, bolt, admin]) await running.until(new RegExp(`127\\.0\\.0\\.1:${port}\\b`), installLimit);
    await running.until(/\bcurl\b/, minute);

    const reply = await fetch(`http://${at(http)}/`, { signal: AbortSignal.timeout(10_000) });
    assert.equal(reply.status, 200);
    await reply.arrayBuffer();

    // What is printed as a command is typed as it stands.
    const commands = running.output().split('\n').map((line) => line.trim().replace(/^\$ /, '')).filter((line) => /^(curl|npx|node) /.test(line));
    assert.ok(commands.length > 0, `no command was printed:\n${running.output()}`);
    const haveCurl = spawnSync('curl', ['--version']).status === 0;
    for (const command of commands) {
      if (command.startsWith('curl ') && !haveCurl) continue;
      const typed = spawnSync('sh', ['-c', command], { cwd: folder, env: shellEnvironment({}), encoding: 'utf8', timeout: 30_000 });
      assert.equal(typed.status, 0, `${command}\n${typed.stdout}${typed.stderr}`);
    }

    running.stop('SIGTERM');
    await exitOf(running, minute);
    await assert.rejects(fetch(`http://${at(http)}/`, { signal: AbortSignal.timeout(10_000) }), 'the proxy must be gone with npm');
  });

  test('has its command in the package', { timeout: minute }, async () => {
    const explain = npmIn(['exec', '--offline', '--', 'sluice', 'explain', 'no-route']);
    assert.equal(await exitOf(explain, minute), 0, explain.output());
    assert.match(explain.output(), /no route matches/);
  });

  test('is tested by npm test', { timeout: installLimit + 3 * minute }, async () => {
    // One small file: all of them run in this checkout already.
    const running = npmIn(['test', '--', 'test/layers.test'], { SLUICE_IN_CLONE: '1' });
    const code = await exitOf(running, installLimit + 2 * minute);
    assert.equal(code, 0, running.output());
    assert.match(running.output(), /^ℹ pass [1-9]\d*$/m);
    assert.match(running.output(), /^ℹ fail 0$/m);
  });
});

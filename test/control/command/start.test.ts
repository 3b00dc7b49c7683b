// `sluice start` with a server that is not there: order of things, signals, accidents and exit codes.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Admin, AdminOptions } from '../../../src/control/admin/server.js';
import { type Command, readArguments } from '../../../src/control/command/arguments.js';
import { type LaunchOptions, type Launched, start, type StartDeps } from '../../../src/control/command/start.js';
import type { AdminConfig } from '../../../src/control/model.js';
import { configureLog, log } from '../../../src/core/log.js';
import { FakeOperations } from '../fake-operations.js';
import { Captured } from './captured.js';

class FakeServer extends FakeOperations implements Launched {
  banner: readonly string[] = ['try this'];
  admin: AdminConfig = { enabled: true, address: { host: '127.0.0.1', port: 2050 }, hosts: ['a.example'] };
}

/** The process around the command. */
class World implements StartDeps {
  readonly server = new FakeServer();
  readonly handlers = new Map<string, (error: unknown) => void>();
  readonly events: string[] = [];
  readonly exits: number[] = [];
  launched: LaunchOptions | null = null;
  adminOptions: AdminOptions | null = null;
  launchError: Error | null = null;
  adminError: Error | null = null;
  beforeLaunch: () => void = () => {};
  readonly pid = 77;

  async launch(options: LaunchOptions): Promise<Launched> {
    this.events.push('launch');
    this.launched = options;
    this.beforeLaunch();
    if (this.launchError !== null) throw this.launchError;
    return this.server;
  }
  async admin(options: AdminOptions): Promise<Admin> {
    this.events.push('admin');
    this.adminOptions = options;
    if (this.adminError !== null) throw this.adminError;
    return { address: '127.0.0.1:2050', close: async () => {} };
  }
  on(event: string, handler: (error: unknown) => void): void {
    this.events.push(`on ${event}`);
    this.handlers.set(event, handler);
  }
  exit(code: number): void {
    this.exits.push(code);
  }
  async log() {
    return log;
  }
  raise(event: string, error?: unknown): void {
    this.handlers.get(event)!(error);
  }
}

async function run(world: World, ...words: string[]): Promise<{ code: number | null; to: Captured }> {
  const to = new Captured();
  const code = await start(readArguments(['start', ...words]) as Command, world, to);
  return { code, to };
}

/** Lines of the process log while `action` runs, with what it has others do a moment later. */
async function logged(action: () => void): Promise<string> {
  let lines = '';
  await configureLog({ to: { write: (line: string) => void (lines += line) } });
  action();
  await new Promise((resolve) => setImmediate(resolve));
  return lines;
}

describe('sluice start', () => {
  test('launches, starts the admin after that, and says what listens where', async () => {
    const world = new World();
    const { code, to } = await run(world, '-c', 'a.yaml', '--workers', '2', '--no-watch');
    assert.equal(code, null);
    assert.deepEqual(world.events.slice(-2), ['launch', 'admin']);
    assert.ok(world.events.indexOf('on SIGTERM') < world.events.indexOf('launch'));
    const { file, workers, watch } = world.launched!;
    assert.deepEqual([file, workers, watch], ['a.yaml', 2, false]);
    assert.deepEqual([world.adminOptions!.address, world.adminOptions!.hosts], [world.server.admin.address, ['a.example']]);
    assert.equal(to.errors, 'sluice 9.8.7 runs as process 77\n  http   http1  127.0.0.1:2045\n  admin  http   127.0.0.1:2050\ntry this\n');
    assert.equal(to.output, '', 'standard output belongs to the access log');
  });

  test('has no admin where the configuration wants none', async () => {
    const world = new World();
    world.server.admin = { ...world.server.admin, enabled: false };
    const { to } = await run(world, '-c', 'a.yaml', '--workers', 'auto');
    assert.ok(!world.events.includes('admin'));
    assert.deepEqual([world.launched!.workers, world.launched!.watch], [0, true]);
    assert.ok(!to.errors.includes('admin'));
  });

  test('ends with 2 without a configuration or with a wrong number of workers', async () => {
    for (const words of [[], ['-c', 'a', '--workers', 'two'], ['-c', 'a', '--workers', '-1'], ['-c', 'a', '--workers', '1.5'], ['-c', 'a', '--workers', '257']]) {
      const world = new World();
      assert.equal((await run(world, ...words)).code, 2, words.join(' '));
      assert.equal(world.launched, null);
    }
  });

  test('ends with 3 and the problems when the configuration is refused, else with 1', async () => {
    const world = new World();
    world.launchError = Object.assign(new Error('refused'), { problems: [{ file: '/abs/a.yaml', line: 1, col: 2, path: 'x', expected: 'unknown key', got: '', hint: '' }] });
    const refused = await run(world, '-c', 'a.yaml');
    assert.deepEqual([refused.code, refused.to.errors], [3, 'a.yaml:1:2: x: unknown key\nsluice: a.yaml is refused\n']);
    world.launchError = new Error('listener http: EADDRINUSE');
    const failed = await run(world, '-c', 'a.yaml');
    assert.deepEqual([failed.code, failed.to.errors], [1, 'sluice: listener http: EADDRINUSE\n']);
  });

  test('ends with 1 when the admin has no place to listen: another process would be asked in its stead', async () => {
    const world = new World();
    world.adminError = Object.assign(new Error('listen EADDRINUSE'), { code: 'EADDRINUSE' });
    const { code, to } = await run(world, '-c', 'a.yaml');
    assert.equal(code, null);
    assert.match(to.errors, /^sluice: the admin cannot listen on 127\.0\.0\.1:2050: another process has it/);
    assert.deepEqual(world.server.calls, ['stop 0']);
    world.launched!.onEnd(0);
    assert.deepEqual(world.exits, [1]);
  });

  test('drains at the first signal to end and cuts at the second', async () => {
    for (const signal of ['SIGTERM', 'SIGINT']) {
      const world = new World();
      await run(world, '-c', 'a.yaml');
      world.raise(signal);
      assert.deepEqual([world.server.calls, world.exits], [['drain'], []]);
      world.raise('SIGINT');
      assert.deepEqual(world.server.calls, ['drain', 'stop 0']);
      world.launched!.onEnd(0);
      assert.deepEqual(world.exits, [0]);
    }
  });

  test('ends at once when told to before anything listens', async () => {
    const world = new World();
    world.beforeLaunch = () => world.raise('SIGTERM');
    await run(world, '-c', 'a.yaml');
    assert.deepEqual(world.exits, [0]);
  });

  test('reads the configuration again at SIGHUP, and takes SIGUSR2 with a word', async () => {
    const world = new World();
    await run(world, '-c', 'a.yaml');
    world.raise('SIGHUP');
    assert.deepEqual(world.server.calls, ['reload']);
    assert.match(await logged(() => world.raise('SIGUSR2')), /warn .*upgrading without a gap comes later/);
    assert.deepEqual(world.server.calls, ['reload']);
  });

  test('outlives a promise that nobody waited for', async () => {
    const world = new World();
    await run(world, '-c', 'a.yaml');
    const lines = await logged(() => world.raise('unhandledRejection', new Error('forgotten')));
    assert.match(lines, /error .*nobody listened .*forgotten.*start\.test/s);
    assert.deepEqual([world.server.calls, world.exits], [[], []]);
  });

  test('lets what runs finish after an exception, and ends with 1', async () => {
    const world = new World();
    await run(world, '-c', 'a.yaml');
    const lines = await logged(() => world.raise('uncaughtException', new Error('oops')));
    assert.match(lines, /error .*the main thread failed.*oops/s);
    assert.deepEqual(world.server.calls, ['stop 5000']);
    world.launched!.onEnd(0);
    assert.deepEqual(world.exits, [1]);
    const early = new World();
    early.beforeLaunch = () => early.raise('uncaughtException', new Error('oops'));
    await logged(() => void run(early, '-c', 'a.yaml'));
    for (let i = 0; early.exits.length === 0 && i < 1000; i++) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(early.exits[0], 1);
  });
});

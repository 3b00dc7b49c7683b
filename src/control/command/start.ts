// `sluice start`: launches the server, then its admin, says what listens where, and turns signals and accidents into drains and reloads.
import { formatProblems, type Problem } from '../../core/config/problem.js';
import { showAddress } from '../../core/config/schema.js';
import type { Log } from '../../core/log.js';
import type { Admin, AdminOptions } from '../admin/server.js';
import type { AdminConfig } from '../model.js';
import type { Operations } from '../operations.js';
import type { Command } from './arguments.js';
import { FAILED, MISUSED, REFUSED, type Surroundings } from './output.js';

/** Time that exchanges get after an accident in the main thread, ms. */
const ACCIDENT_DRAIN_MS = 5000;

export interface LaunchOptions {
  readonly file: string;
  /** 0 for one per processor; undefined for what the configuration says. */
  readonly workers: number | undefined;
  readonly watch: boolean;
  /** The server has ended, after a drain or a stop. */
  readonly onEnd: (code: number) => void;
}

/** A server whose listeners accept. */
export interface Launched extends Operations {
  readonly banner: readonly string[];
  readonly admin: AdminConfig;
}

export interface StartDeps {
  /** Rejects with an error that has `problems` when the configuration was refused. */
  launch(options: LaunchOptions): Promise<Launched>;
  admin(options: AdminOptions): Promise<Admin>;
  on(event: 'SIGTERM' | 'SIGINT' | 'SIGHUP' | 'SIGUSR2', handler: () => void): void;
  on(event: 'uncaughtException' | 'unhandledRejection', handler: (error: unknown) => void): void;
  /** Ends the process. */
  exit(code: number): void;
  log(): Promise<Log>;
  readonly pid: number;
}

/** Resolves with an exit code when nothing runs, or with null when the server runs and the process goes on. */
export async function start({ options }: Command, deps: StartDeps, to: Surroundings): Promise<number | null> {
  const file = options['config'];
  if (typeof file !== 'string') {
    to.err('sluice start: -c FILE says which configuration\n');
    return MISUSED;
  }
  const workers = options['workers'] === undefined ? undefined : options['workers'] === 'auto' ? 0 : Number(options['workers']);
  if (workers !== undefined && !(Number.isInteger(workers) && workers >= 0 && workers <= 256)) {
    to.err(`sluice start: --workers is auto or a number from 1 to 256, not ${String(options['workers'])}\n`);
    return MISUSED;
  }
  const life = new Life(deps);
  life.attend();
  let launched: Launched;
  try {
    launched = await deps.launch({ file, workers, watch: options['no-watch'] !== true, onEnd: (code) => life.ended(code) });
  } catch (error) {
    const { problems } = error as { problems?: readonly Problem[] };
    if (problems === undefined) {
      to.err(`sluice: ${error instanceof Error ? error.message : String(error)}\n`);
      return FAILED;
    }
    to.err(formatProblems(problems.map((problem) => ({ ...problem, file }))));
    to.err(`sluice: ${file} is refused\n`);
    return REFUSED;
  }
  const log = await deps.log();
  const admin = await life.serve(launched, log);
  if (admin instanceof Error) {
    const where = showAddress(launched.admin.address);
    const taken = (admin as NodeJS.ErrnoException).code === 'EADDRINUSE' ? 'another process has it; `admin` in the configuration sets another, or `admin: false`' : admin.message;
    to.err(`sluice: the admin cannot listen on ${where}: ${taken}\n`);
    life.fail();
    await launched.stop(0);
    return null;
  }
  to.err(await greeting(launched, admin, deps.pid));
  return null;
}

/** What listens where, and what the configuration has to say. */
async function greeting(launched: Launched, admin: Admin | null, pid: number): Promise<string> {
  const listeners = await launched.listeners();
  const rows = listeners.map(({ name, protocol, address }) => [name, protocol, address]);
  if (admin !== null) rows.push(['admin', 'http', admin.address]);
  const widths = [0, 1].map((i) => Math.max(0, ...rows.map((row) => row[i]!.length)));
  const list = rows.map(([name, protocol, address]) => `  ${name!.padEnd(widths[0]!)}  ${protocol!.padEnd(widths[1]!)}  ${address}\n`).join('');
  return `sluice ${launched.version} runs as process ${pid}\n${list}${launched.banner.map((line) => `${line}\n`).join('')}`;
}

/** The process as a whole: from the first signal handler to the exit. */
class Life {
  private readonly deps: StartDeps;
  private launched: Launched | null = null;
  private log: Log | null = null;
  private asked = 0;
  private code = 0;

  constructor(deps: StartDeps) {
    this.deps = deps;
  }

  attend(): void {
    const { deps } = this;
    for (const signal of ['SIGTERM', 'SIGINT'] as const) deps.on(signal, () => this.terminate());
    deps.on('SIGHUP', () => void this.launched?.reload());
    deps.on('SIGUSR2', () => this.log?.warn('SIGUSR2: upgrading without a gap comes later; nothing was done'));
    // A promise that nobody waited for has interrupted nothing.
    deps.on('unhandledRejection', (error) => void this.tell('a promise was rejected and nobody listened', error));
    // An exception has: some callback of the main thread is half done. Workers carry the traffic and are told to finish.
    deps.on('uncaughtException', (error) => void this.accident(error));
  }

  /** Starts the admin and, from then on, obeys signals. */
  async serve(launched: Launched, log: Log): Promise<Admin | Error | null> {
    this.launched = launched;
    this.log = log;
    if (this.asked > 0) await launched.drain();
    if (!launched.admin.enabled) return null;
    try {
      return await this.deps.admin({ operations: launched, address: launched.admin.address, hosts: launched.admin.hosts, log: log.child('admin') });
    } catch (error) {
      return error as Error;
    }
  }

  /** The exit will be one of failure. */
  fail(): void {
    this.code = FAILED;
  }

  ended(code: number): void {
    this.deps.exit(Math.max(code, this.code));
  }

  private terminate(): void {
    this.asked++;
    const { launched } = this;
    // Before anything listens there is nothing to finish.
    if (launched === null) this.deps.exit(0);
    else if (this.asked === 1) void launched.drain();
    else void launched.stop(0);
  }

  private async tell(what: string, error: unknown): Promise<void> {
    const log = this.log ?? (await this.deps.log());
    log.error({ err: error instanceof Error ? error : new Error(String(error)), stack: error instanceof Error ? error.stack : undefined }, what);
  }

  private async accident(error: unknown): Promise<void> {
    this.fail();
    await this.tell('the main thread failed; what runs may finish, then the process ends', error);
    if (this.launched === null) this.deps.exit(FAILED);
    else await this.launched.stop(ACCIDENT_DRAIN_MS);
  }
}

// What is measured: nothing between (direct), Sluice, a peer, or any command given on the command line.
import { existsSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { freePort, type Site, type Started, waitForPort } from './site.js';

export type Mode = 'http' | 'http2' | 'tcp' | 'dubbo';

export interface SubjectOptions {
  readonly site: Site;
  readonly mode: Mode;
  /** Ports of the backends on 127.0.0.1. */
  readonly upstreams: readonly number[];
  /** False: forwarding only, no access log. */
  readonly log: boolean;
  /** Write the log to /dev/null instead of a file in memory: for long runs. */
  readonly discardLog?: boolean;
}

/** A running subject. */
export interface Subject {
  readonly name: string;
  /** Where the load goes. */
  readonly port: number;
  /** From exec to the first accepted connection; 0 for `direct`. */
  readonly startMs: number;
  /** Processes whose CPU time and memory count; empty for `direct`. */
  pids(): number[];
  /** Empties what it has logged so far, so that a long run does not fill memory. */
  truncateLog(): void;
  stop(): Promise<void>;
}

/** A kind of subject; `find` says what keeps it from running here. */
export interface SubjectKind {
  readonly name: string;
  /** The version found, or why it is absent. Installs what it can if `install` is set. */
  find(install: boolean): Promise<{ version: string } | { absent: string }>;
  start(options: SubjectOptions): Promise<Subject>;
}

export const START_LIMIT_MS = 10_000;

/** A subject that is one process group listening on one port. */
export class ProcessSubject implements Subject {
  readonly name: string;
  readonly port: number;
  readonly startMs: number;
  readonly started: Started;
  readonly #log: string | undefined;

  constructor(started: Started, port: number, log?: string) {
    this.name = started.name;
    this.port = port;
    // Made as soon as the port accepts.
    this.startMs = performance.now() - started.began;
    this.started = started;
    this.#log = log;
  }

  /** Read anew each time: nginx accepts before its worker has been forked. */
  pids(): number[] {
    return this.started.pids();
  }

  truncateLog(): void {
    if (this.#log !== undefined && this.#log !== '/dev/null' && existsSync(this.#log)) truncateSync(this.#log);
  }

  stop(): Promise<void> {
    return this.started.stop();
  }
}

/** Where a subject logs to. */
export const logFile = (site: Site, name: string, port: number, discard: boolean | undefined): string =>
  discard ? '/dev/null' : join(site.dir, `${name}-${port}.log`);

export const direct: SubjectKind = {
  name: 'direct',
  find: async () => ({ version: 'no proxy' }),
  start: async ({ upstreams }) => ({
    name: 'direct',
    port: upstreams[0]!,
    startMs: 0,
    pids: () => [],
    truncateLog: () => {},
    stop: async () => {},
  }),
};

export interface SluiceOptions {
  /** Path of the example config. */
  readonly config: string;
  readonly workers: number;
  /** The Node binary to run it with. */
  readonly node: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Not pinned to the proxy's core. */
  readonly anyCore?: boolean;
}

const BUNDLE = 'dist/sluice.js';

/** Sluice with one of its own example configs, whose addresses come from the environment. */
export function sluice({ config, workers, node, env, anyCore }: SluiceOptions): SubjectKind {
  return {
    name: 'sluice',
    async find() {
      if (!existsSync(BUNDLE)) return { absent: `${BUNDLE} is not built` };
      return existsSync(config) ? { version: 'this checkout' } : { absent: `${config} is missing` };
    },
    async start({ site, upstreams, discardLog }) {
      const port = await freePort();
      const log = logFile(site, 'sluice', port, discardLog);
      const started = site.start('sluice', [node, BUNDLE, 'start', '-c', config, '--workers', String(workers)], {
        core: anyCore ? 'any' : site.proxyCore,
        stdout: log,
        env: {
          LISTEN: `127.0.0.1:${port}`,
          UPSTREAM: upstreams.map((upstream) => `127.0.0.1:${upstream}`).join(','),
          ADMIN: `127.0.0.1:${await freePort()}`,
          ...env,
        },
      });
      await waitForPort(started, port, START_LIMIT_MS);
      return new ProcessSubject(started, port, log);
    },
  };
}

/** Any program as the proxy: LP and UP in its command line become the port to listen on and the backend's. */
export function command(name: string, line: string, anyCore = false): SubjectKind {
  return {
    name,
    find: async () => ({ version: line }),
    async start({ site, upstreams }) {
      const port = await freePort();
      const words = line.split(/\s+/).map((word) => word.replace(/\bLP\b/g, String(port)).replace(/\bUP\b/g, String(upstreams[0])));
      const started = site.start(name, words, { core: anyCore ? 'any' : site.proxyCore });
      await waitForPort(started, port, START_LIMIT_MS);
      return new ProcessSubject(started, port);
    },
  };
}

/** Sluice, or the program that stands in for it. */
export const own = (line: string | undefined, options: SluiceOptions): SubjectKind => (line === undefined ? sluice(options) : command('command', line, options.anyCore));

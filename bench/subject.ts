// What is measured: nothing between (direct), Sluice, a peer, or any command given on the command line.
import { existsSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { freePort, type Site, type Started, waitForPort } from './site.js';

export type Mode = 'http' | 'tcp';

export interface SubjectOptions {
  readonly site: Site;
  readonly mode: Mode;
  /** Ports of the backends on 127.0.0.1. */
  readonly upstreams: readonly number[];
  /** False: forwarding only, no access log. */
  readonly log: boolean;
}

/** A running subject. */
export interface Subject {
  readonly name: string;
  /** Where the load goes. */
  readonly port: number;
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
  readonly started: Started;
  readonly #log: string | undefined;

  constructor(started: Started, port: number, log?: string) {
    this.name = started.name;
    this.port = port;
    this.started = started;
    this.#log = log;
  }

  /** Read anew each time: nginx accepts before its worker has been forked. */
  pids(): number[] {
    return this.started.pids();
  }

  truncateLog(): void {
    if (this.#log !== undefined && existsSync(this.#log)) truncateSync(this.#log);
  }

  stop(): Promise<void> {
    return this.started.stop();
  }
}

export const direct: SubjectKind = {
  name: 'direct',
  find: async () => ({ version: 'no proxy' }),
  start: async ({ upstreams }) => ({
    name: 'direct',
    port: upstreams[0]!,
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
  /** Discard the log instead of keeping it in memory: for long runs. */
  readonly discardLog?: boolean;
  readonly env?: Readonly<Record<string, string>>;
}

const BUNDLE = 'dist/sluice.js';

/** Sluice with one of its own example configs, whose addresses come from the environment. */
export function sluice({ config, workers, node, discardLog, env }: SluiceOptions): SubjectKind {
  return {
    name: 'sluice',
    async find() {
      if (!existsSync(BUNDLE)) return { absent: `${BUNDLE} is not built` };
      return existsSync(config) ? { version: 'this checkout' } : { absent: `${config} is missing` };
    },
    async start({ site, upstreams }) {
      const port = await freePort();
      const log = discardLog ? '/dev/null' : join(site.dir, `sluice-${port}.log`);
      const started = site.start('sluice', [node, BUNDLE, 'start', '-c', config, '--workers', String(workers)], {
        core: site.proxyCore,
        stdout: log,
        env: {
          LISTEN: `127.0.0.1:${port}`,
          UPSTREAM: upstreams.map((upstream) => `127.0.0.1:${upstream}`).join(','),
          ADMIN: `127.0.0.1:${await freePort()}`,
          ...env,
        },
      });
      await waitForPort(started, port, START_LIMIT_MS);
      return new ProcessSubject(started, port, discardLog ? undefined : log);
    },
  };
}

/** Any program as the proxy: LP and UP in its command line become the port to listen on and the backend's. */
export function command(name: string, line: string): SubjectKind {
  return {
    name,
    find: async () => ({ version: line }),
    async start({ site, upstreams }) {
      const port = await freePort();
      const words = line.split(/\s+/).map((word) => word.replace(/\bLP\b/g, String(port)).replace(/\bUP\b/g, String(upstreams[0])));
      const started = site.start(name, words, { core: site.proxyCore });
      await waitForPort(started, port, START_LIMIT_MS);
      return new ProcessSubject(started, port);
    },
  };
}

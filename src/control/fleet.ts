// The workers as the main thread sees them: started, configured, watched, replaced when one dies or stands still, drained and stopped.
import { randomBytes } from 'node:crypto';
import type { Worker } from 'node:worker_threads';
import { clock, now } from '../core/clock.js';
import type { SharedLevels } from '../core/levels.js';
import type { Log } from '../core/log.js';
import type { StatsView } from '../core/stats.js';
import type { Packed } from '../stream/trace/traced-exchange.js';
import type { FromWorker, ToWorker, Version, WorkerAnswer } from './messages.js';
import type { ListenerState, WorkerState } from './operations.js';
import { startThread } from './worker-thread.js';

/** How often workers are looked at, ms, and how many looks without a tick mean that one stands still. */
const LOOK_MS = 500;
const STILL_LOOKS = 4;
/** The same for one that is loading its code and building its first configuration, which a slow machine may take long for. */
const STILL_STARTING_LOOKS = 40;
/** How long a worker may take to build a configuration before it is not waited for any more, ms. */
const BUILD_MS = 15_000;
/** A worker that dies again within this time is started again only after it, ms. */
const REST_MS = 2000;
/** How long an answer may take before it is left out, ms. */
const ANSWER_MS = 1000;

export interface FleetDeps {
  /** The compiled worker.ts. */
  readonly script: URL;
  readonly view: StatsView;
  readonly log: Log;
  /** The configuration in force, for a worker that takes the place of one that died. */
  readonly current: () => Version;
  /** Exchanges that a worker recorded for traces. */
  readonly onSpans?: (batch: Packed) => void;
}

interface Member {
  readonly self: number;
  thread: Worker;
  /** Name of this thread's series; a worker that takes its place has another. */
  series: string;
  state: WorkerState['state'];
  version: number;
  listeners: readonly ListenerState[];
  /** What of its version it could not build. */
  problems: readonly string[];
  lastTick: number;
  looks: number;
  startedAt: number;
  /** Called when the worker has built a version. */
  built: (() => void) | null;
  drained: (() => void) | null;
  ended: (() => void) | null;
}

export class Fleet {
  private readonly deps: FleetDeps;
  private readonly members: Member[] = [];
  private readonly answers = new Map<number, (answer: WorkerAnswer | null) => void>();
  private ready: Worker | null = null;
  private levels: SharedLevels | null = null;
  private readonly ticks = new Int32Array(new SharedArrayBuffer(4 * 1024));
  private readonly gate = new SharedArrayBuffer(4);
  private nextAnswer = 1;
  private generation = 0;
  private looking: unknown = null;
  private draining = false;
  private stopping = false;
  private count = 0;
  private idPrefix = '';
  private readonly ticketSecret = randomBytes(48);

  constructor(deps: FleetDeps) {
    this.deps = deps;
  }

  /** Starts one thread ahead of the configuration, so that it loads its code while the main thread reads the file; or takes one that was started. */
  prepare(ahead?: Worker): void {
    this.ready ??= ahead ?? this.spawn();
    this.ready.ref();
  }

  private spawn(): Worker {
    return startThread(this.deps.script);
  }

  /** Starts `count` workers that count in these levels (writers 1 to `count`); they carry nothing until `configure`. */
  start(count: number, levels: SharedLevels): void {
    this.levels = levels;
    this.count = count;
    this.idPrefix = randomBytes(5).toString('hex');
    for (let self = 1; self <= count; self++) {
      const thread = this.ready ?? this.spawn();
      this.ready = null;
      const member: Member = {
        self, thread, series: '', state: 'starting', version: 0, listeners: [], problems: [], lastTick: -1, looks: 0, startedAt: now(),
        built: null, drained: null, ended: null,
      };
      this.members.push(member);
      this.begin(member);
    }
    this.look();
  }

  private begin(member: Member): void {
    const thread = member.thread;
    member.series = `worker ${member.self}.${++this.generation}`;
    member.startedAt = now();
    member.looks = 0;
    thread.on('message', (message: FromWorker) => this.hear(member, message));
    thread.on('error', (error: Error) => this.deps.log.error({ worker: member.self, err: error }, 'a worker failed'));
    thread.on('exit', (code) => this.gone(member, thread, code));
    const start: ToWorker = {
      type: 'start',
      start: {
        self: member.self,
        workers: this.count,
        levels: this.levels!.share(),
        ticks: this.ticks.buffer as SharedArrayBuffer,
        gate: this.gate,
        ticketSecret: this.ticketSecret,
        idPrefix: `${this.idPrefix}${member.self.toString(36)}${this.generation.toString(36)}-`,
      },
    };
    thread.postMessage(start);
  }

  private hear(member: Member, message: FromWorker): void {
    if (message.type === 'stats') this.deps.view.attach(member.series, message.update);
    else if (message.type === 'built') {
      member.version = message.version;
      member.listeners = message.listeners;
      member.problems = message.problems;
      if (member.state === 'starting') {
        member.state = 'running';
        // What passed while it loaded its code is not held against it: its first tick may come half a second after this.
        member.looks = 0;
      }
      if (member.built !== null) member.built();
      else for (const problem of message.problems) this.deps.log.error({ worker: member.self }, problem);
    } else if (message.type === 'listeners') {
      member.listeners = message.listeners;
    } else if (message.type === 'spans') {
      this.deps.onSpans?.(message.batch);
      member.thread.postMessage({ type: 'spans-taken' } satisfies ToWorker);
    } else if (message.type === 'drained') {
      member.drained?.();
    } else if (message.type === 'stopped') {
      member.state = 'gone';
      member.ended?.();
    } else {
      this.answers.get(message.id)?.(message.answer);
      this.answers.delete(message.id);
    }
  }

  /** A thread ended: what it counted stays, what it held is given back, and, unless that was wanted, another takes its place. */
  private gone(member: Member, thread: Worker, code: number): void {
    if (member.thread !== thread) return;
    this.deps.view.detach(member.series);
    this.levels!.zeroWriter(member.self);
    Atomics.compareExchange(new Int32Array(this.gate), 0, member.self, 0);
    member.ended?.();
    const lived = now() - member.startedAt;
    if (this.stopping || this.draining) {
      if (!this.stopping) this.deps.log.error({ worker: member.self, code, livedMs: Math.round(lived) }, 'a worker ended while it drained');
      member.state = 'gone';
      member.built?.();
      member.drained?.();
      return;
    }
    this.deps.log.error({ worker: member.self, code, livedMs: Math.round(lived) }, 'a worker ended; another takes its place, only its connections are lost');
    member.state = 'starting';
    member.version = 0;
    member.listeners = member.listeners.map((listener) => ({ ...listener, state: 'starting', connections: 0 }));
    const again = (): void => {
      if (this.stopping) return;
      if (this.draining) {
        member.state = 'gone';
        member.drained?.();
        return;
      }
      member.thread = this.spawn();
      this.begin(member);
      member.thread.postMessage({ type: 'config', version: this.deps.current() } satisfies ToWorker);
    };
    if (lived < REST_MS) clock.setTimeout(again, REST_MS);
    else again();
  }

  private look(): void {
    this.looking = clock.setTimeout(() => {
      for (const member of this.members) {
        const tick = this.ticks[member.self - 1]!;
        if (member.state === 'gone' || tick !== member.lastTick) {
          member.looks = 0;
          member.lastTick = tick;
        } else if (++member.looks > (member.state === 'starting' ? STILL_STARTING_LOOKS : STILL_LOOKS)) {
          this.deps.log.error({ worker: member.self }, 'a worker stands still and is ended');
          member.looks = 0;
          void member.thread.terminate();
        }
      }
      if (!this.stopping) this.look();
    }, LOOK_MS);
    (this.looking as { unref?: () => void }).unref?.();
  }

  /** Posts to every worker. */
  post(message: ToWorker): void {
    for (const member of this.members) if (member.state !== 'gone') member.thread.postMessage(message);
  }

  /** Has every worker build a version; resolves once all have built it, or died, or taken too long. What went wrong is in `problems`. */
  async configure(version: Version): Promise<void> {
    await Promise.all(
      this.members.map((member) => new Promise<void>((resolve) => {
        const done = (): void => {
          clock.clearTimeout(late);
          if (member.built === heard) member.built = null;
          resolve();
        };
        const late = clock.setTimeout(() => {
          member.problems = [`worker ${member.self} has not built version ${version.version} within ${BUILD_MS} ms`];
          done();
        }, BUILD_MS);
        const heard = (): void => {
          if (member.version >= version.version || member.state === 'gone') done();
        };
        member.built = heard;
        member.thread.postMessage({ type: 'config', version } satisfies ToWorker);
      })),
    );
  }

  /** What the workers could not build of the version that they run. */
  get problems(): string[] {
    return [...new Set(this.members.flatMap((member) => member.problems))];
  }

  /** What the workers hold now; one that does not answer in time is left out. */
  async ask(limit: number): Promise<WorkerAnswer[]> {
    const answers = await Promise.all(
      this.members.filter((m) => m.state === 'running' || m.state === 'draining').map((member) => new Promise<WorkerAnswer | null>((resolve) => {
        const id = this.nextAnswer++;
        const late = clock.setTimeout(() => {
          this.answers.delete(id);
          resolve(null);
        }, ANSWER_MS);
        this.answers.set(id, (answer) => {
          clock.clearTimeout(late);
          resolve(answer);
        });
        member.thread.postMessage({ type: 'ask', id, limit } satisfies ToWorker);
      })),
    );
    return answers.filter((answer) => answer !== null);
  }

  /** The lowest version that is in force in every worker. */
  get running(): number {
    return this.members.length === 0 ? 0 : Math.min(...this.members.map((m) => m.version));
  }

  /** Listeners as the workers last told; one that any of them failed to open is shown as that worker has it. */
  get listeners(): readonly ListenerState[] {
    const merged = new Map<string, ListenerState>();
    for (const { listeners } of this.members) {
      for (const one of listeners) if (!merged.has(one.name) || one.state === 'failed') merged.set(one.name, one);
    }
    return [...merged.values()];
  }

  states(): WorkerState[] {
    return this.members.map((m) => ({ id: m.self, state: m.state, version: m.version, heapUsed: 0, connections: 0 }));
  }

  /** Resolves when nothing runs in any worker. One that dies meanwhile is not replaced. */
  async drain(): Promise<void> {
    this.draining = true;
    await Promise.all(this.members.map((member) => {
      if (member.state === 'gone') return Promise.resolve();
      member.state = 'draining';
      return new Promise<void>((resolve) => {
        member.drained = resolve;
        member.thread.postMessage({ type: 'drain' } satisfies ToWorker);
      });
    }));
  }

  /** Ends every worker: what runs is cut, logs are written; one that does not end within `patience` ms is terminated. */
  async stop(patience = 3000): Promise<void> {
    this.stopping = true;
    if (this.looking !== null) clock.clearTimeout(this.looking);
    if (this.ready !== null) await this.ready.terminate();
    await Promise.all(this.members.map(async (member) => {
      if (member.state === 'gone') return;
      const ended = new Promise<void>((resolve) => {
        member.ended = resolve;
      });
      member.thread.postMessage({ type: 'stop' } satisfies ToWorker);
      let handle: unknown;
      const late = new Promise<void>((resolve) => {
        handle = clock.setTimeout(resolve, patience);
      });
      await Promise.race([ended, late]);
      clock.clearTimeout(handle);
      await member.thread.terminate();
    }));
  }
}

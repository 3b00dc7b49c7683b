// The active health check of one host of one cluster: when to ask, what an answer means, and what state follows from the answers.
import { clock, now } from '../../core/clock.js';
import { Deadline, type DeadlineOwner } from '../../core/deadline.js';
import { random } from '../../core/random.js';
import type { SluiceError } from '../../core/reason.js';
import type { Connection, Reader } from '../connection.js';
import type { HealthCheckConfig } from './health-config.js';
import { PROBE_MORE, PROBE_UP, type Probe } from './probe.js';

/** Most bytes of an answer that are gathered for a probe. */
const MAX_ANSWER = 256 * 1024;

const NEXT = 0;
const LIMIT = 1;

/** What a check needs of its surroundings. */
export interface HealthContext {
  readonly config: HealthCheckConfig;
  /** Opens a connection to the host; with TLS where the cluster has it. */
  connect(reader: Reader): Connection;
  /** A probe for the next check; null where an open connection is answer enough. */
  probe(): Probe | null;
  /** A check ended. */
  counted(up: boolean): void;
  /** The host became healthy or unhealthy. `first` on the verdict of its first check. */
  changed(healthy: boolean, cause: string, first: boolean): void;
}

/** The state of a host's check for the admin; plain data. */
export interface HostHealthState {
  readonly healthy: boolean;
  /** False until the first check has ended. */
  readonly checked: boolean;
  /** Why the last failed check failed, '' while none has. */
  readonly cause: string;
  /** Results in a row that contradict the state. */
  readonly contrary: number;
  /** Epoch ms of the last change and of the end of the last check; 0 for never. */
  readonly changedAt: number;
  readonly checkedAt: number;
  /** How long the last check took, ms. */
  readonly took: number;
}

/**
 * States: healthy or unhealthy, from the first result on decided by results in a row against the state. While results contradict it and
 * the threshold is not reached, the next check comes after `retry_interval`; otherwise after `interval`.
 */
export class HostHealth implements Reader, DeadlineOwner {
  healthy: boolean;
  private checked = false;
  private contrary = 0;
  private cause = '';
  private changedAt = 0;
  private checkedAt = 0;
  private took = 0;
  private startedAt = 0;
  private running = false;
  private closed = false;
  private connection: Connection | null = null;
  private current: Probe | null = null;
  private readonly context: HealthContext;
  private readonly next: Deadline;
  private readonly limit: Deadline;

  /** The first check comes after `delay` ms. `healthy` is what the host counts as until then. */
  constructor(context: HealthContext, healthy: boolean, delay: number) {
    this.context = context;
    this.healthy = healthy;
    this.next = new Deadline(this, NEXT);
    this.limit = new Deadline(this, LIMIT);
    this.next.set(delay);
  }

  get state(): HostHealthState {
    const { healthy, checked, cause, contrary, changedAt, checkedAt, took } = this;
    return { healthy, checked, cause, contrary, changedAt, checkedAt, took };
  }

  close(): void {
    this.closed = true;
    this.running = false;
    this.next.cancel();
    this.limit.cancel();
    this.drop();
  }

  onDeadline(kind: number): void {
    if (kind === NEXT) this.check();
    else this.finish(false, `no answer within ${this.context.config.timeout} ms`);
  }

  private check(): void {
    this.running = true;
    this.startedAt = now();
    this.limit.set(this.context.config.timeout);
    if (this.connection === null) this.connection = this.context.connect(this);
    else this.ask(this.connection);
  }

  private ask(connection: Connection): void {
    this.current = this.context.probe();
    if (this.current === null) this.finish(true, '');
    else this.current.ask(connection);
  }

  private finish(up: boolean, cause: string): void {
    const { config } = this.context;
    this.running = false;
    this.current = null;
    this.limit.cancel();
    this.took = now() - this.startedAt;
    this.checkedAt = clock.wall();
    if (!up) this.cause = cause;
    if (!up || !config.keep_connection || this.connection?.peerEnded === true) this.drop();
    const first = !this.checked;
    this.checked = true;
    this.contrary = up === this.healthy ? 0 : this.contrary + 1;
    const change = this.contrary > 0 && (first || this.contrary >= (up ? config.healthy_threshold : config.unhealthy_threshold));
    if (change) {
      this.healthy = up;
      this.contrary = 0;
      this.changedAt = this.checkedAt;
    }
    const pause = this.contrary > 0 ? Math.min(config.retry_interval, config.interval) : config.interval;
    this.next.set(pause * (1 + (random() - 0.5) * 2 * (config.jitter / 100)));
    this.context.counted(up);
    if (change) this.context.changed(up, cause, first);
  }

  /** Closes the connection without hearing of it again. */
  private drop(): void {
    const connection = this.connection;
    this.connection = null;
    connection?.close();
  }

  // === of the connection

  onOpen(connection: Connection): void {
    if (connection === this.connection && this.running) this.ask(connection);
  }

  onBytes(connection: Connection, buf: Uint8Array, start: number, end: number): number {
    if (connection !== this.connection) return end - start;
    if (this.current === null) {
      // Nobody asked: what comes now would be taken for the next answer.
      if (!this.running) this.drop();
      return end - start;
    }
    const verdict = this.current.judge(buf, start, end);
    if (verdict === PROBE_MORE) {
      if (end - start <= MAX_ANSWER) return 0;
      this.finish(false, `an answer of more than ${MAX_ANSWER} bytes`);
    } else {
      this.finish(verdict === PROBE_UP, this.current.cause);
    }
    return end - start;
  }

  onEnd(connection: Connection): void {
    if (connection !== this.connection) return;
    if (this.running) this.finish(false, 'the host closed the connection before it answered');
    else this.drop();
  }

  onDrain(): void {}

  onClose(connection: Connection, error: SluiceError | null): void {
    if (connection !== this.connection || this.closed) return;
    this.connection = null;
    if (this.running) this.finish(false, error === null ? 'the host closed the connection before it answered' : error.message);
  }
}

// Heartbeats of one upstream connection: silence for `interval` asks the host, a missed answer asks again at once, `misses` in a row give it up.
import { Deadline, type DeadlineOwner } from '../core/deadline.js';
import { OPEN } from '../network/connection.js';
import type { Session } from './session.js';

export interface HeartbeatRule {
  /** ms without a byte from the host; 0 turns heartbeats off. */
  readonly interval: number;
  /** ms that the host has to answer. */
  readonly timeout: number;
  readonly misses: number;
}

export class Heartbeat implements DeadlineOwner {
  private readonly session: Session;
  private readonly rule: HeartbeatRule;
  private readonly deadline: Deadline;
  /** Reads of the connection when it was looked at last: any byte is a sign of life. */
  private reads = 0;
  private missed = 0;
  private waiting = false;

  constructor(session: Session, rule: HeartbeatRule) {
    this.session = session;
    this.rule = rule;
    this.deadline = new Deadline(this, 0);
    this.deadline.set(rule.interval);
  }

  answered(): void {
    this.waiting = false;
    this.missed = 0;
  }

  cancel(): void {
    this.deadline.cancel();
  }

  onDeadline(): void {
    const { interval, timeout, misses } = this.rule;
    const session = this.session;
    const connection = session.connection;
    const reads = connection.reads;
    if (this.waiting && reads === this.reads) {
      if (++this.missed >= misses) {
        session.failAll('heartbeat-missed', true);
        return;
      }
    } else if (reads !== this.reads) {
      this.missed = 0;
      this.waiting = false;
      this.reads = reads;
      this.deadline.set(interval);
      return;
    }
    this.reads = reads;
    if (connection.state === OPEN && session.codec.encodePing(connection, (session.uses % 0x7ffffffe) + 1)) {
      this.waiting = true;
      this.deadline.set(timeout);
    } else {
      this.deadline.set(interval);
    }
  }
}

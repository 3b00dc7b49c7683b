// Many exchanges on few connections (Bolt): ids tell replies apart; what is too long to interleave gets a connection of its own.
import { Deadline, type DeadlineOwner } from '../../core/deadline.js';
import type { Exchange } from '../exchange.js';
import { MAX_IN_FLIGHT } from '../id-table.js';
import type { Session } from '../session.js';
import { MessagePool } from './pool.js';

/** How long the other exchanges of a connection have when one receiver blocks it, ms. */
export const QUARANTINE_MS = 1000;

export class MultiplexPool extends MessagePool {
  private readonly shared: Session[] = [];
  private readonly alone: Session[] = [];
  private turn = 0;

  acquire(exchange: Exchange, alone: boolean): Session | null {
    if (alone) {
      const free = this.alone.pop();
      if (free !== undefined) {
        free.poolIndex = -1;
        return free;
      }
      const fresh = this.dial();
      if (fresh === null) this.refusal = this.owner.wait(exchange) ? 'pool-timeout' : 'breaker-pending';
      else fresh.alone = true;
      return fresh;
    }
    const list = this.shared;
    const most = this.owner.connectionsPerHost;
    if (list.length > 0) {
      if (++this.turn >= list.length) this.turn = 0;
      const session = list[this.turn]!;
      if (session.outgoingCount < MAX_IN_FLIGHT && (list.length >= most || session.outgoingCount === 0)) {
        if (session.opened || session.outgoingCount < this.cluster.breaker.limits.max_pending) return this.checked(session, exchange);
        this.refusal = 'breaker-pending';
        return null;
      }
    }
    const fresh = this.dial();
    if (fresh !== null) {
      list.push(fresh);
      return fresh;
    }
    for (const session of list) if (session.outgoingCount < MAX_IN_FLIGHT) return session;
    this.refusal = this.owner.wait(exchange) ? 'pool-timeout' : 'breaker-pending';
    return null;
  }

  /** Age and request limits are looked at when a session is taken, since a busy shared one never becomes free. */
  private checked(session: Session, exchange: Exchange): Session | null {
    if (this.reusable(session)) return session;
    session.closing = true;
    this.sessionClosing(session);
    return this.acquire(exchange, false);
  }

  release(session: Session): void {
    if (session.closed) return;
    if (session.alone && this.reusable(session)) {
      if (this.owner.serve(session)) return;
      session.poolIndex = this.alone.length;
      this.alone.push(session);
      return;
    }
    if (session.outgoingCount === 0 && (session.closing || session.alone || this.draining)) session.connection.close();
  }

  sessionClosing(session: Session): void {
    this.forget(session);
    session.closing = true;
    if (session.outgoingCount === 0) session.connection.close();
  }

  protected forget(session: Session): void {
    const i = this.shared.indexOf(session);
    if (i >= 0) this.shared.splice(i, 1);
    const j = this.alone.indexOf(session);
    if (j >= 0) this.alone.splice(j, 1);
    session.poolIndex = -1;
  }

  /**
   * A receiver is far behind on a reply that fills a shared connection: nothing new is sent on it, and after QUARANTINE_MS the others
   * fail with head-of-line (or are sent again where that is safe), so that reading may stop for the one.
   */
  quarantine(session: Session, slow: Exchange): void {
    if (session.quarantine !== null) return;
    session.quarantine = new Quarantine(session, slow);
    this.sessionClosing(session);
  }
}

/** The second that the other exchanges of a blocked connection have. */
export class Quarantine implements DeadlineOwner {
  private readonly session: Session;
  private readonly slow: Exchange;
  private readonly generation: number;
  private readonly deadline: Deadline;
  /** True once nobody else waits on the connection: reading may pause. */
  over = false;

  constructor(session: Session, slow: Exchange) {
    this.session = session;
    this.slow = slow;
    this.generation = slow.generation;
    this.deadline = new Deadline(this, 0);
    if (session.outgoingCount <= 1) this.over = true;
    else this.deadline.set(QUARANTINE_MS);
  }

  onDeadline(): void {
    this.over = true;
    if (this.session.closed) return;
    const keep = this.slow.generation === this.generation ? this.slow : null;
    this.session.failOthers(keep, 'head-of-line');
    keep?.pushBack();
  }

  cancel(): void {
    this.deadline.cancel();
  }
}

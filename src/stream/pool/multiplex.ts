// Many exchanges on few connections (Bolt): ids tell replies apart; what is too long to interleave gets a connection of its own.
import { Deadline, type DeadlineOwner } from '../../core/deadline.js';
import type { Exchange } from '../exchange.js';
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
      const free = this.idleAlone();
      if (free !== null) return free;
      const fresh = this.dial() ?? this.owner.spare(exchange);
      if (fresh === null) this.refusal = this.owner.wait(exchange) ? 'pool-timeout' : 'breaker-pending';
      else fresh.alone = true;
      return fresh;
    }
    const list = this.shared;
    const most = this.owner.connectionsPerHost;
    if (list.length > 0) {
      if (++this.turn >= list.length) this.turn = 0;
      const session = this.withRoom();
      if (session !== null && (list.length >= most || session.outgoingCount === 0)) {
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
    const other = this.spare(false) ?? this.owner.spare(exchange);
    if (other === null) this.refusal = this.owner.wait(exchange) ? 'pool-timeout' : 'breaker-pending';
    return other;
  }

  /** The shared session whose turn it is, or the next one that may carry one more. */
  private withRoom(): Session | null {
    const list = this.shared;
    for (let n = list.length; n > 0; n--) {
      const session = list[this.turn]!;
      if (session.hasRoom) return session;
      if (++this.turn >= list.length) this.turn = 0;
    }
    return null;
  }

  spare(alone: boolean): Session | null {
    if (!alone) for (const session of this.shared) if (session.hasRoom && this.reusable(session)) return session;
    return this.idleAlone();
  }

  private idleAlone(): Session | null {
    for (let session = this.alone.pop(); session !== undefined; session = this.alone.pop()) {
      if (this.reusable(session)) return session;
      session.connection.close();
    }
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
    const idle = session.outgoingCount === 0;
    if (!this.reusable(session)) {
      // Of a shared one whose time is up the last exchange takes leave; `acquire` sees to it that there is a last one.
      if (idle && (session.closing || session.alone || this.draining || session.codec.mustClose)) session.connection.close();
    } else if (session.peer === null && (idle || !session.alone) && !this.owner.serve(session) && session.alone) {
      this.alone.push(session);
    }
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
  }

  /**
   * The reply of `slow` fills a shared connection, because of its length or because its receiver is far behind: nothing new is sent on it,
   * and after QUARANTINE_MS the others fail with head-of-line (or are sent again where that is safe). True once reading may stop for the one.
   */
  quarantine(session: Session, slow: Exchange): boolean {
    let quarantine = session.quarantine;
    if (quarantine === null || !quarantine.runs) {
      quarantine?.cancel();
      session.quarantine = quarantine = new Quarantine(session, slow);
      this.sessionClosing(session);
    }
    return session.outgoingCount <= 1;
  }
}

/** The second that the other exchanges of a blocked connection have. */
export class Quarantine implements DeadlineOwner {
  private readonly session: Session;
  private readonly slow: Exchange;
  private readonly generation: number;
  private readonly deadline: Deadline;

  constructor(session: Session, slow: Exchange) {
    this.session = session;
    this.slow = slow;
    this.generation = slow.generation;
    this.deadline = new Deadline(this, 0);
    if (session.outgoingCount > 1) this.deadline.set(QUARANTINE_MS);
  }

  /** Whether the exchange it was begun for still fills the connection. */
  get runs(): boolean {
    return this.slow.generation === this.generation && this.slow.up === this.session;
  }

  onDeadline(): void {
    if (!this.runs) return;
    this.session.failOthers(this.slow, 'head-of-line');
    this.slow.pushBack();
  }

  cancel(): void {
    this.deadline.cancel();
  }
}

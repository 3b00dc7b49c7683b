// One exchange at a time on a connection (HTTP/1): the connection used last is used first, so that idle ones can end.
import type { Exchange } from '../exchange.js';
import type { Session } from '../session.js';
import { MessagePool } from './pool.js';

export class ExclusivePool extends MessagePool {
  private readonly idle: Session[] = [];

  acquire(exchange: Exchange, _alone: boolean): Session | null {
    const free = this.spare();
    if (free !== null) return free;
    const fresh = this.dial() ?? this.owner.spare(exchange);
    if (fresh === null) this.refusal = this.owner.wait(exchange) ? 'pool-timeout' : 'breaker-pending';
    return fresh;
  }

  spare(): Session | null {
    const idle = this.idle;
    for (let session = idle.pop(); session !== undefined; session = idle.pop()) {
      session.poolIndex = -1;
      if (this.reusable(session)) return session;
      session.connection.close();
    }
    return null;
  }

  release(session: Session): void {
    if (session.closed || session.outgoingCount > 0) return;
    if (session.peer !== null && !session.closing) return;
    if (!this.reusable(session)) {
      session.connection.close();
      return;
    }
    if (this.owner.serve(session)) return;
    session.poolIndex = this.idle.length;
    this.idle.push(session);
  }

  sessionClosing(session: Session): void {
    if (session.poolIndex < 0) return;
    this.forget(session);
    session.connection.close();
  }

  protected forget(session: Session): void {
    const i = session.poolIndex;
    if (i < 0) return;
    const last = this.idle.pop()!;
    if (last !== session) {
      this.idle[i] = last;
      last.poolIndex = i;
    }
    session.poolIndex = -1;
  }

  get idleCount(): number {
    return this.idle.length;
  }
}

// One upstream connection for each downstream connection: what a host sends of its own accord reaches the client it belongs to.
import type { Exchange } from '../exchange.js';
import type { Session } from '../session.js';
import { MessagePool } from './pool.js';

export class PinnedPool extends MessagePool {
  acquire(exchange: Exchange, _alone: boolean): Session | null {
    const fresh = this.dial();
    if (fresh === null) {
      this.refusal = 'breaker-connections';
      return null;
    }
    exchange.down.bind(fresh);
    return fresh;
  }

  release(session: Session): void {
    if (!session.closed && session.outgoingCount === 0 && (session.closing || session.codec.mustClose)) session.connection.close();
  }

  sessionClosing(session: Session): void {
    if (session.outgoingCount === 0) session.connection.close();
  }

  spare(): null {
    return null;
  }

  protected forget(): void {}
}

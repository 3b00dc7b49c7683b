// Watches one client that is far behind: as long as it takes something of what waits for it, it may be slow.
import { Deadline, type DeadlineOwner } from '../core/deadline.js';
import type { Session } from './session.js';

/** Unsent bytes of one client above which its connection is closed: nothing may hold more memory than this. */
export const MAX_UNSENT = 32 * 1024 * 1024;
/** A client that takes none of its waiting bytes for this long is closed, ms. */
export const SLOW_READER_MS = 30_000;

export class SlowReader implements DeadlineOwner {
  private readonly session: Session;
  private readonly deadline: Deadline;
  private taken = 0;

  constructor(session: Session) {
    this.session = session;
    this.deadline = new Deadline(this, 0);
  }

  watch(): void {
    if (this.deadline.armed) return;
    this.taken = this.session.taken;
    this.deadline.set(SLOW_READER_MS);
  }

  cancel(): void {
    this.deadline.cancel();
  }

  onDeadline(): void {
    const { taken } = this.session;
    if (taken === this.taken) this.session.closeSlow();
    else this.watch();
  }
}

// Makes one change of many: what is asked for while another change is being made, or within a moment, is done together.
import { clock } from '../../core/clock.js';

/** How long the first of a batch waits for others, ms: SDKs ask from many threads at once. */
const GATHER_MS = 5;

export class Batch {
  private readonly run: () => Promise<void>;
  private waiting: Promise<void> | null = null;
  private running: Promise<void> = Promise.resolve();

  /** `run` takes in everything that was asked for before it was called. */
  constructor(run: () => Promise<void>) {
    this.run = run;
  }

  /** Resolves when a run that began after this call has ended; rejects with what it rejected with. */
  request(): Promise<void> {
    this.waiting ??= this.next();
    return this.waiting;
  }

  private async next(): Promise<void> {
    await Promise.all([this.running, new Promise<void>((resolve) => void clock.setTimeout(resolve, GATHER_MS))]);
    this.waiting = null;
    const run = this.run();
    this.running = run.catch(() => undefined);
    return run;
  }
}

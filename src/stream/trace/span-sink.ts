// Finished exchanges that are recorded, gathered in a worker and handed to the main thread, which makes spans of them and exports them.
import { clock, now } from '../../core/clock.js';
import { Deadline, type DeadlineOwner } from '../../core/deadline.js';
import type { Counter, Stats } from '../../core/stats.js';
import type { ExchangeRecord } from '../record.js';
import { pack, type Packed } from './traced-exchange.js';

/** Exchanges of one batch, how long one waits for others, ms, and how many batches may be on their way. */
const BATCH = 256;
const FLUSH_MS = 500;
const MAX_UNTAKEN = 16;

export interface SpanSinkDeps {
  readonly stats: Stats;
  /** Hands a batch over; the receiver answers with `taken`. */
  readonly post: (batch: Packed) => void;
}

export class SpanSink implements DeadlineOwner {
  readonly recorded: Counter;
  readonly dropped: Counter;
  private readonly post: (batch: Packed) => void;
  private readonly deadline = new Deadline(this, 0);
  private batch: Packed = [];
  private count = 0;
  private untaken = 0;

  constructor(deps: SpanSinkDeps) {
    this.post = deps.post;
    this.recorded = deps.stats.counter('sluice_trace_exchanges_total', 'Exchanges that were recorded by a trace.');
    this.dropped = deps.stats.counter('sluice_trace_exchanges_dropped_total', 'Recorded exchanges that were lost in a worker, because the main thread did not take the earlier ones.');
  }

  add(record: ExchangeRecord): void {
    this.recorded.inc();
    if (this.count >= BATCH) {
      this.dropped.inc();
      return;
    }
    // The wall clock as it is now, less what passed since: right unless it was set in between.
    pack(record, clock.wall() - now(), this.batch);
    this.count++;
    if (this.count >= BATCH) this.send();
    else if (this.count === 1) this.deadline.set(FLUSH_MS);
  }

  onDeadline(): void {
    this.send();
  }

  private send(): void {
    if (this.count === 0 || this.untaken >= MAX_UNTAKEN) return;
    this.untaken++;
    const batch = this.batch;
    this.batch = [];
    this.count = 0;
    this.deadline.cancel();
    this.post(batch);
  }

  /** The main thread took a batch. */
  taken(): void {
    this.untaken--;
    if (this.count >= BATCH || !this.deadline.armed) this.send();
  }

  /** Hands over what there is, for the end of the worker. */
  flush(): void {
    this.untaken = 0;
    this.send();
  }
}

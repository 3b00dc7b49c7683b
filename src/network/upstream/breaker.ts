// The circuit breaker of a cluster: how much of it may be in use at once, counted over all workers together.
import type { SharedLevels } from '../../core/levels.js';
import type { Counter } from '../../core/stats.js';
import type { BreakerConfig } from './config.js';

export const CONNECTIONS = 0;
export const PENDING = 1;
export const REQUESTS = 2;
export const RETRIES = 3;
/** Rows of SharedLevels that one breaker counts in. */
export const BREAKER_ROWS = 4;

export interface BreakerLevels {
  connections: number;
  pending: number;
  requests: number;
  retries: number;
}

/**
 * Every `try` that answers true is given back by exactly one `release`; a release without one is a programmer's mistake and throws.
 * A limit of 0 means none. Since a worker reads the others' counts without a lock, a level may pass its limit by workers - 1.
 * Each refusal is counted in the cluster's `breaker_open`, so callers do not.
 */
export class Breaker {
  limits: BreakerConfig;
  private readonly levelsOf: SharedLevels;
  private readonly rows: readonly number[];
  private readonly opened: Counter;

  constructor(levels: SharedLevels, rows: readonly number[], limits: BreakerConfig, opened: Counter) {
    this.levelsOf = levels;
    this.rows = rows;
    this.limits = limits;
    this.opened = opened;
  }

  tryConnection(): boolean {
    return this.take(CONNECTIONS, this.limits.max_connections);
  }

  releaseConnection(): void {
    this.give(CONNECTIONS);
  }

  tryPending(): boolean {
    return this.take(PENDING, this.limits.max_pending);
  }

  releasePending(): void {
    this.give(PENDING);
  }

  tryRequest(): boolean {
    return this.take(REQUESTS, this.limits.max_requests);
  }

  releaseRequest(): void {
    this.give(REQUESTS);
  }

  /** Also asks the retry budget: a share of the requests in flight, but at least `retry_budget.min`. */
  tryRetry(): boolean {
    const budget = this.limits.retry_budget;
    const share = Math.max(budget.min, (this.levelsOf.read(this.rows[REQUESTS]!) * budget.percent) / 100);
    if (this.levelsOf.read(this.rows[RETRIES]!) >= share) {
      this.opened.inc();
      return false;
    }
    return this.take(RETRIES, this.limits.max_retries);
  }

  releaseRetry(): void {
    this.give(RETRIES);
  }

  /** What is in use now, over all workers. */
  levels(): BreakerLevels {
    const levels = this.levelsOf;
    const rows = this.rows;
    return {
      connections: levels.read(rows[CONNECTIONS]!),
      pending: levels.read(rows[PENDING]!),
      requests: levels.read(rows[REQUESTS]!),
      retries: levels.read(rows[RETRIES]!),
    };
  }

  private take(kind: number, limit: number): boolean {
    const row = this.rows[kind]!;
    if (limit !== 0 && this.levelsOf.read(row) >= limit) {
      this.opened.inc();
      return false;
    }
    this.levelsOf.add(row, 1);
    return true;
  }

  private give(kind: number): void {
    const row = this.rows[kind]!;
    if (this.levelsOf.own(row) <= 0) throw new Error('a breaker level was released that nobody had taken');
    this.levelsOf.add(row, -1);
  }
}

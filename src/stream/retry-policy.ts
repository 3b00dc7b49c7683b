// When an exchange may be tried again: conditions a route names, joined with what is safe to repeat; data and matching only, no timers.
import { random } from '../core/random.js';
import { type Reason, type ReasonCode, reasons } from '../core/reason.js';

/**
 * What a route can ask to be retried (`retry.on`):
 * - `connect-failure`: no byte of the request can have reached the host (reason class nothing-sent). Safe for every request.
 * - `reset`: the host closed or reset the connection, or reset the exchange, before it replied.
 * - `try-timeout`: `per_try_timeout` passed without a reply.
 * - `gateway-error`: a reply with status 502, 503 or 504.
 * - `5xx`: a reply with a status from 500 to 599.
 * - `status`: a reply with a status of `retry.statuses`; implied by that list.
 * - `grpc-cancelled`, `grpc-deadline-exceeded`, `grpc-resource-exhausted`, `grpc-internal`, `grpc-unavailable`: a reply of gRPC without
 *   content whose head has this status. One that comes behind content has been passed on by then.
 * All but the first may repeat work that was done, so they apply only to requests that are idempotent: by definition of their
 * method (HTTP), or because the route says `idempotent: true`, which is the only way for RPC.
 */
export const retryConditions = ['connect-failure', 'reset', 'try-timeout', 'gateway-error', '5xx', 'status', 'grpc-cancelled', 'grpc-deadline-exceeded', 'grpc-resource-exhausted', 'grpc-internal', 'grpc-unavailable'] as const;
export type RetryCondition = (typeof retryConditions)[number];

export const RETRY_CONNECT = 1;
export const RETRY_RESET = 2;
export const RETRY_TRY_TIMEOUT = 4;
export const RETRY_GATEWAY = 8;
export const RETRY_5XX = 16;
export const RETRY_STATUS = 32;
/** Some status of gRPC is among the conditions. */
export const RETRY_GRPC = 64;

/** grpc-status of the conditions that are one. */
const grpcStatuses: Readonly<Partial<Record<RetryCondition, number>>> = {
  'grpc-cancelled': 1, 'grpc-deadline-exceeded': 4, 'grpc-resource-exhausted': 8, 'grpc-internal': 13, 'grpc-unavailable': 14,
};

const bitOf: Readonly<Record<RetryCondition, number>> = {
  'connect-failure': RETRY_CONNECT,
  reset: RETRY_RESET,
  'try-timeout': RETRY_TRY_TIMEOUT,
  'gateway-error': RETRY_GATEWAY,
  '5xx': RETRY_5XX,
  status: RETRY_STATUS,
  'grpc-cancelled': RETRY_GRPC,
  'grpc-deadline-exceeded': RETRY_GRPC,
  'grpc-resource-exhausted': RETRY_GRPC,
  'grpc-internal': RETRY_GRPC,
  'grpc-unavailable': RETRY_GRPC,
};

/** Reasons that `reset` stands for. A reply that was cut is not among them: the client has part of it. */
const resets: ReadonlySet<ReasonCode> = new Set(['upstream-closed', 'upstream-reset', 'stream-reset', 'heartbeat-missed', 'head-of-line', 'host-removed']);

export interface RetryOptions {
  readonly on: readonly RetryCondition[];
  readonly statuses: readonly number[];
  /** Most tries in all, the first one included. */
  readonly attempts: number;
  /** ms. */
  readonly backoff: { readonly base: number; readonly max: number };
}

export class RetryPolicy {
  /** RETRY_* bits. */
  readonly conditions: number;
  /** Most tries in all, the first one included. */
  readonly attempts: number;
  readonly backoffBase: number;
  readonly backoffMax: number;
  /** Whether any status is retried; false spares callers the question on every reply. */
  readonly byStatus: boolean;
  private readonly statuses: Uint8Array;
  /** By grpc-status; the highest is 16. */
  private readonly grpc = new Uint8Array(17);

  constructor(options: RetryOptions) {
    let conditions = options.statuses.length > 0 ? RETRY_STATUS : 0;
    for (const name of options.on) conditions |= bitOf[name];
    this.conditions = conditions;
    this.attempts = options.attempts;
    this.backoffBase = options.backoff.base;
    this.backoffMax = options.backoff.max;
    this.statuses = new Uint8Array(600);
    for (const status of options.statuses) this.statuses[status] = 1;
    if ((conditions & RETRY_GATEWAY) !== 0) this.statuses.fill(1, 502, 505);
    if ((conditions & RETRY_5XX) !== 0) this.statuses.fill(1, 500, 600);
    for (const name of options.on) {
      const status = grpcStatuses[name];
      if (status !== undefined) this.grpc[status] = 1;
    }
    this.byStatus = this.statuses.includes(1) || (conditions & RETRY_GRPC) !== 0;
  }

  /**
   * Whether an attempt that failed with `code` is to be made again, after `tried` attempts. `idempotent`: the method is by its
   * definition, or the route says so. The caller still asks the breaker for a retry, and for bytes that can be replayed. The
   * classes `safe` (the host said that it did nothing) and nothing-sent need no idempotence; the first needs no condition either.
   */
  onFailure(code: ReasonCode, tried: number, idempotent: boolean): boolean {
    if (tried >= this.attempts) return false;
    const reason: Reason = reasons[code];
    if (reason.retry === 'safe') return true;
    if (reason.retry === 'nothing-sent') return (this.conditions & RETRY_CONNECT) !== 0;
    if (!idempotent) return false;
    if (code === 'try-timeout') return (this.conditions & RETRY_TRY_TIMEOUT) !== 0;
    return (this.conditions & RETRY_RESET) !== 0 && resets.has(code);
  }

  /** Whether a reply with this status is to be dropped and the request made again; see `onFailure`. `grpc`: its grpc-status, -1 for none. */
  onStatus(status: number, tried: number, idempotent: boolean, grpc = -1): boolean {
    return this.byStatus && idempotent && tried < this.attempts && (this.statuses[status] === 1 || (grpc >= 0 && this.grpc[grpc] === 1));
  }

  /**
   * ms to wait before attempt `tried + 1`: a random share of base x 2^(tried - 1), capped, so that clients that failed together
   * do not come back together. A failure to connect with another host at hand needs no wait: the caller decides.
   */
  delay(tried: number): number {
    return random() * Math.min(this.backoffMax, this.backoffBase * 2 ** Math.max(0, tried - 1));
  }
}

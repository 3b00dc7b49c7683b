// The phases of an exchange in order; exchange.ts runs them, and code, logs, traces and docs/request-path.md share this list.

export const PHASES = [
  'request-filters', 'request-body', 'route', 'cluster', 'host', 'pool', 'send', 'wait', 'retry', 'reply-filters', 'reply', 'done',
] as const;
export type Phase = (typeof PHASES)[number];

export const REQUEST_FILTERS = 0;
export const REQUEST_BODY = 1;
export const ROUTE = 2;
export const CLUSTER = 3;
export const HOST = 4;
export const POOL = 5;
export const SEND = 6;
export const WAIT = 7;
export const RETRY = 8;
export const REPLY_FILTERS = 9;
export const REPLY = 10;
export const DONE = 11;

/** Kinds of an exchange's deadlines. */
export const TIMEOUT = 0;
export const TRY_TIMEOUT = 1;
export const BACKOFF = 2;
export const STREAM_IDLE = 3;

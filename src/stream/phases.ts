// The phases of an exchange in order; exchange.ts runs them, and code, logs, traces and docs/request-path.md share this list.

export const PHASES = [
  'request-filters', 'request-body', 'route', 'route-filters', 'cluster', 'host', 'pool', 'send', 'wait', 'retry', 'reply-filters', 'reply', 'done',
] as const;
export type Phase = (typeof PHASES)[number];

export const REQUEST_FILTERS = 0;
export const REQUEST_BODY = 1;
export const ROUTE = 2;
export const ROUTE_FILTERS = 3;
export const CLUSTER = 4;
export const HOST = 5;
export const POOL = 6;
export const SEND = 7;
export const WAIT = 8;
export const RETRY = 9;
export const REPLY_FILTERS = 10;
export const REPLY = 11;
export const DONE = 12;

/** Kinds of an exchange's deadlines. */
export const TIMEOUT = 0;
export const TRY_TIMEOUT = 1;
export const BACKOFF = 2;
export const STREAM_IDLE = 3;

// Statuses of Bolt responses: their names, the HTTP-like status each stands for, and the status the proxy answers a reason with.
import { reasons, type ReasonCode, type ReasonKind } from '../../../core/reason.js';

export const SUCCESS = 0;
export const ERROR = 1;
export const SERVER_EXCEPTION = 2;
export const UNKNOWN = 3;
export const SERVER_BUSY = 4;
export const COMMUNICATION_ERROR = 5;
export const NO_PROCESSOR = 6;
export const TIMEOUT = 7;
export const CLIENT_SEND_ERROR = 8;
export const CODEC_EXCEPTION = 9;
export const CONNECTION_CLOSED = 16;
export const SERVER_SERIALIZE = 17;
export const SERVER_DESERIALIZE = 18;

const names: Readonly<Record<number, string>> = {
  [SUCCESS]: 'success', [ERROR]: 'error', [SERVER_EXCEPTION]: 'server exception', [UNKNOWN]: 'unknown', [SERVER_BUSY]: 'server busy',
  [COMMUNICATION_ERROR]: 'communication error', [NO_PROCESSOR]: 'no processor', [TIMEOUT]: 'timeout', [CLIENT_SEND_ERROR]: 'client send error',
  [CODEC_EXCEPTION]: 'codec exception', [CONNECTION_CLOSED]: 'connection closed', [SERVER_SERIALIZE]: 'server serialize exception',
  [SERVER_DESERIALIZE]: 'server deserialize exception',
};

export function statusName(status: number): string {
  return names[status] ?? `status ${status}`;
}

/**
 * The HTTP-like status of a Bolt status, for retry conditions, metrics and logs: 5xx lists and "gateway error" (502, 503, 504) mean
 * the same in every protocol. An exception thrown by the service travels inside a success frame and counts as 200.
 */
export function httpOfStatus(status: number): number {
  switch (status) {
    case SUCCESS: return 200;
    case SERVER_BUSY: return 503;
    case NO_PROCESSOR: return 404;
    case TIMEOUT: return 504;
    case COMMUNICATION_ERROR:
    case CLIENT_SEND_ERROR:
    case CONNECTION_CLOSED: return 502;
    default: return 500;
  }
}

/** The Bolt status for an HTTP-like one: replies whose status the configuration chose, not a reason. */
export function statusOfHttp(http: number): number {
  if (http < 400) return http >= 200 && http < 300 ? SUCCESS : SERVER_EXCEPTION;
  switch (http) {
    case 400: return CODEC_EXCEPTION;
    case 404: return NO_PROCESSOR;
    case 429:
    case 503: return SERVER_BUSY;
    case 408:
    case 504: return TIMEOUT;
    case 502: return CONNECTION_CLOSED;
    default: return SERVER_EXCEPTION;
  }
}

/**
 * What SOFABolt's Java client makes of each: 7 InvokeTimeoutException, 4 InvokeServerBusyException, 16 ConnectionClosedException,
 * 9 CodecException, 2 InvokeServerException with our sentence as its cause (the only one whose content it reads); the others
 * InvokeException naming the status. The Node client shows the sentence for every status.
 */
const byKind: Readonly<Record<ReasonKind, number>> = {
  'ok': SUCCESS,
  'bad-request': CODEC_EXCEPTION,
  'forbidden': SERVER_EXCEPTION,
  'not-found': NO_PROCESSOR,
  'too-large': SERVER_EXCEPTION,
  'limited': SERVER_BUSY,
  'overload': SERVER_BUSY,
  'unavailable': CONNECTION_CLOSED,
  'timeout': TIMEOUT,
  'bad-reply': COMMUNICATION_ERROR,
  'internal': SERVER_EXCEPTION,
  'cancelled': CONNECTION_CLOSED,
};

/**
 * The status of a reply for this reason. A reason that is safe to repeat elsewhere (draining, a host going away) is "busy" whatever
 * its kind: SOFARPC's failover repeats calls that ended with it.
 */
export function statusOfReason(code: ReasonCode): number {
  const reason = reasons[code];
  return reason.retry === 'safe' ? SERVER_BUSY : byKind[reason.kind];
}

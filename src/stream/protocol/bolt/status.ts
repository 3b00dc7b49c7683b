// Statuses of Bolt responses: their names, the HTTP-like status each stands for, and the status the proxy answers a reason with.
import { isReasonCode, reasons, type ReasonCode } from '../../../core/reason.js';
import { headerName, type Head } from '../../head.js';

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

/** Carries the code of the reason in a reply that the proxy made itself, as in HTTP. */
export const REASON_HEADER = 'x-sluice-reason';
const reasonHeader = headerName(REASON_HEADER);

/** The HTTP-like status of a reply that is no success: that of its reason where another Sluice made it, so that both agree on what to retry. */
export function httpOfReply(head: Head, status: number): number {
  const code = status === SERVER_EXCEPTION || status === SERVER_BUSY || status === TIMEOUT ? head.get(reasonHeader) : undefined;
  if (code !== undefined && isReasonCode(code) && reasons[code].http >= 400) return reasons[code].http;
  return httpOfStatus(status);
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
 * The status of a reply for this reason. SOFABolt's Java client reads the content of "server exception" only (InvokeServerException, our
 * sentence in its cause); of every other status it shows the bare name, and "connection closed" or "codec exception" for a fault behind
 * the proxy would send people to the wrong connection. So all reasons are server exceptions, but for two whose status SOFARPC acts
 * upon: its failover repeats calls that ended with "busy" or "timeout", and throws a SofaTimeOutException for the latter. Busy is also
 * said where nothing was done and another instance may do it (draining, a host going away). The Node client shows the sentence for
 * every status; a proxy in front finds the reason in REASON_HEADER.
 */
export function statusOfReason(code: ReasonCode): number {
  const { kind, retry } = reasons[code];
  if (kind === 'ok') return SUCCESS;
  if (retry === 'safe' || kind === 'limited' || kind === 'overload') return SERVER_BUSY;
  return kind === 'timeout' ? TIMEOUT : SERVER_EXCEPTION;
}

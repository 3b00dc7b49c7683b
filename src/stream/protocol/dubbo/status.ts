// Statuses of Dubbo responses: their names, the HTTP-like status each stands for, and the status the proxy answers a reason with.
import { isReasonCode, reasons, type ReasonCode } from '../../../core/reason.js';

export const OK = 20;
export const CLIENT_TIMEOUT = 30;
export const SERVER_TIMEOUT = 31;
export const CHANNEL_INACTIVE = 35;
export const BAD_REQUEST = 40;
export const BAD_RESPONSE = 50;
export const SERVICE_NOT_FOUND = 60;
export const SERVICE_ERROR = 70;
export const SERVER_ERROR = 80;
export const CLIENT_ERROR = 90;
export const THREADPOOL_EXHAUSTED = 100;

const names: Readonly<Record<number, string>> = {
  [OK]: 'ok', [CLIENT_TIMEOUT]: 'client timeout', [SERVER_TIMEOUT]: 'server timeout', [CHANNEL_INACTIVE]: 'channel inactive', [BAD_REQUEST]: 'bad request',
  [BAD_RESPONSE]: 'bad response', [SERVICE_NOT_FOUND]: 'service not found', [SERVICE_ERROR]: 'service error', [SERVER_ERROR]: 'server error',
  [CLIENT_ERROR]: 'client error', [THREADPOOL_EXHAUSTED]: 'thread pool exhausted',
};

export function statusName(status: number): string {
  return names[status] ?? `status ${status}`;
}

/** The HTTP-like status of a Dubbo status, for retry conditions, metrics and logs: the same number means the same in every protocol. */
export function httpOfStatus(status: number): number {
  switch (status) {
    case OK: return 200;
    case CLIENT_TIMEOUT:
    case SERVER_TIMEOUT: return 504;
    case CHANNEL_INACTIVE:
    case BAD_RESPONSE: return 502;
    case BAD_REQUEST: return 400;
    case SERVICE_NOT_FOUND: return 404;
    case THREADPOOL_EXHAUSTED: return 503;
    default: return 500;
  }
}

const OPEN = 0x28;
const CLOSE = 0x29;
const LONGEST_CODE = 40;

/**
 * The HTTP-like status of an error reply whose text ends at buf[end): that of its reason where another Sluice made it, whose texts end in
 * "(the-code)". So both agree on what to retry.
 */
export function httpOfError(status: number, buf: Uint8Array, start: number, end: number): number {
  if (end > start && buf[end - 1] === CLOSE) {
    const first = Math.max(start, end - LONGEST_CODE);
    let p = end - 2;
    while (p > first && buf[p] !== OPEN) p--;
    const code = (buf as Buffer).latin1Slice(p + 1, end - 1);
    if (isReasonCode(code) && reasons[code].http >= 400) return reasons[code].http;
  }
  return httpOfStatus(status);
}

/** The Dubbo status for an HTTP-like one: replies whose status the configuration chose, not a reason. */
export function statusOfHttp(http: number): number {
  if (http < 400) return http >= 200 && http < 300 ? OK : SERVICE_ERROR;
  switch (http) {
    case 400:
    case 413: return BAD_REQUEST;
    case 404: return SERVICE_NOT_FOUND;
    case 408: return CLIENT_TIMEOUT;
    case 504: return SERVER_TIMEOUT;
    case 429:
    case 503: return THREADPOOL_EXHAUSTED;
    case 502: return BAD_RESPONSE;
    case 401:
    case 403: return SERVICE_ERROR;
    default: return SERVER_ERROR;
  }
}

/**
 * The status of a reply for this reason. Java clients (2.7, 3.3) throw an RpcException with our sentence in its message for every status
 * but OK; 30 and 31 give it the code TIMEOUT, all others NETWORK, and the default cluster (failover) then asks another provider.
 */
export function statusOfReason(code: ReasonCode): number {
  const { kind, where } = reasons[code];
  switch (kind) {
    case 'ok': return OK;
    case 'timeout': return where === 'downstream' ? CLIENT_TIMEOUT : SERVER_TIMEOUT;
    case 'bad-request':
    case 'too-large': return BAD_REQUEST;
    case 'not-found': return SERVICE_NOT_FOUND;
    case 'forbidden': return SERVICE_ERROR;
    case 'bad-reply': return BAD_RESPONSE;
    case 'limited':
    case 'overload': return THREADPOOL_EXHAUSTED;
    default: return SERVER_ERROR;
  }
}

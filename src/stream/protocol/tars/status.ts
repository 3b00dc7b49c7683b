// Result codes of Tars: their names, the HTTP-like status each stands for, and the code the proxy answers a reason with.
import { isReasonCode, reasons, type ReasonCode } from '../../../core/reason.js';
import { headerName, type Head } from '../../head.js';

/** As in BaseF.tars of the framework: iRet of a response, STATUS_RESULT_CODE in the status of a TUP reply. */
export const SUCCESS = 0;
export const SERVER_DECODE_ERROR = -1;
export const SERVER_ENCODE_ERROR = -2;
export const NO_FUNC = -3;
export const NO_SERVANT = -4;
export const RESET_GRID = -5;
export const QUEUE_TIMEOUT = -6;
export const INVOKE_TIMEOUT = -7;
export const PROXY_CONNECT_ERROR = -8;
export const SERVER_OVERLOAD = -9;
export const ADAPTER_NULL = -10;
export const INVALID_SET = -11;
export const CLIENT_DECODE_ERROR = -12;
export const SEND_REQUEST_ERROR = -13;
export const UNKNOWN_ERROR = -99;

const names: Readonly<Record<number, string>> = {
  [SUCCESS]: 'success', [SERVER_DECODE_ERROR]: 'server decode error', [SERVER_ENCODE_ERROR]: 'server encode error', [NO_FUNC]: 'no such function',
  [NO_SERVANT]: 'no such servant', [RESET_GRID]: 'grid state differs', [QUEUE_TIMEOUT]: 'server queue timeout', [INVOKE_TIMEOUT]: 'invoke timeout',
  [PROXY_CONNECT_ERROR]: 'proxy connect error', [SERVER_OVERLOAD]: 'server overload', [ADAPTER_NULL]: 'no endpoint', [INVALID_SET]: 'invalid set',
  [CLIENT_DECODE_ERROR]: 'client decode error', [SEND_REQUEST_ERROR]: 'send error', [UNKNOWN_ERROR]: 'server unknown error',
};

export function codeName(code: number): string {
  return names[code] ?? `result ${code}`;
}

/**
 * The HTTP-like status of a result code, for retry conditions, metrics and logs. What a function returns travels in the buffer of a
 * success; a code that is not the framework's is an exception of the servant.
 */
export function httpOfCode(code: number): number {
  switch (code) {
    case SUCCESS: return 200;
    case SERVER_DECODE_ERROR: return 400;
    case INVALID_SET: return 403;
    case NO_FUNC:
    case NO_SERVANT: return 404;
    case PROXY_CONNECT_ERROR:
    case CLIENT_DECODE_ERROR:
    case SEND_REQUEST_ERROR: return 502;
    case SERVER_OVERLOAD:
    case ADAPTER_NULL: return 503;
    case QUEUE_TIMEOUT:
    case INVOKE_TIMEOUT: return 504;
    default: return 500;
  }
}

/** The result code for an HTTP-like status: replies whose status the configuration chose, not a reason. */
export function codeOfHttp(http: number): number {
  if (http < 400) return http >= 200 && http < 300 ? SUCCESS : UNKNOWN_ERROR;
  switch (http) {
    case 400: return SERVER_DECODE_ERROR;
    case 404: return NO_SERVANT;
    case 408:
    case 504: return INVOKE_TIMEOUT;
    case 429:
    case 503: return SERVER_OVERLOAD;
    case 502: return PROXY_CONNECT_ERROR;
    default: return UNKNOWN_ERROR;
  }
}

/** The result code of a reply for this reason. The clients of Tars repeat nothing by it; they count all but success against their endpoint. */
export function codeOfReason(code: ReasonCode): number {
  const { kind, retry } = reasons[code];
  // Nothing was done, and another instance may do it.
  if (retry === 'safe') return SERVER_OVERLOAD;
  switch (kind) {
    case 'ok': return SUCCESS;
    case 'bad-request':
    case 'too-large': return SERVER_DECODE_ERROR;
    case 'not-found': return NO_SERVANT;
    case 'limited':
    case 'overload': return SERVER_OVERLOAD;
    case 'timeout': return INVOKE_TIMEOUT;
    case 'bad-reply': return CLIENT_DECODE_ERROR;
    case 'unavailable': return code.startsWith('no-') ? ADAPTER_NULL : PROXY_CONNECT_ERROR;
    case 'forbidden':
    case 'internal':
    case 'cancelled': return UNKNOWN_ERROR;
  }
}

/** Carries the code of the reason in the status of a reply that the proxy made itself, as in HTTP. */
export const REASON_HEADER = 'x-sluice-reason';
const reasonHeader = headerName(REASON_HEADER);

/** The HTTP-like status of a reply that is no success: that of its reason where another Sluice made it, so that both agree on what to retry. */
export function httpOfReply(head: Head, code: number): number {
  const reason = head.get(reasonHeader);
  if (reason !== undefined && isReasonCode(reason) && reasons[reason].http >= 400 && codeOfReason(reason) === code) return reasons[reason].http;
  return httpOfCode(code);
}

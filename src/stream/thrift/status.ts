// What stands for success and failure in Thrift: types of TApplicationException, the HTTP-like status of each, and what the proxy answers a reason with.
import { utf8 } from '../../core/bytes.js';
import { isReasonCode, reasons, type ReasonCode } from '../../core/reason.js';
import { COMPACT, type Form, i32 } from './frame.js';

/** Types of TApplicationException; 0 stands for success in `rawStatus`, since the proxy never answers "unknown". */
export const UNKNOWN = 0;
export const UNKNOWN_METHOD = 1;
export const INVALID_MESSAGE_TYPE = 2;
export const INTERNAL_ERROR = 6;
export const PROTOCOL_ERROR = 7;
export const INVALID_TRANSFORM = 8;
export const INVALID_PROTOCOL = 9;
export const UNSUPPORTED_CLIENT_TYPE = 10;
/** Not in Apache Thrift; servers of other make send them. */
export const LOADSHEDDING = 11;
export const TIMEOUT = 12;

/**
 * The HTTP-like status of an exception message, for retry conditions, metrics and logs. A declared exception comes in a reply message
 * and counts as 200: it is a result of the method.
 */
export function httpOfType(type: number): number {
  switch (type) {
    case UNKNOWN_METHOD: return 404;
    case INVALID_MESSAGE_TYPE:
    case PROTOCOL_ERROR:
    case INVALID_TRANSFORM:
    case INVALID_PROTOCOL:
    case UNSUPPORTED_CLIENT_TYPE: return 400;
    case LOADSHEDDING: return 503;
    case TIMEOUT: return 504;
    default: return 500;
  }
}

/** The type for an HTTP-like status: replies whose status a filter or the configuration chose. */
export function typeOfHttp(http: number): number {
  return http === 404 ? UNKNOWN_METHOD : http === 400 || http === 413 || http === 431 ? PROTOCOL_ERROR : INTERNAL_ERROR;
}

/** The type that a reason is answered with; 0 for what is well. */
export function typeOfReason(code: ReasonCode): number {
  switch (reasons[code].kind) {
    case 'ok': return 0;
    case 'not-found': return UNKNOWN_METHOD;
    case 'bad-request':
    case 'too-large': return PROTOCOL_ERROR;
    default: return INTERNAL_ERROR;
  }
}

const STRING = 11;
const I32 = 8;
const COMPACT_I32 = 5;
const COMPACT_STRING = 8;

/** Longest end of a message in which the code of a reason is looked for. */
const LONGEST_CODE = 40;

/** A TApplicationException as far as it could be read. */
export interface Failure {
  type: number;
  status: number;
}
const failure: Failure = { type: UNKNOWN, status: 500 };

/**
 * Reads a TApplicationException (1: string message, 2: i32 type) in buf[start, end); what is malformed counts as an unknown error. A
 * message that ends with the code of a reason in parentheses was made by another Sluice: its status is that of the reason, so that
 * both agree on what to retry. The result is valid until the next call.
 */
export function readFailure(form: Form, buf: Uint8Array, start: number, end: number): Failure {
  failure.type = UNKNOWN;
  let textAt = -1;
  let textEnd = -1;
  let p = start;
  let field = 0;
  while (p < end && buf[p] !== 0) {
    if (form !== COMPACT) {
      if (end - p < 7) break;
      const type = buf[p]!;
      const id = (buf[p + 1]! << 8) | buf[p + 2]!;
      const value = i32(buf, p + 3);
      p += 7;
      if (type === I32) {
        if (id === 2) failure.type = value;
      } else if (type === STRING && value >= 0 && value <= end - p) {
        if (id === 1) {
          textAt = p;
          textEnd = p + value;
        }
        p += value;
      } else break;
      continue;
    }
    const byte = buf[p++]!;
    // A long id follows as a varint of its own; no field of this struct has one.
    if (byte >> 4 === 0) break;
    field += byte >> 4;
    const type = byte & 15;
    if (type !== COMPACT_I32 && type !== COMPACT_STRING) break;
    let value = 0;
    let shift = 0;
    while (p < end && shift < 35) {
      const b = buf[p++]!;
      value |= (b & 0x7f) << shift;
      shift += 7;
      if (b < 0x80) break;
    }
    if (type === COMPACT_I32) {
      if (field === 2) failure.type = (value >>> 1) ^ -(value & 1);
    } else if (value >= 0 && value <= end - p) {
      if (field === 1) {
        textAt = p;
        textEnd = p + value;
      }
      p += value;
    } else break;
  }
  failure.status = httpOfType(failure.type);
  if (textEnd > textAt && buf[textEnd - 1] === 41) failure.status = statusInText(buf, textAt, textEnd - 1, failure.status);
  return failure;
}

function statusInText(buf: Uint8Array, start: number, end: number, otherwise: number): number {
  let p = end;
  while (p > start && end - p < LONGEST_CODE && buf[p - 1] !== 40) p--;
  if (p === start || buf[p - 1] !== 40) return otherwise;
  const code = utf8(buf, p, end);
  return isReasonCode(code) && reasons[code].http >= 400 ? reasons[code].http : otherwise;
}

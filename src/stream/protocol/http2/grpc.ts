// gRPC over HTTP/2: its statuses and how they map to HTTP-like ones and to reasons, and the timeout a client asks for.
import type { ReasonCode, ReasonKind } from '../../../core/reason.js';
import { reasons } from '../../../core/reason.js';

export const GRPC_OK = 0;
export const GRPC_CANCELLED = 1;
export const GRPC_UNKNOWN = 2;
export const GRPC_INVALID_ARGUMENT = 3;
export const GRPC_DEADLINE_EXCEEDED = 4;
export const GRPC_NOT_FOUND = 5;
export const GRPC_PERMISSION_DENIED = 7;
export const GRPC_RESOURCE_EXHAUSTED = 8;
export const GRPC_UNIMPLEMENTED = 12;
export const GRPC_INTERNAL = 13;
export const GRPC_UNAVAILABLE = 14;
export const GRPC_UNAUTHENTICATED = 16;

/** Names as gRPC's documents have them, by number. */
export const grpcNames = [
  'ok', 'cancelled', 'unknown', 'invalid-argument', 'deadline-exceeded', 'not-found', 'already-exists', 'permission-denied', 'resource-exhausted',
  'failed-precondition', 'aborted', 'out-of-range', 'unimplemented', 'internal', 'unavailable', 'data-loss', 'unauthenticated',
] as const;

/** HTTP-like status by grpc-status (google.rpc.Code's published mapping), so that logs, metrics and retry conditions mean the same everywhere. */
const http = [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401];

export function httpOfGrpc(status: number): number {
  return http[status] ?? 500;
}

/** grpc-status of a reply that has only an HTTP status: gRPC's "HTTP to gRPC Status Code Mapping", and 2xx as they are. */
export function grpcOfHttp(status: number): number {
  if (status < 300) return GRPC_OK;
  switch (status) {
    case 400: return GRPC_INTERNAL;
    case 401: return GRPC_UNAUTHENTICATED;
    case 403: return GRPC_PERMISSION_DENIED;
    case 404: return GRPC_UNIMPLEMENTED;
    case 429: case 502: case 503: case 504: return GRPC_UNAVAILABLE;
    default: return GRPC_UNKNOWN;
  }
}

const byKind: Readonly<Record<ReasonKind, number>> = {
  'ok': GRPC_OK,
  'bad-request': GRPC_INVALID_ARGUMENT,
  'forbidden': GRPC_PERMISSION_DENIED,
  // The method is not served here; NOT_FOUND would speak of something the method looked for.
  'not-found': GRPC_UNIMPLEMENTED,
  'too-large': GRPC_RESOURCE_EXHAUSTED,
  'limited': GRPC_RESOURCE_EXHAUSTED,
  'overload': GRPC_UNAVAILABLE,
  'unavailable': GRPC_UNAVAILABLE,
  'timeout': GRPC_DEADLINE_EXCEEDED,
  'bad-reply': GRPC_INTERNAL,
  'internal': GRPC_INTERNAL,
  'cancelled': GRPC_CANCELLED,
};

/** grpc-status of a reply that the proxy makes for a reason. */
export function grpcOfReason(code: ReasonCode): number {
  return byKind[reasons[code].kind];
}

/** Units of grpc-timeout in ms: hours, minutes, seconds, milli-, micro-, nanoseconds. */
const units: Readonly<Record<number, number>> = { 72: 3_600_000, 77: 60_000, 83: 1000, 109: 1, 117: 0.001, 110: 0.000001 };

/** Longest delay that timers take. */
const MAX_MS = 0x7fffffff;

/** At most eight digits and a unit; whole ms, at least 1. 0 when it is no timeout. */
export function grpcTimeout(buf: Uint8Array, start: number, end: number): number {
  const unit = units[buf[end - 1] ?? 0];
  if (unit === undefined || end - start < 2 || end - start > 9) return 0;
  let v = 0;
  for (let p = start; p < end - 1; p++) {
    const d = buf[p]! - 48;
    if (d < 0 || d > 9) return 0;
    v = v * 10 + d;
  }
  return Math.min(MAX_MS, Math.max(1, Math.ceil(v * unit)));
}

/** grpc-message as gRPC encodes it: UTF-8, with all but printable ASCII, and "%", percent-encoded. */
export function grpcMessage(text: string): string {
  let plain = true;
  for (let i = 0; i < text.length && plain; i++) {
    const c = text.charCodeAt(i);
    plain = c >= 32 && c <= 126 && c !== 37;
  }
  if (plain) return text;
  let encoded = '';
  for (const c of Buffer.from(text)) encoded += c >= 32 && c <= 126 && c !== 37 ? String.fromCharCode(c) : `%${c.toString(16).toUpperCase().padStart(2, '0')}`;
  return encoded;
}

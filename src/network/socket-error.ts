// Errors of sockets as values of the reason table: which side failed, in which phase of its life.
import { SluiceError, type ReasonCode } from '../core/reason.js';

/** The phases in which a socket can fail. */
export const WHILE_CONNECTING = 0;
export const WHILE_HANDSHAKING = 1;
export const WHILE_OPEN = 2;
export type SocketPhase = typeof WHILE_CONNECTING | typeof WHILE_HANDSHAKING | typeof WHILE_OPEN;

/** The short name of what went wrong: the errno, OpenSSL's code, or the message where there is neither. */
export function errorDetail(error: Error): string {
  const { code, reason } = error as Error & { code?: unknown; reason?: unknown };
  if (typeof reason === 'string' && reason !== '') return reason;
  return typeof code === 'string' && code !== '' ? code : error.message;
}

function codeOf(errno: string | undefined, accepted: boolean, phase: SocketPhase): ReasonCode {
  if (accepted) {
    if (phase === WHILE_HANDSHAKING) return 'downstream-tls-failed';
    return errno === 'ECONNRESET' ? 'downstream-reset' : 'downstream-closed';
  }
  if (phase === WHILE_CONNECTING) {
    if (errno === 'ECONNREFUSED') return 'connect-refused';
    return errno === 'ETIMEDOUT' ? 'connect-timeout' : 'connect-failed';
  }
  if (phase === WHILE_HANDSHAKING) return 'upstream-tls-failed';
  return errno === 'ECONNRESET' ? 'upstream-reset' : 'upstream-closed';
}

/**
 * The error of a socket. `accepted`: the peer is a client; else a host. `peer` as shown everywhere: "ip:port" or "unix:path".
 * `ms`: the limit a connect-timeout speaks of.
 */
export function socketError(error: Error, accepted: boolean, phase: SocketPhase, peer: string, ms: number): SluiceError {
  const errno = (error as NodeJS.ErrnoException).code;
  return new SluiceError(codeOf(errno, accepted, phase), { host: peer, address: peer, detail: errorDetail(error), errno, ms }, error);
}

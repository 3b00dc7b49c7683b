// Opens connections to hosts.
import { Connection, type Reader } from './connection.js';
import type { ClientTls } from './tls.js';
import { transport } from './transport/current.js';
import type { Target } from './transport/transport.js';

export type { Target } from './transport/transport.js';

export interface ConnectSettings {
  /** Milliseconds until the connection must be open, its TLS handshake included; 0 for no limit. */
  readonly timeout: number;
  readonly reader: Reader;
  readonly tls?: ClientTls | undefined;
  /** Name of the host, for SNI and its certificate, where `tls` names none; an IP address counts as none. */
  readonly hostname?: string | undefined;
  /** Milliseconds of quiet before TCP keep-alive probes; 0 or left out for none. */
  readonly keepAlive?: number | undefined;
}

/**
 * Begins to connect and returns at once, in state CONNECTING: what is written waits until the connection is open. A failure is
 * told to `reader.onClose`, never before this returns: connect-refused, connect-timeout, connect-failed or upstream-tls-failed, the
 * errno in `context.errno`.
 */
export function connect(target: Target, settings: ConnectSettings): Connection {
  const connection = new Connection(settings.reader);
  let handshake = null;
  if (settings.tls !== undefined) {
    handshake = settings.tls.handshake(target, settings.hostname ?? '');
    if (handshake instanceof Error) {
      const error = handshake;
      setImmediate(() => connection.wireClosed(error));
      return connection;
    }
  }
  transport().connect(target, { timeout: settings.timeout, tls: handshake, keepAlive: settings.keepAlive ?? 0 }, connection);
  return connection;
}

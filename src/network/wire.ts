// What a transport supplies for one socket, and what a connection gives back to it; the seam between Node's net and a native transport.
import type { SluiceError } from '../core/reason.js';

/** One socket of a transport. The transport attaches every handler and owns destroy; no error of a socket escapes it. */
export interface Wire {
  /**
   * Hands buf[start, end) to the socket. True when the kernel took all of it at once: the block may be reused.
   * False: the transport keeps the block until `wireDrained`; `unsent` counts its bytes.
   */
  send(buf: Uint8Array, start: number, end: number): boolean;
  /** Bytes given to `send` that the kernel has not taken. */
  readonly unsent: number;
  /** Stops and starts reading; idempotent. */
  pause(): void;
  resume(): void;
  /** Sends FIN after what was sent. */
  end(): void;
  /** Closes at once; with `reset` by RST where the transport can. Always followed by one `wireClosed`. */
  destroy(reset: boolean): void;
  setKeepAlive(on: boolean, delayMs: number): void;
  setNoDelay(on: boolean): void;
  /** The underlying descriptor's owner for a hand-over (net.Socket for the node transport); the wire is dead afterwards. */
  detach(): unknown;
}

/** What a transport calls; implemented by Connection. */
export interface WireEvents {
  /** Bytes arrived. Not `owned`: the buffer is reused after the call. */
  wireData(buf: Uint8Array, start: number, end: number, owned: boolean): void;
  /** The socket is connected (and, for TLS, the handshake is done). */
  wireOpen(): void;
  /** The peer sent FIN. */
  wireEnd(): void;
  /** All bytes given to `send` have been taken by the kernel. */
  wireDrained(): void;
  /** The socket is closed, once and last. `error` is null for an orderly close. */
  wireClosed(error: SluiceError | null): void;
}

/** Facts of a connection that do not change after it opened; filled by listener filters and TLS. */
export class ConnectionInfo {
  remoteAddress = '';
  remotePort = 0;
  localAddress = '';
  localPort = 0;
  /** Address the client dialled where it differs from the local one (PROXY protocol, original destination). */
  originalAddress = '';
  originalPort = 0;
  /** What a listener filter saw in the first bytes; '' where none looked. */
  detected: '' | 'tls' | 'plain' = '';
  /** True once TLS is established on this connection. */
  secure = false;
  /** Server name of the ClientHello, lower case; '' without. */
  serverName = '';
  /** Protocol agreed by ALPN; the first one that the client offers where TLS passes through unopened; '' without. */
  alpn = '';
  /** Subject of the peer's verified certificate; '' without. */
  peerSubject = '';
  tlsVersion = '';
}

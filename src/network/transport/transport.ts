// What a transport is: the maker of sockets behind connections, listeners and datagram ports. Nothing else in the program makes a socket.
import type { SecureContext, SecureContextOptions } from 'node:tls';
import type { Connection } from '../connection.js';

/** Where to connect to: an address and port, or the path of a unix socket (then host and port mean nothing). */
export interface Target {
  readonly host: string;
  readonly port: number;
  readonly path?: string;
}

/** What a transport asks when it opens TLS to a host; see `ClientTls` in tls.ts. */
export interface ClientHandshake {
  readonly context: SecureContext;
  /** Name sent as SNI and compared with the certificate; '' sends none and compares the address. */
  readonly serverName: string;
  readonly alpn: readonly string[];
  /** False only where the configuration says `insecure_skip_verify`. */
  readonly verify: boolean;
  /** A session to resume, or null; a new one is handed to `keepSession`. */
  readonly session: Buffer | null;
  keepSession(session: Buffer): void;
}

export interface ConnectOptions {
  /** Milliseconds until connect-timeout, the TLS handshake included; 0 for none. */
  readonly timeout: number;
  readonly tls: ClientHandshake | null;
  /** Idle milliseconds before TCP keep-alive probes; 0 for none. */
  readonly keepAlive: number;
}

/** What handshakes as a server need; a change of certificates makes a new one. */
export interface ServerHandshake {
  /** Certificate, key, CA and versions for a client that names no server. */
  readonly defaults: SecureContextOptions;
  /** Context for an SNI name; null: the default one. */
  select(serverName: string): SecureContext | null;
  /** In order of preference; empty: ALPN is not answered. */
  readonly alpn: readonly string[];
  /** `optional`: a client without a certificate is let in, one whose certificate does not verify is not. */
  readonly clientAuth: 'none' | 'optional' | 'required';
}

export interface BindAddress {
  readonly host: string;
  readonly port: number;
  readonly path?: string;
}

export interface ListenOptions {
  /** Connections the kernel completes ahead of us. */
  readonly backlog: number;
  /** Share the address with the same listener of other threads, where the transport can. */
  readonly share: boolean;
  /** Whether `secure` may be called on a connection accepted now: the transport then reads it in a way that TLS can take over. */
  mayBeSecured(): boolean;
  /** Accepting failed (descriptors used up, for instance); the server lives on. */
  onError(error: NodeJS.ErrnoException): void;
}

export interface ServerHandle {
  /** As bound: the port is the real one where 0 was asked for. */
  readonly address: BindAddress;
  /** Stops accepting and frees the address; connections are not touched. Resolves when the address is free. */
  close(): Promise<void>;
}

/** A bound datagram socket. */
export interface DatagramPort {
  readonly address: BindAddress;
  /** Sends one datagram; for a connected port host is '' and port 0. Loss is silent, as with any datagram. */
  send(bytes: Uint8Array, port: number, host: string): void;
  close(): void;
}

export interface DatagramEvents {
  /** One datagram; the bytes belong to the receiver. */
  onDatagram(bytes: Buffer, host: string, port: number): void;
  /** The port failed or, when connected, its peer refused (ECONNREFUSED); it is closed by its owner. */
  onDatagramError(error: NodeJS.ErrnoException): void;
}

/** Receives each accepted connection, in state CONNECTING: sets its reader, then calls `connection.wireOpen()` or `transport.secure`, now or later. */
export type Accept = (connection: Connection) => void;

export interface Transport {
  readonly name: string;
  /** Whether several threads may each listen on one address (SO_REUSEPORT). */
  readonly sharesListeners: boolean;
  /** Opens a socket for `connection`, whose state is CONNECTING. Every failure comes later, as wireClosed. */
  connect(target: Target, options: ConnectOptions, connection: Connection): void;
  /** Rejects with the errno of the bind. Accepted connections are read from the moment `accept` returns. */
  listen(address: BindAddress, options: ListenOptions, accept: Accept): Promise<ServerHandle>;
  /**
   * Begins TLS as the server on an accepted connection that is still CONNECTING; `unread`, bytes that were
   * received in plain, becomes the first of the handshake. Ends with `wireOpen`, the connection's info filled in, or with `wireClosed`.
   */
  secure(connection: Connection, acceptor: TlsAcceptor, unread: Buffer): void;
  /** Prepares server handshakes; kept for as long as the connections made with it live. */
  tlsAcceptor(handshake: ServerHandshake): TlsAcceptor;
  /** A port that receives from anywhere. Rejects with the errno of the bind. */
  bindDatagrams(address: BindAddress, share: boolean, events: DatagramEvents): Promise<DatagramPort>;
  /** A port whose one peer is `target`; errors come through `events`. */
  connectDatagrams(target: Target, events: DatagramEvents): DatagramPort;
}

/** Opaque to all but the transport that made it. */
export interface TlsAcceptor {
  close(): void;
}

// TLS as the server, on sockets that are already accepted: a tls.Server that never listens, into which connections are put by hand.
import type { Socket } from 'node:net';
import * as tls from 'node:tls';
import type { Connection } from '../connection.js';
import type { NodeWire, WireSocket } from './node-wire.js';
import type { ServerHandshake, TlsAcceptor } from './transport.js';

/** "CN=a,O=b" out of Node's "O=b\nCN=a": most specific part first, as RFC 2253 and Envoy write it. */
function subjectOf(socket: tls.TLSSocket): string {
  const subject = socket.getPeerX509Certificate()?.subject ?? '';
  return subject.split('\n').reverse().join(',');
}

/** The socket that a TLS socket was made over; tls.Server does not say it in any documented way. */
function rawOf(socket: tls.TLSSocket): Socket | undefined {
  return (socket as tls.TLSSocket & { _parent?: Socket })._parent;
}

export class NodeTlsAcceptor implements TlsAcceptor {
  private readonly server: tls.Server;
  private readonly clientAuth: ServerHandshake['clientAuth'];
  /** Connections in their handshake, by the socket they were accepted on. */
  private readonly waiting = new Map<Socket, NodeWire>();

  constructor(handshake: ServerHandshake) {
    this.clientAuth = handshake.clientAuth;
    this.server = tls.createServer({
      ...handshake.defaults,
      SNICallback: (name, answer) => answer(null, handshake.select(name.toLowerCase()) ?? undefined),
      ALPNProtocols: handshake.alpn.length > 0 ? [...handshake.alpn] : undefined,
      requestCert: handshake.clientAuth !== 'none',
      rejectUnauthorized: handshake.clientAuth === 'required',
    });
    this.server.on('secureConnection', (socket) => this.secured(socket));
    this.server.on('tlsClientError', (error, socket) => {
      const raw = rawOf(socket);
      if (raw !== undefined) this.waiting.get(raw)?.failed(error);
      socket.destroy();
    });
  }

  accept(connection: Connection, unread: Buffer): void {
    const wire = connection.wire as NodeWire;
    const raw = wire.release(unread);
    this.waiting.set(raw, wire);
    raw.once('close', () => this.waiting.delete(raw));
    // A client that ends its side amid the handshake is gone; once it is established it may end its side and read on.
    raw.allowHalfOpen = false;
    this.server.emit('connection', raw);
  }

  private secured(socket: tls.TLSSocket): void {
    const raw = rawOf(socket);
    const wire = raw === undefined ? undefined : this.waiting.get(raw);
    if (raw === undefined || wire === undefined) {
      socket.destroy();
      return;
    }
    this.waiting.delete(raw);
    // With `optional` a missing certificate is let in; one that was shown must verify. (`required` was judged by tls.Server.)
    if (this.clientAuth === 'optional' && !socket.authorized && socket.getPeerX509Certificate() !== undefined) {
      wire.failed(new Error(`the client certificate does not verify: ${String(socket.authorizationError)}`));
      socket.destroy();
      return;
    }
    const { connection } = wire;
    const info = connection.info;
    info.secure = true;
    info.serverName = typeof socket.servername === 'string' ? socket.servername.toLowerCase() : '';
    info.alpn = typeof socket.alpnProtocol === 'string' ? socket.alpnProtocol : '';
    info.tlsVersion = socket.getProtocol() ?? '';
    if (this.clientAuth !== 'none' && socket.authorized) info.peerSubject = subjectOf(socket);
    socket.allowHalfOpen = true;
    wire.secured(socket as WireSocket);
    connection.wireOpen();
  }

  close(): void {
    for (const wire of this.waiting.values()) wire.destroy(true);
    this.waiting.clear();
  }
}

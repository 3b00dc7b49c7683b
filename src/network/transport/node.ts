// The transport over Node's own net, tls and dgram: runs everywhere, and carries TLS in any case.
import * as net from 'node:net';
import * as tls from 'node:tls';
import { showAddress } from '../../core/config/address.js';
import { SluiceError } from '../../core/reason.js';
import { Connection, type Reader } from '../connection.js';
import { ConnectionInfo } from '../wire.js';
import { bindDatagrams, connectDatagrams } from './node-datagram.js';
import { NodeTlsAcceptor } from './node-tls.js';
import { NodeWire, onread, WIRE, type WireSocket } from './node-wire.js';
import type { Accept, BindAddress, ClientHandshake, ConnectOptions, ListenOptions, ServerHandle, ServerHandshake, Target, TlsAcceptor, Transport } from './transport.js';

/** "::ffff:10.0.0.1", as a dual-stack listener shows an IPv4 peer, is plain 10.0.0.1 everywhere in Sluice. */
function plainAddress(address: string | undefined): string {
  if (address === undefined) return '';
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address;
}

/** `reusePort` of net came with 23.1 and 22.12. */
function knowsReusePort(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > 23 || (major === 23 && minor >= 1) || (major === 22 && minor >= 12);
}

/**
 * An accepted socket reads by events, with an allocation of 64 KiB for each; `onread` exists for outgoing ones only. The handle of an
 * accepted one can be put into a socket of our own, by two names that Node does not document; where they are missing, events remain.
 */
function readDirectly(accepted: net.Socket): net.Socket | null {
  type WithHandle = net.Socket & { _handle?: { useUserBuffer?: unknown } | null };
  const former = accepted as WithHandle;
  const handle = former._handle;
  if (handle === undefined || handle === null || typeof handle.useUserBuffer !== 'function') return null;
  const socket: WithHandle = new net.Socket({ handle, onread, allowHalfOpen: true } as net.SocketConstructorOpts);
  if (socket._handle !== handle) return null;
  former._handle = null;
  return socket;
}

const nobody: Reader = {
  onBytes: () => 0,
  onOpen() {},
  onEnd() {},
  onDrain() {},
  onClose() {},
};

function fillInfo(info: ConnectionInfo, socket: net.Socket, path: string | undefined): void {
  if (path !== undefined) {
    // A client's end of a unix socket has no name.
    info.localAddress = `unix:${path}`;
    info.remoteAddress = 'unix:';
    return;
  }
  info.remoteAddress = plainAddress(socket.remoteAddress);
  info.remotePort = socket.remotePort ?? 0;
  info.localAddress = plainAddress(socket.localAddress);
  info.localPort = socket.localPort ?? 0;
}

function plainSocket(target: Target): net.Socket {
  const options = { noDelay: true, allowHalfOpen: true, onread };
  if (target.path !== undefined) return net.connect({ path: target.path, ...options });
  return net.connect({ host: target.host, port: target.port, ...options });
}

function tlsSocket(target: Target, handshake: ClientHandshake): tls.TLSSocket {
  const options: tls.ConnectionOptions & { allowHalfOpen: boolean } = {
    secureContext: handshake.context,
    // An empty name sends no SNI, and the certificate is compared with the host's address.
    servername: handshake.serverName,
    ALPNProtocols: handshake.alpn.length > 0 ? [...handshake.alpn] : undefined,
    rejectUnauthorized: handshake.verify,
    session: handshake.session ?? undefined,
    allowHalfOpen: true,
  };
  const socket = tls.connect(target.path === undefined ? { ...options, host: target.host, port: target.port } : { ...options, path: target.path });
  socket.setNoDelay(true);
  return socket;
}

function onConnect(this: WireSocket): void {
  this[WIRE]?.opened();
}
function onTlsConnect(this: WireSocket): void {
  this[WIRE]?.handshaking();
}
function onSecureConnect(this: WireSocket): void {
  const wire = this[WIRE];
  if (wire === undefined) return;
  const socket = this as WireSocket & tls.TLSSocket;
  const { info } = wire.connection;
  info.secure = true;
  info.alpn = typeof socket.alpnProtocol === 'string' ? socket.alpnProtocol : '';
  info.tlsVersion = socket.getProtocol() ?? '';
  wire.opened();
}

class NodeServer implements ServerHandle {
  readonly address: BindAddress;
  private readonly server: net.Server;

  constructor(server: net.Server, asked: BindAddress) {
    this.server = server;
    const bound = server.address();
    this.address = bound !== null && typeof bound === 'object' ? { host: plainAddress(bound.address), port: bound.port } : asked;
  }

  close(): Promise<void> {
    // The callback waits for all connections; the listening handle itself is closed at once.
    return new Promise((resolve) => {
      this.server.close();
      setImmediate(resolve);
    });
  }
}

export class NodeTransport implements Transport {
  readonly name = 'node';
  readonly sharesListeners = process.platform === 'linux' && knowsReusePort(process.versions.node);

  connect(target: Target, options: ConnectOptions, connection: Connection): void {
    const peer = showAddress(target);
    const info = connection.info;
    info.remoteAddress = target.path === undefined ? target.host : peer;
    info.remotePort = target.path === undefined ? target.port : 0;
    let socket: WireSocket;
    try {
      socket = options.tls === null ? plainSocket(target) : tlsSocket(target, options.tls);
    } catch (thrown) {
      const detail = thrown instanceof Error ? thrown.message : String(thrown);
      setImmediate(() => connection.wireClosed(new SluiceError('connect-failed', { host: peer, detail }, thrown)));
      return;
    }
    const wire = new NodeWire(connection, socket, false, options.tls === null, peer);
    connection.attach(wire);
    wire.openWithin(options.timeout);
    if (options.keepAlive > 0) socket.setKeepAlive(true, options.keepAlive);
    if (options.tls === null) {
      socket.on('connect', onConnect);
      return;
    }
    const handshake = options.tls;
    info.serverName = handshake.serverName;
    wire.holdWrites();
    socket.on('connect', onTlsConnect);
    socket.on('secureConnect', onSecureConnect);
    socket.on('session', (session: Buffer) => handshake.keepSession(session));
  }

  listen(address: BindAddress, options: ListenOptions, accept: Accept): Promise<ServerHandle> {
    const server = net.createServer({ allowHalfOpen: true, noDelay: true });
    server.on('connection', (accepted: net.Socket) => {
      const own = options.mayBeSecured() ? null : readDirectly(accepted);
      const socket = own ?? accepted;
      const info = new ConnectionInfo();
      fillInfo(info, socket, address.path);
      const connection = new Connection(nobody, info);
      const peer = address.path === undefined ? showAddress({ host: info.remoteAddress, port: info.remotePort }) : 'unix:';
      const wire = new NodeWire(connection, socket, true, own !== null, peer);
      connection.attach(wire);
      accept(connection);
      wire.start();
    });
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      const where = address.path === undefined ? { host: address.host, port: address.port } : { path: address.path };
      const shared = options.share && this.sharesListeners ? { reusePort: true } : null;
      server.listen({ ...where, ...shared, backlog: options.backlog }, () => {
        server.off('error', reject);
        server.on('error', (error) => options.onError(error));
        resolve(new NodeServer(server, address));
      });
    });
  }

  secure(connection: Connection, acceptor: TlsAcceptor, unread: Buffer): void {
    (acceptor as NodeTlsAcceptor).accept(connection, unread);
  }

  tlsAcceptor(handshake: ServerHandshake): TlsAcceptor {
    return new NodeTlsAcceptor(handshake);
  }

  readonly bindDatagrams = bindDatagrams;
  readonly connectDatagrams = connectDatagrams;
}

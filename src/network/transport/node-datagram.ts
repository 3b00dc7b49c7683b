// UDP over node:dgram: a port that receives from anywhere, and a port whose one peer is a host.
import * as dgram from 'node:dgram';
import { isIPv6 } from 'node:net';
import type { BindAddress, DatagramEvents, DatagramPort, Target } from './transport.js';

/** Datagrams that may wait while a port connects (a few microseconds); more are lost, as datagrams may be. */
const MAX_WAITING = 64;

class NodeDatagramPort implements DatagramPort {
  private bound: BindAddress = { host: '', port: 0 };
  private readonly socket: dgram.Socket;
  private readonly events: DatagramEvents;
  private waiting: Uint8Array[] | null = null;
  private closed = false;
  /** One for all sends: what went wrong with a single datagram concerns its receiver, not us. */
  private readonly onSent = (error: Error | null): void => {
    if (error !== null && !this.closed && (error as NodeJS.ErrnoException).code === 'ECONNREFUSED') this.failed(error);
  };

  constructor(socket: dgram.Socket, events: DatagramEvents) {
    this.socket = socket;
    this.events = events;
    socket.on('message', (bytes, from) => {
      if (!this.closed) this.events.onDatagram(bytes, from.address, from.port);
    });
  }

  get address(): BindAddress {
    return this.bound;
  }

  failed(error: NodeJS.ErrnoException): void {
    if (!this.closed) this.events.onDatagramError(error);
  }

  listening(): void {
    const { address, port } = this.socket.address();
    this.bound = { host: address, port };
    this.socket.on('error', (error) => this.failed(error));
  }

  connect(target: Target): void {
    this.waiting = [];
    this.socket.on('error', (error) => this.failed(error));
    this.socket.connect(target.port, target.host, () => {
      const waiting = this.waiting;
      this.waiting = null;
      if (this.closed || waiting === null) return;
      for (const bytes of waiting) this.send(bytes, 0, '');
    });
  }

  send(bytes: Uint8Array, port: number, host: string): void {
    if (this.closed) return;
    if (this.waiting !== null) {
      if (this.waiting.length < MAX_WAITING) this.waiting.push(bytes);
      return;
    }
    if (host === '') this.socket.send(bytes, this.onSent);
    else this.socket.send(bytes, 0, bytes.length, port, host, this.onSent);
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.waiting = null;
    // A connect still under way may fail after the close; nobody wants to know then.
    this.socket.removeAllListeners('error');
    this.socket.on('error', () => {});
    this.socket.close();
  }
}

export function bindDatagrams(address: BindAddress, share: boolean, events: DatagramEvents): Promise<DatagramPort> {
  const type = isIPv6(address.host) ? 'udp6' : 'udp4';
  const socket = dgram.createSocket({ type, ...(share ? { reusePort: true } : {}) });
  const port = new NodeDatagramPort(socket, events);
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.bind({ address: address.host, port: address.port, exclusive: true }, () => {
      socket.off('error', reject);
      port.listening();
      resolve(port);
    });
  });
}

export function connectDatagrams(target: Target, events: DatagramEvents): DatagramPort {
  const port = new NodeDatagramPort(dgram.createSocket(isIPv6(target.host) ? 'udp6' : 'udp4'), events);
  port.connect(target);
  return port;
}

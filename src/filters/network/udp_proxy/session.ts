// One client's datagrams: a port of our own that is connected to one host, for as long as something moves.
import { clock, now } from '../../../core/clock.js';
import { Deadline, type DeadlineOwner } from '../../../core/deadline.js';
import { SluiceError } from '../../../core/reason.js';
import type { DatagramListener } from '../../../network/filter.js';
import { ConnectionRecord } from '../../../network/record.js';
import { transport } from '../../../network/transport/current.js';
import type { DatagramEvents, DatagramPort } from '../../../network/transport/transport.js';
import type { Host, HostPool } from '../../../network/upstream/host.js';
import type { ConnectionInfo } from '../../../network/wire.js';
import type { UdpProxy } from './proxy.js';

export class UdpSession implements DatagramEvents, HostPool, DeadlineOwner {
  private readonly proxy: UdpProxy;
  private readonly key: string;
  private readonly info: ConnectionInfo;
  private readonly host: Host;
  private readonly listener: DatagramListener;
  private readonly port: DatagramPort;
  private readonly record: ConnectionRecord;
  private readonly startedAt = now();
  private readonly idle: Deadline;
  private over = false;

  /** The caller holds a connection of the cluster's breaker and the filters' leave; both are given back by `end`. */
  constructor(proxy: UdpProxy, key: string, info: ConnectionInfo, host: Host, listener: DatagramListener) {
    this.proxy = proxy;
    this.key = key;
    this.info = info;
    this.host = host;
    this.listener = listener;
    this.record = new ConnectionRecord(proxy.context.listener, 'udp', info, clock.wall());
    this.record.cluster = host.cluster.name;
    this.record.host = host.address;
    host.connections++;
    host.cluster.stats.active_connections.inc();
    host.cluster.stats.connects.inc();
    this.idle = new Deadline(this, 0);
    this.idle.set(proxy.config.idle_timeout);
    this.port = transport().connectDatagrams(host.target, this);
    host.hold(this);
  }

  forward(bytes: Buffer): void {
    if (this.over) return;
    this.record.bytesIn += bytes.length;
    this.proxy.received.inc();
    this.idle.set(this.proxy.config.idle_timeout);
    this.port.send(bytes, 0, '');
  }

  onDatagram(bytes: Buffer): void {
    if (this.over) return;
    this.record.bytesOut += bytes.length;
    this.proxy.sent.inc();
    this.idle.set(this.proxy.config.idle_timeout);
    this.listener.send(bytes, this.info.remotePort, this.info.remoteAddress);
  }

  /** The host said that nobody listens there: the client's next datagram may go elsewhere. */
  onDatagramError(error: NodeJS.ErrnoException): void {
    const refused = error.code === 'ECONNREFUSED';
    this.host.cluster.stats.connect_failures.inc();
    this.host.stats.connect_failures.inc();
    this.end(new SluiceError(refused ? 'connect-refused' : 'connect-failed', { host: this.host.address, detail: error.code ?? error.message }, error));
  }

  onDeadline(): void {
    this.end(null);
  }

  end(error: SluiceError | null): void {
    if (this.over) return;
    this.over = true;
    const { host, record, proxy } = this;
    this.idle.cancel();
    this.port.close();
    host.connections--;
    host.unhold(this);
    host.cluster.stats.active_connections.dec();
    host.cluster.breaker.releaseConnection();
    this.listener.leave(this.info);
    record.duration = now() - this.startedAt;
    if (error !== null) {
      record.code = error.code;
      record.detail = error.message;
    }
    proxy.ended(this.key, record.code);
    proxy.context.record(record);
  }

  /** The host is going: the client's next datagram begins a session with another. */
  drain(): void {
    this.end(null);
  }

  close(): void {
    this.end(null);
  }
}

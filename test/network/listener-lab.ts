// A listener with everything around it for tests: counters, a catalog of the built-in filters, clusters by hand or real ones, an echo as its owner.
import { type ClusterConfig } from '../../src/network/upstream/config.js';
import type { Clusters } from '../../src/network/filter.js';
import { log } from '../../src/core/log.js';
import { Catalog, type Manifest } from '../../src/core/manifest.js';
import type { SluiceError } from '../../src/core/reason.js';
import { Stats } from '../../src/core/stats.js';
import { manifest as proxyProtocol } from '../../src/filters/listener/proxy_protocol/manifest.js';
import { manifest as tlsInspector } from '../../src/filters/listener/tls_inspector/manifest.js';
import { manifest as connectionLimit } from '../../src/filters/network/connection_limit/manifest.js';
import { manifest as ipAccess } from '../../src/filters/network/ip_access/manifest.js';
import { manifest as tcpProxy } from '../../src/filters/network/tcp_proxy/manifest.js';
import { manifest as udpProxy } from '../../src/filters/network/udp_proxy/manifest.js';
import { type FilterConfig, type ListenerConfig, serverTlsSchema, type ServerTlsConfig } from '../../src/network/config.js';
import type { Connection, Reader } from '../../src/network/connection.js';
import { Listener, type ListenerDeps } from '../../src/network/listener.js';
import type { ConnectionRecord } from '../../src/network/record.js';

export type { ClusterConfig };

export const CERTS = 'test/support/certs';
export const filters: Manifest[] = [proxyProtocol, tlsInspector, connectionLimit, ipAccess, tcpProxy, udpProxy];

/** A filter as the configuration holds it once its options are decoded. */
export function filter(type: string, options: Record<string, unknown> = {}): FilterConfig {
  const manifest = filters.find((one) => one.name === type)!;
  return { type, options: manifest.schema.parse(options) };
}

export function serverTls(options: Record<string, unknown> = {}): ServerTlsConfig {
  return serverTlsSchema().parse({ certificates: [{ cert: `${CERTS}/localhost.pem`, key: `${CERTS}/localhost.key` }], ...options });
}

/** The owner of accepted connections: sends everything back behind a mark, and keeps what happened. */
export class Owner implements Reader {
  readonly connections: Connection[] = [];
  readonly ended: string[] = [];
  text = '';

  accept(connection: Connection): void {
    this.connections.push(connection);
    connection.reader = this;
  }

  onOpen(): void {
    throw new Error('an accepted connection is open already');
  }

  onBytes(connection: Connection, buf: Uint8Array, start: number, end: number): number {
    this.text += Buffer.from(buf.subarray(start, end)).toString('latin1');
    connection.write(Buffer.from('>'), 0, 1);
    connection.write(buf, start, end);
    return end - start;
  }

  onEnd(connection: Connection): void {
    connection.end();
  }

  onDrain(): void {}

  onClose(_connection: Connection, error: SluiceError | null): void {
    this.ended.push(error?.code ?? '');
  }
}

export class ListenerLab {
  readonly stats = new Stats();
  readonly owner = new Owner();
  readonly records: ConnectionRecord[] = [];
  readonly listener: Listener;

  constructor(config: Partial<ListenerConfig>, deps: Partial<ListenerDeps> = {}, clusters: Clusters = { get: () => undefined }) {
    this.listener = new Listener(
      { name: 'test', address: { host: '127.0.0.1', port: 0 }, protocol: 'echo', ...config },
      {
        stats: this.stats,
        log: log.child('test'),
        catalog: new Catalog(filters),
        clusters,
        accept: (connection) => this.owner.accept(connection),
        record: (record) => this.records.push(record),
        ...deps,
      },
    );
  }

  async start(): Promise<this> {
    await this.listener.start();
    return this;
  }

  get port(): number {
    return this.listener.address.port;
  }

  /** The value of a counter or gauge of the listener. */
  stat(name: string, labels: Record<string, string> = {}): number {
    const all = { listener: this.listener.name, ...labels };
    return (name.endsWith('_total') ? this.stats.counter(name, '', all) : this.stats.gauge(name, '', all)).value;
  }
}

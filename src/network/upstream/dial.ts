// A socket-like Duplex to a host of a cluster, so that a client library's connection is balanced, broken and counted like any other.
import { Duplex } from 'node:stream';
import { Deadline, type DeadlineOwner } from '../../core/deadline.js';
import { SluiceError } from '../../core/reason.js';
import { CLOSED, CONNECTING, PAUSE_USER, type Connection, type Reader } from '../connection.js';
import type { Cluster } from './cluster.js';
import type { Host, HostPool } from './host.js';

export interface DialOptions {
  /** As of net.Socket: false (the default) ends our side too when the peer ends its own. */
  readonly allowHalfOpen?: boolean;
  /** For hashing balancers. */
  readonly hash?: number;
}

type Callback = (error?: Error | null) => void;

/**
 * What client libraries use of a net.Socket: the stream itself, `connect`, `ready`, `timeout`, `end`, `close` and `error` events, and the
 * members below. `ref` and `unref` do nothing: connections never decide how long the process lives. An error is a SluiceError whose
 * `code` says what happened; `cause` holds the system's error where there is one.
 */
export class DialSocket extends Duplex implements Reader, DeadlineOwner, HostPool {
  timeout = 0;
  remoteAddress: string | undefined;
  remotePort: number | undefined;
  private readonly cluster: Cluster | undefined;
  private host: Host | null = null;
  private connection: Connection | null = null;
  private opened = false;
  private reads = 0;
  private writes = 0;
  private blockedWrite: Callback | null = null;
  private destroyed2: { error: Error | null; callback: Callback } | null = null;
  private idle: Deadline | null = null;
  private idleSince = 0;

  constructor(name: string, cluster: Cluster | undefined, options: DialOptions) {
    super({ allowHalfOpen: options.allowHalfOpen ?? false, emitClose: true, autoDestroy: true });
    this.cluster = cluster;
    if (cluster === undefined) {
      this.fail(new SluiceError('no-cluster', { cluster: name }));
      return;
    }
    const host = cluster.pick(options.hash ?? 0, null);
    if (host === null) {
      this.fail(new SluiceError(cluster.noneReason(), { cluster: name }));
      return;
    }
    if (!cluster.breaker.tryConnection()) {
      this.fail(new SluiceError('breaker-connections', { cluster: name, limit: cluster.config.breaker.max_connections }));
      return;
    }
    this.host = host;
    host.connections++;
    cluster.stats.active_connections.inc();
    host.hold(this);
    this.connection = cluster.connect(host, this);
  }

  onOpen(_c: Connection): void {}
  onBytes(_c: Connection, _buf: Uint8Array, start: number, end: number, _owned: boolean): number {
    return end - start;
  }
  onEnd(_c: Connection): void {}
  onDrain(_c: Connection): void {}
  onClose(_c: Connection, _error: SluiceError | null): void {}
  onDeadline(): void {}
  drain(): void {}
  close(): void {}

  private fail(error: SluiceError): void {
    this.destroy(error);
  }
}
void [CLOSED, CONNECTING, PAUSE_USER];

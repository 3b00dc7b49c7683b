// What is known of a finished connection (or UDP session) that was carried as plain bytes: the one source of its log line and metrics.
import type { ReasonCode } from '../core/reason.js';
import type { ConnectionInfo } from './wire.js';

/** One attempt to reach a host. `code` is '' for the one that was connected. */
export interface ConnectAttempt {
  readonly host: string;
  readonly code: ReasonCode | '';
  readonly errno: string;
  readonly ms: number;
}

export class ConnectionRecord {
  readonly listener: string;
  readonly protocol: 'tcp' | 'udp';
  readonly info: ConnectionInfo;
  /** '' while no route has matched. */
  cluster = '';
  /** Address of the host that served it; '' where none was reached. */
  host = '';
  /** Wall clock, ms since 1970, and duration in ms. */
  readonly startedAt: number;
  duration = 0;
  /** Client to host, and host to client; what was handed on, not what was received. */
  bytesIn = 0;
  bytesOut = 0;
  /** '' for an orderly end. */
  code: ReasonCode | '' = '';
  /** The reason's sentence, with its parts filled in; '' for an orderly end. */
  detail = '';
  readonly attempts: ConnectAttempt[] = [];

  constructor(listener: string, protocol: 'tcp' | 'udp', info: ConnectionInfo, startedAt: number) {
    this.listener = listener;
    this.protocol = protocol;
    this.info = info;
    this.startedAt = startedAt;
  }
}

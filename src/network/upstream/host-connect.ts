// Opens connections as a cluster's TLS section says; used for traffic in the workers and for health checks on the main thread.
import { log } from '../../core/log.js';
import { connect } from '../connect.js';
import type { Connection, Reader } from '../connection.js';
import { clientTls } from '../tls.js';
import type { Target } from './snapshot.js';

/** Connects to `target`, known as `hostname`, within `timeout` ms; `keepAlive` ms of quiet before TCP keep-alives, 0 for none. */
export type HostConnect = (target: Target, hostname: string, timeout: number, keepAlive: number, reader: Reader) => Connection;

/** `tls` is the decoded `tls` section of the cluster, or null. */
export function hostConnect(tls: unknown, cluster: string): HostConnect {
  const client = tls === null ? undefined : clientTls(tls, log.child('tls').child(cluster));
  return (target, hostname, timeout, keepAlive, reader) => connect(target, { timeout, keepAlive, reader, tls: client, hostname });
}

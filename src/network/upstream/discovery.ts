// What a discovery is: it finds the hosts of a cluster, on the main thread, and tells of every change.
import type { Manifest } from '../../core/manifest.js';
import type { HostConfig } from './config.js';
import type { Target } from './snapshot.js';

export interface FoundHost {
  /** Identity within the cluster: "ip:port", "[ip6]:port" or "unix:/path". */
  readonly address: string;
  readonly target: Target;
  readonly hostname: string;
  readonly weight: number;
  readonly metadata: Readonly<Record<string, string>>;
}

export interface DiscoverySink {
  /** All hosts there are now, whether or not that differs from before. */
  onHosts(hosts: readonly FoundHost[]): void;
}

/** What a discovery says of itself to the admin and to `ready`; plain data. */
export interface DiscoveryState {
  /** False until every part of it has given a first answer, be it a failure. */
  readonly settled: boolean;
  /** The last failure in words, '' when the last attempt went well. */
  readonly error: string;
  /** Milliseconds until it asks again; -1 when it never does. */
  readonly nextRefresh: number;
  /** One entry for each name asked, where names are asked. */
  readonly sources: readonly { readonly name: string; readonly hosts: number; readonly error: string; readonly nextRefresh: number }[];
}

export interface Discovery {
  /** Begins; the sink may be called from within. */
  start(sink: DiscoverySink): void;
  /** Takes over a changed list of configured hosts without forgetting what is known of those that stay. */
  update(hosts: readonly HostConfig[]): void;
  state(): DiscoveryState;
  close(): void;
}

export interface DiscoveryManifest extends Manifest {
  readonly kind: 'discovery';
  /** `options` is what `schema` decoded, including `type`; `hosts` the cluster's `hosts`. */
  create(options: unknown, hosts: readonly HostConfig[], cluster: string): Discovery;
}

// What a discovery is: it finds the hosts of a cluster, on the main thread, and tells of every change.
import type { HostConfig } from '../../core/config/schema.js';
import { showAddress } from '../../core/config/schema.js';
import type { Manifest } from '../../core/manifest.js';
import type { Registry } from './registry.js';
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
  /** All hosts there are now, whether or not that differs from before; an address that comes twice counts once, the first. */
  onHosts(hosts: readonly FoundHost[]): void;
}

export interface DiscoverySource {
  readonly name: string;
  readonly addresses: readonly string[];
  /** The last failure in words, '' when the last attempt went well. */
  readonly error: string;
  /** Milliseconds until it is asked again; -1 for never. */
  readonly nextRefresh: number;
}

/** What a discovery says of itself to the admin and to `ready`; plain data. */
export interface DiscoveryState {
  /** False until every part of it has given a first answer, be it a failure. */
  readonly settled: boolean;
  /** The failures of its sources in words, '' when there is none. */
  readonly error: string;
  /** Milliseconds until the first source is asked again; -1 for never. */
  readonly nextRefresh: number;
  readonly sources: readonly DiscoverySource[];
}

export interface Discovery {
  /** Begins; the sink may be called from within. As long as nothing is known it is not called, so that hosts of before may stay. */
  start(sink: DiscoverySink): void;
  /** Takes over a changed list of configured hosts without forgetting what is known of those that stay. */
  update(hosts: readonly HostConfig[]): void;
  state(): DiscoveryState;
  /** Ends; the sink is not called any more. */
  close(): void;
}

/** Has either `create`, for hosts that the configuration lists, or `registry`, for services that are found by name. */
export interface DiscoveryManifest extends Manifest {
  readonly kind: 'discovery';
  /** `options` is what `schema` decoded, including `type`; `hosts` the cluster's `hosts`. */
  create?(options: unknown, hosts: readonly HostConfig[], cluster: string): Discovery;
  /** `options` is what `schema` decoded, without what names a service; see registry.ts. */
  registry?(options: unknown): Registry;
  /** The options with relative paths resolved against the directory of the configuration file. */
  absolute?(options: unknown, directory: string): unknown;
}

/** The host that a configured one with this IP address (or unix socket) is. */
export function foundHost(config: HostConfig, ip = config.address.host): FoundHost {
  const { port, path } = config.address;
  const target: Target = path === undefined ? { host: ip, port } : { host: '', port: 0, path };
  const hostname = config.hostname ?? (path === undefined ? config.address.host : 'localhost');
  return { address: showAddress(target), target, hostname, weight: config.weight, metadata: config.metadata };
}

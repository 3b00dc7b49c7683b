// The discovery static: the hosts are those of the configuration.
import * as z from 'zod';
import type { HostConfig } from '../../../../core/config/schema.js';
import { foundHost, type Discovery, type DiscoveryManifest, type DiscoverySink, type DiscoveryState } from '../../discovery.js';

class StaticDiscovery implements Discovery {
  private hosts: readonly HostConfig[];
  private sink: DiscoverySink | null = null;

  constructor(hosts: readonly HostConfig[]) {
    this.hosts = hosts;
  }

  start(sink: DiscoverySink): void {
    this.sink = sink;
    this.update(this.hosts);
  }

  update(hosts: readonly HostConfig[]): void {
    this.hosts = hosts;
    this.sink?.onHosts(hosts.map((host) => foundHost(host)));
  }

  state(): DiscoveryState {
    return { settled: true, error: '', nextRefresh: -1, sources: [] };
  }

  close(): void {
    this.sink = null;
  }
}

export const manifest: DiscoveryManifest = {
  kind: 'discovery',
  name: 'static',
  doc: 'The hosts of the configuration, which are IP addresses or unix sockets.',
  schema: z.strictObject({}),
  create: (_options, hosts) => new StaticDiscovery(hosts),
};

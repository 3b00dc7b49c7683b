// A tcp or udp listener in front of real clusters, for the filters that carry bytes to hosts.
import assert from 'node:assert/strict';
import { type FilterConfig } from '../../../src/network/config.js';
import type { Cluster } from '../../../src/network/upstream/cluster.js';
import { ListenerLab } from '../../network/listener-lab.js';
import { Upstream } from '../../network/upstream/fixture.js';
import { until } from '../../support/loopback.js';

export class ClusterLab {
  readonly upstream = new Upstream();
  readonly lab: ListenerLab;

  constructor(config: ConstructorParameters<typeof ListenerLab>[0] & { readonly network_filters?: readonly FilterConfig[] }, deps: ConstructorParameters<typeof ListenerLab>[1] = {}) {
    this.lab = new ListenerLab(config, deps, { get: (name) => this.upstream.manager.get(name) });
  }

  cluster(name: string): Cluster {
    return this.upstream.cluster(name);
  }

  /** Waits until nothing is carried, then holds every count to zero. */
  async rests(): Promise<void> {
    await until(() => this.lab.listener.active === 0, 'the end of all that is carried');
    for (const cluster of this.upstream.manager.all()) {
      assert.deepEqual(cluster.breaker.levels(), { connections: 0, pending: 0, requests: 0, retries: 0 });
      assert.equal(cluster.stats.active_connections.value, 0);
      for (const host of cluster.hosts) assert.deepEqual([host.connections, host.active, host.unused], [0, 0, true]);
    }
  }

  async close(): Promise<void> {
    await this.lab.listener.close(0);
    await this.rests();
    this.upstream.close();
  }
}

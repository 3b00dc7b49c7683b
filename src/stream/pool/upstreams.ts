// Every cluster's pools in this worker, found by cluster; made at the first use, dropped when the cluster is gone.
import type { Cluster } from '../../network/upstream/cluster.js';
import type { Protocol } from '../protocol.js';
import { ClusterPools } from './cluster-pools.js';

export class Upstreams {
  private readonly byCluster = new Map<Cluster, ClusterPools>();
  private readonly protocolOf: (cluster: Cluster) => Protocol | null;

  /** `protocolOf`: the protocol that the cluster's configuration names, with the cluster's options; null: it takes the listener's. */
  constructor(protocolOf: (cluster: Cluster) => Protocol | null) {
    this.protocolOf = protocolOf;
  }

  /** The pools of a cluster for exchanges of `protocol`; null when the cluster speaks another one and nothing bridges them. */
  of(cluster: Cluster, protocol: Protocol): ClusterPools | null {
    let pools = this.byCluster.get(cluster);
    if (pools === undefined) {
      pools = new ClusterPools(cluster, this.protocolOf(cluster) ?? protocol);
      this.byCluster.set(cluster, pools);
    }
    return pools.protocol.name === protocol.name ? pools : null;
  }

  /** Forgets clusters that are no longer configured. */
  prune(): void {
    for (const cluster of this.byCluster.keys()) if (cluster.removed) this.byCluster.delete(cluster);
  }

  all(): Iterable<ClusterPools> {
    return this.byCluster.values();
  }
}

// Every cluster's pools in this worker, found by cluster and protocol; made at the first use, dropped when nothing uses them any more.
import type { Cluster } from '../../network/upstream/cluster.js';
import type { Protocol } from '../protocol.js';
import { ClusterPools } from './cluster-pools.js';

/** Whether messages pass between the two as they are. */
function related(one: Protocol, other: Protocol): boolean {
  return one.family !== undefined && one.family === other.family;
}

/**
 * A cluster mostly has one ClusterPools. It has more while connections are left that were made under other settings, or by another
 * version of a protocol's plug-in: clients that speak an old version go on with it, towards hosts too.
 */
export class Upstreams {
  /** The newest first. */
  private readonly byCluster = new Map<Cluster, ClusterPools[]>();
  private readonly protocolFor: (cluster: Cluster, spoken: Protocol | null) => Protocol | null;
  private readonly alike: (one: Protocol, other: Protocol) => boolean;

  /**
   * `protocolFor`: the protocol of that name with the cluster's own options, by the same plug-in as `spoken` where that is the same protocol;
   * null: the cluster has none of its own. `alike`: whether two protocols of one name come from the same version of it, so that one writes what the other read.
   */
  constructor(protocolFor: (cluster: Cluster, spoken: Protocol | null) => Protocol | null, alike: (one: Protocol, other: Protocol) => boolean = () => true) {
    this.protocolFor = protocolFor;
    this.alike = alike;
  }

  /** The pools of a cluster for exchanges of `protocol`; null when the cluster speaks another one and nothing bridges them. */
  of(cluster: Cluster, protocol: Protocol): ClusterPools | null {
    const list = this.byCluster.get(cluster);
    if (list !== undefined && list[0]!.serves(protocol)) return list[0]!;
    return this.find(cluster, protocol, list);
  }

  /** The pools of a cluster whose own protocol has this name; null when it speaks another, or none of its own. */
  named(cluster: Cluster, protocol: string): ClusterPools | null {
    if (cluster.config.protocol !== protocol) return null;
    const list = this.byCluster.get(cluster);
    for (const pools of list ?? []) if (!pools.stale && pools.protocol.name === protocol) return pools;
    const made = this.protocolFor(cluster, null);
    if (made === null) return null;
    const pools = new ClusterPools(cluster, made);
    if (list === undefined) this.byCluster.set(cluster, [pools]);
    else list.unshift(pools);
    return pools;
  }

  private find(cluster: Cluster, protocol: Protocol, list: ClusterPools[] | undefined): ClusterPools | null {
    const own = cluster.config.protocol;
    const spoken = own === '' ? protocol.name : own;
    for (const pools of list ?? []) {
      if (pools.stale || pools.protocol.name !== spoken) continue;
      if (spoken === protocol.name ? !this.alike(pools.protocol, protocol) : !related(pools.protocol, protocol)) continue;
      pools.spoken.add(protocol);
      return pools;
    }
    // Made only here: looking for pools is on the way of each message while a cluster has more than one.
    const upstream = this.protocolFor(cluster, protocol) ?? protocol;
    if (upstream.name !== protocol.name && !related(upstream, protocol)) return null;
    const pools = new ClusterPools(cluster, upstream);
    pools.spoken.add(protocol);
    if (list === undefined) this.byCluster.set(cluster, [pools]);
    else list.unshift(pools);
    return pools;
  }

  /** Forgets clusters that are no longer configured, and former pools without a connection. */
  prune(): void {
    for (const [cluster, list] of this.byCluster) {
      const left = list.filter((pools, i) => !pools.unused || (i === 0 && !pools.stale));
      if (cluster.removed || left.length === 0) this.byCluster.delete(cluster);
      else if (left.length < list.length) this.byCluster.set(cluster, left);
    }
  }

  *all(): Iterable<ClusterPools> {
    for (const list of this.byCluster.values()) yield* list;
  }
}

// What a balancer is: it orders the hosts that may be used; which those are is the cluster's business.
import type { Manifest } from '../../core/manifest.js';
import type { Host } from './host.js';

export interface Balancer {
  /**
   * The hosts that may be picked now: healthy, in the cluster, of a weight above 0. Called whenever that list or a weight changes;
   * the array belongs to the caller and does not change.
   */
  update(hosts: readonly Host[]): void;
  /** The next host; null only when there is none. Called for each exchange, so it allocates nothing. `hash` serves hashing balancers. */
  pick(hash: number): Host | null;
}

export interface BalancerManifest extends Manifest {
  readonly kind: 'balancer';
  /** `options` is what `schema` decoded, including `type`. One balancer per cluster and worker. */
  create(options: unknown): Balancer;
}

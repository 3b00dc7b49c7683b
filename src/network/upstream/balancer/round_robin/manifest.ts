// The balancer round_robin: every host in turn, whatever its weight.
import * as z from 'zod';
import { randomInt } from '../../../../core/random.js';
import type { Balancer, BalancerManifest } from '../../balancer.js';
import type { Host } from '../../host.js';

class RoundRobin implements Balancer {
  private hosts: readonly Host[] = [];
  /** Begins anywhere, or the first host would get the first request of every worker. */
  private at = -1;

  update(hosts: readonly Host[]): void {
    // Goes on with the host whose turn it was, if it is still there.
    const due = this.at < 0 ? undefined : this.hosts[this.at];
    this.hosts = hosts;
    const kept = due === undefined ? -1 : hosts.indexOf(due);
    if (kept >= 0) this.at = kept;
    else if (this.at < 0) this.at = hosts.length === 0 ? -1 : randomInt(hosts.length);
    else if (this.at >= hosts.length) this.at = hosts.length === 0 ? -1 : 0;
  }

  pick(): Host | null {
    const n = this.hosts.length;
    if (n === 0) return null;
    const at = this.at;
    this.at = at + 1 === n ? 0 : at + 1;
    return this.hosts[at]!;
  }
}

export const manifest: BalancerManifest = {
  kind: 'balancer',
  name: 'round_robin',
  doc: 'Every host in turn; weights other than 0 make no difference.',
  schema: z.strictObject({}),
  create: () => new RoundRobin(),
};

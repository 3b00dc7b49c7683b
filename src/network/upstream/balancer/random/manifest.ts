// The balancer random: each host as often as its weight says, in no order.
import * as z from 'zod';
import type { Balancer, BalancerManifest } from '../../balancer.js';
import { WeightedDraw } from '../../draw.js';
import type { Host } from '../../host.js';

class Random implements Balancer {
  private hosts: readonly Host[] = [];
  private readonly draw = new WeightedDraw();

  update(hosts: readonly Host[]): void {
    this.hosts = hosts;
    this.draw.update(hosts);
  }

  pick(): Host | null {
    if (this.hosts.length === 0) return null;
    return this.hosts[this.draw.next()]!;
  }
}

export const manifest: BalancerManifest = {
  kind: 'balancer',
  name: 'random',
  doc: 'Any host, with a probability in proportion to its weight.',
  schema: z.strictObject({}),
  create: () => new Random(),
};

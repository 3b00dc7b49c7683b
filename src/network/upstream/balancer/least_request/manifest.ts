// The balancer least_request: the less loaded of a few hosts drawn at random (power of two choices).
import * as z from 'zod';
import type { Balancer, BalancerManifest } from '../../balancer.js';
import { WeightedDraw } from '../../draw.js';
import type { Host } from '../../host.js';

/** Draws again at most so often for a candidate that differs from the one before; heavy weights draw the same host often. */
const DRAW_AGAIN = 2;

/**
 * Load is the exchanges in flight, of this worker, divided by the weight. Candidates are drawn in proportion to their weights and
 * the first drawn wins a tie, so that idle hosts get their share too, which a comparison alone would give to the heaviest.
 */
class LeastRequest implements Balancer {
  private hosts: readonly Host[] = [];
  private readonly draw = new WeightedDraw();
  private readonly choices: number;

  constructor(choices: number) {
    this.choices = choices;
  }

  update(hosts: readonly Host[]): void {
    this.hosts = hosts;
    this.draw.update(hosts);
  }

  pick(): Host | null {
    const hosts = this.hosts;
    if (hosts.length === 0) return null;
    let best = hosts[this.draw.next()]!;
    if (hosts.length === 1) return best;
    for (let i = 1; i < this.choices; i++) {
      let other = hosts[this.draw.next()]!;
      for (let again = 0; other === best && again < DRAW_AGAIN; again++) other = hosts[this.draw.next()]!;
      if (other.active * best.share < best.active * other.share) best = other;
    }
    return best;
  }
}

const schema = z.strictObject({
  choices: z.number().int().min(2).max(16).default(2).describe('How many hosts are drawn and compared; default 2. More follow the load more closely and cost more per pick.'),
});

export const manifest: BalancerManifest = {
  kind: 'balancer',
  name: 'least_request',
  doc: 'The host with the fewest exchanges in flight for its weight among `choices` drawn at random.',
  schema,
  create: (options) => new LeastRequest((options as z.infer<typeof schema>).choices),
};

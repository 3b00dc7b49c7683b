// Draws a host at random, in proportion to the hosts' shares; used by the balancers that leave to chance.
import { random, randomInt } from '../../core/random.js';
import type { Host } from './host.js';

export class WeightedDraw {
  /** Sums of the shares up to and including each host; null when all shares are equal. */
  private sums: Float64Array | null = null;
  private size = 0;

  update(hosts: readonly Host[]): void {
    this.size = hosts.length;
    this.sums = null;
    if (hosts.every((host) => host.share === hosts[0]!.share)) return;
    this.sums = new Float64Array(hosts.length);
    let sum = 0;
    for (let i = 0; i < hosts.length; i++) this.sums[i] = sum += hosts[i]!.share;
  }

  /** An index into the list, which must not be empty. */
  next(): number {
    const sums = this.sums;
    if (sums === null) return randomInt(this.size);
    const point = random() * sums[sums.length - 1]!;
    let low = 0;
    let high = sums.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (sums[middle]! > point) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

// Draws a host at random, in proportion to the hosts' shares; used by the balancers that leave to chance.
import { randomInt } from '../../core/random.js';
import type { Host } from './host.js';

/** Whole numbers throughout: a fraction would be an object on the heap for every pick (bench/micro/pick.ts watches). */
const MAX_TOTAL = 2 ** 30;

export class WeightedDraw {
  /** Sums of the shares up to and including each host; null when all shares are equal. */
  private sums: Int32Array | null = null;
  private size = 0;

  update(hosts: readonly Host[]): void {
    this.size = hosts.length;
    this.sums = null;
    if (hosts.every((host) => host.share === hosts[0]!.share)) return;
    const total = hosts.reduce((sum, host) => sum + host.share, 0);
    // Only hundreds of hosts with weights near the greatest come above this; then the proportions are rounded.
    const scale = total > MAX_TOTAL ? (MAX_TOTAL - hosts.length) / total : 1;
    this.sums = new Int32Array(hosts.length);
    let sum = 0;
    for (let i = 0; i < hosts.length; i++) this.sums[i] = sum += Math.max(1, Math.floor(hosts[i]!.share * scale));
  }

  /** An index into the list, which must not be empty. */
  next(): number {
    const sums = this.sums;
    if (sums === null) return randomInt(this.size);
    const point = randomInt(sums[sums.length - 1]!);
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

// The balancer weighted: hosts in turn by their weights, exact and evenly spread (earliest deadline first).
import * as z from 'zod';
import { randomInt } from '../../../../core/random.js';
import type { Balancer, BalancerManifest } from '../../balancer.js';
import type { Host } from '../../host.js';

/** A new schedule begins at a random place among so many of its first picks. */
const MAX_SKIP = 1024;
/** Phases are multiples of 1 / PHASES; few enough that deadlines of the largest weights stay exact in a double (10^7 * 10^7 * 64 < 2^53). */
const PHASES = 64;
/** Near PHASES divided by the golden ratio and prime to PHASES - 1: neighbours in the list get phases far apart. */
const STRIDE = 38;

/**
 * Earliest deadline first: the k-th turn of a host of weight w is due at (k + phase) / w, and the host with the earliest turn is
 * next. After as many picks as the weights add up to, every host had exactly its weight of turns and the schedule begins again, so
 * this holds for any run of that many picks. Phases differ, or all light hosts would have their turns in a row. Deadlines are
 * compared as fractions of whole numbers: no rounding, however long it runs. Equal weights are a plain turn.
 */
class Weighted implements Balancer {
  private hosts: readonly Host[] = [];
  private weights: Float64Array = new Float64Array(0);
  private turns = new Float64Array(0);
  private heap = new Int32Array(0);
  private firstHeap = new Int32Array(0);
  private size = 0;
  private total = 0;
  private done = 0;
  private equal = true;

  update(hosts: readonly Host[]): void {
    const weights = reduced(hosts);
    if (this.sameAs(hosts, weights)) return;
    const n = hosts.length;
    this.hosts = hosts;
    this.size = n;
    this.weights = weights;
    this.total = weights.reduce((sum, w) => sum + w, 0);
    this.equal = this.total === n;
    this.done = 0;
    this.turns = new Float64Array(n);
    this.heap = Int32Array.from({ length: n }, (_, i) => i);
    for (let i = (n >> 1) - 1; i >= 0; i--) this.siftDown(i);
    this.firstHeap = this.heap.slice();
    if (n === 0) return;
    // Workers that begin together, and lists that change often, would favour the first and the heaviest.
    if (this.equal) this.done = randomInt(n);
    else for (let skip = randomInt(Math.min(this.total, MAX_SKIP)); skip > 0; skip--) this.pick();
  }

  pick(): Host | null {
    if (this.size === 0) return null;
    if (this.equal) {
      const at = this.done;
      this.done = at + 1 === this.size ? 0 : at + 1;
      return this.hosts[at]!;
    }
    const next = this.heap[0]!;
    if (++this.done === this.total) {
      this.done = 0;
      this.turns.fill(0);
      this.heap.set(this.firstHeap);
    } else {
      this.turns[next]! += 1;
      this.siftDown(0);
    }
    return this.hosts[next]!;
  }

  private siftDown(at: number): void {
    const heap = this.heap;
    const n = this.size;
    const item = heap[at]!;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= n) break;
      if (child + 1 < n && this.before(heap[child + 1]!, heap[child]!)) child++;
      if (!this.before(heap[child]!, item)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = item;
  }

  /** Whether the next turn of host `a` is due before that of `b`; the order of the list decides between equals. */
  private before(a: number, b: number): boolean {
    const left = (PHASES * this.turns[a]! + phase(a)) * this.weights[b]!;
    const right = (PHASES * this.turns[b]! + phase(b)) * this.weights[a]!;
    return left === right ? a < b : left < right;
  }

  private sameAs(hosts: readonly Host[], weights: Float64Array): boolean {
    if (hosts.length !== this.hosts.length) return false;
    for (let i = 0; i < hosts.length; i++) if (hosts[i] !== this.hosts[i] || weights[i] !== this.weights[i]) return false;
    return true;
  }
}

/** Of the host at an index, in 1 / PHASES; above 0 and below 1. */
function phase(index: number): number {
  return 1 + ((index * STRIDE) % (PHASES - 1));
}

/** The shares divided by what divides them all, so that 100, 100, 100 is as short a schedule as 1, 1, 1. */
function reduced(hosts: readonly Host[]): Float64Array {
  const weights = Float64Array.from(hosts, (host) => host.share);
  let divisor = 0;
  for (let w of weights) while (w !== 0) [divisor, w] = [w, divisor % w];
  return divisor > 1 ? weights.map((w) => w / divisor) : weights;
}

export const manifest: BalancerManifest = {
  kind: 'balancer',
  name: 'weighted',
  doc: 'Every host in turn by its weight, exactly and evenly spread; with equal weights the same as round_robin.',
  schema: z.strictObject({}),
  create: () => new Weighted(),
};

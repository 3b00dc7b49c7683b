// Weighted choice with exact shares: smooth weighted round robin, the same in every window as long as the sum of the weights.

/**
 * Deals `values` out by weight. In any run of sum(weights) draws each value comes exactly `weight` times, spread evenly; weight 0
 * never comes. Each draw adds every weight to its current value, takes the largest and subtracts the sum from it (the scheme of
 * nginx's upstream module); the state returns to where it began after sum(weights) draws, hence the exactness of every window.
 */
export class WeightedChoice<T> {
  readonly values: readonly T[];
  readonly weights: readonly number[];
  private readonly total: number;
  private readonly current: Int32Array;

  /** Weights are whole numbers from 0; their sum is from 1 to 2^30. */
  constructor(choices: readonly { readonly value: T; readonly weight: number }[]) {
    const used = choices.filter((c) => c.weight > 0);
    this.values = used.map((c) => c.value);
    this.weights = used.map((c) => c.weight);
    this.total = this.weights.reduce((sum, w) => sum + w, 0);
    if (this.total < 1 || this.total > 2 ** 30 || !this.weights.every(Number.isInteger)) throw new RangeError('weights must be whole numbers with a sum from 1 to 2^30');
    this.current = new Int32Array(used.length);
  }

  /** Once per exchange: a retry stays with the value that was drawn. */
  draw(): T {
    const { weights, current } = this;
    let best = 0;
    let most = -0x80000000;
    for (let i = 0; i < weights.length; i++) {
      const next = current[i]! + weights[i]!;
      current[i] = next;
      if (next > most) {
        most = next;
        best = i;
      }
    }
    current[best]! -= this.total;
    return this.values[best]!;
  }
}

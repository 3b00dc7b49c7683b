// Random tests that can be repeated: a seed that is printed and can be given, and a generator that is the same everywhere.

/** A number in [0, n). */
export type Random = (n: number) => number;

/** Tells the seed of this run: the environment's FUZZ_SEED, else the one given. */
export function fuzzSeed(usual: number): number {
  const seed = Number(process.env['FUZZ_SEED'] ?? usual) >>> 0;
  console.log(`# fuzz seed ${seed} (FUZZ_SEED=${seed})`);
  return seed;
}

/** Mulberry32. */
export function generator(from: number): Random {
  let state = from >>> 0;
  return (n) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % n;
  };
}

// Random numbers for balancing and jitter (not for secrets), replaceable by a seed or a function so that tests repeat.

/** State of xorshift128 (Marsaglia, "Xorshift RNGs", 2003): four 32-bit words, not all zero. */
const state = new Int32Array(4);

function seed(value: number): void {
  // splitmix32 spreads a small seed over the four words.
  let h = value | 0;
  for (let i = 0; i < 4; i++) {
    h = (h + 0x9e3779b9) | 0;
    let z = h;
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    state[i] = z ^ (z >>> 16);
  }
  if ((state[0]! | state[1]! | state[2]! | state[3]!) === 0) state[0] = 1;
}
seed((Math.random() * 0x100000000) | 0);

let replaced: (() => number) | null = null;

/** A number in [0, 1) with 32 random bits. */
export function random(): number {
  if (replaced !== null) return replaced();
  const t = state[3]! ^ (state[3]! << 11);
  state[3] = state[2]!;
  state[2] = state[1]!;
  const s = state[0]!;
  state[1] = s;
  const next = s ^ (s >>> 19) ^ t ^ (t >>> 8);
  state[0] = next;
  return (next >>> 0) / 0x100000000;
}

/** A whole number in [0, n), for n from 1 to 2^32. */
export function randomInt(n: number): number {
  return Math.floor(random() * n);
}

/** Starts the sequence again from a seed, or puts a function in its place; what is returned undoes it. */
export function setRandom(source: number | (() => number)): () => void {
  const formerState = state.slice();
  const formerReplaced = replaced;
  if (typeof source === 'number') {
    replaced = null;
    seed(source);
  } else {
    replaced = source;
  }
  return () => {
    state.set(formerState);
    replaced = formerReplaced;
  };
}

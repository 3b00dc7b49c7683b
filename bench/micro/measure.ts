// Times one hot function: calibrates a batch, warms up, and reports the median of some rounds in ns per operation.
import { median } from '../figure.js';

export interface MicroOptions {
  /** Measured rounds. Default 9. */
  readonly rounds?: number;
  /** Time one round should take, in ms. Default 100. */
  readonly roundMs?: number;
  /** Time before the first round, in ms, for the compiler to settle. Default 500. */
  readonly warmupMs?: number;
}

export interface MicroResult {
  readonly name: string;
  /** Median of the rounds. */
  readonly nsPerOp: number;
  readonly lowest: number;
  readonly highest: number;
  /** Operations of one round. */
  readonly batch: number;
}

/** Takes what the measured code returns, so that the compiler cannot drop it. */
export let kept = 0;

/** `run(n)` does the operation n times, in a loop of its own, and returns something that depends on all of them. */
export function measure(name: string, run: (n: number) => number, options: MicroOptions = {}): MicroResult {
  const { rounds = 9, roundMs = 100, warmupMs = 500 } = options;
  const time = (n: number): number => {
    const start = process.hrtime.bigint();
    kept = (kept + run(n)) | 0;
    return Number(process.hrtime.bigint() - start);
  };
  let batch = 1;
  const end = process.hrtime.bigint() + BigInt(Math.round(warmupMs * 1e6));
  do {
    const took = Math.max(1, time(batch));
    // At most doubled: the first calls are far slower than the later ones.
    batch = Math.max(1, Math.round(batch * Math.min(2, (roundMs * 1e6) / took)));
  } while (process.hrtime.bigint() < end);
  const samples: number[] = [];
  for (let i = 0; i < rounds; i++) samples.push(time(batch) / batch);
  return { name, nsPerOp: median(samples), lowest: Math.min(...samples), highest: Math.max(...samples), batch };
}

/** Measures and prints one line. */
export function bench(name: string, run: (n: number) => number, options?: MicroOptions): MicroResult {
  const result = measure(name, run, options);
  console.log(`${name.padEnd(40)} ${result.nsPerOp.toFixed(1).padStart(10)} ns/op  (${result.lowest.toFixed(1)}-${result.highest.toFixed(1)})`);
  return result;
}

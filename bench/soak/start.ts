// From exec to the first accepted connection, memory at rest, and what each further worker adds.
import { median } from '../figure.js';
import { runLoad } from '../load/tools.js';
import { restingKb } from '../site.js';
import { bar, type Soak, startPair } from './contract.js';

const RUNS = 10;
const START_LIMIT_MS = 250;
const REST_LIMIT_MB = 80;

export const soak: Soak = {
  summary: 'exec to accept (median of 10), resident memory at rest, and of each further worker',
  async run(options) {
    const { say, site } = options;
    const times: number[] = [];
    for (let i = 0; i < RUNS; i++) {
      // Free to use all cores, as it would be when somebody starts it.
      const pair = await startPair(options, ['http'], 60, { anyCore: true });
      times.push(pair.subject.startMs);
      await pair.stop();
    }
    say(`exec to accept: ${times.map((time) => time.toFixed(0)).join(' ')} ms`);
    const rest: number[] = [];
    let served = 0;
    for (const workers of options.command === undefined ? [1, 2, 3] : [1]) {
      const pair = await startPair({ ...options, workers }, ['http'], 60, { anyCore: true });
      try {
        rest.push(await restingKb(() => pair.subject.pids(), 30));
        if (workers === 1) {
          const args = ['http', '--port', String(pair.subject.port), '--connections', '1', '--warmup', '0', '--seconds', '0.1'];
          if ((await runLoad(args, site.loadCore)).errors > 0) throw new Error('the started proxy does not answer');
          served = await restingKb(() => pair.subject.pids(), 3);
        }
      } finally {
        await pair.stop();
      }
      say(`${workers} worker${workers > 1 ? 's' : ''}: ${(rest.at(-1)! / 1024).toFixed(1)} MB`);
    }
    const typical = median(times);
    const lines = [
      `exec to accept: median ${typical.toFixed(0)} ms of ${RUNS} (${Math.min(...times).toFixed(0)}-${Math.max(...times).toFixed(0)})`,
      `resident at rest: ${(rest[0]! / 1024).toFixed(1)} MB, after first requests ${(served / 1024).toFixed(1)} MB`,
    ];
    if (rest.length > 1) {
      const each = (rest.at(-1)! - rest[0]!) / (rest.length - 1) / 1024;
      lines.push(each < 1 ? 'further workers: none started on this Node (its net cannot share a listener)' : `each further worker: ${each.toFixed(1)} MB`);
    }
    lines.push(bar('exec to accept', typical, START_LIMIT_MS, 'ms'), bar('resident at rest', rest[0]! / 1024, REST_LIMIT_MB, 'MB'));
    return { lines, figures: { start_ms: times, start_median_ms: typical, rest_kb: rest, served_kb: served }, ok: true };
  },
};

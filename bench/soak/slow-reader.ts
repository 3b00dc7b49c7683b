// Clients that ask for a large reply and never read it: how far the proxy's memory grows, and what its other clients notice.
import { runLoad, startLoad } from '../load/tools.js';
import { residentKb, restingKb, sleep } from '../site.js';
import { bar, type Soak, startPair } from './contract.js';

const REPLY_BYTES = 256 * 1024 * 1024;
/** The high watermark of unsent bytes is 256 KiB; as much again for what is in flight between the two sockets. */
const LIMIT_KB = 512;

export const soak: Soak = {
  summary: 'peak memory while 64 clients do not read a reply of 256 MiB, and the p99 of the others',
  async run(options) {
    const { site, say } = options;
    const count = options.connections ?? 64;
    const seconds = options.seconds ?? 10;
    const { subject, stop } = await startPair(options, ['http'], seconds + 120);
    try {
      const target = ['--port', String(subject.port)];
      const others = ['http', ...target, '--connections', '16', '--rate', '500'];
      // Warmed up first, so that the growth seen is that of unread replies and not of a young heap.
      await runLoad(['http', ...target, '--connections', String(count), '--warmup', '0', '--seconds', '3'], site.loadCore);
      const before = await restingKb(() => subject.pids(), 3);
      say(`${count} clients stop reading`);
      const slow = startLoad(
        ['hold', ...target, '--connections', String(count), '--unread', '--path', `/bytes/${REPLY_BYTES}`, '--receive-buffer', '65536', '--seconds', String(seconds + 30)],
        site.loadCore,
      );
      const held = await slow.next();
      let peak = 0;
      let running = true;
      const load = runLoad([...others, '--warmup', '0.5', '--seconds', String(seconds)], site.loadCore).finally(() => (running = false));
      while (running) {
        peak = Math.max(peak, residentKb(subject.pids()));
        await sleep(50);
      }
      const report = await load;
      const last = residentKb(subject.pids());
      const ended = slow.next();
      await slow.end();
      const { closed } = await ended;
      const after = await runLoad([...others, '--warmup', '0.5', '--seconds', '2'], site.loadCore);
      const perConnection = (peak - before) / count;
      const errors = Number(held['errors']) + report.errors + after.errors + report.gone;
      return {
        lines: [
          `slow reader: ${count} clients, replies of ${REPLY_BYTES >> 20} MiB unread for ${seconds} s; ${String(closed)} of them closed by the proxy meanwhile`,
          `  RSS before ${(before / 1024).toFixed(0)} MB, peak ${(peak / 1024).toFixed(0)} MB, at the end ${(last / 1024).toFixed(0)} MB`,
          `  other clients: p50 ${report.latency_us?.p50} us, p99 ${report.latency_us?.p99} us, errors ${report.errors}; afterwards errors ${after.errors}`,
          bar('growth per client that does not read', perConnection, LIMIT_KB, 'KiB'),
        ],
        figures: { clients: count, before_kb: before, peak_kb: peak, end_kb: last, kb_per_client: perConnection, closed, others: report, held },
        ok: errors === 0 && Number(held['held']) === count,
      };
    } finally {
      await stop();
    }
  },
};

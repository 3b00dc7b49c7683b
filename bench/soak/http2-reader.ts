// 1 GB through HTTP/2 to a client that reads slowly, twice: what the proxy says it holds, and its memory in the first and the second GB.
import { once } from 'node:events';
import { connect, createServer, type ServerHttp2Session } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { freePort, residentKb, restingKb, sleep } from '../site.js';
import { own } from '../subject.js';
import { bar, type Soak } from './contract.js';

const TOTAL = 1024 * 1024 * 1024;
const PIECE = 256 * 1024;
/** What the client's stream lets the proxy send ahead of it: the protocol's default. */
const CLIENT_WINDOW = 65_535;
const HELD_LIMIT_KB = 1024;
const GROWTH_LIMIT_MB = 64;
/** MB a second that the client reads. */
const RATE = 40;

interface Watched {
  held: number;
  kb: number;
}

export const soak: Soak = {
  summary: '1 GB through HTTP/2 to a slow reader, twice: bytes held and memory (--rate MB a second)',
  async run(options) {
    const { site, say } = options;
    const rate = options.rate ?? RATE;
    const server = createServer({ settings: { initialWindowSize: 1 << 20 } });
    const sessions = new Set<ServerHttp2Session>();
    server.on('session', (session) => sessions.add(session));
    server.on('stream', (stream) => {
      stream.on('error', () => {});
      stream.respond({ ':status': 200, 'content-type': 'application/octet-stream' });
      const piece = Buffer.alloc(PIECE, 'x');
      let left = TOTAL;
      const go = (): void => {
        while (left > 0) {
          left -= PIECE;
          if (!stream.write(piece)) return void stream.once('drain', go);
        }
        stream.end();
      };
      go();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const admin = await freePort();
    const kind = own(options.command, { config: 'configs/http2.yaml', workers: options.workers, node: options.node, env: { ADMIN: `127.0.0.1:${admin}` } });
    const found = await kind.find(options.install);
    if ('absent' in found) throw new Error(`${kind.name}: ${found.absent}`);
    const subject = await kind.start({ site, mode: 'http2', upstreams: [(server.address() as AddressInfo).port], log: true, discardLog: true });

    /** Bytes that all connections hold, as the proxy itself counts them; 0 for a program that has no such page. */
    const held = async (): Promise<number> => {
      if (options.command !== undefined) return 0;
      const reply = await fetch(`http://127.0.0.1:${admin}/connections`, { headers: { accept: 'application/json' } });
      const answer = (await reply.json()) as { unsent: number }[] | { connections: { unsent: number }[] };
      return (Array.isArray(answer) ? answer : answer.connections).reduce((sum, one) => sum + one.unsent, 0);
    };
    const read = async (): Promise<{ bytes: number; peak: Watched }> => {
      const peak: Watched = { held: 0, kb: 0 };
      const session = connect(`http://127.0.0.1:${subject.port}`, { settings: { initialWindowSize: CLIENT_WINDOW } });
      const stream = session.request({ ':path': '/' });
      await once(stream, 'response');
      // First it reads nothing at all.
      for (let i = 0; i < 20; i++) {
        await sleep(100);
        peak.held = Math.max(peak.held, await held());
      }
      const begin = performance.now();
      let bytes = 0;
      let looked = begin;
      for await (const part of stream) {
        bytes += (part as Buffer).length;
        const ahead = bytes / (rate * 1e6) - (performance.now() - begin) / 1000;
        if (ahead > 0.01) await sleep(ahead * 1000);
        if (performance.now() - looked < 200) continue;
        looked = performance.now();
        peak.held = Math.max(peak.held, await held());
        peak.kb = Math.max(peak.kb, residentKb(subject.pids()));
      }
      session.destroy();
      return { bytes, peak };
    };

    try {
      // Warmed up, so that the growth seen is that of the stream and not of a young heap.
      for (let tries = 0; ; tries++) {
        try {
          await held();
          break;
        } catch (error) {
          if (tries === 50) throw error;
          await sleep(100);
        }
      }
      const idle = await restingKb(() => subject.pids(), 3);
      const runs = [];
      for (const name of ['first', 'second']) {
        const run = await read();
        say(`${name} GB: ${(run.peak.held / 1024).toFixed(0)} KiB held at most, RSS ${(run.peak.kb / 1024).toFixed(1)} MB at most`);
        runs.push(run);
      }
      const [one, two] = runs as [(typeof runs)[0], (typeof runs)[0]];
      const most = Math.max(one.peak.held, two.peak.held);
      return {
        lines: [
          `http2 slow reader: 2 x ${TOTAL >> 20} MiB at ${rate} MB/s`,
          `  RSS idle ${(idle / 1024).toFixed(1)} MB, first GB ${(one.peak.kb / 1024).toFixed(1)} MB, second GB ${(two.peak.kb / 1024).toFixed(1)} MB at most`,
          bar('held at most', most / 1024, HELD_LIMIT_KB, 'KiB'),
          bar('RSS above idle', (Math.max(one.peak.kb, two.peak.kb) - idle) / 1024, GROWTH_LIMIT_MB, 'MB'),
          bar('RSS of the second GB above the first', Math.max(0, two.peak.kb - one.peak.kb) / 1024, 2, 'MB'),
        ],
        figures: { idle_kb: idle, first_kb: one.peak.kb, second_kb: two.peak.kb, held_bytes: most, rate },
        ok: one.bytes === TOTAL && two.bytes === TOTAL,
      };
    } finally {
      for (const session of sessions) session.destroy();
      server.close();
      await subject.stop();
    }
  },
};

// The replay copy of a request: what was encoded for the first try, kept until the first reply byte, within a cap per request and per worker.
import type { Counter } from '../core/stats.js';

/** Largest request kept for another try, bytes. */
export const MAX_REPLAY = 64 * 1024;
/** Most bytes of replay copies in one worker. */
export const MAX_REPLAY_TOTAL = 16 * 1024 * 1024;

const SMALL = 1024;
const freeSmall: Buffer[] = [];
let total = 0;

/** Bytes held now by all replay copies of this worker. */
export function replayBytes(): number {
  return total;
}

/** Set at start to the counter of requests that were over a cap; tests leave it unset. */
export const replayOverflow: { counter: Counter | null } = { counter: null };

/** The replay copy of one exchange; `state` says whether the request can be sent again. */
export class Replay {
  buf: Buffer | null = null;
  length = 0;
  /** False when over a cap, not wanted, or given back. */
  usable = false;

  start(): void {
    this.free();
    this.usable = true;
  }

  append(src: Uint8Array, start: number, end: number): void {
    if (!this.usable) return;
    const n = end - start;
    const need = this.length + n;
    let buf = this.buf;
    if (buf === null || need > buf.length) {
      if (need > MAX_REPLAY || total + need > MAX_REPLAY_TOTAL) {
        replayOverflow.counter?.inc();
        this.free();
        return;
      }
      const grown = need <= SMALL ? (freeSmall.pop() ?? Buffer.allocUnsafeSlow(SMALL)) : Buffer.allocUnsafeSlow(Math.min(MAX_REPLAY, Math.max(need, buf === null ? 0 : buf.length * 2)));
      total += grown.length;
      if (buf !== null) {
        grown.set(buf.subarray(0, this.length));
        total -= buf.length;
        if (buf.length === SMALL && freeSmall.length < 4096) freeSmall.push(buf);
      }
      this.buf = buf = grown;
    }
    if (n <= 64) {
      let p = this.length;
      for (let i = start; i < end; i++) buf[p++] = src[i]!;
    } else {
      buf.set(src.subarray(start, end), this.length);
    }
    this.length = need;
  }

  free(): void {
    this.usable = false;
    this.length = 0;
    const buf = this.buf;
    if (buf === null) return;
    this.buf = null;
    total -= buf.length;
    if (buf.length === SMALL && freeSmall.length < 4096) freeSmall.push(buf);
  }
}

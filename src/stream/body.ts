// Bodies that filters look at: gathering a whole body up to a cap, and passing pieces through the filters that replace them.
import type { Exchange } from './exchange.js';
import type { StreamFilter } from './filter.js';
import { DONE } from './phases.js';

/** Collects copies of borrowed pieces; counts before it copies, so that the cap holds. */
export class Gather {
  private pieces: Buffer[] = [];
  size = 0;

  /** False when the piece would pass `limit`; nothing is kept of it then. */
  add(buf: Uint8Array, start: number, end: number, limit: number): boolean {
    if (this.size + (end - start) > limit) return false;
    if (end > start) {
      this.pieces.push(Buffer.from(buf.subarray(start, end)));
      this.size += end - start;
    }
    return true;
  }

  take(): Buffer {
    const whole = this.pieces.length === 1 ? this.pieces[0]! : Buffer.concat(this.pieces, this.size);
    this.pieces = [];
    this.size = 0;
    return whole;
  }

  /** Hands every piece on in order and forgets them. */
  drain(each: (piece: Buffer) => void): void {
    const list = this.pieces;
    this.pieces = [];
    this.size = 0;
    for (const piece of list) each(piece);
  }
}

/** The body phase of one direction of a chain; null in the chain where no filter has one, so that bytes never come here. */
export class BodyPhase {
  readonly filters: readonly StreamFilter[];
  /** True when some filter wants the body whole. */
  readonly whole: boolean;
  readonly limit: number;
  private readonly reply: boolean;

  constructor(filters: readonly StreamFilter[], reply: boolean) {
    this.filters = filters;
    this.reply = reply;
    this.whole = filters.some((f) => (reply ? f.replyBody : f.requestBody) === 'buffer');
    this.limit = Math.min(...filters.map((f) => f.bodyLimit ?? 1024 * 1024));
  }

  /** Runs a piece (or the whole body, with `last`) through the filters in order; null when one of them ended the exchange or threw. */
  run(exchange: Exchange, body: Uint8Array, last: boolean): Uint8Array | null {
    const generation = exchange.generation;
    let bytes = body;
    for (const f of this.filters) {
      try {
        bytes = this.reply ? f.onReplyBody!(exchange, bytes, last) : f.onRequestBody!(exchange, bytes, last);
      } catch (error) {
        exchange.threw(f, error);
        return null;
      }
      if (exchange.generation !== generation || exchange.phase === DONE) return null;
    }
    return bytes;
  }
}

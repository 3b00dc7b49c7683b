// A terminal: a route action that ends exchanges inside the process (echoes of the quick start, later the runtime).
import type { z } from 'zod';
import type { Manifest } from '../core/manifest.js';
import type { ReasonCode } from '../core/reason.js';
import type { Exchange } from './exchange.js';
import type { Head } from './head.js';

export interface Terminal {
  readonly name: string;
  /**
   * A whole request; head and body are borrowed during the call. Must answer once with `exchange.answerWith`, now or later
   * (the exchange's `generation` tells whether it is still the same one).
   */
  handle(exchange: Exchange, head: Head, body: Uint8Array): void;
  /**
   * Takes an exchange as soon as its head is there, for calls that stream; null: it is to come whole, by `handle`. The head is borrowed
   * during the call. The reply goes through filters like a host's: `exchange.reply`, then `replyData`, then its end.
   */
  open?(exchange: Exchange, head: Head): TerminalStream | null;
}

/** One exchange that a terminal takes as a stream. After `onEnd` the exchange serves others: nothing of it may be called any more. */
export interface TerminalStream {
  /**
   * Content of the request, borrowed; `last`: the request is complete. The client may send no more than a window ahead of what
   * `exchange.consumed` has been told.
   */
  onData(buf: Uint8Array, start: number, end: number, last: boolean): void;
  /** `replyData` answered false before; there is room again. */
  onRoom(): void;
  /** The exchange is over: `code` '' when it was answered, else why it was not (the client left, its deadline passed). Once, last. */
  onEnd(code: ReasonCode | ''): void;
}

export interface TerminalManifest extends Manifest {
  readonly kind: 'terminal';
  readonly schema: z.ZodType;
  create(config: unknown): Terminal;
}

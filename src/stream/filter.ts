// What a stream filter is: verdicts on heads, phases on bodies, and a hold that stops one exchange without stopping its connection.
import type { z } from 'zod';
import type { Manifest } from '../core/manifest.js';
import type { ReasonCode, ReasonContext } from '../core/reason.js';
import type { Exchange } from './exchange.js';
import type { Head } from './head.js';
import type { ExchangeRecord } from './record.js';

export const CONTINUE = 0;
/** The filter called `exchange.reply(...)`; the rest of the request chain and the upstream are not reached. */
export const REPLIED = 1;
/** The filter took `exchange.hold()` and will resume or cancel it later. */
export const HOLD = 2;
export type Verdict = typeof CONTINUE | typeof REPLIED | typeof HOLD;

/**
 * How a filter sees a body. `pass`: not at all (bytes never enter the chain). `replace`: each piece, and returns what to send instead.
 * `buffer`: once, whole, up to `bodyLimit`; a larger one is answered with body-too-large.
 */
export type BodyMode = 'pass' | 'replace' | 'buffer';

/** Ends a hold; exactly one call counts, later ones do nothing. */
export interface HoldToken {
  resume(): void;
  cancel(code: ReasonCode, context?: ReasonContext): void;
}

/**
 * One configured filter; one instance per worker and place in the config serves all exchanges. State of an exchange goes to
 * `exchange.slot(this.index)`. A throw ends that exchange with filter-threw and nothing else.
 */
export interface StreamFilter {
  readonly name: string;
  /** Options that a route has for the filter, before the first request: what they need is made ready. Throws where that fails. */
  prepare?(options: unknown): void;
  /** Request head, in order of configuration. `exchange.requestHead` is the head; it may be edited. */
  onRequest?(exchange: Exchange, head: Head): Verdict;
  /** Request head again, once its route is known (`exchange.route`, with the route's options for this filter in `route.filters`). */
  onRoute?(exchange: Exchange, head: Head): Verdict;
  /** Reply head, in reverse order. */
  onReply?(exchange: Exchange, head: Head): Verdict;
  readonly requestBody?: BodyMode;
  readonly replyBody?: BodyMode;
  readonly bodyLimit?: number;
  /** A piece of the request body (mode `replace`) or all of it (`buffer`, last = true); the bytes are borrowed. Returns what goes on. */
  onRequestBody?(exchange: Exchange, body: Uint8Array, last: boolean): Uint8Array;
  onReplyBody?(exchange: Exchange, body: Uint8Array, last: boolean): Uint8Array;
  /** The exchange ended; for what a filter must give back. */
  onDone?(record: ExchangeRecord, exchange: Exchange): void;
  /** The instance is no longer used by any exchange. */
  close?(): void;
}

/** What is wrong with options beyond what a schema can tell, such as a file that does not hold what it should. */
export interface OptionFault {
  /** From the options. */
  readonly path: readonly (string | number)[];
  readonly text: string;
}

export interface StreamFilterManifest extends Manifest {
  readonly kind: 'stream-filter';
  readonly schema: z.ZodType;
  /** Names of the protocols to which its bridges carry exchanges, for what is checked before a filter is made. */
  readonly bridges?: readonly string[];
  /** The options with relative paths resolved against the directory of the configuration file, and with what the files hold where that is to stay as it was checked. */
  absolute?(options: unknown, directory: string): unknown;
  /** Asked of options that `absolute` returned, in a listener or a route, whenever a configuration is read. */
  faults?(options: unknown): readonly OptionFault[];
  create(config: unknown): StreamFilter;
}

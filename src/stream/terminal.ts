// A terminal: a route action that ends exchanges inside the process (echoes of the quick start, later the runtime).
import type { z } from 'zod';
import type { Manifest } from '../core/manifest.js';
import type { Exchange } from './exchange.js';
import type { Head } from './head.js';

export interface Terminal {
  readonly name: string;
  /**
   * A whole request; head and body are borrowed during the call. Must answer once with `exchange.answerWith`, now or later
   * (the exchange's `generation` tells whether it is still the same one).
   */
  handle(exchange: Exchange, head: Head, body: Uint8Array): void;
}

export interface TerminalManifest extends Manifest {
  readonly kind: 'terminal';
  readonly schema: z.ZodType;
  create(config: unknown): Terminal;
}

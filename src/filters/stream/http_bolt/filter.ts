// Gives each request its bridge, by what the client speaks and by the options of its route.
import type { Exchange } from '../../../stream/exchange.js';
import { CONTINUE, type StreamFilter, type Verdict } from '../../../stream/filter.js';
import { JsonToBolt } from './json.js';
import { RawToBolt } from './raw.js';
import { BoltToHttp } from './reverse.js';

export interface HttpBoltConfig {
  readonly enabled: boolean;
  readonly mode: 'json' | 'raw';
  readonly prefix: string;
  readonly service: string;
  readonly method: string;
  readonly types: Readonly<Record<string, readonly string[]>>;
  readonly allowed_classes: readonly string[];
  readonly version: string;
  readonly headers: readonly string[];
  readonly classes: boolean;
  readonly class: string;
  readonly response_class: string;
  readonly codec: number;
  readonly frame: 'v1' | 'v2';
  readonly upstream: 'http1' | 'http2';
  readonly path: string;
  readonly authority: string;
  readonly content_type: string;
  readonly timeout?: number;
  readonly max_body: number;
}

export class HttpBolt implements StreamFilter {
  readonly name = 'http_bolt';
  private readonly config: HttpBoltConfig;

  constructor(config: HttpBoltConfig) {
    this.config = config;
  }

  onRoute(exchange: Exchange): Verdict {
    const config = (exchange.route!.filters.get(this.name) as HttpBoltConfig | undefined) ?? this.config;
    if (!config.enabled) return CONTINUE;
    const { protocol } = exchange.down;
    if (protocol.name === 'bolt') exchange.bridge = new BoltToHttp(config);
    else if (protocol.family === 'http') exchange.bridge = config.mode === 'json' ? new JsonToBolt(config) : new RawToBolt(config);
    return CONTINUE;
  }
}

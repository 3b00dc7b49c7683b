// Gives each request of HTTP its bridge to Dubbo; the first ones wait until the library for Hessian is there.
import type { Exchange } from '../../../stream/exchange.js';
import { CONTINUE, HOLD, type StreamFilter, type Verdict } from '../../../stream/filter.js';
import { DubboBridge } from './bridge.js';
import { type Hessian, loadHessian } from './hessian.js';

export interface HttpDubboConfig {
  readonly enabled: boolean;
  readonly prefix: string;
  readonly service: string;
  readonly method: string;
  readonly types: Readonly<Record<string, readonly string[]>>;
  readonly allowed_classes: readonly string[];
  readonly group: string;
  readonly version: string;
  readonly timeout?: number;
  readonly attachments: readonly string[];
  readonly classes: boolean;
  readonly max_body: number;
}

export class HttpDubbo implements StreamFilter {
  readonly name = 'http_dubbo';
  private readonly config: HttpDubboConfig;
  private readonly loading: Promise<Hessian>;
  private hessian: Hessian | null = null;

  constructor(config: HttpDubboConfig) {
    this.config = config;
    this.loading = loadHessian();
    // Whoever needs it hears of a failure.
    this.loading.then((hessian) => (this.hessian = hessian), () => {});
  }

  onRoute(exchange: Exchange): Verdict {
    const config = (exchange.route!.filters.get(this.name) as HttpDubboConfig | undefined) ?? this.config;
    if (!config.enabled || exchange.down.protocol.family !== 'http') return CONTINUE;
    if (this.hessian !== null) {
      exchange.bridge = new DubboBridge(config, this.hessian);
      return CONTINUE;
    }
    const held = exchange.hold();
    const { generation } = exchange;
    this.loading.then(
      (hessian) => {
        if (exchange.generation === generation) exchange.bridge = new DubboBridge(config, hessian);
        held.resume();
      },
      (error: unknown) => held.cancel('internal', { detail: error instanceof Error ? error.message : String(error) }),
    );
    return HOLD;
  }
}

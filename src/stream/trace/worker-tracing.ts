// Traces in one worker: the tracer of the configuration in force, and the sink that goes on from one to the next.
import type { Stats } from '../../core/stats.js';
import type { TracingConfig } from './config.js';
import { SpanSink } from './span-sink.js';
import type { Packed } from './traced-exchange.js';
import { Tracer } from './tracer.js';

export interface WorkerTracingDeps {
  readonly stats: Stats;
  /** Hands a batch to the main thread, which answers with `taken`. */
  readonly post: (batch: Packed) => void;
}

export class WorkerTracing {
  /** Null where there are no traces. */
  tracer: Tracer | null = null;
  private readonly deps: WorkerTracingDeps;
  /** Made with the first configuration that has traces, and then kept: its counts go on. */
  private sink: SpanSink | null = null;
  private key = 'null';

  constructor(deps: WorkerTracingDeps) {
    this.deps = deps;
  }

  /** Makes this the configuration; listeners are to be given its tracer. */
  apply(config: TracingConfig | null): void {
    const key = JSON.stringify(config);
    if (key === this.key) return;
    this.key = key;
    this.tracer = config === null ? null : new Tracer(config, (this.sink ??= new SpanSink(this.deps)));
  }

  taken(): void {
    this.sink?.taken();
  }

  /** Hands over what was recorded, for the end of the worker. */
  flush(): void {
    this.sink?.flush();
  }
}

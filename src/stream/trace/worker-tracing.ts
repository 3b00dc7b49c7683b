// Traces in one worker: a tracer for each protocol of the configuration in force, and the sink that they share.
import type { Stats } from '../../core/stats.js';
import type { Protocol } from '../protocol.js';
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
  private readonly deps: WorkerTracingDeps;
  /** Made with the first configuration that has traces, and then kept: its counts go on. */
  private sink: SpanSink | null = null;
  private config: TracingConfig | null = null;
  private key = 'null';
  private readonly tracers = new Map<string, Tracer>();

  constructor(deps: WorkerTracingDeps) {
    this.deps = deps;
  }

  /** Makes this the configuration; listeners are given their tracers anew. */
  apply(config: TracingConfig | null): void {
    const key = JSON.stringify(config);
    if (key === this.key) return;
    this.key = key;
    this.config = config;
    this.tracers.clear();
    if (config !== null) this.sink ??= new SpanSink(this.deps);
  }

  /** The tracer of a protocol; null where there are no traces. */
  of(protocol: Protocol): Tracer | null {
    if (this.config === null) return null;
    let tracer = this.tracers.get(protocol.name);
    if (tracer === undefined) this.tracers.set(protocol.name, (tracer = new Tracer(this.config, protocol, this.sink!)));
    return tracer;
  }

  taken(): void {
    this.sink?.taken();
  }

  /** Hands over what was recorded, for the end of the worker. */
  flush(): void {
    this.sink?.flush();
  }
}

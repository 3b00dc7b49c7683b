// Traces in the main thread: takes what workers recorded, keeps a bounded queue, and has it exported; nothing here ever holds up traffic.
import { clock } from '../../core/clock.js';
import type { Log } from '../../core/log.js';
import type { Counter, Stats } from '../../core/stats.js';
import type { TracingConfig } from '../../stream/trace/config.js';
import { type Packed, type TracedExchange, unpack } from '../../stream/trace/traced-exchange.js';

/** Sends spans somewhere. */
export interface SpanExporter {
  /** Resolves with what went wrong, or null; never rejects. */
  send(exchanges: readonly TracedExchange[]): Promise<Error | null>;
  close(): void;
}

export interface TracingDeps {
  readonly stats: Stats;
  readonly log: Log;
  /** Makes the exporter of a configuration. Its libraries are loaded with it, so that a process without traces has none of them. */
  readonly load: (config: TracingConfig) => Promise<SpanExporter>;
}

/** How many spans an exchange becomes, see spans.ts. */
export function spanCount({ attempts }: TracedExchange): number {
  if (attempts.length === 0 || attempts[0]!.host === 'in-process') return 1;
  return attempts.length === 1 ? 2 : 2 + attempts.length;
}

class Counts {
  readonly exported: Counter;
  readonly failures: Counter;
  private readonly stats: Stats;

  constructor(stats: Stats) {
    this.stats = stats;
    this.exported = stats.counter('sluice_trace_spans_exported_total', 'Spans that the receiver took.');
    this.failures = stats.counter('sluice_trace_export_failures_total', 'Batches of spans that the receiver did not take.');
    this.lost('queue-full', 0);
    this.lost('export-failed', 0);
  }

  lost(cause: 'queue-full' | 'export-failed' | 'stopped', n: number): void {
    this.stats.counter('sluice_trace_spans_lost_total', 'Spans that were made and not exported, by cause.', { cause }).add(n);
  }
}

export class Tracing {
  private readonly deps: TracingDeps;
  private config: TracingConfig | null = null;
  private exporter: SpanExporter | null = null;
  private counts: Counts | null = null;
  private queue: TracedExchange[] = [];
  /** Spans that the queue will become. */
  private waiting = 0;
  private sending = false;
  private timer: unknown = null;
  private failing = false;
  private closing = false;
  private emptied: (() => void) | null = null;

  constructor(deps: TracingDeps) {
    this.deps = deps;
  }

  /** Makes this the configuration; null for none. */
  apply(config: TracingConfig | null): void {
    if (JSON.stringify(config) === JSON.stringify(this.config)) return;
    this.config = config;
    const former = this.exporter;
    this.exporter = null;
    former?.close();
    if (config === null) {
      this.counts?.lost('stopped', this.waiting);
      this.forget();
      return;
    }
    this.counts ??= new Counts(this.deps.stats);
    this.deps.load(config).then(
      (exporter) => {
        if (this.config !== config) {
          exporter.close();
          return;
        }
        this.exporter = exporter;
        this.pump();
      },
      (error: unknown) => this.deps.log.error({ err: error }, 'the exporter of traces could not be made'),
    );
  }

  private forget(): void {
    this.queue = [];
    this.waiting = 0;
    this.emptied?.();
  }

  /** A batch of a worker. */
  take(batch: Packed): void {
    const { config, counts } = this;
    // Recorded while a configuration without traces was on its way.
    if (config === null || counts === null) return;
    for (const exchange of unpack(batch)) {
      const n = spanCount(exchange);
      if (this.waiting + n > config.exporter.queue) {
        counts.lost('queue-full', n);
        continue;
      }
      this.queue.push(exchange);
      this.waiting += n;
    }
    this.pump();
  }

  /** Sends a batch when there is a full one, or when the first has waited long enough. */
  private pump(): void {
    if (this.sending || this.exporter === null || this.config === null) return;
    if (this.queue.length === 0) {
      this.emptied?.();
      return;
    }
    const { batch, interval } = this.config.exporter;
    if (this.waiting >= batch || this.closing) {
      void this.send(batch);
    } else if (this.timer === null) {
      this.timer = clock.setTimeout(() => {
        this.timer = null;
        if (!this.sending && this.exporter !== null && this.queue.length > 0) void this.send(batch);
      }, interval);
      (this.timer as { unref?: () => void }).unref?.();
    }
  }

  private async send(batch: number): Promise<void> {
    if (this.timer !== null) clock.clearTimeout(this.timer);
    this.timer = null;
    let spans = 0;
    let n = 0;
    // At least one exchange, however many attempts it had.
    while (n < this.queue.length && (n === 0 || spans + spanCount(this.queue[n]!) <= batch)) spans += spanCount(this.queue[n++]!);
    const exchanges = this.queue.splice(0, n);
    this.waiting -= spans;
    this.sending = true;
    const error = await this.exporter!.send(exchanges);
    this.sending = false;
    this.told(error, spans);
    this.pump();
  }

  /** Its address without what may be secret in a URL. */
  private get receiver(): string {
    const url = this.config?.exporter.url ?? '';
    return URL.canParse(url) ? new URL(url).host : url;
  }

  private told(error: Error | null, spans: number): void {
    const counts = this.counts!;
    if (error === null) {
      counts.exported.add(spans);
      if (this.failing) this.deps.log.info({ receiver: this.receiver }, 'traces are exported again');
      this.failing = false;
      return;
    }
    counts.failures.inc();
    counts.lost('export-failed', spans);
    if (!this.failing) this.deps.log.warn({ receiver: this.receiver, error: reasonOf(error) }, 'traces cannot be exported; they are counted as lost until it works again');
    this.failing = true;
  }

  /** Sends what waits, for at most `ms`; the rest is lost. */
  async close(ms = 2000): Promise<void> {
    this.closing = true;
    if (this.queue.length > 0 || this.sending) {
      let handle: unknown;
      await new Promise<void>((resolve) => {
        this.emptied = resolve;
        handle = clock.setTimeout(resolve, ms);
        this.pump();
      });
      clock.clearTimeout(handle);
      if (this.waiting > 0) {
        this.counts?.lost('stopped', this.waiting);
        this.deps.log.warn({ spans: this.waiting }, 'the process ends before all spans were exported');
      }
    }
    this.exporter?.close();
  }
}

/** What an error of a request says: its errno or status, and its message. */
function reasonOf(error: Error & { readonly code?: unknown }): string {
  const code = typeof error.code === 'string' || typeof error.code === 'number' ? String(error.code) : '';
  const message = error.message === '' ? error.name : error.message;
  return code === '' || message.includes(code) ? message : `${code} ${message}`;
}

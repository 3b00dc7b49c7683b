// The queue of spans in the main thread: batches, bounds, failures that are counted and told once, and what an end sends.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type SpanExporter, Tracing } from '../../../src/control/tracing/tracing.js';
import { FakeClock } from '../../../src/core/clock-fake.js';
import { setClock } from '../../../src/core/clock.js';
import type { Log } from '../../../src/core/log.js';
import { Stats } from '../../../src/core/stats.js';
import { ExchangeRecord } from '../../../src/stream/record.js';
import { type TracingConfig, tracingSchema } from '../../../src/stream/trace/config.js';
import { TraceContext } from '../../../src/stream/trace/context.js';
import { pack, type Packed, type TracedExchange } from '../../../src/stream/trace/traced-exchange.js';

/** A batch of `n` exchanges, each with `attempts`. */
function batch(n: number, attempts = 1): Packed {
  const packed: Packed = [];
  for (let i = 0; i < n; i++) {
    const record = new ExchangeRecord();
    record.trace = Object.assign(new TraceContext(), { sampled: true, traceId: 'a'.repeat(32), serverId: 'b'.repeat(16), clientId: 'c'.repeat(16) });
    for (let k = 0; k < attempts; k++) record.beginAttempt('h:1', 0, false);
    pack(record, 0, packed);
  }
  return packed;
}

class FakeExporter implements SpanExporter {
  readonly batches: number[] = [];
  closed = 0;
  readonly answers: ((error: Error | null) => void)[] = [];
  send(exchanges: readonly TracedExchange[]): Promise<Error | null> {
    this.batches.push(exchanges.length);
    return new Promise((resolve) => this.answers.push(resolve));
  }
  close(): void {
    this.closed++;
  }
}

const settle = async (): Promise<void> => {
  for (let i = 0; i < 10; i++) await Promise.resolve();
};

/** Tracing on a fake clock, with every exporter that it had made. */
async function lab(exporter: Record<string, unknown>, work: (lab: { tracing: Tracing; made: FakeExporter[]; clock: FakeClock; lines: string[]; count: (name: string, cause?: string) => number; config: TracingConfig }) => Promise<void>): Promise<void> {
  const clock = new FakeClock();
  const restore = setClock(clock);
  try {
    const stats = new Stats();
    const made: FakeExporter[] = [];
    const lines: string[] = [];
    const line = (level: string) => (_fields: unknown, message?: string): void => void lines.push(`${level} ${message}`);
    const log = { info: line('info'), warn: line('warn'), error: line('error') } as unknown as Log;
    const load = async (): Promise<SpanExporter> => {
      made.push(new FakeExporter());
      return made.at(-1)!;
    };
    const tracing = new Tracing({ stats, log, load });
    const config = tracingSchema.parse({ exporter }) as TracingConfig;
    tracing.apply(config);
    await settle();
    const count = (name: string, cause?: string): number => stats.counter(`sluice_trace_${name}_total`, '', cause === undefined ? {} : { cause }).value;
    await work({ tracing, made, clock, lines, count, config });
  } finally {
    restore();
  }
}

describe('traces in the main thread', () => {
  test('go out in full batches at once, and in others after a while, one at a time', () => lab({ batch: 10, interval: '1s' }, async ({ tracing, made, clock, count }) => {
    const out = made[0]!;
    tracing.take(batch(7));
    assert.deepEqual(out.batches, [5], 'two spans each');
    tracing.take(batch(20));
    clock.advance(5000);
    assert.deepEqual(out.batches, [5], 'one batch at a time');
    for (let i = 0; i < 5; i++) {
      out.answers[i]!(null);
      await settle();
    }
    assert.deepEqual(out.batches, [5, 5, 5, 5, 5]);
    clock.advance(999);
    assert.equal(out.batches.length, 5);
    clock.advance(1);
    assert.deepEqual(out.batches, [5, 5, 5, 5, 5, 2]);
    out.answers[5]!(null);
    await settle();
    assert.equal(count('spans_exported'), 54);
    tracing.take(batch(1, 30));
    assert.deepEqual(out.batches.at(-1), 1, 'an exchange of more spans than a batch has goes out whole');
  }));

  test('are lost beyond the queue, and counted', () => lab({ batch: 4, queue: 10 }, async ({ tracing, made, count }) => {
    tracing.take(batch(8));
    assert.equal(count('spans_lost', 'queue-full'), 6, 'five exchanges fit');
    assert.deepEqual(made[0]!.batches, [2]);
    tracing.take(batch(10));
    assert.equal(count('spans_lost', 'queue-full'), 6 + 16);
  }));

  test('that cannot be exported are counted, and told of when that changes', () => lab({ batch: 2 }, async ({ tracing, made, lines, count }) => {
    for (const error of [new Error('refused'), new Error('refused'), null, null, new Error('late')]) {
      tracing.take(batch(1));
      made[0]!.answers.at(-1)!(error);
      await settle();
    }
    assert.deepEqual(lines, [
      'warn traces cannot be exported; they are counted as lost until it works again',
      'info traces are exported again',
      'warn traces cannot be exported; they are counted as lost until it works again',
    ]);
    assert.deepEqual([count('spans_exported'), count('export_failures'), count('spans_lost', 'export-failed')], [4, 3, 6]);
  }));

  test('change their exporter with the configuration, and none is left without one', () => lab({}, async ({ tracing, made, config }) => {
    tracing.apply(JSON.parse(JSON.stringify(config)) as TracingConfig);
    await settle();
    assert.equal(made.length, 1, 'the same configuration');
    tracing.apply({ ...config, service_name: 'other' });
    await settle();
    assert.deepEqual(made.map((m) => m.closed), [1, 0]);
    tracing.take(batch(1));
    tracing.apply(null);
    assert.deepEqual(made.map((m) => m.closed), [1, 1]);
    tracing.take(batch(1));
    await tracing.close();
    assert.deepEqual(made[1]!.batches, []);
  }));

  test('are all sent at the end', () => lab({ batch: 4, interval: '1m' }, async ({ tracing, made, count }) => {
    tracing.take(batch(1));
    let closed = false;
    void tracing.close(2000).then(() => (closed = true));
    tracing.take(batch(1));
    for (let i = 0; i < 2; i++) {
      await settle();
      assert.equal(closed, false);
      made[0]!.answers[i]!(null);
    }
    await settle();
    assert.deepEqual([closed, made[0]!.closed, count('spans_exported')], [true, 1, 4]);
  }));

  test('do not hold up an end for long', () => lab({ batch: 2 }, async ({ tracing, made, clock, lines, count }) => {
    tracing.take(batch(3));
    let closed = false;
    void tracing.close(2000).then(() => (closed = true));
    clock.advance(1999);
    await settle();
    assert.equal(closed, false);
    clock.advance(1);
    await settle();
    assert.deepEqual([closed, made[0]!.closed, count('spans_lost', 'stopped')], [true, 1, 4]);
    assert.match(lines.join(), /ends before all spans were exported/);
  }));

  test('say so when their exporter cannot be made', async () => {
    const lines: string[] = [];
    const log = { error: (_fields: unknown, message: string) => void lines.push(message), warn() {} } as unknown as Log;
    const tracing = new Tracing({ stats: new Stats(), log, load: () => Promise.reject(new Error('no library')) });
    tracing.apply(tracingSchema.parse({}));
    await settle();
    assert.deepEqual(lines, ['the exporter of traces could not be made']);
    tracing.take(batch(1));
    await tracing.close(0);
  });
});

// What traces cost per request in a worker: the decision on real heads of HTTP/1 and Bolt, and all of it for a request that is recorded. `node build/bench/micro/trace.js`
//
// Node 20, 2 shared cores, ns. HTTP/1 with six headers: no context 75 (one format instead of three: 18), traceparent of a trace that is
// not recorded 90. Bolt with five headers: no keys 74, keys of SOFATracer 200. A recorded request, to the handed-over batch: 3500 to 4500.
import { MAX_RESERVE, Writer, type Output } from '../../src/core/bytes.js';
import { now } from '../../src/core/clock.js';
import { Stats } from '../../src/core/stats.js';
import { ConnectionInfo } from '../../src/network/wire.js';
import type { Head } from '../../src/stream/head.js';
import { buildFrame, buildHeaders, CLASS_REQUEST } from '../../src/stream/protocol/bolt/frame.js';
import { BoltProtocol } from '../../src/stream/protocol/bolt/protocol.js';
import { Http1 } from '../../src/stream/protocol/http1/protocol.js';
import type { CodecSink, Protocol } from '../../src/stream/protocol.js';
import { ExchangeRecord } from '../../src/stream/record.js';
import { type TracingConfig, tracingSchema } from '../../src/stream/trace/config.js';
import { SpanSink } from '../../src/stream/trace/span-sink.js';
import { Tracer } from '../../src/stream/trace/tracer.js';
import { bench } from './measure.js';

/** A block that is written over and over, as a connection's is between two flushes. */
class Loop implements Output {
  readonly writer = new Writer(Buffer.allocUnsafeSlow(2 * MAX_RESERVE));
  out(n: number): Writer {
    const w = this.writer;
    if (w.pos + n > w.buf.length) w.pos = 0;
    w.mark = w.pos;
    return w;
  }
  write(buf: Uint8Array, start: number, end: number): void {
    this.out(end - start).bytes(buf, start, end);
  }
  give(buf: Uint8Array, start: number, end: number): void {
    this.write(buf, start, end);
  }
}

const client = Object.assign(new ConnectionInfo(), { remoteAddress: '10.244.17.231', remotePort: 48712, localAddress: '10.244.17.5', localPort: 2045 });

/** Exchanges as far as traces go, with the request encoded for a host. */
class Subject implements CodecSink {
  private readonly protocol: Protocol;
  private readonly bytes: Buffer;
  private readonly tracer: Tracer | null;
  private readonly record = new ExchangeRecord();
  private readonly out = new Loop();
  /** The decision is made this often on one head; more than once only where it leaves the head as it is. */
  private readonly repeat: number;
  private batches = 0;
  private done = 0;

  constructor(protocol: Protocol, bytes: Buffer, config: Record<string, unknown> | null, repeat: number) {
    this.protocol = protocol;
    this.bytes = bytes;
    this.repeat = repeat;
    const sink: SpanSink = new SpanSink({
      stats: new Stats(),
      post: (batch) => {
        // What handing it to another thread costs here: its copy.
        structuredClone(batch);
        this.batches++;
        sink.taken();
      },
    });
    this.tracer = config === null ? null : new Tracer(tracingSchema.parse(config) as TracingConfig, sink);
  }

  onRequest(head: Head): void {
    const { tracer, record } = this;
    if (tracer !== null) for (let i = 0; i < this.repeat; i++) tracer.begin(head, record);
    if (this.repeat === 1) this.protocol.codec('client').encodeRequest(this.out, head, 0, true);
    if (record.trace === null) return;
    const time = now();
    Object.assign(record, { protocol: this.protocol.name, listener: 'web', routeName: 'orders', clusterName: 'orders', downstream: client, status: 200, rawStatus: 200, start: time, end: time });
    record.beginAttempt('10.244.3.17:8080', time, true);
    record.endAttempt('', '', time, 200);
    tracer!.finished(record);
    record.reset();
  }
  onReply(): void {}
  onData(): void {}
  onTrailers(): void {}
  onReset(): void {}
  onPing(): void {}
  onPong(): void {}
  onGoAway(): void {}
  onError(): void {
    throw new Error('the requests of the bench are sound');
  }

  run(n: number): number {
    const { bytes, repeat } = this;
    for (let left = n; left > 0; left -= repeat) {
      // A codec of HTTP/1 reads no second request before it answered the first.
      this.protocol.codec('server').decode(bytes, 0, bytes.length, this);
      this.done++;
    }
    return this.done + this.batches;
  }
}

const T = '0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331';
const ID = '0a0fe93f1488349732342100153695';

const http = (...more: string[]): Buffer =>
  Buffer.from(['GET /api/v1/orders/4711?expand=items HTTP/1.1', 'host: orders.shop.svc.cluster.local', 'user-agent: curl/8.5.0', 'accept: */*', 'accept-encoding: gzip, br', 'x-request-id: 6c1f0f0e-9b1a', 'cookie: a=1', ...more, '', ''].join('\r\n'));
const bolt = (...more: [string, string][]): Buffer => {
  const service = 'com.example.orders.OrderFacade:1.0';
  const headers = buildHeaders([['service', service], ['sofa_head_method_name', 'findOrder'], ['sofa_head_target_app', 'orders'], ['sofa_head_target_service', service], ...more]);
  return buildFrame({ proto: 1, ver1: 1, switches: 0, type: 1, command: 1, id: 1, codec: 1, timeoutOrStatus: 3000, className: Buffer.from(CLASS_REQUEST), headers, content: Buffer.alloc(100) });
};

const one = new Http1({ maxLine: 8192, maxHead: 65_536, maxHeaders: 128 });
const two = new BoltProtocol();
const NEVER = { sampling: 0 };
const rows: readonly (readonly [string, Protocol, Buffer, Record<string, unknown> | null, number])[] = [
  ['HTTP/1: no traces', one, http(), null, 1000],
  ['HTTP/1: no context', one, http(), NEVER, 1000],
  ['HTTP/1: no context, propagation w3c', one, http(), { ...NEVER, propagation: 'w3c' }, 1000],
  ['HTTP/1: no context, drawn', one, http(), { sampling: 0.000001 }, 1000],
  ['HTTP/1: traceparent, not sampled', one, http(`traceparent: 00-${T}-00`), {}, 1000],
  ['HTTP/1: b3, undecided, not drawn', one, http(`b3: ${T}`), NEVER, 1000],
  ['HTTP/1: decode, encode', one, http(`traceparent: 00-${T}-01`), null, 1],
  ['HTTP/1: decode, record, encode, hand over', one, http(`traceparent: 00-${T}-01`), {}, 1],
  ['Bolt: no traces', two, bolt(), null, 1000],
  ['Bolt: no context', two, bolt(), NEVER, 1000],
  ['Bolt: keys of SOFATracer, not drawn', two, bolt(['new_rpc_trace_context', `tcid=${ID}&spid=0.1&pspid=0&sample=false&`]), NEVER, 1000],
  ['Bolt: decode, encode', two, bolt(['new_rpc_trace_context', `tcid=${ID}&spid=0.1&pspid=0&sample=false&`]), null, 1],
  ['Bolt: decode, record, encode, hand over', two, bolt(['new_rpc_trace_context', `tcid=${ID}&spid=0.1&pspid=0&sample=false&`]), {}, 1],
];
for (const [name, protocol, bytes, config, repeat] of rows) {
  const subject = new Subject(protocol, bytes, config, repeat);
  bench(name, (n) => subject.run(n));
}

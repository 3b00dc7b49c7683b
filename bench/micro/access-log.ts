// Nanoseconds per access-log line: fields captured from the head, the line formatted into its block, the block handed to a disk that is never slow.
//
// Node 20, 2 shared and busy cores, lowest of many short rounds, in ns. Text, HTTP: record 120, line 500 (about 280 bytes); RPC: 110 and 550;
// JSON: 130 and 870; a line with one variable 22. Each native copy takes 18 of them, see `capturedLieAt`. All arrays that are written or
// copied from must be Buffers: with plain Uint8Arrays among them the same code takes twice as long.
import { now } from '../../src/core/clock.js';
import { log } from '../../src/core/log.js';
import { Stats } from '../../src/core/stats.js';
import { ConnectionInfo } from '../../src/network/wire.js';
import { defaultFields, defaultText, type FormatConfig, LineFormat } from '../../src/stream/access-log-format.js';
import { type LineFiles, LineSink } from '../../src/stream/access-log-sink.js';
import { Captures, ExchangeRecord } from '../../src/stream/record.js';
import { FlatHead } from './flat-head.js';
import { bench } from './measure.js';

const http = new FlatHead({ ':method': 'GET', ':path': '/api/v1/orders/4711?expand=items', ':authority': 'orders.shop.svc.cluster.local', 'x-request-id': '6c1f0f0e-9b1a-4d8e-8a53-0d6f2d1f4c55', 'user-agent': 'curl/8.5.0' });
const rpc = new FlatHead({ ':service': 'com.example.orders.OrderFacade:1.0', ':rpc-method': 'findOrder' });
const client = Object.assign(new ConnectionInfo(), { remoteAddress: '10.244.17.231', remotePort: 48712, localAddress: '10.244.17.5', localPort: 2045 });

/** A disk that takes everything before the call returns. */
const disk: LineFiles = { open: (_path, done) => done(null, 1), write: (_fd, _buf, _start, length, done) => done(null, length), close() {} };

class Subject {
  readonly captures = new Captures();
  readonly format: LineFormat;
  readonly sink = new LineSink('stdout', { stats: new Stats(), log, gate: null, files: disk });
  readonly record = new ExchangeRecord();
  private readonly head: FlatHead;
  private readonly start = now();

  constructor(format: FormatConfig, head: FlatHead) {
    this.format = new LineFormat(format, this.captures);
    this.head = head;
    this.exchange(1);
  }

  /** The facts of one exchange, as its phases store them. */
  exchange(i: number): void {
    const record = this.record;
    record.reset();
    const start = this.start + (i & 0xffff) * 0.013;
    record.start = start;
    record.sequence = i;
    record.protocol = 'http1';
    record.listener = 'web';
    record.downstream = client;
    record.captureRequest(this.head, this.captures);
    record.requestDone = start;
    record.routeName = 'orders/1';
    record.clusterName = 'orders';
    record.beginAttempt('10.244.3.17:8080', start, true);
    record.endAttempt('', '', start + 1.2);
    record.firstReplyByte = start + 1.1;
    record.status = 200;
    record.rawStatus = 200;
    record.bytesIn = 312;
    record.bytesOut = 1480 + (i & 255);
    record.end = start + 1.25;
  }

  record_only(n: number): number {
    for (let i = 0; i < n; i++) this.exchange(i);
    return this.record.capturedLength;
  }

  line_only(n: number): number {
    for (let i = 0; i < n; i++) this.sink.write(this.format, this.record);
    return this.sink.dropped.value;
  }

  both(n: number): number {
    for (let i = 0; i < n; i++) {
      this.exchange(i);
      this.sink.write(this.format, this.record);
    }
    return this.sink.dropped.value;
  }
}

for (const [name, format, head] of [['text, HTTP', defaultText, http], ['text, RPC', defaultText, rpc], ['JSON, HTTP', defaultFields, http], ['one variable', '%response_code%', http]] as const) {
  const subject = new Subject(format, head);
  bench(`${name}: record, no line`, (n) => subject.record_only(n));
  bench(`${name}: line`, (n) => subject.line_only(n));
  bench(`${name}: both`, (n) => subject.both(n));
  if (subject.sink.dropped.value > 0) throw new Error('lines were dropped');
}

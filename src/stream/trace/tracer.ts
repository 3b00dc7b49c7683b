// Decides for each request whether it is recorded, and puts the trace that it belongs to into its headers.
import { random } from '../../core/random.js';
import { headerName, type Head, type HeaderName } from '../head.js';
import type { ExchangeRecord } from '../record.js';
import { b3, b3Multi, b3MultiExact } from './b3.js';
import type { FormatName, TracingConfig } from './config.js';
import { type Format, NONE, seen, takeTrace, type TraceContext, UNDECIDED, UNSAMPLED } from './context.js';
import { fractionOf, newSpanId, newTraceId } from './ids.js';
import { sofaBolt, sofaHttp } from './sofa.js';
import type { SpanSink } from './span-sink.js';
import { w3c } from './w3c.js';

const METHOD = headerName(':method');
const PATH = headerName(':path');
const AUTHORITY = headerName(':authority');
const SCHEME = headerName(':scheme');
const SERVICE = headerName(':service');
const RPC_METHOD = headerName(':rpc-method');
const AGENT = headerName('user-agent');
const CONTENT_TYPE = headerName('content-type');

/** Longest text of a request that a span tells, in bytes. */
const MAX_TEXT = 1024;

function formatOf(name: FormatName, http: boolean): Format {
  switch (name) {
    case 'w3c':
      return w3c;
    case 'b3':
      return b3;
    case 'b3multi':
      return http ? b3Multi : b3MultiExact;
    case 'sofa':
      return http ? sofaHttp : sofaBolt;
  }
}

/** Bolt has SOFA's keys and nothing else, the others anything but these; unless the list leaves nothing that way. */
function namesFor(names: readonly FormatName[], protocol: string): readonly FormatName[] {
  const fit = names.filter((name) => (name === 'sofa') === (protocol === 'bolt'));
  return fit.length > 0 ? fit : names;
}

/** What is looked for and written in the heads of one protocol. */
class Plan {
  readonly protocol: string;
  readonly formats: readonly Format[];
  /** Whether the flag of a format decides. */
  readonly trusted: readonly boolean[];
  /** Written in any case; not looked for. */
  readonly inject: readonly Format[];

  constructor(config: TracingConfig, protocol: string) {
    // Names of headers in HTTP have no case, those of others do.
    const http = protocol.startsWith('http');
    this.protocol = protocol;
    this.formats = [...new Set(namesFor(config.propagation, protocol))].map((name) => formatOf(name, http));
    this.trusted = this.formats.map(({ name }) => config.trust.includes(name));
    this.inject = config.inject.map((name) => formatOf(name, http));
  }
}

/** One for a worker. */
export class Tracer {
  private readonly config: TracingConfig;
  private readonly ratio: number;
  private readonly always: boolean;
  private readonly plans = new Map<string, Plan>();
  /** That of the protocol that came last. */
  private plan: Plan;
  private readonly sink: SpanSink;

  constructor(config: TracingConfig, sink: SpanSink) {
    this.config = config;
    this.ratio = config.sampling / 100;
    this.always = config.always_propagate;
    this.plan = new Plan(config, '');
    this.sink = sink;
  }

  private planOf(protocol: string): Plan {
    let plan = this.plans.get(protocol);
    if (plan === undefined) this.plans.set(protocol, (plan = new Plan(this.config, protocol)));
    return (this.plan = plan);
  }

  /** Called once for a request, before filters see it. What is not recorded stays as it came. */
  begin(head: Head, record: ExchangeRecord): void {
    const plan = this.plan.protocol === head.protocol ? this.plan : this.planOf(head.protocol);
    const { formats } = plan;
    for (let i = 0; i < formats.length; i++) {
      const format = formats[i]!;
      const said = format.decision(head);
      if (said === NONE) continue;
      if (said === UNDECIDED || !plan.trusted[i]! ? !this.draws() : said === UNSAMPLED) return;
      const trace = takeTrace();
      trace.sampled = true;
      format.read(head, trace);
      this.record(head, record, trace, format);
      return;
    }
    if (this.ratio > 0 && (this.ratio >= 1 || random() < this.ratio)) {
      const trace = takeTrace();
      trace.sampled = true;
      this.record(head, record, trace, null);
    } else if (this.always) {
      const trace = takeTrace();
      this.propagate(head, record, trace, null);
    }
  }

  /** Decides on a trace that nobody has decided on: what it draws depends on its id alone. */
  private draws(): boolean {
    if (this.ratio <= 0 || this.ratio >= 1) return this.ratio > 0;
    return (seen.end > seen.start ? fractionOf(seen.buf, seen.start, seen.end) : random()) < this.ratio;
  }

  private record(head: Head, record: ExchangeRecord, trace: TraceContext, found: Format | null): void {
    trace.method = textOf(head, METHOD);
    trace.path = textOf(head, PATH);
    trace.authority = textOf(head, AUTHORITY);
    trace.scheme = textOf(head, SCHEME);
    trace.service = textOf(head, SERVICE);
    trace.rpcMethod = textOf(head, RPC_METHOD);
    trace.agent = textOf(head, AGENT);
    trace.contentType = textOf(head, CONTENT_TYPE);
    this.propagate(head, record, trace, found);
  }

  private propagate(head: Head, record: ExchangeRecord, trace: TraceContext, found: Format | null): void {
    trace.serverId = newSpanId();
    record.trace = trace;
    this.write(head, trace, this.plan, found, record.downstream === null ? '' : record.downstream.localAddress);
  }

  /** Completes the ids and writes them in the format that was found, in all others that the request has, and in those that are always written. */
  private write(head: Head, trace: TraceContext, plan: Plan, found: Format | null, address: string): void {
    const { formats, inject } = plan;
    const written: Format[] = [];
    for (const format of formats) if (format === found || format.decision(head) !== NONE) written.push(format);
    if (written.length === 0) written.push(formats[0]!);
    for (const format of inject) if (!written.includes(format)) written.push(format);
    for (const format of written) format.prepare?.(head, trace, address);
    if (trace.traceId === '') trace.traceId = newTraceId();
    if (trace.clientId === '') trace.clientId = newSpanId();
    const refused = head.refused;
    for (const format of written) format.write(head, trace);
    // A head that has no room for a trace goes without it: nothing is refused because it is traced.
    head.refused = refused;
  }

  /** The request goes on in a head of another protocol, which has other places for a trace. */
  carryOver(head: Head, trace: TraceContext): void {
    const plan = this.plans.get(head.protocol) ?? new Plan(this.config, head.protocol);
    this.plans.set(head.protocol, plan);
    this.write(head, trace, plan, null, '');
  }

  /** Called when an exchange ended that has a trace. */
  finished(record: ExchangeRecord): void {
    if (record.trace!.sampled) this.sink.add(record);
  }
}

function textOf(head: Head, name: HeaderName): string {
  if (!head.find(name)) return '';
  return (head.vbuf as Buffer).utf8Slice(head.vstart, Math.min(head.vend, head.vstart + MAX_TEXT));
}

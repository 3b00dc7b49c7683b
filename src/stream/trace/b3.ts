// B3 of Zipkin, in one header (b3) and in several (x-b3-*): https://github.com/openzipkin/b3-propagation
import { headerName, type Head, type HeaderName } from '../head.js';
import { type Decision, type Format, NONE, SAMPLED, saw, type TraceContext, UNDECIDED, UNSAMPLED } from './context.js';
import { isId } from './ids.js';

const DASH = 0x2d;
const ZERO = 0x30;
const ONE = 0x31;
const DEBUG = 0x64;

/** B3 knows trace ids of 16 digits as well: they were filled up with zeros, and are written as they came. */
function b3TraceId(traceId: string): string {
  return traceId.startsWith('0000000000000000') ? traceId.slice(16) : traceId;
}

function decisionOf(byte: number): Decision {
  return byte === ZERO ? UNSAMPLED : byte === ONE || byte === DEBUG ? SAMPLED : NONE;
}

/** `trace-span`, `trace-span-sampled`, `trace-span-sampled-parent`, or the decision alone: 0, 1 or d. */
class B3Single implements Format {
  readonly name = 'b3';
  private readonly header = headerName('b3');

  decision(head: Head): Decision {
    if (!head.find(this.header)) return NONE;
    const { vbuf: b, vstart: s, vend: end } = head;
    if (end - s === 1) return saw(b, 0, 0, decisionOf(b[s]!));
    const span = this.spanAt(b, s, end);
    if (span < 0) return NONE;
    if (span + 16 === end) return saw(b, s, span - 1, UNDECIDED);
    if (b[span + 16] !== DASH || (span + 18 !== end && b[span + 18] !== DASH)) return NONE;
    return saw(b, s, span - 1, decisionOf(b[span + 17]!));
  }

  /** Where the span id begins, after a trace id of 16 or 32 digits; -1 where the ids are not there. */
  private spanAt(b: Uint8Array, s: number, end: number): number {
    const digits = b[s + 16] === DASH ? 16 : 32;
    const span = s + digits + 1;
    return end - span >= 16 && b[span - 1] === DASH && isId(b, s, s + digits) && isId(b, span, span + 16) ? span : -1;
  }

  read(head: Head, trace: TraceContext): void {
    if (!head.find(this.header)) return;
    const { vstart: s, vend: end } = head;
    const buf = head.vbuf as Buffer;
    if (end - s === 1) {
      trace.debug = buf[s] === DEBUG;
      return;
    }
    const span = this.spanAt(buf, s, end);
    trace.traceId = buf.latin1Slice(s, span - 1).padStart(32, '0');
    trace.parentId = buf.latin1Slice(span, span + 16);
    trace.debug = end > span + 17 && buf[span + 17] === DEBUG;
  }

  write(head: Head, trace: TraceContext): void {
    const sampled = trace.debug ? 'd' : trace.sampled ? '1' : '0';
    const parent = trace.sampled ? `-${trace.serverId}` : '';
    head.set(this.header, `${b3TraceId(trace.traceId)}-${trace.clientId}-${sampled}${parent}`);
  }
}

class B3Multi implements Format {
  readonly name = 'b3multi';
  private readonly traceId: HeaderName;
  private readonly spanId: HeaderName;
  private readonly parentId: HeaderName;
  private readonly sampled: HeaderName;
  private readonly flags: HeaderName;

  /** `exact`: the protocol compares names by case. */
  constructor(exact: boolean) {
    const named = (name: string): HeaderName => headerName(exact ? name : name.toLowerCase());
    this.traceId = named('X-B3-TraceId');
    this.spanId = named('X-B3-SpanId');
    this.parentId = named('X-B3-ParentSpanId');
    this.sampled = named('X-B3-Sampled');
    this.flags = named('X-B3-Flags');
  }

  decision(head: Head): Decision {
    const said = this.isDebug(head) ? SAMPLED : this.flagOf(head);
    if (this.hasIds(head) && head.find(this.traceId)) return saw(head.vbuf, head.vstart, head.vend, said === NONE ? UNDECIDED : said);
    return saw(head.vbuf, 0, 0, said);
  }

  private flagOf(head: Head): Decision {
    if (!head.find(this.sampled)) return NONE;
    const b = head.vbuf;
    const s = head.vstart;
    const n = head.vend - s;
    if (n === 1) return b[s] === DEBUG ? NONE : decisionOf(b[s]!);
    // "true" and "false" were written by early libraries.
    return n === 4 && b[s] === 0x74 ? SAMPLED : n === 5 && b[s] === 0x66 ? UNSAMPLED : NONE;
  }

  private isDebug(head: Head): boolean {
    return head.find(this.flags) && head.vend - head.vstart === 1 && head.vbuf[head.vstart] === ONE;
  }

  private hasIds(head: Head): boolean {
    if (!head.find(this.traceId)) return false;
    const n = head.vend - head.vstart;
    if ((n !== 32 && n !== 16) || !isId(head.vbuf, head.vstart, head.vend)) return false;
    return head.find(this.spanId) && head.vend - head.vstart === 16 && isId(head.vbuf, head.vstart, head.vend);
  }

  read(head: Head, trace: TraceContext): void {
    trace.debug = this.isDebug(head);
    if (!this.hasIds(head)) return;
    trace.parentId = (head.vbuf as Buffer).latin1Slice(head.vstart, head.vend);
    head.find(this.traceId);
    trace.traceId = (head.vbuf as Buffer).latin1Slice(head.vstart, head.vend).padStart(32, '0');
  }

  write(head: Head, trace: TraceContext): void {
    head.set(this.traceId, b3TraceId(trace.traceId));
    head.set(this.spanId, trace.clientId);
    if (trace.sampled) head.set(this.parentId, trace.serverId);
    if (trace.debug) {
      // Debug implies sampled, and the two are not sent together.
      head.set(this.flags, '1');
      if (head.find(this.sampled)) head.remove(this.sampled);
    } else {
      head.set(this.sampled, trace.sampled ? '1' : '0');
    }
  }
}

export const b3: Format = new B3Single();
export const b3Multi: Format = new B3Multi(false);
export const b3MultiExact: Format = new B3Multi(true);

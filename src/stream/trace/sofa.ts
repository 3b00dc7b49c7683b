// The keys of SOFATracer: in Bolt headers as SOFARPC and MOSN write them, and their short form in HTTP headers.
import { equalAt } from '../../core/bytes.js';
import { clock } from '../../core/clock.js';
import { headerName, type Head, type HeaderName } from '../head.js';
import { type Decision, type Format, NONE, SAMPLED, saw, type TraceContext, UNDECIDED, UNSAMPLED } from './context.js';
import { derivedSpanId, ownNumber, traceIdOf } from './ids.js';

/**
 * Two layouts are in use (SOFARPC 5.13, RpcSofaTracer and SofaRpcSerialization). From 5.1 on: one header of pairs,
 *
 *   new_rpc_trace_context: tcid=TRACE&spid=0.1&pspid=0&sample=false&KEY=BAGGAGE&
 *
 * whose baggage goes on as it came. Before, and in MOSN: a header for each, of which these matter here:
 *
 *   rpc_trace_context.sofaTraceId: TRACE     rpc_trace_context.sofaRpcId: 0.1     rpc_trace_context.samp: false
 *
 * A server takes the first where both are there, and either from the header before the content. An rpcId is a path: the root is 0,
 * and the n-th call that is made while serving a call adds ".n" to its id. Caller and callee use the same id for their sides of it.
 * A proxy makes one call for each that it serves: what came as 0.1 goes out as 0.1.1.
 *
 * Nobody decides by default: SOFARPC 5.13 says `true` of every call, others `false`, unless the application gave its tracer a sampler.
 */
const PAIRS = headerName('new_rpc_trace_context');
const TRACE = Buffer.from('tcid=');
const CALL = Buffer.from('spid=');
const SAMPLE = Buffer.from('sample=');
const AND = 0x26;

/** Trace ids and rpcIds that are longer count as absent. */
const MAX_ID = 128;
/** Pairs that are longer are forwarded as they came. */
const MAX_PAIRS = 8192;

// What `scanPairs` found.
let traceFrom = 0;
let traceTo = 0;
let callFrom = 0;
let callTo = 0;
let said: Decision = UNDECIDED;

/** Finds the pairs that matter here, of which the order is not prescribed; false without a trace id. One pass: it is done for every call. */
function scanPairs(buf: Uint8Array, start: number, end: number): boolean {
  traceTo = traceFrom = callTo = callFrom = 0;
  said = UNDECIDED;
  for (let p = start; p < end; p++) {
    const first = buf[p];
    const at = p;
    while (p < end && buf[p] !== AND) p++;
    if (first === TRACE[0] && isKey(buf, at, p, TRACE)) {
      traceFrom = at + TRACE.length;
      traceTo = p;
    } else if (first === SAMPLE[0]) {
      if (isKey(buf, at, p, SAMPLE)) {
        said = saidBy(buf, at + SAMPLE.length, p);
        // SOFATracer writes it last, and baggage after it.
        if (traceTo > 0 && callTo > 0) break;
      } else if (isKey(buf, at, p, CALL)) {
        callFrom = at + CALL.length;
        callTo = p;
      }
    }
  }
  return isWord(buf, traceFrom, traceTo);
}

function isKey(buf: Uint8Array, start: number, end: number, key: Uint8Array): boolean {
  return end - start > key.length && equalAt(buf, start, key);
}

/** Whether a value can be an id: visible ASCII, not too long. */
function isWord(buf: Uint8Array, start: number, end: number): boolean {
  if (end <= start || end - start > MAX_ID) return false;
  for (let p = start; p < end; p++) if (buf[p]! <= 0x20 || buf[p]! >= 0x7f) return false;
  return true;
}

/** `true` and `false`, in any case of letters. */
function saidBy(buf: Uint8Array, start: number, end: number): Decision {
  const first = buf[start]! | 32;
  if (end - start === 4 && first === 0x74) return SAMPLED;
  return end - start === 5 && first === 0x66 ? UNSAMPLED : UNDECIDED;
}

let count = 1000 + (Math.floor(clock.wall()) % 8000);

/** As SOFATracer makes them: IPv4 address (8 hex digits), ms since 1970, a number from 1000 to 9000, and, for its process id, a number of the thread's own. */
function newSofaTrace(address: string): string {
  const parts = /^(?:::ffff:)?(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  const ip = parts === null ? 'ffffffff' : parts.slice(1).map((part) => Number(part).toString(16).padStart(2, '0')).join('');
  count = count >= 9000 ? 1000 : count + 1;
  return `${ip}${clock.wall()}${count}${ownNumber(6)}`;
}

class Sofa implements Format {
  readonly name = 'sofa';
  private readonly trace: HeaderName;
  private readonly call: HeaderName;
  /** Null where the layout has none. */
  private readonly sampled: HeaderName | null;

  constructor(trace: string, call: string, sampled: string | null) {
    this.trace = headerName(trace);
    this.call = headerName(call);
    this.sampled = sampled === null ? null : headerName(sampled);
  }

  decision(head: Head): Decision {
    if (head.find(PAIRS)) {
      const { vbuf, vstart, vend } = head;
      if (scanPairs(vbuf, vstart, vend)) return saw(vbuf, traceFrom, traceTo, said);
    }
    if (!head.find(this.trace) || !isWord(head.vbuf, head.vstart, head.vend)) return NONE;
    const { vbuf, vstart, vend } = head;
    return saw(vbuf, vstart, vend, this.sampled !== null && head.find(this.sampled) ? saidBy(head.vbuf, head.vstart, head.vend) : UNDECIDED);
  }

  read(head: Head, trace: TraceContext): void {
    this.readIds(head, trace);
    trace.traceId = traceIdOf(trace.sofaTrace);
    // The root of a trace has no caller whose span could be known.
    if (trace.sofaCall.includes('.')) trace.parentId = derivedSpanId(trace.sofaTrace, trace.sofaCall);
  }

  private readIds(head: Head, trace: TraceContext): void {
    if (head.find(PAIRS)) {
      const buf = head.vbuf as Buffer;
      if (scanPairs(buf, head.vstart, head.vend)) {
        trace.sofaTrace = buf.latin1Slice(traceFrom, traceTo);
        trace.sofaCall = isWord(buf, callFrom, callTo) ? buf.latin1Slice(callFrom, callTo) : '0';
        return;
      }
    }
    if (!head.find(this.trace) || !isWord(head.vbuf, head.vstart, head.vend)) return;
    trace.sofaTrace = (head.vbuf as Buffer).latin1Slice(head.vstart, head.vend);
    const call = head.find(this.call) && isWord(head.vbuf, head.vstart, head.vend);
    trace.sofaCall = call ? (head.vbuf as Buffer).latin1Slice(head.vstart, head.vend) : '0';
  }

  prepare(head: Head, trace: TraceContext, address: string): void {
    if (trace.sofaTrace === '') this.readIds(head, trace);
    if (trace.sofaTrace === '') {
      trace.sofaTrace = trace.traceId === '' ? newSofaTrace(address) : trace.traceId;
      trace.sofaCall = '0';
    }
    if (trace.traceId === '') trace.traceId = traceIdOf(trace.sofaTrace);
    trace.sofaNext = trace.sofaCall.length < MAX_ID - 1 ? `${trace.sofaCall}.1` : trace.sofaCall;
    // The next proxy finds its parent by this, since no header has room for a span id.
    trace.clientId = derivedSpanId(trace.sofaTrace, trace.sofaNext);
  }

  write(head: Head, trace: TraceContext): void {
    const pairs = head.find(PAIRS) && head.vend > head.vstart && head.vend - head.vstart <= MAX_PAIRS ? (head.vbuf as Buffer).utf8Slice(head.vstart, head.vend) : '';
    const written = pairs === '' ? '' : rewritten(pairs, trace);
    if (written !== '') head.set(PAIRS, written);
    const known = head.find(this.trace);
    if (!known && written !== '') return;
    if (!known) head.set(this.trace, trace.sofaTrace);
    head.set(this.call, trace.sofaNext);
    if (this.sampled !== null) head.set(this.sampled, String(trace.sampled));
  }
}

/** The pairs with the ids of the outgoing call; '' where they hold what no header may. */
function rewritten(pairs: string, trace: TraceContext): string {
  for (let i = 0; i < pairs.length; i++) if (pairs.charCodeAt(i) < 0x20 || pairs.charCodeAt(i) === 0x7f) return '';
  let rest = '';
  for (const pair of pairs.split('&')) if (pair !== '' && !/^(tcid|spid|pspid|sample)=/.test(pair)) rest += `${pair}&`;
  return `tcid=${trace.sofaTrace}&spid=${trace.sofaNext}&pspid=${trace.sofaCall}&sample=${trace.sampled}&${rest}`;
}

export const sofaBolt: Format = new Sofa('rpc_trace_context.sofaTraceId', 'rpc_trace_context.sofaRpcId', 'rpc_trace_context.samp');
export const sofaHttp: Format = new Sofa('sofa-traceid', 'sofa-rpcid', null);

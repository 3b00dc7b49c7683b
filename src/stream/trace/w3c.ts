// W3C Trace Context (traceparent, tracestate), version 00 and what later versions promise to keep.
import { headerName, type Head } from '../head.js';
import { type Decision, type Format, NONE, SAMPLED, saw, type TraceContext, UNSAMPLED } from './context.js';
import { hexValue, isId } from './ids.js';

const PARENT = headerName('traceparent');
const STATE = headerName('tracestate');
const DASH = 0x2d;
/** version (2 digits), trace id (32), parent id (16), flags (2), with dashes between. */
const LENGTH = 55;
/** Longest tracestate that spans tell; the specification asks for 512 at least. */
const MAX_STATE = 1024;

class W3c implements Format {
  readonly name = 'w3c';

  decision(head: Head): Decision {
    if (!head.find(PARENT)) return NONE;
    const { vbuf: b, vstart: s } = head;
    const n = head.vend - s;
    if (n < LENGTH || b[s + 2] !== DASH || b[s + 35] !== DASH || b[s + 52] !== DASH) return NONE;
    const high = hexValue(b[s]!);
    const low = hexValue(b[s + 1]!);
    if (high < 0 || low < 0 || (high === 15 && low === 15)) return NONE;
    // A later version may go on behind what is known, after a dash.
    if (n > LENGTH && ((high === 0 && low === 0) || b[s + LENGTH] !== DASH)) return NONE;
    if (!isId(b, s + 3, s + 35) || !isId(b, s + 36, s + 52)) return NONE;
    const flags = hexValue(b[s + 54]!);
    if (flags < 0 || hexValue(b[s + 53]!) < 0) return NONE;
    return saw(b, s + 3, s + 35, (flags & 1) === 1 ? SAMPLED : UNSAMPLED);
  }

  read(head: Head, trace: TraceContext): void {
    if (!head.find(PARENT)) return;
    const at = head.vstart;
    const buf = head.vbuf as Buffer;
    trace.traceId = buf.latin1Slice(at + 3, at + 35);
    trace.parentId = buf.latin1Slice(at + 36, at + 52);
    if (head.find(STATE) && head.vend - head.vstart <= MAX_STATE) trace.state = (head.vbuf as Buffer).latin1Slice(head.vstart, head.vend);
  }

  write(head: Head, trace: TraceContext): void {
    // The state belongs to the trace that was named beside it: where that was malformed, another begins.
    if (trace.parentId === '' && head.find(STATE)) head.remove(STATE);
    head.set(PARENT, `00-${trace.traceId}-${trace.clientId}-${trace.sampled ? '01' : '00'}`);
  }
}

export const w3c: Format = new W3c();

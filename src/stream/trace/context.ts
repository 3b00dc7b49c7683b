// What is known of the trace that an exchange belongs to: filled when its head came, read when its record is finished.
import type { Head } from '../head.js';
import type { FormatName } from './config.js';

/** What a request says of its trace: nothing; that it is not recorded; that it is; that whoever comes next may decide. */
export const NONE = 0;
export const UNSAMPLED = 1;
export const SAMPLED = 2;
export const UNDECIDED = 3;
export type Decision = typeof NONE | typeof UNSAMPLED | typeof SAMPLED | typeof UNDECIDED;

/** Where the trace id lies that was looked at last; empty where a decision came without ids. All proxies on the way draw the same number of it. */
export const seen = { buf: Buffer.alloc(0) as Uint8Array, start: 0, end: 0 };

/** Notes the place of a trace id and returns what is said of it. */
export function saw(buf: Uint8Array, start: number, end: number, said: Decision): Decision {
  seen.buf = buf;
  seen.start = start;
  seen.end = end;
  return said;
}

/**
 * One way to write a trace into the headers of a message, with the names as one protocol has them.
 * `decision` is asked of every message and allocates nothing; the others only of those that are recorded.
 */
export interface Format {
  readonly name: FormatName;
  /** What is malformed counts as absent. Whatever it is but NONE, `seen` has the trace id. */
  decision(head: Head): Decision;
  /** Takes over the ids, after a `decision` other than NONE; what the head does not have stays ''. */
  read(head: Head, trace: TraceContext): void;
  /**
   * Makes or finds what `write` needs besides trace id and span ids; it may choose these where they are still ''. Called after
   * `read` of this or another format. `address`: ours, as text; '' where none is known.
   */
  prepare?(head: Head, trace: TraceContext, address: string): void;
  /** Puts the ids of the outgoing call into the head, in place of those that came. */
  write(head: Head, trace: TraceContext): void;
}

export class TraceContext {
  sampled = false;
  /** B3's wish that every system on the way records it. */
  debug = false;
  /** 32 lower-case hex digits. */
  traceId = '';
  /** Span of the caller, 16 hex digits; '' where the trace begins here. */
  parentId = '';
  /** Span of the exchange as we serve it, and the one as we call a host; 16 hex digits. */
  serverId = '';
  clientId = '';
  /** W3C tracestate, passed on as it is. */
  state = '';
  /** SOFA's own ids: of the trace, of the call that came, and of the call that goes out. */
  sofaTrace = '';
  sofaCall = '';
  sofaNext = '';

  // What spans say of the request, as the client sent it.
  method = '';
  path = '';
  authority = '';
  scheme = '';
  service = '';
  rpcMethod = '';
  agent = '';
  contentType = '';

  clear(): void {
    this.sampled = false;
    this.debug = false;
    this.traceId = '';
    this.parentId = '';
    this.serverId = '';
    this.clientId = '';
    this.state = '';
    this.sofaTrace = '';
    this.sofaCall = '';
    this.sofaNext = '';
    this.method = '';
    this.path = '';
    this.authority = '';
    this.scheme = '';
    this.service = '';
    this.rpcMethod = '';
    this.agent = '';
    this.contentType = '';
  }
}

const free: TraceContext[] = [];
const MAX_FREE = 256;

export function takeTrace(): TraceContext {
  return free.pop() ?? new TraceContext();
}

/** Its texts are let go of at once. */
export function giveTrace(trace: TraceContext): void {
  if (free.length >= MAX_FREE) return;
  trace.clear();
  free.push(trace);
}

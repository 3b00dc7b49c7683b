// The record of one exchange: plain facts stored as the exchange goes, read once at its end by log, metrics and trace and by nothing else before.
import { clock, now } from '../core/clock.js';
import { random } from '../core/random.js';
import type { ReasonCode, ReasonContext } from '../core/reason.js';
import type { RpcRow } from './rpc-stats.js';
import type { ConnectionInfo } from '../network/wire.js';
import type { Head, HeaderName } from './head.js';
import { giveTrace, type TraceContext } from './trace/context.js';

/** What happened besides the reason; bits of `ExchangeRecord.flags`, in the order of `noteNames`. */
export const NOTE_NOT_REPLAYABLE = 1;
export const NOTE_FREE_RETRY = 2;
export const NOTE_RETRY_LIMIT = 4;
export const NOTE_TUNNEL = 8;
export const NOTE_LOCAL_REPLY = 16;
export const NOTE_DRAINING = 32;
export const NOTE_HELD = 64;
export const noteNames = ['not-replayable', 'free-retry', 'retry-limit', 'tunnel', 'local-reply', 'draining', 'held'] as const;

/** Longest value kept of one captured field, and of all fields of one record, in bytes; a value that is cut ends in "...". */
export const MAX_CAPTURE = 1024;
export const MAX_CAPTURES = 8192;
/** Longest stretch of a message that is copied as one with the fields in it; not above MAX_CAPTURE, so that none is to be cut. */
const MAX_STRETCH = 768;

/**
 * Which fields of heads must outlive them: the union of what the logs and tracers of one listener read. Filled while formats are
 * compiled; a slot is an index into the list. It only grows, so one set serves a listener for life: a format that a reload brings
 * finds the slots of records captured before, and takes the ones that came later for absent.
 */
export class Captures {
  readonly request: HeaderName[] = [];
  readonly reply: HeaderName[] = [];

  requestSlot(name: HeaderName): number {
    return slotOf(this.request, name);
  }

  replySlot(name: HeaderName): number {
    return slotOf(this.reply, name);
  }
}

function slotOf(list: HeaderName[], name: HeaderName): number {
  const found = list.indexOf(name);
  return found >= 0 ? found : list.push(name) - 1;
}

/** One try at a host. */
export interface Attempt {
  host: string;
  /** '' when the host answered. */
  code: ReasonCode | '';
  errno: string;
  /** Monotonic ms. */
  started: number;
  /** ms. */
  duration: number;
  /** The connection had carried other exchanges before. */
  reused: boolean;
  /** HTTP-like status of its reply; 0 where none came, or nobody noted it. */
  status: number;
}

const CUT = Buffer.from('...');
let captureBlock = 256;

export class ExchangeRecord {
  /** Monotonic ms of the first byte of the request. */
  start = 0;
  /** Number of the exchange in this worker; `requestIdPrefix` and it are the id of a request that brought none. */
  sequence = 0;
  /** The listener's protocol. */
  protocol = '';
  listener = '';
  connectionId = 0;
  /** Facts of the downstream connection; null for an exchange that came from inside the process. */
  downstream: ConnectionInfo | null = null;
  /** Facts and number of the upstream connection of the last attempt. */
  upstream: ConnectionInfo | null = null;
  upstreamConnectionId = 0;
  routeName = '';
  clusterName = '';
  /** HTTP-like status of the final reply as sent to the client; 0 when there was none. */
  status = 0;
  /** The protocol's own status of it. */
  rawStatus = 0;
  /** Why the exchange ended other than well; '' when it ended well. */
  code: ReasonCode | '' = '';
  context: ReasonContext | null = null;
  /** Bytes of content and heads received from and sent to the client for this exchange. */
  bytesIn = 0;
  bytesOut = 0;
  /** Monotonic ms; 0 for what has not happened. */
  requestDone = 0;
  upstreamConnected = 0;
  firstReplyByte = 0;
  end = 0;
  /** NOTE_* bits. */
  flags = 0;
  oneway = false;
  /** The trace that the exchange belongs to; null where none is known or it is not recorded. */
  trace: TraceContext | null = null;
  /** The counters of its service and method, where the listener counts these. */
  rpc: RpcRow | null = null;

  /** How many attempts were begun. The first lies in plain fields, so that most exchanges allocate nothing for it. */
  attempts = 0;
  firstHost = '';
  firstCode: ReasonCode | '' = '';
  firstErrno = '';
  firstStarted = 0;
  firstDuration = 0;
  firstReused = false;
  firstStatus = 0;
  private more: Attempt[] | null = null;

  /** The set that `captured` was filled with; null before `captureRequest`. */
  captures: Captures | null = null;
  captured: Uint8Array = Buffer.allocUnsafeSlow(captureBlock);
  /** The same block, four bytes at a time. */
  words = new Int32Array(this.captured.buffer);
  /** Bytes used of `captured`. */
  capturedLength = 0;
  /** Ranges in `captured`: start and end per slot; start is -1 for a field that the head did not have. */
  requestSlots = new Int32Array(16);
  replySlots = new Int32Array(8);
  /** How many slots were filled; 0 before the head came. */
  requestCount = 0;
  replyCount = 0;

  /** Ready for the next exchange; keeps the block of captured bytes unless it grew large. */
  reset(): void {
    this.start = 0;
    this.sequence = 0;
    this.protocol = '';
    this.listener = '';
    this.connectionId = 0;
    this.downstream = null;
    this.upstream = null;
    this.upstreamConnectionId = 0;
    this.routeName = '';
    this.clusterName = '';
    this.status = 0;
    this.rawStatus = 0;
    this.code = '';
    this.context = null;
    this.bytesIn = 0;
    this.bytesOut = 0;
    this.requestDone = 0;
    this.upstreamConnected = 0;
    this.firstReplyByte = 0;
    this.end = 0;
    this.flags = 0;
    this.oneway = false;
    this.rpc = null;
    if (this.trace !== null) {
      giveTrace(this.trace);
      this.trace = null;
    }
    this.attempts = 0;
    this.firstHost = '';
    this.firstCode = '';
    this.firstErrno = '';
    this.firstStarted = 0;
    this.firstDuration = 0;
    this.firstReused = false;
    this.firstStatus = 0;
    this.more = null;
    this.captures = null;
    this.capturedLength = 0;
    this.requestCount = 0;
    this.replyCount = 0;
    if (this.captured.length > 1024) this.take(captureBlock);
  }

  // === attempts

  beginAttempt(host: string, at: number, reused: boolean): void {
    if (this.attempts++ === 0) {
      this.firstHost = host;
      this.firstStarted = at;
      this.firstReused = reused;
      return;
    }
    (this.more ??= []).push({ host, code: '', errno: '', started: at, duration: 0, reused, status: 0 });
  }

  /** Ends the attempt begun last; `code` '' when the host answered, with the HTTP-like `status`. */
  endAttempt(code: ReasonCode | '', errno: string, at: number, status = 0): void {
    if (this.attempts === 1) {
      this.firstCode = code;
      this.firstErrno = errno;
      this.firstDuration = at - this.firstStarted;
      this.firstStatus = status;
    } else if (this.attempts > 1) {
      const attempt = this.more![this.attempts - 2]!;
      attempt.code = code;
      attempt.errno = errno;
      attempt.duration = at - attempt.started;
      attempt.status = status;
    }
  }

  /** Whether the attempt begun last runs on a connection that carried other exchanges before; known when the pool gives one. */
  set reused(reused: boolean) {
    if (this.attempts === 1) this.firstReused = reused;
    else if (this.attempts > 1) this.more![this.attempts - 2]!.reused = reused;
  }

  /** Attempt `i`, from 0; allocates for the first one, so for readers of failures only. */
  attempt(i: number): Attempt {
    if (i > 0) return this.more![i - 1]!;
    return { host: this.firstHost, code: this.firstCode, errno: this.firstErrno, started: this.firstStarted, duration: this.firstDuration, reused: this.firstReused, status: this.firstStatus };
  }

  /** Host of the last attempt; '' without one. */
  get host(): string {
    return this.attempts <= 1 ? this.firstHost : this.more![this.attempts - 2]!.host;
  }

  /** Errno of the last attempt; '' without one. */
  get errno(): string {
    return this.attempts <= 1 ? this.firstErrno : this.more![this.attempts - 2]!.errno;
  }

  // === facts of heads

  /** Copies the fields of `captures.request` out of a request head, as the client sent them; before filters or routes edit it. */
  captureRequest(head: Head, captures: Captures): void {
    this.captures = captures;
    this.capturedLength = 0;
    const names = captures.request;
    if (this.requestSlots.length < names.length * 2) this.requestSlots = new Int32Array(names.length * 2);
    this.capture(head, names, this.requestSlots);
    this.requestCount = names.length;
  }

  /** The same for the reply head, as the client gets it; after filters and routes edited it. Needs an earlier `captureRequest`. */
  captureReply(head: Head): void {
    const captures = this.captures;
    if (captures === null) return;
    const names = captures.reply;
    if (names.length === 0) return;
    if (this.replySlots.length < names.length * 2) this.replySlots = new Int32Array(names.length * 2);
    this.capture(head, names, this.replySlots);
    this.replyCount = names.length;
  }

  /**
   * Fields of an unedited head lie in the message itself, near one another: then the stretch from the first to the last of them is
   * copied at once, with what lies between, because a native copy costs the same for 40 bytes as for 400.
   */
  private capture(head: Head, names: readonly HeaderName[], slots: Int32Array): void {
    const from = head.buf;
    let least = 0x7fffffff;
    let most = 0;
    for (let i = 0; i < names.length; i++) {
      if (!head.find(names[i]!)) {
        slots[i * 2] = -1;
        continue;
      }
      if (head.vbuf !== from) return this.captureEach(head, names, slots);
      const { vstart, vend } = head;
      slots[i * 2] = vstart;
      slots[i * 2 + 1] = vend;
      if (vstart < least) least = vstart;
      if (vend > most) most = vend;
    }
    const p = this.capturedLength;
    const n = most - least;
    if (n <= 0 && most === 0) return;
    if (n > MAX_STRETCH || p + n > MAX_CAPTURES) return this.captureEach(head, names, slots);
    if (p + n > this.captured.length) this.grow(p, p + n);
    if (n > 16) {
      this.captured.set(from.subarray(least, most), p);
    } else {
      const to = this.captured;
      for (let k = 0; k < n; k++) to[p + k] = from[least + k]!;
    }
    const shift = p - least;
    for (let i = 0; i < names.length; i++) {
      if (slots[i * 2]! < 0) continue;
      slots[i * 2]! += shift;
      slots[i * 2 + 1]! += shift;
    }
    this.capturedLength = p + n;
  }

  /** Copies field by field: what an edit put elsewhere, what lies far apart, and what is cut. */
  private captureEach(head: Head, names: readonly HeaderName[], slots: Int32Array): void {
    let p = this.capturedLength;
    for (let i = 0; i < names.length; i++) {
      if (!head.find(names[i]!)) {
        slots[i * 2] = -1;
        continue;
      }
      const start = head.vstart;
      let n = head.vend - start;
      const cut = n > MAX_CAPTURE || p + n > MAX_CAPTURES;
      if (cut) n = Math.max(0, Math.min(MAX_CAPTURE, MAX_CAPTURES - p) - CUT.length);
      if (p + n + CUT.length > this.captured.length) this.grow(p, p + n + CUT.length);
      const from = head.vbuf;
      const to = this.captured;
      slots[i * 2] = p;
      for (let k = 0; k < n; k++) to[p + k] = from[start + k]!;
      p += n;
      if (cut && p + CUT.length <= MAX_CAPTURES) {
        to.set(CUT, p);
        p += CUT.length;
      }
      slots[i * 2 + 1] = p;
    }
    this.capturedLength = p;
  }

  private grow(used: number, need: number): void {
    const former = this.captured;
    this.take(Math.max((need + 3) & ~3, former.length * 2));
    this.captured.set(former.subarray(0, used));
    // Records made later start with what this worker's requests turned out to need.
    if (captureBlock < 1024) captureBlock = Math.min(1024, this.captured.length);
  }

  /** `size` is a multiple of 4; the block has a buffer of its own. */
  private take(size: number): void {
    this.captured = Buffer.allocUnsafeSlow(size);
    this.words = new Int32Array(this.captured.buffer);
  }

  /** A captured request field as a string, or undefined; for tracers and tests. */
  requestField(slot: number): string | undefined {
    if (slot >= this.requestCount || this.requestSlots[slot * 2]! < 0) return undefined;
    return (this.captured as Buffer).utf8Slice(this.requestSlots[slot * 2]!, this.requestSlots[slot * 2 + 1]!);
  }

  replyField(slot: number): string | undefined {
    if (slot >= this.replyCount || this.replySlots[slot * 2]! < 0) return undefined;
    return (this.captured as Buffer).utf8Slice(this.replySlots[slot * 2]!, this.replySlots[slot * 2 + 1]!);
  }

  // === derived

  /** ms from the first byte of the request to the end; 0 while it runs. */
  get duration(): number {
    return this.end === 0 ? 0 : this.end - this.start;
  }

  /** Epoch ms of the start. Read from the wall clock now, so right as long as that was not set in between. */
  get startWall(): number {
    return clock.wall() - (now() - this.start);
  }

  /** The id made for a request that brought none. */
  get madeId(): string {
    return requestIdPrefix() + this.sequence;
  }
}

let sequence = 0;

/** The next number for an id; one count for all listeners of the worker, which share its prefix. */
export function nextSequence(): number {
  return ++sequence;
}

let prefix = '';
let prefixBytes: Uint8Array = Buffer.alloc(0);

/** Sets what ids made by this worker begin with; unique among all workers that ever ran, or ids repeat. */
export function setRequestIdPrefix(text: string): void {
  prefix = text;
  prefixBytes = Buffer.from(text, 'latin1');
}

/** 10 random characters and a dash where nobody set another. */
export function requestIdPrefix(): string {
  if (prefix === '') {
    const word = (): string => Math.floor(random() * 36 ** 5).toString(36).padStart(5, '0');
    setRequestIdPrefix(`${word()}${word()}-`);
  }
  return prefix;
}

export function requestIdPrefixBytes(): Uint8Array {
  if (prefix === '') requestIdPrefix();
  return prefixBytes;
}

// One HTTP/2 stream of one connection, and the table that finds streams by their id on the wire.
import type { Head } from '../../head.js';

/** Bits of `Http2Stream.flags`. */
export const REMOTE_DONE = 1;
export const LOCAL_DONE = 2;
/** The final head of the reply was sent (server) or received (client). */
export const REPLIED = 4;
/** No content follows whatever content-length says: the reply to HEAD. */
export const NO_CONTENT = 8;
/** A gRPC call: its local replies and its early end are trailers. */
export const GRPC = 16;
/** It waits in the list of streams with content that windows hold back. */
export const BLOCKED = 32;
/** Its request is malformed: after the reply that says so it is reset. */
export const MALFORMED = 64;

export class Http2Stream {
  /** On the wire. */
  id = 0;
  /** What the session calls the exchange: the same on a server, the id that encodeRequest was given on a client. */
  exchange = 0;
  flags = 0;
  /** Bytes of content we may send; below 0 after the peer shrank its windows. */
  sendWindow = 0;
  /** Bytes of content the peer may still send. */
  receiveWindow = 0;
  /** Bytes that may be granted to the peer, saved up for one WINDOW_UPDATE. */
  credit = 0;
  /** Bytes of content that content-length announces and that did not come yet; -1 when unknown. */
  expected = -1;
  /** Content that waits for a window: copies, the first of them from `queueAt` on. */
  queue: Buffer[] = [];
  queueAt = 0;
  queued = 0;
  /** The queue is the end of the message, or its trailers are. */
  endQueued = false;
  trailers: Head | null = null;
}

const free: Http2Stream[] = [];
const MAX_FREE = 1024;

export function takeStream(id: number, exchange: number, sendWindow: number, receiveWindow: number): Http2Stream {
  const s = free.pop() ?? new Http2Stream();
  s.id = id;
  s.exchange = exchange;
  s.flags = 0;
  s.sendWindow = sendWindow;
  s.receiveWindow = receiveWindow;
  s.credit = 0;
  s.expected = -1;
  return s;
}

export function giveStream(s: Http2Stream): void {
  s.id = 0;
  s.exchange = 0;
  s.trailers = null;
  s.endQueued = false;
  if (s.queue.length > 0) s.queue = [];
  s.queueAt = 0;
  s.queued = 0;
  if (free.length < MAX_FREE) free.push(s);
}

const SLOTS = 128;

/**
 * Ids of one side are odd or even and grow, so most streams alive have a slot of their own by the low bits of their id; who finds its
 * slot taken by an older one lives in a map.
 */
export class StreamTable {
  size = 0;
  private slots: (Http2Stream | null)[] | null = null;
  private rest: Map<number, Http2Stream> | null = null;

  get(id: number): Http2Stream | null {
    const slots = this.slots;
    if (slots === null) return null;
    const s = slots[(id >>> 1) & (SLOTS - 1)]!;
    if (s !== null && s.id === id) return s;
    return this.rest === null ? null : (this.rest.get(id) ?? null);
  }

  add(s: Http2Stream): void {
    this.slots ??= Array.from({ length: SLOTS }, () => null);
    const slot = (s.id >>> 1) & (SLOTS - 1);
    this.size++;
    if (this.slots[slot] === null) this.slots[slot] = s;
    else (this.rest ??= new Map()).set(s.id, s);
  }

  remove(s: Http2Stream): void {
    const slot = (s.id >>> 1) & (SLOTS - 1);
    if (this.slots === null) return;
    if (this.slots[slot] === s) this.slots[slot] = null;
    else if (this.rest?.delete(s.id) !== true) return;
    this.size--;
  }

  /** Visits every stream; the visitor may remove. */
  each(visit: (s: Http2Stream) => void): void {
    if (this.slots === null) return;
    for (const s of this.slots) if (s !== null) visit(s);
    if (this.rest !== null) for (const s of [...this.rest.values()]) visit(s);
  }
}

// The head of a message as every protocol shows it to routes, filters and logs: a view over borrowed bytes, strings only on demand.
import { hashFolded } from '../core/bytes.js';
import type { ReasonCode } from '../core/reason.js';

export const REQUEST = 0;
export const ONEWAY = 1;
export const REPLY = 2;
export type MessageKind = typeof REQUEST | typeof ONEWAY | typeof REPLY;

/**
 * How an exchange may share a connection of a multiplex pool. SHARED: with others. ALONE: it has a connection to itself until its reply
 * is complete (commands that block their connection). BOUND: it and what follows of the same client keep one connection to themselves,
 * until a request comes that is not BOUND (transactions, subscriptions); what the host sends there of its own accord reaches that client.
 */
export const SHARED = 0;
export const ALONE = 1;
export const BOUND = 2;
export type Sharing = typeof SHARED | typeof ALONE | typeof BOUND;

/** Names that mean a part of the message rather than one of its headers; `PLAIN` is an ordinary header. */
export const PLAIN = 0;
export const METHOD = 1;
export const PATH = 2;
export const AUTHORITY = 3;
export const SCHEME = 4;
export const STATUS = 5;
export const SERVICE = 6;
export const RPC_METHOD = 7;
export const VERSION = 8;
export const GROUP = 9;
/** What a CONNECT asks to speak in the tunnel (RFC 8441). */
export const PROTOCOL = 10;

const pseudo: Readonly<Record<string, number>> = {
  ':method': METHOD, ':path': PATH, ':authority': AUTHORITY, ':scheme': SCHEME, ':status': STATUS,
  ':service': SERVICE, ':rpc-method': RPC_METHOD, ':version': VERSION, ':group': GROUP, ':protocol': PROTOCOL,
};

/** A name prepared once for many look-ups: exact bytes for protocols that compare case, a folded hash for those that do not. */
export class HeaderName {
  readonly name: string;
  readonly lower: string;
  readonly bytes: Uint8Array;
  readonly hash: number;
  readonly part: number;

  constructor(name: string) {
    this.name = name;
    this.lower = name.toLowerCase();
    this.bytes = Buffer.from(name, 'utf8');
    this.hash = hashFolded(this.bytes, 0, this.bytes.length);
    this.part = pseudo[name] ?? PLAIN;
  }
}

const interned = new Map<string, HeaderName>();

/** The one HeaderName of a name; for config time, not for names that peers choose. */
export function headerName(name: string): HeaderName {
  let found = interned.get(name);
  if (found === undefined) {
    found = new HeaderName(name);
    interned.set(name, found);
  }
  return found;
}

/**
 * One message's head. Implemented by each protocol over its own wire layout; a codec reuses one object for every message of its
 * direction, so a head (and all it points to) is valid only during the call that delivers it unless `keep` was called.
 *
 * Values found are ranges in `vbuf`; a found value may lie in the message itself or in bytes that a filter set.
 */
export abstract class Head {
  /** Name of the protocol that made this head; encoders take the fast path when it is their own. */
  readonly protocol: string;
  kind: MessageKind = REQUEST;
  /** The id the peer gave the message; 0 where the protocol has none. */
  id = 0;
  /** Raw bytes: the message begins at `start`; `end` is the end of the head, or of the whole frame where `whole` is true. */
  buf: Uint8Array;
  start = 0;
  end = 0;
  /** True when the content lies in `bodyBuf[bodyStart, bodyEnd)` already and no onData follows; encoders write it behind the head. */
  whole = false;
  /** Where the content of a whole message lies: `buf` itself, or what a filter put in its place. */
  bodyBuf: Uint8Array;
  bodyStart = 0;
  bodyEnd = 0;
  /** Content length in bytes where the head tells it, else -1. */
  length = -1;
  /** Deadline the peer asked for, ms; 0 where none, -1 where it asked for no limit. */
  timeout = 0;
  /** The deadline is for all of the exchange, to the last byte of its reply (gRPC); else it ends when the reply begins. */
  wholeTimeout = false;
  /** Requests only, see SHARED. A request of which more follows than came with its head is ALONE at least. */
  sharing: Sharing = SHARED;
  /** HTTP-like status of a reply, for metrics, retry conditions and logs; 0 in a request. */
  status = 0;
  /** The protocol's own status of a reply, as in the frame. */
  rawStatus = 0;
  /** grpc-status of a reply of gRPC that is its head alone, or of its trailers; -1 for none. */
  rpcStatus = -1;
  /** True for a reply that another reply of the same exchange follows (HTTP 1xx). */
  interim = false;
  /** True when a filter or route changed the head, so that the raw bytes may not be forwarded as they are. */
  edited = false;
  /** Why an edit could not be made (a limit of the protocol, malformed bytes), else null. The edit is left out; the exchange is to be answered with it. */
  refused: ReasonCode | null = null;

  /** Where the last `find` found its value. */
  vbuf: Uint8Array;
  vstart = 0;
  vend = 0;

  constructor(protocol: string, empty: Uint8Array) {
    this.protocol = protocol;
    this.buf = empty;
    this.bodyBuf = empty;
    this.vbuf = empty;
  }

  /** Finds a header or part; on true its value is vbuf[vstart, vend). The first of several values. No allocation. */
  abstract find(name: HeaderName): boolean;
  /** The value as a string, or undefined. */
  get(name: HeaderName): string | undefined {
    return this.find(name) ? (this.vbuf as Buffer).utf8Slice(this.vstart, this.vend) : undefined;
  }
  /**
   * Replaces all values of a header (or a part) by one. A value with CR, LF or NUL is a programmer mistake: TypeError. Names that the
   * protocol has no place for are left out without a word: filters work on any protocol, and `find` does not see them afterwards.
   */
  abstract set(name: HeaderName, value: string): void;
  /** Adds a value beside the ones that exist (protocols with a map: replaces). */
  abstract add(name: HeaderName, value: string): void;
  abstract remove(name: HeaderName): void;
  /** Makes `body` the whole content of the message (kept by reference); the encoder writes its length. Any protocol. */
  setBody(body: Uint8Array): void {
    this.bodyBuf = body;
    this.bodyStart = 0;
    this.bodyEnd = body.length;
    this.whole = true;
    this.length = body.length;
    this.edited = true;
  }
  /** Every header in order, edits applied, parts left out; for logs, bridges and tests. */
  abstract each(visit: (name: string, value: string) => void): void;
  /** Copies what the head points to, so that it outlives the call; returns a head that the codec will not reuse. */
  abstract keep(): Head;
}

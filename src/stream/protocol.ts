// What a protocol is: a pure codec for each role, a pool kind, a mapping of reasons to its own replies, and what is safe to do with it.
import type { z } from 'zod';
import type { Output } from '../core/bytes.js';
import type { Manifest } from '../core/manifest.js';
import type { ReasonCode, ReasonContext } from '../core/reason.js';
import type { ProbeFactory } from '../network/upstream/probe.js';
import type { Head } from './head.js';

/** Answers of `match`: the first bytes are this protocol's, are not, or are too few to tell. */
export const MATCH_NO = 0;
export const MATCH_YES = 1;
export const MATCH_MORE = 2;
export type Match = typeof MATCH_NO | typeof MATCH_YES | typeof MATCH_MORE;

export type PoolKind = 'multiplex' | 'exclusive' | 'pinned';
export type Role = 'server' | 'client';

/** The reset codes that pass through exchanges: why one side gave an exchange up. */
export type ResetCode = ReasonCode;

/**
 * Receives what a codec decodes, in wire order. Everything handed over is borrowed: valid during the call only.
 *
 * `id` (and `head.id`) of a request is what the codec wants to be told when it is answered: the peer's id, or a number the codec made
 * where the wire has none but answers keep an order (Redis, see ordered-replies.ts); HTTP/1, one exchange at a time, passes 0. Of a
 * reply it is the id that `encodeRequest` was given, read back from the wire or paired by order. Ids are 0 or more; -1 means that none is known, in `onError` only.
 */
export interface CodecSink {
  /** A request (or oneway) began; `last` means that nothing of it follows. On either role where peers may originate both ways. */
  onRequest(head: Head, last: boolean): void;
  /** A reply began (several with `interim` true may come before the final one). */
  onReply(head: Head, last: boolean): void;
  onData(id: number, buf: Uint8Array, start: number, end: number, last: boolean): void;
  /** Trailers; always the last part of a message. `head` shows them as headers. */
  onTrailers(id: number, head: Head): void;
  onReset(id: number, code: ResetCode): void;
  /** The peer's heartbeat; answered by the sink with `codec.pong(out, head)`. */
  onPing(head: Head): void;
  onPong(id: number): void;
  /**
   * The peer asks for no new exchanges. Those that run may finish; what it will not answer the codec ends afterwards by
   * `onReset(id, 'host-goaway')`. `leaving`: the host itself goes, not just this connection, and others are taken instead.
   */
  onGoAway(leaving?: boolean): void;
  /**
   * Bytes are malformed or over a limit: decoding has stopped for good. `id` names the exchange to be refused where one is known (also a
   * new one, whose refusal has to take its place in an order of replies), else -1. What came before it on the connection is still answered.
   */
  onError(id: number, code: ReasonCode, context: ReasonContext): void;
  /**
   * A message is over a limit, and how long it is is known: its bytes are passed over without being told here, and decoding goes on
   * behind it, so that the others of a shared connection are not lost with it. `kind` as in Head. Only for protocols of the pool
   * `multiplex`; a sink without this method gets `onError`.
   */
  onRefused?(kind: Head['kind'], id: number, code: ReasonCode, context: ReasonContext): void;
  /** Content of exchange `id` that waited in the codec for the peer's window is gone: more may be encoded. Only with Protocol.flow. */
  onRoom?(id: number): void;
  /** The peer told how many exchanges it lets run (Codec.capacity). */
  onCapacity?(): void;
}

/**
 * Bytes to messages and back for one connection and role. Pure: no socket, clock, log or timer.
 * Encoders make exactly one `out.out(n)` reservation for what fits MAX_RESERVE, so that the caller finds all they produced in
 * `writer.buf[mark, pos)` (the replay copy relies on it); larger content follows through `write`.
 */
export interface Codec {
  readonly role: Role;
  /** Total bytes from the first unconsumed byte that decode needs before it can go on; 0 when unknown. The connection gathers them. */
  want: number;
  /**
   * True while decode refuses to go on until a reply is complete: HTTP/1 servers answer one request at a time, protocols that answer in
   * order bound how many requests (and finished replies, see `held`) wait.
   */
  readonly blocked: boolean;
  /** Encoded bytes that wait inside the codec until something before them is complete; they count as unsent, and bound how far a peer falls behind. */
  readonly held: number;
  /** The exchange whose content may be written now while what is `held` waits for its end; absent or -1: none. */
  readonly turn?: number;
  /** Client: exchanges that the peer lets run at a time; absent: as many as ids allow. Pools begin with what the host told on another connection. */
  capacity?: number;
  /** The codec has something of its own to write (acknowledgements, windows, what they made room for): `settle` is called after each decode. */
  readonly due?: boolean;
  settle?(out: Output, sink: CodecSink): void;
  /** With Protocol.flow: `bytes` of the content of exchange `id` have left on the other side, so that the peer may send as many more. */
  credit?(out: Output, id: number, bytes: number): void;
  /** With Protocol.flow: whether content of exchange `id` waits in the codec for the peer's window; `onRoom` tells when it does not any more. */
  stalled?(id: number): boolean;
  /** True once both sides agreed to carry raw bytes (upgrade, CONNECT): onData with id 0 from then on. */
  readonly tunnel: boolean;
  /** Decodes buf[start, end), calls the sink, returns the number of bytes consumed (the rest is handed in again with more behind it). */
  decode(buf: Uint8Array, start: number, end: number, sink: CodecSink): number;
  /** The peer ended its sending side. Ends a body that runs until close; reports a cut message through onError; returns whether the codec was between messages. */
  eof(sink: CodecSink): boolean;

  /** Encodes a request head (with its content where `head.whole`) under the id `id`; `last`: no data follows. */
  encodeRequest(out: Output, head: Head, id: number, last: boolean): void;
  encodeReply(out: Output, head: Head, id: number, last: boolean): void;
  encodeData(out: Output, id: number, buf: Uint8Array, start: number, end: number, last: boolean): void;
  encodeTrailers(out: Output, id: number, trailers: Head | null): void;
  /**
   * Prepares the second try of a request that another connection's codec encoded as buf[start, end): patches its id (and checksum),
   * and learns from the bytes what decoding the reply and encoding further data need (HTTP/1: method, upgrade, framing).
   * The bytes are then written by the caller. `last` as in encodeRequest.
   */
  reid(buf: Uint8Array, start: number, end: number, id: number, last: boolean): void;
  /** Tells the peer that an exchange is given up. False where the protocol cannot say it (then the connection may have to close). */
  encodeReset(out: Output, id: number, code: ResetCode): boolean;
  /** A reply made by the proxy itself to request `id`. `request` is the head where it is still at hand. */
  encodeLocalReply(out: Output, id: number, reply: LocalReply): void;
  /** Writes a message that is encoded already (Protocol.echo), in its turn behind what is being written. Only with Protocol.echo. */
  encodeWhole?(out: Output, bytes: Uint8Array): void;
  /** Forgets exchange `id` (both directions) after a reset or a local reply. */
  release(id: number): void;
  /** Writes a heartbeat with this id; false where the protocol has none. */
  encodePing(out: Output, id: number): boolean;
  encodePong(out: Output, ping: Head): void;
  /** Tells the peer to start nothing new (HTTP/1: the next reply carries `connection: close`); false where nothing was written. */
  encodeGoAway(out: Output): boolean;
  /**
   * True when the connection cannot be used for another exchange: HTTP/1 after `connection: close` or an unfinished body, a frame cut half
   * way, too many late replies still due. Asked when an exchange ended, and before a connection is used again.
   */
  readonly mustClose: boolean;
}

/** A reply that the proxy makes itself. */
export interface LocalReply {
  code: ReasonCode;
  /** HTTP-like status; a protocol maps it with the reason's kind to its own. */
  status: number;
  /** Text or bytes for the client, sent where the protocol has room for it; may be empty. */
  body: string | Uint8Array;
  /** Further headers, where the protocol has them. */
  headers: ReadonlyArray<readonly [string, string]>;
  /** The request's version/codec facts that a reply must mirror (Bolt: proto, codec), as the head kept them; -1 when unknown. */
  mirror: number;
  /** True when the connection is closed after the reply. */
  close: boolean;
}

/** How a connection goes on as another protocol than it began with. */
export interface Upgrade {
  /** Bytes of the request that asked for it; what follows is of the new protocol. */
  readonly length: number;
  /** Sent before anything else. */
  readonly greeting: Uint8Array;
  /** Hands the request that asked to a session of the new protocol. */
  begin(codec: Codec, sink: CodecSink): void;
}

export interface Protocol {
  readonly name: string;
  /** How exchanges use connections unless the cluster says otherwise; `multiplex` also says that the codec tells several at once apart, by ids or by order. */
  readonly pool: PoolKind;
  /** The pool of a cluster that asks for none, where `pool` is possible but seldom what hosts are made for. */
  readonly defaultPool?: PoolKind;
  /**
   * True where pieces of several messages come in any mix (HTTP/2): content is then found by the id of its exchange, and long requests
   * share their connection. Otherwise content belongs to the message begun last.
   */
  readonly interleaves?: boolean;
  /** True where each exchange has flow control of its own (HTTP/2): a peer is held back by giving it no credit, and its connection is never paused for one exchange. */
  readonly flow?: boolean;
  /** True where what a request looks like on the wire depends on its connection: for another try it is encoded anew from its head. */
  readonly stateful?: boolean;
  /** Protocols of one family carry the same messages: exchanges pass between them without a bridge (`http`: http1 and http2). */
  readonly family?: string;
  /** As ProtocolManifest.alpn. */
  readonly alpn?: string;
  /**
   * A connection whose first bytes are those of another protocol of the family may ask to go on as this one (h2c of HTTP/1.1). Answers
   * how to; 'more' where the bytes tell too little yet; null: it does not ask, or not in a way that can be granted.
   */
  upgradeOf?(buf: Uint8Array, start: number, end: number): Upgrade | 'more' | null;
  /** Bytes that `match` needs at most before it answers yes or no. */
  readonly matchBytes: number;
  match(buf: Uint8Array, start: number, end: number): Match;
  /** A codec for one connection; `options` is what the manifest's schema decoded. */
  codec(role: Role): Codec;
  /** The protocol's status for a reason, as shown in docs/errors.md. */
  statusOf(code: ReasonCode): number;
  /** Whether the method of this request may be repeated by definition (HTTP: GET, HEAD, OPTIONS, TRACE, PUT, DELETE). */
  idempotent(head: Head): boolean;
  /** What to mirror in a local reply to this request, see LocalReply.mirror. */
  mirror(head: Head): number;
  /** Whether exchanges may be sent by either side over one connection. */
  readonly bidirectional: boolean;
  /** Whether requests carry an x-request-id (HTTP); others are forwarded without a change. */
  readonly requestIds: boolean;
  /** Heartbeat defaults in ms; 0 for none. */
  readonly heartbeat: { readonly interval: number; readonly timeout: number; readonly misses: number };
  /** Default idle limit of a downstream connection in ms; 0 for none. */
  readonly downstreamIdle: number;
  /** A complete encoded reply that mirrors a request, for the terminal echo; only where clients need more than a local reply gives. */
  echo?(head: Head, content: Uint8Array): Uint8Array;
  /** Active health check in this protocol, where it has one. */
  readonly probe?: ProbeFactory;
}

export interface ProtocolManifest extends Manifest {
  readonly kind: 'protocol';
  /** As Protocol.family, for what is checked before a protocol is made. */
  readonly family?: string;
  /** Its name in TLS (ALPN): offered by listeners and clusters that serve it, and how listeners of several protocols tell clients apart. */
  readonly alpn?: string;
  /** Options of a listener or cluster (`options:`), decoded by `schema`. */
  readonly schema: z.ZodType;
  create(options: unknown): Protocol;
}

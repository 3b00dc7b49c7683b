// The server end of gRPC: one call that ends in the process, its messages taken out of the content and put into it, its status in trailers.
import type { ReasonCode } from '../../core/reason.js';
import type { Exchange } from '../exchange.js';
import { headerName, type Head } from '../head.js';
import { madeReply, madeTrailers } from '../protocol/http2/made.js';
import { grpcMessage, GRPC_INTERNAL, GRPC_OK, GRPC_RESOURCE_EXHAUSTED, GRPC_UNIMPLEMENTED } from '../protocol/http2/grpc.js';
import type { TerminalStream } from '../terminal.js';

/** Compressed flag (0 or 1) and length (32 bits) before each message (gRPC over HTTP/2, "Length-Prefixed-Message"). */
export const PREFIX = 5;
/** Largest message taken unless a service says otherwise: gRPC's own default. */
export const MAX_MESSAGE = 4 * 1024 * 1024;

const PATH = headerName(':path');
const REPLY_FIELDS: readonly (readonly [string, string])[] = [['content-type', 'application/grpc'], ['grpc-accept-encoding', 'identity']];
const OK_FIELDS: readonly (readonly [string, string])[] = [['grpc-status', '0']];

/** What a service does with one call. */
export interface GrpcHandler {
  /** A message, borrowed during the call. */
  onMessage(call: GrpcCall, message: Uint8Array): void;
  /** The client sends no more messages. */
  onHalfClose(call: GrpcCall): void;
  /** `send` answered false before; there is room again. */
  onRoom(call: GrpcCall): void;
  /** The client left, or the deadline passed, before the call was ended here. Nothing of the call may be used any more. */
  onCancel(call: GrpcCall, code: ReasonCode): void;
}

/**
 * One call. Messages of the client come one after the other; with `manual`, the client is let send on only by what `consumed` is told,
 * else by each message that was handed over.
 */
export class GrpcCall implements TerminalStream {
  /** "/package.Service/Method". */
  readonly path: string;
  /** ms that the client gives the call, 0 for no limit. */
  readonly timeout: number;
  manual = false;
  maxMessage = MAX_MESSAGE;
  private readonly exchange: Exchange;
  private readonly generation: number;
  private readonly head: Head;
  private handler!: GrpcHandler;
  /** Bytes of a message that came in pieces, its prefix included. */
  private part: Buffer | null = null;
  private filled = 0;
  private prefix: Buffer | null = null;
  /** Bytes of messages that were handed over and not dealt with. */
  private outstanding = 0;
  /** Bytes of the message that is being gathered for which the client has its credit already, and those for which it has not. */
  private ahead = 0;
  private owed = 0;
  private replied = false;
  private over = false;

  /** `head` is kept as long as the call. */
  constructor(exchange: Exchange, head: Head) {
    this.exchange = exchange;
    this.generation = exchange.generation;
    this.head = head.keep();
    this.path = this.head.get(PATH) ?? '';
    this.timeout = Math.max(0, head.timeout);
  }

  begin(handler: GrpcHandler): this {
    this.handler = handler;
    return this;
  }

  /** Metadata that came with the call: the first value of a name, as sent (`-bin` values in base64). */
  metadata(name: string): string | undefined {
    return this.head.get(headerName(name));
  }

  get ended(): boolean {
    return this.over || this.exchange.generation !== this.generation;
  }

  // === what comes in

  onData(buf: Uint8Array, start: number, end: number, last: boolean): void {
    let p = start;
    while (p < end && !this.over) {
      if (this.part !== null) {
        const n = Math.min(this.part.length - this.filled, end - p);
        this.part.set(buf.subarray(p, p + n), this.filled);
        this.filled += n;
        p += n;
        this.gathered(n);
        if (this.filled < this.part.length) break;
        const whole = this.part;
        this.part = null;
        this.deliver(whole, 0, whole.length);
        continue;
      }
      if (this.prefix !== null || end - p < PREFIX) {
        p = this.gatherPrefix(buf, p, end);
        continue;
      }
      const length = this.lengthAt(buf, p);
      if (length < 0) return;
      p += PREFIX;
      if (end - p >= length) {
        this.deliver(buf, p, p + length);
        p += length;
      } else {
        this.part = Buffer.allocUnsafeSlow(length);
        this.filled = 0;
      }
    }
    if (last && !this.over) {
      if (this.part !== null || this.prefix !== null) this.end(GRPC_INTERNAL, 'the request ended inside a message');
      else this.handler.onHalfClose(this);
    }
  }

  /** A prefix that came in pieces. */
  private gatherPrefix(buf: Uint8Array, start: number, end: number): number {
    if (this.prefix === null) {
      this.prefix = Buffer.allocUnsafe(PREFIX);
      this.filled = 0;
    }
    const n = Math.min(PREFIX - this.filled, end - start);
    this.prefix.set(buf.subarray(start, start + n), this.filled);
    this.filled += n;
    if (this.filled === PREFIX) {
      const length = this.lengthAt(this.prefix, 0);
      this.prefix = null;
      if (length === 0) this.deliver(buf, start, start);
      else if (length > 0) {
        this.part = Buffer.allocUnsafeSlow(length);
        this.filled = 0;
      }
    }
    return start + n;
  }

  /** -1: the call was ended, for the message cannot be taken. */
  private lengthAt(buf: Uint8Array, at: number): number {
    const length = ((buf[at + 1]! << 24) | (buf[at + 2]! << 16) | (buf[at + 3]! << 8) | buf[at + 4]!) >>> 0;
    if (buf[at] !== 0) this.end(GRPC_UNIMPLEMENTED, `messages compressed by ${this.metadata('grpc-encoding') ?? 'an unnamed coding'} are not taken here`);
    else if (length > this.maxMessage) this.end(GRPC_RESOURCE_EXHAUSTED, `a message of ${length} bytes; at most ${this.maxMessage} are taken`);
    else return length;
    return -1;
  }

  private deliver(buf: Uint8Array, start: number, end: number): void {
    this.outstanding += end - start + PREFIX;
    this.owed = 0;
    this.handler.onMessage(this, buf.subarray(start, end));
    if (!this.manual) this.consumed(end - start);
  }

  /** A message longer than the window would never be complete without credit for its pieces: one at a time gets it. */
  private gathered(bytes: number): void {
    if (this.outstanding > 0) {
      this.owed += bytes;
      return;
    }
    this.ahead += bytes;
    this.exchange.consumed(bytes);
  }

  /** A message of `bytes` was dealt with, where the call is `manual`. */
  consumed(bytes: number): void {
    const whole = Math.min(bytes + PREFIX, this.outstanding);
    if (this.ended) return;
    this.outstanding -= whole;
    const paid = Math.min(this.ahead, whole);
    this.ahead -= paid;
    let due = whole - paid;
    if (this.outstanding === 0 && this.owed > 0) {
      due += this.owed;
      this.ahead += this.owed;
      this.owed = 0;
    }
    if (due > 0) this.exchange.consumed(due);
  }

  onRoom(): void {
    if (!this.over) this.handler.onRoom(this);
  }

  onEnd(code: ReasonCode | ''): void {
    if (this.over) return;
    this.over = true;
    this.handler.onCancel(this, code === '' ? 'downstream-closed' : code);
  }

  // === what goes out

  /** Metadata before the first message; without it the first `send` writes a head of none. */
  sendHead(fields: readonly (readonly [string, string])[]): void {
    if (this.replied || this.ended) return;
    this.replied = true;
    this.exchange.reply(madeReply(200, [...REPLY_FIELDS, ...fields]), false);
  }

  /** Writes a message (copied). False: the client is behind, wait for `onRoom`; more is kept all the same, which costs memory. */
  send(message: Uint8Array): boolean {
    if (this.ended) return false;
    this.writeHead();
    if (this.ended) return false;
    const framed = Buffer.allocUnsafe(PREFIX + message.length);
    framed[0] = 0;
    framed.writeUInt32BE(message.length, 1);
    framed.set(message, PREFIX);
    return this.exchange.replyData(framed, 0, framed.length, false);
  }

  private writeHead(): void {
    if (this.replied) return;
    this.replied = true;
    this.exchange.reply(madeReply(200, REPLY_FIELDS), false);
  }

  /** Ends the call: in trailers, or, when no message was sent, in the head alone. */
  end(status: number, text = '', trailers: readonly (readonly [string, string])[] = []): void {
    if (this.ended) return;
    this.over = true;
    const fields: (readonly [string, string])[] = status === GRPC_OK && text === '' ? [...OK_FIELDS] : [['grpc-status', String(status)], ['grpc-message', grpcMessage(text)]];
    fields.push(...trailers);
    if (this.replied) this.exchange.replyTrailers(madeTrailers(fields));
    else this.exchange.reply(madeReply(200, [...REPLY_FIELDS, ...fields]), true);
  }
}

// What a bridge is: it carries one exchange between the protocol of the client and another one that the hosts speak.
import type { ReasonCode, ReasonContext } from '../core/reason.js';
import type { Exchange } from './exchange.js';
import type { Head } from './head.js';
import type { LocalReply } from './protocol.js';

/**
 * Made by a stream filter in its `onRoute` for one exchange (`exchange.bridge = ...`; in its `onRequest` already where `local` is to have
 * what fails before a route is found). The request comes whole, up to `limit` bytes;
 * route and edits of the route apply to what the bridge makes of it. Reply filters, edits of the reply, and logs see the reply that the bridge made.
 * A throw ends the exchange with filter-threw.
 */
export interface Bridge {
  /** Name of the filter, for errors. */
  readonly name: string;
  /** Name of the protocol spoken to hosts, which the cluster has to speak; '' for one of the client's family, which needs no other pools. */
  readonly protocol: string;
  /** Most bytes of a request, and of a reply that is gathered. */
  readonly limit: number;
  /**
   * The request for the host: a head of `protocol` with its content in it (`whole`), which the exchange owns from now on. null: the
   * exchange was answered (`exchange.answerWith`). `body` is borrowed during the call.
   */
  request(exchange: Exchange, head: Head, body: Uint8Array): Head | null;
  /**
   * The reply for the client: a head with its content in it. `head` is the host's, `body` its whole content, `trailers` what came
   * behind it. Borrowed during the call.
   */
  reply(exchange: Exchange, head: Head, body: Uint8Array, trailers: Head | null): Head;
  /**
   * Takes a reply piece by piece: the head for the client, content follows from `piece` and `end`. null (or no such method): the
   * reply is gathered for `reply`.
   */
  replyHead?(exchange: Exchange, head: Head): Head | null;
  /** Content for the client out of a piece of the host's; may be empty. */
  piece?(exchange: Exchange, buf: Uint8Array, start: number, end: number): Uint8Array;
  /** What ends the content for the client. */
  end?(exchange: Exchange, trailers: Head | null): Uint8Array;
  /** What ends the content for the client when the exchange fails behind the head of a reply that goes in pieces; null: the reply is cut. */
  cut?(exchange: Exchange, code: ReasonCode, context: ReasonContext): Uint8Array | null;
  /** A reply of the proxy itself, in the form that clients of the bridge read; the client's protocol encodes what comes back. */
  local?(exchange: Exchange, reply: LocalReply): LocalReply;
}

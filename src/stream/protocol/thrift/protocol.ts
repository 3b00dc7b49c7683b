// Framed Thrift as a protocol of listeners and clusters: recognition, codecs, types of exceptions, and the health check.
import type { ReasonCode } from '../../../core/reason.js';
import type { ProbeFactory } from '../../../network/upstream/probe.js';
import type { Head } from '../../head.js';
import type { Match, Protocol, Role } from '../../protocol.js';
import { AS_ASKED, BY_IDS, DEFAULT_MAX_FRAME, IN_ORDER, ThriftCodec } from '../../thrift/codec.js';
import { echoReply } from '../../thrift/echo.js';
import type { ThriftHead } from '../../thrift/head.js';
import { THRIFT_MATCH_BYTES, matchThrift } from '../../thrift/match.js';
import { ThriftProbe } from '../../thrift/probe.js';
import { typeOfReason } from '../../thrift/status.js';

export interface ThriftOptions {
  /** Largest frame accepted, bytes. */
  readonly max_frame: number;
  /** When clients get their replies in the order of their calls. */
  readonly replies: 'auto' | 'in-order';
}

export const defaultOptions: ThriftOptions = { max_frame: DEFAULT_MAX_FRAME, replies: 'auto' };

/**
 * The questions of docs/add-a-protocol.md: a length in front ends a message; the sequence number pairs a reply with its call, but many
 * clients leave it 0 and take replies in order; one-way calls have no reply, others have one; no call binds its connection, but most
 * servers work on one call of a connection at a time; hosts begin nothing; every failure has an exception message; no call may be
 * repeated by definition.
 */
export class ThriftProtocol implements Protocol {
  readonly name = 'thrift';
  /** The codec tells calls apart by their sequence numbers. */
  readonly pool = 'multiplex';
  /**
   * One call at a time on a connection: servers of Apache Thrift (simple, thread pool, nonblocking) read the next call of a connection
   * when they have answered the one before, so that on a shared connection one slow call would stop those of all clients.
   */
  readonly defaultPool = 'exclusive';
  readonly matchBytes = THRIFT_MATCH_BYTES;
  readonly bidirectional = false;
  readonly requestIds = false;
  /** The format has none. */
  readonly heartbeat = { interval: 0, timeout: 0, misses: 0 };
  readonly downstreamIdle = 0;
  readonly probe: ProbeFactory = (options) => new ThriftProbe(options, false);
  private readonly options: ThriftOptions;

  constructor(options: ThriftOptions = defaultOptions) {
    this.options = options;
  }

  match(buf: Uint8Array, start: number, end: number): Match {
    return matchThrift(buf, start, end);
  }

  codec(role: Role): ThriftCodec {
    const { max_frame, replies } = this.options;
    return new ThriftCodec(role, false, max_frame, role === 'client' ? BY_IDS : replies === 'in-order' ? IN_ORDER : AS_ASKED);
  }

  statusOf(code: ReasonCode): number {
    return typeOfReason(code);
  }

  /** An RPC may do anything: only a route can say that it is idempotent. */
  idempotent(_head: Head): boolean {
    return false;
  }

  echo(head: Head, content: Uint8Array): Uint8Array {
    return echoReply(head as ThriftHead, content);
  }

  /** Server codecs keep what a reply must mirror. */
  mirror(_head: Head): number {
    return -1;
  }
}

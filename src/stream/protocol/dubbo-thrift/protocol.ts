// Thrift with Dubbo's header as a protocol of listeners and clusters: recognition, codecs, types of exceptions, and the health check.
import type { ReasonCode } from '../../../core/reason.js';
import type { ProbeFactory } from '../../../network/upstream/probe.js';
import type { Head } from '../../head.js';
import type { Match, Protocol, Role } from '../../protocol.js';
import { BY_IDS, DEFAULT_MAX_FRAME, ThriftCodec } from '../../thrift/codec.js';
import { echoReply } from '../../thrift/echo.js';
import type { ThriftHead } from '../../thrift/head.js';
import { DUBBO_MATCH_BYTES, matchDubboThrift } from '../../thrift/match.js';
import { ThriftProbe } from '../../thrift/probe.js';
import { typeOfReason } from '../../thrift/status.js';

export interface DubboThriftOptions {
  /** Largest frame accepted, bytes. */
  readonly max_frame: number;
}

export const defaultOptions: DubboThriftOptions = { max_frame: DEFAULT_MAX_FRAME };

/**
 * The questions of docs/add-a-protocol.md, where they differ from plain Thrift: the id of the header pairs a reply with its request, for
 * clients and servers alike (Dubbo's exchange layer), so that connections are shared and replies come in any order.
 */
export class DubboThriftProtocol implements Protocol {
  readonly name = 'dubbo-thrift';
  readonly pool = 'multiplex';
  readonly matchBytes = DUBBO_MATCH_BYTES;
  readonly bidirectional = false;
  readonly requestIds = false;
  /** The format has none. */
  readonly heartbeat = { interval: 0, timeout: 0, misses: 0 };
  readonly downstreamIdle = 0;
  readonly probe: ProbeFactory = (options) => new ThriftProbe(options, true);
  private readonly options: DubboThriftOptions;

  constructor(options: DubboThriftOptions = defaultOptions) {
    this.options = options;
  }

  match(buf: Uint8Array, start: number, end: number): Match {
    return matchDubboThrift(buf, start, end);
  }

  codec(role: Role): ThriftCodec {
    return new ThriftCodec(role, true, this.options.max_frame, BY_IDS);
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

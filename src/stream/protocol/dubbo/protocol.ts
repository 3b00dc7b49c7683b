// Dubbo as a protocol of listeners and clusters: recognition, codecs, statuses, heartbeats and the health check.
import type { ReasonCode } from '../../../core/reason.js';
import type { ProbeFactory } from '../../../network/upstream/probe.js';
import type { Head } from '../../head.js';
import { MATCH_MORE, MATCH_NO, MATCH_YES, type Match, type Protocol, type Role } from '../../protocol.js';
import { DEFAULT_EXCEPTION_STATUS, DEFAULT_MAX_FRAME, DEFAULT_MAX_WHOLE, DubboCodec, type CodecOptions } from './codec.js';
import { echoReply } from './echo.js';
import { FLAG_REQUEST, MAGIC_HIGH, MAGIC_LOW } from './frame.js';
import type { DubboHead } from './head.js';
import { DubboProbe } from './probe.js';
import { statusOfReason } from './status.js';

export interface DubboOptions {
  /** Largest frame accepted, bytes. */
  readonly max_frame: number;
  /** Largest request gathered before it is routed, bytes. */
  readonly max_whole: number;
  /** Whether the attachment `timeout` limits a request. */
  readonly obey_timeout: boolean;
  /** HTTP-like status of a reply with an exception of the service. */
  readonly exception_status: number;
  /** Whether clients are sent the event READONLY. */
  readonly goaway: boolean;
}

export const defaultOptions: DubboOptions = {
  max_frame: DEFAULT_MAX_FRAME, max_whole: DEFAULT_MAX_WHOLE, obey_timeout: true, exception_status: DEFAULT_EXCEPTION_STATUS, goaway: false,
};

/**
 * A length in front tells where a message ends; an id pairs a reply with its request, and clients rely on no order. One-way requests have
 * no reply, none has several, none blocks its connection or leaves something behind on it. The host may begin exchanges (callbacks, on
 * pinned connections), and sends heartbeats and READONLY unasked. Every failure has an error reply. Nothing may be repeated by definition.
 */
export class DubboProtocol implements Protocol {
  readonly name = 'dubbo';
  readonly pool = 'multiplex';
  readonly matchBytes = 3;
  readonly bidirectional = true;
  readonly requestIds = false;
  readonly heartbeat = { interval: 15_000, timeout: 3000, misses: 2 };
  readonly downstreamIdle = 0;
  readonly probe: ProbeFactory = () => new DubboProbe();
  private readonly codecOptions: CodecOptions;

  constructor(options: DubboOptions = defaultOptions) {
    this.codecOptions = {
      maxFrame: options.max_frame, maxWhole: options.max_whole, obeyTimeout: options.obey_timeout, exceptionStatus: options.exception_status, goAway: options.goaway,
    };
  }

  /**
   * A client begins with a request: DA BB and the first bit of the flags. HTTP begins with a letter, TLS with 16, Bolt with 01 or 02; a
   * length in front (Thrift, Tars, Kafka) would be negative, and Dubbo's own Thrift frames have DA BC, and that behind a length.
   */
  match(buf: Uint8Array, start: number, end: number): Match {
    if (start >= end) return MATCH_MORE;
    if (buf[start] !== MAGIC_HIGH) return MATCH_NO;
    if (start + 1 < end && buf[start + 1] !== MAGIC_LOW) return MATCH_NO;
    if (start + 2 >= end) return MATCH_MORE;
    return (buf[start + 2]! & FLAG_REQUEST) !== 0 ? MATCH_YES : MATCH_NO;
  }

  codec(role: Role): DubboCodec {
    return new DubboCodec(role, this.codecOptions);
  }

  statusOf(code: ReasonCode): number {
    return statusOfReason(code);
  }

  /** An RPC may do anything: only a route can say that it is idempotent. */
  idempotent(_head: Head): boolean {
    return false;
  }

  echo(head: Head, content: Uint8Array): Uint8Array {
    return echoReply(head as DubboHead, content, 'sluice');
  }

  /** A reply is written in the serialization of the request. */
  mirror(head: Head): number {
    return (head as DubboHead).serialization;
  }
}

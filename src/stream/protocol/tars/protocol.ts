// Tars as a protocol of listeners and clusters: recognition, codecs, result codes, heartbeats and the health check.
//
// A message ends by the length in front of it. Ids pair replies with requests, and clients rely on nothing else. Packet type 1 has no
// reply; no request has several, stops its connection or leaves something on it. A host begins no exchange, but may push packets with
// the id 0. Every failure has a result code. No request may be repeated by definition.
import type { ReasonCode } from '../../../core/reason.js';
import type { ProbeFactory } from '../../../network/upstream/probe.js';
import type { Head } from '../../head.js';
import { MATCH_MORE, MATCH_NO, MATCH_YES, type Match, type Protocol, type Role } from '../../protocol.js';
import { DEFAULT_MAX_FRAME, MAX_SKIPPED, TarsCodec, type CodecOptions } from './codec.js';
import type { TarsHead } from './head.js';
import { mirrorOf } from './local-reply.js';
import { MIN_FRAME } from './packet.js';
import { TarsProbe } from './probe.js';
import { codeOfReason } from './status.js';

export type TarsOptions = CodecOptions;

export const defaultOptions: TarsOptions = { max_frame: DEFAULT_MAX_FRAME, ping: 'answer', goaway: false };

export class TarsProtocol implements Protocol {
  readonly name = 'tars';
  readonly pool = 'multiplex';
  readonly matchBytes = 9;
  readonly bidirectional = false;
  readonly requestIds = false;
  readonly heartbeat = { interval: 15_000, timeout: 3000, misses: 2 };
  readonly downstreamIdle = 0;
  readonly probe: ProbeFactory = (options) => new TarsProbe(servantOf(options));
  private readonly options: TarsOptions;

  constructor(options: TarsOptions = defaultOptions) {
    this.options = options;
  }

  /**
   * A client begins with a request: a length up to 256 MiB, field 1 as a byte from 1 to 5 (10 vv), field 2 as a zero or a byte (2C, 20 tt),
   * the head of field 3 as an integer. Others with a length in front have something else than 10 behind it: framed Thrift 80 or 82,
   * Dubbo-Thrift DA, Kafka, RocketMQ and Bolt 00 or 01; TLS, HTTP and Dubbo begin with bytes above 10.
   */
  match(buf: Uint8Array, start: number, end: number): Match {
    const n = end - start;
    if (n > 0 && buf[start]! > MAX_SKIPPED >>> 24) return MATCH_NO;
    if (n < 4) return MATCH_MORE;
    const length = ((buf[start]! << 24) | (buf[start + 1]! << 16) | (buf[start + 2]! << 8) | buf[start + 3]!) >>> 0;
    if (length < MIN_FRAME || length > MAX_SKIPPED) return MATCH_NO;
    let p = start + 4;
    if (p < end && buf[p] !== 0x10) return MATCH_NO;
    p++;
    if (p < end && !(buf[p]! >= 1 && buf[p]! <= 5)) return MATCH_NO;
    p++;
    if (p < end && buf[p] !== 0x2c && buf[p] !== 0x20) return MATCH_NO;
    p += p < end && buf[p] === 0x20 ? 2 : 1;
    if (p >= end) return MATCH_MORE;
    const third = buf[p]! ^ 0x30;
    return third <= 2 || third === 12 ? MATCH_YES : MATCH_NO;
  }

  codec(role: Role): TarsCodec {
    return new TarsCodec(role, this.options);
  }

  statusOf(code: ReasonCode): number {
    return codeOfReason(code);
  }

  /** An RPC may do anything: only a route can say that it is idempotent. */
  idempotent(_head: Head): boolean {
    return false;
  }

  mirror(head: Head): number {
    return mirrorOf(head as TarsHead);
  }
}

/** `servant` of the health check's options; '' without one. */
function servantOf(options: unknown): string {
  const servant = (options as { readonly servant?: unknown } | null)?.servant;
  return typeof servant === 'string' ? servant : '';
}

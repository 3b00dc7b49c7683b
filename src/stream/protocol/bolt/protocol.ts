// Bolt as a protocol of listeners and clusters: recognition, codecs, statuses, heartbeats and the health check.
import type { ReasonCode } from '../../../core/reason.js';
import type { ProbeFactory } from '../../../network/upstream/probe.js';
import type { Head } from '../../head.js';
import { MATCH_MORE, MATCH_NO, MATCH_YES, type Match, type Protocol, type Role } from '../../protocol.js';
import { BoltCodec, DEFAULT_MAX_FRAME } from './codec.js';
import { echoReply } from './echo.js';
import { COMMAND_GOAWAY, COMMAND_HEARTBEAT, COMMAND_REQUEST, TYPE_ONEWAY, TYPE_REQUEST, V1, V2 } from './frame.js';
import type { BoltHead } from './head.js';
import { mirrorOf } from './local-reply.js';
import { BoltProbe } from './probe.js';
import { statusOfReason } from './status.js';

export interface BoltOptions {
  /** Largest frame accepted, bytes. */
  readonly max_frame: number;
  /** Whether clients are sent go-away frames, which proxies understand and SOFABolt's own clients do not. */
  readonly goaway: boolean;
}

export const defaultOptions: BoltOptions = { max_frame: DEFAULT_MAX_FRAME, goaway: false };

export class BoltProtocol implements Protocol {
  readonly name = 'bolt';
  readonly pool = 'multiplex';
  readonly matchBytes = 6;
  readonly bidirectional = true;
  readonly requestIds = false;
  readonly heartbeat = { interval: 15_000, timeout: 3000, misses: 2 };
  readonly downstreamIdle = 0;
  readonly probe: ProbeFactory = () => new BoltProbe();
  private readonly options: BoltOptions;

  constructor(options: BoltOptions = defaultOptions) {
    this.options = options;
  }

  /**
   * A client begins with a request. Bytes 0 to 5 (v1: 01, type 1|2, 00, command, 01; v2: 02, 1|2, type, 00, command, 01) fit no other
   * protocol: HTTP begins with a letter, TLS with 16, Dubbo with DA, a Tars frame so long is refused and has 10 as its byte 4.
   */
  match(buf: Uint8Array, start: number, end: number): Match {
    if (start >= end) return MATCH_MORE;
    const proto = buf[start]!;
    if (proto !== V1 && proto !== V2) return MATCH_NO;
    let p = start + 1;
    if (proto === V2) {
      if (p < end && buf[p] !== 1 && buf[p] !== 2) return MATCH_NO;
      p++;
    }
    if (p < end && buf[p] !== TYPE_REQUEST && buf[p] !== TYPE_ONEWAY) return MATCH_NO;
    if (p + 1 < end && buf[p + 1] !== 0) return MATCH_NO;
    if (p + 2 < end && buf[p + 2] !== COMMAND_HEARTBEAT && buf[p + 2] !== COMMAND_REQUEST && buf[p + 2] !== COMMAND_GOAWAY) return MATCH_NO;
    if (p + 3 >= end) return MATCH_MORE;
    return buf[p + 3] === 1 ? MATCH_YES : MATCH_NO;
  }

  codec(role: Role): BoltCodec {
    return new BoltCodec(role, this.options.max_frame, this.options.goaway);
  }

  statusOf(code: ReasonCode): number {
    return statusOfReason(code);
  }

  /** An RPC may do anything: only a route can say that it is idempotent. */
  idempotent(_head: Head): boolean {
    return false;
  }

  echo(head: Head, content: Uint8Array): Uint8Array {
    return echoReply(head as BoltHead, content, 'sluice');
  }

  mirror(head: Head): number {
    return mirrorOf(head as BoltHead);
  }
}

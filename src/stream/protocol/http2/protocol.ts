// HTTP/2 as a protocol of listeners and clusters: how it is recognised, its codecs, and what gRPC over it needs.
import { reasons, type ReasonCode } from '../../../core/reason.js';
import type { ProbeFactory } from '../../../network/upstream/probe.js';
import { headerName, type Head } from '../../head.js';
import { MATCH_MORE, MATCH_NO, MATCH_YES, type Codec, type Match, type Protocol, type Role, type Upgrade } from '../../protocol.js';
import { Http2ClientCodec } from './client.js';
import { PREFACE } from './frame.js';
import { NAME, type Http2Head } from './head.js';
import { defaultLimits } from './limits.js';
import { GrpcProbe } from './probe.js';
import type { Http2Limits } from './send.js';
import { Http2ServerCodec } from './server.js';
import { upgradeOf } from './upgrade.js';

export { defaultLimits } from './limits.js';

const METHOD_NAME = headerName(':method');
const repeatable = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);

export class Http2 implements Protocol {
  readonly name = NAME;
  readonly family = 'http';
  readonly pool = 'multiplex';
  readonly interleaves = true;
  readonly flow = true;
  readonly stateful = true;
  readonly alpn = 'h2';
  readonly matchBytes = PREFACE.length;
  readonly bidirectional = false;
  readonly requestIds = true;
  /** Servers of gRPC close connections whose client pings more often than they like, so it has to be asked for. */
  readonly heartbeat = { interval: 0, timeout: 0, misses: 0 };
  readonly downstreamIdle = 90_000;
  readonly probe: ProbeFactory = (options) => new GrpcProbe(options);
  private readonly limits: Http2Limits;

  constructor(limits: Http2Limits = defaultLimits) {
    this.limits = limits;
  }

  /** The client's preface; no other protocol begins so, and HTTP/1 leaves the method PRI to it. */
  match(buf: Uint8Array, start: number, end: number): Match {
    const n = Math.min(end - start, PREFACE.length);
    for (let i = 0; i < n; i++) if (buf[start + i] !== PREFACE[i]) return MATCH_NO;
    return n === PREFACE.length ? MATCH_YES : MATCH_MORE;
  }

  upgradeOf(buf: Uint8Array, start: number, end: number): Upgrade | 'more' | null {
    return upgradeOf(buf, start, end);
  }

  codec(role: Role): Codec {
    return role === 'server' ? new Http2ServerCodec(this.limits) : new Http2ClientCodec(this.limits);
  }

  statusOf(code: ReasonCode): number {
    return reasons[code].http;
  }

  /** RFC 9110 section 9.2.2. */
  idempotent(head: Head): boolean {
    if (head.protocol === NAME && (head as Http2Head).newMethod === null) return (head as Http2Head).meaning.idempotent;
    return repeatable.has(head.get(METHOD_NAME) ?? '');
  }

  /** The codec itself knows the request it answers. */
  mirror(_head: Head): number {
    return -1;
  }
}

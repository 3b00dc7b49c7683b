// HTTP/1.1 as a protocol: how its first bytes are recognised, which codec a connection gets, which methods may be repeated.
import { reasons, type ReasonCode } from '../../../core/reason.js';
import { headerName, type Head } from '../../head.js';
import { MATCH_MORE, MATCH_NO, MATCH_YES, type Codec, type Match, type PoolKind, type Protocol, type Role } from '../../protocol.js';
import { TOKEN } from './chars.js';
import { Http1ClientCodec } from './client.js';
import { NAME } from './head.js';
import type { Limits } from './scan.js';
import { Http1ServerCodec } from './server.js';

/** Longest method that is recognised; the longest registered one has 17 letters (UPDATEREDIRECTREF). */
const MAX_METHOD = 20;
const METHOD_NAME = headerName(':method');
const idempotentMethods = ['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'].map((method) => Buffer.from(method));
const CONNECT = Buffer.from('CONNECT');
const PRI = Buffer.from('PRI');

function equals(buf: Uint8Array, start: number, end: number, text: Uint8Array): boolean {
  if (end - start !== text.length) return false;
  for (let i = 0; i < text.length; i++) if (buf[start + i] !== text[i]) return false;
  return true;
}

export class Http1 implements Protocol {
  readonly name = NAME;
  readonly family = 'http';
  readonly alpn = 'http/1.1';
  readonly pool: PoolKind = 'exclusive';
  readonly matchBytes = MAX_METHOD + 2;
  readonly bidirectional = false;
  readonly requestIds = true;
  readonly heartbeat = { interval: 0, timeout: 0, misses: 0 };
  readonly downstreamIdle = 90_000;
  readonly limits: Limits;

  constructor(limits: Limits) {
    this.limits = limits;
  }

  /**
   * A method, one space and the first byte of a target. "/" and "*" say yes to any method; "h" (http://) as well; another byte only
   * to CONNECT. PRI begins HTTP/2's preface. Redis' inline commands ("GET key") and the like are told apart by the target.
   */
  match(buf: Uint8Array, start: number, end: number): Match {
    const stop = Math.min(end, start + MAX_METHOD);
    let i = start;
    while (i < stop && TOKEN[buf[i]] !== 0) i++;
    if (i === end) return MATCH_MORE;
    if (i === start || buf[i] !== 32 || equals(buf, start, i, PRI)) return MATCH_NO;
    if (i + 1 === end) return MATCH_MORE;
    const c = buf[i + 1];
    if (c === 47 || c === 42) return MATCH_YES;
    if (equals(buf, start, i, CONNECT)) return c > 32 && c < 127 ? MATCH_YES : MATCH_NO;
    return (c | 32) === 104 ? MATCH_YES : MATCH_NO;
  }

  codec(role: Role): Codec {
    return role === 'server' ? new Http1ServerCodec(this.limits) : new Http1ClientCodec(this.limits);
  }

  statusOf(code: ReasonCode): number {
    return reasons[code].http;
  }

  /** RFC 9110 section 9.2.2. */
  idempotent(head: Head): boolean {
    if (!head.find(METHOD_NAME)) return false;
    for (const method of idempotentMethods) if (equals(head.vbuf, head.vstart, head.vend, method)) return true;
    return false;
  }

  /** The codec itself knows the request it answers. */
  mirror(_head: Head): number {
    return -1;
  }
}

// The one table of reasons why an exchange or a connection ends other than well: code, where, retry class, Envoy flag, HTTP status, kind and a sentence (table).

/** Which side of the proxy the cause lies on. */
export type Where = 'downstream' | 'proxy' | 'upstream';

/**
 * Whether an attempt that ended with this reason may be made again.
 * `never`: no. `nothing-sent`: no byte of the request can have reached the host. `reused-only`: the connection had been used
 * before and died without a reply byte. `safe`: the host said, in its protocol, that it did not do the work.
 */
export type Retry = 'never' | 'nothing-sent' | 'reused-only' | 'safe';

/** The protocol-neutral class of a local reply; each protocol maps a kind to its own status, see `Protocol.statusOf`. */
export type ReasonKind =
  | 'ok'
  | 'bad-request'
  | 'forbidden'
  | 'not-found'
  | 'too-large'
  | 'limited'
  | 'overload'
  | 'unavailable'
  | 'timeout'
  | 'bad-reply'
  | 'internal'
  | 'cancelled';

export interface Reason {
  readonly where: Where;
  readonly retry: Retry;
  /** Envoy's response flag, for tools that know them; '-' where Envoy has none. */
  readonly flag: string;
  /** Status of an HTTP reply; 0 where no reply can be sent any more. */
  readonly http: number;
  readonly kind: ReasonKind;
  /** One sentence in words found in the user's config; `%name%` is filled from the error's context. */
  readonly text: string;
  /** What to look at or change. */
  readonly advice: string;
}

const r = (where: Where, retry: Retry, flag: string, http: number, kind: ReasonKind, text: string, advice: string): Reason =>
  ({ where, retry, flag, http, kind, text, advice });

/** Every reason code; codes are stable, kebab-case and never reused for another meaning. */
export const reasons = {
  // Downstream: what the client sent or did.
  'bad-request': r('downstream', 'never', 'DPE', 400, 'bad-request', 'the request is malformed: %detail%', 'Look at the client; the detail names the offending part.'),
  'bad-frame': r('downstream', 'never', 'DPE', 400, 'bad-request', 'the frame is malformed: %detail%', 'Look at the client; the connection is closed because later bytes cannot be told apart.'),
  'ambiguous-length': r('downstream', 'never', 'DPE', 400, 'bad-request', 'the length of the body is ambiguous: %detail%', 'Refused because two readers could disagree on where the request ends (request smuggling).'),
  'unsupported-version': r('downstream', 'never', 'DPE', 505, 'bad-request', 'the protocol version is not supported: %detail%', 'HTTP/1.0 and HTTP/1.1 are served on an http1 listener.'),
  'unsupported-transfer-coding': r('downstream', 'never', 'DPE', 501, 'bad-request', 'the transfer coding is not supported: %detail%', 'Only chunked is accepted.'),
  'expectation-failed': r('downstream', 'never', 'DPE', 417, 'bad-request', 'the expectation cannot be met: %detail%', 'Only 100-continue is understood.'),
  'line-too-long': r('downstream', 'never', 'DPE', 414, 'too-large', 'the request line is longer than %limit% bytes', 'Raise `options.max_line` of the listener.'),
  'head-too-large': r('downstream', 'never', 'DPE', 431, 'too-large', 'the header section is over its limit of %limit%', 'Raise `options.max_head` or `options.max_headers` of the listener.'),
  'body-too-large': r('downstream', 'never', 'DPE', 413, 'too-large', 'the body is larger than %limit% bytes', 'Raise the limit of the filter or route that buffers bodies.'),
  'frame-too-large': r('downstream', 'never', 'DPE', 413, 'too-large', 'the frame is larger than %limit% bytes', 'Raise `options.max_frame` of the listener or cluster.'),
  'bad-checksum': r('downstream', 'never', 'DPE', 400, 'bad-request', 'the checksum of the frame does not match its bytes', 'The frame was damaged on its way; the connection is closed.'),
  'frame-flood': r('downstream', 'never', 'DPE', 0, 'limited', 'the client sent more than %limit% frames at once that bring nothing', 'Pings, settings, empty frames or pieces of a head in such numbers are an attack; the connection was closed.'),
  'reset-flood': r('downstream', 'never', 'DPE', 0, 'limited', 'the client gave up more than %limit% of its requests, most of all it made', 'Requests that are reset at once are an attack ("rapid reset"); the connection was closed.'),
  'head-timeout': r('downstream', 'never', 'DPE', 408, 'timeout', 'the request head did not arrive within %ms% ms', 'A slow or silent client; `timeouts.head` of the listener sets the limit.'),
  'body-timeout': r('downstream', 'never', 'SI', 408, 'timeout', 'the client sent no more of its request for %ms% ms', 'A slow or silent client; `timeouts.stream_idle` of the route sets the limit.'),
  'idle-timeout': r('downstream', 'never', '-', 0, 'cancelled', 'the connection was idle for %ms% ms', '`timeouts.idle` of the listener sets the limit.'),
  'downstream-closed': r('downstream', 'never', 'DC', 499, 'cancelled', 'the client closed the connection before the reply was complete', 'Look at the client\'s own timeout.'),
  'downstream-reset': r('downstream', 'never', 'DR', 499, 'cancelled', 'the client reset the exchange', 'Look at the client.'),
  'slow-reader': r('downstream', 'never', 'SI', 0, 'cancelled', 'the client read nothing for %ms% ms while %bytes% bytes waited for it', 'A client that stopped reading; the connection is closed to bound memory.'),
  'proxy-protocol-bad': r('downstream', 'never', 'DPE', 0, 'bad-request', 'the PROXY protocol header is malformed: %detail%', 'The listener expects the header of a load balancer in front of it.'),
  'downstream-tls-failed': r('downstream', 'never', 'DPE', 0, 'bad-request', 'the TLS handshake with the client failed: %detail%', 'Look at the certificates and versions both sides allow.'),
  // Proxy: configuration, filters, limits, life cycle.
  'no-route': r('proxy', 'never', 'NR', 404, 'not-found', 'no route matches: %detail%', 'Add a route, or look at the condition named as the first that failed.'),
  'no-cluster': r('proxy', 'never', 'NC', 503, 'unavailable', 'the cluster %cluster% does not exist', 'Add it under `clusters`, or correct the name in the route.'),
  'denied': r('proxy', 'never', 'UAEX', 403, 'forbidden', 'access is denied: %detail%', 'Look at the filter that is named.'),
  'rate-limited': r('proxy', 'never', 'RL', 429, 'limited', 'the limit of %detail% is reached', 'Raise the limit or slow the client.'),
  'connection-limit': r('proxy', 'never', 'UO', 0, 'limited', 'the listener %listener% holds its maximum of %limit% connections', 'Raise `max_connections` of the filter connection_limit.'),
  'ip-denied': r('proxy', 'never', 'UAEX', 0, 'forbidden', 'the address %address% is not allowed', 'Look at the filter ip_access of the listener.'),
  'breaker-connections': r('proxy', 'nothing-sent', 'UO', 503, 'overload', 'the cluster %cluster% has its maximum of %limit% connections', 'Raise `breaker.max_connections`, or add hosts.'),
  'breaker-pending': r('proxy', 'nothing-sent', 'UO', 503, 'overload', 'the cluster %cluster% has its maximum of %limit% requests waiting for a connection', 'Raise `breaker.max_pending`, or add hosts.'),
  'breaker-requests': r('proxy', 'never', 'UO', 503, 'overload', 'the cluster %cluster% has its maximum of %limit% requests', 'Raise `breaker.max_requests`, or add hosts.'),
  'breaker-retries': r('proxy', 'never', 'URX', 503, 'overload', 'the cluster %cluster% has its maximum of %limit% retries', 'Raise `breaker.max_retries` or `breaker.retry_budget` of the cluster.'),
  'memory-limit': r('proxy', 'never', 'OM', 503, 'overload', 'the proxy is at its memory limit', 'Raise `memory_limit`, or look in the admin for the largest holders.'),
  'filter-threw': r('proxy', 'never', '-', 500, 'internal', 'the filter %filter% failed: %detail%', 'A fault of the filter; the exchange was ended, the connection was not.'),
  'filter-replied': r('proxy', 'never', '-', 200, 'ok', 'the filter %filter% answered', 'Nothing is wrong.'),
  'direct-response': r('proxy', 'never', '-', 200, 'ok', 'the route answered by itself', 'Nothing is wrong.'),
  'head-of-line': r('proxy', 'never', 'UO', 503, 'overload', 'a very large reply held the shared connection to %host%', 'Give such calls a cluster with `pool: exclusive`.'),
  'no-bridge': r('proxy', 'never', '-', 502, 'internal', 'protocol %from% of the listener cannot be carried to cluster %cluster%, which speaks %to%', 'Set the same protocol on both, or add a bridge.'),
  'no-reverse-peer': r('proxy', 'never', '-', 502, 'unavailable', 'the host sent a request over a connection that several clients share', 'Use `pool: pinned` on the cluster for callbacks.'),
  'draining': r('proxy', 'safe', 'OM', 503, 'unavailable', 'the proxy is shutting down', 'The client should go to another instance.'),
  'drain-deadline': r('proxy', 'never', '-', 503, 'cancelled', 'the drain deadline passed while the exchange was running', 'Raise `drain_timeout`.'),
  'connection-given-up': r('proxy', 'never', '-', 0, 'cancelled', 'the client\'s connection was closed because another exchange on it could not be ended otherwise', 'Look for the exchange of the same connection that failed before; its reply was cut, or its protocol has no reply for the failure.'),
  'listener-removed': r('proxy', 'never', '-', 503, 'cancelled', 'the listener %listener% was removed', 'The configuration changed.'),
  'internal': r('proxy', 'never', '-', 500, 'internal', 'the proxy failed: %detail%', 'A fault of the proxy; please report it with the log line.'),
  // Upstream: hosts and their connections.
  'no-host': r('upstream', 'never', 'UH', 503, 'unavailable', 'the cluster %cluster% has no host', 'Look at the cluster in the admin: discovery gave no address.'),
  'no-healthy-host': r('upstream', 'never', 'UH', 503, 'unavailable', 'the cluster %cluster% has no healthy host', 'Look at the cluster in the admin: every host failed its health check.'),
  'connect-refused': r('upstream', 'nothing-sent', 'UF', 503, 'unavailable', 'host %host% refused the connection', 'Is the process listening on that port?'),
  'connect-timeout': r('upstream', 'nothing-sent', 'UF', 503, 'unavailable', 'host %host% did not accept a connection within %ms% ms', '`connect_timeout` of the cluster sets the limit.'),
  'connect-failed': r('upstream', 'nothing-sent', 'UF', 503, 'unavailable', 'no connection to host %host%: %detail%', 'The errno is in the log.'),
  'upstream-tls-failed': r('upstream', 'nothing-sent', 'UF', 503, 'unavailable', 'the TLS handshake with host %host% failed: %detail%', 'Look at `tls` of the cluster.'),
  'upstream-closed': r('upstream', 'reused-only', 'UC', 502, 'unavailable', 'host %host% closed the connection before it replied', 'The host may have stopped, or closes idle connections sooner than the pool does.'),
  'upstream-reset': r('upstream', 'reused-only', 'UR', 502, 'unavailable', 'host %host% reset the connection before it replied', 'The host may have crashed.'),
  'stream-refused': r('upstream', 'safe', 'UR', 503, 'unavailable', 'host %host% refused the exchange before it looked at it', 'The host allows fewer requests at a time; another connection or host is tried.'),
  'stream-reset': r('upstream', 'never', 'UR', 502, 'unavailable', 'host %host% reset the exchange', 'The host gave this one request up; its connection goes on. Look at the host\'s log.'),
  'reply-cut': r('upstream', 'never', 'UC', 502, 'unavailable', 'host %host% ended the connection in the middle of its reply', 'The client got part of the reply and a closed connection.'),
  'request-timeout': r('upstream', 'never', 'UT', 504, 'timeout', 'host %host% did not reply within %ms% ms', '`timeout` of the route, or the timeout in the frame, sets the limit.'),
  'try-timeout': r('upstream', 'never', 'UT', 504, 'timeout', 'host %host% did not reply within the %ms% ms of one try', '`retry.per_try_timeout` of the route sets the limit.'),
  'stream-idle': r('upstream', 'never', 'SI', 504, 'timeout', 'nothing moved on the exchange for %ms% ms', '`stream_idle_timeout` of the route sets the limit.'),
  'pool-timeout': r('upstream', 'nothing-sent', 'UT', 504, 'timeout', 'no connection to cluster %cluster% came free within %ms% ms', 'Raise `breaker.max_connections`, or look for slow hosts.'),
  'bad-reply': r('upstream', 'never', 'UPE', 502, 'bad-reply', 'host %host% sent a malformed reply: %detail%', 'Look at the host; the connection was closed.'),
  'reply-too-large': r('upstream', 'never', 'UPE', 502, 'bad-reply', 'the reply of host %host% is over its limit of %limit%', 'Raise the limit of the cluster.'),
  'heartbeat-missed': r('upstream', 'never', 'UC', 502, 'unavailable', 'host %host% left heartbeats unanswered', 'The connection was closed; the host may hang.'),
  'host-removed': r('upstream', 'never', 'UC', 503, 'unavailable', 'host %host% was removed from the cluster', 'Discovery removed it and its drain time passed.'),
  'host-goaway': r('upstream', 'safe', 'UC', 503, 'unavailable', 'host %host% is going away', 'The pool opens another connection.'),
} as const satisfies Record<string, Reason>;

export type ReasonCode = keyof typeof reasons;

export function isReasonCode(code: string): code is ReasonCode {
  return Object.hasOwn(reasons, code);
}

/** Values for the `%name%` parts of a reason's sentence. */
export type ReasonContext = Readonly<Record<string, string | number | undefined>>;

/** The sentence of a reason with its context filled in; an unknown part becomes "?". */
export function sentence(code: ReasonCode, context: ReasonContext = {}): string {
  return reasons[code].text.replace(/%([a-z_]+)%/g, (_, name: string) => String(context[name] ?? '?'));
}

/** The one error class: a failure as a value with a stable code. Thrown only for programmer mistakes and config refusals. */
export class SluiceError extends Error {
  readonly code: ReasonCode;
  readonly context: ReasonContext;

  constructor(code: ReasonCode, context: ReasonContext = {}, cause?: unknown) {
    super(sentence(code, context), cause === undefined ? undefined : { cause });
    this.name = 'SluiceError';
    this.code = code;
    this.context = context;
  }

  get where(): Where {
    return reasons[this.code].where;
  }

  get retry(): Retry {
    return reasons[this.code].retry;
  }
}

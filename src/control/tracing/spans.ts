// From a finished exchange to spans: one as we served it, one as we called a host, and one for each attempt where there were several.
import { createTraceState, type Attributes, type HrTime, type SpanContext, SpanKind, type SpanStatus, SpanStatusCode, TraceFlags } from '@opentelemetry/api';
import type { Resource } from '@opentelemetry/resources';
import type { ReadableSpan } from '@opentelemetry/sdk-trace-base';
import { type ReasonCode, reasons } from '../../core/reason.js';
import type { Attempt } from '../../stream/record.js';
import { noteNames } from '../../stream/record.js';
import { newSpanId } from '../../stream/trace/ids.js';
import type { TracedExchange } from '../../stream/trace/traced-exchange.js';

type Scope = ReadableSpan['instrumentationScope'];

/** Methods that OpenTelemetry's conventions know; others are told as _OTHER, so that clients cannot make names without end. */
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH', 'QUERY']);
/** Values of query parameters that are signatures, by the same conventions. */
const SIGNATURES = /(^|[?&])(AWSAccessKeyId|Signature|sig|X-Goog-Signature)=[^&]*/g;
const SYSTEMS: Readonly<Record<string, string>> = { bolt: 'sofa_rpc', dubbo: 'apache_dubbo' };
const HTTP_VERSIONS: Readonly<Record<string, string>> = { http1: '1.1', http2: '2' };

const UNSET: SpanStatus = { code: SpanStatusCode.UNSET };

function hrTime(ms: number): HrTime {
  const seconds = Math.floor(ms / 1000);
  return [seconds, Math.round((ms - seconds * 1000) * 1e6)];
}

/** `host:port`, `[v6]:port`, a name without port, or the path of a socket. */
function splitHost(text: string): { readonly address: string; readonly port: number } {
  const found = /^\[(.*)\]:(\d+)$/.exec(text) ?? /^([^:/]*):(\d+)$/.exec(text);
  return found === null ? { address: text.replace(/^\[(.*)\]$/, '$1'), port: 0 } : { address: found[1]!, port: Number(found[2]) };
}

function withServer(attributes: Attributes, host: string): void {
  const { address, port } = splitHost(host);
  if (address !== '') attributes['server.address'] = address;
  if (port > 0) attributes['server.port'] = port;
}

const failed = (code: ReasonCode | ''): boolean => code !== '' && reasons[code].kind !== 'ok';

class Spans {
  readonly made: ReadableSpan[] = [];
  private readonly exchange: TracedExchange;
  private readonly resource: Resource;
  private readonly scope: Scope;
  private readonly isHttp: boolean;
  private readonly service: string;
  private readonly rpcMethod: string;
  private readonly isGrpc: boolean;
  private readonly name: string;

  constructor(exchange: TracedExchange, resource: Resource, scope: Scope) {
    this.exchange = exchange;
    this.resource = resource;
    this.scope = scope;
    this.isHttp = exchange.method !== '';
    this.isGrpc = this.isHttp && exchange.contentType.startsWith('application/grpc');
    const [service, rpcMethod] = this.isGrpc ? grpcName(exchange.path) : [exchange.service, exchange.rpcMethod];
    this.service = service;
    this.rpcMethod = rpcMethod;
    this.name = this.nameOf();
    this.server();
    const { attempts } = exchange;
    if (attempts.length === 0 || attempts[0]!.host === 'in-process') return;
    this.client();
    if (attempts.length > 1) attempts.forEach((attempt, i) => this.attempt(attempt, i));
  }

  /** Few different ones: never the path. */
  private nameOf(): string {
    const { method, protocol, route } = this.exchange;
    if (this.isGrpc || !this.isHttp) {
      return [this.service, this.rpcMethod].filter((part) => part !== '').join('/') || protocol;
    }
    const verb = METHODS.has(method) ? method : 'HTTP';
    return route === '' ? verb : `${verb} ${route}`;
  }

  private add(name: string, kind: SpanKind, spanId: string, parentId: string, start: number, end: number, status: SpanStatus, attributes: Attributes): void {
    const { traceId, state } = this.exchange;
    const contextOf = (id: string, isRemote: boolean): SpanContext => ({
      traceId, spanId: id, traceFlags: TraceFlags.SAMPLED, isRemote, ...(state === '' ? {} : { traceState: createTraceState(state) }),
    });
    const context = contextOf(spanId, false);
    this.made.push({
      name, kind, status, attributes,
      spanContext: () => context,
      ...(parentId === '' ? {} : { parentSpanContext: contextOf(parentId, kind === SpanKind.SERVER) }),
      startTime: hrTime(start),
      endTime: hrTime(Math.max(start, end)),
      duration: hrTime(Math.max(0, end - start)),
      links: [], events: [], ended: true,
      resource: this.resource,
      instrumentationScope: this.scope,
      droppedAttributesCount: 0, droppedEventsCount: 0, droppedLinksCount: 0,
    });
  }

  /** What both sides of a call have: what was asked for, and what came of it. */
  private request(): Attributes {
    const { method, protocol, rawStatus, status } = this.exchange;
    const attributes: Attributes = {};
    if (this.isGrpc || !this.isHttp) {
      attributes['rpc.system'] = this.isGrpc ? 'grpc' : (SYSTEMS[protocol] ?? protocol);
      if (this.service !== '') attributes['rpc.service'] = this.service;
      if (this.rpcMethod !== '') attributes['rpc.method'] = this.rpcMethod;
      // Above are statuses of HTTP: the reply, or one that was made here, had none of gRPC.
      if (this.isGrpc && rawStatus <= 16 && status > 0) attributes['rpc.grpc.status_code'] = rawStatus;
      if (!this.isGrpc && status > 0) attributes['sluice.protocol_status'] = rawStatus;
    }
    if (this.isHttp) {
      attributes['http.request.method'] = METHODS.has(method) ? method : '_OTHER';
      if (!METHODS.has(method)) attributes['http.request.method_original'] = method;
      attributes['network.protocol.name'] = 'http';
    }
    return attributes;
  }

  private server(): void {
    const x = this.exchange;
    const attributes = this.request();
    if (this.isHttp) {
      const version = HTTP_VERSIONS[x.protocol];
      if (version !== undefined) attributes['network.protocol.version'] = version;
      const mark = x.path.indexOf('?');
      attributes['url.scheme'] = x.scheme !== '' ? x.scheme : x.secure ? 'https' : 'http';
      attributes['url.path'] = mark < 0 ? x.path : x.path.slice(0, mark);
      if (mark >= 0) attributes['url.query'] = x.path.slice(mark + 1).replace(SIGNATURES, '$1$2=REDACTED');
      if (x.agent !== '') attributes['user_agent.original'] = x.agent;
      if (x.status > 0 && !this.isGrpc) attributes['http.response.status_code'] = x.status;
      attributes['http.request.size'] = x.bytesIn;
      attributes['http.response.size'] = x.bytesOut;
    } else {
      attributes['rpc.request.size'] = x.bytesIn;
      attributes['rpc.response.size'] = x.bytesOut;
    }
    if (x.authority !== '') {
      withServer(attributes, x.authority);
    } else if (x.localAddress !== '') {
      attributes['server.address'] = x.localAddress;
      if (x.localPort > 0) attributes['server.port'] = x.localPort;
    }
    if (x.remoteAddress !== '') {
      attributes['client.address'] = attributes['network.peer.address'] = x.remoteAddress;
      if (x.remotePort > 0) attributes['network.peer.port'] = x.remotePort;
    }
    attributes['sluice.listener'] = x.listener;
    if (x.route !== '') attributes['sluice.route'] = x.route;
    if (x.cluster !== '') attributes['sluice.cluster'] = x.cluster;
    const notes = noteNames.filter((_, i) => (x.flags & (1 << i)) !== 0);
    if (notes.length > 0) attributes['sluice.notes'] = notes;
    if (x.oneway) attributes['sluice.oneway'] = true;
    if (x.sofaTrace !== '') {
      attributes['sofa.trace_id'] = x.sofaTrace;
      attributes['sofa.rpc_id'] = x.sofaCall;
    }
    // What the client did wrong (4xx) is no error of the server.
    const wrong = x.status >= 500 || (failed(x.code) && x.status < 400);
    this.withError(attributes, x.code, wrong);
    this.add(this.name, SpanKind.SERVER, x.serverId, x.parentId, x.start, x.end, wrong ? this.errorStatus(x.code) : UNSET, attributes);
  }

  private withError(attributes: Attributes, code: ReasonCode | '', wrong: boolean, status = this.exchange.status): void {
    if (code !== '') {
      const { flag, where } = reasons[code];
      attributes['sluice.reason'] = code;
      attributes['sluice.where'] = where;
      if (flag !== '-') attributes['sluice.flag'] = flag;
    }
    if (failed(code)) attributes['error.type'] = code;
    else if (wrong) attributes['error.type'] = String(status);
  }

  private errorStatus(code: ReasonCode | ''): SpanStatus {
    return { code: SpanStatusCode.ERROR, ...(failed(code) ? { message: code } : {}) };
  }

  /** All attempts together: its id is the one that hosts were told as their caller's. */
  private client(): void {
    const x = this.exchange;
    const attributes = this.request();
    const last = x.attempts.at(-1)!;
    withServer(attributes, last.host);
    if (this.isHttp) {
      const scheme = x.scheme !== '' ? x.scheme : x.secure ? 'https' : 'http';
      attributes['url.full'] = `${scheme}://${x.authority}${x.path}`.replace(SIGNATURES, '$1$2=REDACTED');
      if (last.code === '' && x.status > 0 && !this.isGrpc) attributes['http.response.status_code'] = x.status;
    }
    attributes['sluice.cluster'] = x.cluster;
    if (x.attempts.length > 1) attributes['sluice.attempts'] = x.attempts.length;
    this.withConnection(attributes, last);
    if (x.sofaNext !== '') attributes['sofa.rpc_id'] = x.sofaNext;
    const code = last.code !== '' ? last.code : failed(x.code) && reasons[x.code as ReasonCode].where === 'upstream' ? x.code : '';
    const wrong = failed(code) || x.status >= 400;
    this.withError(attributes, code, wrong);
    this.add(this.name, SpanKind.CLIENT, x.clientId, x.serverId, x.attempts[0]!.started, this.endOf(last), wrong ? this.errorStatus(code) : UNSET, attributes);
  }

  /** An attempt whose reply is still coming ends with the exchange. */
  private endOf(attempt: Attempt): number {
    return attempt.code === '' ? this.exchange.end : attempt.started + attempt.duration;
  }

  private withConnection(attributes: Attributes, attempt: Attempt): void {
    attributes['sluice.connection_reused'] = attempt.reused;
    if (attempt.errno !== '') attributes['sluice.errno'] = attempt.errno;
  }

  /** No client span: services that count calls by these would count each attempt as one. */
  private attempt(attempt: Attempt, i: number): void {
    const x = this.exchange;
    const attributes: Attributes = { 'sluice.attempt': i + 1 };
    withServer(attributes, attempt.host);
    if (i > 0 && this.isHttp) attributes['http.request.resend_count'] = i;
    this.withConnection(attributes, attempt);
    if (this.isHttp && !this.isGrpc && attempt.status > 0) attributes['http.response.status_code'] = attempt.status;
    const wrong = failed(attempt.code) || attempt.status >= 400;
    this.withError(attributes, attempt.code, wrong, attempt.status);
    const last = i === x.attempts.length - 1;
    const end = last ? this.endOf(attempt) : attempt.started + attempt.duration;
    this.add(`attempt ${i + 1}`, SpanKind.INTERNAL, newSpanId(), x.clientId, attempt.started, end, wrong ? this.errorStatus(attempt.code) : UNSET, attributes);
  }
}

/** `/package.Service/Method`. */
function grpcName(path: string): [string, string] {
  const found = /^\/([^/?]+)\/([^/?]+)/.exec(path);
  return found === null ? ['', ''] : [found[1]!, found[2]!];
}

export function spansOf(exchange: TracedExchange, resource: Resource, scope: Scope): ReadableSpan[] {
  return new Spans(exchange, resource, scope).made;
}

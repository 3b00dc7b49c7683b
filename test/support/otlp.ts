// A stand-in for a receiver of traces: takes real OTLP over HTTP, decodes the protobuf by its published field numbers, and can fail on request.
import assert from 'node:assert/strict';
import type { IncomingHttpHeaders } from 'node:http';
import type { TestContext } from 'node:test';
import { gunzipSync } from 'node:zlib';
import protobuf from 'protobufjs';
import { bodyOf, serveHttp, type Served } from './http.js';
import { until } from './sluice.js';

// opentelemetry-proto 1.x, as far as spans go; field numbers never change.
const schema = `
  syntax = "proto3";
  message ExportTraceServiceRequest { repeated ResourceSpans resource_spans = 1; }
  message ResourceSpans { Resource resource = 1; repeated ScopeSpans scope_spans = 2; }
  message Resource { repeated KeyValue attributes = 1; }
  message ScopeSpans { Scope scope = 1; repeated Span spans = 2; }
  message Scope { string name = 1; string version = 2; }
  message Span {
    bytes trace_id = 1; bytes span_id = 2; string trace_state = 3; bytes parent_span_id = 4; string name = 5; int32 kind = 6;
    fixed64 start_time_unix_nano = 7; fixed64 end_time_unix_nano = 8; repeated KeyValue attributes = 9; Status status = 15; fixed32 flags = 16;
  }
  message Status { string message = 2; int32 code = 3; }
  message KeyValue { string key = 1; AnyValue value = 2; }
  message AnyValue { oneof value { string string_value = 1; bool bool_value = 2; int64 int_value = 3; double double_value = 4; ArrayValue array_value = 5; } }
  message ArrayValue { repeated AnyValue values = 1; }
`;
const Request = protobuf.parse(schema).root.lookupType('ExportTraceServiceRequest');

type Value = string | boolean | number | Value[];
interface AnyValue {
  readonly stringValue?: string;
  readonly boolValue?: boolean;
  readonly intValue?: string;
  readonly doubleValue?: number;
  readonly arrayValue?: { readonly values?: readonly AnyValue[] };
}
interface KeyValue {
  readonly key: string;
  readonly value: AnyValue;
}
interface RawSpan {
  readonly traceId: Buffer;
  readonly spanId: Buffer;
  readonly parentSpanId: Buffer;
  readonly traceState: string;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly KeyValue[];
  readonly status?: { readonly code: number; readonly message: string } | null;
}

export interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** '' for a root. */
  readonly parentId: string;
  readonly state: string;
  readonly name: string;
  readonly kind: 'internal' | 'server' | 'client' | 'other';
  /** Epoch ms. */
  readonly start: number;
  readonly end: number;
  readonly attributes: Readonly<Record<string, Value>>;
  readonly status: 'unset' | 'ok' | 'error';
  readonly message: string;
  /** service.name of its resource. */
  readonly service: string;
  readonly resource: Readonly<Record<string, Value>>;
  readonly scope: string;
}

function valueOf(value: AnyValue): Value {
  if (value.arrayValue !== undefined) return (value.arrayValue.values ?? []).map(valueOf);
  if (value.intValue !== undefined) return Number(value.intValue);
  return value.stringValue ?? value.boolValue ?? value.doubleValue ?? '';
}

const attributesOf = (list: readonly KeyValue[] = []): Record<string, Value> => Object.fromEntries(list.map(({ key, value }) => [key, valueOf(value)]));
const kinds = ['other', 'internal', 'server', 'client'] as const;
const codes = ['unset', 'ok', 'error'] as const;

/** The spans of one request body; throws on what is no valid protobuf. */
export function decodeSpans(body: Uint8Array): ReceivedSpan[] {
  const message = Request.toObject(Request.decode(body), { longs: String, arrays: true, defaults: false }) as {
    resourceSpans: { resource?: { attributes?: KeyValue[] }; scopeSpans: { scope?: { name: string; version: string }; spans: RawSpan[] }[] }[];
  };
  return message.resourceSpans.flatMap(({ resource, scopeSpans }) => {
    const attributes = attributesOf(resource?.attributes);
    return scopeSpans.flatMap(({ scope, spans }) => spans.map((span): ReceivedSpan => {
      assert.equal(span.traceId.length, 16);
      assert.equal(span.spanId.length, 8);
      return {
        traceId: span.traceId.toString('hex'), spanId: span.spanId.toString('hex'), parentId: span.parentSpanId?.toString('hex') ?? '', state: span.traceState ?? '',
        name: span.name, kind: kinds[span.kind] ?? 'other', start: Number(BigInt(span.startTimeUnixNano) / 1000n) / 1000, end: Number(BigInt(span.endTimeUnixNano) / 1000n) / 1000,
        attributes: attributesOf(span.attributes), status: codes[span.status?.code ?? 0]!, message: span.status?.message ?? '',
        service: String(attributes['service.name']), resource: attributes, scope: `${scope?.name} ${scope?.version}`,
      };
    }));
  });
}

export class Receiver {
  readonly spans: ReceivedSpan[] = [];
  /** Headers of every request that came, taken or not. */
  readonly requests: IncomingHttpHeaders[] = [];
  /** Status of the answers; what is not 200 takes nothing. */
  status = 200;
  /** Answers nothing while true. */
  silent = false;
  served!: Served<unknown>;

  get url(): string {
    return `http://127.0.0.1:${this.served.port}/v1/traces`;
  }

  /** Waits until there are `n` spans that `pick` takes, and returns these. */
  async wait(what: string, n: number, pick: (span: ReceivedSpan) => boolean = () => true, limit = 20_000): Promise<ReceivedSpan[]> {
    await until(`${n} spans: ${what}`, () => this.spans.filter(pick).length >= n, limit);
    return this.spans.filter(pick);
  }

  /** All spans of a trace, once there are `n`. */
  async trace(traceId: string, n: number): Promise<ReceivedSpan[]> {
    return this.wait(`trace ${traceId}`, n, (span) => span.traceId === traceId);
  }
}

/** Starts a receiver, on a free port or `at`; it ends with the test. */
export async function receive(t: TestContext, at = 0): Promise<Receiver> {
  const receiver = new Receiver();
  receiver.served = await serveHttp(t, (request, reply) => {
    void bodyOf(request).then((body) => {
      receiver.requests.push(request.headers);
      if (receiver.silent) return;
      const right = request.method === 'POST' && request.url === '/v1/traces' && request.headers['content-type'] === 'application/x-protobuf';
      if (right && receiver.status === 200) receiver.spans.push(...decodeSpans(request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body));
      reply.writeHead(right ? receiver.status : 415, { 'content-type': 'application/x-protobuf' }).end();
    }, () => reply.destroy());
  }, at);
  return receiver;
}

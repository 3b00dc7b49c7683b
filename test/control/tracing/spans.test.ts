// What spans say: kinds, parents, names, OpenTelemetry's attributes for HTTP and RPC, attempts and reasons.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SpanKind, SpanStatusCode } from '@opentelemetry/api';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { spansOf } from '../../../src/control/tracing/spans.js';
import { spanCount } from '../../../src/control/tracing/tracing.js';
import { NOTE_FREE_RETRY, NOTE_LOCAL_REPLY } from '../../../src/stream/record.js';
import type { TracedExchange } from '../../../src/stream/trace/traced-exchange.js';

const T = 'a'.repeat(32);
const START = 1_700_000_000_123.25;

function exchange(facts: Partial<TracedExchange> = {}): TracedExchange {
  return {
    traceId: T, parentId: '1'.repeat(16), serverId: '2'.repeat(16), clientId: '3'.repeat(16), state: '', sofaTrace: '', sofaCall: '', sofaNext: '',
    method: 'GET', path: '/a/b?x=1', authority: 'shop.example:8443', scheme: '', service: '', rpcMethod: '', agent: 'curl/8', contentType: '',
    protocol: 'http1', listener: 'web', route: 'orders', cluster: 'app', code: '', status: 200, rawStatus: 200, bytesIn: 100, bytesOut: 2000, flags: 0, oneway: false,
    secure: true, remoteAddress: '10.0.0.1', remotePort: 4711, localAddress: '10.0.0.2', localPort: 443, start: START, end: START + 20.5,
    attempts: [{ host: '10.1.1.1:80', code: '', errno: '', started: START + 1, duration: 5, reused: true, status: 200 }], ...facts,
  };
}

const spans = (facts: Partial<TracedExchange> = {}) => {
  const x = exchange(facts);
  const made = spansOf(x, resourceFromAttributes({}), { name: 'sluice', version: '0' });
  assert.equal(made.length, spanCount(x));
  return made;
};

describe('the spans of an exchange', () => {
  test('are one that serves and one that calls', () => {
    const [server, client, ...more] = spans({ state: 'k=v' });
    assert.equal(more.length, 0);
    assert.deepEqual([server!.kind, server!.name, server!.spanContext().spanId, server!.parentSpanContext!.spanId, server!.parentSpanContext!.isRemote], [SpanKind.SERVER, 'GET orders', '2'.repeat(16), '1'.repeat(16), true]);
    assert.deepEqual([client!.kind, client!.name, client!.spanContext().spanId, client!.parentSpanContext!.spanId, client!.parentSpanContext!.isRemote], [SpanKind.CLIENT, 'GET orders', '3'.repeat(16), '2'.repeat(16), false]);
    assert.deepEqual([server!.spanContext().traceId, server!.spanContext().traceFlags, server!.spanContext().traceState!.serialize()], [T, 1, 'k=v']);
    assert.deepEqual([server!.startTime, server!.endTime, server!.duration], [[1_700_000_000, 123_250_000], [1_700_000_000, 143_750_000], [0, 20_500_000]]);
    assert.deepEqual([client!.startTime, client!.endTime], [[1_700_000_000, 124_250_000], [1_700_000_000, 143_750_000]], 'the reply came to its end with the exchange');
    assert.deepEqual(server!.attributes, {
      'http.request.method': 'GET', 'network.protocol.name': 'http', 'network.protocol.version': '1.1', 'url.scheme': 'https', 'url.path': '/a/b', 'url.query': 'x=1',
      'user_agent.original': 'curl/8', 'http.response.status_code': 200, 'http.request.size': 100, 'http.response.size': 2000, 'server.address': 'shop.example', 'server.port': 8443,
      'client.address': '10.0.0.1', 'network.peer.address': '10.0.0.1', 'network.peer.port': 4711, 'sluice.listener': 'web', 'sluice.route': 'orders', 'sluice.cluster': 'app',
    });
    assert.deepEqual(client!.attributes, {
      'http.request.method': 'GET', 'network.protocol.name': 'http', 'server.address': '10.1.1.1', 'server.port': 80, 'url.full': 'https://shop.example:8443/a/b?x=1',
      'http.response.status_code': 200, 'sluice.cluster': 'app', 'sluice.connection_reused': true,
    });
    assert.deepEqual([server!.status.code, client!.status.code], [SpanStatusCode.UNSET, SpanStatusCode.UNSET]);
  });

  test('begin a trace where nobody called', () => {
    assert.equal(spans({ parentId: '' })[0]!.parentSpanContext, undefined);
  });

  test('tell each attempt, with its host, status and errno, below one call', () => {
    const [server, client, first, second, third] = spans({
      flags: NOTE_FREE_RETRY, attempts: [
        { host: '10.1.1.1:80', code: 'connect-refused', errno: 'ECONNREFUSED', started: START, duration: 1, reused: false, status: 0 },
        { host: '[::1]:81', code: '', errno: '', started: START + 2, duration: 3, reused: true, status: 503 },
        { host: '/run/x.sock', code: '', errno: '', started: START + 6, duration: 1, reused: true, status: 200 },
      ],
    });
    assert.deepEqual(server!.attributes['sluice.notes'], ['free-retry']);
    assert.deepEqual([client!.attributes['sluice.attempts'], client!.attributes['server.address'], client!.status.code], [3, '/run/x.sock', SpanStatusCode.UNSET]);
    assert.deepEqual(client!.startTime, first!.startTime);
    for (const attempt of [first!, second!, third!]) {
      assert.deepEqual([attempt.kind, attempt.parentSpanContext!.spanId], [SpanKind.INTERNAL, '3'.repeat(16)]);
      assert.match(attempt.spanContext().spanId, /^[0-9a-f]{16}$/);
    }
    assert.deepEqual(first!.attributes, {
      'sluice.attempt': 1, 'server.address': '10.1.1.1', 'server.port': 80, 'sluice.connection_reused': false, 'sluice.errno': 'ECONNREFUSED', 'sluice.reason': 'connect-refused',
      'sluice.where': 'upstream', 'sluice.flag': 'UF', 'error.type': 'connect-refused',
    });
    assert.deepEqual([first!.status, first!.duration], [{ code: SpanStatusCode.ERROR, message: 'connect-refused' }, [0, 1_000_000]]);
    assert.deepEqual([second!.attributes['server.address'], second!.attributes['http.request.resend_count'], second!.attributes['http.response.status_code'], second!.attributes['error.type'], second!.status.code], ['::1', 1, 503, '503', SpanStatusCode.ERROR]);
    assert.deepEqual([third!.status.code, third!.endTime], [SpanStatusCode.UNSET, server!.endTime]);
  });

  test('show why an exchange ended other than well', () => {
    const [server] = spans({ code: 'no-route', status: 404, attempts: [], flags: NOTE_LOCAL_REPLY, cluster: '' });
    assert.deepEqual([server!.attributes['sluice.reason'], server!.attributes['error.type'], server!.attributes['sluice.flag'], server!.status.code], ['no-route', 'no-route', 'NR', SpanStatusCode.UNSET], 'a fault of the client');
    const failed = [{ host: 'a:1', code: 'connect-refused' as const, errno: 'ECONNREFUSED', started: START, duration: 1, reused: false, status: 0 }];
    const [broken, call] = spans({ code: 'connect-refused', status: 503, attempts: failed });
    assert.deepEqual([broken!.status, call!.status], [{ code: SpanStatusCode.ERROR, message: 'connect-refused' }, { code: SpanStatusCode.ERROR, message: 'connect-refused' }]);
    assert.deepEqual([call!.attributes['http.response.status_code'], call!.attributes['sluice.errno']], [undefined, 'ECONNREFUSED']);
    const [cut, cutCall] = spans({ code: 'reply-cut', status: 200 });
    assert.deepEqual([cut!.status.code, cutCall!.attributes['error.type']], [SpanStatusCode.ERROR, 'reply-cut']);
    const [refused, refusedCall] = spans({ status: 404, rawStatus: 404 });
    assert.deepEqual([refused!.status.code, refusedCall!.status.code, refusedCall!.attributes['error.type']], [SpanStatusCode.UNSET, SpanStatusCode.ERROR, '404'], 'an error for whoever called, not for who served');
    const [bad] = spans({ status: 500 });
    assert.deepEqual([bad!.status, bad!.attributes['error.type']], [{ code: SpanStatusCode.ERROR }, '500']);
    const [late, lateCall] = spans({ code: 'downstream-closed', status: 499, attempts: [{ ...failed[0]!, code: 'downstream-closed', errno: '' }] });
    assert.deepEqual([late!.status.code, late!.attributes['error.type'], lateCall!.attributes['error.type']], [SpanStatusCode.UNSET, 'downstream-closed', 'downstream-closed']);
  });

  test('are one only for what was answered here', () => {
    assert.equal(spans({ attempts: [{ host: 'in-process', code: '', errno: '', started: START, duration: 0, reused: false, status: 0 }] }).length, 1);
  });

  test('name no secrets and no methods without end', () => {
    const [server, client] = spans({ method: 'BREW', path: '/x?sig=abc&y=1&Signature=z', authority: '' });
    assert.deepEqual([server!.name, server!.attributes['http.request.method'], server!.attributes['http.request.method_original']], ['HTTP orders', '_OTHER', 'BREW']);
    assert.equal(server!.attributes['url.query'], 'sig=REDACTED&y=1&Signature=REDACTED');
    assert.match(String(client!.attributes['url.full']), /\?sig=REDACTED&y=1&Signature=REDACTED$/);
    assert.deepEqual([server!.attributes['server.address'], server!.attributes['server.port']], ['10.0.0.2', 443]);
  });

  test('of RPCs have their service and method', () => {
    const rpc = { method: '', path: '', authority: '', service: 'com.example.Hello:1.0', rpcMethod: 'say', protocol: 'bolt', rawStatus: 0, sofaTrace: '0a', sofaCall: '0', sofaNext: '0.1' };
    const [server, client] = spans(rpc);
    assert.deepEqual([server!.name, server!.attributes['rpc.system'], server!.attributes['rpc.service'], server!.attributes['rpc.method'], server!.attributes['sluice.protocol_status']], ['com.example.Hello:1.0/say', 'sofa_rpc', 'com.example.Hello:1.0', 'say', 0]);
    assert.deepEqual([server!.attributes['sofa.trace_id'], server!.attributes['sofa.rpc_id'], client!.attributes['sofa.rpc_id']], ['0a', '0', '0.1']);
    assert.equal(server!.attributes['http.request.method'], undefined);
    assert.equal(spans({ ...rpc, service: '', rpcMethod: '' })[0]!.name, 'bolt');
    const [grpc] = spans({ method: 'POST', path: '/shop.Orders/Find', contentType: 'application/grpc+proto', protocol: 'http2', rawStatus: 5, status: 404 });
    assert.deepEqual([grpc!.name, grpc!.attributes['rpc.system'], grpc!.attributes['rpc.service'], grpc!.attributes['rpc.method'], grpc!.attributes['rpc.grpc.status_code'], grpc!.attributes['network.protocol.version']], ['shop.Orders/Find', 'grpc', 'shop.Orders', 'Find', 5, '2']);
  });
});

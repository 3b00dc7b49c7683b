// The tracer of a listener: who decides, what is written into requests, and that nothing is written into those that are not recorded.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setRandom } from '../../../src/core/random.js';
import { Stats } from '../../../src/core/stats.js';
import { ConnectionInfo } from '../../../src/network/wire.js';
import { type HeaderName } from '../../../src/stream/head.js';
import { ExchangeRecord } from '../../../src/stream/record.js';
import { type TracingConfig, tracingSchema } from '../../../src/stream/trace/config.js';
import { derivedSpanId, newSpanId, newTraceId } from '../../../src/stream/trace/ids.js';
import { SpanSink } from '../../../src/stream/trace/span-sink.js';
import { Tracer } from '../../../src/stream/trace/tracer.js';
import { unpack, type TracedExchange } from '../../../src/stream/trace/traced-exchange.js';
import { FakeHead, httpHead, rpcHead } from '../../support/fake-head.js';

const T = '0af7651916cd43dd8448eb211c80319c';
const S = 'b7ad6b7169203331';

/** A tracer, and what it records. */
function tracer(config: Record<string, unknown> = {}) {
  const exchanges: TracedExchange[] = [];
  const sink = new SpanSink({ stats: new Stats(), post: (batch) => void exchanges.push(...unpack(batch)) });
  const made = new Tracer(tracingSchema.parse(config) as TracingConfig, sink);
  const begin = (head: FakeHead): ExchangeRecord => {
    const record = new ExchangeRecord();
    record.downstream = Object.assign(new ConnectionInfo(), { localAddress: '10.0.0.9', remoteAddress: '10.0.0.1', remotePort: 4711 });
    made.begin(head, record);
    return record;
  };
  const finish = (record: ExchangeRecord): TracedExchange | undefined => {
    if (record.trace !== null) made.finished(record);
    record.reset();
    sink.flush();
    return exchanges.pop();
  };
  const carryOver = (head: FakeHead, record: ExchangeRecord): void => made.carryOver(head, record.trace!);
  return { begin, finish, carryOver, sink };
}

describe('a tracer', () => {
  test('goes on with the trace that came', () => {
    const t = tracer();
    const head = httpHead('GET', '/a?b=1', { traceparent: `00-${T}-${S}-01`, tracestate: 'x=1', 'user-agent': 'me' });
    const record = t.begin(head);
    const { serverId, clientId } = record.trace!;
    assert.notEqual(serverId, clientId);
    assert.deepEqual([head.value('traceparent'), head.value('tracestate'), head.headers.length], [`00-${T}-${clientId}-01`, 'x=1', 6]);
    record.status = 200;
    const told = t.finish(record)!;
    assert.deepEqual([told.traceId, told.parentId, told.serverId, told.clientId, told.state], [T, S, serverId, clientId, 'x=1']);
    assert.deepEqual([told.method, told.path, told.authority, told.agent, told.status, told.remoteAddress], ['GET', '/a?b=1', 'example.com', 'me', 200, '10.0.0.1']);
    assert.equal(record.trace, null, 'a record that is used again knows nothing of it');
  });

  test('leaves what the client does not want recorded as it came', () => {
    const t = tracer();
    const refusals: Record<string, string>[] = [{ traceparent: `00-${T}-${S}-00`, tracestate: 'x=1' }, { b3: '0' }, { b3: `${T}-${S}-0` }, { 'x-b3-traceid': T, 'x-b3-spanid': S, 'x-b3-sampled': '0' }];
    for (const headers of refusals) {
      const head = httpHead('GET', '/', headers);
      const before = [...head.headers];
      const record = t.begin(head);
      assert.deepEqual([head.headers, head.edited, record.trace, t.finish(record)], [before, false, null, undefined]);
    }
    assert.equal(t.sink.recorded.value, 0);
  });

  test('decides by ratio where nobody has', () => {
    const restore = setRandom(42);
    try {
      for (const [sampling, least, most] of [['0%', 0, 0], ['25%', 400, 600], ['100%', 2000, 2000]] as const) {
        const t = tracer({ sampling });
        let recorded = 0;
        for (let i = 0; i < 2000; i++) {
          const head = httpHead('GET', '/');
          const record = t.begin(head);
          if (record.trace !== null) recorded++;
          else assert.equal(head.edited, false);
        }
        assert.ok(recorded >= least && recorded <= most, `${recorded} of 2000 at ${sampling}`);
      }
    } finally {
      restore();
    }
  });

  test('decides the same of a trace id wherever it is asked', () => {
    const near = tracer({ sampling: '50%' });
    const far = tracer({ sampling: '50%' });
    let recorded = 0;
    for (let i = 0; i < 500; i++) {
      const b3 = `${newTraceId()}-${newSpanId()}`;
      const one = near.begin(httpHead('GET', '/', { b3 })).trace !== null;
      assert.equal(far.begin(httpHead('GET', '/', { b3 })).trace !== null, one);
      if (one) recorded++;
    }
    assert.ok(recorded > 150 && recorded < 350, `${recorded} of 500`);
  });

  test('begins a trace in the first format', () => {
    for (const [propagation, header, pattern] of [
      [['w3c', 'b3'], 'traceparent', /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/],
      [['b3', 'w3c'], 'b3', /^[0-9a-f]{32}-[0-9a-f]{16}-1-[0-9a-f]{16}$/],
      ['b3multi', 'x-b3-sampled', /^1$/],
      ['sofa', 'sofa-traceid', /^0a000009\d+$/],
    ] as const) {
      const head = httpHead('GET', '/');
      const record = tracer({ propagation }).begin(head);
      assert.match(head.value(header)!, pattern);
      assert.equal(record.trace!.parentId, '');
    }
  });

  test('obeys the flags of formats that are trusted, and decides for the others itself', () => {
    const both = (config: Record<string, unknown>, headers: Record<string, string>): boolean[] =>
      ['0%', '100%'].map((sampling) => tracer({ ...config, sampling }).begin(httpHead('GET', '/', headers)).trace !== null);
    assert.deepEqual(both({}, { traceparent: `00-${T}-${S}-00` }), [false, false]);
    assert.deepEqual(both({}, { traceparent: `00-${T}-${S}-01` }), [true, true]);
    for (const flag of ['00', '01']) assert.deepEqual(both({ trust: 'b3' }, { traceparent: `00-${T}-${S}-${flag}` }), [false, true]);
    for (const b3 of ['0', '1', 'd']) assert.deepEqual(both({ trust: 'w3c' }, { b3 }), [false, true]);
    const sofa = { propagation: 'sofa' };
    for (const flag of ['true', 'false']) {
      const headers = { new_rpc_trace_context: `tcid=${T}&spid=0&sample=${flag}&` };
      assert.deepEqual(both(sofa, headers), [false, true], 'SOFATracer sets it of itself');
      assert.deepEqual(both({ ...sofa, trust: 'sofa' }, headers), [flag === 'true', flag === 'true']);
    }
  });

  test('honours a decision that comes without ids', () => {
    const head = httpHead('GET', '/', { b3: 'd' });
    const record = tracer({ sampling: 0 }).begin(head);
    assert.match(head.value('b3')!, new RegExp(`^${record.trace!.traceId}-${record.trace!.clientId}-d-${record.trace!.serverId}$`));
  });

  test('keeps every format of a request in step, and adds those it is told to', () => {
    const head = httpHead('GET', '/', { b3: `${T}-${S}-1`, traceparent: `00-${T}-${S}-01` });
    const { clientId } = tracer({ inject: ['b3multi', 'sofa'] }).begin(head).trace!;
    assert.equal(head.value('traceparent'), `00-${T}-${clientId}-01`);
    assert.match(head.value('b3')!, new RegExp(`^${T}-${clientId}-1-`));
    assert.equal(head.value('x-b3-spanid'), clientId);
    assert.deepEqual([head.value('sofa-traceid'), head.value('sofa-rpcid')], [T, '0.1']);
  });

  test('tells others of its negative decision only when it is asked to', () => {
    const head = httpHead('GET', '/');
    const record = tracer({ sampling: 0, always_propagate: true }).begin(head);
    assert.match(head.value('traceparent')!, /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
    assert.equal(record.trace!.sampled, false);
    assert.equal(tracer().finish(record), undefined);
    // A context that came is never replaced.
    const other = httpHead('GET', '/', { b3: '0' });
    tracer({ sampling: 0, always_propagate: true }).begin(other);
    assert.equal(other.edited, false);
  });

  test('looks in Bolt for its own keys only, unless these are not wanted', () => {
    const call = rpcHead('com.example.Hello:1.0', 'say', { 'rpc_trace_context.sofaTraceId': '0a0fe93f1488349732342100153695', 'rpc_trace_context.sofaRpcId': '0', traceparent: `00-${T}-${S}-00` });
    const t = tracer();
    const told = t.finish(t.begin(call))!;
    assert.deepEqual([told.traceId, told.sofaCall, told.sofaNext, told.service, told.rpcMethod], ['000a0fe93f1488349732342100153695', '0', '0.1', 'com.example.Hello:1.0', 'say']);
    assert.equal(call.value('rpc_trace_context.sofaRpcId'), '0.1');
    assert.equal(call.value('traceparent'), `00-${T}-${S}-00`);
    const other = rpcHead('com.example.Hello:1.0', 'say', { traceparent: `00-${T}-${S}-00` });
    assert.equal(tracer({ propagation: 'w3c' }).begin(other).trace, null);
  });

  test('goes over with a request into another protocol', () => {
    const t = tracer();
    const record = t.begin(httpHead('GET', '/', { traceparent: `00-${T}-${S}-01` }));
    const call = rpcHead('com.example.Hello:1.0', 'say');
    t.carryOver(call, record);
    assert.deepEqual([call.value('rpc_trace_context.sofaTraceId'), call.value('rpc_trace_context.sofaRpcId')], [T, '0.1']);
    const told = t.finish(record)!;
    assert.deepEqual([told.traceId, told.clientId, told.parentId], [T, derivedSpanId(T, '0.1'), S]);

    const next = t.begin(httpHead('GET', '/', { traceparent: `00-${T}-${S}-01` }));
    const { clientId } = next.trace!;
    const http2 = new FakeHead({ ':method': 'POST', ':path': '/x', traceparent: `00-${T}-${clientId}-01` }, 'http2');
    t.carryOver(http2, next);
    assert.deepEqual([http2.all('traceparent'), next.trace!.clientId], [[`00-${T}-${clientId}-01`], clientId]);
  });

  test('refuses nothing: a head without room goes without its trace', () => {
    class Full extends FakeHead {
      override set(_name: HeaderName, _value: string): void {
        this.refused = 'head-too-large';
      }
    }
    const head = new Full({ ':method': 'GET', ':path': '/' });
    const record = tracer().begin(head);
    assert.equal(head.refused, null);
    assert.equal(record.trace!.sampled, true);
  });

  test('makes ids that are valid and new', () => {
    const ids = new Set<string>();
    for (let i = 0; i < 20_000; i++) {
      const trace = newTraceId();
      const span = newSpanId();
      assert.match(trace, /^[0-9a-f]{32}$/);
      assert.match(span, /^[0-9a-f]{16}$/);
      ids.add(trace).add(span);
    }
    assert.equal(ids.size, 40_000);
  });
});

test('whatever the headers hold, a tracer ends with valid ids or leaves the request alone', () => {
  const seed = 20_031;
  let state = seed;
  const next = (n: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return (state >> 8) % n;
  };
  const pieces = [T, S, '-', '00', '01', '1', '0', 'd', 'tcid=', 'spid=', 'sample=true', '&', '=', '0.1', 'ff', ' ', 'é', '%', '0'.repeat(16), 'x'];
  const names = ['traceparent', 'tracestate', 'b3', 'x-b3-traceid', 'x-b3-spanid', 'x-b3-sampled', 'x-b3-flags', 'new_rpc_trace_context', 'rpc_trace_context.sofaTraceId', 'rpc_trace_context.sofaRpcId', 'sofa-traceid', 'sofa-rpcid'];
  const tracers = [tracer({ inject: ['b3', 'sofa'] }), tracer({ sampling: '50%', propagation: ['sofa', 'b3multi', 'w3c'] }), tracer({ always_propagate: true, sampling: 0 }), tracer()];
  for (let i = 0; i < 20_000; i++) {
    const headers: Record<string, string> = {};
    for (let k = next(5); k > 0; k--) headers[names[next(names.length)]!] = Array.from({ length: next(8) }, () => pieces[next(pieces.length)]).join('');
    // Protocols come in turn, as on a listener of several.
    const head = i % 3 === 0 ? rpcHead('s', 'm', headers) : httpHead('GET', '/', headers);
    const before = JSON.stringify(head.headers);
    const t = tracers[i % tracers.length]!;
    const record = t.begin(head);
    const at = `round ${i} of seed ${seed}: ${JSON.stringify(headers)}`;
    if (record.trace === null) {
      assert.equal(JSON.stringify(head.headers), before, at);
      continue;
    }
    const { traceId, parentId, serverId, clientId } = record.trace;
    assert.match(traceId, /^(?!0{32})[0-9a-f]{32}$/, at);
    assert.match(parentId, /^((?!0{16})[0-9a-f]{16})?$/, at);
    assert.match(serverId, /^[0-9a-f]{16}$/, at);
    assert.match(clientId, /^[0-9a-f]{16}$/, at);
    t.finish(record);
  }
});

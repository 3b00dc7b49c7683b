// The formats of trace contexts: what each reads, what it takes for malformed, and what it writes.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FakeClock } from '../../../src/core/clock-fake.js';
import { setClock } from '../../../src/core/clock.js';
import { b3, b3Multi, b3MultiExact } from '../../../src/stream/trace/b3.js';
import { type Decision, type Format, NONE, SAMPLED, TraceContext, UNDECIDED, UNSAMPLED, seen } from '../../../src/stream/trace/context.js';
import { derivedSpanId, fractionOf, traceIdOf } from '../../../src/stream/trace/ids.js';
import { sofaBolt, sofaHttp } from '../../../src/stream/trace/sofa.js';
import { w3c } from '../../../src/stream/trace/w3c.js';
import { FakeHead } from '../../support/fake-head.js';

const T = '0af7651916cd43dd8448eb211c80319c';
const S = 'b7ad6b7169203331';
const names: Record<number, string> = { [NONE]: 'none', [UNSAMPLED]: 'unsampled', [SAMPLED]: 'sampled', [UNDECIDED]: 'undecided' };

const fraction = (): number => fractionOf(seen.buf, seen.start, seen.end);

function decisions(format: Format, cases: readonly (readonly [Record<string, string>, Decision])[]): void {
  for (const [headers, wanted] of cases) assert.equal(names[format.decision(new FakeHead(headers))], names[wanted], JSON.stringify(headers));
}

function read(format: Format, headers: Record<string, string>): TraceContext {
  const trace = new TraceContext();
  format.read(new FakeHead(headers), trace);
  return trace;
}

/** A recorded trace as the tracer has it when it writes. */
function recorded(facts: Partial<TraceContext> = {}): TraceContext {
  return Object.assign(new TraceContext(), { sampled: true, traceId: T, parentId: S, serverId: 'aaaaaaaaaaaaaaaa', clientId: 'cccccccccccccccc' }, facts);
}

describe('W3C Trace Context', () => {
  test('takes the sampled flag for the decision, of every version that it may', () => {
    const of = (value: string): Record<string, string> => ({ traceparent: value });
    decisions(w3c, [
      [of(`00-${T}-${S}-01`), SAMPLED],
      [of(`00-${T}-${S}-00`), UNSAMPLED],
      [of(`00-${T}-${S}-03`), SAMPLED],
      [of(`00-${T}-${S}-02`), UNSAMPLED],
      [of(`01-${T}-${S}-01`), SAMPLED],
      [of(`cc-${T}-${S}-01-what-the-future-will-be-like`), SAMPLED],
      [{}, NONE],
    ]);
  });

  test('takes what the specification forbids for absent', () => {
    const bad = [
      '', '00', `00-${T}-${S}`, `00-${T}-${S}-`, `00-${T}-${S}-1`, `00-${T}-${S}-0x`, `00-${T}-${S}-g1`, `ff-${T}-${S}-01`, `0g-${T}-${S}-01`,
      `00-${T}-${S}-01-more`, `cc-${T}-${S}-01.more`, `cc-${T}-${S}-01x`, `00-${'0'.repeat(32)}-${S}-01`, `00-${T}-${'0'.repeat(16)}-01`,
      `00-${T.toUpperCase()}-${S}-01`, `00-${T}-${S.toUpperCase()}-01`, `00-${T}0-${S}-01`, `00_${T}-${S}-01`, `00-${T}_${S}-01`, `00-${T}-${S}_01`, ` 00-${T}-${S}-01`,
      `00-${T.slice(1)}-${S}0-01`,
    ];
    for (const value of bad) decisions(w3c, [[{ traceparent: value }, NONE]]);
  });

  test('reads ids and state', () => {
    const trace = read(w3c, { traceparent: `00-${T}-${S}-01`, tracestate: 'a=1,b=2' });
    assert.deepEqual([trace.traceId, trace.parentId, trace.state], [T, S, 'a=1,b=2']);
    assert.equal(read(w3c, { traceparent: `00-${T}-${S}-01`, tracestate: 'x'.repeat(2000) }).state, '', 'a state that no span can tell');
  });

  test('writes itself as the caller and passes the state on', () => {
    const head = new FakeHead({ traceparent: `01-${T}-${S}-01-later`, tracestate: 'a=1' });
    w3c.write(head, recorded());
    assert.deepEqual(head.headers, [['traceparent', `00-${T}-cccccccccccccccc-01`], ['tracestate', 'a=1']]);
  });

  test('drops the state of a trace that cannot be gone on with', () => {
    const head = new FakeHead({ traceparent: 'broken', tracestate: 'a=1' });
    w3c.write(head, recorded({ parentId: '', sampled: false }));
    assert.deepEqual(head.headers, [['traceparent', `00-${T}-cccccccccccccccc-00`]]);
  });
});

describe('B3 in one header', () => {
  const of = (value: string): Record<string, string> => ({ b3: value });

  test('knows every form', () => {
    decisions(b3, [
      [of('0'), UNSAMPLED], [of('1'), SAMPLED], [of('d'), SAMPLED],
      [of(`${T}-${S}-1`), SAMPLED], [of(`${T}-${S}-0`), UNSAMPLED], [of(`${T}-${S}-d`), SAMPLED], [of(`${T}-${S}-1-05e3ac9a4f6e3b90`), SAMPLED],
      [of(`${T}-${S}-0-05e3ac9a4f6e3b90`), UNSAMPLED], [of(`${T}-${S}`), UNDECIDED], [of(`${S}-${S}-1`), SAMPLED], [of(`${S}-${S}`), UNDECIDED], [{}, NONE],
    ]);
  });

  test('takes anything else for absent', () => {
    for (const value of ['', '2', 'x', 'true', T, `${T}-`, `${T}-${S}-`, `${T}-${S}-2`, `${T}-${S}-11`, `${T}-${S}_1`, `${T}_${S}-1`, `${'0'.repeat(32)}-${S}-1`, `${T}-${'0'.repeat(16)}-1`, `${T.slice(2)}-${S}-1`]) {
      decisions(b3, [[of(value), NONE]]);
    }
  });

  test('reads short and long ids, and debug', () => {
    const long = read(b3, of(`${T}-${S}-d-05e3ac9a4f6e3b90`));
    assert.deepEqual([long.traceId, long.parentId, long.debug], [T, S, true]);
    const short = read(b3, of(`${S}-${S}`));
    assert.deepEqual([short.traceId, short.parentId, short.debug], ['0'.repeat(16) + S, S, false]);
    assert.deepEqual([read(b3, of('d')).debug, read(b3, of('d')).traceId, read(b3, of('1')).debug], [true, '', false]);
  });

  test('writes itself with its own parent, in the length that came', () => {
    const written = (facts: Partial<TraceContext>): string => {
      const head = new FakeHead();
      b3.write(head, recorded(facts));
      return head.value('b3')!;
    };
    assert.equal(written({}), `${T}-cccccccccccccccc-1-aaaaaaaaaaaaaaaa`);
    assert.equal(written({ debug: true }), `${T}-cccccccccccccccc-d-aaaaaaaaaaaaaaaa`);
    assert.equal(written({ traceId: '0'.repeat(16) + S }), `${S}-cccccccccccccccc-1-aaaaaaaaaaaaaaaa`);
    assert.equal(written({ sampled: false }), `${T}-cccccccccccccccc-0`);
  });

  test('all who see an undecided id draw the same number of it', () => {
    const numbers = [of(`${T}-${S}`), of(`${T}-05e3ac9a4f6e3b90`)].map((headers) => {
      assert.equal(b3.decision(new FakeHead(headers)), UNDECIDED);
      return fraction();
    });
    assert.equal(numbers[0], numbers[1]);
    assert.equal(b3Multi.decision(new FakeHead({ 'x-b3-traceid': T, 'x-b3-spanid': S })), UNDECIDED);
    assert.equal(fraction(), numbers[0]);
    // Spread over the whole range: a tenth of the ids are below a tenth.
    let below = 0;
    for (let i = 0; i < 10_000; i++) {
      b3.decision(new FakeHead(of(`${(i + 1).toString(16).padStart(32, '0')}-${S}`)));
      if (fraction() < 0.1) below++;
    }
    assert.ok(below > 850 && below < 1150, `${below} of 10000`);
  });
});

describe('B3 in several headers', () => {
  test('knows sampled, flags and ids', () => {
    const ids = { 'x-b3-traceid': T, 'x-b3-spanid': S };
    decisions(b3Multi, [
      [{ ...ids, 'x-b3-sampled': '1' }, SAMPLED], [{ ...ids, 'x-b3-sampled': '0' }, UNSAMPLED], [{ ...ids, 'x-b3-sampled': 'true' }, SAMPLED],
      [{ ...ids, 'x-b3-sampled': 'false' }, UNSAMPLED], [{ ...ids, 'x-b3-flags': '1' }, SAMPLED], [{ ...ids, 'x-b3-flags': '0' }, UNDECIDED], [ids, UNDECIDED],
      [{ 'x-b3-sampled': '0' }, UNSAMPLED], [{ 'x-b3-sampled': '1' }, SAMPLED], [{ ...ids, 'x-b3-sampled': 'd' }, UNDECIDED], [{ ...ids, 'x-b3-sampled': 'perhaps' }, UNDECIDED],
      [{ 'x-b3-traceid': T }, NONE], [{ 'x-b3-spanid': S }, NONE], [{ ...ids, 'x-b3-traceid': 'short' }, NONE], [{ ...ids, 'x-b3-spanid': '0'.repeat(16) }, NONE], [{}, NONE],
    ]);
  });

  test('reads and writes ids', () => {
    const trace = read(b3Multi, { 'x-b3-traceid': S, 'x-b3-spanid': S, 'x-b3-flags': '1' });
    assert.deepEqual([trace.traceId, trace.parentId, trace.debug], ['0'.repeat(16) + S, S, true]);
    const head = new FakeHead({ 'x-b3-traceid': T, 'x-b3-spanid': S, 'x-b3-parentspanid': S, 'x-b3-sampled': '1' });
    b3Multi.write(head, recorded());
    assert.deepEqual(head.headers, [['x-b3-traceid', T], ['x-b3-spanid', 'cccccccccccccccc'], ['x-b3-parentspanid', 'aaaaaaaaaaaaaaaa'], ['x-b3-sampled', '1']]);
    b3Multi.write(head, recorded({ debug: true }));
    assert.deepEqual([head.value('x-b3-flags'), head.value('x-b3-sampled')], ['1', undefined]);
  });

  test('has its names in capitals where a protocol compares these', () => {
    const head = new FakeHead();
    b3MultiExact.write(head, recorded({ sampled: false }));
    assert.deepEqual(head.headers, [['X-B3-TraceId', T], ['X-B3-SpanId', 'cccccccccccccccc'], ['X-B3-Sampled', '0']]);
  });
});

describe("SOFATracer's keys", () => {
  // As SOFARPC for Java writes them.
  const id = '0a0fe93f1488349732342100153695';
  const pairs = `tcid=${id}&spid=0.1&pspid=0&sample=false&_sys_zone=eu&user=4711&`;
  const old = { 'rpc_trace_context.sofaTraceId': id, 'rpc_trace_context.sofaRpcId': '0.2', 'rpc_trace_context.samp': 'false', 'rpc_trace_context.sofaPenAttrs': 'a=b&' };

  test('decide as their flag says', () => {
    decisions(sofaBolt, [
      [{ new_rpc_trace_context: pairs }, UNSAMPLED], [{ new_rpc_trace_context: pairs.replace('false', 'true') }, SAMPLED], [{ new_rpc_trace_context: pairs.replace('false', 'perhaps') }, UNDECIDED], [{ new_rpc_trace_context: `spid=0&tcid=${id}` }, UNDECIDED],
      [old, UNSAMPLED], [{ ...old, 'rpc_trace_context.samp': '' }, UNDECIDED], [{ ...old, 'rpc_trace_context.samp': 'true' }, SAMPLED], [{ ...old, new_rpc_trace_context: pairs.replace('false', 'TRUE') }, SAMPLED],
      [{ ...old, new_rpc_trace_context: '', 'rpc_trace_context.samp': 'true' }, SAMPLED], [{ new_rpc_trace_context: 'tcid=&spid=0&' }, NONE], [{ new_rpc_trace_context: '&&=&x' }, NONE],
      [{ 'rpc_trace_context.sofaTraceId': '' }, NONE], [{ 'rpc_trace_context.sofaTraceId': 'a b' }, NONE], [{ 'rpc_trace_context.sofaTraceId': 'x'.repeat(129) }, NONE],
      [{ 'rpc_trace_context.sofaRpcId': '0.1' }, NONE], [{}, NONE],
    ]);
    decisions(sofaHttp, [[{ 'SOFA-TraceId': id, 'SOFA-RpcId': '0.1' }, UNDECIDED], [{ new_rpc_trace_context: pairs }, UNSAMPLED], [{}, NONE]]);
  });

  test('become ids of a trace and of the span that called', () => {
    const trace = read(sofaBolt, { ...old, new_rpc_trace_context: pairs });
    assert.deepEqual([trace.traceId, trace.sofaTrace, trace.sofaCall, trace.parentId], [`00${id}`, id, '0.1', derivedSpanId(id, '0.1')]);
    const root = read(sofaBolt, { new_rpc_trace_context: pairs.replace('spid=0.1', 'spid=0') });
    assert.deepEqual([root.sofaCall, root.parentId], ['0', ''], 'nobody called the root');
    assert.deepEqual([read(sofaBolt, old).sofaCall, read(sofaHttp, { 'SOFA-TraceId': id }).sofaCall], ['0.2', '0']);
    for (const odd of ['not hex at all', 'x', `${id}${id}`]) assert.match(traceIdOf(odd), /^[0-9a-f]{32}$/);
    assert.notEqual(traceIdOf('one'), traceIdOf('two'));
  });

  test('go on as the first call that is made for the one that came, with all else that they carried', () => {
    const head = new FakeHead({ ...old, new_rpc_trace_context: pairs });
    const trace = read(sofaBolt, { ...old, new_rpc_trace_context: pairs });
    trace.sampled = true;
    sofaBolt.prepare!(head, trace, '10.0.0.1');
    sofaBolt.write(head, trace);
    assert.deepEqual(Object.fromEntries(head.headers), {
      new_rpc_trace_context: `tcid=${id}&spid=0.1.1&pspid=0.1&sample=true&_sys_zone=eu&user=4711&`,
      'rpc_trace_context.sofaTraceId': id, 'rpc_trace_context.sofaRpcId': '0.1.1', 'rpc_trace_context.samp': 'true', 'rpc_trace_context.sofaPenAttrs': 'a=b&',
    });
    // The next proxy comes to the same id of its caller's span.
    assert.equal(trace.clientId, read(sofaBolt, Object.fromEntries(head.headers)).parentId);
  });

  test('are made where there are none', () => {
    const restore = setClock(new FakeClock());
    try {
      const head = new FakeHead();
      const trace = recorded({ traceId: '', parentId: '', clientId: '' });
      sofaBolt.prepare!(head, trace, '::ffff:192.168.1.20');
      sofaBolt.write(head, trace);
      assert.match(trace.sofaTrace, /^c0a80114\d{17,27}$/);
      assert.equal(trace.traceId, trace.sofaTrace.padStart(32, '0'));
      assert.deepEqual(head.headers, [['rpc_trace_context.sofaTraceId', trace.sofaTrace], ['rpc_trace_context.sofaRpcId', '0.1'], ['rpc_trace_context.samp', 'true']]);
      const other = recorded({ traceId: '', clientId: '' });
      sofaBolt.prepare!(head.keep(), other, '');
      assert.equal(other.sofaTrace, trace.sofaTrace, 'what the head has counts');
    } finally {
      restore();
    }
  });

  test('beside another format take over its trace', () => {
    const head = new FakeHead();
    const trace = recorded({ clientId: '' });
    sofaHttp.prepare!(head, trace, '');
    sofaHttp.write(head, trace);
    assert.deepEqual(head.headers, [['sofa-traceid', T], ['sofa-rpcid', '0.1']]);
  });

  test('that no header may hold are left as they came', () => {
    const value = `tcid=${id}&spid=0&note=a\nb&`;
    const head = new FakeHead();
    head.headers = [['new_rpc_trace_context', value]];
    const trace = recorded(read(sofaBolt, {}));
    Object.assign(trace, { sampled: true, traceId: T });
    sofaBolt.prepare!(head, trace, '');
    sofaBolt.write(head, trace);
    assert.equal(head.value('new_rpc_trace_context'), value);
  });

  test('do not grow without end', () => {
    let call = '0';
    for (let i = 0; i < 500; i++) {
      const trace = recorded({ clientId: '' });
      sofaBolt.prepare!(new FakeHead({ 'rpc_trace_context.sofaTraceId': id, 'rpc_trace_context.sofaRpcId': call }), trace, '');
      call = trace.sofaNext;
    }
    assert.ok(call.length <= 128);
  });
});

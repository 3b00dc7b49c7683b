// Variables: what each renders of a live exchange, what templates refuse, and that every variable has a writer.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BlockOutput } from '../../src/core/bytes.js';
import { FakeClock } from '../../src/core/clock-fake.js';
import { setClock } from '../../src/core/clock.js';
import { ConnectionInfo } from '../../src/network/wire.js';
import type { Head } from '../../src/stream/head.js';
import { ExchangeRecord, NOTE_FREE_RETRY, NOTE_TUNNEL, setRequestIdPrefix } from '../../src/stream/record.js';
import { putAddress, putInt, putMs, putText, QUOTED, RAW } from '../../src/stream/variable-bytes.js';
import { TraceContext } from '../../src/stream/trace/context.js';
import { variables } from '../../src/stream/variable-table.js';
import { AT_END, AT_REPLY, AT_REQUEST, compile, templateProblems, type VariableSource } from '../../src/stream/variables.js';
import { FakeHead, httpHead, rpcHead } from '../support/fake-head.js';

function source(request: Head | null = null, reply: Head | null = null, fill: (record: ExchangeRecord) => void = () => {}): VariableSource {
  const record = new ExchangeRecord();
  fill(record);
  return { record, requestHead: request, replyHead: reply };
}
const render = (text: string, from: VariableSource): string => compile(text, AT_END).render(from);

function client(): ConnectionInfo {
  const info = new ConnectionInfo();
  Object.assign(info, { remoteAddress: '10.1.2.3', remotePort: 4711, localAddress: '10.0.0.1', localPort: 8080, secure: true, serverName: 'a.example', tlsVersion: 'TLSv1.3', peerSubject: 'CN=c' });
  return info;
}

describe('a template', () => {
  test('renders literals, variables and %%', () => {
    assert.equal(render('100%% of %method%!', source(httpHead('GET', '/'))), '100% of GET!');
    assert.equal(compile('a%%b').constant, 'a%b');
    assert.equal(compile('%method%').constant, null);
  });

  test('renders nothing for what is absent', () => {
    assert.equal(render('<%service%%reason%%request_header_x-none%%upstream_host%>', source(httpHead('GET', '/'))), '<>');
  });

  const problems: [string, typeof AT_END | typeof AT_REQUEST, RegExp][] = [
    ['%duratoin%', AT_END, /%duratoin% does not exist; did you mean %duration%/],
    ['%Upstream-Host%', AT_END, /did you mean %upstream_host%/],
    ['%constructor%', AT_END, /does not exist/],
    ['%request_header_%', AT_END, /the name of a header must follow/],
    ['%zzzzqqqq%', AT_END, /^the variable %zzzzqqqq% does not exist$/],
    ['50% of it', AT_END, /write %% for the sign itself/],
    ['50%', AT_END, /write %% for the sign itself/],
    ['%duration%', AT_REQUEST, /known only when the exchange has ended/],
    ['%response_header_x%', AT_REQUEST, /known only when the reply has come/],
  ];
  for (const [text, moment, wanted] of problems) {
    test(`refuses ${text}`, () => {
      const found = templateProblems(text, moment);
      assert.equal(found.length, 1, found.join('; '));
      assert.match(found[0]!, wanted);
      assert.throws(() => compile(text, moment), Error);
    });
  }

  test('tells every problem at once', () => {
    assert.equal(templateProblems('%a_b_c% %method% %x_y_z%', AT_END).length, 2);
  });

  test('has a writer and a sentence for every variable', () => {
    for (const [name, { doc }] of Object.entries(variables)) {
      assert.match(name, /^[a-z][a-z0-9_]*$/);
      assert.ok(doc.length > 10, name);
      assert.doesNotThrow(() => render(`%${name}%`, source()), name);
      assert.doesNotThrow(() => render(`%${name}%`, source(httpHead('GET', '/x?y=1'), new FakeHead({ ':status': '200' }), (r) => (r.downstream = client()))), name);
    }
  });

  test('knows whether it needs the request head', () => {
    assert.equal(compile('%request_header_a%', AT_REPLY).readsRequest, true);
    assert.equal(compile('%response_header_a% %status%'.replace('%status%', '%response_code%'), AT_REPLY).readsRequest, false);
  });

  test('turns line breaks of values into spaces, so that a header cannot be split', () => {
    assert.equal(render('%request_header_a%', source(new FakeHead({ a: 'x\r\ny\0z' }))), 'x  y z');
  });

  test('renders values longer than its scratch', () => {
    const long = 'é'.repeat(50_000);
    assert.equal(render('<%request_header_a%>', source(new FakeHead({ a: long }))), `<${long}>`);
  });
});

describe('variables of the request', () => {
  const http = source(httpHead('POST', '/a/b?c=d&e=%20', { 'x-User': 'ü', traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' }), null, (r) => (r.downstream = client()));

  const cases: [string, string][] = [
    ['%method% %request_method%', 'POST POST'],
    ['%path% %request_uri%', '/a/b?c=d&e=%20 /a/b?c=d&e=%20'],
    ['%request_path%', '/a/b'],
    ['%query% %request_arg%', 'c=d&e=%20 c=d&e=%20'],
    ['%authority%', 'example.com'],
    ['%scheme%', 'https'],
    ['%operation%', 'POST /a/b?c=d&e=%20'],
    ['%request_header_x-user%', 'ü'],
    ['%trace_id%', '0af7651916cd43dd8448eb211c80319c'],
    ['%downstream_remote_address% %downstream_remote_ip%', '10.1.2.3:4711 10.1.2.3'],
    ['%downstream_local_address% %listener_port%', '10.0.0.1:8080 8080'],
    ['%tls_server_name% %tls_version% %tls_peer_subject%', 'a.example TLSv1.3 CN=c'],
  ];
  for (const [text, wanted] of cases) test(text, () => assert.equal(render(text, http), wanted));

  test('of a trace', () => {
    const trace = Object.assign(new TraceContext(), { sampled: true, traceId: 'a'.repeat(32), serverId: 'b'.repeat(16) });
    const traced = source(httpHead('GET', '/', { traceparent: `00-${'c'.repeat(32)}-${'d'.repeat(16)}-01` }), null, (r) => (r.trace = trace));
    assert.equal(render('%trace_id% %span_id%', traced), `${'a'.repeat(32)} ${'b'.repeat(16)}`);
    trace.sampled = false;
    assert.equal(render('%trace_id%%span_id%', traced), 'a'.repeat(32), 'no span was made');
    assert.equal(render('%trace_id%%span_id%', source(httpHead('GET', '/', { traceparent: 'short' }))), '');
  });

  test('of an RPC', () => {
    const rpc = source(new FakeHead({ ':service': 'com.x.Orders', ':rpc-method': 'find', ':version': '1.0', ':group': 'g' }));
    assert.equal(render('%operation% %service% %rpc_method% %service_version% %service_group%', rpc), 'com.x.Orders.find com.x.Orders find 1.0 g');
    assert.equal(render('%operation%', source(new FakeHead({ ':service': 's' }))), 's');
    assert.equal(render('%operation%', source(new FakeHead())), '');
  });

  test('keeps the id that a request brought, or gives the one made for it', () => {
    setRequestIdPrefix('w1-');
    assert.equal(render('%request_id%', source(new FakeHead({ 'x-request-id': 'abc' }), null, (r) => (r.sequence = 7))), 'abc');
    assert.equal(render('%request_id%', source(new FakeHead(), null, (r) => (r.sequence = 7))), 'w1-7');
    assert.equal(render('%request_id%', source(rpcHead('s', 'm'))), '');
  });

  test('a path without query has no query', () => {
    assert.equal(render('[%query%]', source(httpHead('GET', '/a'))), '[]');
    assert.equal(render('[%query%]', source(httpHead('GET', '/a?'))), '[]');
  });
});

describe('variables of the end', () => {
  test('tell reason, flag, side and sentence', () => {
    const failed = source(null, null, (r) => {
      r.code = 'connect-refused';
      r.context = { host: '10.0.0.9:80' };
      r.status = 503;
    });
    assert.equal(render('%reason% %response_flags% %where% %response_code%', failed), 'connect-refused UF upstream 503');
    assert.equal(render('%reason_text%', failed), 'host 10.0.0.9:80 refused the connection');
  });

  test('tell times in milliseconds since the start', () => {
    const times = source(null, null, (r) => Object.assign(r, { start: 1000.5, requestDone: 1001, upstreamConnected: 1002.25, firstReplyByte: 1011, end: 1012.5004 }));
    assert.equal(render('%duration% %request_finished_duration%', times), '12.000 12.000');
    assert.equal(render('%request_received_duration% %upstream_connected_duration% %response_received_duration%', times), '0.500 1.750 10.500');
    assert.equal(render('%process_time_duration%', times), '2.000');
  });

  test('show attempts: the host when all went well, else each with its reason', () => {
    const well = source(null, null, (r) => {
      r.beginAttempt('10.0.0.1:80', 5, true);
      r.endAttempt('', '', 9);
    });
    assert.equal(render('%attempts% %attempt_count% %upstream_host%', well), '10.0.0.1:80 1 10.0.0.1:80');
    const badly = source(null, null, (r) => {
      r.beginAttempt('10.0.0.1:80', 5, false);
      r.endAttempt('connect-refused', 'ECONNREFUSED', 5.25);
      r.beginAttempt('10.0.0.2:80', 6, true);
      r.endAttempt('upstream-reset', '', 8);
      r.beginAttempt('10.0.0.3:80', 9, false);
      r.endAttempt('', '', 12);
    });
    assert.equal(render('%attempts%', badly), '10.0.0.1:80=connect-refused/ECONNREFUSED/0.250ms,10.0.0.2:80=upstream-reset/-/2.000ms,10.0.0.3:80');
    assert.equal(render('%attempt_count% %upstream_host% [%errno%]', badly), '3 10.0.0.3:80 []');
  });

  test('name what else happened', () => {
    assert.equal(render('%notes%', source(null, null, (r) => (r.flags = NOTE_TUNNEL | NOTE_FREE_RETRY))), 'free-retry,tunnel');
  });
});

describe('times', () => {
  test('are of the wall clock, made anew each second', () => {
    const clock = new FakeClock(1000, Date.UTC(2024, 1, 29, 23, 59, 58, 900));
    const undo = setClock(clock);
    try {
      const at = (start: number): string => render('%start_time%', source(null, null, (r) => (r.start = start)));
      assert.equal(at(1000), '2024-02-29T23:59:58.900Z');
      clock.advance(1150);
      assert.equal(at(2150), '2024-03-01T00:00:00.050Z');
      assert.equal(at(1000), '2024-02-29T23:59:58.900Z');
      assert.equal(render('%timestamp%', source(null, null, (r) => (r.start = 2150))), String(Date.UTC(2024, 2, 1, 0, 0, 0, 50)));
    } finally {
      undo();
    }
  });
});

describe('values as bytes', () => {
  const put = (what: (out: BlockOutput) => void): string => {
    const out = new BlockOutput(64 * 1024);
    what(out);
    return out.take().toString();
  };

  test('whole numbers', () => {
    for (const v of [0, 1, 9, 10, 11, 99, 100, 999, 1000, 9999, 10_000, 99_999, 100_000, 1_000_000, 12_345_678, 100_000_000, 1_234_567_890, 2 ** 31 - 1, 2 ** 31, 2 ** 40 + 1, 2 ** 53]) {
      assert.equal(put((o) => putInt(o.writer, v)), String(v));
    }
  });

  test('milliseconds', () => {
    for (const [ms, text] of [[0, '0.000'], [0.0004, '0.000'], [0.0006, '0.001'], [1.5, '1.500'], [999.9996, '1000.000'], [15_000.042, '15000.042'], [-1, '0.000'], [5e6 + 0.25, '5000000.250']] as const) {
      assert.equal(put((o) => putMs(o.writer, ms)), text);
    }
  });

  test('addresses', () => {
    assert.equal(put((o) => putAddress(o.writer, '::1', 80, RAW)), '[::1]:80');
    assert.equal(put((o) => putAddress(o.writer, 'fe80::1%eth0', 80, RAW)), '[fe80::1%eth0]:80');
    assert.equal(put((o) => putAddress(o.writer, '10.0.0.1', 65535, RAW)), '10.0.0.1:65535');
    assert.equal(put((o) => putAddress(o.writer, '/run/a.sock', 0, RAW)), '/run/a.sock');
  });

  test('strings, escaped and cut', () => {
    assert.equal(put((o) => putText(o.writer, 'a"b\\c\n\x7fé', QUOTED)), 'a\\"b\\\\c\\x0a\\x7f\\xc3\\xa9');
    assert.equal(put((o) => putText(o.writer, 'x'.repeat(300), RAW)), `${'x'.repeat(253)}...`);
  });
});

// Traces as a receiver of OTLP gets them from real processes: parents, hops, formats, decisions, failures, and what happens without a receiver.
import assert from 'node:assert/strict';
import { renameSync, writeFileSync } from 'node:fs';
import type { IncomingHttpHeaders } from 'node:http';
import { test, type TestContext } from 'node:test';
import { get, serveHttp, type Served } from '../support/http.js';
import { receive, type ReceivedSpan, type Receiver } from '../support/otlp.js';
import { freePort, freePorts, type Sluice, start, until } from '../support/sluice.js';

const T = '0af7651916cd43dd8448eb211c80319c';
const S = 'b7ad6b7169203331';
const LOG = 'access_log: {format: "%operation% %response_code% %trace_id% %span_id%"}\n';

/** A host that keeps the headers of every request. */
async function host(t: TestContext, statuses: readonly number[] = []): Promise<{ port: number; heard: IncomingHttpHeaders[]; served: Served<unknown> }> {
  const heard: IncomingHttpHeaders[] = [];
  const served = await serveHttp(t, (request, reply) => {
    heard.push(request.headers);
    if (request.url === '/a/reset') request.socket.resetAndDestroy();
    else reply.writeHead(statuses[heard.length - 1] ?? 200).end('ok');
  });
  return { port: served.port, heard, served };
}

function config(port: number, hosts: readonly number[], tracing: string, route = ''): string {
  return `
${LOG}listeners:
  - {name: web, address: "127.0.0.1:${port}", protocol: http1, routes: main}
routes:
  - name: main
    routes:
      - {name: nowhere, match: {path: /nowhere}, cluster: dead}
      - {name: here, match: {path: /here}, direct_response: {body: hello}}
      - {name: all, match: {prefix: /a}, cluster: app${route}}
clusters:
  - {name: app, hosts: "${hosts.map((h) => `127.0.0.1:${h}`).join(',')}"}
  - {name: dead, hosts: "127.0.0.1:1", connect_timeout: 2s}
tracing: ${tracing}
`;
}

const to = (receiver: Receiver, more = ''): string => `{exporter: {url: "${receiver.url}", interval: 50ms}${more}}`;

const byKind = (spans: readonly ReceivedSpan[], kind: string, service = 'sluice'): ReceivedSpan => {
  const found = spans.filter((span) => span.kind === kind && span.service === service);
  assert.equal(found.length, 1, `${kind} of ${service}: ${JSON.stringify(spans.map((s) => [s.service, s.kind, s.name]))}`);
  return found[0]!;
};

test('a trace that came in W3C form goes on in it, and its spans are exported', { timeout: 60_000 }, async (t) => {
  const receiver = await receive(t);
  const app = await host(t);
  const port = await freePort();
  const more = ', service_name: edge, resource: {deployment.environment.name: test}';
  const sluice = await start(t, { config: config(port, [app.port], `{exporter: {url: "${receiver.url}", interval: 50ms, compression: gzip, headers: {x-team: secret}}${more}}`) });
  const before = Date.now();
  assert.equal((await get(port, '/a/b?c=d', { headers: { traceparent: `00-${T}-${S}-01`, tracestate: 'k=v', 'user-agent': 'tester' } })).status, 200);
  const spans = await receiver.trace(T, 2);
  const server = byKind(spans, 'server', 'edge');
  const client = byKind(spans, 'client', 'edge');
  assert.equal(spans.length, 2);
  assert.deepEqual([server.parentId, client.parentId, server.state], [S, server.spanId, 'k=v']);
  assert.deepEqual([app.heard[0]!['traceparent'], app.heard[0]!['tracestate']], [`00-${T}-${client.spanId}-01`, 'k=v']);
  assert.equal(app.heard[0]!['b3'], undefined, 'no other format is made up');
  const { attributes } = server;
  assert.deepEqual(
    [server.name, attributes['http.request.method'], attributes['url.path'], attributes['url.query'], attributes['http.response.status_code'], attributes['sluice.listener'], attributes['sluice.route'], attributes['sluice.cluster'], attributes['user_agent.original']],
    ['GET all', 'GET', '/a/b', 'c=d', 200, 'web', 'all', 'app', 'tester'],
  );
  assert.deepEqual([client.attributes['server.address'], client.attributes['server.port'], client.attributes['sluice.connection_reused'], server.status, client.status], ['127.0.0.1', app.port, false, 'unset', 'unset']);
  assert.ok(server.start >= before - 1000 && server.end <= Date.now() + 1000, 'times are those of the wall clock');
  assert.ok(server.start <= client.start && client.end <= server.end, 'the call lies within what it was made for');
  assert.deepEqual([server.resource['deployment.environment.name'], server.scope.split(' ')[0]], ['test', 'sluice']);
  assert.deepEqual([receiver.requests[0]!['content-encoding'], receiver.requests[0]!['x-team']], ['gzip', 'secret']);
  await until('the line', () => sluice.lines.some((line) => line === `GET /a/b?c=d 200 ${T} ${server.spanId}`));
  assert.equal(await sluice.metric('sluice_trace_exchanges_total'), 1);
  await until('the receiver\'s answer is counted', async () => (await sluice.metric('sluice_trace_spans_exported_total')) === 2);
  assert.doesNotMatch((await sluice.get('/config')).text, /secret/);
});

test('B3 goes on in the form it came in', { timeout: 60_000 }, async (t) => {
  const receiver = await receive(t);
  const app = await host(t);
  const port = await freePort();
  await start(t, { config: config(port, [app.port], to(receiver)) });
  await get(port, '/a', { headers: { b3: `${T}-${S}-1` } });
  const [server, client] = ((spans) => [byKind(spans, 'server'), byKind(spans, 'client')] as const)(await receiver.trace(T, 2));
  assert.deepEqual([server.parentId, app.heard[0]!['b3'], app.heard[0]!['traceparent']], [S, `${T}-${client.spanId}-1-${server.spanId}`, undefined]);

  await get(port, '/a', { headers: { 'X-B3-TraceId': S, 'X-B3-SpanId': S, 'X-B3-Sampled': '1' } });
  const second = await receiver.trace(`0000000000000000${S}`, 2);
  const heard = app.heard[1]!;
  assert.deepEqual([heard['x-b3-traceid'], heard['x-b3-spanid'], heard['x-b3-parentspanid'], heard['x-b3-sampled']], [S, byKind(second, 'client').spanId, byKind(second, 'server').spanId, '1']);
});

test('two proxies in a row make one trace of a call, each the parent of the next', { timeout: 60_000 }, async (t) => {
  const receiver = await receive(t);
  const app = await host(t);
  const [near, far] = (await freePorts(2)) as [number, number];
  await start(t, { config: config(far, [app.port], to(receiver, ', service_name: far')) });
  await start(t, { config: config(near, [far], to(receiver, ', service_name: near')) });
  await get(near, '/a');
  const spans = await receiver.wait('both sides of both', 4);
  assert.equal(new Set(spans.map((span) => span.traceId)).size, 1);
  const chain = [byKind(spans, 'server', 'near'), byKind(spans, 'client', 'near'), byKind(spans, 'server', 'far'), byKind(spans, 'client', 'far')];
  assert.deepEqual(chain.map((span) => span.parentId), ['', ...chain.slice(0, 3).map((span) => span.spanId)]);
  assert.equal(app.heard[0]!['traceparent'], `00-${chain[3]!.traceId}-${chain[3]!.spanId}-01`);
});

test('what is not to be recorded makes no span and goes on unchanged', { timeout: 60_000 }, async (t) => {
  const receiver = await receive(t);
  const app = await host(t);
  const port = await freePort();
  const sluice = await start(t, { config: config(port, [app.port], to(receiver, ', sampling: 0%')) });
  await get(port, '/a', { headers: { traceparent: `00-${T}-${S}-00`, tracestate: 'k=v' } });
  await get(port, '/a', { headers: { b3: '0' } });
  await get(port, '/a');
  await get(port, '/a', { headers: { b3: `${T}-${S}` } });
  await get(port, '/a', { headers: { traceparent: `00-${S}${S}-${S}-01` } });
  const spans = await receiver.wait('of the one that was to be recorded', 2);
  await sluice.get('/metrics');
  assert.deepEqual([...new Set(spans.map((span) => span.traceId))], [`${S}${S}`]);
  assert.equal(await sluice.metric('sluice_trace_exchanges_total'), 1);
  const seen = app.heard.slice(0, 4).map((headers) => [headers['traceparent'], headers['tracestate'], headers['b3']]);
  assert.deepEqual(seen, [[`00-${T}-${S}-00`, 'k=v', undefined], [undefined, undefined, '0'], [undefined, undefined, undefined], [undefined, undefined, `${T}-${S}`]]);
});

test('retries, refusals and reasons can be seen', { timeout: 60_000 }, async (t) => {
  const receiver = await receive(t);
  const app = await host(t, [503, 200]);
  const port = await freePort();
  const sluice = await start(t, { config: config(port, [app.port], to(receiver), ', retry: {statuses: [503], attempts: 3}') });
  assert.equal((await get(port, '/a')).status, 200);
  const retried = await receiver.wait('of a retried request', 4);
  const client = byKind(retried, 'client');
  const attempts = retried.filter((span) => span.kind === 'internal').sort((a, b) => a.start - b.start);
  assert.deepEqual([client.attributes['sluice.attempts'], client.status, byKind(retried, 'server').status], [2, 'unset', 'unset']);
  assert.deepEqual(attempts.map((span) => [span.name, span.parentId, span.status, span.attributes['http.response.status_code'], span.attributes['server.port']]), [
    ['attempt 1', client.spanId, 'error', 503, app.port],
    ['attempt 2', client.spanId, 'unset', 200, app.port],
  ]);
  assert.deepEqual(app.heard.map((headers) => headers['traceparent']), Array.from({ length: 2 }, () => `00-${client.traceId}-${client.spanId}-01`), 'all attempts are one call');

  assert.equal((await get(port, '/nowhere')).status, 503);
  const [refused, call] = ((spans) => [byKind(spans, 'server'), byKind(spans, 'client')] as const)(await receiver.wait('of a refused connection', 2, (span) => span.name === 'GET nowhere'));
  assert.deepEqual([refused.status, refused.message, refused.attributes['sluice.reason'], refused.attributes['sluice.where'], refused.attributes['sluice.flag'], refused.attributes['sluice.notes']], ['error', 'connect-refused', 'connect-refused', 'upstream', 'UF', ['local-reply']]);
  assert.deepEqual([call.status, call.attributes['error.type'], call.attributes['sluice.errno'], call.attributes['http.response.status_code']], ['error', 'connect-refused', 'ECONNREFUSED', undefined]);
  assert.equal((await get(port, '/a/reset')).status, 502);
  const [reset] = await receiver.wait('of a reset', 1, (span) => span.kind === 'client' && span.attributes['error.type'] === 'upstream-reset');
  assert.match(String(reset!.attributes['sluice.errno']), /ECONNRESET/);

  assert.equal((await get(port, '/none')).status, 404);
  const [lost] = await receiver.wait('of a request without a route', 1, (span) => span.attributes['sluice.reason'] === 'no-route');
  assert.deepEqual([lost!.kind, lost!.status, lost!.attributes['error.type']], ['server', 'unset', 'no-route']);
  assert.equal((await get(port, '/here')).text, 'hello');
  const [here] = await receiver.wait('of what was answered here', 1, (span) => span.name === 'GET here');
  assert.deepEqual([here!.status, here!.attributes['sluice.reason'], here!.attributes['sluice.notes']], ['unset', undefined, ['local-reply']]);
  const lines = await until('the lines', () => (sluice.lines.length === 5 ? sluice.lines : null));
  assert.equal(new Set(lines.map((line) => line.split(' ').at(-2))).size, 5, 'each has a trace of its own');
});

test('without a receiver the traffic goes on, spans are counted as lost, and it says so once', { timeout: 60_000 }, async (t) => {
  const app = await host(t);
  const [port, later] = (await freePorts(2)) as [number, number];
  const exporter = `{url: "http://127.0.0.1:${later}/v1/traces", interval: 20ms, timeout: 200ms, batch: 4}`;
  const sluice = await start(t, { config: config(port, [app.port], `{exporter: ${exporter}}`) });
  for (let i = 0; i < 40; i++) assert.equal((await get(port, '/a')).status, 200);
  await until('several failures', async () => (await sluice.metric('sluice_trace_export_failures_total')) >= 3);
  assert.ok((await sluice.metric('sluice_trace_spans_lost_total', 'export-failed')) > 0);
  assert.equal(sluice.stderr.match(/traces cannot be exported/g)?.length, 1, sluice.stderr);
  assert.match(sluice.stderr, /traces cannot be exported.*ECONNREFUSED/);
  const receiver = await receive(t, later);
  await until('it works again', async () => {
    await get(port, '/a');
    return /traces are exported again/.test(sluice.stderr);
  });
  receiver.status = 400;
  await until('it is told again', async () => {
    await get(port, '/a');
    return sluice.stderr.match(/traces cannot be exported/g)?.length === 2;
  });
  receiver.status = 200;
  receiver.silent = true;
  // Nothing is answered any more: the end waits for it a little, and not longer.
  await get(port, '/a');
  sluice.kill('SIGTERM');
  assert.equal(await sluice.exited, 0, sluice.stderr);
});

test('a receiver that never answers costs a bounded queue, and no reply', { timeout: 60_000 }, async (t) => {
  const receiver = await receive(t);
  receiver.silent = true;
  const app = await host(t);
  const port = await freePort();
  const sluice = await start(t, { config: config(port, [app.port], `{exporter: {url: "${receiver.url}", interval: 10ms, batch: 2, queue: 20, timeout: 30s}}`) });
  for (let i = 0; i < 40; i++) assert.equal((await get(port, '/a')).status, 200);
  await until('the queue is full', async () => (await sluice.metric('sluice_trace_spans_lost_total', 'queue-full')) > 0);
  assert.equal((await get(port, '/a')).status, 200);
});

test('a drain exports what was recorded', { timeout: 60_000 }, async (t) => {
  const receiver = await receive(t);
  const app = await host(t);
  const port = await freePort();
  const sluice = await start(t, { config: config(port, [app.port], `{exporter: {url: "${receiver.url}", interval: 1h, batch: 10000}}`) });
  for (let i = 0; i < 5; i++) await get(port, '/a');
  assert.equal(receiver.spans.length, 0);
  sluice.kill('SIGTERM');
  assert.equal(await sluice.exited, 0, sluice.stderr);
  assert.equal(receiver.spans.length, 10);
});

test('a reload turns traces on and off', { timeout: 60_000 }, async (t) => {
  const receiver = await receive(t);
  const app = await host(t);
  const port = await freePort();
  const sluice: Sluice = await start(t, { config: config(port, [app.port], 'false') });
  const change = async (tracing: string): Promise<void> => {
    const { wanted } = await sluice.json<{ wanted: number }>('/config');
    writeFileSync(`${sluice.file}.new`, `admin: {address: ${sluice.admin}}\n${config(port, [app.port], tracing)}`);
    renameSync(`${sluice.file}.new`, sluice.file);
    sluice.kill('SIGHUP');
    await until('the new configuration runs', async () => {
      const state = await sluice.json<{ wanted: number; running: number }>('/config');
      return state.wanted > wanted && state.running === state.wanted;
    });
  };
  await get(port, '/a');
  await change(to(receiver));
  await get(port, '/a');
  await receiver.wait('once they are on', 2);
  await change('false');
  await get(port, '/a');
  await change(to(receiver, ', service_name: again'));
  await get(port, '/a');
  await receiver.wait('once they are on again', 2, (span) => span.service === 'again');
  assert.equal(receiver.spans.length, 4);
  assert.equal(app.heard.filter((headers) => headers['traceparent'] !== undefined).length, 2);
});

// Traces of Bolt calls by SOFATracer's keys: frames as Java and MOSN write them, one hop and two, and what is not recorded left byte for byte.
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { get, serveHttp } from '../support/http.js';
import { receive, type ReceivedSpan } from '../support/otlp.js';
import { freePorts, start } from '../support/sluice.js';
import { openBolt, serveBolt } from './bolt-peer.js';

const ID = '0a0fe93f1488349732342100153695';
const TRACE = `00${ID}`;

const config = (port: number, host: number, tracing: string): string => `
listeners: [{name: bolt, address: "127.0.0.1:${port}", protocol: bolt, cluster: app}]
clusters: [{name: app, hosts: "127.0.0.1:${host}", protocol: bolt}]
tracing: ${tracing}
`;

async function host(t: TestContext): Promise<{ port: number; heard: Readonly<Record<string, string>>[] }> {
  const heard: Readonly<Record<string, string>>[] = [];
  const served = await serveBolt(t, (request, reply) => {
    heard.push(request.headers);
    reply(request.content);
  });
  return { port: served.port, heard };
}

const of = (spans: readonly ReceivedSpan[], service: string, kind: string): ReceivedSpan => {
  const found = spans.filter((span) => span.service === service && span.kind === kind);
  assert.equal(found.length, 1, `${kind} of ${service}`);
  return found[0]!;
};

test('two proxies go on with the rpcId, and are parent and child in the trace', { timeout: 60_000 }, async (t) => {
  const receiver = await receive(t);
  const app = await host(t);
  const [near, far] = (await freePorts(2)) as [number, number];
  const tracing = (name: string): string => `{exporter: {url: "${receiver.url}", interval: 50ms}, service_name: ${name}}`;
  await start(t, { config: config(far, app.port, tracing('far')) });
  await start(t, { config: config(near, far, tracing('near')) });
  const client = await openBolt(t, near);
  const sent = { sofa_head_method_name: 'say', new_rpc_trace_context: `tcid=${ID}&spid=0&pspid=&sample=false&_sys_zone=eu&user=4711&` };
  const reply = await client.reply(client.request('hello', { service: 'com.example.Hello:1.0', headers: sent }));
  assert.equal(reply.content.toString(), 'hello');
  assert.equal(app.heard[0]!['new_rpc_trace_context'], `tcid=${ID}&spid=0.1.1&pspid=0.1&sample=true&_sys_zone=eu&user=4711&`);
  assert.deepEqual([app.heard[0]!['service'], app.heard[0]!['sofa_head_method_name'], app.heard[0]!['rpc_trace_context.sofaTraceId']], ['com.example.Hello:1.0', 'say', undefined]);
  const spans = await receiver.trace(TRACE, 4);
  const chain = [of(spans, 'near', 'server'), of(spans, 'near', 'client'), of(spans, 'far', 'server'), of(spans, 'far', 'client')];
  assert.deepEqual(chain.map((span) => span.parentId), ['', ...chain.slice(0, 3).map((span) => span.spanId)]);
  assert.deepEqual(chain.map((span) => span.attributes['sofa.rpc_id']), ['0', '0.1', '0.1', '0.1.1']);
  assert.deepEqual([chain[0]!.name, chain[0]!.attributes['rpc.system'], chain[0]!.attributes['rpc.method'], chain[0]!.attributes['sofa.trace_id']], ['com.example.Hello:1.0/say', 'sofa_rpc', 'say', ID]);
});

test("MOSN's and old SDKs' keys go on as they are written, and are made for calls without any", { timeout: 60_000 }, async (t) => {
  const receiver = await receive(t);
  const app = await host(t);
  const [port] = (await freePorts(1)) as [number];
  await start(t, { config: config(port, app.port, `{exporter: {url: "${receiver.url}", interval: 50ms}}`) });
  const client = await openBolt(t, port);
  await client.reply(client.request('a', { headers: { 'rpc_trace_context.sofaTraceId': ID, 'rpc_trace_context.sofaRpcId': '0.2.1', 'rpc_trace_context.sofaPenAttrs': 'k=v&' } }));
  assert.deepEqual({ ...app.heard[0], service: '' }, {
    service: '', 'rpc_trace_context.sofaTraceId': ID, 'rpc_trace_context.sofaRpcId': '0.2.1.1', 'rpc_trace_context.samp': 'true', 'rpc_trace_context.sofaPenAttrs': 'k=v&',
  });
  await receiver.trace(TRACE, 2);
  await client.reply(client.request('b'));
  const made = app.heard[1]!;
  assert.match(made['rpc_trace_context.sofaTraceId']!, /^7f000001\d+$/);
  assert.deepEqual([made['rpc_trace_context.sofaRpcId'], made['rpc_trace_context.samp']], ['0.1', 'true']);
  const spans = await receiver.trace(made['rpc_trace_context.sofaTraceId']!.padStart(32, '0'), 2);
  assert.equal(of(spans, 'sluice', 'server').parentId, '');
});

test('calls that are not recorded reach the host as they were sent', { timeout: 60_000 }, async (t) => {
  const receiver = await receive(t);
  const app = await host(t);
  const [port] = (await freePorts(1)) as [number];
  const sluice = await start(t, { config: config(port, app.port, `{exporter: {url: "${receiver.url}", interval: 50ms}, sampling: 0%}`) });
  const client = await openBolt(t, port);
  const sent = { new_rpc_trace_context: `tcid=${ID}&spid=0&sample=false&`, traceparent: `00-${TRACE}-b7ad6b7169203331-01` };
  await client.reply(client.request('a', { headers: sent }));
  await client.reply(client.request('b'));
  assert.deepEqual(app.heard.map((headers) => ({ ...headers, service: '' })), [{ service: '', ...sent }, { service: '' }]);
  await client.reply(client.request('c', { headers: { new_rpc_trace_context: sent.new_rpc_trace_context.replace('false', 'true') } }));
  assert.equal(await sluice.metric('sluice_trace_exchanges_total'), 0, 'SOFATracer sets its flag of itself');

  const [other] = (await freePorts(1)) as [number];
  const obeying = await start(t, { config: config(other, app.port, `{exporter: {url: "${receiver.url}", interval: 50ms}, trust: [sofa]}`) });
  const second = await openBolt(t, other);
  await second.reply(second.request('d', { headers: sent }));
  await second.reply(second.request('e', { headers: { new_rpc_trace_context: sent.new_rpc_trace_context.replace('false', 'true') } }));
  await receiver.trace(TRACE, 2);
  assert.deepEqual([await obeying.metric('sluice_trace_exchanges_total'), app.heard[3]!['new_rpc_trace_context']], [1, sent.new_rpc_trace_context]);
});

test('a listener of two protocols looks for the keys of each in its own requests', { timeout: 60_000 }, async (t) => {
  const receiver = await receive(t);
  const app = await host(t);
  const heard: (string | undefined)[] = [];
  const web = await serveHttp(t, (request, reply) => {
    heard.push(request.headers['traceparent'] as string | undefined);
    reply.end('ok');
  });
  const [port] = (await freePorts(1)) as [number];
  await start(t, {
    config: `
listeners: [{name: both, address: "127.0.0.1:${port}", protocol: [http1, bolt], routes: main}]
routes:
  - name: main
    routes:
      - {match: {service: {prefix: com.example}}, cluster: rpc}
      - {match: {prefix: /}, cluster: web}
clusters:
  - {name: rpc, hosts: "127.0.0.1:${app.port}", protocol: bolt}
  - {name: web, hosts: "127.0.0.1:${web.port}", protocol: http1}
tracing: {exporter: {url: "${receiver.url}", interval: 50ms}}
`,
  });
  const client = await openBolt(t, port);
  const other = 'a'.repeat(32);
  for (let i = 0; i < 2; i++) {
    await client.reply(client.request('x', { headers: { new_rpc_trace_context: `tcid=${ID}&spid=0.${i + 1}&` } }));
    assert.equal((await get(port, '/', { headers: { traceparent: `00-${other}-b7ad6b7169203331-01` } })).status, 200);
  }
  assert.deepEqual(app.heard.map((headers) => headers['new_rpc_trace_context']), [1, 2].map((i) => `tcid=${ID}&spid=0.${i}.1&pspid=0.${i}&sample=true&`));
  assert.equal((await receiver.trace(TRACE, 4)).length, 4);
  const clients = (await receiver.trace(other, 4)).filter((span) => span.kind === 'client').map((span) => `00-${other}-${span.spanId}-01`);
  assert.deepEqual(new Set(clients), new Set(heard));
});

// Traces of unmodified SOFARPC for Java, whose SOFATracer writes and reads the keys: over two proxies, recorded and not, in the server's own words.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { JavaProgram, prepareJava } from '../support/java.js';
import { receive, type ReceivedSpan } from '../support/otlp.js';
import { freePort, freePorts, start, until } from '../support/sluice.js';

const peers = prepareJava('test/peers/java/sofa', 'test/peers/java/sofa', 'test/peers/java/sofa-trace');
const skip = 'skip' in peers ? peers.skip : false;

const config = (port: number, host: number, tracing: string): string => `
access_log: {format: "%request_header_rpc_trace_context.sofaTraceId% %request_header_rpc_trace_context.sofaRpcId% %request_header_rpc_trace_context.samp%"}
listeners: [{name: bolt, address: "127.0.0.1:${port}", protocol: bolt, cluster: app}]
clusters: [{name: app, hosts: "127.0.0.1:${host}", protocol: bolt}]
tracing: ${tracing}
`;

const of = (spans: readonly ReceivedSpan[], service: string, kind: string): ReceivedSpan => {
  const found = spans.filter((span) => span.service === service && span.kind === kind);
  assert.equal(found.length, 1, `${kind} of ${service}`);
  return found[0]!;
};

describe('SOFARPC for Java', { skip, timeout: 240_000 }, () => {
  const running: JavaProgram[] = [];
  let client: JavaProgram;
  let server = 0;

  before(async () => {
    assert.ok(!('skip' in peers));
    server = await freePort();
    client = new JavaProgram(peers, 'com.example.SofaClient');
    running.push(client, new JavaProgram(peers, 'com.example.TraceServer', [server]));
    await Promise.all(running.map((peer) => peer.ready));
  });

  after(() => Promise.all(running.map((peer) => peer.stop())));

  test('sees its call as the grandchild of the one that its client made', async (t) => {
    const receiver = await receive(t);
    const [near, far] = (await freePorts(2)) as [number, number];
    const tracing = (name: string): string => `{exporter: {url: "${receiver.url}", interval: 50ms}, service_name: ${name}}`;
    await start(t, { config: config(far, server, tracing('far')) });
    const first = await start(t, { config: config(near, far, tracing('near')) });
    const [id, call, caller, sampled] = (await client.run('sync', near, 'x')).split(' ') as [string, string, string, string];
    assert.match(id, /^[0-9a-f]{8}\d{17,24}$/);
    assert.deepEqual([call, caller, sampled], ['0.1.1', '0.1', 'true']);
    const spans = await receiver.trace(id.padStart(32, '0'), 4);
    const chain = [of(spans, 'near', 'server'), of(spans, 'near', 'client'), of(spans, 'far', 'server'), of(spans, 'far', 'client')];
    assert.deepEqual(chain.map((span) => span.parentId), ['', ...chain.slice(0, 3).map((span) => span.spanId)]);
    assert.deepEqual([chain[0]!.name, chain[0]!.attributes['sofa.trace_id'], chain[3]!.attributes['sofa.rpc_id']], ['com.example.Hello:1.0/sayHello', id, '0.1.1']);
    await until('what the client wrote', () => first.lines.includes(`${id} 0 true`));
  });

  test('gets the call of its client as it was where it is not recorded', async (t) => {
    const receiver = await receive(t);
    const port = await freePort();
    await start(t, { config: config(port, server, `{exporter: {url: "${receiver.url}", interval: 50ms}, sampling: 0%}`) });
    const [id, call, , sampled] = (await client.run('sync', port, 'x')).split(' ');
    assert.match(id!, /^[0-9a-f]{8}\d{17,24}$/);
    assert.deepEqual([call, sampled], ['0', 'true'], 'as the client wrote it, though nobody decided so');
    assert.equal(receiver.spans.length, 0);
  });
});

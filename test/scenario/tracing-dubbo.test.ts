// Traces of Dubbo calls by their attachments: read from and written into bodies whose values hessian.js makes and reads.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bodyOf, idAt, reply, request, value, values } from '../stream/protocol/dubbo/frames.js';
import { open, serveRaw } from '../support/http.js';
import { receive } from '../support/otlp.js';
import { freePort, start } from '../support/sluice.js';

const T = '0af7651916cd43dd8448eb211c80319c';
const S = 'b7ad6b7169203331';

test('attachments carry the trace, in the form they came in; a call that is not recorded stays as it was', { timeout: 60_000 }, async (t) => {
  const receiver = await receive(t);
  const heard: Buffer[] = [];
  const host = await serveRaw(t, (socket) => {
    let rest = Buffer.alloc(0);
    socket.on('end', () => socket.end());
    socket.on('data', (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk]);
      while (rest.length >= 16 && rest.length >= 16 + rest.readInt32BE(12)) {
        const frame = rest.subarray(0, 16 + rest.readInt32BE(12));
        rest = rest.subarray(frame.length);
        heard.push(Buffer.from(frame));
        socket.write(reply(idAt(frame)));
      }
    });
  });
  const port = await freePort();
  await start(t, {
    config: `
listeners: [{name: dubbo, address: "127.0.0.1:${port}", protocol: dubbo, cluster: app}]
clusters: [{name: app, hosts: "127.0.0.1:${host.port}", protocol: dubbo}]
tracing: {exporter: {url: "${receiver.url}", interval: 50ms}}
`,
  });
  const client = await open(t, port);
  const call = async (id: bigint, attachments: Record<string, unknown>): Promise<Record<string, unknown>> => {
    client.send(request({ id, service: 'com.example.Orders', version: '1.0.0', method: 'find', args: [value('a')], attachments }));
    const head = await client.take(16);
    assert.equal(idAt(head), id);
    await client.take(head.readInt32BE(12));
    return values(bodyOf(heard.at(-1)!)).at(-1) as Record<string, unknown>;
  };
  const common = { path: 'com.example.Orders', interface: 'com.example.Orders', version: '1.0.0', timeout: '3000' };

  const w3c = await call(7n, { ...common, traceparent: `00-${T}-${S}-01`, tracestate: 'k=v' });
  const spans = await receiver.trace(T, 2);
  const server = spans.find((span) => span.kind === 'server')!;
  const called = spans.find((span) => span.kind === 'client')!;
  assert.deepEqual(w3c, { ...common, traceparent: `00-${T}-${called.spanId}-01`, tracestate: 'k=v' });
  assert.deepEqual([server.parentId, called.parentId, server.name, server.attributes['rpc.system'], server.attributes['sluice.protocol_status']], [S, server.spanId, 'com.example.Orders/find', 'apache_dubbo', 20]);

  const b3 = await call(8n, { ...common, 'X-B3-TraceId': S, 'X-B3-SpanId': S, 'X-B3-Sampled': '1' });
  const second = await receiver.trace(`0000000000000000${S}`, 2);
  assert.deepEqual([b3['X-B3-TraceId'], b3['X-B3-SpanId'], b3['X-B3-Sampled'], b3['traceparent']], [S, second.find((span) => span.kind === 'client')!.spanId, '1', undefined]);

  const plain = { ...common, traceparent: `00-${T}-${S}-00` };
  assert.deepEqual(await call(9n, plain), plain);
});

// Traces of gRPC calls between an unmodified grpc-js client and server: context in metadata, unary and streamed, and the status that trailers bring.
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import * as grpc from '@grpc/grpc-js';
import { receive, type ReceivedSpan } from '../support/otlp.js';
import { freePorts, start } from '../support/sluice.js';

const T = '0af7651916cd43dd8448eb211c80319c';
const S = 'b7ad6b7169203331';

const bytes = { requestSerialize: (b: Buffer) => b, requestDeserialize: (b: Buffer) => b, responseSerialize: (b: Buffer) => b, responseDeserialize: (b: Buffer) => b };
const service = {
  Echo: { path: '/shop.Orders/Echo', requestStream: false, responseStream: false, ...bytes },
  List: { path: '/shop.Orders/List', requestStream: false, responseStream: true, ...bytes },
  Fail: { path: '/shop.Orders/Fail', requestStream: false, responseStream: false, ...bytes },
};

/** A server that keeps the metadata of every call. */
async function serve(t: TestContext): Promise<{ port: number; heard: Record<string, unknown>[] }> {
  const heard: Record<string, unknown>[] = [];
  const server = new grpc.Server();
  server.addService(service, {
    Echo: (call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) => {
      heard.push(call.metadata.getMap());
      done(null, call.request);
    },
    List: (call: grpc.ServerWritableStream<Buffer, Buffer>) => {
      heard.push(call.metadata.getMap());
      for (let i = 0; i < 3; i++) call.write(call.request);
      call.end();
    },
    Fail: (call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) => {
      heard.push(call.metadata.getMap());
      done({ code: grpc.status.NOT_FOUND, details: 'as asked' });
    },
  });
  const port = await new Promise<number>((resolve, reject) => server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) => (error === null ? resolve(bound) : reject(error))));
  t.after(() => server.forceShutdown());
  return { port, heard };
}

const pick = (spans: readonly ReceivedSpan[], who: string, kind: string): ReceivedSpan => {
  const found = spans.filter((span) => span.service === who && span.kind === kind);
  assert.equal(found.length, 1, `${kind} of ${who}`);
  return found[0]!;
};

test('metadata carries the trace over two proxies; spans have service, method and status', { timeout: 90_000 }, async (t) => {
  const receiver = await receive(t);
  const server = await serve(t);
  const [near, far] = (await freePorts(2)) as [number, number];
  const config = (name: string, port: number, to: number): string => `
listeners: [{name: grpc, address: "127.0.0.1:${port}", protocol: http2, routes: main}]
routes: [{name: main, routes: [{name: all, cluster: app}]}]
clusters: [{name: app, hosts: "127.0.0.1:${to}", protocol: http2}]
tracing: {exporter: {url: "${receiver.url}", interval: 50ms}, service_name: ${name}}
`;
  await start(t, { config: config('far', far, server.port) });
  await start(t, { config: config('near', near, far) });
  const Client = grpc.makeGenericClientConstructor(service, 'Orders');
  const client = new Client(`127.0.0.1:${near}`, grpc.credentials.createInsecure()) as unknown as {
    Echo(body: Buffer, metadata: grpc.Metadata, done: (error: grpc.ServiceError | null, reply?: Buffer) => void): void;
    Fail(body: Buffer, metadata: grpc.Metadata, done: (error: grpc.ServiceError | null, reply?: Buffer) => void): void;
    List(body: Buffer, metadata: grpc.Metadata): grpc.ClientReadableStream<Buffer>;
    close(): void;
  };
  t.after(() => client.close());
  const metadata = (entries: Record<string, string>): grpc.Metadata => {
    const made = new grpc.Metadata();
    for (const [key, value] of Object.entries(entries)) made.set(key, value);
    return made;
  };

  const reply = await new Promise<Buffer>((resolve, reject) => client.Echo(Buffer.from('hello'), metadata({ traceparent: `00-${T}-${S}-01` }), (error, body) => (error === null ? resolve(body!) : reject(error))));
  assert.equal(reply.toString(), 'hello');
  const spans = await receiver.trace(T, 4);
  const chain = [pick(spans, 'near', 'server'), pick(spans, 'near', 'client'), pick(spans, 'far', 'server'), pick(spans, 'far', 'client')];
  assert.deepEqual(chain.map((span) => span.parentId), [S, ...chain.slice(0, 3).map((span) => span.spanId)]);
  assert.equal(server.heard[0]!['traceparent'], `00-${T}-${chain[3]!.spanId}-01`);
  for (const span of chain) {
    assert.deepEqual([span.name, span.attributes['rpc.system'], span.attributes['rpc.service'], span.attributes['rpc.method'], span.status], ['shop.Orders/Echo', 'grpc', 'shop.Orders', 'Echo', 'unset']);
    assert.ok([0, undefined].includes(span.attributes['rpc.grpc.status_code'] as number | undefined));
  }

  let pieces = 0;
  await new Promise((resolve, reject) => client.List(Buffer.from('x'), metadata({ b3: `${S}${S}-${S}-1` })).on('data', () => pieces++).on('error', reject).on('end', resolve));
  assert.equal(pieces, 3);
  const streamed = await receiver.trace(`${S}${S}`, 4);
  assert.match(String(server.heard[1]!['b3']), new RegExp(`^${S}${S}-${pick(streamed, 'far', 'client').spanId}-1-`));
  assert.equal(server.heard[1]!['traceparent'], undefined);

  const failed = await new Promise<grpc.ServiceError | null>((resolve) => client.Fail(Buffer.from('x'), metadata({ traceparent: `00-${T.split('').reverse().join('')}-${S}-01` }), resolve));
  assert.equal(failed?.code, grpc.status.NOT_FOUND);
  const wrong = await receiver.trace(T.split('').reverse().join(''), 4);
  assert.deepEqual([pick(wrong, 'near', 'server').attributes['rpc.grpc.status_code'], pick(wrong, 'near', 'client').status], [grpc.status.NOT_FOUND, 'error']);
});

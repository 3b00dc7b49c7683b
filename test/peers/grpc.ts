// A gRPC service of @grpc/grpc-js, its client, and the ways to it: one Sluice, two in a row, two with mutual TLS between them.
import * as grpc from '@grpc/grpc-js';
import { resolve } from 'node:path';
import type { TestContext } from 'node:test';
import { freePorts, start, type Sluice } from '../support/sluice.js';

const raw = { requestSerialize: (b: Buffer) => b, requestDeserialize: (b: Buffer) => b, responseSerialize: (b: Buffer) => b, responseDeserialize: (b: Buffer) => b };
const definition = {
  unary: { path: '/test.Echo/Unary', requestStream: false, responseStream: false, ...raw },
  collect: { path: '/test.Echo/Collect', requestStream: true, responseStream: false, ...raw },
  count: { path: '/test.Echo/Count', requestStream: false, responseStream: true, ...raw },
  chat: { path: '/test.Echo/Chat', requestStream: true, responseStream: true, ...raw },
} as const;

export interface EchoClient extends grpc.Client {
  unary(message: Buffer, metadata: grpc.Metadata, options: grpc.CallOptions, done: (error: grpc.ServiceError | null, reply?: Buffer) => void): grpc.ClientUnaryCall;
  collect(metadata: grpc.Metadata, options: grpc.CallOptions, done: (error: grpc.ServiceError | null, reply?: Buffer) => void): grpc.ClientWritableStream<Buffer>;
  count(message: Buffer, metadata: grpc.Metadata, options: grpc.CallOptions): grpc.ClientReadableStream<Buffer>;
  chat(metadata: grpc.Metadata, options: grpc.CallOptions): grpc.ClientDuplexStream<Buffer, Buffer>;
}

const Client = grpc.makeGenericClientConstructor(definition, 'Echo') as unknown as new (address: string, credentials: grpc.ChannelCredentials, options: object) => EchoClient;

export const BIG = 32 * 1024 * 1024;
const sizes = { 'grpc.max_receive_message_length': BIG, 'grpc.max_send_message_length': BIG };

export interface Service {
  readonly port: number;
  readonly server: grpc.Server;
  /** Methods of calls that their client gave up. */
  readonly cancelled: string[];
  calls: number;
}

/**
 * Unary and Chat echo; Collect answers the number of bytes it got; Count sends as many messages as its request says, and then waits with
 * `wait`. Metadata of a call: `fail` is a status to end with (with details in trailers), `sleep` ms before it answers, `silent` never to answer.
 */
export async function serve(t: TestContext, at = 0): Promise<Service> {
  const server = new grpc.Server(sizes);
  const cancelled: string[] = [];
  const service = { port: 0, server, cancelled, calls: 0 };
  const failure = (call: { metadata: grpc.Metadata }): Partial<grpc.StatusObject> | null => {
    const [code] = call.metadata.get('fail');
    if (code === undefined) return null;
    const metadata = new grpc.Metadata();
    metadata.set('detail-bin', Buffer.from([0, 255, 10, 13]));
    metadata.set('why', 'asked to');
    return { code: Number(code), details: 'asked to fail: 100% \u00fc', metadata };
  };
  const mirror = (call: { metadata: grpc.Metadata; sendMetadata: (metadata: grpc.Metadata) => void }): void => {
    const back = new grpc.Metadata();
    for (const name of ['x-text', 'x-many', 'x-blob-bin']) for (const value of call.metadata.get(name)) back.add(name, value);
    call.sendMetadata(back);
  };
  const later = (call: { metadata: grpc.Metadata; on(event: 'cancelled', run: () => void): unknown }, name: string, run: () => void): void => {
    service.calls++;
    call.on('cancelled', () => cancelled.push(name));
    if (call.metadata.get('silent').length > 0) return;
    const [ms] = call.metadata.get('sleep');
    if (ms === undefined) run();
    else setTimeout(run, Number(ms));
  };
  server.addService(definition, {
    unary(call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) {
      later(call, 'unary', () => {
        const failed = failure(call);
        if (failed !== null) return done(failed);
        mirror(call);
        const trailers = new grpc.Metadata();
        trailers.set('x-bytes', String(call.request.length));
        done(null, call.request, trailers);
      });
    },
    collect(call: grpc.ServerReadableStream<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) {
      let bytes = 0;
      later(call, 'collect', () => {});
      call.on('data', (piece: Buffer) => (bytes += piece.length));
      call.on('end', () => done(failure(call), Buffer.from(String(bytes))));
    },
    count(call: grpc.ServerWritableStream<Buffer, Buffer>) {
      later(call, 'count', () => {
        mirror(call);
        for (let i = 0; i < Number(call.request.toString()); i++) call.write(Buffer.from(`message ${i}`));
        if (call.metadata.get('wait').length > 0) return;
        const failed = failure(call);
        if (failed === null) call.end();
        else call.emit('error', failed);
      });
    },
    chat(call: grpc.ServerDuplexStream<Buffer, Buffer>) {
      later(call, 'chat', () => {});
      call.on('data', (piece: Buffer) => call.write(piece));
      call.on('end', () => call.end());
    },
  });
  service.port = await new Promise<number>((done, failed) => server.bindAsync(`127.0.0.1:${at}`, grpc.ServerCredentials.createInsecure(), (error, port) => (error === null ? done(port) : failed(error))));
  t.after(() => server.forceShutdown());
  return service;
}

/** `retries`: what grpc-js does by itself, which hides failures; also with what a server that went away did not look at. */
export function connect(t: TestContext, port: number, retries = false): EchoClient {
  const client = new Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), { ...sizes, 'grpc.enable_retries': retries ? 1 : 0, 'grpc.use_local_subchannel_pool': 1 });
  t.after(() => client.close());
  return client;
}

export const ways = ['one hop', 'two hops', 'two hops with mutual TLS'] as const;
export type Way = (typeof ways)[number];

const certs = resolve('test/support/certs');
/** Options of the routes: retry is on, and calls of this service may be repeated. */
const ROUTE = 'idempotent: true, retry: {on: [reset, connect-failure], attempts: 3}';

/** Starts what the way needs in front of `hosts`; the port for clients. */
export async function way(t: TestContext, kind: Way, hosts: readonly number[]): Promise<{ port: number; sluices: Sluice[] }> {
  const config = (port: number, to: string, tls: 'none' | 'in' | 'out'): string => `
listeners:
  - name: in
    address: 127.0.0.1:${port}
    protocol: http2
    routes: main${tls === 'in' ? `\n    tls: {client_auth: required, ca: ${certs}/ca.pem, certificates: [{cert: ${certs}/localhost.pem, key: ${certs}/localhost.key}]}` : ''}
routes: [{name: main, routes: [{cluster: app, ${ROUTE}}]}]
clusters:
  - name: app
    protocol: http2
    hosts: ${to}${tls === 'out' ? `\n    discovery: {type: dns, family: v4}\n    tls: {ca: ${certs}/ca.pem, cert: ${certs}/client.pem, key: ${certs}/client.key}` : ''}
drain_timeout: 10s
`;
  const [first, second] = (await freePorts(2)) as [number, number];
  const last = hosts.map((port) => `127.0.0.1:${port}`).join(',');
  if (kind === 'one hop') return { port: first, sluices: [await start(t, { config: config(first, last, 'none') })] };
  const secure = kind === 'two hops with mutual TLS';
  const behind = await start(t, { config: config(second, last, secure ? 'in' : 'none') });
  const before = await start(t, { config: config(first, `${secure ? 'localhost' : '127.0.0.1'}:${second}`, secure ? 'out' : 'none') });
  return { port: first, sluices: [before, behind] };
}

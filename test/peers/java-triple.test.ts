// Unmodified Dubbo 3.3 over Triple: calls and streams through one proxy and two, routing by service, method, group and version, faults, drains; and grpc-js with it.
import * as grpc from '@grpc/grpc-js';
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import protobuf from 'protobufjs';
import { JavaProgram, prepareJava } from '../support/java.js';
import { freePort, start, until, type Sluice } from '../support/sluice.js';
import { way, ways } from './grpc.js';

const peers = prepareJava('test/peers/java/dubbo', 'test/peers/java/tri/dubbo', 'test/peers/java/dubbo/Refusal.java');
const skip = 'skip' in peers ? peers.skip : false;

const MIB = 1024 * 1024;
/** Dubbo replaces 127.0.0.1 in a provider's address by the address of the machine; a name that only the JVM knows stays what it is. */
const NAME = 'sluice.test';
let folder = '';
const running: JavaProgram[] = [];

function java(main: string, args: ReadonlyArray<string | number> = []): JavaProgram {
  assert.ok(!('skip' in peers));
  const opened = ['lang', 'math', 'util'].flatMap((name) => ['--add-opens', `java.base/java.${name}=ALL-UNNAMED`]);
  const program = new JavaProgram(peers, `com.example.${main}`, args, [`-Djdk.net.hosts.file=${join(folder, 'hosts')}`, ...opened]);
  running.push(program);
  return program;
}

interface Server {
  readonly port: number;
  readonly program: JavaProgram;
}

async function serve(name: string): Promise<Server> {
  const port = await freePort();
  const program = java('TripleServer', [port, name, 'Talk/gray/1.0.0,Talk/blue/1.0.0,Talk//2.0.0,Proto//']);
  await program.ready;
  return { port, program };
}

interface Call {
  readonly service?: string;
  readonly group?: string;
  readonly version?: string;
  readonly attachments?: string;
  /** Further parameters of the provider's URL. */
  readonly options?: string;
}

let client: JavaProgram;
let server: Server;

/** Without options a client asks once: its own second tries would hide what a first one met. */
function call(port: number, method: string, argument: string | number, { service = 'Talk', group = 'blue', version = '1.0.0', attachments = '', options = '' }: Call = {}): Promise<string> {
  return client.run('call', `tri://${NAME}:${port}?retries=0&timeout=20000${options}`, service, group, version, attachments, method, argument);
}

const raw = { requestSerialize: (b: Buffer) => b, requestDeserialize: (b: Buffer) => b, responseSerialize: (b: Buffer) => b, responseDeserialize: (b: Buffer) => b };
const definition = {
  greet: { path: '/com.example.Proto/greet', requestStream: false, responseStream: false, ...raw },
  echo: { path: '/com.example.Proto/echo', requestStream: false, responseStream: false, ...raw },
  count: { path: '/com.example.Proto/count', requestStream: false, responseStream: true, ...raw },
} as const;

type Unary = (request: Buffer, options: grpc.CallOptions, done: (error: grpc.ServiceError | null, reply?: Buffer) => void) => void;
const GrpcClient = grpc.makeGenericClientConstructor(definition, 'Proto') as unknown as new (...args: ConstructorParameters<typeof grpc.Client>) => grpc.Client & {
  greet: Unary;
  echo: Unary;
  count: (request: Buffer, options: grpc.CallOptions) => grpc.ClientReadableStream<Buffer>;
};

/** The messages with one field that protobuf has for plain values. */
const wrappers = protobuf.Root.fromJSON(protobuf.common.get('google/protobuf/wrappers.proto')!);
const message = (type: string, value: unknown): Buffer => Buffer.from(wrappers.lookupType(`google.protobuf.${type}`).encode({ value }).finish());
const value = (type: string, bytes: Buffer): unknown => (wrappers.lookupType(`google.protobuf.${type}`).decode(bytes) as unknown as { value: unknown }).value;

const proto: Call = { service: 'Proto', group: '', version: '' };

/** A listener with these routes, to the clusters `a` and `b`. */
async function routed(t: TestContext, routes: string, a: number, b: number): Promise<{ sluice: Sluice; port: number }> {
  const port = await freePort();
  const sluice = await start(t, {
    config: `
access_log: {format: "%operation% %response_code% %reason% %upstream_cluster%"}
listeners: [{name: in, address: "127.0.0.1:${port}", protocol: http2, routes: main}]
routes: [{name: main, routes: [${routes}]}]
clusters:
  - {name: a, protocol: http2, hosts: "127.0.0.1:${a}"}
  - {name: b, protocol: http2, hosts: "127.0.0.1:${b}"}
`,
  });
  return { sluice, port };
}

/** A listener to one cluster of these ports; `route` are further lines of the route, `cluster` of the cluster. */
async function through(t: TestContext, ports: readonly number[], route = '', cluster = ''): Promise<{ sluice: Sluice; port: number }> {
  const port = await freePort();
  const sluice = await start(t, {
    config: `
access_log: {format: "%response_code% %reason%"}
listeners: [{name: in, address: "127.0.0.1:${port}", protocol: http2, routes: main}]
routes: [{name: main, routes: [{cluster: servers${route}}]}]
clusters: [{name: servers, protocol: http2, hosts: "${ports.map((p) => `127.0.0.1:${p}`).join(',')}"${cluster}}]
`,
  });
  return { sluice, port };
}

/** Calls, 16 at a time: `before` of them, then more from `at` on until what it waits for is over, and `after` more. Every one must be answered, by the call it belongs to, or fail with `lost`. */
async function load(to: number | string, before: number, after: number, at: () => Promise<unknown>, lost: RegExp | null = null): Promise<Map<string, number>> {
  const url = typeof to === 'string' ? to : `tri://${NAME}:${to}?retries=0&timeout=20000`;
  const counts = new Map<string, number>();
  let next = 0;
  let end = 100_000;
  const lanes = Array.from({ length: 16 }, async () => {
    while (next < end) {
      const i = next++;
      if (i === before) void at().then(() => (end = next + after));
      const said = await client.run('call', url, 'Talk', 'blue', '1.0.0', '', 'hello', `n${i}`).catch((error: Error) => {
        if (lost?.test(error.message) !== true) throw error;
        return '';
      });
      if (said === '') continue;
      const found = /^hello n(\d+) from (\w+)/.exec(said);
      assert.equal(found?.[1], String(i), 'the reply belongs to this call');
      counts.set(found![2]!, (counts.get(found![2]!) ?? 0) + 1);
    }
  });
  await Promise.all(lanes);
  return counts;
}

describe('Triple', { skip, timeout: 240_000 }, () => {
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'sluice-triple-'));
    writeFileSync(join(folder, 'hosts'), `127.0.0.1 ${NAME} ${hostname()} localhost\n`);
    client = java('TripleClient');
    server = await serve('main');
    await client.ready;
  });

  after(async () => {
    await Promise.all(running.map((program) => program.stop()));
    if (folder !== '') rmSync(folder, { recursive: true, force: true });
  });

  for (const kind of ways) {
    test(`${kind}: calls, exceptions, streams, of objects and of protobuf`, async (t) => {
      const { port, sluices } = await way(t, kind, [server.port]);
      assert.equal(await call(port, 'hello', 'Ann'), 'hello Ann from main blue/1.0.0');
      assert.equal(await call(port, 'hello', 'Bob', { group: '', version: '2.0.0' }), 'hello Bob from main /2.0.0');
      assert.equal(await call(port, 'greet', 'Cid', proto), 'hello Cid from main /');
      assert.match(await call(port, 'attachments', '', { attachments: 'x-env=test;Name=naïve' }), /(^|,)Name=naïve,.*x-env=test(,|$)/);
      await assert.rejects(call(port, 'fail', 'as asked'), /^Error: IllegalStateException: as asked$/);
      await assert.rejects(call(port, 'refuse', 'no, thanks'), /^Error: Refusal: no, thanks$/);
      await assert.rejects(call(port, 'greet', 'nobody', proto), /UNKNOWN : nobody is greeted/);
      assert.equal(await call(port, 'echo', 3 * MIB), 'same');
      const many = await Promise.all(Array.from({ length: 50 }, (_, i) => call(port, 'hello', i)));
      assert.deepEqual(many, Array.from({ length: 50 }, (_, i) => `hello ${i} from main blue/1.0.0`));
      assert.equal(await call(port, 'count', 500), '500 messages, the last: 499 from main blue/1.0.0');
      await assert.rejects(call(port, 'count', '5 fail'), /after 5 messages <- StatusRpcException: UNKNOWN : behind 5/);
      assert.equal(await call(port, 'chat', 20), '20 messages, the last: turn 19 at main blue/1.0.0');
      const left = async (): Promise<number> => (await server.program.run('ended')).split(',').filter((one) => one === 'count').length;
      const before = await left();
      assert.equal(await call(port, 'cancel', 7), 'left after 7');
      await until('the server hears that the client left the stream', async () => (await left()) > before, 30_000);
      for (const sluice of sluices) await until('nothing runs', async () => (await sluice.metric('sluice_cluster_active_requests')) === 0);
    });
  }

  test('service, method, group, version and attachments choose the cluster; headers are edited', async (t) => {
    const other = await serve('other');
    const routes = `
      {match: {service: com.example.Proto}, cluster: b},
      {match: {service: com.example.Talk, version: 2.0.0}, cluster: b},
      {match: {service: com.example.Talk, method: refuse}, direct_response: {status: 404, body: "not to be refused"}},
      {match: {header.x-tenant: moved}, cluster: b, request_headers: {set: {tri-service-group: gray, x-new: added}, remove: [x-tenant]}},
      {match: {group: gray}, cluster: b},
      {match: {header.x-env: {prefix: te}}, cluster: b},
      {match: {service: {prefix: com.example.}, group: blue}, cluster: a}`;
    const { sluice, port } = await routed(t, routes, server.port, other.port);
    const who = async (options: Call): Promise<string> => (await call(port, 'hello', 'x', options)).replace('hello x from ', '');
    assert.equal(await who({}), 'main blue/1.0.0');
    assert.equal(await who({ group: 'gray' }), 'other gray/1.0.0');
    assert.equal(await who({ group: '', version: '2.0.0' }), 'other /2.0.0');
    assert.equal(await who({ attachments: 'x-env=test' }), 'other blue/1.0.0');
    assert.equal(await who({ attachments: 'x-tenant=moved' }), 'other gray/1.0.0');
    assert.equal(await call(port, 'greet', 'x', proto), 'hello x from other /');
    const edited = await call(port, 'attachments', '', { attachments: 'x-tenant=moved' });
    assert.match(edited, /x-new=added/);
    assert.doesNotMatch(edited, /x-tenant/);
    assert.equal(await call(port, 'count', 3, { group: 'gray' }), '3 messages, the last: 2 from other gray/1.0.0');
    await assert.rejects(call(port, 'refuse', 'x'), /UNIMPLEMENTED : not to be refused/);
    await assert.rejects(call(port, 'hello', 'x', { group: 'green' }), /UNIMPLEMENTED : no route matches/);
    await until('a line for each', () => sluice.lines.length === 10, 30_000);
    assert.deepEqual(sluice.lines.slice(8), ['POST /com.example.Talk/refuse 404 - -', 'POST /com.example.Talk/hello 404 no-route -']);
    await other.program.stop();
  });

  test('what the proxy ends arrives as an error that says why: timeouts of the client, the try and the route, hosts that refuse', async (t) => {
    const routes = `
      {match: {header.x-hurry: {present: true}}, cluster: a, retry: {on: [try-timeout], attempts: 1, per_try_timeout: 400ms}},
      {match: {service: com.example.Talk, method: count, group: blue}, cluster: a, timeout: 400ms},
      {match: {group: gray}, cluster: b},
      {cluster: a}`;
    const { sluice, port } = await routed(t, routes, server.port, await freePort());
    const began = Date.now();
    await assert.rejects(call(port, 'slow', 15_000, { options: '&timeout=600' }), /timeout|DEADLINE_EXCEEDED/);
    // The client says nothing when it gives up.
    await until('the proxy gave it up too', () => sluice.lines.includes('POST /com.example.Talk/slow 504 request-timeout a'), 30_000);
    await assert.rejects(call(port, 'slow', 15_000, { attachments: 'x-hurry=1' }), /DEADLINE_EXCEEDED/);
    await until('the server hears of both', async () => (await server.program.run('ended')).split(',').filter((one) => one === 'slow 15000').length === 2, 30_000);
    assert.ok(Date.now() - began < 14_000, 'before it was done');
    await assert.rejects(call(port, 'count', '0 wait'), /after 0 messages <- StatusRpcException: DEADLINE_EXCEEDED/);
    await assert.rejects(call(port, 'hello', 'x', { group: 'gray' }), /UNAVAILABLE : host 127\.0\.0\.1:\d+ refused the connection/);
    await assert.rejects(call(port, 'count', '3', { group: 'gray' }), /after 0 messages <- StatusRpcException: UNAVAILABLE : host 127\.0\.0\.1:\d+ refused the connection/);
    assert.equal(await call(port, 'hello', 'again'), 'hello again from main blue/1.0.0');
  });

  // A server of Triple that stops in good order sends no go-away, and cuts what runs.
  for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
    test(`a server that ends half way by ${signal}: calls that may be repeated are, and none fails`, async (t) => {
      const doomed = await serve('doomed');
      const { sluice, port } = await through(t, [doomed.port, server.port], ', idempotent: true, retry: {on: [connect-failure, reset], attempts: 4}', ', breaker: {retry_budget: {percent: 100, min: 100}}');
      const counts = await load(port, 200, 100, () => {
        doomed.program.kill(signal);
        return until('calls are tried again', async () => (await sluice.metric('sluice_cluster_retries_total')) > 0, 60_000);
      });
      assert.deepEqual([...counts.keys()].sort(), ['doomed', 'main'], 'both took part');
      assert.equal(await sluice.metric('sluice_listener_reasons_total'), 0, 'no exchange ended badly');
      await doomed.program.stop();
    });
  }

  test('a server that hangs half way: what it does not answer is asked elsewhere, and none fails', async (t) => {
    const doomed = await serve('doomed');
    const { sluice, port } = await through(
      t,
      [doomed.port, server.port],
      ', idempotent: true, retry: {on: [connect-failure, reset, try-timeout], attempts: 6, per_try_timeout: 1500ms}',
      ', breaker: {retry_budget: {percent: 100, min: 100}}, health_check: {type: http2, options: {answer: any}, interval: 500ms, timeout: 1s, retry_interval: 200ms, unhealthy_threshold: 1}',
    );
    const counts = await load(port, 150, 150, () => Promise.resolve(doomed.program.kill('SIGSTOP')));
    assert.deepEqual([...counts.keys()].sort(), ['doomed', 'main'], 'both took part');
    assert.equal(await sluice.metric('sluice_listener_reasons_total'), 0, 'no exchange ended badly');
    assert.ok((await sluice.metric('sluice_cluster_retries_total')) > 0);
    await doomed.program.stop();
  });

  test('a client with two providers leaves the proxy that drains; every call that came there is answered', async (t) => {
    const one = await through(t, [server.port]);
    const two = await through(t, [server.port]);
    const url = [one, two].map(({ port }) => `tri://${NAME}:${port}?retries=2&timeout=20000`).join(';');
    const slow = call(one.port, 'slow', 2500);
    await until('it runs', async () => (await one.sluice.metric('sluice_cluster_active_requests')) === 1, 30_000);
    const drain = (): Promise<unknown> => {
      one.sluice.kill('SIGTERM');
      return one.sluice.exited;
    };
    // Dubbo closes its side of a connection as soon as it reads the go-away, and loses a call that it is just about to write there.
    await load(url, 200, 100, drain, /ClosedChannelException|UNAVAILABLE : upstream \S+ is unavailable/);
    assert.equal(await slow, 'main blue/1.0.0');
    assert.equal(await one.sluice.exited, 0);
    for (const { sluice } of [one, two]) assert.deepEqual(sluice.lines.filter((line) => line !== '200 -'), [], 'whatever came was served');
    assert.ok(one.sluice.lines.length > 50 && two.sluice.lines.length > 50);
  });

  test('a client of grpc-js and a Java server, a Java client and a server of grpc-js', async (t) => {
    const { port } = await through(t, [server.port]);
    const js = new GrpcClient(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
    t.after(() => js.close());
    const ask = (method: 'greet' | 'echo', request: Buffer): Promise<Buffer> => new Promise((done, failed) => {
      js[method](request, { deadline: Date.now() + 30_000 }, (error, reply) => (error === null ? done(reply!) : failed(error)));
    });
    assert.equal(value('StringValue', await ask('greet', message('StringValue', 'Ann'))), 'hello Ann from main /');
    const bytes = Buffer.alloc(3 * MIB, 'some bytes, ');
    assert.ok(bytes.equals(value('BytesValue', await ask('echo', message('BytesValue', bytes))) as Buffer));
    await assert.rejects(ask('greet', message('StringValue', 'nobody')), { code: grpc.status.UNKNOWN, details: 'nobody is greeted' });
    const numbers: unknown[] = [];
    for await (const one of js.count(message('Int32Value', 300), { deadline: Date.now() + 30_000 })) numbers.push(value('StringValue', one as Buffer));
    assert.deepEqual(numbers, Array.from({ length: 300 }, (_, i) => `number ${i}`));

    const host = new grpc.Server();
    t.after(() => host.forceShutdown());
    host.addService({ greet: definition.greet }, {
      greet(asked: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) {
        const guest = String(value('StringValue', asked.request));
        if (guest === 'nobody') done({ code: grpc.status.NOT_FOUND, details: 'no such guest' });
        else done(null, message('StringValue', `hello ${guest} for ${asked.metadata.get('x-env').join()}`));
      },
    });
    const hostPort = await new Promise<number>((done, failed) => host.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) => (error === null ? done(bound) : failed(error))));
    const back = await through(t, [hostPort]);
    assert.equal(await call(back.port, 'greet', 'Bob', { ...proto, attachments: 'x-env=test' }), 'hello Bob for test');
    await assert.rejects(call(back.port, 'greet', 'nobody', proto), /NOT_FOUND : no such guest/);
  });
});

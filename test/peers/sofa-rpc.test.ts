// Unmodified sofa-rpc-node clients and servers through a Bolt listener: balanced, one server killed half way, no failed call.
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { after, test, type TestContext } from 'node:test';
import { freePorts, start } from '../support/sluice.js';

interface Consumer {
  ready(): Promise<void>;
  invoke(method: string, args: unknown[], options?: object): Promise<unknown>;
  close(): void;
}
interface RpcClient {
  createConsumer(options: object): Consumer;
  close(): Promise<void>;
}
const require = createRequire(resolve('package.json'));
const { RpcClient } = (require('sofa-rpc-node') as { client: { RpcClient: new (options: object) => RpcClient } }).client;

const quiet = { info() {}, warn() {}, error() {}, debug() {} };

/** A sofa-rpc-node server in a process of its own, so that it can be killed; its replies name its port. */
async function serve(t: TestContext, port: number): Promise<ChildProcess> {
  const script = `
    const { RpcServer } = require('sofa-rpc-node').server;
    const logger = { info() {}, warn() {}, error() {}, debug() {} };
    const server = new RpcServer({ logger, port: ${port}, autoServe: false });
    server.addService({ interfaceName: 'com.example.Hello' }, {
      async sayHello(name) { return 'hello ' + name + ' from ${port}'; },
      async slow(ms) { await new Promise((r) => setTimeout(r, ms)); return ${port}; },
      async fail() { throw new Error('as asked'); },
    });
    server.start().then(() => console.log('up'));
  `;
  const child = spawn(process.execPath, ['-e', script], { cwd: resolve('.'), stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  await Promise.race([once(child.stdout!, 'data'), once(child, 'exit').then(() => assert.fail('the Node server ended'))]);
  return child;
}

async function consumer(t: TestContext, port: number): Promise<Consumer> {
  const client = new RpcClient({ logger: quiet });
  const made = client.createConsumer({ interfaceName: 'com.example.Hello', serverHost: `127.0.0.1:${port}` });
  await made.ready();
  t.after(async () => {
    made.close();
    await client.close();
  });
  return made;
}

const config = (port: number, servers: readonly number[], more = ''): string => `
listeners:
  - name: bolt
    address: 127.0.0.1:${port}
    protocol: bolt
    routes: main
routes:
  - name: main
    routes:
      - name: hello
        match: {service: {prefix: com.example.Hello}}
        cluster: servers
        idempotent: true
        retry: {on: [connect-failure, reset], attempts: 4}
clusters:
  - name: servers
    hosts: ${servers.map((p) => `127.0.0.1:${p}`).join(',')}
    health_check: {type: bolt, interval: 500ms, retry_interval: 200ms, unhealthy_threshold: 1}
    ${more}
    protocol: bolt
`;

test('calls are balanced over the servers; killing one of them in the middle fails no call', { timeout: 60_000 }, async (t) => {
  const [port, ...servers] = await freePorts(4);
  const processes = await Promise.all(servers.map((p) => serve(t, p)));
  const sluice = await start(t, { config: config(port!, servers) });
  const hello = await consumer(t, port!);
  const counts = new Map<string, number>();
  let done = 0;
  const total = 600;
  const call = async (i: number): Promise<void> => {
    const said = (await hello.invoke('sayHello', [`n${i}`], { responseTimeout: 5000 })) as string;
    const found = /^hello n(\d+) from (\d+)$/.exec(said);
    assert.ok(found, said);
    assert.equal(found[1], String(i), 'the reply belongs to this call');
    counts.set(found[2]!, (counts.get(found[2]!) ?? 0) + 1);
    done++;
  };
  let next = 0;
  const lanes = Array.from({ length: 16 }, async () => {
    while (next < total) {
      const i = next++;
      if (i === total / 2) processes[0]!.kill('SIGKILL');
      await call(i);
    }
  });
  await Promise.all(lanes);
  assert.equal(done, total);
  assert.equal(counts.size, 3, 'every server took part');
  for (const p of servers.slice(1)) assert.ok(counts.get(String(p))! > total / 4, `${p}: ${counts.get(String(p))}`);
  assert.equal(await sluice.metric('sluice_listener_requests_total', 'listener="bolt"'), total);
  assert.equal(await sluice.metric('sluice_listener_reasons_total'), 0, 'no exchange ended badly');
  assert.equal(await sluice.metric('sluice_cluster_active_requests'), 0);
  sluice.kill('SIGTERM');
  assert.equal(await sluice.exited, 0);
});

test('errors of the server and of the proxy reach the client as errors, and a slow call times out by the client\'s own limit', { timeout: 60_000 }, async (t) => {
  const [port, server, dead] = await freePorts(3);
  await serve(t, server!);
  await start(t, { config: config(port!, [server!]) });
  const hello = await consumer(t, port!);
  await assert.rejects(hello.invoke('fail', [], { responseTimeout: 3000 }), /as asked/);
  const began = Date.now();
  await assert.rejects(hello.invoke('slow', [5000], { responseTimeout: 300 }));
  assert.ok(Date.now() - began < 2000);
  assert.equal(await hello.invoke('sayHello', ['again'], { responseTimeout: 3000 }), `hello again from ${server}`);

  const [other] = await freePorts(1);
  await start(t, { config: config(other!, [dead!]).replace(/health_check.*/, '') });
  const lost = await consumer(t, other!);
  await assert.rejects(lost.invoke('sayHello', ['x'], { responseTimeout: 3000 }), /refused the connection/);
});

test('a client without a route is told which condition failed', { timeout: 30_000 }, async (t) => {
  const [port, server] = await freePorts(2);
  await serve(t, server!);
  await start(t, { config: config(port!, [server!]).replace('com.example.Hello', 'com.example.Other') });
  const hello = await consumer(t, port!);
  await assert.rejects(hello.invoke('sayHello', ['x'], { responseTimeout: 3000 }), /no route matches/);
});

// The client library leaves timers behind that would keep this process for half a minute.
after(() => setTimeout(() => process.exit(), 1000).unref());

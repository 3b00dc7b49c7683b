// Unmodified Java peers, SOFARPC 5.13.2 over SOFABolt 1.6.10, through a Bolt listener: every kind of call, faults with their reasons, heartbeats, drain, pushes.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import { parse, HEARTBEAT, REPLY } from '../scenario/bolt-peer.js';
import { JavaProgram, prepareJava } from '../support/java.js';
import { freePort, freePorts, start, until, type Sluice } from '../support/sluice.js';

interface Load {
  readonly good: Readonly<Record<string, number>>;
  readonly bad: Readonly<Record<string, number>>;
}

const require = createRequire(resolve('package.json'));
const peers = prepareJava('test/peers/java/sofa');
const skip = 'skip' in peers ? peers.skip : false;
const java = (main: string, args: ReadonlyArray<string | number> = [], options: readonly string[] = []): JavaProgram => {
  assert.ok(!('skip' in peers));
  return new JavaProgram(peers, `com.example.${main}`, args, options);
};

const MIB = 1024 * 1024;
/** SOFABolt asks after this time without a byte, and closes after three questions without an answer. */
const HEARTBEATS = '-Dbolt.tcp.heartbeat.interval=300';
/** While more than this waits to be written, a client of SOFABolt refuses further calls by itself. */
const WATERMARKS = ['-Dbolt.netty.buffer.high.watermark=67108864', '-Dbolt.netty.buffer.low.watermark=33554432'];

/** A client, two SOFARPC servers and a SOFABolt pair serve all tests; what a test stops it starts for itself. */
let sofa: JavaProgram;
let bolt: JavaProgram;
let boltHost: JavaProgram;
let serverA = 0;
let serverB = 0;
let boltServer = 0;
const running: JavaProgram[] = [];

/** A listener and a cluster; `more` are further lines of the cluster, `options` those of the listener. */
const config = (port: number, hosts: readonly number[], more = '', options = '{}'): string => `
access_log: {format: "%operation% %response_code% %reason% %downstream_remote_address%"}
listeners:
  - {name: bolt, address: "127.0.0.1:${port}", protocol: bolt, routes: main, options: ${options}}
routes:
  - name: main
    routes:
      - {match: {service: "com.example.Hello:1.0", method: older}, cluster: servers, timeout: 4s}
      - {match: {}, cluster: servers, idempotent: true, retry: {on: [connect-failure, reset], attempts: 3}}
clusters:
  - name: servers
    protocol: bolt
    hosts: "${hosts.map((p) => `127.0.0.1:${p}`).join(',')}"
    ${more}
`;

async function through(t: TestContext, hosts: readonly number[], more = '', options = '{}'): Promise<{ sluice: Sluice; port: number }> {
  const port = await freePort();
  return { sluice: await start(t, { config: config(port, hosts, more, options) }), port };
}

/** A relay that counts the heartbeats of v1 connections that pass it, and the answers to them. */
async function tap(t: TestContext, target: number): Promise<{ port: number; asked: number; answered: number; connections: number }> {
  const server = createServer({ allowHalfOpen: true }, (client) => {
    seen.connections++;
    const host = connect({ port: target, host: '127.0.0.1', allowHalfOpen: true });
    for (const [from, to] of [[client, host], [host, client]] as const) {
      let rest: Buffer = Buffer.alloc(0);
      from.on('error', () => to.destroy());
      from.on('end', () => to.end());
      from.on('data', (chunk: Buffer) => {
        to.write(chunk);
        rest = Buffer.concat([rest, chunk]);
        for (let found = parse(rest); found !== null; found = parse(rest)) {
          rest = rest.subarray(found.length);
          if (found.frame.command !== HEARTBEAT) continue;
          if (found.frame.type === REPLY) seen.answered++;
          else seen.asked++;
        }
      });
    }
    t.after(() => {
      client.destroy();
      host.destroy();
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const seen = { port: (server.address() as AddressInfo).port, asked: 0, answered: 0, connections: 0 };
  return seen;
}

describe('Java peers', { skip, timeout: 240_000 }, () => {
  before(async () => {
    [serverA, serverB, boltServer] = (await freePorts(3)) as [number, number, number];
    sofa = java('SofaClient', [], WATERMARKS);
    bolt = java('BoltClient', [], [HEARTBEATS, ...WATERMARKS]);
    boltHost = java('BoltServer', [boltServer]);
    running.push(sofa, bolt, boltHost, java('SofaServer', [serverA, 'A', 'blue']), java('SofaServer', [serverB, 'B']));
    await Promise.all(running.map((peer) => peer.ready));
  });

  after(() => Promise.all(running.map((peer) => peer.stop())));

  test('every kind of call passes the example configuration', async (t) => {
    const port = await freePort();
    const sluice = await start(t, { file: 'configs/bolt.yaml', env: { LISTEN: `127.0.0.1:${port}`, UPSTREAM: `127.0.0.1:${serverA}` } });
    for (const kind of ['sync', 'future', 'callback']) assert.equal(await sofa.run(kind, port, kind), `hello ${kind} from A`);
    assert.equal(await sofa.run('oneway', port, 'to be noted'), 'sent');
    await until('the one-way call arrived', async () => (await sofa.run('noted', port)) === 'to be noted');
    assert.equal(await sofa.run('older', port, 'Ann'), 'Ann of A is 42');
    assert.equal(await sofa.run('generic', port, 'Bob'), 'hello Bob from A, Bob of A is 42');
    await assert.rejects(sofa.run('fail', port, 'as asked'), /^Error: IllegalStateException: as asked/, 'an exception of the application is itself');
    const began = Date.now();
    await assert.rejects(sofa.run('slow', port, 3000, 300), /SofaTimeOutException/);
    assert.ok(Date.now() - began < 2000);
    await until('the timeout in the frame was obeyed', () => sluice.lines.some((line) => line.includes('"com.example.Hello:1.0.slow" 504 UT request-timeout')));
    for (const method of ['sayHello', 'note', 'older', 'fail']) assert.ok(sluice.lines.some((line) => line.includes(`"com.example.Hello:1.0.${method}" 200`)), method);
    assert.equal(await sluice.metric('sluice_cluster_active_requests'), 0);
  });

  test('a unique id is part of the service name that routes match', async (t) => {
    const port = await freePort();
    await start(t, {
      config: `
listeners: [{name: bolt, address: "127.0.0.1:${port}", protocol: bolt, routes: main}]
routes:
  - name: main
    routes:
      - {match: {service: "com.example.Hello:1.0:blue"}, cluster: a}
      - {match: {service: "com.example.Hello:1.0"}, cluster: b}
clusters:
  - {name: a, protocol: bolt, hosts: "127.0.0.1:${serverA}"}
  - {name: b, protocol: bolt, hosts: "127.0.0.1:${serverB}"}
`,
    });
    assert.equal(await sofa.run('unique', port, 'blue', 'x'), 'hello x from A-blue');
    assert.equal(await sofa.run('sync', port, 'x'), 'hello x from B');
    await assert.rejects(sofa.run('unique', port, 'green', 'x'), /SofaRpcException.*no route matches/);
  });

  test('long content passes in both directions beside short calls, up to max_frame; what is over it is refused alone', async (t) => {
    const { sluice, port } = await through(t, [serverA, serverB]);
    const long = [300 * 1024, 5 * MIB].flatMap((size) => [sofa.run('echo', port, size), sofa.run('make', port, size)]);
    const short = Array.from({ length: 20 }, (_, i) => sofa.run('sync', port, i));
    assert.deepEqual(await Promise.all(long), ['same', 'same', 'same', 'same']);
    for (const [i, said] of (await Promise.all(short)).entries()) assert.match(said, new RegExp(`^hello ${i} from [AB]$`));
    const slow = sofa.run('slow', port, 600, 5000);
    await assert.rejects(sofa.run('echo', port, 17 * MIB), /the frame is larger than 16777216 bytes/);
    await assert.rejects(sofa.run('make', port, 17 * MIB), /the reply of host 127\.0\.0\.1:\d+ is over its limit of 16777216/);
    assert.match(await slow, /^slept 600 at [AB]$/, 'the connection was kept');
    assert.equal(await sluice.metric('sluice_cluster_active_requests'), 0);
  });

  test('both layouts, with and without a checksum, at every size', async (t) => {
    const { port } = await through(t, [boltServer]);
    for (const layout of ['1', '2', 'crc']) {
      const sizes = [1, 1000, 200_000, 256 * 1024, 300 * 1024, 5 * MIB];
      assert.deepEqual(await Promise.all(sizes.map((size) => bolt.run('echo', port, layout, size))), sizes.map(() => 'same'), layout);
      await assert.rejects(bolt.run('call', port, layout, 'throw as asked', 3000), /InvokeServerException.*as asked/);
      await assert.rejects(bolt.run('call', port, layout, 'sleep 2000', 200), /InvokeTimeoutException/);
    }
  });

  test('a call that cannot be served ends at once with an exception that says why, in every way of calling', async (t) => {
    const [dead, nowhere, refused, busy] = (await freePorts(4)) as [number, number, number, number];
    const sluice = await start(t, {
      config: `
listeners:
  - {name: nowhere, address: "127.0.0.1:${nowhere}", protocol: bolt, routes: other}
  - {name: refused, address: "127.0.0.1:${refused}", protocol: bolt, cluster: dead}
  - {name: busy, address: "127.0.0.1:${busy}", protocol: bolt, cluster: narrow}
routes:
  - {name: other, routes: [{match: {service: "com.example.Other:1.0"}, cluster: dead}]}
clusters:
  - {name: dead, protocol: bolt, hosts: "127.0.0.1:${dead}"}
  - {name: narrow, protocol: bolt, hosts: "127.0.0.1:${serverA}", breaker: {max_requests: 1}}
`,
    });
    const began = Date.now();
    for (const kind of ['sync', 'future', 'callback']) {
      await assert.rejects(sofa.run(kind, nowhere, 'x'), /SofaRpcException.*no route matches.*needs service = com\.example\.Other:1\.0/, kind);
      await assert.rejects(sofa.run(kind, refused, 'x'), /SofaRpcException.*host 127\.0\.0\.1:\d+ refused the connection/, kind);
    }
    for (const layout of ['1', '2', 'crc']) await assert.rejects(bolt.run('call', refused, layout, 'x', 3000), /InvokeServerException.*refused the connection/, layout);
    assert.ok(Date.now() - began < 8000, `${Date.now() - began} ms`);
    const only = sofa.run('slow', busy, 2000, 8000);
    await until('the only call allowed runs', async () => (await sluice.metric('sluice_cluster_active_requests', 'cluster="narrow"')) === 1);
    // SOFARPC acts on this status (type 100 is SERVER_BUSY, which its failover repeats), so it is kept although no text is shown with it.
    await assert.rejects(sofa.run('sync', busy, 'x'), /InvokeServerBusyException.*\[type 100\]/);
    assert.equal(await only, 'slept 2000 at A');
  });

  test('heartbeats are answered, and asked of hosts; one that stands still ends its calls with the reason', async (t) => {
    const target = await freePort();
    const host = java('BoltServer', [target]);
    t.after(() => host.stop());
    await host.ready;
    const behind = await tap(t, target);
    const { sluice, port } = await through(t, [behind.port], 'heartbeat: {interval: 300ms, timeout: 300ms}');
    const front = await tap(t, port);
    assert.equal(await bolt.run('call', front.port, '1', 'x', 3000), 'echo x');
    await until('the Java client asked five times', () => front.asked >= 5 && front.answered >= 5);
    await until('the Java host was asked five times', () => behind.asked >= 5 && behind.answered >= 5);
    assert.equal(await bolt.run('call', front.port, '1', 'y', 3000), 'echo y');
    assert.deepEqual([front.connections, behind.connections], [1, 1], 'both connections were kept');
    const call = bolt.run('call', front.port, '1', 'sleep 100', 15_000);
    host.kill('SIGSTOP');
    const began = Date.now();
    await assert.rejects(call, /left heartbeats unanswered/);
    assert.ok(Date.now() - began < 5000, `${Date.now() - began} ms`);
    host.kill('SIGCONT');
    assert.equal(await bolt.run('call', front.port, '1', 'z', 3000), 'echo z');
    assert.ok(behind.connections > 1, 'over another connection');
    assert.equal(await sluice.metric('sluice_cluster_active_connections'), 1);
  });

  test('a server that is killed under load fails no call of an idempotent route', async (t) => {
    const port = await freePort();
    const doomed = java('SofaServer', [port, 'C']);
    t.after(() => doomed.stop());
    await doomed.ready;
    const { sluice, port: listener } = await through(t, [serverA, serverB, port], 'health_check: {type: bolt, interval: 500ms, retry_interval: 200ms, unhealthy_threshold: 1}');
    const load = sofa.run('load', listener, 8, 900, 15);
    await until('all three answer', async () => (await sluice.metric('sluice_listener_requests_total')) > 200);
    doomed.kill();
    const { good, bad } = JSON.parse(await load) as Load;
    assert.deepEqual(bad, {});
    assert.ok(good['A']! > 200 && good['B']! > 200 && good['C']! > 20, JSON.stringify(good));
    assert.ok((await sluice.metric('sluice_cluster_resets_total')) > 0, 'it was in the middle of something');
  });

  test('a drain cuts no call and loses none: busy connections are served, quiet ones end', async (t) => {
    const { sluice, port } = await through(t, [serverA]);
    await bolt.run('call', port, '1', 'not for this server', 3000).catch(() => {});
    const slow = sofa.run('slow', port, 2500, 8000);
    const load = sofa.run('load', port, 4, 400, 20);
    await until('calls run', async () => (await sluice.metric('sluice_listener_requests_total')) > 50);
    sluice.kill('SIGTERM');
    assert.equal(await slow, 'slept 2500 at A');
    assert.deepEqual((JSON.parse(await load) as Load).bad, {});
    assert.equal(await sluice.exited, 0);
    assert.doesNotMatch(sluice.stderr, /deadline passed/);
  });

  test('with go-away frames a Java client closes at once: why they are off unless asked for', async (t) => {
    const { sluice, port } = await through(t, [serverA], '', '{goaway: true}');
    const slow = sofa.run('slow', port, 2000, 8000);
    await until('the call runs', async () => (await sluice.metric('sluice_cluster_active_requests')) === 1);
    sluice.kill('SIGTERM');
    await assert.rejects(slow, /Connection closed!/);
    assert.equal(await sluice.exited, 0);
  });

  test('a server calls its client back over the same connection: on a pinned cluster, else it is told why not', async (t) => {
    const [pinned, shared] = (await freePorts(2)) as [number, number];
    await start(t, {
      config: `
listeners:
  - {name: pinned, address: "127.0.0.1:${pinned}", protocol: bolt, cluster: pinned}
  - {name: shared, address: "127.0.0.1:${shared}", protocol: bolt, cluster: shared}
clusters:
  - {name: pinned, protocol: bolt, pool: pinned, hosts: "127.0.0.1:${boltServer}"}
  - {name: shared, protocol: bolt, hosts: "127.0.0.1:${boltServer}"}
`,
    });
    const other = java('BoltClient');
    t.after(() => other.stop());
    await other.ready;
    for (const layout of ['1', '2', 'crc']) {
      const pushes = Array.from({ length: 4 }, () => [bolt, other].map((client) => client.run('call', pinned, layout, 'push 3', 5000))).flat();
      const long = bolt.run('echo', pinned, layout, 2 * MIB);
      for (const said of await Promise.all(pushes)) assert.equal(said, 'answer to asked 0;answer to asked 1;answer to asked 2;');
      assert.equal(await long, 'same');
      assert.equal(await bolt.run('call', pinned, layout, `later ${layout}`, 3000), 'yes');
      assert.equal(await bolt.run('told'), `told ${layout}`, 'when nothing of its own runs');
    }
    const began = Date.now();
    await assert.rejects(bolt.run('call', shared, '1', 'push 1', 5000), /InvokeServerException/);
    assert.ok(Date.now() - began < 2500, 'the server did not wait for its timeout');
    await until('the server read why', () => boltHost.stderr.includes('over a connection that several clients share'));
  });

  test('a Node client calls a Java server, a Java client a Node server', async (t) => {
    const node = await freePort();
    const script = `
      const { RpcServer } = require('sofa-rpc-node').server;
      const logger = { info() {}, warn() {}, error() {}, debug() {} };
      const server = new RpcServer({ logger, port: ${node}, autoServe: false });
      server.addService({ interfaceName: 'com.example.Hello', version: '1.0' }, {
        async sayHello(name) { return 'hello ' + name + ' from node'; },
        async echo(bytes) { return bytes; },
        async slow(ms) { await new Promise((r) => setTimeout(r, ms)); return 'slept'; },
      });
      server.start().then(() => console.log('up'));
    `;
    const child = spawn(process.execPath, ['-e', script], { cwd: resolve('.'), stdio: ['ignore', 'pipe', 'inherit'] });
    t.after(() => child.kill('SIGKILL'));
    await Promise.race([once(child.stdout!, 'data'), once(child, 'exit').then(() => assert.fail('the Node server ended'))]);
    const toNode = await through(t, [node]);
    for (const kind of ['sync', 'future', 'callback']) assert.equal(await sofa.run(kind, toNode.port, kind), `hello ${kind} from node`);
    for (const size of [1000, 300 * 1024, 5 * MIB]) assert.equal(await sofa.run('echo', toNode.port, size), 'same');
    await assert.rejects(sofa.run('slow', toNode.port, 3000, 300), /SofaTimeOutException/);

    const toJava = await through(t, [serverA]);
    const { RpcClient } = (require('sofa-rpc-node') as { client: { RpcClient: new (options: object) => { createConsumer(options: object): Consumer; close(): Promise<void> } } }).client;
    const quiet = { info() {}, warn() {}, error() {}, debug() {} };
    const client = new RpcClient({ logger: quiet });
    const hello = client.createConsumer({ interfaceName: 'com.example.Hello', serverHost: `127.0.0.1:${toJava.port}` });
    t.after(async () => {
      hello.close();
      await client.close();
    });
    await hello.ready();
    assert.equal(await hello.invoke('sayHello', ['n'], { responseTimeout: 5000 }), 'hello n from A');
    await assert.rejects(hello.invoke('fail', ['as asked'], { responseTimeout: 5000 }), /as asked/);
    for (const size of [300 * 1024, 5 * MIB]) {
      const bytes = Buffer.alloc(size, 'pattern ');
      assert.ok(bytes.equals((await hello.invoke('echo', [bytes], { responseTimeout: 10_000 })) as Buffer), `${size} bytes`);
    }
    await assert.rejects(hello.invoke('slow', [{ $class: 'int', $: 3000 }], { responseTimeout: 300 }));
  });
});

interface Consumer {
  ready(): Promise<void>;
  invoke(method: string, args: unknown[], options?: object): Promise<unknown>;
  close(): void;
}

// The Node client library leaves timers behind that would keep this process for half a minute.
after(() => setTimeout(() => process.exit(), 1000).unref());

// Unmodified SOFARPC 5.13.2 over tri and over h2c: calls and streams through one proxy and two, routing, faults with their reasons, servers that die, drains.
import assert from 'node:assert/strict';
import { after, before, describe, test, type TestContext } from 'node:test';
import { JavaProgram, prepareJava } from '../support/java.js';
import { freePort, freePorts, start, until, type Sluice } from '../support/sluice.js';
import { way, ways } from './grpc.js';

interface Load {
  readonly good: Readonly<Record<string, number>>;
  readonly bad: Readonly<Record<string, number>>;
}

const shared = ['Hello', 'Person', 'SofaClient', 'SofaServer'].map((name) => `test/peers/java/sofa/${name}.java`);
const peers = prepareJava('test/peers/java/tri/sofa', 'test/peers/java/tri/sofa', ...shared);
const skip = 'skip' in peers ? peers.skip : false;

const protocols = ['tri', 'h2c'] as const;
type Protocol = (typeof protocols)[number];

const MIB = 1024 * 1024;
const running: JavaProgram[] = [];
let client: JavaProgram;
const servers = {} as Record<Protocol, number>;

function java(main: string, ...args: ReadonlyArray<string | number>): JavaProgram {
  assert.ok(!('skip' in peers));
  const program = new JavaProgram(peers, `com.example.${main}`, args);
  running.push(program);
  return program;
}

async function serve(protocol: Protocol, name: string): Promise<{ port: number; program: JavaProgram }> {
  const port = await freePort();
  const program = java('SofaHttp2Server', protocol, port, name, 'blue');
  await program.ready;
  return { port, program };
}

/** A listener to one cluster of these ports; `route` are further lines of the route, `cluster` of the cluster. */
async function through(t: TestContext, ports: readonly number[], route = '', cluster = ''): Promise<{ sluice: Sluice; port: number }> {
  const port = await freePort();
  const sluice = await start(t, {
    config: `
access_log: {format: "%operation% %response_code% %reason%"}
listeners: [{name: in, address: "127.0.0.1:${port}", protocol: http2, routes: main}]
routes: [{name: main, routes: [{cluster: servers${route}}]}]
clusters: [{name: servers, protocol: http2, hosts: "${ports.map((p) => `127.0.0.1:${p}`).join(',')}"${cluster}}]
`,
  });
  return { sluice, port };
}

describe('SOFARPC over HTTP/2', { skip, timeout: 240_000 }, () => {
  before(async () => {
    client = java('SofaHttp2Client');
    for (const [i, { port }] of (await Promise.all(protocols.map((protocol) => serve(protocol, `${protocol}-main`)))).entries()) servers[protocols[i]!] = port;
    await client.ready;
  });

  after(() => Promise.all(running.map((program) => program.stop())));

  for (const kind of ways) {
    for (const protocol of protocols) {
      test(`${protocol}, ${kind}: calls, exceptions, timeouts, long content`, async (t) => {
        const { port, sluices } = await way(t, kind, [servers[protocol]]);
        const run = (verb: string, ...args: ReadonlyArray<string | number>): Promise<string> => client.run(verb, protocol, port, ...args);
        for (const verb of ['sync', 'future']) assert.equal(await run(verb, 'Änn'), `hello Änn from ${protocol}-main`);
        assert.equal(await run('unique', 'blue', 'x'), `hello x from ${protocol}-main-blue`);
        assert.equal(await run('older', 'Ann'), `Ann of ${protocol}-main is 42`);
        // Over tri the servers of SOFARPC keep to themselves what was thrown.
        await assert.rejects(run('fail', 'as asked'), protocol === 'tri' ? /SofaRpcException: io\.grpc\.StatusException: UNKNOWN/ : /SofaRpcException: java\.lang\.IllegalStateException: as asked/);
        await assert.rejects(run('unique', 'green', 'x'), protocol === 'tri' ? /UNKNOWN/ : /RPC cannot find service: \[com\.example\.Hello:green\]/);
        assert.equal(await run('echo', 2 * MIB), 'same');
        assert.equal(await run('make', 3 * MIB), 'same');
        if (protocol === 'tri') {
          assert.equal(await run('count', 500), '500 messages, the last: 499 from tri-main');
          await assert.rejects(run('count', '5 fail'), /after 5 messages <- StatusRuntimeException: UNKNOWN: behind 5/);
          assert.equal(await run('chat', 20), '20 messages, the last: turn 19 at tri-main');
        }
        await assert.rejects(run('slow', 2000, 500), /SofaTimeOutException/);
        for (const sluice of sluices) await until('nothing runs', async () => (await sluice.metric('sluice_cluster_active_requests')) === 0);
      });
    }
  }

  test('service, method and unique id choose the cluster: of tri by what every RPC has, of h2c by the path', async (t) => {
    const [tri, h2c, dead] = (await freePorts(3)) as [number, number, number];
    const sluice = await start(t, {
      config: `
access_log: {format: "%operation% %response_code% %reason% %upstream_cluster%"}
listeners:
  - {name: tri, address: "127.0.0.1:${tri}", protocol: http2, routes: tri}
  - {name: h2c, address: "127.0.0.1:${h2c}", protocol: http2, routes: h2c}
routes:
  - name: tri
    routes:
      - {match: {service: com.example.Hello, version: blue}, cluster: dead}
      - {match: {service: com.example.Hello, method: older}, direct_response: {status: 403, body: "not today"}}
      - {match: {service: com.example.Hello, method: slow}, cluster: tri, retry: {attempts: 1, per_try_timeout: 300ms}}
      - {match: {service: com.example.Hello, header.sofa_head_method_name: sayHello}, cluster: tri}
  - name: h2c
    routes:
      - {match: {prefix: "/com.example.Hello:blue/"}, cluster: dead}
      - {match: {path: /com.example.Hello/older}, direct_response: {status: 403, body: "not today"}}
      - {match: {path: /com.example.Hello/slow}, cluster: h2c, timeout: 300ms}
      - {match: {path: /com.example.Hello/sayHello}, cluster: h2c}
clusters:
  - {name: tri, protocol: http2, hosts: "127.0.0.1:${servers.tri}"}
  - {name: h2c, protocol: http2, hosts: "127.0.0.1:${servers.h2c}"}
  - {name: dead, protocol: http2, hosts: "127.0.0.1:${dead}"}
`,
    });
    for (const [protocol, port] of [['tri', tri], ['h2c', h2c]] as const) {
      assert.equal(await client.run('sync', protocol, port, 'x'), `hello x from ${protocol}-main`);
      await assert.rejects(client.run('unique', protocol, port, 'blue', 'x'), /host 127\.0\.0\.1:\d+ refused the connection/);
      await assert.rejects(client.run('older', protocol, port, 'Ann'), /not today/);
      await assert.rejects(client.run('slow', protocol, port, 3000, 15_000), /did not reply within (the )?300 ms/);
      await assert.rejects(client.run('fail', protocol, port, 'x'), /no route matches/);
    }
    await until('a line for each', () => sluice.lines.length === 10, 30_000);
    assert.deepEqual(sluice.lines.map((line) => line.replace('POST /com.example.', '')), [
      'Hello/sayHello 200 - tri', 'Hello/sayHello 503 connect-refused dead', 'Hello/older 403 - -', 'Hello/slow 504 try-timeout tri', 'Hello/fail 404 no-route -',
      'Hello/sayHello 200 - h2c', 'Hello:blue/sayHello 503 connect-refused dead', 'Hello/older 403 - -', 'Hello/slow 504 request-timeout h2c', 'Hello/fail 404 no-route -',
    ]);
  });

  test('a deadline is that of the client where it says one: tri does', async (t) => {
    const { sluice, port } = await through(t, [servers.tri]);
    await assert.rejects(client.run('slow', 'tri', port, 3000, 500), /SofaTimeOutException.*DEADLINE_EXCEEDED/);
    await until('it ended here as well', () => sluice.lines.length === 1);
    assert.match(sluice.lines[0]!, /^POST \/com\.example\.Hello\/slow (504 request-timeout|499 downstream-reset)$/);
  });

  // Servers of h2c work on one call of a connection at a time.
  test('h2c: with connections to themselves, calls do not wait for each other', async (t) => {
    const { sluice, port } = await through(t, [servers.h2c], '', ', pool: exclusive');
    let ended = false;
    const slow = client.run('slow', 'h2c', port, 4000, 20_000).finally(() => (ended = true));
    await until('it runs', async () => (await sluice.metric('sluice_cluster_active_requests')) === 1);
    assert.equal(await client.run('sync', 'h2c', port, 'x'), 'hello x from h2c-main');
    assert.equal(ended, false);
    assert.equal(await slow, 'slept 4000 at h2c-main');
  });

  // A client of h2c mixes up its replies when several of its threads call at once, with a proxy or without.
  for (const [protocol, threads] of [['tri', 8], ['h2c', 1]] as const) {
    test(`${protocol}: a server that is killed under load fails no call of an idempotent route`, async (t) => {
      const doomed = await serve(protocol, 'doomed');
      const { sluice, port } = await through(t, [doomed.port, servers[protocol]], ', idempotent: true, retry: {on: [connect-failure, reset], attempts: 3}');
      const load = client.run('load', protocol, port, threads, threads * 60 + 140, 10);
      await until('calls run', async () => (await sluice.metric('sluice_listener_requests_total')) > 50, 30_000);
      doomed.program.kill();
      const { good, bad } = JSON.parse(await load) as Load;
      assert.deepEqual(bad, {});
      assert.deepEqual(Object.keys(good).sort(), ['doomed', `${protocol}-main`]);
    });
  }

  for (const [protocol, threads] of [['tri', 4], ['h2c', 1]] as const) {
    test(`${protocol}: a drain cuts no call, and a client with two providers goes on with the other`, async (t) => {
      const cluster = protocol === 'h2c' ? ', pool: exclusive' : '';
      const one = await through(t, [servers[protocol]], '', cluster);
      const two = await through(t, [servers[protocol]], '', cluster);
      const slow = client.run('slow', protocol, one.port, 2500, 20_000);
      await until('it runs', async () => (await one.sluice.metric('sluice_listener_requests_total')) === 1, 30_000);
      const load = client.run('load', protocol, `${one.port},${two.port}`, threads, threads * 60, 20);
      await until('calls run', async () => (await one.sluice.metric('sluice_listener_requests_total')) > 10, 30_000);
      one.sluice.kill('SIGTERM');
      assert.equal(await slow, `slept 2500 at ${protocol}-main`);
      // SOFARPC switches off that gRPC tries again by itself, so that a call that meets the go-away inside the client is lost there.
      const lost = Object.keys((JSON.parse(await load) as Load).bad).filter((error) => protocol !== 'tri' || !error.includes('GOAWAY shut down transport'));
      assert.deepEqual(lost, []);
      assert.equal(await one.sluice.exited, 0);
      assert.ok((await two.sluice.metric('sluice_listener_requests_total')) > 0);
    });
  }
});

// Unmodified clients and servers of the Thrift library for Node, and of thriftpy2, through Thrift listeners: every kind of call and failure, one server killed half way.
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, test, type TestContext } from 'node:test';
import { freePorts, start, until, type Sluice } from '../support/sluice.js';
import { HelloClient, Refusal, library, protocols, type ApplicationException, type Connection, type ProtocolName } from './thrift-service.js';
import { python } from './thrift-python.js';

const program = fileURLToPath(new URL('thrift-service.js', import.meta.url));

/** A server in a process of its own, so that it can be killed; its replies name its port. */
async function serve(t: TestContext, port: number, kind: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, ['--no-deprecation', program, 'serve', String(port), kind], { cwd: resolve('.'), stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  await once(child.stdout!, 'data');
  return child;
}

function connect(t: TestContext, port: number, protocol: ProtocolName, transport: unknown = library.TFramedTransport): Connection {
  const connection = library.createConnection('127.0.0.1', port, { transport, protocol: protocols[protocol] });
  t.after(() => connection.end());
  connection.on('error', () => {});
  return connection;
}

const client = (t: TestContext, port: number, protocol: ProtocolName): HelloClient => library.createClient(HelloClient, connect(t, port, protocol));

const config = (port: number, servers: readonly number[], more = '', check = 'health_check: {type: thrift, interval: 500ms, retry_interval: 200ms, unhealthy_threshold: 1, timeout: 5s}'): string => `
listeners:
  - name: thrift
    address: 127.0.0.1:${port}
    protocol: thrift
    routes: main
routes:
  - name: main
    routes:
      - name: all
        cluster: servers
        idempotent: true
        retry: {on: [connect-failure, reset], attempts: 4}
clusters:
  - name: servers
    hosts: ${servers.map((p) => `127.0.0.1:${p}`).join(',')}
    protocol: thrift
    # All the calls that a dying server had may be repeated at once.
    breaker: {retry_budget: {percent: 100, min: 50}}
    ${check}
    ${more}
`;

async function ended(sluice: Sluice): Promise<void> {
  assert.equal(await sluice.metric('sluice_cluster_active_requests'), 0);
  sluice.kill('SIGTERM');
  assert.equal(await sluice.exited, 0, sluice.stderr);
}

/** Calls from several clients at once; in the middle `half` is called. Returns how many each server answered. */
async function load(clients: readonly HelloClient[], total: number, half: () => void): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  let next = 0;
  const lane = async (hello: HelloClient): Promise<void> => {
    while (next < total) {
      const i = next++;
      if (i === total / 2) half();
      const said = String(await hello.say(`n${i}`));
      const found = /^n(\d+) from (\d+)$/.exec(said);
      assert.ok(found, said);
      assert.equal(found[1], String(i), 'the reply belongs to this call');
      counts.set(found[2]!, (counts.get(found[2]!) ?? 0) + 1);
    }
  };
  await Promise.all(clients.flatMap((one) => Array.from({ length: 8 }, () => lane(one))));
  return counts;
}

describe('calls are balanced over the servers; killing one of them in the middle fails no call', () => {
  for (const [protocol, pool] of [['binary', 'exclusive'], ['compact', 'exclusive'], ['binary', 'multiplex'], ['compact', 'multiplex']] as const) {
    test(`${protocol}, pool ${pool}`, { timeout: 120_000 }, async (t) => {
      const [port, ...servers] = (await freePorts(3)) as [number, number, number];
      const processes = await Promise.all(servers.map((p) => serve(t, p, protocol)));
      const sluice = await start(t, { config: config(port, servers, pool === 'exclusive' ? '' : 'pool: multiplex', `health_check: {type: thrift, options: {protocol: ${protocol}}, interval: 500ms, retry_interval: 200ms, unhealthy_threshold: 1, timeout: 5s}`) });
      const total = 600;
      const counts = await load([client(t, port, protocol), client(t, port, protocol)], total, () => processes[0]!.kill('SIGKILL'));
      assert.equal([...counts.values()].reduce((a, b) => a + b, 0), total);
      assert.equal(counts.size, 2, 'both servers took part');
      assert.ok(counts.get(String(servers[1]))! >= total / 2);
      assert.equal(await sluice.metric('sluice_listener_requests_total', 'listener="thrift"'), total);
      assert.equal(await sluice.metric('sluice_listener_reasons_total'), 0, 'no exchange ended badly');
      await ended(sluice);
    });
  }
});

for (const protocol of ['binary', 'compact'] as const) {
  test(`every kind of call and answer passes: ${protocol}`, { timeout: 60_000 }, async (t) => {
    const [port, server] = (await freePorts(2)) as [number, number];
    await serve(t, server, protocol);
    const sluice = await start(t, { config: config(port, [server], '', '') });
    const hello = client(t, port, protocol);
    assert.equal(await hello.say('hällo'), `hällo from ${server}`);
    const large = 'z'.repeat(1_500_000);
    assert.equal(await hello.say(large), `${large} from ${server}`);
    assert.equal(String(await hello.call('big', 3_000_000)).length, 3_000_000);
    await hello.call('note', 'one');
    await hello.call('note', 'two');
    await until('both notes arrived', async () => (await hello.call('notes')) === 2);
    await assert.rejects(hello.call('refuse', 'as declared'), (error) => error instanceof Refusal && error.why === 'as declared');
    await assert.rejects(hello.call('boom', 'not declared'), (error: ApplicationException) => error.type === 0 && error.message === 'not declared');
    // Servers of this library send no type with an exception.
    await assert.rejects(hello.call('unknown'), (error: ApplicationException) => error.type === 0 && /Unknown function unknown/.test(error.message));
    assert.equal(await sluice.metric('sluice_listener_replies_total', 'status="5xx"'), 2, 'what was declared is no error');
    // A call does not wait for one before it.
    let waited = false;
    const slow = hello.call('slow').then(() => (waited = true));
    assert.equal(await hello.say('quick'), `quick from ${server}`);
    assert.equal(waited, false);
    await until('the slow call was answered', async () => {
      await hello.call('note', 'go on');
      return waited;
    });
    await slow;
    await ended(sluice);
  });
}

test('multiplexed services are routed by name, and refused where no route is', { timeout: 60_000 }, async (t) => {
  const [port, one, two] = (await freePorts(3)) as [number, number, number];
  await Promise.all([serve(t, one, 'binary+multiplexed'), serve(t, two, 'binary+multiplexed')]);
  const sluice = await start(t, { config: `
listeners:
  - {name: thrift, address: 127.0.0.1:${port}, protocol: thrift, routes: main}
routes:
  - name: main
    routes:
      - {name: hello, match: {service: Hello, method: {regex: "where|say"}}, cluster: one}
      - {name: other, match: {service: Other}, cluster: two}
clusters:
  - {name: one, hosts: "127.0.0.1:${one}", protocol: thrift, health_check: {type: thrift, options: {method: "Hello:where"}}}
  - {name: two, hosts: "127.0.0.1:${two}", protocol: thrift}
` });
  const connection = connect(t, port, 'binary');
  const multiplexer = new library.Multiplexer();
  const [hello, other, nobody] = ['Hello', 'Other', 'Nobody'].map((name) => multiplexer.createClient(name, HelloClient, connection)) as [HelloClient, HelloClient, HelloClient];
  assert.equal(await hello.call('where'), `Hello at ${one}`);
  assert.equal(await other.call('where'), `Other at ${two}`);
  for (const call of [nobody.call('where'), hello.call('big', 3)]) {
    await assert.rejects(call, (error: ApplicationException) => error.type === 1 && /^no route matches: .*\(no-route\)$/.test(error.message));
  }
  await until('the check of a multiplexed server passed', async () => JSON.stringify(await sluice.json('/clusters')).includes(String(one)));
  assert.equal(await hello.say('x'), `x from ${one}`);
  await ended(sluice);
});

test('failures of the proxy reach the client as exceptions with the reason; the connection goes on', { timeout: 60_000 }, async (t) => {
  const [port, server, dead, other] = (await freePorts(4)) as [number, number, number, number];
  await serve(t, server, 'binary');
  await start(t, { config: `
listeners:
  - {name: thrift, address: 127.0.0.1:${port}, protocol: thrift, routes: main, options: {max_frame: 100KiB}}
  - {name: none, address: 127.0.0.1:${other}, protocol: thrift, cluster: dead}
routes:
  - name: main
    routes:
      - {name: slow, match: {method: slow}, cluster: servers, timeout: 300ms}
      - {name: rest, cluster: servers}
clusters:
  - {name: servers, hosts: "127.0.0.1:${server}", protocol: thrift, options: {max_frame: 200KiB}}
  - {name: dead, hosts: "127.0.0.1:${dead}", protocol: thrift}
` });
  const hello = client(t, port, 'binary');
  const refused = (type: number, message: RegExp) => (error: ApplicationException): boolean => error.type === type && message.test(error.message);
  await assert.rejects(hello.call('slow'), refused(6, /did not reply within 300 ms \(request-timeout\)$/));
  await assert.rejects(hello.say('x'.repeat(200_000)), refused(7, /the frame is larger than 102400 bytes \(frame-too-large\)$/));
  await assert.rejects(hello.call('big', 300_000), refused(6, /\(reply-too-large\)$/));
  assert.equal(await hello.say('still'), `still from ${server}`);
  await assert.rejects(client(t, other, 'compact').say('x'), refused(6, /refused the connection \(connect-refused\)$/));
});

test('a client of the unframed transport is let go, and the log says why', { timeout: 60_000 }, async (t) => {
  const [port, dead] = (await freePorts(2)) as [number, number];
  const sluice = await start(t, { config: `${config(port, [dead], '', '')}\naccess_log: {format: json}\n` });
  const connection = connect(t, port, 'binary', library.TBufferedTransport);
  const closed = new Promise<void>((done) => connection.on('close', () => done()));
  library.createClient(HelloClient, connection).say('x').catch(() => {});
  await closed;
  await until('the line of the log', () => sluice.lines.some((line) => line.includes('bad-frame')));
  assert.equal(await sluice.metric('sluice_listener_reasons_total', 'reason="bad-frame"'), 1);
});

const certs = resolve('test/support/certs');
const mutual = {
  listener: `tls: {certificates: [{cert: ${certs}/localhost.pem, key: ${certs}/localhost.key}], client_auth: required, ca: ${certs}/ca.pem}`,
  cluster: `tls: {ca: ${certs}/ca.pem, cert: ${certs}/client.pem, key: ${certs}/client.key}`,
};

for (const between of ['plain', 'mutual TLS']) {
  test(`two proxies behind each other pass everything on, and agree on what failed: ${between}`, { timeout: 120_000 }, async (t) => {
    const [first, second, server, dead] = (await freePorts(4)) as [number, number, number, number];
    await serve(t, server, 'compact');
    const tls = between === 'plain' ? { listener: '', cluster: '' } : mutual;
    const behind = await start(t, { config: config(second, [server, dead], 'pool: multiplex', '').replace('attempts: 4', 'attempts: 1').replace('    protocol: thrift\n', `    protocol: thrift\n    ${tls.listener}\n`) });
    const front = await start(t, { config: config(first, [second], `pool: multiplex\n    ${tls.cluster}`, '').replace('on: [connect-failure, reset]', 'on: [5xx], backoff: {base: 1ms, max: 5ms}').replace(`127.0.0.1:${second}`, `localhost:${second}`) });
    const hello = client(t, first, 'compact');
    // Every other call is refused behind, and repeated by the one in front.
    for (let i = 0; i < 20; i++) assert.equal(await hello.say(`n${i}`), `n${i} from ${server}`);
    assert.ok(await behind.metric('sluice_listener_reasons_total', 'reason="connect-refused"') > 0);
    assert.equal(await front.metric('sluice_listener_reasons_total'), 0);
    assert.equal(String(await hello.call('big', 1_000_000)).length, 1_000_000);
    // What is longer than 64 KiB could not be repeated.
    const large = 'z'.repeat(50_000);
    assert.equal(await hello.say(large), `${large} from ${server}`);
    await ended(front);
    await ended(behind);
  });
}

describe('thriftpy2', () => {
  const tools = python();
  const skip = 'skip' in tools ? tools.skip : false;

  for (const protocol of ['binary', 'compact'] as const) {
    test(`as client and server, which takes one call of a connection at a time: ${protocol}`, { timeout: 120_000, skip }, async (t) => {
      const [port, ...servers] = (await freePorts(3)) as [number, number, number];
      const run = 'run' in tools ? tools.run : assert.fail('no thriftpy2');
      const processes = servers.map((p) => run(t, ['serve', protocol, String(p)]));
      for (const one of processes) await one.says('up');
      const sluice = await start(t, { config: config(port, servers, '', `health_check: {type: thrift, options: {protocol: ${protocol}}, interval: 500ms, retry_interval: 200ms, unhealthy_threshold: 1, timeout: 5s}`) });
      const caller = run(t, ['call', protocol, String(port), '300']);
      await caller.says('half');
      processes[0]!.kill();
      await caller.says('done 300', 60_000);
      assert.equal(await sluice.metric('sluice_listener_reasons_total'), 0, 'no exchange ended badly');
      // Its clients do not number their calls: what they send ahead is answered in order.
      const ahead = run(t, ['ahead', protocol, String(port), '50']);
      await ahead.says('in order 50', 60_000);
      // The client of Node against the server of Python.
      const hello = client(t, port, protocol);
      assert.equal(await hello.say('node'), `node from ${servers[1]}`);
      await assert.rejects(hello.call('refuse', 'as declared'), (error) => error instanceof Refusal && error.why === 'as declared');
      await assert.rejects(hello.call('unknown'), (error: ApplicationException) => error.type === 1);
      await ended(sluice);
    });
  }
});

// Unmodified Dubbo clients and servers, 3.3 and 2.7 in any pair, through a Dubbo listener: routing, every kind of call, faults, a server that dies or leaves, two hops.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import { JavaProgram, prepareJava } from '../support/java.js';
import { freePort, freePorts, start, until, type Sluice } from '../support/sluice.js';

const sources = 'test/peers/java/dubbo';
const versions = ['3.3', '2.7'] as const;
type Version = (typeof versions)[number];
const peers = { '3.3': prepareJava(sources), '2.7': prepareJava('test/peers/java/dubbo27', sources) };
const missing = versions.map((version) => peers[version]).find((one) => 'skip' in one);
const skip = missing !== undefined && 'skip' in missing ? missing.skip : false;

const MIB = 1024 * 1024;
/** Dubbo replaces 127.0.0.1 in a provider's address by the address of the machine; a name that only the JVM knows stays what it is. */
const NAME = 'sluice.test';
let folder = '';
const running: JavaProgram[] = [];

function java(version: Version, main: string, args: ReadonlyArray<string | number> = []): JavaProgram {
  const classes = peers[version];
  assert.ok(!('skip' in classes));
  const opened = ['lang', 'math', 'util'].flatMap((name) => ['--add-opens', `java.base/java.${name}=ALL-UNNAMED`]);
  const program = new JavaProgram(classes, `com.example.${main}`, args, [`-Djdk.net.hosts.file=${join(folder, 'hosts')}`, ...opened]);
  running.push(program);
  return program;
}

interface Server {
  readonly port: number;
  readonly program: JavaProgram;
}

const SERVICES = 'Greeter/gray/1.0.0,Greeter/blue/1.0.0,Greeter//2.0.0,Clock//';

async function serve(version: Version, name: string, more: readonly string[] = []): Promise<Server> {
  const port = await freePort();
  const program = java(version, 'DubboServer', [port, name, SERVICES, ...more]);
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

/** Without options a client asks once: its own second tries would hide what a first one met. */
function call(client: JavaProgram, port: number, method: string, argument: string | number, { service = 'Greeter', group = 'blue', version = '1.0.0', attachments = '', options = '' }: Call = {}): Promise<string> {
  return client.run('call', `dubbo://${NAME}:${port}?retries=0&timeout=20000${options}`, service, group, version, attachments, method, argument);
}

const clients = {} as Record<Version, JavaProgram>;
const servers = {} as Record<Version, Server>;

before(async () => {
  if (skip !== false) return;
  folder = mkdtempSync(join(tmpdir(), 'sluice-dubbo-'));
  writeFileSync(join(folder, 'hosts'), `127.0.0.1 ${NAME} ${hostname()} localhost\n`);
  for (const version of versions) {
    servers[version] = await serve(version, `server${version}`);
    clients[version] = java(version, 'DubboClient');
    await clients[version].ready;
  }
});

after(async () => {
  await Promise.all(running.map((program) => program.stop()));
  if (folder !== '') rmSync(folder, { recursive: true, force: true });
});

const LOG = 'access_log: {format: "%operation% %response_code% %reason% %upstream_cluster%"}';

/** A listener to one cluster of these ports. */
async function through(t: TestContext, ports: readonly number[], { route = '', cluster = '', options = '{}' } = {}): Promise<{ sluice: Sluice; port: number }> {
  const port = await freePort();
  const sluice = await start(t, {
    config: `${LOG}
listeners: [{name: in, address: "127.0.0.1:${port}", protocol: dubbo, routes: main, options: ${options}}]
routes: [{name: main, routes: [{match: {service: {prefix: com.example.}}, cluster: servers${route}}]}]
clusters:
  - name: servers
    protocol: dubbo
    hosts: "${ports.map((p) => `127.0.0.1:${p}`).join(',')}"
    ${cluster}
`,
  });
  return { sluice, port };
}

describe('Dubbo', { skip, timeout: 300_000 }, () => {
  for (const from of versions) {
    for (const to of versions) {
      test(`a client of ${from} and a server of ${to}: every kind of call`, async (t) => {
        const { sluice, port } = await through(t, [servers[to].port]);
        const client = clients[from];
        assert.equal(await call(client, port, 'hello', 'Ann'), `hello Ann from server${to} blue/1.0.0`);
        assert.equal(await call(client, port, 'hello', 'Bob', { group: '', version: '2.0.0' }), `hello Bob from server${to} /2.0.0`);
        assert.equal(await call(client, port, 'now', 'UTC', { service: 'Clock', group: '', version: '' }), `noon in UTC says server${to} /`);
        assert.match(await call(client, port, 'attachments', '', { attachments: 'x-env=test' }), /(^|,)x-env=test(,|$)/);
        await assert.rejects(call(client, port, 'fail', 'as asked'), /^Error: IllegalStateException: as asked$/);
        await assert.rejects(call(client, port, 'refuse', 'no, thanks'), /^Error: Refusal: no, thanks$/);
        assert.equal(await call(client, port, '$hello', 'Cid'), `hello Cid from server${to} blue/1.0.0`);
        const told = `${from} to ${to}`;
        assert.equal(await call(client, port, 'tell', told), '');
        await until('the one-way call arrived', async () => (await servers[to].program.run('told')).split(',').includes(told), 30_000);
        await until('a line for each call', () => sluice.lines.length === 8, 30_000);
        // The exceptions count apart from results and from failures of the host; a generic call is known by the method it is for.
        const lines = ['hello 200', 'hello 200', 'attachments 200', 'fail 422', 'refuse 422', 'hello 200', 'tell 200'].map((line) => `com.example.Greeter.${line} - servers`);
        lines.splice(2, 0, 'com.example.Clock.now 200 - servers');
        assert.deepEqual(sluice.lines, lines);
        assert.equal(await sluice.metric('sluice_cluster_connects_total'), 1, 'one connection to the host');
        assert.equal(await sluice.metric('sluice_cluster_active_requests'), 0);
      });
    }
  }

  test('arguments and results of megabytes', async (t) => {
    const { sluice, port } = await through(t, [servers['3.3'].port], { options: '{max_whole: 1200KiB}' });
    for (const version of versions) {
      assert.equal(await call(clients[version], port, 'length', MIB), String(MIB), 'gathered');
      assert.equal(await call(clients[version], port, 'length', 3 * MIB), String(3 * MIB), 'in pieces');
      assert.equal(await call(clients[version], port, 'repeat', 3 * MIB), String(3 * MIB), 'a reply in pieces');
      const many = await Promise.all([500_000, 10, MIB, 20, 2 * MIB].map((n) => call(clients[version], port, n % 20 === 0 ? 'repeat' : 'length', n)));
      assert.deepEqual(many, ['500000', '10', String(MIB), '20', String(2 * MIB)]);
    }
    assert.equal(await sluice.metric('sluice_listener_reasons_total'), 0);
  });

  test('service, group, version, method and attachments choose the cluster, also of a call with a megabyte of arguments; attachments are edited', async (t) => {
    const port = await freePort();
    const [a, b] = [servers['3.3'].port, servers['2.7'].port];
    const sluice = await start(t, {
      config: `${LOG}
listeners: [{name: in, address: "127.0.0.1:${port}", protocol: dubbo, routes: main}]
routes:
  - name: main
    routes:
      - {match: {service: com.example.Clock}, cluster: b}
      - {match: {service: com.example.Greeter, version: 2.0.0}, cluster: b}
      - {match: {header.x-tenant: moved}, cluster: b, request_headers: {set: {group: gray, x-new: "a long value, longer than thirty-two characters é"}, remove: [x-tenant]}}
      - {match: {group: gray}, cluster: b}
      - {match: {service: com.example.Greeter, method: refuse}, direct_response: {status: 404, body: "not to be refused"}}
      - {match: {header.x-env: {prefix: te}}, cluster: b}
      - {match: {group: blue}, cluster: a}
clusters:
  - {name: a, protocol: dubbo, hosts: "127.0.0.1:${a}"}
  - {name: b, protocol: dubbo, hosts: "127.0.0.1:${b}"}
`,
    });
    for (const version of versions) {
      const client = clients[version];
      const who = async (options: Call): Promise<string> => (await call(client, port, 'hello', 'x', options)).replace('hello x from ', '');
      assert.equal(await who({}), 'server3.3 blue/1.0.0');
      assert.equal(await who({ group: 'gray' }), 'server2.7 gray/1.0.0');
      assert.equal(await who({ group: '', version: '2.0.0' }), 'server2.7 /2.0.0');
      assert.equal(await call(client, port, 'now', 'UTC', { service: 'Clock', group: '', version: '' }), 'noon in UTC says server2.7 /');
      assert.equal(await who({ attachments: 'x-env=test' }), 'server2.7 blue/1.0.0');
      const edited = await call(client, port, 'attachments', '', { attachments: 'x-tenant=moved' });
      assert.match(edited, /x-new=a long value, longer than thirty-two characters é/);
      assert.doesNotMatch(edited, /x-tenant/);
      assert.equal(await call(client, port, 'length', MIB, { group: 'gray' }), String(MIB));
      assert.equal(await call(client, port, 'length', MIB, { attachments: 'x-env=more' }), String(MIB));
      const long = (): string[] => sluice.lines.filter((line) => line.startsWith('com.example.Greeter.length ')).slice(version === '3.3' ? 0 : 2);
      await until('the lines of the long calls', () => long().length === 2, 30_000);
      assert.deepEqual(long(), ['com.example.Greeter.length 200 - b', 'com.example.Greeter.length 200 - a']);
      await assert.rejects(call(client, port, 'refuse', 'x'), /not to be refused/);
      await assert.rejects(call(client, port, 'hello', 'x', { group: 'green' }), /no route matches: .* needs .*\(no-route\)/);
    }
  });

  test('fastjson2: routed by attachments as well, and errors are read', async (t) => {
    const server = await serve('3.3', 'fast', ['fastjson2']);
    const { sluice, port } = await through(t, [server.port], { route: '}, {match: {group: green}, direct_response: {body: "by the route"}' });
    const options = '&serialization=fastjson2&prefer.serialization=fastjson2';
    const client = clients['3.3'];
    assert.equal(await call(client, port, 'hello', 'Ann', { options }), 'hello Ann from fast blue/1.0.0');
    assert.match(await call(client, port, 'attachments', '', { options, attachments: 'k=v' }), /k=v/);
    await assert.rejects(call(client, port, 'fail', 'as asked', { options }), /IllegalStateException: as asked/);
    await until('the lines', () => sluice.lines.length === 3, 30_000);
    assert.match(sluice.lines[2]!, /com\.example\.Greeter\.fail 422/);
    await server.program.stop();
    await assert.rejects(call(client, port, 'hello', 'Ann', { options }), /refused the connection \(connect-refused\)/);
  });

  test('what the proxy cannot do is said in words that both clients show, and a slow call ends by the time that its client gave it', async (t) => {
    const dead = await freePort();
    const { sluice, port } = await through(t, [servers['3.3'].port], { route: ', timeout: 30s' });
    const lost = await through(t, [dead]);
    for (const version of versions) {
      const client = clients[version];
      await assert.rejects(call(client, lost.port, 'hello', 'x'), new RegExp(`127\\.0\\.0\\.1:${dead} refused the connection \\(connect-refused\\)`));
      await assert.rejects(call(client, port, 'slow', 20_000, { options: '&timeout=700' }), /timeout/i);
    }
    // 2.7 tells nobody how long it waits.
    await until('the call of 3.3 was given up', () => sluice.lines.some((line) => /slow 504 request-timeout/.test(line)), 30_000);
    assert.equal(await call(clients['3.3'], port, 'hello', 'again'), 'hello again from server3.3 blue/1.0.0');
  });

  test('a server that is killed half way: calls that may be repeated are, and none fails', async (t) => {
    const [one, two] = [await serve('3.3', 'one'), await serve('2.7', 'two')];
    const { sluice, port } = await through(t, [one.port, two.port], { route: ', idempotent: true, retry: {on: [connect-failure, reset], attempts: 4}' });
    await load(clients['3.3'], port, 400, 200, () => one.program.kill('SIGKILL'));
    assert.equal(await sluice.metric('sluice_listener_reasons_total'), 0, 'no exchange ended badly');
    assert.equal(await sluice.metric('sluice_listener_requests_total', 'listener="in"'), 400);
    await two.program.stop();
  });

  test('a server that hangs half way: what it does not answer is asked elsewhere, and none fails', async (t) => {
    const [one, two] = [await serve('2.7', 'one'), await serve('3.3', 'two')];
    const { sluice, port } = await through(t, [one.port, two.port], {
      route: ', idempotent: true, retry: {on: [connect-failure, reset, try-timeout], attempts: 6, per_try_timeout: 1500ms}',
      cluster: 'breaker: {retry_budget: {percent: 100, min: 100}}\n    health_check: {type: dubbo, interval: 500ms, timeout: 1s, retry_interval: 200ms, unhealthy_threshold: 1}',
    });
    await load(clients['3.3'], port, 400, 200, () => one.program.kill('SIGSTOP'));
    assert.equal(await sluice.metric('sluice_listener_reasons_total'), 0, 'no exchange ended badly');
    assert.ok((await sluice.metric('sluice_cluster_retries_total')) > 0);
    await one.program.stop();
    await two.program.stop();
  });

  for (const version of versions) {
    test(`a server of ${version} that stops in good order says READONLY: it gets nothing new, and no call fails without a second try`, async (t) => {
      const [one, two] = [await serve(version, 'one'), await serve(version, 'two')];
      const { sluice, port } = await through(t, [one.port, two.port], { cluster: 'health_check: {type: dubbo, interval: 500ms, retry_interval: 200ms, unhealthy_threshold: 1}' });
      await load(clients['2.7'], port, 700, 300, () => one.program.kill('SIGTERM'));
      assert.equal(await sluice.metric('sluice_listener_reasons_total'), 0, 'no exchange ended badly');
      await one.program.stop();
      await two.program.stop();
    });
  }

  // 2.7 takes no two addresses without a registry.
  test('a client with two providers leaves the one that drains when it is told so, and loses no call', async (t) => {
    const one = await through(t, [servers['3.3'].port], { options: '{goaway: true}' });
    const two = await through(t, [servers['2.7'].port], { options: '{goaway: true}' });
    const url = [one, two].map(({ port }) => `dubbo://${NAME}:${port}?retries=0&timeout=20000`).join(';');
    let left = 300;
    const lanes = Array.from({ length: 8 }, async () => {
      while (left-- > 0) {
        if (left === 150) one.sluice.kill('SIGTERM');
        assert.match(await clients['3.3'].run('call', url, 'Greeter', 'blue', '1.0.0', '', 'slow', 20), /^server\S+ blue\/1.0.0$/);
      }
    });
    await Promise.all(lanes);
    assert.equal(await one.sluice.exited, 0);
    assert.equal(await two.sluice.metric('sluice_listener_reasons_total'), 0);
  });

  test('heartbeats go both ways on connections that are idle', async (t) => {
    // Left without an answer, Sluice would give its connection up after 2 s, and the clients theirs after 0.9.
    const { sluice, port } = await through(t, [servers['3.3'].port], { cluster: 'heartbeat: {interval: 100ms, timeout: 500ms, misses: 4}' });
    const ask = async (): Promise<void> => {
      for (const version of versions) assert.equal(await call(clients[version], port, 'hello', 'x', { options: '&heartbeat=300' }), 'hello x from server3.3 blue/1.0.0');
    };
    await ask();
    await new Promise((r) => setTimeout(r, 4000));
    await ask();
    assert.equal(await sluice.metric('sluice_cluster_connects_total'), 1, 'the connection to the host stayed');
    assert.equal(await sluice.metric('sluice_listener_accepted_total', 'listener="in"'), 2, 'those of the clients too');
  });

  test('two hops, plain and with certificates on both sides between them', async (t) => {
    const certs = resolve('test/support/certs');
    const [plain, secure, front, mutual] = (await freePorts(4)) as [number, number, number, number];
    await start(t, {
      config: `
listeners:
  - {name: plain, address: "127.0.0.1:${plain}", protocol: dubbo, cluster: servers}
  - name: secure
    address: "127.0.0.1:${secure}"
    protocol: dubbo
    cluster: servers
    tls: {client_auth: required, ca: ${certs}/ca.pem, certificates: [{cert: ${certs}/localhost.pem, key: ${certs}/localhost.key}]}
clusters: [{name: servers, protocol: dubbo, hosts: "127.0.0.1:${servers['3.3'].port}"}]
`,
    });
    await start(t, {
      config: `
listeners:
  - {name: front, address: "127.0.0.1:${front}", protocol: dubbo, cluster: plain}
  - {name: mutual, address: "127.0.0.1:${mutual}", protocol: dubbo, cluster: secure}
clusters:
  - {name: plain, protocol: dubbo, hosts: "127.0.0.1:${plain}"}
  - {name: secure, protocol: dubbo, hosts: "localhost:${secure}", tls: {ca: ${certs}/ca.pem, cert: ${certs}/client.pem, key: ${certs}/client.key}}
`,
    });
    for (const version of versions) {
      for (const port of [front, mutual]) {
        const many = await Promise.all(Array.from({ length: 30 }, (_, i) => call(clients[version], port, 'hello', i)));
        assert.deepEqual(many, Array.from({ length: 30 }, (_, i) => `hello ${i} from server3.3 blue/1.0.0`));
        assert.equal(await call(clients[version], port, 'length', 3 * MIB), String(3 * MIB));
        await assert.rejects(call(clients[version], port, 'fail', 'as asked'), /as asked/);
      }
    }
  });
});

/** `total` calls, 16 at a time, with `at` called in the middle; every one must be answered, and by the call it belongs to. */
async function load(client: JavaProgram, port: number, total: number, middle: number, at: () => void): Promise<void> {
  const counts = new Map<string, number>();
  let next = 0;
  const lanes = Array.from({ length: 16 }, async () => {
    while (next < total) {
      const i = next++;
      if (i === middle) at();
      const found = /^hello n(\d+) from (\w+)/.exec(await call(client, port, 'hello', `n${i}`));
      assert.equal(found?.[1], String(i), 'the reply belongs to this call');
      counts.set(found![2]!, (counts.get(found![2]!) ?? 0) + 1);
    }
  });
  await Promise.all(lanes);
  assert.deepEqual([...counts.keys()].sort(), ['one', 'two'], 'both servers took part');
}

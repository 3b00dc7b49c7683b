// The oldest SOFARPC that is still met, 5.5.0 over SOFABolt 1.4.6, through a Bolt listener, alone and crossed with today's.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { JavaProgram, prepareJava, type JavaClasses } from '../support/java.js';
import { freePort, freePorts, start, until } from '../support/sluice.js';

const programs = ['Hello', 'Person', 'SofaClient', 'SofaServer'].map((name) => `test/peers/java/sofa/${name}.java`);
const prepared = [prepareJava('test/peers/java/sofa55', ...programs), prepareJava('test/peers/java/sofa')];
const missing = prepared.find((one) => 'skip' in one);
const skip = missing !== undefined && 'skip' in missing ? missing.skip : false;

/** The serialisation of its time looks into the classes of the JDK. */
const OPEN = ['--add-opens', 'java.base/java.lang=ALL-UNNAMED', '--add-opens', 'java.base/java.util=ALL-UNNAMED'];

interface Load {
  readonly good: Readonly<Record<string, number>>;
  readonly bad: Readonly<Record<string, number>>;
}

describe('SOFARPC 5.5', { skip, timeout: 240_000 }, () => {
  const running: JavaProgram[] = [];
  const java = (version: 'old' | 'new', main: string, ...args: ReadonlyArray<string | number>): JavaProgram => {
    const program = new JavaProgram(prepared[version === 'old' ? 0 : 1] as JavaClasses, `com.example.${main}`, args, OPEN);
    running.push(program);
    return program;
  };
  let clients: JavaProgram[] = [];
  let oldServer = 0;
  let newServer = 0;

  before(async () => {
    [oldServer, newServer] = (await freePorts(2)) as [number, number];
    clients = [java('old', 'SofaClient'), java('new', 'SofaClient')];
    java('old', 'SofaServer', oldServer, 'old', 'blue');
    java('new', 'SofaServer', newServer, 'new', 'blue');
    await Promise.all(running.map((program) => program.ready));
  });

  after(() => Promise.all(running.map((program) => program.stop())));

  test('calls every way, alone and crossed', async (t) => {
    for (const [server, name] of [[oldServer, 'old'], [newServer, 'new']] as const) {
      const port = await freePort();
      await start(t, { file: 'configs/bolt.yaml', env: { LISTEN: `127.0.0.1:${port}`, UPSTREAM: `127.0.0.1:${server}` } });
      for (const client of name === 'old' ? clients : clients.slice(0, 1)) {
        for (const kind of ['sync', 'future', 'callback']) assert.equal(await client.run(kind, port, kind), `hello ${kind} from ${name}`);
        assert.equal(await client.run('unique', port, 'blue', 'x'), `hello x from ${name}-blue`);
        assert.equal(await client.run('older', port, 'Ann'), `Ann of ${name} is 42`);
        assert.equal(await client.run('echo', port, 400_000), 'same');
        await assert.rejects(client.run('fail', port, 'as asked'), /^Error: IllegalStateException: as asked/);
        await assert.rejects(client.run('slow', port, 3000, 300), /SofaTimeOutException/);
      }
    }
  });

  test('reads why a call was not served', async (t) => {
    const port = await freePort();
    const dead = await freePort();
    await start(t, { file: 'configs/bolt.yaml', env: { LISTEN: `127.0.0.1:${port}`, UPSTREAM: `127.0.0.1:${dead}` } });
    await assert.rejects(clients[0]!.run('sync', port, 'x'), /SofaRpcException.*host 127\.0\.0\.1:\d+ refused the connection/);
  });

  test('loses no idempotent call when one of two servers is killed', async (t) => {
    const [port, target] = (await freePorts(2)) as [number, number];
    const doomed = java('old', 'SofaServer', target, 'doomed');
    await doomed.ready;
    const sluice = await start(t, {
      config: `
listeners: [{name: bolt, address: "127.0.0.1:${port}", protocol: bolt, routes: main}]
routes: [{name: main, routes: [{match: {}, cluster: servers, idempotent: true, retry: {on: [connect-failure, reset], attempts: 3}}]}]
clusters: [{name: servers, protocol: bolt, hosts: "127.0.0.1:${oldServer},127.0.0.1:${target}", health_check: {type: bolt, interval: 500ms, retry_interval: 200ms, unhealthy_threshold: 1}}]
`,
    });
    const load = clients[0]!.run('load', port, 8, 600, 15);
    await until('both answer', async () => (await sluice.metric('sluice_listener_requests_total')) > 150);
    doomed.kill();
    const { good, bad } = JSON.parse(await load) as Load;
    assert.deepEqual(bad, {});
    assert.ok(good['old']! > 200 && good['doomed']! > 30, JSON.stringify(good));
  });
});

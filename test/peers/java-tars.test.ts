// Unmodified Java peers, TarsJava 1.7.2, through a Tars listener: calls of any size, errors with their reasons, heartbeats, TUP, one server killed.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import { JavaProgram, prepareJava } from '../support/java.js';
import { freePort, freePorts, start, until, type Sluice } from '../support/sluice.js';

const peers = prepareJava('test/peers/java/tars');
const skip = 'skip' in peers ? peers.skip : false;

interface Attributes {
  tupVersion: number;
  writeString(name: string, value: string): void;
  readString(name: string): string;
}
interface TupProxy {
  readonly _worker: { version: number; timeout: number; tup_invoke(name: string, attributes: Attributes, properties: object): Promise<{ response: { tup: Attributes } }> };
}
interface Communicator {
  stringToProxy(proxy: new () => object, name: string): TupProxy;
  destroy(): void;
}
const require = createRequire(resolve('package.json'));

/** What TarsJava looks for on the class path: its servants; and a log that is quiet. */
let settings = '';
const servants = '<servants><servant name="Obj"><home-api>com.example.HelloServant</home-api><home-class>com.example.HelloServantImpl</home-class></servant></servants>';
const java = (main: string, ...args: (string | number)[]): JavaProgram => {
  assert.ok(!('skip' in peers));
  return new JavaProgram({ classPath: [settings, peers.classPath].join(delimiter) }, `com.example.${main}`, args);
};

async function serve(): Promise<{ program: JavaProgram; port: number }> {
  const [port, admin] = (await freePorts(2)) as [number, number];
  const program = java('TarsServer', port, admin);
  await program.ready;
  return { program, port };
}

/** A listener to these hosts; heartbeats are so frequent that a host which did not answer them would lose its calls. */
async function through(t: TestContext, hosts: readonly number[], route = '', slow = ''): Promise<{ sluice: Sluice; port: number }> {
  const port = await freePort();
  const config = `
listeners: [{name: tars, address: "127.0.0.1:${port}", protocol: tars, routes: main}]
routes:
  - name: main
    routes:
      - {match: {service: App.Server.Obj, method: slow}, cluster: servers${slow}}
      - match: {service: App.Server.Obj}
        cluster: servers
        reply_headers: {set: {x-by: sluice}}
        ${route}
clusters:
  - name: servers
    hosts: ${hosts.map((p) => `127.0.0.1:${p}`).join(',')}
    protocol: tars
    heartbeat: {interval: 100ms, timeout: 5s, misses: 3}
    health_check: {type: tars, interval: 500ms, retry_interval: 100ms, timeout: 20s, unhealthy_threshold: 1, options: {servant: App.Server.Obj}}
access_log: {format: "%operation% %response_code% %reason%"}
`;
  return { sluice: await start(t, { config }), port };
}

describe('TarsJava', { skip }, () => {
  let client: JavaProgram;
  let server: { program: JavaProgram; port: number };
  const others: JavaProgram[] = [];

  before(async () => {
    settings = mkdtempSync(join(tmpdir(), 'sluice-tars-'));
    writeFileSync(join(settings, 'servants.xml'), servants);
    writeFileSync(join(settings, 'logback.xml'), '<configuration><root level="OFF"/></configuration>');
    client = java('TarsClient');
    [server] = await Promise.all([serve(), client.ready]);
  });

  after(async () => {
    await Promise.all([client, server?.program, ...others].map((program) => program?.stop()));
    rmSync(settings, { recursive: true, force: true });
  });

  test('calls of any size', { timeout: 120_000 }, async (t) => {
    const { sluice, port } = await through(t, [server.port]);
    assert.equal(await client.run('call', port, 'App.Server.Obj', 'hello', 'jane'), `jane from ${server.port}`);
    for (const size of [0, 1, 100, 255, 256, 329, 629, 3029, 65_536, 70_031, 300_000, 2_000_000]) assert.equal(await client.run('size', port, size), 'true', `${size}`);
    assert.equal(await sluice.metric('sluice_listener_reasons_total'), 0);
    assert.equal(await sluice.metric('sluice_health_check_failures_total'), 0);
    assert.equal(await sluice.metric('sluice_cluster_resets_total'), 0);
  });

  test('errors of the server and of the proxy are the library\'s own exceptions', { timeout: 60_000 }, async (t) => {
    const { port } = await through(t, [server.port], '', ', retry: {attempts: 1, per_try_timeout: 500ms}');
    await assert.rejects(client.run('call', port, 'App.Server.Obj', 'missing', 'x'), /ServerNoFuncException/);
    await assert.rejects(client.run('call', port, 'App.Server.Other', 'hello', 'x'), /ServerNoServantException.*no route matches/);
    await assert.rejects(client.run('call', port, 'App.Server.Obj', 'slow', 'x'), /server error code -7.*within the 500 ms of one try/);
    assert.equal(await client.run('call', port, 'App.Server.Obj', 'hello', 'again'), `again from ${server.port}`);
  });

  test('a TUP client of @tars/rpc is served by it', { timeout: 60_000 }, async (t) => {
    const { port } = await through(t, [server.port]);
    const { Communicator } = require('@tars/rpc') as { Communicator: { New(): Communicator } };
    const { UniAttribute } = require('@tars/stream') as { UniAttribute: new () => Attributes };
    for (const version of [2, 3]) {
      const communicator = Communicator.New();
      t.after(() => communicator.destroy());
      const { _worker: worker } = communicator.stringToProxy(class {}, `App.Server.Obj@tcp -h 127.0.0.1 -p ${port} -t 60000`);
      worker.version = version;
      worker.timeout = 10_000;
      const attributes = new UniAttribute();
      attributes.tupVersion = version;
      attributes.writeString('name', 'tup');
      assert.equal((await worker.tup_invoke('hello', attributes, {})).response.tup.readString(''), `tup from ${server.port}`);
    }
  });

  test('two servers, one killed half way: no idempotent call fails', { timeout: 120_000 }, async (t) => {
    const second = await serve();
    others.push(second.program);
    const { sluice, port } = await through(t, [server.port, second.port], 'idempotent: true\n        retry: {on: [connect-failure, reset], attempts: 4}');
    const loads = Array.from({ length: 4 }, () => client.run('load', port, 400));
    await until('the load runs', async () => (await sluice.metric('sluice_listener_requests_total', 'listener="tars"')) > 200, 60_000);
    await second.program.stop();
    const counts = new Map<string, number>();
    for (const load of await Promise.all(loads)) for (const [, who, n] of load.matchAll(/(\d+)=(\d+)/g)) counts.set(who!, (counts.get(who!) ?? 0) + Number(n));
    assert.equal([...counts.values()].reduce((a, b) => a + b), 1600);
    assert.equal(counts.size, 2, 'both took part');
    assert.equal(await sluice.metric('sluice_listener_reasons_total'), 0);
  });
});

// The client library of Node leaves timers behind that would keep this process.
after(() => setTimeout(() => process.exit(), 1000).unref());

// Unmodified Java SOFARPC 5.13.2 with its registry `mesh`: applications that know only the address of the mesh offer and call services through it.
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { JavaProgram, prepareJava } from '../support/java.js';
import { freePorts, start, until, type Sluice } from '../support/sluice.js';

const peers = prepareJava('test/peers/java/sofa');
/** The oldest SDK that is still met. */
const oldPeers = prepareJava('test/peers/java/sofa55', ...['Hello', 'Person', 'SofaClient', 'SofaServer', 'MeshApp'].map((name) => `test/peers/java/sofa/${name}.java`));
/** The serialisation of its time looks into the classes of the JDK. */
const OPEN = ['--add-opens', 'java.base/java.lang=ALL-UNNAMED', '--add-opens', 'java.base/java.util=ALL-UNNAMED'];
// The SDK calls port 12220 of the mesh's host, whatever it is told: each run has a loopback address of its own, which Linux has many of.
const skip = 'skip' in peers ? peers.skip : process.platform === 'linux' ? false : 'needs loopback addresses besides 127.0.0.1';
if (skip !== false) process.stderr.write(`the mesh is not tried with Java: ${skip}\n`);
const own = (): string => `127.${randomInt(1, 255)}.${randomInt(1, 255)}.${randomInt(1, 255)}`;

interface ConfigState {
  readonly wanted: number;
  readonly running: number;
  readonly effective: { readonly clusters: readonly { readonly name: string }[] };
}
interface Load {
  readonly good: Readonly<Record<string, number>>;
  readonly bad: Readonly<Record<string, number>>;
}

describe('applications with the registry mesh', { skip, timeout: 280_000 }, () => {
  const here = own();
  const there = own();
  const services = (): string => join(folder, 'services.yaml');
  let folder = '';
  let sluice: Sluice;
  /** The sidecar of applications on another machine, which finds services in a file. */
  let remote: Sluice;
  let app: JavaProgram;
  let caller: JavaProgram;
  let stranger: JavaProgram;
  let ports: number[];
  const ends: (() => unknown)[] = [];

  /** The application that says nothing of itself listens at the last of the ports. */
  const section = (): string => `mesh: {sofa: {address: "${here}:13330", app: "127.0.0.1:${ports[3]}"}}`;
  const write = (text: string): void => {
    writeFileSync(`${services()}.new`, text);
    renameSync(`${services()}.new`, services());
  };
  const program = (mesh: string, classes = peers): JavaProgram => {
    assert.ok(!('skip' in classes));
    const made = new JavaProgram(classes, 'com.example.MeshApp', [`http://${mesh}:13330`], OPEN);
    ends.push(() => made.stop());
    return made;
  };

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'sluice-mesh-peers-'));
    ends.push(() => rmSync(folder, { recursive: true, force: true }));
    write('services: {}');
    ports = await freePorts(4);
    const context = { after: (end: () => unknown) => void ends.unshift(end) } as unknown as Parameters<typeof start>[0];
    const log = 'access_log: {format: "%operation% %response_code% %reason% %listener_name% %upstream_cluster%"}';
    [sluice, remote] = await Promise.all([
      start(context, { config: `${log}\n${section()}` }),
      start(context, { config: `${log}\nmesh: {sofa: {address: "${there}:13330", discovery: {type: file, path: ${services()}, refresh: 50ms}}}` }),
    ]);
    [app, caller, stranger] = [program(here), program(here), program(there)];
    await Promise.all([app, caller, stranger].map((one) => one.ready));
  });

  after(async () => {
    for (const end of ends) await end();
  });

  const clusters = async (of = sluice): Promise<string[]> => (await of.json<ConfigState>('/config')).effective.clusters.map((cluster) => cluster.name);

  test('publish a service to the mesh, subscribe to it, and call each other by way of it', async () => {
    assert.equal(await app.run('export', '-', ports[0]!, 'A', ports[0]!), 'exported');
    await until('it is published', async () => (await clusters()).includes(`sofa:app@127.0.0.1:${ports[0]}`));
    assert.equal(await caller.run('refer', '-'), 'referred');
    assert.equal(await caller.run('call', '-', 'Ann'), 'hello Ann from A');
    const passed = await until('both listeners logged it', () => {
      const lines = sluice.lines.filter((line) => line.includes('sayHello'));
      return lines.length === 2 ? lines.sort() : null;
    });
    assert.deepEqual(passed, [
      `"com.example.Hello:1.0.sayHello" 200 - sofa:inbound sofa:app@127.0.0.1:${ports[0]}`,
      '"com.example.Hello:1.0.sayHello" 200 - sofa:outbound sofa:com.example.Hello:1.0',
    ].map((line) => line.replaceAll('"', passed[0]!.startsWith('"') ? '"' : '')));
    const shown = (await sluice.get('/clusters?format=text')).text;
    assert.match(shown, /sofa:com\.example\.Hello:1\.0 \(bolt\): hosts by memory/);
    assert.match(shown, new RegExp(`${here}:12201`));
  });

  test('call beyond their machine, through the mesh of either side', async () => {
    write(`services: {"com.example.Hello:1.0": "${here}:12201"}`);
    assert.equal(await stranger.run('refer', '-'), 'referred');
    assert.equal(await stranger.run('call', '-', 'Bob'), 'hello Bob from A');
    await until('it passed two meshes', () => remote.lines.some((line) => line.includes('sofa:outbound')) && sluice.lines.filter((line) => line.includes('sofa:inbound')).length >= 2);
  });

  test('of SOFARPC 5.5 do the same, with those of today', { skip: 'skip' in oldPeers ? oldPeers.skip : false }, async () => {
    const old = program(here, oldPeers);
    await old.ready;
    assert.equal(await old.run('refer', '-'), 'referred');
    assert.equal(await old.run('call', '-', 'Ida'), 'hello Ida from A');
    // Its requests have neither protocol nor parameters, so that where it listens is for the configuration to say.
    assert.equal(await old.run('export', 'aged', ports[3]!, 'O'), 'exported');
    await until('it is published', async () => (await clusters()).includes(`sofa:app@127.0.0.1:${ports[3]}`));
    assert.equal(await caller.run('refer', 'aged'), 'referred');
    assert.equal(await caller.run('call', 'aged', 'Jim'), 'hello Jim from O');
    assert.equal(await caller.run('unrefer', 'aged'), 'unreferred');
    assert.equal(await old.run('unexport', 'aged'), 'unexported');
    assert.equal(await old.run('unrefer', '-'), 'unreferred');
    assert.equal(await caller.run('call', '-', 'Kay'), 'hello Kay from A', 'one subscription less is not none');
  });

  test('lose no call while instances come and go, and others subscribe', async () => {
    assert.equal(await app.run('export', 'second', ports[1]!, 'B', ports[1]!), 'exported');
    const load = stranger.run('load', '-', 4, 5000, 0);
    for (let i = 0; i < 6; i++) {
      // A second address of the same instance: the hosts change, the application stays.
      write(`services: {"com.example.Hello:1.0": "${here}:12201${i % 2 === 0 ? `,127.0.0.1:${ports[0]}` : ''}"}`);
      await caller.run('refer', `passing-${i}`);
      await new Promise((resolve) => setTimeout(resolve, 500));
      await caller.run('unrefer', `passing-${i}`);
    }
    const { good, bad } = JSON.parse(await load) as Load;
    assert.deepEqual(bad, {});
    assert.ok(good['A']! > 50, JSON.stringify(good));
    assert.deepEqual((await clusters()).filter((name) => name.includes('passing')), []);
  });

  test('subscribe by the hundreds at their start, without a change of the configuration for each', async () => {
    const before = (await sluice.json<ConfigState>('/config')).wanted;
    const [good, , ms] = (await caller.run('many', 300)).split(' ');
    assert.equal(good, '300', `after ${ms} ms`);
    const { wanted } = await sluice.json<ConfigState>('/config');
    // Each thread of the SDK, of which there are 20, waits for its answer before it asks again.
    assert.ok(wanted - before < 150, `${wanted - before} changes`);
    assert.equal((await clusters()).filter((name) => name.includes('many')).length, 300);
    assert.equal(await caller.run('fewer'), 'unreferred');
    assert.deepEqual((await clusters()).filter((name) => name.includes('many')), []);
  });

  test('go on after the file of the mesh is read again, and after the mesh is another process', async (t) => {
    const { text } = await sluice.get('/config');
    assert.match(text, /sofa:com\.example\.Hello:1\.0/);
    writeFileSync(sluice.file, `admin: {address: ${sluice.admin}}\naccess_log: false\n${section()}\n`);
    assert.equal((await fetch(`http://${sluice.admin}/reload`, { method: 'POST' })).status, 200);
    assert.equal(await caller.run('call', '-', 'Cid'), 'hello Cid from A');

    const third = own();
    const kept = join(folder, 'kept.json');
    const config = `mesh: {sofa: {address: "${third}:13330", state: ${kept}}}`;
    const first = await start(t, { config });
    const both = program(third);
    await both.ready;
    await both.run('export', '-', ports[2]!, 'C', ports[2]!);
    await both.run('refer', '-');
    await until('it is published', async () => (await clusters(first)).length === 2);
    assert.equal(await both.run('call', '-', 'Dan'), 'hello Dan from C');
    first.kill('SIGKILL');
    await first.exited;
    const second = await start(t, { config });
    assert.equal((await clusters(second)).length, 2);
    await until('the SDK has connected again', async () => {
      try {
        return (await both.run('call', '-', 'Eve')) === 'hello Eve from C';
      } catch {
        return false;
      }
    }, 60_000);
  });

  test('are told when a service has no instance, and find it again', async () => {
    assert.equal(await app.run('unexport', '-'), 'unexported');
    await assert.rejects(caller.run('call', '-', 'Fay'), /no host|no-host/);
    // At another port: the former one may be another's by now.
    const [port] = (await freePorts(1)) as [number];
    assert.equal(await app.run('export', '-', port, 'A2', port), 'exported');
    await until('it is called again', async () => {
      try {
        return (await caller.run('call', '-', 'Gus')) === 'hello Gus from A2';
      } catch {
        return false;
      }
    });
    assert.equal(await caller.run('unrefer', '-'), 'unreferred');
    await until('it is routed no more', async () => !(await clusters()).includes('sofa:com.example.Hello:1.0'));
  });
});

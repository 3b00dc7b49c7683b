// Unmodified Java Dubbo 3.3 behind the mesh's endpoints: services that are announced as to MOSN, called directly at the mesh's listener.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { JavaProgram, prepareJava } from '../support/java.js';
import { freePorts, start, until, type Sluice } from '../support/sluice.js';

const peers = prepareJava('test/peers/java/dubbo');
const skip = 'skip' in peers ? peers.skip : false;
if (skip !== false) process.stderr.write(`the mesh is not tried with Java Dubbo: ${skip}\n`);
/** Dubbo replaces 127.0.0.1 in a provider's address by the address of the machine; a name that only the JVM knows stays what it is. */
const NAME = 'sluice.test';
const GREETER = 'com.example.Greeter';

interface Told {
  readonly interface: string;
  readonly group?: string;
  readonly version?: string;
  readonly port?: string;
}

describe('Dubbo applications that are announced to a mesh', { skip, timeout: 200_000 }, () => {
  let folder = '';
  let mesh = 0;
  let out = 0;
  let sluice: Sluice;
  let client: JavaProgram;
  const ports: Record<string, number> = {};
  const ends: (() => unknown)[] = [];

  const program = (main: string, args: ReadonlyArray<string | number> = []): JavaProgram => {
    assert.ok(!('skip' in peers));
    const opened = ['lang', 'math', 'util'].flatMap((name) => ['--add-opens', `java.base/java.${name}=ALL-UNNAMED`]);
    const made = new JavaProgram(peers, `com.example.${main}`, args, [`-Djdk.net.hosts.file=${join(folder, 'hosts')}`, ...opened]);
    ends.push(() => made.stop());
    return made;
  };
  const tell = async (path: string, service: Told): Promise<void> => {
    const body = { registry: { type: 'zookeeper', addr: '127.0.0.1:2181' }, service: { methods: ['hello'], name: 'Greeter', group: '', ...service } };
    const reply = await fetch(`http://127.0.0.1:${mesh}${path}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
    const answer = (await reply.json()) as { err_no: number; err_msg: string };
    assert.equal(answer.err_no, 0, answer.err_msg);
  };
  const hello = (guest: string, group: string, version: string): Promise<string> =>
    client.run('call', `dubbo://${NAME}:${out}?retries=0&timeout=20000`, 'Greeter', group, version, '', 'hello', guest);

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'sluice-mesh-dubbo-'));
    ends.push(() => rmSync(folder, { recursive: true, force: true }));
    writeFileSync(join(folder, 'hosts'), `127.0.0.1 ${NAME} ${hostname()} localhost\n`);
    let inbound = 0;
    [mesh, out, inbound, ports['A'], ports['B']] = (await freePorts(5)) as [number, number, number, number, number];
    const context = { after: (end: () => unknown) => void ends.unshift(end) } as unknown as Parameters<typeof start>[0];
    const servers = [program('DubboServer', [ports['A']!, 'A', 'Greeter/gray/1.0.0,Greeter/gray/2.0.0']), program('DubboServer', [ports['B']!, 'B', 'Greeter/blue/1.0.0'])];
    client = program('DubboClient');
    [sluice] = await Promise.all([
      start(context, { config: `access_log: {format: "%operation% %response_code% %reason% %listener_name% %upstream_cluster%"}\nmesh: {dubbo: {address: "127.0.0.1:${mesh}", listener: "127.0.0.1:${out}", inbound: "127.0.0.1:${inbound}"}}` }),
      ...[...servers, client].map((one) => one.ready),
    ]);
  });

  after(async () => {
    for (const end of ends) await end();
  });

  test('are called by interface, group and version, through both listeners', async () => {
    await tell('/pub', { interface: GREETER, group: 'gray', version: '1.0.0', port: String(ports['A']) });
    await tell('/pub', { interface: GREETER, group: 'gray', version: '2.0.0', port: String(ports['A']) });
    await tell('/pub', { interface: GREETER, group: 'blue', version: '1.0.0', port: String(ports['B']) });
    await tell('/sub', { interface: GREETER, group: 'gray' });
    await tell('/sub', { interface: GREETER, group: 'blue', version: '1.0.0' });
    assert.equal(await hello('Ann', 'gray', '1.0.0'), 'hello Ann from A gray/1.0.0');
    assert.equal(await hello('Bob', 'gray', '2.0.0'), 'hello Bob from A gray/2.0.0');
    assert.equal(await hello('Cid', 'blue', '1.0.0'), 'hello Cid from B blue/1.0.0');
    const line = (listener: string, cluster: string): string => `${GREETER}.hello 200 - ${listener} ${cluster}`;
    await until('both listeners logged each', () => sluice.lines.length === 6, 30_000);
    assert.deepEqual([...sluice.lines].sort(), [
      line('dubbo:inbound', `dubbo:app@127.0.0.1:${ports['A']}`), line('dubbo:inbound', `dubbo:app@127.0.0.1:${ports['A']}`), line('dubbo:inbound', `dubbo:app@127.0.0.1:${ports['B']}`),
      line('dubbo:outbound', `dubbo:${GREETER}@blue#1.0.0`), line('dubbo:outbound', `dubbo:${GREETER}@gray`), line('dubbo:outbound', `dubbo:${GREETER}@gray`),
    ].sort());
    await assert.rejects(hello('Dan', 'green', '1.0.0'), /no-route|no route/);
  });

  test('are found no more once they are withdrawn, and again when they are back', async () => {
    await tell('/unpub', { interface: GREETER, group: 'blue', version: '1.0.0' });
    await assert.rejects(hello('Eve', 'blue', '1.0.0'), /no-host|no host/);
    assert.equal(await hello('Fay', 'gray', '1.0.0'), 'hello Fay from A gray/1.0.0');
    await tell('/pub', { interface: GREETER, group: 'blue', version: '1.0.0', port: String(ports['B']) });
    assert.equal(await hello('Gus', 'blue', '1.0.0'), 'hello Gus from B blue/1.0.0');
    await tell('/unsub', { interface: GREETER, group: 'blue', version: '1.0.0' });
    await assert.rejects(hello('Hal', 'blue', '1.0.0'), /no-route|no route/);
  });
});

// Services that come and go while a real process serves: told by applications over HTTP, or written to a file.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { serveHttp } from '../support/http.js';
import { freePorts, start, until, type Sluice } from '../support/sluice.js';
import { openBolt, serveBolt } from './bolt-peer.js';
import { Load } from './load.js';

interface ConfigState {
  readonly wanted: number;
  readonly running: number;
  readonly effective: { readonly clusters: readonly { readonly name: string }[]; readonly routes: readonly { readonly name: string; readonly routes?: readonly unknown[] }[] };
}

const tell = async (port: number, path: string, body: object): Promise<Record<string, unknown>> => {
  const reply = await fetch(`http://127.0.0.1:${port}${path}`, { method: 'POST', headers: { 'content-type': 'text/plain' }, body: JSON.stringify(body) });
  assert.equal(reply.status, 200);
  return (await reply.json()) as Record<string, unknown>;
};
const subscribe = (port: number, serviceName: string) => tell(port, '/services/subscribe', { serviceName, protocolType: 'bolt', group: null });
const unsubscribe = (port: number, serviceName: string) => tell(port, '/services/unsubscribe', { serviceName, protocolType: 'bolt', group: null });
const publish = (port: number, serviceName: string, app: number) =>
  tell(port, '/services/publish', { serviceName, protocolType: 'bolt', group: null, providerMetaInfo: { protocol: 'bolt', version: '4.0', serializeType: 'hessian2', appName: 'a', properties: { port: String(app) } } });
const clusters = async (sluice: Sluice): Promise<string[]> => (await sluice.json<ConfigState>('/config')).effective.clusters.map((cluster) => cluster.name);

/** Replaced as a whole, as deployments do. */
function replace(file: string, text: string): void {
  writeFileSync(`${file}.new`, text);
  renameSync(`${file}.new`, file);
}

test('instances that a file adds and removes under load cost no call', { timeout: 90_000 }, async (t) => {
  const served = [0, 0, 0];
  const hosts = await Promise.all(
    served.map((_, i) => serveHttp(t, (_request, response) => {
      served[i]!++;
      setTimeout(() => response.end('done'), 5 + 10 * i);
    })),
  );
  const address = (i: number): string => `127.0.0.1:${hosts[i]!.port}`;
  const [port] = await freePorts(1);
  const sluice = await start(t, {
    config: `
access_log: false
listeners: [{name: http, address: "127.0.0.1:${port}", protocol: http1, cluster: app}]
clusters: [{name: app, discovery: {type: file, path: services.yaml, refresh: 20ms}}]
`,
    eager: true,
  });
  const file = sluice.file.replace(/[^/]+$/, 'services.yaml');
  const found = async (): Promise<string> => (await sluice.json<{ hosts: { address: string }[] }[]>('/clusters'))[0]!.hosts.map((host) => host.address).join(',');
  const have = async (list: string): Promise<void> => {
    replace(file, `services:\n  app: "${list}"\n`);
    await until(`the hosts are ${list}`, async () => (await found()) === list);
  };
  await sluice.ready();
  assert.match((await sluice.json<{ lastError: string }[]>('/clusters'))[0]!.lastError, /^cannot read .*services\.yaml: ENOENT$/);
  await have(address(0));
  const load = new Load(t, { port: port!, lanes: 8 });
  await load.more(50);
  for (let round = 0; round < 3; round++) {
    await have([0, 1, 2].map(address).join(','));
    await load.more(60);
    await have(address(1));
    await load.more(60);
    await have(`${address(2)},${address(0)}`);
    await load.more(60);
  }
  replace(file, 'services:\n  app: "nonsense"\n');
  await until('the reason is told', async () => (await sluice.json<{ lastError: string }[]>('/clusters'))[0]!.lastError.includes('the last good version stays in force'));
  assert.equal(await found(), `${address(2)},${address(0)}`);
  await load.more(50);
  await load.stop();
  assert.deepEqual(load.failures, []);
  assert.ok(served.every((count) => count > 50), served.join(' '));
  await until('nothing is in flight', async () => (await sluice.metric('sluice_cluster_active_requests')) === 0);
});

test('services come into force by the hundreds while calls run, and outlive a reading of the file', { timeout: 90_000 }, async (t) => {
  const held: (() => void)[] = [];
  const host = await serveBolt(t, (request, answer) => {
    if (request.content.toString() === 'hold') held.push(() => answer('held'));
    else answer(`done ${request.headers['service']}`);
  });
  const [mesh, out, inbound] = (await freePorts(3)) as [number, number, number];
  const config = (more: string): string => `
access_log: false
listeners:
  - {name: out, address: "127.0.0.1:${out}", protocol: bolt, routes: out}
routes:
  - name: out
    routes:
      - {match: {service: own}, direct_response: {status: 403}}
      ${more}
mesh: {sofa: {address: "127.0.0.1:${mesh}", listener: out, inbound: "127.0.0.1:${inbound}"}}
`;
  const sluice = await start(t, { config: config('') });
  await publish(mesh, 'S:1.0', host.port);
  assert.deepEqual((await subscribe(mesh, 'S:1.0'))['datas'], [`127.0.0.1:${out}?p=1&v=4.0`]);
  const client = await openBolt(t, out);
  assert.equal((await client.call('x', { service: 'S:1.0' })).content.toString(), 'done S:1.0');
  assert.notEqual((await client.call('x', { service: 'other' })).status, 0, 'no route');
  const slow = client.request('hold', { service: 'S:1.0' });
  await until('the slow call is at its host', () => held.length === 1);

  const before = (await sluice.json<ConfigState>('/config')).wanted;
  const many = Array.from({ length: 400 }, (_, i) => `M${i}:1.0`);
  for (const answer of await Promise.all(many.map((name) => subscribe(mesh, name)))) assert.equal(answer['success'], true);
  const state = await sluice.json<ConfigState>('/config');
  assert.ok(state.wanted - before < 100, `${state.wanted - before} changes for 400 subscriptions`);
  assert.equal(state.running, state.wanted);
  assert.equal((await clusters(sluice)).length, 402);
  assert.equal((await client.call('x', { service: 'S:1.0' })).content.toString(), 'done S:1.0');
  const missing = await client.call('x', { service: 'M7:1.0' });
  assert.notEqual(missing.status, 0, 'routed, and without a host');
  assert.equal(await sluice.metric('sluice_listener_reasons_total', 'reason="no-host"'), 1);

  replace(sluice.file, `admin: {address: ${sluice.admin}}\n${config('- {match: {service: late}, direct_response: {status: 404}}')}`);
  assert.equal((await fetch(`http://${sluice.admin}/reload`, { method: 'POST' })).status, 200);
  const after = await sluice.json<ConfigState>('/config');
  assert.equal(after.effective.routes.find((table) => table.name === 'out')!.routes!.length, 403);
  assert.equal((await client.call('x', { service: 'S:1.0' })).content.toString(), 'done S:1.0');

  await Promise.all([...many, 'S:1.0'].map((name) => unsubscribe(mesh, name)));
  assert.deepEqual(await clusters(sluice), [`sofa:app@127.0.0.1:${host.port}`]);
  held[0]!();
  assert.equal((await client.reply(slow)).content.toString(), 'held', 'the call that ran while its route went');
  assert.notEqual((await client.call('x', { service: 'S:1.0' })).status, 0);
  assert.equal(await sluice.metric('sluice_mesh_services', 'role="subscribed"'), 0);
  await until('nothing is in flight', async () => (await sluice.metric('sluice_cluster_active_requests')) === 0);
});

test('an application that is gone is found by nobody until it is back', { timeout: 60_000 }, async (t) => {
  const first = await serveBolt(t, (_request, answer) => answer('first'));
  const [mesh, out, inbound] = (await freePorts(3)) as [number, number, number];
  const sluice = await start(t, { config: `mesh: {sofa: {address: "127.0.0.1:${mesh}", listener: "127.0.0.1:${out}", inbound: "127.0.0.1:${inbound}", app_check: 50ms}}` });
  await publish(mesh, 'S:1.0', first.port);
  await subscribe(mesh, 'S:1.0');
  const client = await openBolt(t, out);
  assert.equal((await client.call('x', { service: 'S:1.0' })).content.toString(), 'first');
  const hosts = async (): Promise<number> => (await sluice.json<{ name: string; hosts: unknown[] }[]>('/clusters')).find(({ name }) => name === 'sofa:S:1.0')!.hosts.length;
  await first.close();
  await until('its service is withdrawn', async () => (await hosts()) === 0);
  assert.notEqual((await client.call('x', { service: 'S:1.0' })).status, 0);
  await serveBolt(t, (_request, answer) => answer('second'), first.port);
  await until('its service is found again', async () => (await hosts()) === 1);
  assert.equal((await client.call('x', { service: 'S:1.0' })).content.toString(), 'second');
});

test('meshes speak TLS with each other where they say so, and plainly with their applications', { timeout: 60_000 }, async (t) => {
  const app = await serveBolt(t, (request, answer) => answer(`done ${request.content.toString()}`));
  const [meshA, outA, inA, meshB, outB, inB] = (await freePorts(6)) as [number, number, number, number, number, number];
  const certs = resolve('test/support/certs');
  const folder = mkdtempSync(join(tmpdir(), 'sluice-mesh-tls-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, 'services.yaml'), `services: {"S:1.0": [{address: "127.0.0.1:${inA}", hostname: localhost}]}\n`);
  const [provider] = await Promise.all([
    start(t, {
      config: `
access_log: {format: "%listener_name% %response_code% %tls_peer_subject%"}
listeners:
  - name: in
    address: 127.0.0.1:${inA}
    protocol: bolt
    routes: in
    tls: {certificates: [{cert: ${certs}/localhost.pem, key: ${certs}/localhost.key}], ca: ${certs}/ca.pem, client_auth: required}
routes: [{name: in, routes: []}]
mesh: {sofa: {address: "127.0.0.1:${meshA}", listener: "127.0.0.1:${outA}", inbound: in}}
`,
    }),
    start(t, {
      config: `
access_log: false
mesh:
  sofa:
    address: 127.0.0.1:${meshB}
    listener: 127.0.0.1:${outB}
    inbound: 127.0.0.1:${inB}
    discovery: {type: file, path: ${folder}/services.yaml}
    cluster: {tls: {ca: ${certs}/ca.pem, cert: ${certs}/client.pem, key: ${certs}/client.key}}
`,
    }),
  ]);
  await publish(meshA, 'S:1.0', app.port);
  await subscribe(meshB, 'S:1.0');
  const client = await openBolt(t, outB);
  assert.equal((await client.call('x', { service: 'S:1.0' })).content.toString(), 'done x');
  await until('the provider logged who called', () => /^in 200 .*CN=/m.test(provider.stdout));
});

/** A registry of one's own, as slow and unreliable as real ones: instances are lines of a file that several processes share. */
const SHARED = `
import { appendFileSync, readFileSync } from 'node:fs';
export const manifest = ({ z, schema, discovery }) => ({
  kind: 'discovery',
  name: 'shared',
  doc: 'A file of instances.',
  schema: discovery.registrySchema({ path: schema.option(z.string(), { doc: 'The file.' }) }),
  registry: ({ path }) => {
    const subscribers = new Set();
    const read = () => {
      const found = new Map();
      for (const line of readFileSync(path, 'utf8').split('\\n').filter((one) => one !== '')) {
        const [what, id, name, instance] = JSON.parse(line);
        if (what === '-') found.delete(id);
        else found.set(id, { name, host: discovery.foundHost(instance) });
      }
      return [...found.values()];
    };
    const look = () => {
      const all = read();
      for (const one of subscribers) {
        one.settled = true;
        one.sink.onHosts(all.filter(({ name, host }) => name === one.service.name && discovery.offers(one.service, host.metadata)).map(({ host }) => host));
      }
    };
    const timer = setInterval(look, 50);
    timer.unref();
    let id = 0;
    return {
      publishes: true,
      subscribe(service, sink) {
        const one = { service, sink, settled: false };
        subscribers.add(one);
        return { state: () => ({ settled: one.settled, error: '', nextRefresh: 50 }), close: () => subscribers.delete(one) };
      },
      publish(service, instance) {
        const own = process.pid + '-' + id++;
        let tries = 0;
        let published = false;
        let withdrawn = false;
        const attempt = () => {
          if (withdrawn) return;
          if (++tries < 3) return setTimeout(attempt, 30);
          appendFileSync(path, JSON.stringify(['+', own, service.name, discovery.instanceOf(service, instance)]) + '\\n');
          published = true;
        };
        attempt();
        return {
          state: () => ({ published, error: published || tries === 0 ? '' : 'tried ' + tries + ' times' }),
          async withdraw() {
            withdrawn = true;
            if (published) appendFileSync(path, JSON.stringify(['-', own]) + '\\n');
            published = false;
          },
        };
      },
      close: () => clearInterval(timer),
    };
  },
});
`;

test('meshes that share a registry of one\'s own find each other\'s services', { timeout: 90_000 }, async (t) => {
  const app = await serveBolt(t, (_request, answer) => answer('from far'));
  const [meshA, outA, inA, meshB, outB, inB] = (await freePorts(6)) as [number, number, number, number, number, number];
  const folder = mkdtempSync(join(tmpdir(), 'sluice-shared-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'instances');
  writeFileSync(file, '');
  writeFileSync(join(folder, 'shared.mjs'), SHARED);
  const config = (mesh: number, out: number, inbound: number): string => `
plugins: [${join(folder, 'shared.mjs')}]
mesh: {sofa: {address: "127.0.0.1:${mesh}", listener: "127.0.0.1:${out}", inbound: "127.0.0.1:${inbound}", discovery: {type: shared, path: ${file}}, wait: 10s}}
`;
  const [provider, consumer] = await Promise.all([start(t, { config: config(meshA, outA, inA) }), start(t, { config: config(meshB, outB, inB) })]);
  assert.equal((await publish(meshA, 'S:1.0', app.port))['success'], true);
  await until('the registry has it', () => readFileSync(file, 'utf8').includes('S:1.0'));
  assert.equal((await subscribe(meshB, 'S:1.0'))['success'], true);
  const client = await openBolt(t, outB);
  assert.equal((await client.call('x', { service: 'S:1.0' })).content.toString(), 'from far', 'at the first call: the subscription waited for the registry');
  provider.kill('SIGTERM');
  assert.equal(await provider.exited, 0);
  const hosts = async (): Promise<number> => (await consumer.json<{ name: string; hosts: unknown[] }[]>('/clusters')).find(({ name }) => name === 'sofa:S:1.0')!.hosts.length;
  await until('the end of the provider is known', async () => (await hosts()) === 0);
  assert.equal((readFileSync(file, 'utf8').match(/"-"/g) ?? []).length, 1);
});

test('an address of the mesh that is taken stops the start, with its name', { timeout: 60_000 }, async (t) => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  t.after(() => taken.close());
  const { port } = taken.address() as { port: number };
  const [out, inbound] = await freePorts(2);
  const sluice = await start(t, { config: `mesh: {sofa: {address: "127.0.0.1:${port}", listener: "127.0.0.1:${out}", inbound: "127.0.0.1:${inbound}"}}`, eager: true });
  assert.equal(await sluice.exited, 1);
  assert.match(sluice.stderr, new RegExp(`mesh\\.sofa cannot listen on 127\\.0\\.0\\.1:${port}: EADDRINUSE`));
});

test('a process that drains is withdrawn first: others stop calling it before it ends', { timeout: 60_000 }, async (t) => {
  const held: (() => void)[] = [];
  const host = await serveBolt(t, (_request, answer) => void held.push(() => answer('held')));
  const [mesh, out, inbound] = (await freePorts(3)) as [number, number, number];
  const sluice = await start(t, { config: `mesh: {sofa: {address: "127.0.0.1:${mesh}", listener: "127.0.0.1:${out}", inbound: "127.0.0.1:${inbound}"}}` });
  await publish(mesh, 'S:1.0', host.port);
  await subscribe(mesh, 'S:1.0');
  const client = await openBolt(t, out);
  const slow = client.request('hold', { service: 'S:1.0' });
  await until('the call is at its host', () => held.length === 1);
  assert.equal((await fetch(`http://${sluice.admin}/drain`, { method: 'POST' })).status, 202);
  const { published } = (await (await fetch(`http://127.0.0.1:${mesh}/services`)).json()) as { published: { published: boolean }[] };
  assert.equal(published[0]!.published, false);
  assert.equal((await subscribe(mesh, 'T:1.0'))['success'], false);
  held[0]!();
  assert.equal((await client.reply(slow)).content.toString(), 'held');
  client.raw.end();
  assert.equal(await sluice.exited, 0);
});

// Hosts go out of use when their checks fail and come back when they pass; a cluster is empty until its name can be resolved.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { pathToFileURL } from 'node:url';
import { get, serveHttp, serveRaw } from '../support/http.js';
import { freePorts, start, until, type Sluice } from '../support/sluice.js';
import { frame, HEARTBEAT, openBolt, parse, REPLY } from './bolt-peer.js';

interface ClusterState {
  readonly name: string;
  readonly lastError: string;
  readonly hosts: readonly { readonly address: string; readonly healthy: boolean; readonly cause: string }[];
}

async function clusterOf(sluice: Sluice): Promise<ClusterState> {
  return (await sluice.json<ClusterState[]>('/clusters'))[0]!;
}

/** Waits until just these hosts (by port) are healthy. */
async function healthyAre(sluice: Sluice, ports: readonly number[]): Promise<ClusterState> {
  const wanted = ports.map((p) => `127.0.0.1:${p}`).sort().join();
  return until(`healthy are ${wanted || 'none'}`, async () => {
    const cluster = await clusterOf(sluice);
    return cluster.hosts.filter((h) => h.healthy).map((h) => h.address).sort().join() === wanted ? cluster : null;
  });
}

const config = (port: number, hosts: readonly number[], check: string, protocol = 'http1'): string => `
listeners: [{name: in, address: "127.0.0.1:${port}", protocol: ${protocol}, cluster: app}]
access_log: {format: "%response_code% %reason%"}
clusters:
  - name: app
    protocol: ${protocol}
    hosts: ${hosts.map((h) => `127.0.0.1:${h}`).join(',')}
    health_check: {${check}, interval: 200ms, retry_interval: 50ms, timeout: 300ms, healthy_threshold: 2, unhealthy_threshold: 2}
`;

test('tcp: a host that refuses is out of use before a request met it, and back when it accepts', { timeout: 60_000 }, async (t) => {
  const [port, a, b] = await freePorts(3);
  const named = (name: string, at: number) => serveHttp(t, (_request, response) => response.end(name), at);
  const first = await named('a', a!);
  const sluice = await start(t, { config: config(port!, [a!, b!], 'type: tcp') });
  const cluster = await healthyAre(sluice, [a!]);
  assert.match(cluster.hosts.find((h) => !h.healthy)!.cause, /refused/);
  for (let i = 0; i < 6; i++) assert.equal((await get(port!)).text, 'a');
  assert.equal(await sluice.metric('sluice_cluster_connect_failures_total'), 0);

  await named('b', b!);
  await healthyAre(sluice, [a!, b!]);
  const seen = new Set<string>();
  for (let i = 0; i < 6; i++) seen.add((await get(port!)).text);
  assert.deepEqual([...seen].sort(), ['a', 'b']);

  await first.close();
  await healthyAre(sluice, [b!]);
  for (let i = 0; i < 6; i++) assert.equal((await get(port!)).text, 'b');
  assert.equal(sluice.lines.filter((line) => line !== '200 -').length, 0, 'no request failed');
});

test('http: the status decides, though the port accepts; with no healthy host requests fail with that reason', { timeout: 60_000 }, async (t) => {
  const ill = new Set<string>();
  const asked: (string | undefined)[] = [];
  const serve = (name: string) => serveHttp(t, (request, response) => {
    if (request.url === '/healthz?deep=1') {
      asked.push(request.headers.host);
      response.writeHead(ill.has(name) ? 503 : 204).end();
    } else response.end(name);
  });
  const [a, b] = [await serve('a'), await serve('b')];
  const [port] = await freePorts(1);
  ill.add('b');
  const sluice = await start(t, { config: config(port!, [a.port, b.port], 'type: http, path: "/healthz?deep=1", host: check.example') });
  const cluster = await healthyAre(sluice, [a.port]);
  assert.match(cluster.hosts.find((h) => !h.healthy)!.cause, /503/);
  for (let i = 0; i < 4; i++) assert.equal((await get(port!)).text, 'a');
  assert.ok(asked.every((host) => host === 'check.example'));

  ill.add('a');
  await healthyAre(sluice, []);
  const none = await get(port!);
  assert.equal(none.status, 503);
  assert.match(none.text, /the cluster app has no healthy host/);
  await until('its line', () => sluice.lines.includes('503 no-healthy-host'));
  assert.equal(await sluice.metric('sluice_cluster_no_host_total'), 1);

  ill.clear();
  await healthyAre(sluice, [a.port, b.port]);
  const seen = new Set<string>();
  for (let i = 0; i < 4; i++) seen.add((await get(port!)).text);
  assert.deepEqual([...seen].sort(), ['a', 'b']);
});

test('bolt: a host that accepts and answers no heartbeat is out of use until it does', { timeout: 60_000 }, async (t) => {
  const mute = new Set<number>();
  const serve = (name: number) => serveRaw(t, (socket: Socket) => {
    let rest: Buffer = Buffer.alloc(0);
    socket.on('end', () => socket.end());
    socket.on('data', (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk]);
      for (let found = parse(rest); found !== null; found = parse(rest)) {
        rest = rest.subarray(found.length);
        const beat = found.frame.command === HEARTBEAT;
        if (!beat || !mute.has(name)) socket.write(frame({ type: REPLY, command: beat ? HEARTBEAT : 2, id: found.frame.id, content: Buffer.from(String(name)) }));
      }
    });
  });
  const [a, b] = [await serve(0), await serve(1)];
  mute.add(1);
  const [port] = await freePorts(1);
  const sluice = await start(t, { config: config(port!, [a.port, b.port], 'type: protocol', 'bolt') });
  const cluster = await healthyAre(sluice, [a.port]);
  assert.notEqual(cluster.hosts.find((h) => !h.healthy)!.cause, '');
  const client = await openBolt(t, port!);
  for (let i = 0; i < 4; i++) assert.equal((await client.call('x')).content.toString(), '0');
  mute.delete(1);
  mute.add(0);
  await healthyAre(sluice, [b.port]);
  for (let i = 0; i < 4; i++) assert.equal((await client.call('x')).content.toString(), '1');
});

/** Makes the process find `late.test` only once a file exists; other names are asked for as ever. */
function lateName(t: TestContext): { readonly option: string; appear(): void } {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-dns-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const flag = join(folder, 'there');
  const file = join(folder, 'names.mjs');
  writeFileSync(file, `
    import dns from 'node:dns/promises';
    import { existsSync } from 'node:fs';
    import { syncBuiltinESMExports } from 'node:module';
    const none = () => Promise.reject(Object.assign(new Error('queryA ENOTFOUND late.test'), { code: 'ENOTFOUND' }));
    const { lookup } = dns;
    const { resolve4, resolve6 } = dns.Resolver.prototype;
    dns.lookup = (host, options) => host === 'late.test' ? none() : lookup(host, options);
    dns.Resolver.prototype.resolve6 = function (host, options) { return host === 'late.test' ? none() : resolve6.call(this, host, options); };
    dns.Resolver.prototype.resolve4 = function (host, options) {
      if (host !== 'late.test') return resolve4.call(this, host, options);
      return existsSync(${JSON.stringify(flag)}) ? Promise.resolve([{ address: '127.0.0.1', ttl: 1 }]) : none();
    };
    syncBuiltinESMExports();
  `);
  assert.ok(!existsSync(flag));
  return { option: `--import=${pathToFileURL(file).href}`, appear: () => writeFileSync(flag, '') };
}

test('dns: with a name that cannot be resolved it starts with an empty cluster, says so, and uses the name as soon as it can; localhost works', { timeout: 60_000 }, async (t) => {
  const host = await serveHttp(t, (_request, response) => response.end('found'));
  const [port, local] = await freePorts(2);
  const names = lateName(t);
  const sluice = await start(t, {
    env: { NODE_OPTIONS: names.option },
    config: `
listeners:
  - {name: late, address: "127.0.0.1:${port}", protocol: http1, cluster: late}
  - {name: local, address: "127.0.0.1:${local}", protocol: http1, cluster: local}
access_log: {format: "%response_code% %reason%"}
clusters:
  - {name: late, hosts: "late.test:${host.port}", discovery: {type: dns, retry_min: 100ms, retry_max: 200ms, refresh_min: 100ms}}
  - {name: local, hosts: "localhost:${host.port}", discovery: {type: dns, family: v4}}
`,
  });
  assert.equal((await get(local!)).text, 'found');
  const empty = await clusterOf(sluice);
  assert.deepEqual(empty.hosts, []);
  assert.match(empty.lastError, /late\.test/);
  const none = await get(port!);
  assert.equal(none.status, 503);
  assert.match(none.text, /the cluster late has no host/);
  await until('its line', () => sluice.lines.includes('503 no-host'));

  names.appear();
  const full = await until('the name is resolved', async () => {
    const cluster = await clusterOf(sluice);
    return cluster.hosts.length === 1 ? cluster : null;
  });
  assert.equal(full.hosts[0]!.address, `127.0.0.1:${host.port}`);
  assert.equal((await get(port!)).text, 'found');
});

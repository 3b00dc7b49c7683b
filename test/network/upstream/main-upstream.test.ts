// Both halves of the cluster manager over real connections: health checks that take hosts out, and what a reload keeps.
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { createServer as createTcp, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { configureLog } from '../../../src/core/log.js';
import type { HostState } from '../../../src/network/upstream/main-upstream.js';
import { PROBE_DOWN, PROBE_MORE, PROBE_UP, type ProbeFactory } from '../../../src/network/upstream/probe.js';
import { config, counts, until, Upstream } from './fixture.js';

const limit = { timeout: 30_000 };
void configureLog({ to: { write() {} } });

let servers: Server[];
let ups: Upstream[];
beforeEach(() => {
  servers = [];
  ups = [];
});
afterEach(async () => {
  for (const up of ups) up.close();
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  }
});

function upstream(probes?: ReadonlyMap<string, ProbeFactory>): Upstream {
  const up = new Upstream(probes);
  ups.push(up);
  return up;
}

/** An HTTP server whose status depends on the path; `seen` collects the requests. */
async function serve(status: (path: string) => number, seen: IncomingMessage[] = []): Promise<string> {
  const server = createServer((request, response) => {
    seen.push(request);
    response.writeHead(status(request.url!));
    response.end('x'.repeat(100));
  });
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const fast = { interval: '60ms', retry_interval: '20ms', timeout: '2s' };
const hostOf = (up: Upstream, cluster: string, address: string): HostState =>
  up.main.state().find((c) => c.name === cluster)!.hosts.find((h) => h.address === address)!;
const attempts = (up: Upstream, cluster: string): number => up.stats.counter('sluice_health_check_attempts_total', '', { cluster }).value;
const hosts = (up: Upstream, cluster: string, state: string): number => up.stats.gauge('sluice_cluster_hosts', '', { cluster, state }).value;

describe('health checks', limit, () => {
  test('take a host out of one cluster and leave it in another that asks otherwise', async () => {
    const one = await serve((path) => (path === '/good' ? 200 : 503));
    const two = await serve(() => 200);
    const up = upstream();
    up.apply(
      { name: 'a', hosts: [one, two], health_check: { type: 'http', path: '/good', ...fast } },
      { name: 'b', hosts: [one, two], health_check: { type: 'http', path: '/bad', ...fast } },
    );
    await until(() => hostOf(up, 'a', one).check!.checked && hostOf(up, 'b', one).check!.checked && hostOf(up, 'b', two).check!.checked);
    assert.deepEqual(Object.keys(counts(up.cluster('a'), 20)).sort(), [one, two].sort());
    assert.deepEqual(counts(up.cluster('b'), 20), { [two]: 20 });
    assert.equal(hostOf(up, 'b', one).check!.cause, 'status 503');
    assert.deepEqual([hosts(up, 'a', 'healthy'), hosts(up, 'a', 'unhealthy'), hosts(up, 'b', 'healthy'), hosts(up, 'b', 'unhealthy')], [2, 0, 1, 1]);
  });

  test('bring a host back when it works again, by the thresholds', async () => {
    let status = 200;
    const address = await serve(() => status);
    const up = upstream();
    up.apply({ name: 'a', hosts: address, health_check: { type: 'http', ...fast } });
    await until(() => hostOf(up, 'a', address).check!.checked);
    const before = attempts(up, 'a');
    status = 500;
    await until(() => up.cluster('a').pick(0, null) === null);
    assert.equal(up.cluster('a').noneReason(), 'no-healthy-host');
    assert.ok(attempts(up, 'a') - before >= 3);
    status = 200;
    await until(() => up.cluster('a').pick(0, null) !== null);
  });

  test('keep a connection open where that is wanted, through whole replies', async () => {
    const seen: IncomingMessage[] = [];
    const address = await serve(() => 200, seen);
    const up = upstream();
    up.apply({ name: 'a', hosts: address, health_check: { type: 'http', keep_connection: true, ...fast } });
    await until(() => seen.length >= 4);
    assert.equal(new Set(seen.map((request) => request.socket.remotePort)).size, 1);
    assert.equal(hostOf(up, 'a', address).healthy, true);
  });

  test('of type tcp see a port that nobody listens on, or no longer', async () => {
    const tcp = createTcp((socket) => socket.on('error', () => {}).resume());
    tcp.listen(0, '127.0.0.1');
    await once(tcp, 'listening');
    const address = `127.0.0.1:${(tcp.address() as AddressInfo).port}`;
    const up = upstream();
    up.apply({ name: 'a', hosts: address, health_check: { type: 'tcp', initial: 'unhealthy', ...fast } });
    assert.equal(up.cluster('a').pick(0, null), null);
    assert.deepEqual(up.main.awaited(), [`cluster a: first health check of ${address}`]);
    await until(() => up.cluster('a').pick(0, null) !== null);
    assert.deepEqual(up.main.awaited(), []);
    tcp.close();
    await until(() => up.cluster('a').pick(0, null) === null);
    assert.match(hostOf(up, 'a', address).check!.cause, /refused/);
  });

  test('speak a protocol by its probe', async () => {
    const tcp = createTcp((socket) => {
      socket.on('error', () => {});
      socket.on('data', (bytes) => socket.write(bytes.toString() === 'are you well?' ? 'yes' : 'no!'));
    });
    tcp.listen(0, '127.0.0.1');
    await once(tcp, 'listening');
    const address = `127.0.0.1:${(tcp.address() as AddressInfo).port}`;
    const probe: ProbeFactory = (options) => ({
      cause: 'it said no',
      ask: (out) => {
        const question = Buffer.from(String((options as { question: string }).question));
        out.write(question, 0, question.length);
      },
      judge: (buf, start, end) => (end - start < 3 ? PROBE_MORE : buf[start] === 121 ? PROBE_UP : PROBE_DOWN),
    });
    const up = upstream(new Map([['talk', probe]]));
    const cluster = (name: string, question: string) => config({ name, hosts: address, health_check: { type: 'talk', options: { question }, ...fast } }, ['talk']);
    up.main.apply([cluster('well', 'are you well?'), cluster('ill', 'are you ill?')]);
    await until(() => hostOf(up, 'well', address).check!.checked && hostOf(up, 'ill', address).check!.checked);
    assert.deepEqual([hostOf(up, 'well', address).healthy, hostOf(up, 'ill', address).healthy], [true, false]);
    assert.equal(hostOf(up, 'ill', address).check!.cause, 'it said no');
    tcp.close();
  });
});

describe('a reload', limit, () => {
  test('that leaves the check alone keeps its counts and verdicts; a changed check starts from the last verdict', async () => {
    const bad = await serve((path) => (path === '/other' ? 200 : 500));
    const up = upstream();
    const check = { type: 'http', interval: '1h', retry_interval: '1h' };
    up.apply({ name: 'a', hosts: bad, health_check: check });
    await until(() => hostOf(up, 'a', bad).check!.checked);
    const before = hostOf(up, 'a', bad).check!;
    up.apply({ name: 'a', hosts: [{ address: bad, weight: 3 }], connect_timeout: '1s', balancer: 'random', health_check: check });
    assert.deepEqual(hostOf(up, 'a', bad).check, before);
    assert.equal(up.cluster('a').pick(0, null), null);
    assert.equal(attempts(up, 'a'), 1);
    up.apply({ name: 'a', hosts: bad, health_check: { ...check, path: '/other' } });
    assert.deepEqual([hostOf(up, 'a', bad).check!.checked, hostOf(up, 'a', bad).healthy], [false, false], 'no host is healthy because its check changed');
    await until(() => hostOf(up, 'a', bad).check!.checked);
    assert.equal(up.cluster('a').pick(0, null)!.address, bad);
  });

  test('that takes the check away makes every host healthy', async () => {
    const bad = await serve(() => 500);
    const up = upstream();
    up.apply({ name: 'a', hosts: bad, health_check: { type: 'http', ...fast } });
    await until(() => !hostOf(up, 'a', bad).healthy);
    up.apply({ name: 'a', hosts: bad });
    assert.equal(up.cluster('a').pick(0, null)!.address, bad);
    assert.equal(hostOf(up, 'a', bad).check, null);
    assert.equal(hosts(up, 'a', 'healthy'), 1);
  });

  test('adds and removes hosts without disturbing the checks of the others', async () => {
    const one = await serve(() => 500);
    const two = await serve(() => 200);
    const up = upstream();
    const check = { type: 'http', interval: '1h', retry_interval: '1h' };
    up.apply({ name: 'a', hosts: [one], health_check: check });
    await until(() => !hostOf(up, 'a', one).healthy);
    up.apply({ name: 'a', hosts: [one, two], health_check: check });
    await until(() => hostOf(up, 'a', two).check!.checked);
    assert.equal(attempts(up, 'a'), 2);
    assert.deepEqual(counts(up.cluster('a'), 4), { [two]: 4 });
    up.apply({ name: 'a', hosts: [one], health_check: check });
    assert.equal(up.cluster('a').noneReason(), 'no-healthy-host');
  });
});

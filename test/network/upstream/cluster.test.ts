// Clusters live: who is picked, what a change of hosts or configuration does to what runs, and that all is given back.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setClock } from '../../../src/core/clock.js';
import { FakeClock } from '../../../src/core/clock-fake.js';
import { configureLog } from '../../../src/core/log.js';
import { SharedLevels } from '../../../src/core/levels.js';
import { Catalog } from '../../../src/core/manifest.js';
import { random, randomInt, setRandom } from '../../../src/core/random.js';
import { Stats } from '../../../src/core/stats.js';
import type { BalancerManifest } from '../../../src/network/upstream/balancer.js';
import type { DiscoveryManifest, FoundHost } from '../../../src/network/upstream/discovery.js';
import type { Host, HostPool } from '../../../src/network/upstream/host.js';
import { ClusterManager } from '../../../src/network/upstream/manager.js';
import { counts, manifests, Upstream } from './fixture.js';
import { z } from 'zod';

let time: FakeClock;
let up: Upstream;
let undo: (() => void)[];
void configureLog({ to: { write() {} } });
beforeEach(() => {
  time = new FakeClock();
  undo = [setClock(time), setRandom(3)];
  up = new Upstream();
});
afterEach(() => {
  up.close();
  for (const f of undo) f();
});

class FakePool implements HostPool {
  drained = 0;
  closed = 0;
  drain(): void {
    this.drained++;
  }
  close(): void {
    this.closed++;
  }
}

const byAddress = (name: string, address: string): Host => up.cluster(name).hosts.find((h) => h.address === address)!;
const HOSTS = ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80', '10.0.0.4:80'];

describe('picking', () => {
  test('follows the weights exactly, whatever their form in the file', () => {
    up.apply({ name: 'a', hosts: [{ address: HOSTS[0]!, weight: 3 }, HOSTS[1]!, { address: HOSTS[2]!, weight: 0 }] });
    assert.deepEqual(counts(up.cluster('a'), 400), { [HOSTS[0]!]: 300, [HOSTS[1]!]: 100 });
    up.apply({ name: 'a', hosts: [{ address: HOSTS[0]!, weight: 1 }, HOSTS[1]!, { address: HOSTS[2]!, weight: 2 }] });
    assert.deepEqual(counts(up.cluster('a'), 400), { [HOSTS[0]!]: 100, [HOSTS[1]!]: 100, [HOSTS[2]!]: 200 });
  });

  for (const balancer of ['weighted', 'round_robin', 'random', 'least_request']) {
    test(`never gives an unhealthy host, and sees every change at once (${balancer})`, () => {
      up.apply({ name: 'a', hosts: HOSTS, balancer });
      const cluster = up.cluster('a');
      const healthy = new Set(HOSTS);
      for (let round = 0; round < 300; round++) {
        const address = HOSTS[randomInt(HOSTS.length)]!;
        const well = random() < 0.5;
        up.setHealthy('a', address, well);
        if (well) healthy.add(address);
        else healthy.delete(address);
        for (let i = 0; i < 7; i++) {
          const host = cluster.pick(0, null);
          if (healthy.size === 0) assert.equal(host, null);
          else assert.ok(healthy.has(host!.address), `${host!.address} of ${[...healthy].join()}`);
          if (host !== null && random() < 0.5) host.active++;
        }
      }
    });
  }

  test('says why there is nobody', () => {
    up.apply({ name: 'none' }, { name: 'zero', hosts: [{ address: HOSTS[0]!, weight: 0 }] }, { name: 'ill', hosts: [HOSTS[0]!] });
    up.setHealthy('ill', HOSTS[0]!, false);
    for (const [name, reason] of [['none', 'no-host'], ['zero', 'no-host'], ['ill', 'no-healthy-host']] as const) {
      assert.equal(up.cluster(name).pick(0, null), null);
      assert.equal(up.cluster(name).noneReason(), reason);
      assert.equal(up.cluster(name).stats.no_host.value, 1);
    }
  });

  test('keeps the proportions of the healthy hosts exact', () => {
    up.apply({ name: 'a', hosts: HOSTS.slice(0, 3).map((address, i) => ({ address, weight: i + 1 })) });
    up.setHealthy('a', HOSTS[1]!, false);
    assert.deepEqual(counts(up.cluster('a'), 40), { [HOSTS[0]!]: 10, [HOSTS[2]!]: 30 });
  });

  test('avoids hosts that were tried while there is another, however light', () => {
    up.apply({ name: 'a', hosts: [{ address: HOSTS[0]!, weight: 1000 }, HOSTS[1]!, HOSTS[2]!] });
    const cluster = up.cluster('a');
    const tried = [byAddress('a', HOSTS[0]!)];
    assert.ok(!(HOSTS[0]! in counts(cluster, 100, tried)));
    tried.push(byAddress('a', HOSTS[1]!));
    assert.deepEqual(counts(cluster, 50, tried), { [HOSTS[2]!]: 50 });
    up.setHealthy('a', HOSTS[2]!, false);
    assert.equal(Object.values(counts(cluster, 50, tried)).reduce((a, b) => a + b), 50);
    assert.ok(!(HOSTS[2]! in counts(cluster, 50, tried)));
  });

  test('leaves a host alone while it asked for that, unless it is all there is', () => {
    const clock = new FakeClock();
    const restore = setClock(clock);
    try {
      up.apply({ name: 'a', hosts: [{ address: HOSTS[0]!, weight: 1000 }, HOSTS[1]!, HOSTS[2]!] });
      const cluster = up.cluster('a');
      const [heavy, second, third] = HOSTS.slice(0, 3).map((address) => byAddress('a', address));
      heavy!.awayUntil = clock.now() + 5000;
      assert.ok(!(HOSTS[0]! in counts(cluster, 100)));
      assert.deepEqual(counts(cluster, 50, [second!]), { [HOSTS[2]!]: 50 });
      assert.deepEqual(counts(cluster, 50, [second!, third!]), { [HOSTS[0]!]: 50 }, 'rather than one that failed');
      for (const host of [second!, third!]) host.awayUntil = heavy!.awayUntil;
      assert.equal(Object.values(counts(cluster, 50)).reduce((a, b) => a + b), 50, 'with all of them away none is');
      assert.ok(!('-' in counts(cluster, 50)));
      clock.advance(5000);
      assert.ok(HOSTS[0]! in counts(cluster, 100), 'for so long');
    } finally {
      restore();
    }
  });

  test('takes a host that had asked to be left alone as soon as it failed a health check and passed again', () => {
    up.apply({ name: 'a', hosts: HOSTS.slice(0, 3) });
    const cluster = up.cluster('a');
    const host = byAddress('a', HOSTS[0]!);
    host.awayUntil = time.now() + 15_000;
    up.setHealthy('a', HOSTS[1]!, false);
    assert.ok(!(HOSTS[0]! in counts(cluster, 60)), 'another one failed');
    up.setHealthy('a', HOSTS[1]!, true);
    assert.ok(!(HOSTS[0]! in counts(cluster, 60)), 'and passed');
    up.setHealthy('a', HOSTS[0]!, false);
    assert.ok(!(HOSTS[0]! in counts(cluster, 60)), 'it is gone');
    up.setHealthy('a', HOSTS[0]!, true);
    assert.equal(counts(cluster, 60)[HOSTS[0]!], 20, 'it is back');
  });

  test('ignores health only below a panic threshold, and says so', () => {
    up.apply({ name: 'a', hosts: HOSTS, panic_threshold: '50%' }, { name: 'b', hosts: HOSTS });
    for (const address of HOSTS.slice(0, 2)) up.setHealthy('a', address, false);
    assert.deepEqual(Object.keys(counts(up.cluster('a'), 100)).sort(), HOSTS.slice(2));
    assert.equal(up.cluster('a').panic, false);
    up.setHealthy('a', HOSTS[2]!, false);
    assert.deepEqual(Object.keys(counts(up.cluster('a'), 100)).sort(), HOSTS);
    assert.equal(up.manager.load()[0]!.panic, true);
    up.setHealthy('a', HOSTS[2]!, true);
    assert.deepEqual(Object.keys(counts(up.cluster('a'), 100)).sort(), HOSTS.slice(2));
    for (const address of HOSTS) up.setHealthy('b', address, false);
    assert.equal(up.cluster('b').pick(0, null), null);
  });

  test('lets the share of a new host rise, and of one that recovers, but not of all at once', () => {
    up.apply({ name: 'a', hosts: HOSTS.slice(0, 2), slow_start: '10s' });
    const cluster = up.cluster('a');
    assert.deepEqual(counts(cluster, 100), { [HOSTS[0]!]: 50, [HOSTS[1]!]: 50 });
    time.advance(11_000);
    up.apply({ name: 'a', hosts: HOSTS.slice(0, 3), slow_start: '10s' });
    assert.deepEqual(counts(cluster, 210), { [HOSTS[0]!]: 100, [HOSTS[1]!]: 100, [HOSTS[2]!]: 10 });
    time.advance(5500);
    const half = counts(cluster, 2500)[HOSTS[2]!]!;
    assert.ok(half >= 450 && half <= 650, String(half));
    time.advance(6000);
    assert.deepEqual(counts(cluster, 300), { [HOSTS[0]!]: 100, [HOSTS[1]!]: 100, [HOSTS[2]!]: 100 });
    up.setHealthy('a', HOSTS[1]!, false);
    counts(cluster, 1);
    up.setHealthy('a', HOSTS[1]!, true);
    assert.deepEqual(counts(cluster, 210), { [HOSTS[0]!]: 100, [HOSTS[1]!]: 10, [HOSTS[2]!]: 100 });
  });

  test('knows two clusters with the same address apart', () => {
    up.apply({ name: 'a', hosts: [HOSTS[0]!] }, { name: 'b', hosts: [HOSTS[0]!] });
    up.setHealthy('a', HOSTS[0]!, false);
    assert.equal(up.cluster('a').pick(0, null), null);
    assert.equal(up.cluster('b').pick(0, null)?.address, HOSTS[0]);
    assert.ok(up.cluster('a').breaker.tryRequest());
    assert.equal(up.cluster('b').breaker.levels().requests, 0);
    up.cluster('a').breaker.releaseRequest();
  });
});

describe('a change of hosts', () => {
  test('keeps what stays: the host, its pool, its counters', () => {
    up.apply({ name: 'a', hosts: HOSTS.slice(0, 2) });
    const host = byAddress('a', HOSTS[0]!);
    const pool = (host.pool = new FakePool());
    host.active = 2;
    host.stats.requests.add(5);
    up.apply({ name: 'a', hosts: [{ address: HOSTS[0]!, weight: 7 }, HOSTS[2]!] });
    assert.equal(byAddress('a', HOSTS[0]!), host);
    assert.equal(host.weight, 7);
    assert.equal(host.stats.requests.value, 5);
    assert.deepEqual([host.removed, host.active, pool.drained, pool.closed], [false, 2, 0, 0]);
  });

  test('takes a removed host out at once, lets it finish, and lets go when it is unused', () => {
    up.apply({ name: 'a', hosts: HOSTS.slice(0, 2) });
    const cluster = up.cluster('a');
    const host = byAddress('a', HOSTS[0]!);
    const pool = (host.pool = new FakePool());
    host.active = 1;
    host.connections = 1;
    up.apply({ name: 'a', hosts: [HOSTS[1]!] });
    assert.deepEqual([host.removed, pool.drained, pool.closed], [true, 1, 0]);
    assert.deepEqual(counts(cluster, 20), { [HOSTS[1]!]: 20 });
    assert.deepEqual(up.manager.load()[0]!.hosts.map((h) => [h.address, h.active, h.draining]), [[HOSTS[1], 0, false], [HOSTS[0], 1, true]]);
    let drained = false;
    cluster.onDrained(() => (drained = true));
    time.advance(5000);
    assert.deepEqual([pool.closed, drained], [0, false]);
    host.active = 0;
    host.connections = 0;
    time.advance(1000);
    assert.deepEqual([pool.closed, drained], [1, true]);
    assert.equal(up.manager.load()[0]!.hosts.length, 1);
  });

  test('closes what still runs when the time to drain has passed', () => {
    up.apply({ name: 'a', hosts: HOSTS.slice(0, 2), drain_timeout: '10s' });
    const host = byAddress('a', HOSTS[0]!);
    const pool = (host.pool = new FakePool());
    const tunnel = new FakePool();
    host.hold(tunnel);
    host.active = 1;
    up.apply({ name: 'a', hosts: [HOSTS[1]!], drain_timeout: '10s' });
    time.advance(9000);
    assert.deepEqual([pool.closed, tunnel.drained, tunnel.closed], [0, 1, 0]);
    time.advance(2000);
    assert.deepEqual([pool.closed, tunnel.closed], [1, 1]);
  });

  test('makes an address that comes back a new host, beside the one that still drains', () => {
    up.apply({ name: 'a', hosts: HOSTS.slice(0, 2) });
    const old = byAddress('a', HOSTS[0]!);
    const pool = (old.pool = new FakePool());
    old.active = 1;
    up.apply({ name: 'a', hosts: [HOSTS[1]!] });
    up.apply({ name: 'a', hosts: HOSTS.slice(0, 2) });
    const again = byAddress('a', HOSTS[0]!);
    assert.notEqual(again, old);
    assert.deepEqual([again.pool, again.active, old.removed, pool.closed], [null, 0, true, 0]);
    assert.deepEqual(counts(up.cluster('a'), 10), { [HOSTS[0]!]: 5, [HOSTS[1]!]: 5 });
    again.stats.requests.inc();
    time.advance(31_000);
    assert.equal(pool.closed, 1);
    assert.equal(again.stats.requests.value, 1, 'the series of the address is still that of the new host');
  });

  test('forgets the health of an address that was away', () => {
    up.apply({ name: 'a', hosts: HOSTS.slice(0, 2) });
    up.setHealthy('a', HOSTS[0]!, false);
    up.apply({ name: 'a', hosts: [HOSTS[1]!] });
    up.apply({ name: 'a', hosts: HOSTS.slice(0, 2) });
    assert.deepEqual(counts(up.cluster('a'), 10), { [HOSTS[0]!]: 5, [HOSTS[1]!]: 5 });
  });
});

describe('a change of configuration', () => {
  test('that says nothing new is not told to the workers', () => {
    up.apply({ name: 'a', hosts: HOSTS });
    const before = up.main.snapshots()[0]!.version;
    up.apply({ name: 'a', hosts: HOSTS.join() });
    assert.equal(up.main.snapshots()[0]!.version, before);
  });

  test('of limits, balancer and times leaves hosts and connections alone', () => {
    up.apply({ name: 'a', hosts: HOSTS });
    const cluster = up.cluster('a');
    const host = byAddress('a', HOSTS[0]!);
    up.apply({ name: 'a', hosts: HOSTS, balancer: { type: 'least_request', choices: 3 }, breaker: { max_requests: 1 }, connect_timeout: '1s' });
    assert.equal(up.cluster('a'), cluster);
    assert.equal(byAddress('a', HOSTS[0]!), host);
    assert.equal(cluster.config.connect_timeout, 1000);
    assert.ok(cluster.breaker.tryRequest());
    assert.ok(!cluster.breaker.tryRequest());
    cluster.breaker.releaseRequest();
    assert.equal(counts(cluster, 10)['-'], undefined);
  });

  test('of what connections are made with replaces the hosts, and the old ones finish', () => {
    up.apply({ name: 'a', hosts: HOSTS.slice(0, 1) });
    const host = byAddress('a', HOSTS[0]!);
    const pool = (host.pool = new FakePool());
    host.active = 1;
    up.apply({ name: 'a', hosts: HOSTS.slice(0, 1), pool: 'exclusive' });
    assert.notEqual(byAddress('a', HOSTS[0]!), host);
    assert.deepEqual([host.removed, pool.drained, pool.closed], [true, 1, 0]);
    assert.deepEqual(counts(up.cluster('a'), 3), { [HOSTS[0]!]: 3 });
  });

  test('that removes a cluster drains it; under its old name it comes back anew', () => {
    up.apply({ name: 'a', hosts: HOSTS.slice(0, 1) }, { name: 'b', hosts: HOSTS });
    const cluster = up.cluster('a');
    const host = byAddress('a', HOSTS[0]!);
    const pool = (host.pool = new FakePool());
    host.active = 1;
    assert.ok(cluster.breaker.tryRequest());
    up.apply({ name: 'b', hosts: HOSTS });
    assert.equal(up.manager.get('a'), undefined);
    assert.deepEqual([cluster.removed, cluster.pick(0, null), cluster.noneReason(), pool.drained, pool.closed], [true, null, 'no-host', 1, 0]);
    up.apply({ name: 'a', hosts: HOSTS.slice(0, 1) }, { name: 'b', hosts: HOSTS });
    assert.notEqual(up.cluster('a'), cluster);
    assert.equal(up.cluster('a').breaker.levels().requests, 1, 'what runs still counts');
    cluster.breaker.releaseRequest();
    host.active = 0;
    time.advance(1000);
    assert.equal(pool.closed, 1);
    assert.deepEqual(up.cluster('a').breaker.levels(), { connections: 0, pending: 0, requests: 0, retries: 0 });
  });

  test('gives series back when clusters and hosts go, however often', () => {
    const names = (): number => up.stats.descriptors.length;
    up.apply({ name: 'keep', hosts: [HOSTS[0]!] });
    const before = names();
    for (let i = 0; i < 20; i++) {
      up.apply({ name: 'keep', hosts: [HOSTS[0]!] }, { name: 'other', hosts: HOSTS, health_check: 'tcp' });
      up.apply({ name: 'keep', hosts: [HOSTS[0]!] });
      time.advance(1000);
    }
    assert.equal(names(), before);
    assert.ok(up.levels.capacity <= 64, 'rows are used again');
  });

  test('of an older version is ignored', () => {
    up.apply({ name: 'a', hosts: HOSTS });
    const old = structuredClone(up.main.snapshots()[0]!);
    up.apply({ name: 'a', hosts: HOSTS.slice(0, 1) });
    up.manager.update(old);
    assert.equal(up.cluster('a').hosts.length, 1);
  });
});

describe('a plug-in', () => {
  const balancer = (pick: () => Host | null, update = (_: readonly Host[]): void => {}): BalancerManifest => ({
    kind: 'balancer',
    name: 'random',
    doc: 'test',
    schema: z.strictObject({}),
    create: () => ({ pick, update }),
  });
  const withBalancer = (one: BalancerManifest): Catalog => new Catalog([...manifests.filter((m) => m.name !== one.name), one]);

  test('that is replaced is used from the next pick on; the others are left alone', () => {
    up.apply({ name: 'a', hosts: HOSTS, balancer: 'random' }, { name: 'b', hosts: HOSTS.slice(0, 2) });
    const first = up.cluster('b').pick(0, null)!;
    let list: readonly Host[] = [];
    up.manager.useCatalog(withBalancer(balancer(() => list[2]!, (hosts) => (list = hosts))));
    assert.deepEqual(counts(up.cluster('a'), 10), { [HOSTS[2]!]: 10 });
    assert.notEqual(up.cluster('b').pick(0, null), first, 'the turn goes on');
    up.setHealthy('a', HOSTS[2]!, false);
    assert.deepEqual(counts(up.cluster('a'), 10), { [HOSTS[3]!]: 10 });
  });

  test('that is gone serves until the configuration names another', () => {
    up.apply({ name: 'a', hosts: HOSTS, balancer: 'random' });
    const without = new Catalog(manifests.filter((m) => m.name !== 'random' && m.name !== 'static'));
    up.manager.useCatalog(without);
    up.main.useCatalog(without, new Map());
    assert.equal(counts(up.cluster('a'), 10)['-'], undefined);
    up.main.useCatalog(new Catalog(manifests), new Map());
    up.apply({ name: 'a', hosts: HOSTS });
    assert.deepEqual(Object.values(counts(up.cluster('a'), 40)), [10, 10, 10, 10]);
  });

  test('that throws costs its order and one line in the log, not the exchange', () => {
    const lines: string[] = [];
    void configureLog({ to: { write: (line) => void lines.push(line) } });
    up.manager.useCatalog(withBalancer(balancer(() => assert.fail('out of order'))));
    up.apply({ name: 'a', hosts: HOSTS.slice(0, 2), balancer: 'random' });
    assert.deepEqual(Object.keys(counts(up.cluster('a'), 50)).sort(), HOSTS.slice(0, 2));
    up.setHealthy('a', HOSTS[0]!, false);
    assert.deepEqual(counts(up.cluster('a'), 10), { [HOSTS[1]!]: 10 });
    up.setHealthy('a', HOSTS[1]!, false);
    assert.equal(up.cluster('a').pick(0, null), null);
    assert.equal(lines.filter((line) => line.includes('a balancer failed')).length, 1, lines.join(''));
    void configureLog({ to: { write() {} } });
  });

  test('that finds hosts is replaced without losing those there are', () => {
    let tell: (hosts: FoundHost[]) => void = () => {};
    let closed = 0;
    const finder = (): DiscoveryManifest => ({
      kind: 'discovery',
      name: 'static',
      doc: 'test',
      schema: z.strictObject({}),
      create: () => ({
        start: (sink) => void (tell = (hosts) => sink.onHosts(hosts)),
        update() {},
        state: () => ({ settled: true, error: '', nextRefresh: -1, sources: [] }),
        close: () => void closed++,
      }),
    });
    const host = (address: string): FoundHost => ({ address, target: { host: address.split(':')[0]!, port: 80 }, hostname: 'x', weight: 1, metadata: {} });
    up.apply({ name: 'a', hosts: HOSTS.slice(0, 2) });
    const kept = byAddress('a', HOSTS[1]!);
    const others = manifests.filter((m) => m.name !== 'static');
    up.main.useCatalog(new Catalog([...others, finder()]), new Map());
    assert.equal(up.cluster('a').hosts.length, 2);
    tell([{ ...host(HOSTS[1]!), hostname: kept.hostname }, host(HOSTS[2]!), host(HOSTS[2]!)]);
    assert.deepEqual(up.cluster('a').hosts.map((h) => h.address), HOSTS.slice(1, 3));
    assert.equal(byAddress('a', HOSTS[1]!), kept);
    up.main.useCatalog(new Catalog([...others, finder()]), new Map());
    assert.equal(closed, 1);
    assert.equal(up.cluster('a').hosts.length, 2);
  });
});

test('a worker of its own sees health and levels through shared memory, from snapshots alone', () => {
  const shared = new Upstream(new Map(), 2);
  try {
    shared.apply({ name: 'a', hosts: HOSTS, breaker: { max_requests: 2 } });
    const worker = new ClusterManager({ stats: new Stats(), levels: SharedLevels.open(shared.levels.share(), 1), catalog: new Catalog(manifests) });
    worker.apply(structuredClone(shared.main.snapshots()));
    const there = worker.get('a')!;
    const here = shared.cluster('a');
    for (const address of HOSTS.slice(1)) shared.setHealthy('a', address, false);
    assert.deepEqual(counts(there, 10), { [HOSTS[0]!]: 10 });
    assert.ok(there.breaker.tryRequest() && here.breaker.tryRequest());
    assert.ok(!there.breaker.tryRequest() && !here.breaker.tryRequest());
    assert.deepEqual(shared.main.state()[0]!.breaker.levels, { connections: 0, pending: 0, requests: 2, retries: 0 });
    assert.deepEqual(shared.main.state()[0]!.hosts.map((h) => h.healthy), [true, false, false, false]);
    there.breaker.releaseRequest();
    here.breaker.releaseRequest();
    worker.close();
  } finally {
    shared.close();
  }
});

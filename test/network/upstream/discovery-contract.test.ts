// What every discovery promises, tried on each: hosts told at the start and with each change, nothing after the end; and what registries promise beside.
import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { hosts as hostsSchema, type HostConfig } from '../../../src/core/config/schema.js';
import { configureLog } from '../../../src/core/log.js';
import { Catalog } from '../../../src/core/manifest.js';
import type { Discovery, DiscoveryManifest, FoundHost } from '../../../src/network/upstream/discovery.js';
import { manifest as file } from '../../../src/network/upstream/discovery/file/manifest.js';
import { manifest as memory } from '../../../src/network/upstream/discovery/memory/manifest.js';
import { manifest as fixed } from '../../../src/network/upstream/discovery/static/manifest.js';
import { Registries, ServiceDiscovery, serviceOf, type Lease, type Publication, type Registry } from '../../../src/network/upstream/registry.js';
import { manifests, until, Upstream } from './fixture.js';

void configureLog({ to: { write() {} } });

type Written = string | Record<string, unknown>;
/** Hosts as the configuration would write them. */
const hostsOf = (list: readonly Written[]): HostConfig[] => hostsSchema().parse(list);

/** One implementation, with the means to change what it finds. */
interface Rig {
  readonly discovery: Discovery;
  /** Has it find these hosts, for its service. */
  set(hosts: readonly Written[]): void;
  close(): void;
}

let folder = '';
let count = 0;
before(() => (folder = mkdtempSync(join(tmpdir(), 'sluice-discovery-'))));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Replaced as a whole, as deployments do. */
function writeServices(path: string, services: Readonly<Record<string, readonly Written[]>>): void {
  writeFileSync(`${path}.new`, JSON.stringify({ services }));
  renameSync(`${path}.new`, path);
}

const catalog = new Catalog([file, memory, fixed]);

function publishAll(lease: Lease, service: string, hosts: readonly Written[]): Publication[] {
  return hostsOf(hosts).map((host) => {
    const { group = '', version = '', ...metadata } = host.metadata;
    return lease.registry.publish({ name: service, group, version }, { ...host, metadata });
  });
}

const rigs: Record<string, (options?: Record<string, string>, first?: readonly Written[]) => Rig> = {
  static: (_options, first = []) => {
    const discovery = fixed.create!({ type: 'static' }, hostsOf(first), 'svc');
    return { discovery, set: (hosts) => discovery.update(hostsOf(hosts)), close: () => discovery.close() };
  },
  memory: (options = {}, first = []) => {
    const all = { type: 'memory', ...options };
    const registries = new Registries(catalog);
    const lease = registries.open(all);
    let published = publishAll(lease, options['service'] ?? 'svc', first);
    const discovery = new ServiceDiscovery(registries.open(all), serviceOf(all, 'svc'));
    return {
      discovery,
      set: (hosts) => {
        const former = published;
        published = publishAll(lease, options['service'] ?? 'svc', hosts);
        for (const one of former) void one.withdraw();
      },
      close: () => {
        discovery.close();
        lease.release();
      },
    };
  },
  file: (options = {}, first = []) => {
    const path = join(folder, `${++count}.json`);
    const set = (hosts: readonly Written[]): void => writeServices(path, { [options['service'] ?? 'svc']: hosts });
    set(first);
    const all = { type: 'file', path, refresh: 20, ...options };
    const discovery = new ServiceDiscovery(new Registries(catalog).open(all), serviceOf(all, 'svc'));
    return { discovery, set, close: () => discovery.close() };
  },
};

class Sink {
  readonly told: (readonly FoundHost[])[] = [];
  onHosts(hosts: readonly FoundHost[]): void {
    this.told.push(hosts);
  }
  get last(): string[] {
    return (this.told.at(-1) ?? []).map((host) => host.address).sort();
  }
  reaches(...addresses: string[]): Promise<void> {
    return until(() => this.told.length > 0 && JSON.stringify(this.last) === JSON.stringify(addresses));
  }
}

for (const [name, make] of Object.entries(rigs)) {
  describe(`discovery ${name}`, { timeout: 30_000 }, () => {
    let rig: Rig;
    let sink: Sink;
    const begin = (...args: Parameters<typeof make>): void => {
      rig = make(...args);
      sink = new Sink();
      rig.discovery.start(sink);
    };
    afterEach(() => rig.close());

    test('tells the hosts that there are, with all that is known of them', async () => {
      begin({}, ['10.0.0.1:80', { address: '10.0.0.2:80', weight: 3, metadata: { zone: 'b' }, hostname: 'two.example' }, '[::1]:80', 'unix:/run/a.sock']);
      await sink.reaches('10.0.0.1:80', '10.0.0.2:80', '[::1]:80', 'unix:/run/a.sock');
      const [one, two, , four] = sink.told.at(-1)!;
      assert.deepEqual(one, { address: '10.0.0.1:80', target: { host: '10.0.0.1', port: 80 }, hostname: '10.0.0.1', weight: 1, metadata: {} });
      assert.deepEqual(two, { address: '10.0.0.2:80', target: { host: '10.0.0.2', port: 80 }, hostname: 'two.example', weight: 3, metadata: { zone: 'b' } });
      assert.deepEqual(four!.target, { host: '', port: 0, path: '/run/a.sock' });
    });

    test('tells every change, and that there is none left', async () => {
      begin({}, ['10.0.0.1:80']);
      await sink.reaches('10.0.0.1:80');
      rig.set(['10.0.0.1:80', '10.0.0.2:80']);
      await sink.reaches('10.0.0.1:80', '10.0.0.2:80');
      rig.set([{ address: '10.0.0.2:80', weight: 5 }]);
      await until(() => sink.last.length === 1 && sink.told.at(-1)![0]!.weight === 5);
      rig.set([]);
      await sink.reaches();
      rig.set(['10.0.0.3:80']);
      await sink.reaches('10.0.0.3:80');
    });

    test('has a state of plain data, settled once there was an answer', async () => {
      begin({}, ['10.0.0.1:80']);
      await sink.reaches('10.0.0.1:80');
      const state = rig.discovery.state();
      assert.deepEqual(structuredClone(state), state);
      assert.deepEqual([state.settled, state.error], [true, '']);
      if (name !== 'static') assert.deepEqual(state.sources.map((source) => [source.name, source.addresses]), [['svc', ['10.0.0.1:80']]]);
    });

    test('tells nothing after its end', async () => {
      begin({}, ['10.0.0.1:80']);
      await sink.reaches('10.0.0.1:80');
      rig.discovery.close();
      const before = sink.told.length;
      const witness = make({}, ['10.0.0.9:80']);
      const seen = new Sink();
      witness.discovery.start(seen);
      rig.set(['10.0.0.2:80']);
      await seen.reaches('10.0.0.9:80');
      witness.close();
      await new Promise((resolve) => setTimeout(resolve, 100));
      assert.equal(sink.told.length, before);
    });
  });
}

for (const name of ['memory', 'file']) {
  const make = rigs[name]!;
  describe(`registry ${name}`, { timeout: 30_000 }, () => {
    const open: Rig[] = [];
    const begin = (options: Record<string, string>, first: readonly Written[]): { rig: Rig; sink: Sink } => {
      const rig = make(options, first);
      const sink = new Sink();
      open.push(rig);
      rig.discovery.start(sink);
      return { rig, sink };
    };
    afterEach(() => open.splice(0).forEach((rig) => rig.close()));

    test('knows services by name, which need not be that of the cluster', async () => {
      const { sink } = begin({ service: 'com.example.Hello:1.0' }, ['10.0.0.1:80']);
      await sink.reaches('10.0.0.1:80');
    });

    const instances = [
      { address: '10.0.0.1:80', metadata: { group: 'a', version: '1.0.0' } },
      { address: '10.0.0.2:80', metadata: { group: 'b', version: '1.0.0' } },
      { address: '10.0.0.3:80', metadata: { group: 'a', version: '2.0.0' } },
      '10.0.0.4:80',
    ];
    for (const [options, expected] of [
      [{}, ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80', '10.0.0.4:80']],
      [{ group: '*', version: '*' }, ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80', '10.0.0.4:80']],
      [{ group: 'a' }, ['10.0.0.1:80', '10.0.0.3:80']],
      [{ version: '1.0.0' }, ['10.0.0.1:80', '10.0.0.2:80']],
      [{ group: 'a', version: '2.0.0' }, ['10.0.0.3:80']],
      [{ group: 'c' }, []],
    ] as [Record<string, string>, string[]][]) {
      test(`selects by ${JSON.stringify(options)}`, async () => {
        const { sink } = begin(options, instances);
        await sink.reaches(...expected);
      });
    }
  });
}

describe('a discovery that breaks its promises', () => {
  const broken = (registry: DiscoveryManifest['registry']): DiscoveryManifest => ({ ...memory, registry });
  const hostsAndError = (plugin: DiscoveryManifest): unknown[] => {
    const up = new Upstream();
    up.apply({ name: 'a', hosts: '10.0.0.1:80' }, { name: 'b', hosts: '10.0.0.2:80' });
    up.main.useCatalog(new Catalog([...manifests.filter((one) => one.name !== 'memory'), plugin]), new Map());
    up.apply({ name: 'a', discovery: 'memory' }, { name: 'b', hosts: '10.0.0.3:80' });
    const found = [up.cluster('a').hosts.map((host) => host.address), up.cluster('b').hosts.map((host) => host.address), up.main.state()[0]!.discovery.error, up.main.awaited()];
    up.close();
    return found;
  };

  test('by throwing when it is made costs its own cluster its changes, and nothing else', () => {
    assert.deepEqual(hostsAndError(broken(() => { throw new Error('no server'); })), [['10.0.0.1:80'], ['10.0.0.3:80'], 'no server', []]);
  });

  test('by throwing when it is asked does the same', () => {
    const registry: Registry = { publishes: false, subscribe: () => { throw new Error('not now'); }, publish: () => { throw new Error('never'); }, close: () => {} };
    assert.deepEqual(hostsAndError(broken(() => registry)), [['10.0.0.1:80'], ['10.0.0.3:80'], 'not now', []]);
  });
});

describe('the registry memory', () => {
  test('tells all who subscribed, until each of them ends', () => {
    const registries = new Registries(catalog);
    const lease = registries.open({ type: 'memory' });
    const key = { name: 'svc', group: '', version: '' };
    const [one, two] = [new Sink(), new Sink()];
    const first = lease.registry.subscribe(key, one);
    lease.registry.subscribe(key, two);
    assert.deepEqual([one.told, two.told], [[[]], [[]]], 'that there is none is told');
    const [published] = publishAll(lease, 'svc', ['10.0.0.1:80']);
    assert.deepEqual([one.last, two.last], [['10.0.0.1:80'], ['10.0.0.1:80']]);
    assert.deepEqual(published!.state(), { published: true, error: '' });
    first.close();
    void published!.withdraw();
    assert.deepEqual([one.last, two.last, published!.state().published], [['10.0.0.1:80'], [], false]);
    lease.release();
  });

  test('is one for all that name it, and forgets with the last of them', () => {
    const registries = new Registries(catalog);
    const one = registries.open({ type: 'memory', service: 'a' });
    const two = registries.open({ type: 'memory', service: 'b', group: 'x' });
    assert.equal(one.registry, two.registry);
    one.release();
    one.release();
    assert.equal(registries.open({ type: 'memory' }).registry, two.registry, 'released twice counts once');
    const elsewhere = new Registries(catalog).open({ type: 'memory' });
    assert.notEqual(elsewhere.registry, two.registry);
  });

  test('is opened anew where the plug-in behind it was replaced', () => {
    const own = new Registries(new Catalog([memory]));
    const before = own.open({ type: 'memory' });
    assert.equal(before.current(), true);
    own.useCatalog(new Catalog([{ ...memory } as DiscoveryManifest]));
    assert.equal(before.current(), false);
    const now = own.open({ type: 'memory' });
    assert.notEqual(now.registry, before.registry);
    assert.equal(now.current(), true);
    before.release();
    assert.equal(own.open({ type: 'memory' }).registry, now.registry, 'the end of the former takes nothing with it');
  });
});

// The discovery dns: an empty start, times to live, backoff, and hosts that survive the failures of DNS.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setClock } from '../../../src/core/clock.js';
import { FakeClock } from '../../../src/core/clock-fake.js';
import { setResolver } from '../../../src/core/dns.js';
import { FakeResolver } from '../../../src/core/dns-fake.js';
import { configureLog } from '../../../src/core/log.js';
import { setRandom } from '../../../src/core/random.js';
import { settle, Upstream } from './fixture.js';

let time: FakeClock;
let names: FakeResolver;
let up: Upstream;
let undo: (() => void)[];
let lines: string[];

beforeEach(() => {
  time = new FakeClock();
  names = new FakeResolver();
  lines = [];
  void configureLog({ to: { write: (line) => void lines.push(line) } });
  undo = [setClock(time), setResolver(names), setRandom(() => 1 - 1e-9)];
  up = new Upstream();
});
afterEach(() => {
  up.close();
  for (const f of undo) f();
});

const addresses = (): string[] => up.cluster('a').hosts.map((h) => h.address);
const state = () => up.main.state()[0]!.discovery;

async function pass(ms: number): Promise<void> {
  time.advance(ms);
  await settle();
}

/** How often `name` was asked for so far. */
const asked = (name: string): number => names.asked.filter((n) => n === name).length;

describe('a name', () => {
  test('that does not resolve at the start leaves the cluster empty, is reported, and is asked again', async () => {
    names.fail('svc', 'EAI_AGAIN');
    up.apply({ name: 'a', hosts: 'svc:80' });
    assert.equal(state().type, 'dns');
    assert.deepEqual(up.main.awaited(), ['cluster a: hosts']);
    await settle();
    assert.deepEqual(up.main.awaited(), []);
    assert.deepEqual(addresses(), []);
    assert.equal(up.cluster('a').noneReason(), 'no-host');
    assert.match(state().error, /svc:80: .*EAI_AGAIN/);
    assert.ok(Math.abs(state().nextRefresh - 1000) < 1, String(state().nextRefresh));
    assert.ok(lines.some((l) => l.includes('name does not resolve') && l.includes('svc:80')), lines.join(''));
    names.set('svc', ['10.0.0.1', '10.0.0.2'], 30);
    await pass(1000);
    assert.deepEqual(addresses(), ['10.0.0.1:80', '10.0.0.2:80']);
    assert.equal(state().error, '');
    assert.equal(up.cluster('a').hosts[0]!.hostname, 'svc');
  });

  test('is asked again when its time to live has passed, within its bounds', async () => {
    names.set('short', ['10.0.0.1'], 0).set('normal', ['10.0.0.2'], 20).set('long', ['10.0.0.3'], 86_400);
    up.apply({ name: 'a', hosts: 'short:80,normal:80,long:80', discovery: { type: 'dns', refresh_max: '60s' } });
    await settle();
    for (let s = 0; s < 120; s++) await pass(1000);
    assert.deepEqual([asked('short'), asked('normal'), asked('long')], [121, 7, 3]);
    assert.deepEqual(state().sources.map((s) => s.nextRefresh), [1000, 20_000, 60_000]);
  });

  test('keeps its hosts while it fails, with growing pauses up to the longest', async () => {
    names.set('svc', ['10.0.0.1'], 5);
    up.apply({ name: 'a', hosts: 'svc:80' });
    await settle();
    const host = up.cluster('a').hosts[0];
    names.fail('svc', 'ETIMEOUT');
    const pauses: number[] = [];
    await pass(5000);
    for (let i = 0; i < 8; i++) {
      pauses.push(Math.round(state().nextRefresh));
      await pass(state().nextRefresh);
    }
    assert.deepEqual(pauses, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
    assert.equal(up.cluster('a').hosts[0], host);
    assert.equal(lines.filter((l) => l.includes('does not resolve')).length, 1, 'one line for one trouble');
    names.set('svc', ['10.0.0.1'], 5);
    await pass(30_000);
    assert.equal(up.cluster('a').hosts[0], host);
    assert.ok(lines.some((l) => l.includes('resolves again')));
  });

  test('loses its hosts when it is said twice in a row not to exist', async () => {
    names.set('svc', ['10.0.0.1'], 5);
    up.apply({ name: 'a', hosts: 'svc:80' });
    await settle();
    names.fail('svc', 'ENOTFOUND');
    await pass(5000);
    assert.deepEqual(addresses(), ['10.0.0.1:80']);
    names.fail('svc', 'ETIMEOUT');
    await pass(1000);
    names.fail('svc', 'ENOTFOUND');
    await pass(2000);
    assert.deepEqual(addresses(), ['10.0.0.1:80'], 'a timeout between is no second time');
    await pass(4000);
    assert.deepEqual(addresses(), []);
    assert.ok(lines.some((l) => l.includes('does not exist any more')));
  });

  test('whose addresses change keeps the hosts that stay; another order is no change', async () => {
    names.set('svc', ['10.0.0.2', '10.0.0.1'], 5);
    up.apply({ name: 'a', hosts: 'svc:80' });
    await settle();
    const version = up.cluster('a').version;
    const kept = up.cluster('a').hosts.find((h) => h.address === '10.0.0.2:80')!;
    kept.active = 3;
    up.setHealthy('a', '10.0.0.2:80', false);
    names.set('svc', ['10.0.0.1', '10.0.0.2', '10.0.0.1'], 5);
    await pass(5000);
    assert.equal(up.cluster('a').version, version);
    names.set('svc', ['10.0.0.2', '10.0.0.3'], 5);
    await pass(5000);
    assert.deepEqual(addresses(), ['10.0.0.2:80', '10.0.0.3:80']);
    assert.equal(up.cluster('a').hosts[0], kept);
    assert.deepEqual([kept.active, kept.healthy], [3, false]);
    kept.active = 0;
  });
});

describe('several names', () => {
  test('make one cluster; an address that two give counts once; IP addresses may stand among them', async () => {
    names.set('x', ['10.0.0.1', '10.0.0.9'], 60).set('y', ['10.0.0.9', '2001:db8::1'], 60);
    up.apply({ name: 'a', hosts: [{ address: 'x:80', weight: 2 }, 'y:80', '10.0.0.7:81', 'unix:/tmp/s'] });
    assert.deepEqual(addresses(), ['10.0.0.7:81', 'unix:/tmp/s'], 'what needs no answer is there at once');
    await settle();
    assert.deepEqual(addresses(), ['10.0.0.1:80', '10.0.0.9:80', '[2001:db8::1]:80', '10.0.0.7:81', 'unix:/tmp/s']);
    assert.deepEqual(up.cluster('a').hosts.map((h) => h.weight), [2, 2, 1, 1, 1]);
    assert.deepEqual(up.cluster('a').hosts[4]!.target, { host: '', port: 0, path: '/tmp/s' });
  });

  test('fail each on its own', async () => {
    names.set('x', ['10.0.0.1'], 60).fail('y', 'EAI_AGAIN');
    up.apply({ name: 'a', hosts: 'x:80,y:80' });
    await settle();
    assert.deepEqual(addresses(), ['10.0.0.1:80']);
    assert.deepEqual(state().sources.map((s) => [s.name, s.addresses.length, s.error !== '']), [['x:80', 1, false], ['y:80', 0, true]]);
  });

  test('are asked for no more once they are gone from the configuration', async () => {
    names.set('x', ['10.0.0.1'], 5).set('y', ['10.0.0.2'], 5);
    up.apply({ name: 'a', hosts: 'x:80,y:80' });
    await settle();
    const host = up.cluster('a').hosts[0];
    up.apply({ name: 'a', hosts: 'x:80' });
    assert.deepEqual(addresses(), ['10.0.0.1:80']);
    assert.equal(up.cluster('a').hosts[0], host);
    for (let i = 0; i < 3; i++) await pass(5000);
    assert.deepEqual([asked('x'), asked('y')], [4, 1]);
    up.main.apply([]);
    await pass(60_000);
    assert.equal(asked('x'), 4);
    assert.equal(time.pending, 0);
  });

  test('that replace one another keep the hosts of before until the new name has answered', async () => {
    names.set('x', ['10.0.0.1'], 5).set('y', ['10.0.0.2'], 5);
    up.apply({ name: 'a', hosts: 'x:80' });
    await settle();
    up.apply({ name: 'a', hosts: 'y:80' });
    assert.deepEqual(addresses(), ['10.0.0.1:80']);
    await settle();
    assert.deepEqual(addresses(), ['10.0.0.2:80']);
    up.apply({ name: 'a', hosts: '10.0.0.3:80' });
    assert.deepEqual([addresses(), state().type], [['10.0.0.3:80'], 'static']);
    up.apply({ name: 'a', hosts: 'x:80' });
    assert.deepEqual(addresses(), ['10.0.0.3:80'], 'also from one kind of discovery to another');
    await settle();
    assert.deepEqual(addresses(), ['10.0.0.1:80']);
  });
});

test('the family is that of the configuration', async () => {
  const families: string[] = [];
  undo.push(setResolver({ resolve: (_host, family) => (families.push(family), Promise.resolve({ addresses: ['::1'], ttl: 5 })) }));
  up.apply({ name: 'a', hosts: 'x:80' }, { name: 'b', hosts: 'x:80', discovery: { type: 'dns', family: 'v6' } });
  await settle();
  assert.deepEqual(families, ['auto', 'v6']);
  assert.deepEqual(addresses(), ['[::1]:80']);
});

test('an answer that comes after the end changes nothing', async () => {
  names.set('x', ['10.0.0.1'], 5);
  up.apply({ name: 'a', hosts: 'x:80' });
  up.main.apply([]);
  await settle();
  assert.deepEqual(up.main.snapshots(), []);
});

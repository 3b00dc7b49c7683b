// Names to addresses: the order of the sources, families, times to live, and the hosts file read again when it changes.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type DnsSources, parseHosts, resolver, setResolver, SystemResolver } from '../../src/core/dns.js';
import { FakeResolver } from '../../src/core/dns-fake.js';

const folder = mkdtempSync(join(tmpdir(), 'sluice-dns-'));
after(() => rmSync(folder, { recursive: true }));
const hostsFile = join(folder, 'hosts');

function sources(over: Partial<DnsSources> = {}): DnsSources & { asked: string[] } {
  const asked: string[] = [];
  const missing = (what: string) => (host: string) => {
    asked.push(`${what} ${host}`);
    return Promise.reject(Object.assign(new Error(`${what} ENOTFOUND ${host}`), { code: 'ENOTFOUND' }));
  };
  return { hostsFile, resolve4: missing('A'), resolve6: missing('AAAA'), lookup: missing('lookup'), ...over, asked };
}

test('an address needs no resolution', async () => {
  const s = sources();
  const system = new SystemResolver(s);
  assert.deepEqual(await system.resolve('10.1.2.3', 'auto'), { addresses: ['10.1.2.3'], ttl: Infinity });
  assert.deepEqual(await system.resolve('::1', 'v6'), { addresses: ['::1'], ttl: Infinity });
  assert.deepEqual(s.asked, []);
});

test('the hosts file comes first, by family and whatever the case, and is read again after a change', async () => {
  writeFileSync(hostsFile, '127.0.0.1 localhost\n::1 localhost ip6\n10.0.0.1 app # the app\n10.0.0.2\tApp other\nnot-an-address x\n');
  const s = sources();
  const system = new SystemResolver(s);
  assert.deepEqual((await system.resolve('APP', 'auto')).addresses, ['10.0.0.1', '10.0.0.2']);
  assert.deepEqual((await system.resolve('localhost', 'auto')).addresses, ['127.0.0.1']);
  assert.deepEqual((await system.resolve('localhost', 'v6')).addresses, ['::1']);
  assert.deepEqual((await system.resolve('ip6', 'auto')).addresses, ['::1']);
  assert.equal((await system.resolve('app', 'v4')).ttl, 5);
  assert.deepEqual(s.asked, []);
  writeFileSync(hostsFile, '10.0.0.99 app more\n');
  assert.deepEqual((await system.resolve('app', 'auto')).addresses, ['10.0.0.99']);
  await assert.rejects(system.resolve('x', 'auto'), { code: 'ENOTFOUND' });
});

test('DNS gives the smallest time to live; IPv6 only where there is no IPv4 or it was asked for', async () => {
  const v4 = [{ address: '10.0.0.1', ttl: 30 }, { address: '10.0.0.2', ttl: 7 }];
  const v6 = [{ address: 'fd00::1', ttl: 9 }];
  const both = new SystemResolver(sources({ resolve4: async () => v4, resolve6: async () => v6 }));
  assert.deepEqual(await both.resolve('svc', 'auto'), { addresses: ['10.0.0.1', '10.0.0.2'], ttl: 7 });
  assert.deepEqual(await both.resolve('svc', 'v6'), { addresses: ['fd00::1'], ttl: 9 });
  const only6 = new SystemResolver(sources({ resolve6: async () => v6 }));
  assert.deepEqual(await only6.resolve('svc', 'auto'), { addresses: ['fd00::1'], ttl: 9 });
});

test('where DNS knows nothing the system is asked, with a time to live of 5 s', async () => {
  const s = sources({ lookup: async (host, family) => { s.asked.push(`lookup ${host} ${family}`); return ['fd00::5', '10.0.0.5']; } });
  const system = new SystemResolver(s);
  assert.deepEqual(await system.resolve('short', 'auto'), { addresses: ['10.0.0.5'], ttl: 5 });
  assert.deepEqual(s.asked, ['A short', 'AAAA short', 'lookup short 0']);
  assert.deepEqual(await system.resolve('short', 'v6'), { addresses: ['fd00::5'], ttl: 5 });
  assert.equal(s.asked.at(-1), 'lookup short 6');
  assert.ok(!s.asked.includes('A short6'));
});

test('a name that nobody knows rejects with the code, and an answer of another family is none', async () => {
  await assert.rejects(new SystemResolver(sources()).resolve('nobody', 'auto'), { code: 'ENOTFOUND' });
  const only6 = sources({ lookup: async () => ['fd00::1'] });
  await assert.rejects(new SystemResolver(only6).resolve('six', 'v4'), { code: 'ENODATA' });
  const noFile = sources({ hostsFile: join(folder, 'absent'), lookup: async () => ['10.0.0.1'] });
  assert.equal((await new SystemResolver(noFile).resolve('any', 'auto')).addresses[0], '10.0.0.1');
});

test('the machine itself resolves localhost', async () => {
  const { addresses } = await resolver.resolve('localhost', 'auto');
  assert.ok(addresses.includes('127.0.0.1') || addresses.includes('::1'), addresses.join());
});

test('a fake stands behind the resolver until it is undone', async () => {
  const fake = new FakeResolver().set('svc', ['10.9.9.9'], 3).fail('bad', 'ETIMEOUT');
  const undo = setResolver(fake);
  try {
    assert.deepEqual(await resolver.resolve('svc', 'auto'), { addresses: ['10.9.9.9'], ttl: 3 });
    await assert.rejects(resolver.resolve('bad', 'auto'), { code: 'ETIMEOUT' });
    await assert.rejects(resolver.resolve('unknown', 'auto'), { code: 'ENOTFOUND' });
    assert.deepEqual(fake.asked, ['svc', 'bad', 'unknown']);
  } finally {
    undo();
  }
  await resolver.resolve('127.0.0.1', 'auto');
  assert.equal(fake.asked.length, 3);
});

test('parseHosts keeps every address of a name once', () => {
  const hosts = parseHosts('1.1.1.1 a b\n1.1.1.1 A\r\n2.2.2.2 a #b\n');
  assert.deepEqual([...hosts], [['a', ['1.1.1.1', '2.2.2.2']], ['b', ['1.1.1.1']]]);
});

// The filters that let clients in: ip_access by address, connection_limit by number, alone and shared between listeners.
import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { configureLog } from '../../../src/core/log.js';
import type { FilterContext, Level, NetworkFilterManifest } from '../../../src/network/filter.js';
import { ConnectionInfo } from '../../../src/network/wire.js';
import { manifest as ipAccess } from '../../../src/filters/network/ip_access/manifest.js';
import { filter, ListenerLab } from '../../network/listener-lab.js';
import { client, until } from '../../support/loopback.js';

await configureLog({ to: { write() {} } });

let undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const f of undo.reverse()) await f();
  undo = [];
});

const from = (address: string): ConnectionInfo => Object.assign(new ConnectionInfo(), { remoteAddress: address });

function access(options: Record<string, unknown>): (address: string) => boolean {
  const made = (ipAccess as NetworkFilterManifest).create(ipAccess.schema.parse(options), {} as FilterContext);
  return (address) => made.admit!(from(address)) === null;
}

describe('ip_access', () => {
  test('goes by the first rule that lists the address', () => {
    const lets = access({
      rules: [
        { action: 'deny', addresses: '10.1.0.0/16' },
        { action: 'allow', addresses: ['10.0.0.0/8', 'fd00::/8'] },
        { action: 'deny', addresses: ['192.168.0.1'] },
        { action: 'allow', addresses: '192.168.0.0/24, 2001:db8::5' },
      ],
    });
    const expected: [string, boolean][] = [
      ['10.1.2.3', false], ['10.2.2.3', true], ['fd12::1', true], ['fe80::1', false], ['192.168.0.1', false], ['192.168.0.2', true],
      ['192.168.1.2', false], ['2001:db8::5', true], ['2001:db8::6', false], ['8.8.8.8', false], ['unix:', false], ['', false],
    ];
    assert.deepEqual(expected.map(([address]) => [address, lets(address)]), expected);
  });

  test('knows an IPv4 address in its IPv6 form', () => {
    const lets = access({ rules: [{ action: 'allow', addresses: '10.0.0.0/8' }] });
    assert.deepEqual([lets('::ffff:10.1.1.1'), lets('::ffff:a01:101'), lets('::10.1.1.1')], [true, true, false]);
    const six = access({ rules: [{ action: 'allow', addresses: '::ffff:10.0.0.0/104' }] });
    assert.deepEqual([six('10.1.1.1'), six('11.1.1.1')], [true, false]);
  });

  test('without a rule that matches does as it is told', () => {
    assert.deepEqual([access({ default_action: 'allow' })('1.2.3.4'), access({})('1.2.3.4')], [true, false]);
    assert.equal(access({ rules: [{ action: 'deny', addresses: '0.0.0.0/0' }], default_action: 'allow' })('::1'), true);
  });

  test('refuses what is no address', () => {
    for (const addresses of ['10.0.0.0/33', '10.0.0', 'host', '10.0.0.0/8/8', '10.0.0.0/-1', 'fd00::/129', '']) {
      const result = ipAccess.schema.safeParse({ rules: [{ action: 'allow', addresses: [addresses] }] });
      assert.equal(result.success, addresses === '', addresses);
    }
  });

  test('closes the connection of a client it does not let in', { timeout: 20_000 }, async () => {
    const it = await new ListenerLab({ network_filters: [filter('ip_access', { rules: [{ action: 'deny', addresses: '127.0.0.1' }], default_action: 'allow' })] }).start();
    undo.push(() => it.listener.close(0));
    const peer = await client(it.port);
    await peer.hasEnded();
    assert.deepEqual([peer.bytes, it.owner.connections.length], [0, 0]);
    await until(() => it.listener.connections.size === 0);
    assert.equal(it.stat('sluice_listener_refused_total', { reason: 'ip-denied' }), 1);
  });
});

describe('connection_limit', { timeout: 20_000 }, () => {
  test('counts every way in which a connection ends', async () => {
    const it = await new ListenerLab({ network_filters: [filter('connection_limit', { max_connections: 3 })] }).start();
    undo.push(() => it.listener.close(0));
    for (let round = 0; round < 3; round++) {
      const peers = [await client(it.port), await client(it.port), await client(it.port)];
      await until(() => it.listener.connections.size === 3);
      const late = await client(it.port);
      await late.hasEnded();
      peers[0]!.end();
      peers[1]!.reset();
      it.owner.connections.at(-1)!.close(true);
      await until(() => it.listener.connections.size === 0);
      for (const peer of peers) peer.socket.destroy();
    }
    assert.deepEqual([it.owner.connections.length, it.stat('sluice_listener_refused_total', { reason: 'connection-limit' })], [9, 3]);
  });

  test('is shared where its level is', async () => {
    const values = new Map<string, number>();
    const level = (name: string): Level => ({ add: (n) => values.set(name, (values.get(name) ?? 0) + n), read: () => values.get(name) ?? 0 });
    const labs = await Promise.all([1, 2].map(() => new ListenerLab({ network_filters: [filter('connection_limit', { max_connections: 1 })] }, { level }).start()));
    for (const it of labs) undo.push(() => it.listener.close(0));
    const first = await client(labs[0]!.port);
    await until(() => labs[0]!.listener.connections.size === 1);
    await (await client(labs[1]!.port)).hasEnded();
    first.reset();
    await until(() => labs[0]!.listener.connections.size === 0);
    assert.deepEqual([...values], [['connection_limit test', 0]]);
    const second = await client(labs[1]!.port);
    await until(() => labs[1]!.listener.connections.size === 1);
    second.reset();
  });
});

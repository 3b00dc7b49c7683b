// udp_proxy between real sockets: a session for each client, answers to whom they belong, and sessions that end and begin anew.
import assert from 'node:assert/strict';
import * as dgram from 'node:dgram';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setClock } from '../../../src/core/clock.js';
import { FakeClock } from '../../../src/core/clock-fake.js';
import { configureLog } from '../../../src/core/log.js';
import { filter } from '../../network/listener-lab.js';
import { until } from '../../support/loopback.js';
import { ClusterLab } from './cluster-lab.js';

const limit = { timeout: 30_000 };
await configureLog({ to: { write() {} } });

/** One UDP socket and what it heard. */
class Port {
  readonly socket = dgram.createSocket('udp4');
  readonly heard: { text: string; port: number }[] = [];

  /** `answer`: what it sends back to each datagram; null for silence. */
  async open(answer: ((text: string) => string) | null = null): Promise<this> {
    this.socket.on('message', (bytes, from) => {
      this.heard.push({ text: bytes.toString('latin1'), port: from.port });
      if (answer !== null) this.socket.send(Buffer.from(answer(bytes.toString('latin1')), 'latin1'), from.port, from.address);
    });
    this.socket.on('error', () => {});
    this.socket.bind(0, '127.0.0.1');
    await once(this.socket, 'listening');
    return this;
  }

  get port(): number {
    return (this.socket.address() as AddressInfo).port;
  }

  get texts(): string[] {
    return this.heard.map((h) => h.text);
  }

  send(text: string, port: number): void {
    this.socket.send(Buffer.from(text, 'latin1'), port, '127.0.0.1');
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.socket.close(() => resolve());
    });
  }
}

let it: ClusterLab;
let hosts: Port[];
let clients: Port[];
let undo: (() => unknown)[] = [];

beforeEach(async () => {
  hosts = [await new Port().open((text) => `a:${text}`), await new Port().open((text) => `b:${text}`)];
  clients = [await new Port().open(), await new Port().open()];
});

afterEach(async () => {
  for (const f of undo.reverse()) await f();
  undo = [];
  await it.close();
  for (const port of [...hosts, ...clients]) await port.close();
});

async function proxy(options: Record<string, unknown> = {}, cluster: Record<string, unknown> = {}, gates: ReturnType<typeof filter>[] = []): Promise<number> {
  it = new ClusterLab({ protocol: 'udp', network_filters: [...gates, filter('udp_proxy', { cluster: 'dns', ...options })] });
  it.upstream.apply({ name: 'dns', hosts: `127.0.0.1:${hosts[0]!.port}`, ...cluster });
  await it.lab.start();
  return it.lab.port;
}

const dropped = (): number => it.lab.stat('sluice_udp_dropped_datagrams_total');
const both = (): string[] => hosts.map((host) => `127.0.0.1:${host.port}`);

describe('udp_proxy', limit, () => {
  test('carries datagrams whole, and each answer to the client it is for', async () => {
    const port = await proxy();
    for (const [i, one] of clients.entries()) for (let n = 0; n < 5; n++) one.send(`client ${i} says ${n}`, port);
    clients[0]!.send('x'.repeat(8000), port);
    clients[0]!.send('', port);
    await until(() => clients[0]!.heard.length === 7 && clients[1]!.heard.length === 5);
    assert.deepEqual(clients[1]!.texts.toSorted(), [0, 1, 2, 3, 4].map((n) => `a:client 1 says ${n}`));
    assert.ok(clients[0]!.texts.includes(`a:${'x'.repeat(8000)}`));
    assert.ok(clients[0]!.heard.every((h) => h.port === port), 'answers come from the port that was asked');
    assert.equal(new Set(hosts[0]!.heard.map((h) => h.port)).size, 2, 'a port of our own for each client');
    assert.deepEqual([it.lab.stat('sluice_udp_sessions_total'), it.lab.stat('sluice_udp_active_sessions'), it.cluster('dns').breaker.levels().connections], [2, 2, 2]);
    assert.equal(it.lab.listener.active, 2);
  });

  test('keeps a client with its host, and ends the session after its idle timeout', async () => {
    const clock = new FakeClock();
    undo.push(setClock(clock));
    const port = await proxy({ idle_timeout: '10s' }, { hosts: both(), balancer: 'round_robin' });
    for (let i = 0; i < 4; i++) {
      clients[0]!.send(String(i), port);
      await until(() => clients[0]!.heard.length === i + 1);
      clock.advance(9000);
    }
    assert.equal(new Set(clients[0]!.texts.map((text) => text[0])).size, 1);
    assert.equal(it.lab.records.length, 0);
    clock.advance(2000);
    await until(() => it.lab.records.length === 1);
    const r = it.lab.records[0]!;
    assert.deepEqual([r.protocol, r.code, r.bytesIn, r.bytesOut, r.info.remotePort], ['udp', '', 4, 12, clients[0]!.port]);
    await it.rests();
    clients[0]!.send('anew', port);
    await until(() => clients[0]!.heard.length === 5);
    assert.equal(it.lab.stat('sluice_udp_sessions_total'), 2);
    assert.notEqual(clients[0]!.texts[4]![0], clients[0]!.texts[0]![0], 'a new session begins with the next host');
  });

  test('leaves a host that refuses, for the next datagram', async () => {
    const dead = await new Port().open();
    const gone = `127.0.0.1:${dead.port}`;
    await dead.close();
    const port = await proxy({}, { hosts: gone });
    clients[0]!.send('anybody?', port);
    await until(() => it.lab.records.length === 1);
    assert.deepEqual(it.lab.records.map((r) => [r.code, r.host]), [['connect-refused', gone]]);
    assert.equal(it.cluster('dns').hosts[0]!.stats.connect_failures.value, 1);
    it.upstream.apply({ name: 'dns', hosts: both()[0]! });
    clients[0]!.send('hello', port);
    await until(() => clients[0]!.heard.length === 1);
    assert.equal(clients[0]!.texts[0], 'a:hello');
  });

  test('ends the sessions of a host that is removed; the next datagram goes to another', async () => {
    const port = await proxy();
    clients[0]!.send('1', port);
    await until(() => clients[0]!.heard.length === 1);
    it.upstream.apply({ name: 'dns', hosts: both()[1]! });
    await until(() => it.lab.records.length === 1);
    clients[0]!.send('2', port);
    await until(() => clients[0]!.heard.length === 2);
    assert.deepEqual(clients[0]!.texts, ['a:1', 'b:2']);
  });

  test('holds to its limits, and counts what it drops', async () => {
    const port = await proxy({ max_sessions: 1 });
    clients[0]!.send('in', port);
    await until(() => clients[0]!.heard.length === 1);
    clients[1]!.send('out', port);
    await until(() => dropped() === 1);
    clients[0]!.send('still in', port);
    await until(() => clients[0]!.heard.length === 2);
    assert.equal(clients[1]!.heard.length, 0);
    const reasons = (reason: string): number => it.lab.stats.counter('sluice_udp_reasons_total', '', { listener: 'test', reason }).value;
    assert.equal(reasons('connection-limit'), 1);
    it.lab.listener.update({ ...it.lab.listener.config, network_filters: [filter('udp_proxy', { cluster: 'missing' })] });
    clients[0]!.send('nowhere', port);
    await until(() => reasons('no-cluster') === 1);
    it.lab.listener.update({ ...it.lab.listener.config, network_filters: [filter('udp_proxy', { cluster: 'dns' })] });
    it.upstream.apply({ name: 'dns', hosts: [] });
    clients[0]!.send('nobody', port);
    await until(() => reasons('no-host') === 1);
    it.upstream.apply({ name: 'dns', hosts: both()[0]!, breaker: { max_connections: 1 } });
    clients[0]!.send('one', port);
    await until(() => clients[0]!.heard.length === 3);
    clients[1]!.send('two', port);
    await until(() => reasons('breaker-connections') === 1);
  });

  test('asks the filters before it, once for each session', async () => {
    const clock = new FakeClock();
    undo.push(setClock(clock));
    const port = await proxy({ idle_timeout: '10s' }, {}, [
      filter('ip_access', { rules: [{ action: 'allow', addresses: ['127.0.0.1'] }] }),
      filter('connection_limit', { max_connections: 1 }),
    ]);
    for (let i = 0; i < 3; i++) clients[0]!.send('in', port);
    await until(() => clients[0]!.heard.length === 3);
    clients[1]!.send('out', port);
    await until(() => dropped() === 1);
    assert.equal(it.lab.stat('sluice_listener_refused_total', { reason: 'connection-limit' }), 1);
    clock.advance(10_100);
    await until(() => it.lab.records.length === 1);
    clients[1]!.send('in now', port);
    await until(() => clients[1]!.heard.length === 1);
    it.lab.listener.update({ ...it.lab.listener.config, network_filters: [filter('ip_access', { rules: [{ action: 'deny', addresses: '127.0.0.0/8' }], default_action: 'allow' }), filter('udp_proxy', { cluster: 'dns' })] });
    clients[0]!.send('denied', port);
    await until(() => it.lab.stat('sluice_listener_refused_total', { reason: 'ip-denied' }) === 1);
  });

  test('deals sessions out by weight', async () => {
    const port = await proxy({ cluster: undefined, weighted: [{ cluster: 'dns', weight: 1 }, { cluster: 'far', weight: 1 }] });
    it.upstream.apply({ name: 'dns', hosts: both()[0]! }, { name: 'far', hosts: both()[1]! });
    for (const one of clients) one.send('x', port);
    await until(() => clients.every((one) => one.heard.length === 1));
    assert.deepEqual(clients.map((one) => one.texts[0]!).sort(), ['a:x', 'b:x']);
  });

  test('drains: sessions go on and are answered until they are idle or the time is over', async () => {
    const clock = new FakeClock();
    undo.push(setClock(clock));
    const port = await proxy({ idle_timeout: '5s' });
    clients[0]!.send('1', port);
    await until(() => clients[0]!.heard.length === 1);
    let closed = false;
    const closing = it.lab.listener.close(60_000).then(() => (closed = true));
    clients[0]!.send('2', port);
    await until(() => clients[0]!.heard.length === 2);
    assert.equal(closed, false);
    clock.advance(5100);
    await closing;
    assert.equal(it.lab.records.at(-1)!.code, '');
  });
});

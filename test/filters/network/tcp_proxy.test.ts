// tcp_proxy between real sockets: bytes unharmed both ways, ends and resets carried across, hosts tried in turn, nothing left behind.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setClock } from '../../../src/core/clock.js';
import { FakeClock } from '../../../src/core/clock-fake.js';
import { configureLog } from '../../../src/core/log.js';
import { HIGH_WATER } from '../../../src/network/connection.js';
import type { ConnectionRecord } from '../../../src/network/record.js';
import { filter } from '../../network/listener-lab.js';
import { client, echo, freePort, Host, pattern, type Peer, until } from '../../support/loopback.js';
import { ClusterLab } from './cluster-lab.js';

const limit = { timeout: 30_000 };
await configureLog({ to: { write() {} } });

let host: Host;
let other: Host;
let it: ClusterLab;
let undo: (() => unknown)[] = [];

beforeEach(async () => {
  host = await new Host(echo).start();
  other = await new Host(echo).start();
});

afterEach(async () => {
  for (const f of undo.reverse()) await f();
  undo = [];
  await it.close();
  await host.stop();
  await other.stop();
});

async function proxy(options: Record<string, unknown> = { cluster: 'svc' }, cluster: Record<string, unknown> = {}): Promise<number> {
  it = new ClusterLab({ protocol: 'tcp', network_filters: [filter('tcp_proxy', options)] });
  it.upstream.apply({ name: 'svc', hosts: host.address, ...cluster });
  await it.lab.start();
  return it.lab.port;
}

async function record(index = 0): Promise<ConnectionRecord> {
  await until(() => it.lab.records.length > index, 'a record');
  return it.lab.records[index]!;
}

const turns = async (n: number): Promise<void> => {
  for (let i = 0; i < n; i++) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
};

describe('bytes', limit, () => {
  test('of every size arrive unharmed, both ways at once', async () => {
    const port = await proxy();
    const sizes = [1, 100, 16 * 1024 - 1, 16 * 1024, 64 * 1024, 1_000_003, 20_000_000];
    const peers = await Promise.all(sizes.map(() => client(port)));
    for (const [i, peer] of peers.entries()) peer.send(pattern(sizes[i]!));
    for (const [i, peer] of peers.entries()) {
      await peer.hasBytes(sizes[i]!);
      assert.ok(peer.received.equals(pattern(sizes[i]!)), `${sizes[i]} bytes`);
      peer.end();
      await peer.isClosed();
    }
    await it.rests();
    const records = it.lab.records.map((r) => [r.bytesIn, r.bytesOut, r.code, r.host, r.cluster, r.attempts.length]).sort((a, b) => Number(a[0]) - Number(b[0]));
    assert.deepEqual(records, sizes.map((size) => [size, size, '', host.address, 'svc', 1]));
    const sum = sizes.reduce((a, b) => a + b);
    assert.deepEqual([it.lab.stat('sluice_tcp_received_bytes_total'), it.lab.stat('sluice_tcp_sent_bytes_total'), it.lab.stat('sluice_tcp_connections_total')], [sum, sum, sizes.length]);
  });

  test('one at a time, in order', async () => {
    const peer = await client(await proxy());
    const text = 'the quick brown fox jumps over the lazy dog';
    for (const letter of text) {
      peer.send(letter);
      await turns(1);
    }
    await peer.has(text);
  });

  test('of a client that does not wait for the connection to the host reach it', async () => {
    const port = await proxy();
    const peers = await Promise.all(Array.from({ length: 20 }, () => client(port)));
    for (const [i, peer] of peers.entries()) {
      peer.send(`first ${i};`);
      peer.end();
    }
    for (const [i, peer] of peers.entries()) {
      await peer.isClosed();
      assert.equal(peer.text, `first ${i};`);
    }
  });

  test('wait in bounded memory for a client, or a host, that does not read', async () => {
    const port = await proxy();
    host.serve = (peer) => peer.socket.write(pattern(40_000_000));
    const slowClient = await client(port, { paused: true });
    const talker = await host.peer(0);
    await until(() => talker.socket.writableLength > 0);
    host.serve = (peer) => peer.socket.pause();
    const slowHost = await client(port);
    slowHost.send(pattern(40_000_000));
    await turns(300);
    for (const connection of it.lab.listener.connections) assert.ok(connection.unsent <= HIGH_WATER + 512 * 1024, `${connection.unsent} bytes wait for a client`);
    assert.ok(talker.socket.writableLength > 20_000_000, 'the host is held back');
    assert.ok(slowHost.socket.writableLength > 20_000_000, 'the client is held back');
    slowClient.socket.resume();
    (await host.peer(1)).socket.resume();
    await slowClient.hasBytes(40_000_000);
    await (await host.peer(1)).hasBytes(40_000_000);
    assert.ok(slowClient.received.equals(pattern(40_000_000)));
    assert.ok((await host.peer(1)).received.equals(pattern(40_000_000)));
  });
});

describe('ends', limit, () => {
  test('of one direction are carried across and leave the other open', async () => {
    host.serve = (peer) => peer.socket.on('end', () => peer.send(`you said ${peer.text}`));
    const peer = await client(await proxy());
    peer.send('all');
    peer.end();
    await peer.has('you said all');
    await turns(20);
    assert.equal(peer.closed, false);
    (await host.peer()).end();
    await peer.isClosed();
    assert.equal((await record()).code, '');
  });

  test("of the host's side let the client go on speaking", async () => {
    host.serve = (peer) => peer.socket.end('nothing more from me');
    const peer = await client(await proxy());
    await peer.has('nothing more from me');
    await peer.hasEnded();
    peer.send('but from me');
    await (await host.peer()).has('but from me');
    peer.end();
    await peer.isClosed();
    assert.deepEqual([(await record()).code, (await record()).bytesIn, (await record()).bytesOut], ['', 11, 20]);
  });

  test('by reset are carried across as resets, in every phase', async () => {
    const port = await proxy();
    // Who resets after its own end was seen is noticed at the next write only, so the other one does it there.
    const phases: [string, ('client' | 'host')[], (a: Peer, b: Peer) => Promise<void>][] = [
      ['silent', ['client', 'host'], async () => {}],
      ['amid a request', ['client', 'host'], async (a, b) => {
        a.send('x');
        await b.has('x');
      }],
      ['amid a reply', ['client', 'host'], async (a, b) => {
        b.send('y');
        await a.has('y');
      }],
      ['the client has ended', ['host'], async (a, b) => {
        a.end();
        await b.hasEnded();
      }],
      ['the host has ended', ['client'], async (a, b) => {
        b.end();
        await a.hasEnded();
      }],
    ];
    host.serve = () => {};
    let n = 0;
    for (const [name, resetters, phase] of phases) {
      for (const who of resetters) {
        const peer = await client(port);
        const far = await host.peer(n);
        await phase(peer, far);
        const [one, two] = who === 'client' ? [peer, far] : [far, peer];
        one.reset();
        await two.isClosed();
        assert.deepEqual([two.error, (await record(n)).code], ['ECONNRESET', who === 'client' ? 'downstream-reset' : 'upstream-reset'], `${name}, by the ${who}`);
        n++;
      }
    }
    await it.rests();
  });

  test('while connecting: the client is gone before there is a host', async () => {
    const port = await proxy({ cluster: 'svc' });
    for (let i = 0; i < 10; i++) {
      const peer = await client(port);
      if (i % 2 === 0) peer.reset();
      else peer.socket.destroy();
    }
    await until(() => it.lab.records.length === 10);
    await it.rests();
  });
});

describe('hosts', limit, () => {
  test('that refuse are passed over, and the record tells of each', async () => {
    const dead = `127.0.0.1:${await freePort()}`;
    const port = await proxy({ cluster: 'svc' }, { hosts: [dead, host.address, other.address], balancer: 'round_robin' });
    for (let i = 0; i < 4; i++) {
      const peer = await client(port);
      peer.send('x');
      await peer.has('x');
      peer.end();
      await peer.isClosed();
    }
    const attempts = (await Promise.all([0, 1, 2, 3].map(record))).map((r) => r.attempts.map((a) => `${a.host === dead ? 'dead' : 'live'} ${a.code}`).join(', '));
    assert.deepEqual([...new Set(attempts)].sort(), ['dead connect-refused, live ', 'live ']);
    assert.equal(it.cluster('svc').stats.connect_failures.value, attempts.filter((a) => a.startsWith('dead')).length);
  });

  test('that all refuse: the client is reset, with the reason on record', async () => {
    const ports = [await freePort(), await freePort(), await freePort(), await freePort()];
    const port = await proxy({ cluster: 'svc', max_connect_attempts: 3 }, { hosts: ports.map((p) => `127.0.0.1:${p}`) });
    const peer = await client(port);
    await peer.isClosed();
    assert.equal(peer.error, 'ECONNRESET');
    const r = await record();
    assert.deepEqual([r.code, r.attempts.length, new Set(r.attempts.map((a) => a.host)).size, r.attempts[0]!.errno], ['connect-refused', 3, 3, 'ECONNREFUSED']);
    assert.equal(it.lab.stats.counter('sluice_tcp_reasons_total', '', { listener: 'test', reason: 'connect-refused' }).value, 1);
  });

  test('one host is tried once, however many attempts there may be', async () => {
    const port = await proxy({ cluster: 'svc', max_connect_attempts: 5 }, { hosts: `127.0.0.1:${await freePort()}` });
    await (await client(port)).isClosed();
    assert.equal((await record()).attempts.length, 1);
  });

  test('none, no cluster, no route: each has its reason', async () => {
    const port = await proxy({ routes: [{ destination_ports: '1', cluster: 'svc' }] });
    await (await client(port)).isClosed();
    assert.equal((await record(0)).code, 'no-route');
    it.lab.listener.update({ ...it.lab.listener.config, network_filters: [filter('tcp_proxy', { cluster: 'missing' })] });
    await (await client(port)).isClosed();
    assert.equal((await record(1)).code, 'no-cluster');
    it.lab.listener.update({ ...it.lab.listener.config, network_filters: [filter('tcp_proxy', { cluster: 'svc' })] });
    it.upstream.setHealthy('svc', host.address, false);
    await (await client(port)).isClosed();
    assert.equal((await record(2)).code, 'no-healthy-host');
    it.upstream.apply({ name: 'svc', hosts: [] });
    await (await client(port)).isClosed();
    assert.equal((await record(3)).code, 'no-host');
  });

  test('beyond the limit of connections are not dialled', async () => {
    const port = await proxy({ cluster: 'svc' }, { breaker: { max_connections: 2 } });
    const peers = [await client(port), await client(port)];
    for (const peer of peers) {
      peer.send('x');
      await peer.has('x');
    }
    const third = await client(port);
    await third.isClosed();
    assert.equal((await record()).code, 'breaker-connections');
    peers[0]!.end();
    await peers[0]!.isClosed();
    await until(() => it.cluster('svc').breaker.levels().connections === 1);
    const fourth = await client(port);
    fourth.send('y');
    await fourth.has('y');
    assert.equal(host.peers.length, 3);
  });

  test('that are removed keep their connections for the drain time, then lose them', async () => {
    const clock = new FakeClock();
    undo.push(setClock(clock));
    const port = await proxy({ cluster: 'svc' }, { drain_timeout: '10s' });
    const peer = await client(port);
    peer.send('a');
    await peer.has('a');
    it.upstream.apply({ name: 'svc', hosts: other.address, drain_timeout: '10s' });
    peer.send('still');
    await peer.has('still');
    const next = await client(port);
    next.send('b');
    await next.has('b');
    assert.deepEqual([host.peers.length, other.peers.length], [1, 1]);
    for (let i = 0; i < 12; i++) {
      clock.advance(1000);
      await turns(2);
    }
    await peer.isClosed();
    assert.equal((await record()).code, 'host-removed');
    next.send('goes on');
    await next.has('goes on');
  });
});

describe('routes', limit, () => {
  test('go by address and port of source and destination, the first that matches', async () => {
    const port = await proxy({
      routes: [
        { source: '10.0.0.0/8', cluster: 'nobody' },
        { destination: ['192.0.2.0/24', '127.0.0.0/8'], destination_ports: '1-65535', source_ports: '1024-65535', cluster: 'far' },
        { cluster: 'svc' },
      ],
      cluster: 'svc',
    });
    it.upstream.apply({ name: 'svc', hosts: host.address }, { name: 'far', hosts: other.address });
    const peer = await client(port);
    peer.send('x');
    await peer.has('x');
    assert.deepEqual([host.peers.length, other.peers.length], [0, 1]);
    peer.end();
    assert.equal((await record()).cluster, 'far');
  });

  test('deal connections out by weight, exactly', async () => {
    const port = await proxy({ weighted: [{ cluster: 'svc', weight: 3 }, { cluster: 'far', weight: 1 }, { cluster: 'never', weight: 0 }] });
    it.upstream.apply({ name: 'svc', hosts: host.address }, { name: 'far', hosts: other.address });
    for (let i = 0; i < 8; i++) {
      const peer = await client(port);
      peer.send('x');
      await peer.has('x');
      peer.end();
      await peer.isClosed();
    }
    assert.deepEqual([host.peers.length, other.peers.length], [6, 2]);
  });

  test('a listener with a cluster and no filter has one', async () => {
    it = new ClusterLab({ protocol: 'tcp', cluster: 'svc' });
    it.upstream.apply({ name: 'svc', hosts: host.address });
    await it.lab.start();
    const peer = await client(it.lab.port);
    peer.send('short');
    await peer.has('short');
  });
});

describe('time', limit, () => {
  test('without a byte closes both sides, activity in either direction keeps them', async () => {
    const clock = new FakeClock();
    undo.push(setClock(clock));
    host.serve = () => {};
    const port = await proxy({ cluster: 'svc', idle_timeout: '40s' });
    const peer = await client(port);
    const far = await host.peer();
    const advance = async (seconds: number): Promise<void> => {
      for (let i = 0; i < seconds; i++) {
        clock.advance(1000);
        await turns(1);
      }
    };
    await advance(30);
    peer.send('x');
    await far.has('x');
    await advance(30);
    far.send('y');
    await peer.has('y');
    await advance(30);
    assert.deepEqual([peer.ended, far.ended], [false, false]);
    await advance(25);
    await peer.hasEnded();
    await far.hasEnded();
    peer.end();
    await advance(2);
    assert.equal((await record()).code, 'idle-timeout');
  });

  test('to drain ends what still runs with its reason', async () => {
    const clock = new FakeClock();
    undo.push(setClock(clock));
    const port = await proxy();
    const peer = await client(port);
    peer.send('x');
    await peer.has('x');
    const closing = it.lab.listener.close(5000);
    await turns(5);
    peer.send('in time');
    await peer.has('in time');
    clock.advance(5100);
    await closing;
    await peer.isClosed();
    assert.deepEqual([peer.error, (await record()).code], ['ECONNRESET', 'drain-deadline']);
  });

  test('a newer configuration leaves connections with what they began with', async () => {
    const port = await proxy();
    const peer = await client(port);
    peer.send('x');
    await peer.has('x');
    it.upstream.apply({ name: 'svc', hosts: host.address }, { name: 'far', hosts: other.address });
    it.lab.listener.update({ ...it.lab.listener.config, network_filters: [filter('tcp_proxy', { cluster: 'far' })] });
    const next = await client(port);
    next.send('y');
    await next.has('y');
    peer.send('old one');
    await peer.has('old one');
    assert.deepEqual([host.peers.length, other.peers.length], [1, 1]);
    await it.lab.listener.close(0);
    await peer.isClosed();
    assert.deepEqual(it.lab.records.map((r) => r.code), ['drain-deadline', 'drain-deadline']);
  });
});

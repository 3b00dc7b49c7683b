// Listeners on loopback: what is accepted reaches its owner, changes hold from the next connection on, and closing keeps its order.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { setClock } from '../../src/core/clock.js';
import { FakeClock } from '../../src/core/clock-fake.js';
import { configureLog } from '../../src/core/log.js';
import { setRandom } from '../../src/core/random.js';
import type { Connection } from '../../src/network/connection.js';
import { transport } from '../../src/network/transport/current.js';
import { client, freePort, Host, type Peer, until } from '../support/loopback.js';
import { filter, ListenerLab, serverTls } from './listener-lab.js';

const limit = { timeout: 30_000 };
await configureLog({ to: { write() {} } });

let undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const f of undo.reverse()) await f();
  undo = [];
});

async function lab(...args: ConstructorParameters<typeof ListenerLab>): Promise<ListenerLab> {
  const made = await new ListenerLab(...args).start();
  undo.push(() => made.listener.close(0));
  return made;
}

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'sluice-'));
  undo.push(() => rmSync(path, { recursive: true }));
  return path;
}

const refused = async (port: number): Promise<boolean> => {
  try {
    (await client(port)).socket.destroy();
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ECONNREFUSED';
  }
};

async function answers(peer: Peer, text: string): Promise<void> {
  peer.send(text);
  await peer.has(`>${text}`);
}

describe('a listener', limit, () => {
  test('hands open connections to its owner and counts them', async () => {
    const it = await lab({});
    const peer = await client(it.port);
    await answers(peer, 'hello');
    assert.equal(it.listener.connections.size, 1);
    assert.deepEqual([it.stat('sluice_listener_accepted_total'), it.stat('sluice_listener_open_connections')], [1, 1]);
    peer.end();
    await peer.isClosed();
    await until(() => it.listener.connections.size === 0);
    assert.deepEqual(it.owner.ended, ['']);
    assert.deepEqual([it.stat('sluice_listener_accepted_total'), it.stat('sluice_listener_open_connections')], [1, 0]);
  });

  test('says in words of the configuration where it cannot listen', async () => {
    const host = await new Host().start();
    undo.push(() => host.stop());
    await assert.rejects(new ListenerLab({ address: { host: '127.0.0.1', port: host.port } }).start(), {
      message: `listener test cannot listen on 127.0.0.1:${host.port}: EADDRINUSE`,
    });
  });

  test('a connection whose owner throws is closed, and the next one is served', async () => {
    let throws = true;
    const it: ListenerLab = await lab({}, {
      accept: (connection: Connection) => {
        if (throws) throw new Error('a fault');
        it.owner.accept(connection);
      },
    });
    const lost = await client(it.port).catch(() => null);
    await lost?.isClosed();
    throws = false;
    await answers(await client(it.port), 'fine');
    await until(() => it.listener.connections.size === 1);
  });

  test('survives clients that are gone before they are accepted', async () => {
    const it = await lab({});
    for (let i = 0; i < 20; i++) {
      const peer = await client(it.port);
      peer.reset();
    }
    await answers(await client(it.port), 'still here');
    await until(() => it.listener.connections.size === 1);
    assert.equal(it.stat('sluice_listener_open_connections'), 1);
  });

  test('pauses and goes on accepting at the same address', async () => {
    const it = await lab({});
    const { port } = it;
    const peer = await client(port);
    await it.listener.pauseAccept();
    assert.equal(await refused(port), true);
    await answers(peer, 'connections go on');
    await it.listener.resumeAccept();
    await answers(await client(port), 'again');
    await it.listener.pauseAccept();
    await it.listener.stopAccept();
    await it.listener.resumeAccept();
    assert.equal(await refused(port), true);
  });

  test('tries again when somebody else took its address while it paused', async () => {
    const it = await lab({});
    const { port } = it;
    await it.listener.pauseAccept();
    const thief = await new Host().start(port);
    undo.push(() => thief.stop());
    const clock = new FakeClock();
    undo.push(setClock(clock));
    await it.listener.resumeAccept();
    await thief.stop();
    let served = false;
    for (let i = 0; i < 10 && !served; i++) {
      clock.advance(1000);
      for (let k = 0; k < 5; k++) {
        await new Promise((resolve) => {
          setImmediate(resolve);
        });
      }
      served = !(await refused(port));
    }
    assert.equal(served, true);
  });

  test('asks clients of a certain age to go, each at a time of its own', async () => {
    const clock = new FakeClock();
    undo.push(setClock(clock));
    const values = [0, 0.5, 0.999];
    undo.push(setRandom(() => values.shift() ?? 0));
    const retired: Connection[] = [];
    const it = await lab({ max_connection_age: 60_000 }, { retire: (connection) => retired.push(connection) });
    for (let i = 0; i < 3; i++) await answers(await client(it.port), 'x');
    const steps: number[] = [];
    for (let t = 0; t < 70_000; t += 1000) {
      clock.advance(1000);
      while (steps.length < retired.length) steps.push(t + 1000);
    }
    assert.deepEqual(steps.map((t) => Math.round(t / 1000)), [54, 60, 66].map((t) => (steps.includes(t * 1000) ? t : t + 1)));
    assert.deepEqual(retired.map((c) => it.owner.connections.indexOf(c)), [0, 1, 2]);
    assert.equal(it.listener.connections.size, 3, 'nothing is closed by force');
  });
});

describe('closing a listener', limit, () => {
  test('waits for what runs, then is done', async () => {
    const it = await lab({});
    const peer = await client(it.port);
    await answers(peer, 'working');
    let closed = false;
    const closing = it.listener.close(30_000).then(() => (closed = true));
    assert.equal(await refused(it.port), true);
    await answers(peer, 'still working');
    assert.equal(closed, false);
    peer.end();
    await closing;
    assert.equal(it.listener.connections.size, 0);
  });

  test('ends what still runs when its time is over', async () => {
    const clock = new FakeClock();
    undo.push(setClock(clock));
    const it = await lab({});
    const peer = await client(it.port);
    await answers(peer, 'for ever');
    const closing = it.listener.close(5000);
    clock.advance(4000);
    await answers(peer, 'not yet');
    clock.advance(1100);
    await closing;
    await peer.isClosed();
    assert.equal(peer.error, 'ECONNRESET');
    assert.equal(it.listener.connections.size, 0);
  });

  test('at once when nothing runs, also before it was ever started', async () => {
    const it = await lab({});
    await it.listener.close(30_000);
    await new ListenerLab({}).listener.close(30_000);
  });
});

describe('a listener on a unix socket', limit, () => {
  test('serves, and takes the file away', async () => {
    const path = join(folder(), 'a.sock');
    const it = await lab({ address: { host: '', port: 0, path } });
    const peer = await client(path);
    await answers(peer, 'by file');
    assert.deepEqual([it.owner.connections[0]!.info.remoteAddress, it.owner.connections[0]!.info.localAddress], ['unix:', `unix:${path}`]);
    peer.socket.destroy();
    await until(() => it.listener.connections.size === 0);
    await it.listener.close(0);
    assert.equal(existsSync(path), false);
  });

  test('takes over the file of a process that was killed', async () => {
    const path = join(folder(), 'a.sock');
    const worker = new Worker(`require('node:net').createServer().listen(${JSON.stringify(path)}, () => require('node:worker_threads').parentPort.postMessage(1))`, { eval: true });
    await once(worker, 'message');
    await assert.rejects(new ListenerLab({ address: { host: '', port: 0, path } }).start(), /EADDRINUSE/, 'somebody listens there');
    await worker.terminate();
    if (!existsSync(path)) writeStale(path);
    await lab({ address: { host: '', port: 0, path } });
    await answers(await client(path), 'mine now');
  });

  test('leaves a file alone that is no socket', async () => {
    const path = join(folder(), 'precious');
    writeFileSync(path, 'data');
    await assert.rejects(new ListenerLab({ address: { host: '', port: 0, path } }).start(), /EADDRINUSE/);
    assert.equal(existsSync(path), true);
  });
});

/** A socket's file with nobody behind it, as a killed process leaves it. */
function writeStale(path: string): void {
  spawnSync(process.execPath, ['-e', `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`], { stdio: 'ignore', timeout: 10_000 });
}

describe('changing a listener live', limit, () => {
  test('filters hold from the next connection on, and count those who are in', async () => {
    const it = await lab({ network_filters: [filter('connection_limit', { max_connections: 2 })] });
    const one = await client(it.port);
    await answers(one, 'a');
    it.listener.update({ ...it.listener.config, network_filters: [filter('connection_limit', { max_connections: 1 })] });
    await answers(one, 'stays');
    const two = await client(it.port);
    await two.hasEnded();
    assert.equal(two.bytes, 0);
    assert.equal(it.stat('sluice_listener_refused_total', { reason: 'connection-limit' }), 1);
    one.end();
    await one.isClosed();
    await until(() => it.listener.connections.size === 0);
    await answers(await client(it.port), 'room again');
  });

  test('an address or protocol does not change', async () => {
    const it = await lab({});
    assert.throws(() => it.listener.update({ ...it.listener.config, address: { host: '127.0.0.1', port: 1 } }), /needs another listener/);
    assert.throws(() => it.listener.update({ ...it.listener.config, protocol: 'other' }), /needs another listener/);
  });

  test('what cannot be built changes nothing', async () => {
    const it = await lab({});
    const tls = serverTls({ certificates: [{ cert: 'nowhere.pem', key: 'nowhere.key' }] });
    assert.throws(() => it.listener.update({ ...it.listener.config, tls }), /listener test: tls: cannot read nowhere.pem: ENOENT/);
    await answers(await client(it.port), 'plain as before');
  });

  test('filters in the wrong place are refused in words', () => {
    const make = (config: object) => () => new ListenerLab(config);
    assert.throws(make({ protocol: 'tcp' }), /protocol tcp needs a filter such as tcp_proxy/);
    assert.throws(make({ network_filters: [filter('tcp_proxy', { cluster: 'c' })] }), /tcp_proxy can only be the last of network_filters, with protocol tcp/);
    assert.throws(make({ protocol: 'udp', network_filters: [filter('udp_proxy', { cluster: 'c' })], tls: serverTls() }), /no TLS over udp/);
    assert.throws(make({ network_filters: [{ type: 'unheard_of', options: {} }] }), /no network-filter called unheard_of/);
  });
});

describe('listeners of several threads', limit, () => {
  test('share an address where Node can', { skip: !transport().sharesListeners }, async () => {
    const port = await freePort();
    const address = { host: '127.0.0.1', port };
    const one = await lab({ address }, { share: true });
    const two = await lab({ address }, { share: true });
    const peers: Peer[] = [];
    for (let i = 0; i < 64; i++) peers.push(await client(port));
    for (const peer of peers) await answers(peer, 'x');
    assert.equal(one.listener.connections.size + two.listener.connections.size, 64);
    assert.ok(one.listener.connections.size > 0 && two.listener.connections.size > 0);
    for (const peer of peers) peer.reset();
  });
});

// Dialled sockets against real servers on loopback: what a client library relies on, and that every count comes back to zero.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setClock } from '../../../src/core/clock.js';
import { FakeClock } from '../../../src/core/clock-fake.js';
import { configureLog } from '../../../src/core/log.js';
import type { SluiceError } from '../../../src/core/reason.js';
import { HIGH_WATER } from '../../../src/network/connection.js';
import type { DialSocket } from '../../../src/network/upstream/dial.js';
import { until, Upstream } from './fixture.js';

const limit = { timeout: 20_000 };
let up: Upstream;
let server: Server;
let accepted: Socket[];
let serve: (socket: Socket) => void;
let dialled: DialSocket[];
let undo: (() => void)[];
void configureLog({ to: { write() {} } });

beforeEach(async () => {
  up = new Upstream();
  accepted = [];
  dialled = [];
  undo = [];
  serve = (socket) => socket.pipe(socket);
  server = createServer({ allowHalfOpen: true }, (socket) => {
    accepted.push(socket);
    socket.on('error', () => {});
    serve(socket);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  up.apply({ name: 'svc', hosts: address(), breaker: { max_connections: 4 } });
});

afterEach(async () => {
  for (const socket of dialled) {
    if (socket.closed) continue;
    socket.on('error', () => {});
    socket.destroy();
    await once(socket, 'close');
  }
  const cluster = up.cluster('svc');
  assert.deepEqual(cluster.breaker.levels(), { connections: 0, pending: 0, requests: 0, retries: 0 });
  assert.equal(cluster.stats.active_connections.value, 0);
  for (const host of cluster.hosts) assert.deepEqual([host.connections, host.active, host.unused], [0, 0, true]);
  for (const f of undo) f();
  up.close();
  for (const socket of accepted) socket.destroy();
  await new Promise((resolve) => {
    server.close(resolve);
  });
});

const address = (): string => `127.0.0.1:${(server.address() as AddressInfo).port}`;

function dial(name = 'svc', options = {}): DialSocket {
  const socket = up.manager.dial(name, options);
  dialled.push(socket);
  return socket;
}

/** Everything that is read until the end. */
async function all(socket: DialSocket): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of socket) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

async function failure(socket: DialSocket): Promise<SluiceError> {
  const [error] = (await once(socket, 'error')) as [SluiceError];
  if (!socket.closed) await once(socket, 'close');
  return error;
}

describe('a dialled socket', limit, () => {
  test('carries lines both ways, in order, written before and after it is connected', async () => {
    serve = (socket) => {
      createInterface({ input: socket }).on('line', (line) => socket.write(`+${line}\n`));
    };
    const socket = dial();
    assert.deepEqual([socket.connecting, socket.pending, socket.readyState], [true, true, 'opening']);
    socket.write('early\n');
    const events: string[] = [];
    for (const name of ['connect', 'ready', 'end', 'close']) socket.on(name, () => events.push(name));
    const lines: string[] = [];
    createInterface({ input: socket }).on('line', (line) => lines.push(line));
    await once(socket, 'ready');
    assert.deepEqual([socket.connecting, socket.readyState, events], [false, 'open', ['connect', 'ready']]);
    assert.equal(`${socket.remoteAddress}:${socket.remotePort}`, address());
    socket.cork();
    for (let i = 0; i < 1000; i++) socket.write(`${i}\n`);
    socket.uncork();
    await until(() => lines.length === 1001);
    assert.deepEqual(lines, ['+early', ...Array.from({ length: 1000 }, (_, i) => `+${i}`)]);
    assert.equal(up.cluster('svc').stats.connects.value, 1);
    assert.equal(up.cluster('svc').hosts[0]!.connections, 1);
    assert.deepEqual(up.cluster('svc').breaker.levels().connections, 1);
    accepted[0]!.end();
    await once(socket, 'close');
    assert.deepEqual(events, ['connect', 'ready', 'end', 'close']);
    assert.equal(socket.readyState, 'closed');
    assert.ok(socket.bytesRead > 4000 && socket.bytesWritten > 3000);
  });

  test('carries bytes unharmed, however large', async () => {
    const socket = dial();
    const sent = Buffer.alloc(5_000_000);
    for (let i = 0; i < sent.length; i++) sent[i] = (i * 31) ^ (i >>> 8);
    socket.end(sent);
    assert.ok(sent.equals(await all(socket)));
  });

  test('may end its side and still read, if it says so', async () => {
    serve = (socket) => {
      socket.resume();
      socket.on('end', () => setImmediate(() => socket.end('after the end')));
    };
    const socket = dial('svc', { allowHalfOpen: true });
    socket.end('question');
    assert.equal((await all(socket)).toString(), 'after the end');
    if (!socket.closed) await once(socket, 'close');
  });

  test('stays writable after the end of the other side, if it says so', async () => {
    let heard = '';
    serve = (socket) => {
      socket.end('bye');
      socket.setEncoding('utf8').on('data', (text: string) => (heard += text));
    };
    const socket = dial('svc', { allowHalfOpen: true });
    let bye = '';
    socket.setEncoding('utf8').on('data', (text: string) => (bye += text));
    await once(socket, 'end');
    assert.deepEqual([bye, socket.readyState], ['bye', 'writeOnly']);
    socket.end('last words');
    await once(socket, 'close');
    await until(() => heard !== '');
    assert.equal(heard, 'last words');
  });

  test('holds the writer back while the other side does not read', async () => {
    serve = (socket) => socket.pause();
    const socket = dial();
    await once(socket, 'connect');
    const piece = Buffer.alloc(64 * 1024, 120);
    const { connection } = (socket as unknown as { line: { connection: { unsent: number; overHigh: boolean } } }).line;
    let written = 0;
    // The system's own buffers take some megabytes first.
    while (!connection.overHigh && written < 64 * 1024 * 1024) {
      written += piece.length;
      if (!socket.write(piece)) await until(() => !socket.writableNeedDrain || connection.overHigh);
    }
    for (let i = 0; i < 10; i++) {
      written += piece.length;
      assert.equal(socket.write(piece), false);
    }
    assert.ok(connection.overHigh && connection.unsent <= HIGH_WATER + piece.length, String(connection.unsent));
    let got = 0;
    accepted[0]!.on('data', (bytes) => (got += bytes.length)).resume();
    await once(socket, 'drain');
    assert.equal(connection.overHigh, false);
    socket.end();
    await until(() => got === written);
  });

  test('holds the other side back while nobody reads', async () => {
    let blocked = false;
    const total = 64 * 1024 * 1024;
    serve = (socket) => {
      const piece = Buffer.alloc(256 * 1024, 121);
      let left = total;
      const push = (): void => {
        while (left > 0) {
          left -= piece.length;
          if (!socket.write(piece)) {
            blocked = true;
            return;
          }
        }
        socket.end();
      };
      socket.on('drain', push);
      push();
    };
    const socket = dial();
    await once(socket, 'connect');
    await until(() => blocked && socket.readableLength > 0);
    for (let i = 0; i < 50; i++) {
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
    assert.ok(socket.readableLength < 1024 * 1024, `${socket.readableLength} bytes are held`);
    let got = 0;
    for await (const part of socket) got += (part as Buffer).length;
    assert.equal(got, total);
  });

  test('has the options of a net.Socket that libraries set without asking', async () => {
    const socket = dial();
    assert.equal(socket.setNoDelay().setKeepAlive(true, 1000).setTimeout(0).ref().unref(), socket);
    await once(socket, 'connect');
    assert.equal(socket.setNoDelay(false).setKeepAlive(false), socket);
    socket.write('x');
    socket.destroySoon();
    await once(socket, 'close');
    await until(() => accepted[0]!.readableEnded || accepted[0]!.destroyed);
  });

  test('says when nothing has moved for a time, once, and again after something moved', async () => {
    const time = new FakeClock();
    undo.push(setClock(time));
    const socket = dial();
    await once(socket, 'connect');
    let fired = 0;
    let called = 0;
    socket.on('timeout', () => fired++);
    socket.setTimeout(1000, () => called++);
    time.advance(900);
    socket.write('x');
    await once(socket, 'data');
    time.advance(900);
    assert.equal(fired, 0);
    time.advance(200);
    assert.deepEqual([fired, called], [1, 1]);
    time.advance(5000);
    assert.equal(fired, 1);
    socket.write('x');
    await once(socket, 'data');
    time.advance(1100);
    assert.deepEqual([fired, called], [2, 1]);
    socket.write('x');
    await once(socket, 'data');
    socket.setTimeout(0);
    time.advance(5000);
    assert.equal(fired, 2);
    assert.equal(socket.destroyed, false, 'what to do about it is the owner\'s choice');
  });
});

describe('what goes wrong', limit, () => {
  test('before a connection exists is an error event with a reason', async () => {
    up.apply({ name: 'svc', hosts: address() }, { name: 'empty' }, { name: 'ill', hosts: '127.0.0.1:1' }, { name: 'full', hosts: address(), breaker: { max_connections: 1 } });
    up.setHealthy('ill', '127.0.0.1:1', false);
    for (const [name, code] of [['missing', 'no-cluster'], ['empty', 'no-host'], ['ill', 'no-healthy-host']] as const) {
      const socket = dial(name);
      assert.equal(socket.write('lost'), false);
      const error = await failure(socket);
      assert.deepEqual([error.code, error.context.cluster], [code, name]);
      assert.equal(socket.host, null);
    }
    const first = dial('full');
    assert.equal((await failure(dial('full'))).code, 'breaker-connections');
    assert.equal(up.cluster('full').stats.breaker_open.value, 1);
    first.destroy();
    await once(first, 'close');
    const next = dial('full');
    await once(next, 'connect');
    next.destroy();
    await once(next, 'close');
  });

  test('in connecting is told once, with the errno, and counted', async () => {
    const closed = createServer().listen(0, '127.0.0.1');
    await once(closed, 'listening');
    const { port } = closed.address() as AddressInfo;
    closed.close();
    await once(closed, 'close');
    up.apply({ name: 'svc', hosts: `127.0.0.1:${port}` });
    const socket = dial();
    socket.write('x');
    const error = await failure(socket);
    assert.equal(error.code, 'connect-refused');
    assert.match(String((error.cause as NodeJS.ErrnoException).code), /ECONNREFUSED/);
    const { stats, hosts } = up.cluster('svc');
    assert.deepEqual([stats.connects.value, stats.connect_failures.value, hosts[0]!.stats.connect_failures.value], [1, 1, 1]);
  });

  test('on the way is an error: a reset by the host', async () => {
    const socket = dial();
    await once(socket, 'connect');
    await until(() => accepted.length === 1);
    accepted[0]!.resetAndDestroy();
    const error = await failure(socket);
    assert.equal(error.code, 'upstream-reset');
    assert.equal(error.context.host, address());
  });

  test('is no error when the owner destroys it, connected or not; the host sees the end', async () => {
    const early = dial();
    early.destroy();
    await once(early, 'close');
    const socket = dial();
    await once(socket, 'connect');
    await until(() => accepted.length >= 1);
    const peer = accepted.at(-1)!;
    socket.destroy();
    await once(socket, 'close');
    await until(() => peer.readableEnded || peer.destroyed);
    assert.equal(socket.errored, null);
    const own = dial();
    const error = new Error('mine');
    own.destroy(error);
    assert.equal(await failure(own), error);
  });

  test('can be made a reset for the host', async () => {
    const socket = dial();
    await once(socket, 'connect');
    await until(() => accepted.length === 1);
    const reset = once(accepted[0]!, 'error');
    socket.resetAndDestroy();
    await once(socket, 'close');
    assert.equal(((await reset)[0] as NodeJS.ErrnoException).code, 'ECONNRESET');
  });

  test('is a writer\'s error once the connection is gone', async () => {
    serve = (socket) => socket.end();
    const socket = dial('svc', { allowHalfOpen: true });
    socket.resume();
    await once(socket, 'end');
    accepted[0]!.destroy();
    socket.on('error', () => {});
    for (let i = 0; i < 1000 && !socket.destroyed; i++) {
      socket.write('x'.repeat(1000));
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
    assert.ok(socket.destroyed);
    assert.match((socket.errored as SluiceError).code, /^upstream-/);
  });
});

describe('a host that is removed', limit, () => {
  test('tells its sockets, lets them go on, and closes them when its time has passed', async () => {
    const time = new FakeClock();
    undo.push(setClock(time));
    up.apply({ name: 'svc', hosts: address(), drain_timeout: '10s' });
    const socket = dial();
    await once(socket, 'connect');
    let told = 0;
    socket.on('draining', () => told++);
    up.apply({ name: 'svc', drain_timeout: '10s' });
    assert.equal(told, 1);
    assert.equal((await failure(dial())).code, 'no-host');
    socket.write('still');
    assert.equal(String((await once(socket, 'data'))[0]), 'still');
    time.advance(9000);
    assert.equal(socket.destroyed, false);
    const failed = failure(socket);
    time.advance(2000);
    assert.equal((await failed).code, 'host-removed');
  });
});

test('sockets are spread over the hosts as the balancer says', limit, async () => {
  const second = createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.1');
  await once(second, 'listening');
  const other = `127.0.0.1:${(second.address() as AddressInfo).port}`;
  up.apply({ name: 'svc', hosts: [{ address: address(), weight: 3 }, other] });
  const sockets = Array.from({ length: 8 }, () => dial());
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  assert.equal(up.cluster('svc').hosts[0]!.connections, 6);
  assert.equal(up.cluster('svc').hosts[1]!.connections, 2);
  for (const socket of sockets) {
    socket.destroy();
    await once(socket, 'close');
  }
  second.close();
  await once(second, 'close');
});

// The node transport with real sockets: what is sent arrives, what ends or breaks is told once and by its true name, and nothing is lost in a close.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import * as net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { setClock } from '../../../src/core/clock.js';
import { FakeClock } from '../../../src/core/clock-fake.js';
import { configureLog } from '../../../src/core/log.js';
import type { SluiceError } from '../../../src/core/reason.js';
import { connect } from '../../../src/network/connect.js';
import { CLOSED, CONNECTING, type Connection, HIGH_WATER, OPEN, PAUSE_PEER, type Reader } from '../../../src/network/connection.js';
import { NodeTransport } from '../../../src/network/transport/node.js';
import { FLUSH_MS, LINGER_BYTES, LINGER_MS, type NodeWire } from '../../../src/network/transport/node-wire.js';
import type { BindAddress, ServerHandle } from '../../../src/network/transport/transport.js';
import { client, echo, freePort, Host, pattern, type Peer, until } from '../../support/loopback.js';

/** Remembers what a connection tells; consumes everything. */
class Ear implements Reader {
  readonly events: string[] = [];
  readonly parts: Buffer[] = [];
  bytes = 0;
  owned = 0;
  error: SluiceError | null = null;
  hear: (connection: Connection, bytes: Buffer) => void = () => {};

  onOpen(): void {
    this.events.push('open');
  }

  onBytes(connection: Connection, buf: Uint8Array, start: number, end: number, owned: boolean): number {
    const bytes = Buffer.from(buf.subarray(start, end));
    this.parts.push(bytes);
    this.bytes += bytes.length;
    if (owned) this.owned += bytes.length;
    this.hear(connection, bytes);
    return end - start;
  }

  onEnd(): void {
    this.events.push('end');
  }

  onDrain(): void {
    this.events.push('drain');
  }

  onClose(_connection: Connection, error: SluiceError | null): void {
    this.events.push('close');
    this.error = error;
  }

  get closed(): boolean {
    return this.events.includes('close');
  }

  get received(): Buffer {
    return Buffer.concat(this.parts);
  }
}

await configureLog({ to: { write() {} } });
const limit = { timeout: 30_000 };
const transport = new NodeTransport();
let undo: (() => unknown)[] = [];
let host: Host;
let server: ServerHandle | null;
let accepted: { connection: Connection; ear: Ear }[];
/** How accepted sockets are read: by events where TLS may have to take over. */
let byEvents = false;

beforeEach(async () => {
  byEvents = false;
  accepted = [];
  server = null;
  host = await new Host().start();
});

afterEach(async () => {
  for (const f of undo.reverse()) await f();
  undo = [];
  for (const { connection } of accepted) connection.close(true);
  await server?.close();
  await host.stop();
  await until(() => accepted.every(({ ear }) => ear.closed), 'the close of all accepted connections');
});

async function listen(address: BindAddress = { host: '127.0.0.1', port: 0 }): Promise<number> {
  server = await transport.listen(address, { backlog: 128, share: false, mayBeSecured: () => byEvents, onError: () => {} }, (connection) => {
    const ear = new Ear();
    connection.reader = ear;
    accepted.push({ connection, ear });
    connection.wireOpen();
  });
  return server.address.port;
}

async function accept(index = 0): Promise<{ connection: Connection; ear: Ear }> {
  await until(() => accepted.length > index, 'an accepted connection');
  return accepted[index]!;
}

function dial(port: number, timeout = 5000): { connection: Connection; ear: Ear } {
  const ear = new Ear();
  const connection = connect({ host: '127.0.0.1', port }, { timeout, reader: ear });
  undo.push(() => connection.close(true));
  return { connection, ear };
}

const write = (connection: Connection, bytes: Buffer | string): void => {
  const buf = Buffer.from(bytes as string);
  connection.write(buf, 0, buf.length);
};

const turn = (): Promise<void> =>
  new Promise((resolve) => {
    setImmediate(resolve);
  });

/** A port on which connections are neither accepted nor refused: its thread stands still and its backlog is full. */
async function deafPort(): Promise<number> {
  const shared = new Int32Array(new SharedArrayBuffer(8));
  const worker = new Worker(
    `const { parentPort, workerData } = require('node:worker_threads');
     const server = require('node:net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
       parentPort.postMessage(server.address().port);
       setTimeout(() => {
         Atomics.store(workerData, 1, 1);
         Atomics.wait(workerData, 0, 0, 60000);
       }, 0);
     });`,
    { eval: true, workerData: shared },
  );
  const [port] = (await once(worker, 'message')) as [number];
  await until(() => Atomics.load(shared, 1) === 1, 'a thread that stands still');
  const fillers = Array.from({ length: 8 }, () => net.connect({ port, host: '127.0.0.1' }).on('error', () => {}));
  undo.push(async () => {
    for (const socket of fillers) socket.destroy();
    await worker.terminate();
  });
  // As many as fit are connected; the others never are.
  await until(() => fillers.some((socket) => !socket.connecting));
  for (let i = 0; i < 20; i++) await turn();
  assert.ok(fillers.some((socket) => socket.connecting), 'the backlog is not full');
  return port;
}

function fakeTime(): FakeClock {
  const clock = new FakeClock();
  undo.push(setClock(clock));
  return clock;
}

describe('an outgoing connection', limit, () => {
  test('is open after it was connecting, and knows both addresses', async () => {
    const { connection, ear } = dial(host.port);
    assert.equal(connection.state, CONNECTING);
    assert.deepEqual(ear.events, []);
    await until(() => connection.state === OPEN);
    const peer = await host.peer();
    assert.deepEqual(ear.events, ['open']);
    assert.deepEqual([connection.info.remoteAddress, connection.info.remotePort], ['127.0.0.1', host.port]);
    assert.deepEqual([connection.info.localAddress, connection.info.localPort], ['127.0.0.1', peer.socket.remotePort]);
  });

  test('carries what was written before it was open', async () => {
    const { connection } = dial(host.port);
    write(connection, 'early ');
    connection.flush();
    write(connection, 'bird');
    await (await host.peer()).has('early bird');
  });

  test('reads small pieces from shared memory and large ones as its own', async () => {
    const { connection, ear } = dial(host.port);
    const peer = await host.peer();
    peer.send('small');
    await until(() => ear.bytes === 5);
    assert.equal(ear.owned, 0);
    const bulk = pattern(8_000_000);
    peer.send(bulk);
    await until(() => ear.bytes === 5 + bulk.length);
    assert.ok(ear.received.subarray(5).equals(bulk));
    assert.ok(ear.owned > bulk.length / 2, `${ear.owned} of ${bulk.length} bytes came without a copy`);
    // Bulk is over: small pieces are borrowed again.
    const { owned } = ear;
    for (const [i, text] of ['a', 'bc', 'def'].entries()) {
      peer.send(text);
      await until(() => ear.parts.at(-1)!.toString() === text, `piece ${i}`);
    }
    assert.equal(ear.owned, owned);
    assert.equal(connection.received, 5 + bulk.length + 6);
  });

  test('bulk given on in parts, to a slow receiver, arrives unharmed', async () => {
    const port = await listen();
    const receiver = await client(port, { paused: true });
    const out = await accept();
    const { ear, connection } = dial(host.port);
    const halves: Reader = {
      onOpen() {},
      onEnd() {},
      onDrain() {},
      onClose: () => ear.events.push('close'),
      onBytes: (_c, buf, start, end, owned) => {
        const middle = start + ((end - start) >> 1);
        for (const [from, to] of [[start, middle], [middle, end]] as const) {
          if (owned) out.connection.give(buf, from, to);
          else out.connection.write(buf, from, to);
        }
        if (out.connection.overHigh) connection.pause(PAUSE_PEER);
        return end - start;
      },
    };
    connection.reader = halves;
    out.ear.onDrain = () => connection.resume(PAUSE_PEER);
    const sent = pattern(30_000_000);
    (await host.peer()).send(sent);
    await until(() => connection.paused);
    receiver.socket.resume();
    await receiver.hasBytes(sent.length);
    assert.ok(receiver.received.equals(sent));
  });

  test('keeps the bytes of many readers apart that share one buffer', async () => {
    host.serve = echo;
    const all = Array.from({ length: 20 }, () => dial(host.port));
    const texts = all.map((_, i) => String.fromCharCode(97 + i).repeat(1000 + i));
    for (let round = 0; round < 20; round++) for (const [i, { connection }] of all.entries()) write(connection, texts[i]!);
    await until(() => all.every(({ ear }, i) => ear.bytes === 20 * texts[i]!.length));
    for (const [i, { ear }] of all.entries()) assert.equal(ear.received.toString(), texts[i]!.repeat(20));
  });

  test('tells who refused it', async () => {
    const port = await freePort();
    const { connection, ear } = dial(port);
    assert.deepEqual(ear.events, [], 'nothing is told before connect returns');
    await until(() => ear.closed);
    assert.deepEqual([ear.events, ear.error?.code, ear.error?.context['errno']], [['close'], 'connect-refused', 'ECONNREFUSED']);
    assert.match(ear.error!.message, new RegExp(`host 127.0.0.1:${port} refused`));
    assert.equal(connection.state, CLOSED);
  });

  test('gives up after its timeout', async () => {
    const port = await deafPort();
    const clock = fakeTime();
    const { connection, ear } = dial(port, 300);
    for (let i = 0; i < 20; i++) await turn();
    clock.advance(250);
    await turn();
    assert.deepEqual([connection.state, ear.events], [CONNECTING, []]);
    clock.advance(100);
    await until(() => ear.closed);
    assert.deepEqual([ear.error?.code, ear.error?.context['ms']], ['connect-timeout', 300]);
  });

  test('fails later, not at once, when the target makes no sense', async () => {
    const { ear } = dial(123_456);
    assert.deepEqual(ear.events, []);
    await until(() => ear.closed);
    assert.equal(ear.error?.code, 'connect-failed');
  });

  test('that is given up while connecting is closed in silence', async () => {
    const { connection, ear } = dial(host.port);
    write(connection, 'never mind');
    connection.close();
    await until(() => ear.closed);
    assert.deepEqual([ear.events, ear.error], [['close'], null]);
  });

  test('tells a reset as a reset, and an end as an end', async () => {
    const one = dial(host.port);
    (await host.peer(0)).reset();
    await until(() => one.ear.closed);
    assert.deepEqual([one.ear.events, one.ear.error?.code], [['open', 'close'], 'upstream-reset']);
    const two = dial(host.port);
    const peer = await host.peer(1);
    await until(() => two.connection.state === OPEN);
    peer.end();
    await until(() => two.ear.events.includes('end'));
    two.connection.end();
    await until(() => two.ear.closed);
    assert.deepEqual([two.ear.events, two.ear.error], [['open', 'end', 'close'], null]);
  });

  test('half closed reads on', async () => {
    host.serve = (peer) => peer.socket.on('end', () => setTimeout(() => peer.socket.end(`heard ${peer.text}`), 5));
    const { connection, ear } = dial(host.port);
    write(connection, 'the question');
    connection.end();
    await until(() => ear.closed);
    assert.equal(ear.received.toString(), 'heard the question');
    assert.deepEqual(ear.events, ['open', 'end', 'close']);
  });

  test('over a unix socket', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-'));
    undo.push(() => rmSync(folder, { recursive: true }));
    const path = join(folder, 'a.sock');
    await listen({ host: '', port: 0, path });
    const ear = new Ear();
    const connection = connect({ host: '', port: 0, path }, { timeout: 1000, reader: ear });
    undo.push(() => connection.close(true));
    write(connection, 'by file');
    const far = await accept();
    await until(() => far.ear.bytes === 7);
    assert.deepEqual([far.connection.info.localAddress, far.connection.info.remoteAddress], [`unix:${path}`, 'unix:']);
    assert.equal(connection.info.remoteAddress, `unix:${path}`);
    far.connection.close(true);
    await until(() => ear.events.includes('end'));
    const missing = new Ear();
    connect({ host: '', port: 0, path: join(folder, 'b.sock') }, { timeout: 1000, reader: missing });
    await until(() => missing.closed);
    assert.deepEqual([missing.error?.code, missing.error?.context['errno']], ['connect-failed', 'ENOENT']);
  });
});

for (const events of [false, true]) {
  describe(`an accepted connection, read ${events ? 'by events' : 'directly'}`, limit, () => {
    beforeEach(() => {
      byEvents = events;
    });

    test('is read as it should be', async () => {
      await client(await listen());
      const { connection } = await accept();
      assert.equal((connection.wire as NodeWire).direct, !events);
    });

    test('knows its addresses, and reads and writes', async () => {
      const peer = await client(await listen());
      const { connection, ear } = await accept();
      assert.deepEqual([connection.info.remoteAddress, connection.info.remotePort], ['127.0.0.1', peer.socket.localPort]);
      assert.deepEqual([connection.info.localAddress, connection.info.localPort], ['127.0.0.1', peer.socket.remotePort]);
      peer.send('hello');
      await until(() => ear.bytes === 5);
      write(connection, 'good ');
      write(connection, 'day');
      await peer.has('good day');
      const bulk = pattern(4_000_000);
      peer.send(bulk);
      await until(() => ear.bytes === 5 + bulk.length);
      assert.ok(ear.received.subarray(5).equals(bulk));
    });

    test('tells a reset in every phase: silent, after a request, amid a reply, while paused', async () => {
      const port = await listen();
      const phases: ((peer: Peer, far: { connection: Connection; ear: Ear }) => Promise<void> | void)[] = [
        () => {},
        async (peer, far) => {
          peer.send('request');
          await until(() => far.ear.bytes > 0);
        },
        async (peer, far) => {
          const part = Buffer.alloc(100_000);
          far.connection.write(part, 0, part.length);
          await peer.hasBytes(1);
        },
        (_peer, far) => {
          far.connection.pause(PAUSE_PEER);
          setImmediate(() => write(far.connection, 'x'));
        },
      ];
      for (const [i, phase] of phases.entries()) {
        const peer = await client(port);
        const far = await accept(i);
        await phase(peer, far);
        peer.reset();
        if (far.connection.paused) {
          // Who does not read learns of it by writing or by reading again.
          await peer.isClosed();
          far.connection.resume(PAUSE_PEER);
        }
        await until(() => far.ear.closed, `the close of phase ${i}`);
        assert.equal(far.ear.error?.code, 'downstream-reset', `phase ${i}`);
        assert.equal(far.ear.events.filter((e) => e === 'close').length, 1);
      }
    });

    test('stops reading while paused, and loses nothing', async () => {
      const peer = await client(await listen());
      const { connection, ear } = await accept();
      connection.pause(PAUSE_PEER);
      const sent = pattern(20_000_000);
      peer.send(sent);
      await until(() => peer.socket.writableLength > 0);
      for (let i = 0; i < 50; i++) {
        await turn();
      }
      assert.ok(connection.received <= 512 * 1024, `${connection.received} bytes were read while paused`);
      assert.ok(peer.socket.writableLength > 0, 'the sender is held back');
      connection.resume(PAUSE_PEER);
      await until(() => ear.bytes === sent.length);
      assert.ok(ear.received.equals(sent));
    });

    test('tells when all that was unsent has left', async () => {
      const peer = await client(await listen(), { paused: true });
      const { connection, ear } = await accept();
      const sent = pattern(30_000_000);
      let at = 0;
      const fill = (): void => {
        while (at < sent.length && !connection.overHigh) {
          connection.write(sent, at, Math.min(at + 60_000, sent.length));
          at = Math.min(at + 60_000, sent.length);
        }
      };
      fill();
      assert.equal(connection.overHigh, true);
      assert.ok(connection.unsent < HIGH_WATER + 128 * 1024, `${connection.unsent} bytes wait`);
      ear.onDrain = fill;
      peer.socket.resume();
      await peer.hasBytes(sent.length);
      assert.ok(peer.received.equals(sent));
      await until(() => connection.unsent === 0);
    });

    test('close delivers every byte to a slow reader, then ends', async () => {
      const peer = await client(await listen(), { paused: true });
      const { connection, ear } = await accept();
      const sent = pattern(10_000_000);
      connection.give(sent, 0, sent.length);
      write(connection, 'the end');
      connection.close();
      assert.ok(connection.unsent > 0);
      assert.equal(connection.writable, false);
      peer.socket.resume();
      await peer.hasEnded();
      assert.ok(peer.received.equals(Buffer.concat([sent, Buffer.from('the end')])));
      peer.end();
      await until(() => ear.closed);
      assert.equal(ear.error, null);
    });

    test('close does not let a reset overtake the reply while the client still sends', async () => {
      const port = await listen();
      for (let round = 0; round < 10; round++) {
        const peer = await client(port);
        const { connection, ear } = await accept(round);
        ear.hear = () => {
          ear.hear = () => {};
          write(connection, 'HTTP/1.1 413 too large\r\n\r\n');
          connection.close();
        };
        // More than fits the buffers, so that bytes arrive after the close for certain.
        const upload = Buffer.alloc(700_000, 120);
        peer.send(upload);
        await peer.hasEnded();
        assert.deepEqual([peer.text, peer.error], ['HTTP/1.1 413 too large\r\n\r\n', '']);
        assert.ok(ear.bytes < upload.length, 'what comes after the close is not handed on');
        peer.end();
        await until(() => ear.closed);
      }
    });

    test('close bounds how long and how much it still reads', async () => {
      const clock = fakeTime();
      const port = await listen();
      const silent = await client(port);
      const one = await accept(0);
      write(one.connection, 'bye');
      one.connection.close();
      await silent.has('bye');
      await silent.hasEnded();
      assert.equal(one.ear.closed, false, 'the client has not ended its side yet');
      clock.advance(LINGER_MS + 50);
      await until(() => one.ear.closed);

      const chatty = await client(port);
      const two = await accept(1);
      write(two.connection, 'bye');
      two.connection.close();
      await chatty.hasEnded();
      const flood = setInterval(() => chatty.socket.writable && chatty.socket.write(Buffer.alloc(256 * 1024)), 1);
      try {
        await until(() => two.ear.closed, 'the close of a connection whose client goes on sending');
      } finally {
        clearInterval(flood);
      }
      assert.equal(two.ear.bytes, 0);
      assert.ok(chatty.socket.bytesWritten >= LINGER_BYTES);
    });

    test('close bounds how long it waits for a client that does not read', async () => {
      const clock = fakeTime();
      const peer = await client(await listen(), { paused: true });
      const { connection, ear } = await accept();
      const sent = Buffer.alloc(30_000_000);
      connection.give(sent, 0, sent.length);
      connection.close();
      await turn();
      assert.equal(ear.closed, false);
      clock.advance(FLUSH_MS + 50);
      await until(() => ear.closed);
      assert.equal(ear.error?.code, 'slow-reader');
      peer.socket.destroy();
    });

    test('close with reset is a reset', async () => {
      const peer = await client(await listen());
      const { connection, ear } = await accept();
      write(connection, 'dropped');
      connection.close(true);
      await peer.isClosed();
      assert.deepEqual([peer.error, peer.bytes], ['ECONNRESET', 0]);
      await until(() => ear.closed);
      assert.equal(ear.error, null);
    });

    test('close with reset at every moment of an end closes for good', async () => {
      const port = await listen();
      const moments: ((connection: Connection) => Promise<void> | void)[] = [
        () => {},
        (connection) => connection.end(),
        (connection) => {
          connection.end();
          connection.flush();
        },
        async (connection) => {
          connection.end();
          connection.flush();
          await Promise.resolve();
        },
        async (connection) => {
          connection.end();
          await turn();
        },
        async (connection) => {
          connection.end();
          await turn();
          await turn();
        },
        (connection) => {
          write(connection, 'last words');
          connection.end();
          connection.flush();
        },
        (connection) => {
          connection.give(Buffer.alloc(20_000_000), 0, 20_000_000);
          connection.end();
          connection.flush();
        },
      ];
      for (const [i, moment] of moments.entries()) {
        const peer = await client(port, { paused: true });
        const { connection, ear } = await accept(i);
        await moment(connection);
        connection.close(true);
        await until(() => ear.closed, `the close of moment ${i}`);
        peer.socket.resume();
        await peer.hasEnded();
        peer.socket.destroy();
      }
    });

    test('a reader that throws costs its own connection only', async () => {
      const port = await listen();
      const peer = await client(port);
      const { ear } = await accept(0);
      ear.hear = () => {
        throw new Error('a fault');
      };
      peer.send('boom');
      await peer.isClosed();
      assert.equal(peer.error, 'ECONNRESET');
      await until(() => ear.closed);
      assert.equal(ear.error?.code, 'internal');
      assert.match(ear.error.message, /a fault/);
      const other = await client(port);
      const next = await accept(1);
      other.send('fine');
      await until(() => next.ear.bytes === 4);
    });

    test('detached is a plain socket with everything that came and was not read', async () => {
      const peer = await client(await listen());
      const { connection, ear } = await accept();
      peer.send('for you');
      await until(() => ear.bytes === 7);
      const { socket } = connection.detach() as { socket: net.Socket };
      undo.push(() => socket.destroy());
      peer.send('for the next one');
      let got = '';
      socket.on('data', (part: Buffer) => (got += part.toString()));
      socket.resume();
      await until(() => got === 'for the next one', () => `got ${got}`);
      socket.write('and back');
      await peer.has('and back');
      peer.reset();
      await until(() => socket.destroyed);
      assert.deepEqual(ear.events, ['open']);
      accepted.length = 0;
    });
  });
}

describe('a server', limit, () => {
  test('says why it cannot listen', async () => {
    await assert.rejects(listen({ host: '127.0.0.1', port: host.port }), { code: 'EADDRINUSE' });
  });

  test('closed refuses new connections and leaves the others alone', async () => {
    const port = await listen();
    const peer = await client(port);
    const { connection } = await accept();
    await server!.close();
    const late = dial(port);
    await until(() => late.ear.closed);
    assert.equal(late.ear.error?.code, 'connect-refused');
    write(connection, 'still here');
    await peer.has('still here');
    // And the address is free again.
    await listen({ host: '127.0.0.1', port });
  });

  test('lives through a time without descriptors', { skip: process.platform !== 'linux' }, async () => {
    // In a process of its own, whose limit holds for nobody else.
    const program = `
      import { NodeTransport } from ${JSON.stringify(new URL('../../../src/network/transport/node.js', import.meta.url).href)};
      const reader = { onBytes: (c, b, s, e) => (c.write(b, s, e), e - s), onOpen() {}, onEnd: (c) => c.close(), onDrain() {}, onClose() {} };
      const onError = (e) => console.log(e.code);
      const server = await new NodeTransport().listen({ host: '127.0.0.1', port: 0 }, { backlog: 64, share: false, mayBeSecured: () => false, onError }, (c) => { c.reader = reader; c.wireOpen(); });
      console.log(server.address.port);
      setTimeout(() => process.exit(1), 30000);`;
    const child = spawn('sh', ['-c', 'ulimit -n 200; exec "$0" --input-type=module -e "$1"', process.execPath, program], { stdio: ['ignore', 'pipe', 'inherit'] });
    undo.push(() => child.kill('SIGKILL'));
    let output = '';
    child.stdout.on('data', (part: Buffer) => (output += part.toString()));
    await until(() => output.includes('\n'), 'the start of a server with few descriptors');
    const port = Number(output.split('\n')[0]);
    const peers: Peer[] = [];
    for (let i = 0; i < 300; i++) peers.push(await client(port));
    await until(() => output.includes('EMFILE') || peers.some((peer) => peer.ended || peer.closed), 'an error of accept');
    for (const peer of peers) peer.socket.destroy();
    // As soon as the server has noticed, it serves again.
    let answered = false;
    while (!answered) {
      const peer = await client(port);
      peer.send('alive');
      await until(() => peer.bytes > 0 || peer.ended || peer.closed);
      answered = peer.text === 'alive';
      peer.socket.destroy();
    }
    assert.equal(child.exitCode, null);
  });
});

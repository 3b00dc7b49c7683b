// What reading, appending and flushing cost with nothing on top: calls on a connection without a socket, then ping-pong through forwarders.
//
// Run by itself with two ports (`node build/bench/micro/connection.js LISTEN HOST`) it is a bare forwarder to be driven by bench/load.
// As such, pinned, one core, 64 connections of 100 bytes, Node 20, when the machine was quiet: 15.6 us of CPU per exchange beside HAProxy's
// 13.3 to 15; accepted sockets read by events instead of into one buffer: 17.6; every buffer written at once instead of once per turn: 19.5.
// Bulk, us per MB beside nginx's 600 to 800 in the same runs: reads of 64 KiB 950 to 1100, 128 KiB 820 to 990, 256 KiB 530 to 720, 512 KiB 430 to 700.
import { once } from 'node:events';
import * as net from 'node:net';
import { type Connection, Connection as Conn, PAUSE_PEER, type Reader } from '../../src/network/connection.js';
import { NodeTransport } from '../../src/network/transport/node.js';
import type { ServerHandle } from '../../src/network/transport/transport.js';
import type { Wire } from '../../src/network/wire.js';
import { bench } from './measure.js';

/** As tcp_proxy has it. */
const GIVE_FROM = 16 * 1024;
const LOOPBACK = '127.0.0.1';
const transport = new NodeTransport();

class Side implements Reader {
  peer!: Conn;

  onBytes(connection: Connection, buf: Uint8Array, start: number, end: number, owned: boolean): number {
    const { peer } = this;
    if (owned && end - start >= GIVE_FROM) peer.give(buf, start, end);
    else peer.write(buf, start, end);
    if (peer.overHigh) connection.pause(PAUSE_PEER);
    return end - start;
  }

  onOpen(): void {}

  onEnd(): void {
    this.peer.end();
  }

  onDrain(): void {
    this.peer.resume(PAUSE_PEER);
  }

  onClose(): void {
    this.peer.close();
  }
}

function forwarder(listen: number, host: number, byEvents: boolean): Promise<ServerHandle> {
  const options = { backlog: 4096, share: false, mayBeSecured: () => byEvents, onError: (error: Error) => console.error(error.message) };
  return transport.listen({ host: LOOPBACK, port: listen }, options, (downstream) => {
    const down = new Side();
    const up = new Side();
    downstream.reader = down;
    const upstream = new Conn(up);
    down.peer = upstream;
    up.peer = downstream;
    downstream.wireOpen();
    transport.connect({ host: LOOPBACK, port: host }, { timeout: 3000, tls: null, keepAlive: 0 }, upstream);
  });
}

/** What most Node programs do. */
async function piped(host: number): Promise<net.Server> {
  const server = net.createServer({ noDelay: true }, (downstream) => {
    const upstream = net.connect({ port: host, host: LOOPBACK, noDelay: true });
    downstream.pipe(upstream).pipe(downstream);
    downstream.on('error', () => upstream.destroy());
    upstream.on('error', () => downstream.destroy());
  });
  server.listen(0, LOOPBACK);
  await once(server, 'listening');
  return server;
}

/** Takes everything at once. */
class NullWire implements Wire {
  readonly unsent = 0;
  send(): boolean {
    return true;
  }
  pause(): void {}
  resume(): void {}
  end(): void {}
  destroy(): void {}
  setKeepAlive(): void {}
  setNoDelay(): void {}
  detach(): unknown {
    return null;
  }
}

function calls(): void {
  let taken = 0;
  const all: Reader = {
    onBytes: (_connection, _buf, start, end) => {
      taken += end - start;
      return end - start;
    },
    onOpen() {},
    onEnd() {},
    onDrain() {},
    onClose() {},
  };
  const connection = new Conn(all);
  connection.attach(new NullWire());
  connection.wireOpen();
  const bytes = Buffer.alloc(64 * 1024, 1);
  for (const size of [100, 1000, 16_000]) {
    bench(`write ${size} bytes, flush`, (n) => {
      for (let i = 0; i < n; i++) {
        connection.write(bytes, 0, size);
        connection.flush();
      }
      return connection.sent;
    });
  }
  bench('deliver 100 bytes', (n) => {
    for (let i = 0; i < n; i++) connection.wireData(bytes, 0, 100, false);
    return taken;
  });
  const halves: Reader = {
    ...all,
    onBytes: (c, _buf, start, end) => {
      c.want = end - start < 100 ? 100 : 0;
      return end - start < 100 ? 0 : 100;
    },
  };
  connection.reader = halves;
  bench('deliver 100 bytes in two pieces', (n) => {
    for (let i = 0; i < n; i++) {
      connection.wireData(bytes, 0, 50, false);
      connection.wireData(bytes, 50, 100, false);
    }
    return connection.reads;
  });
}

/** CPU of this process per exchange of 64 clients, who live in it too: only differences between the lines mean anything. */
async function pingPong(name: string, port: number, ms: number): Promise<void> {
  let exchanges = 0;
  const message = Buffer.alloc(100, 120);
  const sockets = Array.from({ length: 64 }, () => {
    const socket = net.connect({ port, host: LOOPBACK, noDelay: true });
    let missing = message.length;
    socket.on('data', (part: Buffer) => {
      missing -= part.length;
      if (missing > 0) return;
      missing = message.length;
      exchanges++;
      socket.write(message);
    });
    socket.on('error', () => {});
    socket.write(message);
    return socket;
  });
  const pause = (time: number): Promise<void> =>
    new Promise((resolve) => {
      setTimeout(resolve, time);
    });
  await pause(ms / 3);
  const from = exchanges;
  const cpu = process.cpuUsage();
  await pause(ms);
  const used = process.cpuUsage(cpu);
  console.log(`${name.padEnd(40)} ${((used.user + used.system) / (exchanges - from)).toFixed(2).padStart(10)} us of CPU per exchange`);
  for (const socket of sockets) socket.destroy();
}

async function forwarders(): Promise<void> {
  const host = net.createServer({ noDelay: true }, (socket) => {
    socket.on('data', (part: Buffer) => socket.write(part));
    socket.on('error', () => {});
  });
  host.listen(0, LOOPBACK);
  await once(host, 'listening');
  const { port } = host.address() as net.AddressInfo;
  const direct = await forwarder(0, port, false);
  const events = await forwarder(0, port, true);
  const pipe = await piped(port);
  await pingPong('ping-pong, no forwarder', port, 1500);
  await pingPong('ping-pong, connections', direct.address.port, 1500);
  await pingPong('ping-pong, connections read by events', events.address.port, 1500);
  await pingPong('ping-pong, piped sockets', (pipe.address() as net.AddressInfo).port, 1500);
  await Promise.all([direct.close(), events.close()]);
  pipe.close();
  host.close();
}

const [listen, host] = process.argv.slice(2).map(Number);
if (process.argv[1]?.endsWith('connection.js') === true) {
  if (!(listen! > 0) || !(host! > 0)) throw new Error('usage: node connection.js LISTEN HOST');
  await forwarder(listen!, host!, process.env['EVENTS'] === '1');
} else {
  calls();
  await forwarders();
}

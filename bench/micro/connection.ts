// A bare forwarder over Connection: what reading, appending and flushing cost with nothing on top. `node connection.js LISTEN_PORT HOST_PORT`
//
// Drive it with bench/load (`load echo`, `load bulk`) and watch its process; compare with a forwarder that pipes two sockets.
import { type Connection, HIGH_WATER, PAUSE_PEER, Connection as Conn, type Reader } from '../../src/network/connection.js';
import { NodeTransport } from '../../src/network/transport/node.js';

const transport = new NodeTransport();
const [listenPort, hostPort] = process.argv.slice(2).map(Number) as [number, number];

/** Whole buffers from this size on are given, smaller ones copied into the block of the turn. */
const GIVE_FROM = 16 * 1024;

class Side implements Reader {
  peer!: Conn;
  onBytes(connection: Connection, buf: Uint8Array, start: number, end: number, owned: boolean): number {
    const peer = this.peer;
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

const server = await transport.listen(
  { host: '127.0.0.1', port: listenPort },
  { backlog: 4096, share: false, mayBeSecured: () => process.env.EVENTS === '1', onError: (error) => console.error(error) },
  (downstream) => {
    const down = new Side();
    const up = new Side();
    downstream.reader = down;
    const upstream = new Conn(up);
    down.peer = upstream;
    up.peer = downstream;
    downstream.wireOpen();
    transport.connect({ host: '127.0.0.1', port: hostPort }, { timeout: 3000, tls: null, keepAlive: 0 }, upstream);
  },
);
console.error(`127.0.0.1:${server.address.port} -> 127.0.0.1:${hostPort}, pauses above ${HIGH_WATER} bytes`);

// Connections of a cluster: how connecting ends is counted, and TLS is spoken and verified as its section says.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { createServer as createTls, type TLSSocket } from 'node:tls';
import { readFileSync } from 'node:fs';
import { configureLog } from '../../../src/core/log.js';
import { Catalog } from '../../../src/core/manifest.js';
import { SluiceError } from '../../../src/core/reason.js';
import type { Connection, Reader } from '../../../src/network/connection.js';
import { clientTlsSchema } from '../../../src/network/tls-config.js';
import { setTransport } from '../../../src/network/transport/current.js';
import type { ConnectOptions, Target, Transport } from '../../../src/network/transport/transport.js';
import { clusterSchema } from '../../../src/network/upstream/config.js';
import { manifests, until, Upstream } from './fixture.js';

const limit = { timeout: 20_000 };
const certs = 'test/support/certs';
void configureLog({ to: { write() {} } });

class Recorder implements Reader {
  opened = 0;
  text = '';
  closed = false;
  error: SluiceError | null = null;
  onOpen(): void {
    this.opened++;
  }
  onBytes(_c: Connection, buf: Uint8Array, start: number, end: number): number {
    this.text += Buffer.from(buf.subarray(start, end)).toString('latin1');
    return end - start;
  }
  onEnd(): void {}
  onDrain(): void {}
  onClose(_c: Connection, error: SluiceError | null): void {
    this.closed = true;
    this.error = error;
  }
}

let up: Upstream;
let done: (() => void | Promise<unknown>)[];
beforeEach(() => {
  up = new Upstream();
  done = [];
});
afterEach(async () => {
  up.close();
  for (const f of done.toReversed()) await f();
});

/** Connects to the first host of cluster `a` as a pool does. */
function connect(): { reader: Recorder; connection: Connection } {
  const cluster = up.cluster('a');
  const reader = new Recorder();
  return { reader, connection: cluster.connect(cluster.hosts[0]!, reader) };
}

const figures = (): number[] => {
  const { stats, hosts } = up.cluster('a');
  return [stats.connects.value, stats.connect_failures.value, stats.connect_timeouts.value, hosts[0]!.stats.connect_failures.value];
};

async function listen(server: ReturnType<typeof createServer> | ReturnType<typeof createTls>): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => sockets.add(socket));
  done.push(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => {
      server.close(resolve);
    });
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('connecting', limit, () => {
  test('hands the connection to its reader once it is open; a later end is no failure of connecting', async () => {
    const address = await listen(createServer((socket) => socket.end('hello')));
    up.apply({ name: 'a', hosts: address });
    const { reader, connection } = connect();
    assert.notEqual(connection.reader, reader);
    await until(() => reader.text === 'hello');
    assert.deepEqual([reader.opened, connection.reader], [1, reader]);
    connection.close();
    await until(() => reader.closed);
    assert.deepEqual(figures(), [1, 0, 0, 0]);
  });

  test('that is refused is told to the reader and counted, for the host too', async () => {
    const server = createServer();
    const address = await listen(server);
    server.close();
    await once(server, 'close');
    up.apply({ name: 'a', hosts: address });
    const { reader } = connect();
    assert.equal(reader.closed, false, 'never before the call has returned');
    await until(() => reader.closed);
    assert.equal(reader.error?.code, 'connect-refused');
    assert.deepEqual(figures(), [1, 1, 0, 1]);
  });

  test('has the time and the keep-alive of the configuration; one that took too long is counted apart', () => {
    const asked: [Target, ConnectOptions, Connection][] = [];
    const silent = { name: 'silent', connect: (...a: [Target, ConnectOptions, Connection]) => void asked.push(a) } as unknown as Transport;
    done.push(setTransport(silent));
    up.apply({ name: 'a', hosts: '10.0.0.1:80', connect_timeout: '2s', keep_alive: '7s' });
    const { reader } = connect();
    const [target, options, connection] = asked[0]!;
    assert.deepEqual([target.host, target.port, options], ['10.0.0.1', 80, { timeout: 2000, tls: null, keepAlive: 7000 }]);
    connection.wireClosed(new SluiceError('connect-timeout', { host: '10.0.0.1:80', ms: 2000 }));
    assert.equal(reader.error?.code, 'connect-timeout');
    assert.deepEqual(figures(), [1, 1, 1, 1]);
  });
});

describe('TLS to hosts', limit, () => {
  const serverOptions = { key: readFileSync(`${certs}/localhost.key`), cert: readFileSync(`${certs}/localhost.pem`) };
  const apply = (hosts: unknown, tls: object, health: string | null = null): void => {
    const schema = clusterSchema(new Catalog(manifests), clientTlsSchema(), []);
    up.main.apply([schema.parse({ name: 'a', hosts, tls, ...(health === null ? {} : { health_check: { type: health, interval: '50ms', retry_interval: '20ms' } }) })]);
  };

  test('names the host as it is known, verifies it, and carries bytes', async () => {
    const names: (string | false | null)[] = [];
    const address = await listen(
      createTls(serverOptions, (socket: TLSSocket) => {
        names.push(socket.servername as string | false);
        socket.on('error', () => {});
        socket.end('secret');
      }),
    );
    apply([{ address, hostname: 'localhost' }], { ca: `${certs}/ca.pem` });
    const { reader, connection } = connect();
    await until(() => reader.text === 'secret');
    assert.deepEqual(names, ['localhost']);
    connection.close();
    await until(() => reader.closed);
  });

  test('refuses a host that others vouch for, and a health check refuses it too', async () => {
    const server = createTls(serverOptions);
    server.on('tlsClientError', () => {});
    const address = await listen(server);
    apply([{ address, hostname: 'localhost' }], { ca: `${certs}/other-ca.pem` }, 'tcp');
    const { reader } = connect();
    await until(() => reader.closed);
    assert.equal(reader.error?.code, 'upstream-tls-failed');
    await until(() => up.cluster('a').pick(0, null) === null);
    assert.match(up.main.state()[0]!.hosts[0]!.check!.cause, /TLS handshake/);
    apply([{ address, hostname: 'localhost' }], { ca: `${certs}/ca.pem` }, 'tcp');
    await until(() => up.cluster('a').pick(0, null) !== null);
  });

  test('a changed section makes new hosts; what is open stays as it is', async () => {
    const address = await listen(createTls(serverOptions, (socket) => void socket.on('error', () => {}).write('x')));
    apply([{ address, hostname: 'localhost' }], { ca: `${certs}/ca.pem` });
    const { reader, connection } = connect();
    await until(() => reader.text === 'x');
    const host = up.cluster('a').hosts[0]!;
    apply([{ address, hostname: 'localhost' }], { ca: `${certs}/other-ca.pem` });
    assert.notEqual(up.cluster('a').hosts[0], host);
    assert.deepEqual([host.removed, reader.closed], [true, false]);
    connection.close();
    await until(() => reader.closed);
  });
});

// TLS on both sides with real handshakes: which certificate, who is let in, what is verified, and files that change under way.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, test } from 'node:test';
import * as tls from 'node:tls';
import { setClock } from '../../src/core/clock.js';
import { FakeClock } from '../../src/core/clock-fake.js';
import { configureLog } from '../../src/core/log.js';
import type { SluiceError } from '../../src/core/reason.js';
import { clientTlsSchema, type ListenerConfig } from '../../src/network/config.js';
import { connect } from '../../src/network/connect.js';
import { type Connection, OPEN, type Reader } from '../../src/network/connection.js';
import type { ListenerDeps } from '../../src/network/listener.js';
import { certificateNames, ClientTls, clientTls } from '../../src/network/tls.js';
import { POLL_MS } from '../../src/network/tls-files.js';
import { client, pattern, Peer, until } from '../support/loopback.js';
import { CERTS, filter, ListenerLab, serverTls } from './listener-lab.js';

const limit = { timeout: 30_000 };
const pem = (name: string): string => readFileSync(`${CERTS}/${name}`, 'utf8');
const pair = (name: string): { cert: string; key: string } => ({ cert: `${CERTS}/${name}.pem`, key: `${CERTS}/${name}.key` });
const ca = pem('ca.pem');
await configureLog({ to: { write() {} } });

let undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const f of undo.reverse()) await f();
  undo = [];
});

async function lab(options: Record<string, unknown> = {}, config: Partial<ListenerConfig> = {}, deps: Partial<ListenerDeps> = {}): Promise<ListenerLab> {
  const made = await new ListenerLab({ tls: serverTls(options), ...config }, deps).start();
  undo.push(() => made.listener.close(0));
  return made;
}

interface TlsPeer extends Peer {
  readonly socket: tls.TLSSocket;
}

/** A TLS client; rejects when the handshake fails. */
async function secure(port: number, options: tls.ConnectionOptions = {}): Promise<TlsPeer> {
  const socket = tls.connect({ port, host: '127.0.0.1', ca, servername: 'localhost', allowHalfOpen: true, ...options } as tls.ConnectionOptions);
  undo.push(() => socket.destroy());
  const peer = new Peer(socket) as TlsPeer;
  await once(socket, 'secureConnect');
  return peer;
}

/** With TLS 1.3 a client is done before the server has judged its certificate: the refusal comes as the first thing read. */
async function isRefused(attempt: Promise<TlsPeer>): Promise<void> {
  const peer = await attempt.catch(() => null);
  if (peer === null) return;
  await peer.hasEnded();
  assert.equal(peer.bytes, 0);
}

const nameOf = (peer: TlsPeer): string => String(peer.socket.getPeerCertificate().subject.CN);

async function answers(peer: Peer, text: string): Promise<void> {
  peer.send(text);
  await peer.has(`>${text}`);
}

function fakeTime(): FakeClock {
  const clock = new FakeClock();
  undo.push(setClock(clock));
  return clock;
}

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'sluice-'));
  undo.push(() => rmSync(path, { recursive: true }));
  return path;
}

describe('TLS with clients', limit, () => {
  test('carries bytes of all sizes both ways and ends in order', async () => {
    const it = await lab();
    const peer = await secure(it.port);
    await answers(peer, 'hello');
    const { info } = it.owner.connections[0]!;
    assert.deepEqual([info.secure, info.serverName, info.tlsVersion, info.alpn, info.peerSubject], [true, 'localhost', 'TLSv1.3', '', '']);
    const bulk = pattern(3_000_000);
    peer.send(bulk);
    await until(() => it.owner.text.length === 5 + bulk.length);
    assert.ok(Buffer.from(it.owner.text.slice(5), 'latin1').equals(bulk));
    peer.end();
    await peer.isClosed();
    await until(() => it.listener.connections.size === 0);
    assert.deepEqual(it.owner.ended, ['']);
  });

  test('close delivers what was written', async () => {
    const sent = pattern(5_000_000);
    const it: ListenerLab = await lab({}, {}, {
      accept: (connection) => {
        connection.reader = it.owner;
        connection.give(sent, 0, sent.length);
        connection.close();
      },
    });
    const peer = await secure(it.port);
    await peer.hasEnded();
    assert.ok(peer.received.equals(sent));
  });

  test('chooses the certificate by server name: exact, wildcard, else the first', async () => {
    const it = await lab({ certificates: [pair('localhost'), pair('alpha'), pair('beta')] });
    const asked: [string, string][] = [
      ['alpha.test', 'alpha.test'], ['ALPHA.test', 'alpha.test'], ['x.beta.test', 'beta'], ['x.y.beta.test', 'localhost'],
      ['beta.test', 'localhost'], ['unknown.test', 'localhost'], ['', 'localhost'],
    ];
    for (const [servername, expected] of asked) {
      assert.equal(nameOf(await secure(it.port, { servername, checkServerIdentity: () => undefined })), expected, servername);
    }
  });

  test('names in the configuration stand above those in the certificate', async () => {
    const it = await lab({ certificates: [pair('localhost'), { ...pair('beta'), names: ['other.test', '*.wild.test'] }] });
    const name = async (servername: string): Promise<string> => nameOf(await secure(it.port, { servername, checkServerIdentity: () => undefined }));
    assert.deepEqual([await name('other.test'), await name('a.wild.test'), await name('x.beta.test')], ['beta', 'beta', 'localhost']);
  });

  test('serves two kinds of key for one name, as the client can use them', async () => {
    const it = await lab({ certificates: [pair('alpha'), pair('alpha-rsa')], max_version: 1.2 });
    const kind = async (ciphers: string): Promise<unknown> => (await secure(it.port, { servername: 'alpha.test', ciphers, maxVersion: 'TLSv1.2' })).socket.getPeerCertificate().subject.O;
    assert.deepEqual([await kind('ECDHE-RSA-AES128-GCM-SHA256'), await kind('ECDHE-ECDSA-AES128-GCM-SHA256')], ['RSA', undefined]);
    const second = serverTls({ certificates: [pair('localhost'), pair('alpha'), pair('alpha-rsa')] });
    assert.throws(() => new ListenerLab({ tls: second }), /certificate 3 is never used: earlier ones have its names alpha\.test/);
  });

  test('agrees on a protocol, by its own preference', async () => {
    const it = await lab({ alpn: ['h2', 'http/1.1'] });
    const peer = await secure(it.port, { ALPNProtocols: ['http/1.1', 'h2'] });
    assert.equal(peer.socket.alpnProtocol, 'h2');
    await answers(peer, 'x');
    assert.equal(it.owner.connections[0]!.info.alpn, 'h2');
    await isRefused(secure(it.port, { ALPNProtocols: ['imap'] }));
    await answers(await secure(it.port), 'without');
  });

  test('keeps to the versions it is given', async () => {
    const it = await lab({ min_version: '1.3' });
    await isRefused(secure(it.port, { maxVersion: 'TLSv1.2' }));
    await until(() => it.stat('sluice_listener_handshake_errors_total') === 1);
    await answers(await secure(it.port), 'newer');
  });

  test('demands a certificate that verifies', async () => {
    const it = await lab({ client_auth: 'required', ca: `${CERTS}/ca.pem` });
    await isRefused(secure(it.port));
    await isRefused(secure(it.port, { cert: pem('stranger.pem'), key: pem('stranger.key') }));
    const peer = await secure(it.port, { cert: pem('client.pem'), key: pem('client.key') });
    await answers(peer, 'me');
    assert.equal(it.owner.connections[0]!.info.peerSubject, 'CN=client,O=Sluice Tests,C=XX');
    assert.equal(it.owner.connections.length, 1, 'the owner never saw the others');
    await until(() => it.stat('sluice_listener_handshake_errors_total') === 2);
  });

  test('with optional lets clients without one in, and strangers not', async () => {
    const it = await lab({ client_auth: 'optional', ca: `${CERTS}/ca.pem` });
    await answers(await secure(it.port), 'nobody');
    await isRefused(secure(it.port, { cert: pem('stranger.pem'), key: pem('stranger.key') }));
    await answers(await secure(it.port, { cert: pem('client.pem'), key: pem('client.key') }), 'me');
    assert.deepEqual(it.owner.connections.map((c) => c.info.peerSubject), ['', 'CN=client,O=Sluice Tests,C=XX']);
  });

  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    test(`resumes sessions in any thread that has the secret, and never past a change of authorities (${maxVersion})`, async () => {
      const secret = Buffer.alloc(32, 7);
      const options = { client_auth: 'required', ca: `${CERTS}/ca.pem` };
      const certificate = { cert: pem('client.pem'), key: pem('client.key'), maxVersion };
      const one = await lab(options, {}, { ticketSecret: secret });
      const two = await lab(options, {}, { ticketSecret: secret });
      const strict = await lab({ ...options, ca: `${CERTS}/other-ca.pem` }, {}, { ticketSecret: secret });
      const first = await secure(one.port, certificate);
      let session: Buffer | null = first.socket.getSession() ?? null;
      first.socket.on('session', (s: Buffer) => (session = s));
      await answers(first, 'x');
      await until(() => session !== null);
      const resumed = await secure(two.port, { ...certificate, session: session! });
      assert.equal(resumed.socket.isSessionReused(), true);
      await answers(resumed, 'y');
      assert.equal(two.owner.connections[0]!.info.peerSubject, 'CN=client,O=Sluice Tests,C=XX');
      await isRefused(secure(strict.port, { ...certificate, session: session! }));
    });
  }

  test('garbage, silence and leaving amid the handshake cost their connection only', async () => {
    const clock = fakeTime();
    const it = await lab({ handshake_timeout: '5s' });
    const garbage = await client(it.port);
    garbage.send('GET / HTTP/1.1\r\n\r\n');
    await garbage.hasEnded();
    garbage.socket.destroy();
    const leaving = await client(it.port);
    leaving.send(Buffer.from([22, 3, 1, 2, 0, 1]));
    leaving.reset();
    await until(() => it.stat('sluice_listener_handshake_errors_total') === 2 && it.listener.connections.size === 0, () => `the end of both (${it.stat('sluice_listener_handshake_errors_total')} errors, ${it.listener.connections.size} open)`);
    const silent = await client(it.port);
    await until(() => it.listener.connections.size === 1);
    clock.advance(5100);
    await silent.hasEnded();
    await until(() => it.listener.connections.size === 0);
    assert.equal(it.stat('sluice_listener_handshake_errors_total'), 3);
    await answers(await secure(it.port), 'fine');
  });

  test('a handshake in single bytes', async () => {
    const it = await lab();
    // A client whose bytes pass through here one by one.
    const raw = await client(it.port);
    const inner = new (await import('node:stream')).Duplex({
      read() {},
      write(chunk: Buffer, _encoding, done) {
        for (const byte of chunk) raw.socket.write(Buffer.from([byte]));
        done();
      },
    });
    raw.socket.on('data', (part: Buffer) => inner.push(part));
    const socket = tls.connect({ socket: inner, ca, servername: 'localhost' });
    const peer = new Peer(socket);
    await answers(peer, 'slowly');
    socket.destroy();
    raw.socket.destroy();
  });
});

describe('certificates that change on disk', limit, () => {
  test('are used from the next connection on, without dropping one', async () => {
    const clock = fakeTime();
    const dir = folder();
    const put = (name: string): void => {
      copyFileSync(`${CERTS}/${name}.pem`, join(dir, 'cert.pem'));
      copyFileSync(`${CERTS}/${name}.key`, join(dir, 'key.pem'));
    };
    put('localhost');
    const it = await lab({ certificates: [{ cert: join(dir, 'cert.pem'), key: join(dir, 'key.pem') }] });
    const before = await secure(it.port);
    assert.equal(before.socket.getPeerCertificate().subject.O, undefined);
    put('localhost-next');
    clock.advance(POLL_MS + 20);
    const after = await secure(it.port);
    assert.equal(after.socket.getPeerCertificate().subject.O, 'Next');
    await answers(before, 'still here');

    // Half of a change does not go together: the former pair stays until the other half comes.
    copyFileSync(`${CERTS}/alpha.pem`, join(dir, 'cert.pem'));
    clock.advance(POLL_MS + 20);
    assert.equal((await secure(it.port)).socket.getPeerCertificate().subject.O, 'Next');
    copyFileSync(`${CERTS}/alpha.key`, join(dir, 'key.pem'));
    clock.advance(POLL_MS + 20);
    assert.equal(nameOf(await secure(it.port, { servername: 'alpha.test' })), 'alpha.test');

    writeFileSync(join(dir, 'cert.pem'), 'not a certificate');
    assert.match(it.listener.reload() ?? '', /cert\.pem is not in PEM form/);
    assert.equal(nameOf(await secure(it.port, { servername: 'alpha.test' })), 'alpha.test');
    put('localhost');
    assert.equal(it.listener.reload(), null);
    assert.equal(nameOf(await secure(it.port)), 'localhost');
    await answers(before, 'to the end');
  });

  test('a listener gets, changes and loses TLS live', async () => {
    const it = await new ListenerLab({}).start();
    undo.push(() => it.listener.close(0));
    const plain = await client(it.port);
    await answers(plain, 'plain');
    it.listener.update({ ...it.listener.config, tls: serverTls() });
    await answers(await secure(it.port), 'secure');
    it.listener.update({ ...it.listener.config, tls: serverTls({ certificates: [pair('alpha')] }) });
    assert.equal(nameOf(await secure(it.port, { servername: 'alpha.test' })), 'alpha.test');
    it.listener.update({ ...it.listener.config, tls: null });
    await answers(await client(it.port), 'plain again');
    await answers(plain, 'all the time');
  });
});

/** Hands everything to another connection. */
function across(other: () => Connection): Reader {
  return {
    onOpen() {},
    onDrain() {},
    onBytes: (_connection, buf, start, end) => {
      other().write(buf, start, end);
      return end - start;
    },
    onEnd: () => other().end(),
    onClose: () => other().close(),
  };
}

describe('tls_inspector', limit, () => {
  test('lets one port serve TLS and plain text', async () => {
    const it = await lab({}, { listener_filters: [filter('tls_inspector')] });
    const one = await secure(it.port);
    await answers(one, 'secure');
    const two = await client(it.port);
    await answers(two, 'plain');
    assert.deepEqual(it.owner.connections.map((c) => [c.info.detected, c.info.secure, c.info.serverName]), [['tls', true, 'localhost'], ['plain', false, '']]);
  });

  test('behind a PROXY header, split at every byte', async () => {
    const it = await lab({}, { listener_filters: [filter('proxy_protocol'), filter('tls_inspector')] });
    const raw = await client(it.port);
    for (const byte of Buffer.from('PROXY TCP4 10.1.2.3 10.4.5.6 7 443\r\n')) {
      raw.send(Buffer.from([byte]));
    }
    const socket = tls.connect({ socket: raw.socket, ca, servername: 'localhost' });
    undo.push(() => socket.destroy());
    await answers(new Peer(socket), 'secure');
    const { info } = it.owner.connections[0]!;
    assert.deepEqual([info.remoteAddress, info.remotePort, info.originalAddress, info.originalPort, info.secure], ['10.1.2.3', 7, '10.4.5.6', 443, true]);
  });

  test('on a listener without TLS tells what is asked for, and the bytes go on as they are', async () => {
    const host = await tlsHost({ ALPNProtocols: ['h2'] });
    const it: ListenerLab = await new ListenerLab({ listener_filters: [filter('tls_inspector')] }, {
      accept: (connection) => {
        it.owner.connections.push(connection);
        const far: Connection = connect({ host: '127.0.0.1', port: host.port }, { timeout: 1000, reader: across(() => connection) });
        connection.reader = across(() => far);
      },
    }).start();
    undo.push(() => it.listener.close(0));
    const peer = await secure(it.port, { ALPNProtocols: ['h2'] });
    await answers(peer, 'through');
    const { info } = it.owner.connections[0]!;
    assert.deepEqual([info.detected, info.serverName, info.alpn, info.secure], ['tls', 'localhost', 'h2', false]);
    assert.equal(host.sockets[0]!.alpnProtocol, 'h2');
  });

  test('takes a silent client for a plain one when its time is over', async () => {
    const clock = fakeTime();
    const it: ListenerLab = await lab({}, { listener_filters: [filter('tls_inspector', { timeout: '200ms' })] }, {
      accept: (connection) => {
        it.owner.accept(connection);
        connection.write(Buffer.from('220 server speaks first'), 0, 23);
      },
    });
    const peer = await client(it.port);
    await until(() => it.listener.connections.size === 1);
    assert.equal(it.owner.connections.length, 0);
    clock.advance(250);
    await peer.has('220 server speaks first');
    await answers(peer, 'HELO');
  });
});

/** What an outgoing connection tells. */
class Ear implements Reader {
  text = '';
  error: SluiceError | null = null;
  closed = false;

  onOpen(): void {}
  onEnd(): void {}
  onDrain(): void {}
  onBytes(_connection: Connection, buf: Uint8Array, start: number, end: number): number {
    this.text += Buffer.from(buf.subarray(start, end)).toString('latin1');
    return end - start;
  }
  onClose(_connection: Connection, error: SluiceError | null): void {
    this.closed = true;
    this.error = error;
  }
}

interface TlsHost {
  readonly port: number;
  readonly sockets: tls.TLSSocket[];
  readonly text: () => string;
}

async function tlsHost(options: tls.TlsOptions = {}): Promise<TlsHost> {
  let text = '';
  const sockets: tls.TLSSocket[] = [];
  const server = tls.createServer({ cert: pem('localhost.pem'), key: pem('localhost.key'), ...options }, (socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    socket.on('data', (part: Buffer) => {
      text += part.toString('latin1');
      socket.write(`>${part.toString('latin1')}`);
    });
  });
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  undo.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, sockets, text: () => text };
}

function dial(port: number, options: Record<string, unknown> | ClientTls, hostname = '', timeout = 5000): { connection: Connection; ear: Ear } {
  const ear = new Ear();
  const settings = options instanceof ClientTls ? options : new ClientTls(clientTlsSchema().parse(options), null);
  const connection = connect({ host: '127.0.0.1', port }, { timeout, reader: ear, tls: settings, hostname });
  undo.push(() => connection.close(true));
  return { connection, ear };
}

const say = (connection: Connection, text: string): void => connection.write(Buffer.from(text), 0, text.length);

async function failure({ ear }: { ear: Ear }): Promise<string> {
  await until(() => ear.closed, 'a failed handshake');
  assert.equal(ear.error?.code, 'upstream-tls-failed');
  return ear.error.message;
}

describe('TLS to hosts', limit, () => {
  test('verifies the host, and carries bytes', async () => {
    const host = await tlsHost({ ALPNProtocols: ['h2'] });
    const { connection, ear } = dial(host.port, { ca: `${CERTS}/ca.pem`, alpn: ['h2'] }, 'localhost');
    say(connection, 'early ');
    await until(() => connection.state === OPEN);
    say(connection, 'late');
    await until(() => host.text() === 'early late' && ear.text.replaceAll('>', '') === 'early late');
    const { info } = connection;
    assert.deepEqual([info.secure, info.alpn, info.serverName, info.tlsVersion], [true, 'h2', 'localhost', 'TLSv1.3']);
    assert.equal(host.sockets[0]!.servername, 'localhost');
  });

  test('refuses who is signed by nobody it knows, is called otherwise, or speaks no TLS', async () => {
    const host = await tlsHost();
    assert.match(await failure(dial(host.port, {}, 'localhost')), /UNABLE_TO_VERIFY_LEAF_SIGNATURE|unable to/);
    assert.match(await failure(dial(host.port, { ca, server_name: 'alpha.test' })), /alpha\.test\. is not in the cert's altnames/);
    assert.match(await failure(dial(host.port, { ca: pem('other-ca.pem') }, 'localhost')), /UNABLE_TO/);
    const alpha = await tlsHost({ cert: pem('alpha.pem'), key: pem('alpha.key') });
    assert.match(await failure(dial(alpha.port, { ca }, '127.0.0.1')), /IP: 127\.0\.0\.1 is not in the cert's list/, 'an address is not among its names');
    const plain = await new ListenerLab({}).start();
    undo.push(() => plain.listener.close(0));
    await failure(dial(plain.port, { ca }, 'localhost'));
  });

  test('an address without a name is verified as an address, and no name is sent', async () => {
    const host = await tlsHost();
    const { connection } = dial(host.port, { ca }, '127.0.0.1');
    await until(() => connection.state === OPEN && host.sockets.length === 1);
    assert.equal(host.sockets[0]!.servername, false);
  });

  test('sends nothing to a host that does not verify', async () => {
    const host = await tlsHost();
    const it = dial(host.port, { ca, server_name: 'alpha.test' });
    say(it.connection, 'secret');
    it.connection.flush();
    await failure(it);
    await until(() => host.sockets.every((socket) => socket.destroyed));
    assert.equal(host.text(), '');
  });

  test('skips all that only where it is told to', async () => {
    const host = await tlsHost();
    const { connection } = dial(host.port, { insecure_skip_verify: true, server_name: 'alpha.test' });
    await until(() => connection.state === OPEN);
  });

  test('shows its certificate', async () => {
    const host = await tlsHost({ requestCert: true, rejectUnauthorized: true, ca });
    const { connection } = dial(host.port, { ca, ...pair('client') }, 'localhost');
    await until(() => host.sockets.length === 1 && connection.state === OPEN);
    assert.equal(host.sockets[0]!.getPeerCertificate().subject.CN, 'client');
  });

  test('resumes sessions, and forgets them when the files are read again', async () => {
    const host = await tlsHost();
    const settings = new ClientTls(clientTlsSchema().parse({ ca }), null);
    const reused: boolean[] = [];
    const once = async (): Promise<void> => {
      const { connection, ear } = dial(host.port, settings, 'localhost');
      say(connection, 'x');
      await until(() => ear.text === '>x');
      reused.push(host.sockets.at(-1)!.isSessionReused());
      connection.close();
      await until(() => ear.closed);
    };
    await once();
    await once();
    settings.reload();
    await once();
    assert.deepEqual(reused, [false, true, false]);
  });

  test('gives up a host that is silent in the handshake', async () => {
    const clock = fakeTime();
    const silent = await new ListenerLab({}, { accept: (connection) => (connection.reader = { onBytes: (_c, _b, s, e) => e - s, onOpen() {}, onEnd() {}, onDrain() {}, onClose() {} }) }).start();
    undo.push(() => silent.listener.close(0));
    const it = dial(silent.port, { ca }, 'localhost', 1000);
    await until(() => silent.listener.connections.size === 1);
    clock.advance(1100);
    assert.match(await failure(it), /no handshake within 1000 ms/);
  });

  test('with files that cannot be used fails in words, and works once they can', async () => {
    const clock = fakeTime();
    const dir = folder();
    const host = await tlsHost();
    const settings = new ClientTls(clientTlsSchema().parse({ ca: join(dir, 'ca.pem') }), null);
    assert.match(await failure(dial(host.port, settings, 'localhost')), /cannot read .*ca\.pem: ENOENT/);
    copyFileSync(`${CERTS}/ca.pem`, join(dir, 'ca.pem'));
    clock.advance(POLL_MS + 20);
    const { connection } = dial(host.port, settings, 'localhost');
    await until(() => connection.state === OPEN);
  });

  test('sections that say the same share their sessions', () => {
    const section = clientTlsSchema().parse({ ca, server_name: 'a.test' });
    assert.equal(clientTls(section), clientTls(structuredClone(section)));
    assert.notEqual(clientTls(section), clientTls({ ...section, server_name: 'b.test' }));
  });
});

describe('names of a certificate', () => {
  test('are its DNS names in lower case', () => {
    assert.deepEqual(certificateNames(pem('localhost.pem')), ['localhost']);
    assert.deepEqual(certificateNames(pem('beta.pem')), ['*.beta.test']);
    assert.deepEqual(certificateNames(pem('client.pem')), ['client']);
  });
});

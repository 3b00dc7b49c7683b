// TLS in a real process: a certificate by server name, client certificates on both sides, new certificates without a lost connection.
import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { openTls, type RawClient } from '../support/http.js';
import { freePorts, start, until } from '../support/sluice.js';

const certs = resolve('test/support/certs');
const file = (name: string): string => join(certs, name);
const pem = (name: string): Buffer => readFileSync(file(name));

/** A host that wants client certificates, and tells what it saw. */
async function secureHost(t: TestContext): Promise<number> {
  const server: Server = createServer({ key: pem('localhost.key'), cert: pem('localhost.pem'), ca: pem('ca.pem'), requestCert: true, rejectUnauthorized: true, keepAliveTimeout: 60_000 }, (request, response) => {
    const socket = request.socket as TLSSocket;
    response.end(`${String(socket.getPeerCertificate().subject.CN)} asked ${String((socket as TLSSocket & { servername?: string | false }).servername)} for ${request.url}, from ${String(request.headers['x-client'])}`);
  });
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => sockets.add(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return (server.address() as AddressInfo).port;
}

const subject = (client: RawClient): string => {
  const { subject: found } = (client.socket as TLSSocket).getPeerCertificate();
  return `${found.O === undefined ? '' : `${String(found.O)} `}${String(found.CN)}`;
};

async function ask(client: RawClient, path: string): Promise<string> {
  client.send(`GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`);
  return (await client.reply()).body.toString();
}

test('a listener with several certificates, and a host that wants one of ours', { timeout: 60_000 }, async (t) => {
  const host = await secureHost(t);
  const [port, bare] = await freePorts(2);
  const sluice = await start(t, {
    config: `
listeners:
  - name: secure
    address: 127.0.0.1:${port}
    protocol: http1
    routes: main
    tls:
      alpn: [http/1.1]
      certificates:
        - {cert: ${file('localhost.pem')}, key: ${file('localhost.key')}}
        - {cert: ${file('alpha.pem')}, key: ${file('alpha.key')}}
        - {cert: ${file('beta.pem')}, key: ${file('beta.key')}}
  - {name: bare, address: "127.0.0.1:${bare}", protocol: http1, cluster: without}
routes:
  - name: main
    request_headers: {set: {x-client: "%downstream_remote_ip%"}}
    routes: [{match: {prefix: /sni}, direct_response: {body: "over TLS"}}, {cluster: app}]
clusters:
  - name: app
    hosts: localhost:${host}
    discovery: {type: dns, family: v4}
    tls: {ca: ${file('ca.pem')}, cert: ${file('client.pem')}, key: ${file('client.key')}}
  - name: without
    hosts: 127.0.0.1:${host}
    tls: {ca: ${file('ca.pem')}}
`,
  });
  const ca = pem('ca.pem');
  for (const [servername, expected] of [['localhost', 'localhost'], ['alpha.test', 'alpha.test'], ['www.beta.test', 'beta'], ['unknown.test', 'localhost']] as const) {
    const client = await openTls(t, { port: port!, servername, ca, ALPNProtocols: ['h2', 'http/1.1'], checkServerIdentity: () => undefined });
    assert.equal(subject(client), expected, servername);
    assert.equal((client.socket as TLSSocket).alpnProtocol, 'http/1.1');
    assert.equal(await ask(client, '/sni'), 'over TLS');
  }
  const client = await openTls(t, { port: port!, servername: 'localhost', ca });
  assert.equal(await ask(client, '/page'), 'client asked localhost for /page, from 127.0.0.1');

  // A host that refuses us: the reason is the handshake, not the host's absence.
  const refused = await fetch(`http://127.0.0.1:${bare}/`);
  assert.ok(refused.status === 503 || refused.status === 502, String(refused.status));
  assert.match(await refused.text(), /host 127\.0\.0\.1:\d+/);

  // A client that is no TLS client at all, and one that trusts somebody else.
  await assert.rejects(openTls(t, { port: port!, servername: 'localhost', ca: pem('other-ca.pem') }));
  const plain = await fetch(`http://127.0.0.1:${port}/`).then(() => 'a reply', () => 'none');
  assert.equal(plain, 'none');
  await until('both are counted', async () => (await sluice.metric('sluice_listener_handshake_errors_total')) >= 1);
  assert.equal(await ask(client, '/still'), 'client asked localhost for /still, from 127.0.0.1');
});

test('client certificates: required ones let in who has one, and nobody else', { timeout: 60_000 }, async (t) => {
  const [port] = await freePorts(1);
  const sluice = await start(t, {
    config: `
listeners:
  - name: secure
    address: 127.0.0.1:${port}
    protocol: http1
    routes: main
    tls:
      client_auth: required
      ca: ${file('ca.pem')}
      certificates: [{cert: ${file('localhost.pem')}, key: ${file('localhost.key')}}]
routes: [{name: main, routes: [{direct_response: {body: "welcome"}}]}]
`,
  });
  const options = { port: port!, servername: 'localhost', ca: pem('ca.pem') };
  const known = await openTls(t, { ...options, cert: pem('client.pem'), key: pem('client.key') });
  assert.equal(await ask(known, '/'), 'welcome');
  for (const more of [{}, { cert: pem('stranger.pem'), key: pem('stranger.key') }]) {
    // With TLS 1.3 the client's side of the handshake is done before the server has judged the certificate.
    const stranger = await openTls(t, { ...options, ...more });
    stranger.send('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    await stranger.whenClosed();
    assert.equal(stranger.total, 0);
  }
  assert.equal(await sluice.metric('sluice_listener_handshake_errors_total'), 2);
  assert.equal(await sluice.metric('sluice_listener_requests_total'), 1);
});

test('new certificates are taken from disk for new connections; those that are there go on; a half-written pair changes nothing', { timeout: 60_000 }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-tls-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const [cert, key] = [join(folder, 'tls.pem'), join(folder, 'tls.key')];
  const put = (from: string, to: string): void => {
    copyFileSync(file(from), `${to}.new`);
    renameSync(`${to}.new`, to);
  };
  put('localhost.pem', cert);
  put('localhost.key', key);
  const [port] = await freePorts(1);
  const sluice = await start(t, {
    config: `
listeners:
  - {name: secure, address: "127.0.0.1:${port}", protocol: http1, routes: main, tls: {certificates: [{cert: ${cert}, key: ${key}}]}}
routes: [{name: main, routes: [{direct_response: {body: "hello"}}]}]
`,
  });
  const options = { port: port!, servername: 'localhost', ca: pem('ca.pem') };
  const before = await openTls(t, options);
  assert.equal(subject(before), 'localhost');
  assert.equal(await ask(before, '/'), 'hello');

  // First only the certificate: it does not go with the key, so the old pair stays in force.
  put('localhost-next.pem', cert);
  await until('the mismatch is told', () => /tls\.(pem|key)/.test(sluice.stderr) || /key values mismatch/.test(sluice.stderr));
  assert.equal(subject(await openTls(t, options)), 'localhost');
  put('localhost-next.key', key);
  await until('the new certificate is used', async () => subject(await openTls(t, options)) === 'Next localhost');
  assert.equal(await ask(before, '/'), 'hello', 'the old connection is still there');
});

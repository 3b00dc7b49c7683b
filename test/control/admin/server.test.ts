// The admin over real HTTP: what it answers in each form, what it changes, and whom it refuses.
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { connect } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { refusal } from '../../../src/control/admin/guard.js';
import { type Admin, startAdmin } from '../../../src/control/admin/server.js';
import { pages } from '../../../src/control/admin/page.js';
import { parseAddress, type Address } from '../../../src/core/config/schema.js';
import { FakeOperations } from '../fake-operations.js';

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly text: string;
  json(): Record<string, unknown>;
}

function call(admin: Admin, method: string, path: string, headers: Record<string, string> = {}, body = ''): Promise<Answer> {
  const { host, port, path: socketPath } = parseAddress(admin.address) as Address;
  const where = socketPath === undefined ? { host, port } : { socketPath };
  return new Promise((resolve, reject) => {
    const asked = request({ ...where, method, path, headers: { connection: 'close', ...(body === '' ? {} : { 'content-length': String(Buffer.byteLength(body)) }), ...headers }, timeout: 10_000 }, (reply) => {
      let text = '';
      reply.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      reply.on('end', () => resolve({ status: reply.statusCode!, type: String(reply.headers['content-type']), headers: reply.headers, text, json: () => JSON.parse(text) as Record<string, unknown> }));
    });
    asked.on('timeout', () => asked.destroy(new Error(`no answer to ${method} ${path}`))).on('error', reject).end(body);
  });
}

describe('the admin', () => {
  let operations = new FakeOperations();
  let admin: Admin;
  const wrapped = new Proxy({} as FakeOperations, {
    get: (_, key) => {
      const value = (operations as unknown as Record<PropertyKey, unknown>)[key];
      return typeof value === 'function' ? (value as () => unknown).bind(operations) : value;
    },
  });
  const get = (path: string, headers: Record<string, string> = {}): Promise<Answer> => call(admin, 'GET', path, headers);

  before(async () => {
    admin = await startAdmin({ operations: wrapped, address: { host: '127.0.0.1', port: 0 }, hosts: ['Admin.Example'] });
  });
  after(() => admin.close());
  beforeEach(() => {
    operations = new FakeOperations();
  });

  test('says where it listens, with the port it was given', () => {
    assert.match(admin.address, /^127\.0\.0\.1:[1-9]\d*$/);
  });

  test('is ready with 200 and awaits something with 503 and a list', async () => {
    assert.deepEqual([(await get('/ready')).status, (await get('/ready')).json()], [200, { ready: true, waiting: [] }]);
    operations.state = { ready: false, waiting: ['listener http', 'cluster app: first DNS answer'] };
    const awaiting = await get('/ready');
    assert.equal(awaiting.status, 503);
    assert.deepEqual(awaiting.json(), operations.state);
    const text = await get('/ready', { accept: 'text/plain' });
    assert.deepEqual([text.status, text.text], [503, 'not ready\n  awaits listener http\n  awaits cluster app: first DNS answer\n']);
    assert.equal((await call(admin, 'HEAD', '/ready')).status, 503);
  });

  test('answers every page that it lists, in JSON and in text', async () => {
    for (const { method, path } of pages) {
      if (method !== 'GET') continue;
      for (const accept of ['application/json', 'text/plain']) {
        const reply = await get(path, { accept });
        assert.equal(reply.status, 200, path);
        if (path === '/metrics') continue;
        assert.match(reply.type, accept === 'text/plain' ? /^text\/plain/ : /^application\/json/, path);
        if (accept !== 'text/plain') reply.json();
        assert.ok(reply.text.endsWith('\n'), path);
      }
    }
  });

  test('shows clusters with hosts, health, load and breaker levels', async () => {
    assert.deepEqual(((await get('/clusters')).json() as unknown as unknown[])[0], operations.clusterList[0]);
    const { text } = await get('/clusters', { accept: 'text/plain' });
    assert.match(text, /^app \(http1\): hosts by static; connections 4\/1024, pending 0\/1024, requests 3, retries 0$/m);
    assert.match(text, /127\.0\.0\.1:9002 +b\.example +5 +unhealthy +0 +0 +refused/);
  });

  test('keeps secrets of the configuration to itself', async () => {
    const { text } = await get('/config');
    assert.ok(!text.includes('hush'));
    assert.match(text, /"password": "\*\*\*"/);
  });

  test('shows what was refused last, and why', async () => {
    operations.configState = { ...operations.configState, wanted: 4, rejected: { at: 'clusters[0] app', problems: ['a.yaml:3:5: clusters[0].host: unknown key'] } };
    const state = (await get('/config')).json();
    assert.deepEqual([state['wanted'], state['running'], state['rejected']], [4, 3, operations.configState.rejected]);
    assert.match((await get('/config', { accept: 'text/plain' })).text, /rejected {2}clusters\[0\] app\n {10}a\.yaml:3:5: clusters\[0\]\.host: unknown key/);
    assert.match((await get('/', { accept: 'text/html' })).text, /Refused: clusters\[0\] app/);
  });

  test('filters counters by prefix, and bounds connections', async () => {
    assert.deepEqual((await get('/counters?prefix=sluice_cluster_')).json(), { 'sluice_cluster_requests_total{cluster="app"}': 12 });
    await get('/connections?limit=5');
    await get('/connections');
    assert.deepEqual(operations.calls, ['connections 5', 'connections 1000']);
    for (const bad of ['0', '-1', 'x', '1e3', '100001']) assert.equal((await get(`/connections?limit=${bad}`)).status, 400, bad);
  });

  test('gives metrics the type that scrapers expect', async () => {
    const reply = await get('/metrics', { accept: 'application/openmetrics-text;q=0.9,text/plain;version=0.0.4;q=0.5' });
    assert.deepEqual([reply.status, reply.text], [200, '# HELP x Help.\nsluice_x 1\n']);
    assert.match(reply.type, /^text\/plain; version=0\.0\.4/);
  });

  test('gives browsers a page in which nothing from outside is markup', async () => {
    const { type, text, headers } = await get('/', { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' });
    assert.match(type, /^text\/html/);
    assert.ok(!text.includes('refused <b>') && text.includes('refused &lt;b&gt;'));
    for (const { path } of pages) assert.ok(text.includes(`<code>${path}</code>`), path);
    assert.match(String(headers['content-security-policy']), /default-src 'none'/);
    assert.equal(headers['access-control-allow-origin'], undefined);
  });

  test('gives curl a text that begins with the state', async () => {
    const { type, text } = await get('/', { accept: '*/*' });
    assert.match(type, /^text\/plain/);
    assert.match(text, /^Sluice 9\.8\.7, up 1m [12]s, configuration 3\nready\n/);
    assert.match(text, /listener +address +protocol +state +connections +error\nhttp +127\.0\.0\.1:2045 +http1 +listening +2 +-\n/);
  });

  test('changes the log level by body or by query, and refuses unknown ones', async () => {
    const json = { 'content-type': 'application/json' };
    assert.deepEqual((await call(admin, 'PUT', '/log/level', json, '{"level":"debug"}')).json(), { level: 'debug' });
    assert.equal(operations.level, 'debug');
    assert.equal((await call(admin, 'PUT', '/log/level?level=info')).status, 200);
    assert.equal(operations.level, 'info');
    assert.equal((await call(admin, 'PUT', '/log/level', json, '{"level":"loud"}')).status, 400);
    assert.equal((await call(admin, 'PUT', '/log/level', json, '')).status, 400);
    assert.equal((await call(admin, 'PUT', '/log/level', json, '{"level"')).status, 400);
    assert.equal((await call(admin, 'PUT', '/log/level', json, `{"level":"${'x'.repeat(70_000)}"}`)).status, 413);
    assert.equal(operations.level, 'info');
  });

  test('reloads, with 422 and the problems when the file was refused', async () => {
    assert.deepEqual((await call(admin, 'POST', '/reload')).json(), { taken: true, problems: [] });
    operations.problems = ['a.yaml:1:1: bad'];
    const refused = await call(admin, 'POST', '/reload', { accept: 'text/plain' });
    assert.deepEqual([refused.status, refused.text], [422, 'a.yaml:1:1: bad\n']);
  });

  test('answers before it drains or stops the process', async () => {
    const drained = await call(admin, 'POST', '/drain');
    assert.deepEqual([drained.status, drained.json()], [202, { draining: true }]);
    const stopped = new Promise<void>((resolve) => (operations.onStop = resolve));
    assert.equal((await call(admin, 'POST', '/stop?deadline=5s')).status, 202);
    await stopped;
    const again = new Promise<void>((resolve) => (operations.onStop = resolve));
    assert.equal((await call(admin, 'POST', '/stop', { 'content-type': 'application/json' }, '{"deadline": 0}')).status, 202);
    await again;
    const last = new Promise<void>((resolve) => (operations.onStop = resolve));
    assert.equal((await call(admin, 'POST', '/stop')).status, 202);
    await last;
    assert.deepEqual(operations.calls, ['drain', 'stop 5000', 'stop 0', 'stop undefined']);
    assert.equal((await call(admin, 'POST', '/stop?deadline=soon')).status, 400);
  });

  test('says what there is to those who ask for something else', async () => {
    const missing = await get('/cluster');
    assert.equal(missing.status, 404);
    assert.match(missing.text, /did you mean \/clusters\?/);
    const wrong = await get('/drain');
    assert.deepEqual([wrong.status, wrong.headers['allow']], [405, 'POST']);
    assert.deepEqual(operations.calls, []);
  });

  test('tells of a failure of the process as 500 and goes on', async () => {
    operations.failure = new Error('the worker is gone');
    const failed = await get('/listeners');
    assert.equal(failed.status, 500);
    assert.match(failed.text, /the worker is gone/);
    operations.failure = null;
    assert.equal((await get('/listeners')).status, 200);
  });

  test('refuses names that a web page can have resolved to it', async () => {
    for (const host of ['evil.example', 'evil.example:2050', 'localhost.evil.example', '127.0.0.1.evil.example', 'user@127.0.0.1']) {
      for (const path of ['/config', '/nothing']) assert.equal((await get(path, { host })).status, 421, `${host} ${path}`);
    }
    assert.equal(refusal('GET', {}, new Set(), false)?.status, 421);
    for (const host of ['localhost', 'LOCALHOST:1', '127.0.0.1:9', '10.1.2.3:80', '[::1]:80', 'admin.example:8080']) assert.equal((await get('/healthz', { host })).status, 200, host);
  });

  test('takes writes neither from other sites nor as forms', async () => {
    const refused: [Record<string, string>, string, number][] = [
      [{ origin: 'http://evil.example' }, '', 403],
      [{ origin: 'null' }, '', 403],
      [{ host: '127.0.0.1:1', origin: 'http://127.0.0.1:2' }, '', 403],
      [{ 'sec-fetch-site': 'cross-site' }, '', 403],
      [{ 'sec-fetch-site': 'same-site' }, '', 403],
      [{ 'content-type': 'application/x-www-form-urlencoded' }, 'a=b', 415],
      [{ 'content-type': 'text/plain' }, '{}', 415],
      [{ 'content-type': 'application/jsonx' }, '{}', 415],
      [{}, '{}', 415],
    ];
    for (const [headers, body, status] of refused) {
      const reply = await call(admin, 'POST', '/drain', headers, body);
      assert.equal(reply.status, status, JSON.stringify(headers));
    }
    assert.deepEqual(operations.calls, []);
    assert.equal((await call(admin, 'POST', '/drain', { host: '127.0.0.1:2050', origin: 'http://127.0.0.1:2050', 'sec-fetch-site': 'same-origin' })).status, 202);
    assert.equal((await call(admin, 'POST', '/drain', { 'content-type': 'application/json' }, '{}')).status, 202);
  });

  test('survives callers that send no HTTP or leave early', async () => {
    const { host, port } = parseAddress(admin.address) as Address;
    for (const bytes of ['\x16\x03\x01 nonsense\r\n\r\n', 'GET / HTTP/1.1\r\nHos']) {
      await new Promise<void>((resolve) => {
        const socket = connect({ host, port }, () => socket.end(bytes));
        socket.resume().on('close', () => resolve()).on('error', () => resolve());
      });
    }
    assert.equal((await get('/healthz')).status, 200);
  });

  test('does not start on an address that is taken', async () => {
    const address = parseAddress(admin.address) as Address;
    await assert.rejects(startAdmin({ operations: wrapped, address }), /EADDRINUSE/);
  });

  test('is had over a unix socket, where any host name will do', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-admin-'));
    try {
      const path = join(folder, 'admin.sock');
      const other = await startAdmin({ operations: wrapped, address: { host: '', port: 0, path } });
      assert.equal(other.address, `unix:${path}`);
      assert.equal((await call(other, 'GET', '/healthz', { host: 'whatever' })).status, 200);
      await other.close();
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

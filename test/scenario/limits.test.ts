// Limits as clients meet them: connections, addresses, sizes of heads and frames, breakers of clusters, and the memory of the process.
import assert from 'node:assert/strict';
import { renameSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import { accepts, get, open, serveHttp } from '../support/http.js';
import { freePorts, start, until, type Sluice } from '../support/sluice.js';
import { openBolt, serveBolt } from './bolt-peer.js';

async function change(sluice: Sluice, config: string): Promise<void> {
  writeFileSync(`${sluice.file}.new`, `admin: {address: ${sluice.admin}}\n${config}`);
  renameSync(`${sluice.file}.new`, sluice.file);
  const reply = await fetch(`http://${sluice.admin}/reload`, { method: 'POST' });
  assert.equal(reply.status, 200, await reply.text());
}

const direct = 'routes: [{name: main, routes: [{direct_response: {body: "hello"}}]}]';

test('connection_limit: one more is closed at once, and let in when another has left; the limit changes live', { timeout: 60_000 }, async (t) => {
  const [port] = await freePorts(1);
  const config = (limit: number): string => `
listeners: [{name: in, address: "127.0.0.1:${port}", protocol: http1, routes: main, network_filters: [{type: connection_limit, max_connections: ${limit}}]}]
${direct}
`;
  const sluice = await start(t, { config: config(2) });
  const ask = async (client: Awaited<ReturnType<typeof open>>): Promise<string> => {
    client.send('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    return (await client.reply()).body.toString();
  };
  const first = await open(t, port!);
  const second = await open(t, port!);
  assert.equal(await ask(first), 'hello');
  assert.equal(await ask(second), 'hello');
  const third = await open(t, port!);
  await third.whenEnded();
  assert.equal(third.total, 0);
  await until('the refusals are counted', async () => (await sluice.metric('sluice_listener_refused_total', 'connection-limit')) === 1);
  first.end();
  await first.whenClosed();
  await until('there is room', async () => (await sluice.metric('sluice_listener_open_connections')) === 1);
  const fourth = await open(t, port!);
  assert.equal(await ask(fourth), 'hello');
  await change(sluice, config(3));
  const fifth = await open(t, port!);
  assert.equal(await ask(fifth), 'hello');
  await change(sluice, config(1));
  for (const client of [second, fourth, fifth]) assert.equal(await ask(client), 'hello', 'who is in stays in');
  const sixth = await open(t, port!);
  await sixth.whenEnded();
  await until('the refusals are counted', async () => (await sluice.metric('sluice_listener_refused_total', 'connection-limit')) === 2);
});

test('ip_access: the first rule that lists an address decides', { timeout: 60_000 }, async (t) => {
  const [port] = await freePorts(1);
  const sluice = await start(t, {
    config: `
listeners:
  - name: in
    address: 127.0.0.1:${port}
    protocol: http1
    routes: main
    network_filters: [{type: ip_access, rules: [{action: deny, addresses: [127.0.0.2]}, {action: allow, addresses: [127.0.0.0/29]}]}]
${direct}
`,
  });
  const from = async (localAddress: string): Promise<boolean> => {
    const client = await open(t, { port: port!, host: '127.0.0.1', localAddress });
    client.send('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    await client.when('a reply or the end', () => client.total > 0 || client.ended).catch(() => {});
    return client.total > 0;
  };
  assert.equal(await from('127.0.0.1'), true);
  assert.equal(await from('127.0.0.2'), false);
  assert.equal(await from('127.0.0.7'), true);
  assert.equal(await from('127.0.0.8'), false, 'no rule lists it');
  await until('the refusals are counted', async () => (await sluice.metric('sluice_listener_refused_total', 'ip-denied')) === 2);
});

test('sizes: line, head, number of headers and frames, each with the protocol\'s own refusal', { timeout: 60_000 }, async (t) => {
  const host = await serveBolt(t, ({ content }, answer) => answer(content));
  const [port, boltPort] = await freePorts(2);
  await start(t, {
    config: `
listeners:
  - {name: in, address: "127.0.0.1:${port}", protocol: http1, routes: main, options: {max_line: 256, max_head: 2KiB, max_headers: 10}}
  - {name: bolt, address: "127.0.0.1:${boltPort}", protocol: bolt, cluster: app, options: {max_frame: 4KiB}}
clusters: [{name: app, hosts: "127.0.0.1:${host.port}", protocol: bolt}]
${direct}
`,
  });
  const status = async (path: string, headers: string): Promise<number> => {
    const client = await open(t, port!);
    client.send(`GET ${path} HTTP/1.1\r\nhost: x\r\n${headers}\r\n`);
    const reply = await client.reply();
    if (reply.status !== 200) await client.whenEnded();
    return reply.status;
  };
  assert.equal(await status(`/${'p'.repeat(200)}`, ''), 200);
  assert.equal(await status(`/${'p'.repeat(300)}`, ''), 414);
  assert.equal(await status('/', `x: ${'y'.repeat(1500)}\r\n`), 200);
  assert.equal(await status('/', `x: ${'y'.repeat(3000)}\r\n`), 431);
  assert.equal(await status('/', 'x: 1\r\n'.repeat(9)), 200);
  assert.equal(await status('/', 'x: 1\r\n'.repeat(10)), 431);

  const small = await openBolt(t, boltPort!);
  assert.equal((await small.call(Buffer.alloc(3000))).content.length, 3000);
  const id = small.request(Buffer.alloc(5000));
  const refused = await small.reply(id);
  assert.notEqual(refused.status, 0);
  assert.match(refused.content.toString('latin1'), /larger than 4096 bytes/);
  assert.equal((await small.call('next')).content.toString(), 'next', 'the frame is passed over, the connection goes on');
});

test('breakers: requests, connections and those that wait, each with its reason, and all of it free again afterwards', { timeout: 60_000 }, async (t) => {
  const held: ServerResponse[] = [];
  const host = await serveHttp(t, (_request, response) => void held.push(response));
  const [port, other] = await freePorts(2);
  const sluice = await start(t, {
    config: `
access_log: {format: "%response_code% %response_flags% %reason%"}
listeners:
  - {name: requests, address: "127.0.0.1:${port}", protocol: http1, cluster: requests}
  - {name: connections, address: "127.0.0.1:${other}", protocol: http1, cluster: connections}
clusters:
  - {name: requests, hosts: "127.0.0.1:${host.port}", breaker: {max_requests: 2}}
  - {name: connections, hosts: "127.0.0.1:${host.port}", breaker: {max_connections: 2, max_pending: 1}, pool_timeout: 300ms}
`,
  });
  const release = (): void => held.splice(0).forEach((response) => response.end('late'));

  const two = [get(port!), get(port!)];
  await until('two are in flight', () => held.length === 2);
  const third = await get(port!);
  assert.equal(third.status, 503);
  assert.match(third.text, /the cluster requests has its maximum of 2 requests/);
  release();
  for (const reply of two) assert.equal((await reply).text, 'late');
  const again = get(port!);
  await until('there is room', () => held.length === 1);
  release();
  assert.equal((await again).status, 200);

  const both = [get(other!), get(other!)];
  await until('both connections are in use', () => held.length === 2);
  const waits = get(other!);
  await until('one waits', async () => (await sluice.metric('sluice_cluster_pending_requests', '"connections"')) === 1);
  const refused = await get(other!);
  assert.equal(refused.status, 503);
  assert.match(refused.text, /maximum of 1 requests waiting/);
  assert.equal((await waits).status, 504, 'nobody waits longer than pool_timeout');
  const served = get(other!);
  await until('another waits', async () => (await sluice.metric('sluice_cluster_pending_requests', '"connections"')) === 1);
  release();
  for (const reply of both) assert.equal((await reply).status, 200);
  await until('it was sent on a connection that came free', () => held.length === 1);
  release();
  assert.equal((await served).status, 200);
  assert.equal(await sluice.metric('sluice_cluster_connects_total', '"connections"'), 2);
  await until('their lines', () => sluice.lines.length === 9);
  assert.deepEqual(sluice.lines.filter((line) => !line.startsWith('200')).sort(), ['503 UO breaker-pending', '503 UO breaker-requests', '504 UT pool-timeout']);
  for (const { levels } of await sluice.json<{ levels: Record<string, number> }[]>('/clusters')) assert.equal(levels['requests']! + levels['pending']! + levels['retries']!, 0);
  assert.ok((await sluice.metric('sluice_cluster_breaker_open_total')) >= 2);
});

test('the retry budget bounds how much a cluster in trouble is asked again', { timeout: 60_000 }, async (t) => {
  let hits = 0;
  const host = await serveHttp(t, (_request, response) => {
    hits++;
    setTimeout(() => response.writeHead(503).end(), 50);
  });
  const [port] = await freePorts(1);
  const sluice = await start(t, {
    config: `
access_log: false
listeners: [{name: in, address: "127.0.0.1:${port}", protocol: http1, routes: main}]
routes: [{name: main, routes: [{cluster: app, retry: {on: [gateway-error], attempts: 5, backoff: {base: 1ms, max: 1ms}}}]}]
clusters: [{name: app, hosts: "127.0.0.1:${host.port}", breaker: {retry_budget: {percent: 20%, min: 2}}}]
`,
  });
  const replies = await Promise.all(Array.from({ length: 50 }, () => get(port!)));
  for (const reply of replies) assert.equal(reply.status, 503);
  // Without a budget there were 250.
  assert.ok(hits >= 52 && hits < 150, `${hits} requests for 50`);
  assert.ok((await sluice.metric('sluice_cluster_retry_overflow_total')) > 0);
  assert.equal((await sluice.json<{ levels: { retries: number } }[]>('/clusters'))[0]!.levels.retries, 0);
});

test('memory_limit: near it nobody new is let in and who holds most is closed; away from it, or without it, all goes on', { timeout: 60_000 }, async (t) => {
  const host = await serveHttp(t, (request, response) => {
    response.on('error', () => {});
    if (request.url === '/big') {
      response.writeHead(200, { 'content-length': 1 << 28 });
      const go = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(64 * 1024)));
        if (!response.destroyed) response.once('drain', go);
      };
      go();
    } else response.end('ok');
  });
  const [port] = await freePorts(1);
  const config = (limit: string): string => `
memory_limit: ${limit}
access_log: {format: "%path% %reason%"}
listeners: [{name: in, address: "127.0.0.1:${port}", protocol: http1, cluster: app}]
clusters: [{name: app, hosts: "127.0.0.1:${host.port}"}]
`;
  const sluice = await start(t, { config: config('0') });
  const client = await open(t, port!);
  const ask = async (): Promise<string> => {
    client.send('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    return (await client.reply()).body.toString();
  };
  assert.equal(await ask(), 'ok');
  // One that reads nothing, so that some hundred KiB wait for it.
  const slow = connect(port!, '127.0.0.1');
  t.after(() => void slow.destroy());
  slow.on('error', () => {});
  await once(slow, 'connect');
  slow.pause();
  slow.write('GET /big HTTP/1.1\r\nhost: x\r\n\r\n');
  await until('bytes wait for it', async () => (await sluice.json<{ unsent: number }[]>('/connections')).some(({ unsent }) => unsent > 64 * 1024));

  // Far below what the process needs to live.
  await change(sluice, config('16MiB'));
  await until('nobody is let in', async () => !(await accepts(port!)));
  await until('the slow one is closed', () => /closed: it holds most of the memory/.test(sluice.stderr));
  assert.match(sluice.stderr, /close to memory_limit/);
  assert.equal(await ask(), 'ok', 'who is in and takes little stays');
  slow.resume();
  await until('its connection is gone', async () => (await sluice.metric('sluice_listener_open_connections')) === 1);

  await change(sluice, config('64GiB'));
  await until('all are let in again', () => accepts(port!));
  await change(sluice, config('16MiB'));
  await until('nobody is let in', async () => !(await accepts(port!)));
  await change(sluice, config('0'));
  await until('all are let in again', () => accepts(port!));
  assert.equal((await get(port!)).text, 'ok');
  assert.equal(await ask(), 'ok');
});

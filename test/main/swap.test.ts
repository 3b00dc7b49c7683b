// A plug-in is replaced a hundred times under load: no request fails, and each finishes with the version that it began with.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, createServer, request } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { freePorts, Process } from './process.js';

const SWAPS = 100;
const CLIENTS = 8;

const plugin = (version: number): string => `
export const manifest = ({ headerName, CONTINUE }) => ({
  kind: 'stream-filter',
  name: 'stamp',
  doc: 'Stamps requests and replies with its version.',
  create: () => {
    const stamp = headerName('x-stamp');
    const back = headerName('x-stamp-back');
    return {
      name: 'stamp',
      onRequest(exchange, head) { head.set(stamp, '${version}'); return CONTINUE; },
      onReply(exchange, head) { head.set(back, '${version}'); return CONTINUE; },
    };
  },
});
`;

test('a plug-in is replaced a hundred times under load', { timeout: 180_000 }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-swap-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  // Replies wait a little, so that every swap finds requests on their way.
  const host = createServer((asked, reply) => void setTimeout(() => reply.end(String(asked.headers['x-stamp'])), 5)).listen(0, '127.0.0.1');
  await once(host, 'listening');
  t.after(() => {
    host.closeAllConnections();
    host.close();
  });
  const [port, admin] = (await freePorts(2)) as [number, number];
  const file = join(folder, 'a.yaml');
  writeFileSync(join(folder, 'stamp.mjs'), plugin(0));
  writeFileSync(file, `admin: 127.0.0.1:${admin}
plugins: [./stamp.mjs]
listeners: [{name: web, address: "127.0.0.1:${port}", protocol: http1, cluster: c, stream_filters: [stamp]}]
clusters: [{name: c, hosts: "127.0.0.1:${(host.address() as AddressInfo).port}"}]
access_log: false
`);
  const server = new Process(['start', '-c', file, '--workers', '1', '--no-watch']);
  t.after(() => server.kill());
  await server.until('errors', /admin +http/);

  const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS });
  t.after(() => agent.destroy());
  const failures: string[] = [];
  const seen = new Set<string>();
  let requests = 0;
  let going = true;
  const one = (): Promise<void> =>
    new Promise((resolve) => {
      const fail = (why: string): void => {
        failures.push(why);
        resolve();
      };
      const asked = request({ host: '127.0.0.1', port, agent, timeout: 20_000 }, (reply) => {
        let text = '';
        reply.setEncoding('utf8').on('data', (piece: string) => (text += piece)).on('error', (error) => fail(error.message));
        reply.on('end', () => {
          requests++;
          seen.add(text);
          if (reply.statusCode !== 200) fail(`${reply.statusCode} ${text}`);
          else if (reply.headers['x-stamp-back'] !== text) fail(`began with version ${text}, ended with ${String(reply.headers['x-stamp-back'])}`);
          else resolve();
        });
      });
      asked.on('timeout', () => asked.destroy(new Error('no answer'))).on('error', (error) => fail(error.message)).end();
    });
  const clients = Array.from({ length: CLIENTS }, async () => {
    while (going && failures.length === 0) await one();
  });
  try {
    for (let version = 1; version <= SWAPS && failures.length === 0; version++) {
      writeFileSync(join(folder, 'stamp.mjs'), plugin(version));
      const reload = await fetch(`http://127.0.0.1:${admin}/reload`, { method: 'POST', signal: AbortSignal.timeout(20_000) });
      assert.equal(reload.status, 200, await reload.text());
      // At most CLIENTS that are answered now began before the swap.
      const before = requests;
      for (let i = 0; requests <= before + CLIENTS && failures.length === 0; i++) {
        assert.ok(i < 100_000, 'the load stands still');
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
  } finally {
    going = false;
    await Promise.all(clients);
  }
  assert.deepEqual(failures, []);
  assert.ok(seen.size > SWAPS / 2, `only ${seen.size} versions were seen`);
  assert.ok(seen.has(String(SWAPS)), 'the last version is in force');
  const state = (await (await fetch(`http://127.0.0.1:${admin}/config`)).json()) as { running: number; wanted: number };
  assert.deepEqual([state.running, state.wanted], [SWAPS + 1, SWAPS + 1]);
  server.signal('SIGTERM');
  assert.equal(await server.exit(), 0, server.errors);
});

// Hosts of gRPC are asked by grpc.health.v1: one that does not serve gets no calls, and the admin says what it answered.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http2';
import { describe, test, type TestContext } from 'node:test';
import { freePort, start, until } from '../support/sluice.js';

interface Host {
  readonly port: number;
  /** What it answers to checks: a ServingStatus, or a grpc-status above 100. */
  state: number;
  readonly asked: string[];
}

async function host(t: TestContext, state: number): Promise<Host> {
  const asked: string[] = [];
  const self = { port: 0, state, asked };
  const server = createServer();
  server.on('stream', (stream, headers) => {
    let body = Buffer.alloc(0);
    stream.on('error', () => {});
    stream.on('data', (d: Buffer) => (body = Buffer.concat([body, d])));
    stream.on('end', () => {
      asked.push(`${String(headers[':path'])} ${body.toString('hex')}`);
      const failed = self.state > 100;
      if (failed) {
        stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': String(self.state - 100) }, { endStream: true });
        return;
      }
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.end(Buffer.from([0, 0, 0, 0, 2, 8, self.state]));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  self.port = (server.address() as { port: number }).port;
  return self;
}

describe('health checks of gRPC', () => {
  test('follow what the service says of itself', async (t) => {
    const serving = await host(t, 1);
    const not = await host(t, 2);
    const without = await host(t, 112);
    const port = await freePort();
    const sluice = await start(t, { config: `
listeners: [{name: g, address: 127.0.0.1:${port}, protocol: http2, cluster: c}]
clusters:
  - name: c
    protocol: http2
    hosts: "127.0.0.1:${serving.port},127.0.0.1:${not.port},127.0.0.1:${without.port}"
    health_check: {type: protocol, interval: 100ms, retry_interval: 50ms, healthy_threshold: 1, unhealthy_threshold: 1, options: {service: a.B}}
` });
    interface Shown { readonly name: string; readonly hosts: readonly { readonly address: string; readonly healthy: boolean; readonly cause?: string }[] }
    const shown = async (): Promise<string> => JSON.stringify((await sluice.json<{ clusters: Shown[] } | Shown[]>('/clusters?format=json')));
    await until('two of them are down', async () => {
      const text = await shown();
      return text.includes('NOT_SERVING') && text.includes('no service grpc.health.v1.Health');
    });
    assert.equal(await sluice.metric('sluice_cluster_hosts', 'state="healthy"'), 1);
    assert.ok(serving.asked.length > 0);
    assert.equal(serving.asked[0], '/grpc.health.v1.Health/Check 00000000050a03612e42');
    not.state = 1;
    await until('one comes back', async () => (await sluice.metric('sluice_cluster_hosts', 'state="healthy"')) === 2);
    serving.state = 104;
    await until('and another goes', async () => (await shown()).includes('deadline-exceeded'));
  });
});

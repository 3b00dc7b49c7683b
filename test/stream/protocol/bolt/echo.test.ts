// The echo and the command-line call, against each other, against sofa-bolt-node, and through real sockets with sofa-rpc-node.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { describe, test } from 'node:test';
import { BlockOutput } from '../../../../src/core/bytes.js';
import { callFrame, CallReply, type BoltCall } from '../../../../src/stream/protocol/bolt/call.js';
import { BoltEcho } from '../../../../src/stream/protocol/bolt/echo.js';
import { pattern, replyFrame, requestFrame } from './frames.js';
import { heartbeat, heartbeatAck, layouts, read, request, setHessianVersion, v1 } from './peer.js';
import { decodeAll } from './recorder.js';

const require = createRequire(import.meta.url);

const call = (parts: Partial<BoltCall> = {}): BoltCall =>
  ({ service: 'com.example.Echo:1.0', method: 'say', args: ['hello'], headers: [], timeout: 3000, id: 42, version: 1, ...parts });

function echo(...frames: Buffer[]): Buffer {
  const out = new BlockOutput();
  const server = new BoltEcho('one', out);
  const bytes = Buffer.concat(frames);
  assert.equal(server.receive(bytes, 0, bytes.length), bytes.length);
  assert.equal(server.failure, '');
  return out.take();
}

function replyTo(id: number, bytes: Buffer): CallReply {
  const reply = new CallReply(id);
  assert.equal(reply.receive(bytes, 0, bytes.length), bytes.length);
  return reply;
}

describe('the echo', () => {
  for (const [name, options] of layouts) {
    for (const version of ['3.0', '4.0']) {
      test(`returns the first argument to sofa-bolt-node: ${name}, hessian ${version}`, async (t) => {
        t.after(() => setHessianVersion('3.0'));
        setHessianVersion(version);
        for (const value of ['hello', 'ü'.repeat(100), 5, -70_000, 1.5, true, null]) {
          const packets = await read(echo(request(3, options, { args: [value] })));
          assert.deepEqual([packets.length, packets[0]!.packetId, packets[0]!.data!.error, packets[0]!.data!.appResponse], [1, 3, null, value]);
        }
        const [packet] = await read(echo(request(3, options, { args: [[1, 2]] })));
        assert.match(String(packet!.data!.appResponse), /^one got com\.example\.Hello:1\.0\.greet, \d+ bytes$/);
      });
    }
  }

  test('answers heartbeats, and nothing to one-way requests', () => {
    assert.deepEqual(echo(heartbeat(4, v1), request(5, v1, { oneway: true })), heartbeatAck(4, v1));
  });

  test('returns other content as it is, long or not, with its headers and its name', () => {
    for (const content of [pattern(10), pattern(300_000)]) {
      const [line] = decodeAll(echo(requestFrame({ codec: 12, content })), 'client').lines;
      assert.ok(line!.includes('{service=com.example.Hello:1.0 sofa_head_method_name=greet echo-by=one}'), line!.slice(0, 300));
      assert.ok(line!.endsWith(`content ${content.length} ${content.toString('base64')}`));
    }
  });

  test('says what is wrong with bytes that are not Bolt', () => {
    const server = new BoltEcho('one', new BlockOutput());
    server.receive(Buffer.from('GET /'), 0, 5);
    assert.equal(server.failure, 'the frame is malformed: protocol byte 71');
  });
});

describe('the call', () => {
  test('shows the result, in either version and split anywhere', () => {
    for (const version of [1, 2]) {
      const bytes = echo(callFrame(call({ version, headers: [['x', 'y']] })));
      const text = 'status: 0 success\nclass: com.alipay.sofa.rpc.core.response.SofaResponse\nheader service: com.example.Echo:1.0\n' +
        'header sofa_head_target_service: com.example.Echo:1.0\nheader sofa_head_method_name: say\nheader x: y\nheader echo-by: one\ncontent: "hello"';
      assert.deepEqual([replyTo(42, bytes).text, replyTo(42, bytes).ok], [text, true]);
      for (let cut = 0; cut < bytes.length; cut++) {
        const reply = new CallReply(42);
        const n = reply.receive(bytes, 0, cut);
        assert.equal(reply.done, false);
        reply.receive(bytes, n, bytes.length);
        assert.equal(reply.text, text);
      }
    }
  });

  test('is understood by sofa-bolt-node', async () => {
    const [packet] = await read(callFrame(call({ args: ['a', 'b'] })));
    assert.deepEqual(
      [packet!.packetId, packet!.data!.serverSignature, packet!.data!.methodName, packet!.data!.args, packet!.options.timeout],
      [42, 'com.example.Echo:1.0', 'say', ['a', 'b'], 3000],
    );
  });

  test('shows errors, results without arguments, and what it cannot read', () => {
    assert.match(replyTo(42, echo(callFrame(call({ args: [] })))).text, /content: "one got com\.example\.Echo:1\.0\.say, \d+ bytes"$/);
    const error = replyTo(42, replyFrame({ id: 42, timeoutOrStatus: 4, content: Buffer.alloc(0) }));
    assert.deepEqual([error.ok, error.done], [false, true]);
    assert.match(error.text, /^status: 4 server busy\n[^]*content: none$/);
    assert.match(replyTo(42, replyFrame({ id: 42, codec: 12, content: pattern(300_000) })).text, /content: 300000 bytes of codec 12$/);
    assert.equal(replyTo(42, Buffer.from('HTTP/1.1')).text, 'the frame is malformed: protocol byte 72');
    assert.equal(replyTo(42, replyFrame({ id: 41 })).done, false);
  });

  test('answers a heartbeat of the host while it waits', () => {
    const reply = replyTo(42, heartbeat(9, v1));
    assert.deepEqual(reply.answers.take(), heartbeatAck(9, v1));
  });
});

interface Consumer {
  ready(): Promise<void>;
  invoke(method: string, args: unknown[]): Promise<unknown>;
}
interface RpcClient {
  createConsumer(options: object): Consumer;
  close(): Promise<void>;
}

test('a client of sofa-rpc-node calls the echo over a socket', { timeout: 20_000 }, async (t) => {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    const out = new BlockOutput();
    const one = new BoltEcho('one', out);
    let carry: Buffer = Buffer.alloc(0);
    socket.on('data', (bytes: Buffer) => {
      carry = Buffer.concat([carry, bytes]);
      carry = carry.subarray(one.receive(carry, 0, carry.length));
      socket.write(out.take());
    });
    socket.on('error', () => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const { RpcClient } = (require('sofa-rpc-node') as { client: { RpcClient: new (options: object) => RpcClient } }).client;
  const silent = { info() {}, warn() {}, error() {}, debug() {} };
  const client = new RpcClient({ logger: silent });
  t.after(async () => {
    await client.close();
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const consumer = client.createConsumer({ interfaceName: 'com.example.Echo', serverHost: `127.0.0.1:${port}`, responseTimeout: 10_000, retryFaultInterval: 50 });
  await consumer.ready();
  assert.equal(await consumer.invoke('say', ['hello']), 'hello');
  assert.deepEqual(await Promise.all(Array.from({ length: 50 }, (_, i) => consumer.invoke('say', [i]))), Array.from({ length: 50 }, (_, i) => i));
});

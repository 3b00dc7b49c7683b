// Unmodified @grpc/grpc-js through the real program: every kind of call, metadata, deadlines, cancellation, errors, large messages, servers that die, drains.
import * as grpc from '@grpc/grpc-js';
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { until } from '../support/sluice.js';
import { connect, serve, way, ways, type EchoClient } from './grpc.js';

interface Answer {
  readonly reply: Buffer;
  readonly metadata: grpc.Metadata;
  readonly status: grpc.StatusObject;
  readonly error: grpc.ServiceError | null;
}

function meta(fields: Record<string, string | Buffer | readonly string[]> = {}): grpc.Metadata {
  const metadata = new grpc.Metadata();
  for (const [name, value] of Object.entries(fields)) {
    if (Array.isArray(value)) for (const one of value as string[]) metadata.add(name, one);
    else metadata.set(name, value as string);
  }
  return metadata;
}

const soon = (ms = 30_000): grpc.CallOptions => ({ deadline: Date.now() + ms });

function unary(client: EchoClient, message: Buffer, metadata = meta(), options = soon()): Promise<Answer> {
  return new Promise((resolve) => {
    let got = new grpc.Metadata();
    let error: grpc.ServiceError | null = null;
    let reply: Buffer = Buffer.alloc(0);
    const call = client.unary(message, metadata, options, (failed, answer) => {
      error = failed;
      reply = answer ?? reply;
    });
    call.on('metadata', (found: grpc.Metadata) => (got = found));
    call.on('status', (status: grpc.StatusObject) => setImmediate(() => resolve({ reply, metadata: got, status, error })));
  });
}

/** Reads a stream to its end. */
function read(call: grpc.ClientReadableStream<Buffer>): Promise<{ messages: string[]; status: grpc.StatusObject; metadata: grpc.Metadata }> {
  return new Promise((resolve) => {
    const messages: string[] = [];
    let metadata = new grpc.Metadata();
    call.on('data', (piece: Buffer) => messages.push(piece.toString()));
    call.on('metadata', (found: grpc.Metadata) => (metadata = found));
    call.on('error', () => {});
    call.on('status', (status: grpc.StatusObject) => resolve({ messages, status, metadata }));
  });
}

for (const kind of ways) {
  describe(kind, () => {
    test('unary calls: content, metadata both ways, trailers; many at once', { timeout: 120_000 }, async (t) => {
      const host = await serve(t);
      const { port } = await way(t, kind, [host.port]);
      const client = connect(t, port);
      const blob = Buffer.from([0, 1, 2, 253, 254, 255]);
      const one = await unary(client, Buffer.from('hello'), meta({ 'x-text': 'plain text', 'x-many': ['a', 'b'], 'x-blob-bin': blob }));
      assert.equal(one.error, null);
      assert.equal(one.reply.toString(), 'hello');
      assert.deepEqual(one.metadata.get('x-text'), ['plain text']);
      assert.equal(one.metadata.get('x-many').join(', '), 'a, b');
      assert.deepEqual(one.metadata.get('x-blob-bin'), [blob]);
      assert.deepEqual(one.status.metadata.get('x-bytes'), ['5']);
      const empty = await unary(client, Buffer.alloc(0));
      assert.deepEqual([empty.error, empty.reply.length], [null, 0]);
      const many = await Promise.all(Array.from({ length: 300 }, (_, i) => unary(client, Buffer.from(`call ${i}`))));
      many.forEach(({ reply, status }, i) => assert.deepEqual([reply.toString(), status.code], [`call ${i}`, 0]));
    });

    test('messages of 10 MB, there and back', { timeout: 120_000 }, async (t) => {
      const host = await serve(t);
      const { port } = await way(t, kind, [host.port]);
      const message = Buffer.alloc(10_000_000, 'some text of 23 bytes\n');
      const { reply, error } = await unary(connect(t, port), message, meta(), soon(60_000));
      assert.equal(error, null);
      assert.ok(reply.equals(message));
    });

    test('streams of the client, of the server, of both', { timeout: 120_000 }, async (t) => {
      const host = await serve(t);
      const { port } = await way(t, kind, [host.port]);
      const client = connect(t, port);
      const collected = await new Promise<string>((resolve, reject) => {
        const call = client.collect(meta(), soon(), (error, reply) => (error === null ? resolve(reply!.toString()) : reject(error)));
        for (let i = 0; i < 200; i++) call.write(Buffer.alloc(i * 10));
        call.end();
      });
      assert.equal(collected, String((199 * 200 * 10) / 2));
      const counted = await read(client.count(Buffer.from('500'), meta({ 'x-text': 'y' }), soon()));
      assert.deepEqual(counted.messages, Array.from({ length: 500 }, (_, i) => `message ${i}`));
      assert.deepEqual([counted.status.code, counted.metadata.get('x-text')], [0, ['y']]);
      const chat = client.chat(meta(), soon());
      const talk = read(chat as unknown as grpc.ClientReadableStream<Buffer>);
      const heard: string[] = [];
      chat.on('data', (piece: Buffer) => {
        heard.push(piece.toString());
        // In turns: each message is only written when the one before has come back.
        if (heard.length < 20) chat.write(Buffer.from(`turn ${heard.length}`));
        else chat.end();
      });
      chat.write(Buffer.from('turn 0'));
      const { status } = await talk;
      assert.deepEqual([status.code, heard], [0, Array.from({ length: 20 }, (_, i) => `turn ${i}`)]);
    });

    test('errors: with details in trailers, without a message before them, behind messages, of methods that are not there', { timeout: 120_000 }, async (t) => {
      const host = await serve(t);
      const { port } = await way(t, kind, [host.port]);
      const client = connect(t, port);
      for (const code of [grpc.status.INVALID_ARGUMENT, grpc.status.NOT_FOUND, grpc.status.ABORTED, grpc.status.DATA_LOSS, grpc.status.UNAVAILABLE]) {
        const { error, status } = await unary(client, Buffer.from('x'), meta({ fail: String(code) }));
        assert.deepEqual([error!.code, error!.details], [code, 'asked to fail: 100% \u00fc']);
        assert.deepEqual(status.metadata.get('detail-bin'), [Buffer.from([0, 255, 10, 13])]);
        assert.deepEqual(status.metadata.get('why'), ['asked to']);
      }
      const late = await read(client.count(Buffer.from('3'), meta({ fail: String(grpc.status.RESOURCE_EXHAUSTED) }), soon()));
      assert.deepEqual([late.messages.length, late.status.code, late.status.metadata.get('why')], [3, grpc.status.RESOURCE_EXHAUSTED, ['asked to']]);
      const missing = await new Promise<grpc.ServiceError>((resolve) => {
        client.makeUnaryRequest('/test.Echo/Missing', (b: Buffer) => b, (b: Buffer) => b, Buffer.from('x'), meta(), soon(), (error) => resolve(error!));
      });
      assert.equal(missing.code, grpc.status.UNIMPLEMENTED);
    });

    test('deadlines end calls before and after the first message, cancellation too: the server hears of each', { timeout: 120_000 }, async (t) => {
      const host = await serve(t);
      const { port, sluices } = await way(t, kind, [host.port]);
      const client = connect(t, port);
      await unary(client, Buffer.from('warm'));
      const before = await unary(client, Buffer.from('x'), meta({ silent: '1' }), soon(300));
      assert.equal(before.status.code, grpc.status.DEADLINE_EXCEEDED);
      await until('the server hears of the deadline', () => host.cancelled.includes('unary'));
      const after = await read(client.count(Buffer.from('2'), meta({ wait: '1' }), soon(500)));
      assert.deepEqual([after.messages, after.status.code], [['message 0', 'message 1'], grpc.status.DEADLINE_EXCEEDED]);
      await until('the server hears of the second', () => host.cancelled.includes('count'));
      const chat = client.chat(meta(), soon());
      const over = read(chat as unknown as grpc.ClientReadableStream<Buffer>);
      chat.write(Buffer.from('one'));
      chat.once('data', () => chat.cancel());
      assert.equal((await over).status.code, grpc.status.CANCELLED);
      await until('the server hears of the cancellation', () => host.cancelled.includes('chat'));
      for (const sluice of sluices) await until('nothing runs', async () => (await sluice.metric('sluice_cluster_active_requests')) === 0);
    });
  });
}

describe('faults', () => {
  test('no host: UNAVAILABLE; no route: UNIMPLEMENTED; in trailers only, with the reason', { timeout: 60_000 }, async (t) => {
    const { port } = await way(t, 'one hop', [1]);
    const { error, status } = await unary(connect(t, port), Buffer.from('x'), meta(), soon(20_000));
    assert.equal(error!.code, grpc.status.UNAVAILABLE);
    assert.match(error!.details, /127\.0\.0\.1:1/);
    assert.match(String(status.metadata.get('x-sluice-reason')[0]), /^connect-|no-healthy-host/);
  });

  test('the deadline of a call is kept by the proxy too, and counted', { timeout: 60_000 }, async (t) => {
    const host = await serve(t);
    const { port, sluices } = await way(t, 'one hop', [host.port]);
    const client = connect(t, port);
    const all = await Promise.all(Array.from({ length: 20 }, () => unary(client, Buffer.from('x'), meta({ silent: '1' }), soon(400))));
    for (const { status } of all) assert.equal(status.code, grpc.status.DEADLINE_EXCEEDED);
    await until('every server call ended', () => host.cancelled.length === 20);
    await until('none is active', async () => (await sluices[0]!.metric('sluice_cluster_active_requests')) === 0);
  });

  test('one of two servers is killed under load and comes back: no call fails', { timeout: 120_000 }, async (t) => {
    const [one, two] = [await serve(t), await serve(t)];
    const { port } = await way(t, 'one hop', [one.port, two.port]);
    const client = connect(t, port);
    let stopped = false;
    let done = 0;
    const failed: string[] = [];
    const loads = Array.from({ length: 16 }, async (_, i) => {
      while (!stopped && done < 100_000) {
        const { error, reply } = await unary(client, Buffer.from(`load ${i}`));
        if (error !== null) failed.push(error.message);
        else assert.equal(reply.toString(), `load ${i}`);
        done++;
      }
    });
    await until('load runs', () => done > 300, 30_000);
    one.server.forceShutdown();
    const then = done;
    await until('load goes on', () => done > then + 1000, 30_000);
    const again = await serve(t, one.port);
    await until('the server that came back is used', () => again.calls > 0, 30_000);
    stopped = true;
    await Promise.all(loads);
    assert.deepEqual(failed, []);
    assert.ok(two.calls > 0);
  });

  test('Sluice drains under load: no call fails, and what streams is served to its end', { timeout: 120_000 }, async (t) => {
    const host = await serve(t);
    const { port, sluices } = await way(t, 'one hop', [host.port]);
    const next = await way(t, 'one hop', [host.port]);
    const [old, fresh] = [connect(t, port, true), connect(t, next.port)];
    let draining = false;
    let done = 0;
    const failed: string[] = [];
    const loads = Array.from({ length: 16 }, async () => {
      for (let n = 0; n < 20_000; n++) {
        // What a client does that is told of the drain: new calls go elsewhere; those on their way are answered.
        const client = draining ? fresh : old;
        const { error } = await unary(client, Buffer.from('load'));
        if (error !== null) failed.push(error.message);
        done++;
        if (draining && client === fresh && n > 50) return;
      }
    });
    const chat = old.chat(meta(), soon());
    const talk = read(chat as unknown as grpc.ClientReadableStream<Buffer>);
    chat.write(Buffer.from('before'));
    await until('load runs', () => done > 300, 30_000);
    sluices[0]!.kill('SIGTERM');
    await until('it drains', async () => (await sluices[0]!.get('/ready')).status === 503);
    draining = true;
    chat.write(Buffer.from('during'));
    chat.end();
    const { messages, status } = await talk;
    assert.deepEqual([messages, status.code], [['before', 'during'], 0]);
    await Promise.all(loads);
    assert.deepEqual(failed, []);
    assert.equal(await sluices[0]!.exited, 0);
  });
});

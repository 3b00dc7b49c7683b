// The bench's load generator must notice every kind of wrong reply: a bench that cannot fail proves nothing.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { test } from 'node:test';
import { type LoadReport, runLoad, startBackend, startLoad } from '../../bench/load/tools.js';
import { frame, headers } from '../support/http2.js';

const skip = spawnSync(process.env['CC'] ?? 'gcc', ['--version']).status === 0 ? false : 'no C compiler';

async function against(onData: (socket: Socket, chunk: Buffer) => void, args: readonly string[], seconds = 0.2): Promise<LoadReport> {
  const sockets = new Set<Socket>();
  const server: Server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    socket.on('data', (chunk) => onData(socket, chunk));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  try {
    const port = String((server.address() as AddressInfo).port);
    return await runLoad([...args, '--port', port, '--connections', '4', '--warmup', '0', '--seconds', String(seconds)], undefined);
  } finally {
    for (const socket of sockets) socket.destroy();
    await new Promise((done) => server.close(done));
  }
}

async function withBackend(kind: string, args: readonly string[]): Promise<LoadReport> {
  const backend = await startBackend([kind], undefined, 30);
  try {
    return await runLoad([...args, '--port', String(backend.port), '--warmup', '0', '--seconds', '0.2', '--watch', String(backend.pid)], undefined);
  } finally {
    backend.stop();
  }
}

const http = (status: string, body: string, length = body.length): string => `HTTP/1.1 ${status}\r\nContent-Length: ${length}\r\n\r\n${body}`;

for (const [kind, args] of [
  ['http', ['http', '--connections', '8']],
  ['http', ['http', '--connections', '8', '--outstanding', '4', '--size', '3000']],
  ['http', ['http', '--connections', '2', '--path', '/bytes/700000']],
  ['http', ['http', '--connections', '8', '--rate', '2000']],
  ['bolt', ['bolt', '--connections', '8', '--outstanding', '16']],
  ['bolt', ['bolt', '--connections', '2', '--outstanding', '2', '--size', '300000']],
  ['dubbo', ['dubbo', '--connections', '8', '--outstanding', '16']],
  ['dubbo', ['dubbo', '--connections', '2', '--outstanding', '2', '--size', '1000']],
  ['dubbo', ['dubbo', '--connections', '2', '--size', '20']],
  ['h2', ['h2', '--connections', '8', '--outstanding', '16']],
  ['h2', ['h2', '--connections', '2', '--path', '/some/where']],
  ['grpc', ['grpc', '--connections', '8', '--outstanding', '16', '--size', '100']],
  ['grpc', ['grpc', '--connections', '2', '--size', '1000']],
  ['echo', ['echo', '--connections', '8', '--size', '100']],
  ['source', ['bulk', '--connections', '2']],
  ['sink', ['bulk', '--connections', '2', '--up']],
] as const) {
  test(`its own ${kind} backend answers ${args.join(' ')} without an error`, { skip }, async () => {
    const report = await withBackend(kind, args);
    assert.equal(report.errors, 0, JSON.stringify(report.error_kinds));
    assert.equal(report.gone, 0);
    assert.ok((report.requests ?? report.bytes ?? 0) > 10, JSON.stringify(report));
  });
}

test('a status that says no is counted', { skip }, async () => {
  const report = await against((socket) => socket.write(http('503 Service Unavailable', 'no')), ['http']);
  assert.ok(report.error_kinds['status']! > 0);
  assert.equal(report.errors, report.error_kinds['status']);
});

test('a body with one wrong byte is a mismatch', { skip }, async () => {
  const report = await against((socket) => socket.write(http('200 OK', 'abcdefghijklmnopqrstuvwxyzabX')), ['http']);
  assert.ok(report.error_kinds['mismatch']! > 0);
});

test('a reply longer than it says is a mismatch', { skip }, async () => {
  const report = await against((socket) => socket.write(http('200 OK', 'abcdef', 4)), ['http']);
  assert.ok(report.error_kinds['mismatch']! > 0);
});

test('a connection closed in the middle of a reply is counted', { skip }, async () => {
  const report = await against((socket) => socket.end(http('200 OK', 'abc', 26)), ['http']);
  assert.ok(report.error_kinds['closed']! > 0);
});

test('a server that never answers is counted as stuck', { skip }, async () => {
  const report = await against(() => {}, ['http'], 2.2);
  assert.equal(report.error_kinds['stuck'], 4);
  assert.equal(report.requests, 0);
});

test('nobody listening is counted', { skip }, async () => {
  const report = await runLoad(['http', '--port', '1', '--connections', '2', '--warmup', '0', '--seconds', '0.1'], undefined);
  assert.ok(report.error_kinds['connect']! > 0);
});

test('latency covers the time the server takes', { skip }, async () => {
  const report = await against((socket) => setTimeout(() => socket.write(http('200 OK', 'abc')), 20), ['http'], 0.3);
  assert.equal(report.errors, 0);
  assert.ok(report.latency_us!.p50 >= 19_000, JSON.stringify(report.latency_us));
});

/** A Bolt reply to the request in `frame`; `edit` makes it wrong. */
function boltReply(frame: Buffer, edit: (reply: Buffer) => void): Buffer {
  const className = 'com.alipay.sofa.rpc.core.response.SofaResponse';
  const size = frame.readUInt32BE(18);
  const reply = Buffer.concat([Buffer.alloc(20), Buffer.from(className), frame.subarray(frame.length - size)]);
  reply.set([1, 0, 0, 2, 1]);
  frame.copy(reply, 5, 5, 9);
  reply[9] = 1;
  reply.writeUInt16BE(className.length, 12);
  reply.writeUInt32BE(size, 16);
  edit(reply);
  return reply;
}

const bolt = (edit: (reply: Buffer) => void): Promise<LoadReport> => against((socket, frame) => socket.write(boltReply(frame, edit)), ['bolt']);

test('Bolt: the reply this test makes is right when nothing is edited', { skip }, async () => {
  const report = await bolt(() => {});
  assert.equal(report.errors, 0, JSON.stringify(report.error_kinds));
  assert.ok(report.requests! > 0);
});

test('Bolt: an id nobody asked for is a mismatch', { skip }, async () => {
  const report = await bolt((reply) => reply.writeUInt32BE(reply.readUInt32BE(5) + 1, 5));
  assert.ok(report.error_kinds['mismatch']! > 0);
});

test('Bolt: a body of another connection is a mismatch', { skip }, async () => {
  const report = await bolt((reply) => reply.writeUInt32BE(77, 20 + reply.readUInt16BE(12)));
  assert.ok(report.error_kinds['mismatch']! > 0);
});

test('Bolt: an error status is counted', { skip }, async () => {
  const report = await bolt((reply) => reply.writeUInt16BE(7, 10));
  assert.ok(report.error_kinds['status']! > 0);
});

/** Answers each HEADERS frame with what `make` gives for its stream. */
function http2(mode: 'h2' | 'grpc', make: (stream: number) => Buffer): Promise<LoadReport> {
  const rest = new Map<Socket, Buffer>();
  return against((socket, chunk) => {
    const before = rest.get(socket);
    if (before === undefined) socket.write(frame(4, 0, 0));
    let bytes = before === undefined ? chunk.subarray(24) : Buffer.concat([before, chunk]);
    while (bytes.length >= 9 && bytes.length >= 9 + bytes.readUIntBE(0, 3)) {
      if (bytes[3] === 1) socket.write(make(bytes.readUInt32BE(5)));
      bytes = bytes.subarray(9 + bytes.readUIntBE(0, 3));
    }
    rest.set(socket, bytes);
  }, [mode, '--size', '10']);
}

const OK = Buffer.from([0x88]);
const message = (text: string, length = text.length): Buffer => Buffer.concat([Buffer.from([0, 0, 0, 0, length]), Buffer.from(text)]);
const trailers = headers(1, [['grpc-status', '0']]).subarray(9);
const call = (stream: number, content: Buffer): Buffer => Buffer.concat([frame(1, 4, stream, OK), frame(0, 0, stream, content), frame(1, 5, stream, trailers)]);

test('HTTP/2 and gRPC: the replies this test makes are right when nothing is wrong with them', { skip }, async () => {
  for (const report of [await http2('h2', (stream) => Buffer.concat([frame(1, 4, stream, OK), frame(0, 1, stream, 'abcdefghijklmnopqrstuvwxyzab')])), await http2('grpc', (stream) => call(stream, message('abcdef')))]) {
    assert.equal(report.errors, 0, JSON.stringify(report.error_kinds));
    assert.ok(report.requests! > 0);
  }
});

test('HTTP/2: another status, a reset, a go-away, wrong or no content are counted', { skip }, async () => {
  const wrong: readonly (readonly [kind: string, make: (stream: number) => Buffer])[] = [
    ['mismatch', (stream) => Buffer.concat([frame(1, 4, stream, OK), frame(0, 1, stream, 'abcX')])],
    ['mismatch', (stream) => frame(1, 5, stream, OK)],
    ['mismatch', (stream) => Buffer.concat([frame(1, 4, stream, Buffer.from([0x8d])), frame(0, 1, stream, 'abc')])],
    ['mismatch', (stream) => frame(3, 0, stream, Buffer.from([0, 0, 0, 8]))],
    ['mismatch', () => frame(7, 0, 0, Buffer.alloc(8))],
    ['mismatch', (stream) => Buffer.concat([frame(1, 4, stream + 2, OK), frame(0, 1, stream + 2, 'abc')])],
  ];
  for (const [kind, make] of wrong) {
    const report = await http2('h2', make);
    assert.ok(report.error_kinds[kind]! > 0, JSON.stringify(report.error_kinds));
  }
});

test('gRPC: a call without trailers, with trailers only, or with wrong content is counted', { skip }, async () => {
  const wrong: readonly ((stream: number) => Buffer)[] = [
    (stream) => Buffer.concat([frame(1, 4, stream, OK), frame(0, 1, stream, message('abc'))]),
    (stream) => frame(1, 5, stream, Buffer.concat([OK, trailers])),
    (stream) => call(stream, message('abX')),
    (stream) => call(stream, message('abcdef', 5)),
  ];
  for (const make of wrong) {
    const report = await http2('grpc', make);
    assert.ok(report.error_kinds['mismatch']! > 0, JSON.stringify(report.error_kinds));
  }
});

/** The reply to a call with one argument of 100 bytes: itself, and no attachments. */
function dubboReply(frame: Buffer, edit: (reply: Buffer) => void): Buffer {
  let at = 16;
  for (let i = 0; i < 5; i++) at += 1 + frame[at]!;
  const reply = Buffer.concat([Buffer.from([0xda, 0xbb, 2, 20]), frame.subarray(4, 12), Buffer.from([0, 0, 0, 105, 0x94]), frame.subarray(at, at + 102), Buffer.from('HZ')]);
  edit(reply);
  return reply;
}

for (const [what, kind, edit] of [
  ['the reply this test makes is right when nothing is edited', '', () => {}],
  ['an id nobody asked for is a mismatch', 'mismatch', (reply) => reply.writeUInt32BE(reply.readUInt32BE(8) + 1, 8)],
  ['an id whose high half was lost is a mismatch', 'mismatch', (reply) => reply.writeUInt32BE(0, 4)],
  ['a result of another connection is a mismatch', 'mismatch', (reply) => reply.write('0000004d', 19)],
  ['a changed byte is a mismatch', 'mismatch', (reply) => reply.write('X', 90)],
  ['an exception is a mismatch', 'mismatch', (reply) => reply.writeUInt8(0x93, 16)],
  ['an error status is counted', 'status', (reply) => reply.writeUInt8(80, 3)],
] as readonly (readonly [string, string, (reply: Buffer) => void])[]) {
  test(`Dubbo: ${what}`, { skip }, async () => {
    const report = await against((socket, frame) => socket.write(dubboReply(frame, edit)), ['dubbo', '--service', 'com.example.Echo']);
    if (kind === '') assert.deepEqual([report.errors, report.requests! > 0], [0, true], JSON.stringify(report.error_kinds));
    else assert.ok(report.error_kinds[kind]! > 0, JSON.stringify(report.error_kinds));
  });
}

test('echo: a changed byte is a mismatch', { skip }, async () => {
  const report = await against(
    (socket, chunk) => {
      chunk[chunk.length - 1]! ^= 1;
      socket.write(chunk);
    },
    ['echo', '--size', '100'],
  );
  assert.ok(report.error_kinds['mismatch']! > 0);
});

test('bulk: a block out of its place is a mismatch', { skip }, async () => {
  const report = await against(() => {}, ['bulk'], 0.1);
  assert.ok(report.error_kinds['stuck']! > 0, 'silence is not success');
  const server = createServer((socket) => {
    socket.on('error', () => {});
    const block = Buffer.alloc(8192);
    block.writeBigUInt64LE(5n, 4096);
    socket.write(block);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const port = String((server.address() as AddressInfo).port);
  const wrong = await runLoad(['bulk', '--port', port, '--connections', '1', '--warmup', '0', '--seconds', '0.1'], undefined);
  server.close();
  assert.equal(wrong.error_kinds['mismatch'], 1);
});

test('hold: counts what is held and what was closed meanwhile', { skip }, async () => {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    socket.on('data', () => socket.write(http('200 OK', 'abc')));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  try {
    const port = String((server.address() as AddressInfo).port);
    const load = startLoad(['hold', '--port', port, '--connections', '6', '--seconds', '20'], undefined);
    const held = await load.next();
    assert.equal(held['held'], 6);
    assert.equal(held['errors'], 0);
    await new Promise<void>((done) => sockets[0]!.end(done));
    await load.end();
    assert.deepEqual(await load.next(), { mode: 'released', closed: 1 });
  } finally {
    for (const socket of sockets) socket.destroy();
    await new Promise((done) => server.close(done));
  }
});

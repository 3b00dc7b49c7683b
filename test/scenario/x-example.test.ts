// The worked example of docs/add-a-protocol.md in the real process: calls of two clients share a connection, hosts come and go, faults are told.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import { freePort, freePorts, start, until } from '../support/sluice.js';

interface Frame {
  readonly type: number;
  readonly reply: boolean;
  readonly id: number;
  readonly status: number;
  readonly body: string;
}

function frame(type: number, id: number, body = '', status = -1): Buffer {
  const reply = status >= 0;
  const head = Buffer.alloc(reply ? 13 : 11);
  head[0] = 0x78;
  head[1] = type;
  head[2] = reply ? 1 : 0;
  head.writeUInt32BE(id, 3);
  if (reply) head.writeUInt16BE(status, 7);
  head.writeUInt32BE(Buffer.byteLength(body), head.length - 4);
  return Buffer.concat([head, Buffer.from(body)]);
}

function reader(each: (frame: Frame) => void): (bytes: Buffer) => void {
  let rest = Buffer.alloc(0);
  return (bytes) => {
    rest = Buffer.concat([rest, bytes]);
    while (rest.length >= 11) {
      const reply = rest[2] === 1;
      const fixed = reply ? 13 : 11;
      if (rest.length < fixed) return;
      const end = fixed + rest.readUInt32BE(fixed - 4);
      if (rest.length < end) return;
      each({ type: rest[1]!, reply, id: rest.readUInt32BE(3), status: reply ? rest.readUInt16BE(7) : 0, body: rest.subarray(fixed, end).toString() });
      rest = rest.subarray(end);
    }
  };
}

/** Answers each request with its name and the payload; the last of two at once first. */
async function host(t: TestContext, name: string, port = 0): Promise<{ server: Server; port: number; sockets: Set<Socket> }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    socket.on('data', reader((asked) => {
      if (asked.type === 0) socket.write(frame(0, asked.id, '', 0));
      else if (asked.type === 1) setTimeout(() => socket.write(frame(1, asked.id, `${name}:${asked.body}`, asked.body === 'fail' ? 1 : 0)), asked.body.endsWith('slow') ? 100 : 0);
    }));
  }).listen(port, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    sockets.forEach((socket) => socket.destroy());
  });
  return { server, port: (server.address() as { port: number }).port, sockets };
}

class Client {
  readonly socket: Socket;
  readonly got: Frame[] = [];

  constructor(t: TestContext, port: number) {
    this.socket = connect(port, '127.0.0.1');
    this.socket.on('error', () => {});
    this.socket.on('data', reader((answer) => this.got.push(answer)));
    t.after(() => this.socket.destroy());
  }

  async reply(id: number): Promise<Frame> {
    return until(`a reply to ${id}`, () => this.got.find((answer) => answer.id === id && answer.reply) ?? null);
  }
}

describe('the worked example of a protocol', () => {
  test('calls of two clients with the same ids share a connection and are told apart, in any order', async (t) => {
    const one = await host(t, 'a');
    const port = await freePort();
    const sluice = await start(t, { file: 'configs/x-example.yaml', env: { LISTEN: `127.0.0.1:${port}`, UPSTREAM: `127.0.0.1:${one.port}` }, args: ['--workers', '1'] });
    const clients = [new Client(t, port), new Client(t, port)];
    clients.forEach((client, i) => client.socket.write(Buffer.concat([frame(1, 7, `${i} slow`), frame(1, 8, `${i} fast`), frame(0, 9)])));
    for (const [i, client] of clients.entries()) {
      assert.deepEqual(await client.reply(7), { type: 1, reply: true, id: 7, status: 0, body: `a:${i} slow` });
      assert.equal((await client.reply(8)).body, `a:${i} fast`);
      assert.equal((await client.reply(9)).type, 0);
    }
    assert.equal(one.sockets.size, 1);
    // Byte by byte.
    for (const byte of frame(1, 10, 'cut')) clients[0]!.socket.write(Buffer.from([byte]));
    assert.equal((await clients[0]!.reply(10)).body, 'a:cut');
    clients[0]!.socket.write(frame(1, 11, 'fail'));
    assert.equal((await clients[0]!.reply(11)).status, 1);
    assert.equal(await sluice.metric('sluice_listener_replies_total', 'status="5xx"'), 1);
  });

  test('a host that dies costs no call, and without a host the reason is told', async (t) => {
    const [first, second] = (await freePorts(2)) as [number, number];
    const a = await host(t, 'a', first);
    const b = await host(t, 'b', second);
    const port = await freePort();
    await start(t, { file: 'configs/x-example.yaml', env: { LISTEN: `127.0.0.1:${port}`, UPSTREAM: `127.0.0.1:${first},127.0.0.1:${second}` }, args: ['--workers', '1'] });
    const client = new Client(t, port);
    for (let id = 1; id <= 40; id++) {
      client.socket.write(frame(1, id, `${id}`));
      if (id === 20) {
        a.server.close();
        a.sockets.forEach((socket) => socket.resetAndDestroy());
      }
      assert.equal((await client.reply(id)).status, 0, `call ${id}`);
    }
    b.server.close();
    b.sockets.forEach((socket) => socket.resetAndDestroy());
    client.socket.write(frame(1, 99, 'nobody'));
    const refused = await client.reply(99);
    assert.equal(refused.status, 1);
    assert.match(refused.body, /127\.0\.0\.1:\d+/);
  });

  test('what is malformed or too large costs the connection, with the reason in the log', async (t) => {
    const one = await host(t, 'a');
    const port = await freePort();
    const sluice = await start(t, { file: 'configs/x-example.yaml', env: { LISTEN: `127.0.0.1:${port}`, UPSTREAM: `127.0.0.1:${one.port}` }, args: ['--workers', '1'] });
    const large = new Client(t, port);
    const head = frame(1, 5);
    head.writeUInt32BE(1 << 20, 7);
    large.socket.write(head);
    assert.match((await large.reply(5)).body, /larger than 65536 bytes/);
    await until('its connection is closed', () => large.socket.closed);
    const garbage = new Client(t, port);
    garbage.socket.write('GET / HTTP/1.1\r\n\r\n');
    await until('this one too', () => garbage.socket.closed);
    await until('both reasons in the log', () => sluice.stdout.includes('frame-too-large') && sluice.stdout.includes('bad-frame'));
  });
});

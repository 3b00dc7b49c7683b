// HPACK against nghttp2, the one inside Node's HTTP/2 client: long sequences in both directions, with table sizes that change.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import { test } from 'node:test';
import { Writer } from '../../../../../src/core/bytes.js';
import { HpackDecoder } from '../../../../../src/stream/protocol/http2/hpack/decoder.js';
import { HpackEncoder } from '../../../../../src/stream/protocol/http2/hpack/encoder.js';
import { generator } from '../../../../support/fuzz.js';
import { blockOf, fieldsOf, type Field } from './blocks.js';

const DATA = 0;
const HEADERS = 1;
const SETTINGS = 4;
const ACK = 1;
const END_STREAM = 1;
const END_HEADERS = 4;
const HEADER_TABLE_SIZE = 1;

function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

function tableSetting(size: number): Buffer {
  const payload = Buffer.alloc(6);
  payload.writeUInt16BE(HEADER_TABLE_SIZE, 0);
  payload.writeUInt32BE(size, 2);
  return payload;
}

/** A server with nothing but frames around HPACK: answers request n with the fields of `reply(n)`. */
function serve(socket: net.Socket, announced: number | null, requests: Field[][], reply: (n: number) => Field[]): void {
  const decoder = new HpackDecoder(announced ?? 4096);
  const encoder = new HpackEncoder(true);
  let input = Buffer.alloc(0);
  let preface = false;
  socket.write(frame(SETTINGS, 0, 0, announced === null ? Buffer.alloc(0) : tableSetting(announced)));
  socket.on('data', (chunk: Buffer) => {
    input = Buffer.concat([input, chunk]);
    if (!preface) {
      if (input.length < 24) return;
      preface = true;
      input = input.subarray(24);
    }
    while (input.length >= 9 && input.length >= 9 + input.readUIntBE(0, 3)) {
      const length = input.readUIntBE(0, 3);
      const [type, flags, stream] = [input[3]!, input[4]!, input.readUInt32BE(5)];
      const payload = input.subarray(9, 9 + length);
      input = input.subarray(9 + length);
      if (type === SETTINGS && (flags & ACK) !== 0) decoder.acknowledged();
      if (type === SETTINGS && (flags & ACK) === 0) {
        for (let at = 0; at < length; at += 6) if (payload.readUInt16BE(at) === HEADER_TABLE_SIZE) encoder.setPeerTable(payload.readUInt32BE(at + 2));
        socket.write(frame(SETTINGS, ACK, 0, Buffer.alloc(0)));
      }
      if (type !== HEADERS) continue;
      assert.equal(flags & END_HEADERS, END_HEADERS);
      const from = (flags & 0x20) !== 0 ? 5 : 0;
      const block = decoder.decode(payload, from, length);
      assert.ok(block !== null, decoder.error);
      const n = requests.push(fieldsOf(block)) - 1;
      const answer = blockOf(reply(n));
      const w = new Writer(Buffer.alloc(encoder.bound(answer)));
      encoder.encode(w, answer);
      socket.write(Buffer.concat([frame(HEADERS, END_HEADERS, stream, w.buf.subarray(0, w.pos)), frame(DATA, END_STREAM, stream, Buffer.alloc(0))]));
    }
  });
}

const values = ['a', '', 'text/html; charset=utf-8', 'x'.repeat(300), '~!@#$%^&*()_+|', 'gzip', 'v'.repeat(1000)];

/** Fields of names that occur once each, some with values that come again. */
function some(random: (n: number) => number, prefix: string): Field[] {
  const fields: Field[] = [];
  for (let i = 0; i < 12; i++) {
    if (random(2) === 0) continue;
    const value = random(3) === 0 ? String(random(1e9)) : values[random(values.length)]!;
    fields.push([`${prefix}-${i}`, value]);
  }
  if (random(2) === 0) fields.push(['cookie', `session=${random(5)}`]);
  return fields;
}

async function converse(announced: number | null, changes: boolean): Promise<void> {
  const random = generator(7540 + (announced ?? 1));
  const requests: Field[][] = [];
  const replies: Field[][] = [];
  const failures: unknown[] = [];
  const reply = (n: number): Field[] => {
    replies[n] = [[':status', ['200', '404', '302'][random(3)]!], ...some(random, 'y').filter(([name]) => name !== 'cookie'), ['server', 'test']];
    return replies[n];
  };
  const server = net.createServer((socket) => {
    socket.on('error', (error) => failures.push(error));
    serve(socket, announced, requests, reply);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = http2.connect(`http://127.0.0.1:${(server.address() as net.AddressInfo).port}`, { maxDeflateDynamicTableSize: 16384 });
  client.on('error', (error) => failures.push(error));
  try {
    await once(client, 'remoteSettings');
    for (let n = 0; n < 200; n++) {
      if (changes && n % 15 === 7) {
        // Two at once now and then: the lowest counts as well.
        if (random(2) === 0) client.settings({ headerTableSize: [0, 50, 300][random(3)]! });
        client.settings({ headerTableSize: [0, 100, 1000, 4096, 65536][random(5)]! });
        await once(client, 'localSettings');
      }
      const fields = some(random, 'x');
      const secret: Field[] = random(3) === 0 ? [['x-pin', '0000', true]] : [];
      const headers: http2.OutgoingHttpHeaders = { ':method': 'GET', ':path': random(2) === 0 ? '/' : `/${random(50)}` };
      for (const [name, value] of [...fields, ...secret]) headers[name] = value;
      const stream = client.request({ ...headers, [http2.sensitiveHeaders]: ['x-pin'] });
      const [got] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader];
      stream.resume();
      await once(stream, 'close');
      const seen = requests[n]!.filter(([name]) => !name.startsWith(':'));
      const expected = [...fields, ...secret];
      // nghttp2 itself marks short cookies never-indexed.
      assert.deepEqual(seen.map(([name, value, never]): Field => (never && name !== 'cookie' ? [name, value, true] : [name, value])), expected, `request ${n}`);
      assert.deepEqual(requests[n]!.filter(([name]) => name === ':path'), [[':path', headers[':path']]]);
      const answer = Object.fromEntries(replies[n]!.map(([name, value]) => [name, name === ':status' ? Number(value) : value]));
      assert.deepEqual(Object.fromEntries(Object.entries(got)), answer, `reply ${n}`);
    }
    assert.deepEqual(failures, []);
  } finally {
    client.destroy();
    server.close();
  }
}

for (const announced of [null, 0, 256, 1000, 16384]) {
  test(`requests of nghttp2 and replies to it: it may use ${announced ?? 'the default of 4096'} bytes of table`, { timeout: 60_000 }, async () => {
    await converse(announced, false);
  });
}

test('nghttp2 changes the size of its table again and again', { timeout: 60_000 }, async () => {
  await converse(null, true);
});

// Reading a ClientHello: real ones of this Node's OpenSSL in every split, records cut in pieces, and whatever is none.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Duplex } from 'node:stream';
import { describe, test } from 'node:test';
import * as tls from 'node:tls';
import { ClientHello, HELLO_BAD, HELLO_DONE, HELLO_MORE, HELLO_NOT_TLS } from '../../../src/filters/listener/tls_inspector/client-hello.js';

/** The first flight of a TLS client. */
async function helloOf(options: tls.ConnectionOptions): Promise<Buffer> {
  let written: (bytes: Buffer) => void = () => {};
  const first = new Promise<Buffer>((resolve) => (written = resolve));
  const wire = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      written(chunk);
      done();
    },
  });
  const socket = tls.connect({ socket: wire, ...options });
  socket.on('error', () => {});
  const bytes = await first;
  socket.destroy();
  await once(socket, 'close');
  return bytes;
}

/** The same handshake message in records of `size` bytes. */
function inRecords(hello: Buffer, size: number): Buffer {
  const message = hello.subarray(5);
  const records: Buffer[] = [];
  for (let at = 0; at < message.length; at += size) {
    const part = message.subarray(at, at + size);
    records.push(Buffer.from([22, 3, 1, part.length >> 8, part.length & 255]), part);
  }
  return Buffer.concat(records);
}

const read = (bytes: Buffer): { result: number; name: string; alpn: string[]; fault: string } => {
  const hello = new ClientHello();
  const padded = Buffer.concat([Buffer.from('..'), bytes, Buffer.from('..')]);
  const result = hello.read(padded, 2, 2 + bytes.length);
  return { result, name: hello.serverName, alpn: hello.alpn, fault: hello.fault };
};

describe('a ClientHello', () => {
  test('gives server name and protocols, at its full length and not before', async () => {
    const bytes = await helloOf({ servername: 'Shop.Example.TEST', ALPNProtocols: ['h2', 'http/1.1'] });
    for (let n = 0; n < bytes.length; n++) assert.equal(read(bytes.subarray(0, n)).result, HELLO_MORE, `${n} of ${bytes.length} bytes`);
    assert.deepEqual(read(bytes), { result: HELLO_DONE, name: 'shop.example.test', alpn: ['h2', 'http/1.1'], fault: '' });
    assert.deepEqual(read(Buffer.concat([bytes, Buffer.from([20, 3, 3, 0, 1, 1])])).name, 'shop.example.test', 'with another record behind it');
  });

  test('without a name or protocols', async () => {
    assert.deepEqual(read(await helloOf({ servername: '' })), { result: HELLO_DONE, name: '', alpn: [], fault: '' });
    assert.equal(read(await helloOf({ servername: 'a.test', maxVersion: 'TLSv1.2' })).name, 'a.test');
  });

  test('in records of any size', async () => {
    const bytes = await helloOf({ servername: 'shop.test', ALPNProtocols: ['h2'] });
    for (const size of [1, 3, 4, 5, 100, bytes.length - 6]) {
      const pieces = inRecords(bytes, size);
      assert.deepEqual(read(pieces), { result: HELLO_DONE, name: 'shop.test', alpn: ['h2'], fault: '' }, `records of ${size} bytes`);
      for (let n = 0; n < pieces.length; n += 7) assert.equal(read(pieces.subarray(0, n)).result, HELLO_MORE);
    }
  });

  test('is told from other protocols by the first bytes', () => {
    for (const text of ['GET / HTTP/1.1', '\x01\x00', 'SSH-2.0', '\x00', '\x16\x02', '\x80\x2e\x01\x03\x01']) assert.equal(read(Buffer.from(text, 'latin1')).result, HELLO_NOT_TLS, JSON.stringify(text));
    for (const text of ['', '\x16', '\x16\x03', '\x16\x03\x01\x00']) assert.equal(read(Buffer.from(text, 'latin1')).result, HELLO_MORE, JSON.stringify(text));
  });

  test('malformed is refused', async () => {
    const bytes = await helloOf({ servername: 'shop.test' });
    const changed = (change: (b: Buffer) => void): string => {
      const copy = Buffer.from(bytes);
      change(copy);
      const { result, fault } = read(copy);
      assert.equal(result, HELLO_BAD);
      return fault;
    };
    assert.match(changed((b) => (b[5] = 2)), /another/);
    assert.match(changed((b) => b.writeUInt16BE(0, 3)), /record of 0 bytes/);
    assert.match(changed((b) => b.writeUInt16BE(20_000, 3)), /record of 20000 bytes/);
    assert.match(changed((b) => (b[6] = 1)), /longer than/);
    assert.match(changed((b) => (b[9 + 34] = 255)), /do not fit/, 'a session id beyond the end');
    assert.match(read(Buffer.concat([inRecords(bytes, 20).subarray(0, 25), Buffer.from([23, 3, 3, 0, 1, 0])])).fault, /another record/);
    assert.match(read(Buffer.from([22, 3, 1, 0, 4, 1, 0, 0, 0])).fault, /empty/);
    assert.match(read(Buffer.from([22, 3, 1, 0, 9, 1, 0, 0, 5, 3, 3, 1, 2, 3])).fault, /do not fit/);
  });

  test('with any bytes changed never breaks the reader', async () => {
    const bytes = await helloOf({ servername: 'shop.test', ALPNProtocols: ['h2', 'http/1.1'] });
    const seed = Date.now() >>> 0;
    let state = seed;
    const next = (n: number): number => ((state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 8) % n;
    for (let i = 0; i < 20_000; i++) {
      const copy = Buffer.from(bytes.subarray(0, bytes.length - next(40)));
      for (let k = next(6); k >= 0; k--) copy[next(copy.length)] = next(256);
      const { result } = read(copy);
      assert.ok([HELLO_MORE, HELLO_DONE, HELLO_NOT_TLS, HELLO_BAD].includes(result as never), `seed ${seed}, round ${i}`);
    }
  });
});

// The first bytes of every protocol in the catalog are told apart from those of all others, however they are cut.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { catalog } from '../../src/catalog.js';
import { Catalog } from '../../src/core/manifest.js';
import { MATCH_MORE, MATCH_NO, MATCH_YES, type Protocol, type ProtocolManifest } from '../../src/stream/protocol.js';
import { requestFrame as tarsRequest } from './protocol/tars/frames.js';

const protocols = new Catalog(catalog).all<ProtocolManifest>('protocol').map((manifest): Protocol => manifest.create(manifest.schema.parse({})));

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');
const framed = (body: Buffer): Buffer => {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(body.length);
  return Buffer.concat([head, body]);
};
const thriftBinary = Buffer.concat([hex('80010001 00000004'), Buffer.from('ping'), hex('00000001 00')]);
const dubboThrift = ((): Buffer => {
  const service = Buffer.from('com.acme.Echo');
  const head = Buffer.concat([hex('dabc'), Buffer.alloc(6), hex('01'), hex('0000000d'), service, hex('0000000000000007')]);
  const body = Buffer.concat([head, thriftBinary]);
  body.writeInt32BE(body.length, 2);
  body.writeInt16BE(head.length, 6);
  return framed(body);
})();

/** By the name of the protocol they belong to. */
const own: readonly (readonly [string, string, Buffer])[] = [
  ['http1', 'GET', Buffer.from('GET / HTTP/1.1\r\nhost: a\r\n\r\n')],
  ['http1', 'a long method', Buffer.from('UPDATEREDIRECTREF /a HTTP/1.1\r\n\r\n')],
  ['http1', 'OPTIONS *', Buffer.from('OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n')],
  ['http1', 'CONNECT', Buffer.from('CONNECT a:80 HTTP/1.1\r\nhost: a\r\n\r\n')],
  ['http2', 'the preface', Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04')],
  ['bolt', 'v1', hex('01 01 0001 01 00000001 01 00000bb8 0000 0000 00000000')],
  ['bolt', 'v1 heartbeat', hex('01 01 0000 01 00000001 01 ffffffff 0000 0000 00000000')],
  ['bolt', 'v2', hex('02 01 01 0001 01 00000001 01 00 00000bb8 0000 0000 00000000')],
  ['dubbo', 'a request', Buffer.concat([hex('dabb c2 00 0000000000000001 00000010'), Buffer.alloc(16)])],
  ['dubbo', 'a heartbeat', hex('dabb e2 00 0000000000000001 00000001 4e')],
  ['dubbo-thrift', 'a call', dubboThrift],
  ['thrift', 'a framed binary call', framed(thriftBinary)],
  ['thrift', 'a framed compact call', framed(hex('82 21 01 04 70696e67 00'))],
  ['tars', 'a request', tarsRequest()],
];

/** Of nobody yet, or of no protocol. */
const others: readonly (readonly [string, Buffer])[] = [
  ['a TLS hello', hex('16 0301 0200 01 0001fc 0303')],
  ['Redis', Buffer.from('*1\r\n$4\r\nPING\r\n')],
  ['Redis inline', Buffer.from('PING\r\n')],
  ['Redis inline GET', Buffer.from('GET key\r\n')],
  ['Kafka', framed(hex('0012 0003 00000001 0007 636f6e736f6c65 00'))],
  ['RocketMQ', framed(Buffer.concat([hex('00000020'), Buffer.from('{"code":105,"flag":0,"opaque":0}')]))],
  ['SSH', Buffer.from('SSH-2.0-OpenSSH_9.2\r\n')],
  ['PostgreSQL', framed(hex('00030000 7573657200'))],
  ['zeros', Buffer.alloc(64)],
  ['ones', Buffer.alloc(64, 255)],
];

describe('detection over the whole catalog', () => {
  test('knows a sample of every protocol', () => {
    assert.deepEqual([...new Set(own.map(([name]) => name))].sort(), protocols.map((p) => p.name).sort());
  });

  for (const [name, what, bytes] of own) {
    test(`${name}: ${what} is its own and nobody else's`, () => {
      for (const protocol of protocols) {
        const mine = protocol.name === name;
        let sure = false;
        for (let n = 0; n <= bytes.length; n++) {
          const answer = protocol.match(bytes, 0, n);
          if (!mine) assert.notEqual(answer, MATCH_YES, `${protocol.name} takes ${n} bytes of it`);
          else assert.notEqual(answer, MATCH_NO, `${n} bytes are refused`);
          // An answer holds: more bytes do not change it.
          if (sure) assert.equal(answer, MATCH_YES, `${n} bytes`);
          sure = answer === MATCH_YES;
        }
        const end = Math.min(bytes.length, protocol.matchBytes);
        if (mine) assert.equal(protocol.match(bytes, 0, end), MATCH_YES, `not sure after its ${protocol.matchBytes} bytes`);
        else if (bytes.length >= protocol.matchBytes) assert.equal(protocol.match(bytes, 0, bytes.length), MATCH_NO, `${protocol.name} still waits`);
      }
    });
  }

  for (const [what, bytes] of others) {
    test(`${what}: nobody takes it, and nobody waits for more than its matchBytes`, () => {
      for (const protocol of protocols) {
        for (let n = 0; n <= bytes.length; n++) {
          const answer = protocol.match(bytes, 0, n);
          assert.notEqual(answer, MATCH_YES, `${protocol.name} takes ${n} bytes of it`);
          if (n >= protocol.matchBytes) assert.notEqual(answer, MATCH_MORE, `${protocol.name} wants more than ${protocol.matchBytes} bytes`);
        }
      }
    });
  }
});

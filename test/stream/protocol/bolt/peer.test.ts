// Frames of sofa-bolt-node through our decoder, and our frames through its decoder.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BlockOutput } from '../../../../src/core/bytes.js';
import { headerName } from '../../../../src/stream/head.js';
import { BoltCodec } from '../../../../src/stream/protocol/bolt/codec.js';
import { failure, heartbeat, heartbeatAck, layouts, read, request, response, v1, v2, v2crc } from './peer.js';
import { decodeAll } from './recorder.js';

const requestClass = 'com.alipay.sofa.rpc.core.request.SofaRequest';
const responseClass = 'com.alipay.sofa.rpc.core.response.SofaResponse';

describe('frames of sofa-bolt-node', () => {
  for (const [name, options] of layouts) {
    test(`are decoded: ${name}`, () => {
      const bytes = Buffer.concat([
        request(7, options), request(8, options, { oneway: true, timeout: 0 }), request(9, options, { timeout: -1 }), response(10, options, 'hello'),
        failure(11, options, 'boom'), heartbeat(12, options), heartbeatAck(13, options),
      ]);
      const { lines, heads } = decodeAll(bytes);
      const version = options === v1 ? 'v1.1' : options === v2 ? 'v2.1' : 'v2.2';
      const begins = lines.map((line) => line.replace(/ content .*/, ''));
      const rpc = `${version} id`;
      assert.deepEqual(begins, [
        `request ${rpc} 7 codec 1 timeout 3000 class '${requestClass}' {service=com.example.Hello:1.0}`,
        `oneway ${rpc} 8 codec 1 timeout 0 class '${requestClass}' {service=com.example.Hello:1.0}`,
        `request ${rpc} 9 codec 1 timeout -1 class '${requestClass}' {service=com.example.Hello:1.0}`,
        `reply ${rpc} 10 codec 1 status 0/200 class '${responseClass}' {}`,
        `reply ${rpc} 11 codec 1 status 2/500 class '${responseClass}' {}`,
        'ping 12',
        'pong 13',
      ]);
      assert.equal(heads[0]!.get(headerName(':service')), 'com.example.Hello:1.0');
      assert.equal(heads[0]!.get(headerName(':version')), '1.0');
      assert.equal(heads[0]!.get(headerName('bolt-class')), requestClass);
      assert.equal(heads[0]!.bodyEnd - heads[0]!.bodyStart, heads[0]!.length);
    });

    test(`come out as they went in, but for the id, and its decoder reads them: ${name}`, async () => {
      const codec = new BoltCodec('client');
      for (const bytes of [request(7, options), response(7, options, { list: [1, 2, 3] }), failure(7, options, 'boom')]) {
        const head = decodeAll(bytes).heads[0]!;
        const out = new BlockOutput();
        codec.encodeRequest(out, head, 7, true);
        assert.deepEqual(out.take(), bytes, 'the same id gives the same bytes');
        codec.encodeRequest(out, head, 0x40000001, true);
        const renamed = out.take();
        const [packet] = await read(renamed);
        assert.equal(packet!.packetId, 0x40000001);
        assert.equal(packet!.options.crcEnable ?? false, options.crcEnable);
        codec.reid(renamed, 0, renamed.length, 7);
        assert.deepEqual(renamed, bytes, 'reid patches id and checksum');
      }
    });

    test(`are read by it after a header was edited: ${name}`, async () => {
      const head = decodeAll(request(7, options)).heads[0]!;
      head.set(headerName('x-trace'), 'abc-äöü');
      head.set(headerName(':service'), 'com.example.Other:2.0');
      const out = new BlockOutput();
      new BoltCodec('client').encodeRequest(out, head, 21, true);
      const bytes = out.take();
      const [packet] = await read(bytes);
      assert.equal(packet!.packetId, 21);
      assert.equal(packet!.data!.methodName, 'greet');
      assert.deepEqual(packet!.data!.args, ['world', 7]);
      const again = decodeAll(bytes).heads[0]!;
      assert.equal(again.get(headerName('x-trace')), 'abc-äöü');
      assert.equal(again.get(headerName('service')), 'com.example.Other:2.0');
    });
  }

  test('a damaged checksum is what it refuses too', async () => {
    const bytes = request(7, v2crc);
    bytes[bytes.length - 6]! ^= 1;
    await assert.rejects(read(bytes), /CRC check failed/);
    assert.deepEqual(decodeAll(bytes).lines, ['error 7 bad-checksum {}']);
  });
});

describe('control frames of the codec', () => {
  for (const [name, options] of layouts) {
    test(`answer its heartbeat in the layout it used: ${name}`, () => {
      const codec = new BoltCodec('server');
      const out = new BlockOutput();
      const bytes = heartbeat(77, options);
      const recorder = decodeAll(Buffer.alloc(0));
      recorder.onPing = (head) => codec.encodePong(out, head);
      assert.equal(codec.decode(bytes, 0, bytes.length, recorder), bytes.length);
      assert.deepEqual(out.take(), heartbeatAck(77, options));
    });

    test(`ask for its heartbeat in the layout it used: ${name}`, async () => {
      const codec = new BoltCodec('client');
      const bytes = response(1, options, 'x');
      codec.decode(bytes, 0, bytes.length, decodeAll(Buffer.alloc(0)));
      const out = new BlockOutput();
      assert.equal(codec.encodePing(out, 5), true);
      const [packet] = await read(out.take());
      assert.equal(packet!.packetType, 'heartbeat');
      assert.equal(packet!.packetId, 5);
      assert.equal(packet!.options.protocolType, options.protocolType);
    });
  }

  test('say go-away in a frame that it survives and we understand', async () => {
    const out = new BlockOutput();
    assert.equal(new BoltCodec('server', 1024, true).encodeGoAway(out), true);
    const bytes = out.take();
    assert.equal(bytes[0], 1);
    assert.equal(bytes.readUInt16BE(2), 100);
    assert.equal((await read(bytes))[0]!.packetType, 'request');
    assert.deepEqual(decodeAll(bytes, 'client').lines, ['goaway']);
    assert.equal(new BoltCodec('server').encodeGoAway(out), false);
    assert.equal(out.take().length, 0);
  });

  test('ask in v1 while nothing was received', () => {
    const out = new BlockOutput();
    new BoltCodec('client').encodePing(out, 0xfffffffe);
    const bytes = out.take();
    assert.equal(bytes.toString('hex'), '01010000' + '01fffffffe01ffffffff0000000000000000');
    assert.deepEqual(decodeAll(bytes).lines, ['ping 4294967294']);
  });
});

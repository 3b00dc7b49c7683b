// RFC 9113 sections 3.4 and 4 against the real program: the preface, the format and size of frames, header blocks.
import assert from 'node:assert/strict';
import { before, describe, test, type TestContext } from 'node:test';
import { data, frame, get, GET, headers, hello, ping, post, settings, settingsAck, windowUpdate } from '../../support/http2.js';
import { dial, open, startEcho } from './peer.js';

let port = 0;
before(async (t) => {
  port = await startEcho(t as TestContext);
});

describe('3.4 the preface', () => {
  test('3.4/1: the server sends SETTINGS as its first frame', async (t) => {
    const peer = dial(t, port);
    peer.send(hello());
    await peer.line(/^SETTINGS ack/);
    assert.match(peer.reader.lines[0]!, /^SETTINGS .*3=\d/);
  });

  test('3.4/2: a preface that is none ends the connection', async (t) => {
    for (const bytes of ['INVALID CONNECTION PREFACE\r\n\r\n', 'PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n', 'GET / HTTP/1.1\r\nhost: h\r\n\r\n']) {
      const peer = dial(t, port);
      peer.send(Buffer.from(bytes));
      await peer.ends();
    }
  });

  test('3.4/3: any other first frame than SETTINGS is an error', async (t) => {
    for (const first of [ping(), get(1), settingsAck, windowUpdate(0, 1)]) {
      const peer = dial(t, port);
      peer.send(hello().subarray(0, 24), first);
      await peer.connectionError('PROTOCOL_ERROR');
    }
  });

  test('3.4/4: requests may follow at once, before SETTINGS of the server came', async (t) => {
    const peer = dial(t, port);
    peer.send(hello(), get(1));
    await peer.status(1, 200);
  });

  test('3.4/5: the preface may come byte by byte', async (t) => {
    const peer = dial(t, port);
    const bytes = Buffer.concat([hello(), get(1)]);
    for (let i = 0; i < 30; i++) {
      peer.send(bytes.subarray(i, i + 1));
      await new Promise((resolve) => setImmediate(resolve));
    }
    peer.send(bytes.subarray(30));
    await peer.status(1, 200);
  });
});

describe('4.1 frame format', () => {
  test('4.1/1: unknown types are ignored', async (t) => {
    const peer = await open(t, port);
    peer.send(frame(0x16, 0, 0, 'whatever'), frame(0xff, 0xff, 12, ''));
    await peer.alive();
  });

  test('4.1/2: undefined flags are ignored', async (t) => {
    const peer = await open(t, port);
    peer.send(frame(6, 0x16, 0, '8 octets'));
    await peer.line(/^PING ack 8 octets$/);
  });

  test('4.1/3: the reserved bit is ignored', async (t) => {
    const peer = await open(t, port);
    const bytes = ping('reserved');
    bytes[5] = 0x80;
    peer.send(bytes);
    await peer.line(/^PING ack reserved$/);
  });
});

describe('4.2 frame size', () => {
  test('4.2/1: frames of 2^14 bytes are accepted', async (t) => {
    const peer = await open(t, port);
    peer.send(post(1), data(1, Buffer.alloc(16_384), { end: true }));
    await peer.status(1, 200);
  });

  test('4.2/2: a DATA frame over SETTINGS_MAX_FRAME_SIZE is FRAME_SIZE_ERROR', async (t) => {
    const peer = await open(t, port);
    peer.send(post(1), data(1, Buffer.alloc(16_385), { end: true }));
    await peer.connectionError('FRAME_SIZE_ERROR');
  });

  test('4.2/3: a HEADERS frame over it is, too', async (t) => {
    const peer = await open(t, port);
    peer.send(headers(1, [...GET, ['x', 'y'.repeat(16_384)]]));
    await peer.connectionError('FRAME_SIZE_ERROR');
  });

  test('4.2/4: SETTINGS, PING, RST_STREAM, WINDOW_UPDATE of a wrong size are FRAME_SIZE_ERROR', async (t) => {
    for (const bad of [frame(4, 0, 0, 'abc'), frame(6, 0, 0, 'abc'), frame(8, 0, 0, 'abc'), frame(7, 0, 0, 'abc')]) {
      const peer = await open(t, port);
      peer.send(bad);
      await peer.connectionError('FRAME_SIZE_ERROR');
    }
    const peer = await open(t, port);
    peer.send(post(1), frame(3, 0, 1, 'abc'));
    await peer.connectionError('FRAME_SIZE_ERROR');
  });
});

describe('4.3 field sections', () => {
  test('4.3/1: a block that cannot be decoded is COMPRESSION_ERROR', async (t) => {
    for (const block of [Buffer.from([0x80]), Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), Buffer.from([0x40, 0x01]), Buffer.from([0x3f, 0xe2, 0x1f])]) {
      const peer = await open(t, port);
      peer.send(headers(1, block, { end: true }));
      await peer.connectionError('COMPRESSION_ERROR');
    }
  });

  test('4.3/2: the block of a refused or closed stream still counts for the tables', async (t) => {
    const peer = await open(t, port);
    // Enters ":path" with a value into the table on a malformed request; the next request names it by index.
    peer.send(headers(1, Buffer.concat([Buffer.from([0x82, 0x86, 0x44, 4]), Buffer.from('/abc'), Buffer.from([0x40, 1]), Buffer.from('A'), Buffer.from([1]), Buffer.from('b')]), { end: true }));
    await peer.status(1, 400);
    peer.send(headers(3, Buffer.from([0x82, 0x86, 0xbf]), { end: true }));
    await peer.status(3, 200);
    await peer.line(/^DATA 3 \d+ end/);
    assert.match(peer.reader.content(3).toString(), /^GET \/abc\n/);
  });

  test('4.3/3: no other frame within a block', async (t) => {
    for (const between of [ping(), data(1, 'x'), headers(3, GET, { end: true }), frame(0xee, 0, 1), settings(), frame(9, 4, 3)]) {
      const peer = await open(t, port);
      peer.send(headers(1, GET, { end: true, cut: [5] }).subarray(0, 14), between);
      await peer.connectionError('PROTOCOL_ERROR');
    }
  });
});

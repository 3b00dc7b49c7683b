// RFC 9113 section 6 against the real program: each type of frame, its fields, and what is wrong with it.
import assert from 'node:assert/strict';
import { before, describe, test, type TestContext } from 'node:test';
import { data, frame, get, GET, goAway, headers, ping, post, POST, priority, reset, settings, settingsAck, windowUpdate, word } from '../../support/http2.js';
import { open, startEcho } from './peer.js';

let port = 0;
before(async (t) => {
  port = await startEcho(t as TestContext);
});

/** Each of `bad`, on a connection of its own behind `first`, ends that connection with `code`. */
function fatal(name: string, code: string, ...bad: readonly (readonly Buffer[])[]): void {
  test(`${name} is a connection error ${code}`, async (t) => {
    for (const frames of bad) {
      const peer = await open(t, port);
      peer.send(...frames);
      await peer.connectionError(code);
    }
  });
}

function streamFault(name: string, code: string, ...bad: readonly (readonly Buffer[])[]): void {
  test(`${name} is a stream error ${code}`, async (t) => {
    for (const frames of bad) {
      const peer = await open(t, port);
      peer.send(...frames);
      await peer.streamError(1, code);
    }
  });
}

describe('6.1 DATA', () => {
  fatal('6.1/1: DATA on stream 0', 'PROTOCOL_ERROR', [data(0, 'x')], [frame(0, 8, 0, Buffer.from([1, 0, 0]))]);
  fatal('6.1/2: padding as long as the frame or longer', 'PROTOCOL_ERROR', [post(1), frame(0, 9, 1, Buffer.from([2, 0]))], [post(1), frame(0, 9, 1, Buffer.from([1]))], [post(1), frame(0, 8, 1, Buffer.from([255, 1, 2, 3]))]);
  fatal('6.1/3: PADDED without a length of padding', 'FRAME_SIZE_ERROR', [post(1), frame(0, 8, 1)]);

  test('6.1/4: padding is taken away', async (t) => {
    const peer = await open(t, port);
    peer.send(post(1), data(1, 'hello ', { pad: 255 }), data(1, 'world', { pad: 0, end: true }));
    await peer.line(/^DATA 1 11 end$/);
    assert.equal(peer.reader.content(1).toString(), 'hello world');
  });
});

describe('6.2 HEADERS', () => {
  fatal('6.2/1: HEADERS on stream 0', 'PROTOCOL_ERROR', [headers(0, GET, { end: true })]);
  fatal('6.2/2: padding longer than the frame', 'PROTOCOL_ERROR', [frame(1, 0x0d, 1, Buffer.concat([Buffer.from([200]), headers(1, GET).subarray(9)]))]);
  fatal('6.2/3: without END_HEADERS anything but CONTINUATION of the same stream', 'PROTOCOL_ERROR',
    [headers(1, POST, { cut: [4] }).subarray(0, 13), post(3)], [headers(1, POST, { cut: [4] }).subarray(0, 13), frame(9, 4, 3)]);

  test('6.2/4: padding and priority are taken away', async (t) => {
    const peer = await open(t, port);
    peer.send(headers(1, GET, { end: true, pad: 100, on: 3 }));
    await peer.status(1, 200);
  });
});

describe('6.3 PRIORITY', () => {
  fatal('6.3/1: PRIORITY on stream 0', 'PROTOCOL_ERROR', [priority(0)]);
  streamFault('6.3/2: PRIORITY of another length than 5', 'FRAME_SIZE_ERROR', [post(1), frame(2, 0, 1, 'abcd')], [post(1), frame(2, 0, 1, 'abcdef')]);
});

describe('6.4 RST_STREAM', () => {
  fatal('6.4/1: RST_STREAM on stream 0', 'PROTOCOL_ERROR', [reset(0, 8)]);
  fatal('6.4/2: RST_STREAM on an idle stream', 'PROTOCOL_ERROR', [reset(1, 8)], [get(1), reset(3, 8)], [reset(2, 8)]);
  fatal('6.4/3: RST_STREAM of another length than 4', 'FRAME_SIZE_ERROR', [post(1), frame(3, 0, 1, 'abc')], [post(1), frame(3, 0, 1, 'abcde')]);
});

describe('6.5 SETTINGS', () => {
  fatal('6.5/1: an acknowledgement with content', 'FRAME_SIZE_ERROR', [frame(4, 1, 0, 'x')]);
  fatal('6.5/2: SETTINGS on a stream', 'PROTOCOL_ERROR', [frame(4, 0, 1)], [post(1), frame(4, 0, 1, Buffer.from([0, 3, 0, 0, 0, 100]))]);
  fatal('6.5/3: a length that is no multiple of 6', 'FRAME_SIZE_ERROR', [frame(4, 0, 0, 'abc')], [frame(4, 0, 0, 'abcdefg')]);
  fatal('6.5.2/1: ENABLE_PUSH other than 0 and 1', 'PROTOCOL_ERROR', [settings([2, 2])]);
  fatal('6.5.2/2: INITIAL_WINDOW_SIZE above 2^31-1', 'FLOW_CONTROL_ERROR', [settings([4, 0x80000000])]);
  fatal('6.5.2/3: MAX_FRAME_SIZE outside 2^14 to 2^24-1', 'PROTOCOL_ERROR', [settings([5, 16_383])], [settings([5, 16_777_216])]);
  fatal('6.5.2/4: ENABLE_CONNECT_PROTOCOL other than 0 and 1', 'PROTOCOL_ERROR', [settings([8, 2])]);

  test('6.5.2/5: unknown settings are ignored', async (t) => {
    const peer = await open(t, port);
    peer.send(settings([0xff, 0xffffffff]));
    await peer.line(/^SETTINGS ack$/);
  });

  test('6.5.3/1: values count in order, and every frame is acknowledged', async (t) => {
    const peer = await open(t, port);
    peer.send(settings([4, 100], [4, 1]), settings(), get(1));
    await peer.line(/^SETTINGS ack$/);
    await peer.line(/^SETTINGS ack$/);
    await peer.status(1, 200);
    await peer.line(/^DATA 1 1$/);
  });

  test('6.5.3/2: an acknowledgement that nobody waits for is no fault', async (t) => {
    const peer = await open(t, port);
    peer.send(settingsAck, settingsAck);
    await peer.alive();
  });
});

describe('6.6 PUSH_PROMISE', () => {
  fatal('6.6/1: a client that pushes', 'PROTOCOL_ERROR', [post(1), frame(5, 4, 1, Buffer.concat([word(2), headers(2, GET).subarray(9)]))]);
});

describe('6.7 PING', () => {
  test('6.7/1: is answered with the same content', async (t) => {
    const peer = await open(t, port);
    peer.send(ping('\0\u00ff opaq!'));
    assert.equal(await peer.line(/^PING ack/), 'PING ack \0\u00ff opaq!');
  });

  test('6.7/2: an acknowledgement is not answered', async (t) => {
    const peer = await open(t, port);
    peer.send(ping('answered', 1));
    await peer.alive();
    assert.ok(!peer.reader.lines.includes('PING ack answered'));
  });

  fatal('6.7/3: PING on a stream', 'PROTOCOL_ERROR', [frame(6, 0, 1, '12345678')]);
  fatal('6.7/4: PING of another length than 8', 'FRAME_SIZE_ERROR', [frame(6, 0, 0, '1234567')], [frame(6, 0, 0, '123456789')]);
});

describe('6.8 GOAWAY', () => {
  fatal('6.8/1: GOAWAY on a stream', 'PROTOCOL_ERROR', [frame(7, 0, 1, Buffer.alloc(8))]);

  test('6.8/2: a client that goes away gets the replies it waits for', async (t) => {
    const peer = await open(t, port);
    peer.send(post(1), goAway(0, 0, 'leaving'), data(1, 'hello', { end: true }));
    await peer.status(1, 200);
    await peer.line(/^DATA 1 5 end$/);
  });
});

describe('6.9 WINDOW_UPDATE', () => {
  fatal('6.9/1: an increment of 0 on the connection', 'PROTOCOL_ERROR', [windowUpdate(0, 0)]);
  streamFault('6.9/2: an increment of 0 on a stream', 'PROTOCOL_ERROR', [post(1), windowUpdate(1, 0)]);
  fatal('6.9/3: another length than 4', 'FRAME_SIZE_ERROR', [frame(8, 0, 0, 'abc')], [post(1), frame(8, 0, 1, 'abcde')]);
  fatal('6.9.1/1: a window of the connection above 2^31-1', 'FLOW_CONTROL_ERROR', [windowUpdate(0, 0x7fffffff)], [windowUpdate(0, 0x7fffffff - 65_535), windowUpdate(0, 1)]);
  streamFault('6.9.1/2: a window of a stream above 2^31-1', 'FLOW_CONTROL_ERROR', [post(1), windowUpdate(1, 0x7fffffff)]);

  test('6.9.2/1: a new INITIAL_WINDOW_SIZE counts for open streams', async (t) => {
    const peer = await open(t, port, [4, 0]);
    peer.send(get(1));
    await peer.status(1, 200);
    peer.send(settings([4, 1]));
    await peer.line(/^DATA 1 1$/);
  });

  test('6.9.2/2: windows may become negative and are paid back', async (t) => {
    const peer = await open(t, port, [4, 3]);
    peer.send(get(1));
    await peer.line(/^DATA 1 3$/);
    peer.send(settings([4, 2]), windowUpdate(1, 1));
    await peer.alive();
    assert.deepEqual(peer.rest(), []);
    peer.send(windowUpdate(1, 1));
    await peer.line(/^DATA 1 1$/);
  });

  fatal('6.9.2/3: an INITIAL_WINDOW_SIZE that makes a window too large', 'FLOW_CONTROL_ERROR', [post(1), windowUpdate(1, 0x7fffffff - 65_535), settings([4, 65_536])]);
});

describe('6.10 CONTINUATION', () => {
  test('6.10/1: several of them, also empty ones, make one head', async (t) => {
    const peer = await open(t, port);
    peer.send(headers(1, GET, { end: true, cut: [1, 0, 2, 3, 0, 4] }));
    await peer.status(1, 200);
  });

  fatal('6.10/2: CONTINUATION behind END_HEADERS, DATA or nothing', 'PROTOCOL_ERROR', [post(1), frame(9, 4, 1, headers(1, GET).subarray(9))], [post(1), data(1, 'x'), frame(9, 4, 1)], [frame(9, 4, 1)]);
  fatal('6.10/3: CONTINUATION on stream 0', 'PROTOCOL_ERROR', [headers(1, GET, { cut: [3] }).subarray(0, 12), frame(9, 4, 0)]);
  fatal('6.10/4: CONTINUATION behind a CONTINUATION with END_HEADERS', 'PROTOCOL_ERROR', [headers(1, POST, { cut: [3] }), frame(9, 4, 1)]);
});

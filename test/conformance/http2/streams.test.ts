// RFC 9113 section 5 against the real program: states of streams, their ids, concurrency, flow control, error handling, extensions.
import assert from 'node:assert/strict';
import { before, describe, test, type TestContext } from 'node:test';
import { data, frame, get, GET, goAway, headers, post, POST, priority, reset, settings, windowUpdate } from '../../support/http2.js';
import { open, startEcho, type Peer } from './peer.js';

let port = 0;
before(async (t) => {
  port = await startEcho(t as TestContext);
});

describe('5.1 stream states', () => {
  const idle: readonly (readonly [string, Buffer])[] = [['DATA', data(1, 'x', { end: true })], ['RST_STREAM', reset(1, 8)], ['WINDOW_UPDATE', windowUpdate(1, 100)], ['CONTINUATION', frame(9, 4, 1)]];
  idle.forEach(([what, bytes], i) => test(`5.1/${i + 1}: idle: ${what} is a connection error PROTOCOL_ERROR`, async (t) => {
    const peer = await open(t, port);
    peer.send(bytes);
    await peer.connectionError('PROTOCOL_ERROR');
  }));

  test('5.1/5: idle: PRIORITY is allowed', async (t) => {
    const peer = await open(t, port);
    peer.send(priority(1, 0), priority(77, 1), get(3));
    await peer.status(3, 200);
  });

  /** Half-closed (remote): the request is complete, the reply waits for a window. */
  const halfClosed = async (t: TestContext): Promise<Peer> => {
    const peer = await open(t, port, [4, 0]);
    peer.send(headers(1, GET, { end: true }));
    await peer.status(1, 200);
    return peer;
  };

  test('5.1/6: half-closed (remote): DATA is a stream error STREAM_CLOSED', async (t) => {
    const peer = await halfClosed(t);
    peer.send(data(1, 'x', { end: true }));
    await peer.line(/^(RST_STREAM 1|GOAWAY \d+) STREAM_CLOSED$/);
  });

  test('5.1/7: half-closed (remote): HEADERS is a stream error STREAM_CLOSED', async (t) => {
    const peer = await halfClosed(t);
    peer.send(headers(1, GET, { end: true }));
    await peer.line(/^(RST_STREAM 1|GOAWAY \d+) STREAM_CLOSED$/);
  });

  test('5.1/8: half-closed (remote): WINDOW_UPDATE, PRIORITY and RST_STREAM are allowed', async (t) => {
    const peer = await halfClosed(t);
    peer.send(priority(1, 3), windowUpdate(1, 1));
    await peer.line(/^DATA 1 1$/);
    peer.send(reset(1, 8));
    await peer.alive();
    assert.deepEqual(peer.rest(), []);
  });

  test('5.1/9: closed by RST_STREAM of the client: DATA and HEADERS are STREAM_CLOSED', async (t) => {
    for (const late of [data(1, 'x'), headers(1, GET, { end: true })]) {
      const peer = await open(t, port);
      peer.send(post(1), reset(1, 8), late);
      await peer.line(/^(RST_STREAM 1|GOAWAY \d+) STREAM_CLOSED$/);
    }
  });

  test('5.1/10: closed by END_STREAM of both: DATA and HEADERS are STREAM_CLOSED', async (t) => {
    for (const late of [data(1, 'x'), headers(1, GET, { end: true })]) {
      const peer = await open(t, port);
      peer.send(get(1));
      await peer.line(/^DATA 1 \d+ end/);
      peer.send(late);
      await peer.connectionError('STREAM_CLOSED');
    }
  });

  test('5.1/11: closed: PRIORITY, WINDOW_UPDATE and RST_STREAM are ignored', async (t) => {
    const peer = await open(t, port);
    peer.send(get(1));
    await peer.line(/^DATA 1 \d+ end/);
    peer.send(windowUpdate(1, 5), priority(1, 3), reset(1, 8));
    await peer.alive();
    assert.deepEqual(peer.rest(), []);
  });

  test('5.1/12: after a reset by the server frames on their way are ignored', async (t) => {
    const peer = await open(t, port);
    peer.send(post(1), headers(1, [[':path', '/']], { end: true }), data(1, 'x'), windowUpdate(1, 9), headers(1, [['x', 'y']], { end: true }));
    await peer.streamError(1, 'PROTOCOL_ERROR');
    assert.deepEqual(peer.rest(), []);
  });
});

describe('5.1.1 stream identifiers', () => {
  test('5.1.1/1: an even id is PROTOCOL_ERROR', async (t) => {
    const peer = await open(t, port);
    peer.send(get(2));
    await peer.connectionError('PROTOCOL_ERROR');
  });

  test('5.1.1/2: an id below one that was used is PROTOCOL_ERROR or STREAM_CLOSED', async (t) => {
    const peer = await open(t, port);
    peer.send(get(5), get(3));
    await peer.line(/^GOAWAY 5 (PROTOCOL_ERROR|STREAM_CLOSED)$/);
    await peer.ends();
  });

  test('5.1.1/3: ids may be left out; the highest there is works', async (t) => {
    const peer = await open(t, port);
    peer.send(get(1001));
    await peer.status(1001, 200);
    peer.send(get(0x7fffffff));
    await peer.status(0x7fffffff, 200);
  });
});

describe('5.1.2 concurrency', () => {
  test('5.1.2/1: more streams than SETTINGS_MAX_CONCURRENT_STREAMS are refused', async (t) => {
    const peer = await open(t, port);
    const limit = Number(/ 3=(\d+)/.exec(peer.reader.lines[0]!)![1]);
    for (let i = 0; i <= limit; i++) peer.send(post(2 * i + 1));
    await peer.streamError(2 * limit + 1, 'REFUSED_STREAM');
  });

  test('5.1.2/2: the place of a finished stream is free again', async (t) => {
    const peer = await open(t, port);
    for (let i = 0; i < 300; i++) peer.send(get(2 * i + 1));
    for (let i = 0; i < 300; i++) await peer.status(2 * i + 1, 200);
  });
});

describe('5.2 flow control', () => {
  test('5.2/1: only DATA counts, and no more of it is sent than the windows allow', async (t) => {
    const peer = await open(t, port, [4, 3]);
    peer.send(get(1));
    await peer.status(1, 200);
    await peer.line(/^DATA 1 3$/);
    await peer.alive();
    assert.deepEqual(peer.rest(), []);
    peer.send(windowUpdate(1, 2));
    await peer.line(/^DATA 1 2$/);
  });

  test('5.2/2: the window of the connection holds all streams', async (t) => {
    const peer = await open(t, port, [4, 200_000]);
    peer.send(post(1), ...Array.from({ length: 7 }, () => data(1, Buffer.alloc(10_000, 120))), data(1, '', { end: true }));
    const came = async (): Promise<number> => {
      await peer.alive();
      return peer.reader.content(1).length;
    };
    while ((await came()) < 65_535);
    assert.equal(await came(), 65_535);
    peer.send(windowUpdate(0, 100));
    while ((await came()) < 65_635);
    assert.equal(await came(), 65_635);
  });
});

describe('5.3 priority', () => {
  test('5.3/1: HEADERS with priority are accepted', async (t) => {
    const peer = await open(t, port);
    peer.send(headers(1, GET, { end: true, on: 0 }), headers(3, GET, { end: true, on: 1, pad: 3 }));
    await peer.status(1, 200);
    await peer.status(3, 200);
  });

  test('5.3/2: a stream that depends on itself is PROTOCOL_ERROR', async (t) => {
    const one = await open(t, port);
    one.send(headers(1, GET, { end: true, on: 1 }));
    await one.connectionError('PROTOCOL_ERROR');
    const two = await open(t, port);
    two.send(post(1), priority(1, 1));
    await two.streamError(1, 'PROTOCOL_ERROR');
  });
});

describe('5.4 error handling', () => {
  test('5.4.1/1: GOAWAY names the last stream, then the connection closes', async (t) => {
    const peer = await open(t, port);
    peer.send(get(1));
    await peer.line(/^DATA 1 \d+ end/);
    peer.send(data(0, 'x'));
    await peer.line(/^GOAWAY 1 PROTOCOL_ERROR$/);
    await peer.ends();
  });

  test('5.4.1/2: requests that are not complete end with the connection', async (t) => {
    const peer = await open(t, port);
    peer.send(post(1), post(3), data(1, 'x'), data(0, 'x'));
    await peer.connectionError('PROTOCOL_ERROR');
  });

  test('5.4.2/1: an error of one stream does not touch the others', async (t) => {
    const peer = await open(t, port);
    peer.send(post(1), post(3), windowUpdate(1, 0), data(3, 'hello', { end: true }));
    await peer.line(/^RST_STREAM 1 PROTOCOL_ERROR$/);
    await peer.status(3, 200);
    await peer.line(/^DATA 3 5 end$/);
  });

  test('5.4.2/2: RST_STREAM is not answered with RST_STREAM', async (t) => {
    const peer = await open(t, port);
    peer.send(post(1), reset(1, 2), reset(1, 2));
    await peer.alive();
    assert.deepEqual(peer.rest(), []);
  });

  test('5.4.3/1: a closed connection ends its streams without noise', async (t) => {
    const peer = await open(t, port);
    peer.send(post(1), data(1, 'half'), goAway(0));
    peer.end();
    await peer.ends();
  });
});

describe('5.5 extensions', () => {
  test('5.5/1: unknown settings and frames are ignored', async (t) => {
    const peer = await open(t, port);
    peer.send(settings([0xffff, 1], [0x0a0a, 0xffffffff]), frame(0xbb, 0, 0, 'x'.repeat(100)));
    await peer.line(/^SETTINGS ack$/);
    await peer.alive();
  });

  test('5.5/2: an unknown frame within a header block is PROTOCOL_ERROR', async (t) => {
    const peer = await open(t, port);
    peer.send(headers(1, POST, { cut: [3] }).subarray(0, 12), frame(0xbb, 0, 1));
    await peer.connectionError('PROTOCOL_ERROR');
  });
});

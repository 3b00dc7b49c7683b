// Random clients and hosts of HTTP/2 around real sessions, with a fixed budget and a printed seed: nothing throws, and when all have gone nothing is left.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '../../src/core/clock-fake.js';
import { setClock } from '../../src/core/clock.js';
import { wheel } from '../../src/core/deadline.js';
import { setRandom } from '../../src/core/random.js';
import { CONNECTING } from '../../src/network/connection.js';
import { SluiceError } from '../../src/core/reason.js';
import { manifest as http1 } from '../../src/stream/protocol/http1/manifest.js';
import { defaultLimits, Http2 } from '../../src/stream/protocol/http2/protocol.js';
import { FakeWire } from '../support/fake-wire.js';
import { fuzzSeed, generator, type Random } from '../support/fuzz.js';
import { data, FrameReader, GET, get, goAway, headers, hello, OK, ping, POST, post, reset, settings, settingsAck, windowUpdate } from '../support/http2.js';
import { Lab } from '../support/stream-lab.js';

const seed = fuzzSeed(20241123);
const NONE = { connections: 0, pending: 0, requests: 0, retries: 0, activeRequests: 0, pendingRequests: 0, listenerActive: 0, hostsActive: 0 };

class Side {
  readonly wire: FakeWire;
  readonly reader = new FrameReader();
  next = 1;

  constructor(wire: FakeWire) {
    this.wire = wire;
  }

  /** Streams whose heads this side was sent. */
  streams(): number[] {
    this.reader.push(this.wire.take());
    return [...new Set(this.reader.frames.filter((one) => one.type === 1).map((one) => one.stream))];
  }
}

function clientStep(random: Random, c: Side): void {
  const id = Math.max(1, c.next - 2 * (1 + random(4)));
  const frames: Buffer[] = [];
  switch (random(14)) {
    case 0: case 1: case 2: frames.push(get(c.next)); c.next += 2; break;
    case 3: case 4: frames.push(post(c.next)); c.next += 2; break;
    case 5: frames.push(headers(c.next, [...POST, ['content-type', 'application/grpc'], ['grpc-timeout', `${1 + random(900)}m`]])); c.next += 2; break;
    case 6: case 7: frames.push(data(id, Buffer.alloc(random(16_000)), { end: random(3) === 0 })); break;
    case 8: frames.push(headers(id, [['x-t', '1']], { end: true })); break;
    case 9: frames.push(reset(id, random(14))); break;
    case 10: frames.push(windowUpdate(random(2) === 0 ? 0 : id, 1 + random(100_000))); break;
    case 11: frames.push(settings([4, random(70_000)])); break;
    case 12: frames.push(random(4) === 0 ? goAway(0) : ping()); break;
    default: frames.push(headers(c.next, [...GET, ['Bad', 'x']], { end: true })); c.next += 2;
  }
  const bytes = Buffer.concat(frames);
  if (random(60) === 0) bytes[random(bytes.length)] = random(256);
  c.wire.feed(bytes);
}

function hostStep(random: Random, host: Side): void {
  const streams = host.streams();
  const id = streams.length === 0 ? 1 : streams[Math.max(0, streams.length - 1 - random(6))]!;
  let bytes: Buffer;
  switch (random(12)) {
    case 0: case 1: case 2: bytes = headers(id, OK, { end: true }); break;
    case 3: bytes = headers(id, OK); break;
    case 4: case 5: bytes = data(id, Buffer.alloc(random(16_000)), { end: random(3) === 0 }); break;
    case 6: bytes = headers(id, [['grpc-status', String(random(17))]], { end: true }); break;
    case 7: bytes = reset(id, random(4) === 0 ? random(14) : 7); break;
    case 8: bytes = windowUpdate(random(2) === 0 ? 0 : id, 1 + random(100_000)); break;
    case 9: bytes = settings([4, random(70_000)], [3, random(20)]); break;
    case 10: bytes = random(5) === 0 ? goAway(random(2) === 0 ? id : 0x7fffffff) : ping(); break;
    default: bytes = headers(id, [[':status', '103']]);
  }
  if (random(80) === 0) bytes[random(bytes.length)] = random(256);
  host.wire.feed(bytes);
}

function plain(random: Random, wire: FakeWire): void {
  wire.take();
  const replies = ['HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n', '5\r\nworld\r\n0\r\nx: y\r\n\r\n', 'HTTP/1.1 100 Continue\r\n\r\n', 'HTTP/1.1 204 No Content\r\n\r\n'];
  wire.feed(replies[random(replies.length)]!);
}

for (const upstream of ['http2', 'http1'] as const) {
  test(`HTTP/2 clients, hosts of ${upstream}`, () => {
    const random = generator(seed + upstream.length + upstream.charCodeAt(4));
    const clock = new FakeClock();
    const restore = setClock(clock);
    const restoreRandom = setRandom(() => 0.5);
    const armed = wheel.armed;
    try {
      let exchanges = 0;
      let good = 0;
      for (let round = 0; round < 250; round++) {
        FakeWire.late = round % 2 === 0;
        const protocol = new Http2({ ...defaultLimits, streamWindow: 16_384 + random(200_000) });
        const l = new Lab({
          protocol, hosts: 2, ...(upstream === 'http1' ? { upstream: http1.create(http1.schema.parse({})) } : {}),
          cluster: { connections_per_host: 1 + random(2) },
          breaker: random(3) === 0 ? { max_connections: 2 } : {},
          route: { timeout: '1s', stream_idle_timeout: '2s', idempotent: random(2) === 0, retry: { on: ['reset', 'gateway-error'], attempts: 2, backoff: { base: '20ms', max: '50ms' } } },
        });
        const clients = [1, 2].map(() => {
          const side = new Side(l.client());
          side.wire.feed(Buffer.concat([hello([4, random(70_000)]), settingsAck]));
          return side;
        });
        const hosts: (Side | undefined)[] = [];
        for (let step = 0; step < 150; step++) {
          const c = clients[random(2)]!;
          const n = random(Math.max(1, l.dialled.length));
          const wire = l.dialled[n]?.wire;
          const what = random(40);
          if (what < 20) {
            if (!c.wire.destroyed) clientStep(random, c);
          } else if (what < 36) {
            if (wire === undefined || wire.destroyed) continue;
            if (wire.connection.state === CONNECTING) {
              if (random(10) === 0) wire.close(new SluiceError('connect-refused', { host: 'h', detail: 'ECONNREFUSED' }));
              else {
                wire.open();
                hosts[n] = new Side(wire);
                if (upstream === 'http2') wire.feed(Buffer.concat([settings([3, 1 + random(20)], [4, random(70_000)]), settingsAck]));
              }
            } else if (upstream === 'http1') plain(random, wire);
            else hostStep(random, hosts[n]!);
          } else if (what === 36) clock.advance(random(400));
          else if (what === 37) FakeWire.settle();
          else if (what === 38) {
            c.wire.stuck = !c.wire.stuck;
            if (!c.wire.stuck && !c.wire.destroyed) c.wire.drain();
          } else if (random(6) === 0 && wire !== undefined && !wire.destroyed) wire.close(random(2) === 0 ? null : new SluiceError('upstream-reset', { detail: 'ECONNRESET' }));
        }
        for (const { wire } of clients) if (!wire.destroyed) wire.close(null);
        FakeWire.settle();
        for (const { wire } of l.dialled) if (!wire.destroyed) wire.close(null);
        FakeWire.settle();
        clock.advance(10_000);
        FakeWire.settle();
        assert.deepEqual(l.levels(), NONE, `round ${round}`);
        assert.equal(l.listener.sessions.size, 0, `round ${round}`);
        assert.equal(wheel.armed, armed, `round ${round}: deadlines are left`);
        exchanges += l.finished.length;
        good += l.finished.filter((one) => one.code === '').length;
        for (const one of l.finished) assert.ok(one.attempts.length <= 4, `round ${round}: ${one.attempts.length} attempts`);
      }
      console.log(`# ${exchanges} exchanges, ${good} went well`);
      assert.ok(exchanges > 3000 && good > exchanges / 50, `${good} of ${exchanges} exchanges went well`);
    } finally {
      FakeWire.settle();
      FakeWire.late = false;
      restoreRandom();
      restore();
    }
  });
}

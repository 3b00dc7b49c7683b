// HTTP/2 exchanges between a client and hosts that are moved frame by frame: every failure in every phase, tries again, and flow control from side to side.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FakeClock } from '../../src/core/clock-fake.js';
import { setClock } from '../../src/core/clock.js';
import { wheel } from '../../src/core/deadline.js';
import { setRandom } from '../../src/core/random.js';
import { SluiceError } from '../../src/core/reason.js';
import { manifest as http1 } from '../../src/stream/protocol/http1/manifest.js';
import { errorName } from '../../src/stream/protocol/http2/frame.js';
import { defaultLimits, Http2 } from '../../src/stream/protocol/http2/protocol.js';
import { HoldFilter } from '../support/filters.js';
import { FakeWire } from '../support/fake-wire.js';
import { data, FrameReader, get, goAway, headers, hello, OK, post, POST, reset, settings, settingsAck, windowUpdate, type Field } from '../support/http2.js';
import { Lab, type LabOptions } from '../support/stream-lab.js';

const TIMEOUT = 1000;
const STREAM_IDLE = 2000;
const NONE = { pending: 0, requests: 0, retries: 0, activeRequests: 0, pendingRequests: 0, listenerActive: 0, hostsActive: 0 };
const GRPC: readonly Field[] = [...POST, ['content-type', 'application/grpc'], ['te', 'trailers']];

/** One end of a connection: frames are fed to it, and read from what it was sent. */
class End {
  readonly wire: FakeWire;
  readonly reader = new FrameReader();

  constructor(wire: FakeWire, begin: Buffer) {
    this.wire = wire;
    wire.feed(begin);
  }

  send(...frames: readonly Buffer[]): void {
    this.wire.feed(Buffer.concat(frames));
  }

  /** Lines of the frames that came since the last call. */
  news(): string[] {
    return this.reader.push(this.wire.take()).news();
  }
}

class World {
  readonly l: Lab;
  readonly hosts: End[] = [];

  constructor(options: Partial<LabOptions> = {}) {
    this.l = new Lab({ protocol: new Http2(), ...options });
  }

  client(...pairs: readonly (readonly [number, number])[]): End {
    return new End(this.l.client(), Buffer.concat([hello(...pairs), settingsAck]));
  }

  /** The n-th dialled connection, whose host has sent its SETTINGS. */
  host(n = this.l.dialled.length - 1, ...pairs: readonly (readonly [number, number])[]): End {
    this.hosts[n] ??= new End(this.l.upstream(n), Buffer.concat([settings(...pairs), settingsAck, windowUpdate(0, 1 << 24)]));
    return this.hosts[n];
  }
}

/** Runs on a clock that stands still, and with nothing left armed. */
function frozen(run: (clock: FakeClock) => void): void {
  const clock = new FakeClock();
  const restore = setClock(clock);
  const restoreRandom = setRandom(() => 0.5);
  try {
    run(clock);
    FakeWire.settle();
  } finally {
    FakeWire.late = false;
    restoreRandom();
    restore();
  }
}

const phases = ['held', 'connecting', 'request head', 'request half', 'waiting', 'backoff', 'reply head', 'reply half', 'reply stalled'] as const;
type Phase = (typeof phases)[number];
const faults = [
  'client closes', 'client resets', 'client ends its connection', 'client breaks the protocol', 'host refuses', 'host closes', 'host resets', 'host resets the stream', 'host refuses the stream',
  'host goes away', 'host goes away at last', 'host sends garbage', 'time passes', 'drain ends', 'host removed',
] as const;
type Fault = (typeof faults)[number];
/** What the client sees on its stream: nothing, a status from the proxy, a reset, or in the end the host's reply. `closed`: its connection ends. */
type Seen = 'nothing' | 'RST_STREAM' | 'fine' | `${number}` | 'closed' | `${number} closed`;
type Outcome = readonly [code: string, seen: Seen];

const gone = { 'client closes': ['downstream-closed', 'closed'], 'client resets': ['downstream-reset', 'nothing'], 'client ends its connection': ['downstream-closed', 'closed'] } as const;
const noReply = {
  ...gone, 'host closes': ['upstream-closed', '502'], 'host resets': ['upstream-reset', '502'], 'host resets the stream': ['stream-reset', '502'], 'host refuses the stream': ['stream-refused', '503'],
  'host goes away': ['host-goaway', '503'], 'host goes away at last': ['', 'fine'], 'host sends garbage': ['bad-reply', '502'], 'drain ends': ['drain-deadline', '503 closed'], 'host removed': ['host-removed', '503'],
} as const;
const reply = {
  ...gone, 'host closes': ['reply-cut', 'RST_STREAM'], 'host resets': ['reply-cut', 'RST_STREAM'], 'host resets the stream': ['stream-reset', 'RST_STREAM'], 'host goes away': ['host-goaway', 'RST_STREAM'],
  'host goes away at last': ['', 'fine'], 'host sends garbage': ['bad-reply', 'RST_STREAM'], 'time passes': ['stream-idle', 'RST_STREAM'], 'drain ends': ['drain-deadline', 'closed'], 'host removed': ['host-removed', 'RST_STREAM'],
} as const;
const table: Readonly<Record<Phase, Readonly<Partial<Record<Fault, Outcome>>>>> = {
  held: { ...gone, 'drain ends': ['drain-deadline', '503 closed'] },
  connecting: { ...gone, 'host refuses': ['connect-refused', '503'], 'time passes': ['request-timeout', '504'], 'drain ends': ['drain-deadline', '503 closed'], 'host removed': ['host-removed', '503'] },
  'request head': { ...noReply, 'client breaks the protocol': ['bad-frame', '400 closed'], 'time passes': ['body-timeout', '408'] },
  'request half': { ...noReply, 'client breaks the protocol': ['bad-frame', '400 closed'], 'time passes': ['body-timeout', '408'] },
  waiting: { ...noReply, 'time passes': ['request-timeout', '504'] },
  backoff: { ...gone, 'drain ends': ['drain-deadline', '503 closed'] },
  'reply head': reply,
  'reply half': reply,
  'reply stalled': reply,
};

/** Refused ones are tried again once without being asked: the second try fails as well. */
const twice: readonly Fault[] = ['host refuses the stream', 'host goes away'];

function check(phase: Phase, fault: Fault, [code, seen]: Outcome, late: boolean): void {
  frozen((clock) => {
    FakeWire.late = late;
    const armed = wheel.armed;
    const hold = new HoldFilter();
    const retry = phase === 'backoff' ? { on: ['reset'], attempts: 2, backoff: { base: '100ms', max: '100ms' } } : { attempts: 1 };
    const w = new World({ filters: phase === 'held' ? [hold] : [], route: { timeout: `${TIMEOUT}ms`, stream_idle_timeout: `${STREAM_IDLE}ms`, retry }, timeouts: { head: 10_000, idle: 0 } });
    const { l } = w;
    const c = phase === 'reply stalled' ? w.client([4, 3]) : w.client();
    const toSend: Buffer[] = [];
    if (phase === 'request head' || phase === 'request half') {
      c.send(post(1));
      if (phase === 'request half') c.send(data(1, 'half '));
      toSend.push(data(1, 'rest', { end: true }));
    } else c.send(get(1));
    if (phase !== 'held' && phase !== 'connecting') w.host().news();
    if (phase === 'backoff') {
      w.host().wire.close(new SluiceError('upstream-reset', { detail: 'ECONNRESET' }));
      FakeWire.settle();
    }
    if (phase.startsWith('reply')) w.host().send(headers(1, OK));
    if (phase === 'reply half' || phase === 'reply stalled') w.host().send(data(1, 'hello'));
    c.news();
    for (let n = twice.includes(fault) && !phase.startsWith('reply') ? 2 : 1; n > 0; n--) {
      const host = (): End => w.host();
      const stream = (): number => Math.max(1, ...host().reader.frames.filter((one) => one.type === 1).map((one) => one.stream));
      switch (fault) {
        case 'client closes': c.wire.close(); break;
        case 'client resets': c.send(reset(1, 8)); break;
        case 'client ends its connection': c.wire.fin(); break;
        case 'client breaks the protocol': c.send(data(0, 'x')); break;
        case 'host refuses': l.refuse(); break;
        case 'host closes': host().wire.close(); break;
        case 'host resets': host().wire.close(new SluiceError('upstream-reset', { detail: 'ECONNRESET' })); break;
        case 'host resets the stream': host().send(reset(stream(), 2)); break;
        case 'host refuses the stream':
          host().news();
          host().send(reset(stream(), 7));
          break;
        case 'host goes away': host().send(goAway(0)); break;
        case 'host goes away at last': host().send(goAway(0x7fffffff)); break;
        case 'host sends garbage': host().send(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')); break;
        case 'time passes': clock.advance(STREAM_IDLE * 2 + 100); break;
        case 'drain ends': l.listener.abort('drain-deadline'); break;
        case 'host removed':
          l.hosts[0]!.pool!.drain();
          l.hosts[0]!.pool!.close();
      }
      FakeWire.settle();
    }
    if (seen === 'fine') {
      assert.equal(l.finished.length, 0, 'nothing has ended');
      c.send(...toSend);
      if (phase === 'reply stalled') c.send(windowUpdate(1, 1000));
      if (phase.startsWith('reply')) w.host().send(data(1, 'world', { end: true }));
      else w.host().send(headers(1, [...OK, ['x', 'y']], { end: true }));
      FakeWire.settle();
    }
    const news = c.news();
    assert.equal(l.finished.length, 1, `one record: ${l.finished.map((one) => one.code).join()}`);
    assert.equal(l.last.code, code);
    const [what, closed] = seen.split(' ');
    const closes = seen === 'closed' || closed === 'closed';
    assert.equal(c.wire.destroyed, closes, closes ? 'its connection is closed' : 'its connection is kept');
    if (what === 'nothing') assert.deepEqual(news, []);
    else if (what === 'RST_STREAM') assert.match(news.at(-1) ?? '', /^RST_STREAM 1 /);
    else if (what === 'fine') assert.match(news.at(-1)!, /^(DATA 1 \d+ end|HEADERS 1 end :status=200)/);
    else if (what !== 'closed') assert.match(news.find((line) => line.startsWith('HEADERS')) ?? '', new RegExp(`^HEADERS 1 :status=${what} x-sluice-reason=${code} `));
    if (!closes) {
      // What the client still had on its way does no harm, and its connection serves the next request.
      if (seen !== 'fine' && fault !== 'client resets') c.send(...toSend);
      c.send(get(77));
      if (phase === 'held') hold.requests.at(-1)!.resume();
      const n = l.dialled.findLastIndex(({ wire }) => !wire.destroyed);
      const host = w.host(n);
      host.news();
      host.send(headers(Math.max(...host.reader.frames.filter((one) => one.type === 1).map((one) => one.stream)), OK, { end: true }));
      assert.deepEqual(c.news().filter((line) => !line.startsWith('RST_STREAM 1 ')), ['HEADERS 77 end :status=200']);
    }
    FakeWire.settle();
    const open = l.dialled.filter(({ wire }) => !wire.destroyed);
    assert.deepEqual(l.levels(), { ...NONE, connections: open.length });
    for (const { wire } of open) assert.equal(wire.paused, false, 'a connection to the host is not read');
    c.wire.close();
    for (const { wire } of open) wire.close();
    FakeWire.settle();
    assert.equal(wheel.armed, armed, 'deadlines are left');
    assert.equal(l.listener.sessions.size, 0);
    assert.deepEqual(l.levels(), { ...NONE, connections: 0 });
  });
}

describe('faults', () => {
  for (const phase of phases) {
    test(`${phase}: ${Object.keys(table[phase]).join(', ')}`, async (t) => {
      for (const fault of faults) {
        const outcome = table[phase][fault];
        if (outcome === undefined) continue;
        await t.test(`${fault}: ${outcome[0] === '' ? 'well' : outcome[0]}, ${outcome[1]}`, () => {
          check(phase, fault, outcome, false);
          check(phase, fault, outcome, true);
        });
      }
    });
  }
});

describe('resets', () => {
  test('of a host, with each code, before and within its reply', () => {
    for (let code = 0; code <= 14; code++) {
      const w = new World({ route: { retry: { attempts: 1 } } });
      const c = w.client();
      c.send(get(1), get(3));
      w.host().news();
      w.host().send(headers(3, OK), data(3, 'x'), reset(3, code));
      assert.equal(w.l.last.code, code === 7 ? 'stream-refused' : 'stream-reset', errorName(code));
      w.host().send(reset(1, code));
      if (code === 7) {
        assert.equal(w.l.finished.length, 1, 'tried again');
        w.host().send(headers(5, OK, { end: true }));
        assert.match(c.news().at(-1)!, /^HEADERS 1 end :status=200/);
      } else {
        assert.equal(w.l.last.code, 'stream-reset');
        assert.match(c.news().at(-2)!, /^HEADERS 1 :status=502 /);
      }
      assert.deepEqual(w.l.levels(), { ...NONE, connections: 1 });
      assert.equal(w.l.dialled.length, 1, 'the connection goes on');
    }
  });

  test('of a client reach the host, with content on its way', () => {
    const w = new World();
    const c = w.client();
    c.send(post(1), data(1, 'half'), post(3));
    w.host().news();
    w.host().send(headers(1, OK), data(1, 'reply'));
    c.send(reset(1, 8));
    assert.deepEqual(w.host().news(), ['RST_STREAM 1 CANCEL']);
    assert.deepEqual(w.l.finished.map((one) => one.code), ['downstream-reset']);
    w.host().send(data(1, 'late', { end: true }), headers(3, OK, { end: true }));
    assert.match(c.news().at(-2)!, /^HEADERS 3 end :status=200$/, 'the other is untouched');
  });
});

describe('tries again', () => {
  const fields: Field[] = [...POST, ['x-a', '1'], ['cookie', 'a=1']];

  test('the streams that a go-away did not take are sent to another connection, with content and trailers; the others go on', () => {
    const w = new World();
    const c = w.client();
    c.send(get(1), headers(3, fields), data(3, 'hello '), data(3, 'world'), headers(3, [['x-sum', '7']], { end: true }), get(5));
    assert.equal(w.host(0).news().length, 6);
    w.host(0).send(goAway(1));
    const again = w.host(1).news();
    const posted = again.find((line) => line.includes(':method=POST'))!;
    const stream = Number(posted.split(' ')[1]);
    assert.deepEqual(again.filter((line) => line.split(' ')[1] === String(stream)), [
      `HEADERS ${stream} :method=POST :scheme=http :path=/ :authority=h x-a=1 cookie=a=1`, `DATA ${stream} 11`, `HEADERS ${stream} end x-sum=7`,
    ]);
    assert.equal(w.host(1).reader.content(stream).toString(), 'hello world');
    assert.equal(again.filter((line) => line.includes(':method=GET')).length, 1);
    w.host(1).send(headers(1, OK, { end: true }), headers(3, OK, { end: true }));
    w.host(0).send(headers(1, OK, { end: true }));
    assert.deepEqual(c.news().sort(), ['HEADERS 1 end :status=200', 'HEADERS 3 end :status=200', 'HEADERS 5 end :status=200']);
    assert.equal(w.hosts[0]!.wire.destroyed, true, 'closed when nothing runs on it');
    assert.deepEqual(w.l.levels(), { ...NONE, connections: 1 });
    assert.deepEqual(w.l.finished.map((one) => one.attempts.length).sort((a, b) => a - b), [1, 2, 2]);
  });

  test('a refused request of which more is to come goes on in its second try', () => {
    const w = new World({ hosts: 2 });
    const c = w.client();
    c.send(post(1), data(1, 'one '));
    w.host(0).news();
    w.host(0).send(reset(1, 7));
    c.send(data(1, 'two'), data(1, '', { end: true }));
    const lines = w.host(1).news();
    assert.match(lines[0]!, /^HEADERS 1 :method=POST/);
    assert.equal(w.hosts[1]!.reader.content(1).toString(), 'one two');
    assert.match(lines.at(-1)!, /^DATA 1 0 end$/);
    w.host(1).send(headers(1, OK, { end: true }));
    assert.match(c.news().at(-1)!, /^HEADERS 1 end :status=200/);
  });

  test('content beyond what is kept for another try is not sent again', () => {
    const w = new World({ hosts: 2 });
    const c = w.client();
    c.send(post(1), ...Array.from({ length: 10 }, () => data(1, Buffer.alloc(16_000, 120))));
    w.host(0).news();
    w.host(0).send(reset(1, 7));
    assert.equal(w.l.last.code, 'stream-refused');
    assert.equal(w.l.dialled.length, 1);
    assert.match(c.news().find((line) => line.startsWith('HEADERS'))!, /:status=503/);
    assert.deepEqual(w.l.levels(), { ...NONE, connections: 1 });
  });

  test('a reused connection that closes under idempotent requests costs none of them', () => {
    const w = new World();
    const c = w.client();
    c.send(get(1));
    w.host(0).news();
    w.host(0).send(headers(1, OK, { end: true }));
    c.send(get(3), get(5), post(7));
    w.host(0).news();
    w.host(0).wire.close();
    w.host(1).news();
    w.host(1).send(headers(1, OK, { end: true }), headers(3, OK, { end: true }));
    assert.deepEqual(w.l.finished.map((one) => one.code).sort(), ['', '', '', 'upstream-closed'], 'a POST may have been done');
  });

  test('by status of a gRPC call without content', () => frozen((clock) => {
    const w = new World({ route: { idempotent: true, retry: { on: ['gateway-error'], attempts: 2, backoff: { base: '100ms', max: '100ms' } } } });
    const c = w.client();
    c.send(headers(1, GRPC), data(1, 'ask', { end: true }));
    w.host().news();
    w.host().send(headers(1, [...OK, ['content-type', 'application/grpc'], ['grpc-status', '14']], { end: true }));
    clock.advance(100);
    assert.deepEqual(w.host().news().map((line) => line.split(' :')[0]), ['HEADERS 3', 'DATA 3 3 end']);
    w.host().send(headers(3, [...OK, ['content-type', 'application/grpc'], ['grpc-status', '0']], { end: true }));
    assert.match(c.news().at(-1)!, /grpc-status=0$/);
  }));

  test('a host that allows one stream serves a hundred requests, one after the other', () => {
    const w = new World();
    const c = w.client();
    for (let i = 0; i < 100; i++) c.send(get(2 * i + 1));
    // What was sent before its SETTINGS came is refused, but for one; on further connections nothing is.
    let refused = 0;
    const done = w.l.dialled.map(() => new Set<number>());
    for (let step = 0; step < 300 && w.l.finished.length < 100; step++) {
      for (let n = 0; n < w.l.dialled.length; n++) {
        const end = w.host(n, [3, 1]);
        end.news();
        const over = (done[n] ??= new Set());
        const open = end.reader.frames.filter((one) => one.type === 1 && !over.has(one.stream));
        open.forEach(({ stream }, i) => {
          over.add(stream);
          if (i > 0) refused++;
          end.send(i === 0 ? headers(stream, OK, { end: true }) : reset(stream, 7));
        });
      }
    }
    assert.equal(refused, 99, 'refused on the first connection only');
    assert.deepEqual(w.l.finished.filter((one) => one.code !== '').map((one) => one.code), []);
    assert.equal(w.l.finished.length, 100);
    assert.equal(c.news().filter((line) => line.includes(':status=200')).length, 100);
  });
});

describe('connections that end', () => {
  test('when idle, name the last stream that was served, so that what is on its way can be asked again', () => frozen((clock) => {
    const w = new World({ timeouts: { head: 10_000, idle: 5000 } });
    const c = w.client();
    c.send(get(1));
    w.host().news();
    w.host().send(headers(1, OK, { end: true }));
    c.news();
    clock.advance(11_000);
    assert.deepEqual(c.news(), ['GOAWAY 2147483647 NO_ERROR', 'GOAWAY 1 NO_ERROR']);
    assert.equal(c.wire.destroyed, true);
  }));

  test('in a drain are told at once; one that comes during it after its first reply', () => frozen((clock) => {
    const w = new World();
    const [before, quiet] = [w.client(), w.client()];
    before.send(get(1));
    w.host().news();
    before.news();
    w.l.listener.drain();
    assert.deepEqual(before.news(), ['GOAWAY 2147483647 NO_ERROR']);
    assert.deepEqual(quiet.news(), ['GOAWAY 2147483647 NO_ERROR']);
    const late = w.client();
    assert.deepEqual(late.news(), []);
    late.send(get(1), get(3));
    w.host().send(headers(1, OK, { end: true }), headers(3, OK, { end: true }));
    assert.deepEqual(late.news(), ['HEADERS 1 end :status=200', 'GOAWAY 2147483647 NO_ERROR']);
    late.send(get(5));
    w.host().send(headers(5, OK, { end: true }), headers(7, OK, { end: true }));
    assert.deepEqual(late.news(), ['HEADERS 3 end :status=200', 'HEADERS 5 end :status=200']);
    assert.deepEqual(before.news(), ['HEADERS 1 end :status=200']);
    clock.advance(10_000);
    assert.deepEqual([before.news(), late.news()], [['GOAWAY 1 NO_ERROR'], ['GOAWAY 5 NO_ERROR']]);
    assert.deepEqual(quiet.news(), ['GOAWAY 0 NO_ERROR']);
    for (const end of [before, quiet, late]) assert.equal(end.wire.ended || end.wire.destroyed, true);
  }));
});

describe('gRPC deadlines', () => {
  for (const when of ['before', 'after'] as const) {
    test(`that end ${when} the first message are told by trailers, and the host is let go`, () => frozen((clock) => {
      const w = new World();
      const c = w.client();
      c.send(headers(1, [...GRPC, ['grpc-timeout', '500m']]), data(1, 'ask'));
      w.host().news();
      if (when === 'after') w.host().send(headers(1, [...OK, ['content-type', 'application/grpc']]), data(1, 'first'));
      c.news();
      clock.advance(600);
      const lines = c.news();
      assert.match(lines[0]!, when === 'before' ? /^HEADERS 1 end :status=200 .*grpc-status=4 / : /^HEADERS 1 end grpc-status=4 |^RST_STREAM 1 CANCEL/);
      assert.deepEqual(w.host().news(), ['RST_STREAM 1 CANCEL']);
      assert.equal(w.l.last.code, 'request-timeout');
      assert.deepEqual(w.l.levels(), { ...NONE, connections: 1 });
    }));
  }
});

describe('flow from side to side', () => {
  const WINDOW = 65_536;
  const limited = new Http2({ ...defaultLimits, streamWindow: WINDOW });
  const piece = Buffer.alloc(16_000, 120);
  const heldBy = (w: World): number => [...w.l.listener.sessions].reduce((sum, session) => sum + session.unsent, 0) + [...(w.l.hosts[0]!.pool as unknown as { sessions: Set<{ unsent: number }> }).sessions].reduce((sum, session) => sum + session.unsent, 0);

  /** Sends pieces as far as the window allows, `total` bytes at most; how many bytes were sent. */
  function push(from: End, stream: number, total: number, window: number): number {
    let sent = 0;
    let granted = window;
    while (sent + piece.length <= total) {
      if (sent + piece.length > granted) {
        granted = window + from.news().filter((line) => line.startsWith(`WINDOW_UPDATE ${stream} `)).reduce((sum, line) => sum + Number(line.split(' ')[2]), granted - window);
        if (sent + piece.length > granted) break;
      }
      from.send(data(stream, piece));
      sent += piece.length;
    }
    return sent;
  }

  test('a client whose window is used up: its host is granted no more, what is held stays under one window; then all of it arrives', () => {
    const w = new World({ protocol: limited });
    const c = w.client([4, 1000]);
    c.send(get(1), get(3));
    const host = w.host();
    host.news();
    host.send(headers(1, OK), headers(3, OK));
    const sent = push(host, 1, 10_000_000, WINDOW);
    assert.ok(sent <= 2 * WINDOW && sent > 0, `${sent} bytes were taken`);
    assert.ok(heldBy(w) <= WINDOW + 65_536, `${heldBy(w)} bytes held`);
    host.send(data(3, 'other', { end: true }));
    assert.ok(c.news().includes('DATA 3 5 end'), 'another reply on the connection goes on');
    c.send(windowUpdate(1, sent), windowUpdate(0, sent));
    c.news();
    host.news();
    assert.equal(heldBy(w), 0);
    host.send(data(1, 'end', { end: true }));
    c.send(windowUpdate(1, 1000));
    c.news();
    assert.equal(c.reader.content(1).length, sent + 3);
    assert.equal(w.l.last.code, '');
    assert.deepEqual(w.l.levels(), { ...NONE, connections: 1 });
  });

  test('a client whose connection takes nothing: the same', () => {
    const w = new World({ protocol: limited });
    const c = w.client([4, 0x7fffffff]);
    c.send(windowUpdate(0, 0x7fff0000 - 65_535), get(1));
    const host = w.host();
    host.news();
    host.send(headers(1, OK));
    c.news();
    c.wire.stuck = true;
    const sent = push(host, 1, 10_000_000, WINDOW);
    assert.ok(sent < 500_000, `${sent} bytes were taken`);
    c.wire.drain();
    assert.ok(push(host, 1, 100_000, 0) > 0, 'it goes on');
  });

  test('an upload to a host whose window is used up: the client is granted no more', () => {
    const w = new World({ protocol: limited });
    const c = w.client();
    c.send(post(1));
    const host = w.host(0, [4, 1000]);
    const sent = push(c, 1, 10_000_000, WINDOW);
    assert.ok(sent <= 2 * WINDOW, `${sent} bytes were taken`);
    assert.ok(heldBy(w) <= WINDOW + 65_536, `${heldBy(w)} bytes held`);
    host.send(windowUpdate(1, sent));
    host.news();
    c.news();
    assert.equal(heldBy(w), 0);
    c.send(data(1, 'end', { end: true }));
    host.send(windowUpdate(1, 1000), headers(1, OK, { end: true }));
    host.news();
    assert.equal(host.reader.content(1).length, sent + 3);
    assert.match(c.news().at(-1)!, /^HEADERS 1 end :status=200/);
    assert.deepEqual(w.l.levels(), { ...NONE, connections: 1 });
  });

  test('a refused upload that waited for its host\'s window goes on elsewhere: the client is granted what it is owed', () => {
    const w = new World({ protocol: new Http2({ ...defaultLimits, streamWindow: 16_384 }), hosts: 2 });
    const c = w.client();
    c.send(post(1));
    w.host(0, [4, 0]).news();
    c.send(data(1, Buffer.alloc(16_000, 120)));
    assert.deepEqual(c.news().filter((line) => line.startsWith('WINDOW_UPDATE 1 ')), []);
    w.host(0).send(reset(1, 7));
    w.host(1).news();
    assert.equal(w.host(1).reader.content(1).length, 16_000);
    assert.deepEqual(c.news().filter((line) => line.startsWith('WINDOW_UPDATE 1 ')), ['WINDOW_UPDATE 1 16000']);
    c.send(data(1, 'rest', { end: true }));
    w.host(1).send(headers(1, OK, { end: true }));
    assert.match(c.news().at(-1)!, /^HEADERS 1 end :status=200/);
  });

  test('a client that goes while its stream is stalled leaves nothing, on either side', () => {
    for (const how of ['resets', 'closes'] as const) {
      for (const way of ['reply', 'request'] as const) {
        const w = new World({ protocol: limited });
        const c = w.client([4, 10]);
        c.send(way === 'reply' ? get(1) : post(1));
        const host = w.host(0, [4, 10]);
        host.news();
        if (way === 'reply') {
          host.send(headers(1, OK));
          push(host, 1, 10_000_000, WINDOW);
        } else push(c, 1, 10_000_000, WINDOW);
        if (how === 'resets') c.send(reset(1, 8));
        else c.wire.close();
        assert.ok(host.news().includes('RST_STREAM 1 CANCEL'), `${how} ${way}`);
        c.news();
        assert.equal(heldBy(w), 0);
        assert.equal(host.wire.paused, false);
        assert.deepEqual(w.l.levels(), { ...NONE, connections: 1 });
      }
    }
  });

  test('HTTP/1 host, HTTP/2 client whose window is used up: the host is not read, and read again', () => {
    const w = new World({ protocol: limited, upstream: http1.create(http1.schema.parse({})) });
    const c = w.client([4, 10]);
    c.send(get(1), get(3));
    const [one, two] = [w.l.upstream(0), w.l.upstream(1)];
    assert.match(one.text(), /^GET \/ HTTP\/1\.1\r\nhost: h\r\n/i);
    one.feed('HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n');
    one.feed(Buffer.alloc(40_000, 120));
    assert.equal(one.paused, true);
    two.feed('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
    assert.ok(c.news().includes('DATA 3 2 end'));
    c.send(windowUpdate(1, 39_990));
    assert.equal(one.paused, false);
    one.feed(Buffer.alloc(60_000, 120));
    c.send(windowUpdate(1, 60_000), windowUpdate(0, 100_000));
    c.news();
    assert.equal(c.reader.content(1).length, 100_000);
    assert.deepEqual(w.l.levels(), { ...NONE, connections: 2 });
  });

  test('HTTP/1 client that reads slowly, HTTP/2 host: the host gets no credit until the client has read', () => {
    const w = new World({ protocol: http1.create(http1.schema.parse({})), upstream: limited });
    const c = w.l.client();
    c.feed('GET / HTTP/1.1\r\nhost: h\r\n\r\n');
    const host = w.host();
    host.news();
    host.send(headers(1, OK));
    c.stuck = true;
    const sent = push(host, 1, 10_000_000, WINDOW);
    assert.ok(sent < 500_000, `${sent} bytes were taken`);
    c.drain();
    assert.ok(push(host, 1, 200_000, 0) > 0, 'it goes on');
    host.send(data(1, '', { end: true }));
    assert.match(c.take().toString('latin1').slice(-7), /0\r\n\r\n$/);
    assert.deepEqual(w.l.levels(), { ...NONE, connections: 1 });
  });

  test('HTTP/1 client that uploads to an HTTP/2 host whose window is used up is not read, and read again', () => {
    const w = new World({ protocol: http1.create(http1.schema.parse({})), upstream: limited });
    const c = w.l.client();
    c.feed('POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 100000\r\n\r\n');
    const host = w.host(0, [4, 10]);
    c.feed(Buffer.alloc(50_000, 120));
    assert.equal(c.paused, true);
    host.send(windowUpdate(1, 200_000));
    assert.equal(c.paused, false);
    c.feed(Buffer.alloc(50_000, 120));
    host.news();
    assert.equal(host.reader.content(1).length, 100_000);
    host.send(headers(1, OK, { end: true }));
    assert.match(c.text(), /^HTTP\/1\.1 200 /);
    assert.deepEqual(w.l.levels(), { ...NONE, connections: 1 });
  });
});

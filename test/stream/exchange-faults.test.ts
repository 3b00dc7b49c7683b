// Every failure in every phase of an exchange: one record with the true reason, the reply that is still possible, and nothing left behind.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FakeClock } from '../../src/core/clock-fake.js';
import { setClock } from '../../src/core/clock.js';
import { wheel } from '../../src/core/deadline.js';
import { setRandom } from '../../src/core/random.js';
import { SluiceError } from '../../src/core/reason.js';
import { buildFrame, buildHeaders } from '../../src/stream/protocol/bolt/frame.js';
import { BoltProtocol } from '../../src/stream/protocol/bolt/protocol.js';
import { DubboThriftProtocol } from '../../src/stream/protocol/dubbo-thrift/protocol.js';
import { manifest } from '../../src/stream/protocol/http1/manifest.js';
import { ThriftProtocol } from '../../src/stream/protocol/thrift/protocol.js';
import { HoldFilter } from '../support/filters.js';
import { FakeWire } from '../support/fake-wire.js';
import { Lab, type LabOptions } from '../support/stream-lab.js';
import * as thriftFrames from './thrift/frames.js';
import { decodeAll as decodeThrift } from './thrift/recorder.js';

const TIMEOUT = 1000;
const STREAM_IDLE = 2000;
const NONE = { pending: 0, requests: 0, retries: 0, activeRequests: 0, pendingRequests: 0, listenerActive: 0, hostsActive: 0 };

/** Phases an exchange can be in when something happens to it. `partial`: only a part of the request (or reply) has come so far. */
const phases = ['held', 'queued', 'connecting', 'request head', 'request half', 'waiting', 'backoff', 'reply head', 'reply half', 'tunnel'] as const;
type Phase = (typeof phases)[number];

/** What happens: to the client's connection, to the host's, to time, to the proxy. */
const faults = [
  'client closes', 'client resets', 'client half-closes', 'host refuses', 'host closes', 'host resets', 'host half-closes', 'host sends garbage',
  'time passes', 'drain ends', 'host removed',
] as const;
type Fault = (typeof faults)[number];

/**
 * What the client sees: nothing; an error reply of this status and its connection kept or closed; the reply it began to get cut by a
 * closed connection; or all is well in the end ('fine': a tunnel whose other side goes on until it ends too).
 */
type Seen = 'nothing' | 'cut' | 'fine' | `${number} kept` | `${number} closed`;
type Outcome = readonly [code: string, seen: Seen];
type Table = Readonly<Partial<Record<Phase, Readonly<Partial<Record<Fault, Outcome>>>>>>;

interface Speech {
  readonly lab: (options: Partial<LabOptions>) => Lab;
  /** A request that is answered at once, one whose body is still to come, and how the latter goes on. */
  readonly request: (id: number) => Buffer;
  readonly upload: (id: number) => readonly [head: Buffer, half: Buffer, rest: Buffer];
  readonly upgrade: Buffer;
  /** The reply to what the host was sent. */
  readonly reply: (sent: Buffer) => Buffer;
  readonly long: (sent: Buffer) => readonly [head: Buffer, half: Buffer, rest: Buffer];
  readonly switching: Buffer;
  readonly garbage: Buffer;
  /** HTTP-like status of the (error) reply that the client got. */
  readonly statusOf: (got: Buffer) => number;
}

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

const http1: Speech = {
  lab: (options) => new Lab({ protocol: manifest.create(manifest.schema.parse({})), ...options }),
  request: () => bytes('GET / HTTP/1.1\r\nhost: h\r\n\r\n'),
  upload: () => [bytes('POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\n'), bytes('01234'), bytes('56789')],
  upgrade: bytes('GET / HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: raw\r\n\r\n'),
  reply: () => bytes('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'),
  long: () => [bytes('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n'), bytes('5\r\nhello\r\n'), bytes('5\r\nworld\r\n0\r\n\r\n')],
  switching: bytes('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: raw\r\n\r\n'),
  garbage: bytes('\u0001\u0002 no such thing\r\n\r\n'),
  statusOf: (got) => Number(/^HTTP\/1\.1 (\d+) /.exec(got.toString('latin1'))?.[1] ?? 0),
};

const frame = (id: number, type: number, content: Uint8Array | string): Buffer => buildFrame({
  proto: 1, ver1: 1, switches: 0, type, command: type === 0 ? 2 : 1, id, codec: 1, timeoutOrStatus: type === 0 ? 0 : TIMEOUT,
  className: bytes('C'), headers: buildHeaders([]), content: Buffer.from(content),
});
const pieces = (whole: Buffer, head: number): readonly [Buffer, Buffer, Buffer] => [whole.subarray(0, head), whole.subarray(head, 100_000), whole.subarray(100_000)];
const LONG = Buffer.alloc(300_000, 120);

const bolt: Speech = {
  lab: (options) => new Lab({ protocol: new BoltProtocol(), ...options, cluster: { heartbeat: { interval: 0, timeout: 0, misses: 0 }, ...options.cluster } }),
  request: (id) => frame(id, 1, 'ask'),
  upload: (id) => pieces(frame(id, 1, LONG), 23),
  upgrade: Buffer.alloc(0),
  reply: (sent) => frame(sent.readUInt32BE(5), 0, 'answer'),
  long: (sent) => pieces(frame(sent.readUInt32BE(5), 0, LONG), 21),
  switching: Buffer.alloc(0),
  garbage: bytes('HTTP/1.1 400 Bad Request\r\n\r\n'),
  // The status a Bolt client reads, as the test of statuses has it; here only well or not, and timed out.
  statusOf: (got) => (got.length < 20 ? 0 : got.readUInt16BE(10) === 0 ? 200 : got.readUInt16BE(10) === 7 ? 504 : 500),
};

/** Framed Thrift, plain over connections of its own and with Dubbo's header over shared ones. */
function thriftSpeech(dubbo: boolean): Speech {
  const make = (type: number, seqid: number, content: Buffer = Buffer.from([0])): Buffer => thriftFrames.frame({ type, seqid, content, dubbo: dubbo ? { id: BigInt(seqid) } : undefined });
  const prefix = make(1, 1, Buffer.alloc(0)).length;
  const numberOf = (sent: Buffer): number => decodeThrift(sent, { dubbo }).heads[0]?.seqid ?? sent.readInt32BE(prefix - 4);
  return {
    lab: (options) => new Lab({ protocol: dubbo ? new DubboThriftProtocol() : new ThriftProtocol(), ...options }),
    request: (id) => make(1, id),
    upload: (id) => pieces(make(1, id, LONG), prefix + 1),
    upgrade: Buffer.alloc(0),
    reply: (sent) => make(2, numberOf(sent)),
    long: (sent) => pieces(make(2, numberOf(sent), LONG), prefix + 1),
    switching: Buffer.alloc(0),
    garbage: bytes('HTTP/1.1 400 Bad Request\r\n\r\n'),
    statusOf: (got) => decodeThrift(got, { role: 'client', dubbo }).heads[0]?.status ?? 0,
  };
}

/** What every phase in which nothing was answered has in common for a client that goes. */
const gone = { 'client closes': ['downstream-closed', 'nothing'], 'client resets': ['downstream-reset', 'nothing'], 'client half-closes': ['downstream-closed', 'nothing'] } as const;
const replying = { ...gone, 'host closes': ['reply-cut', 'cut'], 'host resets': ['reply-cut', 'cut'], 'host half-closes': ['reply-cut', 'cut'], 'time passes': ['stream-idle', 'cut'], 'drain ends': ['drain-deadline', 'cut'], 'host removed': ['host-removed', 'cut'] } as const;

const httpTable: Table = {
  held: { ...gone, 'drain ends': ['drain-deadline', '503 closed'] },
  queued: { ...gone, 'time passes': ['pool-timeout', '504 kept'], 'drain ends': ['drain-deadline', '503 closed'] },
  connecting: { ...gone, 'host refuses': ['connect-refused', '503 kept'], 'time passes': ['request-timeout', '504 kept'], 'drain ends': ['drain-deadline', '503 closed'], 'host removed': ['host-removed', '503 kept'] },
  'request head': { ...gone, 'client half-closes': ['downstream-closed', '499 closed'], 'host closes': ['upstream-closed', '502 closed'], 'host resets': ['upstream-reset', '502 closed'], 'host half-closes': ['upstream-closed', '502 closed'], 'host sends garbage': ['bad-reply', '502 closed'], 'time passes': ['body-timeout', '408 closed'], 'drain ends': ['drain-deadline', '503 closed'], 'host removed': ['host-removed', '503 closed'] },
  'request half': { ...gone, 'client half-closes': ['downstream-closed', '499 closed'], 'host closes': ['upstream-closed', '502 closed'], 'host resets': ['upstream-reset', '502 closed'], 'host half-closes': ['upstream-closed', '502 closed'], 'host sends garbage': ['bad-reply', '502 closed'], 'time passes': ['body-timeout', '408 closed'], 'drain ends': ['drain-deadline', '503 closed'], 'host removed': ['host-removed', '503 closed'] },
  waiting: { ...gone, 'host closes': ['upstream-closed', '502 kept'], 'host resets': ['upstream-reset', '502 kept'], 'host half-closes': ['upstream-closed', '502 kept'], 'host sends garbage': ['bad-reply', '502 kept'], 'time passes': ['request-timeout', '504 kept'], 'drain ends': ['drain-deadline', '503 closed'], 'host removed': ['host-removed', '503 kept'] },
  backoff: { ...gone, 'drain ends': ['drain-deadline', '503 closed'] },
  'reply head': { ...replying, 'host sends garbage': ['bad-reply', 'cut'] },
  'reply half': { ...replying, 'host sends garbage': ['bad-reply', 'cut'] },
  tunnel: { 'client closes': ['', 'nothing'], 'client resets': ['downstream-reset', 'nothing'], 'client half-closes': ['', 'fine'], 'host closes': ['', 'cut'], 'host resets': ['upstream-reset', 'cut'], 'host half-closes': ['', 'fine'], 'time passes': ['stream-idle', 'cut'], 'drain ends': ['drain-deadline', 'cut'], 'host removed': ['host-removed', 'cut'] },
};

const boltTable: Table = {
  held: { ...gone, 'drain ends': ['drain-deadline', '500 closed'] },
  queued: { ...gone, 'time passes': ['pool-timeout', '504 kept'], 'drain ends': ['drain-deadline', '500 closed'] },
  connecting: { ...gone, 'host refuses': ['connect-refused', '500 kept'], 'time passes': ['request-timeout', '504 kept'], 'drain ends': ['drain-deadline', '500 closed'], 'host removed': ['host-removed', '500 kept'] },
  'request head': { ...gone, 'client half-closes': ['bad-frame', '500 closed'], 'host closes': ['upstream-closed', '500 kept'], 'host resets': ['upstream-reset', '500 kept'], 'host half-closes': ['upstream-closed', '500 kept'], 'host sends garbage': ['bad-reply', '500 kept'], 'time passes': ['body-timeout', '504 kept'], 'drain ends': ['drain-deadline', '500 closed'], 'host removed': ['host-removed', '500 kept'] },
  'request half': { ...gone, 'client half-closes': ['bad-frame', '500 closed'], 'host closes': ['upstream-closed', '500 kept'], 'host resets': ['upstream-reset', '500 kept'], 'host half-closes': ['upstream-closed', '500 kept'], 'host sends garbage': ['bad-reply', '500 kept'], 'time passes': ['body-timeout', '504 kept'], 'drain ends': ['drain-deadline', '500 closed'], 'host removed': ['host-removed', '500 kept'] },
  waiting: { ...gone, 'host closes': ['upstream-closed', '500 kept'], 'host resets': ['upstream-reset', '500 kept'], 'host half-closes': ['upstream-closed', '500 kept'], 'host sends garbage': ['bad-reply', '500 kept'], 'time passes': ['request-timeout', '504 kept'], 'drain ends': ['drain-deadline', '500 closed'], 'host removed': ['host-removed', '500 kept'] },
  backoff: { ...gone, 'drain ends': ['drain-deadline', '500 closed'] },
  // Within a frame any byte is content, so there is no garbage.
  'reply head': replying,
  'reply half': replying,
};

/** An exception message for everything, with the status of its reason; the connection is kept wherever Bolt's is. */
const uploading = { ...gone, 'client half-closes': ['bad-frame', '400 closed'], 'host closes': ['upstream-closed', '502 kept'], 'host resets': ['upstream-reset', '502 kept'], 'host half-closes': ['upstream-closed', '502 kept'], 'host sends garbage': ['bad-reply', '502 kept'], 'time passes': ['body-timeout', '408 kept'], 'drain ends': ['drain-deadline', '503 closed'], 'host removed': ['host-removed', '503 kept'] } as const;
const thriftTable: Table = {
  held: { ...gone, 'drain ends': ['drain-deadline', '503 closed'] },
  queued: { ...gone, 'time passes': ['pool-timeout', '504 kept'], 'drain ends': ['drain-deadline', '503 closed'] },
  connecting: { ...gone, 'host refuses': ['connect-refused', '503 kept'], 'time passes': ['request-timeout', '504 kept'], 'drain ends': ['drain-deadline', '503 closed'], 'host removed': ['host-removed', '503 kept'] },
  'request head': uploading,
  'request half': uploading,
  waiting: { ...gone, 'host closes': ['upstream-closed', '502 kept'], 'host resets': ['upstream-reset', '502 kept'], 'host half-closes': ['upstream-closed', '502 kept'], 'host sends garbage': ['bad-reply', '502 kept'], 'time passes': ['request-timeout', '504 kept'], 'drain ends': ['drain-deadline', '503 closed'], 'host removed': ['host-removed', '503 kept'] },
  backoff: { ...gone, 'drain ends': ['drain-deadline', '503 closed'] },
  'reply head': replying,
  'reply half': replying,
};

/** An exchange that was brought to a phase. */
class Case {
  readonly l: Lab;
  readonly c: FakeWire;
  readonly speech: Speech;
  private readonly phase: Phase;
  private readonly hold = new HoldFilter();
  /** The client that keeps the only connection busy, in the phase `queued`. */
  private readonly other: FakeWire | null = null;
  private sent: Buffer = Buffer.alloc(0);
  /** What the client has not sent yet. */
  private toSend: Buffer[] = [];

  constructor(speech: Speech, phase: Phase) {
    this.speech = speech;
    this.phase = phase;
    const retry = phase === 'backoff' ? { on: ['reset'], attempts: 2, backoff: { base: '100ms', max: '100ms' } } : { attempts: 1 };
    this.l = speech.lab({
      filters: phase === 'held' ? [this.hold] : [],
      breaker: phase === 'queued' ? { max_connections: 1 } : {},
      pool: phase === 'queued' ? 'exclusive' : null,
      cluster: phase === 'queued' ? { pool_timeout: TIMEOUT / 2 } : {},
      route: { timeout: `${TIMEOUT}ms`, stream_idle_timeout: `${STREAM_IDLE}ms`, retry, idempotent: phase === 'backoff' },
      timeouts: { head: 10_000, idle: 0 },
    });
    if (phase === 'queued') {
      this.other = this.l.client();
      this.other.feed(speech.request(1));
      this.sent = this.l.upstream().take();
    }
    this.c = this.l.client();
    this.bring();
  }

  private bring(): void {
    const { l, c, speech, phase } = this;
    if (phase === 'request head' || phase === 'request half') {
      const [head, half, rest] = speech.upload(1);
      c.feed(phase === 'request head' ? head : Buffer.concat([head, half]));
      this.toSend = phase === 'request head' ? [half, rest] : [rest];
      this.sent = l.upstream().take();
      return;
    }
    c.feed(phase === 'tunnel' ? speech.upgrade : speech.request(1));
    if (phase === 'held' || phase === 'queued' || phase === 'connecting') return;
    this.sent = l.upstream().take();
    if (phase === 'backoff') l.upstream().close(new SluiceError('upstream-reset', { detail: 'ECONNRESET' }));
    if (phase === 'tunnel') l.upstream().feed(speech.switching);
    const [head, half] = phase.startsWith('reply') ? speech.long(this.sent) : [];
    if (head !== undefined) l.upstream().feed(head);
    if (phase === 'reply half') l.upstream().feed(half!);
    c.take();
  }

  apply(fault: Fault, clock: FakeClock): void {
    const { l, c } = this;
    const host = (): FakeWire => l.dialled.at(-1)!.wire;
    switch (fault) {
      case 'client closes': return c.close();
      case 'client resets': return c.close(new SluiceError('downstream-reset'));
      case 'client half-closes': return c.fin();
      case 'host refuses': return l.refuse();
      case 'host closes': return host().close();
      case 'host resets': return host().close(new SluiceError('upstream-reset', { detail: 'ECONNRESET' }));
      case 'host half-closes': return host().fin();
      case 'host sends garbage': return host().feed(this.speech.garbage);
      case 'time passes': return clock.advance(STREAM_IDLE * 2 + 100);
      case 'drain ends': return l.listener.abort('drain-deadline');
      case 'host removed':
        l.hosts[0]!.pool!.drain();
        l.hosts[0]!.pool!.close();
    }
  }

  /** One side of a tunnel ended its sending: the other learns of it, goes on as long as it likes, and ends too. */
  finish(fault: Fault): void {
    const [ends, goes] = fault === 'client half-closes' ? [this.c, this.l.upstream()] : [this.l.upstream(), this.c];
    goes.connection.flush();
    assert.equal(goes.ended, true);
    goes.feed('last words');
    assert.equal(ends.text().endsWith('last words'), true);
    goes.fin();
  }

  /** The client, whose connection was kept, sends what it still has to and then asks again: it is served. */
  served(): void {
    const { l, c, speech } = this;
    for (const piece of this.toSend) c.feed(piece);
    assert.equal(c.paused, false, 'its connection is read');
    const before = l.finished.length;
    c.feed(speech.request(77));
    if (this.phase === 'held') this.hold.requests.at(-1)!.resume();
    const i = l.dialled.findLastIndex(({ wire }) => !wire.destroyed);
    l.upstream(i).feed(speech.reply(l.upstream(i).take().subarray(-speech.request(77).length)));
    assert.equal(speech.statusOf(c.take()), 200);
    assert.equal(l.finished.length, before + 1);
  }

  /** Counters, deadlines and pauses: `armed` deadlines were there before. */
  clean(armed: number): void {
    const { l, c } = this;
    if (this.other !== null) this.other.close();
    FakeWire.settle();
    const open = l.dialled.filter(({ wire }) => !wire.destroyed);
    assert.deepEqual(l.levels(), { ...NONE, connections: open.length });
    assert.equal(l.hosts[0]!.connections, open.length);
    assert.equal(wheel.armed - armed, open.length, 'one deadline for each idle connection to a host, and none else');
    for (const { wire } of open) assert.equal(wire.paused, false, 'a connection to the host is not read');
    if (!c.destroyed) assert.equal(c.paused, false, 'the client is not read');
    c.close();
    for (const { wire } of open) wire.close();
    FakeWire.settle();
    assert.equal(wheel.armed, armed);
    assert.equal(l.listener.sessions.size, 0);
    assert.deepEqual(l.levels(), { ...NONE, connections: 0 });
  }
}

function check(speech: Speech, phase: Phase, fault: Fault, [code, seen]: Outcome, late: boolean): void {
  FakeWire.late = late;
  const clock = new FakeClock();
  const restore = setClock(clock);
  const restoreRandom = setRandom(() => 0.5);
  const armed = wheel.armed;
  try {
    const one = new Case(speech, phase);
    const { l, c } = one;
    one.apply(fault, clock);
    FakeWire.settle();
    if (seen === 'fine') {
      assert.equal(l.finished.length, 0, 'nothing has ended yet');
      one.finish(fault);
      FakeWire.settle();
    }
    if (phase !== 'queued') assert.equal(l.finished.length, 1, 'one record');
    assert.equal(l.finished[0]?.code, code);
    if (seen === 'nothing') {
      assert.equal(c.take().length, 0);
      assert.equal(c.destroyed, true);
    } else if (seen === 'cut') {
      assert.equal(c.destroyed, true);
    } else if (seen !== 'fine') {
      const [status, kept] = seen.split(' ');
      assert.equal(speech.statusOf(c.take()), Number(status));
      assert.equal(c.destroyed, kept === 'closed', kept === 'closed' ? 'its connection is closed' : 'its connection is kept');
      if (kept === 'kept' && phase !== 'queued') one.served();
    }
    one.clean(armed);
  } finally {
    FakeWire.settle();
    FakeWire.late = false;
    restoreRandom();
    restore();
  }
}

for (const [name, speech, table] of [['http1', http1, httpTable], ['bolt', bolt, boltTable], ['thrift', thriftSpeech(false), thriftTable], ['dubbo-thrift', thriftSpeech(true), thriftTable]] as const) {
  describe(name, () => {
    for (const phase of phases) {
      const row = table[phase];
      if (row === undefined) continue;
      test(`${phase}: ${Object.keys(row).join(', ')}`, async (t) => {
        for (const fault of faults) {
          const outcome = row[fault];
          if (outcome !== undefined) await t.test(`${fault}: ${outcome[0] === '' ? 'well' : outcome[0]}, ${outcome[1]}`, () => {
            check(speech, phase, fault, outcome, false);
            check(speech, phase, fault, outcome, true);
          });
        }
      });
    }
  });
}

/** Runs on a clock that stands still. */
function frozen(run: (clock: FakeClock) => void): void {
  const clock = new FakeClock();
  const restore = setClock(clock);
  const restoreRandom = setRandom(() => 0.5);
  try {
    run(clock);
  } finally {
    restoreRandom();
    restore();
  }
}

describe('between phases', () => {
  const retrying = { idempotent: true, retry: { on: ['reset'], attempts: 2, backoff: { base: '100ms', max: '100ms' } } };
  const reset = (): SluiceError => new SluiceError('upstream-reset', { detail: 'ECONNRESET' });

  test('a body that goes on while its request waits for a second try is sent as the protocol frames it, once', () => frozen((clock) => {
    for (const wait of ['backoff', 'pool']) {
      const l = http1.lab({ hosts: 1, route: retrying, breaker: { max_connections: 1 } });
      const c = l.client();
      c.feed('POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n');
      const first = l.upstream(0).take();
      const other = l.client();
      if (wait === 'pool') other.feed(http1.request(1));
      l.upstream(0).close(reset());
      assert.equal(c.paused, true);
      c.feed('2\r\nde\r\n');
      clock.advance(100);
      if (wait === 'pool') {
        assert.equal(c.paused, true, 'the other client had the connection first');
        c.feed('1\r\nf\r\n0\r\n\r\n');
        l.upstream(1).take();
        l.upstream(1).feed(http1.reply(first));
        assert.equal(http1.statusOf(other.take()), 200);
        assert.equal(l.upstream(1).text(), `${first.toString()}2\r\nde\r\n1\r\nf\r\n0\r\n\r\n`);
      } else {
        assert.equal(l.upstream(1).text(), `${first.toString()}2\r\nde\r\n`);
        assert.equal(c.paused, false);
        c.feed('1\r\nf\r\n0\r\n\r\n');
        assert.equal(l.upstream(1).text(), '1\r\nf\r\n0\r\n\r\n');
      }
      l.upstream(1).feed(http1.reply(first));
      assert.equal(http1.statusOf(c.take()), 200);
      assert.deepEqual(l.last.attempts.map((a) => a.code), ['upstream-reset', '']);
      assert.deepEqual(l.levels(), { ...NONE, connections: 1 });
    }
  }));

  test('a long Bolt frame that goes on during its second try keeps its length and checksum', () => frozen((clock) => {
    const l = bolt.lab({ route: retrying });
    const c = l.client();
    const whole = buildFrame({ proto: 2, ver1: 2, switches: 1, type: 1, command: 1, id: 9, codec: 1, timeoutOrStatus: -1, className: bytes('C'), headers: buildHeaders([]), content: LONG });
    c.feed(whole.subarray(0, 30_000));
    l.upstream(0).take();
    l.upstream(0).close(reset());
    clock.advance(100);
    c.feed(whole.subarray(30_000, 200_000));
    c.feed(whole.subarray(200_000));
    const sent = l.upstream(1).take();
    assert.equal(sent.length, whole.length);
    const echo = new Lab({ protocol: new BoltProtocol() });
    const reader = echo.client();
    reader.feed(sent);
    assert.equal(echo.finished.length, 0, 'the checksum is right');
    assert.equal(echo.upstream(0).take().length, whole.length);
  }));

  test('a request that grows past what is kept for another try is not tried again', () => frozen(() => {
    const l = http1.lab({ route: retrying });
    const c = l.client();
    c.feed('POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 200000\r\n\r\n');
    c.feed(Buffer.alloc(100_000, 120));
    l.upstream(0).take();
    l.upstream(0).close(reset());
    assert.equal(l.last.code, 'upstream-reset');
    assert.equal(http1.statusOf(c.take()), 502);
    assert.equal(l.dialled.length, 1);
  }));

  test('a client that stops in the middle of its body is timed out, also when its exchange is not the first of its object', () => frozen((clock) => {
    const l = http1.lab({ route: { timeout: '1s', stream_idle_timeout: '2s' } });
    for (let i = 0; i < 3; i++) {
      const c = l.client();
      const [head, half, rest] = http1.upload(1);
      c.feed(Buffer.concat([head, half]));
      if (i < 2) {
        c.feed(rest);
        const up = l.dialled.findLastIndex(({ wire }) => !wire.destroyed);
        l.upstream(up).take();
        l.upstream(up).feed(http1.reply(head));
        assert.equal(http1.statusOf(c.take()), 200);
      } else {
        clock.advance(4100);
        assert.equal(l.last.code, 'body-timeout');
        assert.equal(http1.statusOf(c.take()), 408);
      }
    }
  }));

  test('a whole reply that a filter holds outlives the host\'s connection', () => {
    for (const speech of [http1, bolt]) {
      const hold = new HoldFilter('reply');
      const l = speech.lab({ filters: [hold] });
      const c = l.client();
      c.feed(speech.request(1));
      l.upstream().feed(speech.reply(l.upstream().take()));
      l.upstream(0).close();
      assert.equal(l.finished.length, 0);
      hold.replies[0]!.resume();
      assert.equal(speech.statusOf(c.take()), 200);
      assert.equal(l.last.code, '');
      assert.deepEqual(l.levels(), { ...NONE, connections: 0 });
    }
  });

  test('a held reply that is not whole is lost with the host\'s connection; the client is told', () => {
    for (const speech of [http1, bolt]) {
      const hold = new HoldFilter('reply');
      const l = speech.lab({ filters: [hold] });
      const c = l.client();
      c.feed(speech.request(1));
      const [head, half] = speech.long(l.upstream().take());
      l.upstream().feed(Buffer.concat([head, half]));
      l.upstream(0).close(reset());
      assert.equal(l.last.code, 'reply-cut');
      assert.equal(speech.statusOf(c.take()), speech === http1 ? 502 : 500);
      hold.replies[0]!.resume();
      assert.equal(c.take().length, 0);
      assert.deepEqual(l.levels(), { ...NONE, connections: 0 });
    }
  });

  test('trailers of a held reply follow it', () => {
    const hold = new HoldFilter('reply');
    const l = http1.lab({ filters: [hold] });
    const c = l.client();
    c.feed(http1.request(1));
    l.upstream().take();
    l.upstream().feed('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n');
    assert.equal(c.take().length, 0);
    hold.replies[0]!.resume();
    assert.match(c.text(), /2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n$/);
    assert.equal(l.last.code, '');
  });

  test('a filter that throws on a piece of a body ends its exchange, not the process', () => {
    for (const where of ['onRequestBody', 'onReplyBody'] as const) {
      const fault = { name: 'bad', [where === 'onRequestBody' ? 'requestBody' : 'replyBody']: 'replace', [where]: () => { throw new Error('oops'); } };
      const l = http1.lab({ filters: [fault as never] });
      const c = l.client();
      const [head, half] = http1.upload(1);
      c.feed(head);
      c.feed(half);
      if (where === 'onReplyBody') {
        const [replyHead, piece] = http1.long(head);
        l.upstream().take();
        l.upstream().feed(replyHead);
        l.upstream().feed(piece);
      }
      assert.equal(l.last.code, 'filter-threw', where);
      assert.equal(c.destroyed, true);
      if (where === 'onRequestBody') assert.equal(http1.statusOf(c.take()), 500);
    }
  });

  test('garbage behind good Bolt requests does not cost them their replies', () => {
    const l = bolt.lab({});
    const c = l.client();
    c.feed(Buffer.concat([bolt.request(1), bolt.request(2), bolt.garbage]));
    assert.equal(c.destroyed, false);
    const sent = l.upstream().take();
    const n = bolt.request(1).length;
    c.fin();
    l.upstream().feed(bolt.reply(sent));
    assert.equal(c.destroyed, false);
    l.upstream().feed(bolt.reply(sent.subarray(n)));
    assert.equal(c.take().length, 2 * bolt.reply(sent).length);
    assert.equal(c.destroyed, true);
    assert.deepEqual(l.finished.map((f) => f.code), ['bad-frame', '', '']);
  });

  test('a reply that is cut ends the client\'s connection, and the calls beside it are told why', () => {
    const l = bolt.lab({ hosts: 2 });
    const c = l.client();
    c.feed(Buffer.concat([bolt.request(1), bolt.request(2)]));
    const [head, half] = bolt.long(l.upstream(0).take());
    l.upstream(0).feed(Buffer.concat([head, half]));
    l.upstream(1).take();
    l.upstream(0).close(reset());
    assert.equal(c.destroyed, true);
    assert.deepEqual(l.finished.map((f) => f.code), ['reply-cut', 'connection-given-up']);
    assert.deepEqual(l.levels(), { ...NONE, connections: 1 });
  });
});

// Every failure in every phase of a Tars exchange: one record with the true reason, the reply that is still possible, and nothing left behind.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FakeClock } from '../../../../src/core/clock-fake.js';
import { setClock } from '../../../../src/core/clock.js';
import { wheel } from '../../../../src/core/deadline.js';
import { gathered } from '../../../../src/core/gathered.js';
import { setRandom } from '../../../../src/core/random.js';
import { SluiceError } from '../../../../src/core/reason.js';
import { TarsProtocol } from '../../../../src/stream/protocol/tars/protocol.js';
import { HoldFilter } from '../../../support/filters.js';
import { FakeWire } from '../../../support/fake-wire.js';
import { Lab } from '../../../support/stream-lab.js';
import { pattern, replyFrame, requestFrame } from './frames.js';
import { headOf } from './recorder.js';

const TIMEOUT = 1000;
const HEAD_TIMEOUT = 3000;
const NONE = { pending: 0, requests: 0, retries: 0, activeRequests: 0, pendingRequests: 0, listenerActive: 0, hostsActive: 0 };

/**
 * Where an exchange can be: half of its request has come, a filter holds it, it waits for a connection, for the connection to open, for
 * the reply, for another try; half of a long reply has come; a filter holds the reply.
 */
const phases = ['request half', 'held', 'queued', 'connecting', 'waiting', 'backoff', 'reply half', 'reply held'] as const;
type Phase = (typeof phases)[number];

const faults = [
  'client closes', 'client resets', 'client half-closes', 'host refuses', 'host closes', 'host resets', 'host half-closes', 'host sends garbage', 'host says reconnect',
  'time passes', 'drain ends', 'host removed',
] as const;
type Fault = (typeof faults)[number];

/** Nothing, an error with this result code and the connection kept or closed, a closed connection, or the reply in the end. */
type Seen = 'nothing' | 'closed' | 'reply' | `${number} kept` | `${number} closed`;
type Outcome = readonly [code: string, seen: Seen];

const gone = { 'client closes': ['downstream-closed', 'nothing'], 'client resets': ['downstream-reset', 'nothing'], 'client half-closes': ['downstream-closed', 'nothing'] } as const;
const drained = { 'drain ends': ['drain-deadline', '-99 closed'] } as const;
const answering = {
  ...gone, ...drained, 'host closes': ['upstream-closed', '-8 kept'], 'host resets': ['upstream-reset', '-8 kept'], 'host half-closes': ['upstream-closed', '-8 kept'],
  'time passes': ['request-timeout', '-7 kept'], 'host removed': ['host-removed', '-8 kept'],
} as const;

const table: Readonly<Record<Phase, Readonly<Partial<Record<Fault, Outcome>>>>> = {
  // No exchange yet: what is cut is told in the log, and there is no id to answer.
  'request half': { 'client half-closes': ['bad-frame', 'closed'], 'time passes': ['head-timeout', 'closed'] },
  'held': { ...gone, ...drained },
  'queued': { ...gone, ...drained, 'time passes': ['pool-timeout', '-7 kept'] },
  'connecting': { ...gone, ...drained, 'host refuses': ['connect-refused', '-8 kept'], 'time passes': ['request-timeout', '-7 kept'], 'host removed': ['host-removed', '-8 kept'] },
  'waiting': { ...answering, 'host sends garbage': ['bad-reply', '-12 kept'], 'host says reconnect': ['', 'reply'] },
  'backoff': { ...gone, ...drained },
  // Nothing of a reply is passed on before it is whole; within it any byte is content.
  'reply half': answering,
  // Nothing is missing any more.
  'reply held': { ...gone, ...drained, 'host closes': ['', 'reply'], 'host resets': ['', 'reply'], 'host half-closes': ['', 'reply'], 'host sends garbage': ['', 'reply'], 'host says reconnect': ['', 'reply'], 'host removed': ['', 'reply'] },
};

class Case {
  readonly l: Lab;
  readonly c: FakeWire;
  private readonly phase: Phase;
  private readonly hold: HoldFilter;
  /** The client that keeps the only connection busy, in the phase `queued`. */
  private readonly other: FakeWire | null = null;
  private sent: Buffer = Buffer.alloc(0);

  constructor(phase: Phase) {
    this.phase = phase;
    this.hold = new HoldFilter(phase === 'reply held' ? 'reply' : 'request');
    const retry = phase === 'backoff' ? { on: ['reset'], attempts: 2, backoff: { base: '100ms', max: '100ms' } } : { attempts: 1 };
    this.l = new Lab({
      protocol: new TarsProtocol(),
      filters: phase === 'held' || phase === 'reply held' ? [this.hold] : [],
      breaker: phase === 'queued' ? { max_connections: 1 } : {},
      pool: phase === 'queued' ? 'exclusive' : null,
      cluster: { heartbeat: { interval: 0, timeout: 0, misses: 0 }, ...(phase === 'queued' ? { pool_timeout: TIMEOUT / 2 } : {}) },
      route: { timeout: '10s', retry, idempotent: phase === 'backoff' },
      timeouts: { head: HEAD_TIMEOUT, idle: 0 },
    });
    const { l } = this;
    if (phase === 'queued') {
      this.other = l.client();
      this.other.feed(requestFrame({ timeout: TIMEOUT }));
      this.sent = l.upstream().take();
    }
    this.c = l.client();
    const ask = requestFrame({ id: 1, timeout: TIMEOUT, content: phase === 'request half' ? pattern(300_000) : Buffer.from('ask') });
    this.c.feed(phase === 'request half' ? ask.subarray(0, 100_000) : ask);
    if (phase === 'request half' || phase === 'held' || phase === 'queued' || phase === 'connecting') return;
    this.sent = l.upstream().take();
    if (phase === 'backoff') l.upstream().close(new SluiceError('upstream-reset', { detail: 'ECONNRESET' }));
    if (phase === 'reply half') l.upstream().feed(this.reply(300_000).subarray(0, 100_000));
    if (phase === 'reply held') l.upstream().feed(this.reply(10));
  }

  private reply(size: number): Buffer {
    return replyFrame({ id: headOf(this.sent).id, content: pattern(size) });
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
      case 'host sends garbage': return host().feed('HTTP/1.1 400 Bad Request\r\n\r\n');
      case 'host says reconnect': return host().feed(replyFrame({ id: 0, description: '_reconnect_' }));
      case 'time passes': return clock.advance(HEAD_TIMEOUT + 1000);
      case 'drain ends': return l.listener.abort('drain-deadline');
      case 'host removed':
        l.hosts[0]!.pool!.drain();
        l.hosts[0]!.pool!.close();
    }
  }

  /** What was held or is still due comes: the client has its reply. */
  finish(): void {
    const { l, c } = this;
    assert.equal(l.finished.length, 0, 'nothing has ended yet');
    if (this.phase === 'reply held') this.hold.replies[0]!.resume();
    else l.upstream().feed(this.reply(10));
    const head = headOf(c.take(), 'client');
    assert.deepEqual([head.id, head.rawStatus, head.length], [1, 0, 10]);
  }

  /** The client, whose connection was kept, asks again and is served. */
  served(): void {
    const { l, c } = this;
    assert.equal(c.paused, false, 'its connection is read');
    const before = l.finished.length;
    c.feed(requestFrame({ id: 77 }));
    const i = l.dialled.findLastIndex(({ wire }) => !wire.destroyed);
    const up = l.upstream(i);
    const sent = up.take();
    // Behind the rest of a reply that was given up.
    const id = headOf(sent.subarray(-requestFrame().length)).id;
    if (this.phase === 'reply half' && up === l.dialled[0]!.wire) up.feed(this.reply(300_000).subarray(100_000));
    up.feed(replyFrame({ id }));
    assert.equal(headOf(c.take(), 'client').id, 77);
    assert.equal(l.finished.length, before + 1);
  }

  /** Counters, deadlines, pauses and memory: `armed` deadlines were there before. */
  clean(armed: number): void {
    const { l, c } = this;
    this.other?.close();
    FakeWire.settle();
    const open = l.dialled.filter(({ wire }) => !wire.destroyed);
    assert.deepEqual(l.levels(), { ...NONE, connections: open.length });
    assert.equal(wheel.armed - armed, open.length, 'one deadline for each idle connection to a host, and none else');
    for (const { wire } of open) assert.equal(wire.paused, false, 'a connection to the host is not read');
    if (!c.destroyed) assert.equal(c.paused, false, 'the client is not read');
    c.close();
    for (const { wire } of open) wire.close();
    FakeWire.settle();
    assert.equal(wheel.armed, armed);
    assert.equal(l.listener.sessions.size, 0);
    assert.deepEqual(l.levels(), { ...NONE, connections: 0 });
    assert.equal(gathered.bytes, 0);
  }
}

function check(phase: Phase, fault: Fault, [code, seen]: Outcome, late: boolean): void {
  FakeWire.late = late;
  const clock = new FakeClock();
  const restore = setClock(clock);
  const restoreRandom = setRandom(() => 0.5);
  const armed = wheel.armed;
  try {
    const one = new Case(phase);
    const { l, c } = one;
    one.apply(fault, clock);
    FakeWire.settle();
    if (seen === 'reply') {
      one.finish();
      FakeWire.settle();
    }
    if (phase !== 'queued') assert.equal(l.finished.length, 1, 'one record');
    assert.equal(l.finished[0]?.code, code);
    if (seen === 'nothing' || seen === 'closed') {
      assert.equal(c.take().length, 0);
      assert.equal(c.destroyed, true);
    } else if (seen !== 'reply') {
      const [result, kept] = seen.split(' ');
      const head = headOf(c.take(), 'client');
      assert.deepEqual([head.id, head.rawStatus], [1, Number(result)]);
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

describe('faults', () => {
  for (const phase of phases) {
    const row = table[phase];
    test(`${phase}: ${Object.keys(row).join(', ')}`, async (t) => {
      for (const fault of faults) {
        const outcome = row[fault];
        if (outcome === undefined) continue;
        await t.test(`${fault}: ${outcome[0] === '' ? 'well' : outcome[0]}, ${outcome[1]}`, () => {
          check(phase, fault, outcome, false);
          check(phase, fault, outcome, true);
        });
      }
    });
  }

  test('a client that leaves in the middle of a packet leaves nothing behind', () => {
    const armed = wheel.armed;
    for (const fault of ['client closes', 'client resets'] as const) {
      const one = new Case('request half');
      assert.ok(gathered.bytes > 300_000);
      one.apply(fault, new FakeClock());
      assert.equal(one.l.finished.length, 0, 'there was no exchange');
      one.clean(armed);
    }
  });
});

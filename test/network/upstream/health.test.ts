// Active health checks on a fake clock and fake connections: thresholds, quick second looks, kept connections, and what is told.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setClock } from '../../../src/core/clock.js';
import { FakeClock } from '../../../src/core/clock-fake.js';
import type { Output } from '../../../src/core/bytes.js';
import { configureLog } from '../../../src/core/log.js';
import { setRandom } from '../../../src/core/random.js';
import { SluiceError } from '../../../src/core/reason.js';
import { Stats } from '../../../src/core/stats.js';
import { Connection } from '../../../src/network/connection.js';
import type { FoundHost } from '../../../src/network/upstream/discovery.js';
import { ClusterHealth } from '../../../src/network/upstream/health.js';
import { PROBE_DOWN, PROBE_MORE, PROBE_UP, type ProbeFactory, type ProbeVerdict } from '../../../src/network/upstream/probe.js';
import type { Target } from '../../../src/network/upstream/snapshot.js';
import type { Wire } from '../../../src/network/wire.js';
import { config, settle } from './fixture.js';

class FakeWire implements Wire {
  readonly unsent = 0;
  readonly connection: Connection;
  readonly target: Target;
  sent = '';

  constructor(connection: Connection, target: Target) {
    this.connection = connection;
    this.target = target;
    connection.attach(this);
  }

  send(buf: Uint8Array, start: number, end: number): boolean {
    this.sent += Buffer.from(buf.subarray(start, end)).toString('latin1');
    return true;
  }
  destroy(): void {
    this.connection.wireClosed(null);
  }
  get closed(): boolean {
    return this.connection.wire === null;
  }
  open(): void {
    this.connection.wireOpen();
  }
  answer(text: string): void {
    const bytes = Buffer.from(text, 'latin1');
    this.connection.wireData(bytes, 0, bytes.length, false);
  }
  refuse(): void {
    this.connection.wireClosed(new SluiceError('connect-refused', { host: '10.0.0.1:80' }));
  }
  pause(): void {}
  resume(): void {}
  end(): void {}
  setKeepAlive(): void {}
  setNoDelay(): void {}
  detach(): unknown {
    return null;
  }
}

let time: FakeClock;
let undo: (() => void)[];
let wires: FakeWire[];
let changes: string[];
let lines: string[];
let stats: Stats;
let open: ClusterHealth[];

beforeEach(() => {
  time = new FakeClock();
  lines = [];
  void configureLog({ to: { write: (line) => void lines.push(line) } });
  undo = [setClock(time), setRandom(() => 0.5)];
  wires = [];
  changes = [];
  stats = new Stats();
  open = [];
});
afterEach(() => {
  for (const health of open) health.close();
  const before = wires.length;
  time.advance(60_000);
  assert.equal(wires.length, before, 'nothing is checked after the end');
  assert.equal(time.pending, 0, 'and nothing waited for');
  for (const f of undo) f();
});

const host = (address: string, hostname = 'svc'): FoundHost => {
  const [ip, port] = address.split(':');
  return { address, target: { host: ip!, port: Number(port) }, hostname, weight: 1, metadata: {} };
};
const A = host('10.0.0.1:80');
const B = host('10.0.0.2:80');

function begin(options: object, hosts: FoundHost[] = [A], probe: ProbeFactory | null = null): ClusterHealth {
  const check = config({ name: 'c', health_check: options }, ['p']).health_check!;
  const health = new ClusterHealth(check, {
    stats,
    cluster: 'c',
    connect: (target, _hostname, _timeout, reader) => {
      const wire = new FakeWire(new Connection(reader), target);
      wires.push(wire);
      return wire.connection;
    },
    probe,
    changed: (address, healthy) => void changes.push(`${address} ${healthy ? 'up' : 'down'}`),
  });
  open.push(health);
  health.update(hosts, () => undefined);
  time.advance(20);
  return health;
}

const last = (): FakeWire => wires.at(-1)!;
/** Lets time pass until the next check begins; how long that took. */
function untilNext(): number {
  const before = wires.length;
  let passed = 0;
  while (wires.length === before) {
    assert.ok(passed < 100_000, 'no further check began');
    time.advance(20);
    passed += 20;
  }
  return passed;
}
const near = (actual: number, expected: number): void => assert.ok(Math.abs(actual - expected) <= 40, `${actual}, not ${expected}`);

describe('a host', () => {
  test('is judged by its first check alone', () => {
    const health = begin({ type: 'tcp', unhealthy_threshold: 5 }, [A, B]);
    assert.deepEqual(health.awaited, [A.address, B.address]);
    wires[0]!.refuse();
    wires[1]!.open();
    assert.deepEqual(changes, ['10.0.0.1:80 down']);
    assert.deepEqual([health.healthy(A.address), health.healthy(B.address), health.awaited], [false, true, []]);
    assert.ok(wires[1]!.closed);
    assert.ok(lines.some((l) => l.includes('host is unhealthy') && l.includes('refused the connection')), lines.join(''));
  });

  test('that begins as unhealthy is healthy after one success', () => {
    const health = begin({ type: 'tcp', initial: 'unhealthy', healthy_threshold: 9 });
    assert.equal(health.healthy(A.address), false);
    last().open();
    assert.deepEqual(changes, ['10.0.0.1:80 up']);
  });

  test('falls after as many failures in a row as configured, looked at again quickly after the first', () => {
    begin({ type: 'tcp' });
    last().open();
    near(untilNext(), 5000);
    last().refuse();
    near(untilNext(), 1000);
    last().open();
    near(untilNext(), 5000);
    last().refuse();
    near(untilNext(), 1000);
    last().refuse();
    assert.deepEqual(changes, []);
    near(untilNext(), 1000);
    last().refuse();
    assert.deepEqual(changes, ['10.0.0.1:80 down']);
    near(untilNext(), 5000);
    last().open();
    near(untilNext(), 1000);
    last().refuse();
    near(untilNext(), 5000);
    last().open();
    untilNext();
    last().open();
    assert.deepEqual(changes, ['10.0.0.1:80 down', '10.0.0.1:80 up']);
    near(untilNext(), 5000);
    const value = (name: string): number => stats.counter(`sluice_health_check_${name}_total`, '', { cluster: 'c' }).value;
    assert.deepEqual([value('attempts'), value('successes'), value('failures')], [10, 5, 5]);
  });

  test('that does not answer in time has failed, whatever stage it is at', () => {
    const health = begin({ type: 'http', timeout: '500ms' });
    time.advance(520);
    assert.equal(health.state(A.address)!.cause, 'no answer within 500 ms');
    assert.ok(last().closed);
    untilNext();
    last().open();
    last().answer('HTTP/1.1 20');
    time.advance(520);
    assert.ok(last().closed);
    assert.deepEqual(health.state(A.address)!.healthy, false);
  });

  test('is asked by HTTP, the answer in pieces', async () => {
    const health = begin({ type: 'http', path: '/up', port: 9000 });
    assert.deepEqual(last().target, { host: '10.0.0.1', port: 9000 });
    last().open();
    await settle();
    assert.match(last().sent, /^GET \/up HTTP\/1\.1\r\nhost: svc:9000\r\n/);
    for (const c of 'HTTP/1.1 500 Oops\r') last().answer(c);
    assert.deepEqual(changes, []);
    last().answer('\n');
    assert.deepEqual(changes, ['10.0.0.1:80 down']);
    assert.equal(health.state(A.address)!.cause, 'status 500');
    untilNext();
    last().open();
    last().connection.wireEnd();
    assert.equal(health.state(A.address)!.cause, 'the host closed the connection before it answered');
    untilNext();
    last().open();
    last().connection.wireClosed(new SluiceError('upstream-reset', { host: A.address }));
    assert.match(health.state(A.address)!.cause, /reset/);
  });

  test('is asked in the words of a protocol, with its options', async () => {
    const made: unknown[] = [];
    const probe: ProbeFactory = (options) => {
      made.push(options);
      return {
        cause: 'said no',
        ask: (out: Output) => out.write(Buffer.from('ping'), 0, 4),
        judge: (buf: Uint8Array, start: number, end: number): ProbeVerdict => (end - start < 4 ? PROBE_MORE : buf[start] === 112 ? PROBE_UP : PROBE_DOWN),
      };
    };
    const health = begin({ type: 'p', options: { tag: 1 } }, [A], probe);
    last().open();
    await settle();
    assert.deepEqual([last().sent, made], ['ping', [{ tag: 1 }]]);
    last().answer('po');
    last().answer('ng');
    assert.equal(health.state(A.address)!.checked, true);
    assert.deepEqual(changes, []);
    untilNext();
    last().open();
    last().answer('nope');
    assert.equal(health.state(A.address)!.cause, 'said no');
  });

  test('keeps its connection between checks where that is wanted', async () => {
    const health = begin({ type: 'http', keep_connection: true });
    const ok = 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n';
    last().open();
    last().answer(ok);
    for (let i = 0; i < 3; i++) {
      await settle();
      last().sent = '';
      time.advance(5040);
      await settle();
      assert.match(last().sent, /^GET/);
      last().answer(ok);
    }
    assert.equal(wires.length, 1);
    // What nobody asked for must not become the next answer.
    last().answer(ok);
    assert.ok(last().closed);
    untilNext();
    last().open();
    last().answer(ok);
    // A host may close a quiet connection; that is no failure.
    last().connection.wireEnd();
    assert.ok(last().closed);
    untilNext();
    last().open();
    last().answer('HTTP/1.1 500 Oops\r\n\r\n');
    assert.ok(last().closed, 'a failed check begins the next on a new connection');
    assert.deepEqual(changes, []);
    assert.equal(health.state(A.address)!.contrary, 1);
  });

  test('sends too much', () => {
    const endless: ProbeFactory = () => ({ cause: '', ask() {}, judge: () => PROBE_MORE });
    const health = begin({ type: 'p' }, [A], endless);
    last().open();
    for (let i = 0; i < 5; i++) last().answer('x'.repeat(64 * 1024));
    assert.match(health.state(A.address)!.cause, /more than 262144 bytes/);
    assert.ok(last().closed);
  });
});

describe('the hosts of a cluster', () => {
  test('come and go without disturbing those that stay', () => {
    const health = begin({ type: 'tcp' });
    last().open();
    untilNext();
    last().refuse();
    assert.equal(health.state(A.address)!.contrary, 1);
    health.update([A, B], () => undefined);
    assert.equal(health.state(A.address)!.contrary, 1, 'what was counted is kept');
    time.advance(20);
    const b = last();
    assert.equal(b.target.host, '10.0.0.2');
    health.update([A], () => undefined);
    assert.ok(b.closed);
    assert.equal(health.state(B.address), undefined);
    untilNext();
    last().refuse();
    untilNext();
    last().refuse();
    assert.deepEqual(changes, ['10.0.0.1:80 down']);
    health.update([host('10.0.0.1:80', 'other')], () => false);
    assert.deepEqual([health.state(A.address)!.checked, health.healthy(A.address)], [false, false], 'another name is another host, known to be down');
    time.advance(20);
    last().open();
    assert.deepEqual(changes, ['10.0.0.1:80 down', '10.0.0.1:80 up']);
  });

  test('are not all asked at the same moment when they are many', () => {
    undo.push(setRandom(5));
    const many = Array.from({ length: 500 }, (_, i) => host(`10.1.${i >> 8}.${i & 255}:80`));
    begin({ type: 'tcp' }, many);
    assert.ok(wires.length >= 64 && wires.length < 80, String(wires.length));
    time.advance(1000);
    assert.ok(wires.length > 100 && wires.length < 250, String(wires.length));
    time.advance(4020);
    // Nobody has answered, so those that timed out are asked again.
    assert.equal(new Set(wires.map((w) => w.target.host)).size, 500);
  });

  test('vary their intervals by the jitter and no more', () => {
    undo.push(setRandom(5));
    begin({ type: 'tcp', jitter: '20%' });
    const pauses: number[] = [];
    for (let i = 0; i < 60; i++) {
      last().open();
      pauses.push(untilNext());
    }
    assert.ok(Math.min(...pauses) >= 3980 && Math.min(...pauses) < 4300, pauses.join());
    assert.ok(Math.max(...pauses) <= 6040 && Math.max(...pauses) > 5700, pauses.join());
  });

  test('are let go in the middle of a check', () => {
    const health = begin({ type: 'http' }, [A, B]);
    wires[0]!.open();
    health.close();
    assert.ok(wires[0]!.closed && wires[1]!.closed);
    assert.deepEqual([changes, wires.length], [[], 2]);
  });
});

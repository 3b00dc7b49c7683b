// When a worker counts as standing still: a real thread whose ticks the test decides, and a clock that the test moves.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { pathToFileURL } from 'node:url';
import { setClock } from '../../src/core/clock.js';
import { FakeClock } from '../../src/core/clock-fake.js';
import { SharedLevels } from '../../src/core/levels.js';
import type { Log } from '../../src/core/log.js';
import { StatsView } from '../../src/core/stats.js';
import { Fleet } from '../../src/control/fleet.js';
import type { Version } from '../../src/control/messages.js';

/** Ticks with each `log-level`, says that it has built with each `config`. */
const script = `
import { parentPort } from 'node:worker_threads';
let ticks;
parentPort.on('message', (message) => {
  if (message.type === 'start') ticks = new Int32Array(message.start.ticks);
  else if (message.type === 'log-level') Atomics.add(ticks, 0, 1);
  else if (message.type === 'config') parentPort.postMessage({ type: 'built', version: message.version.version, problems: [], listeners: [] });
  else if (message.type === 'ask') parentPort.postMessage({ type: 'answer', id: message.id, answer: { connections: [], listeners: [], clusters: [], heapUsed: 0 } });
  else if (message.type === 'stop') { parentPort.postMessage({ type: 'stopped' }); parentPort.close(); }
});
`;

interface Lab {
  readonly fleet: Fleet;
  readonly clock: FakeClock;
  readonly said: string[];
  /** Lets the worker tick, and waits until it has read everything. */
  tick(): Promise<void>;
  configure(): Promise<void>;
}

const version = (number: number): Version => ({ version: number, config: {} as Version['config'], clusters: [], levelRows: {} });

function lab(t: TestContext): Lab {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-fleet-'));
  const file = join(folder, 'worker.mjs');
  writeFileSync(file, script);
  const clock = new FakeClock();
  const restore = setClock(clock);
  const said: string[] = [];
  const say = (...words: unknown[]): void => void said.push(String(words.at(-1)));
  const log = { error: say, warn: say, info: say, debug: say } as unknown as Log;
  const fleet = new Fleet({ script: pathToFileURL(file), view: new StatsView(), log, current: () => version(1), onSpans: () => {} });
  fleet.start(1, SharedLevels.create(4, 2));
  t.after(async () => {
    await fleet.stop();
    restore();
    rmSync(folder, { recursive: true, force: true });
  });
  return {
    fleet,
    clock,
    said,
    tick: async () => {
      fleet.post({ type: 'log-level', level: 'info' });
      await fleet.ask(0);
    },
    configure: () => fleet.configure(version(1)),
  };
}

const STILL = /stands still/;

test('a worker that was slow to load has as long for its first tick as any other', { timeout: 60_000 }, async (t) => {
  const { fleet, clock, said, configure, tick } = lab(t);
  clock.advance(15_000);
  await configure();
  assert.equal(fleet.states()[0]!.state, 'running');
  clock.advance(2000);
  assert.doesNotMatch(said.join(), STILL);
  await tick();
  clock.advance(2000);
  assert.doesNotMatch(said.join(), STILL);
});

test('a worker that runs and does not tick is ended after two seconds', { timeout: 60_000 }, async (t) => {
  const { clock, said, configure, tick } = lab(t);
  await configure();
  await tick();
  clock.advance(500);
  clock.advance(2000);
  assert.doesNotMatch(said.join(), STILL);
  clock.advance(500);
  assert.match(said.join(), STILL);
});

test('a worker that does not come up is ended after twenty seconds', { timeout: 60_000 }, async (t) => {
  const { clock, said } = lab(t);
  // The first look finds a count it has not seen.
  clock.advance(500);
  clock.advance(20_000);
  assert.doesNotMatch(said.join(), STILL);
  clock.advance(500);
  assert.match(said.join(), STILL);
});

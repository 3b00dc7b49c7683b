// The configuration file as a source: versions, what stays in force when a reading is refused, and changes noticed without waiting.
import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { setClock } from '../../src/core/clock.js';
import { FakeClock } from '../../src/core/clock-fake.js';
import { formatProblem } from '../../src/core/config/problem.js';
import { POLL_MS, SourceFile } from '../../src/control/source-file.js';
import { manifests } from './catalog.js';

const text = (port: number): string => `listeners: [{name: a, address: ":${port}", protocol: http1, cluster: c}]\nclusters: [{name: c, hosts: "10.0.0.1:1"}]\n`;

describe('the configuration file', () => {
  let folder = '';
  let file = '';
  let source: SourceFile;
  let ticks = 0;
  const write = (content: string, name = file): void => {
    writeFileSync(name, content);
    // File systems may count time in whole seconds.
    ticks += 1;
    utimesSync(name, 1_000_000 + ticks, 1_000_000 + ticks);
  };
  const portNow = (): number => source.config!.listeners[0]!.address.port;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'sluice-source-'));
    file = join(folder, 'a.yaml');
  });
  after(() => rmSync(folder, { recursive: true, force: true }));
  beforeEach(() => {
    source = new SourceFile({ file, builtins: manifests, env: {} });
  });
  afterEach(() => source.close());

  test('counts versions that differ', async () => {
    write(text(1));
    const first = await source.read();
    assert.deepEqual([first.version, first.changed, portNow()], [1, true, 1]);
    const again = await source.read();
    assert.deepEqual([again.version, again.changed], [1, false]);
    write(text(2));
    const second = await source.read();
    assert.deepEqual([second.version, second.changed, portNow()], [2, true, 2]);
  });

  test('leaves in force what it had when nothing can be read', async () => {
    write(text(3));
    await source.read();
    write('listeners: [');
    const broken = await source.read();
    assert.deepEqual([broken.config, broken.version, broken.changed, portNow()], [null, 1, false, 3]);
    assert.equal(source.rejected.length, 1);
    unlinkSync(file);
    const gone = await source.read();
    assert.match(formatProblem(gone.problems[0]!), /a\.yaml:1:1: the file cannot be read: ENOENT/);
    write(text(4));
    const back = await source.read();
    assert.deepEqual([back.version, portNow(), source.rejected], [2, 4, []]);
  });

  test('has the first reading refused whole', async () => {
    write(text(5).replace('hosts', 'host'));
    const reading = await source.read();
    assert.deepEqual([reading.config, source.config, source.version], [null, null, 0]);
    assert.deepEqual(reading.problems.map((p) => p.path), ['clusters[0].host']);
  });

  test('decodes each of several readings against the one before', async () => {
    write(text(6));
    const readings = await Promise.all([source.read(), source.read(), source.read()]);
    assert.deepEqual(readings.map((r) => [r.version, r.changed]), [[1, true], [1, false], [1, false]]);
  });

  test('brings its plug-ins along, and tells theirs faults where they are named', async () => {
    write("export const manifest = ({ z }) => ({ kind: 'stream-filter', name: 'mark', schema: z.strictObject({}), create: () => ({ name: 'mark' }) });", join(folder, 'mark.mjs'));
    write(`plugins: [./mark.mjs, ./none.mjs]\n${text(7).replace('cluster: c', 'cluster: c, stream_filters: [mark]')}`);
    const refused = await source.read();
    assert.deepEqual(refused.problems.map((p) => `${p.line}:${p.col} ${p.path}`), ['1:23 plugins[1]']);
    write(`plugins: ./mark.mjs\n${text(7).replace('cluster: c', 'cluster: c, stream_filters: [mark]')}`);
    const { problems, catalog, config } = await source.read();
    assert.deepEqual(problems, []);
    assert.ok(catalog.find('stream-filter', 'mark'));
    assert.match(config!.plugins[0]!.url, /^file:.*mark\.mjs\?v=[0-9a-f]+$/);
    write('export const manifest = 1;', join(folder, 'mark.mjs'));
    const kept = await source.read();
    assert.deepEqual([kept.problems.length, kept.changed, kept.config!.plugins], [1, false, config!.plugins]);
  });

  describe('while it is watched', () => {
    let clock: FakeClock;
    let restore = (): void => {};
    beforeEach(() => {
      clock = new FakeClock();
      restore = setClock(clock);
    });
    afterEach(() => restore());

    /** One look: the timer fires, and what follows it is waited for by the timer it sets. */
    const look = async (): Promise<void> => {
      const before = clock.pending;
      assert.equal(before, 1, 'a look is due');
      clock.advance(POLL_MS);
      for (let i = 0; clock.pending === 0; i++) {
        assert.ok(i < 10_000, 'the look never ended');
        await new Promise((resolve) => setImmediate(resolve));
      }
    };

    test('is read again after a change, a replacement, its end and its return', async () => {
      write(text(10));
      await source.read();
      let calls = 0;
      source.watch(async () => {
        calls++;
        await source.read();
      });
      await look();
      assert.equal(calls, 0);
      write(text(11));
      await look();
      assert.deepEqual([calls, portNow()], [1, 11]);
      await look();
      assert.equal(calls, 1);
      write(text(12), join(folder, 'next.yaml'));
      renameSync(join(folder, 'next.yaml'), file);
      await look();
      assert.deepEqual([calls, portNow()], [2, 12]);
      unlinkSync(file);
      await look();
      assert.deepEqual([calls, portNow()], [3, 12]);
      await look();
      assert.equal(calls, 3);
      write(text(13));
      await look();
      assert.deepEqual([calls, portNow()], [4, 13]);
    });

    test('is read again when a plug-in changes', async () => {
      const plugin = (version: string): string => `export const manifest = { kind: 'stream-filter', name: 'mark', doc: '${version}', create: () => ({ name: 'mark' }) };`;
      write(plugin('one'), join(folder, 'mark.mjs'));
      write(`plugins: [./mark.mjs]\n${text(14)}`);
      await source.read();
      const versions: string[] = [];
      source.watch(async () => {
        versions.push((await source.read()).catalog.find('stream-filter', 'mark')!.doc);
      });
      await look();
      write(plugin('two'), join(folder, 'mark.mjs'));
      await look();
      assert.deepEqual([versions, source.version], [['two'], 2]);
    });

    test('goes on being watched when the reading fails, and not after the end', async () => {
      write(text(15));
      await source.read();
      let calls = 0;
      source.watch(() => {
        calls++;
        return Promise.reject(new Error('no'));
      });
      write(text(16));
      await look();
      write(text(17));
      await look();
      assert.equal(calls, 2);
      source.close();
      assert.equal(clock.pending, 0);
      source.watch(() => Promise.resolve());
      assert.equal(clock.pending, 0);
    });
  });
});

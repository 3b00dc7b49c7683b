// `sluice check`: what it prints where, and the exit code.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Command, readArguments } from '../../../src/control/command/arguments.js';
import { check } from '../../../src/control/command/check.js';
import { manifests } from '../catalog.js';
import { Captured } from './captured.js';

describe('sluice check', () => {
  let folder = '';
  const run = async (text: string, ...flags: string[]): Promise<{ code: number; to: Captured; file: string }> => {
    const file = join(folder, 'a.yaml');
    writeFileSync(file, text);
    const to = new Captured({ PORT: '7' });
    const code = await check(readArguments(['check', '-c', file, ...flags]) as Command, manifests, to);
    return { code, to, file };
  };
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'sluice-check-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  const valid = 'listeners: [{name: a, address: ":${PORT}", protocol: http1, cluster: c}]\nclusters: [{name: c, hosts: "10.0.0.1:1"}]\n';

  test('sums up a valid configuration', async () => {
    const { code, to, file } = await run(valid);
    assert.deepEqual([code, to.output, to.errors], [0, '', `${file} is valid: 1 listener, 0 route tables, 1 cluster\n`]);
  });

  test('tells every problem of another one, and ends with 3', async () => {
    const { code, to, file } = await run(valid.replace('http1', 'http').replace('hosts', 'hots'));
    assert.equal(code, 3);
    assert.equal(to.errors, `${file}:1:54: listeners[0].protocol: expected one of tcp, udp, bolt, http1, auto, or a list of protocols, got "http" (did you mean http1?)\n${file}:2:22: clusters[0].hots: unknown key (did you mean hosts?)\n${file} is refused: 2 problems\n`);
  });

  test('warns, and is content nevertheless', async () => {
    const { code, to } = await run(`${valid}routes: [{name: spare, routes: []}]`);
    assert.equal(code, 0);
    assert.match(to.errors, /^warning: .*a\.yaml:3:17: routes\[0\]\.name: no listener uses this route table\n.* is valid: .*; 1 warning\n$/);
  });

  test('answers in JSON', async () => {
    const bad = await run(valid.replace('http1', 'http'), '--json');
    const answer = JSON.parse(bad.to.output) as { valid: boolean; problems: { line: number; hint: string }[] };
    assert.deepEqual([bad.code, answer.valid, answer.problems[0]!.line, answer.problems[0]!.hint, bad.to.errors], [3, false, 1, 'did you mean http1?', '']);
    const good = await run(valid, '--json', '--explain');
    const { values } = JSON.parse(good.to.output) as { values: { path: string; value: unknown; variables: string[] }[] };
    assert.deepEqual(values.find((row) => row.path === 'listeners[0].address'), { path: 'listeners[0].address', value: ':7', from: 'file', line: 1, variables: ['PORT'] });
  });

  test('prints values in effect', async () => {
    const { code, to } = await run(valid, '--explain');
    assert.equal(code, 0);
    assert.match(to.output, /^listeners\[0\]\.address +:7 +line 1, \$PORT$/m);
  });

  test('prints the JSON Schema, with the options of the plug-ins', async () => {
    const to = new Captured();
    assert.equal(await check(readArguments(['check', '--schema']) as Command, manifests, to), 0);
    assert.match(JSON.stringify(JSON.parse(to.output)), /max_line|"const":"delay"/);
  });

  test('wants a file, and says when it cannot be read', async () => {
    const to = new Captured();
    assert.equal(await check(readArguments(['check']) as Command, manifests, to), 2);
    assert.match(to.errors, /-c FILE/);
    const none = new Captured();
    assert.equal(await check(readArguments(['check', '-c', join(folder, 'none.yaml')]) as Command, manifests, none), 3);
    assert.match(none.errors, /none\.yaml:1:1: the file cannot be read: ENOENT/);
  });
});

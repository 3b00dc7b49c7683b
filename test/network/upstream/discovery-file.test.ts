// Services in a file: what is wrong keeps its last good version and says why, service by service; what is half written is not read.
import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { configureLog } from '../../../src/core/log.js';
import { manifest } from '../../../src/network/upstream/discovery/file/manifest.js';
import { config, refusals, Upstream, until } from './fixture.js';

void configureLog({ to: { write() {} } });

describe('services in a file', { timeout: 30_000 }, () => {
  let folder = '';
  let path = '';
  let up: Upstream;
  before(() => (folder = mkdtempSync(join(tmpdir(), 'sluice-services-'))));
  after(() => rmSync(folder, { recursive: true, force: true }));
  let count = 0;
  beforeEach(() => {
    path = join(folder, `${++count}.yaml`);
    up = new Upstream();
  });
  afterEach(() => up.close());

  const write = (text: string): void => {
    writeFileSync(`${path}.new`, text);
    renameSync(`${path}.new`, path);
  };
  const begin = (...names: string[]): void => up.apply(...names.map((name) => ({ name, discovery: { type: 'file', path, refresh: '20ms' } })));
  const addresses = (name: string): string => up.cluster(name).hosts.map((host) => host.address).join(' ');
  const state = (name: string) => up.main.state().find((cluster) => cluster.name === name)!.discovery;
  const error = (name: string): string => state(name).error;

  test('are read as YAML, in every form that hosts have, and again with each change', async () => {
    write('services:\n  a: "10.0.0.1:80,10.0.0.2:80"\n  b:\n    - 10.0.0.3:80\n    - {address: "10.0.0.4:80", weight: 4, metadata: {zone: z}}\n');
    begin('a', 'b');
    assert.deepEqual(up.main.awaited(), ['cluster a: hosts', 'cluster b: hosts']);
    await until(() => addresses('a') === '10.0.0.1:80 10.0.0.2:80' && addresses('b') === '10.0.0.3:80 10.0.0.4:80');
    assert.deepEqual(up.main.awaited(), []);
    assert.equal(up.cluster('b').hosts[1]!.weight, 4);
    assert.equal(state('a').type, 'file');
    assert.ok(state('a').nextRefresh >= 0);
    const kept = up.cluster('a').hosts[1];
    write('services: {a: "10.0.0.2:80", b: []}');
    await until(() => addresses('a') === '10.0.0.2:80' && addresses('b') === '');
    assert.equal(up.cluster('a').hosts[0], kept, 'the host that stays is the same');
    assert.equal(error('a'), '');
  });

  test('that are wrong keep their last good version, and the others are taken', async () => {
    write('services:\n  a: 10.0.0.1:80\n  b: 10.0.0.2:80\n');
    begin('a', 'b', 'c');
    await until(() => addresses('a') === '10.0.0.1:80');
    assert.ok(error('c').startsWith(`${path} has no service c`), error('c'));
    write('services:\n  a: 10.0.0.1:99999\n  b: 10.0.0.5:80\n  c: [{address: "10.0.0.6:80", wieght: 2}]\n');
    await until(() => addresses('b') === '10.0.0.5:80');
    assert.equal(addresses('a'), '10.0.0.1:80');
    assert.match(error('a'), /^.*\.yaml:2:6: services\.a\[0\]\.address: expected .*; the last good version stays in force$/);
    assert.match(error('c'), /^.*\.yaml:4:\d+: services\.c\[0\]\.wieght: unknown key \(did you mean weight\?\)$/);
    assert.equal(error('b'), '');
    write('services: {a: "host.example:80"}');
    await until(() => error('a').includes('expected an IP address'));
    assert.equal(addresses('a'), '10.0.0.1:80');
    write('services: {a: "10.0.0.9:80"}');
    await until(() => addresses('a') === '10.0.0.9:80');
    assert.equal(error('a'), '');
    assert.equal(addresses('b'), '', 'a service that a valid file leaves out has no instance');
    assert.match(error('b'), /has no service b/);
  });

  test('of a file that cannot be read or parsed stay as they were', async () => {
    write('services: {a: "10.0.0.1:80"}');
    begin('a');
    await until(() => addresses('a') === '10.0.0.1:80');
    write('services: {a: ');
    await until(() => error('a') !== '');
    assert.match(error('a'), /\.yaml:1:\d+: .*; the last good version stays in force$/);
    unlinkSync(path);
    await until(() => error('a').includes('ENOENT'));
    assert.equal(addresses('a'), '10.0.0.1:80');
    write('[]');
    await until(() => !error('a').includes('ENOENT'));
    assert.equal(addresses('a'), '10.0.0.1:80');
    write('servces: {a: "10.0.0.2:80"}');
    await until(() => error('a').includes('did you mean services?'));
    assert.equal(addresses('a'), '10.0.0.1:80');
    write('{"services": {"a": ["10.0.0.2:80"]}}');
    await until(() => addresses('a') === '10.0.0.2:80');
    assert.equal(error('a'), '');
  });

  test('are awaited until the first reading, be it a failure', async () => {
    begin('a');
    await until(() => up.main.awaited().length === 0);
    assert.match(error('a'), /^cannot read .*ENOENT$/);
    write('services: {ab: "10.0.0.1:80"}');
    await until(() => error('a').includes('did you mean ab?'));
    write('services: {a: "10.0.0.1:80"}');
    await until(() => addresses('a') === '10.0.0.1:80');
  });

  test('that were wrong from the start are not known to have no instance', async () => {
    write('services: {a: 1}');
    begin('a', 'b');
    await until(() => error('a') !== '');
    assert.match(error('a'), /services\.a/);
    assert.equal(error('b'), `${path} has no service b`);
  });

  test('may have variables of the environment', async () => {
    process.env['SERVICES_TEST_PORT'] = '81';
    write('services: {a: "10.0.0.1:${SERVICES_TEST_PORT}", b: "${SERVICES_TEST_NONE}"}');
    begin('a', 'b');
    await until(() => addresses('a') === '10.0.0.1:81');
    assert.match(error('b'), /SERVICES_TEST_NONE/);
    delete process.env['SERVICES_TEST_PORT'];
  });

  test('are not published', () => {
    const registry = manifest.registry!({ path, refresh: 1000 });
    const publication = registry.publish({ name: 'a', group: '', version: '' }, { address: { host: '10.0.0.1', port: 1 }, weight: 1, metadata: {} });
    assert.equal(registry.publishes, false);
    assert.equal(publication.state().published, false);
    assert.match(publication.state().error, /never written/);
    registry.close();
  });

  test('are found relative to the configuration, and go with no hosts of its own', () => {
    assert.deepEqual(manifest.absolute!({ type: 'file', path: 'a/b.yaml', refresh: 1 }, '/etc/sluice'), { type: 'file', path: '/etc/sluice/a/b.yaml', refresh: 1 });
    assert.deepEqual(refusals({ name: 'a', hosts: '10.0.0.1:80', discovery: { type: 'file', path: 'x' } }), ['hosts']);
    assert.deepEqual(refusals({ name: 'a', discovery: { type: 'file' } }), ['discovery.path']);
    assert.equal(config({ name: 'a', discovery: { type: 'file', path: 'x', group: 'g' } }).discovery['group'], 'g');
  });
});

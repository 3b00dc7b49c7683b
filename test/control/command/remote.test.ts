// `sluice wait`, `drain` and `stop` against a real admin: how it is found, what is asked, and when they give up.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { type Admin, startAdmin } from '../../../src/control/admin/server.js';
import { type Command, readArguments } from '../../../src/control/command/arguments.js';
import { drain, findAdmin, stop, wait } from '../../../src/control/command/remote.js';
import { FakeOperations } from '../fake-operations.js';
import { Captured } from './captured.js';

const command = (...words: string[]): Command => readArguments(words) as Command;

describe('commands for a running process', () => {
  let operations: FakeOperations;
  let admin: Admin;
  let folder = '';
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'sluice-remote-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));
  beforeEach(async () => {
    operations = new FakeOperations();
    admin = await startAdmin({ operations, address: { host: '127.0.0.1', port: 0 } });
  });
  afterEach(() => admin.close());

  test('find it by --admin, then $ADMIN, then the configuration, then the default', () => {
    const file = join(folder, 'a.yaml');
    writeFileSync(file, 'admin: ${AT:-127.0.0.1:3}\nlisteners: [{nonsense: 1}]');
    const env = { ADMIN: '127.0.0.1:2' };
    assert.deepEqual(findAdmin(command('wait', '--admin', '127.0.0.1:1', '-c', file), new Captured(env)), { host: '127.0.0.1', port: 1 });
    assert.deepEqual(findAdmin(command('wait', '-c', file), new Captured(env)), { host: '127.0.0.1', port: 2 });
    assert.deepEqual(findAdmin(command('wait', '-c', file), new Captured({ ADMIN: '' })), { host: '127.0.0.1', port: 3 });
    assert.deepEqual(findAdmin(command('wait', '-c', file), new Captured({ AT: ':4' })), { host: '127.0.0.1', port: 4 });
    assert.deepEqual(findAdmin(command('wait'), new Captured()), { host: '127.0.0.1', port: 2050 });
    assert.deepEqual(findAdmin(command('wait', '--admin', '[::]:9'), new Captured()), { host: '::1', port: 9 });
    assert.deepEqual(findAdmin(command('wait', '--admin', 'unix:/a'), new Captured()), { host: '', port: 0, path: '/a' });
  });

  test('say why it cannot be found', () => {
    const file = join(folder, 'b.yaml');
    const said = (words: string[], text = '', env: Record<string, string> = {}): [unknown, string] => {
      writeFileSync(file, text);
      const to = new Captured(env);
      return [findAdmin(command('stop', ...words), to), to.errors.replaceAll(folder, '')];
    };
    assert.deepEqual(said(['--admin', 'here']), [2, 'sluice stop: --admin is not an address such as 127.0.0.1:80, [::1]:80, :80 or unix:/path (the port is missing: here:80): here\n']);
    assert.match(said([], '', { ADMIN: 'x:y' })[1], /^sluice stop: \$ADMIN is not an address/);
    assert.deepEqual(said(['-c', file], 'admin: false'), [1, `sluice stop: the admin is turned off in ${file}\n`.replaceAll(folder, '')]);
    assert.deepEqual(said(['-c', file], 'admin: {adress: 1}')[0], 3);
    assert.deepEqual(said(['-c', join(folder, 'none')])[0], 3);
  });

  test('wait until it is ready', async () => {
    operations.state = { ready: false, waiting: ['listener http'] };
    let asked = 0;
    const ready = operations.ready.bind(operations);
    operations.ready = () => (++asked === 2 ? { ready: true, waiting: [] } : ready());
    const to = new Captured();
    assert.equal(await wait(command('wait', '--admin', admin.address, '--timeout', '30s'), to), 0);
    assert.deepEqual([asked, to.errors], [2, '']);
  });

  test('give up with what is awaited, or that nobody answers', async () => {
    operations.state = { ready: false, waiting: ['listener http', 'cluster app: first DNS answer'] };
    const to = new Captured();
    assert.equal(await wait(command('wait', '--admin', admin.address, '--timeout', '300ms'), to), 1);
    assert.equal(to.errors, `sluice wait: the process at ${admin.address} is not ready: it awaits listener http, cluster app: first DNS answer\n`);
    await admin.close();
    const none = new Captured({ ADMIN: admin.address });
    assert.equal(await wait(command('wait', '--timeout', '50ms'), none), 1);
    assert.match(none.errors, /nobody answers: ECONNREFUSED/);
    assert.equal(await wait(command('wait', '--timeout', 'soon'), none), 2);
  });

  test('drain and stop it, and wait for its end', async () => {
    operations.drain = async () => {
      operations.calls.push('drain');
      setImmediate(() => void admin.close());
    };
    assert.equal(await drain(command('drain', '--admin', admin.address), new Captured()), 0);
    admin = await startAdmin({ operations, address: { host: '127.0.0.1', port: 0 } });
    operations.onStop = () => void admin.close();
    assert.equal(await stop(command('stop', '--admin', admin.address, '--deadline', '1.5s'), new Captured()), 0);
    admin = await startAdmin({ operations, address: { host: '127.0.0.1', port: 0 } });
    operations.onStop = () => {};
    assert.equal(await stop(command('stop', '--admin', admin.address, '--no-wait'), new Captured()), 0);
    assert.equal(await stop(command('stop', '--admin', admin.address, '--no-wait', '--deadline', '0'), new Captured()), 0);
    // The last stop is called when its answer was sent, which may be after the answer came.
    for (let i = 0; operations.calls.length < 4 && i < 1000; i++) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(operations.calls, ['drain', 'stop 1500', 'stop undefined', 'stop 0']);
  });

  test('fail when nobody answers, or something else does', async () => {
    const to = new Captured();
    assert.equal(await stop(command('stop', '--admin', admin.address, '--deadline', 'x'), to), 2);
    operations.drain = () => Promise.reject(new Error('not now'));
    assert.equal(await drain(command('drain', '--admin', admin.address), to), 1);
    assert.match(to.errors, /answers 500: .*not now/s);
    await admin.close();
    assert.equal(await drain(command('drain', '--admin', admin.address), to), 1);
    assert.match(to.errors, /nobody answers at 127\.0\.0\.1:\d+: ECONNREFUSED\n$/);
  });
});

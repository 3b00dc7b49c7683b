// The process log: both formats, levels that change while running, names, errors, and what cannot be printed.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, afterEach, beforeEach, test } from 'node:test';
import { setClock } from '../../src/core/clock.js';
import { FakeClock } from '../../src/core/clock-fake.js';
import { configureLog, getLevel, log, setLevel } from '../../src/core/log.js';

let lines: string[] = [];
const restore = setClock(new FakeClock(0, Date.UTC(2024, 4, 5, 6, 7, 8, 9)));
after(() => restore());
beforeEach(async () => {
  lines = [];
  await configureLog({ level: 'info', format: 'text', to: { write: (line) => void lines.push(line) } });
});
afterEach(async () => configureLog({ level: 'info', format: 'text' }));

test('a text line is time, level, name, message and fields', () => {
  log.info('started');
  log.child('upstream').child('dns').warn({ host: 'a:1', ms: 1.5, ok: false, list: [1], none: undefined, nothing: null, words: 'two words', quote: 'a="b"' }, 'slow');
  assert.deepEqual(lines, [
    '2024-05-05T06:07:08.009Z info  started\n',
    '2024-05-05T06:07:08.009Z warn  [upstream.dns] slow host=a:1 ms=1.5 ok=false list=[1] nothing=null words="two words" quote="a=\\"b\\""\n',
  ]);
});

test('nothing a field or message holds breaks the line or throws', () => {
  const loop: Record<string, unknown> = {};
  loop['self'] = loop;
  log.info({ loop, big: 5n, text: 'a\nb', f: () => 1, s: Symbol('x') }, 'one\ntwo');
  assert.equal(lines.length, 1);
  assert.equal(lines[0]!.split('\n').length, 2);
  assert.match(lines[0]!, /one\\ntwo .*text="a\\nb"/);
});

test('an error shows its message, and its stack from level error on or while debugging', () => {
  log.warn({ err: new Error('connection lost') }, 'upstream');
  assert.match(lines[0]!, /err="connection lost"\n$/);
  log.error({ err: new Error('connection lost') }, 'upstream');
  assert.match(lines[1]!, /err="Error: connection lost\\n {4}at /);
  setLevel('debug');
  log.warn({ err: new Error('connection lost') }, 'upstream');
  assert.match(lines[2]!, /at /);
});

test('the level decides what is written and can change at any time, for children too', () => {
  const child = log.child('x');
  const all = () => {
    for (const level of ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const) child[level](level);
    return lines.splice(0).map((line) => line.split(' ')[1]);
  };
  assert.deepEqual(all(), ['info', 'warn', 'error', 'fatal']);
  setLevel('error');
  assert.equal(getLevel(), 'error');
  assert.deepEqual(all(), ['error', 'fatal']);
  assert.equal(child.enabled('warn'), false);
  assert.equal(child.enabled('fatal'), true);
  setLevel('trace');
  assert.equal(all().length, 6);
  setLevel('silent');
  assert.deepEqual(all(), []);
});

test('JSON lines hold the same, and the level can change there too', async () => {
  const child = log.child('dns');
  child.info('as text');
  await configureLog({ format: 'json' });
  child.warn({ host: 'a:1', err: new TypeError('boom') }, 'slow');
  log.info('plain');
  child.debug('unseen');
  setLevel('debug');
  child.debug({ n: 1 });
  const [, first, second, third] = lines;
  assert.equal(lines.length, 4);
  const { err, ...rest } = JSON.parse(first!) as { err: { type: string; message: string; stack: string } };
  assert.deepEqual(rest, { level: 'warn', time: '2024-05-05T06:07:08.009Z', name: 'dns', host: 'a:1', msg: 'slow' });
  assert.equal(err.type, 'TypeError');
  assert.equal(err.message, 'boom');
  assert.match(err.stack, /at /);
  assert.deepEqual(JSON.parse(second!), { level: 'info', time: '2024-05-05T06:07:08.009Z', msg: 'plain' });
  assert.deepEqual(JSON.parse(third!), { level: 'debug', time: '2024-05-05T06:07:08.009Z', name: 'dns', n: 1 });
});

test('a new sink is used by loggers that wrote before', async () => {
  await configureLog({ format: 'json' });
  const child = log.child('a');
  child.info('old');
  const other: string[] = [];
  await configureLog({ to: { write: (line) => void other.push(line) } });
  child.info('new');
  assert.equal(lines.length, 1);
  assert.equal(other.length, 1);
  assert.equal(JSON.parse(other[0]!).msg, 'new');
});

test('asking for text while JSON is still loading ends in text', async () => {
  const loading = configureLog({ format: 'json' });
  await configureLog({ format: 'text' });
  await loading;
  log.info('plain');
  assert.match(lines.at(-1)!, /info {2}plain\n$/);
});

test('lines go to standard error at once, also from a worker and before an exit', () => {
  const module = new URL('../../src/core/log.js', import.meta.url).href;
  const script = `
    import { Worker, isMainThread } from 'node:worker_threads';
    import { log, configureLog } from ${JSON.stringify(module)};
    await configureLog({ format: process.argv[1] ?? 'text' });
    log.info('x'.repeat(100000));
    log.fatal('last');
    process.exit(0);`;
  for (const format of ['text', 'json']) {
    const { stderr, stdout } = run(['--input-type=module', '-e', script, format]);
    assert.equal(stdout, '');
    const found = stderr.trimEnd().split('\n');
    assert.equal(found.length, 2);
    assert.ok(found[0]!.length > 100_000);
    assert.match(found[1]!, /last/);
  }
  const inWorker = `
    import { Worker } from 'node:worker_threads';
    const code = 'import(' + JSON.stringify(${JSON.stringify(module)}) + ').then(({log}) => { log.warn("from the worker"); process.exit(0); })';
    new Worker(code, { eval: true });`;
  assert.match(run(['--input-type=module', '-e', inWorker]).stderr, /warn {2}from the worker\n$/);
});

function run(args: string[]): { stdout: string; stderr: string } {
  const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 20_000, maxBuffer: 1 << 24 });
  assert.equal(status, 0, stderr);
  return { stdout, stderr };
}

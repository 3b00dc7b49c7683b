// The command as a process: what it prints where, how it ends, and a life from start to stop.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { freePorts, Process, run } from './process.js';

const get = async (url: string): Promise<{ status: number; text: string }> => {
  const reply = await fetch(url, { signal: AbortSignal.timeout(10_000), headers: { connection: 'close' } });
  return { status: reply.status, text: await reply.text() };
};

describe('the command', () => {
  test('tells its version and its commands on standard output', async () => {
    assert.match((await run(['--version'])).output, /^(\d+\.\d+\.\d+|undefined)\n$/);
    const help = await run(['--help']);
    assert.deepEqual([help.code, help.errors], [0, '']);
    assert.match(help.output, /^usage: sluice COMMAND/);
    assert.match((await run(['start', '--help'])).output, /--workers N/);
  });

  test('ends with 2 when it is not understood', async () => {
    for (const args of [[], ['strat'], ['start'], ['start', '--wrong'], ['explain', 'a', 'b'], ['call', 'dubbo', 'a:1', 's', 'm'], ['wait', '--timeout', 'x']]) {
      const { code, output, errors } = await run(args);
      assert.deepEqual([code, output], [2, ''], args.join(' '));
      assert.match(errors, /^sluice/);
    }
  });

  test('explains reason codes', async () => {
    const one = await run(['explain', 'no-route']);
    assert.equal(one.code, 0);
    assert.match(one.output, /^no-route\n {2}no route matches: /);
    assert.match((await run(['explain'])).output, /^connect-refused +host <host> refused the connection$/m);
    const none = await run(['explain', 'no-rout']);
    assert.deepEqual([none.code, none.output], [2, '']);
    assert.match(none.errors, /Did you mean no-route/);
  });

  test('prints all of a schema into a pipe', async () => {
    const { code, output } = await run(['check', '--schema']);
    assert.equal(code, 0);
    const schema = JSON.parse(output) as { properties: Record<string, unknown> };
    assert.ok('listeners' in schema.properties);
    assert.ok(output.length > 70_000, String(output.length));
  });
});

describe('a process', () => {
  let folder = '';
  const started: Process[] = [];
  const begin = (...args: Parameters<typeof start>): Process => start(...args);
  function start(args: readonly string[], env: Record<string, string> = {}): Process {
    const process = new Process(args, env);
    started.push(process);
    return process;
  }
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'sluice-main-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));
  afterEach(async () => {
    for (const process of started.splice(0)) await process.kill();
  });

  const config = (http: number, admin: number, body = 'one'): string => {
    const file = join(folder, `${http}-${admin}.yaml`);
    writeFileSync(file, `admin: 127.0.0.1:${admin}
drain_timeout: 5s
listeners: [{name: web, address: "127.0.0.1:${http}", protocol: http1, routes: r}]
routes: [{name: r, routes: [{direct_response: {body: ${body}}}]}]
banner: ["port \${HTTP_PORT:-unset}"]
`);
    return file;
  };

  test('says where it listens, is waited for, answers, reloads and stops', async () => {
    const [http, admin] = (await freePorts(2)) as [number, number];
    const file = config(http, admin);
    const server = begin(['start', '-c', file, '--no-watch'], { HTTP_PORT: '5' });
    await server.until('errors', new RegExp(`web +http1 +127\\.0\\.0\\.1:${http}\\n.*admin +http +127\\.0\\.0\\.1:${admin}\\nport 5\\n`, 's'));
    assert.deepEqual(await run(['wait', '-c', file]), { code: 0, output: '', errors: '' });
    assert.deepEqual(await get(`http://127.0.0.1:${http}/`), { status: 200, text: 'one' });
    await server.until('output', /"GET \/" 200 /);

    config(http, admin, 'two');
    server.signal('SIGHUP');
    await server.until('errors', /the configuration was read again/);
    assert.equal((await get(`http://127.0.0.1:${http}/`)).text, 'two');
    const state = JSON.parse((await get(`http://127.0.0.1:${admin}/config`)).text) as { wanted: number; running: number };
    assert.deepEqual([state.wanted, state.running], [2, 2]);

    writeFileSync(file, 'listeners: [');
    assert.equal((await fetch(`http://127.0.0.1:${admin}/reload`, { method: 'POST', signal: AbortSignal.timeout(10_000) })).status, 422);
    assert.equal((await get(`http://127.0.0.1:${http}/`)).text, 'two', 'what was in force stays');

    server.signal('SIGUSR1');
    server.signal('SIGUSR2');
    await server.until('errors', /SIGUSR2: upgrading/);
    assert.ok(!server.errors.includes('Debugger'), 'no inspector');

    assert.deepEqual(await run(['stop', '--admin', `127.0.0.1:${admin}`]), { code: 0, output: '', errors: '' });
    assert.equal(await server.exit(), 0);
    await assert.rejects(get(`http://127.0.0.1:${http}/`));
  });

  test('drains at SIGTERM and ends with 0', async () => {
    const [http, admin] = (await freePorts(2)) as [number, number];
    const server = begin(['start', '-c', config(http, admin)]);
    await server.until('errors', /admin +http/);
    server.signal('SIGTERM');
    assert.equal(await server.exit(), 0);
    assert.match(server.errors, /draining/);
  });

  test('is not disturbed by SIGUSR1 while it starts', async () => {
    const [http, admin] = (await freePorts(2)) as [number, number];
    const server = begin(['start', '-c', config(http, admin)]);
    // Once the file's own first line has run; before that Node has the signal to itself.
    await server.until('errors', /worker|runs as/);
    for (let i = 0; i < 5; i++) server.signal('SIGUSR1');
    await server.until('errors', /admin +http/);
    assert.ok(!/Debugger|inspector/i.test(server.errors), server.errors);
    server.signal('SIGINT');
    assert.equal(await server.exit(), 0);
  });

  test('ends with 3 and the places of all problems when its configuration is refused', async () => {
    const file = join(folder, 'bad.yaml');
    writeFileSync(file, 'listeners:\n  - name: A\n    adress: :1\n');
    const { code, output, errors } = await run(['start', '-c', file]);
    assert.deepEqual([code, output], [3, '']);
    assert.match(errors, /bad\.yaml:2:11: listeners\[0\]\.name: .*\n.*bad\.yaml:3:5: listeners\[0\]\.adress: unknown key \(did you mean address\?\)/s);
    assert.equal((await run(['start', '-c', join(folder, 'none.yaml')])).code, 3);
  });

  test('ends with 1 when an address is taken, and says which', async () => {
    const [http, admin, other] = (await freePorts(3)) as [number, number, number];
    const first = begin(['start', '-c', config(http, admin)]);
    await first.until('errors', /admin +http/);
    const data = await run(['start', '-c', config(http, other)]);
    assert.equal(data.code, 1, data.errors);
    assert.match(data.errors, new RegExp(`127\\.0\\.0\\.1:${http}`));
    const same = await run(['start', '-c', config(other, admin)]);
    assert.equal(same.code, 1, same.errors);
    assert.match(same.errors, new RegExp(`admin cannot listen on 127\\.0\\.0\\.1:${admin}: another process has it`));
    assert.equal((await get(`http://127.0.0.1:${http}/`)).status, 200);
  });
});

// Access logs of a real process: text and JSON, standard output and files, rotation, formats that change, and reasons that are true.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { get, open, send, serveHttp, serveRaw } from '../support/http.js';
import { freePorts, start, until, type Sluice } from '../support/sluice.js';
import { Load } from './load.js';

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'sluice-log-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

const linesOf = (file: string): string[] => (existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter((line) => line !== '') : []);

function replace(sluice: Sluice, config: string): void {
  writeFileSync(`${sluice.file}.new`, `admin: {address: ${sluice.admin}}\n${config}`);
  renameSync(`${sluice.file}.new`, sluice.file);
}

test('the ready-made text and JSON lines, side by side on standard output and in files, say the same', { timeout: 60_000 }, async (t) => {
  const path = folder(t);
  const host = await serveHttp(t, (_request, response) => response.writeHead(201).end('made'));
  const [port] = await freePorts(1);
  const sluice = await start(t, {
    config: `
access_log:
  - {format: text}
  - {path: ${path}/all.json, format: json}
  - {path: ${path}/own.log, format: {what: "%operation%", status: "%response_code%", agent: "%request_header_user-agent%", from: "%downstream_remote_ip%", none: "%request_header_x-none%"}}
  - {path: ${path}/errors.log, when: errors, format: "%operation% %reason%"}
listeners: [{name: in, address: "127.0.0.1:${port}", protocol: http1, routes: main}]
routes: [{name: main, routes: [{name: teapot, match: {path: /tea}, direct_response: {status: 418}}, {name: broken, match: {path: /gone}, cluster: gone}, {name: rest, cluster: app}]}]
clusters: [{name: app, hosts: "127.0.0.1:${host.port}"}, {name: gone, hosts: "127.0.0.1:1"}]
`,
  });
  const reply = await send(port!, { method: 'POST', path: '/a?b=%22c', headers: { host: 'shop.example', 'user-agent': 'say "hi"\\', 'x-request-id': 'id-1' } }, 'data');
  assert.equal(reply.status, 201);
  await get(port!, '/tea');
  await get(port!, '/gone');
  await until('all lines', () => sluice.lines.length === 3 && linesOf(`${path}/all.json`).length === 3 && linesOf(`${path}/own.log`).length === 3 && linesOf(`${path}/errors.log`).length === 1);

  const [made, tea, gone] = sluice.lines;
  assert.match(made!, new RegExp(`^\\[\\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z\\] http1 "POST /a\\?b=%22c" 201 - - - \\d+ \\d+ [\\d.]+ [\\d.]+ "shop\\.example" 127\\.0\\.0\\.1:\\d+ id-1 in rest app 127\\.0\\.0\\.1:${host.port}`));
  assert.match(tea!, /"GET \/tea" 418 .* in teapot - -$/);
  assert.match(gone!, /"GET \/gone" 503 UF connect-refused upstream .* in broken gone 127\.0\.0\.1:1/);

  const json = linesOf(`${path}/all.json`).map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.deepEqual([json[0]!['operation'], json[0]!['response_code'], json[0]!['reason'], json[0]!['authority'], json[0]!['request_id']], ['POST /a?b=%22c', 201, null, 'shop.example', 'id-1']);
  assert.equal(typeof json[0]!['duration'], 'number');
  assert.deepEqual([json[2]!['reason'], json[2]!['response_flags'], json[2]!['where']], ['connect-refused', 'UF', 'upstream']);
  assert.match(String(json[2]!['reason_text']), /host 127\.0\.0\.1:1 refused the connection/);
  const attempts = json[2]!['attempts'] as { host: string; reason: string }[];
  assert.ok(attempts.length >= 1 && JSON.stringify(attempts).includes('127.0.0.1:1') && JSON.stringify(attempts).includes('ECONNREFUSED'), JSON.stringify(attempts));

  const own = JSON.parse(linesOf(`${path}/own.log`)[0]!) as Record<string, unknown>;
  assert.deepEqual(own, { what: 'POST /a?b=%22c', status: 201, agent: 'say "hi"\\', from: '127.0.0.1', none: null });
  assert.deepEqual(linesOf(`${path}/errors.log`), ['GET /gone connect-refused']);
});

test('nobody can forge a line', { timeout: 60_000 }, async (t) => {
  const [port] = await freePorts(1);
  const sluice = await start(t, {
    config: `
access_log: [{format: "%operation% %request_header_x-a% %response_code%"}]
listeners: [{name: in, address: "127.0.0.1:${port}", protocol: http1, routes: main}]
routes: [{name: main, routes: [{direct_response: {}}]}]
`,
  });
  const client = await open(t, port!);
  client.send('GET /x HTTP/1.1\r\nhost: x\r\nx-a: tab\there \xff\xfe \x85 "quoted" 200\r\n\r\n');
  await client.reply();
  await until('its line', () => sluice.lines.length === 1);
  // eslint-disable-next-line no-control-regex
  assert.doesNotMatch(sluice.lines[0]!, /[\x00-\x1f\x7f]/);
  assert.match(sluice.lines[0]!, /^GET \/x .* 200$/);
});

test('a file that was moved away is opened anew at SIGHUP: no line is lost between the two', { timeout: 60_000 }, async (t) => {
  const path = folder(t);
  const file = join(path, 'access.log');
  const [port] = await freePorts(1);
  const sluice = await start(t, {
    config: `
access_log: {path: ${file}, format: "%path% %response_code%"}
listeners: [{name: in, address: "127.0.0.1:${port}", protocol: http1, routes: main}]
routes: [{name: main, routes: [{direct_response: {}}]}]
`,
  });
  const load = new Load(t, { port: port!, lanes: 6 });
  await load.more(50);
  const parts: string[] = [];
  for (let i = 0; i < 3; i++) {
    await until('the file has lines', () => linesOf(file).length > 0);
    const moved = `${file}.${i}`;
    renameSync(file, moved);
    parts.push(moved);
    await load.more(20);
    sluice.kill('SIGHUP');
    await until('there is a new file', () => existsSync(file));
    await load.more(20);
  }
  await load.stop();
  assert.deepEqual(load.failures, []);
  parts.push(file);
  await until('every request has its line', () => parts.reduce((sum, part) => sum + linesOf(part).length, 0) === load.done);
  for (const part of parts) assert.ok(linesOf(part).length > 0, `${part} has lines`);
  for (const part of parts) for (const line of linesOf(part)) assert.equal(line, '/ 200');
  assert.equal(await sluice.metric('sluice_access_log_dropped_total'), 0);
});

test('a log that cannot be written costs lines and nothing else, and is told; formats and files change while it runs', { timeout: 60_000 }, async (t) => {
  const path = folder(t);
  mkdirSync(join(path, 'dir'));
  const [port] = await freePorts(1);
  const config = (log: string): string => `
access_log: ${log}
listeners: [{name: in, address: "127.0.0.1:${port}", protocol: http1, routes: main}]
routes: [{name: main, routes: [{direct_response: {}}]}]
`;
  const sluice = await start(t, { config: config(`{path: ${path}/dir, format: "%path%"}`) });
  for (let i = 0; i < 5; i++) assert.equal((await get(port!, '/lost')).status, 200);
  await until('it is told', () => /access log cannot be/.test(sluice.stderr) && /EISDIR/.test(sluice.stderr));
  await until('lost lines are counted', async () => (await sluice.metric('sluice_access_log_dropped_total')) === 5);
  const change = async (log: string): Promise<void> => {
    replace(sluice, config(log));
    assert.equal((await fetch(`http://${sluice.admin}/reload`, { method: 'POST' })).status, 200);
  };
  await change(`{path: ${path}/a.log, format: "a %path%"}`);
  await get(port!, '/one');
  await change(`[{path: ${path}/b.log, format: "b %path% %request_header_host%"}, {format: "%path%"}]`);
  await send(port!, { path: '/two', headers: { host: 'h' } });
  await change('false');
  await get(port!, '/three');
  await until('both files', () => linesOf(`${path}/a.log`).length === 1 && linesOf(`${path}/b.log`).length === 1);
  assert.deepEqual(linesOf(`${path}/a.log`), ['a /one']);
  assert.deepEqual(linesOf(`${path}/b.log`), ['b /two h']);
  sluice.kill('SIGTERM');
  assert.equal(await sluice.exited, 0);
  assert.deepEqual(sluice.lines, ['/two']);
});

test('what is still in memory when the process ends is written', { timeout: 60_000 }, async (t) => {
  const path = folder(t);
  const [port] = await freePorts(1);
  const sluice = await start(t, {
    config: `
access_log: [{path: ${path}/a.log, format: "%path%"}, {format: "%path%"}]
listeners: [{name: in, address: "127.0.0.1:${port}", protocol: http1, routes: main}]
routes: [{name: main, routes: [{direct_response: {}}]}]
`,
  });
  const client = await open(t, port!);
  client.send('GET /last HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(100));
  for (let i = 0; i < 100; i++) await client.reply();
  client.end();
  sluice.kill('SIGTERM');
  assert.equal(await sluice.exited, 0);
  assert.equal(linesOf(`${path}/a.log`).length, 100);
  assert.equal(sluice.lines.length, 100);
});

test('each failure has its true reason, flag and side', { timeout: 60_000 }, async (t) => {
  const host = await serveHttp(t, (request, response) => {
    if (request.url === '/half') {
      response.writeHead(200, { 'content-length': 100 }).write('half');
      setTimeout(() => response.destroy(), 20);
    } else if (request.url === '/close') request.socket.destroy();
    else if (request.url === '/500') response.writeHead(500).end();
  });
  const raw = await serveRaw(t, (socket) => {
    socket.on('data', () => socket.write('this is no HTTP\r\n\r\n'));
    socket.on('end', () => socket.end());
  });
  const [port, refusing] = await freePorts(2);
  const sluice = await start(t, {
    config: `
access_log: {format: "%path% %response_code% %response_flags% %reason% %where%"}
listeners: [{name: in, address: "127.0.0.1:${port}", protocol: http1, routes: main, timeouts: {head: 300ms}, options: {max_head: 8KiB}}]
routes:
  - name: main
    routes:
      - {match: {path: /timeout}, cluster: app, timeout: 100ms}
      - {match: {path: /try}, cluster: app, retry: {attempts: 1, per_try_timeout: 100ms}}
      - {match: {path: /garbage}, cluster: raw}
      - {match: {path: /refused}, cluster: refusing}
      - {match: {path: /empty}, cluster: empty}
      - {match: {path: /nobody, method: NEVER}, cluster: app}
      - {match: {regex: "/(half|close|500|leave)"}, cluster: app}
clusters:
  - {name: app, hosts: "127.0.0.1:${host.port}"}
  - {name: raw, hosts: "127.0.0.1:${raw.port}"}
  - {name: refusing, hosts: "127.0.0.1:${refusing}"}
  - {name: empty, hosts: []}
`,
  });
  const expected = [
    '/timeout 504 UT request-timeout upstream',
    '/try 504 UT try-timeout upstream',
    '/garbage 502 UPE bad-reply upstream',
    '/refused 503 UF connect-refused upstream',
    '/empty 503 UH no-host upstream',
    '/nobody 404 NR no-route proxy',
    '/half 200 UC reply-cut upstream',
    '/close 502 UC upstream-closed upstream',
    '/500 500 - - -',
  ];
  for (const line of expected) await get(port!, line.split(' ')[0]).catch(() => null);
  const leaving = await open(t, port!);
  leaving.send('GET /leave HTTP/1.1\r\nhost: x\r\n\r\n');
  await until('it is in flight', async () => (await sluice.metric('sluice_listener_active_requests')) === 1);
  leaving.end();
  const late = await open(t, port!);
  late.send('GET /late HTTP/1.1\r\n');
  await late.whenClosed();
  const bad = await open(t, port!);
  bad.send('GET /bad HTTP/1.1\nhost: x\n\n');
  await bad.whenClosed();
  const smuggle = await open(t, port!);
  smuggle.send('POST /smuggle HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n');
  await smuggle.whenClosed();
  const large = await open(t, port!);
  large.send(`GET /large HTTP/1.1\r\nhost: x\r\nx: ${'x'.repeat(9000)}\r\n\r\n`);
  await large.whenClosed();
  const more = [/^\/leave 499 DC downstream-closed downstream$/, / 408 DPE head-timeout downstream$/, / 400 DPE bad-request downstream$/, / 400 DPE ambiguous-length downstream$/, / 431 DPE head-too-large downstream$/];
  await until('all lines', () => sluice.lines.length === expected.length + more.length);
  for (const line of expected) assert.ok(sluice.lines.includes(line), `${line}\n${sluice.lines.join('\n')}`);
  for (const pattern of more) assert.ok(sluice.lines.some((line) => pattern.test(line)), `${String(pattern)}\n${sluice.lines.join('\n')}`);
  const reasons = await sluice.metric('sluice_listener_reasons_total');
  assert.equal(reasons, sluice.lines.length - 1, 'metrics tell the same, save the 500 that the host made');
});

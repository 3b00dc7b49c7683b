// Every configuration in configs/ is an example that works: documented in its own header, valid, started by a real process, answering.
import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer as createHttpServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2';
import { createServer as createHttpsServer, request as requestTls } from 'node:https';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { after, afterEach, before, describe, test } from 'node:test';
import { freePorts, Process, run } from '../main/process.js';
import { receive, type ReceivedSpan } from '../support/otlp.js';

const files = readdirSync('configs').filter((name) => name.endsWith('.yaml'));
const textOf = (file: string): string => readFileSync(join('configs', file), 'utf8');
/** Names and defaults of the variables in a file, without its comments. */
const variablesOf = (file: string): Map<string, string> =>
  new Map([...textOf(file).replace(/^\s*#.*$/gm, '').matchAll(/\$\{(\w+):-([^}]*)\}/g)].map(([, name, fallback]) => [name!, fallback!]));

interface Reply {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
}

function read(reply: IncomingMessage): Promise<Reply> {
  return new Promise((resolve, reject) => {
    let text = '';
    reply.setEncoding('utf8').on('data', (piece: string) => (text += piece)).on('error', reject);
    reply.on('end', () => resolve({ status: reply.statusCode!, headers: reply.headers, text }));
  });
}

function http(port: number, path: string, options: { method?: string; headers?: Record<string, string>; body?: string } = {}): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, path, method: options.method ?? 'GET', headers: { connection: 'close', ...options.headers }, timeout: 10_000 }, (reply) => resolve(read(reply)));
    asked.on('timeout', () => asked.destroy(new Error(`no answer to ${path}`))).on('error', reject).end(options.body ?? '');
  });
}

/** Tells what it was asked, and its own name. */
const describeRequest = (name: string) => (asked: IncomingMessage, reply: ServerResponse): void => {
  asked.resume().on('end', () => {
    const tls = (asked.socket as TLSSocket).getPeerCertificate?.()?.subject?.CN;
    reply.setHeader('server', name);
    reply.end(JSON.stringify({ name, method: asked.method, url: asked.url, headers: asked.headers, client: tls ?? null }));
  });
};

interface Asked {
  readonly name: string;
  readonly method: string;
  readonly url: string;
  readonly headers: Record<string, string>;
  readonly client: string | null;
}
const asked = (reply: Reply): Asked => {
  assert.equal(reply.status, 200, reply.text);
  return JSON.parse(reply.text) as Asked;
};

describe('each configuration', () => {
  const env = { CERTS: join(process.cwd(), 'test/none') };
  for (const file of files) {
    test(`${file} says in its header what it is and which variables it has`, () => {
      const header = /^(?:#.*\n)+/.exec(textOf(file))?.[0] ?? '';
      assert.ok(header.split('\n').length > 3, 'a header');
      assert.ok(header.includes(`start -c configs/${file}`), 'how to start it');
      for (const [name, fallback] of variablesOf(file)) {
        assert.match(header, new RegExp(`\\b${name}\\b`), `${name} is not in the header`);
        if (file !== 'quickstart.yaml') assert.match(header, new RegExp(`^# ${name} .*${fallback.replace(/[.]/g, '\\.')}`, 'm'), `the default of ${name}`);
      }
    });

    test(`${file} is valid, with nothing to warn of, and explained`, async () => {
      const { code, output, errors } = await run(['check', '-c', join('configs', file), '--explain'], env);
      if (file === 'tls.yaml') {
        // Its files are not there: nothing else may be wrong.
        assert.equal(code, 3);
        for (const line of errors.trim().split('\n').slice(0, -1)) assert.match(line, /\.tls\..*: cannot read .*: ENOENT$/);
        return;
      }
      assert.equal(code, 0, errors);
      assert.match(errors, /is valid: [^;]*\n$/);
      for (const name of variablesOf(file).keys()) assert.match(output, new RegExp(`line \\d+.*\\$${name}\\b`), `${name} is explained`);
    });
  }
});

describe('started by a process of its own', () => {
  const started: Process[] = [];
  const servers: Server[] = [];
  let folder = '';
  const tried = new Set<string>();
  let upstream = 0;
  let second = 0;
  let echoHttp = 0;
  let echoBolt = 0;

  const serve = async (server: Server): Promise<number> => {
    servers.push(server.listen(0, '127.0.0.1'));
    if (!server.listening) await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  };
  /** Starts a configuration on free ports and waits until it is ready; its variables LISTEN and ADMIN are set. */
  const begin = async (file: string, env: Record<string, string>): Promise<{ process: Process; port: number; admin: number }> => {
    tried.add(file);
    const [port, admin] = (await freePorts(2)) as [number, number];
    const all = { LISTEN: `127.0.0.1:${port}`, ADMIN: `127.0.0.1:${admin}`, ...env };
    const process = new Process(['start', '-c', join('configs', file), '--workers', '1', '--no-watch'], all);
    started.push(process);
    await process.until('errors', /^ +admin +http +/m);
    const ready = await http(admin, '/ready');
    assert.equal(ready.status, 200, ready.text);
    return { process, port, admin };
  };
  /** What every example ends with: metrics that count, and a stop that ends with 0. */
  const finish = async ({ process, admin }: { process: Process; admin: number }, metric: RegExp): Promise<void> => {
    assert.match((await http(admin, '/metrics')).text, metric);
    process.signal('SIGTERM');
    assert.equal(await process.exit(), 0, process.errors);
  };

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'sluice-configs-'));
    upstream = await serve(createHttpServer(describeRequest('first')));
    second = await serve(createHttpServer(describeRequest('second')));
  });
  after(async () => {
    for (const server of servers) {
      (server as { closeAllConnections?: () => void }).closeAllConnections?.();
      server.close();
    }
    rmSync(folder, { recursive: true, force: true });
  });
  afterEach(async () => {
    for (const process of started.splice(0)) await process.kill();
  });

  test('quickstart.yaml answers all that it says one can type', async () => {
    const [web, bolt] = (await freePorts(4)) as [number, number];
    [echoHttp, echoBolt] = (await freePorts(2)) as [number, number];
    const one = await begin('quickstart.yaml', { HTTP: `127.0.0.1:${web}`, BOLT: `127.0.0.1:${bolt}`, ECHO_HTTP: `127.0.0.1:${echoHttp}`, ECHO_BOLT: `127.0.0.1:${echoBolt}` });
    for (const port of [web, bolt, echoHttp, echoBolt, one.admin]) assert.match(one.process.errors, new RegExp(` 127\\.0\\.0\\.1:${port}\\n`));
    const commands = one.process.errors.split('\n').filter((line) => /^ {2}(curl|npx) /.test(line));
    assert.deepEqual(commands.map((line) => line.trim().replace(/:\d+/, ':PORT')), [
      'curl http://127.0.0.1:PORT/hello',
      "curl -d 'some text' http://127.0.0.1:PORT/anything",
      'npx sluice call bolt 127.0.0.1:PORT com.example.Greeting:1.0 sayHello world',
      'curl http://127.0.0.1:PORT/',
      'curl http://127.0.0.1:PORT/metrics',
    ]);

    assert.deepEqual((await http(web, '/hello')).text, 'hello from Sluice, 127.0.0.1\n');
    const echoed = await http(web, '/anything', { method: 'POST', body: 'some text' });
    assert.deepEqual([echoed.status, echoed.text, echoed.headers['x-served-by']], [200, 'some text', `127.0.0.1:${echoHttp}`]);
    assert.match((await http(web, '/headers')).text, /^GET \/headers\n(.*\n)*x-sluice-route: everything\n/);
    for (const version of ['1', '2']) {
      const call = await run(['call', 'bolt', `127.0.0.1:${bolt}`, 'com.example.Greeting:1.0', 'sayHello', 'world', '--version', version]);
      assert.deepEqual([call.code, call.errors], [0, '']);
      assert.match(call.output, /^status: 0 success\n[^]*^content: "world"$/m);
    }
    assert.match((await http(one.admin, '/')).text, /^Sluice .*\nready\n/);
    await one.process.until('output', /"GET \/hello" 200[^]*"POST \/anything" 200[^]*"com\.example\.Greeting:1\.0\.sayHello" 200/);
    await finish(one, /^sluice_listener_requests_total\{listener="bolt"\} 2$/m);
  });

  test('http.yaml goes from a listener to the hosts in turn', async () => {
    const one = await begin('http.yaml', { UPSTREAM: `127.0.0.1:${upstream},127.0.0.1:${second}` });
    const names = [];
    for (let i = 0; i < 4; i++) names.push(asked(await http(one.port, `/${i}`)).name);
    assert.deepEqual(names.sort(), ['first', 'first', 'second', 'second']);
    await one.process.until('output', /(.*"GET \/\d" 200 .*\n){4}/);
    await finish(one, /^sluice_cluster_requests_total\{cluster="app"\} 4$/m);
  });

  test('tcp.yaml carries bytes both ways', async () => {
    const echo = await serve(createServer((socket) => void socket.on('error', () => {}).pipe(socket)));
    const one = await begin('tcp.yaml', { UPSTREAM: `127.0.0.1:${echo}` });
    const socket = connect(one.port, '127.0.0.1').setTimeout(10_000, () => socket.destroy(new Error('nothing came back')));
    socket.write('ping');
    const [back] = (await once(socket, 'data')) as [Buffer];
    assert.equal(back.toString(), 'ping');
    socket.end();
    await once(socket.resume(), 'close');
    await one.process.until('output', /tcp.*127\.0\.0\.1/);
    await finish(one, /^sluice_cluster_connects_total\{cluster="app"\} 1$/m);
  });

  test('detect.yaml tells protocols apart and carries the rest as bytes', async () => {
    const echo = await serve(createServer((socket) => void socket.on('error', () => {}).pipe(socket)));
    const one = await begin('detect.yaml', { UPSTREAM: `127.0.0.1:${upstream}`, FALLBACK: `127.0.0.1:${echo}` });
    assert.equal(asked(await http(one.port, '/any')).url, '/any');
    const client = connect(one.port, '127.0.0.1');
    client.write('SSH-2.0-test\r\n');
    const [back] = (await once(client, 'data')) as [Buffer];
    assert.equal(back.toString(), 'SSH-2.0-test\r\n');
    client.destroy();
    await finish(one, /^sluice_listener_detected_total\{listener="any",protocol="tcp"\} 1$/m);
  });

  test('http2.yaml carries HTTP/2 to a host of HTTP/2', async () => {
    const host = createHttp2Server();
    host.on('stream', (stream, headers) => {
      stream.respond({ ':status': 200 });
      stream.end(`${String(headers[':method'])} ${String(headers[':path'])}`);
    });
    host.listen(0, '127.0.0.1');
    await once(host, 'listening');
    const one = await begin('http2.yaml', { UPSTREAM: `127.0.0.1:${(host.address() as AddressInfo).port}` });
    const client = connectHttp2(`http://127.0.0.1:${one.port}`);
    const stream = client.request({ ':path': '/two' });
    let text = '';
    for await (const piece of stream) text += String(piece);
    assert.equal(text, 'GET /two');
    client.close();
    await once(client, 'close');
    await finish(one, /^sluice_cluster_requests_total\{cluster="app"\} 1$/m);
    host.close();
  });

  test('x-example.yaml serves a protocol from outside', async () => {
    // Request 7 with the payload "hi"; its reply has a status before the length.
    const request = Buffer.from('780100000000070000000268 69'.replace(' ', ''), 'hex');
    const echo = await serve(createServer((socket) => void socket.on('error', () => {}).on('data', (asked) => {
      const bytes = asked as Buffer;
      socket.write(Buffer.concat([Buffer.from([0x78, 1, 1]), bytes.subarray(3, 7), Buffer.from([0, 0]), bytes.subarray(7)]));
    })));
    const one = await begin('x-example.yaml', { UPSTREAM: `127.0.0.1:${echo}` });
    const client = connect(one.port, '127.0.0.1');
    client.write(request);
    const [back] = (await once(client, 'data')) as [Buffer];
    assert.equal(back.toString('hex'), '7801010000000700000000000268 69'.replace(' ', ''));
    client.destroy();
    await finish(one, /^sluice_listener_requests_total\{listener="x"\} 1$/m);
  });

  test('bolt.yaml shares a connection to its host', async () => {
    const [port, admin] = (await freePorts(2)) as [number, number];
    const file = join(folder, 'echo.yaml');
    writeFileSync(file, `admin: 127.0.0.1:${admin}\nlisteners: [{name: e, address: "127.0.0.1:${port}", protocol: bolt, routes: e}]\nroutes: [{name: e, routes: [{terminal: echo}]}]\naccess_log: false\n`);
    const echo = new Process(['start', '-c', file, '--workers', '1']);
    started.push(echo);
    await echo.until('errors', /admin +http/);
    const one = await begin('bolt.yaml', { UPSTREAM: `127.0.0.1:${port}` });
    for (const text of ['a', 'b']) {
      const call = await run(['call', 'bolt', `127.0.0.1:${one.port}`, 'com.example.Any:1.0', 'go', text]);
      assert.equal(call.code, 0, call.errors);
      assert.match(call.output, new RegExp(`content: "${text}"`));
    }
    await one.process.until('output', /(.*com\.example\.Any:1\.0\.go" 200 .*\n){2}/);
    await finish(one, /^sluice_cluster_connects_total\{cluster="app"\} 1$/m);
  });

  test('retries.yaml hides a host that fails', async () => {
    let failed = 0;
    const failing = await serve(
      createHttpServer((request_, reply) => {
        if (request_.url !== '/') failed++;
        reply.writeHead(request_.url === '/' ? 200 : 503).end();
      }),
    );
    const one = await begin('retries.yaml', { UPSTREAM: `127.0.0.1:${failing},127.0.0.1:${upstream}` });
    for (let i = 0; i < 4; i++) {
      assert.equal(asked(await http(one.port, '/things')).name, 'first');
      assert.equal(asked(await http(one.port, '/orders', { method: 'POST', body: 'x' })).method, 'POST');
    }
    assert.ok(failed > 0, 'the failing host was asked');
    // Reports are not repeated, so one of the two hosts' answers comes through as it is.
    const reports = [];
    for (let i = 0; i < 4; i++) reports.push((await http(one.port, '/reports')).status);
    assert.deepEqual([...new Set(reports)].sort((a, b) => a - b), [200, 503]);
    await one.process.until('output', /"GET \/reports" 503/);
    await finish(one, new RegExp(`^sluice_cluster_retries_total\\{cluster="app"\\} ${failed - reports.filter((status) => status === 503).length}$`, 'm'));
  });

  test('routing.yaml tells requests apart', async () => {
    const one = await begin('routing.yaml', { STABLE: `127.0.0.1:${upstream}`, CANARY: `127.0.0.1:${second}` });
    const to = (path: string, headers: Record<string, string> = {}) => http(one.port, path, { headers });
    const moved = await to('/a?b=1', { host: 'old.example.com' });
    assert.deepEqual([moved.status, moved.headers['location']], [308, 'http://www.example.com/a?b=1']);
    assert.equal((await to('/', { host: 'x.old.example.com' })).status, 308);
    const status = await to('/status');
    assert.deepEqual([status.text, status.headers['content-type']], ['{"status": "up"}\n', 'application/json']);
    assert.equal(asked(await to('/', { 'x-version': 'next' })).name, 'second');
    const versioned = await to('/v1/users?x=1');
    assert.deepEqual([asked(versioned).url, asked(versioned).headers['x-api-version'], versioned.headers['x-route'], versioned.headers['server']], ['/users?x=1', '1', 'versioned', undefined]);
    const names = [];
    for (let i = 0; i < 100; i++) names.push(asked(await to('/')).name);
    assert.equal(names.filter((name) => name === 'second').length, 10, 'exactly a tenth');
    await finish(one, /^sluice_cluster_requests_total\{cluster="canary"\} 11$/m);
  });

  test('tls.yaml takes and shows certificates on both sides', async () => {
    const certs = 'test/support/certs';
    for (const [to, from] of [['server.crt', 'localhost.pem'], ['server.key', 'localhost.key'], ['clients.crt', 'ca.pem'], ['client.crt', 'client.pem'], ['client.key', 'client.key'], ['hosts.crt', 'ca.pem']] as const) copyFileSync(join(certs, from), join(folder, to));
    const pem = (name: string): Buffer => readFileSync(join(certs, name));
    const host = await serve(createHttpsServer({ cert: pem('localhost.pem'), key: pem('localhost.key'), ca: pem('ca.pem'), requestCert: true, rejectUnauthorized: true }, describeRequest('secure')));
    const one = await begin('tls.yaml', { CERTS: folder, UPSTREAM: `localhost:${host}` });
    const https = (identity: object): Promise<Reply> =>
      new Promise((resolve, reject) => {
        const sent = requestTls({ host: '127.0.0.1', servername: 'localhost', port: one.port, path: '/', ca: pem('ca.pem'), agent: false, timeout: 10_000, headers: { 'x-client-subject': 'forged' }, ...identity }, (reply) => resolve(read(reply)));
        sent.on('timeout', () => sent.destroy(new Error('no answer'))).on('error', reject).end();
      });
    const seen = asked(await https({ cert: pem('client.pem'), key: pem('client.key') }));
    assert.equal(seen.name, 'secure');
    assert.ok(seen.client !== null, 'the host saw a certificate');
    assert.match(seen.headers['x-client-subject']!, /CN=/);
    await assert.rejects(https({}), 'no certificate, no answer');
    await one.process.until('output', /GET \/ 200 .*TLSv1\.[23] "/);
    await finish(one, /^sluice_cluster_connects_total\{cluster="app"\} 1$/m);
  });

  test('udp.yaml carries datagrams and their answers', async () => {
    const echo = createSocket('udp4', (bytes, from) => echo.send(`re: ${bytes.toString()}`, from.port, from.address));
    const client = createSocket('udp4');
    try {
      echo.bind(0, '127.0.0.1');
      await once(echo, 'listening');
      const one = await begin('udp.yaml', { UPSTREAM: `127.0.0.1:${echo.address().port}` });
      const answer = once(client, 'message', { signal: AbortSignal.timeout(10_000) });
      client.send('ask', one.port, '127.0.0.1');
      const [bytes] = (await answer) as [Buffer];
      assert.equal(bytes.toString(), 're: ask');
      assert.match((await http(one.admin, '/metrics')).text, /sluice_.*udp.* 1$/m);
      // A session ends when it was idle for 10 s, which a drain would wait for.
      assert.equal((await run(['stop', '--admin', `127.0.0.1:${one.admin}`, '--deadline', '0'])).code, 0);
      assert.equal(await one.process.exit(), 0, one.process.errors);
    } finally {
      echo.close();
      client.close();
    }
  });

  test('plugin.yaml asks for a key, except where a route says otherwise', async () => {
    const one = await begin('plugin.yaml', { UPSTREAM: `127.0.0.1:${upstream}`, KEY: 'open' });
    const refused = await http(one.port, '/');
    assert.deepEqual([refused.status, refused.text], [401, 'a key is needed\n']);
    assert.equal((await http(one.port, '/', { headers: { 'x-api-key': 'wrong' } })).status, 401);
    const taken = asked(await http(one.port, '/', { headers: { 'X-Api-Key': 'open' } }));
    assert.equal(taken.headers['x-api-key'], undefined, 'the key goes no further');
    assert.equal(asked(await http(one.port, '/public/x')).url, '/public/x');
    await finish(one, /^sluice_cluster_requests_total\{cluster="app"\} 2$/m);
  });

  test('dubbo.yaml chooses by group and attachments, and asks for health', async () => {
    const hosts = (await freePorts(3)) as [number, number, number];
    const file = join(folder, 'dubbo-echo.yaml');
    const listeners = ['app', 'gray'].map((name, i) => `{name: ${name}, address: "127.0.0.1:${hosts[i]}", protocol: dubbo, routes: e}`);
    writeFileSync(file, `admin: 127.0.0.1:${hosts[2]}\nlisteners: [${listeners.join(', ')}]\nroutes: [{name: e, routes: [{terminal: echo}]}]\naccess_log: false\n`);
    const echo = new Process(['start', '-c', file, '--workers', '1']);
    started.push(echo);
    await echo.until('errors', /admin +http/);
    const one = await begin('dubbo.yaml', { UPSTREAM: `127.0.0.1:${hosts[0]}`, GRAY: `127.0.0.1:${hosts[1]}` });
    const word = (text: string): Buffer => Buffer.from([text.length, ...Buffer.from(text)]);
    // Calls of com.x.Hi.say with one text and one attachment; the id is eight bytes of its own, and comes back.
    for (const [key, to] of [['k', 'y'], ['group', 'next'], ['x-env', 'gray']] as const) {
      const body = Buffer.concat([word('2.0.2'), word('com.x.Hi'), word('0.0.0'), word('say'), word('Ljava/lang/String;'), word('hello'), Buffer.from('H'), word(key), word(to), Buffer.from('Z')]);
      const head = Buffer.from(`dabbc200fedcba9876543210${body.length.toString(16).padStart(8, '0')}`, 'hex');
      const socket = connect(one.port, '127.0.0.1');
      socket.write(Buffer.concat([head, body]));
      const [reply] = (await once(socket, 'data', { signal: AbortSignal.timeout(10_000) })) as [Buffer];
      socket.destroy();
      assert.ok(reply.toString('hex').startsWith('dabb0214fedcba9876543210'), reply.toString('latin1'));
      assert.ok(reply.includes(Buffer.concat([Buffer.from([0x94]), word('hello')])), reply.toString('latin1'));
    }
    await one.process.until('output', /(.*com\.x\.Hi\.say" 200 .*\n){3}/);
    const limit = Date.now() + 10_000;
    while (!/^sluice_health_check_successes_total\{cluster="app"\} [1-9]/m.test((await http(one.admin, '/metrics')).text)) assert.ok(Date.now() < limit, 'its health was asked');
    assert.match((await http(one.admin, '/metrics')).text, /^sluice_cluster_requests_total\{cluster="gray"\} 2$/m);
    await finish(one, /^sluice_cluster_requests_total\{cluster="app"\} 1$/m);
  });

  test('tars.yaml shares a connection to its host, whose health it asks', async () => {
    const [port, admin] = (await freePorts(2)) as [number, number];
    const file = join(folder, 'tars-echo.yaml');
    writeFileSync(file, `admin: 127.0.0.1:${admin}\nlisteners: [{name: e, address: "127.0.0.1:${port}", protocol: tars, routes: e}]\nroutes: [{name: e, routes: [{terminal: echo}]}]\naccess_log: false\n`);
    const echo = new Process(['start', '-c', file, '--workers', '1']);
    started.push(echo);
    await echo.until('errors', /admin +http/);
    const one = await begin('tars.yaml', { UPSTREAM: `127.0.0.1:${port}` });
    // Calls of App.Obj.greet with the ids 7 and 300, and what the servant that returns its buffer answers.
    for (const [id, name] of [['4007', 'a'], ['41012c', 'b']]) {
      const content = Buffer.from(name!).toString('hex');
      const socket = connect(one.port, '127.0.0.1');
      const frame = Buffer.from(`00000000 1001 2c 3c ${id} 5607 ${Buffer.from('App.Obj').toString('hex')} 6605 ${Buffer.from('greet').toString('hex')} 7d000001 ${content} 810bb8 980c a80c`.replace(/ /g, ''), 'hex');
      frame.writeUInt32BE(frame.length, 0);
      socket.write(frame);
      const [reply] = (await once(socket, 'data', { signal: AbortSignal.timeout(10_000) })) as [Buffer];
      socket.destroy();
      assert.ok(reply.toString('hex', 4).startsWith(`10012c${id!.replace('4', '3')}4c5c6d000001${content}`), reply.toString('hex'));
    }
    await one.process.until('output', /(.*App\.Obj\.greet" 200 .*\n){2}/);
    const limit = Date.now() + 10_000;
    while (!/^sluice_health_check_successes_total\{cluster="app"\} [1-9]/m.test((await http(one.admin, '/metrics')).text)) assert.ok(Date.now() < limit, 'its health was asked');
    await finish(one, /^sluice_cluster_requests_total\{cluster="app"\} 2$/m);
  });

  test('grpc-web.yaml leads calls of browsers to a gRPC host', async () => {
    const [port, admin] = (await freePorts(2)) as [number, number];
    const file = join(folder, 'grpc-echo.yaml');
    writeFileSync(file, `admin: 127.0.0.1:${admin}\nlisteners: [{name: e, address: "127.0.0.1:${port}", protocol: http2, routes: e}]\nroutes: [{name: e, routes: [{terminal: echo}]}]\naccess_log: false\n`);
    const echo = new Process(['start', '-c', file, '--workers', '1']);
    started.push(echo);
    await echo.until('errors', /admin +http/);
    const one = await begin('grpc-web.yaml', { UPSTREAM: `127.0.0.1:${port}` });
    const message = Buffer.from('0000000005hello'.replace('hello', Buffer.from('hello').toString('hex')), 'hex');
    for (const type of ['application/grpc-web+proto', 'application/grpc-web-text']) {
      const text = type.endsWith('text');
      const reply = await fetch(`http://127.0.0.1:${one.port}/shop.v1.Shop/Get`, { method: 'POST', headers: { 'content-type': type }, body: text ? message.toString('base64') : message });
      const body = Buffer.from(await reply.arrayBuffer());
      const trailers = Buffer.from('grpc-status: 0\r\n');
      const expected = [message, Buffer.concat([Buffer.from([0x80, 0, 0, 0, trailers.length]), trailers])];
      assert.equal(body.toString('latin1'), text ? expected.map((piece) => piece.toString('base64')).join('') : Buffer.concat(expected).toString('latin1'));
    }
    await finish(one, /^sluice_cluster_requests_total\{cluster="services"\} 2$/m);
  });

  test('grpc-json.yaml leads requests with JSON to a gRPC host', async () => {
    const [port, admin] = (await freePorts(2)) as [number, number];
    const file = join(folder, 'grpc-json-echo.yaml');
    writeFileSync(file, `admin: 127.0.0.1:${admin}\nlisteners: [{name: e, address: "127.0.0.1:${port}", protocol: http2, routes: e}]\nroutes: [{name: e, routes: [{terminal: echo}]}]\naccess_log: false\n`);
    const echo = new Process(['start', '-c', file, '--workers', '1']);
    started.push(echo);
    await echo.until('errors', /admin +http/);
    const one = await begin('grpc-json.yaml', { UPSTREAM: `127.0.0.1:${port}` });
    const greeting = { name: 'Ann', times: 2 };
    assert.deepEqual(JSON.parse((await http(one.port, '/v1/greet/Ann?times=2')).text), greeting);
    assert.deepEqual(JSON.parse((await http(one.port, '/v1/greet', { method: 'POST', body: JSON.stringify(greeting) })).text), greeting);
    const wrong = await http(one.port, '/v1/greet', { method: 'POST', body: '{"times": "often"}' });
    assert.equal(wrong.status, 400);
    assert.match(wrong.text, /times: a whole number was expected, not \\"often\\"/);
    assert.deepEqual([(await http(one.port, '/v1/other')).text, (await http(one.port, '/')).status], ['no such page\n', 404]);
    await finish(one, /^sluice_cluster_requests_total\{cluster="services"\} 2$/m);
  });

  test('http-bolt.yaml leads JSON and raw requests to a Bolt host, and Bolt calls to an application of HTTP', async () => {
    const [host, admin, bolt] = (await freePorts(3)) as [number, number, number];
    const file = join(folder, 'http-bolt-echo.yaml');
    writeFileSync(file, `admin: 127.0.0.1:${admin}\nlisteners: [{name: e, address: "127.0.0.1:${host}", protocol: bolt, routes: e}]\nroutes: [{name: e, routes: [{terminal: echo}]}]\naccess_log: false\n`);
    const echo = new Process(['start', '-c', file, '--workers', '1']);
    started.push(echo);
    await echo.until('errors', /admin +http/);
    const one = await begin('http-bolt.yaml', { UPSTREAM: `127.0.0.1:${host}`, BOLT: `127.0.0.1:${bolt}`, APP: `127.0.0.1:${upstream}` });
    const call = await http(one.port, '/com.example.Hello/sayHello', { method: 'POST', body: '["Ann"]' });
    assert.deepEqual([call.status, call.headers['content-type'], call.text], [200, 'application/json', '"Ann"']);
    const wrong = await http(one.port, '/com.example.Hello/later', { method: 'POST', body: '["soon"]' });
    assert.equal(wrong.status, 400);
    assert.match(wrong.text, /args\[0\] is no long/);
    const raw = await http(one.port, '/raw/x', { method: 'POST', body: 'as it is' });
    assert.equal(raw.status, 200, raw.text);
    assert.match(raw.text, /as it is/);
    const back = await run(['call', 'bolt', `127.0.0.1:${bolt}`, 'com.example.Any:1.0', 'go', 'text']);
    await one.process.until('output', /bolt "com\.example\.Any:1\.0\.go" 200 /);
    assert.match(back.output, /header http-status: 200/);
    await finish(one, /^sluice_cluster_requests_total\{cluster="services"\} 2$/m);
  });

  test('http-dubbo.yaml leads requests with JSON to a Dubbo host', async () => {
    // Answers each call with what it got as a text: "result" 1, then the whole request in hexadecimal.
    const host = await serve(createServer((socket) => {
      socket.on('data', (frame: Buffer) => {
        const text = Buffer.from(frame.toString('hex'));
        const heartbeat = (frame[2]! & 0x20) !== 0;
        const content = heartbeat ? Buffer.from('N') : Buffer.concat([Buffer.from([0x91, 0x53, text.length >> 8, text.length & 255]), text]);
        const head = Buffer.concat([Buffer.from([0xda, 0xbb, heartbeat ? 0x22 : 2, 20]), frame.subarray(4, 12), Buffer.alloc(4)]);
        head.writeUInt32BE(content.length, 12);
        socket.write(Buffer.concat([head, content]));
      });
      socket.on('error', () => {});
    }));
    const one = await begin('http-dubbo.yaml', { UPSTREAM: `127.0.0.1:${host}` });
    const sent = async (path: string, body: string, headers = {}): Promise<string> => {
      const reply = await http(one.port, path, { method: 'POST', body, headers });
      assert.equal(reply.status, 200, reply.text);
      return Buffer.from(JSON.parse(reply.text) as string, 'hex').toString('latin1');
    };
    const any = await sent('/com.example.Shop/buy', '["book"]', { 'dubbo-group': 'blue', 'X-Tenant': 'me' });
    for (const part of ['$invoke', 'com.example.Shop', '\x03buy', '\x04book', '\x05group\x04blue', '\x08x-tenant\x02me']) assert.ok(any.includes(part), part);
    const greeter = await sent('/greeter/count', '[5]');
    for (const part of ['com.example.Greeter', '\x051.0.0', '\x05count', '\x03int']) assert.ok(greeter.includes(part), part);
    assert.equal((await http(one.port, '/greeter/count', { method: 'POST', body: '[5' })).status, 400);
    await finish(one, /^sluice_cluster_requests_total\{cluster="services"\} 2$/m);
  });

  test('mesh.yaml leads calls of a service that was subscribed to the application that published it', async () => {
    const [app, admin, mesh, inbound] = (await freePorts(4)) as [number, number, number, number];
    const file = join(folder, 'mesh-app.yaml');
    writeFileSync(file, `admin: 127.0.0.1:${admin}\nlisteners: [{name: e, address: "127.0.0.1:${app}", protocol: bolt, routes: e}]\nroutes: [{name: e, routes: [{terminal: echo}]}]\naccess_log: false\n`);
    const echo = new Process(['start', '-c', file, '--workers', '1']);
    started.push(echo);
    await echo.until('errors', /admin +http/);
    const one = await begin('mesh.yaml', { MESH: `127.0.0.1:${mesh}`, INBOUND: `127.0.0.1:${inbound}`, APP: `127.0.0.1:${app}`, ADVERTISE: `127.0.0.1:${inbound}` });
    const tell = async (path: string, body: object): Promise<unknown> => JSON.parse((await http(mesh, path, { method: 'POST', headers: { 'content-type': 'text/plain' }, body: JSON.stringify(body) })).text) as unknown;
    const service = { serviceName: 'com.example.Any:1.0', protocolType: 'bolt', group: null };
    assert.deepEqual(await tell('/configs/application', { appName: 'a' }), { success: true, errorMessage: '' });
    assert.deepEqual(await tell('/services/publish', service), { success: true, errorMessage: '' });
    assert.deepEqual(await tell('/services/subscribe', service), { success: true, errorMessage: '', serviceName: 'com.example.Any:1.0', datas: [`127.0.0.1:${one.port}?p=1&v=4.0`] });
    const call = await run(['call', 'bolt', `127.0.0.1:${one.port}`, 'com.example.Any:1.0', 'go', 'text']);
    assert.equal(call.code, 0, call.errors);
    assert.match(call.output, /content: "text"/);
    await one.process.until('output', /(.*com\.example\.Any:1\.0\.go" 200 .*\n){2}/);
    await finish(one, /^sluice_mesh_services\{kind="sofa",role="subscribed"\} 1$/m);
  });

  test('tracing.yaml exports the spans of what it records', async (t) => {
    const receiver = await receive(t);
    const [bolt, rpc] = (await freePorts(2)) as [number, number];
    const one = await begin('tracing.yaml', { BOLT: `127.0.0.1:${bolt}`, UPSTREAM: `127.0.0.1:${upstream}`, BOLT_UPSTREAM: `127.0.0.1:${rpc}`, OTLP: `http://127.0.0.1:${receiver.served.port}`, SAMPLING: '0%' });
    assert.equal(asked(await http(one.port, '/')).headers['traceparent'], undefined, 'not recorded');
    const id = '0af7651916cd43dd8448eb211c80319c';
    const recorded = asked(await http(one.port, '/', { headers: { traceparent: `00-${id}-b7ad6b7169203331-01` } }));
    const [server, client] = (await receiver.trace(id, 2)) as [ReceivedSpan, ReceivedSpan];
    assert.deepEqual([server.kind, client.kind, server.service, server.resource['deployment.environment.name']], ['server', 'client', 'shop-sidecar', 'demo']);
    assert.equal(recorded.headers['traceparent'], `00-${id}-${client.spanId}-01`);
    await one.process.until('output', new RegExp(`GET / 200 \\S+ ${id} ${server.spanId}\n`));
    await finish(one, /^sluice_trace_exchanges_total 1$/m);
  });

  for (const name of ['thrift', 'dubbo-thrift']) {
    test(`${name}.yaml leads calls to its host, whose health it asks`, async () => {
      const [port, admin] = (await freePorts(2)) as [number, number];
      const app = join(folder, `${name}-echo.yaml`);
      writeFileSync(app, `admin: 127.0.0.1:${admin}\nlisteners: [{name: e, address: "127.0.0.1:${port}", protocol: ${name}, routes: e}]\nroutes: [{name: e, routes: [{terminal: echo}]}]\naccess_log: false\n`);
      const echo = new Process(['start', '-c', app, '--workers', '1']);
      started.push(echo);
      await echo.until('errors', /admin +http/);
      const one = await begin(`${name}.yaml`, { UPSTREAM: `127.0.0.1:${port}` });
      for (const seqid of [7, 300]) {
        const header = name === 'thrift' ? '' : `dabc 00000000 001c 01 00000007 ${Buffer.from('com.x.S').toString('hex')} 0000000000000009`;
        // say('hello') of the service Hello, or of com.x.S; what comes back is its argument as the result.
        const method = name === 'thrift' ? 'Hello:say' : 'say';
        const frame = Buffer.from(`00000000 ${header} 80010001 ${method.length.toString(16).padStart(8, '0')} ${Buffer.from(method).toString('hex')} ${seqid.toString(16).padStart(8, '0')} 0b0001 00000005 ${Buffer.from('hello').toString('hex')} 00`.replace(/ /g, ''), 'hex');
        frame.writeUInt32BE(frame.length - 4, 0);
        if (name !== 'thrift') frame.writeUInt32BE(frame.length - 4, 6);
        const socket = connect(one.port, '127.0.0.1');
        socket.write(frame);
        const [reply] = (await once(socket, 'data', { signal: AbortSignal.timeout(10_000) })) as [Buffer];
        socket.destroy();
        assert.ok(reply.toString('hex').endsWith(`80010002 00000003 736179 ${seqid.toString(16).padStart(8, '0')} 0b0000 00000005 68656c6c6f 00`.replace(/ /g, '')), reply.toString('hex'));
      }
      await one.process.until('output', /(.*(Hello|com\.x\.S)\.say" 200 .*\n){2}/);
      const limit = Date.now() + 10_000;
      while (!/^sluice_health_check_successes_total\{cluster="app"\} [1-9]/m.test((await http(one.admin, '/metrics')).text)) assert.ok(Date.now() < limit, 'its health was asked');
      await finish(one, /^sluice_cluster_requests_total\{cluster="app"\} 2$/m);
    });
  }

  test('has been tried with every file', () => {
    assert.deepEqual([...tried].sort(), [...files].sort());
  });
});

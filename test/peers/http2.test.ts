// Other people's HTTP/2 through the real program: curl, h2load, nghttpd and node:http2, alone and across two hops, and what web applications do with it.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import * as http2 from 'node:http2';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { before, describe, test, type TestContext } from 'node:test';
import { serveHttp } from '../support/http.js';
import { freePort, start, until, type Sluice } from '../support/sluice.js';

const MB = 1024 * 1024;
/** By how much memory may grow; a later Node's young generation alone grows by more than 32 MB under load. */
const ROOM = (Number(process.versions.node.split('.')[0]) < 22 ? 64 : 100) * MB;
const certs = resolve('test/support/certs');
const has = (program: string): boolean => spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;

/** nghttp2's tools are installed where that is possible; what cannot be had is left out, and said so. */
before(() => {
  if (has('h2load') || process.getuid?.() !== 0 || process.env['SLUICE_INSTALL_PEERS'] === '0') return;
  const apt = (...args: string[]): boolean => spawnSync('apt-get', args, { stdio: 'ignore', timeout: 120_000, env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' } }).status === 0;
  const install = ['-o', 'DPkg::Lock::Timeout=120', 'install', '-y', '--no-install-recommends', 'nghttp2-client', 'nghttp2-server'];
  // A fresh machine has no list of packages yet.
  if (!apt(...install) && apt('update', '-q')) apt(...install);
});
const without = (t: TestContext, program: string): boolean => {
  if (has(program)) return false;
  t.skip(`${program} is not installed`);
  return true;
};

async function run(program: string, ...args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: 60_000 });
  let out = '';
  let err = '';
  child.stdout.on('data', (piece: Buffer) => (out += piece.toString('latin1')));
  child.stderr.on('data', (piece: Buffer) => (err += piece.toString('latin1')));
  const [code] = (await once(child, 'close')) as [number];
  return { code, out, err };
}

/** A node:http2 server; its sessions end with the test. */
async function serve2(t: TestContext, onStream: (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => void): Promise<number> {
  const server = http2.createServer({ settings: { initialWindowSize: 1 << 20 } });
  const sessions = new Set<http2.ServerHttp2Session>();
  server.on('session', (session) => {
    sessions.add(session);
    session.on('close', () => sessions.delete(session));
  });
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    onStream(stream, headers);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  return (server.address() as { port: number }).port;
}

function connect2(t: TestContext, port: number, options: http2.SecureClientSessionOptions & { tls?: boolean } = {}): http2.ClientHttp2Session {
  const session = http2.connect(`${options.tls === true ? 'https' : 'http'}://localhost:${port}`, { ...options, lookup: (_name, _options, done) => (done as (e: null, list: { address: string; family: number }[]) => void)(null, [{ address: '127.0.0.1', family: 4 }]) });
  session.on('error', () => {});
  t.after(() => session.destroy());
  return session;
}

interface Reply {
  readonly headers: http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader;
  readonly trailers: http2.IncomingHttpHeaders;
  readonly body: Buffer;
}

async function ask(session: http2.ClientHttp2Session, headers: http2.OutgoingHttpHeaders, body?: Buffer | string): Promise<Reply> {
  const stream = session.request(headers, { endStream: body === undefined });
  let trailers: http2.IncomingHttpHeaders = {};
  stream.on('trailers', (found: http2.IncomingHttpHeaders) => (trailers = found));
  if (body !== undefined) stream.end(body);
  const [found] = (await once(stream, 'response')) as [Reply['headers']];
  const pieces: Buffer[] = [];
  for await (const piece of stream) pieces.push(piece as Buffer);
  return { headers: found, trailers, body: Buffer.concat(pieces) };
}

/** Listener and cluster of these protocols; more of the cluster and the listener as YAML of one line. */
async function proxy(t: TestContext, from: 'http1' | 'http2', to: 'http1' | 'http2', host: number, more = { listener: '', cluster: '' }): Promise<{ port: number; sluice: Sluice }> {
  const port = await freePort();
  const sluice = await start(t, {
    config: `
listeners: [{name: in, address: "127.0.0.1:${port}", protocol: ${from}, routes: main${more.listener}}]
routes: [{name: main, routes: [{cluster: app}]}]
clusters: [{name: app, protocol: ${to}, hosts: "${more.cluster === '' ? '127.0.0.1' : 'localhost'}:${host}"${more.cluster}}]
`,
  });
  return { port, sluice };
}

const TLS_IN = `, tls: {certificates: [{cert: ${certs}/localhost.pem, key: ${certs}/localhost.key}]}`;
const MTLS_IN = `, tls: {client_auth: required, ca: ${certs}/ca.pem, certificates: [{cert: ${certs}/localhost.pem, key: ${certs}/localhost.key}]}`;
const MTLS_OUT = `, discovery: {type: dns, family: v4}, tls: {ca: ${certs}/ca.pem, cert: ${certs}/client.pem, key: ${certs}/client.key}`;

/** Tells what it was asked, with trailers. */
const describer = (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders): void => {
  const hash = createHash('md5');
  let bytes = 0;
  stream.on('data', (piece: Buffer) => {
    bytes += piece.length;
    hash.update(piece);
  });
  stream.on('end', () => {
    stream.respond({ ':status': 200, 'x-method': headers[':method'], 'x-cookie': headers.cookie ?? '', 'set-cookie': ['session=1; Path=/', 'theme=dark'] }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-md5': hash.digest('hex') }));
    stream.end(`${headers[':method']} ${headers[':path']} ${headers[':authority']} ${bytes}\n`);
  });
};

describe('curl', () => {
  test('with prior knowledge, over TLS by ALPN, HTTP/1.1 to an HTTP/2 host, and uploads', { timeout: 60_000 }, async (t) => {
    if (without(t, 'curl')) return;
    const host = await serve2(t, describer);
    const clear = await proxy(t, 'http2', 'http2', host);
    const secure = await proxy(t, 'http2', 'http2', host, { listener: TLS_IN, cluster: '' });
    const down = await proxy(t, 'http1', 'http2', host);
    const folder = mkdtempSync(join(tmpdir(), 'sluice-h2-'));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const body = join(folder, 'body');
    writeFileSync(body, randomBytes(3 * MB));
    const version = '%{http_version} %{http_code}';
    const one = await run('curl', '-sS', '--http2-prior-knowledge', '-w', version, '-b', 'a=1', `http://127.0.0.1:${clear.port}/path?q=1`);
    assert.deepEqual([one.code, one.out], [0, `GET /path?q=1 127.0.0.1:${clear.port} 0\n2 200`], one.err);
    const two = await run('curl', '-sS', '--http2', '--cacert', `${certs}/ca.pem`, '--resolve', `localhost:${secure.port}:127.0.0.1`, '-w', version, '--data-binary', `@${body}`, `https://localhost:${secure.port}/`);
    assert.deepEqual([two.code, two.out], [0, `POST / localhost:${secure.port} ${3 * MB}\n2 200`], two.err);
    const three = await run('curl', '-sS', '-w', version, '--data-binary', `@${body}`, `http://127.0.0.1:${down.port}/`);
    assert.deepEqual([three.code, three.out], [0, `POST / 127.0.0.1:${down.port} ${3 * MB}\n1.1 200`], three.err);
    const head = await run('curl', '-sS', '--http2-prior-knowledge', '-I', `http://127.0.0.1:${clear.port}/`);
    assert.match(head.out, /^HTTP\/2 200 \r\n(.*\r\n)*x-method: HEAD\r\n/);
  });
});

describe('h2load', () => {
  test('16 x 32 and 64 x 1 against nghttpd: every request succeeds, on a few connections to the host', { timeout: 120_000 }, async (t) => {
    if (without(t, 'h2load') || without(t, 'nghttpd')) return;
    const folder = mkdtempSync(join(tmpdir(), 'sluice-h2-'));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    writeFileSync(join(folder, 'index.html'), 'x'.repeat(1000));
    const port = await freePort();
    const child = spawn('nghttpd', ['--no-tls', '-a', '127.0.0.1', '-d', folder, String(port)], { stdio: 'ignore' });
    t.after(() => child.kill('SIGKILL'));
    const { port: at, sluice } = await proxy(t, 'http2', 'http2', port);
    await until('nghttpd answers', async () => (await run('curl', '-s', '--http2-prior-knowledge', `http://127.0.0.1:${port}/`)).code === 0);
    for (const [clients, streams] of [['16', '32'], ['64', '1']] as const) {
      const { out } = await run('h2load', '-n', '20000', '-c', clients, '-m', streams, `http://127.0.0.1:${at}/`);
      assert.match(out, /requests: 20000 total, 20000 started, 20000 done, 20000 succeeded, 0 failed, 0 errored, 0 timeout/, out);
      assert.match(out, /status codes: 20000 2xx/);
    }
    assert.ok((await sluice.metric('sluice_cluster_connects_total')) <= 16);
    await until('nothing is left', async () => (await sluice.metric('sluice_cluster_active_requests')) === 0);
  });
});

describe('node:http2', () => {
  for (const kind of ['one hop', 'two hops', 'two hops with mutual TLS'] as const) {
    test(`${kind}: parts, cookies, trailers, content both ways, many streams at once`, { timeout: 120_000 }, async (t) => {
      const host = await serve2(t, describer);
      const secure = kind === 'two hops with mutual TLS';
      const last = await proxy(t, 'http2', 'http2', host, { listener: kind !== 'one hop' && secure ? MTLS_IN : '', cluster: '' });
      const first = kind === 'one hop' ? last : await proxy(t, 'http2', 'http2', last.port, { listener: '', cluster: secure ? MTLS_OUT : '' });
      const session = connect2(t, first.port);
      const body = randomBytes(700_000);
      const one = await ask(session, { ':method': 'PUT', ':path': '/some/path?x=y', cookie: ['a=1', 'b=2'] as never, 'x-empty': '' }, body);
      assert.equal(one.body.toString(), `PUT /some/path?x=y localhost:${first.port} 700000\n`);
      assert.deepEqual([one.headers[':status'], one.headers['x-method'], one.headers['x-cookie']], [200, 'PUT', 'a=1; b=2']);
      assert.deepEqual(one.headers['set-cookie'], ['session=1; Path=/', 'theme=dark']);
      assert.equal(one.trailers['x-md5'], createHash('md5').update(body).digest('hex'));
      const many = await Promise.all(Array.from({ length: 100 }, (_, i) => ask(session, { ':method': 'POST', ':path': `/${i}` }, Buffer.alloc(i * 997, i))));
      many.forEach(({ body: text }, i) => assert.equal(text.toString(), `POST /${i} localhost:${first.port} ${i * 997}\n`));
    });
  }

  test('resets go both ways with the connections kept; a ping is answered', { timeout: 60_000 }, async (t) => {
    const codes: number[] = [];
    const host = await serve2(t, (stream, headers) => {
      stream.on('close', () => codes.push(stream.rstCode));
      if (headers[':path'] === '/reset') stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
      else if (headers[':path'] === '/cut') {
        stream.respond({ ':status': 200 });
        // Closed with a code it would end its content before.
        stream.write('begun', () => setTimeout(() => stream.destroy(new Error('cut')), 20));
      } else if (headers[':path'] !== '/silent') stream.respond({ ':status': 204 }, { endStream: true });
    });
    const { port, sluice } = await proxy(t, 'http2', 'http2', host);
    const session = connect2(t, port);
    assert.equal((await ask(session, { ':path': '/reset' })).headers[':status'], 502);
    const cut = session.request({ ':path': '/cut' });
    cut.on('error', () => {});
    cut.resume();
    await until('it is cut', () => cut.closed && cut.destroyed);
    assert.equal(cut.rstCode, http2.constants.NGHTTP2_INTERNAL_ERROR);
    const silent = session.request({ ':path': '/silent' });
    silent.on('error', () => {});
    await until('the host has three streams', async () => (await sluice.metric('sluice_cluster_requests_total')) === 3);
    silent.close(http2.constants.NGHTTP2_CANCEL);
    await until('the host hears of it', () => codes.includes(http2.constants.NGHTTP2_CANCEL));
    assert.equal((await ask(session, { ':path': '/' })).headers[':status'], 204);
    await new Promise<void>((done, failed) => session.ping(Buffer.from('12345678'), (error, _ms, payload) => (error === null && payload.toString() === '12345678' ? done() : failed(new Error('ping')))));
    assert.equal(await sluice.metric('sluice_cluster_connects_total'), 1);
  });

  test('a drain tells the client and serves what runs', { timeout: 60_000 }, async (t) => {
    let running: http2.ServerHttp2Stream | null = null;
    const host = await serve2(t, (stream) => {
      running = stream;
      stream.respond({ ':status': 200 });
      stream.write('begun ');
    });
    const { port, sluice } = await proxy(t, 'http2', 'http2', host);
    const session = connect2(t, port);
    let away = -1;
    session.on('goaway', (code) => (away = code));
    const reply = ask(session, { ':path': '/' });
    await until('it runs', () => running !== null);
    sluice.kill('SIGTERM');
    await until('the client is told', () => away === http2.constants.NGHTTP2_NO_ERROR);
    running!.end('ended');
    assert.equal((await reply).body.toString(), 'begun ended');
    assert.equal(await sluice.exited, 0);
  });
});

describe('what web applications do', () => {
  const memory = (sluice: Sluice): Promise<number> => sluice.metric('sluice_process_resident_memory_bytes');

  for (const [from, to] of [['http2', 'http1'], ['http1', 'http2'], ['http2', 'http2']] as const) {
    test(`an upload of 256 MB, streamed ${from} to ${to}, in bounded memory`, { timeout: 180_000 }, async (t) => {
      const size = 256 * MB;
      const piece = randomBytes(MB);
      const md5 = createHash('md5');
      for (let i = 0; i < size / MB; i++) md5.update(piece);
      const expected = md5.digest('hex');
      let host: number;
      if (to === 'http2') host = await serve2(t, describer);
      else {
        host = (await serveHttp(t, (request, response) => {
          const hash = createHash('md5');
          let bytes = 0;
          request.on('data', (part: Buffer) => {
            bytes += part.length;
            hash.update(part);
          });
          request.on('end', () => response.end(`${bytes} ${hash.digest('hex')}`));
        })).port;
      }
      const { port, sluice } = await proxy(t, from, to, host);
      const idle = await memory(sluice);
      let peak = idle;
      const watch = setInterval(() => void memory(sluice).then((now) => (peak = Math.max(peak, now))).catch(() => {}), 100);
      const feed = (sink: NodeJS.WritableStream): void => {
        let left = size;
        const go = (): void => {
          while (left > 0) {
            left -= piece.length;
            if (!sink.write(piece)) return void sink.once('drain', go);
          }
          sink.end();
        };
        go();
      };
      try {
        if (from === 'http2') {
          const session = connect2(t, port);
          const stream = session.request({ ':method': 'POST', ':path': '/upload', 'content-type': 'multipart/form-data; boundary=x' });
          const trailers = once(stream, 'trailers').then(([found]) => found as http2.IncomingHttpHeaders);
          trailers.catch(() => {});
          feed(stream);
          let text = '';
          for await (const part of stream) text += String(part);
          if (to === 'http1') assert.equal(text, `${size} ${expected}`);
          else assert.equal((await trailers)['x-md5'], expected);
        } else {
          const sent = httpRequest({ port, host: '127.0.0.1', method: 'POST', path: '/upload', agent: false });
          feed(sent);
          const [reply] = (await once(sent, 'response')) as [IncomingMessage];
          let text = '';
          for await (const part of reply) text += String(part);
          assert.equal(text, `POST /upload 127.0.0.1:${port} ${size}\n`);
          assert.equal(reply.trailers['x-md5'], expected);
        }
      } finally {
        clearInterval(watch);
      }
      assert.ok(peak - idle < ROOM * 1.5, `${((peak - idle) / MB).toFixed(0)} MB above idle`);
    });
  }

  for (const [from, to] of [['http1', 'http2'], ['http2', 'http1'], ['http2', 'http2']] as const) {
    test(`server-sent events ${from} from ${to}: each event comes when it is sent, and a client that leaves is noticed`, { timeout: 60_000 }, async (t) => {
      let send: (text: string) => void = () => {};
      let left = false;
      const host = to === 'http2'
        ? await serve2(t, (stream) => {
            stream.respond({ ':status': 200, 'content-type': 'text/event-stream' });
            send = (text) => void stream.write(text);
            stream.on('close', () => (left = true));
          })
        : (await serveHttp(t, (_request, response) => {
            response.writeHead(200, { 'content-type': 'text/event-stream' });
            response.flushHeaders();
            send = (text) => void response.write(text);
            response.on('close', () => (left = true));
          })).port;
      const { port } = await proxy(t, from, to, host);
      let got = '';
      let leave: () => void;
      if (from === 'http2') {
        const stream = connect2(t, port).request({ ':path': '/events', accept: 'text/event-stream' });
        stream.on('error', () => {});
        await once(stream, 'response');
        stream.on('data', (piece: Buffer) => (got += piece.toString()));
        leave = () => stream.close(http2.constants.NGHTTP2_CANCEL);
      } else {
        const sent = httpRequest({ port, host: '127.0.0.1', path: '/events', agent: false });
        sent.on('error', () => {});
        sent.end();
        const [reply] = (await once(sent, 'response')) as [IncomingMessage];
        assert.equal(reply.headers['content-type'], 'text/event-stream');
        reply.on('data', (piece: Buffer) => (got += piece.toString()));
        reply.on('error', () => {});
        leave = () => sent.destroy();
      }
      for (let i = 0; i < 5; i++) {
        send(`data: event ${i}\n\n`);
        await until(`event ${i}`, () => got.endsWith(`data: event ${i}\n\n`));
      }
      leave();
      await until('the host notices', () => left);
    });
  }

  test('session cookies: set by a host of HTTP/1, sent back in pieces by a client of HTTP/2, one field at the host', { timeout: 60_000 }, async (t) => {
    const seen: (string | undefined)[] = [];
    const { port: host } = await serveHttp(t, (request, response) => {
      seen.push(request.headers.cookie);
      response.setHeader('set-cookie', ['JSESSIONID=abc; Path=/; HttpOnly', 'XSRF=1']);
      response.end('ok');
    });
    const { port } = await proxy(t, 'http2', 'http1', host);
    const session = connect2(t, port);
    const login = await ask(session, { ':path': '/login' });
    assert.deepEqual(login.headers['set-cookie'], ['JSESSIONID=abc; Path=/; HttpOnly', 'XSRF=1']);
    await ask(session, { ':path': '/', cookie: ['JSESSIONID=abc', 'XSRF=1', 'third=3'] as never });
    assert.deepEqual(seen, [undefined, 'JSESSIONID=abc; XSRF=1; third=3']);
  });

  test('a reader that reads little by little, twice: what the proxy says it holds stays under 1 MiB, its memory does not grow the second time', { timeout: 180_000 }, async (t) => {
    const size = 48 * MB;
    const piece = Buffer.alloc(256 * 1024, 120);
    const host = await serve2(t, (stream) => {
      stream.respond({ ':status': 200 });
      let left = size;
      const go = (): void => {
        while (left > 0) {
          left -= piece.length;
          if (!stream.write(piece)) return void stream.once('drain', go);
        }
        stream.end();
      };
      go();
    });
    const { port, sluice } = await proxy(t, 'http2', 'http2', host);
    const held = async (): Promise<number> => {
      const list = await sluice.json<{ unsent: number }[] | { connections: { unsent: number }[] }>('/connections');
      return (Array.isArray(list) ? list : list.connections).reduce((sum, one) => sum + one.unsent, 0);
    };
    const peaks: number[] = [];
    const idle = await memory(sluice);
    let most = 0;
    for (let round = 0; round < 2; round++) {
      const session = connect2(t, port, { settings: { initialWindowSize: 65_535 } });
      const stream = session.request({ ':path': '/big' });
      await once(stream, 'response');
      // Not read yet: what the host may send fills the proxy, and that is all.
      await until('content is held back', async () => (most = Math.max(most, await held())) > 64 * 1024);
      let bytes = 0;
      let peak = 0;
      let step = 0;
      for await (const part of stream) {
        bytes += (part as Buffer).length;
        if (++step % 200 !== 0) continue;
        most = Math.max(most, await held());
        peak = Math.max(peak, await memory(sluice));
      }
      assert.equal(bytes, size);
      peaks.push(peak);
      session.destroy();
    }
    assert.ok(most <= MB, `${most} bytes held`);
    assert.ok(peaks[0]! - idle < ROOM && peaks[1]! - idle < ROOM, `${peaks.map((one) => ((one - idle) / MB).toFixed(1)).join(' and ')} MB above idle`);
  });
});


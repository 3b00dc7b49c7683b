// Plug-ins from outside: a filter, a protocol, a balancer and a network filter out of files beside the configuration; replaced while they work.
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { open, serveHttp, serveRaw } from '../support/http.js';
import { freePorts, start, until, type Sluice } from '../support/sluice.js';
import { Load } from './load.js';

/** Files of the configuration's folder: `sluice.yaml` and the plug-ins. */
type Files = Readonly<Record<string, string>>;

async function startWith(t: TestContext, files: Files, more: { readonly eager?: boolean } = {}): Promise<Sluice> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-plugins-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), name === 'sluice.yaml' ? `admin: "\${ADMIN}"\n${text}` : text);
  return start(t, { file: join(folder, 'sluice.yaml'), ...more });
}

/** Writes a file of the folder, whole or not at all. */
function put(sluice: Sluice, name: string, text: string): void {
  const file = join(dirname(sluice.file), name);
  writeFileSync(`${file}.new`, name === 'sluice.yaml' ? `admin: "\${ADMIN}"\n${text}` : text);
  renameSync(`${file}.new`, file);
}

async function reload(sluice: Sluice): Promise<readonly string[]> {
  const reply = await fetch(`http://${sluice.admin}/reload`, { method: 'POST' });
  return ((await reply.json()) as { problems: string[] }).problems;
}

/** A filter that marks both heads with its version, and files its life in the folder `lives`. */
const stamp = (version: string, lives: string): string => `
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
let made = 0;
export const manifest = (api) => ({
  kind: 'stream-filter',
  name: 'stamp',
  doc: 'Marks what passes.',
  schema: api.z.strictObject({ word: api.schema.option(api.z.string(), { default: 'by', doc: 'A word.' }) }),
  create: ({ word }) => {
    const file = (what) => writeFileSync(join(${JSON.stringify(lives)}, what + '-${version}-' + made), '');
    made++;
    file('made');
    const [request, reply] = [api.headerName('x-request-stamp'), api.headerName('x-stamp')];
    return {
      name: 'stamp',
      onRequest: (exchange, head) => { head.set(request, word + ' ${version}'); return api.CONTINUE; },
      onReply: (exchange, head) => { head.set(reply, word + ' ${version}'); return api.CONTINUE; },
      close: () => file('closed'),
    };
  },
});
`;

/** A balancer that always takes the last host of its list, or the first. */
const pickOne = (end: 'first' | 'last'): string => `
export const manifest = (api) => ({
  kind: 'balancer', name: 'one', doc: 'Always the same.',
  create: () => {
    let hosts = [];
    return { update: (next) => { hosts = next; }, pick: () => hosts.length === 0 ? null : hosts[${end === 'first' ? '0' : 'hosts.length - 1'}] };
  },
});
`;

/**
 * A protocol of lines: each line is a request, each answer a line of \`version: host's answer\`. It uses the heads of the program only by
 * what a plug-in is given.
 */
const lines = (version: string): string => `
const EMPTY = new Uint8Array(0);
export const manifest = (api) => {
  class LineHead {
    constructor(kind, text) {
      this.protocol = 'lines'; this.kind = kind; this.text = text; this.bytes = Buffer.from(text);
      this.id = 0; this.buf = this.bytes; this.start = 0; this.end = this.bytes.length; this.whole = true; this.bodyBuf = EMPTY; this.bodyStart = 0; this.bodyEnd = 0;
      this.length = 0; this.timeout = 0; this.status = kind === 2 ? 200 : 0; this.rawStatus = 0; this.interim = false; this.edited = false; this.refused = null; this.sharing = 0;
      this.vbuf = EMPTY; this.vstart = 0; this.vend = 0; this.version = '${version}';
    }
    find(name) { if (name.name !== ':path') return false; this.vbuf = this.bytes; this.vend = this.bytes.length; return true; }
    get(name) { return this.find(name) ? this.text : undefined; }
    set() {} add() {} remove() {} setBody() {} each() {}
    keep() { return this; }
  }
  class Lines {
    constructor(role) { this.role = role; this.want = 0; this.blocked = false; this.held = 0; this.tunnel = false; this.mustClose = false; this.closing = false; }
    decode(buf, start, end, sink) {
      let p = start;
      while (p < end && !this.blocked) {
        const at = buf.indexOf(10, p);
        if (at < 0 || at >= end) break;
        const text = Buffer.from(buf.subarray(p, at)).toString();
        p = at + 1;
        if (text === 'throw ' + this.role) throw new Error('thrown by the ' + this.role);
        if (this.role === 'server') { this.blocked = true; sink.onRequest(new LineHead(0, text), true); }
        else sink.onReply(new LineHead(2, text), true);
      }
      return p - start;
    }
    eof() { return true; }
    write(out, text) { const bytes = Buffer.from(text + '\\n'); out.write(bytes, 0, bytes.length); }
    encodeRequest(out, head) {
      if (head.version !== '${version}') throw new Error('a head of version ' + head.version + ' in codec ${version}');
      this.write(out, head.text);
    }
    encodeReply(out, head) {
      if (head.version !== '${version}') throw new Error('a head of version ' + head.version + ' in codec ${version}');
      this.blocked = false;
      this.write(out, '${version}: ' + head.text);
    }
    encodeLocalReply(out, id, reply) { this.blocked = false; this.write(out, 'error ' + reply.code); }
    encodeData() {} encodeTrailers() {} reid() {} release() {}
    encodeReset() { return false; }
    encodePing() { return false; } encodePong() {}
    encodeGoAway() { return false; }
  }
  return {
    kind: 'protocol', name: 'lines', doc: 'A line for a line.',
    create: () => ({
      name: 'lines', pool: 'exclusive', matchBytes: 1, match: () => 1, codec: (role) => new Lines(role), statusOf: () => 500, idempotent: () => true, mirror: () => -1,
      bidirectional: false, requestIds: false, heartbeat: { interval: 0, timeout: 0, misses: 0 }, downstreamIdle: 0,
    }),
  };
};
`;

test('a stream filter, a balancer, a protocol and a gate from outside are used like built-in ones', { timeout: 60_000 }, async (t) => {
  const lives = mkdtempSync(join(tmpdir(), 'sluice-lives-'));
  t.after(() => rmSync(lives, { recursive: true, force: true }));
  const hosts = await Promise.all(['a', 'b', 'c'].map((name) => serveHttp(t, (request, response) => response.end(`${name} ${String(request.headers['x-request-stamp'])}`))));
  const lineHost = await serveRaw(t, (socket: Socket) => {
    socket.on('end', () => socket.end());
    socket.on('data', (chunk: Buffer) => socket.write(chunk.toString().toUpperCase()));
  });
  const [port, linePort] = await freePorts(2);
  const sluice = await startWith(t, {
    'stamp.mjs': stamp('1', lives),
    'one.mjs': pickOne('last'),
    'lines.mjs': lines('v1'),
    'gate.mjs': `
      export default [{
        kind: 'network-filter', role: 'gate', name: 'third', doc: 'Lets every third client in.',
        create: (options, context) => {
          let n = 0;
          return { name: 'third', admit: () => ++n % 3 === 0 ? null : Object.assign(new Error('not the third'), { code: 'denied' }) };
        },
      }];`,
    'sluice.yaml': `
workers: 1
plugins: [./stamp.mjs, ./one.mjs, ./lines.mjs, ./gate.mjs]
access_log: {format: "%protocol% %operation% %path% %response_code% %reason%"}
listeners:
  - {name: http, address: "127.0.0.1:${port}", protocol: http1, cluster: app, stream_filters: [{type: stamp, word: "stamped"}], network_filters: [third]}
  - {name: lines, address: "127.0.0.1:${linePort}", protocol: lines, cluster: lines}
clusters:
  - {name: app, hosts: "${hosts.map((h) => `127.0.0.1:${h.port}`).join(',')}", balancer: one}
  - {name: lines, hosts: "127.0.0.1:${lineHost.port}", protocol: lines}
`,
  });
  for (let i = 0; i < 2; i++) {
    const out = await open(t, port!);
    await out.whenEnded();
    assert.equal(out.total, 0);
  }
  await until('both are counted', async () => (await sluice.metric('sluice_listener_refused_total', 'denied')) === 2);
  const client = await open(t, port!);
  for (let i = 0; i < 3; i++) {
    client.send('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    const reply = await client.reply();
    assert.equal(reply.body.toString(), 'c stamped 1', 'always the last host');
    assert.equal(reply.headers['x-stamp'], 'stamped 1');
  }
  const line = await open(t, linePort!);
  line.send('hello\nand\nagain\n');
  await line.when('three lines', () => line.text === 'v1: HELLO\nv1: AND\nv1: AGAIN\n');
  assert.equal(lineHost.accepted(), 1);
  await until('its lines', () => sluice.lines.filter((l) => l.startsWith('lines ')).length === 3);
});

test('a bad plug-in is refused with its place and what is wrong with it; nothing starts', { timeout: 60_000 }, async (t) => {
  const faults: [string, string, RegExp][] = [
    ['none.mjs', '', /there is no file .*none\.mjs/],
    ['syntax.mjs', 'export const manifest = {', /cannot be loaded/],
    ['throws.mjs', '\n\nthrow new Error("on purpose");', /on purpose \(line 3\)/],
    ['empty.mjs', 'export const x = 1;', /exports no `manifest`/],
    ['kind.mjs', 'export const manifest = { kind: "stream-filtr", name: "x", doc: "", create() {} };', /did you mean stream-filter\?/],
    ['name.mjs', 'export const manifest = { kind: "stream-filter", name: "Bad Name", doc: "", create() {} };', /must have a name/],
    ['create.mjs', 'export const manifest = { kind: "stream-filter", name: "x", doc: "" };', /must have a function create/],
    ['builtin.mjs', 'export const manifest = { kind: "protocol", name: "bolt", doc: "", create() {} };', /the protocol bolt is built in/],
  ];
  const files: Record<string, string> = { 'sluice.yaml': `plugins:\n${faults.map(([name]) => `  - ./${name}\n`).join('')}  - no-such-package\n` };
  for (const [name, text] of faults) if (text !== '') files[name] = text;
  const sluice = await startWith(t, files, { eager: true });
  assert.equal(await sluice.exited, 3);
  for (const [i, [name, , expected]] of faults.entries()) {
    const told = sluice.stderr.split('\n').filter((line) => line.includes(`plugins[${i}]`)).join('\n');
    assert.match(told, new RegExp(`sluice\\.yaml:${i + 3}:5: plugins\\[${i}\\]`), name);
    assert.match(told, expected, name);
  }
  assert.match(sluice.stderr, /sluice\.yaml:11:5: plugins\[8\].*there is no package no-such-package/);
});

test('options of a plug-in are checked by its schema, with their place', { timeout: 60_000 }, async (t) => {
  const sluice = await startWith(t, {
    'stamp.mjs': stamp('1', tmpdir()),
    'sluice.yaml': `
plugins: ./stamp.mjs
listeners:
  - name: in
    address: 127.0.0.1:0
    protocol: http1
    routes: main
    stream_filters:
      - {type: stamp, wrod: x}
routes: [{name: main, routes: [{direct_response: {}}]}]
`,
  }, { eager: true });
  assert.equal(await sluice.exited, 3);
  assert.match(sluice.stderr, /sluice\.yaml:10:\d+: listeners\[0\]\.stream_filters\[0\].*wrod/);
  assert.match(sluice.stderr, /did you mean word\?/);
});

test('a filter is replaced 100 times under load: no request fails, each sees one version whole, the old ones are closed', { timeout: 120_000 }, async (t) => {
  const lives = mkdtempSync(join(tmpdir(), 'sluice-lives-'));
  t.after(() => rmSync(lives, { recursive: true, force: true }));
  // Slow enough that requests are under way at every swap.
  const host = await serveHttp(t, (request, response) => void setTimeout(() => response.end(request.headers['x-request-stamp']), 5));
  const [port] = await freePorts(1);
  const sluice = await startWith(t, {
    'stamp.mjs': stamp('0', lives),
    'sluice.yaml': `
plugins: [./stamp.mjs]
access_log: false
listeners: [{name: in, address: "127.0.0.1:${port}", protocol: http1, cluster: app, stream_filters: [stamp]}]
clusters: [{name: app, hosts: "127.0.0.1:${host.port}"}]
`,
  });
  const seen = new Set<string>();
  const load = new Load(t, {
    port: port!,
    lanes: 8,
    wrong: ({ status, headers, body }) => {
      seen.add(body.toString());
      if (status !== 200) return `status ${status}: ${body.toString()}`;
      return headers['x-stamp'] === body.toString() ? '' : `request by ${body.toString()}, reply by ${headers['x-stamp']}`;
    },
  });
  for (let i = 1; i <= 100; i++) {
    put(sluice, 'stamp.mjs', stamp(String(i), lives));
    assert.deepEqual(await reload(sluice), []);
    await load.more(8);
  }
  await load.stop();
  assert.deepEqual(load.failures, []);
  assert.equal(load.closes, 0);
  assert.ok(seen.size > 80, `${seen.size} versions were met`);
  assert.ok(seen.has('by 100'));
  const filed = (): string[] => readdirSync(lives);
  await until('all but the last are closed', () => filed().filter((f) => f.startsWith('closed-')).length === filed().filter((f) => f.startsWith('made-')).length - 1);
  const open_ = filed().filter((f) => f.startsWith('made-') && !filed().includes(f.replace('made', 'closed')));
  assert.equal(open_.length, 1);
  assert.match(open_[0]!, /^made-100-/);
});

test('a plug-in that turns bad keeps its last version, which is told; the next good one is taken', { timeout: 60_000 }, async (t) => {
  const lives = mkdtempSync(join(tmpdir(), 'sluice-lives-'));
  t.after(() => rmSync(lives, { recursive: true, force: true }));
  const [port] = await freePorts(1);
  const sluice = await startWith(t, {
    'stamp.mjs': stamp('1', lives),
    'sluice.yaml': `
plugins: [./stamp.mjs]
listeners: [{name: in, address: "127.0.0.1:${port}", protocol: http1, routes: main, stream_filters: [stamp]}]
routes: [{name: main, routes: [{terminal: echo}]}]
`,
  });
  const client = await open(t, port!);
  const ask = async (): Promise<string> => {
    client.send('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    return /x-request-stamp: (.*)/.exec((await client.reply()).body.toString())?.[1] ?? 'nothing';
  };
  assert.equal(await ask(), 'by 1');
  put(sluice, 'stamp.mjs', 'export const manifest = {');
  const [problem] = await reload(sluice);
  assert.match(problem!, /plugins\[0\].*cannot be loaded/);
  assert.equal(await ask(), 'by 1');
  const state = await sluice.json<{ rejected: { at: string; problems: string[] } }>('/config');
  assert.match(state.rejected.problems.join(), /plugins\[0\]/);

  // One whose filter cannot be made: the listener stays as it was.
  put(sluice, 'stamp.mjs', stamp('2', lives).replace("made++;", "throw new Error('cannot be made');"));
  assert.match((await reload(sluice)).join(), /listener in: cannot be made/);
  assert.equal(await ask(), 'by 1');

  // The watch finds a plug-in's change as well as the configuration's.
  put(sluice, 'stamp.mjs', stamp('3', lives));
  await until('the mended one is used', async () => (await ask()) === 'by 3');
  // A worker has it before the main thread knows that all have.
  await until('nothing is refused any more', async () => (await sluice.json<{ rejected: unknown }>('/config')).rejected === null);
});

test('a balancer and a protocol are replaced under load: connections that speak the old version go on with it, new ones have the new', { timeout: 60_000 }, async (t) => {
  const named = (name: string) => serveRaw(t, (socket: Socket) => {
    let rest = '';
    socket.on('end', () => socket.end());
    socket.on('data', (chunk: Buffer) => {
      const parts = (rest + chunk.toString()).split('\n');
      rest = parts.pop()!;
      for (const part of parts) setTimeout(() => socket.write(`${name} ${part}\n`), 2);
    });
  });
  const [a, b] = [await named('a'), await named('b')];
  const [port] = await freePorts(1);
  const sluice = await startWith(t, {
    'lines.mjs': lines('v0'),
    'one.mjs': pickOne('first'),
    'sluice.yaml': `
plugins: [./lines.mjs, ./one.mjs]
access_log: false
listeners: [{name: in, address: "127.0.0.1:${port}", protocol: lines, cluster: app}]
clusters: [{name: app, hosts: "127.0.0.1:${a.port},127.0.0.1:${b.port}", protocol: lines, balancer: one}]
`,
  });
  const first = await open(t, port!);
  let asked = 0;
  const ask = async (client: typeof first): Promise<string> => {
    const word = `word${asked++}`;
    client.send(`${word}\n`);
    await client.when('the answer', () => client.text.endsWith('\n'));
    const text = (await client.take(client.received.length)).toString().trim();
    assert.ok(text.endsWith(word), text);
    return text.slice(0, -word.length - 1);
  };
  assert.equal(await ask(first), 'v0: a');
  const clients = [first];
  for (let i = 1; i <= 20; i++) {
    put(sluice, 'lines.mjs', lines(`v${i}`));
    put(sluice, 'one.mjs', `${pickOne(i % 2 === 0 ? 'first' : 'last')}// ${i}`);
    const during = Promise.all(clients.map((client) => ask(client)));
    assert.deepEqual(await reload(sluice), []);
    await during;
    clients.push(await open(t, port!));
    const host = i % 2 === 0 ? 'a' : 'b';
    const answers = await Promise.all(clients.map((client) => ask(client)));
    assert.deepEqual(answers, clients.map((_, n) => `v${n}: ${host}`));
  }
  assert.equal(await sluice.metric('sluice_listener_reasons_total'), 0);
  assert.equal(await sluice.metric('sluice_listener_requests_total'), asked);
  for (const client of clients) client.end();
  await until('no client is left', async () => (await sluice.metric('sluice_listener_active_connections')) === 0);
  assert.equal(await sluice.metric('sluice_cluster_active_requests'), 0);
  // What former versions left behind goes with the next configuration.
  put(sluice, 'sluice.yaml', `
plugins: [./lines.mjs, ./one.mjs]
access_log: false
listeners: [{name: in, address: "127.0.0.1:${port}", protocol: lines, cluster: app}]
clusters: [{name: app, hosts: "127.0.0.1:${b.port}", protocol: lines, balancer: one}]
`);
  assert.deepEqual(await reload(sluice), []);
  await until('the removed host is let go of', () => a.sockets.size === 0);
});

test('a protocol that throws costs the connection it threw on, with a reason and a place in the log', { timeout: 60_000 }, async (t) => {
  const host = await serveRaw(t, (socket: Socket) => {
    socket.on('end', () => socket.end());
    socket.on('data', (chunk: Buffer) => socket.write(chunk));
  });
  const [port] = await freePorts(1);
  const sluice = await startWith(t, {
    'lines.mjs': lines('v1'),
    'sluice.yaml': `
plugins: [./lines.mjs]
access_log: {format: "%path% %response_code% %reason%"}
listeners: [{name: in, address: "127.0.0.1:${port}", protocol: lines, cluster: app}]
clusters: [{name: app, hosts: "127.0.0.1:${host.port}", protocol: lines}]
`,
  });
  const other = await open(t, port!);
  other.send('one\n');
  await other.when('an answer', () => other.text === 'v1: one\n');
  const server = await open(t, port!);
  server.send('throw server\n');
  await server.whenClosed();
  const client = await open(t, port!);
  client.send('throw client\n');
  await client.when('an error', () => client.text === 'error internal\n');
  client.send('two\n');
  await client.when('an answer', () => client.text.endsWith('v1: two\n'));
  other.send('three\n');
  await other.when('another answer', () => other.text.endsWith('v1: three\n'));
  await until('it is told', () => /threw; the connection was cut.*thrown by the server/.test(sluice.stderr) && /thrown by the client/.test(sluice.stderr));
  assert.match(sluice.stderr, /lines\.mjs/);
  await until('their lines', () => sluice.lines.length === 4);
  assert.ok(sluice.lines.includes('throw\\x20client 500 internal'), sluice.lines.join());
  assert.equal(await sluice.metric('sluice_cluster_active_requests'), 0);
});

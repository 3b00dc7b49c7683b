// Unmodified @tars/rpc clients and servers through a Tars listener: calls of any size, context, TUP, one-way, errors, heartbeats, one server killed.
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { after, describe, test, type TestContext } from 'node:test';
import { freePorts, start, until } from '../support/sluice.js';

const require = createRequire(resolve('package.json'));

interface Bytes {
  readonly length: number;
  toNodeBuffer(): Buffer;
}
interface OutputStream {
  writeInt32(tag: number, value: number): void;
  writeString(tag: number, value: string): void;
  getBinBuffer(): Bytes;
}
interface InputStream {
  readInt32(tag: number, required: boolean, otherwise: number): number;
  readString(tag: number, required: boolean, otherwise: string): string;
}
interface Attributes {
  tupVersion: number;
  writeString(name: string, value: string): void;
  readInt32(name: string, otherwise: number): number;
  readString(name: string): string;
}
interface Properties {
  readonly context?: Record<string, string>;
  readonly packetType?: 1;
}
interface Answer {
  readonly request: object;
  readonly response: { readonly sBuffer: object; readonly tup: Attributes; readonly iRet: number; readonly context: { toObject(): Record<string, string> } };
}
interface Worker {
  timeout: number;
  version: number;
  tars_invoke(name: string, buffer: Bytes, properties: Properties): Promise<Answer>;
  tup_invoke(name: string, attributes: Attributes, properties: Properties): Promise<Answer>;
}
interface RpcError {
  readonly error: { readonly code: number; readonly message: string };
}
interface PacketStream {
  compose(message: object): Buffer;
}
interface Communicator {
  stringToProxy<T>(proxy: new () => T, name: string): T;
  destroy(): void;
}
const { Communicator, rpcTars } = require('@tars/rpc') as { Communicator: { New(): Communicator }; rpcTars: { client: new () => PacketStream } };
const stream = require('@tars/stream') as {
  TarsOutputStream: new () => OutputStream; TarsInputStream: new (buffer: object) => InputStream; UniAttribute: new () => Attributes;
};

const SERVANT = 'App.Server.Obj';

/** As tars2node writes them for `int echo(string text, out string said, out string who, out string context)` and others, shortened. */
class EchoProxy {
  readonly _worker!: Worker;

  async echo(text: string, context: Record<string, string> = {}): Promise<{ said: string; who: string; context: string; reply: Record<string, string> }> {
    const worker = this._worker;
    if (worker.version === 1) {
      const os = new stream.TarsOutputStream();
      os.writeString(1, text);
      const { response } = await worker.tars_invoke('echo', os.getBinBuffer(), { context });
      const is = new stream.TarsInputStream(response.sBuffer);
      assert.equal(is.readInt32(0, true, 0), 0);
      return { said: is.readString(2, true, ''), who: is.readString(3, true, ''), context: is.readString(4, true, ''), reply: response.context.toObject() };
    }
    const attributes = new stream.UniAttribute();
    attributes.tupVersion = worker.version;
    attributes.writeString('text', text);
    const { tup } = (await worker.tup_invoke('echo', attributes, { context })).response;
    assert.equal(tup.readInt32('', 7), 0);
    return { said: tup.readString('said'), who: tup.readString('who'), context: tup.readString('context'), reply: {} };
  }

  /** Any function, with one number as its argument; its result. */
  async call(name: string, argument = 0, properties: Properties = {}): Promise<number> {
    const worker = this._worker;
    if (worker.version === 1) {
      const os = new stream.TarsOutputStream();
      os.writeInt32(1, argument);
      const { response } = await worker.tars_invoke(name, os.getBinBuffer(), properties);
      return new stream.TarsInputStream(response.sBuffer).readInt32(0, true, -1);
    }
    const attributes = new stream.UniAttribute();
    attributes.tupVersion = worker.version;
    return (await worker.tup_invoke(name, attributes, properties)).response.tup.readInt32('', -1);
  }

  async error(name: string, argument = 0): Promise<RpcError['error']> {
    try {
      await this.call(name, argument);
    } catch (error) {
      return (error as RpcError).error;
    }
    return assert.fail(`${name} was answered`);
  }
}

/** An @tars/rpc server in a process of its own, so that it can be killed; it prints the one-way notes and the pings that it gets. */
async function serve(t: TestContext, port: number): Promise<{ child: ChildProcess; said: string[] }> {
  const script = `
    const Tars = require('@tars/rpc'), S = require('@tars/stream');
    function Imp() {}
    Imp.prototype.initialize = function () {};
    Imp.prototype.onDispatch = function (current, name, buffer) {
      return '__' + name in this ? this['__' + name](current, buffer) : Tars.error.SERVER.FUNC_NOT_FOUND;
    };
    const tup = (current) => current.getRequestVersion() !== 1;
    const attributes = (current, buffer) => {
      const made = new S.UniAttribute();
      made.tupVersion = current.getRequestVersion();
      if (buffer) made.decode(buffer);
      return made;
    };
    const number = (current, value) => {
      if (tup(current)) {
        const out = attributes(current);
        out.writeInt32('', value);
        current.doResponse(out.encode());
      } else {
        const os = new S.TarsOutputStream();
        os.writeInt32(0, value);
        current.doResponse(os.getBinBuffer());
      }
      return 0;
    };
    Imp.prototype.__tars_ping = function (current) {
      console.log('ping ' + current.getRequest().sServantName);
      return number(current, 0);
    };
    Imp.prototype.__echo = function (current, buffer) {
      const context = JSON.stringify(current.getContext().toObject());
      if (tup(current)) {
        const out = attributes(current);
        out.writeInt32('', 0);
        out.writeString('said', attributes(current, buffer).readString('text'));
        out.writeString('who', '${port}');
        out.writeString('context', context);
        current.doResponse(out.encode());
      } else {
        const os = new S.TarsOutputStream();
        os.writeInt32(0, 0);
        os.writeString(2, new S.TarsInputStream(buffer).readString(1, true, ''));
        os.writeString(3, '${port}');
        os.writeString(4, context);
        current.setResponseContext({ served: 'by ${port}' });
        current.doResponse(os.getBinBuffer());
      }
      return 0;
    };
    Imp.prototype.__add = function (current, buffer) { return number(current, new S.TarsInputStream(buffer).readInt32(1, true, 0) + 1); };
    Imp.prototype.__note = function (current, buffer) {
      console.log('note ' + new S.TarsInputStream(buffer).readInt32(1, true, 0) + ' of type ' + current.getRequest().cPacketType);
      return number(current, 0);
    };
    Imp.prototype.__slow = function (current, buffer) {
      setTimeout(() => number(current, 5), tup(current) ? 5000 : new S.TarsInputStream(buffer).readInt32(1, true, 0));
      return 0;
    };
    Imp.prototype.__fail = function () { throw Object.assign(new Error('as asked'), { code: -99 }); };
    Tars.server.createServer(Imp).start({ servant: '${SERVANT}', endpoint: 'tcp -h 127.0.0.1 -p ${port} -t 60000', protocol: 'tars' });
    require('net').connect(${port}, '127.0.0.1').on('connect', function () { this.destroy(); console.log('up'); });
  `;
  const child = spawn(process.execPath, ['--no-warnings', '-e', script], { cwd: resolve('.'), stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  const said: string[] = [];
  let text = '';
  child.stdout!.on('data', (data: Buffer) => {
    text += data.toString();
    const lines = text.split('\n');
    text = lines.pop()!;
    said.push(...lines);
  });
  await until('the server is up', () => said.includes('up'));
  return { child, said };
}

function connect(t: TestContext, port: number, version = 1, servant = SERVANT): EchoProxy {
  const communicator = Communicator.New();
  const proxy = communicator.stringToProxy(EchoProxy, `${servant}@tcp -h 127.0.0.1 -p ${port} -t 60000`);
  proxy._worker.version = version;
  proxy._worker.timeout = 10_000;
  t.after(() => communicator.destroy());
  return proxy;
}

interface More {
  readonly listener?: string;
  /** Options of the route that calls of `slow` take instead. */
  readonly slow?: string;
  readonly route?: string;
  readonly cluster?: string;
}

const config = (port: number, servers: readonly number[], more: More = {}): string => `
listeners:
  - name: tars
    address: 127.0.0.1:${port}
    protocol: tars
    routes: main
    ${more.listener ?? ''}
routes:
  - name: main
    routes:
      ${more.slow === undefined ? '' : `- {name: slow, match: {service: ${SERVANT}, method: slow}, cluster: servers, ${more.slow}}`}
      - name: app
        match: {service: ${SERVANT}}
        cluster: servers
        ${more.route ?? ''}
clusters:
  - name: servers
    hosts: ${servers.map((p) => `127.0.0.1:${p}`).join(',')}
    protocol: tars
    ${more.cluster ?? ''}
access_log: {format: json}
`;

describe('one server', () => {
  for (const version of [1, 2, 3]) {
    test(`calls, context and errors in version ${version}`, { timeout: 60_000 }, async (t) => {
      const [port, server] = (await freePorts(2)) as [number, number];
      await serve(t, server);
      const edits = 'request_headers: {set: {x-hop: sluice, user: "%request_header_user%!"}, remove: [secret]}';
      const sluice = await start(t, { config: config(port, [server], { route: `${edits}\n        reply_headers: {set: {x-by: sluice}}` }) });
      const proxy = connect(t, port, version);
      const answer = await proxy.echo('héllo', { user: 'ann', secret: 's', zone: 'a' });
      assert.deepEqual([answer.said, answer.who], ['héllo', String(server)]);
      assert.deepEqual(JSON.parse(answer.context), { 'user': 'ann!', 'zone': 'a', 'x-hop': 'sluice' });
      if (version === 1) assert.deepEqual(answer.reply, { 'served': `by ${server}`, 'x-by': 'sluice' });
      const texts = Array.from({ length: 200 }, (_, i) => `text ${i} ${'x'.repeat(i)}`);
      assert.deepEqual((await Promise.all(texts.map((text) => proxy.echo(text)))).map(({ said }) => said), texts);
      // What the server refuses, and what the proxy refuses.
      assert.equal((await proxy.error('unheardOf')).code, -3);
      assert.equal((await proxy.error('fail')).code, -99);
      const refused = await connect(t, port, version, 'App.Server.Other').error('add', 1);
      assert.equal(refused.code, -4);
      // The library shows no texts of TUP errors.
      if (version === 1) assert.match(refused.message, /no route matches/);
      assert.equal(await sluice.metric('sluice_listener_reasons_total'), 1, 'only the last is the proxy\'s own');
      await until('the access log is written', () => sluice.lines.length === 204);
      const lines = sluice.lines.map((line) => JSON.parse(line) as { response_code: number; operation: string });
      assert.deepEqual(lines.slice(-3).map((line) => line.response_code), [404, 500, 404]);
      assert.equal(lines[0]!.operation, `${SERVANT}.echo`);
      sluice.kill('SIGTERM');
      assert.equal(await sluice.exited, 0);
    });
  }

  test('packets of every size: those of 38 to 70,031 bytes that confuse other proxies, and a megabyte', { timeout: 120_000 }, async (t) => {
    const [port, server] = (await freePorts(2)) as [number, number];
    await serve(t, server);
    const sluice = await start(t, { config: config(port, [server]).replace(SERVANT, 'S') });
    const proxy = connect(t, port, 1, 'S');
    const sizeOf = (text: string): number => {
      const os = new stream.TarsOutputStream();
      os.writeString(1, text);
      return new rpcTars.client().compose({ iRequestId: 70_000, iTimeout: 10_000, sServantName: 'S', sFuncName: 'echo', appBuffer: os.getBinBuffer(), property: {} }).length;
    };
    const sizes = [...Array.from({ length: 700 }, (_, i) => 38 + i), 3029, 4095, 4096, 4229, 65_535, 65_536, 65_540, 70_031, 262_144, 262_145, 1_000_000];
    const texts = sizes.map((size) => {
      let n = Math.max(0, size - sizeOf(''));
      while (n > 0 && sizeOf('x'.repeat(n)) > size) n--;
      return String.fromCharCode(97 + (size % 26)).repeat(n);
    });
    assert.ok(sizeOf('') <= 40, `the smallest has ${sizeOf('')} bytes`);
    for (let i = 0; i < sizes.length; i += 50) {
      const part = texts.slice(i, i + 50);
      const said = (await Promise.all(part.map((text) => proxy.echo(text)))).map((answer) => answer.said);
      for (const [k, text] of part.entries()) assert.ok(said[k] === text, `${sizes[i + k]} bytes`);
    }
    assert.equal(await sluice.metric('sluice_listener_reasons_total'), 0);
    const tup = connect(t, port, 3, 'S');
    for (const text of texts.slice(-8)) assert.ok((await tup.echo(text)).said === text);
  });

  test('a one-way call is sent on and not waited for; a slow one ends by the timeout, with an error of Tars', { timeout: 60_000 }, async (t) => {
    const [port, server] = (await freePorts(2)) as [number, number];
    const { said } = await serve(t, server);
    const sluice = await start(t, { config: config(port, [server], { slow: 'retry: {attempts: 1, per_try_timeout: 400ms}' }) });
    const proxy = connect(t, port);
    assert.equal(await proxy.call('add', 41), 42);
    // The library rejects one-way calls itself, once they are sent.
    await assert.rejects(proxy.call('note', 7, { packetType: 1 }), (error: RpcError) => /one way/.test(error.error.message));
    await until('the note arrives', () => said.includes('note 7 of type 1'));
    assert.equal(await proxy.call('add', 42), 43);
    const slow = await proxy.error('slow', 5000);
    assert.equal(slow.code, -7);
    assert.match(slow.message, /within the 400 ms of one try/);
    assert.equal((await connect(t, port, 3).error('slow', 5000)).code, -7);
    assert.equal(await sluice.metric('sluice_cluster_active_requests'), 0);
    await until('the access log is written', () => sluice.lines.length === 5);
    const lines = sluice.lines.map((line) => JSON.parse(line) as { reason: string | null; response_code: number });
    assert.deepEqual(lines.filter(({ response_code: status }) => status !== 200).map(({ reason }) => reason), ['try-timeout', 'try-timeout']);
  });

  test('the timeout in the packet ends the call, though the client would wait longer', { timeout: 60_000 }, async (t) => {
    const [port, server] = (await freePorts(2)) as [number, number];
    await serve(t, server);
    await start(t, { config: config(port, [server]) });
    // A client of the library whose packets say 300 ms for slow calls, whatever its own clock says.
    const proxy = connect(t, port);
    const { compose } = rpcTars.client.prototype;
    t.mock.method(rpcTars.client.prototype, 'compose', function (this: PacketStream, message: { readonly sFuncName: string }) {
      return compose.call(this, message.sFuncName === 'slow' ? { ...message, iTimeout: 300 } : message);
    });
    const slow = await proxy.error('slow', 8000);
    assert.equal(slow.code, -7);
    assert.match(slow.message, /did not reply within 300 ms/);
    assert.equal(await proxy.call('add', 1), 2);
  });

  test('dead hosts are told as such; tars_ping is answered by the proxy, or forwarded where that is asked for', { timeout: 60_000 }, async (t) => {
    const [port, dead, other, server, third] = (await freePorts(5)) as [number, number, number, number, number];
    await start(t, { config: config(port, [dead]) });
    for (const version of [1, 2, 3]) {
      const proxy = connect(t, port, version);
      assert.equal(await proxy.call('tars_ping'), 0, 'a heartbeat of the connection');
      const lost = await proxy.error('add', 1);
      assert.equal(lost.code, -8);
      if (version === 1) assert.match(lost.message, /refused the connection/);
    }
    await start(t, { config: config(other, [dead], { listener: 'options: {ping: forward}' }) });
    assert.equal((await connect(t, other).error('tars_ping')).code, -8);
    const { said } = await serve(t, server);
    await start(t, { config: config(third, [server], { listener: 'options: {ping: forward}' }) });
    assert.equal(await connect(t, third, 3).call('tars_ping'), 0);
    await until('the server was asked', () => said.includes(`ping ${SERVANT}`));
  });

  test('real servers answer the proxy\'s heartbeats and health checks', { timeout: 60_000 }, async (t) => {
    const [port, server, hung] = (await freePorts(3)) as [number, number, number];
    const { child, said } = await serve(t, server);
    const silent = await serve(t, hung);
    silent.child.kill('SIGSTOP');
    const cluster = 'heartbeat: {interval: 50ms, timeout: 200ms, misses: 100}\n    health_check: {type: tars, interval: 200ms, retry_interval: 50ms, timeout: 3s, unhealthy_threshold: 1, initial: unhealthy}';
    const sluice = await start(t, { config: config(port, [server, hung], { cluster }) });
    const proxy = connect(t, port);
    await until('the server was checked, and is used', () => said.includes('ping ') && proxy.echo('').then(({ who }) => who === String(server), () => false));
    await until('the hung one was checked', async () => (await sluice.metric('sluice_health_check_failures_total')) > 0);
    for (let i = 0; i < 20; i++) assert.equal((await proxy.echo(`${i}`)).who, String(server), 'the hung one gets nothing');
    await until('health checks and heartbeats of the idle connection', () => said.filter((line) => line === 'ping ').length >= 2 && said.filter((line) => line === `ping ${SERVANT}`).length >= 3);
    assert.equal(await sluice.metric('sluice_cluster_resets_total'), 0);
    assert.equal((await proxy.echo('again')).who, String(server));
    child.kill('SIGKILL');
    await once(child, 'exit');
    const lost = await proxy.error('add', 1);
    assert.ok([-8, -10].includes(lost.code), `${lost.code} ${lost.message}`);
  });
});

test('two servers, one killed half way: no idempotent call fails', { timeout: 60_000 }, async (t) => {
  const [port, ...servers] = (await freePorts(3)) as [number, number, number];
  const processes = await Promise.all(servers.map((p) => serve(t, p)));
  const more = { route: 'idempotent: true\n        retry: {on: [connect-failure, reset], attempts: 4}', cluster: 'health_check: {type: tars, interval: 500ms, retry_interval: 200ms, timeout: 10s, unhealthy_threshold: 1}' };
  const sluice = await start(t, { config: config(port, servers, more) });
  const proxies = [connect(t, port), connect(t, port, 3)];
  const counts = new Map<string, number>();
  const total = 600;
  let next = 0;
  const lanes = Array.from({ length: 16 }, async (_, lane) => {
    while (next < total) {
      const i = next++;
      if (i === total / 2) processes[0]!.child.kill('SIGKILL');
      const { said, who } = await proxies[lane % 2]!.echo(`n${i}`);
      assert.equal(said, `n${i}`, 'the reply belongs to this call');
      counts.set(who, (counts.get(who) ?? 0) + 1);
    }
  });
  await Promise.all(lanes);
  assert.equal([...counts.values()].reduce((a, b) => a + b), total);
  for (const p of servers) assert.ok(counts.get(String(p))! > total / 8, `${p}: ${counts.get(String(p))}`);
  assert.equal(await sluice.metric('sluice_listener_requests_total', 'listener="tars"'), total);
  assert.equal(await sluice.metric('sluice_listener_reasons_total'), 0, 'no exchange ended badly');
  assert.equal(await sluice.metric('sluice_cluster_active_requests'), 0);
  sluice.kill('SIGTERM');
  assert.equal(await sluice.exited, 0);
});

const certs = resolve('test/support/certs');
const mutual = {
  listener: `tls: {certificates: [{cert: ${certs}/localhost.pem, key: ${certs}/localhost.key}], client_auth: required, ca: ${certs}/ca.pem}`,
  cluster: `tls: {ca: ${certs}/ca.pem, cert: ${certs}/client.pem, key: ${certs}/client.key}`,
};

for (const [name, between] of [['plain', {}], ['mTLS', mutual]] as const) {
  test(`two proxies in a row, ${name} between them: calls, errors and their reasons pass through both`, { timeout: 60_000 }, async (t) => {
    const [first, second, server] = (await freePorts(3)) as [number, number, number];
    await serve(t, server);
    const { listener, cluster } = between as More;
    const toSecond = config(first, [second], cluster === undefined ? {} : { cluster: cluster.replace('tls: {', 'tls: {server_name: localhost, ') }).replace(SERVANT, 'App.Server.Obj');
    const near = await start(t, { config: toSecond.replace(`match: {service: ${SERVANT}}`, 'match: {}') });
    const far = await start(t, { config: config(second, [server], listener === undefined ? {} : { listener }) });
    for (const version of [1, 3]) {
      const proxy = connect(t, first, version);
      const big = 'y'.repeat(300_000);
      assert.deepEqual((await Promise.all(['a', big, 'c'].map((text) => proxy.echo(text)))).map(({ said }) => said === big || said), ['a', true, 'c']);
      assert.equal((await proxy.error('unheardOf')).code, -3);
      assert.equal((await connect(t, first, version, 'Nobody').error('add')).code, -4);
    }
    assert.equal(await near.metric('sluice_listener_reasons_total'), 0);
    assert.equal(await far.metric('sluice_listener_reasons_total'), 2);
    await until('the access log is written', () => near.lines.length === 10);
    const codes = near.lines.map((line) => (JSON.parse(line) as { response_code: number }).response_code);
    assert.deepEqual(codes.filter((code) => code !== 200), [404, 404, 404, 404]);
  });
}

// The client library leaves timers behind that would keep this process.
after(() => setTimeout(() => process.exit(), 1000).unref());

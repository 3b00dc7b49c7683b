// Servers and clients of Bolt, HTTP/1.1, Thrift and Tars, made of unmodified libraries and all alike to call; with `serve PORT PORT PORT PORT` one process that serves them all.
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { Agent, createServer, request, type IncomingMessage } from 'node:http';
import { createRequire } from 'node:module';
import { connect as connectTo } from 'node:net';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestContext } from 'node:test';
import { freePorts } from '../support/sluice.js';
import { HelloClient, HelloProcessor, handlerOf, library, protocols } from './thrift-service.js';

const require = createRequire(resolve('package.json'));
const quiet = { info() {}, warn() {}, error() {}, debug() {} };

/** Nothing that waits for an answer is to end by the client's own limit, ms. */
const LIMIT = 45_000;
/** Longer than any test waits, ms. */
const NEVER = 300_000;

/** One client of one of the protocols. */
export interface Caller {
  /** `TEXT from NAME`, where the name is the server's. */
  say(text: string): Promise<string>;
  /** Refused by the server with "as asked". */
  fail(): Promise<unknown>;
  /** Not answered by the server; refused after 400 ms by the proxy's limit, or by the call's own. */
  slow(): Promise<unknown>;
  /** A call that no reply belongs to. */
  readonly note?: (text: string) => Promise<unknown>;
}

export interface Kind {
  /** As in listeners and clusters. */
  readonly protocol: string;
  /** The condition on routes that holds for `slow` alone. */
  readonly slow: string;
  /** Options of listeners by which a client that is a proxy is sent away at a drain. */
  readonly drain: string;
  readonly healthCheck: string;
  connect(t: TestContext, port: number): Promise<Caller>;
  serve(port: number, name: string): Promise<unknown>;
}

const message = (error: unknown): string => {
  const { code, message } = ((error as { error?: unknown }).error ?? error) as { code?: number; message?: string };
  return `${code ?? ''} ${message ?? ''}`;
};

interface Consumer {
  ready(): Promise<void>;
  invoke(method: string, args: unknown[], options: object): Promise<unknown>;
  close(): void;
}
interface RpcServer {
  addService(id: object, methods: object): void;
  start(): Promise<unknown>;
}
interface Sofa {
  readonly client: { readonly RpcClient: new (options: object) => { createConsumer(options: object): Consumer; close(): Promise<void> } };
  readonly server: { readonly RpcServer: new (options: object) => RpcServer };
}

const bolt: Kind = {
  protocol: 'bolt',
  slow: '{method: slow}',
  drain: '{goaway: true}',
  healthCheck: '{type: bolt',
  async connect(t, port) {
    const { RpcClient } = (require('sofa-rpc-node') as Sofa).client;
    const client = new RpcClient({ logger: quiet });
    const hello = client.createConsumer({ interfaceName: 'com.example.Hello', serverHost: `127.0.0.1:${port}` });
    t.after(async () => {
      hello.close();
      await client.close();
    });
    await hello.ready();
    const call = (method: string, args: unknown[] = [], limit = LIMIT): Promise<unknown> => hello.invoke(method, args, { responseTimeout: limit });
    // The library names the method in the content alone, where no route sees it: the limit is the one in the frame.
    return { say: async (text) => String(await call('say', [text])), fail: () => call('fail'), slow: () => call('slow', [], 400) };
  },
  serve(port, name) {
    const { RpcServer } = (require('sofa-rpc-node') as Sofa).server;
    const server = new RpcServer({ logger: quiet, port, autoServe: false });
    server.addService({ interfaceName: 'com.example.Hello' }, {
      say: async (text: string) => `${text} from ${name}`,
      fail: async () => {
        throw new Error('as asked');
      },
      // The library looks for functions that are async.
      slow: async () => {
        await new Promise((done) => setTimeout(done, NEVER).unref());
      },
    });
    return server.start();
  },
};

const http1: Kind = {
  protocol: 'http1',
  slow: '{path: /slow}',
  drain: '{}',
  healthCheck: '{type: http, path: /say, expect: [200]',
  async connect(t, port) {
    const agent = new Agent({ keepAlive: true });
    t.after(() => agent.destroy());
    const post = async (path: string, body = ''): Promise<string> => {
      const sent = request({ host: '127.0.0.1', port, path, method: 'POST', agent, timeout: LIMIT });
      sent.on('timeout', () => sent.destroy(new Error('the reply took too long')));
      sent.end(body);
      const [reply] = (await once(sent, 'response')) as [IncomingMessage];
      let text = '';
      for await (const piece of reply.setEncoding('utf8')) text += piece as string;
      if (reply.statusCode !== 200) throw new Error(`${reply.statusCode} ${text}`);
      return text;
    };
    return { say: (text) => post('/say', text), fail: () => post('/fail'), slow: () => post('/slow') };
  },
  async serve(port, name) {
    const server = createServer(async (asked, reply) => {
      const pieces: Buffer[] = [];
      for await (const piece of asked) pieces.push(piece as Buffer);
      if (asked.url === '/fail') reply.writeHead(500).end('as asked');
      else if (asked.url === '/say') reply.end(`${Buffer.concat(pieces).toString()} from ${name}`);
    });
    // Connections that the proxy keeps are not to be closed beneath its next request: that is tried elsewhere.
    server.keepAliveTimeout = NEVER;
    await once(server.listen(port, '127.0.0.1'), 'listening');
  },
};

const thrift: Kind = {
  protocol: 'thrift',
  slow: '{method: slow}',
  drain: '{}',
  healthCheck: '{type: thrift, options: {protocol: compact}',
  async connect(t, port) {
    const connection = library.createConnection('127.0.0.1', port, { transport: library.TFramedTransport, protocol: protocols.compact });
    t.after(() => connection.end());
    connection.on('error', () => {});
    const client = library.createClient(HelloClient, connection);
    return { say: async (text) => String(await client.say(text)), fail: () => client.call('boom', 'as asked'), slow: () => client.call('slow'), note: (text) => client.call('note', text) };
  },
  async serve(port, name) {
    const server = library.createServer(HelloProcessor, handlerOf(Number(name), 'Hello'), { transport: library.TFramedTransport, protocol: protocols.compact });
    await new Promise<void>((done) => server.listen(port, '127.0.0.1', done));
  },
};

interface Packet {
  readInt32(tag: number, required: boolean, otherwise: number): number;
  readString(tag: number, required: boolean, otherwise: string): string;
}
interface Written {
  writeInt32(tag: number, value: number): void;
  writeString(tag: number, value: string): void;
  getBinBuffer(): object;
}
interface TarsProxy {
  readonly _worker: { timeout: number; tars_invoke(name: string, buffer: object, properties: object): Promise<{ response: { sBuffer: object } }> };
}
interface Tars {
  readonly Communicator: { New(): { stringToProxy(proxy: new () => object, name: string): TarsProxy; destroy(): void } };
  readonly server: { createServer(implementation: unknown): { start(options: object): void } };
  readonly error: { readonly SERVER: { readonly FUNC_NOT_FOUND: number } };
}
interface TarsStreams {
  readonly TarsOutputStream: new () => Written;
  readonly TarsInputStream: new (buffer: object) => Packet;
}

const SERVANT = 'App.Server.Obj';
const PACKET_TYPE_ONE_WAY = 1;

const tars: Kind = {
  protocol: 'tars',
  slow: '{method: slow}',
  drain: '{goaway: true}',
  healthCheck: '{type: tars',
  async connect(t, port) {
    const { Communicator } = require('@tars/rpc') as Tars;
    const stream = require('@tars/stream') as TarsStreams;
    const communicator = Communicator.New();
    t.after(() => communicator.destroy());
    const worker = communicator.stringToProxy(class {}, `${SERVANT}@tcp -h 127.0.0.1 -p ${port} -t 60000`)._worker;
    worker.timeout = LIMIT;
    const call = async (name: string, text = '', properties = {}): Promise<string> => {
      const content = new stream.TarsOutputStream();
      content.writeString(1, text);
      try {
        const { response } = await worker.tars_invoke(name, content.getBinBuffer(), properties);
        return new stream.TarsInputStream(response.sBuffer).readString(2, true, '');
      } catch (error) {
        throw new Error(message(error));
      }
    };
    return {
      say: (text) => call('say', text),
      fail: () => call('fail'),
      slow: () => call('slow'),
      // The library rejects one-way calls itself, once they are sent.
      note: (text) => assert.rejects(call('note', text, { packetType: PACKET_TYPE_ONE_WAY }), /one way/),
    };
  },
  serve(port, name) {
    const library = require('@tars/rpc') as Tars;
    const stream = require('@tars/stream') as TarsStreams;
    interface Current {
      doResponse(buffer: object): void;
    }
    const answer = (current: Current, text: string): number => {
      const content = new stream.TarsOutputStream();
      content.writeInt32(0, 0);
      content.writeString(2, text);
      current.doResponse(content.getBinBuffer());
      return 0;
    };
    function Implementation(): void {}
    Implementation.prototype = {
      initialize(): void {},
      onDispatch(current: Current, method: string, buffer: object): number {
        switch (method) {
          case 'tars_ping':
            return answer(current, '');
          case 'say':
            return answer(current, `${new stream.TarsInputStream(buffer).readString(1, true, '')} from ${name}`);
          case 'note':
            process.stdout.write(`note ${new stream.TarsInputStream(buffer).readString(1, true, '')}\n`);
            return answer(current, '');
          case 'slow':
            return 0;
          case 'fail':
            throw Object.assign(new Error('as asked'), { code: -99 });
          default:
            return library.error.SERVER.FUNC_NOT_FOUND;
        }
      },
    };
    library.server.createServer(Implementation).start({ servant: SERVANT, endpoint: `tcp -h 127.0.0.1 -p ${port} -t 60000`, protocol: 'tars' });
    return listening(port);
  },
};

/** `start` of Tars does not tell when it listens. */
async function listening(port: number): Promise<void> {
  for (;;) {
    const socket = connectTo(port, '127.0.0.1');
    const up = await new Promise((done) => socket.on('connect', () => done(true)).on('error', () => done(false)));
    socket.destroy();
    if (up === true) return;
    await new Promise((r) => setTimeout(r, 20));
  }
}

export const kinds: readonly Kind[] = [bolt, http1, thrift, tars];

export interface Servers {
  /** In each of its replies. */
  readonly name: string;
  /** Of each kind, in their order. */
  readonly ports: readonly number[];
  readonly child: ChildProcess;
  /** Lines of its standard output. */
  readonly lines: string[];
}

/** A server of each kind, all in one process of their own. */
export async function serve(t: TestContext): Promise<Servers> {
  const ports = await freePorts(kinds.length);
  const child = spawn(process.execPath, ['--no-warnings', fileURLToPath(import.meta.url), 'serve', ...ports.map(String)], { cwd: resolve('.'), stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  const lines: string[] = [];
  let rest = '';
  await new Promise<void>((up, failed) => {
    child.on('exit', () => failed(new Error('the servers ended')));
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      const found = (rest + text).split('\n');
      rest = found.pop()!;
      lines.push(...found);
      if (lines.includes('up')) up();
    });
  });
  return { name: String(ports[0]), ports, child, lines };
}

if (process.argv[1] === fileURLToPath(import.meta.url) && process.argv[2] === 'serve') {
  const ports = process.argv.slice(3).map(Number);
  await Promise.all(kinds.map((kind, i) => kind.serve(ports[i]!, String(ports[0]))));
  console.log('up');
}

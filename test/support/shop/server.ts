// A gRPC host for the tests of bridges: the service of shop.proto, served by @grpc/grpc-js without changes.
import { readFileSync } from 'node:fs';
import type { TestContext } from 'node:test';
import * as grpc from '@grpc/grpc-js';
import * as loader from '@grpc/proto-loader';

export const DESCRIPTOR = 'test/support/shop/shop.binpb';

type Message = Record<string, unknown>;
type Unary = grpc.ServerUnaryCall<Message, Message>;
type Done = grpc.sendUnaryData<Message>;

export interface Shop {
  readonly port: number;
  readonly server: grpc.Server;
  /** Metadata and deadline of the last call. */
  last: { metadata: Record<string, unknown>; deadline: number; request: unknown };
  cancelled: number;
  /** Lets a stream of List that waits after its first item go on. */
  go: () => void;
  /** A List with this count waits after its first item until `go`. */
  readonly waiting: number;
}

export const WAITING = 77;

/** google.rpc.Status {code: 5, message: "no such item", details: [Part {name: "hint"}]} as an error of a real server carries it. */
function details(packageRoot: grpc.GrpcObject): Buffer {
  const part = (packageRoot['shop'] as grpc.GrpcObject)['v1'] as unknown as { Shop: { service: Record<string, grpc.MethodDefinition<Message, Message>> } };
  const encoded = part.Shop.service['Plain']!.requestSerialize({ name: 'hint' });
  const url = Buffer.from('type.googleapis.com/shop.v1.Part');
  const any = Buffer.concat([Buffer.from([0x0a, url.length]), url, Buffer.from([0x12, encoded.length]), encoded]);
  const text = Buffer.from('no such item');
  return Buffer.concat([Buffer.from([0x08, 5, 0x12, text.length]), text, Buffer.from([0x1a, any.length]), any]);
}

export async function serveShop(t: TestContext, port = 0): Promise<Shop> {
  const root = grpc.loadPackageDefinition(loader.loadFileDescriptorSetFromBuffer(readFileSync(DESCRIPTOR), { longs: String, keepCase: true, enums: String, defaults: false, oneofs: false }));
  const service = ((root['shop'] as grpc.GrpcObject)['v1'] as unknown as { Shop: { service: grpc.ServiceDefinition } }).Shop.service;
  const server = new grpc.Server();
  let open: (() => void) | null = null;
  const shop: { -readonly [K in keyof Shop]: Shop[K] } = { port: 0, server, last: { metadata: {}, deadline: 0, request: null }, cancelled: 0, waiting: WAITING, go: () => open?.() };
  const note = (call: { metadata: grpc.Metadata; getDeadline(): grpc.Deadline; request?: unknown }): void => {
    const deadline = call.getDeadline();
    shop.last = { metadata: call.metadata.getMap(), deadline: deadline instanceof Date ? deadline.getTime() - Date.now() : deadline - Date.now(), request: call.request };
  };
  const answerItem = (call: Unary, done: Done): void => {
    note(call);
    const request = call.request as { name?: string; fail?: boolean };
    const metadata = new grpc.Metadata();
    metadata.set('x-from', 'shop');
    call.sendMetadata(metadata);
    done(null, { name: request.name, stock: '9007199254740993', color: 'BLUE', tags: [JSON.stringify(call.request)] });
  };
  server.addService(service, {
    Get: (call: Unary, done: Done) => {
      if ((call.request as { fail?: boolean }).fail !== true) return answerItem(call, done);
      note(call);
      const metadata = new grpc.Metadata();
      metadata.set('grpc-status-details-bin', details(root));
      done({ code: grpc.status.NOT_FOUND, details: 'no such item: grün', metadata });
    },
    Archive: answerItem,
    Create: (call: Unary, done: Done) => {
      note(call);
      done(null, call.request);
    },
    Put: (call: Unary, done: Done) => {
      note(call);
      done(null, call.request);
    },
    Delete: (call: Unary, done: Done) => {
      note(call);
      done(null, {});
    },
    Plain: (call: Unary, done: Done) => {
      note(call);
      // Never answered: for deadlines.
      if ((call.request as { name?: string }).name === 'never') {
        call.on('cancelled', () => shop.cancelled++);
        return;
      }
      const trailers = new grpc.Metadata();
      trailers.set('x-trailer', 'behind');
      done(null, call.request, trailers);
    },
    List: (call: grpc.ServerWritableStream<Message, Message>) => {
      note(call);
      const { count = 0, fail_after: failAfter = 0, padding = 0 } = call.request as { count?: number; fail_after?: number; padding?: number };
      call.on('cancelled', () => shop.cancelled++);
      const rest = (from: number): void => {
        const failure = { code: grpc.status.DATA_LOSS, details: 'the shelf broke' };
        for (let i = from; i < count; i++) {
          if (i === failAfter - 1) {
            call.write({ name: `item ${i}` }, () => setImmediate(() => call.emit('error', failure)));
            return;
          }
          call.write({ name: `item ${i}`, picture: Buffer.alloc(padding, i) });
        }
        call.end();
      };
      if (count !== WAITING) return rest(0);
      call.write({ name: 'first' });
      open = () => rest(1);
    },
    Add: (call: grpc.ServerReadableStream<Message, Message>, done: Done) => {
      note(call);
      let count = 0;
      let total = 0n;
      call.on('data', (sum: { total?: string }) => {
        count++;
        total += BigInt(sum.total ?? 0);
      });
      call.on('end', () => done(null, { count, total: String(total) }));
    },
    Chat: (call: grpc.ServerDuplexStream<Message, Message>) => {
      note(call);
      call.on('data', (part: Message) => call.write(part));
      call.on('end', () => call.end());
    },
  });
  shop.port = await new Promise<number>((resolve, reject) => server.bindAsync(`127.0.0.1:${port}`, grpc.ServerCredentials.createInsecure(), (error, bound) => (error === null ? resolve(bound) : reject(error))));
  t.after(() => server.forceShutdown());
  return shop;
}

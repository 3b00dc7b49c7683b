// What @tars/rpc itself writes and reads, for tests that hold the codec to it.
import { createRequire } from 'node:module';
import { resolve } from 'node:path';

const require = createRequire(resolve('package.json'));

interface Buffered {
  readonly length: number;
  toNodeBuffer(): Buffer;
}
interface Output {
  writeString(tag: number, value: string): void;
  getBinBuffer(): Buffered;
}
export interface Attributes {
  tupVersion: number;
  encode(): Buffered;
  decode(buffer: object): void;
  readString(name: string): string;
  readInt32(name: string, otherwise?: number): number;
}

/** A packet as the library sees it. */
export interface PeerPacket {
  readonly iRequestId: number;
  readonly iResultCode: number;
  readonly sResultDesc: string;
  readonly origin: {
    readonly iVersion: number;
    readonly iMessageType: number;
    readonly sServantName: string;
    readonly sFuncName: string;
    readonly iTimeout: number;
    readonly sBuffer: Buffered;
    readonly context: { toObject(): Record<string, string> };
    readonly status: { toObject(): Record<string, string> };
    readonly tup: Attributes;
  };
}
interface PacketStream {
  _version: number;
  compose(message: object): Buffer;
  feed(bytes: Buffer): void;
  on(event: 'message', listener: (packet: PeerPacket) => void): void;
}
const { rpcTars } = require('@tars/rpc') as { rpcTars: Record<'client' | 'server', new () => PacketStream> };
const stream = require('@tars/stream') as { TarsOutputStream: new () => Output; TarsInputStream: new (buffer: object) => { readString(tag: number, required: boolean, otherwise: string): string; readInt32(tag: number, required: boolean, otherwise: number): number } };

/** A buffer with one text under this tag. */
export function text(tag: number, value: string): Buffered {
  const os = new stream.TarsOutputStream();
  os.writeString(tag, value);
  return os.getBinBuffer();
}

export function textOf(packet: PeerPacket, tag: number): string {
  return new stream.TarsInputStream(packet.origin.sBuffer).readString(tag, true, '');
}

export function numberOf(packet: PeerPacket, tag: number): number {
  return new stream.TarsInputStream(packet.origin.sBuffer).readInt32(tag, true, -1);
}

/** A request as the client of the library writes it. */
export function request(id: number, version: number, more: { readonly oneway?: boolean; readonly context?: Record<string, string>; readonly timeout?: number; readonly key?: string; readonly name?: string } = {}): Buffer {
  return new rpcTars.client().compose({
    iRequestId: id, iTimeout: more.timeout ?? 3000, sServantName: 'App.Server.Obj', sFuncName: more.name ?? 'greet', appBuffer: text(1, 'world'),
    property: { iVersion: version, packetType: more.oneway === true ? 1 : 0, context: more.context ?? { user: 'ann' }, ...(more.key === undefined ? {} : { dyeing: { dyeing: true, key: more.key } }) },
  });
}

/** A reply as the server of the library writes it. */
export function response(id: number, version: number, code = 0, description = ''): Buffer {
  const origin = { iVersion: version, iMessageType: 4, iRequestId: id, sServantName: 'App.Server.Obj', sFuncName: 'greet' };
  return new rpcTars.server().compose({ origin, iResultCode: code, sResultDesc: description, appBuffer: code === 0 && version === 1 ? text(0, 'hello') : undefined, property: { context: { served: 'here' } } });
}

function read(role: 'client' | 'server', bytes: Buffer, version: number): PeerPacket[] {
  const packets: PeerPacket[] = [];
  const decoder = new rpcTars[role]();
  decoder._version = version;
  decoder.on('message', (packet) => packets.push(packet));
  decoder.feed(bytes);
  return packets;
}

/** What the client of the library makes of the bytes; throws what it would have thrown in its event loop. */
export function readReplies(bytes: Buffer, version = 1): PeerPacket[] {
  return read('client', bytes, version);
}

export function readRequests(bytes: Buffer): PeerPacket[] {
  return read('server', bytes, 1);
}

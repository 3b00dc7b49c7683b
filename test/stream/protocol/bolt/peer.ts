// The npm package sofa-bolt-node as a peer: its encoder makes the captured frames, its decoder judges ours.
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

export interface PeerOptions {
  readonly protocolType: 'bolt' | 'bolt2';
  readonly codecType: 'hessian2' | 'protobuf';
  readonly boltVersion: number;
  readonly crcEnable: boolean;
}

export interface PeerPacket {
  readonly packetId: number;
  readonly packetType: 'request' | 'response' | 'heartbeat' | 'heartbeat_ack';
  readonly className?: string;
  readonly options: { readonly protocolType: string; readonly boltVersion?: number; readonly crcEnable?: boolean; readonly codecType?: string; readonly timeout?: number };
  readonly data?: {
    readonly error?: Error | null;
    readonly appResponse?: unknown;
    readonly methodName?: string;
    readonly serverSignature?: string;
    readonly args?: readonly unknown[];
  };
}

interface Encoder {
  requestEncode(id: number, request: object, options: PeerOptions): Buffer;
  responseEncode(id: number, response: object, options: PeerOptions): Buffer;
  heartbeatEncode(id: number, heartbeat: object, options: PeerOptions): Buffer;
  heartbeatAckEncode(id: number, options: PeerOptions): Buffer;
}

interface Decoder {
  on(event: string, listener: (packet: PeerPacket) => void): void;
  on(event: 'error', listener: (error: Error) => void): void;
  write(bytes: Buffer): void;
}

const encoder = require('sofa-bolt-node/lib/protocol') as Encoder;
const library = require('sofa-bolt-node') as { decoder(options: object): Decoder; setHessianVersion(version: string): void };

export const { setHessianVersion } = library;

export const v1: PeerOptions = { protocolType: 'bolt', codecType: 'hessian2', boltVersion: 1, crcEnable: false };
export const v2: PeerOptions = { protocolType: 'bolt2', codecType: 'hessian2', boltVersion: 1, crcEnable: false };
export const v2crc: PeerOptions = { protocolType: 'bolt2', codecType: 'hessian2', boltVersion: 2, crcEnable: true };
export const layouts: ReadonlyArray<readonly [string, PeerOptions]> = [['v1', v1], ['v2', v2], ['v2 with checksum', v2crc]];

export function request(id: number, options: PeerOptions, extra: { readonly args?: readonly unknown[]; readonly oneway?: boolean; readonly timeout?: number } = {}): Buffer {
  return Buffer.from(encoder.requestEncode(id, { serverSignature: 'com.example.Hello:1.0', methodName: 'greet', args: ['world', 7], timeout: 3000, requestProps: { service: 'com.example.Hello:1.0' }, ...extra }, options));
}

export function response(id: number, options: PeerOptions, appResponse: unknown): Buffer {
  return Buffer.from(encoder.responseEncode(id, { isError: false, appResponse }, options));
}

export function failure(id: number, options: PeerOptions, message: string): Buffer {
  return Buffer.from(encoder.responseEncode(id, { isError: true, errorMsg: message }, options));
}

export function heartbeat(id: number, options: PeerOptions): Buffer {
  return Buffer.from(encoder.heartbeatEncode(id, { timeout: 3000 }, options));
}

export function heartbeatAck(id: number, options: PeerOptions): Buffer {
  return Buffer.from(encoder.heartbeatAckEncode(id, options));
}

/** What the peer's own decoder makes of the bytes; rejects with what it would have closed its connection for. */
export async function read(bytes: Buffer): Promise<PeerPacket[]> {
  const packets: PeerPacket[] = [];
  const decoder = library.decoder({ sentReqs: new Map(), classCache: new Map() });
  for (const event of ['request', 'response', 'heartbeat', 'heartbeat_ack']) decoder.on(event, (packet) => packets.push(packet));
  let failed: Error | null = null as Error | null;
  decoder.on('error', (error: Error) => (failed = error));
  decoder.write(bytes);
  // Packets are emitted during the write, a failure in the next tick.
  await new Promise((resolve) => setImmediate(resolve));
  if (failed !== null) throw failed;
  return packets;
}

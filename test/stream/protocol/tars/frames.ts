// Tars frames made to measure for tests, field by field.
import { JceBuilder } from '../../../../src/stream/protocol/tars/jce.js';

type Pairs = ReadonlyArray<readonly [string, string]>;

export interface RequestParts {
  readonly version?: number;
  readonly type?: number;
  readonly messageType?: number;
  readonly id?: number;
  readonly servant?: string;
  readonly name?: string;
  readonly content?: Uint8Array;
  readonly timeout?: number;
  readonly context?: Pairs;
  readonly status?: Pairs;
  /** Put behind the content instead of timeout and maps. */
  readonly tail?: Uint8Array;
}

export interface ReplyParts {
  readonly version?: number;
  readonly type?: number;
  readonly messageType?: number;
  readonly id?: number;
  readonly code?: number;
  readonly content?: Uint8Array;
  readonly status?: Pairs;
  readonly description?: string;
  readonly context?: Pairs;
  readonly tail?: Uint8Array;
}

/** A request, or a reply to TUP. Its id is one whose field has the full width. */
export function requestFrame(parts: RequestParts = {}): Buffer {
  const w = new JceBuilder().int(1, parts.version ?? 1).int(2, parts.type ?? 0).int(3, parts.messageType ?? 0).int(4, (parts.id ?? 0x10001) | 0);
  w.string(5, parts.servant ?? 'App.Server.Obj').string(6, parts.name ?? 'greet').bytes(7, parts.content ?? Buffer.from('content'));
  if (parts.tail !== undefined) return w.raw(parts.tail).frame();
  return w.int(8, parts.timeout ?? 3000).map(9, parts.context ?? [['user', 'ann'], ['zone', 'a']]).map(10, parts.status ?? []).frame();
}

/** A response of TARS; as TarsCpp does, what is optional and empty is left out. */
export function replyFrame(parts: ReplyParts = {}): Buffer {
  const w = new JceBuilder().int(1, parts.version ?? 1).int(2, parts.type ?? 0).int(3, (parts.id ?? 0x10001) | 0).int(4, parts.messageType ?? 0).int(5, parts.code ?? 0);
  w.bytes(6, parts.content ?? Buffer.from('result'));
  if (parts.tail !== undefined) return w.raw(parts.tail).frame();
  w.map(7, parts.status ?? []);
  if (parts.description !== undefined) w.string(8, parts.description);
  if (parts.context !== undefined) w.map(9, parts.context);
  return w.frame();
}

/** Bytes that differ from place to place, so that a wrong piece shows. */
export function pattern(size: number): Buffer {
  const bytes = Buffer.allocUnsafe(size);
  for (let i = 0; i < size; i++) bytes[i] = (i * 7 + (i >> 8) * 13) & 0xff;
  return bytes;
}

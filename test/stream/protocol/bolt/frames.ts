// Bolt frames made to measure for tests.
import { buildFrame, buildHeaders, type FrameParts } from '../../../../src/stream/protocol/bolt/frame.js';

const base: FrameParts = {
  proto: 1, ver1: 1, switches: 0, type: 1, command: 1, id: 1, codec: 1, timeoutOrStatus: 3000, className: Buffer.from('com.example.Request'),
  headers: buildHeaders([['service', 'com.example.Hello:1.0'], ['sofa_head_method_name', 'greet']]), content: Buffer.from('content'),
};

export function requestFrame(parts: Partial<FrameParts> = {}): Buffer {
  return buildFrame({ ...base, ...parts });
}

export function replyFrame(parts: Partial<FrameParts> = {}): Buffer {
  return buildFrame({ ...base, type: 0, command: 2, timeoutOrStatus: 0, className: Buffer.from('com.example.Reply'), ...parts });
}

/** v2 with a checksum. */
export const checked = { proto: 2, ver1: 2, switches: 1 } as const;

/** Bytes that differ from place to place, so that a wrong piece shows. */
export function pattern(size: number): Buffer {
  const bytes = Buffer.allocUnsafe(size);
  for (let i = 0; i < size; i++) bytes[i] = (i * 7 + (i >> 8) * 13) & 0xff;
  return bytes;
}

/** A header block by hand: null stands for the length -1. */
export function block(pairs: ReadonlyArray<readonly [string | null, string | null]>): Buffer {
  const pieces: Buffer[] = [];
  for (const pair of pairs) {
    for (const text of pair) {
      const length = Buffer.alloc(4);
      length.writeInt32BE(text === null ? -1 : Buffer.byteLength(text));
      pieces.push(length, Buffer.from(text ?? ''));
    }
  }
  return Buffer.concat(pieces);
}

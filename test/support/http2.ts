// HTTP/2 by hand for tests: frames built field by field, and the frames of a byte stream as lines that can be compared.
import {
  CONTINUATION, DATA, FLAG_ACK, FLAG_END_HEADERS, FLAG_END_STREAM, FLAG_PADDED, FLAG_PRIORITY, FRAME_HEAD, GOAWAY, HEADERS, PING, PREFACE, PRIORITY, RST_STREAM,
  SETTINGS, WINDOW_UPDATE, errorName, putFrameHead, u31, u32,
} from '../../src/stream/protocol/http2/frame.js';
import { HpackDecoder } from '../../src/stream/protocol/http2/hpack/decoder.js';

export type Field = readonly [name: string, value: string];
export type Bytes = Buffer | string;

const bytesOf = (content: Bytes): Buffer => (typeof content === 'string' ? Buffer.from(content, 'latin1') : content);

export function frame(type: number, flags: number, stream: number, payload: Bytes = ''): Buffer {
  const content = bytesOf(payload);
  const whole = Buffer.alloc(FRAME_HEAD + content.length);
  putFrameHead(whole, 0, content.length, type, flags, stream);
  content.copy(whole, FRAME_HEAD);
  return whole;
}

export function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

export function settings(...pairs: readonly (readonly [id: number, value: number])[]): Buffer {
  return frame(SETTINGS, 0, 0, Buffer.concat(pairs.map(([id, value]) => Buffer.from([id >>> 8, id & 255, ...word(value)]))));
}

export const settingsAck = frame(SETTINGS, FLAG_ACK, 0);
/** What a client begins with. */
export const hello = (...pairs: readonly (readonly [id: number, value: number])[]): Buffer => Buffer.concat([PREFACE, settings(...pairs)]);
export const ping = (text = '12345678', flags = 0): Buffer => frame(PING, flags, 0, text);
export const reset = (stream: number, error: number): Buffer => frame(RST_STREAM, 0, stream, word(error));
export const windowUpdate = (stream: number, bytes: number): Buffer => frame(WINDOW_UPDATE, 0, stream, word(bytes));
export const priority = (stream: number, on = 0, weight = 15): Buffer => frame(PRIORITY, 0, stream, Buffer.concat([word(on), Buffer.from([weight])]));
export const goAway = (last: number, error = 0, detail = ''): Buffer => frame(GOAWAY, 0, 0, Buffer.concat([word(last), word(error), bytesOf(detail)]));

function string(text: string): Buffer {
  const bytes = bytesOf(text);
  const length: number[] = [];
  if (bytes.length < 127) length.push(bytes.length);
  else {
    length.push(127);
    let rest = bytes.length - 127;
    for (; rest >= 128; rest >>>= 7) length.push((rest & 127) | 128);
    length.push(rest);
  }
  return Buffer.concat([Buffer.from(length), bytes]);
}

/** A header block of literals that touch no table. */
export function block(fields: readonly Field[]): Buffer {
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.from([0]), string(name), string(value)]));
}

export interface Shape {
  /** No content follows. */
  readonly end?: boolean;
  /** Bytes of padding. */
  readonly pad?: number;
  /** Depends on this stream. */
  readonly on?: number;
  /** Sizes of the frames that the block is cut into; what is left is in one more. */
  readonly cut?: readonly number[];
}

/** HEADERS, with CONTINUATION where `cut` asks for it. */
export function headers(stream: number, fields: readonly Field[] | Buffer, { end = false, pad, on, cut = [] }: Shape = {}): Buffer {
  const whole = Buffer.isBuffer(fields) ? fields : block(fields);
  const pieces: Buffer[] = [];
  let at = 0;
  for (const size of cut) {
    pieces.push(whole.subarray(at, at + size));
    at += size;
  }
  pieces.push(whole.subarray(at));
  return Buffer.concat(pieces.map((piece, i) => {
    const last = i === pieces.length - 1 ? FLAG_END_HEADERS : 0;
    if (i > 0) return frame(CONTINUATION, last, stream, piece);
    const flags = last | (end ? FLAG_END_STREAM : 0) | (pad === undefined ? 0 : FLAG_PADDED) | (on === undefined ? 0 : FLAG_PRIORITY);
    const parts = [piece];
    if (on !== undefined) parts.unshift(word(on), Buffer.from([15]));
    if (pad !== undefined) {
      parts.unshift(Buffer.from([pad]));
      parts.push(Buffer.alloc(pad));
    }
    return frame(HEADERS, flags, stream, Buffer.concat(parts));
  }));
}

export function data(stream: number, content: Bytes, { end = false, pad }: Shape = {}): Buffer {
  const parts = [bytesOf(content)];
  if (pad !== undefined) {
    parts.unshift(Buffer.from([pad]));
    parts.push(Buffer.alloc(pad));
  }
  return frame(DATA, (end ? FLAG_END_STREAM : 0) | (pad === undefined ? 0 : FLAG_PADDED), stream, Buffer.concat(parts));
}

export const GET: readonly Field[] = [[':method', 'GET'], [':scheme', 'http'], [':path', '/'], [':authority', 'h']];
export const POST: readonly Field[] = [[':method', 'POST'], [':scheme', 'http'], [':path', '/'], [':authority', 'h']];
export const OK: readonly Field[] = [[':status', '200']];
export const get = (stream: number, ...more: readonly Field[]): Buffer => headers(stream, [...GET, ...more], { end: true });
export const post = (stream: number, ...more: readonly Field[]): Buffer => headers(stream, [...POST, ...more]);

const names = ['DATA', 'HEADERS', 'PRIORITY', 'RST_STREAM', 'SETTINGS', 'PUSH_PROMISE', 'PING', 'GOAWAY', 'WINDOW_UPDATE', 'CONTINUATION'];

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
  /** As `FrameReader.lines` has it. */
  readonly line: string;
}

/**
 * Takes a byte stream apart: `HEADERS 1 end :status=200 x=y`, `DATA 1 5 end`, `RST_STREAM 1 CANCEL`, `GOAWAY 5 NO_ERROR`, `WINDOW_UPDATE 0 99`,
 * `SETTINGS 3=128`, `SETTINGS ack`, `PING ack`. A block is shown with the frame that ends it.
 */
export class FrameReader {
  readonly frames: Frame[] = [];
  private readonly decoder = new HpackDecoder(4096, 1 << 24);
  private rest: Buffer = Buffer.alloc(0);
  private parts: Buffer[] = [];
  private blockFlags = 0;
  private taken = 0;

  push(bytes: Uint8Array): this {
    this.rest = Buffer.concat([this.rest, bytes]);
    if (this.frames.length === 0 && this.rest.subarray(0, PREFACE.length).equals(PREFACE)) this.rest = this.rest.subarray(PREFACE.length);
    while (this.rest.length >= FRAME_HEAD) {
      const length = this.rest.readUIntBE(0, 3);
      if (this.rest.length < FRAME_HEAD + length) break;
      this.one(this.rest[3]!, this.rest[4]!, u31(this.rest, 5), this.rest.subarray(FRAME_HEAD, FRAME_HEAD + length));
      this.rest = this.rest.subarray(FRAME_HEAD + length);
    }
    return this;
  }

  private one(type: number, flags: number, stream: number, payload: Buffer): void {
    const end = (flags & FLAG_END_STREAM) !== 0 ? ' end' : '';
    let line = `${names[type] ?? `type ${type}`} ${stream}`;
    if (type === HEADERS || type === CONTINUATION) {
      if (type === HEADERS) {
        this.parts = [];
        this.blockFlags = flags;
      }
      this.parts.push(payload);
      if ((flags & FLAG_END_HEADERS) === 0) line += ' goes on';
      else {
        const whole = Buffer.concat(this.parts);
        const found = this.decoder.decode(whole, 0, whole.length);
        if (found === null) throw new Error(this.decoder.error);
        line = `HEADERS ${stream}${(this.blockFlags & FLAG_END_STREAM) === 0 ? '' : ' end'}`;
        found.each((name, value) => (line += ` ${name}=${value}`));
      }
    } else if (type === DATA) line += ` ${payload.length}${end}`;
    else if (type === RST_STREAM) line += ` ${errorName(u32(payload, 0))}`;
    else if (type === WINDOW_UPDATE) line += ` ${u31(payload, 0)}`;
    else if (type === GOAWAY) line = `GOAWAY ${u31(payload, 0)} ${errorName(u32(payload, 4))}`;
    else if (type === PING) line = `PING${(flags & FLAG_ACK) === 0 ? '' : ' ack'} ${payload.toString('latin1')}`;
    else if (type === SETTINGS) {
      line = (flags & FLAG_ACK) === 0 ? 'SETTINGS' : 'SETTINGS ack';
      for (let p = 0; p < payload.length; p += 6) line += ` ${payload.readUInt16BE(p)}=${u32(payload, p + 2)}`;
    }
    this.frames.push({ type, flags, stream, payload, line });
  }

  get lines(): string[] {
    return this.frames.map((one) => one.line);
  }

  /** Lines since the last call, without those that every connection begins with. */
  news(): string[] {
    const lines = this.frames.slice(this.taken).map((one) => one.line).filter((line) => !line.startsWith('SETTINGS') && !line.startsWith('WINDOW_UPDATE 0 '));
    this.taken = this.frames.length;
    return lines;
  }

  /** All content that came on a stream. */
  content(stream: number): Buffer {
    return Buffer.concat(this.frames.filter((one) => one.type === DATA && one.stream === stream).map((one) => one.payload));
  }
}

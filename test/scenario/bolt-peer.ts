// A Bolt client and server of the tests' own, written from the layout of SOFABolt v1 alone, so that they share no mistake with the proxy.
import assert from 'node:assert/strict';
import type { Server, Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { open, type RawClient, serveRaw, type Served } from '../support/http.js';

export const REPLY = 0;
export const REQUEST = 1;
export const HEARTBEAT = 0;
export const GOAWAY = 100;

export interface Frame {
  /** 0 reply, 1 request, 2 one-way. */
  readonly type: number;
  /** 0 heartbeat, 1 request, 2 reply, 100 go-away. */
  readonly command: number;
  readonly id: number;
  /** Of a request. */
  readonly timeout: number;
  /** Of a reply. */
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly content: Buffer;
}

function lengthy(text: string): Buffer {
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(4);
  length.writeInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** A v1 frame with codec 12 (raw bytes for all that Sluice knows). */
export function frame(parts: Partial<Frame> & { readonly id: number }): Buffer {
  const { type = REQUEST, command = type === REPLY ? 2 : 1, id, timeout = 10_000, status = 0, headers = {}, content = Buffer.alloc(0) } = parts;
  const reply = type === REPLY;
  const name = Buffer.from('t.Message');
  const block = Buffer.concat(Object.entries(headers).flatMap(([key, value]) => [lengthy(key), lengthy(value)]));
  const fixed = Buffer.alloc(reply ? 20 : 22);
  fixed[0] = 1;
  fixed[1] = type;
  fixed.writeUInt16BE(command, 2);
  fixed[4] = 1;
  fixed.writeUInt32BE(id, 5);
  fixed[9] = 12;
  if (reply) fixed.writeUInt16BE(status, 10);
  else fixed.writeInt32BE(timeout, 10);
  const at = reply ? 12 : 14;
  fixed.writeUInt16BE(name.length, at);
  fixed.writeUInt16BE(block.length, at + 2);
  fixed.writeInt32BE(content.length, at + 4);
  return Buffer.concat([fixed, name, block, content]);
}

/** The frame that begins the bytes, and its length; null while it is incomplete. */
export function parse(bytes: Buffer): { readonly frame: Frame; readonly length: number } | null {
  if (bytes.length < 20) return null;
  assert.equal(bytes[0], 1, 'a v1 frame');
  const type = bytes[1]!;
  const reply = type === REPLY;
  const fixed = reply ? 20 : 22;
  if (bytes.length < fixed) return null;
  const at = fixed - 8;
  const [nameLength, headersLength, contentLength] = [bytes.readUInt16BE(at), bytes.readUInt16BE(at + 2), bytes.readInt32BE(at + 4)];
  const length = fixed + nameLength + headersLength + contentLength;
  if (bytes.length < length) return null;
  const headers: Record<string, string> = {};
  const text = (from: number): [string, number] => {
    const n = bytes.readInt32BE(from);
    return [bytes.toString('utf8', from + 4, from + 4 + n), from + 4 + n];
  };
  for (let p = fixed + nameLength; p < fixed + nameLength + headersLength; ) {
    const [key, afterKey] = text(p);
    const [value, afterValue] = text(afterKey);
    headers[key] = value;
    p = afterValue;
  }
  return {
    length,
    frame: {
      type,
      command: bytes.readUInt16BE(2),
      id: bytes.readUInt32BE(5),
      timeout: reply ? 0 : bytes.readInt32BE(10),
      status: reply ? bytes.readUInt16BE(10) : 0,
      headers,
      content: Buffer.from(bytes.subarray(fixed + nameLength + headersLength, length)),
    },
  };
}

export class BoltClient {
  readonly raw: RawClient;
  /** Frames that `reply` passed over: heartbeats, go-aways. */
  readonly others: Frame[] = [];
  private readonly replies = new Map<number, Frame>();
  private next = 1;

  constructor(raw: RawClient) {
    this.raw = raw;
  }

  /** Sends a request and returns its id. */
  request(content: string | Buffer, options: { readonly service?: string; readonly timeout?: number; readonly headers?: Readonly<Record<string, string>> } = {}): number {
    const id = this.next++;
    const headers = { service: options.service ?? 'com.example.Test:1.0', ...options.headers };
    this.raw.send(frame({ id, timeout: options.timeout ?? 10_000, headers, content: Buffer.from(content) }));
    return id;
  }

  /** Reads what has come. */
  read(): void {
    for (let found = parse(this.raw.received); found !== null; found = parse(this.raw.received)) {
      this.raw.received = this.raw.received.subarray(found.length);
      if (found.frame.type === REPLY && found.frame.command === 2) this.replies.set(found.frame.id, found.frame);
      else this.others.push(found.frame);
    }
  }

  async reply(id: number, limit?: number): Promise<Frame> {
    await this.raw.when(`the reply to ${id}`, () => {
      this.read();
      return this.replies.has(id);
    }, limit);
    return this.replies.get(id)!;
  }

  async call(content: string | Buffer, options: { readonly service?: string; readonly timeout?: number } = {}): Promise<Frame> {
    return this.reply(this.request(content, options));
  }

  async goAway(limit?: number): Promise<void> {
    await this.raw.when('a go-away', () => {
      this.read();
      return this.others.some((f) => f.command === GOAWAY);
    }, limit);
  }
}

export async function openBolt(t: TestContext, port: number): Promise<BoltClient> {
  return new BoltClient(await open(t, port));
}

/** A Bolt server: answers heartbeats, and requests by what `handler` makes of them; null leaves one without a reply. */
export function serveBolt(t: TestContext, handler: (request: Frame, answer: (content: string | Buffer, status?: number) => void, socket: Socket) => void, at = 0): Promise<Served<Server>> {
  return serveRaw(t, (socket) => {
    let rest: Buffer = Buffer.alloc(0);
    const read = (chunk: Buffer): void => {
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      for (let found = parse(rest); found !== null; found = parse(rest)) {
        rest = rest.subarray(found.length);
        const request = found.frame;
        if (request.command === HEARTBEAT) socket.write(frame({ type: REPLY, command: HEARTBEAT, id: request.id }));
        else if (request.command === 1) handler(request, (content, status = 0) => void socket.write(frame({ type: REPLY, id: request.id, status, content: Buffer.from(content) })), socket);
      }
    };
    socket.on('end', () => socket.end());
    socket.on('data', (chunk: Buffer) => {
      try {
        read(chunk);
      } catch {
        // Not a frame, as far as it can be read here: what a real server does.
        socket.destroy();
      }
    });
  }, at);
}

// A client that speaks HTTP/2 frame by frame with the real program, and what it may expect: errors of a stream, of the connection, or none.
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { FrameReader, hello, ping, settingsAck } from '../../support/http2.js';
import { freePort, start } from '../../support/sluice.js';

const PATIENCE = 10_000;

/** The program with one listener that echoes requests: the port. */
export async function startEcho(t: TestContext): Promise<number> {
  const port = await freePort();
  await start(t, { config: `listeners: [{name: in, address: "127.0.0.1:${port}", protocol: http2, routes: web}]\nroutes: [{name: web, routes: [{terminal: echo}]}]\naccess_log: false\n` });
  return port;
}

export class Peer {
  readonly reader = new FrameReader();
  closed = false;
  private readonly socket: Socket;
  private seen = 0;
  private pings = 0;
  private wake: () => void = () => {};

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (bytes: Buffer) => {
      this.reader.push(bytes);
      this.wake();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.closed = true;
      this.wake();
    });
  }

  send(...bytes: readonly Uint8Array[]): void {
    this.socket.write(Buffer.concat(bytes));
  }

  end(): void {
    this.socket.end();
  }

  private async when(what: string, check: () => boolean): Promise<void> {
    const limit = Date.now() + PATIENCE;
    while (!check()) {
      const left = limit - Date.now();
      if (left <= 0 || this.closed) assert.fail(`${this.closed ? 'the connection closed' : 'waited in vain'}: ${what}; there is\n${this.reader.lines.slice(this.seen).join('\n')}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** Waits for the first frame, from those not yet asked for, whose line matches, and passes over those before it. */
  async line(pattern: RegExp): Promise<string> {
    let found = -1;
    await this.when(String(pattern), () => (found = this.reader.frames.findIndex((one, i) => i >= this.seen && pattern.test(one.line))) >= 0);
    this.seen = found + 1;
    return this.reader.frames[found]!.line;
  }

  /** Frames that came and were not asked for, without SETTINGS and windows of the connection. */
  rest(): string[] {
    return this.reader.frames.slice(this.seen).map((one) => one.line).filter((line) => !/^(SETTINGS|WINDOW_UPDATE 0 )/.test(line));
  }

  /** The connection goes on: a PING is answered, and with `and` a request as well. */
  async alive(): Promise<void> {
    const text = `ping${String(this.pings++).padStart(4, '0')}`;
    this.send(ping(text));
    await this.line(new RegExp(`^PING ack ${text}$`));
  }

  /** Error of one stream (section 5.4.2): RST_STREAM with the code, and the connection goes on. */
  async streamError(stream: number, code: string): Promise<void> {
    await this.line(new RegExp(`^RST_STREAM ${stream} ${code}$`));
    await this.alive();
  }

  /** Error of the connection (section 5.4.1): GOAWAY with the code, then its end. */
  async connectionError(code: string): Promise<void> {
    await this.line(new RegExp(`^GOAWAY \\d+ ${code}$`));
    await this.ends();
  }

  async ends(): Promise<void> {
    const limit = Date.now() + PATIENCE;
    while (!this.closed) {
      if (Date.now() > limit) assert.fail('the connection was not closed');
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  async status(stream: number, status: number): Promise<void> {
    await this.line(new RegExp(`^HEADERS ${stream} (end )?:status=${status} `));
  }
}

/** A connection on which nothing was said. */
export function dial(t: TestContext, port: number): Peer {
  const socket = connect(port, '127.0.0.1').setNoDelay(true);
  t.after(() => void socket.destroy());
  return new Peer(socket);
}

/** A connection whose prefaces were exchanged. */
export async function open(t: TestContext, port: number, ...pairs: readonly (readonly [number, number])[]): Promise<Peer> {
  const peer = dial(t, port);
  peer.send(hello(...pairs));
  await peer.line(/^SETTINGS ack/);
  peer.send(settingsAck);
  return peer;
}

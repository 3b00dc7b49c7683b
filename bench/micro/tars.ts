// What the Tars codec costs per packet, in reads of 64 KiB full of packets of about 190 bytes. `node build/bench/micro/tars.js`
//
// Node 20 on a busy 2-core machine, ns: decode 60, a reply to TUP (whose result is in its status map) 190; with a look-up of the servant 80, in the
// context 180; with encoding under another id 170; with a header set and the maps written anew 800.
import { BlockOutput, Writer, type Output } from '../../src/core/bytes.js';
import { headerName, type Head } from '../../src/stream/head.js';
import { TarsCodec } from '../../src/stream/protocol/tars/codec.js';
import { JceBuilder } from '../../src/stream/protocol/tars/jce.js';
import type { CodecSink, Role } from '../../src/stream/protocol.js';
import { bench } from './measure.js';

/** Does nothing, or one thing, with each message. */
class Sink implements CodecSink {
  sum = 0;
  onRequest(head: Head): void {
    this.sum = (this.sum + head.id) | 0;
  }
  onReply(head: Head): void {
    this.sum = (this.sum + head.status) | 0;
  }
  onData(): void {}
  onTrailers(): void {}
  onReset(): void {}
  onPing(): void {}
  onPong(): void {}
  onGoAway(): void {}
  onError(): void {
    throw new Error('the packets of the bench are sound');
  }
}

/** One 64 KiB block that begins again when it is full, as a connection's does. */
class Ring implements Output {
  readonly writer = new Writer(Buffer.alloc(64 * 1024));
  out(n: number): Writer {
    const w = this.writer;
    if (w.pos + n > w.buf.length) w.pos = 0;
    w.mark = w.pos;
    return w;
  }
  write(buf: Uint8Array, start: number, end: number): void {
    this.out(end - start).bytes(buf, start, end);
  }
  give(): void {}
}

class Forward extends Sink {
  private readonly ring = new Ring();
  private readonly to: TarsCodec;
  private readonly edit: boolean;
  private next = 0x10000;
  constructor(role: Role, edit = false) {
    super();
    this.to = new TarsCodec(role);
    this.edit = edit;
  }
  override onRequest(head: Head): void {
    this.next = (this.next + 1) & 0x7fffffff;
    if (this.edit) head.set(trace, 'a3f1c0de');
    this.to.encodeRequest(this.ring, head, this.next, true);
    this.sum = (this.sum + this.ring.writer.pos) | 0;
  }
  override onReply(head: Head): void {
    this.to.encodeReply(this.ring, head, 77, true);
    this.sum = (this.sum + this.ring.writer.pos) | 0;
  }
}

class Look extends Sink {
  private readonly name;
  constructor(name: string) {
    super();
    this.name = headerName(name);
  }
  override onRequest(head: Head): void {
    if (head.find(this.name)) this.sum = (this.sum + head.vend) | 0;
  }
}

const trace = headerName('x-trace');
const content = Buffer.alloc(100);

function read(make: (id: number) => Buffer): { bytes: Buffer; frames: number } {
  const out = new BlockOutput();
  for (let frames = 0; ; frames++) {
    const frame = make(frames);
    if (out.writer.pos + frame.length > 64 * 1024) return { bytes: out.take(), frames };
    out.write(frame, 0, frame.length);
  }
}

function run(name: string, sink: Sink, input: { bytes: Buffer; frames: number }, role: Role = 'server'): void {
  const codec = new TarsCodec(role);
  const { bytes, frames } = input;
  bench(`${name}, ${Math.round(bytes.length / frames)} bytes`, (n) => {
    for (let left = n; left > 0; left -= frames) codec.decode(bytes, 0, bytes.length, sink);
    return sink.sum;
  });
}

const named = (version: number) => (id: number): Buffer =>
  new JceBuilder().int(1, version).int(2, 0).int(3, 0).int(4, id + 1).string(5, 'Example.HelloServer.HelloObj').string(6, 'greet').bytes(7, content).int(8, 3000)
    .map(9, [['user', 'someone'], ['zone', 'a']]).map(10, []).frame();
const requests = read(named(1));
const tupReplies = read(named(3));
const replies = read((id) => new JceBuilder().int(1, 1).int(2, 0).int(3, id + 70_000).int(4, 0).int(5, 0).bytes(6, content).map(7, []).frame());
run('request: decode', new Sink(), requests);
run('reply: decode', new Sink(), replies, 'client');
run('reply to TUP: decode', new Sink(), tupReplies, 'client');
run('request: decode, find the servant', new Look(':service'), requests);
run('request: decode, find an entry of the context', new Look('zone'), requests);
run('request: decode, encode with another id', new Forward('client'), requests);
run('reply: decode, encode with another id', new Forward('server'), replies, 'client');
run('request: decode, set a header, encode', new Forward('client', true), requests);

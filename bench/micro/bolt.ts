// What the Bolt codec costs per frame, in reads of 64 KiB full of frames of about 240 bytes. `node build/bench/micro/bolt.js`
//
// Node 20 on a busy 2-core machine, ns: decode 19; with a look-up in the headers 69; with encoding under another id 120; with a header set and
// the block written anew 500-1000; v2 with checksum: decode 340, decode and encode 750.
import { BlockOutput, Writer, type Output } from '../../src/core/bytes.js';
import { headerName, type Head } from '../../src/stream/head.js';
import { BoltCodec } from '../../src/stream/protocol/bolt/codec.js';
import { CLASS_REQUEST, CLASS_RESPONSE, buildFrame, buildHeaders } from '../../src/stream/protocol/bolt/frame.js';
import type { CodecSink } from '../../src/stream/protocol.js';
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
    throw new Error('the frames of the bench are sound');
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
  private readonly to = new BoltCodec('client');
  private readonly edit: boolean;
  private next = 0;
  constructor(edit = false) {
    super();
    this.edit = edit;
  }
  override onRequest(head: Head): void {
    this.next = (this.next + 1) | 0;
    if (this.edit) head.set(trace, 'a3f1c0de');
    this.to.encodeRequest(this.ring, head, this.next >>> 0, true);
    this.sum = (this.sum + this.ring.writer.pos) | 0;
  }
}

class Route extends Sink {
  override onRequest(head: Head): void {
    if (head.find(method)) this.sum = (this.sum + head.vend) | 0;
  }
}

const method = headerName(':rpc-method');
const trace = headerName('x-trace');

function read(crc: boolean, reply: boolean): { bytes: Buffer; frames: number } {
  const out = new BlockOutput();
  let frames = 0;
  for (;;) {
    const frame = buildFrame({
      proto: crc ? 2 : 1, ver1: 2, switches: 1, type: reply ? 0 : 1, command: reply ? 2 : 1, id: frames, codec: 1, timeoutOrStatus: reply ? 0 : 3000,
      className: Buffer.from(reply ? CLASS_RESPONSE : CLASS_REQUEST),
      headers: reply ? Buffer.alloc(0) : buildHeaders([['service', 'com.example.Hello:1.0'], ['sofa_head_method_name', 'greet']]), content: Buffer.alloc(100),
    });
    if (out.writer.pos + frame.length > 64 * 1024) return { bytes: out.take(), frames };
    out.write(frame, 0, frame.length);
    frames++;
  }
}

function run(name: string, sink: Sink, input: { bytes: Buffer; frames: number }): void {
  const codec = new BoltCodec('server');
  const { bytes, frames } = input;
  bench(`${name}, ${Math.round(bytes.length / frames)} bytes`, (n) => {
    for (let left = n; left > 0; left -= frames) codec.decode(bytes, 0, bytes.length, sink);
    return sink.sum;
  });
}

const v1 = read(false, false);
const replies = read(false, true);
const checked = read(true, false);
run('request: decode', new Sink(), v1);
run('reply: decode', new Sink(), replies);
run('request: decode, find the method', new Route(), v1);
run('request: decode, encode with another id', new Forward(), v1);
run('request: decode, set a header, encode', new Forward(true), v1);
run('v2 with checksum: decode', new Sink(), checked);
run('v2 with checksum: decode, encode', new Forward(), checked);

// What benches of codecs of frames share: a sink that does nothing, an output that never fills, reads of 64 KiB full of frames, the timed loop.
import { BlockOutput, Writer, type Output } from '../../src/core/bytes.js';
import type { Head } from '../../src/stream/head.js';
import type { Codec, CodecSink } from '../../src/stream/protocol.js';
import { bench } from './measure.js';

const READ = 64 * 1024;

/** Does nothing, or one thing, with each message. */
export class Sink implements CodecSink {
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

/** One block of the size of a read that begins again when it is full, as a connection's does. */
export class Ring implements Output {
  readonly writer = new Writer(Buffer.alloc(READ));
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

export interface Read {
  readonly bytes: Buffer;
  readonly frames: number;
}

/** As many frames as one read holds; `make` is given their numbers from 0. */
export function fill(make: (number: number) => Buffer): Read {
  const out = new BlockOutput();
  for (let frames = 0; ; frames++) {
    const frame = make(frames);
    if (out.writer.pos + frame.length > READ) return { bytes: out.take(), frames };
    out.write(frame, 0, frame.length);
  }
}

/** Times `codec` on `read`, per frame. */
export function benchDecode(name: string, codec: Codec, sink: Sink, { bytes, frames }: Read): void {
  bench(`${name}, ${Math.round(bytes.length / frames)} bytes`, (n) => {
    for (let left = n; left > 0; left -= frames) codec.decode(bytes, 0, bytes.length, sink);
    return sink.sum;
  });
}

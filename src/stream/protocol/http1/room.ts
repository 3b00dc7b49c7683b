// Where a head is written: the output itself, or a block of its own when it is larger than one reservation.
import { MAX_RESERVE, BlockOutput, type Output, type Writer } from '../../../core/bytes.js';

const NO_WRITER: Writer = new BlockOutput(0).writer;

class Room {
  writer: Writer = NO_WRITER;
  private own = false;

  take(out: Output, size: number): this {
    this.own = size > MAX_RESERVE;
    this.writer = this.own ? new BlockOutput(size).out(size) : out.out(size);
    return this;
  }

  done(out: Output): void {
    const w = this.writer;
    this.writer = NO_WRITER;
    if (this.own) out.write(w.buf, 0, w.pos);
  }
}

const room = new Room();

/** A place of `size` bytes to write to; call `done` before the next one is taken. */
export function roomFor(out: Output, size: number): Room {
  return room.take(out, size);
}

// Long frames on the sending side: their content arrives in pieces, and nothing else may be written between the pieces.
import { BlockOutput, type Output } from '../core/bytes.js';

/** Most bytes that may wait behind an open frame; more of them break the connection, whose peer takes too long to be waited for. */
export const MAX_HELD = 32 * 1024 * 1024;

/** What a format writes behind the content of a frame and makes of it: a checksum. */
export interface FrameTail {
  add(buf: Uint8Array, start: number, end: number): void;
  writeTo(out: Output): void;
}

/** A frame whose head was written and whose content follows, or complete frames that wait behind one (`id` -1). */
export class QueuedFrame {
  readonly id: number;
  /** Content bytes still to come. */
  left: number;
  done = false;
  /** What waits; null while this frame is the one being written. */
  block: BlockOutput | null;
  /** Set by the codec before the first content, where the format has one. */
  tail: FrameTail | null = null;

  constructor(id: number, left: number, block: BlockOutput | null) {
    this.id = id;
    this.left = left;
    this.block = block;
  }
}

/**
 * At most one frame is open on the wire; whatever is encoded meanwhile waits here in order. Made by a codec when its first long frame
 * begins, so that most connections have none.
 */
export class FrameQueue {
  private open: QueuedFrame | null = null;
  private readonly waiting: QueuedFrame[] = [];
  /** True once a frame was given up half way, or too much waits: the connection is to be closed. */
  broken = false;

  /** Bytes that wait behind the open frame. */
  get held(): number {
    let sum = 0;
    for (const frame of this.waiting) sum += frame.block!.writer.pos;
    return sum;
  }

  /** The exchange whose frame is open; -1: none. */
  get turn(): number {
    return this.open === null ? -1 : this.open.id;
  }

  /** Where a complete frame goes now: `out` itself, or behind what waits. */
  behind(out: Output): Output {
    if (this.open === null) return out;
    this.checkHeld();
    let last = this.waiting.at(-1);
    if (last === undefined || !last.done) {
      last = new QueuedFrame(-1, 0, new BlockOutput());
      last.done = true;
      this.waiting.push(last);
    }
    return last.block!;
  }

  /** Begins a frame with `length` bytes of content to come; the caller writes its head to `block`, or to its output where that is null. */
  begin(id: number, length: number): QueuedFrame {
    const frame = new QueuedFrame(id, length, this.open === null ? null : new BlockOutput(4096));
    if (this.open === null) this.open = frame;
    else this.waiting.push(frame);
    return frame;
  }

  /** Content of frame `id`; returns whether it is complete now. More or less of it than its head says is a programmer mistake: RangeError. */
  data(out: Output, id: number, buf: Uint8Array, start: number, end: number, last: boolean): boolean {
    const frame = this.find(id);
    if (frame === null) return false;
    const n = end - start;
    if (n > frame.left || (last && n !== frame.left)) throw new RangeError(`content of frame ${id} differs from its length by ${n - frame.left} bytes`);
    frame.left -= n;
    const to = frame.block ?? out;
    if (n > 0) {
      if (frame.tail !== null) frame.tail.add(buf, start, end);
      to.write(buf, start, end);
      if (frame.block !== null) this.checkHeld();
    }
    if (!last) return false;
    if (frame.tail !== null) frame.tail.writeTo(to);
    frame.done = true;
    if (frame === this.open) this.next(out);
    return true;
  }

  /** Gives frame `id` up. Returns it where nothing of it was written yet; where some of it was, the connection is broken. */
  drop(id: number): QueuedFrame | null {
    const frame = this.find(id);
    if (frame === null) return null;
    if (frame === this.open) {
      this.broken = true;
      return null;
    }
    this.waiting.splice(this.waiting.indexOf(frame), 1);
    return frame;
  }

  private checkHeld(): void {
    if (this.held > MAX_HELD) this.broken = true;
  }

  private find(id: number): QueuedFrame | null {
    const open = this.open;
    if (open !== null && open.id === id) return open;
    for (const frame of this.waiting) if (!frame.done && frame.id === id) return frame;
    return null;
  }

  private next(out: Output): void {
    this.open = null;
    while (this.open === null && this.waiting.length > 0) {
      const frame = this.waiting.shift()!;
      const { buf, pos } = frame.block!.writer;
      frame.block = null;
      out.give(buf, 0, pos);
      if (!frame.done) this.open = frame;
    }
  }
}

// Replies in the order of their requests, for server codecs whose clients pair the two by order although exchanges end in any order.
import { BlockOutput, type Output } from '../core/bytes.js';

/** Replies up to this size are copied out when their turn comes; larger ones are given away with their block. */
const COPIED = 4096;

/** What was encoded of a reply before its turn. */
class Early {
  readonly block = new BlockOutput();
  /** Bytes of it that `held` counts. */
  counted = 0;
  done = false;
  impossible = false;
}

/**
 * Numbers the requests of one connection and lets their replies out in that order. A reply whose turn has come is written where it
 * belongs at once; only what is early is kept, so a connection whose exchanges end in order allocates nothing.
 */
export class OrderedReplies {
  /** True once the reply whose turn it is cannot be made: nothing may follow, the connection has to end. */
  broken = false;
  private given = 0;
  private due = 1;
  private early: Map<number, Early> | null = null;
  private heldBytes = 0;
  /** Was handed out by `at`, so that bytes may have been added to it. */
  private touched: Early | null = null;

  /** A request was decoded: its number, from 1, to be used as the id of its head. One-way requests take none. */
  expect(): number {
    return ++this.given;
  }

  /** Requests whose reply is not complete or not written. */
  get outstanding(): number {
    return this.given - this.due + 1;
  }

  /** The request whose reply is written as it comes. */
  get turn(): number {
    return this.due;
  }

  /** Bytes of replies that wait for their turn. */
  get held(): number {
    this.count();
    return this.heldBytes;
  }

  /** Where the next bytes of reply `id` go; valid until the next call. */
  at(out: Output, id: number): Output {
    if (id === this.due) return out;
    this.count();
    this.early ??= new Map();
    let early = this.early.get(id);
    if (early === undefined) this.early.set(id, (early = new Early()));
    this.touched = early;
    return early.block;
  }

  /** Reply `id` is complete: what waited right behind it is written to `out`. */
  done(out: Output, id: number): void {
    this.count();
    if (id !== this.due) {
      this.early!.get(id)!.done = true;
      return;
    }
    this.due++;
    if (this.early === null) return;
    for (let next = this.early.get(this.due); next !== undefined; next = this.early.get(this.due)) {
      this.early.delete(this.due);
      this.heldBytes -= next.counted;
      if (next.impossible) {
        this.broken = true;
        return;
      }
      const { buf, pos } = next.block.writer;
      if (pos > COPIED) out.give(buf, 0, pos);
      else if (pos > 0) out.write(buf, 0, pos);
      if (!next.done) return;
      this.due++;
    }
  }

  /** The protocol has no reply for request `id`: the connection ends when everything before it was answered. */
  impossible(out: Output, id: number): void {
    if (id === this.due) {
      this.broken = true;
      return;
    }
    this.at(out, id);
    const early = this.touched!;
    early.impossible = true;
    early.done = true;
  }

  private count(): void {
    const touched = this.touched;
    if (touched === null) return;
    this.touched = null;
    const size = touched.block.writer.pos;
    this.heldBytes += size - touched.counted;
    touched.counted = size;
  }
}

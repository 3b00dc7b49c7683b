// The eight bytes that a peer chose as the id of a request, kept until it is answered; Dubbo 3 begins at any of the 2^64.
import { i32, putU32 } from './frame.js';

/** Kept while nothing is outstanding; what a burst needed beyond that is given back. */
const SPARE = 64;

/** Numbers the requests of one peer that are not answered: small numbers that are used again, each standing for a high and a low half. */
export class PeerIds {
  private high: number[] = [];
  private low: number[] = [];
  private live: boolean[] = [];
  private free: number[] = [];
  outstanding = 0;

  /** The number for the id of the frame that begins at buf[at]. */
  take(buf: Uint8Array, at: number): number {
    const slot = this.free.pop() ?? this.live.length;
    this.high[slot] = i32(buf, at + 4);
    this.low[slot] = i32(buf, at + 8);
    this.live[slot] = true;
    this.outstanding++;
    return slot;
  }

  /** Puts the peer's id into the frame that begins at buf[at]. */
  put(buf: Uint8Array, at: number, slot: number): void {
    if (this.live[slot] !== true) throw new RangeError(`request ${slot} was answered already`);
    putU32(buf, at + 4, this.high[slot]!);
    putU32(buf, at + 8, this.low[slot]!);
  }

  /** The request was answered. */
  release(slot: number): void {
    if (this.live[slot] !== true) return;
    this.live[slot] = false;
    if (--this.outstanding === 0 && this.live.length > SPARE) {
      this.high = [];
      this.low = [];
      this.live = [];
      this.free = [];
      return;
    }
    this.free.push(slot);
  }
}

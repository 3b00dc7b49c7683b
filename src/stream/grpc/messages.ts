// Messages of gRPC in content that comes in pieces ("Length-Prefixed-Message"), for those who read whole messages.

const PREFIX = 5;
const EMPTY = Buffer.alloc(0);

/** The frame of one message that is not compressed. */
export function framed(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(PREFIX + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, PREFIX);
  return frame;
}

export class MessageReader {
  /** Why nothing more is read: a message over the limit, or a compressed one; '' while all is well. */
  problem: '' | 'too-large' | 'compressed' = '';
  private readonly limit: number;
  private rest: Buffer = EMPTY;
  /** Bytes of `rest` that are the message's; it is as long as its frame. */
  private filled = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  /** True between messages. */
  get complete(): boolean {
    return this.filled === 0;
  }

  /** Hands over each message that is complete; borrowed during the call. */
  feed(buf: Uint8Array, start: number, end: number, each: (message: Uint8Array) => void): void {
    let p = start;
    while (p < end && this.problem === '') {
      if (this.filled === 0 && end - p >= PREFIX) {
        const length = this.lengthAt(buf, p);
        if (length < 0) return;
        if (end - p - PREFIX >= length) {
          each(buf.subarray(p + PREFIX, p + PREFIX + length));
          p += PREFIX + length;
          continue;
        }
      }
      if (this.filled < PREFIX) {
        if (this.rest.length < PREFIX) this.rest = Buffer.allocUnsafe(PREFIX);
        while (this.filled < PREFIX && p < end) this.rest[this.filled++] = buf[p++]!;
        if (this.filled < PREFIX) return;
        const length = this.lengthAt(this.rest, 0);
        if (length < 0) return;
        const frame = Buffer.allocUnsafe(PREFIX + length);
        frame.set(this.rest.subarray(0, PREFIX));
        this.rest = frame;
      }
      const n = Math.min(this.rest.length - this.filled, end - p);
      this.rest.set(buf.subarray(p, p + n), this.filled);
      this.filled += n;
      p += n;
      if (this.filled < this.rest.length) return;
      const message = this.rest.subarray(PREFIX);
      this.rest = EMPTY;
      this.filled = 0;
      each(message);
    }
  }

  private lengthAt(buf: Uint8Array, at: number): number {
    const length = ((buf[at + 1]! << 24) | (buf[at + 2]! << 16) | (buf[at + 3]! << 8) | buf[at + 4]!) >>> 0;
    if (buf[at] !== 0) this.problem = 'compressed';
    else if (length > this.limit) this.problem = 'too-large';
    else return length;
    return -1;
  }
}

// What heads of protocols of frames do alike: the status as text, a check of values, and the copy that outlives the call.
import { Head } from './head.js';

/** Holds the digits of `:status`; valid until the next look-up. */
const digits = Buffer.alloc(3);

export abstract class FrameHead extends Head {
  /** Finds the status, 100 to 599, as the value of `:status`. */
  protected findStatus(): boolean {
    const { status } = this;
    digits[0] = 48 + Math.floor(status / 100);
    digits[1] = 48 + (Math.floor(status / 10) % 10);
    digits[2] = 48 + (status % 10);
    this.vbuf = digits;
    this.vstart = 0;
    this.vend = 3;
    return true;
  }

  /** Copies buf[start, upTo), where `upTo` is not before `end`, the content of a whole message and all that every head tells. In `copy` the bytes begin at 0. */
  protected copyTo(copy: FrameHead, upTo = this.end): void {
    const { start } = this;
    const buf = Buffer.allocUnsafeSlow(upTo - start);
    buf.set(this.buf.subarray(start, upTo));
    copy.buf = buf;
    copy.end = this.end - start;
    copy.kind = this.kind;
    copy.id = this.id;
    copy.whole = this.whole;
    if (this.bodyBuf === this.buf) {
      copy.bodyBuf = buf;
      copy.bodyStart = this.bodyStart - start;
      copy.bodyEnd = this.bodyEnd - start;
    } else {
      copy.bodyBuf = Buffer.from(this.bodyBuf.subarray(this.bodyStart, this.bodyEnd));
      copy.bodyEnd = copy.bodyBuf.length;
    }
    copy.length = this.length;
    copy.timeout = this.timeout;
    copy.sharing = this.sharing;
    copy.status = this.status;
    copy.rawStatus = this.rawStatus;
    copy.edited = this.edited;
    copy.refused = this.refused;
  }
}

/** What `set` and `add` refuse by TypeError, also where the format could carry it: values pass between protocols. */
export function checkValue(value: string): void {
  for (let i = 0; i < value.length; i++) {
    const c = value.charCodeAt(i);
    if (c === 10 || c === 13 || c === 0) throw new TypeError('a header value holds CR, LF or NUL');
  }
}

// Names of methods and services, each kept once for the thread: an unanswered request remembers its name as a number.
import { equalAt, hashBytes } from '../../core/bytes.js';

/** Most names that are kept, and the longest of them; what is above is copied by whoever needs it. */
const MAX_NAMES = 4096;
const MAX_LENGTH = 256;
/** No name. */
export const UNKEPT = -1;

const slots = new Int32Array(MAX_NAMES * 2);
const names: Buffer[] = [];
/** Where the method begins in `service:method`; 0 where there is no service. */
const methodStarts: number[] = [];

/** The number of the name buf[start, end); UNKEPT when it is too long or there are too many. `last`: the number to try first, or UNKEPT. */
export function numberOf(buf: Uint8Array, start: number, end: number, last: number): number {
  const n = end - start;
  if (last !== UNKEPT) {
    const name = names[last]!;
    if (name.length === n && equalAt(buf, start, name)) return last;
  }
  if (n > MAX_LENGTH) return UNKEPT;
  const mask = slots.length - 1;
  let at = hashBytes(buf, start, end) & mask;
  for (let found = slots[at]!; found !== 0; found = slots[at]!) {
    const name = names[found - 1]!;
    if (name.length === n && equalAt(buf, start, name)) return found - 1;
    at = (at + 1) & mask;
  }
  if (names.length === MAX_NAMES) return UNKEPT;
  const copy = Buffer.from(buf.subarray(start, end));
  methodStarts.push(copy.indexOf(58) + 1);
  slots[at] = names.push(copy);
  return names.length - 1;
}

export function nameOf(number: number): Buffer {
  return names[number]!;
}

export function methodStart(number: number): number {
  return methodStarts[number]!;
}

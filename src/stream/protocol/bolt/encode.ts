// Bolt frames out: an unchanged frame is one copy with the id patched, a changed one is put together with its lengths recomputed.
import { MAX_RESERVE, type Output } from '../../../core/bytes.js';
import { REPLY } from '../../head.js';
import { checksum, crcLength, idOffset, putU16, putU32 } from './frame.js';
import type { BoltHead } from './head.js';

/** Writes a frame whose content is at hand. */
export function encodeWhole(out: Output, head: BoltHead, id: number): void {
  const start = head.start;
  const n = head.end - start;
  if (head.edited || head.bodyBuf !== head.buf || n > MAX_RESERVE) {
    encodePieces(out, head, id);
    return;
  }
  const w = out.out(n);
  const at = w.pos;
  w.bytes(head.buf, start, head.end);
  const buf = w.buf;
  putU32(buf, at + idOffset(head.proto), id);
  if (head.proto === 2 && crcLength(buf, at) !== 0) putU32(buf, at + n - 4, checksum(buf, at, at + n - 4));
}

function encodePieces(out: Output, head: BoltHead, id: number): void {
  const content = head.bodyEnd - head.bodyStart;
  const crc = crcLength(head.buf, head.start);
  const size = head.fixed + (head.classTo - head.classFrom) + (head.headersTo - head.headersFrom) + content + crc;
  if (size > MAX_RESERVE) {
    let sum = encodeHead(out, head, id, content, crc !== 0);
    if (content > 0) out.write(head.bodyBuf, head.bodyStart, head.bodyEnd);
    if (crc === 0) return;
    sum = checksum(head.bodyBuf, head.bodyStart, head.bodyEnd, sum);
    out.out(4).u32(sum);
    return;
  }
  const w = out.out(size);
  const at = w.pos;
  putFixed(w.buf, at, head, id, content);
  w.pos = at + head.fixed;
  w.bytes(head.classBuf, head.classFrom, head.classTo);
  w.bytes(head.headersBuf, head.headersFrom, head.headersTo);
  w.bytes(head.bodyBuf, head.bodyStart, head.bodyEnd);
  if (crc !== 0) w.u32(checksum(w.buf, at, w.pos));
}

/** Writes everything before `content` bytes of content; returns the checksum so far where `crc`. */
export function encodeHead(out: Output, head: BoltHead, id: number, content: number, crc: boolean): number {
  const { fixed, classBuf, classFrom, classTo, headersBuf, headersFrom, headersTo } = head;
  const size = fixed + (classTo - classFrom) + (headersTo - headersFrom);
  const w = out.out(Math.min(size, MAX_RESERVE));
  const at = w.pos;
  putFixed(w.buf, at, head, id, content);
  w.pos = at + fixed;
  if (size <= MAX_RESERVE) {
    w.bytes(classBuf, classFrom, classTo);
    w.bytes(headersBuf, headersFrom, headersTo);
    return crc ? checksum(w.buf, at, w.pos) : 0;
  }
  let sum = crc ? checksum(w.buf, at, w.pos) : 0;
  out.write(classBuf, classFrom, classTo);
  out.write(headersBuf, headersFrom, headersTo);
  if (crc) sum = checksum(headersBuf, headersFrom, headersTo, checksum(classBuf, classFrom, classTo, sum));
  return sum;
}

/** The part before the class, as received but for the id, the status and the lengths. */
function putFixed(buf: Uint8Array, at: number, head: BoltHead, id: number, content: number): void {
  const from = head.buf;
  const start = head.start;
  const fixed = head.fixed;
  for (let i = 0; i < fixed; i++) buf[at + i] = from[start + i]!;
  putU32(buf, at + idOffset(head.proto), id);
  if (head.kind === REPLY) putU16(buf, at + fixed - 10, head.rawStatus);
  putU16(buf, at + fixed - 8, head.classTo - head.classFrom);
  putU16(buf, at + fixed - 6, head.headersTo - head.headersFrom);
  putU32(buf, at + fixed - 4, content);
}

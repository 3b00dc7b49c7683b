// Reads what a Thrift frame has before its content: form, type, sequence number and names, with bounds at every step.
import {
  COMPACT, COMPACT_BYTE, DUBBO_START, HEADER_TRANSPORT, MAX_NAME, MESSAGE_START, MIN_HEADER, OLD, STRICT, STRICT_BYTE, i32, u16,
} from './frame.js';
import type { ThriftHead } from './head.js';

/** Longest header of Dubbo; it holds a service and, in some versions, a path. */
const MAX_HEADER = 16 * 1024;

/** Results of `parse` besides a number of bytes that it needs. */
export const PARSED = 0;
export const MALFORMED = -1;

/** First byte of a TLS connection; no frame is so long that it begins with it. */
export const TLS_HANDSHAKE = 0x16;

/** What is wrong with the bytes that `parse` refused last. */
let detail = '';

export function malformation(): string {
  return detail;
}

function bad(what: string): number {
  detail = what;
  return MALFORMED;
}

/**
 * Reads what comes before the content. PARSED, MALFORMED (see `malformation`), or how many bytes of the frame it needs; more than the prefix
 * it never asks for.
 */
export function parse(head: ThriftHead, buf: Uint8Array, p: number, end: number, size: number): number {
  const have = end - p;
  const stop = p + size;
  let m = p + 4;
  if (head.dubbo) {
    if (size < 4 + MIN_HEADER + 9) return bad(`${size - 4} bytes are too few for a message with Dubbo's header`);
    if (have < DUBBO_START) return DUBBO_START;
    if (buf[m] !== 0xda || buf[m + 1] !== 0xbc) return bad("Dubbo's magic does not follow the length");
    if (i32(buf, m + 2) !== size - 4) return bad(`the two lengths differ: ${size - 4} and ${i32(buf, m + 2)}`);
    if (buf[m + 8] !== 1) return bad(`version ${buf[m + 8]!} of Dubbo's header`);
    const header = u16(buf, m + 6);
    const service = i32(buf, m + 9);
    if (header < MIN_HEADER || header > MAX_HEADER || header > size - 13) return bad(`a header of ${header} bytes in a message of ${size - 4}`);
    if (service < 0 || service > MAX_NAME || service > header - MIN_HEADER) return bad(`a service of ${service} bytes in a header of ${header}`);
    head.serviceStart = m + 13;
    head.serviceEnd = m + 13 + service;
    m += header;
    if (end < m) return m - p;
    head.idHigh = i32(buf, m - 8);
    head.idLow = i32(buf, m - 4);
  }
  const start = Math.min(size, m - p + MESSAGE_START);
  if (have < start) return start;
  head.message = m;
  const first = buf[m]!;
  let name: number;
  if (first === COMPACT_BYTE && !head.dubbo) return parseCompact(head, buf, p, end, stop);
  if (first === STRICT_BYTE) {
    if (stop - m < 12) return bad(`${stop - m} bytes are too few for a message`);
    if (buf[m + 1] !== 1) return bad(`version ${buf[m + 1]!} of the binary protocol`);
    head.form = STRICT;
    head.type = buf[m + 3]!;
    name = i32(buf, m + 4);
    if (name < 0 || name > MAX_NAME || name > stop - m - 12) return bad(`a name of ${name} bytes in a message of ${stop - m}`);
    head.nameStart = m + 8;
    head.nameEnd = m + 8 + name;
    head.content = head.nameEnd + 4;
  } else if (first === 0) {
    name = stop - m < 9 ? -1 : i32(buf, m);
    if (name < 0 || name > MAX_NAME || name > stop - m - 9) return bad(`a name of ${name} bytes in a message of ${stop - m}`);
    head.form = OLD;
    head.nameStart = m + 4;
    head.nameEnd = m + 4 + name;
    head.content = head.nameEnd + 5;
  } else {
    return bad(notAMessage(first));
  }
  if (head.content > end) return head.content - p;
  if (first === 0) head.type = buf[head.nameEnd]!;
  head.seqid = i32(buf, head.content - 4);
  return PARSED;
}

function parseCompact(head: ThriftHead, buf: Uint8Array, p: number, end: number, stop: number): number {
  const m = head.message;
  const second = stop - m < 4 ? 0 : buf[m + 1]!;
  if ((second & 0x1f) !== 1) return bad(`version ${second & 0x1f} of the compact protocol`);
  head.form = COMPACT;
  head.type = second >> 5;
  let q = m + 2;
  let seqid = 0;
  for (let shift = 0; ; shift += 7) {
    if (q >= stop || shift > 28) return bad('the sequence number has no end');
    const b = buf[q++]!;
    seqid |= (b & 0x7f) << shift;
    if (b < 0x80) break;
  }
  head.behindSeqid = q;
  let name = 0;
  for (let shift = 0; ; shift += 7) {
    if (q >= stop || shift > 28) return bad('the length of the name has no end');
    const b = buf[q++]!;
    name |= (b & 0x7f) << shift;
    if (b < 0x80) break;
  }
  if (name < 0 || name > MAX_NAME || name > stop - q) return bad(`a name of ${name} bytes in a message of ${stop - m}`);
  head.seqid = seqid;
  head.nameStart = q;
  head.nameEnd = q + name;
  head.content = head.nameEnd;
  return head.content > end ? head.content - p : PARSED;
}

/** What the first byte of something that is no message says. */
function notAMessage(first: number): string {
  if (first === HEADER_TRANSPORT) return 'a message of the header transport (THeader), which is not supported';
  const unframed = (first >= 65 && first <= 90) || (first >= 97 && first <= 122) || first === 95;
  return `byte ${first} begins no message of the binary or compact protocol${unframed ? '; the unframed transport is not supported' : ''}`;
}

/** What the first byte of something that is no frame length says. */
export function notALength(first: number): string {
  if (first === STRICT_BYTE || first === COMPACT_BYTE) return 'no frame length in front of the message: the unframed transport is not supported';
  if (first === TLS_HANDSHAKE) return 'a TLS handshake where framed Thrift is spoken';
  return `a frame length that begins with byte ${first}: not framed Thrift`;
}

// Thrift frames out: an unchanged one is one copy with its numbers patched, any other gets a new prefix before its content.
import { MAX_RESERVE, type Output, type Writer } from '../../core/bytes.js';
import { COMPACT, COMPACT_BYTE, OLD, PADDED, PREFIX_BOUND, STRICT, putU32, putVarint, varintLength } from './frame.js';
import type { ThriftHead } from './head.js';

/**
 * The numbers and the name that a frame goes out with; what one call sets the encoders read. One for the thread, since encoding calls
 * nothing that encodes.
 */
export class Outgoing {
  seqid = 0;
  /** Halves of the id in Dubbo's header. */
  high = 0;
  low = 0;
  /** Bytes of the sequence number in compact messages; 0 for as few as it takes. */
  width = 0;
  nameBuf: Uint8Array = Buffer.alloc(0);
  nameFrom = 0;
  nameTo = 0;
}
export const outgoing = new Outgoing();

/** Writes a frame whose content is at hand. */
export function encodeWhole(out: Output, head: ThriftHead): void {
  const { start, end, buf } = head;
  const n = end - start;
  if (head.edited || head.bodyBuf !== buf || outgoing.nameBuf !== buf || n > MAX_RESERVE - PADDED) {
    encodePieces(out, head);
  } else if (head.form === COMPACT) {
    encodeCompact(out, head);
  } else {
    const w = out.out(n);
    const at = w.pos - start;
    w.bytes(buf, start, end);
    putU32(w.buf, at + head.content - 4, outgoing.seqid);
    if (!head.dubbo) return;
    putU32(w.buf, at + head.message - 8, outgoing.high);
    putU32(w.buf, at + head.message - 4, outgoing.low);
  }
}

/** An unchanged compact message, whose sequence number may have another length than it came with. */
function encodeCompact(out: Output, head: ThriftHead): void {
  const { buf, behindSeqid, end } = head;
  const { seqid } = outgoing;
  const width = outgoing.width === 0 ? varintLength(seqid) : outgoing.width;
  const length = 2 + width + end - behindSeqid;
  const w = out.out(4 + length);
  const to = w.buf;
  const at = w.pos;
  putU32(to, at, length);
  to[at + 4] = COMPACT_BYTE;
  to[at + 5] = buf[head.message + 1]!;
  w.pos = putVarint(to, at + 6, seqid, width);
  w.bytes(buf, behindSeqid, end);
}

function encodePieces(out: Output, head: ThriftHead): void {
  const content = head.bodyEnd - head.bodyStart;
  const bound = prefixBound(head);
  if (bound + content > MAX_RESERVE) {
    putPrefix(out.out(bound), head, content);
    if (content > 0) out.write(head.bodyBuf, head.bodyStart, head.bodyEnd);
    return;
  }
  const w = out.out(bound + content);
  putPrefix(w, head, content);
  w.bytes(head.bodyBuf, head.bodyStart, head.bodyEnd);
}

/** Writes everything before `content` bytes of content. */
export function encodePrefix(out: Output, head: ThriftHead, content: number): void {
  putPrefix(out.out(prefixBound(head)), head, content);
}

/** Names are below MAX_NAME and Dubbo's header below 64 KiB less what the rest takes, so that this is below MAX_RESERVE. */
function prefixBound(head: ThriftHead): number {
  const named = PREFIX_BOUND + outgoing.nameTo - outgoing.nameFrom;
  return head.dubbo ? named + (head.message - head.start) + (head.serviceTo - head.serviceFrom) : named;
}

function putPrefix(w: Writer, head: ThriftHead, content: number): void {
  const from = head.buf;
  const at = w.pos;
  w.pos = at + 4;
  if (head.dubbo) putHeader(w, head);
  const { seqid, nameBuf, nameFrom, nameTo } = outgoing;
  const name = nameTo - nameFrom;
  if (head.form === COMPACT) {
    w.u8(COMPACT_BYTE);
    w.u8((head.type << 5) | 1);
    w.pos = putVarint(w.buf, w.pos, seqid, outgoing.width === 0 ? varintLength(seqid) : outgoing.width);
    w.pos = putVarint(w.buf, w.pos, name, varintLength(name));
    w.bytes(nameBuf, nameFrom, nameTo);
  } else {
    if (head.form === STRICT) w.bytes(from, head.message, head.message + 4);
    w.u32(name);
    w.bytes(nameBuf, nameFrom, nameTo);
    if (head.form === OLD) w.u8(head.type);
    w.u32(seqid);
  }
  const length = w.pos - at - 4 + content;
  putU32(w.buf, at, length);
  if (head.dubbo) putU32(w.buf, at + 6, length);
}

/** Dubbo's header with its service and id, and whatever it has between them as it came. */
function putHeader(w: Writer, head: ThriftHead): void {
  const from = head.buf;
  const at = w.pos;
  w.bytes(from, head.start + 4, head.start + 13);
  w.u32(head.serviceTo - head.serviceFrom);
  w.bytes(head.serviceBuf, head.serviceFrom, head.serviceTo);
  w.bytes(from, head.serviceEnd, head.message - 8);
  w.u32(outgoing.high);
  w.u32(outgoing.low);
  const length = w.pos - at;
  w.buf[at + 6] = length >>> 8;
  w.buf[at + 7] = length;
}

// Tars packets out: an unchanged one is a copy with its id and length made anew, a changed one is put together from its fields.
import { MAX_RESERVE, Writer, type Output } from '../../../core/bytes.js';
import type { TarsHead } from './head.js';
import { intSize, putBytesHead, putInt, putStringHead, putU32, putWideInt, stringHead } from './jce.js';

/** Bytes of the id field where it has its full width. */
const WIDE = 5;

/**
 * Writes a packet under the id `id`. `wide`: the id takes its full width, so that a second try can put another into its place
 * (requests to hosts); otherwise it is as narrow as it can be, as a host would have written it (replies to clients).
 */
export function encodePacket(out: Output, head: TarsHead, id: number, wide: boolean): void {
  const { buf, start, end, idAt, idEnd } = head;
  const signed = id | 0;
  const width = wide ? WIDE : intSize(signed);
  if (head.edited || head.bodyBuf !== buf) {
    encodeFields(out, head, signed, width);
    return;
  }
  const n = end - start - (idEnd - idAt) + width;
  const whole = n <= MAX_RESERVE;
  const w = out.out(whole ? n : idAt - start + width);
  const to = w.buf;
  let p = w.pos + 4;
  putU32(to, w.pos, n);
  for (let i = start + 4; i < idAt; i++) to[p++] = buf[i]!;
  w.pos = putId(to, p, head, signed, width);
  if (whole) w.bytes(buf, idEnd, end);
  else out.write(buf, idEnd, end);
}

function putId(to: Uint8Array, p: number, head: TarsHead, id: number, width: number): number {
  const tag = head.response ? 3 : 4;
  return width === WIDE ? putWideInt(to, p, tag, id) : putInt(to, p, tag, id);
}

function encodeFields(out: Output, head: TarsHead, id: number, width: number): void {
  head.index();
  const { response, newServant, newFunction, context, statuses } = head;
  const first = response ? statuses : context;
  const second = response ? context : statuses;
  const content = head.bodyEnd - head.bodyStart;
  const names = response
    ? head.codeAt - head.idEnd + (head.newCode ? intSize(head.rawStatus) : head.codeEnd - head.codeAt)
    : nameSize(newServant, head.servantAt, head.servantEnd) + nameSize(newFunction, head.functionAt, head.functionEnd);
  const maps = first.at - head.bufferEnd + first.written + (second.at - first.end) + second.written + (head.end - second.end);
  const size = head.idAt - head.start + width + names + 2 + intSize(content) + content + maps;
  if (size <= MAX_RESERVE) {
    putFields(out.out(size), head, id, width, size);
    return;
  }
  const w = new Writer(Buffer.allocUnsafeSlow(size));
  putFields(w, head, id, width, size);
  out.give(w.buf, 0, size);
}

function putFields(w: Writer, head: TarsHead, id: number, width: number, size: number): void {
  const { buf, response, context, statuses } = head;
  const at = w.pos;
  w.bytes(buf, head.start, head.idAt);
  putU32(w.buf, at, size);
  w.pos = putId(w.buf, w.pos, head, id, width);
  if (response) {
    w.bytes(buf, head.idEnd, head.codeAt);
    if (head.newCode) w.pos = putInt(w.buf, w.pos, 5, head.rawStatus);
    else w.bytes(buf, head.codeAt, head.codeEnd);
  } else {
    putName(w, head.newServant, 5, buf, head.servantAt, head.servantEnd);
    putName(w, head.newFunction, 6, buf, head.functionAt, head.functionEnd);
  }
  w.pos = putBytesHead(w.buf, w.pos, response ? 6 : 7, head.bodyEnd - head.bodyStart);
  w.bytes(head.bodyBuf, head.bodyStart, head.bodyEnd);
  const first = response ? statuses : context;
  const second = response ? context : statuses;
  w.bytes(buf, head.bufferEnd, first.at);
  first.write(w, buf, response ? head.statusTag : head.contextTag);
  w.bytes(buf, first.end, second.at);
  second.write(w, buf, response ? head.contextTag : head.statusTag);
  w.bytes(buf, second.end, head.end);
}

function nameSize(edited: Buffer | null, at: number, end: number): number {
  return edited === null ? end - at : stringHead(edited.length) + edited.length;
}

function putName(w: Writer, edited: Buffer | null, tag: number, buf: Uint8Array, at: number, end: number): void {
  if (edited === null) {
    w.bytes(buf, at, end);
    return;
  }
  w.pos = putStringHead(w.buf, w.pos, tag, edited.length);
  w.bytes(edited, 0, edited.length);
}

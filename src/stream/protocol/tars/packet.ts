// Reading a Tars packet into a head: the fields that every message needs, up to the timeout; maps stay where they are.
import { ONEWAY, REPLY, REQUEST } from '../../head.js';
import type { TarsHead } from './head.js';
import { RESULT_CODE_KEY } from './head.js';
import { STRING1, STRING4, found, readBytes, readInt, readString } from './jce.js';
import { SUCCESS, UNKNOWN_ERROR, httpOfCode, httpOfReply } from './status.js';

/** The shortest packet: a response without a byte of content, and without maps, as Java may send it. */
export const MIN_FRAME = 10;
/** Bytes of a frame in which its version, types and id are found, whatever their widths, and which layout it has. */
export const PREFIX = 28;

export const PACKET_ONEWAY = 1;
const MAX_VERSION = 5;

/** The function that every servant of Tars has: does nothing, and is answered. */
export const PING = Buffer.from('tars_ping');
/** What a host that stops says in a packet with the id 0 (TarsGo `GetCloseMsg`). */
export const RECONNECT = Buffer.from('_reconnect_');

/**
 * Reads the fields before the names or the result code of the frame that begins at buf[start]; needs its first PREFIX bytes, or all of it
 * where it is shorter. Returns what is wrong with them, or ''.
 */
export function readPrefix(head: TarsHead, buf: Uint8Array, start: number, client: boolean): string {
  let p = readInt(buf, start + 4, 1);
  if (p < 0) return 'field 1 is no version';
  const version = found.value;
  // A host's push may have the version 0.
  if (version < (client ? 0 : 1) || version > MAX_VERSION) return `version ${version}`;
  p = readInt(buf, p, 2);
  if (p < 0) return 'field 2 is no packet type';
  head.packetType = found.value;
  const third = p;
  p = readInt(buf, third, 3);
  if (p < 0) return 'field 3 is no number';
  const a = found.value;
  const fourth = p;
  p = readInt(buf, fourth, 4);
  if (p < 0) return 'field 4 is no number';
  const b = found.value;
  head.version = version;
  const type = buf[p]! ^ 0x50;
  if (type === STRING1 || type === STRING4) {
    head.response = false;
    head.messageType = a;
    head.id = b >>> 0;
    head.idAt = fourth;
    head.idEnd = p;
    return '';
  }
  if (readInt(buf, p, 5) < 0) return 'field 5 is neither a servant nor a result code';
  if (!client) return 'a response, where a request was due';
  head.response = true;
  head.id = a >>> 0;
  head.messageType = b;
  head.idAt = third;
  head.idEnd = fourth;
  head.codeAt = p;
  return '';
}

/** Reads a whole frame, whose prefix was read. Returns what is wrong with it, or ''. */
export function readPacket(head: TarsHead, buf: Uint8Array, start: number, end: number, client: boolean): string {
  const wrong = head.response ? readResponse(head, buf, end) : readNames(head, buf, end);
  if (wrong !== '') return wrong;
  head.buf = buf;
  head.bodyBuf = buf;
  head.start = start;
  head.end = end;
  head.whole = true;
  head.length = head.bodyEnd - head.bodyStart;
  head.indexed = false;
  head.push = false;
  if (client) {
    readResult(head);
  } else {
    head.kind = head.packetType === PACKET_ONEWAY ? ONEWAY : REQUEST;
    head.status = 0;
    head.rawStatus = 0;
  }
  return '';
}

/** The rest of the layout of a request. */
function readNames(head: TarsHead, buf: Uint8Array, end: number): string {
  let p = head.idEnd;
  head.servantAt = p;
  p = readString(buf, p, end, 5);
  if (p < 0) return 'field 5, the servant, breaks off';
  head.servantFrom = found.start;
  head.servantEnd = p;
  head.functionAt = p;
  p = readString(buf, p, end, 6);
  if (p < 0) return 'field 6 is no function';
  head.functionFrom = found.start;
  head.functionEnd = p;
  head.bufferAt = p;
  p = readBytes(buf, p, end, 7);
  if (p < 0) return 'field 7 is no buffer';
  head.bodyStart = found.start;
  head.bodyEnd = p;
  head.bufferEnd = p;
  // A timeout that is left out, or breaks off, is none.
  const next = p < end ? readInt(buf, p, 8) : -1;
  head.timeout = next >= 0 && next <= end && found.value > 0 ? found.value : 0;
  return '';
}

/** The rest of the layout of a response. Java's servers leave the buffer out when they could not encode it. */
function readResponse(head: TarsHead, buf: Uint8Array, end: number): string {
  let p = readInt(buf, head.codeAt, 5);
  if (p < 0 || p > end) return 'field 5, the result code, breaks off';
  head.rawStatus = found.value;
  head.codeEnd = p;
  head.servantAt = head.servantFrom = head.servantEnd = p;
  head.functionAt = head.functionFrom = head.functionEnd = p;
  head.bufferAt = p;
  head.bodyStart = p;
  if (p < end && buf[p]! >> 4 === 6) {
    p = readBytes(buf, p, end, 6);
    if (p < 0) return 'field 6 is no buffer';
    head.bodyStart = found.start;
  }
  head.bodyEnd = p;
  head.bufferEnd = p;
  return '';
}

function readResult(head: TarsHead): void {
  head.kind = REPLY;
  head.timeout = 0;
  if (!head.response) {
    head.index();
    head.rawStatus = head.findIn(head.statuses, RESULT_CODE_KEY) ? decimal(head.vbuf, head.vstart, head.vend) : SUCCESS;
  }
  const code = head.rawStatus;
  if (code === SUCCESS) {
    head.status = 200;
  } else {
    // A host's exception may have any code; a reason of another Sluice comes with one of the framework's.
    head.status = code < 0 ? httpOfReply(head, code) : httpOfCode(code);
  }
}

/** A number in text; what is none counts as an unknown error. */
function decimal(buf: Uint8Array, start: number, end: number): number {
  const negative = buf[start] === 45;
  let p = negative ? start + 1 : start;
  if (p >= end || end - p > 9) return UNKNOWN_ERROR;
  let value = 0;
  for (; p < end; p++) {
    const digit = buf[p]! - 48;
    if (!(digit >= 0 && digit <= 9)) return UNKNOWN_ERROR;
    value = value * 10 + digit;
  }
  return negative ? -value : value;
}

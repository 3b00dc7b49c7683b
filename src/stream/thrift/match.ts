// Recognition of framed Thrift by the first bytes of a connection, told apart from every protocol that begins with a length as well.
import { MATCH_MORE, MATCH_NO, MATCH_YES, type Match } from '../protocol.js';
import { CALL, ONEWAY_CALL, i32 } from './frame.js';

/**
 * Plain frames need at most 15 bytes, which the shortest request of the form that needs them has; a compact one can be as short as 10
 * and needs 6.
 *
 * Byte 0 is that of a length below 256 MiB, so 00 to 0F. That leaves out HTTP, the preface of HTTP/2, Redis (letters and marks), TLS (16),
 * Dubbo (DA), MQTT (10), and unframed Thrift (80, 82). Then byte 4 decides: 80 01 or 82 with a version and a type that clients send. What
 * else begins with a length or a small byte has something else there: Tars 10, 1C or 01 (field 1), Dubbo-Thrift DA, Bolt v1 01, Bolt v2 a
 * command. A binary message of the old form begins with the length of its name, 00 00 00 nn: Kafka may have that there (api 0, version nn),
 * and RocketMQ (length of its header), but behind it they have no name of a method with a message type after it.
 */
export const THRIFT_MATCH_BYTES = 15;

export function matchThrift(buf: Uint8Array, start: number, end: number): Match {
  if (start >= end) return MATCH_MORE;
  if (buf[start]! > 0x0f) return MATCH_NO;
  const at = start + 4;
  if (at >= end) return MATCH_MORE;
  const length = i32(buf, start);
  if (length < 6) return MATCH_NO;
  switch (buf[at]) {
    case 0x80:
      if (at + 1 < end && buf[at + 1] !== 1) return MATCH_NO;
      if (at + 3 >= end) return MATCH_MORE;
      return isRequest(buf[at + 3]!);
    case 0x82:
      if (at + 1 >= end) return MATCH_MORE;
      return (buf[at + 1]! & 0x1f) === 1 ? isRequest(buf[at + 1]! >> 5) : MATCH_NO;
    case 0:
      return matchOld(buf, at, end, length);
    default:
      return MATCH_NO;
  }
}

function isRequest(type: number): Match {
  return type === CALL || type === ONEWAY_CALL ? MATCH_YES : MATCH_NO;
}

/** u32 length of the name, 1 to 255; the name, letters and digits and `_.:-`; the type. */
function matchOld(buf: Uint8Array, at: number, end: number, length: number): Match {
  for (let p = at + 1; p < Math.min(at + 3, end); p++) if (buf[p] !== 0) return MATCH_NO;
  if (at + 3 >= end) return MATCH_MORE;
  const name = buf[at + 3]!;
  if (name === 0 || name + 10 > length) return MATCH_NO;
  const stop = Math.min(end, at + 11);
  for (let p = at + 4; p < stop; p++) {
    if (p === at + 4 + name) return isRequest(buf[p]!);
    if (!isNameByte(buf[p]!)) return MATCH_NO;
  }
  return end >= at + 11 ? MATCH_YES : MATCH_MORE;
}

function isNameByte(c: number): boolean {
  return (c >= 97 && c <= 122) || (c >= 65 && c <= 90) || (c >= 48 && c <= 58) || c === 95 || c === 46 || c === 45;
}

/** With Dubbo's header 6 bytes do: a length, and a magic that nothing else has there. */
export const DUBBO_MATCH_BYTES = 6;

export function matchDubboThrift(buf: Uint8Array, start: number, end: number): Match {
  if (start < end && buf[start]! > 0x0f) return MATCH_NO;
  if (start + 4 < end && buf[start + 4] !== 0xda) return MATCH_NO;
  if (start + 5 >= end) return MATCH_MORE;
  return buf[start + 5] === 0xbc ? MATCH_YES : MATCH_NO;
}

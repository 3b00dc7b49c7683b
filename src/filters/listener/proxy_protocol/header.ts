// The PROXY protocol, versions 1 and 2 (https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt): a header in front of a connection's bytes.
//
// Version 1 is a line of at most 107 bytes:
//   PROXY TCP4|TCP6 SOURCE DESTINATION SOURCE_PORT DESTINATION_PORT \r\n      or  PROXY UNKNOWN ... \r\n
// Version 2 is binary:
//   0..11  0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A
//   12     version (2) << 4 | command (0 LOCAL, 1 PROXY)
//   13     family (0 unspecified, 1 IPv4, 2 IPv6, 3 unix) << 4 | transport (0 unspecified, 1 stream, 2 datagram)
//   14,15  length of what follows: addresses (12, 36 or 216 bytes), then TLVs, which are passed over
import { isIPv4, isIPv6 } from 'node:net';
import { SluiceError } from '../../../core/reason.js';
import { MORE } from '../../../network/filter.js';
import type { ConnectionInfo } from '../../../network/wire.js';

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const PREFIX = Buffer.from('PROXY ', 'latin1');
const LINE = 107;
const FIXED = 16;
/** Most bytes behind the fixed part; the largest known TLVs (a TLS client's certificate name, vendors' ids) are far below. */
const MOST = 4096;
/** The bytes of addresses by family; 0 for none. */
const ADDRESSES = [0, 12, 36, 216];
const UNIX_PATH = 108;

const bad = (detail: string): SluiceError => new SluiceError('proxy-protocol-bad', { detail });

/** How far buf[start, end) agrees with `what`: true for all of it that is there. */
function begins(what: Buffer, buf: Uint8Array, start: number, end: number): boolean {
  const n = Math.min(what.length, end - start);
  for (let i = 0; i < n; i++) if (buf[start + i] !== what[i]) return false;
  return true;
}

/** The answer of `ListenerFilter.inspect`. Without a header: an error where it is required, else 0. */
export function readHeader(info: ConnectionInfo, buf: Uint8Array, start: number, end: number, required: boolean): number | SluiceError {
  const n = end - start;
  if (n === 0) return MORE;
  if (begins(SIGNATURE, buf, start, end)) return n < FIXED ? MORE : readBinary(info, buf, start, end);
  if (begins(PREFIX, buf, start, end)) return n < PREFIX.length ? MORE : readLine(info, buf, start, end);
  return required ? bad('the connection does not begin with it') : 0;
}

function readLine(info: ConnectionInfo, buf: Uint8Array, start: number, end: number): number | SluiceError {
  const limit = Math.min(end, start + LINE - 1);
  let at = start;
  while (at < limit && buf[at] !== 13) at++;
  if (at === limit) return at - start === LINE - 1 ? bad(`its line is longer than ${LINE} bytes`) : MORE;
  if (at + 1 === end) return MORE;
  if (buf[at + 1] !== 10) return bad('its line does not end with CR LF');
  const consumed = at + 2 - start;
  const [family, source, destination, sourcePort, destinationPort, ...more] = (buf as Buffer).latin1Slice(start + PREFIX.length, at).split(' ');
  if (family === 'UNKNOWN') return consumed;
  const fits = family === 'TCP4' ? isIPv4 : family === 'TCP6' ? isIPv6 : null;
  if (fits === null) return bad(`it names no known family: ${String(family)}`);
  const from = port(sourcePort);
  const to = port(destinationPort);
  if (source === undefined || !fits(source) || destination === undefined || !fits(destination)) return bad('its addresses are not of its family');
  if (from < 0 || to < 0 || more.length > 0) return bad('its ports are malformed');
  set(info, source, from, destination, to);
  return consumed;
}

function port(text: string | undefined): number {
  if (text === undefined || !/^(0|[1-9]\d{0,4})$/.test(text)) return -1;
  const number = Number(text);
  return number <= 65535 ? number : -1;
}

function set(info: ConnectionInfo, source: string, sourcePort: number, destination: string, destinationPort: number): void {
  info.remoteAddress = source;
  info.remotePort = sourcePort;
  info.originalAddress = destination;
  info.originalPort = destinationPort;
}

function readBinary(info: ConnectionInfo, buf: Uint8Array, start: number, end: number): number | SluiceError {
  const version = buf[start + 12]! >> 4;
  const command = buf[start + 12]! & 15;
  const family = buf[start + 13]! >> 4;
  const kind = buf[start + 13]! & 15;
  const length = (buf[start + 14]! << 8) | buf[start + 15]!;
  if (version !== 2) return bad(`its version ${version} is unknown`);
  if (command > 1) return bad(`its command ${command} is unknown`);
  if (family > 3 || kind > 2) return bad('its address family is unknown');
  if (length > MOST) return bad(`it is longer than ${MOST} bytes`);
  if (end - start < FIXED + length) return MORE;
  // LOCAL is the load balancer's own health check: the connection's addresses are the true ones.
  if (command === 0 || family === 0 || kind === 0) return FIXED + length;
  if (length < ADDRESSES[family]!) return bad('it is too short for its addresses');
  const at = start + FIXED;
  if (family === 1) {
    set(info, ipv4(buf, at), u16(buf, at + 8), ipv4(buf, at + 4), u16(buf, at + 10));
  } else if (family === 2) {
    set(info, ipv6(buf, at), u16(buf, at + 32), ipv6(buf, at + 16), u16(buf, at + 34));
  } else {
    set(info, unixPath(buf, at), 0, unixPath(buf, at + UNIX_PATH), 0);
  }
  return FIXED + length;
}

function u16(buf: Uint8Array, at: number): number {
  return (buf[at]! << 8) | buf[at + 1]!;
}

function ipv4(buf: Uint8Array, at: number): string {
  return `${buf[at]}.${buf[at + 1]}.${buf[at + 2]}.${buf[at + 3]}`;
}

/** Sixteen bytes as RFC 5952 writes them: no leading zeros, the longest run of zero groups as "::", IPv4 in its own form. */
function ipv6(buf: Uint8Array, at: number): string {
  const groups = Array.from({ length: 8 }, (_, i) => u16(buf, at + 2 * i));
  if (groups.slice(0, 5).every((g) => g === 0) && groups[5] === 0xffff) return ipv4(buf, at + 12);
  let from = -1;
  let longest = 1;
  for (let i = 0; i < 8; i++) {
    let n = 0;
    while (i + n < 8 && groups[i + n] === 0) n++;
    if (n > longest) {
      longest = n;
      from = i;
    }
  }
  const text = (list: number[]): string => list.map((g) => g.toString(16)).join(':');
  return from < 0 ? text(groups) : `${text(groups.slice(0, from))}::${text(groups.slice(from + longest))}`;
}

/** A path ends at its first zero byte; one that begins with it is an abstract socket, shown with "@". */
function unixPath(buf: Uint8Array, at: number): string {
  const bytes = Buffer.from(buf.subarray(at, at + UNIX_PATH));
  const abstract = bytes[0] === 0;
  const stop = bytes.indexOf(0, 1);
  const path = bytes.latin1Slice(abstract ? 1 : 0, stop < 0 ? UNIX_PATH : stop);
  return `unix:${abstract && path !== '' ? '@' : ''}${path}`;
}

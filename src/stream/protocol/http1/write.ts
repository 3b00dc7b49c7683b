// Writes heads and chunk prefixes: an untouched head in runs as it came, an edited one with its edits, another protocol's from its parts.
import { randomBytes } from 'node:crypto';
import type { Writer } from '../../../core/bytes.js';
import { REQUEST, headerName, type Head } from '../../head.js';
import { AUTHORITY_BYTE, TARGET, TOKEN, consistsOf, isValue } from './chars.js';
import { ABSOLUTE, AUTHORITY_FORM, SCAN_REQUEST, SCAN_TRAILERS, type Http1Head } from './head.js';
import { HOST, UNKNOWN, knownName, nameKey } from './names.js';

const line = (text: string): Buffer => Buffer.from(`${text}\r\n`);
export const CRLF = line('');
export const CHUNKED_LINE = line('transfer-encoding: chunked');
export const LENGTH_PREFIX = Buffer.from('content-length: ');
export const LAST_CHUNK = Buffer.from('0\r\n\r\n');
const VERSION_END = Buffer.from(' HTTP/1.1\r\n');
const VERSION_START = Buffer.from('HTTP/1.1 ');
const HOST_PREFIX = Buffer.from('host: ');

// What a connection header may have to say; the sum is an index into `connectionLines`.
export const SAY_CLOSE = 1;
export const SAY_KEEP_ALIVE = 2;
export const SAY_UPGRADE = 4;
export const SAY_TE = 8;
const connectionLines: Buffer[] = [];
for (let said = 0; said < 16; said++) {
  const options: string[] = [];
  if (said & SAY_UPGRADE) options.push('Upgrade');
  if (said & SAY_TE) options.push('TE');
  if (said & SAY_KEEP_ALIVE) options.push('keep-alive');
  if (said & SAY_CLOSE) options.push('close');
  connectionLines.push(options.length === 0 ? Buffer.alloc(0) : line(`connection: ${options.join(', ')}`));
}

/** Most bytes that the lines which frame a message add to its head: content-length or transfer-encoding, connection, an empty host, CRLF. */
export const FRAME_ROOM = 192;

/** Reasons of the statuses that a proxy itself sends or a filter may set; others get an empty one, as RFC 9112 section 4 allows. */
const phrases: Readonly<Record<number, string>> = {
  100: 'Continue', 101: 'Switching Protocols', 103: 'Early Hints', 200: 'OK', 201: 'Created', 202: 'Accepted', 204: 'No Content',
  206: 'Partial Content', 301: 'Moved Permanently', 302: 'Found', 303: 'See Other', 304: 'Not Modified', 307: 'Temporary Redirect',
  308: 'Permanent Redirect', 400: 'Bad Request', 401: 'Unauthorized', 403: 'Forbidden', 404: 'Not Found', 405: 'Method Not Allowed',
  406: 'Not Acceptable', 408: 'Request Timeout', 409: 'Conflict', 410: 'Gone', 411: 'Length Required', 412: 'Precondition Failed',
  413: 'Content Too Large', 414: 'URI Too Long', 415: 'Unsupported Media Type', 417: 'Expectation Failed', 421: 'Misdirected Request',
  422: 'Unprocessable Content', 425: 'Too Early', 426: 'Upgrade Required', 428: 'Precondition Required', 429: 'Too Many Requests',
  431: 'Request Header Fields Too Large', 499: 'Client Closed Request', 500: 'Internal Server Error', 501: 'Not Implemented',
  502: 'Bad Gateway', 503: 'Service Unavailable', 504: 'Gateway Timeout', 505: 'HTTP Version Not Supported',
};

export function phraseOf(status: number): string {
  return phrases[status] ?? '';
}

/** Stores a text as UTF-8; the caller reserved 3 bytes a character. */
export function writeText(w: Writer, text: string): void {
  const dst = w.buf;
  let p = w.pos;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c > 127) {
      w.pos += (dst as Buffer).write(text, w.pos, 'utf8');
      return;
    }
    dst[p++] = c;
  }
  w.pos = p;
}

/** Upper bound of what `writeHead` writes, FRAME_ROOM not included. */
export function headSize(head: Http1Head): number {
  return head.headEnd + head.editSize + 64;
}

/** Writes start line and headers that are forwarded and those that were added, without changed framing headers and the blank line. */
export function writeHead(w: Writer, head: Http1Head): void {
  writeRuns(w, head, head.index[4 * head.count]);
  // Host may be missing in HTTP/1.0, not in what leaves; an empty value says that none is known (RFC 9112 section 3.2).
  if (head.rehost || (head.hostIndex < 0 && head.scanning === SCAN_REQUEST)) writeHost(w, head);
  if (head.addedCount > 0) writeAdded(w, head);
}

/** Writes start line and headers that are forwarded, in runs, the last of which goes on to the offset `end`. */
export function writeRuns(w: Writer, head: Http1Head, end: number): void {
  const buf = head.buf;
  const base = head.start;
  const index = head.index;
  const drops = head.drops;
  const trailers = head.scanning === SCAN_TRAILERS;
  let run = trailers ? index[0] : 0;
  if (head.rewrite) {
    writeStart(w, head);
    run = head.lineEnd;
  }
  const begin = w.pos;
  for (let d = 0; d < head.dropCount; d++) {
    const k = 4 * drops[d];
    const to = index[k];
    if (to > run) w.bytes(buf, base + run, base + to);
    run = index[k + 4];
  }
  if (end > run) w.bytes(buf, base + run, base + end);
  // Whatever minor version came, what leaves is HTTP/1.1 (RFC 9110 section 2.5).
  if (head.minorDigit !== 49 && !head.rewrite && !trailers) w.buf[begin + (head.scanning === SCAN_REQUEST ? head.lineEnd - 3 : 7)] = 49;
}

function writeStart(w: Writer, head: Http1Head): void {
  const buf = head.buf;
  const base = head.start;
  if (head.scanning !== SCAN_REQUEST) {
    w.bytes(VERSION_START, 0, VERSION_START.length);
    w.decimal(head.status);
    w.u8(32);
    if (head.newStatus !== null) w.latin1(phraseOf(head.status));
    w.bytes(CRLF, 0, 2);
    return;
  }
  if (head.newMethod !== null) w.latin1(head.newMethod);
  else w.bytes(buf, base, base + head.methodEnd);
  w.u8(32);
  if (head.form === AUTHORITY_FORM) writeAuthority(w, head);
  else if (head.newPath !== null) writeText(w, head.newPath);
  else w.bytes(buf, base + (head.form === ABSOLUTE ? head.pathStart : head.targetStart), base + head.targetEnd);
  w.bytes(VERSION_END, 0, VERSION_END.length);
}

function writeAuthority(w: Writer, head: Http1Head): void {
  if (head.newAuthority !== null) w.latin1(head.newAuthority);
  else if (head.form === ABSOLUTE || head.form === AUTHORITY_FORM) w.bytes(head.buf, head.start + head.authorityStart, head.start + head.authorityEnd);
}

function writeHost(w: Writer, head: Http1Head): void {
  w.bytes(HOST_PREFIX, 0, HOST_PREFIX.length);
  writeAuthority(w, head);
  w.bytes(CRLF, 0, 2);
}

function writeAdded(w: Writer, head: Http1Head): void {
  const names = head.addedNames!;
  const values = head.addedValues!;
  for (let k = 0; k < head.addedCount; k++) {
    w.latin1(names[k].lower);
    w.buf[w.pos++] = 58;
    w.buf[w.pos++] = 32;
    writeText(w, values[k]);
    w.buf[w.pos++] = 13;
    w.buf[w.pos++] = 10;
  }
}

export function writeLength(w: Writer, length: number): void {
  w.bytes(LENGTH_PREFIX, 0, LENGTH_PREFIX.length);
  w.decimal(length);
  w.buf[w.pos++] = 13;
  w.buf[w.pos++] = 10;
}

export function writeConnection(w: Writer, said: number): void {
  const text = connectionLines[said];
  w.bytes(text, 0, text.length);
}

/** Size of a chunk, at most 2^32 - 1, and its CRLF. */
export function writeChunkSize(w: Writer, size: number): void {
  let digits = 1;
  for (let x = size >>> 4; x !== 0; x >>>= 4) digits++;
  for (let shift = (digits - 1) * 4; shift >= 0; shift -= 4) {
    const v = (size >>> shift) & 15;
    w.buf[w.pos++] = v < 10 ? 48 + v : 87 + v;
  }
  w.buf[w.pos++] = 13;
  w.buf[w.pos++] = 10;
}

const METHOD_NAME = headerName(':method');
const PATH_NAME = headerName(':path');
const AUTHORITY_NAME = headerName(':authority');
const PROTOCOL_NAME = headerName(':protocol');

/** A value with what may not stand in a header line replaced by spaces: other protocols' values may hold anything. */
export function cleanValue(value: string): string {
  if (isValue(value)) return value;
  let clean = '';
  for (const c of value) clean += isValue(c) ? c : ' ';
  return clean;
}

/** A path in which every byte of its UTF-8 form that a target may not hold is percent-encoded. */
function percentEncoded(path: string): string {
  let text = '';
  for (const c of Buffer.from(path)) {
    text += c < 128 && TARGET[c] !== 0 ? String.fromCharCode(c) : `%${c.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return text;
}

/** Start line and headers of another protocol's head, without framing headers and without the blank line. Slow; for bridges. */
export function foreignHead(head: Head): Buffer {
  let text: string;
  if (head.kind === REQUEST) {
    const method = head.get(METHOD_NAME) ?? '';
    const path = head.get(PATH_NAME) ?? '';
    const authority = head.get(AUTHORITY_NAME) ?? '';
    const host = consistsOf(authority, AUTHORITY_BYTE) ? authority : '';
    if (method === 'CONNECT') {
      // A tunnel to an authority, or, with :protocol, the upgrade that asks for the same in HTTP/1.1 (RFC 8441 section 5).
      if (!head.find(PROTOCOL_NAME)) return Buffer.from(`CONNECT ${host} HTTP/1.1\r\nhost: ${host}\r\n${foreignFields(head)}`);
      const protocol = head.get(PROTOCOL_NAME)!;
      const key = randomBytes(16).toString('base64');
      const upgrade = consistsOf(protocol, TOKEN) ? protocol : 'websocket';
      return Buffer.from(`GET ${path[0] === '/' ? percentEncoded(path) : '/'} HTTP/1.1\r\nhost: ${host}\r\nupgrade: ${upgrade}\r\nsec-websocket-key: ${key}\r\n${foreignFields(head)}`);
    }
    const verb = consistsOf(method, TOKEN) ? method : 'POST';
    text = `${verb} ${path[0] === '/' ? percentEncoded(path) : '/'} HTTP/1.1\r\nhost: ${host}\r\n`;
  } else {
    const status = head.status >= 100 && head.status <= 999 ? head.status : 200;
    text = `HTTP/1.1 ${status} ${phraseOf(status)}\r\n`;
  }
  return Buffer.from(text + foreignFields(head));
}

/** The headers of another protocol's head (or of its trailers), as lines. */
export function foreignFields(head: Head): string {
  let text = '';
  head.each((name, value) => {
    if (!consistsOf(name, TOKEN)) return;
    const bytes = Buffer.from(name);
    const id = knownName(bytes, 0, bytes.length, nameKey(bytes, 0, bytes.length));
    // All that the codec must understand is about this connection, not about the message; Host is :authority.
    if (id !== UNKNOWN && (id !== HOST || head.kind === REQUEST)) return;
    text += `${name.toLowerCase()}: ${cleanValue(value)}\r\n`;
  });
  return text;
}

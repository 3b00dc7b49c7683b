// Header blocks out: an unchanged block as the encoder remembers it, a changed one field by field, another protocol's head from its parts.
import { BlockOutput, MAX_RESERVE, type Output, type Writer } from '../../../core/bytes.js';
import { REQUEST, headerName, type Head, type HeaderName } from '../../head.js';
import { CONTINUATION, FLAG_END_HEADERS, FRAME_HEAD, HEADERS, frameHead, putFrameHead } from './frame.js';
import { NAME, type Http2Head } from './head.js';
import type { HpackEncoder } from './hpack/encoder.js';
import { AS_REQUEST } from './meaning.js';

const name = (text: string): Buffer => Buffer.from(text);
const METHOD_FIELD = name(':method');
const PATH_FIELD = name(':path');
const AUTHORITY_FIELD = name(':authority');
const SCHEME_FIELD = name(':scheme');
export const STATUS_FIELD = name(':status');
const LENGTH_FIELD = name('content-length');
const METHOD_NAME = headerName(':method');
const PATH_NAME = headerName(':path');
const AUTHORITY_NAME = headerName(':authority');
const SCHEME_NAME = headerName(':scheme');

const TEXT = { http: name('http'), post: name('POST'), slash: name('/') };
const FIELD_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** Belong to a connection of HTTP/1, or are parts here. */
const NOT_FORWARDED = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade', 'host', 'te', 'http2-settings']);

/** Blocks that are put together before their frames can be written. */
const scratch = new BlockOutput(4096);
const SCRATCH_KEPT = 64 * 1024;

/** Bytes of a literal field whose name and value are latin1 strings. */
function literalBound(field: HeaderName, value: string): number {
  return field.name.length + 3 * value.length + 12;
}

/** A literal field that enters no table (RFC 7541 section 6.2.2): needs no state of the encoder. */
function literal(w: Writer, field: HeaderName, value: string): void {
  const bytes = field.name === field.lower ? field.bytes : headerName(field.lower).bytes;
  w.u8(0);
  stringLength(w, bytes.length);
  w.bytes(bytes, 0, bytes.length);
  const n = value.length;
  if (n < 127) {
    const at = w.pos;
    w.buf[w.pos++] = n;
    let ascii = true;
    for (let i = 0; i < n; i++) {
      const c = value.charCodeAt(i);
      if (c > 127) ascii = false;
      w.buf[w.pos++] = c;
    }
    if (ascii) return;
    w.pos = at;
  }
  const long = Buffer.from(value);
  stringLength(w, long.length);
  w.bytes(long, 0, long.length);
}

/** Length of a string that is not Huffman-coded: an integer with a 7-bit prefix. */
function stringLength(w: Writer, n: number): void {
  if (n < 127) {
    w.u8(n);
    return;
  }
  w.u8(127);
  let rest = n - 127;
  for (; rest >= 128; rest >>>= 7) w.u8((rest & 127) | 128);
  w.u8(rest);
}

/** Writes HEADERS, and CONTINUATION where one frame does not hold them. */
export function writeHeaders(out: Output, encoder: HpackEncoder, head: Head, stream: number, flags: number, maxFrame: number): void {
  if (head.protocol === NAME && !(head as Http2Head).rewritten) {
    const own = head as Http2Head;
    let bound = encoder.bound(own.block);
    for (let k = 0; k < own.addedCount; k++) bound += literalBound(own.addedNames![k]!, own.addedValues![k]!);
    if (bound <= maxFrame && bound + FRAME_HEAD <= MAX_RESERVE) {
      const w = out.out(FRAME_HEAD + bound);
      const at = w.pos;
      w.pos = at + FRAME_HEAD;
      encoder.encode(w, own.block);
      for (let k = 0; k < own.addedCount; k++) literal(w, own.addedNames![k]!, own.addedValues![k]!);
      putFrameHead(w.buf, at, w.pos - at - FRAME_HEAD, HEADERS, flags | FLAG_END_HEADERS, stream);
      return;
    }
  }
  const fields = new Fields(encoder);
  if (head.protocol === NAME) fields.own(head as Http2Head);
  else fields.foreign(head);
  fields.write(out, stream, flags, maxFrame);
}

/** A block made of single fields. */
export class Fields {
  private readonly encoder: HpackEncoder;
  private readonly w: Writer;

  constructor(encoder: HpackEncoder) {
    this.encoder = encoder;
    scratch.writer.pos = 0;
    this.w = scratch.out(64);
    encoder.begin(this.w);
  }

  bytes(field: Uint8Array, from: number, to: number, buf: Uint8Array, start: number, end: number, never = false): void {
    scratch.out(this.encoder.fieldBound(to - from, end - start));
    this.encoder.field(this.w, field, from, to, buf, start, end, never);
  }

  /** Values of other protocols may hold anything; what may not stand in a field becomes a space. */
  text(field: string, value: string): void {
    if (!FIELD_NAME.test(field)) return;
    const key = Buffer.from(field.toLowerCase());
    const bytes = Buffer.from(value.replace(/[\0\r\n]/g, ' ').trim());
    this.bytes(key, 0, key.length, bytes, 0, bytes.length);
  }

  /** A pseudo-header, whose value was checked where it was set. */
  pseudo(field: Uint8Array, value: string): void {
    const bytes = Buffer.from(value);
    this.bytes(field, 0, field.length, bytes, 0, bytes.length);
  }

  own(head: Http2Head): void {
    const { block, meaning, dropped } = head;
    const { bytes, at, count, never } = block;
    const request = meaning.purpose === AS_REQUEST;
    for (let i = 0; i < meaning.regular; i++) {
      const value = i === meaning.method ? head.newMethod : i === meaning.path ? head.newPath : i === meaning.authority ? head.newAuthority : i === meaning.scheme ? head.newScheme : i === meaning.status ? head.newStatus : null;
      if (value !== null) this.pseudo(Buffer.from(block.name(i)), value);
      else this.bytes(bytes, at[2 * i]!, at[2 * i + 1]!, bytes, at[2 * i + 1]!, at[2 * i + 2]!);
    }
    if (request && meaning.authority < 0 && head.newAuthority !== null) this.pseudo(AUTHORITY_FIELD, head.newAuthority);
    for (let i = meaning.regular; i < count; i++) {
      if (dropped !== null && dropped[i] === 1) continue;
      if (request && i === meaning.host && head.newAuthority !== null) continue;
      if (head.newLength && block.nameIs(i, LENGTH_FIELD)) continue;
      this.bytes(bytes, at[2 * i]!, at[2 * i + 1]!, bytes, at[2 * i + 1]!, at[2 * i + 2]!, never !== null && never[i] === true);
    }
    if (head.newLength && head.length >= 0) this.text('content-length', String(head.length));
    for (let k = 0; k < head.addedCount; k++) this.text(head.addedNames![k]!.lower, head.addedValues![k]!);
  }

  /** The head (or, with `trailers`, the trailers) of another protocol. */
  foreign(head: Head, trailers = false): void {
    const switched = head.kind !== REQUEST && head.status === 101;
    if (!trailers && head.kind === REQUEST && head.get(METHOD_NAME) === 'CONNECT') {
      // A tunnel has neither scheme nor path (RFC 9113 section 8.5).
      this.part(head, METHOD_NAME, METHOD_FIELD, TEXT.post);
      this.part(head, AUTHORITY_NAME, AUTHORITY_FIELD, TEXT.slash);
    } else if (!trailers && head.kind === REQUEST) {
      this.part(head, METHOD_NAME, METHOD_FIELD, TEXT.post);
      this.part(head, SCHEME_NAME, SCHEME_FIELD, TEXT.http);
      this.part(head, PATH_NAME, PATH_FIELD, TEXT.slash);
      if (head.find(AUTHORITY_NAME)) this.bytes(AUTHORITY_FIELD, 0, AUTHORITY_FIELD.length, head.vbuf, head.vstart, head.vend);
    } else if (!trailers) {
      // What is a switch of protocols in HTTP/1.1 is the tunnel that an extended CONNECT asked for (RFC 8441 section 5).
      const status = Buffer.from(String(switched ? 200 : head.status >= 100 && head.status <= 999 ? head.status : 502));
      this.bytes(STATUS_FIELD, 0, STATUS_FIELD.length, status, 0, status.length);
    }
    let length = -1;
    head.each((field, value) => {
      const lower = field.toLowerCase();
      if (lower === 'content-length') length = 0;
      else if (!NOT_FORWARDED.has(lower) && !(switched && lower === 'sec-websocket-accept')) this.text(lower, value);
    });
    if (trailers) return;
    if (head.whole) length = head.bodyEnd - head.bodyStart;
    else length = head.length;
    if (length > 0 || (length === 0 && head.kind !== REQUEST && head.status >= 200 && head.status !== 204 && head.status !== 304)) this.text('content-length', String(length));
  }

  private part(head: Head, part: HeaderName, field: Buffer, otherwise: Buffer): void {
    if (head.find(part) && head.vend > head.vstart) this.bytes(field, 0, field.length, head.vbuf, head.vstart, head.vend);
    else this.bytes(field, 0, field.length, otherwise, 0, otherwise.length);
  }

  write(out: Output, stream: number, flags: number, maxFrame: number): void {
    const block = this.w.buf;
    const end = this.w.pos;
    let p = 0;
    do {
      const n = Math.min(maxFrame, end - p);
      const last = p + n === end;
      const w = out.out(FRAME_HEAD);
      frameHead(w, n, p === 0 ? HEADERS : CONTINUATION, (p === 0 ? flags : 0) | (last ? FLAG_END_HEADERS : 0), stream);
      out.write(block, p, p + n);
      p += n;
    } while (p < end);
    if (block.length > SCRATCH_KEPT) this.w.buf = Buffer.allocUnsafe(4096);
    this.w.pos = 0;
  }
}

// Reads a ClientHello (RFC 8446 section 4.1.2) out of the first TLS records, far enough for its server name and its protocols.
//
// record:    type (22) | version (03 xx) | length u16, at most 2^14 | fragment; a hello may be split over several records
// handshake: type (1) | length u24 | version u16 | random 32 | session id u8+n | ciphers u16+n | compressions u8+n | extensions u16+n
// extension: type u16 | length u16 | data
//            0  server_name: list u16 | entry type (0) | name u16+n
//            16 ALPN: list u16 | name u8+n ...

export const HELLO_MORE = 0;
export const HELLO_DONE = 1;
export const HELLO_NOT_TLS = 2;
export const HELLO_BAD = 3;
export type HelloResult = typeof HELLO_MORE | typeof HELLO_DONE | typeof HELLO_NOT_TLS | typeof HELLO_BAD;

const RECORD_HEAD = 5;
const MAX_RECORD = 16_384;
/** A hello with post-quantum key shares and a large session ticket is some KiB; beyond this nobody means well. */
const MAX_HELLO = 32_768;
const SERVER_NAME = 0;
const ALPN = 16;

export class ClientHello {
  /** Lower case; '' where none was sent. */
  serverName = '';
  alpn: string[] = [];
  /** What is wrong, after HELLO_BAD. */
  fault = '';

  /** Looks at buf[start, end), the first bytes of a connection. */
  read(buf: Uint8Array, start: number, end: number): HelloResult {
    this.serverName = '';
    this.alpn = [];
    this.fault = '';
    if (start === end) return HELLO_MORE;
    if (buf[start] !== 22) return HELLO_NOT_TLS;
    if (end - start >= 2 && buf[start + 1] !== 3) return HELLO_NOT_TLS;
    const body = this.gather(buf, start, end);
    return body === null ? (this.fault === '' ? HELLO_MORE : HELLO_BAD) : this.parse(body);
  }

  private bad(fault: string): null {
    this.fault = fault;
    return null;
  }

  /** The hello's body, taken out of its records; null while it is incomplete or when it is malformed. */
  private gather(buf: Uint8Array, start: number, end: number): Buffer | null {
    const parts: Uint8Array[] = [];
    let have = 0;
    let need = 4;
    for (let at = start; ; ) {
      if (end - at < RECORD_HEAD) return null;
      if (buf[at] !== 22 || buf[at + 1] !== 3) return this.bad('another record within it');
      const length = (buf[at + 3]! << 8) | buf[at + 4]!;
      if (length === 0 || length > MAX_RECORD) return this.bad(`a record of ${length} bytes`);
      const from = at + RECORD_HEAD;
      const part = buf.subarray(from, Math.min(from + length, end));
      parts.push(part);
      have += part.length;
      if (have >= 4 && need === 4) {
        const head = parts.length === 1 ? parts[0]! : Buffer.concat(parts);
        if (head[0] !== 1) return this.bad('the first message is another');
        need = 4 + ((head[1]! << 16) | (head[2]! << 8) | head[3]!);
        if (need === 4) return this.bad('it is empty');
        if (need > MAX_HELLO) return this.bad(`it is longer than ${MAX_HELLO} bytes`);
      }
      if (have >= need && need > 4) return Buffer.concat(parts).subarray(4, need);
      at = from + length;
      if (at >= end) return null;
    }
  }

  private parse(b: Buffer): HelloResult {
    let at = 2 + 32;
    at = skip(b, at, 1);
    at = skip(b, at, 2);
    at = skip(b, at, 1);
    if (at > b.length) return this.cut();
    if (at === b.length) return HELLO_DONE;
    if (at + 2 > b.length || at + 2 + b.readUInt16BE(at) !== b.length) return this.cut();
    at += 2;
    while (at < b.length) {
      if (at + 4 > b.length) return this.cut();
      const type = b.readUInt16BE(at);
      const stop = at + 4 + b.readUInt16BE(at + 2);
      if (stop > b.length) return this.cut();
      if (type === SERVER_NAME && !this.readName(b, at + 4, stop)) return this.cut();
      if (type === ALPN && !this.readProtocols(b, at + 4, stop)) return this.cut();
      at = stop;
    }
    return HELLO_DONE;
  }

  private cut(): HelloResult {
    this.fault = 'its parts do not fit its length';
    return HELLO_BAD;
  }

  private readName(b: Buffer, at: number, stop: number): boolean {
    if (at + 5 > stop || b[at + 2] !== 0) return at + 2 <= stop;
    const n = b.readUInt16BE(at + 3);
    if (at + 5 + n > stop) return false;
    this.serverName = b.latin1Slice(at + 5, at + 5 + n).toLowerCase();
    return true;
  }

  private readProtocols(b: Buffer, at: number, stop: number): boolean {
    if (at + 2 > stop || at + 2 + b.readUInt16BE(at) !== stop) return false;
    for (at += 2; at < stop; ) {
      const n = b[at]!;
      if (n === 0 || at + 1 + n > stop) return false;
      this.alpn.push(b.latin1Slice(at + 1, at + 1 + n));
      at += 1 + n;
    }
    return true;
  }
}

/** Past a field with its length in `size` bytes; beyond the end where it does not fit. */
function skip(b: Buffer, at: number, size: 1 | 2): number {
  if (at + size > b.length) return b.length + 1;
  return at + size + (size === 1 ? b[at]! : b.readUInt16BE(at));
}

// The head of one HTTP/2 message: an immutable, shared block of fields, and the few edits that filters made on top of it.
import { AUTHORITY, GROUP, Head, METHOD, PATH, PLAIN, PROTOCOL, REPLY, REQUEST, RPC_METHOD, SCHEME, SERVICE, STATUS, VERSION, headerName, type HeaderName } from '../../head.js';
import { httpOfGrpc } from './grpc.js';
import { FieldBlockBuilder, type FieldBlock } from './hpack/field-block.js';
import { AS_REPLY, AS_REQUEST, AS_TRAILERS, Meaning } from './meaning.js';

export const NAME = 'http2';

const EMPTY = Buffer.alloc(0);
export const EMPTY_BLOCK: FieldBlock = new FieldBlockBuilder().build();
const NO_MEANING = new Meaning(EMPTY_BLOCK, AS_TRAILERS);
const SLASH = Buffer.from('/');

/** Where gRPC and Triple keep what other RPC protocols have in fields of their own. */
const TRI_VERSION = headerName('tri-service-version');
const TRI_GROUP = headerName('tri-service-group');
const ABOUT_CONNECTION = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade']);

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const VALUE = /^[\t\x20-\x7e\x80-\uffff]*$/;

/** Names seen to be headers like others, each in the slot of its hash: the same few are set on every message. */
const ordinary: (HeaderName | null)[] = Array.from({ length: 64 }, () => null);

/**
 * Values that edits made are latin1 or UTF-8 text; what came stays bytes. Host and :authority are one thing in a request. Edits of
 * headers that belong to an HTTP/1 connection are ignored; content-length is `length`.
 */
export class Http2Head extends Head {
  block: FieldBlock = EMPTY_BLOCK;
  meaning: Meaning = NO_MEANING;
  newMethod: string | null = null;
  newPath: string | null = null;
  newAuthority: string | null = null;
  newScheme: string | null = null;
  newStatus: string | null = null;
  /** True when fields of the block must not be written as they are: parts or fields were replaced, or taken out. */
  rewritten = false;
  /** Per field of the block: 1 when it was taken out. Null while none was. */
  dropped: Uint8Array | null = null;
  addedCount = 0;
  addedNames: HeaderName[] | null = null;
  addedValues: string[] | null = null;
  /** The content-length that came does not hold any more; `length` does. */
  newLength = false;

  constructor() {
    super(NAME, EMPTY);
  }

  /** Makes the head show a block that came. */
  show(meaning: Meaning, id: number, size: number): void {
    if (this.edited || this.refused !== null) this.clearEdits();
    this.meaning = meaning;
    this.block = meaning.block;
    this.id = id;
    this.kind = meaning.purpose === AS_REQUEST ? REQUEST : REPLY;
    this.buf = this.bodyBuf = EMPTY;
    // Only the difference is read: bytes of the message so far.
    this.start = 0;
    this.end = size;
    this.whole = false;
    this.bodyStart = this.bodyEnd = 0;
    this.length = meaning.length;
    this.timeout = meaning.timeout;
    this.wholeTimeout = meaning.grpc;
    this.interim = meaning.purpose === AS_REPLY && meaning.statusCode < 200;
    // Trailers have a status where they are those of a gRPC call.
    this.status = meaning.purpose === AS_REPLY ? meaning.likeStatus : meaning.purpose === AS_TRAILERS && meaning.grpcStatus >= 0 ? httpOfGrpc(meaning.grpcStatus) : 0;
    this.rpcStatus = meaning.grpcStatus;
    this.rawStatus = meaning.grpcStatus >= 0 ? meaning.grpcStatus : meaning.statusCode;
  }

  private clearEdits(): void {
    this.edited = false;
    this.refused = null;
    this.newMethod = this.newPath = this.newAuthority = this.newScheme = this.newStatus = null;
    this.rewritten = false;
    this.dropped = null;
    this.addedCount = 0;
    this.newLength = false;
  }

  override setBody(body: Uint8Array): void {
    super.setBody(body);
    if (this.meaning.length >= 0 && this.meaning.length !== body.length) this.newLength = this.rewritten = true;
  }

  private range(i: number): boolean {
    const { bytes, at } = this.block;
    this.vbuf = bytes;
    this.vstart = at[2 * i + 1]!;
    this.vend = at[2 * i + 2]!;
    return true;
  }

  private text(value: string): boolean {
    const bytes = Buffer.from(value);
    this.vbuf = bytes;
    this.vstart = 0;
    this.vend = bytes.length;
    return true;
  }

  find(name: HeaderName): boolean {
    if (name.part !== PLAIN) return this.findPart(name.part);
    if (name.lower === 'host' && this.meaning.purpose === AS_REQUEST) return this.findPart(AUTHORITY);
    const { hashes, count } = this.block;
    const bytes = name.name === name.lower ? name.bytes : headerName(name.lower).bytes;
    const dropped = this.dropped;
    for (let i = this.meaning.regular; i < count; i++) {
      if (hashes[i] === name.hash && this.block.nameIs(i, bytes) && (dropped === null || dropped[i] === 0)) return this.range(i);
    }
    for (let k = 0; k < this.addedCount; k++) if (this.addedNames![k]!.lower === name.lower) return this.text(this.addedValues![k]!);
    return false;
  }

  private findPart(part: number): boolean {
    const m = this.meaning;
    if (m.purpose === AS_REPLY) {
      if (part !== STATUS) return false;
      return this.newStatus === null ? this.range(m.status) : this.text(this.newStatus);
    }
    if (m.purpose !== AS_REQUEST) return false;
    switch (part) {
      case METHOD:
        return this.newMethod === null ? this.range(m.method) : this.text(this.newMethod);
      case PATH:
        if (this.newPath !== null) return this.text(this.newPath);
        if (m.path >= 0) return this.range(m.path);
        this.vbuf = SLASH;
        this.vstart = 0;
        this.vend = 1;
        return true;
      case AUTHORITY:
        if (this.newAuthority !== null) return this.text(this.newAuthority);
        return m.authority >= 0 ? this.range(m.authority) : m.host >= 0 && this.range(m.host);
      case SCHEME:
        if (this.newScheme !== null) return this.text(this.newScheme);
        return m.scheme >= 0 && this.range(m.scheme);
      case PROTOCOL:
        return m.protocol >= 0 && this.range(m.protocol);
      case SERVICE:
      case RPC_METHOD:
        return m.grpc && this.findRpc(part);
      case VERSION:
        return m.grpc && this.find(TRI_VERSION);
      case GROUP:
        return m.grpc && this.find(TRI_GROUP);
      default:
        return false;
    }
  }

  /** "/" service "/" method, the path of a gRPC call. */
  private findRpc(part: number): boolean {
    if (!this.findPart(PATH)) return false;
    const { vbuf, vstart, vend } = this;
    let slash = vend - 1;
    while (slash > vstart && vbuf[slash] !== 47) slash--;
    if (vbuf[vstart] !== 47 || slash === vstart) return false;
    if (part === SERVICE) {
      this.vstart = vstart + 1;
      this.vend = slash;
    } else {
      this.vstart = slash + 1;
    }
    return true;
  }

  set(name: HeaderName, value: string): void {
    if (!this.settable(name, value)) return;
    if (name.part !== PLAIN) {
      this.setPart(name, value);
      return;
    }
    this.takeOut(name);
    this.append(name, value);
  }

  add(name: HeaderName, value: string): void {
    if (!this.settable(name, value)) return;
    if (name.part !== PLAIN) this.setPart(name, value);
    else this.append(name, value);
  }

  remove(name: HeaderName): void {
    if (name.part !== PLAIN) throw new TypeError(`${name.name} is a part of every message and cannot be removed`);
    if (name.lower === 'content-length') {
      this.length = -1;
      this.changeLength();
      return;
    }
    if (name.lower !== 'host' || this.meaning.purpose !== AS_REQUEST) this.takeOut(name);
  }

  /** Whether there is a header to set; what stands for a part or for framing is done here. */
  private settable(name: HeaderName, value: string): boolean {
    const slot = name.hash & 63;
    if (ordinary[slot] === name && VALUE.test(value)) return true;
    if (!VALUE.test(value)) {
      if (/[\r\n\0]/.test(value)) throw new TypeError(`a line end or NUL in the value of ${name.name}: ${JSON.stringify(value)}`);
      this.refused = this.meaning.purpose === AS_REQUEST ? 'bad-request' : 'internal';
      return false;
    }
    if (name.part !== PLAIN) return true;
    if (!TOKEN.test(name.name)) throw new TypeError(`not a header name: ${JSON.stringify(name.name)}`);
    if (ABOUT_CONNECTION.has(name.lower)) return false;
    if (name.lower === 'content-length') {
      if (/^\d{1,15}$/.test(value)) {
        this.length = Number(value);
        this.changeLength();
      } else {
        this.refused = this.meaning.purpose === AS_REQUEST ? 'bad-request' : 'internal';
      }
      return false;
    }
    if (name.lower === 'host' && this.meaning.purpose === AS_REQUEST) {
      this.setAuthority(value);
      return false;
    }
    if (name.lower !== 'host') ordinary[slot] = name;
    return true;
  }

  private changeLength(): void {
    this.edited = true;
    this.newLength = this.rewritten = true;
  }

  private takeOut(name: HeaderName): void {
    this.edited = true;
    const { hashes, count } = this.block;
    const bytes = headerName(name.lower).bytes;
    for (let i = this.meaning.regular; i < count; i++) {
      if (hashes[i] !== name.hash || !this.block.nameIs(i, bytes)) continue;
      this.dropped ??= new Uint8Array(count);
      this.dropped[i] = 1;
      this.rewritten = true;
    }
    let left = 0;
    for (let k = 0; k < this.addedCount; k++) {
      if (this.addedNames![k]!.lower === name.lower) continue;
      this.addedNames![left] = this.addedNames![k]!;
      this.addedValues![left++] = this.addedValues![k]!;
    }
    this.addedCount = left;
  }

  private append(name: HeaderName, value: string): void {
    this.edited = true;
    if (this.addedNames === null) {
      this.addedNames = [];
      this.addedValues = [];
    }
    const k = this.addedCount++;
    this.addedNames[k] = name;
    this.addedValues![k] = value;
  }

  private setAuthority(value: string): void {
    this.newAuthority = value;
    this.edited = this.rewritten = true;
  }

  private setPart(name: HeaderName, value: string): void {
    const { part } = name;
    if (this.meaning.purpose === AS_REPLY && part === STATUS) {
      if (!/^[1-9]\d\d$/.test(value) || value === '101') {
        this.refused = 'internal';
        return;
      }
      this.newStatus = value;
      this.status = Number(value);
    } else if (this.meaning.purpose === AS_REQUEST && part === AUTHORITY) {
      this.setAuthority(value);
    } else if (this.meaning.purpose === AS_REQUEST && part === METHOD) {
      if (!TOKEN.test(value) || (value === 'CONNECT') !== this.meaning.connect) {
        this.refused = 'bad-request';
        return;
      }
      this.newMethod = value;
    } else if (this.meaning.purpose === AS_REQUEST && part === PATH) {
      if (this.meaning.path < 0) return;
      if (!/^[/*][\x21-\x7e\x80-\uffff]*$/.test(value)) {
        this.refused = 'bad-request';
        return;
      }
      this.newPath = value;
    } else if (this.meaning.purpose === AS_REQUEST && part === SCHEME) {
      this.newScheme = value;
    } else if (this.meaning.grpc && (part === SERVICE || part === RPC_METHOD)) {
      this.setRpc(part, value);
    } else if (this.meaning.grpc && (part === VERSION || part === GROUP)) {
      this.set(part === VERSION ? TRI_VERSION : TRI_GROUP, value);
      return;
    } else {
      throw new TypeError(`an http2 ${this.kind === REQUEST ? 'request' : 'reply'} has no ${name.name} to set`);
    }
    this.edited = this.rewritten = true;
  }

  private setRpc(part: number, value: string): void {
    const service = this.findRpc(SERVICE) ? this.vbuf.subarray(this.vstart, this.vend).toString() : '';
    const method = this.findRpc(RPC_METHOD) ? this.vbuf.subarray(this.vstart, this.vend).toString() : '';
    const path = part === SERVICE ? `/${value}/${method}` : `/${service}/${value}`;
    if (/^[\x21-\x7e\x80-\uffff]*$/.test(path)) this.newPath = path;
    else this.refused = 'bad-request';
  }

  /** Parts and Host (it is :authority) are left out. */
  each(visit: (name: string, value: string) => void): void {
    const { block, dropped, meaning } = this;
    const request = meaning.purpose === AS_REQUEST;
    for (let i = meaning.regular; i < block.count; i++) {
      if ((dropped !== null && dropped[i] === 1) || (request && i === meaning.host)) continue;
      const name = block.name(i);
      if (name === 'content-length' && this.newLength) {
        if (this.length >= 0) visit(name, String(this.length));
      } else {
        visit(name, block.value(i));
      }
    }
    for (let k = 0; k < this.addedCount; k++) visit(this.addedNames![k]!.lower, this.addedValues![k]!);
  }

  keep(): Http2Head {
    const kept = new Http2Head();
    kept.kind = this.kind;
    kept.id = this.id;
    kept.end = this.end;
    kept.block = this.block;
    kept.meaning = this.meaning;
    kept.length = this.length;
    kept.timeout = this.timeout;
    kept.wholeTimeout = this.wholeTimeout;
    kept.status = this.status;
    kept.rawStatus = this.rawStatus;
    kept.rpcStatus = this.rpcStatus;
    kept.interim = this.interim;
    kept.refused = this.refused;
    if (this.whole) {
      kept.whole = true;
      kept.bodyBuf = Buffer.from(this.bodyBuf.subarray(this.bodyStart, this.bodyEnd));
      kept.bodyEnd = kept.bodyBuf.length;
    }
    if (this.edited) {
      kept.edited = true;
      kept.newMethod = this.newMethod;
      kept.newPath = this.newPath;
      kept.newAuthority = this.newAuthority;
      kept.newScheme = this.newScheme;
      kept.newStatus = this.newStatus;
      kept.rewritten = this.rewritten;
      kept.newLength = this.newLength;
      kept.dropped = this.dropped;
      if (this.addedCount > 0) {
        kept.addedCount = this.addedCount;
        kept.addedNames = this.addedNames!.slice(0, this.addedCount);
        kept.addedValues = this.addedValues!.slice(0, this.addedCount);
      }
    }
    return kept;
  }
}

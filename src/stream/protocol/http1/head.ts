// The head of one HTTP/1 message: an index of offsets over the borrowed bytes, and the few edits that filters made.
import type { ReasonCode, ReasonContext } from '../../../core/reason.js';
import { AUTHORITY, Head, METHOD, PATH, PLAIN, REPLY, REQUEST, SCHEME, STATUS, type HeaderName } from '../../head.js';
import { AUTHORITY_BYTE, TARGET, TOKEN, consistsOf, isValue } from './chars.js';
import { CONNECTION, CONTENT_LENGTH, KEEP_ALIVE, PROXY_CONNECTION, TRANSFER_ENCODING, UNKNOWN, UPGRADE, knownName, nameKey, sameName } from './names.js';

export const NAME = 'http1';

/** What the bytes are scanned as. */
export const SCAN_REQUEST = 0;
export const SCAN_REPLY = 1;
export const SCAN_TRAILERS = 2;

/** Forms of a request target (RFC 9112 section 3.2). */
export const ORIGIN = 0;
export const ABSOLUTE = 1;
export const AUTHORITY_FORM = 2;
export const ASTERISK = 3;

/** Methods that change how messages are framed. */
export const OTHER_METHOD = 0;
export const HEAD_METHOD = 1;
export const CONNECT_METHOD = 2;

const EMPTY = Buffer.alloc(0);
const SLASH = Buffer.from('/');
const HOST_KEY = nameKey(Buffer.from('host'), 0, 4);

/** Names seen to be tokens that the codec need not understand, each in the slot of its hash: the same few are set on every message. */
const ordinary: (HeaderName | null)[] = Array.from({ length: 64 }, () => null);

function isOrdinary(name: HeaderName): boolean {
  const slot = name.hash & 63;
  if (ordinary[slot] === name) return true;
  const bytes = name.bytes;
  if (name.part !== PLAIN || !consistsOf(name.name, TOKEN) || knownName(bytes, 0, bytes.length, nameKey(bytes, 0, bytes.length)) !== UNKNOWN) return false;
  ordinary[slot] = name;
  return true;
}

function methodOf(text: string): number {
  return text === 'HEAD' ? HEAD_METHOD : text === 'CONNECT' ? CONNECT_METHOD : OTHER_METHOD;
}

/**
 * All offsets are relative to `start`, so that the bytes may move between two calls while a head is incomplete.
 * `index` holds four per header: name start, name end (the colon), value start, value end (without blanks around);
 * `index[4 * count]` is where the header section's closing CRLF begins. So header k lies, with its CRLF, in
 * [index[4k], index[4k + 4]), and headers that are not forwarded cut the head into runs that are copied whole.
 *
 * Framing belongs to the codec: setting or removing content-length changes `length`; edits of transfer-encoding, connection,
 * keep-alive and proxy-connection are ignored. Host and :authority are the same thing in a request.
 */
export class Http1Head extends Head {
  scanning = SCAN_REQUEST;
  index: Int32Array;
  /** Key of each header's name; 0 when an edit took it out. */
  keys: Int32Array;
  count = 0;
  /** Indices, ascending, of headers that are not forwarded: hop-by-hop ones, and those edits replaced. */
  drops: Int32Array;
  dropCount = 0;
  /** Offset behind the start line's CRLF, and behind the blank line. */
  lineEnd = 0;
  headEnd = 0;
  /** Minor HTTP version; 1 for every later one. `minorDigit` is the digit as it came. */
  minor = 1;
  minorDigit = 49;
  methodEnd = 0;
  targetStart = 0;
  targetEnd = 0;
  form = ORIGIN;
  method = OTHER_METHOD;
  /** Authority and path within an absolute-form target; authority of an authority-form one. */
  authorityStart = 0;
  authorityEnd = 0;
  pathStart = 0;

  // What the known headers say.
  hostIndex = -1;
  lengthIndex = -1;
  /** Value of the content-length header that came and still stands; -1 without one. `length` is what holds, this is what is written. */
  sentLength = -1;
  chunked = false;
  close = false;
  keepAlive = false;
  /** The connection header names upgrade; after the head is complete: this really is an upgrade, and its header is forwarded. */
  upgrade = false;
  upgradeIndex = -1;
  upgrades = 0;
  teIndex = -1;
  expectIndex = -1;
  /** The connection header names headers to remove. */
  nominates = false;

  // Scanning: where it stands when bytes run out.
  phase = 0;
  at = 0;
  failCode: ReasonCode = 'bad-request';
  failContext: ReasonContext = {};

  // Edits; null and false until a filter makes one.
  /** The start line cannot be forwarded as it came. */
  rewrite = false;
  /** Host must be written anew from the authority; the header that came is dropped. */
  rehost = false;
  newMethod: string | null = null;
  newPath: string | null = null;
  newAuthority: string | null = null;
  newScheme: string | null = null;
  newStatus: string | null = null;
  /** Added headers: the first `addedCount` of two lists, which are made at the first one and then kept for further messages. */
  addedCount = 0;
  addedNames: HeaderName[] | null = null;
  addedValues: string[] | null = null;
  /** Upper bound of the bytes that edits add. */
  editSize = 0;

  constructor(capacity = 32) {
    super(NAME, EMPTY);
    this.index = new Int32Array(4 * capacity + 4);
    this.keys = new Int32Array(capacity);
    this.drops = new Int32Array(capacity);
  }

  /** Makes the head ready to scan another message. */
  begin(scanning: number): void {
    this.scanning = scanning;
    this.kind = scanning === SCAN_REQUEST ? REQUEST : REPLY;
    this.start = this.end = 0;
    this.whole = false;
    this.bodyBuf = EMPTY;
    this.bodyStart = this.bodyEnd = 0;
    this.length = -1;
    this.refused = null;
    this.status = this.rawStatus = 0;
    this.interim = false;
    this.edited = false;
    this.count = 0;
    this.dropCount = 0;
    this.form = ORIGIN;
    this.method = OTHER_METHOD;
    this.hostIndex = -1;
    this.lengthIndex = -1;
    this.sentLength = -1;
    this.chunked = this.close = this.keepAlive = this.upgrade = this.nominates = false;
    this.upgradeIndex = this.teIndex = this.expectIndex = -1;
    this.upgrades = 0;
    this.phase = 0;
    this.at = 0;
    this.rewrite = this.rehost = false;
    this.newMethod = this.newPath = this.newAuthority = this.newScheme = this.newStatus = null;
    this.addedCount = 0;
    this.editSize = 0;
  }

  /** Doubles the room for headers. */
  grow(): void {
    const index = new Int32Array(this.index.length * 2);
    index.set(this.index);
    this.index = index;
    const keys = new Int32Array(this.keys.length * 2);
    keys.set(this.keys);
    this.keys = keys;
    const drops = new Int32Array(this.drops.length * 2);
    drops.set(this.drops);
    this.drops = drops;
  }

  /** Leaves header k out of what is forwarded. */
  drop(k: number): void {
    const drops = this.drops;
    let i = this.dropCount;
    while (i > 0 && drops[i - 1] > k) i--;
    if (i > 0 && drops[i - 1] === k) return;
    for (let j = this.dropCount; j > i; j--) drops[j] = drops[j - 1];
    drops[i] = k;
    this.dropCount++;
  }

  /** Drops the content-length that came, because another framing is written. */
  dropLength(): void {
    if (this.lengthIndex < 0) return;
    this.drop(this.lengthIndex);
    this.lengthIndex = -1;
    this.sentLength = -1;
  }

  private range(from: number, to: number): boolean {
    this.vbuf = this.buf;
    this.vstart = this.start + from;
    this.vend = this.start + to;
    return true;
  }

  private text(value: string): boolean {
    const bytes = Buffer.from(value);
    this.vbuf = bytes;
    this.vstart = 0;
    this.vend = bytes.length;
    return true;
  }

  private isHost(name: HeaderName): boolean {
    return this.scanning === SCAN_REQUEST && name.lower === 'host';
  }

  find(name: HeaderName): boolean {
    if (name.part !== PLAIN) return this.findPart(name.part);
    const bytes = name.bytes;
    const key = nameKey(bytes, 0, bytes.length);
    if (key === HOST_KEY && this.isHost(name)) return this.findPart(AUTHORITY);
    const keys = this.keys;
    const index = this.index;
    const start = this.start;
    for (let k = 0; k < this.count; k++) {
      if (keys[k] === key && sameName(this.buf, start + index[4 * k], start + index[4 * k + 1], bytes)) {
        return this.range(index[4 * k + 2], index[4 * k + 3]);
      }
    }
    for (let k = 0; k < this.addedCount; k++) {
      if (this.addedNames![k].lower === name.lower) return this.text(this.addedValues![k]);
    }
    return false;
  }

  private findPart(part: number): boolean {
    if (this.scanning === SCAN_REPLY) {
      if (part !== STATUS) return false;
      return this.newStatus === null ? this.range(9, 12) : this.text(this.newStatus);
    }
    if (this.scanning !== SCAN_REQUEST) return false;
    switch (part) {
      case METHOD:
        return this.newMethod === null ? this.range(0, this.methodEnd) : this.text(this.newMethod);
      case PATH:
        if (this.newPath !== null) return this.text(this.newPath);
        if (this.form === AUTHORITY_FORM) {
          this.vbuf = SLASH;
          this.vstart = 0;
          this.vend = 1;
          return true;
        }
        return this.range(this.form === ABSOLUTE ? this.pathStart : this.targetStart, this.targetEnd);
      case AUTHORITY:
        if (this.newAuthority !== null) return this.text(this.newAuthority);
        if (this.form === ABSOLUTE || this.form === AUTHORITY_FORM) return this.range(this.authorityStart, this.authorityEnd);
        if (this.hostIndex < 0) return false;
        return this.range(this.index[4 * this.hostIndex + 2], this.index[4 * this.hostIndex + 3]);
      case SCHEME:
        // Only an absolute-form target names one; else the connection knows (TLS or not).
        if (this.newScheme !== null) return this.text(this.newScheme);
        return this.form === ABSOLUTE && this.range(this.targetStart, this.authorityStart - 3);
      default:
        return false;
    }
  }

  set(name: HeaderName, value: string): void {
    if (!isOrdinary(name) && this.setSpecial(name, value)) return;
    if (!isValue(value) && !this.refuse(name, value)) return;
    this.takeOut(name);
    this.append(name, value);
  }

  add(name: HeaderName, value: string): void {
    if (!isOrdinary(name) && this.setSpecial(name, value)) return;
    if (!isValue(value) && !this.refuse(name, value)) return;
    this.append(name, value);
  }

  remove(name: HeaderName): void {
    if (name.part !== PLAIN) throw new TypeError(`${name.name} is a part of every message and cannot be removed`);
    if (this.isHost(name) || this.framing(name, null)) return;
    this.takeOut(name);
  }

  /** Sets what is no header like others: a part, Host, or a header that frames the message. False: it is like others after all. */
  private setSpecial(name: HeaderName, value: string): boolean {
    if (name.part !== PLAIN) {
      this.setPart(name, value);
      return true;
    }
    if (this.isHost(name)) {
      this.setAuthority(name, value);
      return true;
    }
    if (!consistsOf(name.name, TOKEN)) throw new TypeError(`not a header name: ${JSON.stringify(name.name)}`);
    return (!isValue(value) && !this.refuse(name, value)) || this.framing(name, value);
  }

  private refuse(name: HeaderName, value: string): false {
    if (value.includes('\r') || value.includes('\n') || value.includes('\0')) {
      throw new TypeError(`a line end or NUL in the value of ${name.name}: ${JSON.stringify(value)}`);
    }
    this.refused = this.scanning === SCAN_REQUEST ? 'bad-request' : 'internal';
    return false;
  }

  /** Edits of headers that frame the message; true when nothing is left to do. */
  private framing(name: HeaderName, value: string | null): boolean {
    switch (knownName(name.bytes, 0, name.bytes.length, nameKey(name.bytes, 0, name.bytes.length))) {
      case CONTENT_LENGTH: {
        if (value !== null && !/^\d{1,15}$/.test(value)) return !this.refuse(name, value);
        this.edited = true;
        this.length = value === null ? -1 : Number(value);
        return true;
      }
      case TRANSFER_ENCODING:
      case CONNECTION:
      case KEEP_ALIVE:
      case PROXY_CONNECTION:
        return true;
      case UPGRADE:
        // Asking for another protocol than the client did would leave nobody to speak it; taking the wish away is fine.
        if (value === null) this.upgrade = false;
        return value !== null;
      default:
        return false;
    }
  }

  /** Removes every value of a header, those that came and those that were added. */
  private takeOut(name: HeaderName): void {
    this.edited = true;
    const key = nameKey(name.bytes, 0, name.bytes.length);
    const keys = this.keys;
    const index = this.index;
    for (let k = 0; k < this.count; k++) {
      if (keys[k] !== key || !sameName(this.buf, this.start + index[4 * k], this.start + index[4 * k + 1], name.bytes)) continue;
      keys[k] = 0;
      this.drop(k);
      if (k === this.teIndex) this.teIndex = -1;
      else if (k === this.expectIndex) this.expectIndex = -1;
    }
    let left = 0;
    for (let k = 0; k < this.addedCount; k++) {
      if (this.addedNames![k].lower === name.lower) continue;
      this.addedNames![left] = this.addedNames![k];
      this.addedValues![left++] = this.addedValues![k];
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
    this.editSize += name.name.length + 4 + 3 * value.length;
  }

  private setAuthority(name: HeaderName, value: string): void {
    if (!consistsOf(value, AUTHORITY_BYTE)) {
      this.refuse(name, value);
      return;
    }
    this.edited = true;
    this.newAuthority = value;
    this.editSize += 2 * value.length + 16;
    this.rehost = true;
    if (this.hostIndex >= 0) this.drop(this.hostIndex);
    if (this.form === AUTHORITY_FORM) this.rewrite = true;
  }

  private setPart(name: HeaderName, value: string): void {
    const part = name.part;
    if (this.scanning === SCAN_REQUEST && part === AUTHORITY) {
      this.setAuthority(name, value);
    } else if (this.scanning === SCAN_REQUEST && part === METHOD) {
      // CONNECT frames its reply in a way of its own, so it cannot be made of, or into, another method.
      if (!consistsOf(value, TOKEN) || (value === 'CONNECT') !== (this.method === CONNECT_METHOD)) {
        this.refuse(name, value);
        return;
      }
      this.newMethod = value;
      this.method = methodOf(value);
      this.changeStart(value);
    } else if (this.scanning === SCAN_REQUEST && part === PATH) {
      // CONNECT names a host and has no path that could be rewritten.
      if (this.form === AUTHORITY_FORM) return;
      if (!consistsOf(value, TARGET) || (value[0] !== '/' && value !== '*')) {
        this.refuse(name, value);
        return;
      }
      this.newPath = value;
      this.changeStart(value);
    } else if (this.scanning === SCAN_REQUEST && part === SCHEME) {
      this.newScheme = value;
      this.edited = true;
    } else if (this.scanning === SCAN_REPLY && part === STATUS) {
      if (!/^[1-9]\d\d$/.test(value)) {
        this.refuse(name, value);
        return;
      }
      this.newStatus = value;
      this.status = Number(value);
      this.changeStart(value);
    } else {
      throw new TypeError(`an http1 ${this.kind === REQUEST ? 'request' : 'reply'} has no ${name.name} to set`);
    }
  }

  private changeStart(value: string): void {
    this.edited = true;
    this.rewrite = true;
    this.editSize += 3 * value.length + 64;
  }

  /** Hop-by-hop headers and Host (it is :authority) are left out. */
  each(visit: (name: string, value: string) => void): void {
    const buf = this.buf as Buffer;
    let d = 0;
    for (let k = 0; k < this.count; k++) {
      if (d < this.dropCount && this.drops[d] === k) {
        d++;
        continue;
      }
      if (k === this.hostIndex) continue;
      const p = 4 * k;
      const s = this.start;
      visit(buf.latin1Slice(s + this.index[p], s + this.index[p + 1]), buf.utf8Slice(s + this.index[p + 2], s + this.index[p + 3]));
    }
    for (let k = 0; k < this.addedCount; k++) visit(this.addedNames![k].name, this.addedValues![k]);
  }

  keep(): Http1Head {
    const kept = new Http1Head(Math.max(1, this.count));
    kept.begin(this.scanning);
    // The content is copied with the head also where a filter set it: that may be a view of borrowed bytes.
    const content = this.whole ? this.bodyEnd - this.bodyStart : 0;
    const size = this.headEnd + content;
    const bytes = Buffer.allocUnsafeSlow(size);
    bytes.set(this.buf.subarray(this.start, this.start + this.headEnd));
    if (content > 0) bytes.set(this.bodyBuf.subarray(this.bodyStart, this.bodyEnd), this.headEnd);
    kept.kind = this.kind;
    kept.id = this.id;
    kept.buf = kept.bodyBuf = kept.vbuf = bytes;
    kept.end = size;
    kept.whole = this.whole;
    kept.bodyStart = this.headEnd;
    kept.bodyEnd = size;
    kept.length = this.length;
    kept.refused = this.refused;
    kept.timeout = this.timeout;
    kept.status = this.status;
    kept.rawStatus = this.rawStatus;
    kept.interim = this.interim;
    kept.edited = this.edited;
    kept.count = this.count;
    kept.index.set(this.index.subarray(0, 4 * this.count + 4));
    kept.keys.set(this.keys.subarray(0, this.count));
    kept.drops.set(this.drops.subarray(0, this.dropCount));
    kept.dropCount = this.dropCount;
    kept.lineEnd = this.lineEnd;
    kept.headEnd = this.headEnd;
    kept.minor = this.minor;
    kept.minorDigit = this.minorDigit;
    kept.methodEnd = this.methodEnd;
    kept.targetStart = this.targetStart;
    kept.targetEnd = this.targetEnd;
    kept.form = this.form;
    kept.method = this.method;
    kept.authorityStart = this.authorityStart;
    kept.authorityEnd = this.authorityEnd;
    kept.pathStart = this.pathStart;
    kept.hostIndex = this.hostIndex;
    kept.lengthIndex = this.lengthIndex;
    kept.sentLength = this.sentLength;
    kept.chunked = this.chunked;
    kept.close = this.close;
    kept.keepAlive = this.keepAlive;
    kept.upgrade = this.upgrade;
    kept.upgradeIndex = this.upgradeIndex;
    kept.upgrades = this.upgrades;
    kept.teIndex = this.teIndex;
    kept.expectIndex = this.expectIndex;
    kept.nominates = this.nominates;
    kept.rewrite = this.rewrite;
    kept.rehost = this.rehost;
    kept.newMethod = this.newMethod;
    kept.newPath = this.newPath;
    kept.newAuthority = this.newAuthority;
    kept.newScheme = this.newScheme;
    kept.newStatus = this.newStatus;
    if (this.addedCount > 0) {
      kept.addedCount = this.addedCount;
      kept.addedNames = this.addedNames!.slice(0, this.addedCount);
      kept.addedValues = this.addedValues!.slice(0, this.addedCount);
    }
    kept.editSize = this.editSize;
    return kept;
  }
}

/**
 * Heads that no codec is using. An idle connection holds none, so 10,000 of them cost no index; a codec that waits for the rest of
 * a head keeps the one it is filling. Nested decoding (a sink that decodes elsewhere) takes further ones.
 */
const free: Http1Head[] = [];
const MAX_FREE = 16;

export function takeHead(scanning: number): Http1Head {
  const head = free.pop() ?? new Http1Head();
  head.begin(scanning);
  return head;
}

export function giveHead(head: Http1Head): void {
  if (free.length < MAX_FREE) {
    // The pool must not keep a receive buffer alive.
    head.buf = EMPTY;
    head.vbuf = EMPTY;
    free.push(head);
  }
}

// The head of a Bolt request or response over its wire bytes: header look-ups walk the block in place, edits rewrite a copy of it.
import { equalAt } from '../../../core/bytes.js';
import type { ReasonCode } from '../../../core/reason.js';
import { FrameHead, checkValue } from '../../frame-head.js';
import { PLAIN, REPLY, RPC_METHOD, SERVICE, STATUS, VERSION, headerName, type HeaderName } from '../../head.js';
import { EMPTY, MAX_BLOCK, i32, putU32 } from './frame.js';
import { httpOfStatus, statusOfHttp } from './status.js';

/** The class name of the frame, readable (and replaceable) as if it were a header. */
export const CLASS_HEADER = 'bolt-class';

const service = headerName('service');
const targetService = headerName('sofa_head_target_service');
const methodName = headerName('sofa_head_method_name');

/** Blocks of edited heads, given back when the message is done, so that an idle connection holds none. */
const spareBlocks: Buffer[] = [];
const SPARE_SIZE = 4096;
const MAX_SPARES = 16;

/** Whether buf[start, end) is whole pairs to its last byte. */
export function isHeaderBlock(buf: Uint8Array, start: number, end: number): boolean {
  let p = start;
  while (p < end) {
    for (let i = 0; i < 2; i++) {
      if (end - p < 4) return false;
      const n = i32(buf, p);
      p += 4;
      if (n > end - p) return false;
      if (n > 0) p += n;
    }
  }
  return true;
}

/**
 * Parts: `:service` is `service`, else `sofa_head_target_service`; `:version` what follows its first colon; `:rpc-method` is
 * `sofa_head_method_name` (only codecs with readable headers send it; Hessian requests name the method in their content); `:status`
 * the HTTP-like status of a response. Other parts do not exist: not found, and setting or removing them does nothing.
 *
 * Names compare by case. Of several equal names the first counts. A null value counts as absent. In a block that breaks off, what
 * comes before the break is found and the frame is forwarded as it is; an edit of it is refused.
 */
export class BoltHead extends FrameHead {
  proto = 1;
  /** Bytes before the class. */
  fixed = 0;
  /** The block begins here (the class ends), as received. */
  blockStart = 0;
  /** The block ends here and the content begins, as received. */
  blockEnd = 0;

  /** The edited block is block[0, size); null while nothing in it was edited. */
  private block: Buffer | null = null;
  private size = 0;
  private newClass: Buffer | null = null;

  constructor() {
    super('bolt', EMPTY);
  }

  /** The version within v2: 1 or 2; 1 in v1. */
  get ver1(): number {
    return this.proto === 2 ? this.buf[this.start + 1]! : 1;
  }

  /** Serialization of class and content: 1 hessian2, 11 protobuf, ... */
  get codec(): number {
    return this.buf[this.start + (this.proto === 2 ? 10 : 9)]!;
  }

  get className(): string {
    return this.newClass !== null ? this.newClass.toString() : (this.buf as Buffer).utf8Slice(this.start + this.fixed, this.blockStart);
  }

  // What an encoder writes: the edited bytes where there are some, else those received.

  get classBuf(): Uint8Array {
    return this.newClass ?? this.buf;
  }
  get classFrom(): number {
    return this.newClass !== null ? 0 : this.start + this.fixed;
  }
  get classTo(): number {
    return this.newClass !== null ? this.newClass.length : this.blockStart;
  }
  get headersBuf(): Uint8Array {
    return this.block ?? this.buf;
  }
  get headersFrom(): number {
    return this.block !== null ? 0 : this.blockStart;
  }
  get headersTo(): number {
    return this.block !== null ? this.size : this.blockEnd;
  }

  /** Makes the head ready for the next message. */
  reset(): void {
    this.edited = false;
    this.refused = null;
    this.newClass = null;
    const block = this.block;
    if (block === null) return;
    this.block = null;
    this.size = 0;
    if (block.length === SPARE_SIZE && spareBlocks.length < MAX_SPARES) spareBlocks.push(block);
  }

  // === reading

  find(name: HeaderName): boolean {
    switch (name.part) {
      case PLAIN:
        if (this.findKey(name.bytes)) return true;
        return name.lower === CLASS_HEADER && this.findClass();
      case SERVICE:
        return this.findKey(service.bytes) || this.findKey(targetService.bytes);
      case RPC_METHOD:
        return this.findKey(methodName.bytes);
      case VERSION:
        return (this.findKey(service.bytes) || this.findKey(targetService.bytes)) && this.afterColon();
      case STATUS:
        return this.kind === REPLY && this.findStatus();
      default:
        return false;
    }
  }

  private findKey(key: Uint8Array): boolean {
    const buf = this.headersBuf;
    const end = this.headersTo;
    const n = key.length;
    let p = this.headersFrom;
    while (end - p >= 8) {
      const keyLength = i32(buf, p);
      const keyAt = p + 4;
      p = keyLength > 0 ? keyAt + keyLength : keyAt;
      if (end - p < 4) return false;
      const valueLength = i32(buf, p);
      p += 4;
      if (valueLength > end - p) return false;
      if (valueLength < 0) continue;
      if (keyLength === n && equalAt(buf, keyAt, key)) {
        this.vbuf = buf;
        this.vstart = p;
        this.vend = p + valueLength;
        return true;
      }
      p += valueLength;
    }
    return false;
  }

  private findClass(): boolean {
    this.vbuf = this.classBuf;
    this.vstart = this.classFrom;
    this.vend = this.classTo;
    return this.vend > this.vstart;
  }

  /** Narrows a found `name:version[:unique id]` to the version. */
  private afterColon(): boolean {
    const buf = this.vbuf;
    const end = this.vend;
    let p = this.vstart;
    while (p < end && buf[p] !== 58) p++;
    if (p >= end - 1) return false;
    this.vstart = ++p;
    while (p < end && buf[p] !== 58) p++;
    this.vend = p;
    return true;
  }

  each(visit: (name: string, value: string) => void): void {
    const buf = this.headersBuf as Buffer;
    const end = this.headersTo;
    let p = this.headersFrom;
    while (end - p >= 8) {
      const keyLength = i32(buf, p);
      const keyAt = p + 4;
      p = keyLength > 0 ? keyAt + keyLength : keyAt;
      if (end - p < 4) return;
      const valueLength = i32(buf, p);
      p += 4;
      if (valueLength > end - p) return;
      if (keyLength >= 0 && valueLength >= 0) visit(buf.utf8Slice(keyAt, keyAt + keyLength), buf.utf8Slice(p, p + valueLength));
      if (valueLength > 0) p += valueLength;
    }
  }

  // === editing

  set(name: HeaderName, value: string): void {
    checkValue(value);
    switch (name.part) {
      case PLAIN:
        if (name.lower === CLASS_HEADER) this.setClass(value);
        else this.setKey(name, value);
        break;
      case SERVICE: {
        const target = this.findKey(targetService.bytes);
        if (!target || this.findKey(service.bytes)) this.setKey(service, value);
        if (target) this.setKey(targetService, value);
        break;
      }
      case RPC_METHOD:
        this.setKey(methodName, value);
        break;
      case STATUS:
        this.setStatus(Number(value));
        break;
      default:
    }
  }

  /** A map has no second value: the same as `set`. */
  add(name: HeaderName, value: string): void {
    this.set(name, value);
  }

  remove(name: HeaderName): void {
    if (name.part === PLAIN) {
      if (name.lower === CLASS_HEADER) this.setClass('');
      else this.removeFound(name.bytes);
    } else if (name.part === SERVICE) {
      this.removeFound(service.bytes);
      this.removeFound(targetService.bytes);
    } else if (name.part === RPC_METHOD) {
      this.removeFound(methodName.bytes);
    }
  }

  private setClass(value: string): void {
    const bytes = Buffer.from(value);
    if (bytes.length > MAX_BLOCK) {
      this.refuse('head-too-large');
      return;
    }
    this.newClass = bytes;
    this.edited = true;
  }

  private setStatus(http: number): void {
    if (this.kind !== REPLY || !(http >= 100 && http <= 599)) return;
    this.rawStatus = statusOfHttp(http);
    this.status = httpOfStatus(this.rawStatus);
    this.edited = true;
  }

  private refuse(code: ReasonCode): void {
    if (this.refused === null) this.refused = code;
  }

  /** Makes the block editable; false where it is malformed. */
  private open(): boolean {
    if (this.block !== null) return true;
    const n = this.blockEnd - this.blockStart;
    if (!isHeaderBlock(this.buf, this.blockStart, this.blockEnd)) {
      this.refuse('bad-frame');
      return false;
    }
    const block = n > SPARE_SIZE ? Buffer.allocUnsafeSlow(n) : (spareBlocks.pop() ?? Buffer.allocUnsafeSlow(SPARE_SIZE));
    block.set(this.buf.subarray(this.blockStart, this.blockEnd));
    this.block = block;
    this.size = n;
    this.edited = true;
    return true;
  }

  private setKey(name: HeaderName, value: string): void {
    if (!this.open()) return;
    const key = name.bytes;
    const ascii = isAscii(value);
    const valueLength = ascii ? value.length : Buffer.byteLength(value);
    const need = 8 + key.length + valueLength;
    const size = this.size - this.sizeOf(key) + need;
    if (size > MAX_BLOCK) {
      this.refuse('head-too-large');
      return;
    }
    this.removeKey(key);
    let block = this.block!;
    if (size > block.length) {
      const grown = Buffer.allocUnsafeSlow(Math.min(MAX_BLOCK, size * 2));
      grown.set(block.subarray(0, this.size));
      if (block.length === SPARE_SIZE && spareBlocks.length < MAX_SPARES) spareBlocks.push(block);
      this.block = block = grown;
    }
    let p = this.size;
    putU32(block, p, key.length);
    p += 4;
    for (let i = 0; i < key.length; i++) block[p++] = key[i]!;
    putU32(block, p, valueLength);
    p += 4;
    if (ascii) for (let i = 0; i < valueLength; i++) block[p++] = value.charCodeAt(i);
    else block.write(value, p);
    this.size = size;
  }

  /** Bytes that the pairs with this key take in the edited block. */
  private sizeOf(key: Uint8Array): number {
    let sum = 0;
    for (let p = 0; p < this.size; ) {
      const next = this.pairEnd(p);
      if (this.isKey(p, key)) sum += next - p;
      p = next;
    }
    return sum;
  }

  /** Looks first: removing what is not there must not cost a re-encoding. */
  private removeFound(key: Uint8Array): void {
    if (this.findKey(key)) this.removeKey(key);
  }

  private removeKey(key: Uint8Array): void {
    if (!this.open()) return;
    const block = this.block!;
    let kept = 0;
    for (let p = 0; p < this.size; ) {
      const next = this.pairEnd(p);
      if (!this.isKey(p, key)) {
        if (kept !== p) block.copyWithin(kept, p, next);
        kept += next - p;
      }
      p = next;
    }
    this.size = kept;
  }

  private isKey(at: number, key: Uint8Array): boolean {
    return i32(this.block!, at) === key.length && equalAt(this.block!, at + 4, key);
  }

  private pairEnd(at: number): number {
    const block = this.block!;
    const value = at + 4 + Math.max(0, i32(block, at));
    return value + 4 + Math.max(0, i32(block, value));
  }

  keep(): BoltHead {
    const copy = new BoltHead();
    const start = this.start;
    this.copyTo(copy);
    copy.proto = this.proto;
    copy.fixed = this.fixed;
    copy.blockStart = this.blockStart - start;
    copy.blockEnd = this.blockEnd - start;
    copy.newClass = this.newClass;
    if (this.block !== null) {
      copy.block = Buffer.allocUnsafeSlow(this.size);
      copy.block.set(this.block.subarray(0, this.size));
      copy.size = this.size;
    }
    return copy;
  }
}

/** Short texts of ASCII are stored by hand: the calls that measure and write UTF-8 cost more than they. */
function isAscii(value: string): boolean {
  if (value.length > 64) return false;
  for (let i = 0; i < value.length; i++) if (value.charCodeAt(i) > 0x7f) return false;
  return true;
}

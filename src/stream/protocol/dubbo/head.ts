// The head of a Dubbo request or response over its frame: names and attachments are found in the body when asked for, edits rewrite the body.
import type { ReasonCode } from '../../../core/reason.js';
import { FrameHead, checkValue } from '../../frame-head.js';
import { GROUP, PLAIN, REPLY, RPC_METHOD, SERVICE, STATUS, VERSION, headerName, type HeaderName } from '../../head.js';
import { BodyIndex, FRAMEWORK, METHOD, PATH, VERSION as VERSION_PLACE, resultOf } from './body.js';
import { EMPTY, HESSIAN2, RESULT_EXCEPTION, RESULT_EXCEPTION_ATTACHMENTS, SERIALIZATION_MASK } from './frame.js';
import { END, MAP, NULL, stringValue, unitsText } from './hessian.js';

/** Version of the Dubbo framework that made a request (of its protocol, e.g. 2.0.2), readable as if it were an attachment. */
export const FRAMEWORK_HEADER = 'dubbo';
/** What a reply carries: `value`, `null` or `exception`; readable as if it were an attachment. */
export const RESULT_HEADER = 'dubbo-result';

const group = headerName('group');
const timeout = headerName('timeout');
const path = headerName('path');
const interfaceName = headerName('interface');
const version = headerName('version');

/** Longest value that an edit writes, in UTF-16 units; one chunk of a string. */
const MAX_VALUE = 0x7fff;

const results = ['exception', 'value', 'null'].map((word) => Buffer.from(word));

/** Bodies of edited heads, given back when the message is done, so that an idle connection holds none. */
const spareBodies: Buffer[] = [];
const SPARE_SIZE = 4096;
const MAX_SPARES = 16;

/** Where things lie in the body that was asked for last, of whichever head. */
const index = new BodyIndex();

/**
 * Parts: `:service` is the path in the body (the interface, unless the service was given another path), `:rpc-method` the method (of a
 * generic call the one that it stands for), `:version` the version as sent (0.0.0 where a Java client has none), `:group` the attachment
 * `group`; `:status` the HTTP-like status of a response. Every attachment that is a string, number, boolean or date is a header by its name.
 *
 * Names compare by case. Hessian 2 and fastjson2 are read, Hessian 2 is edited; of other serializations nothing is found, and edits are left
 * out. Of a message that passes in pieces only the names are found, as its attachments come last, and nothing is edited.
 *
 * The content is the body: all behind the 16 bytes of the header. An edit changes the content, so that filters on bodies see it.
 */
export class DubboHead extends FrameHead {
  /** Flags of the frame; the lowest five bits are the serialization. */
  flags = 0;
  /** Of a message in pieces: where the bytes that are at hand end. */
  peekEnd = 0;
  /** The body's buffer is this head's own. */
  private own: Buffer | null = null;

  constructor() {
    super('dubbo', EMPTY);
  }

  get serialization(): number {
    return this.flags & SERIALIZATION_MASK;
  }

  /** Makes the head ready for the next message. */
  reset(): void {
    this.edited = false;
    this.refused = null;
    this.giveBack();
  }

  /** Nothing may point to the bytes of a message that is over. */
  letGo(): void {
    this.buf = EMPTY;
    this.bodyBuf = EMPTY;
    this.vbuf = EMPTY;
    this.forget();
  }

  /** The body is another one now. */
  forget(): void {
    if (index.owner === this) index.close();
  }

  private giveBack(): void {
    const own = this.own;
    if (own === null) return;
    this.own = null;
    if (own.length === SPARE_SIZE && spareBodies.length < MAX_SPARES) spareBodies.push(own);
  }

  // === reading

  private look(): BodyIndex {
    if (index.owner !== this) {
      index.open(this, this.bodyBuf, this.bodyStart, this.whole ? this.bodyEnd : this.peekEnd, this.serialization, this.kind === REPLY);
    }
    return index;
  }

  private show(): true {
    this.vbuf = index.view;
    this.vstart = index.from;
    this.vend = index.to;
    return true;
  }

  find(name: HeaderName): boolean {
    switch (name.part) {
      case PLAIN:
        if (this.findAttachment(name.bytes)) return true;
        return this.kind === REPLY ? name.name === RESULT_HEADER && this.findResult() : name.name === FRAMEWORK_HEADER && this.findPlace(FRAMEWORK);
      case SERVICE:
        return this.findPlace(PATH);
      case RPC_METHOD:
        return this.kind !== REPLY && this.look().method() && this.show();
      case VERSION:
        return this.findPlace(VERSION_PLACE);
      case GROUP:
        return this.kind !== REPLY && this.findAttachment(group.bytes);
      case STATUS:
        return this.kind === REPLY && this.findStatus();
      default:
        return false;
    }
  }

  override get(name: HeaderName): string | undefined {
    return this.find(name) ? unitsText(this.vbuf, this.vstart, this.vend) : undefined;
  }

  private findPlace(place: number): boolean {
    return this.kind !== REPLY && this.look().place(place) && this.show();
  }

  private findAttachment(name: Uint8Array): boolean {
    if (!this.whole || (this.kind === REPLY && this.result < RESULT_EXCEPTION_ATTACHMENTS)) return false;
    const i = this.look().indexOf(name);
    return i >= 0 && index.value(i) && this.show();
  }

  /** RESULT_* of a response, -1 where it has none or it cannot be read. */
  get result(): number {
    return this.rawStatus === 20 ? resultOf(this.bodyBuf, this.bodyStart, this.whole ? this.bodyEnd : this.peekEnd, this.serialization) : -1;
  }

  private findResult(): boolean {
    const result = this.result;
    if (result < 0) return false;
    this.vbuf = results[result % 3]!;
    this.vstart = 0;
    this.vend = this.vbuf.length;
    return true;
  }

  /** Whether the response carries an exception of the service. */
  get isException(): boolean {
    const result = this.result;
    return result === RESULT_EXCEPTION || result === RESULT_EXCEPTION_ATTACHMENTS;
  }

  /** The attachment `timeout`, ms; 0 where there is none that makes sense. */
  timeoutAsked(): number {
    if (!this.findAttachment(timeout.bytes)) return 0;
    const n = this.vend - this.vstart;
    if (n === 0 || n > 9) return 0;
    let ms = 0;
    for (let p = this.vstart; p < this.vend; p++) {
      const digit = this.vbuf[p]! - 48;
      if (digit < 0 || digit > 9) return 0;
      ms = ms * 10 + digit;
    }
    return ms;
  }

  /** Where the arguments of a request begin in `bodyBuf`; -1 where that cannot be told. */
  get argumentsAt(): number {
    return this.kind === REPLY ? -1 : this.look().argumentsAt;
  }

  each(visit: (name: string, value: string) => void): void {
    if (!this.whole || (this.kind === REPLY && this.result < RESULT_EXCEPTION_ATTACHMENTS)) return;
    const pairs: [string, string][] = [];
    const count = this.look().all();
    for (let i = 0; i < count; i++) if (index.value(i)) pairs.push([index.key(i), unitsText(index.view, index.from, index.to)]);
    // The visitor may look into heads itself.
    for (const [name, value] of pairs) visit(name, value);
  }

  // === editing

  set(name: HeaderName, value: string): void {
    checkValue(value);
    switch (name.part) {
      case PLAIN:
        if (!this.open()) break;
        // A call is said twice, in names and in attachments.
        if (this.kind !== REPLY && name === path) this.setPlace(PATH, value);
        else if (this.kind !== REPLY && name === version) this.setPlace(VERSION_PLACE, value);
        this.setAttachment(name, value);
        break;
      case SERVICE:
        // The attachments win over the names in the reader's eyes.
        if (this.kind === REPLY || !this.open()) break;
        this.setPlace(PATH, value);
        this.replaceAttachment(path, value);
        this.replaceAttachment(interfaceName, value);
        break;
      case VERSION:
        if (this.kind === REPLY || !this.open()) break;
        this.setPlace(VERSION_PLACE, value);
        this.replaceAttachment(version, value);
        break;
      case RPC_METHOD:
        if (this.kind !== REPLY && this.open()) this.setPlace(METHOD, value);
        break;
      case GROUP:
        if (this.kind !== REPLY && this.open()) this.setAttachment(group, value);
        break;
      default:
    }
  }

  /** A map has no second value: the same as `set`. */
  add(name: HeaderName, value: string): void {
    this.set(name, value);
  }

  /** Names cannot be absent, so only attachments are removed. */
  remove(name: HeaderName): void {
    const which = name.part === GROUP ? group : name.part === PLAIN ? name : null;
    if (which === null || !this.whole || this.serialization !== HESSIAN2) return;
    for (let i = this.look().indexOf(which.bytes); i >= 0; i = this.look().indexOf(which.bytes)) {
      if (!this.open()) return;
      if (!this.look().removable(i)) {
        this.refuse('bad-frame');
        return;
      }
      index.locateEntry(i, false);
      this.splice(index.from, index.to, EMPTY);
    }
  }

  override setBody(body: Uint8Array): void {
    super.setBody(body);
    this.giveBack();
    this.forget();
  }

  private refuse(code: ReasonCode): void {
    if (this.refused === null) this.refused = code;
  }

  /** Whether attachments can be edited. A reply without any has no place for them; a request that is malformed is not forwarded half edited. */
  private open(): boolean {
    if (!this.whole || this.serialization !== HESSIAN2) return false;
    if (this.kind === REPLY && this.result < RESULT_EXCEPTION_ATTACHMENTS) return false;
    if (this.look().editable) return true;
    if (this.kind !== REPLY) this.refuse('bad-frame');
    return false;
  }

  private setAttachment(name: HeaderName, value: string): void {
    if (this.replaceAttachment(name, value)) return;
    const at = this.look().mapEnd;
    const { mapAt } = index;
    const entry = this.checked(value, () => Buffer.concat([stringValue(name.name), stringValue(value)]));
    if (entry === null) return;
    if (this.bodyBuf[mapAt] === NULL) this.splice(mapAt, mapAt + 1, Buffer.concat([Buffer.from([MAP]), entry, Buffer.from([END])]));
    else this.splice(at, at, entry);
  }

  /** Gives an attachment that exists another value; false where there is none. */
  private replaceAttachment(name: HeaderName, value: string): boolean {
    const i = this.look().indexOf(name.bytes);
    if (i < 0) return false;
    if (!index.removable(i)) {
      this.refuse('bad-frame');
      return true;
    }
    index.locateEntry(i, true);
    const { from, to } = index;
    const bytes = this.checked(value, () => stringValue(value));
    if (bytes !== null) this.splice(from, to, bytes);
    return true;
  }

  private setPlace(place: number, value: string): void {
    if (!this.look().locate(place)) return;
    const { from, to } = index;
    const bytes = this.checked(value, () => stringValue(value));
    if (bytes !== null) this.splice(from, to, bytes);
  }

  private checked(value: string, bytes: () => Buffer): Buffer | null {
    if (value.length <= MAX_VALUE) return bytes();
    this.refuse('head-too-large');
    return null;
  }

  /** Puts `piece` in the place of bodyBuf[from, to). */
  private splice(from: number, to: number, piece: Uint8Array): void {
    const start = this.bodyStart;
    const end = this.bodyEnd;
    const size = end - start - (to - from) + piece.length;
    const old = this.own;
    if (old !== null && old === this.bodyBuf && size <= old.length) {
      old.copyWithin(from + piece.length, to, end);
      old.set(piece, from);
    } else {
      const body = size <= SPARE_SIZE ? (spareBodies.pop() ?? Buffer.allocUnsafeSlow(SPARE_SIZE)) : Buffer.allocUnsafeSlow(size + 1024);
      const before = from - start;
      body.set(this.bodyBuf.subarray(start, from));
      body.set(piece, before);
      body.set(this.bodyBuf.subarray(to, end), before + piece.length);
      this.giveBack();
      this.own = body;
      this.bodyBuf = body;
      this.bodyStart = 0;
    }
    this.bodyEnd = this.bodyStart + size;
    this.length = size;
    this.edited = true;
    this.forget();
  }

  keep(): DubboHead {
    const copy = new DubboHead();
    const start = this.start;
    const upTo = this.whole ? this.end : this.peekEnd;
    this.copyTo(copy, upTo);
    copy.flags = this.flags;
    copy.peekEnd = upTo - start;
    return copy;
  }
}

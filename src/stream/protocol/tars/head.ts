// The head of a Tars packet over its wire bytes: names and maps are found in place, edits are kept beside them until the packet is written.
import type { ReasonCode } from '../../../core/reason.js';
import { FrameHead, checkValue } from '../../frame-head.js';
import { PLAIN, REPLY, RPC_METHOD, SERVICE, STATUS, type HeaderName } from '../../head.js';
import { MAP, STRING1, STRING4, found, readString, skipField } from './jce.js';
import { codeOfHttp, httpOfCode } from './status.js';
import { StringMap } from './string-map.js';

export const EMPTY = Buffer.alloc(0);

/** sResultDesc of a response, readable as if it were a header. */
export const RESULT_DESC = 'tars-result-desc';

/** Keys of the framework in the status map; those of a TUP reply stand for the iRet and sResultDesc that it has no fields for. */
export const RESULT_CODE_KEY = Buffer.from('STATUS_RESULT_CODE');
const RESULT_DESC_KEY = Buffer.from('STATUS_RESULT_DESC');
const STATUS_PREFIX = 'STATUS_';

const CONTEXT_TAG = 9;

/**
 * Two layouts (RequestF.tars), both behind a u32 length that counts itself:
 *
 *   request:  1 version, 2 packet type, 3 message type, 4 id, 5 servant, 6 function, 7 buffer, 8 timeout, 9 context, 10 status
 *   response: 1 version, 2 packet type, 3 id, 4 message type, 5 result code, 6 buffer, 7 status, (8 description, 9 context)
 *
 * Replies to TUP (versions 2 and 3) have the layout of a request; the rest of TARS (1) and JSON (5) have the other.
 *
 * Parts: `:service` is the servant, `:rpc-method` the function, `:status` the HTTP-like status of a reply. A header is an entry of the
 * context, else of the status; a new one goes to the context, or, where its name begins with `STATUS_`, to the status. Names compare by
 * case. The maps are looked for only when somebody asks for a header; where the packet breaks off before one, it counts as empty, the
 * packet is forwarded as it is, and an edit of that map is refused.
 */
export class TarsHead extends FrameHead {
  version = 1;
  packetType = 0;
  messageType = 0;
  /** Whether the packet has the layout of a response. */
  response = false;
  /** Whether a host sent it of its own accord (id 0). */
  push = false;
  // Fields with their heads, as received: the id, in a response the result code, the buffer.
  idAt = 0;
  idEnd = 0;
  codeAt = 0;
  codeEnd = 0;
  bufferAt = 0;
  bufferEnd = 0;
  // Fields with their heads, and the characters that end with the field; empty in a response.
  servantAt = 0;
  servantFrom = 0;
  servantEnd = 0;
  functionAt = 0;
  functionFrom = 0;
  functionEnd = 0;

  newServant: Buffer | null = null;
  newFunction: Buffer | null = null;
  /** Whether `rawStatus` is to be written as the result code of a response. */
  newCode = false;
  /** Whether the maps were looked for in this packet. */
  indexed = false;
  readonly context = new StringMap();
  readonly statuses = new StringMap();
  private descFrom = 0;
  private descEnd = 0;

  constructor() {
    super('tars', EMPTY);
  }

  /** Makes the head ready for the next message. */
  reset(): void {
    this.edited = false;
    this.refused = null;
    this.newServant = null;
    this.newFunction = null;
    this.newCode = false;
    this.context.reset();
    this.statuses.reset();
  }

  /** Nothing is to be kept alive by a head that waits for the next message. */
  letGo(): void {
    this.buf = EMPTY;
    this.bodyBuf = EMPTY;
    this.vbuf = EMPTY;
  }

  /** Tags of the status map, which lies before the context in a response and behind it in a request. */
  get statusTag(): number {
    return this.response ? 7 : 10;
  }
  get contextTag(): number {
    return CONTEXT_TAG;
  }

  /** Finds the maps. */
  index(): void {
    if (this.indexed) return;
    this.indexed = true;
    const { buf, end, context, statuses, statusTag, response } = this;
    this.descEnd = this.descFrom = 0;
    let lost = false;
    let hasContext = false;
    let hasStatus = false;
    let last = response ? 6 : 7;
    let p = this.bufferEnd;
    while (p < end) {
      const head = buf[p]!;
      const tag = head < 0xf0 ? head >> 4 : p + 1 < end ? buf[p + 1]! : -1;
      const next = tag > last ? skipField(buf, p, end) : -1;
      if (next < 0 || ((tag === CONTEXT_TAG || tag === statusTag) && (head & 15) !== MAP)) {
        lost = true;
        break;
      }
      last = tag;
      if (!hasContext && tag >= CONTEXT_TAG) {
        hasContext = true;
        if (tag === CONTEXT_TAG) context.take(buf, p, next);
        else context.place(p, false);
      }
      if (!hasStatus && tag >= statusTag) {
        hasStatus = true;
        if (tag === statusTag) statuses.take(buf, p, next);
        else statuses.place(p, false);
      }
      if (response && tag === 8 && ((head & 15) === STRING1 || (head & 15) === STRING4)) {
        readString(buf, p, end, 8);
        this.descFrom = found.start;
        this.descEnd = found.end;
      }
      p = next;
    }
    if (!hasContext) context.place(p, lost);
    if (!hasStatus) statuses.place(p, lost);
  }

  // === reading

  find(name: HeaderName): boolean {
    switch (name.part) {
      case PLAIN:
        return this.findKey(name.bytes) || (name.lower === RESULT_DESC && this.findDescription());
      case SERVICE:
        return this.findName(this.newServant, this.servantFrom, this.servantEnd);
      case RPC_METHOD:
        return this.findName(this.newFunction, this.functionFrom, this.functionEnd);
      case STATUS:
        return this.kind === REPLY && this.findStatus();
      default:
        return false;
    }
  }

  private findKey(key: Uint8Array): boolean {
    this.index();
    return this.findIn(this.context, key) || this.findIn(this.statuses, key);
  }

  /** Looks in one of the maps, once they are indexed. */
  findIn(map: StringMap, key: Uint8Array): boolean {
    if (!map.find(this.buf, key)) return false;
    this.vbuf = map.bytes(this.buf);
    this.vstart = map.vstart;
    this.vend = map.vend;
    return true;
  }

  private findName(edited: Buffer | null, from: number, end: number): boolean {
    this.vbuf = edited ?? this.buf;
    this.vstart = edited !== null ? 0 : from;
    this.vend = edited !== null ? edited.length : end;
    return this.vend > this.vstart;
  }

  private findDescription(): boolean {
    if (this.descEnd > this.descFrom) return this.findName(null, this.descFrom, this.descEnd);
    return this.kind === REPLY && this.findIn(this.statuses, RESULT_DESC_KEY);
  }

  each(visit: (name: string, value: string) => void): void {
    this.index();
    this.context.each(this.buf, visit);
    this.statuses.each(this.buf, visit);
  }

  // === editing

  set(name: HeaderName, value: string): void {
    checkValue(value);
    switch (name.part) {
      case PLAIN:
        this.setKey(name, value);
        break;
      case SERVICE:
        if (this.response) break;
        this.newServant = Buffer.from(value);
        this.edited = true;
        break;
      case RPC_METHOD:
        if (this.response) break;
        this.newFunction = Buffer.from(value);
        this.edited = true;
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
    if (name.part === SERVICE || name.part === RPC_METHOD) {
      this.set(name, '');
      return;
    }
    if (name.part !== PLAIN) return;
    this.index();
    this.removeFrom(this.context, name.bytes);
    this.removeFrom(this.statuses, name.bytes);
  }

  private setKey(name: HeaderName, value: string): void {
    this.index();
    const { context, statuses, buf } = this;
    const inStatus = statuses.find(buf, name.bytes);
    const toStatus = (inStatus || name.name.startsWith(STATUS_PREFIX)) && !context.find(buf, name.bytes);
    if (!this.setIn(toStatus ? statuses : context, name.bytes, value)) return;
    if (inStatus && !toStatus) this.removeFrom(statuses, name.bytes);
  }

  private setIn(map: StringMap, key: Uint8Array, value: string): boolean {
    if (!map.open(this.buf)) {
      this.refuse('bad-frame');
      return false;
    }
    map.set(key, value);
    this.edited = true;
    return true;
  }

  /** Looks first: removing what is not there must not cost a re-encoding. */
  private removeFrom(map: StringMap, key: Uint8Array): void {
    if (!map.find(this.buf, key)) return;
    if (!map.open(this.buf)) {
      this.refuse('bad-frame');
      return;
    }
    map.remove(key);
    this.edited = true;
  }

  private setStatus(http: number): void {
    if (this.kind !== REPLY || !(http >= 100 && http <= 599)) return;
    const code = codeOfHttp(http);
    if (this.response) {
      this.newCode = true;
      this.edited = true;
    } else {
      this.index();
      if (!this.setIn(this.statuses, RESULT_CODE_KEY, String(code))) return;
    }
    this.rawStatus = code;
    this.status = httpOfCode(code);
  }

  private refuse(code: ReasonCode): void {
    if (this.refused === null) this.refused = code;
  }

  keep(): TarsHead {
    const copy = new TarsHead();
    const by = this.start;
    this.copyTo(copy);
    copy.version = this.version;
    copy.packetType = this.packetType;
    copy.messageType = this.messageType;
    copy.response = this.response;
    copy.push = this.push;
    copy.idAt = this.idAt - by;
    copy.idEnd = this.idEnd - by;
    copy.codeAt = this.codeAt - by;
    copy.codeEnd = this.codeEnd - by;
    copy.bufferAt = this.bufferAt - by;
    copy.bufferEnd = this.bufferEnd - by;
    copy.servantAt = this.servantAt - by;
    copy.servantFrom = this.servantFrom - by;
    copy.servantEnd = this.servantEnd - by;
    copy.functionAt = this.functionAt - by;
    copy.functionFrom = this.functionFrom - by;
    copy.functionEnd = this.functionEnd - by;
    copy.newServant = this.newServant;
    copy.newFunction = this.newFunction;
    copy.newCode = this.newCode;
    copy.indexed = this.indexed;
    if (this.indexed) {
      copy.context.copyFrom(this.context, by);
      copy.statuses.copyFrom(this.statuses, by);
      copy.descFrom = this.descFrom - by;
      copy.descEnd = this.descEnd - by;
    }
    return copy;
  }
}

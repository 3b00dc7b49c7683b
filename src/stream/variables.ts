// Texts with %variable% parts: parsed and checked when the configuration is read, rendered from a running exchange or from its finished record.
import { BlockOutput, type Writer } from '../core/bytes.js';
import { nearest } from '../core/nearest.js';
import { reasons, sentence } from '../core/reason.js';
import type { Head, HeaderName } from './head.js';
import { headerName } from './head.js';
import { type Captures, type ExchangeRecord, noteNames, requestIdPrefixBytes } from './record.js';
import * as bytes from './variable-bytes.js';
import { type Escapes, RAW, putAll, putBytes, putInt, putMs, putText } from './variable-bytes.js';
import * as table from './variable-table.js';
import { AT_END, AT_REPLY, AT_REQUEST, type Moment, type Variable, variables } from './variable-table.js';

export { AT_END, AT_REPLY, AT_REQUEST, type Moment } from './variable-table.js';

/** What a template reads while an exchange runs. A head is null before it came and after its bytes are gone. */
export interface VariableSource {
  readonly record: ExchangeRecord;
  readonly requestHead: Head | null;
  readonly replyHead: Head | null;
}

const MAX_ATTEMPTS_SHOWN = 16;
const DASH = 0x2d;
const COMMA = 0x2c;
const SLASH = 0x2f;

/** One literal or variable of a template. */
export class Part {
  readonly op: number;
  readonly variable: Variable | null;
  readonly literal: Uint8Array;
  /** The literal's text, or the variable's name. */
  readonly text: string;
  /** What the variable reads of a head, and the slots of a record where that is kept once the head is gone. */
  readonly names: readonly HeaderName[];
  readonly slots: readonly number[];
  readonly captures: Captures | null;

  constructor(text: string, variable: Variable | null, captures: Captures | null) {
    this.op = variable === null ? table.LITERAL : variable.op;
    this.variable = variable;
    this.text = text;
    this.literal = variable === null ? Buffer.from(text) : Buffer.alloc(0);
    this.names = variable === null ? [] : variable.reads.map(headerName);
    this.captures = captures;
    const reply = this.op === table.REPLY_FIELD;
    this.slots = captures === null ? [] : this.names.map((name) => (reply ? captures.replySlot(name) : captures.requestSlot(name)));
  }

  /** Most bytes this part can take, captured fields left out. */
  get worst(): number {
    if (this.variable === null) return this.literal.length * bytes.WORST_ESCAPE;
    if (this.op === table.ATTEMPTS) return MAX_ATTEMPTS_SHOWN * 2500;
    if (this.op === table.REASON_TEXT) return 1024 * bytes.WORST_CHARACTER;
    return this.variable.kind === 'number' ? 32 : 300 * bytes.WORST_CHARACTER;
  }
}

interface Problem {
  readonly message: string;
  /** Where in the text. */
  readonly at: number;
}

const variableName = /^[a-z][a-z0-9_]*$/;
const headerVariable = /^(request_header_|response_header_)([!#$&'*+.^_`|~0-9A-Za-z-]+)$/;

function lookUp(name: string): Variable | undefined {
  const header = headerVariable.exec(name);
  if (header === null) return variableName.test(name) && Object.hasOwn(variables, name) ? variables[name] : undefined;
  const reply = header[1] === table.replyHeaderPrefix;
  return { op: reply ? table.REPLY_FIELD : table.REQUEST_FIELD, kind: 'text', known: reply ? AT_REPLY : AT_REQUEST, doc: '', reads: [header[2]!] };
}

/** Splits a text; `%%` is a percent sign. */
function parse(text: string, moment: Moment, captures: Captures | null): { parts: Part[]; problems: Problem[] } {
  const parts: Part[] = [];
  const problems: Problem[] = [];
  let literal = '';
  for (let at = 0; at < text.length; ) {
    const percent = text.indexOf('%', at);
    if (percent < 0) {
      literal += text.slice(at);
      break;
    }
    literal += text.slice(at, percent);
    if (text[percent + 1] === '%') {
      literal += '%';
      at = percent + 2;
      continue;
    }
    const close = text.indexOf('%', percent + 1);
    const name = close < 0 ? '' : text.slice(percent + 1, close);
    if (close < 0 || !/^[!#$&'*+.^_`|~0-9A-Za-z-]*$/.test(name)) {
      problems.push({ message: 'a percent sign begins a variable, as in %duration%; write %% for the sign itself', at: percent });
      literal += '%';
      at = percent + 1;
      continue;
    }
    at = close + 1;
    const variable = lookUp(name);
    if (variable === undefined) {
      problems.push({ message: `the variable %${name}% does not exist${hint(name)}`, at: percent });
    } else if (variable.known > moment) {
      const when = variable.known === AT_END ? 'when the exchange has ended' : 'when the reply has come';
      problems.push({ message: `the variable %${name}% is known only ${when}`, at: percent });
    } else {
      if (literal !== '') parts.push(new Part(literal, null, null));
      literal = '';
      parts.push(new Part(name, variable, captures));
    }
  }
  if (literal !== '') parts.push(new Part(literal, null, null));
  return { parts, problems };
}

function hint(name: string): string {
  if (name.startsWith(table.requestHeaderPrefix) || name.startsWith(table.replyHeaderPrefix)) return '; the name of a header must follow';
  const found = nearest(name, [...Object.keys(variables), 'request_header_NAME', 'response_header_NAME']);
  return found.length === 0 ? '' : `; did you mean %${found[0]}%?`;
}

/** What is wrong with a template, in words; nothing when `compile` accepts it. */
export function templateProblems(text: string, moment: Moment): string[] {
  return parse(text, moment, null).problems.map((p) => p.message);
}

const scratch = new BlockOutput(4096);

/** A text with variables, compiled. */
export class Template {
  readonly text: string;
  readonly parts: readonly Part[];
  /** The text itself where it has no variable. */
  readonly constant: string | null;
  /** Reads the request head, so that whoever renders it after the request needs the head kept. */
  readonly readsRequest: boolean;
  /** Most bytes one rendering takes, captured fields left out. */
  readonly worst: number;

  constructor(text: string, parts: readonly Part[]) {
    this.text = text;
    this.parts = parts;
    this.constant = parts.every((p) => p.variable === null) ? parts.map((p) => p.text).join('') : null;
    this.readsRequest = parts.some((p) => p.names.length > 0 && p.op !== table.REPLY_FIELD);
    this.worst = parts.reduce((sum, p) => sum + p.worst, 0);
  }

  /** The text of this moment; what is absent leaves nothing. Line breaks and NUL in values become spaces: the result fits a header. */
  render(source: VariableSource): string {
    if (this.constant !== null) return this.constant;
    const { record, requestHead, replyHead } = source;
    scratch.writer.pos = 0;
    let need = this.worst + record.capturedLength * this.parts.length;
    // A head's own values have no limit here but the codec's.
    for (const part of this.parts) for (const name of part.names) need += lengthOf(part.op === table.REPLY_FIELD ? replyHead : requestHead, name);
    const w = scratch.out(need);
    for (const part of this.parts) {
      const from = w.pos;
      if (part.op === table.LITERAL) w.bytes(part.literal, 0, part.literal.length);
      else if (!writeVariable(w, part, RAW, record, requestHead, replyHead)) w.pos = from;
      else clean(w.buf, from, w.pos);
    }
    const text = (w.buf as Buffer).utf8Slice(0, w.pos);
    if (w.buf.length > 64 * 1024) w.buf = Buffer.allocUnsafe(4096);
    w.pos = 0;
    return text;
  }
}

function lengthOf(head: Head | null, name: HeaderName): number {
  return head !== null && head.find(name) ? head.vend - head.vstart : 0;
}

function clean(buf: Uint8Array, start: number, end: number): void {
  for (let i = start; i < end; i++) {
    const b = buf[i]!;
    if (b === 10 || b === 13 || b === 0) buf[i] = 0x20;
  }
}

/**
 * Compiles a text. With `captures` its fields are read from records captured with that set (logs); without, from the heads of
 * the source (header edits, redirects, bodies). Throws on what `templateProblems` reports: the configuration was checked before.
 */
export function compile(text: string, moment: Moment = AT_REQUEST, captures: Captures | null = null): Template {
  const { parts, problems } = parse(text, moment, captures);
  if (problems.length > 0) throw new Error(problems[0]!.message);
  return new Template(text, parts);
}

// The field found last.
let fieldBuf: Uint8Array = Buffer.alloc(0);
let fieldStart = 0;
let fieldEnd = 0;

/** Finds field `i` of a part in the head, or where the record keeps it. */
function findField(part: Part, i: number, record: ExchangeRecord, head: Head | null, reply: boolean): boolean {
  if (head !== null) {
    if (!head.find(part.names[i]!)) return false;
    fieldBuf = head.vbuf;
    fieldStart = head.vstart;
    fieldEnd = head.vend;
    return true;
  }
  const captures = part.captures;
  if (captures === null || record.captures !== captures) return false;
  const slot = part.slots[i]!;
  if (slot >= (reply ? record.replyCount : record.requestCount)) return false;
  const slots = reply ? record.replySlots : record.requestSlots;
  const start = slots[slot * 2]!;
  if (start < 0) return false;
  fieldBuf = record.captured;
  fieldStart = start;
  fieldEnd = slots[slot * 2 + 1]!;
  return true;
}

/** Where the query begins in the field found last: the place of the question mark, or its end. */
function questionMark(): number {
  const buf = fieldBuf;
  const end = fieldEnd;
  let i = fieldStart;
  while (i < end && buf[i] !== 0x3f) i++;
  return i;
}

function putField(w: Writer, escapes: Escapes): boolean {
  putBytes(w, fieldBuf, fieldStart, fieldEnd, escapes);
  return true;
}

/** Where in the block being written the captured bytes of the record lie as well; -1 where they do not. */
let copiedAt = -1;

/**
 * Says that record.captured was copied to `at` of the block that is about to be written to, so that its fields get to their
 * places by copies within the block: the only native copy of a part that needs no object. -1 when the line is done.
 */
export function capturedLieAt(at: number): void {
  copiedAt = at;
}

/** Stores record.captured[start, end), escaped. */
function putCaptured(w: Writer, record: ExchangeRecord, start: number, end: number, escapes: Escapes): boolean {
  const n = end - start;
  if (copiedAt >= 0 && n > bytes.NATIVE_FROM && bytes.isClean(record.words, start, end, escapes)) {
    w.buf.copyWithin(w.pos, copiedAt + start, copiedAt + end);
    w.pos += n;
  } else {
    putBytes(w, record.captured, start, end, escapes);
  }
  return true;
}

/** The place of a captured request field in `requestSlots`, or -1. */
function slotOf(part: Part, i: number, record: ExchangeRecord): number {
  const slot = part.slots[i]!;
  return slot < record.requestCount && record.captures === part.captures && record.requestSlots[slot * 2]! >= 0 ? slot * 2 : -1;
}

/** REQUEST_FIELD, REQUEST_ID and OPERATION of a part with captures, as `writeVariable` stores them with no head at hand, by a shorter way. */
export function writeCaptured(w: Writer, part: Part, escapes: Escapes, record: ExchangeRecord): boolean {
  const slots = record.requestSlots;
  if (part.op === table.OPERATION) {
    const path = slotOf(part, 0, record);
    const method = slotOf(part, 1, record);
    // Method and path lie side by side in a request line, and in the copy of it: one piece, unless the space is to be escaped.
    if (path >= 0 && method >= 0 && slots[path] === slots[method + 1]! + 1 && record.captured[slots[path]! - 1] === 0x20 && escapes !== bytes.BARE) {
      return putCaptured(w, record, slots[method]!, slots[path + 1]!, escapes);
    }
    const before = method >= 0 ? method : slotOf(part, 2, record);
    const after = method >= 0 ? path : slotOf(part, 3, record);
    if (before >= 0) putCaptured(w, record, slots[before]!, slots[before + 1]!, escapes);
    if (after < 0) return before >= 0;
    if (before >= 0) w.buf[w.pos++] = method >= 0 ? 0x20 : 0x2e;
    return putCaptured(w, record, slots[after]!, slots[after + 1]!, escapes);
  }
  if (part.op === table.REQUEST_FIELD || part.op === table.REQUEST_ID) {
    const at = slotOf(part, 0, record);
    if (at >= 0 && slots[at + 1]! > slots[at]!) return putCaptured(w, record, slots[at]!, slots[at + 1]!, escapes);
    if (part.op === table.REQUEST_FIELD) return at >= 0;
  }
  return writeVariable(w, part, escapes, record, null, null);
}

function putString(w: Writer, text: string, escapes: Escapes): boolean {
  if (text === '') return false;
  putText(w, text, escapes);
  return true;
}

function putSince(w: Writer, record: ExchangeRecord, at: number): boolean {
  if (at === 0) return false;
  putMs(w, at - record.start);
  return true;
}

function putNumber(w: Writer, value: number): boolean {
  putInt(w, value);
  return true;
}

/**
 * Stores the value of a variable, escaped; false when there is none (what was stored before it was known is then to be cut off
 * by the caller). A head that is null is replaced by what the record captured.
 */
export function writeVariable(w: Writer, part: Part, escapes: Escapes, record: ExchangeRecord, request: Head | null, reply: Head | null): boolean {
  switch (part.op) {
    case table.START_TIME:
      bytes.putTime(w, record.start);
      return true;
    case table.TIMESTAMP:
      return putNumber(w, Math.floor(bytes.wallOf(record.start)));
    case table.DURATION:
      return putSince(w, record, record.end);
    case table.REQUEST_DURATION:
      return putSince(w, record, record.requestDone);
    case table.CONNECTED_DURATION:
      return putSince(w, record, record.upstreamConnected);
    case table.REPLY_DURATION:
      return putSince(w, record, record.firstReplyByte);
    case table.PROCESS_TIME:
      if (record.end === 0) return false;
      putMs(w, record.duration - (record.firstReplyByte === 0 || record.requestDone === 0 ? 0 : Math.max(0, record.firstReplyByte - record.requestDone)));
      return true;
    case table.BYTES_IN:
      return putNumber(w, record.bytesIn);
    case table.BYTES_OUT:
      return putNumber(w, record.bytesOut);
    case table.PROTOCOL:
      return putString(w, record.protocol, escapes);
    case table.KIND:
      return putString(w, record.oneway ? 'oneway' : 'request', escapes);
    case table.RESPONSE_CODE:
      return record.status !== 0 && putNumber(w, record.status);
    case table.RAW_STATUS:
      // 0 is a status of its own in some protocols (Bolt: success), so a reply is told by the other one.
      return record.status !== 0 && putNumber(w, record.rawStatus);
    case table.FLAGS:
      return record.code !== '' && reasons[record.code].flag !== '-' && putString(w, reasons[record.code].flag, escapes);
    case table.REASON:
      return putString(w, record.code, escapes);
    case table.REASON_TEXT:
      if (record.code === '') return false;
      putText(w, sentence(record.code, record.context ?? {}), escapes, 1024);
      return true;
    case table.WHERE:
      return record.code !== '' && putString(w, reasons[record.code].where, escapes);
    case table.ERRNO:
      return putString(w, record.errno, escapes);
    case table.ATTEMPTS:
      return putAttempts(w, record, escapes);
    case table.ATTEMPT_COUNT:
      return putNumber(w, record.attempts);
    case table.NOTES:
      return record.flags !== 0 && putNotes(w, record.flags);
    case table.UPSTREAM_HOST:
      return putString(w, record.host, escapes);
    case table.UPSTREAM_CLUSTER:
      return putString(w, record.clusterName, escapes);
    case table.UPSTREAM_LOCAL:
      return bytes.putLocal(w, record.upstream, escapes);
    case table.UPSTREAM_CONNECTION:
      return record.upstreamConnectionId !== 0 && putNumber(w, record.upstreamConnectionId);
    case table.DOWNSTREAM_REMOTE:
      return bytes.putRemote(w, record.downstream, escapes);
    case table.DOWNSTREAM_IP:
      return record.downstream !== null && putString(w, record.downstream.remoteAddress, escapes);
    case table.DOWNSTREAM_LOCAL:
      return bytes.putLocal(w, record.downstream, escapes);
    case table.DOWNSTREAM_ORIGINAL:
      return record.downstream !== null && bytes.putAddress(w, record.downstream.originalAddress, record.downstream.originalPort, escapes);
    case table.CONNECTION:
      return record.connectionId !== 0 && putNumber(w, record.connectionId);
    case table.LISTENER_NAME:
      return putString(w, record.listener, escapes);
    case table.LISTENER_PORT:
      return record.downstream !== null && record.downstream.localPort !== 0 && putNumber(w, record.downstream.localPort);
    case table.ROUTE_NAME:
      return putString(w, record.routeName, escapes);
    case table.SERVER_NAME:
      return record.downstream !== null && putString(w, record.downstream.serverName, escapes);
    case table.TLS_VERSION:
      return record.downstream !== null && putString(w, record.downstream.tlsVersion, escapes);
    case table.PEER_SUBJECT:
      return record.downstream !== null && putString(w, record.downstream.peerSubject, escapes);
    case table.REQUEST_FIELD:
      return findField(part, 0, record, request, false) && putField(w, escapes);
    case table.REPLY_FIELD:
      return findField(part, 0, record, reply, true) && putField(w, escapes);
    case table.PATH_ONLY:
      if (!findField(part, 0, record, request, false)) return false;
      fieldEnd = questionMark();
      return putField(w, escapes);
    case table.QUERY:
      if (!findField(part, 0, record, request, false)) return false;
      fieldStart = Math.min(fieldEnd, questionMark() + 1);
      return fieldStart < fieldEnd && putField(w, escapes);
    case table.OPERATION:
      return putOperation(w, part, escapes, record, request);
    case table.REQUEST_ID:
      if (findField(part, 0, record, request, false) && fieldEnd > fieldStart) return putField(w, escapes);
      if (record.sequence === 0) return false;
      putBytes(w, requestIdPrefixBytes(), 0, requestIdPrefixBytes().length, RAW);
      return putNumber(w, record.sequence);
    case table.SPAN_ID:
      return record.trace !== null && record.trace.sampled && putString(w, record.trace.serverId, escapes);
    case table.TRACE_ID:
      if (record.trace !== null) return putString(w, record.trace.traceId, escapes);
      // traceparent is version (2 digits), trace id (32), parent id (16), flags (2), with dashes between (W3C Trace Context).
      if (!findField(part, 0, record, request, false) || fieldEnd - fieldStart < 55) return false;
      fieldStart += 3;
      fieldEnd = fieldStart + 32;
      return putField(w, escapes);
    case table.SCHEME:
      if (findField(part, 0, record, request, false)) return putField(w, escapes);
      return record.downstream !== null && putString(w, record.downstream.secure ? 'https' : 'http', escapes);
    default:
      throw new Error(`variable ${part.text} has no writer`);
  }
}

/** `GET /path`, or `service.method`, by what the head has. */
function putOperation(w: Writer, part: Part, escapes: Escapes, record: ExchangeRecord, request: Head | null): boolean {
  const isHttp = findField(part, 1, record, request, false);
  const first = isHttp || findField(part, 2, record, request, false);
  if (first) putField(w, escapes);
  if (!findField(part, isHttp ? 0 : 3, record, request, false)) return first;
  if (first) w.buf[w.pos++] = isHttp ? 0x20 : 0x2e;
  return putField(w, escapes);
}

/** `host` for an attempt that was answered, `host=reason/errno/ms` for one that failed. */
function putAttempts(w: Writer, record: ExchangeRecord, escapes: Escapes): boolean {
  if (record.attempts <= 1 && record.firstCode === '') return putString(w, record.firstHost, escapes);
  const shown = Math.min(record.attempts, MAX_ATTEMPTS_SHOWN);
  for (let i = 0; i < shown; i++) {
    const attempt = record.attempt(i);
    if (i > 0) w.buf[w.pos++] = COMMA;
    putText(w, attempt.host, escapes, 128);
    if (attempt.code === '') continue;
    w.buf[w.pos++] = 0x3d;
    putText(w, attempt.code, escapes);
    w.buf[w.pos++] = SLASH;
    if (attempt.errno === '') w.buf[w.pos++] = DASH;
    else putText(w, attempt.errno, escapes, 64);
    w.buf[w.pos++] = SLASH;
    putMs(w, attempt.duration);
    w.latin1('ms');
  }
  if (record.attempts > shown) w.latin1(',...');
  return true;
}

// Pieces of the array below, which are copied rather than spelt.
const piece = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const firstAttempt = piece('[{"host":"');
const nextAttempt = piece(',{"host":"');
const answered = piece('","reason":null,"errno":null,"ms":');
const failed = piece('","reason":"');
const errnoBefore = piece('","errno":"');
const errnoNull = piece('","errno":null,"ms":');
const msBefore = piece('","ms":');
const wasReused = piece(',"reused":true}');
const wasNew = piece(',"reused":false}');

/** The same as a JSON array of {host, reason, errno, ms, reused}. */
export function putAttemptsJson(w: Writer, record: ExchangeRecord): void {
  const shown = Math.min(record.attempts, MAX_ATTEMPTS_SHOWN);
  if (shown === 0) w.buf[w.pos++] = 0x5b;
  else putAttemptJson(w, firstAttempt, record.firstHost, record.firstCode, record.firstErrno, record.firstDuration, record.firstReused);
  for (let i = 1; i < shown; i++) {
    const { host, code, errno, duration, reused } = record.attempt(i);
    putAttemptJson(w, nextAttempt, host, code, errno, duration, reused);
  }
  w.buf[w.pos++] = 0x5d;
}

function putAttemptJson(w: Writer, before: Uint8Array, host: string, code: string, errno: string, duration: number, reused: boolean): void {
  putAll(w, before);
  putText(w, host, bytes.JSON_STRING, 128);
  if (code === '') {
    putAll(w, answered);
  } else {
    putAll(w, failed);
    putText(w, code, bytes.JSON_STRING);
    if (errno === '') {
      putAll(w, errnoNull);
    } else {
      putAll(w, errnoBefore);
      putText(w, errno, bytes.JSON_STRING, 64);
      putAll(w, msBefore);
    }
  }
  putMs(w, duration);
  putAll(w, reused ? wasReused : wasNew);
}

function putNotes(w: Writer, flags: number): boolean {
  let first = true;
  for (let i = 0; i < noteNames.length; i++) {
    if ((flags & (1 << i)) === 0) continue;
    if (!first) w.buf[w.pos++] = COMMA;
    first = false;
    w.latin1(noteNames[i]!);
  }
  return !first;
}

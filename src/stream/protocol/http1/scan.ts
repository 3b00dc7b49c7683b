// Scans the head of a message into an Http1Head: each byte once, wherever the reads split it, and nothing lenient (RFC 9112).
import { TARGET, TOKEN } from './chars.js';
import { UNKNOWN, candidate, nameKey } from './names.js';
import { checkReply, checkRequest, noteHeader } from './meaning.js';
import { SCAN_REPLY, SCAN_REQUEST, SCAN_TRAILERS, type Http1Head } from './head.js';

/** Answers of `scanHead` that are no length. */
export const MORE = -1;
export const FAILED = -2;

export interface Limits {
  /** Most bytes of a start line, without its CRLF. */
  readonly maxLine: number;
  /** Most bytes of a head or of a trailer section, with the blank line. */
  readonly maxHead: number;
  /** Most headers of a head or of a trailer section. */
  readonly maxHeaders: number;
}

// Phases, in the order they are met. Each loop below can stop at any byte and go on there with the next read.
const START = 0;
const REQUEST_TARGET = 1;
const REQUEST_VERSION = 2;
const REPLY_REASON = 3;
const REPLY_LF = 4;
const FIELD = 5;
const FIELD_NAME = 6;
const FIELD_BLANK = 7;
const FIELD_VALUE = 8;
const FIELD_LF = 9;
const LAST_LF = 10;

const CR = 13;
const LF = 10;
const SP = 32;
const TAB = 9;

const VERSION = Buffer.from('HTTP/1.?');

/** Sets the reason of a refusal. */
function refuse(head: Http1Head, detail: string, code: Http1Head['failCode'] = 'bad-request'): number {
  head.failCode = code;
  head.failContext = { detail };
  return FAILED;
}

function overLimit(head: Http1Head, code: 'line-too-long' | 'head-too-large', limit: string | number): number {
  head.failCode = code;
  head.failContext = { limit };
  return FAILED;
}

function pause(head: Http1Head, phase: number, at: number): number {
  head.phase = phase;
  head.at = at;
  return MORE;
}

/** Names a byte that was met where it must not be. */
export function byteName(c: number): string {
  if (c === LF) return 'a bare LF';
  if (c === CR) return 'a CR';
  if (c === 0) return 'a NUL';
  if (c === SP) return 'a space';
  if (c === TAB) return 'a tab';
  if (c < 32 || c > 126) return `byte 0x${c.toString(16).padStart(2, '0')}`;
  return `"${String.fromCharCode(c)}"`;
}

/**
 * Scans buf[base, end) as the head's kind says; call again with the same bytes and more behind them after MORE (they may have moved).
 * Returns the length of the complete head, MORE, or FAILED with failCode and failContext set.
 * Whatever the reads were, the same bytes give the same answer: limits are met at the byte that passes them.
 */
export function scanHead(head: Http1Head, buf: Uint8Array, base: number, end: number, limits: Limits): number {
  head.buf = buf;
  head.start = base;
  if (head.phase < FIELD) {
    if (head.scanning === SCAN_TRAILERS) {
      head.phase = FIELD;
      head.index[0] = 0;
    } else {
      const lineLimit = base + limits.maxLine + 2;
      const stop = end < lineLimit ? end : lineLimit;
      const result = head.scanning === SCAN_REQUEST ? requestLine(head, buf, base, stop) : statusLine(head, buf, base, stop);
      if (result === FAILED) return FAILED;
      if (result === MORE) return stop === lineLimit ? overLimit(head, 'line-too-long', limits.maxLine) : MORE;
    }
  }
  return fields(head, buf, base, end, limits);
}

function requestLine(head: Http1Head, buf: Uint8Array, base: number, stop: number): number {
  let i = base + head.at;
  let phase = head.phase;
  if (phase === START) {
    const token = TOKEN;
    while (i < stop && token[buf[i]] !== 0) i++;
    if (i === stop) return pause(head, START, i - base);
    if (buf[i] !== SP || i === base) return refuseStart(head, buf, base, i);
    head.methodEnd = i - base;
    head.targetStart = ++i - base;
    phase = REQUEST_TARGET;
  }
  if (phase === REQUEST_TARGET) {
    const target = TARGET;
    while (i < stop && target[buf[i]] !== 0) i++;
    if (i === stop) return pause(head, REQUEST_TARGET, i - base);
    if (buf[i] !== SP || i - base === head.targetStart) return refuseTarget(head, buf, base, i);
    head.targetEnd = i - base;
    i++;
    phase = REQUEST_VERSION;
  }
  let k = i - base - head.targetEnd - 1;
  if (k === 0 && stop - i >= 10 && isVersion(buf, i) && buf[i + 7] === 49 && buf[i + 8] === CR && buf[i + 9] === LF) {
    // What nearly all of them say.
    head.minorDigit = 49;
    return lineDone(head, i + 10 - base);
  }
  for (; i < stop; i++, k++) {
    const c = buf[i];
    if (k < 8) {
      if (k === 7) {
        if (c < 48 || c > 57) return refuseVersion(head, buf, base, i, k);
        head.minorDigit = c;
      } else if (c !== VERSION[k]) {
        return refuseVersion(head, buf, base, i, k);
      }
    } else if (k === 8) {
      if (c !== CR) return refuse(head, `${byteName(c)} after the version of the request line`);
    } else {
      if (c !== LF) return refuse(head, 'a CR without LF in the request line');
      return lineDone(head, i + 1 - base);
    }
  }
  return pause(head, REQUEST_VERSION, i - base);
}

/** "HTTP/1." */
function isVersion(buf: Uint8Array, i: number): boolean {
  return buf[i] === 72 && buf[i + 1] === 84 && buf[i + 2] === 84 && buf[i + 3] === 80 && buf[i + 4] === 47 && buf[i + 5] === 49 && buf[i + 6] === 46;
}

/** The start line is complete; headers begin at this offset. */
function lineDone(head: Http1Head, end: number): number {
  head.minor = head.minorDigit === 48 ? 0 : 1;
  head.lineEnd = end;
  head.index[0] = end;
  head.phase = FIELD;
  head.at = end;
  return end;
}

function refuseStart(head: Http1Head, buf: Uint8Array, base: number, i: number): number {
  const c = buf[i];
  if (i === base && c === 0x16) return refuse(head, 'a TLS handshake arrived where plain HTTP is expected');
  return refuse(head, i === base ? `the request begins with ${byteName(c)}` : `${byteName(c)} in the method`);
}

function refuseTarget(head: Http1Head, buf: Uint8Array, base: number, i: number): number {
  const c = buf[i];
  if (i - base === head.targetStart) return refuse(head, `${byteName(c)} where the request target should begin`);
  if (c === CR || c === LF) return refuse(head, 'the request line has no version');
  return refuse(head, `${byteName(c)} in the request target`);
}

function refuseVersion(head: Http1Head, buf: Uint8Array, base: number, i: number, k: number): number {
  // Up to here the bytes were "HTTP/": a version there is, only not ours.
  if (k >= 5) {
    const preface = head.methodEnd === 3 && buf[base] === 80 && buf[base + 1] === 82 && buf[base + 2] === 73;
    return refuse(head, preface ? 'an HTTP/2 preface arrived where HTTP/1 is expected' : `HTTP/1.0 and HTTP/1.1 are, ${byteName(buf[i])} is not`, 'unsupported-version');
  }
  return refuse(head, `${byteName(buf[i])} where "HTTP/1.1" should stand in the request line`);
}

function statusLine(head: Http1Head, buf: Uint8Array, base: number, stop: number): number {
  let i = base + head.at;
  let phase = head.phase;
  if (phase === START && head.at === 0 && stop - i >= 13 && isVersion(buf, i) && buf[i + 8] === SP && buf[i + 12] === SP && isStatus(buf, i + 9)) {
    head.minorDigit = buf[i + 7];
    head.status = buf[i + 9] * 100 + buf[i + 10] * 10 + buf[i + 11] - 48 * 111;
    i += 13;
    phase = REPLY_REASON;
  } else if (phase === START) {
    for (let k = i - base; i < stop; i++, k++) {
      const c = buf[i];
      if (k === 7) {
        if (c < 48 || c > 57) return refuse(head, `${byteName(c)} in the version of the status line`);
        head.minorDigit = c;
      } else if (k < 8) {
        if (c !== VERSION[k]) return refuse(head, `${byteName(c)} where "HTTP/1.1" should begin the status line`);
      } else if (k === 8) {
        if (c !== SP) return refuse(head, `${byteName(c)} after the version of the status line`);
      } else if (k < 12) {
        if (c < 48 || c > 57 || (k === 9 && c === 48)) return refuse(head, `${byteName(c)} in the status code`);
        head.status = head.status * 10 + c - 48;
      } else {
        // Some servers leave out the space before an empty reason; it is written again when the head is forwarded.
        if (c === CR) head.rewrite = true;
        else if (c !== SP) return refuse(head, `${byteName(c)} after the status code`);
        else i++;
        break;
      }
    }
    if (i === stop && i - base < 13) return pause(head, START, i - base);
    phase = REPLY_REASON;
  }
  if (phase === REPLY_REASON) {
    let c = 0;
    while (i < stop && (((c = buf[i]) >= 32 && c !== 127) || c === TAB)) i++;
    if (i === stop) return pause(head, REPLY_REASON, i - base);
    if (c !== CR) return refuse(head, `${byteName(c)} in the reason of the status line`);
    i++;
  }
  if (i === stop) return pause(head, REPLY_LF, i - base);
  if (buf[i] !== LF) return refuse(head, 'a CR without LF in the status line');
  head.rawStatus = head.status;
  return lineDone(head, i + 1 - base);
}

/** A version digit before, and three digits of a status at `i`. */
function isStatus(buf: Uint8Array, i: number): boolean {
  const version = buf[i - 2];
  const a = buf[i];
  const b = buf[i + 1];
  const c = buf[i + 2];
  return version >= 48 && version <= 57 && a >= 49 && a <= 57 && b >= 48 && b <= 57 && c >= 48 && c <= 57;
}

function fields(head: Http1Head, buf: Uint8Array, base: number, end: number, limits: Limits): number {
  const limit = base + limits.maxHead;
  const stop = end < limit ? end : limit;
  const token = TOKEN;
  let index = head.index;
  let keys = head.keys;
  let count = head.count;
  let phase = head.phase;
  let i = base + head.at;
  if (i > stop) return overLimit(head, 'head-too-large', `${limits.maxHead} bytes`);
  for (;;) {
    if (phase === FIELD) {
      if (i === stop) break;
      if (buf[i] === CR) {
        i++;
        phase = LAST_LF;
      } else {
        if (count === limits.maxHeaders) return overLimit(head, 'head-too-large', `${limits.maxHeaders} headers`);
        if (count === keys.length) {
          head.count = count;
          head.grow();
          index = head.index;
          keys = head.keys;
        }
        phase = FIELD_NAME;
      }
    }
    if (phase === FIELD_NAME) {
      let c = 0;
      while (i < stop && token[(c = buf[i])] !== 0) i++;
      if (i === stop) break;
      if (c !== 58 || i - base === index[4 * count]) return refuseName(head, buf, base, i, count);
      index[4 * count + 1] = i - base;
      i++;
      phase = FIELD_BLANK;
    }
    if (phase === FIELD_BLANK) {
      let c = 0;
      while (i < stop && ((c = buf[i]) === SP || c === TAB)) i++;
      if (i === stop) break;
      index[4 * count + 2] = i - base;
      phase = FIELD_VALUE;
    }
    if (phase === FIELD_VALUE) {
      let c = 0;
      for (; i < stop; i++) {
        c = buf[i];
        if (c < 32) {
          if (c !== TAB) break;
        } else if (c === 127) {
          break;
        }
      }
      if (i === stop) break;
      if (c !== CR) return refuseValue(head, buf, base, i, count);
      let last = i;
      const from = base + index[4 * count + 2];
      while (last > from && ((c = buf[last - 1]) === SP || c === TAB)) last--;
      index[4 * count + 3] = last - base;
      i++;
      phase = FIELD_LF;
    }
    if (phase === FIELD_LF) {
      if (i === stop) break;
      if (buf[i] !== LF) return refuseValue(head, buf, base, i - 1, count);
      i++;
      const key = nameKey(buf, base + index[4 * count], base + index[4 * count + 1]);
      keys[count] = key;
      index[4 * count + 4] = i - base;
      head.count = count + 1;
      const id = candidate(key);
      if (id !== UNKNOWN && !noteHeader(head, count, id)) return FAILED;
      count++;
      phase = FIELD;
      continue;
    }
    if (i === stop) break;
    if (buf[i] !== LF) return refuse(head, 'a CR without LF at the end of the head');
    head.headEnd = i + 1 - base;
    head.end = i + 1;
    if (head.scanning === SCAN_REQUEST) return checkRequest(head) ? head.headEnd : FAILED;
    if (head.scanning === SCAN_REPLY) return checkReply(head) ? head.headEnd : FAILED;
    return head.headEnd;
  }
  if (stop === limit) return overLimit(head, 'head-too-large', `${limits.maxHead} bytes`);
  return pause(head, phase, i - base);
}

function refuseName(head: Http1Head, buf: Uint8Array, base: number, i: number, count: number): number {
  const c = buf[i];
  const from = base + head.index[4 * count];
  if (i === from) {
    if (c === SP || c === TAB) return refuse(head, count === 0 ? 'blanks before the first header' : 'a folded header line (obs-fold)');
    if (c === 58) return refuse(head, 'a header without a name');
    return refuse(head, `${byteName(c)} at the beginning of a header line`);
  }
  const name = (buf as Buffer).latin1Slice(from, Math.min(i, from + 64));
  if (c === CR || c === LF) return refuse(head, `header line without a colon: ${name}`);
  if (c === SP || c === TAB) return refuse(head, `blanks before the colon of header ${name}`);
  return refuse(head, `${byteName(c)} in a header name that begins with ${name}`);
}

function refuseValue(head: Http1Head, buf: Uint8Array, base: number, i: number, count: number): number {
  const from = base + head.index[4 * count];
  const name = (buf as Buffer).latin1Slice(from, Math.min(base + head.index[4 * count + 1], from + 64));
  return refuse(head, `${buf[i] === CR ? 'a CR without LF' : byteName(buf[i])} in the value of header ${name}`);
}

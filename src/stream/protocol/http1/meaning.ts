// What the known headers of a head mean for its framing and forwarding, and which combinations are refused (RFC 9112 sections 3, 6 and 11).
import { AUTHORITY_BYTE } from './chars.js';
import { ABSOLUTE, ASTERISK, AUTHORITY_FORM, CONNECT_METHOD, HEAD_METHOD, SCAN_REQUEST, SCAN_TRAILERS, type Http1Head } from './head.js';
import {
  CONNECTION, CONTENT_LENGTH, EXPECT, HOST, KEEP_ALIVE, PROXY_CONNECTION, TE, TRANSFER_ENCODING, UPGRADE,
  isKnown, knownName, nameKey, sameLower, sameName,
} from './names.js';

const CHUNKED = Buffer.from('chunked');
const CLOSE = Buffer.from('close');
const KEEP_ALIVE_TOKEN = Buffer.from('keep-alive');
const UPGRADE_TOKEN = Buffer.from('upgrade');
const TE_TOKEN = Buffer.from('te');
const TRAILERS = Buffer.from('trailers');
const CONTINUE = Buffer.from('100-continue');
const HTTP_SCHEME = Buffer.from('http');
const HTTPS_SCHEME = Buffer.from('https');
/** Protocols an upgrade to which would carry further HTTP requests past routes and filters, or hide everything from them. */
const NO_UPGRADE = [Buffer.from('h2c'), Buffer.from('h2'), Buffer.from('http'), Buffer.from('tls')];

function refuse(head: Http1Head, detail: string, code: Http1Head['failCode'] = 'bad-request'): false {
  head.failCode = code;
  head.failContext = { detail };
  return false;
}

/** Takes note of header `k` just scanned, whose name may be the known one `id`. False: refused. */
export function noteHeader(head: Http1Head, k: number, id: number): boolean {
  const buf = head.buf;
  const base = head.start;
  const index = head.index;
  if (!isKnown(buf, base + index[4 * k], base + index[4 * k + 1], id)) return true;
  if (head.scanning === SCAN_TRAILERS) {
    // Framing and routing are decided by the head; in trailers such fields could only mislead whoever merges them.
    head.drop(k);
    return true;
  }
  const from = base + index[4 * k + 2];
  const to = base + index[4 * k + 3];
  switch (id) {
    case CONTENT_LENGTH:
      if (head.lengthIndex >= 0) return refuse(head, 'content-length is repeated', 'ambiguous-length');
      head.lengthIndex = k;
      return noteLength(head, buf, from, to);
    case TRANSFER_ENCODING:
      if (head.chunked) return refuse(head, 'transfer-encoding is repeated', 'ambiguous-length');
      head.drop(k);
      if (!sameLower(buf, from, to, CHUNKED)) return refuseCoding(head, buf, from, to);
      head.chunked = true;
      return true;
    case CONNECTION:
      head.drop(k);
      noteConnection(head, buf, from, to);
      return true;
    case KEEP_ALIVE:
    case PROXY_CONNECTION:
      head.drop(k);
      return true;
    case UPGRADE:
      head.upgradeIndex = k;
      head.upgrades++;
      return true;
    default:
      return head.scanning !== SCAN_REQUEST || noteRequestHeader(head, id, k, from, to);
  }
}

function noteRequestHeader(head: Http1Head, id: number, k: number, from: number, to: number): boolean {
  switch (id) {
    case HOST:
      if (head.hostIndex >= 0) return refuse(head, 'host is repeated');
      head.hostIndex = k;
      for (let i = from; i < to; i++) {
        if (AUTHORITY_BYTE[head.buf[i]] === 0) return refuse(head, 'the value of host is not a host and port');
      }
      return true;
    case TE:
      if (head.teIndex < 0 && sameLower(head.buf, from, to, TRAILERS)) head.teIndex = k;
      else head.drop(k);
      return true;
    case EXPECT:
      if (head.expectIndex >= 0 || !sameLower(head.buf, from, to, CONTINUE)) return refuse(head, 'only one 100-continue can be met', 'expectation-failed');
      head.expectIndex = k;
      return true;
    default:
      return true;
  }
}

function noteLength(head: Http1Head, buf: Uint8Array, from: number, to: number): boolean {
  if (from === to) return refuse(head, 'content-length is empty', 'ambiguous-length');
  let n = 0;
  for (let i = from; i < to; i++) {
    const d = buf[i] - 48;
    if (d < 0 || d > 9) return refuse(head, 'content-length is not a number', 'ambiguous-length');
    n = n * 10 + d;
    if (n > Number.MAX_SAFE_INTEGER) return refuse(head, 'content-length is too large', 'ambiguous-length');
  }
  head.sentLength = n;
  head.length = n;
  return true;
}

/** A coding that ends in one chunked delimits the body, only we do not do the others; everything else leaves the end unknown. */
function refuseCoding(head: Http1Head, buf: Uint8Array, from: number, to: number): false {
  const value = (buf as Buffer).latin1Slice(from, Math.min(to, from + 128));
  const codings = value.toLowerCase().split(',').map((coding) => coding.trim());
  const delimited = codings.indexOf('chunked') === codings.length - 1;
  return refuse(head, `transfer-encoding: ${value}`, delimited ? 'unsupported-transfer-coding' : 'ambiguous-length');
}

/** Where the list element that begins at or after `i` starts, or `to`. */
function elementStart(buf: Uint8Array, i: number, to: number): number {
  while (i < to && (buf[i] === 32 || buf[i] === 9 || buf[i] === 44)) i++;
  return i;
}

function elementEnd(buf: Uint8Array, i: number, to: number): number {
  while (i < to && buf[i] !== 32 && buf[i] !== 9 && buf[i] !== 44) i++;
  return i;
}

function noteConnection(head: Http1Head, buf: Uint8Array, from: number, to: number): void {
  // What nearly all of them say.
  if (sameLower(buf, from, to, KEEP_ALIVE_TOKEN)) {
    head.keepAlive = true;
    return;
  }
  for (let i = elementStart(buf, from, to); i < to; ) {
    const e = elementEnd(buf, i, to);
    if (sameLower(buf, i, e, KEEP_ALIVE_TOKEN)) head.keepAlive = true;
    else if (sameLower(buf, i, e, CLOSE)) head.close = true;
    else if (sameLower(buf, i, e, UPGRADE_TOKEN)) head.upgrade = true;
    else if (!sameLower(buf, i, e, TE_TOKEN)) head.nominates = true;
    i = elementStart(buf, e, to);
  }
}

/**
 * Drops every header that a connection header names. Not host and content-length, which both ends need to agree on the message:
 * a client that names them would have us forward another message than we routed.
 */
function dropNominated(head: Http1Head): void {
  const { buf, start, index } = head;
  for (let c = 0; c < head.count; c++) {
    if (knownName(buf, start + index[4 * c], start + index[4 * c + 1], head.keys[c]) !== CONNECTION) continue;
    const to = start + index[4 * c + 3];
    for (let i = elementStart(buf, start + index[4 * c + 2], to); i < to; ) {
      const e = elementEnd(buf, i, to);
      const key = nameKey(buf, i, e);
      const name = buf.subarray(i, e);
      for (let k = 0; k < head.count; k++) {
        if (head.keys[k] !== key || !sameName(buf, start + index[4 * k], start + index[4 * k + 1], name)) continue;
        if (k !== head.hostIndex && k !== head.lengthIndex && k !== head.upgradeIndex && k !== head.teIndex) head.drop(k);
      }
      i = elementStart(buf, e, to);
    }
  }
}

/** Whether every protocol that an upgrade header asks for may be tunnelled. */
function upgradeAllowed(head: Http1Head): boolean {
  const buf = head.buf;
  const to = head.start + head.index[4 * head.upgradeIndex + 3];
  let any = false;
  for (let i = elementStart(buf, head.start + head.index[4 * head.upgradeIndex + 2], to); i < to; ) {
    const e = elementEnd(buf, i, to);
    let name = i;
    while (name < e && buf[name] !== 47) name++;
    for (const refused of NO_UPGRADE) if (sameLower(buf, i, name, refused)) return false;
    any = true;
    i = elementStart(buf, e, to);
  }
  return any;
}

/** Decides whether an upgrade header is forwarded: only with `connection: upgrade`, once, and where the message allows it. */
function settleUpgrade(head: Http1Head, allowed: boolean): void {
  head.upgrade = head.upgrade && allowed && head.upgrades === 1 && upgradeAllowed(head);
  if (head.upgrade || head.upgrades === 0) return;
  for (let k = 0; k < head.count; k++) {
    if (knownName(head.buf, head.start + head.index[4 * k], head.start + head.index[4 * k + 1], head.keys[k]) === UPGRADE) head.drop(k);
  }
}

function checkLength(head: Http1Head): boolean {
  if (!head.chunked) return true;
  if (head.lengthIndex >= 0) return refuse(head, 'both content-length and transfer-encoding', 'ambiguous-length');
  if (head.minor === 0) return refuse(head, 'transfer-encoding in an HTTP/1.0 message', 'ambiguous-length');
  return true;
}

/** Checks a complete request head as a whole. */
export function checkRequest(head: Http1Head): boolean {
  const buf = head.buf;
  const base = head.start;
  if (head.methodEnd === 4 && buf[base] === 72 && buf[base + 1] === 69 && buf[base + 2] === 65 && buf[base + 3] === 68) head.method = HEAD_METHOD;
  else if (head.methodEnd === 7 && (buf as Buffer).latin1Slice(base, base + 7) === 'CONNECT') head.method = CONNECT_METHOD;
  if (head.hostIndex < 0 && head.minor === 1) return refuse(head, 'an HTTP/1.1 request without host');
  if (!checkLength(head)) return false;
  if ((head.method === CONNECT_METHOD || buf[base + head.targetStart] !== 47) && !checkTarget(head)) return false;
  if (head.upgrade || head.upgrades > 0) settleUpgrade(head, head.minor === 1 && head.method !== CONNECT_METHOD);
  if (head.nominates) dropNominated(head);
  // A client of HTTP/1.0 does not wait, and would not know what a 100 is.
  if (head.expectIndex >= 0 && head.minor === 0) head.drop(head.expectIndex);
  return true;
}

function checkTarget(head: Http1Head): boolean {
  const buf = head.buf;
  const from = head.start + head.targetStart;
  const to = head.start + head.targetEnd;
  if (head.method === CONNECT_METHOD) {
    if (head.chunked || head.sentLength > 0) return refuse(head, 'a CONNECT request with a body');
    let colon = to - 1;
    while (colon > from && buf[colon] >= 48 && buf[colon] <= 57) colon--;
    if (buf[colon] !== 58 || colon === from || colon === to - 1 || !isAuthority(buf, from, to)) {
      return refuse(head, 'the target of CONNECT is not a host and port');
    }
    head.form = AUTHORITY_FORM;
    head.authorityStart = head.targetStart;
    head.authorityEnd = head.targetEnd;
    return true;
  }
  if (buf[from] === 42 && to - from === 1) {
    if ((buf as Buffer).latin1Slice(head.start, head.start + head.methodEnd) !== 'OPTIONS') return refuse(head, 'only OPTIONS may ask for "*"');
    head.form = ASTERISK;
    return true;
  }
  return checkAbsolute(head, buf, from, to);
}

function isAuthority(buf: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (AUTHORITY_BYTE[buf[i]] === 0) return false;
  return to > from;
}

/**
 * An absolute-form target is forwarded in origin-form, and its authority takes the place of Host (RFC 9112 section 3.2.2): whoever
 * reads the other one of the two would see another request.
 */
function checkAbsolute(head: Http1Head, buf: Uint8Array, from: number, to: number): boolean {
  let colon = from;
  while (colon < to && buf[colon] !== 58) colon++;
  if (!sameLower(buf, from, colon, HTTP_SCHEME) && !sameLower(buf, from, colon, HTTPS_SCHEME)) return refuse(head, 'the request target has no known form');
  if (to - colon < 4 || buf[colon + 1] !== 47 || buf[colon + 2] !== 47) return refuse(head, 'the request target has no authority');
  let end = colon + 3;
  while (end < to && buf[end] !== 47 && buf[end] !== 63) end++;
  if (!isAuthority(buf, colon + 3, end)) return refuse(head, 'the authority of the request target is not a host and port');
  head.form = ABSOLUTE;
  head.authorityStart = colon + 3 - head.start;
  head.authorityEnd = end - head.start;
  head.pathStart = end - head.start;
  head.rewrite = true;
  head.rehost = true;
  head.editSize += head.targetEnd - head.targetStart + 96;
  if (head.hostIndex >= 0) head.drop(head.hostIndex);
  if (end === to || buf[end] === 63) {
    const options = end === to && (buf as Buffer).latin1Slice(head.start, head.start + head.methodEnd) === 'OPTIONS';
    head.newPath = options ? '*' : `/${(buf as Buffer).utf8Slice(end, to)}`;
  }
  return true;
}

/** Checks a complete reply head as a whole, as far as that goes without the request. */
export function checkReply(head: Http1Head): boolean {
  if (!checkLength(head)) return false;
  if (head.upgrade || head.upgrades > 0) settleUpgrade(head, head.status === 101 || head.status === 426);
  if (head.nominates) dropNominated(head);
  return true;
}

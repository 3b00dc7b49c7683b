// What a header block means as the head of a request, a reply or trailers (RFC 9113 section 8): checked once for each block, however often it comes.
import { equalAt, hashFolded } from '../../../core/bytes.js';
import { FieldBlockBuilder, type FieldBlock } from './hpack/field-block.js';
import { GRPC_OK, httpOfGrpc, grpcTimeout } from './grpc.js';

export const AS_REQUEST = 0;
export const AS_REPLY = 1;
export const AS_TRAILERS = 2;
export type Purpose = typeof AS_REQUEST | typeof AS_REPLY | typeof AS_TRAILERS;

class Known {
  readonly bytes: Buffer;
  readonly hash: number;

  constructor(text: string) {
    this.bytes = Buffer.from(text);
    this.hash = hashFolded(this.bytes, 0, this.bytes.length);
  }
}

const known = (text: string): Known => new Known(text);
const METHOD = known(':method');
const PATH = known(':path');
const AUTHORITY = known(':authority');
const SCHEME = known(':scheme');
const PROTOCOL = known(':protocol');
const STATUS = known(':status');
/** Belong to one connection of HTTP/1 and are malformed here (section 8.2.2). */
const forbidden = ['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'].map(known);
const TE = known('te');
const CONTENT_LENGTH = known('content-length');
const CONTENT_TYPE = known('content-type');
const HOST = known('host');
const COOKIE = known('cookie');
const GRPC_TIMEOUT = known('grpc-timeout');
const GRPC_STATUS = known('grpc-status');

const TRAILERS_VALUE = Buffer.from('trailers');
const GRPC_TYPE = Buffer.from('application/grpc');
const CONNECT = Buffer.from('CONNECT');
const HEAD = Buffer.from('HEAD');
const STAR = Buffer.from('*');
const repeatable = ['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'].map((method) => Buffer.from(method));

/** 1: a byte that a field name may hold (RFC 9110 tokens without capitals). */
const NAME_BYTE = new Uint8Array(256);
for (const c of Buffer.from("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")) NAME_BYTE[c] = 1;

/** 1: a byte that a method may hold: any of a token. */
const TOKEN_BYTE = Uint8Array.from(NAME_BYTE);
for (let c = 65; c <= 90; c++) TOKEN_BYTE[c] = 1;

export class Meaning {
  readonly purpose: Purpose;
  /** What is wrong with it; '' when it is well-formed. */
  problem = '';
  /** The fields to read and forward: those that came, but with cookie fields joined (section 8.2.3). */
  block: FieldBlock;
  // Indices of fields, -1 where absent.
  method = -1;
  path = -1;
  authority = -1;
  scheme = -1;
  protocol = -1;
  status = -1;
  host = -1;
  /** Index of the first field that is no pseudo-header. */
  regular = 0;
  statusCode = 0;
  /** Value of content-length, -1 without one. */
  length = -1;
  grpc = false;
  /** grpc-timeout in ms, at least 1; 0 without one. */
  timeout = 0;
  /** grpc-status, -1 without one. */
  grpcStatus = -1;
  headMethod = false;
  connect = false;
  /** By the definition of its method (RFC 9110 section 9.2.2). */
  idempotent = false;

  constructor(block: FieldBlock, purpose: Purpose) {
    this.purpose = purpose;
    this.block = block;
    this.problem = this.read(block);
    if (this.problem === '') this.problem = this.complete();
  }

  /** HTTP-like status of the reply: a gRPC reply that consists of trailers only is judged by its grpc-status. */
  get likeStatus(): number {
    return this.grpcStatus > GRPC_OK && this.statusCode === 200 ? httpOfGrpc(this.grpcStatus) : this.statusCode;
  }

  private is(block: FieldBlock, i: number, name: Known): boolean {
    return block.hashes[i] === name.hash && block.nameIs(i, name.bytes);
  }

  private valueIs(i: number, text: Uint8Array): boolean {
    const { bytes, at } = this.block;
    return at[2 * i + 2]! - at[2 * i + 1]! === text.length && equalAt(bytes, at[2 * i + 1]!, text);
  }

  private read(block: FieldBlock): string {
    const { bytes, at, count } = block;
    let cookies = 0;
    let pseudo = true;
    for (let i = 0; i < count; i++) {
      const start = at[2 * i]!;
      const mid = at[2 * i + 1]!;
      const end = at[2 * i + 2]!;
      if (start === mid) return 'a field without a name';
      const bad = badValue(bytes, mid, end);
      if (bad !== '') return `${bad} in the value of ${block.name(i)}`;
      if (bytes[start] === 58) {
        if (!pseudo) return `${block.name(i)} behind other fields`;
        const problem = this.readPseudo(block, i);
        if (problem !== '') return problem;
        continue;
      }
      if (pseudo) {
        pseudo = false;
        this.regular = i;
      }
      for (let p = start; p < mid; p++) if (NAME_BYTE[bytes[p]!] === 0) return `byte ${bytes[p]!} in the name of a field`;
      switch (block.hashes[i]) {
        case COOKIE.hash:
          if (this.is(block, i, COOKIE)) cookies++;
          break;
        default: {
          const problem = this.readField(block, i);
          if (problem !== '') return problem;
        }
      }
    }
    if (pseudo) this.regular = count;
    if (cookies > 1) this.block = joinCookies(block);
    return '';
  }

  private readPseudo(block: FieldBlock, i: number): string {
    if (this.purpose === AS_TRAILERS) return `${block.name(i)} in trailers`;
    if (this.purpose === AS_REPLY) {
      if (!this.is(block, i, STATUS) || this.status >= 0) return `${block.name(i)} in a reply`;
      this.status = i;
      return '';
    }
    let known = false;
    if (this.is(block, i, METHOD)) {
      known = this.method < 0;
      this.method = i;
    } else if (this.is(block, i, PATH)) {
      known = this.path < 0;
      this.path = i;
    } else if (this.is(block, i, AUTHORITY)) {
      known = this.authority < 0;
      this.authority = i;
    } else if (this.is(block, i, SCHEME)) {
      known = this.scheme < 0;
      this.scheme = i;
    } else if (this.is(block, i, PROTOCOL)) {
      known = this.protocol < 0;
      this.protocol = i;
    }
    return known ? '' : `${block.name(i)} twice, or not known`;
  }

  private readField(block: FieldBlock, i: number): string {
    const { bytes, at } = block;
    const hash = block.hashes[i]!;
    const start = at[2 * i + 1]!;
    const end = at[2 * i + 2]!;
    if (hash === CONTENT_LENGTH.hash && this.is(block, i, CONTENT_LENGTH)) {
      const length = decimal(bytes, start, end);
      if (length < 0 || (this.length >= 0 && this.length !== length)) return 'a content-length that is no number, or two that differ';
      this.length = length;
    } else if (hash === CONTENT_TYPE.hash && this.is(block, i, CONTENT_TYPE)) {
      const n = GRPC_TYPE.length;
      // application/grpc, application/grpc+proto; not application/grpc-web.
      this.grpc = end - start >= n && equalAt(bytes, start, GRPC_TYPE) && (end - start === n || bytes[start + n] === 43 || bytes[start + n] === 59);
    } else if (hash === GRPC_TIMEOUT.hash && this.is(block, i, GRPC_TIMEOUT)) {
      this.timeout = grpcTimeout(bytes, start, end);
    } else if (hash === GRPC_STATUS.hash && this.is(block, i, GRPC_STATUS)) {
      const status = decimal(bytes, start, end);
      this.grpcStatus = status < 0 ? 2 : status;
    } else if (hash === HOST.hash && this.is(block, i, HOST)) {
      if (this.host >= 0) return 'a second host field';
      this.host = i;
    } else if (hash === TE.hash && this.is(block, i, TE)) {
      if (!this.valueIs(i, TRAILERS_VALUE)) return 'a te field that is not "trailers"';
    } else {
      for (const name of forbidden) if (hash === name.hash && this.is(block, i, name)) return `the field ${block.name(i)}, which belongs to HTTP/1`;
    }
    return '';
  }

  /** What has to be there (section 8.3). */
  private complete(): string {
    const { bytes, at } = this.block;
    if (this.purpose === AS_TRAILERS) return '';
    if (this.purpose === AS_REPLY) {
      if (this.status < 0) return 'no :status';
      const start = at[2 * this.status + 1]!;
      const status = at[2 * this.status + 2]! - start === 3 ? decimal(bytes, start, start + 3) : -1;
      if (status < 100) return 'a :status that is no status';
      // HTTP/2 has no switch of protocols (section 8.6).
      if (status === 101) return 'status 101';
      this.statusCode = status;
      return '';
    }
    if (this.method < 0) return 'no :method';
    if (at[2 * this.method + 1] === at[2 * this.method + 2]) return 'an empty :method';
    // Blanks would make another request of it where it goes on as HTTP/1.
    for (let p = at[2 * this.method + 1]!; p < at[2 * this.method + 2]!; p++) if (TOKEN_BYTE[bytes[p]!] === 0) return `byte ${bytes[p]!} in :method`;
    const named = this.authority >= 0 ? this.authority : this.host;
    if (named >= 0) for (let p = at[2 * named + 1]!; p < at[2 * named + 2]!; p++) if (bytes[p]! <= 32 || bytes[p] === 127 || bytes[p] === 47 || bytes[p] === 64) return `byte ${bytes[p]!} in the authority`;
    this.connect = this.valueIs(this.method, CONNECT);
    if (this.connect && this.protocol < 0) {
      if (this.path >= 0 || this.scheme >= 0) return ':path or :scheme in a CONNECT';
      return this.authority < 0 ? 'a CONNECT without :authority' : '';
    }
    if (this.protocol >= 0 && !this.connect) return ':protocol without CONNECT';
    if (this.path < 0 || this.scheme < 0) return 'no :path or :scheme';
    const path = at[2 * this.path + 1]!;
    if (path === at[2 * this.path + 2]) return 'an empty :path';
    if (bytes[path] !== 47 && !this.valueIs(this.path, STAR)) return 'a :path that does not begin with /';
    for (let p = path; p < at[2 * this.path + 2]!; p++) if (bytes[p]! <= 32 || bytes[p] === 127) return `byte ${bytes[p]!} in :path`;
    if (this.host >= 0 && this.authority >= 0 && !this.sameAuthority()) return 'a host field that differs from :authority';
    this.headMethod = this.valueIs(this.method, HEAD);
    this.idempotent = repeatable.some((text) => this.valueIs(this.method, text));
    return '';
  }

  private sameAuthority(): boolean {
    const { bytes, at } = this.block;
    const a = at[2 * this.authority + 1]!;
    const b = at[2 * this.host + 1]!;
    const n = at[2 * this.authority + 2]! - a;
    if (at[2 * this.host + 2]! - b !== n) return false;
    for (let i = 0; i < n; i++) {
      const x = bytes[a + i]!;
      const y = bytes[b + i]!;
      if (x !== y && ((x | 32) !== (y | 32) || (x | 32) < 97 || (x | 32) > 122)) return false;
    }
    return true;
  }
}

/** The meaning of a block; kept with it. */
export function meaningOf(block: FieldBlock, purpose: Purpose): Meaning {
  const kept = block.meaning as Meaning | null;
  if (kept !== null && kept.purpose === purpose) return kept;
  const meaning = new Meaning(block, purpose);
  block.meaning = meaning;
  return meaning;
}

function badValue(bytes: Uint8Array, start: number, end: number): string {
  if (start === end) return '';
  for (let p = start; p < end; p++) {
    const c = bytes[p]!;
    if (c === 0 || c === 10 || c === 13) return `byte ${c}`;
  }
  const first = bytes[start]!;
  const last = bytes[end - 1]!;
  return first === 32 || first === 9 || last === 32 || last === 9 ? 'blanks around it' : '';
}

/** Digits only, below 10^15; else -1. */
function decimal(bytes: Uint8Array, start: number, end: number): number {
  if (end === start || end - start > 15) return -1;
  let v = 0;
  for (let p = start; p < end; p++) {
    const d = bytes[p]! - 48;
    if (d < 0 || d > 9) return -1;
    v = v * 10 + d;
  }
  return v;
}

/** The block with its cookie fields in one, where the first of them was. */
function joinCookies(block: FieldBlock): FieldBlock {
  const builder = new FieldBlockBuilder();
  const { bytes, at, count } = block;
  const pieces: string[] = [];
  for (let i = 0; i < count; i++) if (block.nameIs(i, COOKIE.bytes)) pieces.push(bytes.latin1Slice(at[2 * i + 1]!, at[2 * i + 2]!));
  const joined = Buffer.from(pieces.join('; '), 'latin1');
  let written = false;
  for (let i = 0; i < count; i++) {
    if (!block.nameIs(i, COOKIE.bytes)) builder.bytes(bytes, at[2 * i]!, at[2 * i + 1]!, bytes, at[2 * i + 1]!, at[2 * i + 2]!, block.never?.[i] === true);
    else if (!written) {
      written = true;
      builder.bytes(COOKIE.bytes, 0, COOKIE.bytes.length, joined, 0, joined.length, block.never?.[i] === true);
    }
  }
  return builder.build();
}

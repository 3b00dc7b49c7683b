// What a route asks of a request: conditions on path, method, headers and query, compared on the bytes of the head without making strings.
import { utf8 } from '../core/bytes.js';
import { type Head, type HeaderName, headerName } from './head.js';
import { type GuardedRegex, guardedRegex } from './regex-guard.js';
import type { MatchConfig, TextMatchConfig } from './route-config.js';

export const METHOD = headerName(':method');
export const PATH = headerName(':path');
export const AUTHORITY = headerName(':authority');
export const SERVICE = headerName(':service');
export const RPC_METHOD = headerName(':rpc-method');
export const VERSION = headerName(':version');
export const GROUP = headerName(':group');

const PRESENT = 0;
const EXACT = 1;
const PREFIX = 2;
const SUFFIX = 3;
const CONTAINS = 4;
const ANY_OF = 5;
const REGEX = 6;

const QUESTION = 0x3f;
const NO_BYTES: Uint8Array = Buffer.alloc(0);

/** A condition on one text, as configured: one of the operators, possibly inverted. */
export class TextMatch {
  readonly op: number;
  readonly bytes: Uint8Array;
  readonly list: readonly Uint8Array[];
  readonly regex: GuardedRegex | null;
  readonly invert: boolean;
  /** As a sentence goes on after the name: "= x", "beginning with x". */
  readonly text: string;

  constructor(config: TextMatchConfig) {
    this.invert = config.invert === true || config.absent === true;
    this.list = config.anyOf === undefined ? [] : config.anyOf.map((v) => Buffer.from(v));
    this.regex = config.regex === undefined ? null : guarded(config.regex, config.ignore_case === true);
    const plain = config.exact ?? config.prefix ?? config.suffix ?? config.contains;
    this.bytes = plain === undefined ? NO_BYTES : Buffer.from(plain);
    if (config.exact !== undefined) this.op = EXACT;
    else if (config.prefix !== undefined) this.op = PREFIX;
    else if (config.suffix !== undefined) this.op = SUFFIX;
    else if (config.contains !== undefined) this.op = CONTAINS;
    else if (config.anyOf !== undefined) this.op = ANY_OF;
    else if (config.regex !== undefined) this.op = REGEX;
    else this.op = PRESENT;
    this.text = describe(config);
  }

  /** The values it stands for where it names them, else null; what an index can be made of. */
  get values(): readonly Uint8Array[] | null {
    if (this.invert) return null;
    return this.op === EXACT ? [this.bytes] : this.op === ANY_OF ? this.list : null;
  }

  /** Whether buf[start, end) fits; inversion is the caller's, because a text that is missing fits only inverted. */
  test(buf: Uint8Array, start: number, end: number): boolean {
    const bytes = this.bytes;
    const n = bytes.length;
    switch (this.op) {
      case PRESENT:
        return true;
      case EXACT:
        return end - start === n && equalFrom(buf, start, bytes);
      case PREFIX:
        return end - start >= n && equalFrom(buf, start, bytes);
      case SUFFIX:
        return end - start >= n && equalFrom(buf, end - n, bytes);
      case CONTAINS:
        for (let at = start; at + n <= end; at++) if (equalFrom(buf, at, bytes)) return true;
        return false;
      case ANY_OF:
        for (let i = 0; i < this.list.length; i++) {
          const one = this.list[i]!;
          if (end - start === one.length && equalFrom(buf, start, one)) return true;
        }
        return false;
      default:
        return this.regex!.test(utf8(buf, start, end));
    }
  }
}

function equalFrom(buf: Uint8Array, at: number, bytes: Uint8Array): boolean {
  for (let i = 0; i < bytes.length; i++) if (buf[at + i] !== bytes[i]) return false;
  return true;
}

function equalFolded(buf: Uint8Array, at: number, lower: Uint8Array): boolean {
  for (let i = 0; i < lower.length; i++) {
    const b = buf[at + i]!;
    if ((b >= 0x41 && b <= 0x5a ? b | 32 : b) !== lower[i]) return false;
  }
  return true;
}

function guarded(source: string, ignoreCase: boolean): GuardedRegex {
  const made = guardedRegex(source, { ignoreCase });
  if (typeof made === 'string') throw new Error(`the expression ${source} was not checked: expected ${made}`);
  return made;
}

function describe(config: TextMatchConfig): string {
  const not = config.invert === true ? 'not ' : '';
  if (config.exact !== undefined) return config.invert === true ? `other than ${config.exact}` : `= ${config.exact}`;
  if (config.prefix !== undefined) return `${not}beginning with ${config.prefix}`;
  if (config.suffix !== undefined) return `${not}ending with ${config.suffix}`;
  if (config.contains !== undefined) return `${not}containing ${config.contains}`;
  if (config.anyOf !== undefined) return `${not}one of ${config.anyOf.join(', ')}`;
  if (config.regex !== undefined) return `${not}matching ${config.regex}`;
  return config.invert === true || config.absent === true ? 'absent' : 'present';
}

/** A condition on a header or part of the head. Of several values of one header the first is looked at. */
export class HeadCondition {
  readonly name: HeaderName;
  /** Looked at where the head has no `name`: the RPC method where there is no HTTP method. */
  readonly otherwise: HeaderName | null;
  readonly match: TextMatch;
  /** As in messages: "header x-env = gray", "method = GET". */
  readonly text: string;

  constructor(name: HeaderName, match: TextMatch, label: string, otherwise: HeaderName | null = null) {
    this.name = name;
    this.match = match;
    this.text = `${label} ${match.text}`;
    this.otherwise = otherwise;
  }

  test(head: Head): boolean {
    const match = this.match;
    if (head.find(this.name) || (this.otherwise !== null && head.find(this.otherwise))) {
      return match.test(head.vbuf, head.vstart, head.vend) !== match.invert;
    }
    return match.invert;
  }
}

/** A condition on a parameter of the query, percent-decoded, the first of its name. Makes strings: only for routes that ask. */
export class QueryCondition {
  readonly name: string;
  readonly match: TextMatch;
  readonly text: string;

  constructor(name: string, match: TextMatch) {
    this.name = name;
    this.match = match;
    this.text = `query parameter ${name} ${match.text}`;
  }

  test(head: Head): boolean {
    let value: string | null = null;
    if (head.find(PATH)) {
      const at = endOfPath(head.vbuf, head.vstart, head.vend);
      if (at < head.vend) value = new URLSearchParams(utf8(head.vbuf, at + 1, head.vend)).get(this.name);
    }
    if (value === null) return this.match.invert;
    const bytes = Buffer.from(value);
    return this.match.test(bytes, 0, bytes.length) !== this.match.invert;
  }
}

/** Where the path of buf[start, end) ends and its query begins. */
export function endOfPath(buf: Uint8Array, start: number, end: number): number {
  let i = start;
  while (i < end && buf[i] !== QUESTION) i++;
  return i;
}

// Path kinds.
export const PATH_ANY = 0;
export const PATH_EXACT = 1;
export const PATH_PREFIX = 2;
export const PATH_REGEX = 3;

/** The path of the request being matched, found once for all routes: pathBuf[pathStart, pathEnd) without query. */
export class PathView {
  buf: Uint8Array = NO_BYTES;
  start = 0;
  end = 0;
  /** False for a message without path (RPC, CONNECT): only routes that say nothing of paths match it. */
  present = false;

  read(head: Head): void {
    this.present = head.find(PATH);
    if (!this.present) return;
    this.buf = head.vbuf;
    this.start = head.vstart;
    this.end = endOfPath(head.vbuf, head.vstart, head.vend);
  }
}

/** All conditions of one route; every one must hold. */
export class RouteMatch {
  readonly pathKind: number;
  /** Exact path or prefix, in lower case where case is ignored. */
  readonly path: Uint8Array;
  readonly ignoreCase: boolean;
  readonly regex: GuardedRegex | null;
  readonly heads: readonly HeadCondition[];
  readonly queries: readonly QueryCondition[];
  readonly config: MatchConfig;

  constructor(config: MatchConfig) {
    this.config = config;
    this.ignoreCase = config.ignore_case === true;
    const path = config.path ?? config.prefix ?? '';
    this.path = Buffer.from(this.ignoreCase ? path.toLowerCase() : path);
    this.regex = config.regex === undefined ? null : guarded(config.regex, this.ignoreCase);
    this.pathKind = config.path !== undefined ? PATH_EXACT : config.prefix !== undefined ? PATH_PREFIX : config.regex !== undefined ? PATH_REGEX : PATH_ANY;
    this.heads = headConditions(config);
    this.queries = config.query.map((q) => new QueryCondition(q.name, new TextMatch(q)));
  }

  test(head: Head, path: PathView): boolean {
    if (this.pathKind !== PATH_ANY && !this.testPath(path)) return false;
    const heads = this.heads;
    for (let i = 0; i < heads.length; i++) if (!heads[i]!.test(head)) return false;
    const queries = this.queries;
    for (let i = 0; i < queries.length; i++) if (!queries[i]!.test(head)) return false;
    return true;
  }

  testPath(view: PathView): boolean {
    if (this.pathKind === PATH_ANY) return true;
    if (!view.present) return false;
    const { buf, start, end } = view;
    if (this.pathKind === PATH_REGEX) return this.regex!.test(utf8(buf, start, end));
    const n = this.path.length;
    if (this.pathKind === PATH_EXACT ? end - start !== n : end - start < n) return false;
    return this.ignoreCase ? equalFolded(buf, start, this.path) : equalFrom(buf, start, this.path);
  }

  /** How many conditions hold before the first that fails, and that one in words; null when all hold. */
  firstFailure(head: Head, path: PathView): { readonly held: number; readonly text: string } | null {
    let held = 0;
    if (this.pathKind !== PATH_ANY) {
      if (!this.testPath(path)) return { held, text: this.pathText };
      // A path says more of what was meant than a header does.
      held += 2;
    }
    for (const condition of [...this.heads, ...this.queries]) {
      if (!condition.test(head)) return { held, text: condition.text };
      held++;
    }
    return null;
  }

  get pathText(): string {
    const { path, prefix, regex } = this.config;
    if (path !== undefined) return `path = ${path}`;
    return prefix !== undefined ? `path beginning with ${prefix}` : `path matching ${regex}`;
  }
}

function headConditions(config: MatchConfig): HeadCondition[] {
  const list: HeadCondition[] = [];
  const add = (name: HeaderName, match: TextMatchConfig | undefined, label: string, otherwise: HeaderName | null = null): void => {
    if (match !== undefined) list.push(new HeadCondition(name, new TextMatch(match), label, otherwise));
  };
  add(SERVICE, config.service, 'service');
  // Beside a service the method is that of the RPC; alone it is whichever the protocol has.
  if (config.service !== undefined) add(RPC_METHOD, config.method, 'method');
  else add(METHOD, config.method, 'method', RPC_METHOD);
  add(VERSION, config.version, 'version');
  add(GROUP, config.group, 'group');
  for (const header of config.headers) add(headerName(header.name), header, `header ${header.name}`);
  return list;
}

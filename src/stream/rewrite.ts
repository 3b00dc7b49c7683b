// New paths and hosts: rewrites of requests on their way to a cluster, locations of redirects, and normal forms of paths.
import type { Head } from './head.js';
import { AUTHORITY, PATH } from './match.js';
import { type GuardedRegex, guardedRegex } from './regex-guard.js';
import type { RedirectConfig, RouteConfig } from './route-config.js';
import { AT_REQUEST, compile, type Template, type VariableSource } from './variables.js';

/** A path and its query, the latter with its question mark. */
function splitQuery(path: string): { readonly path: string; readonly query: string } {
  const at = path.indexOf('?');
  return at < 0 ? { path, query: '' } : { path: path.slice(0, at), query: path.slice(at) };
}

/**
 * Puts `to` in place of the first `length` characters of a path, with just one slash where the two meet. /api -> /v1 turns /apis
 * into /v1s: the route asked for a prefix of bytes. From /api/ the slash that was taken away is put back.
 */
export function replacePrefix(path: string, length: number, to: string): string {
  const rest = path.slice(length);
  if (to.endsWith('/')) return to + (rest.startsWith('/') ? rest.slice(1) : rest);
  return path[length - 1] === '/' ? `${to}/${rest}` : to + rest;
}

/** What a route changes of path and host. */
export class Rewrite {
  private readonly prefix: string | null;
  private readonly matched: number;
  private readonly regex: GuardedRegex | null;
  private readonly substitution: string;
  private readonly host: Template | null;

  private constructor(config: RouteConfig) {
    this.prefix = config.prefix_rewrite ?? null;
    this.matched = (config.match?.prefix ?? config.match?.path ?? '').length;
    const made = config.regex_rewrite === undefined ? null : guardedRegex(config.regex_rewrite.regex, { whole: false });
    if (typeof made === 'string') throw new Error(`the expression of regex_rewrite was not checked: expected ${made}`);
    this.regex = made;
    this.substitution = config.regex_rewrite?.substitution ?? '';
    this.host = config.host_rewrite === undefined ? null : compile(config.host_rewrite, AT_REQUEST);
  }

  /** null where the route rewrites nothing. */
  static compile(config: RouteConfig): Rewrite | null {
    const { prefix_rewrite, regex_rewrite, host_rewrite } = config;
    return (prefix_rewrite ?? regex_rewrite ?? host_rewrite) === undefined ? null : new Rewrite(config);
  }

  /** Changes the head; after the header edits, so that their %path% is the one the client sent. The query stays. */
  apply(head: Head, source: VariableSource): void {
    const host = this.host === null ? '' : this.host.render(source);
    if (this.prefix !== null || this.regex !== null) {
      const whole = head.get(PATH);
      if (whole !== undefined) {
        const { path, query } = splitQuery(whole);
        const changed = this.prefix !== null ? replacePrefix(path, this.matched, this.prefix) : this.regex!.replace(path, this.substitution);
        if (changed !== path) head.set(PATH, (changed === '' ? '/' : changed) + query);
      }
    }
    if (host !== '') head.set(AUTHORITY, host);
  }
}

const defaultPorts: Readonly<Record<string, string>> = { http: ':80', https: ':443' };

/** Where a redirect sends the client. */
export class Redirect {
  readonly code: number;
  private readonly scheme: string | null;
  private readonly host: Template | null;
  private readonly path: Template | null;
  private readonly prefix: Template | null;
  private readonly matched: number;
  private readonly stripQuery: boolean;

  /** `matched`: length of the prefix or path that the route matches. */
  constructor(config: RedirectConfig, matched: number) {
    const template = (text: string | undefined): Template | null => (text === undefined ? null : compile(text, AT_REQUEST));
    this.code = config.code;
    this.scheme = config.scheme ?? null;
    this.host = template(config.host);
    this.path = template(config.path);
    this.prefix = template(config.prefix);
    this.matched = matched;
    this.stripQuery = config.strip_query;
  }

  /** Value of the `location` header. Without a host (HTTP/1.0 allows that) it is the path alone. */
  location(head: Head, source: VariableSource): string {
    const { path, query } = splitQuery(head.get(PATH) ?? '/');
    const from = source.record.downstream?.secure === true ? 'https' : 'http';
    const scheme = this.scheme ?? from;
    let host = this.host === null ? (head.get(AUTHORITY) ?? '') : this.host.render(source);
    const port = defaultPorts[from]!;
    if (this.host === null && scheme !== from && host.endsWith(port)) host = host.slice(0, -port.length);
    let target = path;
    if (this.path !== null) target = this.path.render(source);
    else if (this.prefix !== null) target = replacePrefix(path, this.matched, this.prefix.render(source));
    // A location that begins with two slashes would name another host.
    if (!target.startsWith('/') || target.startsWith('//')) target = `/${target.replace(/^\/+/, '')}`;
    const kept = this.stripQuery || target.includes('?') ? '' : query;
    const location = host === '' ? target + kept : `${scheme}://${host}${target}${kept}`;
    // oxlint-disable-next-line no-control-regex -- that is what must not get into a header
    return location.replace(/[\u0000-\u0020\u007f]/g, (c) => `%${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
  }
}

const PERCENT = 0x25;
const DOT = 0x2e;
const SLASH = 0x2f;
const BACKSLASH = 0x5c;

/** Whether a path (without query) may have another normal form; most have not, and cost one look at each byte. */
export function needsNormal(buf: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    const b = buf[i]!;
    if (b === PERCENT || b === BACKSLASH) return true;
    if (b === SLASH && i + 1 < end && (buf[i + 1] === DOT || buf[i + 1] === SLASH)) return true;
  }
  return false;
}

/**
 * A path (without query) with dot segments resolved (RFC 3986, 5.2.4), backslashes as slashes, runs of slashes as one, and
 * percent-encoded unreserved characters decoded (6.2.2). %2F and %5C stay: decoded they would change what the segments are.
 */
export function normalPath(path: string): string {
  const decoded = path.replace(/\\/g, '/').replace(/%([0-9A-Fa-f]{2})/g, (whole, digits: string) => {
    const c = String.fromCharCode(Number.parseInt(digits, 16));
    return /[A-Za-z0-9._~-]/.test(c) ? c : whole.toUpperCase();
  });
  if (!decoded.startsWith('/')) return decoded;
  const kept: string[] = [];
  const segments = decoded.split('/').slice(1);
  segments.forEach((segment, i) => {
    const last = i === segments.length - 1;
    if (segment === '..') kept.pop();
    else if (segment !== '.' && segment !== '') kept.push(segment);
    // A path that ended in a slash or in dots names a folder still.
    if (last && (segment === '' || segment === '.' || segment === '..') && kept.length > 0) kept.push('');
  });
  return `/${kept.join('/')}`;
}

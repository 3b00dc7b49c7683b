// Finds the routes that can match a request without asking each: by the value of one header, or by the first segment of the path.
import { hashBytes } from '../core/bytes.js';
import type { Head, HeaderName } from './head.js';
import { PATH_EXACT, PATH_PREFIX, type PathView, type RouteMatch } from './match.js';

/** Below this many routes asking each costs less than a hash. */
const WORTH_IT = 8;
const SLASH = 0x2f;
const NONE: readonly number[] = [];

class Bucket {
  readonly key: Uint8Array;
  readonly hash: number;
  /** Places of routes in the list, ascending. */
  readonly places: number[] = [];
  next: Bucket | null = null;

  constructor(key: Uint8Array, hash: number) {
    this.key = key;
    this.hash = hash;
  }
}

/**
 * Routes split into those that need a certain key (an exact value of `selector`, or a first segment) and the others. Who asks
 * walks both lists in ascending order, so the first match is the same as that of the whole list.
 */
export class RouteIndex {
  /** The header whose value is the key; null for the first segment of the path. */
  readonly selector: HeaderName | null;
  /** Places of the routes that are in no bucket. */
  readonly others: readonly number[];
  private readonly table: (Bucket | null)[];

  private constructor(selector: HeaderName | null, keys: readonly (readonly Uint8Array[] | null)[]) {
    this.selector = selector;
    let size = 16;
    while (size < keys.length * 2) size *= 2;
    this.table = Array.from({ length: size }, () => null);
    const others: number[] = [];
    keys.forEach((list, place) => {
      if (list === null) others.push(place);
      else for (const key of list) this.bucket(key).places.push(place);
    });
    this.others = others;
  }

  /** An index by whichever key sorts out the most routes; null where none is worth it. */
  static of(matches: readonly RouteMatch[]): RouteIndex | null {
    if (matches.length < WORTH_IT) return null;
    const selectors: (HeaderName | null)[] = [null];
    for (const match of matches) for (const { name } of match.heads) if (!selectors.includes(name)) selectors.push(name);
    let best: RouteIndex | null = null;
    let least = matches.length - WORTH_IT / 2;
    for (const selector of selectors) {
      const keys = matches.map((match) => (selector === null ? segmentKey(match) : headerKey(match, selector)));
      const others = keys.filter((key) => key === null).length;
      if (others > least || (best !== null && others === least)) continue;
      least = others;
      best = new RouteIndex(selector, keys);
    }
    return best;
  }

  /** Places of the routes that need just what this request has; to be merged with `others`. */
  candidates(head: Head, path: PathView): readonly number[] {
    if (this.selector !== null) return head.find(this.selector) ? this.lookUp(head.vbuf, head.vstart, head.vend) : NONE;
    if (!path.present || path.start === path.end || path.buf[path.start] !== SLASH) return NONE;
    return this.lookUp(path.buf, path.start + 1, segmentEnd(path.buf, path.start + 1, path.end));
  }

  private lookUp(buf: Uint8Array, start: number, end: number): readonly number[] {
    const hash = hashBytes(buf, start, end);
    for (let b = this.table[hash & (this.table.length - 1)]!; b !== null; b = b.next!) {
      if (b.hash === hash && b.key.length === end - start && equal(b.key, buf, start)) return b.places;
    }
    return NONE;
  }

  private bucket(key: Uint8Array): Bucket {
    const hash = hashBytes(key, 0, key.length);
    const at = hash & (this.table.length - 1);
    for (let b = this.table[at]!; b !== null; b = b.next!) if (b.hash === hash && b.key.length === key.length && equal(b.key, key, 0)) return b;
    const made = new Bucket(key, hash);
    made.next = this.table[at]!;
    this.table[at] = made;
    return made;
  }
}

function equal(key: Uint8Array, buf: Uint8Array, start: number): boolean {
  for (let i = 0; i < key.length; i++) if (key[i] !== buf[start + i]) return false;
  return true;
}

function segmentEnd(buf: Uint8Array, start: number, end: number): number {
  let i = start;
  while (i < end && buf[i] !== SLASH) i++;
  return i;
}

/** The values of a header without which a route cannot match. */
function headerKey(match: RouteMatch, name: HeaderName): readonly Uint8Array[] | null {
  for (const condition of match.heads) if (condition.name === name && condition.otherwise === null && condition.match.values !== null) return condition.match.values;
  return null;
}

/** The first segment without which a route cannot match: that of an exact path, or of a prefix with a slash behind it. */
function segmentKey(match: RouteMatch): readonly Uint8Array[] | null {
  const { path, pathKind } = match;
  if (match.ignoreCase || (pathKind !== PATH_EXACT && pathKind !== PATH_PREFIX) || path[0] !== SLASH) return null;
  const end = segmentEnd(path, 1, path.length);
  return pathKind === PATH_PREFIX && end === path.length ? null : [path.subarray(1, end)];
}

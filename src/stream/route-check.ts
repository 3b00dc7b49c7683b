// What `sluice check` warns of in a route table that is valid: routes that nothing can reach, and retries that never happen.
import type { Path } from '../core/config/problem.js';
import { matchAll, type MatchConfig, type RouteConfig, type RouteTableConfig, type TextMatchConfig } from './route-config.js';

export interface RouteWarning {
  /** From the table to the place that is meant. */
  readonly path: Path;
  readonly message: string;
}

/** Warnings of one table, in the order of its routes. */
export function routeWarnings(table: RouteTableConfig): RouteWarning[] {
  const found: RouteWarning[] = [];
  const check = (routes: readonly RouteConfig[], path: Path): void => {
    routes.forEach((route, i) => {
      const before = routes.slice(0, i).findIndex((earlier) => covers(earlier.match ?? matchAll, route.match ?? matchAll));
      if (before >= 0) found.push({ path: [...path, i], message: `never matches: ${nameOf(routes[before]!, before)} takes everything that it would match` });
      found.push(...retryWarnings(route, [...path, i]));
    });
  };
  check(table.routes ?? [], ['routes']);
  table.virtual_hosts.forEach((host, i) => check(host.routes, ['virtual_hosts', i, 'routes']));
  return found;
}

const nameOf = (route: RouteConfig, index: number): string => (route.name === undefined ? `route ${index + 1}` : `route ${index + 1} (${route.name})`);

/** RPC is repeated only where the route says that it may be. */
function retryWarnings(route: RouteConfig, path: Path): RouteWarning[] {
  const { retry, match, idempotent } = route;
  if (retry === undefined || retry === false || idempotent || match?.service === undefined) return [];
  const without = retry.on.filter((condition) => condition !== 'connect-failure');
  if (without.length === 0 && retry.statuses.length === 0) return [];
  const what = without.length === 0 ? 'statuses' : without.join(', ');
  return [{ path: [...path, 'retry'], message: `${what} ${without.length > 1 || retry.statuses.length > 0 ? 'have' : 'has'} no effect on an RPC without \`idempotent: true\`` }];
}

/** Whether every request that `later` matches is matched by `earlier`, as far as comparing the conditions one by one tells. */
export function covers(earlier: MatchConfig, later: MatchConfig): boolean {
  if (!coversPath(earlier, later)) return false;
  for (const key of ['service', 'version', 'group'] as const) if (!coversText(earlier[key], later[key])) return false;
  if (earlier.method !== undefined) {
    // `method` means two things, see match.ts; only routes that mean the same can be compared.
    if ((earlier.service === undefined) !== (later.service === undefined) || !coversText(earlier.method, later.method)) return false;
  }
  const all = (list: readonly (TextMatchConfig & { readonly name: string })[], others: typeof list, fold: (name: string) => string): boolean =>
    list.every((one) => others.some((other) => fold(other.name) === fold(one.name) && coversText(one, other)));
  return all(earlier.headers, later.headers, (name) => name) && all(earlier.query, later.query, (name) => name);
}

function coversPath(earlier: MatchConfig, later: MatchConfig): boolean {
  const { prefix, path, regex } = earlier;
  if (prefix === undefined && path === undefined && regex === undefined) return true;
  if (later.ignore_case && !earlier.ignore_case) return false;
  if (regex !== undefined) return later.regex === regex;
  const fold = (text: string): string => (earlier.ignore_case ? text.toLowerCase() : text);
  if (path !== undefined) return later.path !== undefined && fold(later.path) === fold(path);
  const fixed = later.prefix ?? later.path;
  return fixed !== undefined && fold(fixed).startsWith(fold(prefix!));
}

/** Whether each value that fits `later` fits `earlier`. No condition fits everything, and nothing else covers it. */
function coversText(earlier: TextMatchConfig | undefined, later: TextMatchConfig | undefined): boolean {
  if (earlier === undefined) return true;
  if (later === undefined) return false;
  if (same(earlier, later)) return true;
  if (earlier.invert === true || later.invert === true || earlier.absent === true || later.absent === true) return false;
  if (earlier.present === true) return true;
  const values = later.anyOf ?? (later.exact === undefined ? null : [later.exact]);
  if (values !== null && earlier.regex === undefined) return values.every((value) => fits(earlier, value));
  if (earlier.prefix !== undefined && later.prefix !== undefined) return later.prefix.startsWith(earlier.prefix);
  if (earlier.suffix !== undefined && later.suffix !== undefined) return later.suffix.endsWith(earlier.suffix);
  const part = later.prefix ?? later.suffix ?? later.contains;
  return earlier.contains !== undefined && part !== undefined && part.includes(earlier.contains);
}

function fits(match: TextMatchConfig, value: string): boolean {
  if (match.exact !== undefined) return value === match.exact;
  if (match.anyOf !== undefined) return match.anyOf.includes(value);
  if (match.prefix !== undefined) return value.startsWith(match.prefix);
  if (match.suffix !== undefined) return value.endsWith(match.suffix);
  return match.contains !== undefined && value.includes(match.contains);
}

const keys = ['exact', 'prefix', 'suffix', 'contains', 'regex', 'present', 'absent'] as const;

function same(a: TextMatchConfig, b: TextMatchConfig): boolean {
  if (a.anyOf !== undefined || b.anyOf !== undefined) return false;
  return keys.every((key) => a[key] === b[key]) && (a.invert ?? false) === (b.invert ?? false) && (a.ignore_case ?? false) === (b.ignore_case ?? false);
}

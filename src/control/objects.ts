// The named objects of a configuration (listeners, route tables, clusters) one by one: where each stands in the file, and what it refers to.
import type { Path } from '../core/config/problem.js';
import type { Catalog, Manifest } from '../core/manifest.js';
import type { ClusterConfig } from '../network/upstream/config.js';
import type { RouteConfig, RouteTableConfig } from '../stream/route-config.js';
import type { ListenerConfig } from './listener-config.js';
import type { Plugged } from './plugged.js';

export const kinds = ['listeners', 'routes', 'clusters'] as const;
export type Kind = (typeof kinds)[number];

export type ObjectConfig = ListenerConfig | RouteTableConfig | ClusterConfig;

/** One object; `index` is its place in its list of the file, -1 for a version kept from before. */
export interface Placed {
  readonly kind: Kind;
  readonly index: number;
  readonly name: string;
  readonly config: ObjectConfig;
}

/** Something that an object names and that must exist. `path` leads there from the object. */
export interface Reference {
  readonly kind: Kind | 'terminals';
  readonly name: string;
  readonly path: Path;
}

/** In words, as messages name the kinds. */
export const kindName: Readonly<Record<Reference['kind'], string>> = { listeners: 'listener', routes: 'route table', clusters: 'cluster', terminals: 'terminal' };

/** A plug-in may name clusters in its options; it says which ones, with the path to each within the options. */
export interface ReferringManifest extends Manifest {
  clusters?(options: unknown): Iterable<{ readonly name: string; readonly path: Path }>;
}

export function pathOf(object: Placed, path: Path = []): Path {
  return [object.kind, object.index, ...path];
}

/** `listeners[0] http`. */
export function labelOf(kind: Kind, index: number, name: string): string {
  return name === '' ? `${kind}[${index}]` : `${kind}[${index}] ${name}`;
}

/** What an object refers to by name. */
export function referencesOf(object: Placed, catalog: Catalog): Reference[] {
  if (object.kind === 'clusters') return [];
  if (object.kind === 'routes') return namesInTable(object.config as RouteTableConfig);
  const listener = object.config as ListenerConfig;
  const found: Reference[] = [];
  if (listener.cluster !== '') found.push({ kind: 'clusters', name: listener.cluster, path: ['cluster'] });
  else if (listener.routes !== '') found.push({ kind: 'routes', name: listener.routes, path: ['routes'] });
  if (listener.fallback !== '' && listener.fallback !== listener.cluster) found.push({ kind: 'clusters', name: listener.fallback, path: ['fallback'] });
  for (const key of ['network_filters', 'stream_filters'] as const) {
    const kind = key === 'network_filters' ? 'network-filter' : 'stream-filter';
    const filters: readonly Plugged[] = listener[key];
    for (const [i, { type, options }] of filters.entries()) {
      const named = catalog.find<ReferringManifest>(kind, type)?.clusters?.(options) ?? [];
      for (const { name, path } of named) if (name !== listener.cluster) found.push({ kind: 'clusters', name, path: [key, i, ...path] });
    }
  }
  return found;
}

/** Every route of a table with the path to it. */
export function* routesOf(table: RouteTableConfig): Generator<{ readonly route: RouteConfig; readonly path: Path }> {
  for (const [i, route] of (table.routes ?? []).entries()) yield { route, path: ['routes', i] };
  for (const [i, host] of table.virtual_hosts.entries()) for (const [k, route] of host.routes.entries()) yield { route, path: ['virtual_hosts', i, 'routes', k] };
}

function namesInTable(table: RouteTableConfig): Reference[] {
  const found: Reference[] = [];
  for (const { route, path } of routesOf(table)) {
    if (route.terminal !== undefined) found.push({ kind: 'terminals', name: route.terminal, path: [...path, 'terminal'] });
    if (route.cluster !== undefined) found.push({ kind: 'clusters', name: route.cluster, path: [...path, 'cluster'] });
    for (const [i, { cluster }] of (route.weighted ?? []).entries()) found.push({ kind: 'clusters', name: cluster, path: [...path, 'weighted', i, 'cluster'] });
  }
  return found;
}

const WILDCARDS = new Set(['', '0.0.0.0', '::']);

/** Whether a listener on `wide` also has the address `host`: none and `::` mean every address, `0.0.0.0` those of IPv4. */
function covers(wide: string, host: string): boolean {
  return wide === host || wide === '' || wide === '::' || (wide === '0.0.0.0' && !host.includes(':'));
}

/** Whether two listeners cannot both have their addresses: the same one, or the same port of all addresses. */
export function addressesClash(a: ListenerConfig, b: ListenerConfig): boolean {
  if ((a.protocol === 'udp') !== (b.protocol === 'udp')) return false;
  const [x, y] = [a.address, b.address];
  if (x.path !== undefined || y.path !== undefined) return x.path === y.path;
  if (x.port !== y.port || x.port === 0) return false;
  return covers(x.host, y.host) || covers(y.host, x.host);
}

/** Whether a host of a cluster is what a listener listens on, as far as the addresses tell. */
export function isListenedOn(host: ClusterConfig['hosts'][number]['address'], listener: ListenerConfig, own: ReadonlySet<string>): boolean {
  const at = listener.address;
  if (host.path !== undefined || at.path !== undefined) return host.path === at.path;
  if (host.port !== at.port || at.port === 0) return false;
  const loopback = (name: string): boolean => name === 'localhost' || name === '::1' || name.startsWith('127.');
  if (WILDCARDS.has(at.host)) return loopback(host.host) || own.has(host.host);
  return host.host === at.host || (loopback(host.host) && at.host === 'localhost') || (host.host === 'localhost' && loopback(at.host));
}


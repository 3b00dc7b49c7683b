// What a configuration may hold and its author probably did not mean: loops, routes that are never reached, objects that nothing uses.
import { networkInterfaces } from 'node:os';
import { problemAt } from '../core/config/check.js';
import type { Loaded } from '../core/config/load.js';
import { type Problem, sortProblems } from '../core/config/problem.js';
import type { Catalog } from '../core/manifest.js';
import type { StreamFilterManifest } from '../stream/filter.js';
import type { ProtocolManifest } from '../stream/protocol.js';
import { routeWarnings } from '../stream/route-check.js';
import type { RouteTableConfig } from '../stream/route-config.js';
import type { ListenerConfig } from './listener-config.js';
import type { Config } from './model.js';
import { isListenedOn, type Kind, kindName, pathOf, type Placed, referencesOf } from './objects.js';

/** Addresses of this machine. */
function ownAddresses(): Set<string> {
  return new Set(Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map((one) => one.address)));
}

class Graph {
  private readonly config: Config;
  private readonly catalog: Catalog;

  constructor(config: Config, catalog: Catalog) {
    this.config = config;
    this.catalog = catalog;
  }

  /** Clusters that a listener's traffic can go to. */
  clustersOf(listener: ListenerConfig): Set<string> {
    const found = new Set<string>();
    for (const { kind, name } of referencesOf({ kind: 'listeners', index: 0, name: listener.name, config: listener }, this.catalog)) {
      if (kind === 'clusters') found.add(name);
      const table = kind === 'routes' ? this.config.routes.find((t) => t.name === name) : undefined;
      if (table === undefined) continue;
      for (const reference of referencesOf({ kind: 'routes', index: 0, name, config: table }, this.catalog)) if (reference.kind === 'clusters') found.add(reference.name);
    }
    return found;
  }

  /** Listeners of this process that a cluster's hosts lead back to. */
  listenersOf(cluster: string, own: ReadonlySet<string>): ListenerConfig[] {
    const hosts = this.config.clusters.find((c) => c.name === cluster)?.hosts ?? [];
    return this.config.listeners.filter((listener) => hosts.some((host) => isListenedOn(host.address, listener, own)));
  }
}

/** A way from a listener back to itself: "a -> cluster x -> b -> cluster y -> a". Each loop is found once, from its first listener. */
function loops(config: Config, graph: Graph): { readonly cluster: string; readonly way: string }[] {
  const own = ownAddresses();
  const order = new Map(config.listeners.map((listener, i) => [listener.name, i]));
  const found: { cluster: string; way: string }[] = [];
  for (const start of config.listeners) {
    const seen = new Set<string>();
    const walk = (listener: ListenerConfig, way: string): void => {
      for (const cluster of graph.clustersOf(listener)) {
        for (const next of graph.listenersOf(cluster, own)) {
          const longer = `${way} -> cluster ${cluster} -> listener ${next.name}`;
          if (next.name === start.name) found.push({ cluster, way: longer });
          else if (!seen.has(next.name) && order.get(next.name)! > order.get(start.name)!) {
            seen.add(next.name);
            walk(next, longer);
          }
        }
      }
    };
    walk(start, `listener ${start.name}`);
  }
  return found;
}

/** Warnings of what came from the file; objects kept from before were warned of before. */
/** Whether messages pass between two protocols as they are. */
function sameFamily(catalog: Catalog, one: string, other: string): boolean {
  const family = catalog.find<ProtocolManifest>('protocol', one)?.family;
  return family !== undefined && family === catalog.find<ProtocolManifest>('protocol', other)?.family;
}

export function warningsOf(config: Config, placed: readonly Placed[], loaded: Loaded, catalog: Catalog): Problem[] {
  const graph = new Graph(config, catalog);
  const warnings: Problem[] = [];
  const warn = (object: Placed | undefined, path: readonly (string | number)[], text: string, hint = ''): void => {
    if (object !== undefined) warnings.push({ ...problemAt(loaded, pathOf(object, path), text), hint });
  };
  const find = (kind: Kind, name: string): Placed | undefined => placed.find((object) => object.kind === kind && object.name === name);

  for (const { cluster, way } of loops(config, graph)) warn(find('clusters', cluster), ['hosts'], `requests go round in a loop: ${way}`);

  const used = new Set<string>();
  for (const object of [...config.listeners.map((c): Placed => ({ kind: 'listeners', index: -1, name: c.name, config: c })), ...config.routes.map((c): Placed => ({ kind: 'routes', index: -1, name: c.name, config: c }))]) {
    for (const { kind, name } of referencesOf(object, catalog)) used.add(`${kind} ${name}`);
  }
  for (const object of placed) {
    if (object.kind !== 'listeners' && !used.has(`${object.kind} ${object.name}`)) warn(object, ['name'], `no ${object.kind === 'routes' ? 'listener' : 'route or listener'} uses this ${kindName[object.kind]}`);
  }

  for (const listener of config.listeners) {
    for (const name of graph.clustersOf(listener)) {
      const cluster = config.clusters.find((c) => c.name === name);
      const spoken = listener.detect.length > 0 ? listener.detect : [listener.protocol];
      if (cluster === undefined || cluster.protocol === '' || spoken.some((one) => cluster.protocol === one || sameFamily(catalog, cluster.protocol, one))) continue;
      if (listener.stream_filters.some(({ type }) => catalog.find<StreamFilterManifest>('stream-filter', type)?.bridges?.includes(cluster.protocol))) continue;
      const text = `cluster ${name} speaks ${cluster.protocol}, which protocol ${listener.protocol} of this listener cannot be carried to`;
      warn(find('listeners', listener.name), ['protocol'], text, 'its requests end with no-bridge');
    }
  }

  for (const object of placed) {
    if (object.kind !== 'routes') continue;
    for (const { path, message } of routeWarnings(object.config as RouteTableConfig)) warn(object, path, message);
  }
  if (config.lanes.length > 0) warnings.push(problemAt(loaded, ['lanes'], 'lanes are not in force yet: every listener runs on all workers'));
  return sortProblems(warnings);
}

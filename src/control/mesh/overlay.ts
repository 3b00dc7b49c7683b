// What the mesh adds to a configuration: listeners and route tables that are made for it, and a cluster and a route for each service.
import { networkInterfaces } from 'node:os';
import { isIP } from 'node:net';
import { type Address, type HostConfig, showAddress } from '../../core/config/schema.js';
import type { Catalog } from '../../core/manifest.js';
import type { ClusterConfig } from '../../network/upstream/config.js';
import type { ServiceKey } from '../../network/upstream/registry.js';
import type { AccessLogConfig } from '../../stream/access-log.js';
import { matchAll, type RouteConfig, type RouteTableConfig, routeTableSchema, type VirtualHostConfig } from '../../stream/route-config.js';
import { finishListener, type ListenerConfig, listenerSchema } from '../listener-config.js';
import { kinds, type MeshConfig, type MeshKind, type MeshKindConfig, meshKinds } from './config.js';

/** What of a configuration the mesh adds to; no name that a file gives has a colon, those made here have one. */
export interface Meshed {
  readonly mesh: MeshConfig;
  readonly listeners: readonly ListenerConfig[];
  readonly routes: readonly RouteTableConfig[];
  readonly clusters: readonly ClusterConfig[];
}

/** What applications of one kind have told. */
export interface ToldServices {
  readonly subscribed: Iterable<ServiceKey>;
  /** Services with where the application that offers each listens. */
  readonly published: Iterable<{ readonly service: ServiceKey; readonly app: Address }>;
}

type Side = 'listener' | 'inbound';
const SIDES = ['listener', 'inbound'] as const;
const madeName = (kind: MeshKind, side: Side): string => `${kind}:${side === 'listener' ? 'outbound' : 'inbound'}`;

/** `sofa:com.example.Hello:1.0`, `dubbo:com.example.Hello@group#1.0.0`: the cluster of a service. */
export function clusterName(kind: MeshKind, { name, group, version }: ServiceKey): string {
  return `${kind}:${name}${group === '' ? '' : `@${group}`}${version === '' ? '' : `#${version}`}`;
}

/** The listeners of a kind that no file declares, and their route tables, which are empty as yet. */
export function madeListeners(mesh: MeshConfig, catalog: Catalog, logs: readonly AccessLogConfig[]): { readonly listeners: ListenerConfig[]; readonly routes: RouteTableConfig[] } {
  const listeners: ListenerConfig[] = [];
  const routes: RouteTableConfig[] = [];
  for (const kind of meshKinds) {
    const config = mesh[kind];
    if (config === null) continue;
    for (const side of SIDES) {
      const { address } = config[side];
      if (address === null) continue;
      const name = madeName(kind, side);
      const parsed = listenerSchema(catalog).parse({ name: 'made', address: showAddress(address), protocol: kinds[kind].protocol, routes: 'made' });
      listeners.push({ ...finishListener(parsed, logs, catalog), name, routes: name });
      routes.push({ ...routeTableSchema.parse({ name: 'made', routes: [] }), name });
    }
  }
  return { listeners, routes };
}

/** The listener of a side; undefined when there is none of the name. */
export function listenerOf(config: { readonly listeners: readonly ListenerConfig[] }, mesh: MeshConfig, kind: MeshKind, side: Side): ListenerConfig | undefined {
  const { name, address } = mesh[kind]![side];
  const wanted = address === null ? name : madeName(kind, side);
  return config.listeners.find((listener) => listener.name === wanted);
}

/** Where others reach the applications of this side. */
export function advertised(config: Meshed, kind: MeshKind): Address {
  const { advertise } = config.mesh[kind]!;
  if (advertise !== null) return advertise;
  const { host, port } = listenerOf(config, config.mesh, kind, 'inbound')!.address;
  return { host: host === '' || host === '0.0.0.0' || host === '::' ? ownAddress() : host, port };
}

function ownAddress(): string {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return all.find((one) => one.family === 'IPv4' && !one.internal)?.address ?? '127.0.0.1';
}

/** The configuration with everything that applications have told. What it holds already stays the same object. */
export function withServices<C extends Meshed>(config: C, told: (kind: MeshKind) => ToldServices | null): C {
  const clusters: ClusterConfig[] = [];
  const added = new Map<string, RouteConfig[]>();
  const add = (table: string, routes: readonly RouteConfig[]): void => void added.set(table, [...(added.get(table) ?? []), ...routes]);
  for (const kind of meshKinds) {
    const own = config.mesh[kind];
    const services = own === null ? null : told(kind);
    if (own === null || services === null) continue;
    const outbound = bySpecificity(kind, [...services.subscribed].map((service) => ({ service })));
    const routed = madeFor(kind, own, outbound.map(({ service }) => service));
    for (const { cluster } of routed) clusters.push(cluster);
    add(listenerOf(config, config.mesh, kind, 'listener')!.routes, routed.map(({ route }) => route));
    const inbound = bySpecificity(kind, [...services.published]);
    for (const [name, app] of new Map(inbound.map(({ app }) => [appCluster(kind, app), app]))) clusters.push(clusterOfApp(own, name, app));
    add(listenerOf(config, config.mesh, kind, 'inbound')!.routes, inbound.map(({ service, app }) => routeTo(kind, own, service, appCluster(kind, app))));
  }
  if (clusters.length === 0) return config;
  return {
    ...config,
    clusters: [...config.clusters, ...clusters],
    routes: config.routes.map((table) => (added.has(table.name) ? withRoutes(table, added.get(table.name)!) : table)),
  };
}

/** `sofa:app@127.0.0.1:12200`: the cluster of an application of this side. */
export function appCluster(kind: MeshKind, app: Address): string {
  return `${kind}:app@${showAddress(app)}`;
}

/** Services that name a group or a version before those that name none, which match them too. */
function bySpecificity<T extends { readonly service: ServiceKey }>(kind: MeshKind, list: T[]): T[] {
  if (!kinds[kind].grouped) return list;
  const conditions = ({ service }: T): number => Number(isSaid(service.group)) + Number(isSaid(service.version));
  return list.sort((one, other) => conditions(other) - conditions(one));
}

/** What was made for a service: the same objects in each configuration, so that what did not change is known by sight. */
interface Made {
  readonly cluster: ClusterConfig;
  readonly route: RouteConfig;
}

const made = new WeakMap<MeshKindConfig, ReadonlyMap<string, Made>>();

function madeFor(kind: MeshKind, config: MeshKindConfig, services: readonly ServiceKey[]): Made[] {
  const former = made.get(config);
  const kept = new Map<string, Made>();
  for (const service of services) {
    const name = clusterName(kind, service);
    kept.set(name, former?.get(name) ?? { cluster: serviceCluster(kind, config, service), route: routeTo(kind, config, service, name) });
  }
  made.set(config, kept);
  return [...kept.values()];
}

function serviceCluster(kind: MeshKind, config: MeshKindConfig, service: ServiceKey): ClusterConfig {
  const { name, group, version } = service;
  return { ...config.cluster, name: clusterName(kind, service), discovery: { ...config.discovery, service: name, group, version } };
}

/** The application itself: plain, and with nothing of what `cluster` says of the way to other machines. */
function clusterOfApp(config: MeshKindConfig, name: string, app: Address): ClusterConfig {
  const host: HostConfig = { address: app, weight: 1, metadata: {} };
  const discovery = { ...config.appCluster.discovery, ...(isIP(app.host) === 0 && app.path === undefined ? {} : { type: 'static' }) };
  return { ...config.appCluster, name, hosts: [host], discovery };
}

const isSaid = (word: string): boolean => word !== '' && word !== '*';

function routeTo(kind: MeshKind, config: MeshKindConfig, { name, group, version }: ServiceKey, cluster: string): RouteConfig {
  const said = (word: string): object | undefined => (kinds[kind].grouped && isSaid(word) ? { exact: word } : undefined);
  const match = { ...matchAll, service: { exact: name }, group: said(group), version: said(version) };
  return { ...config.route, match: match as unknown as NonNullable<RouteConfig['match']>, cluster };
}

/** Routes of services come behind those of the table, but before one at its end that takes everything. */
function insert(routes: readonly RouteConfig[], added: readonly RouteConfig[]): RouteConfig[] {
  const last = routes.at(-1);
  const all = last !== undefined && (last.match === undefined || JSON.stringify(last.match) === JSON.stringify(matchAll));
  return all ? [...routes.slice(0, -1), ...added, last] : [...routes, ...added];
}

function withRoutes(table: RouteTableConfig, added: readonly RouteConfig[]): RouteTableConfig {
  if (table.routes !== undefined) return { ...table, routes: insert(table.routes, added) };
  const rest = table.virtual_hosts.findIndex((host) => host.domains.includes('*'));
  if (rest >= 0) return { ...table, virtual_hosts: table.virtual_hosts.map((host, i) => (i === rest ? { ...host, routes: insert(host.routes, added) } : host)) };
  const { request_headers, reply_headers } = routeTableSchema.parse({ name: 'none', routes: [] });
  const host: VirtualHostConfig = { name: 'mesh:services', domains: ['*'], routes: [...added], request_headers, reply_headers };
  return { ...table, virtual_hosts: [...table.virtual_hosts, host] };
}

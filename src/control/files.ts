// Files that a configuration names: their paths made absolute, seen from the configuration's own folder, and PEM files tried before anyone relies on them.
import { resolve } from 'node:path';
import { createSecureContext } from 'node:tls';
import type { Path } from '../core/config/problem.js';
import type { Catalog } from '../core/manifest.js';
import type { ClientTlsConfig, ServerTlsConfig } from '../network/config.js';
import { isPem, readPem } from '../network/tls-files.js';
import type { ClusterConfig, Typed } from '../network/upstream/config.js';
import type { DiscoveryManifest } from '../network/upstream/discovery.js';
import type { AccessLogConfig } from '../stream/access-log.js';
import type { StreamFilterManifest } from '../stream/filter.js';
import type { RouteConfig, RouteTableConfig } from '../stream/route-config.js';
import type { ParsedListener } from './listener-config.js';

/** What stands for no file: the process's own outputs. */
const STREAMS = new Set(['stdout', 'stderr', '-']);

const absolute = (value: string, directory: string): string => (value === '' || isPem(value) ? value : resolve(directory, value));

export function absoluteLogs(logs: readonly AccessLogConfig[], directory: string): AccessLogConfig[] {
  return logs.map((log) => (STREAMS.has(log.path) ? log : { ...log, path: resolve(directory, log.path) }));
}

/** Options of a stream filter with their paths absolute. */
function absoluteOptions(name: string, options: unknown, directory: string, catalog: Catalog): unknown {
  const manifest = catalog.find<StreamFilterManifest>('stream-filter', name);
  return manifest?.absolute === undefined ? options : manifest.absolute(options, directory);
}

export function absoluteTable(table: RouteTableConfig, directory: string, catalog: Catalog): RouteTableConfig {
  const absoluteRoutes = (routes: readonly RouteConfig[]): RouteConfig[] =>
    routes.map((route) => ({ ...route, filters: Object.fromEntries(Object.entries(route.filters).map(([name, options]) => [name, absoluteOptions(name, options, directory, catalog)])) }));
  const { routes, virtual_hosts: hosts } = table;
  return { ...table, ...(routes === undefined ? {} : { routes: absoluteRoutes(routes) }), virtual_hosts: hosts.map((host) => ({ ...host, routes: absoluteRoutes(host.routes) })) };
}

export function absoluteListener(listener: ParsedListener, directory: string, catalog: Catalog): ParsedListener {
  const { tls, access_log: logs } = listener;
  return {
    ...listener,
    stream_filters: listener.stream_filters.map(({ type, options }) => ({ type, options: absoluteOptions(type, options, directory, catalog) })),
    access_log: logs === null ? null : absoluteLogs(logs, directory),
    tls: tls === null ? null : { ...tls, ca: absolute(tls.ca, directory), certificates: tls.certificates.map((one) => ({ ...one, cert: absolute(one.cert, directory), key: absolute(one.key, directory) })) },
  };
}

/** A file of its own, '' for none. */
export function absoluteFile(value: string, directory: string): string {
  return value === '' ? '' : resolve(directory, value);
}

export function absoluteDiscovery(discovery: Typed, directory: string, catalog: Catalog): Typed {
  const manifest = catalog.find<DiscoveryManifest>('discovery', discovery.type);
  return manifest?.absolute === undefined ? discovery : (manifest.absolute(discovery, directory) as Typed);
}

export function absoluteCluster(cluster: ClusterConfig, directory: string, catalog: Catalog): ClusterConfig {
  const tls = cluster.tls as ClientTlsConfig | null;
  const discovery = absoluteDiscovery(cluster.discovery, directory, catalog);
  if (tls === null) return discovery === cluster.discovery ? cluster : { ...cluster, discovery };
  return { ...cluster, discovery, tls: { ...tls, ca: absolute(tls.ca, directory), cert: absolute(tls.cert, directory), key: absolute(tls.key, directory) } };
}

export interface FileFault {
  /** From the section that was asked about. */
  readonly path: Path;
  readonly text: string;
}

/** What is wrong with the options of a stream filter, seen from the place where they stand. */
export function filterFaults(name: string, options: unknown, at: Path, catalog: Catalog): FileFault[] {
  const faults = catalog.find<StreamFilterManifest>('stream-filter', name)?.faults?.(options) ?? [];
  return faults.map(({ path, text }) => ({ path: [...at, ...path], text }));
}

/** What is wrong with the files of a `tls` section: one that cannot be read, is no PEM, or a key that does not go with its certificate. */
export function tlsFaults(tls: ServerTlsConfig | ClientTlsConfig): FileFault[] {
  const faults: FileFault[] = [];
  const read = (value: string, path: Path): string | undefined => {
    if (value === '') return undefined;
    try {
      return readPem(value);
    } catch (error) {
      faults.push({ path, text: (error as Error).message });
      return undefined;
    }
  };
  const attempt = (parts: Parameters<typeof createSecureContext>[0], path: Path, what: string): void => {
    try {
      createSecureContext(parts);
    } catch (error) {
      faults.push({ path, text: `${what}: ${(error as Error).message.replace(/^error:[0-9A-F]+:/i, '')}` });
    }
  };
  const pair = (one: { readonly cert: string; readonly key: string }, path: Path): void => {
    const cert = read(one.cert, [...path, 'cert']);
    const key = read(one.key, [...path, 'key']);
    if (cert === undefined || key === undefined) return;
    const before = faults.length;
    attempt({ cert }, [...path, 'cert'], 'no usable certificate');
    attempt({ key }, [...path, 'key'], 'no usable private key');
    if (faults.length === before) attempt({ cert, key }, [...path, 'key'], 'the key does not go with the certificate');
  };
  const ca = read(tls.ca, ['ca']);
  if (ca !== undefined) attempt({ ca }, ['ca'], 'no usable certificates');
  if ('certificates' in tls) for (const [i, one] of tls.certificates.entries()) pair(one, ['certificates', i]);
  else pair(tls, []);
  return faults;
}

// What a listener's configuration comes to in a thread: filters made by their plug-ins, TLS made of its files; parts that did not change are kept.
import type { Catalog } from '../core/manifest.js';
import type { FilterConfig, ListenerConfig } from './config.js';
import type { FilterContext, ListenerFilter, ListenerFilterManifest, NetworkFilter, NetworkFilterManifest } from './filter.js';
import { ServerTls } from './tls.js';

export interface Setup {
  readonly listenerFilters: readonly ListenerFilter[];
  /** Network filters that let clients in, in order. */
  readonly gates: readonly NetworkFilter[];
  /** The filter that carries the bytes of connections; null where the stream layer does. */
  readonly tcp: NetworkFilter | null;
  readonly udp: NetworkFilter | null;
  /** Carries connections whose bytes are of none of the protocols, where that is configured. */
  readonly fallback: NetworkFilter | null;
  readonly tls: ServerTls | null;
  readonly maxAge: number;
  /** Filters by what they were made of. */
  readonly made: ReadonlyMap<string, NetworkFilter>;
}

/** Filters that a listener with a cluster and nothing else gets. */
const carrierOf: Readonly<Record<string, string>> = { tcp: 'tcp_proxy', udp: 'udp_proxy' };

/** Throws an Error in words of the configuration. */
export function buildSetup(config: ListenerConfig, former: Setup | null, catalog: Catalog, context: FilterContext, secret: Uint8Array | undefined): Setup {
  const made = new Map<string, NetworkFilter>();
  const filters = filtersOf(config, catalog).map((filter, index) => {
    const manifest = find<NetworkFilterManifest>(catalog, 'network-filter', filter.type);
    const key = `${index} ${JSON.stringify(filter)}`;
    const kept = former?.made.get(key);
    // A plug-in that was loaded anew makes its filters anew.
    const instance = kept !== undefined && manifests.get(kept) === manifest ? kept : manifest.create(filter.options, context);
    manifests.set(instance, manifest);
    made.set(key, instance);
    return { manifest, instance };
  });
  const carrier = (role: 'tcp' | 'udp'): NetworkFilter | null => {
    if (config.protocol !== role) return null;
    const last = filters.at(-1);
    if (last?.manifest.role !== role) throw new Error(`listener ${config.name}: protocol ${role} needs a filter such as ${carrierOf[role]} as the last of network_filters, or a cluster`);
    return last.instance;
  };
  const tcp = carrier('tcp');
  const udp = carrier('udp');
  for (const { manifest, instance } of filters) {
    if (manifest.role === 'gate' || instance === tcp || instance === udp) continue;
    throw new Error(`listener ${config.name}: ${manifest.name} can only be the last of network_filters, with protocol ${manifest.role}`);
  }
  if (udp !== null && (config.tls ?? null) !== null) throw new Error(`listener ${config.name}: there is no TLS over udp`);
  return {
    listenerFilters: (config.listener_filters ?? []).map(({ type, options }) => find<ListenerFilterManifest>(catalog, 'listener-filter', type).create(options)),
    gates: filters.filter(({ manifest }) => manifest.role === 'gate').map(({ instance }) => instance),
    tcp,
    udp,
    fallback: fallbackOf(config, former, catalog, context, made),
    tls: tlsOf(config, former, context, secret),
    maxAge: config.max_connection_age ?? 0,
    made,
  };
}

function fallbackOf(config: ListenerConfig, former: Setup | null, catalog: Catalog, context: FilterContext, made: Map<string, NetworkFilter>): NetworkFilter | null {
  if (config.fallback === undefined || config.fallback === '') return null;
  const manifest = find<NetworkFilterManifest>(catalog, 'network-filter', carrierOf['tcp']!);
  const key = `fallback ${config.fallback}`;
  const kept = former?.made.get(key);
  const filter = kept !== undefined && manifests.get(kept) === manifest ? kept : manifest.create(manifest.schema.parse({ cluster: config.fallback }), context);
  manifests.set(filter, manifest);
  made.set(key, filter);
  return filter;
}

const manifests = new WeakMap<NetworkFilter, NetworkFilterManifest>();

function filtersOf(config: ListenerConfig, catalog: Catalog): readonly FilterConfig[] {
  const filters = config.network_filters ?? [];
  const type = carrierOf[config.protocol];
  if (type === undefined || config.cluster === undefined || config.cluster === '') return filters;
  const last = filters.at(-1);
  if (last !== undefined && find<NetworkFilterManifest>(catalog, 'network-filter', last.type).role === config.protocol) return filters;
  const options = find<NetworkFilterManifest>(catalog, 'network-filter', type).schema.parse({ cluster: config.cluster });
  return [...filters, { type, options }];
}

function find<M extends { readonly name: string; readonly kind: string }>(catalog: Catalog, kind: string, name: string): M {
  const manifest = catalog.find(kind, name);
  if (manifest === undefined) throw new Error(`there is no ${kind} called ${name}`);
  return manifest as unknown as M;
}

/** The same section keeps its contexts and sessions, and its watch on the files. */
function tlsOf(config: ListenerConfig, former: Setup | null, context: FilterContext, secret: Uint8Array | undefined): ServerTls | null {
  const section = config.tls ?? null;
  if (section === null) return null;
  const kept = former?.tls ?? null;
  if (kept !== null && JSON.stringify(kept.config) === JSON.stringify(section)) return kept;
  try {
    return new ServerTls(section, context.log, secret);
  } catch (e) {
    throw new Error(`listener ${config.name}: tls: ${e instanceof Error ? e.message : String(e)}`, { cause: e });
  }
}

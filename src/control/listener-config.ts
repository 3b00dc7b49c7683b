// How a listener is configured: what the network layer knows of it, and what becomes of its messages.
import * as z from 'zod';
import { flag, name, option, Refusal, scalar } from '../core/config/schema.js';
import type { Catalog } from '../core/manifest.js';
import { nearest } from '../core/nearest.js';
import { listenerShape } from '../network/config.js';
import type { NetworkFilterManifest } from '../network/filter.js';
import { type AccessLogConfig, accessLogSchema } from '../stream/access-log.js';
import { type RouteTableConfig, routeTableSchema } from '../stream/route-config.js';
import { decodeOptions, type Plugged, plugged } from './plugged.js';

/** Words of `protocol` that need no plug-in: bytes are carried as they are. */
export const RAW_PROTOCOLS = ['tcp', 'udp'] as const;

/** What the stream layer adds to a listener. */
function messageShape(catalog: Catalog) {
  const filter: z.ZodType<Plugged, unknown> = plugged(catalog, 'stream-filter');
  return {
    protocol: option(protocolName(catalog), { doc: 'What clients speak: `tcp` or `udp` for bytes that are carried as they are, or a protocol, such as http1 or bolt. It is declared, never guessed.' }),
    options: option(z.unknown(), { optional: true, doc: 'Options of the protocol.' }),
    routes: option(name(), { optional: true, doc: 'Name of the route table that decides what becomes of each message.' }),
    cluster: option(name(), { optional: true, doc: 'Name of the cluster that gets everything; short for a route table with this one route, or, for tcp and udp, for the filter that carries the bytes there.' }),
    lane: option(name(), { optional: true, doc: 'Name of the lane whose workers serve the listener. Default: all workers.' }),
    stream_filters: option(z.array(filter), { default: [], doc: 'Filters that see each message, requests in this order and replies in the opposite one. A filter is a name, or a map with its name as `type` and its options.' }),
    access_log: option(accessLogSchema, { optional: true, doc: 'Access logs of this listener, in place of those at the top. A list, one of them, or false for none.' }),
    request_ids: option(flag(), { default: true, doc: 'Gives each request without an x-request-id one of its own, where the protocol has headers. Default true.' }),
  };
}

/** `tcp`, `udp`, or a protocol of the catalog. */
function protocolName(catalog: Catalog): z.ZodType<string, unknown> {
  const known = (): string[] => [...RAW_PROTOCOLS, ...catalog.names('protocol')];
  const expected = `one of ${known().join(', ')}`;
  return scalar<string>({ expected, input: () => ({ type: 'string', anyOf: [{ enum: known() }, { pattern: '^\\$\\{.*\\}$' }] }) }, (value) => {
    if (typeof value === 'string' && known().includes(value)) return value;
    const [near] = typeof value === 'string' ? nearest(value, known()) : [];
    return new Refusal(expected, near === undefined ? '' : `did you mean ${near}?`);
  });
}

/** The schema of one listener. */
export function listenerSchema(catalog: Catalog) {
  return z.strictObject({ ...listenerShape((kind) => plugged(catalog, kind)), ...messageShape(catalog) }).transform((listener, context) => {
    const refuse = (path: (string | number)[], expected: string, hint = ''): void => context.addIssue({ code: 'custom', path, params: { expected, hint } });
    const { protocol } = listener;
    const raw = isRaw(protocol);
    if (raw) {
      if (listener.routes !== undefined) refuse(['routes'], `nothing here: protocol ${protocol} has no messages`, 'it takes `cluster`');
      if (listener.options !== undefined) refuse(['options'], `nothing here: protocol ${protocol} has no options`);
      if (listener.stream_filters.length > 0) refuse(['stream_filters'], `nothing here: protocol ${protocol} has no messages`, 'it takes `network_filters`');
      if (protocol === 'udp' && listener.tls !== undefined) refuse(['tls'], 'nothing here: protocol udp has no connections');
      if (protocol === 'udp' && listener.listener_filters.length > 0) refuse(['listener_filters'], 'nothing here: protocol udp has no connections');
    } else if (listener.routes !== undefined && listener.cluster !== undefined) {
      refuse(['cluster'], 'only one of routes and cluster');
    } else if (listener.routes === undefined && listener.cluster === undefined) {
      refuse(['routes'], 'the name of a route table, or `cluster` with the name of a cluster');
    }
    checkCarriers(listener, catalog, refuse);
    return {
      ...listener,
      options: raw ? null : decodeOptions(catalog.find('protocol', protocol)!, listener.options, ['options'], context),
      routes: listener.routes ?? '',
      cluster: listener.cluster ?? '',
      lane: listener.lane ?? '',
      tls: listener.tls ?? null,
      access_log: listener.access_log ?? null,
    };
  });
}

type Refuse = (path: (string | number)[], expected: string, hint?: string) => void;

/** Bytes are carried by exactly one filter, the last, made for the listener's protocol; `cluster` stands for it. */
function checkCarriers(listener: { readonly protocol: string; readonly cluster?: string | undefined; readonly network_filters: readonly Plugged[] }, catalog: Catalog, refuse: Refuse): void {
  const { protocol, cluster, network_filters: filters } = listener;
  const last = filters.length - 1;
  let carried = cluster !== undefined;
  for (const [i, { type }] of filters.entries()) {
    const role = catalog.find<NetworkFilterManifest>('network-filter', type)?.role ?? 'gate';
    if (role === 'gate') continue;
    const at = ['network_filters', i];
    if (!isRaw(protocol)) refuse(at, `no filter that carries bytes: protocol ${protocol} sends messages to routes`, `protocol ${role} ends in ${type}`);
    else if (role !== protocol) refuse(at, `a filter for protocol ${protocol}`, `${type} carries ${role}`);
    else if (cluster !== undefined) refuse(at, `either ${type} or \`cluster\``);
    else if (i < last) refuse(at, `${type} as the last filter`);
    carried = true;
  }
  if (isRaw(protocol) && !carried) refuse(['cluster'], 'a cluster to carry the bytes to, or a filter that carries them as the last of network_filters');
}

function isRaw(protocol: string): boolean {
  return (RAW_PROTOCOLS as readonly string[]).includes(protocol);
}

export type ParsedListener = z.output<ReturnType<typeof listenerSchema>>;

export interface ListenerConfig extends Omit<ParsedListener, 'access_log'> {
  /** Name of the route table; '' for protocols without messages. */
  readonly routes: string;
  readonly access_log: readonly AccessLogConfig[];
}

/** Name of the route table that stands for a cluster named by a listener; no name in a file has a colon. */
function impliedName(cluster: string): string {
  return `cluster:${cluster}`;
}

/** A listener as it is served: with the access logs of all where it has none of its own, and a route table in any case. */
export function finishListener(listener: ParsedListener, logs: readonly AccessLogConfig[]): ListenerConfig {
  const routes = isRaw(listener.protocol) ? '' : listener.cluster === '' ? listener.routes : impliedName(listener.cluster);
  return { ...listener, routes, access_log: listener.access_log ?? logs };
}

/** The route table of a listener that names a cluster instead of one. */
export function tableOfCluster(cluster: string): RouteTableConfig {
  return { ...routeTableSchema.parse({ name: cluster, routes: [{ name: cluster, cluster }] }), name: impliedName(cluster) };
}

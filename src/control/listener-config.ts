// How a listener is configured: what the network layer knows of it, and what becomes of its messages.
import * as z from 'zod';
import { duration, flag, name, oneOf, option, optionMeta, Refusal, scalar } from '../core/config/schema.js';
import type { Catalog } from '../core/manifest.js';
import { nearest } from '../core/nearest.js';
import { listenerShape } from '../network/config.js';
import type { NetworkFilterManifest } from '../network/filter.js';
import { type AccessLogConfig, accessLogSchema } from '../stream/access-log.js';
import type { ProtocolManifest } from '../stream/protocol.js';
import { type RouteTableConfig, routeTableSchema } from '../stream/route-config.js';
import { decodeOptions, type Plugged, plugged } from './plugged.js';

/** Words of `protocol` that need no plug-in: bytes are carried as they are. */
export const RAW_PROTOCOLS = ['tcp', 'udp'] as const;

/** What the stream layer adds to a listener. */
function messageShape(catalog: Catalog) {
  const filter: z.ZodType<Plugged, unknown> = plugged(catalog, 'stream-filter');
  return {
    protocol: option(protocolName(catalog), { doc: 'What clients speak: `tcp` or `udp` for bytes that are carried as they are, a protocol, such as http1 or bolt, or several in a list, of which each connection is the first that fits its first bytes (or the one that TLS agreed on by ALPN); `auto` stands for all there are.' }),
    options: option(z.unknown(), { optional: true, doc: 'Options of the protocol; with several protocols a map with the options of each under its name.' }),
    detect_timeout: option(duration(3000, 1), { doc: 'With several protocols: time in which the first bytes of a connection have to tell which it is. Then it goes to `fallback`, or is closed. Default 3 s.' }),
    fallback: option(name(), { optional: true, doc: 'With several protocols: name of the cluster that gets connections of none of them, as bytes. Default: they are closed.' }),
    routes: option(name(), { optional: true, doc: 'Name of the route table that decides what becomes of each message.' }),
    cluster: option(name(), { optional: true, doc: 'Name of the cluster that gets everything; short for a route table with this one route, or, for tcp and udp, for the filter that carries the bytes there.' }),
    lane: option(name(), { optional: true, doc: 'Name of the lane whose workers serve the listener. Default: all workers.' }),
    stream_filters: option(z.array(filter), { default: [], doc: 'Filters that see each message, requests in this order and replies in the opposite one. A filter is a name, or a map with its name as `type` and its options.' }),
    access_log: option(accessLogSchema, { optional: true, doc: 'Access logs of this listener, in place of those at the top. A list, one of them, or false for none.' }),
    rpc_metrics: option(oneOf(['grpc', 'all', 'none']), { default: 'grpc' as const, doc: 'Whose calls are counted by service and method (sluice_rpc_replies_total, sluice_rpc_request_seconds): those of gRPC; of `all` protocols, which costs a look at the names in each call; or `none`. 500 methods are told apart, further ones count as other. Default grpc.' }),
    request_ids: option(flag(), { default: true, doc: 'Gives each request without an x-request-id one of its own, where the protocol has headers. Default true.' }),
  };
}

/** Every protocol of the catalog, in the order of their names. */
export const AUTO = 'auto';

/** `tcp`, `udp`, a protocol of the catalog, several of them, or `auto`. Several are decoded to their names joined by commas. */
function protocolName(catalog: Catalog): z.ZodType<string, unknown> {
  const known = (): string[] => [...RAW_PROTOCOLS, ...catalog.names('protocol'), AUTO];
  const expected = `one of ${known().join(', ')}, or a list of protocols`;
  const input = () => ({ anyOf: [{ type: 'string' as const, enum: known() }, { type: 'array' as const, items: { enum: catalog.names('protocol') } }, { type: 'string' as const, pattern: '^\\$\\{.*\\}$' }] });
  const one = scalar<string>({ expected, input }, (value) => {
    if (typeof value === 'string' && known().includes(value)) return value;
    const list = typeof value === 'string' ? value.split(',').map((part) => part.trim()) : [];
    const names = catalog.names('protocol');
    const wrong = list.find((part) => !names.includes(part)) ?? (new Set(list).size < list.length ? 'each of them once' : undefined);
    if (list.length > 1 && wrong === undefined) return list.join(',');
    const [near] = typeof value === 'string' ? nearest(list.length > 1 ? (wrong ?? '') : value, known()) : [];
    return new Refusal(expected, near === undefined ? '' : `did you mean ${near}?`);
  });
  const schema = z.preprocess((value) => (Array.isArray(value) && value.length > 0 && value.every((part) => typeof part === 'string') ? value.join(',') : value), one);
  optionMeta.add(schema, { expected, input });
  return schema as unknown as z.ZodType<string, unknown>;
}

/** The protocols that connections are told apart by; none where there is one, which is declared. */
function detected(protocol: string, catalog: Catalog): readonly string[] {
  return protocol === AUTO ? [...catalog.names('protocol')].sort() : protocol.includes(',') ? protocol.split(',') : [];
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
    const detect = detected(protocol, catalog);
    if (detect.length === 0 && listener.fallback !== undefined) refuse(['fallback'], 'nothing here: the protocol is declared', 'it is for several protocols');
    let options: unknown = null;
    if (detect.length > 0) options = optionsOfEach(detect, listener.options, catalog, context, refuse);
    else if (!raw) options = decodeOptions(catalog.find('protocol', protocol)!, listener.options, ['options'], context);
    return {
      ...listener,
      options,
      detect,
      fallback: listener.fallback ?? '',
      routes: listener.routes ?? '',
      cluster: listener.cluster ?? '',
      lane: listener.lane ?? '',
      tls: listener.tls ?? null,
      access_log: listener.access_log ?? null,
    };
  });
}

/** The options of each of several protocols, by its name. */
function optionsOfEach(names: readonly string[], given: unknown, catalog: Catalog, context: Parameters<typeof decodeOptions>[3], refuse: Refuse): Record<string, unknown> {
  const map = (given ?? {}) as Record<string, unknown>;
  const options: Record<string, unknown> = {};
  if (typeof map !== 'object' || Array.isArray(map)) {
    refuse(['options'], 'a map with the options of each protocol under its name');
    return options;
  }
  for (const key of Object.keys(map)) if (!names.includes(key)) refuse(['options', key], `one of ${names.join(', ')}`, 'with several protocols options stand under the name of theirs');
  for (const protocol of names) options[protocol] = decodeOptions(catalog.find('protocol', protocol)!, map[protocol], ['options', protocol], context);
  return options;
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
export function finishListener(parsed: ParsedListener, logs: readonly AccessLogConfig[], catalog: Catalog): ListenerConfig {
  const listener = { ...parsed, tls: parsed.tls === null || parsed.tls.alpn.length > 0 ? parsed.tls : { ...parsed.tls, alpn: alpnOf(parsed.detect.length > 0 ? parsed.detect : [parsed.protocol], catalog) } };
  const routes = isRaw(listener.protocol) ? '' : listener.cluster === '' ? listener.routes : impliedName(listener.cluster);
  return { ...listener, routes, access_log: listener.access_log ?? logs };
}

/** The route table of a listener that names a cluster instead of one. */
export function tableOfCluster(cluster: string): RouteTableConfig {
  return { ...routeTableSchema.parse({ name: cluster, routes: [{ name: cluster, cluster }] }), name: impliedName(cluster) };
}

/** What a listener with TLS offers where its configuration names nothing: the protocols it serves that have a name there. */
function alpnOf(protocols: readonly string[], catalog: Catalog): string[] {
  const names = protocols.map((protocol) => catalog.find<ProtocolManifest>('protocol', protocol)?.alpn ?? '');
  // HTTP/2 first, since clients that know it prefer it, too.
  return names.filter((alpn) => alpn !== '').sort((a, b) => Number(b === 'h2') - Number(a === 'h2'));
}

// How a listener is configured: what the network layer knows of it, and what becomes of its messages.
import * as z from 'zod';
import { address, duration, flag, name, option, Refusal, scalar, section } from '../core/config/schema.js';
import type { Catalog } from '../core/manifest.js';
import { nearest } from '../core/nearest.js';
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

function networkShape() {
  return {
    name: option(name(), { doc: 'Name of the listener in logs, metrics and the admin.' }),
    address: option(address(), { doc: 'Where it listens: 127.0.0.1:80, [::1]:80, :80 for every address of the machine, or unix:/path.' }),
    timeouts: section(
      {
        head: option(duration(10_000), { doc: 'Time for the head of a request to arrive. Default 10 s; 0 for none.' }),
        idle: option(duration(), { optional: true, doc: "Time after which a connection without an exchange is closed. Default: the protocol's, 90 s for HTTP and none for RPC with heartbeats." }),
      },
      'How long clients may take.',
    ),
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
  return z.strictObject({ ...networkShape(), ...messageShape(catalog) }).transform((listener, context) => {
    const refuse = (path: string, expected: string, hint = ''): void => context.addIssue({ code: 'custom', path: [path], params: { expected, hint } });
    const raw = (RAW_PROTOCOLS as readonly string[]).includes(listener.protocol);
    let options: unknown = null;
    if (raw) {
      for (const key of ['routes', 'options'] as const) if (listener[key] !== undefined) refuse(key, `nothing here: protocol ${listener.protocol} has no messages`);
      if (listener.stream_filters.length > 0) refuse('stream_filters', `nothing here: protocol ${listener.protocol} has no messages`);
      if (listener.cluster === undefined) refuse('cluster', 'a cluster to carry the bytes to');
    } else {
      options = decodeOptions(catalog.find('protocol', listener.protocol)!, listener.options, ['options'], context);
      if (listener.routes !== undefined && listener.cluster !== undefined) refuse('cluster', 'only one of routes and cluster');
      else if (listener.routes === undefined && listener.cluster === undefined) refuse('routes', 'the name of a route table, or `cluster` with the name of a cluster');
    }
    return {
      ...listener,
      options,
      routes: listener.routes ?? '',
      cluster: listener.cluster ?? '',
      lane: listener.lane ?? '',
      access_log: listener.access_log ?? null,
    };
  });
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
  const raw = (RAW_PROTOCOLS as readonly string[]).includes(listener.protocol);
  const routes = raw ? '' : listener.cluster === '' ? listener.routes : impliedName(listener.cluster);
  return { ...listener, routes, access_log: listener.access_log ?? logs };
}

/** The route table of a listener that names a cluster instead of one. */
export function tableOfCluster(cluster: string): RouteTableConfig {
  return { ...routeTableSchema.parse({ name: cluster, routes: [{ name: cluster, cluster }] }), name: impliedName(cluster) };
}

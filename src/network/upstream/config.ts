// How a cluster is configured: every option with its default, unit and effect, checked against the plug-ins that there are.
import { isIP } from 'node:net';
import * as z from 'zod';
import { duration, hosts, integer, name, oneOf, option, optionMeta, percent, section, showAddress } from '../../core/config/schema.js';
import type { Catalog, Manifest } from '../../core/manifest.js';
import type { DiscoveryManifest } from './discovery.js';
import { healthCheck } from './health-config.js';

export type { HostConfig } from '../../core/config/schema.js';
export type { HealthCheckConfig } from './health-config.js';

/** What a plug-in's options look like once decoded: its name as `type`, and the rest as its own schema says. */
export interface Typed {
  readonly type: string;
  readonly [option: string]: unknown;
}

const breaker = section(
  {
    max_connections: option(integer(0, 1_000_000), { default: 1024, doc: 'Most connections to all hosts of the cluster, over all workers; 0 for no limit. Default 1024: below the usual limit of open files. What is above it waits, see `max_pending`.' }),
    max_pending: option(integer(0, 1_000_000), { default: 1024, doc: 'Most requests that wait for a connection, over all workers; 0 for no limit. Default 1024.' }),
    max_requests: option(integer(0, 10_000_000), { default: 0, doc: 'Most requests in flight, over all workers; 0, the default, for no limit: what a cluster can take is not for a proxy to guess, and connections and waiting requests are limited anyway.' }),
    max_retries: option(integer(0, 1_000_000), { default: 0, doc: 'Most retries in flight, over all workers; 0, the default, leaves it to `retry_budget`.' }),
    retry_budget: section(
      {
        percent: option(percent(20), { doc: 'Retries in flight at once, as a share of the requests in flight. Default 20 %.' }),
        min: option(integer(0, 1_000_000), { default: 3, doc: 'Retries that are allowed however few requests are in flight. Default 3.' }),
      },
      'Keeps retries from multiplying the load of a cluster in trouble; on by default.',
    ),
  },
  'What may be in use at once. Levels are shared by all workers; one may pass its limit by the number of workers less one.',
);

const heartbeat = z.strictObject({
  interval: option(duration(15_000), { doc: 'Time without a byte from the host after which it is asked for a sign of life. Default 15 s; 0 turns heartbeats off.' }),
  timeout: option(duration(3000, 1), { doc: 'Time to wait for the answer. Default 3 s.' }),
  misses: option(integer(1, 100), { default: 2, doc: 'Unanswered heartbeats in a row after which the connection is closed; after the first one the next is sent at once. Default 2.' }),
});

/**
 * The schema of one cluster; `tls` is that of its section of this name, `probes` names the protocols that have a health check of
 * their own. What is optional and has no default decodes to null.
 */
export function clusterSchema(catalog: Catalog, tls: z.ZodType, probes: readonly string[]) {
  const shape = z.strictObject({
    name: option(name(), { doc: 'Name by which routes and components refer to the cluster.' }),
    hosts: option(hosts(), { default: [], doc: 'Hosts, as "a:1,b:2" or a list. Names are resolved by DNS, again and again.' }),
    discovery: option(discoverySchema(catalog, ['auto']), {
      default: { type: 'auto' },
      doc: 'Where the hosts come from. Default auto: `dns` when one of `hosts` is a name, else `static`.',
    }),
    protocol: option(name(), { default: '', doc: "Protocol spoken to the hosts. Default: that of the listener, without conversion." }),
    options: option(z.unknown(), { optional: true, doc: 'Options of `protocol`; only with it.' }),
    pool: option(oneOf(['multiplex', 'exclusive', 'pinned']), {
      optional: true,
      doc: 'How exchanges use connections: `multiplex` many at once on a few, `exclusive` one at a time on each, `pinned` a connection of its own for each client. Default: what the protocol is made for.',
    }),
    connections_per_host: option(integer(1, 1000), { default: 1, doc: 'Connections to each host in a multiplex pool, for each worker. Default 1.' }),
    balancer: option(plugged(catalog, 'balancer', []), { default: { type: 'weighted' }, doc: 'Which host is next. Default weighted: in turn, exactly by the weights of the hosts.' }),
    panic_threshold: option(percent(0), { doc: 'When fewer of the hosts than this are healthy, health is ignored and all are used. Default 0: never; without a healthy host requests fail with no-healthy-host.' }),
    slow_start: option(duration(0), { doc: 'Time in which the share of a new or recovered host rises from a tenth to the whole of its weight, for the balancers that use weights. Default 0: at once.' }),
    health_check: option(healthCheck(), { optional: true, doc: 'Asks every host at intervals whether it works and takes it out of use when it does not. Default: none, every host counts as healthy.' }),
    breaker,
    connect_timeout: option(duration(3000, 1), { doc: 'Time for a connection to be accepted and its TLS handshake to be done. Default 3 s.' }),
    idle_timeout: option(duration(60_000), { doc: 'Time after which an unused connection is closed; keep it below that of the hosts. Default 60 s; 0 for never.' }),
    pool_timeout: option(duration(5000, 1), { doc: 'Time that a request waits for a free connection. Default 5 s.' }),
    max_requests_per_connection: option(integer(0, 1_000_000_000), { default: 0, doc: 'Requests after which a connection is replaced; 0, the default, for no limit.' }),
    max_connection_age: option(duration(0), { doc: 'Age, varied by a tenth, at which a connection is replaced, so that load moves to new hosts. Default 0: never.' }),
    heartbeat: option(heartbeat, { optional: true, doc: "Heartbeats on connections of a multiplex pool, for protocols that have them. Default: the protocol's." }),
    keep_alive: option(duration(30_000), { doc: 'Quiet time after which the system begins to send TCP keep-alives. Default 30 s; 0 for none.' }),
    drain_timeout: option(duration(30_000), { doc: 'Time that exchanges may run on a host that was removed, before its connections are closed. Default 30 s.' }),
    tls: option(tls, { optional: true, doc: 'TLS to the hosts. Default: none.' }),
  });
  return shape.transform((cluster, context) => {
    const refuse = (path: (string | number)[], expected: string, hint = ''): void => context.addIssue({ code: 'custom', path, params: { expected, hint } });
    const discovery = cluster.discovery.type === 'auto' ? automatic(catalog, cluster.hosts) : cluster.discovery;
    if (cluster.hosts.length > 0 && catalog.find<DiscoveryManifest>('discovery', discovery.type)?.registry !== undefined) {
      refuse(['hosts'], `nothing here: discovery ${discovery.type} finds the hosts`);
    }
    const seen = new Map<string, number>();
    for (const [i, host] of cluster.hosts.entries()) {
      const address = showAddress(host.address);
      const before = seen.get(address);
      if (before !== undefined) refuse(['hosts', i], `hosts[${before}] has the address ${address} already`);
      seen.set(address, i);
      if (discovery.type === 'static' && isName(host)) refuse(['hosts', i], 'an IP address', 'discovery dns takes names');
      if (cluster.balancer.type === 'round_robin' && host.weight > 1) refuse(['balancer'], 'round_robin ignores the weights of the hosts', 'weighted is in turn and by weight');
    }
    const check = cluster.health_check?.type ?? 'tcp';
    const asked = check === 'protocol' ? cluster.protocol : check;
    if (asked === '') refuse(['health_check', 'type'], 'the name of a protocol', 'type protocol needs `protocol` to be set');
    else if (check !== 'tcp' && check !== 'http' && !probes.includes(asked)) {
      refuse(['health_check', 'type'], `one of ${['tcp', 'http', 'protocol', ...probes].join(', ')}`, check === 'protocol' ? `${asked} has no health check of its own` : '');
    }
    let options: unknown = null;
    if (cluster.protocol !== '') {
      const protocol = catalog.find('protocol', cluster.protocol);
      if (protocol === undefined) refuse(['protocol'], `one of ${catalog.names('protocol').join(', ')}`);
      else options = decodeWithin(protocol, cluster.options, ['options'], context as unknown as { issues: object[] });
    } else if (cluster.options !== undefined) {
      refuse(['options'], '`protocol` with it: they are the options of a protocol');
    }
    return {
      ...cluster,
      discovery,
      options,
      pool: cluster.pool ?? null,
      health_check: cluster.health_check ?? null,
      heartbeat: cluster.heartbeat ?? null,
      tls: cluster.tls === undefined ? null : withAlpn(cluster.tls, catalog.find('protocol', cluster.protocol)),
    };
  });
}

/** Hosts with TLS speak HTTP/2 only when it is offered; other protocols need no word of theirs. */
function withAlpn<T>(tls: T, protocol: (Manifest & { readonly alpn?: string }) | undefined): T {
  const { alpn } = tls as { readonly alpn?: readonly string[] };
  return protocol?.alpn !== 'h2' || alpn === undefined || alpn.length > 0 ? tls : { ...tls, alpn: ['h2'] };
}

/** A cluster as decoded; plain data, all times in ms. */
export type ClusterConfig = z.output<ReturnType<typeof clusterSchema>>;
export type BreakerConfig = ClusterConfig['breaker'];
export type HeartbeatConfig = NonNullable<ClusterConfig['heartbeat']>;

/** A discovery: its name, or a map of its options with its name as `type`; `words` are names that need no plug-in. */
export function discoverySchema(catalog: Catalog, words: readonly string[]): z.ZodType<Typed, unknown> {
  return plugged(catalog, 'discovery', words);
}

/** A plug-in's name, or a map of its options with its name as `type`; `words` are names that need no plug-in. */
function plugged(catalog: Catalog, kind: string, words: readonly string[]): z.ZodType<Typed, unknown> {
  const choices = catalog.all(kind).map((manifest) => {
    const schema = manifest.schema as z.ZodObject;
    if (schema._zod.def.type !== 'object') throw new Error(`the schema of ${kind} ${manifest.name} is not an object`);
    return schema.extend({ type: option(z.literal(manifest.name), { doc: manifest.doc }) });
  });
  for (const word of words) choices.push(z.strictObject({ type: z.literal(word) }));
  const union = z.discriminatedUnion('type', choices as unknown as [z.ZodObject]);
  const schema = z.preprocess((value) => (typeof value === 'string' ? { type: value } : value), union);
  optionMeta.add(union, { expected: `a ${kind}: one of ${[...words, ...catalog.names(kind)].join(', ')}` });
  return schema as unknown as z.ZodType<Typed, unknown>;
}

/** Decodes what a plug-in's own schema describes, its issues told as part of the schema around it. */
function decodeWithin(manifest: Manifest, input: unknown, path: readonly string[], context: { issues: object[] }): unknown {
  const result = manifest.schema._zod.run({ value: input ?? {}, issues: [] }, { async: false });
  if (result instanceof Promise) throw new Error(`the schema of ${manifest.name} is asynchronous`);
  for (const issue of result.issues) context.issues.push({ ...issue, path: [...path, ...(issue.path ?? [])] });
  return result.value;
}

function isName(host: { readonly address: { readonly host: string; readonly path?: string } }): boolean {
  return host.address.path === undefined && isIP(host.address.host) === 0;
}

function automatic(catalog: Catalog, list: readonly { readonly address: { readonly host: string; readonly path?: string } }[]): Typed {
  const type = list.some(isName) ? 'dns' : 'static';
  const manifest = catalog.find('discovery', type);
  return { ...(manifest === undefined ? {} : (manifest.schema.parse({}) as object)), type };
}

// How the endpoints for SDKs that know a mesh are configured: one section for each kind of SDK, nothing of it on unless it is there.
import * as z from 'zod';
import { jsonSchemaPart } from '../../core/config/json-schema.js';
import { type Address, address, duration, NAME, option, optionMeta, parseAddress, Refusal, scalar, showAddress, text } from '../../core/config/schema.js';
import type { Catalog } from '../../core/manifest.js';
import { clientTlsSchema } from '../../network/config.js';
import { type ClusterConfig, clusterSchema, discoverySchema, type Typed } from '../../network/upstream/config.js';
import type { DiscoveryManifest } from '../../network/upstream/discovery.js';
import { type RouteConfig, routeSchema } from '../../stream/route-config.js';

/** The kinds of SDKs, which are also the words before the colon in the names of what is made for them. */
export const meshKinds = ['sofa', 'dubbo'] as const;
export type MeshKind = (typeof meshKinds)[number];

/** A listener of the file by its name, or the address of one that is made. */
export interface MeshListener {
  /** '' for one that is made. */
  readonly name: string;
  readonly address: Address | null;
}

/** One kind of SDK; plain data. */
export interface MeshKindConfig {
  /** Where the SDK calls the mesh over HTTP. */
  readonly address: Address;
  readonly hosts: readonly string[];
  /** What the applications of this side call through. */
  readonly listener: MeshListener;
  /** What others call the applications of this side through. */
  readonly inbound: MeshListener;
  /** Where the application listens when it does not say so. */
  readonly app: Address;
  /** ms between tries whether the application accepts connections; 0 for none. */
  readonly app_check: number;
  /** What is published for an instance of the application; null for the address of `inbound`. */
  readonly advertise: Address | null;
  readonly discovery: Typed;
  /** ms that a subscription waits for the first answer of the discovery. */
  readonly wait: number;
  /** Where subscriptions and publications are kept over a restart; '' for nowhere. */
  readonly state: string;
  /** What a cluster is made from, but for its name and service. */
  readonly cluster: ClusterConfig;
  /** What the cluster of an application of this side is made from, but for its name and host. */
  readonly appCluster: ClusterConfig;
  /** What a route is made from, but for its name, match and cluster. */
  readonly route: RouteConfig;
}

export type MeshConfig = { readonly [K in MeshKind]: MeshKindConfig | null };

/** Nothing configured. */
export const noMesh: MeshConfig = { sofa: null, dubbo: null };

interface Kind {
  readonly protocol: string;
  readonly what: string;
  /** Ports by convention: of the endpoints, of both listeners that are made, and of the application. */
  readonly ports: { readonly http: number; readonly listener: number; readonly inbound: number; readonly app: number };
  readonly listenerDoc: string;
  /** Whether a request says which group and version it is for. */
  readonly grouped: boolean;
}

export const kinds: Readonly<Record<MeshKind, Kind>> = {
  sofa: {
    protocol: 'bolt',
    what: 'SOFARPC (registry `mesh`)',
    // 12220 is a constant of the SDK; 12201 is what MOSN publishes.
    ports: { http: 13330, listener: 12220, inbound: 12201, app: 12200 },
    listenerDoc: 'The SDK connects to port 12220 of the host that its registry address names, whatever it is told.',
    grouped: false,
  },
  dubbo: {
    protocol: 'dubbo',
    what: "Dubbo applications that announce themselves as to MOSN's `dubbo_registry`",
    ports: { http: 22222, listener: 20881, inbound: 33333, app: 20880 },
    listenerDoc: 'The applications name it as the direct address of what they call.',
    grouped: true,
  },
};

/** What of a cluster and of a route is not for the user to say here. */
const FIXED_CLUSTER = ['name', 'hosts', 'discovery', 'protocol', 'options'] as const;
const FIXED_ROUTE = ['name', 'match', 'cluster', 'weighted', 'redirect', 'direct_response', 'terminal', 'prefix_rewrite', 'regex_rewrite', 'host_rewrite'] as const;

/** The name of a listener, or an address. */
function listenerOrAddress(): z.ZodType<MeshListener, unknown> {
  const expected = 'the name of a listener, or an address such as 127.0.0.1:12220';
  const show = (value: MeshListener): unknown => (value.address === null ? value.name : showAddress(value.address));
  return scalar<MeshListener>({ expected, input: () => ({ type: ['string', 'integer'] }), show: show as (value: never) => unknown }, (value) => {
    if (typeof value === 'string' && NAME.test(value) && !/^\d+$/.test(value)) return { name: value, address: null };
    const parsed = parseAddress(value);
    return parsed instanceof Refusal ? new Refusal(expected, parsed.hint) : { name: '', address: parsed };
  });
}

interface Issues {
  addIssue(issue: { code: 'custom'; path?: (string | number)[]; params: { expected: string; hint?: string } }): void;
}

/**
 * A part of a larger schema: decoded by the whole of it with what is fixed put in, its own issues told in place. Schemas are made when
 * they are needed: most configurations have no mesh.
 */
function partOf<T>(whole: () => z.ZodType<T, unknown>, fixed: readonly string[], given: Readonly<Record<string, unknown>>, shown: () => z.ZodType, expected: string): z.ZodType<T, unknown> {
  const schema = z.unknown().transform((value, context): T => {
    const refuse = context as unknown as Issues & { issues: object[] };
    const map = value ?? {};
    if (typeof map !== 'object' || Array.isArray(map)) {
      refuse.addIssue({ code: 'custom', params: { expected } });
      return z.NEVER;
    }
    const taken = fixed.filter((key) => Object.hasOwn(map, key));
    for (const key of taken) refuse.addIssue({ code: 'custom', path: [key], params: { expected: 'nothing here: the mesh itself sets it' } });
    if (taken.length > 0) return z.NEVER;
    const result = whole()._zod.run({ value: { ...map, ...given }, issues: [] }, { async: false });
    if (result instanceof Promise) throw new Error('a schema of the configuration is asynchronous');
    for (const issue of result.issues) refuse.issues.push(issue);
    return result.issues.length > 0 ? z.NEVER : (result.value as T);
  });
  optionMeta.add(schema, { expected, input: () => jsonSchemaPart(shown()) });
  return schema as unknown as z.ZodType<T, unknown>;
}

function without(shape: Readonly<Record<string, z.ZodType>>, keys: readonly string[]): z.ZodType {
  return z.strictObject(Object.fromEntries(Object.entries(shape).filter(([key]) => !keys.includes(key))));
}

type ClusterSchema = ReturnType<typeof clusterSchema>;

function clusterPart(schema: () => ClusterSchema, protocol: string): z.ZodType<ClusterConfig, unknown> {
  const shape = (): Readonly<Record<string, z.ZodType>> => (schema()._zod.def.in as z.ZodObject).shape as Readonly<Record<string, z.ZodType>>;
  const whole = schema as unknown as () => z.ZodType<ClusterConfig, unknown>;
  return partOf<ClusterConfig>(whole, FIXED_CLUSTER, { name: 'service', protocol }, () => without(shape(), FIXED_CLUSTER), 'a map of options of a cluster');
}

function routePart(): z.ZodType<RouteConfig, unknown> {
  const shape = (routeSchema as unknown as z.ZodObject).shape as Readonly<Record<string, z.ZodType>>;
  return partOf<RouteConfig>(() => routeSchema as unknown as z.ZodType<RouteConfig, unknown>, FIXED_ROUTE, { cluster: 'service' }, () => without(shape, FIXED_ROUTE), 'a map of options of a route');
}

function kindSchema(catalog: Catalog, kind: MeshKind, clusters: () => ClusterSchema): z.ZodType<MeshKindConfig | null, unknown> {
  const { protocol, ports, listenerDoc } = kinds[kind];
  const cluster = clusterPart(clusters, protocol);
  const route = routePart();
  const shape = z.strictObject({
    address: option(address(), { default: { host: '127.0.0.1', port: ports.http }, doc: `Where the SDK calls the mesh over HTTP; it has no access control, so keep it on loopback. Default 127.0.0.1:${ports.http}.` }),
    hosts: option(z.array(text()), { default: [], doc: 'Names, besides localhost and IP addresses, by which the SDK may call; others are refused, so that no web page reaches it under a name of its own.' }),
    listener: option(listenerOrAddress(), { optional: true, doc: `What the applications of this side call through: the name of a listener with \`protocol: ${protocol}\` and \`routes\`, whose table gets a route for each service that is subscribed; or the address of one that is made. Default: one at port ${ports.listener} of the host of \`address\`. ${listenerDoc}` }),
    inbound: option(listenerOrAddress(), { optional: true, doc: `What others call the applications of this side through, in the same way: its table gets a route to the application for each service that is published. Default: one at port ${ports.inbound} of the host of \`address\`.` }),
    app: option(address(), { default: { host: '127.0.0.1', port: ports.app }, doc: `Where an application listens that does not say so when it publishes. Default 127.0.0.1:${ports.app}.` }),
    app_check: option(duration(5000), { doc: 'How often it is tried whether an application accepts connections; one that does not is taken out of the discovery until it does. Default 5 s; 0 for never.' }),
    advertise: option(address(), { optional: true, doc: 'Address published for the instances of this side, such as "${POD_IP}:' + ports.inbound + '". Default: that of `inbound`, and where it listens on every address, the first of this machine.' }),
    discovery: option(discoverySchema(catalog, []), { default: { type: 'memory' }, doc: 'Where services are found and published: a discovery that finds them by name. Default memory: this process.' }),
    wait: option(duration(3000), { doc: 'Time that a subscription waits for the discovery to know the service, before it is answered all the same. Default 3 s.' }),
    state: option(text(), { default: '', doc: 'File in which subscriptions and publications are kept, so that they outlive this process: the SDKs tell them once. Default: none.' }),
    cluster: option(cluster, { optional: true, doc: 'Options of the clusters that are made for services: timeouts, breaker, TLS, health checks, as those of `clusters`.' }),
    route: option(route, { optional: true, doc: 'Options of the routes that are made for services: timeout, retry, idempotent, headers, as those of `routes`.' }),
  });
  const checked = shape.transform((given, context): MeshKindConfig => {
    const refuse = (path: (string | number)[], expected: string, hint = ''): void => context.addIssue({ code: 'custom', path, params: { expected, hint } });
    if (catalog.find('protocol', protocol) === undefined) refuse([], `protocol ${protocol}, which there is not`);
    if (catalog.find<DiscoveryManifest>('discovery', given.discovery.type)?.registry === undefined) {
      const able = catalog.all<DiscoveryManifest>('discovery').filter((manifest) => manifest.registry !== undefined).map((manifest) => manifest.name);
      refuse(['discovery'], `a discovery that finds services by name: one of ${able.join(', ')}`);
    }
    if (context.issues.length > 0) return z.NEVER;
    const host = given.address.path === undefined ? given.address.host : '127.0.0.1';
    const made = (port: number): MeshListener => ({ name: '', address: { host, port } });
    const listener = given.listener ?? made(ports.listener);
    const inbound = given.inbound ?? made(ports.inbound);
    if (listener.name !== '' && listener.name === inbound.name) refuse(['inbound'], 'another listener than `listener`', 'one leads away from the applications, the other to them');
    return {
      ...given,
      listener,
      inbound,
      advertise: given.advertise ?? null,
      cluster: given.cluster ?? cluster.parse({}),
      appCluster: clusters().parse({
        name: 'app',
        protocol,
        hosts: showAddress(given.app),
        // What is found is for the discovery: calls go to the application whatever a check says, it is the only host there is.
        panic_threshold: '100%',
        ...(given.app_check === 0 ? {} : { health_check: { type: 'tcp', interval: `${Math.max(given.app_check, 10)}ms`, retry_interval: `${Math.max(Math.min(given.app_check, 1000), 10)}ms`, healthy_threshold: 1, unhealthy_threshold: 2 } }),
      }),
      route: given.route ?? route.parse({}),
    };
  });
  return z.preprocess((value) => (value === true ? {} : value === false ? null : value), checked.nullable()) as unknown as z.ZodType<MeshKindConfig | null, unknown>;
}

/** The schema of the section `mesh`; `probes` names the protocols that have a health check of their own. */
export function meshSchema(catalog: Catalog, probes: readonly string[]) {
  let made: ClusterSchema | undefined;
  const clusters = (): ClusterSchema => (made ??= clusterSchema(catalog, clientTlsSchema(), probes));
  const about = (kind: MeshKind): string => `Endpoints for ${kinds[kind].what}: what it subscribes becomes routable, what it publishes is led to it. \`{}\` for all defaults; default: off.`;
  return z
    .strictObject({
      sofa: option(kindSchema(catalog, 'sofa', clusters), { optional: true, doc: about('sofa') }),
      dubbo: option(kindSchema(catalog, 'dubbo', clusters), { optional: true, doc: about('dubbo') }),
    })
    .transform(({ sofa, dubbo }): MeshConfig => ({ sofa: sofa ?? null, dubbo: dubbo ?? null }));
}


// The whole configuration: one schema out of the parts of every layer, and the plain frozen data that a valid file becomes.
import * as z from 'zod';
import { check } from '../core/config/check.js';
import { toJsonSchema } from '../core/config/json-schema.js';
import { type Loaded, loadText } from '../core/config/load.js';
import type { Problem } from '../core/config/problem.js';
import { type Address, address, duration, flag, integer, type JsonSchema, name, oneOf, option, optionMeta, Refusal, scalar, section, size, text } from '../core/config/schema.js';
import { type LogFormat, type LogLevel, logLevels } from '../core/log.js';
import type { Catalog } from '../core/manifest.js';
import { clientTlsSchema } from '../network/config.js';
import { type ClusterConfig, clusterSchema } from '../network/upstream/config.js';
import { type AccessLogConfig, accessLogSchema, defaultAccessLogs } from '../stream/access-log.js';
import type { ProtocolManifest } from '../stream/protocol.js';
import type { RouteTableConfig } from '../stream/route-config.js';
import { type TracingConfig, tracingSchema } from '../stream/trace/config.js';
import { type ListenerConfig, listenerSchema } from './listener-config.js';
import { assemble } from './assemble.js';
import { type MeshConfig, meshSchema, noMesh } from './mesh/config.js';
import { routeTableWith } from './route-filters.js';

export type { AccessLogConfig } from '../stream/access-log.js';
export type { ListenerConfig } from './listener-config.js';
export type { Plugged } from './plugged.js';
export type { ClusterConfig } from '../network/upstream/config.js';
export type { RouteTableConfig } from '../stream/route-config.js';

/** A plug-in from outside: as written, and where to import it from; the address changes when its content does. */
export interface PluginConfig {
  readonly specifier: string;
  readonly url: string;
}

export interface AdminConfig {
  readonly enabled: boolean;
  readonly address: Address;
  /** Names besides `localhost` and IP addresses by which the admin may be called. */
  readonly hosts: readonly string[];
}

/** A decoded configuration: plain, deeply frozen, fit to be posted to other threads. Times in ms, sizes in bytes. */
export interface Config {
  readonly admin: AdminConfig;
  /** Worker threads; 0 for one per processor. */
  readonly workers: number;
  readonly lanes: readonly { readonly name: string; readonly workers: number }[];
  readonly listeners: readonly ListenerConfig[];
  /** Those of the file, one for each cluster that a listener names directly, and those made for the mesh. */
  readonly routes: readonly RouteTableConfig[];
  readonly clusters: readonly ClusterConfig[];
  readonly mesh: MeshConfig;
  readonly plugins: readonly PluginConfig[];
  readonly log: { readonly level: LogLevel; readonly format: LogFormat };
  readonly access_log: readonly AccessLogConfig[];
  /** Bytes for the process; 0 for no limit. */
  readonly memory_limit: number;
  readonly drain_timeout: number;
  /** Null for none. */
  readonly tracing: TracingConfig | null;
  /** Lines printed once the listeners accept. */
  readonly banner: readonly string[];
}

/** An object of a newer file that was refused, while an older version of it (or nothing) stays in force. */
export interface Rejected {
  /** `listeners[0] http`. */
  readonly at: string;
  readonly problems: readonly Problem[];
}

export interface Decoded {
  /** What is to be in force now; null when nothing of the file can be taken. */
  readonly config: Config | null;
  readonly problems: readonly Problem[];
  /** What is allowed and probably not meant. */
  readonly warnings: readonly Problem[];
  readonly rejected: readonly Rejected[];
}

export interface DecodeOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** The plug-ins that were loaded for the file; their manifests are in the catalog already. */
  readonly plugins?: readonly PluginConfig[];
  /** What was found wrong before decoding, such as plug-ins that could not be loaded. */
  readonly problems?: readonly Problem[];
}

/** Threads: a number of them, or `auto`. */
function workers(): z.ZodType<number, unknown> {
  const expected = 'auto, or a whole number from 1 to 256';
  const input = (): JsonSchema => ({ anyOf: [{ const: 'auto' }, { type: 'integer', minimum: 1, maximum: 256 }, { type: 'string', pattern: '^\\$\\{.*\\}$' }] });
  return scalar<number>({ expected, input, show: (value: number) => (value === 0 ? 'auto' : value) }, (value) => {
    if (value === 'auto') return 0;
    const number = typeof value === 'string' ? Number(value) : value;
    return typeof number === 'number' && Number.isInteger(number) && number >= 1 && number <= 256 ? number : new Refusal(expected);
  });
}

/** A section of a later version: refused unless it is empty, so that nobody relies on what is not there. */
function later(what: string): z.ZodType {
  const expected = `nothing: ${what} not available yet`;
  const schema = z.unknown().superRefine((value, context) => {
    const empty = value === null || value === undefined || value === false || (typeof value === 'object' && Object.keys(value as object).length === 0);
    if (!empty) context.addIssue({ code: 'custom', params: { expected } });
  });
  optionMeta.add(schema, { expected, input: () => ({ anyOf: [{ type: 'null' }, { const: false }, { type: 'array', maxItems: 0 }, { type: 'object', maxProperties: 0 }] }) });
  return schema;
}

/** Protocols that bring a health check of their own. One that cannot be made without options has none for this purpose. */
function protocolsWithProbe(catalog: Catalog): string[] {
  return catalog.all<ProtocolManifest>('protocol').flatMap((manifest) => {
    try {
      return manifest.create(manifest.schema.parse({})).probe === undefined ? [] : [manifest.name];
    } catch {
      return [];
    }
  });
}

const adminMap = z.strictObject({
  enabled: option(flag(), { default: true, doc: 'Whether there is an admin. Default true.' }),
  address: option(address(), { default: { host: '127.0.0.1', port: 2050 }, doc: 'Where the admin listens; it has no access control of its own, so keep it on loopback. Default 127.0.0.1:2050.' }),
  hosts: option(z.array(text()), { default: [], doc: 'Names by which browsers may call the admin, besides localhost and IP addresses; others are refused, so that no web page reaches it under a name of its own.' }),
});
const admin = z.preprocess((value) => (typeof value === 'boolean' ? { enabled: value } : typeof value === 'string' || typeof value === 'number' ? { address: value } : value), adminMap);

const lane = z.strictObject({
  name: option(name(), { doc: 'Name by which listeners refer to the lane.' }),
  workers: option(integer(1, 256), { default: 1, doc: 'Worker threads of the lane. Default 1.' }),
});

const log = section(
  {
    level: option(oneOf(logLevels), { default: 'info' as const, doc: 'Least level of lines that are written. Default info; the admin changes it while running.' }),
    format: option(oneOf(['text', 'json']), { default: 'text' as const, doc: 'Lines of text, or of JSON, on standard error. Default text.' }),
  },
  'The log of the process, on standard error.',
);

const words = z.preprocess((value) => (typeof value === 'string' ? [value] : value), z.array(text()));

function makeSchema(catalog: Catalog) {
  return z.strictObject({
    admin: option(admin, { default: { enabled: true, address: { host: '127.0.0.1', port: 2050 }, hosts: [] }, doc: 'The admin: HTTP for people, probes and scrapers. Its address alone is enough; false turns it off.' }),
    workers: option(workers(), { default: 0, doc: 'Worker threads; connections of a worker and what they carry stay in it. Default auto: one per processor.' }),
    lanes: option(z.array(lane), { default: [], doc: 'Groups of workers that listeners can be bound to. Not in force yet: every listener runs on all workers.' }),
    listeners: option(z.array(listenerSchema(catalog)), { default: [], doc: 'Where clients connect.' }),
    routes: option(z.array(routeTableWith(catalog)), { default: [], doc: 'Route tables: what becomes of each message.' }),
    clusters: option(z.array(clusterSchema(catalog, clientTlsSchema(), protocolsWithProbe(catalog))), { default: [], doc: 'Groups of hosts that do the same work.' }),
    mesh: option(meshSchema(catalog, protocolsWithProbe(catalog)), { default: noMesh, doc: 'Endpoints for SDKs that know a mesh: they subscribe and publish services over HTTP, and call through listeners of this process. Default: off.' }),
    components: option(later('components of the runtime are'), { optional: true, doc: 'Not available yet.' }),
    services: option(later('services of the runtime are'), { optional: true, doc: 'Not available yet.' }),
    plugins: option(words, { default: [], doc: 'Plug-ins from outside: paths relative to this file (./my.mjs) or names of npm packages.' }),
    log,
    access_log: option(accessLogSchema, { default: [...defaultAccessLogs], doc: 'Access logs of all listeners that have none of their own: a list, one of them, or false for none. Default: text on standard output.' }),
    memory_limit: option(size(0), { doc: 'Memory of the process above which it sheds load. Default 0: no limit.' }),
    drain_timeout: option(duration(30_000), { doc: 'Time that a stopping process lets exchanges and connections finish. Default 30 s.' }),
    tracing: option(tracingSchema, { default: null, doc: 'Traces by OpenTelemetry: which requests are recorded, in which headers traces travel, where spans go. Default none.' }),
    banner: option(words, { default: [], doc: 'Lines printed to standard error once everything listens: what to try, for an example.' }),
  });
}

export type ConfigSchema = ReturnType<typeof makeSchema>;
/** What the schema makes of a file, before the objects are joined. */
export type Parsed = z.output<ConfigSchema>;

const schemas = new WeakMap<Catalog, ConfigSchema>();

/** The schema of a configuration file, with the plug-ins of this catalog. */
export function configSchema(catalog: Catalog): ConfigSchema {
  let schema = schemas.get(catalog);
  if (schema === undefined) schemas.set(catalog, (schema = makeSchema(catalog)));
  return schema;
}

/** Only the admin of a configuration, for commands that look for a running process; of none, the default. */
export function readAdmin(loaded: Loaded | null): AdminConfig | { readonly problems: readonly Problem[] } {
  if (loaded === null || loaded.data === undefined) return loaded === null ? adminMap.parse({}) : { problems: loaded.problems };
  const found = check(z.looseObject({ admin: admin.optional() }), { ...loaded, problems: [], faulty: [] });
  return found.ok ? (found.value.admin ?? adminMap.parse({})) : { problems: found.problems };
}

/** The JSON Schema of a configuration file. */
export function configJsonSchema(catalog: Catalog): JsonSchema {
  return toJsonSchema(configSchema(catalog), 'Sluice configuration');
}

/**
 * Decodes a file's text. Without `previous` any problem refuses it all; with it, every object that is refused keeps the version it
 * has there, and the rest is taken.
 */
export function decode(source: string, file: string, catalog: Catalog, previous?: Config, options: DecodeOptions = {}): Decoded {
  return decodeLoaded(loadText(source, file, options.env), catalog, previous, options);
}

/** The same for what was loaded already. */
export function decodeLoaded(loaded: Loaded, catalog: Catalog, previous?: Config, options: DecodeOptions = {}): Decoded {
  return assemble(configSchema(catalog), loaded, catalog, previous ?? null, options.plugins ?? [], options.problems ?? []);
}

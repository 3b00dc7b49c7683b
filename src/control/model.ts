// The whole configuration: one schema out of the parts of every layer, and the plain frozen data that a valid file becomes.
import type { Address } from '../core/config/schema.js';
import type { Problem } from '../core/config/check.js';
import type { LogFormat, LogLevel } from '../core/log.js';
import type { Catalog } from '../core/manifest.js';
import type { ClusterConfig } from '../network/upstream/config.js';

/** A plug-in as it is used in one place: its name, and its options as its own schema decoded them. */
export interface Plugged {
  readonly type: string;
  readonly options: unknown;
}

export interface AccessLogConfig {
  /** `stdout`, `stderr` or a file. */
  readonly path: string;
  readonly format: 'text' | 'json';
  /** Text with %variables%; '' for the format's own. */
  readonly template: string;
  /** Which exchanges are written. */
  readonly when: 'all' | 'failed';
}

export interface ListenerConfig {
  readonly name: string;
  readonly address: Address;
  /** `tcp`, `udp`, or the name of a protocol. */
  readonly protocol: string;
  /** Options of the protocol. */
  readonly options: unknown;
  /** Name of the route table; '' for a listener without messages. */
  readonly routes: string;
  readonly filters: readonly Plugged[];
  readonly access_log: readonly AccessLogConfig[];
  readonly [part: string]: unknown;
}

export interface RouteTableConfig {
  readonly name: string;
  readonly [part: string]: unknown;
}

/** A plug-in from outside: as written, and where to import it from; the address changes when its content does. */
export interface PluginConfig {
  readonly specifier: string;
  readonly url: string;
}

/** A decoded configuration: plain, deeply frozen, fit to be posted to other threads. Times in ms, sizes in bytes. */
export interface Config {
  readonly admin: { readonly enabled: boolean; readonly address: Address };
  /** Worker threads; 0 for one per processor. */
  readonly workers: number;
  readonly lanes: readonly { readonly name: string; readonly workers: number }[];
  readonly listeners: readonly ListenerConfig[];
  readonly routes: readonly RouteTableConfig[];
  readonly clusters: readonly ClusterConfig[];
  readonly plugins: readonly PluginConfig[];
  readonly log: { readonly level: LogLevel; readonly format: LogFormat };
  readonly access_log: readonly AccessLogConfig[];
  /** Bytes for the process; 0 for no limit. */
  readonly memory_limit: number;
  readonly drain_timeout: number;
  /** Lines printed once the listeners accept. */
  readonly banner: readonly string[];
}

/** An object of a newer file that was refused, while an older version of it (or nothing) stays in force. */
export interface Rejected {
  /** `listeners[0] "http"`. */
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

/**
 * Decodes a file's text. Without `previous` any problem refuses it all; with it, every object that is refused keeps the version it
 * has there, and the rest is taken.
 */
export type Decode = (text: string, file: string, catalog: Catalog, previous?: Config) => Decoded;

export const decode: Decode = (_text, file) => {
  const problem: Problem = { file, line: 1, col: 1, path: '', expected: 'the configuration model is not assembled yet', got: '', hint: '' };
  return { config: null, problems: [problem], warnings: [], rejected: [] };
};


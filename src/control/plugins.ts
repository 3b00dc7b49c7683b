// Plug-ins from outside: finds the module that a configuration names, imports it, and checks that what it exports is a manifest.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import * as z from 'zod';
import { NAME } from '../core/config/schema.js';
import type { Catalog, Manifest } from '../core/manifest.js';
import { nearest } from '../core/nearest.js';
import type { PluginConfig } from './model.js';
import { pluginApi } from './plugin-api.js';

/** Kinds of plug-ins that can come from outside. */
export const PLUGIN_KINDS = ['protocol', 'stream-filter', 'network-filter', 'listener-filter', 'terminal', 'balancer', 'discovery'] as const;

/** Either the place and content of a module, or why there is none. */
export type Located = { readonly plugin: PluginConfig; readonly file: string } | { readonly fault: string };

type Json = Record<string, unknown>;

/**
 * Finds the module of a specifier: a path (`./my.mjs`, `/opt/my.mjs`) or the name of an npm package, both seen from `directory`.
 * The address carries a hash of the module's content, so that a changed module is another one to Node and both can be in use at
 * once. What the module itself imports is not part of the hash.
 */
export function locatePlugin(specifier: string, directory: string): Located {
  const isPath = /^(\.{1,2})?\//.test(specifier) || specifier.startsWith('file:');
  try {
    const file = specifier.startsWith('file:') ? fileURLToPath(specifier) : isPath ? resolve(directory, specifier) : packageEntry(specifier, directory);
    if (file === null) return { fault: `there is no package ${specifier} in a node_modules above ${directory}; a path begins with ./` };
    if (!existsSync(file) || !statSync(file).isFile()) return { fault: `there is no file ${file}` };
    const hash = createHash('sha256').update(readFileSync(file)).digest('hex').slice(0, 12);
    return { plugin: { specifier, url: `${pathToFileURL(file).href}?v=${hash}` }, file };
  } catch (error) {
    return { fault: (error as Error).message };
  }
}

/** The file that `import 'name'` would load from within `directory`; null when there is no such package. */
function packageEntry(specifier: string, directory: string): string | null {
  const [, name, subpath] = /^((?:@[^/]+\/)?[^/]+)(?:\/(.+))?$/.exec(specifier) ?? [];
  if (name === undefined) return null;
  for (let at = resolve(directory); ; at = dirname(at)) {
    const folder = join(at, 'node_modules', name);
    if (existsSync(join(folder, 'package.json'))) {
      const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { exports?: unknown; main?: string; module?: string };
      const exported = exportOf(manifest.exports, subpath === undefined ? '.' : `./${subpath}`);
      if (manifest.exports !== undefined && exported === undefined) throw new Error(`package ${name} exports no ${subpath ?? 'main module'}`);
      return join(folder, exported ?? subpath ?? manifest.main ?? 'index.js');
    }
    if (at === dirname(at)) return null;
  }
}

function exportOf(exports: unknown, key: string): string | undefined {
  const conditional = (value: unknown): string | undefined => {
    if (typeof value === 'string') return value;
    if (Array.isArray(value)) return value.map(conditional).find((found) => found !== undefined);
    if (value === null || typeof value !== 'object') return undefined;
    // In the order of the package, as Node reads them.
    for (const [condition, inner] of Object.entries(value)) {
      const found = ['node', 'import', 'module-sync', 'default'].includes(condition) ? conditional(inner) : undefined;
      if (found !== undefined) return found;
    }
    return undefined;
  };
  const isMap = exports !== null && typeof exports === 'object' && !Array.isArray(exports) && Object.keys(exports).some((k) => k.startsWith('.'));
  return isMap ? conditional((exports as Json)[key]) : key === '.' ? conditional(exports) : undefined;
}

/** Manifests of a module, or what is wrong with it. */
export type Imported = { readonly manifests: readonly Manifest[] } | { readonly fault: string };

/** Plug-ins that this thread has imported, by address: the same version is the same manifests, by which those who use it tell that nothing changed. */
const imports = new Map<string, Imported>();

/** Imports a plug-in and checks what it exports: `manifest`, `manifests` or the default; each a manifest, a list, or a function of the plug-in API that returns one. */
export async function importPlugin(plugin: PluginConfig): Promise<Imported> {
  const known = imports.get(plugin.url);
  if (known !== undefined) return known;
  const imported = await importNow(plugin);
  if ('manifests' in imported) imports.set(plugin.url, imported);
  return imported;
}

async function importNow(plugin: PluginConfig): Promise<Imported> {
  let module: Json;
  try {
    module = (await import(plugin.url)) as Json;
  } catch (error) {
    return { fault: `it cannot be loaded: ${whereOf(error, plugin)}` };
  }
  const found = module['manifests'] ?? module['manifest'] ?? module['default'];
  if (found === undefined) return { fault: 'it exports no `manifest`, no `manifests` and no default' };
  let value: unknown;
  try {
    value = typeof found === 'function' ? await (found as (api: typeof pluginApi) => unknown)(pluginApi) : found;
  } catch (error) {
    return { fault: `its manifest function failed: ${whereOf(error, plugin)}` };
  }
  const list: unknown[] = Array.isArray(value) ? value : [value];
  if (list.length === 0) return { fault: 'its list of manifests is empty' };
  const manifests: Manifest[] = [];
  for (const [i, one] of list.entries()) {
    const checked = checkManifest(one);
    if (typeof checked === 'string') return { fault: `${list.length === 1 ? 'its manifest' : `its manifest ${i + 1} of ${list.length}`} ${checked}` };
    manifests.push(checked);
  }
  return { manifests };
}

/** The message of an error, with the first line of the plug-in's own code that its stack names. */
function whereOf(error: unknown, plugin: PluginConfig): string {
  if (!(error instanceof Error)) return String(error);
  const place = error.stack?.split('\n').find((line) => line.includes(plugin.url))?.match(/:(\d+)(?::\d+)?\)?$/)?.[1];
  return `${error.message.split('\n')[0]}${place === undefined ? '' : ` (line ${place})`}`;
}

/** The manifest, completed, or what is wrong with it. */
function checkManifest(value: unknown): Manifest | string {
  if (value === null || typeof value !== 'object') return 'is not an object';
  const { kind, name, doc, schema, create, registry } = value as Partial<Record<keyof Manifest | 'create' | 'registry', unknown>>;
  if (typeof kind !== 'string' || !(PLUGIN_KINDS as readonly string[]).includes(kind)) {
    const [near] = typeof kind === 'string' ? nearest(kind, PLUGIN_KINDS) : [];
    return `must have as kind one of ${PLUGIN_KINDS.join(', ')}${near === undefined ? '' : ` (did you mean ${near}?)`}`;
  }
  if (typeof name !== 'string' || !NAME.test(name)) return 'must have a name of lower-case letters, digits, ".", "_" and "-"';
  if (doc !== undefined && typeof doc !== 'string') return `(${name}) has a doc that is not a text`;
  if (typeof create !== 'function' && !(kind === 'discovery' && typeof registry === 'function')) return `(${name}) must have a function create${kind === 'discovery' ? ' or registry' : ''}`;
  if (schema !== undefined && (schema === null || typeof schema !== 'object' || !('_zod' in schema))) {
    return `(${name}) has a schema that was not made by zod 4`;
  }
  // Kept as an object of its own: a module's export may be frozen, or have accessors that change their mind.
  return { ...(value as Manifest), kind, name, doc: doc ?? '', schema: (schema as z.ZodType | undefined) ?? z.strictObject({}) };
}

export interface LoadedPlugins {
  readonly plugins: readonly PluginConfig[];
  readonly manifests: readonly Manifest[];
  /** By index of the specifier; an empty one is passed over, the schema refuses it. */
  readonly faults: readonly { readonly index: number; readonly text: string }[];
  /** Files whose change means that a plug-in changed. */
  readonly files: readonly string[];
}

/**
 * Loads what a configuration names. A plug-in that cannot be loaded now, but was before (in `previous`), stays as it was, and its
 * fault is told.
 */
export async function loadPlugins(specifiers: readonly string[], directory: string, builtins: Catalog, previous: readonly PluginConfig[] = []): Promise<LoadedPlugins> {
  const plugins: PluginConfig[] = [];
  const manifests: Manifest[] = [];
  const faults: { index: number; text: string }[] = [];
  const files: string[] = [];
  const taken = new Map<string, string>();
  const take = (plugin: PluginConfig, loaded: readonly Manifest[]): string | null => {
    for (const { kind, name } of loaded) {
      if (builtins.find(kind, name) !== undefined) return `the ${kind} ${name} is built in; the plug-in needs another name`;
      const holder = taken.get(`${kind} ${name}`);
      if (holder !== undefined) return `the ${kind} ${name} is in ${holder} already`;
    }
    for (const { kind, name } of loaded) taken.set(`${kind} ${name}`, plugin.specifier);
    plugins.push(plugin);
    manifests.push(...loaded);
    return null;
  };
  for (const [index, specifier] of specifiers.entries()) {
    if (specifier === '') continue;
    if (specifiers.indexOf(specifier) < index) {
      faults.push({ index, text: 'it is named twice' });
      continue;
    }
    const located = locatePlugin(specifier, directory);
    if ('file' in located) files.push(located.file);
    const imported = 'fault' in located ? located : await importPlugin(located.plugin);
    const fault = 'fault' in imported ? imported.fault : take((located as { plugin: PluginConfig }).plugin, imported.manifests);
    if (fault === null) continue;
    faults.push({ index, text: fault });
    const before = previous.find((plugin) => plugin.specifier === specifier);
    const again = before === undefined ? null : await importPlugin(before);
    if (before !== undefined && again !== null && 'manifests' in again) take(before, again.manifests);
  }
  return { plugins, manifests, faults, files };
}

/** What a worker does: imports the very modules that the main thread decoded the configuration with. Throws when one cannot be had. */
export async function importPlugins(plugins: readonly PluginConfig[]): Promise<Manifest[]> {
  const manifests: Manifest[] = [];
  for (const plugin of plugins) {
    const imported = await importPlugin(plugin);
    if ('fault' in imported) throw new Error(`plug-in ${plugin.specifier}: ${imported.fault}`);
    manifests.push(...imported.manifests);
  }
  return manifests;
}

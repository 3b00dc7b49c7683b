// The configuration file as a source: read with its plug-ins, decoded against what is in force, looked at every two seconds for changes.
import { readFile, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { clock } from '../core/clock.js';
import { problemAt } from '../core/config/check.js';
import { type Loaded, loadFile, loadText } from '../core/config/load.js';
import type { Problem } from '../core/config/problem.js';
import { Catalog, type Manifest } from '../core/manifest.js';
import { type Config, type Decoded, decodeLoaded, type Rejected } from './model.js';
import { loadPlugins } from './plugins.js';

/** How often the file is looked at, ms. Looking beats notices of the system: it works on every mount and for replaced files. */
export const POLL_MS = 2000;

/** One reading of the file. */
export interface Reading extends Decoded {
  /** The built-ins and the plug-ins of this file. */
  readonly catalog: Catalog;
  /** Counts readings whose configuration differs from the one before, from 1. */
  readonly version: number;
  /** False when the configuration is what was in force already. */
  readonly changed: boolean;
  /** The file itself, for what tells where a value stands. */
  readonly loaded: Loaded;
}

export interface SourceOptions {
  readonly file: string;
  /** The built-in plug-ins. */
  readonly builtins: readonly Manifest[];
  readonly env?: Readonly<Record<string, string | undefined>>;
}

export class SourceFile {
  /** Absolute. */
  readonly file: string;
  /** What plug-in paths are relative to. */
  readonly directory: string;
  /** The configuration that was taken last; null before the first. */
  config: Config | null = null;
  /** Version of `config`. */
  version = 0;
  /** What the last reading refused; empty when it was taken whole. */
  rejected: readonly Rejected[] = [];
  private readonly builtins: readonly Manifest[];
  private readonly env: Readonly<Record<string, string | undefined>> | undefined;
  private pluginFiles: readonly string[] = [];
  private seen = '';
  private timer: unknown = null;
  private closed = false;
  /** Readings follow one another: each is decoded against what the one before left in force. */
  private last: Promise<unknown> = Promise.resolve();

  constructor(options: SourceOptions) {
    this.file = resolve(options.file);
    this.directory = dirname(this.file);
    this.builtins = options.builtins;
    this.env = options.env;
  }

  /** Reads and decodes the file; what of it can be taken is in force from then on, see `decode`. Never rejects. */
  read(): Promise<Reading> {
    const reading = this.last.then(() => this.readNow());
    this.last = reading.catch(() => undefined);
    return reading;
  }

  private async readNow(): Promise<Reading> {
    this.seen = await this.stamp();
    let loaded: Loaded;
    try {
      loaded = loadText(await readFile(this.file, 'utf8'), this.file, this.env);
    } catch {
      loaded = loadFile(this.file, this.env);
    }
    const specifiers = specifiersOf(loaded.data);
    const own = builtinCatalog(this.builtins);
    const found = await loadPlugins(specifiers, this.directory, own, this.config?.plugins ?? []);
    this.pluginFiles = found.files;
    if (specifiers.length > 0) this.seen = await this.stamp();
    const problems: Problem[] = found.faults.map(({ index, text }) => problemAt(loaded, ['plugins', index], text, specifiers[index]));
    const catalog = found.manifests.length === 0 ? own : own.with(found.manifests);
    const decoded = decodeLoaded(loaded, catalog, this.config ?? undefined, { plugins: found.plugins, problems });
    this.rejected = decoded.rejected;
    const changed = decoded.config !== null && (this.config === null || JSON.stringify(decoded.config) !== JSON.stringify(this.config));
    if (changed) {
      this.config = decoded.config;
      this.version++;
    }
    return { ...decoded, catalog, version: this.version, changed, loaded };
  }

  /** Calls `changed` after each change of the file or of a plug-in's, once it has been read for the first time; never twice at once. */
  watch(changed: () => Promise<unknown>, intervalMs = POLL_MS): void {
    if (this.closed || this.timer !== null) return;
    this.timer = clock.setTimeout(() => {
      this.timer = null;
      void this.look(changed).finally(() => this.watch(changed, intervalMs));
    }, intervalMs);
    (this.timer as { unref?: () => void }).unref?.();
  }

  private async look(changed: () => Promise<unknown>): Promise<void> {
    const stamp = await this.stamp();
    if (this.closed || stamp === this.seen) return;
    this.seen = stamp;
    await changed().catch(() => undefined);
  }

  /** Changes whenever one of the files does: replaced, written, gone or back. */
  private async stamp(): Promise<string> {
    const parts = await Promise.all(
      [this.file, ...this.pluginFiles].map(async (file) => {
        try {
          const { ino, size, mtimeMs } = await stat(file);
          return `${ino}:${size}:${mtimeMs}`;
        } catch (error) {
          return String((error as NodeJS.ErrnoException).code);
        }
      }),
    );
    return parts.join(' ');
  }

  close(): void {
    this.closed = true;
    if (this.timer !== null) clock.clearTimeout(this.timer);
    this.timer = null;
  }
}

const catalogs = new WeakMap<readonly Manifest[], Catalog>();

/** One catalog per list, so that schemas made for it are made once. */
function builtinCatalog(builtins: readonly Manifest[]): Catalog {
  let catalog = catalogs.get(builtins);
  if (catalog === undefined) catalogs.set(builtins, (catalog = new Catalog(builtins)));
  return catalog;
}

/** `plugins` as it stands in the file, as far as it can be read; the schema tells what is wrong with the rest. */
export function specifiersOf(data: unknown): string[] {
  const value = data !== null && typeof data === 'object' ? (data as Record<string, unknown>)['plugins'] : undefined;
  if (typeof value === 'string') return [value];
  return Array.isArray(value) ? value.map((one) => (typeof one === 'string' ? one : '')) : [];
}

// What a registry is: it knows the instances of services by name, tells of every change, and takes instances of our own.
import * as z from 'zod';
import { type HostConfig, option, text } from '../../core/config/schema.js';
import { log } from '../../core/log.js';
import type { Catalog } from '../../core/manifest.js';
import type { Typed } from './config.js';
import type { Discovery, DiscoveryManifest, DiscoverySink, DiscoveryState, FoundHost } from './discovery.js';

/** What is looked for, or offered. Where looked for, an empty or `*` group or version means any. */
export interface ServiceKey {
  readonly name: string;
  readonly group: string;
  readonly version: string;
}

/** What a registry says of one service; plain data. */
export interface ServiceState {
  /** False until a first answer, be it a failure. */
  readonly settled: boolean;
  /** The last failure in words, '' when the last attempt went well. */
  readonly error: string;
  /** Milliseconds until it is asked again; -1 where changes are told without asking. */
  readonly nextRefresh: number;
}

export interface Subscription {
  state(): ServiceState;
  /** Ends; the sink is not called any more. */
  close(): void;
}

/** An instance of our own. The registry keeps it alive, and publishes it again after whatever interrupted that, until it is withdrawn. */
export interface Publication {
  /** `published`: the registry has it now. */
  state(): { readonly published: boolean; readonly error: string };
  /** Takes it out; resolves when the registry has confirmed that or cannot be asked. Never rejects; a second call does nothing. */
  withdraw(): Promise<void>;
}

/**
 * One registry, on the main thread, shared by everything that names it with the same options. Nothing in it throws or rejects because
 * of what is outside: failures are states, and are tried again by the registry itself.
 */
export interface Registry {
  /** False where instances cannot be published; `publish` then gives a publication that says why. */
  readonly publishes: boolean;
  /**
   * Tells the sink every instance of the service, now (also from within) and with each change. As long as nothing is known the sink is
   * not called; that a service has no instance is known, and told as none.
   */
  subscribe(service: ServiceKey, sink: DiscoverySink): Subscription;
  /** The address is what others are to connect to: an IP address. Group and version are those of the key. */
  publish(service: ServiceKey, instance: HostConfig): Publication;
  /** Ends all of it; what was published is withdrawn as far as that needs no waiting. */
  close(): void;
}

/** The options by which a cluster says which service of a registry it is; for the schema of each registry. */
export const serviceShape = {
  service: option(text(), { default: '', doc: 'Name of the service there. Default: the name of the cluster.' }),
  group: option(text(), { default: '', doc: 'Group of the instances that are used. Default: any.' }),
  version: option(text(), { default: '', doc: 'Version of the instances that are used. Default: any.' }),
};
/** As options of a registry without those of a service. */
type ServiceOptions = { readonly [K in keyof typeof serviceShape]?: string };

/** The service that a cluster's `discovery` names. */
export function serviceOf(options: Typed, cluster: string): ServiceKey {
  const { service, group, version } = options as Typed & ServiceOptions;
  return { name: service === undefined || service === '' ? cluster : service, group: group ?? '', version: version ?? '' };
}

const matchesWord = (wanted: string, offered: string | undefined): boolean => wanted === '' || wanted === '*' || wanted === (offered ?? '');

/** Whether an instance, whose group and version stand in its metadata, is one that is looked for. */
export function offers(wanted: ServiceKey, metadata: Readonly<Record<string, string>>): boolean {
  return matchesWord(wanted.group, metadata['group']) && matchesWord(wanted.version, metadata['version']);
}

/** The instance with the group and version of its service among its metadata, where `offers` looks for them. */
export function instanceOf(service: ServiceKey, instance: HostConfig): HostConfig {
  const metadata: Record<string, string> = { ...instance.metadata };
  if (service.group !== '') metadata['group'] = service.group;
  if (service.version !== '') metadata['version'] = service.version;
  return { ...instance, metadata };
}

/** A registry that is in use until `release`. */
export interface Lease {
  readonly registry: Registry;
  /** False once the plug-in behind it was replaced: whoever holds it opens it anew. */
  current(): boolean;
  release(): void;
}

interface Entry {
  readonly manifest: DiscoveryManifest;
  readonly registry: Registry;
  uses: number;
}

/** The registries of a process: one for each plug-in and set of options, as long as anything uses it. */
export class Registries {
  private catalog: Catalog;
  private readonly entries = new Map<string, Entry>();

  constructor(catalog: Catalog) {
    this.catalog = catalog;
  }

  /** The plug-ins from now on; leases of replaced ones go on until they are released. */
  useCatalog(catalog: Catalog): void {
    this.catalog = catalog;
  }

  /** Opens the registry of a `discovery` section. Throws when the plug-in is missing or is no registry, which the schema excludes. */
  open(options: Typed): Lease {
    const { service: _s, group: _g, version: _v, ...own } = options as Typed & ServiceOptions;
    const key = JSON.stringify(own);
    const manifest = this.catalog.find<DiscoveryManifest>('discovery', options.type);
    if (manifest?.registry === undefined) throw new Error(`no registry is called ${options.type}`);
    let entry = this.entries.get(key);
    if (entry === undefined || entry.manifest !== manifest) {
      entry = { manifest, registry: manifest.registry(own), uses: 0 };
      this.entries.set(key, entry);
    }
    entry.uses++;
    return this.lease(key, entry);
  }

  private lease(key: string, entry: Entry): Lease {
    let released = false;
    return {
      registry: entry.registry,
      current: () => this.catalog.find('discovery', entry.manifest.name) === entry.manifest,
      release: () => {
        if (released) return;
        released = true;
        if (--entry.uses > 0) return;
        if (this.entries.get(key) === entry) this.entries.delete(key);
        entry.registry.close();
      },
    };
  }
}

/** The discovery of a cluster whose hosts are the instances of a service. */
export class ServiceDiscovery implements Discovery {
  private readonly lease: Lease;
  private readonly service: ServiceKey;
  private subscription: Subscription | null = null;
  private addresses: readonly string[] = [];
  private fault = '';

  constructor(lease: Lease, service: ServiceKey) {
    this.lease = lease;
    this.service = service;
  }

  start(sink: DiscoverySink): void {
    const own: DiscoverySink = {
      onHosts: (hosts: readonly FoundHost[]) => {
        this.addresses = [...new Set(hosts.map((host) => host.address))];
        sink.onHosts(hosts);
      },
    };
    try {
      this.subscription = this.lease.registry.subscribe(this.service, own);
    } catch (error) {
      // A plug-in that breaks its contract costs this cluster, not the configuration that holds it.
      this.fault = error instanceof Error ? error.message : String(error);
      log.error({ service: showService(this.service), err: error }, 'a registry threw when it was asked for a service');
    }
  }

  /** The configuration lists no hosts for it. */
  update(): void {}

  state(): DiscoveryState {
    const { settled, error, nextRefresh } = this.subscription?.state() ?? { settled: this.fault !== '', error: this.fault, nextRefresh: -1 };
    return { settled, error, nextRefresh, sources: [{ name: showService(this.service), addresses: this.addresses, error, nextRefresh }] };
  }

  close(): void {
    this.subscription?.close();
    this.subscription = null;
    this.lease.release();
  }
}

/** `com.example.Hello`, `com.example.Hello (group a, version 1.0.0)`. */
export function showService({ name, group, version }: ServiceKey): string {
  const parts = [group === '' ? '' : `group ${group}`, version === '' ? '' : `version ${version}`].filter((part) => part !== '');
  return parts.length === 0 ? name : `${name} (${parts.join(', ')})`;
}

/** The schema of a registry's options: its own, and those by which a cluster names a service. */
export function registrySchema<T extends z.ZodRawShape>(shape: T) {
  return z.strictObject({ ...shape, ...serviceShape });
}

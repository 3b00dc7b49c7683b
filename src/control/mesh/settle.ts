// Fits the mesh section into the rest of a configuration: what it names must exist, what it listens on must be free.
import type { Path } from '../../core/config/problem.js';
import { type Address, showAddress } from '../../core/config/schema.js';
import type { Catalog } from '../../core/manifest.js';
import type { ClientTlsConfig } from '../../network/config.js';
import type { ClusterConfig } from '../../network/upstream/config.js';
import { absoluteCluster, absoluteDiscovery, absoluteFile, tlsFaults } from '../files.js';
import type { ListenerConfig } from '../listener-config.js';
import { addressesClash } from '../objects.js';
import { kinds, type MeshConfig, type MeshKind, type MeshKindConfig, meshKinds } from './config.js';

export interface Surroundings {
  readonly listeners: readonly ListenerConfig[];
  readonly admin: { readonly enabled: boolean; readonly address: Address };
  readonly report: (path: Path, expected: string, got?: unknown, known?: Iterable<string>) => void;
}

export function absoluteMesh(mesh: MeshConfig, directory: string, catalog: Catalog): MeshConfig {
  const absolute = (config: MeshKindConfig | null): MeshKindConfig | null =>
    config === null
      ? null
      : {
          ...config,
          discovery: absoluteDiscovery(config.discovery, directory, catalog),
          cluster: absoluteCluster(config.cluster, directory, catalog),
          state: absoluteFile(config.state, directory),
        };
  return { sofa: absolute(mesh.sofa), dubbo: absolute(mesh.dubbo) };
}

/** Each kind as it can be in force: as it is now, else as it was before, else not at all. Tells what is wrong with the present one. */
export function settleMesh(mesh: MeshConfig, before: MeshConfig | null, around: Surroundings): MeshConfig {
  const taken: Taken[] = around.admin.enabled ? [{ address: around.admin.address, by: `the admin listens on ${showAddress(around.admin.address)}` }] : [];
  for (const listener of around.listeners) if (listener.protocol !== 'udp') taken.push({ address: listener.address, by: `listener ${listener.name} listens on ${showAddress(listener.address)}` });
  const settled: { -readonly [K in MeshKind]: MeshKindConfig | null } = { sofa: null, dubbo: null };
  for (const kind of meshKinds) {
    for (const [i, config] of [mesh[kind], before?.[kind] ?? null].entries()) {
      if (config === null) {
        if (i === 0) break;
        continue;
      }
      const faults = faultsOf(kind, config, around.listeners, taken);
      if (i === 0) for (const { path, expected, got, known } of faults) around.report(['mesh', kind, ...path], expected, got, known);
      if (faults.length > 0) continue;
      settled[kind] = config;
      for (const { address } of addressesOf(config)) taken.push({ address, by: `mesh.${kind} listens on ${showAddress(address)}` });
      break;
    }
  }
  return settled;
}

interface Taken {
  readonly address: Address;
  readonly by: string;
}

interface Fault {
  readonly path: Path;
  readonly expected: string;
  readonly got?: unknown;
  readonly known?: readonly string[];
}

function addressesOf({ address, listener, inbound }: MeshKindConfig): { readonly key: string; readonly address: Address }[] {
  const list = [{ key: 'address', address: address as Address | null }, { key: 'listener', address: listener.address }, { key: 'inbound', address: inbound.address }];
  return list.filter((one): one is { key: string; address: Address } => one.address !== null);
}

const clash = (one: Address, other: Address): boolean => addressesClash({ protocol: 'tcp', address: one } as ListenerConfig, { protocol: 'tcp', address: other } as ListenerConfig);

function faultsOf(kind: MeshKind, config: MeshKindConfig, listeners: readonly ListenerConfig[], taken: readonly Taken[]): Fault[] {
  const faults: Fault[] = [];
  const own = addressesOf(config);
  for (const [i, { key, address }] of own.entries()) {
    const other = taken.find((one) => clash(one.address, address));
    const before = own.slice(0, i).find((one) => clash(one.address, address));
    if (other !== undefined) faults.push({ path: [key], expected: other.by, got: showAddress(address) });
    else if (before !== undefined) faults.push({ path: [key], expected: `another address than ${before.key}`, got: showAddress(address) });
  }
  const { protocol } = kinds[kind];
  for (const key of ['listener', 'inbound'] as const) {
    const { name, address } = config[key];
    if (address !== null) continue;
    const found = listeners.find((listener) => listener.name === name);
    if (found === undefined) faults.push({ path: [key], expected: 'there is no listener of this name', got: name, known: listeners.map((listener) => listener.name) });
    else if (found.protocol !== protocol && !found.detect.includes(protocol)) faults.push({ path: [key], expected: `a listener with protocol ${protocol}; ${name} has ${found.protocol}`, got: name });
    else if (found.cluster !== '') faults.push({ path: [key], expected: `a listener with routes; ${name} leads everything to cluster ${found.cluster}`, got: name });
  }
  const tables = (['listener', 'inbound'] as const).map((key) => listeners.find((listener) => listener.name === config[key].name)?.routes);
  if (tables[0] !== undefined && tables[0] === tables[1]) faults.push({ path: ['inbound'], expected: `another route table than ${tables[0]}, which \`listener\` has`, got: config.inbound.name });
  const inbound = config.inbound.address ?? listeners.find((listener) => listener.name === config.inbound.name)?.address;
  if (config.advertise === null && inbound !== undefined && (inbound.path !== undefined || inbound.port === 0)) {
    faults.push({ path: ['inbound'], expected: 'an address with a port, or `advertise` beside it: others are told where to connect', got: showAddress(inbound) });
  }
  const { tls } = config.cluster as ClusterConfig;
  for (const { path, text } of tls === null ? [] : tlsFaults(tls as ClientTlsConfig)) faults.push({ path: ['cluster', 'tls', ...path], expected: text });
  return faults;
}

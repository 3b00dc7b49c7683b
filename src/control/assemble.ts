// Joins what a file holds into one configuration: references checked, refused objects replaced by the versions they had before.
import { dirname, resolve } from 'node:path';
import { check, deepFreeze, problemAt } from '../core/config/check.js';
import type { Loaded } from '../core/config/load.js';
import { type Path, type Problem, sortProblems } from '../core/config/problem.js';
import { showAddress } from '../core/config/schema.js';
import type { Catalog } from '../core/manifest.js';
import type { ClientTlsConfig } from '../network/config.js';
import type { ClusterConfig } from '../network/upstream/config.js';
import type { RouteTableConfig } from '../stream/route-config.js';
import { absoluteCluster, absoluteListener, absoluteLogs, absoluteTable, filterFaults, type FileFault, tlsFaults } from './files.js';
import { finishListener, type ListenerConfig, type ParsedListener, tableOfCluster } from './listener-config.js';
import type { Config, ConfigSchema, Decoded, Parsed, PluginConfig, Rejected } from './model.js';
import { madeListeners } from './mesh/overlay.js';
import { absoluteMesh, settleMesh } from './mesh/settle.js';
import { addressesClash, type Kind, kindName, kinds, labelOf, type ObjectConfig, type Placed, referencesOf, routesOf } from './objects.js';
import { warningsOf } from './warnings.js';

type Json = Record<string, unknown>;

const isMap = (value: unknown): value is Json => value !== null && typeof value === 'object' && !Array.isArray(value);
const isKind = (key: string): key is Kind => (kinds as readonly string[]).includes(key);

/** `listeners[0].x` -> listeners and 0, `log.level` -> log; -1 for what is not in a list. */
function placeOf(path: string): { readonly key: string; readonly index: number } {
  const found = /^([A-Za-z_][\w-]*)(?:\[(\d+)\])?/.exec(path);
  return { key: found?.[1] ?? '', index: found?.[2] === undefined ? -1 : Number(found[2]) };
}

/** One decoding: from the problems of the file to what is to be in force. */
class Assembly {
  readonly problems: Problem[] = [];
  /** Problems of objects that were refused, by label. */
  readonly refused = new Map<string, Problem[]>();
  /** What is to be in force, by kind and name. */
  readonly objects = new Map<Kind, Map<string, Placed>>(kinds.map((kind) => [kind, new Map()]));
  private readonly loaded: Loaded;
  private readonly catalog: Catalog;
  private readonly previous: Config | null;

  constructor(loaded: Loaded, catalog: Catalog, previous: Config | null) {
    this.loaded = loaded;
    this.catalog = catalog;
    this.previous = previous;
  }

  /** Name of an object as it stands in the file; '' when it has none that is a text. */
  rawName(kind: Kind, index: number): string {
    const name = isMap(this.loaded.data) && Array.isArray(this.loaded.data[kind]) ? (this.loaded.data[kind][index] as Json | null)?.['name'] : undefined;
    return typeof name === 'string' || typeof name === 'number' ? String(name) : '';
  }

  private rawNames(kind: Kind): string[] {
    const list = isMap(this.loaded.data) ? this.loaded.data[kind] : undefined;
    return Array.isArray(list) ? list.map((_, i) => this.rawName(kind, i)).filter((name) => name !== '') : [];
  }

  private before(kind: Kind, name: string): ObjectConfig | undefined {
    return this.previous?.[kind].find((object) => object.name === name);
  }

  /** Puts an object in; a second one of the same name is refused. */
  place(object: Placed): void {
    const there = this.objects.get(object.kind)!.get(object.name);
    if (there === undefined || there.index < 0) this.objects.get(object.kind)!.set(object.name, object);
    else this.report(object.kind, object.index, object.name, ['name'], `a ${kindName[object.kind]} of this name stands at ${object.kind}[${there.index}] already`, object.name);
  }

  report(kind: Kind, index: number, name: string, path: Path, expected: string, got?: unknown, known: Iterable<string> = []): void {
    this.add(kind, index, name, [problemAt(this.loaded, [kind, index, ...path], expected, got, known)]);
  }

  /** A problem of a section that is no list of objects. */
  reportAt(section: string, path: Path, expected: string, got?: unknown, known: Iterable<string> = []): void {
    const problem = problemAt(this.loaded, path, expected, got, known);
    this.refused.set(section, [...(this.refused.get(section) ?? []), problem]);
    this.problems.push(problem);
  }

  add(kind: Kind, index: number, name: string, problems: readonly Problem[]): void {
    const label = labelOf(kind, index, name);
    this.refused.set(label, [...(this.refused.get(label) ?? []), ...problems]);
    this.problems.push(...problems);
  }

  /** An object of the file is out: the version it had before comes in, or nothing. */
  fallBack(kind: Kind, name: string): void {
    const objects = this.objects.get(kind)!;
    const config = this.before(kind, name);
    if (config === undefined) objects.delete(name);
    else objects.set(name, { kind, index: -1, name, config });
  }

  /** Something was refused on sight: as `fallBack`, unless there is another object of the name. */
  restore(kind: Kind, name: string): void {
    if (name !== '' && !this.objects.get(kind)!.has(name)) this.fallBack(kind, name);
  }

  /** A refused object that cannot be told by its name may be any of those that seem to be gone: all of them stay. */
  keepAll(kind: Kind): void {
    const inFile = new Set(this.rawNames(kind));
    for (const { name } of this.previous?.[kind] ?? []) if (!inFile.has(name) && !isImplied(name)) this.fallBack(kind, name);
  }

  /**
   * Refuses what refers to nothing and what wants an address twice, and brings back what a kept version refers to, until nothing
   * changes: each object can only fall back once, and be dropped once.
   */
  settle(): void {
    for (let again = true; again; ) {
      again = false;
      for (const kind of kinds) for (const object of this.objects.get(kind)!.values()) again = this.settleReferences(object) || again;
      again = this.settleAddresses() || again;
    }
  }

  private settleReferences(object: Placed): boolean {
    let dangling = false;
    let changed = false;
    for (const { kind, name, path } of referencesOf(object, this.catalog)) {
      if (kind === 'terminals') {
        if (object.index < 0 || this.catalog.find('terminal', name) !== undefined) continue;
        dangling = true;
        this.report(object.kind, object.index, object.name, path, `there is no ${kindName[kind]} of this name`, name, this.catalog.names('terminal'));
        continue;
      }
      if (this.objects.get(kind)!.has(name)) continue;
      if (object.index >= 0) {
        dangling = true;
        const known = this.rawNames(kind);
        const expected = known.includes(name) ? `the ${kindName[kind]} was refused itself, and there is no earlier version of it` : `there is no ${kindName[kind]} of this name`;
        // On a first start the refusal of the other object is told already, and this is not a mistake of its own.
        if (this.previous !== null || !known.includes(name)) this.report(object.kind, object.index, object.name, path, expected, name, known.includes(name) ? [] : known);
      } else if (this.before(kind, name) !== undefined) {
        this.fallBack(kind, name);
        changed = true;
      } else {
        this.objects.get(object.kind)!.delete(object.name);
        return true;
      }
    }
    if (dangling) this.fallBack(object.kind, object.name);
    return changed || dangling;
  }

  private settleAddresses(): boolean {
    // What is kept from before (index -1) keeps its address; among what is new the first has it.
    const ordered = [...this.objects.get('listeners')!.values()].sort((a, b) => a.index - b.index);
    for (const [i, one] of ordered.entries()) {
      const other = ordered.slice(0, i).find((before) => addressesClash(before.config as ListenerConfig, one.config as ListenerConfig));
      if (other === undefined) continue;
      const address = showAddress((one.config as ListenerConfig).address);
      if (one.index >= 0) {
        const holder = `listener ${other.name} listens on ${showAddress((other.config as ListenerConfig).address)}${other.index >= 0 ? ' already' : ', and keeps it because its newer version was refused'}`;
        this.report('listeners', one.index, one.name, ['address'], holder, address);
        const kept = this.before('listeners', one.name) as ListenerConfig | undefined;
        if (kept === undefined || addressesClash(kept, other.config as ListenerConfig)) this.objects.get('listeners')!.delete(one.name);
        else this.fallBack('listeners', one.name);
      } else {
        this.objects.get('listeners')!.delete(one.name);
      }
      return true;
    }
    return false;
  }

  listOf<T extends ObjectConfig>(kind: Kind): T[] {
    return [...this.objects.get(kind)!.values()].map((object) => object.config as T);
  }

  placedOf(kind: Kind): Placed[] {
    return [...this.objects.get(kind)!.values()].filter((object) => object.index >= 0);
  }
}

/** Route tables that are made for a listener with `cluster`, and what is made for the mesh; no name of a file holds a colon. */
function isImplied(name: string): boolean {
  return name.includes(':');
}

/** The file without what was refused, which is then valid. */
function withoutRefused(data: unknown, refused: ReadonlySet<string>): { readonly data: Json; readonly places: Record<Kind, number[]> } {
  const rest: Json = {};
  const places: Record<Kind, number[]> = { listeners: [], routes: [], clusters: [] };
  for (const [key, value] of Object.entries(isMap(data) ? data : {})) {
    if (refused.has(key)) continue;
    if (!isKind(key) || !Array.isArray(value)) {
      rest[key] = value;
      continue;
    }
    for (let i = 0; i < value.length; i++) if (!refused.has(`${key}[${i}]`)) places[key].push(i);
    rest[key] = places[key].map((i) => value[i] as unknown);
  }
  return { data: rest, places };
}

function refusedAll(loaded: Loaded, problems: readonly Problem[]): Decoded {
  return { config: null, problems: sortProblems(problems), warnings: [], rejected: [{ at: loaded.file, problems }] };
}

/** See `decode` in model.ts. */
export function assemble(schema: ConfigSchema, loaded: Loaded, catalog: Catalog, previous: Config | null, plugins: readonly PluginConfig[], before: readonly Problem[]): Decoded {
  const assembly = new Assembly(loaded, catalog, previous);
  const first = check(schema, loaded);
  const found = [...before, ...(first.ok ? [] : first.problems)];
  if (loaded.data === undefined || !isMap(loaded.data)) return refusedAll(loaded, found);

  const refused = new Set<string>();
  for (const problem of found) {
    const { key, index } = placeOf(problem.path);
    if (key === '') return refusedAll(loaded, found);
    if (isKind(key) && index >= 0) {
      refused.add(`${key}[${index}]`);
      assembly.add(key, index, assembly.rawName(key, index), [problem]);
    } else {
      refused.add(key);
      assembly.problems.push(problem);
      assembly.refused.set(key, [...(assembly.refused.get(key) ?? []), problem]);
    }
  }

  const { data, places } = withoutRefused(loaded.data, refused);
  const second = first.ok && refused.size === 0 ? first : check(schema, { ...loaded, data, problems: [], faulty: [] });
  if (!second.ok) return refusedAll(loaded, [...found, ...second.problems]);
  const parsed: Parsed = second.value;

  const section = <K extends keyof Config & keyof Parsed>(key: K): Config[K] & Parsed[K] => (previous !== null && refused.has(key) ? previous[key] : parsed[key]) as Config[K] & Parsed[K];
  const directory = dirname(resolve(loaded.file));
  const logs = absoluteLogs(section('access_log'), directory);
  for (const kind of kinds) {
    const inFile = new Map<number, Parsed[Kind][number] | null>([...refused].filter((label) => label.startsWith(`${kind}[`)).map((label) => [placeOf(label).index, null]));
    for (const [i, object] of parsed[kind].entries()) inFile.set(places[kind][i] ?? i, object);
    for (const [index, object] of [...inFile].sort(([one], [other]) => one - other)) {
      if (object !== null) assembly.place({ kind, index, name: object.name, config: finish(kind, object, logs, directory, catalog) });
      else assembly.restore(kind, assembly.rawName(kind, index));
    }
    const nameless = [...inFile].some(([index, object]) => object === null && assembly.rawName(kind, index) === '');
    if (nameless || refused.has(kind)) assembly.keepAll(kind);
  }
  checkFiles(assembly, catalog);
  checkLanes(assembly, section('lanes').map((lane) => lane.name));
  checkAdmin(assembly, section('admin'));
  assembly.settle();
  const mesh = settleMesh(absoluteMesh(section('mesh'), directory, catalog), previous?.mesh ?? null, {
    listeners: assembly.listOf<ListenerConfig>('listeners').filter((listener) => !isImplied(listener.name)),
    admin: section('admin'),
    report: (path, expected, got, known) => assembly.reportAt('mesh', path, expected, got, known),
  });

  const problems = sortProblems(assembly.problems);
  const rejected: Rejected[] = [...assembly.refused].map(([at, list]) => ({ at, problems: list }));
  if (previous === null && problems.length > 0) return { config: null, problems, warnings: [], rejected };

  const made = madeListeners(mesh, catalog, logs);
  const listeners = [...assembly.listOf<ListenerConfig>('listeners').filter((listener) => !isImplied(listener.name)), ...made.listeners];
  const tables = assembly.listOf<Config['routes'][number]>('routes').filter((table) => !isImplied(table.name));
  const direct = [...new Set(listeners.filter((l) => l.cluster !== '' && l.routes !== '').map((l) => l.cluster))].map(tableOfCluster);
  const config: Config = deepFreeze({
    admin: section('admin'),
    workers: section('workers'),
    lanes: section('lanes'),
    listeners,
    routes: [...tables, ...direct, ...made.routes],
    clusters: assembly.listOf<Config['clusters'][number]>('clusters'),
    mesh,
    plugins,
    log: section('log'),
    access_log: logs,
    memory_limit: section('memory_limit'),
    drain_timeout: section('drain_timeout'),
    tracing: section('tracing'),
    banner: section('banner'),
  });
  return { config, problems, warnings: warningsOf(config, kinds.flatMap((kind) => assembly.placedOf(kind)), loaded, catalog), rejected };
}

function finish(kind: Kind, object: Parsed[Kind][number], logs: Config['access_log'], directory: string, catalog: Catalog): ObjectConfig {
  if (kind === 'listeners') return finishListener(absoluteListener(object as ParsedListener, directory, catalog), logs, catalog);
  if (kind === 'routes') return absoluteTable(object as RouteTableConfig, directory, catalog);
  return kind === 'clusters' ? absoluteCluster(object as ClusterConfig, directory, catalog) : (object as ObjectConfig);
}

function checkFiles(assembly: Assembly, catalog: Catalog): void {
  for (const object of [...assembly.placedOf('listeners'), ...assembly.placedOf('routes')]) {
    const faults: FileFault[] = [];
    if (object.kind === 'listeners') {
      for (const [i, { type, options }] of (object.config as ListenerConfig).stream_filters.entries()) faults.push(...filterFaults(type, options, ['stream_filters', i], catalog));
    } else {
      for (const { route, path } of routesOf(object.config as RouteTableConfig)) {
        for (const [name, options] of Object.entries(route.filters)) faults.push(...filterFaults(name, options, [...path, 'filters', name], catalog));
      }
    }
    for (const { path, text } of faults) assembly.report(object.kind, object.index, object.name, path, text);
    if (faults.length > 0) assembly.fallBack(object.kind, object.name);
  }
  for (const object of [...assembly.placedOf('listeners'), ...assembly.placedOf('clusters')]) {
    const { tls } = object.config as ListenerConfig | ClusterConfig;
    const faults = tls === null ? [] : tlsFaults(tls as ClientTlsConfig);
    for (const { path, text } of faults) assembly.report(object.kind, object.index, object.name, ['tls', ...path], text);
    if (faults.length > 0) assembly.fallBack(object.kind, object.name);
  }
}

function checkLanes(assembly: Assembly, lanes: readonly string[]): void {
  for (const object of assembly.placedOf('listeners')) {
    const { lane } = object.config as ListenerConfig;
    if (lane === '' || lanes.includes(lane)) continue;
    assembly.report('listeners', object.index, object.name, ['lane'], 'there is no lane of this name', lane, lanes);
    assembly.fallBack('listeners', object.name);
  }
}

function checkAdmin(assembly: Assembly, admin: Config['admin']): void {
  if (!admin.enabled) return;
  for (const object of assembly.placedOf('listeners')) {
    const listener = object.config as ListenerConfig;
    if (!addressesClash(listener, { ...listener, protocol: 'tcp', address: admin.address }) || listener.protocol === 'udp') continue;
    assembly.report('listeners', object.index, object.name, ['address'], `the admin listens on ${showAddress(admin.address)}`, showAddress(listener.address));
    assembly.fallBack('listeners', object.name);
  }
}


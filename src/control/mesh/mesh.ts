// The mesh of a process: its endpoints as the configuration wants them, and what they were told as part of the configuration in force.
import { clock } from '../../core/clock.js';
import { type Address, showAddress } from '../../core/config/schema.js';
import { log } from '../../core/log.js';
import type { Stats } from '../../core/stats.js';
import type { Registries } from '../../network/upstream/registry.js';
import { Batch } from './batch.js';
import { kinds, type MeshKind, type MeshKindConfig, meshKinds } from './config.js';
import { dubboOperations, failedDubbo } from './dubbo.js';
import { type Endpoint, type EndpointOptions, startEndpoint } from './endpoint.js';
import { advertised, listenerOf, type Meshed, withServices } from './overlay.js';
import { Side, type SideDeps } from './side.js';
import { failedSofa, sofaOperations } from './sofa.js';

/** Pause before an address that could not be had is asked for again, ms. */
const REBIND_MS = 1000;

export interface MeshDeps {
  readonly registries: Registries;
  readonly stats: Stats;
  /** Makes `effective` of the configuration anew and puts it in force in every worker. */
  apply(): Promise<void>;
  settled(cluster: string): boolean;
  healthy(cluster: string): boolean;
}

/** A side, and the HTTP server in front of it. */
interface Kind {
  readonly side: Side;
  /** What the endpoint was started with; another text means another endpoint. */
  endpointKey: string;
  endpoint: Endpoint | null;
  error: string;
  retry: unknown;
  listener: Address;
}

export class Mesh {
  private readonly deps: SideDeps & MeshDeps;
  private readonly kinds = new Map<MeshKind, Kind>();
  private closed = false;

  constructor(deps: MeshDeps) {
    const batch = new Batch(() => deps.apply());
    this.deps = { ...deps, apply: () => batch.request() };
  }

  /** The configuration with what applications have told; sides that it has newly are made here, so that what they kept is in it at once. */
  effective<C extends Meshed>(config: C): C {
    for (const kind of meshKinds) {
      const own = config.mesh[kind];
      if (own !== null && !this.kinds.has(kind)) this.kinds.set(kind, { side: new Side(kind, own, this.deps), endpointKey: '', endpoint: null, error: '', retry: null, listener: own.address });
    }
    return withServices(config, (kind) => this.kinds.get(kind)?.side.told() ?? null);
  }

  /** A configuration is in force: endpoints and publications become what it says. Does not reject; see `problems`. */
  async update(config: Meshed): Promise<void> {
    for (const kind of meshKinds) {
      const own = config.mesh[kind];
      const known = this.kinds.get(kind);
      if (known === undefined) continue;
      if (own === null) {
        this.kinds.delete(kind);
        await this.end(known);
        continue;
      }
      known.listener = listenerOf(config, config.mesh, kind, 'listener')!.address;
      known.side.update(own, advertised(config, kind));
      await this.serve(kind, known, own);
    }
  }

  /** What does not work, in words. */
  problems(): string[] {
    return [...this.kinds.values()].flatMap(({ error }) => (error === '' ? [] : [error]));
  }

  /** Others are to stop calling the applications here; what comes is still served. */
  async drain(): Promise<void> {
    await Promise.all([...this.kinds.values()].map(({ side }) => side.drain()));
  }

  async close(): Promise<void> {
    this.closed = true;
    const all = [...this.kinds.values()];
    this.kinds.clear();
    await Promise.all(all.map((one) => this.end(one)));
  }

  private async end(kind: Kind): Promise<void> {
    if (kind.retry !== null) clock.clearTimeout(kind.retry);
    kind.retry = null;
    kind.endpointKey = '';
    await kind.endpoint?.close();
    kind.endpoint = null;
    await kind.side.close();
  }

  private async serve(name: MeshKind, kind: Kind, config: MeshKindConfig): Promise<void> {
    const key = JSON.stringify([config.address, config.hosts]);
    if (key === kind.endpointKey) return;
    if (kind.retry !== null) clock.clearTimeout(kind.retry);
    kind.retry = null;
    kind.endpointKey = key;
    await kind.endpoint?.close();
    kind.endpoint = null;
    await this.listen(name, kind, config);
  }

  private async listen(name: MeshKind, kind: Kind, config: MeshKindConfig): Promise<void> {
    const own = log.child('mesh').child(name);
    const key = kind.endpointKey;
    try {
      const endpoint = await startEndpoint(this.endpointOf(name, kind, config));
      if (this.closed || kind.endpointKey !== key) return await endpoint.close();
      kind.endpoint = endpoint;
      kind.error = '';
      own.info({ address: endpoint.address, calls: showAddress(kind.listener) }, 'applications may subscribe and publish');
      if (name === 'sofa' && kind.listener.port !== kinds.sofa.ports.listener) own.warn({ port: kind.listener.port }, `the SDK of SOFARPC calls port ${kinds.sofa.ports.listener}, whatever it is told: have that port lead here`);
    } catch (error) {
      if (this.closed || kind.endpointKey !== key) return;
      const text = `mesh.${name} cannot listen on ${showAddress(config.address)}: ${(error as NodeJS.ErrnoException).code ?? (error as Error).message}`;
      if (kind.error !== text) own.error(text);
      kind.error = text;
      kind.retry = clock.setTimeout(() => void this.listen(name, kind, config), REBIND_MS);
      (kind.retry as { unref?: () => void }).unref?.();
    }
  }

  private endpointOf(name: MeshKind, kind: Kind, config: MeshKindConfig): EndpointOptions {
    const { side } = kind;
    const sofa = name === 'sofa' ? sofaOperations(side, () => kind.listener) : null;
    return {
      address: config.address,
      hosts: config.hosts,
      operations: sofa?.operations ?? dubboOperations(side),
      pages: { '/services': () => side.services(), ...(sofa === null ? {} : { '/configs/application': () => sofa.applications() }) },
      failed: sofa === null ? failedDubbo : failedSofa,
      count: (path, ok) => this.deps.stats.counter('sluice_mesh_requests_total', 'Requests of applications to the mesh.', { kind: name, path, outcome: ok ? 'done' : 'failed' }).inc(),
      log: log.child('mesh').child(name),
    };
  }
}

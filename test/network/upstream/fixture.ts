// What tests of clusters stand on: the built-in balancers and discoveries, and both halves of the cluster manager in one thread.
import { LevelRows, SharedLevels } from '../../../src/core/levels.js';
import { Catalog, type Manifest } from '../../../src/core/manifest.js';
import { Stats } from '../../../src/core/stats.js';
import { manifest as leastRequest } from '../../../src/network/upstream/balancer/least_request/manifest.js';
import { manifest as random } from '../../../src/network/upstream/balancer/random/manifest.js';
import { manifest as roundRobin } from '../../../src/network/upstream/balancer/round_robin/manifest.js';
import { manifest as weighted } from '../../../src/network/upstream/balancer/weighted/manifest.js';
import type { Cluster } from '../../../src/network/upstream/cluster.js';
import { clusterSchema, type ClusterConfig } from '../../../src/network/upstream/config.js';
import { manifest as dns } from '../../../src/network/upstream/discovery/dns/manifest.js';
import { manifest as file } from '../../../src/network/upstream/discovery/file/manifest.js';
import { manifest as memory } from '../../../src/network/upstream/discovery/memory/manifest.js';
import { manifest as fixed } from '../../../src/network/upstream/discovery/static/manifest.js';
import { FAILED_OUTLIER, type Host } from '../../../src/network/upstream/host.js';
import { MainUpstream } from '../../../src/network/upstream/main-upstream.js';
import { ClusterManager } from '../../../src/network/upstream/manager.js';
import type { ProbeFactory } from '../../../src/network/upstream/probe.js';
import { type ZodError, z } from 'zod';

export const manifests: Manifest[] = [leastRequest, random, roundRobin, weighted, dns, file, fixed, memory];

export function config(input: Record<string, unknown>, probes: string[] = [], more: Manifest[] = []): ClusterConfig {
  return clusterSchema(new Catalog([...manifests, ...more]), z.looseObject({}), probes).parse(input);
}

/** Paths of what is refused, with the expectation of the first. */
export function refusals(input: Record<string, unknown>, probes: string[] = []): string[] {
  try {
    config(input, probes);
  } catch (error) {
    return (error as ZodError).issues.map((issue) => issue.path.join('.') + (issue.code === 'unrecognized_keys' ? issue.keys.join() : ''));
  }
  return [];
}

/** Main and worker in one thread. `writers` above 1 leaves room for tests that play further workers. */
export class Upstream {
  readonly stats = new Stats();
  readonly levels: SharedLevels;
  readonly manager: ClusterManager;
  readonly main: MainUpstream;

  constructor(probes: ReadonlyMap<string, ProbeFactory> = new Map(), writers = 1) {
    this.levels = SharedLevels.create(64, writers);
    const catalog = new Catalog(manifests);
    this.manager = new ClusterManager({ stats: this.stats, levels: this.levels, catalog });
    this.main = new MainUpstream({
      stats: this.stats,
      levels: this.levels,
      rows: new LevelRows(this.levels, () => {}),
      catalog,
      probes,
      onChange: (snapshot) => this.manager.update(structuredClone(snapshot)),
      onRemove: (name) => this.manager.remove(name),
    });
  }

  apply(...inputs: Record<string, unknown>[]): void {
    this.main.apply(inputs.map((input) => config(input)));
  }

  cluster(name: string): Cluster {
    const cluster = this.manager.get(name);
    if (cluster === undefined) throw new Error(`no cluster ${name}`);
    return cluster;
  }

  /** Has a host count as unhealthy in a way that no health check undoes. */
  setHealthy(name: string, address: string, healthy: boolean): void {
    const snapshot = this.main.snapshots().find((s) => s.config.name === name)!;
    this.levels.set(snapshot.hosts.find((h) => h.address === address)!.healthRow, healthy ? 0 : FAILED_OUTLIER);
    this.levels.add(snapshot.epochRow, 1);
  }

  close(): void {
    this.main.close();
    this.manager.close();
  }
}

/** How often each address comes in `n` picks; '-' stands for none. */
export function counts(cluster: Cluster, n: number, tried: Host[] | null = null): Record<string, number> {
  const found: Record<string, number> = {};
  for (let i = 0; i < n; i++) {
    const address = cluster.pick(0, tried)?.address ?? '-';
    found[address] = (found[address] ?? 0) + 1;
  }
  return found;
}

/** Lets promises that are due settle. */
export function settle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** Waits, with the event loop running, until `condition` holds; gives up after 10 s. */
export async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`still not so after 10 s: ${condition.toString()}`);
    await settle();
  }
}

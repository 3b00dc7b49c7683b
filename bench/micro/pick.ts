// Nanoseconds that one pick of a host takes for each balancer, and what an exchange pays the breaker; reports what is allocated, which must be nothing.
import { LevelRows, SharedLevels } from '../../src/core/levels.js';
import { Catalog, type Manifest } from '../../src/core/manifest.js';
import { Stats } from '../../src/core/stats.js';
import { manifest as leastRequest } from '../../src/network/upstream/balancer/least_request/manifest.js';
import { manifest as random } from '../../src/network/upstream/balancer/random/manifest.js';
import { manifest as roundRobin } from '../../src/network/upstream/balancer/round_robin/manifest.js';
import { manifest as weighted } from '../../src/network/upstream/balancer/weighted/manifest.js';
import { manifest as fixed } from '../../src/network/upstream/discovery/static/manifest.js';
import type { Cluster } from '../../src/network/upstream/cluster.js';
import { clusterSchema } from '../../src/network/upstream/config.js';
import type { Host } from '../../src/network/upstream/host.js';
import { MainUpstream } from '../../src/network/upstream/main-upstream.js';
import { ClusterManager } from '../../src/network/upstream/manager.js';
import { z } from 'zod';
import { bench } from './measure.js';

const manifests: Manifest[] = [leastRequest, random, roundRobin, weighted, fixed];
const catalog = new Catalog(manifests);
const schema = clusterSchema(catalog, z.null(), []);
/** As with eight workers and the main thread: a level is a sum over so many slots. */
const WRITERS = 9;
const levels = SharedLevels.create(1024, WRITERS);
const manager = new ClusterManager({ stats: new Stats(), levels, catalog });
const main = new MainUpstream({
  stats: new Stats(),
  levels,
  rows: new LevelRows(levels, () => {}),
  catalog,
  probes: new Map(),
  onChange: (snapshot) => manager.update(snapshot),
  onRemove: () => {},
});

function cluster(balancer: string, hosts: number, weight: (i: number) => number): Cluster {
  const name = `${balancer}-${hosts}-${weight(1)}`;
  const list = Array.from({ length: hosts }, (_, i) => ({ address: `10.0.${i >> 8}.${i & 255}:80`, weight: weight(i) }));
  configs.push(schema.parse({ name, balancer, hosts: list }));
  main.apply(configs);
  return manager.get(name)!;
}
const configs: z.output<typeof schema>[] = [];

/** Bytes that one call allocates, over many; a young collection in between makes it smaller, so the largest of some tries counts. */
function allocated(run: (n: number) => number): number {
  const n = 20_000;
  let most = 0;
  for (let i = 0; i < 5; i++) {
    const before = process.memoryUsage().heapUsed;
    run(n);
    most = Math.max(most, (process.memoryUsage().heapUsed - before) / n);
  }
  return most;
}

const cases: [string, Cluster][] = [
  ['weighted, 3 hosts, equal', cluster('weighted', 3, () => 1)],
  ['weighted, 3 hosts, 1:2:3', cluster('weighted', 3, (i) => i + 1)],
  ['weighted, 100 hosts, 1 to 10', cluster('weighted', 100, (i) => (i % 10) + 1)],
  ['weighted, 1000 hosts, 1 to 10', cluster('weighted', 1000, (i) => (i % 10) + 1)],
  ['round_robin, 100 hosts', cluster('round_robin', 100, () => 1)],
  ['random, 100 hosts, equal', cluster('random', 100, () => 1)],
  ['random, 100 hosts, 1 to 10', cluster('random', 100, (i) => (i % 10) + 1)],
  ['least_request, 100 hosts, equal', cluster('least_request', 100, () => 1)],
];

for (const [name, one] of cases) {
  const run = (n: number): number => {
    let sum = 0;
    for (let i = 0; i < n; i++) sum += one.pick(i, null)!.target.port;
    return sum;
  };
  bench(name, run);
  const bytes = allocated(run);
  if (bytes > 0.5) {
    console.log(`  allocates ${bytes.toFixed(1)} bytes per pick`);
    process.exitCode = 1;
  }
}

const tried: Host[] = [cases[0]![1].hosts[0]!];
bench('weighted, 3 hosts, second try', (n) => {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += cases[0]![1].pick(i, tried)!.target.port;
  return sum;
});

bench('breaker, request taken and given back', (n) => {
  const { breaker } = cases[0]![1];
  let sum = 0;
  for (let i = 0; i < n; i++) {
    if (breaker.tryRequest()) sum++;
    breaker.releaseRequest();
  }
  return sum;
});

// Nanoseconds per routed request: one route, many virtual hosts, many services, conditions on headers; all on bytes, with nothing allocated.
//
// Node 20, 2 shared and busy cores, in ns: no routes 9; one prefix 40; the fifth of five with prefix, method and header 240; 500 hosts 50, with
// another host each time 320; 1,000 services 240; 1,000 prefixes 180; a regular expression 200; a draw of three weighted clusters 24.
import type { Cluster } from '../../src/network/upstream/cluster.js';
import { routeTableSchema } from '../../src/stream/route-config.js';
import { type Route, RouteTable, VhostMemo } from '../../src/stream/router.js';
import { FlatHead } from './flat-head.js';
import { bench } from './measure.js';

const deps = { clusters: new Map([['c', { name: 'c' } as unknown as Cluster]]), terminals: new Map() };
const table = (config: Record<string, unknown>): RouteTable => new RouteTable(routeTableSchema.parse({ name: 't', ...config }), deps);
const range = <T>(n: number, make: (i: number) => T): T[] => Array.from({ length: n }, (_, i) => make(i));

const http = (path: string, authority = 'shop.example.com', more: Record<string, string> = {}): FlatHead => new FlatHead({ ':method': 'GET', ':path': path, ':authority': authority, ...more });

function run(name: string, routes: RouteTable, heads: readonly FlatHead[], wanted: string): void {
  const memo = new VhostMemo();
  const found = routes.match(heads[0]!, memo);
  if (found?.name !== wanted) throw new Error(`${name}: ${found?.name} instead of ${wanted}`);
  bench(name, (n) => {
    let hits = 0;
    for (let i = 0; i < n; i++) {
      const route: Route | null = routes.match(heads[i % heads.length]!, memo);
      if (route !== null) hits++;
    }
    return hits;
  });
}

run('one cluster, no routes', RouteTable.single('c', deps), [http('/api/v1/orders/4711')], 'c');
run('one prefix', table({ routes: [{ name: 'r', match: { prefix: '/' }, cluster: 'c' }] }), [http('/api/v1/orders/4711?expand=items')], 'r');
run('fifth of five prefixes and headers', table({ routes: range(5, (i) => ({ name: `r${i}`, match: { prefix: `/api/v${i}/`, method: 'GET', 'header.x-env': 'gray' }, cluster: 'c' })) }), [http('/api/v4/x', 'a', { 'x-env': 'gray' })], 'r4');
const hosts = table({ virtual_hosts: [...range(500, (i) => ({ name: `v${i}`, domains: [`h${i}.example.com`], routes: [{ name: `r${i}`, match: { prefix: '/' }, cluster: 'c' }] })), { name: 'w', domains: ['*.example.com'], routes: [{ name: 'w', cluster: 'c' }] }] });
run('500 hosts, the same one again', hosts, [http('/', 'h7.example.com')], 'r7');
run('500 hosts, another one each time', hosts, range(64, (i) => http('/', `h${i + 7}.example.com`)), 'r7');
run('500 hosts, wildcard, another each time', hosts, range(64, (i) => http('/', `any${i}.example.com`)), 'w');
run('1000 services', table({ routes: [...range(1000, (i) => ({ name: `r${i}`, match: { service: `com.example.Service${i}:1.0` }, cluster: 'c' })), { name: 'rest', cluster: 'c' }] }), range(64, (i) => new FlatHead({ ':service': `com.example.Service${i + 900}:1.0`, ':rpc-method': 'm' })), 'r900');
run('1000 prefixes', table({ routes: [...range(1000, (i) => ({ name: `r${i}`, match: { prefix: `/service-${i}/` }, cluster: 'c' })), { name: 'rest', cluster: 'c' }] }), range(64, (i) => http(`/service-${i + 900}/x`)), 'r900');
run('a regular expression', table({ routes: [{ name: 'r', match: { regex: '/api/v[0-9]+/.*' }, cluster: 'c' }] }), [http('/api/v1/orders/4711')], 'r');
const weighted = table({ routes: [{ weighted: [{ cluster: 'c', weight: 90 }, { cluster: 'c', weight: 9 }, { cluster: 'c', weight: 1 }] }] }).routes[0]!;
bench('a draw of three weighted clusters', (n) => {
  let found = 0;
  for (let i = 0; i < n; i++) if (weighted.pickCluster() !== null) found++;
  return found;
});

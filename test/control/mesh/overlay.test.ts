// What applications have told becomes clusters and routes: beside those of the file, in an order in which each is reached.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Config, decode } from '../../../src/control/model.js';
import { advertised, type ToldServices, withServices } from '../../../src/control/mesh/overlay.js';
import { catalog as builtins } from '../../../src/catalog.js';
import { formatProblem } from '../../../src/core/config/problem.js';
import { parseAddress, type Address } from '../../../src/core/config/schema.js';
import { Catalog, type Manifest } from '../../../src/core/manifest.js';
import { RouteTable } from '../../../src/stream/router.js';

const catalog = new Catalog(builtins as readonly Manifest[]);
const base = (text: string): Config => {
  const decoded = decode(text, 'a.yaml', catalog, undefined, { env: {} });
  assert.deepEqual(decoded.problems.map(formatProblem), []);
  return decoded.config!;
};
const key = (name: string, group = '', version = ''): { name: string; group: string; version: string } => ({ name, group, version });
const at = (text: string): Address => parseAddress(text) as Address;
const told = (subscribed: ToldServices['subscribed'], published: ToldServices['published'] = []): ToldServices => ({ subscribed, published });
const only = (kind: string, services: ToldServices) => (asked: string) => (asked === kind ? services : null);
const shown = (config: Config, table: string): unknown[] => {
  const found = config.routes.find((one) => one.name === table)!;
  const routes = [...(found.routes ?? []), ...found.virtual_hosts.flatMap((host) => host.routes)];
  return routes.map(({ match, cluster, direct_response }) => [match?.service?.exact ?? '*', match?.group?.exact ?? '', match?.version?.exact ?? '', cluster ?? direct_response?.body]);
};

describe('services that were subscribed', () => {
  test('have a cluster of the discovery, and a route to it', () => {
    const file = base('mesh: {sofa: {discovery: {type: file, path: /s.yaml}, cluster: {connect_timeout: 1s}, route: {timeout: 2s}}}');
    const config = withServices(file, only('sofa', told([key('com.example.Hello:1.0'), key('com.example.Other:1.0', 'blue')])));
    const [one, two] = config.clusters;
    assert.deepEqual([one!.name, one!.protocol, one!.connect_timeout, one!.hosts], ['sofa:com.example.Hello:1.0', 'bolt', 1000, []]);
    assert.deepEqual(one!.discovery, { type: 'file', path: '/s.yaml', refresh: 1000, service: 'com.example.Hello:1.0', group: '', version: '' });
    assert.deepEqual([two!.name, two!.discovery['group']], ['sofa:com.example.Other:1.0@blue', 'blue']);
    assert.deepEqual(shown(config, 'sofa:outbound'), [
      ['com.example.Hello:1.0', '', '', 'sofa:com.example.Hello:1.0'],
      ['com.example.Other:1.0', '', '', 'sofa:com.example.Other:1.0@blue'],
    ]);
    assert.equal(config.routes.find((table) => table.name === 'sofa:outbound')!.routes![0]!.timeout, 2000);
    assert.equal(config.listeners, file.listeners, 'what is not added to is the same');
    assert.deepEqual(structuredClone(config), config);
    assert.ok(new RouteTable(config.routes[0]!, { clusters: { get: () => undefined }, terminals: { get: () => undefined } }).routes.length === 2);
  });

  test('of Dubbo are matched by group and version, the more exact ones first', () => {
    const config = withServices(base('mesh: {dubbo: {}}'), only('dubbo', told([key('S'), key('S', 'a'), key('S', '*', '1.0'), key('S', 'a', '1.0')])));
    assert.deepEqual(shown(config, 'dubbo:outbound'), [
      ['S', 'a', '1.0', 'dubbo:S@a#1.0'],
      ['S', 'a', '', 'dubbo:S@a'],
      ['S', '', '1.0', 'dubbo:S@*#1.0'],
      ['S', '', '', 'dubbo:S'],
    ]);
  });

  const text = (routes: string): string => `
listeners:
  - {name: out, address: "127.0.0.1:1", protocol: bolt, routes: out}
routes: [{name: out, ${routes}}]
clusters: [{name: app, hosts: "127.0.0.1:9"}]
mesh: {sofa: {listener: out}}
`;
  test('come behind the routes of the file, and before one that takes everything', () => {
    const all = only('sofa', told([key('S')]));
    const own = '{match: {service: S, method: m}, cluster: app}';
    assert.deepEqual(shown(withServices(base(text(`routes: [${own}]`)), all), 'out'), [['S', '', '', 'app'], ['S', '', '', 'sofa:S']]);
    assert.deepEqual(shown(withServices(base(text(`routes: [${own}, {cluster: app}]`)), all), 'out'), [['S', '', '', 'app'], ['S', '', '', 'sofa:S'], ['*', '', '', 'app']]);
    assert.deepEqual(shown(withServices(base(text('routes: [{match: {}, direct_response: {body: none}}]')), all), 'out'), [['S', '', '', 'sofa:S'], ['*', '', '', 'none']]);
  });

  test('find their place in a table of virtual hosts', () => {
    const all = only('sofa', told([key('S')]));
    const hosts = (domains: string): string => `virtual_hosts: [{name: v, domains: [${domains}], routes: [{cluster: app}]}]`;
    const rest = withServices(base(text(hosts('"a.b", "*"'))), all).routes.find((table) => table.name === 'out')!;
    assert.deepEqual(rest.virtual_hosts.map((host) => [host.name, host.routes.map((route) => route.cluster)]), [['v', ['sofa:S', 'app']]]);
    const added = withServices(base(text(hosts('a.b'))), all).routes.find((table) => table.name === 'out')!;
    assert.deepEqual(added.virtual_hosts.map((host) => [host.name, host.domains, host.routes.map((route) => route.cluster)]), [['v', ['a.b'], ['app']], ['mesh:services', ['*'], ['sofa:S']]]);
  });

  test('are none: the configuration stays the same object', () => {
    const config = base('mesh: {sofa: {}}');
    assert.equal(withServices(config, () => told([])), config);
    assert.equal(withServices(config, () => null), config);
  });
});

describe('services that were published', () => {
  test('lead to their applications, each of which is one cluster without the options of the way to others', () => {
    const published = [
      { service: key('A'), app: at('127.0.0.1:12200') },
      { service: key('B'), app: at('127.0.0.1:12200') },
      { service: key('C'), app: at('127.0.0.1:12300') },
      { service: key('D'), app: at('localhost:12400') },
    ];
    const config = withServices(base('mesh: {sofa: {cluster: {connect_timeout: 1s}}}'), only('sofa', told([], published)));
    assert.deepEqual(shown(config, 'sofa:inbound'), [
      ['A', '', '', 'sofa:app@127.0.0.1:12200'],
      ['B', '', '', 'sofa:app@127.0.0.1:12200'],
      ['C', '', '', 'sofa:app@127.0.0.1:12300'],
      ['D', '', '', 'sofa:app@localhost:12400'],
    ]);
    assert.deepEqual(config.clusters.map(({ name, connect_timeout, protocol }) => [name, connect_timeout, protocol]), [
      ['sofa:app@127.0.0.1:12200', 3000, 'bolt'],
      ['sofa:app@127.0.0.1:12300', 3000, 'bolt'],
      ['sofa:app@localhost:12400', 3000, 'bolt'],
    ]);
    assert.deepEqual(config.clusters[1]!.hosts, [{ address: { host: '127.0.0.1', port: 12300 }, weight: 1, metadata: {} }]);
    assert.deepEqual(shown(config, 'sofa:outbound'), []);
  });

  test('are advertised where others reach this side', () => {
    assert.deepEqual(advertised(base('mesh: {sofa: {}}'), 'sofa'), { host: '127.0.0.1', port: 12201 });
    assert.deepEqual(advertised(base('mesh: {sofa: {advertise: "10.0.0.7:99"}}'), 'sofa'), { host: '10.0.0.7', port: 99 });
    const { host, port } = advertised(base('mesh: {sofa: {inbound: 12201}}'), 'sofa');
    assert.match(host, /^\d+\.\d+\.\d+\.\d+$/);
    assert.ok(host !== '0.0.0.0' && port === 12201);
  });
});

// The section mesh: off unless it is there, whole by convention when it is, and fitted into the listeners and the admin around it.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Config, configJsonSchema, decode, type Decoded } from '../../../src/control/model.js';
import { catalog as builtins } from '../../../src/catalog.js';
import { formatProblem } from '../../../src/core/config/problem.js';
import { Catalog, type Manifest } from '../../../src/core/manifest.js';

const manifests: readonly Manifest[] = builtins;
const catalog = new Catalog(manifests);
const read = (text: string, previous?: Config, of = catalog): Decoded => decode(text, '/etc/sluice/a.yaml', of, previous, { env: {} });
const problems = (decoded: Decoded): string[] => decoded.problems.map((problem) => formatProblem(problem).replace(/^\S+ /, '').replace(': expected ', ': '));
const good = (text: string, previous?: Config): Config => {
  const decoded = read(text, previous);
  assert.deepEqual(decoded.problems.map(formatProblem), []);
  return decoded.config!;
};

describe('the section mesh', () => {
  test('is off where it is not, and where it says so', () => {
    for (const text of ['', 'mesh: {}', 'mesh: {sofa: false, dubbo: false}']) {
      const config = good(text);
      assert.deepEqual([config.mesh, config.listeners, config.routes], [{ sofa: null, dubbo: null }, [], []]);
    }
  });

  test('has everything by convention', () => {
    const config = good('mesh: {sofa: {}, dubbo: true}');
    const { sofa, dubbo } = config.mesh;
    assert.deepEqual(
      { ...sofa, cluster: sofa!.cluster.protocol, appCluster: sofa!.appCluster.hosts.length, route: sofa!.route.idempotent },
      {
        address: { host: '127.0.0.1', port: 13330 },
        hosts: [],
        listener: { name: '', address: { host: '127.0.0.1', port: 12220 } },
        inbound: { name: '', address: { host: '127.0.0.1', port: 12201 } },
        app: { host: '127.0.0.1', port: 12200 },
        app_check: 5000,
        advertise: null,
        discovery: { type: 'memory' },
        wait: 3000,
        state: '',
        cluster: 'bolt',
        appCluster: 1,
        route: false,
      },
    );
    assert.deepEqual([dubbo!.address.port, dubbo!.listener.address!.port, dubbo!.inbound.address!.port, dubbo!.app.port], [22222, 20881, 33333, 20880]);
    assert.deepEqual(config.listeners.map(({ name, address, protocol, routes }) => [name, address.port, protocol, routes]), [
      ['sofa:outbound', 12220, 'bolt', 'sofa:outbound'],
      ['sofa:inbound', 12201, 'bolt', 'sofa:inbound'],
      ['dubbo:outbound', 20881, 'dubbo', 'dubbo:outbound'],
      ['dubbo:inbound', 33333, 'dubbo', 'dubbo:inbound'],
    ]);
    assert.deepEqual(config.routes.map(({ name, routes }) => [name, routes]), config.listeners.map(({ name }) => [name, []]));
    assert.deepEqual(structuredClone(config), config, 'plain data');
  });

  test('moves what is made with the address of the endpoints', () => {
    const { sofa } = good('mesh: {sofa: {address: "10.1.2.3:8000"}}').mesh;
    assert.deepEqual([sofa!.listener.address, sofa!.inbound.address], [{ host: '10.1.2.3', port: 12220 }, { host: '10.1.2.3', port: 12201 }]);
    assert.deepEqual(good('mesh: {sofa: {address: "unix:/run/mesh"}}').mesh.sofa!.listener.address, { host: '127.0.0.1', port: 12220 });
  });

  test('takes options of the clusters and routes that are made, and paths relative to the file', () => {
    const { sofa } = good('mesh: {sofa: {discovery: {type: file, path: services.yaml}, state: kept.json, cluster: {connect_timeout: 1s, heartbeat: {interval: 5s}}, route: {timeout: 2s, idempotent: true}}}').mesh;
    assert.deepEqual([sofa!.discovery['path'], sofa!.state], ['/etc/sluice/services.yaml', '/etc/sluice/kept.json']);
    assert.deepEqual([sofa!.cluster.connect_timeout, sofa!.cluster.heartbeat!.interval, sofa!.appCluster.connect_timeout], [1000, 5000, 3000]);
    assert.deepEqual([sofa!.route.timeout, sofa!.route.idempotent], [2000, true]);
    assert.equal(sofa!.appCluster.health_check!.interval, 5000);
    assert.equal(good('mesh: {sofa: {app_check: 0}}').mesh.sofa!.appCluster.health_check, null);
  });

  test('is refused with the place of each mistake', () => {
    for (const [text, expected] of [
      ['mesh: {sofa: {adress: 1}}', 'mesh.sofa.adress: unknown key (did you mean address?)'],
      ['mesh: {soffa: {}}', 'mesh.soffa: unknown key (did you mean sofa?)'],
      ['mesh: {sofa: {discovery: static}}', 'mesh.sofa.discovery: a discovery that finds services by name: one of file, memory, got "static"'],
      ['mesh: {sofa: {discovery: {type: file}}}', /^mesh\.sofa\.discovery\.path: is missing/],
      ['mesh: {sofa: {cluster: {hosts: "a:1"}}}', 'mesh.sofa.cluster.hosts: nothing here: the mesh itself sets it, got "a:1"'],
      ['mesh: {sofa: {cluster: {conect_timeout: 1s}}}', 'mesh.sofa.cluster.conect_timeout: unknown key (did you mean connect_timeout?)'],
      ['mesh: {sofa: {cluster: {tls: {ca: /nowhere.pem}}}}', /^mesh\.sofa\.cluster\.tls\.ca: cannot read \/nowhere\.pem/],
      ['mesh: {sofa: {route: {match: {}}}}', /^mesh\.sofa\.route\.match: nothing here/],
      ['mesh: {sofa: {route: {timeout: 5}}}', /^mesh\.sofa\.route\.timeout: a duration/],
      ['mesh: {sofa: {listener: out}}', 'mesh.sofa.listener: there is no listener of this name, got "out"'],
      ['mesh: {sofa: {listener: "12220", inbound: 12220}}', 'mesh.sofa.inbound: another address than listener, got ":12220"'],
      ['mesh: {sofa: {inbound: "unix:/run/in"}}', /^mesh\.sofa\.inbound: an address with a port, or `advertise`/],
      ['mesh: {sofa: {address: 127.0.0.1:2050}}', 'mesh.sofa.address: the admin listens on 127.0.0.1:2050, got "127.0.0.1:2050"'],
      ['mesh: {sofa: {}, dubbo: {address: 127.0.0.1:12220}}', 'mesh.dubbo.address: mesh.sofa listens on 127.0.0.1:12220, got "127.0.0.1:12220"'],
    ] as [string, string | RegExp][]) {
      const found = problems(read(text));
      assert.equal(found.length, 1, `${text}: ${found.join('; ')}`);
      if (typeof expected === 'string') assert.equal(found[0], expected);
      else assert.match(found[0]!, expected);
    }
  });

  test('wants a protocol that there is', () => {
    const without = new Catalog(manifests.filter((one) => one.name !== 'dubbo'));
    assert.deepEqual(problems(read('mesh: {dubbo: {}}', undefined, without)), ['mesh.dubbo: protocol dubbo, which there is not, got a map']);
    assert.deepEqual(problems(read('mesh: {sofa: {}}', undefined, without)), []);
  });

  const LISTENERS = `
listeners:
  - {name: out, address: "127.0.0.1:1", protocol: bolt, routes: out}
  - {name: in, address: "127.0.0.1:2", protocol: bolt, routes: in}
  - {name: same, address: "127.0.0.1:3", protocol: bolt, routes: out}
  - {name: direct, address: "127.0.0.1:4", protocol: bolt, cluster: app}
  - {name: web, address: "127.0.0.1:5", protocol: http1, routes: in}
routes:
  - {name: out, routes: []}
  - {name: in, routes: []}
clusters:
  - {name: app, hosts: "127.0.0.1:9"}
`;

  test('may name listeners of the file, which must be able to take routes', () => {
    const config = good(`${LISTENERS}mesh: {sofa: {listener: out, inbound: in}}`);
    assert.deepEqual(config.listeners.map(({ name }) => name), ['out', 'in', 'same', 'direct', 'web']);
    for (const [text, expected] of [
      ['{listener: direct}', /^mesh\.sofa\.listener: a listener with routes; direct leads everything to cluster app/],
      ['{listener: web}', /^mesh\.sofa\.listener: a listener with protocol bolt; web has http1/],
      ['{listener: out, inbound: same}', /^mesh\.sofa\.inbound: another route table than out/],
      ['{listener: out, inbound: out}', /^mesh\.sofa\.inbound: another listener than `listener`/],
      ['{listener: outt}', /did you mean out\?/],
    ] as [string, RegExp][]) {
      const found = problems(read(`${LISTENERS}mesh: {sofa: ${text}}`));
      assert.equal(found.length, 1, `${text}: ${found.join('; ')}`);
      assert.match(found[0]!, expected);
    }
  });

  test('is told of a listener of the file that has its address, and keeps what it was on a reload', () => {
    const before = good('mesh: {sofa: {}}');
    const clash = 'listeners: [{name: a, address: "127.0.0.1:12220", protocol: bolt, routes: r}]\nroutes: [{name: r, routes: []}]\nmesh: {sofa: {}}';
    assert.deepEqual(problems(read(clash)), ['mesh.sofa.listener: listener a listens on 127.0.0.1:12220, got "127.0.0.1:12220"']);
    const broken = read('mesh: {sofa: {address: nowhere}}', before);
    assert.deepEqual([broken.problems.length, broken.rejected[0]!.at], [1, 'mesh']);
    assert.deepEqual(broken.config!.mesh, before.mesh);
    assert.deepEqual(broken.config!.listeners.map(({ name }) => name), ['sofa:outbound', 'sofa:inbound']);
    const dangling = read('mesh: {sofa: {listener: gone}}', before);
    assert.deepEqual([dangling.problems.length, dangling.config!.mesh], [1, before.mesh]);
    const off = read('', before);
    assert.deepEqual([off.problems, off.config!.listeners, off.config!.routes], [[], [], []]);
  });

  test('is in the JSON Schema, with the options of the clusters that are made', () => {
    const text = JSON.stringify(configJsonSchema(catalog));
    assert.match(text, /"sofa":/);
    assert.match(text, /"state":\{[^}]*File in which subscriptions/);
  });
});

// What becomes of a configuration's text: defaults, short forms, every problem with its place, and what is kept when a part is refused.
import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { listOptions } from '../../src/core/config/options.js';
import { formatProblem } from '../../src/core/config/problem.js';
import { type Config, configJsonSchema, configSchema, decode, type Decoded } from '../../src/control/model.js';
import { Catalog } from '../../src/core/manifest.js';
import { catalog, fake, manifests } from './catalog.js';

const read = (text: string, previous?: Config, env: Record<string, string> = {}): Decoded => decode(text, 'a.yaml', catalog, previous, { env });
const problems = (decoded: Decoded): string[] => decoded.problems.map(formatProblem);
const warnings = (decoded: Decoded): string[] => decoded.warnings.map(formatProblem);
const good = (text: string, previous?: Config): Config => {
  const decoded = read(text, previous);
  assert.deepEqual(problems(decoded), []);
  return decoded.config!;
};

const HTTP = `
listeners:
  - name: http
    address: 127.0.0.1:2045
    protocol: http1
    routes: main
routes:
  - name: main
    routes:
      - cluster: app
clusters:
  - name: app
    hosts: 127.0.0.1:9001
`;

describe('a valid configuration', () => {
  test('is plain frozen data that can be posted to another thread', () => {
    const config = good(HTTP);
    assert.deepEqual(structuredClone(config), config);
    assert.throws(() => ((config.listeners[0] as { name: string }).name = 'x'), TypeError);
    assert.throws(() => (config.clusters[0]!.hosts as unknown[]).push(1), TypeError);
  });

  test('may be empty, and has the defaults of the design', () => {
    const config = good('');
    assert.deepEqual(
      { ...config, access_log: config.access_log.map(({ path, when }) => ({ path, when })) },
      {
        admin: { enabled: true, address: { host: '127.0.0.1', port: 2050 }, hosts: [] },
        workers: 0,
        lanes: [],
        listeners: [],
        routes: [],
        clusters: [],
        plugins: [],
        log: { level: 'info', format: 'text' },
        access_log: [{ path: 'stdout', when: { every: 1 } }],
        memory_limit: 0,
        drain_timeout: 30_000,
        mesh: { sofa: null, dubbo: null },
        tracing: null,
        banner: [],
      },
    );
  });

  test('has short forms of the admin', () => {
    assert.deepEqual(good('admin: false').admin.enabled, false);
    assert.deepEqual(good('admin: 127.0.0.1:1').admin.address, { host: '127.0.0.1', port: 1 });
    assert.deepEqual(good('admin: unix:/run/a.sock').admin.address, { host: '', port: 0, path: '/run/a.sock' });
    assert.deepEqual(good('admin: {address: 2051}').admin.address.port, 2051);
    assert.deepEqual(good('workers: auto').workers, 0);
    assert.deepEqual(good('workers: 3').workers, 3);
    assert.deepEqual(good('banner: one line').banner, ['one line']);
  });

  test('gives a listener that names a cluster a route table of its own', () => {
    const config = good(HTTP.replace('routes: main', 'cluster: app').replace(/routes:\n[^]*clusters/, 'clusters'));
    assert.equal(config.listeners[0]!.routes, 'cluster:app');
    assert.deepEqual(config.routes.map((table) => [table.name, table.routes!.map((route) => route.cluster)]), [['cluster:app', ['app']]]);
    assert.equal(config.routes[0]!.routes![0]!.stream_idle_timeout, 300_000);
  });

  test('carries bytes to a cluster, by name or by a filter', () => {
    const text = 'listeners: [{name: t, address: ":1", protocol: tcp, cluster: app}]\nclusters: [{name: app, hosts: "10.0.0.1:1"}]';
    const [listener] = good(text).listeners;
    assert.deepEqual([listener!.cluster, listener!.routes, listener!.options], ['app', '', null]);
    const filtered = good(text.replace('cluster: app', 'network_filters: [ip_access, {type: tcp_proxy, cluster: app}]')).listeners[0]!;
    assert.deepEqual(filtered.network_filters, [{ type: 'ip_access', options: {} }, { type: 'tcp_proxy', options: { cluster: 'app' } }]);
  });

  test('decodes options of plug-ins by their own schemas, in listeners and in routes', () => {
    const config = good(HTTP.replace('routes: main', 'routes: main\n    options: {max_line: 100}\n    stream_filters: [delay, {type: tag, value: x}]').replace('- cluster: app', '- cluster: app\n        filters: {delay: {time: 2s}}'));
    assert.deepEqual(config.listeners[0]!.options, { max_line: 100 });
    assert.deepEqual(config.listeners[0]!.stream_filters, [{ type: 'delay', options: { time: 100 } }, { type: 'tag', options: { value: 'x' } }]);
    assert.deepEqual(config.routes[0]!.routes![0]!.filters, { delay: { time: 2000 } });
  });

  test('has the access logs of all where a listener has none of its own', () => {
    const text = (own: string): string => `access_log: {path: logs/a.log}\n${HTTP.replace('routes: main', `routes: main\n    ${own}`)}`;
    const paths = (own: string): string[] => good(text(own)).listeners[0]!.access_log.map((log) => log.path);
    assert.deepEqual(paths(''), [join(process.cwd(), 'logs/a.log')]);
    assert.deepEqual(paths('access_log: false'), []);
    assert.deepEqual(paths('access_log: [{path: stderr}, {path: /b.log}]'), ['stderr', '/b.log']);
  });

  test('takes variables of the environment', () => {
    const text = HTTP.replace('127.0.0.1:2045', '${LISTEN:-127.0.0.1:1}').replace('hosts: 127.0.0.1:9001', 'hosts: ${UPSTREAM:-127.0.0.1:9001}');
    const config = read(text, undefined, { LISTEN: '127.0.0.1:5', UPSTREAM: '10.0.0.1:1,10.0.0.2:2' }).config!;
    assert.deepEqual([config.listeners[0]!.address.port, config.clusters[0]!.hosts.map((host) => host.address.port)], [5, [1, 2]]);
  });
});

describe('a first start', () => {
  test('is refused by any problem, and all are told at once', () => {
    const decoded = read(`
admin: {adress: 127.0.0.1:2050}
workers: many
listeners:
  - name: http
    address: 127.0.0.1
    protocol: htpp1
    routes: mian
    stream_filters: [{type: delay, time: 5}, {type: dely}]
  - name: other
    address: :2046
    protocol: bolt
    routes: mian
routes:
  - name: main
    routes: [{cluster: ap}, {terminal: ecko}, {weighted: [{cluster: app, weight: 1}, {cluster: bpp, weight: 1}]}]
clusters:
  - {name: app, hosts: "127.0.0.1:9001", balancer: weightd}
  - {name: App2}
tracing: {zipkin: x}
clustres: []
`);
    assert.equal(decoded.config, null);
    assert.deepEqual(problems(decoded), [
      'a.yaml:2:9: admin.adress: unknown key (did you mean address?)',
      'a.yaml:3:10: workers: expected auto, or a whole number from 1 to 256, got "many"',
      'a.yaml:6:14: listeners[0].address: expected an address such as 127.0.0.1:80, [::1]:80, :80 or unix:/path, got "127.0.0.1" (the port is missing: 127.0.0.1:80)',
      'a.yaml:7:15: listeners[0].protocol: expected one of tcp, udp, bolt, http1, auto, or a list of protocols, got "htpp1" (did you mean http1?)',
      'a.yaml:9:42: listeners[0].stream_filters[0].time: expected a duration such as 250ms, 1.5s, 2m or 1h, got 5 (a unit is missing: 5ms or 5s?)',
      'a.yaml:9:53: listeners[0].stream_filters[1].type: expected one of delay, tag, got "dely" (did you mean delay?)',
      'a.yaml:13:13: listeners[1].routes: there is no route table of this name, got "mian" (did you mean main?)',
      'a.yaml:16:24: routes[0].routes[0].cluster: there is no cluster of this name, got "ap" (did you mean app?)',
      'a.yaml:16:40: routes[0].routes[1].terminal: there is no terminal of this name, got "ecko" (did you mean echo?)',
      'a.yaml:16:96: routes[0].routes[2].weighted[1].cluster: there is no cluster of this name, got "bpp" (did you mean app?)',
      'a.yaml:18:52: clusters[0].balancer.type: expected weighted, got "weightd" (did you mean weighted?)',
      'a.yaml:19:12: clusters[1].name: expected a name of lower-case letters, digits, ".", "_" and "-", got "App2" (app2 would be one)',
      'a.yaml:20:11: tracing.zipkin: unknown key (known are exporter, sampling, propagation, trust, inject, always_propagate, service_name, resource)',
      'a.yaml:21:1: clustres: unknown key (did you mean clusters?)',
    ]);
  });

  test('does not take the fault of one object for a missing one', () => {
    const decoded = read(HTTP.replace('hosts:', 'host:'));
    assert.deepEqual(problems(decoded), ['a.yaml:13:5: clusters[0].host: unknown key (did you mean hosts?)']);
  });

  test('is refused by syntax, by a file that is no map, and by variables that are not set', () => {
    assert.match(problems(read('a: [1'))[0]!, /^a\.yaml:1:\d+: /);
    assert.deepEqual(problems(read('- a')), ['a.yaml:1:1: expected a map, got a list']);
    assert.deepEqual(problems(read(HTTP.replace('2045', '${PORT}'))), ['a.yaml:4:14: listeners[0].address: the environment variable PORT is not set (${PORT:-default} gives it a default)']);
  });

  test('refuses what only a later version has, and lets it be there empty', () => {
    for (const key of ['components', 'services']) {
      assert.match(problems(read(`${key}: {a: 1}`))[0]!, new RegExp(`^a\\.yaml:1:\\d+: ${key}: expected nothing: .* not available yet`), key);
      for (const empty of ['', '{}', '[]', 'false']) assert.deepEqual(problems(read(`${key}: ${empty}`)), [], `${key}: ${empty}`);
    }
  });

  test('has traces, off unless the section is there', () => {
    const of = (section: string) => read(`${HTTP}${section}`);
    for (const off of ['', 'tracing:', 'tracing: false']) assert.deepEqual([problems(of(off)), of(off).config!.tracing], [[], null], off);
    const plain = of('tracing: {}').config!.tracing!;
    assert.deepEqual([plain.exporter.url, plain.exporter.interval, plain.sampling, plain.propagation, plain.service_name], ['http://127.0.0.1:4318/v1/traces', 1000, 100, ['w3c', 'b3', 'b3multi', 'sofa'], 'sluice']);
    const short = of('tracing: {exporter: "http://otel:4318", sampling: 5%, propagation: b3}').config!.tracing!;
    assert.deepEqual([short.exporter.url, short.exporter.queue, short.sampling, short.propagation], ['http://otel:4318/v1/traces', 8192, 5, ['b3']]);
    const faults = problems(of('tracing: {exporter: "otel:4318", propagation: [w3d], sampling: 101%}')).map((p) => p.replace(/^a\.yaml:\d+:\d+: /, ''));
    assert.deepEqual(faults, [
      'tracing.exporter: expected the URL of an OTLP receiver, such as http://127.0.0.1:4318/v1/traces, or a map, got "otel:4318"',
      'tracing.propagation[0]: expected one of w3c, b3, b3multi, sofa, got "w3d" (did you mean w3c?)',
      'tracing.sampling: expected a percentage from 0 to 100, such as 20%, got "101%"',
    ]);
  });

  test('has one place for each name and each address', () => {
    const listener = (called: string, address: string, protocol = 'http1'): string => `  - {name: ${called}, address: "${address}", protocol: ${protocol}, cluster: app}\n`;
    const of = (...lines: string[]): string[] => problems(read(`listeners:\n${lines.join('')}clusters: [{name: app, hosts: "10.0.0.1:1"}]\nadmin: 127.0.0.1:7`)).map((p) => p.replace(/^a\.yaml:/, ''));
    assert.deepEqual(of(listener('a', ':1'), listener('a', ':2')), ['3:12: listeners[1].name: a listener of this name stands at listeners[0] already, got "a"']);
    assert.deepEqual(of(listener('a', ':1'), listener('b', '127.0.0.1:1')), ['3:24: listeners[1].address: listener a listens on :1 already, got "127.0.0.1:1"']);
    assert.deepEqual(of(listener('a', '0.0.0.0:1'), listener('b', '[::1]:1')), []);
    assert.deepEqual(of(listener('a', '127.0.0.1:1'), listener('b', '127.0.0.2:1'), listener('c', '127.0.0.1:1', 'udp')), []);
    assert.deepEqual(of(listener('a', ':0'), listener('b', ':0')), []);
    assert.deepEqual(of(listener('a', 'unix:/x'), listener('b', 'unix:/x')).length, 1);
    assert.deepEqual(of(listener('a', ':7')), ['2:24: listeners[0].address: the admin listens on 127.0.0.1:7, got ":7"']);
    assert.deepEqual(problems(read('clusters: [{name: a, hosts: "10.0.0.1:1"}, {name: a, hosts: "10.0.0.1:1"}]')).length, 1);
  });

  test('says what a protocol can and cannot have', () => {
    const of = (rest: string): string[] => problems(read(`listeners: [{name: a, address: ":1", ${rest}}]\nclusters: [{name: app, hosts: "10.0.0.1:1"}]\nroutes: [{name: r, routes: [{cluster: app}]}]`)).map((p) => p.replace(/^a\.yaml:\d+:\d+: listeners\[0\]\.?/, ''));
    assert.deepEqual(of('protocol: http1'), ['routes: is missing, expected the name of a route table, or `cluster` with the name of a cluster']);
    assert.deepEqual(of('protocol: http1, routes: r, cluster: app'), ['cluster: expected only one of routes and cluster, got "app"']);
    assert.deepEqual(of('protocol: tcp'), ['cluster: is missing, expected a cluster to carry the bytes to, or a filter that carries them as the last of network_filters']);
    assert.deepEqual(of('protocol: tcp, cluster: app, stream_filters: [delay]'), ['stream_filters: expected nothing here: protocol tcp has no messages, got a list (it takes `network_filters`)']);
    assert.deepEqual(of('protocol: http1, cluster: app, network_filters: [{type: tcp_proxy, cluster: app}]').length, 1);
    assert.deepEqual(of('protocol: tcp, network_filters: [{type: udp_proxy, cluster: app}]'), ['network_filters[0]: expected a filter for protocol tcp, got a map (udp_proxy carries udp)']);
    assert.deepEqual(of('protocol: tcp, network_filters: [{type: tcp_proxy, cluster: app}, ip_access]'), ['network_filters[0]: expected tcp_proxy as the last filter, got a map']);
    assert.deepEqual(of('protocol: tcp, network_filters: [{type: tcp_proxy, cluster: apq}]'), ['network_filters[0].cluster: there is no cluster of this name, got "apq" (did you mean app?)']);
    assert.deepEqual(of('protocol: http1, cluster: app, lane: fast'), ['lane: there is no lane of this name, got "fast"']);
    assert.deepEqual(of('protocol: http1, cluster: app, options: {max_lin: 1}'), ['options.max_lin: unknown key (did you mean max_line?)']);
  });
});

describe('a reload', () => {
  const before = good(HTTP);

  test('keeps the last good version of what is refused, and takes the rest', () => {
    const decoded = read(HTTP.replace('2045', '2044').replace('hosts: 127.0.0.1:9001', 'host: 127.0.0.1:9002'), before);
    assert.deepEqual(problems(decoded), ['a.yaml:13:5: clusters[0].host: unknown key (did you mean hosts?)']);
    assert.deepEqual(decoded.rejected.map(({ at, problems: list }) => [at, list.length]), [['clusters[0] app', 1]]);
    assert.equal(decoded.config!.listeners[0]!.address.port, 2044);
    assert.deepEqual(decoded.config!.clusters, before.clusters);
    assert.deepEqual(structuredClone(decoded.config), decoded.config);
  });

  test('leaves out what is refused and was not there before, with all that needs it', () => {
    const more = HTTP.replace('routes:\n  - name: main', 'routes:\n  - name: second\n    routes: [{cluster: new}]\n  - name: main').replace('routes: main\n', 'routes: main\n  - {name: more, address: ":3", protocol: http1, routes: second}\n');
    const decoded = read(`${more}  - {name: new, hots: "10.0.0.1:1"}\n`, before);
    assert.deepEqual(problems(decoded), [
      'a.yaml:7:58: listeners[1].routes: the route table was refused itself, and there is no earlier version of it, got "second"',
      'a.yaml:10:24: routes[0].routes[0].cluster: the cluster was refused itself, and there is no earlier version of it, got "new"',
      'a.yaml:17:17: clusters[1].hots: unknown key (did you mean hosts?)',
    ]);
    const { listeners, routes, clusters } = decoded.config!;
    assert.deepEqual([listeners, routes, clusters].map((list) => list.map((object) => object.name)), [['http'], ['main'], ['app']]);
  });

  test('brings back what a kept version refers to', () => {
    // The route table is refused and its former version needs the cluster that the new file no longer has.
    const decoded = read(HTTP.replace('- cluster: app', '- clutser: other').replace('name: app', 'name: other'), before);
    assert.deepEqual(decoded.config!.routes, before.routes);
    assert.deepEqual(decoded.config!.clusters.map((cluster) => cluster.name).sort(), ['app', 'other']);
    const removed = read(HTTP.replace('name: app', 'name: other'), before);
    assert.deepEqual(problems(removed), ['a.yaml:10:18: routes[0].routes[0].cluster: there is no cluster of this name, got "app"']);
    assert.deepEqual(removed.config!.routes, before.routes);
    assert.ok(removed.config!.clusters.some((cluster) => cluster.name === 'app'));
  });

  test('removes nothing while a refused object cannot be told by its name', () => {
    const decoded = read(HTTP.replace('- name: app', '- nmae: app').replace('cluster: app', 'direct_response: {}'), before);
    assert.deepEqual(problems(decoded).length, 2);
    assert.deepEqual(decoded.config!.clusters, before.clusters);
    assert.ok(decoded.config!.routes[0]!.routes![0]!.direct_response !== undefined);
    const whole = read(HTTP.replace(/clusters:[^]*$/, 'clusters: none'), before);
    assert.deepEqual(whole.config!.clusters, before.clusters);
  });

  test('removes what the file no longer has', () => {
    assert.deepEqual(good('', before).listeners, []);
  });

  test('keeps sections, and keeps everything when nothing can be read', () => {
    const with_ = good(`${HTTP}log: {level: debug}\nadmin: :9`);
    const decoded = read(`${HTTP}log: {level: loud}\nadmin: :8`, with_);
    assert.deepEqual([decoded.config!.log.level, decoded.config!.admin.address.port], ['debug', 8]);
    const broken = read('listeners: [', with_);
    assert.equal(broken.config, null);
    assert.equal(broken.rejected[0]!.at, 'a.yaml');
  });

  test('leaves an address with the listener that keeps it', () => {
    const two = HTTP.replace('routes: main\n', 'routes: main\n  - {name: b, address: "127.0.0.1:2046", protocol: http1, cluster: app}\n');
    const first = good(two);
    // http is refused and stays on 2045, so b cannot move there.
    const decoded = read(two.replace('protocol: http1\n', 'protocol: htp1\n').replace('127.0.0.1:2046', '127.0.0.1:2045').replace('127.0.0.1:2045', '127.0.0.1:2044'), first);
    assert.deepEqual(decoded.config!.listeners.map(({ name, address }) => [name, address.port]), [['http', 2045], ['b', 2046]]);
    assert.match(problems(decoded)[1]!, /listener http listens on 127\.0\.0\.1:2045, and keeps it because its newer version was refused/);
  });
});

describe('warnings', () => {
  const loop = `
listeners:
  - {name: a, address: 127.0.0.1:1, protocol: http1, cluster: to-b}
  - {name: b, address: 0.0.0.0:2, protocol: http1, routes: r}
routes:
  - name: r
    routes: [{cluster: to-a, match: {prefix: /x}}, {terminal: echo}]
clusters:
  - {name: to-b, hosts: "127.0.0.1:2"}
  - {name: to-a, hosts: "localhost:1"}
`;

  test('tell of requests that go round in a loop, and not of an upstream in the same process', () => {
    assert.deepEqual(warnings(read(loop)), ['a.yaml:10:25: clusters[1].hosts: requests go round in a loop: listener a -> cluster to-b -> listener b -> cluster to-a -> listener a']);
    assert.deepEqual(warnings(read(loop.replace('{cluster: to-a, match: {prefix: /x}}, ', '').replace(/ {2}- \{name: to-a.*\n/, ''))), []);
    assert.match(warnings(read(HTTP.replace('9001', '2045')))[0]!, /loop: listener http -> cluster app -> listener http$/);
    const tcp = 'listeners: [{name: t, address: "127.0.0.1:1", protocol: tcp, network_filters: [{type: tcp_proxy, cluster: c}]}]\nclusters: [{name: c, hosts: "127.0.0.1:1"}]';
    assert.match(warnings(read(tcp))[0]!, /loop: listener t -> cluster c -> listener t$/);
  });

  test('tell of routes that are never reached, of what nothing uses, and of protocols that do not meet', () => {
    const text = HTTP.replace('- cluster: app', '- cluster: app\n      - {cluster: app, match: {prefix: /a}}').replace('hosts:', 'protocol: bolt\n    hosts:');
    const found = warnings(read(`${text}  - {name: spare, hosts: "10.0.0.1:1"}\n`));
    assert.deepEqual(found, [
      'a.yaml:5:15: listeners[0].protocol: cluster app speaks bolt, which protocol http1 of this listener cannot be carried to (its requests end with no-bridge)',
      'a.yaml:11:9: routes[0].routes[1]: never matches: route 1 takes everything that it would match',
      'a.yaml:16:12: clusters[1].name: no route or listener uses this cluster',
    ]);
    const bridged = text.replace('routes: main', 'routes: main\n    stream_filters: [carry]');
    const carry = (bridges: readonly string[]): string[] => warnings(decode(bridged, 'a.yaml', new Catalog([...manifests, fake('stream-filter', 'carry', undefined, { bridges })])));
    assert.deepEqual([carry(['bolt']).length, carry(['dubbo']).length], [1, 2], 'a filter carries them');
    assert.deepEqual(warnings(read('lanes: [{name: fast}]')), ['a.yaml:1:8: lanes: lanes are not in force yet: every listener runs on all workers']);
  });
});

describe('TLS files', () => {
  test('are seen from the folder of the configuration, and tried', (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-model-'));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    for (const [name, of] of [['a', 'localhost'], ['b', 'client']] as const) for (const [end, from] of [['crt', 'pem'], ['key', 'key']] as const) copyFileSync(`test/support/certs/${of}.${from}`, join(folder, `${name}.${end}`));
    writeFileSync(join(folder, 'empty.crt'), '');
    const text = (cert: string, key: string): string => HTTP.replace('routes: main', `routes: main\n    tls: {certificates: [{cert: ${cert}, key: ${key}}]}`);
    const at = (cert: string, key: string): Decoded => decode(text(cert, key), join(folder, 'a.yaml'), catalog);
    assert.deepEqual(at('a.crt', 'a.key').config!.listeners[0]!.tls!.certificates[0], { cert: join(folder, 'a.crt'), key: join(folder, 'a.key'), names: [] });
    const said = (cert: string, key: string): string => at(cert, key).problems.map((p) => `${p.path}: ${p.expected}`).join('\n').replaceAll(folder, '');
    assert.match(said('a.crt', 'b.key'), /^listeners\[0\]\.tls\.certificates\[0\]\.key: the key does not go with the certificate: /);
    assert.equal(said('none.crt', 'a.key'), 'listeners[0].tls.certificates[0].cert: cannot read /none.crt: ENOENT');
    assert.equal(said('empty.crt', 'a.key'), 'listeners[0].tls.certificates[0].cert: /empty.crt is not in PEM form');
    const reloaded = decode(text('none.crt', 'a.key').replace('2045', '2047'), join(folder, 'a.yaml'), catalog, at('a.crt', 'a.key').config!);
    assert.deepEqual(reloaded.config!.listeners[0]!.address.port, 2045);
    const upstream = decode(HTTP.replace('hosts:', 'tls: {ca: empty.crt}\n    hosts:'), join(folder, 'a.yaml'), catalog);
    assert.deepEqual(upstream.problems.map((p) => p.path), ['clusters[0].tls.ca']);
  });
});

describe('the schema', () => {
  test('states the effect of every option', () => {
    const rows = listOptions(configSchema(catalog));
    assert.ok(rows.length > 80, String(rows.length));
    assert.deepEqual(rows.filter((row) => row.doc === '').map((row) => row.path), []);
  });

  test('is published as JSON Schema, with the options of plug-ins', () => {
    const schema = configJsonSchema(catalog) as { $schema: string; properties: Record<string, { items?: { properties: Record<string, unknown> } }>; additionalProperties: boolean };
    assert.match(schema.$schema, /2020-12/);
    assert.equal(schema.additionalProperties, false);
    assert.deepEqual(Object.keys(schema.properties).sort(), ['access_log', 'admin', 'banner', 'clusters', 'components', 'drain_timeout', 'lanes', 'listeners', 'log', 'memory_limit', 'mesh', 'plugins', 'routes', 'services', 'tracing', 'workers']);
    const filters = JSON.stringify(schema.properties['listeners']!.items!.properties['stream_filters']);
    assert.match(filters, /"type":\{"const":"delay"\}/);
    assert.doesNotThrow(() => JSON.stringify(schema));
  });
});

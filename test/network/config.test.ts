// The network layer's part of the configuration: what is taken in which form, its defaults, and what is refused.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as z from 'zod';
import { listOptions } from '../../src/core/config/options.js';
import { clientTlsSchema, type FilterConfig, listenerShape, serverTlsSchema } from '../../src/network/config.js';
import { filters } from './listener-lab.js';

const listener = z.strictObject(listenerShape(() => z.object({ type: z.string(), options: z.unknown() }) as unknown as z.ZodType<FilterConfig, unknown>));
const tls = (options: object = {}): Record<string, unknown> => serverTlsSchema().parse({ certificates: [{ cert: 'a.pem', key: 'a.key' }], ...options });

function refused(schema: z.ZodType, input: unknown): string[] {
  const result = schema.safeParse(input);
  return result.success ? [] : result.error.issues.map((issue) => (issue.code === 'unrecognized_keys' ? issue.keys.join() : issue.path.join('.')));
}

describe('the section of a listener', () => {
  test('has its defaults', () => {
    assert.deepEqual(listener.parse({ name: 'a', address: ':80' }), {
      name: 'a', address: { host: '', port: 80 }, listener_filters: [], network_filters: [], timeouts: { head: 10_000 }, backlog: 4096, max_connection_age: 0,
    });
  });

  test('refuses what it does not know', () => {
    assert.deepEqual(refused(listener, { name: 'a', address: ':80', backlogs: 1 }), ['backlogs']);
    assert.deepEqual(refused(listener, { name: 'a' }), ['address']);
    assert.deepEqual(refused(listener, { name: 'A!', address: 'nowhere', backlog: 0 }), ['name', 'address', 'backlog']);
  });
});

describe('tls with clients', () => {
  test('takes versions as YAML gives them', () => {
    for (const [written, expected] of [[1.2, '1.2'], ['1.3', '1.3'], ['TLSv1.2', '1.2'], [1, '1.0']] as const) assert.equal(tls({ min_version: written })['min_version'], expected);
    assert.deepEqual([tls()['min_version'], tls()['max_version'], tls()['handshake_timeout'], tls()['client_auth']], ['1.2', '1.3', 10_000, 'none']);
    assert.deepEqual(tls({ alpn: 'h2' })['alpn'], ['h2']);
  });

  test('refuses what cannot work', () => {
    const one = { certificates: [{ cert: 'a', key: 'b' }] };
    assert.deepEqual(refused(serverTlsSchema(), {}), ['certificates']);
    assert.deepEqual(refused(serverTlsSchema(), { certificates: [] }), ['certificates']);
    assert.deepEqual(refused(serverTlsSchema(), { certificates: [{ cert: 'a' }] }), ['certificates.0.key']);
    assert.deepEqual(refused(serverTlsSchema(), { ...one, client_auth: 'required' }), ['ca']);
    assert.deepEqual(refused(serverTlsSchema(), { ...one, min_version: '1.3', max_version: '1.2' }), ['max_version']);
    assert.deepEqual(refused(serverTlsSchema(), { ...one, min_version: '2.0' }), ['min_version']);
    assert.deepEqual(refused(serverTlsSchema(), { ...one, ciphers: 'ECDHE-RSA-AES128-GCM-SHA256:NOT-A-CIPHER' }), ['ciphers']);
    assert.deepEqual(refused(serverTlsSchema(), { ...one, ciphers: 'HIGH:!aNULL:ECDHE-RSA-AES128-GCM-SHA256:ECDHE+AESGCM:@SECLEVEL=2' }), []);
  });
});

describe('tls to hosts', () => {
  test('verifies by default, and decodes what is left out to nothing', () => {
    assert.deepEqual(clientTlsSchema().parse({}), { ca: '', cert: '', key: '', server_name: '', alpn: [], insecure_skip_verify: false, min_version: '1.2', max_version: '1.3', ciphers: '' });
  });

  test('refuses half a pair', () => {
    assert.deepEqual(refused(clientTlsSchema(), { cert: 'a.pem' }), ['cert']);
    assert.deepEqual(refused(clientTlsSchema(), { key: 'a.key' }), ['cert']);
  });
});

describe('the filters', () => {
  const schema = (name: string): z.ZodType => filters.find((one) => one.name === name)!.schema;

  test('that carry bytes lead somewhere', () => {
    for (const name of ['tcp_proxy', 'udp_proxy']) {
      const good: object[] = [
        { cluster: 'a' },
        { weighted: [{ cluster: 'a' }, { cluster: 'b', weight: 0 }] },
        { routes: [{ cluster: 'a' }] },
        { cluster: 'a', routes: [{ source: '10.0.0.0/8, ::1', source_ports: 80, destination: ['127.0.0.1'], destination_ports: '1-2', weighted: [{ cluster: 'b', weight: 5 }] }] },
      ];
      for (const input of good) assert.deepEqual(refused(schema(name), input), [], JSON.stringify(input));
      const bad: [object, string[]][] = [
        [{}, ['']],
        [{ cluster: 'a', weighted: [{ cluster: 'b' }] }, ['']],
        [{ weighted: [{ cluster: 'b', weight: 0 }] }, ['']],
        [{ routes: [{ source: '10.0.0.0/8' }] }, ['routes.0']],
        [{ routes: [{ cluster: 'a', source: '10.0.0.0/99' }] }, ['routes.0.source.0']],
        [{ routes: [{ cluster: 'a', destination_ports: '2-1' }] }, ['routes.0.destination_ports']],
        [{ cluster: 'a', clusters: [] }, ['clusters']],
      ];
      for (const [input, path] of bad) assert.deepEqual(refused(schema(name), input), path, JSON.stringify(input));
    }
  });

  test('name the clusters they lead to, with the way to each', () => {
    const manifest = filters.find((one) => one.name === 'tcp_proxy') as { schema: z.ZodType; clusters?: (options: unknown) => Iterable<{ name: string; path: readonly (string | number)[] }> };
    const options = manifest.schema.parse({ cluster: 'a', routes: [{ cluster: 'b' }, { weighted: [{ cluster: 'c' }, { cluster: 'd' }] }] });
    assert.deepEqual([...manifest.clusters!(options)].map(({ name, path }) => `${name} ${path.join('.')}`), ['a cluster', 'b routes.0.cluster', 'c routes.1.weighted.0.cluster', 'd routes.1.weighted.1.cluster']);
  });

  test('and all sections say of every option what it is for', () => {
    for (const one of [...filters.map((f) => f.schema), listener, serverTlsSchema(), clientTlsSchema()]) {
      for (const row of listOptions(one)) if (!row.path.includes('filters[].')) assert.notEqual(row.doc, '', row.path);
    }
  });

  test('decode to plain data that can be posted to another thread', () => {
    for (const one of filters) {
      const input = one.name.endsWith('_proxy') ? { cluster: 'a', routes: [{ source: '::1', cluster: 'b' }] } : one.name === 'connection_limit' ? { max_connections: 1 } : {};
      const options = one.schema.parse(input);
      assert.deepEqual(structuredClone(options), options);
    }
  });
});

// A catalog of plug-ins that do nothing, for tests of configurations.
import * as z from 'zod';
import { duration, integer, name, option } from '../../src/core/config/schema.js';
import { Catalog, type Manifest } from '../../src/core/manifest.js';
import { manifest as weighted } from '../../src/network/upstream/balancer/weighted/manifest.js';

export function fake(kind: string, called: string, schema: z.ZodType = z.strictObject({}), more: object = {}): Manifest {
  return { kind, name: called, doc: `Does what ${called} does.`, schema, create: () => ({}), ...more } as Manifest;
}

const carrier = z.strictObject({ cluster: option(name(), { doc: 'Cluster.' }) });
const clusters = (options: unknown) => [{ name: (options as { cluster: string }).cluster, path: ['cluster'] }];

export const manifests: readonly Manifest[] = [
  weighted,
  fake('discovery', 'static'),
  fake('discovery', 'dns'),
  fake('protocol', 'http1', z.strictObject({ max_line: option(integer(1, 100_000), { default: 8192, doc: 'Longest line.' }) })),
  fake('protocol', 'bolt'),
  fake('terminal', 'echo'),
  fake('stream-filter', 'delay', z.strictObject({ time: option(duration(100), { doc: 'How long. Default 100 ms.' }) })),
  fake('stream-filter', 'tag', z.strictObject({ value: option(name(), { doc: 'What.' }) })),
  fake('network-filter', 'ip_access', z.looseObject({}), { role: 'gate' }),
  fake('network-filter', 'tcp_proxy', carrier, { role: 'tcp', clusters }),
  fake('network-filter', 'udp_proxy', carrier, { role: 'udp', clusters }),
  fake('listener-filter', 'proxy_protocol'),
];

export const catalog = new Catalog(manifests);

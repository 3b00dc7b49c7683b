// The discovery dns: names of the configuration are resolved again and again, each in its own time.
import * as z from 'zod';
import { duration, oneOf, option } from '../../../../core/config/schema.js';
import type { DiscoveryManifest } from '../../discovery.js';
import { DnsDiscovery, type DnsOptions } from './resolve.js';

const schema = z.strictObject({
  family: option(oneOf(['auto', 'v4', 'v6']), { default: 'auto' as const, doc: 'Addresses used: IPv4, IPv6, or auto, the default: IPv4, and IPv6 for a name that has none.' }),
  refresh_min: option(duration(1000, 100), { doc: 'A name is asked for again when its time to live has passed, but not before this time. Default 1 s.' }),
  refresh_max: option(duration(300_000, 100), { doc: 'A name is asked for again after this time at the latest, however long it may live. Default 5 min.' }),
  retry_min: option(duration(1000, 100), { doc: 'Time to the next try after a failure; it doubles with each further one. Default 1 s.' }),
  retry_max: option(duration(30_000, 100), { doc: 'Longest time between tries while a name fails. Default 30 s.' }),
});

export const manifest: DiscoveryManifest = {
  kind: 'discovery',
  name: 'dns',
  doc: 'Every address of every name; the cluster is empty until a name resolves, and keeps its hosts while DNS fails.',
  schema,
  create: (options, hosts, cluster) => new DnsDiscovery(options as DnsOptions, hosts, cluster),
};

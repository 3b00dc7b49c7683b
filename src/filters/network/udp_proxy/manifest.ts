// The network filter udp_proxy: carries datagrams to a host of a cluster and the answers back, a session for each client address.
import * as z from 'zod';
import { duration, integer, option } from '../../../core/config/schema.js';
import { type ClusterRouteConfig, clusterRouteShape, clustersIn, leadsSomewhere } from '../../../network/cluster-route.js';
import type { NetworkFilterManifest } from '../../../network/filter.js';
import { UdpProxy, type UdpProxyConfig } from './proxy.js';

const schema = z
  .strictObject({
    ...clusterRouteShape,
    idle_timeout: option(duration(60_000, 1), { doc: 'Time without a datagram in either direction after which a session ends. Default 60 s.' }),
    max_sessions: option(integer(1, 1_000_000), { default: 10_000, doc: 'Most sessions at a time in each worker; datagrams of further clients are dropped and counted. Default 10000.' }),
  })
  .refine(leadsSomewhere, { message: 'one of cluster and weighted, or routes' });

export const manifest: NetworkFilterManifest = {
  kind: 'network-filter',
  role: 'udp',
  name: 'udp_proxy',
  doc: 'Carries datagrams to a host of a cluster and the answers back, a session for each client address.',
  schema,
  create: (options, context) => new UdpProxy(options as UdpProxyConfig, context),
  clusters: (options) => clustersIn(options as ClusterRouteConfig),
};

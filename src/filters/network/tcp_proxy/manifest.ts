// The network filter tcp_proxy: carries the bytes of a connection to a host of a cluster and back.
import * as z from 'zod';
import { duration, integer, option } from '../../../core/config/schema.js';
import { type ClusterRouteConfig, clusterRouteShape, clustersIn, leadsSomewhere } from '../../../network/cluster-route.js';
import type { NetworkFilterManifest } from '../../../network/filter.js';
import { TcpProxy, type TcpProxyConfig } from './proxy.js';

const schema = z
  .strictObject({
    ...clusterRouteShape,
    idle_timeout: option(duration(0), { doc: 'Time without a byte in either direction after which both connections are closed. Default 0: never; a peer that is gone is found by TCP keep-alives.' }),
    keep_alive: option(duration(30_000), { doc: 'Quiet time after which the system begins to send TCP keep-alives to the client. Default 30 s; 0 for none.' }),
    max_connect_attempts: option(integer(1, 100), { default: 3, doc: 'Most hosts that are tried for one connection; each has the connect_timeout of the cluster. Default 3.' }),
  })
  .refine(leadsSomewhere, { message: 'one of cluster and weighted, or routes' });

export const manifest: NetworkFilterManifest = {
  kind: 'network-filter',
  role: 'tcp',
  name: 'tcp_proxy',
  doc: 'Carries the bytes of a connection to a host of a cluster and back.',
  schema,
  create: (options, context) => new TcpProxy(options as TcpProxyConfig, context),
  clusters: (options) => clustersIn(options as ClusterRouteConfig),
};

// How a listener is configured as far as the network layer goes; the stream layer's part is put beside it where both are known.
import * as z from 'zod';
import { type Address, address, duration, integer, name, option, section } from '../core/config/schema.js';
import { serverTlsSchema, type ServerTlsConfig } from './tls-config.js';

export { type ClientTlsConfig, clientTlsSchema, type ServerTlsConfig, serverTlsSchema } from './tls-config.js';

/** A filter as it is used in one place: the plug-in's name, and its options as its own schema decoded them. */
export interface FilterConfig {
  readonly type: string;
  readonly options: unknown;
}

/** The options of a listener; `filter` gives the schema of a place where a filter of a kind is named. */
export function listenerShape(filter: (kind: 'listener-filter' | 'network-filter') => z.ZodType<FilterConfig, unknown>) {
  return {
    name: option(name(), { doc: 'Name of the listener in logs, metrics and the admin.' }),
    address: option(address(), { doc: 'Where it listens: 127.0.0.1:80, [::1]:80, :80 for every address of the machine, or unix:/path.' }),
    tls: option(serverTlsSchema(), { optional: true, doc: 'TLS with the clients. Default: none.' }),
    listener_filters: option(z.array(filter('listener-filter')), { default: [], doc: 'Filters that see the first bytes of a connection, before TLS, in this order: proxy_protocol, tls_inspector.' }),
    network_filters: option(z.array(filter('network-filter')), { default: [], doc: 'Filters that let clients in or not (ip_access, connection_limit), in this order; with protocol tcp or udp the last one carries the bytes (tcp_proxy, udp_proxy).' }),
    timeouts: section(
      {
        head: option(duration(10_000), { doc: 'Time for the head of a request to arrive. Default 10 s; 0 for none.' }),
        idle: option(duration(), { optional: true, doc: "Time after which a connection without an exchange is closed. Default: the protocol's, 90 s for HTTP and none for RPC with heartbeats." }),
      },
      'How long clients may take.',
    ),
    backlog: option(integer(1, 65_535), { default: 4096, doc: 'Connections that the system completes before they are accepted; it has a limit of its own (net.core.somaxconn). Default 4096.' }),
    max_connection_age: option(duration(0), { doc: 'Age, varied by a tenth, at which a client is asked to connect anew, so that load moves to new instances; where the protocol has no way to ask, the connection ends when it has been quiet for a second. Default 0: never.' }),
  };
}

/** What the network layer reads of a listener's configuration; plain data, times in ms. */
export interface ListenerConfig {
  readonly name: string;
  readonly address: Address;
  /** `tcp` and `udp` are carried by network filters; anything else is the stream layer's. */
  readonly protocol: string;
  /** With tcp and udp: short for the filter that carries everything to this cluster; '' for none. */
  readonly cluster?: string | undefined;
  /** The cluster that gets connections of none of several protocols, as bytes; '' for none. */
  readonly fallback?: string | undefined;
  readonly tls?: ServerTlsConfig | null | undefined;
  readonly listener_filters?: readonly FilterConfig[] | undefined;
  readonly network_filters?: readonly FilterConfig[] | undefined;
  readonly backlog?: number | undefined;
  readonly max_connection_age?: number | undefined;
}

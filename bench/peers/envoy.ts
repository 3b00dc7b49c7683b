// Envoy with one worker: HTTP connection manager and router, dubbo_proxy, or tcp_proxy.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort, waitForPort } from '../site.js';
import { logFile, ProcessSubject, START_LIMIT_MS, type SubjectKind, type SubjectOptions } from '../subject.js';
import { ENVOY, findEnvoy } from './install.js';

const TYPE = 'type.googleapis.com/envoy.extensions';

const HTTP_LINE =
  '%START_TIME% %DOWNSTREAM_REMOTE_ADDRESS% "%REQ(:METHOD)% %REQ(:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_SENT% %DURATION% %UPSTREAM_HOST%\n';
const TCP_LINE = '%START_TIME% %DOWNSTREAM_REMOTE_ADDRESS% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %UPSTREAM_HOST%\n';

function accessLog(on: boolean, file: string, line: string): object[] {
  if (!on) return [];
  const format = { text_format_source: { inline_string: line } };
  return [{ name: 'file', typed_config: { '@type': `${TYPE}.access_loggers.file.v3.FileAccessLog`, path: file, log_format: format } }];
}

function httpFilter(log: boolean, file: string, http2: boolean): object {
  return {
    name: 'http',
    typed_config: {
      '@type': `${TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
      stat_prefix: 'in',
      codec_type: http2 ? 'HTTP2' : 'HTTP1',
      generate_request_id: log,
      access_log: accessLog(log, file, HTTP_LINE),
      route_config: { virtual_hosts: [{ name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'backend' } }] }] },
      http_filters: [{ name: 'router', typed_config: { '@type': `${TYPE}.filters.http.router.v3.Router` } }],
    },
  };
}

function tcpFilter(log: boolean, file: string): object {
  return {
    name: 'tcp',
    typed_config: {
      '@type': `${TYPE}.filters.network.tcp_proxy.v3.TcpProxy`,
      stat_prefix: 'in',
      cluster: 'backend',
      access_log: accessLog(log, file, TCP_LINE),
    },
  };
}

/** It has no access log of its own; that of its listener tells of connections, of which there are few. One attachment is looked at. */
function dubboFilter(): object {
  const route = (headers: object[]): object => ({ match: { method: { name: { exact: 'hello' } }, headers }, route: { cluster: 'backend' } });
  return {
    name: 'dubbo',
    typed_config: {
      '@type': `${TYPE}.filters.network.dubbo_proxy.v3.DubboProxy`,
      stat_prefix: 'in',
      protocol_type: 'Dubbo',
      serialization_type: 'Hessian2',
      route_config: [
        { name: 'all', interface: 'com.example.EchoService', routes: [route([{ name: 'x-env', string_match: { exact: 'gray' } }]), route([])] },
      ],
    },
  };
}

/** Hosts are spoken to in HTTP/2 as well. */
const UPSTREAM_HTTP2 = {
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': { '@type': `${TYPE}.upstreams.http.v3.HttpProtocolOptions`, explicit_http_config: { http2_protocol_options: {} } },
};

const address = (port: number): object => ({ socket_address: { address: '127.0.0.1', port_value: port } });

function config(port: number, { mode, upstreams, log }: SubjectOptions, file: string): object {
  const filter = mode === 'http' || mode === 'http2' ? httpFilter(log, file, mode === 'http2') : mode === 'dubbo' ? dubboFilter() : tcpFilter(log, file);
  const many = { max_connections: 100_000, max_pending_requests: 100_000, max_requests: 100_000 };
  return {
    static_resources: {
      listeners: [{ name: 'in', address: address(port), tcp_backlog_size: 4096, filter_chains: [{ filters: [filter] }] }],
      clusters: [
        {
          name: 'backend',
          type: 'STATIC',
          connect_timeout: '3s',
          circuit_breakers: { thresholds: [many] },
          ...(mode === 'http2' ? { typed_extension_protocol_options: UPSTREAM_HTTP2 } : {}),
          load_assignment: {
            cluster_name: 'backend',
            endpoints: [{ lb_endpoints: upstreams.map((upstream) => ({ endpoint: { address: address(upstream) } })) }],
          },
        },
      ],
    },
  };
}

export const envoy: SubjectKind = {
  name: 'envoy',
  find: async (install) => findEnvoy(install),
  async start(options) {
    const port = await freePort();
    const { site } = options;
    const base = join(site.dir, `envoy-${port}`);
    const file = logFile(site, 'envoy', port, options.discardLog);
    writeFileSync(`${base}.json`, JSON.stringify(config(port, options, file)));
    const line = [ENVOY, '-c', `${base}.json`, '--concurrency', '1', '--disable-hot-restart', '--log-level', 'error'];
    const started = site.start('envoy', line, { core: site.proxyCore });
    await waitForPort(started, port, START_LIMIT_MS);
    return new ProcessSubject(started, port, file);
  },
};

// The one list of built-in plug-ins: a line for each manifest, whose order does not matter.
import { manifest as proxyProtocol } from './filters/listener/proxy_protocol/manifest.js';
import { manifest as tlsInspector } from './filters/listener/tls_inspector/manifest.js';
import { manifest as connectionLimit } from './filters/network/connection_limit/manifest.js';
import { manifest as ipAccess } from './filters/network/ip_access/manifest.js';
import { manifest as tcpProxy } from './filters/network/tcp_proxy/manifest.js';
import { manifest as udpProxy } from './filters/network/udp_proxy/manifest.js';
import { manifest as grpcJson } from './filters/stream/grpc_json/manifest.js';
import { manifest as grpcWeb } from './filters/stream/grpc_web/manifest.js';
import { manifest as httpBolt } from './filters/stream/http_bolt/manifest.js';
import { manifest as httpDubbo } from './filters/stream/http_dubbo/manifest.js';
import { manifest as echo } from './filters/terminal/echo/manifest.js';
import { manifest as leastRequest } from './network/upstream/balancer/least_request/manifest.js';
import { manifest as random } from './network/upstream/balancer/random/manifest.js';
import { manifest as roundRobin } from './network/upstream/balancer/round_robin/manifest.js';
import { manifest as weighted } from './network/upstream/balancer/weighted/manifest.js';
import { manifest as dns } from './network/upstream/discovery/dns/manifest.js';
import { manifest as file } from './network/upstream/discovery/file/manifest.js';
import { manifest as memory } from './network/upstream/discovery/memory/manifest.js';
import { manifest as staticHosts } from './network/upstream/discovery/static/manifest.js';
import { manifest as bolt } from './stream/protocol/bolt/manifest.js';
import { manifest as dubbo } from './stream/protocol/dubbo/manifest.js';
import { manifest as dubboThrift } from './stream/protocol/dubbo-thrift/manifest.js';
import { manifest as http1 } from './stream/protocol/http1/manifest.js';
import { manifest as http2 } from './stream/protocol/http2/manifest.js';
import { manifest as tars } from './stream/protocol/tars/manifest.js';
import { manifest as thrift } from './stream/protocol/thrift/manifest.js';

export const catalog = [
  proxyProtocol, tlsInspector, connectionLimit, ipAccess, tcpProxy, udpProxy, grpcJson, grpcWeb, httpBolt, httpDubbo, echo, leastRequest, random, roundRobin, weighted, dns, file, memory, staticHosts, bolt, dubbo, dubboThrift, http1, http2, tars, thrift,
];

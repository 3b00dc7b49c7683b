// HTTP/1.1: GETs with a 128-byte reply over 64 kept-alive connections.
import { envoy } from '../peers/envoy.js';
import { haproxy } from '../peers/haproxy.js';
import { nginx } from '../peers/nginx.js';
import type { Path, Workload } from './contract.js';

/** Also the yardstick of other protocols: nginx's CPU time for one of these requests. */
export const http64: Workload = { name: 'http 64', load: ['http', '--connections', '64'], unit: 'request' };
export const httpBackend: readonly string[] = ['http', '--size', '128'];

export const path: Path = {
  name: 'http',
  summary: 'HTTP/1.1, 64 connections, beside nginx, HAProxy and Envoy',
  lanes: [{ backend: httpBackend, mode: 'http', config: 'configs/http.yaml', peers: [nginx, haproxy, envoy], workloads: [http64] }],
  bars: [
    { workload: http64.name, measure: 'cpu', times: 0.8, peer: 'envoy' },
    { workload: http64.name, measure: 'cpu', times: 1.7, peer: 'nginx' },
  ],
};

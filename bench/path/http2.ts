// HTTP/2 in clear on both sides, and gRPC unary calls over it: 16 connections x 32 streams and 64 x 1, beside Envoy.
import { envoy } from '../peers/envoy.js';
import type { Path, Workload } from './contract.js';

const many = ['--connections', '16', '--outstanding', '32'];
const single = ['--connections', '64', '--outstanding', '1'];
const get16x32: Workload = { name: 'h2 16x32', load: ['h2', ...many], unit: 'request' };
const get64x1: Workload = { name: 'h2 64x1', load: ['h2', ...single], unit: 'request' };
const call16x32: Workload = { name: 'grpc 16x32', load: ['grpc', '--size', '100', ...many], unit: 'request' };
const call64x1: Workload = { name: 'grpc 64x1', load: ['grpc', '--size', '100', ...single], unit: 'request' };

const config = 'configs/http2.yaml';

export const path: Path = {
  name: 'http2',
  summary: 'HTTP/2 in clear and gRPC unary, 16 connections x 32 streams and 64 x 1, beside direct and Envoy',
  lanes: [
    { backend: ['h2', '--size', '128'], mode: 'http2', config, peers: [envoy], workloads: [get16x32, get64x1] },
    { backend: ['grpc', '--size', '100'], mode: 'http2', config, peers: [envoy], workloads: [call16x32, call64x1] },
  ],
  bars: [
    { workload: get16x32.name, measure: 'cpu', times: 0.25, peer: 'envoy' },
    { workload: get64x1.name, measure: 'cpu', times: 0.7, peer: 'envoy' },
    { workload: call16x32.name, measure: 'cpu', times: 0.25, peer: 'envoy' },
    { workload: call64x1.name, measure: 'cpu', times: 0.7, peer: 'envoy' },
  ],
};

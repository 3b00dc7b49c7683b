// TCP: 64 connections of ping-pong with 100 bytes, and bulk over 4 connections in each direction.
import { envoy } from '../peers/envoy.js';
import { haproxy } from '../peers/haproxy.js';
import { nginx } from '../peers/nginx.js';
import type { Bar, Lane, Path, Workload } from './contract.js';

const pingPong: Workload = { name: 'ping-pong', load: ['echo', '--connections', '64', '--size', '100'], unit: 'request' };
const down: Workload = { name: 'bulk down', load: ['bulk', '--connections', '4'], unit: 'MB' };
const up: Workload = { name: 'bulk up', load: ['bulk', '--connections', '4', '--up'], unit: 'MB' };

const lane = (backend: string, workload: Workload): Lane => ({
  backend: [backend],
  mode: 'tcp',
  config: 'configs/tcp.yaml',
  peers: [nginx, haproxy, envoy],
  workloads: [workload],
});

const bulkBars = (workload: string): Bar[] => [
  { workload, measure: 'cpu', times: 1.35, peer: 'nginx' },
  { workload, measure: 'rate', times: 0.8, peer: 'nginx' },
];

export const path: Path = {
  name: 'tcp',
  summary: 'TCP ping-pong and bulk, beside nginx, HAProxy and Envoy',
  lanes: [lane('echo', pingPong), lane('source', down), lane('sink', up)],
  bars: [{ workload: pingPong.name, measure: 'cpu', times: 1.35, peer: 'haproxy' }, ...bulkBars(down.name), ...bulkBars(up.name)],
};

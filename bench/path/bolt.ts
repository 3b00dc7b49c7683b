// Bolt v1: calls with a 100-byte body, multiplexed and one at a time; no peer speaks it, so nginx's HTTP is the yardstick.
import { nginx } from '../peers/nginx.js';
import type { Path, Workload } from './contract.js';
import { http64, httpBackend } from './http.js';

const call = ['bolt', '--size', '100'];
const many: Workload = { name: 'bolt 16x16', load: [...call, '--connections', '16', '--outstanding', '16'], unit: 'request' };
const single: Workload = { name: 'bolt 64x1', load: [...call, '--connections', '64', '--outstanding', '1'], unit: 'request' };

export const path: Path = {
  name: 'bolt',
  summary: 'Bolt, 16 connections x 16 outstanding and 64 x 1, beside direct and nginx with HTTP',
  lanes: [
    { backend: ['bolt'], mode: 'tcp', config: 'configs/bolt.yaml', peers: [], workloads: [many, single] },
    { backend: httpBackend, mode: 'http', peers: [nginx], workloads: [http64] },
  ],
  bars: [
    { workload: many.name, measure: 'cpu', times: 0.25, peer: 'nginx', peerWorkload: http64.name },
    { workload: single.name, measure: 'cpu', times: 1.25, peer: 'nginx', peerWorkload: http64.name },
  ],
};

// Dubbo: calls of a Java client with a 100-byte argument and eight attachments, one of which the routes look at.
import { envoy } from '../peers/envoy.js';
import type { Path, Workload } from './contract.js';

const call = ['dubbo', '--size', '100', '--service', 'com.example.EchoService'];
const many: Workload = { name: 'dubbo 16x16', load: [...call, '--connections', '16', '--outstanding', '16'], unit: 'request' };
const single: Workload = { name: 'dubbo 64x1', load: [...call, '--connections', '64', '--outstanding', '1'], unit: 'request' };

export const path: Path = {
  name: 'dubbo',
  summary: 'Dubbo, 16 connections x 16 outstanding and 64 x 1, routed by an attachment, beside direct and Envoy\'s dubbo_proxy',
  lanes: [{ backend: ['dubbo'], mode: 'dubbo', config: 'configs/dubbo.yaml', peers: [envoy], workloads: [many, single] }],
  bars: [{ workload: many.name, measure: 'cpu', times: 0.2, peer: 'envoy' }],
};

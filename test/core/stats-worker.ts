// The worker of stats.test.ts: posts its statistics and counts what it is told to.
import { parentPort } from 'node:worker_threads';
import { Stats } from '../../src/core/stats.js';

const stats = new Stats();
stats.onSegment = (update) => parentPort!.postMessage(update);
const counter = stats.counter('requests_total', 'Requests.', { cluster: 'a' });
const active = stats.gauge('active', 'Active.');
const times = stats.histogram('time_seconds', 'Times.');

parentPort!.on('message', (n: number) => {
  counter.add(n);
  active.set(n);
  for (let i = 0; i < n; i++) times.record(3);
  parentPort!.postMessage('done');
});

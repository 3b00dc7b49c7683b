// A process that is not there: operations with a state of their own, for tests of what offers them.
import type { ClusterState, ConfigState, ListenerState, Operations, ReadyState, WorkerState } from '../../src/control/operations.js';

export class FakeOperations implements Operations {
  readonly version = '9.8.7';
  readonly startedAt = Date.now() - 61_500;
  state: ReadyState = { ready: true, waiting: [] };
  configState: ConfigState = { wanted: 3, running: 3, file: '/etc/sluice.yaml', effective: { clusters: [{ name: 'app', password: 'hush' }] }, rejected: null };
  level = 'info';
  problems: readonly string[] = [];
  readonly calls: string[] = [];
  failure: Error | null = null;
  readonly listenerList: ListenerState[] = [{ name: 'http', address: '127.0.0.1:2045', protocol: 'http1', state: 'listening', connections: 2, error: '' }];
  readonly clusterList: ClusterState[] = [
    {
      name: 'app',
      protocol: 'http1',
      discovery: 'static',
      lastError: '',
      hosts: [
        { address: '127.0.0.1:9001', hostname: '127.0.0.1:9001', weight: 1, healthy: true, cause: '', active: 3, connections: 4 },
        { address: '127.0.0.1:9002', hostname: 'b.example', weight: 5, healthy: false, cause: 'refused <b>', active: 0, connections: 0 },
      ],
      levels: { connections: 4, pending: 0, requests: 3, retries: 0 },
      limits: { connections: 1024, pending: 1024, requests: 0, retries: 0 },
    },
  ];
  readonly workerList: WorkerState[] = [{ id: 1, state: 'running', version: 3, heapUsed: 20 * 1024 * 1024, connections: 6 }];

  ready(): ReadyState {
    return this.state;
  }
  config(): ConfigState {
    return this.configState;
  }
  async listeners(): Promise<readonly ListenerState[]> {
    if (this.failure !== null) throw this.failure;
    return this.listenerList;
  }
  async clusters(): Promise<readonly ClusterState[]> {
    return this.clusterList;
  }
  async connections(limit: number) {
    this.calls.push(`connections ${limit}`);
    const one = { id: 7, worker: 1, side: 'downstream' as const, owner: 'http', remote: '127.0.0.1:5000', local: '127.0.0.1:2045', protocol: 'http1', ageMs: 90_000, active: 1, received: 10, sent: 20, unsent: 0 };
    return [one];
  }
  async workers(): Promise<readonly WorkerState[]> {
    return this.workerList;
  }
  counters(): Record<string, number> {
    return { 'sluice_cluster_requests_total{cluster="app"}': 12, 'sluice_listener_requests_total{listener="http"}': 13 };
  }
  async metrics(): Promise<string> {
    return '# HELP x Help.\nsluice_x 1\n';
  }
  logLevel(): string {
    return this.level;
  }
  setLogLevel(level: string): boolean {
    if (!['debug', 'info'].includes(level)) return false;
    this.level = level;
    return true;
  }
  async reload(): Promise<readonly string[]> {
    this.calls.push('reload');
    return this.problems;
  }
  async drain(): Promise<void> {
    this.calls.push('drain');
  }
  async stop(deadlineMs?: number): Promise<void> {
    this.calls.push(`stop ${deadlineMs}`);
    this.onStop();
  }
  onStop: () => void = () => {};
}

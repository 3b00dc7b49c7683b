// The series of a cluster and of its hosts, made when they appear and given back when they go.
import type { Counter, Gauge, Histogram, Stats } from '../../core/stats.js';


export class ClusterStats {
  readonly requests: Counter;
  readonly replies_1xx: Counter;
  readonly replies_2xx: Counter;
  readonly replies_3xx: Counter;
  readonly replies_4xx: Counter;
  readonly replies_5xx: Counter;
  readonly retries: Counter;
  readonly retry_overflow: Counter;
  readonly timeouts: Counter;
  readonly connects: Counter;
  readonly connect_failures: Counter;
  readonly connect_timeouts: Counter;
  readonly resets: Counter;
  readonly breaker_open: Counter;
  readonly no_host: Counter;
  readonly active_requests: Gauge;
  readonly active_connections: Gauge;
  readonly pending: Gauge;
  readonly request_seconds: Histogram;
  private readonly all: (Counter | Gauge | Histogram)[] = [];
  private readonly owner: Stats;

  constructor(stats: Stats, cluster: string) {
    const labels = { cluster };
    const counter = (name: string, help: string, more: Record<string, string> = {}): Counter => {
      const made = stats.counter(`sluice_cluster_${name}`, help, { ...labels, ...more });
      this.all.push(made);
      return made;
    };
    const gauge = (name: string, help: string): Gauge => {
      const made = stats.gauge(`sluice_cluster_${name}`, help, labels);
      this.all.push(made);
      return made;
    };
    this.owner = stats;
    this.requests = counter('requests_total', 'Requests sent to a host of the cluster, each try counted.');
    const replies = (group: string): Counter => counter('replies_total', 'Replies of hosts by the first digit of their status.', { status: group });
    this.replies_1xx = replies('1xx');
    this.replies_2xx = replies('2xx');
    this.replies_3xx = replies('3xx');
    this.replies_4xx = replies('4xx');
    this.replies_5xx = replies('5xx');
    this.retries = counter('retries_total', 'Tries after the first.');
    this.retry_overflow = counter('retry_overflow_total', 'Retries not made because of the limit or the budget of retries.');
    this.timeouts = counter('timeouts_total', 'Requests that got no reply in time.');
    this.connects = counter('connects_total', 'Connections begun.');
    this.connect_failures = counter('connect_failures_total', 'Connections that were refused, timed out or failed in their TLS handshake.');
    this.connect_timeouts = counter('connect_timeouts_total', 'Connections not accepted within connect_timeout.');
    this.resets = counter('resets_total', 'Requests that lost their connection before the reply was complete.');
    this.breaker_open = counter('breaker_open_total', 'Times a limit of the breaker refused a connection, a request, a place in a queue or a retry.');
    this.no_host = counter('no_host_total', 'Times no host could be picked.');
    this.active_requests = gauge('active_requests', 'Requests in flight.');
    this.active_connections = gauge('active_connections', 'Connections to hosts.');
    this.pending = gauge('pending_requests', 'Requests that wait for a connection.');
    this.request_seconds = stats.histogram('sluice_cluster_request_seconds', 'Time from the request being sent to the end of its reply.', labels);
    this.all.push(this.request_seconds);
  }

  /** Counts a reply by its HTTP-like status. */
  reply(status: number): void {
    if (status < 200) this.replies_1xx.inc();
    else if (status < 300) this.replies_2xx.inc();
    else if (status < 400) this.replies_3xx.inc();
    else if (status < 500) this.replies_4xx.inc();
    else this.replies_5xx.inc();
  }

  release(): void {
    for (const series of this.all) this.owner.release(series);
    this.all.length = 0;
  }
}

export class HostStats {
  readonly requests: Counter;
  /** Replies of status 500 and above, and requests that ended without a reply. */
  readonly errors: Counter;
  readonly connect_failures: Counter;
  private readonly owner: Stats;

  constructor(stats: Stats, cluster: string, host: string) {
    const labels = { cluster, host };
    this.owner = stats;
    this.requests = stats.counter('sluice_host_requests_total', 'Requests sent to the host, each try counted.', labels);
    this.errors = stats.counter('sluice_host_errors_total', 'Replies of status 500 and above, and requests that ended without a reply.', labels);
    this.connect_failures = stats.counter('sluice_host_connect_failures_total', 'Connections to the host that failed.', labels);
  }

  release(): void {
    this.owner.release(this.requests);
    this.owner.release(this.errors);
    this.owner.release(this.connect_failures);
  }
}

// What a listener counts about connections before and beside what they carry.
import type { ReasonCode } from '../core/reason.js';
import type { Counter, Gauge, Stats } from '../core/stats.js';

export class ListenerCounters {
  readonly accepted: Counter;
  readonly open: Gauge;
  readonly acceptErrors: Counter;
  readonly handshakeErrors: Counter;
  readonly filterErrors: Counter;
  private readonly refused = new Map<string, Counter>();
  private readonly stats: Stats;
  private readonly labels: { readonly listener: string };

  constructor(stats: Stats, listener: string) {
    this.stats = stats;
    this.labels = { listener };
    this.accepted = stats.counter('sluice_listener_accepted_total', 'Connections accepted.', this.labels);
    this.open = stats.gauge('sluice_listener_open_connections', 'Connections that are open, those in their handshake included.', this.labels);
    this.acceptErrors = stats.counter('sluice_listener_accept_errors_total', 'Times that the system could not accept a connection.', this.labels);
    this.handshakeErrors = stats.counter('sluice_listener_handshake_errors_total', 'TLS handshakes with clients that failed.', this.labels);
    this.filterErrors = stats.counter('sluice_listener_first_bytes_errors_total', 'Connections that a listener filter refused or that ended before it was done.', this.labels);
  }

  refusal(code: ReasonCode): void {
    let counter = this.refused.get(code);
    if (counter === undefined) {
      counter = this.stats.counter('sluice_listener_refused_total', 'Connections and sessions that a network filter did not let in, by reason.', { ...this.labels, reason: code });
      this.refused.set(code, counter);
    }
    counter.inc();
  }
}

// Keeps the addresses of a cluster's names fresh: time to live within bounds, backoff on failure, and nothing lost while DNS fails.
import { isIP } from 'node:net';
import { clock, now } from '../../../../core/clock.js';
import { showAddress, type HostConfig } from '../../../../core/config/schema.js';
import { resolver, type DnsAnswer, type DnsFamily } from '../../../../core/dns.js';
import { log } from '../../../../core/log.js';
import { random } from '../../../../core/random.js';
import { foundHost, type Discovery, type DiscoverySink, type DiscoverySource, type DiscoveryState, type FoundHost } from '../../discovery.js';

export interface DnsOptions {
  readonly family: DnsFamily;
  readonly refresh_min: number;
  readonly refresh_max: number;
  readonly retry_min: number;
  readonly retry_max: number;
}

/** A name is believed to be gone, and its hosts are removed, once so many answers in a row said that it does not exist. */
const GONE_AFTER = 2;
const NOT_FOUND = new Set(['ENOTFOUND', 'ENODATA']);

/** One configured host: a name that is asked for, or an address that is what it is. */
class Source {
  config: HostConfig;
  addresses: readonly string[] = [];
  settled = false;
  error = '';
  failures = 0;
  notFound = 0;
  /** Monotonic time of the next question, Infinity for never, NaN while one is under way. */
  due = NaN;
  timer: unknown = null;
  closed = false;

  constructor(config: HostConfig) {
    this.config = config;
  }

  get name(): string {
    return showAddress(this.config.address);
  }
}

export class DnsDiscovery implements Discovery {
  private readonly options: DnsOptions;
  private readonly sources = new Map<string, Source>();
  private hosts: readonly HostConfig[];
  private sink: DiscoverySink | null = null;
  private readonly log;

  constructor(options: DnsOptions, hosts: readonly HostConfig[], cluster: string) {
    this.options = options;
    this.hosts = hosts;
    this.log = log.child('dns').child(cluster);
  }

  start(sink: DiscoverySink): void {
    this.sink = sink;
    this.update(this.hosts);
  }

  update(hosts: readonly HostConfig[]): void {
    this.hosts = hosts;
    if (this.sink === null) return;
    const wanted = new Map(hosts.map((host) => [showAddress(host.address), host]));
    for (const [key, source] of this.sources) {
      if (wanted.has(key)) continue;
      this.sources.delete(key);
      this.stop(source);
    }
    const added: Source[] = [];
    for (const [key, config] of wanted) {
      const known = this.sources.get(key);
      if (known !== undefined) {
        known.config = config;
        continue;
      }
      const source = new Source(config);
      this.sources.set(key, source);
      const { host, path } = config.address;
      if (path === undefined && isIP(host) === 0) {
        added.push(source);
      } else {
        source.addresses = [host];
        source.settled = true;
        source.due = Infinity;
      }
    }
    this.tell();
    for (const source of added) this.ask(source);
  }

  state(): DiscoveryState {
    const all = [...this.sources.values()];
    const sources = all.map((s): DiscoverySource => ({ name: s.name, addresses: s.addresses, error: s.error, nextRefresh: wait(s) }));
    const waits = sources.map((s) => s.nextRefresh).filter((ms) => ms >= 0);
    return {
      settled: all.every((s) => s.settled),
      error: sources.filter((s) => s.error !== '').map((s) => `${s.name}: ${s.error}`).join('; '),
      nextRefresh: waits.length === 0 ? -1 : Math.min(...waits),
      sources,
    };
  }

  close(): void {
    this.sink = null;
    for (const source of this.sources.values()) this.stop(source);
    this.sources.clear();
  }

  private stop(source: Source): void {
    source.closed = true;
    if (source.timer !== null) clock.clearTimeout(source.timer);
    source.timer = null;
  }

  private ask(source: Source): void {
    source.due = NaN;
    resolver.resolve(source.config.address.host, this.options.family).then(
      (answer) => this.answered(source, answer),
      (error: unknown) => this.failed(source, error as NodeJS.ErrnoException),
    );
  }

  private askIn(source: Source, ms: number): void {
    source.due = now() + ms;
    source.timer = clock.setTimeout(() => {
      source.timer = null;
      this.ask(source);
    }, ms);
  }

  private answered(source: Source, answer: DnsAnswer): void {
    if (source.closed) return;
    if (source.failures > 0) this.log.info({ name: source.name, addresses: answer.addresses, failures: source.failures }, 'name resolves again');
    const { refresh_min, refresh_max } = this.options;
    this.askIn(source, Math.max(Math.min(answer.ttl * 1000, refresh_max), refresh_min));
    source.settled = true;
    source.failures = 0;
    source.notFound = 0;
    source.error = '';
    // Resolvers rotate their answers; a list in one order is not a change.
    this.change(source, [...new Set(answer.addresses)].sort());
  }

  private failed(source: Source, error: NodeJS.ErrnoException): void {
    if (source.closed) return;
    const { retry_min, retry_max } = this.options;
    const longest = Math.min(retry_max, retry_min * 2 ** Math.min(source.failures, 30));
    this.askIn(source, longest * (0.75 + random() / 4));
    source.failures++;
    source.notFound = NOT_FOUND.has(error.code ?? '') ? source.notFound + 1 : 0;
    source.error = error.message;
    source.settled = true;
    const gone = source.notFound >= GONE_AFTER && source.addresses.length > 0;
    if (source.failures === 1 || gone) {
      const fields = { name: source.name, error: source.error, hosts: gone ? 0 : source.addresses.length, retry_ms: Math.round(wait(source)) };
      this.log.warn(fields, gone ? 'name does not exist any more: its hosts are removed' : 'name does not resolve');
    }
    this.change(source, gone ? [] : source.addresses);
  }

  private change(source: Source, addresses: readonly string[]): void {
    source.addresses = addresses;
    this.tell();
  }

  private tell(): void {
    // Names that nobody has answered for yet say nothing about the hosts that may be in use.
    const all = [...this.sources.values()];
    if (all.length > 0 && !all.some((source) => source.settled)) return;
    const found = new Map<string, FoundHost>();
    for (const source of this.sources.values()) {
      for (const ip of source.addresses) {
        const host = foundHost(source.config, ip);
        if (!found.has(host.address)) found.set(host.address, host);
      }
    }
    this.sink?.onHosts([...found.values()]);
  }
}

function wait(source: Source): number {
  return Number.isFinite(source.due) ? Math.max(0, source.due - now()) : -1;
}

// A registry that is a file: looked at for changes, read whole, each service decoded by itself so that a mistake costs only its own.
import { readFile, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import * as z from 'zod';
import { clock, now } from '../../../../core/clock.js';
import { check, formatProblem, problemAt } from '../../../../core/config/check.js';
import type { Loaded } from '../../../../core/config/load.js';
import type { Problem } from '../../../../core/config/problem.js';
import { hosts, type HostConfig, option } from '../../../../core/config/schema.js';
import { isIP } from 'node:net';
import { log } from '../../../../core/log.js';
import { nearest } from '../../../../core/nearest.js';
import { type DiscoverySink, foundHost, type FoundHost } from '../../discovery.js';
import { offers, type Publication, type Registry, type ServiceKey, type ServiceState, type Subscription } from '../../registry.js';

export interface FileOptions {
  /** Absolute. */
  readonly path: string;
  /** ms between looks. */
  readonly refresh: number;
}

/** Problems of the file that a state tells; the rest is counted. */
const TOLD = 3;

const schema = z.strictObject({
  services: option(z.record(z.string(), hosts()), { doc: 'Hosts by the name of the service; `group` and `version` among the metadata of a host are what clusters select by.' }),
});

interface Subscriber {
  readonly service: ServiceKey;
  readonly sink: DiscoverySink;
}

export class FileRegistry implements Registry {
  readonly publishes = false;
  private readonly options: FileOptions;
  private readonly log;
  private services = new Map<string, readonly FoundHost[]>();
  private readonly subscribers = new Set<Subscriber>();
  /** Problems of services that keep their last good version, by name; '' for the file as a whole. */
  private problems = new Map<string, string>();
  /** Whether the file was ever taken, be it in part: before that nothing is known of any service. */
  private known = false;
  private settled = false;
  private seen = '';
  private due = 0;
  private timer: unknown = null;
  private closed = false;

  constructor(options: FileOptions) {
    this.options = options;
    this.log = log.child('discovery').child(basename(options.path));
    void this.look();
  }

  subscribe(service: ServiceKey, sink: DiscoverySink): Subscription {
    const subscriber: Subscriber = { service, sink };
    this.subscribers.add(subscriber);
    if (this.knows(service.name)) this.tell(subscriber);
    return {
      state: () => this.stateOf(service.name),
      close: () => void this.subscribers.delete(subscriber),
    };
  }

  publish(): Publication {
    const error = `${this.options.path} is read and never written: instances are published elsewhere`;
    return { state: () => ({ published: false, error }), withdraw: () => Promise.resolve() };
  }

  close(): void {
    this.closed = true;
    if (this.timer !== null) clock.clearTimeout(this.timer);
    this.timer = null;
    this.subscribers.clear();
  }

  /** A service that was refused from the start is not known to have no instance. */
  private knows(name: string): boolean {
    return this.known && (this.services.has(name) || !this.problems.has(name));
  }

  private stateOf(name: string): ServiceState {
    return { settled: this.settled, error: this.errorOf(name), nextRefresh: Math.max(0, this.due - now()) };
  }

  private errorOf(name: string): string {
    const whole = this.problems.get('');
    const own = this.problems.get(name);
    const found = whole ?? own;
    if (found !== undefined) return this.services.has(name) ? `${found}; the last good version stays in force` : found;
    if (!this.known || this.services.has(name)) return '';
    const [near] = nearest(name, this.services.keys());
    return `${this.options.path} has no service ${name}${near === undefined ? '' : `; did you mean ${near}?`}`;
  }

  private tell({ service, sink }: Subscriber): void {
    sink.onHosts((this.services.get(service.name) ?? []).filter((host) => offers(service, host.metadata)));
  }

  /** Looks at the file, reads it if it has changed, and comes back later. */
  private async look(): Promise<void> {
    this.timer = null;
    const before = await this.stamp();
    if (before !== this.seen) {
      let text: string | null = null;
      let failure = '';
      try {
        text = await readFile(this.options.path, 'utf8');
      } catch (error) {
        failure = `cannot read ${this.options.path}: ${(error as NodeJS.ErrnoException).code ?? (error as Error).message}`;
      }
      // One that changes while it is read may be half written: it is read again at the next look.
      const after = await this.stamp();
      if (this.closed) return;
      // Loaded only here: workers have every discovery in their catalog and read no file, and YAML is a third of what a start would load.
      const { loadText } = await import('../../../../core/config/load.js');
      if (this.closed) return;
      if (after === before) {
        this.seen = before;
        this.take(text === null ? null : loadText(text, this.options.path), failure);
      }
    }
    if (this.closed) return;
    this.due = now() + this.options.refresh;
    this.timer = clock.setTimeout(() => void this.look(), this.options.refresh);
    (this.timer as { unref?: () => void }).unref?.();
  }

  private async stamp(): Promise<string> {
    try {
      const { ino, size, mtimeMs } = await stat(this.options.path);
      return `${ino}:${size}:${mtimeMs}`;
    } catch (error) {
      return String((error as NodeJS.ErrnoException).code);
    }
  }

  private take(loaded: Loaded | null, failure: string): void {
    this.settled = true;
    if (loaded === null) return this.refuse(failure);
    const map = servicesOf(loaded.data);
    if (loaded.data === undefined || map === null) {
      const found = check(schema, loaded);
      return this.refuse(found.ok ? 'expected services' : words(found.problems));
    }
    this.problems = new Map();
    // Keys beside `services` are mistakes that cost no service.
    const around = check(schema, { ...loaded, data: { ...(loaded.data as object), services: {} }, problems: [], faulty: [] });
    if (!around.ok) this.problems.set('', words(around.problems));
    const services = new Map<string, readonly FoundHost[]>();
    for (const name of Object.keys(map)) {
      const { list, problem } = decode(loaded, name, map[name]);
      if (problem !== '') this.problems.set(name, problem);
      const kept = problem === '' ? list.map((host) => foundHost(host)) : this.services.get(name);
      if (kept !== undefined) services.set(name, kept);
    }
    this.services = services;
    this.known = true;
    for (const problem of this.problems.values()) this.log.warn({ file: this.options.path }, problem);
    this.log.debug({ file: this.options.path, services: services.size }, 'services were read');
    for (const subscriber of this.subscribers) if (this.knows(subscriber.service.name)) this.tell(subscriber);
  }

  /** Nothing of the file can be taken: everything stays as it was. */
  private refuse(problem: string): void {
    this.problems = new Map([['', problem]]);
    this.log.warn({ file: this.options.path, services: this.services.size }, `${problem}; what was read before stays in force`);
  }
}

/** The map of services as it stands in the file; null where there is none. */
function servicesOf(data: unknown): Record<string, unknown> | null {
  const isMap = (value: unknown): value is Record<string, unknown> => value !== null && typeof value === 'object' && !Array.isArray(value);
  return isMap(data) && isMap(data['services']) ? data['services'] : null;
}

/** One service of the file, checked as if it were the only one. */
function decode(loaded: Loaded, name: string, value: unknown): { readonly list: readonly HostConfig[]; readonly problem: string } {
  const own = loaded.problems.filter((problem, i) => loaded.faulty[i]?.[1] === name || problem.path === '');
  const found = check(schema, { ...loaded, data: { services: { [name]: value } }, problems: own });
  if (!found.ok) return { list: [], problem: words(found.problems) };
  const list = found.value.services[name]!;
  const named = list.findIndex(({ address }) => address.path === undefined && isIP(address.host) === 0);
  if (named < 0) return { list, problem: '' };
  return { list: [], problem: formatProblem(problemAt(loaded, ['services', name, named], 'expected an IP address', list[named]!.address.host)) };
}

function words(problems: readonly Problem[]): string {
  const told = problems.slice(0, TOLD).map(formatProblem);
  return problems.length > TOLD ? `${told.join('; ')}; and ${problems.length - TOLD} more` : told.join('; ');
}

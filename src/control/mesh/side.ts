// One kind of SDK while it runs: what its applications have subscribed and published, and the discovery behind that.
import { clock } from '../../core/clock.js';
import { type Address, showAddress } from '../../core/config/schema.js';
import { log } from '../../core/log.js';
import type { Stats } from '../../core/stats.js';
import type { Lease, Publication, Registries, ServiceKey } from '../../network/upstream/registry.js';
import { showService } from '../../network/upstream/registry.js';
import { kinds, type MeshKind, type MeshKindConfig } from './config.js';
import { appCluster, clusterName, type ToldServices } from './overlay.js';
import { type Kept, readKept, writeKept } from './state-file.js';

/** Services of each sort that one process takes. */
const MAX_SERVICES = 10_000;
/** How long the way to the application stays after a service was unpublished: callers elsewhere learn of it a little later, ms. */
const LINGER_MS = 30_000;
/** How often it is looked whether the discovery knows a service that is waited for, ms. */
const LOOK_MS = 20;
/** How often it is looked whether the applications are as healthy as they are published, ms. */
const APP_LOOK_MS = 500;

export interface SideDeps {
  readonly registries: Registries;
  readonly stats: Stats;
  /** Puts everything told so far in force in every worker; what is told meanwhile comes with the next call. */
  apply(): Promise<void>;
  /** Whether the hosts of a cluster are known. */
  settled(cluster: string): boolean;
  /** Whether health checks find a host of a cluster to be healthy; true without checks, or before the first. */
  healthy(cluster: string): boolean;
}

/** Why something is not done, told to the SDK. */
export class MeshRefusal extends Error {}

export interface Offer {
  readonly service: ServiceKey;
  readonly app: Address;
  readonly metadata: Readonly<Record<string, string>>;
}

interface Subscribed {
  service: ServiceKey;
  count: number;
}

interface Published {
  offer: Offer;
  publication: Publication | null;
  /** Set while the way to the application stays on behind a service that was unpublished. */
  leaving: unknown;
  /** The application accepts no connections: nobody is told of it. */
  down: boolean;
}

const keyOf = ({ name, group, version }: ServiceKey): string => JSON.stringify([name, group, version]);

export class Side {
  readonly kind: MeshKind;
  config: MeshKindConfig;
  private readonly deps: SideDeps;
  private readonly log;
  private readonly subscribed = new Map<string, Subscribed>();
  private readonly published = new Map<string, Published>();
  private lease: Lease | null = null;
  private leaseKey = '';
  /** Address that others are told. */
  private instance: Address = { host: '', port: 0 };
  private draining = false;
  private closed = false;
  private watching: unknown = null;
  /** Why there is no discovery, '' when there is one. */
  private fault = '';
  private writing: Promise<void> = Promise.resolve();

  constructor(kind: MeshKind, config: MeshKindConfig, deps: SideDeps) {
    this.kind = kind;
    this.config = config;
    this.deps = deps;
    this.log = log.child('mesh').child(kind);
    this.restore();
  }

  /** What is known so far, for the configuration. */
  told(): ToldServices {
    return {
      subscribed: [...this.subscribed.values()].map(({ service }) => service),
      published: [...this.published.values()].map(({ offer }) => offer),
    };
  }

  /** A configuration is in force, in which others reach this side at `instance`. What was published is published there now. */
  update(config: MeshKindConfig, instance: Address): void {
    this.config = config;
    const key = JSON.stringify(config.discovery);
    const moved = showAddress(instance) !== showAddress(this.instance);
    this.instance = instance;
    if (!moved && this.lease?.current() === true && key === this.leaseKey) return;
    const former = this.lease;
    try {
      this.lease = this.deps.registries.open(config.discovery);
      this.fault = '';
    } catch (error) {
      // A plug-in's fault: what is there stays.
      this.fault = `the discovery ${config.discovery.type} cannot be opened: ${(error as Error).message}`;
      this.log.error({ err: error }, 'the discovery cannot be opened');
      return;
    }
    this.leaseKey = key;
    for (const one of this.published.values()) {
      if (one.leaving !== null || one.down) continue;
      // The new one first: to those who subscribed the service is never without its instance.
      const before = one.publication;
      one.publication = this.put(one.offer);
      void before?.withdraw();
    }
    former?.release();
    this.watch();
  }

  /** Makes a service routable; resolves when every worker routes it, and, within `wait`, the discovery knows it. */
  async subscribe(service: ServiceKey): Promise<void> {
    this.accepts(service, this.subscribed.size);
    const key = keyOf(service);
    const known = this.subscribed.get(key);
    const other = kinds[this.kind].grouped ? undefined : [...this.subscribed].find(([at, one]) => at !== key && one.service.name === service.name);
    if (other !== undefined) throw new MeshRefusal(`${service.name} is subscribed as ${showService(other[1].service)} already: calls do not say which group they are for`);
    if (known === undefined) this.subscribed.set(key, { service, count: 1 });
    else known.count++;
    await this.changed();
    await this.untilSettled(clusterName(this.kind, service));
  }

  /** One subscription less; with the last one the service is routed no more. */
  async unsubscribe(service: ServiceKey): Promise<void> {
    const key = keyOf(service);
    const known = this.subscribed.get(key);
    if (known === undefined) return;
    if (--known.count === 0) this.subscribed.delete(key);
    await this.changed();
  }

  /** Leads calls of a service to its application, then tells the discovery. */
  async publish(offer: Offer): Promise<void> {
    this.accepts(offer.service, this.published.size);
    const key = keyOf(offer.service);
    const known = this.published.get(key);
    const one: Published = known ?? { offer, publication: null, leaving: null, down: false };
    if (one.leaving !== null) clock.clearTimeout(one.leaving);
    one.leaving = null;
    one.offer = offer;
    this.published.set(key, one);
    await this.changed();
    // Withdrawn again, or replaced, in the meantime.
    if (this.published.get(key) !== one || one.offer !== offer || one.leaving !== null || this.closed) return;
    const before = one.publication;
    one.publication = this.put(offer);
    one.down = false;
    this.watch();
    await before?.withdraw();
  }

  /** Takes the instance out of the discovery; the way to the application stays for those who do not know it yet. */
  async unpublish(service: ServiceKey): Promise<void> {
    const key = keyOf(service);
    const one = this.published.get(key);
    if (one === undefined || one.leaving !== null) return;
    const { publication } = one;
    one.publication = null;
    one.leaving = clock.setTimeout(() => {
      this.published.delete(key);
      void this.changed().catch((error: unknown) => this.log.error({ err: error }, 'a service that was unpublished is still routed'));
    }, LINGER_MS);
    (one.leaving as { unref?: () => void }).unref?.();
    this.keep();
    await publication?.withdraw();
  }

  /** For people: what is known, and what of it does not work. */
  services(): unknown {
    return {
      subscribed: [...this.subscribed.values()].map(({ service, count }) => ({ ...service, count, cluster: clusterName(this.kind, service) })),
      published: [...this.published.values()].map(({ offer, publication, leaving, down }) => ({
        ...offer.service,
        app: showAddress(offer.app),
        instance: showAddress(this.instance),
        ...(publication?.state() ?? { published: false, error: leaving !== null ? 'unpublished; calls that still come are led to the application for a while' : down ? 'the application accepts no connections' : '' }),
      })),
    };
  }

  /** Others are no longer to call the applications of this side. */
  async drain(): Promise<void> {
    this.draining = true;
    await Promise.all([...this.published.values()].flatMap((one) => (one.publication === null ? [] : [one.publication.withdraw()])));
  }

  async close(): Promise<void> {
    this.closed = true;
    this.count(0, 0);
    if (this.watching !== null) clock.clearTimeout(this.watching);
    for (const one of this.published.values()) if (one.leaving !== null) clock.clearTimeout(one.leaving);
    await this.drain();
    this.lease?.release();
    this.lease = null;
    await this.writing;
  }

  private accepts({ name }: ServiceKey, count: number): void {
    if (this.draining) throw new MeshRefusal('this process is draining');
    if (this.lease === null && this.fault !== '') throw new MeshRefusal(this.fault);
    if (name.length > 512 || !/^\P{Cc}*$/u.test(name)) throw new MeshRefusal('the name of the service is too long or has control characters');
    if (count >= MAX_SERVICES) throw new MeshRefusal(`there are ${MAX_SERVICES} services already`);
  }

  private async changed(): Promise<void> {
    this.keep();
    this.count(this.subscribed.size, this.published.size);
    await this.deps.apply();
  }

  private count(subscribed: number, published: number): void {
    const gauge = (role: string) => this.deps.stats.gauge('sluice_mesh_services', 'Services that applications have told the mesh.', { kind: this.kind, role });
    gauge('subscribed').set(subscribed);
    gauge('published').set(published);
  }

  private put({ service, metadata }: Offer): Publication | null {
    if (this.lease === null || this.draining) return null;
    const publication = this.lease.registry.publish(service, { address: this.instance, weight: 1, metadata });
    const { error } = publication.state();
    if (error === '') this.log.info({ service: showService(service), instance: showAddress(this.instance) }, 'a service is published');
    else this.log.warn({ service: showService(service), error }, 'a service is routed to its application, but not published');
    return publication;
  }

  /** Applications that accept no connections are withdrawn, as long as that lasts. */
  private watch(): void {
    if (this.watching !== null || this.closed || this.published.size === 0 || this.config.app_check === 0) return;
    this.watching = clock.setTimeout(() => {
      this.watching = null;
      for (const one of this.published.values()) this.look(one);
      this.watch();
    }, APP_LOOK_MS);
    (this.watching as { unref?: () => void }).unref?.();
  }

  private look(one: Published): void {
    if (one.leaving !== null || this.draining) return;
    const healthy = this.deps.healthy(appCluster(this.kind, one.offer.app));
    const about = { service: showService(one.offer.service), app: showAddress(one.offer.app) };
    if (!healthy && one.publication !== null) {
      void one.publication.withdraw();
      one.publication = null;
      one.down = true;
      this.log.warn(about, 'the application accepts no connections: its service is withdrawn');
    } else if (healthy && one.down) {
      one.down = false;
      one.publication = this.put(one.offer);
      this.log.info(about, 'the application accepts connections again');
    }
  }

  private async untilSettled(cluster: string): Promise<void> {
    for (let waited = 0; waited < this.config.wait && !this.closed && !this.deps.settled(cluster); waited += LOOK_MS) {
      await new Promise<void>((resolve) => void clock.setTimeout(resolve, LOOK_MS));
    }
  }

  private restore(): void {
    if (this.config.state === '') return;
    try {
      const { subscriptions, publications } = readKept(this.config.state);
      this.count(subscriptions.length, publications.length);
      for (const { service, count } of subscriptions) this.subscribed.set(keyOf(service), { service, count });
      for (const offer of publications) this.published.set(keyOf(offer.service), { offer, publication: null, leaving: null, down: false });
      this.log.info({ file: this.config.state, subscribed: subscriptions.length, published: publications.length }, 'what applications told before is known again');
    } catch (error) {
      this.log.error({ err: error }, 'what applications told before is lost: they are to be started again');
    }
  }

  private keep(): void {
    const { state } = this.config;
    if (state === '') return;
    const publications = [...this.published.values()].filter(({ leaving }) => leaving === null).map(({ offer }) => offer);
    const kept: Kept = { subscriptions: [...this.subscribed.values()].map((one) => ({ ...one })), publications };
    this.writing = this.writing.then(() => writeKept(state, kept)).catch((error: unknown) => this.log.error({ err: error }, 'what applications told could not be written down'));
  }
}

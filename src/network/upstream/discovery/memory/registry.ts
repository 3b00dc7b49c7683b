// A registry that lives in this process: what is published is told at once to whoever subscribed.
import type { HostConfig } from '../../../../core/config/schema.js';
import { type DiscoverySink, foundHost, type FoundHost } from '../../discovery.js';
import { instanceOf, offers, type Publication, type Registry, type ServiceKey, type ServiceState, type Subscription } from '../../registry.js';

interface Subscriber {
  readonly service: ServiceKey;
  readonly sink: DiscoverySink;
}

/** Subscribers and instances of one name; gone when it has neither. */
class Service {
  readonly subscribers = new Set<Subscriber>();
  readonly instances = new Set<FoundHost>();

  tell(subscriber: Subscriber): void {
    subscriber.sink.onHosts([...this.instances].filter((host) => offers(subscriber.service, host.metadata)));
  }
}

const KNOWN: ServiceState = { settled: true, error: '', nextRefresh: -1 };

export class MemoryRegistry implements Registry {
  readonly publishes = true;
  private readonly services = new Map<string, Service>();

  subscribe(service: ServiceKey, sink: DiscoverySink): Subscription {
    const subscriber: Subscriber = { service, sink };
    const found = this.service(service.name);
    found.subscribers.add(subscriber);
    found.tell(subscriber);
    return {
      state: () => KNOWN,
      close: () => {
        found.subscribers.delete(subscriber);
        this.forget(service.name, found);
      },
    };
  }

  publish(service: ServiceKey, instance: HostConfig): Publication {
    const host = foundHost(instanceOf(service, instance));
    const found = this.service(service.name);
    found.instances.add(host);
    this.changed(found);
    return {
      state: () => ({ published: found.instances.has(host), error: '' }),
      withdraw: () => {
        if (found.instances.delete(host)) this.changed(found);
        this.forget(service.name, found);
        return Promise.resolve();
      },
    };
  }

  close(): void {
    for (const service of this.services.values()) service.subscribers.clear();
    this.services.clear();
  }

  private service(name: string): Service {
    let found = this.services.get(name);
    if (found === undefined) this.services.set(name, (found = new Service()));
    return found;
  }

  private changed(service: Service): void {
    for (const subscriber of service.subscribers) service.tell(subscriber);
  }

  private forget(name: string, service: Service): void {
    if (service.subscribers.size === 0 && service.instances.size === 0 && this.services.get(name) === service) this.services.delete(name);
  }
}

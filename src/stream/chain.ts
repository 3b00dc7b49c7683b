// The stream filters of a listener or route, compiled once: order is data, and a replaced chain closes when its last exchange ended.
import { BodyPhase } from './body.js';
import type { StreamFilter } from './filter.js';

export class FilterChain {
  readonly request: readonly StreamFilter[];
  readonly route: readonly StreamFilter[];
  /** Reverse order of configuration: the filter nearest to the upstream sees the reply first. */
  readonly reply: readonly StreamFilter[];
  readonly done: readonly StreamFilter[];
  readonly requestBody: BodyPhase | null;
  readonly replyBody: BodyPhase | null;
  /** Exchanges that run through this chain. */
  users = 0;
  private readonly all: readonly StreamFilter[];
  private retired = false;

  constructor(filters: readonly StreamFilter[]) {
    this.all = filters;
    this.request = filters.filter((f) => f.onRequest !== undefined);
    this.route = filters.filter((f) => f.onRoute !== undefined);
    this.reply = filters.filter((f) => f.onReply !== undefined).reverse();
    this.done = filters.filter((f) => f.onDone !== undefined);
    const requestBody = filters.filter((f) => f.requestBody !== undefined && f.requestBody !== 'pass');
    const replyBody = filters.filter((f) => f.replyBody !== undefined && f.replyBody !== 'pass').reverse();
    this.requestBody = requestBody.length === 0 ? null : new BodyPhase(requestBody, false);
    this.replyBody = replyBody.length === 0 ? null : new BodyPhase(replyBody, true);
  }

  /** The options that routes have for the filters of this chain. */
  prepare(routes: readonly { readonly filters: ReadonlyMap<string, unknown> }[]): void {
    for (const f of this.all) {
      if (f.prepare === undefined) continue;
      for (const route of routes) if (route.filters.has(f.name)) f.prepare(route.filters.get(f.name));
    }
  }

  /** No new exchange takes this chain; its filters close when the last one ended. */
  retire(): void {
    this.retired = true;
    if (this.users === 0) this.close();
  }

  leave(): void {
    this.users--;
    if (this.retired && this.users === 0) this.close();
  }

  private close(): void {
    for (const f of this.all) f.close?.();
  }
}

// A resolver that answers from a table which a test fills.
import type { DnsAnswer, DnsFamily, Resolver } from './dns.js';
import { isIP } from 'node:net';

export class FakeResolver implements Resolver {
  readonly #table = new Map<string, DnsAnswer | Error>();
  /** Every name asked for, in order. */
  readonly asked: string[] = [];

  /** Answers `host` with these addresses from now on, whatever the family. */
  set(host: string, addresses: string[], ttl = 5): this {
    this.#table.set(host, { addresses, ttl });
    return this;
  }

  /** Fails `host` from now on. */
  fail(host: string, code = 'ENOTFOUND'): this {
    this.#table.set(host, Object.assign(new Error(`query ${code} ${host}`), { code }));
    return this;
  }

  resolve(host: string, _family: DnsFamily): Promise<DnsAnswer> {
    this.asked.push(host);
    if (isIP(host) !== 0) return Promise.resolve({ addresses: [host], ttl: Infinity });
    const answer = this.#table.get(host) ?? Object.assign(new Error(`query ENOTFOUND ${host}`), { code: 'ENOTFOUND' });
    if (answer instanceof Error) return Promise.reject(answer);
    return Promise.resolve({ addresses: [...answer.addresses], ttl: answer.ttl });
  }
}

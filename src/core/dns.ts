// Names to addresses: /etc/hosts first, then DNS with its time to live, else the system's resolver; replaceable by tests.
import { lookup, Resolver as DnsResolver } from 'node:dns/promises';
import { readFile, stat } from 'node:fs/promises';
import { isIP } from 'node:net';

export type DnsFamily = 'auto' | 'v4' | 'v6';

export interface DnsAnswer {
  /** At least one textual IPv4 or IPv6 address. */
  addresses: string[];
  /** Seconds for which the answer holds; Infinity for a host that was an address already. */
  ttl: number;
}

/** `resolve` rejects with the error of the last source asked (`code` ENOTFOUND, ENODATA, ETIMEOUT ...); it never gives an empty list. */
export interface Resolver {
  /** `auto`: the IPv4 addresses, or the IPv6 ones where there are none. */
  resolve(host: string, family: DnsFamily): Promise<DnsAnswer>;
}

/** Time to live, in seconds, of an answer whose source states none. */
const DEFAULT_TTL = 5;

interface Recorded {
  address: string;
  ttl: number;
}

/** Where the system resolver gets its answers; tests give their own. */
export interface DnsSources {
  hostsFile: string;
  resolve4(host: string): Promise<Recorded[]>;
  resolve6(host: string): Promise<Recorded[]>;
  /** getaddrinfo: knows search domains and other name services that plain DNS queries do not. */
  lookup(host: string, family: 0 | 4 | 6): Promise<string[]>;
}

function systemSources(): DnsSources {
  let queries: DnsResolver | null = null;
  const resolver = (): DnsResolver => (queries ??= new DnsResolver({ timeout: 2000, tries: 2 }));
  return {
    hostsFile: '/etc/hosts',
    resolve4: (host) => resolver().resolve4(host, { ttl: true }),
    resolve6: (host) => resolver().resolve6(host, { ttl: true }),
    lookup: async (host, family) => (await lookup(host, { all: true, family, verbatim: true })).map((a) => a.address),
  };
}

/** Addresses by lower-case name, from the text of a hosts file. */
export function parseHosts(text: string): Map<string, string[]> {
  const byName = new Map<string, string[]>();
  for (const line of text.split('\n')) {
    const [address, ...names] = line.replace(/#.*/, '').trim().split(/\s+/);
    if (address === undefined || isIP(address) === 0) continue;
    for (const name of names) {
      const key = name.toLowerCase();
      const list = byName.get(key);
      if (list === undefined) byName.set(key, [address]);
      else if (!list.includes(address)) list.push(address);
    }
  }
  return byName;
}

function ofFamily(addresses: string[], family: DnsFamily): string[] {
  const v4 = addresses.filter((a) => isIP(a) === 4);
  if (family === 'v4' || (family === 'auto' && v4.length > 0)) return v4;
  return addresses.filter((a) => isIP(a) === 6);
}

/** The resolver of the machine. */
export class SystemResolver implements Resolver {
  readonly #sources: DnsSources;
  #hosts = new Map<string, string[]>();
  #hostsStamp = '';

  constructor(sources: DnsSources = systemSources()) {
    this.#sources = sources;
  }

  async resolve(host: string, family: DnsFamily): Promise<DnsAnswer> {
    if (isIP(host) !== 0) return { addresses: [host], ttl: Infinity };
    const listed = ofFamily(await this.#listed(host), family);
    if (listed.length > 0) return { addresses: listed, ttl: DEFAULT_TTL };
    const queried = await this.#query(host, family);
    if (queried !== null) return queried;
    const number = family === 'v4' ? 4 : family === 'v6' ? 6 : 0;
    const addresses = ofFamily(await this.#sources.lookup(host, number), family);
    if (addresses.length === 0) throw Object.assign(new Error(`no address of family ${family} for ${host}`), { code: 'ENODATA' });
    return { addresses, ttl: DEFAULT_TTL };
  }

  /** What the hosts file says now; it is read again only after it changed. A file that cannot be read says nothing. */
  async #listed(host: string): Promise<string[]> {
    const file = this.#sources.hostsFile;
    try {
      const { mtimeMs, size, ino } = await stat(file);
      const stamp = `${mtimeMs} ${size} ${ino}`;
      if (stamp !== this.#hostsStamp) {
        this.#hosts = parseHosts(await readFile(file, 'latin1'));
        this.#hostsStamp = stamp;
      }
    } catch {
      this.#hosts = new Map();
      this.#hostsStamp = '';
    }
    return this.#hosts.get(host.toLowerCase()) ?? [];
  }

  async #query(host: string, family: DnsFamily): Promise<DnsAnswer | null> {
    const [v4, v6] = await Promise.all([
      family === 'v6' ? [] : this.#sources.resolve4(host).catch(() => []),
      family === 'v4' ? [] : this.#sources.resolve6(host).catch(() => []),
    ]);
    const records = v4.length > 0 ? v4 : v6;
    if (records.length === 0) return null;
    return { addresses: records.map((r) => r.address), ttl: Math.max(0, Math.min(...records.map((r) => r.ttl))) };
  }
}

let current: Resolver | null = null;

/** The resolver in force; the object stays the same when `setResolver` replaces what is behind it. */
export const resolver: Resolver = {
  resolve: (host, family) => (current ??= new SystemResolver()).resolve(host, family),
};

/** Puts `next` behind `resolver`; the function returned puts the former one back. */
export function setResolver(next: Resolver): () => void {
  if (next === resolver) throw new Error('the resolver cannot stand behind itself');
  const former = current;
  current = next;
  return () => {
    current = former;
  };
}

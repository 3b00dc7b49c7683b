// Finds the route of a request: the virtual host by the host asked for, then the first route whose conditions hold. Guarded by bench/micro/router.ts.
import { latin1, utf8 } from '../core/bytes.js';
import type { Head } from './head.js';
import { AUTHORITY, PATH, PATH_ANY, PathView } from './match.js';
import { needsNormal, normalPath } from './rewrite.js';
import { type EditsConfig, type RouteConfig, type RouteTableConfig, routeTableSchema } from './route-config.js';
import { RouteIndex } from './route-index.js';
import { Route, type RouteDeps } from './route.js';

export { Route, type RouteDeps } from './route.js';

/** Routes that `explainMiss` looks at, at most: it answers clients, and must not cost more than a match. */
const MAX_EXPLAINED = 50;
/** Bytes of a host that a connection remembers. */
const MAX_REMEMBERED = 261;
const NO_BYTES: Uint8Array = Buffer.alloc(0);

/** What a downstream connection remembers of its last request: the host asked for and the virtual host it led to. */
export class VhostMemo {
  table: RouteTable | null = null;
  /** The host asked for: the first `length` bytes. */
  authority: Uint8Array = NO_BYTES;
  length = 0;
  host: VirtualHost | null = null;
}

export class VirtualHost {
  readonly name: string;
  readonly routes: readonly Route[];
  /** Whether any route asks for the path; where none does it is not looked for. */
  readonly readsPath: boolean;
  private readonly index: RouteIndex | null;

  constructor(name: string, routes: readonly Route[]) {
    this.name = name;
    this.routes = routes;
    this.readsPath = routes.some((r) => r.match.pathKind !== PATH_ANY);
    this.index = RouteIndex.of(routes.map((r) => r.match));
  }

  match(head: Head, path: PathView): Route | null {
    const routes = this.routes;
    if (this.index !== null) return this.indexed(head, path, this.index);
    for (let i = 0; i < routes.length; i++) if (routes[i]!.match.test(head, path)) return routes[i]!;
    return null;
  }

  private indexed(head: Head, path: PathView, index: RouteIndex): Route | null {
    const routes = this.routes;
    const some = index.candidates(head, path);
    const others = index.others;
    let i = 0;
    let k = 0;
    while (i < some.length || k < others.length) {
      const place = k === others.length || (i < some.length && some[i]! < others[k]!) ? some[i++]! : others[k++]!;
      if (routes[place]!.match.test(head, path)) return routes[place]!;
    }
    return null;
  }
}

/** Domains by what is known of them: exact ones, and wildcards by their fixed part, longest first. */
class Wildcards {
  private readonly hosts = new Map<string, VirtualHost>();
  private lengths: number[] = [];

  add(fixed: string, host: VirtualHost): void {
    this.hosts.set(fixed, host);
    if (!this.lengths.includes(fixed.length)) this.lengths = [...this.lengths, fixed.length].sort((a, b) => b - a);
  }

  /** The fixed part may not be the whole: *.a.b is not a.b. */
  find(name: string, suffix: boolean): VirtualHost | undefined {
    for (const n of this.lengths) {
      if (n >= name.length) continue;
      const found = this.hosts.get(suffix ? name.slice(-n) : name.slice(0, n));
      if (found !== undefined) return found;
    }
    return undefined;
  }
}

/** Domains with one and the same port, or with none. */
class Domains {
  readonly exact = new Map<string, VirtualHost>();
  readonly suffixes = new Wildcards();
  readonly prefixes = new Wildcards();
  rest: VirtualHost | undefined;
}

/** "host:port" as its parts; port '' where there is none. An IPv6 address is in brackets. */
function splitPort(authority: string): { readonly host: string; readonly port: string } {
  const colon = authority.lastIndexOf(':');
  if (colon < 0 || authority.indexOf(']', colon) >= 0 || colon === authority.length - 1) return { host: authority.replace(/:$/, ''), port: '' };
  return { host: authority.slice(0, colon), port: authority.slice(colon + 1) };
}

export class RouteTable {
  readonly name: string;
  readonly hosts: readonly VirtualHost[];
  readonly routes: readonly Route[];
  private readonly normalize: boolean;
  /** The one virtual host of a table with nothing but `*`: hosts are not looked at. */
  private readonly only: VirtualHost | null;
  private readonly anyPort = new Domains();
  private readonly byPort = new Map<string, Domains>();
  private readonly path = new PathView();

  constructor(config: RouteTableConfig, deps: RouteDeps) {
    this.name = config.name;
    this.normalize = config.normalize_path;
    const hosts = config.virtual_hosts.map((host) => {
      const made = new VirtualHost(host.name, routesOf(host.routes, host.name, [host, config], deps));
      for (const domain of host.domains) this.addDomain(domain, made);
      return made;
    });
    if (config.routes !== undefined) {
      const made = new VirtualHost(config.name, routesOf(config.routes, config.name, [config], deps));
      hosts.push(made);
      this.addDomain('*', made);
    }
    this.hosts = hosts;
    this.routes = hosts.flatMap((host) => host.routes);
    const domains = config.virtual_hosts.flatMap((host) => host.domains);
    this.only = hosts.length === 1 && domains.every((domain) => domain === '*') ? hosts[0]! : null;
  }

  /** The table of a listener that names a cluster and no routes: everything goes there, with the defaults of a route. */
  static single(cluster: string, deps: RouteDeps): RouteTable {
    const config = routeTableSchema.parse({ name: cluster, routes: [{ name: cluster, cluster }] });
    return new RouteTable(config, deps);
  }

  /**
   * The route of a request, or null: then `explainMiss` says why. Where the table normalizes paths, the head's path is changed.
   * Allocates nothing unless the host differs from the last one of this connection, or a route compares by regex or query.
   */
  match(head: Head, memo: VhostMemo): Route | null {
    const host = this.only ?? this.virtualHost(head, memo);
    if (host === null) return null;
    const path = this.path;
    if (host.readsPath || this.normalize) path.read(head);
    if (this.normalize && path.present && needsNormal(path.buf, path.start, path.end)) this.normalizePath(head);
    return host.match(head, path);
  }

  /** The next route of the same virtual host that a request matches, behind the one it had; null: there is none. */
  after(route: Route, head: Head): Route | null {
    const routes: readonly Route[] = this.hosts.find((host) => host.routes.includes(route))?.routes ?? [];
    this.path.read(head);
    for (let i = routes.indexOf(route) + 1; i < routes.length; i++) if (routes[i]!.match.test(head, this.path)) return routes[i]!;
    return null;
  }

  /** Why `match` found nothing, for the reason no-route: the route that came nearest and the first of its conditions that failed. */
  explainMiss(head: Head): string {
    const asked = head.get(AUTHORITY);
    const host = this.only ?? this.lookUp(asked ?? '');
    if (host === null) {
      return asked === undefined ? `the request names no host, and no virtual host of ${this.name} has the domain *` : `no virtual host of ${this.name} has a domain for ${clip(asked)}`;
    }
    if (host.routes.length === 0) return `virtual host ${host.name} has no routes`;
    this.path.read(head);
    let nearest = 0;
    let most = -1;
    let text = '';
    for (let i = 0; i < host.routes.length && i < MAX_EXPLAINED; i++) {
      const failure = host.routes[i]!.match.firstFailure(head, this.path);
      if (failure === null || failure.held <= most) continue;
      most = failure.held;
      nearest = i;
      text = failure.text;
    }
    const route = host.routes[nearest]!;
    return `virtual host ${host.name}, route ${nearest + 1} (${route.name}) needs ${text}`;
  }

  private virtualHost(head: Head, memo: VhostMemo): VirtualHost | null {
    if (!head.find(AUTHORITY)) return this.lookUp('');
    const { vbuf, vstart } = head;
    const n = head.vend - vstart;
    const known = memo.authority;
    if (memo.table === this && memo.length === n) {
      let i = 0;
      while (i < n && known[i] === vbuf[vstart + i]) i++;
      if (i === n) return memo.host;
    }
    const host = this.lookUp(latin1(vbuf, vstart, head.vend));
    // No name of a host is that long: an idle connection is not to hold what a client made up.
    if (n > MAX_REMEMBERED) return host;
    if (known.length < n) memo.authority = Buffer.allocUnsafe(n);
    for (let i = 0; i < n; i++) memo.authority[i] = vbuf[vstart + i]!;
    memo.length = n;
    memo.table = this;
    memo.host = host;
    return host;
  }

  /** Exact, then suffix, prefix and default; with the port of the request before without. */
  private lookUp(authority: string): VirtualHost | null {
    const { host, port } = splitPort(authority.toLowerCase());
    // A host with a dot at its end is the same host, fully qualified.
    const name = host.endsWith('.') ? host.slice(0, -1) : host;
    const free = this.anyPort;
    const bound = this.byPort.size === 0 ? undefined : this.byPort.get(port);
    if (bound === undefined) return free.exact.get(name) ?? free.suffixes.find(name, true) ?? free.prefixes.find(name, false) ?? free.rest ?? null;
    return (
      bound.exact.get(name) ?? free.exact.get(name) ??
      bound.suffixes.find(name, true) ?? free.suffixes.find(name, true) ??
      bound.prefixes.find(name, false) ?? free.prefixes.find(name, false) ??
      bound.rest ?? free.rest ?? null
    );
  }

  private addDomain(domain: string, host: VirtualHost): void {
    const { host: name, port } = splitPort(domain);
    let domains = this.anyPort;
    if (port !== '') {
      domains = this.byPort.get(port) ?? new Domains();
      this.byPort.set(port, domains);
    }
    if (name === '*') domains.rest = host;
    else if (name.startsWith('*')) domains.suffixes.add(name.slice(1), host);
    else if (name.endsWith('*')) domains.prefixes.add(name.slice(0, -1), host);
    else domains.exact.set(name, host);
  }

  private normalizePath(head: Head): void {
    const { buf, start, end } = this.path;
    const before = utf8(buf, start, end);
    const path = normalPath(before);
    if (path !== before) head.set(PATH, path + utf8(buf, end, head.vend));
    this.path.read(head);
  }
}

function routesOf(configs: readonly RouteConfig[], host: string, enclosing: readonly { readonly request_headers: EditsConfig; readonly reply_headers: EditsConfig }[], deps: RouteDeps): Route[] {
  return configs.map((config, i) => new Route(config, `${host}/${i + 1}`, enclosing, deps));
}

/** What a client sent, short and without what could pose as something else in a log or a reply. */
function clip(text: string): string {
  const plain = text.replace(/[^\x21-\x7e]/g, '?');
  return plain.length > 80 ? `${plain.slice(0, 77)}...` : plain;
}

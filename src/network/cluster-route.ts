// Which cluster a connection or UDP session goes to: the first rule whose source and destination match, and weights within it.
import * as z from 'zod';
import { integer, name, option, optionMeta, Refusal, scalar } from '../core/config/schema.js';
import { Cidr, ParsedAddress, PortRanges } from './cidr.js';
import type { ConnectionInfo } from './wire.js';

/** A list of texts, or one of them alone, or one text with commas. */
const words = z.preprocess((value) => {
  const list = Array.isArray(value) ? (value as unknown[]) : value === undefined ? value : [value];
  return Array.isArray(list) ? list.flatMap((one) => (typeof one === 'string' ? one.split(',').map((part) => part.trim()).filter((part) => part !== '') : [one])) : list;
}, z.array(cidrText()));

function cidrText(): z.ZodType<string, unknown> {
  const expected = 'an IP address or block such as 10.0.0.0/8 or fd00::/8';
  return scalar<string>({ expected, input: () => ({ type: 'string' }) }, (value) => (typeof value === 'string' && Cidr.parse(value) !== null ? value : new Refusal(expected)));
}
optionMeta.add(words, { expected: 'a list of IP addresses or blocks' });

/** The schema of a list of addresses and blocks. */
export function cidrs(): z.ZodType<string[], unknown> {
  return words as unknown as z.ZodType<string[], unknown>;
}

function ports(): z.ZodType<string, unknown> {
  const expected = 'ports such as 80, 8000-8999 or 80,443';
  return scalar<string>({ expected, input: () => ({ type: ['string', 'integer'] }) }, (value) => {
    const written = typeof value === 'number' ? String(value) : value;
    return typeof written === 'string' && PortRanges.parse(written) !== null ? written : new Refusal(expected);
  });
}

const weighted = z.array(
  z.strictObject({
    cluster: option(name(), { doc: 'Name of a cluster.' }),
    weight: option(integer(0, 1_000_000), { default: 1, doc: 'Share in proportion to the other weights; 0 takes none.' }),
  }),
);

const choice = {
  cluster: option(name(), { optional: true, doc: 'Name of the cluster.' }),
  weighted: option(weighted, { optional: true, doc: 'Several clusters with weights, in place of `cluster`; each gets exactly its share.' }),
};

const rule = z
  .strictObject({
    source: option(cidrs(), { default: [], doc: 'Addresses of clients. Default: all.' }),
    source_ports: option(ports(), { optional: true, doc: 'Ports of clients. Default: all.' }),
    destination: option(cidrs(), { default: [], doc: 'Addresses that clients asked for: the original destination where it is known, else where they connected to. Default: all.' }),
    destination_ports: option(ports(), { optional: true, doc: 'Ports that clients asked for. Default: all.' }),
    ...choice,
  })
  .refine(choosesOne, { message: 'one of cluster and weighted' });

function choosesOne(value: { cluster?: unknown; weighted?: readonly { weight: number }[] | undefined }): boolean {
  if (value.weighted !== undefined && !value.weighted.some(({ weight }) => weight > 0)) return false;
  return (value.cluster === undefined) !== (value.weighted === undefined);
}

/** Options by which a filter chooses a cluster; without a rule that matches, what stands beside the rules. */
export const clusterRouteShape = {
  ...choice,
  routes: option(z.array(rule), { default: [], doc: 'Rules, the first that matches decides; when none does, `cluster` or `weighted` beside them, or the connection is closed with no-route.' }),
};

/** For the refinement of a schema with `clusterRouteShape`. */
export function leadsSomewhere(value: { cluster?: unknown; weighted?: readonly { weight: number }[] | undefined; routes: readonly unknown[] }): boolean {
  if (value.cluster === undefined && value.weighted === undefined) return value.routes.length > 0;
  return choosesOne(value);
}

interface ChoiceConfig {
  readonly cluster?: string | undefined;
  readonly weighted?: readonly { readonly cluster: string; readonly weight: number }[] | undefined;
}

export interface ClusterRouteConfig extends ChoiceConfig {
  readonly routes: readonly (ChoiceConfig & {
    readonly source: readonly string[];
    readonly source_ports?: string | undefined;
    readonly destination: readonly string[];
    readonly destination_ports?: string | undefined;
  })[];
}

/** Every cluster that is named, with the path to the name. */
export function* clustersIn(config: ClusterRouteConfig): Generator<{ readonly name: string; readonly path: readonly (string | number)[] }> {
  yield* clustersOf(config, []);
  for (const [i, one] of config.routes.entries()) yield* clustersOf(one, ['routes', i]);
}

function* clustersOf(config: ChoiceConfig, path: readonly (string | number)[]): Generator<{ readonly name: string; readonly path: readonly (string | number)[] }> {
  if (config.cluster !== undefined) yield { name: config.cluster, path: [...path, 'cluster'] };
  for (const [i, { cluster }] of (config.weighted ?? []).entries()) yield { name: cluster, path: [...path, 'weighted', i, 'cluster'] };
}

/** Deals names out by weight: in any run of sum(weights) draws each comes exactly `weight` times (nginx's smooth weighted turns). */
class Turns {
  private readonly names: readonly string[];
  private readonly weights: readonly number[];
  private readonly current: number[];
  private readonly total: number;

  constructor(config: ChoiceConfig) {
    const list = (config.weighted ?? [{ cluster: config.cluster!, weight: 1 }]).filter(({ weight }) => weight > 0);
    this.names = list.map(({ cluster }) => cluster);
    this.weights = list.map(({ weight }) => weight);
    this.current = list.map(() => 0);
    this.total = this.weights.reduce((sum, weight) => sum + weight, 0);
  }

  next(): string {
    if (this.names.length === 1) return this.names[0]!;
    let best = 0;
    for (let i = 0; i < this.names.length; i++) {
      this.current[i]! += this.weights[i]!;
      if (this.current[i]! > this.current[best]!) best = i;
    }
    this.current[best]! -= this.total;
    return this.names[best]!;
  }
}

interface Rule {
  readonly source: readonly Cidr[];
  readonly sourcePorts: PortRanges | null;
  readonly destination: readonly Cidr[];
  readonly destinationPorts: PortRanges | null;
  readonly turns: Turns;
}

const source = new ParsedAddress();
const destination = new ParsedAddress();

const within = (blocks: readonly Cidr[], address: ParsedAddress): boolean => blocks.length === 0 || blocks.some((block) => block.has(address));

export class ClusterRoutes {
  private readonly rules: readonly Rule[];
  private readonly otherwise: Turns | null;

  constructor(config: ClusterRouteConfig) {
    this.rules = config.routes.map((one) => ({
      source: one.source.map((block) => Cidr.parse(block)!),
      sourcePorts: one.source_ports === undefined ? null : PortRanges.parse(one.source_ports),
      destination: one.destination.map((block) => Cidr.parse(block)!),
      destinationPorts: one.destination_ports === undefined ? null : PortRanges.parse(one.destination_ports),
      turns: new Turns(one),
    }));
    this.otherwise = config.cluster === undefined && config.weighted === undefined ? null : new Turns(config);
  }

  /** The name of the cluster for a client; null: no rule matches. A draw among weights counts, so ask once per connection. */
  choose(info: ConnectionInfo): string | null {
    const { rules } = this;
    if (rules.length > 0) {
      const redirected = info.originalAddress !== '';
      const port = redirected ? info.originalPort : info.localPort;
      source.parse(info.remoteAddress);
      destination.parse(redirected ? info.originalAddress : info.localAddress);
      for (const one of rules) {
        if (!within(one.source, source) || !within(one.destination, destination)) continue;
        if (one.sourcePorts !== null && !one.sourcePorts.has(info.remotePort)) continue;
        if (one.destinationPorts !== null && !one.destinationPorts.has(port)) continue;
        return one.turns.next();
      }
    }
    return this.otherwise === null ? null : this.otherwise.next();
  }
}

/** A hash of a client's address for balancers that go by one: the same address gives the same value everywhere. */
export function addressHash(info: ConnectionInfo): number {
  let h = 0x811c9dc5 | 0;
  const address = info.remoteAddress;
  for (let i = 0; i < address.length; i++) h = Math.imul(h ^ address.charCodeAt(i), 16777619);
  return h;
}

// The network filter ip_access: lets clients in or not by their address.
import * as z from 'zod';
import { oneOf, option } from '../../../core/config/schema.js';
import { SluiceError } from '../../../core/reason.js';
import { Cidr, ParsedAddress } from '../../../network/cidr.js';
import { cidrs } from '../../../network/cluster-route.js';
import type { NetworkFilter, NetworkFilterManifest } from '../../../network/filter.js';
import type { ConnectionInfo } from '../../../network/wire.js';

const action = oneOf(['allow', 'deny']);

const schema = z.strictObject({
  rules: option(
    z.array(
      z.strictObject({
        action: option(action, { doc: 'What becomes of a client whose address is listed.' }),
        addresses: option(cidrs(), { doc: 'IP addresses and blocks, such as 10.0.0.0/8 or fd00::/8.' }),
      }),
    ),
    { default: [], doc: 'Rules; the first that lists the address decides.' },
  ),
  default_action: option(action, { default: 'deny' as const, doc: 'What becomes of a client that no rule lists; clients of a unix socket have no address and are among these. Default deny.' }),
});

type IpAccessConfig = z.output<typeof schema>;

const parsed = new ParsedAddress();

class IpAccess implements NetworkFilter {
  readonly name = 'ip_access';
  private readonly rules: readonly { readonly allow: boolean; readonly blocks: readonly Cidr[] }[];
  private readonly otherwise: boolean;

  constructor(config: IpAccessConfig) {
    this.rules = config.rules.map(({ action: word, addresses }) => ({ allow: word === 'allow', blocks: addresses.map((text) => Cidr.parse(text)!) }));
    this.otherwise = config.default_action === 'allow';
  }

  admit(info: ConnectionInfo): SluiceError | null {
    return this.allows(info.remoteAddress) ? null : new SluiceError('ip-denied', { address: info.remoteAddress });
  }

  private allows(address: string): boolean {
    parsed.parse(address);
    for (const rule of this.rules) for (const block of rule.blocks) if (block.has(parsed)) return rule.allow;
    return this.otherwise;
  }
}

export const manifest: NetworkFilterManifest = {
  kind: 'network-filter',
  role: 'gate',
  name: 'ip_access',
  doc: 'Lets clients in or not by their address.',
  schema,
  create: (options) => new IpAccess(options as IpAccessConfig),
};

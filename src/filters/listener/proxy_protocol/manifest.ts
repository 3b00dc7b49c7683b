// The listener filter proxy_protocol: takes the client's address from the PROXY protocol header of a load balancer in front.
import * as z from 'zod';
import { duration, flag, option } from '../../../core/config/schema.js';
import { SluiceError } from '../../../core/reason.js';
import type { ListenerFilter, ListenerFilterManifest } from '../../../network/filter.js';
import type { ConnectionInfo } from '../../../network/wire.js';
import { readHeader } from './header.js';

const schema = z.strictObject({
  required: option(flag(), { default: true, doc: 'Whether a connection without the header is refused. Only a listener that nobody but the load balancer can reach may do with false: anyone else could claim any address. Default true.' }),
  timeout: option(duration(10_000, 1), { doc: 'Time for the header to arrive. Default 10 s.' }),
});

type Options = z.output<typeof schema>;

class ProxyProtocol implements ListenerFilter {
  readonly name = 'proxy_protocol';
  readonly timeout: number;
  private readonly required: boolean;

  constructor({ timeout, required }: Options) {
    this.timeout = timeout;
    this.required = required;
  }

  inspect(info: ConnectionInfo, buf: Uint8Array, start: number, end: number): number | SluiceError {
    return readHeader(info, buf, start, end, this.required);
  }

  late(): SluiceError | null {
    return this.required ? new SluiceError('proxy-protocol-bad', { detail: 'it did not arrive' }) : null;
  }
}

export const manifest: ListenerFilterManifest = {
  kind: 'listener-filter',
  name: 'proxy_protocol',
  doc: "Takes the client's address from the PROXY protocol header (version 1 or 2) of a load balancer in front.",
  schema,
  create: (options) => new ProxyProtocol(options as Options),
};

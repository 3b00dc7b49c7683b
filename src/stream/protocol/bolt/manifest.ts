// Bolt for the catalog: its options and how to make it.
import { flag, option, section, size } from '../../../core/config/schema.js';
import type { ProtocolManifest } from '../../protocol.js';
import { DEFAULT_MAX_FRAME } from './codec.js';
import { BoltProtocol, type BoltOptions } from './protocol.js';

const doc = 'SOFABolt v1 and v2, as spoken by SOFARPC: requests, one-way requests and heartbeats in either direction over shared connections.';

const schema = section({
  max_frame: option(size(DEFAULT_MAX_FRAME), { doc: 'Largest frame accepted. A larger one is passed over and refused with an error reply; one over 256 MiB costs its connection.' }),
  goaway: option(flag(), {
    default: false,
    doc: 'Whether clients are sent a go-away frame when the listener drains or their connection reaches its age. For listeners whose clients are proxies (Sluice, MOSN): these finish what runs and go elsewhere. Java clients of SOFABolt do not know the command and close the connection at once, with the calls that run on it; without the frame a connection is ended when it has been quiet for a second. Default false.',
  }),
}, 'Options of the protocol bolt.');

export const manifest: ProtocolManifest = {
  kind: 'protocol',
  name: 'bolt',
  doc,
  schema,
  create: (options) => new BoltProtocol(options as BoltOptions),
};

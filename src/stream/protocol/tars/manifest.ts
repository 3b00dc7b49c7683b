// Tars for the catalog: its options and how to make it.
import { flag, oneOf, option, section, size } from '../../../core/config/schema.js';
import type { ProtocolManifest } from '../../protocol.js';
import { DEFAULT_MAX_FRAME } from './codec.js';
import { TarsProtocol, type TarsOptions } from './protocol.js';

const doc = 'Tars RPC, TARS and TUP: requests and one-way requests over shared connections.';

const schema = section({
  max_frame: option(size(DEFAULT_MAX_FRAME), { doc: 'Largest frame accepted. A larger one is passed over and refused with an error reply; one over 256 MiB costs its connection. Frames are gathered whole: replies over 32 MiB and requests over 64 MiB do not pass, whatever is said here.' }),
  ping: option(oneOf(['answer', 'forward']), {
    default: 'answer' as const,
    doc: 'What happens to tars_ping of a client: `answer` treats it as a heartbeat of the connection, which Sluice answers; `forward` routes it like any other call, for clients that ask by it whether a servant works. Default answer.',
  }),
  goaway: option(flag(), {
    default: false,
    doc: 'Whether clients are sent a packet "_reconnect_" when the listener drains or their connection reaches its age. For listeners whose clients are of TarsGo or proxies: these finish what runs and connect anew. Clients of TarsCpp close the connection at once, with the calls that run on it; without the packet a connection is ended when it has been quiet for a second. Default false.',
  }),
}, 'Options of the protocol tars.');

export const manifest: ProtocolManifest = {
  kind: 'protocol',
  name: 'tars',
  doc,
  schema,
  create: (options) => new TarsProtocol(options as TarsOptions),
};

// Framed Thrift for the catalog: its options and how to make it.
import { oneOf, option, section, size } from '../../../core/config/schema.js';
import type { ProtocolManifest } from '../../protocol.js';
import { DEFAULT_MAX_FRAME } from '../../thrift/codec.js';
import { ThriftProtocol, type ThriftOptions } from './protocol.js';

const doc = 'Apache Thrift over the framed transport: binary (strict and old) and compact messages in any mix, multiplexed services, one-way calls.';

const schema = section({
  max_frame: option(size(DEFAULT_MAX_FRAME), { doc: 'Largest frame accepted. A larger one is passed over and refused with an exception; one over 256 MiB costs its connection.' }),
  replies: option(oneOf(['auto', 'in-order']), {
    default: 'auto',
    doc: 'Of a listener: when a client gets its replies in the order of its calls. `auto` once it sends a call with sequence number 0, or with one that is in use, which means that it does not tell replies apart; `in-order` always, for clients that count their calls and yet rely on order. Default auto.',
  }),
}, 'Options of the protocol thrift.');

export const manifest: ProtocolManifest = {
  kind: 'protocol',
  name: 'thrift',
  doc,
  schema,
  create: (options) => new ThriftProtocol(options as ThriftOptions),
};

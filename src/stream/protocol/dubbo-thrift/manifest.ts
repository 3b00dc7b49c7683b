// Thrift with Dubbo's header for the catalog: its options and how to make it.
import { option, section, size } from '../../../core/config/schema.js';
import type { ProtocolManifest } from '../../protocol.js';
import { DEFAULT_MAX_FRAME } from '../../thrift/codec.js';
import { DubboThriftProtocol, type DubboThriftOptions } from './protocol.js';

const doc = "Framed binary Thrift with Dubbo's header (the protocol `thrift` of Dubbo 2), whose id lets calls share connections.";

const schema = section({
  max_frame: option(size(DEFAULT_MAX_FRAME), { doc: 'Largest frame accepted. A larger one is passed over and refused with an exception; one over 256 MiB costs its connection.' }),
}, 'Options of the protocol dubbo-thrift.');

export const manifest: ProtocolManifest = {
  kind: 'protocol',
  name: 'dubbo-thrift',
  doc,
  schema,
  create: (options) => new DubboThriftProtocol(options as DubboThriftOptions),
};

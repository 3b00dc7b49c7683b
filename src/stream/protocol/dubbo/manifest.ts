// Dubbo for the catalog: its options and how to make it.
import { flag, integer, option, section, size } from '../../../core/config/schema.js';
import type { ProtocolManifest } from '../../protocol.js';
import { DEFAULT_EXCEPTION_STATUS, DEFAULT_MAX_FRAME, DEFAULT_MAX_WHOLE } from './codec.js';
import { DubboProtocol, type DubboOptions } from './protocol.js';

const doc = 'The dubbo protocol of Apache Dubbo (not Triple): requests, one-way requests, heartbeats and events in either direction over shared connections.';

const schema = section({
  max_frame: option(size(DEFAULT_MAX_FRAME), { doc: 'Largest frame accepted. A larger one is passed over and refused with an error reply; one over 256 MiB costs its connection.' }),
  max_whole: option(size(DEFAULT_MAX_WHOLE), {
    doc: 'Requests up to this size are gathered before they are routed, because their attachments (group among them) come last. Of longer ones, which pass in pieces, routes and filters see service, version and method only.',
  }),
  obey_timeout: option(flag(), {
    default: true,
    doc: 'Whether the attachment `timeout` of a request, which Dubbo 3 always sends, limits its time instead of the timeout of the route. False spares looking for it in requests whose route asks for no attachment. Default true.',
  }),
  exception_status: option(integer(200, 599), {
    default: DEFAULT_EXCEPTION_STATUS,
    doc: 'HTTP-like status under which a reply counts that carries an exception which the service threw. The default is seen in metrics, and neither retried nor held against the host; 500 is.',
  }),
  goaway: option(flag(), {
    default: false,
    doc: 'Whether clients are sent the event READONLY when the listener drains or their connection reaches its age. Clients with several providers then call the others and let running calls finish. A Dubbo 3 client that has no other provider than this listener fails its calls until the connection is closed and made anew. Default false.',
  }),
}, 'Options of the protocol dubbo.');

export const manifest: ProtocolManifest = {
  kind: 'protocol',
  name: 'dubbo',
  doc,
  schema,
  create: (options) => new DubboProtocol(options as DubboOptions),
};

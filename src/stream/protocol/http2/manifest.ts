// The protocol http2: HTTP/2 and, over it, gRPC and Dubbo's Triple.
import * as z from 'zod';
import { integer, option, size } from '../../../core/config/schema.js';
import type { ProtocolManifest } from '../../protocol.js';
import { NAME } from './head.js';
import { Http2 } from './protocol.js';

const schema = z
  .strictObject({
    max_head: option(size(64 * 1024), { doc: 'Largest decoded head accepted, as RFC 9113 counts it (names, values and 32 bytes for each header); a larger one is answered with 431.' }),
    max_streams: option(integer(1, 65_535), { default: 128, doc: 'Most requests that a client may have open on one connection; further ones are refused and may be sent again. Default 128.' }),
    stream_window: option(size(256 * 1024), { doc: 'Bytes of content that a peer may send on one stream before they have gone on to the other side: what a slow reader can make the proxy hold.' }),
  })
  .superRefine((value, context) => {
    if (value.max_head < 1024 || value.max_head > 1024 * 1024) context.addIssue({ code: 'custom', path: ['max_head'], message: 'from 1KiB to 1MiB' });
    if (value.stream_window < 16_384 || value.stream_window > 16 * 1024 * 1024) context.addIssue({ code: 'custom', path: ['stream_window'], message: 'from 16KiB to 16MiB' });
  });

type Options = z.output<typeof schema>;

export const manifest: ProtocolManifest = {
  kind: 'protocol',
  name: NAME,
  family: 'http',
  alpn: 'h2',
  doc: 'HTTP/2 over TLS (ALPN h2) or in clear (h2c), and what runs over it: gRPC with all kinds of streams, Triple.',
  schema,
  create(options: unknown): Http2 {
    const { max_head: maxHead, max_streams: maxStreams, stream_window: streamWindow } = options as Options;
    // One less, so that content of a round size does not end exactly where the window does: Node's servers then cut it off.
    return new Http2({ maxHead, maxStreams, streamWindow: streamWindow - 1 });
  },
};

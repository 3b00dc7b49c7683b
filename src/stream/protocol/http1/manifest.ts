// The protocol http1: HTTP/1.0 and HTTP/1.1.
import * as z from 'zod';
import { integer, option, size } from '../../../core/config/schema.js';
import type { ProtocolManifest } from '../../protocol.js';
import { NAME } from './head.js';
import { Http1 } from './protocol.js';

const schema = z
  .strictObject({
    max_line: option(size(8 * 1024), { doc: 'Longest request line (or status line) accepted, without its line end; a longer one is answered with 414.' }),
    max_head: option(size(64 * 1024), { doc: 'Largest head accepted, start line and headers together, and largest trailer section; a larger one is answered with 431.' }),
    max_headers: option(integer(1, 4096), { default: 128, doc: 'Most headers in a head or a trailer section; more are answered with 431.' }),
  })
  .superRefine((value, context) => {
    if (value.max_line < 64) context.addIssue({ code: 'custom', path: ['max_line'], message: 'at least 64 bytes' });
    if (value.max_head < value.max_line) context.addIssue({ code: 'custom', path: ['max_head'], message: 'at least max_line' });
    if (value.max_head > 16 * 1024 * 1024) context.addIssue({ code: 'custom', path: ['max_head'], message: 'at most 16MiB' });
  });

type Options = z.output<typeof schema>;

export const manifest: ProtocolManifest = {
  kind: 'protocol',
  name: NAME,
  family: 'http',
  alpn: 'http/1.1',
  doc: 'HTTP/1.1 and HTTP/1.0: keep-alive, pipelining, chunked bodies and trailers, upgrades and CONNECT as tunnels.',
  schema,
  create(options: unknown): Http1 {
    const { max_line: maxLine, max_head: maxHead, max_headers: maxHeaders } = options as Options;
    return new Http1({ maxLine, maxHead, maxHeaders });
  },
};

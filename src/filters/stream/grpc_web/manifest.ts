// The stream filter grpc_web: calls of gRPC-Web clients go on as gRPC.
import * as z from 'zod';
import { flag, option, size } from '../../../core/config/schema.js';
import type { StreamFilterManifest } from '../../../stream/filter.js';
import { GrpcWeb, type GrpcWebConfig } from './filter.js';

export const manifest: StreamFilterManifest = {
  kind: 'stream-filter',
  name: 'grpc_web',
  doc: 'Carries calls of gRPC-Web clients (browsers) to gRPC hosts, over HTTP/1.1 and HTTP/2. Other requests pass as they are.',
  schema: z.strictObject({
    enabled: option(flag(), { default: true, doc: 'Whether calls of gRPC-Web are carried; false leaves them to hosts that know gRPC-Web themselves. Default true.' }),
    max_request: option(size(4 * 1024 * 1024), { doc: 'Largest content of a request, which is passed on whole. Default 4MiB.' }),
  }),
  create: (options) => new GrpcWeb(options as GrpcWebConfig),
};

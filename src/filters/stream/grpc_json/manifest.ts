// The stream filter grpc_json: HTTP with JSON goes on as gRPC, by the rules of a descriptor set.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { brotliCompressSync, constants } from 'node:zlib';
import * as z from 'zod';
import { flag, oneOf, option, size, text } from '../../../core/config/schema.js';
import type { OptionFault, StreamFilterManifest } from '../../../stream/filter.js';
import { compile, GrpcJson, type GrpcJsonConfig } from './filter.js';

/** A larger file is something else. */
const MAX_SET = 64 * 1024 * 1024;

function read(file: string): Buffer {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    throw new Error(`cannot read ${file}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`);
  }
  if (bytes.length > MAX_SET) throw new Error(`${file} is larger than 64MiB`);
  return bytes;
}

/** What the file holds travels with the configuration: workers that start later serve what was checked, whatever became of the file. */
function absolute(options: unknown, directory: string): GrpcJsonConfig {
  const config = options as GrpcJsonConfig;
  if (config.descriptor === '') return config;
  const descriptor = resolve(directory, config.descriptor);
  try {
    const params = { [constants.BROTLI_PARAM_QUALITY]: 4 };
    return { ...config, descriptor, set: brotliCompressSync(read(descriptor), { params }).toString('base64') };
  } catch {
    return { ...config, descriptor };
  }
}

function faults(options: unknown): OptionFault[] {
  const config = options as GrpcJsonConfig;
  if (!config.enabled || config.descriptor === '') return [];
  try {
    if (config.set === undefined) read(config.descriptor);
    compile(config);
    return [];
  } catch (error) {
    return [{ path: ['descriptor'], text: `a descriptor set with HTTP rules: ${(error as Error).message}` }];
  }
}

export const manifest: StreamFilterManifest = {
  kind: 'stream-filter',
  name: 'grpc_json',
  doc: 'Carries requests of HTTP with JSON to gRPC hosts, by the HTTP rules (google.api.http) of a descriptor set.',
  schema: z.strictObject({
    enabled: option(flag(), { default: true, doc: 'Whether requests are carried. Default true.' }),
    descriptor: option(text(), { default: '', doc: 'File with the descriptor set, made by `protoc --include_imports --descriptor_set_out=FILE` or `buf build -o FILE`, seen from the folder of this configuration; read again with it. Default: none, and nothing is carried.' }),
    services: option(z.array(text()), { default: [], doc: 'Services that are served, as package.Service. Default: all of the set.' }),
    all_methods: option(flag(), { default: false, doc: 'Methods without a rule can be called by POST /package.Service/Method with the message as content. Default false.' }),
    unknown_path: option(oneOf(['next', 'pass', 'not_found']), { default: 'next' as const, doc: 'What becomes of requests that no rule fits: the next route that matches gets them, they pass as they are, or they end with status 404. Default next.' }),
    ignore_unknown: option(flag(), { default: false, doc: 'Members of JSON and parameters of queries that no field has are passed over rather than refused. Default false.' }),
    defaults: option(flag(), { default: false, doc: 'Replies have fields with default values, too. Default false.' }),
    proto_names: option(flag(), { default: false, doc: 'Replies have the names of fields as in the .proto file rather than in camel case. Default false.' }),
    enum_numbers: option(flag(), { default: false, doc: 'Replies have enums as numbers rather than as names. Default false.' }),
    max_body: option(size(4 * 1024 * 1024), { doc: 'Largest content of a request, of a reply that is no stream, and of each message of a stream. Default 4MiB.' }),
  }),
  absolute,
  faults,
  create: (options) => new GrpcJson(options as GrpcJsonConfig),
};

// Finds the calls among the requests of a route by the rules of its descriptor set, and gives each its bridge.
import { createHash } from 'node:crypto';
import { brotliDecompressSync } from 'node:zlib';
import type { Exchange } from '../../../stream/exchange.js';
import { CONTINUE, REPLIED, type StreamFilter, type Verdict } from '../../../stream/filter.js';
import { headerName, type Head } from '../../../stream/head.js';
import { JsonBridge } from './bridge.js';
import { Transcoder } from './transcoder.js';

export interface GrpcJsonConfig {
  readonly enabled: boolean;
  readonly descriptor: string;
  /** What was in the file when the configuration was read: brotli, in base64. */
  readonly set?: string;
  readonly services: readonly string[];
  readonly all_methods: boolean;
  readonly unknown_path: 'next' | 'pass' | 'not_found';
  readonly ignore_unknown: boolean;
  readonly defaults: boolean;
  readonly proto_names: boolean;
  readonly enum_numbers: boolean;
  readonly max_body: number;
}

const METHOD = headerName(':method');
const PATH = headerName(':path');
const ACCEPT = headerName('accept');
const CONTENT_TYPE = headerName('content-type');

/** By the options, which live as long as the configuration that has them. */
const compiled = new WeakMap<GrpcJsonConfig, Transcoder>();
/** By what the options say: a newer configuration that says the same goes on with the same. */
const alike = new Map<string, WeakRef<Transcoder>>();

/** Throws an Error that says what is wrong with the descriptor set. */
export function compile(config: GrpcJsonConfig): Transcoder {
  let transcoder = compiled.get(config);
  if (transcoder !== undefined) return transcoder;
  const key = createHash('sha256').update(JSON.stringify(config)).digest('base64');
  transcoder = alike.get(key)?.deref() ?? build(config);
  for (const [other, ref] of alike) if (ref.deref() === undefined) alike.delete(other);
  alike.set(key, new WeakRef(transcoder));
  compiled.set(config, transcoder);
  return transcoder;
}

function build(config: GrpcJsonConfig): Transcoder {
  return new Transcoder(brotliDecompressSync(Buffer.from(config.set ?? '', 'base64')), {
    services: config.services,
    allMethods: config.all_methods,
    ignoreUnknown: config.ignore_unknown,
    defaults: config.defaults,
    protoNames: config.proto_names,
    enumNumbers: config.enum_numbers,
  });
}

const inForce = (config: GrpcJsonConfig): boolean => config.enabled && config.descriptor !== '';

export class GrpcJson implements StreamFilter {
  readonly name = 'grpc_json';
  private readonly config: GrpcJsonConfig;

  constructor(config: GrpcJsonConfig) {
    this.config = config;
    this.prepare(config);
  }

  /** What a route says is put together before its first request. */
  prepare(options: unknown): void {
    const config = options as GrpcJsonConfig;
    if (inForce(config)) compile(config);
  }

  onRoute(exchange: Exchange, head: Head): Verdict {
    if (exchange.bridge !== null) return CONTINUE;
    // Each round is another route, of which there are finitely many.
    for (;;) {
      const config = (exchange.route!.filters.get('grpc_json') as GrpcJsonConfig | undefined) ?? this.config;
      if (!inForce(config) || head.get(CONTENT_TYPE)?.startsWith('application/grpc') === true) return CONTINUE;
      const bridge = bridgeFor(exchange, head, config);
      if (bridge !== null) {
        exchange.bridge = bridge;
        return CONTINUE;
      }
      if (config.unknown_path === 'pass') return CONTINUE;
      if (config.unknown_path === 'not_found' || !exchange.nextRoute()) {
        exchange.fail('no-route', { detail: `the descriptor set has no rule for ${head.get(METHOD) ?? ''} ${pathOf(head)}` });
        return REPLIED;
      }
    }
  }
}

function pathOf(head: Head): string {
  const target = head.get(PATH) ?? '/';
  const query = target.indexOf('?');
  return query < 0 ? target : target.slice(0, query);
}

function bridgeFor(exchange: Exchange, head: Head, config: GrpcJsonConfig): JsonBridge | null {
  const target = head.get(PATH) ?? '/';
  const at = target.indexOf('?');
  const transcoder = compile(config);
  const found = transcoder.find(head.get(METHOD) ?? '', at < 0 ? target : target.slice(0, at));
  if (found === null) return null;
  const accept = found.binding.responseStream ? head.get(ACCEPT) : undefined;
  return new JsonBridge(exchange, { ...found, transcoder, query: at < 0 ? '' : target.slice(at + 1), limit: config.max_body, lines: accept?.includes('application/x-ndjson') === true });
}

// The HTTP server of one kind of SDK: takes JSON under any content type, refuses web pages, and answers in the words of the kind.
import { fastify, type FastifyInstance } from 'fastify';
import { type Address, showAddress } from '../../core/config/schema.js';
import type { Log } from '../../core/log.js';
import { refusal } from '../admin/guard.js';
import { MeshRefusal } from './side.js';

const MAX_BODY = 1024 * 1024;

/** One operation of an SDK: gets what the body holds, returns what is answered; throws MeshRefusal for what cannot be done. */
export interface Operation {
  readonly path: string;
  readonly run: (body: Readonly<Record<string, unknown>>) => Promise<object>;
}

export interface EndpointOptions {
  readonly address: Address;
  readonly hosts: readonly string[];
  readonly operations: readonly Operation[];
  readonly pages: Readonly<Record<string, () => unknown>>;
  /** What is answered in place of a result, with status 200: the SDKs look into the body. */
  readonly failed: (message: string) => object;
  /** Counts a request by path and outcome. */
  readonly count: (path: string, ok: boolean) => void;
  readonly log: Log;
}

export interface Endpoint {
  readonly address: string;
  close(): Promise<void>;
}

const isMap = (value: unknown): value is Readonly<Record<string, unknown>> => value !== null && typeof value === 'object' && !Array.isArray(value);

/** Rejects when the address cannot be listened on. */
export async function startEndpoint(options: EndpointOptions): Promise<Endpoint> {
  const { address, hosts, operations, pages, failed, count, log } = options;
  const names = new Set(hosts.map((name) => name.toLowerCase()));
  const app = fastify({ logger: false, bodyLimit: MAX_BODY, forceCloseConnections: true, requestTimeout: 10_000, keepAliveTimeout: 30_000, routerOptions: { ignoreTrailingSlash: true } });
  app.addHook('onRequest', async (request, reply) => {
    // The SDK of SOFARPC sends JSON as text/plain, which the guard would refuse: it is the other signs of a web page that count.
    const refused = refusal(request.method, { ...request.headers, 'content-type': undefined }, names, address.path !== undefined);
    if (refused === null) return undefined;
    log.warn({ url: request.url, host: request.headers.host, code: refused.code }, 'a request to the mesh was refused');
    return reply.code(refused.status).send(failed(refused.message));
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => done(null, body));
  for (const { path, run } of operations) {
    app.post(path, async (request, reply) => {
      let answer: object;
      let ok = true;
      try {
        answer = await run(parse(request.body));
      } catch (error) {
        ok = false;
        if (error instanceof MeshRefusal) log.warn({ path, why: error.message }, 'an application was refused');
        else log.error({ path, err: error }, 'a request of an application failed');
        answer = failed(error instanceof Error ? error.message : String(error));
      }
      count(path, ok);
      return reply.type('application/json; charset=utf-8').send(JSON.stringify(answer));
    });
  }
  for (const [path, show] of Object.entries(pages)) {
    app.get(path, async (_request, reply) => reply.type('application/json; charset=utf-8').send(`${JSON.stringify(show(), null, 2)}\n`));
  }
  app.setNotFoundHandler(async (request, reply) => reply.code(404).send(failed(`there is no ${request.method} ${request.url.split('?')[0]}; there are ${operations.map(({ path }) => `POST ${path}`).join(', ')}`)));
  app.setErrorHandler(async (error: Error & { statusCode?: number }, _request, reply) => reply.code(error.statusCode ?? 500).send(failed(error.message)));
  if (address.path === undefined) await app.listen({ host: address.host === '' ? '::' : address.host, port: address.port });
  else await app.listen({ path: address.path });
  return { address: bound(app, address), close: () => app.close() };
}

function bound(app: FastifyInstance, asked: Address): string {
  const found = app.server.address();
  return found === null || typeof found === 'string' ? showAddress(asked) : showAddress({ host: found.address, port: found.port });
}

function parse(body: unknown): Readonly<Record<string, unknown>> {
  let data: unknown;
  try {
    data = JSON.parse(typeof body === 'string' ? body : '');
  } catch {
    throw new MeshRefusal('the body is not JSON');
  }
  if (!isMap(data)) throw new MeshRefusal('the body is not a JSON object');
  return data;
}

/** A text of a body; '' where there is none or null. Numbers are texts too: one SDK's port is "20880", another's 20880. */
export function textOf(body: Readonly<Record<string, unknown>>, key: string): string {
  const value = body[key];
  if (value === undefined || value === null) return '';
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (typeof value !== 'string') throw new MeshRefusal(`${key} is not a text`);
  return value;
}

/** An object within a body; empty where there is none or null. */
export function mapOf(body: Readonly<Record<string, unknown>>, key: string): Readonly<Record<string, unknown>> {
  const value = body[key];
  if (value === undefined || value === null) return {};
  if (!isMap(value)) throw new MeshRefusal(`${key} is not an object`);
  return value;
}

/** The texts and numbers of a map, for the metadata of an instance. */
export function textsOf(map: Readonly<Record<string, unknown>>): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [key, value] of Object.entries(map).slice(0, 64)) if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') found[key] = String(value);
  return found;
}

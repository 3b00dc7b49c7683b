// The admin over HTTP: what runs and in what state, for people, probes and scrapers, and the few things that can be changed while running.
import { fastify, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { clock } from '../../core/clock.js';
import { type Address, duration, showAddress } from '../../core/config/schema.js';
import type { Log } from '../../core/log.js';
import { nearest } from '../../core/nearest.js';
import { PROMETHEUS_CONTENT_TYPE } from '../../core/stats-prometheus.js';
import type { Operations } from '../operations.js';
import { redact } from '../redact.js';
import { refusal } from './guard.js';
import { overview, overviewHtml, overviewText, pages } from './page.js';
import { clustersText, configText, connectionsText, countersText, listenersText, readyText, showAge, workersText } from './text.js';

const DEFAULT_CONNECTIONS = 1000;
const MAX_CONNECTIONS = 100_000;
const MAX_BODY = 64 * 1024;

export interface AdminOptions {
  readonly operations: Operations;
  readonly address: Address;
  /** Further names by which the admin may be called, see guard.ts. */
  readonly hosts?: readonly string[];
  readonly log?: Log;
}

export interface Admin {
  /** "127.0.0.1:2050", with the port that was given when 0 was asked for. */
  readonly address: string;
  /** Stops listening and closes every connection. */
  close(): Promise<void>;
}

type Query = Readonly<Record<string, string | undefined>>;

const query = (request: FastifyRequest): Query => request.query as Query;

/** Which form the caller wants: `?format=`, else the first that `accept` names; JSON for those who take anything. */
function formOf(request: FastifyRequest): 'json' | 'text' | 'html' {
  const asked = query(request)['format'];
  if (asked === 'json' || asked === 'text' || asked === 'html') return asked;
  for (const part of (request.headers.accept ?? '').split(',')) {
    const type = part.split(';')[0]!.trim().toLowerCase();
    if (type === 'text/html') return 'html';
    if (type === 'text/plain') return 'text';
    if (type === 'application/json' || type === '*/*') return 'json';
  }
  return 'json';
}

/** Sends a value as JSON, or in the words of `text` to those who want text. A browser that follows a link gets JSON. */
async function answer<T>(request: FastifyRequest, reply: FastifyReply, value: T, text: (value: T) => string): Promise<FastifyReply> {
  if (formOf(request) === 'text') return reply.type('text/plain; charset=utf-8').send(text(value));
  return reply.type('application/json; charset=utf-8').send(`${JSON.stringify(value, null, 2)}\n`);
}

async function refuse(reply: FastifyReply, status: number, code: string, message: string): Promise<FastifyReply> {
  return reply.code(status).type('application/json; charset=utf-8').send(`${JSON.stringify({ error: { code, message } }, null, 2)}\n`);
}

/** A value of the body, or of the query. */
function given(request: FastifyRequest, name: string): unknown {
  const body = request.body as Record<string, unknown> | null | undefined;
  return body !== null && typeof body === 'object' ? (body[name] ?? query(request)[name]) : query(request)[name];
}

function addReads(app: FastifyInstance, operations: Operations): void {
  app.get('/', async (request, reply) => {
    const now = await overview(operations, clock.wall());
    const form = formOf(request);
    if (form === 'html') return reply.type('text/html; charset=utf-8').send(overviewHtml(now));
    // Whoever takes anything (curl) is a person at a terminal here.
    if (form === 'json' && /json/.test(`${request.headers.accept} ${query(request)['format']}`)) return reply.type('application/json').send(`${JSON.stringify({ ...now, config: undefined, pages }, null, 2)}\n`);
    return reply.type('text/plain; charset=utf-8').send(overviewText(now));
  });
  app.get('/ready', async (request, reply) => {
    const state = operations.ready();
    return answer(request, reply.code(state.ready ? 200 : 503), state, readyText);
  });
  app.get('/healthz', async (request, reply) => answer(request, reply, { alive: true }, () => 'alive\n'));
  app.get('/version', async (request, reply) => {
    const state = { version: operations.version, node: process.versions.node, pid: process.pid, started: new Date(operations.startedAt).toISOString(), uptimeMs: Math.max(0, Math.round(clock.wall() - operations.startedAt)) };
    return answer(request, reply, state, (s) => `sluice ${s.version}, node ${s.node}, process ${s.pid}, up ${showAge(s.uptimeMs)}\n`);
  });
  app.get('/config', async (request, reply) => {
    const state = operations.config();
    return answer(request, reply, { ...state, effective: redact(state.effective) }, configText);
  });
  app.get('/listeners', async (request, reply) => answer(request, reply, await operations.listeners(), listenersText));
  app.get('/clusters', async (request, reply) => answer(request, reply, await operations.clusters(), clustersText));
  app.get('/workers', async (request, reply) => answer(request, reply, await operations.workers(), workersText));
  app.get('/connections', async (request, reply) => {
    const asked = query(request)['limit'] ?? String(DEFAULT_CONNECTIONS);
    const limit = Number(asked);
    if (!/^\d+$/.test(asked) || limit < 1 || limit > MAX_CONNECTIONS) return refuse(reply, 400, 'bad-limit', `limit is a number from 1 to ${MAX_CONNECTIONS}`);
    return answer(request, reply, await operations.connections(limit), connectionsText);
  });
  app.get('/counters', async (request, reply) => {
    const prefix = query(request)['prefix'] ?? '';
    const counters = Object.fromEntries(Object.entries(operations.counters()).filter(([name]) => name.startsWith(prefix)));
    return answer(request, reply, counters, countersText);
  });
  app.get('/metrics', async (_request, reply) => reply.type(PROMETHEUS_CONTENT_TYPE).send(await operations.metrics()));
  app.get('/log/level', async (request, reply) => answer(request, reply, { level: operations.logLevel() }, (s) => `${s.level}\n`));
}

function addWrites(app: FastifyInstance, operations: Operations, log: Log | undefined): void {
  app.put('/log/level', async (request, reply) => {
    const level = given(request, 'level');
    if (typeof level !== 'string' || !operations.setLogLevel(level)) return refuse(reply, 400, 'bad-level', 'level is one of trace, debug, info, warn, error, fatal, silent');
    log?.info({ level }, 'the log level was changed by the admin');
    return answer(request, reply, { level: operations.logLevel() }, (s) => `${s.level}\n`);
  });
  app.post('/reload', async (request, reply) => {
    const problems = await operations.reload();
    return answer(request, reply.code(problems.length === 0 ? 200 : 422), { taken: problems.length === 0, problems }, (s) => (s.taken ? 'taken\n' : s.problems.map((problem) => `${problem}\n`).join('')));
  });
  app.post('/drain', async (request, reply) => {
    await operations.drain();
    return answer(request, reply.code(202), { draining: true }, () => 'draining\n');
  });
  app.post('/stop', async (request, reply) => {
    const asked = given(request, 'deadline');
    const deadline = asked === undefined ? undefined : duration().safeParse(asked);
    if (deadline?.success === false) return refuse(reply, 400, 'bad-deadline', 'deadline is a duration such as 5s, or 0 for at once');
    // The process may end before anything else happens, so the answer goes first.
    reply.raw.once('close', () => void operations.stop(deadline?.data));
    return answer(request, reply.code(202), { stopping: true }, () => 'stopping\n');
  });
}

/** Starts the admin. Rejects when the address cannot be listened on. */
export async function startAdmin(options: AdminOptions): Promise<Admin> {
  const { operations, address, log } = options;
  const names = new Set((options.hosts ?? []).map((name) => name.toLowerCase()));
  const app = fastify({ logger: false, bodyLimit: MAX_BODY, forceCloseConnections: true, requestTimeout: 10_000, keepAliveTimeout: 30_000, routerOptions: { ignoreTrailingSlash: true } });

  app.addHook('onRequest', async (request, reply) => {
    reply.headers({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff', 'x-frame-options': 'DENY', 'referrer-policy': 'no-referrer', 'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'" });
    const refused = refusal(request.method, request.headers, names, address.path !== undefined);
    if (refused !== null) {
      log?.debug({ method: request.method, url: request.url, host: request.headers.host, code: refused.code }, 'the admin refused a request');
      return refuse(reply, refused.status, refused.code, refused.message);
    }
    return undefined;
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, body, done) => {
    if (body === '') return done(null, null);
    try {
      done(null, JSON.parse(body as string) as unknown);
    } catch {
      done(Object.assign(new Error('the body is not JSON'), { statusCode: 400, code: 'not-json' }), undefined);
    }
  });
  app.setNotFoundHandler(async (request, reply) => {
    const path = request.url.split('?')[0]!;
    const methods = pages.filter((page) => page.path === path).map((page) => page.method);
    if (methods.length > 0) return refuse(reply.header('allow', methods.join(', ')), 405, 'wrong-method', `${path} takes ${methods.join(' and ')}`);
    const [near] = nearest(path, pages.map((page) => page.path));
    return refuse(reply, 404, 'no-page', `there is no ${path}${near === undefined ? '' : `; did you mean ${near}?`}; / lists everything`);
  });
  app.setErrorHandler(async (error: Error & { statusCode?: number; code?: string }, request, reply) => {
    const status = error.statusCode ?? 500;
    if (status >= 500) log?.error({ err: error, url: request.url }, 'the admin failed to answer');
    return refuse(reply, status, error.code?.toLowerCase().replaceAll('_', '-') ?? 'failed', error.message);
  });
  addReads(app, operations);
  addWrites(app, operations, log);

  if (address.path === undefined) await app.listen({ host: address.host === '' ? '::' : address.host, port: address.port });
  else await app.listen({ path: address.path });
  return { address: boundAddress(app, address), close: () => app.close() };
}

function boundAddress(app: FastifyInstance, asked: Address): string {
  const bound = app.server.address();
  if (bound === null || typeof bound === 'string') return showAddress(asked);
  return showAddress({ host: bound.address, port: bound.port });
}

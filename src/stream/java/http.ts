// The HTTP side of bridges to services of Java: which method a request is for, its arguments, and replies in JSON.
import { reasons, sentence, type ReasonCode, type ReasonContext } from '../../core/reason.js';
import type { Exchange } from '../exchange.js';
import { headerName, type Head } from '../head.js';
import { ListHead } from '../list-head.js';
import type { LocalReply } from '../protocol.js';
import { callOf, type Call } from './arguments.js';
import { JsonFault, parseJson } from './json.js';

const METHOD = headerName(':method');
const PATH = headerName(':path');
const JSON_TYPE = ['content-type', 'application/json'] as const;

/** What a route says of the calls that go by it. '' where the path is to say it. */
export interface Target {
  readonly prefix: string;
  readonly service: string;
  readonly method: string;
  /** Java types of the parameters, by `method` or `service.method`. */
  readonly types: Readonly<Record<string, readonly string[]>>;
  /** Classes that requests may name, or packages as `com.example.*`. */
  readonly allowed_classes: readonly string[];
}

export interface NamedCall extends Call {
  readonly service: string;
  readonly method: string;
}

/** `com.example.Hello`, for SOFA with `:version` and `:unique id`. */
const SERVICE = /^[\w$]+(?:[.-][\w$]+)*(?::[\w.-]+){0,2}$/;
const METHOD_NAME = /^[A-Za-z_]\w*$/;

/** The call that a request asks for; null: the exchange was answered, with what is wrong. */
export function readCall(exchange: Exchange, head: Head, body: Uint8Array, target: Target): NamedCall | null {
  const verb = head.get(METHOD);
  if (verb !== 'POST') {
    exchange.answerWith(405, errorJson('method-not-allowed', 'calls are made by POST'), [JSON_TYPE, ['allow', 'POST']]);
    return null;
  }
  try {
    const { service, method } = namesOf(head.get(PATH) ?? '/', target);
    const known = target.types[`${service.replace(/:.*/, '')}.${method}`] ?? target.types[method];
    const call = callOf(isBlank(body) ? undefined : parseJson(body), known, target.allowed_classes);
    return { service, method, types: call.types, args: call.args };
  } catch (error) {
    if (!(error instanceof JsonFault)) throw error;
    exchange.fail('bad-request', { detail: error.message });
    return null;
  }
}

function namesOf(target: string, { prefix, service, method }: Target): { service: string; method: string } {
  if (service !== '' && method !== '') return { service, method };
  const query = target.indexOf('?');
  let path: string;
  try {
    path = decodeURIComponent(query < 0 ? target : target.slice(0, query));
  } catch {
    throw new JsonFault('the path is not encoded as it has to be');
  }
  const form = `${prefix}${[service === '' ? 'SERVICE' : '', method === '' ? 'METHOD' : ''].filter((part) => part !== '').join('/')}`;
  const parts = path.startsWith(prefix) ? path.slice(prefix.length).split('/') : [];
  const wanted = Number(service === '') + Number(method === '');
  const named = { service: service === '' ? (parts[0] ?? '') : service, method: method === '' ? (parts.at(-1) ?? '') : method };
  if (parts.length !== wanted || !SERVICE.test(named.service) || !METHOD_NAME.test(named.method)) throw new JsonFault(`the path is not ${form}`);
  return named;
}

function isBlank(body: Uint8Array): boolean {
  for (const c of body) if (c !== 0x20 && c !== 0x0a && c !== 0x0d && c !== 0x09) return false;
  return true;
}

export function jsonReply(status: number, json: string, headers: readonly (readonly [string, string])[] = []): ListHead {
  const head = new ListHead([JSON_TYPE, ...headers], status);
  head.setBody(Buffer.from(json));
  return head;
}

/** A failure of the service or of its server. `className` '' where no exception of Java is known. */
export function failureReply(status: number, fields: { readonly class?: string; readonly status?: string; readonly message: string }, reason = ''): ListHead {
  return jsonReply(status, JSON.stringify({ error: fields }), reason === '' ? [] : [['x-sluice-reason', reason]]);
}

/** Ends an exchange whose host's reply cannot be passed on; what is returned stands for the reply that is none. */
export function failedReply(exchange: Exchange, code: ReasonCode, context: ReasonContext): ListHead {
  exchange.fail(code, context);
  return new ListHead([], reasons[code].http);
}

function errorJson(code: string, message: string): string {
  return JSON.stringify({ error: { code, message } });
}

/** A reply of the proxy itself as JSON, except for what filters and routes answer. */
export function localAsJson(reply: LocalReply): LocalReply {
  if (reasons[reply.code].kind === 'ok') return reply;
  const text = typeof reply.body === 'string' ? reply.body : Buffer.from(reply.body).toString();
  const headers = reply.headers.filter(([name]) => name.toLowerCase() !== 'content-type');
  return { ...reply, headers: [...headers, JSON_TYPE], body: errorJson(reply.code, text === '' ? sentence(reply.code) : text) };
}

/** Headers of HTTP that are about a connection or the framing of a content. */
export const notForwarded: ReadonlySet<string> = new Set([
  'connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade', 'http2-settings', 'te', 'trailer', 'host', 'expect', 'content-length',
]);

/** Whole ms that a header names, from 1 to 2^31 - 1; 0 where it is not there or makes no sense. */
export function timeoutOf(text: string | undefined): number {
  return text !== undefined && /^\d{1,10}$/.test(text) && Number(text) < 0x8000_0000 ? Number(text) : 0;
}

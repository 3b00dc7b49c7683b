// What bridges to gRPC share: the head of a call made of an HTTP request, what of a host's reply goes back, and the status at the end of a call.
import { reasons, sentence, type ReasonCode, type ReasonContext } from '../../core/reason.js';
import type { Exchange } from '../exchange.js';
import { headerName, type Head } from '../head.js';
import type { LocalReply } from '../protocol.js';
import { grpcMessage, grpcOfHttp, grpcOfReason, GRPC_INTERNAL, GRPC_INVALID_ARGUMENT, GRPC_OK, GRPC_UNKNOWN, httpOfGrpc } from '../protocol/http2/grpc.js';
import type { Http2Head } from '../protocol/http2/head.js';
import { madeReply, madeRequest } from '../protocol/http2/made.js';

export { grpcMessage, GRPC_INTERNAL, GRPC_INVALID_ARGUMENT, GRPC_OK, httpOfGrpc, madeReply };

const AUTHORITY = headerName(':authority');
const SCHEME = headerName(':scheme');
const CONTENT_TYPE = headerName('content-type');
const GRPC_STATUS = headerName('grpc-status');
const GRPC_MESSAGE = headerName('grpc-message');
const STATUS = headerName(':status');

/** Headers of a request that are about its connection or its content, and not about the call. */
const notMetadata = new Set([
  'connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade', 'http2-settings', 'te', 'trailer', 'host', 'expect',
  'content-type', 'content-length', 'content-encoding', 'accept', 'accept-encoding', 'grpc-encoding', 'grpc-accept-encoding',
]);

export type Fields = (readonly [string, string])[];

/** The name of the protocol that hosts have to speak, by what the client of an exchange speaks: nothing but HTTP/2 carries gRPC. */
export function protocolToHosts(exchange: Exchange): string {
  return exchange.down.protocol.name === 'http2' ? '' : 'http2';
}

/** The head of the call `path` with the content `body`: what the client sent as headers goes on as metadata, and so does grpc-timeout. */
export function callHead(head: Head, path: string, contentType: string, fields: Fields, body: Uint8Array): Http2Head {
  const all: Fields = [['content-type', contentType], ['te', 'trailers'], ...fields];
  const made = new Set(fields.map(([name]) => name));
  head.each((name, value) => {
    const lower = name.toLowerCase();
    if (!notMetadata.has(lower) && !made.has(lower)) all.push([lower, value]);
  });
  const scheme = head.get(SCHEME);
  const call = madeRequest({ method: 'POST', path, authority: head.get(AUTHORITY) ?? '', scheme: scheme === undefined || scheme === '' ? 'http' : scheme }, all);
  call.setBody(body);
  return call;
}

/** Whether a reply is one of gRPC; others come from what stands before the service, and mean that it was not reached. */
export function isGrpc(head: Head): boolean {
  return head.get(CONTENT_TYPE)?.startsWith('application/grpc') === true || head.find(GRPC_STATUS);
}

/** Headers of a reply that say something of the call rather than of its framing. */
export function replyMetadata(head: Head): Fields {
  const fields: Fields = [];
  head.each((name, value) => {
    const lower = name.toLowerCase();
    if (!lower.startsWith('grpc-') && lower !== 'content-length' && lower !== 'content-type' && lower !== 'trailer' && !notMetadata.has(lower)) fields.push([lower, value]);
  });
  return fields;
}

export interface CallStatus {
  readonly code: number;
  /** Decoded. */
  readonly message: string;
}

/** The status of a call: from trailers, or from the head of a reply that has nothing else. null: the host named none. */
export function statusOf(head: Head | null): CallStatus | null {
  const text = head?.get(GRPC_STATUS);
  if (head === null || text === undefined) return null;
  const code = /^\d{1,3}$/.test(text) ? Number(text) : GRPC_UNKNOWN;
  return { code, message: decodedMessage(head.get(GRPC_MESSAGE) ?? '') };
}

/** The status that stands for a reply which is none of gRPC ("HTTP to gRPC Status Code Mapping"). */
export function statusOfForeign(head: Head): CallStatus {
  const status = Number(head.get(STATUS) ?? head.status);
  const code = grpcOfHttp(status);
  const type = head.get(CONTENT_TYPE);
  return { code: code === GRPC_OK ? GRPC_UNKNOWN : code, message: `the host answered with HTTP status ${status}${type === undefined ? '' : ` and ${type}`}, which is no gRPC` };
}

/** grpc-status of a reply that the proxy makes itself. */
export function statusOfLocal(reply: LocalReply): CallStatus {
  const code = reasons[reply.code].kind === 'ok' ? grpcOfHttp(reply.status) : grpcOfReason(reply.code);
  return { code, message: typeof reply.body === 'string' ? reply.body : Buffer.from(reply.body).toString() };
}

export function statusOfFailure(code: ReasonCode, context: ReasonContext): CallStatus {
  return { code: grpcOfReason(code), message: sentence(code, context) };
}

/** Logs and metrics have the status of a call, wherever in the reply it came. */
export function noteStatus(exchange: Exchange, status: CallStatus): void {
  exchange.record.status = httpOfGrpc(status.code);
  exchange.record.rawStatus = status.code;
}

/** The host ended a call without saying how it went. */
export const NO_STATUS: CallStatus = { code: GRPC_INTERNAL, message: 'the host ended the call without a status' };

/** grpc-message as it is meant: what is no valid encoding stays as it came. */
export function decodedMessage(text: string): string {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

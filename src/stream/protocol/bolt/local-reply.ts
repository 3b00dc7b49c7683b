// Replies that the proxy makes itself, so that real Bolt clients show the reason instead of hanging or dropping their connection.
import { reasons, sentence } from '../../../core/reason.js';
import type { LocalReply } from '../../protocol.js';
import {
  CLASS_EXCEPTION, CLASS_RESPONSE, CODEC_HESSIAN2, CODEC_PROTOBUF, COMMAND_RESPONSE, EMPTY, TYPE_RESPONSE, V1, V2, buildFrame, buildHeaders,
} from './frame.js';
import type { BoltHead } from './head.js';
import { DRAFT, FINAL, HessianWriter, type Dialect } from './hessian.js';
import { REASON_HEADER, SUCCESS, statusOfHttp, statusOfReason } from './status.js';

const classException = Buffer.from(CLASS_EXCEPTION);
const classResponse = Buffer.from(CLASS_RESPONSE);

/** Most characters of an error's text. */
const MAX_TEXT = 8192;

/** First byte of a request's content in the dialect FINAL: a class definition. */
const FINAL_DEFINITION = 0x43;

function pack(proto: number, ver1: number, codec: number, switches: number, dialect: number): number {
  return (dialect << 20) | (proto << 18) | (ver1 << 16) | (codec << 8) | switches;
}

/** What a reply must mirror of this request, as one number: layout, version in it, codec, switch, and the dialect of its Hessian. */
export function mirrorOf(head: BoltHead): number {
  const dialect = head.whole && head.bodyEnd > head.bodyStart && head.bodyBuf[head.bodyStart] === FINAL_DEFINITION ? FINAL : DRAFT;
  return mirrorOfFrame(head.buf, head.start, dialect);
}

/** The same of the frame that begins at buf[at]. */
export function mirrorOfFrame(buf: Uint8Array, at: number, dialect: Dialect): number {
  return buf[at] === V2 ? pack(V2, buf[at + 1]!, buf[at + 10]!, buf[at + 11]!, dialect) : pack(V1, 1, buf[at + 9]!, 0, dialect);
}

/**
 * Success (a direct response): a SofaResponse whose result is the body text; under another codec than Hessian the body as it is.
 *
 * Any other status: what SOFABolt's own server sends for a failure, an RpcServerException in Hessian, whatever the request's codec
 * (the frame says which codec it is in). The Node client shows its text under every status, the Java client under "server exception".
 * Protobuf is the exception: there both clients read plain text, and a header says that it is an error. The code of the reason is a
 * header too.
 */
export function buildLocalReply(id: number, reply: LocalReply): Buffer {
  const mirror = reply.mirror < 0 ? pack(V1, 1, CODEC_HESSIAN2, 0, DRAFT) : reply.mirror;
  const dialect = ((mirror >> 20) & 1) as Dialect;
  const status = reasons[reply.code].kind === 'ok' ? statusOfHttp(reply.status) : statusOfReason(reply.code);
  let codec = (mirror >> 8) & 0xff;
  const protobuf = codec === CODEC_PROTOBUF;
  let className = classResponse;
  let content: Uint8Array;
  if (status === SUCCESS) {
    content = codec === CODEC_HESSIAN2 ? sofaResponse(dialect, textOf(reply.body)) : bytesOf(reply.body);
  } else {
    const text = (reply.body.length === 0 ? `${sentence(reply.code)} (${reply.code})` : textOf(reply.body)).slice(0, MAX_TEXT);
    if (protobuf) {
      content = Buffer.from(text);
    } else {
      codec = CODEC_HESSIAN2;
      className = classException;
      content = serverException(dialect, text);
    }
  }
  const headers: (readonly [string, string])[] = [];
  if (protobuf) headers.push(['sofa_head_response_error', status === SUCCESS ? 'false' : 'true']);
  if (reasons[reply.code].kind !== 'ok') headers.push([REASON_HEADER, reply.code]);
  headers.push(...reply.headers);
  return buildFrame({
    proto: (mirror >> 18) & 3,
    ver1: (mirror >> 16) & 3,
    switches: mirror & 0xff,
    type: TYPE_RESPONSE,
    command: COMMAND_RESPONSE,
    id,
    codec,
    timeoutOrStatus: status,
    className,
    headers: headers.length === 0 ? EMPTY : buildHeaders(headers),
    content,
  });
}

function textOf(body: string | Uint8Array): string {
  return typeof body === 'string' ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString();
}

function bytesOf(body: string | Uint8Array): Uint8Array {
  return typeof body === 'string' ? Buffer.from(body) : body;
}

/** A successful result that is this text; '' is the result null. */
export function sofaResponse(dialect: Dialect, text: string): Buffer {
  const w = new HessianWriter(dialect).object(CLASS_RESPONSE, ['isError', 'errorMsg', 'appResponse', 'responseProps']).boolean(false).null();
  if (text === '') w.null();
  else w.string(text);
  return w.null().take();
}

function serverException(dialect: Dialect, text: string): Buffer {
  return new HessianWriter(dialect)
    .object(CLASS_EXCEPTION, ['detailMessage', 'stackTrace', 'cause'])
    .string(text)
    .list('[java.lang.StackTraceElement', [])
    .null()
    .take();
}

// Replies that the proxy makes itself, so that real Thrift clients show the reason instead of hanging or dropping their connection.
import { reasons, sentence } from '../../core/reason.js';
import type { LocalReply } from '../protocol.js';
import { COMPACT, EXCEPTION, EMPTY, type Form, REPLY_MESSAGE, buildFrame, putU32, putVarint, varintLength } from './frame.js';
import { typeOfHttp, typeOfReason } from './status.js';

/** Most characters of an error's text. */
const MAX_TEXT = 8192;
const STOP = Buffer.from([0]);

/** To whom a reply goes: what was kept of the request. */
export interface Addressee {
  readonly form: Form;
  readonly seqid: number;
  readonly name: Uint8Array;
  readonly dubbo: { readonly service: Uint8Array; readonly high: number; readonly low: number } | null;
}

/**
 * Success (a direct response): a reply whose result is the body as a string; without a body that of a void method. Any other status: an
 * exception message with a TApplicationException, whose text ends with the code of the reason, where a proxy in front finds it again.
 */
export function buildLocalReply(to: Addressee, reply: LocalReply): Buffer {
  const { kind } = reasons[reply.code];
  if (kind === 'ok' && reply.status < 400) {
    const result = reply.body.length === 0 ? STOP : resultOf(to.form, bytesOf(reply.body));
    return buildFrame({ ...to, type: REPLY_MESSAGE, content: result });
  }
  const own = kind === 'ok' ? `status ${reply.status}` : sentence(reply.code);
  const text = (reply.body.length === 0 ? own : textOf(reply.body)).slice(0, MAX_TEXT);
  const type = kind === 'ok' ? typeOfHttp(reply.status) : typeOfReason(reply.code);
  return buildFrame({ ...to, type: EXCEPTION, content: applicationException(to.form, kind === 'ok' ? text : `${text} (${reply.code})`, type) });
}

function textOf(body: string | Uint8Array): string {
  return typeof body === 'string' ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString();
}

function bytesOf(body: string | Uint8Array): Uint8Array {
  return typeof body === 'string' ? Buffer.from(body) : body;
}

/** A result struct: field 0 is a string. */
export function resultOf(form: Form, value: Uint8Array): Buffer {
  if (form !== COMPACT) return Buffer.concat([Buffer.from([11, 0, 0]), lengthOf(value.length), value, STOP]);
  // A field whose id is no higher than the one before has the id behind the type.
  return Buffer.concat([Buffer.from([8, 0]), varint(value.length), value, STOP]);
}

/** The struct TApplicationException { 1: string message, 2: i32 type }. */
export function applicationException(form: Form, message: string, type: number): Buffer {
  const text = message === '' ? EMPTY : Buffer.from(message);
  if (form !== COMPACT) return Buffer.concat([Buffer.from([11, 0, 1]), lengthOf(text.length), text, Buffer.from([8, 0, 2]), lengthOf(type), STOP]);
  return Buffer.concat([Buffer.from([0x18]), varint(text.length), text, Buffer.from([0x15]), varint((type << 1) ^ (type >> 31)), STOP]);
}

function lengthOf(n: number): Buffer {
  const b = Buffer.allocUnsafe(4);
  putU32(b, 0, n);
  return b;
}

function varint(v: number): Buffer {
  const b = Buffer.allocUnsafe(varintLength(v));
  putVarint(b, 0, v, b.length);
  return b;
}

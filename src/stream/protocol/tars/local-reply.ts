// Replies that the proxy makes itself, and its heartbeats: packets in the version of the request, so that clients show the reason.
import { reasons, sentence } from '../../../core/reason.js';
import type { LocalReply } from '../../protocol.js';
import { type TarsHead, EMPTY } from './head.js';
import { JceBuilder } from './jce.js';
import { PING, RECONNECT } from './packet.js';
import { REASON_HEADER, SUCCESS, codeOfHttp, codeOfReason } from './status.js';

export const TARS = 1;
const TUP_COMPLEX = 2;
const TUP_SIMPLE = 3;

/** Most characters of an error's text. */
const MAX_TEXT = 8192;

type Pairs = readonly (readonly [string, string])[];

/** What a reply must mirror of this request, as one number: its version and message type. */
export function mirrorOf(head: TarsHead): number {
  return ((head.messageType & 0xffffff) << 4) | head.version;
}

/** The buffer of a function that returns this value, given as a field of tag 0; null for one that returns nothing. */
function returning(version: number, type: string, value: Buffer | null): Buffer {
  if (version !== TUP_COMPLEX && version !== TUP_SIMPLE) return value ?? EMPTY;
  // A map of the results by name, that of the function itself under '': clients read it before they look at the result code.
  const attributes = new JceBuilder().map(0, []).take();
  if (value === null) return attributes;
  const entry = new JceBuilder().raw(Buffer.of(0x08)).int(0, 1).string(0, '');
  if (version === TUP_SIMPLE) return entry.bytes(1, value).take();
  return entry.raw(Buffer.of(0x18)).int(0, 1).string(0, type).bytes(1, value).take();
}

function packet(version: number, messageType: number, id: number, code: number, text: string, buffer: Uint8Array, context: Pairs, status: Pairs): Buffer {
  const w = new JceBuilder().int(1, version).int(2, 0);
  if (version !== TUP_COMPLEX && version !== TUP_SIMPLE) {
    return w.int(3, id | 0).int(4, messageType).int(5, code).bytes(6, buffer).map(7, status).string(8, text).map(9, context).frame();
  }
  const result: Pairs = code === SUCCESS ? [] : [['STATUS_RESULT_CODE', String(code)], ['STATUS_RESULT_DESC', text]];
  return w.int(3, messageType).int(4, id | 0).string(5, '').string(6, '').bytes(7, buffer).int(8, 0).map(9, context).map(10, [...result, ...status]).frame();
}

/**
 * Success (a direct response): a function whose result is the body's text, or, where it is bytes, a buffer of just these; '' is a
 * function that returns nothing. Anything else: a result code of the framework with the text as its description, and the code of the
 * reason in the status.
 */
export function buildLocalReply(id: number, reply: LocalReply): Buffer {
  const mirror = reply.mirror < 0 ? TARS : reply.mirror;
  const version = mirror & 15;
  const ok = reasons[reply.code].kind === 'ok';
  const code = ok ? codeOfHttp(reply.status) : codeOfReason(reply.code);
  const { body } = reply;
  if (code === SUCCESS) {
    const buffer = typeof body !== 'string' ? body : returning(version, 'string', body === '' ? null : new JceBuilder().string(0, body).take());
    return packet(version, mirror >>> 4, id, code, '', buffer, reply.headers, []);
  }
  const text = (body.length === 0 ? `${sentence(reply.code)} (${reply.code})` : textOf(body)).slice(0, MAX_TEXT);
  return packet(version, mirror >>> 4, id, code, text, returning(version, '', null), reply.headers, ok ? [] : [[REASON_HEADER, reply.code]]);
}

function textOf(body: string | Uint8Array): string {
  return typeof body === 'string' ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString();
}

/** The answer of a servant to tars_ping: the number 0, which some clients insist on and the others do not look at. */
export function buildPong(ping: TarsHead): Buffer {
  const zero = new JceBuilder().int(0, 0).take();
  return packet(ping.version, ping.messageType, ping.id, SUCCESS, '', returning(ping.version, 'int32', zero), [], []);
}

/** tars_ping, asked of this servant. `timeout` in ms. */
export function buildPing(servant: Uint8Array, id: number, timeout: number): Buffer {
  return new JceBuilder().int(1, TARS).int(2, 0).int(3, 0).int(4, id).string(5, servant).string(6, PING).bytes(7, EMPTY).int(8, timeout).map(9, []).map(10, []).frame();
}

/** What servers of TarsGo send before they stop. */
export function buildReconnect(): Buffer {
  return new JceBuilder().int(1, TARS).int(2, 0).int(3, 0).int(4, 0).int(5, SUCCESS).bytes(6, EMPTY).map(7, []).string(8, RECONNECT).frame();
}

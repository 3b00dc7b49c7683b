// Replies that the proxy makes itself: real clients show their text, whatever serialization they speak.
import { reasons, sentence } from '../../../core/reason.js';
import type { LocalReply } from '../../protocol.js';
import { FASTJSON2, HESSIAN2, RESULT_NULL, RESULT_VALUE, SERIALIZATION_MASK, buildFrame } from './frame.js';
import { stringValue } from './hessian.js';
import { jsonbItem } from './jsonb.js';
import { OK, statusOfHttp, statusOfReason } from './status.js';

/** Most characters of an error's text. */
const MAX_TEXT = 8192;

/**
 * A reply in the serialization of the request (`mirror`) where the proxy can write it, else in Hessian 2, which the frame says and Java
 * clients read whatever they sent. Ok: the body's text as a result, '' as null. Else a status and a text, which ends in the reason's code:
 * Dubbo's error replies have no attachments, and a proxy in front finds it there. The id is to be filled in.
 */
export function buildLocalReply(reply: LocalReply): Buffer {
  const ok = reasons[reply.code].kind === 'ok';
  const status = ok ? statusOfHttp(reply.status) : statusOfReason(reply.code);
  const serialization = (reply.mirror & SERIALIZATION_MASK) === FASTJSON2 && reply.mirror >= 0 ? FASTJSON2 : HESSIAN2;
  let text = typeof reply.body === 'string' ? reply.body : Buffer.from(reply.body).toString();
  if (status === OK) return buildFrame(serialization, OK, 0, result(serialization, text));
  if (text === '') text = sentence(reply.code);
  text = text.slice(0, MAX_TEXT);
  if (!ok) text += ` (${reply.code})`;
  return buildFrame(serialization, status, 0, serialization === FASTJSON2 ? jsonbItem(text) : stringValue(text));
}

/** A result that is this text; '' is null. Without attachments, which versions before 2.6.3 do not know. */
export function result(serialization: number, text: string): Buffer {
  const kind = text === '' ? RESULT_NULL : RESULT_VALUE;
  if (serialization !== FASTJSON2) return Buffer.concat([Buffer.from([0x90 + kind]), kind === RESULT_NULL ? Buffer.alloc(0) : stringValue(text)]);
  const flag = Buffer.from([0, 0, 0, 2, 0xbd, kind]);
  return kind === RESULT_NULL ? flag : Buffer.concat([flag, jsonbItem(text)]);
}

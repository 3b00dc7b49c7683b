// The reply of a server that answers every request with what it was sent: for routes that end in the proxy, and for tests.
import { headerName } from '../../head.js';
import { FASTJSON2, HESSIAN2, RESULT_VALUE_ATTACHMENTS, buildFrame } from './frame.js';
import type { DubboHead } from './head.js';
import { END, MAP, begin, skip, stringValue } from './hessian.js';
import { result } from './local-reply.js';
import { OK } from './status.js';

const service = headerName(':service');
const method = headerName(':rpc-method');

/**
 * The reply to a whole request, its id the number of the request. A call in Hessian with one argument that is a plain value gets that
 * back, any other a sentence about the call; attachments come back with `echo-by` added, where the serialization is Hessian.
 */
export function echoReply(head: DubboHead, content: Uint8Array, name: string): Buffer {
  const text = `${name} got ${head.get(service) ?? '?'}.${head.get(method) ?? '?'}, ${content.length} bytes`;
  const { serialization } = head;
  if (serialization !== HESSIAN2) return buildFrame(serialization === FASTJSON2 ? FASTJSON2 : HESSIAN2, OK, head.id, result(serialization, text));
  const map: Uint8Array[] = [Buffer.from([MAP])];
  head.each((key, value) => {
    if (key !== 'echo-by') map.push(stringValue(key), stringValue(value));
  });
  map.push(stringValue('echo-by'), stringValue(name), Buffer.from([END]));
  const value = plainArgument(content, head.argumentsAt - head.bodyStart) ?? stringValue(text);
  return buildFrame(HESSIAN2, OK, head.id, Buffer.concat([Buffer.from([0x90 + RESULT_VALUE_ATTACHMENTS]), value, ...map]));
}

/** The first argument where it is no list, map or object, which may refer to others; null otherwise. */
function plainArgument(body: Uint8Array, at: number): Uint8Array | null {
  if (at < 0 || at >= body.length) return null;
  const tag = body[at]!;
  if (tag === MAP || tag === 0x43 || tag === 0x4d || tag === 0x4f || tag === 0x51 || (tag >= 0x55 && tag <= 0x58) || (tag >= 0x60 && tag < 0x80)) return null;
  begin();
  const to = skip(body, at, body.length, 1);
  return to < 0 ? null : body.subarray(at, to);
}


// What the terminal echo answers a Thrift call with: its first argument as the result, for trying a proxy without a server of one's own.
import { headerName } from '../head.js';
import { COMPACT, EMPTY, type Form, REPLY_MESSAGE, buildFrame } from './frame.js';
import type { ThriftHead } from './head.js';

const method = headerName(':rpc-method');
const service = headerName(':service');

/**
 * The reply to a call, under the codec's own id for it, which `ThriftCodec.encodeWhole` replaces by the numbers of the client. The field
 * with id 1 becomes that with id 0, a result; clients skip what follows it, since no exception that they know has its type.
 */
export function echoReply(head: ThriftHead, content: Uint8Array): Buffer {
  const name = head.find(method) ? Buffer.from(head.vbuf.subarray(head.vstart, head.vend)) : EMPTY;
  const named = head.dubbo && head.find(service) ? Buffer.from(head.vbuf.subarray(head.vstart, head.vend)) : EMPTY;
  return buildFrame({
    form: head.form,
    type: REPLY_MESSAGE,
    seqid: head.id,
    name,
    content: resultOf(head.form, content),
    dubbo: head.dubbo ? { service: named, high: 0, low: head.id } : null,
  });
}

function resultOf(form: Form, content: Uint8Array): Buffer {
  const bytes = Buffer.from(content);
  if (form === COMPACT) {
    // The id of a field is the difference to that before, or stands behind its type: 1x is x with id 1, 0x 00 is x with id 0.
    return bytes.length > 1 && bytes[0]! >> 4 === 1 ? Buffer.concat([Buffer.from([bytes[0]! & 15, 0]), bytes.subarray(1)]) : bytes;
  }
  if (bytes.length > 3 && bytes[0] !== 0 && bytes[1] === 0 && bytes[2] === 1) bytes[2] = 0;
  return bytes;
}

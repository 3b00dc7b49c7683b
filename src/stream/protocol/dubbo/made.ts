// Requests that the process makes itself, as heads that codecs send: for bridges.
import { ALONE, REQUEST, SHARED } from '../../head.js';
import { MAX_WHOLE } from './codec.js';
import { FLAG_REQUEST, FLAG_TWO_WAY, HEADER, HESSIAN2, buildFrame } from './frame.js';
import { DubboHead } from './head.js';

/** The head of a request that awaits a reply, with this body in Hessian 2; the encoder puts the id in, and edits work as on any other. */
export function madeDubbo(body: Uint8Array): DubboHead {
  const flags = FLAG_REQUEST | FLAG_TWO_WAY | HESSIAN2;
  const frame = buildFrame(flags, 0, 0, body);
  const head = new DubboHead();
  head.kind = REQUEST;
  head.flags = flags;
  head.buf = frame;
  head.end = frame.length;
  head.whole = true;
  head.bodyBuf = frame;
  head.bodyStart = HEADER;
  head.bodyEnd = frame.length;
  head.peekEnd = frame.length;
  head.length = body.length;
  head.sharing = frame.length > MAX_WHOLE ? ALONE : SHARED;
  return head;
}

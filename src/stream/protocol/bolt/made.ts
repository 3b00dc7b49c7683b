// Frames that the process makes itself, as heads that codecs send: for bridges.
import { ONEWAY, REPLY, REQUEST } from '../../head.js';
import { TYPE_ONEWAY, TYPE_RESPONSE, buildFrame, fixedLength, type FrameParts } from './frame.js';
import { BoltHead } from './head.js';
import { httpOfReply } from './status.js';

/** The head of a whole frame of its own bytes, whose id the encoder puts in; edits of it work as on any other. A class or header block over 64 KiB: RangeError. */
export function madeBolt(parts: FrameParts): BoltHead {
  const frame = buildFrame(parts);
  const head = new BoltHead();
  const fixed = fixedLength(parts.proto, parts.type);
  head.buf = frame;
  head.end = frame.length;
  head.proto = parts.proto;
  head.fixed = fixed;
  head.blockStart = fixed + parts.className.length;
  head.blockEnd = head.blockStart + parts.headers.length;
  head.id = parts.id;
  head.whole = true;
  head.bodyBuf = frame;
  head.bodyStart = head.blockEnd;
  head.bodyEnd = head.blockEnd + parts.content.length;
  head.length = parts.content.length;
  if (parts.type === TYPE_RESPONSE) {
    head.kind = REPLY;
    head.rawStatus = parts.timeoutOrStatus;
    head.status = parts.timeoutOrStatus === 0 ? 200 : httpOfReply(head, parts.timeoutOrStatus);
  } else {
    head.kind = parts.type === TYPE_ONEWAY ? ONEWAY : REQUEST;
  }
  return head;
}

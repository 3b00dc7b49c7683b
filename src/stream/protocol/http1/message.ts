// Writes the beginning of a message: its head, the lines that frame it on this connection, and the content that lies whole in it.
import { MAX_RESERVE, type Output, type Writer } from '../../../core/bytes.js';
import type { Head } from '../../head.js';
import { NAME, SCAN_REQUEST, type Http1Head } from './head.js';
import { roomFor } from './room.js';
import { CHUNKED_LINE, FRAME_ROOM, LAST_CHUNK, CRLF, foreignFields, foreignHead, headSize, writeConnection, writeHead, writeLength, writeRuns } from './write.js';

/**
 * `length` is what content-length says, -1 for none; `said` is what the connection header says (SAY_*); `content`: the head's whole
 * content is written behind it. One reservation for all that fits one.
 */
export function writeMessage(out: Output, head: Head, length: number, chunked: boolean, said: number, content: boolean): void {
  const body = content ? head.bodyEnd - head.bodyStart : 0;
  if (head.protocol === NAME) {
    writeOwn(out, head as Http1Head, length, chunked, said, body);
    return;
  }
  const lines = foreignHead(head);
  const size = lines.length + FRAME_ROOM;
  const together = size + body <= MAX_RESERVE;
  const place = roomFor(out, together ? size + body : size);
  const w = place.writer;
  w.bytes(lines, 0, lines.length);
  if (length >= 0) writeLength(w, length);
  endHead(w, chunked, said);
  if (together && body > 0) w.bytes(head.bodyBuf, head.bodyStart, head.bodyEnd);
  place.done(out);
  if (!together && body > 0) out.write(head.bodyBuf, head.bodyStart, head.bodyEnd);
}

function writeOwn(out: Output, head: Http1Head, length: number, chunked: boolean, said: number, body: number): void {
  const asCame = head.sentLength === length;
  if (!asCame) head.dropLength();
  const size = headSize(head) + FRAME_ROOM;
  const together = size + body <= MAX_RESERVE;
  const place = roomFor(out, together ? size + body : size);
  const w = place.writer;
  let left = together ? body : 0;
  if (said === 0 && !chunked && (asCame || length < 0) && head.addedCount === 0 && !head.rehost && (head.hostIndex >= 0 || head.scanning !== SCAN_REQUEST)) {
    // Nothing is added, so the last run goes on over the blank line, and over the content where that follows it.
    if (left > 0 && head.bodyBuf === head.buf && head.bodyStart === head.start + head.headEnd) {
      writeRuns(w, head, head.headEnd + left);
      left = 0;
    } else {
      writeRuns(w, head, head.headEnd);
    }
  } else {
    writeHead(w, head);
    if (!asCame && length >= 0) writeLength(w, length);
    endHead(w, chunked, said);
  }
  if (left > 0) w.bytes(head.bodyBuf, head.bodyStart, head.bodyEnd);
  place.done(out);
  if (!together && body > 0) out.write(head.bodyBuf, head.bodyStart, head.bodyEnd);
}

function endHead(w: Writer, chunked: boolean, said: number): void {
  if (chunked) w.bytes(CHUNKED_LINE, 0, CHUNKED_LINE.length);
  if (said !== 0) writeConnection(w, said);
  w.buf[w.pos++] = 13;
  w.buf[w.pos++] = 10;
}

/** Writes the end of a chunked body; `trailers` null: none. */
export function writeTrailers(out: Output, trailers: Head | null): void {
  if (trailers === null) {
    const w = out.out(LAST_CHUNK.length);
    w.bytes(LAST_CHUNK, 0, LAST_CHUNK.length);
    return;
  }
  if (trailers.protocol !== NAME) {
    const text = Buffer.from(`0\r\n${foreignFields(trailers)}\r\n`);
    out.write(text, 0, text.length);
    return;
  }
  const head = trailers as Http1Head;
  const place = roomFor(out, headSize(head) + FRAME_ROOM);
  const w = place.writer;
  w.bytes(LAST_CHUNK, 0, 3);
  writeHead(w, head);
  w.bytes(CRLF, 0, 2);
  place.done(out);
}

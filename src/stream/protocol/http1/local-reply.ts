// Replies that the proxy makes itself: plain text, with the reason's code in a header where something went wrong.
import { MAX_RESERVE, type Output } from '../../../core/bytes.js';
import { reasons } from '../../../core/reason.js';
import type { LocalReply } from '../../protocol.js';
import { TOKEN, consistsOf } from './chars.js';
import { roomFor } from './room.js';
import { CRLF, FRAME_ROOM, cleanValue, phraseOf, writeConnection, writeLength, writeText } from './write.js';

/** Headers of a local reply that the codec writes itself. */
const framing = ['content-length', 'transfer-encoding', 'connection', 'keep-alive', 'proxy-connection', 'upgrade'];

/** Writes the whole reply. `said` is what its connection header says; `bodiless` is true for an answer to HEAD. */
export function writeLocalReply(out: Output, reply: LocalReply, said: number, bodiless: boolean): void {
  const status = reply.status >= 200 && reply.status <= 999 ? reply.status : 500;
  const empty = status === 204 || status === 304;
  const body = reply.body;
  const length = empty ? 0 : typeof body === 'string' ? Buffer.byteLength(body) : body.length;
  let lines = `HTTP/1.1 ${status} ${phraseOf(status)}\r\n`;
  if (reasons[reply.code].kind !== 'ok') lines += `x-sluice-reason: ${reply.code}\r\n`;
  let typed = length === 0;
  for (const [name, value] of reply.headers) {
    const lower = name.toLowerCase();
    if (framing.includes(lower) || !consistsOf(name, TOKEN)) continue;
    if (lower === 'content-type') typed = true;
    lines += `${lower}: ${cleanValue(value)}\r\n`;
  }
  if (!typed) lines += 'content-type: text/plain; charset=utf-8\r\n';
  const sent = bodiless ? 0 : length;
  const size = 3 * lines.length + FRAME_ROOM;
  const together = size + sent <= MAX_RESERVE;
  const place = roomFor(out, together ? size + sent : size);
  const w = place.writer;
  writeText(w, lines);
  if (!empty) writeLength(w, length);
  writeConnection(w, said);
  w.bytes(CRLF, 0, 2);
  if (together && sent > 0) {
    if (typeof body === 'string') writeText(w, body);
    else w.bytes(body, 0, sent);
  }
  place.done(out);
  if (!together && sent > 0) out.write(typeof body === 'string' ? Buffer.from(body) : body, 0, sent);
}

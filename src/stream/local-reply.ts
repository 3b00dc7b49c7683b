// Replies that the proxy makes itself: from a reason, a filter, a route or a terminal, in one protocol-neutral shape.
import { sentence, type ReasonCode, type ReasonContext } from '../core/reason.js';
import type { LocalReply } from './protocol.js';

export type Headers = ReadonlyArray<readonly [string, string]>;

/** `body` '' sends the reason's sentence, except for answers that are well and have none. */
export function localReply(
  code: ReasonCode, context: ReasonContext | undefined, status: number, body: string | Uint8Array, headers: Headers, mirror: number, close: boolean,
): LocalReply {
  const answer = code === 'filter-replied' || code === 'direct-response';
  return { code, status, body: body.length === 0 && !answer ? sentence(code, context) : body, headers, mirror, close };
}

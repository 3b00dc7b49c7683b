// The frame of a request to a host that speaks Bolt.
import type { Exchange } from '../../../stream/exchange.js';
import { headerName, type Head } from '../../../stream/head.js';
import { timeoutOf } from '../../../stream/java/http.js';
import { buildHeaders, COMMAND_REQUEST, MAX_BLOCK, TYPE_REQUEST, V1, V2 } from '../../../stream/protocol/bolt/frame.js';
import type { BoltHead } from '../../../stream/protocol/bolt/head.js';
import { madeBolt } from '../../../stream/protocol/bolt/made.js';
import type { HttpBoltConfig } from './filter.js';

/** Header in which a client says how long it waits, ms. */
export const TIMEOUT_HEADER = 'bolt-timeout';
const timeoutName = headerName(TIMEOUT_HEADER);
/** What a host is told where there is no limit. */
const NO_LIMIT = 0x7fff_ffff;

/** null: the exchange was answered, because the headers do not fit. Of equal names the last header counts, as readers put them into a map. */
export function requestFrame(exchange: Exchange, head: Head, config: HttpBoltConfig, codec: number, className: string, headers: readonly (readonly [string, string])[], content: Uint8Array): BoltHead | null {
  const pairs = [...new Map(headers)];
  let size = 0;
  for (const [name, value] of pairs) size += 8 + Buffer.byteLength(name) + Buffer.byteLength(value);
  if (size > MAX_BLOCK) {
    exchange.fail('head-too-large', { limit: MAX_BLOCK });
    return null;
  }
  const asked = timeoutOf(head.get(timeoutName)) || (config.timeout ?? 0);
  const v2 = config.frame === 'v2';
  const made = madeBolt({
    proto: v2 ? V2 : V1,
    ver1: v2 ? 2 : 1,
    switches: v2 ? 1 : 0,
    type: TYPE_REQUEST,
    command: COMMAND_REQUEST,
    id: 0,
    codec,
    timeoutOrStatus: asked || exchange.route!.timeout || NO_LIMIT,
    className: Buffer.from(className),
    headers: buildHeaders(pairs),
    content,
  });
  made.timeout = asked;
  return made;
}

// A request of HTTP as a frame of Bolt, and the reply back, without a look at the content: headers are the header map.
import type { Bridge } from '../../../stream/bridge.js';
import type { Exchange } from '../../../stream/exchange.js';
import { headerName, type Head } from '../../../stream/head.js';
import { notForwarded } from '../../../stream/java/http.js';
import { ListHead } from '../../../stream/list-head.js';
import type { BoltHead } from '../../../stream/protocol/bolt/head.js';
import type { HttpBoltConfig } from './filter.js';
import { requestFrame, TIMEOUT_HEADER } from './frame.js';

// Where the header map holds what has a place of its own in HTTP.
export const METHOD_HEADER = 'http-method';
export const PATH_HEADER = 'http-path';
export const AUTHORITY_HEADER = 'http-authority';
export const STATUS_HEADER = 'http-status';

const parts = [[':method', METHOD_HEADER], [':path', PATH_HEADER], [':authority', AUTHORITY_HEADER]].map(([part, name]) => [headerName(part!), name!] as const);
const statusName = headerName(STATUS_HEADER);
const contentType = headerName('content-type');
const own = new Set([METHOD_HEADER, PATH_HEADER, AUTHORITY_HEADER, STATUS_HEADER, TIMEOUT_HEADER]);

/** A token of RFC 9110; header maps may have any text as a name. */
const NAME = /^[!#$%&'*+.^_`|~\w-]+$/;

export class RawToBolt implements Bridge {
  readonly name = 'http_bolt';
  readonly protocol = 'bolt';
  readonly limit: number;
  private readonly config: HttpBoltConfig;

  constructor(config: HttpBoltConfig) {
    this.config = config;
    this.limit = config.max_body;
  }

  request(exchange: Exchange, head: Head, body: Uint8Array): Head | null {
    const { config } = this;
    const headers: [string, string][] = [];
    for (const [part, name] of parts) {
      const value = head.get(part);
      if (value !== undefined && value !== '') headers.push([name, value]);
    }
    head.each((name, value) => {
      const lower = name.toLowerCase();
      if (!notForwarded.has(lower) && !own.has(lower)) headers.push([lower, value]);
    });
    if (config.service !== '') headers.push(['service', config.service], ['sofa_head_target_service', config.service]);
    if (config.method !== '') headers.push(['sofa_head_method_name', config.method]);
    return requestFrame(exchange, head, config, config.codec, config.class, headers, body);
  }

  /** The status is that of the frame, unless the header map names one of HTTP, as the other end of this bridge does. */
  reply(_exchange: Exchange, head: Head, body: Uint8Array): Head {
    const bolt = head as BoltHead;
    const said = bolt.get(statusName) ?? '';
    const made = new ListHead([], /^[2-5]\d\d$/.test(said) ? Number(said) : bolt.status);
    bolt.each((name, value) => {
      const lower = name.toLowerCase();
      if (NAME.test(lower) && !notForwarded.has(lower) && !own.has(lower)) made.list.push([lower, value]);
    });
    if (!made.find(contentType) && body.length > 0) made.list.push(['content-type', this.config.content_type]);
    if (bolt.className !== '') made.list.push(['bolt-class', bolt.className]);
    // The bytes are borrowed, and the head is sent later.
    made.setBody(Buffer.from(body));
    return made;
  }
}

// A request of Bolt to a host that speaks HTTP: a POST with the header map as headers and the content as content, and the reply as a frame.
import type { Bridge } from '../../../stream/bridge.js';
import type { Exchange } from '../../../stream/exchange.js';
import { headerName, type Head } from '../../../stream/head.js';
import { notForwarded } from '../../../stream/java/http.js';
import { COMMAND_RESPONSE, MAX_BLOCK, TYPE_RESPONSE, V2, buildHeaders } from '../../../stream/protocol/bolt/frame.js';
import type { BoltHead } from '../../../stream/protocol/bolt/head.js';
import { madeBolt } from '../../../stream/protocol/bolt/made.js';
import { statusOfHttp } from '../../../stream/protocol/bolt/status.js';
import { madeRequest } from '../../../stream/protocol/http2/made.js';
import type { HttpBoltConfig } from './filter.js';
import { AUTHORITY_HEADER, METHOD_HEADER, PATH_HEADER, STATUS_HEADER } from './raw.js';

const methodHeader = headerName(METHOD_HEADER);
const pathHeader = headerName(PATH_HEADER);
const authorityHeader = headerName(AUTHORITY_HEADER);
const service = headerName(':service');
const rpcMethod = headerName(':rpc-method');
const classHeader = headerName('bolt-class');

const TOKEN = /^[!#$%&'*+.^_`|~\w-]+$/;
const PATH = /^\/[\x21-\x7e]*$/;
const AUTHORITY = /^[\w.:[\]-]+$/;
const own = new Set([METHOD_HEADER, PATH_HEADER, AUTHORITY_HEADER, STATUS_HEADER, 'bolt-class']);
const methods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']);

export class BoltToHttp implements Bridge {
  readonly name = 'http_bolt';
  readonly protocol: string;
  readonly limit: number;
  private readonly config: HttpBoltConfig;
  // Of the request, which the reply repeats.
  private proto = 1;
  private ver1 = 1;
  private switches = 0;
  private codec = 1;
  private oneway = false;

  constructor(config: HttpBoltConfig) {
    this.config = config;
    this.protocol = config.upstream;
    this.limit = config.max_body;
  }

  request(exchange: Exchange, head: Head, body: Uint8Array): Head {
    const bolt = head as BoltHead;
    this.proto = bolt.proto;
    this.ver1 = bolt.ver1;
    this.switches = bolt.proto === V2 ? bolt.buf[bolt.start + 11]! : 0;
    this.codec = bolt.codec;
    // HTTP answers every request: the answer is awaited and left out.
    this.oneway = exchange.oneway;
    exchange.oneway = false;
    const { config } = this;
    const method = bolt.get(methodHeader) ?? 'POST';
    const authority = bolt.get(authorityHeader) ?? '';
    const fields: [string, string][] = [];
    let typed = false;
    bolt.each((name, value) => {
      const lower = name.toLowerCase();
      if (!TOKEN.test(lower) || notForwarded.has(lower) || own.has(lower)) return;
      if (lower === 'content-type') typed = true;
      fields.push([lower, cleaned(value)]);
    });
    if (bolt.className !== '') fields.push(['bolt-class', cleaned(bolt.className)]);
    if (!typed) fields.push(['content-type', config.content_type]);
    const made = madeRequest({ method: methods.has(method) ? method : 'POST', path: this.pathOf(bolt), authority: AUTHORITY.test(authority) ? authority : config.authority }, fields);
    made.setBody(Buffer.from(body));
    made.timeout = bolt.timeout;
    return made;
  }

  private pathOf(bolt: BoltHead): string {
    const { path } = this.config;
    if (path !== '') return path;
    const said = bolt.get(pathHeader) ?? '';
    if (PATH.test(said)) return said;
    const named = [bolt.get(service), bolt.get(rpcMethod)].filter((part) => part !== undefined && part !== '').map((part) => encodeURIComponent(part!));
    return `/${named.join('/')}`;
  }

  reply(exchange: Exchange, head: Head, body: Uint8Array): Head {
    if (this.oneway) {
      exchange.oneway = true;
      exchange.answerWith(head.status, '');
    }
    const headers = new Map<string, string>([[STATUS_HEADER, String(head.status)]]);
    let size = 8 + STATUS_HEADER.length + 3;
    head.each((name, value) => {
      const lower = name.toLowerCase();
      if (notForwarded.has(lower) || own.has(lower)) return;
      // A map has no second value; lists are joined, as RFC 9110 section 5.3 allows.
      const before = headers.get(lower);
      const all = before === undefined ? value : `${before}, ${value}`;
      size += before === undefined ? 8 + Buffer.byteLength(lower) + Buffer.byteLength(value) : 2 + Buffer.byteLength(value);
      headers.set(lower, all);
    });
    if (size > MAX_BLOCK) exchange.fail('reply-too-large', { host: exchange.host?.address, limit: MAX_BLOCK });
    return madeBolt({
      proto: this.proto,
      ver1: this.ver1,
      switches: this.switches,
      type: TYPE_RESPONSE,
      command: COMMAND_RESPONSE,
      id: exchange.downId,
      codec: this.codec,
      timeoutOrStatus: statusOfHttp(head.status),
      className: Buffer.from(head.get(classHeader) ?? this.config.response_class),
      headers: size > MAX_BLOCK ? Buffer.alloc(0) : buildHeaders([...headers]),
      content: body,
    });
  }
}

/** Values of header maps may hold anything. */
function cleaned(value: string): string {
  // oxlint-disable-next-line no-control-regex -- that is what must not get into a header
  return value.replace(/[\x00-\x08\x0a-\x1f\x7f]/g, ' ').trim();
}

// Finds the calls of gRPC-Web among the requests of a listener, and gives each its bridge.
import type { Exchange } from '../../../stream/exchange.js';
import { CONTINUE, type StreamFilter, type Verdict } from '../../../stream/filter.js';
import { headerName, type Head } from '../../../stream/head.js';
import { WebBridge } from './bridge.js';

export interface GrpcWebConfig {
  readonly enabled: boolean;
  readonly max_request: number;
}

const METHOD = headerName(':method');
const CONTENT_TYPE = headerName('content-type');
const ACCEPT = headerName('accept');
const WEB = Buffer.from('application/grpc-web');
const POST = Buffer.from('POST');

/** What a content type means: application/grpc-web or application/grpc-web-text, each with a format of messages behind "+". */
const TYPE = /^application\/grpc-web(-text)?(?:\+([\w.-]+))?\s*(?:;.*)?$/i;

export class GrpcWeb implements StreamFilter {
  readonly name = 'grpc_web';
  private readonly config: GrpcWebConfig;

  constructor(config: GrpcWebConfig) {
    this.config = config;
  }

  /** A bridge from the start where all routes have it: what fails before there is a route is told in its form, too. */
  onRequest(exchange: Exchange, head: Head): Verdict {
    if (this.config.enabled && isWeb(head)) exchange.bridge = bridgeFor(exchange, head, this.config);
    return CONTINUE;
  }

  onRoute(exchange: Exchange, head: Head): Verdict {
    const own = exchange.route!.filters.get('grpc_web') as GrpcWebConfig | undefined;
    if (own === undefined) return CONTINUE;
    if (exchange.bridge instanceof WebBridge) exchange.bridge = null;
    if (own.enabled && exchange.bridge === null && isWeb(head)) exchange.bridge = bridgeFor(exchange, head, own);
    return CONTINUE;
  }
}

/** Asked of every request of the listener. */
function isWeb(head: Head): boolean {
  if (!head.find(CONTENT_TYPE)) return false;
  const { vbuf, vstart } = head;
  if (head.vend - vstart < WEB.length) return false;
  for (let i = 0; i < WEB.length; i++) if ((vbuf[vstart + i]! | 32) !== WEB[i]! && vbuf[vstart + i] !== WEB[i]) return false;
  if (!head.find(METHOD) || head.vend - head.vstart !== POST.length) return false;
  for (let i = 0; i < POST.length; i++) if (head.vbuf[head.vstart + i] !== POST[i]) return false;
  return true;
}

/** null: the type only begins as one of gRPC-Web does. */
function bridgeFor(exchange: Exchange, head: Head, config: GrpcWebConfig): WebBridge | null {
  const type = TYPE.exec(head.get(CONTENT_TYPE)!);
  if (type === null) return null;
  const text = type[1] !== undefined;
  // What the client accepts goes before what it sends; many name nothing, or anything.
  const accept = head.get(ACCEPT)?.toLowerCase() ?? '';
  const textBack = accept.includes('application/grpc-web-text') || (text && !accept.includes('application/grpc-web'));
  return new WebBridge(exchange, config.max_request, text, textBack, type[2] ?? '');
}

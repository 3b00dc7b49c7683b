// One request of HTTP with JSON on its way to a gRPC host and back: whole where the call is unary, message by message where it streams.
import { isUtf8 } from 'node:buffer';
import { reasons, type ReasonCode, type ReasonContext } from '../../../core/reason.js';
import type { Bridge } from '../../../stream/bridge.js';
import type { Exchange } from '../../../stream/exchange.js';
import {
  callHead, GRPC_OK, httpOfGrpc, isGrpc, madeReply, NO_STATUS, noteStatus, protocolToHosts, replyMetadata, statusOf, statusOfFailure, statusOfForeign, statusOfLocal,
  type CallStatus, type Fields,
} from '../../../stream/grpc/carried.js';
import { framed, MessageReader } from '../../../stream/grpc/messages.js';
import { headerName, type Head } from '../../../stream/head.js';
import type { LocalReply } from '../../../stream/protocol.js';
import { Misfit } from './misfit.js';
import type { Binding, Transcoder } from './transcoder.js';

const DETAILS = headerName('grpc-status-details-bin');
const CONTENT_TYPE = headerName('content-type');
const CONTENT_ENCODING = headerName('content-encoding');
const JSON_TYPE = 'application/json';
const LINES_TYPE = 'application/x-ndjson';
const EMPTY = Buffer.alloc(0);

const CUT_MESSAGE: CallStatus = { code: 13, message: 'the host ended the call inside a message' };

export interface JsonCall {
  readonly transcoder: Transcoder;
  readonly binding: Binding;
  readonly segments: readonly string[];
  readonly query: string;
  /** Most bytes of a request, of a reply that is not streamed, and of a message. */
  readonly limit: number;
  /** The client takes a stream as lines rather than as a list. */
  readonly lines: boolean;
}

export class JsonBridge implements Bridge {
  readonly name = 'grpc_json';
  readonly protocol: string;
  readonly limit: number;
  private readonly call: JsonCall;
  private reader: MessageReader | null = null;
  /** Messages of a streamed reply so far. */
  private count = 0;
  /** What was made of messages before one that ended the reply. */
  private before = '';

  constructor(exchange: Exchange, call: JsonCall) {
    this.call = call;
    this.protocol = protocolToHosts(exchange);
    this.limit = call.limit;
  }

  request(exchange: Exchange, head: Head, body: Uint8Array): Head | null {
    const { binding, segments, query } = this.call;
    let content: Buffer;
    try {
      const coding = head.get(CONTENT_ENCODING);
      if (coding !== undefined && coding !== 'identity') throw new Misfit(`the content is in the coding ${coding}, which is not taken`);
      const json = body.length === 0 ? undefined : parsed(body, binding.requestStream && head.get(CONTENT_TYPE)?.startsWith(LINES_TYPE) === true);
      content = Buffer.concat(binding.messages(segments, query, json).map(framed));
    } catch (error) {
      if (!(error instanceof Misfit)) throw error;
      exchange.fail('bad-request', { detail: error.toString() });
      return null;
    }
    return callHead(head, binding.path, 'application/grpc', [['grpc-accept-encoding', 'identity']], content);
  }

  /** A stream goes on as it comes; a unary reply is gathered, since its status may come behind it. */
  replyHead(_exchange: Exchange, head: Head): Head | null {
    if (!this.call.binding.responseStream || !isGrpc(head)) return null;
    this.reader = new MessageReader(this.limit);
    return madeReply(200, [['content-type', this.call.lines ? LINES_TYPE : JSON_TYPE], ...replyMetadata(head)]);
  }

  piece(exchange: Exchange, buf: Uint8Array, start: number, end: number): Uint8Array {
    const reader = this.reader!;
    let text = '';
    try {
      reader.feed(buf, start, end, (message) => {
        text += this.element(this.call.binding.json(message));
      });
    } catch (error) {
      this.before = text;
      badReply(exchange, `a message that is no ${this.call.binding.output.type.name}: ${String((error as Error).message)}`);
      return EMPTY;
    }
    if (reader.problem === '') return Buffer.from(text);
    this.before = text;
    this.badFrame(exchange, reader.problem);
    return EMPTY;
  }

  /** One more element of a streamed reply, with what parts it from the one before. */
  private element(json: string): string {
    const first = this.count++ === 0;
    return this.call.lines ? `${json}\n` : `${first ? '[' : ','}${json}`;
  }

  end(exchange: Exchange, trailers: Head | null): Uint8Array {
    const named = statusOf(trailers) ?? NO_STATUS;
    const status = named.code === GRPC_OK && !this.reader!.complete ? CUT_MESSAGE : named;
    noteStatus(exchange, status);
    return this.close(status, trailers);
  }

  /** The end of a streamed reply: an error is its last element, since the head went out long ago. */
  private close(status: CallStatus, trailers: Head | null): Uint8Array {
    const error = status.code === GRPC_OK ? '' : this.element(`{"error":${this.errorBody(status, trailers)}}`);
    if (this.call.lines) return Buffer.from(error);
    return Buffer.from(`${error}${this.count === 0 ? '[]' : ']'}`);
  }

  cut(_exchange: Exchange, code: ReasonCode, context: ReasonContext): Uint8Array {
    return Buffer.concat([Buffer.from(this.before), this.close(statusOfFailure(code, context), null)]);
  }

  reply(exchange: Exchange, head: Head, body: Uint8Array, trailers: Head | null): Head {
    if (!isGrpc(head)) return this.error(exchange, statusOfForeign(head), head, null);
    const status = statusOf(trailers) ?? statusOf(head) ?? NO_STATUS;
    if (status.code !== GRPC_OK) return this.error(exchange, status, head, trailers ?? head);
    const { binding, lines } = this.call;
    // A stream without a message, in trailers alone.
    if (binding.responseStream) return this.made(200, head, lines ? '' : '[]', lines ? LINES_TYPE : JSON_TYPE);
    const messages: string[] = [];
    const reader = new MessageReader(this.limit);
    try {
      reader.feed(body, 0, body.length, (message) => messages.push(binding.json(message)));
    } catch (error) {
      return this.error(exchange, { code: 13, message: `the host sent what is no ${binding.output.type.name}: ${String((error as Error).message)}` }, head, null);
    }
    if (reader.problem !== '' || !reader.complete || messages.length !== 1) {
      return this.error(exchange, { code: 13, message: reader.problem === 'compressed' ? 'the host sent a compressed message' : `the host sent ${messages.length} whole messages in place of one` }, head, null);
    }
    return this.made(200, head, messages[0]!, JSON_TYPE);
  }

  private error(exchange: Exchange, status: CallStatus, head: Head, trailers: Head | null): Head {
    noteStatus(exchange, status);
    return this.made(httpOfGrpc(status.code), head, this.errorBody(status, trailers), JSON_TYPE);
  }

  private errorBody(status: CallStatus, trailers: Head | null): string {
    return this.call.transcoder.errors.json(status.code, status.message, trailers?.get(DETAILS));
  }

  private made(status: number, head: Head, text: string, type: string): Head {
    const content = Buffer.from(text);
    const metadata: Fields = isGrpc(head) ? replyMetadata(head) : [];
    const made = madeReply(status, [['content-type', type], ['content-length', String(content.length)], ...metadata]);
    made.setBody(content);
    return made;
  }

  /** Failures of the proxy as errors of the service look, with the status that they have in HTTP. */
  local(_exchange: Exchange, reply: LocalReply): LocalReply {
    if (reasons[reply.code].kind === 'ok') return reply;
    const headers: Fields = [['content-type', JSON_TYPE]];
    for (const one of reply.headers) if (one[0].toLowerCase() !== 'content-type') headers.push(one);
    return { ...reply, headers, body: this.errorBody(statusOfLocal(reply), null) };
  }

  private badFrame(exchange: Exchange, problem: string): void {
    if (problem === 'too-large') exchange.fail('reply-too-large', { host: exchange.host?.address, limit: this.limit });
    else badReply(exchange, 'a compressed message, though it was told that none is taken');
  }
}

function badReply(exchange: Exchange, detail: string): void {
  exchange.fail('bad-reply', { host: exchange.host?.address, detail });
}

/** The content as JSON; `lines`: as a list of its lines. Throws Misfit. */
function parsed(body: Uint8Array, lines: boolean): unknown {
  if (!isUtf8(body)) throw new Misfit('the content is no UTF-8');
  const text = Buffer.from(body.buffer, body.byteOffset, body.length).toString();
  try {
    if (!lines) return JSON.parse(text) as unknown;
    return text.split('\n').filter((line) => line.trim() !== '').map((line) => JSON.parse(line) as unknown);
  } catch (error) {
    throw new Misfit(`the content is no JSON: ${(error as Error).message}`);
  }
}

// One call of gRPC-Web on its way to a gRPC host and back (gRPC's PROTOCOL-WEB.md): messages as they are, trailers as the last frame of the content.
import type { ReasonCode, ReasonContext } from '../../../core/reason.js';
import type { Bridge } from '../../../stream/bridge.js';
import type { Exchange } from '../../../stream/exchange.js';
import {
  callHead, grpcMessage, isGrpc, madeReply, NO_STATUS, noteStatus, protocolToHosts, replyMetadata, statusOf, statusOfFailure, statusOfForeign, statusOfLocal,
  type CallStatus, type Fields,
} from '../../../stream/grpc/carried.js';
import { headerName, type Head } from '../../../stream/head.js';
import type { LocalReply } from '../../../stream/protocol.js';
import { decodeText, encodeText } from './text.js';

/** Flag of the frame that holds the trailers. */
const TRAILERS = 0x80;
const PREFIX = 5;
const EMPTY = Buffer.alloc(0);

const PATH = headerName(':path');
const CONTENT_TYPE = headerName('content-type');
const ENCODING = headerName('grpc-encoding');
const ACCEPTED = headerName('grpc-accept-encoding');

/** Fields of a call's end that a client looks for in the last frame, beside its own metadata. */
const ending = ['grpc-status', 'grpc-message', 'grpc-status-details-bin'];

export class WebBridge implements Bridge {
  readonly name = 'grpc_web';
  readonly protocol: string;
  readonly limit: number;
  private readonly text: boolean;
  private readonly textBack: boolean;
  private readonly format: string;
  /** The reply that is passed on is none of gRPC: its content is left out, and this stands for it. */
  private foreign: CallStatus | null = null;

  /** `text`: the request is in base64; `textBack`: the reply is to be; `format`: of the messages, '' where it is not named. */
  constructor(exchange: Exchange, limit: number, text: boolean, textBack: boolean, format: string) {
    this.protocol = protocolToHosts(exchange);
    this.limit = limit;
    this.text = text;
    this.textBack = textBack;
    this.format = format;
  }

  request(exchange: Exchange, head: Head, body: Uint8Array): Head | null {
    const bytes = this.text ? decodeText(body) : Buffer.from(body);
    if (bytes === null) {
      exchange.fail('bad-request', { detail: 'its content is not the base64 that application/grpc-web-text stands for' });
      return null;
    }
    return callHead(head, head.get(PATH) ?? '/', this.format === '' ? 'application/grpc' : `application/grpc+${this.format}`, [['grpc-accept-encoding', acceptedOf(head)]], bytes);
  }

  replyHead(exchange: Exchange, head: Head): Head {
    if (isGrpc(head)) return this.headBack(head);
    this.foreign = statusOfForeign(head);
    noteStatus(exchange, this.foreign);
    return madeReply(200, [['content-type', this.typeBack(this.format)]]);
  }

  piece(_exchange: Exchange, buf: Uint8Array, start: number, end: number): Uint8Array {
    if (this.foreign !== null) return EMPTY;
    return this.textBack ? encodeText(buf, start, end) : buf.subarray(start, end);
  }

  end(exchange: Exchange, trailers: Head | null): Uint8Array {
    if (this.foreign !== null) return this.frame(fieldsOf(this.foreign));
    noteStatus(exchange, statusOf(trailers) ?? NO_STATUS);
    return this.frame(trailers === null ? fieldsOf(NO_STATUS) : endOf(trailers));
  }

  /** A reply that has no content: its head is its trailers ("Trailers-Only"). */
  reply(exchange: Exchange, head: Head): Head {
    const made = this.replyHead(exchange, head);
    made.setBody(this.frame(this.foreign !== null ? fieldsOf(this.foreign) : endOf(head, true)));
    return made;
  }

  cut(_exchange: Exchange, code: ReasonCode, context: ReasonContext): Uint8Array {
    return this.frame([...fieldsOf(statusOfFailure(code, context)), ['x-sluice-reason', code]]);
  }

  local(_exchange: Exchange, reply: LocalReply): LocalReply {
    const headers: Fields = [['content-type', this.typeBack(this.format)]];
    for (const one of reply.headers) if (one[0].toLowerCase() !== 'content-type') headers.push(one);
    return { ...reply, status: 200, headers, body: this.frame(fieldsOf(statusOfLocal(reply))) };
  }

  private headBack(head: Head): Head {
    const type = head.get(CONTENT_TYPE) ?? '';
    const format = /^application\/grpc\+([\w.-]+)/.exec(type)?.[1] ?? this.format;
    const fields = replyMetadata(head);
    const encoding = head.get(ENCODING);
    if (encoding !== undefined && encoding !== 'identity') fields.push(['grpc-encoding', encoding]);
    return madeReply(200, [['content-type', this.typeBack(format)], ...fields]);
  }

  private typeBack(format: string): string {
    return `application/grpc-web${this.textBack ? '-text' : ''}${format === '' ? '+proto' : `+${format}`}`;
  }

  /** The last frame: fields as HTTP/1.1 writes them, names in lower case. */
  private frame(fields: Fields): Uint8Array {
    let text = '';
    for (const [name, value] of fields) text += `${name}: ${value.replace(/[\r\n\0]/g, ' ')}\r\n`;
    const length = Buffer.byteLength(text);
    const frame = Buffer.allocUnsafe(PREFIX + length);
    frame[0] = TRAILERS;
    frame.writeUInt32BE(length, 1);
    frame.write(text, PREFIX);
    return this.textBack ? encodeText(frame, 0, frame.length) : frame;
  }
}

/** Browsers cannot inflate messages; a client that can says so. */
function acceptedOf(head: Head): string {
  return head.get(ACCEPTED) ?? 'identity';
}

function fieldsOf({ code, message }: CallStatus): Fields {
  return message === '' ? [['grpc-status', String(code)]] : [['grpc-status', String(code)], ['grpc-message', grpcMessage(message)]];
}

/** The fields of trailers; of a head that stands for them (`only`) those of the status, since its metadata stays where it is. */
function endOf(trailers: Head, only = false): Fields {
  const fields: Fields = [];
  let status = false;
  trailers.each((name, value) => {
    const lower = name.toLowerCase();
    if (lower === 'grpc-status') status = true;
    if (!only || ending.includes(lower)) fields.push([lower, value]);
  });
  return status ? fields : [...fieldsOf(NO_STATUS), ...fields.filter(([name]) => name !== 'grpc-message')];
}


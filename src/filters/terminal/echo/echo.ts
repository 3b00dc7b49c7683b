// Answers with the request's body, or with its first line and headers as text; calls of gRPC get every message back, whatever their method.
import type { Exchange } from '../../../stream/exchange.js';
import { GrpcCall, type GrpcHandler } from '../../../stream/grpc/call.js';
import { headerName, type Head } from '../../../stream/head.js';
import type { Terminal, TerminalStream } from '../../../stream/terminal.js';

const METHOD = headerName(':method');
const PATH = headerName(':path');
const CONTENT_TYPE = headerName('content-type');

/** Holds the client back as long as it does not read its own messages. */
const grpcEcho: GrpcHandler = {
  onMessage(call, message) {
    call.manual = true;
    if (call.send(message)) call.consumed(message.length);
    else waiting.set(call, (waiting.get(call) ?? 0) + message.length);
  },
  onHalfClose: (call) => call.end(0),
  onRoom(call) {
    const bytes = waiting.get(call);
    if (bytes === undefined) return;
    waiting.delete(call);
    call.consumed(bytes);
  },
  onCancel() {},
};

/** Bytes that were sent back to a client that is behind. */
const waiting = new WeakMap<GrpcCall, number>();

export class Echo implements Terminal {
  readonly name = 'echo';

  open(exchange: Exchange, head: Head): TerminalStream | null {
    // A call of gRPC: its head says so by having a timeout for all of it.
    return head.wholeTimeout ? new GrpcCall(exchange, head).begin(grpcEcho) : null;
  }

  handle(exchange: Exchange, head: Head, body: Uint8Array): void {
    const { protocol } = exchange.down;
    if (protocol.echo !== undefined) {
      exchange.answerEncoded(200, protocol.echo(head, body));
      return;
    }
    if (body.length > 0) {
      const type = head.get(CONTENT_TYPE);
      exchange.answerWith(200, body, type === undefined ? [] : [['content-type', type]]);
      return;
    }
    let text = `${head.get(METHOD) ?? head.protocol} ${head.get(PATH) ?? ''}\n`;
    head.each((name, value) => {
      text += `${name}: ${value}\n`;
    });
    exchange.answerWith(200, text, [['content-type', 'text/plain; charset=utf-8']]);
  }
}

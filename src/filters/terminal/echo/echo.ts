// Answers with the request's body, or with its first line and headers as text.
import type { Exchange } from '../../../stream/exchange.js';
import { headerName, type Head } from '../../../stream/head.js';
import type { Terminal } from '../../../stream/terminal.js';

const METHOD = headerName(':method');
const PATH = headerName(':path');
const CONTENT_TYPE = headerName('content-type');

export class Echo implements Terminal {
  readonly name = 'echo';

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

// The four filters the filter contract is tried with: a synchronous edit, an asynchronous hold, a body rewrite, a whole-body buffer.
import type { Exchange } from '../../src/stream/exchange.js';
import { CONTINUE, HOLD, type HoldToken, type StreamFilter, type Verdict } from '../../src/stream/filter.js';
import { headerName, type Head } from '../../src/stream/head.js';

const EDITED = headerName('x-edited');

/** Adds a header to request and reply, and counts. */
export class EditFilter implements StreamFilter {
  readonly name = 'edit';
  done = 0;
  closed = 0;

  onRequest(_exchange: Exchange, head: Head): Verdict {
    head.set(EDITED, 'request');
    return CONTINUE;
  }

  onReply(_exchange: Exchange, head: Head): Verdict {
    head.set(EDITED, 'reply');
    return CONTINUE;
  }

  onDone(): void {
    this.done++;
  }

  close(): void {
    this.closed++;
  }
}

/** Holds every request (and reply) until the test resumes or cancels. */
export class HoldFilter implements StreamFilter {
  readonly name = 'hold';
  readonly requests: HoldToken[] = [];
  readonly replies: HoldToken[] = [];
  private readonly what: 'request' | 'reply' | 'both';

  constructor(what: 'request' | 'reply' | 'both' = 'request') {
    this.what = what;
  }

  onRequest(exchange: Exchange): Verdict {
    if (this.what === 'reply') return CONTINUE;
    this.requests.push(exchange.hold());
    return HOLD;
  }

  onReply(exchange: Exchange): Verdict {
    if (this.what === 'request') return CONTINUE;
    this.replies.push(exchange.hold());
    return HOLD;
  }
}

const upper = (body: Uint8Array): Uint8Array => Buffer.from(Buffer.from(body).toString('latin1').toUpperCase(), 'latin1');

/** Upper-cases each piece of both bodies. */
export class UpperFilter implements StreamFilter {
  readonly name = 'upper';
  readonly requestBody = 'replace';
  readonly replyBody = 'replace';
  pieces = 0;

  onRequestBody(_exchange: Exchange, body: Uint8Array): Uint8Array {
    this.pieces++;
    return upper(body);
  }

  onReplyBody(_exchange: Exchange, body: Uint8Array): Uint8Array {
    this.pieces++;
    return upper(body);
  }
}

/** Sees both bodies whole and sends them reversed. */
export class ReverseFilter implements StreamFilter {
  readonly name = 'reverse';
  readonly requestBody = 'buffer';
  readonly replyBody = 'buffer';
  readonly bodyLimit = 1000;
  readonly seen: string[] = [];

  onRequestBody(_exchange: Exchange, body: Uint8Array, last: boolean): Uint8Array {
    if (!last) throw new Error('a buffered body comes whole');
    this.seen.push(Buffer.from(body).toString('latin1'));
    return Buffer.from(body).reverse();
  }

  onReplyBody(_exchange: Exchange, body: Uint8Array): Uint8Array {
    return Buffer.from(body).reverse();
  }
}

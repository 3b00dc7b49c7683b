// Exchanges that end in the process: whole ones are handed to the terminal of their route, streams pass piece by piece, with backpressure.
import { Gather } from './body.js';
import { ExchangeUpstream } from './exchange-upstream.js';
import type { Exchange } from './exchange.js';
import type { Head } from './head.js';
import { DONE, WAIT } from './phases.js';
import type { TerminalAction } from './route.js';
import type { Session } from './session.js';
import type { Terminal, TerminalStream } from './terminal.js';

/** Most bytes of a body that a terminal gets whole. */
export const MAX_TERMINAL_BODY = 4 * 1024 * 1024;
const EMPTY = Buffer.alloc(0);

export abstract class ExchangeTerminal extends ExchangeUpstream {
  /** The terminal's side of an exchange that it takes as a stream. */
  protected stream: TerminalStream | null = null;

  abstract onReply(session: Session | null, head: Head, last: boolean): void;
  abstract onReplyData(session: Session | null, buf: Uint8Array, start: number, end: number, last: boolean): void;
  abstract onReplyTrailers(session: Session | null, head: Head): void;

  /** A terminal that takes streams gets the exchange now; false: once it is whole. */
  protected openTerminal(): boolean {
    const terminal = this.terminal;
    if (terminal?.open === undefined) return false;
    const head = this.requestHead!;
    const generation = this.generation;
    this.phase = WAIT;
    this.record.beginAttempt('in-process', this.record.start, false);
    if (head.timeout > 0) {
      this.wholeTimeout = head.wholeTimeout;
      if (this.requestDone || this.wholeTimeout) this.armTimeout(head.timeout);
      this.timeoutMs = head.timeout;
    }
    const stream = terminal.open(this as unknown as Exchange, head);
    if (this.generation !== generation || this.phase === DONE) return true;
    if (stream === null) {
      if (!this.requestDone) {
        this.keepRequest();
        this.toBeHandled = true;
        return true;
      }
      this.handToTerminal();
      return true;
    }
    this.stream = stream;
    const whole = head.whole && this.body === null;
    const body = this.body;
    this.body = null;
    this.requestHead = null;
    if (!this.requestDone) this.watchIdle();
    if (body !== null) {
      const bytes = body.take();
      stream.onData(bytes, 0, bytes.length, this.requestDone);
    } else if (whole) {
      stream.onData(head.bodyBuf, head.bodyStart, head.bodyEnd, true);
    } else if (this.requestDone) {
      stream.onData(EMPTY, 0, 0, true);
    }
    return true;
  }

  /** A whole request is on its way to a terminal. */
  protected toBeHandled = false;

  private get terminal(): Terminal | undefined {
    return (this.route!.action as TerminalAction).terminal as Terminal | undefined;
  }

  protected runTerminal(): void {
    this.phase = WAIT;
    this.record.beginAttempt('in-process', this.record.start, false);
    this.handToTerminal();
  }

  protected handToTerminal(): void {
    this.toBeHandled = false;
    const head = this.requestHead!;
    const body = head.whole ? head.bodyBuf.subarray(head.bodyStart, head.bodyEnd) : this.body === null ? EMPTY : this.body.take();
    const { terminal } = this;
    if (terminal === undefined) this.fail('internal', { detail: 'the terminal of the route is not loaded' });
    else terminal.handle(this as unknown as Exchange, head, body);
  }

  /** Content of the request, where it is a terminal's; filters that replace pieces see it before. */
  protected terminalData(buf: Uint8Array, start: number, end: number, last: boolean): boolean {
    const { stream } = this;
    if (stream === null) {
      if (!this.toBeHandled) return false;
      this.gather(buf, start, end, MAX_TERMINAL_BODY);
      this.requestGathered(end - start);
      if (last && this.phase !== DONE) this.handToTerminal();
      return true;
    }
    const bodies = this.chain?.requestBody ?? null;
    if (bodies === null || bodies.whole) {
      stream.onData(buf, start, end, last);
      return true;
    }
    const replaced = bodies.run(this as unknown as Exchange, buf.subarray(start, end), last);
    if (replaced !== null) stream.onData(replaced, 0, replaced.length, last);
    return true;
  }

  /** The request ended by trailers. */
  protected terminalEnd(): boolean {
    if (this.stream !== null) this.stream.onData(EMPTY, 0, 0, true);
    else if (this.toBeHandled) this.handToTerminal();
    else return false;
    return true;
  }

  protected gather(buf: Uint8Array, start: number, end: number, limit: number): void {
    if (this.body === null) this.body = new Gather();
    if (!this.body.add(buf, start, end, limit)) this.fail('body-too-large', { limit });
  }

  // === for terminals that stream

  /** The head of the reply; `last`: it is all of it. A kept head of any protocol of the family, or a list of headers. */
  reply(head: Head, last: boolean): void {
    if (this.phase === DONE || this.replyStarted) return;
    this.onReply(null, head, last);
  }

  /** Content of the reply; copied where it cannot be sent at once. False: no more until `onRoom`. */
  replyData(buf: Uint8Array, start: number, end: number, last: boolean): boolean {
    if (this.phase === DONE || !this.replyStarted || this.replyDone) return false;
    const generation = this.generation;
    this.onReplyData(null, buf, start, end, last);
    if (this.generation !== generation || this.phase === DONE) return false;
    const { down } = this;
    return !down.behindFor(this.downId) && !(down.flow && down.codec.stalled!(this.downId));
  }

  replyTrailers(head: Head): void {
    if (this.phase === DONE || !this.replyStarted || this.replyDone) return;
    this.onReplyTrailers(null, head);
  }

  /** `bytes` of the request's content were dealt with: the client may send as many more. */
  consumed(bytes: number): void {
    if (this.phase !== DONE) this.requestGathered(bytes);
  }

  protected override roomForTerminal(): void {
    this.stream?.onRoom();
  }

  protected override streamEnds(): void {
    this.toBeHandled = false;
    const { stream } = this;
    if (stream === null) return;
    this.stream = null;
    stream.onEnd(this.record.code);
  }
}

// An accepted connection before it is its owner's: listener filters look at its first bytes, network filters let it in, TLS shakes hands.
import { Deadline, type DeadlineOwner } from '../core/deadline.js';
import { SluiceError } from '../core/reason.js';
import { OPEN, type Connection, type Reader } from './connection.js';
import { MORE, type ListenerFilter } from './filter.js';
import type { ServerTls } from './tls.js';
import { transport } from './transport/current.js';

/** What an arrival asks of its listener. */
export interface Gatekeeper {
  /** Lets the connection in, or closes it and answers false. */
  admit(connection: Connection): boolean;
  /** Hands the open connection to whoever carries it. */
  ready(connection: Connection): void;
  /** It was closed before it was ready; `error` null: by a deadline or by the client. */
  lost(connection: Connection, stage: 'filters' | 'handshake', error: SluiceError | null): void;
}

const FILTERS = 0;
const HANDSHAKE = 1;
const DONE = 2;

export class Arrival implements Reader, DeadlineOwner {
  private readonly keeper: Gatekeeper;
  private readonly connection: Connection;
  private readonly filters: readonly ListenerFilter[];
  private readonly tls: ServerTls | null;
  private readonly deadline: Deadline;
  private index = 0;
  private stage: typeof FILTERS | typeof HANDSHAKE | typeof DONE = FILTERS;

  constructor(keeper: Gatekeeper, connection: Connection, filters: readonly ListenerFilter[], tls: ServerTls | null) {
    this.keeper = keeper;
    this.connection = connection;
    this.filters = filters;
    this.tls = tls;
    this.deadline = new Deadline(this, 0);
    connection.reader = this;
  }

  begin(): void {
    if (this.filters.length > 0) this.deadline.set(this.filters[0]!.timeout);
    else this.pass(NOTHING, 0, 0, false);
  }

  onBytes(connection: Connection, buf: Uint8Array, start: number, end: number, owned: boolean): number {
    if (this.stage !== FILTERS) return end - start;
    const consumed = this.look(buf, start, end);
    if (consumed < 0) return this.stage === FILTERS ? -consumed - 1 : end - start;
    return consumed + this.pass(buf, start + consumed, end, owned);
  }

  /** Runs the filters that are left: how many bytes all have consumed, or -1 - that number while one wants more or refused. */
  private look(buf: Uint8Array, start: number, end: number): number {
    let at = start;
    const { connection, filters } = this;
    connection.want = 0;
    for (; this.index < filters.length; this.nextFilter()) {
      const answer = filters[this.index]!.inspect(connection.info, buf, at, end);
      if (answer instanceof SluiceError) {
        this.refuse(answer);
        return -1;
      }
      if (answer === MORE) return -1 - (at - start);
      at += answer;
    }
    return at - start;
  }

  private nextFilter(): void {
    const next = this.filters[++this.index];
    if (next !== undefined) this.deadline.set(next.timeout);
  }

  /** The filters are done; answers how many of the bytes that follow were taken by whoever comes next. */
  private pass(buf: Uint8Array, start: number, end: number, owned: boolean): number {
    const { connection, tls } = this;
    this.deadline.cancel();
    if (!this.keeper.admit(connection)) {
      this.stage = DONE;
      return end - start;
    }
    if (tls !== null && connection.info.detected !== 'plain') {
      this.stage = HANDSHAKE;
      this.deadline.set(tls.config.handshake_timeout);
      transport().secure(connection, tls.acceptor, Buffer.from(buf.subarray(start, end)));
      return end - start;
    }
    this.finish();
    if (start === end || !this.handedOver() || connection.paused || connection.state !== OPEN) return 0;
    return connection.reader.onBytes(connection, buf, start, end, owned);
  }

  private finish(): void {
    this.stage = DONE;
    this.deadline.cancel();
    this.keeper.ready(this.connection);
  }

  /** Whether somebody else reads the connection now. */
  private handedOver(): boolean {
    return this.connection.reader !== this;
  }

  private refuse(error: SluiceError): void {
    this.stage = DONE;
    this.deadline.cancel();
    this.keeper.lost(this.connection, 'filters', error);
    this.connection.close();
  }

  /** TLS is established. */
  onOpen(): void {
    if (this.stage === HANDSHAKE) this.finish();
  }

  onDeadline(): void {
    if (this.stage === FILTERS) {
      this.giveUp();
      return;
    }
    this.stage = DONE;
    this.keeper.lost(this.connection, 'handshake', new SluiceError('downstream-tls-failed', { detail: 'no handshake in time' }));
    this.connection.close(true);
  }

  /** The filter that waits has seen all it will see: it refuses, or what came is passed on as it is. */
  private giveUp(): void {
    const { connection } = this;
    const error = this.filters[this.index]!.late(connection.info);
    if (error !== null) {
      this.refuse(error);
      return;
    }
    this.nextFilter();
    // Through the carry, if there is one; a connection without a byte is passed on as it is.
    connection.want = 0;
    if (connection.carried > 0) connection.redeliver();
    else if (this.index >= this.filters.length) this.pass(NOTHING, 0, 0, false);
  }

  onEnd(connection: Connection): void {
    if (this.stage === FILTERS) {
      this.giveUp();
      // Whoever reads it now has not seen the end.
      if (this.handedOver()) connection.reader.onEnd(connection);
      else if (this.stage === FILTERS) connection.close();
    } else if (this.stage === HANDSHAKE) {
      connection.close();
    }
  }

  onDrain(): void {}

  onClose(connection: Connection, error: SluiceError | null): void {
    const { stage } = this;
    this.deadline.cancel();
    if (stage === DONE) return;
    this.stage = DONE;
    this.keeper.lost(connection, stage === HANDSHAKE ? 'handshake' : 'filters', error);
  }
}

const NOTHING = Buffer.alloc(0);

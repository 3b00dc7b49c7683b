// A wire without a socket: what a connection sends is collected, what it should receive is fed by hand.
import type { Connection } from '../../src/network/connection.js';
import type { Wire } from '../../src/network/wire.js';
import type { SluiceError } from '../../src/core/reason.js';

export class FakeWire implements Wire {
  /** When true, a connection hears of its own close only in `settle`, as over sockets, whose end comes in a later turn. */
  static late = false;
  private static closing: FakeWire[] = [];

  /** Later turns: every close is told, also those that follow from it. */
  static settle(): void {
    for (let wire = FakeWire.closing.shift(); wire !== undefined; wire = FakeWire.closing.shift()) wire.connection.wireClosed(null);
  }

  readonly connection: Connection;
  /** Everything the connection handed over, in order. */
  sentBytes: Buffer = Buffer.alloc(0);
  /** When true, bytes pile up as unsent until `drain`. */
  stuck = false;
  unsent = 0;
  paused = false;
  ended = false;
  destroyed = false;
  reset = false;

  constructor(connection: Connection) {
    this.connection = connection;
    connection.attach(this);
  }

  send(buf: Uint8Array, start: number, end: number): boolean {
    this.sentBytes = Buffer.concat([this.sentBytes, buf.subarray(start, end)]);
    if (!this.stuck) return true;
    this.unsent += end - start;
    return false;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  end(): void {
    this.ended = true;
  }

  destroy(reset: boolean): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.reset = reset;
    if (FakeWire.late) FakeWire.closing.push(this);
    else this.connection.wireClosed(null);
  }

  setKeepAlive(): void {}
  setNoDelay(): void {}
  detach(): unknown {
    return this;
  }

  // === what the peer does

  open(): void {
    this.connection.wireOpen();
  }

  /** The peer sends these bytes (in one packet), from a buffer that is overwritten afterwards, as a transport may do. */
  feed(bytes: Uint8Array | string): void {
    const copy = Buffer.from(bytes as Uint8Array);
    this.connection.wireData(copy, 0, copy.length, false);
    copy.fill(0xee);
  }

  /** The peer sends FIN. */
  fin(): void {
    this.connection.wireEnd();
  }

  /** The connection is gone; with an error that is what the transport reports. */
  close(error: SluiceError | null = null): void {
    this.destroyed = true;
    this.connection.wireClosed(error);
  }

  /** The peer took all that was unsent. */
  drain(): void {
    this.stuck = false;
    this.unsent = 0;
    this.connection.wireDrained();
  }

  /** What was sent since the last call. */
  take(): Buffer {
    this.connection.flush();
    const bytes = this.sentBytes;
    this.sentBytes = Buffer.alloc(0);
    return bytes;
  }

  text(): string {
    return this.take().toString('latin1');
  }
}

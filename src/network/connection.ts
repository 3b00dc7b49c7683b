// One connection over any transport: borrowed reads with a carry for split messages, appended writes flushed once per event-loop turn, watermarks.
import { turnNow } from '../core/clock.js';
import { MAX_RESERVE, Writer, type Output } from '../core/bytes.js';
import { COUNTED_FROM, gathered } from '../core/gathered.js';
import type { SluiceError } from '../core/reason.js';
import { recycle } from './read-buffers.js';
import { ConnectionInfo, type Wire, type WireEvents } from './wire.js';

/**
 * States, in order; a connection never goes back.
 * connecting -> open -> (ending: our FIN is due once all is written) -> closed. `detached` replaces closed after a hand-over.
 */
export const CONNECTING = 0;
export const OPEN = 1;
export const ENDING = 2;
export const CLOSED = 3;
export const DETACHED = 4;

/** Unsent bytes above which the peer's reading side should pause, and below which it may resume. */
export const HIGH_WATER = 256 * 1024;
export const LOW_WATER = 64 * 1024;

/** Who asked for reading to stop; reading resumes when nobody does. */
export const PAUSE_PEER = 1;
export const PAUSE_HOLD = 2;
export const PAUSE_BLOCKED = 4;
export const PAUSE_MEMORY = 8;
export const PAUSE_USER = 16;

/** Reads a connection. Set `connection.reader` before the first byte can arrive. */
export interface Reader {
  /**
   * Bytes arrived: buf[start, end), borrowed unless `owned`. Returns how many were consumed; the rest is carried and handed in again
   * with what follows. `connection.want` may be set to the total needed, so that it is gathered without calls in between.
   */
  onBytes(connection: Connection, buf: Uint8Array, start: number, end: number, owned: boolean): number;
  onOpen(connection: Connection): void;
  /**
   * The peer ended its sending side; unconsumed bytes stay in the carry (`connection.carried`). Comes after all bytes before it were
   * offered: while the connection is paused with a carry it waits for `resume`.
   */
  onEnd(connection: Connection): void;
  /** Unsent bytes fell below LOW_WATER after having been above HIGH_WATER. */
  onDrain(connection: Connection): void;
  /** Once, last. null: closed in order, by either side. */
  onClose(connection: Connection, error: SluiceError | null): void;
}

const BLOCK = 16 * 1024;
const EMPTY = Buffer.alloc(0);
const SMALL_CARRY = 2048;

/** Free output blocks of this thread; a block comes back when the kernel took its bytes at once. */
const freeBlocks: Buffer[] = [];
const MAX_FREE_BLOCKS = 64;

function takeBlock(size: number): Buffer {
  if (size <= BLOCK) return freeBlocks.pop() ?? Buffer.allocUnsafeSlow(BLOCK);
  return Buffer.allocUnsafeSlow(size);
}

function freeBlock(block: Uint8Array): void {
  if (block.length === BLOCK && freeBlocks.length < MAX_FREE_BLOCKS) freeBlocks.push(block as Buffer);
}

/** Connections with unflushed bytes, flushed together once per turn of the event loop, after the poll phase. */
let dirty: Connection[] = [];
let flushing: Connection[] = [];
let scheduled = false;

function flushDirty(): void {
  scheduled = false;
  const list = dirty;
  dirty = flushing;
  flushing = list;
  for (let i = 0; i < list.length; i++) {
    const c = list[i]!;
    c.queued = false;
    c.flush();
  }
  list.length = 0;
}

let nextId = 1;

/** Whoever counts connections (a listener, a host): told after the reader, once. */
export interface ConnectionOwner {
  connectionClosed(connection: Connection, error: SluiceError | null): void;
}

export class Connection implements Output, WireEvents {
  readonly id: number;
  readonly info: ConnectionInfo;
  state = CONNECTING;
  reader: Reader;
  wire: Wire | null = null;
  /** Largest carry allowed; reaching it without progress closes nothing here: readers set it to their frame or head limit. */
  want = 0;
  /** Bytes ever received and appended, for metrics and access logs. */
  received = 0;
  sent = 0;
  /** Monotonic ms when it was made. */
  readonly since = turnNow();
  /** Times bytes were received, as a count; idle timers compare it instead of being re-armed per read. */
  reads = 0;
  queued = false;
  /** Free for the owner of the connection. */
  tag: unknown = null;
  owner: ConnectionOwner | null = null;

  private readonly writer: Writer;
  private block: Uint8Array | null = null;
  private blockStart = 0;
  private carry: Buffer = EMPTY;
  private carryStart = 0;
  private carryEnd = 0;
  private pauses = 0;
  private above = false;
  private delivering = false;
  /** A pause was taken back while bytes were being delivered: what is left of them is offered again. */
  private resumed = false;
  private ended = false;
  /** The peer's end waits until the carry it follows has been offered. */
  private endDue = false;
  private endWanted = false;

  constructor(reader: Reader, info = new ConnectionInfo()) {
    this.id = nextId++;
    this.reader = reader;
    this.info = info;
    this.writer = new Writer(EMPTY);
  }

  /** Bytes appended that the kernel has not taken. */
  get unsent(): number {
    const wire = this.wire;
    return (this.block === null ? 0 : this.writer.pos - this.blockStart) + (wire === null ? 0 : wire.unsent);
  }

  /** Bytes ever appended, sent or not. */
  get appended(): number {
    return this.sent + (this.block === null ? 0 : this.writer.pos - this.blockStart);
  }

  /** The writer as the last `out` or `write` left it: what that call appended is buf[mark, pos). */
  lastWrite(): Writer {
    return this.writer;
  }

  /** Bytes received and not consumed. */
  get carried(): number {
    return this.carryEnd - this.carryStart;
  }

  get writable(): boolean {
    return this.state <= OPEN && !this.endWanted;
  }

  get paused(): boolean {
    return this.pauses !== 0;
  }

  /** The peer's FIN was seen. */
  get peerEnded(): boolean {
    return this.ended;
  }

  // === writing

  out(n: number): Writer {
    const w = this.writer;
    if (this.block === null) {
      this.block = w.buf = takeBlock(n);
      w.pos = this.blockStart = 0;
      if (!this.queued) this.enqueue();
    } else if (w.pos + n > w.buf.length) {
      this.sendBlock();
      this.block = w.buf = takeBlock(n);
      w.pos = this.blockStart = 0;
      if (!this.queued) this.enqueue();
    }
    w.mark = w.pos;
    return w;
  }

  write(buf: Uint8Array, start: number, end: number): void {
    const n = end - start;
    if (n <= MAX_RESERVE) {
      this.out(n).bytes(buf, start, end);
      return;
    }
    const copy = Buffer.allocUnsafeSlow(n);
    copy.set(buf.subarray(start, end));
    this.give(copy, 0, n);
  }

  give(buf: Uint8Array, start: number, end: number): void {
    if (this.block !== null) this.sendBlock();
    this.sent += end - start;
    if (this.state === OPEN || this.state === CONNECTING) {
      if (this.wire === null || this.wire.send(buf, start, end)) recycle(buf);
      this.checkHigh();
    }
    const w = this.writer;
    w.mark = w.pos;
  }

  private enqueue(): void {
    this.queued = true;
    dirty.push(this);
    if (!scheduled) {
      scheduled = true;
      setImmediate(flushDirty);
    }
  }

  /** Hands what was appended to the transport now. Called once per turn; callers need it only before end or detach. */
  flush(): void {
    this.handOver();
    // The socket may have drained while a block still waited here; when it takes that at once it has nothing more to tell.
    if (this.above) this.wireDrained();
  }

  private handOver(): void {
    if (this.block !== null) this.sendBlock();
    if (this.endWanted && this.state === OPEN) {
      this.state = ENDING;
      this.wire?.end();
    }
  }

  private sendBlock(): void {
    const w = this.writer;
    const block = this.block!;
    const start = this.blockStart;
    const end = w.pos;
    this.block = null;
    w.buf = EMPTY;
    w.pos = 0;
    w.mark = 0;
    if (end === start) {
      freeBlock(block);
      return;
    }
    this.sent += end - start;
    const wire = this.wire;
    if (wire === null || this.state > OPEN) {
      freeBlock(block);
      return;
    }
    if (wire.send(block, start, end)) freeBlock(block);
    else this.checkHigh();
  }

  private checkHigh(): void {
    if (!this.above && this.unsent > HIGH_WATER) this.above = true;
  }

  /** True from the moment unsent bytes pass HIGH_WATER until they fall below LOW_WATER (then `onDrain` is called). */
  get overHigh(): boolean {
    if (!this.above && this.unsent > HIGH_WATER) this.above = true;
    return this.above;
  }

  // === reading

  /** Stops reading for one reason (PAUSE_*). */
  pause(why: number): void {
    if (this.pauses === 0) this.wire?.pause();
    this.pauses |= why;
  }

  /** Takes one reason back; when none is left, hands in what was carried and reads on. */
  resume(why: number): void {
    if ((this.pauses & why) === 0) return;
    this.pauses &= ~why;
    if (this.pauses !== 0 || this.state >= CLOSED) return;
    if (this.delivering) this.resumed = true;
    else this.redeliver();
    if (this.pauses !== 0 || this.state >= CLOSED) return;
    this.wire?.resume();
    if (this.endDue && !this.delivering) this.tellEnd();
  }

  /** Hands the carried bytes to the reader again, for a reader that can go on now (a blocked codec was released). */
  redeliver(): void {
    if (this.delivering || this.carryEnd === this.carryStart || this.state >= CLOSED) return;
    if (this.want > this.carryEnd - this.carryStart) return;
    this.deliverCarry();
  }

  private deliverCarry(): void {
    let n: number;
    do {
      this.resumed = false;
      this.delivering = true;
      n = this.reader.onBytes(this, this.carry, this.carryStart, this.carryEnd, false);
      this.delivering = false;
      if (this.state >= CLOSED) {
        this.dropCarry();
        return;
      }
      this.carryStart += n;
      if (this.carryStart >= this.carryEnd) this.dropCarry();
    } while (n > 0 && this.resumed && this.pauses === 0 && this.carryEnd !== this.carryStart && this.want <= this.carryEnd - this.carryStart);
  }

  private dropCarry(): void {
    if (this.carry.length > COUNTED_FROM) gathered.bytes -= this.carry.length;
    this.carry = EMPTY;
    this.carryStart = 0;
    this.carryEnd = 0;
    this.want = 0;
  }

  private keepTail(buf: Uint8Array, start: number, end: number): void {
    const have = this.carryEnd - this.carryStart;
    const total = have + (end - start);
    if (this.carryStart + total > this.carry.length || this.carry.length === 0) {
      // Exactly what the reader wants where it knows, else doubling: a frame is copied once, a head log(n) times.
      const size = Math.max(total, this.want, have === 0 ? 0 : Math.min(this.carry.length * 2, total + MAX_RESERVE));
      // Small ones come out of Node's pool: five times cheaper, and they do not stay.
      const grown = size <= SMALL_CARRY ? Buffer.allocUnsafe(size) : Buffer.allocUnsafeSlow(size);
      if (have > 0) grown.set(this.carry.subarray(this.carryStart, this.carryEnd));
      if (this.carry.length > COUNTED_FROM) gathered.bytes -= this.carry.length;
      if (size > COUNTED_FROM) gathered.bytes += size;
      this.carry = grown;
      this.carryStart = 0;
      this.carryEnd = have;
    } else if (!this.delivering && this.carryStart > 0 && this.carryStart + Math.max(total, this.want) > this.carry.length) {
      this.carry.copyWithin(0, this.carryStart, this.carryEnd);
      this.carryStart = 0;
      this.carryEnd = have;
    }
    this.carry.set(buf.subarray(start, end), this.carryEnd);
    this.carryEnd += end - start;
  }

  wireData(buf: Uint8Array, start: number, end: number, owned: boolean): void {
    if (this.state >= CLOSED) return;
    this.received += end - start;
    this.reads++;
    while (this.carryEnd !== this.carryStart) {
      if (this.delivering || this.pauses !== 0) {
        this.keepTail(buf, start, end);
        return;
      }
      // Complete the message in the carry with just the bytes it lacks; the rest is handed in where it lies. The reader may learn
      // from them that it wants more (a fixed part tells the length of a frame), hence the loop.
      const lacking = this.want - (this.carryEnd - this.carryStart);
      const take = lacking > 0 ? Math.min(lacking, end - start) : end - start;
      this.keepTail(buf, start, start + take);
      start += take;
      if (lacking > take) return;
      this.deliverCarry();
      if (start === end || this.state >= CLOSED) return;
    }
    if (this.delivering || this.pauses !== 0) {
      this.keepTail(buf, start, end);
      return;
    }
    this.resumed = false;
    this.delivering = true;
    const n = this.reader.onBytes(this, buf, start, end, owned);
    this.delivering = false;
    if (this.state >= CLOSED) return;
    if (n < end - start) {
      this.keepTail(buf, start + n, end);
      if (this.resumed && this.pauses === 0) this.redeliver();
    } else this.want = 0;
  }

  // === life

  attach(wire: Wire): void {
    this.wire = wire;
    if (this.pauses !== 0) wire.pause();
  }

  wireOpen(): void {
    if (this.state !== CONNECTING) return;
    this.state = OPEN;
    this.reader.onOpen(this);
    // An end that was asked for while connecting.
    if (this.endWanted && !this.queued) this.enqueue();
  }

  wireEnd(): void {
    if (this.state >= CLOSED || this.ended) return;
    this.ended = true;
    if (this.pauses !== 0 && this.carryEnd !== this.carryStart) this.endDue = true;
    else this.tellEnd();
  }

  private tellEnd(): void {
    this.endDue = false;
    this.reader.onEnd(this);
  }

  wireDrained(): void {
    if (this.above && this.unsent < LOW_WATER) {
      this.above = false;
      if (this.state < CLOSED) this.reader.onDrain(this);
    }
  }

  wireClosed(error: SluiceError | null): void {
    if (this.state >= CLOSED) return;
    this.state = CLOSED;
    this.release();
    this.reader.onClose(this, error);
    this.owner?.connectionClosed(this, error);
  }

  /** Ends our side after everything appended was sent; reading goes on until the peer ends. */
  end(): void {
    if (this.endWanted || this.state >= ENDING) return;
    this.endWanted = true;
    if (!this.queued) this.enqueue();
  }

  /** Closes now; appended bytes are handed to the kernel first unless `reset`. Nothing is read any more; `onClose` follows, once. */
  close(reset = false): void {
    if (this.state >= CLOSED) return;
    if (!reset) this.handOver();
    this.endWanted = true;
    if (this.wire !== null) this.wire.destroy(reset);
    else this.wireClosed(null);
  }

  /** Gives the socket away: what the owner needs to go on with it. The connection is dead afterwards and calls nobody. */
  detach(): { socket: unknown; unread: Buffer; unsent: Buffer } {
    const unread = Buffer.from(this.carry.subarray(this.carryStart, this.carryEnd));
    const w = this.writer;
    const unsent = this.block === null ? EMPTY : Buffer.from(w.buf.subarray(this.blockStart, w.pos));
    this.state = DETACHED;
    const socket = this.wire === null ? null : this.wire.detach();
    this.release();
    return { socket, unread, unsent };
  }

  private release(): void {
    this.dropCarry();
    if (this.block !== null) {
      freeBlock(this.block);
      this.block = null;
      this.writer.buf = EMPTY;
      this.writer.pos = 0;
    }
    this.wire = null;
  }
}

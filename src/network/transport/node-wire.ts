// One net.Socket behind a connection: handlers, reads into shared memory, writes, and a close that loses no byte the peer can still take.
import type { Socket } from 'node:net';
import { Deadline, type DeadlineOwner } from '../../core/deadline.js';
import { log } from '../../core/log.js';
import { SluiceError } from '../../core/reason.js';
import type { Connection } from '../connection.js';
import { socketError, WHILE_CONNECTING, WHILE_HANDSHAKING, WHILE_OPEN, type SocketPhase } from '../socket-error.js';
import { isReadBuffer, READ_SIZES, recycle, takeReadBuffer, withdraw } from '../read-buffers.js';
import type { Wire } from '../wire.js';

/** How long a closing socket may take to hand its last bytes to the kernel. */
export const FLUSH_MS = 5000;
/** How long, and for how many bytes, a closed server socket still reads, so that a reset does not overtake the reply. */
export const LINGER_MS = 1000;
export const LINGER_BYTES = 1024 * 1024;

/** Every wire that reads small pieces shares this buffer: its bytes are valid until the handler returns. */
const READ_SIZE = 64 * 1024;
const sharedBuffer = Buffer.allocUnsafeSlow(READ_SIZE);
/** A wire whose reads fill the buffer gets larger ones (READ_SIZES): fewer turns for the same bytes (bench/micro/connection.ts). */
/** TLS never takes a write at once; what is no larger is copied, so that the block can be used again. */
const COPY_BELOW = 4096;

const OPENING = 0;
const LIVE = 1;
/** Our side is closed for its owner: what is unsent still goes out, what comes in is dropped. */
const LINGERING = 2;
const DEAD = 3;
const DETACHED = 4;

/** Deadline kinds. */
const CONNECT = 0;
const FLUSH = 1;
const LINGER = 2;

export const WIRE: unique symbol = Symbol('wire');
export interface WireSocket extends Socket {
  [WIRE]?: NodeWire | undefined;
}

const EMPTY = Buffer.alloc(0);

/**
 * The `onread` option of node:net: one reusable buffer instead of an allocation per read. Node calls `buffer` once when the handle
 * is made and then after every `callback`; a buffer returned there replaces the one in use, anything else keeps it. That lets a
 * wire with full reads (bulk) go over to buffers of its own, which are given away with their bytes, and come back when its reads
 * are small again. Until then it holds one such buffer.
 */
let afterRead = false;
let nextBuffer: Buffer | undefined;

function onReadBuffer(): Buffer {
  if (!afterRead) return sharedBuffer;
  afterRead = false;
  const next = nextBuffer;
  nextBuffer = undefined;
  return next as Buffer;
}

function onRead(this: WireSocket, n: number, buf: Uint8Array): boolean {
  nextBuffer = undefined;
  const wire = this[WIRE];
  if (wire === undefined) {
    // Given away: the new owner reads it as a plain stream.
    afterRead = true;
    return this.push(Buffer.from(buf.subarray(0, n)));
  }
  const size = buf.length;
  if (buf === sharedBuffer) {
    wire.received(buf as Buffer, n, false);
    if (n === size) nextBuffer = takeReadBuffer(READ_SIZES[0]);
  } else if (n >= size / 2) {
    wire.received(buf as Buffer, n, true);
    nextBuffer = takeReadBuffer(n === size ? READ_SIZES[1] : size);
  } else {
    wire.received(buf as Buffer, n, false);
    recycle(buf);
    nextBuffer = sharedBuffer;
  }
  afterRead = true;
  return true;
}

export const onread = { buffer: onReadBuffer, callback: onRead as (n: number, buf: Uint8Array) => boolean };

function onData(this: WireSocket, chunk: Buffer): void {
  this[WIRE]?.received(chunk, chunk.length, true);
}
function onEnd(this: WireSocket): void {
  this[WIRE]?.peerEnded();
}
function onDrain(this: WireSocket): void {
  this[WIRE]?.drained();
}
function onError(this: WireSocket, error: Error): void {
  this[WIRE]?.failed(error);
}
function onClose(this: WireSocket): void {
  this[WIRE]?.closed();
}
/** Stays on a socket for ever: an error that comes when nobody owns it must not end the process. */
function ignore(): void {}

export class NodeWire implements Wire, DeadlineOwner {
  socket: WireSocket;
  /** True for a client's connection that a listener accepted. */
  readonly accepted: boolean;
  /** The peer as errors show it; "" until an accepted connection knows it. */
  peer: string;
  /** Whether the socket reads by `onread` rather than by 'data' events. */
  readonly direct: boolean;
  readonly connection: Connection;
  private state = OPENING;
  private phase: SocketPhase;
  private tls = false;
  private error: SluiceError | null = null;
  private deadline: Deadline | null = null;
  private limit = 0;
  private ended = false;
  private wrote = false;
  private dropped = 0;
  private marked = false;
  private written: (() => void) | null = null;
  private halfClosed = false;
  /** Read buffers that the kernel has not taken all of. */
  private inFlight: Uint8Array[] | null = null;
  /** Writes held back until the TLS handshake has verified the host; null when nothing is held. */
  private held: Buffer[] | null = null;
  private heldBytes = 0;

  constructor(connection: Connection, socket: WireSocket, accepted: boolean, direct: boolean, peer: string) {
    this.connection = connection;
    this.socket = socket;
    this.accepted = accepted;
    this.direct = direct;
    this.peer = peer;
    this.phase = accepted ? WHILE_OPEN : WHILE_CONNECTING;
    this.adopt(socket);
  }

  private adopt(socket: WireSocket): void {
    this.socket = socket;
    socket[WIRE] = this;
    socket.on('end', onEnd);
    socket.on('drain', onDrain);
    socket.on('error', onError);
    socket.on('close', onClose);
  }

  private disown(): void {
    const socket = this.socket;
    socket[WIRE] = undefined;
    socket.on('error', ignore);
    socket.off('data', onData);
    socket.off('end', onEnd);
    socket.off('drain', onDrain);
    socket.off('error', onError);
    socket.off('close', onClose);
  }

  // === opening

  /** Starts to read an accepted socket, unless TLS has taken it over or it is closed already. */
  start(): void {
    if (this.state !== OPENING || this.tls) return;
    this.read();
  }

  private read(): void {
    this.state = LIVE;
    if (this.direct) return;
    this.socket.on('data', onData);
    // A socket made paused stays so when somebody listens.
    if (!this.connection.paused) this.socket.resume();
  }

  /** Fails an outgoing socket that is not open after `ms`. */
  openWithin(ms: number): void {
    this.limit = ms;
    if (ms > 0) this.arm(CONNECT, ms);
  }

  /** From here on bytes are for TLS; writes wait until `opened`. */
  handshaking(): void {
    this.phase = WHILE_HANDSHAKING;
    this.tls = true;
  }

  /** Writes wait in memory, because TLS could send them before the host's certificate has been judged. */
  holdWrites(): void {
    this.held = [];
  }

  /** An outgoing socket is ready. */
  opened(): void {
    if (this.state !== OPENING) return;
    this.state = LIVE;
    this.phase = WHILE_OPEN;
    this.disarm();
    const held = this.held;
    if (held !== null) {
      this.held = null;
      this.heldBytes = 0;
      for (const piece of held) this.send(piece, 0, piece.length);
      if (this.halfClosed) this.socket.end();
    }
    const info = this.connection.info;
    if (!this.peer.startsWith('unix:')) {
      info.localAddress = this.socket.localAddress ?? '';
      info.localPort = this.socket.localPort ?? 0;
    }
    if (!this.direct) this.socket.on('data', onData);
    try {
      this.connection.wireOpen();
    } catch (thrown) {
      this.fault(thrown);
    }
  }

  /** Stops plain reading of an accepted socket, so that TLS can take it over; what came and was not consumed is read again. */
  release(unread: Buffer): WireSocket {
    const socket = this.socket;
    this.state = OPENING;
    this.handshaking();
    socket.off('data', onData);
    socket.off('end', onEnd);
    socket.off('drain', onDrain);
    socket.pause();
    if (unread.length > 0) socket.unshift(unread);
    return socket;
  }

  /** The TLS socket that replaced the accepted one; its handshake is done. */
  secured(socket: WireSocket): void {
    this.disown();
    this.adopt(socket);
    this.phase = WHILE_OPEN;
    this.read();
  }

  // === events of the socket

  received(buf: Buffer, n: number, owned: boolean): void {
    if (this.state === LIVE) {
      try {
        this.connection.wireData(buf, 0, n, owned);
      } catch (thrown) {
        this.fault(thrown);
      }
    } else if (this.state === LINGERING) {
      this.dropped += n;
      if (this.dropped > LINGER_BYTES) this.socket.destroy();
    }
  }

  peerEnded(): void {
    this.ended = true;
    if (this.state === LIVE) {
      try {
        this.connection.wireEnd();
      } catch (thrown) {
        this.fault(thrown);
      }
    } else if (this.state === LINGERING && this.socket.writableFinished) {
      this.socket.destroy();
    }
  }

  drained(): void {
    if (this.socket.writableLength !== 0) return;
    if (this.inFlight !== null) {
      for (const buf of this.inFlight) recycle(buf);
      this.inFlight = null;
    }
    if (this.state !== LIVE) return;
    try {
      this.connection.wireDrained();
    } catch (thrown) {
      this.fault(thrown);
    }
  }

  failed(error: Error): void {
    if (this.error !== null || this.state === LINGERING) return;
    if ((error as NodeJS.ErrnoException).code === 'ERR_STREAM_DESTROYED') return;
    this.error = socketError(error, this.accepted, this.phase, this.peer, this.limit);
  }

  closed(): void {
    if (this.state >= DEAD) return;
    this.state = DEAD;
    this.disarm();
    this.disown();
    this.held = null;
    this.connection.wireClosed(this.error);
  }

  /** A reader threw: a fault of ours that may cost this connection and nothing else. */
  private fault(thrown: unknown): void {
    const detail = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
    this.error ??= new SluiceError('internal', { detail }, thrown);
    log.error({ peer: this.peer, err: thrown }, 'what handled the bytes of a connection threw; the connection was cut');
    this.abort();
  }

  /** Closes by a reset where the socket can. */
  private abort(): void {
    const { socket } = this;
    this.state = LINGERING;
    // While a FIN is on its way to the kernel libuv refuses a reset, and Node then leaks the descriptor and hangs the end of its
    // thread. With bytes unsent the FIN has not been asked for yet; without any, a plain close cuts nothing off.
    const finishing = socket.writableEnded && !socket.writableFinished && socket.writableLength === 0;
    if (this.tls || socket.connecting || finishing || this.peer.startsWith('unix:')) socket.destroy();
    else socket.resetAndDestroy();
  }

  // === Wire

  send(buf: Uint8Array, start: number, end: number): boolean {
    if (this.state >= LINGERING || this.halfClosed) return true;
    const whole = start === 0 && end === buf.length;
    const bytes = (whole ? buf : buf.subarray(start, end)) as Buffer;
    if (this.held !== null) {
      this.held.push(bytes);
      this.heldBytes += bytes.length;
      return false;
    }
    this.wrote = true;
    const socket = this.socket;
    if (this.tls) {
      const small = end - start <= COPY_BELOW;
      socket.write(small ? Buffer.from(bytes) : bytes, this.onWritten());
      return small;
    }
    if (this.state === OPENING) {
      socket.write(bytes, this.onWritten());
      return false;
    }
    socket.write(bytes);
    if (socket.writableLength === 0) return true;
    if (isReadBuffer(buf)) {
      withdraw(buf);
      (this.inFlight ??= []).push(buf);
    }
    // 'drain' comes only after more than the stream's own high-water mark: below it an empty write behind the rest tells us.
    if (!socket.writableNeedDrain && !this.marked) {
      this.marked = true;
      socket.write(EMPTY, this.onWritten());
    }
    return false;
  }

  /** The callback of writes that need one; made once per wire, when first needed. */
  private onWritten(): () => void {
    this.written ??= () => {
      this.marked = false;
      this.drained();
    };
    return this.written;
  }

  get unsent(): number {
    return this.socket.writableLength + this.heldBytes;
  }

  pause(): void {
    if (this.state < LINGERING) this.socket.pause();
  }

  resume(): void {
    if (this.state < LINGERING) this.socket.resume();
  }

  end(): void {
    if (this.state >= LINGERING || this.halfClosed) return;
    this.halfClosed = true;
    if (this.held === null) this.socket.end();
  }

  destroy(reset: boolean): void {
    if (this.state >= DEAD) return;
    const socket = this.socket;
    if (this.state === LIVE && !reset) {
      // A client that has not ended its side may be sending still: closing under its bytes would make the kernel answer with a
      // reset, which can destroy the reply on its way. A host gets no reply from us.
      if (socket.writableLength > 0 || (this.accepted && this.wrote && !this.ended)) {
        this.linger();
        return;
      }
    }
    if (reset) {
      this.abort();
    } else if (this.state !== LINGERING) {
      this.state = LINGERING;
      socket.destroy();
    }
  }

  private linger(): void {
    const socket = this.socket;
    this.state = LINGERING;
    this.arm(FLUSH, FLUSH_MS);
    if (socket.writableFinished) this.flushed();
    else socket.once('finish', onFinish);
    socket.end();
    // Readable again even if paused: bytes are counted and dropped, and the peer's FIN ends the wait.
    if (this.accepted) socket.resume();
    else socket.pause();
  }

  /** All bytes of a lingering socket and its FIN are with the kernel. */
  flushed(): void {
    if (this.state !== LINGERING) return;
    if (this.ended || !this.accepted) this.socket.destroy();
    else this.arm(LINGER, LINGER_MS);
  }

  onDeadline(kind: number): void {
    if (kind === CONNECT && this.state === OPENING) {
      const code = this.phase === WHILE_HANDSHAKING ? 'upstream-tls-failed' : 'connect-timeout';
      this.error ??= new SluiceError(code, { host: this.peer, ms: this.limit, detail: `no handshake within ${this.limit} ms`, errno: 'ETIMEDOUT' });
    } else if (kind === FLUSH && this.socket.writableLength > 0) {
      const context = { host: this.peer, address: this.peer, ms: FLUSH_MS, bytes: this.socket.writableLength, detail: 'unsent bytes were dropped' };
      this.error ??= new SluiceError(this.accepted ? 'slow-reader' : 'upstream-closed', context);
      // What was cut short must not look whole.
      this.abort();
      return;
    }
    this.socket.destroy();
  }

  private arm(kind: number, ms: number): void {
    this.deadline?.cancel();
    this.deadline = new Deadline(this, kind);
    this.deadline.set(ms);
  }

  private disarm(): void {
    this.deadline?.cancel();
    this.deadline = null;
  }

  setKeepAlive(on: boolean, delayMs: number): void {
    if (this.state < LINGERING) this.socket.setKeepAlive(on, delayMs);
  }

  setNoDelay(on: boolean): void {
    if (this.state < LINGERING) this.socket.setNoDelay(on);
  }

  detach(): Socket {
    const socket = this.socket;
    this.state = DETACHED;
    this.disarm();
    socket.pause();
    this.disown();
    return socket;
  }
}

function onFinish(this: WireSocket): void {
  this[WIRE]?.flushed();
}

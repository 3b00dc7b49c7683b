// Where log lines go: two blocks per file, one being filled and one being written, so that a slow or failing disk costs lines and never time.
import * as fs from 'node:fs';
import { Writer } from '../core/bytes.js';
import { clock, now } from '../core/clock.js';
import { Deadline, type DeadlineOwner } from '../core/deadline.js';
import type { Log } from '../core/log.js';
import type { Counter, Stats } from '../core/stats.js';
import type { LineFormat } from './access-log-format.js';
import type { ExchangeRecord } from './record.js';

/** Bytes of a block; a line never takes more. */
export const BLOCK_BYTES = 256 * 1024;
/** Longest time that a line waits in a block that is not full, ms. */
export const FLUSH_MS = 200;
/** Wait before a pipe that was full, or a gate that was taken, is tried again, ms. */
const AGAIN_MS = 20;
/** At most one warning about lost lines in this time, ms. */
const WARN_MS = 10_000;

const FLUSH = 0;
const AGAIN = 1;

/** What a sink does to files; replaced by tests that need a failing disk. */
export interface LineFiles {
  open(path: string, done: (error: NodeJS.ErrnoException | null, fd: number) => void): void;
  write(fd: number, buf: Uint8Array, start: number, length: number, done: (error: NodeJS.ErrnoException | null, written: number) => void): void;
  close(fd: number): void;
}

const realFiles: LineFiles = {
  open: (path, done) => fs.open(path, 'a', 0o640, done),
  write: (fd, buf, start, length, done) => fs.write(fd, buf, start, length, null, done),
  close: (fd) => fs.close(fd, () => {}),
};

/**
 * Lets one worker at a time write to standard output: a pipe takes a large write in pieces, between which another worker's could
 * get. `cells` is shared by all workers; the cell holds the id (from 1) of who writes, 0 for nobody.
 */
export class WriteGate {
  private readonly cells: Int32Array;
  private readonly cell: number;
  private readonly id: number;

  constructor(cells: Int32Array, cell: number, id: number) {
    this.cells = cells;
    this.cell = cell;
    this.id = id;
  }

  tryEnter(): boolean {
    return Atomics.compareExchange(this.cells, this.cell, 0, this.id) === 0;
  }

  /** Also for the main thread, on behalf of a worker that died. */
  leave(): void {
    Atomics.compareExchange(this.cells, this.cell, this.id, 0);
  }
}

export interface LineSinkDeps {
  readonly stats: Stats;
  readonly log: Log;
  /** null with one worker. */
  readonly gate: WriteGate | null;
  readonly files?: LineFiles;
}

const standard: Readonly<Record<string, number>> = { stdout: 1, stderr: 2 };

/**
 * One file, or standard output, of one worker. Regular files are opened for appending: the kernel keeps the blocks of several
 * workers whole. Nothing here throws or waits; what cannot be written is counted in sluice_access_log_dropped_total.
 */
export class LineSink implements DeadlineOwner {
  readonly path: string;
  readonly dropped: Counter;
  readonly written: Counter;
  users = 0;
  private readonly log: Log;
  private readonly gate: WriteGate | null;
  private readonly files: LineFiles;
  private readonly isFile: boolean;
  private fd: number;
  private readonly flushDeadline: Deadline;
  private readonly againDeadline: Deadline;
  /** The block being filled; made at the first line. */
  private writer: Writer | null = null;
  private lines = 0;
  /** The block that waits to be filled next. */
  private spare: Writer | null = null;
  /** The block being written, from `outStart`. */
  private out: Writer | null = null;
  private outStart = 0;
  private outLines = 0;
  private gateHeld = false;
  private opening = false;
  /** Counts blocks handed to be written, and those that are done with. */
  private begun = 0;
  private done = 0;
  private waiters: { readonly block: number; readonly resolve: () => void }[] = [];
  private reopens: (() => void)[] = [];
  private reopenWanted = false;
  private closed = false;
  private warnedAt = Number.NEGATIVE_INFINITY;

  constructor(path: string, deps: LineSinkDeps) {
    const fd = standard[path];
    this.path = path;
    this.isFile = fd === undefined;
    this.fd = fd ?? -1;
    this.log = deps.log;
    this.gate = this.isFile ? null : deps.gate;
    this.files = deps.files ?? realFiles;
    this.dropped = deps.stats.counter('sluice_access_log_dropped_total', 'Lines of access logs that could not be written.', { path });
    this.written = deps.stats.counter('sluice_access_log_lines_total', 'Lines of access logs that were written.', { path });
    this.flushDeadline = new Deadline(this, FLUSH);
    this.againDeadline = new Deadline(this, AGAIN);
  }

  /** Appends a line; drops it when one block is full and the other still being written. */
  write(format: LineFormat, record: ExchangeRecord): void {
    const need = format.bound(record);
    let w = this.writer;
    if (w === null || this.closed || w.pos + need > BLOCK_BYTES) {
      w = this.block();
      if (w === null) {
        this.dropped.inc();
        return;
      }
    }
    if (w.pos === 0) this.flushDeadline.set(FLUSH_MS);
    format.write(w, record);
    this.lines++;
  }

  /** A block with room for a line; null when there is none. */
  private block(): Writer | null {
    if (this.closed) return null;
    if (this.writer !== null && this.writer.pos > 0) {
      if (this.out !== null) return null;
      this.begin();
    }
    this.writer ??= new Writer(Buffer.allocUnsafeSlow(BLOCK_BYTES));
    return this.writer;
  }

  onDeadline(kind: number): void {
    if (kind === AGAIN) this.proceed();
    else if (this.out === null) this.begin();
  }

  /** Starts to write the block that was filled; none is being written now. */
  private begin(): void {
    const w = this.writer;
    if (w === null || w.pos === 0) return;
    this.flushDeadline.cancel();
    this.out = w;
    this.outStart = 0;
    this.outLines = this.lines;
    this.lines = 0;
    this.begun++;
    this.writer = this.spare;
    this.spare = null;
    this.proceed();
  }

  /** Writes what is left of the block, once there is a file and the gate is free. */
  private proceed(): void {
    const out = this.out;
    if (out === null || this.opening) return;
    if (this.fd < 0) {
      this.open();
      return;
    }
    if (this.gate !== null && !this.gateHeld) {
      if (!this.gate.tryEnter()) {
        this.againDeadline.set(AGAIN_MS);
        return;
      }
      this.gateHeld = true;
    }
    this.files.write(this.fd, out.buf, this.outStart, out.pos - this.outStart, (error, n) => {
      if (error !== null) {
        // A full pipe whose reader is slow; what was lost shows as dropped lines of the next block.
        if (error.code === 'EAGAIN') this.againDeadline.set(AGAIN_MS);
        else this.failed(error);
        return;
      }
      this.outStart += n;
      if (this.outStart < out.pos) this.proceed();
      else this.finished(this.outLines);
    });
  }

  private open(): void {
    this.opening = true;
    this.files.open(this.path, (error, fd) => {
      this.opening = false;
      if (error === null) this.fd = fd;
      for (const resolve of this.reopens.splice(0)) resolve();
      if (this.out === null) {
        if (error !== null) this.warn(error);
        if (this.closed) this.closeFile();
      } else if (error === null) this.proceed();
      else this.failed(error);
    });
  }

  /** The rest of the block is lost. A file is opened anew for the next one: its disk may have been replaced. */
  private failed(error: NodeJS.ErrnoException): void {
    const out = this.out!;
    let lost = 0;
    for (let i = this.outStart; i < out.pos; i++) if (out.buf[i] === 0x0a) lost++;
    this.dropped.add(lost);
    this.warn(error);
    this.closeFile();
    this.finished(this.outLines - lost);
  }

  private warn(error: NodeJS.ErrnoException): void {
    const time = now();
    if (time - this.warnedAt < WARN_MS) return;
    this.warnedAt = time;
    this.log.warn({ path: this.path, errno: error.code ?? '', dropped: this.dropped.value }, 'the access log cannot be written');
  }

  private finished(lines: number): void {
    this.written.add(lines);
    if (this.gateHeld) {
      this.gateHeld = false;
      this.gate!.leave();
    }
    this.out!.pos = 0;
    this.spare = this.out;
    this.out = null;
    this.done++;
    this.waiters = this.waiters.filter((waiter) => {
      if (waiter.block > this.done) return true;
      waiter.resolve();
      return false;
    });
    if (this.reopenWanted) {
      this.reopenWanted = false;
      this.closeFile();
      this.open();
    }
    // The deadline may have passed while the other block was being written, or someone waits for what came since.
    if (this.writer !== null && this.writer.pos > 0 && (!this.flushDeadline.armed || this.waiters.length > 0)) this.begin();
  }

  private closeFile(): void {
    if (!this.isFile || this.fd < 0) return;
    this.files.close(this.fd);
    this.fd = -1;
  }

  /** Resolves when everything appended so far is written or lost. */
  flush(): Promise<void> {
    const pending = this.writer !== null && this.writer.pos > 0;
    if (!pending && this.out === null) return Promise.resolve();
    const block = this.begun + (pending ? 1 : 0);
    return new Promise((resolve) => {
      this.waiters.push({ block, resolve });
      if (this.out === null) this.begin();
    });
  }

  /** Opens the file anew, after it was moved away; resolves when that is done or has failed (see the log). Lines that wait go to the new one. */
  reopen(): Promise<void> {
    if (!this.isFile || this.closed) return Promise.resolve();
    return new Promise((resolve) => {
      this.reopens.push(resolve);
      if (this.opening) return;
      if (this.out !== null && this.fd >= 0) {
        this.reopenWanted = true;
      } else {
        this.closeFile();
        this.open();
      }
    });
  }

  /** Writes what there is and closes the file; lines that come later are dropped and counted. */
  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    await this.flush();
    this.flushDeadline.cancel();
    if (!this.opening) this.closeFile();
  }
}

/** The sinks of one worker by path, so that several logs to one file share its blocks. */
export class LineSinks {
  private readonly deps: LineSinkDeps;
  private readonly sinks = new Map<string, LineSink>();

  constructor(deps: LineSinkDeps) {
    this.deps = deps;
  }

  /** `stdout`, `stderr`, or the path of a file. */
  open(path: string): LineSink {
    let sink = this.sinks.get(path);
    if (sink === undefined) {
      sink = new LineSink(path, this.deps);
      this.sinks.set(path, sink);
    }
    sink.users++;
    return sink;
  }

  /** The last one to let go closes the sink. */
  release(sink: LineSink): Promise<void> {
    if (--sink.users > 0) return Promise.resolve();
    if (this.sinks.get(sink.path) === sink) this.sinks.delete(sink.path);
    return sink.close();
  }

  async reopen(): Promise<void> {
    await Promise.all([...this.sinks.values()].map((sink) => sink.reopen()));
  }

  async flush(): Promise<void> {
    await Promise.all([...this.sinks.values()].map((sink) => sink.flush()));
  }

  /** At the end of the worker; waits at most `ms` for a reader that does not read. */
  async close(ms = 2000): Promise<void> {
    let handle: unknown;
    const patience = new Promise<void>((resolve) => {
      handle = clock.setTimeout(resolve, ms);
    });
    await Promise.race([Promise.all([...this.sinks.values()].map((sink) => sink.close())), patience]);
    clock.clearTimeout(handle);
    this.sinks.clear();
  }
}

// Requests by service and method: counters found by a hash of the names' bytes, no string for a name seen before, and a bound on how many there are.
import { hashBytes, latin1 } from '../core/bytes.js';
import type { Counter, Histogram, Stats } from '../core/stats.js';
import { headerName, type Head } from './head.js';
import type { ExchangeRecord } from './record.js';

const SERVICE = headerName(':service');
const METHOD = headerName(':rpc-method');

/** Services with methods that a listener counts one by one; further ones share a row called `other`, since clients choose the names. */
export const MAX_ROWS = 500;
/** A longer name, or one with bytes that are no plain text, counts as `other`. */
const MAX_NAME = 128;
const SLOTS = 1024;

/** The counters of one method of a service. */
export class RpcRow {
  readonly service: string;
  readonly method: string;
  /** Bytes of both names, one behind the other. */
  readonly bytes: Buffer;
  readonly serviceLength: number;
  private readonly replies: (Counter | null)[] = [];
  private readonly duration: Histogram;
  private readonly stats: Stats;
  private readonly listener: string;

  constructor(stats: Stats, listener: string, service: string, method: string) {
    this.stats = stats;
    this.listener = listener;
    this.service = service;
    this.method = method;
    this.bytes = Buffer.from(service + method, 'latin1');
    this.serviceLength = service.length;
    this.duration = stats.histogram('sluice_rpc_request_seconds', 'Time from the first byte of a call to the end of its reply, by service and method.', { listener, service, method });
  }

  finished(record: ExchangeRecord): void {
    // gRPC and others tell more by their own status; HTTP-like ones are what all protocols share.
    const { status } = record;
    const group = status >= 100 && status < 600 ? (status / 100) | 0 : 0;
    let counter = this.replies[group] ?? null;
    if (counter === null) {
      while (this.replies.length <= group) this.replies.push(null);
      const labels = { listener: this.listener, service: this.service, method: this.method, status: group === 0 ? 'none' : `${group}xx` };
      this.replies[group] = counter = this.stats.counter('sluice_rpc_replies_total', 'Calls by service, method, and the first digit of the HTTP-like status they ended with.', labels);
    }
    counter.inc();
    this.duration.record(record.end - record.start);
  }
}

export class RpcStats {
  private readonly stats: Stats;
  private readonly listener: string;
  private readonly slots: (RpcRow | null)[] = Array.from({ length: SLOTS }, () => null);
  private rows = 0;
  private other: RpcRow | null = null;
  private service: Buffer = Buffer.allocUnsafe(MAX_NAME);

  constructor(stats: Stats, listener: string) {
    this.stats = stats;
    this.listener = listener;
  }

  /** The row of a request; null for one that names no service or method. */
  rowOf(head: Head): RpcRow | null {
    if (!head.find(SERVICE)) return null;
    const n = head.vend - head.vstart;
    if (n > MAX_NAME) return this.rest();
    // The next `find` may reuse what this one found its value in.
    const service = this.service;
    const from = head.vbuf;
    for (let i = 0; i < n; i++) service[i] = from[head.vstart + i]!;
    if (!head.find(METHOD)) return null;
    const { vbuf, vstart, vend } = head;
    if (vend - vstart > MAX_NAME) return this.rest();
    const hash = hashBytes(service, 0, n) ^ Math.imul(hashBytes(vbuf, vstart, vend), 31);
    for (let i = 0; i < SLOTS; i++) {
      const slot = (hash + i) & (SLOTS - 1);
      const row = this.slots[slot]!;
      if (row === null) return this.add(slot, n, vbuf, vstart, vend);
      if (this.isRow(row, n, vbuf, vstart, vend)) return row;
    }
    return this.rest();
  }

  private isRow(row: RpcRow, n: number, buf: Uint8Array, start: number, end: number): boolean {
    const { bytes, serviceLength } = row;
    if (serviceLength !== n || bytes.length !== n + end - start) return false;
    for (let i = 0; i < n; i++) if (bytes[i] !== this.service[i]) return false;
    for (let i = start; i < end; i++) if (bytes[n + i - start] !== buf[i]) return false;
    return true;
  }

  private add(slot: number, n: number, buf: Uint8Array, start: number, end: number): RpcRow {
    const service = latin1(this.service, 0, n);
    const method = latin1(buf, start, end);
    if (this.rows >= MAX_ROWS || !/^[\x20-\x7e]*$/.test(service + method)) return this.rest();
    this.rows++;
    return (this.slots[slot] = new RpcRow(this.stats, this.listener, service, method));
  }

  private rest(): RpcRow {
    return (this.other ??= new RpcRow(this.stats, this.listener, 'other', 'other'));
  }
}

// What a codec must know of a client's unanswered requests in order to answer them: their own ids, form and names.
import { type Form } from './frame.js';
import { UNKEPT, methodStart, nameOf, numberOf } from './names.js';

/** Numbers kept for each: sequence number, both halves of Dubbo's id, form, name, service. */
const WIDTH = 6;
const SEQID = 0;
const HIGH = 1;
const LOW = 2;
const FORM = 3;
const NAME = 4;
const SERVICE = 5;

const NONE = new Int32Array(0);

/** Most rows that a connection keeps while nothing is asked. */
const MAX_KEPT = 8;

/** Rows of numbers, which cost no object for a request. Two ways to find a row: a slot that is taken and freed, or a place in a ring. */
export class Asked {
  /** Slots in use. */
  count = 0;
  private rows = NONE;
  private free: number[] = [];
  private used = 0;
  private lastName = UNKEPT;
  private lastService = UNKEPT;
  /** Names that the table of names does not take. */
  private spelled: Map<number, Buffer> | null = null;

  /** A free row, to be given back by `release`. */
  take(): number {
    this.count++;
    const slot = this.free.pop() ?? this.used++;
    if ((slot + 1) * WIDTH > this.rows.length) {
      const grown = new Int32Array(Math.max(2 * WIDTH, this.rows.length * 2));
      grown.set(this.rows);
      this.rows = grown;
    }
    return slot;
  }

  release(slot: number): void {
    this.count--;
    if (this.count === 0 && this.used > MAX_KEPT) {
      this.rows = NONE;
      this.free = [];
      this.used = 0;
      this.spelled = null;
      return;
    }
    this.free.push(slot);
    this.spelled?.delete(slot * WIDTH + NAME);
    this.spelled?.delete(slot * WIDTH + SERVICE);
  }

  /** Makes this a ring: row `number & (size - 1)` for each of the last `outstanding` numbers, `number` being the newest. */
  ring(number: number, outstanding: number): number {
    if (outstanding > this.rows.length / WIDTH) this.growRing(number, outstanding);
    return this.place(number);
  }

  /** The row of a number in the ring. */
  place(number: number): number {
    return number & (this.rows.length / WIDTH - 1);
  }

  private growRing(number: number, outstanding: number): void {
    const before = this.rows.length / WIDTH;
    let size = 2;
    while (size < outstanding) size *= 2;
    const grown = new Int32Array(size * WIDTH);
    const spelled = this.spelled;
    this.spelled = null;
    for (let n = number - outstanding + 1; n < number; n++) {
      const from = (n & (before - 1)) * WIDTH;
      const to = (n & (size - 1)) * WIDTH;
      for (let i = 0; i < WIDTH; i++) grown[to + i] = this.rows[from + i]!;
      for (const column of [NAME, SERVICE]) {
        const name = spelled?.get(from + column);
        if (name !== undefined) (this.spelled ??= new Map()).set(to + column, name);
      }
    }
    this.rows = grown;
  }

  set(row: number, seqid: number, high: number, low: number, form: Form): void {
    const rows = this.rows;
    const at = row * WIDTH;
    rows[at + SEQID] = seqid;
    rows[at + HIGH] = high;
    rows[at + LOW] = low;
    rows[at + FORM] = form;
  }

  setName(row: number, buf: Uint8Array, start: number, end: number): void {
    this.lastName = this.spell(row * WIDTH + NAME, buf, start, end, this.lastName);
  }

  setService(row: number, buf: Uint8Array, start: number, end: number): void {
    this.lastService = this.spell(row * WIDTH + SERVICE, buf, start, end, this.lastService);
  }

  private spell(at: number, buf: Uint8Array, start: number, end: number, last: number): number {
    const number = numberOf(buf, start, end, last);
    this.rows[at] = number;
    if (number === UNKEPT) (this.spelled ??= new Map()).set(at, Buffer.from(buf.subarray(start, end)));
    else if (this.spelled !== null) this.spelled.delete(at);
    return number;
  }

  seqid(row: number): number {
    return this.rows[row * WIDTH + SEQID]!;
  }
  high(row: number): number {
    return this.rows[row * WIDTH + HIGH]!;
  }
  low(row: number): number {
    return this.rows[row * WIDTH + LOW]!;
  }
  form(row: number): Form {
    return this.rows[row * WIDTH + FORM] as Form;
  }

  /** The name as it was asked for, with its service where that is part of it. */
  name(row: number): Buffer {
    return this.nameAt(row * WIDTH + NAME);
  }
  service(row: number): Buffer {
    return this.nameAt(row * WIDTH + SERVICE);
  }

  /** Where the method begins in `name`. */
  methodStart(row: number): number {
    const number = this.rows[row * WIDTH + NAME]!;
    return number === UNKEPT ? this.name(row).indexOf(58) + 1 : methodStart(number);
  }

  private nameAt(at: number): Buffer {
    const number = this.rows[at]!;
    return number === UNKEPT ? this.spelled!.get(at)! : nameOf(number);
  }
}

// Where things lie in the body of a Dubbo message: names of the call, and its attachments, found once for a message and only when asked for.
import { equalAt } from '../../../core/bytes.js';
import { FASTJSON2, HESSIAN2, RESULT_EXCEPTION_ATTACHMENTS, RESULT_NULL_ATTACHMENTS, i32 } from './frame.js';
import { END, MAP, MAP_OF_TYPE, NULL, begin, found, isCompound, joinChunks, readString, scalarText, shortText, shortTextFrom, skip, skipType, unitsText } from './hessian.js';
import { jsonb, jsonbInt, jsonbString } from './jsonb.js';

// Places in a request's body, in order; the arguments and the attachments follow.
export const FRAMEWORK = 0;
export const PATH = 1;
export const VERSION = 2;
export const METHOD = 3;
const DESCRIPTOR = 4;
const PLACES = 5;

// How much of a body was looked at.
const NOT_YET = 0;
const NAMES = 1;
const ALL = 2;

/** Ints for each attachment: where its key begins (as a value), where the key's text is (2), where its value begins and ends. */
const ENTRY = 5;
const MOST = 4096;

const DOLLAR = 0x24;
const genericDescriptor = Buffer.from('Ljava/lang/String;[Ljava/lang/String;[Ljava/lang/Object;');
const generic = [Buffer.from('$invoke'), Buffer.from('$invokeAsync')];

/**
 * The index of the body that was asked for last; there is one for a thread, and the head it belongs to is kept by whoever uses it.
 * Positions are those of the buffer given. A request in Hessian 2: strings FRAMEWORK to DESCRIPTOR, as many arguments as the descriptor
 * (of the JVM, e.g. `I[JLa/B;`) has, a map of attachments. A reply: RESULT_*, a value or exception, a map where it says so. In fastjson2 the
 * same, each item with an i32 length before it. Other serializations are not read.
 */
export class BodyIndex {
  owner: object | null = null;
  /** Attachments found; those before a fault count. */
  count = 0;
  /** True where the body was found to be what it should be, up to the attachments. */
  sound = false;
  /** Where the map's first and its end mark are; -1 where there is none. `mapAt` is also where a null map is. */
  mapAt = -1;
  mapEnd = -1;
  private buf: Uint8Array = Buffer.alloc(0);
  private end = 0;
  private serialization = 0;
  private depth = NOT_YET;
  private reply = false;
  /** For each place: where it begins as a value, where its text is (2; -1 for null), where it ends. */
  private readonly places = new Int32Array(PLACES * 4);
  private placesFound = 0;
  /** Where the arguments begin. */
  private next = 0;
  private entries = new Int32Array(32 * ENTRY);
  /** The value found: view[from, to). */
  view: Uint8Array = this.buf;
  from = 0;
  to = 0;

  open(owner: object, buf: Uint8Array, start: number, end: number, serialization: number, reply: boolean): void {
    this.owner = owner;
    this.buf = buf;
    this.next = start;
    this.end = end;
    this.serialization = serialization;
    this.reply = reply;
    this.depth = NOT_YET;
    this.placesFound = 0;
    this.count = 0;
    this.sound = false;
    this.mapAt = -1;
    this.mapEnd = -1;
  }

  /** Lets go of the bytes. */
  close(): void {
    this.owner = null;
    this.buf = this.view = nothing;
  }

  // === names

  private readNames(): void {
    this.depth = NAMES;
    if (this.reply) return;
    const { buf, end, places } = this;
    const hessian = this.serialization === HESSIAN2;
    if (!hessian && this.serialization !== FASTJSON2) return;
    let p = this.next;
    for (let i = 0; i < PLACES; i++) {
      const at = i * 4;
      places[at] = p;
      if (hessian) {
        const to = shortText(buf, p, end);
        if (to >= 0) {
          places[at + 1] = shortTextFrom(buf, p);
          places[at + 2] = to;
          p = to;
        } else if (p < end && buf[p] === NULL) {
          places[at + 1] = -1;
          p++;
        } else if (readString(buf, p, end) && !found.chunked) {
          places[at + 1] = found.from;
          places[at + 2] = found.to;
          p = found.next;
        } else {
          return;
        }
      } else {
        if (p + 4 > end) return;
        const to = p + 4 + i32(buf, p);
        if (to > end || to < p + 4) return;
        if (jsonbString(buf, p + 4, to)) {
          places[at + 1] = jsonb.from;
          places[at + 2] = jsonb.to;
        } else {
          places[at + 1] = -1;
        }
        p = to;
      }
      places[at + 3] = p;
      this.placesFound = i + 1;
    }
    this.next = p;
  }

  /** Finds a place's text; false where it is null or beyond what can be read. */
  place(i: number): boolean {
    if (this.depth === NOT_YET) this.readNames();
    if (i >= this.placesFound || this.places[i * 4 + 1]! < 0) return false;
    this.view = this.buf;
    this.from = this.places[i * 4 + 1]!;
    this.to = this.places[i * 4 + 2]!;
    return true;
  }

  /** Finds the method; for a generic call the method that it stands for, its first argument. */
  method(): boolean {
    if (!this.place(METHOD)) return false;
    if (this.buf[this.from] !== DOLLAR || !this.isGeneric()) return true;
    return this.genericMethod();
  }

  private isGeneric(): boolean {
    const { buf, from } = this;
    const n = this.to - from;
    if (!generic.some((name) => name.length === n && equalAt(buf, from, name)) || this.placesFound < PLACES) return false;
    const at = this.places[DESCRIPTOR * 4 + 1]!;
    return this.places[DESCRIPTOR * 4 + 2]! - at === genericDescriptor.length && at >= 0 && equalAt(buf, at, genericDescriptor);
  }

  private genericMethod(): boolean {
    const { buf, end } = this;
    const p = this.places[DESCRIPTOR * 4 + 3]!;
    if (this.serialization === HESSIAN2) {
      if (!readString(buf, p, end) || found.chunked) return false;
      this.from = found.from;
      this.to = found.to;
    } else {
      if (p + 4 > end || !jsonbString(buf, p + 4, end)) return false;
      this.from = jsonb.from;
      this.to = jsonb.to;
    }
    return true;
  }

  /** Where the value lies that `place(i)` (METHOD: `method`) reads, so that another can be put there; false where there is none. */
  locate(i: number): boolean {
    if (i === METHOD) {
      const simple = this.place(METHOD) && (this.buf[this.from] !== DOLLAR || !this.isGeneric());
      if (!simple) {
        if (this.placesFound < PLACES || !readString(this.buf, this.places[DESCRIPTOR * 4 + 3]!, this.end)) return false;
        this.from = this.places[DESCRIPTOR * 4 + 3]!;
        this.to = found.next;
        return true;
      }
    } else if (this.depth === NOT_YET) {
      this.readNames();
    }
    if (i >= this.placesFound) return false;
    this.from = this.places[i * 4]!;
    this.to = this.places[i * 4 + 3]!;
    return true;
  }

  // === attachments

  private readAttachments(): void {
    if (this.depth === NOT_YET) this.readNames();
    this.depth = ALL;
    if (this.serialization === HESSIAN2) this.readHessian();
    else if (this.serialization === FASTJSON2) this.readFastjson();
  }

  private readHessian(): void {
    const { buf, end } = this;
    let p = this.next;
    let values: number;
    if (this.reply) {
      const result = p < end ? buf[p]! - 0x90 : -1;
      if (result < RESULT_EXCEPTION_ATTACHMENTS || result > RESULT_NULL_ATTACHMENTS) return;
      p++;
      values = result === RESULT_NULL_ATTACHMENTS ? 0 : 1;
    } else {
      values = this.argumentCount();
      if (values < 0) return;
    }
    begin();
    p = skip(buf, p, end, values);
    if (p < 0 || p >= end) return;
    const tag = buf[p]!;
    this.mapAt = p;
    if (tag === NULL) {
      this.mapEnd = p + 1;
      this.sound = p + 1 === end || this.reply;
      return;
    }
    if (tag !== MAP && tag !== MAP_OF_TYPE) {
      this.mapAt = -1;
      return;
    }
    p = tag === MAP ? p + 1 : skipType(buf, p + 1, end);
    if (p < 0) return;
    while (p < end && buf[p] !== END) {
      const next = this.hessianEntry(p);
      if (next < 0) return;
      p = next;
    }
    if (p >= end) return;
    this.mapEnd = p;
    this.sound = true;
  }

  private hessianEntry(p: number): number {
    const { buf, end } = this;
    const at = this.count * ENTRY;
    if (at === this.entries.length && !this.grow()) return -1;
    const entries = this.entries;
    let named = true;
    let q = shortText(buf, p, end);
    if (q >= 0) {
      entries[at + 1] = shortTextFrom(buf, p);
      entries[at + 2] = q;
    } else if (readString(buf, p, end) && !found.chunked) {
      entries[at + 1] = found.from;
      entries[at + 2] = found.to;
      q = found.next;
    } else {
      // A key that is no string is passed over; keys may be anything.
      named = false;
      q = skip(buf, p, end, 1);
      if (q < 0) return -1;
    }
    entries[at] = p;
    entries[at + 3] = q;
    let next = shortText(buf, q, end);
    if (next < 0) {
      next = skip(buf, q, end, 1);
      if (next < 0) return -1;
    }
    entries[at + 4] = next;
    if (named) this.count++;
    return next;
  }

  private readFastjson(): void {
    const { buf, end } = this;
    let p = this.next;
    let items: number;
    if (this.reply) {
      const result = fastjsonResult(buf, p, end);
      if (result < RESULT_EXCEPTION_ATTACHMENTS || result > RESULT_NULL_ATTACHMENTS) return;
      items = result === RESULT_NULL_ATTACHMENTS ? 1 : 2;
    } else {
      items = this.argumentCount();
      if (items < 0) return;
    }
    for (; items > 0; items--) {
      if (p + 4 > end) return;
      const n = i32(buf, p);
      if (n < 0 || n > end - p - 4) return;
      p += 4 + n;
    }
    if (p + 5 > end || i32(buf, p) > end - p - 4 || buf[p + 4] !== 0xa6) return;
    const to = p + 4 + i32(buf, p);
    p += 5;
    while (p < to && buf[p] !== 0xa5) {
      const at = this.count * ENTRY;
      if (at === this.entries.length && !this.grow()) return;
      const entries = this.entries;
      if (!jsonbString(buf, p, to)) return;
      entries[at + 1] = jsonb.from;
      entries[at + 2] = jsonb.to;
      p = jsonb.to;
      entries[at + 3] = p;
      if (!jsonbString(buf, p, to) && !jsonbInt(buf, p, to)) return;
      p = jsonb.to;
      entries[at + 4] = p;
      this.count++;
    }
  }

  /** How many arguments the descriptor announces; -1 where it is no descriptor. */
  private argumentCount(): number {
    if (this.placesFound < PLACES) return -1;
    let p = this.places[DESCRIPTOR * 4 + 1]!;
    if (p < 0) return 0;
    const { buf } = this;
    const to = this.places[DESCRIPTOR * 4 + 2]!;
    let n = 0;
    while (p < to) {
      while (p < to && buf[p] === 0x5b) p++;
      if (p === to) return -1;
      if (buf[p] === 0x4c) {
        while (p < to && buf[p] !== 0x3b) p++;
        if (p === to) return -1;
      }
      p++;
      n++;
    }
    return n;
  }

  private grow(): boolean {
    if (this.entries.length >= MOST * ENTRY) return false;
    const grown = new Int32Array(this.entries.length * 2);
    grown.set(this.entries);
    this.entries = grown;
    return true;
  }

  /** Which attachment has this name, of several the last, as in the reader's map; -1 where none has. */
  indexOf(name: Uint8Array): number {
    if (this.depth !== ALL) this.readAttachments();
    const { buf, entries } = this;
    const n = name.length;
    for (let at = (this.count - 1) * ENTRY; at >= 0; at -= ENTRY) {
      if (entries[at + 2]! - entries[at + 1]! === n && equalAt(buf, entries[at + 1]!, name)) return at / ENTRY;
    }
    return -1;
  }

  /** Finds the text of attachment `i`; false where it is null or no plain value. */
  value(i: number): boolean {
    const { buf } = this;
    const p = this.entries[i * ENTRY + 3]!;
    const end = this.entries[i * ENTRY + 4]!;
    if (this.serialization !== HESSIAN2) {
      if (!jsonbString(buf, p, end)) return jsonbInt(buf, p, end) && this.show(Buffer.from(String(jsonb.int)));
      this.view = buf;
      this.from = jsonb.from;
      this.to = jsonb.to;
      return true;
    }
    if (readString(buf, p, end)) {
      if (found.chunked) return this.show(joinChunks(buf, p, end));
      this.view = buf;
      this.from = found.from;
      this.to = found.to;
      return true;
    }
    const text = scalarText(buf, p);
    return text !== undefined && this.show(Buffer.from(text));
  }

  private show(bytes: Buffer): true {
    this.view = bytes;
    this.from = 0;
    this.to = bytes.length;
    return true;
  }

  /** Whether attachment `i` may be taken out: nothing can refer to a plain value. What follows may refer to a list, map or object. */
  removable(i: number): boolean {
    return !isCompound(this.buf[this.entries[i * ENTRY + 3]!]!);
  }

  /** Attachment `i` from its key (or, with `valueOnly`, its value) to its end is view[from, to). */
  locateEntry(i: number, valueOnly: boolean): void {
    this.from = this.entries[i * ENTRY + (valueOnly ? 3 : 0)]!;
    this.to = this.entries[i * ENTRY + 4]!;
  }

  key(i: number): string {
    return unitsText(this.buf, this.entries[i * ENTRY + 1]!, this.entries[i * ENTRY + 2]!);
  }

  /** Reads all there is and returns how many attachments are known. */
  all(): number {
    if (this.depth !== ALL) this.readAttachments();
    return this.count;
  }

  /** Where the arguments of a request begin; -1 where that cannot be told. */
  get argumentsAt(): number {
    if (this.depth === NOT_YET) this.readNames();
    return this.placesFound === PLACES ? this.places[DESCRIPTOR * 4 + 3]! : -1;
  }

  /** Whether attachments can be edited: Hessian, and nothing wrong with it. */
  get editable(): boolean {
    this.all();
    return this.sound && this.serialization === HESSIAN2;
  }
}

const nothing = Buffer.alloc(0);

/** RESULT_* of a reply whose body begins at buf[p]; -1 where it cannot be told. */
export function resultOf(buf: Uint8Array, p: number, end: number, serialization: number): number {
  if (serialization === FASTJSON2) return fastjsonResult(buf, p, end);
  if (serialization !== HESSIAN2 || p >= end) return -1;
  const result = buf[p]! - 0x90;
  return result >= 0 && result <= RESULT_NULL_ATTACHMENTS ? result : -1;
}

function fastjsonResult(buf: Uint8Array, p: number, end: number): number {
  return end - p >= 6 && i32(buf, p) === 2 && buf[p + 4] === 0xbd && buf[p + 5]! <= RESULT_NULL_ATTACHMENTS ? buf[p + 5]! : -1;
}

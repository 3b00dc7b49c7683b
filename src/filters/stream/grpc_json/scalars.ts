// Single values between JSON and messages, one pair of functions for each type of field (the ProtoJSON format of protobuf.dev).
import { misfit, shown, Misfit } from './misfit.js';
import type { Enum } from './protobuf.js';

export type Read = (value: unknown) => unknown;
export type Write = (value: unknown) => unknown;

/** How one kind of value is read and written. `zero`: the value that a field without presence has when it is not set. */
export interface Scalar {
  readonly read: Read;
  readonly write: Write;
  /** Out of a path or a query. */
  readonly text: (text: string) => unknown;
  readonly isZero: (value: unknown) => boolean;
  /** As JSON. */
  readonly zero: unknown;
}

const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?$/;
const same: Write = (value) => value;

function integer(least: number, most: number, what: string): Scalar {
  const read: Read = (value) => {
    const n = typeof value === 'number' ? value : typeof value === 'string' && NUMBER.test(value) ? Number(value) : NaN;
    if (!Number.isInteger(n)) throw misfit('a whole number', value);
    if (n < least || n > most) throw new Misfit(`${shown(value)} is beyond ${what}`);
    // Not -0, which would be written.
    return n + 0;
  };
  return { read, write: same, text: read, isZero: (value) => value === 0, zero: 0 };
}

/** Whole numbers of 64 bits: text in JSON; here a number where it is exact, else text, which the encoder takes as well. */
function long(least: bigint, most: bigint, what: string): Scalar {
  const read: Read = (value) => {
    if (typeof value === 'number' && Number.isSafeInteger(value)) {
      if (least === 0n && value < 0) throw new Misfit(`${value} is beyond ${what}`);
      return value + 0;
    }
    const text = typeof value === 'number' && Number.isInteger(value) ? BigInt(value).toString() : value;
    if (typeof text !== 'string' || !NUMBER.test(text)) throw misfit('a whole number', value);
    let n: bigint;
    if (/^-?\d+$/.test(text) && text.length < 30) {
      n = BigInt(text);
    } else {
      const float = Number(text);
      if (!Number.isInteger(float)) throw misfit('a whole number', value);
      n = BigInt(float);
    }
    if (n < least || n > most) throw new Misfit(`${shown(value)} is beyond ${what}`);
    return n >= -0x1fffffffffffffn && n <= 0x1fffffffffffffn ? Number(n) : n.toString();
  };
  return { read, write: String, text: read, isZero: (value) => String(value) === '0', zero: '0' };
}

function float(single: boolean): Scalar {
  const read: Read = (value) => {
    if (value === 'NaN') return NaN;
    if (value === 'Infinity') return Infinity;
    if (value === '-Infinity') return -Infinity;
    const n = typeof value === 'number' ? value : typeof value === 'string' && NUMBER.test(value) ? Number(value) : NaN;
    if (!Number.isFinite(n)) throw misfit('a number', value);
    if (single && !Number.isFinite(Math.fround(n))) throw new Misfit(`${shown(value)} is beyond float`);
    return n;
  };
  const write: Write = (value) => (!Number.isFinite(value) ? String(value) : single ? shortest(value as number) : value);
  return { read, write, text: read, isZero: (value) => value === 0, zero: 0 };
}

/** The shortest decimal that is this float of 32 bits: 0.1 and not 0.10000000149011612. */
function shortest(value: number): number {
  if (Number.isInteger(value)) return value;
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return Number(value.toPrecision(9));
}

const bool: Scalar = {
  read: (value) => {
    if (typeof value !== 'boolean') throw misfit('true or false', value);
    return value;
  },
  write: same,
  text: (text) => {
    if (text !== 'true' && text !== 'false') throw misfit('true or false', text);
    return text === 'true';
  },
  isZero: (value) => value === false,
  zero: false,
};

const readString: Read = (value) => {
  if (typeof value !== 'string') throw misfit('a text', value);
  if (!wellFormed(value)) throw new Misfit('half of a surrogate pair is no text');
  return value;
};

/** Whether a text has a form in UTF-8. */
function wellFormed(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c < 0xd800 || c > 0xdfff) continue;
    const next = text.charCodeAt(i + 1);
    if (c > 0xdbff || !(next >= 0xdc00 && next <= 0xdfff)) return false;
    i++;
  }
  return true;
}

const string: Scalar = { read: readString, write: same, text: readString, isZero: (value) => value === '', zero: '' };

const BASE64 = /^[A-Za-z0-9+/_-]*={0,2}$/;

const readBytes: Read = (value) => {
  if (typeof value !== 'string' || !BASE64.test(value) || value.replace(/=+$/, '').length % 4 === 1) throw misfit('base64', value);
  return Buffer.from(value, 'base64');
};

export function base64(value: unknown): string {
  const bytes = value as Uint8Array;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64');
}

const bytes: Scalar = { read: readBytes, write: (value) => (Array.isArray(value) ? '' : base64(value)), text: readBytes, isZero: (value) => (value as Uint8Array).length === 0, zero: '' };

const int32 = integer(-0x80000000, 0x7fffffff, 'int32');
const uint32 = integer(0, 0xffffffff, 'uint32');
const int64 = long(-0x8000000000000000n, 0x7fffffffffffffffn, 'int64');
const uint64 = long(0n, 0xffffffffffffffffn, 'uint64');

/** By the names that descriptors have for types. */
export const scalars: Readonly<Record<string, Scalar>> = {
  int32, sint32: int32, sfixed32: int32, uint32, fixed32: uint32,
  int64, sint64: int64, sfixed64: int64, uint64, fixed64: uint64,
  float: float(true), double: float(false), bool, string, bytes,
};

/** Keys of maps are text in JSON. They are kept as text, too, as the encoder takes them. */
export function readKey(type: string): (key: string) => string {
  if (type === 'string') return (key) => readString(key) as string;
  if (type === 'bool') return (key) => String(bool.text(key));
  const scalar = scalars[type]!;
  return (key) => {
    if (!/^-?\d+$/.test(key)) throw misfit('a whole number as key', key);
    return String(scalar.read(key));
  };
}

/** Enums are names in JSON; numbers are read, and written where a value has no name. google.protobuf.NullValue is null. */
export function enumeration(type: Enum, numbers: boolean): Scalar {
  const byName = new Map(Object.entries(type.values));
  const byNumber = new Map(Object.entries(type.valuesById).map(([id, name]) => [Number(id), name]));
  const isNull = type.fullName === '.google.protobuf.NullValue';
  const read: Read = (value) => {
    if (isNull && value === null) return 0;
    if (typeof value === 'number' && (value | 0) === value) return value;
    const found = typeof value === 'string' ? byName.get(value) : undefined;
    if (found === undefined) throw misfit(`one of ${[...byName.keys()].slice(0, 12).join(', ')}`, value);
    return found;
  };
  const write: Write = isNull ? () => null : numbers ? same : (value) => byNumber.get(value as number) ?? value;
  return { read, write, text: (text) => read(/^-?\d+$/.test(text) ? Number(text) : text), isZero: (value) => value === 0, zero: write(0) };
}

// The types of google.protobuf that have a form of their own in JSON.
import type { Codec, Compiler, Fields } from './json-message.js';
import { Misfit, misfit } from './misfit.js';
import type { Type } from './protobuf.js';
import { base64, scalars } from './scalars.js';

/** Levels of lists and structs in one another. */
const MAX_DEPTH = 100;
const MAX_DURATION = 315_576_000_000;
const FIRST_SECOND = -62_135_596_800;
const LAST_SECOND = 253_402_300_799;

const DURATION = /^(-)?(\d{1,12})(?:\.(\d{1,9}))?s$/;
const TIMESTAMP = /^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d\d):(\d\d))$/;

const nanosOf = (digits: string | undefined): number => (digits === undefined ? 0 : Number(digits.padEnd(9, '0')));

/** Nanoseconds with 0, 3, 6 or 9 digits. */
function fraction(nanos: number): string {
  if (nanos === 0) return '';
  const digits = String(nanos).padStart(9, '0');
  return `.${digits.replace(/(?:000){1,2}$/, '')}`;
}

const secondsOf = (message: unknown): number => Number(String((message as Fields)['seconds'] ?? 0));
const nanosIn = (message: unknown): number => ((message as Fields)['nanos'] as number | undefined) ?? 0;

function readDuration(value: unknown): Fields {
  const found = typeof value === 'string' ? DURATION.exec(value) : null;
  if (found === null || Number(found[2]) > MAX_DURATION) throw misfit('a duration such as "1.5s"', value);
  const sign = found[1] === undefined ? 1 : -1;
  return { seconds: sign * Number(found[2]) + 0, nanos: sign * nanosOf(found[3]) + 0 };
}

function writeDuration(message: unknown): string {
  const seconds = secondsOf(message);
  const nanos = nanosIn(message);
  if (Math.abs(seconds) > MAX_DURATION || Math.abs(nanos) > 999_999_999 || (seconds !== 0 && nanos !== 0 && seconds < 0 !== nanos < 0)) throw new Misfit('a duration that is out of bounds');
  return `${seconds < 0 || nanos < 0 ? '-' : ''}${Math.abs(seconds)}${fraction(Math.abs(nanos))}s`;
}

function readTimestamp(value: unknown): Fields {
  const found = typeof value === 'string' ? TIMESTAMP.exec(value) : null;
  if (found === null) throw misfit('a time such as "2026-01-31T12:00:00Z"', value);
  const [year, month, day, hour, minute, second] = found.slice(1, 7).map(Number) as [number, number, number, number, number, number];
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  const real = date.getUTCMonth() === month - 1 && date.getUTCDate() === day && hour < 24 && minute < 60 && second < 60;
  const offset = found[8] === undefined ? 0 : (found[8] === '-' ? -1 : 1) * (Number(found[9]) * 3600 + Number(found[10]) * 60);
  const seconds = date.getTime() / 1000 + hour * 3600 + minute * 60 + second - offset;
  if (!real || seconds < FIRST_SECOND || seconds > LAST_SECOND || Number(found[9] ?? 0) > 23 || Number(found[10] ?? 0) > 59) throw misfit('a time that exists, in the years 1 to 9999', value);
  return { seconds, nanos: nanosOf(found[7]) };
}

function writeTimestamp(message: unknown): string {
  const seconds = secondsOf(message);
  const nanos = nanosIn(message);
  if (!(seconds >= FIRST_SECOND && seconds <= LAST_SECOND) || nanos < 0 || nanos > 999_999_999) throw new Misfit('a time that is out of bounds');
  return `${new Date(seconds * 1000).toISOString().slice(0, 19)}${fraction(nanos)}Z`;
}

const toSnake = (path: string): string => path.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`);
const toCamel = (path: string): string => path.replace(/_([a-z])/g, (_, c: string) => c.toUpperCase());

function readMask(value: unknown): Fields {
  if (typeof value !== 'string' || value.includes('_')) throw misfit('names of fields in camel case, joined by commas,', value);
  return { paths: value === '' ? [] : value.split(',').map(toSnake) };
}

function writeMask(message: unknown): string {
  const paths = ((message as Fields)['paths'] as string[] | undefined) ?? [];
  return paths.map((path) => {
    const camel = toCamel(path);
    if (toSnake(camel) !== path) throw new Misfit(`the path ${path} of a field mask has no form in JSON`);
    return camel;
  }).join(',');
}

function tooDeep(level: number): void {
  if (level > MAX_DEPTH) throw new Misfit(`more than ${MAX_DEPTH} values in one another`);
}

function readValue(value: unknown, level = 0): Fields {
  tooDeep(level);
  if (value === null) return { nullValue: 0 };
  if (typeof value === 'number') return { numberValue: value };
  if (typeof value === 'boolean') return { boolValue: value };
  if (typeof value === 'string') return { stringValue: scalars['string']!.read(value) };
  return Array.isArray(value) ? { listValue: readList(value, level + 1) } : { structValue: readStruct(value, level + 1) };
}

function readStruct(value: unknown, level = 0): Fields {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) throw misfit('an object', value);
  const fields = Object.create(null) as Fields;
  for (const [key, member] of Object.entries(value)) fields[key] = readValue(member, level + 1);
  return { fields };
}

function readList(value: unknown, level = 0): Fields {
  if (!Array.isArray(value)) throw misfit('a list', value);
  return { values: value.map((element) => readValue(element, level + 1)) };
}

function writeValue(message: unknown): unknown {
  const value = message as Fields;
  const has = (key: string): boolean => Object.hasOwn(value, key);
  if (has('numberValue')) {
    if (!Number.isFinite(value['numberValue'])) throw new Misfit('a value that is no number of JSON');
    return value['numberValue'];
  }
  if (has('stringValue')) return value['stringValue'];
  if (has('boolValue')) return value['boolValue'];
  if (has('structValue')) return writeStruct(value['structValue']);
  return has('listValue') ? writeList(value['listValue']) : null;
}

function writeStruct(message: unknown): unknown {
  const object = Object.create(null) as Fields;
  for (const [key, member] of Object.entries(((message as Fields)['fields'] ?? {}) as Fields)) object[key] = writeValue(member);
  return object;
}

function writeList(message: unknown): unknown {
  return (((message as Fields)['values'] ?? []) as unknown[]).map(writeValue);
}

const codecs: Readonly<Record<string, Codec>> = {
  Duration: { read: readDuration, write: writeDuration, text: readDuration },
  Timestamp: { read: readTimestamp, write: writeTimestamp, text: readTimestamp },
  FieldMask: { read: readMask, write: writeMask, text: (text) => readMask(text.split(',').map(toCamel).join(',')) },
  Value: { read: (value) => readValue(value), write: writeValue, nullable: true },
  Struct: { read: (value) => readStruct(value), write: writeStruct },
  ListValue: { read: (value) => readList(value), write: writeList },
};

const wrapped: Readonly<Record<string, string>> = {
  DoubleValue: 'double', FloatValue: 'float', Int64Value: 'int64', UInt64Value: 'uint64', Int32Value: 'int32', UInt32Value: 'uint32',
  BoolValue: 'bool', StringValue: 'string', BytesValue: 'bytes',
};

function wrapper(type: string): Codec {
  const scalar = scalars[type]!;
  return {
    read: (value) => ({ value: scalar.read(value) }),
    write: (message) => (Object.hasOwn(message as Fields, 'value') ? scalar.write((message as Fields)['value']) : scalar.zero),
    text: (text) => ({ value: scalar.text(text) }),
  };
}

/** `{"@type": "type.googleapis.com/NAME", ...}`. A type that is not known here keeps its bytes, in base64, when it is written. */
function any(type: Type, compiler: Compiler): Codec {
  const [urlKey, bytesKey] = [type.fieldsById[1]!.name, type.fieldsById[2]!.name];
  const find = (url: string) => {
    const found = type.root.lookup(url.slice(url.lastIndexOf('/') + 1));
    return found !== null && 'fieldsById' in found ? compiler.of(found as Type) : null;
  };
  return {
    read: (value) => {
      if (value === null || typeof value !== 'object' || Array.isArray(value)) throw misfit('an object', value);
      const { '@type': url, ...rest } = value as Fields;
      if (url === undefined && Object.keys(rest).length === 0) return {};
      const plan = typeof url === 'string' && url.includes('/') ? find(url) : null;
      if (plan === null) throw misfit('the URL of a known type', url).at('@type');
      if (plan.codec !== null && !('value' in rest)) throw new Misfit('the member value is missing');
      return { [urlKey]: url, [bytesKey]: plan.encode(plan.read(plan.codec === null ? rest : rest['value'])) };
    },
    write: (message) => {
      const url = (message as Fields)[urlKey] as string | undefined;
      if (url === undefined || url === '') return {};
      const bytes = ((message as Fields)[bytesKey] ?? new Uint8Array()) as Uint8Array;
      const plan = find(url);
      if (plan === null) return { '@type': url, value: base64(bytes) };
      const json = plan.write(plan.decode(bytes));
      return plan.codec === null ? { '@type': url, ...(json as Fields) } : { '@type': url, value: json };
    },
  };
}

/** The form of a type in JSON where it is none of the usual; null for all others. */
export function wellKnown(type: Type, compiler: Compiler): Codec | null {
  const name = /^\.google\.protobuf\.(\w+)$/.exec(type.fullName)?.[1];
  if (name === undefined) return null;
  if (name === 'Any') return any(type, compiler);
  return wrapped[name] !== undefined ? wrapper(wrapped[name]) : (codecs[name] ?? null);
}

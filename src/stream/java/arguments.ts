// Arguments of a Java method out of JSON: by the types of its parameters, or by what the values look like.
import { Fraction, JsonFault, type Json, type JsonObject } from './json.js';

/** Writes values of Java in some serialization, each once. */
export interface JavaWriter {
  null(): void;
  boolean(value: boolean): void;
  int(value: number): void;
  /** Within 64 bits. */
  long(value: number | bigint): void;
  double(value: number): void;
  string(value: string): void;
  /** ms since 1970. */
  date(value: number): void;
  bytes(value: Uint8Array): void;
  /** `type` '' for java.util.List; `items` values follow, then `end`. */
  list(type: string, items: number): void;
  /** `type` '' for java.util.Map, else a class whose fields follow by name; names and values in turn, then `end`. */
  map(type: string): void;
  endList(): void;
  endMap(): void;
}

export interface Call {
  /** Java types of the parameters; null where nobody said them. */
  readonly types: readonly string[] | null;
  readonly args: readonly Json[];
}

const bad = (where: string, what: string): never => {
  throw new JsonFault(`${where} ${what}`);
};

const isMap = (value: Json): value is JsonObject => value instanceof Map;

/**
 * What a body asks for: a list of the arguments, or `{"types": [...], "args": [...]}`, or nothing at all for none. Types in the body go
 * before those that are known of the method; of classes that are neither the JDK's plain ones nor `allowed` they may not be. JsonFault:
 * the body is something else, or not as many arguments as parameters.
 */
export function callOf(body: Json | undefined, known: readonly string[] | undefined, allowed: readonly string[]): Call {
  let types: readonly string[] | null = known ?? null;
  let args: readonly Json[] = [];
  if (body !== undefined) {
    if (Array.isArray(body)) {
      args = body as readonly Json[];
    } else if (isMap(body)) {
      for (const name of body.keys()) if (name !== 'args' && name !== 'types') bad('the body', `has ${JSON.stringify(name.slice(0, 40))}; it is a list of arguments, or an object with "args" and "types"`);
      const given = body.get('args') ?? [];
      if (!Array.isArray(given)) bad('args', 'is no list');
      args = given as readonly Json[];
      const said = body.get('types');
      if (said !== undefined && said !== null) types = typesOf(said, allowed);
    } else {
      bad('the body', 'is neither a list of arguments nor an object with "args" and "types"');
    }
  }
  if (types !== null && types.length !== args.length) bad('the body', `has ${args.length} arguments for ${types.length} parameters (${types.join(', ')})`);
  return { types, args };
}

/** A Java type as in source: a class or a primitive, with type parameters and [] behind it. */
const TYPE = /^[\w$]+(?:\.[\w$]+)*(?:<[\w$.<>?,\s[\]]*>)?(?:\[\])*$/;
const LONGEST_TYPE = 500;
/** The time to read more grows by their square. */
const MAX_DIGITS = 400;

export function isJavaType(text: string): boolean {
  return text.length <= LONGEST_TYPE && TYPE.test(text);
}

function typesOf(said: Json, allowed: readonly string[]): readonly string[] {
  if (!Array.isArray(said)) return bad('types', 'is no list');
  return (said as readonly Json[]).map((type, i) => {
    if (typeof type !== 'string' || !isJavaType(type)) return bad(`types[${i}]`, 'is no Java type');
    for (const name of type.split(/[<>?,\s[\]]+/)) if (name !== '' && name !== 'extends' && name !== 'super') checkClass(name, allowed, `types[${i}]`);
    return type;
  });
}

/** Clients name classes only where they may: what readers make of any class there is can be used against them. */
function checkClass(name: string, allowed: readonly string[], where: string): void {
  if (primitives.has(name) || plain.has(name) || lists.has(name) || maps.has(name) || Object.hasOwn(whole, name) || Object.hasOwn(typedLists, name)) return;
  for (const one of allowed) if (one === name || (one.endsWith('.*') && name.startsWith(one.slice(0, -1)))) return;
  bad(where, `names the class ${name.slice(0, 100)}, which requests may not name (\`allowed_classes\`)`);
}

/** The type without its parameters: what a method is known by. */
export function rawType(type: string): string {
  const at = type.indexOf('<');
  return at < 0 ? type : type.slice(0, at) + type.slice(type.lastIndexOf('>') + 1);
}

/** The type that stands for a value of which nothing is known: int, long, double, boolean, java.lang.String, java.util.List, java.util.Map, java.lang.Object for null. */
export function inferredType(value: Json): string {
  switch (typeof value) {
    case 'string': return 'java.lang.String';
    case 'boolean': return 'boolean';
    case 'number': return isInt(value) ? 'int' : 'long';
    case 'bigint': return 'long';
    default: return value === null ? 'java.lang.Object' : value instanceof Fraction ? 'double' : Array.isArray(value) ? 'java.util.List' : 'java.util.Map';
  }
}

const isInt = (value: number): boolean => value >= -0x8000_0000 && value <= 0x7fff_ffff;

const whole: Readonly<Record<string, number>> = {
  byte: 7, 'java.lang.Byte': 7, short: 15, 'java.lang.Short': 15, int: 31, 'java.lang.Integer': 31, long: 63, 'java.lang.Long': 63,
};
const primitives = new Set(['boolean', 'byte', 'short', 'int', 'long', 'float', 'double', 'char']);
const lists = new Set(['java.util.List', 'java.util.Collection', 'java.lang.Iterable', 'java.util.ArrayList']);
const maps = new Set(['java.util.Map', 'java.util.HashMap']);
/** Collections that readers make of a list with this type. */
const typedLists: Readonly<Record<string, string>> = { 'java.util.Set': 'java.util.HashSet', 'java.util.HashSet': 'java.util.HashSet', 'java.util.LinkedList': 'java.util.LinkedList', 'java.util.LinkedHashSet': 'java.util.LinkedHashSet', 'java.util.TreeSet': 'java.util.TreeSet' };

/** Further classes of which anybody may name objects: texts, numbers and times. */
const plain = new Set(['java.lang.Object', 'java.lang.Boolean', 'java.lang.Float', 'java.lang.Double', 'java.lang.Character', 'java.lang.String', 'java.lang.CharSequence', 'java.util.Date', 'java.math.BigDecimal', 'java.math.BigInteger']);

/** Hessian's own names of arrays of these. */
const arrays: Readonly<Record<string, string>> = { 'java.lang.String': '[string', 'java.lang.Object': '[object', 'java.util.Date': '[date' };

export interface Style {
  /** Objects of classes carry their class; else they are maps with it under `class`, which a generic server makes objects of. */
  readonly classes: boolean;
  /** Classes that values may name, or packages as `com.example.*`. */
  readonly allowed: readonly string[];
}

/** Writes `value` as the Java type `type`; '' or java.lang.Object: as what it looks like. `where` names it in a JsonFault, e.g. "args[0]". */
export function writeAs(w: JavaWriter, value: Json, type: string, where: string, style: Style): void {
  if (value === null) {
    if (primitives.has(type)) bad(where, `is null, but ${type} cannot be`);
    w.null();
    return;
  }
  if (type.endsWith('[]')) {
    writeArray(w, value, type.slice(0, -2).trim(), where, style);
    return;
  }
  const open = type.indexOf('<');
  const raw = open < 0 ? type : type.slice(0, open);
  const bits = Object.hasOwn(whole, raw) ? whole[raw]! : 0;
  if (bits > 0) {
    writeWhole(w, value, raw, bits, where);
    return;
  }
  switch (raw) {
    case '':
    case '?':
    case 'java.lang.Object':
    case 'java.io.Serializable':
      writeInferred(w, value, where, style);
      return;
    case 'boolean':
    case 'java.lang.Boolean':
      if (typeof value !== 'boolean') return bad(where, `is no ${raw}`);
      w.boolean(value);
      return;
    case 'float':
    case 'double':
    case 'java.lang.Float':
    case 'java.lang.Double':
      w.double(numberOf(value, raw, where));
      return;
    case 'char':
    case 'java.lang.Character':
      if (typeof value !== 'string' || value.length !== 1) return bad(where, `is no ${raw}: a text of one character`);
      w.string(value);
      return;
    case 'java.lang.String':
    case 'java.lang.CharSequence':
      if (typeof value !== 'string') return bad(where, `is no ${raw}`);
      w.string(value);
      return;
    case 'java.util.Date':
      w.date(dateOf(value, where));
      return;
    case 'java.math.BigDecimal':
    case 'java.math.BigInteger':
      writeBig(w, value, raw, where, style);
      return;
    default:
  }
  const inner = open < 0 ? [] : parameters(type.slice(open + 1, type.lastIndexOf('>')));
  if (lists.has(raw) || Object.hasOwn(typedLists, raw)) {
    if (!Array.isArray(value)) return bad(where, `is no list, but the type is ${raw}`);
    writeList(w, value as readonly Json[], typedLists[raw] ?? '', inner[0] ?? '', where, style);
    return;
  }
  if (maps.has(raw)) {
    if (!isMap(value)) return bad(where, `is no object, but the type is ${raw}`);
    writeMap(w, value, '', inner[1] ?? '', where, style);
    return;
  }
  if (isMap(value)) writeMap(w, value, raw, '', where, style);
  else writeInferred(w, value, where, style);
}

function writeInferred(w: JavaWriter, value: Json, where: string, style: Style): void {
  switch (typeof value) {
    case 'string': w.string(value); return;
    case 'boolean': w.boolean(value); return;
    case 'number':
      if (isInt(value)) w.int(value);
      else w.long(value);
      return;
    case 'bigint': writeWhole(w, value, 'long', 63, where); return;
    default:
  }
  if (value === null) w.null();
  else if (value instanceof Fraction) w.double(value.value);
  else if (Array.isArray(value)) writeList(w, value as readonly Json[], '', '', where, style);
  else writeMap(w, value as JsonObject, '', '', where, style);
}

function writeWhole(w: JavaWriter, value: Json, type: string, bits: number, where: string): void {
  let n: number | bigint;
  if (typeof value === 'number' || typeof value === 'bigint') n = value;
  else if (bits === 63 && typeof value === 'string' && /^-?\d{1,19}$/.test(value)) n = BigInt(value);
  else return bad(where, `is no ${type}`);
  if (bits < 63) {
    if (typeof n === 'bigint' || n >= 2 ** bits || n < -(2 ** bits)) return bad(where, `is too large for ${type}`);
    w.int(n);
    return;
  }
  if (typeof n === 'bigint' && BigInt.asIntN(64, n) !== n) return bad(where, `is too large for ${type}`);
  w.long(n);
}

function numberOf(value: Json, type: string, where: string): number {
  if (value instanceof Fraction) return value.value;
  return typeof value === 'number' || typeof value === 'bigint' ? Number(value) : bad(where, `is no ${type}`);
}

/** A time as ISO 8601 says it, or ms since 1970. */
function dateOf(value: Json, where: string): number {
  const ms = typeof value === 'number' ? value : typeof value === 'string' && /^\d{4}-\d\d-\d\d(?:T[\d:.]+(?:Z|[+-]\d\d:\d\d))?$/.test(value) ? Date.parse(value) : NaN;
  return Math.abs(ms) <= 8.64e15 ? ms : bad(where, 'is no time: ms since 1970, or a text such as 2024-01-31T12:00:00Z');
}

function writeBig(w: JavaWriter, value: Json, type: string, where: string, style: Style): void {
  const text = value instanceof Fraction ? String(value.value) : typeof value === 'number' || typeof value === 'bigint' ? String(value) : value;
  if (typeof text !== 'string' || text.length > MAX_DIGITS || !(type === 'java.math.BigInteger' ? /^-?\d+$/ : /^-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$/).test(text)) return bad(where, `is no ${type}`);
  if (!style.classes) {
    w.string(text);
    return;
  }
  w.map(type);
  if (type === 'java.math.BigInteger') {
    writeMagnitude(w, BigInt(text));
  } else {
    w.string('value');
    w.string(text);
  }
  w.endMap();
}

/** The fields of a BigInteger that its readers set: sign, and magnitude in ints, the highest first. */
function writeMagnitude(w: JavaWriter, value: bigint): void {
  const words: number[] = [];
  for (let rest = value < 0n ? -value : value; rest > 0n; rest >>= 32n) words.unshift(Number(BigInt.asIntN(32, rest)));
  w.string('signum');
  w.int(value < 0n ? -1 : value > 0n ? 1 : 0);
  w.string('mag');
  w.list('[int', words.length);
  for (const word of words) w.int(word);
  w.endList();
}

function writeArray(w: JavaWriter, value: Json, of: string, where: string, style: Style): void {
  if (of === 'byte' && typeof value === 'string') {
    if (!/^[A-Za-z0-9+/]*={0,2}$/.test(value) || value.length % 4 === 1) bad(where, 'is no base64, but the type is byte[]');
    w.bytes(Buffer.from(value, 'base64'));
    return;
  }
  if (!Array.isArray(value)) return bad(where, `is no list, but the type is ${of}[]`);
  const items = value as readonly Json[];
  if (of === 'byte') {
    w.bytes(Uint8Array.from(items, (item, i) => (typeof item === 'number' && item >= -128 && item < 256 ? item : bad(`${where}[${i}]`, 'is no byte'))));
    return;
  }
  const raw = rawType(of);
  writeList(w, items, raw.endsWith('[]') ? hessianArray(raw) : (arrays[raw] ?? `[${raw}`), of, where, style);
}

/** The name of an array of this array: "[" for each dimension, then what it is of. */
function hessianArray(type: string): string {
  return type.endsWith('[]') ? `[${hessianArray(type.slice(0, -2))}` : (arrays[type] ?? `[${type}`);
}

function writeList(w: JavaWriter, items: readonly Json[], type: string, of: string, where: string, style: Style): void {
  w.list(type, items.length);
  for (let i = 0; i < items.length; i++) writeAs(w, items[i]!, of, `${where}[${i}]`, style);
  w.endList();
}

function writeMap(w: JavaWriter, object: JsonObject, type: string, of: string, where: string, style: Style): void {
  // "$class" says what else than a map an object is, and what generic servers are told by "class" is the same.
  let named = type;
  for (const key of style.classes ? ['$class'] : ['$class', 'class']) {
    const said = object.get(key);
    if (typeof said !== 'string' || (key === '$class' && !isJavaType(said))) continue;
    checkClass(said, style.allowed, where);
    named = said;
  }
  w.map(style.classes ? named : '');
  for (const [name, value] of object) {
    if (name === '$class' && named !== type) {
      if (style.classes) continue;
      w.string('class');
    } else {
      w.string(name);
    }
    writeAs(w, value, of, `${where}.${name.slice(0, 40)}`, style);
  }
  w.endMap();
}

/** The parameters of a type, at its commas outside of others' parameters. */
function parameters(text: string): string[] {
  const found: string[] = [];
  let depth = 0;
  let from = 0;
  for (let i = 0; i <= text.length; i++) {
    const c = text[i];
    if (c === '<') depth++;
    else if (c === '>') depth--;
    else if ((c === ',' && depth === 0) || c === undefined) {
      found.push(text.slice(from, i).trim());
      from = i + 1;
    }
  }
  return found;
}

// Messages between JSON and what protobufjs encodes and decodes: one plan for each type, made once, without a look at reflection afterwards.
import { Misfit, misfit } from './misfit.js';
import { protobufjs, type Enum, type Field, type MapField, type Type } from './protobuf.js';
import { enumeration, readKey, scalars, type Read, type Scalar, type Write } from './scalars.js';
import { wellKnown } from './well-known.js';

export interface JsonOptions {
  /** Fields that have their default value are written, too. */
  readonly defaults: boolean;
  /** Fields are written under their names in the .proto file rather than in camel case; both are read. */
  readonly protoNames: boolean;
  /** Enums are written as numbers. */
  readonly enumNumbers: boolean;
  /** Members of objects that no field has are passed over. */
  readonly ignoreUnknown: boolean;
}

/** Levels of messages in one another, as far as protobufjs itself goes. */
const MAX_DEPTH = 100;
let depth = 0;

export type Fields = Record<string, unknown>;

/** How a type is written that is no object of its fields. */
export interface Codec {
  readonly read: Read;
  readonly write: Write;
  /** Out of a path or a query; absent where it cannot stand there. */
  readonly text?: (text: string) => unknown;
  /** null is a value of the type rather than none. */
  readonly nullable?: boolean;
}

const SINGLE = 0;
const LIST = 1;
const MAP = 2;

/** One field of a plan. */
export class JsonField {
  /** In messages of protobufjs. */
  readonly key: string;
  readonly name: string;
  readonly shape: typeof SINGLE | typeof LIST | typeof MAP;
  /** The type of a field (or of its elements) that is a message. */
  readonly message: JsonMessage | null;
  private readonly scalar: Scalar | null;
  private readonly readElementKey: ((key: string) => string) | null;
  private readonly longKey: 'signed' | 'unsigned' | null;
  readonly nullable: boolean;
  /** Keys of the other members of a oneof. */
  readonly siblings: readonly string[];
  /** Zero is the same as not set. */
  readonly implicit: boolean;

  constructor(field: Field, compiler: Compiler) {
    this.key = field.name;
    this.name = compiler.options.protoNames ? field.protoName : field.jsonName;
    this.shape = field.map ? MAP : field.repeated ? LIST : SINGLE;
    const { resolvedType } = field;
    const { Type: TypeClass, Enum: EnumClass } = protobufjs();
    this.message = resolvedType instanceof TypeClass ? compiler.of(resolvedType) : null;
    this.scalar = resolvedType === null ? scalars[field.type]! : resolvedType instanceof EnumClass ? compiler.enumOf(resolvedType) : null;
    const keyType = field.map ? (field as unknown as MapField).keyType : '';
    this.readElementKey = field.map ? readKey(keyType) : null;
    this.longKey = !keyType.endsWith('64') ? null : /^u|^fixed/.test(keyType) ? 'unsigned' : 'signed';
    this.nullable = this.message?.nullable === true || (resolvedType !== null && resolvedType.fullName === '.google.protobuf.NullValue');
    this.siblings = field.partOf === null ? [] : field.partOf.fieldsArray.filter((other) => other !== field).map((other) => other.name);
    this.implicit = this.shape === SINGLE && this.message === null && !field.hasPresence;
  }

  private readOne(value: unknown): unknown {
    return this.message !== null ? this.message.read(value) : this.scalar!.read(value);
  }

  private writeOne(value: unknown): unknown {
    return this.message !== null ? this.message.write(value) : this.scalar!.write(value);
  }

  read(value: unknown): unknown {
    if (this.shape === SINGLE) return this.readOne(value);
    if (this.shape === LIST) {
      if (!Array.isArray(value)) throw misfit('a list', value);
      return value.map((element, i) => {
        try {
          if (element === null && !this.nullable) throw misfit('a value', null);
          return this.readOne(element);
        } catch (error) {
          throw error instanceof Misfit ? error.at(`[${i}]`) : error;
        }
      });
    }
    if (value === null || typeof value !== 'object' || Array.isArray(value)) throw misfit('an object', value);
    const map = Object.create(null) as Fields;
    for (const [key, element] of Object.entries(value)) {
      try {
        const kept = this.readElementKey!(key);
        if (kept in map) throw new Misfit('a second value of the same key');
        map[kept] = this.readOne(element);
      } catch (error) {
        throw error instanceof Misfit ? error.at(`[${JSON.stringify(key)}]`) : error;
      }
    }
    return map;
  }

  /** Puts the field of a decoded message into an object of JSON, unless it is not set. */
  put(message: Fields, into: Fields, defaults: boolean): void {
    const value = Object.hasOwn(message, this.key) ? message[this.key] : undefined;
    if (this.shape === SINGLE) {
      if (value === undefined || value === null || (this.implicit && this.scalar!.isZero(value))) {
        if (defaults && this.implicit) into[this.name] = this.scalar!.zero;
        return;
      }
      into[this.name] = this.writeOne(value);
    } else if (this.shape === LIST) {
      const list = (value ?? []) as unknown[];
      if (list.length > 0 || defaults) into[this.name] = list.map((element) => this.writeOne(element));
    } else {
      const map = (value ?? {}) as Fields;
      const keys = Object.keys(map);
      if (keys.length === 0 && !defaults) return;
      const object = Object.create(null) as Fields;
      for (const key of keys) object[this.longKey === null ? key : String(protobufjs().util.longFromKey(key, this.longKey === 'unsigned'))] = this.writeOne(map[key]);
      into[this.name] = object;
    }
  }

  /** Whether text of a path or a query can be its value. */
  get textual(): boolean {
    return this.shape !== MAP && (this.scalar !== null || this.message!.codec?.text !== undefined);
  }

  fromText(text: string): unknown {
    return this.scalar !== null ? this.scalar.text(text) : this.message!.codec!.text!(text);
  }
}

/** The plan of one type. */
export class JsonMessage {
  readonly type: Type;
  readonly codec: Codec | null;
  private fields: readonly JsonField[] = [];
  /** By every name that is read: camel case, and the one of the .proto file. */
  private byName = new Map<string, JsonField>();
  private readonly options: JsonOptions;

  constructor(type: Type, compiler: Compiler) {
    this.type = type;
    this.options = compiler.options;
    this.codec = wellKnown(type, compiler);
  }

  /** Fields may lead back to the type itself: they are put in when it is known. */
  fill(compiler: Compiler): void {
    const fields: JsonField[] = [];
    for (const one of this.type.fieldsArray) {
      const field = new JsonField(one.resolve(), compiler);
      fields.push(field);
      for (const name of [one.protoName, one.jsonName]) this.byName.set(name, field);
    }
    this.fields = fields;
    // Generates the functions that encode and decode.
    this.type.setup();
  }

  get nullable(): boolean {
    return this.codec?.nullable === true;
  }

  field(name: string): JsonField | undefined {
    return this.byName.get(name);
  }

  /** Throws Misfit. */
  read(value: unknown): unknown {
    if (this.codec !== null) return this.codec.read(value);
    if (value === null || typeof value !== 'object' || Array.isArray(value)) throw misfit('an object', value);
    if (depth >= MAX_DEPTH) throw new Misfit(`more than ${MAX_DEPTH} messages in one another`);
    const message = Object.create(null) as Fields;
    depth++;
    try {
      for (const name of Object.keys(value)) this.readMember(message, name, (value as Fields)[name]);
    } finally {
      depth--;
    }
    return message;
  }

  private readMember(message: Fields, name: string, value: unknown): void {
    try {
      const field = this.byName.get(name);
      if (field === undefined) {
        if (this.options.ignoreUnknown) return;
        throw new Misfit(`${this.type.name} has no such field`);
      }
      if (value === null && !field.nullable) return;
      if (field.key in message) throw new Misfit('the field is given twice');
      for (const other of field.siblings) if (other in message) throw new Misfit('another field of the same oneof is given');
      message[field.key] = field.read(value);
    } catch (error) {
      throw error instanceof Misfit ? error.at(name) : error;
    }
  }

  write(message: unknown): unknown {
    if (this.codec !== null) return this.codec.write(message);
    if (depth >= MAX_DEPTH) throw new Misfit(`more than ${MAX_DEPTH} messages in one another`);
    const object: Fields = {};
    depth++;
    try {
      for (const field of this.fields) field.put(message as Fields, object, this.options.defaults);
    } finally {
      depth--;
    }
    return object;
  }

  encode(message: unknown): Uint8Array {
    return this.type.encode(message as Fields).finish();
  }

  /** Throws where the bytes are no message of the type. */
  decode(bytes: Uint8Array): Fields {
    return this.type.decode(bytes) as unknown as Fields;
  }
}

/** Makes plans of types, each once. */
export class Compiler {
  readonly options: JsonOptions;
  private readonly made = new Map<Type, JsonMessage>();
  private readonly enums = new Map<Enum, Scalar>();

  constructor(options: JsonOptions) {
    this.options = options;
  }

  of(type: Type): JsonMessage {
    let plan = this.made.get(type);
    if (plan !== undefined) return plan;
    plan = new JsonMessage(type, this);
    this.made.set(type, plan);
    plan.fill(this);
    return plan;
  }

  enumOf(type: Enum): Scalar {
    let scalar = this.enums.get(type);
    if (scalar === undefined) this.enums.set(type, (scalar = enumeration(type, this.options.enumNumbers)));
    return scalar;
  }
}

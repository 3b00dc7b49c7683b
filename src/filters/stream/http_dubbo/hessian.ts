// Hessian 2 by hessian.js, which is loaded where calls of Dubbo are carried: values written one by one, and a reader that keeps to its bytes.
import type library from 'hessian.js';
import type { JavaWriter } from '../../../stream/java/arguments.js';
import type { JavaObject, JavaValue } from '../../../stream/java/show.js';
import { readUnits, units } from '../../../stream/java/units.js';

type Library = typeof library;

/** A value that cannot be read. */
export class HessianFault extends Error {}

/** Deeper values are not read. */
const MAX_DEPTH = 128;
const CLASS = /^[\w$]+(?:\.[\w$]+)+$/;

export class Hessian {
  private readonly library: Library;
  private readonly Reader: new (buf: Buffer) => Reader;

  constructor(library: Library) {
    this.library = library;
    this.Reader = readerOf(library);
  }

  writer(): HessianWriter {
    return new HessianWriter(new this.library.EncoderV2({ size: 1024 }));
  }

  /** The values in bytes, one at a time. */
  reader(bytes: Uint8Array): { next(): JavaValue } {
    const buf = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return new this.Reader(buf);
  }
}

let loaded: Promise<Hessian> | null = null;

/** Loads the library once. */
export function loadHessian(): Promise<Hessian> {
  return (loaded ??= import('hessian.js').then((module) => new Hessian(module.default)));
}

/** Types are written out each time: the library keeps those that it was told for good, whoever named them. */
export class HessianWriter implements JavaWriter {
  private readonly encoder: InstanceType<Library['EncoderV2']>;

  constructor(encoder: InstanceType<Library['EncoderV2']>) {
    this.encoder = encoder;
  }

  take(): Buffer {
    return this.encoder.get();
  }

  null(): void {
    this.encoder.writeNull();
  }

  boolean(value: boolean): void {
    this.encoder.writeBool(value);
  }

  int(value: number): void {
    this.encoder.writeInt(value);
  }

  long(value: number | bigint): void {
    this.encoder.writeLong(typeof value === 'bigint' ? String(value) : value);
  }

  double(value: number): void {
    this.encoder.writeDouble(value);
  }

  string(value: string): void {
    this.encoder.writeString(value);
  }

  date(value: number): void {
    this.encoder.writeDate(value);
  }

  bytes(value: Uint8Array): void {
    this.encoder.writeBytes(Buffer.from(value.buffer, value.byteOffset, value.byteLength));
  }

  list(type: string, items: number): void {
    this.encoder.byteBuffer.put(type === '' ? 0x58 : 0x56);
    if (type !== '') this.encoder.writeString(type);
    this.encoder.writeInt(items);
  }

  map(type: string): void {
    this.encoder.byteBuffer.put(type === '' ? 0x48 : 0x4d);
    if (type !== '') this.encoder.writeString(type);
  }

  endList(): void {}

  endMap(): void {
    this.encoder.byteBuffer.put(0x5a);
  }
}

interface Reader {
  next(): JavaValue;
}

/**
 * The library's reader makes plain objects of lists, maps and objects, in which names like __proto__ and the classes of exceptions are
 * lost, reads beyond the end, and as deep as it is told; so those are read here, and scalars by it.
 */
function readerOf(library: Library): new (buf: Buffer) => Reader {
  return class extends library.DecoderV2 implements Reader {
    private readonly bytes: Buffer;
    /** Lists, maps and objects in the order in which they begin. */
    private readonly known: JavaValue[] = [];
    private depth = 0;

    constructor(buf: Buffer) {
      super(buf);
      this.bytes = buf;
    }

    next(): JavaValue {
      let value: JavaValue;
      try {
        value = this.read();
      } catch (error) {
        throw new HessianFault(error instanceof Error ? error.message : String(error));
      }
      if (this.byteBuffer.position() > this.bytes.length) throw new HessianFault('it ends too early');
      return value;
    }

    private get left(): number {
      return this.bytes.length - this.byteBuffer.position();
    }

    private peek(): number {
      if (this.left <= 0) throw new HessianFault('it ends too early');
      return this.bytes[this.byteBuffer.position()]!;
    }

    override read(): JavaValue {
      const code = this.peek();
      if (++this.depth > MAX_DEPTH) throw new HessianFault(`it has more than ${MAX_DEPTH} levels`);
      const value = this.compound(code);
      this.depth--;
      return value;
    }

    private compound(code: number): JavaValue {
      if (code === 0x43) {
        this.byteBuffer.get();
        this._readObjectDefinition();
        return this.read();
      }
      if (code >= 0x60 && code <= 0x6f) {
        this.byteBuffer.get();
        return this.object(code - 0x60);
      }
      if (code >= 0x70 && code <= 0x7f) {
        this.byteBuffer.get();
        if (code <= 0x77) this.readType();
        return this.list(code & 7);
      }
      switch (code) {
        case 0x4f: this.byteBuffer.get(); return this.object(this.readInt());
        case 0x48: this.byteBuffer.get(); return this.map('');
        case 0x4d: this.byteBuffer.get(); return this.map(this.readType());
        case 0x56: this.byteBuffer.get(); this.readType(); return this.list(this.readInt());
        case 0x58: this.byteBuffer.get(); return this.list(this.readInt());
        case 0x55: this.byteBuffer.get(); this.readType(); return this.list(-1);
        case 0x57: this.byteBuffer.get(); return this.list(-1);
        case 0x51: {
          this.byteBuffer.get();
          const value = this.known[this.readInt()];
          if (value === undefined) throw new HessianFault('it refers to what is not there');
          return value;
        }
        default: return super.read() as JavaValue;
      }
    }

    /** -1: as many as come before the end mark. */
    private list(length: number): JavaValue[] {
      if (length > this.left) throw new HessianFault('it ends too early');
      const items: JavaValue[] = [];
      this.known.push(items);
      if (length >= 0) {
        for (let i = 0; i < length; i++) items.push(this.read());
        return items;
      }
      while (this.peek() !== 0x5a) items.push(this.read());
      this.byteBuffer.get();
      return items;
    }

    private map(className: string): JavaObject {
      const fields = new Map<string, JavaValue>();
      const map = { className, fields };
      this.known.push(map);
      while (this.peek() !== 0x5a) {
        const key = this.read();
        fields.set(keyText(key), this.read());
      }
      this.byteBuffer.get();
      // Generic servers tell an object's class so.
      const said = fields.get('class');
      if (className === '' && typeof said === 'string' && CLASS.test(said)) {
        map.className = said;
        fields.delete('class');
      }
      return map;
    }

    private object(which: number): JavaObject {
      const definition = this.classes[which];
      if (definition === undefined) throw new HessianFault('it has an object of no class');
      const fields = new Map<string, JavaValue>();
      const object = { className: definition.name, fields };
      this.known.push(object);
      for (const name of definition.fields) fields.set(name, this.read());
      return object;
    }

    override _readObjectDefinition(): void {
      const name = this.readString();
      const count = this.readInt();
      if (count < 0 || count > this.left) throw new HessianFault('it ends too early');
      const fields: string[] = [];
      for (let i = 0; i < count; i++) fields.push(this.readString());
      this.classes.push({ name, fields });
    }

    override _readUTF8String(length?: number): string {
      const count = length ?? this.byteBuffer.get() * 256 + this.byteBuffer.get();
      const start = this.byteBuffer.position();
      const text = readUnits(this.bytes, start, this.bytes.length, count);
      if (text === undefined) throw new HessianFault('a text is none, or ends too early');
      this.byteBuffer.read(units.end - start);
      return text;
    }
  };
}

/** Keys of maps that are no texts, as JSON has none; of enums their name. */
function keyText(key: JavaValue): string {
  if (key !== null && typeof key === 'object' && 'fields' in key) {
    const name = key.fields.get('name');
    return typeof name === 'string' ? name : key.className;
  }
  return key instanceof Date && !Number.isNaN(key.getTime()) ? key.toISOString() : String(key);
}

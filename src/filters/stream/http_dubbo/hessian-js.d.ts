// What of hessian.js is used; it has no types of its own.
declare module 'hessian.js' {
  interface ByteBuffer {
    put(value: number): this;
    get(index?: number): number;
    position(): number;
    read(size: number): Buffer;
  }

  class EncoderV2 {
    byteBuffer: ByteBuffer;
    constructor(options: { size: number });
    writeNull(): this;
    writeBool(value: boolean): this;
    writeInt(value: number): this;
    /** Beyond 2^53 as text. */
    writeLong(value: number | string): this;
    writeDouble(value: number): this;
    writeDate(ms: number): this;
    writeBytes(value: Buffer): this;
    writeString(value: string): this;
    get(): Buffer;
  }

  class DecoderV2 {
    byteBuffer: ByteBuffer;
    /** Definitions of classes so far. */
    classes: { name: string; fields: string[] }[];
    constructor(buf: Buffer);
    read(withType?: boolean): unknown;
    readInt(): number;
    readType(): string;
    readString(): string;
    _readObjectDefinition(): unknown;
    _readUTF8String(length?: number): string;
  }

  const hessian: { EncoderV2: typeof EncoderV2; DecoderV2: typeof DecoderV2 };
  export default hessian;
}

// A Thrift service for the Thrift library of Node, in the shape in which the Thrift compiler writes clients and processors; with `serve PORT PROTOCOL` a server of it.
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/*
 * exception Refusal { 1: string why }
 * service Hello {
 *   string say(1: string text),
 *   string big(1: i32 size),
 *   string refuse(1: string text) throws (1: Refusal refusal),
 *   string boom(1: string text),
 *   string slow(),                  answers when the next note arrives
 *   string where(),
 *   i32 notes(),
 *   oneway void note(1: string text)
 * }
 */

export interface Protocol {
  readMessageBegin(): { fname: string; mtype: number; rseqid: number };
  readMessageEnd(): void;
  readStructBegin(): void;
  readStructEnd(): void;
  readFieldBegin(): { ftype: number; fid: number };
  readFieldEnd(): void;
  readString(): string;
  readI32(): number;
  skip(type: number): void;
  writeMessageBegin(name: string, type: number, seqid: number): void;
  writeMessageEnd(): void;
  writeStructBegin(name: string): void;
  writeStructEnd(): void;
  writeFieldBegin(name: string, type: number, id: number): void;
  writeFieldEnd(): void;
  writeFieldStop(): void;
  writeString(text: string): void;
  writeI32(value: number): void;
  flush(): void;
}
export interface ApplicationException extends Error {
  readonly type: number;
  read(input: Protocol): void;
  write(output: Protocol): void;
}
export interface Connection {
  on(event: string, listener: (error: Error) => void): void;
  end(): void;
}
type ProtocolClass = new (transport: unknown) => Protocol;
interface Library {
  readonly TBinaryProtocol: ProtocolClass;
  readonly TCompactProtocol: ProtocolClass;
  readonly TFramedTransport: unknown;
  readonly TBufferedTransport: unknown;
  readonly Thrift: {
    readonly Type: { readonly STOP: number; readonly STRING: number; readonly I32: number; readonly STRUCT: number };
    readonly MessageType: { readonly CALL: number; readonly REPLY: number; readonly EXCEPTION: number; readonly ONEWAY: number };
    readonly TApplicationException: new (type?: number, message?: string) => ApplicationException;
    readonly TApplicationExceptionType: { readonly UNKNOWN: number; readonly UNKNOWN_METHOD: number };
  };
  createConnection(host: string, port: number, options: object): Connection;
  createClient<T>(service: new (output: unknown, protocol: ProtocolClass) => T, connection: Connection): T;
  createServer(processor: unknown, handler: object, options: object): { listen(port: number, host: string, ready: () => void): void };
  createMultiplexServer(processor: object, options: object): { listen(port: number, host: string, ready: () => void): void };
  readonly Multiplexer: new () => { createClient<T>(name: string, service: new (output: unknown, protocol: ProtocolClass) => T, connection: Connection): T };
  readonly MultiplexedProcessor: new () => { registerProcessor(name: string, processor: object): void };
}
export const library = createRequire(resolve('package.json'))('thrift') as Library;
const { Type, MessageType, TApplicationException, TApplicationExceptionType } = library.Thrift;

export const protocols = { binary: library.TBinaryProtocol, compact: library.TCompactProtocol };
export type ProtocolName = keyof typeof protocols;

export class Refusal extends Error {
  readonly why: string;

  constructor(why: string) {
    super(why);
    this.why = why;
  }
}

type Value = string | number | Refusal | null;

/** One field of a struct of the service; a Refusal is a struct with one string. */
interface Field {
  readonly id: number;
  readonly name: string;
  readonly type: number;
}

function writeStruct(output: Protocol, name: string, fields: readonly Field[], values: Readonly<Record<string, Value>>): void {
  output.writeStructBegin(name);
  for (const field of fields) {
    const value = values[field.name];
    if (value === null || value === undefined) continue;
    output.writeFieldBegin(field.name, field.type, field.id);
    if (value instanceof Refusal) writeStruct(output, 'Refusal', [text], { text: value.why });
    else if (typeof value === 'string') output.writeString(value);
    else output.writeI32(value);
    output.writeFieldEnd();
  }
  output.writeFieldStop();
  output.writeStructEnd();
}

function readStruct(input: Protocol, fields: readonly Field[]): Record<string, Value> {
  const values: Record<string, Value> = {};
  input.readStructBegin();
  for (let { ftype, fid } = input.readFieldBegin(); ftype !== Type.STOP; { ftype, fid } = input.readFieldBegin()) {
    const field = fields.find((one) => one.id === fid && one.type === ftype);
    if (field === undefined) input.skip(ftype);
    else if (ftype === Type.STRUCT) values[field.name] = new Refusal(String(readStruct(input, [text])['text']));
    else values[field.name] = ftype === Type.STRING ? input.readString() : input.readI32();
    input.readFieldEnd();
  }
  input.readStructEnd();
  return values;
}

const text: Field = { id: 1, name: 'text', type: Type.STRING };
const number: Field = { id: 1, name: 'number', type: Type.I32 };
const success: Field = { id: 0, name: 'success', type: Type.STRING };
const refusal: Field = { id: 1, name: 'refusal', type: Type.STRUCT };

interface Method {
  readonly args: readonly Field[];
  /** Absent for one-way methods. */
  readonly result?: readonly Field[];
}
const methods: Readonly<Record<string, Method>> = {
  say: { args: [text], result: [success] },
  big: { args: [number], result: [success] },
  refuse: { args: [text], result: [success, refusal] },
  boom: { args: [text], result: [success] },
  slow: { args: [], result: [success] },
  where: { args: [], result: [success] },
  notes: { args: [], result: [{ ...success, type: Type.I32 }] },
  note: { args: [text] },
  /** Known to clients alone. */
  unknown: { args: [], result: [success] },
};

export class HelloClient {
  readonly output: { flush(): void };
  readonly pClass: ProtocolClass;
  _seqid = 0;
  readonly _reqs: Record<number, (error: unknown, result?: Value) => void> = {};

  constructor(output: unknown, pClass: ProtocolClass) {
    this.output = output as { flush(): void };
    this.pClass = pClass;
  }

  seqid(): number {
    return this._seqid;
  }

  new_seqid(): number {
    this._seqid++;
    return this._seqid;
  }

  call(name: string, arg: Value = null): Promise<Value> {
    this._seqid = this.new_seqid();
    const seqid = this._seqid;
    const { args, result } = methods[name]!;
    const output = new this.pClass(this.output);
    output.writeMessageBegin(name, result === undefined ? MessageType.ONEWAY : MessageType.CALL, seqid);
    writeStruct(output, `Hello_${name}_args`, args, { text: arg, number: arg });
    output.writeMessageEnd();
    if (result === undefined) {
      this.output.flush();
      return Promise.resolve(null);
    }
    return new Promise((done, failed) => {
      this._reqs[seqid] = (error, value = null) => (error === null || error === undefined ? done(value) : failed(error as Error));
      this.output.flush();
    });
  }

  say(said: string): Promise<Value> {
    return this.call('say', said);
  }
}

export class HelloProcessor {
  private readonly handler: Record<string, (arg: Value) => Promise<Value>>;

  constructor(handler: object) {
    this.handler = handler as Record<string, (arg: Value) => Promise<Value>>;
  }

  process(input: Protocol, output: Protocol): void {
    const { fname, rseqid } = input.readMessageBegin();
    const method = Object.hasOwn(this.handler, fname) ? methods[fname] : undefined;
    if (method === undefined) {
      input.skip(Type.STRUCT);
      input.readMessageEnd();
      this.fail(output, fname, rseqid, new TApplicationException(TApplicationExceptionType.UNKNOWN_METHOD, `Unknown function ${fname}`));
      return;
    }
    const args = readStruct(input, method.args);
    input.readMessageEnd();
    const answered = this.handler[fname]!(args[method.args[0]?.name ?? ''] ?? null);
    if (method.result === undefined) return;
    answered.then((value) => this.reply(output, fname, rseqid, { success: value }), (error: Error) => {
      if (error instanceof Refusal && method.result!.includes(refusal)) this.reply(output, fname, rseqid, { refusal: error });
      else this.fail(output, fname, rseqid, new TApplicationException(TApplicationExceptionType.UNKNOWN, error.message));
    });
  }

  private reply(output: Protocol, name: string, seqid: number, values: Record<string, Value>): void {
    output.writeMessageBegin(name, MessageType.REPLY, seqid);
    writeStruct(output, `Hello_${name}_result`, methods[name]!.result!, values);
    output.writeMessageEnd();
    output.flush();
  }

  private fail(output: Protocol, name: string, seqid: number, error: ApplicationException): void {
    output.writeMessageBegin(name, MessageType.EXCEPTION, seqid);
    error.write(output);
    output.writeMessageEnd();
    output.flush();
  }
}

for (const [name, { result }] of Object.entries(methods)) {
  if (result === undefined) continue;
  Object.defineProperty(HelloClient.prototype, `recv_${name}`, {
    value(this: HelloClient, input: Protocol, mtype: number, rseqid: number) {
      const callback = this._reqs[rseqid] ?? (() => {});
      delete this._reqs[rseqid];
      if (mtype === MessageType.EXCEPTION) {
        const error = new TApplicationException();
        error.read(input);
        input.readMessageEnd();
        callback(error);
        return;
      }
      const { refusal: refused, success: value } = readStruct(input, result);
      input.readMessageEnd();
      if (refused !== undefined) callback(refused);
      else if (value !== undefined) callback(null, value);
      else callback(new Error(`${name} failed: unknown result`));
    },
  });
}

/** Two services: `Hello` as above, and `Other`, the same under another name; replies name the server's port. */
export function handlerOf(port: number, service: string): object {
  let notes = 0;
  const waiting: (() => void)[] = [];
  return {
    say: async (said: string) => `${said} from ${port}`,
    big: async (size: number) => 'x'.repeat(size),
    refuse: async (why: string) => {
      throw new Refusal(why);
    },
    boom: async (why: string) => {
      throw new Error(why);
    },
    slow: () => new Promise((done) => waiting.push(() => done('waited'))),
    where: async () => `${service} at ${port}`,
    notes: async () => notes,
    note: async () => {
      notes++;
      for (const done of waiting.splice(0)) done();
      return null;
    },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url) && process.argv[2] === 'serve') {
  const port = Number(process.argv[3]);
  const [name, multiplexed] = process.argv[4]!.split('+') as [ProtocolName, string | undefined];
  const options = { transport: library.TFramedTransport, protocol: protocols[name] };
  const ready = (): void => console.log('up');
  if (multiplexed === undefined) {
    library.createServer(HelloProcessor, handlerOf(port, 'Hello'), options).listen(port, '127.0.0.1', ready);
  } else {
    const processor = new library.MultiplexedProcessor();
    for (const service of ['Hello', 'Other']) processor.registerProcessor(service, new HelloProcessor(handlerOf(port, service)));
    library.createMultiplexServer(processor, options).listen(port, '127.0.0.1', ready);
  }
}

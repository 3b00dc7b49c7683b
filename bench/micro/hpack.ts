// What HPACK costs per header block: repeated blocks, blocks with values that never come again, both directions. `node build/bench/micro/hpack.js`
//
// Node 20 on a busy 2-core machine, ns: the same block again: decode 30, encode 20, encode with one more field 170; nine fields of which one
// differs each time: decode 650, encode 700; Huffman decode 4 per character.
import { Writer } from '../../src/core/bytes.js';
import { HpackDecoder } from '../../src/stream/protocol/http2/hpack/decoder.js';
import { HpackEncoder } from '../../src/stream/protocol/http2/hpack/encoder.js';
import { FieldBlockBuilder, type FieldBlock } from '../../src/stream/protocol/http2/hpack/field-block.js';
import { huffmanDecode } from '../../src/stream/protocol/http2/hpack/huffman.js';
import { bench } from './measure.js';

/** A unary gRPC request as grpc-js sends it, with a trace that differs each time. */
const call: readonly (readonly [string, string])[] = [
  [':method', 'POST'], [':scheme', 'http'], [':path', '/helloworld.Greeter/SayHello'], [':authority', 'localhost:50051'], ['te', 'trailers'],
  ['content-type', 'application/grpc'], ['user-agent', 'grpc-node-js/1.14.0'], ['grpc-accept-encoding', 'identity,deflate,gzip'],
];

function block(fields: readonly (readonly [string, string])[]): FieldBlock {
  const builder = new FieldBlockBuilder();
  for (const [name, value] of fields) builder.text(name, value);
  return builder.build();
}

const DIFFERENT = 1024;
const same = block(call);
const traced = Array.from({ length: DIFFERENT }, (_, i) => block([...call, ['traceparent', `00-${i.toString(16).padStart(32, '7')}-${i.toString(16).padStart(16, '9')}-01`]]));

const memory = new Writer(Buffer.alloc(64 * 1024));

/** What an encoder writes for each block once its table has settled. */
function settled(blocks: readonly FieldBlock[]): { table: Buffer[]; wires: Buffer[] } {
  const encoder = new HpackEncoder(true);
  const table: Buffer[] = [];
  const write = (one: FieldBlock): Buffer => {
    memory.pos = 0;
    encoder.encode(memory, one);
    return Buffer.from(memory.buf.subarray(0, memory.pos));
  };
  for (let i = 0; i < 3 * Math.min(blocks.length, 8); i++) table.push(write(blocks[i % blocks.length]!));
  return { table, wires: blocks.map(write) };
}

function decoding(name: string, blocks: readonly FieldBlock[]): void {
  const { table, wires } = settled(blocks);
  const decoder = new HpackDecoder();
  for (const one of table) decoder.decode(one, 0, one.length);
  let next = 0;
  bench(`decode: ${name}, ${wires[0]!.length} bytes`, (n) => {
    let sum = 0;
    for (let left = n; left > 0; left--) {
      const wire = wires[next]!;
      if (++next === wires.length) next = 0;
      sum = (sum + decoder.decode(wire, 0, wire.length)!.count) | 0;
    }
    return sum;
  });
}

function encoding(name: string, blocks: readonly FieldBlock[], stateless = false): void {
  const encoder = new HpackEncoder(true);
  if (stateless) encoder.setPeerTable(0);
  let next = 0;
  bench(`encode: ${name}`, (n) => {
    let sum = 0;
    for (let left = n; left > 0; left--) {
      memory.pos = 0;
      const one = blocks[next]!;
      if (blocks.length === DIFFERENT) one.encoded = false;
      encoder.encode(memory, one);
      if (++next === blocks.length) next = 0;
      sum = (sum + memory.pos) | 0;
    }
    return sum;
  });
}

decoding('the same block again', [same]);
decoding('8 blocks in turn', Array.from({ length: 8 }, (_, i) => block([...call, ['x-tenant', `tenant-${i}`]])));
decoding('a trace that differs', traced);
decoding('every field a literal', Array.from({ length: DIFFERENT }, (_, i) => block(call.map(([name, value]) => [`${name}-${i}`, value]))));
encoding('the same block again', [same]);
encoding('a trace that differs', traced);
encoding('a trace that differs, no table', traced, true);

const encoder = new HpackEncoder(true);
const traceName = Buffer.from('traceparent');
const traces = traced.map((one) => Buffer.from(one.value(one.count - 1)));
bench('encode: the same block again and one field', (n) => {
  let sum = 0;
  for (let left = n; left > 0; left--) {
    memory.pos = 0;
    encoder.encode(memory, same);
    const value = traces[left & (DIFFERENT - 1)]!;
    encoder.field(memory, traceName, 0, traceName.length, value, 0, value.length, false);
    sum = (sum + memory.pos) | 0;
  }
  return sum;
});

// "www.example.com" over and over: 12 bytes of code for 15 characters.
const coded = Buffer.from('f1e3c2e5f23a6ba0ab90f4ff', 'hex');
bench('Huffman: decode 15 characters', (n) => {
  let sum = 0;
  for (let left = n; left > 0; left--) sum = (sum + huffmanDecode(coded, 0, coded.length, memory.buf, 0)) | 0;
  return sum;
});

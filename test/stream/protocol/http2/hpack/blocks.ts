// Header blocks for the HPACK tests: from hex, from lists of fields, and written by an encoder that has none of the real one's choices.
import assert from 'node:assert/strict';
import { Writer } from '../../../../../src/core/bytes.js';
import { FieldBlockBuilder, type FieldBlock } from '../../../../../src/stream/protocol/http2/hpack/field-block.js';
import type { HpackDecoder } from '../../../../../src/stream/protocol/http2/hpack/decoder.js';
import type { HpackEncoder } from '../../../../../src/stream/protocol/http2/hpack/encoder.js';
import { HUFFMAN_BITS, HUFFMAN_CODE } from '../../../../../src/stream/protocol/http2/hpack/huffman.js';

export type Field = readonly [name: string, value: string, never?: true];

export function hex(text: string): Buffer {
  return Buffer.from(text.replace(/\s/g, ''), 'hex');
}

/** The fields of a block, never-indexed ones with a third element. */
export function fieldsOf(block: FieldBlock): Field[] {
  const fields: Field[] = [];
  block.each((name, value, never) => fields.push(never ? [name, value, true] : [name, value]));
  return fields;
}

export function blockOf(fields: readonly Field[]): FieldBlock {
  const builder = new FieldBlockBuilder();
  for (const [name, value, never] of fields) builder.text(name, value, never ?? false);
  return builder.build();
}

/** Decodes a block that is sound. It lies between bytes that are not its own. */
export function decode(decoder: HpackDecoder, bytes: Uint8Array): FieldBlock {
  const around = Buffer.concat([Buffer.from([0xff, 0x3f]), bytes, Buffer.from([0x82, 0x00])]);
  const block = decoder.decode(around, 2, 2 + bytes.length);
  assert.ok(block !== null, `${decoder.error} in ${Buffer.from(bytes).toString('hex')}`);
  around.fill(0xee);
  return block;
}

/** Why a block does not decode. */
export function refusal(decoder: HpackDecoder, bytes: Uint8Array): string {
  assert.equal(decoder.decode(bytes, 0, bytes.length), null);
  return decoder.error;
}

/** What the encoder writes, which has no more room than it asked for. */
export function encode(encoder: HpackEncoder, block: FieldBlock): Buffer {
  const memory = Buffer.alloc(encoder.bound(block) + 16, 0xa5);
  const w = new Writer(memory);
  encoder.encode(w, block);
  assert.ok(w.pos <= memory.length - 16, `${w.pos} bytes written where ${memory.length - 16} were the bound`);
  assert.ok(memory.subarray(w.pos).every((byte) => byte === 0xa5));
  return memory.subarray(0, w.pos);
}

/** An integer as RFC 7541 section 5.1 writes it. */
export function integer(type: number, prefixBits: number, value: number): number[] {
  const most = 2 ** prefixBits - 1;
  if (value < most) return [type | value];
  const bytes = [type | most];
  let rest = value - most;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  bytes.push(rest);
  return bytes;
}

export function huffman(text: Uint8Array): Buffer {
  let bits = '';
  for (const byte of text) bits += HUFFMAN_CODE[byte]!.toString(2).padStart(HUFFMAN_BITS[byte]!, '0');
  bits = bits.padEnd(Math.ceil(bits.length / 8) * 8, '1');
  return Buffer.from(Array.from({ length: bits.length / 8 }, (_, i) => parseInt(bits.slice(8 * i, 8 * i + 8), 2)));
}

export function string(text: string | Uint8Array, coded = false): Buffer {
  const plain = Buffer.from(text as string);
  const bytes = coded ? huffman(plain) : plain;
  return Buffer.concat([Buffer.from(integer(coded ? 0x80 : 0, 7, bytes.length)), bytes]);
}

export type Form = 'insert' | 'plain' | 'never';

/** A literal field; the name is an index or a string. */
export function literal(form: Form, name: number | string, value: string | Uint8Array, coded = false): Buffer {
  const [type, bits] = form === 'insert' ? [0x40, 6] : form === 'plain' ? [0, 4] : [0x10, 4];
  const head = Buffer.from(integer(type, bits, typeof name === 'number' ? name : 0));
  return Buffer.concat([head, ...(typeof name === 'number' ? [] : [string(name, coded)]), string(value, coded)]);
}

export function indexed(index: number): Buffer {
  return Buffer.from(integer(0x80, 7, index));
}

export function sizeUpdate(size: number): Buffer {
  return Buffer.from(integer(0x20, 5, size));
}

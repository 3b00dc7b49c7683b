// Fuzzing of HPACK with a fixed budget and a printed seed: garbage never throws, what is encoded decodes to what it was.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Writer } from '../../../../../src/core/bytes.js';
import { HpackDecoder } from '../../../../../src/stream/protocol/http2/hpack/decoder.js';
import { HpackEncoder } from '../../../../../src/stream/protocol/http2/hpack/encoder.js';
import type { FieldBlock } from '../../../../../src/stream/protocol/http2/hpack/field-block.js';
import { fuzzSeed, generator, type Random } from '../../../../support/fuzz.js';
import { blockOf, decode, encode, fieldsOf, indexed, literal, sizeUpdate, type Field, type Form } from './blocks.js';

const seed = fuzzSeed(75410);

const names = [
  ':method', ':path', ':status', ':authority', 'cookie', 'authorization', 'user-agent', 'x-a', 'x-b', 'x-request-id', 'traceparent', 'grpc-status', 'date', 'te', '', 'X-A',
];

function randomText(random: Random, most: number): string {
  return Array.from({ length: random(most) }, () => String.fromCodePoint(random(20) === 0 ? 0x80 + random(0x700) : 33 + random(90))).join('');
}

function randomField(random: Random): Field {
  const name = random(30) === 0 ? randomText(random, 40).toLowerCase().replace(/[^ -~]/g, '-') : names[random(names.length)]!;
  const values = ['GET', '/', '200', '', 'a', 'b', 'text/plain', String(random(1e9)), randomText(random, 30), random(20) === 0 ? randomText(random, 2000) : 'c'];
  const value = values[random(values.length)]!;
  return random(12) === 0 ? [name, value, true] : [name, value];
}

/** A dynamic table as the RFC tells it, entry by entry. */
class Model {
  entries: Field[] = [];
  limit = 4096;
  get size(): number {
    return this.entries.reduce((sum, [name, value]) => sum + Buffer.byteLength(name) + Buffer.byteLength(value) + 32, 0);
  }
  insert(field: Field): void {
    this.entries.unshift(field);
    this.shrink();
  }
  shrink(): void {
    while (this.size > this.limit) this.entries.pop();
  }
}

describe('HPACK fuzz', () => {
  test('decoder beside a model of the table: every form, sizes, memo hits', () => {
    const random = generator(seed);
    for (let connection = 0; connection < 60; connection++) {
      const decoder = new HpackDecoder(8192);
      const model = new Model();
      const again: { bytes: Buffer; length: number }[] = [];
      for (let b = 0; b < 80; b++) {
        const parts: Buffer[] = [];
        const expected: Field[] = [];
        if (random(12) === 0) {
          model.limit = [0, 60, 500, 4096, 8192][random(5)]!;
          model.shrink();
          parts.push(sizeUpdate(model.limit));
        }
        for (let n = random(8); n > 0; n--) {
          if (random(2) === 0 && model.entries.length > 0) {
            const k = random(model.entries.length);
            expected.push(model.entries[k]!);
            parts.push(indexed(62 + k));
            continue;
          }
          const [name, value] = randomField(random);
          const form: Form = (['insert', 'plain', 'never'] as const)[random(3)]!;
          const k = model.entries.findIndex((entry) => entry[0] === name);
          parts.push(literal(form, k >= 0 && random(2) === 0 ? 62 + k : name, value, random(2) === 0));
          expected.push(form === 'never' ? [name, value, true] : [name, value]);
          if (form === 'insert') model.insert([name, value]);
        }
        const bytes = Buffer.concat(parts);
        assert.deepEqual(fieldsOf(decode(decoder, bytes)), expected);
        assert.equal(decoder.tableSize, model.size);
        // What does not depend on the table decodes to the same for ever, however often the table changed.
        if (random(3) === 0) again.push({ bytes: literal('plain', 'x-again', String(again.length)), length: again.length });
        if (again.length > 0) {
          const one = again[random(again.length)]!;
          assert.deepEqual(fieldsOf(decode(decoder, one.bytes)), [['x-again', String(one.length)]]);
        }
      }
    }
  });

  test('encoder to decoder over long sequences, while the peer changes its table size', () => {
    const random = generator(seed + 1);
    for (let connection = 0; connection < 40; connection++) {
      const encoder = new HpackEncoder(connection % 2 === 0);
      const decoder = new HpackDecoder(4096);
      let peer = 4096;
      const blocks: FieldBlock[] = [];
      for (let b = 0; b < 300; b++) {
        for (let n = random(30) === 0 ? 1 + random(3) : 0; n > 0; n--) {
          peer = [0, 40, 200, 1000, 4096, 65536][random(6)]!;
          encoder.setPeerTable(peer);
        }
        if (blocks.length < 20 || random(3) === 0) blocks.push(blockOf(Array.from({ length: random(12) }, () => randomField(random))));
        const block = blocks[random(Math.min(blocks.length, 12)) + Math.max(0, blocks.length - 12)] ?? blocks[0]!;
        const more = random(4) === 0 ? randomField(random) : null;
        let bytes: Uint8Array;
        if (more === null) {
          bytes = encode(encoder, block);
        } else {
          const [name, value] = [Buffer.from(more[0]), Buffer.from(more[1])];
          const w = new Writer(Buffer.alloc(encoder.bound(block) + encoder.fieldBound(name.length, value.length)));
          encoder.encode(w, block);
          encoder.field(w, name, 0, name.length, value, 0, value.length, more[2] ?? false);
          bytes = w.buf.subarray(0, w.pos);
        }
        assert.deepEqual(fieldsOf(decode(decoder, bytes)), more === null ? fieldsOf(block) : [...fieldsOf(block), more]);
        assert.ok(decoder.tableSize <= peer, `a table of ${decoder.tableSize} where the peer allows ${peer}`);
      }
    }
  });

  test('damaged blocks and noise: no throw, the same outcome from a fresh decoder, bounded blocks', () => {
    const random = generator(seed + 2);
    let refused = 0;
    for (let round = 0; round < 6000; round++) {
      const decoder = new HpackDecoder(4096, 4096);
      const twin = new HpackDecoder(4096, 4096);
      for (let b = 0; b < 4; b++) {
        const fields = Array.from({ length: random(8) }, () => randomField(random));
        const bytes = round % 3 === 0
          ? Buffer.from(Array.from({ length: random(60) }, () => random(256)))
          : Buffer.concat(fields.map(([name, value]) => literal((['insert', 'plain', 'never'] as const)[random(3)]!, random(3) === 0 ? 1 + random(64) : name, value, random(2) === 0)));
        for (let n = random(4); n > 0 && bytes.length > 0; n--) bytes[random(bytes.length)] = random(256);
        const block = decoder.decode(bytes, 0, bytes.length);
        const other = twin.decode(Buffer.concat([Buffer.alloc(3, 0x40), bytes]), 3, 3 + bytes.length);
        assert.equal(other === null, block === null);
        if (block === null) {
          assert.ok(decoder.error.length > 0);
          assert.equal(twin.error, decoder.error);
          refused++;
          break;
        }
        assert.deepEqual(fieldsOf(other!), fieldsOf(block));
        assert.ok(block.size <= 4096);
        assert.ok(decoder.tableSize <= 4096 && decoder.tableSize === twin.tableSize);
        if (random(2) === 0) {
          // The same once more, from the memo or not.
          const more = decoder.decode(bytes, 0, bytes.length);
          const once = twin.decode(bytes, 0, bytes.length);
          assert.deepEqual(more === null ? null : fieldsOf(more), once === null ? null : fieldsOf(once));
          if (more === null) break;
        }
      }
    }
    assert.ok(refused > 2000 && refused < 6000, `${refused} of 6000 connections ended with an error`);
  });
});

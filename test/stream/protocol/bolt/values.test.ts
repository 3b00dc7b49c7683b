// Hessian as Bolt has it, both ways and against the library that Node's SOFARPC uses: every kind of value, references, cuts and garbage.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { describe, test } from 'node:test';
import { fuzzSeed, generator } from '../../../support/fuzz.js';
import { HessianObject, HessianReader, type HessianValue } from '../../../../src/stream/protocol/bolt/hessian.js';
import { DraftWriter } from '../../../../src/stream/protocol/bolt/values.js';

const require = createRequire(resolve('package.json'));
interface Library {
  encode(value: unknown, version: string): Buffer;
  decode(bytes: Buffer, version: string): unknown;
}
const { v3, v4 } = require('sofa-hessian-node') as { v3: Library; v4: Library };

const read = (bytes: Uint8Array): HessianValue | undefined => new HessianReader(bytes, 0, bytes.length).read();
const plain = (value: HessianValue | undefined): unknown => {
  if (value instanceof HessianObject) return Object.fromEntries([...value.fields].map(([name, field]) => [name, plain(field)]));
  return Array.isArray(value) ? value.map(plain) : value;
};

describe('values in Hessian', () => {
  test('written here are read by the library, and here', () => {
    const w = new DraftWriter();
    w.list('', 12);
    w.null();
    w.boolean(true);
    w.int(-5);
    w.int(2_000_000_000);
    w.long(2n ** 53n + 1n);
    w.double(0.1);
    w.string('é\u{1f600}'.repeat(30_000));
    w.date(1_700_000_000_123);
    w.bytes(Buffer.alloc(70_000, 7));
    w.list('[int', 2);
    w.int(1);
    w.int(2);
    w.endList();
    w.map('');
    w.string('a');
    w.int(1);
    w.endMap();
    w.map('com.example.Person');
    w.string('name');
    w.string('Ann');
    w.endMap();
    w.endList();
    const bytes = w.take();
    const wanted = [null, true, -5, 2_000_000_000, '9007199254740993', 0.1, 'é\u{1f600}'.repeat(30_000), new Date(1_700_000_000_123), Buffer.alloc(70_000, 7), [1, 2], { a: 1 }, { name: 'Ann' }];
    assert.deepEqual(v3.decode(Buffer.from(bytes), '2.0'), wanted);
    assert.deepEqual((plain(read(bytes)) as unknown[]).map((value) => (typeof value === 'bigint' ? String(value) : value)), wanted);
  });

  test('written by the library, in either dialect, are read here', () => {
    const line = { $class: 'com.example.Line', $: { sku: 'a' } };
    const value = [1, -300, 70_000, 3_000_000_000, 1.5, 'text', 'y'.repeat(40_000), true, null, new Date(1_700_000_000_000), new Date(60_000 * 5), Buffer.alloc(10, 1), Buffer.alloc(9000, 2), [1, 'x'], { a: { b: 1 } }, line, line, { $class: '[int', $: [1, 2] }];
    const wanted = [1, -300, 70_000, 3_000_000_000, 1.5, 'text', 'y'.repeat(40_000), true, null, new Date(1_700_000_000_000), new Date(60_000 * 5), Buffer.alloc(10, 1), Buffer.alloc(9000, 2), [1, 'x'], { a: { b: 1 } }, { sku: 'a' }, { sku: 'a' }, [1, 2]];
    const draft = plain(read(v3.encode(value, '2.0'))) as unknown[];
    assert.deepEqual(draft.map((one) => (typeof one === 'bigint' ? Number(one) : one)), wanted);
    // Of the final dialect only a definition of a class tells; SOFA's messages begin with one.
    const message = v4.encode({ $class: 'com.example.Message', $: { items: value } }, '2.0');
    const final = (plain(read(message)) as { items: unknown[] }).items;
    assert.deepEqual(final.map((one) => (typeof one === 'bigint' ? Number(one) : one)), wanted);
  });

  test('what is referred to is the same again', () => {
    const node = { $class: 'com.example.Node', $: { name: 'x', next: null as unknown } };
    node.$.next = node;
    for (const library of [v3, v4]) {
      const one = read(library.encode(node, '2.0'));
      assert.ok(one instanceof HessianObject);
      assert.equal(one.fields.get('next'), one);
    }
  });

  test('cut off anywhere, or garbage, is undefined or a value, and never more', () => {
    const line = { $class: 'com.example.Line', $: { sku: 'a', n: 1.25 } };
    for (const library of [v3, v4]) {
      const bytes = library.encode({ $class: 'com.example.Message', $: { list: [line, line], date: new Date(0), bytes: Buffer.alloc(5), map: { a: 'b' } } }, '2.0');
      for (let n = 0; n < bytes.length; n++) assert.equal(read(bytes.subarray(0, n)), undefined, `cut at ${n}`);
      const seed = fuzzSeed(777);
      const next = generator(seed);
      for (let i = 0; i < 20_000; i++) {
        const garbage = Buffer.from(bytes);
        for (let k = 0; k < 3; k++) garbage[next(garbage.length)] = next(256);
        assert.doesNotThrow(() => read(garbage), `seed ${seed}, round ${i}`);
      }
    }
    assert.equal(read(Buffer.alloc(100_000, 0x79)), undefined, 'nested without end');
  });
});

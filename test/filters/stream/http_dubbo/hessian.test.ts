// Hessian for Dubbo: what is written is read by the library as it is, what the library writes is read here; references, cuts and garbage.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fuzzSeed, generator } from '../../../support/fuzz.js';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { HessianFault, loadHessian } from '../../../../src/filters/stream/http_dubbo/hessian.js';
import type { JavaValue } from '../../../../src/stream/java/show.js';

const library = createRequire(resolve('package.json'))('hessian.js') as { encode(value: unknown, version: string): Buffer; decode(bytes: Buffer, version: string): unknown };

const plain = (value: JavaValue): unknown => {
  if (value === null || typeof value !== 'object' || value instanceof Date || value instanceof Uint8Array) return value;
  return 'fields' in value ? Object.fromEntries([...value.fields].map(([name, field]) => [name, plain(field)])) : value.map(plain);
};

describe('Hessian for Dubbo', () => {
  test('written here is read by the library, and here', async () => {
    const hessian = await loadHessian();
    const w = hessian.writer();
    w.list('[object', 12);
    w.null();
    w.boolean(false);
    for (const n of [0, -16, 2047, 262143, 2_000_000_000]) w.int(n);
    w.long(2n ** 53n + 1n);
    w.double(0.1);
    w.string('é\u{1f600}'.repeat(30_000));
    w.date(1_700_000_000_123);
    w.map('');
    w.string('list');
    w.list('', 9);
    for (let i = 0; i < 9; i++) w.bytes(Buffer.alloc(i * 1000, i));
    w.endList();
    w.endMap();
    w.endList();
    const bytes = w.take();
    const wanted = [null, false, 0, -16, 2047, 262143, 2_000_000_000, '9007199254740993', 0.1, 'é\u{1f600}'.repeat(30_000), new Date(1_700_000_000_123), { list: Array.from({ length: 9 }, (_, i) => Buffer.alloc(i * 1000, i)) }];
    const theirs = library.decode(bytes, '2.0') as unknown[];
    assert.deepEqual(theirs.slice(0, 9), wanted.slice(0, 9));
    assert.deepEqual({ ...(theirs[11] as object) }, wanted[11]);
    assert.deepEqual(plain(hessian.reader(bytes).next()), wanted);
  });

  test('written by the library is read here: classes, names without a meaning, what contains itself, classes that generic servers tell', async () => {
    const hessian = await loadHessian();
    const order = { $class: 'com.x.Order', $: { id: { $class: 'long', $: '9007199254740993' }, lines: [{ $class: 'com.x.Line', $: { sku: 'a' } }, { $class: 'com.x.Line', $: { sku: 'b' } }], error: { $class: 'com.x.SomeException', $: { detailMessage: 'why' } }, self: null as unknown } };
    order.$.self = order;
    const value = hessian.reader(library.encode(order, '2.0')).next();
    assert.ok(value !== null && typeof value === 'object' && 'fields' in value);
    assert.equal(value.className, 'com.x.Order');
    assert.equal(value.fields.get('self'), value);
    assert.equal(value.fields.get('id'), '9007199254740993');
    const error = value.fields.get('error')!;
    assert.ok(error !== null && typeof error === 'object' && 'fields' in error);
    assert.deepEqual([error.className, error.fields.get('detailMessage')], ['com.x.SomeException', 'why']);
    assert.deepEqual(plain(value.fields.get('lines')!), [{ sku: 'a' }, { sku: 'b' }]);
    const map = hessian.reader(library.encode(new Map<unknown, unknown>([['__proto__', 1], ['class', 'com.x.Y'], [5, 'five']]), '2.0')).next();
    assert.ok(map !== null && typeof map === 'object' && 'fields' in map);
    assert.equal(map.className, 'com.x.Y');
    assert.deepEqual([...map.fields], [['__proto__', 1], ['5', 'five']]);
    // Lists of no fixed length, untyped and typed.
    assert.deepEqual(hessian.reader(Buffer.from([0x57, 0x91, 0x92, 0x5a])).next(), [1, 2]);
    assert.deepEqual(hessian.reader(Buffer.from([0x55, 1, 0x61, 0x91, 0x5a])).next(), [1]);
  });

  test('cut off anywhere, or garbage, is a fault or a value, and nothing else', async () => {
    const hessian = await loadHessian();
    const bytes = library.encode([{ $class: 'com.x.A', $: { text: 'é'.repeat(50), n: 1.25, list: [1, [2]], map: { a: new Date(0) }, bytes: Buffer.alloc(20) } }, { $class: 'com.x.A', $: {} }], '2.0');
    const read = (from: Buffer): void => {
      try {
        hessian.reader(from).next();
      } catch (error) {
        assert.ok(error instanceof HessianFault, String(error));
      }
    };
    for (let n = 0; n < bytes.length; n++) assert.throws(() => hessian.reader(bytes.subarray(0, n)).next(), HessianFault, `cut at ${n}`);
    const seed = fuzzSeed(4711);
    const next = generator(seed);
    for (let i = 0; i < 20_000; i++) {
      const garbage = Buffer.from(bytes);
      for (let k = 0; k < 3; k++) garbage[next(garbage.length)] = next(256);
      read(garbage);
    }
    read(Buffer.alloc(100_000, 0x79));
    read(Buffer.concat(Array.from({ length: 100_000 }, () => Buffer.from([0x52, 0, 0]))));
    assert.throws(() => hessian.reader(Buffer.from([0x58, 0x49, 0x7f, 0xff, 0xff, 0xff])).next(), HessianFault, 'a list longer than the bytes');
  });
});

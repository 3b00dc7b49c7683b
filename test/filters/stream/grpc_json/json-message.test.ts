// Messages between JSON and bytes: against protobufjs' own ProtoJSON for generated messages and noise, and the corners of every kind of field.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { describe, test } from 'node:test';
import { readDescriptorSet } from '../../../../src/filters/stream/grpc_json/descriptor.js';
import { Compiler, type JsonOptions } from '../../../../src/filters/stream/grpc_json/json-message.js';
import { Misfit } from '../../../../src/filters/stream/grpc_json/misfit.js';
import type { Type } from '../../../../src/filters/stream/grpc_json/protobuf.js';

interface ProtoJson {
  fromJson(type: Type, json: unknown): object;
  toJson(type: Type, message: object): unknown;
}
/** An implementation of the same mapping by others. */
const other = createRequire(import.meta.url)('protobufjs/ext/protojson.js') as ProtoJson;

const { root } = readDescriptorSet(readFileSync('test/support/shop/shop.binpb'));
const Item = root.lookupType('shop.v1.Item');
const plain: JsonOptions = { defaults: false, protoNames: false, enumNumbers: false, ignoreUnknown: false };
const plan = new Compiler(plain).of(Item);
const through = (json: unknown): unknown => JSON.parse(JSON.stringify(plan.write(plan.decode(plan.encode(plan.read(json))))));
const one = (name: string, value: unknown): unknown => (through({ [name]: value }) as Record<string, unknown>)[name];
const refused = (json: unknown, what: RegExp): void => {
  assert.throws(() => plan.read(json), (error: unknown) => error instanceof Misfit && what.test(error.toString()), String(what));
};

describe('fields', () => {
  for (const [name, value, back] of [
    ['stock', 9007199254740992, '9007199254740992'], ['stock', '-1', '-1'], ['stock', '1e3', '1000'], ['stock', 5, '5'], ['serial', '18446744073709551615', '18446744073709551615'],
    ['price', '1.5', 1.5], ['price', 'Infinity', 'Infinity'], ['price', '-Infinity', '-Infinity'], ['price', 'NaN', 'NaN'], ['price', 1e300, 1e300], ['weight', 0.1, 0.1], ['weight', 3.4028234663852886e38, 3.4028234663852886e38], ['weight', 16777216, 16777216],
    ['turn', '-2147483648', -2147483648], ['turn', 1.0, 1], ['turn', '2e2', 200], ['color', 2, 'BLUE'], ['color', 77, 77], ['color', -1, -1],
    ['picture', '-_8', '+/8='], ['picture', 'AA', 'AA=='], ['madeAt', '2026-11-22T10:00:00+02:30', '2026-11-22T07:30:00Z'], ['madeAt', '0001-01-01T00:00:00Z', '0001-01-01T00:00:00Z'],
    ['madeAt', '9999-12-31T23:59:59.999999999Z', '9999-12-31T23:59:59.999999999Z'], ['madeAt', '1969-12-31T23:59:59.5Z', '1969-12-31T23:59:59.500Z'], ['lasts', '1.000001s', '1.000001s'], ['lasts', '-0.5s', '-0.500s'], ['lasts', '0s', '0s'],
    ['maybeCount', 7, '7'], ['maybeBytes', '', ''], ['anything', null, null], ['anything', [{ a: null }], [{ a: null }]], ['rank', 0, 0], ['sizes', { '': 1 }, { '': 1 }], ['mask', '', ''],
    ['byNumber', { '-9223372036854775808': {} }, { '-9223372036854775808': {} }], ['name', '\u{1f600}', '\u{1f600}'], ['detail', {}, {}],
    ['detail', { '@type': 'type.googleapis.com/google.protobuf.Duration', value: '3s' }, { '@type': 'type.googleapis.com/google.protobuf.Duration', value: '3s' }],
    ['extra', JSON.parse('{"__proto__": {"x": 1}}'), JSON.parse('{"__proto__": {"x": 1}}')], ['sizes', JSON.parse('{"__proto__": 1}'), JSON.parse('{"__proto__": 1}')],
  ] as const) {
    test(`${name}: ${JSON.stringify(value)} comes back as ${JSON.stringify(back)}`, () => {
      assert.deepEqual(one(name, value), back);
    });
  }

  for (const [name, value] of [
    ['stock', '9223372036854775808'], ['stock', 1.5], ['stock', ' 1'], ['stock', '0x10'], ['stock', true], ['stock', 1e300], ['serial', -1], ['serial', '-1'], ['turn', 2147483648], ['turn', ''], ['turn', []], ['price', 'nan'], ['price', {}], ['weight', 1e39],
    ['sold', 'true'], ['sold', 1], ['name', 5], ['name', '\ud800'], ['picture', '!'], ['picture', 'AAAAA'], ['picture', 5], ['color', 'GREEN'], ['color', 1.5], ['color', 'toString'], ['tags', 'a'], ['tags', [null]], ['tags', {}], ['parts', [null]],
    ['sizes', []], ['sizes', { a: 'x' }], ['byNumber', { a: {} }], ['byNumber', { '1.0': {} }], ['when', { yes: '1970-01-01T00:00:00Z' }], ['madeAt', '2026-02-30T00:00:00Z'], ['madeAt', '2026-01-01 00:00:00Z'], ['madeAt', '2026-01-01T24:00:00Z'], ['madeAt', 5],
    ['lasts', '1'], ['lasts', '315576000001s'], ['lasts', '1.0000000001s'], ['mask', 'a_b'], ['extra', []], ['list', {}], ['detail', { name: 'x' }], ['detail', { '@type': 'type.googleapis.com/no.Such' }], ['detail', { '@type': 'type.googleapis.com/google.protobuf.Duration' }], ['maybeCount', 'x'], ['nothing', 'x'],
  ] as const) {
    test(`${name}: ${JSON.stringify(value)} is refused, with the name of the field`, () => {
      refused({ [name]: value }, new RegExp(`^${name}`));
    });
  }

  test('null is no value, except where it is one', () => {
    assert.deepEqual(through({ name: null, tags: null, sizes: null, madeAt: null, parts: null, maybeCount: null, color: null, shop: null }), {});
  });

  test('both names are read, not one after the other', () => {
    assert.deepEqual(through({ made_at: '1970-01-01T00:00:00Z', odd_name: 'x' }), { madeAt: '1970-01-01T00:00:00Z', oddly: 'x' });
    refused({ made_at: '1970-01-01T00:00:00Z', madeAt: '1970-01-01T00:00:00Z' }, /given twice/);
    refused({ oddName: 'x' }, /^oddName: Item has no such field/);
  });

  test('the place is told from the outside in', () => {
    refused({ parts: [{}, { inner: { inner: { count: 'x' } } }] }, /^parts\[1\]\.inner\.inner\.count: a whole number was expected, not "x"$/);
    refused({ byNumber: { 5: { count: {} } } }, /^byNumber\["5"\]\.count: /);
    refused([], /^an object was expected, not a list$/);
    refused('x', /^an object/);
  });

  test('what is nested too deep is refused, and leaves nothing behind', () => {
    let deep: unknown = {};
    for (let i = 0; i < 5000; i++) deep = { inner: deep };
    for (let i = 0; i < 3; i++) refused({ parts: [deep] }, /more than 100 messages/);
    let list: unknown = 1;
    for (let i = 0; i < 5000; i++) list = [list];
    refused({ anything: list }, /more than 100 values/);
    refused({ name: list }, /^name: a text was expected, not a list$/);
    assert.deepEqual(through({ parts: [{ inner: { inner: {} } }] }), { parts: [{ inner: { inner: {} } }] });
  });

  test('an unknown type of Any keeps its bytes', () => {
    const message = { detail: { typeUrl: 'x.com/no.Such', value: Buffer.from([1, 2, 3]) } };
    assert.deepEqual(plan.write(plan.decode(plan.encode(message))), { detail: { '@type': 'x.com/no.Such', value: 'AQID' } });
  });
});

describe('options', () => {
  test('defaults, names and numbers', () => {
    const all = new Compiler({ defaults: true, protoNames: true, enumNumbers: true, ignoreUnknown: true }).of(Item);
    const json = JSON.parse(JSON.stringify(all.write(all.decode(all.encode(all.read({ nope: 1, parts: [{ nope: 2 }], color: 'RED' })))))) as Record<string, unknown>;
    assert.deepEqual([json['color'], json['stock'], json['made_at'], json['sold'], json['by_number'], json['odd_name'], json['picture'], json['rank'], json['person']], [1, '0', undefined, false, {}, '', '', undefined, undefined]);
    assert.deepEqual(json['parts'], [{ name: '', count: 0 }]);
  });
});

describe('beside another implementation', () => {
  let state = 20_261_122;
  const next = (n: number): number => ((state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff) >>> 8) % n;
  const pick = <T>(...list: readonly T[]): T => list[next(list.length)]!;
  const words = (): string => pick('', 'a', 'grün', '0', 'true', '\u{1f600}', 'x'.repeat(40));
  const part = (level: number): object => ({ ...(next(2) ? { name: words() } : {}), ...(next(2) ? { count: next(1000) - 500 } : {}), ...(level < 3 && next(2) ? { inner: part(level + 1) } : {}) });
  const value = (level: number): unknown => pick<() => unknown>(() => null, () => next(100) / 4, words, () => next(2) === 0, () => (level < 3 ? [value(level + 1), value(level + 1)] : 1), () => (level < 3 ? { [words()]: value(level + 1) } : 2))();
  const makers: Readonly<Record<string, () => unknown>> = {
    name: words, stock: () => pick<unknown>('0', '-1', '9223372036854775807', 42), serial: () => pick<string>('0', '18446744073709551615'), price: () => pick<unknown>(0, -1.25, 'NaN', 'Infinity', 1e-7), sold: () => next(2) === 0,
    picture: () => Buffer.from(words()).toString('base64'), color: () => pick<unknown>('RED', 'BLUE', 0, 9), tags: () => [words(), words()], parts: () => [part(0), part(0)], sizes: () => ({ [words()]: next(9), b: 0 }),
    byNumber: () => ({ [pick<string>('0', '-1', '9007199254740993')]: part(0) }), madeAt: () => pick<string>('1970-01-01T00:00:00Z', '2026-11-22T10:00:00.120Z', '1900-01-01T00:00:00.000000001Z'), lasts: () => pick<string>('0s', '-1.500s', '12.000000001s'),
    extra: () => ({ [words()]: value(0) }), anything: () => value(0), list: () => [value(0)], mask: () => pick<string>('', 'a', 'aB.c,d'), maybeCount: () => pick('0', '5'), maybeName: words, maybeSold: () => next(2) === 0, maybeBytes: () => 'AAA=',
    maybePrice: () => 2.5, rank: () => next(3), oddly: words, colors: () => ['RED', 0], turn: () => next(9) - 5, mark: () => pick<string>('0', '77'), history: () => [String(next(5)), '-9'], when: () => ({ true: '1970-01-01T00:00:01Z' }),
    detail: () => ({ '@type': 'type.googleapis.com/shop.v1.Part', ...part(0) }), nothing: () => null,
  };

  test('2000 generated messages: the same bytes mean the same, both ways', () => {
    for (let round = 0; round < 2000; round++) {
      const json: Record<string, unknown> = {};
      for (const [name, make] of Object.entries(makers)) if (next(4) === 0) json[name] = make();
      if (next(3) === 0) Object.assign(json, next(2) === 0 ? { person: words() } : { shop: part(0) });
      const note = `seed 20261122, round ${round}: ${JSON.stringify(json)}`;
      const theirs = Item.encode(other.fromJson(Item, json)).finish();
      const ours = plan.encode(plan.read(json));
      const expected = JSON.parse(JSON.stringify(other.toJson(Item, Item.decode(theirs)))) as unknown;
      assert.deepEqual(JSON.parse(JSON.stringify(plan.write(plan.decode(theirs)))), expected, note);
      assert.deepEqual(JSON.parse(JSON.stringify(plan.write(plan.decode(ours)))), expected, note);
    }
  });

  test('noise is no message or one, and never more than an error', () => {
    for (let round = 0; round < 5000; round++) {
      const bytes = Buffer.from(Array.from({ length: next(40) }, () => next(256)));
      try {
        JSON.stringify(plan.write(plan.decode(bytes)));
      } catch (error) {
        assert.ok(error instanceof Error, `seed 20261122, ${bytes.toString('hex')}`);
      }
    }
  });
});

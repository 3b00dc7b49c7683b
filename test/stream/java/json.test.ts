// JSON with places of faults: the same values as JSON.parse, exact numbers, limits, and garbage.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fuzzSeed, generator } from '../../support/fuzz.js';
import { Fraction, JsonFault, parseJson, type Json } from '../../../src/stream/java/json.js';

/** As JSON.parse would have it. */
function plain(value: Json): unknown {
  if (value instanceof Fraction) return value.value;
  if (value instanceof Map) return Object.fromEntries([...value].map(([name, one]) => [name, plain(one as Json)]));
  return Array.isArray(value) ? (value as readonly Json[]).map(plain) : typeof value === 'bigint' ? Number(value) : value;
}

const read = (text: string): Json => parseJson(Buffer.from(text));
const fault = (text: string | Buffer, message: RegExp): void => {
  assert.throws(() => parseJson(Buffer.from(text as string)), (error: unknown) => error instanceof JsonFault && message.test(error.message) ? true : assert.fail(`${String(error)} for ${String(text)}`));
};

describe('JSON', () => {
  test('is read as JSON.parse reads it', () => {
    for (const text of ['null', ' true ', 'false', '0', '-1', '1.5', '-0.25e-2', '1E3', '""', '"a\\n\\"\\\\\\/\\u00e9\\ud83d\\ude00é\u{1f600}"', '[]', '[ ]', '{}', '{ }', '[1,[2,{"a":[]}],"x"]', '{"a":1,"b":{"c":null},"":[]}', '\t\r\n[1]\n']) {
      assert.deepEqual(plain(read(text)), JSON.parse(text), text);
    }
  });

  test('tells whole numbers from fractions, and keeps large ones', () => {
    assert.equal(read('9007199254740991'), 9007199254740991);
    assert.equal(read('9007199254740993'), 9007199254740993n);
    assert.equal(read('-9223372036854775808'), -9223372036854775808n);
    assert.deepEqual(read('1.0'), new Fraction(1));
    assert.deepEqual(read('1e2'), new Fraction(100));
    assert.deepEqual(read('-0'), new Fraction(-0));
  });

  test('names mean nothing', () => {
    const map = read('{"__proto__": {"x": 1}, "constructor": 2, "a": 1, "a": 3}') as ReadonlyMap<string, Json>;
    assert.deepEqual([...map.keys()], ['__proto__', 'constructor', 'a']);
    assert.equal(map.get('a'), 3);
    assert.equal(({} as { x?: number }).x, undefined);
  });

  test('says where a fault is', () => {
    fault('', /^a value is missing at line 1, column 1$/);
    fault('[1, 2', /^"," or "\]" was expected at line 1, column 6$/);
    fault('[1,\n  x]', /^no value begins so at line 2, column 3$/);
    fault('{"a" 1}', /^":" was expected at line 1, column 6$/);
    fault('{a: 1}', /^a name in quotes was expected at line 1, column 2$/);
    fault('{"a": 1,}', /^a name in quotes was expected at line 1, column 9$/);
    fault('[1,]', /^no value begins so at line 1, column 4$/);
    fault('[1] 2', /^the end was expected at line 1, column 5$/);
    fault('01', /^the end was expected at line 1, column 2$/);
    fault('"abc', /^a text has no end; it begins at line 1, column 1$/);
    fault('"a\nb"', /^a control character in a text at line 1, column 3$/);
    fault('"\\x"', /^an unknown escape/);
    fault('"\\u12g4"', /^\\u without four/);
    fault('nul', /^no value begins so/);
    fault('1e999', /^the number is too large/);
    fault('9'.repeat(401), /^too many digits/);
    fault(Buffer.from([0x22, 0xff, 0x22]), /^it is not UTF-8$/);
    fault(`[${'{},'.repeat(250_000)}1]`, /^more than 250000 values/);
    fault('['.repeat(100_000), /^more than 64 levels at line 1, column 66$/);
  });

  test('random texts are taken and refused as JSON.parse takes and refuses them', () => {
    const seed = fuzzSeed(20241);
    const next = generator(seed);
    const pieces = ['{', '}', '[', ']', ',', ':', '"a"', '"', '\\', 'null', 'true', '1', '-', '.5', 'e3', ' ', '\n', '"\\u0041"', '\u{1f600}', '0'];
    for (let i = 0; i < 20_000; i++) {
      const text = Array.from({ length: 1 + next(8) }, () => pieces[next(pieces.length)]).join('');
      let wanted: unknown;
      let valid = true;
      try {
        wanted = JSON.parse(text);
      } catch {
        valid = false;
      }
      if (valid) assert.deepEqual(plain(read(text)), wanted, `seed ${seed}: ${text}`);
      else assert.throws(() => read(text), JsonFault, `seed ${seed}: ${text}`);
    }
  });
});

// Arguments by the types of Java: what each takes, what it refuses and where, which classes a request may name.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { callOf, inferredType, isJavaType, rawType, writeAs, type JavaWriter } from '../../../src/stream/java/arguments.js';
import { JsonFault, parseJson, type Json } from '../../../src/stream/java/json.js';

/** Says what was written, as words. */
class Words implements JavaWriter {
  readonly said: string[] = [];
  null(): void { this.said.push('null'); }
  boolean(value: boolean): void { this.said.push(`${value}`); }
  int(value: number): void { this.said.push(`${value}i`); }
  long(value: number | bigint): void { this.said.push(`${value}L`); }
  double(value: number): void { this.said.push(`${value}d`); }
  string(value: string): void { this.said.push(`'${value}'`); }
  date(value: number): void { this.said.push(`@${value}`); }
  bytes(value: Uint8Array): void { this.said.push(`#${Buffer.from(value).toString('hex')}`); }
  list(type: string, items: number): void { this.said.push(`${type}[${items}`); }
  map(type: string): void { this.said.push(`${type}{`); }
  endList(): void { this.said.push(']'); }
  endMap(): void { this.said.push('}'); }
}

const json = (text: string): Json => parseJson(Buffer.from(text));
const written = (text: string, type: string, style = { classes: true, allowed: [] as string[] }): string => {
  const w = new Words();
  writeAs(w, json(text), type, 'args[0]', style);
  return w.said.join(' ');
};
const refused = (text: string, type: string, message: RegExp, style = { classes: true, allowed: [] as string[] }): void => {
  assert.throws(() => written(text, type, style), (error: unknown) => error instanceof JsonFault && message.test(error.message), `${text} as ${type}`);
};

describe('arguments', () => {
  test('by type', () => {
    for (const [text, type, wanted] of [
      ['1', 'int', '1i'], ['127', 'byte', '127i'], ['-32768', 'java.lang.Short', '-32768i'], ['1', 'long', '1L'], ['"9223372036854775807"', 'java.lang.Long', '9223372036854775807L'],
      ['9007199254740993', 'long', '9007199254740993L'], ['1', 'double', '1d'], ['1.5', 'float', '1.5d'], ['true', 'boolean', 'true'], ['null', 'java.lang.Integer', 'null'],
      ['"x"', 'java.lang.String', "'x'"], ['"x"', 'char', "'x'"], ['0', 'java.util.Date', '@0'], ['"1970-01-02"', 'java.util.Date', '@86400000'], ['"1970-01-01T01:00:00+01:00"', 'java.util.Date', '@0'],
      ['12.5', 'java.math.BigDecimal', "java.math.BigDecimal{ 'value' '12.5' }"], ['"-12345678901234567890"', 'java.math.BigInteger', "java.math.BigInteger{ 'signum' -1i 'mag' [int[2 -1420514932i -350287150i ] }"], ['0', 'java.math.BigInteger', "java.math.BigInteger{ 'signum' 0i 'mag' [int[0 ] }"],
      ['"AQI="', 'byte[]', '#0102'], ['[1, -1]', 'byte[]', '#01ff'], ['[1, 2]', 'int[]', '[int[2 1i 2i ]'], ['["a"]', 'java.lang.String[]', "[string[1 'a' ]"],
      ['[[1], []]', 'long[][]', '[[long[2 [long[1 1L ] [long[0 ] ]'], ['[{"a": 1}]', 'com.x.Y[]', "[com.x.Y[1 com.x.Y{ 'a' 1i } ]"],
      ['[1, "2", null]', 'java.util.List<java.lang.Long>', '[3 1L 2L null ]'], ['[1]', 'java.util.Set<java.lang.Integer>', 'java.util.HashSet[1 1i ]'],
      ['{"a": {"b": 1}}', 'java.util.Map<java.lang.String, java.util.Map<java.lang.String,java.lang.Long>>', "{ 'a' { 'b' 1L } }"],
      ['{"a": [1.0, 2]}', 'com.x.Y', "com.x.Y{ 'a' [2 1d 2i ] }"], ['"RED"', 'com.x.Color', "'RED'"],
      ['[1, 3000000000, 1.0, "a", true, null, {}, []]', 'java.lang.Object', "[8 1i 3000000000L 1d 'a' true null { } [0 ] ]"],
    ] as const) assert.equal(written(text, type), wanted, `${text} as ${type}`);
  });

  test('for generic servers: classes are maps, and said by name', () => {
    const style = { classes: false, allowed: ['com.x.*'] };
    assert.equal(written('{"a": 1}', 'com.x.Y', style), "{ 'a' 1i }");
    assert.equal(written('12.50', 'java.math.BigDecimal', style), "'12.5'");
    assert.equal(written('{"$class": "com.x.Z", "a": 1}', 'com.x.Y', style), "{ 'class' 'com.x.Z' 'a' 1i }");
    assert.equal(written('{"$class": "com.x.Z", "a": 1}', 'com.x.Y', { classes: true, allowed: ['com.x.Z'] }), "com.x.Z{ 'a' 1i }");
  });

  test('refused, with the place', () => {
    refused('null', 'int', /^args\[0\] is null, but int cannot be$/);
    refused('1.0', 'int', /^args\[0\] is no int$/);
    refused('128', 'byte', /^args\[0\] is too large for byte$/);
    refused('2147483648', 'int', /too large for int/);
    refused('9223372036854775808', 'long', /too large for long/);
    refused('9223372036854775808', '', /too large for long/);
    refused('"12x"', 'long', /is no long/);
    refused('1', 'java.lang.String', /is no java.lang.String/);
    refused('"ab"', 'char', /one character/);
    refused('"soon"', 'java.util.Date', /is no time/);
    refused('"1e5"', 'java.math.BigInteger', /is no java.math.BigInteger/);
    refused('"?"', 'byte[]', /is no base64/);
    refused('[300]', 'byte[]', /^args\[0\]\[0\] is no byte$/);
    refused('{}', 'int[]', /is no list, but the type is int\[\]/);
    refused('{}', 'java.util.List', /is no list/);
    refused('[]', 'java.util.Map', /is no object/);
    refused('{"a": [{"b": 1}, {"b": "x"}]}', 'java.util.Map<java.lang.String,java.util.List<java.util.Map<java.lang.String,java.lang.Integer>>>', /^args\[0\]\.a\[1\]\.b is no java\.lang\.Integer$/);
  });

  test('classes that a request may not name', () => {
    refused('{"$class": "javax.naming.InitialContext"}', 'java.lang.Object', /names the class javax\.naming\.InitialContext, which requests may not name/);
    refused('[{"x": {"$class": "com.y.Z"}}]', 'java.util.List', /com\.y\.Z/, { classes: true, allowed: ['com.x.*', 'com.y'] });
    refused('{"class": "com.y.Z"}', 'java.lang.Object', /com\.y\.Z/, { classes: false, allowed: ['com.x.*'] });
    assert.throws(() => callOf(json('{"types": ["java.util.List<com.y.Z[]>"], "args": [[]]}'), undefined, []), /^Error: types\[0\] names the class com\.y\.Z/);
    assert.deepEqual(callOf(json('{"types": ["java.util.List<com.y.Z[]>", "int"], "args": [[], 1]}'), undefined, ['com.y.*']).types, ['java.util.List<com.y.Z[]>', 'int']);
    assert.deepEqual(callOf(json('[{}]'), ['com.y.Z'], []).types, ['com.y.Z'], 'the configuration may name any');
  });

  test('forms of the body', () => {
    assert.deepEqual(callOf(undefined, undefined, []), { types: null, args: [] });
    assert.deepEqual(callOf(json('[1]'), undefined, []), { types: null, args: [1] });
    assert.deepEqual(callOf(json('{"args": [1]}'), ['long'], []), { types: ['long'], args: [1] });
    assert.deepEqual(callOf(json('{"args": [1], "types": ["int"]}'), ['long'], []), { types: ['int'], args: [1] });
    for (const [text, message] of [['1', /neither a list/], ['{"arg": []}', /has "arg"/], ['{"args": 1}', /args is no list/], ['{"types": "int"}', /types is no list/], ['{"types": ["a b"], "args": [1]}', /types\[0\] is no Java type/], ['{"types": [], "args": [1]}', /1 arguments for 0 parameters/]] as const) {
      assert.throws(() => callOf(json(text), undefined, []), (error: unknown) => error instanceof JsonFault && message.test(error.message), text);
    }
    assert.throws(() => callOf(undefined, ['int'], []), /0 arguments for 1 parameters \(int\)/);
  });

  test('names of types', () => {
    for (const type of ['int', 'int[][]', 'com.x.Y$Z', 'java.util.Map<java.lang.String, ? extends com.x.Y[]>']) assert.ok(isJavaType(type), type);
    for (const type of ['', 'a b', 'a..b', 'int[', 'x;', '[B', `${'a'.repeat(501)}`]) assert.ok(!isJavaType(type), type);
    assert.equal(rawType('java.util.List<com.x.Y<a>>[]'), 'java.util.List[]');
    assert.deepEqual(['1', '3000000000', '9007199254740993', '1.0', '"a"', 'true', '[]', '{}', 'null'].map((text) => inferredType(json(text))), ['int', 'long', 'long', 'double', 'java.lang.String', 'boolean', 'java.util.List', 'java.util.Map', 'java.lang.Object']);
  });
});

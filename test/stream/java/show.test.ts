// Values of Java as JSON: numbers, times, bytes, classes, what contains itself, and how long it may become.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isThrowable, showJson, ShowFault, type JavaObject, type JavaValue } from '../../../src/stream/java/show.js';

const object = (className: string, fields: Record<string, JavaValue>): JavaObject => ({ className, fields: new Map(Object.entries(fields)) });
const show = (value: JavaValue, classes = false): string => showJson(value, classes, 10_000);

test('plain values', () => {
  assert.equal(show([null, true, 1, 1.5, -0, NaN, Infinity, 5n, 9007199254740993n, '"\n\ud800', new Date(0), new Date(NaN), Buffer.from('hi')]), '[null,true,1,1.5,0,"NaN","Infinity",5,"9007199254740993","\\"\\n\\ud800","1970-01-01T00:00:00.000Z",null,"aGk="]');
});

test('objects, with their class on request; numbers of any size as texts', () => {
  const value = object('com.x.Order', { id: 1, total: object('java.math.BigDecimal', { value: '12.50' }), lines: [object('com.x.Line', { 'this$0': 1, sku: 'a' })], facts: object('', { __proto__: 'x' as never, 'this$0': 2 }) });
  assert.equal(show(value), '{"id":1,"total":"12.50","lines":[{"sku":"a"}],"facts":{"this$0":2}}');
  assert.equal(show(value, true), '{"$class":"com.x.Order","id":1,"total":"12.50","lines":[{"$class":"com.x.Line","sku":"a"}],"facts":{"this$0":2}}');
  assert.equal(show(object('java.math.BigInteger', { signum: -1, bitCount: 0, mag: [-1420514932, -350287150] })), '"-12345678901234567890"');
  assert.equal(show(object('java.math.BigInteger', { signum: 0, mag: [] })), '"0"');
  assert.equal(show({ className: '', fields: new Map([['__proto__', 1]]) }), '{"__proto__":1}');
});

test('what contains itself, is too deep or too long is refused; what is only referred to twice is not', () => {
  const line = object('com.x.Line', {});
  assert.equal(show([line, line]), '[{},{}]');
  const loop: JavaValue[] = [];
  loop.push([object('', { a: loop })]);
  assert.throws(() => show(loop), ShowFault);
  let deep: JavaValue = 1;
  for (let i = 0; i < 300; i++) deep = [deep];
  assert.throws(() => show(deep), /more than 200 levels/);
  // Doubled sixty times.
  let wide: JavaValue = 'x';
  for (let i = 0; i < 60; i++) wide = [wide, wide];
  assert.throws(() => show(wide), /longer than 10000 characters/);
  assert.throws(() => show('x'.repeat(10_001)), /longer than/);
});

test('exceptions are told by their fields', () => {
  assert.ok(isThrowable(object('com.x.Refusal', { detailMessage: 'x', stackTrace: [] })));
  for (const value of [null, 1, 'x', [], new Date(), Buffer.from('x'), object('com.x.Y', { detailMessage: 'x' })] as JavaValue[]) assert.ok(!isThrowable(value));
});

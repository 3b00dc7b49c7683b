// The parts of schemas: every form that is accepted, what it becomes, and what is refused with which words.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as z from 'zod';
import { check, formatProblem } from '../../../src/core/config/check.js';
import { loadText } from '../../../src/core/config/load.js';
import { address, duration, flag, hosts, integer, name, number, oneOf, option, parseAddress, percent, Refusal, section, showAddress, showDuration, showSize, size, text } from '../../../src/core/config/schema.js';

/** What a schema makes of a value that a file holds. */
function take(schema: z.ZodType, value: unknown): unknown {
  const result = check(z.strictObject({ v: schema }), loadText(JSON.stringify({ v: value }), 'f'));
  return result.ok ? (result.value as { v: unknown }).v : result.problems.map((p) => formatProblem(p).replace(/^f:\d+:\d+: /, ''));
}

function accepts(schema: z.ZodType, pairs: readonly (readonly [unknown, unknown])[]): void {
  for (const [written, meant] of pairs) assert.deepEqual(take(schema, written), meant, JSON.stringify(written));
}

function refuses(schema: z.ZodType, pairs: readonly (readonly [unknown, RegExp])[]): void {
  for (const [written, words] of pairs) {
    const found = take(schema, written);
    assert.ok(Array.isArray(found) && found.length === 1, `${JSON.stringify(written)} gave ${JSON.stringify(found)}`);
    assert.match(String(found[0]), words);
  }
}

test('durations', () => {
  accepts(duration(), [['250ms', 250], ['1.5s', 1500], ['2m', 120_000], ['1h', 3_600_000], ['1d', 86_400_000], ['0.5ms', 0.5], [0, 0], ['0', 0], ['0s', 0], [' 5s ', 5000]]);
  refuses(duration(), [
    [5, /v: expected a duration such as 250ms.*, got 5 \(a unit is missing: 5ms or 5s\?\)/],
    ['10', /a unit is missing/],
    ['5 s', /expected a duration/],
    ['-1s', /expected a duration/],
    ['1m30s', /expected a duration/],
    ['30d', /at most 24d/],
    [true, /got true/],
    [{}, /got a map/],
  ]);
  assert.equal(take(duration(3000), undefined), 3000);
  refuses(duration(3000, 100), [['50ms', /at least 100ms/]]);
  for (const [ms, shown] of [[250, '250ms'], [1500, '1.5s'], [1000, '1s'], [60_000, '1m'], [90_000, '90s'], [3_600_000, '1h'], [0, '0ms'], [1234, '1234ms'], [86_400_000, '1d']] as const) {
    assert.equal(showDuration(ms), shown);
    assert.equal(take(duration(), shown), ms, 'what is shown can be written');
  }
});

test('sizes', () => {
  accepts(size(), [['64KiB', 65_536], ['1MiB', 1_048_576], ['512', 512], [512, 512], ['1GiB', 2 ** 30], ['1.5KiB', 1536], ['10B', 10], [0, 0]]);
  refuses(size(), [['10KB', /write 10KiB, which counts by 1024/], ['5m', /write 5MiB/], [-1, /expected a size/], ['0.3B', /whole number of bytes/], [1.5, /whole number/], ['big', /expected a size/], [null, /expected a size/]]);
  assert.equal(take(size(65_536), undefined), 65_536);
  assert.deepEqual([showSize(65_536), showSize(1000), showSize(2 ** 30), showSize(1536)], ['64KiB', 1000, '1GiB', 1536]);
});

test('percentages, numbers, words, texts and names', () => {
  accepts(percent(), [['20%', 20], [20, 20], ['0.5%', 0.5], ['100', 100], [0, 0]]);
  refuses(percent(), [[101, /0 to 100/], ['x%', /percentage/], [-1, /percentage/]]);
  accepts(integer(1, 10), [[1, 1], [10, 10], ['5', 5], ['1e1', 10], ['1.0', 1]]);
  refuses(integer(1, 10), [[0, /expected a whole number from 1 to 10, got 0/], [11, /got 11/], [1.5, /got 1.5/], ['five', /got "five"/], ['', /got ""/], [true, /got true/]]);
  refuses(integer(0), [[-1, /a whole number from 0, got -1/]]);
  accepts(number(0, 1), [[0.5, 0.5], ['1.0', 1]]);
  refuses(number(0, 1), [[1.01, /a number from 0 to 1/]]);
  accepts(oneOf(['text', 'json']), [['text', 'text']]);
  refuses(oneOf(['text', 'json']), [['jsn', /expected one of text, json, got "jsn" \(did you mean json\?\)/]]);
  accepts(text(), [['a', 'a'], [5, '5'], [true, 'true'], ['', '']]);
  refuses(text(), [[[], /expected a text, got an empty list/], [null, /expected a text/]]);
  accepts(name(), [['a', 'a'], ['a.b_c-9', 'a.b_c-9'], [7, '7']]);
  refuses(name(), [['Big Name', /\(big-name would be one\)/], ['-a', /a would be one/], ['', /expected a name/]]);
  accepts(flag(), [[true, true], [false, false]]);
  refuses(flag(), [['yes', /expected true or false, got "yes"/]]);
});

test('addresses', () => {
  accepts(address(), [
    ['127.0.0.1:80', { host: '127.0.0.1', port: 80 }],
    ['name.example-x:8080', { host: 'name.example-x', port: 8080 }],
    ['[::1]:80', { host: '::1', port: 80 }],
    [':80', { host: '', port: 80 }],
    ['80', { host: '', port: 80 }],
    [80, { host: '', port: 80 }],
    [0, { host: '', port: 0 }],
    ['my_service:1', { host: 'my_service', port: 1 }],
    ['unix:/run/a.sock', { host: '', port: 0, path: '/run/a.sock' }],
  ]);
  refuses(address(), [
    ['127.0.0.1', /the port is missing: 127.0.0.1:80/],
    ['host', /the port is missing/],
    ['::1', /stands in brackets: \[::1\]:80/],
    ['fe80::1:80', /stands in brackets: \[fe80::1\]:80/],
    ['[::1]', /port must be a number|port is missing/],
    ['[nope]:80', /no IPv6 address/],
    ['a:99999', /0 to 65535/],
    [65_536, /0 to 65535/],
    ['a:http', /port must be a number/],
    ['256.0.0.1:80', /expected an address/],
    ['a b:80', /expected an address/],
    ['http://a:80', /expected an address/],
    ['unix:', /path is missing/],
    [{}, /expected an address/],
  ]);
  for (const shown of ['127.0.0.1:80', '[::1]:80', ':80', 'unix:/a']) {
    const parsed = parseAddress(shown);
    assert.ok(!(parsed instanceof Refusal));
    assert.equal(showAddress(parsed), shown);
  }
});

test('hosts', () => {
  const host = (h: string, port: number, weight = 1, metadata = {}) => ({ address: { host: h, port }, weight, metadata });
  accepts(hosts(), [
    ['a:1,b:2', [host('a', 1), host('b', 2)]],
    [' a:1 , b:2, ', [host('a', 1), host('b', 2)]],
    ['', []],
    [[], []],
    [['a:1', '[::1]:2'], [host('a', 1), host('::1', 2)]],
    [[{ address: 'a:1', weight: 5, metadata: { zone: 'x', v: 1 } }], [host('a', 1, 5, { zone: 'x', v: '1' })]],
    [[{ address: 'a:1', hostname: 'h' }], [{ ...host('a', 1), hostname: 'h' }]],
    ['unix:/a.sock', [{ address: { host: '', port: 0, path: '/a.sock' }, weight: 1, metadata: {} }]],
  ]);
  refuses(hosts(), [
    ['a:1,b', /v\[1\]\.address: expected a host.*got "b" \(the port is missing: b:80\)/],
    [[{ address: 'a:1', weigth: 2 }], /v\[0\]\.weigth: unknown key \(did you mean weight\?\)/],
    [[{}], /v\[0\]\.address: is missing/],
    [[':80'], /the host is missing: 127.0.0.1:80/],
    ['a:0', /must not be 0/],
    [{ a: 1 }, /v: expected hosts as "a:1,b:2" or a list, got a map/],
    [[{ address: 'a:1', weight: -1 }], /weight: expected a whole number from 0/],
    [[true], /v\[0\]: expected a map, got true/],
  ]);
});

test('options and sections fill in their defaults all the way down', () => {
  const schema = z.strictObject({
    limits: section({ line: option(size(8192), { doc: 'Line.' }), deep: section({ on: option(flag(), { default: true, doc: 'On.' }) }, 'Deep.') }, 'Limits.'),
    note: option(text(), { optional: true, doc: 'Note.' }),
  });
  const full = { limits: { line: 8192, deep: { on: true } } };
  assert.deepEqual(schema.parse({}), full);
  assert.deepEqual(schema.parse({ limits: { deep: {} } }), full);
  assert.deepEqual(schema.parse({ limits: { line: '1KiB' }, note: 3 }), { limits: { line: 1024, deep: { on: true } }, note: '3' });
  const typed: z.output<typeof schema> = schema.parse({});
  const line: number = typed.limits.line;
  assert.equal(line, 8192);
});

// The published JSON Schema agrees with the check: what one accepts the other accepts, over a set of good and bad values.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import * as z from 'zod';
import { toJsonSchema } from '../../../src/core/config/json-schema.js';
import { listOptions } from '../../../src/core/config/options.js';
import { address, duration, flag, hosts, integer, name, oneOf, option, percent, section, size, text } from '../../../src/core/config/schema.js';

const schema = z.strictObject({
  name: option(name(), { doc: 'Name of it.' }),
  idle: option(duration(90_000), { doc: 'Idle.' }),
  head: option(size(65_536), { doc: 'Head.' }),
  budget: option(percent(20), { doc: 'Budget.' }),
  listen: option(address(), { default: { host: '127.0.0.1', port: 80 }, doc: 'Listen.' }),
  hosts: option(hosts(), { default: [], doc: 'Hosts.' }),
  format: option(oneOf(['text', 'json']), { default: 'text', doc: 'Format.' }),
  on: option(flag(), { default: true, doc: 'On.' }),
  workers: option(z.union([z.literal('auto'), integer(1, 64)]), { default: 'auto', doc: 'Workers.' }),
  labels: option(z.record(z.string(), text()), { default: {}, doc: 'Labels.' }),
  limits: section({ rate: option(integer(1, 10), { default: 5, doc: 'Rate.', unit: 'requests' }) }, 'Limits.'),
  note: option(text(), { optional: true, doc: 'Note.' }),
});

// fastify brings ajv; the 2020 dialect is the one that is published.
const Ajv = createRequire(createRequire(import.meta.url).resolve('fastify'))('ajv/dist/2020').default as new (o: object) => { compile(s: object): (v: unknown) => boolean };

test('the JSON Schema accepts what the check accepts', () => {
  const validate = new Ajv({ strict: false }).compile(toJsonSchema(schema, 'Test'));
  const good: Record<string, unknown>[] = [
    {},
    { idle: '1.5s', head: '64KiB', budget: '20%' },
    { idle: 0, head: 512, budget: 20 },
    { listen: ':80', hosts: 'a:1,b:2' },
    { listen: 80, hosts: ['a:1', { address: 'b:2', weight: 3, metadata: { a: 1 } }] },
    { format: 'json', on: false, workers: 4, labels: { a: 'b' }, limits: {}, note: 5 },
    { limits: { rate: 10 }, workers: 'auto' },
  ];
  const bad: Record<string, unknown>[] = [
    { name: 'Big' }, { idle: 5 }, { idle: '5x' }, { head: '10KB' }, { budget: 101 }, { listen: {} }, { hosts: 5.5 }, { hosts: [{}] }, { hosts: [{ address: 'a:1', x: 1 }] },
    { format: 'xml' }, { on: 'yes' }, { workers: 0 }, { workers: 'many' }, { labels: { a: {} } }, { limits: { rate: 11 } }, { limits: { rat: 1 } }, { unknown: 1 },
  ];
  for (const value of good) {
    const whole = { name: 'a', ...value };
    assert.equal(schema.safeParse(whole).success, true, JSON.stringify(value));
    assert.equal(validate(whole), true, JSON.stringify(value));
  }
  for (const value of bad) {
    const whole = { name: 'a', ...value };
    assert.equal(schema.safeParse(whole).success, false, JSON.stringify(value));
    assert.equal(validate(whole), false, JSON.stringify(value));
  }
  assert.equal(validate({}), false, 'the name is required');
});

test('variables are accepted where no text is', () => {
  const validate = new Ajv({ strict: false }).compile(toJsonSchema(schema, 'Test'));
  for (const key of ['on', 'workers', 'format']) assert.equal(validate({ name: 'a', [key]: '${X:-1}' }), true, key);
  assert.equal(validate({ name: 'a', limits: { rate: '${RATE}' } }), true);
});

test('descriptions and defaults are those of the options, written as in a file', () => {
  const json = toJsonSchema(schema, 'Test') as { title: string; $schema: string; properties: Record<string, { description: string; default: unknown }> };
  assert.equal(json.title, 'Test');
  assert.equal(json.$schema, 'https://json-schema.org/draft/2020-12/schema');
  const shown = Object.fromEntries(Object.entries(json.properties).map(([key, p]) => [key, [p.description, p.default]]));
  assert.deepEqual(shown, {
    name: ['Name of it.', undefined],
    idle: ['Idle.', '90s'],
    head: ['Head.', '64KiB'],
    budget: ['Budget.', '20%'],
    listen: ['Listen.', '127.0.0.1:80'],
    hosts: ['Hosts.', []],
    format: ['Format.', 'text'],
    on: ['On.', true],
    workers: ['Workers.', 'auto'],
    labels: ['Labels.', {}],
    limits: ['Limits.', {}],
    note: ['Note.', undefined],
  });
});

test('listOptions tells path, type, unit, default and whether an option must be given', () => {
  const rows = listOptions(schema);
  const row = (path: string) => rows.find((r) => r.path === path);
  assert.deepEqual(row('name'), { path: 'name', type: 'name', unit: '', doc: 'Name of it.', default: undefined, required: true });
  assert.deepEqual(row('idle'), { path: 'idle', type: 'duration', unit: 'duration', doc: 'Idle.', default: '90s', required: false });
  assert.deepEqual(row('limits.rate'), { path: 'limits.rate', type: 'whole number from 1 to 10', unit: 'requests', doc: 'Rate.', default: 5, required: false });
  assert.deepEqual(row('note')!.required, false);
  assert.equal(row('workers')!.type, 'auto | whole number from 1 to 64');
  assert.equal(row('format')!.type, 'text | json');
  assert.equal(rows.length, 13);
});

test('an option without a description is found wherever it hides', () => {
  const lacking = (s: z.ZodType) => listOptions(s).filter((r) => r.doc === '').map((r) => r.path);
  assert.deepEqual(lacking(schema), []);
  const inner = z.strictObject({ kept: option(flag(), { doc: 'Kept.' }), bare: z.string() });
  const word = (type: string) => z.strictObject({ type: z.literal(type), [`${type}_bare`]: z.number() });
  const outer = z.strictObject({
    list: option(z.array(inner), { doc: 'List.' }),
    map: option(z.record(z.string(), inner.optional()), { doc: 'Map.' }),
    either: option(z.union([inner, z.string()]).default('x'), { doc: 'Either.' }),
    kinds: option(z.array(z.discriminatedUnion('type', [word('a'), word('b')])), { doc: 'Kinds.' }),
    lazy: option(z.lazy(() => inner), { doc: 'Lazy.' }),
    piped: option(z.preprocess((v) => v, inner), { doc: 'Piped.' }),
    group: section({ bare: duration(5) }, 'Group.'),
  });
  assert.deepEqual(lacking(outer), ['list[].bare', 'map.NAME.bare', 'either.bare', 'kinds[].a_bare', 'kinds[].b_bare', 'lazy.bare', 'piped.bare', 'group.bare']);
});

test('a schema within itself ends', () => {
  type Tree = { readonly name: string; readonly parts?: Tree[] };
  const tree: z.ZodType<Tree> = z.strictObject({ name: option(text(), { doc: 'Name.' }), parts: option(z.array(z.lazy(() => tree)), { optional: true, doc: 'Parts.' }) }) as unknown as z.ZodType<Tree>;
  assert.deepEqual(listOptions(tree).map((r) => r.path), ['name', 'parts']);
  assert.ok(JSON.stringify(toJsonSchema(tree, 'Tree')).includes('$ref'));
});

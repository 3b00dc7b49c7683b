// Plug-ins from outside: where modules are found, what is accepted as a manifest, and how a changed one becomes another.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { importPlugin, importPlugins, loadPlugins, locatePlugin } from '../../src/control/plugins.js';
import { decode } from '../../src/control/model.js';
import { catalog } from './catalog.js';

const FILTER = "export const manifest = ({ z }) => ({ kind: 'stream-filter', name: 'mark', doc: 'Marks.', schema: z.strictObject({ text: z.string().default('v1') }), create: (o) => ({ name: o.text }) });";

describe('plug-ins from outside', () => {
  let folder = '';
  const write = (name: string, text: string): void => {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  };
  const load = (...specifiers: string[]) => loadPlugins(specifiers, folder, catalog);
  const faultOf = async (text: string): Promise<string> => {
    write('wrong.mjs', text);
    const { faults, manifests } = await load('./wrong.mjs');
    assert.deepEqual(manifests, []);
    return faults.map((fault) => fault.text).join('; ');
  };

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'sluice-plugins-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  test('are found by path, by address and by the name of a package', async () => {
    write('mark.mjs', FILTER);
    write('node_modules/plain/package.json', '{"main": "lib/main.mjs"}');
    write('node_modules/plain/lib/main.mjs', FILTER.replace("'mark'", "'plain'"));
    write('node_modules/@scope/mapped/package.json', '{"exports": {".": {"require": "./no.cjs", "import": {"node": "./yes.mjs"}}, "./sub": "./sub.mjs"}}');
    write('node_modules/@scope/mapped/yes.mjs', FILTER.replace("'mark'", "'mapped'"));
    write('node_modules/@scope/mapped/sub.mjs', FILTER.replace("'mark'", "'sub'"));
    write('deep/er/a.yaml', '');
    const { faults, manifests, plugins } = await load('./mark.mjs', 'plain', '@scope/mapped', '@scope/mapped/sub');
    assert.deepEqual(faults, []);
    assert.deepEqual(manifests.map((m) => m.name), ['mark', 'plain', 'mapped', 'sub']);
    assert.deepEqual(plugins.map((p) => p.specifier), ['./mark.mjs', 'plain', '@scope/mapped', '@scope/mapped/sub']);
    assert.ok('plugin' in locatePlugin('plain', join(folder, 'deep/er')), 'node_modules further up');
    assert.ok('plugin' in locatePlugin(join(folder, 'mark.mjs'), '/'));
    assert.ok('plugin' in locatePlugin(`file://${folder}/mark.mjs`, '/'));
  });

  test('say what is missing', async () => {
    const { faults } = await load('./none.mjs', 'nowhere', '@scope/mapped/hidden', './mark.mjs', './mark.mjs');
    assert.deepEqual(faults.map(({ index }) => index), [0, 1, 2, 4]);
    assert.match(faults[0]!.text, /^there is no file .*none\.mjs$/);
    assert.match(faults[1]!.text, /^there is no package nowhere in a node_modules above .*; a path begins with \.\/$/);
    assert.equal(faults[2]!.text, 'package @scope/mapped exports no hidden');
    assert.equal(faults[3]!.text, 'it is named twice');
  });

  test('are refused with the reason when they are no manifest', async () => {
    assert.match(await faultOf('export const other = 1;'), /^it exports no `manifest`, no `manifests` and no default$/);
    assert.match(await faultOf('export const manifest = 5;'), /^its manifest is not an object$/);
    assert.match(await faultOf("export const manifest = { kind: 'stream-filtr' };"), /^its manifest must have as kind one of .*\(did you mean stream-filter\?\)$/);
    assert.match(await faultOf("export const manifest = { kind: 'balancer', name: 'A B' };"), /must have a name of lower-case letters/);
    assert.match(await faultOf("export const manifest = { kind: 'balancer', name: 'a' };"), /^its manifest \(a\) must have a function create$/);
    assert.match(await faultOf("export const manifest = { kind: 'balancer', name: 'a', doc: 1, create() {} };"), /^its manifest \(a\) has a doc that is not a text$/);
    assert.match(await faultOf("export const manifest = { kind: 'balancer', name: 'a', schema: {}, create() {} };"), /^its manifest \(a\) has a schema that was not made by zod 4$/);
    assert.match(await faultOf('export const manifests = [];'), /^its list of manifests is empty$/);
    assert.match(await faultOf("export const manifests = [{ kind: 'balancer', name: 'a', create() {} }, { kind: 'x' }];"), /^its manifest 2 of 2 must have as kind/);
    assert.match(await faultOf("export const manifest = { kind: 'protocol', name: 'http1', create() {} };"), /^the protocol http1 is built in; the plug-in needs another name$/);
    assert.match(await faultOf('\nexport const manifest = () => { throw new Error("no luck"); };'), /^its manifest function failed: no luck \(line 2\)$/);
    assert.match(await faultOf('\n\nthrow new Error("at once");'), /^it cannot be loaded: at once \(line 3\)$/);
    assert.match(await faultOf('export const manifest = {;'), /^it cannot be loaded: Unexpected token/);
    assert.match(await faultOf("import './not-there.mjs';"), /^it cannot be loaded: Cannot find module/);
    write('twin.mjs', FILTER);
    assert.match((await load('./mark.mjs', './twin.mjs')).faults[0]!.text, /^the stream-filter mark is in \.\/mark\.mjs already$/);
  });

  test('have a schema without options where they give none', async () => {
    write('bare.mjs', "export default { kind: 'stream-filter', name: 'bare', create: () => ({ name: 'bare' }) };");
    const { manifests } = await load('./bare.mjs');
    assert.deepEqual(manifests[0]!.schema.parse({}), {});
    assert.equal(manifests[0]!.schema.safeParse({ a: 1 }).success, false);
    assert.equal(manifests[0]!.doc, '');
  });

  test('are another module once their content changes, and the former one lives on', async () => {
    write('swap.mjs', FILTER);
    const first = await load('./swap.mjs');
    assert.deepEqual((await load('./swap.mjs')).plugins, first.plugins, 'the same content is the same module');
    write('swap.mjs', FILTER.replace("'v1'", "'v2'"));
    const second = await load('./swap.mjs');
    assert.notEqual(second.plugins[0]!.url, first.plugins[0]!.url);
    const nameOf = (loaded: typeof first): string => {
      const manifest = loaded.manifests[0]! as unknown as { schema: { parse(v: unknown): unknown }; create(o: unknown): { name: string } };
      return manifest.create(manifest.schema.parse({})).name;
    };
    assert.deepEqual([nameOf(first), nameOf(second)], ['v1', 'v2']);
    assert.deepEqual((await importPlugins(first.plugins)).map((m) => m.name), ['mark'], 'a worker can still have the former one');
  });

  test('stay as they were when a change of theirs is refused', async () => {
    write('kept.mjs', FILTER);
    const first = await load('./kept.mjs');
    write('kept.mjs', 'export const manifest = 1;');
    const second = await loadPlugins(['./kept.mjs'], folder, catalog, first.plugins);
    assert.equal(second.faults[0]!.text, 'its manifest is not an object');
    assert.deepEqual(second.plugins, first.plugins);
    assert.deepEqual(second.manifests.map((m) => m.name), ['mark']);
    assert.deepEqual(second.files, [join(folder, 'kept.mjs')], 'and go on being watched');
  });

  test('have their options checked by their own schema, with places in the file', async () => {
    const { manifests } = await load('./mark.mjs');
    const text = 'listeners:\n  - name: a\n    address: :1\n    protocol: http1\n    cluster: c\n    stream_filters:\n      - {type: mark, text: 5, txt: x}\nclusters: [{name: c, hosts: "10.0.0.1:1"}]\n';
    const { problems } = decode(text, 'a.yaml', catalog.with(manifests));
    assert.deepEqual(problems.map((p) => `${p.line}:${p.col} ${p.path} ${p.expected}`), ['7:28 listeners[0].stream_filters[0].text expected a text', '7:31 listeners[0].stream_filters[0].txt unknown key']);
  });

  test('a worker fails to import what is gone', async () => {
    const url = `file://${folder}/gone.mjs?v=1`;
    assert.match((await importPlugin({ specifier: './gone.mjs', url }) as { fault: string }).fault, /^it cannot be loaded/);
    await assert.rejects(importPlugins([{ specifier: './gone.mjs', url }]), /^Error: plug-in \.\/gone\.mjs: it cannot be loaded/);
  });
});

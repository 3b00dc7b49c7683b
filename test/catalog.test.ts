// Holds src/catalog.ts to its promise: it is the only list of built-ins, one line for each folder that has a manifest.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { describe, test } from 'node:test';
import { importsOf, tokens } from './support/imports.js';

/** Folders in which every subfolder is a plug-in; the number says how many levels of names stand between. */
const roots: readonly [string, number][] = [
  ['src/stream/protocol', 1],
  ['src/filters', 2],
  ['src/network/upstream/balancer', 1],
  ['src/network/upstream/discovery', 1],
  ['src/runtime/api', 1],
  ['src/runtime/component', 2],
];

function foldersBelow(folder: string, levels: number): string[] {
  if (!existsSync(folder)) return [];
  const inside = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map((entry) => `${folder}/${entry.name}`);
  return levels === 1 ? inside : inside.flatMap((next) => foldersBelow(next, levels - 1));
}

/** Every way in which a catalog does not list exactly the given plug-in folders, one sentence each. */
function mistakes(catalog: string, folders: readonly string[]): string[] {
  const found: string[] = [];
  const lines = catalog.split('\n');
  const names = new Map<string, string>();
  const listed: string[] = [];
  for (const one of importsOf(catalog)) {
    if (one.typeOnly || !one.specifier.endsWith('/manifest.js')) continue;
    const folder = `src/${one.specifier.slice('./'.length, -'/manifest.js'.length)}`;
    const match = /^import \{ manifest as (\w+) \} from '\.\/[^']+\/manifest\.js';$/.exec(lines[one.line - 1] ?? '');
    if (match === null) {
      found.push(`line ${one.line}: expected import { manifest as NAME } from './FOLDER/manifest.js'; on one line`);
      continue;
    }
    if (listed.includes(folder)) found.push(`line ${one.line}: ${folder} is imported twice`);
    if (names.has(match[1]!)) found.push(`line ${one.line}: the name ${match[1]} is given twice`);
    listed.push(folder);
    names.set(match[1]!, folder);
  }
  for (const folder of folders) if (!listed.includes(folder)) found.push(`${folder} has no line in the catalog`);
  for (const folder of listed) if (!folders.includes(folder)) found.push(`${folder} is in the catalog, but has no manifest`);

  const members = arrayOf(catalog);
  if (members === undefined) return [...found, 'no exported array `catalog`'];
  for (const name of names.keys()) {
    const times = members.filter((member) => member === name).length;
    if (times !== 1) found.push(`${name} stands ${times} times in the array`);
  }
  for (const member of members) if (!names.has(member)) found.push(`${member} is in the array, but not imported from a manifest`);
  return found;
}

/** The names in `export const catalog = [...]`, whatever type or assertion stands around the brackets. */
function arrayOf(source: string): string[] | undefined {
  const list = tokens(source);
  const start = list.findIndex((token, i) => token.text === 'catalog' && list[i - 1]?.text === 'const' && list[i - 2]?.text === 'export');
  if (start < 0) return undefined;
  let at = list.findIndex((token, i) => i > start && token.text === '=');
  while (at < list.length && list[at]!.text !== '[') at++;
  const members: string[] = [];
  for (at++; at < list.length && list[at]!.text !== ']'; at++) if (list[at]!.kind !== 'mark') members.push(list[at]!.text);
  return at < list.length ? members : undefined;
}

describe('the catalog', () => {
  const folders = roots.flatMap(([root, levels]) => foldersBelow(root, levels));

  test('has one line for each plug-in, and no other', () => {
    const withManifest = folders.filter((folder) => existsSync(`${folder}/manifest.ts`));
    assert.ok(withManifest.length > 0, 'the search must find the manifests');
    assert.deepEqual(mistakes(readFileSync('src/catalog.ts', 'utf8'), withManifest), []);
  });

  test('leaves no folder without a manifest, which nothing could load', () => {
    const empty = folders.filter((folder) => readdirSync(folder).length > 0 && !existsSync(`${folder}/manifest.ts`));
    assert.deepEqual(empty, []);
  });
});

describe('the check of the catalog', () => {
  const both = ['src/stream/protocol/a', 'src/filters/stream/b'];
  const a = "import { manifest as a } from './stream/protocol/a/manifest.js';";
  const b = "import { manifest as b } from './filters/stream/b/manifest.js';";
  const list = (...names: string[]): string => `export const catalog: readonly Manifest[] = Object.freeze([${names.join(', ')}]);`;
  const check = (...lines: string[]): string[] => mistakes(['// The list.', "import type { Manifest } from './core/manifest.js';", ...lines].join('\n'), both);

  test('accepts the lines in any order', () => {
    assert.deepEqual(check(a, b, list('a', 'b')), []);
    assert.deepEqual(check(b, a, list('a', 'b')), []);
    assert.deepEqual(check(a, b, list('b', 'a')), []);
  });

  test('refuses what is missing, left over, doubled or in a form of its own', () => {
    assert.deepEqual(check(a, list('a')), ['src/filters/stream/b has no line in the catalog']);
    assert.deepEqual(check(a, b, "import { manifest as c } from './stream/protocol/c/manifest.js';", list('a', 'b', 'c')), [
      'src/stream/protocol/c is in the catalog, but has no manifest',
    ]);
    assert.deepEqual(check(a, b, a.replace('as a', 'as c'), list('a', 'b', 'c')), ['line 5: src/stream/protocol/a is imported twice']);
    assert.deepEqual(check(a, b, list('a')), ['b stands 0 times in the array']);
    assert.deepEqual(check(a, b, list('a', 'b', 'b')), ['b stands 2 times in the array']);
    assert.deepEqual(check(a, b, list('a', 'b', 'c')), ['c is in the array, but not imported from a manifest']);
    assert.deepEqual(check(a, b), ['no exported array `catalog`']);
    assert.match(check(a, "import b from './filters/stream/b/manifest.js';", list('a'))[0]!, /^line 4: expected import/);
  });
});

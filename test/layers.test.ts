// Holds the sources to the layers of the design: who may import whom, where sockets are made, and how long a file may be.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, normalize } from 'node:path/posix';
import { describe, test } from 'node:test';
import { importsOf, tokens } from './support/imports.js';

/** What each layer may import besides npm packages; a file directly in src/ that is not one of `wiring` counts as layer `top`. */
const allowed: Record<string, readonly string[]> = {
  core: ['core'],
  network: ['core', 'network'],
  stream: ['core', 'network', 'stream'],
  filters: ['core', 'network', 'stream', 'filters'],
  runtime: ['core', 'network', 'stream', 'runtime'],
  control: ['core', 'network', 'stream', 'control'],
  top: ['core', 'network', 'stream', 'top'],
  wiring: ['core', 'network', 'stream', 'filters', 'runtime', 'control', 'top', 'wiring'],
};
const wiring = ['src/catalog.ts', 'src/server.ts', 'src/worker.ts', 'src/launch.ts', 'src/commands.ts', 'src/main.ts'];

/** Folders whose subfolders are plug-ins: nobody but the plug-in itself and the wiring imports from one. `*` is one folder name. */
const plugins = [
  'src/stream/protocol/*',
  'src/filters/listener/*',
  'src/filters/network/*',
  'src/filters/stream/*',
  'src/network/upstream/balancer/*',
  'src/network/upstream/discovery/*',
  'src/runtime/api/*',
  'src/runtime/component/*/*',
];

/** Sockets are made in one module. Elsewhere only what makes none, and the places named here. */
const socketModules = ['node:net', 'node:tls', 'node:dgram'];
const socketHome = 'src/network/transport/';
const harmless = ['isIP', 'isIPv4', 'isIPv6', 'BlockList', 'SocketAddress', 'createSecureContext', 'checkServerIdentity', 'rootCertificates'];
const socketExceptions: readonly string[] = [];

const builtins = new Set(builtinModules);
const vagueNames = /(^|\/)(utils?|common|helpers?|types|misc)(\.ts$|\/)/;
const longest = 600;

type Sources = ReadonlyMap<string, string>;

function layerOf(file: string): string {
  if (wiring.includes(file)) return 'wiring';
  const parts = file.split('/');
  return parts.length === 2 ? 'top' : parts[1]!;
}

/** The folder of the plug-in that a file belongs to, if it belongs to one. */
function pluginOf(file: string): string | undefined {
  const parts = file.split('/');
  for (const pattern of plugins) {
    const wanted = pattern.split('/');
    if (parts.length > wanted.length && wanted.every((part, i) => part === '*' || part === parts[i])) {
      return parts.slice(0, wanted.length).join('/');
    }
  }
  return undefined;
}

/**
 * Bridges and terminals speak protocols by their own parts, and so does the runtime; gRPC's server end is built on those of HTTP/2. No
 * protocol imports another.
 */
function speaks(file: string, layer: string, plugin: string): boolean {
  if (file.startsWith('src/stream/grpc/')) return plugin === 'src/stream/protocol/http2';
  return plugin.startsWith('src/stream/protocol/') && ((layer === 'filters' && /^src\/filters\/(stream|terminal)\//.test(file)) || layer === 'runtime');
}

/** Every breach of the rules, one sentence each. `dependencies` are the packages that an installation brings. */
function breaches(sources: Sources, dependencies: readonly string[]): string[] {
  const found: string[] = [];
  const edges = new Map<string, string[]>();
  for (const [file, source] of sources) {
    const layer = layerOf(file);
    if (allowed[layer] === undefined) found.push(`${file}: src/${layer} is not a layer`);
    found.push(...textBreaches(file, source));
    const edge: string[] = [];
    edges.set(file, edge);
    for (const one of importsOf(source)) {
      const at = `${file}:${one.line}`;
      if (!one.specifier.startsWith('.')) {
        found.push(...packageBreaches(at, file, one.specifier, one.typeOnly, one.names, dependencies));
        continue;
      }
      const target = normalize(join(dirname(file), one.specifier)).replace(/\.js$/, '.ts');
      if (!sources.has(target)) {
        found.push(`${at}: imports ${one.specifier}, which is not a source below src/`);
        continue;
      }
      if (!one.typeOnly && !one.dynamic) edge.push(target);
      const targetLayer = layerOf(target);
      const plugin = pluginOf(target);
      if (!(allowed[layer] ?? []).includes(targetLayer)) {
        found.push(`${at}: layer ${layer} must not import layer ${targetLayer} (${target})`);
      } else if (plugin !== undefined && plugin !== pluginOf(file) && layer !== 'wiring' && !speaks(file, layer, plugin)) {
        found.push(`${at}: only ${plugin} itself and the wiring import from that plug-in (${target})`);
      }
    }
  }
  found.push(...circles(edges));
  return found;
}

function textBreaches(file: string, source: string): string[] {
  const found: string[] = [];
  const lines = source.split('\n');
  if (lines[lines.length - 1] === '') lines.pop();
  let first = lines[0] ?? '';
  if (file === 'src/main.ts') {
    // Becomes the package's `bin`, which the system starts by its first line.
    if (first !== '#!/usr/bin/env node') found.push(`${file}: must begin with #!/usr/bin/env node`);
    first = lines[1] ?? '';
  }
  if (!/^\/\/ \S/.test(first) && !/^\/\*\*? /.test(first)) found.push(`${file}: the first line is not a comment that says what the file is for`);
  if (lines.length > longest && !/\b(generated|table)\b/i.test(first)) found.push(`${file}: ${lines.length} lines, more than ${longest}`);
  if (file !== 'src/main.ts') {
    const line = exitLine(source);
    if (line > 0) found.push(`${file}:${line}: only main.ts may end the process`);
  }
  if (vagueNames.test(file)) found.push(`${file}: the name does not say what is inside`);
  return found;
}

/** The line of the first call that ends the process, or 0. */
function exitLine(source: string): number {
  const list = tokens(source);
  const at = list.findIndex(
    (token, i) => token.kind === 'word' && token.text === 'process' && list[i + 1]?.text === '.' && /^(exit|abort|reallyExit)$/.test(list[i + 2]?.text ?? ''),
  );
  return at < 0 ? 0 : list[at]!.line;
}

function packageBreaches(at: string, file: string, specifier: string, typeOnly: boolean, names: readonly string[], dependencies: readonly string[]): string[] {
  if (socketModules.includes(specifier)) {
    const makesNone = typeOnly || names.every((name) => harmless.includes(name));
    if (makesNone || file.startsWith(socketHome) || socketExceptions.includes(file)) return [];
    return [`${at}: ${specifier} belongs to ${socketHome}; here only ${harmless.join(', ')} and types`];
  }
  if (specifier.startsWith('node:')) return [];
  const name = specifier.split('/').slice(0, specifier.startsWith('@') ? 2 : 1).join('/');
  if (builtins.has(name)) return [`${at}: write node:${specifier}`];
  return dependencies.includes(name) ? [] : [`${at}: ${name} is not among the dependencies of package.json`];
}

/** Circles among imports that are executed at load: the order of evaluation would decide who sees what undefined. */
function circles(edges: ReadonlyMap<string, readonly string[]>): string[] {
  const found: string[] = [];
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): void => {
    const start = path.indexOf(file);
    if (start >= 0) {
      found.push(`circle: ${[...path.slice(start), file].join(' -> ')}`);
      return;
    }
    if (done.has(file)) return;
    path.push(file);
    for (const next of edges.get(file) ?? []) visit(next);
    path.pop();
    done.add(file);
  };
  for (const file of edges.keys()) visit(file);
  return found;
}

function readSources(folder: string, into = new Map<string, string>()): Map<string, string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) readSources(path, into);
    else if (entry.name.endsWith('.ts')) into.set(path, readFileSync(path, 'utf8'));
  }
  return into;
}

const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as { dependencies: Record<string, string> };

describe('the sources', () => {
  test('keep the layers, the places of sockets and exits, and the size of files', () => {
    const sources = readSources('src');
    assert.ok(sources.has('src/main.ts'), 'the scan must find the sources');
    assert.deepEqual(breaches(sources, Object.keys(manifest.dependencies)), []);
  });

  test('have tests that begin with a comment too', () => {
    const folders = ['test', 'bench'].filter((folder) => existsSync(folder));
    const wrong = folders
      .flatMap((folder) => [...readSources(folder)])
      .filter(([file, text]) => !/^(\/\/|\/\*\*?) ?\S/.test(text.replace(/^#!.*\n/, '')) || vagueNames.test(file));
    assert.deepEqual(wrong.map(([file]) => file), []);
  });
});

describe('the check of layers', () => {
  const header = '// A file.\n';
  const main = '#!/usr/bin/env node\n// The command line.\n';
  const check = (files: Record<string, string>, dependencies: string[] = []): string[] =>
    breaches(new Map(Object.entries(files).map(([name, text]) => [name, name === 'src/main.ts' ? main + text : header + text])), dependencies);

  test('accepts what the design allows', () => {
    const files = {
      'src/main.ts': "import { a } from './core/a.js';\nconst s = await import('./server.js');\nprocess.exit(s.b + a);\n",
      'src/server.ts': "import { a } from './core/a.js';\nimport { p } from './stream/protocol/x/manifest.js';\nexport const b = a + p;\n",
      'src/core/a.ts': "import { z } from 'zod';\nimport { isIP } from 'node:net';\nexport const a = z(isIP);\n",
      'src/network/transport/socket.ts': "import { Socket } from 'node:net';\nexport const s = Socket;\n",
      'src/stream/protocol/x/manifest.ts': "import { a } from '../../../core/a.js';\nexport { c as p } from './codec.js';\nexport const d = a;\n",
      'src/stream/protocol/x/codec.ts': "import type { Socket } from 'node:net';\nexport const c = 1 as unknown as Socket;\n",
    };
    assert.deepEqual(check(files, ['zod']), []);
  });

  const refused: [string, Record<string, string>, RegExp][] = [
    ['a lower layer importing a higher one', { 'src/core/a.ts': "import { b } from '../stream/b.js';\n", 'src/stream/b.ts': '' }, /layer core must not import layer stream/],
    ['the same by a type', { 'src/core/a.ts': "import type { b } from '../stream/b.js';\n", 'src/stream/b.ts': '' }, /layer core must not import layer stream/],
    ['the same by a re-export', { 'src/network/a.ts': "export * from '../stream/b.js';\n", 'src/stream/b.ts': '' }, /layer network must not import layer stream/],
    ['the same at run time', { 'src/network/a.ts': "const x = () => import('../control/b.js');\n", 'src/control/b.ts': '' }, /layer network must not import layer control/],
    ['control importing a filter', { 'src/control/a.ts': "import { b } from '../filters/stream/x/b.js';\n", 'src/filters/stream/x/b.ts': '' }, /layer control must not import layer filters/],
    ['runtime importing control', { 'src/runtime/a.ts': "import '../control/b.js';\n", 'src/control/b.ts': '' }, /layer runtime must not import layer control/],
    ['a filter importing another', { 'src/filters/stream/x/a.ts': "import { b } from '../y/b.js';\n", 'src/filters/stream/y/b.ts': '' }, /only src\/filters\/stream\/y itself/],
    ['a protocol importing another', { 'src/stream/protocol/x/a.ts': "import { b } from '../y/b.js';\n", 'src/stream/protocol/y/b.ts': '' }, /only src\/stream\/protocol\/y itself/],
    ['a network filter importing a protocol', { 'src/filters/network/x/a.ts': "import { b } from '../../../stream/protocol/y/b.js';\n", 'src/stream/protocol/y/b.ts': '' }, /only src\/stream\/protocol\/y itself/],
    ['a layer importing one of its plug-ins', { 'src/stream/a.ts': "import { b } from './protocol/y/b.js';\n", 'src/stream/protocol/y/b.ts': '' }, /only src\/stream\/protocol\/y itself/],
    ['a component importing another', { 'src/runtime/component/s/x/a.ts': "import '../y/b.js';\n", 'src/runtime/component/s/y/b.ts': '' }, /only src\/runtime\/component\/s\/y itself/],
    ['a layer importing the wiring', { 'src/stream/a.ts': "import { b } from '../server.js';\n", 'src/server.ts': '' }, /layer stream must not import layer wiring/],
    ['another file at the top importing filters', { 'src/echo.ts': "import './filters/b.js';\n", 'src/filters/b.ts': '' }, /layer top must not import layer filters/],
    ['a folder that is no layer', { 'src/extra/a.ts': '' }, /src\/extra is not a layer/],
    ['a socket made elsewhere', { 'src/stream/a.ts': "import { connect } from 'node:net';\n" }, /node:net belongs to/],
    ['a socket by way of the namespace', { 'src/stream/a.ts': "import * as net from 'node:net';\n" }, /node:net belongs to/],
    ['a built-in without its prefix', { 'src/core/a.ts': "import { readFileSync } from 'fs';\n" }, /write node:fs/],
    ['a package that is not installed', { 'src/core/a.ts': "import x from '@some/thing/part.js';\n" }, /@some\/thing is not among the dependencies/],
    ['an import of nothing', { 'src/core/a.ts': "import { b } from './b.js';\n" }, /not a source below src/],
    ['an import of a test', { 'src/core/a.ts': "import { b } from '../../test/b.js';\n" }, /not a source below src/],
    ['an exit below main', { 'src/core/a.ts': '// process.exit(0)\nconst u = "http://"; process.exit(1);\n' }, /src\/core\/a\.ts:3: only main\.ts/],
    ['a circle', { 'src/core/a.ts': "import { b } from './b.js';\n", 'src/core/b.ts': "import { a } from './a.js';\n" }, /circle: src\/core\/a\.ts -> src\/core\/b\.ts -> src\/core\/a\.ts/],
    ['a file too long', { 'src/core/a.ts': 'let a = 1;\n'.repeat(longest) }, /601 lines/],
    ['a vague name', { 'src/core/utils.ts': '' }, /the name does not say/],
  ];
  for (const [what, files, sentence] of refused) {
    test(`refuses ${what}`, () => {
      const found = check(files);
      assert.equal(found.length, 1, found.join('\n'));
      assert.match(found[0]!, sentence);
    });
  }

  test('refuses a file without its first comment, and main without its first line', () => {
    const found = breaches(new Map([['src/core/a.ts', 'export const a = 1;\n'], ['src/main.ts', '// No first line.\n']]), []);
    assert.equal(found.length, 3, found.join('\n'));
  });

  test('lets generated files and tables be long', () => {
    assert.deepEqual(breaches(new Map([['src/core/a.ts', `// A table of codes.\n${'let a = 1;\n'.repeat(longest)}`]]), []), []);
  });
});

describe('the scan of imports', () => {
  const specifiers = (source: string): string[] => importsOf(source).map((one) => one.specifier);

  test('sees every form', () => {
    const source = [
      "import a from 'a';",
      "import * as b from 'b';",
      "import c, { d as e, type f } from 'c';",
      "import {\n  g,\n  h,\n} from 'g';",
      "import 'i';",
      "export { j } from 'j';",
      "export * from 'k';",
      "export * as l from 'l';",
      "const m = await import('m');",
      "type N = import('n').N;",
      'const s = `text ${await import("o")} text`;',
    ].join('\n');
    assert.deepEqual(specifiers(source), ['a', 'b', 'c', 'g', 'i', 'j', 'k', 'l', 'm', 'n', 'o']);
    assert.deepEqual(importsOf(source)[2], { specifier: 'c', typeOnly: false, dynamic: false, names: ['default', 'd', 'f'], line: 3 });
  });

  test('tells types from values', () => {
    const typeOnly = (source: string): boolean => importsOf(source)[0]!.typeOnly;
    assert.equal(typeOnly("import type { A } from 'a';"), true);
    assert.equal(typeOnly("import type A from 'a';"), true);
    assert.equal(typeOnly("import { type A, type B } from 'a';"), true);
    assert.equal(typeOnly("export type { A } from 'a';"), true);
    assert.equal(typeOnly("import { type A, b } from 'a';"), false);
    assert.equal(typeOnly("import type from 'a';"), false);
  });

  test('sees nothing in comments, strings, templates and regular expressions', () => {
    const source = [
      "// import a from 'a';",
      "/* import b from 'b';\n */",
      'const c = "import c from \'c\'";',
      "const d = `import e from 'e' ${1} import('f')`;",
      "const g = /import 'g'/; const h = /[/'\"]/;",
      "const i = 4 / 2; const j = 'j'; x.import('k');",
      "export const from = 'l';",
      "import.meta.url; export default 'm';",
      "import n from 'n';",
    ].join('\n');
    assert.deepEqual(specifiers(source), ['n']);
    assert.equal(importsOf(source)[0]!.line, 10);
  });
});

// Holds the bundles to what makes a start quick: the admin's libraries come as chunks of their own, loaded after the listeners.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';

/** An entry and every chunk that its load brings along, without what `import(...)` loads later. */
function loadedWith(entry: string, into = new Set<string>()): Set<string> {
  if (into.has(entry)) return into;
  into.add(entry);
  const text = readFileSync(join('dist', entry), 'utf8');
  // What esbuild writes: `} from "./chunk-x.js";` or `import "./chunk-x.js";` at the beginning of a line.
  for (const [, chunk] of text.matchAll(/^(?:import|export|\}).*?"\.\/(chunk-[^"]+\.js)";$/gm)) loadedWith(chunk!, into);
  return into;
}

const packagesIn = (file: string): Set<string> =>
  new Set([...readFileSync(join('dist', file), 'utf8').matchAll(/^\s*\/\/ node_modules\/((?:@[^/\n]+\/)?[^/\n]+)\//gm)].map((match) => match[1]!));

describe('the bundles', { skip: existsSync('dist/.stamp') ? false : 'not built: npm run build' }, () => {
  for (const entry of ['sluice.js', 'worker.js']) {
    test(`${entry} loads neither the admin server nor the libraries of metrics, traces and Hessian`, () => {
      const packages = [...loadedWith(entry)].flatMap((file) => [...packagesIn(file)]);
      assert.deepEqual(packages.filter((name) => name === 'prom-client' || name === 'hessian.js' || /^fastify$|^@fastify\/|^@opentelemetry\//.test(name)), []);
    });
  }

  test('worker.js loads no YAML: it reads no file before it serves', () => {
    assert.deepEqual([...loadedWith('worker.js')].filter((file) => packagesIn(file).has('yaml')), []);
  });

  test('hold these libraries in chunks', () => {
    const everywhere = readdirSync('dist').filter((name) => name.endsWith('.js')).flatMap((name) => [...packagesIn(name)]);
    for (const name of ['fastify', 'prom-client', 'zod', 'yaml', 'pino', 'hessian.js', '@opentelemetry/exporter-trace-otlp-proto']) assert.ok(everywhere.includes(name), name);
  });

  test('begin with the line that lets the system start the command', () => {
    assert.ok(readFileSync('dist/sluice.js', 'utf8').startsWith('#!/usr/bin/env node\n'));
    assert.ok((statSync('dist/sluice.js').mode & 0o111) !== 0);
  });
});

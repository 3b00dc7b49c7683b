// Writes docs/errors.md from the table of reasons; with --check only says whether the file is as it should be.
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const file = `${root}docs/errors.md`;

// The table is TypeScript: bundled in memory, so that the script works on a checkout that was never built.
const bundle = await build({
  stdin: { contents: "export { errorsDocument } from './src/core/explain.ts'; export { replyColumns } from './src/stream/reply-columns.ts'; export { catalog } from './src/catalog.ts';", resolveDir: root },
  bundle: true,
  write: false,
  platform: 'node',
  format: 'esm',
  logLevel: 'warning',
});
const { errorsDocument, replyColumns, catalog } = await import(`data:text/javascript;base64,${Buffer.from(bundle.outputFiles[0].text).toString('base64')}`);
const wanted = errorsDocument(replyColumns(catalog));

if (process.argv.includes('--check')) {
  const found = await readFile(file, 'utf8').catch(() => '');
  if (found !== wanted) {
    process.stderr.write('docs/errors.md is not what the table says: run node scripts/docs-errors.mjs\n');
    process.exitCode = 1;
  }
} else {
  await writeFile(file, wanted);
}
